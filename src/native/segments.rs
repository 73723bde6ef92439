//! The segments step: every customer of the profile is put into segments by the rules of the pipeline file.

use async_trait::async_trait;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;

use super::step::{Context, Findings, Found, Native, outward};
use crate::engine::Engine;
use crate::error::Result;
use crate::graph::{MEMBERSHIP, NativeInput, NativeTable, PROFILE, Signature};
use crate::segments::{self, Assigner, CUSTOMER_ID, Domains, RuleSet};

/// What the step reads and makes.
pub static SIGNATURE: Signature = Signature {
    name: MEMBERSHIP,
    layer: None,
    reads: &[NativeInput { table: PROFILE, streamed: false, sorted_by: Some(CUSTOMER_ID) }],
    makes: &[NativeTable { name: MEMBERSHIP, schema: segments::membership_schema, identifiers: &[] }],
};

/// Batches of the profile that each thread puts into segments at once.
const BATCHES_PER_THREAD: usize = 4;

/// The segments step with the compiled rules of a project.
#[derive(Debug)]
pub struct SegmentsStep {
    rules: Vec<RuleSet>,
    domains: Domains,
}

impl SegmentsStep {
    /// The step with its rules, and the domains that every row of the profile is held to.
    pub fn new(rules: Vec<RuleSet>, domains: Domains) -> Self {
        SegmentsStep { rules, domains }
    }
}

#[async_trait]
impl Native for SegmentsStep {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    async fn run(&self, engine: &Engine, context: &mut Context) -> Result<Found, DataFusionError> {
        let mut profile = engine.stream_sorted(PROFILE, &[CUSTOMER_ID.to_owned()]).await?.try_chunks(engine.threads() * BATCHES_PER_THREAD);
        let nothing_declared = Domains::default();
        let domains = if context.has_partial_rows { &nothing_declared } else { &self.domains };
        let mut members = Assigner::new(&self.rules, domains, engine.threads());
        let memory = engine.reservation();
        while let Some(batches) = profile.try_next().await.map_err(|error| error.1)? {
            members.add(&batches).map_err(outward)?;
            memory.reach(members.bytes())?;
        }
        let assigned = members.finish().map_err(outward)?;
        let (sizes, customers) = (segments::sizes(&self.rules, &assigned), assigned.customers);
        let rows = engine.register_each(MEMBERSHIP, segments::membership_schema(), assigned.into_memberships()).map_err(outward)?;
        Ok(Found { rows, findings: Findings::Segments { sizes, customers }, state: None })
    }
}
