//! Numbers as an extract writes them, with what stands around their digits: a currency, parentheses or a sign behind for one below zero, a
//! percent sign.

use crate::number::{NumberFormat, SPACES, hundredth};

/// How an extract writes numbers, told by how it writes 1234.56.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenNumber {
    digits: NumberFormat,
    around: Option<Around>,
}

/// What may stand around the digits of a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Around {
    /// The currency before the digits.
    before: Option<String>,
    /// The currency behind them.
    behind: Option<String>,
    /// Whether a number below zero is in parentheses.
    in_parentheses: bool,
    /// Whether its sign is behind.
    sign_behind: bool,
    /// Where the percent sign is.
    percent: Option<Side>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    Behind,
}

/// A sign, and those that some keyboards have in its place.
const PERCENT: [char; 4] = ['%', '\u{66a}', '\u{fe6a}', '\u{ff05}'];
const SIGNS: [char; 3] = ['-', '\u{2212}', '+'];

impl WrittenNumber {
    /// Reads how 1234.56 is written, such as `€ 1.234,56`, `(1,234.56)`, `1234.56-` or `1234,56 %`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(text: &str) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "it is not 1234.56, however that is written";
        let is_digit = |c: char| c.is_ascii_digit();
        let (Some(first), Some(last)) = (text.find(is_digit), text.rfind(is_digit)) else { return Err(UNKNOWN) };
        let (head, digits, tail) = (&text[..first], &text[first..=last], &text[last + 1..]);
        let digits = NumberFormat::of(digits).ok_or(UNKNOWN)?;
        let mut around = Around::default();
        let (mut opened, mut closed) = (0, 0);
        for token in
            tokens(head).into_iter().map(|token| (token, Side::Before)).chain(tokens(tail).into_iter().map(|token| (token, Side::Behind)))
        {
            match token {
                (Token::Open, Side::Before) => opened += 1,
                (Token::Close, Side::Behind) => closed += 1,
                (Token::Open | Token::Close, _) => return Err("its parentheses are not around the number"),
                (Token::Sign, Side::Before) => return Err("leave the sign off: one before a number is read in any case"),
                (Token::Sign, Side::Behind) if around.sign_behind => return Err("it has two signs"),
                (Token::Sign, Side::Behind) => around.sign_behind = true,
                (Token::Percent, _) if around.percent.is_some() => return Err("it has two percent signs"),
                (Token::Percent, side) => around.percent = Some(side),
                (Token::Currency(name), _) if name.contains(is_no_currency) || name.chars().all(is_separator) => {
                    return Err("a currency has no such character");
                }
                (Token::Currency(_), _) if around.before.is_some() || around.behind.is_some() => return Err("it has two currencies"),
                (Token::Currency(name), Side::Before) => around.before = Some(name.to_owned()),
                (Token::Currency(name), Side::Behind) => around.behind = Some(name.to_owned()),
            }
        }
        if opened != closed || opened > 1 {
            return Err("its parentheses are not one pair");
        }
        around.in_parentheses = opened == 1;
        if around.in_parentheses && around.sign_behind {
            return Err("it says in two ways how a number below zero is written");
        }
        if around.percent.is_some() && (around.before.is_some() || around.behind.is_some()) {
            return Err("it is in percent and in a currency");
        }
        Ok(WrittenNumber { digits, around: Some(around).filter(|around| *around != Around::default()) })
    }

    /// The part before the fraction.
    pub fn point(&self) -> char {
        self.digits.point()
    }

    /// Whether numbers are in percent.
    pub fn is_percent(&self) -> bool {
        self.around.as_ref().is_some_and(|around| around.percent.is_some())
    }

    /// Writes a number plainly, with a point and nothing around it; false where it is not written as the format says.
    #[inline]
    pub fn plain(&self, text: &str, plain: &mut String) -> bool {
        let Some(around) = &self.around else { return self.digits.plain(text, plain) };
        let Some((is_negative, digits)) = around.within(text, self.digits.point()) else { return false };
        if !self.digits.plain(digits, plain) {
            return false;
        }
        if is_negative {
            plain.insert(0, '-');
        }
        if around.percent.is_some() {
            *plain = hundredth(plain);
        }
        true
    }
}

