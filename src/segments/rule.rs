//! One segment rule: parsed, its parameters bound, its types checked, ready to evaluate.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::sql::sqlparser::ast::{self, Visit, VisitMut, Visitor, VisitorMut};

use crate::cast::is_text;
use crate::diagnostic::{Diagnostic, SourceFile, Span, list};
use crate::engine::{self, Engine};
use crate::sql;

/// The longest rule that is accepted.
const MAX_RULE_BYTES: usize = 16 * 1024;

/// Compiles a rule against the columns of the profile.
///
/// # Errors
/// What is wrong with the rule, with places in its own text.
pub fn compile(
    engine: &Engine,
    schema: &DFSchema,
    parameters: &BTreeMap<String, ScalarValue>,
    text: &str,
) -> Result<Arc<dyn PhysicalExpr>, Vec<Diagnostic>> {
    let file = Arc::new(SourceFile { path: "rule".to_owned(), text: text.to_owned() });
    let whole = || Span { file: Arc::clone(&file), bytes: 0..text.len() };
    let parsed = parse(engine, &file, parameters)?;
    let logical = engine.rule(parsed, parameters, schema).map_err(|error| sql::problems(&file, &error))?;
    let mut problems = Vec::new();
    if logical.exists(|part| Ok(matches!(part, Expr::AggregateFunction(_) | Expr::WindowFunction(_)))).unwrap_or(false) {
        let problem = Diagnostic::error("rule-aggregate", "a rule looks at one customer and cannot aggregate over several");
        return Err(vec![problem.at(whole()).hint("make it a column of `sql/customers.sql`, and use that")]);
    }
    for name in engine::unrepeatable(std::slice::from_ref(&logical)) {
        problems.push(sql::unrepeatable(&file, &name));
    }
    problems.extend(mismatches(&file, &logical, schema));
    if !problems.is_empty() {
        return Err(problems);
    }
    let physical = engine.physical(logical, schema).map_err(|error| sql::problems(&file, &error))?;
    match physical.data_type(schema.as_arrow()) {
        Ok(DataType::Boolean) => Ok(physical),
        Ok(other) => {
            let problem = Diagnostic::error("rule-type", format!("this rule is {}, not a condition", Kind::of(&other).noun()));
            Err(vec![problem.at(whole()).hint("compare it with something")])
        }
        Err(error) => Err(sql::problems(&file, &error)),
    }
}

/// Parses a rule that is short enough, reads no table, and names parameters that there are.
fn parse(engine: &Engine, file: &Arc<SourceFile>, parameters: &BTreeMap<String, ScalarValue>) -> Result<ast::Expr, Vec<Diagnostic>> {
    let text = &file.text;
    if let Some(problem) = sql::too_deep(file) {
        return Err(vec![problem]);
    }
    if text.len() > MAX_RULE_BYTES {
        let problem = Diagnostic::error("sql-too-costly", format!("a rule is longer than {} KiB", MAX_RULE_BYTES / 1024));
        return Err(vec![
            problem.at(Span { file: Arc::clone(file), bytes: 0..1 }).hint("make what it looks for a column of `sql/customers.sql`"),
        ]);
    }
    let parsed = engine.parse_rule(text).map_err(|error| vec![sql::rule_syntax(file, &error)])?;
    refuse_unknown_parameters(file, &parsed, parameters)?;
    let misread = sql::of_condition(file, &parsed);
    if !misread.is_empty() {
        return Err(misread);
    }
    if matches!(parsed.visit(&mut Subqueries), ControlFlow::Break(())) {
        let problem = Diagnostic::error("rule-subquery", "a rule looks at one customer and cannot query a table");
        let whole = Span { file: Arc::clone(file), bytes: 0..text.len() };
        return Err(vec![problem.at(whole).hint("make it a column of `sql/customers.sql`, and use that")]);
    }
    Ok(parsed)
}

/// Compiles a valid rule to an expression in which the column [`AS_OF_COLUMN`] stands for the as-of day, so that it holds for any day.
///
/// # Errors
/// DataFusion's own.
pub fn of_any_day(
    engine: &Engine,
    schema: &DFSchema,
    parameters: &BTreeMap<String, ScalarValue>,
    text: &str,
) -> Result<Expr, DataFusionError> {
    let mut parsed = engine.parse_rule(text)?;
    let _ = VisitMut::visit(&mut parsed, &mut OpenDay);
    engine.rule(parsed, parameters, schema)
}

/// The column that stands for the as-of day in rules of any day.
pub const AS_OF_COLUMN: &str = "$as_of";

struct OpenDay;

