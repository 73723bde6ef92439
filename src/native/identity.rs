//! The identity step: the edges of `identity.edges` become customers, who keep the ids that they had in the predecessor publication.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::step::{Context, Findings, Found, Native, Predecessor, outward};
use crate::engine::{self, Engine};
use crate::error::Result;
use crate::graph::{EDGES, NativeInput, NativeTable, Signature, Step};
use crate::identity::{self, Before, Resolution, Rules};
use crate::publish::{IDENTITY_ALIASES, IDENTITY_MAP, StateTable};

/// The schema of its tables.
const RESOLVED: &str = "resolved";

/// What the step reads and makes.
pub static SIGNATURE: Signature = Signature {
    name: "identity step",
    layer: Some("identity"),
    reads: &[NativeInput { table: EDGES, streamed: true, sorted_by: None }],
    makes: &[
        NativeTable {
            name: "resolved.customers",
            schema: identity::customers_schema,
            identifiers: &[("identifier", "identifier_type")],
            taken: &[],
            descriptions: identity::CUSTOMERS_DESCRIPTIONS,
        },
        NativeTable {
            name: "resolved.conflicts",
            schema: identity::conflicts_schema,
            identifiers: &[("identifier", "identifier_type"), ("other", "other_type")],
            taken: &[],
            descriptions: identity::CONFLICTS_DESCRIPTIONS,
        },
        NativeTable {
            name: "resolved.aliases",
            schema: identity::aliases_schema,
            identifiers: &[],
            taken: &[],
            descriptions: identity::ALIASES_DESCRIPTIONS,
        },
    ],
};

/// The identity step with the rules that a project declares.
pub struct IdentityStep {
    rules: Rules,
}

impl IdentityStep {
    /// The step under some rules.
    pub fn new(rules: Rules) -> Self {
        IdentityStep { rules }
    }

    /// Finds the customers.
    ///
    /// # Errors
    /// As [`Native::run`].
    pub async fn resolve(&self, engine: &Engine, predecessor: Option<&mut Predecessor>) -> Result<Resolution, DataFusionError> {
        let edges = engine.context().table(EDGES).await?.into_unoptimized_plan();
        let before = predecessor.filter(|predecessor| predecessor.has(IDENTITY_MAP)).map(|predecessor| Before {
            as_of_micros: predecessor.as_of_micros,
            map: predecessor.take(IDENTITY_MAP),
            aliases: predecessor.take(IDENTITY_ALIASES),
        });
        identity::resolve(engine, self.rules.clone(), edges, before).await
    }
}

impl fmt::Debug for IdentityStep {
    /// Without the rules, which hold a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IdentityStep").finish_non_exhaustive()
    }
}

#[async_trait]
impl Native for IdentityStep {
    fn step(&self) -> Arc<Step> {
        Step::of(&SIGNATURE)
    }

    async fn run(&self, engine: &Engine, context: &mut Context) -> Result<Found, DataFusionError> {
        let resolution = self.resolve(engine, context.predecessor.as_mut()).await?;
        let rows = resolution.register(engine, RESOLVED).map_err(outward)?;
        let counts = resolution.counts();
        context.merged.extend(resolution.merged_now());
        context.merged.sort();
        context.split = resolution.split_now();
        let state = move |engine: &Engine| state_of(resolution, engine);
        Ok(Found { rows, findings: Findings::Identity(counts), state: Some(Box::new(state)) })
    }
}

fn as_stream(rows: Vec<RecordBatch>) -> BoxStream<'static, Result<RecordBatch, DataFusionError>> {
    futures::stream::iter(rows.into_iter().map(Ok)).boxed()
}

/// The tables from which the next publication gives every customer the id that it has in this one.
fn state_of(resolution: Resolution, engine: &Engine) -> Result<Vec<StateTable>> {
    let memory = engine.reservation();
    memory.reach(resolution.map_bytes()).map_err(|error| engine::failed("the map of identifiers", &error))?;
    let (map, aliases) = (resolution.map()?, resolution.kept_aliases()?);
    drop(resolution);
    memory.settle(map.iter().map(RecordBatch::get_array_memory_size).sum());
    let aliases_schema = aliases.schema();
    Ok(vec![
        StateTable {
            name: IDENTITY_MAP.to_owned(),
            schema: identity::map_schema(),
            key: &["customer_id", "identifier_key"],
            rows: as_stream(map),
            memory: Some(memory),
        },
        StateTable {
            name: IDENTITY_ALIASES.to_owned(),
            schema: aliases_schema,
            key: &["alias_id"],
            rows: as_stream(vec![aliases]),
            memory: None,
        },
    ])
}
