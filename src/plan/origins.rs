//! Where the causes of changes come from: how the rows of sources lead to customers, and which sources the columns are made of that rules read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, table_scan};
use datafusion::prelude::ident;

use super::models::CheckedModels;
use crate::cast::is_text;
use crate::config::{AS_OF, LeadsTo, Project, Spanned, Values, key_at, placed, span_of};
use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::graph::{Made, SOURCES};
use crate::ingest::{Contract, RequiredColumns};
use crate::lineage::{self, FittedTo, Lead, Lineage, ModelPlans};
use crate::native::{self, IDENTITY_SIGNATURE, RowsStep, SourceRows};
use crate::segments::{CUSTOMER_ID, Origins, RuleSet};
use crate::sql;

/// How sources and customers hang together.
#[derive(Debug, Default)]
pub(super) struct Hanging {
    /// By source, how its rows lead to customers.
    pub(super) leads: BTreeMap<String, Vec<Lead>>,
    /// What each column of the profile is made of.
    pub(super) columns: BTreeMap<String, Lineage>,
}

/// Compiles what sources declare.
///
/// # Errors
/// [`Error::Project`] with everything that is wrong with it.
pub(super) fn declared(
    project: &Project,
    values: &Values,
    engine: &Engine,
    contracts: &[Arc<Contract>],
    has_identity_step: bool,
) -> Result<BTreeMap<String, Vec<Lead>>> {
    let (mut found, mut problems) = (BTreeMap::new(), Vec::new());
    for contract in contracts {
        let Some(source) = project.pipeline.sources.get(&contract.source).filter(|source| !source.leads_to.is_empty()) else { continue };
        let schema = DFSchema::try_from(contract.schema.as_ref().clone()).map_err(|error| Error::defect(error.to_string()))?;
        for declared in &source.leads_to {
            match one_declared(project, values, engine, &schema, declared, has_identity_step) {
                Ok(lead) => found.entry(contract.source.clone()).or_insert_with(Vec::new).push(lead),
                Err(told) => problems.extend(told),
            }
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Error::Project(problems)) }
}

fn one_declared(
    project: &Project,
    values: &Values,
    engine: &Engine,
    schema: &DFSchema,
    declared: &LeadsTo,
    has_identity_step: bool,
) -> Result<Lead, Vec<Diagnostic>> {
    let types = &project.pipeline.identity.types;
    match &declared.identifier_type {
        Some(of_type) if !has_identity_step || !types.contains_key(&of_type.value) => {
            let what = format!("rows lead to customers by a type of identifiers that is not declared: `{}`", of_type.shown());
            let problem = Diagnostic::error("unknown-lead", what).at(span_of(&project.file, of_type)).label("not declared");
            let told = problem.did_you_mean(&of_type.value, types.keys().map(String::as_str));
            let hint = "`identity: types:` declares the types; without identity step, leave `type` out";
            return Err(vec![if told.hint.is_some() { told } else { told.hint(hint) }]);
        }
        None if has_identity_step => {
            let what = "rows lead to customers by an identifier without a type".to_owned();
            let problem = Diagnostic::error("unknown-lead", what).at(span_of(&project.file, &declared.identifier));
            return Err(vec![problem.label("of which type").hint("add `type`, one of those of `identity: types:`")]);
        }
        _ => {}
    }
    let identifier = expression(engine, values, schema, &declared.identifier)
        .map_err(|found| found.into_iter().map(|problem| placed(&project.file, &declared.identifier, problem)).collect::<Vec<_>>())?;
    Ok(Lead::declared(declared.identifier_type.as_ref().map(|of_type| of_type.value.as_str()), identifier, schema))
}

/// An identifier over the columns of a source: a text, or a list of texts.
fn expression(engine: &Engine, values: &Values, schema: &DFSchema, written: &Spanned<String>) -> Result<Expr, Vec<Diagnostic>> {
    let file = Arc::new(SourceFile { path: "identifier".to_owned(), text: written.value.clone() });
    let whole = || Span { file: Arc::clone(&file), bytes: 0..written.value.len() };
    if let Some(problem) = sql::too_deep(&file) {
        return Err(vec![problem]);
    }
    let parsed = engine.parse_rule(&written.value).map_err(|error| vec![sql::rule_syntax(&file, &error)])?;
    let planned = engine.rule(parsed, &values.parameters, schema).map_err(|error| sql::problems(&file, &error))?;
    let looks_further = |part: &Expr| {
        matches!(
            part,
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)
        )
    };
    let of_type = planned.get_type(schema).map_err(|error| sql::problems(&file, &error))?;
    let is_fit = is_text(&of_type) || matches!(&of_type, DataType::List(of) if is_text(of.data_type()));
    if !is_fit || planned.exists(|part| Ok(looks_further(part))).unwrap_or(true) {
        let problem = Diagnostic::error("unknown-lead", "this is not an identifier of one row: a text, or a list of texts");
        return Err(vec![problem.at(whole()).hint("write SQL over the columns of the source, such as `email_address(email)`")]);
    }
    Ok(planned)
}

