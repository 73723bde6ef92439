use std::path::Path;

use crate::refusals::{REFUSED, attempt, project_with, quiet_extracts, reasons};
use crate::support::{number_of, tell};

/// How many of the damages that must refuse the run are tried, each in a run of its own, unless the environment says otherwise.
const ALONE: u64 = 8;
const ALONE_VARIABLE: &str = "SEGMILL_TEST_DAMAGES";

const CONTACTS: &str = "contact_id,updated_at,email,phone,first_name,last_name,birth_date,gender,income_band,education,job_title,\
                        household_size,city,region,country,loyalty_card,email_consent,sms_consent,post_consent";
const EVENTS: [&str; 9] = ["event_id", "occurred_at", "message_id", "campaign", "channel", "email", "phone", "event", "bounce_type"];
const SUPPRESSIONS: &str = "suppressed_at,channel,contact_id,email,phone,reason";

/// What carries the no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// A version of a contact that takes every consent back.
    Contact,
    /// An unsubscribe from e-mail.
    Mail,
    /// An unsubscribe from text messages.
    Text,
    /// An order not to write, by number, e-mail address and phone number.
    Order,
    /// An order not to write, by e-mail address alone.
    OrderByMail,
}

const CARRIERS: [Carrier; 5] = [Carrier::Contact, Carrier::Mail, Carrier::Text, Carrier::Order, Carrier::OrderByMail];

/// What is wrong with a value.
const VALUES: [(&str, &[u8]); 12] = [
    ("nothing", b""),
    ("space", b"  "),
    ("garbage", b"?!"),
    ("a word", b"other"),
    ("NULL", b"NULL"),
    ("\\N", b"\\N"),
    ("n/a", b"n/a"),
    ("a zero day", b"0000-00-00"),
    ("a huge number", b"99999999999999999999999999999999999999999"),
    ("a fraction", b"-1.5"),
    ("no UTF-8", b"\xff\xfe"),
    ("an overlong text", &[b'x'; 5000]),
];

/// What is wrong with a JSON value, as it is written.
const JSON_VALUES: [(&str, &[u8]); 5] =
    [("null", b"null"), ("a number", b"12"), ("an object", b"{\"a\": [1]}"), ("a list", b"[\"a\"]"), ("true", b"true")];

/// What is wrong with a record.
const RECORDS: [&str; 6] =
    ["a field more", "a field more before the others", "a field less", "an open quote", "text after a quote", "cut off"];

/// A row that carries a no, with one thing wrong.
#[derive(Debug, Clone)]
struct Damage {
    carrier: Carrier,
    /// The column, of those of its source.
    column: usize,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Value(usize),
    JsonValue(usize),
    Absent,
    Record(usize),
}

impl Carrier {
    fn columns(self) -> Vec<&'static str> {
        match self {
            Carrier::Contact => CONTACTS.split(',').collect(),
            Carrier::Mail | Carrier::Text => EVENTS.to_vec(),
            Carrier::Order | Carrier::OrderByMail => SUPPRESSIONS.split(',').collect(),
        }
    }

    fn is_json(self) -> bool {
        matches!(self, Carrier::Mail | Carrier::Text)
    }

    /// The channels that are refused, of e-mail, text message and letter.
    fn refused(self) -> &'static [usize] {
        match self {
            Carrier::Mail => &[0],
            Carrier::Text => &[1],
            _ => &[0, 1, 2],
        }
    }

    /// The columns without which nobody can tell whom or when.
    fn decisive(self) -> &'static [&'static str] {
        match self {
            Carrier::Contact => &["contact_id", "updated_at"],
            Carrier::Mail => &["occurred_at", "email"],
            Carrier::Text => &["occurred_at", "phone"],
            Carrier::Order => &["suppressed_at"],
            Carrier::OrderByMail => &["suppressed_at", "email"],
        }
    }

    fn value(self, column: &str, person: usize) -> String {
        let number = self == Carrier::Mail || self == Carrier::OrderByMail;
        let mail = self == Carrier::Text;
        match column {
            "contact_id" if self != Carrier::OrderByMail => format!("p{person}"),
            "email" if !mail => email(person),
            "phone" if !number => phone(person),
            "updated_at" | "occurred_at" | "suppressed_at" => "2025-09-01T00:00:00Z".to_owned(),
            "email_consent" | "sms_consent" | "post_consent" => "N".to_owned(),
            "event_id" => person.to_string(),
            "message_id" => format!("m{person}"),
            "channel" if self == Carrier::Mail => "email".to_owned(),
            "channel" if self == Carrier::Text => "sms".to_owned(),
            "event" => "unsubscribe".to_owned(),
            "reason" => "request".to_owned(),
            _ => String::new(),
        }
    }
}

