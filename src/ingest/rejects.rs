//! Rejected rows and values on their way to the table of them: a few in memory, the rest on disk.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::remarks;
use crate::engine::Scratch;
use crate::manifest::{RejectCount, Scope};

/// Bytes of rejects of a piece that are held until they are put on disk.
const HELD_BYTES: usize = 64 * 1024;

/// How many rejects of one row have its text: those of a row with a thousand columns would take a thousand times what it takes.
const ROW_TEXTS: usize = 16;
/// What the others have.
const SEEN_ABOVE: &str = "withheld: the text is that of the first rejects of this row";

/// A row or value that was not kept, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    /// The file, as people would type it.
    pub file: String,
    /// Its line (text formats, the header being line 1) or row (Parquet), from 1.
    pub row_number: u64,
    /// What it costs.
    pub scope: Scope,
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// A stable word for the reason, such as `not-a-date`.
    pub reason: &'static str,
    /// The row as it was, without the values of personal columns.
    pub raw: Arc<str>,
    /// Whether a row that is gone may have said that somebody must not be written to.
    pub may_be_no: bool,
}

impl Reject {
    /// The column whose values it counts among; none when it counts among rows.
    pub fn column_counted(&self) -> Option<&String> {
        self.column.as_ref().filter(|_| self.scope == Scope::Value)
    }
}

/// A reject as it is on disk: a line of JSON. All of a piece are of one file.
#[derive(Serialize, Deserialize)]
struct Line {
    row_number: u64,
    scope: Scope,
    column: Option<String>,
    reason: String,
    raw: String,
    may_be_no: bool,
}

/// What a reject counts under.
type Kind = (Scope, Option<String>, &'static str);

/// The rejects of a piece of a source, in order of row.
#[derive(Debug, Default)]
pub struct Rejects {
    /// Those that are not on disk yet.
    held: Vec<Reject>,
    held_bytes: usize,
    on_disk: Vec<Range<u64>>,
    counts: BTreeMap<Kind, u64>,
    /// How many rows were rejected, and how many values of each column.
    rejected: BTreeMap<Option<String>, u64>,
    /// The last row, and how many of its rejects there are.
    last: (u64, usize),
    /// For what there is something to say about the file, its first.
    pub(super) firsts: BTreeMap<&'static str, u64>,
    /// How many may say no, and the place and reason of the first.
    pub(super) lost: u64,
    pub(super) first_lost: Option<String>,
    file: Option<String>,
}

impl Rejects {
    /// Adds rejects of later rows than those before.
    ///
    /// # Errors
    /// As the disk fails.
    pub fn add(&mut self, scratch: &Scratch, rejects: impl IntoIterator<Item = Reject>) -> Result<()> {
        for mut reject in rejects {
            self.last = if self.last.0 == reject.row_number { (self.last.0, self.last.1 + 1) } else { (reject.row_number, 1) };
            if self.last.1 > ROW_TEXTS {
                reject.raw = SEEN_ABOVE.into();
            }
            *self.rejected.entry(reject.column_counted().cloned()).or_default() += 1;
            *self.counts.entry((reject.scope, reject.column.clone(), reject.reason)).or_default() += 1;
            if remarks::is_said(reject.reason) {
                self.firsts.entry(reject.reason).or_insert(reject.row_number);
            }
            if reject.may_be_no {
                self.lost += 1;
                self.first_lost.get_or_insert_with(|| format!("{}:{}: {}", reject.file, reject.row_number, reject.reason));
            }
            if self.file.is_none() {
                self.file = Some(reject.file.clone());
            }
            self.held_bytes += reject.raw.len() + size_of::<Reject>();
            self.held.push(reject);
            if self.held_bytes > HELD_BYTES {
                self.put_on_disk(scratch)?;
            }
        }
        Ok(())
    }

    /// Puts on disk what is held.
    ///
    /// # Errors
    /// As the disk fails.
    pub fn put_on_disk(&mut self, scratch: &Scratch) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.held_bytes);
        for Reject { row_number, scope, column, reason, raw, may_be_no, .. } in self.held.drain(..) {
            let line = Line { row_number, scope, column, reason: reason.to_owned(), raw: raw.to_string(), may_be_no };
            serde_json::to_writer(&mut bytes, &line)?;
            bytes.push(b'\n');
        }
        self.held_bytes = 0;
        self.on_disk.push(scratch.append(&bytes)?);
        Ok(())
    }

    /// How many rows were rejected, and how many values of each column.
    pub fn rejected(&self) -> &BTreeMap<Option<String>, u64> {
        &self.rejected
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The file of which they are, as people would type it.
    pub fn file(&self) -> &str {
        self.file.as_deref().unwrap_or_default()
    }

    /// How many there are of each kind.
    pub fn counts(&self) -> impl Iterator<Item = (&Kind, u64)> {
        self.counts.iter().map(|(kind, count)| (kind, *count))
    }

    /// How many parts they are in, once none are held any more.
    pub fn parts(&self) -> usize {
        self.on_disk.len()
    }

    /// The rejects of a part, in order of row.
    ///
    /// # Errors
    /// As the disk fails.
    pub fn read(&self, scratch: &Scratch, part: usize) -> Result<Vec<Reject>> {
        let bytes = self.on_disk.get(part).map_or(Ok(Vec::new()), |place| scratch.read(place.clone()))?;
        let read = |line: &[u8]| {
            let Line { row_number, scope, column, reason, raw, may_be_no } = serde_json::from_slice(line)?;
            let known = self.counts.keys().map(|(.., known)| *known).find(|known| *known == reason);
            let reason = known.ok_or_else(|| Error::new(ErrorKind::InvalidData, "a rejected row was not read back"))?;
            Ok(Reject { file: self.file().to_owned(), row_number, scope, column, reason, raw: raw.into(), may_be_no })
        };
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(read).collect()
    }
}

/// Rejects by reason, the commonest first.
pub fn counted<'a>(rejects: impl Iterator<Item = &'a Rejects>) -> Vec<RejectCount> {
    let mut counts: BTreeMap<&Kind, u64> = BTreeMap::new();
    for (kind, count) in rejects.flat_map(Rejects::counts) {
        *counts.entry(kind).or_default() += count;
    }
    let count = |((scope, column, reason), count): (&Kind, u64)| RejectCount {
        scope: *scope,
        column: column.clone(),
        reason: (*reason).to_owned(),
        count,
    };
    let mut counts: Vec<RejectCount> = counts.into_iter().map(count).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    counts
}
