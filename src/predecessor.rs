//! What a run builds on: the state tables of the predecessor publication.

use futures::{StreamExt, TryStreamExt};

use crate::error::Result;
use crate::identity::Rules;
use crate::manifest::Commit;
use crate::native::{Predecessor, Rows};
use crate::plan::Plan;
use crate::publish::{IDENTITY_ALIASES, IDENTITY_MAP, Publications, SEGMENT_STAYS};

/// What is carried over from the predecessor publication.
pub struct Carried {
    /// What somebody should know of it.
    pub warnings: Vec<String>,
    /// The publication; none where there is none, or nothing that can be built on.
    pub predecessor: Option<Predecessor>,
    /// What tells whether identifiers are hashed as before; none for a project without identity step.
    pub hash_id: Option<String>,
}

impl Carried {
    /// What the commit of the predecessor publication carries over.
    ///
    /// # Errors
    /// As reading from the store fails; [`crate::error::Error::Project`] when the predecessor's files are damaged.
    pub async fn of(plan: &Plan, seen: &Publications, commit: Option<&Commit>) -> Result<Self> {
        let mut found = Carried { warnings: Vec::new(), predecessor: None, hash_id: None };
        if plan.has_identity_step() {
            found.hash_id = Some(Rules::declared(&plan.project, &plan.values)?.hash_id());
        }
        let Some(commit) = commit else { return Ok(found) };
        let mut predecessor = Predecessor::new(commit.as_of, plan.values.zone.first_moment_of(commit.as_of));
        if plan.has_identity_step() {
            predecessor = found.add_identity(predecessor, seen, commit).await?;
        }
        if !plan.project.pipeline.segments.is_empty() {
            if commit.state.contains_key(SEGMENT_STAYS) {
                let rows = || later(seen, commit, SEGMENT_STAYS);
                predecessor = predecessor.with(SEGMENT_STAYS, rows()).with_again(SEGMENT_STAYS, rows());
            } else {
                found.warnings.push(format!(
                    "the publication as of {} keeps no memory of segments, so that of this one begins anew: nobody is told to have entered or left",
                    commit.as_of
                ));
            }
        }
        found.predecessor = Some(predecessor);
        Ok(found)
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
}

/// The rows of a state table, which is opened when the first of them is asked for.
fn later(seen: &Publications, commit: &Commit, name: &'static str) -> Rows {
    let (seen, commit) = (seen.clone(), commit.clone());
    let opened =
        async move { Ok::<_, crate::error::Error>(seen.state(&commit, name).await?.unwrap_or_else(|| futures::stream::empty().boxed())) };
    futures::stream::once(opened).try_flatten().boxed()
}
