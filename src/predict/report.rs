//! What is told of a prediction, in a run's record and summary.

use serde::{Deserialize, Serialize};

use super::fit::{Parameter, PurchaseFit, PurchaseState, Purchases};
use super::holdout::Calibration;
use super::purchases::Churn;
use super::spend::{Spend, SpendFit, SpendState};

/// A prediction: what it is made with, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The prediction's name.
    pub prediction: String,
    /// The customers.
    pub customers: u64,
    /// Those who have bought again.
    pub repeat_buyers: u64,
    /// How purchases are predicted.
    pub purchases: PurchaseReport,
    /// How the value of an order is predicted, if it is.
    #[serde(default)]
    pub spend: Option<SpendReport>,
    /// How predictions from the first part of the histories compare with the rest, if that is asked for.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// The segments whose rules read the chance to be alive, such as `value.at_risk`, although there is none.
    #[serde(default)]
    pub segments_without_churn: Vec<String>,
}

/// How purchases are predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PurchaseReport {
    /// What came of the fit.
    pub state: PurchaseState,
    /// The model that was asked for: `bg_nbd` or `mbg_nbd`.
    pub asked: String,
    /// What predicts: the model, or `nbd`, `mean_rate` or `nothing`.
    pub used: String,
    /// The parameters of what predicts.
    pub parameters: Vec<Parameter>,
    /// Its log likelihood.
    pub log_likelihood: Option<f64>,
    /// The log likelihood of the model that was asked for.
    pub log_likelihood_with_churn: Option<f64>,
    /// The log likelihood of the NBD.
    pub log_likelihood_without_churn: Option<f64>,
}

/// How the value of an order is predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpendReport {
    /// What came of the fit.
    pub state: SpendState,
    /// What predicts: `gamma_gamma`, `mean` or `nothing`.
    pub used: String,
    /// The fitted parameters, whether they predict or not.
    pub parameters: Vec<Parameter>,
    /// The log likelihood of the gamma-gamma model.
    pub log_likelihood: Option<f64>,
    /// The rank correlation of spend with frequency.
    pub correlation_with_frequency: Option<f64>,
}

impl Report {
    /// What somebody should look at: what is predicted with less than was asked for, or worse than without a model.
    pub fn warnings(&self) -> Vec<String> {
        let name = &self.prediction;
        let mut found = Vec::new();
        if let Some(why) = self.purchases.why_not() {
            found.push(format!("predicted.{name}: {why}"));
        }
        if !self.segments_without_churn.is_empty() {
            let segments = self.segments_without_churn.join(", ");
            found.push(format!("rules read `p_alive` of predicted.{name}, which is null for everybody: {segments}"));
        }
        if let Some(why) = self.spend.as_ref().and_then(SpendReport::why_not) {
            found.push(format!("predicted.{name}: {why}"));
        }
        let losses = self.calibration.as_ref().map(Calibration::losses).unwrap_or_default();
        found.extend(losses.into_iter().map(|loss| format!("predicted.{name}: {loss}")));
        found
    }
}

impl Churn {
    /// Its name in the pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            Churn::BgNbd => "bg_nbd",
            Churn::MbgNbd => "mbg_nbd",
        }
    }
}

impl PurchaseReport {
    /// What is told of a fit.
    pub fn of(fit: PurchaseFit, asked: Churn) -> Self {
        let used = match fit.used {
            Purchases::Churn(model, _) => model.name(),
            Purchases::Nbd(_) => "nbd",
            Purchases::MeanRate(_) => "mean_rate",
            Purchases::Nothing => "nothing",
        };
        PurchaseReport {
            state: fit.state,
            asked: asked.name().to_owned(),
            used: used.to_owned(),
            parameters: fit.parameters,
            log_likelihood: fit.log_likelihood,
            log_likelihood_with_churn: fit.with_churn,
            log_likelihood_without_churn: fit.without_churn,
        }
    }

    /// What the histories do not tell, and what predicts instead; none if the model is fitted.
    pub fn why_not(&self) -> Option<String> {
        let likelihoods = self.log_likelihood_with_churn.zip(self.log_likelihood_without_churn);
        let likelihoods = likelihoods.map(|(with, without)| format!(" (log likelihood {with:.4} with it, {without:.4} without)"));
        let why = match self.state {
            PurchaseState::Fitted => return None,
            PurchaseState::AtBound => {
                "customers are all alike, or as different as can be, in how often they buy or how readily they leave".to_owned()
            }
            PurchaseState::ChurnNotIdentified => format!("churn is not identified{}", likelihoods.unwrap_or_default()),
            PurchaseState::NoConvergence => "the fit of purchases does not converge".to_owned(),
            PurchaseState::TooFewRepeatBuyers => "too few customers have bought again to fit a model".to_owned(),
            PurchaseState::NoRepeatBuyers => "nobody has bought again".to_owned(),
            PurchaseState::NoCustomers => "there are no customers".to_owned(),
        };
        let instead = match self.used.as_str() {
            "nbd" => "; the NBD without churn predicts purchases, and `p_alive` is null",
            "mean_rate" => "; everybody's mean rate predicts purchases, and `p_alive` is null",
            "nothing" => "; nothing is predicted",
            _ => "",
        };
        Some(format!("{why}{instead}"))
    }

    /// Whether it tells the chance that a customer has not left.
    pub fn tells_churn(&self) -> bool {
        self.used == self.asked
    }
}

impl SpendReport {
    /// Why the gamma-gamma model does not predict; none if it does.
    pub fn why_not(&self) -> Option<String> {
        let why = match self.state {
            SpendState::Fitted => return None,
            SpendState::SpendDependsOnFrequency => {
                let correlation = self.correlation_with_frequency.unwrap_or_default();
                format!("what customers spend on an order depends on how often they buy (rank correlation {correlation:.2})")
            }
            SpendState::NoFiniteMean => "the fitted spend has no finite mean (q is not above 1)".to_owned(),
            SpendState::SpendAlike => "the orders of a customer, or the means of customers, do not differ".to_owned(),
            SpendState::NoConvergence => "the fit of spend does not converge".to_owned(),
            SpendState::TooFewRepeatBuyers => "too few customers have bought again to fit a model of spend".to_owned(),
            SpendState::NoRepeatBuyers => "nobody has bought again, and nothing is known of spend".to_owned(),
        };
        let instead = if self.used == "mean" { "; each customer's own mean predicts it, or everybody's" } else { "" };
        Some(format!("{why}{instead}"))
    }

    /// What is told of a fit.
    pub fn of(fit: SpendFit) -> Self {
        let used = match fit.used {
            Spend::GammaGamma(_) => "gamma_gamma",
            Spend::Mean(_) => "mean",
            Spend::Nothing => "nothing",
        };
        SpendReport {
            state: fit.state,
            used: used.to_owned(),
            parameters: fit.parameters,
            log_likelihood: fit.log_likelihood,
            correlation_with_frequency: fit.correlation,
        }
    }
}
