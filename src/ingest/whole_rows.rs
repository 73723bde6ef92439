//! The rows of a Parquet row group with all their columns, for what is kept of those that are rejected.

use std::sync::Arc;

use arrow::array::ArrayRef;

use super::contract::Fault;
use super::parquet::{Batches, RowGroup, RowPlace};
use super::rejects::Reject;
use super::scan::Scan;
use crate::error::{Error, Result};

/// The rows of a row group with all columns, whichever were asked for: rejected rows are kept whole. They are read once, beside the others,
/// from the first that is asked for.
pub(super) struct WholeRows {
    group: RowGroup,
    batches: Option<Batches>,
    /// The rows that were read last, and the number of the first of them.
    rows: Vec<Option<ArrayRef>>,
    first: usize,
    count: usize,
}

impl WholeRows {
    pub(super) fn of(group: &RowGroup) -> Self {
        WholeRows { group: group.clone(), batches: None, rows: Vec::new(), first: 0, count: 0 }
    }

    /// The rejects of a row at fault, in the order of the table. Rows come in order.
    pub(super) async fn rejects(&mut self, scan: &Scan, faults: &[Fault]) -> Result<Vec<Reject>> {
        let Some(row) = faults.first().map(|fault| fault.row) else { return Ok(Vec::new()) };
        self.seek(scan, row).await?;
        let row_of = row - self.first;
        let place = self.batches.as_ref().map_or(RowPlace { row: row as u64, element: None }, |batches| batches.place(row_of));
        let raw: Arc<str> = scan.masked_row(&self.rows, row_of, place.element).into();
        let number = self.group.first_row + place.row;
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
