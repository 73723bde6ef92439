//! `orders/YYYY-MM.parquet`: made-up invoices, in the columns and with the dirt of the real sample.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int64Builder, LargeStringBuilder, RecordBatch, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::calendar::Month;
use super::catalogue::Product;
use super::outcome::{Error, Written};
use super::people::Population;
use super::places::HOME;
use super::random::{Dice, Stream};
use super::sink::{BATCH_ROWS, Table};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Sale,
    /// A later invoice that takes back the first lines of a sale.
    Cancellation,
    /// A sale to nobody known.
    Unidentified,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Invoice {
    /// Seconds from the start of the run.
    at: u32,
    kind: Kind,
    /// The customer by index, or the number of the unidentified sale.
    index: u32,
    /// Which of the customer's orders.
    order: u16,
}

/// One line of an invoice.
struct Line {
    product: Product,
    quantity: i32,
    /// In pence, so that prices have exactly two decimals.
    price_pence: i32,
    described: bool,
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::LargeUtf8, true);
    let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
    Arc::new(Schema::new(vec![
        text("InvoiceNo"),
        text("StockCode"),
        text("Description"),
        Field::new("Quantity", DataType::Float64, true),
        Field::new("InvoiceDate", moment, true),
        Field::new("UnitPrice", DataType::Float64, true),
        Field::new("CustomerID", DataType::Int64, true),
        text("Country"),
    ]))
}

#[derive(Default)]
struct Columns {
    invoice: LargeStringBuilder,
    stock_code: LargeStringBuilder,
    description: LargeStringBuilder,
    quantity: Float64Builder,
    date: TimestampMicrosecondBuilder,
    price: Float64Builder,
    customer: Int64Builder,
    country: LargeStringBuilder,
    rows: usize,
}

impl Columns {
    fn write(&mut self, table: &mut Table, schema: &SchemaRef) -> Result<(), Error> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.invoice.finish()),
            Arc::new(self.stock_code.finish()),
            Arc::new(self.description.finish()),
            Arc::new(self.quantity.finish()),
            Arc::new(self.date.finish()),
            Arc::new(self.price.finish()),
            Arc::new(self.customer.finish()),
            Arc::new(self.country.finish()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(schema), columns);
        table.write(&batch.map_err(|source| table.failed(source))?)
    }
}

pub(super) fn write(population: &Population, month: &Month, dir: &Path) -> Result<Written, Error> {
    let schema = schema();
    let path = dir.join("orders").join(format!("{}.parquet", month.label));
    let mut table = Table::create(path, Arc::clone(&schema), &[])?;
    let mut columns = Columns::default();
    for (invoice, number) in invoices(population, month).iter().zip(1..) {
        // Year and month lead, so that two months never give the same number.
        let prefix = if invoice.kind == Kind::Cancellation { "C" } else { "" };
        let number = format!("{prefix}{:04}{number:07}", month.number % 10_000);
        append_invoice(population, *invoice, &number, &mut columns);
        if columns.rows >= BATCH_ROWS {
            columns.write(&mut table, &schema)?;
        }
    }
    columns.write(&mut table, &schema)?;
    table.finish()
}

/// The invoices of a month in the order of time.
fn invoices(population: &Population, month: &Month) -> Vec<Invoice> {
    let last_day = population.calendar.last_day;
    let seed = population.seed;
    let mut invoices = Vec::new();
    let mut add = |day: i32, second: u64, kind: Kind, index: u32, order: u16| {
        if month.contains(day) {
            let at = u64::from(day.unsigned_abs()) * 86_400 + second;
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            invoices.push(Invoice { at, kind, index, order });
        }
    };
    let customers = &population.people[..population.customers];
    for (person, index) in customers.iter().zip(0_u32..) {
        for order in 0..person.orders {
            let key = u64::from(index);
            let mut dice = seed.dice(Stream::OrderDay, key, u64::from(order));
            let (first, last) = (person.active_from.max(0), person.active_to.min(last_day));
            let day = busy_day(population, first, last, &mut dice);
            add(day, minute_of_business(&mut dice), Kind::Sale, index, order);
            if dice.chance(60) {
                let day = day + dice.between(1, 21);
                let second = minute_of_business(&mut dice);
                add(day, second, Kind::Cancellation, index, order);
            }
        }
    }
    let unidentified = u32::try_from(population.customers * 34 / 100).unwrap_or(0);
    for index in 0..unidentified {
        let mut dice = seed.dice(Stream::Unidentified, u64::from(index), 0);
        let day = busy_day(population, 0, last_day, &mut dice);
        add(day, minute_of_business(&mut dice), Kind::Unidentified, index, 0);
    }
    invoices.sort_unstable();
    invoices
}

