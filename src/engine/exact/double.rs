//! Sums of doubles without rounding. The sum does not depend on the order of the values, and is rounded once, at the end.
//!
//! A double is an integer times a power of two, so a sum of doubles is an integer too, if the integer is wide enough. Nearly always 256
//! bits are enough, counted from a little below the first value. What does not fit these is added to an integer of any width.

use arrow::datatypes::i256;
use datafusion::error::{DataFusionError, Result};
use num_bigint::{BigInt, BigUint, Sign};

/// The exponent of the smallest number that can be added: the product of the two smallest doubles.
const LEAST_EXPONENT: i32 = 2 * -1074;
/// How many bits of the sum are below the last bit of the first value.
const ROOM_BELOW: i32 = 70;
/// An integer of at most 106 bits may be shifted left by so many bits and stays well below 256 bits.
const MOST_SHIFT: i32 = 140;

/// A sum of doubles, or of products of two.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    /// The sum of the values that fit, in units of two to the power of `exponent`.
    near: i256,
    exponent: i32,
    /// The rare part of the sum, if there is one.
    far: Option<Box<Far>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Far {
    /// In units of two to the power of [`LEAST_EXPONENT`].
    sum: BigInt,
    /// How many values were NaN, infinity, and minus infinity.
    special: [i64; 3],
}

/// An integer times a power of two.
#[derive(Debug, Clone)]
pub struct Scaled {
    number: BigInt,
    exponent: i64,
}

/// The result of a sum.
#[derive(Debug, Clone)]
pub enum Total {
    /// A finite number.
    Finite(Scaled),
    /// Infinity, minus infinity or NaN, because of one of the values.
    Special(f64),
}

impl ExactSum {
    /// Adds a value, or subtracts one that was added before.
    pub fn add(&mut self, value: f64, is_added: bool) {
        match parts(value) {
            Some((number, exponent)) => self.add_scaled(i128::from(if is_added { number } else { -number }), exponent),
            None => self.add_special(value, is_added),
        }
    }

    /// As [`ExactSum::add`], for the product of two values.
    pub fn add_product(&mut self, one: f64, other: f64, is_added: bool) {
        match (parts(one), parts(other)) {
            (Some((one, low)), Some((other, high))) => {
                let product = i128::from(one) * i128::from(other);
                self.add_scaled(if is_added { product } else { -product }, low + high);
            }
            _ => self.add_special(one * other, is_added),
        }
    }

    fn add_scaled(&mut self, number: i128, exponent: i32) {
        if number == 0 {
            return;
        }
        if self.near == i256::ZERO {
            self.exponent = (exponent - ROOM_BELOW).max(LEAST_EXPONENT);
        }
        if self.add_near(number, exponent) {
            return;
        }
        self.move_away();
        self.exponent = (exponent - ROOM_BELOW).max(LEAST_EXPONENT);
        self.add_near(number, exponent);
    }

    /// Adds a value that fits the 256 bits; returns false if it does not.
    fn add_near(&mut self, number: i128, exponent: i32) -> bool {
        let shift = exponent - self.exponent;
        let Some(shift) = u8::try_from(shift).ok().filter(|shift| i32::from(*shift) <= MOST_SHIFT) else { return false };
        match self.near.checked_add(i256::from_i128(number) << shift) {
            Some(near) => {
                self.near = near;
                true
            }
            None => false,
        }
    }

    /// Moves the sum of 256 bits into the integer of any width.
    fn move_away(&mut self) {
        if self.near != i256::ZERO {
            let far = self.far.get_or_insert_default();
            far.sum += BigInt::from_signed_bytes_le(&self.near.to_le_bytes()) << shift_of(self.exponent);
            self.near = i256::ZERO;
        }
    }

