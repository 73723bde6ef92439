//! Amounts of revenue, exact and in short.

use std::fmt;

/// An amount: an integer of so many digits after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// The amount without its point.
    pub amount: i128,
    /// How many of its digits come after the point.
    pub scale: i8,
}

/// The steps at which an amount gets a shorter unit.
const UNITS: [(u128, &str); 4] = [(1_000_000_000_000, " T"), (1_000_000_000, " bn"), (1_000_000, " M"), (1_000, " k")];

impl Money {
    /// The amount in three digits or so, as people say it: `1.2 M`.
    pub fn short(&self) -> String {
        let whole = self.amount.unsigned_abs() / self.one();
        let sign = if self.amount < 0 { "−" } else { "" };
        for (at, (unit, name)) in UNITS.iter().enumerate() {
            // 999,950 is 1.0 M rather than 1000.0 k.
            let tenths = (whole * 10 + unit / 2) / unit;
            let is_more = at > 0 && tenths >= 10_000;
            if whole >= *unit && !is_more {
                return format!("{sign}{}.{}{name}", tenths / 10, tenths % 10);
            }
            if is_more {
                return format!("{sign}1.0{}", UNITS[at - 1].1);
            }
        }
        format!("{sign}{whole}")
    }

    fn one(&self) -> u128 {
        10_u128.checked_pow(u32::try_from(self.scale).unwrap_or(0)).unwrap_or(u128::MAX)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::try_from(self.scale).unwrap_or(0);
        let (whole, part) = (self.amount.unsigned_abs() / self.one(), self.amount.unsigned_abs() % self.one());
        let sign = if self.amount < 0 { "-" } else { "" };
        if digits == 0 { write!(formatter, "{sign}{whole}") } else { write!(formatter, "{sign}{whole}.{part:0digits$}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_short() {
        let told = |amount, scale| {
            let money = Money { amount, scale };
            (money.to_string(), money.short())
        };
        let both = |exact: &str, short: &str| (exact.to_owned(), short.to_owned());
        assert_eq!(told(0, 2), both("0.00", "0"));
        assert_eq!(told(-5, 2), both("-0.05", "−0"));
        assert_eq!(told(99_999, 2), both("999.99", "999"));
        assert_eq!(told(123_456, 2), both("1234.56", "1.2 k"));
        assert_eq!(told(99_995_000, 2), both("999950.00", "1.0 M"));
        assert_eq!(told(1_200_000_000, 3), both("1200000.000", "1.2 M"));
        assert_eq!(told(-7_500_000_000_000, 0), both("-7500000000000", "−7.5 T"));
    }
}
