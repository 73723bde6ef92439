//! The models against published numbers, other ways of computing the same, and their own simulations.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::fit::{PurchaseFit, PurchaseState, Purchases, fit};
use super::groups::{Groups, History};
use super::holdout::{Watched, calibrate};
use super::outlook::{Horizons, deciles};
use super::purchases::Churn;
use super::spend::{self, Spend, SpendState, Spender};

/// A customer of the sample of CDNOW, of 1997, with times in weeks.
struct Cdnow {
    history: History,
    average: f64,
}

/// Times in weeks times a unit.
fn cdnow(unit: f64) -> Vec<Cdnow> {
    let customer = |line: &str| {
        let numbers: Vec<f64> = line.split(',').map(|number| number.parse().unwrap()).collect();
        let repeats = line.split(',').nth(1).unwrap().parse().unwrap();
        Cdnow { history: History { repeats, last: numbers[2] * unit, observed: numbers[3] * unit }, average: numbers[4] }
    };
    include_str!("../../tests/predict/cdnow.csv").lines().skip(1).map(customer).collect()
}

fn groups(customers: &[Cdnow]) -> Groups {
    Groups::of(&customers.iter().map(|customer| customer.history).collect::<Vec<_>>())
}

fn is_near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} instead of {expected}");
}

fn parameters(fit: &PurchaseFit) -> Vec<f64> {
    fit.parameters.iter().map(|parameter| parameter.value).collect()
}

#[test]
fn the_published_fits_of_cdnow_are_found_in_any_unit_of_time() {
    let customers = cdnow(1.0);
    assert_eq!(customers.len(), 2357);
    for (model, expected, likelihood) in [
        (Churn::BgNbd, [0.242_593, 4.413_531, 0.792_886, 2.425_754], -9582.4256),
        (Churn::MbgNbd, [0.52484, 6.18299, 0.89136, 1.61400], -9582.1327),
    ] {
        let in_weeks = fit(&groups(&customers), model, 50);
        let in_days = fit(&groups(&cdnow(7.0)), model, 50);
        assert_eq!((in_weeks.state, in_days.state), (PurchaseState::Fitted, PurchaseState::Fitted));
        assert!((in_weeks.log_likelihood.unwrap() - likelihood).abs() < 1e-3);
        for (at, expected) in expected.into_iter().enumerate() {
            is_near(parameters(&in_weeks)[at], expected, 1e-5);
            is_near(parameters(&in_days)[at], expected * if at == 1 { 7.0 } else { 1.0 }, 1e-5);
            is_near(
                in_days.parameters[at].standard_error.unwrap(),
                in_weeks.parameters[at].standard_error.unwrap() * if at == 1 { 7.0 } else { 1.0 },
                1e-6,
            );
        }
        let (weeks, days) = (History { repeats: 2, last: 30.43, observed: 38.86 }, History { repeats: 2, last: 213.01, observed: 272.02 });
        is_near(in_days.used.alive(&days).unwrap(), in_weeks.used.alive(&weeks).unwrap(), 1e-9);
        is_near(in_days.used.expected(&days, &[273.0]).unwrap()[0], in_weeks.used.expected(&weeks, &[39.0]).unwrap()[0], 1e-9);
    }
}

#[test]
fn the_published_predictions_of_one_customer_are_found() {
    let published = Purchases::Churn(Churn::BgNbd, [0.243, 4.414, 0.793, 2.426]);
    let history = History { repeats: 2, last: 30.43, observed: 38.86 };
    assert!((published.alive(&history).unwrap() - 0.72658).abs() < 5e-6);
    assert!((published.expected(&history, &[39.0]).unwrap()[0] - 1.226).abs() < 5e-5);
}