    fn add_special(&mut self, value: f64, is_added: bool) {
        let which = match value {
            value if value.is_nan() => 0,
            value if value > 0.0 => 1,
            _ => 2,
        };
        self.far.get_or_insert_default().special[which] += if is_added { 1 } else { -1 };
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &ExactSum) {
        if let Some(theirs) = &other.far {
            let far = self.far.get_or_insert_default();
            far.sum += &theirs.sum;
            far.special.iter_mut().zip(theirs.special).for_each(|(ours, theirs)| *ours += theirs);
        }
        if other.near == i256::ZERO {
            return;
        }
        if self.near == i256::ZERO {
            (self.near, self.exponent) = (other.near, other.exponent);
            return;
        }
        if self.exponent == other.exponent
            && let Some(near) = self.near.checked_add(other.near)
        {
            self.near = near;
            return;
        }
        let mut theirs = ExactSum { near: other.near, exponent: other.exponent, far: None };
        theirs.move_away();
        self.far.get_or_insert_default().sum += theirs.far.unwrap_or_default().sum;
    }

    /// The result, not rounded.
    pub fn total(&self) -> Total {
        let near = || BigInt::from_signed_bytes_le(&self.near.to_le_bytes());
        let Some(far) = &self.far else {
            return Total::Finite(Scaled { number: near(), exponent: i64::from(self.exponent) });
        };
        match far.special.map(|count| count != 0) {
            [false, false, false] => {
                Total::Finite(Scaled { number: &far.sum + (near() << shift_of(self.exponent)), exponent: i64::from(LEAST_EXPONENT) })
            }
            [false, true, false] => Total::Special(f64::INFINITY),
            [false, false, true] => Total::Special(f64::NEG_INFINITY),
            _ => Total::Special(f64::NAN),
        }
    }

    /// The bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.far.as_ref().map_or(0, |far| size_of::<Far>() + usize::try_from(far.sum.bits() / 8).unwrap_or_default() + 8)
    }

    /// Serialises the sum for [`ExactSum::read`].
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.near.to_le_bytes());
        bytes.extend(self.exponent.to_le_bytes());
        let sum = self.far.as_ref().map(|far| far.sum.to_signed_bytes_le()).unwrap_or_default();
        // No sum has so many bytes that their number would not fit.
        bytes.extend(u16::try_from(sum.len()).unwrap_or(u16::MAX).to_le_bytes());
        if let Some(far) = &self.far {
            bytes.extend(&sum);
            far.special.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        }
    }

    /// Reads what [`ExactSum::write`] wrote, and advances behind it.
    ///
    /// # Errors
    /// When the bytes are not a sum.
    pub fn read(bytes: &mut &[u8]) -> Result<ExactSum> {
        let near = i256::from_le_bytes(take::<32>(bytes)?);
        let exponent = i32::from_le_bytes(take(bytes)?);
        let width = usize::from(u16::from_le_bytes(take(bytes)?));
        let mut far = None;
        if width > 0 {
            let (sum, rest) = bytes.split_at_checked(width).ok_or_else(torn)?;
            *bytes = rest;
            let mut special = [0; 3];
            for count in &mut special {
                *count = i64::from_le_bytes(take(bytes)?);
            }
            far = Some(Box::new(Far { sum: BigInt::from_signed_bytes_le(sum), special }));
        }
        Ok(ExactSum { near, exponent, far })
    }
}

/// Splits off the first bytes.
///
/// # Errors
/// When there are fewer.
pub fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>().ok_or_else(torn)?;
    *bytes = rest;
    Ok(*first)
}

fn torn() -> DataFusionError {
    DataFusionError::Internal("an exact sum breaks off".to_owned())
}

fn shift_of(exponent: i32) -> u32 {
    (exponent - LEAST_EXPONENT).unsigned_abs()
}

