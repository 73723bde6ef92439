//! What changed since the predecessor publication, in sentences that are made from the figures.

use askama::Template;

use super::amounts;
use super::causes;
use super::markup::{Markup, Sentence};
use super::movements::{self, Told};
use super::names;
use super::view::{SetView, View, day, total};
use crate::figures::types::Figure;

/// How many movements are told; the rest is in the flows.
const MOST_MOVEMENTS: usize = 7;
/// From which relative fall on the reach of a channel is told.
const FALL: f64 = -0.005;
/// How many edits and checks are told before the reader is sent to the end of the page.
const MOST_LISTED: usize = 5;

#[derive(Template)]
#[template(path = "report/changes.html")]
struct Section {
    since: Option<String>,
    in_short: Option<Markup>,
    movements: Vec<Markup>,
    others: Option<Markup>,
    watch: Vec<Markup>,
    has_flows: bool,
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let mut told = movements::all(view);
    told.sort_by(|left, right| right.weight.total_cmp(&left.weight).then(left.place.cmp(&right.place)));
    let others = told.split_off(told.len().min(MOST_MOVEMENTS));
    Markup::of(&Section {
        since: view.figures.previous_as_of.map(day),
        in_short: in_short(view),
        movements: told.into_iter().map(|told| told.sentence).collect(),
        others: others_told(view, &others),
        watch: watch(view),
        has_flows: view.sets.iter().any(|set| set.is_exclusive() && !set.figures.flows.is_empty()),
    })
}

fn others_told(view: &View<'_>, others: &[Told]) -> Option<Markup> {
    let customers = total(others.iter().map(|told| told.customers));
    (!others.is_empty()).then(|| {
        let sentence = Sentence::new().with(&view.numbers.counted(others.len() as u64, "smaller movement", "smaller movements"));
        sentence.words(", of ").with(&view.numbers.customers(customers)).words(" in all, stand with each set below.").end()
    })
}

/// Customers and revenue, now and before.
fn in_short(view: &View<'_>) -> Option<Markup> {
    let since = view.figures.previous_as_of?;
    let numbers = &view.numbers;
    let customers = view.figures.headline.iter().find(|line| matches!(line.values.last(), Some(Some(Figure::Count(_)))))?;
    let Some(Figure::Count(now)) = customers.values.last().copied().flatten() else { return None };
    if now == 0 {
        return Some(Sentence::new().words("There are no customers.").end());
    }
    let mut sentence = Sentence::new().words(if now == 1 { "There is " } else { "There are " }).with(&numbers.customers(now));
    if let Some(Figure::Count(before)) = view.earlier(&customers.values) {
        sentence = than_before(
            sentence,
            numbers.plain(now.abs_diff(before)),
            now > before,
            now == before,
            amounts::share(now.abs_diff(before), before),
            view,
        );
        sentence = sentence.words(" ").words(if now == before { "on " } else { "than on " }).words(&day(since));
    }
    let amounts_line = view.figures.headline.iter().find(|line| matches!(line.values.last(), Some(Some(Figure::Amount(_)))));
    let (Some(line), false) = (amounts_line, view.customers < view.numbers.minimum) else { return Some(sentence.words(".").end()) };
    let Some(Figure::Amount(spent)) = line.values.last().copied().flatten() else { return Some(sentence.words(".").end()) };
    sentence = sentence.words("; they spent ").words(&numbers.short_amount(spent)).words(" in the window");
    let before = match view.earlier(&line.values) {
        Some(Figure::Amount(before)) => Some(before),
        _ => None,
    };
    if let Some((before, mut left)) = before.and_then(|before| Some((before, amounts::difference(spent, before)?))) {
        let (is_more, is_equal) = (left.unscaled > 0, left.unscaled == 0);
        left.unscaled = left.unscaled.saturating_abs();
        let part = amounts::ratio(amounts::number(left), amounts::number(before)).unwrap_or(0.0);
        sentence = than_before(sentence, numbers.short_amount(left), is_more, is_equal, part, view);
    }
    Some(sentence.words(".").end())
}

fn than_before(sentence: Sentence, size: String, is_more: bool, is_equal: bool, part: f64, view: &View<'_>) -> Sentence {
    if is_equal {
        return sentence.words(", as many as");
    }
    let sentence = sentence.words(", ").words(&size).words(if is_more { " more" } else { " less" });
    if part > 0.0 && part < 10.0 { sentence.words(" (").words(&view.numbers.about(part)).words(")") } else { sentence }
}

