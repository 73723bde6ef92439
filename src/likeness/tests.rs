//! Fits beside those of scikit-learn 1.9 (`LogisticRegression(C=1, class_weight='balanced')`), and what holds of every fit.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::type_complexity, reason = "numbers are small in tests")]

use super::evaluate::of_scores;
use super::*;

use proptest::prelude::*;

/// 600 customers with three columns, of whom some are members, all by rules that any program can follow.
fn customers() -> (Vec<Vec<f64>>, Vec<bool>, Vec<u8>) {
    let rows = 0..600_u32;
    let a: Vec<f64> = rows.clone().map(|at| f64::from(at * 37 % 101)).collect();
    let b: Vec<f64> = rows.clone().map(|at| libm::log1p(f64::from(at * 53 % 89))).collect();
    let c: Vec<f64> = rows.clone().map(|at| f64::from(u8::from(at % 3 == 0))).collect();
    let noise = |at: u32| f64::from(at * 7919 % 97);
    let is_member = rows.clone().map(|at| at as usize).map(|at| a[at] + 40.0 * c[at] + 20.0 * b[at] + noise(at as u32) > 205.0);
    let is_member = is_member.collect();
    let folds = rows.map(|at| (at % 5) as u8).collect();
    ([a, b, c].into_iter().map(standardised).collect(), is_member, folds)
}

