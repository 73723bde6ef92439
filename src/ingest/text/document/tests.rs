//! Documents of any shape are divided into the records that a parser finds in them.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use proptest::prelude::*;
use serde_json::Value;

use super::super::MAX_RECORD_BYTES;
use super::super::json::{Envelope, Splitter};
use super::*;
use crate::config::SourceFormat;
use crate::storage::File;

/// What was found: records with their lines, elements by number, and what is bad.
#[derive(Debug, Default, PartialEq)]
struct Divided {
    records: Vec<(u64, String)>,
    numbers: Vec<u64>,
    bad: Vec<(u64, &'static str)>,
    breaks_off: Option<u64>,
}

fn divide(text: &str, format: SourceFormat, each: Option<&[&str]>) -> Divided {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&Path::from("a.json"), PutPayload::from(text.as_bytes().to_vec())).await.unwrap();
        let meta = store.head(&Path::from("a.json")).await.unwrap();
        let file = File { store, meta, shown: String::new(), is_local: false, parts: Arc::default() };
        let mut blocks = Blocks { format, ..Blocks::open(&file, super::super::Division::Lines) };
        blocks.envelope =
            each.map(|members| Envelope { members: members.iter().map(|name| (*name).to_owned()).collect(), outside: Vec::new() });
        let mut divided = Divided::default();
        while let Some(piece) = blocks.next().await.unwrap() {
            match piece {
                Piece::Block(block) => {
                    let json = block.json.unwrap();
                    for (at, (bytes, line)) in json.records.iter().enumerate() {
                        assert!(*line >= block.first_line);
                        let bytes = &block.bytes[bytes.clone()];
                        divided.records.push((*line, std::str::from_utf8(bytes).unwrap().to_owned()));
                        divided.numbers.extend(json.first_element.map(|first| first + at as u64));
                    }
                }
                Piece::Bad { line, reason, .. } => divided.bad.push((line, reason)),
            }
        }
        divided.breaks_off = blocks.breaks_off().map(|(line, _)| line);
        divided
    })
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), text()];
    let inner = scalar.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c{\\]\"\\\\\n]{0,3}", inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::vec(("[a-c\"]{1,3}", inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn text() -> impl Strategy<Value = Value> {
    "[\\[\\]{}:,\"\\\\\n x\u{1F600}]{0,8}".prop_map(Value::from)
}

fn shown(value: &Value, is_pretty: bool) -> String {
    if is_pretty { serde_json::to_string_pretty(value).unwrap() } else { value.to_string() }
}

proptest! {
    #[test]
    fn records_are_those_that_were_written(
        values in prop::collection::vec((value(), any::<bool>()), 0..8),
        is_list in any::<bool>(),
        between in prop::sample::select(vec!["\n", "", " ", "\r\n\r\n"]),
    ) {
        let written: Vec<String> = values.iter().map(|(value, is_pretty)| shown(value, *is_pretty)).collect();
        let text = if is_list { format!(" [{between}{}{between}]{between}", written.join(&format!(",{between}"))) } else { written.join(between) };
        let divided = divide(&text, SourceFormat::Json, None);
        let mut at = 0;
        let expected: Vec<(u64, String)> = written.into_iter().map(|record| {
            at += text[at..].find(&record).unwrap();
            let line = 1 + text[..at].matches('\n').count() as u64;
            at += record.len();
            (line, record)
        }).collect();
        prop_assert_eq!(divided, Divided { records: expected, ..Divided::default() });
    }

    #[test]
    fn any_text_is_divided_and_nothing_is_lost(text in "[{}\\[\\]\",: \n\\\\a1]{0,40}") {
        let divided = divide(&text, SourceFormat::Json, None);
        let held: String = divided.records.iter().map(|(_, record)| record.as_str()).collect();
        // Nothing is read twice, and what is no record is a separator or behind a fault.
        prop_assert!(held.len() <= text.len());
        let rest: usize = text.bytes().filter(|byte| !b"[], \n".contains(byte)).count();
        let kept: usize = held.bytes().filter(|byte| !b"[], \n".contains(byte)).count();
        prop_assert!(kept == rest || divided.breaks_off.is_some(), "{:?}", divided);
    }
}

#[test]
fn what_breaks_off_is_told_with_its_line() {
    for (text, records, line) in [
        ("[{\"a\": 1},\n{\"a\": 2", 1, 2),
        ("[{\"a\": 1},\n{\"a\": 2}\n", 2, 3),
        ("{\"a\": 1}\n{\"a\": [1}\n{\"a\": 3}", 1, 2),
        ("{\"a\": \"x", 0, 1),
    ] {
        let divided = divide(text, SourceFormat::Json, None);
        assert_eq!((divided.records.len(), divided.breaks_off), (records, Some(line)), "{text}");
    }
}

#[test]
fn lines_that_begin_with_a_list_are_a_document_and_lines_with_objects_are_none() {
    let name = "data/a.json";
    for (text, is_document) in [
        ("[{}]", true),
        ("{\n  \"a\": 1\n}\n", true),
        ("{\"a\": {\n\"b\": 1}}\n", true),
        ("{\"a\": [\n1]}", true),
        ("{\"a\": 1\n}\n", true),
        ("{\"data\": [{\"a\": 1},\n{\"a\": 2}]}\n", true),
        ("{\"data\": [{\"a\": 1},\n{\"a\": 2},\n{\"a\": 3}]}", true),
        ("{\"data\": [{\"a\": 1},\n{\n\"a\": 2}]}", true),
        ("{\"data\": [{\"a\": 1},\n{\"data\": []}\n", false),
        ("{\"a\": 1}\n{\"b\": 1}\n", false),
        ("{\"a\": 1\n{\"b\": 1}\n", false),
        ("{\"a\": 1,\n{\"b\": 1}\n", false),
        ("{\"a\": 1}", false),
        ("", false),
    ] {
        assert_eq!(Splitter::of(text.as_bytes(), SourceFormat::Ndjson, name).is_some(), is_document, "{text}");
    }
    assert!(Splitter::of(b"{\n\"a\": 1}", SourceFormat::Ndjson, "a.ndjson").is_none());
    assert!(Splitter::of(b"{\"a\": 1}", SourceFormat::Json, "a.ndjson").is_some());
}

/// A list longer than a record is read element by element, wherever in its object it is; what is too long is told.
#[test]
fn a_list_in_an_object_is_read_element_by_element() {
    let long = "x".repeat(MAX_RECORD_BYTES);
    let element = format!("{{\"a\": \"{}\"}}", "y".repeat(1000));
    let many = vec![element.as_str(); 3000].join(",\n");
    let before: String = (0..30_000).map(|at| format!("\"m{at}\": {{\"data\": [1]}},\n")).collect();
    let text = format!(
        "{{\"next\": \"{long}\", {before}\"meta\": {{\"data\": [{many}, {{\"b\": \"{long}\"}}, 5], \"n\": 1}}, \"z\": null}}\n{{\"meta\": null}}"
    );
    let divided = divide(&text, SourceFormat::Json, Some(&["meta", "data"]));
    assert_eq!(divided.records.len(), 3002);
    assert_eq!(divided.records[0], (30_001, element.clone()));
    assert_eq!(divided.records[2999].0, 33_000);
    assert_eq!(divided.numbers[..3000], (0..3000).collect::<Vec<u64>>());
    assert_eq!((divided.numbers.len(), divided.numbers[3000]), (3001, 3001));
    assert_eq!(divided.bad, [(33_000, TOO_LONG)]);
    assert_eq!(divided.records[3001].1, "{\"meta\": null}");
    assert_eq!(divided.breaks_off, None);
    // Cut off in the list.
    let cut = divide(&text[..text.len() / 2], SourceFormat::Json, Some(&["meta", "data"]));
    assert!(cut.breaks_off.is_some() && !cut.records.is_empty());
    // Without the list of a contract it is one record, and too long.
    let whole = divide(&text, SourceFormat::Json, None);
    assert_eq!((whole.records.len(), whole.bad.as_slice()), (1, [(1, TOO_LONG)].as_slice()));
}

/// However many members of an object are bad, each byte is gone over once.
#[test]
fn many_bad_members_take_a_moment() {
    const COUNT: usize = 300_000;
    let long = "x".repeat(MAX_RECORD_BYTES);
    let text = format!("{{\"pad\": \"{long}\",\n{}\"data\": [{{\"a\": 1}}], \"data\": 5}}", "\"data\": 1,\n".repeat(COUNT));
    let begun = crate::clock::Stopwatch::start();
    let divided = divide(&text, SourceFormat::Json, Some(&["data"]));
    // With a block moved for each it took many minutes.
    assert!(begun.elapsed_ms() < 60_000);
    assert_eq!((divided.bad.len(), divided.records.len(), divided.breaks_off), (COUNT + 1, 1, None));
    let lines = divided.bad.iter().map(|(line, _)| *line);
    assert!(lines.eq((2..).take(COUNT + 1)) && divided.bad[0].1 == NOT_A_LIST && divided.bad[COUNT].1 == INVALID);
    // What is bad before the place at which it breaks off is told, too.
    let cut = divide(&text[..text.len() / 2], SourceFormat::Json, Some(&["data"]));
    assert!(!cut.bad.is_empty() && cut.breaks_off.is_some());
}

#[test]
fn records_of_every_size_are_whole_across_blocks() {
    let record = |size: usize| format!("{{\"a\": \"{}\"}}", "z".repeat(size - 9));
    let sizes = [10, MAX_RECORD_BYTES, 20, MAX_RECORD_BYTES - 1, MAX_RECORD_BYTES + 3, 30, 700_000, 700_000, 11];
    let text = format!("[\n{}\n]", sizes.iter().map(|size| record(*size)).collect::<Vec<_>>().join(",\n"));
    let divided = divide(&text, SourceFormat::Ndjson, None);
    let whole: Vec<(u64, usize)> = divided.records.iter().map(|(line, record)| (*line, record.len())).collect();
    let expected = sizes.iter().enumerate().map(|(at, size)| (at as u64 + 2, *size)).filter(|(_, size)| *size <= MAX_RECORD_BYTES);
    assert_eq!(whole, expected.collect::<Vec<_>>());
    assert_eq!(divided.bad, [(6, TOO_LONG)]);
}
