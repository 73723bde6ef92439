//! Which days a retention policy does not keep. Days are counted and not compared with today, so the same publications are kept
//! whenever the policy is applied.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};

use crate::config::Keep;

/// The days of those published that the policy does not keep: it keeps the newest `days`, and of the older ones the last of each of the
/// newest `months` that have one.
pub fn let_go(published: &BTreeSet<NaiveDate>, keep: Keep) -> BTreeSet<NaiveDate> {
    // The latest day stays, whatever the policy says.
    let newest = usize::try_from(keep.days).unwrap_or(usize::MAX).max(1);
    let older: Vec<NaiveDate> = published.iter().rev().skip(newest).copied().collect();
    let mut months = BTreeSet::new();
    let is_kept = |day: &NaiveDate| {
        let is_last = months.insert((day.year(), day.month()));
        is_last && months.len() as u64 <= keep.months
    };
    let kept: BTreeSet<NaiveDate> = older.iter().copied().filter(is_kept).collect();
    older.into_iter().filter(|day| !kept.contains(day)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn days(texts: &[&str]) -> BTreeSet<NaiveDate> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_newest_days_and_the_last_of_each_month_stay() {
        let published = days(&["2025-12-31", "2026-01-05", "2026-01-20", "2026-02-03", "2026-02-28", "2026-03-01", "2026-03-02"]);
        let gone = |days, months| let_go(&published, Keep { days, months }).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(gone(2, 2), ["2025-12-31", "2026-01-05", "2026-02-03"]);
        assert_eq!(gone(1, 1), ["2025-12-31", "2026-01-05", "2026-01-20", "2026-02-03", "2026-02-28"]);
        assert_eq!(gone(5, 0), ["2025-12-31", "2026-01-05"]);
        assert_eq!(gone(0, 0).len(), 6, "the latest day always stays");
        assert!(gone(90, 24).is_empty());
    }

    proptest! {
        #[test]
        fn what_stays_is_as_much_as_was_asked_and_asking_again_lets_nothing_go(
            offsets in prop::collection::btree_set(0u64..1200, 1..200), days in 1u64..50, months in 0u64..30
        ) {
            let first: NaiveDate = "2023-01-01".parse().unwrap();
            let published: BTreeSet<NaiveDate> = offsets.iter().map(|offset| first + chrono::Days::new(*offset)).collect();
            let keep = Keep { days, months };
            let gone = let_go(&published, keep);
            let kept: BTreeSet<NaiveDate> = published.difference(&gone).copied().collect();
            prop_assert!(kept.len() as u64 >= days.min(published.len() as u64));
            prop_assert!(kept.len() as u64 <= days + months);
            prop_assert!(published.iter().rev().take(usize::try_from(days).unwrap()).all(|day| kept.contains(day)));
            prop_assert_eq!(let_go(&kept, keep), BTreeSet::new());
        }
    }
}
