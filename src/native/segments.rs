//! The segments step: every customer of the profile is put into segments by the rules of the pipeline file, and by what is remembered of the
//! customer from the predecessor publication.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Date32Type;
use async_trait::async_trait;
use chrono::NaiveDate;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt};

use super::step::{Context, Findings, Found, MakeState, Native, outward};
use crate::engine::{Engine, MaterialisedTable};
use crate::error::Result;
use crate::graph::{CHANGES, MEMBERSHIP, NativeInput, NativeTable, PROFILE, Signature, Step};
use crate::publish::{SEGMENT_STAYS, StateTable};
use crate::segments::memory::{self, Before, Names, Reader};
use crate::segments::{self, Assigner, CUSTOMER_ID, Domains, Pair, RuleSet, Told};

/// What the step reads and makes.
pub static SIGNATURE: Signature = Signature {
    name: MEMBERSHIP,
    layer: None,
    reads: &[NativeInput { table: PROFILE, streamed: false, sorted_by: Some(CUSTOMER_ID) }],
    makes: &[
        NativeTable {
            name: MEMBERSHIP,
            schema: segments::membership_schema,
            identifiers: &[],
            taken: &[(CUSTOMER_ID, PROFILE, CUSTOMER_ID)],
        },
        NativeTable {
            name: CHANGES,
            schema: memory::changes_schema,
            identifiers: &[],
            taken: &[(CUSTOMER_ID, PROFILE, CUSTOMER_ID), ("merged_into", PROFILE, CUSTOMER_ID)],
        },
    ],
};

/// Batches of the profile that each thread puts into segments at once.
const BATCHES_PER_THREAD: usize = 4;

/// The table of the state while the step makes it. No model can have this name.
const STATE: &str = "\"the memory of segments\"";

/// The segments step with the compiled rules of a project.
#[derive(Debug)]
pub struct SegmentsStep {
    rules: Vec<RuleSet>,
    domains: Domains,
    as_of: NaiveDate,
}

/// The tables that are made while customers are assigned; both can be moved to disk.
struct Tables {
    changes: Arc<MaterialisedTable>,
    state: Arc<MaterialisedTable>,
}

impl SegmentsStep {
    /// The step with its rules, the domains that every row of the profile is held to, and the as-of day.
    pub fn new(rules: Vec<RuleSet>, domains: Domains, as_of: NaiveDate) -> Self {
        SegmentsStep { rules, domains, as_of }
    }

    /// What is remembered of the time before, and the state in order of customer.
    async fn before(&self, names: &Names, context: &mut Context) -> Result<(Option<Before>, Reader)> {
        let Some(predecessor) = context.predecessor.as_mut().filter(|predecessor| predecessor.has(SEGMENT_STAYS)) else {
            return Ok((None, Reader::empty()));
        };
        let mut before = Before::new(Date32Type::from_naive_date(predecessor.as_of), &context.merged, std::mem::take(&mut context.split));
        if !context.merged.is_empty() {
            before.take_ended(names, &context.merged, predecessor.again(SEGMENT_STAYS)).await?;
        }
        Ok((Some(before), Reader::new(predecessor.take(SEGMENT_STAYS))))
    }
}

impl Tables {
    fn of(engine: &Engine) -> Self {
        let changes = engine.empty_table(engine.stored_schema(&memory::changes_schema()));
        Tables { changes, state: engine.empty_table(memory::numbered_schema()) }
    }

    fn add(&self, engine: &Engine, told: Told) -> Result<(), DataFusionError> {
        for changes in told.changes {
            self.changes.push(engine.stored_batch(&changes)?)?;
        }
        told.state.into_iter().filter(|rows| rows.num_rows() > 0).try_for_each(|rows| self.state.push(rows))
    }

    /// Registers the changes; how many there are, and the rows of the state in their order.
    async fn finish(self, engine: &Engine) -> Result<(u64, SendableRecordBatchStream), DataFusionError> {
        let (schema, rows) = (memory::changes_schema(), self.changes.rows() as u64);
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        engine.register_columns(CHANGES, schema, &all, self.changes)?;
        engine.register_in_order(STATE, self.state, &[CUSTOMER_ID.to_owned()]).map_err(outward)?;
        let state = engine.stream_sorted(STATE, &[CUSTOMER_ID.to_owned()]).await?;
        engine.forget(STATE);
        Ok((rows, state))
    }
}

#[async_trait]
impl Native for SegmentsStep {
    fn step(&self) -> Arc<Step> {
        Step::of(&SIGNATURE)
    }

    async fn run(&self, engine: &Engine, context: &mut Context) -> Result<Found, DataFusionError> {
        let mut profile = engine.stream_sorted(PROFILE, &[CUSTOMER_ID.to_owned()]).await?.try_chunks(engine.threads() * BATCHES_PER_THREAD);
        let nothing_declared = Domains::default();
        let domains = if context.has_partial_rows { &nothing_declared } else { &self.domains };
        let names = Arc::new(segments::names(&self.rules));
        let (before, mut state) = self.before(&names, context).await.map_err(outward)?;
        let day = Date32Type::from_naive_date(self.as_of);
        let mut members = Assigner::new(&self.rules, &names, domains, engine.threads(), day, before);
        let (memory, tables) = (engine.reservation(), Tables::of(engine));
        while let Some(batches) = profile.try_next().await.map_err(|error| error.1)? {
            let mut pairs = Vec::with_capacity(batches.len());
            for batch in batches {
                pairs.push(Pair::of(batch, &mut state).await.map_err(outward)?);
            }
            tables.add(engine, members.add(pairs).map_err(outward)?)?;
            memory.reach(members.bytes())?;
        }
        while let Some(rest) = state.next().await.map_err(outward)? {
            let changes = members.add_rest(&rest).map_err(outward)?.into_iter().collect();
            tables.add(engine, Told { changes, ..Told::default() })?;
        }
        let changes = members.add_lost().map_err(outward)?.into_iter().collect();
        tables.add(engine, Told { changes, ..Told::default() })?;
        let assigned = members.finish().map_err(outward)?;
        let (sizes, customers, avoided) = (segments::sizes(&self.rules, &assigned), assigned.customers, assigned.avoided.clone());
        let rows = engine.register_each(MEMBERSHIP, segments::membership_schema(), assigned.into_memberships(&names)).map_err(outward)?;
        let (changes, state) = tables.finish(engine).await?;
        let state = (!self.rules.is_empty()).then(|| state_of(names, state));
        Ok(Found { rows: rows + changes, findings: Findings::Segments { sizes, customers, avoided }, state })
    }
}

/// The table from which the next publication knows who was in which segment.
fn state_of(names: Arc<Names>, rows: SendableRecordBatchStream) -> MakeState {
    let told = move |rows: RecordBatch| memory::told(&names, &rows).map_err(outward);
    let rows = rows.map(move |rows| rows.and_then(&told)).boxed();
    Box::new(move |_| {
        let key = &[CUSTOMER_ID, "segment_set", "segment"];
        Ok(vec![StateTable { name: SEGMENT_STAYS, schema: memory::state_schema(), key, rows, memory: None }])
    })
}
