//! Two publications compared: who entered, left or moved between them, because of what, and the revenue that went with them. Their memories
//! are read side by side in order of customer; the extracts are not needed.

mod causes;
mod read;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};

use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::manifest::{Commit, PublishedSet};
use crate::publish::SEGMENT_STAYS;
use crate::segments::memory::{Before, Comparer, NamedSet, Names, Reader, Sizes, changes_schema};
use crate::segments::movement::{ComparedSegment, ComparedSet, Comparison, Edition, Incomes, Movement, Rows};
use causes::{Causes, Under};
pub use causes::{Known, Told};
pub use read::Side;
use read::{Customers, IncomeReader, aliases};

/// The digits of amounts in the rows of customers.
const DIGITS: u8 = 38;

/// Takes the rows of customers who have entered, left or moved.
pub type Take<'a> = &'a mut dyn FnMut(&RecordBatch) -> Result<()>;

/// What is compared.
pub struct Question<'a> {
    /// The earlier publication.
    pub from: Side<'a>,
    /// The later one.
    pub to: Side<'a>,
    /// The set, if only one is meant.
    pub set: Option<&'a str>,
    /// What is known of causes.
    pub causes: Known,
}

/// The columns of the rows of customers: those of the table of changes, and what each person spent.
pub fn customers_schema(revenue: Option<&(String, i8)>) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = changes_schema().fields().iter().cloned().collect();
    fields.extend(revenue.map(|(_, scale)| Arc::new(Field::new("revenue", DataType::Decimal128(DIGITS, *scale), true))));
    Arc::new(Schema::new(fields))
}

/// Compares two publications. Rows of customers are given to `take`, in order of customer.
///
/// # Errors
/// [`Error::Project`] for publications that cannot be compared, and a set that there is not; otherwise as reading from the store fails.
pub async fn compare(question: Question<'_>, take: Take<'_>) -> Result<Comparison> {
    let Question { from, to, set, causes } = question;
    [from, to].iter().try_for_each(|side| fit(side.commit))?;
    let sets = &to.commit.segment_sets;
    if let Some(asked) = set.filter(|asked| sets.iter().chain(&from.commit.segment_sets).all(|of| of.name != *asked)) {
        let what = format!("there is no set of segments `{}`", crate::shown::name(asked));
        return Err(Diagnostic::error("unknown-segment", what).did_you_mean(asked, sets.iter().map(|of| of.name.as_str())).into());
    }
    let names = names_of(sets);
    let single: Vec<bool> = sets.iter().map(|of| of.kind != OVERLAPPING).collect();
    let merged = aliases(to).await?;
    let mut before = Before::new(Date32Type::from_naive_date(from.commit.as_of), &merged, std::collections::BTreeSet::new());
    if !merged.is_empty() {
        before.take_ended(&names, &merged, read::memory(from).await?).await?;
    }
    let known = causes;
    let mut causes = Causes::of(&known, (from, to), (&names, &single), &merged).await?;
    let mut under = if let Known::ByDefinition { members, .. } = known { Some(Reader::of_any(members)) } else { None };
    let mut incomes = [IncomeReader::open(from, to.commit).await?, IncomeReader::open(to, to.commit).await?];
    let revenue = to.commit.revenue_column.clone().zip(incomes[1].scale().await?);
    if let (Some((column, scale)), Some(other)) = (&revenue, incomes[0].scale().await?)
        && other != *scale
    {
        causes
            .notes
            .push(format!("`{column}` had other digits after the point as of {}: who is gone has no revenue here", from.commit.as_of));
        incomes[0] = IncomeReader::none();
    }
    if let Some(column) = to.commit.revenue_column.as_ref().filter(|_| revenue.is_none()) {
        causes.notes.push(format!("the publication as of {} does not keep `{column}`, so no revenue is told", to.commit.as_of));
    }
    let mut teller = Teller { names: &names, set, causes: &causes, movement: Movement::new(Some(from.commit.as_of), revenue), take };
    let mut comparer = Comparer::new(&names, &single, Date32Type::from_naive_date(to.commit.as_of), &before);
    let mut earlier = Reader::new(read::memory(from).await?);
    let mut later = Customers::new(Reader::new(read::memory(to).await?));
    while let Some((rows, last)) = later.next().await? {
        let found = comparer.add(&earlier.up_to(&last).await?, &rows)?;
        let incomes = [incomes[0].up_to(Some(&last)).await?, incomes[1].up_to(Some(&last)).await?];
        teller.tell(found, &incomes, under_up_to(&mut under, Some(&last)).await?.as_ref())?;
    }
    while let Some(rest) = earlier.next().await? {
        let found = comparer.add_rest(&rest)?;
        let last = read::last_of(&rest);
        let incomes = [incomes[0].up_to(last.as_deref()).await?, Incomes::default()];
        teller.tell(found, &incomes, under_up_to(&mut under, last.as_deref()).await?.as_ref())?;
    }
    teller.tell(comparer.finish()?, &Default::default(), None)?;
    let (customers, sizes, movement) = (comparer.customers, comparer.sizes, teller.movement);
    Ok(Comparison {
        pipeline: to.commit.pipeline.clone(),
        from: edition(from.commit, customers.before),
        to: edition(to.commit, customers.after),
        sets: compared(sets, &names, &sizes, set),
        merged: merged_of(&before),
        movement,
        causes_known: causes.are_known,
        notes: causes.notes,
    })
}

