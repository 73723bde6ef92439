//! Reads the customers of a real orders extract: who they are, where, and when they bought.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use chrono::{NaiveDate, TimeDelta};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::outcome::Error;

pub(super) struct RealCustomer {
    pub(super) id: u64,
    /// The country of the last invoice.
    pub(super) country: String,
    pub(super) orders: u16,
    pub(super) first_date: NaiveDate,
    pub(super) last_date: NaiveDate,
}

const COLUMNS: [(&str, DataType); 4] =
    [("CustomerID", DataType::Int64), ("InvoiceNo", DataType::Utf8), ("InvoiceDate", DataType::Date32), ("Country", DataType::Utf8)];

struct Seen {
    customer: RealCustomer,
    invoice: String,
}

/// The customers in `path`, by number. Lines without a customer are passed over.
pub(super) fn read_customers(path: &Path) -> Result<Vec<RealCustomer>, Error> {
    let open = || crate::storage::refuse_odd(path).and_then(|_| File::open(path));
    let file = open().map_err(|source| Error::Open { path: path.to_owned(), source })?;
    let unreadable = |source| Error::ReadOrders { path: path.to_owned(), source };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
    let names = COLUMNS.iter().map(|(name, _)| *name);
    let mask = ProjectionMask::columns(builder.parquet_schema(), names);
    let reader = builder.with_projection(mask).build().map_err(unreadable)?;
    let mut seen = BTreeMap::new();
    for batch in reader {
        let batch = batch.map_err(|source| unreadable(source.into()))?;
        add_batch(path, &batch, &mut seen)?;
    }
    if seen.is_empty() {
        return Err(Error::NoCustomers { path: path.to_owned() });
    }
    Ok(seen.into_values().map(|seen| seen.customer).collect())
}

fn add_batch(path: &Path, batch: &RecordBatch, seen: &mut BTreeMap<u64, Seen>) -> Result<(), Error> {
    let column = |position: usize| {
        let (name, wanted) = &COLUMNS[position];
        let found = batch.column_by_name(name).ok_or_else(|| Error::OrdersColumn { path: path.to_owned(), column: (*name).to_owned() })?;
        cast(found, wanted).map_err(|source| Error::ReadOrders { path: path.to_owned(), source: source.into() })
    };
    let (ids, invoices, dates, countries) = (column(0)?, column(1)?, column(2)?, column(3)?);
    let ids = ids.as_primitive::<Int64Type>();
    let invoices = invoices.as_string::<i32>();
    let dates = dates.as_primitive::<Date32Type>();
    let countries = countries.as_string::<i32>();
    for row in 0..batch.num_rows() {
        if ids.is_null(row) || dates.is_null(row) {
            continue;
        }
        let Ok(id) = u64::try_from(ids.value(row)) else {
            continue;
        };
        let epoch = NaiveDate::default();
        let date = epoch.checked_add_signed(TimeDelta::days(i64::from(dates.value(row)))).unwrap_or(epoch);
        add_line(seen, id, invoices.value(row), date, countries.value(row));
    }
    Ok(())
}

fn add_line(seen: &mut BTreeMap<u64, Seen>, id: u64, invoice: &str, date: NaiveDate, country: &str) {
    let Seen { customer, invoice: last_invoice } = seen.entry(id).or_insert_with(|| Seen {
        customer: RealCustomer { id, country: country.to_owned(), orders: 0, first_date: date, last_date: date },
        invoice: String::new(),
    });
    customer.first_date = customer.first_date.min(date);
    if date >= customer.last_date {
        customer.last_date = date;
        if customer.country != country {
            country.clone_into(&mut customer.country);
        }
    }
    // The lines of an invoice stand together; where they do not, an order more does no harm here.
    if !invoice.starts_with('C') && last_invoice != invoice {
        customer.orders = customer.orders.saturating_add(1);
        invoice.clone_into(last_invoice);
    }
}
