//! Publications whose files are gone. A commit names files that were whole when it was created, so what is not there was removed by
//! somebody since. Such damage has an error of its own, because neither waiting nor running again helps.

mod kind;
mod look;
mod repair;

pub use kind::{Damage, is_damage, lost_commit, of_file};
pub use look::{confirmed, told, whole};
pub use repair::{Repair, repair};
