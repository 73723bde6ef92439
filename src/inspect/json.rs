//! Makes the table of a file of JSON: NDJSON, one array, values one after another, or an object around a list.

use indexmap::IndexMap;
use serde_json::Value;

use super::look::is_email;
use super::table::{Column, Format, Held, Origin, Table};
use crate::config::{MemberPath, SourceFormat, Step};

/// The most rows that are looked at of a file.
const LOOK_ROWS: usize = 5_000;
/// The most columns of a table.
const MAX_COLUMNS: usize = 1_000;
/// How deep members are followed.
const FOLLOWED_DEPTH: usize = 8;
/// An object whose rows have more members than this between them is a map with keys of its own, and no record.
const MEMBERS_OF_RECORD: usize = 200;

/// Makes the table of a text of JSON. `parts` are its beginning and some places behind it.
pub fn table(file: &str, parts: &[String], is_whole: bool) -> Option<Table> {
    let head = parts.first().map(String::as_str).unwrap_or_default();
    let is_named = SourceFormat::from_name(file) == Some(SourceFormat::Ndjson);
    let (format, mut rows, each, mut notes, mut bad) = rows_of(head, is_whole, is_named)?;
    if format == Format::Ndjson {
        for part in parts.iter().skip(1) {
            let Some((_, whole)) = part.split_once('\n') else { continue };
            let mut lines: Vec<&str> = whole.lines().collect();
            lines.pop();
            for line in lines.iter().filter(|line| !line.trim().is_empty()).take(LOOK_ROWS) {
                match serde_json::from_str(line) {
                    Ok(value @ Value::Object(_)) => rows.push(value),
                    _ => bad += 1,
                }
            }
        }
    }
    let mut table = Table::new(file, format);
    table.each = each;
    table.rows = rows.len() + bad;
    table.ragged = bad;
    table.notes.append(&mut notes);
    fill(&mut table, &rows);
    Some(table)
}

/// Makes the columns of records.
pub fn fill(table: &mut Table, rows: &[Value]) {
    let mut found = Columns { rows: rows.len(), columns: IndexMap::new(), lists: IndexMap::new(), hidden: 0, has_more: false };
    let maps = maps(rows);
    for (at, row) in rows.iter().enumerate() {
        if let Value::Object(members) = row {
            for (name, value) in members {
                found.member(at, "", name, value, 0, &maps);
            }
        }
    }
    if found.hidden > 0 {
        table.notes.push(format!("{} members were left out, because their names look personal or are not names", found.hidden));
    }
    if found.has_more {
        table.notes.push(format!("UNSURE: members beyond the first {MAX_COLUMNS} are left out: name those that you need"));
    }
    table.lists = found.lists.into_iter().map(|(path, members)| (path, members.into_keys().collect())).collect();
    table.columns.extend(found.columns.into_iter().map(|(path, values)| {
        let (held, cells, notes) = values.finish(rows.len());
        Column { origin: Origin::Named(path), label: None, held, cells, notes }
    }));
}

type Rows = (Format, Vec<Value>, Option<String>, Vec<String>, usize);

/// The rows at the beginning of a text, and how they stand there. `is_named` says that the file's name is one of NDJSON.
fn rows_of(head: &str, is_whole: bool, is_named: bool) -> Option<Rows> {
    let text = head.trim_start();
    if !text.starts_with(['{', '[']) && !is_named {
        return None;
    }
    let mut lines: Vec<&str> = text.lines().collect();
    if !is_whole && lines.len() > 1 {
        lines.pop();
    }
    let lines: Vec<&str> = lines.into_iter().filter(|line| !line.trim().is_empty()).take(LOOK_ROWS).collect();
    if let Some(rows) = rows_of_lines(&lines, is_named) {
        return Some(rows);
    }
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let completed = if is_whole { text.to_owned() } else { complete(text) };
    let mut values = Vec::new();
    let mut bad = 0;
    for value in serde_json::Deserializer::from_str(&completed).into_iter::<Value>().take(LOOK_ROWS) {
        match value {
            Ok(value) => values.push(value),
            Err(_) => {
                bad += 1;
                break;
            }
        }
    }
    let mut notes = Vec::new();
    if bad > 0 {
        if values.is_empty() {
            // Whatever is complete of it.
            values = serde_json::from_str(&complete(text)).ok().into_iter().collect();
        }
        notes.push("a part of the text is no JSON: its rows would be rejected".to_owned());
    }
    if values.is_empty() {
        return None;
    }
    match values.as_slice() {
        [Value::Array(items)] => {
            let rows: Vec<Value> = items.iter().filter(|item| item.is_object()).take(LOOK_ROWS).cloned().collect();
            let others = items.len().min(LOOK_ROWS) - rows.len();
            Some((Format::Json, rows, None, notes, others + bad))
        }
        [Value::Object(members)] if !is_single_row(text) || members.values().any(is_list_of_records) => {
            let list =
                members.iter().filter(|(_, value)| is_list_of_records(value)).max_by_key(|(_, value)| value.as_array().map(Vec::len));
            match list {
                // What an API answers: a list, and how to get the next ones.
                Some((name, Value::Array(items))) if lines.len() > 1 || members.len() <= 6 => {
                    let mut rows = Vec::new();
                    for item in items.iter().filter(|item| item.is_object()).take(LOOK_ROWS) {
                        rows.push(Value::Object([(name.clone(), item.clone())].into_iter().collect()));
                    }
                    notes.push(format!("the file is one object, and its rows are the elements of `{name}`"));
                    Some((Format::Json, rows, Some(name.clone()), notes, bad))
                }
                _ => Some((Format::Json, values, None, notes, bad)),
            }
        }
        [Value::Object(_)] => Some((if lines.len() == 1 { Format::Ndjson } else { Format::Json }, values, None, notes, bad)),
        _ => {
            let rows: Vec<Value> = values.into_iter().filter(Value::is_object).collect();
            Some((Format::Json, rows, None, notes, bad))
        }
    }
}

