//! The figures of a report, read from a publication and from those before it that its trends show: nothing is read from extracts.

mod customers;
mod declared;
mod past;
mod project;
mod quality;
mod read;
mod segments;
pub mod types;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::engine::Engine;
use crate::error::Result;
use crate::graph::{CHANGES, MEMBERSHIP, PROFILE, TRAITS};
use crate::manifest::{Commit, KeptProject};
use crate::project::Version;
use crate::publish::{Publications, damage};
use crate::record::RunRecord;
use crate::storage::Location;
use declared::{Declared, Profile};
use past::Past;
use read::Tables;
use segments::{Members, Sets};
pub use types::*;

/// A publication that is told, or what will be one.
#[derive(Debug)]
pub struct Draft<'a> {
    /// What it is.
    pub commit: &'a Commit,
    /// The project that it was made with.
    pub kept: KeptProject,
    /// The record of the run that made it; none if it is not there any more.
    pub record: Option<RunRecord>,
}

/// The figures of a publication, and of those before it at the same destination.
///
/// # Errors
/// As its files, or those of a publication before it, cannot be read.
pub async fn of(engine: &Engine, destination: &Location, seen: &Publications, draft: Draft<'_>) -> Result<Figures> {
    let Draft { commit, kept, record } = draft;
    let version = Version::as_kept(kept, commit.parameters.clone())?;
    let record = record.as_ref();
    let project = &version.project;
    let Earlier { commits: earlier, damaged } = earlier(destination, seen, commit, project.pipeline.report.publications).await?;
    let before = match earlier.last() {
        Some(before) => seen.project(before).await?.and_then(|kept| Version::as_kept(kept, before.parameters.clone()).ok()),
        None => None,
    };
    let tables = Tables::new(engine, destination)?;
    let mut declared = Declared { project, has_profile: false };
    let profile = declared.profile(&tables, commit).await?;
    declared.has_profile = profile.is_some();
    let mut days = Vec::new();
    for commit in earlier.iter().chain([commit]) {
        let totals = customers::totals(&tables, commit, &declared).await?;
        days.push(Past { totals, sizes: segments::sizes(&tables, commit, &declared).await? });
    }
    let profile_before = match earlier.last() {
        Some(before) => declared.profile(&tables, before).await?,
        None => None,
    };
    let (members, sets) = of_segments(&declared, &tables, commit, profile.as_ref(), &days).await?;
    let pipeline = &project.pipeline;
    let zone: Tz = pipeline.time_zone.as_ref().and_then(|zone| zone.value.parse().ok()).unwrap_or(Tz::UTC);
    Ok(Figures {
        pipeline: pipeline.name.value.clone(),
        title: pipeline.report.title.clone().unwrap_or_else(|| pipeline.name.value.clone()),
        description: pipeline.description.clone(),
        as_of: commit.as_of,
        previous_as_of: earlier.last().map(|before| before.as_of),
        days: earlier.iter().chain([commit]).map(|commit| commit.as_of).collect(),
        locale: pipeline.report.locale.as_ref().map_or_else(|| "en".to_owned(), |locale| locale.value.clone()),
        currency: pipeline.report.currency_code().map(str::to_owned),
        minimum_members: declared.minimum_members(),
        revenue: declared.revenue().map(|column| declared.meaning(column).unwrap_or_else(|| column.to_owned())),
        headline: customers::headline(&declared, &days),
        sets,
        heat_map: segments::heat_map(&declared, &members),
        channels: customers::channels(&declared, profile.as_ref(), &days).await?,
        engagement: customers::engagement(&declared, profile.as_ref(), profile_before.as_ref()).await?,
        lifetime_value: customers::lifetime_value(&declared, profile.as_ref()).await?,
        calibrations: record.map(|record| quality::calibrations(&record.predictions)).unwrap_or_default(),
        quality: quality::figures(project, zone, &commit.sources, record),
        project: project::figures(commit, &version, before.as_ref()),
        not_told: not_told(&declared, record, &damaged),
    })
}

/// The publications before another one.
struct Earlier {
    /// Those whose files are there, the oldest first; the last is the one that it builds on, if that is whole.
    commits: Vec<Commit>,
    /// The days of the others.
    damaged: Vec<NaiveDate>,
}

