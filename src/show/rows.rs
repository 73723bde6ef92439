//! Computes what a look needs, and hands out its rows.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::prelude::{DataFrame, ident};
use futures::StreamExt;

use super::condition;
use super::mask::Mask;
use super::narrow;
use super::notes;
use super::prepare::Prepared;
use super::question::{Question, Setting, Wanted};
use super::sorted::sorted;
use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::engine::{self, Engine, Limits, Privacy};
use crate::error::{Error, Result};
use crate::execute::{Execution, Inputs, Silent, Source};
use crate::graph::SOURCES;
use crate::ingest::{self, Contract};
use crate::native::Context;
use crate::plan::QUERY;
use crate::predecessor::Carried;
use crate::segments::CUSTOMER_ID;
use crate::storage::Stores;

/// The table of ids that customers had before.
const ALIASES: &str = "resolved.aliases";
/// The fewest rows of a batch. Smaller ones would cost more than they save.
const LEAST_BATCH_ROWS: usize = 64;
/// What is told of rows that were found without computing their table whole.
const SOME: &str = "these are some of the rows, found at the beginning of the files, and not the first ones in their order; \
                    `--limit all` computes the table whole";
/// More rows than there are.
const ALL: usize = 1 << 40;

/// Takes the rows of a look.
pub trait Take {
    /// The columns, before any row.
    ///
    /// # Errors
    /// As it fails to take them, which ends the look.
    fn begin(&mut self, schema: &SchemaRef) -> Result<()>;

    /// Some rows.
    ///
    /// # Errors
    /// As it fails to take them, which ends the look.
    fn rows(&mut self, rows: &RecordBatch) -> Result<()>;
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How many rows were handed out.
    pub rows: u64,
    /// Whether there are more.
    pub has_more: bool,
    /// Whether personal values were masked.
    pub is_masked: bool,
    /// What somebody should know.
    pub notes: Vec<String>,
}

/// Looks at rows.
///
/// # Errors
/// As planning, reading or computing what is needed fails; a source is not refused for what is rejected of it.
pub async fn rows(setting: &Setting, wanted: &Wanted, stores: &Stores, take: &mut impl Take) -> Result<Seen> {
    let prepared = Prepared::new(setting, &wanted.question, stores, true).await?;
    let is_row_by_row = prepared.is_row_by_row();
    // One thread reads files one after the other, so that the first rows are the same every time.
    let threads = if is_row_by_row { 1 } else { setting.limits.threads };
    let limits = Limits { threads, ..setting.limits };
    let engine = Engine::with_text_encoding(limits, prepared.plan.values.zone.name(), setting.text_encoding)?;
    // A filter hands on whole batches: it would read on although the few rows that are wanted are there.
    let engine = match wanted.limit.filter(|_| is_row_by_row) {
        Some(limit) => engine.with_batches_of(usize::try_from(limit).unwrap_or(ALL).max(LEAST_BATCH_ROWS)),
        None => engine,
    };
    let chosen = Chosen::of(&prepared, &wanted.question, &engine)?;
    let mut seen = Seen { rows: 0, has_more: false, is_masked: false, notes: prepared.notes.clone() };
    seen.notes.extend(chosen.note(&prepared));
    if prepared.query()?.of_query.takes_any_rows {
        seen.notes.push("no `order by` says which rows `limit` takes: they are any, and may be others the next time".to_owned());
    }
    seen.notes.extend(note_of_sample(&prepared, wanted)?);
    let mut inputs = inputs(&prepared, wanted, &engine, (stores, &setting.environment), &mut seen.notes).await?;
    let narrowed = if is_row_by_row { None } else { narrow::narrowed(&prepared, setting, wanted, &inputs).await };
    let is_narrowed = narrowed.is_some();
    let (mut engine, mut chosen, mut read) = (engine, chosen, Vec::new());
    if let Some(found) = narrowed {
        (engine, inputs, chosen.condition, read) = (found.engine, found.inputs, found.condition, found.read);
        seen.notes.push(SOME.to_owned());
    }
    let execution = Execution { plan: &prepared.plan, engine: &engine, needed: Some(prepared.needed()), scene: String::new() };
    if !is_narrowed {
        execution.run(&mut inputs, &mut Silent).await?;
    }
    for table in &prepared.published {
        table.register(&engine, &prepared.destination).await?;
    }
    let failed = |error: DataFusionError| execution.failure_of(QUERY, &inputs, &error);
    let limit = wanted.limit.map(|limit| usize::try_from(limit).unwrap_or(ALL).min(ALL));
    let frame = frame(&prepared, &engine, chosen, is_row_by_row, limit).await.map_err(failed)?;
    let personal = engine::privacy(frame.logical_plan(), &|table, column| prepared.privacy_of(table, column));
    let mut stream = engine.stream(frame).await.map_err(failed)?;
    let personal = if wanted.unmask { vec![Privacy::Open; personal.len()] } else { personal };
    let mask = Mask::new(&prepared.plan.project.pipeline, personal, &stream.schema());
    seen.is_masked = mask.masks();
    take.begin(mask.schema())?;
    let mut left = limit;
    while let Some(batch) = stream.next().await.transpose().map_err(failed)? {
        let some = batch.num_rows().min(left.unwrap_or(usize::MAX));
        if some > 0 {
            take.rows(&mask.apply(&batch.slice(0, some))?)?;
        }
        seen.rows += some as u64;
        left = left.map(|left| left - some);
        if some < batch.num_rows() {
            seen.has_more = true;
            break;
        }
    }
    // Whoever still reads a file for this stops.
    drop(stream);
    read.extend(inputs.sources);
    seen.notes.extend(notes::of_sources(&prepared.plan.project, &read));
    Ok(seen)
}

