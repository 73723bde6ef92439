//! The segments of every set: sizes, shares, changes, revenue and trends.

use askama::Template;

use super::amounts::{self, count_number};
use super::charts::bar::bar;
use super::charts::change::of_counts;
use super::charts::sparkline::sparkline;
use super::markup::{Markup, Sentence, isolated_text};
use super::numbers::NOTHING;
use super::view::{SegmentView, SetView, View, short_day};

#[derive(Template)]
#[template(path = "report/segments.html")]
struct Section {
    sets: Vec<Set>,
    has_filter: bool,
    is_compared: bool,
    revenue: Option<String>,
    has_revenue: bool,
    has_hidden: bool,
    /// Whether the tables of days are left out.
    is_shortened: bool,
    minimum: String,
    /// The days of the trends, the newest last; none where the tables of days are left out.
    days: Vec<String>,
}

struct Set {
    title: String,
    anchor: String,
    kind: &'static str,
    description: Option<String>,
    rows: Vec<Row>,
    left_out: Option<Markup>,
    in_none: Option<Markup>,
    lost: Vec<String>,
}

struct Row {
    title: String,
    name: String,
    anchor: String,
    members: Markup,
    share: String,
    share_value: String,
    bar: Markup,
    is_new: bool,
    change: Markup,
    revenue: Markup,
    revenue_share: String,
    trend: Markup,
    days: Vec<String>,
}

/// From how many segments on they can be filtered.
const FILTER_FROM: usize = 6;

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let sets = view.sets.iter().map(|set| of_set(view, set)).collect::<Result<Vec<_>, _>>()?;
    let segments = || view.sets.iter().flat_map(|set| &set.segments);
    let days = if view.detail.has_trend_tables && view.figures.days.len() > 1 {
        view.figures.days.iter().copied().map(short_day).collect()
    } else {
        Vec::new()
    };
    Markup::of(&Section {
        has_filter: segments().count() >= FILTER_FROM,
        is_compared: view.has_predecessor(),
        revenue: view.maybe_excerpt(view.figures.revenue.as_deref()),
        has_revenue: segments().any(|segment| segment.figures.revenue.is_some()),
        has_hidden: segments().any(|segment| segment.is_revenue_hidden),
        is_shortened: !view.detail.has_trend_tables && view.figures.days.len() > 1,
        minimum: view.numbers.plain(view.numbers.minimum),
        days,
        sets,
    })
}

/// The segments that are told: all, or the largest.
pub fn told<'a>(set: &'a SetView<'a>, most: usize) -> Vec<&'a SegmentView<'a>> {
    let mut places: Vec<usize> = (0..set.segments.len()).collect();
    if places.len() > most {
        places.sort_by_key(|at| (std::cmp::Reverse(set.segments[*at].members), *at));
        places.truncate(most);
        places.sort_unstable();
    }
    places.into_iter().map(|at| &set.segments[at]).collect()
}

fn of_set(view: &View<'_>, set: &SetView<'_>) -> Result<Set, askama::Error> {
    let largest = set.segments.iter().map(|segment| segment.members).max().unwrap_or(0);
    let told = told(set, view.detail.rows);
    let left_out = set.segments.len() - told.len();
    let in_none = set.figures.customers_in_none;
    Ok(Set {
        title: set.title.clone(),
        anchor: set.anchor.clone(),
        kind: match set.figures.kind.as_str() {
            "partition" => "Every customer is in exactly one of these segments.",
            "overlapping" => "A customer can be in several of these segments.",
            _ => "A customer is in one of these segments at most.",
        },
        description: view.maybe_excerpt(set.figures.description.as_deref()),
        rows: told.iter().map(|segment| row(view, segment, largest)).collect::<Result<_, _>>()?,
        left_out: (left_out > 0).then(|| view.numbers.counted(left_out as u64, "smaller segment", "smaller segments")),
        in_none: (in_none > 0).then(|| in_none_told(view, in_none)),
        lost: set.lost.iter().map(|name| super::names::title(name)).collect(),
    })
}

fn row(view: &View<'_>, segment: &SegmentView<'_>, largest: u64) -> Result<Row, askama::Error> {
    let numbers = &view.numbers;
    let has_trends = view.detail.has_trend_tables;
    Ok(Row {
        title: segment.title.clone(),
        name: super::markup::clean(&segment.figures.name, 120),
        anchor: segment.anchor.clone(),
        members: numbers.count(segment.members),
        share: numbers.share(segment.members, view.customers),
        share_value: format!("{:.6}", amounts::share(segment.members, view.customers)),
        bar: bar(amounts::share(segment.members, largest))?,
        is_new: segment.is_new,
        change: of_counts(numbers, segment.members, segment.earlier)?,
        revenue: view.revenue_cell(segment),
        revenue_share: view.revenue_share(segment).map_or(NOTHING.to_owned(), |share| numbers.percent(share)),
        trend: trend(view, segment)?,
        days: if has_trends {
            segment.figures.members.iter().map(|members| members.map_or(NOTHING.to_owned(), |members| numbers.plain(members))).collect()
        } else {
            Vec::new()
        },
    })
}

fn in_none_told(view: &View<'_>, customers: u64) -> Markup {
    let sentence = Sentence::new();
    if view.numbers.is_small(customers) {
        return sentence.words("Of all customers, ").with(&view.numbers.group(customers)).words(" are in none.").end();
    }
    let share = view.numbers.share(customers, view.customers);
    sentence.with(&view.numbers.customers(customers)).words(" (").words(&share).words(") are in none.").end()
}

/// How many members a segment had, as a line.
pub fn trend(view: &View<'_>, segment: &SegmentView<'_>) -> Result<Markup, askama::Error> {
    let members = &segment.figures.members;
    let values: Vec<Option<f64>> = members.iter().map(|members| members.map(count_number)).collect();
    let known: Vec<u64> = members.iter().flatten().copied().collect();
    let ends = |first: &u64, last: &u64| format!("from {} to {}", view.numbers.plain(*first), view.numbers.plain(*last));
    let words = known.first().zip(known.last()).map_or_else(String::new, |(first, last)| ends(first, last));
    sparkline(&values, format!("Trend of {}: {words}", isolated_text(&segment.title)), false)
}
