//! The columns of what would be shown, without reading data.

use datafusion::common::TableReference;
use serde::Serialize;

use super::prepare::Prepared;
use super::published::PUBLISHED;
use super::question::{Question, Setting};
use crate::engine::{ColumnPrivacy, answer_schema};
use crate::error::Result;
use crate::graph::{PROFILE, SOURCES};
use crate::publish;
use crate::storage::Stores;

/// A column of what would be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnDescription {
    /// Its name.
    pub column: String,
    /// Its type, in the words of the pipeline file.
    #[serde(rename = "type")]
    pub column_type: String,
    /// Whether its values are personal: `yes`, `no`, or the column whose type says it.
    pub personal: String,
    /// What the pipeline file says of it.
    pub description: Option<String>,
}

/// Describes the columns.
///
/// # Errors
/// As planning the look fails.
pub async fn columns(setting: &Setting, question: &Question, stores: &Stores) -> Result<Vec<ColumnDescription>> {
    let prepared = Prepared::new(setting, question, stores, false).await?;
    let query = prepared.query()?;
    let schema = answer_schema(&query.schema);
    let table = prepared.target.as_ref().map(|target| target.table.as_str());
    let reference = TableReference::parse_str(crate::plan::QUERY);
    let described = schema.fields().iter().map(|field| {
        let privacy = match table {
            // A published table is not among the plan's own.
            Some(table) if table.starts_with(PUBLISHED) => prepared.privacy_of(&TableReference::parse_str(table), field.name()),
            _ => prepared.plan.personal.column(&reference, field.name()),
        };
        ColumnDescription {
            column: field.name().clone(),
            column_type: publish::type_name(field.data_type()),
            personal: match privacy {
                ColumnPrivacy::Open => "no".to_owned(),
                ColumnPrivacy::Personal => "yes".to_owned(),
                ColumnPrivacy::ByTypeIn(other) => format!("by {other}"),
            },
            description: table.and_then(|table| description(&prepared, table, field.name())),
        }
    });
    Ok(described.collect())
}

/// What the pipeline file says of a column.
fn description(prepared: &Prepared, table: &str, column: &str) -> Option<String> {
    let pipeline = &prepared.plan.project.pipeline;
    if let Some(source) = table.strip_prefix(SOURCES).and_then(|rest| rest.strip_prefix('.')) {
        return pipeline.sources.get(source)?.columns.get(column)?.description.clone();
    }
    (table == PROFILE).then(|| Some(pipeline.profile.columns.get(column)?.value.description.as_ref()?.shown().to_owned())).flatten()
}
