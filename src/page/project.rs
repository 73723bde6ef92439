//! What the project is, what was edited in it, what the columns mean, and what the report could not tell.

use askama::Template;

use super::markup::{Markup, clean};
use super::names;
use super::view::{View, day};

/// How many edits and parameters are listed.
const MOST_LISTED: usize = 200;

#[derive(Template)]
#[template(path = "report/project.html")]
struct Section {
    pipeline: String,
    as_of: String,
    version: String,
    digest: String,
    parameters: Vec<(String, String, String, Option<String>)>,
    edits: Edits,
    columns: Vec<(String, String, String)>,
    not_told: Vec<(String, String)>,
}

/// What was edited.
enum Edits {
    First,
    NotKnown,
    None,
    Some(Vec<String>),
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let project = &view.figures.project;
    let edits = match &project.edits {
        None if !view.has_predecessor() => Edits::First,
        None => Edits::NotKnown,
        Some(edits) if edits.is_empty() => Edits::None,
        Some(edits) => Edits::Some(edits.iter().take(MOST_LISTED).map(|edit| view.excerpt(edit)).collect()),
    };
    let parameter = |(name, value, meaning): &(String, String, Option<String>)| {
        (names::title(name), clean(name, 120), view.excerpt(value), view.maybe_excerpt(meaning.as_deref()))
    };
    Markup::of(&Section {
        pipeline: clean(&view.figures.pipeline, 120),
        as_of: day(view.figures.as_of),
        version: clean(&project.segmill_version, 60),
        digest: clean(&project.digest, 128),
        parameters: project.parameters.iter().take(MOST_LISTED).map(parameter).collect(),
        edits,
        columns: columns(view),
        not_told: view.figures.not_told.iter().map(|part| (clean(&part.part, 120), view.excerpt(&part.reason))).collect(),
    })
}

/// The columns that the traits on this page tell of, by name.
fn columns(view: &View<'_>) -> Vec<(String, String, String)> {
    let segments = view.sets.iter().flat_map(|set| &set.segments);
    let traits = segments.flat_map(|segment| segment.figures.traits.iter().take(view.detail.traits));
    let mut columns: Vec<(&str, &str)> =
        traits.filter_map(|found| Some((found.column.as_str(), found.column_description.as_deref()?))).collect();
    columns.sort_unstable();
    columns.dedup();
    columns.truncate(MOST_LISTED);
    columns.into_iter().map(|(name, meaning)| (names::title(name), clean(name, 120), view.excerpt(meaning))).collect()
}
