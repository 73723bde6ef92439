//! A rule as a tree of conditions, each with its verdict for a customer.

use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast::{self, BinaryOperator, UnaryOperator};

use super::change::Turn;
use super::row::Customer;
use super::verdict::Verdict;
use super::words::written;
use crate::sql;

/// A condition and its verdict.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The condition as people write it.
    pub written: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Whether the rule needs it to hold, or, below a `not`, not to hold.
    pub is_wanted: bool,
    /// What it consists of.
    pub parts: Parts,
}

/// What a condition consists of.
#[derive(Debug, Clone)]
pub enum Parts {
    /// All of these must hold.
    All(Vec<Condition>),
    /// One of these must hold.
    Any(Vec<Condition>),
    /// This must not hold.
    Not(Box<Condition>),
    /// It is one comparison, or something else that is not taken apart.
    One {
        /// The columns that it reads, with their values.
        values: Vec<ReadValue>,
        /// The parameters that it reads, with their values.
        parameters: Vec<ReadValue>,
        /// The smallest change of the customer's values that makes it what the rule wants; none if it is that, or if no change was found.
        turn: Option<Box<Turn>>,
    },
}

/// A column or a parameter that a condition reads, and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadValue {
    /// The column or parameter.
    pub name: String,
    /// Its value.
    pub scalar: ScalarValue,
}

impl Condition {
    /// The conditions of a rule whose text is valid, for a customer.
    ///
    /// # Errors
    /// DataFusion's own, when the text is not valid after all.
    pub fn of_rule(customer: &Customer<'_>, text: &str) -> Result<Self, DataFusionError> {
        Condition::of(customer, &customer.engine.parse_rule(text)?, true)
    }

    /// Whether it holds when it is needed to, and does not when it is needed not to.
    pub fn serves(&self) -> bool {
        self.verdict == if self.is_wanted { Verdict::Yes } else { Verdict::No }
    }

    /// The conditions that are not taken apart, in order.
    pub fn leaves(&self) -> Vec<&Condition> {
        match &self.parts {
            Parts::All(parts) | Parts::Any(parts) => parts.iter().flat_map(Condition::leaves).collect(),
            Parts::Not(part) => part.leaves(),
            Parts::One { .. } => vec![self],
        }
    }

    fn of(customer: &Customer<'_>, parsed: &ast::Expr, is_wanted: bool) -> Result<Self, DataFusionError> {
        if let ast::Expr::Nested(inner) = parsed {
            return Condition::of(customer, inner, is_wanted);
        }
        let each = |parts: Vec<&ast::Expr>, is_wanted| {
            parts.into_iter().map(|part| Condition::of(customer, part, is_wanted)).collect::<Result<Vec<_>, _>>()
        };
        let typed = customer.typed(parsed)?;
        let verdict = customer.verdict(&typed);
        let parts = match parsed {
            ast::Expr::BinaryOp { op: BinaryOperator::And, .. } => Parts::All(each(operands(parsed, &BinaryOperator::And), is_wanted)?),
            ast::Expr::BinaryOp { op: BinaryOperator::Or, .. } => Parts::Any(each(operands(parsed, &BinaryOperator::Or), is_wanted)?),
            ast::Expr::UnaryOp { op: UnaryOperator::Not, expr } if is_composed(expr) => {
                Parts::Not(Box::new(Condition::of(customer, expr, !is_wanted)?))
            }
            _ => one(customer, parsed, &typed, (verdict, is_wanted)),
        };
        Ok(Condition { written: written(parsed), verdict, is_wanted, parts })
    }
}

/// A condition that is not taken apart.
fn one(customer: &Customer<'_>, parsed: &ast::Expr, typed: &Expr, (verdict, is_wanted): (Verdict, bool)) -> Parts {
    let mut columns: Vec<&str> = typed.column_refs().iter().map(|column| column.name()).collect();
    columns.sort_unstable();
    let values = columns.into_iter().filter_map(|name| Some(ReadValue { name: name.to_owned(), scalar: customer.value(name)? }));
    let mut parameters: Vec<String> = sql::placeholders(parsed).into_iter().map(|(name, _)| name).collect();
    parameters.sort();
    parameters.dedup();
    let parameters =
        parameters.into_iter().filter_map(|name| customer.parameters.get(&name).map(|value| ReadValue { name, scalar: value.clone() }));
    let serves = verdict == if is_wanted { Verdict::Yes } else { Verdict::No };
    let wanted = if is_wanted { typed.clone() } else { Expr::IsFalse(Box::new(typed.clone())) };
    let turn = if serves { None } else { Turn::smallest(customer, &wanted, &[], 1).into_iter().next() };
    Parts::One { values: values.collect(), parameters: parameters.collect(), turn: turn.map(Box::new) }
}

/// The operands of a chain of one operator, in order.
pub fn operands<'a>(expr: &'a ast::Expr, operator: &BinaryOperator) -> Vec<&'a ast::Expr> {
    let mut operands = Vec::new();
    let mut waiting = vec![expr];
    while let Some(expr) = waiting.pop() {
        match expr {
            ast::Expr::Nested(inner) => waiting.push(inner),
            ast::Expr::BinaryOp { left, op, right } if op == operator => waiting.extend([right.as_ref(), left.as_ref()]),
            other => operands.push(other),
        }
    }
    operands
}

/// Whether a condition consists of conditions.
fn is_composed(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Nested(inner) => is_composed(inner),
        ast::Expr::BinaryOp { op, .. } => matches!(op, BinaryOperator::And | BinaryOperator::Or),
        ast::Expr::UnaryOp { op, .. } => *op == UnaryOperator::Not,
        _ => false,
    }
}
