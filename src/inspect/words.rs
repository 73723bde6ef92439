//! Words that say something of a column: of true and false, of no value, of time, of consent, of operations.

use std::collections::BTreeMap;

use super::names::{has_word, words};

/// Words for true and false, in lower case.
pub const TRUTHS: [(&str, &str); 36] = [
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("1", "0"),
    ("on", "off"),
    ("ja", "nein"),
    ("j", "n"),
    ("ja", "nee"),
    ("ja", "nej"),
    ("ja", "nei"),
    ("wahr", "falsch"),
    ("oui", "non"),
    ("o", "n"),
    ("vrai", "faux"),
    ("sí", "no"),
    ("si", "no"),
    ("sì", "no"),
    ("s", "n"),
    ("vero", "falso"),
    ("verdadero", "falso"),
    ("sim", "não"),
    ("sim", "nao"),
    ("verdadeiro", "falso"),
    ("tak", "nie"),
    ("ano", "ne"),
    ("áno", "nie"),
    ("igen", "nem"),
    ("da", "nu"),
    ("da", "ne"),
    ("kyllä", "ei"),
    ("evet", "hayır"),
    ("да", "нет"),
    ("ναι", "όχι"),
    ("はい", "いいえ"),
    ("是", "否"),
];

/// Words for no value, in lower case.
const NONE: [&str; 44] = [
    "\\n",
    "null",
    "(null)",
    "<null>",
    "[null]",
    "nil",
    "none",
    "(none)",
    "missing",
    "undefined",
    "unknown",
    "n/a",
    "na",
    "n.a.",
    "#n/a",
    "#n/v",
    "#nv",
    "#value!",
    "#wert!",
    "#ref!",
    "#div/0!",
    "#name?",
    "nan",
    "not available",
    "not set",
    "(not set)",
    "(blank)",
    "(empty)",
    "empty",
    "keine angabe",
    "k.a.",
    "k. a.",
    "unbekannt",
    "s/o",
    "sin datos",
    "inconnu",
    "?",
    "??",
    "-",
    "--",
    "---",
    ".",
    "0000-00-00 00:00:00",
    "0000-00-00",
];

/// Texts that are hardly anything else than no value. Others, such as `NA`, may be words of their own.
const NULL_TEXTS: [&str; 12] = ["NULL", "null", "\\N", "(null)", "<null>", "[NULL]", "#N/A", "#NV", "N/A", "n/a", "NaN", "nan"];

/// Words that stand for no value.
#[derive(Debug, Clone, Default)]
pub struct Markers {
    /// All of them.
    pub words: Vec<String>,
    /// The one that only its being there again and again speaks for.
    pub unsure: Option<String>,
}

/// Which of the values that are not of a column's type stand for no value. `all` is how many values there are.
pub fn markers(others: &[&str], all: usize) -> Markers {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in others {
        *counts.entry(text).or_default() += 1;
        if counts.len() > 100 {
            return Markers::default();
        }
    }
    let known = |text: &str| NONE.iter().any(|word| word.eq_ignore_ascii_case(text));
    let words = counts.keys().filter(|text| known(text)).map(|text| (*text).to_owned()).collect();
    let mut markers = Markers { words, unsure: None };
    // One short word again and again, in a column that otherwise has nothing of the kind.
    let rest: Vec<(&&str, &usize)> = counts.iter().filter(|(text, _)| !known(text)).collect();
    if let [(text, count)] = rest.as_slice()
        && **count >= 5
        && **count * 50 >= all
        && text.chars().count() <= 12
        && !text.contains(|c: char| c.is_ascii_digit() || c == '@')
    {
        markers.words.push((**text).to_owned());
        markers.unsure = Some((**text).to_owned());
    }
    markers
}

/// The texts of a column that stand for no value.
pub fn null_texts(texts: &[&str]) -> Vec<String> {
    NULL_TEXTS.iter().filter(|word| texts.contains(word)).map(|word| (*word).to_owned()).collect()
}

