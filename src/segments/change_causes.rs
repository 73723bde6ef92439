//! Finds the causes of the changes of a batch of customers: beside today's profile stands what the predecessor publication kept of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array, make_comparator};
use arrow::compute::{SortOptions, cast, take, take_record_batch};
use arrow::datatypes::DataType;

use super::conditions::{Condition, decide_all, defect};
use super::earlier_definition::each;
use super::earlier_opinions::Opinion;
use super::memory::{Assignment, Cause, Names, People, Time, Why};
use super::origins::{Origins, Reads};
use super::pair::Pair;
use super::rule_set::{CUSTOMER_ID, RuleSet};
use crate::error::Result;

/// What happened to the rows of a source as a whole since the predecessor publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceChange {
    /// Nothing.
    None,
    /// Some have come, changed or gone, and it is known to whom they lead.
    Some,
    /// Some have come, changed or gone, and it is not known to whom they lead.
    OfAnybody,
    /// No model read the source then.
    New,
    /// It cannot be told, because other columns of it counted then, or its rows led to customers in another way.
    Unknown,
}

/// By what causes are found in a run.
#[derive(Debug, Default)]
pub struct Grounds {
    /// What the rules read.
    pub origins: Origins,
    /// What happened to each source; none where the predecessor publication kept nothing by which causes can be told.
    pub sources: Option<BTreeMap<String, SourceChange>>,
}

/// Why customers of a batch have changed, as far as it does not depend on the set.
#[derive(Debug, Default)]
pub struct ChangeCauses<'a> {
    grounds: Option<&'a Grounds>,
    rows: HashMap<usize, Reasons<'a>>,
}

/// What is known of one customer who has changed.
#[derive(Debug, Default)]
struct Reasons<'a> {
    /// The columns that are not what they were; none if it is not known what they were.
    columns: Option<BTreeSet<&'a str>>,
    /// The numbers of the segments that the customer would be in today with the consent of before; none if consent is the same.
    with_consent_of_before: Option<Vec<u32>>,
    /// The sources whose rows of the customer are not what they were.
    sources: BTreeSet<String>,
}

impl<'a> ChangeCauses<'a> {
    /// Finds out what is known of those customers of a batch who have entered, left or moved.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] alone.
    pub(super) fn of(
        grounds: &'a Grounds,
        sets: &[RuleSet],
        time: Time<'_>,
        pair: &Pair,
        people: &People<'_>,
        assigned: &[Assignment],
    ) -> Result<Self> {
        let mut found = ChangeCauses { grounds: Some(grounds), rows: HashMap::new() };
        let (Some(_), Some(_)) = (time.before, &grounds.sources) else { return Ok(found) };
        let changed: Vec<usize> = (0..pair.ids.len()).filter(|row| people.has_changed(*row, assigned)).collect();
        if changed.is_empty() {
            return Ok(found);
        }
        let before = Inputs::of(grounds, pair)?;
        let (then, now) = (Digests::of(pair.kept.rows_before.as_ref())?, Digests::of(pair.kept.rows_today.as_ref())?);
        let mut of_consent = Vec::new();
        for &row in &changed {
            let id = pair.ids.value(row);
            let columns = before.as_ref().and_then(|before| before.changed(row, id));
            if columns.as_ref().is_some_and(|columns| columns.iter().any(|column| grounds.origins.consent.contains(*column))) {
                of_consent.push(row);
            }
            let sources = changed_sources(then.as_ref(), now.as_ref(), id);
            found.rows.insert(row, Reasons { columns, with_consent_of_before: None, sources });
        }
        if let Some(before) = before.filter(|_| !of_consent.is_empty()) {
            for (row, members) in of_consent.iter().zip(before.with_consent(grounds, sets, time, pair, people, &of_consent)?) {
                if let Some(reasons) = found.rows.get_mut(row) {
                    reasons.with_consent_of_before = Some(members);
                }
            }
        }
        Ok(found)
    }

