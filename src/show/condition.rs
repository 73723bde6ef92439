//! A condition on the command line (`--where`): one row is looked at, with the columns of one table.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};

use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::engine::{self, Engine};
use crate::error::{Error, Result};
use crate::segments;
use crate::sql;

/// The longest condition that is accepted.
const MAX_CONDITION_BYTES: usize = 16 * 1024;

/// Compiles a condition over the columns of a table.
///
/// # Errors
/// [`Error::Project`] with everything that is wrong with it, at its place in it.
pub fn compile(engine: &Engine, schema: &DFSchema, parameters: &BTreeMap<String, ScalarValue>, text: &str) -> Result<Expr> {
    let file = Arc::new(SourceFile { path: "--where".to_owned(), text: text.to_owned() });
    let at = |problem: Diagnostic| problem.at(sql::whole(&file));
    if let Some(problem) = sql::too_deep(&file) {
        return Err(problem.into());
    }
    if text.len() > MAX_CONDITION_BYTES {
        let what = format!("the condition is longer than {} KiB", MAX_CONDITION_BYTES / 1024);
        return Err(Diagnostic::error("sql-too-costly", what).hint("`segmill query` takes longer ones").into());
    }
    let parsed = engine.parse_rule(text).map_err(|error| Error::from(sql::rule_syntax(&file, &error)))?;
    let unknown: Vec<Diagnostic> = unknown_parameters(&file, &parsed, parameters);
    if !unknown.is_empty() {
        return Err(Error::Project(unknown));
    }
    if matches!(Visit::visit(&parsed, &mut Subqueries), ControlFlow::Break(())) {
        let problem = Diagnostic::error("rule-subquery", "a condition looks at one row and cannot query a table");
        return Err(at(problem).hint("`segmill query` takes whole queries").into());
    }
    let wrong = |error| Error::Project(sql::problems(&file, &error));
    let condition = engine.rule(parsed, parameters, schema).map_err(wrong)?;
    if condition.exists(|part| Ok(matches!(part, Expr::AggregateFunction(_) | Expr::WindowFunction(_)))).unwrap_or(false) {
        let problem = Diagnostic::error("rule-aggregate", "a condition looks at one row and cannot aggregate over several");
        return Err(at(problem).hint("`segmill query` takes whole queries").into());
    }
    let mut problems: Vec<Diagnostic> =
        engine::unrepeatable(std::slice::from_ref(&condition)).iter().map(|name| sql::unrepeatable(&file, name)).collect();
    problems.extend(segments::mismatches(&file, &condition, schema));
    if !problems.is_empty() {
        return Err(Error::Project(problems));
    }
    // The types are checked as the query will check them.
    engine.physical(condition.clone(), schema).map_err(wrong)?;
    match condition.get_type(schema).map_err(wrong)? {
        DataType::Boolean | DataType::Null => Ok(condition),
        _ => {
            let problem = Diagnostic::error("rule-type", "this is a value and not a condition");
            Err(at(problem).label("neither true nor false").hint("compare it with something").into())
        }
    }
}

fn unknown_parameters(file: &Arc<SourceFile>, parsed: &ast::Expr, parameters: &BTreeMap<String, ScalarValue>) -> Vec<Diagnostic> {
    let written: Vec<String> = parameters.keys().map(|parameter| format!("${parameter}")).collect();
    let unknown = sql::placeholders(parsed).into_iter().map(|(name, _)| name).filter(|name| !parameters.contains_key(name));
    let told = unknown.map(|name| {
        let start = file.text.find(&format!("${name}")).unwrap_or(0);
        let end = (start + name.len() + 1).min(file.text.len());
        Diagnostic::error("unknown-parameter", format!("there is no parameter `${name}`"))
            .at(Span { file: Arc::clone(file), bytes: start..end })
            .label("not declared")
            .did_you_mean(&format!("${name}"), written.iter().map(String::as_str))
    });
    told.collect()
}

/// Stops at the first query within a condition.
struct Subqueries;

impl Visitor for Subqueries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}
