//! The traits step: how the members of every segment differ from everybody, in every column of the profile that may be told.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

use super::step::{Context, Findings, Found, Native, outward};
use crate::engine::{Engine, parallel};
use crate::error::{Error, Result};
use crate::graph::{MEMBERSHIP, NativeInput, NativeTable, PROFILE, Signature, Step, TRAITS};
use crate::segments::CUSTOMER_ID;
use crate::traits::{ColumnKind, ColumnTally, Difference, Discretion, Report, RowGroups, Tally, Trait};

/// What the step reads and makes.
pub static SIGNATURE: Signature = Signature {
    name: TRAITS,
    layer: None,
    reads: &[
        NativeInput { table: PROFILE, streamed: false, sorted_by: Some(CUSTOMER_ID) },
        NativeInput { table: MEMBERSHIP, streamed: false, sorted_by: None },
    ],
    makes: &[NativeTable { name: TRAITS, schema, identifiers: &[], taken: &[], descriptions: DESCRIPTIONS }],
};

/// The columns that tell which customer is in which segment.
const SEGMENT_SET: &str = "segment_set";
const SEGMENT: &str = "segment";
/// Batches of the profile that are counted at once for each thread.
const BATCHES_PER_THREAD: usize = 4;

/// The columns of the traits.
pub fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let count = |name: &str| Field::new(name, DataType::Int64, false);
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    Arc::new(Schema::new(vec![
        text(SEGMENT_SET),
        text(SEGMENT),
        count("rank"),
        text("column_name"),
        text("kind"),
        Field::new("value", DataType::Utf8, true),
        Field::new("is_in_rule", DataType::Boolean, false),
        count("members"),
        count("members_known"),
        number("mean"),
        number("everybody_mean"),
        number("share"),
        number("everybody_share"),
        number("lift"),
        Field::new("standardised_difference", DataType::Float64, false),
        text("description"),
    ]))
}

/// What the columns of [`schema`] mean.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("segment_set", "The set"),
    ("segment", "The segment"),
    ("rank", "From 1 on within the segment, the strongest trait first"),
    ("column_name", "The column of the profile"),
    ("kind", "`number`, `boolean` or `category`"),
    ("value", "The text that is meant, of a `category`"),
    ("is_in_rule", "Whether the column decides who is in the segment"),
    ("members", "The members of the segment"),
    ("members_known", "Those of them of whom the column is known, that is, not null; means and shares are of these"),
    ("mean", "Of a `number`: the mean of the members"),
    ("everybody_mean", "The mean of all customers"),
    ("share", "Of a `boolean`: the share of the members for whom it is true; of a `category`: of those who have the value; 0 to 1"),
    ("everybody_share", "The same share of all customers"),
    ("lift", "How many times as often members have the value as everybody"),
    ("standardised_difference", "The strength of the trait; below 0 if the mean or the share is lower than everybody's"),
    ("description", "The trait in words"),
];

/// A segment whose members are compared with everybody.
#[derive(Debug)]
pub struct DescribedSegment {
    /// Its set.
    pub segment_set: String,
    /// Its name.
    pub segment: String,
    /// The columns of the profile that decide who is in it.
    pub columns_in_rule: BTreeSet<String>,
}

/// The traits step with the segments and the columns of a project.
#[derive(Debug)]
pub struct TraitsStep {
    segments: Vec<DescribedSegment>,
    columns: Vec<(String, ColumnKind)>,
    discretion: Discretion,
}

impl TraitsStep {
    /// The step with segments in the order in which they are told, and columns that are none of them personal.
    pub fn new(segments: Vec<DescribedSegment>, columns: Vec<(String, ColumnKind)>, discretion: Discretion) -> Self {
        TraitsStep { segments, columns, discretion }
    }

