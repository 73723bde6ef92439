//! What the pipeline file says of the report, and where what it names is published.

use arrow::datatypes::DataType;

use super::read::{Published, Tables};
use crate::config::{Project, Report};
use crate::error::Result;
use crate::graph::PROFILE;
use crate::manifest::Commit;

/// What the project says of the report.
pub struct Declared<'a> {
    /// The project.
    pub project: &'a Project,
    /// Whether the profile is published.
    pub has_profile: bool,
}

impl Declared<'_> {
    /// The section itself.
    pub fn report(&self) -> &Report {
        &self.project.pipeline.report
    }

    /// The column that says what a customer spent.
    pub fn revenue(&self) -> Option<&str> {
        self.project.pipeline.profile.revenue.as_ref().map(|column| column.value.as_str())
    }

    /// Below how many customers nothing is told of a group.
    pub fn minimum_members(&self) -> u64 {
        self.report().minimum_members().max(self.project.pipeline.traits.minimum_members)
    }

    /// What a column of the profile means.
    pub fn meaning(&self, column: &str) -> Option<String> {
        self.project.pipeline.profile.columns.get(column).and_then(|said| Some(said.value.description.as_ref()?.value.clone()))
    }

    /// The base of segmentation that a column of the profile belongs to.
    pub fn base(&self, column: &str) -> Option<String> {
        self.project.pipeline.profile.columns.get(column)?.value.base.map(|base| base.word().to_owned())
    }

    /// The values that a column of the profile may have.
    pub fn accepted(&self, column: &str) -> Vec<String> {
        let domain = self.project.pipeline.profile.columns.get(column);
        domain.map(|domain| domain.value.accepted.iter().map(|value| value.value.clone()).collect()).unwrap_or_default()
    }

    /// The name under which a table is published.
    pub fn output_of(&self, model: &str) -> Option<&str> {
        self.project.pipeline.outputs.tables.iter().find(|(_, output)| output.model.value == model).map(|(name, _)| name.as_str())
    }

    /// The rows of a publication that a model is published as; none if it is not.
    ///
    /// # Errors
    /// As its files cannot be read.
    pub async fn output(&self, tables: &Tables<'_>, commit: &Commit, model: &str) -> Result<Option<Published>> {
        match self.output_of(model) {
            Some(output) => tables.table(commit, output).await,
            None => Ok(None),
        }
    }

    /// The profile of a publication; none if it is not published.
    ///
    /// # Errors
    /// As its files cannot be read.
    pub async fn profile(&self, tables: &Tables<'_>, commit: &Commit) -> Result<Option<Profile>> {
        Ok(self.output(tables, commit, PROFILE).await?.map(|rows| Profile { rows }))
    }
}

/// The published profile.
pub struct Profile {
    /// Its rows.
    pub rows: Published,
}

impl Profile {
    /// Whether it has a column.
    pub fn has(&self, column: &str) -> bool {
        self.rows.has(column)
    }

    /// The type of a column.
    pub fn type_of(&self, column: &str) -> Option<&DataType> {
        self.rows.type_of(column)
    }

    /// Whether a column says yes or no.
    pub fn is_flag(&self, column: &str) -> bool {
        self.type_of(column) == Some(&DataType::Boolean)
    }

    /// Whether a column has numbers that can be summed exactly.
    pub fn is_exact(&self, column: &str) -> bool {
        self.type_of(column).is_some_and(|of| of.is_integer() || of.is_decimal())
    }
}
