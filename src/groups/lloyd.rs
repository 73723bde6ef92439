//! k-means from given centres: Lloyd's method (1982), with Hamerly's bounds (2010), which spare a row its distances as long as its centre
//! cannot have been overtaken. Rows are divided into parts of a fixed size, whose sums are added up in order, so that the result is the
//! same on any number of threads.

use super::distance::{Centres, between};
use super::transform::Points;
use crate::parallel::parallel;

/// How many rows are worked on by one thread at a time.
pub(super) const ROWS_OF_A_PART: usize = 8192;

/// When k-means ends.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// It ends when the squares of what the centres move add up to this at most; with 0 when no row changes its centre.
    pub tolerance: f64,
    /// It ends after so many rounds.
    pub most_rounds: u32,
    /// On how many threads it works.
    pub threads: usize,
}

/// Rows in groups about centres.
#[derive(Debug, Clone, PartialEq)]
pub struct Clustering {
    /// The centre of each row.
    pub of: Vec<u32>,
    /// How far each row is from its centre.
    pub distances: Vec<f64>,
    /// The centres, one after the other.
    pub centres: Vec<f64>,
    /// How many rows each centre has; at least one.
    pub sizes: Vec<u64>,
    /// The squares of the distances, added up.
    pub inertia: f64,
    /// How many rounds it took.
    pub rounds: u32,
    /// Whether it ended before the most rounds.
    pub has_converged: bool,
}

/// What is known of the rows of a part.
struct Part<'a> {
    rows: &'a [f64],
    of: Vec<u32>,
    /// A row is no farther from its centre than this.
    upper: Vec<f64>,
    /// It is no nearer to any other than this.
    lower: Vec<f64>,
    /// By how much the sums and the counts of the centres have changed.
    sums: Vec<f64>,
    counts: Vec<i64>,
    changed: usize,
}

/// How far centres have moved, and how far apart they are.
struct Moves {
    of: Vec<f64>,
    most: f64,
    most_at: usize,
    second: f64,
    /// Half of the distance to the nearest other centre.
    half: Vec<f64>,
}

/// Groups rows about centres, beginning with those that are given, one after the other. There is at least one row and one centre.
pub fn from_centres(points: &Points, mut centres: Vec<f64>, limits: &Limits) -> Clustering {
    let width = points.width;
    let count = centres.len() / width;
    let mut parts: Vec<Part> = points.values.chunks(ROWS_OF_A_PART * width).map(|rows| Part::new(rows, width, count)).collect();
    let threads = limits.threads.min(parts.len());
    let (mut sums, mut counts) = (vec![0.0; count * width], vec![0_i64; count]);
    let mut moves: Option<Moves> = None;
    let (mut rounds, mut has_converged) = (0, false);
    loop {
        let laid_out = Centres::of(&centres, width);
        parallel(&mut parts, threads, |part| match &moves {
            None => part.assign(&laid_out, width),
            Some(moves) => part.reassign(&laid_out, &centres, width, moves),
        });
        let changed = add_up(&mut parts, &mut sums, &mut counts);
        // The last round only assigns rows to centres that have moved less than counts.
        if has_converged || changed == 0 || rounds == limits.most_rounds {
            has_converged |= changed == 0;
            break;
        }
        rounds += 1;
        fill_empty(&mut parts, &centres, width, &mut sums, &mut counts);
        let mut means = centres.clone();
        for ((centre, sum), count) in means.chunks_exact_mut(width).zip(sums.chunks_exact(width)).zip(&counts) {
            if *count > 0 {
                centre.iter_mut().zip(sum).for_each(|(centre, sum)| *centre = sum / float(*count));
            }
        }
        let next = Moves::of(&centres, &means, width);
        let squares: f64 = next.of.iter().map(|moved| moved * moved).sum();
        has_converged = limits.tolerance > 0.0 && squares <= limits.tolerance;
        centres = means;
        moves = Some(next);
    }
    let of: Vec<u32> = parts.iter().flat_map(|part| part.of.iter().copied()).collect();
    drop(parts);
    finish(points, of, count, threads, (rounds, has_converged))
}

