//! Work on several threads outside of queries.

use std::sync::{Mutex, PoisonError};

/// Calls `work` with every part on several threads, and returns the results in no particular order. The parts are started in order.
pub fn parallel<T: Send, R: Send>(parts: &mut [T], threads: usize, work: impl Fn(&mut T) -> R + Sync) -> Vec<R> {
    let queue = Mutex::new(parts.iter_mut());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let on_one_thread = || std::iter::from_fn(next).map(&work).collect::<Vec<R>>();
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(on_one_thread)).collect();
        let mut done = on_one_thread();
        for other in others {
            match other.join() {
                Ok(theirs) => done.extend(theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}