impl Damage {
    /// Every column of every carrier with everything that can be wrong with it.
    fn all() -> Vec<Damage> {
        let mut all = Vec::new();
        for carrier in CARRIERS {
            for column in 0..carrier.columns().len() {
                let values = (0..VALUES.len()).map(What::Value);
                let json = (0..JSON_VALUES.len()).map(What::JsonValue).chain([What::Absent]);
                all.extend(values.map(|what| Damage { carrier, column, what }));
                all.extend(json.filter(|_| carrier.is_json()).map(|what| Damage { carrier, column, what }));
            }
            let middle = carrier.columns().len() / 2;
            all.extend((0..RECORDS.len()).map(|record| Damage { carrier, column: middle, what: What::Record(record) }));
        }
        all
    }

    /// Whether it costs a value that the rest can do without, so that the run goes on.
    fn costs_a_value(&self) -> bool {
        let is_text = match self.what {
            What::Value(value) => VALUES[value].0 != "no UTF-8",
            What::JsonValue(_) | What::Absent => true,
            What::Record(_) => false,
        };
        is_text && !self.carrier.decisive().contains(&self.carrier.columns()[self.column])
    }

    /// The row of a person as it is written.
    fn row(&self, person: usize) -> Vec<u8> {
        let columns = self.carrier.columns();
        let mut fields: Vec<Vec<u8>> = columns.iter().map(|column| self.carrier.value(column, person).into_bytes()).collect();
        if let What::Value(value) = self.what {
            fields[self.column] = VALUES[value].1.to_vec();
        }
        let separator: &[u8] = if self.carrier.is_json() { b", " } else { b"," };
        if self.carrier.is_json() {
            fields = columns.iter().zip(fields).map(|(column, value)| json(column, &value)).collect();
        }
        match self.what {
            What::JsonValue(value) => {
                fields[self.column] = [format!("\"{}\": ", columns[self.column]).as_bytes(), JSON_VALUES[value].1].concat();
            }
            What::Absent => drop(fields.remove(self.column)),
            What::Record(record) => match RECORDS[record] {
                "a field more" => fields.push(b"more".to_vec()),
                "a field more before the others" => fields.insert(self.column, b"more".to_vec()),
                "a field less" if !self.carrier.is_json() => drop(fields.remove(self.column)),
                "an open quote" => fields[self.column].insert(0, b'"'),
                "text after a quote" => fields[self.column] = b"\"a\"b\"".to_vec(),
                // Of JSON a record is no shorter for a field less.
                _ => fields.truncate(self.column),
            },
            What::Value(_) => {}
        }
        let is_whole = !matches!(self.what, What::Record(record) if RECORDS[record] == "cut off" || RECORDS[record] == "a field less");
        let row = fields.join(separator);
        match (self.carrier.is_json(), is_whole) {
            (true, true) => [b"{".as_slice(), &row, b"}\n"].concat(),
            (true, false) => [b"{".as_slice(), &row, b"\n"].concat(),
            (false, _) => [row, b"\n".to_vec()].concat(),
        }
    }

    fn told(&self) -> String {
        let what = match self.what {
            What::Value(value) => VALUES[value].0,
            What::JsonValue(value) => JSON_VALUES[value].0,
            What::Absent => "no such key",
            What::Record(record) => RECORDS[record],
        };
        format!("{:?}, {}: {what}", self.carrier, self.carrier.columns()[self.column])
    }
}

fn json(column: &str, value: &[u8]) -> Vec<u8> {
    let quoted: Vec<u8> = value.iter().flat_map(|byte| if *byte == b'\\' { vec![b'\\', b'\\'] } else { vec![*byte] }).collect();
    match (column, value) {
        ("event_id", number) if number.iter().all(u8::is_ascii_digit) && !number.is_empty() => {
            [format!("\"{column}\": ").as_bytes(), number].concat()
        }
        (_, b"") => format!("\"{column}\": null").into_bytes(),
        _ => [format!("\"{column}\": \"").as_bytes(), &quoted, b"\""].concat(),
    }
}

