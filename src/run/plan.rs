//! Everything that a run does but publishing: what it would publish, and how that differs from what is published. Nothing is written at the
//! destination.

use std::path::Path;

use super::checked::{checked, describe};
use super::prepare::Prepared;
use super::unchanged::is_same;
use crate::diff::{self, Known, Question, Side, Told};
use crate::engine::{Engine, Limits};
use crate::error::Result;
use crate::job::{ComparedWith, Planned, Request};
use crate::manifest::{Column, Commit, MadeFrom};
use crate::openlineage::RunEvents;
use crate::project::{self, Changes, Version};
use crate::publish::{self, Publications};
use crate::record::Recorder;
use crate::report::Progress;
use crate::segments::SegmentSize;
use crate::segments::memory::Cause;
use crate::segments::movement::{ComparedSegment, ComparedSet, Comparison, Edition, Movement};
use crate::shown;
use crate::storage::Stores;

/// Computes and checks what a run would publish, in a folder of its own, and compares it with the day's publication or else with the
/// predecessor.
///
/// # Errors
/// Every kind of [`crate::error::Error`], as a run fails.
pub async fn plan(request: &Request, stores: &Stores, progress: &Progress, recorder: &Recorder, folder: &Path) -> Result<Planned> {
    let mut prepared = Prepared::new(request, stores, recorder, &RunEvents::none(), true).await?;
    let own = prepared.published.of(request.as_of).await?;
    let needs_no_run = prepared.unchanged(request, recorder).await?.is_some();
    let is_own = own.is_some();
    let before = own.or_else(|| prepared.predecessor.clone());
    let (changes, note) = match &before {
        Some(commit) => changed(&prepared, commit, request).await,
        None => (None, None),
    };
    // It keeps what the day's own publication would say of today's data, until that is compared.
    let keeper = Engine::with_text_encoding(kept_within(request.limits), prepared.plan.values.zone.name(), request.text_encoding)?;
    let (known, why_unknown) = match before.as_ref().filter(|_| is_own) {
        Some(own) => known_causes(&prepared, own, changes.as_ref(), request, &keeper).await?,
        None => (None, None),
    };
    prepared.expect_steps(progress).await;
    let published = prepared.published.clone();
    prepared.destination = Stores::new(request.environment.clone()).open(&folder.to_string_lossy(), Path::new("/"))?;
    let workplace = prepared.destination.clone();

    let mut computed = prepared.compute(request, progress, recorder).await?;
    let (movement, look) = (std::mem::take(&mut computed.movement), computed.look.take().unwrap_or_default());
    let (segments, avoided) = (computed.segments.clone(), std::mem::take(&mut computed.avoided));
    let (customers, identity) = (computed.customers, computed.identity.take());
    let mut warnings = std::mem::take(&mut computed.warnings);
    warnings.extend(note.into_iter().chain(why_unknown));
    let (checked, description, _) = Box::pin(checked(computed, request, progress, recorder)).await?;
    let (commit, checks) = checked.unpublished(|tables| describe(&description, request, recorder, tables));

    let comparison = match (&before, known) {
        (Some(before), Some(known)) if is_own && is_comparable(before) && is_comparable(&commit) => {
            recorder.doing().begins("comparing with the publication of the day");
            let staged = Publications::read(&workplace).await?;
            let (from, to) = (Side { seen: &published, commit: before }, Side { seen: &staged, commit: &commit });
            Some(diff::compare(Question { from, to, set: None, causes: known }, &mut |_| Ok(())).await?)
        }
        (Some(before), _) if !is_own && movement.since.is_some() => Some(since(before, &commit, &segments, customers, movement)),
        _ => None,
    };
    let is_unchanged = needs_no_run || before.as_ref().is_some_and(|before| is_own && is_same(&commit, before));
    let columns = before.as_ref().map(|before| publish::column_changes(&before.tables, &columns_of(&commit))).unwrap_or_default();
    Ok(Planned {
        compared_with: before.map(|before| ComparedWith { as_of: before.as_of, number: before.number, is_own }),
        project: changes,
        is_unchanged,
        comparison,
        segments,
        avoided,
        customers,
        identity,
        look,
        columns,
        sources: commit.sources.clone(),
        commit,
        checks,
        warnings,
        steps: recorder.steps(),
        elapsed_ms: recorder.elapsed_ms(),
    })
}

fn is_comparable(commit: &Commit) -> bool {
    !commit.segment_sets.is_empty() && commit.state.contains_key(publish::SEGMENT_STAYS)
}

fn columns_of(commit: &Commit) -> std::collections::BTreeMap<String, Vec<Column>> {
    commit.tables.iter().map(|(name, table)| (name.clone(), table.columns.clone())).collect()
}

