//! How many groups there are, and which: those of before go on unless others are clearly better.

use serde::{Deserialize, Serialize};

use super::labels::Former;
use super::lloyd::{Clustering, Limits, from_centres};
use super::silhouette::silhouette;
use super::start::{Starts, best_of};
use super::transform::Points;

/// By how much of its inertia a fresh clustering must be better than one that begins with the groups of the publication before.
pub const BETTER_INERTIA: f64 = 0.02;

/// By how much another number of groups must have a higher silhouette than the number of before.
pub const BETTER_SILHOUETTE: f64 = 0.02;

/// The most rows for which silhouettes are computed.
pub const ROWS_FOR_SILHOUETTE: usize = 5000;

/// Which groups are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The least number of groups.
    pub least: usize,
    /// The greatest number of groups.
    pub most: usize,
    /// How many starts each number has.
    pub starts: u32,
    /// What the starts are drawn with.
    pub seed: u64,
}

/// Groups, and how they were chosen.
#[derive(Debug)]
pub struct Choice {
    /// The groups.
    pub clustering: Clustering,
    /// How well they are apart; none for fewer than two.
    pub silhouette: Option<f64>,
    /// Whether they were found from the groups of the publication before.
    pub is_continued: bool,
    /// Each number of groups that was tried, with its inertia and its silhouette.
    pub tried: Vec<Tried>,
}

/// A number of groups that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// How many groups.
    pub groups: u64,
    /// The squares of the distances to the centres, added up.
    pub inertia: f64,
    /// How well they are apart, on a sample; none for fewer than two.
    pub silhouette: Option<f64>,
}

/// Finds groups among at least one row. The rows of `sample` are those on which silhouettes are computed.
pub fn find(points: &Points, wanted: &Wanted, former: Option<&Former>, sample: &[usize], limits: &Limits) -> Option<Choice> {
    let before = former.map(|former| means(points, former)).filter(|means| !means.is_empty());
    let groups_before = before.as_ref().map(|means| means.len() / points.width);
    let mut found: Vec<(Clustering, bool)> = Vec::new();
    for groups in wanted.least..=wanted.most {
        let fresh = best_of(points, &Starts { groups, starts: wanted.starts, seed: wanted.seed }, limits);
        let is_all = fresh.sizes.len() < groups;
        let continued = before.as_ref().filter(|_| groups_before == Some(fresh.sizes.len()));
        let continued = continued.map(|means| from_centres(points, means.clone(), limits));
        let continued = continued
            .filter(|continued| continued.sizes.len() == fresh.sizes.len() && continued.inertia * (1.0 - BETTER_INERTIA) <= fresh.inertia);
        found.push(continued.map_or((fresh, false), |continued| (continued, true)));
        // More groups than different rows there cannot be.
        if is_all {
            break;
        }
    }
    let silhouettes = silhouettes(points, &found, sample, limits.threads);
    let tried: Vec<Tried> = found
        .iter()
        .zip(&silhouettes)
        .map(|((clustering, _), silhouette)| Tried {
            groups: clustering.sizes.len() as u64,
            inertia: clustering.inertia,
            silhouette: *silhouette,
        })
        .collect();
    let mut best: Option<usize> = None;
    let height = |at: usize| {
        let favour = if groups_before == Some(found[at].0.sizes.len()) { BETTER_SILHOUETTE } else { 0.0 };
        tried[at].silhouette.map_or(f64::NEG_INFINITY, |silhouette| silhouette + favour)
    };
    for at in 0..tried.len() {
        if best.is_none_or(|best| height(at) > height(best)) {
            best = Some(at);
        }
    }
    let best = best?;
    let (clustering, is_continued) = found.swap_remove(best);
    Some(Choice { clustering, silhouette: silhouettes[best], is_continued, tried })
}

/// The means of today's rows of the former groups, one after the other: where k-means begins if these groups go on.
fn means(points: &Points, former: &Former) -> Vec<f64> {
    let width = points.width;
    let mut sums = vec![0.0; former.sizes.len() * width];
    let mut counts = vec![0_u32; former.sizes.len()];
    for (row, old) in points.values.chunks_exact(width).zip(&former.of) {
        if let Some(old) = old {
            let old = *old as usize;
            counts[old] += 1;
            sums[old * width..(old + 1) * width].iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
    let filled = sums.chunks_exact(width).zip(&counts).filter(|(_, count)| **count > 0);
    filled.flat_map(|(sums, count)| sums.iter().map(|sum| sum / f64::from(*count))).collect()
}

fn silhouettes(points: &Points, found: &[(Clustering, bool)], sample: &[usize], threads: usize) -> Vec<Option<f64>> {
    let rows = Points { width: points.width, values: sample.iter().flat_map(|row| points.row(*row).iter().copied()).collect() };
    let ways: Vec<Vec<u32>> = found.iter().map(|(clustering, _)| sample.iter().map(|row| clustering.of[*row]).collect()).collect();
    silhouette(&rows, &ways, threads)
}
