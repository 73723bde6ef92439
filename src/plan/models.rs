//! The models of a project, each planned against tables without rows, so that every name and type is checked before data is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;

use super::empty::empty;
use super::planned_model::{Cost, OfQuery, PlannedModel, QUERY};
use super::predicted::PredictedColumns;
use super::privacy::PersonalColumns;
use crate::config::Values;
use crate::diagnostic::Diagnostic;
use crate::engine::{self, Dependence, Engine};
use crate::error::{Error, Result};
use crate::graph::{SOURCES, Step, Vertex};
use crate::ingest::{Contract, RequiredColumns};
use crate::sql;

/// A node of the graph that could be checked.
pub(super) enum Checked {
    /// A model.
    Model(Box<PlannedModel>),
    /// A native step.
    Native(Arc<Step>),
}

/// What could be checked, in order, with how often each table is read, and which columns of the sources.
#[derive(Default)]
pub(super) struct CheckedModels {
    pub(super) checked: Vec<Checked>,
    pub(super) reads: BTreeMap<String, usize>,
    columns: BTreeMap<String, BTreeSet<String>>,
    /// By table the columns that some model uses in all rows.
    used: BTreeMap<String, BTreeSet<String>>,
    /// Which columns have personal values.
    pub(super) personal: PersonalColumns,
    /// What is known of columns that are made of predictions.
    pub(super) predicted: PredictedColumns,
}

impl CheckedModels {
    /// The models.
    pub(super) fn models(&self) -> impl Iterator<Item = &PlannedModel> {
        self.checked.iter().filter_map(|checked| match checked {
            Checked::Model(model) => Some(model.as_ref()),
            Checked::Native(_) => None,
        })
    }

    /// A model by its name.
    pub(super) fn model(&self, name: &str) -> Option<&PlannedModel> {
        self.models().find(|model| model.parsed.model.name() == name)
    }

    /// Whether a native step is among them.
    pub(super) fn has_step(&self, name: &str) -> bool {
        self.checked.iter().any(|checked| matches!(checked, Checked::Native(step) if step.name == name))
    }

    /// The tables of native steps that the pipeline file declares.
    pub(super) fn declared_tables(&self) -> impl Iterator<Item = (String, SchemaRef)> {
        let declared = self.checked.iter().filter_map(|checked| match checked {
            Checked::Native(step) if step.declared.is_some() => Some(step),
            _ => None,
        });
        declared.flat_map(|step| &step.makes).map(|table| (table.name.clone(), Arc::clone(&table.schema)))
    }

    /// How often more than once a source may be read for each model that takes its rows from the source's.
    fn read_again(&self, source: &str) -> usize {
        let times = |model: &PlannedModel| self.reads.get(&model.parsed.model.name()).copied().unwrap_or(0);
        let again = |model: &PlannedModel| if model.may_be_read_again(times(model)) { times(model) - 1 } else { 0 };
        self.models().filter(|model| model.parsed.reads.contains(source)).map(again).sum()
    }

    /// Counts what a model reads. A source that turns out not to be read, for a condition that never holds, is read no times.
    fn count(&mut self, planned: &LogicalPlan, optimized: Option<&LogicalPlan>) -> Result<(), DataFusionError> {
        let really = optimized.map(engine::reads).transpose()?;
        for (table, times) in engine::reads(planned)? {
            let of_source = table.strip_prefix(SOURCES).is_some_and(|rest| rest.starts_with('.'));
            let times = really.as_ref().filter(|_| of_source).map_or(times, |really| really.get(&table).copied().unwrap_or(0));
            *self.reads.entry(table).or_default() += times;
        }
        let used = optimized.map(engine::columns_used_in_all_rows).transpose()?.unwrap_or_default();
        for (table, columns) in optimized.map(engine::columns_read).transpose()?.unwrap_or_default() {
            self.used.entry(table.clone()).or_default().extend(columns.intersection(&used).cloned());
            self.columns.entry(table).or_default().extend(columns);
        }
        Ok(())
    }
}