/// The publications before another one, so many with that one. Damage of an earlier day does not prevent a day from being told.
async fn earlier(destination: &Location, seen: &Publications, commit: &Commit, publications: usize) -> Result<Earlier> {
    let mut found = Earlier { commits: Vec::new(), damaged: Vec::new() };
    let Some(base) = &commit.predecessor else { return Ok(found) };
    let days: Vec<NaiveDate> = seen.by_day().range(..=base.as_of).map(|(day, _)| *day).collect();
    for day in days.iter().rev().take(publications.saturating_sub(1)).rev() {
        let read = async {
            let commit = seen.of(*day).await?;
            match &commit {
                Some(commit) => damage::whole(destination, commit).await.map(|()| Some(commit.clone())),
                None => Ok(None),
            }
        };
        match read.await {
            Ok(commit) => found.commits.extend(commit),
            Err(error) if damage::is_damage(&error) => found.damaged.push(*day),
            Err(error) => return Err(error),
        }
    }
    // What is told of the day is told beside the publication that it builds on, or beside none.
    if found.damaged.last() == Some(&base.as_of) {
        found.commits.clear();
    }
    Ok(found)
}

/// What is known of the segments.
async fn of_segments(
    declared: &Declared<'_>,
    tables: &Tables<'_>,
    commit: &Commit,
    profile: Option<&Profile>,
    days: &[Past],
) -> Result<(Members, Vec<SetFigures>)> {
    let memberships = declared.output(tables, commit, MEMBERSHIP).await?;
    let members = match (profile, &memberships) {
        (Some(profile), Some(memberships)) => Members::read(declared, profile, memberships).await?,
        _ => Members::default(),
    };
    let flows = match declared.output(tables, commit, CHANGES).await? {
        Some(changes) => segments::flows(declared, changes, profile).await?,
        None => BTreeMap::new(),
    };
    let traits = match declared.output(tables, commit, TRAITS).await? {
        Some(traits) => Some(segments::traits(declared, traits).await?),
        None => None,
    };
    let overlaps = match &memberships {
        Some(memberships) => segments::overlaps(declared, memberships).await?,
        None => BTreeMap::new(),
    };
    let sets = Sets { declared, members: &members, days, flows, traits, overlaps }.figures();
    Ok((members, sets))
}

/// The parts that cannot be told, and what to do.
fn not_told(declared: &Declared<'_>, record: Option<&RunRecord>, damaged: &[NaiveDate]) -> Vec<NotTold> {
    let pipeline = &declared.project.pipeline;
    let mut parts = Vec::new();
    let mut add = |part: &str, reason: String| parts.push(NotTold { part: part.to_owned(), reason });
    let publish = |model: &str| format!("the pipeline does not publish `{model}`: name it in `outputs: tables:`");
    if !declared.has_profile {
        add("Buyers, revenue, channels and the map of scores", publish(PROFILE));
    }
    let needed =
        [(MEMBERSHIP, "What segments spend, and how they are reached"), (CHANGES, "Who moved"), (TRAITS, "What segments are like")];
    for (model, part) in needed.into_iter().filter(|(model, _)| declared.output_of(model).is_none() && !pipeline.segments.is_empty()) {
        add(part, publish(model));
    }
    let say = |key: &str| format!("the pipeline file does not say `{key}`");
    if pipeline.profile.revenue.is_none() {
        add("Revenue", say("profile: revenue:"));
    }
    let report = &pipeline.report;
    let unsaid = [
        (report.buyers.is_none(), "Buyers", "report: buyers:"),
        (report.channels.is_empty(), "Channels", "report: channels:"),
        (report.heat_map.is_none(), "The map of scores", "report: heat_map:"),
        (report.engagement.is_none(), "Engagement", "report: engagement:"),
        (report.lifetime_value.is_none(), "Lifetime value", "report: lifetime_value:"),
    ];
    for (_, part, key) in unsaid.into_iter().filter(|(is_unsaid, ..)| *is_unsaid && declared.has_profile) {
        add(part, say(key));
    }
    for part in declared.project.lost.parts() {
        add(&format!("`{part}`"), "a variable gives it, whose value a publication does not keep".to_owned());
    }
    for day in damaged {
        let reason = "its publication is damaged: `segmill clean --repair` restores it, or `segmill run --force` publishes it again";
        add(&format!("The publication of {day}"), reason.to_owned());
    }
    if record.is_none() {
        add("Checks, identity and calibration", "the record of the run that made the publication is not there any more".to_owned());
    }
    parts
}
