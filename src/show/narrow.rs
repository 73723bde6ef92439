//! A few rows of a large table, without computing it whole: values of one of its columns are found in the beginnings of the files, and the table
//! is computed from all rows that count for these values. So each row is as it is in the whole table.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::ident;

use super::prepare::Prepared;
use super::question::{Question, Setting, Wanted};
use super::sorted::sorted;
use super::units::{Units, unplanned};
use crate::engine::{self, Answers, Asked, Demand, Demands, Engine, KeyValues, Limits, TextEncoding};
use crate::error::Result;
use crate::execute::{Execution, Inputs, Silent, Source};
use crate::ingest::{self, KnownRows};

/// The size of extracts from which on `show` looks so at tables.
pub const LARGE_BYTES: u64 = 16 * 1024 * 1024;
/// The most rows that are found so.
const FEW_ROWS: usize = 1000;
/// How many rows of the beginning of each source are looked at, first and then.
const BEGINNINGS: [usize; 2] = [4096, 65_536];
/// How many questions may lie within each other, and how many may be asked.
const QUESTIONS_DEEP: usize = 5;
const QUESTIONS_IN_ALL: usize = 24;
/// How many times more rows are looked for in the beginnings than are wanted, since some of them may not be rows of the table.
const SPARE: usize = 2;

/// Tables from which rows of the table that is looked at can be computed.
pub struct Narrowed {
    /// The engine that has them.
    pub engine: Engine,
    /// What they were made from.
    pub inputs: Inputs,
    /// Which rows of the table are right; all of them if there is no condition.
    pub condition: Option<Expr>,
    /// The sources of which some rows were read.
    pub read: Vec<Source>,
}

/// Finds more rows than are wanted. None where that is not worth it, or leads to too few.
pub async fn narrowed(prepared: &Prepared, setting: &Setting, wanted: &Wanted, inputs: &Inputs) -> Option<Narrowed> {
    let Question::Table { condition: None, customer: None, .. } = wanted.question else { return None };
    let limit = usize::try_from(wanted.limit?).ok().filter(|limit| (1..=FEW_ROWS).contains(limit))?;
    let needed = prepared.needed();
    let nodes = || prepared.plan.nodes.iter().filter(|node| node.makes.iter().any(|table| needed.contains(table)));
    let is_sql_alone = nodes().all(|node| node.model().is_some());
    let is_ordered = prepared.target.as_ref().is_none_or(|target| {
        let of_model = prepared.plan.maker(&target.table).and_then(|node| node.model()).map(|model| &model.of_query.order);
        !target.order.is_empty() || of_model.is_none_or(|order| !order.is_empty())
    });
    let bytes: u64 = inputs.sources.iter().map(bytes_of).sum();
    if wanted.sample.is_some() || !is_sql_alone || is_ordered || bytes < wanted.large_from_bytes || inputs.sources.is_empty() {
        return None;
    }
    // What fails here is told when the table is computed whole.
    let mut look = Look::new(prepared, setting, inputs, limit).await.ok()?;
    look.rows().await.ok().flatten()
}

fn bytes_of(source: &Source) -> u64 {
    source.extract.files.iter().map(|(file, _)| file.meta.size).sum()
}

/// The values of a column by which rows are chosen.
struct Choice {
    condition: Expr,
    /// The bytes of sources that would be needed whole, how much would have to be asked, and what share of the rows has one of the values, in
    /// millionths.
    cost: (u64, usize, u64),
}

struct Look<'a> {
    prepared: &'a Prepared,
    setting: &'a Setting,
    /// The sources, as nobody has read them yet.
    sources: Vec<Source>,
    limit: usize,
    units: Units,
    /// Reads the sources.
    engine: Engine,
    /// What was read of them.
    known: KnownRows,
    /// What was asked of tables that are made from them.
    answers: Answers,
}

impl<'a> Look<'a> {
    async fn new(prepared: &'a Prepared, setting: &'a Setting, given: &Inputs, limit: usize) -> Result<Self> {
        let engine = Engine::with_text_encoding(setting.limits, prepared.plan.values.zone.name(), TextEncoding::Plain)?;
        engine.hash_with(prepared.plan.project.pipeline.identity.salt.as_deref().unwrap_or_default());
        let units = Units::of(prepared).await?;
        let sources = given.sources.iter().map(|source| Source::new(&engine, source.extract.clone())).collect();
        Ok(Look { prepared, setting, sources, limit, units, engine, known: KnownRows::default(), answers: Answers::new() })
    }

