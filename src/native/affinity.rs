//! The steps that the pipeline file declares under `affinities`: what customers have bought says what to offer to others who have bought
//! the same.

mod pieces;
mod read;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::{AsArray, Float64Builder, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;

use self::pieces::{pieces, workers};
use self::read::{Bought, Columns, Reader, of_type};
use super::step::{Context, Findings, Found, Native, described, outward};
use crate::affinity::{Associations, Counter, Counts, Extent, History, Measured, Measurer, Report, Scorer, Settings, State, popular};
use crate::config::{Affinity, Project};
use crate::engine::{Engine, Reservation};
use crate::error::{Error, Result};
use crate::graph::{DeclaredKind, Input, LAYERS, Made, Step};
use crate::segments::CUSTOMER_ID;

/// How many items a thread counts at once.
const ITEMS_AT_ONCE: usize = 64;
/// For how many customers a thread makes offers at once.
const CUSTOMERS_AT_ONCE: usize = 1024;
/// The most memory that an offer takes while it is made.
const OFFER_BYTES: usize = 160;

/// A step that makes the offers of an affinity.
#[derive(Debug)]
pub struct AffinityStep {
    step: Arc<Step>,
    name: String,
    columns: Columns,
    /// The table and the column of items that are never offered.
    never_offer: Option<(String, String)>,
    settings: Settings,
    offers: usize,
}

/// What is associated, and from how many customers it is known.
struct Known {
    buyers: Vec<u32>,
    associations: Associations,
    _memory: Reservation,
}

/// The steps of the affinities that a pipeline file declares.
pub(super) fn steps(project: &Project) -> impl Iterator<Item = Arc<Step>> {
    project.pipeline.affinities.iter().map(|(name, affinity)| Arc::new(step_of(name, affinity)))
}

fn step_of(name: &str, affinity: &Affinity) -> Step {
    let (table, schema) = (affinity.model.value.clone(), schema());
    let taken = schema.fields().iter().flat_map(|field| {
        let is_of = |role: &str| match field.name().as_str() {
            CUSTOMER_ID => role == "customer",
            "item" | "bought_with" => role == "item",
            _ => role != "customer",
        };
        let columns = affinity.columns.named().filter(|(role, _)| is_of(role));
        columns.map(|(_, column)| (field.name().clone(), table.clone(), column.value.clone())).collect::<Vec<_>>()
    });
    let made = Made {
        name: DeclaredKind::Affinity.table(name),
        taken: taken.collect(),
        identifiers: Vec::new(),
        bounds: vec![("rank".to_owned(), 1.0, f64::from(affinity.offers)), ("score".to_owned(), 0.0, 1.0)],
        schema: Arc::clone(&schema),
        descriptions: described(DESCRIPTIONS),
    };
    let never = affinity.never_offer.iter().map(|never| Input { table: never.table.value.clone(), streamed: false, sorted_by: None });
    let input = Input { table: table.clone(), streamed: false, sorted_by: Some(affinity.columns.customer.value.clone()) };
    let reads = std::iter::once(input).chain(never.filter(|never| never.table != table)).collect();
    Step { name: made.name.clone(), layer: LAYERS.last().copied(), declared: Some(DeclaredKind::Affinity), reads, makes: vec![made] }
}

/// The columns of offers.
fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CUSTOMER_ID, DataType::Utf8, false),
        Field::new("rank", DataType::Int64, false),
        Field::new("item", DataType::Utf8, false),
        Field::new("score", DataType::Float64, false),
        Field::new("bought_with", DataType::Utf8, false),
    ]))
}

/// What the columns of [`schema`] mean.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("customer_id", "The customer"),
    ("rank", "From 1 on for each customer, the best offer first; of equal ones, the item that comes first in order"),
    ("item", "The item that is offered"),
    ("score", "How strongly it is associated with what the customer has bought, 0 to 1"),
    ("bought_with", "The customer's item that speaks most for it"),
];

