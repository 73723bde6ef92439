//! Writes the findings as YAML for the pipeline file. The keys of a source are written here and nowhere else.

use super::choices::{Choices, image};
use super::findings::{Finding, Findings};
use super::table::{Format, Held, Origin, Quote};
use super::types::Kind;
use super::words::Operation;
use crate::shown;

/// The name of the event time that a draft without one is tried with.
pub const STAND_IN: &str = "no_event_time_was_found";

/// A source, ready to be written.
#[derive(Debug)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// What was found.
    pub findings: Findings,
    /// What was chosen.
    pub choices: Choices,
    /// The part of the path that every row's day agrees with.
    pub day_in_path: Option<String>,
    /// How many sampled rows would be rejected.
    pub rejected: Option<usize>,
}

impl Draft {
    /// The YAML of the source, with comments, to stand under `sources`.
    pub fn yaml(&self) -> String {
        self.written(true)
    }

    /// The YAML without comments, and with an event time in any case.
    pub fn plain(&self) -> String {
        self.written(false)
    }

    /// The YAML of a source with one of the columns, read from wherever it may be.
    pub fn plain_column(&self, column: &Finding) -> String {
        let keys: Vec<String> = self
            .keys(column)
            .into_iter()
            .filter(|key| !["position:", "parts:", "from:"].iter().any(|place| key.starts_with(place)))
            .collect();
        let stand_in = format!("{STAND_IN}: {{type: timestamp, required: true}}");
        format!(
            "  {}:\n    location: x\n    event_time: {STAND_IN}\n    columns:\n      {stand_in}\n      {}: {{{}}}\n",
            quoted(&self.name),
            quoted(&column.name),
            keys.join(", ")
        )
    }

    fn written(&self, has_comments: bool) -> String {
        let mut out = Writer { text: format!("  {}:\n", quoted(&self.name)), has_comments };
        self.head(&mut out);
        self.rows(&mut out, has_comments);
        if self.findings.columns.iter().any(|column| !column.accepted.is_empty()) {
            out.comment(&format!("`accepted` lists what {} sampled rows have; any other value would be at fault", self.findings.rows.0));
        }
        out.line("columns:", "");
        for column in &self.findings.columns {
            self.column(&mut out, column);
        }
        if !has_comments && self.choices.event_time.is_none() {
            out.text += &format!("      {STAND_IN}: {{type: timestamp, required: true}}\n");
        }
        for (list, members) in &self.findings.lists {
            let shown: Vec<&str> = members.iter().map(String::as_str).take(8).collect();
            let list = shown::column(list);
            if let Some(each) = &self.findings.each {
                out.remark(&format!(
                    "`{list}` is a list within the elements of `{}`: a row for each of its elements cannot be had",
                    shown::column(each)
                ));
                continue;
            }
            let first = super::json::join("", members.first().map_or("…", String::as_str));
            out.remark(&format!(
                "`{list}` is a list of records ({}): for a row for each of them, add `each: {list}` to the source, and columns such as `from: {list}.{first}`",
                shown::names(&shown).join(", ")
            ));
        }
        out.text
    }

    /// Where the files are and how they are written.
    fn head(&self, out: &mut Writer) {
        let found = &self.findings;
        for note in &found.notes {
            out.comment(note);
        }
        for note in &found.differences {
            out.comment(&format!("FILES DIFFER: {note}"));
        }
        out.line(&format!("location: {}", quoted(&found.paths.location)), "");
        if !found.is_format_told || found.each.is_some() || found.format == Format::Json {
            out.line(&format!("format: {}", found.format.key()), "");
        }
        if let Some(encoding) = &found.encoding {
            out.line(&format!("encoding: {}", quoted(encoding)), "");
        }
        let csv = self.csv();
        if found.format == Format::Csv && !csv.is_empty() {
            out.line(&format!("csv: {{{}}}", csv.join(", ")), "");
        }
        if let Some(each) = &found.each {
            out.line(&format!("each: {}", quoted(each)), "");
        }
    }

