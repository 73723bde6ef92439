//! What comes of generating extracts: the files that were written, or the reason why there are none.

use std::io;
use std::path::PathBuf;

use chrono::NaiveDate;
use parquet::errors::ParquetError;

/// The most customers one run makes: phone numbers have room for ninety million people.
pub const MAX_CUSTOMERS: u64 = 50_000_000;

/// A file that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// Rows or lines, broken ones included, a header not.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// Why there are no extracts.
#[allow(missing_docs, reason = "each variant's message says what it is")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("say either how many customers to make up or which orders to accompany, not both or none")]
    ForWhom,
    #[error("cannot make up {customers} customers: the number must be from 1 to {MAX_CUSTOMERS}")]
    Customers { customers: u64 },
    #[error("the period from {from} to {to} must have 1 to 3,660 days and begin in 1900 or later")]
    Period { from: NaiveDate, to: NaiveDate },
    #[error("cannot open the orders {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot read the orders {}", path.display())]
    ReadOrders { path: PathBuf, source: ParquetError },
    #[error("the orders {} have no column {column}", path.display())]
    OrdersColumn { path: PathBuf, column: String },
    #[error("the orders {} name no customer", path.display())]
    NoCustomers { path: PathBuf },
    #[error("{} is there already, and generated extracts are not mixed with others", path.display())]
    InUse { path: PathBuf },
    #[error("cannot create {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot write rows to {}", path.display())]
    WriteTable { path: PathBuf, source: ParquetError },
}