impl Around {
    /// The digits of a number, and whether it is below zero; none where something else stands around them, or the same twice.
    fn within<'a>(&self, text: &'a str, point: char) -> Option<(bool, &'a str)> {
        let (mut sign, mut opened, mut closed, mut percent, mut currency) = (None, false, false, false, false);
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(SPACES);
            let after = rest.strip_prefix(SIGNS);
            if let Some(after) = after.filter(|_| sign.is_none()) {
                (sign, rest) = (rest.chars().next(), after);
            } else if let Some(after) = rest.strip_prefix('(').filter(|_| self.in_parentheses && !opened) {
                (opened, rest) = (true, after);
            } else if let Some(after) = self.before.as_deref().and_then(|name| rest.strip_prefix(name)).filter(|_| !currency) {
                (currency, rest) = (true, after);
            } else if let Some(after) = rest.strip_prefix(PERCENT).filter(|_| self.percent == Some(Side::Before) && !percent) {
                (percent, rest) = (true, after);
            } else {
                break;
            }
        }
        loop {
            rest = rest.trim_end_matches(SPACES);
            let before = rest.strip_suffix(SIGNS);
            if let Some(before) = before.filter(|_| self.sign_behind && sign.is_none()) {
                (sign, rest) = (rest.chars().next_back(), before);
            } else if let Some(before) = rest.strip_suffix(')').filter(|_| opened && !closed) {
                (closed, rest) = (true, before);
            } else if let Some(before) = self.behind.as_deref().and_then(|name| rest.strip_suffix(name)).filter(|_| !currency) {
                (currency, rest) = (true, before);
            } else if let Some(before) = rest.strip_suffix(PERCENT).filter(|_| self.percent == Some(Side::Behind) && !percent) {
                (percent, rest) = (true, before);
            } else {
                break;
            }
        }
        let is_right = opened == closed && !(opened && sign.is_some()) && percent == self.percent.is_some();
        let is_number = rest.starts_with(|c: char| c.is_ascii_digit() || c == point);
        (is_right && is_number).then_some((opened || sign.is_some_and(|sign| sign != '+'), rest))
    }
}

/// What stands beside the digits of an example.
#[derive(Clone, Copy)]
enum Token<'a> {
    Open,
    Close,
    Sign,
    Percent,
    /// A run of anything else.
    Currency(&'a str),
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let is_token = |c: char| "()".contains(c) || SIGNS.contains(&c) || PERCENT.contains(&c) || c.is_whitespace();
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let length = if is_token(c) { c.len_utf8() } else { rest.find(is_token).unwrap_or(rest.len()) };
        found.push(match c {
            '(' => Token::Open,
            ')' => Token::Close,
            c if SIGNS.contains(&c) => Token::Sign,
            c if PERCENT.contains(&c) => Token::Percent,
            _ => Token::Currency(&rest[..length]),
        });
        rest = rest[length..].trim_start();
    }
    found
}

/// What may stand within a currency, such as `kr.`, and is none by itself.
fn is_separator(c: char) -> bool {
    matches!(c, '.' | ',' | '\'' | '\u{2019}')
}

