//! The values of a column that are worth trying: one of each kind that conditions tell apart, the nearest to the customer's own.
//!
//! Conditions that compare the column itself with something tell apart the values below, at and above what they compare it with, so its
//! neighbours are enough, and no nearer value would do the same. A column within a function or a sum is searched from the customer's
//! value outwards.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, ExprSchemable, TryCast};

use super::super::domain::ColumnDomain;
use super::super::prove::{from_whole, listed, neighbours, whole};
use super::super::rule::is_comparison;
use super::row::{Customer, Variations};
use super::words;
use crate::cast::is_text;

/// The most values of a column that are tried together with values of others.
const MOST_CLASSES: usize = 48;
/// How many values on each side of the customer's are tried one by one where a function reads the column.
pub const NEAR: i64 = 1000;
/// A text that stands for any other than those that conditions name.
const OTHER: &str = "another text";

/// A value to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub value: ScalarValue,
    /// The value in words.
    pub shown: String,
    /// How far it is from the customer's value.
    pub distance: f64,
}

/// A column, and the values to try.
#[derive(Debug)]
pub struct Choices {
    pub column: String,
    /// The customer's own value.
    pub own: ScalarValue,
    /// The others, the nearest first.
    pub others: Vec<Candidate>,
    /// Whether one of the others is the nearest of each kind.
    pub is_complete: bool,
    /// Whether that holds at least of those that are at most [`NEAR`] away.
    pub is_complete_nearby: bool,
}

/// What conditions say about one column.
#[derive(Default)]
struct Uses {
    /// What it is compared with.
    constants: Vec<ScalarValue>,
    /// Columns that it is compared with.
    linked: BTreeSet<String>,
    /// Whether a function or a calculation reads it.
    is_within: bool,
    /// Whether its place in an order matters.
    is_ordered: bool,
}

/// The values of each column of some conditions that are worth trying.
///
/// # Errors
/// DataFusion's own, when a condition cannot be planned.
pub fn choices(customer: &Customer<'_>, conditions: &[Expr]) -> Result<Vec<Choices>, DataFusionError> {
    let columns = in_order(conditions);
    let parts = truths(customer, conditions);
    let mut uses: Vec<Uses> = columns.iter().map(|column| Uses::of(customer, column, &parts)).collect();
    // What is compared with another column may have to go where that one's own constants are.
    for at in 0..columns.len() {
        let linked: Vec<usize> = (0..columns.len()).filter(|other| uses[at].linked.contains(&columns[*other])).collect();
        let more: Vec<ScalarValue> = linked.iter().flat_map(|other| uses[*other].constants.iter().flat_map(around)).collect();
        uses[at].constants.extend(more);
    }
    columns.iter().zip(&uses).map(|(column, uses)| Choices::of(customer, column, uses, &parts)).collect()
}

