//! Evaluates the definition of the predecessor publication on today's data, if it is another one than today's: whose outcome differs, moved
//! because the project was edited.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::compute::cast;
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt};

use super::prepare::Prepared;
use super::steps::Steps;
use crate::config::{self, Project, Values};
use crate::engine::{self, Engine};
use crate::error::{Error, Result};
use crate::execute::{Execution, Inputs, Silent, Source};
use crate::graph::{MEMBERSHIP, PROFILE, SOURCES};
use crate::ingest::Extract;
use crate::job::Request;
use crate::manifest::Commit;
use crate::native::Context;
use crate::plan::{self, Plan};
use crate::predecessor::Carried;
use crate::project::{Definition, Version};
use crate::publish::{SEGMENT_STAYS, damage};
use crate::segments::{self, OldDefinition, OtherOutcome, OtherWay, other_schema};

/// The table of the memberships under the other definition. No model can have this name.
const OTHER: &str = "\"the memberships under another definition\"";

/// Why a definition cannot be evaluated, or what stopped the run that tried.
enum Hindrance {
    /// It cannot be evaluated on today's data.
    Unknown(String),
    /// The run cannot go on.
    Fatal(Error),
}

impl Prepared {
    /// How the definition of the predecessor publication compares with today's; and what somebody should know of that if it is not known.
    pub(super) async fn old_definition(
        &self,
        request: &Request,
        engine: &Engine,
        steps: &mut Steps<'_>,
    ) -> Result<(OldDefinition, Option<String>)> {
        let Some(commit) = self.predecessor.as_ref().filter(|commit| self.plan.has_memory() && commit.state.contains_key(SEGMENT_STAYS))
        else {
            return Ok((OldDefinition::Same, None));
        };
        if self.definition.is_of(commit) {
            return Ok((OldDefinition::Same, None));
        }
        match self.compare(commit, request, engine, steps).await {
            Ok(compared) => Ok((compared, None)),
            Err(Hindrance::Fatal(error)) => Err(error),
            Err(Hindrance::Unknown(why)) => {
                let what = format!(
                    "it is not known who has moved because the project was edited since {}: {why}; the causes of movements are undetermined, \
                     but for those of identities",
                    commit.as_of
                );
                Ok((OldDefinition::Unknown, Some(what)))
            }
        }
    }

    async fn compare(
        &self,
        commit: &Commit,
        request: &Request,
        engine: &Engine,
        steps: &mut Steps<'_>,
    ) -> Result<OldDefinition, Hindrance> {
        let kept = self.published.project(commit).await?;
        let kept = kept.ok_or_else(|| Hindrance::Unknown(format!("the publication as of {} keeps no project", commit.as_of)))?;
        let root: PathBuf = self.plan.project.root.clone();
        let version = Version::restored(kept, &root, commit.parameters.clone(), &request.environment);
        let project = told("this Segmill cannot read the project that it keeps", version)?.project;
        let values = config::bind(&project, request.as_of, &commit.given_parameters);
        let values = told("this Segmill cannot read the project that it keeps", values)?;
        let definition = Definition::of(&project, &values.shown, &request.environment);
        if definition.given_digest != commit.given_digest {
            let why = "variables of the environment that it reads have other values now, and values are not kept";
            return Err(Hindrance::Unknown(why.to_owned()));
        }
        let difference = self.definition.difference(&definition);
        if difference.parts.is_empty() {
            return Ok(OldDefinition::Same);
        }
        let profile = self.plan.maker(PROFILE).and_then(|node| node.model()).filter(|_| difference.is_of_rules_alone);
        let way = if let Some(profile) = profile {
            let rules = segments::compile(&project, &values, engine, &profile.schema);
            OtherWay::Rules(told("its rules do not fit the profile", rules)?)
        } else {
            steps.begin("evaluate the earlier definition");
            let way = self.evaluate(commit, request, engine, (project, values)).await;
            steps.end(None);
            way?
        };
        Ok(OldDefinition::Other(OtherOutcome { detail: difference.detail(), way }))
    }