/// The rows of NDJSON; none where the lines are none of that.
fn rows_of_lines(lines: &[&str], is_named: bool) -> Option<Rows> {
    // A bad line costs itself alone, so most lines tell; a document over several lines has few that are objects by themselves.
    let read: Vec<Option<Value>> = lines.iter().map(|line| serde_json::from_str(line).ok().filter(Value::is_object)).collect();
    let good = read.iter().flatten().count();
    if lines.len() > 1 && (good * 2 > lines.len() || (is_named && good > 0)) {
        // A line that is null, as Kafka writes what was removed, is no row.
        let nulls = lines.iter().filter(|line| line.trim() == "null").count();
        let bad = lines.len() - good - nulls;
        return Some((Format::Ndjson, read.into_iter().flatten().collect(), None, Vec::new(), bad));
    }
    None
}

fn is_single_row(text: &str) -> bool {
    !text.trim_end().contains('\n')
}

fn is_list_of_records(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_object))
}

/// A text of JSON up to the last value that is complete, with what is open closed.
fn complete(text: &str) -> String {
    let (mut open, mut inside, mut escaped) = (Vec::new(), false, false);
    // The last place at which the text may be cut, and what is open there.
    let mut cut = (0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ if inside => {}
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' => {
                if open.pop() != Some(byte) {
                    break;
                }
                // Deeper parts are cut away with what holds them.
                if open.len() <= 3 {
                    cut = (at + 1, open.clone());
                }
            }
            _ => {}
        }
    }
    let mut completed = text[..cut.0].to_owned();
    completed.extend(cut.1.iter().rev().map(|byte| char::from(*byte)));
    completed
}

/// The paths of objects that are maps: their members differ from row to row.
fn maps(rows: &[Value]) -> std::collections::BTreeSet<String> {
    let mut members: IndexMap<String, std::collections::BTreeSet<&str>> = IndexMap::new();
    for row in rows {
        count_members(row, "", 0, &mut members);
    }
    members.into_iter().filter(|(path, names)| !path.is_empty() && names.len() > MEMBERS_OF_RECORD).map(|(path, _)| path).collect()
}

fn count_members<'a>(value: &'a Value, path: &str, depth: usize, members: &mut IndexMap<String, std::collections::BTreeSet<&'a str>>) {
    let Value::Object(object) = value else { return };
    if depth >= FOLLOWED_DEPTH || members.len() > MAX_COLUMNS {
        return;
    }
    for (name, inner) in object {
        let known = members.entry(path.to_owned()).or_default();
        if known.len() <= MEMBERS_OF_RECORD {
            known.insert(name);
        }
        count_members(inner, &join(path, name), depth + 1, members);
    }
}

/// The path of a member, whose name stands in quotes where it could be taken for steps of a path.
pub fn join(path: &str, name: &str) -> String {
    let member = MemberPath { steps: vec![Step::Member(name.to_owned())] };
    if path.is_empty() { member.to_string() } else { format!("{path}.{member}") }
}

struct Columns {
    rows: usize,
    columns: IndexMap<String, Values>,
    lists: IndexMap<String, IndexMap<String, ()>>,
    hidden: usize,
    /// Whether members were left out because there are many.
    has_more: bool,
}

