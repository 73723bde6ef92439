//! Reads the published tables that figures are made of: groups of rows, with what is counted and summed of them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::Column;
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, JoinType, lit, when};
use datafusion::prelude::{DataFrame, ParquetReadOptions};
use url::Url;

use super::types::Amount;
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::manifest::Commit;
use crate::sql;
use crate::storage::{self, Below, Location};

/// Digits of the decimals in which amounts are read.
const AMOUNT_PRECISION: u8 = 38;

/// Reads tables of publications at a destination.
pub struct Tables<'a> {
    engine: &'a Engine,
    root: Url,
}

impl<'a> Tables<'a> {
    /// Reads at a destination with an engine.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn new(engine: &'a Engine, destination: &Location) -> Result<Self> {
        let root = Url::parse("figures://destination").map_err(|error| Error::defect(error.to_string()))?;
        engine.context().register_object_store(&root, Arc::new(Below::new(destination)));
        Ok(Tables { engine, root })
    }

    /// A table of a publication; none if it does not have it, or if it has no files.
    ///
    /// # Errors
    /// As the store fails, or a file is damaged.
    pub async fn table(&self, commit: &Commit, output: &str) -> Result<Option<Published>> {
        let Some(table) = commit.tables.get(output).filter(|table| !table.files.is_empty()) else { return Ok(None) };
        let urls: Vec<String> = table.files.iter().map(|file| format!("{}/{}", self.root, file.path)).collect();
        let read = self.engine.context().read_parquet(urls, ParquetReadOptions::default()).await;
        let output = output.to_owned();
        match read {
            Ok(rows) => Ok(Some(Published { output, rows })),
            Err(error) => Err(unreadable(&output, &error)),
        }
    }
}

/// The rows of a published table.
#[derive(Clone)]
pub struct Published {
    output: String,
    rows: DataFrame,
}

impl Published {
    /// Whether it has a column.
    pub fn has(&self, column: &str) -> bool {
        self.rows.schema().has_column_with_unqualified_name(column)
    }

    /// The type of a column.
    pub fn type_of(&self, column: &str) -> Option<&DataType> {
        self.rows.schema().field_with_unqualified_name(column).ok().map(|field| field.data_type())
    }

    /// What follows from its rows.
    ///
    /// # Errors
    /// As its columns are not of the types that are expected.
    pub fn then(self, make: impl FnOnce(DataFrame) -> Result<DataFrame, DataFusionError>) -> Result<Self> {
        let Published { output, rows } = self;
        let rows = make(rows).map_err(|error| unreadable(&output, &error))?;
        Ok(Published { output, rows })
    }

    /// Its rows beside those of another table where two columns are equal.
    ///
    /// # Errors
    /// As the columns are not there.
    pub fn beside(self, other: &Published, how: JoinType, column: &str, others: &str) -> Result<Self> {
        self.then(|rows| rows.join(other.rows.clone(), how, &[column], &[others], None))
    }

    /// For each combination of the values of some columns, what is counted and summed of its rows; in order of these values, null first.
    /// There is one group, which may have no rows, if no columns are named.
    ///
    /// # Errors
    /// As the files cannot be read.
    pub async fn grouped(self, by: Vec<Expr>, measures: Vec<Expr>) -> Result<Vec<Group>> {
        let keys = by.len();
        let batches = self.then(|rows| rows.aggregate(by, measures))?.collect().await?;
        let mut groups = Vec::new();
        for batch in &batches {
            let columns: Vec<Vec<Value>> = batch.columns().iter().map(values).collect::<Result<_>>()?;
            for row in 0..batch.num_rows() {
                let mut row: Vec<Value> = columns.iter().map(|column| column[row].clone()).collect();
                let measures = row.split_off(keys);
                groups.push(Group { keys: row, measures });
            }
        }
        groups.sort_by(|one, other| one.keys.cmp(&other.keys));
        Ok(groups)
    }

