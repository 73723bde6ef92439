//! What every native step has in common: its inputs, the tables that it makes, and what it found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use chrono::NaiveDate;
use datafusion::error::DataFusionError;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::affinity;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::graph::Step;
use crate::groups;
use crate::identity::Counts;
use crate::likeness;
use crate::predict::Report;
use crate::publish::StateTable;
use crate::segments::movement::Movement;
use crate::segments::{Avoided, CUSTOMER_ID, Look, OldDefinition, SegmentSize, SourceChange};
use crate::traits;

/// A native step.
#[async_trait::async_trait]
pub trait Native: fmt::Debug + Send + Sync {
    /// What it reads and makes.
    fn step(&self) -> Arc<Step>;

    /// Reads its inputs from the engine and the context, and registers the tables that it makes.
    ///
    /// # Errors
    /// DataFusion's own, or around an [`Error`] of the step.
    async fn run(&self, engine: &Engine, context: &mut Context) -> Result<Found, DataFusionError>;
}

/// What a native step may read beside the tables of its signature.
#[derive(Debug, Default)]
pub struct Context {
    /// The predecessor publication, if there is one to build on.
    pub predecessor: Option<Predecessor>,
    /// The ids that have become aliases of others since then, each with the id that stayed, in order.
    pub merged: Vec<(String, String)>,
    /// Customers of today who were a part of another one then.
    pub split: BTreeSet<String>,
    /// How the definition of that publication compares with today's.
    pub old_definition: OldDefinition,
    /// What happened to the rows of each source since that publication; none where it has not been found out.
    pub source_changes: Option<BTreeMap<String, SourceChange>>,
    /// Whether rows are given of which only some columns were written, as in a case: the others are null whatever their declared domain.
    pub has_partial_rows: bool,
    /// Whether it is only asked who would be in which segment: customers whom no rule or two rules match are not refused.
    pub is_only_asked: bool,
    /// Whether a closer look at the rules is taken, as a plan does.
    pub takes_look: bool,
}

/// What a native step found, beside the tables that it made.
pub struct Found {
    /// The rows of the tables that it made.
    pub rows: u64,
    /// What is reported of it.
    pub findings: Findings,
    /// Makes the tables that the next publication needs. It is called after the step's inputs were released, which makes room for them.
    pub state: Option<MakeState>,
}

/// Makes state tables.
pub type MakeState = Box<dyn FnOnce(&Engine) -> Result<Vec<StateTable>> + Send>;

/// What is reported of a native step.
#[derive(Debug)]
pub enum Findings {
    /// How many identifiers, edges and customers there are.
    Identity(Counts),
    /// How look-alikes were found, and how well.
    LookAlikes(Box<likeness::Report>),
    /// What offers are made from, and how good they are.
    Affinity(Box<affinity::Report>),
    /// What a prediction is made with.
    Prediction(Box<Report>),
    /// Which groups customers are in.
    Clusters(Box<groups::Report>),
    /// How many traits of segments there are.
    Traits(traits::Report),
    /// Nothing beside how many rows there are: of sources and customers.
    Rows,
    /// How large the segments are.
    Segments {
        /// The segments, by set, in order of the pipeline file.
        sizes: Vec<SegmentSize>,
        /// How many customers there are.
        customers: u64,
        /// How many changes the memory has avoided, by set in order.
        avoided: Vec<Avoided>,
        /// Who has entered, left or moved since the predecessor publication.
        movement: Movement,
        /// A closer look at the rules, if one was asked for.
        look: Option<Look>,
    },
}

/// What the publication of the nearest earlier day gives to the steps of a run.
pub struct Predecessor {
    /// The day that it is as of.
    pub as_of: NaiveDate,
    /// That day's first moment, in microseconds since 1970.
    pub as_of_micros: i64,
    tables: BTreeMap<String, Rows>,
    /// Those that are read again, as often as there are rows.
    again: BTreeMap<String, Vec<Rows>>,
}

/// The rows of a state table, in their order.
pub type Rows = BoxStream<'static, Result<RecordBatch>>;

impl Predecessor {
    /// A publication without state tables.
    pub fn new(as_of: NaiveDate, as_of_micros: i64) -> Self {
        Predecessor { as_of, as_of_micros, tables: BTreeMap::new(), again: BTreeMap::new() }
    }

    /// Adds a state table.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, rows: Rows) -> Self {
        self.tables.insert(name.into(), rows);
        self
    }

    /// Adds the rows of a state table for another reading.
    #[must_use]
    pub fn with_again(mut self, name: impl Into<String>, rows: Rows) -> Self {
        self.again.entry(name.into()).or_default().push(rows);
        self
    }

    /// Leaves the rows of a state table, in all readings, whose customers are meant.
    pub fn keep(&mut self, name: &str, is_meant: &Arc<dyn Fn(&str) -> bool + Send + Sync>) {
        let kept = |rows: Rows| {
            let is_meant = Arc::clone(is_meant);
            rows.map(move |rows| rows.and_then(|rows| of_customers(&rows, is_meant.as_ref()))).boxed()
        };
        if let Some(rows) = self.tables.remove(name) {
            self.tables.insert(name.to_owned(), kept(rows));
        }
        if let Some(readings) = self.again.remove(name) {
            self.again.insert(name.to_owned(), readings.into_iter().map(kept).collect());
        }
    }

    /// Whether the publication has a state table of a name that was not taken.
    pub fn has(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }

    /// The rows of a state table for another reading.
    pub fn again(&mut self, name: &str) -> Rows {
        self.again.get_mut(name).and_then(Vec::pop).unwrap_or_else(|| futures::stream::empty().boxed())
    }

    /// The rows of a state table, which can be taken once; no rows if the publication has none of that name.
    pub fn take(&mut self, name: &str) -> Rows {
        self.tables.remove(name).unwrap_or_else(|| futures::stream::empty().boxed())
    }
}

impl fmt::Debug for Predecessor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Predecessor").field("as_of", &self.as_of).field("tables", &self.tables.keys()).finish_non_exhaustive()
    }
}

/// The rows of the customers that are meant.
fn of_customers(rows: &RecordBatch, is_meant: &(dyn Fn(&str) -> bool + Send + Sync)) -> Result<RecordBatch> {
    let ids = rows.column_by_name(CUSTOMER_ID).ok_or_else(|| Error::defect("a state table has no customers"))?;
    let kept = cast(ids, &DataType::Utf8).and_then(|ids| {
        let chosen: BooleanArray = ids.as_string::<i32>().iter().map(|id| Some(id.is_some_and(is_meant))).collect();
        filter_record_batch(rows, &chosen)
    });
    kept.map_err(|error| Error::defect(format!("a state table was not read: {error}")))
}

/// What columns mean, as a table of a step has it.
pub(super) fn described(descriptions: &[(&str, &str)]) -> Vec<(String, String)> {
    descriptions.iter().map(|(column, description)| ((*column).to_owned(), (*description).to_owned())).collect()
}

/// An error of a step as the engine carries it.
pub(super) fn outward(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
