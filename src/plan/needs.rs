//! Which models a pipeline needs, where several pipelines of a project use one folder of models.

use std::collections::BTreeSet;

use crate::config::{Model, Pipeline, Project, span_of};
use crate::diagnostic::Diagnostic;
use crate::graph::{CHANGES, EDGES, Graph, MEMBERSHIP, PROFILE, TRAITS, Vertex};

/// What a project needs of its models.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The models and native steps that this pipeline needs; none if it is the only one, which has them all.
    pub(super) own: Option<BTreeSet<String>>,
    /// The models that no pipeline of the project needs.
    pub(super) orphans: BTreeSet<String>,
}

/// Finds out what the pipelines of a project need.
pub(super) fn of(project: &Project, graph: &Graph<'_>) -> Needs {
    if project.siblings.is_empty() {
        return Needs::default();
    }
    let own = graph.behind(roots(&project.pipeline));
    let mut orphans: BTreeSet<String> = project.models.iter().map(Model::name).filter(|name| !own.contains(name)).collect();
    for sibling in &project.siblings {
        match &sibling.pipeline {
            Some(pipeline) => {
                let needed = graph.behind(roots(pipeline));
                orphans.retain(|name| !needed.contains(name));
            }
            // Nobody knows what it needs.
            None => orphans.clear(),
        }
    }
    Needs { own: Some(own), orphans }
}

/// Tells of another pipeline of the project that has the same name. What is published belongs to a pipeline by its name.
pub(super) fn same_names(project: &Project) -> Vec<Diagnostic> {
    let own = &project.pipeline.name;
    let same = project.siblings.iter().filter(|sibling| sibling.name.0 == own.value);
    let told = same.map(|sibling| {
        let other = &sibling.name.1;
        let (line, column) = other.file.line_and_column(other.bytes.start);
        let what = format!("another pipeline of the project has the name `{}`: {}:{line}:{column}", own.shown(), other.file.path);
        Diagnostic::error("same-pipeline-name", what)
            .at(span_of(&project.file, own))
            .label("the same name")
            .hint("each would publish over what the other one has published: give one another name, or move its file out of `pipelines/`")
    });
    told.collect()
}

/// Tells that there is no profile where something needs it: segments, what is declared of the profile, an output, or a model that reads
/// who is in which segment or has moved.
pub(super) fn no_profile(project: &Project, vertices: &[Vertex]) -> Option<Diagnostic> {
    let is_there = project.models.iter().any(|model| model.name() == PROFILE);
    let is_declared = || roots(&project.pipeline).any(|root| [PROFILE, MEMBERSHIP, CHANGES, TRAITS].contains(&root.as_str()));
    let is_lost = || ["segments", "profile"].iter().any(|part| project.lost.touches(&[part]));
    let is_read = || vertices.iter().any(|vertex| [MEMBERSHIP, CHANGES, TRAITS].iter().any(|table| vertex.reads().contains(*table)));
    if is_there || !(is_declared() || is_lost() || is_read()) {
        return None;
    }
    let problem = Diagnostic::error("no-profile", "there is no model `customers`");
    Some(problem.hint("segment rules read the customer profile, one row a customer: write `sql/customers.sql`"))
}

/// The tables that a pipeline asks for: those that it publishes, and what its segments, its profile and its identifiers are declared of.
fn roots(pipeline: &Pipeline) -> impl Iterator<Item = String> {
    let published = pipeline.outputs.tables.values().map(|output| output.model.value.clone());
    let has_profile = !pipeline.profile.columns.is_empty() || !pipeline.profile.always.is_empty();
    let declared = [
        (!pipeline.segments.is_empty(), MEMBERSHIP),
        (!pipeline.segments.is_empty() || has_profile, PROFILE),
        (!pipeline.identity.types.is_empty(), EDGES),
    ];
    published.chain(declared.into_iter().filter(|(is, _)| *is).map(|(_, table)| table.to_owned()))
}
