//! Runs one check: what it finds, and which rows it objects to.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::lit;
use datafusion::prelude::ident;

use super::super::staging::Staging;
use super::drift::{self, Drift};
use super::offending::Offending;
use super::outcome::{CheckOutcome, EARLIER};
use super::personal::Personal;
use crate::config::{AcceptedValues, Change, Check, CheckKind, Pipeline, RowBounds, SegmentBounds, Spanned, TableColumns};
use crate::diagnostic::{SourceFile, counted};
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::graph::{MEMBERSHIP, PROFILE};
use crate::manifest::Commit;
use crate::sql;
use crate::storage;

/// The most digits after a point that a message shows.
const MOST_DIGITS: usize = 17;

/// Runs the checks of a pipeline.
pub struct Checker<'a> {
    pub engine: &'a Engine,
    pub pipeline: &'a Pipeline,
    pub staging: &'a Staging,
    /// What queries read as `$name`.
    pub parameters: &'a BTreeMap<String, ScalarValue>,
    pub personal: Personal,
    /// The publication of the nearest earlier day.
    pub earlier: Option<Commit>,
    /// Whether there is one and it cannot be read, since files of it are gone.
    pub damaged: bool,
}

/// What a check found.
pub struct Finding {
    pub outcome: CheckOutcome,
    pub found: String,
    pub offending: Option<Offending>,
}

impl Finding {
    fn of(failures: Vec<String>, passed: String) -> Self {
        if failures.is_empty() {
            Finding { outcome: CheckOutcome::Passed, found: passed, offending: None }
        } else {
            Finding { outcome: CheckOutcome::Failed, found: failures.join("; "), offending: None }
        }
    }

    fn skipped(why: String) -> Self {
        Finding { outcome: CheckOutcome::Skipped, found: why, offending: None }
    }
}

/// Customers by segment, of one set, in one publication.
struct Sizes {
    customers: u64,
    by_segment: BTreeMap<String, u64>,
}

