//! Keeps results independent of the order in which rows happen to come.
//!
//! Rows come in a different order in every run. Where SQL gives an order, the ties that it leaves are broken by all other columns (`ties`).
//! Where SQL gives no order although the result depends on one, no result would be right, and the query is refused
//! ([`dependent_on_order`]). The tables below list every aggregate and window function. A function that a later version of DataFusion adds
//! is refused until it is listed.

mod computed;
mod keys;
mod ties;

pub use keys::{Keys, keys_of};
pub use ties::with_ties_broken;

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::logical_plan::{FetchType, SkipType};
use datafusion::logical_expr::{
    Distinct, Expr, Limit, LogicalPlan, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

/// How an aggregate depends on the order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregating {
    /// Not at all: the result is a function of the set of rows.
    Free,
    /// The result is defined by an order, so the call must have an `order by`.
    Ordered,
    /// The result depends on it and no `order by` can change that. The other function is the exact one.
    Inexact(&'static str),
}

/// How a window function depends on the order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// Rows with equal sort keys get the same result.
    Peers,
    /// The result of a row depends on its place among rows with equal sort keys, so ties must be broken.
    Places,
    /// As [`Ranking::Places`], and on the rows of the frame.
    Frame,
}

/// Every aggregate. Aggregates of doubles are independent of order in their exact form (`exact`).
const AGGREGATES: &[(&str, Aggregating)] = &[
    ("any_value", Aggregating::Inexact("first_value(… order by …)")),
    ("approx_distinct", Aggregating::Inexact("count(distinct …)")),
    ("approx_median", Aggregating::Inexact("median(…)")),
    ("approx_percentile_cont", Aggregating::Inexact("percentile_cont(…) within group (order by …)")),
    ("approx_percentile_cont_with_weight", Aggregating::Inexact("percentile_cont(…) within group (order by …)")),
    ("arg_max", Aggregating::Free),
    ("arg_max_null", Aggregating::Free),
    ("arg_min", Aggregating::Free),
    ("arg_min_null", Aggregating::Free),
    ("array_agg", Aggregating::Ordered),
    ("avg", Aggregating::Free),
    ("bit_and", Aggregating::Free),
    ("bit_or", Aggregating::Free),
    ("bit_xor", Aggregating::Free),
    ("bool_and", Aggregating::Free),
    ("bool_or", Aggregating::Free),
    ("corr", Aggregating::Free),
    ("count", Aggregating::Free),
    ("covar_pop", Aggregating::Free),
    ("covar_samp", Aggregating::Free),
    ("first_value", Aggregating::Ordered),
    ("grouping", Aggregating::Free),
    ("last_value", Aggregating::Ordered),
    ("max", Aggregating::Free),
    ("median", Aggregating::Free),
    ("min", Aggregating::Free),
    ("nth_value", Aggregating::Ordered),
    ("percentile_cont", Aggregating::Free),
    ("regr_avgx", Aggregating::Free),
    ("regr_avgy", Aggregating::Free),
    ("regr_count", Aggregating::Free),
    ("regr_intercept", Aggregating::Free),
    ("regr_r2", Aggregating::Free),
    ("regr_slope", Aggregating::Free),
    ("regr_sxx", Aggregating::Free),
    ("regr_sxy", Aggregating::Free),
    ("regr_syy", Aggregating::Free),
    ("stddev", Aggregating::Free),
    ("stddev_pop", Aggregating::Free),
    ("string_agg", Aggregating::Ordered),
    ("sum", Aggregating::Free),
    ("var", Aggregating::Free),
    ("var_pop", Aggregating::Free),
];

/// Every window function that is not an aggregate.
const WINDOWS: &[(&str, Ranking)] = &[
    ("cume_dist", Ranking::Peers),
    ("dense_rank", Ranking::Peers),
    ("first_value", Ranking::Frame),
    ("lag", Ranking::Places),
    ("last_value", Ranking::Frame),
    ("lead", Ranking::Places),
    ("nth_value", Ranking::Frame),
    ("ntile", Ranking::Places),
    ("percent_rank", Ranking::Peers),
    ("rank", Ranking::Peers),
    ("row_number", Ranking::Places),
];