fn standardised(column: Vec<f64>) -> Vec<f64> {
    let count = column.len() as f64;
    let mean = column.iter().sum::<f64>() / count;
    let deviation = (column.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count).sqrt();
    column.into_iter().map(|value| if deviation > 0.0 { (value - mean) / deviation } else { 0.0 }).collect()
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

#[test]
fn a_fit_and_its_evaluation_are_those_of_scikit_learn() {
    let (columns, is_member, folds) = customers();
    let found = fit(&Sample { columns: &columns, is_member: &is_member, folds: &folds }, 50, 1);
    assert_eq!((found.state, is_member.iter().filter(|is| **is).count()), (LikenessState::Fitted, 195));
    let regression = found.regression.unwrap();
    close(regression.intercept, -0.589_482_08, 1e-8);
    for (found, expected) in regression.weights.iter().zip([1.583_614_521_137_595_2, 1.110_856_411_010_396_7, 1.208_068_071_617_536_3]) {
        close(*found, expected, 1e-9);
    }
    let similarities = regression.similarities(&columns, 600, 1);
    for (found, expected) in
        similarities.iter().zip([0.002_833_727_587_677, 0.169_796_868_892_509, 0.287_222_848_654_804, 0.460_430_030_894_458])
    {
        close(*found, expected, 1e-9);
    }
    // Scored by five fits of four fifths each.
    let evaluation = found.evaluation.unwrap();
    close(evaluation.auc, 0.877_594_175_371_953_2, 1e-12);
    close(evaluation.lift_in_top_tenth, 2.820_512_820_512_820_3, 1e-12);
    close(evaluation.greatest_lift, 600.0 / 195.0, 1e-12);
}

#[test]
fn threads_change_no_bit() {
    // More rows than two blocks have, and not a multiple of its size.
    let (columns, is_member, folds) = customers();
    let times = 90;
    let columns: Vec<Vec<f64>> = columns.iter().map(|column| column.repeat(times)).collect();
    let (is_member, folds) = (is_member.repeat(times), folds.repeat(times));
    let sample = Sample { columns: &columns, is_member: &is_member, folds: &folds };
    let of = |threads: usize| {
        let found = fit(&sample, 50, threads);
        let regression = found.regression.as_ref().unwrap();
        let bits: Vec<u64> = regression.similarities(&columns, is_member.len(), threads).iter().map(|value| value.to_bits()).collect();
        (found, bits)
    };
    let one = of(1);
    assert!(one == of(2) && one == of(5));
}

#[test]
fn what_members_have_more_of_speaks_for_them() {
    let (columns, is_member, folds) = customers();
    let turned = [columns[0].clone(), columns[1].iter().map(|value| -value).collect(), columns[2].clone()];
    let others: Vec<bool> = is_member.iter().map(|is| !is).collect();
    let fitted = |columns: &[Vec<f64>], is_member: &[bool]| fit(&Sample { columns, is_member, folds: &folds }, 50, 1).regression.unwrap();
    let (as_is, turned, of_others) = (fitted(&columns, &is_member), fitted(&turned, &is_member), fitted(&columns, &others));
    close(turned.weights[1], -as_is.weights[1], 1e-9);
    close(turned.weights[0], as_is.weights[0], 1e-9);
    close(of_others.weights[2], -as_is.weights[2], 1e-9);
    close(of_others.intercept, -as_is.intercept, 1e-9);
}

#[test]
fn reasons_are_the_columns_that_speak_for_a_customer() {
    let regression = Regression { intercept: -1.0, weights: vec![2.0, -3.0, 0.5, 4.0, 0.1] };
    let columns = [vec![1.0, -1.0], vec![-1.0, 1.0], vec![1.0, -1.0], vec![0.0, -1.0], vec![1.0, -1.0]];
    let reason = |column: usize, is_high: bool| Reason { column, is_high };
    // The last one speaks for it, too, but hardly.
    assert_eq!(regression.reasons(&columns, 0), [reason(1, false), reason(0, true)]);
    assert_eq!(regression.reasons(&columns, 1), []);
}

#[test]
fn what_cannot_be_fitted_has_a_name() {
    let (columns, is_member, folds) = customers();
    let state = |columns: &[Vec<f64>], is_member: &[bool], minimum: u64| {
        let found = fit(&Sample { columns, is_member, folds: &folds[..is_member.len()] }, minimum, 2);
        assert_eq!(
            (found.regression.is_some(), found.evaluation.is_some()),
            (found.state == LikenessState::Fitted, found.state == LikenessState::Fitted)
        );
        found.state
    };
    assert_eq!(state(&columns, &is_member, 196), LikenessState::TooFewMembers);
    assert_eq!(state(&columns, &[false; 600], 0), LikenessState::TooFewMembers);
    assert_eq!(state(&columns, &[true; 600], 50), LikenessState::TooFewOthers);
    assert_eq!(state(&[vec![], vec![], vec![]], &[], 50), LikenessState::TooFewMembers);
    assert_eq!(state(&[vec![0.0; 600]], &is_member, 50), LikenessState::ColumnsConstant);
    assert_eq!(state(&[columns[0].clone(), vec![0.0; 600]], &is_member, 50), LikenessState::Fitted);
    // The same column twice, and one that is the membership itself.
    assert_eq!(state(&[columns[0].clone(), columns[0].clone()], &is_member, 50), LikenessState::Fitted);
    let leak = standardised(is_member.iter().map(|is| f64::from(u8::from(*is))).collect());
    assert_eq!(state(&[columns[0].clone(), leak], &is_member, 50), LikenessState::Fitted);
    // One who is as far from the others as can be.
    let mut far = vec![1.0; 600];
    far[7] = 1e30;
    assert_eq!(state(&[columns[0].clone(), standardised(far)], &is_member, 50), LikenessState::Fitted);
}

#[test]
fn a_single_member_can_be_fitted_but_not_measured() {
    let (columns, _, folds) = customers();
    let mut is_member = vec![false; 600];
    is_member[3] = true;
    let found = fit(&Sample { columns: &columns, is_member: &is_member, folds: &folds }, 1, 1);
    assert_eq!((found.state, found.evaluation), (LikenessState::Fitted, None));
}

#[test]
fn ties_count_half_in_the_auc_and_by_share_in_the_tenth() {
    let is_member: Vec<bool> = (0..20).map(|at| at < 5).collect();
    let chance = of_scores(&[1.0; 20], &is_member);
    assert_eq!((chance.auc, chance.lift_in_top_tenth, chance.greatest_lift), (0.5, 1.0, 4.0));
    let scores: Vec<f64> = (0..20).map(|at| -f64::from(at)).collect();
    let best = of_scores(&scores, &is_member);
    assert_eq!((best.auc, best.lift_in_top_tenth), (1.0, 4.0));
    let worst = of_scores(&scores.iter().map(|score| -score).collect::<Vec<_>>(), &is_member);
    assert_eq!((worst.auc, worst.lift_in_top_tenth), (0.0, 0.0));
    // The first two are one of each kind, and alike.
    let mixed = of_scores(
        &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        &[true, false, true, false, false, false, false, false, false, false],
    );
    assert_eq!((mixed.lift_in_top_tenth, mixed.auc), (2.5, (0.5 + 7.0 + 3.5) / 16.0));
}

#[test]
fn folds_are_about_equally_large_and_never_change() {
    let mut counts = [0; 5];
    for at in 0..10_000 {
        counts[usize::from(fold(&format!("c{at:06}")))] += 1;
    }
    assert!(counts.iter().all(|count| (1800..2200).contains(count)), "{counts:?}");
    assert_eq!(["", "a", "c000001", "12347"].map(fold), [0, 4, 0, 4]);
}

#[test]
fn parts_of_sums_come_in_order_whichever_is_done_first() {
    let starts = super::sums::by_block(6 * super::sums::BLOCK_ROWS + 1, 3, |rows| {
        std::thread::sleep(std::time::Duration::from_millis(if rows.start == 0 { 50 } else { 1 }));
        rows.start / super::sums::BLOCK_ROWS
    });
    assert_eq!(starts, [0, 1, 2, 3, 4, 5, 6]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the numbers are, there is a state, and with a fit everybody has a probability, at which no small change of a weight fits better.
    #[test]
    fn any_numbers_end_in_a_named_state(
        rows in proptest::collection::vec((-1e9..1e9_f64, 0..3_u8, any::<bool>(), any::<bool>()), 0..200),
        minimum in 0..20_u64,
    ) {
        let column = |of: &dyn Fn(&(f64, u8, bool, bool)) -> f64| standardised(rows.iter().map(of).collect());
        let columns = [column(&|row| row.0), column(&|row| f64::from(row.1)), column(&|row| f64::from(u8::from(row.2)))];
        let is_member: Vec<bool> = rows.iter().map(|row| row.3).collect();
        let folds: Vec<u8> = (0..rows.len()).map(|at| (at % 5) as u8).collect();
        let sample = Sample { columns: &columns, is_member: &is_member, folds: &folds };
        let found = fit(&sample, minimum, 1);
        prop_assert_eq!(&found, &fit(&sample, minimum, 3));
        prop_assert_eq!(found.state == LikenessState::Fitted, found.regression.is_some());
        prop_assert!(found.state != LikenessState::NoConvergence);
        let Some(regression) = found.regression else { return Ok(()) };
        let similarities = regression.similarities(&columns, rows.len(), 1);
        prop_assert!(similarities.iter().all(|similarity| (0.0..=1.0).contains(similarity)));
        // The members are as similar, together, as they are many, when both kinds count the same.
        let share = |kind: bool| {
            let of_kind = similarities.iter().zip(&is_member).filter(|(_, is)| **is == kind).map(|(similarity, _)| *similarity);
            of_kind.sum::<f64>() / is_member.iter().filter(|is| **is == kind).count() as f64
        };
        prop_assert!((share(true) + share(false) - 1.0).abs() < 1e-6, "{} {}", share(true), share(false));
    }
}