/// A double as an odd integer (or zero) times a power of two; none if it is not finite.
fn parts(value: f64) -> Option<(i64, i32)> {
    if !value.is_finite() {
        return None;
    }
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or_default();
    let (number, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    if number == 0 {
        return Some((0, 0));
    }
    let zeros = number.trailing_zeros();
    let number = i64::try_from(number >> zeros).unwrap_or_default();
    Some((if value.is_sign_negative() { -number } else { number }, exponent + i32::try_from(zeros).unwrap_or_default()))
}

impl Scaled {
    /// An integer.
    pub fn whole(number: impl Into<BigInt>) -> Scaled {
        Scaled { number: number.into(), exponent: 0 }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.number.sign() == Sign::NoSign
    }

    /// Whether it is negative.
    pub fn is_negative(&self) -> bool {
        self.number.sign() == Sign::Minus
    }

    /// The product of two numbers.
    pub fn times(&self, other: &Scaled) -> Scaled {
        Scaled { number: &self.number * &other.number, exponent: self.exponent + other.exponent }
    }

    /// The difference of two numbers.
    pub fn minus(&self, other: &Scaled) -> Scaled {
        let exponent = self.exponent.min(other.exponent);
        let at = |scaled: &Scaled| &scaled.number << (scaled.exponent - exponent).unsigned_abs();
        Scaled { number: at(self) - at(other), exponent }
    }

    /// The double nearest to the quotient of two numbers; if two are equally near, the even one. The divisor must not be zero.
    pub fn over(&self, divisor: &Scaled) -> f64 {
        let is_negative = self.is_negative() != divisor.is_negative();
        let size = nearest(self.number.magnitude(), divisor.number.magnitude(), self.exponent - divisor.exponent);
        if is_negative && size != 0.0 { -size } else { size }
    }
}

/// The double nearest to `number / divisor * 2^exponent`.
fn nearest(number: &BigUint, divisor: &BigUint, exponent: i64) -> f64 {
    let bits = |number: &BigUint| i64::try_from(number.bits()).unwrap_or(i64::MAX / 4);
    if bits(number) == 0 {
        return 0.0;
    }
    // The quotient gets at least 65 bits. Its last bit is set if there is a remainder.
    let shift = (bits(divisor) + 66 - bits(number)).max(0);
    let (quotient, rest) = if *divisor == BigUint::from(1u8) {
        (number << shift.unsigned_abs(), BigUint::ZERO)
    } else {
        let shifted = number << shift.unsigned_abs();
        (&shifted / divisor, &shifted % divisor)
    };
    let dropped = bits(&quotient) - 64;
    let is_inexact = rest.bits() > 0 || quotient.trailing_zeros().is_some_and(|zeros| i64::try_from(zeros).unwrap_or_default() < dropped);
    let leading = (quotient >> dropped.unsigned_abs()).iter_u64_digits().next().unwrap_or_default();
    round(leading, is_inexact, exponent - shift + dropped)
}

/// The double nearest to an integer times a power of two. The first of the integer's 64 bits must be set. With `inexact` the number is a
/// little larger than that.
fn round(leading: u64, is_inexact: bool, exponent: i64) -> f64 {
    let magnitude = exponent + 63;
    if magnitude > 1023 {
        return f64::INFINITY;
    }
    // Below the smallest normal double the precision decreases bit by bit.
    let lost = 11 + (-1022 - magnitude).max(0);
    let Some(lost) = u32::try_from(lost).ok().filter(|lost| *lost <= 65) else { return 0.0 };
    let wide = u128::from(leading);
    let half = 1u128 << (lost - 1);
    let rest = wide & ((half << 1) - 1);
    let mut kept = u64::try_from(wide >> lost).unwrap_or_default();
    if rest > half || rest == half && (is_inexact || kept % 2 == 1) {
        kept += 1;
    }
    // It has at most 53 bits, so the conversion is exact, and so is the product with a power of two.
    #[expect(clippy::cast_precision_loss, reason = "it has at most 53 bits, or is two to the power of 53")]
    let kept = kept as f64;
    kept * power_of_two(exponent + i64::from(lost))
}

/// A power of two, from that of the smallest double to that of the largest.
fn power_of_two(exponent: i64) -> f64 {
    match exponent {
        -1022.. => f64::from_bits(((exponent + 1023).unsigned_abs()) << 52),
        _ => f64::from_bits(1 << (exponent + 1074).unsigned_abs()),
    }
}

impl Total {
    /// The double nearest to the quotient of a result and a count. The count must not be zero.
    pub fn over_count(&self, count: u64) -> f64 {
        match self {
            Total::Finite(scaled) => scaled.over(&Scaled::whole(count)),
            Total::Special(value) => *value,
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "sums are exact, to the last bit")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        for value in values {
            sum.add(*value, true);
        }
        sum.total().over_count(1)
    }

    #[test]
    fn a_sum_is_rounded_once() {
        assert_eq!(sum(&[1e16, 1.0, -1e16]), 1.0);
        assert_eq!(sum(&[1e308, 1e308, -1e308]), 1e308);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, 2f64.powi(969)]), f64::MAX);
        assert_eq!(sum(&[f64::MAX, 2f64.powi(970)]), f64::INFINITY);
        assert_eq!(sum(&[5e-324, 1e300, -1e300, 5e-324]), 1e-323);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[-0.0, -0.0]).to_bits(), 0);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        // What Python's math.fsum says of them.
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(&[2f64.powi(53), 1.0, 2f64.powi(-100)]), 2f64.powi(53) + 2.0);
        assert_eq!(sum(&[2f64.powi(53), 1.0]), 2f64.powi(53));
    }

    #[test]
    fn quotients_are_the_nearest_doubles() {
        for (number, divisor) in [(1i64, 3i64), (2, 3), (10, 4), (1, 10), (-7, 11), (i64::MAX, 3), (1, i64::MAX)] {
            #[expect(clippy::cast_precision_loss)]
            let expected = if number.abs() < 1 << 53 && divisor < 1 << 53 { number as f64 / divisor as f64 } else { f64::NAN };
            let found = Scaled::whole(number).over(&Scaled::whole(divisor));
            assert!(expected.is_nan() || expected.to_bits() == found.to_bits(), "{number} / {divisor}: {found}");
        }
    }

    fn any_double() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>().prop_filter("finite", |value| value.is_finite()),
            (-1000i32..1000).prop_map(f64::from),
            (-100_000i32..100_000).prop_map(|cents| f64::from(cents) / 100.0),
            prop_oneof![Just(-0.0), Just(5e-324), Just(f64::MAX), Just(f64::MIN_POSITIVE), Just(-5e-324)],
        ]
    }

    proptest! {
        #[test]
        fn a_sum_of_two_is_that_of_the_processor(one in any_double(), other in any_double()) {
            prop_assert_eq!(sum(&[one, other]), one + other);
        }

        #[test]
        fn a_product_and_a_quotient_are_those_of_the_processor(one in any_double(), other in any_double()) {
            let mut product = ExactSum::default();
            product.add_product(one, other, true);
            prop_assert_eq!(product.total().over_count(1), one * other);
            if let (Some((one_number, one_exponent)), Some((other_number, other_exponent))) = (parts(one), parts(other)) && other != 0.0 {
                let scaled = |number: i64, exponent: i32| Scaled { number: number.into(), exponent: exponent.into() };
                prop_assert_eq!(scaled(one_number, one_exponent).over(&scaled(other_number, other_exponent)), one / other);
            }
        }

        #[test]
        fn no_order_and_no_split_changes_a_sum(values in prop::collection::vec(any_double(), 0..40), at in 0usize..40, turn in any::<bool>()) {
            let at = at.min(values.len());
            let mut parts = [ExactSum::default(), ExactSum::default()];
            values[..at].iter().for_each(|value| parts[0].add(*value, true));
            values[at..].iter().rev().for_each(|value| parts[1].add(*value, true));
            let [mut one, other] = if turn { parts } else { let [a, b] = parts; [b, a] };
            let mut bytes = Vec::new();
            other.write(&mut bytes);
            one.merge(&ExactSum::read(&mut bytes.as_slice()).unwrap());
            prop_assert_eq!(one.total().over_count(1).to_bits(), sum(&values).to_bits());
            // What is taken away again leaves nothing.
            for value in &values {
                one.add(*value, false);
            }
            prop_assert_eq!(one.total().over_count(1), 0.0);
        }
    }
}
