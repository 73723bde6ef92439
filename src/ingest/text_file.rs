//! Decodes one text file: its header, and the records of its blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::RecordBatch;

use super::contract::Fault;
use super::csv::records::Standing;
use super::csv::{self, Header};
use super::decoded::Decoded;
use super::held::Codes;
use super::ndjson::{self, Lines};
use super::rejects::Reject;
use super::scan::{Scan, unreadable};
use super::text::{Block, Record};
use crate::config::SourceFormat;
use crate::error::{Error, Message, Result};
use crate::storage::File;

/// A text file whose blocks are looked at.
pub(super) struct TextFile {
    scan: Arc<Scan>,
    file: File,
    lines: TextLines,
    /// Whether a record was found in it, good or bad; in NDJSON, one that is a JSON object.
    pub(super) has_records: AtomicBool,
    /// Whether one of them is no object with nested values.
    pub(super) has_flat_records: AtomicBool,
}

/// How the lines of a text file are read.
enum TextLines {
    Csv(Header),
    Ndjson(Lines),
}

impl TextFile {
    /// Takes the header, if the format has one, from the first block; none when that has no record yet.
    pub(super) fn open(scan: &Arc<Scan>, file: &File, format: SourceFormat, block: &mut Block) -> Result<Option<Self>> {
        let needed = scan.contract.needed(&scan.projection);
        let lines = if format == SourceFormat::Csv {
            let Some(first) = csv::records::records(&block.bytes).next() else { return Ok(None) };
            let header = Header::parse(&block.bytes[first.start..first.end], &scan.contract, &needed, &file.shown)?;
            block.first_line += csv::records::line_ends(&block.bytes[..first.next]);
            block.bytes.drain(..first.next);
            TextLines::Csv(header)
        } else {
            if block.bytes.trim_ascii_start().starts_with(b"[") {
                let message = Message::new(format!("{} is a JSON array, and not an object a line", file.shown));
                return Err(Error::Refused(message.hint("have it exported as NDJSON, or turned into that, for example by `jq -c '.[]'`")));
            }
            TextLines::Ndjson(Lines::new(&scan.contract, &needed))
        };
        let (has_records, has_flat_records) = Default::default();
        Ok(Some(TextFile { scan: Arc::clone(scan), file: file.clone(), lines, has_records, has_flat_records }))
    }

    fn decode(&self, block: &Block) -> Result<Decoded> {
        match &self.lines {
            TextLines::Csv(header) => header.decode(block),
            TextLines::Ndjson(lines) => Ok(lines.decode(block)),
        }
    }

    fn records(&self, block: &Block) -> Vec<Record> {
        let standing = |found: Standing| Record { bytes: found.start..found.end, line: block.first_line + found.line };
        match &self.lines {
            TextLines::Csv(_) => csv::records::records(&block.bytes).map(standing).collect(),
            TextLines::Ndjson(_) => ndjson::records(block),
        }
    }

    /// What is kept of a record that is rejected.
    fn raw(&self, block: &Block, record: &Record) -> String {
        let bytes = &block.bytes[record.bytes.clone()];
        match &self.lines {
            TextLines::Csv(header) => header.masked(bytes, &self.scan.contract),
            TextLines::Ndjson(_) => ndjson::masked(bytes, &self.scan.contract),
        }
    }

    /// Checks the records of a block: what became of them, and those that are kept.
    pub(super) fn settle(&self, block: Block) -> Result<Settled> {
        let scan = &self.scan;
        let decoded = self.decode(&block)?;
        let is_record = |(_, reason): &(Record, &'static str)| matches!(self.lines, TextLines::Csv(_)) || ndjson::is_object(reason);
        if decoded.rows > 0 || decoded.bad.iter().any(is_record) {
            self.has_records.store(true, Relaxed);
        }
        if decoded.rows > ndjson::nested_rows(&decoded.unread) || !decoded.bad.is_empty() {
            self.has_flat_records.store(true, Relaxed);
        }
        let checked = scan.contract.check_of(&self.file, &decoded.columns, decoded.rows, &decoded.unread, &scan.projection)?;
        let read = (decoded.rows + decoded.bad.len()) as u64;
        let rejected = (!checked.faults.is_empty() || !decoded.bad.is_empty()).then(|| Rejected {
            // The places of rows are computed only when a row breaks the contract.
            standing: if checked.faults.is_empty() { Vec::new() } else { decoded.records.unwrap_or_else(|| self.records(&block)) },
            faults: checked.faults.clone(),
            bad: decoded.bad,
            block,
        });
        let (out_of_window, newest_micros) = (checked.out_of_window, checked.newest_micros);
        scan.collector.see(read);
        let mut codes: Vec<Codes> = scan.projection.iter().map(|_| Codes::default()).collect();
        let kept = scan.coded(&mut codes, checked)?;
        Ok(Settled { read, kept, out_of_window, newest_micros, rejected })
    }

    /// Gives the rejects of a block row by row, in order. All of them together may be many times larger than the block.
    pub(super) fn rejects(&self, rejected: Rejected, mut take: impl FnMut(Vec<Reject>) -> Result<()>) -> Result<()> {
        let Rejected { block, standing, faults, bad } = rejected;
        let unreadable = |(record, reason): &(Record, &'static str)| {
            vec![unreadable(&self.scan.contract, &self.file, record.line, reason, self.raw(&block, record))]
        };
        let mut bad = bad.iter().peekable();
        for of_row in faults.chunk_by(|one, two| one.row == two.row) {
            let record = of_row.first().and_then(|fault| standing.get(fault.row));
            let line = record.map_or(0, |record| record.line);
            while let Some(before) = bad.next_if(|(record, _)| record.line < line) {
                take(unreadable(before))?;
            }
            let raw: Arc<str> = record.map(|record| self.raw(&block, record)).unwrap_or_default().into();
            let reject = |fault: &Fault| self.scan.reject(&self.file.shown, line, fault, Arc::clone(&raw));
            let mut rejects: Vec<Reject> = of_row.iter().map(reject).collect();
            rejects.sort_unstable();
            take(rejects)?;
        }
        bad.try_for_each(|record| take(unreadable(record)))
    }
}

/// A block that was looked at.
pub(super) struct Settled {
    pub(super) read: u64,
    pub(super) kept: RecordBatch,
    pub(super) out_of_window: u64,
    pub(super) newest_micros: Option<i64>,
    pub(super) rejected: Option<Rejected>,
}

/// The records of a block that are at fault.
pub(super) struct Rejected {
    block: Block,
    /// Where the rows stand that could be read.
    standing: Vec<Record>,
    faults: Vec<Fault>,
    /// The records that could not.
    bad: Vec<(Record, &'static str)>,
}
