//! How far the values of a column have moved since an earlier publication: the population stability index.
//!
//! PSI = Σ (a − e) · ln(a / e) over bins, where e is the bin's share of rows in the earlier publication and a its share now
//! (N. Siddiqi, *Credit Risk Scorecards*, 2006; B. Yurdakul and J. Naranjo, "Statistical properties of the population
//! stability index", Journal of Risk Model Validation, 2020). 0.1 is commonly taken as a moderate drift, 0.25 as a large one.
//!
//! Bins are made of the earlier publication alone. Numbers, days and moments with more than [`VALUE_BINS`] different values
//! are cut at its deciles (the smallest value that at least k tenths of its rows do not exceed); everything else has a bin for
//! each of its [`VALUE_BINS`] commonest values (equally common ones in order of value) and one for all others. Null is a bin of
//! its own. A bin without rows counts as half a row, so that the index stays finite. With fewer than [`ROWS_PER_BIN`] rows for
//! each bin on either side nothing is said: among so few, chance moves the index more than most drifts do.

use arrow::array::{Array, ArrayRef, Datum, Scalar, UInt32Array};
use arrow::compute::kernels::cmp;
use arrow::compute::{SortOptions, partition, sort, take};
use arrow::error::ArrowError;

/// The most values that have a bin each.
pub const VALUE_BINS: usize = 20;
/// Into how many parts of equal size other columns are cut.
pub const QUANTILE_BINS: usize = 10;
/// The fewest rows for each bin.
pub const ROWS_PER_BIN: usize = 10;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Drift {
    /// The population stability index.
    Index(f64),
    /// There are fewer rows than this on one side.
    TooFewRows(usize),
}

/// The bins of a column.
enum Bins {
    /// One for each value, and one for all others.
    Values(Vec<ArrayRef>),
    /// Up to the first cut, between two, and above the last.
    Cuts(Vec<ArrayRef>),
}

/// How far a column has moved from an earlier one of its type.
///
/// # Errors
/// Arrow's own, for types that have no order.
pub fn drift(earlier: &ArrayRef, now: &ArrayRef) -> Result<Drift, ArrowError> {
    let bins = Bins::of(earlier)?;
    let (expected, actual) = (bins.counts(earlier)?, bins.counts(now)?);
    let used = expected.iter().zip(&actual).filter(|(expected, actual)| **expected + **actual > 0).count();
    let fewest = used * ROWS_PER_BIN;
    if earlier.len() < fewest || now.len() < fewest || fewest == 0 {
        return Ok(Drift::TooFewRows(fewest.max(ROWS_PER_BIN)));
    }
    Ok(Drift::Index(index(&expected, &actual)))
}

/// The index of two lists of counts by bin. Bins without rows on both sides say nothing.
#[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
fn index(expected: &[usize], actual: &[usize]) -> f64 {
    let rows = |counts: &[usize]| counts.iter().sum::<usize>() as f64;
    let (earlier, now) = (rows(expected), rows(actual));
    let share = |count: usize, rows: f64| if count == 0 { 0.5 / rows } else { count as f64 / rows };
    let of_bin = |(&expected, &actual): (&usize, &usize)| {
        if expected + actual == 0 {
            return 0.0;
        }
        let (expected, actual) = (share(expected, earlier), share(actual, now));
        (actual - expected) * (actual / expected).ln()
    };
    expected.iter().zip(actual).map(of_bin).sum()
}

impl Bins {
    fn of(earlier: &ArrayRef) -> Result<Self, ArrowError> {
        let known = earlier.len() - earlier.null_count();
        let options = SortOptions { descending: false, nulls_first: false };
        let sorted = sort(earlier, Some(options))?.slice(0, known);
        let runs = if known == 0 { Vec::new() } else { partition(std::slice::from_ref(&sorted))?.ranges() };
        let at = |row: usize| take(&sorted, &UInt32Array::from(vec![u32::try_from(row).unwrap_or(u32::MAX)]), None);
        let ordered = earlier.data_type().is_numeric() || earlier.data_type().is_temporal();
        if ordered && runs.len() > VALUE_BINS {
            let rank = |tenths: usize| (tenths * known).div_ceil(QUANTILE_BINS) - 1;
            // Equal cuts fall into one: a value that fills several tenths has one bin.
            let mut cut_runs: Vec<usize> = (1..QUANTILE_BINS).map(|tenths| runs.partition_point(|run| run.end <= rank(tenths))).collect();
            cut_runs.dedup();
            return Ok(Bins::Cuts(cut_runs.into_iter().map(|run| at(runs[run].start)).collect::<Result<_, _>>()?));
        }
        let mut commonest: Vec<_> = runs.into_iter().map(|run| (std::cmp::Reverse(run.len()), run.start)).collect();
        commonest.sort_unstable();
        Ok(Bins::Values(commonest.into_iter().take(VALUE_BINS).map(|(_, start)| at(start)).collect::<Result<_, _>>()?))
    }

