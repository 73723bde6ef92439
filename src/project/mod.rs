//! The project as publications keep it: what it says of who is in which segment, and what has changed between two versions of it.

mod changes;
mod definition;
mod of_outputs;
mod version;

pub use changes::{Changes, Edit, FileChange, ParameterChange, PartChange, RuleChange, changes};
pub use definition::{Definition, Difference, Part};
pub use of_outputs::{digest_of_outputs, digest_of_program};
pub use version::Version;
