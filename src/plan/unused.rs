//! What a project declares and computes, and nothing reads: not wrong, and most often a mistake.

use super::nodes::Plan;
use crate::config::key_at;
use crate::diagnostic::{Diagnostic, in_order};
use crate::sql;

/// A warning for every parameter that no SQL reads, and every model that leads to nothing.
pub fn unused(plan: &Plan) -> Vec<Diagnostic> {
    let pipeline = &plan.project.pipeline;
    let models = plan.project.models.iter().map(|model| model.file.text.as_str());
    let sets = pipeline.segments.values();
    let rules = sets.flat_map(|set| {
        set.segments.iter().flat_map(|segment| std::iter::once(&segment.when).chain(&segment.stay)).chain(set.permissions.values())
    });
    let checks = pipeline.checks.iter().filter_map(|check| check.sql.as_ref());
    let conditions = rules.chain(&pipeline.profile.always).chain(checks).map(|condition| condition.value.as_str());
    let texts: Vec<&str> = models.chain(conditions).collect();
    let unread = pipeline.parameters.keys().filter(|name| !texts.iter().any(|text| reads_parameter(text, name)));
    let mut warnings: Vec<Diagnostic> = unread
        .map(|name| {
            Diagnostic::warning("unused-parameter", format!("nothing reads the parameter `${name}`"))
                .at(key_at(&plan.project.file, &["parameters", name]))
                .label("changes nothing")
                .hint("read it in a model, a rule or a check, or leave it out")
        })
        .collect();
    let published = |name: &str| pipeline.outputs.tables.values().any(|output| output.model.value == name);
    for model in plan.models() {
        let name = model.parsed.model.name();
        let is_read = plan.nodes.iter().any(|node| node.name != name && node.reads.contains(&name));
        if is_read || published(&name) {
            continue;
        }
        warnings.push(
            Diagnostic::warning("unused-model", format!("no model reads `{name}`, and no output holds it"))
                .at(sql::whole(&model.parsed.model.file))
                .label("computed in every run, for nothing")
                .hint("read it, publish it under `outputs: tables:`, or take its file away"),
        );
    }
    in_order(warnings)
}

/// Whether a text has `$name`, and not only as the beginning of a longer name.
fn reads_parameter(text: &str, name: &str) -> bool {
    let written = format!("${name}");
    let ends = |at: usize| !text[at + written.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    text.match_indices(&written).any(|(at, _)| ends(at))
}
