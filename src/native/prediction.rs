//! The steps that the pipeline file declares under `predictions`: a model of purchases is fitted to the histories of all customers, and
//! predicts what each of them will buy and is worth.

mod histories;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;

use self::histories::Histories;
use super::step::{Context, Findings, Found, Native, described, outward};
use crate::config::{Prediction, Project, PurchaseModel};
use crate::engine::{Engine, parallel};
use crate::error::{Error, Result};
use crate::graph::{DeclaredKind, Input, LAYERS, Made, Step};
use crate::predict::{self, Churn, Groups, Horizons, Outlook, PurchaseReport, Report, SpendReport};
use crate::segments::CUSTOMER_ID;

/// The column with the chance that a customer has not left.
pub const P_ALIVE: &str = "p_alive";

/// How many groups of customers a thread predicts at once.
const GROUPS_AT_ONCE: usize = 1024;

/// A step that makes the table of a prediction.
#[derive(Debug)]
pub struct PredictionStep {
    step: Arc<Step>,
    name: String,
    columns: histories::Columns,
    churn: Churn,
    minimum_repeat_buyers: u64,
    horizons: Horizons,
    has_lifetime: bool,
    holdout_days: Option<u32>,
}

/// The steps of the predictions that a pipeline file declares.
pub(super) fn steps(project: &Project) -> impl Iterator<Item = Arc<Step>> {
    project.pipeline.predictions.iter().map(|(name, prediction)| Arc::new(step_of(name, prediction)))
}

fn step_of(name: &str, prediction: &Prediction) -> Step {
    let (table, schema) = (prediction.model.value.clone(), schema_of(prediction));
    // What is known of a customer's purchases is known of the prediction.
    let (customer, others): (Vec<_>, Vec<_>) = prediction.columns.named().partition(|(role, _)| *role == "customer");
    let taken = schema.fields().iter().flat_map(|field| {
        let from = if field.name() == CUSTOMER_ID { &customer } else { &others };
        from.iter().map(|(_, column)| (field.name().clone(), table.clone(), column.value.clone()))
    });
    let made = Made {
        name: DeclaredKind::Prediction.table(name),
        taken: taken.collect(),
        identifiers: Vec::new(),
        bounds: bounds_of(&schema),
        descriptions: descriptions_of(prediction),
        schema,
    };
    let input = Input { table, streamed: false, sorted_by: Some(prediction.columns.customer.value.clone()) };
    let layer = LAYERS.last().copied();
    Step { name: made.name.clone(), layer, declared: Some(DeclaredKind::Prediction), reads: vec![input], makes: vec![made] }
}

/// The columns of a prediction.
fn schema_of(prediction: &Prediction) -> SchemaRef {
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    let mut fields = vec![Field::new(CUSTOMER_ID, DataType::Utf8, false), number(P_ALIVE)];
    fields.extend(prediction.horizons().iter().map(|days| number(&format!("expected_orders_{days}d"))));
    if prediction.columns.average_order_value.is_some() {
        fields.push(number("expected_average_order_value"));
    }
    if prediction.lifetime.is_some() {
        fields.push(number("lifetime_value"));
        fields.push(Field::new("lifetime_value_decile", DataType::Int64, true));
        fields.push(number("lifetime_value_share"));
    }
    Arc::new(Schema::new(fields))
}

/// What the columns of a prediction mean.
fn descriptions_of(prediction: &Prediction) -> Vec<(String, String)> {
    let days = prediction.lifetime.map_or(0, |lifetime| lifetime.days);
    let always = described(&[
        (CUSTOMER_ID, "The customer"),
        (P_ALIVE, "The probability that the customer has not left, 0 to 1; null if churn is not identified"),
        ("expected_average_order_value", "The expected value of an order"),
        ("lifetime_value_decile", "In which tenth of the customers the lifetime value is, from 1 to 10, the most valuable"),
        ("lifetime_value_share", "The customer's share of all lifetime value, 0 to 1"),
    ]);
    let lifetime = format!("The expected value of all orders in the next {days} days, each discounted to the end of observation");
    let horizons = prediction.horizons().into_iter().map(|days| {
        let meaning = format!("The purchases that are expected in the {days} days after the end of observation");
        (format!("expected_orders_{days}d"), meaning)
    });
    always.into_iter().chain([("lifetime_value".to_owned(), lifetime)]).chain(horizons).collect()
}

/// Between which numbers its columns are.
fn bounds_of(schema: &Schema) -> Vec<(String, f64, f64)> {
    let numbers = schema.fields().iter().filter(|field| field.data_type().is_numeric()).map(|field| field.name().clone());
    let between = |name: String| match name.as_str() {
        P_ALIVE | "lifetime_value_share" => (name, 0.0, 1.0),
        "lifetime_value_decile" => (name, 1.0, 10.0),
        _ => (name, 0.0, f64::INFINITY),
    };
    numbers.map(between).collect()
}

impl PredictionStep {
    /// The step of a prediction, which has been checked.
    pub fn new(name: &str, prediction: &Prediction) -> Self {
        let lifetime = prediction.lifetime;
        let days = prediction.horizons().into_iter().map(f64::from).collect();
        PredictionStep {
            step: Arc::new(step_of(name, prediction)),
            name: name.to_owned(),
            columns: histories::Columns::of(prediction),
            churn: match prediction.purchase_model {
                PurchaseModel::BgNbd => Churn::BgNbd,
                PurchaseModel::MbgNbd => Churn::MbgNbd,
            },
            minimum_repeat_buyers: prediction.minimum_repeat_buyers,
            horizons: Horizons {
                days,
                lifetime_days: lifetime.map_or(1.0, |lifetime| f64::from(lifetime.days)),
                yearly_discount: lifetime.map_or(0.0, |lifetime| lifetime.yearly_discount),
            },
            has_lifetime: lifetime.is_some(),
            holdout_days: prediction.holdout_days.as_ref().map(|days| days.value),
        }
    }

