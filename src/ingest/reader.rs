//! Reads one piece of a source after the other, applies the contract to its rows, and sends the kept rows on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::RecordBatch;
use arrow::datatypes::FieldRef;
use datafusion::error::DataFusionError;
use tokio::task::JoinHandle;

use super::collector::Tally;
use super::contract::{Checked, Fault};
use super::deduplicate::{Place, placed_batch};
use super::extract::of_file;
use super::format;
use super::held::Codes;
use super::needles::Needles;
use super::parquet::{Batches, RowGroup};
use super::plain::plain;
use super::remarks::{self, DAMAGED, no_header, withheld};
use super::scan::{Scan, Sink, Unit, unreadable};
use super::text::{Blocks, Piece};
use super::text_file::{Settled, TextFile};
use super::whole_rows::WholeRows;
use crate::config::SourceFormat;
use crate::engine::{CODE, within_limit};
use crate::error::{Error, Message, Result};
use crate::storage::File;

impl Scan {
    /// Reads a unit to its end and counts its rows; false when it stopped early because the receiver of the rows has gone.
    ///
    /// # Errors
    /// As reading the file fails.
    pub async fn read(self: &Arc<Self>, piece: usize, unit: Unit, sink: &Sink) -> Result<bool> {
        let mut reading = Reading::new(self, piece);
        let ended = match unit {
            Unit::RowGroup(group) => {
                let file = Arc::clone(&group.file);
                reading.row_group(*group, sink).await.map_err(of_file(&file))?
            }
            Unit::Text(file, format) => reading.text(&file, format, sink).await?,
        };
        // What was passed over has not been counted.
        if ended && self.counts {
            let rows = reading.rows;
            self.collector.finish_piece(piece, reading.tally)?;
            // A row is identified by its number among the rows that break no rule, so every scan must find the same rows.
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
        let codes = |(&column, field): (&usize, &FieldRef)| {
            let is_coded = field.data_type() == &CODE;
            if is_coded { scan.held.codes(piece, column, &scan.contract.schema, &group, scan.is_last) } else { Codes::default() }
        };
        self.codes = scan.projection.iter().zip(scan.schema.fields()).map(codes).collect();
        let asked: Vec<usize> =
            scan.projection.iter().zip(&self.codes).filter(|(_, codes)| codes.need_texts()).map(|(at, _)| *at).collect();
        let group_file = Arc::clone(&group.file);
        let mut row = 0;
        let mut whole = WholeRows::of(&group);
        let mut batches = Batches::open(group.clone(), &scan.contract, (&asked, scan.counts), scan.batch_rows, scan.held.another()).await?;
        scan.work.count_read(batches.bytes());
        while let Some((columns, rows)) = batches.next()? {
            let checked = scan.contract.check_of(&group_file, &columns, rows, &batches.unread(), &asked)?;
            let told = checked.faults.iter().filter(|_| scan.counts);
            let faults: Vec<Fault> = told.map(|fault| Fault { row: row + fault.row, ..*fault }).collect();
            let kept = self.settle(rows as u64, checked)?;
            for of_row in faults.chunk_by(|one, two| one.row == two.row) {
                // Another scan may have reported the rejects of this piece already.
                if !scan.collector.is_counted(piece) {
                    let rejects = whole.rejects(scan, of_row).await?;
                    scan.collector.reject(piece, &mut self.tally, rejects)?;
                }
            }
            scan.collector.end_if_over(piece, &mut self.tally)?;
            if !self.send(kept, sink).await? {
                return Ok(false);
            }
            row += rows;
        }
        self.tally.count_without_rows(batches.without_rows());
        // Its memory is released before the codes are stored.
        drop(batches);
        group_file.is_unchanged().await?;
        for (&column, codes) in scan.projection.iter().zip(self.codes.drain(..)) {
            scan.held.hold(piece, column, codes).map_err(|error| scan.failed(&error))?;
        }
        Ok(true)
    }

    /// Reads a text file. Its blocks are found one after the other and decoded in parallel, so that one large file keeps all threads busy.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not what the contract says; otherwise as reading the store fails.
    pub async fn text(&mut self, file: &File, format: SourceFormat, sink: &Sink) -> Result<bool> {
        self.blocks(file, format, sink).await.map_err(of_file(file))
    }

    async fn blocks(&mut self, file: &File, format: SourceFormat, sink: &Sink) -> Result<bool> {
        let scan = self.scan;
        let mut blocks = Blocks::of_source(file, format, &scan.contract).within(scan.held.another());
        let mut text: Option<Arc<TextFile>> = None;
        let mut to_skip = if format == SourceFormat::Csv { scan.contract.csv.skip_after_header } else { 0 };
        let mut settling: VecDeque<Settling> = VecDeque::new();
        let mut has_bad = false;
        // Where a row repeats the one above, blocks are looked at one after the other.
        let blocks_ahead = if scan.contract.repeats.is_some() { 0 } else { scan.blocks_at_once };
        loop {
            let piece = blocks.next().await?;
            scan.work.count_read(blocks.newly_fetched());
            let ended = piece.is_none();
            match piece {
                Some(Piece::Block(mut block)) => {
                    let is_first = text.is_none();
                    if is_first {
                        text = TextFile::open(scan, file, format, &blocks, &mut block)?.map(Arc::new);
                    }
                    let Some(text) = text.clone() else { continue };
                    if to_skip > 0 {
                        to_skip -= text.skip(&mut block, to_skip);
                    }
                    let are_absent = |needles: &Arc<Needles>| format == SourceFormat::Csv && needles.are_absent(&block.bytes);
                    if !is_first && scan.needles.as_ref().is_some_and(are_absent) {
                        continue;
                    }
                    settling.push_back(Settling::Block(tokio::spawn(async move { text.settle(block) })));
                }
                Some(Piece::Bad { reason, .. }) if text.is_none() && format == SourceFormat::Csv && scan.contract.csv.has_header => {
                    return Err(no_header(file, reason));
                }
                Some(Piece::Bad { .. }) if to_skip > 0 => to_skip -= 1,
                // It waits for its turn, so that rejects stay in order.
                Some(Piece::Bad { line, bytes, reason }) => {
                    has_bad = true;
                    settling.push_back(Settling::Bad { line, bytes, reason });
                }
                None => {}
            }
            while settling.len() > if ended { 0 } else { blocks_ahead } {
                let settled = match settling.pop_front() {
                    Some(Settling::Block(settled)) => settled.await.map_err(|_| Error::defect("a block was not looked at"))??,
                    Some(Settling::Bad { line, bytes, reason }) => {
                        if let Some(text) = &text {
                            text.forget_row_above();
                        }
                        self.withhold(file, line, bytes, reason)?;
                        continue;
                    }
                    None => break,
                };
                let Settled { read, kept, out_of_window, newest_micros, without_rows, rejected } = settled;
                self.tally.count_without_rows(without_rows);
                self.tally.count(read, kept.num_rows() as u64, out_of_window, newest_micros);
                if let (Some(rejected), Some(text)) = (rejected, &text) {
                    text.rejects(rejected, |of_row| scan.collector.reject(self.piece, &mut self.tally, of_row))?;
                    scan.collector.end_if_over(self.piece, &mut self.tally)?;
                }
                if !self.send(kept, sink).await? {
                    return Ok(false);
                }
            }
            if ended {
                break;
            }
        }
        self.settle_end(file, format, &blocks, text.as_deref(), has_bad)?;
        Ok(true)
    }

    /// Sends rows on; false when the receiver has gone.
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

    /// Handles the end of a text file: the file may be damaged, or may not be of its format at all. `has_bad` says that records of it were
    /// in no block, such as one that is too long.
    fn settle_end(&mut self, file: &File, format: SourceFormat, blocks: &Blocks, text: Option<&TextFile>, has_bad: bool) -> Result<()> {
        let has_records = text.is_some_and(|text| text.has_records.load(Relaxed));
        // A header alone is an empty extract, and so is nothing where there is no header.
        let is_csv = format == SourceFormat::Csv;
        let unanswered = text.filter(|_| has_records && !is_csv).map(TextFile::unanswered).unwrap_or_default();
        if !unanswered.is_empty() {
            self.scan.collector.remark(&file.shown, remarks::unanswered(&unanswered));
        }
        let is_recognised = has_records || (is_csv && (text.is_some() || !self.scan.contract.csv.has_header));
        match blocks.breaks_off() {
            Some(_) if !has_records => {
                let message = Message::new(format!("{} is damaged, and breaks off before its first record", file.shown));
                Err(Error::Refused(message.hint("the file is damaged or cut short: fetch it again")))
            }
            Some((line, bytes)) => self.withhold(file, line, bytes, blocks.damage().unwrap_or(DAMAGED)),
            None if has_records && !text.is_some_and(|text| text.has_flat_records.load(Relaxed)) => {
                let what = "every record of it has an object or a list where the contract has a single value";
                let message = Message::new(format!("{}: {what}", file.shown));
                Err(Error::Refused(message.hint("name what lies in it by a path, such as `from: device.category` or `from: items[0].sku`")))
            }
            None if blocks.has_skipped_all()
                || (is_csv && !is_recognised && blocks.has_text() && self.scan.contract.csv.skip_lines > 0) =>
            {
                Err(remarks::nothing_left(file, self.scan.contract.csv.skip_lines))
            }
            None if is_recognised || has_bad || !blocks.has_text() => Ok(()),
            None if text.is_none() && blocks.is_document() => Ok(()),
            None if format == SourceFormat::Csv => Err(no_header(file, "blank")),
            None => {
                let (part, read_as) = if blocks.is_document() { ("record", "JSON") } else { ("line", "NDJSON") };
                let mut message = Message::new(format!("{}: no {part} of it is a JSON object", file.shown));
                message.details.extend(format::guess(blocks.head(), format));
                Err(Error::Refused(
                    message.hint(format!("the source is read as {read_as}: correct its `format`, or have the file exported so")),
                ))
            }
        }
    }

    /// Counts and rejects a record that is in no block.
    fn withhold(&mut self, file: &File, line: u64, bytes: u64, reason: &'static str) -> Result<()> {
        self.tally.count(1, 0, 0, None);
        let raw = withheld(&format!("{bytes} bytes"));
        let reject = unreadable(&self.scan.contract, file, line, reason, raw);
        self.scan.collector.reject(self.piece, &mut self.tally, vec![reject])?;
        self.scan.collector.end_if_over(self.piece, &mut self.tally)
    }
}

/// The next part of a text file while blocks are decoded in parallel.
enum Settling {
    Block(JoinHandle<Result<Settled>>),
    /// A record that is in no block.
    Bad {
        line: u64,
        bytes: u64,
        reason: &'static str,
    },
}
