//! Types of identifiers that `identity.edges` names and nobody declares, as far as its SQL tells before data is read.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::config::{Project, Values};
use crate::diagnostic::Diagnostic;
use crate::engine::Engine;
use crate::graph::ParsedModel;
use crate::sql;

/// The columns of `identity.edges` that name a type.
const COLUMNS: [&str; 2] = ["identifier_type", "other_type"];

/// A problem for each text that the model writes as a type and that is none.
pub async fn undeclared(project: &Project, edges: &ParsedModel, engine: &Engine, values: &Values) -> Vec<Diagnostic> {
    let declared = &project.pipeline.identity.types;
    // What does not plan has been told.
    let Ok(plan) = engine.plan(&edges.statement, &values.parameters).await else { return Vec::new() };
    if declared.is_empty() {
        return Vec::new();
    }
    let mut named = BTreeSet::new();
    for column in COLUMNS {
        if let Some(at) = plan.schema().index_of_column_by_name(None, column) {
            texts_of(&plan, at, &mut named);
        }
    }
    let file = &edges.model.file;
    let unknown = named.into_iter().filter(|name| !name.is_empty() && !declared.contains_key(name));
    let told = unknown.map(|name| {
        let problem = Diagnostic::error(
            "unknown-identifier-type",
            format!("`identity.edges` names a type of identifiers that is not declared: `{name}`"),
        )
        .at(sql::text_in(file, &name).unwrap_or_else(|| sql::whole(file)))
        .label("not declared");
        let hint = "`identity: types:` of the pipeline file declares the types";
        let told = problem.did_you_mean(&name, declared.keys().map(String::as_str));
        if told.hint.is_some() { told } else { told.hint(hint) }
    });
    told.collect()
}

/// The texts that a column of a plan may have, where the plan itself says them. What comes from a table is not known.
fn texts_of(plan: &LogicalPlan, at: usize, found: &mut BTreeSet<String>) {
    match plan {
        LogicalPlan::Projection(node) => texts_of_expression(&node.expr[at], &node.input, found),
        LogicalPlan::Aggregate(node) => {
            if let Some(expr) = node.group_expr.iter().chain(&node.aggr_expr).nth(at) {
                texts_of_expression(expr, &node.input, found);
            }
        }
        LogicalPlan::Union(node) => node.inputs.iter().for_each(|input| texts_of(input, at, found)),
        LogicalPlan::Values(node) => {
            for row in &node.values {
                row.get(at).into_iter().for_each(|expr| texts_of_expression(expr, plan, found));
            }
        }
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Repartition(_) => {
            plan.inputs().into_iter().for_each(|input| texts_of(input, at, found));
        }
        // The columns of what is joined stand side by side, where the join keeps both sides.
        LogicalPlan::Join(node) => {
            let left = node.left.schema().fields().len();
            if plan.schema().fields().len() == left + node.right.schema().fields().len() {
                if at < left { texts_of(&node.left, at, found) } else { texts_of(&node.right, at - left, found) }
            }
        }
        LogicalPlan::Window(node) if at < node.input.schema().fields().len() => texts_of(&node.input, at, found),
        _ => {}
    }
}

fn texts_of_expression(expr: &Expr, input: &LogicalPlan, found: &mut BTreeSet<String>) {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
            found.insert(text.clone());
        }
        Expr::Alias(alias) => texts_of_expression(&alias.expr, input, found),
        Expr::Cast(cast) => texts_of_expression(&cast.expr, input, found),
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            results.for_each(|result| texts_of_expression(result, input, found));
        }
        Expr::ScalarFunction(call) if call.name() == "coalesce" => call.args.iter().for_each(|arg| texts_of_expression(arg, input, found)),
        Expr::Column(column) => {
            if let Some(at) = input.schema().maybe_index_of_column(column) {
                texts_of(input, at, found);
            }
        }
        _ => {}
    }
}
