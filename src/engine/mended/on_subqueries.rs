//! Makes conditions on subqueries right, and computable wherever they stand: `exists`, and `in` where a null matters.
//!
//! DataFusion turns them into joins that know only whether there is a match. So `in` is false where it should be null: where a value is not
//! among those of the subquery, but is null itself or beside a null. That is enough where it only matters whether the condition is true.
//! Everywhere else `k in (select …)` becomes `case when k in (select …) then true when k is null and exists (select …) or exists (… where it
//! is null) then null else false end`.
//!
//! DataFusion makes such joins for filters alone. In the columns of a result a condition becomes a count: `exists (select …)` is
//! `(select count(*) …) > 0`, and `k in (select …)` the same of the rows that are equal to `k`. Those of an aggregate or a window are
//! columns of a projection below it, because DataFusion computes counts only there.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema, ScalarValue, Spans};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{AggregateFunction, Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Projection, Subquery, Window, lit, when,
};
use datafusion::prelude::ident;

use crate::engine::unsound::{Asked, Unsound, is_right, may_be_null, unsound};

/// Calls of a chain of conditions one within the other go on with a new stack if less than this is left.
const RED_ZONE_BYTES: usize = 256 * 1024;
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// A planned query with such conditions put in another way. Those of joins stay as they are: DataFusion computes none in a part of them.
///
/// # Errors
/// DataFusion's own.
pub fn with_conditions_on_subqueries(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !unsound(&plan)?.contains(&Unsound::NullOfIn) && !has_conditions_in_columns(&plan)? {
        return Ok(plan);
    }
    let count_moved = Cell::new(0);
    let mended = plan.transform_up_with_subqueries(|node| {
        if matches!(node, LogicalPlan::Join(_)) {
            return Ok(Transformed::yes(node.recompute_schema()?));
        }
        let (schema, asked, names) = (merge_schema(&node.inputs()), Asked::of(&node), NamePreserver::new(&node));
        let counts = !matches!(node, LogicalPlan::Filter(_));
        let moves = matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_)).then_some(&count_moved);
        let place = Place { schema: &schema, counts, moves, below: RefCell::default() };
        let mended = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(Transformed::yes(name.restore(place.mended(expr, asked)?)))
        })?;
        // What was never null may be now.
        Ok(Transformed::yes(above(mended.data, place.below.into_inner())?.recompute_schema()?))
    })?;
    Ok(mended.data)
}

/// A node above a projection that has some more columns.
fn above(node: LogicalPlan, more: Vec<Expr>) -> Result<LogicalPlan> {
    if more.is_empty() {
        return Ok(node);
    }
    let with_more = |input: Arc<LogicalPlan>| {
        let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).chain(more).collect();
        Ok::<_, DataFusionError>(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, input)?)))
    };
    Ok(match node {
        LogicalPlan::Aggregate(node) => {
            LogicalPlan::Aggregate(Aggregate::try_new(with_more(node.input)?, node.group_expr, node.aggr_expr)?)
        }
        LogicalPlan::Window(node) => LogicalPlan::Window(Window::try_new(node.window_expr, with_more(node.input)?)?),
        other => other,
    })
}

