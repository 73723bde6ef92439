//! Batches in memory and the number of bytes that they take together.

use std::collections::HashSet;

use arrow::array::{Array, ArrayData, RecordBatch};
use arrow::buffer::{Buffer, NullBuffer};

/// Batches in memory. Several of them may be slices of one allocation, which is counted once.
#[derive(Debug, Default)]
pub struct Gathered {
    pub(super) batches: Vec<RecordBatch>,
    /// The addresses of the allocations that are counted already.
    known: HashSet<usize>,
    pub(super) bytes: usize,
}

impl Gathered {
    /// Adds a batch and returns how many bytes it takes in addition to the batches before it.
    pub fn add(&mut self, batch: RecordBatch) -> usize {
        let more = batch.columns().iter().map(|column| bytes_of(&column.to_data(), &mut self.known)).sum();
        self.batches.push(batch);
        self.bytes += more;
        more
    }

    /// The batches.
    pub fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }
}

fn bytes_of(array: &ArrayData, known: &mut HashSet<usize>) -> usize {
    let nulls = array.nulls().map(NullBuffer::buffer);
    let mut of_buffer = |buffer: &Buffer| if known.insert(buffer.data_ptr().addr().get()) { buffer.capacity() } else { 0 };
    let own: usize = array.buffers().iter().chain(nulls).map(&mut of_buffer).sum();
    own + array.child_data().iter().map(|child| bytes_of(child, known)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn what_batches_share_is_counted_once() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let batch = RecordBatch::try_from_iter([("one", Arc::clone(&column)), ("two", column)]).unwrap();
        let mut gathered = Gathered::default();
        assert!((8_000..9_000).contains(&gathered.add(batch.slice(0, 500))));
        assert_eq!(gathered.add(batch.slice(500, 500)), 0);
        assert_eq!(gathered.into_batches().iter().map(RecordBatch::num_rows).sum::<usize>(), 1_000);
    }
}
