//! Which models a pipeline needs, where several pipelines of a project use one folder of models.

use std::collections::BTreeSet;

use crate::config::{Model, Pipeline, Project};
use crate::graph::{EDGES, Graph, MEMBERSHIP, PROFILE};

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
    let mut own = graph.behind(roots(&project.pipeline));
    // Rules without a profile are a problem of the pipeline that has them.
    own.extend(roots(&project.pipeline).filter(|root| root == PROFILE));
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
