//! What a run may use, and what follows from it for the size of a batch.

/// Rows of a batch where there is memory enough, and at least.
const BATCH_ROWS: std::ops::RangeInclusive<usize> = 512..=8192;
/// The memory of a thread for each row of a batch: several operators hold some batches each, of rows with many columns.
const BYTES_PER_BATCH_ROW: usize = 32 * 1024;

/// What a run may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Threads, which is also the number of partitions that work is split into.
    pub threads: usize,
    /// Bytes that tables, texts, identifiers and operators may take together; past them tables and operators spill.
    pub memory_bytes: usize,
}

impl Limits {
    /// Rows to a batch, fewer where there is little memory. What is published does not depend on it.
    pub(super) fn batch_rows(self) -> usize {
        (self.memory_bytes / self.threads.max(1) / BYTES_PER_BATCH_ROW).clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end())
    }
}
