//! What a project declares and computes, and nothing reads: not wrong, and most often a mistake.

use std::collections::{BTreeMap, BTreeSet};

use super::nodes::Plan;
use crate::config::{Project, key_at, span_of};
use crate::diagnostic::{Diagnostic, in_order};
use crate::graph::SOURCES;
use crate::ingest::RequiredColumns;
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
    let unread = pipeline.parameters.keys().filter(|name| !texts.iter().any(|text| sql::mentions_parameter(text, name)));
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
    let declared = plan.nodes.iter().filter_map(|node| Some((node, node.declared()?)));
    for (node, kind) in declared.filter(|(node, _)| !node.makes.iter().any(|made| published(made) || is_read(plan, made))) {
        let name = node.name.split_once('.').map_or(node.name.as_str(), |(_, name)| name);
        warnings.push(
            Diagnostic::warning("unused-model", format!("no model reads `{}`, and no output holds it", node.name))
                .at(key_at(&plan.project.file, &[kind.section(), name]))
                .label("computed in every run, for nothing")
                .hint("read it in a model, such as `sql/customers.sql`, publish it under `outputs: tables:`, or leave it out"),
        );
    }
    in_order(warnings)
}

fn is_read(plan: &Plan, table: &str) -> bool {
    plan.nodes.iter().any(|node| node.reads.contains(table))
}

/// A warning for every source that no model reads. Its files are not looked at.
pub(super) fn sources(project: &Project, read: &BTreeMap<String, RequiredColumns>) -> Vec<Diagnostic> {
    let unread = project.pipeline.sources.iter().filter(|(name, _)| !read.contains_key(*name));
    let told = unread.map(|(name, source)| {
        Diagnostic::warning("unused-source", format!("no model reads `{SOURCES}.{name}`"))
            .at(span_of(&project.file, &source.location))
            .label("its files are not looked at")
            .hint("read it in a staging model, or leave it out; `segmill show` shows its rows")
    });
    told.collect()
}

/// A warning for every model that no pipeline of the project needs.
pub(super) fn orphans(project: &Project, orphans: &BTreeSet<String>) -> Vec<Diagnostic> {
    let models = project.models.iter().filter(|model| orphans.contains(&model.name()));
    let told = models.map(|model| {
        Diagnostic::warning("unused-model", format!("no pipeline needs `{}`", model.name()))
            .at(sql::whole(&model.file))
            .label("never computed")
            .hint("read it in a model that a pipeline needs, publish it under `outputs: tables:`, or take its file away")
    });
    told.collect()
}
