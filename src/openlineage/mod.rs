//! OpenLineage events of runs: what a run reads and writes, which columns are made of which, what was checked, and how it ended. They go to a
//! file or over HTTP. Whatever becomes of them, the run goes on.
//! See <https://openlineage.io/docs/spec/object-model>.

mod datasets;
mod emitter;
mod event;
mod facets;
mod parent;
mod quality;
mod settings;
mod transport;

pub use emitter::{Emitter, Ending, RunEvents};
pub use settings::{Settings, settings};

#[cfg(test)]
mod tests;
