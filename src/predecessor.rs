//! What a run takes from the publication of the nearest earlier day.

use futures::StreamExt;

use crate::error::Result;
use crate::identity::{Before, Rules};
use crate::manifest::Commit;
use crate::plan::Plan;
use crate::publish::{IDENTITY_ALIASES, IDENTITY_MAP, Publications};

/// Who was who.
pub struct Identity {
    /// What somebody should know of it.
    pub warnings: Vec<String>,
    /// What was published; none where nothing was, or nothing that can be compared.
    pub before: Option<Before>,
    /// What tells whether identifiers are hashed as before; none for a project without identity step.
    pub hash_id: Option<String>,
}

impl Identity {
    /// What the predecessor has published of who is who.
    ///
    /// # Errors
    /// As reading from the store fails; [`crate::error::Error::Project`] when the predecessor's files are damaged.
    pub async fn of(plan: &Plan, seen: &Publications, predecessor: Option<&Commit>) -> Result<Self> {
        let mut found = Identity { warnings: Vec::new(), before: None, hash_id: None };
        if !plan.resolves() {
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
        found.before = Some(Before { as_of: commit.as_of, as_of_micros, map, aliases });
        Ok(found)
    }
}
