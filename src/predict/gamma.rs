//! Differences of the logarithm of the gamma function, and its derivatives, in forms that lose nothing to cancellation: at a small
//! argument as products, at a large one by Stirling's series (Abramowitz & Stegun 1964, 6.1.41, 6.3.18 and 6.4.11).

/// From here on Stirling's series is exact to a double.
const LARGE: f64 = 16.0;

/// `ln Γ(z + n) − ln Γ(z)` with its first and second derivative by `z`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rise {
    /// The logarithm of the rising factorial `z (z + 1) … (z + n − 1)`.
    pub value: f64,
    /// The first derivative by `z`.
    pub first: f64,
    /// The second derivative by `z`.
    pub second: f64,
}

impl std::ops::Sub for Rise {
    type Output = Rise;

    fn sub(self, other: Rise) -> Rise {
        Rise { value: self.value - other.value, first: self.first - other.first, second: self.second - other.second }
    }
}

/// `ln Γ(z + n) − ln Γ(z)` for positive `z`, and `n` that is not negative and need not be whole.
pub fn rise(z: f64, n: f64) -> Rise {
    if n <= LARGE && n.fract() == 0.0 {
        return product(z, n);
    }
    if z >= LARGE {
        return large(z, n);
    }
    // Γ(z) by Γ(z + 16): the ratios of the factors between them.
    let (mut shifted, mut ratio) = (large(z + LARGE, n), 1.0);
    let mut at = z;
    while at < z + LARGE - 0.5 {
        ratio *= (at + n) / at;
        shifted.first += n / (at * (at + n));
        shifted.second -= n * (2.0 * at + n) / ((at * (at + n)) * (at * (at + n)));
        at += 1.0;
    }
    shifted.value -= libm::log(ratio);
    shifted
}

/// Few whole steps, one after the other.
fn product(z: f64, n: f64) -> Rise {
    let (mut product, mut found, mut step) = (1.0, Rise::default(), 0.0);
    while step < n {
        let factor = z + step;
        product *= factor;
        found.first += 1.0 / factor;
        found.second -= 1.0 / (factor * factor);
        step += 1.0;
    }
    found.value = libm::log(product);
    found
}

fn large(z: f64, n: f64) -> Rise {
    let end = z + n;
    let grown = libm::log1p(n / z);
    let value = (z - 0.5) * grown + n * libm::log(end) - n + correction(end) - correction(z);
    let first = grown + 0.5 * n / (z * end) + first_correction(end) - first_correction(z);
    let second = -n / (z * end) + second_correction(end) - second_correction(z);
    Rise { value, first, second }
}

/// `ln Γ(z)` without `(z − ½) ln z − z + ½ ln 2π`.
fn correction(z: f64) -> f64 {
    let square = 1.0 / (z * z);
    (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / z
}

/// The digamma function without `ln z − 1/(2 z)`.
fn first_correction(z: f64) -> f64 {
    let square = 1.0 / (z * z);
    -square * (1.0 / 12.0 - square * (1.0 / 120.0 - square * (1.0 / 252.0 - square / 240.0)))
}

/// The trigamma function without `1/z`.
fn second_correction(z: f64) -> f64 {
    let square = 1.0 / (z * z);
    square * (0.5 + (1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0))) / z)
}

/// `ln Γ(z)` of a positive number, with the digamma and the trigamma function.
pub fn ln_gamma(z: f64) -> Rise {
    let far = z + LARGE;
    let value = libm::lgamma(z);
    let at_far = Rise { value: 0.0, first: libm::log(far) - 0.5 / far + first_correction(far), second: 1.0 / far + second_correction(far) };
    let between = product(z, LARGE);
    Rise { value, first: at_far.first - between.first, second: at_far.second - between.second }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} instead of {expected}");
    }

    #[test]
    fn the_gamma_function_and_its_derivatives_have_their_known_values() {
        let euler = 0.577_215_664_901_532_9;
        let pi_squared = std::f64::consts::PI * std::f64::consts::PI;
        let one = ln_gamma(1.0);
        is_near(one.value, 0.0, 1e-15);
        is_near(one.first, -euler, 1e-14);
        is_near(one.second, pi_squared / 6.0, 1e-14);
        let half = ln_gamma(0.5);
        is_near(half.value, 0.5 * std::f64::consts::PI.ln(), 1e-15);
        is_near(half.first, -euler - 2.0 * 2f64.ln(), 1e-14);
        is_near(half.second, pi_squared / 2.0, 1e-14);
    }

    #[test]
    fn a_rise_is_the_same_by_steps_and_by_series() {
        for z in [1e-9, 0.01, 0.24, 1.0, 3.7, 15.9, 16.0, 41.0, 1e4, 1e8] {
            for n in [1.0, 2.0, 15.0, 16.0, 17.0, 40.0, 1000.0] {
                let mut stepped = Rise::default();
                for step in (0..1000).map(f64::from).take_while(|step| *step < n) {
                    let factor = z + step;
                    stepped.value += factor.ln();
                    stepped.first += 1.0 / factor;
                    stepped.second -= 1.0 / (factor * factor);
                }
                let found = rise(z, n);
                is_near(found.value, stepped.value, 1e-12);
                is_near(found.first, stepped.first, 1e-12);
                is_near(found.second, stepped.second, 1e-12);
            }
        }
    }

    #[test]
    fn a_rise_by_a_part_of_a_step_is_the_difference_of_two_logarithms() {
        for z in [0.1, 0.9, 4.2, 15.0, 60.0] {
            for n in [0.25, 1.5, 3.74, 20.1, 300.6] {
                let (from, to) = (ln_gamma(z), ln_gamma(z + n));
                let found = rise(z, n);
                is_near(found.value, to.value - from.value, 1e-12);
                is_near(found.first, to.first - from.first, 1e-12);
                is_near(found.second, to.second - from.second, 1e-11);
            }
        }
    }

    #[test]
    fn a_rise_from_a_huge_number_is_that_many_logarithms_of_it() {
        let found = rise(1e15, 1000.0);
        is_near(found.value, 1000.0 * 1e15f64.ln(), 1e-12);
        assert_eq!(rise(3.0, 0.0), Rise::default());
    }
}