/// What somebody should look at: failed checks, edits, segments that are new or gone, and reach that fell.
fn watch(view: &View<'_>) -> Vec<Markup> {
    let mut told = checks(view);
    told.extend(reach(view));
    told.extend(edits(view));
    told.extend(view.sets.iter().flat_map(|set| new_and_lost(view, set)));
    if told.len() > 4 * MOST_LISTED {
        let more = told.split_off(4 * MOST_LISTED);
        told.push(Sentence::new().words("And ").with(&view.numbers.count(more.len() as u64)).words(" more of this kind.").end());
    }
    told
}

fn new_and_lost(view: &View<'_>, set: &SetView<'_>) -> Vec<Markup> {
    let new: Vec<_> = set.segments.iter().filter(|segment| segment.is_new).collect();
    let mut told = Vec::new();
    if new.len() > 1 && new.len() == set.segments.len() {
        let sentence = Sentence::new().words("The set ").name(&set.title).words(" is new: ");
        told.push(sentence.with(&view.numbers.counted(new.len() as u64, "segment", "segments")).words(".").end());
    } else {
        for segment in new {
            let sentence = Sentence::new().words("The segment ").name(&segment.title).words(" is new in ").quoted(&set.title);
            told.push(sentence.words(": ").with(&view.numbers.customers(segment.members)).words(".").end());
        }
    }
    for lost in &set.lost {
        let sentence = Sentence::new().words("The segment ").name(&names::title(lost)).words(" is not in ").quoted(&set.title);
        told.push(sentence.words(" any more.").end());
    }
    told
}

fn checks(view: &View<'_>) -> Vec<Markup> {
    let of = |severity: &str| {
        let failed = view.figures.quality.checks.iter().filter(|check| check.outcome == "failed" && (check.severity == severity));
        failed.take(MOST_LISTED).collect::<Vec<_>>()
    };
    let told = |check: &crate::figures::types::CheckFigures| {
        let lead = if check.severity == "warn" { "A check warns: " } else { "A check failed: " };
        let sentence = Sentence::new().words(lead).name(&names::title(&check.name));
        let found = view.excerpt(&check.found);
        if found.is_empty() { sentence.words(".").end() } else { sentence.words(": ").quoted(&names::sentence(&found)).end() }
    };
    of("fail").into_iter().chain(of("warn")).map(told).collect()
}

fn reach(view: &View<'_>) -> Vec<Markup> {
    let numbers = &view.numbers;
    let told = view.figures.channels.iter().filter_map(|channel| {
        let now = channel.reachable.last().copied().flatten()?;
        let before = view.earlier(&channel.reachable)?;
        let part = super::view::relative_change(now, before).filter(|part| *part <= FALL)?;
        let sentence = Sentence::new().name(&names::title(&channel.name)).words(" may reach ").with(&numbers.customers(now));
        let sentence = sentence.words(", ").with(&numbers.count(before.abs_diff(now))).words(" fewer than before (");
        let sentence = sentence.words(&numbers.about(part)).words(").");
        let Some((reason, customers)) = channel.refusals.first() else { return Some(sentence.end()) };
        let sentence = sentence.words(" The commonest reason why it may not reach somebody: ").quoted(&names::phrase(reason));
        Some(sentence.words(" (").with(&numbers.group(*customers)).words(").").end())
    });
    told.collect()
}

fn edits(view: &View<'_>) -> Vec<Markup> {
    let edits = view.figures.project.edits.as_deref().unwrap_or_default();
    let flows: Vec<_> = view.sets.iter().flat_map(SetView::moved).collect();
    let moved = causes::added(flows.iter().copied());
    let all = total(flows.iter().map(|flow| flow.customers));
    let by_edit = moved.iter().find(|(cause, _)| *cause == "definition").map_or(0, |(_, customers)| *customers);
    if edits.is_empty() && by_edit == 0 {
        return Vec::new();
    }
    let numbers = &view.numbers;
    let mut sentence = Sentence::new().words("The project was edited");
    sentence = match by_edit {
        0 if all > 0 => sentence.words(", and no movement comes from that"),
        0 => sentence,
        few if numbers.is_small(few) => sentence.words(", and ").with(&numbers.group(few)).words(" of the movements come from that"),
        many => {
            let sentence = sentence.words(", so ").with(&numbers.count(many)).words(" of the ").with(&numbers.count(all));
            sentence.words(" movements come from the edits and not from the customers")
        }
    };
    for (at, edit) in edits.iter().take(MOST_LISTED).enumerate() {
        sentence = sentence.words(if at == 0 { ": " } else { "; " }).quoted(view.excerpt(edit).trim_end_matches('.'));
    }
    if edits.len() > MOST_LISTED {
        sentence = sentence.words("; and ").with(&numbers.count((edits.len() - MOST_LISTED) as u64)).words(" more");
    }
    vec![sentence.words(".").end()]
}
