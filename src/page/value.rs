//! Lifetime value, and how well predictions did.

use askama::Template;

use super::amounts::{self, number};
use super::charts::bar::{bar, outline};
use super::markup::{Markup, Sentence, clean};
use super::names;
use super::view::View;
use crate::figures::types::{CalibrationFigures, LifetimeValue};

#[derive(Template)]
#[template(path = "report/value.html")]
struct Section {
    value: Option<Value>,
    reason: Option<String>,
    calibrations: Vec<Calibration>,
}

struct Value {
    column: String,
    name: String,
    description: Option<String>,
    in_short: Markup,
    tenths: Vec<(String, Markup, Markup, String, Markup)>,
    hidden: Option<String>,
}

struct Calibration {
    title: String,
    days: String,
    tenths: Vec<(String, String, Markup, String, Markup)>,
    in_short: Markup,
    losses: Vec<String>,
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let value = view.figures.lifetime_value.as_ref().map(|value| of_value(view, value)).transpose()?;
    let reason = view.not_told(&["lifetime", "worth"]).map(|not_told| view.excerpt(&not_told.reason));
    let calibrations = view.figures.calibrations.iter().map(|found| calibration(view, found)).collect::<Result<_, _>>()?;
    Markup::of(&Section { value, reason, calibrations })
}

/// A tenth by its place from 0.
fn tenth(at: usize, of: usize) -> String {
    match at {
        0 => "Top tenth".to_owned(),
        last if last + 1 == of => "Last tenth".to_owned(),
        1 => "2nd".to_owned(),
        2 => "3rd".to_owned(),
        other => format!("{}th", other + 1),
    }
}

fn of_value(view: &View<'_>, value: &LifetimeValue) -> Result<Value, askama::Error> {
    let numbers = &view.numbers;
    let is_small = numbers.is_small(value.customers) || value.tenths.iter().any(|tenth| numbers.is_small(tenth.customers));
    let all = number(value.total);
    let largest = value.tenths.iter().map(|tenth| number(tenth.total)).fold(0.0, f64::max);
    let share = |part: f64| amounts::ratio(part, all);
    let row = |(at, found): (usize, &crate::figures::types::Tenth)| {
        let part = share(number(found.total));
        Ok((
            tenth(at, value.tenths.len()),
            numbers.count(found.customers),
            numbers.amount(found.total),
            part.map_or_else(|| super::numbers::NOTHING.to_owned(), |part| numbers.percent(part)),
            bar(amounts::ratio(number(found.total), largest).unwrap_or(0.0))?,
        ))
    };
    let mut in_short = Sentence::new().with(&numbers.customers(value.customers)).words(if value.customers == 1 { " has" } else { " have" });
    in_short = in_short.words(" a value that is known");
    if !numbers.is_small(value.customers) && value.customers > 0 {
        in_short = in_short.words(": ").with(&numbers.amount(value.total)).words(" in all");
    }
    in_short = in_short.words(".");
    if let (Some(top), false) = (value.tenths.first().and_then(|top| share(number(top.total))), is_small) {
        in_short = in_short.words(" The top tenth has ").words(&numbers.about(top)).words(" of it.");
    }
    Ok(Value {
        column: names::title(&value.column),
        name: clean(&value.column, 120),
        description: view.maybe_excerpt(value.description.as_deref()),
        in_short: in_short.end(),
        tenths: if is_small { Vec::new() } else { value.tenths.iter().enumerate().map(row).collect::<Result<_, askama::Error>>()? },
        hidden: is_small.then(|| format!("Tenths of fewer than {} customers are not told.", numbers.plain(numbers.minimum))),
    })
}

fn calibration(view: &View<'_>, found: &CalibrationFigures) -> Result<Calibration, askama::Error> {
    let numbers = &view.numbers;
    let finite = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
    let largest = found.tenths.iter().map(|(predicted, actual)| finite(*predicted).max(finite(*actual))).fold(0.0, f64::max);
    let part = |value: f64| amounts::ratio(finite(value), largest).unwrap_or(0.0);
    let row = |(at, (predicted, actual)): (usize, &(f64, f64))| {
        Ok((
            tenth(at, found.tenths.len()),
            numbers.decimal(*predicted),
            bar(part(*predicted))?,
            numbers.decimal(*actual),
            outline(part(*actual))?,
        ))
    };
    let all = found.tenths.iter().fold((0.0, 0.0), |all, (predicted, actual)| (all.0 + finite(*predicted), all.1 + finite(*actual)));
    let mut in_short = Sentence::new();
    if !found.tenths.is_empty() {
        in_short = in_short.words("Predicted: ").words(&numbers.decimal(all.0)).words(" purchases; there were ");
        in_short = in_short.words(&numbers.decimal(all.1));
        if let Some(off) = amounts::ratio(all.0 - all.1, all.1) {
            let (size, way) = (numbers.about(off.abs()), if off < 0.0 { "too few" } else { "too many" });
            in_short = if off.abs() < 0.005 {
                in_short.words(", as predicted")
            } else {
                in_short.words(", so ").words(&size).words(" ").words(way)
            };
        }
        in_short = in_short.words(".");
    }
    Ok(Calibration {
        title: names::title(&found.prediction),
        days: numbers.plain(u64::from(found.days)),
        tenths: found.tenths.iter().enumerate().map(row).collect::<Result<_, askama::Error>>()?,
        in_short: in_short.end(),
        losses: found.losses.iter().map(|loss| super::names::sentence(&view.excerpt(loss))).collect(),
    })
}
