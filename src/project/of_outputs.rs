//! What a project says of its outputs, however it is written. As long as that stays the same, a day need not be published again.

use std::collections::BTreeMap;

use super::definition::mentions;
use crate::config::{AS_OF, Environment, Said, variables_in};
use crate::graph::DeclaredKind;
use crate::manifest;
use crate::plan::{Node, Plan};
use crate::sql;

/// Under these keys of the pipeline file it is said who is told of a run, where copies go and how long publications are kept: nothing that
/// shows in an output. What is said of a parameter counts where something reads it.
const NOT_OF_OUTPUTS: [&[&str]; 4] = [&["notify"], &["outputs", "delta"], &["outputs", "keep"], &["parameters"]];

/// With one of these the text of a file counts as it is written: a tag can make a text of a number, or of nothing.
const TAGS: [&str; 8] = ["!!", "!<", "%TAG", ": !", "- !", "? !", "[!", ", !"];

/// SHA-256 of what a project says of its outputs, with the values of the parameters and variables that it reads. Comments and layout do
/// not count, in SQL and YAML.
pub fn digest_of_outputs(plan: &Plan, environment: &Environment) -> String {
    let file = &plan.project.file.text;
    let said = Said::of(file).filter(|_| !TAGS.iter().any(|tag| file.contains(tag)));
    let pipeline = said.as_ref().and_then(|said| said.part(&[], &|keys| NOT_OF_OUTPUTS.contains(&keys))).unwrap_or_else(|| file.clone());
    let mut models: Vec<(String, String)> =
        plan.models().map(|model| (model.parsed.model.name(), sql::canonical(&model.parsed.model.file.text))).collect();
    models.sort();
    let of_pipeline = values_of(&pipeline, environment);
    let texts = || models.iter().map(|(_, text)| text.as_str()).chain(of_pipeline.values().copied()).chain([pipeline.as_str()]);
    let is_read = |name: &str| name == AS_OF || texts().any(|text| mentions(text, name));
    let declared = |name: &str| said.as_ref().and_then(|said| said.part(&["parameters", name], &|_| false)).unwrap_or_default();
    let read = plan.values.shown.iter().filter(|(name, _)| is_read(name));
    let parameters: Vec<[String; 3]> = read.map(|(name, value)| [name.clone(), value.clone(), declared(name)]).collect();
    let mut variables = of_pipeline.clone();
    variables.extend(parameters.iter().flat_map(|[.., declared]| values_of(declared, environment)));
    // How many there are of each comes first, so that none is taken for one of another kind.
    let counts = [models.len(), parameters.len(), variables.len()].map(|count| count.to_string());
    let parts = counts.iter().map(String::as_str).chain([pipeline.as_str()]);
    let parts = parts.chain(models.iter().flat_map(|(name, text)| [name.as_str(), text]));
    let parts = parts.chain(parameters.iter().flatten().map(String::as_str));
    manifest::digest(parts.chain(variables.iter().flat_map(|(name, value)| [*name, *value])))
}

/// The variables that a text names and that are set, with their values.
fn values_of<'a>(text: &'a str, environment: &'a Environment) -> BTreeMap<&'a str, &'a str> {
    variables_in(text).filter_map(|name| Some((name, environment.get(name)?.as_str()))).collect()
}

/// SHA-256 of how Segmill computes what a plan uses: a part that the plan does not use does not count.
pub fn digest_of_program(plan: &Plan) -> String {
    let declared = plan.nodes.iter().filter_map(Node::declared).map(|kind| (kind.word(), version_of(kind)));
    let steps = [(plan.has_identity_step(), IDENTITY), (plan.has_memory(), SEGMENTS)];
    let steps = steps.into_iter().filter(|(is_used, _)| *is_used).map(|(_, part)| part);
    let parts: BTreeMap<&str, u32> = ALWAYS.into_iter().chain(steps).chain(declared).collect();
    manifest::digest(parts.into_iter().flat_map(|(part, version)| [part.to_owned(), version.to_string()]))
}

/// The versions of the parts that every run uses: contracts to rows, queries (functions, operators and DataFusion), and how outputs are
/// written. Whoever changes what a part makes of the same extracts and the same project raises its version, so that days are published
/// again; a change that only makes it quicker leaves the version alone.
const ALWAYS: [(&str, u32); 3] = [("contracts", 1), ("queries", 1), ("outputs", 1)];

/// The version of how customers are found, as in [`ALWAYS`].
const IDENTITY: (&str, u32) = ("identity", 1);

/// The version of how segments, their memory and their traits are computed, as in [`ALWAYS`].
const SEGMENTS: (&str, u32) = ("segments", 1);

/// The version of how a step that the pipeline file declares is computed, as in [`ALWAYS`].
fn version_of(kind: DeclaredKind) -> u32 {
    match kind {
        DeclaredKind::Prediction | DeclaredKind::Clusters | DeclaredKind::LookAlikes | DeclaredKind::Affinity => 1,
    }
}