    fn csv(&self) -> Vec<String> {
        let csv = &self.findings.csv;
        let mut keys = Vec::new();
        keys.extend(csv.delimiter.map(|c| format!("delimiter: {}", character(c))));
        keys.extend(match csv.quote {
            Quote::Plain => None,
            Quote::Other(c) => Some(format!("quote: {}", character(c))),
            Quote::None => Some("quote: none".to_owned()),
        });
        keys.extend(csv.escape.map(|c| format!("escape: {}", character(c))));
        keys.extend(csv.comment.map(|c| format!("comment: {}", character(c))));
        if csv.skip_lines > 0 {
            keys.push(format!("skip_lines: {}", csv.skip_lines));
        }
        if !csv.has_header {
            keys.push("header: false".to_owned());
        }
        if csv.skip_after_header > 0 {
            keys.push(format!("skip_after_header: {}", csv.skip_after_header));
        }
        if csv.trailing_delimiter {
            keys.push("trailing_delimiter: true".to_owned());
        }
        keys
    }

    /// What rows are: kind, event time and key.
    fn rows(&self, out: &mut Writer, has_comments: bool) {
        let choices = &self.choices;
        if let Some(why) = &choices.snapshot {
            out.comment(why);
            out.line("kind: snapshot", "");
        }
        if let Some(changes) = &choices.changes {
            for note in &changes.notes {
                out.comment(note);
            }
            out.line("kind: changes", "");
            let of = |wanted: Operation| {
                let words: Vec<String> =
                    changes.words.iter().filter(|(operation, _)| *operation == wanted).map(|(_, word)| quoted(word)).collect();
                words.join(", ")
            };
            let mut keys = vec![format!("operation: {}", quoted(&changes.operation))];
            for (key, operation) in [("insert", Operation::Insert), ("update", Operation::Update), ("delete", Operation::Delete)] {
                let words = of(operation);
                if !words.is_empty() {
                    keys.push(format!("{key}: [{words}]"));
                }
            }
            keys.extend(changes.order.as_ref().map(|order| format!("order: [{}]", quoted(order))));
            out.line(&format!("changes: {{{}}}", keys.join(", ")), "");
        }
        let day = self.findings.paths.parts.iter().find(|part| part.day.is_some());
        let in_path = day.filter(|_| choices.snapshot.is_some()).map(|part| &part.name).or(self.day_in_path.as_ref());
        if let Some(part) = in_path {
            let why = if choices.snapshot.is_some() { "the snapshot's day" } else { "every sampled row is of the day in its file's path" };
            out.line(&format!("day_in_path: {}", quoted(part)), why);
        } else if let Some(part) = day {
            let event_time = choices.event_time.as_ref().is_some_and(|choice| choice.columns != [part.name.clone()]);
            if event_time {
                out.comment(&format!("the path's `{}` does not bound the event time: some rows are of other days", part.name));
            }
        }
        match &choices.event_time {
            Some(choice) => {
                let others = others(&choices.other_times);
                out.line(&format!("event_time: {}", quoted(&choice.columns.join(""))), &format!("{}{others}", choice.why));
            }
            None if !has_comments => out.line(&format!("event_time: {STAND_IN}"), ""),
            None if choices.snapshot.is_some() => {}
            None => out.comment("UNSURE: no column seems to say when a row happened, and a source needs one: `event_time: …`"),
        }
        if let Some(repeats) = &self.findings.blank_repeats {
            let named = |origin: &Origin| self.findings.columns.iter().find(|column| column.column.origin == *origin);
            let columns: Vec<String> = repeats.columns.iter().filter_map(|origin| Some(named(origin)?.name.clone())).collect();
            if let Some(within) = named(&repeats.within) {
                let line = format!("blank_repeats: {{within: [{}], columns: [{}]}}", quoted(&within.name), list(&columns));
                let why = if repeats.columns.contains(&repeats.within) {
                    format!("UNSURE: a row in which `{}` is blank seems to belong to the one above", within.name)
                } else {
                    format!("only the first row of those with one value of `{}` has them", within.name)
                };
                out.line(&line, &why);
            }
        }
        match &choices.key {
            Some(choice) => {
                let others = others(&choices.other_keys);
                out.line(&format!("key: [{}]", list(&choice.columns)), &format!("{}{others}", choice.why));
            }
            None if choices.repeats.is_some() => out.comment(choices.repeats.as_deref().unwrap_or_default()),
            None => out.comment("no column, and no two that are named like keys, tell rows apart: the source has no `key`"),
        }
    }

