//! The causes of changes between two publications: the first, in the order of causes, of those that the changes of the days between tell of
//! the person in the set.

use std::collections::HashMap;

use arrow::array::{Array, RecordBatch, StringArray};
use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::read::Side;
use crate::error::Result;
use crate::manifest::{Base, Commit, DataFile};
use crate::publish;
use crate::segments::CUSTOMER_ID;
use crate::segments::memory::{Cause, Names, changes_schema};
use crate::segments::movement::Rows;

/// Why causes are not known: the later publication is not built on the earlier one, or a day between does not publish its changes.
const CHAIN: &str = "chain";
const NO_CHANGES: &str = "no_changes";

/// A cause, with what is told of it.
pub type Told = (Cause, Option<String>);

/// What is known of causes before publications are read.
pub enum Known {
    /// The changes of the days between tell them.
    Published,
    /// All that is not a matter of identities has one cause.
    All(Told),
    /// It is known who would be in which segment on the data of the later publication by the definition of the earlier one. Where that is not
    /// what the later one says, it is a matter of the definition.
    ByDefinition {
        /// The memberships under the definition of the earlier publication, in order of customer.
        members: BoxStream<'static, Result<RecordBatch>>,
        /// What differs between the definitions.
        detail: String,
        /// The cause of the rest.
        rest: Told,
    },
}

/// The causes of changes.
pub struct Causes {
    /// The cause of all but identities and definitions, where it is known without the days between.
    all: Option<Told>,
    /// The cause of what differs under the definition of the earlier publication.
    by_definition: Told,
    steps: Vec<Step>,
    details: Vec<String>,
    /// By set: whether a customer is in one of its segments at most.
    single: Vec<bool>,
    /// Whether the days between tell all causes.
    pub are_known: bool,
    /// Why they do not, in a word.
    reason: Option<&'static str>,
    /// What somebody should know of them.
    pub notes: Vec<String>,
}

/// What a day tells of a person in a set, or in a segment of an overlapping one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    place: u32,
    person: String,
    rank: u8,
    detail: Option<u32>,
}

impl Causes {
    /// The causes that the publications from one to another tell.
    pub async fn of(
        known: &Known,
        (from, to): (Side<'_>, Side<'_>),
        (names, single): (&Names, &[bool]),
        merged: &[(String, String)],
    ) -> Result<Self> {
        let mut causes = Causes {
            all: None,
            by_definition: (Cause::Definition, None),
            steps: Vec::new(),
            details: Vec::new(),
            single: single.to_vec(),
            are_known: true,
            reason: None,
            notes: Vec::new(),
        };
        match known {
            Known::Published => {}
            Known::All(told) => causes.all = Some(told.clone()),
            Known::ByDefinition { detail, rest, .. } => {
                causes.all = Some(rest.clone());
                causes.by_definition.1 = Some(detail.clone()).filter(|detail| !detail.is_empty());
            }
        }
        if causes.all.is_some() {
            return Ok(causes);
        }
        let between = match days_between(from, to).await? {
            Ok(between) => between,
            Err(why) => {
                causes.give_up(&why, CHAIN);
                return Ok(causes);
            }
        };
        let into: HashMap<&str, &str> = merged.iter().map(|(alias, id)| (alias.as_str(), id.as_str())).collect();
        let mut numbers: HashMap<String, u32> = HashMap::new();
        for commit in &between {
            let Some(file) = changes_of(commit) else {
                causes.give_up(&format!("the publication as of {} has no table of changes", commit.as_of), NO_CHANGES);
                return Ok(causes);
            };
            let mut rows = to.seen.rows_of(commit, file, None).await?;
            while let Some(rows) = rows.try_next().await? {
                causes.add(names, &as_changes(&rows)?, &into, &mut numbers)?;
            }
        }
        causes.steps.sort_unstable();
        Ok(causes)
    }

    fn give_up(&mut self, why: &str, reason: &'static str) {
        self.notes.push(format!("{why}: causes are not known, but for those of identities"));
        self.steps.clear();
        self.are_known = false;
        self.reason = Some(reason);
    }

