//! Reads numbers in text, exactly or not at all.

/// The largest power of ten in a text. With a larger one, no supported type has a value except zero.
const MOST_EXPONENT: i32 = 10_000;
/// The most digits that a number is written out with.
const MOST_DIGITS: usize = 100;

/// Reads a whole number: an optional sign, digits, and perhaps a point with nothing but zeros after it, such as `17850.0`. A number with an
/// exponent is refused, because spreadsheets shorten long ids in this way and lose their digits.
pub fn whole(text: &str) -> Option<i64> {
    let (negative, unsigned) = signed(text);
    let (digits, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if digits.is_empty() || !fraction.bytes().all(|byte| byte == b'0') {
        return None;
    }
    // Digits are taken away from zero, since there is one more number below it than above.
    let taken = digits.bytes().try_fold(0_i64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_sub(i64::from(byte - b'0')),
        _ => None,
    })?;
    if negative { Some(taken) } else { taken.checked_neg() }
}

/// Reads a decimal with at most so many digits, `scale` of them after the point, as the integer of its digits. `None` if it has more digits.
pub fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    if let Some(value) = plain_decimal(text, precision, scale) {
        return Some(value);
    }
    let written = Written::read(text)?;
    let value = written.scaled(i32::from(scale), false)?;
    (value.unsigned_abs() < 10_u128.checked_pow(u32::from(precision))?).then_some(value)
}

/// Reads a number in units of `10^-scale`; further digits are rounded down.
pub fn floor(text: &str, scale: i32) -> Option<i128> {
    Written::read(text)?.scaled(scale, true)
}

/// The digits of a number that is whole, without sign if it is not negative; none for one with a fraction, or with more than 100
/// digits. `1.785e4` is `17850`.
pub fn whole_digits(text: &str) -> Option<String> {
    let written = Written::read(text)?;
    if written.is_zero() {
        return Some("0".to_owned());
    }
    let zeros = usize::try_from(written.shift(0)).ok().filter(|zeros| zeros + written.digits().count() <= MOST_DIGITS)?;
    let digits: String = written.digits().map(char::from).chain(std::iter::repeat_n('0', zeros)).collect();
    Some(if written.negative { format!("-{digits}") } else { digits })
}

/// A number without a power of ten, such as `100000` for `1e5`; none with more than 100 digits.
pub fn plain(text: &str) -> Option<String> {
    let written = Written::read(text)?;
    if written.is_zero() {
        return Some("0".to_owned());
    }
    if let Some(whole) = whole_digits(text) {
        return Some(whole);
    }
    let digits: String = written.digits().map(char::from).collect();
    let places = usize::try_from(written.shift(0).unsigned_abs()).ok().filter(|places| places.max(&digits.len()) <= &MOST_DIGITS)?;
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    Some(format!("{}{whole}.{fraction}", if written.negative { "-" } else { "" }))
}

/// Reads the finite double that is nearest to the number in the text.
pub fn double(text: &str) -> Option<f64> {
    let is_number = text.bytes().any(|byte| byte.is_ascii_digit());
    // There is one zero.
    text.parse::<f64>().ok().filter(|value| is_number && value.is_finite()).map(|value| value + 0.0)
}

/// Decimals as they mostly are, some digits and a point, fewer than 64 bits hold; none for anything else.
fn plain_decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    /// The longest number of digits that every 64 bits hold.
    const PLAIN_DIGITS: usize = 18;
    let places = usize::try_from(scale).ok()?;
    let whole_digits = usize::from(precision).checked_sub(places)?;
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |unsigned| (true, unsigned));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_plain = (1..=whole_digits).contains(&whole.len()) && fraction.len() <= places && whole.len() + places <= PLAIN_DIGITS;
    if !is_plain || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', places - fraction.len()));
    let value = digits.fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(i128::from(if negative { -value } else { value }))
}

fn signed(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// A number taken apart: digits before and after its point, and the power of ten beside them.
struct Written<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i32,
}

