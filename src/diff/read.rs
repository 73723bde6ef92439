//! Reads publications in order of customer: their memories, and what customers spent.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::DataType;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::manifest::{Commit, DataFile};
use crate::publish::{IDENTITY_ALIASES, Publications, SEGMENT_INPUTS, SEGMENT_STAYS};
use crate::segments::CUSTOMER_ID;
use crate::segments::memory::Reader;
use crate::segments::movement::{Income, Incomes};

/// A publication, or what would be one, with where its files are.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Reads its files.
    pub seen: &'a Publications,
    /// What it is.
    pub commit: &'a Commit,
}

/// Rows in their order.
type Rows = BoxStream<'static, Result<RecordBatch>>;

/// The memory of a publication.
pub async fn memory(side: Side<'_>) -> Result<Rows> {
    Ok(side.seen.state(side.commit, SEGMENT_STAYS).await?.unwrap_or_else(|| futures::stream::empty().boxed()))
}

/// The ids that have ended by a publication, each with the id that stayed, in order.
pub async fn aliases(side: Side<'_>) -> Result<Vec<(String, String)>> {
    let Some(mut rows) = side.seen.state(side.commit, IDENTITY_ALIASES).await? else { return Ok(Vec::new()) };
    let mut into: HashMap<String, String> = HashMap::new();
    while let Some(batch) = rows.try_next().await? {
        let (aliases, customers) = (texts(&batch, "alias_id")?, texts(&batch, CUSTOMER_ID)?);
        into.extend(aliases.iter().zip(&customers).filter_map(|(alias, id)| Some((alias?.to_owned(), id?.to_owned()))));
    }
    let followed = |alias: &String| {
        let (mut id, mut seen) = (alias, HashSet::new());
        while let Some(next) = into.get(id).filter(|_| seen.insert(id)) {
            id = next;
        }
        (alias.clone(), id.clone())
    };
    let mut found: Vec<(String, String)> = into.keys().map(followed).filter(|(alias, id)| alias != id).collect();
    found.sort_unstable();
    Ok(found)
}

/// The last customer of some rows.
pub fn last_of(rows: &RecordBatch) -> Option<String> {
    let ids = texts(rows, CUSTOMER_ID).ok()?;
    ids.len().checked_sub(1).map(|last| ids.value(last).to_owned())
}

/// Reads a memory so that all rows of a customer come together.
pub struct Customers {
    rows: Reader,
    /// Rows of a customer of whom there may be more.
    held: Option<RecordBatch>,
}

impl Customers {
    pub fn new(rows: Reader) -> Self {
        Customers { rows, held: None }
    }

    /// All rows of the next customers, and the last of them.
    pub async fn next(&mut self) -> Result<Option<(RecordBatch, String)>> {
        loop {
            let read = self.rows.next().await?;
            let is_end = read.is_none();
            let parts: Vec<RecordBatch> = self.held.take().into_iter().chain(read).filter(|rows| rows.num_rows() > 0).collect();
            let Some(first) = parts.first() else { return Ok(None) };
            let all = concat_batches(&first.schema(), &parts).map_err(|error| defect(&error))?;
            let ids = texts(&all, CUSTOMER_ID)?;
            let last = ids.value(ids.len() - 1).to_owned();
            let mut whole = ids.len();
            if !is_end {
                while whole > 0 && ids.value(whole - 1) == last {
                    whole -= 1;
                }
                self.held = Some(all.slice(whole, all.num_rows() - whole));
            }
            if whole > 0 {
                let last = ids.value(whole - 1).to_owned();
                return Ok(Some((all.slice(0, whole), last)));
            }
        }
    }
}

/// Reads what customers spent.
pub struct IncomeReader {
    rows: Rows,
    column: String,
    waiting: Option<Income>,
    last: String,
}

impl IncomeReader {
    /// A reader that knows of nobody.
    pub fn none() -> Self {
        IncomeReader { rows: futures::stream::empty().boxed(), column: String::new(), waiting: None, last: String::new() }
    }

    /// A reader of what the customers of a publication spent, by the column that another one names.
    pub async fn open(side: Side<'_>, named_by: &Commit) -> Result<Self> {
        let Some(column) = &named_by.revenue_column else { return Ok(IncomeReader::none()) };
        for file in files_of(side.commit, column) {
            let rows = side.seen.rows_of(side.commit, file, Some(&[CUSTOMER_ID, column])).await?;
            let mut reader = IncomeReader { rows, column: column.clone(), waiting: None, last: String::new() };
            if reader.scale().await?.is_some() {
                return Ok(reader);
            }
        }
        Ok(IncomeReader::none())
    }

    /// How many digits amounts have after the point; none where nothing is known.
    pub async fn scale(&mut self) -> Result<Option<i8>> {
        let next = self.next().await?;
        let scale = next.as_ref().map(Income::scale);
        self.waiting = next;
        Ok(scale)
    }

    /// What the next customers spent, up to one.
    pub async fn up_to(&mut self, last: Option<&str>) -> Result<Incomes> {
        let mut taken = Incomes::default();
        let Some(last) = last else { return Ok(taken) };
        while let Some(income) = self.next().await? {
            let rows = income.count_up_to(last);
            let is_all = income.last().is_none_or(|end| end <= last);
            taken.push(income.first(rows));
            if !is_all {
                self.waiting = Some(income.after(rows));
                break;
            }
        }
        Ok(taken)
    }

    async fn next(&mut self) -> Result<Option<Income>> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        let Some(rows) = self.rows.try_next().await? else { return Ok(None) };
        let Some(income) = Income::of(&rows, &self.column)?.filter(Income::is_ordered) else { return Ok(None) };
        let is_next = income.count_up_to(&self.last) == 0 || self.last.is_empty();
        income.last().unwrap_or_default().clone_into(&mut self.last);
        Ok(is_next.then_some(income))
    }
}

/// The files in which a publication may say what its customers spent: that of what rules read, or else outputs with the column.
fn files_of<'a>(commit: &'a Commit, column: &str) -> Vec<&'a DataFile> {
    let has = |table: &crate::manifest::Table, name: &str| table.columns.iter().any(|of| of.name == name);
    let tables = commit.tables.values().filter(|table| has(table, CUSTOMER_ID) && has(table, column));
    let of_table = |table: &'a crate::manifest::Table| if let [one] = table.files.as_slice() { Some(one) } else { None };
    commit.state.get(SEGMENT_INPUTS).into_iter().chain(tables.filter_map(of_table)).collect()
}

/// A column of texts.
pub(super) fn texts(rows: &RecordBatch, name: &str) -> Result<StringArray> {
    let column = rows.column_by_name(name).ok_or_else(|| Error::defect(format!("a published table has no column `{name}`")))?;
    let column = cast(column, &DataType::Utf8).map_err(|error| defect(&error))?;
    Ok(column.as_string::<i32>().clone())
}

fn defect(error: &arrow::error::ArrowError) -> Error {
    Error::defect(format!("a publication was not read: {error}"))
}
