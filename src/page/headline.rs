//! The figures at the top, and their trends.

use askama::Template;

use super::amounts;
use super::charts::change::{Better, change};
use super::charts::sparkline::sparkline;
use super::markup::{Markup, clean};
use super::numbers::NOTHING;
use super::view::{View, day};
use crate::figures::types::{Figure, Headline};

#[derive(Template)]
#[template(path = "report/headline.html")]
struct Section {
    compared: Option<String>,
    tiles: Vec<Tile>,
    days: Vec<(String, Vec<Markup>)>,
}

struct Tile {
    label: String,
    meaning: Option<String>,
    value: Markup,
    exact: Option<Markup>,
    change: Markup,
    trend: Markup,
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let figures = view.figures;
    let values: Vec<Vec<Option<Figure>>> = figures.headline.iter().map(|line| told(view, line)).collect();
    let tiles = figures.headline.iter().zip(&values).map(|(line, values)| tile(view, line, values)).collect::<Result<_, _>>()?;
    let row = |at: usize| {
        let cell = |values: &Vec<Option<Figure>>| match values.get(at).copied().flatten() {
            Some(figure) => view.numbers.figure(figure),
            None => Markup::text(NOTHING),
        };
        values.iter().map(cell).collect()
    };
    let days = figures.days.iter().enumerate().rev().map(|(at, date)| (day(*date), row(at))).collect();
    Markup::of(&Section { compared: figures.previous_as_of.map(day), tiles, days })
}

/// The values of a figure, without the amounts of too few customers: those of the days on which a count before the first amount, which is of
/// customers or of buyers, is small.
fn told(view: &View<'_>, line: &Headline) -> Vec<Option<Figure>> {
    let counts: Vec<&Headline> =
        view.figures.headline.iter().take_while(|line| !line.values.iter().any(|value| matches!(value, Some(Figure::Amount(_))))).collect();
    let is_small = |at: usize| {
        let of_day = counts.iter().filter_map(|line| line.values.get(at).copied().flatten());
        of_day.into_iter().any(|figure| matches!(figure, Figure::Count(count) if view.numbers.is_small(count)))
    };
    let value = |(at, value): (usize, &Option<Figure>)| value.filter(|figure| !matches!(figure, Figure::Amount(_)) || !is_small(at));
    line.values.iter().enumerate().map(value).collect()
}

fn tile(view: &View<'_>, line: &Headline, values: &[Option<Figure>]) -> Result<Tile, askama::Error> {
    let numbers = &view.numbers;
    let now = values.last().copied().flatten();
    let value = now.map_or_else(|| Markup::text(NOTHING), |figure| numbers.short_figure(figure));
    // What is written in short at the top is written in full below.
    let exact = now.filter(|figure| numbers.short(*figure) != numbers.plain_figure(*figure)).map(|figure| numbers.figure(figure));
    let better = if line.more_is_better { Better::More } else { Better::Less };
    let label = clean(&line.label, 80);
    let as_numbers: Vec<Option<f64>> = values.iter().map(|value| value.map(amounts::figure_number)).collect();
    let first = values.iter().flatten().next().copied();
    let described = match (first, now) {
        (Some(first), Some(now)) => format!("Trend of {label}: from {} to {}", numbers.short(first), numbers.short(now)),
        _ => format!("Trend of {label}"),
    };
    Ok(Tile {
        exact,
        value,
        meaning: view.maybe_excerpt(line.meaning.as_deref()),
        change: change(numbers, now, view.earlier(values), better)?,
        trend: sparkline(&as_numbers, described, true)?,
        label,
    })
}
