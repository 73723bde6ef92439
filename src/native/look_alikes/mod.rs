//! The steps that the pipeline file declares under `look_alikes`: everybody is compared with the customers whom the rules of a segment describe.

mod compared;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;

use self::compared::Compared;
use super::step::{Context, Findings, Found, Native, described, outward};
use crate::config::{LookAlikes, Project};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::graph::{DeclaredKind, Input, LAYERS, Made, Step};
use crate::groups::Scaling;
use crate::likeness::{self, ColumnWeight, Likeness, Reason, Regression, Report, Sample};
use crate::segments::{CUSTOMER_ID, Target, deciding};
use crate::sql;

/// The column that says how like the members a customer is.
pub const SIMILARITY: &str = "similarity";

/// A step that makes the table of look-alikes.
#[derive(Debug)]
pub struct LookAlikesStep {
    step: Arc<Step>,
    name: String,
    columns: compared::Columns,
    target: Target,
    segment_set: String,
    segment: String,
    minimum_members: u64,
}

/// What was found of customers: by customer the similarity and the reason.
struct Scores {
    similarities: Vec<Option<f64>>,
    reasons: Vec<Option<Arc<str>>>,
}

/// The steps of the look-alikes that a pipeline file declares.
pub(super) fn steps(project: &Project) -> impl Iterator<Item = Arc<Step>> {
    project.pipeline.look_alikes.iter().map(|(name, look_alikes)| Arc::new(step_of(project, name, look_alikes)))
}

fn step_of(project: &Project, name: &str, look_alikes: &LookAlikes) -> Step {
    let table = look_alikes.model.value.clone();
    let taken_from = |column: &str, of: &str| (column.to_owned(), table.clone(), of.to_owned());
    // What is known of the columns that are compared, and of those that say who is a member, is known of the similarity.
    let target = &look_alikes.similar_to;
    let set = project.pipeline.segments.get(&target.segment_set.value);
    let rules = set.and_then(|set| deciding(set, &target.segment.value)).unwrap_or_default();
    let read = rules.iter().flat_map(|segment| sql::words(&segment.when.value));
    let compared: Vec<String> = look_alikes.columns.keys().cloned().chain(read).collect();
    let of_compared = [SIMILARITY, "reason"].into_iter().flat_map(|column| compared.iter().map(move |of| (column, of)));
    let taken = std::iter::once(taken_from(CUSTOMER_ID, &look_alikes.customer.value));
    let taken = taken.chain(of_compared.map(|(column, of)| taken_from(column, of))).collect();
    let bounds = vec![(SIMILARITY.to_owned(), 0.0, 1.0)];
    let made = Made {
        name: DeclaredKind::LookAlikes.table(name),
        taken,
        identifiers: Vec::new(),
        bounds,
        schema: schema(),
        descriptions: described(DESCRIPTIONS),
    };
    let input = Input { table: table.clone(), streamed: false, sorted_by: Some(look_alikes.customer.value.clone()) };
    let layer = LAYERS.last().copied();
    Step { name: made.name.clone(), layer, declared: Some(DeclaredKind::LookAlikes), reads: vec![input], makes: vec![made] }
}

/// The columns of look-alikes.
fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CUSTOMER_ID, DataType::Utf8, false),
        Field::new(SIMILARITY, DataType::Float64, true),
        Field::new("reason", DataType::Utf8, true),
    ]))
}

/// What the columns of [`schema`] mean.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("customer_id", "The customer"),
    ("similarity", "How like the members the customer is, 0 to 1; null for members, and for a customer of whom a compared column is null"),
    ("reason", "At most three columns that speak most for it; null where none does"),
];

impl LookAlikesStep {
    /// The step of look-alikes, which have been checked, with the rules of the segment over the columns of their model.
    pub fn new(project: &Project, name: &str, look_alikes: &LookAlikes, target: Target) -> Self {
        LookAlikesStep {
            step: Arc::new(step_of(project, name, look_alikes)),
            name: name.to_owned(),
            columns: compared::Columns::of(look_alikes),
            target,
            segment_set: look_alikes.similar_to.segment_set.value.clone(),
            segment: look_alikes.similar_to.segment.value.clone(),
            minimum_members: look_alikes.minimum_members,
        }
    }

    /// Reads the customers in order.
    async fn read(&self, engine: &Engine) -> Result<Compared, DataFusionError> {
        let (table, customer) = (&self.columns.table, std::slice::from_ref(&self.columns.customer));
        let mut rows = engine.stream_sorted(table, customer).await?;
        let mut compared = Compared::new(&self.columns);
        let memory = engine.reservation();
        while let Some(batch) = rows.try_next().await? {
            let is_member = self.target.describes(&batch).map_err(outward)?;
            compared.add(&batch, &is_member).map_err(outward)?;
            memory.reach(compared.bytes())?;
        }
        compared.verify(&self.name).map_err(outward)?;
        compared.keep(memory);
        Ok(compared)
    }

