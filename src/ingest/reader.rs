//! Reads one piece of a source after the other, checks its rows against the contract, and hands the kept ones on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::DataFusionError;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::collector::{Collector, Tally};
use super::contract::{Checked, Contract, Fault};
use super::csv::records::Standing;
use super::csv::{self, Decoded, Header};
use super::deduplicate::{Place, Superseded, placed_batch};
use super::format;
use super::held::{Codes, HeldCodes};
use super::ndjson::{self, Lines};
use super::parquet::{Batches, RowGroup};
use super::plain::{like, plain};
use super::rejects::Reject;
use super::remarks::{DAMAGED, no_header, shown, withheld};
use super::text::{Block, Blocks, MAX_RECORD_BYTES, Piece, Record};
use crate::config::SourceFormat;
use crate::engine::{Dictionary, Work, failed, within_limit};
use crate::error::{Error, Message, Result};
use crate::manifest::Scope;
use crate::storage::File;

/// A piece of a source that one thread reads.
#[derive(Debug, Clone)]
pub enum Unit {
    /// A whole text file.
    Text(File, SourceFormat),
    /// A row group of a Parquet file.
    RowGroup(Box<RowGroup>),
}

/// One scan of a source: what is asked for, and where the codes of its texts come from.
#[derive(Debug)]
pub struct Scan {
    /// What a row must be.
    pub contract: Arc<Contract>,
    /// Where the rows are counted.
    pub collector: Arc<Collector>,
    /// The codes of texts.
    pub dictionary: Arc<Dictionary>,
    /// Where the bytes read are counted.
    pub work: Arc<Work>,
    /// Codes that earlier scans looked up.
    pub held: Arc<HeldCodes>,
    /// Whether no later scan needs them.
    pub is_last: bool,
    /// The columns asked for.
    pub projection: Vec<usize>,
    /// Their schema, with codes for text or with text.
    pub schema: SchemaRef,
    /// The schema of its rows with where they stand, if that is asked for.
    pub placed: Option<SchemaRef>,
    /// The rows that are left out because others supersede them.
    pub superseded: Option<Arc<Superseded>>,
    /// Rows to a batch.
    pub batch_rows: usize,
    /// Blocks of one text file that are looked at side by side.
    pub blocks_at_once: usize,
}

/// Where the kept rows of a scan go.
pub type Sink = tokio::sync::mpsc::Sender<datafusion::error::Result<RecordBatch>>;

impl Scan {
    /// Reads a unit to its end and counts its rows; false when it stopped before, because nobody takes the rows any more.
    ///
    /// # Errors
    /// As reading the file fails.
    pub async fn read(self: &Arc<Self>, piece: usize, unit: Unit, sink: &Sink) -> Result<bool> {
        let mut reading = Reading::new(self, piece);
        let ended = match unit {
            Unit::RowGroup(group) => reading.row_group(*group, sink).await?,
            Unit::Text(file, format) => reading.text(&file, format, sink).await?,
        };
        if ended {
            let rows = reading.rows;
            self.collector.finish_piece(piece, reading.tally)?;
            // Rows are told apart by their number among those that break no rule, which no scan may find otherwise.
            if (self.placed.is_some() || self.superseded.is_some()) && self.collector.kept_of(piece) != Some(rows) {
                let what = format!("a file of the source `{}` has other rows when other columns of it are read", self.contract.source);
                return Err(Error::Refused(Message::new(what).hint("its statistics are wrong: have it written again")));
            }
        }
        Ok(ended)
    }
}

/// A unit while it is read.
pub struct Reading<'a> {
    scan: &'a Arc<Scan>,
    piece: usize,
    /// Rows that were kept and handed on.
    rows: u64,
    tally: Tally,
    /// For every column asked for, where its codes come from if it is text.
    codes: Vec<Codes>,
}

