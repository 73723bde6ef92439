//! Whether predictions come true: a model is fitted to the first part of the histories and predicts the rest, beside two predictions that
//! need no model: that every customer goes on at the customer's own mean rate, and that all go on at everybody's.

use serde::{Deserialize, Serialize};

use super::fit::{PurchaseState, fit};
use super::groups::{Groups, History};
use super::purchases::Churn;

/// A customer of the first part, and what came in the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The history up to the end of the first part.
    pub history: History,
    /// The purchases after it, by days since then.
    pub later: Vec<u32>,
}

/// A prediction of the purchases in the rest, beside what came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictor {
    /// `model`, `own_mean_rate` or `everybodys_mean_rate`.
    pub name: String,
    /// All purchases that it predicts.
    pub purchases: f64,
    /// By which part of all purchases that is too many; negative for too few. None if there are none.
    pub total_error: Option<f64>,
    /// The share of the tenth of customers of whom most is predicted, as predicted.
    pub top_decile_share: Option<f64>,
    /// The share of the same customers, as it came.
    pub top_decile_actual_share: Option<f64>,
    /// The root of the mean squared error of a customer's purchases.
    pub root_mean_squared_error: f64,
}

/// A tenth of the customers, by what is predicted of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decile {
    /// Their number; customers of whom the same is predicted are shared between tenths.
    pub customers: f64,
    /// Their purchases, as predicted.
    pub predicted: f64,
    /// Their purchases, as they came.
    pub actual: f64,
}

/// Purchases from the end of the first part up to a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Week {
    /// The day, counted from the end of the first part.
    pub day: u32,
    /// The purchases up to it, as predicted.
    pub predicted: f64,
    /// The purchases up to it, as they came.
    pub actual: u64,
}

/// How predictions compare with what came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The days that were predicted.
    pub days: u32,
    /// The customers of the first part.
    pub customers: u64,
    /// Their purchases in the rest.
    pub purchases: u64,
    /// What came of the fit to the first part.
    pub state: PurchaseState,
    /// The model first, then the two others; empty if nothing predicts.
    pub predictors: Vec<Predictor>,
    /// What the model does worse than another one, such as `total_error: own_mean_rate`.
    pub loses: Vec<String>,
    /// The tenths of customers, by what the model predicts, the most first.
    pub deciles: Vec<Decile>,
    /// Purchases as they add up, by week.
    pub weeks: Vec<Week>,
}

impl Calibration {
    /// In words, what the model does worse than a prediction without model.
    pub fn losses(&self) -> Vec<String> {
        let told = self.loses.iter().filter_map(|loss| {
            let (measure, other) = loss.split_once(": ")?;
            let measure = match measure {
                "total_error" => "all purchases of",
                "top_decile_actual_share" => "the best tenth of customers of",
                _ => "the single customers of",
            };
            let other = if other == "own_mean_rate" { "each customer's own mean rate" } else { "everybody's mean rate" };
            Some(format!("the model loses to {other} in predicting {measure} the last {} days", self.days))
        });
        told.collect()
    }
}

/// What came of a group.
#[derive(Debug, Clone, Copy, Default)]
struct Came {
    purchases: f64,
    squares: f64,
}

/// Predicts the rest of some histories.
pub fn calibrate(watched: &[Watched], model: Churn, minimum_repeat_buyers: u64, days: u32) -> Calibration {
    let groups = Groups::of(&watched.iter().map(|watched| watched.history).collect::<Vec<_>>());
    let fitted = fit(&groups, model, minimum_repeat_buyers);
    let mut came = vec![Came::default(); groups.groups.len()];
    let mut by_day = vec![0u64; days as usize + 1];
    for (watched, group) in watched.iter().zip(&groups.of) {
        #[allow(clippy::cast_precision_loss, reason = "a customer's purchases are few")]
        let purchases = watched.later.len() as f64;
        came[*group as usize].purchases += purchases;
        came[*group as usize].squares += purchases * purchases;
        watched.later.iter().for_each(|day| by_day[(*day).min(days) as usize] += 1);
    }
    let purchases = by_day.iter().sum();
    let mut found = Calibration {
        days,
        customers: watched.len() as u64,
        purchases,
        state: fitted.state,
        predictors: Vec::new(),
        loses: Vec::new(),
        deciles: Vec::new(),
        weeks: Vec::new(),
    };
    let ends: Vec<u32> = (1..=days.div_ceil(7)).map(|week| (7 * week).min(days)).collect();
    let times: Vec<f64> = ends.iter().map(|day| f64::from(*day)).collect();
    let predicted: Option<Vec<Vec<f64>>> =
        groups.groups.iter().map(|group| fitted.used.expected(&group.history, &times)).collect::<Option<_>>();
    let Some(predicted) = predicted.filter(|predicted| !predicted.is_empty() && days > 0) else { return found };
    let mut actual = 0;
    let mut day = 0;
    for (at, end) in ends.iter().enumerate() {
        while day <= *end {
            actual += by_day[day as usize];
            day += 1;
        }
        let predicted = groups.groups.iter().zip(&predicted).map(|(group, of)| f64::from(group.customers) * of[at]).sum();
        found.weeks.push(Week { day: *end, predicted, actual });
    }
    let last: Vec<f64> = predicted.iter().filter_map(|of| of.last().copied()).collect();
    let observed = groups.observed();
    #[allow(clippy::cast_precision_loss, reason = "there are fewer purchases than a double counts")]
    let everybodys = if observed > 0.0 { groups.repeats() as f64 / observed * f64::from(days) } else { 0.0 };
    let own: Vec<f64> = groups.groups.iter().map(|group| own_rate(&group.history) * f64::from(days)).collect();
    for (name, predicted) in [("model", &last), ("own_mean_rate", &own), ("everybodys_mean_rate", &vec![everybodys; own.len()])] {
        let tenths = tenths(&groups, predicted, &came);
        found.predictors.push(judged(name, &groups, predicted, &came, &tenths));
        if name == "model" {
            found.deciles = tenths;
        }
    }
    found.loses = losses(&found.predictors);
    found
}

