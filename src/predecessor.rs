//! What a run builds on: the state tables of the predecessor publication.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};

use crate::config::Environment;
use crate::error::{Error, Result};
use crate::graph::{DeclaredKind, Signature};
use crate::identity::Rules;
use crate::manifest::Commit;
use crate::native::{IDENTITY_SIGNATURE, Predecessor, Rows, SEGMENTS_SIGNATURE};
use crate::plan::Plan;
use crate::project::Definition;
use crate::publish::{
    CUSTOMER_ROWS, IDENTITY_ALIASES, IDENTITY_MAP, Publications, SEGMENT_INPUTS, SEGMENT_STAYS, SOURCE_ROWS, cluster_members,
    cluster_numbers,
};
use crate::segments::OldDefinition;
use crate::storage::Location;

/// What is carried over from the predecessor publication.
pub struct Carried {
    /// What somebody should know of it.
    pub warnings: Vec<String>,
    /// The publication; none where there is none, or nothing that can be built on.
    pub predecessor: Option<Predecessor>,
    /// What tells whether identifiers are hashed as before; none for a project without identity step.
    pub hash_id: Option<String>,
    /// How its definition compares with that of the plan, as far as is known without evaluating it.
    pub old_definition: OldDefinition,
}

impl Carried {
    /// What the commit of the predecessor publication carries over.
    ///
    /// # Errors
    /// As reading from the store fails; [`Error::Project`] when the predecessor's files are damaged.
    pub async fn of(plan: &Plan, seen: &Publications, commit: Option<&Commit>) -> Result<Self> {
        Self::for_steps(plan, seen, commit, (plan.has_identity_step(), plan.has_memory()), &|_| true).await
    }