/// The values of a column as they come.
#[derive(Default)]
struct Values {
    cells: Vec<(usize, String)>,
    texts: usize,
    numbers: usize,
    fractions: usize,
    truths: usize,
    lists: usize,
    others: usize,
    /// Lists of lists.
    nested: usize,
    of_list: Option<Held>,
}

impl Values {
    fn finish(self, rows: usize) -> (Held, Vec<Option<String>>, Vec<String>) {
        let mut cells = vec![None; rows];
        for (at, text) in self.cells {
            cells[at] = Some(text);
        }
        let kinds = [self.texts, self.numbers, self.truths, self.lists, self.others].iter().filter(|count| **count > 0).count();
        let mut notes = Vec::new();
        if kinds > 1 {
            let named = [
                ("texts", self.texts),
                ("numbers", self.numbers),
                ("truths", self.truths),
                ("lists", self.lists),
                ("objects", self.others),
            ];
            let told: Vec<String> = named.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
            notes.push(format!("it holds values of several kinds: {}", told.join(", ")));
        }
        let held = match () {
            () if self.nested > 0 => Held::Other("lists of lists"),
            () if self.lists > 0 && self.lists >= self.texts + self.numbers => Held::List(Box::new(self.of_list.unwrap_or(Held::Text))),
            () if self.others > self.texts + self.numbers + self.truths => Held::Other("objects"),
            () if self.texts > 0 => Held::Text,
            () if self.fractions > 0 => Held::Fraction,
            () if self.numbers > 0 => Held::Number,
            () if self.truths > 0 => Held::Truth,
            () => Held::Text,
        };
        (held, cells, notes)
    }
}

impl Columns {
    /// Adds a member of an object, if its name may be shown.
    fn member(&mut self, row: usize, path: &str, name: &str, value: &Value, depth: usize, maps: &std::collections::BTreeSet<String>) {
        if is_name(name) {
            self.add(row, join(path, name), value, depth, maps);
        } else {
            self.hidden += 1;
        }
    }

    fn add(&mut self, row: usize, path: String, value: &Value, depth: usize, maps: &std::collections::BTreeSet<String>) {
        if !self.columns.contains_key(&path) && self.columns.len() >= MAX_COLUMNS {
            self.has_more = true;
            return;
        }
        match value {
            Value::Null => drop(self.columns.entry(path).or_default()),
            Value::String(text) => {
                let values = self.columns.entry(path).or_default();
                values.texts += 1;
                if !text.is_empty() {
                    values.cells.push((row, text.clone()));
                }
            }
            Value::Number(number) => {
                let values = self.columns.entry(path).or_default();
                values.numbers += 1;
                values.fractions += usize::from(number.is_f64());
                values.cells.push((row, number.to_string()));
            }
            Value::Bool(truth) => {
                let values = self.columns.entry(path).or_default();
                values.truths += 1;
                values.cells.push((row, truth.to_string()));
            }
            Value::Object(members) if depth < FOLLOWED_DEPTH && !maps.contains(&path) => {
                for (name, inner) in members {
                    self.member(row, &path, name, inner, depth + 1, maps);
                }
            }
            Value::Object(_) => self.columns.entry(path).or_default().others += 1,
            Value::Array(items) if items.iter().any(Value::is_object) => self.records(row, &path, items, depth, maps),
            Value::Array(items) if items.iter().any(Value::is_array) => self.columns.entry(path).or_default().nested += 1,
            Value::Array(items) => {
                let values = self.columns.entry(path).or_default();
                values.lists += 1;
                let is_number = items.iter().any(Value::is_number) && !items.iter().any(Value::is_string);
                let is_truth = items.iter().any(Value::is_boolean) && !is_number && !items.iter().any(Value::is_string);
                if !items.is_empty() {
                    let is_fraction = items.iter().any(Value::is_f64) || values.of_list == Some(Held::Fraction);
                    let held = if is_number && is_fraction {
                        Held::Fraction
                    } else if is_number {
                        Held::Number
                    } else if is_truth {
                        Held::Truth
                    } else {
                        Held::Text
                    };
                    // One text makes it a list of texts.
                    if values.of_list != Some(Held::Text) {
                        values.of_list = Some(held);
                    }
                    let texts = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
                    values.cells.push((row, texts.collect::<Vec<_>>().join("\t")));
                }
            }
        }
    }

