//! Sums over rows, in an order that depends on neither the number of threads nor the machine: by blocks of a fixed size, added up in order.

use std::sync::Mutex;
use std::sync::PoisonError;

/// How many rows a thread takes at once.
pub(super) const BLOCK_ROWS: usize = 16 * CHUNK_ROWS;

/// How many rows are summed at once, so that what is computed of them stays in the processor's cache.
pub(super) const CHUNK_ROWS: usize = 1024;

/// How many partial sums a dot product has, so that the processor adds several numbers at a time.
const LANES: usize = 8;

/// Computes a part of a sum for each block of rows, and gives the parts in order.
pub(super) fn by_block<T: Send>(rows: usize, threads: usize, part: impl Fn(std::ops::Range<usize>) -> T + Sync) -> Vec<T> {
    let blocks = rows.div_ceil(BLOCK_ROWS);
    let of_block = |block: usize| part(block * BLOCK_ROWS..rows.min((block + 1) * BLOCK_ROWS));
    let threads = threads.min(blocks);
    if threads < 2 {
        return (0..blocks).map(of_block).collect();
    }
    let next = Mutex::new(0..blocks);
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let on_one_thread = || std::iter::from_fn(take).map(|block| (block, of_block(block))).collect::<Vec<_>>();
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(on_one_thread)).collect();
        let mut done = on_one_thread();
        for other in others {
            match other.join() {
                Ok(theirs) => done.extend(theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(block, _)| *block);
    done.into_iter().map(|(_, part)| part).collect()
}

/// The sum of the products of two columns.
pub(super) fn dot(one: &[f64], other: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest: f64 = ones.remainder().iter().zip(others.remainder()).map(|(one, other)| one * other).sum();
    for (one, other) in ones.zip(others) {
        for lane in 0..LANES {
            lanes[lane] += one[lane] * other[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// The sum of a column.
pub(super) fn sum(column: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let chunks = column.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}
