//! What is expected of customers with one history: purchases over some horizons, and purchases over a lifetime that count for less the later
//! they come.

use super::fit::Purchases;
use super::groups::History;

/// Abscissae and weights of Gauss's rule with six points on (−1, 1), of which the other half is the mirror (Abramowitz & Stegun 1964,
/// table 25.4).
const GAUSS: [(f64, f64); 3] = [
    (0.238_619_186_083_196_9, 0.467_913_934_572_691),
    (0.661_209_386_466_264_5, 0.360_761_573_048_138_6),
    (0.932_469_514_203_152, 0.171_324_492_379_170_4),
];

/// The days of a year, for a discount that is told by the year.
const YEAR: f64 = 365.25;

/// Over which times something is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Horizons {
    /// The horizons, in days.
    pub days: Vec<f64>,
    /// The lifetime, in days.
    pub lifetime_days: f64,
    /// By how much an order counts for less a year later, as a part of its value.
    pub yearly_discount: f64,
}

/// What is expected of a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The chance that the customer has not left, if the model tells.
    pub alive: Option<f64>,
    /// The expected purchases by horizon; none if nothing predicts.
    pub expected: Option<Vec<f64>>,
    /// The expected purchases in the lifetime, each discounted to the end of observation.
    pub discounted: Option<f64>,
}

impl Purchases {
    /// What is expected of a customer with a history.
    pub fn outlook(&self, history: &History, horizons: &Horizons) -> Outlook {
        let rate = libm::log1p(horizons.yearly_discount) / YEAR;
        let end = horizons.lifetime_days;
        // The expectation bends at the scale of the time that the customer was watched, and is smooth in the logarithm.
        let scale = match *self {
            Purchases::Churn(_, [_, alpha, ..]) => alpha + history.observed,
            Purchases::Nbd(_) | Purchases::MeanRate(_) | Purchases::Nothing => end,
        };
        let (whole, mut times) = (libm::log1p(end / scale), horizons.days.clone());
        times.push(end);
        let mut weights = Vec::new();
        if rate > 0.0 {
            for (abscissa, weight) in GAUSS.iter().flat_map(|(abscissa, weight)| [(-abscissa, *weight), (*abscissa, *weight)]) {
                let grown = libm::expm1(whole * 0.5 * (1.0 + abscissa));
                times.push(scale * grown);
                weights.push(0.5 * whole * weight * scale * (1.0 + grown));
            }
        }
        let Some(mut expected) = self.expected(history, &times) else {
            return Outlook { alive: self.alive(history), expected: None, discounted: None };
        };
        // ∫ e^(−δt) dE(t), by parts.
        let of_lifetime = expected.split_off(horizons.days.len());
        let at_end = of_lifetime.first().copied().unwrap_or_default() * libm::exp(-rate * end);
        let later = times[horizons.days.len() + 1..].iter().zip(&weights).zip(&of_lifetime[1..]);
        let inner: f64 = later.map(|((time, weight), expected)| weight * libm::exp(-rate * time) * expected).sum();
        Outlook { alive: self.alive(history), expected: Some(expected), discounted: Some(at_end + rate * inner) }
    }
}

/// By value, in which tenth of all it is, from 1 for the least to 10 for the most. Equal values are in the same tenth.
pub fn deciles(values: &[f64]) -> Vec<u8> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|one, other| values[*one].total_cmp(&values[*other]).then(one.cmp(other)));
    let mut found = vec![0; values.len()];
    let (mut less, mut at) = (0, 0);
    while at < order.len() {
        if at > 0 && values[order[at]] > values[order[at - 1]] {
            less = at;
        }
        found[order[at]] = u8::try_from(10 * less / order.len()).unwrap_or(9) + 1;
        at += 1;
    }
    found
}
