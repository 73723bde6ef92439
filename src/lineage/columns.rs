//! What each column of the profile is made of: which sources, whether the as-of day, and whether other customers have a part in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Aggregate, Expr, Join, JoinType, LogicalPlan, WindowFunctionDefinition};

use super::leads::Lead;
use super::parts::{MadeOf, Parts, TableColumn, Transformation};
use super::steps::{ModelPlans, RED_ZONE_BYTES, STACK_BYTES, VISITS_BOUND, bare, equalities, steps};
use super::unchanged::Unchanged;
use crate::graph::{PROFILE, REFERENCE, SOURCES};
use crate::segments::CUSTOMER_ID;

/// What a column of the profile is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The sources whose rows have a part in its value.
    pub sources: BTreeSet<String>,
    /// Whether its value is made only of contract columns that say consent.
    pub is_consent: bool,
    /// Whether the as-of day has a part in its value.
    pub reads_day: bool,
    /// Whether other customers have a part in its value, as in a cut-point or a rank among all.
    pub is_relative: bool,
    /// Of a relative column, the columns of the profile that the customer itself brings to it; none if not all of them are in the profile.
    pub own: Option<BTreeSet<String>>,
}

/// The models that native steps fit to all customers at once, each with its column of the customer, by the tables that they make of them.
pub type FittedTo = BTreeMap<String, TableColumn>;

/// The lineage of every column of the profile.
pub fn lineage(
    plans: &ModelPlans,
    fitted_to: &FittedTo,
    leads: &BTreeMap<String, Vec<Lead>>,
    all_sources: &BTreeSet<String>,
    is_consent: &dyn Fn(&str, &str) -> bool,
    as_of: &ScalarValue,
) -> BTreeMap<String, Lineage> {
    let Some(profile) = plans.get(PROFILE) else { return BTreeMap::new() };
    let of_leads = leads.iter().flat_map(|(source, leads)| {
        let columns = leads.iter().flat_map(|lead| lead.identifier.column_refs().into_iter());
        columns.map(move |column| (format!("{SOURCES}.{source}"), column.name.clone()))
    });
    let day = as_of.to_string();
    let mut follower = Follower {
        plans,
        fitted_to,
        all_sources,
        personal: of_leads.chain([("resolved.customers".to_owned(), CUSTOMER_ID.to_owned())]).collect(),
        day,
        keeps_reference: false,
        columns: BTreeMap::new(),
        rows: BTreeMap::new(),
        visits: 0,
    };
    let fields = profile.schema().fields();
    let mut unchanged = Unchanged::new(plans);
    let chains: Vec<BTreeSet<TableColumn>> = (0..fields.len()).map(|at| unchanged.chain(profile, at)).collect();
    let mut found = BTreeMap::new();
    for (at, field) in fields.iter().enumerate() {
        let parts = follower.column(profile, at);
        let profile_column = |of: &TableColumn| chains.iter().position(|chain| chain.contains(of)).map(|at| fields[at].name().clone());
        let own = parts.own.iter().map(profile_column).collect::<Option<BTreeSet<String>>>();
        let is_of_consent = |(table, column): &TableColumn| {
            table.strip_prefix(SOURCES).and_then(|rest| rest.strip_prefix('.')).is_some_and(|source| is_consent(source, column))
        };
        let lineage = Lineage {
            is_consent: !parts.is_unknown && !parts.values.is_empty() && parts.values.keys().all(is_of_consent),
            reads_day: parts.reads_day,
            is_relative: parts.is_relative,
            own: own.filter(|own| parts.is_relative && !parts.is_unknown && !own.is_empty()),
            sources: parts.sources,
        };
        found.insert(field.name().clone(), lineage);
    }
    found
}

/// For each column of a query, the columns of the tables that it reads that give its value, each with what happens to it; none
/// where they cannot be followed.
pub fn made_of(query: &LogicalPlan) -> Vec<Option<MadeOf>> {
    let of_column = |at: usize| Follower::of_one_query().column(query, at).made_of();
    (0..query.schema().fields().len()).map(of_column).collect()
}

static NO_PLANS: ModelPlans = ModelPlans::new();
static NOT_FITTED: FittedTo = FittedTo::new();
static NO_SOURCES: BTreeSet<String> = BTreeSet::new();

/// Follows columns, and what decides which rows there are.
pub(super) struct Follower<'a> {
    plans: &'a ModelPlans,
    fitted_to: &'a FittedTo,
    all_sources: &'a BTreeSet<String>,
    /// The columns that say whose a row is: what is grouped by one of them is grouped by customer, or finer.
    personal: BTreeSet<TableColumn>,
    /// The as-of day, as a bound parameter says it.
    day: String,
    /// Whether columns of reference tables are told, which are no data.
    keeps_reference: bool,
    columns: BTreeMap<TableColumn, Parts>,
    rows: BTreeMap<String, Parts>,
    visits: usize,
}

