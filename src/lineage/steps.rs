//! The ways from the columns of a plan to those of its inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan, Operator};

/// The most nodes of plans that are visited for one question, so that planning takes no longer than a bound.
pub const VISITS_BOUND: usize = 200_000;

/// The stack that one visit may take, and the size of the stack that is added when less than that is left.
pub const RED_ZONE_BYTES: usize = 256 * 1024;
/// See [`RED_ZONE_BYTES`].
pub const STACK_BYTES: usize = 2 * 1024 * 1024;

/// The plans of all models, by name.
pub type ModelPlans = BTreeMap<String, Arc<LogicalPlan>>;

/// A way from the columns of a plan to those of one of its inputs.
pub struct Step<'a> {
    /// The input.
    pub input: &'a LogicalPlan,
    /// By column of the plan, what it is made of in the input; none for a column that is not made of this input alone.
    pub columns: Vec<Option<Expr>>,
    /// The column that has the elements of a list of the input, and that list.
    pub elements: Vec<(usize, Expr)>,
}

/// The ways from a plan to its inputs. Values that an aggregate picks from a column, as `max` does, are values of the column.
pub fn steps(plan: &LogicalPlan) -> Vec<Step<'_>> {
    let as_it_is = |input: &LogicalPlan, width: usize| (0..width).map(|at| Some(column_at(input.schema(), at))).collect::<Vec<_>>();
    let one = |input, columns| vec![Step { input, columns, elements: Vec::new() }];
    let width = plan.schema().fields().len();
    match plan {
        LogicalPlan::Projection(node) => one(&*node.input, node.expr.iter().map(|expr| Some(bare(expr).clone())).collect()),
        LogicalPlan::Aggregate(node) => {
            let groups = node.group_expr.iter().map(|expr| (!matches!(expr, Expr::GroupingSet(_))).then(|| bare(expr).clone()));
            let columns: Vec<_> = groups.chain(node.aggr_expr.iter().map(picked)).collect();
            if columns.len() == width { one(&*node.input, columns) } else { Vec::new() }
        }
        LogicalPlan::Window(node) => {
            let passed_on = node.input.schema().fields().len();
            let columns = as_it_is(&node.input, passed_on).into_iter().chain(node.window_expr.iter().map(picked)).collect();
            one(&*node.input, columns)
        }
        LogicalPlan::Union(node) => {
            node.inputs.iter().map(|input| Step { input, columns: as_it_is(input, width), elements: Vec::new() }).collect()
        }
        LogicalPlan::Distinct(Distinct::On(node)) => {
            one(&*node.input, node.select_expr.iter().map(|expr| Some(bare(expr).clone())).collect())
        }
        LogicalPlan::Distinct(Distinct::All(input)) => one(&**input, as_it_is(input, width)),
        LogicalPlan::SubqueryAlias(node) => one(&*node.input, as_it_is(&node.input, width)),
        LogicalPlan::Filter(node) => one(&*node.input, as_it_is(&node.input, width)),
        LogicalPlan::Sort(node) => one(&*node.input, as_it_is(&node.input, width)),
        LogicalPlan::Limit(node) => one(&*node.input, as_it_is(&node.input, width)),
        LogicalPlan::Repartition(node) => one(&*node.input, as_it_is(&node.input, width)),
        LogicalPlan::Unnest(node) => {
            let lists: Vec<usize> = node.list_type_columns.iter().map(|(at, _)| *at).collect();
            let (mut columns, mut elements) = (Vec::new(), Vec::new());
            for (out, &at) in node.dependency_indices.iter().enumerate() {
                let of_input = column_at(node.input.schema(), at);
                if lists.contains(&at) {
                    elements.push((out, of_input.clone()));
                }
                columns.push((!lists.contains(&at) && !node.struct_type_columns.contains(&at)).then_some(of_input));
            }
            vec![Step { input: &node.input, columns, elements }]
        }
        LogicalPlan::Join(node) => {
            let (left, right) = (node.left.schema().fields().len(), node.right.schema().fields().len());
            let (has_left, has_right) = match node.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => (true, true),
                JoinType::LeftSemi | JoinType::LeftAnti => (true, false),
                JoinType::RightSemi | JoinType::RightAnti => (false, true),
                JoinType::LeftMark | JoinType::RightMark => return Vec::new(),
            };
            let nothing = |width: usize| vec![None; width];
            let (in_left, in_right) = (if has_left { left } else { 0 }, if has_right { right } else { 0 });
            let of_left = as_it_is(&node.left, in_left).into_iter().chain(nothing(in_right)).collect();
            let of_right = nothing(in_left).into_iter().chain(as_it_is(&node.right, in_right)).collect();
            let step = |input, columns| Step { input, columns, elements: Vec::new() };
            vec![step(&*node.left, of_left), step(&*node.right, of_right)]
        }
        _ => Vec::new(),
    }
}

/// The argument from which an aggregate or window function picks its value.
pub fn picked(expr: &Expr) -> Option<Expr> {
    const PICKS: [&str; 12] = [
        "min",
        "max",
        "first_value",
        "last_value",
        "nth_value",
        "any_value",
        "arg_max",
        "arg_min",
        "arg_max_null",
        "arg_min_null",
        "lag",
        "lead",
    ];
    match bare(expr) {
        Expr::AggregateFunction(call) if PICKS.contains(&call.func.name()) => call.params.args.first().map(|arg| bare(arg).clone()),
        Expr::WindowFunction(call) if PICKS.contains(&call.fun.name()) => call.params.args.first().map(|arg| bare(arg).clone()),
        _ => None,
    }
}

/// A column of a schema by its position.
pub fn column_at(schema: &DFSchema, at: usize) -> Expr {
    Expr::Column(Column::from(schema.qualified_field(at)))
}

/// An expression without its name.
pub fn bare(expr: &Expr) -> &Expr {
    if let Expr::Alias(alias) = expr { bare(&alias.expr) } else { expr }
}

/// The position of the column that an expression is, if it is one.
pub fn position(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    if let Expr::Column(column) = bare(expr) { schema.maybe_index_of_column(column) } else { None }
}

/// An expression over a plan's columns as one over those of an input; none where it is not made of that input alone.
pub fn replaced(expr: &Expr, schema: &DFSchema, columns: &[Option<Expr>]) -> Option<Expr> {
    let mut is_whole = true;
    let replaced = expr.clone().transform_up(|part| {
        let Expr::Column(column) = &part else {
            is_whole &= !matches!(part, Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_));
            return Ok(Transformed::no(part));
        };
        let of_input = schema.maybe_index_of_column(column).and_then(|at| columns.get(at)?.clone());
        is_whole &= of_input.is_some();
        Ok(of_input.map_or_else(|| Transformed::no(part), Transformed::yes))
    });
    replaced.ok().map(|replaced| bare(&replaced.data).clone()).filter(|_| is_whole)
}

/// The pairs of expressions that are equal in every row that a join keeps because both its inputs have it.
pub fn equalities(plan: &LogicalPlan) -> Vec<(Expr, Expr)> {
    let LogicalPlan::Join(node) = plan else { return Vec::new() };
    let mut found: Vec<(Expr, Expr)> = node.on.clone();
    let mut waiting: Vec<&Expr> = node.filter.iter().collect();
    while let Some(expr) = waiting.pop() {
        if let Expr::BinaryExpr(binary) = expr {
            match binary.op {
                Operator::And => waiting.extend([&*binary.left, &*binary.right]),
                Operator::Eq => found.push((bare(&binary.left).clone(), bare(&binary.right).clone())),
                _ => {}
            }
        }
    }
    found
}
