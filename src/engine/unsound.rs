//! Parts of queries that DataFusion 55.2 would get wrong in silence, and that cannot be mended from outside (`mended`). They are refused.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{InList, InSubquery, NullTreatment, WindowFunction};
use datafusion::logical_expr::logical_plan::{FetchType, JoinConstraint, SkipType};
use datafusion::logical_expr::utils::{merge_schema, split_conjunction};
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator, Subquery};

/// A part of a query whose result would be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsound {
    /// `in` over a subquery where it matters whether it is false or null: a null among the values makes it null, and it would be false.
    NullOfIn,
    /// A right or full join on something else than equal columns: conditions above it may be asked of the wrong side.
    OuterCondition,
    /// `using` or `natural` in a right or full join: the common column would be null where only the right side has a row.
    OuterUsing,
    /// `limit` with `offset`: rows may be skipped twice.
    SkippedRows,
    /// A subquery with a window over rows that depend on the row outside: the window would see the rows of all of them.
    CorrelatedWindow,
    /// A subquery with an outer join whose other side or condition depends on the row outside: rows without a match would be lost.
    CorrelatedOuterJoin,
    /// `exists` or `in` over an aggregate of all rows that depend on the row outside: of no rows there would be no row.
    CorrelatedTotal,
    /// `lag` or `lead` over more than one row that passes over nulls: it would pass over too few.
    IgnoredNulls,
    /// Lists of constants that leave nothing of each other: null would count as false.
    ContraryLists,
    /// A null in a list of constants.
    NullInList,
}

/// The parts of a planned query whose results would be wrong.
///
/// # Errors
/// DataFusion's own.
pub fn unsound(plan: &LogicalPlan) -> Result<BTreeSet<Unsound>> {
    let mut found = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Join(join) => found.extend(of_join(join)),
            LogicalPlan::Limit(limit) => {
                let skips = !matches!(limit.get_skip_type()?, SkipType::Literal(0));
                let fetches = !matches!(limit.get_fetch_type()?, FetchType::Literal(None));
                found.extend((skips && fetches).then_some(Unsound::SkippedRows));
            }
            // Below a lateral join.
            LogicalPlan::Subquery(subquery) => of_subquery(subquery, TotalOf::Value, &mut found)?,
            _ => {}
        }
        let schema = merge_schema(&node.inputs());
        let asked = match node {
            LogicalPlan::Filter(_) => Asked::AllOf,
            LogicalPlan::Join(join) if join.join_type == JoinType::Inner => Asked::AllOf,
            LogicalPlan::Join(_) => Asked::Truth,
            _ => Asked::Value,
        };
        node.apply_expressions(|expr| {
            walk(expr, asked, &schema, &mut found)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// What is asked of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Whether it is true, as one of the conditions that all must be.
    AllOf,
    /// Whether it is true.
    Truth,
    /// Its value: whether it is true, false or null.
    Value,
}

fn walk(expr: &Expr, asked: Asked, schema: &DFSchema, found: &mut BTreeSet<Unsound>) -> Result<()> {
    let below = if asked == Asked::Value { Asked::Value } else { Asked::Truth };
    match expr {
        Expr::Alias(alias) => walk(&alias.expr, asked, schema, found)?,
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            // Where only the truth is asked, false is as good as null.
            let matters = *op == Operator::Or || asked == Asked::Value;
            found.extend((matters && has_contrary_lists(expr, *op)).then_some(Unsound::ContraryLists));
            let asked = if *op == Operator::And { asked } else { below };
            walk(left, asked, schema, found)?;
            walk(right, asked, schema, found)?;
        }
        Expr::Not(inner) => match inner.as_ref() {
            Expr::InSubquery(within) => of_in(within, !within.negated, asked, schema, found)?,
            other => walk(other, Asked::Value, schema, found)?,
        },
        Expr::IsTrue(inner) | Expr::IsNotTrue(inner) => walk(inner, Asked::Truth, schema, found)?,
        Expr::Case(case) => {
            for (when, then) in &case.when_then_expr {
                walk(when, if case.expr.is_none() { Asked::Truth } else { Asked::Value }, schema, found)?;
                walk(then, below, schema, found)?;
            }
            case.expr.iter().try_for_each(|base| walk(base, Asked::Value, schema, found))?;
            case.else_expr.iter().try_for_each(|otherwise| walk(otherwise, below, schema, found))?;
        }
        Expr::AggregateFunction(call) => {
            call.params.args.iter().try_for_each(|arg| walk(arg, Asked::Value, schema, found))?;
            call.params.filter.iter().try_for_each(|filter| walk(filter, Asked::Truth, schema, found))?;
        }
        Expr::InSubquery(within) => of_in(within, within.negated, asked, schema, found)?,
        Expr::Exists(exists) => of_subquery(&exists.subquery, TotalOf::Rows, found)?,
        Expr::ScalarSubquery(subquery) => of_subquery(subquery, TotalOf::Value, found)?,
        Expr::SetComparison(compared) => of_subquery(&compared.subquery, TotalOf::Rows, found)?,
        Expr::InList(list) => {
            found.extend((has_null(list) && (list.negated || asked == Asked::Value)).then_some(Unsound::NullInList));
        }
        Expr::WindowFunction(call) if passes_over_too_few(call) => {
            found.insert(Unsound::IgnoredNulls);
        }
        _ => {}
    }
    let is_walked = matches!(
        expr,
        Expr::Alias(_)
            | Expr::Not(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::Case(_)
            | Expr::AggregateFunction(_)
            | Expr::InSubquery(_)
    ) || matches!(expr, Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or));
    if !is_walked {
        expr.apply_children(|child| walk(child, Asked::Value, schema, found).map(|()| TreeNodeRecursion::Continue))?;
    }
    Ok(())
}

