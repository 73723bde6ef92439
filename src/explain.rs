//! Why an identifier leads to its customer: the identity step run for one question, with nothing published.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;

use crate::config;
use crate::engine::{self, Engine};
use crate::error::{Error, Message, Result};
use crate::functions;
use crate::graph::{EDGES, SOURCES};
use crate::identity::{self, Answer, Rules};
use crate::ingest::{self, Collector};
use crate::plan::{self, Plan};
use crate::publish::{self, Publications};
use crate::run::Request;
use crate::sql;
use crate::storage::Stores;

/// The parameter that says of which country a phone number without a code is.
const DEFAULT_REGION: &str = "default_region";

/// Explains an identifier: of a type or of any, as it is typed or in the form that it is compared in.
///
/// # Errors
/// As a run fails up to the identity step; [`Error::Refused`] for a project that has none.
pub async fn identity(request: &Request, stores: &Stores, identifier_type: Option<&str>, identifier: &str) -> Result<Answer> {
    let project = Arc::new(config::load(&request.pipeline, &request.environment)?);
    let values = config::bind(&project, request.as_of, &request.parameters)?;
    let plan = plan::plan(project, values).await?;
    let needed = needed(&plan);
    if needed.is_empty() {
        let message = Message::new("the project has no identity step");
        return Err(Error::Refused(message.hint(format!("a model `{EDGES}` selects pairs of identifiers that were seen together"))));
    }
    let engine = Engine::new(request.limits, plan.values.zone.name())?;
    // Extracts that are late are told from those of a wrong location by what is published, if that can be read.
    let before = match publish::destination(request.destination.as_deref(), &plan.project, stores) {
        Ok(destination) => Publications::read(&destination).await.ok(),
        Err(_) => None,
    };
    for extract in ingest::find(&plan.project, &plan.contracts, stores, before.as_ref().and_then(Publications::newest)).await? {
        let name = format!("{SOURCES}.{}", extract.contract.source);
        if !needed.contains(&name) {
            continue;
        }
        let demand = plan.demands.get(&extract.contract.source).cloned().unwrap_or_default();
        ingest::register(&engine, &name, &extract, &demand, &Arc::new(Collector::default())).await?;
    }
    plan::register_reference(&engine, &plan.project, &plan.values)?;
    for model in plan.models.iter().filter(|model| needed.contains(&model.node.model.name())) {
        let name = model.node.model.name();
        let failed = |error: DataFusionError| match error.find_root() {
            _ if engine::is_want_of_room(&error) => engine::failed(&format!("`{name}`"), &error),
            _ => Error::Refused(Message::new(format!("`{name}` failed: {}", sql::discreet(&error)))),
        };
        let logical = engine.plan(&model.node.statement, &plan.values.parameters).await.map_err(failed)?;
        if name == EDGES {
            let rules = Rules::declared(&plan.project, &plan.values)?;
            let resolution = identity::resolve(&engine, rules, logical).await.map_err(failed)?;
            let spellings = spellings(&plan, identifier);
            let found = spellings.iter().map(|spelling| resolution.explain(identifier_type, spelling)).find(|found| !found.is_empty());
            return Ok(Answer { as_of: request.as_of, found: found.unwrap_or_default() });
        }
        if model.inline {
            engine.register_view(&name, logical)?;
        } else {
            engine.keep(&name, engine.frame(logical)).await.map_err(failed)?;
        }
    }
    Err(Error::defect("the identity step was not reached"))
}

/// The tables that the identity step is found from; none when there is no such step.
fn needed(plan: &Plan) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut waiting: Vec<String> = plan.models.iter().map(|model| model.node.model.name()).filter(|name| name == EDGES).collect();
    while let Some(name) = waiting.pop() {
        if needed.insert(name.clone()) {
            let node = plan.models.iter().find(|model| model.node.model.name() == name);
            waiting.extend(node.into_iter().flat_map(|model| model.node.needs()));
        }
    }
    needed
}

/// What was typed, and what it is compared as if it is an address or a number.
fn spellings(plan: &Plan, identifier: &str) -> Vec<String> {
    let region = match plan.values.parameters.get(DEFAULT_REGION) {
        Some(ScalarValue::Utf8(Some(region))) => region.as_str(),
        _ => "",
    };
    let others = [functions::email_address(identifier), functions::phone_number(identifier, region)];
    std::iter::once(identifier.to_owned()).chain(others.into_iter().flatten()).collect()
}
