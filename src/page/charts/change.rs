//! Changes since the predecessor publication: a sign, an arrow and a colour say the same.

use askama::Template;

use crate::figures::types::Figure;
use crate::page::amounts;
use crate::page::markup::Markup;
use crate::page::numbers::Numbers;

#[derive(Template)]
#[template(
    source = r#"<span class="change{{ tone }}"><span class="arrow" aria-hidden="true">{{ arrow }}</span><data value="{{ exact }}">{{ sign }}{{ size }}</data>{% if let Some(relative) = relative %} <span class="relative">({{ sign }}{{ relative }})</span>{% endif %}</span>"#,
    ext = "html"
)]
struct Change {
    tone: &'static str,
    arrow: &'static str,
    exact: String,
    sign: &'static str,
    size: String,
    relative: Option<String>,
}

/// Whether more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is.
    More,
    /// Less is.
    Less,
    /// Nobody says.
    Unknown,
}

/// The change of a figure; nothing if one of the two is not known or they are not alike.
pub fn change(numbers: &Numbers, now: Option<Figure>, earlier: Option<Figure>, better: Better) -> Result<Markup, askama::Error> {
    let (Some(now), Some(earlier)) = (now, earlier) else { return Ok(Markup::default()) };
    let (exact, size, of) = match (now, earlier) {
        (Figure::Count(now), Figure::Count(earlier)) => {
            let exact = i128::from(now) - i128::from(earlier);
            (exact.to_string(), numbers.short_count(now.abs_diff(earlier)), amounts::count_number(earlier))
        }
        (Figure::Amount(now), Figure::Amount(earlier)) => {
            let Some(mut left) = amounts::difference(now, earlier) else { return Ok(Markup::default()) };
            let exact = amounts::digits(left);
            left.unscaled = left.unscaled.saturating_abs();
            (exact, numbers.short_amount(left), amounts::number(earlier))
        }
        _ => return Ok(Markup::default()),
    };
    let is_below = exact.starts_with('-');
    if !exact.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        return Ok(unchanged());
    }
    let difference = amounts::figure_number(now) - amounts::figure_number(earlier);
    let relative = amounts::ratio(difference.abs(), of.abs()).filter(|relative| *relative < 10.0);
    let tone = match better {
        Better::More if is_below => " bad",
        Better::Less if !is_below => " bad",
        Better::Unknown => "",
        _ => " good",
    };
    Markup::of(&Change {
        tone,
        arrow: if is_below { "▼" } else { "▲" },
        exact,
        sign: if is_below { "\u{2212}" } else { "+" },
        size,
        relative: relative.map(|relative| numbers.percent(relative)),
    })
}

/// The change of a count.
pub fn of_counts(numbers: &Numbers, now: u64, earlier: Option<u64>) -> Result<Markup, askama::Error> {
    change(numbers, Some(Figure::Count(now)), earlier.map(Figure::Count), Better::Unknown)
}

fn unchanged() -> Markup {
    let mut markup = Markup::default();
    markup.push_tag("<span class=\"change\"><data value=\"0\">no change</data></span>");
    markup
}
