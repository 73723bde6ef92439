//! The project's own tests: given rows go through the real engine, and what comes out is compared with what is expected.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{Date32Type, SchemaRef};
use arrow::util::display::array_value_to_string;
use chrono::NaiveDate;
use datafusion::error::DataFusionError;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::cast;
use crate::clock::Doing;
use crate::config::{self, Literal, Part, Project, Spanned, span_of, span_of_part};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::engine::{self, Engine, Limits};
use crate::error::{Error, Message, Result};
use crate::graph::{EDGES, MEMBERSHIP, PROFILE, RESOLVED, SOURCES};
use crate::identity::{Resolver, Rules};
use crate::ingest;
use crate::plan::{self, Plan};
use crate::segments;
use crate::sql;

/// Cases are small.
const LIMITS: Limits = Limits { threads: 2, memory_bytes: 256 * 1024 * 1024 };
/// What stands for a missing value in a difference.
const NULL: &str = "∅";

/// A row by column. A column that is not named is null where it is given, and not compared where none of the expected rows names it.
type Row = Spanned<IndexMap<String, Option<String>>>;

/// A case as a file in `tests/models` writes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What must hold.
    name: Spanned<String>,
    /// The model that is asked, or `segment_membership` for the segment rules.
    model: Spanned<String>,
    /// The day that it is asked as of.
    as_of: Spanned<String>,
    /// Parameters that differ from their defaults.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Literal>")]
    parameters: BTreeMap<String, String>,
    /// Rows by table: sources, or models in the place of what they would compute. What is not given has no rows, or is computed.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, Vec<IndexMap<String, Option<Literal>>>>")]
    given: Option<Spanned<IndexMap<String, Vec<Row>>>>,
    /// What was published before, for the ids that customers keep.
    #[serde(default)]
    published: Option<Published>,
    /// The rows that must come out, in any order.
    #[schemars(with = "Vec<IndexMap<String, Option<Literal>>>")]
    expect: Vec<Row>,
}

/// A publication before the case's day.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Published {
    /// The day that it was as of.
    as_of: Spanned<String>,
    /// Its identifiers, each with the customer that it led to.
    identifiers: Vec<Known>,
}

/// An identifier of a customer who was published.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Its type.
    identifier_type: String,
    /// The identifier.
    #[schemars(with = "Literal")]
    identifier: String,
    /// The customer's id.
    #[schemars(with = "Literal")]
    customer_id: String,
}

impl Case {
    /// The rows given for a table.
    fn given(&self, table: &str) -> Option<&Vec<Row>> {
        self.given.as_ref()?.value.get(table)
    }

    fn day(&self, file: &Arc<SourceFile>) -> Result<NaiveDate> {
        day(file, &self.as_of)
    }
}

