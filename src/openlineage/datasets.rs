//! The datasets that a run reads and writes: their names, columns, and what the columns are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::facets::facet;
use crate::config::{Environment, Source};
use crate::graph::SOURCES;
use crate::ingest::{Contract, ContractColumn};
use crate::lineage::{Influence, TableColumn, Transformation};
use crate::native::PublishedColumn;
use crate::plan::{ColumnLineage, Deciding, Plan};
use crate::publish::REJECTED;
use crate::shown;
use crate::storage::{self, DatasetName, Location};

/// The marker of columns with personal values.
const PERSONAL: &str = "personal";

/// A dataset that a run reads or writes.
#[derive(Debug)]
pub(super) struct Dataset {
    /// Its name.
    pub(super) name: DatasetName,
    /// The sources that read it, or the output that it is.
    pub(super) tables: Vec<String>,
    /// What is known of it before a run.
    pub(super) facets: Map<String, Value>,
}

/// The datasets of a plan.
#[derive(Debug, Default)]
pub(super) struct Datasets {
    /// Those of the sources that are read, in the order of the pipeline file.
    pub(super) inputs: Vec<Dataset>,
    /// Those of the outputs, in the order of the pipeline file, and the rejected rows.
    pub(super) outputs: Vec<Dataset>,
}

/// The datasets of a plan that is published at a destination.
pub(super) fn of_plan(plan: &Plan, destination: &Location, environment: &Environment) -> Datasets {
    let mut inputs: Vec<Dataset> = Vec::new();
    let mut fields: BTreeMap<TableColumn, (DatasetName, String)> = BTreeMap::new();
    for contract in &plan.contracts {
        let Some(source) = plan.project.pipeline.sources.get(&contract.source) else { continue };
        let Some(name) = storage::dataset_of_source(&source.location.value, &plan.project.root, environment) else { continue };
        for column in columns(contract) {
            let key = (format!("{SOURCES}.{}", contract.source), column.name.clone());
            fields.insert(key, (name.clone(), in_files(column).to_owned()));
        }
        match inputs.iter_mut().find(|input| input.name == name) {
            // Sources may be different looks at the same files.
            Some(input) => {
                input.tables.push(contract.source.clone());
                add_columns(&mut input.facets, contract, source);
            }
            None => inputs.push(input(name, contract, source)),
        }
    }
    let lineage = ColumnLineage::of(plan);
    let followed = Followed { plan, deciding: lineage.deciding_sources(plan), lineage, fields };
    let outputs = plan.project.pipeline.outputs.tables.iter().map(|(table, output)| (table.as_str(), Some(output.model.value.as_str())));
    let outputs = outputs.chain([(REJECTED, None)]).filter_map(|(table, model)| {
        let name = storage::dataset_of_folder(destination, table, environment)?;
        let published: Vec<&PublishedColumn> = plan.dictionary.published.iter().filter(|column| column.table == table).collect();
        let mut facets = Map::new();
        facets.insert("schema".to_owned(), schema(published.iter().copied()));
        facets.extend(tags(published.iter().filter(|column| column.is_personal).map(|column| column.column.as_str())));
        if let Some(made_of) = model.and_then(|model| made_of(&followed, model, &published)) {
            facets.insert("columnLineage".to_owned(), made_of);
        }
        Some(Dataset { name, tables: vec![table.to_owned()], facets })
    });
    Datasets { outputs: outputs.collect(), inputs }
}

/// The columns that a contract declares.
fn columns(contract: &Arc<Contract>) -> impl Iterator<Item = &ContractColumn> {
    contract.columns.iter().take(contract.width())
}

/// The name of a column in the files; in SQL, if the files do not have it.
fn in_files(column: &ContractColumn) -> &str {
    column.names.first().unwrap_or(&column.name)
}

fn input(name: DatasetName, contract: &Arc<Contract>, source: &Source) -> Dataset {
    let mut facets = Map::new();
    facets.insert("schema".to_owned(), facet("SchemaDatasetFacet", json!({"fields": []})));
    if let Some(description) = &source.description {
        facets.insert("documentation".to_owned(), documentation("DocumentationDatasetFacet", description));
    }
    add_columns(&mut facets, contract, source);
    Dataset { name, tables: vec![contract.source.clone()], facets }
}

/// Adds the columns of a contract that are not there.
fn add_columns(facets: &mut Map<String, Value>, contract: &Arc<Contract>, source: &Source) {
    if let Some(fields) = facets.get_mut("schema").and_then(|schema| schema["fields"].as_array_mut()) {
        for column in columns(contract) {
            let name = in_files(column);
            if fields.iter().all(|field| field["name"] != name) {
                let mut field = json!({"name": name, "type": column.type_in_words().to_string(), "ordinal_position": fields.len() + 1});
                let said = source.columns.get(&column.name).and_then(|declared| declared.description.as_ref());
                describe(&mut field, said.map(String::as_str));
                fields.push(field);
            }
        }
    }
    let before = facets.get("tags").and_then(|tags| tags["tags"].as_array()).cloned().unwrap_or_default();
    let before = before.iter().filter_map(|tag| tag["field"].as_str());
    let mut personal: Vec<&str> = before.collect();
    for name in columns(contract).filter(|column| column.personal).map(in_files) {
        if !personal.contains(&name) {
            personal.push(name);
        }
    }
    let found = tags(personal.into_iter());
    facets.extend(found);
}