/// A count as a number.
#[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn float(count: i64) -> f64 {
    count as f64
}

/// Adds what has changed in the parts, in their order; how many rows have.
fn add_up(parts: &mut [Part], sums: &mut [f64], counts: &mut [i64]) -> usize {
    for part in parts.iter_mut().filter(|part| part.changed > 0) {
        sums.iter_mut().zip(&mut part.sums).for_each(|(sum, change)| *sum += std::mem::take(change));
        counts.iter_mut().zip(&mut part.counts).for_each(|(count, change)| *count += std::mem::take(change));
    }
    parts.iter().map(|part| part.changed).sum()
}

/// Gives every centre that has lost all its rows the row that is farthest from its own centre.
fn fill_empty(parts: &mut [Part], centres: &[f64], width: usize, sums: &mut [f64], counts: &mut [i64]) {
    for empty in 0..counts.len() {
        if counts[empty] > 0 {
            continue;
        }
        let mut farthest: Option<(f64, usize, usize)> = None;
        for (at, part) in parts.iter().enumerate() {
            for (row, (values, of)) in part.rows.chunks_exact(width).zip(&part.of).enumerate() {
                let of = *of as usize;
                let distance = between(values, &centres[of * width..(of + 1) * width]);
                if counts[of] > 1 && farthest.is_none_or(|(most, _, _)| distance > most) {
                    farthest = Some((distance, at, row));
                }
            }
        }
        let Some((_, at, row)) = farthest else { continue };
        let part = &mut parts[at];
        let values = &part.rows[row * width..(row + 1) * width];
        let old = part.of[row] as usize;
        part.of[row] = u32::try_from(empty).unwrap_or(u32::MAX);
        (part.upper[row], part.lower[row]) = (f64::INFINITY, 0.0);
        for (column, value) in values.iter().enumerate() {
            sums[old * width + column] -= value;
            sums[empty * width + column] = *value;
        }
        (counts[old], counts[empty]) = (counts[old] - 1, 1);
    }
}

impl<'a> Part<'a> {
    fn new(rows: &'a [f64], width: usize, count: usize) -> Self {
        let length = rows.len() / width;
        Part {
            rows,
            of: vec![0; length],
            upper: vec![0.0; length],
            lower: vec![0.0; length],
            sums: vec![0.0; count * width],
            counts: vec![0; count],
            changed: 0,
        }
    }

    /// Assigns every row for the first time.
    fn assign(&mut self, centres: &Centres, width: usize) {
        for (row, values) in self.rows.chunks_exact(width).enumerate() {
            let nearest = centres.nearest(values);
            self.of[row] = u32::try_from(nearest.centre).unwrap_or(u32::MAX);
            (self.upper[row], self.lower[row]) = (nearest.distance.sqrt(), nearest.next.sqrt());
            let sum = &mut self.sums[nearest.centre * width..(nearest.centre + 1) * width];
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            self.counts[nearest.centre] += 1;
        }
        self.changed = self.of.len();
    }

    /// Assigns those rows anew whose centre may have been overtaken.
    fn reassign(&mut self, laid_out: &Centres, centres: &[f64], width: usize, moves: &Moves) {
        self.changed = 0;
        for (row, values) in self.rows.chunks_exact(width).enumerate() {
            let of = self.of[row] as usize;
            let upper = self.upper[row] + moves.of[of];
            let lower = self.lower[row] - if of == moves.most_at { moves.second } else { moves.most };
            (self.upper[row], self.lower[row]) = (upper, lower);
            let bound = lower.max(moves.half[of]);
            if upper <= bound {
                continue;
            }
            let upper = between(values, &centres[of * width..(of + 1) * width]).sqrt();
            self.upper[row] = upper;
            if upper <= bound {
                continue;
            }
            let nearest = laid_out.nearest(values);
            (self.upper[row], self.lower[row]) = (nearest.distance.sqrt(), nearest.next.sqrt());
            if nearest.centre != of {
                self.change(row, of, nearest.centre, width);
            }
        }
    }

