//! What no publication needs any more: files of runs that died, publications that were superseded, days that are not kept, notes left
//! behind.
//!
//! What a live commit names is never among it, and neither is anything that no commit, record or note accounts for. A publication that
//! was superseded stays for a grace period after that, for readers that have resolved it; a run that has not published may still be at
//! work, so its files stay for the grace period after the last of them was written. A run that is taken for dead finds its name taken
//! when it wants to publish, and gives up; one that has said that it publishes is left alone for an hour, whatever the grace.

mod find;
mod keep;
mod ours;
mod remove;

pub use super::layout::files_of;
pub use find::{CleanRequest, Found, OrphanedFile, Place, Why, find};
pub use remove::{Removal, remove};