/// Whether a name is that of a day or moment.
pub fn is_time_name(name: &str) -> bool {
    const LAST: [&str; 22] = [
        "at",
        "on",
        "date",
        "time",
        "timestamp",
        "ts",
        "datetime",
        "day",
        "epoch",
        "millis",
        "micros",
        "since",
        "datum",
        "zeit",
        "zeitpunkt",
        "fecha",
        "hora",
        "jour",
        "horodatage",
        "data",
        "ms",
        "dt",
    ];
    const ANY: [&str; 16] = [
        "date",
        "timestamp",
        "datetime",
        "created",
        "updated",
        "modified",
        "changed",
        "datum",
        "fecha",
        "birthday",
        "time",
        "received",
        "expires",
        "geburtsdatum",
        "bestelldatum",
        "erstellt",
    ];
    let words = words(name);
    words.last().is_some_and(|last| LAST.contains(&last.as_str()) || last.ends_with("datum") || last.ends_with("date"))
        || has_word(name, &ANY)
}

/// Whether a name is that of something that names a row or a thing.
pub fn is_id_name(name: &str) -> bool {
    const LAST: [&str; 26] = [
        "id",
        "ids",
        "nr",
        "no",
        "num",
        "number",
        "nummer",
        "key",
        "code",
        "uuid",
        "guid",
        "ref",
        "reference",
        "sku",
        "ean",
        "isbn",
        "pk",
        "hash",
        "token",
        "schluessel",
        "numero",
        "identifier",
        "kennung",
        "handle",
        "lsn",
        "identifiant",
    ];
    words(name).last().is_some_and(|last| LAST.contains(&last.as_str()) || last.ends_with("nummer") || last.ends_with("nr"))
}

/// Whether a name is that of one of few values.
pub fn is_closed_name(name: &str) -> bool {
    const ANY: [&str; 26] = [
        "status",
        "type",
        "kind",
        "channel",
        "event",
        "op",
        "operation",
        "reason",
        "gender",
        "tier",
        "level",
        "platform",
        "device",
        "currency",
        "state",
        "event_name",
        "event_type",
        "method",
        "priority",
        "stage",
        "plan",
        "role",
        "salutation",
        "anrede",
        "typ",
        "kanal",
    ];
    has_word(name, &ANY)
}

/// Whether a name is that of values to which others are added every day.
pub fn is_open_name(name: &str) -> bool {
    const ANY: [&str; 34] = [
        "city",
        "ort",
        "town",
        "country",
        "land",
        "region",
        "campaign",
        "kampagne",
        "product",
        "produkt",
        "item",
        "page",
        "url",
        "path",
        "name",
        "title",
        "language",
        "referrer",
        "referer",
        "company",
        "firma",
        "brand",
        "store",
        "shop",
        "filiale",
        "subject",
        "description",
        "comment",
        "text",
        "term",
        "location",
        "keyword",
        "version",
        "agent",
    ];
    has_word(name, &ANY)
}

/// Whether a name is that of a place within something, such as a line of an order.
pub fn is_line_name(name: &str) -> bool {
    const ANY: [&str; 14] = [
        "line", "lineitem", "position", "row", "item", "variant", "version", "seq", "zeile", "sku", "product", "artikel", "question",
        "index",
    ];
    has_word(name, &ANY)
}

/// Whether a name is that of a truth.
pub fn is_truth_name(name: &str) -> bool {
    const FIRST: [&str; 8] = ["is", "has", "was", "can", "may", "should", "ist", "hat"];
    const ANY: [&str; 22] = [
        "flag",
        "active",
        "enabled",
        "disabled",
        "deleted",
        "valid",
        "verified",
        "confirmed",
        "subscribed",
        "opt_in",
        "optin",
        "opt_out",
        "optout",
        "consent",
        "accepts",
        "aktiv",
        "geloescht",
        "bestaetigt",
        "newsletter",
        "blocked",
        "bool",
        "do_not",
    ];
    words(name).first().is_some_and(|first| FIRST.contains(&first.as_str())) || has_word(name, &ANY)
}