impl Checker<'_> {
    /// Runs a check.
    ///
    /// # Errors
    /// [`Error::Refused`] when it fails to run on these rows.
    pub async fn run(&self, check: &Check) -> Result<Finding> {
        let question =
            check.question().ok_or_else(|| Error::defect(format!("the check `{}` says nothing to check", check.name.shown())))?;
        let finding = match question {
            CheckKind::Unique(of) => self.unique(of).await,
            CheckKind::NotNull(of) => self.not_null(of).await,
            CheckKind::Accepted(of) => self.accepted(of).await,
            CheckKind::Rows(of) => Ok(self.rows(of)),
            CheckKind::Sql(query) => self.query(check, query).await,
            CheckKind::SegmentSize(of) => self.segment_size(of).await,
            CheckKind::Change(of) => self.change(of).await,
        };
        finding.map_err(|error| {
            if let Some(error) = storage::failure_within("read back", "the outputs", &error) {
                return error;
            }
            let mut message = Message::new(format!("the check `{}` did not run: {}", check.name.shown(), sql::discreet(&error)));
            if let Some(file) = check.sql.as_ref().map(|query| file_of(check, query))
                && let Ok((statement, _)) = sql::parse(&file)
            {
                message.details = sql::places(sql::suspects(&file, &statement, sql::kind(&error)));
            }
            Error::Refused(message.hint("guard it against such values, for example with `nullif`"))
        })
    }

    async fn unique(&self, of: &TableColumns) -> Result<Finding, DataFusionError> {
        let names: Vec<&str> = of.columns.iter().map(|column| column.value.as_str()).collect();
        let columns: Vec<_> = names.iter().map(|name| ident(*name)).collect();
        let query = self.table(&of.table).await?.aggregate(columns, vec![count(lit(1)).alias("rows")])?.filter(ident("rows").gt(lit(1)))?;
        self.none_of(query, |rows| format!("{} of {} {} in several rows", counted(rows, "value"), names.join(", "), verb(rows, "stand")))
            .await
    }

    async fn not_null(&self, of: &TableColumns) -> Result<Finding, DataFusionError> {
        let names: Vec<&str> = of.columns.iter().map(|column| column.value.as_str()).collect();
        let missing = names.iter().map(|name| ident(*name).is_null()).reduce(datafusion::logical_expr::Expr::or);
        let query = self.table(&of.table).await?.filter(missing.unwrap_or_else(|| lit(false)))?;
        self.none_of(self.with_key(query, &of.table, &names)?, |rows| {
            format!("{} {} {}", counted(rows, "row"), verb(rows, "lack"), names.join(" or "))
        })
        .await
    }

    async fn accepted(&self, of: &AcceptedValues) -> Result<Finding, DataFusionError> {
        let name = of.column.value.as_str();
        let table = self.table(&of.table).await?;
        let data_type = table.schema().field_with_unqualified_name(name)?.data_type().clone();
        let values = of.values.iter().map(|value| ScalarValue::from(value.value.as_str()).cast_to(&data_type).map(lit));
        let other = ident(name).in_list(values.collect::<Result<_, _>>()?, true);
        let query = self.with_key(table.filter(other)?, &of.table, &[name])?;
        self.none_of(query, |rows| format!("{} whose `{name}` is none of the accepted values", counted(rows, "row"))).await
    }

    fn rows(&self, of: &RowBounds) -> Finding {
        let rows = self.staging.tables.get(&of.table.value).map_or(0, |table| table.rows);
        Finding::of(outside(rows, of.min, of.max, "row").into_iter().collect(), counted(rows, "row"))
    }

    async fn query(&self, check: &Check, query: &Spanned<String>) -> Result<Finding, DataFusionError> {
        let file = file_of(check, query);
        // It was parsed when the run was planned.
        let (statement, _) = sql::parse(&file).map_err(|_| DataFusionError::Internal("a check is not a query".to_owned()))?;
        let query = self.engine.frame(self.engine.plan(&statement, self.parameters).await?);
        self.none_of(query, |rows| format!("the query returned {}", counted(rows, "row"))).await
    }

    async fn segment_size(&self, of: &SegmentBounds) -> Result<Finding, DataFusionError> {
        let sizes = self.sizes(&of.segment_set.value, None).await?;
        let mut failures = Vec::new();
        for segment in self.segments(&of.segment_set.value, of.segment.as_ref()) {
            let members = sizes.by_segment.get(segment).copied().unwrap_or(0);
            let mut found: Vec<String> = outside(members, of.min_customers, of.max_customers, "customer").into_iter().collect();
            let share = share_of(members, sizes.customers);
            let told = |bound: f64, what: &str| {
                let (share, bound) = apart(share, bound, percent);
                format!("{share}, {what} than {bound}")
            };
            found.extend(of.min_share.filter(|least| share < *least).map(|least| told(least, "fewer")));
            found.extend(of.max_share.filter(|most| share > *most).map(|most| told(most, "more")));
            failures.extend(found.into_iter().map(|found| format!("`{segment}` has {found}")));
        }
        Ok(Finding::of(failures, format!("{} in the set", counted(sizes.customers, "customer"))))
    }

    async fn change(&self, of: &Change) -> Result<Finding, DataFusionError> {
        let Some(earlier) = &self.earlier else {
            if self.damaged {
                return Ok(Finding::skipped(
                    "the publication of the day before is damaged: `segmill clean` lists the missing files".to_owned(),
                ));
            }
            return Ok(Finding::skipped("there is no publication of an earlier day to compare with".to_owned()));
        };
        match (&of.table, &of.column, &of.segment_set) {
            (Some(table), None, _) => Ok(self.row_change(of, table, earlier)),
            (Some(table), Some(column), _) => self.value_change(of, table, column, earlier).await,
            (_, _, Some(set)) => self.share_change(of, set, earlier).await,
            (None, _, None) => Err(DataFusionError::Internal("a check of change names nothing".to_owned())),
        }
    }

    fn row_change(&self, of: &Change, table: &Spanned<String>, earlier: &Commit) -> Finding {
        let Some(before) = earlier.tables.get(&table.value).map(|table| table.rows).filter(|rows| *rows > 0) else {
            return Finding::skipped(format!("{} has no rows of `{}`", publication(earlier), table.shown()));
        };
        let now = self.staging.tables.get(&table.value).map_or(0, |table| table.rows);
        let change = share_of(now, before) - 1.0;
        let found = |change: String| format!("{} after {before} in {}, {change}", counted(now, "row"), publication(earlier));
        let told = |change: f64, bound: f64, sign: &str, what: &str| {
            let (change, bound) = apart(change, bound, percent);
            format!("{}, a {what} of more than {bound}", found(format!("{sign}{change}")))
        };
        let too_few = of.max_fall.filter(|most| -change > *most).map(|most| told(-change, most, "-", "fall"));
        let too_many = of.max_rise.filter(|most| change > *most).map(|most| told(change, most, "+", "rise"));
        let found = found(signed_percent(change));
        Finding::of(too_few.into_iter().chain(too_many).collect(), found)
    }

    async fn share_change(&self, of: &Change, set: &Spanned<String>, earlier: &Commit) -> Result<Finding, DataFusionError> {
        let (Some(most), Some(_)) = (of.max_points, self.membership().filter(|name| earlier.tables.contains_key(*name))) else {
            return Ok(Finding::skipped(format!("{} has no memberships", publication(earlier))));
        };
        let before = self.sizes(&set.value, Some(earlier)).await?;
        let now = self.sizes(&set.value, None).await?;
        if before.customers == 0 || before.by_segment.is_empty() {
            return Ok(Finding::skipped(format!("{} has no set `{}`", publication(earlier), set.shown())));
        }
        let mut failures = Vec::new();
        let mut largest: f64 = 0.0;
        for segment in self.segments(&set.value, of.segment.as_ref()) {
            let share = |sizes: &Sizes| share_of(sizes.by_segment.get(segment).copied().unwrap_or(0), sizes.customers);
            let (old, new) = (share(&before), share(&now));
            largest = largest.max((new - old).abs());
            if (new - old).abs() > most {
                // With as many digits as it takes for their difference to be more than that.
                let read = |share: f64, digits: usize| percent(share, digits).trim_end_matches('%').parse::<f64>().unwrap_or(share) / 100.0;
                let is_true = |digits: &usize| (read(new, *digits) - read(old, *digits)).abs() > most;
                let digits = (1..=MOST_DIGITS).find(is_true).unwrap_or(MOST_DIGITS);
                let (old, new) = (percent(old, digits), percent(new, digits));
                failures.push(format!("`{segment}` went from {old} to {new}, by more than {most} of all customers"));
            }
        }
        Ok(Finding::of(failures, format!("no share moved by more than {} since {}", percent(largest, 1), publication(earlier))))
    }

    async fn value_change(
        &self,
        of: &Change,
        table: &Spanned<String>,
        column: &Spanned<String>,
        earlier: &Commit,
    ) -> Result<Finding, DataFusionError> {
        let name = column.value.as_str();
        let known = earlier.tables.get(&table.value).is_some_and(|table| table.columns.iter().any(|column| column.name == name));
        let Some(most) = of.max_psi.filter(|_| known) else {
            return Ok(Finding::skipped(format!("{} has no `{}.{name}`", publication(earlier), table.shown())));
        };
        let before = self.engine.context().table(format!("{EARLIER}.{}", table.value)).await?;
        let (before, now) = (values(before, name).await?, values(self.table(table).await?, name).await?);
        let Ok(before) = arrow::compute::cast(&before, now.data_type()) else {
            return Ok(Finding::skipped(format!("`{name}` was of another type in {}", publication(earlier))));
        };
        Ok(match drift::drift(&before, &now)? {
            Drift::TooFewRows(fewest) => {
                Finding::skipped(format!("there are fewer than {fewest} rows now or in {}, too few to compare", publication(earlier)))
            }
            Drift::Index(index) => {
                let told = |index: &str| format!("the population stability index of `{name}` is {index} since {}", publication(earlier));
                let (apart_index, _) = apart(index, most, |value, digits| format!("{value:.*}", digits + 3));
                let failed = (index > most).then(|| format!("{}, above {most}", told(&apart_index)));
                let found = told(&format!("{index:.4}"));
                Finding::of(failed.into_iter().collect(), found)
            }
        })
    }

    /// Objects to every row of a query.
    async fn none_of(&self, query: DataFrame, told: impl FnOnce(u64) -> String) -> Result<Finding, DataFusionError> {
        let offending = Offending::of(query, &self.personal).await?;
        Ok(match offending.count {
            0 => Finding { outcome: CheckOutcome::Passed, found: "no row objected to".to_owned(), offending: None },
            rows => Finding { outcome: CheckOutcome::Failed, found: told(rows), offending: Some(offending) },
        })
    }

    async fn table(&self, name: &Spanned<String>) -> Result<DataFrame, DataFusionError> {
        self.engine.context().table(name.value.as_str()).await
    }

    /// The key of an output and some columns of it.
    fn with_key(&self, query: DataFrame, table: &Spanned<String>, columns: &[&str]) -> Result<DataFrame, DataFusionError> {
        let key = self.pipeline.outputs.tables.get(&table.value).into_iter().flat_map(|output| &output.sort);
        let mut names: Vec<&str> = key.map(|column| column.value.as_str()).collect();
        names.extend(columns.iter().filter(|column| !names.contains(column)).copied().collect::<Vec<_>>());
        query.select(names.into_iter().map(ident).collect::<Vec<_>>())
    }

    /// The segments that a check is about.
    fn segments<'a>(&'a self, set: &str, one: Option<&'a Spanned<String>>) -> Vec<&'a str> {
        match one {
            Some(one) => vec![one.value.as_str()],
            None => {
                let segments = self.pipeline.segments.get(set).into_iter().flat_map(|set| &set.segments);
                segments.map(|segment| segment.name.value.as_str()).collect()
            }
        }
    }

    /// The output that holds a model.
    fn output_of(&self, model: &str) -> Option<&str> {
        self.pipeline.outputs.tables.iter().find(|(_, table)| table.model.value == model).map(|(name, _)| name.as_str())
    }

    fn membership(&self) -> Option<&str> {
        self.output_of(MEMBERSHIP)
    }

    /// How many customers a publication has, and how many each segment of a set; this run's unless an earlier one is named.
    async fn sizes(&self, set: &str, earlier: Option<&Commit>) -> Result<Sizes, DataFusionError> {
        let internal = || DataFusionError::Internal("the outputs lack customers or memberships".to_owned());
        let (membership, profile) = (self.membership().ok_or_else(internal)?, self.output_of(PROFILE).ok_or_else(internal)?);
        let tables = earlier.map_or(&self.staging.tables, |commit| &commit.tables);
        let customers = tables.get(profile).map_or(0, |table| table.rows);
        let table = earlier.map_or(membership.to_owned(), |_| format!("{EARLIER}.{membership}"));
        let rows = self.engine.context().table(table).await?.filter(ident("segment_set").eq(lit(set)))?;
        let counted = rows.aggregate(vec![ident("segment")], vec![count(lit(1)).alias("customers")])?;
        let text = |name: &str| datafusion::logical_expr::cast(ident(name), arrow::datatypes::DataType::Utf8);
        let mut by_segment = BTreeMap::new();
        for batch in counted.select(vec![text("segment"), ident("customers")])?.collect().await? {
            let (names, counts) = (batch.column(0).as_string::<i32>(), batch.column(1).as_any().downcast_ref::<Int64Array>());
            for row in 0..batch.num_rows() {
                let count = counts.map_or(0, |counts| counts.value(row));
                by_segment.insert(names.value(row).to_owned(), u64::try_from(count).unwrap_or(0));
            }
        }
        Ok(Sizes { customers, by_segment })
    }
}