/// What the computation reads.
async fn inputs(
    prepared: &Prepared,
    wanted: &Wanted,
    engine: &Engine,
    (stores, environment): (&Stores, &Environment),
    notes: &mut Vec<String>,
) -> Result<Inputs> {
    let plan = &prepared.plan;
    let mut inputs = Inputs { sample: wanted.sample, kept: [ALIASES.to_owned()].into(), ..Inputs::of(plan)? };
    // Models that only tell which published columns are personal are not computed: what they read need not be there.
    let needed = prepared.needed();
    let contracts = plan.contracts.iter().filter(|contract| needed.contains(&format!("{SOURCES}.{}", contract.source)));
    let contracts: Vec<Arc<Contract>> = contracts.cloned().collect();
    if contracts.is_empty() && !prepared.is_after_identity() && !prepared.is_after_segments() {
        return Ok(inputs);
    }
    let (newest, carried) = Carried::for_question(plan, &prepared.destination, plan.values.as_of, &needed, environment).await;
    notes.extend(carried.warnings);
    let extracts = ingest::find(&plan.project, &contracts, stores, newest.as_ref()).await?;
    inputs.sources = extracts.into_iter().map(|extract| Source::new(engine, extract)).collect();
    inputs.context = Context { predecessor: carried.predecessor, old_definition: carried.old_definition, ..Context::default() };
    Ok(inputs)
}

/// Which rows were asked for.
struct Chosen {
    condition: Option<Expr>,
    customer: Option<(String, DataType)>,
}

impl Chosen {
    /// # Errors
    /// [`Error::Project`] for a condition that is wrong, and for a customer of a table that names none.
    fn of(prepared: &Prepared, question: &Question, engine: &Engine) -> Result<Self> {
        let Question::Table { name, condition, customer } = question else { return Ok(Chosen { condition: None, customer: None }) };
        let schema = &prepared.query()?.schema;
        let condition = match condition {
            Some(text) => {
                let schema = DFSchema::try_from(Arc::clone(schema)).map_err(|error| Error::defect(error.to_string()))?;
                Some(condition::compile(engine, &schema, &prepared.plan.values.parameters, text)?)
            }
            None => None,
        };
        let of_customer = |id: &String| match schema.column_with_name(CUSTOMER_ID) {
            Some((_, field)) => Ok((id.clone(), field.data_type().clone())),
            None => {
                let shown = crate::shown::name(name);
                let problem = Diagnostic::error("no-customer-column", format!("`{shown}` has no column `{CUSTOMER_ID}`"));
                Err(Error::from(problem.hint(
                    "`segmill show identity.customers --customer ID` shows the identifiers of a customer; choose rows by them with `--where`",
                )))
            }
        };
        Ok(Chosen { condition, customer: customer.as_ref().map(of_customer).transpose()? })
    }

