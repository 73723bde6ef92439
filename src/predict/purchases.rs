//! The likelihood of purchase histories under three models, with all its first and second derivatives. All have customers who buy at random
//! moments, each at a rate of their own (gamma with shape r and rate α).
//!
//! - NBD: nobody leaves (Ehrenberg 1959).
//! - BG/NBD: a customer may leave after each purchase but the first, with a chance of the customer's own (beta with a and b). Fader,
//!   Hardie & Lee, "Counting Your Customers" the Easy Way, Marketing Science 24 (2005), equation 6.
//! - MBG/NBD: a customer may leave after the first purchase too. Batislam, Denizel & Filiztekin, Empirical validation and comparison of
//!   models for customer base analysis, International Journal of Research in Marketing 24 (2007).

use super::gamma::{Rise, rise};
use super::groups::{Groups, History};
use super::newton::Point;

/// A model of purchases in which customers may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Churn {
    /// After every purchase but the first.
    BgNbd,
    /// After every purchase.
    MbgNbd,
}

impl Churn {
    /// How many times a customer may have left up to the last purchase, that one included.
    pub fn chances(self, repeats: f64) -> f64 {
        match self {
            Churn::BgNbd => repeats,
            Churn::MbgNbd => repeats + 1.0,
        }
    }
}

/// Histories as the likelihood reads them: what depends on one number alone is computed once for each value of it.
#[derive(Debug)]
pub struct Sample {
    /// The numbers of repeat purchases, in order, each with its customers.
    repeats: Vec<(f64, f64)>,
    /// All moments, in order, scaled.
    times: Vec<f64>,
    groups: Vec<Scaled>,
    /// What a time is multiplied by.
    scale: f64,
    purchases: f64,
}

/// A group of the sample.
#[derive(Debug, Clone, Copy)]
struct Scaled {
    repeats: f64,
    customers: f64,
    /// The positions of its times.
    last: u32,
    observed: u32,
}

/// What depends on a time alone, at some α.
#[derive(Debug, Clone, Copy)]
struct AtTime {
    /// ln(1 + t/α)
    grown: f64,
    /// 1/(α + t)
    inverse: f64,
}

impl Sample {
    /// The sample of some groups. Times are scaled to a mean of one, so that their unit changes nothing.
    pub fn of(groups: &Groups) -> Self {
        let customers: u64 = groups.groups.iter().map(|group| u64::from(group.customers)).sum();
        let observed = groups.observed();
        #[allow(clippy::cast_precision_loss, reason = "there are fewer customers than a double counts")]
        let scale = if observed > 0.0 { customers as f64 / observed } else { 1.0 };
        let mut times: Vec<f64> = groups.groups.iter().flat_map(|group| [group.history.last, group.history.observed]).collect();
        times.sort_unstable_by(f64::total_cmp);
        times.dedup();
        let position = |time: f64| u32::try_from(times.partition_point(|other| *other < time)).unwrap_or(u32::MAX);
        let mut repeats: Vec<(f64, f64)> = Vec::new();
        let mut scaled = Vec::with_capacity(groups.groups.len());
        for group in &groups.groups {
            let History { repeats: bought, last, observed } = group.history;
            let (bought, customers) = (f64::from(bought), f64::from(group.customers));
            match repeats.last_mut() {
                Some((same, together)) if same.total_cmp(&bought).is_eq() => *together += customers,
                _ => repeats.push((bought, customers)),
            }
            scaled.push(Scaled { repeats: bought, customers, last: position(last), observed: position(observed) });
        }
        let purchases = repeats.iter().map(|(repeats, customers)| repeats * customers).sum();
        Sample { repeats, times: times.iter().map(|time| time * scale).collect(), groups: scaled, scale, purchases }
    }

    /// What a rate of the sample's own time is multiplied by for the unit that the times came in; α is divided by it.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// What is added to a log likelihood for the unit that the times came in.
    pub fn of_unit(&self) -> f64 {
        self.purchases * libm::log(self.scale)
    }

    fn at_times(&self, alpha: f64) -> Vec<AtTime> {
        self.times.iter().map(|time| AtTime { grown: libm::log1p(time / alpha), inverse: 1.0 / (alpha + time) }).collect()
    }

    /// The log likelihood if everybody buys at one rate, and that rate.
    pub fn of_one_rate(&self) -> (f64, f64) {
        let observed: f64 = self.groups.iter().map(|group| group.customers * self.times[group.observed as usize]).sum();
        if observed <= 0.0 || self.purchases <= 0.0 {
            return (0.0, 0.0);
        }
        let rate = self.purchases / observed;
        (self.purchases * libm::log(rate) - self.purchases, rate)
    }

