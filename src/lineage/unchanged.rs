//! The columns that a column is, unchanged, in the models before.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};

use super::parts::TableColumn;
use super::steps::{ModelPlans, VISITS_BOUND, position, steps};

/// The columns of models and other tables that a column of a model is, unchanged but for its name, its type, and what stands for null.
pub fn same_as(plans: &ModelPlans, model: &str, column: &str) -> BTreeSet<TableColumn> {
    let of_plan = plans.get(model).and_then(|plan| Some((plan, plan.schema().index_of_column_by_name(None, column)?)));
    of_plan.map(|(plan, at)| Unchanged::new(plans).chain(plan, at)).unwrap_or_default()
}

/// Follows columns as long as nothing is computed of them.
pub(super) struct Unchanged<'a> {
    plans: &'a ModelPlans,
    visits: usize,
}

impl<'a> Unchanged<'a> {
    pub(super) fn new(plans: &'a ModelPlans) -> Self {
        Unchanged { plans, visits: 0 }
    }

    /// The columns of models that a column is, unchanged but for what stands for null.
    pub(super) fn chain(&mut self, plan: &LogicalPlan, at: usize) -> BTreeSet<TableColumn> {
        self.visits += 1;
        if self.visits > VISITS_BOUND {
            return BTreeSet::new();
        }
        if let LogicalPlan::TableScan(scan) = plan {
            let (table, column) = (scan.table_name.to_string(), plan.schema().field(at).name().clone());
            let mut found = match self.plans.get(&table).map(Arc::clone) {
                Some(model) => model.schema().index_of_column_by_name(None, &column).map(|at| self.chain(&model, at)).unwrap_or_default(),
                None => BTreeSet::new(),
            };
            found.insert((table, column));
            return found;
        }
        if matches!(plan, LogicalPlan::Aggregate(node) if at >= node.group_expr.len()) || matches!(plan, LogicalPlan::Union(_)) {
            return BTreeSet::new();
        }
        for step in steps(plan) {
            let Some(expr) = step.columns.get(at).and_then(Option::as_ref) else { continue };
            return match position(unchanged(expr), step.input.schema()) {
                Some(at) => self.chain(step.input, at),
                None => BTreeSet::new(),
            };
        }
        BTreeSet::new()
    }
}

/// What an expression is without its name, casts, and what stands for null.
fn unchanged(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unchanged(&alias.expr),
        Expr::Cast(cast) => unchanged(&cast.expr),
        Expr::ScalarFunction(call) if call.name() == "coalesce" => match call.args.as_slice() {
            [value, Expr::Literal(..)] => unchanged(value),
            _ => expr,
        },
        _ => expr,
    }
}
