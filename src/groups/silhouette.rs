//! How well groups are apart: the mean silhouette (Rousseeuw 1987).

use super::distance::between;
use super::transform::Points;
use crate::parallel::parallel;

/// How many rows are worked on by one thread at a time.
const ROWS_OF_A_PART: usize = 256;

/// The mean silhouette of rows that are in groups, for several ways to group them: how much nearer a row is to the others of its group than
/// to those of the nearest other group, from -1 to 1; 0 for who is alone in a group. None with fewer than two groups.
pub fn silhouette(points: &Points, ways: &[Vec<u32>], threads: usize) -> Vec<Option<f64>> {
    let sizes: Vec<Vec<u32>> = ways.iter().map(|of| sizes(of)).collect();
    let firsts: Vec<usize> = (0..points.rows()).step_by(ROWS_OF_A_PART).collect();
    let mut parts: Vec<usize> = firsts.clone();
    let threads = threads.min(parts.len());
    let mut sums = parallel(&mut parts, threads, |first| {
        let mut sums = vec![0.0; ways.len()];
        let mut to: Vec<Vec<f64>> = sizes.iter().map(|sizes| vec![0.0; sizes.len()]).collect();
        for row in *first..(*first + ROWS_OF_A_PART).min(points.rows()) {
            for to in &mut to {
                to.fill(0.0);
            }
            let values = points.row(row);
            for (other, others) in points.values.chunks_exact(points.width).enumerate() {
                let distance = between(values, others).sqrt();
                for (to, of) in to.iter_mut().zip(ways) {
                    to[of[other] as usize] += distance;
                }
            }
            for (sum, ((to, of), sizes)) in sums.iter_mut().zip(to.iter().zip(ways).zip(&sizes)) {
                *sum += of_row(to, of[row] as usize, sizes);
            }
        }
        (*first, sums)
    });
    sums.sort_unstable_by_key(|(first, _)| *first);
    let count = f64::from(u32::try_from(points.rows()).unwrap_or(u32::MAX));
    let mean = |(way, sizes): (usize, &Vec<u32>)| {
        let has_groups = sizes.iter().filter(|size| **size > 0).count() > 1;
        has_groups.then(|| sums.iter().map(|(_, sums)| sums[way]).sum::<f64>() / count)
    };
    sizes.iter().enumerate().map(mean).collect()
}

fn sizes(of: &[u32]) -> Vec<u32> {
    let mut sizes = vec![0; of.iter().max().map_or(0, |most| *most as usize + 1)];
    for of in of {
        sizes[*of as usize] += 1;
    }
    sizes
}

/// The silhouette of a row, from the sums of its distances to the groups.
fn of_row(to: &[f64], own: usize, sizes: &[u32]) -> f64 {
    if sizes[own] < 2 {
        return 0.0;
    }
    let within = to[own] / f64::from(sizes[own] - 1);
    let others = to.iter().zip(sizes).enumerate().filter(|(at, (_, size))| *at != own && **size > 0);
    let apart = others.map(|(_, (sum, size))| sum / f64::from(*size)).fold(f64::INFINITY, f64::min);
    let most = within.max(apart);
    if most > 0.0 && most.is_finite() { (apart - within) / most } else { 0.0 }
}