impl VisitorMut for OpenDay {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if sql::placeholder(expr).is_some_and(|(name, _)| AS_OF_COLUMN.strip_prefix('$') == Some(name)) {
            *expr = ast::Expr::Identifier(ast::Ident::with_quote('"', AS_OF_COLUMN));
        }
        ControlFlow::Continue(())
    }
}

fn refuse_unknown_parameters(
    file: &Arc<SourceFile>,
    parsed: &ast::Expr,
    parameters: &BTreeMap<String, ScalarValue>,
) -> Result<(), Vec<Diagnostic>> {
    let mentions = sql::placeholders(parsed);
    let written: Vec<String> = parameters.keys().map(|parameter| format!("${parameter}")).collect();
    let unknown = mentions.iter().map(|(name, _)| name).filter(|name| !parameters.contains_key(*name)).map(|name| {
        let at = file.text.find(&format!("${name}")).unwrap_or(0);
        Diagnostic::error("unknown-parameter", format!("there is no parameter `${name}`"))
            .at(Span { file: Arc::clone(file), bytes: at..at + name.len() + 1 })
            .label("not declared")
            .did_you_mean(&format!("${name}"), written.iter().map(String::as_str))
    });
    let problems: Vec<Diagnostic> = unknown.collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The kind of a value. Comparing values of different kinds would cast one of them, which fails for some customers or is meaningless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Time,
    Truth,
    Other,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            text if is_text(text) => Kind::Text,
            DataType::Boolean => Kind::Truth,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Time,
            other if other.is_numeric() => Kind::Number,
            _ => Kind::Other,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Number => "a number",
            Kind::Time => "a date",
            Kind::Truth => "true or false",
            Kind::Other => "of another type",
        }
    }
}

/// Comparisons in a condition between kinds of values that do not compare.
pub fn mismatches(file: &Arc<SourceFile>, rule: &Expr, schema: &DFSchema) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut compare = |left: &Expr, right: &Expr| {
        let (Ok(one), Ok(other)) = (left.get_type(schema), right.get_type(schema)) else { return };
        let (one, other) = (Kind::of(&one), Kind::of(&other));
        let either_is = |kind| one == kind || other == kind;
        // A null is of any kind, and a text that looks like a day counts as a day.
        let compares = one == other || either_is(Kind::Other) || (either_is(Kind::Time) && (is_day(left) || is_day(right)));
        if !compares {
            found.push(mismatch(file, (left, one), (right, other)));
        }
    };
    let walked = rule.apply(|part| {
        match part {
            Expr::BinaryExpr(binary) if is_comparison(binary.op) => compare(&binary.left, &binary.right),
            Expr::Between(between) => {
                compare(&between.expr, &between.low);
                compare(&between.expr, &between.high);
            }
            Expr::InList(list) => list.list.iter().for_each(|item| compare(&list.expr, item)),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    found
}

fn mismatch(file: &Arc<SourceFile>, (left, one): (&Expr, Kind), (right, other): (&Expr, Kind)) -> Diagnostic {
    let named = |expr: &Expr, kind: Kind| match expr {
        Expr::Column(column) => format!("`{}`, which is {}", column.name(), kind.noun()),
        Expr::Literal(value, _) => format!("`{value}`, which is {}", kind.noun()),
        _ => kind.noun().to_owned(),
    };
    let place = [left, right].into_iter().find_map(|expr| match expr {
        Expr::Column(column) => file.text.find(column.name()).map(|at| at..at + column.name().len()),
        _ => None,
    });
    let bytes = place.unwrap_or(0..file.text.len());
    Diagnostic::error("rule-type", format!("this compares {}, with {}", named(left, one), named(right, other)))
        .at(Span { file: Arc::clone(file), bytes })
        .label(one.noun())
        .hint(match (one, other) {
            (Kind::Truth, _) | (_, Kind::Truth) => "use the column by itself, or with `not`",
            (Kind::Time, _) | (_, Kind::Time) => "write a day as '2011-12-10', or count from `$as_of`",
            _ => "write text in single quotes and numbers without",
        })
}

/// Whether an operator compares two values.
pub fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_day(expr: &Expr) -> bool {
    let Expr::Literal(value, _) = expr else { return false };
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
            text.parse::<chrono::NaiveDate>().is_ok()
        }
        _ => false,
    }
}

/// Stops at the first query within a rule.
struct Subqueries;

impl Visitor for Subqueries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// The columns that a condition reads, for a message.
pub(super) fn of_columns(condition: &Arc<dyn PhysicalExpr>) -> String {
    let mut columns: Vec<String> = collect_columns(condition).iter().map(|column| column.name().to_owned()).collect();
    columns.sort();
    if columns.is_empty() { String::new() } else { format!(", of {}", list(&columns)) }
}
