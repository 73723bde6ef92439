//! The memory of segments: who was in which segment since when, as the predecessor publication tells it, what has changed since, and what the
//! next publication is told.

mod before;
mod cause;
mod changes;
mod compare;
mod names;
mod one;
mod people;
mod stay;

pub use before::{Before, Ended, Reader, Remains, state_batch};
pub use cause::{Cause, Why};
pub use changes::{CHANGES_DESCRIPTIONS, Changes, changes_schema};
pub use compare::{Comparer, Sizes};
pub use names::{NamedSet, Names};
pub use one::remembered;
pub use people::{Ask, Assignment, People, Settled, Time, tell_gone};
pub use stay::{Stay, days, numbered_schema, state_schema, told};
