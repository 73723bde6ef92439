//! What to do: the actions of the segments that matter most.

use askama::Template;

use super::amounts;
use super::markup::{Markup, Sentence, clean};
use super::names;
use super::view::{SegmentView, SetView, View};

/// How many actions are told: a list that is done in a week.
const MOST_ACTIONS: usize = 6;
/// How many of one set, so that the others are heard too.
const MOST_OF_A_SET: usize = 3;
/// How many other segments are named for which the action is the same.
const MOST_ALSO: usize = 4;
/// How much those count who came in, whom nobody has written to as members yet, and those who were there already.
const NEWCOMERS: f64 = 3.0;
const OTHERS: f64 = 0.3;

/// How long an action may be here; its card has all of it.
const ACTION_CHARACTERS: usize = 240;

#[derive(Template)]
#[template(path = "report/actions.html")]
struct Section {
    actions: Vec<Action>,
    has_segments: bool,
    reason: Option<String>,
}

struct Action {
    action: String,
    segment: String,
    set: String,
    anchor: String,
    why: Markup,
    how: Markup,
    also: Vec<(String, String)>,
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let mut ranked: Vec<(f64, usize, usize)> = Vec::new();
    for (set_at, set) in view.sets.iter().enumerate() {
        for (at, segment) in set.segments.iter().enumerate() {
            let has_action = view.maybe_excerpt(segment.figures.action.as_deref()).is_some();
            if has_action && segment.members > 0 && reachable(view, segment) != Some(0) {
                ranked.push((weight(view, segment) * if set_at == 0 { 1.0 } else { 0.5 }, set_at, at));
            }
        }
    }
    ranked.sort_by(|left, right| right.0.total_cmp(&left.0).then((left.1, left.2).cmp(&(right.1, right.2))));
    let actions = chosen(view, &ranked);
    let has_segments = view.sets.iter().any(|set| !set.segments.is_empty());
    let reason = view.not_told(&["what to do", "action"]).map(|not_told| view.excerpt(&not_told.reason));
    Markup::of(&Section { actions, has_segments, reason })
}

/// The actions of the segments that matter most. What is to be done with several segments is told once, with the first of them.
fn chosen(view: &View<'_>, ranked: &[(f64, usize, usize)]) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    let mut of_sets = vec![0; view.sets.len()];
    for (_, set_at, at) in ranked {
        let (set, segment) = (&view.sets[*set_at], &view.sets[*set_at].segments[*at]);
        let Some(next) = action(view, set, segment) else { continue };
        if let Some(earlier) = actions.iter_mut().find(|earlier| earlier.action == next.action) {
            if earlier.also.len() < MOST_ALSO {
                earlier.also.push((next.segment, next.anchor));
            }
        } else if actions.len() < MOST_ACTIONS && (of_sets[*set_at] < MOST_OF_A_SET || view.sets.len() == 1) {
            of_sets[*set_at] += 1;
            actions.push(next);
        }
    }
    actions
}

fn weight(view: &View<'_>, segment: &SegmentView<'_>) -> f64 {
    let size = amounts::share(segment.members, view.customers);
    let of_all = view.revenue_share(segment).map_or(size, |share| share.max(size / 2.0));
    let came = amounts::share(segment.came, segment.members).min(1.0);
    of_all * (OTHERS + NEWCOMERS * came)
}

/// How many members the segment's channel may reach; `None` if it is none of the report's channels.
pub fn reachable(view: &View<'_>, segment: &SegmentView<'_>) -> Option<u64> {
    let channel = segment.figures.channel.as_ref()?;
    let at = view.figures.channels.iter().position(|known| known.name == *channel)?;
    segment.figures.reach.get(at).copied()
}

/// Through which channel, and how many members it may reach.
pub fn how(view: &View<'_>, segment: &SegmentView<'_>) -> Markup {
    let Some(channel) = segment.figures.channel.as_deref().filter(|channel| !channel.is_empty()) else {
        return Markup::text("No channel is named");
    };
    if channel == "none" {
        return Markup::text("No message: by other ways than a channel");
    }
    let sentence = Sentence::new().words("By ").name(&names::phrase(channel));
    let numbers = &view.numbers;
    match reachable(view, segment) {
        _ if numbers.is_small(segment.members) => sentence.end(),
        Some(0) => sentence.words(", which may reach none of them").end(),
        Some(reached) if reached == segment.members => sentence.words(", which may reach all ").with(&numbers.count(reached)).end(),
        Some(reached) => {
            let sentence = sentence.words(", which may reach ").with(&numbers.group(reached));
            sentence.words(" of ").with(&numbers.count(segment.members)).end()
        }
        None => sentence.words(" (how many it may reach is not known)").end(),
    }
}

fn action(view: &View<'_>, set: &SetView<'_>, segment: &SegmentView<'_>) -> Option<Action> {
    Some(Action {
        action: clean(&view.maybe_excerpt(segment.figures.action.as_deref())?, ACTION_CHARACTERS),
        segment: segment.title.clone(),
        set: set.title.clone(),
        anchor: segment.anchor.clone(),
        why: why(view, segment),
        how: how(view, segment),
        also: Vec::new(),
    })
}

fn why(view: &View<'_>, segment: &SegmentView<'_>) -> Markup {
    let numbers = &view.numbers;
    let mut sentence = Sentence::new().with(&numbers.customers(segment.members));
    if let (Some(revenue), Some(share)) = (segment.revenue, view.revenue_share(segment)) {
        if revenue.unscaled > 0 {
            sentence = sentence.words(", ").words(&numbers.short_amount(revenue)).words(" in the window, ");
            sentence = sentence.words(&numbers.about(share)).words(" of the revenue");
        }
    } else if view.customers > 0 {
        sentence = sentence.words(", ").words(&numbers.about(amounts::share(segment.members, view.customers))).words(" of all");
    }
    if segment.came > 0 && !numbers.is_small(segment.came) {
        sentence = sentence.words("; ").with(&numbers.count(segment.came)).words(" of them are new in it");
    }
    sentence.end()
}