/// Follows the columns of all models to the sources. What a source declares stands for what would be found.
pub(super) fn follow(
    project: &Project,
    values: &Values,
    checked: &CheckedModels,
    contracts: &[Arc<Contract>],
    declared: BTreeMap<String, Vec<Lead>>,
    required: &BTreeMap<String, RequiredColumns>,
) -> Hanging {
    let plans: ModelPlans = checked.models().map(|model| (model.parsed.model.name(), Arc::clone(&model.query))).collect();
    let fitted_to = fitted_to(project);
    let mut leads = lineage::leads(&with_customers_of(&plans, &fitted_to), checked.has_step(IDENTITY_SIGNATURE.name));
    leads.extend(declared);
    let as_of = values.parameters.get(AS_OF).cloned().unwrap_or(ScalarValue::Null);
    let consents: BTreeSet<(&str, &str)> = contracts.iter().flat_map(|contract| consents_of(project, contract)).collect();
    let is_consent = |source: &str, column: &str| consents.contains(&(source, column));
    let sources: BTreeSet<String> = required.keys().cloned().collect();
    let columns = lineage::lineage(&plans, &fitted_to, &leads, &sources, &is_consent, &as_of);
    Hanging { leads, columns }
}

/// The models that declared native steps read, by the tables that they make of them.
fn fitted_to(project: &Project) -> FittedTo {
    let declared = native::steps(project).into_iter().filter(|step| step.declared.is_some());
    let of_customer = |made: &Made| {
        let (_, model, column) = made.taken.iter().find(|(column, ..)| column == CUSTOMER_ID)?;
        Some((made.name.clone(), (model.clone(), column.clone())))
    };
    declared.flat_map(|step| step.makes.iter().filter_map(of_customer).collect::<Vec<_>>()).collect()
}

/// The models, and for each table that a native step makes of one the query by which it would have its customers: they are those of the model.
fn with_customers_of(plans: &ModelPlans, fitted_to: &FittedTo) -> ModelPlans {
    let customers = |(table, (model, customer)): (&String, &(String, String))| {
        let schema = plans.get(model)?.schema().inner();
        let scan = table_scan(Some(model.as_str()), schema, None).ok()?;
        let plan = scan.project([ident(customer.as_str()).alias(CUSTOMER_ID)]).ok()?.build().ok()?;
        Some((table.clone(), Arc::new(plan)))
    };
    plans.iter().map(|(name, plan)| (name.clone(), Arc::clone(plan))).chain(fitted_to.iter().filter_map(customers)).collect()
}

/// The columns of a source that say consent and nothing else: an event among which some are opt-outs says more.
fn consents_of<'a>(project: &'a Project, contract: &'a Contract) -> Vec<(&'a str, &'a str)> {
    let Some(source) = project.pipeline.sources.get(&contract.source) else { return Vec::new() };
    let says_consent = |name: &str| {
        let Some((column, consent)) = source.columns.get(name).and_then(|column| Some((column, column.consent.as_ref()?))) else {
            return false;
        };
        column.accepted.iter().filter(|accepted| consent.no.iter().all(|no| no.value != **accepted)).count() <= 1
    };
    let columns =
        contract.columns.iter().filter(|column| column.data_type == DataType::Boolean && column.is_consent() || says_consent(&column.name));
    columns.map(|column| (contract.source.as_str(), column.name.as_str())).collect()
}

/// A warning for every source that models read and whose rows lead to no customer, as far as is known.
pub(super) fn leading_nowhere(project: &Project, hanging: &Hanging, required: &BTreeMap<String, RequiredColumns>) -> Vec<Diagnostic> {
    let lost = required.keys().filter(|source| hanging.leads.get(*source).is_none_or(Vec::is_empty));
    let read = hanging.columns.values().flat_map(|of| &of.sources).collect::<BTreeSet<_>>();
    let told = lost.filter(|source| read.contains(source)).map(|source| {
        Diagnostic::warning("leads-nowhere", format!("it is not known to which customers the rows of `{SOURCES}.{source}` lead"))
            .at(key_at(&project.file, &["sources", source]))
            .label("changes that may come of it have the cause `undetermined`")
            .hint("say it in the source, such as `leads_to: [{type: email, identifier: email_address(email)}]`")
    });
    told.collect()
}

/// The step that finds the rows of every customer, for a project that remembers who was in which segment, and what rules read. The sources are read
/// once more for it, with the columns that say whose a row is.
pub(super) fn of(
    hanging: Hanging,
    rules: &[RuleSet],
    contracts: &[Arc<Contract>],
    required: &mut BTreeMap<String, RequiredColumns>,
    has_identity_step: bool,
) -> (Option<RowsStep>, Origins) {
    if rules.is_empty() {
        return (None, Origins::default());
    }
    let mut sources = Vec::new();
    for contract in contracts {
        let Some(required) = required.get_mut(&contract.source) else { continue };
        let leads = hanging.leads.get(&contract.source).cloned().unwrap_or_default();
        required.scans += 1;
        required.columns.extend(leads.iter().flat_map(Lead::columns));
        let (source, columns) = (contract.source.clone(), required.columns.clone());
        sources.push(SourceRows { source, schema: Arc::clone(&contract.schema), columns, leads });
    }
    (Some(RowsStep::new(sources, has_identity_step)), Origins::of(rules, hanging.columns))
}