/// What has changed in the project since a publication; or what somebody should know if that cannot be told.
async fn changed(prepared: &Prepared, commit: &Commit, request: &Request) -> (Option<Changes>, Option<String>) {
    match Version::published(&prepared.published, commit, &prepared.plan.project, &request.environment).await {
        Ok(Some(old)) => (Some(project::changes(&old, &Version::of(&prepared.plan), &request.environment)), None),
        Ok(None) => (None, Some(format!("the publication as of {} keeps no project, so it is not known what was edited", commit.as_of))),
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            (None, Some(format!("it is not known what was edited since the publication as of {}: {}", commit.as_of, shown::lines(why))))
        }
    }
}

/// Of the memory limit, the part in which memberships are kept beside the run. They are moved to disk beyond it.
const PART_OF_LIMIT: usize = 16;

fn kept_within(limits: Limits) -> Limits {
    Limits { memory_bytes: limits.memory_bytes / PART_OF_LIMIT, ..limits }
}

/// Why customers would be in other segments than in the publication of the same day; and what somebody should know if that is not known. Where
/// both the definition and the data differ, the definition of that publication is evaluated on today's data.
async fn known_causes(
    prepared: &Prepared,
    own: &Commit,
    changes: Option<&Changes>,
    request: &Request,
    keeper: &Engine,
) -> Result<(Option<Known>, Option<String>)> {
    let detail = changes.map(|changes| changes.definition.join(", ")).unwrap_or_default();
    let Some(rest) = data_cause(prepared, own) else {
        // Only the definition differs.
        let detail = Some(detail).filter(|detail| !detail.is_empty());
        return Ok((Some(Known::All((Cause::Definition, detail))), None));
    };
    if prepared.definition.is_of(own) || changes.is_some() && detail.is_empty() {
        return Ok((Some(Known::All(rest)), None));
    }
    Ok(match prepared.members_under(own, request, keeper).await? {
        Ok(members) => (Some(Known::ByDefinition { members, detail, rest }), None),
        Err(why) => {
            let what = format!("it is not known who would move because the project was edited since that publication: {why}");
            (Some(Known::All((Cause::Undetermined, Some("definition_unknown".to_owned())))), Some(what))
        }
    })
}

/// Why customers would be in other segments under the same definition; none if nothing but the project differs.
fn data_cause(prepared: &Prepared, own: &Commit) -> Option<Told> {
    let base = prepared.base();
    let is_alike = |own: &MadeFrom| own.extracts == prepared.made_from.extracts && own.predecessor == prepared.made_from.predecessor;
    if own.made_from.as_ref().is_some_and(is_alike) {
        return None;
    }
    let is_same_base = match (&own.predecessor, &base) {
        (Some(one), Some(other)) => one.as_of == other.as_of && one.is_like(other),
        (one, other) => one.is_none() && other.is_none(),
    };
    Some(if is_same_base { (Cause::Data, None) } else { (Cause::Undetermined, Some("predecessor".to_owned())) })
}

/// The comparison with the predecessor, which the segments step has made.
fn since(before: &Commit, commit: &Commit, segments: &[SegmentSize], customers: u64, movement: Movement) -> Comparison {
    let mut sets: Vec<ComparedSet> = Vec::new();
    for set in &commit.segment_sets {
        let of_set = segments.iter().filter(|size| size.segment_set == set.name).map(|size| {
            let (more, less) = movement.change_of(&size.segment_set, &size.segment);
            let before = (size.customers + less).saturating_sub(more);
            ComparedSegment { segment: size.segment.clone(), before, after: size.customers, is_gone: false }
        });
        sets.push(ComparedSet { segment_set: set.name.clone(), kind: set.kind.clone(), segments: of_set.collect() });
    }
    for of in movement.sets() {
        for flow in &of.flows {
            let Some(from) = &flow.from else { continue };
            let at = sets.iter().position(|set| set.segment_set == of.segment_set).unwrap_or_else(|| {
                sets.push(ComparedSet { segment_set: of.segment_set.to_owned(), kind: "overlapping".to_owned(), segments: Vec::new() });
                sets.len() - 1
            });
            if sets[at].segments.iter().all(|segment| segment.segment != *from) {
                let (more, less) = movement.change_of(of.segment_set, from);
                sets[at].segments.push(ComparedSegment {
                    segment: from.clone(),
                    before: less.saturating_sub(more),
                    after: 0,
                    is_gone: true,
                });
            }
        }
    }
    Comparison {
        pipeline: commit.pipeline.clone(),
        from: Edition { as_of: before.as_of, number: Some(before.number), customers: before.customers },
        to: Edition { as_of: commit.as_of, number: None, customers: Some(customers) },
        sets,
        merged: 0,
        movement,
        causes_known: true,
        notes: Vec::new(),
    }
}