    fn add(&mut self, names: &Names, changes: &RecordBatch, into: &HashMap<&str, &str>, numbers: &mut HashMap<String, u32>) -> Result<()> {
        let rows = Rows::of(changes)?;
        for row in 0..changes.num_rows() {
            let cause = rows.cause.is_valid(row).then(|| Cause::of_word(rows.cause.value(row))).flatten();
            let detail = rows.detail.is_valid(row).then(|| {
                let text = rows.detail.value(row);
                *numbers.entry(text.to_owned()).or_insert_with(|| {
                    self.details.push(text.to_owned());
                    u32::try_from(self.details.len() - 1).unwrap_or(u32::MAX)
                })
            });
            let person = rows.person(row);
            let person = into.get(person).copied().unwrap_or(person).to_owned();
            for segment in [rows.from, rows.to].into_iter().filter(|segment| segment.is_valid(row)) {
                let place = self.place(names, rows.set.value(row), segment.value(row))?;
                self.steps.push(Step { place, person: person.clone(), rank: rank(cause.unwrap_or(Cause::Undetermined)), detail });
                if place >= SETS {
                    // One place for all segments of the set.
                    break;
                }
            }
        }
        Ok(())
    }

    /// The number of a segment, or of its whole set where a customer is in one of its segments at most.
    fn place(&self, names: &Names, set: &str, segment: &str) -> Result<u32> {
        let number = names.number(set, segment)?;
        let single = names.named(number).set_at.filter(|at| self.single[*at]);
        Ok(single.map_or(number, |at| SETS + u32::try_from(at).unwrap_or_default()))
    }

    /// The cause of a change. `under` has who would be in which segment under the definition of the earlier publication, if that is known.
    ///
    /// # Errors
    /// When there are too many segments that the project does not have.
    pub fn of_row(&self, names: &Names, rows: &Rows<'_>, row: usize, under: Option<&Under>) -> Result<Told> {
        if rows.event.is_valid(row) {
            return Ok((Cause::Identity, None));
        }
        if let Some(under) = under
            && self.differs(names, rows, row, under)?
        {
            return Ok(self.by_definition.clone());
        }
        if let Some(all) = &self.all {
            return Ok(all.clone());
        }
        let segment = if rows.to.is_valid(row) { rows.to } else { rows.from };
        let place = self.place(names, rows.set.value(row), segment.value(row))?;
        let key = (place, rows.person(row));
        let start = self.steps.partition_point(|step| (step.place, step.person.as_str()) < key);
        let own = self.steps[start..].iter().take_while(|step| (step.place, step.person.as_str()) == key);
        let Some(first) = self.steps.get(start).filter(|step| (step.place, step.person.as_str()) == key) else {
            return Ok((Cause::Undetermined, self.reason.map(str::to_owned)));
        };
        let cause = CAUSES[usize::from(first.rank)];
        let mut details: Vec<&str> = own
            .filter(|step| step.rank == first.rank)
            .filter_map(|step| self.details.get(step.detail? as usize))
            .map(String::as_str)
            .collect();
        details.sort_unstable();
        details.dedup();
        if let [one] = details[..] {
            return Ok((cause, Some(one.to_owned())));
        }
        let parts: std::collections::BTreeSet<&str> = details.iter().flat_map(|detail| detail.split(", ")).collect();
        let detail = if cause == Cause::Undetermined { details.join("; ") } else { parts.into_iter().collect::<Vec<_>>().join(", ") };
        Ok((cause, (!detail.is_empty()).then_some(detail)))
    }
}

impl Causes {
    /// Whether the person of a row would be in other segments of the set, or not in the same one of an overlapping set, under the definition of
    /// the earlier publication.
    fn differs(&self, names: &Names, rows: &Rows<'_>, row: usize, under: &Under) -> Result<bool> {
        let number = |segment: &StringArray| -> Result<Option<u32>> {
            if segment.is_null(row) { Ok(None) } else { names.number(rows.set.value(row), segment.value(row)).map(Some) }
        };
        let (from, to) = (number(rows.from)?, number(rows.to)?);
        let Some(meant) = to.or(from) else { return Ok(false) };
        let mut members = Vec::new();
        for (set, segment) in under.of(rows.person(row)) {
            members.push(names.number(set, segment)?);
        }
        Ok(match names.named(meant).set_at.filter(|at| self.single[*at]) {
            Some(at) => members.into_iter().filter(|number| names.is_of(*number, at)).collect::<Vec<_>>() != Vec::from_iter(to),
            None => members.contains(&meant) != to.is_some(),
        })
    }
}