    /// The cause of the change of a customer, whose identity is as it was, from one segment to another. In a set in which a customer may be in
    /// several segments one of the two is none. `today` are the numbers of all segments that the customer is in.
    pub(super) fn cause(&self, names: &Names, single: &[bool], of: &Changed<'_>, opinion: Opinion<'_>) -> Why {
        match opinion {
            Opinion::Same => {}
            Opinion::Unknown => return Why::detailed(Cause::Undetermined, "definition_unknown"),
            Opinion::Members(members, detail) => {
                if of.outcome(names, single, members) != of.outcome(names, single, of.today) {
                    return Why::detailed(Cause::Definition, detail);
                }
            }
        }
        let of_before = || Why::detailed(Cause::Undetermined, "predecessor");
        let Some((grounds, sources)) = self.grounds.and_then(|grounds| Some((grounds, grounds.sources.as_ref()?))) else {
            return of_before();
        };
        let Some(reasons) = self.rows.get(&of.row) else { return of_before() };
        let Some(columns) = &reasons.columns else { return of_before() };
        if let Some(members) = &reasons.with_consent_of_before
            && of.outcome(names, single, members) == of.from.into_iter().collect::<Vec<u32>>()
        {
            return Why::of(Cause::Consent);
        }
        let nothing = Reads::default();
        let reads = of.reads(&grounds.origins, names, single).unwrap_or(&nothing);
        let is_read = |source: &&String| reads.sources.contains(*source);
        let of_customer: Vec<&str> = reasons.sources.iter().filter(is_read).map(String::as_str).collect();
        if !of_customer.is_empty() {
            return Why::detailed(Cause::Data, &of_customer.join(", "));
        }
        for (change, why) in [(SourceChange::OfAnybody, "unattributed"), (SourceChange::Unknown, "not comparable")] {
            let such: Vec<&str> =
                sources.iter().filter(|(source, of)| **of == change && is_read(source)).map(|(name, _)| name.as_str()).collect();
            if !such.is_empty() {
                return Why::detailed(Cause::Undetermined, &format!("{why}: {}", such.join(", ")));
            }
        }
        // What neither the day nor other customers have a part in has changed through the identity step, by which rows reach every column.
        let is_timeless = |column: &&String| grounds.origins.columns.get(*column).is_some_and(|of| !of.reads_day && !of.is_relative);
        let is_changed = |column: &&String| columns.contains(column.as_str());
        if !reasons.sources.is_empty() && reads.columns.iter().filter(is_changed).any(|column| is_timeless(&column)) {
            return Why::detailed(Cause::Data, &reasons.sources.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
        }
        let is_anything_new = sources.iter().any(|(source, of)| *of == SourceChange::Some && is_read(&source));
        Why { cause: Cause::Time, detail: time_detail(&grounds.origins, reads, columns, is_anything_new).map(Into::into) }
    }
}

/// What of the time it was that moved a customer of whom nothing is new, where that can be told: days that have passed, or cut-points that have
/// moved while what the customer brings to them has not.
fn time_detail(origins: &Origins, reads: &Reads, changed: &BTreeSet<&str>, is_anything_new: bool) -> Option<&'static str> {
    const DAYS: Option<&str> = Some("days");
    let read = reads.columns.iter().filter(|column| changed.contains(column.as_str()));
    let (relative, absolute): (Vec<_>, Vec<_>) = read.filter_map(|column| origins.columns.get(column)).partition(|of| of.is_relative);
    let is_own_unchanged = |own: &BTreeSet<String>| own.iter().all(|column| !changed.contains(column.as_str()));
    let has_moved_alone = |of: &&crate::lineage::Lineage| of.own.as_ref().is_some_and(is_own_unchanged);
    match (relative.is_empty(), absolute.is_empty()) {
        // A stay, or a time in which a segment cannot be entered, is over.
        (true, true) => DAYS,
        (false, true) if relative.iter().all(has_moved_alone) => Some("cut_points"),
        (true, false) if absolute.iter().all(|of| of.reads_day) => DAYS,
        // All cut-points have moved because of the days.
        _ => DAYS.filter(|_| !is_anything_new),
    }
}

/// A change of which the cause is asked.
#[derive(Debug)]
pub(super) struct Changed<'a> {
    /// The row of the customer.
    pub(super) row: usize,
    /// The number of the segment that the customer was in.
    pub(super) from: Option<u32>,
    /// The number of the segment that the customer is in.
    pub(super) to: Option<u32>,
    /// The numbers of all segments that the customer is in.
    pub(super) today: &'a [u32],
}

impl Changed<'_> {
    fn segment(&self) -> Option<u32> {
        self.from.or(self.to)
    }

    /// The segments among some that matter for the change: those of its set, or the one alone where a customer may be in several.
    fn outcome(&self, names: &Names, single: &[bool], members: &[u32]) -> Vec<u32> {
        let set = self.segment().and_then(|number| names.named(number).set_at);
        let is_meant = |number: &&u32| match set {
            Some(set) if single.get(set).copied().unwrap_or(false) => names.is_of(**number, set),
            _ => Some(**number) == self.segment(),
        };
        members.iter().filter(is_meant).copied().collect()
    }

    /// What decides on the segments that matter.
    fn reads<'o>(&self, origins: &'o Origins, names: &Names, single: &[bool]) -> Option<&'o Reads> {
        let number = self.segment()?;
        let set = names.named(number).set_at?;
        let of_set = origins.sets.get(set)?;
        if single.get(set).copied().unwrap_or(true) {
            return Some(&of_set.all);
        }
        of_set.segments.get(names.position(number)?)
    }
}

/// What the predecessor publication kept of the profile, beside the profile of today.
struct Inputs<'a> {
    ids: StringArray,
    before: RecordBatch,
    /// By column that both have: its name, and whether two rows differ in it.
    columns: Vec<(&'a str, arrow::array::DynComparator)>,
}

