//! What every part of the page reads: the figures, prepared once.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};

use super::amounts::{self, count_number};
use super::markup::{Markup, clean};
use super::names;
use super::numbers::Numbers;
use crate::figures::types::{Amount, Figure, Figures, Flow, NotTold, SegmentFigures, SetFigures};

/// How much is told. A page that would be too large tells less of each segment.
#[derive(Debug, Clone, Copy)]
pub struct Detail {
    /// Traits of a segment.
    pub traits: usize,
    /// Cards of segments, in all sets together.
    pub cards: usize,
    /// Rows of a table.
    pub rows: usize,
    /// Characters of a description.
    pub characters: usize,
    /// Whether tables tell every day of the trends.
    pub has_trend_tables: bool,
}

impl Detail {
    /// From the most to the least.
    pub const LEVELS: [Detail; 5] = [
        Detail { traits: 12, cards: 2_000, rows: 2_000, characters: 1_000, has_trend_tables: true },
        Detail { traits: 8, cards: 1_000, rows: 1_000, characters: 400, has_trend_tables: true },
        Detail { traits: 5, cards: 400, rows: 400, characters: 240, has_trend_tables: false },
        Detail { traits: 3, cards: 120, rows: 200, characters: 160, has_trend_tables: false },
        Detail { traits: 0, cards: 40, rows: 50, characters: 100, has_trend_tables: false },
    ];
}

/// The figures and what is needed to show them.
pub struct View<'a> {
    /// What is shown.
    pub figures: &'a Figures,
    /// Writes numbers.
    pub numbers: Numbers,
    /// How much is told.
    pub detail: Detail,
    /// The sets, in their order.
    pub sets: Vec<SetView<'a>>,
    /// All customers.
    pub customers: u64,
    /// What they spent in all.
    pub revenue: Option<Amount>,
    /// How many days before the last of the trends the predecessor publication is.
    days_back: Option<usize>,
}

/// A set, prepared.
pub struct SetView<'a> {
    /// Its figures.
    pub figures: &'a SetFigures,
    /// Its name for people.
    pub title: String,
    /// Its anchor, such as `set-1`.
    pub anchor: String,
    /// Its segments, in their order.
    pub segments: Vec<SegmentView<'a>>,
    /// Segments that members came from and that are not in the set any more.
    pub lost: Vec<&'a str>,
}

/// A segment, prepared.
pub struct SegmentView<'a> {
    /// Its figures.
    pub figures: &'a SegmentFigures,
    /// Its name for people.
    pub title: String,
    /// Its anchor, such as `segment-1-3`.
    pub anchor: String,
    /// Its members.
    pub members: u64,
    /// Its members in the predecessor publication.
    pub earlier: Option<u64>,
    /// What its members spent, where it may be told.
    pub revenue: Option<Amount>,
    /// Whether the revenue is known and not told.
    pub is_revenue_hidden: bool,
    /// Whether the predecessor publication did not have it.
    pub is_new: bool,
    /// The flows into it since the predecessor publication.
    pub flows_in: Vec<&'a Flow>,
    /// The flows out of it.
    pub flows_out: Vec<&'a Flow>,
    /// Who came in.
    pub came: u64,
    /// Who left.
    pub left: u64,
}

impl<'a> SetView<'a> {
    /// The flows between its segments, into them and out of them.
    pub fn moved(&self) -> impl Iterator<Item = &'a Flow> + use<'a> {
        moved(self.figures)
    }

    /// Whether a customer is in one of its segments at most.
    pub fn is_exclusive(&self) -> bool {
        self.figures.kind != "overlapping"
    }
}

