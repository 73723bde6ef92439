//! Union–find over numbers, by several threads at once.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Sets of numbers that were joined.
///
/// The root of a set is its smallest number: a root is only ever hung below a smaller one, by one compare-and-swap, so threads
/// that join at the same time leave the same sets. Paths are halved on the way.
pub(super) struct Sets {
    parents: Vec<AtomicU32>,
}

impl Sets {
    /// Every number below `bound` by itself.
    pub(super) fn apart(bound: usize) -> Self {
        Sets { parents: (0..u32::try_from(bound).unwrap_or(u32::MAX)).map(AtomicU32::new).collect() }
    }

    /// The root of a number's set.
    pub(super) fn root(&self, mut number: u32) -> u32 {
        loop {
            let parent = self.parents[number as usize].load(Relaxed);
            if parent == number {
                return number;
            }
            let above = self.parents[parent as usize].load(Relaxed);
            if above != parent {
                // No root is stored to, and what was above a number once always is, so a race leaves a path that is as right.
                self.parents[number as usize].store(above, Relaxed);
            }
            number = above;
        }
    }

    /// Makes two sets one.
    pub(super) fn join(&self, one: u32, other: u32) {
        let (mut one, mut other) = (one, other);
        loop {
            one = self.root(one);
            other = self.root(other);
            if one == other {
                return;
            }
            let (low, high) = (one.min(other), one.max(other));
            if self.parents[high as usize].compare_exchange(high, low, Relaxed, Relaxed).is_ok() {
                return;
            }
        }
    }

    /// Takes a number out of its set. Right only if every number of the set is taken out.
    pub(super) fn release(&self, number: u32) {
        self.parents[number as usize].store(number, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_join_at_once_leave_the_sets_that_one_would() {
        let bound = 4_000;
        let edges: Vec<(u32, u32)> = (0..bound).map(|at| (at, (at * 7_919 + 13) % bound)).filter(|(a, b)| a % 3 == b % 3).collect();
        let alone = Sets::apart(bound as usize);
        for &(a, b) in &edges {
            alone.join(a, b);
        }
        let together = Sets::apart(bound as usize);
        std::thread::scope(|scope| {
            for start in 0..4 {
                let (edges, together) = (&edges, &together);
                scope.spawn(move || edges.iter().skip(start).step_by(4).for_each(|&(a, b)| together.join(b, a)));
            }
        });
        let roots = |sets: &Sets| (0..bound).map(|at| sets.root(at)).collect::<Vec<_>>();
        assert_eq!(roots(&alone), roots(&together));
    }
}
