//! What the predecessor publication remembers of one customer: who was a member, whose minimum stay is not over, who may not enter yet.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type};
use chrono::{Days, NaiveDate};
use indexmap::IndexMap;

use crate::config::{Segment, SegmentSet, SetKind, Spanned};
use crate::error::Result;
use crate::manifest::Commit;
use crate::publish::{IDENTITY_ALIASES, Publications, SEGMENT_STAYS};
use crate::segments::CUSTOMER_ID;
use crate::segments::memory::{Stay, remembered};
use crate::segments::why::Remembered;

/// What is remembered, by set, of each of its segments in order.
pub type Memory = BTreeMap<String, Vec<Remembered>>;

/// Reads the memory on which a publication was built, of a customer and of the ids that are its aliases; none if it was built on none, or
/// on one that is not there any more.
///
/// # Errors
/// As reading from the store fails; [`crate::error::Error::Project`] when the predecessor's files are damaged.
pub async fn of_predecessor(
    seen: &Publications,
    commit: &Commit,
    sets: &IndexMap<String, SegmentSet>,
    customer: &str,
    aliases: &[String],
) -> Result<Option<Memory>> {
    let Some(base) = &commit.predecessor else { return Ok(None) };
    let Some(predecessor) = seen.base(base).await? else { return Ok(None) };
    let Some(file) = predecessor.state.get(SEGMENT_STAYS) else { return Ok(None) };
    let own = seen.find(&predecessor, file, CUSTOMER_ID, customer).await?.rows;
    // Ids that have become aliases since have left their memory to the customer. Of those from before nothing is kept.
    let mut ended = Vec::new();
    for id in aliases {
        ended.push((id.clone(), seen.find(&predecessor, file, CUSTOMER_ID, id).await?.rows));
    }
    let remembered = remembered(sets, &own, &ended)?;
    let of_set = |((name, set), stays): ((&String, &SegmentSet), Vec<Option<Stay>>)| (name.clone(), of_set(set, commit.as_of, &stays));
    Ok(Some(sets.iter().zip(remembered).map(of_set).collect()))
}

/// The ids that have become aliases of a customer, in order.
///
/// # Errors
/// As [`of_predecessor`].
pub async fn aliases(seen: &Publications, commit: &Commit, customer: &str) -> Result<Vec<String>> {
    let Some(file) = commit.state.get(IDENTITY_ALIASES) else { return Ok(Vec::new()) };
    let rows = seen.find(commit, file, CUSTOMER_ID, customer).await?.rows;
    let mut ids: Vec<String> =
        rows.iter().flat_map(|rows| (0..rows.num_rows()).filter_map(|row| text(&rows.slice(row, 1), "alias_id"))).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// What the memory of the segments of a set means today. In a set of which a customer is in one segment, the first counts in which it was.
fn of_set(set: &SegmentSet, as_of: NaiveDate, stays: &[Option<Stay>]) -> Vec<Remembered> {
    let held = stays.iter().position(|stay| stay.is_some_and(|stay| stay.since.is_some()));
    let is_single = set.kind.value != SetKind::Overlapping;
    let of_segment = |(at, (segment, stay)): (usize, (&Segment, &Option<Stay>))| match stay {
        Some(stay) if stay.since.is_none() || !is_single || held == Some(at) => of_stay(segment, as_of, stay),
        _ => Remembered::default(),
    };
    set.segments.iter().zip(stays).enumerate().map(of_segment).collect()
}

/// What a stay that lasts, or one that has ended, means for a segment today.
fn of_stay(segment: &Segment, as_of: NaiveDate, stay: &Stay) -> Remembered {
    let end = |from: Option<i32>, days: &Option<Spanned<u32>>| {
        let from = Date32Type::to_naive_date_opt(from?)?;
        let end = from.checked_add_days(Days::new(days.as_ref()?.value.into()))?;
        (end > as_of).then_some(end)
    };
    let barred_until = if stay.since.is_some() { None } else { end(stay.left_on, &segment.cooldown_days) };
    Remembered { was_member: stay.since.is_some(), stays_until: end(stay.since, &segment.minimum_stay_days), barred_until }
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
