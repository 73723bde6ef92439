//! Segments as numbers: first those of the project, which are also known by the names that they had before, then those that are in no
//! project any more.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::diagnostic::Diagnostic;
use crate::error::Result;

/// The most segments that are remembered although the project does not have them any more.
const MAX_FORMER_SEGMENTS: usize = 10_000;

/// A segment by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// The set, as it is called today.
    pub set: String,
    /// The segment, as it is called today.
    pub segment: String,
    /// The position of the set in the project; none where the project has none of that name.
    pub set_at: Option<usize>,
}

/// A set of the project with its segments, each with the names that it had before.
#[derive(Debug)]
pub struct NamedSet<'a> {
    /// The set's name.
    pub name: &'a str,
    /// The names that it had before.
    pub formerly: &'a [String],
    /// Its segments in order, each with the names that it had before.
    pub segments: Vec<(&'a str, &'a [String])>,
}

/// The numbers of all segments.
#[derive(Debug)]
pub struct Names {
    /// The segments of the project, by set and priority.
    ours: Vec<Named>,
    /// By set: the number of its first segment.
    firsts: Vec<u32>,
    /// By name of a set, today's or an earlier one.
    sets: HashMap<String, usize>,
    /// By set: the numbers of its segments by name, today's or an earlier one.
    segments: Vec<HashMap<String, u32>>,
    /// The numbers of segments that the project does not have.
    former: Mutex<HashMap<(String, String), u32>>,
    others: Vec<OnceLock<Named>>,
}

impl Names {
    /// The segments of a project.
    pub fn new(declared: &[NamedSet<'_>]) -> Self {
        let (mut ours, mut firsts, mut sets, mut segments) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
        for (at, set) in declared.iter().enumerate() {
            firsts.push(number(ours.len()));
            let mut by_name = HashMap::new();
            for (segment, formerly) in &set.segments {
                let names = std::iter::once((*segment).to_owned()).chain(formerly.iter().cloned());
                by_name.extend(names.map(|name| (name, number(ours.len()))));
                ours.push(Named { set: set.name.to_owned(), segment: (*segment).to_owned(), set_at: Some(at) });
            }
            segments.push(by_name);
            sets.extend(set.formerly.iter().map(|name| (name.clone(), at)));
            sets.insert(set.name.to_owned(), at);
        }
        let others = (0..MAX_FORMER_SEGMENTS).map(|_| OnceLock::new()).collect();
        Names { ours, firsts, sets, segments, former: Mutex::default(), others }
    }

    /// The number of a segment of the project, by the positions of its set and itself.
    pub fn of_position(&self, set: usize, segment: usize) -> u32 {
        self.firsts[set] + number(segment)
    }

    /// The position in its set of a segment of the project, by its number.
    pub fn position(&self, number: u32) -> Option<usize> {
        let set = self.ours.get(number as usize)?.set_at?;
        Some((number - self.firsts[set]) as usize)
    }

    /// The number of a segment by the names that it has, or had when they were written.
    ///
    /// # Errors
    /// When there are too many segments that the project does not have.
    pub fn number(&self, set: &str, segment: &str) -> Result<u32> {
        let at = self.sets.get(set).copied();
        if let Some(number) = at.and_then(|at| self.segments[at].get(segment)) {
            return Ok(*number);
        }
        let set = at.map_or(set, |at| self.ours.get(self.firsts[at] as usize).map_or(set, |named| named.set.as_str()));
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = former.get(&(set.to_owned(), segment.to_owned())) {
            return Ok(*number);
        }
        let Some(free) = self.others.get(former.len()) else {
            let what = format!("there are more than {MAX_FORMER_SEGMENTS} names of segments that the project does not have any more");
            return Err(Diagnostic::error("too-many-former-segments", what)
                .hint("give segments that were renamed the names that they had, under `formerly`")
                .into());
        };
        let found = number(self.ours.len() + former.len());
        let _ = free.set(Named { set: set.to_owned(), segment: segment.to_owned(), set_at: at });
        former.insert((set.to_owned(), segment.to_owned()), found);
        Ok(found)
    }

    /// The segment of a number that [`Names::number`] or [`Names::of_position`] gave.
    pub fn named(&self, number: u32) -> &Named {
        static NONE: Named = Named { set: String::new(), segment: String::new(), set_at: None };
        let at = number as usize;
        let other = || self.others.get(at - self.ours.len()).and_then(OnceLock::get);
        self.ours.get(at).or_else(other).unwrap_or(&NONE)
    }

    /// Whether a segment is of a set of the project, by the set's position.
    pub fn is_of(&self, number: u32, set: usize) -> bool {
        self.named(number).set_at == Some(set)
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_known_by_the_names_that_they_had() {
        let (before, of_set) = (["best".to_owned(), "gold".to_owned()], ["worth".to_owned()]);
        let segments: Vec<(&str, &[String])> = vec![("champions", &before), ("others", &[])];
        let names = Names::new(&[NamedSet { name: "value", formerly: &of_set, segments }]);
        for (set, segment) in [("value", "champions"), ("value", "gold"), ("worth", "best"), ("worth", "champions")] {
            assert_eq!(names.number(set, segment).unwrap(), 0, "{set} {segment}");
        }
        let gone = names.number("worth", "silver").unwrap();
        assert_eq!(gone, names.number("value", "silver").unwrap());
        assert_eq!((names.named(gone).set.as_str(), names.position(gone), names.is_of(gone, 0)), ("value", None, true));
        assert_eq!(names.named(names.number("other", "best").unwrap()).set_at, None);
        assert_eq!((names.position(1), names.of_position(0, 1)), (Some(1), 1));
    }
}
