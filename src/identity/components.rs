//! Union–find over numbers, by several threads at once.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::engine::parallel;

/// Edges whose first steps are made side by side.
const STEP: usize = 64;

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

    /// Makes the ends of edges one set each.
    ///
    /// The first step from a number is the one that misses the processor's cache, so the steps of many edges are made side by side.
    pub(super) fn join_all(&self, mut edges: impl Iterator<Item = [u32; 2]>) {
        let mut near = Vec::with_capacity(STEP);
        loop {
            near.extend(edges.by_ref().take(STEP).map(|edge| edge.map(|number| self.parents[number as usize].load(Relaxed))));
            if near.is_empty() {
                return;
            }
            near.drain(..).for_each(|[one, other]: [u32; 2]| self.join(one, other));
        }
    }

    /// The root of every number's set.
    ///
    /// Each thread stores the roots of its own numbers, and nothing else: paths are not halved, for what is stored late would undo a root.
    pub(super) fn roots(self, threads: usize) -> Vec<u32> {
        let share = self.parents.len().div_ceil(threads).max(1);
        let mut parts: Vec<_> = (0..self.parents.len()).step_by(share).map(|start| start..self.parents.len().min(start + share)).collect();
        parallel(&mut parts, threads, |part| {
            for number in part {
                let mut root = self.parents[number].load(Relaxed);
                while let above = self.parents[root as usize].load(Relaxed)
                    && above != root
                {
                    root = above;
                }
                self.parents[number].store(root, Relaxed);
            }
        });
        self.parents.into_iter().map(AtomicU32::into_inner).collect()
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
        let roots: Vec<u32> = (0..bound).map(|at| alone.root(at)).collect();
        assert_eq!(roots, together.roots(3));
    }
}
