//! The record of a run: its request, its inputs, its steps and its result. The record is written whether the run succeeds, fails or
//! is stopped. It lies beside the outputs as `runs/RUN_ID/record.json`, and in a local file with `--record`.

mod recorder;
mod run_record;

pub use recorder::Recorder;
pub use run_record::{RunRecord, Step, earlier, of_publication};
