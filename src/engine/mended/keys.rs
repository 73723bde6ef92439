//! Makes DataFusion forget which columns it takes for keys.
//!
//! A column by which rows are grouped occurs once, and DataFusion remembers that the other columns depend on it. It goes wrong where rows
//! are repeated above: by `unnest`, or by a join whose result is grouped again. It also takes a cast of a column for the column. A query
//! that has forgotten its keys computes a little more and is right.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Dependency, FunctionalDependence, FunctionalDependencies};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, SubqueryAlias};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::sql::sqlparser::ast::TableFactor;

/// Forgets all keys of a plan.
#[derive(Debug)]
pub struct ForgetKeys;

impl OptimizerRule for ForgetKeys {
    fn name(&self) -> &'static str {
        "forget_keys"
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut has_keys = false;
        plan.apply_with_subqueries(|node| {
            has_keys |= !node.schema().functional_dependencies().is_empty();
            Ok(if has_keys { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if !has_keys {
            return Ok(Transformed::no(plan));
        }
        let forgotten = plan.transform_up_with_subqueries(|node| without_keys(node).map(Transformed::yes))?;
        // The keys that the next rule finds anew are no progress.
        Ok(Transformed::no(forgotten.data))
    }
}

/// Keeps those keys of a plan that are sure: the columns of a `group by`, as far up as rows are only chosen and columns renamed.
#[derive(Debug)]
pub struct KeepSureKeys;

impl OptimizerRule for KeepSureKeys {
    fn name(&self) -> &'static str {
        "keep_sure_keys"
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let sure = plan.transform_up_with_subqueries(|node| with_sure_keys(node).map(Transformed::yes))?;
        Ok(Transformed::no(sure.data))
    }
}

/// A node with the keys that follow from the sure ones of its input.
fn with_sure_keys(node: LogicalPlan) -> Result<LogicalPlan> {
    Ok(match node {
        LogicalPlan::Aggregate(mut node) => {
            let groups = node.group_expr.len();
            let are_columns = groups > 0 && node.group_expr.iter().all(|expr| matches!(expr, Expr::Column(_)));
            let keys = if are_columns {
                let all = (0..node.schema.fields().len()).collect();
                vec![FunctionalDependence::new((0..groups).collect(), all, false).with_mode(Dependency::Single)]
            } else {
                Vec::new()
            };
            let keys = FunctionalDependencies::new(keys);
            node.schema = Arc::new(node.schema.as_ref().clone().with_functional_dependencies(keys)?);
            LogicalPlan::Aggregate(node)
        }
        LogicalPlan::Projection(node) => LogicalPlan::Projection(Projection::try_new(node.expr, node.input)?),
        LogicalPlan::SubqueryAlias(node) => LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(node.input, node.alias)?),
        other => without_keys(other)?,
    })
}

/// Plans what stands behind `from` and `join` as DataFusion does, and forgets its keys. So a query knows only those of its own `group by`.
#[derive(Debug)]
pub struct RelationsWithoutKeys;

thread_local! {
    /// Whether the relation that comes next is the one that is planned already.
    static IS_AGAIN: Cell<bool> = const { Cell::new(false) };
}

impl RelationPlanner for RelationsWithoutKeys {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        // DataFusion asks again as soon as it is told to plan the relation itself.
        if IS_AGAIN.replace(false) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        IS_AGAIN.set(true);
        let planned = context.plan(relation);
        IS_AGAIN.set(false);
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(without_keys_above(planned?)?, None))))
    }
}

/// A plan whose result has no keys.
fn without_keys_above(plan: LogicalPlan) -> Result<LogicalPlan> {
    if plan.schema().functional_dependencies().is_empty() {
        return Ok(plan);
    }
    let input =
        |input: Arc<LogicalPlan>| Ok::<_, datafusion::error::DataFusionError>(Arc::new(without_keys_above(Arc::unwrap_or_clone(input))?));
    // These have the schema of their input.
    Ok(match plan {
        LogicalPlan::Filter(mut node) => {
            node.input = input(node.input)?;
            LogicalPlan::Filter(node)
        }
        LogicalPlan::Sort(mut node) => {
            node.input = input(node.input)?;
            LogicalPlan::Sort(node)
        }
        LogicalPlan::Limit(mut node) => {
            node.input = input(node.input)?;
            LogicalPlan::Limit(node)
        }
        LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(node)) => {
            LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(input(node)?))
        }
        LogicalPlan::Subquery(mut node) => {
            node.subquery = input(node.subquery)?;
            LogicalPlan::Subquery(node)
        }
        other => without_keys(other)?,
    })
}

/// A node without keys in its own schema.
fn without_keys(mut node: LogicalPlan) -> Result<LogicalPlan> {
    match &mut node {
        LogicalPlan::Projection(node) => forget(&mut node.schema)?,
        LogicalPlan::Aggregate(node) => forget(&mut node.schema)?,
        LogicalPlan::Join(node) => forget(&mut node.schema)?,
        LogicalPlan::Window(node) => forget(&mut node.schema)?,
        LogicalPlan::Union(node) => forget(&mut node.schema)?,
        LogicalPlan::SubqueryAlias(node) => forget(&mut node.schema)?,
        LogicalPlan::Unnest(node) => forget(&mut node.schema)?,
        LogicalPlan::TableScan(node) => forget(&mut node.projected_schema)?,
        LogicalPlan::Distinct(datafusion::logical_expr::Distinct::On(node)) => forget(&mut node.schema)?,
        _ => {}
    }
    Ok(node)
}

fn forget(schema: &mut DFSchemaRef) -> Result<()> {
    if !schema.functional_dependencies().is_empty() {
        *schema = Arc::new(schema.as_ref().clone().with_functional_dependencies(FunctionalDependencies::empty())?);
    }
    Ok(())
}
