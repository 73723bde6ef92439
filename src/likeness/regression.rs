//! Logistic regression with an L2 penalty, fitted by Newton's method.

use super::sums::{CHUNK_ROWS, by_block, dot, sum};

/// Of each weight, half its square times this counts against a fit; the weights of all rows together count as many as there are rows.
const PENALTY: f64 = 1.0;

/// The most steps of a fit. It is convex: ten are plenty.
const STEPS: usize = 100;

/// How often a step is halved that leads up instead of down.
const HALVINGS: usize = 40;

/// A fit has converged when a step would change the loss by less than this share of it.
const TOLERANCE: f64 = 1e-14;

/// The weights with which columns speak for a membership.
#[derive(Debug, Clone, PartialEq)]
pub struct Regression {
    /// What is added for everybody.
    pub intercept: f64,
    /// By column.
    pub weights: Vec<f64>,
}

/// What a fit is made of: columns, who is a member, and how much the rows count.
pub(super) struct Rows<'a> {
    /// The columns, standardised.
    pub(super) columns: &'a [Vec<f64>],
    /// By row, whether it is a member.
    pub(super) is_member: &'a [bool],
    /// How much a member counts, and how much another one.
    pub(super) counts_for: [f64; 2],
    /// By row its fold, and the fold that is left out of the fit.
    pub(super) without: Option<(&'a [u8], u8)>,
    pub(super) threads: usize,
}

impl Rows<'_> {
    fn counts_for(&self, row: usize) -> f64 {
        match self.without {
            Some((folds, fold)) if folds[row] == fold => 0.0,
            _ => self.counts_for[usize::from(!self.is_member[row])],
        }
    }
}

/// The loss at a point with its derivatives; the intercept stands last.
struct Point {
    loss: f64,
    gradient: Vec<f64>,
    /// The lower triangle, by row.
    hessian: Vec<f64>,
}

impl Point {
    fn zero(size: usize) -> Self {
        Point { loss: 0.0, gradient: vec![0.0; size], hessian: vec![0.0; size * (size + 1) / 2] }
    }

    fn add(&mut self, other: Point) {
        self.loss += other.loss;
        self.gradient.iter_mut().zip(other.gradient).for_each(|(all, part)| *all += part);
        self.hessian.iter_mut().zip(other.hessian).for_each(|(all, part)| *all += part);
    }
}

/// The probability of log odds.
pub(super) fn probability(log_odds: f64) -> f64 {
    let small = libm::exp(-log_odds.abs());
    if log_odds < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) }
}

impl Regression {
    /// The log odds of some rows.
    pub(super) fn log_odds(&self, columns: &[Vec<f64>], rows: &std::ops::Range<usize>) -> Vec<f64> {
        let mut odds = vec![self.intercept; rows.len()];
        for (column, weight) in columns.iter().zip(&self.weights) {
            odds.iter_mut().zip(&column[rows.clone()]).for_each(|(odds, value)| *odds += weight * value);
        }
        odds
    }

    /// By row, the probability to be a member if members and others were equally many.
    pub fn similarities(&self, columns: &[Vec<f64>], rows: usize, threads: usize) -> Vec<f64> {
        let of_block = |rows: std::ops::Range<usize>| self.log_odds(columns, &rows).into_iter().map(probability).collect::<Vec<_>>();
        by_block(rows, threads, of_block).concat()
    }

    fn moved(&self, step: &[f64], by: f64) -> Regression {
        let weights = self.weights.iter().zip(step).map(|(weight, step)| weight - by * step).collect();
        Regression { intercept: self.intercept - by * step[self.weights.len()], weights }
    }

    fn point(&self, of: &Rows<'_>) -> Point {
        let size = self.weights.len() + 1;
        let blocks = by_block(of.is_member.len(), of.threads, |rows| {
            let mut sum = Point::zero(size);
            let chunks = rows.clone().step_by(CHUNK_ROWS).map(|start| start..rows.end.min(start + CHUNK_ROWS));
            chunks.for_each(|chunk| sum.add(self.part(of, &chunk)));
            sum
        });
        let mut point = Point::zero(size);
        for block in blocks {
            point.add(block);
        }
        for (at, weight) in self.weights.iter().enumerate() {
            point.loss += PENALTY * weight * weight / 2.0;
            point.gradient[at] += PENALTY * weight;
            point.hessian[at * (at + 1) / 2 + at] += PENALTY;
        }
        point
    }