    fn column(&self, out: &mut Writer, column: &Finding) {
        for note in notes(column, self.findings.rows.0) {
            out.remark(&note);
        }
        if let Held::Other(what) = column.column.held {
            let mut told = format!("`{}` holds {what}, and is left out", shown::column(&column.name));
            if let (true, Some(name)) = (["maps", "objects"].contains(&what), column.column.name()) {
                told += &format!(": a column reads one of its values with `from: {}.…`", shown::column(name));
            }
            out.remark(&told);
            return;
        }
        let keys = self.keys(column);
        let line = match keys.as_slice() {
            // Outside of braces a comma needs no quotes.
            [_] => format!("{}: {}", quoted(&column.name), column.guess.kind.key()),
            keys => format!("{}: {{{}}}", quoted(&column.name), keys.join(", ")),
        };
        out.text += &format!("      {line}\n");
    }

    /// Where a deletion has the key that other changes have under `after`.
    fn before(&self, column: &Finding) -> Option<String> {
        self.choices.changes.as_ref()?;
        self.choices.key.as_ref().filter(|key| key.columns.contains(&column.name))?;
        let member = image(column, "after")?;
        let before = self.findings.columns.iter().find(|other| image(other, "before") == Some(member))?;
        before.column.name().map(str::to_owned)
    }

    /// The keys of a column, in order. An event time is `required`, or else the contract would not be valid.
    fn keys(&self, column: &Finding) -> Vec<String> {
        let guess = &column.guess;
        let mut keys = vec![format!("type: {}", quoted(&guess.kind.key()))];
        match (&column.parts, &column.column.origin) {
            (Some([date, time, zone]), _) => {
                let named = [("date", date), ("time", time), ("zone", zone)];
                let parts: Vec<String> =
                    named.iter().filter_map(|(key, name)| Some(format!("{key}: {}", quoted(name.as_ref()?)))).collect();
                keys.push(format!("parts: {{{}}}", parts.join(", ")));
            }
            (None, Origin::Named(name)) if self.before(column).is_some() => {
                keys.push(format!("from: [{}]", list(&[name.clone(), self.before(column).unwrap_or_default()])));
            }
            (None, Origin::Named(name)) if *name != column.name => keys.push(format!("from: {}", quoted(name))),
            (None, Origin::Named(_)) => {}
            (None, Origin::Position(at)) => keys.push(format!("position: {}", at + 1)),
            (None, Origin::Path(name)) => keys.push(format!("path: {}", quoted(name))),
        }
        keys.extend(guess.format.as_ref().map(|format| format!("format: {}", quoted(format))));
        let is_in = |choice: &Option<super::choices::Choice>| choice.as_ref().is_some_and(|choice| choice.columns.contains(&column.name));
        let is_event_time = is_in(&self.choices.event_time);
        if is_event_time || (is_in(&self.choices.key) && column.is_filled && !column.is_optional) {
            keys.push("required: true".to_owned());
        }
        if column.is_optional && !is_event_time {
            keys.push("optional: true".to_owned());
        }
        if column.is_padded {
            keys.push("trim: true".to_owned());
        }
        if !guess.null_values.is_empty() {
            keys.push(format!("null_values: [{}]", list(&guess.null_values)));
        }
        if !guess.values.is_empty() {
            let pairs: Vec<String> = guess.values.iter().map(|(word, value)| format!("{}: {value}", quoted(word))).collect();
            keys.push(format!("values: {{{}}}", pairs.join(", ")));
        }
        if !column.accepted.is_empty() {
            keys.push(format!("accepted: [{}]", list(&column.accepted)));
        }
        if column.personal.is_some() {
            keys.push("personal: true".to_owned());
        }
        keys
    }
}

