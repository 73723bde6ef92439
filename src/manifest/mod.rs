//! The files that Segmill keeps at a destination, as types: the commit of a publication, the note of a run that is not finished, the
//! account of a run's files; and the fingerprint of all that outputs depend on.

mod account;
mod commit;
mod fingerprint;
mod kept_project;
mod ledger;
mod pending;

pub use account::Account;
pub use commit::{Base, Column, Commit, DataFile, FORMAT, KeptFile, PublishedSegment, PublishedSet, Table, WrittenFile};
pub use fingerprint::{Input, MadeFrom, digest};
pub use kept_project::{KeptProject, KeptText, PROJECT_FORMAT};
pub use ledger::{Ledger, Overrun, RejectCount, Scope};
pub use pending::{Pending, Purpose};