impl<'a> View<'a> {
    /// Prepares the figures.
    pub fn new(figures: &'a Figures, detail: Detail) -> Self {
        let days_back = figures.previous_as_of.and_then(|previous| {
            let at = figures.days.iter().position(|day| *day == previous)?;
            Some(figures.days.len() - 1 - at).filter(|back| *back > 0)
        });
        let numbers = Numbers::new(&figures.locale, figures.currency.as_deref(), figures.minimum_members);
        let sets = (1..).zip(&figures.sets).map(|(at, set)| set_view(set, at, days_back, &numbers)).collect::<Vec<_>>();
        let of_headline = |is_wanted: fn(&Figure) -> bool| {
            figures.headline.iter().filter_map(|line| line.values.last().copied().flatten()).find(is_wanted)
        };
        let of_sets = || {
            let exclusive = sets.iter().filter(|set| set.is_exclusive());
            exclusive
                .map(|set| set.figures.customers_in_none.saturating_add(total(set.segments.iter().map(|segment| segment.members))))
                .max()
        };
        let customers = match of_headline(|figure| matches!(figure, Figure::Count(_))) {
            Some(Figure::Count(count)) => count,
            _ => of_sets().unwrap_or(0),
        };
        let revenue = match of_headline(|figure| matches!(figure, Figure::Amount(_))) {
            Some(Figure::Amount(amount)) => Some(amount),
            _ => None,
        };
        View { figures, numbers, detail, sets, customers, revenue, days_back }
    }

    /// The value on the day of the predecessor publication.
    pub fn earlier<T: Copy>(&self, values: &[Option<T>]) -> Option<T> {
        earlier(values, self.days_back)
    }

    /// Whether there is a publication to compare with.
    pub fn has_predecessor(&self) -> bool {
        self.figures.previous_as_of.is_some()
    }

    /// What a segment's members spent as a part of what all customers did.
    pub fn revenue_share(&self, segment: &SegmentView<'_>) -> Option<f64> {
        amounts::ratio(amounts::number(segment.revenue?), amounts::number(self.revenue?))
    }

    /// A text of the project, not longer than is told.
    pub fn excerpt(&self, text: &str) -> String {
        clean(text.trim(), self.detail.characters)
    }

    /// A text of the project that may be missing or blank.
    pub fn maybe_excerpt(&self, text: Option<&str>) -> Option<String> {
        text.map(str::trim).filter(|text| !text.is_empty()).map(|text| self.excerpt(text))
    }

    /// Why a part could not be told, found by a word of its name.
    pub fn not_told(&self, words: &[&str]) -> Option<&'a NotTold> {
        self.figures.not_told.iter().find(|not_told| {
            let part = not_told.part.to_lowercase();
            words.iter().any(|word| part.contains(word))
        })
    }

    /// Revenue in a table: why it is missing, if it is.
    pub fn revenue_cell(&self, segment: &SegmentView<'_>) -> Markup {
        if segment.is_revenue_hidden { Markup::text("not told") } else { self.numbers.maybe_amount(segment.revenue) }
    }
}

/// A day in words, such as `10 December 2011`.
pub fn day(day: NaiveDate) -> String {
    const MONTHS: [&str; 12] =
        ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    let month = MONTHS.get(day.month0() as usize).copied().unwrap_or_default();
    format!("{}\u{a0}{month}\u{a0}{}", day.day(), day.year())
}

/// A day in short for the head of a column, such as `10 Dec 2011`, which may be broken into lines.
pub fn short_day(date: NaiveDate) -> String {
    let words = day(date);
    let mut parts = words.split('\u{a0}');
    let mut next = || parts.next().unwrap_or_default();
    format!("{} {} {}", next(), next().chars().take(3).collect::<String>(), next())
}

fn earlier<T: Copy>(values: &[Option<T>], days_back: Option<usize>) -> Option<T> {
    let at = values.len().checked_sub(days_back? + 1)?;
    values.get(at).copied().flatten()
}

