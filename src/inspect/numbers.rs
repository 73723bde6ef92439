//! How a column writes its numbers: what stands between thousands and before the fraction, which currency, where the sign.

/// The signs and codes of currencies that stand beside numbers.
const CURRENCIES: [&str; 38] = [
    "US$", "R$", "A$", "C$", "€", "$", "£", "¥", "₹", "₽", "₺", "₩", "₪", "₫", "฿", "zł", "Kč", "kr.", "kr", "Ft", "lei", "EUR", "USD",
    "GBP", "CHF", "JPY", "CNY", "INR", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "AUD", "CAD", "BRL", "Fr.",
];

/// A space that is written within numbers.
const SPACES: [char; 4] = [' ', '\u{a0}', '\u{202f}', '\u{2009}'];

/// What a number leaves open when it is seen alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// It has no separator that could stand before a fraction.
    None,
    /// This one stands before the fraction.
    Is(char),
    /// This one stands before three digits: between thousands, or before a fraction.
    Either(char),
}

/// How a single number is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The currency, and the space between it and the number; before it if the flag says so.
    pub currency: Option<(&'static str, &'static str, bool)>,
    /// What stands between thousands.
    pub thousands: Option<char>,
    /// What stands before the fraction.
    pub point: Point,
    /// The digits before and after the point.
    pub digits: (usize, usize),
    /// Whether it is in parentheses.
    pub in_parentheses: bool,
    /// Whether the currency stands before the parentheses, as accountants write it.
    pub currency_before: bool,
    /// Whether a minus stands behind it.
    pub minus_behind: bool,
    /// Whether it ends with a percent sign.
    pub percent: bool,
    /// Whether it has a power of ten.
    pub exponent: bool,
}

/// How a text writes a number; none if it is none.
pub fn look(text: &str) -> Option<Look> {
    let mut rest = text.trim();
    if rest.is_empty() || rest.len() > 60 || !rest.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut found = Look {
        currency: None,
        thousands: None,
        point: Point::None,
        digits: (0, 0),
        in_parentheses: false,
        currency_before: false,
        minus_behind: false,
        percent: false,
        exponent: false,
    };
    if let Some(inner) = rest.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        (rest, found.in_parentheses) = (inner.trim(), true);
    }
    let mut signs = 0;
    let minus = |c: char| matches!(c, '-' | '+' | '\u{2212}');
    let mut trimmed = rest.strip_prefix(minus).unwrap_or(rest);
    signs += usize::from(trimmed.len() < rest.len());
    rest = trimmed.trim_start();
    if let Some((sign, after)) = CURRENCIES.iter().find_map(|sign| Some((*sign, rest.strip_prefix(*sign)?))) {
        let bare = after.trim_start();
        found.currency = Some((sign, if bare.len() < after.len() { " " } else { "" }, true));
        rest = bare;
        if let Some(inner) = rest.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).filter(|_| !found.in_parentheses) {
            (rest, found.in_parentheses, found.currency_before) = (inner.trim(), true, true);
        }
        trimmed = rest.strip_prefix(minus).unwrap_or(rest);
        signs += usize::from(trimmed.len() < rest.len());
        rest = trimmed;
    } else if let Some((sign, before)) = CURRENCIES.iter().find_map(|sign| Some((*sign, rest.strip_suffix(*sign)?))) {
        let bare = before.trim_end();
        found.currency = Some((sign, if bare.len() < before.len() { " " } else { "" }, false));
        rest = bare;
    }
    if let Some(before) = rest.strip_suffix('%') {
        (rest, found.percent) = (before.trim_end(), true);
    }
    if let Some(before) = rest.strip_suffix(['-', '\u{2212}']) {
        (rest, found.minus_behind) = (before.trim_end(), true);
        signs += 1;
    }
    if signs > 1 || (found.in_parentheses && signs > 0) {
        return None;
    }
    core(rest, &mut found).then_some(found)
}

/// Whether a text is a currency and a dash, as accountants write zero.
pub fn is_zero(text: &str) -> bool {
    let text = text.trim();
    CURRENCIES.iter().any(|sign| {
        let rest = text.strip_prefix(sign).or_else(|| text.strip_suffix(sign));
        rest.is_some_and(|rest| ["-", "\u{2013}", "\u{2014}"].contains(&rest.trim()))
    })
}

