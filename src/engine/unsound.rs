//! Parts of queries that DataFusion 55.2 would get wrong in silence, and that cannot be mended from outside (`mended`). They are refused.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{InList, InSubquery, NullTreatment, WindowFunction};
use datafusion::logical_expr::logical_plan::{JoinConstraint, SkipType};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator, Subquery};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// A part of a query whose result would be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsound {
    /// `in` over a subquery where it matters whether it is false or null: a null among the values makes it null, and it would be false.
    NullOfIn,
    /// `using` or `natural` in a right or full join: the common column would be null where only the right side has a row.
    OuterUsing,
    /// `offset`: rows may be skipped twice, in no order, or of all subqueries together.
    SkippedRows,
    /// A subquery with a window over rows that depend on the row outside: the window would see the rows of all of them.
    CorrelatedWindow,
    /// A subquery with an outer join whose other side or condition depends on the row outside: rows without a match would be lost.
    CorrelatedOuterJoin,
    /// An aggregate of all rows that depend on the row outside: of no rows there would be no row. That is right for a value that is null then,
    /// but not for `exists`, `in`, `having` and a value that does not depend on the rows, such as `count(*) is null`.
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
                found.extend(skips.then_some(Unsound::SkippedRows));
            }
            // Below a lateral join.
            LogicalPlan::Subquery(subquery) => of_subquery(subquery, TotalOf::Value, &mut found)?,
            _ => {}
        }
        let schema = merge_schema(&node.inputs());
        let asked = Asked::of(node);
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
pub(super) enum Asked {
    /// Whether it is true, as one of the conditions that all must be.
    AllOf,
    /// Whether it is true.
    Truth,
    /// Its value: whether it is true, false or null.
    Value,
}

impl Asked {
    /// What a node of a plan asks of its expressions.
    pub fn of(node: &LogicalPlan) -> Asked {
        match node {
            LogicalPlan::Filter(_) => Asked::AllOf,
            LogicalPlan::Join(join) if join.join_type == JoinType::Inner => Asked::AllOf,
            LogicalPlan::Join(_) => Asked::Truth,
            _ => Asked::Value,
        }
    }

    /// What is asked of a part that is false or null where the whole is.
    pub fn below(self) -> Asked {
        if self == Asked::Value { Asked::Value } else { Asked::Truth }
    }
}

