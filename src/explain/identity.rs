//! Why an identifier leads to its customer: the identity step run for one question, after what is published; nothing is published by it.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::ScalarValue;

use crate::config::{self, Project};
use crate::diagnostic::{Diagnostic, list};
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::execute::{Execution, Inputs, Silent, Source};
use crate::functions;
use crate::graph::EDGES;
use crate::identity::{self, Answer, Explained, Resolution, Rules};
use crate::ingest;
use crate::job::Request;
use crate::native::{IDENTITY_SIGNATURE, IdentityStep};
use crate::plan::{self, Plan};
use crate::predecessor::Carried;
use crate::publish::{self, IDENTITY_MAP};
use crate::sql::{self, Argument};
use crate::storage::Stores;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// An identifier, as it is typed or in the form that it is compared in, or the id of a customer.
    pub identifier: &'a str,
    /// Its type, if only that is meant.
    pub identifier_type: Option<&'a str>,
    /// How many identifiers, and how many edges that were set aside, are shown of a customer.
    pub most: usize,
}

/// Explains an identifier. Customers have the ids that a run for the day would give them, by what is published.
///
/// # Errors
/// As a run fails up to the identity step; [`Error::Refused`] for a project that has none; [`Error::Project`] for an identifier that is blank
/// or of no declared type.
pub async fn identity(request: &Request, stores: &Stores, question: Question<'_>) -> Result<Answer> {
    let project = Arc::new(config::load(&request.pipeline, &request.environment)?);
    check(&project, question)?;
    let values = config::bind(&project, request.as_of, &request.parameters)?;
    let destination = publish::destination(request.destination.as_deref(), &project, stores)?;
    let plan = plan::plan(project, values).await?;
    if plan.maker(EDGES).is_none() {
        let message = Message::new("the project has no identity step");
        return Err(Error::Refused(message.hint(format!("a model `{EDGES}` selects pairs of identifiers that were seen together"))));
    }
    let ids = IDENTITY_SIGNATURE.makes.iter().map(|table| table.name.to_owned()).collect();
    let asked = Carried::for_question(&plan, &destination, request.as_of, &ids, &request.environment).await;
    let (newest, Carried { warnings, mut predecessor, .. }) = asked;
    let ids_from = predecessor.as_ref().filter(|predecessor| predecessor.has(IDENTITY_MAP)).map(|predecessor| predecessor.as_of);
    let engine = Engine::with_text_encoding(request.limits, plan.values.zone.name(), request.text_encoding)?;
    let needed = plan.needed(EDGES, |_| false);
    // Extracts that are late are told from those of a wrong location by what is published.
    let extracts = ingest::find(&plan.project, &plan.contracts, stores, newest.as_ref()).await?;
    let sources = extracts.into_iter().map(|extract| Source::new(&engine, extract)).collect();
    let mut inputs = Inputs { sources, ..Inputs::of(&plan)? };
    let execution = Execution { plan: &plan, engine: &engine, needed: Some(needed), scene: String::new() };
    execution.run(&mut inputs, &mut Silent).await?;
    let step = IdentityStep::new(Rules::declared(&plan.project, &plan.values)?);
    let resolved = step.resolve(&engine, predecessor.as_mut()).await;
    let resolution = resolved.map_err(|error| execution.failure_of(EDGES, &inputs, &error))?;
    let found = answer(&resolution, question, &spellings(&plan, question.identifier));
    let last_published_on = if found.is_empty() { resolution.last_published_on(question.identifier) } else { None };
    Ok(Answer { as_of: request.as_of, ids_from, warnings, last_published_on, found })
}

/// What is known of an identifier in the first spelling in which there is one, or else of the customer with that id.
fn answer(resolution: &Resolution, question: Question<'_>, spellings: &[String]) -> Vec<Explained> {
    let of = |spelling: &String| resolution.explain(question.identifier_type, spelling, question.most);
    let found = spellings.iter().map(of).find(|found| !found.is_empty());
    let customer = || resolution.explain_customer(question.identifier, question.most).filter(|_| question.identifier_type.is_none());
    found.unwrap_or_else(|| customer().into_iter().collect())
}

/// Refuses what cannot be an identifier.
pub(super) fn check(project: &Project, question: Question<'_>) -> Result<()> {
    if identity::is_blank(question.identifier) {
        return Err(Diagnostic::error("blank-identifier", "a blank is no identifier")
            .hint("name one, such as `--identity 17451`; rows with blanks in their place lead to nobody, and `identity_conflicts` counts them")
            .into());
    }
    let Some(asked) = question.identifier_type else { return Ok(()) };
    let types = &project.pipeline.identity.types;
    if types.contains_key(asked) {
        return Ok(());
    }
    let names: Vec<&str> = types.keys().map(String::as_str).collect();
    let what = format!("there is no type of identifiers `{}`; there are {}", identity::shown(asked), list(&names));
    Err(Diagnostic::error("unknown-identifier-type", what).did_you_mean(asked, names.iter().copied()).into())
}

/// What was typed, and the forms in which models compare it if it is an address or a number. The models say of which countries a number
/// without a country code may be.
pub(super) fn spellings(plan: &Plan, identifier: &str) -> Vec<String> {
    let mut regions = BTreeSet::from([String::new()]);
    for model in plan.models() {
        for region in sql::arguments(&model.parsed.statement, &["phone_number", "phone_numbers"], 1) {
            regions.extend(match region {
                Argument::Text(region) => Some(region),
                Argument::Parameter(name) => match plan.values.parameters.get(&name) {
                    Some(ScalarValue::Utf8(Some(region))) => Some(region.clone()),
                    _ => None,
                },
            });
        }
    }
    let numbers = regions.iter().filter_map(|region| functions::phone_number(identifier, region));
    std::iter::once(identifier.to_owned()).chain(functions::email_address(identifier)).chain(numbers).collect()
}