/// The digits and separators of a number.
fn core(text: &str, found: &mut Look) -> bool {
    if let Some((mantissa, power)) = text.split_once(['e', 'E']) {
        let power = power.strip_prefix(['-', '+']).unwrap_or(power);
        found.exponent = true;
        let is_plain = mantissa.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && mantissa.matches('.').count() <= 1;
        let is_power = (1..=3).contains(&power.len()) && power.bytes().all(|byte| byte.is_ascii_digit());
        found.point = Point::Is('.');
        found.digits = mantissa.split_once('.').map_or((mantissa.len(), 0), |(whole, fraction)| (whole.len(), fraction.len()));
        return is_plain && is_power && mantissa.bytes().any(|byte| byte.is_ascii_digit());
    }
    // Runs of digits, and what stands between them.
    let (mut runs, mut between, mut run) = (Vec::new(), Vec::new(), 0_usize);
    for c in text.chars() {
        if c.is_ascii_digit() {
            run += 1;
        } else if matches!(c, '.' | ',' | '\'' | '\u{2019}') || SPACES.contains(&c) {
            between.push(if SPACES.contains(&c) {
                ' '
            } else if c == '\u{2019}' {
                '\''
            } else {
                c
            });
            runs.push(run);
            run = 0;
        } else {
            return false;
        }
    }
    runs.push(run);
    let Some(&last) = between.last() else {
        found.digits = (run, 0);
        return run > 0;
    };
    let is_grouped = |runs: &[usize]| runs.len() > 1 && (1..=3).contains(&runs[0]) && runs[1..].iter().all(|run| *run == 3);
    let all_same = between.iter().all(|c| *c == last);
    if all_same && (between.len() > 1 || !matches!(last, '.' | ',')) {
        found.thousands = Some(last);
        found.digits = (runs.iter().sum(), 0);
        return is_grouped(&runs);
    }
    let (whole, fraction) = runs.split_at(runs.len() - 1);
    let before = &between[..between.len() - 1];
    found.digits = (whole.iter().sum(), fraction[0]);
    if before.is_empty() {
        let may_be_thousands = fraction[0] == 3 && (1..=3).contains(&whole[0]) && !text.starts_with('0');
        found.point = if may_be_thousands { Point::Either(last) } else { Point::Is(last) };
        return whole[0] + fraction[0] > 0;
    }
    found.thousands = before.first().copied();
    found.point = Point::Is(last);
    matches!(last, '.' | ',') && before.iter().all(|c| Some(*c) == found.thousands && *c != last) && is_grouped(whole)
}

/// How a column writes its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// What `format` says; none for plain numbers.
    pub format: Option<String>,
    /// The most digits before and after the point.
    pub digits: (usize, usize),
    /// How many of the numbers are not written so.
    pub others: usize,
    /// Whether some have powers of ten.
    pub has_exponents: bool,
    /// What could not be told.
    pub unsure: Option<String>,
    /// Currencies other than the one in the format.
    pub other_currency: bool,
}

/// The style of a column's numbers, all of which [`look`] knows. `likes_comma` says that the file separates fields by something else than commas.
pub fn style(looks: &[Look], likes_comma: bool) -> Option<Style> {
    let first = looks.first()?;
    let votes = |wanted: &dyn Fn(&Look) -> bool| looks.iter().filter(|look| wanted(look)).count();
    let comma = votes(&|look| look.point == Point::Is(',') || look.thousands == Some('.'));
    let point = votes(&|look| look.point == Point::Is('.') || look.thousands == Some(','));
    let either_comma = votes(&|look| look.point == Point::Either(','));
    let either_point = votes(&|look| look.point == Point::Either('.'));
    let (is_comma, unsure) = match (comma, point) {
        (0, 0) if either_comma + either_point == 0 => (false, None),
        (0, 0) => undecided(either_comma, either_point, likes_comma),
        (comma, point) => (comma > point, None),
    };
    let separators = [' ', '\''].into_iter().chain(if is_comma { ['.', '_'] } else { [',', '_'] });
    let either = if is_comma { Point::Either('.') } else { Point::Either(',') };
    let thousands = separators.into_iter().find(|c| looks.iter().any(|look| look.thousands == Some(*c)));
    let thousands = thousands.or_else(|| looks.iter().any(|look| look.point == either).then_some(if is_comma { '.' } else { ',' }));
    let mut style = Style { format: None, digits: (0, 0), others: 0, has_exponents: false, unsure, other_currency: false };
    let mut has_fraction = false;
    for look in looks {
        let (own, other) = if is_comma { (',', '.') } else { ('.', ',') };
        let fits = match look.point {
            Point::Is(c) => c == own,
            Point::Either(c) => c == own || (c == other && thousands == Some(other)),
            Point::None => true,
        } && (look.thousands.is_none() || look.thousands == thousands);
        let as_thousands = look.point == Point::Either(other);
        let digits = if as_thousands { (look.digits.0 + look.digits.1, 0) } else { look.digits };
        if fits {
            style.digits = (style.digits.0.max(digits.0), style.digits.1.max(digits.1));
            has_fraction |= digits.1 > 0;
            style.has_exponents |= look.exponent;
        } else {
            style.others += 1;
        }
    }
    let with_currency = looks.iter().find(|look| look.currency.is_some()).unwrap_or(first);
    style.other_currency =
        looks.iter().any(|look| look.currency.is_some_and(|(sign, ..)| with_currency.currency.is_some_and(|(own, ..)| own != sign)));
    let (percent, parentheses, behind) =
        (votes(&|look| look.percent), votes(&|look| look.in_parentheses), votes(&|look| look.minus_behind));
    if percent > 0 {
        style.others += looks.len() - percent;
    }
    let is_plain = thousands.is_none() && !is_comma && with_currency.currency.is_none() && percent + parentheses + behind == 0;
    if !is_plain {
        let (own, other) = if is_comma { (',', thousands) } else { ('.', thousands) };
        let mut text = format!("1{}234{own}56", other.map(String::from).unwrap_or_default());
        if percent > 0 {
            text += "%";
        }
        if behind > 0 {
            text += "-";
        }
        let is_before = looks.iter().any(|look| look.currency_before);
        if is_before {
            text = format!("({text})");
        }
        text = match with_currency.currency {
            Some((sign, space, true)) => format!("{sign}{space}{text}"),
            Some((sign, space, false)) => format!("{text}{space}{sign}"),
            None => text,
        };
        style.format = Some(if parentheses > 0 && !is_before { format!("({text})") } else { text });
    }
    if percent > 0 {
        style.digits.1 += 2;
    }
    let _ = has_fraction;
    Some(style)
}

