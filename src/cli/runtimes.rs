//! The asynchronous runtimes that commands work and wait on.

use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};

/// The stack size of a thread. Statements are parsed recursively, and a model with hundreds of unions needs a deep stack.
pub const STACK_BYTES: usize = 32 * 1024 * 1024;

/// A runtime that only waits: for signals, for deadlines and for another runtime's results. It reacts at once, however busy the
/// other runtime is.
///
/// # Errors
/// [`Error::Defect`] when the system gives no thread.
pub fn waiting() -> Result<Runtime> {
    let built = Builder::new_current_thread().thread_stack_size(STACK_BYTES).enable_all().build();
    built.map_err(|error| Error::defect(format!("the runtime did not start: {error}")))
}

/// The runtime on which a command reads, computes and writes.
///
/// # Errors
/// [`Error::Defect`] when the system gives no threads.
pub fn working(threads: usize) -> Result<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(threads).thread_stack_size(STACK_BYTES).enable_all().build();
    built.map_err(|error| Error::defect(format!("the runtime did not start: {error}")))
}