    /// Rows by bin; the last is that of null.
    fn counts(&self, column: &ArrayRef) -> Result<Vec<usize>, ArrowError> {
        let known = column.len() - column.null_count();
        let against = |value: &ArrayRef, compare: fn(&dyn Datum, &dyn Datum) -> Result<arrow::array::BooleanArray, ArrowError>| {
            compare(column, &Scalar::new(value.clone())).map(|finding| finding.true_count())
        };
        let mut counts = Vec::new();
        match self {
            Bins::Values(values) => {
                for value in values {
                    counts.push(against(value, |one, other| cmp::eq(one, other))?);
                }
                counts.push(known - counts.iter().sum::<usize>());
            }
            Bins::Cuts(cuts) => {
                let mut below = 0;
                for cut in cuts {
                    let up_to = against(cut, |one, other| cmp::lt_eq(one, other))?;
                    counts.push(up_to - below);
                    below = up_to;
                }
                counts.push(known - below);
            }
        }
        counts.push(column.null_count());
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn near(found: Drift, expected: f64) {
        let Drift::Index(found) = found else { panic!("{found:?}") };
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    fn texts(counts: &[(Option<&str>, usize)]) -> ArrayRef {
        Arc::new(counts.iter().flat_map(|(text, count)| std::iter::repeat_n(*text, *count)).collect::<StringArray>())
    }

    fn numbers(values: impl Iterator<Item = i64>) -> ArrayRef {
        Arc::new(values.map(Some).collect::<Int64Array>())
    }

    /// Reference numbers: worked out with Python's `math.log` from counts by bin.
    #[test]
    fn texts_are_binned_by_value() {
        let earlier = texts(&[(Some("a"), 50), (Some("b"), 30), (Some("c"), 20)]);
        near(drift(&earlier, &earlier).unwrap(), 0.0);
        // (0.4 - 0.5) ln(0.8) + (0.3 - 0.2) ln(1.5)
        near(drift(&earlier, &texts(&[(Some("c"), 30), (Some("a"), 40), (Some("b"), 30)])).unwrap(), TEXTS);
        // A new value and a lost one: half a row stands for none. Null is a bin of its own.
        near(drift(&earlier, &texts(&[(Some("a"), 50), (Some("b"), 30), (Some("new"), 10), (None, 10)])).unwrap(), NEW);
    }

    /// Reference number: Python's `statistics` and `bisect` over the same lists.
    #[test]
    fn numbers_are_binned_by_deciles_of_the_earlier_ones() {
        let earlier = numbers(1..=1000);
        let now = numbers((1..=1000).map(|i| i * i / 1000));
        near(drift(&earlier, &now).unwrap(), NUMBERS);
        // Six different values: by value, so that a shift among few scores is seen.
        let scores =
            |weights: [usize; 6]| numbers((0..6).flat_map(|score| std::iter::repeat_n(score, weights[usize::try_from(score).unwrap()])));
        near(drift(&scores([100, 20, 20, 20, 20, 20]), &scores([90, 30, 20, 20, 20, 20])).unwrap(), SCORES);
    }

    #[test]
    fn a_value_that_fills_several_tenths_has_one_bin() {
        let earlier = numbers(std::iter::repeat_n(0, 700).chain(1..=300));
        near(drift(&earlier, &earlier).unwrap(), 0.0);
        assert!(matches!(Bins::of(&earlier).unwrap(), Bins::Cuts(cuts) if cuts.len() == 3));
    }

    #[test]
    fn few_rows_say_nothing() {
        let few = texts(&[(Some("a"), 5), (Some("b"), 5)]);
        assert_eq!(drift(&few, &few).unwrap(), Drift::TooFewRows(20));
        assert_eq!(drift(&texts(&[]), &texts(&[])).unwrap(), Drift::TooFewRows(10));
    }

    const TEXTS: f64 = 0.062_860_865_942_237_39;
    const NEW: f64 = 1.288_520_625_527_475_7;
    const NUMBERS: f64 = 0.383_571_333_626_754_7;
    const SCORES: f64 = 0.025_541_281_188_299_52;
}
