//! How a text is divided into records.

use crate::config::SourceFormat;
use crate::ingest::contract::Contract;
use crate::ingest::csv::Dialect;
use crate::ingest::csv::records::{self, Scanned};

/// How a text is divided into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// As CSV, which may have line ends within quotes.
    Csv(Dialect),
    /// A record is a line.
    Lines,
}

impl Division {
    /// That of files of a text format.
    pub fn of(format: SourceFormat, contract: &Contract) -> Self {
        match format {
            SourceFormat::Csv => Division::Csv(contract.csv.dialect),
            SourceFormat::Ndjson | SourceFormat::Json | SourceFormat::Parquet => Division::Lines,
        }
    }

    /// Whether it is that of CSV.
    pub fn is_csv(self) -> bool {
        matches!(self, Division::Csv(_))
    }

    /// Looks for the end of the last record of a text that begins with one.
    pub fn scan(self, text: &[u8]) -> Scanned {
        match self {
            Division::Csv(dialect) => records::scan(text, &dialect),
            Division::Lines => Scanned { last_end: memchr::memrchr(b'\n', text).map(|at| at + 1), open_quote: None },
        }
    }
}