    async fn rows(&mut self) -> Result<Option<Narrowed>> {
        let is_monotone = self.units.all().all(engine::is_monotone);
        let all: u64 = self.sources.iter().map(bytes_of).sum();
        let columns = self.units.query.schema().fields();
        let whole_by = |name: &str| self.cost_of(&ident(name).is_not_null()).map_or(all, |cost| cost.0);
        if !is_monotone && columns.iter().all(|field| whole_by(field.name()) >= all) {
            return Ok(None);
        }
        let (mut choices, mut beginnings) = (Vec::new(), BEGINNINGS.into_iter());
        while let Some(count) = beginnings.next().filter(|_| choices.is_empty()) {
            let begun = self.beginning(count, is_monotone).await?;
            let rows = self.first_of(&begun, None, SPARE * (self.limit + 1) * 64).await?;
            if is_monotone {
                if rows.num_rows() > self.limit {
                    return Ok(Some(begun));
                }
                continue;
            }
            let is_last = beginnings.len() == 0;
            if rows.num_rows() > SPARE * self.limit || (is_last && rows.num_rows() > 0) {
                choices = self.choices(&rows)?;
                break;
            }
        }
        choices.sort_by_key(|choice| choice.cost);
        let Some(choice) = choices.into_iter().next().filter(|choice| choice.cost.0 < all) else { return Ok(None) };
        let query = self.units.query.clone();
        let demands = self.answered(&query, &choice.condition, QUESTIONS_DEEP).await?;
        if self.bytes_whole(&demands) >= all {
            return Ok(None);
        }
        let inputs = self.inputs(&demands).await?;
        let mut narrowed = self.computed(inputs, self.prepared.needed()).await?;
        let rows = self.first_of(&narrowed, Some(choice.condition.clone()), self.limit + 1).await?;
        narrowed.condition = Some(choice.condition);
        narrowed.read.clone_from(&self.sources);
        Ok((rows.num_rows() > self.limit).then_some(narrowed))
    }

    /// The tables as they would be if the sources had no more than their first rows. Where all rows of these shall be rows of the whole tables, it
    /// must be certain that no later row supersedes one.
    async fn beginning(&self, count: usize, is_exact: bool) -> Result<Narrowed> {
        // One thread reads files one after the other, so that the first rows are the same every time.
        let limits = Limits { threads: 1, ..self.setting.limits };
        let engine = Engine::with_text_encoding(limits, self.prepared.plan.values.zone.name(), TextEncoding::Plain)?;
        let mut inputs = Inputs::of(&self.prepared.plan)?;
        for source in &self.sources {
            let contract = &source.extract.contract;
            let count = if is_exact && !contract.key.is_empty() { 0 } else { count };
            let required = self.required(&contract.source);
            inputs.given.insert(source.table(), ingest::first_rows(&engine, &source.extract, &required, count).await?);
        }
        self.computed(inputs, self.prepared.needed()).await
    }

    fn required(&self, source: &str) -> BTreeSet<String> {
        self.prepared.plan.required_columns.get(source).map(|required| required.columns.clone()).unwrap_or_default()
    }

    /// Computes the tables that are needed from some inputs.
    async fn computed(&self, mut inputs: Inputs, needed: BTreeSet<String>) -> Result<Narrowed> {
        let plan = &self.prepared.plan;
        let engine = Engine::with_text_encoding(self.setting.limits, plan.values.zone.name(), TextEncoding::Plain)?;
        // A source that is needed whole is counted by the engine that reads it.
        inputs.sources = inputs.sources.into_iter().map(|source| Source::new(&engine, source.extract)).collect();
        let execution = Execution { plan, engine: &engine, needed: Some(needed), scene: String::new() };
        execution.run(&mut inputs, &mut Silent).await?;
        Ok(Narrowed { engine, inputs, condition: None, read: Vec::new() })
    }

    /// The first rows of the table, in its order.
    async fn first_of(&self, narrowed: &Narrowed, condition: Option<Expr>, count: usize) -> Result<RecordBatch> {
        let read = async {
            let query = self.prepared.query().map_err(|error| DataFusionError::External(Box::new(error)))?;
            let planned = narrowed.engine.plan(&query.parsed.statement, &self.prepared.plan.values.parameters).await?;
            let mut frame = narrowed.engine.frame(planned);
            if let Some(condition) = condition {
                frame = frame.filter(condition)?;
            }
            let (schema, rows) = narrowed.engine.collect(sorted(frame, &[])?.limit(0, Some(count))?).await?;
            concatenated(&schema, &rows)
        };
        read.await.map_err(unplanned)
    }

    /// How large the sources are that are needed whole.
    fn bytes_whole(&self, demands: &Demands) -> u64 {
        let is_whole = |source: &&Source| demands.get(&source.table()) == Some(&Demand::All);
        self.sources.iter().filter(is_whole).map(bytes_of).sum()
    }

    /// How large the sources are that would be needed whole for the rows that fulfil a condition, and how much would have to be asked.
    fn cost_of(&self, condition: &Expr) -> Result<(u64, usize)> {
        let found = self.units.demands(&self.units.query, condition, None).map_err(unplanned)?;
        Ok((self.bytes_whole(&found.tables), found.asked.len()))
    }