    /// Who would be in which segment by an earlier version of the project.
    async fn evaluate(
        &self,
        commit: &Commit,
        request: &Request,
        engine: &Engine,
        (project, values): (Arc<Project>, Values),
    ) -> Result<OtherWay, Hindrance> {
        let plan = told("its models cannot be planned", plan::plan(project, values).await)?;
        if !plan.makes(MEMBERSHIP) {
            return Ok(OtherWay::Rows(futures::stream::empty().boxed()));
        }
        let carried = Carried::of(&plan, &self.published, Some(commit)).await?;
        let own = Engine::with_text_encoding(request.limits, plan.values.zone.name(), request.text_encoding)?;
        let sources = self.sources_for(&plan, &own)?;
        let context = Context { predecessor: carried.predecessor, is_only_asked: true, ..Context::default() };
        let mut inputs = Inputs { sources, context, ..Inputs::of(&plan)? };
        let needed = plan.needed(MEMBERSHIP, |_| false);
        let scene = format!(" under the definition of {}", commit.as_of);
        let execution = Execution { plan: &plan, engine: &own, needed: Some(needed), scene };
        told("it fails on today's data", execution.run(&mut inputs, &mut Silent).await)?;
        let rows = kept_rows(&own, engine).await.map_err(|error| Hindrance::Fatal(execution.failure_of(MEMBERSHIP, &inputs, &error)))?;
        Ok(OtherWay::Rows(rows.map_err(|error| engine::failed("the memberships under another definition", &error)).boxed()))
    }

    /// Today's extracts under the contracts of another plan.
    fn sources_for(&self, plan: &Plan, engine: &Engine) -> Result<Vec<Source>, Hindrance> {
        let needed = plan.needed(MEMBERSHIP, |_| false);
        let mut sources = Vec::new();
        for contract in plan.contracts.iter().filter(|contract| needed.contains(&format!("{SOURCES}.{}", contract.source))) {
            let name = &contract.source;
            let Some(extract) = self.extracts.iter().find(|extract| &extract.contract.source == name) else {
                return Err(Hindrance::Unknown(format!("it reads the source `{name}`, which is not read any more")));
            };
            if !Definition::chooses_files_alike(&self.plan.project, &plan.project, name) {
                return Err(Hindrance::Unknown(format!("the files of the source `{name}` are chosen in another way now")));
            }
            sources.push(Source::new(engine, Extract { contract: Arc::clone(contract), ..extract.clone() }));
        }
        Ok(sources)
    }
}

/// Takes the memberships out of one engine, which can be dropped then, into another, in order of customer.
async fn kept_rows(from: &Engine, into: &Engine) -> Result<SendableRecordBatchStream, datafusion::error::DataFusionError> {
    let schema = other_schema();
    let key: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let table = into.empty_table(Arc::clone(&schema));
    let mut rows = from.stream_sorted(MEMBERSHIP, &key).await?;
    while let Some(batch) = rows.try_next().await? {
        let column = |field: &Arc<arrow::datatypes::Field>| {
            let found = batch.column_by_name(field.name()).ok_or_else(|| outward(Error::defect("memberships lost a column")))?;
            Ok(cast(found, field.data_type())?)
        };
        let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, datafusion::error::DataFusionError>>()?;
        table.push(arrow::array::RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
    }
    let order = &key[..1];
    into.register_in_order(OTHER, table, order).map_err(outward)?;
    let rows = into.stream_sorted(OTHER, order).await?;
    into.forget(OTHER);
    Ok(rows)
}

fn outward(error: Error) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::External(Box::new(error))
}

/// What a failure means: that the definition cannot be evaluated on today's data, whoever tries; or something else, which ends the run.
fn told<T>(what: &str, result: Result<T>) -> Result<T, Hindrance> {
    result.map_err(|error| {
        let is_of_machine = matches!(&error, Error::Project(problems) if problems.iter().any(|problem| problem.code == "memory-limit"));
        let is_of_definition = matches!(error, Error::Refused(_) | Error::Project(_));
        if is_of_machine || !is_of_definition || damage::is_damage(&error) {
            return Hindrance::Fatal(error);
        }
        let why = error.to_string();
        Hindrance::Unknown(format!("{what}: {}", why.lines().next().unwrap_or_default()))
    })
}

impl From<Error> for Hindrance {
    fn from(error: Error) -> Self {
        Hindrance::Fatal(error)
    }
}