#[test]
fn the_published_fit_of_spend_is_found_in_any_unit_of_money() {
    let spenders = |unit: f64| -> Vec<Spender> {
        let buyers = cdnow(1.0).into_iter().filter(|customer| customer.history.repeats > 0);
        buyers.map(|customer| Spender { repeats: customer.history.repeats, average: customer.average * unit }).collect()
    };
    let mut all = spenders(1.0);
    assert_eq!(all.len(), 946);
    let found = spend::fit(&all, 50);
    assert_eq!(found.state, SpendState::Fitted);
    assert!((found.log_likelihood.unwrap() + 4055.9232).abs() < 1e-3);
    for (parameter, expected) in found.parameters.iter().zip([6.24880, 3.74459, 15.44775]) {
        is_near(parameter.value, expected, 1e-5);
    }
    all.reverse();
    assert_eq!(spend::fit(&all, 50), found);
    let in_cents = spend::fit(&spenders(100.0), 50);
    is_near(in_cents.parameters[2].value, 1544.775, 1e-5);
    let spender = |unit: f64| Some(Spender { repeats: 2, average: 22.35 * unit });
    is_near(in_cents.used.expected(spender(100.0)).unwrap(), 100.0 * found.used.expected(spender(1.0)).unwrap(), 1e-9);
    is_near(in_cents.used.expected(None).unwrap(), 100.0 * found.used.expected(None).unwrap(), 1e-9);
}

/// The published expectation, with the hypergeometric function as its series says.
fn published_expectation(model: Churn, [r, alpha, a, b]: [f64; 4], history: &History, time: f64) -> f64 {
    let repeats = f64::from(history.repeats);
    let stays = b + model.chances(repeats);
    let (sum_to, v) = (a + stays - 1.0, time / (alpha + history.observed + time));
    let (mut series, mut term, mut count): (f64, f64, f64) = (1.0, 1.0, 0.0);
    while count < 10_000.0 && f64::abs(term) > 1e-17 * f64::abs(series) {
        term *= (r + repeats + count) * (stays + count) / ((sum_to + count) * (count + 1.0)) * v;
        series += term;
        count += 1.0;
    }
    let power = ((alpha + history.observed) / (alpha + history.observed + time)).powf(r + repeats);
    let alive = Purchases::Churn(model, [r, alpha, a, b]).alive(history).unwrap();
    sum_to / (a - 1.0) * (1.0 - power * series) * alive
}

proptest! {
    #[test]
    fn expectations_are_the_published_ones(
        (r, alpha, a, b) in (0.05..5.0f64, 0.5..50.0f64, prop_oneof![0.1..0.9f64, 1.1..4.0f64], 0.2..9.0f64),
        repeats in 0u32..20, part in 0.01..1.0f64, observed in 1.0..400.0f64, time in 0.1..400.0f64,
        model in prop_oneof![Just(Churn::BgNbd), Just(Churn::MbgNbd)],
    ) {
        let history = History { repeats, last: if repeats > 0 { part * observed } else { 0.0 }, observed };
        let found = Purchases::Churn(model, [r, alpha, a, b]).expected(&history, &[time]).unwrap()[0];
        let expected = published_expectation(model, [r, alpha, a, b], &history, time);
        prop_assert!((found - expected).abs() <= 1e-8 * expected.abs().max(1e-4), "{found} instead of {expected}");
    }

    #[test]
    fn expectations_keep_to_their_limits(
        (r, alpha, a, b) in (0.01..50.0f64, 0.01..500.0f64, 0.001..50.0f64, 0.001..500.0f64),
        repeats in 0u32..12_000, part in 0.001..1.0f64, observed in 0.5..4000.0f64, time in 0.01..4000.0f64,
        model in prop_oneof![Just(Churn::BgNbd), Just(Churn::MbgNbd)],
    ) {
        let history = History { repeats, last: if repeats > 0 { part * observed } else { 0.0 }, observed };
        let predicted = Purchases::Churn(model, [r, alpha, a, b]);
        let alive = predicted.alive(&history).unwrap();
        prop_assert!((0.0..=1.0).contains(&alive));
        let found = predicted.expected(&history, &[0.0, time, 2.0 * time]).unwrap();
        prop_assert!(found[0].abs() < f64::MIN_POSITIVE);
        // More in more time, though never in proportion, and less than if nobody ever left.
        let without = Purchases::Nbd([r, alpha]).expected(&history, &[time]).unwrap()[0];
        prop_assert!(found[1] >= 0.0 && found[1] <= without * alive * (1.0 + 1e-9), "{} of {}", found[1], without);
        prop_assert!(found[2] >= found[1] * (1.0 - 1e-9) && found[2] <= 2.0 * found[1] * (1.0 + 1e-9) + 1e-300, "{found:?}");
        // Each on its own is as it is beside others.
        prop_assert_eq!(predicted.expected(&history, &[time]).unwrap()[0].to_bits(), found[1].to_bits());
    }

    #[test]
    fn what_comes_later_counts_for_less(
        (r, alpha, a, b) in (0.05..5.0f64, 0.5..100.0f64, 0.1..4.0f64, 0.2..9.0f64),
        repeats in 0u32..40, part in 0.01..1.0f64, observed in 0.0..700.0f64, years in 1u32..6,
    ) {
        let history = History { repeats, last: if repeats > 0 { part * observed } else { 0.0 }, observed };
        let predicted = Purchases::Churn(Churn::MbgNbd, [r, alpha, a, b]);
        let lifetime = f64::from(years) * 365.25;
        let of = |yearly_discount| {
            let horizons = Horizons { days: vec![30.0], lifetime_days: lifetime, yearly_discount };
            predicted.outlook(&history, &horizons).discounted.unwrap()
        };
        // In small steps at first, when most may come in hours, and then in steps of a day; each purchase in the middle of its step.
        let (first, later) = ((0..16 * 16).map(|part| f64::from(part) / 16.0), (16..=years * 365).map(f64::from));
        let days: Vec<f64> = first.chain(later).chain([lifetime]).collect();
        let expected = predicted.expected(&history, &days).unwrap();
        let steps = days.windows(2).zip(expected.windows(2));
        let summed: f64 = steps.map(|(days, sums)| (sums[1] - sums[0]) * 1.1f64.powf(-(days[0] + days[1]) / 730.5)).sum();
        prop_assert!((of(0.1) - summed).abs() <= 1e-5 * summed, "{} instead of {summed}", of(0.1));
        prop_assert_eq!(of(0.0).to_bits(), predicted.expected(&history, &[lifetime]).unwrap()[0].to_bits());
    }
}

