//! Functions of Segmill's own in SQL: e-mail addresses and phone numbers in the one form that they are compared in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use phonelib::PhoneNumber;
use unicode_normalization::UnicodeNormalization;

/// The most characters an address may have (RFC 5321).
const MAX_ADDRESS: usize = 254;
/// The digits of a number with its country code: E.164 allows no more, and fewer reach nobody.
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// The functions, for an engine to know:
///
/// - `email_address(text)`: trimmed, lower-cased, in Unicode's composed form (NFC); null when it is no address
/// - `email_mailbox(text)`: the same, and of Gmail the mailbox that an address leads to: dots and `+tags` make no other
/// - `phone_number(text, region)`: in E.164 (`+447700900123`), where a number without a country code is of the region
///   (`GB`); null when it is no number
pub fn all() -> Vec<ScalarUDF> {
    let text = || DataType::Utf8;
    let function = |name: &str, arguments: usize, of: fn(&str, &str) -> Option<String>| {
        let evaluate = move |values: &[ColumnarValue]| evaluate(values, of);
        create_udf(name, vec![text(); arguments], text(), Volatility::Immutable, Arc::new(evaluate))
    };
    vec![
        function("email_address", 1, |text, _| email_address(text)),
        function("email_mailbox", 1, |text, _| email_mailbox(text)),
        function("phone_number", 2, phone_number),
    ]
}

fn evaluate(values: &[ColumnarValue], of: fn(&str, &str) -> Option<String>) -> Result<ColumnarValue, DataFusionError> {
    let arrays = ColumnarValue::values_to_arrays(values)?;
    let texts = arrays[0].as_string::<i32>();
    let options = arrays.get(1).map(AsArray::as_string::<i32>);
    // Events of one address often stand together.
    let mut last: Option<(&str, &str, Option<String>)> = None;
    let mut found = Vec::with_capacity(texts.len());
    for (row, text) in texts.iter().enumerate() {
        let option = options.map_or(Some(""), |options| (!options.is_null(row)).then(|| options.value(row)));
        found.push(match (text, option, &last) {
            (Some(text), Some(option), Some((same, with, value))) if *same == text && *with == option => value.clone(),
            (Some(text), Some(option), _) => {
                let value = of(text, option);
                last = Some((text, option, value.clone()));
                value
            }
            _ => None,
        });
    }
    if values.iter().all(|value| matches!(value, ColumnarValue::Scalar(_))) {
        return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(found.into_iter().next().flatten())));
    }
    Ok(ColumnarValue::Array(Arc::new(found.into_iter().collect::<StringArray>()) as ArrayRef))
}

/// An e-mail address in the form that it is compared in.
pub fn email_address(text: &str) -> Option<String> {
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{200b}' || c == '\u{feff}');
    let address =
        if trimmed.is_ascii() { trimmed.to_ascii_lowercase() } else { trimmed.nfc().collect::<String>().to_lowercase().nfc().collect() };
    let (mailbox, domain) = address.split_once('@')?;
    let dotted = domain.split_once('.').is_some_and(|(name, rest)| !name.is_empty() && !rest.is_empty());
    let sound = !mailbox.is_empty() && dotted && !domain.contains('@') && !domain.ends_with('.');
    let fits = address.len() <= MAX_ADDRESS && !address.contains(|c: char| c.is_whitespace() || c.is_control());
    (sound && fits).then_some(address)
}

fn email_mailbox(text: &str) -> Option<String> {
    let address = email_address(text)?;
    let (mailbox, domain) = address.split_once('@')?;
    if domain != "gmail.com" && domain != "googlemail.com" {
        return Some(address);
    }
    let mailbox = mailbox.split('+').next().unwrap_or_default().replace('.', "");
    (!mailbox.is_empty()).then(|| format!("{mailbox}@gmail.com"))
}

/// A phone number in E.164; one without a country code is of the region.
pub fn phone_number(text: &str, region: &str) -> Option<String> {
    let trimmed = text.trim();
    if let Some(number) = PhoneNumber::parse_with_country(trimmed, region) {
        let number = number.e164();
        return within_limits(number).then(|| number.to_owned());
    }
    // Numbering plans change faster than what is known of them: a number that says its country is taken as it is written.
    let digits: String = trimmed.chars().filter(char::is_ascii_digit).collect();
    let punctuated = trimmed.chars().all(|c| c.is_ascii_digit() || "+-./() \u{a0}".contains(c));
    let international = match trimmed.strip_prefix('+') {
        Some(_) => Some(format!("+{digits}")),
        None => digits.strip_prefix("00").map(|rest| format!("+{rest}")),
    };
    international.filter(|number| punctuated && within_limits(number))
}

fn within_limits(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| NUMBER_DIGITS.contains(&digits.len()) && !digits.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_in_all_its_spellings_is_one() {
        for text in ["ann@mail.example", " Ann@Mail.Example ", "\u{feff}ANN@MAIL.EXAMPLE\u{a0}", "ann@mail.example\n"] {
            assert_eq!(email_address(text).as_deref(), Some("ann@mail.example"), "{text:?}");
        }
        // An e with an accent on it, or an e and an accent after it.
        assert_eq!(email_address("RENE\u{301}@mail.example"), email_address("ren\u{e9}@mail.example"));
        for text in
            ["", "no at sign", "two@at@mail.example", "nodot@localhost", "@mail.example", "a b@mail.example", "ann@mail.", "ann@.example"]
        {
            assert_eq!(email_address(text), None, "{text:?}");
        }
    }

    #[test]
    fn gmail_ignores_dots_and_tags_and_others_do_not() {
        assert_eq!(email_mailbox("A.nn+shop@googlemail.com").as_deref(), Some("ann@gmail.com"));
        assert_eq!(email_mailbox("a.nn+shop@mail.example").as_deref(), Some("a.nn+shop@mail.example"));
        assert_eq!(email_address("a.nn+shop@gmail.com").as_deref(), Some("a.nn+shop@gmail.com"));
    }

    #[test]
    fn one_number_in_all_its_spellings_is_one() {
        let spellings = [
            "07700 900123",
            "(07700) 900-123",
            "+44 7700 900123",
            "+44 (0)7700 900123",
            "+44 ( 0 )7700 900123",
            "+44 07700 900123",
            "0044 7700.900123",
            "447700900123",
            " 07700 900123 ext 5",
            "tel:+447700900123",
        ];
        for text in spellings {
            assert_eq!(phone_number(text, "GB").as_deref(), Some("+447700900123"), "{text}");
        }
        assert_eq!(phone_number("0151 23456789", "DE").as_deref(), Some("+4915123456789"));
        assert_eq!(phone_number("+33 6 12 34 56 78", "GB").as_deref(), Some("+33612345678"));
        // Longer than France's plan has them, as far as is known.
        assert_eq!(phone_number("+33 5550 001234", "GB").as_deref(), Some("+335550001234"));
        assert_eq!(phone_number("0033 5550 001234", "GB").as_deref(), Some("+335550001234"));
        for text in ["", "none", "0123", "+4477009001234567", "+07700900123", "call me", "+44 call 7700 900123 at 9"] {
            assert_eq!(phone_number(text, "GB"), None, "{text}");
        }
    }
}
