//! The step that makes the table of published columns: what each column of each output is and means. It reads no table, since a plan knows it.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::error::DataFusionError;

use super::step::{Context, Findings, Found, Native, outward};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::graph::{NativeTable, PUBLISHED_COLUMNS, Signature, Step};

/// What the step makes.
pub static SIGNATURE: Signature = Signature {
    name: PUBLISHED_COLUMNS,
    layer: None,
    reads: &[],
    makes: &[NativeTable { name: PUBLISHED_COLUMNS, schema, identifiers: &[], taken: &[], descriptions: DESCRIPTIONS }],
};

/// The columns of the table of columns.
pub fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let flag = |name: &str| Field::new(name, DataType::Boolean, false);
    Arc::new(Schema::new(vec![
        text("table_name", false),
        Field::new("position", DataType::Int64, false),
        text("column_name", false),
        text("column_type", false),
        flag("is_required"),
        flag("is_personal"),
        text("base", true),
        text("unit", true),
        text("description", true),
        text("accepted_values", true),
        text("min_value", true),
        text("max_value", true),
        text("used_by", true),
    ]))
}

/// What the columns of [`schema`] mean.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("table_name", "The published table"),
    ("position", "The column's place in the table, from 1"),
    ("column_name", "The column"),
    ("column_type", "Its type, as the pipeline file writes types"),
    ("is_required", "Whether it is declared or checked that every row has a value"),
    ("is_personal", "Whether it has personal values"),
    ("base", "The base of segmentation that the column belongs to, such as `demographic`"),
    ("unit", "In what it counts or measures"),
    ("description", "What it means"),
    ("accepted_values", "The only values that it has, separated by commas, if they are declared"),
    ("min_value", "The smallest value that it has, if it is declared"),
    ("max_value", "The largest value that it has, if it is declared"),
    ("used_by", "The segments whose rules read it, as `set.segment`, separated by commas"),
];

/// A column of a published table, and what is known of it before data is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishedColumn {
    /// The output.
    pub table: String,
    /// The column's place in it, from 1.
    pub position: usize,
    /// Its name.
    pub column: String,
    /// Its type, as the pipeline file writes types.
    pub column_type: String,
    /// Whether it is declared or checked that every row has a value.
    pub is_required: bool,
    /// Whether it has personal values.
    pub is_personal: bool,
    /// The base of segmentation that it belongs to.
    pub base: Option<&'static str>,
    /// In what it counts or measures.
    pub unit: Option<String>,
    /// What it means.
    pub description: Option<String>,
    /// The only values that it has; none if they are not declared.
    pub accepted: Vec<String>,
    /// The smallest value that it has.
    pub min: Option<String>,
    /// The largest value that it has.
    pub max: Option<String>,
    /// The segments whose rules read it, as `set.segment`, in order.
    pub used_by: Vec<String>,
}

/// The step with what it tells.
#[derive(Debug)]
pub struct PublishedColumnsStep {
    columns: Vec<PublishedColumn>,
}

impl PublishedColumnsStep {
    /// The step that tells of these columns.
    pub fn new(columns: Vec<PublishedColumn>) -> Self {
        PublishedColumnsStep { columns }
    }

    fn batch(&self) -> Result<RecordBatch> {
        let text = |of: &dyn Fn(&PublishedColumn) -> Option<String>| -> ArrayRef {
            Arc::new(self.columns.iter().map(of).collect::<StringArray>())
        };
        let flag = |of: &dyn Fn(&PublishedColumn) -> bool| -> ArrayRef {
            Arc::new(self.columns.iter().map(|column| Some(of(column))).collect::<BooleanArray>())
        };
        let list = |texts: &[String]| (!texts.is_empty()).then(|| texts.join(", "));
        let positions: Int64Array = self.columns.iter().map(|column| i64::try_from(column.position).ok()).collect();
        let arrays: Vec<ArrayRef> = vec![
            text(&|column| Some(column.table.clone())),
            Arc::new(positions),
            text(&|column| Some(column.column.clone())),
            text(&|column| Some(column.column_type.clone())),
            flag(&|column| column.is_required),
            flag(&|column| column.is_personal),
            text(&|column| column.base.map(str::to_owned)),
            text(&|column| column.unit.clone()),
            text(&|column| column.description.clone()),
            text(&|column| list(&column.accepted)),
            text(&|column| column.min.clone()),
            text(&|column| column.max.clone()),
            text(&|column| list(&column.used_by)),
        ];
        RecordBatch::try_new(schema(), arrays).map_err(|error| Error::defect(error.to_string()))
    }
}

#[async_trait]
impl Native for PublishedColumnsStep {
    fn step(&self) -> Arc<Step> {
        Step::of(&SIGNATURE)
    }

    async fn run(&self, engine: &Engine, _: &mut Context) -> Result<Found, DataFusionError> {
        let rows = engine.register_each(PUBLISHED_COLUMNS, schema(), std::iter::once(self.batch())).map_err(outward)?;
        Ok(Found { rows, findings: Findings::Rows, state: None })
    }
}