/// Checks the names and types of every model, in order.
///
/// # Errors
/// [`Error::Defect`] alone.
pub(super) async fn check_models(
    engine: &Engine,
    vertices: Vec<Vertex>,
    values: &Values,
    personal: PersonalColumns,
    problems: &mut Vec<Diagnostic>,
) -> Result<CheckedModels> {
    let mut checked = CheckedModels { personal, ..CheckedModels::default() };
    for vertex in vertices {
        let node = match vertex {
            Vertex::Model(model) => *model,
            Vertex::Native(step) => {
                checked.personal.add_native(&step);
                checked.predicted.add_native(&step);
                checked.checked.push(Checked::Native(step));
                continue;
            }
        };
        let name = node.model.name();
        // A model that reads a wrong one, or a wrong source, would only repeat its problem.
        let of_lost = |parameter: &sql::Mention| !values.parameters.contains_key(&parameter.name);
        if !node.reads.iter().all(|read| engine.has(read)) || sql::parameters(&node.model.file, &node.statement).iter().any(of_lost) {
            continue;
        }
        let planned = engine.plan(&node.statement, &values.parameters).await;
        // Which columns of a source are wanted shows once what nothing uses is gone; elsewhere only the types are looked at.
        let reads_source = node.reads.iter().any(|read| read.starts_with(SOURCES) && read[SOURCES.len()..].starts_with('.'));
        let typed = |plan: &LogicalPlan| if reads_source { engine.optimize(plan) } else { engine.typed(plan) };
        let (planned, typed) = match planned.and_then(|planned| Ok((typed(&planned)?, planned))) {
            Ok((typed, planned)) => (planned, typed),
            Err(error) => {
                problems.extend(sql::problems(&node.model.file, &error));
                continue;
            }
        };
        let unrepeatable = engine::unrepeatable_in(&planned).map_err(|error| Error::defect(error.to_string()))?;
        problems.extend(unrepeatable.iter().map(|function| sql::unrepeatable(&node.model.file, function)));
        problems.extend(sql::samples(&node.model.file, &node.statement));
        // Of a look nothing is published: it may take any rows.
        let is_look = name == QUERY;
        let dependent = engine::dependent_on_order(&planned).map_err(|error| Error::defect(error.to_string()))?;
        let (any_rows, dependent): (Vec<_>, Vec<_>) =
            dependent.into_iter().partition(|dependence| is_look && *dependence == Dependence::Limit);
        problems.extend(dependent.iter().flat_map(|dependence| sql::dependent(&node.model.file, &node.statement, dependence)));
        let unsound = engine::unsound(&planned).map_err(|error| Error::defect(error.to_string()))?;
        let is_sound = unsound.is_empty();
        problems.extend(unsound.into_iter().map(|part| sql::unsound(&node.model.file, &node.statement, part)));
        if is_sound && (is_look || engine::is_correlated(&planned).map_err(|error| Error::defect(error.to_string()))?) {
            problems.extend(engine.check_runs(&planned).await.err().and_then(|error| sql::unsupported(&node.model.file, &error)));
        }
        let schema = engine::answer_schema(&typed_schema(&planned, &typed));
        if schema.fields().is_empty() {
            problems.push(sql::without_columns(&node.model.file));
            continue;
        }
        let parts = Engine::parts(&planned).map_err(|error| Error::defect(error.to_string()))?;
        let cost = Cost { size: sql::size(&node.statement), parts };
        let of_query = of_query(&planned, &typed, !any_rows.is_empty()).map_err(|error| Error::defect(error.to_string()))?;
        checked.count(&planned, Some(&typed).filter(|_| reads_source)).map_err(|error| Error::defect(error.to_string()))?;
        checked.personal.add(&name, &planned);
        checked.predicted.add(&name, &planned);
        engine.register(&name, empty(Arc::clone(&schema)))?;
        checked.checked.push(Checked::Model(Box::new(PlannedModel { parsed: node, schema, query: Arc::new(planned), cost, of_query })));
    }
    Ok(checked)
}

/// The columns of a planned query, with the types that they have once all types agree.
fn typed_schema(planned: &LogicalPlan, agreed: &LogicalPlan) -> Schema {
    let types = agreed.schema().fields().iter().map(|field| field.data_type().clone());
    let fields = planned.schema().fields().iter().zip(types).map(|(field, data_type)| field.as_ref().clone().with_data_type(data_type));
    Schema::new(fields.collect::<Vec<_>>())
}

fn of_query(planned: &LogicalPlan, typed: &LogicalPlan, takes_any_rows: bool) -> Result<OfQuery, DataFusionError> {
    Ok(OfQuery {
        is_row_by_row: engine::is_row_by_row(planned),
        cannot_fail: engine::cannot_fail(typed),
        takes_any_rows,
        breaks_ties: engine::breaks_ties(planned)?,
        order: engine::own_order(planned),
    })
}

/// What models read of each source that some model reads.
pub(super) fn required_columns(contracts: &[Arc<Contract>], checked: &CheckedModels) -> BTreeMap<String, RequiredColumns> {
    let mut required = BTreeMap::new();
    for contract in contracts {
        let name = format!("{SOURCES}.{}", contract.source);
        let Some(&scans) = checked.reads.get(&name) else { continue };
        let again = checked.read_again(&name);
        let columns = checked.columns.get(&name).cloned().unwrap_or_default();
        let used = checked.used.get(&name).cloned().unwrap_or_default();
        let passed_on = columns.difference(&used).cloned().collect();
        required.insert(contract.source.clone(), RequiredColumns { scans, again, columns, passed_on });
    }
    required
}
