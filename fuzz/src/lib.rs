//! What the fuzz targets share: a small project whose extract, pipeline file or rule is whatever the fuzzer thinks of.

pub mod extract;
pub mod mutate;
pub mod project;

/// Runs what is asynchronous on this thread alone, so that the same input always does the same.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts").block_on(future)
}
