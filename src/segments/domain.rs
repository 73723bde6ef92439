//! The declared domains of the profile's columns, and the verification that a computed profile keeps to them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, RecordBatch, Scalar, StringArray};
use arrow::compute::kernels::cmp;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;

use super::movement::is_revenue;
use super::rule::{self, of_columns};
use crate::cast;
use crate::config::{ProfileColumn, Project, Spanned, Values, key_span, placed, span_of};
use crate::diagnostic::Diagnostic;
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::graph::PROFILE;
use crate::sql;

/// The most values that a column of the profile may list.
const MAX_ACCEPTED: usize = 2_000;

/// The declarations about the profile.
#[derive(Debug, Default, Clone)]
pub struct Domains {
    columns: Vec<ColumnDomain>,
    always: Vec<Always>,
}

/// The values that a column may have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ColumnDomain {
    pub name: String,
    pub data_type: DataType,
    pub required: bool,
    /// The only values there are; none when they are not listed.
    pub accepted: Vec<ScalarValue>,
    pub min: Option<ScalarValue>,
    pub max: Option<ScalarValue>,
}

/// A condition that is true for every customer.
#[derive(Debug, Clone)]
pub(super) struct Always {
    pub text: String,
    /// The condition as messages show it.
    pub shown: String,
    /// Where it stands.
    place: String,
    condition: Arc<dyn PhysicalExpr>,
}

impl Domains {
    /// Types the declarations about the columns of the profile.
    ///
    /// # Errors
    /// [`Error::Project`] with every column that is not there, every value that is not of its column's type, and every
    /// condition that does not compile.
    pub fn compile(project: &Project, values: &Values, engine: &Engine, profile: &SchemaRef) -> Result<Self> {
        let mut problems = Vec::new();
        let mut domains = Domains::default();
        for (name, declared) in &project.pipeline.profile.columns {
            let Some((_, field)) = profile.column_with_name(name) else {
                let names = profile.fields().iter().map(|field| field.name().as_str());
                let problem = Diagnostic::error("unknown-column", format!("the profile `{PROFILE}` has no column `{name}`"));
                problems.push(problem.at(key_span(&project.file, name, declared)).label("not a column of it").did_you_mean(name, names));
                continue;
            };
            if declared.value.accepted.len() > MAX_ACCEPTED {
                let what = format!("the column `{name}` accepts more than {MAX_ACCEPTED} values");
                let problem = Diagnostic::error("too-many-values", what).at(key_span(&project.file, name, declared));
                problems.push(problem.label("too many to be proved with").hint("leave `accepted` out, or say `min` and `max`"));
                continue;
            }
            if !declared.value.has_domain() {
                continue;
            }
            match column(project, name, &declared.value, field.data_type()) {
                Ok(column) => domains.columns.push(column),
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(misnamed_revenue(project, profile));
        let schema = DFSchema::try_from(profile.as_ref().clone()).map_err(|error| Error::defect(error.to_string()))?;
        for condition in &project.pipeline.profile.always {
            match rule::compile(engine, &schema, &values.parameters, &condition.value) {
                Ok(compiled) => {
                    domains.always.push(Always {
                        text: condition.value.clone(),
                        shown: condition.shown().to_owned(),
                        place: span_of(&project.file, condition).to_string(),
                        condition: compiled,
                    });
                }
                Err(found) => {
                    problems.extend(found.into_iter().map(|problem| placed(&project.file, condition, problem)));
                }
            }
        }
        if problems.is_empty() { Ok(domains) } else { Err(Error::Project(problems)) }
    }

    /// These declarations, and of columns whose least and greatest value are known by themselves, what they do not say.
    #[must_use]
    pub fn with_bounds(mut self, profile: &SchemaRef, bounds: &[(String, f64, f64)]) -> Self {
        for (name, least, most) in bounds {
            let Some((_, field)) = profile.column_with_name(name).filter(|(_, field)| field.data_type().is_numeric()) else { continue };
            let value = |number: f64| ScalarValue::Float64(Some(number)).cast_to(field.data_type()).ok().filter(|_| number.is_finite());
            let at = self.columns.iter().position(|column| column.name == *name).unwrap_or_else(|| {
                let (name, data_type) = (name.clone(), field.data_type().clone());
                self.columns.push(ColumnDomain { name, data_type, required: false, accepted: Vec::new(), min: None, max: None });
                self.columns.len() - 1
            });
            let column = &mut self.columns[at];
            if column.accepted.is_empty() {
                column.min = column.min.take().or_else(|| value(*least));
                column.max = column.max.take().or_else(|| value(*most));
            }
        }
        self
    }

    #[cfg(test)]
    pub(super) fn of(columns: Vec<ColumnDomain>) -> Self {
        Domains { columns, always: Vec::new() }
    }

    /// These declarations and others.
    pub(super) fn and(&self, more: Vec<ColumnDomain>) -> Self {
        let columns = self.columns.iter().cloned().chain(more).collect();
        Domains { columns, always: self.always.clone() }
    }

    pub(super) fn column(&self, name: &str) -> Option<&ColumnDomain> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The declarations about some of the columns.
    pub(super) fn only(&self, names: &[&str]) -> Self {
        let columns = self.columns.iter().filter(|column| names.contains(&column.name.as_str())).cloned().collect();
        Domains { columns, always: Vec::new() }
    }

    /// The same declarations without the lists of accepted values.
    pub(super) fn without_lists(&self) -> Self {
        let columns = self.columns.iter().map(|column| ColumnDomain { accepted: Vec::new(), ..column.clone() }).collect();
        Domains { columns, always: self.always.clone() }
    }

    /// The conditions that are true for every customer, as messages show them.
    pub(super) fn always_shown(&self) -> impl Iterator<Item = &str> {
        self.always.iter().map(|always| always.shown.as_str())
    }

    pub(super) fn always(&self) -> impl Iterator<Item = &str> {
        self.always.iter().map(|always| always.text.as_str())
    }

    /// Verifies that a computed profile keeps to its declared domains, with which the rules were proved.
    pub fn verification(&self) -> Verification<'_> {
        let columns = self.columns.iter().map(|column| (column, Faults::default())).collect();
        Verification { columns, always: self.always.iter().map(|always| (always, 0)).collect() }
    }
}

/// Counts the rows of a profile that break a declaration.
#[derive(Debug)]
pub struct Verification<'a> {
    columns: Vec<(&'a ColumnDomain, Faults)>,
    /// Each condition, with the number of customers for whom it does not hold.
    always: Vec<(&'a Always, usize)>,
}

impl Verification<'_> {
    /// Verifies the next rows.
    ///
    /// # Errors
    /// [`Error::Refused`] when a declared condition fails to evaluate on a row.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        for (column, faults) in &mut self.columns {
            if let Some(array) = batch.column_by_name(&column.name) {
                faults
                    .add(column, array)
                    .map_err(|error| Error::defect(format!("the profile was not checked: {}", sql::discreet(&error.into()))))?;
            }
        }
        for (always, customers) in &mut self.always {
            let asked = always.condition.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
            let asked = asked.map_err(|error| {
                let what = format!("the condition `{}` of `profile: always` failed: {}", always.shown, sql::discreet(&error));
                let message = Message::new(what).detail(format!("at {}{}", always.place, of_columns(&always.condition)));
                Error::Refused(message.hint("guard the condition against such values, for example with `nullif`"))
            })?;
            *customers += batch.num_rows() - asked.as_boolean().true_count();
        }
        Ok(())
    }

    /// The result so far.
    ///
    /// # Errors
    /// [`Error::Refused`] with every declaration that does not hold, and for how many customers. The message contains no values.
    pub fn finish(&self) -> Result<()> {
        let columns = self.columns.iter().flat_map(|(column, faults)| faults.told(column));
        let always = self.always.iter().filter(|(_, customers)| *customers > 0);
        let always = always.map(|(always, customers)| format!("`{}` is not true for {}", always.shown, customers_of(*customers)));
        let broken: Vec<String> = columns.chain(always).collect();
        if broken.is_empty() {
            return Ok(());
        }
        let what = format!("`{PROFILE}` breaks what `profile` in the pipeline file declares");
        let hint =
            "nothing was published; correct the SQL that computes the column, or the declaration that segment rules were proved with";
        Err(Error::Refused(Message::new(what).details(broken).hint(hint)))
    }
}