impl AffinityStep {
    /// The step of an affinity, which has been checked.
    pub fn new(name: &str, affinity: &Affinity) -> Self {
        let Affinity { minimum_support, shrinkage, half_life_days, .. } = *affinity;
        let never = affinity.never_offer.as_ref();
        AffinityStep {
            step: Arc::new(step_of(name, affinity)),
            name: name.to_owned(),
            columns: Columns::of(affinity),
            never_offer: never.map(|never| (never.table.value.clone(), never.column.value.clone())),
            settings: Settings { minimum_support, shrinkage, half_life_days },
            offers: affinity.offers as usize,
        }
    }

    /// The items that are never offered.
    async fn never(&self, engine: &Engine, memory: &Reservation) -> Result<BTreeSet<String>, DataFusionError> {
        let mut never = BTreeSet::new();
        let Some((table, column)) = &self.never_offer else { return Ok(never) };
        let mut rows = engine.stream(engine.context().table(table.as_str()).await?).await?;
        while let Some(batch) = rows.try_next().await? {
            let items = of_type(&batch, column, &DataType::Utf8).map_err(outward)?;
            for item in items.as_string::<i32>().iter().flatten() {
                if !never.contains(item) {
                    memory.grow(item.len() + 2 * size_of::<String>())?;
                    never.insert(item.to_owned());
                }
            }
        }
        Ok(never)
    }

    /// Reads the purchases in order of customer.
    async fn read(&self, engine: &Engine, has_partial_rows: bool, memory: &Reservation) -> Result<Bought, DataFusionError> {
        let memory_of_never = memory.another();
        let never = self.never(engine, &memory_of_never).await?;
        let mut rows = engine.stream_sorted(&self.columns.table, std::slice::from_ref(&self.columns.customer)).await?;
        let mut reader = Reader::new(&self.columns, has_partial_rows);
        while let Some(batch) = rows.try_next().await? {
            reader.add(&batch).map_err(outward)?;
            memory.reach(reader.bytes())?;
        }
        reader.finish(&self.name, &never).map_err(outward)
    }

    /// What is associated, by some of the purchases.
    fn know(&self, bought: &Bought, extent: Extent, threads: usize, memory: Reservation) -> Result<Known, DataFusionError> {
        memory.grow(Counts::most_bytes(&bought.purchases))?;
        let counts = Counts::of(&bought.purchases, extent, self.settings);
        let items = counts.items();
        let of_counters = memory.another();
        let count = workers(threads, items.div_ceil(ITEMS_AT_ONCE), Counter::bytes(items), memory.limit());
        of_counters.grow(count * Counter::bytes(items))?;
        let mut counters: Vec<Counter> = (0..count).map(|_| Counter::new(items)).collect();
        let mut associations = Associations::default();
        let found = pieces(&mut counters, items.div_ceil(ITEMS_AT_ONCE), |counter, at| {
            let some = at * ITEMS_AT_ONCE..((at + 1) * ITEMS_AT_ONCE).min(items);
            some.map(|item| counter.neighbours(&counts, item)).collect::<Vec<_>>()
        });
        for neighbours in found.iter().flatten() {
            associations.add(neighbours);
        }
        memory.settle(0);
        memory.grow(associations.bytes() + counts.buyers.len() * size_of::<u32>())?;
        Ok(Known { buyers: counts.buyers, associations, _memory: memory })
    }

    /// Whether customers bought on their last day what they would have been offered before it.
    fn measure(&self, bought: &Bought, scorers: &mut [Scorer], memory: Reservation) -> Result<Option<Measured>, DataFusionError> {
        let known = self.know(bought, Extent::BeforeLastDay, scorers.len(), memory)?;
        let measurer = Measurer {
            purchases: &bought.purchases,
            buyers: &known.buyers,
            popular: &popular(&known.buyers),
            associations: &known.associations,
            settings: self.settings,
        };
        let parts = parts_of(bought);
        let hits = pieces(scorers, parts, |scorer, at| measurer.hits(part(bought, at), scorer));
        Ok(Measured::of(hits.into_iter().sum()))
    }

