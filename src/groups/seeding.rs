//! Where k-means begins: k-means++ (Arthur & Vassilvitskii 2007), each centre the best of a few rows drawn by the square of how far they are
//! from the centres before.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use super::distance::{Centres, between};
use super::transform::Points;

/// The most rows among which a centre is chosen at once: as many as are compared side by side.
const MOST_CANDIDATES: usize = 8;

/// Up to `count` different rows, one after the other; fewer if there are not so many.
pub(super) fn choose(points: &Points, count: usize, random: &mut Pcg64Mcg) -> Vec<f64> {
    let (rows, width) = (points.rows(), points.width);
    let first = draw_row(rows, random);
    let mut centres = points.row(first).to_vec();
    let mut squares: Vec<f64> = points.values.chunks_exact(width).map(|row| between(row, points.row(first))).collect();
    while centres.len() < count * width {
        let total: f64 = squares.iter().sum();
        if total <= 0.0 {
            break;
        }
        let drawn = candidates(&squares, total, number_of_candidates(count), random);
        let laid_out: Vec<f64> = drawn.iter().flat_map(|row| points.row(*row).iter().copied()).collect();
        let best = drawn[best_of(points, &squares, &Centres::of(&laid_out, width), drawn.len())];
        let centre = points.row(best).to_vec();
        for (square, row) in squares.iter_mut().zip(points.values.chunks_exact(width)) {
            *square = square.min(between(row, &centre));
        }
        centres.extend(centre);
    }
    centres
}

/// As many as scikit-learn draws.
fn number_of_candidates(count: usize) -> usize {
    let mut candidates = 2;
    let mut power = std::f64::consts::E;
    #[allow(clippy::cast_precision_loss, reason = "few centres")]
    while power <= count as f64 {
        power *= std::f64::consts::E;
        candidates += 1;
    }
    candidates.min(MOST_CANDIDATES)
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among the rows")]
fn draw_row(rows: usize, random: &mut Pcg64Mcg) -> usize {
    ((random.random::<f64>() * rows as f64) as usize).min(rows - 1)
}

/// Rows drawn by their weight.
fn candidates(squares: &[f64], total: f64, count: usize, random: &mut Pcg64Mcg) -> Vec<usize> {
    let mut wanted: Vec<(f64, usize)> = (0..count).map(|at| (random.random::<f64>() * total, at)).collect();
    wanted.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    let mut found = vec![squares.iter().rposition(|square| *square > 0.0).unwrap_or(0); count];
    let (mut sum, mut next) = (0.0, 0);
    for (row, square) in squares.iter().enumerate().filter(|(_, square)| **square > 0.0) {
        sum += square;
        while next < count && wanted[next].0 < sum {
            found[wanted[next].1] = row;
            next += 1;
        }
    }
    found
}

/// Which candidate leaves rows the least far from the centres.
fn best_of(points: &Points, squares: &[f64], candidates: &Centres, count: usize) -> usize {
    let mut sums = [0.0; MOST_CANDIDATES];
    for (row, square) in points.values.chunks_exact(points.width).zip(squares) {
        for (sum, distance) in sums.iter_mut().zip(candidates.first(row)) {
            *sum += square.min(distance);
        }
    }
    let mut best = 0;
    for at in 1..count {
        if sums[at] < sums[best] {
            best = at;
        }
    }
    best
}
