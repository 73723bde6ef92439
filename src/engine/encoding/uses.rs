//! What a plan does with the texts that its tables have: those that are only counted or hashed need no codes.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Case, Expr, JoinType, LogicalPlan};

use super::table::is_text;
use crate::engine::digest::ROW_DIGEST;

/// What is done with the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Use {
    /// At most it is asked whether there is one.
    #[default]
    None,
    /// They are told apart, to count different ones.
    Counted,
    /// They are hashed as a part of their row.
    Hashed,
    /// Anything else, or several things.
    Any,
}

impl Use {
    /// Whether values that tell them apart can stand in the place of the groups with such values.
    pub fn needs_no_text(self) -> bool {
        matches!(self, Use::None | Use::Counted)
    }

    fn and(self, other: Use) -> Use {
        match (self, other) {
            (Use::None, used) | (used, Use::None) => used,
            (one, two) if one == two => one,
            _ => Use::Any,
        }
    }
}

/// What becomes of the columns of the inputs of a node, of whose own columns is known what becomes of them.
///
/// # Errors
/// DataFusion's own.
pub fn below(node: &LogicalPlan, uses: &[Use]) -> Result<Vec<Vec<Use>>> {
    let all = || node.inputs().into_iter().map(|input| vec![Use::Any; input.schema().fields().len()]).collect();
    // A subquery may use columns of the query around it.
    let asks = |expr: &Expr| matches!(expr, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_));
    if node.expressions().iter().any(|expr| expr.exists(|part| Ok(asks(part))).unwrap_or(true)) {
        return Ok(all());
    }
    Ok(match node {
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::Limit(_) => vec![uses.to_vec()],
        LogicalPlan::Projection(projection) => {
            let mut below = Below::none(projection.input.schema());
            for (expr, used) in projection.expr.iter().zip(uses) {
                below.add(expr, *used)?;
            }
            vec![below.uses]
        }
        LogicalPlan::Filter(filter) => vec![Below::of(filter.input.schema(), uses).with([&filter.predicate])?],
        LogicalPlan::Sort(sort) => vec![Below::of(sort.input.schema(), uses).with(sort.expr.iter().map(|key| &key.expr))?],
        LogicalPlan::Window(window) => vec![Below::of(window.input.schema(), uses).with(&window.window_expr)?],
        LogicalPlan::Aggregate(aggregate) => {
            let mut below = Below::none(aggregate.input.schema());
            for (group, used) in aggregate.group_expr.iter().zip(uses) {
                if used.needs_no_text() { below.add_counted(group)? } else { below.add(group, Use::Any)? }
            }
            vec![below.with(&aggregate.aggr_expr)?]
        }
        LogicalPlan::Join(join) => {
            let (left, right) = (join.left.schema(), join.right.schema());
            let of_left = left.fields().len();
            let (of_left, of_right) = match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (uses, &[][..]),
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (&[][..], uses),
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => uses.split_at(of_left.min(uses.len())),
            };
            let left = Below::of(left, of_left).with(join.on.iter().map(|(left, _)| left).chain(&join.filter))?;
            let right = Below::of(right, of_right).with(join.on.iter().map(|(_, right)| right).chain(&join.filter))?;
            vec![left, right]
        }
        _ => all(),
    })
}

/// What becomes of the columns of an input.
struct Below<'a> {
    schema: &'a DFSchema,
    uses: Vec<Use>,
}

impl<'a> Below<'a> {
    fn none(schema: &'a DFSchema) -> Self {
        Below::of(schema, &[])
    }

    /// Of an input whose first columns a node hands on.
    fn of(schema: &'a DFSchema, uses: &[Use]) -> Self {
        let uses = (0..schema.fields().len()).map(|at| uses.get(at).copied().unwrap_or_default()).collect();
        Below { schema, uses }
    }

    /// With what some expressions do.
    fn with<'e>(mut self, exprs: impl IntoIterator<Item = &'e Expr>) -> Result<Vec<Use>> {
        for expr in exprs {
            self.add(expr, Use::Any)?;
        }
        Ok(self.uses)
    }

    /// Adds what an expression does, of whose result is known what becomes of it. Columns of another input are passed over.
    fn add(&mut self, expr: &Expr, used: Use) -> Result<()> {
        match expr {
            Expr::Alias(alias) => self.add(&alias.expr, used),
            Expr::Column(column) => {
                if let Some(at) = self.schema.maybe_index_of_column(column) {
                    self.uses[at] = self.uses[at].and(used);
                }
                Ok(())
            }
            expr => self.add_parts(expr),
        }
    }

    fn add_parts(&mut self, expr: &Expr) -> Result<()> {
        let mut parts = Vec::new();
        expr.apply(|part| {
            match part {
                Expr::IsNull(tested) | Expr::IsNotNull(tested) if matches!(tested.as_ref(), Expr::Column(_)) => {}
                Expr::Column(_) => parts.push((part, Use::Any)),
                Expr::ScalarFunction(call) if call.name() == ROW_DIGEST => parts.extend(call.args.iter().map(|arg| (arg, Use::Hashed))),
                Expr::AggregateFunction(call) if counted(call).is_some() => {
                    parts.extend(counted(call));
                    parts.extend(call.params.filter.as_deref().map(|filter| (filter, Use::Any)));
                }
                _ => return Ok(TreeNodeRecursion::Continue),
            }
            Ok(TreeNodeRecursion::Jump)
        })?;
        for (part, used) in parts {
            match used {
                Use::Counted => self.add_counted(part)?,
                used => self.add(part, used)?,
            }
        }
        Ok(())
    }

    /// Adds what is done to count the results of an expression.
    fn add_counted(&mut self, expr: &Expr) -> Result<()> {
        match expr {
            Expr::Case(Case { expr: None, when_then_expr, else_expr }) => {
                for (when, then) in when_then_expr {
                    self.add(when, Use::Any)?;
                    self.add_counted(then)?;
                }
                else_expr.iter().try_for_each(|otherwise| self.add_counted(otherwise))
            }
            Expr::Cast(cast) if is_text(cast.field.data_type()) => self.add_counted(&cast.expr),
            Expr::Alias(alias) => self.add_counted(&alias.expr),
            expr => self.add(expr, Use::Counted),
        }
    }
}

/// What an aggregate counts, if it counts values, and what it does with them.
fn counted(call: &AggregateFunction) -> Option<(&Expr, Use)> {
    match call.params.args.as_slice() {
        [arg] if call.func.name() == "count" && call.params.order_by.is_empty() => {
            Some((arg, if call.params.distinct { Use::Counted } else { Use::None }))
        }
        _ => None,
    }
}