impl<'a> Written<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = signed(text);
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
            None => (unsigned, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if whole.len() + fraction.len() == 0 || !digits().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let exponent = match exponent {
            Some(text) => {
                let (below, digits) = signed(text);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                let size = digits.parse().unwrap_or(MOST_EXPONENT).min(MOST_EXPONENT);
                if below { -size } else { size }
            }
            None => 0,
        };
        let leading = whole.bytes().take_while(|byte| *byte == b'0').count();
        let trailing = fraction.bytes().rev().take_while(|byte| *byte == b'0').count();
        let (whole, fraction) = (&whole.as_bytes()[leading..], &fraction.as_bytes()[..fraction.len() - trailing]);
        // Where nothing is left of the fraction, zeros at the end of the rest are written by the power of ten.
        let zeros = if fraction.is_empty() { whole.iter().rev().take_while(|byte| **byte == b'0').count() } else { 0 };
        let whole = &whole[..whole.len() - zeros];
        Some(Written { negative, whole, fraction, exponent: exponent + i32::try_from(zeros).ok()? })
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == b'0')
    }

    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        let skipped = if self.whole.is_empty() { self.fraction.iter().take_while(|byte| **byte == b'0').count() } else { 0 };
        self.whole.iter().chain(&self.fraction[skipped..]).copied()
    }

    /// The power of ten that the digits are to be multiplied by to count units of `10^-scale`.
    fn shift(&self, scale: i32) -> i32 {
        self.exponent.saturating_add(scale).saturating_sub(i32::try_from(self.fraction.len()).unwrap_or(i32::MAX))
    }

    /// The number in units of `10^-scale`: exactly, or else with what is beyond dropped downwards if that may be.
    fn scaled(&self, scale: i32, may_drop: bool) -> Option<i128> {
        if self.is_zero() {
            return Some(0);
        }
        let shift = self.shift(scale);
        let count = self.digits().count();
        let (keep, zeros) = match usize::try_from(shift) {
            Ok(zeros) => (count, zeros),
            Err(_) if may_drop => (count.saturating_sub(usize::try_from(shift.unsigned_abs()).ok()?), 0),
            Err(_) => return None,
        };
        if keep + zeros > 38 {
            return None;
        }
        let digits = self.digits().take(keep).chain(std::iter::repeat_n(b'0', zeros));
        let size = digits.fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
        let dropped = self.digits().skip(keep).any(|digit| digit != b'0');
        Some(if self.negative { -size - i128::from(dropped) } else { size })
    }
}

/// A number in percent of a plain one, such as `12.5` for `0.125`; none with more than 100 digits.
pub fn hundredfold(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    plain(&format!("{mantissa}e{}", exponent.parse::<i32>().ok()?.checked_add(2)?))
}

/// A plain number that is so many percent, such as `0.125` for `12.5`.
pub fn hundredth(plain: &str) -> String {
    let (negative, unsigned) = signed(plain);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let padded = format!("{whole:0>3}");
    let (whole, hundredths) = padded.split_at(padded.len() - 2);
    format!("{}{whole}.{hundredths}{fraction}", if negative { "-" } else { "" })
}

/// How an extract writes numbers, told by how it writes 1234.56.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberFormat {
    thousands: Option<char>,
    point: char,
    /// Whether the groups before the last have two digits, as in India.
    is_indian: bool,
}

impl NumberFormat {
    /// Reads how 1234.56 is written, such as `1.234,56`, or 1234567.89 where other groups than the last have two digits: `12,34,567.89`.
    pub fn of(text: &str) -> Option<Self> {
        if let Some(western) = text.strip_prefix("12").and_then(western) {
            return Self::of(&western).map(|format| NumberFormat { is_indian: true, ..format });
        }
        let rest = text.strip_prefix('1')?;
        let (thousands, rest) = match rest.strip_prefix("234") {
            Some(rest) => (None, rest),
            None => {
                let separator = rest.chars().next()?;
                (Some(separator), rest.strip_prefix(separator)?.strip_prefix("234")?)
            }
        };
        let point = rest.chars().next()?;
        let fits = |separator: char| !separator.is_alphanumeric() && !['+', '-', '\u{2212}', '(', ')', '%'].contains(&separator);
        let valid = rest.strip_prefix(point)? == "56" && Some(point) != thousands && fits(point) && thousands.is_none_or(fits);
        valid.then_some(NumberFormat { thousands, point, is_indian: false })
    }

    /// The part before the fraction.
    pub fn point(self) -> char {
        self.point
    }

    /// Writes a number plainly, with a point and without thousands; false where separators do not stand where they should: between
    /// each three digits or nowhere, and none after the point.
    pub fn plain(self, text: &str, plain: &mut String) -> bool {
        plain.clear();
        let (negative, unsigned) = match text.strip_prefix(['-', '\u{2212}']) {
            Some(unsigned) => (true, unsigned),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = match unsigned.split_once(self.point) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        if negative {
            plain.push('-');
        }
        let begin = plain.len();
        // Digits since the last separator, and whether there was one.
        let (mut run, mut grouped) = (0, false);
        let group = if self.is_indian { 2 } else { 3 };
        for c in whole.chars() {
            if c.is_ascii_digit() {
                plain.push(c);
                run += 1;
            } else if self.separates(c) && (1..=group).contains(&run) && (!grouped || run == group) {
                (run, grouped) = (0, true);
            } else {
                return false;
            }
        }
        let has_digits = plain.len() > begin;
        // A group of zeros in front is a fraction in another format, as `0.500` is in one that has a comma before the fraction.
        if grouped && plain[begin..].starts_with('0') {
            return false;
        }
        if (grouped && run != 3) || (!has_digits && fraction.is_none_or(str::is_empty)) {
            return false;
        }
        if let Some(fraction) = fraction {
            if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return false;
            }
            plain.push('.');
            plain.push_str(fraction);
        }
        true
    }