impl<'a> Reading<'a> {
    /// Begins with nothing counted.
    pub fn new(scan: &'a Arc<Scan>, piece: usize) -> Self {
        Reading { scan, piece, rows: 0, tally: Tally::default(), codes: scan.projection.iter().map(|_| Codes::default()).collect() }
    }

    async fn row_group(&mut self, group: RowGroup, sink: &Sink) -> Result<bool> {
        let (scan, piece) = (self.scan, self.piece);
        let codes = |&column: &usize| scan.held.codes(piece, column, &scan.contract.schema, &group, scan.is_last);
        self.codes = scan.projection.iter().map(codes).collect();
        let asked: Vec<usize> =
            scan.projection.iter().zip(&self.codes).filter(|(_, codes)| codes.need_texts()).map(|(at, _)| *at).collect();
        let mut row = 0;
        let mut whole = WholeRows::of(&group);
        let mut batches = Batches::open(group.clone(), &scan.contract, &asked, scan.batch_rows, scan.held.another()).await?;
        scan.work.reads(batches.bytes());
        while let Some((columns, rows)) = batches.next()? {
            let checked = scan.contract.check(&columns, rows, &[], &asked)?;
            let faults: Vec<Fault> = checked.faults.iter().map(|fault| Fault { row: row + fault.row, ..*fault }).collect();
            let kept = self.settle(rows as u64, checked)?;
            for of_row in faults.chunk_by(|one, two| one.row == two.row) {
                // Somebody else has told of them already, or of all in this piece.
                if !scan.collector.is_counted(piece) {
                    let rejects = whole.rejects(scan, of_row).await?;
                    scan.collector.reject(piece, &mut self.tally, rejects)?;
                }
            }
            if !self.send(kept, sink).await? {
                return Ok(false);
            }
            row += rows;
        }
        // What it holds is room for what comes.
        drop(batches);
        let file = Arc::clone(&group.file);
        file.is_unchanged().await?;
        for (&column, codes) in scan.projection.iter().zip(self.codes.drain(..)) {
            scan.held.hold(piece, column, codes).map_err(|error| scan.failed(&error))?;
        }
        Ok(true)
    }

    /// Reads a text file. Its blocks are found one after the other and looked at side by side, so that one large file keeps all threads busy.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not what the contract says; otherwise as reading the store fails.
    pub async fn text(&mut self, file: &File, format: SourceFormat, sink: &Sink) -> Result<bool> {
        let scan = self.scan;
        let mut blocks = Blocks::open(file, format).within(scan.held.another());
        let mut text: Option<Arc<TextFile>> = None;
        let mut settling: VecDeque<Settling> = VecDeque::new();
        loop {
            let piece = blocks.next().await?;
            scan.work.reads(blocks.newly_fetched());
            let ended = piece.is_none();
            match piece {
                Some(Piece::Block(mut block)) => {
                    if text.is_none() {
                        text = TextFile::open(scan, file, format, &mut block)?.map(Arc::new);
                    }
                    let Some(text) = text.clone() else { continue };
                    settling.push_back(Settling::Block(tokio::spawn(async move { text.settle(block) })));
                }
                Some(Piece::Bad { reason, .. }) if text.is_none() && format == SourceFormat::Csv => {
                    return Err(no_header(file, reason));
                }
                // In its turn, so that rejects come in order.
                Some(Piece::Bad { line, bytes, reason }) => settling.push_back(Settling::Bad { line, bytes, reason }),
                None => {}
            }
            while settling.len() > if ended { 0 } else { scan.blocks_at_once } {
                let settled = match settling.pop_front() {
                    Some(Settling::Block(settled)) => settled.await.map_err(|_| Error::defect("a block was not looked at"))??,
                    Some(Settling::Bad { line, bytes, reason }) => {
                        self.withhold(file, line, bytes, reason)?;
                        continue;
                    }
                    None => break,
                };
                let Settled { read, kept, out_of_window, newest_micros, rejected } = settled;
                self.tally.count(read, kept.num_rows() as u64, out_of_window, newest_micros);
                if let (Some(rejected), Some(text)) = (rejected, &text) {
                    text.rejects(rejected, |of_row| scan.collector.reject(self.piece, &mut self.tally, of_row))?;
                }
                if !self.send(kept, sink).await? {
                    return Ok(false);
                }
            }
            if ended {
                break;
            }
        }
        self.settle_end(file, format, &blocks, text.as_deref())?;
        Ok(true)
    }