/// What a reader should know of a column, without its values.
pub fn notes(column: &Finding, rows: usize) -> Vec<String> {
    let mut notes: Vec<String> = column.column.notes.clone();
    notes.extend(column.column.label.iter().map(|label| format!("the header calls it `{}`", shown::column(label))));
    notes.extend(column.guess.notes.iter().cloned());
    notes.extend(column.personal.map(|what| format!("personal: {what}")));
    if let Some(no) = &column.consent {
        notes.push(if no.is_empty() {
            "it looks like a permission: say `consent: {no: […]}` with the values that are a no, so that no opt-out is lost".to_owned()
        } else {
            format!(
                "it looks like a permission: with `consent: {{no: [{}]}}` no opt-out is lost; is that what it says?",
                no.iter()
                    .map(|word| if column.guess.kind == Kind::Boolean { word.clone() } else { quoted(word) })
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        });
    }
    match column.faults {
        Some(faults) if faults > 0 => notes.push(format!("{faults} of {rows} sampled rows have a value here that this does not take")),
        None if column.guess.misfits > 0 => {
            notes.push(format!("about {} of {rows} sampled rows have a value here that this does not take", column.guess.misfits));
        }
        _ => {}
    }
    let is_json = column.guess.kind == Kind::Text && column.column.held == Held::Text && {
        let mut texts = column.values().take(20).peekable();
        texts.peek().is_some() && texts.all(|text| text.starts_with(['{', '[']) && serde_json::from_str::<serde_json::Value>(text).is_ok())
    };
    if is_json {
        notes.push("it holds JSON text: a column with `json: '$.member'` beside `from` takes a member out of it".to_owned());
    }
    notes
}

fn others(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; else {}", names.join(", ")) }
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

/// A character as YAML has it.
fn character(c: char) -> String {
    if c.is_control() { serde_json::to_string(&c.to_string()).unwrap_or_default() } else { quoted(&c.to_string()) }
}

/// A text as YAML has it: plain where that is plainly a text, in quotes otherwise.
pub fn quoted(text: &str) -> String {
    const WORDS: [&str; 12] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "none", "nan", "inf"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || "_./-*".contains(c) || c == ' ')
        && !text.ends_with(' ')
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_plain {
        text.to_owned()
    } else if shown::name(text) != text || text.chars().any(|c| c.is_control() || c == '\u{feff}') {
        // JSON's escapes are YAML's, too.
        let escaped: String = text.chars().map(escape).collect();
        format!("\"{escaped}\"")
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn escape(c: char) -> String {
    match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\t' => "\\t".to_owned(),
        c if shown::name(&c.to_string()) != c.to_string() || c.is_control() || c == '\u{feff}' => {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }
        c => c.to_string(),
    }
}

struct Writer {
    text: String,
    has_comments: bool,
}

impl Writer {
    /// A key of the source, with a comment behind it.
    fn line(&mut self, line: &str, comment: &str) {
        self.text += "    ";
        self.text += line;
        if self.has_comments && !comment.is_empty() {
            self.text += &format!("  # {}", shown::name(comment));
        }
        self.text.push('\n');
    }

    /// A comment of the source.
    fn comment(&mut self, text: &str) {
        if self.has_comments {
            self.text += &format!("    # {}\n", shown::name(text));
        }
    }

    /// A comment among the columns.
    fn remark(&mut self, text: &str) {
        if self.has_comments {
            self.text += &format!("      # {}\n", shown::name(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quoted_text_is_read_again(text in "\\PC{1,30}|[ -~\t\n]{1,30}|[yYnN]|(true|NULL|~|1|1.5|0x1|2026-01-01|- a|a: b|a #b)") {
            let yaml = format!("{{k: {}}}", quoted(&text));
            let read: std::collections::BTreeMap<String, String> = serde_yaml::from_str(&yaml).map_err(|e| TestCaseError::fail(format!("{yaml}: {e}")))?;
            prop_assert_eq!(&read["k"], &text);
        }
    }
}