    /// A list of records: entries of key and value become columns; any other is told.
    fn records(&mut self, row: usize, path: &str, items: &[Value], depth: usize, maps: &std::collections::BTreeSet<String>) {
        let is_entry =
            |item: &Value| item.get("key").is_some_and(Value::is_string) && item.as_object().is_some_and(|entry| entry.len() == 2);
        if items.iter().all(is_entry) && depth < FOLLOWED_DEPTH {
            for item in items {
                let (Some(key), Some(members)) = (item["key"].as_str(), item.as_object()) else { continue };
                let Some((name, inner)) = members.iter().find(|(name, _)| *name != "key") else { continue };
                if !is_name(key) || key.contains([']', '[', '=', '"']) {
                    self.hidden += 1;
                    continue;
                }
                let entry = join(&format!("{path}[key={key}]"), name);
                match inner {
                    // Of the several values of an entry only the one that is there becomes a column.
                    Value::Object(values) => {
                        for (kind, value) in values.iter().filter(|(_, value)| !value.is_null()) {
                            self.add(row, join(&entry, kind), value, depth + 2, maps);
                        }
                    }
                    other => self.add(row, entry, other, depth + 2, maps),
                }
            }
            return;
        }
        let known = self.lists.entry(path.to_owned()).or_default();
        for item in items.iter().filter_map(Value::as_object) {
            for name in item.keys().filter(|name| is_name(name)) {
                if known.len() < MEMBERS_OF_RECORD {
                    known.insert(name.clone(), ());
                }
            }
        }
        let _ = self.rows;
    }
}

/// Whether a member's name may be shown: it is no address, no number, and not a text.
fn is_name(name: &str) -> bool {
    let digits = name.chars().filter(char::is_ascii_digit).count();
    !name.is_empty() && name.chars().count() <= 100 && !is_email(name) && digits < 7
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(text: &str, is_whole: bool) -> (Format, usize, Option<String>, Vec<String>) {
        let table = table("a.json", &[text.to_owned()], is_whole).unwrap();
        let names = table.columns.iter().filter_map(|column| column.name().map(str::to_owned)).collect();
        (table.format, table.rows, table.each, names)
    }

    #[test]
    fn json_is_told_in_all_its_forms() {
        assert_eq!(
            paths("{\"a\": 1}\n{\"a\": 2, \"b\": {\"c\": \"x\"}}\n", true),
            (Format::Ndjson, 2, None, vec!["a".into(), "b.c".into()])
        );
        assert_eq!(paths("[{\"a\": 1},\n {\"a\": 2}]", true), (Format::Json, 2, None, vec!["a".into()]));
        assert_eq!(paths("[{\"a\": 1},\n {\"a\": 2}, {\"a\": 3, \"b\":", false), (Format::Json, 2, None, vec!["a".into()]));
        assert_eq!(paths("{\n \"a\": 1\n}\n{\n \"a\": 2\n}\n", true), (Format::Json, 2, None, vec!["a".into()]));
        let api = "{\"next\": null, \"data\": [\n {\"id\": 1}, {\"id\": 2}\n]}";
        assert_eq!(paths(api, true), (Format::Json, 2, Some("data".into()), vec!["data.id".into()]));
        let event = r#"{"event_name":"page_view","event_params":[{"key":"page_location","value":{"string_value":"x","int_value":null}},{"key":"n","value":{"int_value":5}}]}"#;
        assert_eq!(
            paths(&format!("{event}\n{event}\n"), true).3,
            ["event_name", "event_params[key=page_location].value.string_value", "event_params[key=n].value.int_value"]
        );
    }

    #[test]
    fn names_that_are_values_are_not_shown() {
        let (.., names) = paths("{\"by\": {\"ann@example.com\": 1, \"4915123456789\": 2, \"plain\": 3}}\n{\"by\": {}}\n", true);
        assert_eq!(names, ["by.plain"]);
        let rows: String = (0..300).map(|n| format!("{{\"m\": {{\"k{n}\": 1}}}}\n")).collect();
        assert_eq!(paths(&rows, true).3, ["m"]);
    }

    proptest! {
        #[test]
        fn any_text_is_json_or_not(text in "[\\[\\]{}:,\"a1 \n\\\\]{0,200}") {
            table("a.json", std::slice::from_ref(&text), true);
            table("a.json", &[format!("{{{text}")], false);
            table("a.json", &[format!("[{text}"), text], false);
        }

        /// What is cut off anywhere is completed to JSON.
        #[test]
        fn a_cut_text_is_completed(rows in proptest::collection::vec((0..100_u32, "[a-z\\[{\"]{0,8}"), 1..20), cut in 0..1000_usize) {
            let whole = serde_json::to_string(&rows.iter().map(|(n, t)| serde_json::json!({"n": n, "t": [t, {"u": t}]})).collect::<Vec<_>>()).unwrap();
            let text: String = whole.chars().take(cut).collect();
            let completed = complete(&text);
            prop_assert!(completed.is_empty() || serde_json::from_str::<Value>(&completed).is_ok(), "{}", completed);
        }
    }
}