/// Whether there are conditions on subqueries elsewhere than in filters and joins.
fn has_conditions_in_columns(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if !matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_)) {
            node.apply_expressions(|expr| {
                found |= expr.exists(|part| Ok(matches!(part, Expr::Exists(_) | Expr::InSubquery(_))))?;
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Where an expression stands.
struct Place<'a> {
    /// What its columns are.
    schema: &'a DFSchema,
    /// Whether conditions on subqueries become counts.
    counts: bool,
    /// Whether these become columns of a projection below, and how many there are in the whole plan.
    moves: Option<&'a Cell<usize>>,
    /// The columns of that projection.
    below: RefCell<Vec<Expr>>,
}

impl Place<'_> {
    fn mended(&self, expr: Expr, asked: Asked) -> Result<Expr> {
        let boxed = |expr: Box<Expr>, asked: Asked| self.mended(*expr, asked).map(Box::new);
        stacker::maybe_grow(RED_ZONE_BYTES, STACK_BYTES, || {
            Ok(match expr {
                Expr::Alias(mut alias) => {
                    alias.expr = boxed(alias.expr, asked)?;
                    Expr::Alias(alias)
                }
                Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                    let asked = if op == Operator::And { asked } else { asked.below() };
                    Expr::BinaryExpr(BinaryExpr { left: boxed(left, asked)?, op, right: boxed(right, asked)? })
                }
                Expr::Not(inner) => match *inner {
                    Expr::InSubquery(within) => self.moved(self.of_in(InSubquery { negated: !within.negated, ..within }, asked)?),
                    other => Expr::Not(Box::new(self.mended(other, Asked::Value)?)),
                },
                Expr::IsTrue(inner) => Expr::IsTrue(boxed(inner, Asked::Truth)?),
                Expr::IsNotTrue(inner) => Expr::IsNotTrue(boxed(inner, Asked::Truth)?),
                Expr::Case(mut case) => {
                    let of_when = if case.expr.is_none() { Asked::Truth } else { Asked::Value };
                    case.expr = case.expr.map(|base| boxed(base, Asked::Value)).transpose()?;
                    let pair = |(when, then)| Ok((boxed(when, of_when)?, boxed(then, asked.below())?));
                    case.when_then_expr = case.when_then_expr.into_iter().map(pair).collect::<Result<_>>()?;
                    case.else_expr = case.else_expr.map(|otherwise| boxed(otherwise, asked.below())).transpose()?;
                    Expr::Case(case)
                }
                Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
                    params.args = params.args.into_iter().map(|arg| self.mended(arg, Asked::Value)).collect::<Result<_>>()?;
                    params.filter = params.filter.map(|filter| boxed(filter, Asked::Truth)).transpose()?;
                    Expr::AggregateFunction(AggregateFunction { func, params })
                }
                Expr::InSubquery(within) => self.moved(self.of_in(within, asked)?),
                Expr::Exists(exists) => self.moved(self.of_exists(exists)?),
                other => other.map_children(|child| Ok(Transformed::yes(self.mended(child, Asked::Value)?)))?.data,
            })
        })
    }

    /// A condition, or the column below that it becomes.
    fn moved(&self, condition: Expr) -> Expr {
        let Some(moved) = self.moves else { return condition };
        moved.set(moved.get() + 1);
        let name = format!("condition {}", moved.get());
        self.below.borrow_mut().push(condition.alias(&name));
        ident(name)
    }

    /// A condition that a value is, or is not, one of those of a subquery.
    fn of_in(&self, within: InSubquery, asked: Asked) -> Result<Expr> {
        let is_negated = within.negated;
        let within = InSubquery { expr: Box::new(self.mended(*within.expr, Asked::Value)?), ..within };
        let is_truth = is_right(&within, is_negated, asked, self.schema);
        if is_truth && !self.counts {
            return Ok(Expr::InSubquery(within));
        }
        let rows = &within.subquery.subquery;
        let other = Expr::Column(rows.schema().columns().swap_remove(0));
        let [value, others] = may_be_null(&within, self.schema);
        let exists = |rows: Arc<LogicalPlan>| self.of_exists(Exists { subquery: within.subquery.with_plan(rows), negated: false });
        let mut unknown = Vec::new();
        if !is_truth && value {
            unknown.push(within.expr.as_ref().clone().is_null().and(exists(Arc::clone(rows))?));
        }
        if !is_truth && others {
            let null = LogicalPlanBuilder::from(Arc::clone(rows)).filter(other.clone().is_null())?.build()?;
            unknown.push(exists(Arc::new(null))?);
        }
        let found = if self.counts {
            let equal = LogicalPlanBuilder::from(Arc::clone(rows)).filter(self.outside(within.expr.as_ref().clone())?.eq(other))?;
            is_some(equal.build()?)?
        } else {
            Expr::InSubquery(InSubquery { negated: false, ..within })
        };
        let mut found = when(found, lit(!is_negated));
        match unknown.into_iter().reduce(Expr::or) {
            Some(unknown) => found.when(unknown, lit(ScalarValue::Boolean(None))).otherwise(lit(is_negated)),
            None => found.otherwise(lit(is_negated)),
        }
    }

    /// A condition that a subquery has rows, or has none.
    fn of_exists(&self, exists: Exists) -> Result<Expr> {
        if !self.counts {
            return Ok(Expr::Exists(exists));
        }
        let is_some = is_some(exists.subquery.subquery.as_ref().clone())?;
        Ok(if exists.negated { Expr::Not(Box::new(is_some)) } else { is_some })
    }

    /// An expression of the row outside, for use in a subquery.
    fn outside(&self, expr: Expr) -> Result<Expr> {
        let outside = expr.transform(|part| {
            let Expr::Column(column) = part else { return Ok(Transformed::no(part)) };
            let field = Arc::clone(self.schema.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        })?;
        Ok(outside.data)
    }
}

/// Whether a subquery has rows, as a count.
fn is_some(rows: LogicalPlan) -> Result<Expr> {
    let counted = LogicalPlanBuilder::from(rows).aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64))])?.build()?;
    let outer_ref_columns = counted.all_out_ref_exprs();
    let count = Expr::ScalarSubquery(Subquery { subquery: Arc::new(counted), outer_ref_columns, spans: Spans::new() });
    Ok(count.gt(lit(0_i64)))
}
