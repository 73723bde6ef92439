//! The events of a run, as JSON.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::datasets::{Dataset, Datasets, documentation};
use super::facets::{EVENT_SCHEMA, facet, own_run_facet, producer};
use super::quality;
use super::settings::Settings;
use crate::config::Project;
use crate::error::Error;
use crate::ingest::Contract;
use crate::local_time::Zone;
use crate::manifest::{Commit, Ledger, Table};
use crate::record::RunRecord;
use crate::shown;

/// The longest error message that is sent, in characters: it may name every bad file of an extract.
const MAX_MESSAGE_CHARS: usize = 4000;

/// What is known of a run when it has been planned.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) project: Arc<Project>,
    pub(super) contracts: Vec<Arc<Contract>>,
    pub(super) zone: Arc<Zone>,
    pub(super) datasets: Datasets,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub enum Ending<'a> {
    /// It published.
    Published(&'a Commit),
    /// It would have published again what is published.
    Unchanged(&'a Commit),
    /// It was broken off: by a signal, at its time limit, because another run had published first, or because extracts are late.
    Aborted(&'a Error),
    /// It failed.
    Failed(&'a Error),
}

impl<'a> Ending<'a> {
    /// How a run ended that failed by itself.
    pub fn of(error: &'a Error) -> Self {
        match error {
            Error::Conflict(_) | Error::Stopped(..) | Error::Late(_) => Ending::Aborted(error),
            Error::Project(_) | Error::Refused(_) | Error::Unavailable(_) | Error::Defect(_) => Ending::Failed(error),
        }
    }

    fn event_type(self) -> &'static str {
        match self {
            Ending::Published(_) | Ending::Unchanged(_) => "COMPLETE",
            Ending::Aborted(_) => "ABORT",
            Ending::Failed(_) => "FAIL",
        }
    }

    fn commit(self) -> Option<&'a Commit> {
        match self {
            Ending::Published(commit) | Ending::Unchanged(commit) => Some(commit),
            Ending::Aborted(_) | Ending::Failed(_) => None,
        }
    }

    fn error(self) -> Option<&'a Error> {
        match self {
            Ending::Aborted(error) | Ending::Failed(error) => Some(error),
            Ending::Published(_) | Ending::Unchanged(_) => None,
        }
    }
}

/// The UUID of a run: of version 7, made from the run's name and the time of its start, so that it can be computed again from the record.
pub(super) fn uuid_of(run_id: &str, started_at: DateTime<Utc>) -> Uuid {
    let digest = Sha256::digest(run_id.as_bytes());
    let mut rest = [0; 10];
    rest.copy_from_slice(&digest[..10]);
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(started_at.timestamp_millis()).unwrap_or_default(), &rest).into_uuid()
}

/// The event of a run that begins.
pub(super) fn start(settings: &Settings, record: &RunRecord, planned: Option<&Planned>) -> Value {
    let inputs = |dataset: &Dataset| told(dataset, dataset.facets.clone(), None);
    let outputs = inputs;
    event(settings, record, planned, ("START", record.started_at), run_facets(settings, record, planned, None), &inputs, &outputs)
}

/// The event of a run that has ended.
pub(super) fn end(settings: &Settings, record: &RunRecord, planned: Option<&Planned>, ending: Ending<'_>, at: DateTime<Utc>) -> Value {
    let is_over = |ledger: &Ledger| {
        let contract = contract_of(planned, &ledger.source);
        contract.is_some_and(|contract| !ledger.over(contract.reject_budget).is_empty())
    };
    let is_read_to_end = !record.sources.iter().any(is_over);
    let inputs = |dataset: &Dataset| {
        let ledgers: Vec<&Ledger> = record.sources.iter().filter(|ledger| dataset.tables.contains(&ledger.source)).collect();
        let assertions = ledgers.iter().flat_map(|ledger| {
            contract_of(planned, &ledger.source).map(|contract| quality::of_source(contract, ledger, is_read_to_end)).unwrap_or_default()
        });
        let assertions: Vec<Value> = assertions.collect();
        let mut facets = Map::new();
        // A run that found everything unchanged has read no rows.
        if let Some(ledger) = ledgers.first() {
            let files = record.inputs.iter().filter(|input| input.source == ledger.source);
            let size: u64 = files.map(|file| file.bytes).sum();
            let content = json!({"rowCount": ledger.rows_read, "size": size, "fileCount": ledger.files});
            facets.insert("inputStatistics".to_owned(), facet("InputStatisticsInputDatasetFacet", content));
        }
        facets.extend(asserted(assertions));
        told(dataset, dataset.facets.clone(), Some(("inputFacets", facets)))
    };
    let outputs = |dataset: &Dataset| {
        let mut facets = dataset.facets.clone();
        let table = dataset.tables.first().map_or("", String::as_str);
        let checks = planned.map(|planned| quality::of_output(table, &planned.project.pipeline, &record.checks)).unwrap_or_default();
        facets.extend(asserted(checks));
        let mut written = Map::new();
        if let Some((commit, published)) = ending.commit().and_then(|commit| Some((commit, commit.tables.get(table)?))) {
            let version = json!({"datasetVersion": commit.number.to_string()});
            facets.insert("version".to_owned(), facet("DatasetVersionDatasetFacet", version));
            if matches!(ending, Ending::Published(_)) {
                written.insert("outputStatistics".to_owned(), statistics(published));
            }
        }
        told(dataset, facets, Some(("outputFacets", written)))
    };
    event(settings, record, planned, (ending.event_type(), at), run_facets(settings, record, planned, Some(ending)), &inputs, &outputs)
}