    /// For each column its first values in some rows, as far as there is something to choose by them.
    fn choices(&self, rows: &RecordBatch) -> Result<Vec<Choice>> {
        let mut choices = Vec::new();
        for (field, values) in rows.schema().fields().iter().zip(rows.columns()) {
            let is_plain = matches!(
                field.data_type(),
                DataType::Utf8 | DataType::Utf8View | DataType::Int64 | DataType::Int32 | DataType::Date32 | DataType::Timestamp(..)
            );
            if !is_plain || values.null_count() == values.len() {
                continue;
            }
            let Some((condition, with_values)) = self.condition(field.name(), values).map_err(unplanned)? else { continue };
            let (whole, asked) = self.cost_of(&condition)?;
            choices.push(Choice { condition, cost: (whole, asked, (with_values * 1_000_000 / rows.num_rows().max(1)) as u64) });
        }
        Ok(choices)
    }

    /// The condition that a column has one of its first values, and how many rows have one.
    fn condition(&self, name: &str, values: &ArrayRef) -> Result<Option<(Expr, usize)>, DataFusionError> {
        let present = arrow::compute::filter(values, &arrow::compute::is_not_null(values)?)?;
        let first = present.slice(0, present.len().min(SPARE * (self.limit + 1)));
        let Some(condition) = KeyValues::of(&first)?.map(|values| values.hold(ident(name))) else { return Ok(None) };
        let chosen: BTreeSet<String> = texts(&first)?.into_iter().collect();
        Ok(Some((condition, texts(&present)?.into_iter().filter(|text| chosen.contains(text)).count())))
    }

    /// The sources as far as they are needed.
    async fn inputs(&mut self, demands: &Demands) -> Result<Inputs> {
        let mut inputs = Inputs::of(&self.prepared.plan)?;
        for source in self.sources.clone() {
            let table = source.table();
            let Some(demand) = demands.get(&table) else {
                inputs.given.insert(table, RecordBatch::new_empty(Arc::clone(&source.extract.contract.schema)));
                continue;
            };
            let rows = match demand.condition() {
                Some(condition) => self.rows_of(&source, &condition).await?,
                None => None,
            };
            match rows {
                Some(rows) => drop(inputs.given.insert(table, rows)),
                None => inputs.sources.push(source),
            }
        }
        Ok(inputs)
    }

    async fn rows_of(&mut self, source: &Source, condition: &Expr) -> Result<Option<RecordBatch>> {
        let required = self.required(&source.extract.contract.source);
        self.known.rows_where(&self.engine, &source.extract, &required, &source.collector, condition).await
    }

    /// What a query over the tables needs, once what was asked has been answered as far as that is worth it.
    async fn answered(&mut self, query: &LogicalPlan, condition: &Expr, depth: usize) -> Result<Demands> {
        loop {
            let found = self.units.demands(query, condition, Some(&self.answers)).map_err(unplanned)?;
            let Some(asked) = found.asked.into_iter().next() else { return Ok(found.tables) };
            let is_worth_it = depth > 0 && self.answers.len() < QUESTIONS_IN_ALL;
            let values = if is_worth_it { Box::pin(self.values_of(&asked, depth - 1)).await? } else { None };
            self.answers.push((asked, values));
        }
    }

    /// Which values were asked for; none if there are many, or if that cannot be found without a whole source.
    async fn values_of(&mut self, asked: &Asked, depth: usize) -> Result<Option<Vec<KeyValues>>> {
        let demands = self.answered(&asked.input, &asked.condition, depth).await?;
        if self.bytes_whole(&demands) > 0 {
            return Ok(None);
        }
        let plan = LogicalPlanBuilder::from(asked.input.clone()).filter(asked.condition.clone());
        let plan = plan.and_then(|plan| plan.aggregate(asked.of.clone(), Vec::<Expr>::new())).and_then(LogicalPlanBuilder::build);
        let plan = plan.map_err(unplanned)?;
        let reads: BTreeSet<String> = engine::reads(&plan).map_err(unplanned)?.into_keys().collect();
        let needed = reads.iter().flat_map(|table| self.prepared.plan.needed(table, |_| false)).collect();
        let inputs = Inputs { kept: reads, ..self.inputs(&demands).await? };
        let computed = self.computed(inputs, needed).await?;
        let read = async {
            let plan = computed.engine.over_own_tables(plan).await?;
            let (schema, rows) = computed.engine.collect(computed.engine.frame(plan)).await?;
            concatenated(&schema, &rows)?.columns().iter().map(KeyValues::of).collect::<Result<Option<Vec<_>>, _>>()
        };
        read.await.map_err(unplanned)
    }
}

fn texts(values: &ArrayRef) -> Result<Vec<String>, DataFusionError> {
    let format = arrow::util::display::FormatOptions::default();
    let formatter = arrow::util::display::ArrayFormatter::try_new(values, &format)?;
    Ok((0..values.len()).map(|row| formatter.value(row).to_string()).collect())
}

fn concatenated(schema: &SchemaRef, rows: &[RecordBatch]) -> Result<RecordBatch, DataFusionError> {
    let schema = rows.first().map_or_else(|| Arc::clone(schema), RecordBatch::schema);
    Ok(concat_batches(&schema, rows)?)
}
