//! Decodes one text file: its header, and the records of its blocks.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, RecordBatch};

use super::contract::Fault;
use super::csv::records::{Standing, line_ends};
use super::csv::{Header, Opening};
use super::decoded::Decoded;
use super::held::Codes;
use super::ndjson::{self, Elements, Lines};
use super::rejects::Reject;
use super::remarks::{self, INVALID_ENCODING, INVALID_UTF8};
use super::repeats::RowAbove;
use super::scan::{Scan, unreadable};
use super::text::{self, Block, Blocks, Record};
use crate::config::SourceFormat;
use crate::error::Result;
use crate::storage::File;

/// A text file whose blocks are looked at.
pub(super) struct TextFile {
    scan: Arc<Scan>,
    file: File,
    lines: TextLines,
    above: RowAbove,
    /// The consents of which some record has an answer, by their places in the contract.
    answered: Mutex<BTreeSet<usize>>,
    /// Whether it is not in UTF-8.
    is_transcoded: bool,
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
    pub(super) fn open(scan: &Arc<Scan>, file: &File, format: SourceFormat, blocks: &Blocks, block: &mut Block) -> Result<Option<Self>> {
        let needed = scan.contract.needed(&scan.projection, scan.counts);
        let lines = if format == SourceFormat::Csv {
            let opening = Opening { shown: &file.shown, contract: &scan.contract, needed: &needed, head: blocks.head() };
            let Some((header, length)) = opening.header(&block.bytes)? else { return Ok(None) };
            for (column, name) in &header.alike {
                scan.collector.remark(&file.shown, remarks::read_as(name, &scan.contract.columns[*column].name));
            }
            header.advice.iter().for_each(|advice| scan.collector.remark(&file.shown, advice.clone()));
            leave_off(block, length);
            TextLines::Csv(header)
        } else {
            let lines = Lines::new(&scan.contract, &needed);
            let list = text::list_within(blocks.head(), |name| lines.knows(name)).filter(|_| scan.contract.each.is_none());
            if let Some(list) = list {
                return Err(remarks::rows_in_list(file, &list));
            }
            TextLines::Ndjson(lines)
        };
        let (above, answered, has_records, has_flat_records) = Default::default();
        let is_transcoded = blocks.is_transcoded();
        Ok(Some(TextFile {
            scan: Arc::clone(scan),
            file: file.clone(),
            lines,
            above,
            answered,
            is_transcoded,
            has_records,
            has_flat_records,
        }))
    }

    /// Leaves out the first records of a block: so many, or all that there are. How many they were.
    pub(super) fn skip(&self, block: &mut Block, count: u64) -> u64 {
        let TextLines::Csv(header) = &self.lines else { return 0 };
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let (skipped, end) = header.records(&block.bytes).take(wanted).fold((0, 0), |(skipped, _), record| (skipped + 1, record.next));
        leave_off(block, end);
        skipped
    }

    /// The records of a block, and where the elements stand that are rows, if not the records themselves are.
    fn decode(&self, block: &Block) -> Result<(Decoded, Option<Elements>)> {
        match &self.lines {
            TextLines::Csv(header) => Ok((header.decode(block)?, None)),
            TextLines::Ndjson(lines) => Ok(lines.decode(block)),
        }
    }

    fn records(&self, block: &Block) -> Vec<Record> {
        let standing = |found: Standing| Record { bytes: found.start..found.end, line: block.first_line + found.line };
        match &self.lines {
            TextLines::Csv(header) => header.records(&block.bytes).map(standing).collect(),
            TextLines::Ndjson(_) => ndjson::records(block),
        }
    }

    /// What is kept of a record that is rejected.
    fn raw(&self, block: &Block, record: &Record, element: Option<(Range<usize>, u64)>) -> String {
        let bytes = &block.bytes[record.bytes.clone()];
        match &self.lines {
            TextLines::Csv(header) => header.masked(bytes, &self.scan.contract),
            TextLines::Ndjson(_) => ndjson::masked(bytes, element, &self.scan.contract),
        }
    }