    /// Hands rows on; false when nobody takes them any more.
    ///
    /// # Errors
    /// When the process has more memory than it may.
    async fn send(&mut self, kept: RecordBatch, sink: &Sink) -> Result<bool> {
        let scan = self.scan;
        let failed = |error: DataFusionError| scan.failed(&error);
        within_limit().map_err(failed)?;
        let first = Place::of(self.piece, self.rows);
        self.rows += kept.num_rows() as u64;
        let mut sent = 0;
        for part in plain(kept, &scan.schema) {
            let part = part.map_err(failed)?;
            let first = Place(first.0 + sent);
            sent += part.num_rows() as u64;
            let rows = match (&scan.placed, &scan.superseded) {
                (Some(placed), _) => placed_batch(placed, &part, first),
                (None, Some(superseded)) => superseded.applied(&scan.dictionary, &scan.projection, first, part),
                (None, None) => Ok(part),
            };
            let rows = rows.map_err(failed)?;
            for start in (0..rows.num_rows()).step_by(scan.batch_rows) {
                let slice = rows.slice(start, scan.batch_rows.min(rows.num_rows() - start));
                if sink.send(Ok(slice)).await.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Counts rows that were read and checked, and gives those that are kept, their texts as codes.
    fn settle(&mut self, read: u64, checked: Checked) -> Result<RecordBatch> {
        self.scan.collector.see(read);
        self.tally.count(read, checked.rows as u64, checked.out_of_window, checked.newest_micros);
        self.scan.coded(&mut self.codes, checked)
    }

    /// Settles what the end of a text file shows: that it is damaged, or that it is no such text at all.
    fn settle_end(&mut self, file: &File, format: SourceFormat, blocks: &Blocks, text: Option<&TextFile>) -> Result<()> {
        let has_records = text.is_some_and(|text| text.has_records.load(Relaxed));
        // A header alone is an empty extract.
        let is_recognised = has_records || (format == SourceFormat::Csv && text.is_some());
        match blocks.breaks_off() {
            Some(_) if !has_records => {
                let message = Message::new(format!("{} is damaged, and breaks off before its first record", file.shown));
                Err(Error::Refused(message.hint("the file is damaged or cut short: fetch it again")))
            }
            Some((line, bytes)) => self.withhold(file, line, bytes, DAMAGED),
            None if has_records && !text.is_some_and(|text| text.has_flat_records.load(Relaxed)) => {
                let what = "every record of it has an object or a list where the contract has a column, and nested values are not read";
                let message = Message::new(format!("{}: {what}", file.shown));
                Err(Error::Refused(message.hint("have the file exported with one plain value a column")))
            }
            None if is_recognised || !blocks.has_text() => Ok(()),
            None if format == SourceFormat::Csv => Err(no_header(file, "blank")),
            None => {
                let mut message = Message::new(format!("{}: no line of it is a JSON object", file.shown));
                message.details.extend(format::guess(blocks.head(), format));
                Err(Error::Refused(message.hint("the source is read as NDJSON: correct its `format`, or have the file exported so")))
            }
        }
    }

    /// Counts and rejects a record that is in no block.
    fn withhold(&mut self, file: &File, line: u64, bytes: u64, reason: &'static str) -> Result<()> {
        self.tally.count(1, 0, 0, None);
        let raw = withheld(&format!("{bytes} bytes"));
        let reject = unreadable(&self.scan.contract, file, line, reason, raw);
        self.scan.collector.reject(self.piece, &mut self.tally, vec![reject])
    }
}

/// The reject of a record whose values cannot be read, whatever the reason. Nobody knows what it says: where others of its source say whether
/// somebody may be written to, it may have said no.
fn unreadable(contract: &Contract, file: &File, line: u64, reason: &'static str, raw: String) -> Reject {
    let raw = raw.into();
    let may_be_no = contract.carries_consent();
    Reject { file: file.shown.clone(), row_number: line, scope: Scope::Row, column: None, reason, raw, may_be_no }
}

/// A text file whose blocks are looked at.
struct TextFile {
    scan: Arc<Scan>,
    file: File,
    lines: TextLines,
    /// Whether a record was found in it, good or bad; in NDJSON, one that is a JSON object.
    has_records: AtomicBool,
    /// Whether one of them is no object with nested values.
    has_flat_records: AtomicBool,
}

/// How the lines of a text file are read.
enum TextLines {
    Csv(Header),
    Ndjson(Lines),
}

impl TextFile {
    /// Takes the header, if the format has one, from the first block; none when that has no record yet.
    fn open(scan: &Arc<Scan>, file: &File, format: SourceFormat, block: &mut Block) -> Result<Option<Self>> {
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
                return Err(Error::Refused(message.hint("have it exported as NDJSON, or turned into that, as by `jq -c '.[]'`")));
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
    fn settle(&self, block: Block) -> Result<Settled> {
        let scan = &self.scan;
        let decoded = self.decode(&block)?;
        let is_record = |(_, reason): &(Record, &'static str)| matches!(self.lines, TextLines::Csv(_)) || ndjson::is_object(reason);
        if decoded.rows > 0 || decoded.bad.iter().any(is_record) {
            self.has_records.store(true, Relaxed);
        }
        if decoded.rows > ndjson::nested_rows(&decoded.unread) || !decoded.bad.is_empty() {
            self.has_flat_records.store(true, Relaxed);
        }
        let checked = scan.contract.check(&decoded.columns, decoded.rows, &decoded.unread, &scan.projection)?;
        let read = (decoded.rows + decoded.bad.len()) as u64;
        let rejected = (!checked.faults.is_empty() || !decoded.bad.is_empty()).then(|| Rejected {
            // Where each row stands is only worked out when one of them is at fault.
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

    /// Gives the rejects of a block row by row, in their order: of all rows at once they may be many times what the block is.
    fn rejects(&self, rejected: Rejected, mut take: impl FnMut(Vec<Reject>) -> Result<()>) -> Result<()> {
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

/// What comes next of a text file, while blocks are looked at side by side.
enum Settling {
    Block(JoinHandle<Result<Settled>>),
    /// A record that is in no block.
    Bad {
        line: u64,
        bytes: u64,
        reason: &'static str,
    },
}

/// A block that was looked at.
struct Settled {
    read: u64,
    kept: RecordBatch,
    out_of_window: u64,
    newest_micros: Option<i64>,
    rejected: Option<Rejected>,
}

/// The records of a block that are at fault.
struct Rejected {
    block: Block,
    /// Where the rows stand that could be read.
    standing: Vec<Record>,
    faults: Vec<Fault>,
    /// The records that could not.
    bad: Vec<(Record, &'static str)>,
}

/// The rows of a row group with all columns, whichever were asked for: rejected rows are kept whole. They are read once, beside the others, from
/// the first that is asked for.
struct WholeRows {
    group: RowGroup,
    batches: Option<Batches>,
    /// The rows that were read last, and the number of the first of them.
    rows: Vec<Option<ArrayRef>>,
    first: usize,
    count: usize,
}

impl WholeRows {
    fn of(group: &RowGroup) -> Self {
        WholeRows { group: group.clone(), batches: None, rows: Vec::new(), first: 0, count: 0 }
    }

    /// The rejects of a row at fault, in the order of the table. Rows come in order.
    async fn rejects(&mut self, scan: &Scan, faults: &[Fault]) -> Result<Vec<Reject>> {
        let Some(row) = faults.first().map(|fault| fault.row) else { return Ok(Vec::new()) };
        self.seek(scan, row).await?;
        let raw: Arc<str> = scan.masked_row(&self.rows, row - self.first).into();
        let number = self.group.first_row + row as u64;
        let reject = |fault: &Fault| scan.reject(&self.group.file.shown, number, fault, Arc::clone(&raw));
        let mut rejects: Vec<Reject> = faults.iter().map(reject).collect();
        rejects.sort_unstable();
        Ok(rejects)
    }

    /// Goes on until a row is among those that were read last.
    async fn seek(&mut self, scan: &Scan, row: usize) -> Result<()> {
        let batches = match &mut self.batches {
            Some(batches) => batches,
            batches => batches.insert(Batches::whole(self.group.clone(), &scan.contract, scan.batch_rows, scan.held.another()).await?),
        };
        while row >= self.first + self.count {
            self.first += self.count;
            let missing = || Error::defect("a rejected row was not read again");
            (self.rows, self.count) = batches.next()?.ok_or_else(missing)?;
        }
        Ok(())
    }
}

impl Scan {
    fn failed(&self, error: &DataFusionError) -> Error {
        failed(&format!("the source `{}`", self.contract.source), error)
    }

    /// Rows that are kept, their texts as codes.
    fn coded(&self, codes: &mut [Codes], checked: Checked) -> Result<RecordBatch> {
        let mut texts_or_values = checked.kept.into_iter();
        let mut arrays = Vec::with_capacity(codes.len());
        for (codes, field) in codes.iter_mut().zip(self.schema.fields()) {
            let array = if codes.need_texts() { texts_or_values.next() } else { None };
            arrays.push(match array {
                // Texts that lie elsewhere, several of them perhaps in the same place, are texts all the same, and become such when they are sent.
                Some(values) if values.data_type() == field.data_type() || field.data_type() == &DataType::Utf8 => values,
                texts => codes.next(&self.dictionary, texts.as_ref(), checked.rows).map_err(|error| self.failed(&error))?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(checked.rows));
        let schema = like(&self.schema, &arrays);
        let kept = RecordBatch::try_new_with_options(schema, arrays, &options);
        kept.map_err(|error| Error::defect(crate::sql::discreet(&error.into())))
    }

    fn reject(&self, file: &str, row_number: u64, fault: &Fault, raw: Arc<str>) -> Reject {
        let column = Some(self.contract.columns[fault.column].name.clone());
        let Fault { reason, scope, may_be_no, .. } = *fault;
        Reject { file: file.to_owned(), row_number, scope, column, reason, raw, may_be_no }
    }

    /// A row of arrays as a JSON object of the contract's columns, without nested values and the values of personal ones; of one that is longer
    /// than a record of text may be its size.
    fn masked_row(&self, columns: &[Option<ArrayRef>], row: usize) -> String {
        let mut object = serde_json::Map::new();
        for (column, array) in self.contract.columns.iter().zip(columns) {
            let Some(array) = array.as_ref().filter(|array| !array.data_type().is_nested()) else { continue };
            let value = if array.is_null(row) {
                Value::Null
            } else {
                arrow::util::display::array_value_to_string(array, row).map_or(Value::Null, Into::into)
            };
            let name = column.in_files().to_owned();
            object.extend(shown(&self.contract, &name, value).map(|value| (name, value)));
        }
        let raw = Value::Object(object).to_string();
        if raw.len() > MAX_RECORD_BYTES { withheld(&format!("{} bytes", raw.len())) } else { raw }
    }
}

/// A failure as the engine carries it; the collector keeps the error itself.
pub fn carried(error: &Error) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::External(error.to_string().into())
}
