//! Fits a regression to the members of a segment and to everybody else, and says when there is nothing to fit.

use serde::{Deserialize, Serialize};

use super::evaluate::{Evaluation, evaluate};
use super::regression::{self, Regression, Rows};
use super::sample::{Sample, balanced};

/// What came of a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LikenessState {
    /// The regression is fitted.
    Fitted,
    /// There are fewer members, of whom all columns are known, than the pipeline file asks for.
    TooFewMembers,
    /// There are fewer others than that.
    TooFewOthers,
    /// No column tells two customers apart.
    ColumnsConstant,
    /// No weights are found at which the loss is least.
    NoConvergence,
}

/// A fit with how good it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Likeness {
    /// What came of it.
    pub state: LikenessState,
    /// The regression, if there is one.
    pub regression: Option<Regression>,
    /// How well it finds members, if that could be found out.
    pub evaluation: Option<Evaluation>,
}

/// Fits a regression to at least so many members, and as many others.
pub fn fit(sample: &Sample<'_>, minimum_members: u64, threads: usize) -> Likeness {
    let none = |state| Likeness { state, regression: None, evaluation: None };
    let members = sample.is_member.iter().filter(|is| **is).count() as u64;
    let others = sample.is_member.len() as u64 - members;
    if members < minimum_members.max(1) {
        return none(LikenessState::TooFewMembers);
    }
    if others < minimum_members.max(1) {
        return none(LikenessState::TooFewOthers);
    }
    if sample.columns.iter().flatten().all(|value| *value == 0.0) {
        return none(LikenessState::ColumnsConstant);
    }
    let Some(counts_for) = balanced(sample, |_| true) else { return none(LikenessState::TooFewMembers) };
    let of = Rows { columns: sample.columns, is_member: sample.is_member, counts_for, without: None, threads };
    let start = Regression { intercept: 0.0, weights: vec![0.0; sample.columns.len()] };
    let Some(regression) = regression::fit(&of, start) else { return none(LikenessState::NoConvergence) };
    let evaluation = evaluate(sample, &regression, threads);
    Likeness { state: LikenessState::Fitted, regression: Some(regression), evaluation }
}
