//! Mean, variance, covariance, correlation and linear regression of doubles, computed from exact sums.
//!
//! With n rows, let S(x) be the sum of x, and N(xy) = n S(xy) − S(x) S(y). Then the covariance of a population is N(xy) / n², that of a
//! sample is N(xy) / (n (n − 1)), the slope is N(xy) / N(xx), and so on. Each is one quotient of exact numbers, so it is rounded once. A
//! standard deviation and a correlation are rounded once more, by the square root.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use datafusion::error::Result;

use super::double::{ExactSum, Scaled, Total, take};
use super::tally::Tally;

/// The number of rows and the sum of one column.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    rows: u64,
    sum: ExactSum,
}

/// The number of rows, the sum of a column, and the sum of its squares.
#[derive(Debug, Clone, Default)]
pub struct Squares {
    rows: u64,
    sum: ExactSum,
    squares: ExactSum,
}

/// The number of rows in which both columns have values, with the sums of each column, of their squares and of their products.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    y: Squares,
    x: Squares,
    products: ExactSum,
}

fn count(rows: &mut u64, is_added: bool) {
    *rows = if is_added { rows.wrapping_add(1) } else { rows.wrapping_sub(1) };
}

impl Tally for Sum {
    fn add(&mut self, values: &[f64], is_added: bool) {
        count(&mut self.rows, is_added);
        self.sum.add(values[0], is_added);
    }

    fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum.merge(&other.sum);
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.rows.to_le_bytes());
        self.sum.write(bytes);
    }

    fn read(bytes: &mut &[u8]) -> Result<Self> {
        Ok(Sum { rows: u64::from_le_bytes(take(bytes)?), sum: ExactSum::read(bytes)? })
    }

    fn heap_bytes(&self) -> usize {
        self.sum.heap_bytes()
    }
}

impl Tally for Squares {
    fn add(&mut self, values: &[f64], is_added: bool) {
        count(&mut self.rows, is_added);
        self.sum.add(values[0], is_added);
        self.squares.add_product(values[0], values[0], is_added);
    }

    fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.rows.to_le_bytes());
        self.sum.write(bytes);
        self.squares.write(bytes);
    }

    fn read(bytes: &mut &[u8]) -> Result<Self> {
        let rows = u64::from_le_bytes(take(bytes)?);
        Ok(Squares { rows, sum: ExactSum::read(bytes)?, squares: ExactSum::read(bytes)? })
    }

    fn heap_bytes(&self) -> usize {
        self.sum.heap_bytes() + self.squares.heap_bytes()
    }
}

impl Tally for Pairs {
    fn add(&mut self, values: &[f64], is_added: bool) {
        let (y, x) = (values[0], values[1]);
        self.y.add(&[y], is_added);
        self.x.add(&[x], is_added);
        self.products.add_product(y, x, is_added);
    }

    fn merge(&mut self, other: Self) {
        self.y.merge(other.y);
        self.x.merge(other.x);
        self.products.merge(&other.products);
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        self.y.write(bytes);
        self.x.write(bytes);
        self.products.write(bytes);
    }

    fn read(bytes: &mut &[u8]) -> Result<Self> {
        Ok(Pairs { y: Squares::read(bytes)?, x: Squares::read(bytes)?, products: ExactSum::read(bytes)? })
    }

    fn heap_bytes(&self) -> usize {
        self.y.heap_bytes() + self.x.heap_bytes() + self.products.heap_bytes()
    }
}

fn each<T>(tallies: &[T], result: impl Fn(&T) -> Option<f64>) -> ArrayRef {
    Arc::new(tallies.iter().map(result).collect::<Float64Array>())
}

/// The sum; null without rows.
pub fn sum(tallies: &[Sum]) -> ArrayRef {
    each(tallies, |tally| (tally.rows > 0).then(|| tally.sum.total().over_count(1)))
}

/// The mean; null without rows.
pub fn mean(tallies: &[Sum]) -> ArrayRef {
    each(tallies, |tally| (tally.rows > 0).then(|| tally.sum.total().over_count(tally.rows)))
}

/// Whether the rows are a population or a sample of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Population,
    Sample,
}

impl Of {
    /// The divisor of N(xy); none if there are too few rows.
    fn divisor(self, rows: u64) -> Option<Scaled> {
        let less = match self {
            Of::Population => rows,
            Of::Sample => rows.saturating_sub(1),
        };
        (less > 0).then(|| Scaled::whole(rows).times(&Scaled::whole(less)))
    }
}

/// N(xy) from a count and the sums of x, y and xy; not finite if one of the values is not finite.
fn deviation(rows: u64, x: &ExactSum, y: &ExactSum, products: &ExactSum) -> Option<Scaled> {
    match (x.total(), y.total(), products.total()) {
        (Total::Finite(x), Total::Finite(y), Total::Finite(products)) => Some(Scaled::whole(rows).times(&products).minus(&x.times(&y))),
        _ => None,
    }
}

