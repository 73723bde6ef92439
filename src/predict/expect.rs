//! What a purchase model expects of a customer with a history: whether the customer is still there, and how many purchases come.
//!
//! A customer who is still there would buy N times if nobody left, and N is negative binomial with the customer's own shape s = r + x and the
//! chance v = t/(α + T + t). Purchase j + 1 happens if the customer has stayed after each of the j before. So the expectation is
//! Σ P(N > j) · E[qʲ], where q, the chance to stay, is beta with b′ and a. With Euler's transformation this is the published formula
//! (Fader, Hardie & Lee 2005, equation 10; Batislam et al. 2007, equation 8) with ₂F₁(r + x, b′; a + b′ − 1; v), but no term is negative:
//! nothing cancels, and a = 1 is like every other value.

use super::fit::Purchases;
use super::gamma::{ln_gamma, rise};
use super::groups::History;
use super::purchases::Churn;

/// Terms that would add less than this part are left out.
const NEGLIGIBLE: f64 = 1e-11;
/// The most terms, which only a customer needs who is watched for a thousandth of the time that is asked for.
const TERMS: f64 = 1e6;
/// So near to 1, a makes no difference.
const NEAR_ONE: f64 = 1e-6;
/// The smallest logarithm of a chance with which a sum begins at no purchase.
const SMALLEST: f64 = -600.0;
/// So many standard deviations below its mean a number is not.
const DEVIATIONS: f64 = 12.0;

impl Purchases {
    /// The chance that a customer has not left; none from a model without churn.
    pub fn alive(&self, history: &History) -> Option<f64> {
        let Purchases::Churn(model, [r, alpha, a, b]) = self else { return None };
        let chances = model.chances(f64::from(history.repeats));
        if *model == Churn::BgNbd && history.repeats == 0 {
            return Some(1.0);
        }
        let quiet = libm::log1p((history.observed - history.last) / (alpha + history.last));
        let odds = libm::log(a / (b + chances - 1.0)) + (r + f64::from(history.repeats)) * quiet;
        Some(1.0 / (1.0 + libm::exp(odds)))
    }

    /// The expected purchases in some times after the end of observation, which are in order; none if nothing predicts.
    pub fn expected(&self, history: &History, times: &[f64]) -> Option<Vec<f64>> {
        let repeats = f64::from(history.repeats);
        match *self {
            Purchases::Nothing => None,
            Purchases::MeanRate(rate) => Some(times.iter().map(|time| rate * time).collect()),
            Purchases::Nbd([r, alpha]) => Some(times.iter().map(|time| (r + repeats) / (alpha + history.observed) * time).collect()),
            Purchases::Churn(model, [r, alpha, a, b]) => {
                let alive = self.alive(history)?;
                let stays = Stays { a, b: b + model.chances(f64::from(history.repeats)) };
                let found = stays.expected(r + repeats, alpha + history.observed, times);
                Some(found.into_iter().map(|expected| expected * alive).collect())
            }
        }
    }
}

/// The chance to stay of a customer who is still there: beta with b and a.
#[derive(Debug, Clone, Copy)]
struct Stays {
    a: f64,
    b: f64,
}

/// The number of purchases in a time if nobody left, as the sum goes on.
#[derive(Debug, Clone, Copy)]
struct Would {
    /// The chance that each purchase is followed by another one in the time.
    chance: f64,
    /// The chance of exactly so many.
    exactly: f64,
    /// The chance of more.
    more: f64,
    /// From how many on the sum goes.
    from: f64,
    sum: f64,
    is_done: bool,
}

impl Stays {
    /// How many of so many purchases happen: Σ E[qʲ] over all of them.
    fn of_so_many(self, count: f64) -> f64 {
        let (leaves, all) = (self.a - 1.0, self.a + self.b - 1.0);
        if leaves.abs() < NEAR_ONE {
            return self.b * rise(self.b, count).first;
        }
        if all < 0.5 {
            return 1.0 + self.b / (self.a + self.b) * Stays { b: self.b + 1.0, ..self }.of_so_many(count - 1.0);
        }
        -all / leaves * libm::expm1(rise(self.b, count).value - rise(all, count).value)
    }

    fn expected(self, shape: f64, rate: f64, times: &[f64]) -> Vec<f64> {
        let mut all: Vec<Would> = times.iter().map(|time| Would::of(shape, rate, *time, self)).collect();
        // The chance to have stayed after so many, and the sum of those before.
        let (mut stayed, mut before, mut count) = (1.0, 0.0, 0.0);
        let mut open = all.iter().filter(|would| !would.is_done).count();
        while open > 0 {
            let grows = (shape + count) / (count + 1.0);
            for would in &mut all {
                if would.is_done || count < would.from {
                    continue;
                }
                if count <= would.from {
                    would.sum = before;
                }
                would.sum += would.more * stayed;
                let falls = grows * would.chance;
                would.exactly *= falls;
                would.more -= would.exactly;
                // From here on, chances fall at least as fast as those of a geometric series, and what is left is less than its sum.
                let left = 1.0 - falls;
                let is_negligible = left > 0.0 && would.exactly * stayed <= NEGLIGIBLE * left * left * would.sum;
                if would.more <= 0.0 || is_negligible || count >= TERMS + would.from {
                    would.is_done = true;
                    open -= 1;
                }
            }
            before += stayed;
            stayed *= (self.b + count) / (self.a + self.b + count);
            count += 1.0;
        }
        all.into_iter().map(|would| would.sum).collect()
    }
}

impl Would {
    fn of(shape: f64, rate: f64, time: f64, stays: Stays) -> Self {
        let (grown, chance) = (libm::log1p(time / rate), time / (rate + time));
        let none = -shape * grown;
        if time <= 0.0 {
            return Would { chance, exactly: 1.0, more: 0.0, from: 0.0, sum: 0.0, is_done: true };
        }
        if none > SMALLEST {
            return Would { chance, exactly: libm::exp(none), more: -libm::expm1(none), from: 0.0, sum: 0.0, is_done: false };
        }
        // Nobody buys so seldom: the sum begins where a number of purchases can be.
        let mean = shape * time / rate;
        let deviation = libm::sqrt(mean * (1.0 + time / rate));
        let from = libm::floor((mean - DEVIATIONS * deviation).max(0.0));
        if from > TERMS {
            // So many purchases hardly differ from their mean.
            return Would { chance, exactly: 0.0, more: 0.0, from, sum: stays.of_so_many(mean), is_done: true };
        }
        let exactly = rise(shape, from).value - ln_gamma(from + 1.0).value + none + from * libm::log(chance);
        Would { chance, exactly: libm::exp(exactly), more: 1.0, from, sum: 0.0, is_done: false }
    }
}