impl<'a> Inputs<'a> {
    fn of(grounds: &'a Grounds, pair: &Pair) -> Result<Option<Self>> {
        let Some(before) = &pair.kept.inputs else { return Ok(None) };
        let Some(ids) = before.column_by_name(CUSTOMER_ID) else { return Ok(None) };
        let ids = cast(ids, &DataType::Utf8).map_err(defect)?.as_string::<i32>().clone();
        let mut columns = Vec::new();
        for name in &grounds.origins.inputs {
            let (Some(then), Some(now)) = (before.column_by_name(name), pair.profile.column_by_name(name)) else { continue };
            let Ok(now) = cast(now, then.data_type()) else { continue };
            columns.push((name.as_str(), make_comparator(then, &now, SortOptions::default()).map_err(defect)?));
        }
        Ok(Some(Inputs { ids, before: before.clone(), columns }))
    }

    /// The place of a customer among those of before.
    fn place(&self, id: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.ids.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.ids.value(middle) < id { low = middle + 1 } else { high = middle }
        }
        (low < self.ids.len() && self.ids.value(low) == id).then_some(low)
    }

    /// The columns of a customer that are not what they were.
    fn changed(&self, row: usize, id: &str) -> Option<BTreeSet<&'a str>> {
        let place = self.place(id)?;
        Some(self.columns.iter().filter(|(_, compare)| compare(place, row).is_ne()).map(|(name, _)| *name).collect())
    }

    /// The numbers of the segments that each of some customers would be in with the consent of before.
    fn with_consent(
        &self,
        grounds: &Grounds,
        sets: &[RuleSet],
        time: Time<'_>,
        pair: &Pair,
        people: &People<'_>,
        rows: &[usize],
    ) -> Result<Vec<Vec<u32>>> {
        let number = |row: usize| u64::try_from(row).unwrap_or(u64::MAX);
        let today = UInt64Array::from_iter_values(rows.iter().map(|row| number(*row)));
        let then: UInt64Array = rows.iter().map(|row| self.place(pair.ids.value(*row)).map(number)).collect();
        let picked = take_record_batch(&pair.profile, &today).map_err(defect)?;
        let column = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| -> Result<ArrayRef> {
            let own = picked.column(at);
            let before = self.before.column_by_name(field.name()).filter(|_| grounds.origins.consent.contains(field.name()));
            let Some(before) = before else { return Ok(Arc::clone(own)) };
            let before = take(before, &then, None).map_err(defect)?;
            cast(&before, own.data_type()).map_err(defect)
        };
        let columns = picked.schema().fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        let fields: Vec<_> = picked.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let as_before = RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).map_err(defect)?;
        // A rule may fail on values that never stood beside each other. Then it does not match.
        let mut failed = BTreeSet::new();
        let evaluate = |condition: &Condition<'_>, rows: &RecordBatch| Ok(each(condition, rows, &mut failed));
        let decisions = decide_all(sets, time, &as_before, &people.pick(rows), evaluate)?;
        let of_row = |row: usize| {
            let of_set = |(set, decided): (usize, &super::decide::Decided)| {
                let members = decided.members[decided.starts[row]..decided.starts[row + 1]].to_vec();
                members.into_iter().map(move |(position, _)| time.names.of_position(set, position))
            };
            decisions.iter().enumerate().flat_map(of_set).collect()
        };
        Ok((0..rows.len()).map(of_row).collect())
    }
}

/// The digests of the rows of customers, in order of customer and source.
struct Digests {
    ids: StringArray,
    sources: StringArray,
    rows: RecordBatch,
}

impl Digests {
    fn of(rows: Option<&RecordBatch>) -> Result<Option<Self>> {
        let Some(rows) = rows else { return Ok(None) };
        let text = |name: &str| -> Result<Option<StringArray>> {
            let Some(column) = rows.column_by_name(name) else { return Ok(None) };
            Ok(Some(cast(column, &DataType::Utf8).map_err(defect)?.as_string::<i32>().clone()))
        };
        let (Some(ids), Some(sources)) = (text(CUSTOMER_ID)?, text("source")?) else { return Ok(None) };
        Ok(Some(Digests { ids, sources, rows: rows.clone() }))
    }

    /// The digests of a customer by source, in a column.
    fn of_customer(&self, id: &str, column: &str) -> BTreeMap<&str, Option<&[u8]>> {
        let Some(digests) = self.rows.column_by_name(column).and_then(|column| column.as_fixed_size_binary_opt()) else {
            return BTreeMap::new();
        };
        let (mut low, mut high) = (0, self.ids.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.ids.value(middle) < id { low = middle + 1 } else { high = middle }
        }
        let own = (low..self.ids.len()).take_while(|row| self.ids.value(*row) == id);
        own.map(|row| (self.sources.value(row), digests.is_valid(row).then(|| digests.value(row)))).collect()
    }
}

/// The sources whose rows of a customer are not what they were. Those that cannot be compared are passed over.
fn changed_sources(then: Option<&Digests>, now: Option<&Digests>, id: &str) -> BTreeSet<String> {
    let before = then.map(|then| then.of_customer(id, "digest")).unwrap_or_default();
    let today = now.map(|now| now.of_customer(id, "compared")).unwrap_or_default();
    let names: BTreeSet<&str> = before.keys().chain(today.keys()).copied().collect();
    let differs = |source: &&str| match (before.get(source), today.get(source)) {
        (_, Some(None)) => false,
        (before, today) => before != today,
    };
    names.into_iter().filter(differs).map(str::to_owned).collect()
}
