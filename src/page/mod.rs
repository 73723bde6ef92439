//! The page of a report: one file of HTML that asks nobody for anything.
//!
//! The page is drawn from the figures alone, so equal figures give equal bytes. Whatever text the figures hold is escaped. Style and script stand
//! in the page, and its Content-Security-Policy allows these two by their digests and nothing else, so no part of the page sets a `style`
//! attribute. Everything can be read without the script, which sorts tables, filters segments and shows tips.
//!
//! **Groups of few customers.** The sizes of segments and the figures at the top are told as they are. Any part of them (a cell of the map, a
//! flow, an overlap, whom a channel may reach in a segment) that has fewer customers than the declared minimum is told as `fewer than 10`. A group
//! of so few is broken down no further: neither traits, nor causes, nor channels. Its revenue is not told anywhere, for that of one customer is
//! a value of one person; and where groups add up to a sum that is told, the revenue of so many more is left out that the difference is that
//! of enough customers. The revenue of cells is rounded to two digits for the same reason.

mod actions;
mod amounts;
mod causes;
mod changes;
mod channels;
mod charts;
mod headline;
mod locale;
mod markup;
mod movements;
mod names;
mod numbers;
mod overlaps;
mod personas;
mod project;
mod quality;
mod segments;
#[cfg(test)]
mod tests;
mod traits;
mod value;
mod view;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::figures::types::Figures;
use markup::Markup;
use view::{Detail, View, day};

/// How large a page may be, in bytes.
pub const MAX_PAGE_BYTES: usize = 2_000_000;

const STYLE: &str = include_str!("../../templates/report/report.css");
const SCRIPT: &str = include_str!("../../templates/report/report.js");

#[derive(Template)]
#[template(path = "report/report.html")]
struct Page {
    title: String,
    isolated_title: String,
    description: Option<String>,
    as_of: String,
    iso_as_of: String,
    compared: Option<String>,
    contents: Vec<(&'static str, &'static str)>,
    sections: Vec<Markup>,
    style_digest: String,
    script_digest: String,
    style: &'static str,
    script: &'static str,
}

/// The page of figures.
///
/// # Errors
/// If a template cannot be rendered.
pub fn report(figures: &Figures) -> Result<String, askama::Error> {
    let mut page = String::new();
    for detail in Detail::LEVELS {
        page = at_detail(figures, detail)?;
        if page.len() < MAX_PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}

fn at_detail(figures: &Figures, detail: Detail) -> Result<String, askama::Error> {
    let view = View::new(figures, detail);
    let mut parts = vec![
        ("headline", "At a glance", headline::section(&view)?),
        ("changes", "What changed", changes::section(&view)?),
        ("actions", "What to do next", actions::section(&view)?),
        ("segments", "Segments", segments::section(&view)?),
        ("heat-map", "Recency and frequency", charts::heat_map::section(&view)?),
        ("flows", "Flow between segments", charts::flow::section(&view)?),
        ("personas", "Personas", personas::section(&view)?),
        ("value", "Lifetime value", value::section(&view)?),
        ("channels", "Channels and consent", channels::section(&view)?),
    ];
    parts.extend(overlaps::section(&view)?.map(|overlaps| ("overlaps", "Overlap of segments", overlaps)));
    parts.push(("quality", "Data quality", quality::section(&view)?));
    parts.push(("project", "The project", project::section(&view)?));
    let page = Page {
        title: markup::clean(&figures.title, 200),
        isolated_title: markup::isolated_text(&markup::clean(&figures.title, 200)),
        description: view.maybe_excerpt(figures.description.as_deref()),
        as_of: day(figures.as_of),
        iso_as_of: figures.as_of.to_string(),
        compared: figures.previous_as_of.map(day),
        contents: parts.iter().map(|(anchor, title, _)| (*anchor, *title)).collect(),
        sections: parts.into_iter().map(|(_, _, section)| section).collect(),
        style_digest: digest(STYLE),
        script_digest: digest(SCRIPT),
        style: STYLE,
        script: SCRIPT,
    };
    page.render()
}

/// The digest by which a Content-Security-Policy allows what stands in the page.
fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}