/// The text of a check's query, whose places are counted in it.
fn file_of(check: &Check, query: &Spanned<String>) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: format!("check `{}`", check.name.shown()), text: query.value.clone() })
}

/// A column of a table as one array.
async fn values(table: DataFrame, column: &str) -> Result<ArrayRef, DataFusionError> {
    let query = table.select(vec![ident(column)])?;
    let data_type = query.schema().field(0).data_type().clone();
    let batches = query.collect().await?;
    let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
    if arrays.is_empty() { Ok(arrow::array::new_empty_array(&data_type)) } else { Ok(arrow::compute::concat(&arrays)?) }
}

/// A count outside its bounds, in words.
fn outside(count: u64, min: Option<u64>, max: Option<u64>, what: &str) -> Option<String> {
    let below = min.filter(|min| count < *min).map(|min| format!("{}, fewer than {min}", counted(count, what)));
    below.or_else(|| max.filter(|max| count > *max).map(|max| format!("{}, more than {max}", counted(count, what))))
}

/// A verb as it goes with a count.
fn verb(count: u64, plural: &str) -> String {
    if count == 1 { format!("{plural}s") } else { plural.to_owned() }
}

fn publication(commit: &Commit) -> String {
    format!("the publication as of {}", commit.as_of)
}

#[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
fn share_of(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A share with so many digits after the point.
fn percent(share: f64, digits: usize) -> String {
    format!("{:.digits$}%", share * 100.0)
}

/// Two numbers that differ, with as many digits as it takes to show it.
fn apart(one: f64, other: f64, shown: impl Fn(f64, usize) -> String) -> (String, String) {
    let pairs = (1..=MOST_DIGITS).map(|digits| (shown(one, digits), shown(other, digits)));
    let mut last = (shown(one, 1), shown(other, 1));
    for pair in pairs {
        let differs = pair.0 != pair.1;
        last = pair;
        if differs {
            break;
        }
    }
    if one.total_cmp(&other).is_eq() { (shown(one, 1), shown(other, 1)) } else { last }
}

fn signed_percent(share: f64) -> String {
    format!("{:+.1}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_differ_are_shown_apart() {
        for (one, other, shown) in [
            (0.5, 0.7, ("50.0%", "70.0%")),
            (0.700_04, 0.7, ("70.004%", "70.000%")),
            (0.999_999, 1.0, ("99.9999%", "100.0000%")),
            (0.1, 0.1, ("10.0%", "10.0%")),
            (1e-9, 0.0, ("0.0000001%", "0.0000000%")),
        ] {
            let found = apart(one, other, percent);
            assert_eq!((found.0.as_str(), found.1.as_str()), shown);
        }
    }
}
