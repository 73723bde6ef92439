//! The project itself as one page: what reads what, what each column means and is made of, rules with their proofs, contracts, parameters,
//! outputs. No data is read, and nothing that the environment gives is shown.

mod contracts;
mod declared;
mod known;
mod layout;
mod nodes;
mod picture;
mod rules;
mod tables;
mod view;

use std::collections::BTreeMap;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use self::known::Known;
use crate::error::{Error, Result};
use crate::plan::Plan;

const STYLE: &str = include_str!("../../templates/docs/page.css");
const SCRIPT: &str = include_str!("../../templates/docs/page.js");

/// The page of a project that is valid. What the environment gives is shown as the pipeline file writes it, by the texts that it gives. The
/// warnings are those that `validate` tells.
///
/// # Errors
/// [`Error::Defect`] alone.
pub fn page(plan: &Plan, given: &BTreeMap<String, String>, warnings: Vec<String>) -> Result<String> {
    let known = Known::of(plan, given);
    let pipeline = &plan.project.pipeline;
    let page = view::Page {
        title: pipeline.name.shown().to_owned(),
        description: known.maybe(pipeline.description.as_ref()),
        facts: facts(plan),
        policy: policy(),
        style: STYLE,
        script: SCRIPT,
        graph: picture::graph(&known),
        bases: tables::bases(&known),
        sets: rules::sets(&known),
        sources: contracts::sources(&known),
        identifiers: declared::identifiers(&known),
        layers: tables::layers(&known),
        steps: tables::steps(&known),
        reference: declared::reference(&known),
        parameters: declared::parameters(&known),
        outputs: tables::outputs(&known),
        checks: declared::checks(&known),
        warnings,
    };
    page.render().map_err(|error| Error::defect(format!("the page was not written: {error}")))
}

/// What is counted of a project.
fn facts(plan: &Plan) -> Vec<(&'static str, String)> {
    let pipeline = &plan.project.pipeline;
    let segments: usize = pipeline.segments.values().map(|set| set.segments.len()).sum();
    let rules = format!("{segments} in {} sets", pipeline.segments.len());
    vec![
        ("Sources", pipeline.sources.len().to_string()),
        ("Models", plan.models().count().to_string()),
        ("Segments", if pipeline.segments.is_empty() { "0".to_owned() } else { rules }),
        ("Published tables", pipeline.outputs.tables.len().to_string()),
        ("Days are counted in", pipeline.time_zone.as_ref().map_or("UTC", |zone| zone.shown()).to_owned()),
        ("Digest", plan.digest.chars().take(12).collect()),
    ]
}

/// What the page may load and run: its own style and its own script, and nothing else.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    format!("default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'")
}