    /// Whether a character stands between thousands. A space is any of those that are written there, and so is an apostrophe.
    fn separates(self, c: char) -> bool {
        let alike = |these: &[char]| self.thousands.is_some_and(|one| these.contains(&one)) && these.contains(&c);
        self.thousands == Some(c) || alike(&SPACES) || alike(&['\'', '\u{2019}'])
    }
}

/// The spaces that are written between thousands, and between a number and its currency: the plain one, and those where no line is broken or
/// that are as wide as a digit or narrower.
pub const SPACES: [char; 5] = [' ', '\u{a0}', '\u{2007}', '\u{2009}', '\u{202f}'];

/// What is left of 1234567.89 in groups of two, after its first group, as 1234.56 would be written.
fn western(rest: &str) -> Option<String> {
    let separator = rest.chars().next()?;
    let point = rest.strip_prefix(separator)?.strip_prefix("34")?.strip_prefix(separator)?.strip_prefix("567")?.strip_suffix("89")?;
    Some(format!("1{separator}234{point}56"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, StringArray};
    use arrow::compute::{CastOptions, cast_with_options};
    use arrow::datatypes::{DataType, Decimal128Type};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decimals_of_few_digits_are_what_arrow_makes_of_them(
            text in "-?[0-9]{1,12}(\\.[0-9]{0,3})?", precision in 16..30_u8, scale in 3..4_i8,
        ) {
            let safe = CastOptions { safe: true, ..CastOptions::default() };
            let cast = cast_with_options(&StringArray::from(vec![text.as_str()]), &DataType::Decimal128(precision, scale), &safe).unwrap();
            prop_assert_eq!(decimal(&text, precision, scale), cast.as_primitive::<Decimal128Type>().iter().next().unwrap());
        }

        #[test]
        fn a_decimal_is_read_however_it_is_written(value in -999_999_999_999_i128..1_000_000_000_000, zeros in 0..5_usize, exponent in -6..7_i32) {
            let units = value.unsigned_abs();
            let sign = if value < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:06}{}", units / 1_000_000, units % 1_000_000, "0".repeat(zeros));
            prop_assert_eq!(decimal(&text, 38, 6), Some(value));
            // The same with the point elsewhere and a power of ten that makes up for it.
            let moved = format!("{sign}{units}e{}", -6 + exponent);
            prop_assert_eq!(decimal(&moved, 38, 12), Some(value * 10_i128.pow(u32::try_from(6 + exponent).unwrap())));
            let again = plain(&text).unwrap();
            prop_assert!(!again.contains('e') && decimal(&again, 38, 6) == Some(value), "{}", again);
            let again = plain(&moved).unwrap();
            prop_assert!(!again.contains('e') && decimal(&again, 38, 12) == decimal(&moved, 38, 12), "{}", again);
            let places = |scale: i8| decimal(&text, 38, scale);
            let fits = |scale: u32| (value % 10_i128.pow(6 - scale) == 0).then(|| value / 10_i128.pow(6 - scale));
            prop_assert_eq!([places(0), places(2), places(5)], [fits(0), fits(2), fits(5)]);
            prop_assert_eq!(floor(&text, 2), Some(value.div_euclid(10_000)));
        }

        #[test]
        fn whole_numbers_are_those_that_rust_reads(number: i64, zeros in 0..3_usize) {
            prop_assert_eq!(whole(&number.to_string()), Some(number));
            prop_assert_eq!(whole(&format!("{number}.{}", "0".repeat(zeros))), Some(number));
            prop_assert_eq!(whole_digits(&format!("{number}.{}", "0".repeat(zeros))), Some(number.to_string()));
        }
    }

    #[test]
    fn what_is_not_exact_is_none() {
        assert_eq!(
            [whole("9223372036854775808"), whole("1e3"), whole("1.5"), whole(""), whole("+"), whole(".0"), whole("1,000")],
            [None; 7]
        );
        assert_eq!((whole("-9223372036854775808"), whole("+7")), (Some(i64::MIN), Some(7)));
        assert_eq!(
            [decimal("1.999", 10, 2), decimal("123456789.1", 10, 2), decimal("1.2.3", 10, 2), decimal("1e", 10, 2), decimal(".", 10, 2)],
            [None; 5]
        );
        assert_eq!(
            [decimal("1.990", 10, 2), decimal(".5e1", 10, 2), decimal("5.", 10, 2), decimal("0e99999999999", 10, 2)],
            [Some(199), Some(500), Some(500), Some(0)]
        );
        assert_eq!((decimal("1e38", 38, 0), decimal("1e9999", 38, 0), decimal("1e-9999", 38, 9)), (None, None, None));
        assert_eq!((floor("-0.5", 0), floor("1762387200.1234567", 6)), (Some(-1), Some(1_762_387_200_123_456)));
        assert_eq!([double("NaN"), double("1e999"), double("inf"), double("-Infinity"), double("")], [None; 5]);
        assert_eq!(double("1e-400"), Some(0.0));
    }

    #[test]
    fn whole_digits_of_numbers_with_a_power_of_ten() {
        let told = ["1.785e4", "1e5", "-0.0", "100", "1e-2", "100e-2", "0.5", "12345678901234567890.0", "1e999"].map(whole_digits);
        let known = [Some("17850"), Some("100000"), Some("0"), Some("100"), None, Some("1"), None, Some("12345678901234567890"), None];
        assert_eq!(told, known.map(|digits| digits.map(str::to_owned)));
    }

    fn read(format: &str, text: &str) -> Option<String> {
        let mut plain = String::new();
        NumberFormat::of(format).unwrap().plain(text, &mut plain).then_some(plain)
    }

    proptest! {
        /// Grouped by threes as the format says, or not grouped at all.
        #[test]
        fn a_number_comes_back_from_its_format(whole in 0..10_u64.pow(15), cents in 0..100_u64, negative: bool, grouped: bool, format in 0..5_usize) {
            let (sample, separator, point) =
                [("1.234,56", ".", ","), ("1,234.56", ",", "."), ("1 234,56", "\u{202f}", ","), ("1'234.56", "'", "."), ("1234,56", "", ",")][format];
            let digits = whole.to_string();
            let head = digits.len() % 3;
            let groups = [&digits[..head]].into_iter().chain((head..digits.len()).step_by(3).map(|at| &digits[at..at + 3])).filter(|group| !group.is_empty());
            let shown = if grouped && whole > 0 { groups.collect::<Vec<_>>().join(separator) } else { digits.clone() };
            let sign = if negative { "-" } else { "" };
            prop_assert_eq!(read(sample, &format!("{sign}{shown}{point}{cents:02}")), Some(format!("{sign}{digits}.{cents:02}")));
        }
    }

    #[test]
    fn separators_stand_where_the_format_says_or_the_number_is_none() {
        for text in [
            "12.50",
            "99.9",
            "1.2,3",
            "1.23,45",
            ".123,4",
            "1..234,5",
            "1.234.5,6",
            "1234.567,8",
            "1,2.3",
            "1,234.56",
            "",
            "-",
            ",",
            "1 234,5",
            "a",
            "1,5e3",
        ] {
            assert_eq!(read("1.234,56", text), None, "{text}");
        }
        for text in ["12,50", "1,2.3", "1.234,56", "1,23"] {
            assert_eq!(read("1,234.56", text), None, "{text}");
        }
        assert_eq!(
            [read("1.234,56", "-1.234.567"), read("1.234,56", ",5"), read("1 234,56", "1\u{a0}234,5")].map(Option::unwrap),
            ["-1234567", ".5", "1234.5"]
        );
        for (text, known) in [
            ("12,34,567.89", Some("1234567.89")),
            ("1,00,000", Some("100000")),
            ("99,999.5", Some("99999.5")),
            ("1234567", Some("1234567")),
        ] {
            assert_eq!(read("12,34,567.89", text).as_deref(), known, "{text}");
        }
        for text in ["1,234,567", "123,456", "1,23,45", "1,2345", "12,34,56.7", "12,345,678"] {
            assert_eq!(read("12,34,567.89", text), None, "{text}");
        }
        assert_eq!(read("1,234.56", "12,34,567.89"), None);
        for sample in
            ["1234", "1.234.56", "12,34", "1234,5", "1234456", "1-234,56", "", "12,34,567", "12,34.567,89", "1234(56", "12.34.567.89"]
        {
            assert_eq!(NumberFormat::of(sample), None, "{sample}");
        }
    }
}
