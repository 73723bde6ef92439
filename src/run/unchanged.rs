//! Whether a day need not be published again: because nothing has changed on which its outputs depend, because only files have come whose
//! events are of the as-of day or later, or because the outputs came out as they are published.

use std::collections::BTreeMap;

use super::prepare::Prepared;
use crate::engine::Engine;
use crate::error::Result;
use crate::ingest::{self, Extract};
use crate::job::{Request, Unchanged, WhyUnchanged};
use crate::manifest::{Base, Commit, DataFile, Input, Ledger, MadeFrom, Table};
use crate::publish;
use crate::record::{self, Recorder};

impl Prepared {
    /// The publication of the day, if a run would make the same again, as far as that is known without computing.
    ///
    /// # Errors
    /// [`crate::error::Error::Project`] if that publication is damaged; otherwise as the store fails.
    pub async fn unchanged(&self, request: &Request, recorder: &Recorder) -> Result<Option<Unchanged>> {
        if request.force {
            return Ok(None);
        }
        let Some(commit) = self.published.of(request.as_of).await? else { return Ok(None) };
        let why = if self.is_made_from_the_same(&commit) {
            WhyUnchanged::Nothing
        } else {
            let Some(files) = self.later_files(&commit, request, recorder).await? else { return Ok(None) };
            WhyUnchanged::LaterFiles(files)
        };
        match publish::damage::whole(&self.destination, &commit).await {
            // As with any other change of the extracts, the day is published again.
            Err(error) if publish::concerns_one_day(&error) && why != WhyUnchanged::Nothing => return Ok(None),
            whole => whole?,
        }
        let commit_shown = publish::commit_shown(&self.destination, commit.number);
        Ok(Some(Unchanged { run_id: recorder.run_id(), commit, commit_shown, copied: Vec::new(), warnings: Vec::new(), why }))
    }

    fn is_made_from_the_same(&self, commit: &Commit) -> bool {
        // What it was built on may have been withdrawn since, because it is older than what is kept.
        let on_withdrawn = |base: &Base| self.made_from.clone().on(base.digest()).fingerprint();
        commit.fingerprint == self.made_from.fingerprint()
            || self.withdrawn_base(commit).is_some_and(|base| commit.fingerprint == on_withdrawn(base))
    }

    /// What a publication was built on, if that day is not published any more, and no later one has come before the publication's own.
    pub fn withdrawn_base<'a>(&self, commit: &'a Commit) -> Option<&'a Base> {
        let base = commit.predecessor.as_ref()?;
        let nearest = self.predecessor.as_ref().map(|predecessor| predecessor.as_of);
        (nearest < Some(base.as_of)).then_some(base)
    }

    /// How many files have come since a publication, if that is all that has changed, and no row of them is of a day before the as-of day.
    /// Only these files are read. None where outputs might be others, or it is not known.
    async fn later_files(&self, commit: &Commit, request: &Request, recorder: &Recorder) -> Result<Option<u64>> {
        let differs_in_extracts = |published: &MadeFrom| {
            let on_withdrawn = self.withdrawn_base(commit).map(|base| self.made_from.clone().on(base.digest()));
            on_withdrawn.iter().chain([&self.made_from]).any(|made_from| published.differs_in_extracts_alone(made_from))
        };
        if !commit.made_from.as_ref().is_some_and(differs_in_extracts) || commit.locations != self.locations {
            return Ok(None);
        }
        let Some(record) = record::of_publication(&self.destination, &commit.run_id).await? else { return Ok(None) };
        let added: Option<Vec<Extract>> = self.extracts.iter().map(|extract| added_to(extract, &record.inputs)).collect();
        let Some(added) = added.filter(|added| has_all(added, &self.extracts, &record.inputs)) else { return Ok(None) };
        recorder.doing().begins("looking whether files that have come hold events before the as-of day");
        let engine = Engine::with_text_encoding(request.limits, self.plan.values.zone.name(), request.text_encoding)?;
        for extract in added.iter().filter(|extract| !extract.files.is_empty()) {
            // Of a source without a row before the as-of day, a run warns.
            let has_rows = |ledger: &Ledger| ledger.source == extract.contract.source && ledger.rows_read > ledger.rows_out_of_window;
            if !commit.sources.iter().any(has_rows) || !ingest::is_out_of_window(&engine, extract).await {
                return Ok(None);
            }
        }
        Ok(Some(added.iter().map(|extract| extract.files.len() as u64).sum()))
    }
}

/// The files that have been added to an extract since a run read its inputs; none if one of them has changed since.
fn added_to(extract: &Extract, read: &[Input]) -> Option<Extract> {
    let source = &extract.contract.source;
    let before: BTreeMap<&str, &Input> =
        read.iter().filter(|input| input.source == *source).map(|input| (input.file.as_str(), input)).collect();
    let mut added = Extract { files: Vec::new(), ..extract.clone() };
    for (file, input) in extract.files.iter().zip(ingest::inputs(extract)) {
        match before.get(input.file.as_str()) {
            Some(before) if **before != input => return None,
            Some(_) => {}
            None => added.files.push(file.clone()),
        }
    }
    Some(added)
}

/// Whether the extracts still have every file that a run has read.
fn has_all(added: &[Extract], extracts: &[Extract], read: &[Input]) -> bool {
    let files = |extracts: &[Extract]| extracts.iter().map(|extract| extract.files.len()).sum::<usize>();
    files(extracts) - files(added) == read.len()
}

/// Whether a publication that a run would make is the one that there is: made from the same but for the extracts, with the same bytes.
pub fn is_same(draft: &Commit, published: &Commit) -> bool {
    let (Some(made_from), Some(other)) = (&draft.made_from, &published.made_from) else { return false };
    let is_of_same = made_from == other || made_from.differs_in_extracts_alone(other);
    let bytes_of = |file: &DataFile| (file.bytes, file.rows, file.sha256.clone());
    let table = |table: &Table| {
        let files: Vec<_> = table.files.iter().map(bytes_of).collect();
        (table.rows, table.columns.clone(), table.personal_columns.clone(), files)
    };
    let tables = |commit: &Commit| commit.tables.iter().map(|(name, of)| (name.clone(), table(of))).collect::<BTreeMap<_, _>>();
    let state = |commit: &Commit| commit.state.iter().map(|(name, file)| (name.clone(), bytes_of(file))).collect::<BTreeMap<_, _>>();
    is_of_same
        && tables(draft) == tables(published)
        && state(draft) == state(published)
        && draft.identity_hash_id == published.identity_hash_id
        && draft.definition_digest == published.definition_digest
        && draft.given_digest == published.given_digest
        && draft.locations == published.locations
}
