//! `web/YYYY-MM.parquet`: visits, event by event.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::calendar::Month;
use super::outcome::{Error, Written};
use super::people::Population;
use super::random::{Dice, Stream};
use super::sink::{BATCH_ROWS, Table, occurred_at, text_column};
use super::visitors::{Rates, Visit, Visitor, Who, visits};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("event_id", DataType::Int64, false),
        occurred_at(),
        text_column("visitor_id", false),
        text_column("user_id", true),
        text_column("event_type", false),
        text_column("category", true),
        text_column("device", false),
        text_column("os", false),
        text_column("browser", false),
        text_column("platform", false),
    ]))
}

#[derive(Default)]
struct Columns {
    event_id: Int64Builder,
    occurred_at: TimestampMicrosecondBuilder,
    visitor_id: StringBuilder,
    user_id: StringBuilder,
    event_type: StringBuilder,
    category: StringBuilder,
    device: StringBuilder,
    os: StringBuilder,
    browser: StringBuilder,
    platform: StringBuilder,
    rows: usize,
}

impl Columns {
    fn write(&mut self, table: &mut Table, schema: &SchemaRef) -> Result<(), Error> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.event_id.finish()),
            Arc::new(self.occurred_at.finish().with_timezone("UTC")),
            Arc::new(self.visitor_id.finish()),
            Arc::new(self.user_id.finish()),
            Arc::new(self.event_type.finish()),
            Arc::new(self.category.finish()),
            Arc::new(self.device.finish()),
            Arc::new(self.os.finish()),
            Arc::new(self.browser.finish()),
            Arc::new(self.platform.finish()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(schema), columns);
        table.write(&batch.map_err(|source| table.failed(source))?)
    }
}

pub(super) fn write(population: &Population, rates: &Rates, month: &Month, dir: &Path) -> Result<Written, Error> {
    let schema = schema();
    let path = dir.join("web").join(format!("{}.parquet", month.label));
    let rising = ["event_id", "occurred_at"];
    let mut table = Table::create(path, Arc::clone(&schema), &rising)?;
    let mut columns = Columns::default();
    let mut event_id = month.number * 1_000_000_000;
    for visit in visits(population, rates, month) {
        append_visit(population, visit, &mut event_id, &mut columns);
        if columns.rows >= BATCH_ROWS {
            columns.write(&mut table, &schema)?;
        }
    }
    columns.write(&mut table, &schema)?;
    table.finish()
}

fn append_visit(population: &Population, visit: Visit, event_id: &mut i64, columns: &mut Columns) {
    let (kind, number) = match visit.who {
        Who::Person(number) => (0_u64, number),
        Who::Anonymous(number) => (1, number),
        Who::Shared(number) => (2, number),
    };
    let key = kind << 40 | u64::from(number);
    let day = u64::from(visit.start / 86_400);
    let mut dice = population.seed.dice(Stream::Session, key, day);
    let visitor = population.visitor(visit, &mut dice);
    let user = visitor.login.map(|(person, from)| (population.people[person].id.to_string(), from));
    let events = match visit.who {
        Who::Anonymous(_) => 1 + dice.below(5),
        _ => 1 + dice.below(6) + dice.below(4),
    };
    let mut second = i64::from(visit.start);
    let mut in_cart = false;
    for step in 0..events {
        *event_id += 1;
        columns.rows += 1;
        columns.event_id.append_value(*event_id);
        columns.occurred_at.append_value(population.calendar.micros(second));
        second += 8 + dice.below(60).cast_signed() * (1 + dice.below(3).cast_signed());
        columns.visitor_id.append_value(&visitor.id);
        let known = user.as_ref().filter(|(_, from)| step >= *from);
        columns.user_id.append_option(known.map(|(user, _)| user));
        append_kind(step, &mut in_cart, &visitor, &mut dice, columns);
        columns.device.append_value(visitor.device.kind);
        columns.os.append_value(visitor.device.os);
        columns.browser.append_value(visitor.device.browser);
        columns.platform.append_value(visitor.device.platform);
    }
}

/// What is done, and to which category where it is about one.
fn append_kind(step: u64, in_cart: &mut bool, visitor: &Visitor, dice: &mut Dice, columns: &mut Columns) {
    let event_type = if *in_cart && dice.chance(350) {
        *in_cart = false;
        "checkout"
    } else if step == 0 {
        dice.weighted(&[(75, "page_view"), (15, "product_view"), (10, "search")])
    } else {
        dice.weighted(&[
            (330, "page_view"),
            (420, "product_view"),
            (115, "search"),
            (95, "add_to_cart"),
            (30, "pricing_view"),
            (10, "newsletter_signup"),
        ])
    };
    *in_cart |= event_type == "add_to_cart";
    columns.event_type.append_value(event_type);
    let about_category = match event_type {
        "product_view" | "add_to_cart" => true,
        "page_view" | "search" => dice.chance(500),
        _ => false,
    };
    columns.category.append_option(about_category.then_some(visitor.category));
}
