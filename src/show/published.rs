//! The tables of publications as SQL reads them: every day's rows, with the day beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::NaiveDate;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, cast, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{DataFrame, ParquetReadOptions, ident};
use futures::{StreamExt, TryStreamExt};
use url::Url;

use crate::diagnostic::Diagnostic;
use crate::engine::{Engine, Limits};
use crate::error::{Error, Message, Result};
use crate::manifest::Commit;
use crate::publish::Publications;
use crate::sql;
use crate::storage::{self, Below, Location};

/// The schema of published tables.
pub const PUBLISHED: &str = "published";
/// The column that says of which day a row is, and its name where the table has one of that name.
const DAY: [&str; 2] = ["as_of", "published_as_of"];
/// Commit files that are read at once.
const READ_AT_ONCE: usize = 16;
/// Enough to read the footers of Parquet files.
const LIMITS: Limits = Limits { threads: 1, memory_bytes: 64 << 20 };

/// Columns that are or may be personal, each with the column of identifiers' types if that says it.
type PersonalColumns = BTreeMap<String, Option<String>>;

/// A published table on all days that are published.
#[derive(Debug)]
pub struct PublishedTable {
    /// The output.
    pub output: String,
    /// Its columns, the day first.
    pub schema: SchemaRef,
    /// The name of the column of the day.
    pub day_column: &'static str,
    /// The columns that are personal on some day, each with the column of identifiers' types if that says it on every such day; none
    /// where it is not known of every day.
    pub personal_columns: Option<PersonalColumns>,
    /// The files of every day, in order.
    days: Vec<(NaiveDate, Vec<String>)>,
}

impl PublishedTable {
    /// The name by which SQL reads it.
    pub fn name(&self) -> String {
        format!("{PUBLISHED}.{}", self.output)
    }

    /// Makes it readable by SQL.
    ///
    /// # Errors
    /// As its files cannot be read.
    pub async fn register(&self, engine: &Engine, destination: &Location) -> Result<()> {
        let unreadable = |error: DataFusionError| unreadable(&self.output, &error);
        let store = register_store(engine, destination)?;
        let mut all: Option<DataFrame> = None;
        for (day, files) in &self.days {
            let frame = read(engine, &store, files).await.map_err(unreadable)?;
            let frame = self.as_declared(*day, frame).map_err(unreadable)?;
            all = Some(match all {
                Some(before) => before.union(frame).map_err(unreadable)?,
                None => frame,
            });
        }
        let all = all.ok_or_else(|| Error::defect(format!("`{}` has no days", self.name())))?;
        engine.register(&self.name(), Arc::new(Whole(all.into_view())))
    }

    /// The rows of a day in the columns of the newest. A column that the day did not have is null.
    fn as_declared(&self, day: NaiveDate, frame: DataFrame) -> Result<DataFrame, DataFusionError> {
        let days = arrow::datatypes::Date32Type::from_naive_date(day);
        let mut columns: Vec<Expr> = vec![lit(ScalarValue::Date32(Some(days))).alias(self.day_column)];
        for field in self.schema.fields().iter().skip(1) {
            let found = frame.schema().field_with_unqualified_name(field.name()).ok();
            columns.push(match found {
                Some(found) if found.data_type() == field.data_type() => ident(field.name()),
                Some(_) => cast(ident(field.name()), field.data_type().clone()).alias(field.name()),
                None => lit(ScalarValue::try_new_null(field.data_type())?).alias(field.name()),
            });
        }
        frame.select(columns)
    }
}

/// A view that queries see as a table of its own name, by which it is known which of its columns are personal.
#[derive(Debug)]
struct Whole(Arc<dyn TableProvider>);

#[async_trait]
impl TableProvider for Whole {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        self.0.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.0.scan(session, projection, filters, limit).await
    }
}