impl ColumnDomain {
    /// Which of some values are allowed. Null is not judged here.
    pub(super) fn admits(&self, array: &ArrayRef) -> Result<BooleanArray, arrow::error::ArrowError> {
        let mut admitted = BooleanArray::from(vec![self.accepted.is_empty(); array.len()]);
        for value in &self.accepted {
            admitted = arrow::compute::or(&admitted, &against(array, value, |a, b| cmp::not_distinct(a, b))?)?;
        }
        if let Some(min) = &self.min {
            admitted = arrow::compute::and(&admitted, &against(array, min, |a, b| cmp::gt_eq(a, b))?)?;
        }
        if let Some(max) = &self.max {
            admitted = arrow::compute::and(&admitted, &against(array, max, |a, b| cmp::lt_eq(a, b))?)?;
        }
        Ok(admitted)
    }
}

/// The number of rows in which a column breaks a declaration, for each declaration.
#[derive(Debug, Default)]
struct Faults {
    missing: usize,
    too_small: usize,
    too_large: usize,
    not_accepted: usize,
}

impl Faults {
    fn add(&mut self, column: &ColumnDomain, array: &ArrayRef) -> Result<(), arrow::error::ArrowError> {
        if column.required {
            self.missing += array.null_count();
        }
        if let Some(min) = &column.min {
            self.too_small += against(array, min, |a, b| cmp::lt(a, b))?.true_count();
        }
        if let Some(max) = &column.max {
            self.too_large += against(array, max, |a, b| cmp::gt(a, b))?.true_count();
        }
        if !column.accepted.is_empty() {
            let mut known = array.null_count();
            for value in &column.accepted {
                known += against(array, value, |a, b| cmp::eq(a, b))?.true_count();
            }
            self.not_accepted += array.len() - known;
        }
        Ok(())
    }