/// The columns of some conditions, in the order in which they are first read.
fn in_order(conditions: &[Expr]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for condition in conditions {
        let walked = condition.apply(|part| {
            if let Expr::Column(column) = part
                && !columns.iter().any(|known| known == column.name())
            {
                columns.push(column.name().to_owned());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(walked.is_ok());
    }
    columns
}

/// Every part of some conditions that is a condition itself.
fn truths(customer: &Customer<'_>, conditions: &[Expr]) -> Vec<Expr> {
    let mut parts: Vec<Expr> = Vec::new();
    let mut seen = HashSet::new();
    for condition in conditions {
        let walked = condition.apply(|part| {
            if part.get_type(customer.schema).is_ok_and(|kind| kind == DataType::Boolean)
                && !part.column_refs().is_empty()
                && seen.insert(part.clone())
            {
                parts.push(part.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(walked.is_ok());
    }
    parts
}

/// A value, and those beside it where it has any.
fn around(value: &ScalarValue) -> Vec<ScalarValue> {
    let beside = if is_text(&value.data_type()) { Vec::new() } else { neighbours(value) };
    if beside.is_empty() { vec![value.clone()] } else { beside }
}

impl Uses {
    fn of(customer: &Customer<'_>, column: &str, parts: &[Expr]) -> Self {
        let mut uses = Uses::default();
        for part in parts.iter().filter(|part| reads(part, column)) {
            match part {
                Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                    use datafusion::logical_expr::Operator::{Gt, GtEq, Lt, LtEq};
                    uses.is_ordered |= matches!(op, Lt | LtEq | Gt | GtEq);
                    uses.compared(customer, column, left, &[right]);
                    uses.compared(customer, column, right, &[left]);
                }
                Expr::Between(Between { expr, low, high, .. }) => {
                    uses.is_ordered = true;
                    uses.compared(customer, column, expr, &[low, high]);
                    uses.compared(customer, column, low, &[expr]);
                    uses.compared(customer, column, high, &[expr]);
                }
                Expr::InList(InList { expr, list, .. }) => {
                    uses.compared(customer, column, expr, &list.iter().collect::<Vec<_>>());
                    for item in list {
                        uses.compared(customer, column, item, &[expr]);
                    }
                }
                Expr::Like(Like { expr, pattern, .. }) | Expr::SimilarTo(Like { expr, pattern, .. }) => {
                    uses.is_within |= !is_itself(expr, column);
                    if let Ok(pattern) = customer.value_of(pattern)
                        && let Some(text) = pattern.try_as_str().flatten()
                    {
                        uses.constants.push(ScalarValue::from(text.replace('%', "").replace('_', "a")));
                    }
                }
                Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                    uses.is_within |= !is_itself(inner, column) && !is_condition(customer, inner);
                }
                Expr::Column(_) => {}
                other => uses.is_within |= reads(other, column) && !is_logic(customer, other),
            }
        }
        uses
    }

    /// One side of a comparison, of which the column may be a part, and the others.
    fn compared(&mut self, customer: &Customer<'_>, column: &str, side: &Expr, others: &[&Expr]) {
        if !reads(side, column) || is_condition(customer, side) && !matches!(side, Expr::Column(_)) {
            return;
        }
        self.is_within |= !is_itself(side, column);
        for other in others {
            let columns = other.column_refs();
            if columns.iter().any(|read| read.name() == column) {
                self.is_within = true;
                continue;
            }
            self.linked.extend(columns.iter().map(|read| read.name().to_owned()));
            self.constants.extend(customer.value_of(other).ok().filter(|value| !value.is_null()));
        }
    }
}

impl Choices {
    fn of(customer: &Customer<'_>, column: &str, uses: &Uses, parts: &[Expr]) -> Result<Self, DataFusionError> {
        let own = customer.value(column).unwrap_or(ScalarValue::Null);
        let kind = own.data_type();
        let domain = customer.domains.column(column);
        let (mut values, mut is_complete_nearby) = (of_constants(&kind, uses, domain), true);
        if uses.is_within {
            let (more, is_complete) = outwards(&own, &values);
            values.extend(more);
            is_complete_nearby = is_complete;
        }
        let admitted = |values: Vec<ScalarValue>| match domain {
            Some(domain) => admitted(domain, values),
            None => values,
        };
        let mut values = admitted(values);
        let is_nullable = customer.schema.field_with_unqualified_name(column).is_ok_and(|field| field.is_nullable());
        if is_nullable && !own.is_null() && domain.is_none_or(|domain| !domain.required) {
            values.push(ScalarValue::try_from(&kind)?);
        }
        let mut others: Vec<Candidate> =
            values.into_iter().filter(|value| *value != own).map(|value| candidate(&own, value, uses)).collect();
        let by_value = |one: &Candidate, other: &Candidate| one.value.partial_cmp(&other.value).unwrap_or(Ordering::Equal);
        others.sort_by(|one, other| one.distance.total_cmp(&other.distance).then_with(|| by_value(one, other)));
        others.dedup_by(|one, other| one.value == other.value);
        let mut choices = Choices { column: column.to_owned(), own, others, is_complete: !uses.is_within, is_complete_nearby };
        if uses.linked.is_empty() || choices.others.len() > MOST_CLASSES {
            choices.keep_nearest_of_kind(customer, parts)?;
        }
        choices.others.truncate(MOST_CLASSES);
        Ok(choices)
    }

    /// Leaves out values that no condition tells from a nearer one.
    fn keep_nearest_of_kind(&mut self, customer: &Customer<'_>, parts: &[Expr]) -> Result<(), DataFusionError> {
        let concerned: Vec<Expr> = parts.iter().filter(|part| reads(part, &self.column)).cloned().collect();
        let mut columns: Vec<String> = concerned.iter().flat_map(Expr::column_refs).map(|read| read.name().to_owned()).collect();
        columns.sort();
        columns.dedup();
        let variations = Variations::new(customer, &columns)?;
        let row = |value: &ScalarValue| {
            let other = |name: &String| customer.value(name).unwrap_or(ScalarValue::Null);
            columns.iter().map(|name| if *name == self.column { value.clone() } else { other(name) }).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<ScalarValue>> = std::iter::once(&self.own).chain(self.others.iter().map(|other| &other.value)).map(row).collect();
        let answers = variations.answers(customer.engine, &concerned, &rows)?;
        // Where values were left out, the nearest above and below are approached later.
        let is_above = |at: usize| !self.is_complete && at > 0 && self.others[at - 1].value > self.own;
        let of_row = |at: usize| (is_above(at), answers.iter().map(|answers| answers[at]).collect::<Vec<_>>());
        let mut known = HashSet::from([of_row(0), (!self.is_complete, of_row(0).1)]);
        let is_new: Vec<bool> = (1..rows.len()).map(|at| known.insert(of_row(at))).collect();
        let mut is_new = is_new.into_iter();
        self.others.retain(|_| is_new.next().unwrap_or(false));
        Ok(())
    }
}

/// Values at and beside what a column is compared with, and of its domain.
fn of_constants(kind: &DataType, uses: &Uses, domain: Option<&ColumnDomain>) -> Vec<ScalarValue> {
    let constants = uses.constants.iter().filter_map(|constant| constant.cast_to(kind).ok()).filter(|constant| !constant.is_null());
    let constants: Vec<ScalarValue> = constants.collect();
    let mut values: Vec<ScalarValue> = domain.and_then(listed).unwrap_or_default();
    if *kind == DataType::Boolean {
        values.extend([ScalarValue::from(true), ScalarValue::from(false)]);
    } else if is_text(kind) {
        let mut texts: Vec<String> = constants.iter().filter_map(|text| text.try_as_str().flatten().map(str::to_owned)).collect();
        if uses.is_ordered {
            texts.extend(texts.clone().into_iter().map(|text| text + "\u{0}"));
        }
        if domain.is_none_or(|domain| domain.accepted.is_empty()) {
            let mut other = OTHER.to_owned();
            while texts.contains(&other) {
                other.push('…');
            }
            texts.extend([other, String::new()]);
        }
        values.extend(texts.into_iter().filter_map(|text| ScalarValue::from(text).cast_to(kind).ok()));
    } else {
        values.extend(constants.iter().flat_map(neighbours));
        values.extend(domain.into_iter().flat_map(|domain| domain.min.iter().chain(&domain.max).cloned()));
        values.extend(from_whole(0, kind));
    }
    values
}

/// Values ever further from the customer's own, and whether none of the nearer ones is left out.
fn outwards(own: &ScalarValue, others: &[ScalarValue]) -> (Vec<ScalarValue>, bool) {
    let kind = own.data_type();
    let start = if own.is_null() { others.iter().find(|value| !value.is_null()) } else { Some(own) };
    let Some(start) = start else { return (Vec::new(), false) };
    let far = (0..62).map(|power| 1_i64 << power);
    match start {
        ScalarValue::Decimal128(Some(digits), precision, scale) => {
            let most = 10_i128.saturating_pow((*precision).into());
            let unit = 10_i128.saturating_pow(scale.unsigned_abs().into());
            let steps = (1..=NEAR).map(|step| i128::from(step) * unit).chain(far.map(i128::from));
            let digits =
                steps.flat_map(|step| [digits.saturating_sub(step), digits.saturating_add(step)]).filter(|digits| digits.abs() < most);
            (digits.map(|digits| ScalarValue::Decimal128(Some(digits), *precision, *scale)).collect(), false)
        }
        ScalarValue::Float64(Some(number)) => {
            let steps = (1..=NEAR).map(f64_of).chain(far.map(f64_of)).chain((1..20).map(|power| 0.5_f64.powi(power)));
            (steps.flat_map(|step| [number - step, number + step]).map(|number| ScalarValue::Float64(Some(number))).collect(), false)
        }
        other => {
            let Some(number) = whole(other).filter(|_| !is_text(&kind) && kind != DataType::Boolean) else { return (Vec::new(), false) };
            let unit = match kind {
                DataType::Timestamp(unit, _) => 86_400 * per_second(unit),
                _ => 1,
            };
            let steps = (1..=NEAR).chain(far.filter(|step| *step > NEAR)).filter_map(|step| step.checked_mul(unit));
            let numbers = steps.flat_map(|step| [number.saturating_sub(step), number.saturating_add(step)]);
            (numbers.filter_map(|number| from_whole(number, &kind)).collect(), unit == 1 && !own.is_null())
        }
    }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

#[allow(clippy::cast_precision_loss, reason = "a distance is a rough measure")]
fn f64_of(number: i64) -> f64 {
    number as f64
}

fn admitted(domain: &ColumnDomain, values: Vec<ScalarValue>) -> Vec<ScalarValue> {
    let is_admitted = |value: &ScalarValue| {
        let Ok(array) = value.to_array() else { return false };
        domain.admits(&array).is_ok_and(|admitted| admitted.value(0) && !arrow::array::Array::is_null(&admitted, 0))
    };
    values.into_iter().filter(|value| is_admitted(value)).collect()
}

fn candidate(own: &ScalarValue, value: ScalarValue, uses: &Uses) -> Candidate {
    let shown = match value.try_as_str().flatten() {
        Some("") => "an empty text".to_owned(),
        Some(text) if text.starts_with(OTHER) && !uses.constants.contains(&value) => "another text".to_owned(),
        Some(text) if text.ends_with('\u{0}') => format!("a text after '{}'", crate::shown::name(text.trim_end_matches('\u{0}'))),
        _ => words::value(&value),
    };
    // From nothing, what a condition names is as near as anything.
    let is_named = || uses.constants.iter().any(|constant| constant.cast_to(&value.data_type()).is_ok_and(|constant| constant == value));
    let distance = if own.is_null() && is_named() { 0.0 } else { distance(own, &value) };
    Candidate { value, shown, distance }
}

/// How far two values are apart, in proportion to the customer's own, so that columns can be compared. A value that is not known any more comes last, since nobody can bring it about.
pub fn distance(own: &ScalarValue, to: &ScalarValue) -> f64 {
    const FORGOTTEN: f64 = 1e6;
    if to.is_null() {
        return FORGOTTEN;
    }
    let number = |value: &ScalarValue| match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(number)) => number,
        // A day has no way to a floating-point number but through a whole one.
        _ => whole(value).map(f64_of),
    };
    match to.data_type() {
        kind if is_text(&kind) => {
            if to.try_as_str().flatten().is_some_and(str::is_empty) {
                2.0
            } else {
                1.0
            }
        }
        DataType::Boolean => 1.0,
        kind => {
            let (Some(one), Some(other)) = (number(own).or(Some(0.0)), number(to)) else { return 1.0 };
            let scale = match kind {
                DataType::Date32 => 365.0,
                DataType::Timestamp(unit, _) => f64_of(per_second(unit)) * 86_400.0 * 365.0,
                _ => one.abs().max(1.0),
            };
            let far = (other - one).abs();
            far / (scale + far)
        }
    }
}

fn reads(expr: &Expr, column: &str) -> bool {
    expr.column_refs().iter().any(|read| read.name() == column)
}

/// Whether an expression is a column as it is, or as another type.
fn is_itself(expr: &Expr, column: &str) -> bool {
    match expr {
        Expr::Column(read) => read.name() == column,
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => is_itself(expr, column),
        Expr::Alias(alias) => is_itself(&alias.expr, column),
        _ => false,
    }
}

fn is_condition(customer: &Customer<'_>, expr: &Expr) -> bool {
    expr.get_type(customer.schema).is_ok_and(|kind| kind == DataType::Boolean)
}

/// Whether a condition only connects others, which are looked at by themselves.
fn is_logic(customer: &Customer<'_>, expr: &Expr) -> bool {
    let mut is_logic = true;
    let walked = expr.apply_children(|child| {
        is_logic &= child.column_refs().is_empty() || is_condition(customer, child);
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    is_logic
}