/// Whether a character would make the number another one: a digit of another script, a dash, or a share of a thousand.
fn is_no_currency(c: char) -> bool {
    c.is_numeric()
        || c.is_control()
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' | '\u{2030}' | '\u{2031}' | '\u{609}' | '\u{60a}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(format: &str, text: &str) -> Option<String> {
        let mut plain = String::new();
        WrittenNumber::of(format).unwrap().plain(text, &mut plain).then_some(plain)
    }

    /// Formats with how an amount is written in each: what is before the digits and behind them, above zero and below.
    const FORMATS: [(&str, [&str; 2], [&str; 2]); 12] = [
        ("€ 1.234,56", ["€ ", ""], ["€ -", ""]),
        ("€1.234,56", ["€\u{202f}", ""], ["-€", ""]),
        ("1.234,56 €", ["", "\u{a0}€"], ["\u{2212}", " €"]),
        ("CHF 1'234.56", ["CHF ", ""], ["-CHF ", ""]),
        ("R$ 1.234,56", ["R$", ""], ["-R$ ", ""]),
        ("1.234,56 kr.", ["", " kr."], ["-", " kr."]),
        ("Rs. 1,234.56", ["Rs.", ""], ["-Rs. ", ""]),
        ("($1,234.56)", ["$", ""], ["($", ")"]),
        ("(1,234.56) USD", ["", " USD"], ["(", ") USD"]),
        ("1234.56-", ["", ""], ["", "-"]),
        ("¥1,234.56-", ["¥", ""], ["¥", " \u{2212}"]),
        ("1 234,56 zł", ["", " zł"], ["-", "zł"]),
    ];

    proptest! {
        #[test]
        fn an_amount_comes_back_from_its_format(cents in 1..1_000_000_000_000_u64, is_negative: bool, grouped: bool, format in 0..FORMATS.len()) {
            let (sample, above, below) = FORMATS[format];
            let point = WrittenNumber::of(sample).unwrap().point();
            let whole = (cents / 100).to_string();
            let separator: String = sample.chars().skip_while(|c| *c != '1').skip(1).take_while(|c| *c != '2').collect();
            let mut digits = String::new();
            for (at, digit) in whole.chars().enumerate() {
                if grouped && at > 0 && (whole.len() - at) % 3 == 0 {
                    digits += &separator;
                }
                digits.push(digit);
            }
            let [before, behind] = if is_negative { below } else { above };
            let text = format!("{before}{digits}{point}{:02}{behind}", cents % 100);
            let known = format!("{}{whole}.{:02}", if is_negative { "-" } else { "" }, cents % 100);
            prop_assert_eq!(read(sample, &text), Some(known), "{} under {}", text, sample);
        }

        #[test]
        fn a_percentage_is_a_hundredth(units in -10_000_000_000_i64..10_000_000_000, places in 0..5_u32) {
            let scale = 10_i64.pow(places);
            let sign = if units < 0 { "-" } else { "" };
            let (whole, fraction) = (units.abs() / scale, units.abs() % scale);
            let text = if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0width$}", width = places as usize) };
            let plain = read("1234.56%", &format!("{text} %")).unwrap();
            let places = i8::try_from(places).unwrap();
            prop_assert_eq!(crate::number::decimal(&plain, 38, places + 2), Some(i128::from(units)));
            // And back, as numbers that are none of a format's are handed on.
            let percent = crate::number::hundredfold(&plain).unwrap();
            prop_assert_eq!(crate::number::decimal(&percent, 38, places), Some(i128::from(units)));
        }

        #[test]
        fn whatever_is_there_is_read_or_not(format in "[1€$(%-]{0,2}1[.,' ]?234[.,]56[€$)%-]{0,2}", text in "[-+€$()% .,0-9]{0,12}") {
            if let Ok(format) = WrittenNumber::of(&format) {
                let mut plain = String::new();
                if format.plain(&text, &mut plain) {
                    prop_assert!(crate::number::plain(&plain).is_some(), "{}", plain);
                    prop_assert_eq!(text.chars().filter(char::is_ascii_digit).count() <= plain.chars().filter(char::is_ascii_digit).count(), true);
                }
            }
        }
    }

    #[test]
    fn what_is_not_of_the_format_is_none() {
        for (format, texts) in [
            (
                "€ 1.234,56",
                &["12.50", "€ 12.50", "$ 12,50", "12,50 €", "€€ 1", "€", "--€ 1", "€ 1-", "(€ 1)", "1 2", "€ 1,5e3", "1,5 %"][..],
            ),
            ("1.234,56 EUR", &["1 eur", "EUR 1", "1 EU", "1 EUR EUR", "1 USD"]),
            ("(1,234.56)", &["(1", "1)", "((1))", "(-1)", "-(1)", "(1-)", "1-", "()", "(1)%"]),
            ("1234.56-", &["-1-", "1--", "(1)", "1-+", "1,5-"]),
            ("1234.56%", &["12.5", "12.5%%", "%12.5", "12,5%", "12.5 $", "%"]),
        ] {
            for text in texts {
                assert_eq!(read(format, text), None, "{text} under {format}");
            }
        }
        // The currency may be missing, and the sign of percent may not.
        assert_eq!(read("€ 1.234,56", "-12,50").as_deref(), Some("-12.50"));
        assert_eq!(read("1234.56%", "-0.05%").as_deref(), Some("-0.0005"));
    }

    #[test]
    fn an_example_that_contradicts_itself_is_refused() {
        for (format, why) in [
            ("$ 1234.56 EUR", "two currencies"),
            ("$ 1234.56 %", "percent and in a currency"),
            ("%1234.56%", "two percent signs"),
            ("(1234.56-)", "two ways"),
            ("(1234.56", "not one pair"),
            ("((1234.56))", "not one pair"),
            (")1234.56(", "around the number"),
            ("-1234.56", "leave the sign off"),
            ("1234.56--", "two signs"),
            ("1234.56‰", "no such character"),
            ("1.234,56.", "no such character"),
            ("1234.56 –", "no such character"),
            ("12,34.56", "not 1234.56"),
            ("€", "not 1234.56"),
        ] {
            assert!(WrittenNumber::of(format).unwrap_err().contains(why), "{format}: {:?}", WrittenNumber::of(format));
        }
    }
}