    fn told(&self, column: &ColumnDomain) -> Vec<String> {
        let bound = |value: &Option<ScalarValue>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let faults = [
            (self.missing, "has no value, though it is required".to_owned()),
            (self.too_small, format!("is below {}", bound(&column.min))),
            (self.too_large, format!("is above {}", bound(&column.max))),
            (self.not_accepted, "is none of the accepted values".to_owned()),
        ];
        let found = faults.into_iter().filter(|(customers, _)| *customers > 0);
        found.map(|(customers, what)| format!("`{}` {what}, for {}", column.name, customers_of(customers))).collect()
    }
}

/// What is wrong with the column that says what customers spent.
fn misnamed_revenue(project: &Project, profile: &SchemaRef) -> Option<Diagnostic> {
    let revenue = project.pipeline.profile.revenue.as_ref()?;
    let place = span_of(&project.file, revenue);
    let Some((_, field)) = profile.column_with_name(&revenue.value) else {
        let names = profile.fields().iter().map(|field| field.name().as_str());
        let problem = Diagnostic::error("unknown-column", format!("the profile `{PROFILE}` has no column `{}`", revenue.shown()));
        return Some(problem.at(place).label("not a column of it").did_you_mean(&revenue.value, names));
    };
    if is_revenue(field.data_type()).is_some() {
        return None;
    }
    let what = format!("the column `{}` of the profile is {}, which cannot be summed exactly", revenue.shown(), kind_of(field.data_type()));
    let problem = Diagnostic::error("revenue-type", what).at(place).label("not an integer or a decimal");
    Some(problem.hint("cast it in the model, as in `cast(spent as decimal(18, 2))`"))
}

fn customers_of(count: usize) -> String {
    if count == 1 { "1 customer".to_owned() } else { format!("{count} customers") }
}

type Compare = fn(&dyn Datum, &dyn Datum) -> Result<BooleanArray, arrow::error::ArrowError>;

/// Compares an array with a value of its type, or of a type that the engine represents in the same way.
fn against(array: &ArrayRef, value: &ScalarValue, compare: Compare) -> Result<BooleanArray, arrow::error::ArrowError> {
    let value = value.cast_to(array.data_type()).and_then(|value| value.to_array())?;
    compare(array, &Scalar::new(value))
}

/// A column's declaration as values of the column's type.
fn column(project: &Project, name: &str, declared: &ProfileColumn, data_type: &DataType) -> Result<ColumnDomain, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let ordered = data_type.is_numeric() || data_type.is_temporal();
    let mut typed = |given: &Spanned<String>, bound: bool| {
        let wrong = |what: String| Diagnostic::error("profile-domain", what).at(span_of(&project.file, given));
        if bound && !ordered {
            problems.push(wrong(format!("`{name}` is neither a number nor a date, and has no smallest or largest value")).label("a bound"));
            return None;
        }
        let value = typed_as(&given.value, data_type);
        if value.is_none() {
            let kind = kind_of(data_type);
            problems.push(wrong(format!("`{}` is no value of `{name}`, which is {kind}", given.shown())).label("of another type"));
        }
        value
    };
    let accepted: Vec<ScalarValue> = declared.accepted.iter().filter_map(|given| typed(given, false)).collect();
    let min = declared.min.as_ref().and_then(|given| typed(given, true));
    let max = declared.max.as_ref().and_then(|given| typed(given, true));
    if let (Some(least), Some(most), Some(given)) = (&min, &max, &declared.max)
        && least > most
    {
        let problem = Diagnostic::error("profile-domain", format!("the largest `{name}` is smaller than the smallest"));
        problems.push(problem.at(span_of(&project.file, given)).label("below `min`"));
    }
    if let (Some(given), true) = (declared.accepted.first(), declared.min.is_some() || declared.max.is_some()) {
        let problem = Diagnostic::error("profile-domain", format!("`{name}` has both a list of accepted values and bounds"));
        problems.push(problem.at(span_of(&project.file, given)).label("and `min` or `max`").hint("say either"));
    }
    let column = ColumnDomain { name: name.to_owned(), data_type: data_type.clone(), required: declared.required, accepted, min, max };
    if problems.is_empty() { Ok(column) } else { Err(problems) }
}

/// A text as a value of a column's type; `None` if it is not one.
fn typed_as(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    let typed = cast::safely(&StringArray::from(vec![text]), data_type).ok()?;
    if typed.is_null(0) { None } else { ScalarValue::try_from_array(&typed, 0).ok() }
}

fn kind_of(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "true or false",
        other if other.is_integer() => "a whole number",
        other if other.is_numeric() => "a number",
        other if other.is_temporal() => "a date",
        _ => "text",
    }
}
