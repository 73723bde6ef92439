//! The project as types: the pipeline file, the SQL models beside it, and the values of this run.

mod affinity;
mod channel;
mod check;
mod clusters;
mod column;
mod csv;
mod delta;
mod kind;
mod load;
mod look_alike;
mod member_path;
mod names;
mod notify;
mod parts;
mod pipeline;
mod prediction;
mod prepared_column;
mod profile;
mod repair;
mod report;
mod said;
mod schema;
mod secrets;
mod shape;
mod source;
mod spanned;
mod traits;
mod tree;
mod values;
mod variables;
mod yaml;

pub use affinity::{Affinity, ItemColumns, NeverOffer};
pub use channel::Channel;
pub use check::{AcceptedValues, Change, Check, CheckKind, KINDS, RowBounds, SegmentBounds, Severity, TableColumns};
pub use clusters::{Clusters, CountRange, GroupCount, MOST_CLUSTERS};
pub use column::{Column, ColumnType, Consent, DeclaredType, OnError};
pub use csv::Csv;
pub use delta::DeltaCopies;
pub use kind::{Changes, SourceKind};
pub use load::{
    Lost, Model, PIPELINE_VERSION, Project, Read, Sibling, load, of_texts, of_texts_as_written, read, read_files, usual_pipeline,
};
pub use look_alike::{LookAlikes, SimilarTo};
pub use member_path::{MemberPath, NoPath, Step};
pub use notify::{Event, Notify, is_off as is_notification_off, review as review_notifications};
pub use parts::Parts;
pub use pipeline::{
    IdentifierType, Identity, Keep, Outputs, Parameter, Pipeline, ReferenceTable, SchemaChanges, Segment, SegmentSet, SetKind, Standalone,
    TableOutput,
};
pub use prediction::{Lifetime, Prediction, PurchaseColumns, PurchaseModel};
pub use prepared_column::{PreparedColumn, Transform};
pub use profile::{Base, Profile, ProfileColumn};
pub use report::{Report, ReportedChannel, ReportedKind};
pub use said::Said;
pub use schema::schema_of;
pub use secrets::{with_secrets_of, without_credentials, without_secrets};
pub use source::{BlankRepeats, Freshness, LeadsTo, RejectBudget, Source, SourceFormat, UnknownColumns};
pub use spanned::{Literal, Spanned, Text};
pub use traits::Traits;
pub use values::{AS_OF, NULL_VALUES, Values, bind, bind_what_is_right, parse_scalar, parse_scalars};
pub use variables::{Environment, variables as variables_in};
pub use yaml::{
    Parsed, Part, given_values, key_at, key_span, keys_of, parse, parse_what_is_right, placed, span_of, span_of_part, span_within, text_at,
    typed,
};
