//! How large expressions become when the optimiser replaces the columns in a condition by the expressions that define them. With forty
//! columns that each use the one before twice, a condition has a trillion parts.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan};

use super::known_failure::too_costly;

/// The most parts that a condition may have after columns are replaced, not counting constants.
pub const MAX_PARTS: u64 = 20_000;

/// The most bytes of a constant that is repeated in every row.
const MAX_CONSTANT_BYTES: usize = 16 * 1024;

/// The number of parts of the largest column of a planned query.
///
/// # Errors
/// When one of its conditions has more than [`MAX_PARTS`].
pub fn parts(plan: &LogicalPlan) -> Result<u64, DataFusionError> {
    let columns = of_plan(plan)?;
    Ok(columns.into_iter().max().unwrap_or(1))
}

/// The number of parts of each column of a plan.
fn of_plan(plan: &LogicalPlan) -> Result<Vec<u64>, DataFusionError> {
    let inputs = plan.inputs().into_iter().map(of_plan).collect::<Result<Vec<_>, _>>()?;
    let schemas = plan.inputs().into_iter().map(LogicalPlan::schema).collect::<Vec<_>>();
    let width = plan.schema().fields().len();
    let all: Vec<u64> = inputs.concat();
    let most = all.iter().copied().max().unwrap_or(1);
    let parts = |expr: &Expr| {
        of_expr(expr, &|column| {
            let mut at = schemas.iter().zip(&inputs).filter_map(|(schema, parts)| parts.get(index(schema, column)?).copied());
            at.next().unwrap_or(1)
        })
    };
    let is_condition = matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::Join(_));
    let mut expressions = Vec::new();
    plan.apply_expressions(|expr| {
        expressions.push(parts(expr)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    if is_condition && expressions.iter().any(|parts| *parts > MAX_PARTS) {
        return Err(too_costly(format!(
            "a condition has more than {MAX_PARTS} parts when its columns are replaced by the expressions that define them; compute these columns in a model of their own"
        )));
    }
    Ok(match plan {
        LogicalPlan::Projection(_) => expressions,
        LogicalPlan::Aggregate(aggregate) => {
            let groups = expressions.into_iter().take(aggregate.group_expr.len());
            groups.chain(std::iter::repeat(1)).take(width).collect()
        }
        LogicalPlan::Union(_) => {
            let of_column = |at: usize| inputs.iter().filter_map(|input| input.get(at).copied()).max().unwrap_or(1);
            (0..width).map(of_column).collect()
        }
        LogicalPlan::Window(_) => all.into_iter().chain(std::iter::repeat(1)).take(width).collect(),
        _ if all.len() == width => all,
        _ => vec![most; width],
    })
}

fn index(schema: &DFSchema, column: &datafusion::common::Column) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

fn of_expr(expr: &Expr, of_column: &dyn Fn(&datafusion::common::Column) -> u64) -> Result<u64, DataFusionError> {
    let mut parts = 0_u64;
    expr.apply(|part| {
        let more = match part {
            Expr::Literal(..) => 0,
            Expr::Column(column) => of_column(column),
            Expr::ScalarSubquery(subquery) => self::parts(&subquery.subquery)?.saturating_add(1),
            Expr::Exists(exists) => self::parts(&exists.subquery.subquery)?.saturating_add(1),
            Expr::InSubquery(within) => self::parts(&within.subquery.subquery)?.saturating_add(1),
            _ => 1,
        };
        parts = parts.saturating_add(more);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(parts)
}

/// How the message about a constant that is too large begins. No memory limit changes that.
pub const CONSTANT: &str = "a constant";

/// Refuses large constants that would be repeated in many rows.
///
/// # Errors
/// [`DataFusionError::ResourcesExhausted`] with the size of the first of them.
pub fn refuse_large_constants(plan: &LogicalPlan) -> Result<(), DataFusionError> {
    plan.apply_with_subqueries(|node| {
        let is_one_row =
            node.inputs().iter().all(|input| matches!(input, LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. })));
        if !is_one_row || node.inputs().is_empty() {
            node.apply_expressions(|expr| {
                expr.apply(|part| match part {
                    Expr::Literal(value, _) if value.size() > MAX_CONSTANT_BYTES + size_of_val(value) => {
                        let size = crate::shown::size(value.size() as u64);
                        let most = MAX_CONSTANT_BYTES / 1024;
                        let what = format!("{CONSTANT} of {size} is repeated in every row, and may have {most} KiB at most");
                        Err(DataFusionError::ResourcesExhausted(what))
                    }
                    _ => Ok(TreeNodeRecursion::Continue),
                })
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
