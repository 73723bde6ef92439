//! Why a customer is in a segment of a set, or is not: the rules in order, what is remembered of the customer, and permissions.

use chrono::NaiveDate;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, lit};

use super::change::Turn;
use super::condition::Condition;
use super::row::Customer;
use super::verdict::Verdict;
use crate::config::{Segment, SegmentSet, SetKind};

/// The most ways that are told by which a customer could enter or leave a segment.
const MOST_TURNS: usize = 3;

/// What the predecessor publication remembers of a customer and a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Whether the customer was a member.
    pub was_member: bool,
    /// The day on which a minimum stay ends that is not over.
    pub stays_until: Option<NaiveDate>,
    /// The first day on which the customer can enter again, while that is not yet.
    pub barred_until: Option<NaiveDate>,
}

/// How a customer stands to a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Is a member.
    Member,
    /// Would be a member, but may not be reached through the segment's channel.
    Withheld,
    /// Its rule matches, but the customer is in another segment of the set, before it or by memory.
    Taken,
    /// Its rule matches, but the customer has left it not long enough ago.
    Barred,
    /// Its rule does not match.
    No,
    /// Its rule is unknown, because a value that it needs is not known. So it does not match.
    Unknown,
}

/// What makes a customer a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// The rule matches.
    Rule,
    /// The condition holds under which a member remains one.
    Stay,
    /// The minimum stay is not over.
    MinimumStay,
}

/// A set, explained.
#[derive(Debug, Clone)]
pub struct ExplainedSet {
    /// Its name.
    pub name: String,
    /// How its segments relate.
    pub kind: SetKind,
    /// The segment that the customer is in, or is withheld from, in a set in which there is one.
    pub segment: Option<String>,
    /// The segments in order: all, or the one that was asked for and, where order matters, those above it.
    pub segments: Vec<ExplainedSegment>,
}

/// A segment, explained.
#[derive(Debug, Clone)]
pub struct ExplainedSegment {
    /// Its name.
    pub name: String,
    /// What its members are like.
    pub description: String,
    /// The channel by which they are spoken to.
    pub channel: String,
    /// How the customer stands to it.
    pub standing: Standing,
    /// What holds a member.
    pub held_by: Option<HeldBy>,
    /// Its rule.
    pub rule: Condition,
    /// The condition under which a member remains one.
    pub stay: Option<Condition>,
    /// What is remembered.
    pub remembered: Remembered,
    /// The condition under which the customer may be reached through its channel.
    pub permission: Option<Condition>,
    /// The smallest changes by which the customer would enter it, or leave it. Nothing is looked for in segments that were not asked for.
    pub turns: Vec<Turn>,
    /// Whether such changes were looked for.
    pub is_searched: bool,
}

/// A segment with its conditions as expressions.
struct Candidate<'a> {
    declared: &'a Segment,
    remembered: Remembered,
    when: Expr,
    stay: Option<Expr>,
    permission: Option<Expr>,
}

impl Candidate<'_> {
    /// Whether the rule, or for a member what keeps one, makes the customer a member, if no other segment does.
    fn matches(&self) -> Expr {
        if self.remembered.barred_until.is_some() {
            return lit(false);
        }
        let when = Expr::IsTrue(Box::new(self.when.clone()));
        match &self.stay {
            Some(stay) if self.remembered.was_member => when.or(Expr::IsTrue(Box::new(stay.clone()))),
            _ => when,
        }
    }
}

/// Explains a set of valid rules to a customer, or one segment of it.
///
/// # Errors
/// DataFusion's own, when a rule is not valid after all.
pub fn explain_set(
    customer: &Customer<'_>,
    name: &str,
    set: &SegmentSet,
    remembered: &[Remembered],
    asked: Option<&str>,
) -> Result<ExplainedSet, DataFusionError> {
    let whole = Whole::new(customer, set, remembered)?;
    let winner = whole.winner();
    let shown = |at: usize| match asked.and_then(|asked| set.segments.iter().position(|segment| segment.name.value == asked)) {
        None => true,
        Some(asked) if set.kind.value == SetKind::Exclusive => at <= asked || Some(at) == winner,
        Some(asked) => at == asked,
    };
    let segments = (0..set.segments.len()).filter(|at| shown(*at)).map(|at| {
        let is_searched = asked.is_none_or(|asked| set.segments[at].name.value == asked);
        whole.segment(at, winner, is_searched)
    });
    Ok(ExplainedSet {
        name: name.to_owned(),
        kind: set.kind.value,
        segment: winner.map(|at| set.segments[at].name.value.clone()),
        segments: segments.collect::<Result<_, _>>()?,
    })
}

/// The segment of a customer in a set in which there is one; none if the customer is withheld.
///
/// # Errors
/// DataFusion's own, when a rule is not valid after all.
pub fn segment_of<'a>(customer: &Customer<'_>, set: &'a SegmentSet, remembered: &[Remembered]) -> Result<Option<&'a str>, DataFusionError> {
    let whole = Whole::new(customer, set, remembered)?;
    let permitted = |at: &usize| {
        let permission = whole.candidates[*at].permission.as_ref();
        permission.is_none_or(|permission| customer.verdict(permission) == Verdict::Yes)
    };
    Ok(whole.winner().filter(permitted).map(|at| set.segments[at].name.value.as_str()))
}

