//! Questions about a plan: which tables and columns it reads, and which of its functions are not repeatable.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, Operator, Volatility};

use super::mended::OR_NULL;
use crate::cast::is_text;

/// The columns that an optimised query reads of each table.
///
/// # Errors
/// DataFusion's own.
pub fn columns_read(plan: &LogicalPlan) -> Result<BTreeMap<String, BTreeSet<String>>, DataFusionError> {
    let mut read: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let filtered = scan.filters.iter().flat_map(|filter| filter.column_refs().into_iter().map(|column| column.name.clone()));
            let columns = scan.projected_schema.fields().iter().map(|field| field.name().clone()).chain(filtered);
            read.entry(scan.table_name.to_string()).or_default().extend(columns);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(read)
}

/// The columns that an optimised query compares, groups by, computes on or returns: all that it names elsewhere than as the result of a branch of
/// `case`, which is needed for some rows alone. They are told by their names, of whatever table.
///
/// # Errors
/// DataFusion's own.
pub fn columns_used_in_all_rows(plan: &LogicalPlan) -> Result<BTreeSet<String>, DataFusionError> {
    let mut used: BTreeSet<String> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            match &expr {
                // A projection that hands a column up unchanged is no use of it.
                Expr::Column(_) if matches!(node, LogicalPlan::Projection(_)) => {}
                _ => add_used(&expr, false, &mut used),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(used)
}

/// Adds the columns of an expression that it uses in all rows.
fn add_used(expr: &Expr, is_result_of_branch: bool, used: &mut BTreeSet<String>) {
    match expr {
        Expr::Column(column) if !is_result_of_branch => drop(used.insert(column.name.clone())),
        Expr::Column(_) => {}
        Expr::Alias(alias) => add_used(&alias.expr, is_result_of_branch, used),
        // No text is looked at for this.
        tested if is_null_test(tested) => {}
        Expr::Case(case) => {
            let conditions = case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when));
            conditions.for_each(|condition| add_used(condition, false, used));
            // `coalesce` becomes a `case` that asks only for null, and so has a result for every row.
            let is_coalesce = case.expr.is_none() && case.when_then_expr.iter().all(|(when, _)| is_null_test(when));
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            results.for_each(|result| add_used(result, is_result_of_branch || !is_coalesce, used));
        }
        Expr::AggregateFunction(aggregate) => {
            let parameters = &aggregate.params;
            let order = parameters.order_by.iter().map(|sort| &sort.expr);
            let all = parameters.args.iter().chain(parameters.filter.as_deref()).chain(order);
            all.for_each(|part| add_used(part, false, used));
        }
        // What is computed on a text is computed once for each code.
        other => used.extend(other.column_refs().into_iter().map(|column| column.name.clone())),
    }
}

/// Whether an expression asks only if a column is null.
fn is_null_test(expr: &Expr) -> bool {
    matches!(expr, Expr::IsNull(tested) | Expr::IsNotNull(tested) if matches!(tested.as_ref(), Expr::Column(_)))
}

/// How many times a query scans each table.
///
/// # Errors
/// DataFusion's own.
pub fn reads(plan: &LogicalPlan) -> Result<BTreeMap<String, usize>, DataFusionError> {
    let mut reads = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            *reads.entry(scan.table_name.to_string()).or_default() += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(reads)
}

/// Whether a query makes each of its rows from one row of one table, in the order of that table's rows, so that its first rows are known
/// when the table's first rows are.
pub fn is_row_by_row(plan: &LogicalPlan) -> bool {
    let asks_none = |expressions: &[Expr]| {
        let asks = |part: &Expr| matches!(part, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_));
        expressions.iter().all(|expr| !expr.exists(|part| Ok(asks(part))).unwrap_or(true))
    };
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::SubqueryAlias(node) => is_row_by_row(&node.input),
        // Without an order it takes the first rows.
        LogicalPlan::Limit(node) => is_row_by_row(&node.input),
        LogicalPlan::Projection(node) => asks_none(&node.expr) && is_row_by_row(&node.input),
        LogicalPlan::Filter(node) => asks_none(std::slice::from_ref(&node.predicate)) && is_row_by_row(&node.input),
        _ => false,
    }
}

/// Functions that have a result for whatever texts they are given.
const NEVER_FAIL: [&str; 16] = [
    "btrim",
    "character_length",
    "coalesce",
    "contains",
    "email_address",
    "email_mailbox",
    "ends_with",
    "local_date",
    "lower",
    "ltrim",
    "nullif",
    "or_null",
    "rtrim",
    "starts_with",
    "strpos",
    "upper",
];

/// Whether an optimised query computes nothing that fails for some values, such as a sum that may be too large.
pub fn cannot_fail(plan: &LogicalPlan) -> bool {
    let schema = merge_schema(&plan.inputs());
    plan.expressions().iter().all(|expr| !expr.exists(|part| Ok(may_fail(part, &schema))).unwrap_or(true))
        && plan.inputs().into_iter().all(cannot_fail)
}

