//! What a failure of the engine while a run computes means for who must act, and where in the SQL it may have happened.

use datafusion::error::DataFusionError;

use super::OpenSource;
use crate::engine;
use crate::error::{Error, Message};
use crate::plan::Plan;
use crate::sql;

/// What a failure of the engine means: a source's own failure if one has any, else that of the model. It is told by its kind, with the places
/// and columns of the SQL that may fail so, and never with the value.
pub fn failure(plan: Option<&Plan>, model: &str, error: &DataFusionError, sources: &[OpenSource]) -> Error {
    if let Some(error) = sources.iter().find_map(|source| source.collector.failure()) {
        return error;
    }
    match error.find_root() {
        DataFusionError::External(inner) if inner.is::<Error>() => match inner.downcast_ref::<Error>() {
            Some(error) => error.clone(),
            None => Error::defect(format!("`{model}`: {inner}")),
        },
        _ if engine::is_out_of_resources(error) => engine::failed(&format!("`{model}`"), error),
        _ => {
            let mut message = Message::new(format!("`{model}` failed on this data: {}", sql::discreet(error)));
            message.details = plan.map(|plan| places(plan, model, error)).unwrap_or_default();
            Error::Refused(message.hint("the model's SQL meets a value that it cannot work with"))
        }
    }
}

/// The places in a model, and in those that are computed where it reads them, that can fail so.
fn places(plan: &Plan, model: &str, error: &DataFusionError) -> Vec<String> {
    let kind = sql::kind(error);
    let mut waiting = vec![model.to_owned()];
    let (mut seen, mut found) = (Vec::new(), Vec::new());
    while let Some(name) = waiting.pop() {
        let planned = plan.models.iter().find(|planned| planned.node.model.name() == name);
        let Some(planned) = planned.filter(|_| !seen.contains(&name)) else { continue };
        found.extend(sql::suspects(&planned.node.model.file, &planned.node.statement, kind));
        let inline = plan.models.iter().filter(|other| other.inline).map(|other| other.node.model.name());
        waiting.extend(inline.filter(|other| planned.node.reads.contains(other)));
        seen.push(name);
    }
    sql::places(found)
}