/// A set and a customer.
struct Whole<'a> {
    customer: &'a Customer<'a>,
    set: &'a SegmentSet,
    candidates: Vec<Candidate<'a>>,
    always: Vec<Expr>,
}

impl<'a> Whole<'a> {
    fn new(customer: &'a Customer<'a>, set: &'a SegmentSet, remembered: &[Remembered]) -> Result<Self, DataFusionError> {
        let typed = |text: &str| customer.typed(&customer.engine.parse_rule(text)?);
        let candidates = set.segments.iter().enumerate().map(|(at, declared)| {
            let permission = set.permissions.get(&declared.channel).map(|text| typed(&text.value)).transpose()?;
            let stay = declared.stay.as_ref().map(|text| typed(&text.value)).transpose()?;
            let remembered = remembered.get(at).cloned().unwrap_or_default();
            Ok(Candidate { declared, remembered, when: typed(&declared.when.value)?, stay, permission })
        });
        let candidates: Vec<Candidate<'_>> = candidates.collect::<Result<_, DataFusionError>>()?;
        let always = customer.domains.always().map(typed).collect::<Result<Vec<_>, _>>()?;
        Ok(Whole { customer, set, candidates, always })
    }

    fn is_single(&self) -> bool {
        self.set.kind.value != SetKind::Overlapping
    }

    /// The segment that the customer cannot leave yet, in a set in which there is one.
    fn forced(&self) -> Option<usize> {
        self.candidates.iter().position(|candidate| candidate.remembered.stays_until.is_some()).filter(|_| self.is_single())
    }

    /// The segment of a customer, in a set in which there is one, whatever permissions say.
    fn winner(&self) -> Option<usize> {
        let first = || self.candidates.iter().position(|candidate| self.customer.verdict(&candidate.matches()) == Verdict::Yes);
        if self.is_single() { self.forced().or_else(first) } else { None }
    }

    /// Whether the customer is in a segment, whatever permissions say.
    fn chosen(&self, at: usize) -> Expr {
        if let Some(forced) = self.forced() {
            return lit(forced == at);
        }
        let candidate = &self.candidates[at];
        match self.set.kind.value {
            SetKind::Exclusive => {
                let earlier = self.candidates[..at].iter().map(|earlier| Expr::Not(Box::new(earlier.matches())));
                earlier.fold(candidate.matches(), Expr::and)
            }
            SetKind::Overlapping if candidate.remembered.stays_until.is_some() => lit(true),
            SetKind::Partition | SetKind::Overlapping => candidate.matches(),
        }
    }

    /// What holds a customer who is chosen for a segment.
    fn held_by(&self, at: usize, verdict: Verdict) -> HeldBy {
        let is_first = || {
            let earlier = &self.candidates[..at];
            !self.is_single() || earlier.iter().all(|earlier| self.customer.verdict(&earlier.when) != Verdict::Yes)
        };
        match (self.candidates[at].remembered.stays_until, verdict) {
            (Some(_), Verdict::Yes) if is_first() => HeldBy::Rule,
            (Some(_), _) => HeldBy::MinimumStay,
            (None, Verdict::Yes) => HeldBy::Rule,
            (None, _) => HeldBy::Stay,
        }
    }

    fn segment(&self, at: usize, winner: Option<usize>, is_searched: bool) -> Result<ExplainedSegment, DataFusionError> {
        let candidate = &self.candidates[at];
        let declared = candidate.declared;
        let rule = Condition::of_rule(self.customer, &declared.when.value)?;
        let stay = declared.stay.as_ref().filter(|_| candidate.remembered.was_member);
        let stay = stay.map(|text| Condition::of_rule(self.customer, &text.value)).transpose()?;
        let permission = self.set.permissions.get(&declared.channel);
        let permission = permission.map(|text| Condition::of_rule(self.customer, &text.value)).transpose()?;
        let is_chosen = self.customer.verdict(&self.chosen(at)) == Verdict::Yes;
        let is_permitted = permission.as_ref().is_none_or(|permission| permission.verdict == Verdict::Yes);
        let standing = match (is_chosen, is_permitted, rule.verdict) {
            (true, true, _) => Standing::Member,
            (true, false, _) => Standing::Withheld,
            (false, _, Verdict::Yes) if candidate.remembered.barred_until.is_some() => Standing::Barred,
            (false, _, Verdict::Yes) if winner.is_some() => Standing::Taken,
            (false, _, Verdict::Unknown) => Standing::Unknown,
            (false, ..) => Standing::No,
        };
        let held_by = matches!(standing, Standing::Member | Standing::Withheld).then(|| self.held_by(at, rule.verdict));
        let decided = candidate.permission.iter().fold(self.chosen(at), |all, one| all.and(Expr::IsTrue(Box::new(one.clone()))));
        let wanted = if standing == Standing::Member { Expr::Not(Box::new(decided)) } else { decided };
        let turns = if is_searched { Turn::smallest(self.customer, &wanted, &self.always, MOST_TURNS) } else { Vec::new() };
        Ok(ExplainedSegment {
            name: declared.name.value.clone(),
            description: declared.description.clone(),
            channel: declared.channel.to_string(),
            standing,
            held_by,
            rule,
            stay,
            remembered: candidate.remembered.clone(),
            permission,
            turns,
            is_searched,
        })
    }
}
