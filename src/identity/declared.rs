//! The identity step of a project: its declared rules, and running it on `identity.edges`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Date32Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::{BlockList, Joined, MAX_TYPES, Resolution, Resolver, Rules, TypeRule, edges_schema};
use crate::config::{IdentifierType, Part, Project, Values, key_span, span_of, span_of_part};
use crate::diagnostic::Diagnostic;
use crate::engine::{Engine, Reservation, failed};
use crate::error::{Error, Result};
use crate::sql;

/// The model of edges.
const EDGES: &str = "identity.edges";
const DAY_MICROS: i64 = 86_400_000_000;

impl Rules {
    /// The rules that a project declares, as of a day.
    ///
    /// # Errors
    /// [`Error::Project`] with every block list that is no pattern, and with more types than can be told apart.
    pub fn declared(project: &Project, values: &Values) -> Result<Rules> {
        let mut problems = Vec::new();
        let identity = &project.pipeline.identity;
        if identity.types.len() > MAX_TYPES {
            problems.push(Diagnostic::error("identity-edges", format!("there are more than {MAX_TYPES} types of identifiers")));
        }
        let mut types = Vec::new();
        for (name, declared) in &identity.types {
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
                let what = format!("a type of identifiers cannot be called {name:?}");
                problems.push(
                    Diagnostic::error("identifier-type", what)
                        .at(key_span(&project.file, name, declared))
                        .hint("ids begin with the type's name and a colon: give it a name of letters, digits, `_`, `-` and `.`"),
                );
            }
            let of_list = || span_of_part(&project.file, declared, Part::Value("blocked"));
            if declared.value.blocked.iter().any(|entry| entry.trim().is_empty() || entry.chars().all(|c| c == '*')) {
                problems.push(
                    Diagnostic::error(
                        "invalid-pattern",
                        format!("the block list of `{name}` has an entry that blocks everything or nothing"),
                    )
                    .at(of_list())
                    .hint("blanks are blocked already; a `*` stands for any characters, so leave an entry of stars alone out"),
                );
            }
            match type_rule(name, &declared.value, &project.pipeline.null_values) {
                Ok(rule) => types.push(rule),
                Err(why) => problems.push(
                    Diagnostic::error("invalid-pattern", format!("the block list of `{name}` cannot be used: {why}"))
                        .at(of_list())
                        .hint("a `*` stands for any characters; the rest is taken as it is written"),
                ),
            }
        }
        if identity.salt.as_ref().is_some_and(|salt| salt.trim().is_empty()) {
            problems.push(
                Diagnostic::error("blank-salt", "the `salt` of `identity` is blank")
                    .hint("give its variable a secret, or leave `salt` out: then ids of personal identifiers can be found by trying"),
            );
        }
        for (at, source) in identity.trust.iter().enumerate() {
            let is_blank = source.value.trim().is_empty();
            if is_blank || identity.trust[..at].iter().any(|other| other.value == source.value) {
                let what = if is_blank { "a blank".to_owned() } else { format!("`{}` twice", source.shown()) };
                let problem = Diagnostic::error("invalid-trust", format!("the trust order of `identity` names {what}"));
                problems.push(
                    problem.at(span_of(&project.file, source)).hint("name each source of `identity.edges` once, the most trusted first"),
                );
            }
        }
        if !problems.is_empty() {
            return Err(Error::Project(problems));
        }
        let edges = project.models.iter().find(|model| model.name() == EDGES);
        Ok(Rules {
            types,
            trust: identity.trust.iter().map(|source| source.value.clone()).collect(),
            sources: edges.map(|model| sql::texts(&model.file.text)).unwrap_or_default(),
            as_of_micros: values.as_of_micros,
            as_of_days: Date32Type::from_naive_date(values.as_of),
            salt: identity.salt.clone().unwrap_or_default(),
        })
    }
}

fn type_rule(name: &str, declared: &IdentifierType, null_values: &[String]) -> Result<TypeRule, regex::Error> {
    Ok(TypeRule {
        name: name.to_owned(),
        standalone: declared.standalone,
        personal: declared.personal,
        max_per_customer: declared.max_per_customer,
        max_customers: declared.max_customers,
        transferable: declared.transferable,
        valid_micros: declared.valid_days.map(|days| i64::from(days) * DAY_MICROS),
        blocked: BlockList::new(declared.blocked.iter().map(String::as_str))?.with_words(null_values.iter().map(String::as_str)),
    })
}

