//! Keeps the order in which rows happen to come out of results.
//!
//! Rows come in another order in every run. What depends on it has two remedies: where SQL says an order, ties that the order leaves open
//! are broken by all columns (`ties`); where it says none, there is no right answer, and the query is refused ([`dependent_on_order`]).
//! Every aggregate and window function has its place in the tables below; one that a later DataFusion brings is refused until it has.

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

/// What the order of rows is to an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregating {
    /// Nothing: the result is a function of the set of rows.
    Free,
    /// Part of what is asked: it must be said.
    Ordered,
    /// It shows, and nothing can be said against it; the other function is the exact one.
    Inexact(&'static str),
}

/// What the order of rows is to a window function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// Rows that tie get the same result.
    Peers,
    /// Every row has its own place, so ties must be broken.
    Places,
    /// As [`Ranking::Places`], among the rows of a frame.
    Frame,
}

/// Every aggregate. Those of doubles that are free of order are so in their exact form (`exact`).
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

/// Every window function that is no aggregate.
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

/// What the order of rows is to an aggregate; none when it is not known.
pub fn aggregating(name: &str) -> Option<Aggregating> {
    AGGREGATES.iter().find(|(known, _)| *known == name).map(|(_, aggregating)| *aggregating)
}

/// What the order of rows is to a window function; none when it is not known.
pub fn ranking(name: &str) -> Option<Ranking> {
    WINDOWS.iter().find(|(known, _)| *known == name).map(|(_, ranking)| *ranking)
}

/// Something in a query that the order of rows would show in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependence {
    /// An aggregate that is told no order.
    Aggregate(String),
    /// A window function, or an aggregate over a frame of rows, that is told no order.
    Window(String),
    /// A window function that looks at single rows of a frame that ends between rows which tie.
    Frame(String),
    /// `limit`, `offset` or `fetch` without `order by`.
    Limit,
    /// `distinct on` without `order by`.
    DistinctOn,
    /// An aggregate that only estimates, and what to write in its place.
    Inexact(String, &'static str),
    /// An aggregate or window function that nobody has looked into.
    Unknown(String),
}

/// What in a planned query the order of rows would show in.
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
                    // Whether there is a row does not depend on which.
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

/// Whether it does not matter which rows a limit leaves, or an order says which.
fn is_ordered(limit: &Limit) -> Result<bool> {
    let takes_none = matches!(limit.get_fetch_type()?, FetchType::Literal(Some(0)));
    // The planner puts a projection above the order when that reads columns which are not selected.
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

/// What a window function needs so that the order of rows that tie does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing.
    Nothing,
    /// That ties are broken.
    Places,
    /// That ties are broken, and a frame that ends between rows.
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

/// The frame, counted in rows, in which a function finds what it finds in its own; none when there is no such frame.
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
    // The current row is in the frame, so the first of the frame is the first of the partition, or the last the last.
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
        // Those of doubles are in their exact form, under every name.
        for name in ["sum", "avg", "mean", "min", "max", "var", "var_samp", "var_sample", "var_pop", "var_population", "stddev"] {
            let function = format!("{:?}", state.aggregate_functions()[name].inner());
            assert!(function.starts_with("Exact") || function.starts_with("Extreme"), "{name} is {function}");
        }
    }
}
