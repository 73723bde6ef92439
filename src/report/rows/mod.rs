//! Rows as people and programs read them: a table for a terminal, CSV, JSON or Parquet.

mod cells;
mod csv;
mod json;
mod parquet;
mod table;

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::diagnostic::Diagnostic;
use crate::error::Result;

/// A form in which rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// A table for people, for so many columns of a terminal.
    Table {
        /// The columns of the terminal.
        width: usize,
    },
    /// CSV (RFC 4180) with a header. A text without characters is `""`, and nothing stands for null.
    Csv,
    /// JSON, one object on each line.
    Json,
    /// Parquet.
    Parquet,
}

/// Writes rows in a form. Every method returns the bytes that come next.
pub struct RowWriter {
    form: Form,
}

enum Form {
    Table(table::Table),
    Csv,
    Json(Vec<String>),
    Parquet(Option<Box<parquet::Parquet>>),
}

impl RowWriter {
    /// Nothing has been written.
    pub fn new(format: RowFormat) -> Self {
        let form = match format {
            RowFormat::Table { width } => Form::Table(table::Table::new(width)),
            RowFormat::Csv => Form::Csv,
            RowFormat::Json => Form::Json(Vec::new()),
            RowFormat::Parquet => Form::Parquet(None),
        };
        RowWriter { form }
    }

    /// Takes the columns, before any row.
    ///
    /// # Errors
    /// [`crate::error::Error::Project`] for columns that the form cannot have.
    pub fn begin(&mut self, schema: &SchemaRef) -> Result<Vec<u8>> {
        match &mut self.form {
            Form::Table(table) => {
                table.begin(schema);
                Ok(Vec::new())
            }
            Form::Csv => Ok(csv::header(schema)),
            Form::Json(names) => {
                named_once(schema)?;
                *names = json::names(schema);
                Ok(Vec::new())
            }
            Form::Parquet(parquet) => {
                named_once(schema)?;
                *parquet = Some(Box::new(parquet::Parquet::new(schema)?));
                Ok(Vec::new())
            }
        }
    }

    /// Takes some rows.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] for values that the form cannot have.
    pub fn rows(&mut self, rows: &RecordBatch) -> Result<Vec<u8>> {
        match &mut self.form {
            Form::Table(table) => table.add(rows).map(|()| Vec::new()),
            Form::Csv => csv::lines(rows),
            Form::Json(names) => json::lines(names, rows),
            Form::Parquet(Some(parquet)) => parquet.add(rows),
            Form::Parquet(None) => Ok(Vec::new()),
        }
    }

    /// What comes after the last row. People are told how many rows there were, and whether there are more.
    ///
    /// # Errors
    /// As [`RowWriter::rows`].
    pub fn end(self, has_more: bool) -> Result<Vec<u8>> {
        match self.form {
            Form::Table(table) => Ok(table.written(has_more).into_bytes()),
            Form::Csv | Form::Json(_) | Form::Parquet(None) => Ok(Vec::new()),
            Form::Parquet(Some(parquet)) => parquet.end(),
        }
    }
}

/// Columns that readers find by name must have different names.
fn named_once(schema: &SchemaRef) -> Result<()> {
    let mut seen = BTreeSet::new();
    match schema.fields().iter().find(|field| !seen.insert(field.name())) {
        None => Ok(()),
        Some(twice) => {
            let what = format!("two columns are called `{}`", crate::shown::column(twice.name()));
            Err(Diagnostic::error("duplicate-column", what).hint("give one of them another name, as in `select a.id as other_id`").into())
        }
    }
}
