//! `segmill show`: the rows of a model, a source or an output, or its columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::look;
use super::looks::{RowsFormat, ShowArguments};
use super::runtimes;
use super::terminal::Terminal;
use crate::config::Environment;
use crate::error::{Error, Result};
use crate::report::{RowFormat, RowWriter};
use crate::show::{self, ColumnDescription, Question};
use crate::storage::Stores;

/// The width of a table of columns: descriptions are cut, and not wrapped.
const WIDTH: usize = 200;

/// Runs the command.
pub fn command(arguments: ShowArguments, environment: Environment, terminal: &Terminal) -> Result<()> {
    let ShowArguments { name, project, condition, customer, schema, look: wanted } = arguments;
    let setting = look::setting(project, &wanted, environment)?;
    let question = Question::Table { name, condition, customer };
    if !schema {
        return look::look(setting, question, wanted, terminal);
    }
    let stores = Stores::new(setting.environment.clone());
    let columns = runtimes::working(1)?.block_on(show::columns(&setting, &question, &stores))?;
    let format = match wanted.format {
        RowsFormat::Table => RowFormat::Table { width: WIDTH },
        RowsFormat::Csv => RowFormat::Csv,
        RowsFormat::Json => RowFormat::Json,
        RowsFormat::Parquet => RowFormat::Parquet,
    };
    let rows = rows(&columns)?;
    let mut writer = RowWriter::new(format);
    let mut bytes = writer.begin(&rows.schema())?;
    bytes.extend(writer.rows(&rows)?);
    bytes.extend(writer.end(false)?);
    match &wanted.output {
        Some(path) => std::fs::write(path, bytes).map_err(|error| look::unwritten(path, &error)),
        None => Terminal::print_part(&bytes, wanted.format != RowsFormat::Parquet).map(drop),
    }
}

fn rows(columns: &[ColumnDescription]) -> Result<RecordBatch> {
    let texts = |of: &dyn Fn(&ColumnDescription) -> Option<String>| Arc::new(columns.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("column", texts(&|column| Some(column.column.clone())), false),
        ("type", texts(&|column| Some(column.column_type.clone())), false),
        ("personal", texts(&|column| Some(column.personal.clone())), false),
        ("description", texts(&|column| column.description.clone()), true),
    ]);
    batch.map_err(|error| Error::defect(error.to_string()))
}
