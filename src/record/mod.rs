//! The record of a run: what it was asked, what it read, did and came to. It is written whether the run succeeds, fails or
//! is stopped, beside the outputs as `runs/RUN_ID/record.json`, and locally when asked for.

mod recorder;
mod run_record;

pub use recorder::Recorder;
pub use run_record::{RunRecord, Step, earlier};
