//! What a single text looks like: a number, a day, an address. These looks are cheap; what a choice of type makes of a value is asked of
//! the contract itself.

use super::{dates, numbers};

/// What a text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// Nothing, or space.
    Empty,
    /// Digits with a sign at most.
    Whole,
    /// Another number, with whatever separators and signs.
    Number,
    /// A day, perhaps with a time.
    Day,
    /// A time of day.
    Clock,
    /// A word for true or false.
    Truth,
    /// An e-mail address.
    Email,
    /// A URL.
    Url,
    /// An address of the internet protocol.
    Ip,
    /// Anything else.
    Text,
}

impl Look {
    /// What a text looks like.
    pub fn of(text: &str) -> Look {
        let text = text.trim();
        let Some(first) = text.bytes().next() else { return Look::Empty };
        if text.len() > 400 {
            return Look::Text;
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return Look::Whole;
        }
        if is_ip(text) {
            return Look::Ip;
        }
        if clock(text).is_some() {
            return Look::Clock;
        }
        if dates::shape(text).is_some() {
            return Look::Day;
        }
        if numbers::look(text).is_some() {
            return Look::Number;
        }
        if is_email(text) {
            return Look::Email;
        }
        if first.is_ascii_alphabetic() && ["http://", "https://", "www."].iter().any(|begin| text.starts_with(begin)) {
            return Look::Url;
        }
        if ["true", "false", "yes", "no"].iter().any(|word| text.eq_ignore_ascii_case(word)) { Look::Truth } else { Look::Text }
    }

    /// Whether it is something that no name of a column looks like.
    pub fn is_data(self) -> bool {
        !matches!(self, Look::Empty | Look::Text)
    }
}

/// Whether a text is an e-mail address, as far as one can see.
pub fn is_email(text: &str) -> bool {
    let text = text.trim().trim_start_matches('<').trim_end_matches('>');
    let Some((local, domain)) = text.split_once('@') else { return false };
    let fits = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "@,;<>\"".contains(c));
    fits(local) && fits(domain) && domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.')
}

/// Whether a text is an address of the internet protocol, version 4 or 6.
pub fn is_ip(text: &str) -> bool {
    text.len() <= 45 && text.contains(['.', ':']) && text.parse::<std::net::IpAddr>().is_ok_and(|address| !address.is_unspecified())
}

/// The format of a time of day such as `14:05`, `14:05:59.5` or `2:05 PM`.
pub fn clock(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_digit()) || text.len() > 20 {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let (bare, has_half) = match lower.strip_suffix("am").or_else(|| lower.strip_suffix("pm")) {
        Some(bare) => (bare.trim_end().to_owned(), true),
        None => (lower, false),
    };
    let mut parts = bare.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next());
    let (second, fraction) = match second.map(|second| second.split_once('.').map_or((second, None), |(whole, part)| (whole, Some(part)))) {
        Some((second, fraction)) => (Some(second), fraction),
        None => (None, None),
    };
    let number = |part: &str, most: u32| (1..=2).contains(&part.len()) && part.parse::<u32>().is_ok_and(|value| value < most);
    let is_fraction = fraction.is_none_or(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let fits =
        parts.next().is_none() && number(hour, if has_half { 13 } else { 24 }) && minute.len() == 2 && number(minute, 60) && is_fraction;
    if !fits || second.is_some_and(|second| second.len() != 2 || !number(second, 60)) {
        return None;
    }
    Some(match (has_half, second.is_some(), fraction.is_some()) {
        (false, false, _) => "%H:%M",
        (false, true, false) => "%H:%M:%S",
        (false, true, true) => "%H:%M:%S%.f",
        (true, false, _) => "%I:%M %p",
        (true, true, false) => "%I:%M:%S %p",
        (true, true, true) => "%I:%M:%S%.f %p",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_look_like_what_they_are() {
        for (text, look) in [
            ("", Look::Empty),
            ("  ", Look::Empty),
            ("-12", Look::Whole),
            ("1.234,56 €", Look::Number),
            ("(12.50)", Look::Number),
            ("2026-11-01", Look::Day),
            ("1/2/2026 3:04 PM", Look::Day),
            ("14:05", Look::Clock),
            ("24:05", Look::Text),
            ("ann@example.com", Look::Email),
            ("https://example.com/a", Look::Url),
            ("192.0.2.1", Look::Ip),
            ("2001:db8::1", Look::Ip),
            ("Yes", Look::Truth),
            ("1.2.3", Look::Text),
            ("order id", Look::Text),
            ("a@b", Look::Text),
        ] {
            assert_eq!(Look::of(text), look, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_looks_like_something(text in "\\PC{0,60}") {
            Look::of(&text);
        }
    }
}