fn may_fail(part: &Expr, schema: &DFSchema) -> bool {
    match part {
        Expr::ScalarFunction(call) => !NEVER_FAIL.contains(&call.name()),
        Expr::Cast(cast) => {
            let (from, into) = (cast.expr.get_type(schema), cast.field.data_type());
            !(is_text(into) || matches!((from, into), (Ok(DataType::Timestamp(..)), DataType::Date32)))
        }
        Expr::BinaryExpr(binary) => {
            use Operator::{And, Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq, Or};
            !matches!(binary.op, And | Eq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom | Lt | LtEq | NotEq | Or)
        }
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::Literal(..)
        | Expr::Like(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::TryCast(_)
        | Expr::InList(_) => false,
        _ => true,
    }
}

/// Whether a subquery of a query refers to the query around it. The engine cannot run all of those.
///
/// # Errors
/// DataFusion's own.
pub fn is_correlated(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|part| Ok(matches!(part, Expr::OuterReferenceColumn(..))))?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

/// Whether what a query makes of rows may depend on which columns of it are read, because rows with equal sort keys are ordered by those.
///
/// # Errors
/// DataFusion's own.
pub fn breaks_ties(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Window(_) | LogicalPlan::Limit(_) | LogicalPlan::Distinct(Distinct::On(_)));
        if let LogicalPlan::Aggregate(aggregate) = node {
            let is_ordered = |expr: &Expr| expr.exists(|part| Ok(is_ordered_aggregate(part))).unwrap_or(true);
            found |= aggregate.aggr_expr.iter().any(is_ordered);
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_ordered_aggregate(part: &Expr) -> bool {
    matches!(part, Expr::AggregateFunction(function) if !function.params.order_by.is_empty())
}

/// The functions that may return different values for the same arguments, such as `random` and `now`. With them the same extracts would not
/// give the same outputs.
pub fn unrepeatable(expressions: &[Expr]) -> Vec<String> {
    let mut names = Vec::new();
    for expression in expressions {
        let walked = expression.apply(|part| {
            if let Expr::ScalarFunction(function) = part
                && function.func.signature().volatility != Volatility::Immutable
                && function.func.name() != OR_NULL
            {
                names.push(function.func.name().to_owned());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(walked.is_ok());
    }
    names
}

/// As [`unrepeatable`], for all expressions of a plan.
///
/// # Errors
/// DataFusion's own.
pub fn unrepeatable_in(plan: &LogicalPlan) -> Result<Vec<String>, DataFusionError> {
    let mut names = Vec::new();
    plan.apply_with_subqueries(|node| {
        names.extend(unrepeatable(&node.expressions()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::empty::EmptyTable;

    use super::*;
    use crate::engine::{Engine, Limits};

    #[tokio::test]
    async fn only_what_a_branch_passes_on_is_not_used_in_all_rows() {
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 28 }, "UTC").unwrap();
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let schema = Schema::new(vec![text("id"), text("kind"), text("other")]);
        engine.register("t", Arc::new(EmptyTable::new(Arc::new(schema)))).unwrap();
        for (sql, is_passed_on) in [
            ("select count(distinct case when kind = 'a' then id end) as n from t", true),
            ("select count(distinct case when kind = 'a' then coalesce(id, '') end) as n from t", true),
            ("select case kind when 'a' then other else id end as x, count(*) as n from t group by 1", true),
            ("select one.n from (select case when kind = 'a' then id end as n, kind from t) as one where one.kind <> 'b'", true),
            ("select id from t", false),
            ("select coalesce(id, '') as id_or_none, count(*) as n from t group by 1", false),
            ("select count(distinct id) as n from t", false),
            ("select case when kind = 'a' then upper(id) end as x from t", false),
            ("select case when id = 'a' then kind end as x from t", false),
            ("select case when kind = 'a' then id end as x from t where id <> 'b'", false),
            ("select one.kind from t as one inner join t as two on two.id = one.other", false),
            ("select case when kind = 'a' then id end as x, lag(id) over (order by kind, other) as y from t", false),
        ] {
            let plan = engine.query(sql).await.unwrap().into_unoptimized_plan();
            let optimized = engine.optimize(&plan).unwrap();
            let used = columns_used_in_all_rows(&optimized).unwrap();
            assert_eq!(!used.contains("id"), is_passed_on, "{sql}: {used:?}\n{optimized}");
        }
    }

    #[tokio::test]
    async fn what_may_fail_for_some_values_is_known() {
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 28 }, "UTC").unwrap();
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let moment = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![field("id", DataType::Utf8), field("number", DataType::Int64), field("at", moment)]);
        engine.register("t", Arc::new(EmptyTable::new(Arc::new(schema)))).unwrap();
        for (sql, may_fail) in [
            ("select lower(trim(id)) as id, coalesce(id, 'none') as other, email_address(id) as address from t where id <> 'x'", false),
            ("select case when number > 3 then id end as id, at from t where id like 'a%' and number in (1, 2) or at is null", false),
            ("select cast(number as varchar) as text, cast(at as date) as on_day, try_cast(id as bigint) as n from t", false),
            ("select number from t where number between 2 and 9 and id is distinct from 'a'", false),
            ("select number + 1 as next from t", true),
            ("select id from t where 10 / number > 2", true),
            ("select cast(id as bigint) as n from t", true),
            ("select number from t where number = id", true),
            ("select substr(id, number) as part from t", true),
            ("select - number as n from t", true),
        ] {
            let plan = engine.query(sql).await.unwrap().into_unoptimized_plan();
            assert_eq!(cannot_fail(&engine.optimize(&plan).unwrap()), !may_fail, "{sql}");
        }
    }
}