    /// The consents of which no record has an answer: their names in the file may be others.
    pub(super) fn unanswered(&self) -> Vec<&str> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = self.scan.contract.columns.iter().enumerate();
        let unanswered =
            columns.filter(|(at, column)| column.is_consent() && !column.optional && column.is_in_files() && !answered.contains(at));
        unanswered.map(|(_, column)| column.in_files()).collect()
    }

    /// Forgets the row above the next one, because a record between them cannot be read.
    pub(super) fn forget_row_above(&self) {
        self.above.forget();
    }

    /// Checks the records of a block: what became of them, and those that are kept.
    pub(super) fn settle(&self, block: Block) -> Result<Settled> {
        let scan = &self.scan;
        let (mut decoded, elements) = self.decode(&block)?;
        if self.is_transcoded {
            let is_invalid = |(_, reason): &&mut (Record, &'static str)| *reason == INVALID_UTF8;
            decoded.bad.iter_mut().filter(is_invalid).for_each(|(_, reason)| *reason = INVALID_ENCODING);
        }
        if let Some(repeats) = &scan.contract.repeats {
            let lines: Vec<u64> = decoded.records.iter().flatten().map(|record| record.line).collect();
            let breaks: Vec<usize> = decoded.bad.iter().map(|(record, _)| lines.partition_point(|line| *line < record.line)).collect();
            self.above.fill(repeats, &mut decoded.columns, decoded.rows, &breaks)?;
        }
        let without_rows = elements.as_ref().map_or(0, |elements| elements.empty);
        let is_record = |(_, reason): &(Record, &'static str)| matches!(self.lines, TextLines::Csv(_)) || ndjson::is_object(reason);
        if decoded.rows > 0 || without_rows > 0 || decoded.bad.iter().any(is_record) {
            self.has_records.store(true, Relaxed);
        }
        if without_rows > 0 || decoded.rows > ndjson::nested_rows(&decoded.unread) || !decoded.bad.is_empty() {
            self.has_flat_records.store(true, Relaxed);
        }
        if matches!(self.lines, TextLines::Ndjson(_)) && scan.contract.carries_consent() {
            let there =
                |(at, array): (usize, &Option<ArrayRef>)| array.as_ref().filter(|array| array.null_count() < array.len()).map(|_| at);
            let unread = decoded.unread.iter().map(|(_, column, _)| *column);
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            answered.extend(decoded.columns.iter().enumerate().filter_map(there).chain(unread));
        }
        let checked = scan.contract.check_of(&self.file, &decoded.columns, decoded.rows, &decoded.unread, &scan.projection)?;
        let read = (decoded.rows + decoded.bad.len()) as u64;
        let rejected = (scan.counts && (!checked.faults.is_empty() || !decoded.bad.is_empty())).then(|| Rejected {
            // The places of rows are computed only when a row breaks the contract.
            standing: if checked.faults.is_empty() { Vec::new() } else { decoded.records.unwrap_or_else(|| self.records(&block)) },
            faults: checked.faults.clone(),
            bad: decoded.bad,
            elements: elements.map_or(Vec::new(), |elements| elements.rows),
            block,
        });
        let (out_of_window, newest_micros) = (checked.out_of_window, checked.newest_micros);
        scan.collector.see(read);
        let mut codes: Vec<Codes> = scan.projection.iter().map(|_| Codes::default()).collect();
        let kept = scan.coded(&mut codes, checked)?;
        Ok(Settled { read, kept, out_of_window, newest_micros, without_rows, rejected })
    }

    /// Gives the rejects of a block row by row, in order. All of them together may be many times larger than the block.
    pub(super) fn rejects(&self, rejected: Rejected, mut take: impl FnMut(Vec<Reject>) -> Result<()>) -> Result<()> {
        let Rejected { block, standing, faults, bad, elements } = rejected;
        let unreadable = |(record, reason): &(Record, &'static str)| {
            vec![unreadable(&self.scan.contract, &self.file, record.line, reason, self.raw(&block, record, None))]
        };
        let mut bad = bad.iter().peekable();
        for of_row in faults.chunk_by(|one, two| one.row == two.row) {
            let record = of_row.first().and_then(|fault| standing.get(fault.row));
            let element = of_row.first().and_then(|fault| elements.get(fault.row)).cloned();
            let line = record.map_or(0, |record| record.line);
            while let Some(before) = bad.next_if(|(record, _)| record.line < line) {
                take(unreadable(before))?;
            }
            let raw: Arc<str> = record.map(|record| self.raw(&block, record, element)).unwrap_or_default().into();
            let reject = |fault: &Fault| self.scan.reject(&self.file.shown, line, fault, Arc::clone(&raw));
            let mut rejects: Vec<Reject> = of_row.iter().map(reject).collect();
            rejects.sort_unstable();
            take(rejects)?;
        }
        bad.try_for_each(|record| take(unreadable(record)))
    }
}

/// Leaves out the first bytes of a block.
fn leave_off(block: &mut Block, length: usize) {
    block.first_line += line_ends(&block.bytes[..length]);
    block.bytes.drain(..length);
}

/// A block that was looked at.
pub(super) struct Settled {
    pub(super) read: u64,
    pub(super) kept: RecordBatch,
    pub(super) out_of_window: u64,
    pub(super) newest_micros: Option<i64>,
    /// Records without an element, where elements are rows.
    pub(super) without_rows: u64,
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
    /// For every row its element in the record, and the element's place in its list, where elements are rows.
    elements: Vec<(Range<usize>, u64)>,
}