/// Finds published tables by the names of their outputs.
///
/// # Errors
/// [`Error::Project`] for an output that no day has; otherwise as the destination fails.
pub async fn find(known: &Publications, destination: &Location, outputs: &[&str]) -> Result<Vec<PublishedTable>> {
    let days: Vec<NaiveDate> = known.by_day().into_keys().collect();
    let commits = futures::stream::iter(days).map(|day| known.of(day)).buffered(READ_AT_ONCE);
    let commits: Vec<Commit> = commits.try_filter_map(|commit| async { Ok(commit) }).try_collect().await?;
    let engine = Engine::new(LIMITS, "UTC")?;
    let store = register_store(&engine, destination)?;
    let mut found = Vec::new();
    for output in outputs {
        let files = |commit: &Commit| {
            let table = commit.tables.get(*output)?;
            Some((commit.as_of, table.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>()))
        };
        let days: Vec<(NaiveDate, Vec<String>)> = commits.iter().filter_map(files).collect();
        let Some((_, newest)) = days.last() else {
            let tables = commits.iter().flat_map(|commit| commit.tables.keys()).map(|table| format!("{PUBLISHED}.{table}"));
            let tables: Vec<String> = tables.collect();
            let name = format!("{PUBLISHED}.{output}");
            let problem = Diagnostic::error("no-such-output", format!("no publication has a table `{output}`"));
            let nothing = "nothing is published there; `segmill run` publishes, and `--destination` names another place";
            let told =
                if tables.is_empty() { problem.hint(nothing) } else { problem.did_you_mean(&name, tables.iter().map(String::as_str)) };
            return Err(told.into());
        };
        let frame = read(&engine, &store, newest).await.map_err(|error| unreadable(output, &error))?;
        let published = frame.schema().as_arrow().clone();
        let day_column = DAY.into_iter().find(|name| published.column_with_name(name).is_none()).unwrap_or(DAY[1]);
        let day = Arc::new(Field::new(day_column, DataType::Date32, false));
        let nullable = published.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        let schema = Arc::new(Schema::new(std::iter::once(day).chain(nullable).collect::<Vec<_>>()));
        let of_days = commits.iter().filter_map(|commit| commit.tables.get(*output)).map(|table| table.personal_columns.clone());
        let personal_columns = of_days.collect::<Option<Vec<_>>>().map(of_all_days);
        found.push(PublishedTable { output: (*output).to_owned(), schema, day_column, personal_columns, days });
    }
    Ok(found)
}

/// What days say together: a column that several days say different things of is personal.
fn of_all_days(days: Vec<PersonalColumns>) -> PersonalColumns {
    let mut all = PersonalColumns::new();
    for (column, of_type) in days.into_iter().flatten() {
        let found = all.entry(column).or_insert_with(|| of_type.clone());
        if *found != of_type {
            *found = None;
        }
    }
    all
}

/// Makes the files of a destination readable by an engine.
fn register_store(engine: &Engine, destination: &Location) -> Result<Url> {
    let store = Url::parse("published://destination").map_err(|error| Error::defect(error.to_string()))?;
    engine.context().register_object_store(&store, Arc::new(Below::new(destination)));
    Ok(store)
}

async fn read(engine: &Engine, store: &Url, files: &[String]) -> Result<DataFrame, DataFusionError> {
    let urls: Vec<String> = files.iter().map(|path| format!("{store}/{path}")).collect();
    engine.context().read_parquet(urls, ParquetReadOptions::default()).await
}

fn unreadable(output: &str, error: &DataFusionError) -> Error {
    let at_store = storage::failure_within("read", &format!("the published table `{output}`"), error);
    at_store.unwrap_or_else(|| {
        let message = Message::new(format!("the published table `{output}` cannot be read: {}", sql::discreet(error)));
        Error::Refused(message.hint("`segmill outputs` says whether its files are there; `segmill clean --repair` restores them"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_personal_as_all_its_days_say() {
        let day = |columns: &[(&str, Option<&str>)]| -> PersonalColumns {
            columns.iter().map(|(column, of_type)| ((*column).to_owned(), of_type.map(str::to_owned))).collect()
        };
        let all = of_all_days(vec![
            day(&[("identifier", Some("identifier_type")), ("other", Some("other_type"))]),
            day(&[("identifier", None), ("other", Some("other_type")), ("email", None)]),
            day(&[("identifier", Some("identifier_type"))]),
        ]);
        assert_eq!(all, day(&[("identifier", None), ("other", Some("other_type")), ("email", None)]));
    }
}