impl Follower<'static> {
    /// Follows columns within one query, to the tables that it reads.
    pub(super) fn of_one_query() -> Self {
        Follower {
            plans: &NO_PLANS,
            fitted_to: &NOT_FITTED,
            all_sources: &NO_SOURCES,
            personal: BTreeSet::new(),
            day: String::new(),
            keeps_reference: true,
            columns: BTreeMap::new(),
            rows: BTreeMap::new(),
            visits: 0,
        }
    }
}

impl Follower<'_> {
    fn unknown(&self) -> Parts {
        Parts { sources: self.all_sources.clone(), reads_day: true, is_relative: true, is_unknown: true, ..Parts::default() }
    }

    /// What a column of a plan is made of.
    fn column(&mut self, plan: &LogicalPlan, at: usize) -> Parts {
        self.visits += 1;
        if self.visits > VISITS_BOUND {
            return self.unknown();
        }
        stacker::maybe_grow(RED_ZONE_BYTES, STACK_BYTES, || self.column_of_node(plan, at))
    }

    fn column_of_node(&mut self, plan: &LogicalPlan, at: usize) -> Parts {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let column = plan.schema().field(at).name().clone();
                self.column_of_table((scan.table_name.to_string(), column))
            }
            LogicalPlan::Projection(node) => self.expression(&node.expr[at], &node.input),
            LogicalPlan::Aggregate(node) => self.column_of_aggregate(node, at),
            LogicalPlan::Window(node) => {
                let before = node.input.schema().fields().len();
                match at.checked_sub(before).and_then(|at| node.window_expr.get(at)) {
                    None => self.column(&node.input, at),
                    Some(expr) => self.window(expr, &node.input),
                }
            }
            LogicalPlan::Union(node) => {
                let mut parts = Parts::default();
                for input in &node.inputs {
                    let of_input = self.column(input, at);
                    let rows = self.rows(input);
                    parts.add(of_input);
                    parts.add_conditions(rows);
                }
                parts
            }
            LogicalPlan::Join(node) => self.column_of_join(plan, node, at),
            LogicalPlan::Unnest(node) => match node.dependency_indices.get(at) {
                Some(&at) => self.column(&node.input, at),
                None => self.unknown(),
            },
            LogicalPlan::EmptyRelation(_) => Parts::default(),
            LogicalPlan::Values(node) => {
                let mut parts = Parts::default();
                for row in &node.values {
                    if let Some(expr) = row.get(at) {
                        let of_row = self.expression(expr, plan);
                        parts.add(of_row);
                    }
                }
                parts
            }
            other => {
                let found = steps(other);
                match found.as_slice() {
                    [step] => match step.columns.get(at).and_then(Option::as_ref) {
                        Some(expr) => self.expression(expr, step.input),
                        None => self.unknown(),
                    },
                    _ => self.unknown(),
                }
            }
        }
    }

    fn column_of_aggregate(&mut self, node: &Aggregate, at: usize) -> Parts {
        let groups = node.group_expr.len();
        let mut parts = match node.group_expr.iter().chain(&node.aggr_expr).nth(at) {
            Some(expr) => self.expression(expr, &node.input),
            None => return self.unknown(),
        };
        if at >= groups && !self.is_by_customer(&node.group_expr, &node.input) {
            parts.is_relative = true;
            // What it is made of is not the customer's own.
            parts.direct.clear();
            parts.own.clear();
        }
        for group in &node.group_expr {
            let group = self.expression(group, &node.input);
            parts.add_conditions(Parts { is_relative: false, ..group });
        }
        let rows = self.rows(&node.input);
        parts.add_conditions(rows);
        parts
    }

    fn column_of_join(&mut self, plan: &LogicalPlan, node: &Join, at: usize) -> Parts {
        let found = steps(plan);
        let of_side = found.iter().position(|step| step.columns.get(at).is_some_and(Option::is_some));
        let Some((side, step)) = of_side.and_then(|side| Some((side, found.get(side)?))) else { return self.unknown() };
        let Some(expr) = step.columns[at].as_ref() else { return self.unknown() };
        let mut parts = self.expression(expr, step.input);
        // Rows of the outer side of a join are there whatever the other side has, with the values that they have.
        let is_outer = matches!((node.join_type, side), (JoinType::Left, 0) | (JoinType::Right, 1));
        if !is_outer {
            for (one, other) in equalities(plan) {
                for expr in [one, other] {
                    let condition = self.of_either(&expr, plan);
                    parts.add_conditions(Parts { is_relative: false, ..condition });
                }
            }
            let rows = self.rows(step.input);
            parts.add_conditions(rows);
            if node.join_type == JoinType::Inner || found.len() > 2 {
                for other in found.iter().filter(|other| !std::ptr::eq(other.input, step.input)) {
                    let rows = self.rows(other.input);
                    parts.add_conditions(rows);
                }
            }
        }
        parts
    }

    /// An expression over the columns of either side of a join.
    pub(super) fn of_either(&mut self, expr: &Expr, join: &LogicalPlan) -> Parts {
        let mut parts = Parts::default();
        for column in expr.column_refs() {
            let place = join.inputs().into_iter().find_map(|input| Some((input, input.schema().maybe_index_of_column(column)?)));
            let of_column = match place {
                Some((input, at)) => self.column(input, at),
                None => self.unknown(),
            };
            parts.add(of_column);
        }
        parts
    }

    fn column_of_table(&mut self, of: TableColumn) -> Parts {
        let (table, column) = &of;
        if let Some(source) = table.strip_prefix(SOURCES).and_then(|rest| rest.strip_prefix('.')) {
            let sources = [source.to_owned()].into();
            return Parts { values: [(of.clone(), Transformation::Identity)].into(), sources, ..Parts::default() };
        }
        if let Some((model, customer)) = self.fitted_to.get(table) {
            return self.column_of_fitted(model, customer, column == CUSTOMER_ID);
        }
        let Some(plan) = self.plans.get(table) else {
            // Of native steps: who is who is a cause of its own. What the pipeline file holds is no data.
            let is_constant = !self.keeps_reference && table.strip_prefix(REFERENCE).is_some_and(|rest| rest.starts_with('.'));
            return if is_constant {
                Parts::default()
            } else {
                Parts { values: [(of.clone(), Transformation::Identity)].into(), ..Parts::default() }
            };
        };
        if let Some(known) = self.columns.get(&of) {
            return known.clone();
        }
        let mut parts = match plan.schema().index_of_column_by_name(None, column) {
            Some(at) => self.column(plan, at),
            None => self.unknown(),
        };
        let rows = self.rows_of_model(table);
        parts.sources.extend(rows.sources);
        parts.direct = [of.clone()].into();
        self.columns.insert(of, parts.clone());
        parts
    }

    /// A column of what is fitted to all rows of a model: each customer's is made of its own row, and of everybody's.
    fn column_of_fitted(&mut self, model: &str, customer: &str, is_customer: bool) -> Parts {
        let Some(plan) = self.plans.get(model).map(Arc::clone) else { return self.unknown() };
        if is_customer {
            return self.column_of_table((model.to_owned(), customer.to_owned()));
        }
        let mut parts = Parts { is_relative: true, ..Parts::default() };
        for field in plan.schema().fields().iter().filter(|field| field.name() != customer) {
            let of_row = self.column_of_table((model.to_owned(), field.name().clone()));
            parts.own.extend(of_row.direct.iter().cloned());
            parts.add(of_row);
        }
        parts.direct.clear();
        let rows = self.rows_of_model(model);
        parts.add_conditions(rows);
        parts
    }

    /// What an expression over a plan's columns is made of.
    pub(super) fn expression(&mut self, expr: &Expr, input: &LogicalPlan) -> Parts {
        let mut parts = Parts::default();
        let (mut columns, mut queries, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
        let of_row = if matches!(bare(expr), Expr::Column(_)) { Transformation::Identity } else { Transformation::Computed };
        let day = self.day.clone();
        let walked = expr.apply(|part| {
            match part {
                Expr::Column(column) => columns.push((column.clone(), of_row)),
                Expr::OuterReferenceColumn(..) => parts.is_unknown = true,
                Expr::ScalarSubquery(query) => queries.push(Arc::clone(&query.subquery)),
                Expr::InSubquery(query) => queries.push(Arc::clone(&query.subquery.subquery)),
                Expr::Exists(query) => queries.push(Arc::clone(&query.subquery.subquery)),
                Expr::AggregateFunction(call) => {
                    conditions.extend(call.params.filter.as_deref().cloned());
                    conditions.extend(call.params.order_by.iter().map(|sort| sort.expr.clone()));
                    let args = call.params.args.iter().flat_map(|arg| arg.column_refs().into_iter().cloned());
                    columns.extend(args.map(|column| (column, Transformation::Aggregated)));
                    return Ok(TreeNodeRecursion::Jump);
                }
                Expr::Literal(value, _) => parts.reads_day |= value.to_string() == day,
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(walked.is_ok());
        if parts.is_unknown {
            return self.unknown();
        }
        let mut own = BTreeSet::new();
        for (column, transformation) in columns {
            let of_column = match input.schema().maybe_index_of_column(&column) {
                Some(at) => self.column(input, at).after(transformation),
                None => self.unknown(),
            };
            if !of_column.is_relative {
                own.extend(of_column.direct.iter().cloned());
            }
            parts.add(of_column);
        }
        for condition in conditions {
            let condition = self.expression(&condition, input);
            parts.decided_by(&condition);
            parts.add_conditions(condition);
        }
        for query in queries {
            let rows = self.rows(&query);
            let value = if query.schema().fields().is_empty() { Parts::default() } else { self.column(&query, 0) };
            // The answer of a query of its own is about more than the customer.
            let mut of_query = Parts { is_relative: true, direct: BTreeSet::new(), own: BTreeSet::new(), ..value };
            of_query.add_conditions(rows);
            parts.add(of_query.after(Transformation::Computed));
        }
        if parts.is_relative {
            parts.own.extend(own);
        }
        parts
    }

    fn window(&mut self, expr: &Expr, input: &LogicalPlan) -> Parts {
        let Expr::WindowFunction(call) = bare(expr) else { return self.unknown() };
        let mut parts = Parts::default();
        for arg in &call.params.args {
            let arg = self.expression(arg, input);
            parts.add(arg);
        }
        let is_aggregate = matches!(&call.fun, WindowFunctionDefinition::AggregateUDF(_));
        let mut parts = parts.after(if is_aggregate { Transformation::Aggregated } else { Transformation::Computed });
        for sort in &call.params.order_by {
            let key = self.expression(&sort.expr, input);
            parts.add(key.after(Transformation::Computed));
        }
        for key in &call.params.partition_by {
            let key = self.expression(key, input);
            parts.add_conditions(Parts { is_relative: false, ..key });
        }
        if !self.is_by_customer(&call.params.partition_by, input) {
            parts.is_relative = true;
            parts.own.extend(parts.direct.iter().cloned());
        }
        let rows = self.rows(input);
        parts.add_conditions(rows);
        parts
    }

    /// Whether groups are of one customer each.
    fn is_by_customer(&mut self, keys: &[Expr], input: &LogicalPlan) -> bool {
        keys.iter().any(|key| {
            let key = self.expression(key, input);
            !key.is_unknown && key.values.keys().any(|value| self.personal.contains(value))
        })
    }

    /// What decides which rows a plan has.
    fn rows(&mut self, plan: &LogicalPlan) -> Parts {
        self.visits += 1;
        if self.visits > VISITS_BOUND {
            return self.unknown();
        }
        stacker::maybe_grow(RED_ZONE_BYTES, STACK_BYTES, || self.rows_of_node(plan))
    }

    fn rows_of_node(&mut self, plan: &LogicalPlan) -> Parts {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let table = scan.table_name.to_string();
                match table.strip_prefix(SOURCES).and_then(|rest| rest.strip_prefix('.')) {
                    Some(source) => Parts { sources: [source.to_owned()].into(), ..Parts::default() },
                    None => self.rows_of_model(&table),
                }
            }
            LogicalPlan::Filter(node) => {
                let mut parts = self.expression(&node.predicate, &node.input);
                let rows = self.rows(&node.input);
                parts.add_conditions(rows);
                parts
            }
            LogicalPlan::Join(node) => {
                let mut parts = Parts::default();
                if !matches!(node.join_type, JoinType::Left | JoinType::Right) {
                    for (one, other) in equalities(plan) {
                        for expr in [one, other] {
                            let condition = self.of_either(&expr, plan);
                            parts.add_conditions(Parts { is_relative: false, ..condition });
                        }
                    }
                }
                let sides: Vec<&LogicalPlan> = match node.join_type {
                    JoinType::Left => vec![&*node.left],
                    JoinType::Right => vec![&*node.right],
                    _ => vec![&*node.left, &*node.right],
                };
                for side in sides {
                    let rows = self.rows(side);
                    parts.add_conditions(rows);
                }
                parts
            }
            LogicalPlan::Limit(_) => Parts { is_relative: true, ..self.rows_of_inputs(plan) },
            other => self.rows_of_inputs(other),
        }
    }

    fn rows_of_inputs(&mut self, plan: &LogicalPlan) -> Parts {
        let mut parts = Parts::default();
        for input in plan.inputs() {
            let rows = self.rows(input);
            parts.add_conditions(rows);
        }
        parts
    }

    fn rows_of_model(&mut self, model: &str) -> Parts {
        if let Some(known) = self.rows.get(model) {
            return known.clone();
        }
        let model = self.fitted_to.get(model).map_or(model, |(model, _)| model);
        let Some(plan) = self.plans.get(model) else { return Parts::default() };
        // A model that reads itself is no model, but a bound is better than a stack that overflows.
        self.rows.insert(model.to_owned(), Parts::default());
        let rows = self.rows(plan);
        self.rows.insert(model.to_owned(), rows.clone());
        rows
    }
}