/// A condition that a value is, or is not, one of those of a subquery.
fn of_in(within: &InSubquery, is_negated: bool, asked: Asked, schema: &DFSchema, found: &mut BTreeSet<Unsound>) -> Result<()> {
    walk(&within.expr, Asked::Value, schema, found)?;
    let has_nulls = within.subquery.subquery.schema().fields().iter().any(|field| field.is_nullable());
    let may_be_null = has_nulls || within.expr.nullable(schema).unwrap_or(true);
    // Whether a computed value is null is not looked at, nor which rows of a subquery belong to the row outside.
    let is_plain = matches!(within.expr.as_ref(), Expr::Column(_)) && within.subquery.outer_ref_columns.is_empty();
    let is_right = if is_negated { asked == Asked::AllOf && is_plain } else { asked != Asked::Value };
    found.extend((may_be_null && !is_right).then_some(Unsound::NullOfIn));
    of_subquery(&within.subquery, TotalOf::Values, found)
}

/// What is asked of a subquery.
#[derive(Debug, Clone, Copy)]
enum TotalOf {
    /// Its one value.
    Value,
    /// Whether something is one of its values. An aggregate of no rows is null, which nothing is equal to, unless it counts.
    Values,
    /// Whether it has rows.
    Rows,
}

fn counts(total: &Aggregate) -> Result<bool> {
    let is_count = |part: &Expr| matches!(part, Expr::AggregateFunction(call) if call.func.name() == "count");
    total.aggr_expr.iter().try_fold(false, |found, expr| Ok(found || expr.exists(|part| Ok(is_count(part)))?))
}

