//! The segments step: every customer of the profile is put into segments by the rules of the pipeline file, and by what is remembered of the
//! customer from the predecessor publication.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Date32Type, Schema};
use arrow::error::ArrowError;
use async_trait::async_trait;
use chrono::NaiveDate;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt};

use super::beside::Beside;
use super::step::{Context, Findings, Found, MakeState, Native, outward};
use crate::engine::{self, Engine, MaterialisedTable};
use crate::error::{Error, Result};
use crate::graph::{CHANGES, MEMBERSHIP, NativeInput, NativeTable, PROFILE, Signature, Step};
use crate::publish::{SEGMENT_INPUTS, SEGMENT_STAYS, StateTable};
use crate::segments::memory::{self, Before, Names, Reader};
use crate::segments::movement::{Incomes, Movement};
use crate::segments::{
    self, Assigner, CUSTOMER_ID, Domains, EarlierDefinition, EarlierOutcome, EarlierRules, EarlierWay, Grounds, OldDefinition, Origins,
    Pair, RuleSet, Told,
};

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
            descriptions: segments::MEMBERSHIP_DESCRIPTIONS,
        },
        NativeTable {
            name: CHANGES,
            schema: memory::changes_schema,
            identifiers: &[],
            taken: &[(CUSTOMER_ID, PROFILE, CUSTOMER_ID), ("merged_into", PROFILE, CUSTOMER_ID)],
            descriptions: memory::CHANGES_DESCRIPTIONS,
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
    origins: Origins,
    domains: Domains,
    as_of: NaiveDate,
    /// The column that says what customers spent, and how many digits it has after the point.
    revenue: Option<(String, i8)>,
}

/// The tables that are made while customers are assigned; both can be moved to disk.
struct Tables {
    changes: Arc<MaterialisedTable>,
    state: Arc<MaterialisedTable>,
}

impl SegmentsStep {
    /// The step with its rules, what they read, the domains that every row of the profile is held to, and the as-of day.
    pub fn new(rules: Vec<RuleSet>, origins: Origins, domains: Domains, as_of: NaiveDate) -> Self {
        SegmentsStep { rules, origins, domains, as_of, revenue: None }
    }

    /// Says which column of the profile tells what customers spent, and how many digits it has after the point.
    #[must_use]
    pub fn with_revenue(self, revenue: Option<(String, i8)>) -> Self {
        let origins = match &revenue {
            Some((column, _)) => self.origins.and_input(column),
            None => self.origins,
        };
        SegmentsStep { origins, revenue, ..self }
    }

    /// What is remembered of the time before, with segments numbered by some names.
    async fn before(names: &Names, context: &mut Context) -> Result<Option<Before>> {
        let Some(predecessor) = context.predecessor.as_mut().filter(|predecessor| predecessor.has(SEGMENT_STAYS)) else {
            return Ok(None);
        };
        let mut before = Before::new(Date32Type::from_naive_date(predecessor.as_of), &context.merged, context.split.clone());
        if !context.merged.is_empty() {
            before.take_ended(names, &context.merged, predecessor.again(SEGMENT_STAYS)).await?;
        }
        Ok(Some(before))
    }

    /// The columns of the profile that rules read, for the next publication.
    async fn inputs(&self, engine: &Engine) -> Result<StateTable, DataFusionError> {
        let profile = engine.context().table(PROFILE).await?;
        let fields = profile.schema().fields().iter().enumerate();
        let kept = fields.filter(|(_, field)| field.name() == CUSTOMER_ID || self.origins.inputs.contains(field.name()));
        let (places, fields): (Vec<usize>, Vec<_>) = kept.map(|(at, field)| (at, Arc::clone(field))).unzip();
        let schema = engine::answer_schema(&Schema::new(fields));
        let told = Arc::clone(&schema);
        let mut last = None;
        let rows = engine.stream_sorted(PROFILE, &[CUSTOMER_ID.to_owned()]).await?.map(move |rows| {
            let rows = rows?.project(&places)?;
            let columns = rows.columns().iter().zip(told.fields()).map(|(column, field)| cast(column, field.data_type()));
            Ok(once_each(&RecordBatch::try_new(Arc::clone(&told), columns.collect::<Result<_, _>>()?)?, &mut last)?)
        });
        Ok(StateTable { name: SEGMENT_INPUTS.to_owned(), schema, key: &[CUSTOMER_ID], rows: rows.boxed(), memory: None })
    }