fn contract_of<'a>(planned: Option<&'a Planned>, source: &str) -> Option<&'a Arc<Contract>> {
    planned.and_then(|planned| planned.contracts.iter().find(|contract| contract.source == source))
}

fn asserted(assertions: Vec<Value>) -> Option<(String, Value)> {
    let told = || facet("DataQualityAssertionsDatasetFacet", json!({"assertions": assertions}));
    (!assertions.is_empty()).then(|| ("dataQualityAssertions".to_owned(), told()))
}

fn statistics(table: &Table) -> Value {
    let size: u64 = table.files.iter().map(|file| file.bytes).sum();
    let content = json!({"rowCount": table.rows, "size": size, "fileCount": table.files.len()});
    facet("OutputStatisticsOutputDatasetFacet", content)
}

/// A dataset as an event has it.
fn told(dataset: &Dataset, facets: Map<String, Value>, more: Option<(&str, Map<String, Value>)>) -> Value {
    let mut told = json!({"namespace": dataset.name.namespace, "name": dataset.name.name, "facets": facets});
    if let Some((name, more)) = more.filter(|(_, more)| !more.is_empty()) {
        told[name] = Value::Object(more);
    }
    told
}

type Tell<'a> = &'a dyn Fn(&Dataset) -> Value;

fn event(
    settings: &Settings,
    record: &RunRecord,
    planned: Option<&Planned>,
    (event_type, at): (&str, DateTime<Utc>),
    run_facets: Map<String, Value>,
    inputs: Tell<'_>,
    outputs: Tell<'_>,
) -> Value {
    let none = Datasets::default();
    let datasets = planned.map_or(&none, |planned| &planned.datasets);
    json!({
        "eventTime": at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "eventType": event_type,
        "run": {"runId": uuid_of(&record.run_id, record.started_at).to_string(), "facets": run_facets},
        "job": {
            "namespace": settings.namespace,
            "name": record.pipeline,
            "facets": job_facets(planned),
        },
        "inputs": datasets.inputs.iter().map(inputs).collect::<Vec<_>>(),
        "outputs": datasets.outputs.iter().map(outputs).collect::<Vec<_>>(),
        "producer": producer(),
        "schemaURL": EVENT_SCHEMA,
    })
}

fn job_facets(planned: Option<&Planned>) -> Map<String, Value> {
    let mut facets = Map::new();
    let kind = json!({"processingType": "BATCH", "integration": "SEGMILL", "jobType": "JOB"});
    facets.insert("jobType".to_owned(), facet("JobTypeJobFacet", kind));
    if let Some(description) = planned.and_then(|planned| planned.project.pipeline.description.as_deref()) {
        facets.insert("documentation".to_owned(), documentation("DocumentationJobFacet", description));
    }
    facets
}

fn run_facets(settings: &Settings, record: &RunRecord, planned: Option<&Planned>, ending: Option<Ending<'_>>) -> Map<String, Value> {
    let mut facets = Map::new();
    let engine = json!({"name": "Segmill", "version": record.segmill_version, "openlineageAdapterVersion": record.segmill_version});
    facets.insert("processing_engine".to_owned(), facet("ProcessingEngineRunFacet", engine));
    if let Some(first) = planned.and_then(|planned| DateTime::from_timestamp_micros(planned.zone.first_moment_of(record.as_of))) {
        let time = json!({"nominalStartTime": first.to_rfc3339_opts(SecondsFormat::Secs, true)});
        facets.insert("nominalTime".to_owned(), facet("NominalTimeRunFacet", time));
    }
    if let Some(parent) = &settings.parent {
        facets.insert("parent".to_owned(), parent.clone());
    }
    let mut own = json!({"runId": record.run_id, "asOf": record.as_of});
    if let Some(ending) = ending {
        own["status"] = json!(match ending {
            Ending::Published(_) => "published",
            Ending::Unchanged(_) => "unchanged",
            Ending::Aborted(error) | Ending::Failed(error) => error.kind(),
        });
        own["exitCode"] = json!(ending.error().map_or(0, |error| error.exit_status() as u8));
        if let Some(commit) = ending.commit() {
            own["publication"] = json!(commit.number);
        }
    }
    facets.insert("segmill".to_owned(), own_run_facet(own));
    if let Some(error) = ending.and_then(Ending::error) {
        let told = error.to_string();
        let told = shortened(&shown::without_given(&shown::lines(&told)));
        let message = json!({"message": told, "programmingLanguage": "Rust"});
        facets.insert("errorMessage".to_owned(), facet("ErrorMessageRunFacet", message));
    }
    facets
}

/// A text that is cut off where it is too long, and says so.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
