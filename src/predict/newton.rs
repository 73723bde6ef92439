//! Finds the parameters at which a log likelihood is greatest, by Newton's method with the Hessian, damped as Levenberg and Marquardt do
//! (Nocedal & Wright 2006, section 10.3), and the standard errors that the Hessian gives there.

/// What a function of several parameters is at a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<const N: usize> {
    /// The value.
    pub value: f64,
    /// The first derivatives.
    pub gradient: [f64; N],
    /// The second derivatives.
    pub hessian: [[f64; N]; N],
}

impl<const N: usize> Default for Point<N> {
    fn default() -> Self {
        Point { value: 0.0, gradient: [0.0; N], hessian: [[0.0; N]; N] }
    }
}

impl<const N: usize> Point<N> {
    /// The same by the logarithms of the parameters.
    fn by_logarithms(&self, parameters: &[f64; N]) -> Self {
        let mut found = *self;
        for row in 0..N {
            found.gradient[row] *= parameters[row];
            for column in 0..N {
                found.hessian[row][column] *= parameters[row] * parameters[column];
            }
            found.hessian[row][row] += found.gradient[row];
        }
        found
    }

    /// Holds the parameters that are at a bound and would go on; whether there are such.
    fn hold(&mut self, parameters: &[f64; N], bounds: &[Bounds; N]) -> bool {
        let mut is_bound = false;
        for at in 0..N {
            let (least, most) = bounds[at];
            let (parameter, slope) = (parameters[at], self.gradient[at]);
            if (parameter >= most && slope >= 0.0) || (parameter <= least && slope <= 0.0) {
                is_bound = true;
                self.gradient[at] = 0.0;
                for other in 0..N {
                    self.hessian[at][other] = 0.0;
                    self.hessian[other][at] = 0.0;
                }
                self.hessian[at][at] = -1.0;
            }
        }
        is_bound
    }

    fn is_finite(&self) -> bool {
        self.value.is_finite() && self.gradient.iter().chain(self.hessian.iter().flatten()).all(|number| number.is_finite())
    }
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At a greatest value.
    Converged,
    /// A parameter has reached its bound, where the value still grows a little.
    AtBound,
    /// Neither, after many steps.
    Exhausted,
}

/// A greatest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Greatest<const N: usize> {
    /// The parameters.
    pub parameters: [f64; N],
    /// The value there, with its derivatives by the parameters.
    pub point: Point<N>,
    /// How the search ended.
    pub end: End,
}

impl<const N: usize> Greatest<N> {
    /// The parameters' standard errors; none where the value is flat, or still grows.
    pub fn standard_errors(&self) -> Option<[f64; N]> {
        if self.end != End::Converged {
            return None;
        }
        let root = cholesky(&negated(&self.point.hessian), &[0.0; N])?;
        let mut errors = [0.0; N];
        for (at, error) in errors.iter_mut().enumerate() {
            let mut unit = [0.0; N];
            unit[at] = 1.0;
            *error = libm::sqrt(solve(&root, &unit)[at]);
        }
        errors.iter().all(|error| error.is_finite()).then_some(errors)
    }
}

const STEPS: usize = 200;
/// A step that promises less than this has arrived: a likelihood is known to about as much.
const ENOUGH: f64 = 1e-10;
/// What a promise may be that rounding hides.
const HIDDEN: f64 = 1e-6;
/// The longest step, in logarithms.
const LONGEST: f64 = 2.0;

/// The least and the greatest that a parameter may be.
pub type Bounds = (f64, f64);

/// Goes up from a point of positive parameters within their bounds.
pub fn greatest<const N: usize>(of: impl Fn(&[f64; N]) -> Point<N>, from: [f64; N], bounds: &[Bounds; N]) -> Greatest<N> {
    let mut parameters = from;
    for (parameter, (least, most)) in parameters.iter_mut().zip(bounds) {
        *parameter = parameter.clamp(*least, *most);
    }
    let mut here = Greatest { parameters, point: of(&parameters), end: End::Exhausted };
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        if !here.point.is_finite() {
            return here;
        }
        let mut point = here.point.by_logarithms(&here.parameters);
        let is_bound = point.hold(&here.parameters, bounds);
        let arrived = if is_bound { End::AtBound } else { End::Converged };
        let Some((step, promised)) = step(&point, &mut damping) else { return here };
        if promised < ENOUGH {
            return Greatest { end: arrived, ..here };
        }
        let mut parameters = here.parameters;
        for ((parameter, step), (least, most)) in parameters.iter_mut().zip(step).zip(bounds) {
            *parameter = (*parameter * libm::exp(step)).clamp(*least, *most);
        }
        let there = of(&parameters);
        if there.is_finite() && there.value >= here.point.value {
            here = Greatest { parameters, point: there, end: End::Exhausted };
            damping = (damping * 0.1).max(1e-12);
        } else if damping > 1e12 {
            // No shorter step helps: rounding hides what is left to gain.
            let end = if promised < HIDDEN { arrived } else { End::Exhausted };
            return Greatest { end, ..here };
        } else {
            damping *= 10.0;
        }
    }
    here
}

