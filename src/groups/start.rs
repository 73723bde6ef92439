//! k-means from several starts.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use super::lloyd::{Clustering, Limits, from_centres};
use super::seeding;
use super::transform::Points;

/// With more rows than this, the centres of a start are chosen and settled among about as many of them before all rows are looked at.
const ROWS_TO_START_WITH: usize = 32_768;

/// From where k-means starts.
#[derive(Debug, Clone, Copy)]
pub struct Starts {
    /// How many groups are looked for.
    pub groups: usize,
    /// How many starts are tried.
    pub starts: u32,
    /// What the starts are drawn with.
    pub seed: u64,
}

/// The best of several starts: the one with the least inertia, of several the first. There is at least one row.
pub fn best_of(points: &Points, starts: &Starts, limits: &Limits) -> Clustering {
    let mut best = one(points, starts, 0, limits);
    for start in 1..starts.starts {
        let found = one(points, starts, start, limits);
        if found.inertia < best.inertia {
            best = found;
        }
    }
    best
}

fn one(points: &Points, starts: &Starts, start: u32, limits: &Limits) -> Clustering {
    // An odd constant keeps the seeds of starts apart; the generator mixes them.
    let mut random = Pcg64Mcg::seed_from_u64(starts.seed.wrapping_add(u64::from(start).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let step = points.rows() / ROWS_TO_START_WITH;
    if step < 2 {
        return from_centres(points, seeding::choose(points, starts.groups, &mut random), limits);
    }
    let some = every(points, step, start as usize % step);
    let chosen = seeding::choose(&some, starts.groups, &mut random);
    // Few different rows among some may be more among all.
    if chosen.len() < starts.groups * points.width {
        return from_centres(points, seeding::choose(points, starts.groups, &mut random), limits);
    }
    from_centres(points, from_centres(&some, chosen, limits).centres, limits)
}

/// Every so-manieth row.
fn every(points: &Points, step: usize, from: usize) -> Points {
    let values = points.values.chunks_exact(points.width).skip(from).step_by(step).flatten().copied().collect();
    Points { width: points.width, values }
}