    /// The log likelihood of r and α without churn.
    pub fn nbd(&self, parameters: &[f64; 2]) -> Point<2> {
        let [r, alpha] = *parameters;
        let times = self.at_times(alpha);
        let mut found = Point::default();
        for &(repeats, customers) in &self.repeats {
            let rise = rise(r, repeats);
            found.value += customers * (rise.value - repeats * libm::log(alpha));
            found.gradient[0] += customers * rise.first;
            found.hessian[0][0] += customers * rise.second;
        }
        for group in &self.groups {
            let (count, repeats) = (group.customers, group.repeats);
            let AtTime { grown, inverse } = times[group.observed as usize];
            let share = self.times[group.observed as usize] * inverse / alpha;
            found.value -= count * (r + repeats) * grown;
            found.gradient[0] -= count * grown;
            found.gradient[1] += count * (r * share - repeats * inverse);
            found.hessian[0][1] += count * share;
            found.hessian[1][1] += count * (repeats * inverse * inverse - r * share * (1.0 / alpha + inverse));
        }
        found.hessian[1][0] = found.hessian[0][1];
        found
    }

    /// The log likelihood of r, α, a and b with churn.
    pub fn churn(&self, model: Churn, parameters: &[f64; 4]) -> Point<4> {
        let [r, alpha, a, b] = *parameters;
        let without = self.nbd(&[r, alpha]);
        let mut found = Point { value: without.value, ..Point::default() };
        for row in 0..2 {
            found.gradient[row] = without.gradient[row];
            found.hessian[row][..2].copy_from_slice(&without.hessian[row]);
        }
        for &(repeats, customers) in &self.repeats {
            Self::add_chances(&mut found, customers, model.chances(repeats), a, b);
        }
        let times = self.at_times(alpha);
        let log_a = libm::log(a);
        let mut log_before = (f64::NAN, 0.0);
        for group in &self.groups {
            let chances = model.chances(group.repeats);
            if chances < 1.0 {
                continue;
            }
            if log_before.0.total_cmp(&chances).is_ne() {
                log_before = (chances, libm::log(b + chances - 1.0));
            }
            let (last, end) = (times[group.last as usize], times[group.observed as usize]);
            let shape = r + group.repeats;
            let quiet = end.grown - last.grown;
            let odds = log_a - log_before.1 + shape * quiet;
            let (log_one_more, gone) = softplus(odds);
            let by_alpha = end.inverse - last.inverse;
            let by_alpha_twice = last.inverse * last.inverse - end.inverse * end.inverse;
            let before = 1.0 / (b + chances - 1.0);
            let slopes = [quiet, shape * by_alpha, 1.0 / a, -before];
            let count = group.customers;
            found.value += count * log_one_more;
            let (first, second) = (count * gone, count * gone * (1.0 - gone));
            for row in 0..4 {
                found.gradient[row] += first * slopes[row];
                for column in 0..=row {
                    found.hessian[row][column] += second * slopes[row] * slopes[column];
                }
            }
            found.hessian[1][0] += first * by_alpha;
            found.hessian[1][1] += first * shape * by_alpha_twice;
            found.hessian[2][2] -= first / (a * a);
            found.hessian[3][3] += first * before * before;
        }
        for row in 0..4 {
            for column in row + 1..4 {
                found.hessian[row][column] = found.hessian[column][row];
            }
        }
        found
    }

    /// Adds the chances to stay that were all taken.
    fn add_chances(found: &mut Point<4>, customers: f64, chances: f64, a: f64, b: f64) {
        let (stays, all) = (rise(b, chances), rise(a + b, chances));
        let Rise { value, first, second } = stays - all;
        found.value += customers * value;
        found.gradient[2] -= customers * all.first;
        found.gradient[3] += customers * first;
        found.hessian[2][2] -= customers * all.second;
        found.hessian[3][2] -= customers * all.second;
        found.hessian[3][3] += customers * second;
    }
}

/// `ln(1 + e^x)` and its derivative.
fn softplus(x: f64) -> (f64, f64) {
    if x > 0.0 {
        let small = libm::exp(-x);
        (x + libm::log1p(small), 1.0 / (1.0 + small))
    } else {
        let small = libm::exp(x);
        (libm::log1p(small), small / (1.0 + small))
    }
}