/// How an aggregate depends on the order of rows; none if it is not listed.
pub fn aggregating(name: &str) -> Option<Aggregating> {
    AGGREGATES.iter().find(|(known, _)| *known == name).map(|(_, aggregating)| *aggregating)
}

/// How a window function depends on the order of rows; none if it is not listed.
pub fn ranking(name: &str) -> Option<Ranking> {
    WINDOWS.iter().find(|(known, _)| *known == name).map(|(_, ranking)| *ranking)
}

/// A part of a query whose result would depend on the order in which rows happen to come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependence {
    /// An aggregate that needs an `order by` and has none.
    Aggregate(String),
    /// A window function, or an aggregate over a frame of rows, that needs an `order by` and has none.
    Window(String),
    /// A window function that reads single rows of a frame whose ends depend on ties.
    Frame(String),
    /// `limit`, `offset` or `fetch` without `order by`.
    Limit,
    /// `distinct on` without `order by`.
    DistinctOn,
    /// An approximate aggregate, and what to write instead.
    Inexact(String, &'static str),
    /// An aggregate or window function that is not listed.
    Unknown(String),
}

/// The parts of a planned query whose results would depend on the order in which rows happen to come.
///
/// # Errors
/// DataFusion's own.
pub fn dependent_on_order(plan: &LogicalPlan) -> Result<BTreeSet<Dependence>> {
    let mut found = BTreeSet::new();
    look(plan, &mut found)?;
    Ok(found)
}