/// Whether a name is that of a permission or an opt-out.
pub fn is_consent_name(name: &str) -> bool {
    const ANY: [&str; 38] = [
        "consent",
        "consents",
        "consented",
        "opt_in",
        "optin",
        "opt_out",
        "optout",
        "optedin",
        "optedout",
        "opted_in",
        "opted_out",
        "unsubscribe",
        "unsubscribed",
        "unsubscribes",
        "subscribed",
        "subscription_status",
        "newsletter",
        "gdpr",
        "dsgvo",
        "rgpd",
        "einwilligung",
        "werbeeinwilligung",
        "werbesperre",
        "permission",
        "permissions",
        "do_not_contact",
        "do_not_email",
        "do_not_call",
        "dnc",
        "suppressed",
        "suppression",
        "accepts_marketing",
        "marketing",
        "consentement",
        "consentimiento",
        "consenso",
        "donotcontact",
        "robinson",
    ];
    has_word(name, &ANY)
}

/// Whether a word seems to say no to a permission.
pub fn is_no(text: &str) -> bool {
    const NO: [&str; 20] = [
        "no",
        "n",
        "false",
        "f",
        "0",
        "off",
        "nein",
        "non",
        "unsubscribed",
        "unsubscribe",
        "opt_out",
        "optout",
        "opt-out",
        "opted_out",
        "withdrawn",
        "revoked",
        "denied",
        "declined",
        "widerrufen",
        "abgemeldet",
    ];
    NO.iter().any(|word| word.eq_ignore_ascii_case(text.trim()))
}

/// What an operation of a change says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A row is new.
    Insert,
    /// A row is other than before.
    Update,
    /// A row is gone.
    Delete,
}

/// The operation that a word says.
pub fn operation(word: &str) -> Option<Operation> {
    const WORDS: [(&[&str], Operation); 3] = [
        (&["i", "insert", "inserted", "c", "create", "created", "r", "read", "snapshot", "new", "add", "added", "neu"], Operation::Insert),
        (
            &["u", "update", "updated", "upsert", "update_postimage", "update_after", "m", "modify", "modified", "change", "changed"],
            Operation::Update,
        ),
        (&["d", "delete", "deleted", "remove", "removed", "x"], Operation::Delete),
    ];
    let word = word.trim().to_lowercase();
    let word = word.trim_start_matches(['+', '-']);
    WORDS.iter().find(|(words, _)| words.contains(&word)).map(|(_, operation)| *operation)
}

/// Whether a name is that of an operation.
pub fn is_operation_name(name: &str) -> bool {
    const ANY: [&str; 18] = [
        "op",
        "operation",
        "action",
        "change_type",
        "changetype",
        "op_type",
        "optype",
        "dml_type",
        "change",
        "cdc",
        "cdc_operation",
        "event_type",
        "row_kind",
        "rowkind",
        "dmltype",
        "header_operation",
        "sys_change_operation",
        "type",
    ];
    has_word(name, &ANY)
}

/// Whether a name is that of the order in which changes were made; the greater the surer.
pub fn order_rank(name: &str) -> usize {
    const RANKS: [(&[&str], usize); 3] = [
        (&["lsn", "scn", "commit_lsn", "csn", "gtid", "seqval", "start_lsn"], 3),
        (
            &[
                "seq",
                "sequence",
                "sequence_number",
                "offset",
                "change_id",
                "version",
                "commit_version",
                "sys_change_version",
                "log_position",
                "pos",
            ],
            2,
        ),
        (&["ts_ms", "commit_ts", "commit_timestamp", "changed_at", "ts_us", "transact_seq"], 1),
    ];
    RANKS.iter().find(|(these, _)| has_word(name, these)).map_or(0, |(_, rank)| *rank)
}