fn day(file: &Arc<SourceFile>, written: &Spanned<String>) -> Result<NaiveDate> {
    written.value.parse().map_err(|_| {
        let problem = Diagnostic::error("invalid-day", format!("`{}` is not a day", written.shown()));
        problem.at(span_of(file, written)).hint("write it as 2011-12-10").into()
    })
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CaseResult {
    /// The file.
    pub file: String,
    /// The model.
    pub model: String,
    /// The case.
    pub case: String,
    /// The columns that were compared.
    pub columns: Vec<String>,
    /// Rows that were expected and did not come out.
    pub missing: Vec<Vec<String>>,
    /// Rows that came out and were not expected.
    pub unexpected: Vec<Vec<String>>,
}

impl CaseResult {
    /// Whether what came out is what was expected.
    pub fn passed(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }
}

/// The JSON Schema of a file of cases.
pub fn schema() -> serde_json::Value {
    config::schema_of::<Vec<Case>>()
}

/// Runs every case of the files in `tests/models`, and says which.
///
/// # Errors
/// [`Error::Project`] with everything that is wrong with the cases themselves; a difference is no error.
pub async fn run(project: &Arc<Project>, doing: &Doing) -> Result<Vec<CaseResult>> {
    let folder = project.root.join("tests/models");
    let mut results = Vec::new();
    // Most cases share their day and parameters, and so their plan.
    let mut plans: BTreeMap<(NaiveDate, BTreeMap<String, String>), Plan> = BTreeMap::new();
    for file in config::read_files(&folder, "yaml")? {
        let cases: Vec<Case> = config::parse(&file, &config::Environment::new())?;
        for case in cases {
            doing.begins(format!("the case `{}` of `{}`", case.name.shown(), case.model.shown()));
            let key = (case.day(&file)?, case.parameters.clone());
            if !plans.contains_key(&key) {
                let values = config::bind(project, key.0, &key.1)?;
                plans.insert(key.clone(), plan::plan(Arc::clone(project), values).await?);
            }
            results.push(run_case(&plans[&key], &file, &case).await?);
        }
    }
    if results.is_empty() {
        let what = format!("there are no cases in {}", shown(&folder));
        return Err(Diagnostic::error("no-cases", what).hint("write given rows and expected rows, as the shipped project does").into());
    }
    Ok(results)
}

/// What is wrong with the cases of a project, told without running one; with a plan, also which names in them are none.
pub fn problems(project: &Project, plan: Option<&Plan>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let files = match config::read_files(&project.root.join("tests/models"), "yaml") {
        Ok(files) => files,
        Err(Error::Project(found)) => return found,
        Err(_) => return problems,
    };
    for file in files {
        let parsed: config::Parsed<Vec<Case>> = config::parse_what_is_right(&file, &config::Environment::new());
        problems.extend(parsed.problems);
        for case in parsed.value.into_iter().flatten() {
            match case.day(&file) {
                Ok(day) => {
                    let bound = config::bind_what_is_right(project, day, &case.parameters).map(|(_, found)| found).unwrap_or_default();
                    // What is wrong with the project itself has a place, and has been told.
                    let of_case = bound.into_iter().filter(|problem| problem.span.is_none());
                    problems.extend(of_case.map(|problem| Diagnostic { hint: None, ..problem.at(span_of(&file, &case.name)) }));
                }
                Err(Error::Project(found)) => problems.extend(found),
                Err(_) => {}
            }
            problems.extend(plan.map(|plan| unknown_names(plan, &file, &case)).unwrap_or_default());
        }
    }
    problems
}

/// Every table that is given, and the model that is asked, must be there.
fn unknown_names(plan: &Plan, file: &Arc<SourceFile>, case: &Case) -> Vec<Diagnostic> {
    let sources = plan.contracts.iter().map(|contract| format!("{SOURCES}.{}", contract.source));
    let models = plan.models.iter().map(|model| model.node.model.name());
    let known: BTreeSet<String> = sources.chain(models).collect();
    let names = known.iter().map(String::as_str);
    let wrong = |name: &str| Diagnostic::error("unknown-table", format!("there is no table `{name}`")).did_you_mean(name, names.clone());
    let model = &case.model;
    let mut problems: Vec<Diagnostic> = Vec::new();
    if !known.contains(&model.value) && model.value != MEMBERSHIP {
        problems.push(wrong(&model.value).at(span_of(file, model)));
    }
    if let Some(given) = &case.given {
        let unknown = given.value.keys().filter(|name| !known.contains(*name));
        problems.extend(unknown.map(|name| wrong(name).at(span_of_part(file, given, Part::Key(name)))));
    }
    problems
}

async fn run_case(plan: &Plan, file: &Arc<SourceFile>, case: &Case) -> Result<CaseResult> {
    let bench = Bench { engine: Engine::new(LIMITS, plan.values.zone.name())?, plan, file, case };
    plan::register_reference(&bench.engine, &plan.project, &plan.values)?;
    let problems = unknown_names(plan, file, case);
    if !problems.is_empty() {
        return Err(Error::Project(problems));
    }
    let found = bench.compute().await?;
    bench.compare(&found)
}

/// A case on the engine.
struct Bench<'a> {
    engine: Engine,
    plan: &'a Plan,
    file: &'a Arc<SourceFile>,
    case: &'a Case,
}

