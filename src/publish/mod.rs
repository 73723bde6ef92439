//! stage → check → commit. Outputs are written under the run's own prefix, checked as written, and become visible all
//! at once when one commit file names them.
//!
//! ```text
//! Staging ──write()──▶ Staging ──finish()──▶ Staged ──check()──▶ CheckReport ──passed()──▶ Checked ──publish()──▶ Published
//! ```
//!
//! Only [`Checked`] has `publish`, so what was not checked cannot be published. At the destination:
//!
//! ```text
//! runs/RUN_ID/TABLE.parquet          what one run wrote; not published until a commit names it
//! runs/RUN_ID/state/NAME.parquet     the state that the next publication starts from
//! runs/RUN_ID/project.json            the project that the run was made with
//! runs/RUN_ID/failed_checks/         the rows that checks objected to, personal values left out
//! runs/RUN_ID/load/                  load manifests
//! segmill.json                       says which pipeline the destination belongs to (see [`marker`])
//! commits/00000001.json              a publication (see [`crate::manifest::Commit`]), created only if it is not there
//! pending/RUN_ID.json                there while a run publishes; left behind by one that died
//! TABLE/as_of=DAY/TABLE.parquet      a copy of the day's publication, for readers that only list folders
//! cleans/CLEAN_ID.json               the record of a clean: what it has removed
//! ```

mod chain;
mod check;
pub mod clean;
mod columns;
mod commit;
pub mod damage;
pub mod dbt;
pub mod delta;
mod destination;
mod folders;
mod layout;
pub mod load_manifests;
mod lookup;
pub mod marker;
mod objects;
mod pending;
mod project;
mod publications;
mod rejected;
mod staging;
mod state;
mod write;

pub use chain::{Chain, Superseded};
pub use check::{CheckOutcome, CheckReport, CheckResult, Output, Personal, problems as check_problems};
pub use columns::{ColumnChange, Difference, column_changes, columns_of};
pub use destination::{destination, refuse_found_outputs, refuse_own_outputs, typed_destination};
pub use layout::{
    CUSTOMER_ROWS, IDENTITY_ALIASES, IDENTITY_MAP, REJECTED, SEGMENT_INPUTS, SEGMENT_STAYS, SOURCE_ROWS, cluster_members, cluster_numbers,
    commit_shown, unfit_name,
};
pub use lookup::Found;
pub use pending::settle;
pub use publications::Publications;
pub use rejected::{REJECTED_DESCRIPTIONS, rejected_schema};
pub use staging::{Checked, Published, Rows, Staged, Staging};
pub use state::StateTable;
pub use write::type_name;

use crate::error::Error;

/// Whether an error concerns one day alone, so that other days can still be published.
pub fn concerns_one_day(error: &Error) -> bool {
    damage::is_damage(error) || folders::is_foreign(error) || delta::is_behind(error)
}
