//! Work on several threads that is no query.

use std::sync::{Mutex, PoisonError};

/// Does something with every part of something, on several threads, which take the parts in their order.
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