/// A step upwards, and how much it promises.
fn step<const N: usize>(point: &Point<N>, damping: &mut f64) -> Option<([f64; N], f64)> {
    let negated = negated(&point.hessian);
    let size = negated.iter().enumerate().map(|(at, row)| row[at].abs()).fold(0.0, f64::max).max(1e-300);
    while *damping < 1e15 {
        let mut added = [0.0; N];
        for (at, added) in added.iter_mut().enumerate() {
            *added = *damping * negated[at][at].abs().max(size * 1e-9);
        }
        if let Some(root) = cholesky(&negated, &added) {
            let mut step = solve(&root, &point.gradient);
            let longest = step.iter().fold(0.0f64, |longest, step| longest.max(step.abs()));
            if longest > LONGEST {
                step = step.map(|step| step * (LONGEST / longest));
            }
            let promised: f64 = 0.5 * step.iter().zip(&point.gradient).map(|(step, slope)| step * slope).sum::<f64>();
            return Some((step, promised));
        }
        *damping = (*damping * 10.0).max(1e-6);
    }
    None
}

fn negated<const N: usize>(hessian: &[[f64; N]; N]) -> [[f64; N]; N] {
    hessian.map(|row| row.map(|number| -number))
}

/// The root of a positive definite matrix with something added to its diagonal; none of another matrix.
fn cholesky<const N: usize>(matrix: &[[f64; N]; N], added: &[f64; N]) -> Option<[[f64; N]; N]> {
    let mut root = [[0.0; N]; N];
    for row in 0..N {
        for column in 0..=row {
            let inner: f64 = (0..column).map(|at| root[row][at] * root[column][at]).sum();
            if row == column {
                let whole = matrix[row][row] + added[row];
                let rest = whole - inner;
                if !rest.is_finite() || rest <= whole.abs() * 1e-14 {
                    return None;
                }
                root[row][row] = libm::sqrt(rest);
            } else {
                root[row][column] = (matrix[row][column] - inner) / root[column][column];
            }
        }
    }
    Some(root)
}

/// Solves the equations of a matrix by its root.
fn solve<const N: usize>(root: &[[f64; N]; N], right: &[f64; N]) -> [f64; N] {
    let mut found = *right;
    for row in 0..N {
        let known: f64 = (0..row).map(|at| root[row][at] * found[at]).sum();
        found[row] = (found[row] - known) / root[row][row];
    }
    for row in (0..N).rev() {
        let known: f64 = (row + 1..N).map(|at| root[at][row] * found[at]).sum();
        found[row] = (found[row] - known) / root[row][row];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hill whose top is at (2, 5), with standard errors of 0.1 and 0.5.
    fn hill(at: &[f64; 2]) -> Point<2> {
        let (x, y) = ((at[0] - 2.0) / 0.1, (at[1] - 5.0) / 0.5);
        Point { value: -0.5 * (x * x + y * y), gradient: [-x / 0.1, -y / 0.5], hessian: [[-100.0, 0.0], [0.0, -4.0]] }
    }

    #[test]
    fn the_top_of_a_hill_is_found_with_its_standard_errors() {
        for from in [[1.0, 1.0], [1e-3, 40.0], [900.0, 1e-2]] {
            let found = greatest(hill, from, &[(1e-9, 1e9); 2]);
            assert_eq!(found.end, End::Converged);
            assert!((found.parameters[0] - 2.0).abs() < 1e-5 && (found.parameters[1] - 5.0).abs() < 1e-5, "{found:?}");
            let errors = found.standard_errors().unwrap();
            assert!((errors[0] - 0.1).abs() < 1e-12 && (errors[1] - 0.5).abs() < 1e-12);
        }
    }

    #[test]
    fn a_slope_without_top_ends_at_the_bound() {
        // Grows towards 0 for ever.
        let slope = |at: &[f64; 1]| Point { value: -1.0 / at[0], gradient: [at[0].powi(-2)], hessian: [[-2.0 * at[0].powi(-3)]] };
        let found = greatest(slope, [1.0], &[(1e-6, 1e6)]);
        assert_eq!(found.end, End::AtBound, "{found:?}");
        let flat = |_: &[f64; 1]| Point { value: 1.0, gradient: [0.0], hessian: [[0.0]] };
        assert_eq!(greatest(flat, [1.0], &[(1e-6, 1e6)]).standard_errors(), None);
    }
}
