//! Columns of numbers, made comparable: each is cut at its ends and transformed as declared, and then has the mean 0 and the standard
//! deviation 1.

/// What is done to the values of a column before they are standardised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Nothing.
    #[default]
    Plain,
    /// The logarithm of the value plus 1, for amounts and counts, of which few are large.
    Log1p,
}

impl Shape {
    /// Whether a value can be transformed.
    pub fn takes(self, value: f64) -> bool {
        value.is_finite() && (self == Shape::Plain || value > -1.0)
    }

    fn apply(self, value: f64) -> f64 {
        match self {
            Shape::Plain => value,
            Shape::Log1p => libm::log1p(value),
        }
    }

    fn undo(self, value: f64) -> f64 {
        match self {
            Shape::Plain => value,
            Shape::Log1p => libm::expm1(value),
        }
    }
}

/// How a column is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Preparation {
    /// What is done to its values.
    pub shape: Shape,
    /// The share of values at each end that count as the quantile there; 0 if none do.
    pub winsorise: f64,
}

/// How the values of a column become standardised numbers. It is found from values, and then holds for others too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    shape: Shape,
    /// Values below count as this one, if the ends are cut.
    pub least: f64,
    /// Values above count as this one, if the ends are cut.
    pub most: f64,
    /// The mean of the transformed values.
    pub mean: f64,
    /// Their standard deviation, of the population; 0 if all are the same.
    pub deviation: f64,
}

impl Scaling {
    /// The scaling of a column by its values, all of which [`Shape::takes`].
    pub fn of(values: &[f64], preparation: Preparation) -> Self {
        let Preparation { shape, winsorise } = preparation;
        let (least, most) = if winsorise > 0.0 && !values.is_empty() {
            let mut sorted = values.to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
            (quantile(&sorted, winsorise), quantile(&sorted, 1.0 - winsorise))
        } else {
            (f64::NEG_INFINITY, f64::INFINITY)
        };
        let mut scaling = Scaling { shape, least, most, mean: 0.0, deviation: 0.0 };
        if values.is_empty() {
            return scaling;
        }
        #[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
        let count = values.len() as f64;
        scaling.mean = values.iter().map(|value| scaling.transform(*value)).sum::<f64>() / count;
        // Rounding leaves a little of the deviation of equal values.
        let first = scaling.transform(values[0]);
        if values.iter().any(|value| (scaling.transform(*value) - first).abs() > 0.0) {
            let squares = values.iter().map(|value| scaling.transform(*value) - scaling.mean).map(|apart| apart * apart);
            scaling.deviation = (squares.sum::<f64>() / count).sqrt();
        }
        scaling
    }

    /// The value within the ends, transformed but not standardised.
    fn transform(&self, value: f64) -> f64 {
        // `clamp` panics if the ends are not in order, as with no values at all.
        self.shape.apply(value.min(self.most).max(self.least))
    }

    /// Whether the column tells nobody apart: all values are the same, or they are too large to be added up.
    pub fn is_constant(&self) -> bool {
        self.deviation <= 0.0 || !self.deviation.is_finite()
    }

    /// A value as a standardised number; 0 in a constant column.
    pub fn apply(&self, value: f64) -> f64 {
        if self.is_constant() { 0.0 } else { (self.transform(value) - self.mean) / self.deviation }
    }

    /// The value of a standardised number.
    pub fn undo(&self, standardised: f64) -> f64 {
        self.shape.undo(standardised * self.deviation + self.mean)
    }
}

/// A quantile of sorted values, between the two nearest ones in proportion, as `percentile_cont` has it.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within the values")]
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor())
}

/// Rows of standardised numbers, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    /// How many numbers a row has.
    pub width: usize,
    /// The numbers, row by row.
    pub values: Vec<f64>,
}

impl Points {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// A row.
    pub fn row(&self, at: usize) -> &[f64] {
        &self.values[at * self.width..(at + 1) * self.width]
    }
}

/// Prepares columns of equal length, and says how each was scaled. A constant column is 0 throughout.
pub fn prepare(columns: &[Vec<f64>], preparations: &[Preparation]) -> (Points, Vec<Scaling>) {
    let scalings: Vec<Scaling> = columns.iter().zip(preparations).map(|(values, preparation)| Scaling::of(values, *preparation)).collect();
    let (width, rows) = (columns.len(), columns.first().map_or(0, Vec::len));
    let mut values = vec![0.0; width * rows];
    for (at, (column, scaling)) in columns.iter().zip(&scalings).enumerate() {
        for (row, value) in column.iter().enumerate() {
            values[row * width + at] = scaling.apply(*value);
        }
    }
    (Points { width, values }, scalings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(winsorise: f64) -> Preparation {
        Preparation { shape: Shape::Plain, winsorise }
    }

    #[test]
    fn a_column_gets_the_mean_0_and_the_deviation_1_of_the_population() {
        let (points, scalings) = prepare(&[vec![1.0, 3.0], vec![0.1, 0.1]], &[plain(0.0), plain(0.0)]);
        assert_eq!(points.values, [-1.0, 0.0, 1.0, 0.0], "a constant column is 0, although 0.1 has no exact sum");
        assert_eq!((scalings[0].mean, scalings[0].deviation, scalings[1].is_constant()), (2.0, 1.0, true));
        assert_eq!((scalings[0].apply(5.0), scalings[0].undo(-1.0), points.rows()), (3.0, 1.0, 2));
        let (points, scalings) = prepare(&[vec![f64::MAX, -f64::MAX, f64::MAX]], &[plain(0.0)]);
        assert!(scalings[0].is_constant() && points.values == [0.0; 3], "numbers without a sum");
    }

    #[test]
    fn a_logarithm_takes_what_is_above_minus_1_and_comes_back() {
        let scaling = Scaling::of(&[0.0, 1.0, 100.0], Preparation { shape: Shape::Log1p, winsorise: 0.0 });
        assert!((scaling.undo(scaling.apply(100.0)) - 100.0).abs() < 1e-9);
        let taken = [-1.0, -0.5, f64::NAN, f64::INFINITY].map(|value| Shape::Log1p.takes(value));
        assert_eq!(taken, [false, true, false, false]);
        assert!(Shape::Plain.takes(-7.0));
    }

    #[test]
    fn values_beyond_the_quantiles_count_as_the_quantiles() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let scaling = Scaling::of(&values, plain(0.05));
        assert_eq!((scaling.least, scaling.most), (5.0, 95.0));
        assert_eq!(scaling.apply(100.0).to_bits(), scaling.apply(95.0).to_bits());
        assert!((scaling.mean - 50.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_nothing() {
        let (points, scalings) = prepare(&[Vec::new()], &[plain(0.1)]);
        assert_eq!((points.rows(), scalings[0].is_constant()), (0, true));
        assert!(scalings[0].apply(3.0).abs() < f64::EPSILON);
    }
}