    /// What some rows contribute.
    fn part(&self, of: &Rows<'_>, rows: &std::ops::Range<usize>) -> Point {
        let mut loss = 0.0;
        let (mut slopes, mut curvatures) = (self.log_odds(of.columns, rows), Vec::with_capacity(rows.len()));
        for (slope, row) in slopes.iter_mut().zip(rows.clone()) {
            let (odds, counts_for, is_member) = (*slope, of.counts_for(row), of.is_member[row]);
            let small = libm::exp(-odds.abs());
            let probability = if odds < 0.0 { small } else { 1.0 } / (1.0 + small);
            // How far the odds point to the wrong side.
            let wrong = if is_member { -odds } else { odds };
            loss += counts_for * (wrong.max(0.0) + libm::log1p(small));
            *slope = counts_for * if is_member { probability - 1.0 } else { probability };
            curvatures.push(counts_for * small / ((1.0 + small) * (1.0 + small)));
        }
        let columns: Vec<&[f64]> = of.columns.iter().map(|column| &column[rows.clone()]).collect();
        let mut gradient: Vec<f64> = columns.iter().map(|column| dot(&slopes, column)).collect();
        gradient.push(sum(&slopes));
        let mut hessian = Vec::with_capacity(gradient.len() * (gradient.len() + 1) / 2);
        let mut curved = vec![0.0; rows.len()];
        let mut last = Vec::with_capacity(gradient.len());
        for (at, column) in columns.iter().enumerate() {
            curved.iter_mut().zip(&curvatures).zip(*column).for_each(|((curved, curvature), value)| *curved = curvature * value);
            hessian.extend(columns[..=at].iter().map(|other| dot(&curved, other)));
            last.push(sum(&curved));
        }
        hessian.extend(last);
        hessian.push(sum(&curvatures));
        Point { loss, gradient, hessian }
    }
}

/// Fits a regression, beginning with another one. None if it does not converge.
pub(super) fn fit(of: &Rows<'_>, from: Regression) -> Option<Regression> {
    let (mut at, mut point) = (from.clone(), from.point(of));
    for _ in 0..STEPS {
        let step = solve(&point.hessian, &point.gradient)?;
        let descent: f64 = step.iter().zip(&point.gradient).map(|(step, slope)| step * slope).sum();
        if !descent.is_finite() || !point.loss.is_finite() {
            return None;
        }
        if descent <= TOLERANCE * (1.0 + point.loss) {
            return Some(at.moved(&step, 1.0));
        }
        let (next, found) = downhill(of, &at, &step, point.loss, descent)?;
        (at, point) = (next, found);
    }
    None
}

/// The next point of a fit, at which the loss is less.
fn downhill(of: &Rows<'_>, at: &Regression, step: &[f64], loss: f64, descent: f64) -> Option<(Regression, Point)> {
    let mut by = 1.0;
    for _ in 0..HALVINGS {
        let next = at.moved(step, by);
        let found = next.point(of);
        // What rounding takes away does not count.
        if found.loss <= loss - 1e-4 * by * descent + 1e-13 * loss {
            return Some((next, found));
        }
        by /= 2.0;
    }
    None
}

/// Solves a symmetric system by Cholesky's factors. None if it has no single solution.
fn solve(lower: &[f64], right: &[f64]) -> Option<Vec<f64>> {
    let (size, at) = (right.len(), |row: usize, column: usize| row * (row + 1) / 2 + column);
    let mut factor = lower.to_vec();
    for row in 0..size {
        for column in 0..=row {
            let known: f64 = (0..column).map(|inner| factor[at(row, inner)] * factor[at(column, inner)]).sum();
            let rest = factor[at(row, column)] - known;
            factor[at(row, column)] =
                if row > column { rest / factor[at(column, column)] } else { Some(rest).filter(|rest| *rest > 0.0)?.sqrt() };
        }
    }
    let mut solution = right.to_vec();
    for row in 0..size {
        let known: f64 = (0..row).map(|column| factor[at(row, column)] * solution[column]).sum();
        solution[row] = (solution[row] - known) / factor[at(row, row)];
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|column| factor[at(column, row)] * solution[column]).sum();
        solution[row] = (solution[row] - known) / factor[at(row, row)];
    }
    Some(solution)
}
