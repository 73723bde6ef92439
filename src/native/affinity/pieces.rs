//! Work in pieces on several threads, each of which has a worker with memory of its own.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::engine::parallel;

/// At most so large a part of the memory limit goes to workers, unless there is one only.
const WORKERS_PART: usize = 8;

/// How many workers there should be for some pieces of work. Their number changes nothing that is computed.
pub fn workers(threads: usize, pieces: usize, bytes: usize, limit_bytes: usize) -> usize {
    let affordable = (limit_bytes / WORKERS_PART).checked_div(bytes).unwrap_or(threads);
    threads.min(pieces).min(affordable).max(1)
}

/// Does pieces of work, which are numbered from 0, and gives what comes of them in order.
pub fn pieces<W: Send, R: Send>(workers: &mut [W], count: usize, work: impl Fn(&mut W, usize) -> R + Sync) -> Vec<R> {
    let (next, threads) = (AtomicUsize::new(0), workers.len());
    let of_worker = |worker: &mut W| {
        let taken = std::iter::from_fn(|| Some(next.fetch_add(1, Relaxed)).filter(|at| *at < count));
        taken.map(|at| (at, work(worker, at))).collect::<Vec<_>>()
    };
    let mut done: Vec<(usize, R)> = parallel(workers, threads, of_worker).into_iter().flatten().collect();
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
