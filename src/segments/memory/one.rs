//! What is remembered of one customer: its own memory, and that of those who have become one with it.

use arrow::array::RecordBatch;
use indexmap::IndexMap;

use super::before::{Columns, Ended};
use super::names::{NamedSet, Names};
use super::stay::Stay;
use crate::config::{SegmentSet, SetKind, Spanned};
use crate::error::Result;

/// What is remembered of a customer and of those who have become one with it: their stays are continued where it was in no segment.
pub(super) fn as_one(names: &Names, single: &[bool], own: &[Stay], ended: &[Ended]) -> Vec<Stay> {
    let is_single = |stay: &Stay| names.named(stay.segment).set_at.filter(|set| single[*set]);
    let mut theirs: Vec<Stay> = Vec::new();
    for stay in ended.iter().flat_map(|ended| &ended.stays) {
        match theirs.iter_mut().find(|known| known.segment == stay.segment) {
            Some(known) => *known = known.and(*stay),
            None => theirs.push(*stay),
        }
    }
    let current_of = |stays: &[Stay], set: usize| {
        let current = stays.iter().filter(|stay| stay.since.is_some() && names.is_of(stay.segment, set));
        current.min_by_key(|stay| (stay.since, names.named(stay.segment))).map(|stay| stay.segment)
    };
    let mut all = own.to_vec();
    for mut stay in theirs.clone() {
        // Of several segments of a set of which a customer can be in one, one is continued, and the stays in the others end today.
        if let Some(set) = is_single(&stay)
            && stay.since.is_some()
            && current_of(own, set).or_else(|| current_of(&theirs, set)) != Some(stay.segment)
        {
            stay = Stay { since: None, left_on: None, ..stay };
        }
        match all.iter_mut().find(|known| known.segment == stay.segment) {
            None => all.push(stay),
            Some(known) if known.since.is_some() => {}
            Some(known) => {
                let since = stay.since.max(known.left_on.filter(|_| stay.since.is_some()));
                *known = Stay { since, left_on: known.left_on.max(stay.left_on), entered: known.entered + stay.entered, ..stay };
            }
        }
    }
    all
}

/// What a run remembers of a customer, by set and segment in order, given the rows of the state about the customer, and about each of those
/// who have become one with it, in order of their ids.
///
/// # Errors
/// [`crate::error::Error::Project`] for rows that are not those of a state.
pub fn remembered(
    sets: &IndexMap<String, SegmentSet>,
    own: &[RecordBatch],
    ended: &[(String, Vec<RecordBatch>)],
) -> Result<Vec<Vec<Option<Stay>>>> {
    let names = names_of(sets);
    let single: Vec<bool> = sets.values().map(|set| set.kind.value != SetKind::Overlapping).collect();
    let ended = ended.iter().map(|(id, rows)| Ok(Ended { id: id.clone(), stays: read(&names, rows)? }));
    let stays = as_one(&names, &single, &read(&names, own)?, &ended.collect::<Result<Vec<_>>>()?);
    let of_segment = |at: usize, segment: usize| {
        let number = names.of_position(at, segment);
        stays.iter().find(|stay| stay.segment == number).copied()
    };
    let of_set = |(at, set): (usize, &SegmentSet)| (0..set.segments.len()).map(|segment| of_segment(at, segment)).collect();
    Ok(sets.values().enumerate().map(of_set).collect())
}

fn read(names: &Names, rows: &[RecordBatch]) -> Result<Vec<Stay>> {
    let mut stays = Vec::new();
    for rows in rows {
        Columns::of(rows)?.read(names, 0..rows.num_rows(), &mut stays)?;
    }
    Ok(stays)
}

/// The names of the segments of declared sets.
fn names_of(sets: &IndexMap<String, SegmentSet>) -> Names {
    let texts = |names: &[Spanned<String>]| names.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
    let former: Vec<(Vec<String>, Vec<Vec<String>>)> =
        sets.values().map(|set| (texts(&set.formerly), set.segments.iter().map(|segment| texts(&segment.formerly)).collect())).collect();
    let declared = sets.iter().zip(&former).map(|((name, set), (formerly, of_segments))| NamedSet {
        name,
        formerly,
        segments: set.segments.iter().zip(of_segments).map(|(segment, of)| (segment.name.value.as_str(), of.as_slice())).collect(),
    });
    Names::new(&declared.collect::<Vec<_>>())
}
