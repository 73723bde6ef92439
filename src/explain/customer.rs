//! Why a customer is in segments, or is not: read from a publication, of which only what concerns the customer is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::error::DataFusionError;

use super::identity::{Question, check, identity, spellings};
use super::memory::{self, Memory};
use crate::config::{self, Project, Values};
use crate::diagnostic::Diagnostic;
use crate::engine::{ColumnPrivacy, Engine, Limits};
use crate::error::{Error, Message, Result};
use crate::graph::{CHANGES, MEMBERSHIP, PROFILE};
use crate::identity::Rules;
use crate::job::Request;
use crate::manifest::Commit;
use crate::plan::{self, Plan};
use crate::project::Version;
use crate::publish::{self, Found, IDENTITY_ALIASES, IDENTITY_MAP, Personal, Publications};
use crate::segments::why::{Answer, Customer, ExplainedSet, Membership, Named, Remembered, Standing, explain_set, segment_of};
use crate::segments::{CUSTOMER_ID, Domains, gives_column, readable, with_column};
use crate::storage::Stores;

/// Whose segments are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Who<'a> {
    /// The customer with an id, or with one that has become its alias.
    Customer(&'a str),
    /// The customer that an identifier leads to.
    Identity(Question<'a>),
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whose segments.
    pub who: Who<'a>,
    /// The set, if only one is meant.
    pub set: Option<&'a str>,
    /// The segment, if only one is meant.
    pub segment: Option<&'a str>,
}

/// Explains the segments of a customer as they were published for a day.
///
/// # Errors
/// As [`Explainer::open`] and [`Explainer::explain`].
pub async fn customer(request: &Request, stores: &Stores, asked: Asked<'_>) -> Result<Answer> {
    Explainer::open(request, stores, asked.set, asked.segment).await?.explain(asked.who).await
}

/// A publication and the rules of its project, to explain customers with.
pub struct Explainer<'a> {
    request: &'a Request,
    stores: &'a Stores,
    seen: Publications,
    commit: Commit,
    /// The plan whose rules are explained: of the project that the publication was made with, where that is kept.
    plan: Plan,
    /// The plan of today's project, where it is another one.
    today: Option<Plan>,
    engine: Engine,
    /// The columns of the profile as rules are compiled for them.
    profile: SchemaRef,
    declared: Domains,
    set: Option<&'a str>,
    segment: Option<&'a str>,
}

impl<'a> Explainer<'a> {
    /// Opens the publication of the day, to explain all segments, those of a set, or one.
    ///
    /// # Errors
    /// [`Error::Project`] for a set or segment that there is not, and a day that is not published; otherwise as reading from the store fails.
    pub async fn open(request: &'a Request, stores: &'a Stores, set: Option<&'a str>, segment: Option<&'a str>) -> Result<Self> {
        let project = Arc::new(config::load(&request.pipeline, &request.environment)?);
        let destination = publish::destination(request.destination.as_deref(), &project, stores)?;
        let seen = Publications::read(&destination).await?;
        seen.belong_to(&project.pipeline.name.value)?;
        let Some(commit) = seen.of(request.as_of).await? else {
            // What no project knows is told first: it would be wrong on any day.
            chosen(&project, set, segment)?;
            let what = format!("nothing as of {} is published in {}", request.as_of, destination.shown(&destination.folder()));
            let hint = format!("`segmill run --as-of {}` publishes it", request.as_of);
            return Err(Diagnostic::error("not-published", what).hint(hint).into());
        };
        let values = values(&project, request, &commit)?;
        let plan = plan::plan(project, values).await?;
        let (plan, today) = match published_plan(&plan, request, &seen, &commit).await? {
            Some(published) => (published, Some(plan)),
            None => (plan, None),
        };
        chosen(&plan.project, set, segment)?;
        let engine = Engine::new(Limits { threads: 1, ..request.limits }, plan.values.zone.name())?;
        engine.hash_with(plan.project.pipeline.identity.salt.as_deref().unwrap_or_default());
        let profile = plan.maker(PROFILE).and_then(|node| node.model().map(|model| Arc::clone(&model.schema)));
        let profile = profile.ok_or_else(|| {
            let what = format!("the pipeline has no segments, and no model `{PROFILE}` from which they would be assigned");
            let hint = "`segmill explain --identity` explains identifiers; `segmill show` shows the rows of its models";
            Error::from(Diagnostic::error("nobody-to-explain", what).hint(hint))
        })?;
        let declared = Domains::compile(&plan.project, &plan.values, &engine, &profile)?.with_bounds(&profile, &plan.bounds);
        Ok(Explainer { request, stores, seen, commit, plan, today, engine, profile, declared, set, segment })
    }

