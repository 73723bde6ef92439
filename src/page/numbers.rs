//! Numbers as the report's language writes them.
//!
//! Digits, points and groups are ICU4X's. Amounts are exact until they are shown, and then rounded half to even. A language that is not known is
//! written as English.

use icu_decimal::DecimalFormatter;
use icu_decimal::input::Decimal;
use icu_decimal::options::DecimalFormatterOptions;
use icu_locale_core::Locale;

use super::amounts::{self, number};
use super::locale::{self, Currency, Percent};
use super::markup::Markup;
use crate::figures::types::{Amount, Figure};

/// The sign of a number below 0: wider than a hyphen, and not a place to break a line.
const MINUS: &str = "\u{2212}";
/// A space at which no line breaks.
const NO_BREAK: &str = "\u{a0}";
/// What stands where there is no number.
pub const NOTHING: &str = "–";

/// From how much on an amount is written in short, and how: in thousands, millions and so on.
const SHORT: [(u8, &str); 4] = [(12, "tn"), (9, "bn"), (6, "m"), (3, "k")];

/// Writes numbers in the report's language.
#[derive(Debug)]
pub struct Numbers {
    formatter: Option<DecimalFormatter>,
    percent: Percent,
    place: Currency,
    sign: Option<String>,
    /// Groups of fewer customers are not broken down.
    pub minimum: u64,
}

impl Numbers {
    /// For a language tag such as `en-GB`, and a currency such as `GBP`.
    pub fn new(tag: &str, currency: Option<&str>, minimum: u64) -> Self {
        let parsed = tag.parse::<Locale>().ok();
        let english = || "en".parse::<Locale>().ok();
        let locale = parsed.clone().or_else(english);
        let options = DecimalFormatterOptions::default();
        let formatter = locale.and_then(|locale| DecimalFormatter::try_new(locale.into(), options).ok());
        let language = parsed.as_ref().map_or("en".to_owned(), |parsed| parsed.id.language.to_string());
        let region = parsed.as_ref().and_then(|parsed| parsed.id.region).map(|region| region.to_string());
        let place = format!("{language}-{}", region.as_deref().unwrap_or_default());
        Numbers {
            formatter,
            percent: locale::percent(&language, &place),
            place: locale::currency(&language, &place),
            sign: currency.filter(|code| !code.trim().is_empty()).map(|code| locale::sign(code, region.as_deref())),
            minimum,
        }
    }

    /// A count, such as `1,204`.
    pub fn plain(&self, count: u64) -> String {
        self.written(i128::from(count), 0)
    }

    /// A count with its exact value for programs.
    pub fn count(&self, count: u64) -> Markup {
        data(&count.to_string(), &self.plain(count))
    }

    /// A count that may be missing.
    pub fn maybe(&self, count: Option<u64>) -> Markup {
        count.map_or_else(|| Markup::text(NOTHING), |count| self.count(count))
    }

    /// Whether so many customers are too few to be told apart: a revenue of one is a value of one.
    pub fn is_small(&self, customers: u64) -> bool {
        customers > 0 && customers < self.minimum
    }

    /// A part of a group: `fewer than 10` where so few are not told.
    pub fn group(&self, customers: u64) -> Markup {
        if self.is_small(customers) { Markup::text(&self.fewer()) } else { self.count(customers) }
    }

    /// A part of a group, as text.
    pub fn plain_group(&self, customers: u64) -> String {
        if self.is_small(customers) { self.fewer() } else { self.plain(customers) }
    }

    fn fewer(&self) -> String {
        format!("fewer than{NO_BREAK}{}", self.plain(self.minimum))
    }

    /// A count of customers with the noun.
    pub fn customers(&self, customers: u64) -> Markup {
        self.counted(customers, "customer", "customers")
    }

    /// A count with its noun, of one and of several.
    pub fn counted(&self, count: u64, one: &str, several: &str) -> Markup {
        let mut markup = self.count(count);
        markup.push_text(NO_BREAK);
        markup.push_text(if count == 1 { one } else { several });
        markup
    }

