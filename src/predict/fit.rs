//! Fits a purchase model to histories, and says when they do not tell what it asks: too few repeat buyers, or churn that cannot be told from
//! rare purchases. Then a simpler model is used, by name.

use serde::{Deserialize, Serialize};

use super::groups::Groups;
use super::newton::{Bounds, End, Greatest, greatest};
use super::purchases::{Churn, Sample};

/// What came of a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseState {
    /// The model is fitted.
    Fitted,
    /// The histories are the more likely the more alike customers are, or the more different, in how often they buy or how readily they
    /// leave: a parameter is at the bound of what the search allows.
    AtBound,
    /// The histories are about as likely if nobody ever leaves.
    ChurnNotIdentified,
    /// No parameters are found at which the histories are most likely.
    NoConvergence,
    /// There are fewer repeat buyers than the pipeline file asks for.
    TooFewRepeatBuyers,
    /// Nobody has bought again.
    NoRepeatBuyers,
    /// There are no customers.
    NoCustomers,
}

/// What predicts purchases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Purchases {
    /// A model with churn: r, α, a and b.
    Churn(Churn, [f64; 4]),
    /// The NBD, without churn: r and α.
    Nbd([f64; 2]),
    /// Everybody buys at the mean rate.
    MeanRate(f64),
    /// Nothing.
    Nothing,
}

/// A parameter as it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name in the literature.
    pub name: String,
    /// The value at which the histories are most likely.
    pub value: f64,
    /// How far it may be off; none where the likelihood is flat.
    pub standard_error: Option<f64>,
}

/// A fit of purchases.
#[derive(Debug, Clone, PartialEq)]
pub struct PurchaseFit {
    /// What came of it.
    pub state: PurchaseState,
    /// What predicts.
    pub used: Purchases,
    /// The parameters of what predicts.
    pub parameters: Vec<Parameter>,
    /// The log likelihood of what predicts.
    pub log_likelihood: Option<f64>,
    /// The log likelihood of the asked model, whether it predicts or not.
    pub with_churn: Option<f64>,
    /// The log likelihood of the NBD.
    pub without_churn: Option<f64>,
}

/// Churn is believed if twice the gain in log likelihood is more than this, as by chance it is for one sample in twenty (χ², one degree of
/// freedom).
pub const SIGNIFICANT: f64 = 3.841_458_820_694_124;
/// Customers whose rates are gamma with a larger r, or whose chances to leave are beta with larger a and b, cannot be told apart.
const SHAPE: Bounds = (1e-6, 1e4);
/// α is a time, and r is as many times larger as the time is that a customer is watched.
const RATE: Bounds = (1e-12, 1e12);
/// Where the search for a and b begins.
const STARTS: [[f64; 2]; 2] = [[0.7, 2.5], [0.3, 15.0]];

impl PurchaseFit {
    fn without_parameters(state: PurchaseState, used: Purchases) -> Self {
        PurchaseFit { state, used, parameters: Vec::new(), log_likelihood: None, with_churn: None, without_churn: None }
    }
}

/// Fits a model to histories with at least so many repeat buyers.
pub fn fit(groups: &Groups, model: Churn, minimum_repeat_buyers: u64) -> PurchaseFit {
    let buyers = groups.repeat_buyers();
    if groups.groups.is_empty() {
        return PurchaseFit::without_parameters(PurchaseState::NoCustomers, Purchases::Nothing);
    }
    if buyers == 0 {
        return PurchaseFit::without_parameters(PurchaseState::NoRepeatBuyers, Purchases::Nothing);
    }
    let sample = Sample::of(groups);
    if buyers < minimum_repeat_buyers {
        return mean_rate(PurchaseState::TooFewRepeatBuyers, &sample);
    }
    let (_, rate) = sample.of_one_rate();
    let nbd = greatest(|at| sample.nbd(at), [1.0, 1.0 / rate], &[SHAPE, RATE]);
    if nbd.end == End::Exhausted {
        return mean_rate(PurchaseState::NoConvergence, &sample);
    }
    let [r, alpha] = nbd.parameters;
    let from = |[a, b]: [f64; 2]| greatest(|at| sample.churn(model, at), [r, alpha, a, b], &[SHAPE, RATE, SHAPE, SHAPE]);
    let gain_of = |churn: &Greatest<4>| churn.point.value - nbd.point.value;
    let [start, other] = STARTS;
    let mut churn = from(start);
    if churn.end != End::Converged || 2.0 * gain_of(&churn) <= SIGNIFICANT {
        let again = from(other);
        if again.point.value > churn.point.value {
            churn = again;
        }
    }
    let (unit, gain) = (sample.of_unit(), gain_of(&churn));
    let mut fit = if 2.0 * gain > SIGNIFICANT && churn.end != End::Exhausted {
        with_churn(model, &churn, sample.scale())
    } else {
        let is_lost = churn.end == End::Exhausted && 2.0 * gain > SIGNIFICANT;
        without_churn(&nbd, sample.scale(), if is_lost { PurchaseState::NoConvergence } else { PurchaseState::ChurnNotIdentified })
    };
    fit.log_likelihood = fit.log_likelihood.map(|value| value + unit);
    fit.with_churn = Some(churn.point.value + unit).filter(|value| value.is_finite());
    fit.without_churn = Some(nbd.point.value + unit);
    fit
}

fn mean_rate(state: PurchaseState, sample: &Sample) -> PurchaseFit {
    let (likelihood, rate) = sample.of_one_rate();
    let rate = rate * sample.scale();
    let parameters = vec![Parameter { name: "rate".to_owned(), value: rate, standard_error: None }];
    let log_likelihood = Some(likelihood + sample.of_unit());
    PurchaseFit { parameters, log_likelihood, ..PurchaseFit::without_parameters(state, Purchases::MeanRate(rate)) }
}

fn with_churn(model: Churn, found: &Greatest<4>, scale: f64) -> PurchaseFit {
    let [r, alpha, a, b] = found.parameters;
    let state = if found.end == End::AtBound { PurchaseState::AtBound } else { PurchaseState::Fitted };
    let used = Purchases::Churn(model, [r, alpha / scale, a, b]);
    told(state, used, ["r", "alpha", "a", "b"], found, scale)
}

fn without_churn(found: &Greatest<2>, scale: f64, state: PurchaseState) -> PurchaseFit {
    let [r, alpha] = found.parameters;
    told(state, Purchases::Nbd([r, alpha / scale]), ["r", "alpha"], found, scale)
}

fn told<const N: usize>(state: PurchaseState, used: Purchases, names: [&str; N], found: &Greatest<N>, scale: f64) -> PurchaseFit {
    let errors = found.standard_errors();
    let units = |at: usize| if names[at] == "alpha" { 1.0 / scale } else { 1.0 };
    let parameters = names.iter().enumerate().map(|(at, name)| Parameter {
        name: (*name).to_owned(),
        value: found.parameters[at] * units(at),
        standard_error: errors.map(|errors| errors[at] * units(at)),
    });
    let parameters = parameters.collect();
    PurchaseFit { parameters, log_likelihood: Some(found.point.value), ..PurchaseFit::without_parameters(state, used) }
}
