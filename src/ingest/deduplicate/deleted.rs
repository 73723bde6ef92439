//! What a deletion ends: its key or, where changes are kept as a history, all that was said of the key before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, UInt64Array};
use arrow::row::{RowConverter, SortField};
use datafusion::error::Result;

use super::keys::Keys;
use super::places::{Place, Places, Superseded};
use super::{Scans, at_places};

/// What an entry of a table of deletions takes beside its bytes.
const ENTRY_BYTES: usize = 64;

/// The newest deletion of each key, in the form in which its order is compared.
type Deletions = HashMap<u128, Box<[u8]>>;

impl Scans<'_> {
    /// Leaves out the rows that delete and are the newest of their key; in a history, also what was before them.
    ///
    /// # Errors
    /// As reading fails, and when the memory limit does not allow to hold the deletions.
    pub(super) async fn delete(&self, mut deletes: Places, found: &mut Superseded) -> Result<()> {
        if deletes.count() == 0 {
            return Ok(());
        }
        let ended = if self.contract.has_history() {
            // A deletion ends what was before it, also where another change of its moment supersedes it.
            let (ended, keys) = self.before(Arc::new(deletes)).await?;
            found.deleted = keys;
            ended
        } else {
            deletes.take_away(&found.dropped);
            found.deleted = deletes.count();
            deletes
        };
        let more = found.dropped.join(ended);
        found.held.get_or_insert_with(|| self.engine.reservation()).grow(more)
    }

    /// The rows that are not after the newest deletion of their key, the deletion among them; and how many keys have one.
    async fn before(&self, deletes: Arc<Places>) -> Result<(Places, u64)> {
        let order = self.contract.changes.as_ref().map(|changes| changes.order.clone()).unwrap_or_default();
        let order: Vec<usize> = order.into_iter().chain(self.contract.event_time).collect();
        let columns: Vec<usize> = self.contract.key.iter().copied().chain(order.iter().copied()).collect();
        let (deletions, held) = (Arc::new(Mutex::new(Deletions::new())), Arc::new(self.engine.reservation()));
        let (adding, holding) = (Arc::clone(&deletions), Arc::clone(&held));
        let ordered = self.ordered(&order)?;
        self.each(&columns, move |batch, places| {
            let Some((batch, _)) = at_places(batch, places, &deletes)? else { return Ok(()) };
            let mut deletions = adding.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, order) in ordered.of(&batch)? {
                if deletions.get(&key).is_none_or(|before| **before < *order) {
                    holding.grow(order.len() + ENTRY_BYTES)?;
                    deletions.insert(key, order);
                }
            }
            Ok(())
        })
        .await?;
        let deletions = std::mem::take(&mut *deletions.lock().unwrap_or_else(PoisonError::into_inner));
        let keys = deletions.len() as u64;
        let ended = Arc::new(Mutex::new(Places::default()));
        let ending = Arc::clone(&ended);
        let ordered = self.ordered(&order)?;
        self.each(&columns, move |batch, places: &UInt64Array| {
            let is_ended: Vec<usize> = ordered
                .rows(batch)?
                .filter(|(_, key, order)| deletions.get(key).is_some_and(|end| **order <= **end))
                .map(|(row, ..)| row)
                .collect();
            let mut ended = ending.lock().unwrap_or_else(PoisonError::into_inner);
            for row in is_ended {
                ended.insert(Place(places.value(row)));
            }
            Ok(())
        })
        .await?;
        let ended = std::mem::take(&mut *ended.lock().unwrap_or_else(PoisonError::into_inner));
        drop(held);
        Ok((ended, keys))
    }

    fn ordered(&self, order: &[usize]) -> Result<Ordered> {
        let keys = Keys::of(self.contract, self.contract.key.clone(), self.seed)?;
        let fields = self.contract.schema.project(order)?;
        let fields = fields.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        Ok(Ordered { keys, key_columns: self.contract.key.len(), order: RowConverter::new(fields.collect())? })
    }
}

/// Finds the key of each row and what puts it in order.
struct Ordered {
    keys: Keys,
    key_columns: usize,
    order: RowConverter,
}

impl Ordered {
    fn rows(&self, batch: &RecordBatch) -> Result<impl Iterator<Item = (usize, u128, Box<[u8]>)>> {
        let keys = self.keys.of_batch(batch)?;
        // The last column is the place.
        let rows = self.order.convert_columns(&batch.columns()[self.key_columns..batch.num_columns() - 1])?;
        let row = move |(row, key): (usize, Option<u128>)| Some((row, key?, Box::from(rows.row(row).as_ref())));
        Ok(keys.into_iter().enumerate().filter_map(row))
    }

    fn of(&self, batch: &RecordBatch) -> Result<impl Iterator<Item = (u128, Box<[u8]>)>> {
        Ok(self.rows(batch)?.map(|(_, key, order)| (key, order)))
    }
}
