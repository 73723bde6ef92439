//! Names of columns as SQL reads them without quotes, and the words that names are made of.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;

/// The longest name that is made.
const NAME_CHARS: usize = 60;

/// Words that SQL does not read as a name, or reads as something else.
const RESERVED: [&str; 60] = [
    "all",
    "and",
    "any",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "check",
    "column",
    "constraint",
    "create",
    "cross",
    "current_date",
    "default",
    "delete",
    "desc",
    "distinct",
    "drop",
    "else",
    "end",
    "exists",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "in",
    "index",
    "inner",
    "insert",
    "interval",
    "into",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "primary",
    "right",
    "select",
    "table",
    "then",
    "true",
    "union",
    "user",
    "where",
];

/// Words that are names of columns and seldom values, in several languages.
const USUAL: [&str; 66] = [
    "id",
    "name",
    "date",
    "time",
    "datum",
    "email",
    "e_mail",
    "mail",
    "type",
    "status",
    "amount",
    "price",
    "quantity",
    "qty",
    "city",
    "country",
    "address",
    "phone",
    "code",
    "value",
    "key",
    "count",
    "total",
    "description",
    "title",
    "url",
    "first_name",
    "last_name",
    "vorname",
    "nachname",
    "betrag",
    "preis",
    "menge",
    "ort",
    "land",
    "strasse",
    "plz",
    "zip",
    "state",
    "currency",
    "created",
    "updated",
    "created_at",
    "updated_at",
    "timestamp",
    "event",
    "event_name",
    "customer_id",
    "order_id",
    "user_id",
    "sku",
    "product",
    "category",
    "nom",
    "prenom",
    "ville",
    "pays",
    "nombre",
    "fecha",
    "telefono",
    "correo",
    "nome",
    "data",
    "cognome",
    "text",
    "number",
];

/// A name for SQL: lower case, digits and underscores. None where nothing of the text is left, as of Japanese.
pub fn snake(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut before = None;
    let chars: Vec<char> = text.trim().chars().take(4 * NAME_CHARS).collect();
    for (at, &c) in chars.iter().enumerate() {
        let is_hump = c.is_uppercase()
            && before.is_some_and(|before: char| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && chars.get(at + 1).is_some_and(|next| next.is_lowercase()))
            });
        if is_hump && !name.ends_with('_') {
            name.push('_');
        }
        before = Some(c);
        match c.to_lowercase().next().unwrap_or(c) {
            c if c.is_ascii_alphanumeric() => name.push(c),
            'ä' => name += "ae",
            'ö' | 'ø' | 'œ' => name += if c == 'ö' || c == 'Ö' { "oe" } else { "o" },
            'ü' => name += "ue",
            'ß' => name += "ss",
            'æ' => name += "ae",
            'ł' => name.push('l'),
            'đ' => name.push('d'),
            'ı' => name.push('i'),
            '%' => name += "_percent",
            c => {
                let plain: String = std::iter::once(c).nfkd().filter(char::is_ascii_alphanumeric).collect();
                if !plain.is_empty() {
                    name += &plain.to_ascii_lowercase();
                } else if !c.is_alphanumeric()
                    && !matches!(c, '\'' | '’' | '\u{300}'..='\u{36f}')
                    && !name.is_empty()
                    && !name.ends_with('_')
                {
                    name.push('_');
                }
            }
        }
    }
    let mut name = name.split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
    name.truncate(NAME_CHARS);
    let name = name.trim_end_matches('_');
    match name.chars().next() {
        None => None,
        Some(first) if first.is_ascii_digit() => Some(format!("c_{name}")),
        Some(_) if RESERVED.contains(&name) => Some(format!("{name}_value")),
        Some(_) => Some(name.to_owned()),
    }
}

/// The name of a column in a contract: of the entry of a list, it is the entry's key.
pub fn of_column(label: &str) -> Option<String> {
    let Some((list, rest)) = label.split_once("[key=") else { return snake(label) };
    let key = rest.split(']').next().unwrap_or_default();
    let owner = list.rsplit('.').next().unwrap_or_default().trim_end_matches("_params").trim_end_matches("_properties");
    let is_event = ["event", ""].contains(&owner);
    snake(&if is_event { key.to_owned() } else { format!("{owner}_{key}") })
}

/// Gives names that each stand once: of the same names, later ones are numbered.
#[derive(Debug, Default)]
pub struct Names {
    given: BTreeSet<String>,
    /// By name that was wanted again, the number that comes next.
    next: BTreeMap<String, usize>,
}

impl Names {
    /// A name that has not been given yet.
    pub fn give(&mut self, wanted: Option<String>, position: usize) -> String {
        let wanted = wanted.unwrap_or_else(|| format!("column_{}", position + 1));
        let next = self.next.entry(wanted.clone()).or_insert(1);
        loop {
            let name = if *next == 1 { wanted.clone() } else { format!("{wanted}_{next}") };
            *next += 1;
            if self.given.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// The words that a name is made of, in lower case: `customerID` is `customer` and `id`.
pub fn words(text: &str) -> Vec<String> {
    snake(text).unwrap_or_default().split('_').map(str::to_owned).collect()
}

/// Whether a text is a usual name of a column.
pub fn is_usual(text: &str) -> bool {
    snake(text).is_some_and(|name| {
        let name = name.trim_end_matches("_value");
        let last = name.rsplit('_').next().unwrap_or_default();
        USUAL.contains(&name) || (name.contains('_') && ["id", "name", "date", "at", "code", "nr", "no", "email", "type"].contains(&last))
    })
}

/// Whether a name has one of some words: each is a word of it, or several in a row joined by underscores.
pub fn has_word(name: &str, these: &[&str]) -> bool {
    let name = format!("_{}_", snake(name).unwrap_or_default());
    these.iter().any(|word| name.contains(&format!("_{word}_")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_made() {
        for (text, name) in [
            ("customerID", "customer_id"),
            ("Order Date (UTC)", "order_date_utc"),
            ("Straße / Nr.", "strasse_nr"),
            ("Prénom", "prenom"),
            ("GA4Id", "ga4_id"),
            ("HTTPStatus", "http_status"),
            ("2019", "c_2019"),
            ("order", "order_value"),
            ("Größe", "groesse"),
            ("share %", "share_percent"),
            ("  a--b  ", "a_b"),
            ("device.category", "device_category"),
            ("Łódź", "lodz"),
            ("don't", "dont"),
        ] {
            assert_eq!(snake(text).as_deref(), Some(name), "{text}");
        }
        assert_eq!((snake("氏名"), snake(""), snake("--")), (None, None, None));
        let mut names = Names::default();
        assert_eq!([names.give(snake("A"), 0), names.give(snake("a"), 1), names.give(None, 2)], ["a", "a_2", "column_3"]);
    }

    proptest! {
        #[test]
        fn a_name_needs_no_quotes(text in "\\PC{0,20}") {
            if let Some(name) = snake(&text) {
                prop_assert!(name.starts_with(|c: char| c.is_ascii_lowercase()), "{}", name);
                prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{}", name);
                prop_assert!(snake(&name) == Some(name.clone()) || name.ends_with("_value"), "{}", name);
            }
        }
    }
}