    /// Its rows.
    ///
    /// # Errors
    /// As the files cannot be read.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        self.rows.collect().await.map_err(|error| unreadable(&self.output, &error))
    }

    /// Its rows, a batch at a time.
    ///
    /// # Errors
    /// As the files cannot be read.
    pub async fn each(self, mut take: impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        use futures::TryStreamExt;
        let told = |error: &DataFusionError| unreadable(&self.output, error);
        let mut stream = self.rows.execute_stream().await.map_err(|error| told(&error))?;
        while let Some(batch) = stream.try_next().await.map_err(|error| told(&error))? {
            take(&batch)?;
        }
        Ok(())
    }
}

/// Rows that have the same values in some columns.
#[derive(Debug)]
pub struct Group {
    /// These values.
    pub keys: Vec<Value>,
    /// What was counted and summed of the rows.
    pub measures: Vec<Value>,
}

/// A value of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Null.
    Unknown,
    /// An integer.
    Integer(i64),
    /// A text, or another value as text.
    Text(String),
    /// A decimal: its digits, and how many are after the point.
    Decimal(i128, u8),
}

impl Value {
    /// As a count.
    pub fn count(&self) -> u64 {
        match self {
            Value::Integer(count) => u64::try_from(*count).unwrap_or(0),
            _ => 0,
        }
    }

    /// As an amount; none if it is not known.
    pub fn amount(&self) -> Option<Amount> {
        match self {
            Value::Integer(amount) => Some(Amount { unscaled: i128::from(*amount), scale: 0 }),
            Value::Decimal(unscaled, scale) => Some(Amount { unscaled: *unscaled, scale: *scale }),
            Value::Unknown | Value::Text(_) => None,
        }
    }

    /// As an integer; none if it is none.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// As text; none if it is not known.
    pub fn text(&self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(integer) => Some(integer.to_string()),
            Value::Unknown | Value::Decimal(..) => None,
        }
    }
}

/// The values of an array.
fn values(array: &Arc<dyn Array>) -> Result<Vec<Value>> {
    let as_type = |data_type: &DataType| cast(array, data_type).map_err(|error| Error::defect(error.to_string()));
    Ok(match array.data_type() {
        integer if integer.is_integer() => as_type(&DataType::Int64)?
            .as_primitive::<Int64Type>()
            .iter()
            .map(|value| value.map_or(Value::Unknown, Value::Integer))
            .collect(),
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
            let digits = u8::try_from(*scale).unwrap_or(0);
            let decimals = as_type(&DataType::Decimal128(AMOUNT_PRECISION, *scale))?;
            let decimals = decimals.as_primitive::<Decimal128Type>().iter();
            decimals.map(|value| value.map_or(Value::Unknown, |value| Value::Decimal(value, digits))).collect()
        }
        _ => {
            let texts = as_type(&DataType::Utf8)?;
            texts.as_string::<i32>().iter().map(|value| value.map_or(Value::Unknown, |value| Value::Text(value.to_owned()))).collect()
        }
    })
}

/// A column by its name as it is written.
pub fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// How many rows there are.
pub fn rows() -> Expr {
    count(lit(1_i64)).alias("rows")
}

/// For how many rows a condition is true.
pub fn how_many(condition: Expr, name: &str) -> Result<Expr> {
    let counted = when(condition, lit(1_i64)).end().map_err(|error| Error::defect(error.to_string()))?;
    Ok(count(counted).alias(name))
}

/// The sum of a column.
pub fn total(of: &str, name: &str) -> Expr {
    sum(column(of)).alias(name)
}

fn unreadable(output: &str, error: &DataFusionError) -> Error {
    let what = format!("the published table `{output}`");
    storage::failure_within("read", &what, error).unwrap_or_else(|| {
        let message = Message::new(format!("{what} cannot be read: {}", sql::discreet(error)));
        Error::Refused(message.hint("`segmill outputs` says whether its files are there; `segmill clean --repair` restores them"))
    })
}
