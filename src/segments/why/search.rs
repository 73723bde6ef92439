//! Searches for the smallest change: first of one column, then of two, and so on, each to every kind of value that conditions tell apart.

use std::collections::{HashMap, HashSet};

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;

use super::super::prove::{from_whole, whole};
use super::candidates::{Choices, NEAR, choices, distance};
use super::change::{Change, Turn};
use super::row::{Customer, Variations};
use super::words;
use crate::cast::is_text;

/// The most rows that are evaluated for one question.
const MOST_ROWS: usize = 1 << 17;
/// Rows that are evaluated at once.
const BATCH_ROWS: usize = 4096;

/// One way to turn the answer: the position of a value for each column that changes.
type Way = Vec<(usize, usize)>;

impl Turn {
    /// The smallest changes that make a condition true, each of other columns, the smallest first: the fewest columns, and then the least
    /// far from the customer's values. What is declared of the profile holds after them too, and so do some conditions that always hold.
    pub fn smallest(customer: &Customer<'_>, wanted: &Expr, always: &[Expr], most: usize) -> Vec<Turn> {
        // A condition that cannot be planned is not turned by anything.
        search(customer, wanted, always, most).unwrap_or_default()
    }
}

/// The smallest ways to make a condition true, which leave others true.
fn search(customer: &Customer<'_>, wanted: &Expr, always: &[Expr], most: usize) -> Result<Vec<Turn>, DataFusionError> {
    let always = concerning(wanted, always);
    let conditions: Vec<Expr> = std::iter::once(wanted.clone()).chain(always).collect();
    let choices = choices(customer, &conditions)?;
    let columns: Vec<String> = choices.iter().map(|choice| choice.column.clone()).collect();
    let variations = Variations::new(customer, &columns)?;
    let search = Search { customer, conditions, choices, variations };
    let mut budget = MOST_ROWS;
    for changed in 1..=columns.len() {
        let Some(ways) = ways(&search.choices, changed, &mut budget) else { break };
        let found = search.holding(ways)?;
        if !found.is_empty() {
            return search.nearest(found, most);
        }
    }
    Ok(Vec::new())
}

/// A question, and the values that are tried.
struct Search<'a> {
    customer: &'a Customer<'a>,
    conditions: Vec<Expr>,
    choices: Vec<Choices>,
    variations: Variations,
}

impl Search<'_> {
    /// The ways after which the conditions hold.
    fn holding(&self, ways: Vec<Way>) -> Result<Vec<Way>, DataFusionError> {
        let mut found: Vec<Way> = Vec::new();
        for ways in ways.chunks(BATCH_ROWS) {
            let rows: Vec<Vec<ScalarValue>> = ways.iter().map(|way| row(&self.choices, way)).collect();
            let holding = self.variations.holding(self.customer.engine, &self.conditions, &rows)?;
            found.extend(ways.iter().zip(holding).filter(|(_, holds)| *holds).map(|(way, _)| way.clone()));
        }
        Ok(found)
    }
}

/// The conditions that always hold and have columns with another in common, directly or through each other.
fn concerning(wanted: &Expr, always: &[Expr]) -> Vec<Expr> {
    let mut columns = wanted.column_refs();
    let mut waiting: Vec<&Expr> = always.iter().collect();
    let mut concerning = Vec::new();
    while let Some(at) = waiting.iter().position(|condition| !condition.column_refs().is_disjoint(&columns)) {
        let condition = waiting.remove(at);
        columns.extend(condition.column_refs());
        concerning.push(condition.clone());
    }
    concerning
}

/// All ways to change so many columns; none when there are more than the budget allows.
fn ways(choices: &[Choices], changed: usize, budget: &mut usize) -> Option<Vec<Way>> {
    let mut ways: Vec<Way> = vec![Vec::new()];
    for step in 0..changed {
        let left = changed - step - 1;
        let mut longer = Vec::new();
        for way in &ways {
            let from = way.last().map_or(0, |(column, _)| column + 1);
            for (column, choice) in choices.iter().enumerate().take(choices.len().saturating_sub(left)).skip(from) {
                for value in 0..choice.others.len() {
                    if longer.len() >= *budget {
                        return None;
                    }
                    longer.push(way.iter().copied().chain([(column, value)]).collect());
                }
            }
        }
        ways = longer;
    }
    *budget = budget.checked_sub(ways.len())?;
    Some(ways)
}

fn row(choices: &[Choices], way: &Way) -> Vec<ScalarValue> {
    let mut row: Vec<ScalarValue> = choices.iter().map(|choice| choice.own.clone()).collect();
    for &(column, value) in way {
        row[column] = choices[column].others[value].value.clone();
    }
    row
}