/// What is wrong with a subquery that depends on the row outside.
fn of_subquery(subquery: &Subquery, asked: TotalOf, found: &mut BTreeSet<Unsound>) -> Result<()> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(());
    }
    subquery.subquery.apply(|node| {
        match node {
            LogicalPlan::Window(window) => found.extend(depends(&window.input)?.then_some(Unsound::CorrelatedWindow)),
            LogicalPlan::Aggregate(total) if total.group_expr.is_empty() => {
                let matters = match asked {
                    TotalOf::Rows => true,
                    TotalOf::Values => counts(total)?,
                    TotalOf::Value => false,
                };
                found.extend((matters && depends(&total.input)?).then_some(Unsound::CorrelatedTotal));
            }
            LogicalPlan::Join(join) => {
                let other_side = match join.join_type {
                    JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => depends(&join.right)?,
                    JoinType::Right | JoinType::RightAnti | JoinType::RightMark => depends(&join.left)?,
                    JoinType::Full => depends(&join.left)? || depends(&join.right)?,
                    JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => false,
                };
                let is_outer = !matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi);
                let condition = is_outer && own_depends(node)?;
                found.extend((other_side || condition).then_some(Unsound::CorrelatedOuterJoin));
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Whether something in a plan depends on the row outside.
fn depends(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(own_depends)
}

fn own_depends(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= expr.exists(|part| Ok(matches!(part, Expr::OuterReferenceColumn(..))))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn of_join(join: &Join) -> Option<Unsound> {
    if !matches!(join.join_type, JoinType::Right | JoinType::Full) {
        return None;
    }
    if join.join_constraint == JoinConstraint::Using {
        return Some(Unsound::OuterUsing);
    }
    let is_of = |expr: &Expr, schema: &DFSchema| {
        let columns = expr.column_refs();
        !columns.is_empty() && columns.into_iter().all(|column| schema.has_column(column))
    };
    let (left, right) = (join.left.schema(), join.right.schema());
    let is_equality = |condition: &Expr| match condition {
        Expr::BinaryExpr(BinaryExpr { left: one, op: Operator::Eq, right: other }) => {
            is_of(one, left) && is_of(other, right) || is_of(one, right) && is_of(other, left)
        }
        _ => false,
    };
    let others = join.filter.as_ref().is_some_and(|filter| !split_conjunction(filter).into_iter().all(is_equality));
    others.then_some(Unsound::OuterCondition)
}

fn has_null(list: &InList) -> bool {
    list.list.iter().any(|value| matches!(value, Expr::Literal(value, _) if value.is_null()))
}

/// Whether `lag` or `lead` passes over nulls, and goes over more than one row.
fn passes_over_too_few(call: &WindowFunction) -> bool {
    let is_one = |offset: Option<&Expr>| match offset {
        None => true,
        Some(Expr::Literal(value, _)) => {
            value.cast_to(&arrow::datatypes::DataType::Int64).is_ok_and(|value| value == ScalarValue::Int64(Some(1)))
        }
        Some(_) => false,
    };
    ["lag", "lead"].contains(&call.fun.name())
        && call.params.null_treatment == Some(NullTreatment::IgnoreNulls)
        && !is_one(call.params.args.get(1))
}

/// Whether two lists about the same expression leave nothing of each other: one of values and another without any of them, or the like.
fn has_contrary_lists(expr: &Expr, op: Operator) -> bool {
    let lists: Vec<&InList> =
        parts_of(expr, op).into_iter().filter_map(|part| if let Expr::InList(list) = part { Some(list) } else { None }).collect();
    let is_literal = |list: &InList| list.list.iter().all(|value| matches!(value, Expr::Literal(..)));
    // Of `and`, what the lists allow is intersected; of `or`, what they exclude.
    let excludes = op == Operator::Or;
    lists.iter().enumerate().any(|(at, one)| {
        lists[at + 1..].iter().any(|other| {
            if one.expr != other.expr || !is_literal(one) || !is_literal(other) {
                return false;
            }
            match (one.negated == excludes, other.negated == excludes) {
                (true, true) => one.list.iter().all(|value| !other.list.contains(value)),
                (true, false) => one.list.iter().all(|value| other.list.contains(value)),
                (false, true) => other.list.iter().all(|value| one.list.contains(value)),
                (false, false) => false,
            }
        })
    })
}

/// The parts that are joined by one operator.
fn parts_of(expr: &Expr, joined_by: Operator) -> Vec<&Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == joined_by => {
            let mut parts = parts_of(left, joined_by);
            parts.extend(parts_of(right, joined_by));
            parts
        }
        other => vec![other],
    }
}