    /// Explains the segments of a customer.
    ///
    /// # Errors
    /// [`Error::Project`] for a project that does not publish the profile; otherwise as reading from the store fails.
    pub async fn explain(&self, who: Who<'_>) -> Result<Answer> {
        let project = &self.plan.project;
        let mut answer = Answer::of_nobody(self.request.as_of, self.commit.number);
        let edited = |explained: &str| {
            format!(
                "the project has been edited since number {} was published: its rules are explained as they {explained}",
                self.commit.number
            )
        };
        if self.today.is_some() {
            answer.warnings.push(edited("were then"));
        } else if self.plan.digest != self.commit.project_digest {
            answer.warnings.push(edited("are now, on the values that were published"));
        }
        (answer.customer_id, answer.named) = match who {
            Who::Customer(id) => (id.to_owned(), Named::Id),
            Who::Identity(question) => {
                let (id, named) = self.by_identity(question).await?;
                let Some(id) = id else { return Ok(Answer { customer_id: question.identifier.to_owned(), named, ..answer }) };
                (id, named)
            }
        };
        let published = Published { seen: &self.seen, commit: &self.commit, project };
        let Some((table, row)) = published.profile(&mut answer).await? else { return Ok(answer) };
        answer.personal = self.personal(table, &row.schema());
        answer.memberships = published.memberships(&answer.customer_id).await?;
        let aliases = memory::aliases(&self.seen, &self.commit, &answer.customer_id).await?;
        answer.changes = published.changes(&answer.customer_id, &aliases).await?;
        let memory = self.memory(&mut answer, &aliases).await?;
        let row = as_planned(&row, &self.profile, &mut answer.warnings)?;
        answer.reasons = reasons(&row);
        answer.sets = Some(self.sets(row, &memory)?);
        let told = disagreements(&answer);
        answer.warnings.extend(told);
        Ok(answer)
    }

    /// The customer that an identifier leads to: by the hashes that the publication keeps, or else by computing who is who.
    async fn by_identity(&self, question: Question<'_>) -> Result<(Option<String>, Named)> {
        check(&self.current().project, question)?;
        if let Some(id) = self.published_customer(question).await? {
            return Ok((Some(id), Named::Published));
        }
        let found = identity(self.request, self.stores, question).await?.found;
        Ok((only(found.into_iter().filter_map(|explained| explained.customer_id).collect())?, Named::Computed))
    }

    /// The plan of today's project, which says what is personal now and what may be looked up.
    fn current(&self) -> &Plan {
        self.today.as_ref().unwrap_or(&self.plan)
    }