fn email(person: usize) -> String {
    format!("person{person}@mail.example")
}

fn phone(person: usize) -> String {
    format!("+447700{:06}", 100_000 + person)
}

/// People who all said yes, and each of whom says no in a row that is damaged; the person after them says nothing.
fn write(extracts: &Path, damages: &[&Damage]) {
    let mut contacts = format!("{CONTACTS}\n").into_bytes();
    let mut events = Vec::new();
    let mut orders = format!("{SUPPRESSIONS}\n").into_bytes();
    for person in 0..=damages.len() {
        let row = format!("p{person},2025-01-01T00:00:00Z,{},{},,,,,,,,,,,,,Y,Y,Y\n", email(person), phone(person));
        contacts.extend(row.into_bytes());
    }
    for (person, damage) in damages.iter().enumerate() {
        let rows = match damage.carrier {
            Carrier::Contact => &mut contacts,
            Carrier::Mail | Carrier::Text => &mut events,
            Carrier::Order | Carrier::OrderByMail => &mut orders,
        };
        rows.extend(damage.row(person));
    }
    for (file, bytes) in [("crm/contacts.csv", contacts), ("email/email.ndjson", events), ("suppression/suppressions.csv", orders)] {
        let path = extracts.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Whose no was lost when their rows were read together; nobody's where the run is refused, which says so.
fn lost(project: &Path, damages: &[&Damage]) -> Result<Vec<String>, String> {
    let extracts = quiet_extracts();
    write(extracts.path(), damages);
    let publication = match attempt(project, extracts.path()) {
        Ok(publication) => publication,
        Err((Some(REFUSED), told)) => return Err(told),
        Err((code, told)) => panic!("exit {code:?}: {told}"),
    };
    let reasons = reasons(&publication);
    let silent = format!("p{}", damages.len());
    assert_eq!(reasons[&silent], ["may"; 3], "who has said nothing may be written to");
    let reached = |person: usize, damage: &Damage| {
        let reasons = reasons.get(&format!("p{person}"));
        reasons.is_some_and(|reasons| damage.carrier.refused().iter().any(|channel| reasons[*channel] == "may"))
    };
    Ok(damages.iter().enumerate().filter(|(person, damage)| reached(*person, damage)).map(|(_, damage)| damage.told()).collect())
}

/// Budgets are no matter here: a single bad row among few would exceed them.
const NO_BUDGET: (&str, &str) = ("reject_budget: {share: 0.01}", "reject_budget: {share: 1}");

/// A damaged value costs the value: the run goes on, and the no stands.
#[test]
fn a_no_stands_whatever_value_of_its_row_is_damaged() {
    let all = Damage::all();
    let damages: Vec<&Damage> = all.iter().filter(|damage| damage.costs_a_value()).collect();
    let project = project_with(&[NO_BUDGET]);
    let lost = lost(project.path(), &damages).unwrap_or_else(|told| panic!("the run is refused: {told}"));
    tell(&format!("{} damaged values", damages.len()));
    assert!(lost.is_empty(), "{} of {} refusals are lost:\n{}", lost.len(), damages.len(), lost.join("\n"));
}

/// A row that is damaged so that nobody can tell whom it refuses refuses the run, or still reaches the person.
#[test]
fn a_no_in_a_row_that_cannot_be_read_stands_or_refuses_the_run() {
    let all = Damage::all();
    let damages: Vec<&Damage> = all.iter().filter(|damage| !damage.costs_a_value()).collect();
    let project = project_with(&[NO_BUDGET]);
    // Spread over all of them, the same ones every time.
    let tried = usize::try_from(number_of(ALONE_VARIABLE, ALONE)).unwrap().clamp(1, damages.len());
    let chosen = (0..tried).map(|at| damages[at * damages.len() / tried]);
    let mut all_lost = Vec::new();
    let mut refused = 0;
    for damage in chosen {
        match lost(project.path(), &[damage]) {
            Ok(lost) => all_lost.extend(lost),
            Err(_) => refused += 1,
        }
    }
    tell(&format!("{tried} of {} damaged rows, of which {refused} refused the run", damages.len()));
    assert!(all_lost.is_empty(), "refusals are lost:\n{}", all_lost.join("\n"));
}
