//! How the rows of sources lead to customers: by which identifiers, as expressions over the columns of each source.
//!
//! They are found by following two kinds of columns back through the plans of models: those of `identity.edges`, and those by which models
//! look up a customer in the tables of the identity step. In a project without identity step it is the `customer_id` of the profile.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, lit};

use super::steps::{ModelPlans, RED_ZONE_BYTES, STACK_BYTES, VISITS_BOUND, bare, column_at, equalities, position, replaced, steps};
use super::texts::texts_of;
use crate::graph::{EDGES, PROFILE, SOURCES};
use crate::segments::CUSTOMER_ID;

/// The table of the identity step in which customers are looked up.
const RESOLVED: &str = "resolved.customers";

/// The most parts of an expression that is followed.
const PARTS_BOUND: usize = 2_000;

/// The most ways in which the rows of one source lead to customers.
const LEADS_BOUND: usize = 32;

/// One way in which the rows of a source lead to customers.
#[derive(Debug, Clone, PartialEq)]
pub struct Lead {
    /// The type of the identifier; none if it is the id of the customer itself.
    pub identifier_type: Option<Expr>,
    /// The identifier, or a list of them.
    pub identifier: Expr,
    /// Whether it is a list.
    pub is_list: bool,
}

/// A type and an identifier over the columns of a plan.
#[derive(Debug, Clone)]
struct Pair {
    identifier_type: Option<Expr>,
    identifier: Expr,
    is_list: bool,
}

/// The leads of every source, in an order that depends on the project alone. A source of which not all could be followed has none.
pub fn leads(plans: &ModelPlans, has_identity_step: bool) -> BTreeMap<String, Vec<Lead>> {
    let mut tracer = Tracer { plans, found: BTreeMap::new(), seen: BTreeSet::new(), visits: 0, is_cut_short: false };
    if has_identity_step {
        if let Some(edges) = plans.get(EDGES) {
            let column = |name: &str| edges.schema().index_of_column_by_name(None, name).map(|at| column_at(edges.schema(), at));
            for (of_type, of_identifier) in [("identifier_type", "identifier"), ("other_type", "other")] {
                if let (Some(identifier_type), Some(identifier)) = (column(of_type), column(of_identifier)) {
                    tracer.follow(edges, &Pair { identifier_type: Some(identifier_type), identifier, is_list: false });
                }
            }
        }
        for plan in plans.values() {
            tracer.look_for_customers(plan);
        }
    } else if let Some(profile) = plans.get(PROFILE)
        && let Some(at) = profile.schema().index_of_column_by_name(None, CUSTOMER_ID)
    {
        let pair = Pair { identifier_type: None, identifier: column_at(profile.schema(), at), is_list: false };
        tracer.follow(profile, &pair);
    }
    if tracer.is_cut_short {
        return BTreeMap::new();
    }
    let sources = tracer.found.into_iter().filter(|(_, leads)| leads.len() <= LEADS_BOUND);
    sources.map(|(source, leads)| (source, leads.into_values().collect())).collect()
}

struct Tracer<'a> {
    plans: &'a ModelPlans,
    /// By source, what was found, by how it is written.
    found: BTreeMap<String, BTreeMap<String, Lead>>,
    /// What has been followed into a model.
    seen: BTreeSet<(String, String)>,
    visits: usize,
    /// Whether not all could be followed. Then nothing is known.
    is_cut_short: bool,
}