    /// Reads the histories in order of customer.
    async fn read(&self, engine: &Engine, has_partial_rows: bool) -> Result<Histories, DataFusionError> {
        let table = &self.columns.table;
        let mut rows = engine.stream_sorted(table, std::slice::from_ref(&self.columns.customer)).await?;
        let mut histories = Histories::new(&self.columns, self.holdout_days, has_partial_rows);
        let memory = engine.reservation();
        while let Some(batch) = rows.try_next().await? {
            histories.add(&batch).map_err(outward)?;
            memory.reach(histories.bytes())?;
        }
        histories.verify(&self.name).map_err(outward)?;
        histories.keep(memory);
        Ok(histories)
    }

    /// What is expected of every group.
    fn outlooks(&self, groups: &Groups, purchases: &predict::Purchases, threads: usize) -> Vec<Outlook> {
        let mut parts: Vec<(usize, &[predict::Group])> = groups.groups.chunks(GROUPS_AT_ONCE).enumerate().collect();
        let mut done = parallel(&mut parts, threads, |(at, groups)| {
            let outlooks = groups.iter().map(|group| purchases.outlook(&group.history, &self.horizons));
            (*at, outlooks.collect::<Vec<_>>())
        });
        done.sort_unstable_by_key(|(at, _)| *at);
        done.into_iter().flat_map(|(_, outlooks)| outlooks).collect()
    }

    /// The table, and what is told of it.
    fn predict(&self, histories: &Histories, threads: usize) -> Result<(Vec<RecordBatch>, Report)> {
        let groups = Groups::of(&histories.purchases);
        let fit = predict::fit(&groups, self.churn, self.minimum_repeat_buyers);
        let outlooks = self.outlooks(&groups, &fit.used, threads);
        let spend = self.columns.average.is_some().then(|| {
            let spenders: Vec<predict::Spender> = histories.spenders.iter().flatten().copied().collect();
            predict::fit_spend(&spenders, self.minimum_repeat_buyers)
        });
        let of = |at: usize| &outlooks[groups.of[at] as usize];
        let count = groups.of.len();
        let mut columns: Vec<ArrayRef> = vec![numbers((0..count).map(|at| of(at).alive))];
        for horizon in 0..self.horizons.days.len() {
            columns.push(numbers((0..count).map(|at| of(at).expected.as_ref().map(|expected| expected[horizon]))));
        }
        if let Some(spend) = &spend {
            let values: Vec<Option<f64>> = histories.spenders.iter().map(|spender| spend.used.expected(*spender)).collect();
            columns.push(numbers(values.iter().copied()));
            if self.has_lifetime {
                let worth: Vec<Option<f64>> = (0..count).map(|at| Some(of(at).discounted? * values[at]?)).collect();
                columns.extend(lifetime(&worth));
            }
        }
        let calibration = histories.watched.as_ref().zip(self.holdout_days);
        let calibration = calibration.map(|(watched, days)| predict::calibrate(watched, self.churn, self.minimum_repeat_buyers, days));
        let report = Report {
            prediction: self.name.clone(),
            customers: count as u64,
            repeat_buyers: groups.repeat_buyers(),
            purchases: PurchaseReport::of(fit, self.churn),
            spend: spend.map(SpendReport::of),
            calibration,
            segments_without_churn: Vec::new(),
        };
        Ok((self.batches(&histories.customers, &columns)?, report))
    }

    fn batches(&self, customers: &[StringArray], columns: &[ArrayRef]) -> Result<Vec<RecordBatch>> {
        let schema = &self.step.makes[0].schema;
        let mut from = 0;
        let batch = |ids: &StringArray| {
            let rows = ids.len();
            let slices = columns.iter().map(|column| column.slice(from, rows));
            let all = std::iter::once(Arc::new(ids.clone()) as ArrayRef).chain(slices).collect();
            from += rows;
            RecordBatch::try_new(Arc::clone(schema), all).map_err(|error| Error::defect(error.to_string()))
        };
        customers.iter().map(batch).collect()
    }
}

fn numbers(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

/// The columns of the lifetime value, its tenth and its share.
fn lifetime(worth: &[Option<f64>]) -> [ArrayRef; 3] {
    let known: Vec<f64> = worth.iter().flatten().copied().collect();
    let total: f64 = known.iter().sum();
    let mut tenths = predict::deciles(&known).into_iter();
    let tenths: Int64Array = worth.iter().map(|worth| worth.and_then(|_| tenths.next()).map(i64::from)).collect();
    let shares = worth.iter().map(|worth| worth.filter(|_| total > 0.0).map(|worth| worth / total));
    [numbers(worth.iter().copied()), Arc::new(tenths), numbers(shares)]
}

#[async_trait]
impl Native for PredictionStep {
    fn step(&self) -> Arc<Step> {
        Arc::clone(&self.step)
    }

    async fn run(&self, engine: &Engine, context: &mut Context) -> Result<Found, DataFusionError> {
        let histories = self.read(engine, context.has_partial_rows).await?;
        let (batches, report) = self.predict(&histories, engine.threads()).map_err(outward)?;
        drop(histories);
        let made = &self.step.makes[0];
        let rows = engine.register_each(&made.name, Arc::clone(&made.schema), batches.into_iter().map(Ok)).map_err(outward)?;
        engine.declare_key(&made.name, vec![CUSTOMER_ID.to_owned()]);
        Ok(Found { rows, findings: Findings::Prediction(Box::new(report)), state: None })
    }
}