    /// Counts all customers, in order of customer, so that sums are the same in every run. Threads divide the columns, and no sum.
    async fn count(&self, engine: &Engine) -> Result<Tally, DataFusionError> {
        let some: Vec<&str> = std::iter::once(CUSTOMER_ID).chain(self.columns.iter().map(|(name, _)| name.as_str())).collect();
        let by_customer = [CUSTOMER_ID.to_owned()];
        let profile = engine.stream_some_sorted(PROFILE, &by_customer, &some).await?;
        let mut profile = profile.try_chunks(engine.threads() * BATCHES_PER_THREAD);
        let mut members = Members::of(engine, &self.segments).await?;
        let kinds: Vec<ColumnKind> = self.columns.iter().map(|(_, kind)| *kind).collect();
        let (mut tally, memory) = (Tally::new(self.segments.len(), &kinds), engine.reservation());
        while let Some(batches) = profile.try_next().await.map_err(|error| error.1)? {
            let mut counted = Vec::with_capacity(batches.len());
            for batch in batches {
                let rows = members.of_rows(&batch).await?;
                tally.count(&rows);
                counted.push((batch, rows));
            }
            let mut columns: Vec<(usize, &mut ColumnTally)> = tally.columns.iter_mut().enumerate().collect();
            let added = parallel(&mut columns, engine.threads(), |(at, column)| {
                counted.iter().try_for_each(|(batch, rows)| add(column, batch.column(*at + 1), rows))
            });
            added.into_iter().collect::<Result<(), ArrowError>>()?;
            memory.reach(tally.bytes())?;
        }
        Ok(tally)
    }

    /// A batch of the table.
    fn batch(&self, traits: &[Trait]) -> Result<RecordBatch> {
        let segment = |found: &Trait| &self.segments[usize::from(found.group)];
        let name = |found: &Trait| self.columns[found.column].0.as_str();
        let texts = |of: &dyn Fn(&Trait) -> String| Arc::new(StringArray::from_iter_values(traits.iter().map(of))) as ArrayRef;
        let counts = |of: &dyn Fn(&Trait) -> u64| {
            Arc::new(traits.iter().map(|found| i64::try_from(of(found)).ok()).collect::<Int64Array>()) as ArrayRef
        };
        let numbers = |of: &dyn Fn(&Difference) -> Option<f64>| {
            Arc::new(traits.iter().map(|found| of(&found.difference)).collect::<Float64Array>()) as ArrayRef
        };
        let in_rule = traits.iter().map(|found| Some(segment(found).columns_in_rule.contains(name(found))));
        let strengths = traits.iter().map(|found| found.standardised_difference);
        let columns = vec![
            texts(&|found| segment(found).segment_set.clone()),
            texts(&|found| segment(found).segment.clone()),
            counts(&|found| u64::from(found.rank)),
            texts(&|found| name(found).to_owned()),
            texts(&|found| self.kind(found).to_owned()),
            Arc::new(traits.iter().map(|found| value(&found.difference)).collect::<StringArray>()),
            Arc::new(in_rule.collect::<BooleanArray>()),
            counts(&|found| found.members),
            counts(&|found| found.members_known),
            numbers(&|difference| if let Difference::Mean { of_group, .. } = difference { Some(*of_group) } else { None }),
            numbers(&|difference| if let Difference::Mean { of_everybody, .. } = difference { Some(*of_everybody) } else { None }),
            numbers(&|difference| if let Difference::Share { of_group, .. } = difference { Some(*of_group) } else { None }),
            numbers(&|difference| if let Difference::Share { of_everybody, .. } = difference { Some(*of_everybody) } else { None }),
            numbers(&|difference| if let Difference::Share { lift, .. } = difference { Some(*lift) } else { None }),
            Arc::new(Float64Array::from_iter_values(strengths)),
            texts(&|found| found.description(name(found))),
        ];
        RecordBatch::try_new(schema(), columns).map_err(|error| Error::defect(format!("traits made no table: {error}")))
    }

    fn kind(&self, found: &Trait) -> &'static str {
        match self.columns[found.column].1 {
            ColumnKind::Number => "number",
            ColumnKind::Flag => "boolean",
            ColumnKind::Category => "category",
        }
    }

    fn report(&self, tally: &Tally, traits: u64) -> Report {
        let (told, others): (Vec<u16>, Vec<u16>) = tally.groups().partition(|segment| tally.is_told(*segment, &self.discretion));
        let has_members = |segment: &&u16| tally.members()[usize::from(**segment)] > 0;
        Report {
            segments: told.len() as u64,
            segments_too_small: others.iter().filter(has_members).count() as u64,
            traits,
            columns_with_too_many_values: tally.columns_with_too_many_values().map(|at| self.columns[at].0.clone()).collect(),
        }
    }
}

fn value(difference: &Difference) -> Option<&str> {
    match difference {
        Difference::Share { value, .. } => value.as_deref(),
        Difference::Mean { .. } => None,
    }
}

