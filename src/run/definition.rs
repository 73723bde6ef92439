//! Evaluates the definition of the predecessor publication on today's data, if it is another one than today's: whose outcome differs, moved
//! because the project was edited.

use std::sync::{Arc, PoisonError};

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use chrono::NaiveDate;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt};
use indexmap::IndexSet;

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
use crate::native::{Context, ROWS_BY_CUSTOMER, no_rows};
use crate::plan::{self, Plan};
use crate::predecessor::Carried;
use crate::project::{Definition, Version};
use crate::publish::{SEGMENT_STAYS, damage};
use crate::segments::{self, CUSTOMER_ID, EarlierMemberships, EarlierOutcome, EarlierWay, OldDefinition, earlier_memberships_schema};

/// The table of the memberships under the other definition. No model can have this name.
const OTHER: &str = "\"the memberships under the earlier definition\"";

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
        let (project, values, definition) = self.kept_definition(commit, request).await?;
        let difference = self.definition.difference(&definition);
        if difference.parts.is_empty() {
            return Ok(OldDefinition::Same);
        }
        let profile = self.plan.maker(PROFILE).and_then(|node| node.model()).filter(|_| difference.is_of_rules_alone);
        let way = if let Some(profile) = profile {
            let rules = segments::compile(&project, &values, engine, &profile.schema);
            EarlierWay::Rules(told("its rules do not fit the profile", rules)?)
        } else if let Some(rows) = self.take_evaluated() {
            EarlierWay::Rows(rows)
        } else {
            steps.begin("evaluate the earlier definition");
            let rows = self.evaluate((commit.as_of, Some(commit)), request, engine, (project, values)).await;
            steps.end(None);
            EarlierWay::Rows(rows?.0)
        };
        Ok(OldDefinition::Other(EarlierOutcome { detail: difference.detail(), way }))
    }

    /// Who would be in which segment on today's data by the definition of the day's own publication, in order of customer; or why that cannot
    /// be told. `engine` keeps the rows.
    pub(super) async fn members_under(
        &self,
        own: &Commit,
        request: &Request,
        engine: &Engine,
    ) -> Result<Result<EarlierMemberships, String>> {
        let evaluated = async {
            let (project, values, _) = self.kept_definition(own, request).await?;
            self.evaluate((own.as_of, self.predecessor.as_ref()), request, engine, (project, values)).await
        };
        match Box::pin(evaluated).await {
            Ok((rows, again)) => {
                // The run asks the same of the predecessor, if that was made by the same definition.
                let is_same = |commit: &Commit| {
                    commit.definition_digest.is_some()
                        && commit.definition_digest == own.definition_digest
                        && commit.given_digest == own.given_digest
                };
                if self.predecessor.as_ref().is_some_and(is_same) {
                    *self.evaluated.lock().unwrap_or_else(PoisonError::into_inner) = Some(again);
                }
                Ok(Ok(rows))
            }
            Err(Hindrance::Fatal(error)) => Err(error),
            Err(Hindrance::Unknown(why)) => Ok(Err(why)),
        }
    }

    fn take_evaluated(&self) -> Option<EarlierMemberships> {
        self.evaluated.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The project that a publication keeps, with the parameters that it had, and what it says.
    async fn kept_definition(&self, commit: &Commit, request: &Request) -> Result<(Arc<Project>, Values, Definition), Hindrance> {
        let kept = self.published.project(commit).await?;
        let kept = kept.ok_or_else(|| Hindrance::Unknown(format!("the publication as of {} keeps no project", commit.as_of)))?;
        let version = Version::restored(kept, &self.plan.project, commit.parameters.clone(), &request.environment);
        let project = told("this Segmill cannot read the project that it keeps", version)?.project;
        let values = config::bind(&project, request.as_of, &commit.given_parameters);
        let values = told("this Segmill cannot read the project that it keeps", values)?;
        let definition = Definition::of(&project, &values.shown, &request.environment);
        if definition.given_digest != commit.given_digest {
            let why = "variables of the environment that it reads have other values now, and values are not kept";
            return Err(Hindrance::Unknown(why.to_owned()));
        }
        Ok((project, values, definition))
    }

    /// Who would be in which segment by the version of the project of a day, built on a publication; twice, for two who ask.
    async fn evaluate(
        &self,
        (of, base): (NaiveDate, Option<&Commit>),
        request: &Request,
        engine: &Engine,
        (project, values): (Arc<Project>, Values),
    ) -> Result<(EarlierMemberships, EarlierMemberships), Hindrance> {
        let plan = told("its models cannot be planned", plan::plan(project, values).await)?;
        if !plan.makes(MEMBERSHIP) {
            return Ok((futures::stream::empty().boxed(), futures::stream::empty().boxed()));
        }
        let carried = Carried::of(&plan, &self.published, base).await?;
        let own = Engine::with_text_encoding(request.limits, plan.values.zone.name(), request.text_encoding)?;
        let sources = self.sources_for(&plan, &own)?;
        let context = Context { predecessor: carried.predecessor, is_only_asked: true, ..Context::default() };
        let mut inputs = Inputs { sources, context, ..Inputs::of(&plan)? };
        inputs.given.insert(ROWS_BY_CUSTOMER.to_owned(), no_rows());
        let needed = plan.needed(MEMBERSHIP, |table| table == ROWS_BY_CUSTOMER);
        let scene = format!(" under the definition of {of}");
        let execution = Execution { plan: &plan, engine: &own, needed: Some(needed), scene };
        told("it fails on today's data", execution.run(&mut inputs, &mut Silent).await)?;
        kept_rows(&own, engine).await.map_err(|error| Hindrance::Fatal(execution.failure_of(MEMBERSHIP, &inputs, &error)))
    }

    /// Today's extracts under the contracts of another plan.
    fn sources_for(&self, plan: &Plan, engine: &Engine) -> Result<Vec<Source>, Hindrance> {
        let needed = plan.needed(MEMBERSHIP, |table| table == ROWS_BY_CUSTOMER);
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

/// Takes the memberships out of one engine, which can be dropped then, into another, in order of customer. There, segments are numbers. They
/// can be read twice.
async fn kept_rows(from: &Engine, into: &Engine) -> Result<(EarlierMemberships, EarlierMemberships), DataFusionError> {
    let key: Vec<String> = earlier_memberships_schema().fields().iter().map(|field| field.name().clone()).collect();
    let fields = vec![Field::new(CUSTOMER_ID, DataType::Utf8, false), Field::new("segment", DataType::UInt32, false)];
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let table = into.empty_table(Arc::clone(&schema));
    let mut segments: IndexSet<(String, String)> = IndexSet::new();
    let mut rows = from.stream_sorted(MEMBERSHIP, &key).await?;
    while let Some(batch) = rows.try_next().await? {
        let text = |name: &String| {
            let found = batch.column_by_name(name).ok_or_else(|| outward(Error::defect("memberships lost a column")))?;
            Ok::<_, DataFusionError>(cast(found, &DataType::Utf8)?.as_string::<i32>().clone())
        };
        let (ids, sets, names) = (text(&key[0])?, text(&key[1])?, text(&key[2])?);
        let number = |row: usize| segments.insert_full((sets.value(row).to_owned(), names.value(row).to_owned())).0;
        let numbers: UInt32Array = (0..batch.num_rows()).map(number).map(|number| u32::try_from(number).ok()).collect();
        table.push(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), Arc::new(numbers)])?)?;
    }
    let order = &key[..1];
    into.register_in_order(OTHER, table, order).map_err(outward)?;
    let segments = Arc::new(segments);
    let with_names = |rows: SendableRecordBatchStream| {
        let segments = Arc::clone(&segments);
        let rows = rows.map(move |rows| rows.and_then(|rows| named(&rows, &segments).map_err(outward)));
        rows.map_err(|error| engine::failed("the memberships under the earlier definition", &error)).boxed()
    };
    let rows = (with_names(into.stream_sorted(OTHER, order).await?), with_names(into.stream_sorted(OTHER, order).await?));
    into.forget(OTHER);
    Ok(rows)
}

/// Memberships with the names of their segments.
fn named(rows: &RecordBatch, segments: &IndexSet<(String, String)>) -> Result<RecordBatch> {
    let numbers = rows.column(1).as_primitive::<UInt32Type>();
    let text = |part: &dyn Fn(&(String, String)) -> String| {
        let name = |number: Option<u32>| segments.get_index(number? as usize).map(part);
        Arc::new(numbers.iter().map(name).collect::<StringArray>()) as ArrayRef
    };
    let columns = vec![Arc::clone(rows.column(0)), text(&|segment| segment.0.clone()), text(&|segment| segment.1.clone())];
    RecordBatch::try_new(earlier_memberships_schema(), columns)
        .map_err(|error| Error::defect(format!("memberships made no table: {error}")))
}

fn outward(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
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
