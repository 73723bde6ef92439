//! Movements in sentences: who came into a segment, from where and why, and what they spent.

use super::amounts;
use super::causes;
use super::markup::{Markup, Sentence};
use super::names;
use super::view::{SegmentView, SetView, View, total};
use crate::figures::types::{Amount, Flow};

/// A movement, told.
pub struct Told {
    /// How much it matters: the part of all revenue, or of all customers, that moved.
    pub weight: f64,
    /// The places of set and segment, for movements that matter equally.
    pub place: (usize, usize),
    /// The customers who moved.
    pub customers: u64,
    /// The sentence.
    pub sentence: Markup,
}

/// The movements into every segment, and those out of segments of overlapping sets, where leaving one is not entering another. Movements of too
/// few customers are left out.
pub fn all(view: &View<'_>) -> Vec<Told> {
    let mut told = Vec::new();
    for (set_at, set) in view.sets.iter().enumerate() {
        for (at, segment) in set.segments.iter().enumerate() {
            told.extend(entered(view, set, segment, &segment.flows_in, (set_at, at)));
        }
        // Who is in no segment now has left all of them.
        if set.is_exclusive() {
            let out: Vec<&Flow> = set.moved().filter(|flow| flow.to.is_none()).collect();
            told.extend(left_all(view, set, &out, (set_at, set.segments.len())));
            continue;
        }
        for (at, segment) in set.segments.iter().enumerate() {
            let out: Vec<&Flow> = segment.flows_out.iter().copied().filter(|flow| flow.to.is_none()).collect();
            told.extend(left(view, set, segment, &out, (set_at, at)));
        }
    }
    told
}

fn entered(view: &View<'_>, set: &SetView<'_>, segment: &SegmentView<'_>, flows: &[&Flow], place: (usize, usize)) -> Option<Told> {
    let customers = total(flows.iter().map(|flow| flow.customers));
    if customers == 0 || view.numbers.is_small(customers) {
        return None;
    }
    let verb = if set.is_exclusive() { " became " } else { " came into " };
    let mut sentence = Sentence::new().with(&view.numbers.customers(customers)).words(verb).name(&segment.title);
    sentence = aside(sentence, set, place.0);
    if set.is_exclusive() {
        sentence = from_where(sentence, view, flows, customers);
    }
    let (sentence, spent) = spent(sentence, view, flows);
    let causes = causes::added(flows.iter().copied());
    let sentence = causes::told(sentence.words("."), &causes, customers, &view.numbers).end();
    Some(Told { weight: weight(view, set, place.0, customers, spent), place, customers, sentence })
}

fn left(view: &View<'_>, set: &SetView<'_>, segment: &SegmentView<'_>, flows: &[&Flow], place: (usize, usize)) -> Option<Told> {
    let customers = total(flows.iter().map(|flow| flow.customers));
    if customers == 0 || view.numbers.is_small(customers) {
        return None;
    }
    let sentence = Sentence::new().with(&view.numbers.customers(customers)).words(" left ").name(&segment.title);
    let (sentence, spent) = spent(aside(sentence, set, place.0), view, flows);
    let causes = causes::added(flows.iter().copied());
    let sentence = causes::told(sentence.words("."), &causes, customers, &view.numbers).end();
    Some(Told { weight: weight(view, set, place.0, customers, spent), place, customers, sentence })
}

fn left_all(view: &View<'_>, set: &SetView<'_>, flows: &[&Flow], place: (usize, usize)) -> Option<Told> {
    let customers = total(flows.iter().map(|flow| flow.customers));
    if customers == 0 || view.numbers.is_small(customers) {
        return None;
    }
    let sentence = Sentence::new().with(&view.numbers.customers(customers)).words(" are in no segment of ").name(&set.title);
    let (sentence, spent) = spent(sentence.words(" any more"), view, flows);
    let causes = causes::added(flows.iter().copied());
    let sentence = causes::told(sentence.words("."), &causes, customers, &view.numbers).end();
    Some(Told { weight: weight(view, set, place.0, customers, spent), place, customers, sentence })
}

/// Of which set a segment is, where it is not of the first.
fn aside(sentence: Sentence, set: &SetView<'_>, set_at: usize) -> Sentence {
    if set_at == 0 { sentence } else { sentence.words(" (").quoted(&set.title).words(")") }
}

/// Where most of them were before.
fn from_where(sentence: Sentence, view: &View<'_>, flows: &[&Flow], customers: u64) -> Sentence {
    let Some(largest) = flows.iter().max_by(|left, right| left.customers.cmp(&right.customers).then(right.from.cmp(&left.from))) else {
        return sentence;
    };
    let is_all = flows.len() == 1;
    let sentence = match largest.customers {
        _ if is_all => sentence.words(", all of them "),
        most if most > customers / 2 => sentence.words(", most of them ("),
        _ => sentence.words(", the largest part of them ("),
    };
    let sentence = if is_all { sentence } else { sentence.with(&view.numbers.group(largest.customers)).words(") ") };
    match &largest.from {
        Some(from) => sentence.name(&names::phrase(from)).words(" before"),
        None => sentence.words("in no segment before"),
    }
}

/// What they spent, if it is known of all of them.
fn spent(sentence: Sentence, view: &View<'_>, flows: &[&Flow]) -> (Sentence, Option<Amount>) {
    let revenues: Option<Vec<Amount>> = flows.iter().map(|flow| flow.revenue).collect();
    let Some(spent) = revenues.and_then(amounts::sum) else { return (sentence, None) };
    if spent.unscaled == 0 {
        return (sentence.words("; they spent nothing in the window"), Some(spent));
    }
    (sentence.words("; they spent ").words(&view.numbers.short_amount(spent)).words(" in the window"), Some(spent))
}

/// The part of all revenue or, if that is larger or revenue is not known, half the part of all customers. Sets after the first tell much of the
/// same customers again, so they weigh less.
fn weight(view: &View<'_>, set: &SetView<'_>, set_at: usize, customers: u64, spent: Option<Amount>) -> f64 {
    let revenue = spent.zip(view.revenue).and_then(|(spent, all)| amounts::ratio(amounts::number(spent), amounts::number(all)));
    let weight = revenue.unwrap_or(0.0).max(amounts::share(customers, view.customers) / 2.0);
    match (set_at, set.is_exclusive()) {
        (0, _) => weight,
        (_, true) => weight * 0.5,
        (_, false) => weight * 0.3,
    }
}
