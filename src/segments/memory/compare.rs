//! What has changed between two publications, however many lie between: their memories are read side by side in order of customer, and the
//! changes are told as a run tells those since its predecessor.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, RecordBatch, StringArray};

use super::before::{Before, Columns};
use super::cause::{Cause, Why};
use super::changes::Changes;
use super::names::Names;
use super::people::{Assignment, People, Time, tell_gone};
use crate::error::Result;

/// How many members a segment had and has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// In the earlier publication.
    pub before: u64,
    /// In the later one.
    pub after: u64,
}

/// Compares the memories of two publications.
#[derive(Debug)]
pub struct Comparer<'a> {
    names: &'a Names,
    single: &'a [bool],
    day: i32,
    before: &'a Before,
    /// The last customers that were added, of the earlier publication and of the later one.
    last: [Option<String>; 2],
    heirs: BTreeSet<String>,
    /// How many customers there were and are.
    pub customers: Sizes,
    /// The sizes of segments by number.
    pub sizes: BTreeMap<u32, Sizes>,
}

impl<'a> Comparer<'a> {
    /// Compares with a publication as of a day, counted since 1970. `single` says of each set whether a customer is in one of its segments at
    /// most.
    pub fn new(names: &'a Names, single: &'a [bool], day: i32, before: &'a Before) -> Self {
        Comparer {
            names,
            single,
            day,
            before,
            last: [None, None],
            heirs: BTreeSet::new(),
            customers: Sizes::default(),
            sizes: BTreeMap::new(),
        }
    }

    /// Adds all rows of the next customers of the later publication, and those of the earlier one up to the last of them; the changes.
    ///
    /// # Errors
    /// [`crate::error::Error::Project`] for rows that are not those of a memory.
    pub fn add(&mut self, earlier: &RecordBatch, later: &RecordBatch) -> Result<Option<RecordBatch>> {
        self.count_earlier(earlier)?;
        let columns = Columns::of(later)?;
        let sets = self.single.len();
        let (mut ids, mut today) = (Vec::new(), vec![Assignment::default(); sets]);
        let (mut at, mut stays) = (0, Vec::new());
        while at < columns.ids.len() {
            let id = columns.ids.value(at);
            let end = at + (at..columns.ids.len()).take_while(|row| columns.ids.value(*row) == id).count();
            ids.push(id);
            stays.clear();
            columns.read(self.names, at..end, &mut stays)?;
            stays.retain(|stay| stay.since.is_some());
            stays.sort_unstable_by_key(|stay| stay.segment);
            for of in &mut today {
                of.starts.push(of.members.len());
            }
            for stay in &stays {
                self.sizes.entry(stay.segment).or_default().after += 1;
                if let Some(of) = self.names.named(stay.segment).set_at.and_then(|set| today.get_mut(set)) {
                    of.members.push(stay.segment);
                }
            }
            at = end;
        }
        for of in &mut today {
            of.starts.push(of.members.len());
        }
        self.customers.after += ids.len() as u64;
        let last = self.last[1].clone();
        if let Some(newest) = ids.last() {
            self.last[1] = Some((*newest).to_owned());
        }
        let people = People::meet(self.time(), StringArray::from(ids), last.as_deref(), earlier)?;
        let settled = people.settle(&today, &|_, _, _, _, _| Why::of(Cause::Undetermined))?;
        self.heirs.extend(settled.heirs);
        Ok(settled.changes)
    }

    /// Adds rows of the earlier publication that are left after the last customer of the later one; the changes.
    ///
    /// # Errors
    /// As [`Comparer::add`].
    pub fn add_rest(&mut self, earlier: &RecordBatch) -> Result<Option<RecordBatch>> {
        let nobody = earlier.slice(0, 0);
        self.add(earlier, &nobody)
    }

    /// Tells of those who have become one with somebody who is not there.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] alone.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        let mut changes = Changes::since(self.before.as_of);
        let lost: BTreeMap<_, _> = self.before.ended.iter().filter(|(heir, _)| !self.heirs.contains(*heir)).collect();
        for ended in lost.into_values().flatten() {
            tell_gone(&mut changes, self.names, &ended.id, &ended.stays);
        }
        changes.finish()
    }

    fn time(&self) -> Time<'a> {
        Time { names: self.names, single: self.single, day: self.day, before: Some(self.before) }
    }

    fn count_earlier(&mut self, rows: &RecordBatch) -> Result<()> {
        let columns = Columns::of(rows)?;
        let (mut at, mut stays) = (0, Vec::new());
        while at < columns.ids.len() {
            let id = columns.ids.value(at);
            let end = at + (at..columns.ids.len()).take_while(|row| columns.ids.value(*row) == id).count();
            if self.last[0].as_deref() != Some(id) {
                self.customers.before += 1;
                self.last[0] = Some(id.to_owned());
            }
            stays.clear();
            columns.read(self.names, at..end, &mut stays)?;
            for stay in stays.iter().filter(|stay| stay.since.is_some()) {
                self.sizes.entry(stay.segment).or_default().before += 1;
            }
            at = end;
        }
        Ok(())
    }
}