/// How many ways of those that turn the answer are looked at more closely.
const MOST_WAYS: usize = 64;

impl Search<'_> {
    /// The nearest way for each choice of columns, the nearest of them first.
    fn nearest(&self, mut found: Vec<Way>, most: usize) -> Result<Vec<Turn>, DataFusionError> {
        let far = |way: &Way| way.iter().map(|&(column, value)| self.choices[column].others[value].distance).sum::<f64>();
        found.sort_by(|one, other| far(one).total_cmp(&far(other)).then_with(|| one.cmp(other)));
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        // One way for each choice of columns, or a second where values were left out: another direction may be nearer.
        found.retain(|way| {
            let seen = known.entry(way.iter().map(|(column, _)| *column).collect()).or_default();
            *seen += 1;
            *seen == 1 || *seen == 2 && way.iter().any(|(column, _)| !self.choices[*column].is_complete)
        });
        let mut turns = found.iter().take(MOST_WAYS).map(|way| self.told(way)).collect::<Result<Vec<_>, _>>()?;
        let far = |turn: &Turn| turn.changes.iter().map(|change| distance(&change.from, &change.to)).sum::<f64>();
        turns.sort_by(|one, other| far(one).total_cmp(&far(other)));
        let mut known: HashSet<Vec<String>> = HashSet::new();
        turns.retain(|turn| known.insert(turn.changes.iter().map(|change| change.column.clone()).collect()));
        turns.truncate(most);
        Ok(turns)
    }

    /// A way as it is told, with nearer values where steps between values that were tried were large.
    fn told(&self, way: &Way) -> Result<Turn, DataFusionError> {
        let mut row = row(&self.choices, way);
        let mut changes = Vec::new();
        for &(column, value) in way {
            let (choice, candidate) = (&self.choices[column], &self.choices[column].others[value]);
            let shown = if choice.is_complete { None } else { self.approach(&mut row, column)? };
            changes.push(Change {
                column: choice.column.clone(),
                from: choice.own.clone(),
                to: row[column].clone(),
                to_shown: shown.unwrap_or_else(|| candidate.shown.clone()),
            });
        }
        // A single whole number was searched one by one.
        let is_nearby = |change: &Change| {
            let numbers = whole(&change.from).zip(whole(&change.to));
            numbers.is_some_and(|(from, to)| from.checked_sub(to).is_some_and(|far| far.abs() <= NEAR))
        };
        let is_smallest = self.choices.iter().all(|choice| choice.is_complete)
            || self.choices.iter().all(|choice| choice.is_complete_nearby) && changes.len() == 1 && changes.iter().all(is_nearby);
        Ok(Turn { changes, is_smallest })
    }

    /// Brings the value of a column nearer to the customer's own as long as the conditions hold, by halves.
    fn approach(&self, row: &mut [ScalarValue], column: usize) -> Result<Option<String>, DataFusionError> {
        const MOST_STEPS: usize = 130;
        let mut near = self.choices[column].own.clone();
        for _ in 0..MOST_STEPS {
            let Some(middle) = middle(&near, &row[column]) else { break };
            let mut tried = row.to_vec();
            tried[column] = middle.clone();
            if self.variations.holding(self.customer.engine, &self.conditions, &[tried])?[0] {
                row[column] = middle;
            } else {
                near = middle;
            }
        }
        let is_number = row[column].data_type().is_numeric() || row[column].data_type().is_temporal();
        Ok((is_number && !row[column].is_null()).then(|| words::value(&row[column])))
    }
}

/// A value between two others, if there is one.
fn middle(one: &ScalarValue, other: &ScalarValue) -> Option<ScalarValue> {
    let middle = match (one, other) {
        (ScalarValue::Decimal128(Some(one), precision, scale), ScalarValue::Decimal128(Some(other), ..)) => {
            ScalarValue::Decimal128(Some(one + (other - one) / 2), *precision, *scale)
        }
        (ScalarValue::Float64(Some(one)), ScalarValue::Float64(Some(other))) => ScalarValue::Float64(Some(one + (other - one) / 2.0)),
        (one, other) if is_text(&one.data_type()) || one.data_type() == DataType::Boolean || one.data_type() != other.data_type() => {
            return None;
        }
        (one, other) => {
            let (near, far) = (whole(one)?, whole(other)?);
            from_whole(near + far.checked_sub(near)? / 2, &one.data_type())?
        }
    };
    (middle != *one && middle != *other).then_some(middle)
}
