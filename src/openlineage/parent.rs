//! Which run has started this one, as orchestrators say it in variables: `OPENLINEAGE_CONTEXT` (JSON), or else `OPENLINEAGE_PARENT_ID` and
//! `OPENLINEAGE_ROOT_PARENT_ID` (`namespace/job/run`).

use serde_json::{Value, json};
use uuid::Uuid;

use super::facets::facet;
use crate::config::Environment;

/// The longest value of a variable that is read.
const MAX_BYTES: usize = 64 * 1024;

const CONTEXT: &str = "OPENLINEAGE_CONTEXT";
const PARENT: &str = "OPENLINEAGE_PARENT_ID";
const ROOT: &str = "OPENLINEAGE_ROOT_PARENT_ID";

/// A run of another job.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OtherRun {
    namespace: String,
    job: String,
    run: Uuid,
}

/// The facet that names the parent; none without one. What is wrong with a variable is a warning, which does not show what it holds.
pub fn parent(environment: &Environment, warnings: &mut Vec<String>) -> Option<Value> {
    let given = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let mut unread =
        |name: &str, form: &str| warnings.push(format!("`{name}` is not {form}, so it is not told which run has started this one"));
    let (parent, root) = match given(CONTEXT) {
        Some(text) => {
            let context = if text.len() > MAX_BYTES { None } else { serde_json::from_str::<Value>(text).ok() };
            let parent = context.as_ref().and_then(|context| context.get("parent"));
            let Some(found) = parent.and_then(of_context) else {
                unread(CONTEXT, "JSON with a parent's run and job");
                return None;
            };
            (found, parent.and_then(|parent| parent.get("root")).and_then(of_context))
        }
        None => {
            let form = "of the form namespace/job/run, where the run is a UUID";
            let Some(found) = of_id(given(PARENT)?) else {
                unread(PARENT, form);
                return None;
            };
            let root = given(ROOT).map(|text| {
                let root = of_id(text);
                if root.is_none() {
                    unread(ROOT, form);
                }
                root
            });
            (found, root.flatten())
        }
    };
    // Without a root of its own, the parent is the root.
    let root = root.unwrap_or_else(|| parent.clone());
    let mut content = parent.told();
    content["root"] = root.told();
    Some(facet("ParentRunFacet", content))
}

/// `namespace/job/run`. A namespace may be a URL; names of jobs have no slashes, as in other integrations.
fn of_id(text: &str) -> Option<OtherRun> {
    let mut parts = text.rsplitn(3, '/');
    let (run, job, namespace) = (parts.next()?, parts.next()?, parts.next()?);
    other_run(namespace, job, run)
}

fn of_context(of: &Value) -> Option<OtherRun> {
    other_run(of["job"]["namespace"].as_str()?, of["job"]["name"].as_str()?, of["run"]["runId"].as_str()?)
}

fn other_run(namespace: &str, job: &str, run: &str) -> Option<OtherRun> {
    let is_told = !namespace.is_empty() && !job.is_empty() && namespace.len() + job.len() < MAX_BYTES;
    let run = Uuid::try_parse(run).ok().filter(|_| is_told)?;
    Some(OtherRun { namespace: namespace.to_owned(), job: job.to_owned(), run })
}

impl OtherRun {
    fn told(&self) -> Value {
        json!({"run": {"runId": self.run.to_string()}, "job": {"namespace": self.namespace, "name": self.job}})
    }
}
