//! Trends as small lines.

use askama::Template;

use super::coordinate;
use crate::page::amounts::count_number;
use crate::page::markup::Markup;

/// How wide and high a line is drawn.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 28.0;
/// Room around it, for the end of the line.
const MARGIN: f64 = 3.0;

#[derive(Template)]
#[template(
    source = r#"<svg class="spark" viewBox="0 0 120 28" role="img" aria-label="{{ label }}">{% for area in areas %}<path class="area" d="{{ area }}"/>{% endfor %}<path d="{{ line }}"/>{% if let Some((x, y)) = end %}<circle cx="{{ x }}" cy="{{ y }}" r="2.4"/>{% endif %}</svg>"#,
    ext = "html"
)]
struct Sparkline {
    label: String,
    areas: Vec<String>,
    line: String,
    end: Option<(String, String)>,
}

/// A line through the values that are known. `label` says in words what it shows. Fewer than two values make no trend.
pub fn sparkline(values: &[Option<f64>], label: String, is_filled: bool) -> Result<Markup, askama::Error> {
    let known: Vec<f64> = values.iter().flatten().copied().filter(|value| value.is_finite()).collect();
    if known.len() < 2 {
        return Ok(Markup::default());
    }
    let lowest = known.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = highest - lowest;
    let place = |at: usize, value: f64| {
        let x = MARGIN + (WIDTH - 2.0 * MARGIN) * count_number(at as u64) / count_number(values.len() as u64 - 1);
        let part = if range > 0.0 { (value - lowest) / range } else { 0.5 };
        (x, HEIGHT - MARGIN - part * (HEIGHT - 2.0 * MARGIN))
    };
    let mut pieces: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (at, value) in values.iter().enumerate() {
        match (value, pieces.last_mut()) {
            (Some(value), Some(piece)) if value.is_finite() => piece.push(place(at, *value)),
            _ => pieces.push(Vec::new()),
        }
    }
    let path = |piece: &[(f64, f64)]| {
        let points: Vec<String> = piece.iter().map(|(x, y)| format!("{} {}", coordinate(*x), coordinate(*y))).collect();
        format!("M{}", points.join("L"))
    };
    let end = values.last().copied().flatten().filter(|value| value.is_finite()).map(|value| place(values.len() - 1, value));
    let area = |piece: &Vec<(f64, f64)>| {
        let from = piece.first().map_or(0.0, |first| first.0);
        format!("{}V{}H{}Z", path(piece), coordinate(HEIGHT), coordinate(from))
    };
    // A value between two that are not known is drawn as a short stroke.
    let stroke = |piece: &Vec<(f64, f64)>| if piece.len() == 1 { format!("{}h1", path(piece)) } else { path(piece) };
    pieces.retain(|piece| !piece.is_empty());
    Markup::of(&Sparkline {
        label,
        areas: pieces.iter().filter(|piece| is_filled && piece.len() > 1).map(area).collect(),
        line: pieces.iter().map(stroke).collect::<Vec<_>>().concat(),
        end: end.map(|(x, y)| (coordinate(x), coordinate(y))),
    })
}