#[test]
fn nothing_happens_at_a_of_one() {
    let history = History { repeats: 3, last: 20.0, observed: 40.0 };
    let at = |a: f64| Purchases::Churn(Churn::BgNbd, [0.3, 5.0, a, 2.5]).expected(&history, &[50.0]).unwrap()[0];
    let (below, one, above) = (at(1.0 - 1e-9), at(1.0), at(1.0 + 1e-9));
    is_near(one, 0.5 * (below + above), 1e-12);
    assert!(above < one && one < below);
}

#[test]
fn without_chance_to_leave_the_expectation_is_that_of_the_nbd() {
    for repeats in [0, 1, 50, 10_000] {
        let history = History { repeats, last: if repeats > 0 { 310.0 } else { 0.0 }, observed: 310.0 };
        let without = Purchases::Nbd([0.8, 70.0]).expected(&history, &[10.0, 365.0]).unwrap();
        let with = Purchases::Churn(Churn::BgNbd, [0.8, 70.0, 1e-12, 1e6]).expected(&history, &[10.0, 365.0]).unwrap();
        with.iter().zip(&without).for_each(|(with, without)| is_near(*with, *without, 1e-6));
    }
}

#[test]
fn very_many_purchases_are_expected_without_counting_them() {
    for (a, b) in [(0.5, 0.5), (1.0, 3.0), (2.5, 800.0), (1e-3, 1e3)] {
        let of = |repeats: u32, time: f64| {
            let history = History { repeats, last: 1.0, observed: 1.0 };
            Purchases::Churn(Churn::BgNbd, [0.5, 1.0, a, b]).expected(&history, &[time]).unwrap()[0]
        };
        // Just below and just above the number that is counted.
        let (counted, by_mean) = (of(1_000_000, 1.9), of(1_000_000, 2.1));
        assert!(counted < by_mean && by_mean < counted * 2.1 / 1.9, "{counted} {by_mean}");
        is_near(0.5 * (of(1_000_000, 1.99) + of(1_000_000, 2.05)), of(1_000_000, 2.02), 1e-4);
        assert!(of(u32::MAX, 36_525.0).is_finite());
    }
}

