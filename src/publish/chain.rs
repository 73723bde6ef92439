//! The chain of publications, each of which builds on that of the nearest earlier day: which of them are built on what has been superseded
//! since.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};

use super::publications::Publications;
use crate::error::{Error, Result};
use crate::manifest::{Base, Commit};

/// Commits that are read at once.
const CONCURRENCY: usize = 16;

/// What every published day is built on.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    links: BTreeMap<NaiveDate, Link>,
}

/// The publication of a day as a part of the chain.
#[derive(Debug, Clone)]
struct Link {
    number: u64,
    /// What it is to later days and what it is built on itself; none where its commit file is gone.
    known: Option<(Base, Option<Base>)>,
}

/// Why a publication is built on a superseded predecessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Superseded {
    /// Its predecessor's day has been published anew since, with another state.
    Replaced {
        /// The predecessor's day.
        as_of: NaiveDate,
        /// The number of the publication that it was built on.
        built_on: u64,
        /// The number of the day's publication now.
        now: u64,
    },
    /// A day between it and what it was built on has been published since.
    Between(NaiveDate),
    /// Its predecessor is itself built on a superseded one.
    Inherited(NaiveDate),
}

impl std::fmt::Display for Superseded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Superseded::Replaced { as_of, built_on, now } => {
                write!(f, "{as_of}, on whose number {built_on} it is built, was published anew as number {now}")
            }
            Superseded::Between(as_of) => write!(f, "{as_of}, which comes between it and what it is built on, was published since"),
            Superseded::Inherited(as_of) => write!(f, "{as_of}, on which it is built, is built on a superseded predecessor itself"),
        }
    }
}

impl Publications {
    /// What another publication was built on, or a later one of its day with the same state; none where neither is there any more.
    ///
    /// # Errors
    /// As [`Publications::of`].
    pub async fn base(&self, base: &Base) -> Result<Option<Commit>> {
        match self.of(base.as_of).await? {
            Some(now) if Base::of(&now).is_like(base) => Ok(Some(now)),
            _ => Publications::commit_at(&self.destination, base.number).await,
        }
    }

    /// What every day is built on that is published no later than a day, or at all.
    ///
    /// # Errors
    /// As [`Publications::read`].
    pub async fn chain(&self, until: Option<NaiveDate>) -> Result<Chain> {
        let days = self.by_day().into_iter().filter(|(day, _)| until.is_none_or(|until| *day <= until));
        let newest = self.newest();
        let links = stream::iter(days.map(|(day, number)| async move {
            let known = match newest.filter(|newest| newest.number == number) {
                Some(newest) => Some(link_of(newest)),
                None => Publications::commit_at(&self.destination, number).await?.as_ref().map(link_of),
            };
            Ok::<_, Error>((day, Link { number, known }))
        }));
        Ok(Chain { links: links.buffered(CONCURRENCY).try_collect().await? })
    }
}

fn link_of(commit: &Commit) -> (Base, Option<Base>) {
    (Base::of(commit), commit.predecessor.clone())
}

impl Chain {
    /// The chain of the days that are published, of whose commits those are known that are there.
    pub fn of(live: &BTreeMap<NaiveDate, u64>, commits: &[Commit]) -> Self {
        let commit = |number: u64| commits.iter().find(|commit| commit.number == number).map(link_of);
        Chain { links: live.iter().map(|(day, number)| (*day, Link { number: *number, known: commit(*number) })).collect() }
    }

    /// The days that are built on a superseded predecessor, each with the reason.
    pub fn superseded(&self) -> BTreeMap<NaiveDate, Superseded> {
        let mut found: BTreeMap<NaiveDate, Superseded> = BTreeMap::new();
        let mut before: Option<(NaiveDate, &Link)> = None;
        for (day, link) in &self.links {
            if let (Some((_, base)), Some((nearest, predecessor))) = (&link.known, before)
                && let Some(why) = why(base.as_ref(), link, (nearest, predecessor), found.contains_key(&nearest))
            {
                found.insert(*day, why);
            }
            before = Some((*day, link));
        }
        found
    }

    /// The days that publications of some days are built on and that are published.
    pub fn needed_by<'a>(&'a self, days: impl Iterator<Item = &'a NaiveDate>) -> impl Iterator<Item = NaiveDate> {
        let base = |day: &NaiveDate| Some(self.links.get(day)?.known.as_ref()?.1.as_ref()?.as_of);
        days.filter_map(base).filter(|day| self.links.contains_key(day))
    }
}

/// Why a publication is built on a superseded predecessor, when the nearest earlier day has a publication, which may be so itself.
fn why(base: Option<&Base>, link: &Link, (nearest, predecessor): (NaiveDate, &Link), inherits: bool) -> Option<Superseded> {
    let has_state = |link: &Link| link.known.as_ref().is_none_or(|(as_base, _)| !as_base.state.is_empty());
    let is_between = || (has_state(link) && has_state(predecessor)).then_some(Superseded::Between(nearest));
    let Some(base) = base else { return is_between() };
    match nearest.cmp(&base.as_of) {
        std::cmp::Ordering::Greater => is_between(),
        // What it was built on is not published any more, which takes nothing from it.
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => {
            let is_same = predecessor.number == base.number || predecessor.known.as_ref().is_some_and(|(as_base, _)| as_base.is_like(base));
            if !is_same {
                return Some(Superseded::Replaced { as_of: nearest, built_on: base.number, now: predecessor.number });
            }
            inherits.then_some(Superseded::Inherited(nearest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn base(as_of: &str, number: u64, state: &str) -> Base {
        let state = BTreeMap::from([("segment_stays".to_owned(), state.to_owned())]);
        Base { as_of: day(as_of), number, run_id: format!("run-{number}"), state, definition_digest: None, given_digest: None }
    }

    fn chain(links: &[(&str, u64, &str, Option<Base>)]) -> Vec<(String, String)> {
        let link = |(as_of, number, state, built_on): &(&str, u64, &str, Option<Base>)| {
            (day(as_of), Link { number: *number, known: Some((base(as_of, *number, state), built_on.clone())) })
        };
        let chain = Chain { links: links.iter().map(link).collect() };
        chain.superseded().into_iter().map(|(day, why)| (day.to_string(), format!("{why:?}"))).collect()
    }

    #[test]
    fn what_has_changed_below_a_publication_supersedes_it_and_all_after_it() {
        let (one, two, three) = ("2011-01-01", "2011-01-02", "2011-01-03");
        let on = |as_of, number, state| Some(base(as_of, number, state));
        assert!(chain(&[(one, 1, "a", None), (two, 2, "b", on(one, 1, "a")), (three, 3, "c", on(two, 2, "b"))]).is_empty());
        // Published anew with the same state.
        assert!(chain(&[(one, 4, "a", None), (two, 2, "b", on(one, 1, "a")), (three, 3, "c", on(two, 2, "b"))]).is_empty());
        let found = chain(&[(one, 4, "x", None), (two, 2, "b", on(one, 1, "a")), (three, 3, "c", on(two, 2, "b"))]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].1.starts_with("Replaced") && found[1].1.starts_with("Inherited"), "{found:?}");
        // Put between, and taken away.
        let found = chain(&[(one, 1, "a", None), (two, 4, "b", on(one, 1, "a")), (three, 3, "c", on(one, 1, "a"))]);
        assert_eq!(found, [(three.to_owned(), format!("Between({two})"))]);
        assert!(chain(&[(one, 1, "a", None), (three, 3, "c", on(two, 2, "b"))]).is_empty());
        assert!(chain(&[(three, 3, "c", on(two, 2, "b"))]).is_empty());
    }
}
