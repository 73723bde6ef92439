//! What the predecessor publication remembers of one customer: who was a member, whose minimum stay is not over, who may not enter yet.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type};
use chrono::{Days, NaiveDate};
use indexmap::IndexMap;

use crate::config::{Segment, SegmentSet, Spanned};
use crate::error::Result;
use crate::manifest::Commit;
use crate::publish::{IDENTITY_ALIASES, Publications, SEGMENT_STAYS};
use crate::segments::CUSTOMER_ID;
use crate::segments::why::Remembered;

/// What is remembered, by set, of each of its segments in order.
pub type Memory = BTreeMap<String, Vec<Remembered>>;

/// Reads the memory on which a publication was built; none if it was built on none.
///
/// # Errors
/// As reading from the store fails; [`crate::error::Error::Project`] when the predecessor's files are damaged.
pub async fn of_predecessor(
    seen: &Publications,
    commit: &Commit,
    sets: &IndexMap<String, SegmentSet>,
    customer: &str,
) -> Result<Option<Memory>> {
    let Some(base) = &commit.predecessor else { return Ok(None) };
    let Some(predecessor) = seen.of(base.as_of).await?.filter(|found| found.number == base.number) else { return Ok(None) };
    let Some(file) = predecessor.state.get(SEGMENT_STAYS) else { return Ok(None) };
    let mut memory = Memory::new();
    // Ids that have become aliases since have left their memory to the customer.
    for id in std::iter::once(customer.to_owned()).chain(aliases(seen, commit, customer).await?) {
        for rows in seen.find(&predecessor, file, CUSTOMER_ID, &id).await?.rows {
            (0..rows.num_rows()).for_each(|row| add(&mut memory, sets, commit.as_of, &rows.slice(row, 1)));
        }
    }
    Ok(Some(memory))
}

async fn aliases(seen: &Publications, commit: &Commit, customer: &str) -> Result<Vec<String>> {
    let Some(file) = commit.state.get(IDENTITY_ALIASES) else { return Ok(Vec::new()) };
    let rows = seen.find(commit, file, CUSTOMER_ID, customer).await?.rows;
    Ok(rows.iter().flat_map(|rows| (0..rows.num_rows()).filter_map(|row| text(&rows.slice(row, 1), "alias_id"))).collect())
}

/// Adds a row of the state.
fn add(memory: &mut Memory, sets: &IndexMap<String, SegmentSet>, as_of: NaiveDate, row: &RecordBatch) {
    let (Some(set), Some(segment)) = (text(row, "segment_set"), text(row, "segment")) else { return };
    let is = |name: &str, formerly: &[Spanned<String>], asked: &str| name == asked || formerly.iter().any(|name| name.value == asked);
    let Some((name, set)) = sets.iter().find(|(name, declared)| is(name, &declared.formerly, &set)) else { return };
    let at = set.segments.iter().position(|declared| is(&declared.name.value, &declared.formerly, &segment));
    let Some((at, declared)) = at.and_then(|at| Some((at, set.segments.get(at)?))) else { return };
    let known = memory.entry(name.clone()).or_insert_with(|| vec![Remembered::default(); set.segments.len()]);
    let found = of_row(declared, as_of, day(row, "member_since"), day(row, "left_on"));
    if found.was_member || !known[at].was_member {
        known[at] = found;
    }
}

/// What a stay since a day, or one that ended on a day, means for a segment today.
fn of_row(segment: &Segment, as_of: NaiveDate, since: Option<NaiveDate>, left_on: Option<NaiveDate>) -> Remembered {
    let end = |from: Option<NaiveDate>, days: &Option<Spanned<u32>>| {
        let end = from?.checked_add_days(Days::new(days.as_ref()?.value.into()))?;
        (end > as_of).then_some(end)
    };
    let barred_until = if since.is_some() { None } else { end(left_on, &segment.cooldown_days) };
    Remembered { was_member: since.is_some(), stays_until: end(since, &segment.minimum_stay_days), barred_until }
}

fn text(row: &RecordBatch, column: &str) -> Option<String> {
    let texts = cast(row.column_by_name(column)?, &DataType::Utf8).ok()?;
    texts.as_string::<i32>().iter().next().flatten().map(str::to_owned)
}

/// The day in a column of a row.
pub fn day(row: &RecordBatch, column: &str) -> Option<NaiveDate> {
    let days = row.column_by_name(column)?.as_primitive_opt::<Date32Type>()?;
    if days.is_null(0) { None } else { Date32Type::to_naive_date_opt(days.value(0)) }
}
