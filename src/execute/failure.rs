//! What a failure of the engine while an execution computes means for who must act, and where in the SQL it may have happened.

use datafusion::error::DataFusionError;

use super::{Execution, Inputs};
use crate::diagnostic::Diagnostic;
use crate::engine;
use crate::error::{Error, Message};
use crate::plan::{Node, Plan};
use crate::sql;

impl Execution<'_> {
    /// What a failure of a query over the tables of an execution means: a source's own failure if one has any, else that of the query. It is
    /// told by its kind, with the places and columns of the SQL that may fail so, and never with the value.
    pub fn failure_of(&self, table: &str, inputs: &Inputs, error: &DataFusionError) -> Error {
        if let Some(failure) = inputs.failure() {
            return failure;
        }
        if let Some(problem) = self.unsupported(table, error) {
            return problem.into();
        }
        let what = format!("`{table}`{}", self.scene);
        match error.find_root() {
            DataFusionError::External(inner) if inner.is::<Error>() => match inner.downcast_ref::<Error>() {
                Some(error) => error.clone(),
                None => Error::defect(format!("{what}: {inner}")),
            },
            _ if engine::is_out_of_resources(error) => engine::failed(&what, error),
            _ => {
                let mut message = Message::new(format!("{what} failed on this data: {}", sql::discreet(error)));
                message.details = places(self.plan, table, error);
                Error::Refused(message.hint("the model's SQL meets a value that it cannot work with"))
            }
        }
    }

    /// What is wrong with a model that the engine has no way to run, whatever the data is.
    fn unsupported(&self, table: &str, error: &DataFusionError) -> Option<Diagnostic> {
        sql::unsupported(&self.plan.maker(table)?.model()?.parsed.model.file, error)
    }
}

/// The places in the model that makes a table, and in those that are streamed into it, that can fail so.
fn places(plan: &Plan, table: &str, error: &DataFusionError) -> Vec<String> {
    let kind = sql::kind(error);
    let mut waiting: Vec<&Node> = plan.maker(table).into_iter().collect();
    let (mut seen, mut found): (Vec<&str>, _) = (Vec::new(), Vec::new());
    while let Some(node) = waiting.pop() {
        if seen.contains(&node.name.as_str()) {
            continue;
        }
        if let Some(model) = node.model() {
            found.extend(sql::suspects(&model.parsed.model.file, &model.parsed.statement, kind));
        }
        waiting.extend(plan.nodes.iter().filter(|other| other.is_streamed() && node.reads.contains(&other.name)));
        seen.push(&node.name);
    }
    sql::places(found)
}