/// What is left of customers up to one, under the definition of the earlier publication.
async fn under_up_to(rows: &mut Option<Reader>, last: Option<&str>) -> Result<Option<Under>> {
    let (Some(rows), Some(last)) = (rows, last) else { return Ok(None) };
    Ok(Some(Under::of_rows(&rows.up_to(last).await?)?))
}

const OVERLAPPING: &str = "overlapping";

fn edition(commit: &Commit, customers: u64) -> Edition {
    Edition { as_of: commit.as_of, number: (commit.number > 0).then_some(commit.number), customers: Some(customers) }
}

fn merged_of(before: &Before) -> u64 {
    before.ended.values().map(|ended| ended.len() as u64).sum()
}

/// Refuses a publication that does not keep what is compared.
fn fit(commit: &Commit) -> Result<()> {
    let as_of = commit.as_of;
    if commit.state.contains_key(SEGMENT_STAYS) && !commit.segment_sets.is_empty() {
        return Ok(());
    }
    let (what, hint) = if commit.segment_sets.is_empty() && !commit.state.contains_key(SEGMENT_STAYS) {
        (
            format!("the publication as of {as_of} has no segments to compare"),
            "a pipeline with sets of segments and a model `customers` has them",
        )
    } else {
        (
            format!("the publication as of {as_of} does not keep which sets of segments it has, so it cannot be compared"),
            "publish that day again with `--force`: an older Segmill published it",
        )
    };
    Err(Diagnostic::error("not-comparable", what).hint(hint).into())
}

fn names_of(sets: &[PublishedSet]) -> Names {
    Names::new(&sets.iter().map(named).collect::<Vec<_>>())
}

fn named(set: &PublishedSet) -> NamedSet<'_> {
    let segments = set.segments.iter().map(|segment| (segment.name.as_str(), segment.formerly.as_slice())).collect();
    NamedSet { name: &set.name, formerly: &set.formerly, segments }
}