    /// The customer of an identifier by the publication's map, if the project allows that and the map is one of the same secret.
    async fn published_customer(&self, question: Question<'_>) -> Result<Option<String>> {
        let project = &self.current().project;
        let Some(file) = self.commit.state.get(IDENTITY_MAP).filter(|_| project.pipeline.identity.lookup) else { return Ok(None) };
        let rules = Rules::declared(project, &self.current().values)?;
        if self.commit.identity_hash_id.as_deref() != Some(rules.hash_id().as_str()) {
            return Ok(None);
        }
        for spelling in spellings(self.current(), question.identifier) {
            let keys = rules.keys_of(question.identifier_type, &spelling);
            let rows = self.seen.find_hashes(&self.commit, file, "identifier_key", keys).await?.rows;
            // Others are those of days before, of customers of whom nothing is left.
            let is_todays = |row: &RecordBatch| memory::day(row, "last_published_on") == Some(self.commit.as_of);
            let customers: BTreeSet<String> = each(&rows).filter(is_todays).filter_map(|row| text(&row, CUSTOMER_ID)).collect();
            if let Some(id) = only(customers)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The columns of the published profile whose values are personal: by their names, by what models make them of, and by what they were
    /// made of when they were published.
    fn personal(&self, table: &str, schema: &SchemaRef) -> BTreeSet<String> {
        let profile = TableReference::bare(PROFILE);
        let plans = || [Some(&self.plan), self.today.as_ref()].into_iter().flatten();
        let published = self.commit.tables.get(table).and_then(|table| table.personal_columns.as_ref());
        let is_personal = |column: &&String| {
            let was_personal = published.is_some_and(|personal| personal.contains_key(column.as_str()));
            let is_named = |plan: &Plan| Personal::of(&plan.project.pipeline).is(table, column);
            was_personal || plans().any(|plan| is_named(plan) || is_made_of_personal(plan, &profile, column))
        };
        schema.fields().iter().map(|field| field.name()).filter(is_personal).cloned().collect()
    }

    /// What the predecessor remembers. If that cannot be read, the rules are explained without it.
    async fn memory(&self, answer: &mut Answer, aliases: &[String]) -> Result<Memory> {
        let sets = &self.plan.project.pipeline.segments;
        answer.predecessor = self.commit.predecessor.as_ref().map(|base| base.as_of);
        let memory = memory::of_predecessor(&self.seen, &self.commit, sets, &answer.customer_id, aliases).await;
        match memory {
            Ok(Some(memory)) => return Ok(memory),
            Ok(None) => {}
            Err(error) if publish::concerns_one_day(&error) || matches!(error, Error::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        if let Some(as_of) = answer.predecessor.take() {
            answer.warnings.push(format!(
                "the publication as of {as_of}, on which this one was built, was withdrawn or superseded since and is gone, so its memory is \
                 left out"
            ));
        }
        Ok(Memory::new())
    }

    /// Explains the chosen sets. All of them are looked at in order, because later ones may read earlier ones.
    fn sets(&self, mut row: RecordBatch, memory: &Memory) -> Result<Vec<ExplainedSet>> {
        let Explainer { plan, engine, profile, declared, set, segment, .. } = self;
        let chosen = chosen(&plan.project, *set, *segment)?;
        let sets = &plan.project.pipeline.segments;
        let mut explained = Vec::new();
        for (name, set) in sets {
            let columns = readable(profile, sets, name);
            let schema = DFSchema::try_from(columns.as_ref().clone()).map_err(|error| Error::defect(error.to_string()))?;
            let domains = declared.with_sets_before(profile, sets, name);
            let customer = Customer { engine, schema: &schema, parameters: &plan.values.parameters, domains: &domains, row: &row };
            let failed = |error: DataFusionError| {
                Error::Refused(Message::new(format!("a rule of the set `{name}` cannot be explained: {}", crate::sql::discreet(&error))))
            };
            let remembered: &[Remembered] = memory.get(name).map_or(&[], Vec::as_slice);
            if chosen.contains(&name.as_str()) {
                explained.push(explain_set(&customer, name, set, remembered, *segment).map_err(failed)?);
            }
            if gives_column(profile, sets, name) {
                let segment = segment_of(&customer, set, remembered).map_err(failed)?;
                let names: Vec<&str> = segment.into_iter().collect();
                let segments = [segment.map(|_| 0)];
                row = with_column(&row, name, &names, &segments).map_err(|error| Error::defect(error.to_string()))?;
            }
        }
        Ok(explained)
    }
}

/// Whether a column of the profile is or may be personal by what a plan makes it of; not where the plan does not make it.
fn is_made_of_personal(plan: &Plan, profile: &TableReference, column: &str) -> bool {
    let model = plan.maker(PROFILE).and_then(|node| node.model());
    let is_made = model.is_some_and(|model| model.schema.column_with_name(column).is_some());
    is_made && plan.personal.column(profile, column) != ColumnPrivacy::Open
}

/// The plan of the project that a publication was made with, if it is another one than today's, and is kept. One that this Segmill cannot
/// read or plan any more is passed over.
async fn published_plan(today: &Plan, request: &Request, seen: &Publications, commit: &Commit) -> Result<Option<Plan>> {
    if today.digest == commit.project_digest {
        return Ok(None);
    }
    let version = match Version::published(seen, commit, &today.project, &request.environment).await {
        Err(Error::Project(_)) => None,
        version => version?,
    };
    let Some(project) = version.map(|version| version.project) else { return Ok(None) };
    let planned = async { plan::plan(Arc::clone(&project), values(&project, request, commit)?).await };
    match planned.await {
        Err(Error::Project(_)) => Ok(None),
        planned => planned.map(Some),
    }
}

/// The sets that are asked for, by name.
fn chosen<'a>(project: &'a Project, set: Option<&str>, segment: Option<&str>) -> Result<Vec<&'a str>> {
    let sets = &project.pipeline.segments;
    let names = || sets.keys().map(String::as_str);
    if let Some(set) = set.filter(|set| !sets.contains_key(*set)) {
        let what = format!("there is no set of segments `{}`", crate::shown::name(set));
        return Err(Diagnostic::error("unknown-segment", what).did_you_mean(set, names()).into());
    }
    let of_set = |name: &&str| set.is_none_or(|set| set == *name);
    let Some(segment) = segment else { return Ok(names().filter(of_set).collect()) };
    let has = |name: &&str| sets[*name].segments.iter().any(|known| known.name.value == segment);
    let chosen: Vec<&str> = names().filter(of_set).filter(has).collect();
    if chosen.is_empty() {
        let known: BTreeSet<&str> =
            names().filter(of_set).flat_map(|name| &sets[name].segments).map(|segment| segment.name.value.as_str()).collect();
        let of = set.map(|set| format!(" in the set `{set}`")).unwrap_or_default();
        let what = format!("there is no segment `{}`{of}", crate::shown::name(segment));
        return Err(Diagnostic::error("unknown-segment", what).did_you_mean(segment, known).into());
    }
    Ok(chosen)
}

/// The values of the parameters that the publication was made with, unless others are given.
fn values(project: &Project, request: &Request, commit: &Commit) -> Result<Values> {
    let declared = &project.pipeline.parameters;
    let given = commit.given_parameters.iter().filter(|(name, _)| declared.contains_key(*name));
    let mut overrides: BTreeMap<String, String> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
    overrides.extend(request.parameters.clone());
    config::bind(project, request.as_of, &overrides)
}

/// The only customer of some; none where there is none.
fn only(customers: BTreeSet<String>) -> Result<Option<String>> {
    if customers.len() > 1 {
        let what = format!("this identifier leads to {} customers, under different types", customers.len());
        return Err(Diagnostic::error("several-customers", what).hint("name its type with `--type`").into());
    }
    Ok(customers.into_iter().next())
}

/// A publication, of which one customer is read.
struct Published<'a> {
    seen: &'a Publications,
    commit: &'a Commit,
    project: &'a Project,
}

impl<'a> Published<'a> {
    /// The output that publishes a model.
    fn output_of(&self, model: &str) -> Option<&'a str> {
        let outputs = &self.project.pipeline.outputs.tables;
        let mut names = outputs.iter().filter(|(_, output)| output.model.value == model).map(|(name, _)| name.as_str());
        names.find(|name| self.commit.tables.contains_key(*name))
    }

