//! Orphaned files, which no publication needs any more: files of runs that died, publications that were superseded, days that the
//! retention policy does not keep, and notes left behind.
//!
//! Files that a live commit names are never orphaned, and neither are files that no commit, record or note names: those are unknown, and
//! left alone. A superseded publication stays for a grace period, for readers that have resolved it. A run that has not published may
//! still be in progress, so its files stay for the grace period after the last of them was written. A run that is taken for dead finds a
//! note under its name when it wants to publish, and gives up. A run that has a pending note of its own is left alone for an hour,
//! whatever the grace period.

mod find;
mod keep;
mod ours;
mod remove;

pub use super::layout::files_of;
pub use find::{CleanRequest, Found, OrphanedFile, Place, Why, find};
pub use remove::{Removal, remove};