fn variance(tally: &Squares, of: Of) -> Option<f64> {
    let divisor = of.divisor(tally.rows)?;
    Some(deviation(tally.rows, &tally.sum, &tally.sum, &tally.squares).map_or(f64::NAN, |deviation| deviation.over(&divisor)))
}

/// The variance of a sample; null for less than two rows.
pub fn var_samp(tallies: &[Squares]) -> ArrayRef {
    each(tallies, |tally| variance(tally, Of::Sample))
}

/// The variance of a population; null without rows.
pub fn var_pop(tallies: &[Squares]) -> ArrayRef {
    each(tallies, |tally| variance(tally, Of::Population))
}

/// The standard deviation of a sample; null for less than two rows.
pub fn stddev_samp(tallies: &[Squares]) -> ArrayRef {
    each(tallies, |tally| variance(tally, Of::Sample).map(f64::sqrt))
}

/// The standard deviation of a population; null without rows.
pub fn stddev_pop(tallies: &[Squares]) -> ArrayRef {
    each(tallies, |tally| variance(tally, Of::Population).map(f64::sqrt))
}

impl Pairs {
    /// N(xx), N(yy) and N(xy).
    fn deviations(&self) -> Option<[Scaled; 3]> {
        let rows = self.x.rows;
        Some([
            deviation(rows, &self.x.sum, &self.x.sum, &self.x.squares)?,
            deviation(rows, &self.y.sum, &self.y.sum, &self.y.squares)?,
            deviation(rows, &self.x.sum, &self.y.sum, &self.products)?,
        ])
    }

    /// A quotient of these numbers; null for less than `least` rows and if the divisor is zero.
    fn quotient(&self, least: u64, terms: impl Fn([Scaled; 3]) -> (Scaled, Scaled)) -> Option<f64> {
        if self.x.rows < least {
            return None;
        }
        let Some(deviations) = self.deviations() else { return Some(f64::NAN) };
        let (number, divisor) = terms(deviations);
        (!divisor.is_zero()).then(|| number.over(&divisor))
    }

    fn covariance(&self, of: Of) -> Option<f64> {
        let divisor = of.divisor(self.x.rows)?;
        self.quotient(1, |[_, _, xy]| (xy, divisor.clone()))
    }

    fn over_rows(&self, which: usize) -> Option<f64> {
        self.quotient(1, |deviations| (deviations[which].clone(), Scaled::whole(self.x.rows)))
    }
}

/// The covariance of a sample; null for less than two rows.
pub fn covar_samp(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| tally.covariance(Of::Sample))
}

/// The covariance of a population; null without rows.
pub fn covar_pop(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| tally.covariance(Of::Population))
}

/// Pearson's correlation coefficient; null for less than two rows and if a column has only one value.
pub fn corr(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| {
        let squared = tally.quotient(2, |[xx, yy, xy]| (xy.times(&xy), xx.times(&yy)))?;
        let is_negative = tally.deviations().is_some_and(|[_, _, xy]| xy.is_negative());
        Some(if is_negative { -squared.sqrt() } else { squared.sqrt() })
    })
}

/// The slope of the regression line; null if x has only one value.
pub fn regr_slope(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| tally.quotient(2, |[xx, _, xy]| (xy, xx)))
}

/// The intercept of the regression line, (S(y) N(xx) − N(xy) S(x)) / (n N(xx)); null if x has only one value.
pub fn regr_intercept(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| match (tally.x.sum.total(), tally.y.sum.total()) {
        (Total::Finite(x), Total::Finite(y)) => {
            tally.quotient(2, |[xx, _, xy]| (y.times(&xx).minus(&xy.times(&x)), Scaled::whole(tally.x.rows).times(&xx)))
        }
        _ => (tally.x.rows > 1).then_some(f64::NAN),
    })
}

/// The share of the variance that the regression line explains (R²); null if a column has only one value.
pub fn regr_r2(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| tally.quotient(2, |[xx, yy, xy]| (xy.times(&xy), xx.times(&yy))))
}

/// The number of rows in which both columns have values.
pub fn regr_count(tallies: &[Pairs]) -> ArrayRef {
    Arc::new(tallies.iter().map(|tally| Some(tally.x.rows)).collect::<UInt64Array>())
}

/// The mean of x; null without rows.
pub fn regr_avgx(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| (tally.x.rows > 0).then(|| tally.x.sum.total().over_count(tally.x.rows)))
}

/// The mean of y; null without rows.
pub fn regr_avgy(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| (tally.y.rows > 0).then(|| tally.y.sum.total().over_count(tally.y.rows)))
}

/// The sum of the squared deviations of x from its mean; null without rows.
pub fn regr_sxx(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| tally.over_rows(0))
}

/// The sum of the squared deviations of y from its mean; null without rows.
pub fn regr_syy(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| tally.over_rows(1))
}

/// The sum of the products of the deviations of x and y from their means; null without rows.
pub fn regr_sxy(tallies: &[Pairs]) -> ArrayRef {
    each(tallies, |tally| tally.over_rows(2))
}