    /// A share such as `12.3%`.
    pub fn percent(&self, share: f64) -> String {
        if !share.is_finite() {
            return NOTHING.to_owned();
        }
        let tenths = whole(share.abs() * 1000.0);
        let sign = if share < 0.0 && tenths > 0 { MINUS } else { "" };
        if tenths == 0 && share != 0.0 {
            return format!("<{}", self.with_percent(&self.written(1, 1)));
        }
        format!("{sign}{}", self.with_percent(&self.written(tenths, 1)))
    }

    /// A share for a sentence: `38%`, and `2.4%` below ten.
    pub fn about(&self, share: f64) -> String {
        if !share.is_finite() || share.abs() < 0.0995 {
            return self.percent(share);
        }
        let sign = if share < 0.0 { MINUS } else { "" };
        format!("{sign}{}", self.with_percent(&self.written(whole(share.abs() * 100.0), 0)))
    }

    /// A part of a whole in percent; nothing of nothing.
    pub fn share(&self, part: u64, whole: u64) -> String {
        if whole == 0 { NOTHING.to_owned() } else { self.percent(amounts::share(part, whole)) }
    }

    /// A number that was computed, with one digit after the point up to 100.
    pub fn decimal(&self, number: f64) -> String {
        if !number.is_finite() || number.abs() >= 1e15 {
            return NOTHING.to_owned();
        }
        let places = u8::from(number.abs() < 99.95);
        let units = whole(number.abs() * if places == 0 { 1.0 } else { 10.0 });
        let sign = if number < 0.0 && units > 0 { MINUS } else { "" };
        format!("{sign}{}", self.written(units, places))
    }