fn set_view<'a>(set: &'a SetFigures, place: usize, days_back: Option<usize>, numbers: &Numbers) -> SetView<'a> {
    let members: Vec<u64> = set.segments.iter().map(|segment| segment.members.last().copied().flatten().unwrap_or(0)).collect();
    let is_exclusive = set.kind != "overlapping";
    let hidden = hidden_revenues(&members, is_exclusive.then_some(set.customers_in_none), numbers);
    let places: BTreeMap<&str, usize> = set.segments.iter().enumerate().map(|(at, segment)| (segment.name.as_str(), at)).collect();
    let place_of = |name: Option<&str>| name.and_then(|name| places.get(name).copied());
    let mut flows_in: Vec<Vec<&Flow>> = vec![Vec::new(); members.len()];
    let mut flows_out = flows_in.clone();
    let mut lost: Vec<&str> = Vec::new();
    for flow in moved(set) {
        if let Some(at) = place_of(flow.to.as_deref()) {
            flows_in[at].push(flow);
        }
        if let Some(at) = place_of(flow.from.as_deref()) {
            flows_out[at].push(flow);
        }
        lost.extend(flow.from.as_deref().filter(|name| !places.contains_key(name)));
    }
    lost.sort_unstable();
    lost.dedup();
    let segments = flows_in.into_iter().zip(flows_out).enumerate().map(|(at, (flows_in, flows_out))| {
        let figures = &set.segments[at];
        SegmentView {
            figures,
            title: names::title(&figures.name),
            anchor: format!("segment-{place}-{}", at + 1),
            members: members[at],
            earlier: earlier(&figures.members, days_back),
            revenue: figures.revenue.filter(|_| !hidden[at]),
            is_revenue_hidden: figures.revenue.is_some() && hidden[at],
            is_new: days_back.is_some() && earlier(&figures.members, days_back).is_none(),
            came: total(flows_in.iter().map(|flow| flow.customers)),
            left: total(flows_out.iter().map(|flow| flow.customers)),
            flows_in,
            flows_out,
        }
    });
    let segments = segments.collect();
    SetView { figures: set, title: names::title(&set.name), anchor: format!("set-{place}"), segments, lost }
}

fn moved(set: &SetFigures) -> impl Iterator<Item = &Flow> {
    set.flows.iter().filter(|flow| flow.from != flow.to && flow.customers > 0)
}

/// A sum of counts.
pub fn total(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

/// Of which groups the revenue is not told: of those that are too small, and, where the groups add up to all customers, of so many others, the
/// smallest first, that what is left of the sum is not that of too few.
fn hidden_revenues(members: &[u64], in_none: Option<u64>, numbers: &Numbers) -> Vec<bool> {
    let mut hidden: Vec<bool> = members.iter().map(|members| numbers.is_small(*members)).collect();
    let Some(in_none) = in_none else { return hidden };
    let small = members.iter().zip(&hidden).filter(|(_, is_hidden)| **is_hidden).map(|(members, _)| *members);
    let mut left = total(small.chain([in_none]));
    while numbers.is_small(left) {
        let others = (0..members.len()).filter(|at| !hidden[*at] && members[*at] > 0);
        let Some(smallest) = others.min_by_key(|at| (members[*at], *at)) else { break };
        hidden[smallest] = true;
        left += members[smallest];
    }
    hidden
}

/// By which part of what it was a count has changed.
pub fn relative_change(now: u64, earlier: u64) -> Option<f64> {
    amounts::ratio(count_number(now) - count_number(earlier), count_number(earlier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_sum_tells_nothing_of_a_few() {
        let numbers = Numbers::new("en", None, 10);
        assert_eq!(hidden_revenues(&[500, 3, 40, 90], Some(0), &numbers), [false, true, true, false]);
        assert_eq!(hidden_revenues(&[500, 3, 8, 90], Some(0), &numbers), [false, true, true, false], "11 together");
        assert_eq!(hidden_revenues(&[500, 40], Some(2), &numbers), [false, true], "in none");
        assert_eq!(hidden_revenues(&[500, 40, 0], Some(20), &numbers), [false, false, false]);
        assert_eq!(hidden_revenues(&[500, 3, 40], None, &numbers), [false, true, false], "they do not add up");
        assert_eq!(hidden_revenues(&[3], Some(0), &numbers), [true]);
    }
}
