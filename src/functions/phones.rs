//! Phone numbers: reads them as extracts write them, and brings them into the normal form in which they are compared.

use std::borrow::Cow;

use phonelib::PhoneNumber;

use super::text::tidy;

/// The digits of a number with its country code: E.164 allows no more, and fewer reach nobody.
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// The most bytes of a text that is read as one number.
const MAX_WRITTEN_BYTES: usize = 128;
/// The URIs that name a number.
const SCHEMES: [&str; 5] = ["tel:", "sms:", "callto:", "whatsapp:", "phone:"];
/// Words that introduce an extension, which is not part of the number.
const EXTENSIONS: [&str; 4] = ["extension", "ext", "x", "#"];
/// Characters that may surround a number without being part of it.
const AROUND: &str = "'\"`,;:<>[]{} ";

/// A phone number in E.164; one without a country code is of the region.
pub fn phone_number(text: &str, region: &str) -> Option<String> {
    let text = tidy(text);
    number(&text, region)
}

/// Every phone number that can be read in a text, in E.164.
pub(super) fn phone_numbers(text: &str, region: &str) -> Vec<String> {
    let text = tidy(text);
    // The whole, too: a number may have a comma in it.
    let mut found: Vec<String> = number(&text, region).into_iter().collect();
    for part in text.split([',', ';', '|']) {
        match number(part, region) {
            Some(number) => found.push(number),
            None => found.extend(part.split('/').filter_map(|part| number(part, region))),
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn number(text: &str, region: &str) -> Option<String> {
    // An address may have a number in it.
    if text.len() > MAX_WRITTEN_BYTES || text.contains('@') {
        return None;
    }
    let text = of_uri(text.trim_matches(|c| AROUND.contains(c)));
    let text = without_extension(text.trim_matches(|c| AROUND.contains(c)));
    let known = |text: &str| PhoneNumber::parse_with_country(text, region).map(|number| number.e164().to_owned());
    if let Some(number) = known(text) {
        return Some(number).filter(|number| within_limits(number));
    }
    // Numbering plans change faster than what is known of them: a number that says its country is taken as it is written.
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let punctuated = text.chars().all(|c| c.is_ascii_digit() || "+-./() ".contains(c));
    let international = match text.strip_prefix('+') {
        Some(_) => Some(format!("+{digits}")),
        None => digits.strip_prefix("00").map(|rest| format!("+{rest}")),
    };
    let written = international.filter(|number| punctuated && within_limits(number))?;
    // Without odd punctuation it may be known after all.
    known(&written).map_or(Some(written), |number| Some(number).filter(|number| within_limits(number)))
}

/// The number of a URI (RFC 3966), with the country that its context names.
fn of_uri(text: &str) -> Cow<'_, str> {
    let is_of = |scheme: &&&str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let Some(scheme) = SCHEMES.iter().find(is_of) else { return Cow::Borrowed(text) };
    let mut parts = text[scheme.len()..].split([';', '?']);
    let number = parts.next().unwrap_or_default().trim_start_matches('/');
    let context = parts.find_map(|part| part.trim().strip_prefix("phone-context=")).filter(|context| context.starts_with('+'));
    match context {
        Some(context) if !number.starts_with('+') => Cow::Owned(format!("{context} {number}")),
        _ => Cow::Borrowed(number),
    }
}

fn without_extension(text: &str) -> &str {
    let before = text.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches([' ', '.', ':', '=']);
    let ends_with = |word: &&&str| {
        let start = before.len().checked_sub(word.len());
        start.and_then(|start| before.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(word))
    };
    match EXTENSIONS.iter().find(ends_with) {
        Some(word) if before.len() < text.len() => before[..before.len() - word.len()].trim_end_matches([' ', ';', ',', '(']),
        _ => text,
    }
}

fn within_limits(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| NUMBER_DIGITS.contains(&digits.len()) && !digits.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            "07700 900123 x5",
            "07700 900123 (ext. 12",
            "07700900123;ext=5",
            "07700 900123 #5",
            "tel:+447700900123",
            "TEL:+44-7700-900-123;ext=5",
            "tel:07700900123;phone-context=+44",
            "sms:+447700900123?body=STOP",
            "\u{ff0b}\u{ff14}\u{ff14}7700900123",
            "0\u{ff17}\u{ff17}00\u{3000}900123",
            "07700\u{a0}900\u{202f}123",
            "07700\u{2011}900\u{2013}123",
            "077\u{200b}00 900\u{ad}123\u{feff}",
            "\u{202a}+447700900123\u{202c}",
            "\u{660}\u{667}\u{667}00900123",
            "'+447700900123",
            "\"07700 900123\";",
        ];
        for text in spellings {
            assert_eq!(phone_number(text, "GB").as_deref(), Some("+447700900123"), "{text:?}");
        }
        assert_eq!(phone_number("0151 23456789", "DE").as_deref(), Some("+4915123456789"));
        assert_eq!(phone_number("0151/23456789", "DE").as_deref(), Some("+4915123456789"));
        assert_eq!(phone_number("+33 6 12 34 56 78", "GB").as_deref(), Some("+33612345678"));
        // Longer than France's plan has them, as far as is known.
        assert_eq!(phone_number("+33 5550 001234", "GB").as_deref(), Some("+335550001234"));
        assert_eq!(phone_number("0033 5550 001234", "GB").as_deref(), Some("+335550001234"));
        // Brackets that do not close are no reason to read another number.
        assert_eq!(phone_number("+95010000(0", "GB"), phone_number("+950100000", "GB"));
        let none = ["", "none", "n/a", "0123", "+4477009001234567", "+07700900123", "call me", "+44 call 7700 900123 at 9"];
        for text in none.into_iter().chain(["bob07700900123@mail.example", "-", "NULL"]) {
            assert_eq!(phone_number(text, "GB"), None, "{text}");
        }
    }

    #[test]
    fn several_numbers_of_a_text_are_all_found() {
        let both = ["+447700900123", "+447700900124"];
        for text in [
            "07700 900123, 07700 900124",
            "07700900123;+447700900124",
            "07700 900123 / 07700 900124",
            "a@b.example, 07700900123|tel:07700900124",
        ] {
            assert_eq!(phone_numbers(text, "GB"), both, "{text}");
        }
        assert_eq!(phone_numbers("0151/23456789", "DE"), ["+4915123456789"]);
        assert_eq!(phone_numbers("n/a", "GB"), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_text_is_a_number_or_none_and_a_number_stays_itself(text in "(?s).{0,40}|[0-9+() -]{0,24}") {
            if let Some(number) = phone_number(&text, "GB") {
                prop_assert!(within_limits(&number));
                prop_assert_eq!(phone_number(&number, "GB"), Some(number.clone()), "{}", text);
                prop_assert_eq!(phone_numbers(&text, "GB"), [number]);
            }
        }
    }
}
