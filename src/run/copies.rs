//! Brings the copies of outputs in Delta Lake tables up to date, after a run has published or found nothing to publish.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Message, Result};
use crate::plan::Plan;
use crate::publish::delta::{CopiedTable, Copies, is_followed};
use crate::storage::{Location, Stores};

/// The copies that a run brings up to date, if the pipeline file asks for any.
#[derive(Default)]
pub struct Copying {
    copies: Option<Copies>,
    /// Why there are none although the pipeline file asks for them.
    pub warning: Option<String>,
}

impl Copying {
    /// The copies of a project.
    ///
    /// # Errors
    /// [`Error::Project`] when their location cannot be used.
    pub fn of(plan: &Plan, destination: &Location, stores: &Stores) -> Result<Self> {
        let project = &plan.project;
        let Some(asked) = &project.pipeline.outputs.delta else { return Ok(Copying { copies: None, warning: None }) };
        if !is_followed(project, destination, stores)? {
            let warning = "nothing was copied to Delta Lake: the tables there follow the destination that the pipeline file names, and \
                           `--destination` names another";
            return Ok(Copying { copies: None, warning: Some(warning.to_owned()) });
        }
        let described = plan.dictionary.published.iter().filter_map(|column| {
            let key = (column.table.clone(), column.column.clone());
            column.description.clone().map(|description| (key, description))
        });
        let copies = Copies::of(project, asked, destination, described.collect::<BTreeMap<_, _>>(), stores)?;
        copies.refuse_own(project, &BTreeSet::from([plan.values.as_of]), stores)?;
        Ok(Copying { copies: Some(copies), warning: None })
    }

    /// Whether anything is copied.
    pub fn is_asked(&self) -> bool {
        self.copies.is_some()
    }

    /// Brings the copies up to date with what is published at a destination, of which the newest for people is `commit_shown`.
    ///
    /// # Errors
    /// As copying fails; the error says that the publication stands.
    pub async fn bring_up_to_date(&self, destination: &Location, run_id: &str, commit_shown: &str) -> Result<Vec<CopiedTable>> {
        let Some(copies) = &self.copies else { return Ok(Vec::new()) };
        copies.bring_up_to_date(destination, run_id).await.map_err(|error| behind(commit_shown, error))
    }
}

/// A failure after the commit: the tables are published, and their copies are behind.
fn behind(commit_shown: &str, error: Error) -> Error {
    let published = format!("published as {commit_shown}, but the copies in Delta Lake are not up to date");
    match error {
        Error::Project(mut problems) => {
            if let Some(first) = problems.first_mut() {
                first.message = format!("{published}: {}", first.message);
            }
            Error::Project(problems)
        }
        Error::Defect(message) => Error::Defect(Message { what: format!("{published}: {}", message.what), ..message }),
        Error::Stopped(..) => error,
        other => {
            let why = other.to_string();
            Error::Unavailable(
                Message::new(published)
                    .detail(why.lines().next().unwrap_or_default())
                    .hint("run again: it publishes nothing if nothing has changed, and brings them up to date"),
            )
        }
    }
}
