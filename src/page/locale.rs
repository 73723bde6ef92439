//! Where a language puts the signs for percent and currency, and the signs themselves. ICU4X tells how digits are written, and does not tell
//! these yet other than as an experiment; they are from the CLDR, in which a language and some of its countries decide.

/// How percents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Percent {
    /// `12%`
    Close,
    /// `12 %`
    Apart,
    /// `%12`
    Before,
}

/// Where the currency is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Currency {
    /// `£310`
    Before,
    /// `€ 310`
    BeforeApart,
    /// `310 €`
    After,
}

/// Languages that write `12 %`.
const PERCENT_APART: &str = "be bs ca cs da de es fi fr gl hr lb lt mk nb nn no ro ru sk sl sv";
/// Languages in countries that write `12%` all the same.
const PERCENT_CLOSE: &str = "de-CH de-LI es-MX es-US fr-CH bs-BA";
/// Languages that write `310 €`.
const CURRENCY_AFTER: &str = "ar az be bg bs ca cs da de el es et eu fi fr gl he hr hu hy is it ka kk lb lt lv mk nb nn no pl ro ru sk sl sq \
    sr sv uk uz vi";
/// Languages, or languages in countries, that write `€ 310`.
const CURRENCY_BEFORE_APART: &str = "de-AT de-CH de-LI es-AR it-CH mn nl pt sw";
/// Languages in countries that write `€310` though elsewhere they do not.
const CURRENCY_BEFORE: &str = "es-MX es-US";
/// And those that write `310 €` though elsewhere they do not.
const CURRENCY_AFTER_IN: &str = "pt-PT pt-AO pt-MZ";

/// The signs of currencies that are read without doubt; a dollar is one of several.
const SIGNS: [(&str, &str); 21] = [
    ("AUD", "A$"),
    ("BRL", "R$"),
    ("CAD", "CA$"),
    ("CNY", "CN¥"),
    ("EUR", "€"),
    ("GBP", "£"),
    ("HKD", "HK$"),
    ("ILS", "₪"),
    ("INR", "₹"),
    ("JPY", "¥"),
    ("KRW", "₩"),
    ("MXN", "MX$"),
    ("NGN", "₦"),
    ("NZD", "NZ$"),
    ("PHP", "₱"),
    ("PLN", "zł"),
    ("TRY", "₺"),
    ("TWD", "NT$"),
    ("UAH", "₴"),
    ("USD", "US$"),
    ("VND", "₫"),
];

/// Where the dollar is `$` alone.
const DOLLAR: [(&str, &str); 6] = [("US", "USD"), ("AU", "AUD"), ("CA", "CAD"), ("HK", "HKD"), ("MX", "MXN"), ("NZ", "NZD")];

/// How a language writes percents; `language` such as `de`, `place` such as `de-CH`.
pub fn percent(language: &str, place: &str) -> Percent {
    match language {
        "tr" => Percent::Before,
        _ if has(PERCENT_APART, language) && !has(PERCENT_CLOSE, place) => Percent::Apart,
        _ => Percent::Close,
    }
}

/// Where a language writes the currency.
pub fn currency(language: &str, place: &str) -> Currency {
    if has(CURRENCY_BEFORE, place) {
        Currency::Before
    } else if has(CURRENCY_AFTER_IN, place) {
        Currency::After
    } else if has(CURRENCY_BEFORE_APART, place) || has(CURRENCY_BEFORE_APART, language) {
        Currency::BeforeApart
    } else if has(CURRENCY_AFTER, language) {
        Currency::After
    } else {
        Currency::Before
    }
}

/// The sign of a currency: its code where there is no other.
pub fn sign(code: &str, region: Option<&str>) -> String {
    if DOLLAR.iter().any(|(place, dollar)| region.unwrap_or("US") == *place && code == *dollar) {
        return "$".to_owned();
    }
    SIGNS.iter().find(|(known, _)| *known == code).map_or_else(|| super::markup::clean(code, 12), |(_, sign)| (*sign).to_owned())
}

fn has(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|listed| listed == word)
}
