//! What the SQL of `identity.edges` itself says before data is read: the types of identifiers that it names, and the sources of its edges.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::config::{Project, Values, span_of};
use crate::diagnostic::Diagnostic;
use crate::engine::Engine;
use crate::graph::ParsedModel;
use crate::sql;

/// The column of `identity.edges` that says where an edge comes from.
const SOURCE: &str = "source";
/// The columns of `identity.edges` that name a type.
const TYPES: [&str; 2] = ["identifier_type", "other_type"];

/// A problem for each text that the model writes as a type and that is none.
pub async fn undeclared(project: &Project, edges: &ParsedModel, engine: &Engine, values: &Values) -> Vec<Diagnostic> {
    let declared = &project.pipeline.identity.types;
    // What does not plan has been told.
    let Ok(plan) = engine.plan(&edges.statement, &values.parameters).await else { return Vec::new() };
    if declared.is_empty() {
        return Vec::new();
    }
    let mut named = BTreeSet::new();
    for column in TYPES {
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

/// A warning for each name of the trust order from which no edge comes. Where the sources come from a table, they are not known before
/// data is read.
pub async fn without_edges(project: &Project, edges: &ParsedModel, engine: &Engine, values: &Values) -> Vec<Diagnostic> {
    let Ok(plan) = engine.plan(&edges.statement, &values.parameters).await else { return Vec::new() };
    let Some(at) = plan.schema().index_of_column_by_name(None, SOURCE) else { return Vec::new() };
    let mut named = BTreeSet::new();
    if !texts_of(&plan, at, &mut named) {
        return Vec::new();
    }
    let unknown = project.pipeline.identity.trust.iter().filter(|source| !named.contains(&source.value));
    let told = unknown.map(|source| {
        let what = format!("no edge comes from `{}`, which the trust order names", source.shown());
        let told = Diagnostic::warning("unknown-trust", what).at(span_of(&project.file, source)).label("changes nothing");
        let hint = "`identity.edges` says in its column `source` where an edge comes from";
        let told = told.did_you_mean(&source.value, named.iter().map(String::as_str));
        if told.hint.is_some() { told } else { told.hint(hint) }
    });
    told.collect()
}

/// Gathers the texts that a column of a plan may have, where the plan itself says them. Whether these are all: what comes from a table is
/// not known.
fn texts_of(plan: &LogicalPlan, at: usize, found: &mut BTreeSet<String>) -> bool {
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