    /// What is carried over for the identity step and for the segments step, if they are computed, and for the clusters that are.
    async fn for_steps(
        plan: &Plan,
        seen: &Publications,
        commit: Option<&Commit>,
        (ids, memory): (bool, bool),
        is_computed: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Self> {
        let mut found = Carried { warnings: Vec::new(), predecessor: None, hash_id: None, old_definition: OldDefinition::Same };
        if plan.has_identity_step() {
            found.hash_id = Some(Rules::declared(&plan.project, &plan.values)?.hash_id());
        }
        let Some(commit) = commit else { return Ok(found) };
        let mut predecessor = Predecessor::new(commit.as_of, plan.values.zone.first_moment_of(commit.as_of));
        if ids {
            predecessor = found.add_identity(predecessor, seen, commit).await?;
        }
        if memory {
            if commit.state.contains_key(SEGMENT_STAYS) {
                let rows = || later(seen, commit, SEGMENT_STAYS);
                // Ids that have ended are looked for by today's names of segments, and by those of another definition.
                predecessor = predecessor.with(SEGMENT_STAYS, rows()).with_again(SEGMENT_STAYS, rows()).with_again(SEGMENT_STAYS, rows());
                predecessor = found.add_causes(predecessor, seen, commit);
            } else {
                found.warnings.push(format!(
                    "the publication as of {} keeps no memory of segments, so that of this one begins anew: nobody is told to have entered or left",
                    commit.as_of
                ));
            }
        }
        for name in plan.clusters().filter(|name| is_computed(name)) {
            predecessor = Self::add_clusters(predecessor, seen, commit, name);
        }
        found.predecessor = Some(predecessor);
        Ok(found)
    }

    /// Adds that by which the causes of changes are found, if all of it is there.
    fn add_causes(&mut self, predecessor: Predecessor, seen: &Publications, commit: &Commit) -> Predecessor {
        const TABLES: [&str; 3] = [SEGMENT_INPUTS, CUSTOMER_ROWS, SOURCE_ROWS];
        if !TABLES.iter().all(|table| commit.state.contains_key(*table)) {
            self.warnings.push(format!(
                "the publication as of {} keeps nothing by which the causes of changes could be found, so that those are `undetermined` whose \
                 cause is neither the identity nor the definition",
                commit.as_of
            ));
            return predecessor;
        }
        TABLES.into_iter().fold(predecessor, |predecessor, table| predecessor.with(table, later(seen, commit, table)))
    }

    /// Adds the groups that customers were in, if they are there.
    fn add_clusters(predecessor: Predecessor, seen: &Publications, commit: &Commit, clusters: &str) -> Predecessor {
        let tables = [cluster_members(clusters), cluster_numbers(clusters)];
        if !tables.iter().all(|table| commit.state.contains_key(table)) {
            return predecessor;
        }
        tables.into_iter().fold(predecessor, |predecessor, table| {
            let rows = later(seen, commit, &table);
            predecessor.with(table, rows)
        })
    }

    /// Adds the map of identifiers and the ids that have ended, if they can be built on.
    async fn add_identity(&mut self, predecessor: Predecessor, seen: &Publications, commit: &Commit) -> Result<Predecessor> {
        let Some(map) = seen.state(commit, IDENTITY_MAP).await? else {
            self.warnings.push(format!(
                "the publication as of {} keeps no map of identifiers, so ids begin anew, and aliases from before are forgotten",
                commit.as_of
            ));
            return Ok(predecessor);
        };
        if commit.identity_hash_id != self.hash_id {
            self.warnings.push(format!(
                "`salt` of `identity` is not what it was as of {}, so ids begin anew: those of personal identifiers are others now, and no alias \
                 leads from the old ones to them",
                commit.as_of
            ));
            return Ok(predecessor);
        }
        let aliases = seen.state(commit, IDENTITY_ALIASES).await?.unwrap_or_else(|| futures::stream::empty().boxed());
        Ok(predecessor.with(IDENTITY_MAP, map).with(IDENTITY_ALIASES, aliases))
    }

    /// What is carried over for a question about a day, to which nothing is published: the newest commit, and what the day builds on, as far
    /// as the tables that are computed need it. Where what is published cannot be read, the day is that of a first publication, which is a
    /// warning.
    pub async fn for_question(
        plan: &Plan,
        destination: &Location,
        as_of: NaiveDate,
        computed: &BTreeSet<String>,
        environment: &Environment,
    ) -> (Option<Commit>, Self) {
        let makes_any = |signature: &Signature| signature.makes.iter().any(|table| computed.contains(table.name));
        let ids = plan.has_identity_step() && makes_any(&IDENTITY_SIGNATURE);
        let memory = plan.has_memory() && makes_any(&SEGMENTS_SIGNATURE);
        let is_computed = |clusters: &str| computed.contains(&DeclaredKind::Clusters.table(clusters));
        let clusters = plan.clusters().any(is_computed);
        let is_first = match (ids, memory, clusters) {
            (true, false, false) => "ids are those of a first publication",
            (false, true, false) => "who is in which segment is not remembered",
            (false, false, true) => "clusters have the numbers of a first publication",
            (true, true, false) => "ids and segments are those of a first publication",
            _ => "ids, segments and clusters are those of a first publication",
        };
        let found = async {
            let seen = Publications::read(destination).await?;
            seen.belong_to(&plan.project.pipeline.name.value)?;
            let predecessor = if ids || memory || clusters { seen.before(as_of).await? } else { None };
            let mut carried = Self::for_steps(plan, &seen, predecessor.as_ref(), (ids, memory), &is_computed).await?;
            // Nothing is evaluated twice for a question.
            if let Some(commit) = predecessor.as_ref().filter(|_| memory)
                && !Definition::of(&plan.project, &plan.values.shown, environment).is_of(commit)
            {
                carried.old_definition = OldDefinition::Unknown;
            }
            Ok::<_, Error>((seen.newest().cloned(), carried))
        };
        found.await.unwrap_or_else(|error| {
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            let warning = format!("{is_first}, since what is published cannot be read: {why}");
            let warnings = (ids || memory || clusters).then_some(warning).into_iter().collect();
            (None, Carried { warnings, predecessor: None, hash_id: None, old_definition: OldDefinition::Same })
        })
    }
}

/// The rows of a state table, which is opened when the first of them is asked for.
fn later(seen: &Publications, commit: &Commit, name: &str) -> Rows {
    let (seen, commit, name) = (seen.clone(), commit.clone(), name.to_owned());
    let opened = async move { Ok::<_, Error>(seen.state(&commit, &name).await?.unwrap_or_else(|| futures::stream::empty().boxed())) };
    futures::stream::once(opened).try_flatten().boxed()
}
