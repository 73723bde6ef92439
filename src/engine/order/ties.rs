//! Breaks the ties that an `order by` leaves by all columns that the plan reads.
//!
//! Rows that still tie are equal in every column that is read, so their order makes no difference. The plan must be optimised: unused
//! columns have been removed from it, so they are neither read from files nor sorted by.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::{Aggregate, Projection, Window};
use datafusion::logical_expr::{Expr, LogicalPlan, Sort, SortExpr, WindowFrame, WindowFrameUnits, WindowFunctionDefinition};

use super::computed::with_computed_keys;
use super::keys::{Keys, tell_apart};
use super::{Aggregating, Need, aggregating, frame_of_rows, need};
use crate::engine::names::named_as;

/// An optimised plan with a total order wherever its result depends on one.
///
/// # Errors
/// DataFusion's own.
pub fn with_ties_broken(plan: LogicalPlan, tables: &Keys) -> Result<LogicalPlan> {
    let broken = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Sort(sort) if sort.fetch.is_some() => Ok(Transformed::yes(total(sort, tables))),
        LogicalPlan::Limit(mut limit) => {
            limit.input = Arc::new(total_below(limit.input.as_ref().clone(), tables)?);
            Ok(Transformed::yes(LogicalPlan::Limit(limit)))
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.aggr_expr.iter().any(is_ordered) => {
            in_aggregate(aggregate, tables).map(Transformed::yes)
        }
        LogicalPlan::Window(window) if window.window_expr.iter().any(has_places) => in_window(window, tables).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(broken.data)
}

/// A plan whose sort directly below a limit is total.
fn total_below(plan: LogicalPlan, tables: &Keys) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Sort(sort) => Ok(total(sort, tables)),
        LogicalPlan::Projection(mut projection) => {
            projection.input = Arc::new(total_below(projection.input.as_ref().clone(), tables)?);
            Ok(LogicalPlan::Projection(projection))
        }
        other => Ok(other),
    }
}

fn total(mut sort: Sort, tables: &Keys) -> LogicalPlan {
    extend(&mut sort.expr, &sort.input, &HashSet::new(), tables);
    LogicalPlan::Sort(sort)
}

/// Adds all columns of a plan to the sort keys, unless these contain a key of the plan already. Columns in `same` are equal in all rows
/// that are sorted.
fn extend(keys: &mut Vec<SortExpr>, plan: &LogicalPlan, same: &HashSet<Column>, tables: &Keys) {
    leave_out_repeated(keys);
    let mut known = same.clone();
    known.extend(keys.iter().filter_map(|key| key.expr.try_as_col().cloned()));
    if !tell_apart(plan, &known, tables) {
        let more = plan.schema().columns().into_iter().filter(|column| !known.contains(column));
        keys.extend(more.map(|column| SortExpr::new(Expr::Column(column), true, false)));
    }
}

/// DataFusion fails on an aggregate with a repeated sort key. The repetition changes nothing, so it is removed.
fn leave_out_repeated(keys: &mut Vec<SortExpr>) {
    let mut known = HashSet::new();
    keys.retain(|key| known.insert(key.expr.clone()));
}

fn is_ordered(expr: &Expr) -> bool {
    match unaliased(expr) {
        Expr::AggregateFunction(call) => aggregating(call.func.name()) == Some(Aggregating::Ordered) && !call.params.order_by.is_empty(),
        _ => false,
    }
}