    async fn rows(&self, output: &str, column: &str, text: &str) -> Result<Found> {
        let mut all = Found::default();
        for file in self.commit.tables.get(output).into_iter().flat_map(|table| &table.files) {
            let found = self.seen.find(self.commit, file, column, text).await?;
            all.add(found);
        }
        Ok(all)
    }

    /// The output with the profile and the customer's row of it, found under the id or the one that the id has become an alias of.
    async fn profile(&self, answer: &mut Answer) -> Result<Option<(&'a str, RecordBatch)>> {
        let Some(output) = self.output_of(PROFILE) else {
            let what = format!("no output of the publication as of {} is the profile `{PROFILE}`", self.commit.as_of);
            let hint = format!(
                "publish it: `{PROFILE}: {{model: {PROFILE}, sort: [{CUSTOMER_ID}]}}` under `outputs: tables`, and run the day again"
            );
            return Err(Diagnostic::error("unpublished-profile", what).hint(hint).into());
        };
        let mut found = self.rows(output, CUSTOMER_ID, &answer.customer_id).await?;
        if found.rows.is_empty()
            && let Some(customer) = self.alias(&answer.customer_id).await?
        {
            found = self.rows(output, CUSTOMER_ID, &customer).await?;
            answer.named = Named::Alias(std::mem::replace(&mut answer.customer_id, customer));
        }
        answer.customers = found.rows_of_file;
        answer.unknown = found.nulls;
        Ok(found.rows.into_iter().next().map(|rows| (output, rows.slice(0, 1))))
    }

