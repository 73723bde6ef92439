//! The gamma-gamma model of what customers spend on an order: a customer's orders are gamma around the customer's own mean, and the means
//! are spread over customers. Fader & Hardie, The Gamma-Gamma Model of Monetary Value (2013), equation 1a for the likelihood and equation 5
//! for the expectation.
//!
//! The model takes for granted that how much a customer spends on an order says nothing about how often the customer buys.

use serde::{Deserialize, Serialize};

use super::fit::Parameter;
use super::gamma::{Rise, ln_gamma, rise};
use super::newton::{Bounds, End, Point, greatest};

/// What the repeat purchases of a customer were worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spender {
    /// How many there were.
    pub repeats: u32,
    /// What they were worth on average, more than 0.
    pub average: f64,
}

/// What came of a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendState {
    /// The model is fitted.
    Fitted,
    /// Customers who buy often spend more on an order, or less.
    SpendDependsOnFrequency,
    /// The fitted means of customers are spread so widely that they have no mean themselves: q is not above 1.
    NoFiniteMean,
    /// The orders of a customer, or the means of all customers, do not differ.
    SpendAlike,
    /// No parameters are found at which the spend is most likely.
    NoConvergence,
    /// There are fewer repeat buyers than the pipeline file asks for.
    TooFewRepeatBuyers,
    /// Nobody has bought again.
    NoRepeatBuyers,
}

/// What predicts the spend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spend {
    /// The gamma-gamma model: p, q and γ.
    GammaGamma([f64; 3]),
    /// The customer's own mean, or else the mean of all of those.
    Mean(f64),
    /// Nothing.
    Nothing,
}

/// A fit of spend.
#[derive(Debug, Clone, PartialEq)]
pub struct SpendFit {
    /// What came of it.
    pub state: SpendState,
    /// What predicts.
    pub used: Spend,
    /// The parameters of what predicts.
    pub parameters: Vec<Parameter>,
    /// The log likelihood of the gamma-gamma model.
    pub log_likelihood: Option<f64>,
    /// The rank correlation of spend with frequency.
    pub correlation: Option<f64>,
}

/// A rank correlation beyond this is more than the model can overlook.
pub const DEPENDENT: f64 = 0.3;

/// Orders that are gamma with a larger p, and means with a larger q, cannot be told apart.
const SHAPE: Bounds = (1e-6, 1e4);
/// γ is an amount, and the larger the more alike the means are.
const SCALE: Bounds = (1e-9, 1e9);

impl Spend {
    /// The expected value of an order of a customer with so many repeat purchases of an average value.
    pub fn expected(&self, spender: Option<Spender>) -> Option<f64> {
        match (*self, spender) {
            (Spend::Nothing, _) => None,
            (Spend::Mean(_), Some(Spender { average, .. })) => Some(average),
            (Spend::Mean(mean), None) => Some(mean),
            (Spend::GammaGamma([p, q, gamma]), Some(Spender { repeats, average })) => {
                let repeats = f64::from(repeats);
                Some(p * (gamma + repeats * average) / (p * repeats + q - 1.0))
            }
            (Spend::GammaGamma([p, q, gamma]), None) => Some(p * gamma / (q - 1.0)),
        }
    }
}

/// Fits the model to repeat buyers, if there are at least so many. Their order does not matter.
pub fn fit(spenders: &[Spender], minimum: u64) -> SpendFit {
    let mut sorted = spenders.to_vec();
    sorted.sort_unstable_by(|one, other| one.repeats.cmp(&other.repeats).then(one.average.total_cmp(&other.average)));
    let nothing = SpendFit {
        state: SpendState::NoRepeatBuyers,
        used: Spend::Nothing,
        parameters: Vec::new(),
        log_likelihood: None,
        correlation: None,
    };
    if sorted.is_empty() {
        return nothing;
    }
    let mean = mean(&sorted);
    let correlation = rank_correlation(&sorted);
    let by_mean = SpendFit { used: Spend::Mean(mean), correlation, ..nothing };
    if (sorted.len() as u64) < minimum {
        return SpendFit { state: SpendState::TooFewRepeatBuyers, ..by_mean };
    }
    let scale = usual(&sorted);
    let sample = Sample::of(&sorted, scale);
    let found = greatest(|at| sample.likelihood(at), [2.0, 3.0, 2.0], &[SHAPE, SHAPE, SCALE]);
    let [p, q, gamma] = found.parameters;
    let log_likelihood = Some(found.point.value - sample.of_unit).filter(|value| value.is_finite());
    let by_mean = SpendFit { log_likelihood, ..by_mean };
    if found.end == End::Exhausted {
        return SpendFit { state: SpendState::NoConvergence, ..by_mean };
    }
    let errors = found.standard_errors();
    let units = [1.0, 1.0, scale];
    let told = ["p", "q", "gamma"].iter().enumerate().map(|(at, name)| Parameter {
        name: (*name).to_owned(),
        value: found.parameters[at] * units[at],
        standard_error: errors.map(|errors| errors[at] * units[at]),
    });
    let parameters = told.collect();
    if q <= 1.0 {
        return SpendFit { state: SpendState::NoFiniteMean, parameters, ..by_mean };
    }
    if correlation.is_some_and(|correlation| correlation.abs() > DEPENDENT) {
        return SpendFit { state: SpendState::SpendDependsOnFrequency, parameters, ..by_mean };
    }
    if found.end == End::AtBound {
        return SpendFit { state: SpendState::SpendAlike, parameters, ..by_mean };
    }
    SpendFit { state: SpendState::Fitted, used: Spend::GammaGamma([p, q, gamma * scale]), parameters, ..by_mean }
}