/// Who would be in which segment under another definition, of some customers.
pub struct Under {
    columns: Option<[StringArray; 3]>,
}

impl Under {
    /// Rows with the columns of memberships, in order of customer.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] for others.
    pub fn of_rows(rows: &RecordBatch) -> Result<Self> {
        if rows.num_rows() == 0 {
            return Ok(Under { columns: None });
        }
        let column = |name: &str| super::read::texts(rows, name);
        Ok(Under { columns: Some([column(CUSTOMER_ID)?, column("segment_set")?, column("segment")?]) })
    }

    /// The sets and segments of a customer.
    fn of<'u>(&'u self, id: &str) -> impl Iterator<Item = (&'u str, &'u str)> {
        let found = self.columns.iter().flat_map(move |[ids, sets, segments]| {
            let position = |is_before: &dyn Fn(&str) -> bool| {
                let (mut low, mut high) = (0, ids.len());
                while low < high {
                    let middle = low.midpoint(high);
                    if is_before(ids.value(middle)) { low = middle + 1 } else { high = middle }
                }
                low
            };
            let rows = position(&|other| other < id)..position(&|other| other <= id);
            rows.map(move |row| (sets.value(row), segments.value(row)))
        });
        found.collect::<Vec<_>>().into_iter()
    }
}

/// Places from here on are sets.
const SETS: u32 = 1 << 31;

/// The causes in the order in which one of several is told. A step of which the cause is not known may have been any but one of identities.
const CAUSES: [Cause; 6] = [Cause::Identity, Cause::Undetermined, Cause::Definition, Cause::Consent, Cause::Data, Cause::Time];

fn rank(cause: Cause) -> u8 {
    CAUSES.iter().position(|other| *other == cause).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
}

/// The publications that lead from one to another, the first of them left out; or why they do not.
async fn days_between(from: Side<'_>, to: Side<'_>) -> Result<Result<Vec<Commit>, String>> {
    let (start, mut between) = (from.commit, Vec::new());
    let mut next = to.commit.clone();
    loop {
        let Some(base) = next.predecessor.clone().filter(|base| base.as_of >= start.as_of) else {
            return Ok(Err(format!("the publication as of {} is not built on that as of {}", to.commit.as_of, start.as_of)));
        };
        let as_of = next.as_of;
        between.push(next);
        if base.as_of == start.as_of {
            let is_same = base.number == start.number || base.state == Base::of(start).state;
            let why = || format!("{as_of} is built on a publication as of {} that has been superseded", base.as_of);
            return Ok(if is_same { Ok(between) } else { Err(why()) });
        }
        match to.seen.base(&base).await {
            Ok(Some(commit)) => next = commit,
            Ok(None) => return Ok(Err(format!("the publication as of {} on which {as_of} is built is gone", base.as_of))),
            Err(error) if publish::concerns_one_day(&error) => {
                return Ok(Err(format!("the publication as of {} on which {as_of} is built cannot be read", base.as_of)));
            }
            Err(error) => return Err(error),
        }
    }
}

/// The file of the table of changes of a publication, whatever the output is called.
fn changes_of(commit: &Commit) -> Option<&DataFile> {
    let schema = changes_schema();
    let optional = ["cause_detail"];
    let is_told = |table: &&crate::manifest::Table| {
        let has = |name: &str| table.columns.iter().any(|column| column.name == name);
        schema.fields().iter().all(|field| has(field.name()) || optional.contains(&field.name().as_str()))
    };
    commit.tables.values().find(is_told).and_then(|table| if let [one] = table.files.as_slice() { Some(one) } else { None })
}

/// Published rows in the columns of the table of changes. Earlier ones had no detail of causes.
fn as_changes(rows: &RecordBatch) -> Result<RecordBatch> {
    let schema = changes_schema();
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| match rows.column_by_name(field.name()) {
        Some(column) => arrow::compute::cast(column, field.data_type()),
        None => Ok(arrow::array::new_null_array(field.data_type(), rows.num_rows())),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>();
    let rows = columns.and_then(|columns| RecordBatch::try_new(schema, columns));
    rows.map_err(|error| crate::error::Error::defect(format!("the table of changes was not read: {error}")))
}