/// Text of the project, without what the environment gives.
pub(super) fn documentation(kind: &str, description: &str) -> Value {
    facet(kind, json!({"description": shown::without_given(description)}))
}

fn schema<'a>(columns: impl Iterator<Item = &'a PublishedColumn>) -> Value {
    let field = |column: &PublishedColumn| {
        let mut field = json!({"name": column.column, "type": column.column_type, "ordinal_position": column.position});
        describe(&mut field, column.description.as_deref());
        field
    };
    facet("SchemaDatasetFacet", json!({"fields": columns.map(field).collect::<Vec<_>>()}))
}

fn describe(field: &mut Value, description: Option<&str>) {
    if let Some(description) = description {
        field["description"] = json!(shown::without_given(description));
    }
}

/// The facet that marks columns with personal values; none without such columns.
fn tags<'a>(personal: impl Iterator<Item = &'a str>) -> Option<(String, Value)> {
    let tag = |column: &str| json!({"key": PERSONAL, "value": "true", "source": "SEGMILL", "field": column});
    let tags: Vec<Value> = personal.map(tag).collect();
    (!tags.is_empty()).then(|| ("tags".to_owned(), facet("TagsDatasetFacet", json!({"tags": tags}))))
}

/// The columns of a plan, followed to the extracts.
struct Followed<'a> {
    plan: &'a Plan,
    lineage: ColumnLineage,
    deciding: BTreeMap<String, Deciding>,
    /// By column of a source, its dataset and its name there.
    fields: BTreeMap<TableColumn, (DatasetName, String)>,
}

/// The facet that tells of every column of an output which columns of extracts it is made of; none where nothing is known.
fn made_of(of: &Followed<'_>, model: &str, published: &[&PublishedColumn]) -> Option<Value> {
    let mut told = Map::new();
    for column in published {
        let parts = of.lineage.made_of_sources(&(model.to_owned(), column.column.clone()));
        // Columns of two sources may be one column of a dataset.
        let mut found: BTreeMap<&(DatasetName, String), BTreeSet<Transformation>> = BTreeMap::new();
        for (field, how) in parts.iter().filter_map(|(part, how)| Some((of.fields.get(part)?, how))) {
            found.entry(field).or_default().extend(how);
        }
        if !found.is_empty() {
            let told_of = |((dataset, field), how): (&(DatasetName, String), BTreeSet<Transformation>)| {
                input_field(dataset, field, how.into_iter().map(words))
            };
            let inputs: Vec<Value> = found.into_iter().map(told_of).collect();
            told.insert(column.column.clone(), json!({"inputFields": inputs}));
        }
    }
    let mut deciding: BTreeMap<&(DatasetName, String), BTreeSet<Influence>> = BTreeMap::new();
    // What decides on the rows of a model decides on those of all that is made from it.
    let sources = of.plan.needed(model, |_| false).into_iter().filter_map(|table| of.deciding.get(&table)).flatten();
    for (field, influences) in sources.filter_map(|(source, influences)| Some((of.fields.get(source)?, influences))) {
        deciding.entry(field).or_default().extend(influences);
    }
    let deciding = deciding.into_iter().map(|((dataset, field), how)| {
        let told = how.into_iter().map(|influence| match influence {
            Influence::Filter => ("INDIRECT", "FILTER"),
            Influence::Join => ("INDIRECT", "JOIN"),
            Influence::GroupBy => ("INDIRECT", "GROUP_BY"),
            Influence::Window => ("INDIRECT", "WINDOW"),
        });
        input_field(dataset, field, told)
    });
    let deciding: Vec<Value> = deciding.collect();
    (!told.is_empty() || !deciding.is_empty()).then(|| facet("ColumnLineageDatasetFacet", json!({"fields": told, "dataset": deciding})))
}

/// A transformation in OpenLineage's words.
fn words(transformation: Transformation) -> (&'static str, &'static str) {
    match transformation {
        Transformation::Identity => ("DIRECT", "IDENTITY"),
        Transformation::Computed => ("DIRECT", "TRANSFORMATION"),
        Transformation::Aggregated => ("DIRECT", "AGGREGATION"),
        Transformation::Conditional => ("INDIRECT", "CONDITIONAL"),
    }
}

fn input_field(dataset: &DatasetName, field: &str, how: impl IntoIterator<Item = (&'static str, &'static str)>) -> Value {
    let how: Vec<Value> = how.into_iter().map(|(kind, subtype)| json!({"type": kind, "subtype": subtype})).collect();
    json!({
        "namespace": dataset.namespace,
        "name": dataset.name,
        "field": field,
        "transformations": how,
    })
}