    fn change(&mut self, row: usize, from: usize, to: usize, width: usize) {
        let values = &self.rows[row * width..(row + 1) * width];
        for (column, value) in values.iter().enumerate() {
            self.sums[from * width + column] -= value;
            self.sums[to * width + column] += value;
        }
        self.counts[from] -= 1;
        self.counts[to] += 1;
        self.of[row] = u32::try_from(to).unwrap_or(u32::MAX);
        self.changed += 1;
    }
}

impl Moves {
    fn of(before: &[f64], now: &[f64], width: usize) -> Self {
        let of: Vec<f64> =
            before.chunks_exact(width).zip(now.chunks_exact(width)).map(|(before, now)| between(before, now).sqrt()).collect();
        let (mut most, mut most_at, mut second) = (0.0, 0, 0.0);
        for (at, moved) in of.iter().enumerate() {
            if *moved > most {
                (second, most, most_at) = (most, *moved, at);
            } else if *moved > second {
                second = *moved;
            }
        }
        let nearest_other = |at: usize, centre: &[f64]| {
            let others = now.chunks_exact(width).enumerate().filter(|(other, _)| *other != at);
            others.map(|(_, other)| between(centre, other)).fold(f64::INFINITY, f64::min).sqrt() / 2.0
        };
        let half = now.chunks_exact(width).enumerate().map(|(at, centre)| nearest_other(at, centre)).collect();
        Moves { of, most, most_at, second, half }
    }
}

/// The means of the groups, computed at once and not change by change, and the distances to them. Centres without rows are left out.
fn finish(points: &Points, mut of: Vec<u32>, count: usize, threads: usize, (rounds, has_converged): (u32, bool)) -> Clustering {
    let width = points.width;
    let mut sizes = vec![0_u64; count];
    for of in &of {
        sizes[*of as usize] += 1;
    }
    if sizes.contains(&0) {
        let filled_before = |next: &mut u32, size: &u64| {
            *next += u32::from(*size > 0);
            Some(next.saturating_sub(1))
        };
        let renamed: Vec<u32> = sizes.iter().scan(0, filled_before).collect();
        for of in &mut of {
            *of = renamed[*of as usize];
        }
        sizes.retain(|size| *size > 0);
    }
    let parts = || points.values.chunks(ROWS_OF_A_PART * width).zip(of.chunks(ROWS_OF_A_PART)).enumerate();
    let mut work: Vec<_> = parts().collect();
    let mut sums = parallel(&mut work, threads, |(at, (rows, of))| {
        let mut sums = vec![0.0; sizes.len() * width];
        for (row, of) in rows.chunks_exact(width).zip(*of) {
            let from = *of as usize * width;
            sums[from..from + width].iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        (*at, sums)
    });
    sums.sort_unstable_by_key(|(at, _)| *at);
    let mut centres = vec![0.0; sizes.len() * width];
    for (_, sums) in sums {
        centres.iter_mut().zip(sums).for_each(|(centre, sum)| *centre += sum);
    }
    for (centre, size) in centres.chunks_exact_mut(width).zip(&sizes) {
        let size = float(i64::try_from(*size).unwrap_or(i64::MAX));
        for value in centre {
            *value /= size;
        }
    }
    let mut distances = vec![0.0; of.len()];
    let mut work: Vec<_> = parts().zip(distances.chunks_mut(ROWS_OF_A_PART)).collect();
    let mut squares = parallel(&mut work, threads, |((at, (rows, of)), distances)| {
        let mut squares = 0.0;
        for ((row, of), distance) in rows.chunks_exact(width).zip(*of).zip(distances.iter_mut()) {
            let from = *of as usize * width;
            let square = between(row, &centres[from..from + width]);
            squares += square;
            *distance = square.sqrt();
        }
        (*at, squares)
    });
    squares.sort_unstable_by_key(|(at, _)| *at);
    let inertia = squares.iter().map(|(_, squares)| squares).sum();
    Clustering { of, distances, centres, sizes, inertia, rounds, has_converged }
}