/// A day in `first..=last`, rather in a busy season than not.
fn busy_day(population: &Population, first: i32, last: i32, dice: &mut Dice) -> i32 {
    let (one, other) = (dice.between(first, last), dice.between(first, last));
    let calendar = &population.calendar;
    if dice.chance(500) && calendar.season(other) > calendar.season(one) { other } else { one }
}

/// A whole minute between 08:00 and 19:59, in seconds.
fn minute_of_business(dice: &mut Dice) -> u64 {
    28_800 + dice.below(720) * 60
}

fn append_invoice(population: &Population, invoice: Invoice, number: &str, columns: &mut Columns) {
    let key = u64::from(invoice.index);
    let customer = match invoice.kind {
        Kind::Unidentified => None,
        Kind::Sale | Kind::Cancellation => population.people.get(invoice.index as usize),
    };
    let country = customer.map_or(HOME, |customer| &population.places[usize::from(customer.place)].name);
    let id = customer.map(|customer| customer.id.cast_signed());
    let micros = population.calendar.micros(i64::from(invoice.at));
    let mut lines = lines(population, invoice);
    if invoice.kind == Kind::Cancellation {
        let mut dice = population.seed.dice(Stream::Cancellation, key, u64::from(invoice.order));
        lines.truncate(1 + dice.index(3));
    }
    for line in lines {
        columns.rows += 1;
        let sign = if invoice.kind == Kind::Cancellation { -1 } else { 1 };
        columns.invoice.append_value(number);
        columns.stock_code.append_value(line.product.stock_code());
        let description = line.described.then(|| line.product.description());
        columns.description.append_option(description);
        columns.quantity.append_value(f64::from(line.quantity * sign));
        columns.date.append_value(micros);
        columns.price.append_value(f64::from(line.price_pence) / 100.0);
        columns.customer.append_option(id);
        columns.country.append_value(country);
    }
}

/// The lines of a sale; its cancellation draws the same ones again.
fn lines(population: &Population, invoice: Invoice) -> Vec<Line> {
    let unidentified = invoice.kind == Kind::Unidentified;
    let key = u64::from(invoice.index);
    let order = u64::from(invoice.order) * 2 + u64::from(unidentified);
    let mut dice = population.seed.dice(Stream::OrderLines, key, order);
    let favourite = population.seed.dice(Stream::Taste, key, 0).index(8);
    let count = dice.weighted(&[(300, (1, 2)), (400, (3, 5)), (220, (6, 9)), (80, (10, 18))]);
    let count = dice.between(count.0, count.1);
    (0..count)
        .map(|_| {
            let liked = !unidentified && dice.chance(550);
            let category = if liked { favourite } else { dice.index(8) };
            let product = Product::draw(category, &mut dice);
            let quantity = match dice.weighted(&[(30, 1), (30, 2), (25, 3), (12, 4), (3, 5)]) {
                1 => 1,
                2 => dice.between(2, 4),
                3 => dice.pick(&[6, 8, 10, 12]),
                4 => dice.pick(&[16, 20, 24]),
                _ => dice.pick(&[36, 48, 72, 100]),
            };
            let fault = dice.below(if unidentified { 300 } else { 5_000 });
            Line {
                product,
                quantity,
                price_pence: match fault {
                    0 => 0,
                    1 if unidentified && dice.chance(10) => -1_106_206,
                    _ => product.price_pence(),
                },
                described: fault != 0 || dice.chance(500),
            }
        })
        .collect()
}