    /// The offers of some customers, and how many have one.
    fn offers(&self, bought: &Bought, known: &Known, at: usize, scorer: &mut Scorer) -> Result<(RecordBatch, u64)> {
        let mut history = History::default();
        let (mut ids, mut items, mut with) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
        let (mut ranks, mut strengths) = (Int64Builder::new(), Float64Builder::new());
        let mut customers = 0;
        for customer in part(bought, at) {
            bought.purchases.history(customer, Extent::All, &known.buyers, self.settings.minimum_support, &mut history);
            let offers = scorer.offers(&history, &known.associations, &self.settings, self.offers);
            customers += u64::from(!offers.is_empty());
            for (rank, offer) in (1..).zip(offers) {
                ids.append_value(bought.customers.of(customer));
                ranks.append_value(rank);
                items.append_value(&bought.items[offer.item as usize]);
                strengths.append_value(offer.score);
                with.append_value(&bought.items[offer.bought_with as usize]);
            }
        }
        let columns = vec![
            Arc::new(ids.finish()) as _,
            Arc::new(ranks.finish()) as _,
            Arc::new(items.finish()) as _,
            Arc::new(strengths.finish()) as _,
            Arc::new(with.finish()) as _,
        ];
        let batch = RecordBatch::try_new(Arc::clone(&self.step.makes[0].schema), columns);
        Ok((batch.map_err(|error| Error::defect(error.to_string()))?, customers))
    }

    /// Makes the table, and tells what is in it.
    fn make(&self, engine: &Engine, bought: &Bought) -> Result<Report, DataFusionError> {
        let (items, parts) = (bought.items.len(), parts_of(bought));
        let memory = engine.reservation();
        let count = workers(engine.threads(), parts, Scorer::bytes(items), memory.limit());
        let (at_once, offers) = (4 * count, CUSTOMERS_AT_ONCE * self.offers);
        memory.grow(count * Scorer::bytes(items) + at_once * offers * OFFER_BYTES)?;
        let mut scorers: Vec<Scorer> = (0..count).map(|_| Scorer::new(items)).collect();
        let measured = self.measure(bought, &mut scorers, memory.another())?;
        let known = self.know(bought, Extent::All, count, memory.another())?;
        let (mut waiting, mut next, mut customers_with_offers) = (VecDeque::new(), 0, 0);
        let batches = std::iter::from_fn(|| {
            if waiting.is_empty() && next < parts {
                let from = next;
                next = (from + at_once).min(parts);
                waiting.extend(pieces(&mut scorers, next - from, |scorer, at| self.offers(bought, &known, from + at, scorer)));
            }
            let made = waiting.pop_front()?;
            Some(made.map(|(batch, customers)| {
                customers_with_offers += customers;
                batch
            }))
        });
        let made = &self.step.makes[0];
        let offers = engine.register_each(&made.name, Arc::clone(&made.schema), batches).map_err(outward)?;
        engine.declare_key(&made.name, vec![CUSTOMER_ID.to_owned(), "rank".to_owned()]);
        let state = match items {
            _ if known.buyers.iter().all(|buyers| *buyers == 0) => State::NoPurchases,
            1 => State::OneItem,
            _ if known.associations.is_empty() => State::NoAssociations,
            _ if offers == 0 => State::NothingLeft,
            _ => State::Offered,
        };
        Ok(Report {
            affinity: self.name.clone(),
            state,
            customers: bought.purchases.customers() as u64,
            customers_with_offers,
            offers,
            items: items as u64,
            associations: known.associations.len() as u64,
            minimum_support: self.settings.minimum_support,
            measured,
        })
    }
}

/// Into how many parts the customers are divided.
fn parts_of(bought: &Bought) -> usize {
    bought.purchases.customers().div_ceil(CUSTOMERS_AT_ONCE)
}

/// The customers of a part.
fn part(bought: &Bought, at: usize) -> std::ops::Range<usize> {
    at * CUSTOMERS_AT_ONCE..((at + 1) * CUSTOMERS_AT_ONCE).min(bought.purchases.customers())
}

#[async_trait]
impl Native for AffinityStep {
    fn step(&self) -> Arc<Step> {
        Arc::clone(&self.step)
    }

    async fn run(&self, engine: &Engine, context: &mut Context) -> Result<Found, DataFusionError> {
        let memory = engine.reservation();
        let bought = self.read(engine, context.has_partial_rows, &memory).await?;
        let report = self.make(engine, &bought)?;
        Ok(Found { rows: report.offers, findings: Findings::Affinity(Box::new(report)), state: None })
    }
}
