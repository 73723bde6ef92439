//! Bars inside the cells of a table.

use askama::Template;

use super::coordinate;
use crate::page::markup::Markup;

#[derive(Template)]
#[template(
    source = r#"<svg class="bar{% if is_outline %} outline{% endif %}" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><path d="M0 0H{{ width }}V10H0z"/></svg>"#,
    ext = "html"
)]
struct Bar {
    width: String,
    is_outline: bool,
}

#[derive(Template)]
#[template(
    source = r#"<svg class="strength{% if is_below %} below{% endif %}" viewBox="0 0 60 10" aria-hidden="true"><path d="M30 2H{{ to }}V8H30z"/></svg>"#,
    ext = "html"
)]
struct Strength {
    to: String,
    is_below: bool,
}

/// A bar for a part of the whole width.
pub fn bar(part: f64) -> Result<Markup, askama::Error> {
    Markup::of(&Bar { width: coordinate(percent(part)), is_outline: false })
}

/// A bar of the second kind, beside bars of the first.
pub fn outline(part: f64) -> Result<Markup, askama::Error> {
    Markup::of(&Bar { width: coordinate(percent(part)), is_outline: true })
}

/// A bar from the middle to the right, or to the left if a trait is weaker than everybody's; full from two standard deviations on.
pub fn strength(standardised_difference: f64) -> Result<Markup, askama::Error> {
    let size = if standardised_difference.is_finite() { standardised_difference.clamp(-2.0, 2.0) } else { 0.0 };
    let width = (size.abs() * 14.0).max(1.5);
    let is_below = size < 0.0;
    Markup::of(&Strength { to: coordinate(if is_below { 30.0 - width } else { 30.0 + width }), is_below })
}

fn percent(part: f64) -> f64 {
    if !part.is_finite() || part <= 0.0 { 0.0 } else { (part * 100.0).clamp(0.6, 100.0) }
}