fn look(plan: &LogicalPlan, found: &mut BTreeSet<Dependence>) -> Result<()> {
    plan.apply(|node| {
        match node {
            LogicalPlan::Limit(limit) if !is_ordered(limit)? => {
                found.insert(Dependence::Limit);
            }
            LogicalPlan::Distinct(Distinct::On(on)) if on.sort_expr.as_ref().is_none_or(Vec::is_empty) => {
                found.insert(Dependence::DistinctOn);
            }
            _ => {}
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                match part {
                    Expr::AggregateFunction(call) => found.extend(of_aggregate(call)),
                    Expr::WindowFunction(call) => found.extend(of_window(call)),
                    // `exists` only asks whether there is a row, not which.
                    Expr::Exists(exists) => look(without_limit(&exists.subquery.subquery), found)?,
                    Expr::InSubquery(list) => look(&list.subquery.subquery, found)?,
                    Expr::SetComparison(set) => look(&set.subquery.subquery, found)?,
                    Expr::ScalarSubquery(subquery) => look(&subquery.subquery, found)?,
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn without_limit(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Limit(limit) if matches!(limit.get_skip_type(), Ok(SkipType::Literal(0))) => &limit.input,
        other => other,
    }
}

/// Whether an order decides which rows a limit keeps, or it makes no difference.
fn is_ordered(limit: &Limit) -> Result<bool> {
    let takes_none = matches!(limit.get_fetch_type()?, FetchType::Literal(Some(0)));
    // If the order uses columns that are not selected, the planner puts a projection above the sort.
    let mut input = limit.input.as_ref();
    while let LogicalPlan::Projection(projection) = input {
        input = &projection.input;
    }
    Ok(takes_none || matches!(input, LogicalPlan::Sort(_)) || limit.input.max_rows().is_some_and(|rows| rows <= 1))
}

fn of_aggregate(call: &AggregateFunction) -> Option<Dependence> {
    let name = call.func.name();
    match aggregating(name) {
        Some(Aggregating::Free) => None,
        Some(Aggregating::Ordered) => call.params.order_by.is_empty().then(|| Dependence::Aggregate(name.to_owned())),
        Some(Aggregating::Inexact(instead)) => Some(Dependence::Inexact(name.to_owned(), instead)),
        None => Some(Dependence::Unknown(name.to_owned())),
    }
}

fn of_window(call: &WindowFunction) -> Option<Dependence> {
    let name = call.fun.name().to_owned();
    if let WindowFunctionDefinition::AggregateUDF(function) = &call.fun {
        match aggregating(function.name()) {
            Some(Aggregating::Inexact(instead)) => return Some(Dependence::Inexact(name, instead)),
            None => return Some(Dependence::Unknown(name)),
            Some(_) => {}
        }
    } else if ranking(&name).is_none() {
        return Some(Dependence::Unknown(name));
    }
    let needs_order = need(call) != Need::Nothing;
    if needs_order && call.params.order_by.is_empty() {
        return Some(Dependence::Window(name));
    }
    (need(call) == Need::Frame && frame_of_rows(&name, &call.params).is_none()).then_some(Dependence::Frame(name))
}

/// What a window function needs so that its result does not depend on the order of rows with equal sort keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing.
    Nothing,
    /// Ties must be broken.
    Places,
    /// Ties must be broken, and the frame must be counted in rows.
    Frame,
}

fn need(call: &WindowFunction) -> Need {
    let frame = &call.params.window_frame;
    let ranking = match &call.fun {
        WindowFunctionDefinition::WindowUDF(function) => ranking(function.name()),
        WindowFunctionDefinition::AggregateUDF(function) => match aggregating(function.name()) {
            Some(Aggregating::Ordered) => Some(Ranking::Frame),
            _ if frame.units == WindowFrameUnits::Rows && !is_whole(frame) => return Need::Frame,
            _ => return Need::Nothing,
        },
    };
    match ranking {
        Some(Ranking::Peers) | None => Need::Nothing,
        Some(Ranking::Places) => Need::Places,
        Some(Ranking::Frame) => Need::Frame,
    }
}

fn is_whole(frame: &WindowFrame) -> bool {
    is_start(&frame.start_bound) && is_end(&frame.end_bound)
}

fn is_start(bound: &WindowFrameBound) -> bool {
    matches!(bound, WindowFrameBound::Preceding(value) if value.is_null())
}

fn is_end(bound: &WindowFrameBound) -> bool {
    matches!(bound, WindowFrameBound::Following(value) if value.is_null())
}

/// A frame counted in rows in which a function has the same result as in its own frame; none if there is no such frame.
fn frame_of_rows(name: &str, params: &WindowFunctionParams) -> Option<WindowFrame> {
    let frame = &params.window_frame;
    let rows = |start: WindowFrameBound, end: WindowFrameBound| WindowFrame::new_bounds(WindowFrameUnits::Rows, start, end);
    let start = WindowFrameBound::Preceding(ScalarValue::UInt64(None));
    let end = WindowFrameBound::Following(ScalarValue::UInt64(None));
    if frame.units == WindowFrameUnits::Rows {
        return Some(frame.clone());
    }
    if is_whole(frame) {
        return Some(rows(start, end));
    }
    let takes_null = params.null_treatment != Some(datafusion::logical_expr::expr::NullTreatment::IgnoreNulls);
    // The frame contains the current row, so it is not empty. If it begins where the partition begins, its first row is the first of the
    // partition; if it ends where the partition ends, its last row is the last of the partition.
    let reaches_back = matches!(frame.start_bound, WindowFrameBound::Preceding(_) | WindowFrameBound::CurrentRow);
    let reaches_on = matches!(frame.end_bound, WindowFrameBound::Following(_) | WindowFrameBound::CurrentRow);
    match name {
        "first_value" if takes_null && is_start(&frame.start_bound) && reaches_on => Some(rows(start, WindowFrameBound::CurrentRow)),
        "last_value" if takes_null && is_end(&frame.end_bound) && reaches_back => Some(rows(WindowFrameBound::CurrentRow, end)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Limits};

    #[test]
    fn every_function_of_this_datafusion_has_its_place() {
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 26 }, "UTC").unwrap();
        let state = engine.context().state();
        let known: BTreeSet<&str> = state.aggregate_functions().values().map(|function| function.name()).collect();
        let placed: BTreeSet<&str> = AGGREGATES.iter().map(|(name, _)| *name).collect();
        assert_eq!(known, placed);
        let known: BTreeSet<&str> = state.window_functions().values().map(|function| function.name()).collect();
        let placed: BTreeSet<&str> = WINDOWS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known, placed);
        // Aggregates of doubles are in their exact form under all of their names.
        for name in ["sum", "avg", "mean", "min", "max", "var", "var_samp", "var_sample", "var_pop", "var_population", "stddev"] {
            let function = format!("{:?}", state.aggregate_functions()[name].inner());
            assert!(function.starts_with("Exact") || function.starts_with("Extreme"), "{name} is {function}");
        }
    }
}