/// Every number has one separator and three digits after it.
fn undecided(either_comma: usize, either_point: usize, likes_comma: bool) -> (bool, Option<String>) {
    let told = |sign: char| {
        format!(
            "UNSURE: every `{sign}` stands before three digits, so it may separate thousands or a fraction: look at amounts that you know"
        )
    };
    if either_comma > 0 && either_point > 0 {
        (likes_comma, Some("UNSURE: points and commas both stand before three digits".to_owned()))
    } else if either_comma > 0 {
        (false, Some(told(',')))
    } else {
        // Where a comma separates no fields, it may be the decimal comma.
        (likes_comma, Some(told('.')))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(texts: &[&str]) -> Style {
        let looks: Vec<Look> = texts.iter().map(|text| look(text).unwrap_or_else(|| panic!("{text}"))).collect();
        style(&looks, false).unwrap()
    }

    #[test]
    fn styles_are_told() {
        assert_eq!(of(&["$ 1,234.50", "$ (99.00)"]).format.as_deref(), Some("$ (1,234.56)"));
        assert!(is_zero("$ -") && is_zero(" - €") && !is_zero("-") && !is_zero("$ 1"));
        for (texts, format, digits) in [
            (&["1", "2.50", "-3.125"][..], None, (1, 3)),
            (&["1.234,56", "12,5"], Some("1.234,56"), (4, 2)),
            (&["1,234.56", "12.5"], Some("1,234.56"), (4, 2)),
            (&["1\u{202f}234,56", "3,1"], Some("1 234,56"), (4, 2)),
            (&["1'234.50", "3"], Some("1'234.56"), (4, 2)),
            (&["12,50", "3,1"], Some("1234,56"), (2, 2)),
            (&["€ 1.234,56", "€ 3,00"], Some("€ 1.234,56"), (4, 2)),
            (&["$1,234.56", "($3.00)"], Some("($1,234.56)"), (4, 2)),
            (&["1.234,56 EUR", "2,00 EUR"], Some("1.234,56 EUR"), (4, 2)),
            (&["12.5%", "3%"], Some("1234.56%"), (2, 3)),
            (&["12.50-", "3.00"], Some("1234.56-"), (2, 2)),
            (&["1,234", "12.50"], Some("1,234.56"), (4, 2)),
            (&["1.234", "12,50"], Some("1.234,56"), (4, 2)),
        ] {
            let style = of(texts);
            assert_eq!((style.format.as_deref(), style.digits, style.others), (format, digits, 0), "{texts:?}");
            assert_eq!(style.unsure, None, "{texts:?}");
        }
        assert!(of(&["1.234", "2.500"]).unsure.is_some() && of(&["1,234", "2,500"]).unsure.is_some());
        assert_eq!(of(&["1,5", "2.5", "3.5"]).others, 1);
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "1.2.3", "1,2,3", "--1", "(-1)", "a1", "1 2", "12:30", "1-2", "1e", "e5", "€", "1.23.456", "$", "()", "5 %%"] {
            assert_eq!(look(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_texts_have_some_style(texts in proptest::collection::vec("[-+()0-9.,' €$%eE]{0,12}", 0..8)) {
            let looks: Vec<Look> = texts.iter().filter_map(|text| look(text)).collect();
            style(&looks, true);
            style(&looks, false);
        }
    }
}