    /// The customer that an id has become an alias of.
    async fn alias(&self, id: &str) -> Result<Option<String>> {
        let Some(file) = self.commit.state.get(IDENTITY_ALIASES) else { return Ok(None) };
        let found = self.seen.find(self.commit, file, "alias_id", id).await?;
        Ok(found.rows.first().and_then(|rows| text(rows, CUSTOMER_ID)))
    }

    /// What was published of the customer's memberships.
    async fn memberships(&self, customer: &str) -> Result<Option<Vec<Membership>>> {
        let Some(output) = self.output_of(MEMBERSHIP) else { return Ok(None) };
        let rows = self.rows(output, CUSTOMER_ID, customer).await?.rows;
        Ok(Some(each(&rows).map(|row| membership(&row)).collect()))
    }

    /// What was published of changes since the predecessor publication: those of the customer, and of ids that have become its aliases, which
    /// say whose they are.
    async fn changes(&self, customer: &str, aliases: &[String]) -> Result<Vec<Membership>> {
        let Some(output) = self.output_of(CHANGES) else { return Ok(Vec::new()) };
        let rows = self.rows(output, CUSTOMER_ID, customer).await?.rows;
        let mut changes: Vec<Membership> = each(&rows).map(|row| membership(&row)).collect();
        for alias in aliases {
            let rows = self.rows(output, CUSTOMER_ID, alias).await?.rows;
            changes.extend(each(&rows).map(|row| {
                let mut change = membership(&row);
                change.others.insert(0, (CUSTOMER_ID.to_owned(), ScalarValue::from(alias.as_str())));
                change
            }));
        }
        Ok(changes)
    }
}

/// Rows one by one.
fn each(rows: &[RecordBatch]) -> impl Iterator<Item = RecordBatch> {
    rows.iter().flat_map(|rows| (0..rows.num_rows()).map(|at| rows.slice(at, 1)))
}

/// A row of a table about customers and segments.
fn membership(row: &RecordBatch) -> Membership {
    let schema = row.schema();
    let others = schema.fields().iter().zip(row.columns());
    let others = others.filter(|(field, _)| ![CUSTOMER_ID, "segment_set", "segment"].contains(&field.name().as_str()));
    let others = others.filter_map(|(field, array)| Some((field.name().clone(), ScalarValue::try_from_array(array, 0).ok()?)));
    Membership {
        segment_set: text(row, "segment_set").unwrap_or_default(),
        segment: text(row, "segment").unwrap_or_default(),
        others: others.collect(),
    }
}

/// The first text of a column.
fn text(rows: &RecordBatch, column: &str) -> Option<String> {
    let texts = cast(rows.column_by_name(column)?, &DataType::Utf8).ok()?;
    texts.as_string::<i32>().iter().next().flatten().map(str::to_owned)
}

/// A published row with the columns and types that rules are compiled for.
fn as_planned(row: &RecordBatch, schema: &SchemaRef, warnings: &mut Vec<String>) -> Result<RecordBatch> {
    let mut missing = Vec::new();
    let columns = schema.fields().iter().map(|field| match row.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()).map_err(|error| Error::defect(crate::sql::discreet(&error.into()))),
        None => {
            missing.push(field.name().as_str());
            Ok(new_null_array(field.data_type(), 1))
        }
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    if !missing.is_empty() {
        warnings.push(format!("the publication has no column {}: it counts as not known", missing.join(", ")));
    }
    let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| Error::defect(error.to_string()))
}

/// Why the customer may not be reached, by channel: what the profile has in columns such as `no_email_reason`.
fn reasons(row: &RecordBatch) -> BTreeMap<String, String> {
    let channels = ["email", "sms", "post", "web"];
    channels.into_iter().filter_map(|channel| Some((channel.to_owned(), text(row, &format!("no_{channel}_reason"))?))).collect()
}

/// Where the publication says otherwise than the rules do.
fn disagreements(answer: &Answer) -> Vec<String> {
    let mut told = Vec::new();
    for set in answer.sets.iter().flatten() {
        for segment in &set.segments {
            let published = answer.membership(&set.name, &segment.name).is_some();
            let is_member = segment.standing == Standing::Member;
            if published != is_member && answer.memberships.is_some() {
                let (says, do_not) = if published { ("has", "do not") } else { ("does not have", "would") };
                told.push(format!(
                    "the publication {says} the customer in `{}` of `{}`, and the rules on the published values {do_not}",
                    segment.name, set.name
                ));
            }
        }
    }
    told
}
