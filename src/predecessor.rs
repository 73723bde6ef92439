//! What a run builds on: the state tables of the predecessor publication.

use chrono::NaiveDate;
use futures::StreamExt;

use crate::error::{Error, Result};
use crate::identity::Rules;
use crate::manifest::Commit;
use crate::native::Predecessor;
use crate::plan::Plan;
use crate::publish::{IDENTITY_ALIASES, IDENTITY_MAP, Publications};
use crate::storage::Location;

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
    pub async fn of(plan: &Plan, seen: &Publications, predecessor: Option<&Commit>) -> Result<Self> {
        let mut found = Carried { warnings: Vec::new(), predecessor: None, hash_id: None };
        if !plan.has_identity_step() {
            return Ok(found);
        }
        let hash_id = Rules::declared(&plan.project, &plan.values)?.hash_id();
        found.hash_id = Some(hash_id.clone());
        let Some(commit) = predecessor else { return Ok(found) };
        let Some(map) = seen.state(commit, IDENTITY_MAP).await? else {
            found.warnings.push(format!(
                "the publication as of {} keeps no map of identifiers, so ids begin anew, and aliases from before are forgotten",
                commit.as_of
            ));
            return Ok(found);
        };
        if commit.identity_hash_id.as_deref() != Some(hash_id.as_str()) {
            found.warnings.push(format!(
                "`salt` of `identity` is not what it was as of {}, so ids begin anew: those of personal identifiers are others now, and no alias \
                 leads from the old ones to them",
                commit.as_of
            ));
            return Ok(found);
        }
        let aliases = seen.state(commit, IDENTITY_ALIASES).await?.unwrap_or_else(|| futures::stream::empty().boxed());
        let as_of_micros = plan.values.zone.first_moment_of(commit.as_of);
        let predecessor = Predecessor::new(commit.as_of, as_of_micros);
        found.predecessor = Some(predecessor.with(IDENTITY_MAP, map).with(IDENTITY_ALIASES, aliases));
        Ok(found)
    }

    /// What is carried over for a question about a day, to which nothing is published: the newest commit, and what the day builds on. Where
    /// what is published cannot be read, ids are those of a first publication, which is a warning.
    pub async fn for_question(plan: &Plan, destination: &Location, as_of: NaiveDate) -> (Option<Commit>, Self) {
        let found = async {
            let seen = Publications::read(destination).await?;
            seen.belong_to(&plan.project.pipeline.name.value)?;
            // Only the ids of customers are taken from it.
            let predecessor = if plan.has_identity_step() { seen.before(as_of).await? } else { None };
            let carried = Carried::of(plan, &seen, predecessor.as_ref()).await?;
            Ok::<_, Error>((seen.newest().cloned(), carried))
        };
        found.await.unwrap_or_else(|error| {
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            let warning = format!("ids are those of a first publication, since what is published cannot be read: {why}");
            let warnings = plan.has_identity_step().then_some(warning).into_iter().collect();
            (None, Carried { warnings, predecessor: None, hash_id: None })
        })
    }
}
