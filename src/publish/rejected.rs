//! The table of rejected rows and values, which every publication has beside its outputs.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// The columns of the table.
pub fn rejected_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        text("source"),
        text("file"),
        Field::new("row_number", DataType::Int64, false),
        text("scope"),
        Field::new("column", DataType::Utf8, true),
        text("reason"),
        text("raw"),
    ]))
}

/// What the columns of [`rejected_schema`] mean.
pub const REJECTED_DESCRIPTIONS: &[(&str, &str)] = &[
    ("source", "The source"),
    ("file", "The file"),
    ("row_number", "The line of a text file on which the record begins, or the row of a Parquet file"),
    ("scope", "`row` if the row was left out, `value` if a value became null"),
    ("column", "The column that broke the contract"),
    ("reason", "The reason, such as `not-a-decimal`"),
    ("raw", "The row, with personal values masked"),
];