/// What is wrong with the model `identity.edges`, given its columns.
pub fn check_edges(project: &Project, file: &Arc<crate::diagnostic::SourceFile>, schema: &SchemaRef) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut wrong = |what: String, hint: String| {
        problems.push(Diagnostic::error("identity-edges", what).at(sql::whole(file)).hint(hint));
    };
    if project.pipeline.identity.types.is_empty() {
        let hint = "declare the types of identifiers under `identity: types:` in the pipeline file, the one that names customers first";
        wrong("`identity.edges` has identifiers of types that are not declared".to_owned(), hint.to_owned());
    }
    for field in edges_schema().fields() {
        let name = field.name();
        let fits = |found: &DataType| match field.data_type() {
            DataType::Utf8 => matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null),
            _ => matches!(found, DataType::Timestamp(..) | DataType::Null),
        };
        let kind = if field.data_type() == &DataType::Utf8 { "text" } else { "a timestamp" };
        match schema.column_with_name(name) {
            Some((_, found)) if fits(found.data_type()) => {}
            found => {
                let what = if found.is_some() { "must be" } else { "must have a column" };
                let told = if found.is_some() {
                    format!("the column `{name}` of `identity.edges` {what} {kind}")
                } else {
                    format!("`identity.edges` {what} `{name}`, {kind}")
                };
                let hint = match found {
                    Some((_, found)) if kind == "text" && found.data_type().is_numeric() => {
                        "identifiers are compared as texts: give the column that it is taken from `type: string` in its contract, or write `cast(… as varchar)`"
                    }
                    _ => {
                        "a row is a pair of identifiers seen together: identifier_type, identifier, other_type, other, source, first_seen_at, last_seen_at, ended_at"
                    }
                };
                wrong(told, hint.to_owned());
            }
        }
    }
    problems
}

/// What was published before.
pub struct Before {
    /// The first moment of the day that it is as of, in microseconds since 1970.
    pub as_of_micros: i64,
    /// The rows of its map, in their order.
    pub map: BoxStream<'static, Result<RecordBatch>>,
    /// Its aliases, in their order.
    pub aliases: BoxStream<'static, Result<RecordBatch>>,
}

/// Runs the planned `identity.edges` and finds who is who; rows stream through and are not kept. Customers keep the ids that they had before.
///
/// # Errors
/// DataFusion's own, around an [`Error`] of the identity step.
pub async fn resolve(engine: &Engine, rules: Rules, edges: LogicalPlan, before: Option<Before>) -> Result<Resolution, DataFusionError> {
    let taker = Arc::new((Resolver::over(Arc::clone(engine.dictionary()), rules, engine.threads()), engine.reservation()));
    let push = |(resolver, memory): &(Resolver, Reservation), batch: RecordBatch| {
        resolver.push(&batch).map_err(outward)?;
        memory.reach(resolver.bytes())
    };
    engine.process_partitions(engine.frame(edges), &taker, push).await?;
    let (resolver, memory) = Arc::into_inner(taker).ok_or_else(|| DataFusionError::Internal("edges are still being read".to_owned()))?;
    resolver.look_up().map_err(outward)?;
    memory.reach(resolver.bytes())?;
    let joined = resolver.join().map_err(outward)?;
    let found = match before {
        Some(before) => inherit(joined, before, &memory).await?,
        None => joined.name(),
    };
    memory.settle(found.bytes());
    Ok(Resolution { _memory: Some(memory), ..found })
}

async fn inherit(joined: Joined, mut before: Before, memory: &Reservation) -> Result<Resolution, DataFusionError> {
    let mut heirs = joined.heirs(before.as_of_micros);
    memory.reach(heirs.bytes())?;
    while let Some(rows) = before.map.try_next().await.map_err(outward)? {
        heirs.take_map(&rows).map_err(outward)?;
        memory.reach(heirs.bytes())?;
    }
    while let Some(rows) = before.aliases.try_next().await.map_err(outward)? {
        heirs.take_aliases(&rows).map_err(outward)?;
        memory.reach(heirs.bytes())?;
    }
    heirs.name().map_err(outward)
}

fn outward(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl Resolution {
    /// Makes what was found readable by SQL, under `schema`.
    ///
    /// # Errors
    /// [`Error::Defect`] when a table is not built.
    pub fn register(&self, engine: &Engine, schema: &str) -> Result<u64> {
        let customers = self.each_customer(|batch| engine.stored_batch(&batch).map_err(|error| failed("the identity step", &error)))?;
        let (conflicts, aliases) = (self.conflicts()?, self.aliases()?);
        let rows = customers.iter().chain([&conflicts, &aliases]).map(|batch| batch.num_rows() as u64).sum();
        engine.register_stored_batches(&format!("{schema}.customers"), super::customers_schema(), customers)?;
        engine.register_batches(&format!("{schema}.conflicts"), super::conflicts_schema(), vec![conflicts])?;
        engine.register_batches(&format!("{schema}.aliases"), super::aliases_schema(), vec![aliases])?;
        Ok(rows)
    }
}