/// Gamma numbers (Marsaglia & Tsang 2000).
fn gamma(random: &mut Pcg64, shape: f64) -> f64 {
    if shape < 1.0 {
        let lower: f64 = random.random();
        return gamma(random, shape + 1.0) * lower.powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    loop {
        let (one, other): (f64, f64) = (random.random(), random.random());
        let normal = (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * other).cos();
        let cube = (1.0 + normal / (9.0 * d).sqrt()).powi(3);
        let uniform: f64 = random.random();
        if cube > 0.0 && (1.0 - uniform).ln() < 0.5 * normal * normal + d - d * cube + d * cube.ln() {
            return d * cube;
        }
    }
}

/// Customers who do as the model says, in whole days.
fn simulated(model: Churn, [r, alpha, a, b]: [f64; 4], customers: usize) -> Vec<History> {
    let mut random = Pcg64::seed_from_u64(24);
    let one = |_| {
        let observed = 100.0 + 500.0 * random.random::<f64>();
        let rate = gamma(&mut random, r) / alpha;
        let (leaves, stays) = (gamma(&mut random, a), gamma(&mut random, b));
        let chance = leaves / (leaves + stays);
        let (mut repeats, mut last) = (0, 0.0);
        let mut is_gone = model == Churn::MbgNbd && random.random::<f64>() < chance;
        while !is_gone {
            let next = last - (1.0 - random.random::<f64>()).ln() / rate;
            if next > observed {
                break;
            }
            (repeats, last) = (repeats + 1, next);
            is_gone = random.random::<f64>() < chance;
        }
        History { repeats, last, observed }
    };
    (0..customers).map(one).collect()
}

#[test]
fn a_million_simulated_customers_give_their_parameters_back() {
    let truth = [0.6, 90.0, 0.8, 2.4];
    for model in [Churn::BgNbd, Churn::MbgNbd] {
        let found = fit(&Groups::of(&simulated(model, truth, 1_000_000)), model, 50);
        assert_eq!(found.state, PurchaseState::Fitted);
        for (parameter, truth) in found.parameters.iter().zip(truth) {
            let (error, standard) = ((parameter.value - truth).abs(), parameter.standard_error.unwrap());
            assert!(error < 4.0 * standard && standard < 0.05 * truth, "{parameter:?} instead of {truth}");
        }
    }
}

#[test]
fn where_nobody_leaves_no_churn_is_found() {
    let found = fit(&Groups::of(&simulated(Churn::BgNbd, [0.8, 70.0, 1e-9, 1.0], 5_000)), Churn::BgNbd, 50);
    assert_eq!(found.state, PurchaseState::ChurnNotIdentified);
    let history = History { repeats: 2, last: 10.0, observed: 300.0 };
    assert_eq!(found.used.alive(&history), None);
    assert!(matches!(found.used, Purchases::Nbd(_)));
}

#[test]
fn what_histories_do_not_tell_has_a_name() {
    let history = |repeats, last, observed| History { repeats, last, observed };
    let state = |customers: &[History]| fit(&Groups::of(customers), Churn::BgNbd, 50).state;
    assert_eq!(state(&[]), PurchaseState::NoCustomers);
    assert_eq!(state(&[history(0, 0.0, 0.0)]), PurchaseState::NoRepeatBuyers);
    assert_eq!(state(&vec![history(0, 0.0, 0.0); 1000]), PurchaseState::NoRepeatBuyers);
    assert_eq!(state(&[history(3, 10.0, 20.0)]), PurchaseState::TooFewRepeatBuyers);
    for (customers, what) in [
        (vec![history(3, 10.0, 20.0); 1000], "all are equal"),
        (vec![history(1, 20.0, 20.0); 1000], "all have just bought"),
        (vec![history(10_000, 10_000.0, 10_001.0); 200], "all buy every day"),
        ([vec![history(0, 0.0, 30.0); 1000], vec![history(10_000, 29.0, 30.0); 60]].concat(), "some buy all the time"),
    ] {
        let found = fit(&Groups::of(&customers), Churn::BgNbd, 50);
        assert_ne!(found.used, Purchases::Nothing, "{what}");
        let expected = found.used.expected(&customers[0], &[90.0]).unwrap()[0];
        assert!((0.0..1e6).contains(&expected), "{what}: {found:?} {expected}");
    }
}

#[test]
fn spend_that_the_model_does_not_fit_is_predicted_by_means() {
    let spender = |repeats, average| Spender { repeats, average };
    assert_eq!(spend::fit(&[], 50).used, Spend::Nothing);
    assert_eq!(spend::fit(&[spender(1, 5.0)], 50).state, SpendState::TooFewRepeatBuyers);
    let alike = spend::fit(&vec![spender(2, 5.0); 100], 50);
    assert_ne!(alike.state, SpendState::Fitted);
    assert_eq!(alike.used.expected(None), Some(5.0));
    let growing: Vec<Spender> = (1..200).map(|at| spender(at, 3.0 + f64::from(at % 7) + f64::from(at))).collect();
    let growing = spend::fit(&growing, 50);
    assert_eq!(growing.state, SpendState::SpendDependsOnFrequency);
    assert_eq!(growing.used.expected(Some(spender(3, 8.0))), Some(8.0));
    // Means without a mean: those of a Pareto distribution with an exponent below 1.
    let wild: Vec<Spender> = (0..2000u32).map(|at| spender(1 + at % 3, (2000.0 / (f64::from(at * 617 % 2000) + 0.5)).powf(1.6))).collect();
    let wild = spend::fit(&wild, 50);
    assert_eq!(wild.state, SpendState::NoFiniteMean, "{wild:?}");
    let mut enormous: Vec<Spender> = (0..300u32).map(|at| spender(1 + at % 5, 10.0 + f64::from(at * 617 % 50))).collect();
    enormous[0].average = 1e15;
}

#[test]
fn equal_values_are_in_the_same_tenth() {
    assert_eq!(deciles(&[]), Vec::<u8>::new());
    assert_eq!(deciles(&[3.0]), [1]);
    assert_eq!(deciles(&[0.0, 0.0, 0.0, 9.0]), [1, 1, 1, 8]);
    let values: Vec<f64> = (0..100).map(f64::from).collect();
    let found = deciles(&values);
    assert_eq!((found[0], found[9], found[10], found[99]), (1, 1, 2, 10));
}

#[test]
fn a_holdout_tells_what_the_model_predicts_beside_what_came() {
    let truth = [0.6, 40.0, 0.8, 2.4];
    let mut random = Pcg64::seed_from_u64(7);
    let model = Purchases::Churn(Churn::BgNbd, truth);
    let watched: Vec<Watched> = simulated(Churn::BgNbd, truth, 20_000)
        .into_iter()
        .map(|history| {
            // As many as expected, in the middle of the time, so that totals must agree.
            let expected = model.expected(&history, &[70.0]).unwrap()[0];
            let later = (expected + random.random::<f64>()).floor();
            Watched { history, later: (0..50).map(f64::from).take_while(|at| *at < later).map(|_| 35).collect() }
        })
        .collect();
    let found = calibrate(&watched, Churn::BgNbd, 50, 70);
    assert_eq!((found.state, found.customers, found.deciles.len(), found.weeks.len()), (PurchaseState::Fitted, 20_000, 10, 10));
    let [of_model, own, everybodys] = found.predictors.as_slice() else { panic!("{found:?}") };
    assert!(of_model.total_error.unwrap().abs() < 0.05, "{of_model:?}");
    assert!(found.loses.is_empty() && own.total_error.unwrap() > 0.2, "{found:?}");
    is_near(everybodys.top_decile_share.unwrap(), 0.1, 1e-9);
    assert_eq!(found.weeks[3].actual, 0);
    assert_eq!(found.weeks[4].actual, found.purchases);
    is_near(found.weeks[9].predicted, of_model.purchases, 1e-9);
    let all: f64 = found.deciles.iter().map(|tenth| tenth.actual).sum();
    let came: u32 = watched.iter().map(|watched| u32::try_from(watched.later.len()).unwrap()).sum();
    assert_eq!(u64::from(came), found.purchases);
    is_near(all, f64::from(came), 1e-9);
    assert!(found.deciles.windows(2).all(|pair| pair[0].predicted >= pair[1].predicted));
}
