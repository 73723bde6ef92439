//! The texts that a column of a plan may have, where the plan itself says them.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Gathers the texts that a column of a plan may have, where the plan itself says them. Whether these are all: what comes from a table is
/// not known.
pub fn texts_of(plan: &LogicalPlan, at: usize, found: &mut BTreeSet<String>) -> bool {
    match plan {
        LogicalPlan::Projection(node) => texts_of_expression(&node.expr[at], &node.input, found),
        LogicalPlan::Aggregate(node) => {
            let expr = node.group_expr.iter().chain(&node.aggr_expr).nth(at);
            expr.is_some_and(|expr| texts_of_expression(expr, &node.input, found))
        }
        LogicalPlan::Union(node) => all(&node.inputs, |input| texts_of(input, at, found)),
        LogicalPlan::Values(node) => all(&node.values, |row| row.get(at).is_some_and(|expr| texts_of_expression(expr, plan, found))),
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Repartition(_) => all(plan.inputs(), |input| texts_of(input, at, found)),
        // The columns of what is joined stand side by side, where the join keeps both sides.
        LogicalPlan::Join(node) => {
            let left = node.left.schema().fields().len();
            if plan.schema().fields().len() != left + node.right.schema().fields().len() {
                return false;
            }
            if at < left { texts_of(&node.left, at, found) } else { texts_of(&node.right, at - left, found) }
        }
        LogicalPlan::Window(node) if at < node.input.schema().fields().len() => texts_of(&node.input, at, found),
        _ => false,
    }
}

fn texts_of_expression(expr: &Expr, input: &LogicalPlan, found: &mut BTreeSet<String>) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text), _) => {
            found.extend(text.clone());
            true
        }
        Expr::Literal(value, _) => value.is_null(),
        Expr::Alias(alias) => texts_of_expression(&alias.expr, input, found),
        Expr::Cast(cast) => texts_of_expression(&cast.expr, input, found),
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            all(results, |result| texts_of_expression(result, input, found))
        }
        Expr::ScalarFunction(call) if call.name() == "coalesce" => all(&call.args, |arg| texts_of_expression(arg, input, found)),
        Expr::Column(column) => input.schema().maybe_index_of_column(column).is_some_and(|at| texts_of(input, at, found)),
        _ => false,
    }
}

/// Whether something is so of all, each of which is looked at.
fn all<T>(several: impl IntoIterator<Item = T>, mut so: impl FnMut(T) -> bool) -> bool {
    let mut all = true;
    for one in several {
        all &= so(one);
    }
    all
}
