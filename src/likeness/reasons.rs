//! Why a customer is like the members: the columns that speak most for it.

use super::regression::Regression;

/// The most columns that are named.
pub const MOST_REASONS: usize = 3;

/// The share of all that speaks for a membership below which a column is not named.
const LEAST_SHARE: f64 = 0.1;

/// A column that speaks for a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason {
    /// The position of the column.
    pub column: usize,
    /// Whether it is the customer's value being above the mean that speaks for it, and not being below.
    pub is_high: bool,
}

impl Regression {
    /// The columns that speak for the membership of a customer, most first, by the weight of the column times the standardised value.
    pub fn reasons(&self, columns: &[Vec<f64>], row: usize) -> Vec<Reason> {
        let value = |column: usize| columns[column][row];
        let mut speaking: Vec<(f64, Reason)> = self
            .weights
            .iter()
            .enumerate()
            .map(|(column, weight)| (weight * value(column), Reason { column, is_high: value(column) > 0.0 }))
            .filter(|(speaks, _)| *speaks > 0.0)
            .collect();
        speaking.sort_by(|one, other| other.0.total_cmp(&one.0));
        let all: f64 = speaking.iter().map(|(speaks, _)| speaks).sum();
        let named = speaking.into_iter().filter(|(speaks, _)| *speaks >= LEAST_SHARE * all).take(MOST_REASONS);
        named.map(|(_, reason)| reason).collect()
    }
}
