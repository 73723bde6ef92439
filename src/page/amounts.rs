//! Exact amounts: added and taken away without rounding, compared as ratios.

use crate::figures::types::{Amount, Figure};

/// The sum of amounts; `None` if it is too large for an exact one.
pub fn sum(amounts: impl IntoIterator<Item = Amount>) -> Option<Amount> {
    amounts.into_iter().try_fold(Amount { unscaled: 0, scale: 0 }, |total, next| combined(total, next, i128::checked_add))
}

/// What is left of an amount without another.
pub fn difference(of: Amount, without: Amount) -> Option<Amount> {
    combined(of, without, i128::checked_sub)
}

/// The amount as a number, for ratios and lengths. It is the nearest one on every machine, as the standard library parses it.
pub fn number(amount: Amount) -> f64 {
    format!("{}e-{}", amount.unscaled, amount.scale).parse().unwrap_or(0.0)
}

/// A figure as a number.
pub fn figure_number(figure: Figure) -> f64 {
    match figure {
        Figure::Count(count) => count_number(count),
        Figure::Amount(amount) => number(amount),
    }
}

/// A count as a number.
#[allow(clippy::cast_precision_loss, reason = "for ratios and lengths on a page")]
pub fn count_number(count: u64) -> f64 {
    count as f64
}

/// A part of a whole; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    ratio(count_number(part), count_number(whole)).unwrap_or(0.0)
}

/// A number divided by another that is not 0.
pub fn ratio(of: f64, to: f64) -> Option<f64> {
    let ratio = of / to;
    (to != 0.0 && ratio.is_finite()).then_some(ratio)
}

/// The amount as digits with a point.
pub fn digits(amount: Amount) -> String {
    let sign = if amount.unscaled < 0 { "-" } else { "" };
    let scale = usize::from(amount.scale);
    let digits = format!("{:0>width$}", amount.unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn combined(left: Amount, right: Amount, how: fn(i128, i128) -> Option<i128>) -> Option<Amount> {
    let scale = left.scale.max(right.scale);
    Some(Amount { unscaled: how(at_scale(left, scale)?, at_scale(right, scale)?)?, scale })
}

fn at_scale(amount: Amount, scale: u8) -> Option<i128> {
    if amount.unscaled == 0 {
        return Some(0);
    }
    10i128.checked_pow(u32::from(scale - amount.scale)).and_then(|factor| amount.unscaled.checked_mul(factor))
}

/// The amount as a whole number of units of 10^`-places`, rounded half to even.
pub fn rounded(amount: Amount, places: u8) -> i128 {
    if amount.scale <= places {
        return at_scale(amount, places).unwrap_or(i128::MAX);
    }
    let Some(divisor) = 10i128.checked_pow(u32::from(amount.scale - places)) else { return 0 };
    let (whole, rest) = (amount.unscaled.div_euclid(divisor), amount.unscaled.rem_euclid(divisor));
    // Compared without doubling, which could be too large.
    match rest.cmp(&(divisor - rest)) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => whole + 1,
        std::cmp::Ordering::Equal => whole + (whole & 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(unscaled: i128, scale: u8) -> Amount {
        Amount { unscaled, scale }
    }

    #[test]
    fn amounts_are_rounded_half_to_even() {
        for (unscaled, scale, places, expected) in [
            (25, 1, 0, 2),
            (35, 1, 0, 4),
            (-25, 1, 0, -2),
            (-35, 1, 0, -4),
            (2_501, 3, 0, 3),
            (2_499, 3, 0, 2),
            (7, 0, 2, 700),
            (1, 200, 0, 0),
        ] {
            assert_eq!(rounded(amount(unscaled, scale), places), expected, "{unscaled} e-{scale}");
        }
        assert_eq!(rounded(amount(i128::MAX, 3), 0), i128::MAX / 1000 + 1);
    }

    #[test]
    fn amounts_of_unequal_scales_add_up() {
        assert_eq!(sum([amount(105, 1), amount(25, 2)]), Some(amount(1075, 2)));
        assert_eq!(difference(amount(1, 0), amount(25, 2)), Some(amount(75, 2)));
        assert_eq!(sum([amount(i128::MAX, 0), amount(1, 0)]), None);
        assert_eq!(sum([amount(1, 0), amount(0, 255)]), None, "too many digits");
        assert_eq!(digits(amount(-5, 3)), "-0.005");
        assert_eq!(digits(amount(12, 0)), "12");
        assert!((number(amount(12_345, 2)) - 123.45).abs() < 1e-12);
    }
}
