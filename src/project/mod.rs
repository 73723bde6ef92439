//! The project as publications keep it: what it says of who is in which segment, and what has changed between two versions of it.

mod changes;
mod definition;
mod version;

pub use changes::{Changes, Edit, FileChange, ParameterChange, PartChange, RuleChange, changes};
pub use definition::{Definition, Difference, Part};
pub use version::Version;
