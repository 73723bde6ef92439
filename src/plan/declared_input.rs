//! What a native step that the pipeline file declares reads.

use crate::config::{Model, Project, Spanned, span_of};
use crate::diagnostic::Diagnostic;
use crate::graph::DeclaredKind;

/// The model that a declared step reads.
///
/// # Errors
/// The problem that there is no such model, or that it comes after what is made of it.
pub(super) fn model_read<'p>(
    project: &'p Project,
    kind: DeclaredKind,
    name: &str,
    model: &Spanned<String>,
) -> Result<&'p Model, Diagnostic> {
    let (word, shown) = (kind.word(), model.shown());
    let Some(known) = project.models.iter().find(|known| known.name() == model.value) else {
        let names: Vec<String> = project.models.iter().map(Model::name).collect();
        let problem = Diagnostic::error("unknown-model", format!("the {word} `{name}` names no model: `{shown}`"));
        let problem = problem.at(span_of(&project.file, model)).label("no model");
        return Err(problem.did_you_mean(&model.value, names.iter().map(String::as_str)));
    };
    if known.schema.is_none() {
        let problem =
            Diagnostic::error("layer-order", format!("the {word} `{name}` reads `{shown}`, which comes after {}", kind.section()));
        let problem = problem.at(span_of(&project.file, model)).label("stands to the right");
        let read = format!("it reads a model of staging, identity, features or scores; scores and `customers` read `{}`", kind.table(name));
        return Err(problem.hint(read));
    }
    Ok(known)
}