    /// Digits with a point as the locale writes them, such as a number of another text; `None` if it is none.
    pub fn retold(&self, digits: &str) -> Option<String> {
        let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| (MINUS, rest));
        let plain: String = digits.chars().filter(|character| *character != ',').collect();
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        let places = u8::try_from(fraction.len()).ok().filter(|places| *places < 10)?;
        let is_number = !whole.is_empty() && whole.len() < 16 && format!("{whole}{fraction}").bytes().all(|byte| byte.is_ascii_digit());
        let units = is_number.then(|| format!("{whole}{fraction}").parse::<i128>().ok()).flatten()?;
        Some(format!("{sign}{}", self.written(units, places)))
    }

    /// Digits with the sign for percent.
    pub fn with_percent(&self, digits: &str) -> String {
        match self.percent {
            Percent::Close => format!("{digits}%"),
            Percent::Apart => format!("{digits}{NO_BREAK}%"),
            Percent::Before => format!("%{digits}"),
        }
    }

    /// An amount in whole units, or with two digits after the point if it is below 100.
    pub fn plain_amount(&self, amount: Amount) -> String {
        let is_whole = amount.unscaled == 0 || number(amount).abs() >= 100.0;
        let places = if is_whole { 0 } else { amount.scale.min(2) };
        self.amount_in(amounts::rounded(amount, places), places, "")
    }

    /// An amount with its exact value for programs.
    pub fn amount(&self, amount: Amount) -> Markup {
        data(&amounts::digits(amount), &self.plain_amount(amount))
    }

    /// An amount that may be missing.
    pub fn maybe_amount(&self, amount: Option<Amount>) -> Markup {
        amount.map_or_else(|| Markup::text(NOTHING), |amount| self.amount(amount))
    }

    /// An amount in short, such as `£310k` or `£1.2m`.
    pub fn short_amount(&self, amount: Amount) -> String {
        self.shortened(amount).unwrap_or_else(|| self.plain_amount(amount))
    }

    /// An amount to two digits, so that what is left of a sum tells nothing of a customer.
    pub fn rough_amount(&self, amount: Amount) -> String {
        let digits = amounts::rounded(amount, 0).unsigned_abs().to_string().len();
        let step = 10i128.checked_pow(u32::try_from(digits.saturating_sub(2)).unwrap_or(0)).unwrap_or(1);
        let scale = u8::try_from(digits.saturating_sub(2)).unwrap_or(0);
        let scaled = Amount { unscaled: amount.unscaled, scale: amount.scale.saturating_add(scale) };
        match amounts::rounded(scaled, 0).checked_mul(step) {
            Some(unscaled) => self.short_amount(Amount { unscaled, scale: 0 }),
            None => NOTHING.to_owned(),
        }
    }

    /// A count in short where it is a million or more.
    pub fn short_count(&self, count: u64) -> String {
        if count < 1_000_000 {
            return self.plain(count);
        }
        let (power, letter) = if count < 1_000_000_000 { (6, "m") } else { (9, "bn") };
        let tenths = amounts::rounded(Amount { unscaled: i128::from(count), scale: power }, 1);
        let digits = if tenths % 10 == 0 { self.written(tenths / 10, 0) } else { self.written(tenths, 1) };
        format!("{digits}{letter}")
    }

    /// A figure in short.
    pub fn short(&self, figure: Figure) -> String {
        match figure {
            Figure::Count(count) => self.short_count(count),
            Figure::Amount(amount) => self.short_amount(amount),
        }
    }

    /// A figure in short with its exact value for programs.
    pub fn short_figure(&self, figure: Figure) -> Markup {
        let exact = match figure {
            Figure::Count(count) => count.to_string(),
            Figure::Amount(amount) => amounts::digits(amount),
        };
        data(&exact, &self.short(figure))
    }

    /// A figure in full, as text.
    pub fn plain_figure(&self, figure: Figure) -> String {
        match figure {
            Figure::Count(count) => self.plain(count),
            Figure::Amount(amount) => self.plain_amount(amount),
        }
    }

    /// A figure in full.
    pub fn figure(&self, figure: Figure) -> Markup {
        match figure {
            Figure::Count(count) => self.count(count),
            Figure::Amount(amount) => self.amount(amount),
        }
    }

    fn shortened(&self, amount: Amount) -> Option<String> {
        let size = number(amount).abs();
        // What would be rounded up to the next letter has that letter: 999,999 is 1.0m.
        let (power, letter) = SHORT.iter().find(|(power, _)| size >= 10f64.powi(i32::from(*power)) * 0.9995)?;
        let scaled = Amount { unscaled: amount.unscaled, scale: amount.scale.checked_add(*power)? };
        let tenths = amounts::rounded(scaled, 1);
        if *power == 3 && size < 9_950.0 {
            return None;
        }
        // Three digits that count are enough: £8.9m, £310k.
        if tenths.abs() >= 1000 || *power == 3 || tenths % 10 == 0 {
            return Some(self.amount_in(amounts::rounded(scaled, 0), 0, letter));
        }
        Some(self.amount_in(tenths, 1, letter))
    }

    fn amount_in(&self, units: i128, places: u8, letter: &str) -> String {
        let minus = if units < 0 { MINUS } else { "" };
        let digits = self.written(i128::try_from(units.unsigned_abs()).unwrap_or(i128::MAX), places);
        let Some(sign) = &self.sign else { return format!("{minus}{digits}{letter}") };
        // A code needs a space before the digits.
        let is_word = sign.chars().last().is_some_and(char::is_alphanumeric);
        match self.place {
            Currency::Before if !is_word => format!("{minus}{sign}{digits}{letter}"),
            Currency::Before | Currency::BeforeApart => format!("{minus}{sign}{NO_BREAK}{digits}{letter}"),
            Currency::After => format!("{minus}{digits}{letter}{NO_BREAK}{sign}"),
        }
    }

    /// A number of 10^`-places`, which is not below 0.
    fn written(&self, units: i128, places: u8) -> String {
        let mut decimal = Decimal::from(units);
        decimal.multiply_pow10(-i16::from(places));
        match &self.formatter {
            Some(formatter) => formatter.format(&decimal).to_string(),
            None => decimal.to_string(),
        }
    }
}

/// A number for programs and its text for people.
fn data(value: &str, text: &str) -> Markup {
    let mut markup = Markup::default();
    markup.push_data(value, text);
    markup
}

/// The nearest whole number, half to even.
#[allow(clippy::cast_possible_truncation, reason = "a conversion from a float takes the nearest that there is")]
fn whole(number: f64) -> i128 {
    number.round_ties_even() as i128
}