fn walk(expr: &Expr, asked: Asked, schema: &DFSchema, found: &mut BTreeSet<Unsound>) -> Result<()> {
    let below = asked.below();
    match expr {
        Expr::Alias(alias) => walk(&alias.expr, asked, schema, found)?,
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            // Where only the truth is asked, false is as good as null.
            let matters = *op == Operator::Or || asked == Asked::Value;
            let mut parts = Vec::new();
            add_parts(left, *op, &mut parts);
            add_parts(right, *op, &mut parts);
            found.extend((matters && has_contrary_lists(&parts, *op)).then_some(Unsound::ContraryLists));
            let asked = if *op == Operator::And { asked } else { below };
            parts.into_iter().try_for_each(|part| walk(part, asked, schema, found))?;
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
    found.extend((!is_right(within, is_negated, asked, schema)).then_some(Unsound::NullOfIn));
    of_subquery(&within.subquery, TotalOf::Values, found)
}

/// Whether DataFusion gets such a condition right.
pub(super) fn is_right(within: &InSubquery, is_negated: bool, asked: Asked, schema: &DFSchema) -> bool {
    let [value, others] = may_be_null(within, schema);
    // Whether a computed value is null is not looked at, nor which rows of a subquery belong to the row outside.
    let is_plain = matches!(within.expr.as_ref(), Expr::Column(_)) && within.subquery.outer_ref_columns.is_empty();
    !(value || others) || if is_negated { asked == Asked::AllOf && is_plain } else { asked != Asked::Value }
}

/// Whether the value may be null, and whether one of those of the subquery may be.
pub(super) fn may_be_null(within: &InSubquery, schema: &DFSchema) -> [bool; 2] {
    let others = within.subquery.subquery.schema().fields().iter().any(|field| field.is_nullable());
    [within.expr.nullable(schema).unwrap_or(true), others]
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
            LogicalPlan::Filter(having) => {
                found.extend(depends_on_total(&having.input)?.then_some(Unsound::CorrelatedTotal));
            }
            LogicalPlan::Projection(projection) if depends_on_total(&projection.input)? => {
                let is_fixed = projection.expr.iter().any(|expr| is_fixed(expr, projection.input.schema()));
                found.extend(is_fixed.then_some(Unsound::CorrelatedTotal));
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

/// Whether a plan is an aggregate of all rows that depend on the row outside.
fn depends_on_total(plan: &LogicalPlan) -> Result<bool> {
    match plan {
        LogicalPlan::Aggregate(total) if total.group_expr.is_empty() => depends(&total.input),
        _ => Ok(false),
    }
}

/// Whether an expression comes to a constant.
fn is_fixed(expr: &Expr, schema: &DFSchemaRef) -> bool {
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(schema)).build());
    let simple = simplifier.coerce(expr.clone(), schema).and_then(|expr| simplifier.simplify(expr));
    simple.is_ok_and(|simple| simple.column_refs().is_empty())
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
    let is_outer = matches!(join.join_type, JoinType::Right | JoinType::Full);
    (is_outer && join.join_constraint == JoinConstraint::Using).then_some(Unsound::OuterUsing)
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

/// Whether two lists about the same expression, among the parts that are joined by an operator, leave nothing of each other: one of values and
/// another without any of them, or the like.
fn has_contrary_lists(parts: &[&Expr], op: Operator) -> bool {
    // Of `and`, what the lists allow is intersected; of `or`, what they exclude.
    let excludes = op == Operator::Or;
    let mut by_expr: HashMap<&Expr, Vec<(bool, HashSet<&ScalarValue>)>> = HashMap::new();
    for part in parts {
        let Expr::InList(list) = part else { continue };
        let values = list.list.iter().map(|value| if let Expr::Literal(value, _) = value { Some(value) } else { None });
        if let Some(values) = values.collect::<Option<HashSet<_>>>() {
            by_expr.entry(&list.expr).or_default().push((list.negated == excludes, values));
        }
    }
    by_expr.values().any(|lists| {
        lists.iter().enumerate().any(|(at, (is_kept, values))| {
            lists[at + 1..].iter().any(|(is_other_kept, others)| match (is_kept, is_other_kept) {
                (true, true) => values.is_disjoint(others),
                (true, false) => values.is_subset(others),
                (false, true) => others.is_subset(values),
                (false, false) => false,
            })
        })
    })
}

/// Adds the parts that are joined by an operator.
fn add_parts<'e>(expr: &'e Expr, joined_by: Operator, parts: &mut Vec<&'e Expr>) {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == joined_by => {
            add_parts(left, joined_by, parts);
            add_parts(right, joined_by, parts);
        }
        other => parts.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Limits};

    /// What is right is not refused, however near it is to what is not.
    const SOUND: &[&str] = &[
        "select id from t where k in (select k from u) or i = 1",
        "select id from t where k not in (select k from u) and i = 1",
        "select id from t where not (k in (select k from u))",
        "select case when k in (select k from u) then 1 else 0 end as n from t",
        "select (k in (select k from u)) is true as q from t",
        "select t.id from t join u on t.id = u.id and t.k not in (select k from u)",
        "select id from t where i in (select max(u.i) from u where u.k = t.k)",
        "select id from t where 0 = (select count(*) from u where u.k = t.k)",
        "select id from t where exists (select 1 from u left join t as v on v.id = u.id where u.k = t.k)",
        "select id from t where k in ('a', null)",
        "select id from t where k in ('a', 'b') and k in ('c')",
        "select id from t where k not in ('a') and k not in ('b')",
        "select id from t where k in ('a') or k in ('b')",
        "select id from t order by id limit 3",
        "select id, (select coalesce(sum(u.i), 0) + 1 from u where u.k = t.k) as n from t",
        "select id, (select case when count(*) > 0 then max(u.i) end from u where u.k = t.k) as n from t",
        "select k, count(*) as n from t group by k having count(*) > 1",
        "select lag(i) ignore nulls over (order by id) as l, lead(i, 2) over (order by id) as m from t",
        "select b.id from t as a full join u as b on a.id = b.id and a.i < b.i",
        "select id from t left join u using (id)",
    ];

    const WRONG: &[(&str, Unsound)] = &[
        ("select id from t where k not in (select k from u) or i = 1", Unsound::NullOfIn),
        ("select id from t where (k in (select k from u)) is null", Unsound::NullOfIn),
        ("select id from t where not (k in (select k from u) and i = 1)", Unsound::NullOfIn),
        ("select k in (select k from u) as q from t", Unsound::NullOfIn),
        ("select id from t where nullif(id, 1) not in (select id from u)", Unsound::NullOfIn),
        ("select id from t where i not in (select u.i from u where u.id > t.id)", Unsound::NullOfIn),
        ("select id from t right join u using (id)", Unsound::OuterUsing),
        ("select id from t natural full join u", Unsound::OuterUsing),
        ("select id from t order by id limit 3 offset 2", Unsound::SkippedRows),
        ("select id from t order by id offset 3", Unsound::SkippedRows),
        ("select id, (select count(*) is not null from u where u.k = t.k) as q from t", Unsound::CorrelatedTotal),
        ("select id, (select case when count(*) is null then 1 else 2 end from u where u.k = t.k) as q from t", Unsound::CorrelatedTotal),
        ("select id, (select 'x' from u where u.k = t.k having count(*) = 0) as q from t", Unsound::CorrelatedTotal),
        ("select id from t where i in (select max(u.i) over () from u where u.k = t.k)", Unsound::CorrelatedWindow),
        (
            "select x.n from t cross join lateral (select row_number() over (order by u.id) as n from u where u.k = t.k) as x",
            Unsound::CorrelatedWindow,
        ),
        ("select id from t where exists (select 1 from u left join t as v on v.id = u.id and v.k = t.k)", Unsound::CorrelatedOuterJoin),
        ("select id from t where exists (select max(u.i) from u where u.k = t.k)", Unsound::CorrelatedTotal),
        ("select id from t where 0 in (select count(*) from u where u.k = t.k)", Unsound::CorrelatedTotal),
        ("select lead(i, 2) ignore nulls over (order by id) as l from t", Unsound::IgnoredNulls),
        ("select id from t where k not in ('a') or k not in ('b')", Unsound::ContraryLists),
        ("select id from t where not (k in ('a') and i = 1 and k in ('b', 'c'))", Unsound::ContraryLists),
        ("select (k in ('a') and k not in ('b', 'a')) is null as q from t", Unsound::ContraryLists),
        ("select id from t where k not in ('a', null)", Unsound::NullInList),
        ("select k in ('a', null) as q from t", Unsound::NullInList),
    ];

    #[tokio::test]
    async fn what_would_be_wrong_is_told_from_what_is_right() {
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 28 }, "UTC").unwrap();
        for table in ["t", "u"] {
            let rows = "select nullif(id, 0) as id, k, i from (values (1, 'a', 1), (2, null, null)) as v(id, k, i)";
            engine.materialise(table, engine.query(rows).await.unwrap()).await.unwrap();
        }
        for (query, expected) in SOUND.iter().map(|query| (query, None)).chain(WRONG.iter().map(|(query, part)| (query, Some(*part)))) {
            let plan = engine.query(query).await.unwrap().into_unoptimized_plan();
            assert_eq!(unsound(&plan).unwrap(), expected.into_iter().collect(), "{query}");
        }
    }
}