/// The sizes of all segments: those of the later publication in its order, and then those that it does not have any more.
fn compared(sets: &[PublishedSet], names: &Names, sizes: &BTreeMap<u32, Sizes>, asked: Option<&str>) -> Vec<ComparedSet> {
    let is_asked = |name: &str| asked.is_none_or(|asked| asked == name);
    let mut found: Vec<ComparedSet> = Vec::new();
    for (at, set) in sets.iter().enumerate() {
        let segment = |(position, of): (usize, &crate::manifest::PublishedSegment)| {
            let sizes = sizes.get(&names.of_position(at, position)).copied().unwrap_or_default();
            ComparedSegment { segment: of.name.clone(), before: sizes.before, after: sizes.after, is_gone: false }
        };
        let segments = set.segments.iter().enumerate().map(segment).collect();
        found.push(ComparedSet { segment_set: set.name.clone(), kind: set.kind.clone(), segments });
    }
    let mut former: Vec<(&u32, &Sizes)> = sizes.iter().filter(|(number, _)| names.position(**number).is_none()).collect();
    former.sort_by_key(|(number, _)| names.named(**number));
    for (number, sizes) in former {
        let segment_of = names.named(*number);
        let segment = ComparedSegment { segment: segment_of.segment.clone(), before: sizes.before, after: sizes.after, is_gone: true };
        match found.iter_mut().find(|set| set.segment_set == segment_of.set) {
            Some(set) => set.segments.push(segment),
            None => found.push(ComparedSet { segment_set: segment_of.set.clone(), kind: OVERLAPPING.to_owned(), segments: vec![segment] }),
        }
    }
    found.retain(|set| is_asked(&set.segment_set));
    found
}

/// Tells what has changed, with its cause and what the customers spent.
struct Teller<'a> {
    names: &'a Names,
    set: Option<&'a str>,
    causes: &'a Causes,
    movement: Movement,
    take: Take<'a>,
}

impl Teller<'_> {
    fn tell(&mut self, changes: Option<RecordBatch>, incomes: &[Incomes; 2], under: Option<&Under>) -> Result<()> {
        let Some(changes) = changes else { return Ok(()) };
        let changes = match self.set {
            Some(set) => of_set(&changes, set)?,
            None => changes,
        };
        if changes.num_rows() == 0 {
            return Ok(());
        }
        let changes = self.with_causes(&changes, under)?;
        let income = |person: &str| incomes[1].get(person).or_else(|| incomes[0].get(person));
        self.movement.add(&changes, &income)?;
        let with_revenue = self.with_revenue(&changes, &income)?;
        (self.take)(&with_revenue)
    }

    fn with_causes(&self, changes: &RecordBatch, under: Option<&Under>) -> Result<RecordBatch> {
        let rows = Rows::of(changes)?;
        let (mut words, mut details) = (Vec::new(), Vec::new());
        for row in 0..changes.num_rows() {
            let (cause, detail) = self.causes.of_row(self.names, &rows, row, under)?;
            words.push(cause.word());
            details.push(detail);
        }
        let with = |(at, field): (usize, &Arc<Field>)| match field.name().as_str() {
            "cause" => Arc::new(StringArray::from(words.clone())) as ArrayRef,
            "cause_detail" => Arc::new(StringArray::from(details.clone())) as ArrayRef,
            _ => Arc::clone(changes.column(at)),
        };
        let columns = changes.schema().fields().iter().enumerate().map(with).collect();
        RecordBatch::try_new(changes.schema(), columns).map_err(|error| defect(&error))
    }

    fn with_revenue(&self, changes: &RecordBatch, income: &dyn Fn(&str) -> Option<i128>) -> Result<RecordBatch> {
        let Some((_, scale)) = &self.movement.revenue else { return Ok(changes.clone()) };
        let rows = Rows::of(changes)?;
        let spent: Decimal128Array = (0..changes.num_rows()).map(|row| income(rows.person(row))).collect();
        let spent = spent.with_precision_and_scale(DIGITS, *scale).map_err(|error| defect(&error))?;
        let columns = changes.columns().iter().cloned().chain([Arc::new(spent) as ArrayRef]).collect();
        RecordBatch::try_new(customers_schema(self.movement.revenue.as_ref()), columns).map_err(|error| defect(&error))
    }
}

fn of_set(changes: &RecordBatch, set: &str) -> Result<RecordBatch> {
    let sets = Rows::of(changes)?.set;
    let is_meant = (0..sets.len()).map(|row| Some(sets.value(row) == set)).collect();
    arrow::compute::filter_record_batch(changes, &is_meant).map_err(|error| defect(&error))
}

fn defect(error: &arrow::error::ArrowError) -> Error {
    Error::defect(format!("publications were not compared: {error}"))
}