/// Adds the values of a column of some rows.
fn add(column: &mut ColumnTally, values: &ArrayRef, rows: &RowGroups) -> Result<(), ArrowError> {
    match column {
        ColumnTally::Number(numbers) => {
            let values = cast(values, &DataType::Float64)?;
            values.as_primitive::<Float64Type>().iter().zip(rows.rows()).for_each(|(number, groups)| numbers.add(number, groups));
        }
        ColumnTally::Flag(flags) => {
            values.as_boolean().iter().zip(rows.rows()).for_each(|(flag, groups)| flags.add(flag, groups));
        }
        ColumnTally::Category(categories) => {
            let values = cast(values, &DataType::Utf8View)?;
            values.as_string_view().iter().zip(rows.rows()).for_each(|(text, groups)| categories.add(text, groups));
        }
    }
    Ok(())
}

/// The memberships in order of customer, as they are read beside the profile.
struct Members {
    rows: SendableRecordBatchStream,
    /// By set, the numbers of its segments.
    numbers: HashMap<String, HashMap<String, u16>>,
    /// The customer, the set and the segment of the rows at hand, and the row that is next.
    at_hand: Option<[StringArray; 3]>,
    next: usize,
}

impl Members {
    async fn of(engine: &Engine, segments: &[DescribedSegment]) -> Result<Self, DataFusionError> {
        let rows = engine.stream_some_sorted(MEMBERSHIP, &[CUSTOMER_ID.to_owned()], &[CUSTOMER_ID, SEGMENT_SET, SEGMENT]).await?;
        let mut numbers: HashMap<String, HashMap<String, u16>> = HashMap::new();
        for (number, segment) in (0..=u16::MAX).zip(segments) {
            numbers.entry(segment.segment_set.clone()).or_default().insert(segment.segment.clone(), number);
        }
        Ok(Members { rows, numbers, at_hand: None, next: 0 })
    }

    /// The segments of the customers of some rows of the profile, which come in order.
    async fn of_rows(&mut self, profile: &RecordBatch) -> Result<RowGroups, DataFusionError> {
        let ids = texts(profile.column(0))?;
        let (mut found, mut groups) = (RowGroups::default(), Vec::new());
        for id in &ids {
            groups.clear();
            if let Some(id) = id {
                self.of_customer(id, &mut groups).await?;
            }
            found.push(groups.iter().copied());
        }
        Ok(found)
    }

    /// Adds the segments of a customer. Memberships of customers before it are passed over, since the profile does not have those.
    async fn of_customer(&mut self, id: &str, groups: &mut Vec<u16>) -> Result<(), DataFusionError> {
        loop {
            let Some([customers, sets, segments]) = self.at_hand.as_ref().filter(|[customers, ..]| self.next < customers.len()) else {
                let Some(rows) = self.rows.try_next().await? else { return Ok(()) };
                self.at_hand = Some([texts(rows.column(0))?, texts(rows.column(1))?, texts(rows.column(2))?]);
                self.next = 0;
                continue;
            };
            match customers.value(self.next).cmp(id) {
                Ordering::Greater => return Ok(()),
                Ordering::Less => {}
                Ordering::Equal => {
                    let number = self.numbers.get(sets.value(self.next)).and_then(|of_set| of_set.get(segments.value(self.next)));
                    groups.extend(number.filter(|number| !groups.contains(number)).copied());
                }
            }
            self.next += 1;
        }
    }
}

fn texts(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

#[async_trait]
impl Native for TraitsStep {
    fn step(&self) -> Arc<Step> {
        Step::of(&SIGNATURE)
    }

    async fn run(&self, engine: &Engine, _: &mut Context) -> Result<Found, DataFusionError> {
        let tally = self.count(engine).await?;
        let of_segments = tally.groups().map(|segment| tally.traits_of(segment, &self.discretion));
        let batches = of_segments.filter(|traits| !traits.is_empty()).map(|traits| self.batch(&traits));
        let rows = engine.register_each(TRAITS, schema(), batches).map_err(outward)?;
        engine.declare_key(TRAITS, [SEGMENT_SET, SEGMENT, "rank"].map(str::to_owned).to_vec());
        Ok(Found { rows, findings: Findings::Traits(self.report(&tally, rows)), state: None })
    }
}
