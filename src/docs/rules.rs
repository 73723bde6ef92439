//! The sets of segments on the page: rules as they are written, what keeps customers in segments, and what was proved.

use super::known::Known;
use super::nodes::Nodes;
use super::view::{Fact, Segment, Set};
use crate::config::{self, SegmentSet, SetKind};
use crate::diagnostic::counted;
use crate::segments::Proof;

/// The sets, in the order of the pipeline file.
pub fn sets(known: &Known<'_>) -> Vec<Set> {
    let sets = known.plan.project.pipeline.segments.iter();
    sets.map(|(name, set)| set_view(known, name, set)).collect()
}

fn set_view(known: &Known<'_>, name: &str, set: &SegmentSet) -> Set {
    let permission = |(channel, condition): (&config::Channel, &config::Spanned<String>)| Fact {
        label: format!("May be reached by {channel} if"),
        text: condition.shown().to_owned(),
    };
    let proof = known.plan.proofs.iter().find(|proof| proof.segment_set == name);
    Set {
        id: known.id(known.nodes.set(name)),
        name: name.to_owned(),
        kind: set.kind.value.to_string(),
        description: known.maybe(set.description.as_ref()),
        proof: proof.map(|proof| told(proof, set.kind.value)).unwrap_or_default(),
        permissions: set.permissions.iter().map(permission).collect(),
        segments: set.segments.iter().map(|segment| segment_view(known, name, segment)).collect(),
    }
}

fn segment_view(known: &Known<'_>, set: &str, segment: &config::Segment) -> Segment {
    let days = |label: &str, days: &Option<config::Spanned<u32>>| {
        let days = known.number(days.as_ref()?.value);
        Some(Fact { label: label.to_owned(), text: format!("{days} days") })
    };
    let stay = segment.stay.as_ref().map(|stay| Fact { label: "stays while".to_owned(), text: stay.shown().to_owned() });
    let minimum = days("stays at least", &segment.minimum_stay_days);
    let cooldown = days("enters again after", &segment.cooldown_days);
    Segment {
        id: Nodes::segment_id(&known.plan.project, set, &segment.name.value),
        name: segment.name.shown().to_owned(),
        description: known.text(&segment.description),
        action: known.text(&segment.action),
        channel: segment.channel.to_string(),
        rule: segment.when.shown().to_owned(),
        stability: stay.into_iter().chain(minimum).chain(cooldown).collect(),
    }
}

/// What a proof says, as `validate` tells it.
fn told(proof: &Proof, kind: SetKind) -> Vec<String> {
    let Some(cells) = proof.cells else {
        let why = proof.problems.iter().map(|problem| problem.message.clone());
        return std::iter::once("The set could not be proved as a whole.".to_owned()).chain(why).collect();
    };
    let over = format!("Proved over {} of customers who differ for the rules", counted(cells as u64, "kind"));
    if !proof.problems.is_empty() {
        let found = proof.problems.iter().map(|problem| problem.message.clone());
        return std::iter::once(format!("{over}. Look at:")).chain(found).collect();
    }
    let holds = match kind {
        SetKind::Exclusive => "every customer is in exactly one segment, the first whose rule matches, and every rule decides for somebody",
        SetKind::Partition => "exactly one rule matches every customer",
        SetKind::Overlapping => "every rule can match somebody",
    };
    vec![format!("{over}: {holds}.")]
}