    /// What is asked of the definition of the predecessor publication, and the rows that say it, if it is known by rows.
    async fn other(context: &mut Context) -> Result<(EarlierDefinition, Option<Reader>)> {
        let EarlierOutcome { detail, way } = match std::mem::take(&mut context.old_definition) {
            OldDefinition::Same => return Ok((EarlierDefinition::Same, None)),
            OldDefinition::Unknown => return Ok((EarlierDefinition::Unknown, None)),
            OldDefinition::Other(outcome) => outcome,
        };
        match way {
            EarlierWay::Rows(rows) => Ok((EarlierDefinition::Rows(detail.into()), Some(Reader::of_any(rows)))),
            EarlierWay::Rules(sets) => {
                let names = segments::names(&sets);
                let before = Self::before(&names, context).await?;
                Ok((EarlierDefinition::Rules(Box::new(EarlierRules::new(&detail, sets, names, before))), None))
            }
        }
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
        let domains = if context.has_partial_rows || context.is_only_asked { &nothing_declared } else { &self.domains };
        let names = Arc::new(segments::names(&self.rules));
        let since = context.predecessor.as_ref().filter(|predecessor| predecessor.has(SEGMENT_STAYS)).map(|predecessor| predecessor.as_of);
        let before = Self::before(&names, context).await.map_err(outward)?;
        let (other, mut other_rows) = Self::other(context).await.map_err(outward)?;
        let mut state = context.predecessor.as_mut().map_or_else(Reader::empty, |before| Reader::new(before.take(SEGMENT_STAYS)));
        let day = Date32Type::from_naive_date(self.as_of);
        let mut beside = Beside::of(engine, context).await?;
        let grounds = Grounds { origins: self.origins.clone(), sources: beside.sources.take() };
        let members = Assigner::new(&self.rules, &names, domains, engine.threads(), day, before);
        let mut members = members.with_earlier_definition(other).with_grounds(grounds).with_look(context.takes_look);
        let (memory, tables) = (engine.reservation(), Tables::of(engine));
        let mut movement = Movement::new(since, self.revenue.clone());
        while let Some(batches) = profile.try_next().await.map_err(|error| error.1)? {
            let incomes = Incomes::of(&batches, movement.revenue.as_ref().map(|(column, _)| column.as_str())).map_err(outward)?;
            let mut former = Incomes::default();
            let mut pairs = Vec::with_capacity(batches.len());
            for batch in batches {
                let pair = Pair::of(batch, &mut state).await.map_err(outward)?;
                let pair = match &mut other_rows {
                    Some(other) => pair.and_other(other).await.map_err(outward)?,
                    None => pair,
                };
                let kept = beside.up_to(pair.last()).await.map_err(outward)?;
                former.push_former(kept.inputs.as_ref(), movement.revenue.as_ref()).map_err(outward)?;
                pairs.push(pair.and_kept(kept));
            }
            let told = members.add(pairs).map_err(outward)?;
            for changes in &told.changes {
                movement.add(changes, &|customer| incomes.get(customer).or_else(|| former.get(customer))).map_err(outward)?;
            }
            tables.add(engine, told)?;
            memory.reach(members.bytes())?;
        }
        while let Some(rest) = state.next().await.map_err(outward)? {
            let mut former = Incomes::default();
            if let Some(last) = last_customer(&rest).map_err(outward)? {
                let kept = beside.up_to(&last).await.map_err(outward)?;
                former.push_former(kept.inputs.as_ref(), movement.revenue.as_ref()).map_err(outward)?;
            }
            let changes: Vec<RecordBatch> = members.add_rest(&rest).map_err(outward)?.into_iter().collect();
            changes.iter().try_for_each(|changes| movement.add(changes, &|customer| former.get(customer))).map_err(outward)?;
            tables.add(engine, Told { changes, ..Told::default() })?;
        }
        let changes: Vec<RecordBatch> = members.add_lost().map_err(outward)?.into_iter().collect();
        changes.iter().try_for_each(|changes| movement.add(changes, &|_| None)).map_err(outward)?;
        tables.add(engine, Told { changes, ..Told::default() })?;
        let look = members.look();
        let assigned = if context.is_only_asked { members.found() } else { members.finish() };
        let assigned = assigned.map_err(outward)?;
        let (sizes, customers, avoided) = (segments::sizes(&self.rules, &assigned), assigned.customers, assigned.avoided.clone());
        let rows = engine.register_each(MEMBERSHIP, segments::membership_schema(), assigned.into_memberships(&names)).map_err(outward)?;
        let (changes, state) = tables.finish(engine).await?;
        let inputs = self.inputs(engine).await?;
        let state = (!self.rules.is_empty()).then(|| state_of(names, state, inputs));
        Ok(Found { rows: rows + changes, findings: Findings::Segments { sizes, customers, avoided, movement, look }, state })
    }
}

/// The last customer of some rows of the memory.
fn last_customer(rows: &RecordBatch) -> Result<Option<String>> {
    let ids = rows.column_by_name(CUSTOMER_ID).ok_or_else(|| Error::defect("the memory of segments lost its customers"))?;
    let ids = cast(ids, &DataType::Utf8).map_err(|error| Error::defect(format!("the memory of segments was not read: {error}")))?;
    Ok(ids.len().checked_sub(1).map(|last| ids.as_string::<i32>().value(last).to_owned()))
}

/// The rows of a profile without those that repeat a customer, in order of customer; `last` is the customer of the row before. A customer who
/// comes twice is told where the outputs are written, which know whether the id may be told.
fn once_each(rows: &RecordBatch, last: &mut Option<String>) -> Result<RecordBatch, ArrowError> {
    let Some(ids) = rows.column_by_name(CUSTOMER_ID) else { return Ok(rows.clone()) };
    let ids = cast(ids, &DataType::Utf8)?;
    let ids = ids.as_string::<i32>();
    let before = |row: usize| if row == 0 { last.as_deref() } else { Some(ids.value(row - 1)) };
    let is_new: BooleanArray = (0..ids.len()).map(|row| Some(before(row) != Some(ids.value(row)))).collect();
    if let Some(id) = ids.len().checked_sub(1).map(|row| ids.value(row).to_owned()) {
        *last = Some(id);
    }
    if is_new.true_count() == ids.len() { Ok(rows.clone()) } else { filter_record_batch(rows, &is_new) }
}

/// The tables from which the next publication knows who was in which segment, and what the rules read.
fn state_of(names: Arc<Names>, rows: SendableRecordBatchStream, inputs: StateTable) -> MakeState {
    let told = move |rows: RecordBatch| memory::told(&names, &rows).map_err(outward);
    let rows = rows.map(move |rows| rows.and_then(&told)).boxed();
    Box::new(move |_| {
        let key = &[CUSTOMER_ID, "segment_set", "segment"];
        Ok(vec![StateTable { name: SEGMENT_STAYS.to_owned(), schema: memory::state_schema(), key, rows, memory: None }, inputs])
    })
}
