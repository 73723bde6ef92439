//! Sums over rows, in an order that depends on neither the number of threads nor the machine: by chunks of a fixed size, added up in order.

use std::sync::Mutex;
use std::sync::PoisonError;

/// How many rows are summed at once.
pub(super) const CHUNK_ROWS: usize = 1024;

/// How many partial sums a dot product has, so that the processor adds several numbers at a time.
const LANES: usize = 8;

/// Computes a part of a sum for each chunk of rows, and gives the parts in order.
pub(super) fn by_chunk<T: Send>(rows: usize, threads: usize, part: impl Fn(std::ops::Range<usize>) -> T + Sync) -> Vec<T> {
    let chunks = rows.div_ceil(CHUNK_ROWS);
    let of_chunk = |chunk: usize| part(chunk * CHUNK_ROWS..rows.min((chunk + 1) * CHUNK_ROWS));
    let threads = threads.min(chunks);
    if threads < 2 {
        return (0..chunks).map(of_chunk).collect();
    }
    let next = Mutex::new(0..chunks);
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let on_one_thread = || std::iter::from_fn(take).map(|chunk| (chunk, of_chunk(chunk))).collect::<Vec<_>>();
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
    done.sort_unstable_by_key(|(chunk, _)| *chunk);
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