#[allow(clippy::cast_precision_loss, reason = "there are fewer customers than a double counts")]
fn mean(sorted: &[Spender]) -> f64 {
    sorted.iter().map(|spender| spender.average).sum::<f64>() / sorted.len() as f64
}

/// The geometric mean, which one enormous order hardly moves.
#[allow(clippy::cast_precision_loss, reason = "there are fewer customers than a double counts")]
fn usual(sorted: &[Spender]) -> f64 {
    libm::exp(sorted.iter().map(|spender| libm::log(spender.average)).sum::<f64>() / sorted.len() as f64)
}

/// Spend as the likelihood reads it, scaled to a geometric mean of one.
struct Sample {
    /// By number of repeat purchases, in order: how many customers there are up to the last of them.
    repeats: Vec<(f64, usize)>,
    /// By customer, in the same order: the value of all repeat purchases together.
    spent: Vec<f64>,
    logs: Vec<f64>,
    /// What the unit of money takes from a log likelihood.
    of_unit: f64,
}

impl Sample {
    fn of(sorted: &[Spender], scale: f64) -> Self {
        let mut repeats: Vec<(f64, usize)> = Vec::new();
        let (mut spent, mut logs) = (Vec::with_capacity(sorted.len()), Vec::with_capacity(sorted.len()));
        for spender in sorted {
            let bought = f64::from(spender.repeats);
            match repeats.last_mut() {
                Some((same, end)) if same.total_cmp(&bought).is_eq() => *end += 1,
                _ => repeats.push((bought, spent.len() + 1)),
            }
            let average = spender.average / scale;
            spent.push(bought * average);
            logs.push(libm::log(average));
        }
        #[allow(clippy::cast_precision_loss, reason = "there are fewer customers than a double counts")]
        let of_unit = sorted.len() as f64 * libm::log(scale);
        Sample { repeats, spent, logs, of_unit }
    }

    /// The log likelihood of p, q and γ.
    fn likelihood(&self, parameters: &[f64; 3]) -> Point<3> {
        let [p, q, gamma] = *parameters;
        let of_q = ln_gamma(q);
        let mut found = Point::default();
        let mut from = 0;
        for &(repeats, to) in &self.repeats {
            #[allow(clippy::cast_precision_loss, reason = "there are fewer customers than a double counts")]
            let customers = (to - from) as f64;
            let shape = p * repeats;
            let rises = rise(shape, q);
            let ends: Rise = ln_gamma(shape + q);
            found.value += customers * (rises.value - of_q.value);
            found.gradient[0] += customers * repeats * rises.first;
            found.gradient[1] += customers * (ends.first - of_q.first);
            found.hessian[0][0] += customers * repeats * repeats * rises.second;
            found.hessian[1][0] += customers * repeats * ends.second;
            found.hessian[1][1] += customers * (ends.second - of_q.second);
            for (spent, log) in self.spent[from..to].iter().zip(&self.logs[from..to]) {
                let whole = gamma + spent;
                let (log_gamma_share, log_spent_share) = (libm::log(gamma / whole), libm::log(spent / whole));
                // px (ln z + ln x) − px ln(γ + xz) and q ln γ − q ln(γ + xz), and the density of z.
                found.value += shape * log_spent_share + q * log_gamma_share - log;
                found.gradient[0] += repeats * log_spent_share;
                found.gradient[1] += log_gamma_share;
                found.gradient[2] += q / gamma - (shape + q) / whole;
                found.hessian[2][0] -= repeats / whole;
                found.hessian[2][1] += 1.0 / gamma - 1.0 / whole;
                found.hessian[2][2] += (shape + q) / (whole * whole) - q / (gamma * gamma);
            }
            from = to;
        }
        for row in 0..3 {
            for column in row + 1..3 {
                found.hessian[row][column] = found.hessian[column][row];
            }
        }
        found
    }
}

/// Spearman's rank correlation of spend with frequency: one enormous order does not decide it. None where one of them is the same for all.
fn rank_correlation(sorted: &[Spender]) -> Option<f64> {
    let by_repeats = ranks(sorted.len(), |at| f64::from(sorted[at].repeats));
    let by_average = ranks(sorted.len(), |at| sorted[at].average);
    #[allow(clippy::cast_precision_loss, reason = "there are fewer customers than a double counts")]
    let middle = (sorted.len() as f64 + 1.0) * 0.5;
    let (mut both, mut one, mut other) = (0.0, 0.0, 0.0);
    for (repeats, average) in by_repeats.iter().zip(&by_average) {
        both += (repeats - middle) * (average - middle);
        one += (repeats - middle) * (repeats - middle);
        other += (average - middle) * (average - middle);
    }
    (one > 0.0 && other > 0.0).then(|| both / libm::sqrt(one * other))
}

/// The ranks of some values; equal ones share the mean of theirs.
#[allow(clippy::cast_precision_loss, reason = "there are fewer customers than a double counts")]
fn ranks(count: usize, value: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by(|one, other| value(*one).total_cmp(&value(*other)).then(one.cmp(other)));
    let mut ranks = vec![0.0; count];
    let mut from = 0;
    while from < count {
        let mut to = from;
        while to < count && value(order[to]).total_cmp(&value(order[from])).is_eq() {
            to += 1;
        }
        let shared = (from + 1 + to) as f64 * 0.5;
        order[from..to].iter().for_each(|at| ranks[*at] = shared);
        from = to;
    }
    ranks
}
