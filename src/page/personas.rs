//! Every segment as a persona.

use askama::Template;

use super::actions;
use super::amounts;
use super::charts::bar;
use super::charts::change::of_counts;
use super::markup::{Markup, clean};
use super::names;
use super::segments;
use super::traits;
use super::view::{SegmentView, SetView, View};

/// The section has open cards up to so many in a set; more are folded.
const MOST_OPEN: usize = 16;

#[derive(Template)]
#[template(path = "report/personas.html")]
struct Section {
    sets: Vec<Set>,
    has_filter: bool,
}

struct Set {
    title: String,
    is_open: bool,
    is_folded: bool,
    cards: Vec<Card>,
    count: Markup,
    left_out: Option<Markup>,
}

struct Card {
    title: String,
    name: String,
    anchor: String,
    set: String,
    description: Option<String>,
    action: Option<String>,
    how: Markup,
    members: Markup,
    plain_members: String,
    share: String,
    change: Markup,
    revenue: Option<Markup>,
    revenue_share: Option<String>,
    trend: Markup,
    traits: Vec<traits::Group>,
    no_traits: Option<String>,
    preferred: Vec<(String, Markup, String)>,
    reach: Vec<Reach>,
    rule: Option<String>,
}

struct Reach {
    channel: String,
    customers: Markup,
    share: String,
    bar: Markup,
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let all: usize = view.sets.iter().map(|set| set.segments.len()).sum();
    let most = if all > view.detail.cards { (view.detail.cards / view.sets.len().max(1)).max(1) } else { all };
    let mut sets = Vec::new();
    for (at, set) in view.sets.iter().enumerate() {
        let told = segments::told(set, most);
        let left_out = set.segments.len() - told.len();
        sets.push(Set {
            title: set.title.clone(),
            is_open: at == 0,
            is_folded: set.segments.len() > MOST_OPEN,
            cards: told.into_iter().map(|segment| card(view, set, segment)).collect::<Result<_, _>>()?,
            count: view.numbers.counted(set.segments.len() as u64, "segment", "segments"),
            left_out: (left_out > 0).then(|| view.numbers.counted(left_out as u64, "smaller segment has", "smaller segments have")),
        });
    }
    Markup::of(&Section { sets, has_filter: all > MOST_OPEN })
}

fn card(view: &View<'_>, set: &SetView<'_>, segment: &SegmentView<'_>) -> Result<Card, askama::Error> {
    let numbers = &view.numbers;
    let figures = segment.figures;
    let is_small = numbers.is_small(segment.members);
    let traits = if is_small { Vec::new() } else { traits::groups(view, &figures.traits)? };
    let too_few = || format!("Groups of fewer than {} customers are not broken down.", numbers.plain(numbers.minimum));
    let no_traits = match (is_small, traits.is_empty()) {
        (true, _) => Some(too_few()),
        (_, false) => None,
        (_, true) if view.detail.traits == 0 && !figures.traits.is_empty() => Some("Left out to keep this page small.".to_owned()),
        (_, true) if segment.members == 0 => Some("Nobody is in this segment.".to_owned()),
        _ => Some(view.maybe_excerpt(figures.no_traits_because.as_deref()).unwrap_or_else(|| "Its members are like everybody.".to_owned())),
    };
    let reach = view.figures.channels.iter().zip(&figures.reach).filter(|_| !is_small && segment.members > 0).map(|(channel, reached)| {
        Ok(Reach {
            channel: names::title(&channel.name),
            customers: numbers.group(*reached),
            share: if numbers.is_small(*reached) { String::new() } else { numbers.share(*reached, segment.members) },
            bar: bar::bar(amounts::share(*reached, segment.members))?,
        })
    });
    let preferred = figures.preferred_channels.iter().filter(|_| !is_small && segment.members > 0).take(6).map(|(channel, customers)| {
        let share = if numbers.is_small(*customers) { String::new() } else { numbers.share(*customers, segment.members) };
        (names::title(channel), numbers.group(*customers), share)
    });
    Ok(Card {
        title: segment.title.clone(),
        name: clean(&figures.name, view.detail.characters),
        anchor: segment.anchor.clone(),
        set: set.title.clone(),
        description: view.maybe_excerpt(figures.description.as_deref()),
        action: view.maybe_excerpt(figures.action.as_deref()),
        how: actions::how(view, segment),
        members: numbers.count(segment.members),
        plain_members: numbers.plain(segment.members),
        share: numbers.share(segment.members, view.customers),
        change: of_counts(numbers, segment.members, segment.earlier)?,
        revenue: figures.revenue.map(|_| view.revenue_cell(segment)),
        revenue_share: view.revenue_share(segment).map(|share| numbers.percent(share)),
        trend: segments::trend(view, segment)?,
        traits,
        no_traits,
        preferred: preferred.collect(),
        reach: reach.collect::<Result<_, askama::Error>>()?,
        rule: view.maybe_excerpt(figures.rule.as_deref()),
    })
}
