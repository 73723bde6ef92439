//! The threads and the memory that a run may use, and the batch size that follows from them.

/// The fewest rows of a batch, and the most.
const BATCH_ROWS: std::ops::RangeInclusive<usize> = 512..=8192;
/// The memory of a thread that is planned for each row of a batch: several operators hold a few batches each, and rows may have many
/// columns.
const BYTES_PER_BATCH_ROW: usize = 32 * 1024;
/// The fewest partitions of a join that sorts, however few threads there are: each sorts a batch of wide rows in its least share of the memory.
pub(super) const LEAST_PARTITIONS: usize = 2;

/// What a run may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Threads. Queries are split into as many partitions.
    pub threads: usize,
    /// The bytes that tables, texts, identifiers and operators may take together. Tables and operators spill to disk to stay below.
    pub memory_bytes: usize,
}

impl Limits {
    /// The most rows of a batch; fewer if there is little memory. No output depends on it.
    pub(super) fn batch_rows(self) -> usize {
        (self.memory_bytes / self.threads.max(LEAST_PARTITIONS) / BYTES_PER_BATCH_ROW).clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end())
    }
}
