//! How well a regression finds members whom it has not seen.

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::regression::{self, Regression, Rows};
use super::sample::{Sample, balanced};
use super::sums::by_block;

/// In how many parts customers are divided. Each is scored by what is fitted to the others.
pub const FOLDS: u8 = 5;

/// How well members are found whom the fit has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How often a member is more similar than another customer, of all such pairs; ties count half. By chance it is 0.5.
    pub auc: f64,
    /// The share of members in the most similar tenth, by the share of members in everybody. By chance it is 1.
    pub lift_in_top_tenth: f64,
    /// The lift that cannot be exceeded: there are no more members than there are.
    pub greatest_lift: f64,
}

/// The fold of a customer, by a hash of the id.
pub fn fold(customer: &str) -> u8 {
    // The remainder is less than the number of folds.
    u8::try_from(SipHasher13::new().hash(customer.as_bytes()) % u64::from(FOLDS)).unwrap_or_default()
}

/// Scores each fold by what is fitted to the others. None if members or others are all in one fold, or a fit does not converge.
pub(super) fn evaluate(sample: &Sample<'_>, whole: &Regression, threads: usize) -> Option<Evaluation> {
    let rows = sample.is_member.len();
    let mut scores = vec![0.0; rows];
    for fold in 0..FOLDS {
        let is_in = |row: usize| sample.folds[row] == fold;
        if !(0..rows).any(is_in) {
            continue;
        }
        let counts_for = balanced(sample, |row| !is_in(row))?;
        let without = Some((sample.folds, fold));
        let of = Rows { columns: sample.columns, is_member: sample.is_member, counts_for, without, threads };
        let fitted = regression::fit(&of, whole.clone())?;
        let odds = by_block(rows, threads, |rows| fitted.log_odds(sample.columns, &rows)).concat();
        scores.iter_mut().enumerate().filter(|(row, _)| is_in(*row)).for_each(|(row, score)| *score = odds[row]);
    }
    Some(of_scores(&scores, sample.is_member))
}

/// What scores come to, of members and others.
#[allow(clippy::cast_precision_loss, reason = "there are fewer customers than a double counts")]
pub(super) fn of_scores(scores: &[f64], is_member: &[bool]) -> Evaluation {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|one, other| scores[*other].total_cmp(&scores[*one]).then(one.cmp(other)));
    let members = is_member.iter().filter(|is| **is).count();
    let (others, tenth) = (scores.len() - members, scores.len().div_ceil(10));
    // Pairs in which the member is more similar, twice, so that ties count one.
    let (mut won, mut seen, mut seen_members, mut in_tenth) = (0_u128, 0, 0, 0.0);
    for equal in order.chunk_by(|one, other| scores[*one].total_cmp(&scores[*other]).is_eq()) {
        let of_members = equal.iter().filter(|row| is_member[**row]).count();
        let (of_others, others_seen) = (equal.len() - of_members, seen - seen_members);
        won += of_members as u128 * (2 * (others - others_seen - of_others) + of_others) as u128;
        // Of equal customers only some may be in the tenth.
        let room = (tenth - seen.min(tenth)).min(equal.len());
        in_tenth += of_members as f64 * room as f64 / equal.len() as f64;
        seen += equal.len();
        seen_members += of_members;
    }
    let share = members as f64 / scores.len() as f64;
    let best = members.min(tenth) as f64 / tenth as f64;
    Evaluation {
        auc: won as f64 / (2.0 * members as f64 * others as f64),
        lift_in_top_tenth: in_tenth / tenth as f64 / share,
        greatest_lift: best / share,
    }
}