impl Tracer<'_> {
    fn follow(&mut self, plan: &LogicalPlan, pair: &Pair) {
        self.visits += 1;
        self.is_cut_short |= self.visits > VISITS_BOUND || parts(&pair.identifier) > PARTS_BOUND;
        if !self.is_cut_short && !is_nothing(&pair.identifier) {
            stacker::maybe_grow(RED_ZONE_BYTES, STACK_BYTES, || self.follow_node(plan, pair));
        }
    }

    fn follow_node(&mut self, plan: &LogicalPlan, pair: &Pair) {
        if let LogicalPlan::TableScan(scan) = plan {
            return self.arrive(&scan.table_name.to_string(), plan, pair);
        }
        let schema = plan.schema();
        for step in steps(plan) {
            let replace = |expr: &Expr| replaced(expr, schema, &step.columns);
            let element = step.elements.iter().find(|(at, _)| !pair.is_list && position(&pair.identifier, schema) == Some(*at));
            let (identifier, is_list) = match element {
                Some((_, list)) => (Some(list.clone()), true),
                None => (replace(&pair.identifier).filter(has_columns), pair.is_list),
            };
            let Some(identifier) = identifier else { continue };
            match pair.identifier_type.as_ref().map(|expr| replace(expr).ok_or(expr)) {
                None => self.follow(step.input, &Pair { identifier_type: None, identifier, is_list }),
                Some(Ok(found)) => self.follow(step.input, &Pair { identifier_type: Some(found), identifier, is_list }),
                // The type comes from the other side of a join: there it may be one of a few texts.
                Some(Err(of_type)) => {
                    let mut texts = BTreeSet::new();
                    if position(of_type, schema).is_some_and(|at| texts_of(plan, at, &mut texts)) {
                        for text in texts {
                            let pair = Pair { identifier_type: Some(lit(text)), identifier: identifier.clone(), is_list };
                            self.follow(step.input, &pair);
                        }
                    }
                }
            }
        }
        self.follow_joined(plan, pair);
    }

    /// In a join the identifier may be equal to a column of the other side, and one of several columns that are asked in turn.
    fn follow_joined(&mut self, plan: &LogicalPlan, pair: &Pair) {
        let LogicalPlan::Join(join) = plan else { return };
        let sides = [&*join.left, &*join.right];
        if let Expr::ScalarFunction(call) = &pair.identifier
            && call.name() == "coalesce"
            && !sides.iter().any(|side| is_over(&pair.identifier, side))
        {
            for part in &call.args {
                self.follow(plan, &Pair { identifier: bare(part).clone(), ..pair.clone() });
            }
            return;
        }
        let is_constant = pair.identifier_type.as_ref().is_none_or(|of_type| !has_columns(of_type));
        for (one, other) in equalities(plan) {
            let equal = [(&one, &other), (&other, &one)].into_iter().find(|(one, _)| **one == pair.identifier).map(|(_, other)| other);
            let Some(equal) = equal.filter(|equal| is_constant && has_columns(equal)) else { continue };
            if let Some(side) = sides.into_iter().find(|side| is_over(equal, side)) {
                self.follow(side, &Pair { identifier: equal.clone(), ..pair.clone() });
            }
        }
    }

    /// A table is reached: a source, or that of a model, in whose plan the columns are followed further.
    fn arrive(&mut self, table: &str, scan: &LogicalPlan, pair: &Pair) {
        let unqualified = |expr: &Expr| {
            let columns: Vec<Option<Expr>> = scan
                .schema()
                .fields()
                .iter()
                .map(|field| Some(Expr::Column(datafusion::common::Column::new_unqualified(field.name()))))
                .collect();
            replaced(expr, scan.schema(), &columns)
        };
        if let Some(source) = table.strip_prefix(SOURCES).and_then(|rest| rest.strip_prefix('.')) {
            let identifier_type = pair.identifier_type.as_ref().and_then(unqualified);
            let Some(identifier) = unqualified(&pair.identifier) else { return };
            if identifier_type.is_some() != pair.identifier_type.is_some() {
                return;
            }
            let lead = Lead { identifier_type, identifier, is_list: pair.is_list };
            self.found.entry(source.to_owned()).or_default().insert(lead.written(), lead);
            return;
        }
        let Some(plan) = self.plans.get(table) else { return };
        let written = format!("{:?} {} {}", pair.identifier_type.as_ref().map(ToString::to_string), pair.identifier, pair.is_list);
        if !self.seen.insert((table.to_owned(), written)) {
            return;
        }
        let place = |field: &std::sync::Arc<arrow::datatypes::Field>| {
            plan.schema().index_of_column_by_name(None, field.name()).map(|at| column_at(plan.schema(), at))
        };
        let columns: Vec<Option<Expr>> = scan.schema().fields().iter().map(place).collect();
        let replace = |expr: &Expr| replaced(expr, scan.schema(), &columns);
        let identifier_type = pair.identifier_type.as_ref().and_then(replace);
        if let Some(identifier) = replace(&pair.identifier).filter(|_| identifier_type.is_some() == pair.identifier_type.is_some()) {
            self.follow(plan, &Pair { identifier_type, identifier, is_list: pair.is_list });
        }
    }

    /// Follows the identifiers with which a query looks up customers.
    fn look_for_customers(&mut self, plan: &LogicalPlan) {
        let mut found: Vec<(LogicalPlan, Pair)> = Vec::new();
        let walked = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::Join(join) = node {
                for (customers, others) in [(&join.left, &join.right), (&join.right, &join.left)] {
                    found.extend(self.looked_up(node, customers, others).map(|pair| (others.as_ref().clone(), pair)));
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(walked.is_ok());
        for (others, pair) in found {
            self.follow(&others, &pair);
        }
    }

    /// What a join compares with the identifiers of customers.
    fn looked_up(&self, join: &LogicalPlan, customers: &LogicalPlan, others: &LogicalPlan) -> Option<Pair> {
        let (mut of_type, mut identifier) = (None, None);
        for (one, other) in equalities(join) {
            for (one, other) in [(&one, &other), (&other, &one)] {
                let Some(at) = position(one, customers.schema()) else { continue };
                let is_known = !has_columns(other) || is_over(other, others);
                match self.origin(customers, at, 0).as_deref() {
                    Some("identifier_type") if is_known => of_type = Some(other.clone()),
                    Some("identifier") if is_known => identifier = Some(other.clone()),
                    _ => {}
                }
            }
        }
        Some(Pair { identifier_type: Some(of_type?), identifier: identifier?, is_list: false })
    }

    /// The column of the customers' table that a column of a plan is, unchanged.
    fn origin(&self, plan: &LogicalPlan, at: usize, depth: usize) -> Option<String> {
        if depth > 100 {
            return None;
        }
        if let LogicalPlan::TableScan(scan) = plan {
            let (table, column) = (scan.table_name.to_string(), plan.schema().field(at).name());
            if table == RESOLVED {
                return Some(column.clone());
            }
            let model = self.plans.get(&table)?;
            return self.origin(model, model.schema().index_of_column_by_name(None, column)?, depth + 1);
        }
        if matches!(plan, LogicalPlan::Union(_)) {
            return None;
        }
        steps(plan).iter().find_map(|step| {
            let of_input = step.columns.get(at)?.as_ref()?;
            self.origin(step.input, position(of_input, step.input.schema())?, depth + 1)
        })
    }
}

impl Lead {
    /// As people and programs may compare it.
    pub fn written(&self) -> String {
        let of_type = self.identifier_type.as_ref().map(|of_type| format!("{of_type}: ")).unwrap_or_default();
        format!("{of_type}{}{}", self.identifier, if self.is_list { " (each)" } else { "" })
    }

    /// A lead that a source declares: an identifier, or a list of them, of a type.
    pub fn declared(identifier_type: Option<&str>, identifier: Expr, schema: &datafusion::common::DFSchema) -> Self {
        let is_list = matches!(identifier.get_type(schema), Ok(DataType::List(_) | DataType::LargeList(_)));
        Lead { identifier_type: identifier_type.map(lit), identifier, is_list }
    }

    /// The columns of the source that it reads.
    pub fn columns(&self) -> BTreeSet<String> {
        let of = |expr: &Expr| expr.column_refs().into_iter().map(|column| column.name.clone()).collect::<BTreeSet<String>>();
        self.identifier_type.iter().chain([&self.identifier]).flat_map(of).collect()
    }

    /// The type, if it is the same for all rows.
    pub fn constant_type(&self) -> Option<&str> {
        match self.identifier_type.as_ref()? {
            Expr::Literal(value, _) => value.try_as_str().flatten(),
            _ => None,
        }
    }
}

fn has_columns(expr: &Expr) -> bool {
    expr.any_column_refs()
}

/// Whether all columns of an expression are those of a plan.
fn is_over(expr: &Expr, plan: &LogicalPlan) -> bool {
    expr.column_refs().into_iter().all(|column| plan.schema().maybe_index_of_column(column).is_some())
}

fn is_nothing(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Null, _) => true,
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(cast) => is_nothing(&cast.expr),
        _ => false,
    }
}

fn parts(expr: &Expr) -> usize {
    let mut parts = 0;
    let walked = expr.apply(|_| {
        parts += 1;
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    parts
}