impl Bench<'_> {
    /// Computes the model from what is given.
    async fn compute(&self) -> Result<Vec<RecordBatch>> {
        let target = if self.case.model.value == MEMBERSHIP { PROFILE } else { self.case.model.value.as_str() };
        let needed = self.needed(target);
        for contract in self.plan.contracts.iter().filter(|contract| needed.contains(&format!("{SOURCES}.{}", contract.source))) {
            let name = format!("{SOURCES}.{}", contract.source);
            let kept = self.given_source(&name, contract).await?;
            self.engine.register_batches(&name, Arc::clone(&contract.schema), vec![kept])?;
        }
        let mut found = Vec::new();
        for model in self.plan.models.iter().filter(|model| needed.contains(&model.node.model.name())) {
            let name = model.node.model.name();
            let (schema, batches) = match self.case.given(&name) {
                Some(rows) => {
                    let given = self.typed(&name, rows, &model.schema)?;
                    (given.schema(), vec![given])
                }
                None => {
                    let computed = async {
                        let planned = self.engine.plan(&model.node.statement, &self.plan.values.parameters).await?;
                        self.engine.collect(self.engine.frame(planned)).await
                    };
                    computed.await.map_err(|error| {
                        if engine::is_want_of_room(&error) {
                            return engine::failed(&format!("`{name}` in the case `{}`", self.case.name.shown()), &error);
                        }
                        let what = format!("`{name}` failed in the case `{}`: {}", self.case.name.shown(), sql::discreet(&error));
                        let mut message = Message::new(what);
                        message.details = sql::places(sql::suspects(&model.node.model.file, &model.node.statement, sql::kind(&error)));
                        Error::Refused(message)
                    })?
                }
            };
            if name == target {
                found.clone_from(&batches);
            }
            if name == EDGES {
                self.resolve(&batches)?;
            }
            if name == PROFILE && needed.contains(MEMBERSHIP) {
                let memberships = segments::assign(&self.plan.rules, &batches)?.into_memberships().collect::<Result<Vec<_>>>()?;
                self.engine.register_batches(MEMBERSHIP, segments::membership_schema(), memberships)?;
            }
            self.engine.register_batches(&name, schema, batches)?;
        }
        if self.case.model.value == MEMBERSHIP {
            segments::assign(&self.plan.rules, &found)?.into_memberships().collect()
        } else {
            Ok(found)
        }
    }

    /// Finds who is who from the case's edges.
    fn resolve(&self, edges: &[RecordBatch]) -> Result<()> {
        let resolver = Resolver::new(Rules::declared(&self.plan.project, &self.plan.values)?, 1);
        edges.iter().try_for_each(|batch| resolver.push(batch))?;
        let joined = resolver.join()?;
        let Some(published) = &self.case.published else {
            return joined.name().register(&self.engine, RESOLVED);
        };
        let as_of = day(self.file, &published.as_of)?;
        let identifiers: Vec<(String, String, String)> = published
            .identifiers
            .iter()
            .map(|known| (known.identifier_type.clone(), known.identifier.clone(), known.customer_id.clone()))
            .collect();
        let mut heirs = joined.heirs(self.plan.values.zone.first_moment_of(as_of));
        heirs.take_published(Date32Type::from_naive_date(as_of), &identifiers)?;
        heirs.name()?.register(&self.engine, RESOLVED)
    }

    /// The tables that a model needs, itself among them. What is given needs nothing.
    fn needed(&self, target: &str) -> BTreeSet<String> {
        let mut needed = BTreeSet::new();
        let mut waiting = vec![target.to_owned()];
        while let Some(name) = waiting.pop() {
            let given = self.case.given(&name).is_some();
            if needed.insert(name.clone()) && !given {
                let node = self.plan.models.iter().find(|model| model.node.model.name() == name);
                waiting.extend(node.into_iter().flat_map(|model| model.node.needs()));
                // Memberships are made from the profile.
                waiting.extend((name == MEMBERSHIP).then(|| PROFILE.to_owned()));
            }
        }
        needed
    }

    /// The given rows of a source after its contract: cast, checked, within the window, without duplicates.
    async fn given_source(&self, name: &str, contract: &Arc<ingest::Contract>) -> Result<RecordBatch> {
        let none = Vec::new();
        let rows = self.case.given(name).unwrap_or(&none);
        let columns: Vec<&str> = contract.columns.iter().map(|column| column.name.as_str()).collect();
        self.check_columns(name, rows, &columns)?;
        let raw: Vec<Option<ArrayRef>> = columns.iter().map(|column| Some(texts(rows, column))).collect();
        let all: Vec<usize> = (0..columns.len()).collect();
        let checked = contract.check(&raw, rows.len(), &[], &all)?;
        let broken = |fault: &ingest::Fault| {
            let column = columns[fault.column];
            Diagnostic::error("broken-case", format!("a given row breaks the contract of `{name}`"))
                .at(span_of_part(self.file, &rows[fault.row], Part::Value(column)))
                .label(format!("`{column}`: {}", fault.reason.replace('-', " ")))
                .hint("give what the source's contract accepts, or else expect nothing of the row and leave it out")
        };
        if !checked.faults.is_empty() {
            return Err(Error::Project(checked.faults.iter().map(broken).collect()));
        }
        let defect = |error: DataFusionError| Error::defect(error.to_string());
        let kept = RecordBatch::try_new(Arc::clone(&contract.schema), checked.kept).map_err(|error| defect(error.into()))?;
        ingest::latest_of(&self.engine, contract, kept).await.map_err(|error| engine::failed("a case", &error))
    }

    /// Given rows of a model, with the types that it would compute.
    fn typed(&self, name: &str, rows: &[Row], schema: &SchemaRef) -> Result<RecordBatch> {
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        self.check_columns(name, rows, &columns)?;
        let mut arrays = Vec::new();
        for field in schema.fields() {
            let texts = texts(rows, field.name());
            let typed = cast::safely(&texts, field.data_type()).map_err(|error| Error::defect(error.to_string()))?;
            if let Some(row) = (0..rows.len()).find(|&row| typed.is_null(row) && texts.is_valid(row)) {
                let what = format!("a given `{}` of `{name}` is no {}", field.name(), field.data_type());
                let place = span_of_part(self.file, &rows[row], Part::Value(field.name()));
                return Err(Diagnostic::error("broken-case", what).at(place).into());
            }
            arrays.push(typed);
        }
        let nullable: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let schema = Arc::new(arrow::datatypes::Schema::new(nullable));
        RecordBatch::try_new(schema, arrays).map_err(|error| Error::defect(error.to_string()))
    }

    fn check_columns(&self, name: &str, rows: &[Row], columns: &[&str]) -> Result<()> {
        let unknown = |row: &Row| {
            let wrong = row.value.keys().find(|key| !columns.contains(&key.as_str()))?;
            let problem = Diagnostic::error("unknown-column", format!("`{name}` has no column `{wrong}`"));
            let problem = problem.at(span_of_part(self.file, row, Part::Key(wrong))).label("not a column of it");
            Some(problem.did_you_mean(wrong, columns.iter().copied()))
        };
        let problems: Vec<Diagnostic> = rows.iter().filter_map(unknown).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
    }

    /// Compares what came out with what was expected, on the columns that the expected rows name.
    fn compare(&self, found: &[RecordBatch]) -> Result<CaseResult> {
        let mut columns: Vec<String> = Vec::new();
        for name in self.case.expect.iter().flat_map(|row| row.value.keys()) {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        if let Some(batch) = found.first() {
            let schema = batch.schema();
            let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            self.check_columns(&self.case.model.value, &self.case.expect, &known)?;
            if columns.is_empty() {
                columns = known.iter().map(|name| (*name).to_owned()).collect();
            }
        }
        let expected = self.case.expect.iter().map(|row| cells(&columns, |name| row.value.get(name).cloned().flatten())).collect();
        let mut out = Vec::new();
        for batch in found {
            let arrays: Vec<_> = columns.iter().filter_map(|name| batch.column_by_name(name)).collect();
            for row in 0..batch.num_rows() {
                let cell = |array: &&ArrayRef| {
                    if array.is_null(row) { NULL.to_owned() } else { array_value_to_string(array, row).unwrap_or_default() }
                };
                out.push(arrays.iter().map(cell).collect());
            }
        }
        let (missing, unexpected) = difference(expected, out);
        Ok(CaseResult {
            file: self.file.path.clone(),
            model: self.case.model.value.clone(),
            case: self.case.name.value.clone(),
            columns,
            missing,
            unexpected,
        })
    }
}

/// A column of given rows as text.
fn texts(rows: &[Row], column: &str) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row.value.get(column).cloned().flatten()).collect::<StringArray>())
}

fn cells(columns: &[String], value: impl Fn(&String) -> Option<String>) -> Vec<String> {
    columns.iter().map(|column| value(column).unwrap_or_else(|| NULL.to_owned())).collect()
}

/// What is only in the first and what is only in the second, in order; a row may be there several times.
fn difference(mut expected: Vec<Vec<String>>, found: Vec<Vec<String>>) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let mut unexpected = Vec::new();
    for row in found {
        match expected.iter().position(|other| same(other, &row)) {
            Some(at) => drop(expected.remove(at)),
            None => unexpected.push(row),
        }
    }
    expected.sort();
    unexpected.sort();
    (expected, unexpected)
}

/// Whether two rows say the same: numbers may differ in the zeros they end with.
fn same(one: &[String], other: &[String]) -> bool {
    let plain = |text: &str| -> String {
        let numeric = text.contains('.') && text.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.');
        if numeric { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| plain(a) == plain(b))
}

fn shown(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}