fn order_of(expr: &Expr) -> Option<Vec<SortExpr>> {
    match unaliased(expr) {
        Expr::AggregateFunction(call) if !call.params.distinct => Some(call.params.order_by.clone()),
        _ => None,
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// All ordered aggregates of a node get the same sort keys in the same order, so that they choose the same rows.
fn in_aggregate(aggregate: Aggregate, tables: &Keys) -> Result<LogicalPlan> {
    let aggregate = with_computed_keys(aggregate)?;
    let grouped: HashSet<Column> = aggregate.group_expr.iter().filter_map(|expr| expr.try_as_col().cloned()).collect();
    let mut orders: Vec<Vec<SortExpr>> = aggregate.aggr_expr.iter().filter_map(order_of).collect();
    orders.sort_by_key(|order| std::cmp::Reverse(order.len()));
    let mut aggregates = Vec::new();
    for expr in aggregate.aggr_expr {
        if !is_ordered(&expr) {
            aggregates.push(expr);
            continue;
        }
        let broken = expr.clone().transform_up(|part| match part {
            Expr::AggregateFunction(mut call) => {
                if call.params.distinct {
                    // Equal values are counted once, so only the values themselves can break ties.
                    leave_out_repeated(&mut call.params.order_by);
                    let known: Vec<Expr> = call.params.order_by.iter().map(|key| key.expr.clone()).collect();
                    let value = call.params.args.first().filter(|value| !known.contains(value)).cloned();
                    call.params.order_by.extend(value.map(|value| SortExpr::new(value, true, false)));
                } else {
                    // DataFusion can collect the lists of a node in one order only, so an order is extended to a longer one that begins
                    // with it.
                    if let Some(longer) = orders.iter().find(|order| order.starts_with(&call.params.order_by)) {
                        call.params.order_by.clone_from(longer);
                    }
                    extend(&mut call.params.order_by, &aggregate.input, &grouped, tables);
                }
                Ok(Transformed::yes(Expr::AggregateFunction(call)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        aggregates.push(named_as(&expr, broken.data));
    }
    Ok(LogicalPlan::Aggregate(Aggregate::try_new_with_schema(aggregate.input, aggregate.group_expr, aggregates, aggregate.schema)?))
}

fn has_places(expr: &Expr) -> bool {
    matches!(unaliased(expr), Expr::WindowFunction(call) if need(call) != Need::Nothing && !call.params.order_by.is_empty())
}

/// The functions of a window node share its order. Functions whose ties must be broken move to a node of their own above the others, so
/// that their ties are broken by the results of those below too. Rows that differ in such a result only, like a row number, keep it.
fn in_window(window: Window, tables: &Keys) -> Result<LogicalPlan> {
    let (ordered, free): (Vec<_>, Vec<_>) = window.window_expr.iter().partition(|expr| has_places(expr));
    let mut plan = window.input.as_ref().clone();
    if !free.is_empty() {
        plan = LogicalPlan::Window(Window::try_new(free.into_iter().cloned().collect(), Arc::new(plan))?);
    }
    // A frame by values keeps the order as it is, so that there may be several orders now.
    let mut by_order: Vec<(Vec<SortExpr>, Vec<Expr>)> = Vec::new();
    for expr in ordered {
        let broken = broken(expr, &plan, tables)?;
        let order = window_order(&broken);
        match by_order.iter_mut().find(|(same, _)| *same == order) {
            Some((_, exprs)) => exprs.push(broken),
            None => by_order.push((order, vec![broken])),
        }
    }
    for (_, exprs) in by_order {
        plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(plan))?);
    }
    let columns = window.schema.columns().into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(columns, Arc::new(plan), window.schema)?))
}

fn window_order(expr: &Expr) -> Vec<SortExpr> {
    match unaliased(expr) {
        Expr::WindowFunction(call) => call.params.order_by.clone(),
        _ => Vec::new(),
    }
}

fn broken(expr: &Expr, input: &LogicalPlan, tables: &Keys) -> Result<Expr> {
    let rewritten = expr.clone().transform_up(|part| match part {
        Expr::WindowFunction(mut call) => {
            let name = call.fun.name().to_owned();
            let params = &mut call.params;
            let parted: HashSet<Column> = params.partition_by.iter().filter_map(|expr| expr.try_as_col().cloned()).collect();
            let reads_frame = match &call.fun {
                WindowFunctionDefinition::WindowUDF(function) => super::ranking(function.name()) == Some(super::Ranking::Frame),
                WindowFunctionDefinition::AggregateUDF(_) => true,
            };
            // A frame by values cannot have several sort keys. A function that does not use the frame gets one that can.
            if !reads_frame {
                params.window_frame = WindowFrame::new(Some(true));
            } else if let Some(frame) = frame_of_rows(&name, params) {
                params.window_frame = frame;
            }
            if params.window_frame.units == WindowFrameUnits::Rows {
                extend(&mut params.order_by, input, &parted, tables);
            }
            Ok(Transformed::yes(Expr::WindowFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(named_as(expr, rewritten.data))
}