fn own_rate(history: &History) -> f64 {
    if history.observed > 0.0 { f64::from(history.repeats) / history.observed } else { 0.0 }
}

fn judged(name: &str, groups: &Groups, predicted: &[f64], came: &[Came], tenths: &[Decile]) -> Predictor {
    let (mut all, mut actual, mut squares, mut customers) = (0.0, 0.0, 0.0, 0.0);
    for ((group, predicted), came) in groups.groups.iter().zip(predicted).zip(came) {
        let count = f64::from(group.customers);
        customers += count;
        all += count * predicted;
        actual += came.purchases;
        squares += count * predicted * predicted - 2.0 * predicted * came.purchases + came.squares;
    }
    let top = tenths.first();
    Predictor {
        name: name.to_owned(),
        purchases: all,
        total_error: (actual > 0.0).then(|| all / actual - 1.0),
        top_decile_share: top.filter(|_| all > 0.0).map(|top| top.predicted / all),
        top_decile_actual_share: top.filter(|_| actual > 0.0).map(|top| top.actual / actual),
        root_mean_squared_error: libm::sqrt((squares / customers).max(0.0)),
    }
}

/// The tenths of customers, by what is predicted of them, the most first. Groups of whom the same is predicted are parted evenly.
fn tenths(groups: &Groups, predicted: &[f64], came: &[Came]) -> Vec<Decile> {
    let mut order: Vec<usize> = (0..predicted.len()).collect();
    order.sort_unstable_by(|one, other| predicted[*other].total_cmp(&predicted[*one]).then(one.cmp(other)));
    let customers: f64 = groups.groups.iter().map(|group| f64::from(group.customers)).sum();
    let size = customers / 10.0;
    let mut found = vec![Decile { customers: 0.0, predicted: 0.0, actual: 0.0 }; 10];
    let (mut done, mut from) = (0.0, 0);
    while from < order.len() {
        let mut block = Decile { customers: 0.0, predicted: 0.0, actual: 0.0 };
        let mut to = from;
        while to < order.len() && predicted[order[to]].total_cmp(&predicted[order[from]]).is_eq() {
            let count = f64::from(groups.groups[order[to]].customers);
            block.customers += count;
            block.predicted += count * predicted[order[to]];
            block.actual += came[order[to]].purchases;
            to += 1;
        }
        for (at, tenth) in (0u32..).zip(&mut found) {
            let (begin, end) = (f64::from(at) * size, f64::from(at + 1) * size);
            let share = ((done + block.customers).min(end) - done.max(begin)).max(0.0) / block.customers;
            tenth.customers += share * block.customers;
            tenth.predicted += share * block.predicted;
            tenth.actual += share * block.actual;
        }
        done += block.customers;
        from = to;
    }
    found
}

/// How far a prediction is off.
type Measure = fn(&Predictor) -> Option<f64>;

/// What the first predictor does worse than the others.
fn losses(predictors: &[Predictor]) -> Vec<String> {
    let measures: [(&str, Measure); 3] = [
        ("total_error", |of| of.total_error.map(f64::abs)),
        // Whoever finds the better customers has the larger share.
        ("top_decile_actual_share", |of| of.top_decile_actual_share.map(|share| -share)),
        ("root_mean_squared_error", |of| Some(of.root_mean_squared_error)),
    ];
    let Some((model, others)) = predictors.split_first() else { return Vec::new() };
    let mut found = Vec::new();
    for (measure, of) in measures {
        for other in others {
            if of(model).zip(of(other)).is_some_and(|(own, others)| own > others) {
                found.push(format!("{measure}: {}", other.name));
            }
        }
    }
    found
}
