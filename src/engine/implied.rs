//! Cheap conditions that follow from dear ones, so that few rows are asked the dear ones.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};

use crate::functions;

/// A condition with what follows from it put before it.
pub fn with_implied(condition: Expr) -> Expr {
    let implied: Vec<Expr> = split_conjunction(&condition).into_iter().filter_map(implied).collect();
    match conjunction(implied) {
        // What is not known is not true. The rest is asked of fewer rows only where nothing is unknown.
        Some(implied) => Expr::IsTrue(Box::new(implied)).and(condition),
        None => condition,
    }
}

/// What follows from a condition, if something cheaper does.
fn implied(condition: &Expr) -> Option<Expr> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => Some(or_it(left).or(or_it(right))),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => match (implied(left), implied(right)) {
            (Some(left), Some(right)) => Some(left.and(right)),
            (left, right) => left.or(right),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => one_of(left, std::slice::from_ref(right)),
        Expr::InList(list) if !list.negated => one_of(&list.expr, &list.list),
        _ => None,
    }
}

/// What follows from a condition, or the condition itself.
fn or_it(condition: &Expr) -> Expr {
    implied(condition).unwrap_or_else(|| condition.clone())
}

/// What must be true of columns where an expression has one of some values.
fn one_of(expr: &Expr, list: &[Expr]) -> Option<Expr> {
    let text = |value: &Expr| match value {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text.clone()),
        _ => None,
    };
    let values: Option<BTreeSet<String>> = list.iter().map(text).collect();
    let values = values?;
    // A column alone costs nothing.
    if matches!(expr, Expr::Column(_)) { None } else { may_be(expr, list, &values) }
}

/// A condition on columns that is true wherever an expression has one of some values; none where nothing is known.
fn may_be(expr: &Expr, list: &[Expr], values: &BTreeSet<String>) -> Option<Expr> {
    match expr {
        Expr::Column(_) => Some(expr.clone().in_list(list.to_vec(), false)),
        Expr::Literal(value, _) if value.is_null() => Some(lit(false)),
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(lit(values.contains(text))),
        Expr::Alias(alias) => may_be(&alias.expr, list, values),
        Expr::Cast(cast)
            if cast.field.data_type() == &DataType::Utf8 && matches!(cast.expr.as_ref(), Expr::Literal(value, _) if value.is_null()) =>
        {
            Some(lit(false))
        }
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(case.else_expr.as_deref());
            let each: Option<Vec<Expr>> = results.map(|result| may_be(result, list, values)).collect();
            each?.into_iter().reduce(Expr::or)
        }
        Expr::ScalarFunction(call) => match (call.name(), call.args.as_slice()) {
            ("coalesce", arguments) => {
                let each: Option<Vec<Expr>> = arguments.iter().map(|argument| may_be(argument, list, values)).collect();
                each?.into_iter().reduce(Expr::or)
            }
            ("nullif", [first, _]) => may_be(first, list, values),
            (name, [column @ Expr::Column(_), ..]) => functions::likely(name, values).map(|test| test.call(vec![column.clone()])),
            _ => None,
        },
        _ => None,
    }
}
