//! Cheap tests of texts that may be read as one of some addresses or numbers: false only where they certainly are not.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// How many of the last digits of a number are compared: so few that a zero which is dialled within the country stands before them, also in the
/// shortest numbers.
const LAST_DIGITS: usize = 4;

/// A test for texts of which a function of this name may make one of some values; none for functions of which nothing is known.
pub fn likely(function: &str, values: &BTreeSet<String>) -> Option<ScalarUDF> {
    let test: Arc<dyn Fn(&str) -> bool + Send + Sync> = match function {
        "email_address" => {
            let values = Addresses::new(values);
            Arc::new(move |text| may_be_address(text, &values))
        }
        "phone_number" => {
            let endings: BTreeSet<Vec<u8>> = values.iter().map(|value| last_digits(value)).collect();
            Arc::new(move |text| may_be_number(text, &endings))
        }
        _ => return None,
    };
    let run = move |arguments: &[ColumnarValue]| {
        let (array, is_one) = match arguments {
            [ColumnarValue::Array(array)] => (Arc::clone(array), false),
            [ColumnarValue::Scalar(value)] => (value.to_array()?, true),
            _ => return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true)))),
        };
        let Some(texts) = array.as_string_opt::<i32>() else { return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true)))) };
        let found: BooleanArray = (0..texts.len()).map(|row| Some(texts.is_valid(row) && test(texts.value(row)))).collect();
        Ok(if is_one { ColumnarValue::Scalar(ScalarValue::Boolean(Some(found.value(0)))) } else { ColumnarValue::Array(Arc::new(found)) })
    };
    let name = format!("likely {function} of {} values", values.len());
    Some(create_udf(&name, vec![DataType::Utf8], DataType::Boolean, Volatility::Immutable, Arc::new(run)))
}

/// Addresses among which many texts are looked up.
struct Addresses {
    values: BTreeSet<String>,
    /// Whether one of them has this length and this first character, which few texts have.
    beginnings: Vec<bool>,
}

impl Addresses {
    fn new(values: &BTreeSet<String>) -> Self {
        let mut beginnings = vec![false; 1 << 16];
        for value in values {
            beginnings[Self::beginning(value)] = true;
        }
        Addresses { values: values.clone(), beginnings }
    }

    fn beginning(text: &str) -> usize {
        let first = text.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
        (usize::from(first) << 8) | text.len().min(255)
    }

    /// Whether a text of ASCII is one of them in whatever case.
    fn has(&self, text: &str) -> bool {
        self.beginnings[Self::beginning(text)] && self.values.contains(&text.to_ascii_lowercase())
    }
}

/// A text of the plain characters of addresses is an address only as it stands.
fn may_be_address(text: &str, values: &Addresses) -> bool {
    let text = text.trim_ascii();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+@".contains(&byte);
    let has_punycode = || text.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"xn--"));
    if !text.bytes().all(is_plain) || has_punycode() {
        return true;
    }
    values.has(text.trim_end_matches('.'))
}

/// A text of the plain characters of numbers ends in the digits of its number.
fn may_be_number(text: &str, endings: &BTreeSet<Vec<u8>>) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_digit() || b"+-./() ".contains(&byte);
    !text.bytes().all(is_plain) || endings.contains(&last_digits(text))
}

fn last_digits(text: &str) -> Vec<u8> {
    text.bytes().rev().filter(u8::is_ascii_digit).take(LAST_DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_is_read_as_an_address_may_be_that(text in "[ ]?[a-zA-C0-9.+@_é<,-]{0,4}[aX]@[.]?[a-zA-C0-9.-]{1,5}[.](com|xn--a|ORG)[.]{0,2}[ ]?") {
            if let Some(address) = crate::functions::email_address(&text) {
                prop_assert!(may_be_address(&text, &Addresses::new(&[address].into())));
            }
        }

        #[test]
        fn what_is_read_as_a_number_may_be_that(
            text in "([+]|00|0|)(44|49|1|33|39|54|52|55|7)?[ ./()-]{0,2}([0-9][ ./()-]?){6,13}",
            region in prop::sample::select(vec!["GB", "DE", "US", "IT", "AR", "MX", "BR", "RU"]),
        ) {
            if let Some(number) = crate::functions::phone_number(&text, region) {
                prop_assert!(may_be_number(&text, &[last_digits(&number)].into()), "{} is {}", text, number);
            }
        }
    }
}