    /// The table, and what is told of it.
    fn compare(&self, mut compared: Compared, threads: usize) -> Result<(Vec<RecordBatch>, Report)> {
        let scalings = compared.standardise();
        let known: Vec<bool> = compared.known_members();
        let sample = Sample { columns: &compared.values, is_member: &known, folds: &compared.folds };
        let likeness = likeness::fit(&sample, self.minimum_members, threads);
        let scores = likeness.regression.as_ref().map(|regression| self.score(&compared, regression, threads));
        let report = self.report(&compared, &scalings, &likeness);
        let batches = self.batches(&compared.customers, scores.as_ref())?;
        Ok((batches, report))
    }

    /// The similarity and the reason of everybody who is no member and of whom all columns are known.
    fn score(&self, compared: &Compared, regression: &Regression, threads: usize) -> Scores {
        let similarities = regression.similarities(&compared.values, compared.folds.len(), threads);
        let mut written: HashMap<Vec<Reason>, Option<Arc<str>>> = HashMap::new();
        let mut scores = Scores { similarities: Vec::new(), reasons: Vec::new() };
        let mut at = 0;
        for (is_known, is_member) in compared.is_known.iter().zip(&compared.is_member) {
            let is_scored = *is_known && !*is_member;
            scores.similarities.push(is_scored.then(|| similarities[at]));
            let reason = is_scored.then(|| {
                let reasons = regression.reasons(&compared.values, at);
                written.entry(reasons).or_insert_with_key(|reasons| self.columns.written(reasons).map(Arc::from)).clone()
            });
            scores.reasons.push(reason.flatten());
            at += usize::from(*is_known);
        }
        scores
    }

    fn report(&self, compared: &Compared, scalings: &[Scaling], likeness: &Likeness) -> Report {
        let count = |is: &dyn Fn(bool, bool) -> bool| {
            let both = compared.is_known.iter().zip(&compared.is_member);
            both.filter(|(is_known, is_member)| is(**is_known, **is_member)).count() as u64
        };
        let weights = likeness.regression.as_ref().map(|regression| &regression.weights);
        let names = self.columns.compared.iter().zip(scalings).enumerate();
        let columns = names.map(|(at, (column, scaling))| ColumnWeight {
            column: column.name.clone(),
            weight: weights.map(|weights| weights[at]).filter(|_| !scaling.is_constant()),
            is_constant: scaling.is_constant(),
        });
        let is_fitted = likeness.regression.is_some();
        Report {
            look_alikes: self.name.clone(),
            segment_set: self.segment_set.clone(),
            segment: self.segment.clone(),
            state: likeness.state,
            customers: compared.is_known.len() as u64,
            members: count(&|_, is_member| is_member),
            known_members: count(&|is_known, is_member| is_known && is_member),
            scored: if is_fitted { count(&|is_known, is_member| is_known && !is_member) } else { 0 },
            unknown: count(&|is_known, is_member| !is_known && !is_member),
            columns: columns.collect(),
            evaluation: likeness.evaluation,
        }
    }

    fn batches(&self, customers: &[StringArray], scores: Option<&Scores>) -> Result<Vec<RecordBatch>> {
        let schema = &self.step.makes[0].schema;
        let mut from = 0;
        let batch = |ids: &StringArray| {
            let rows = from..from + ids.len();
            from = rows.end;
            let (similarities, reasons): (Float64Array, StringArray) = match scores {
                Some(scores) => {
                    (scores.similarities[rows.clone()].iter().collect(), scores.reasons[rows].iter().map(Option::as_deref).collect())
                }
                None => (Float64Array::new_null(ids.len()), StringArray::new_null(ids.len())),
            };
            let columns: Vec<ArrayRef> = vec![Arc::new(ids.clone()), Arc::new(similarities), Arc::new(reasons)];
            RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| Error::defect(error.to_string()))
        };
        customers.iter().map(batch).collect()
    }
}

#[async_trait]
impl Native for LookAlikesStep {
    fn step(&self) -> Arc<Step> {
        Arc::clone(&self.step)
    }

    async fn run(&self, engine: &Engine, _: &mut Context) -> Result<Found, DataFusionError> {
        let compared = self.read(engine).await?;
        let (batches, report) = self.compare(compared, engine.threads()).map_err(outward)?;
        let made = &self.step.makes[0];
        let rows = engine.register_each(&made.name, Arc::clone(&made.schema), batches.into_iter().map(Ok)).map_err(outward)?;
        engine.declare_key(&made.name, vec![CUSTOMER_ID.to_owned()]);
        Ok(Found { rows, findings: Findings::LookAlikes(Box::new(report)), state: None })
    }
}