    fn note(&self, prepared: &Prepared) -> Option<String> {
        let is_before = self.customer.is_some() && !prepared.is_after_identity();
        let target = prepared.target.as_ref().filter(|_| is_before)?;
        Some(format!(
            "`{}` comes before the identity step: its `{CUSTOMER_ID}` is what the source says, and ids that a customer had before are not followed",
            target.table
        ))
    }

    /// Leaves the rows that were asked for.
    async fn of_rows(self, engine: &Engine, mut frame: DataFrame) -> Result<DataFrame, DataFusionError> {
        if let Some(condition) = self.condition {
            frame = frame.filter(condition)?;
        }
        if let Some((id, data_type)) = self.customer {
            let id = if engine.has(ALIASES) { followed(engine, id).await? } else { id };
            let column = ident(CUSTOMER_ID);
            let column = if matches!(data_type, DataType::Utf8) { column } else { cast(column, DataType::Utf8) };
            frame = frame.filter(column.eq(lit(id)))?;
        }
        Ok(frame)
    }
}

/// The id that a customer has now who had an id before.
async fn followed(engine: &Engine, id: String) -> Result<String, DataFusionError> {
    let known = engine.context().table(ALIASES).await?.filter(ident("alias_id").eq(lit(id.as_str())))?;
    let (_, found) = engine.collect(known.select(vec![ident(CUSTOMER_ID)])?).await?;
    let found = found.iter().find(|batch| batch.num_rows() > 0);
    Ok(found.map_or(id, |batch| batch.column(0).as_string::<i32>().value(0).to_owned()))
}

/// What is told of a sample that does not reach the table.
///
/// # Errors
/// [`Error::Project`] where the project has no identity step.
fn note_of_sample(prepared: &Prepared, wanted: &Wanted) -> Result<Option<String>> {
    if wanted.sample.is_none() {
        return Ok(None);
    }
    if prepared.is_after_identity() {
        let is_predicted = prepared.is_after_predictions();
        return Ok(is_predicted
            .then(|| "predictions and clusters are fitted to the sample: a run, which sees all customers, has others".to_owned()));
    }
    if prepared.plan.project.models.iter().all(|model| model.name() != crate::graph::EDGES) {
        let problem = Diagnostic::error("no-identity-step", "there is nothing to sample: the project has no identity step");
        return Err(problem.hint("a sample is of whole customers, whom the identity step finds; `--limit` shows fewer rows").into());
    }
    Ok(Some("what is shown comes before the identity step, and is not sampled".to_owned()))
}

/// The rows that were asked for, in their order.
async fn frame(
    prepared: &Prepared,
    engine: &Engine,
    chosen: Chosen,
    is_row_by_row: bool,
    limit: Option<usize>,
) -> Result<DataFrame, DataFusionError> {
    let query = prepared.plan.maker(QUERY).and_then(|node| node.model());
    let Some(query) = query else { return Err(DataFusionError::Internal("the query was not planned".to_owned())) };
    let planned = engine.plan(&query.parsed.statement, &prepared.plan.values.parameters).await?;
    let frame = chosen.of_rows(engine, engine.frame(planned)).await?;
    if is_row_by_row {
        return Ok(frame);
    }
    // One more than is shown tells whether there are more.
    let most = limit.map_or(ALL, |limit| limit + 1);
    let of_target = prepared.target.as_ref().map(|target| {
        let own = || prepared.plan.maker(&target.table).and_then(|node| node.model()).map(|model| model.of_query.order.clone());
        if target.order.is_empty() { own().unwrap_or_default() } else { target.order.clone() }
    });
    let order = of_target.unwrap_or_else(|| query.of_query.order.clone());
    let is_ordered_otherwise = order.is_empty() && prepared.target.is_none() && engine::is_ordered(frame.logical_plan());
    if is_ordered_otherwise {
        return frame.limit(0, Some(most));
    }
    let sorted = sorted(frame, &order)?;
    if limit.is_some() { sorted.limit(0, Some(most)) } else { Ok(sorted) }
}
