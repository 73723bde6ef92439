//! The project as types: the pipeline file, the SQL models beside it, and the values of this run.

mod column;
mod load;
mod pipeline;
mod profile;
mod values;

pub use column::{Column, ColumnType};
pub use load::{Environment, Model, Project, load, parse, read_files, variables};
pub use pipeline::{
    Channel, Check, Freshness, Outputs, Parameter, Pipeline, ReferenceTable, RejectBudget, Segment, SegmentSet, SetKind, Severity, Source,
    SourceFormat, TableOutput, UnknownColumns,
};
pub use profile::{Domain, Profile};
pub use values::{Values, bind, parse_scalar};
pub(crate) use values::{key_span, span_of};
