use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use segmill::config::{self, Environment};
use segmill::engine::{Engine, Limits};
use segmill::error::Error;
use segmill::ingest::{self, Collector, Ledger, Reject, RequiredColumns};
use segmill::plan;
use segmill::storage::Stores;
use serde_json::{Value, json};

use crate::support::{package, rows};

/// What a run makes of an extract.
#[derive(Debug)]
pub struct Outcome {
    pub ledger: Ledger,
    pub rejects: Vec<Reject>,
    pub remarks: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Outcome {
    pub fn reasons(&self) -> Vec<(u64, &str, &'static str)> {
        self.rejects.iter().map(|reject| (reject.row_number, reject.column.as_deref().unwrap_or_default(), reject.reason)).collect()
    }

    pub fn first(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row[0].as_str()).collect()
    }
}

/// Reads some bytes as an extract. `keys` are those of the source, and `columns` its columns beside the event time `at`, all of which are
/// asked for in order.
pub fn read(keys: &str, columns: &[(&str, &str)], name: &str, bytes: &[u8]) -> Result<Outcome, Error> {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    query(keys, columns, &format!("select {} from sources.extract", names.join(", ")), name, bytes)
}

fn query(keys: &str, columns: &[(&str, &str)], sql: &str, name: &str, bytes: &[u8]) -> Result<Outcome, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let mut pipeline =
            "version: 1\nname: nested\nsources:\n  extract:\n    location: memory:///extract.*\n    event_time: at\n".to_owned();
        pipeline += "    reject_budget: {share: 1}\n";
        pipeline += &keys.lines().map(|line| format!("    {line}\n")).collect::<String>();
        pipeline += "    columns:\n";
        if !columns.iter().any(|(name, _)| *name == "at") {
            pipeline += "      at: {type: timestamp, required: true}\n";
        }
        pipeline += &columns.iter().map(|(name, column)| format!("      {name}: {column}\n")).collect::<String>();
        pipeline += "outputs: {destination: out, tables: {customers: {model: customers, sort: [customer_id]}}}\n";
        write("pipelines/nested.yaml", &pipeline);
        write("sql/customers.sql", "-- A customer.\nselect distinct cast(at as varchar) as customer_id from sources.extract\n");
        let project = config::load(&folder.path().join("pipelines/nested.yaml"), &Environment::new())?;
        let values = config::bind(&project, "2030-01-01".parse().unwrap(), &BTreeMap::new())?;
        let plan = plan::plan(Arc::new(project), values).await?;
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&name.into(), PutPayload::from(bytes.to_vec())).await.unwrap();
        let stores = Stores::new(Environment::new());
        stores.provide("memory:", store);
        let extracts = ingest::find(&plan.project, &plan.contracts, &stores, None).await?;
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 256 << 20 }, "UTC")?;
        let collector = Collector::new(&extracts[0].contract, &engine);
        let all = plan.contracts[0].columns.iter().map(|column| column.name.clone()).collect();
        let required = RequiredColumns { scans: 1, columns: all, ..RequiredColumns::default() };
        ingest::register(&engine, "sources.extract", &extracts[0], &required, &collector)
            .await
            .map_err(|error| collector.failure().unwrap_or(error))?;
        let frame = engine.query(sql).await.unwrap();
        let read = engine.collect(frame).await;
        if let Some(error) = collector.failure() {
            return Err(error);
        }
        let rows = rows(&read.unwrap().1);
        ingest::complete(&engine, &extracts[0], &collector).await?;
        let mut rejects = Vec::new();
        for part in collector.parts() {
            rejects.extend(collector.rejects_of(part)?);
        }
        let ledger = collector.ledger(1);
        assert!(ledger.adds_up(), "{ledger:?}");
        Ok(Outcome { ledger, rejects, remarks: collector.remarks(), rows })
    })
}

pub fn told(outcome: Result<Outcome, Error>) -> String {
    match outcome {
        Ok(outcome) => panic!("it was read: {outcome:?}"),
        Err(Error::Project(problems)) => problems.iter().map(|problem| problem.render(false)).collect(),
        Err(error) => error.to_string(),
    }
}

fn lines(objects: &[Value]) -> Vec<u8> {
    objects.iter().map(|object| object.to_string() + "\n").collect::<String>().into_bytes()
}

pub const AT: &str = "2026-11-01T00:00:00Z";

const EVENTS: [(&str, &str); 16] = [
    ("at", "{type: timestamp, from: event_timestamp, format: epoch_us, required: true}"),
    ("visitor", "{type: string, from: user_pseudo_id}"),
    ("device", "{type: string, from: device.category}"),
    ("browser", "{type: string, from: device.web_info.browser}"),
    ("session", "{type: integer, from: 'event_params[key=ga_session_id].value.int_value'}"),
    (
        "engaged",
        "{type: string, from: ['event_params[key=engaged].value.string_value', 'event_params[key=ga_session_id].value.int_value']}",
    ),
    ("page", "{type: string, from: 'event_params[key=page_location].value.string_value'}"),
    ("item", "{type: string, from: 'items[1].item_id'}"),
    ("price", "{type: 'decimal(10,2)', from: 'items[0].price'}"),
    ("size", "{type: integer, from: 'items[0].item_params[key=size].value.int_value'}"),
    ("plan", "{type: string, from: attributes.plan}"),
    ("dotted", "{type: string, from: 'attributes.\"a.b\"'}"),
    ("tags", "{type: list(string)}"),
    ("tag", "{type: string, from: 'tags[2]'}"),
    ("seen", "{type: timestamp, from: first_seen.at}"),
    ("none", "{type: string, from: device.nothing, optional: true}"),
];

/// The same events as lines of JSON, and as Parquet in two of pyarrow's ways.
#[test]
fn nested_values_are_the_same_in_every_format() {
    let folder = package().join("tests/nested");
    let of = |file: &str, name: &str| read("", &EVENTS, name, &std::fs::read(folder.join(file)).unwrap()).unwrap();
    let expected = of("events.ndjson", "extract.ndjson");
    assert_eq!(expected.rows.len(), 240);
    let row = |at: usize| expected.rows[at][1..].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        row(7),
        [
            "7.7",
            "mobile",
            "Fire\"fox\\é",
            "1002",
            "yes",
            "/garden/0",
            "i7",
            "1.75",
            "7",
            "p1",
            "dotted",
            "[a, , t7]",
            "t7",
            "2025-11-08T10:00:00Z",
            ""
        ]
    );
    assert_eq!(row(0)[..8], ["0.0", "", "", "", "", "", "", ""]);
    // Every fifth has two pages, unless it has no parameters.
    let twice: Vec<u64> = (0..240).filter(|at| at % 5 == 0 && at % 13 != 0).map(|at| at + 1).collect();
    assert_eq!(expected.reasons(), twice.iter().map(|line| (*line, "page", "repeated-entry")).collect::<Vec<_>>());
    for file in ["events.parquet", "events_v2.parquet"] {
        let found = of(file, "extract.parquet");
        assert_eq!(found.rows, expected.rows, "{file}");
        assert_eq!(found.reasons(), expected.reasons(), "{file}");
    }
    let document: Vec<Value> = String::from_utf8(std::fs::read(folder.join("events.ndjson")).unwrap())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let document = serde_json::to_string_pretty(&document).unwrap();
    let found = read("format: json", &EVENTS, "extract.txt", document.as_bytes()).unwrap();
    assert_eq!(found.rows, expected.rows);
}

/// One row an element: the same in every format, and the books count elements.
#[test]
fn elements_are_rows_in_every_format() {
    let columns = [
        EVENTS[0],
        EVENTS[1],
        ("number", "{type: integer, from: 'items[#]', required: true}"),
        ("item", "{type: string, from: items.item_id}"),
        ("price", "{type: 'decimal(10,2)', from: items.price, max: 50}"),
        ("size", "{type: integer, from: 'items.item_params[key=size].value.int_value'}"),
        EVENTS[2],
        EVENTS[12],
    ];
    let folder = package().join("tests/nested");
    let of = |file: &str, name: &str| read("each: items", &columns, name, &std::fs::read(folder.join(file)).unwrap()).unwrap();
    let expected = of("events.ndjson", "extract.ndjson");
    // Of four events one has no list, one an empty one, and the others one element and two.
    assert_eq!((expected.rows.len(), expected.ledger.rows_read, expected.ledger.records_without_rows), (180, 180, 120));
    assert_eq!(expected.rows[0][1..5], ["2.2", "0", "i2", "0.50"]);
    assert_eq!(expected.rows[2][1..5], ["3.3", "1", "i3", "0.75"]);
    assert_eq!(expected.remarks, ["extract: 120 records without an element in `items`, of which no row comes"]);
    let first = &expected.rejects[0];
    assert_eq!((first.row_number, first.reason), (203, "above-maximum"));
    assert!(first.raw.contains("\"items[#]\":0") && first.raw.contains("\"items.item_id\":\"i202\""), "{}", first.raw);
    for file in ["events.parquet", "events_v2.parquet"] {
        let found = of(file, "extract.parquet");
        assert_eq!(found.rows, expected.rows, "{file}");
        assert_eq!(found.reasons(), expected.reasons(), "{file}");
        assert_eq!(found.ledger.records_without_rows, 120);
        assert!(found.rejects[0].raw.contains("\"items[#]\":0"), "{}", found.rejects[0].raw);
    }
}

#[test]
fn a_name_that_is_there_comes_before_a_path() {
    let column = [("a", "{type: string, from: device.category}")];
    let object = json!({"at": AT, "device.category": "named", "device": {"category": "nested"}});
    assert_eq!(read("", &column, "extract.ndjson", &lines(&[object])).unwrap().first(), ["named"]);
    let object = json!({"at": AT, "device": {"category": "nested"}});
    assert_eq!(read("", &column, "extract.ndjson", &lines(&[object])).unwrap().first(), ["nested"]);
    let csv = format!("at,device.category,Amount [EUR]\n{AT},named,5\n");
    let columns = [column[0], ("b", "{type: integer, from: 'Amount [EUR]'}")];
    assert_eq!(read("", &columns, "extract.csv", csv.as_bytes()).unwrap().rows, [["named", "5"]]);
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["nested"]));
    let device: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(Field::new("category", DataType::Utf8, true)), inner)]));
    let at: ArrayRef = Arc::new(StringArray::from(vec![AT]));
    let named: ArrayRef = Arc::new(StringArray::from(vec!["named"]));
    let both = parquet(&[("at", Arc::clone(&at)), ("device", Arc::clone(&device)), ("device.category", named)]);
    assert_eq!(read("", &column, "extract.parquet", &both).unwrap().first(), ["named"]);
    let nested = parquet(&[("at", Arc::clone(&at)), ("device", device)]);
    assert_eq!(read("", &column, "extract.parquet", &nested).unwrap().first(), ["nested"]);
    let lacking = told(read("", &column, "extract.parquet", &parquet(&[("at", at)])));
    assert!(lacking.contains("lacks `device.category`"), "{lacking}");
}

pub fn parquet(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(name, array)| (*name, Arc::clone(array), true))).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// What a path may meet on its way, and what becomes of it.
#[test]
fn what_stands_on_the_way_is_a_value_nothing_or_a_fault() {
    let columns = [("a", "{type: string, from: 'a.b[k=x].c', on_error: reject}"), ("at", "{type: timestamp, required: true}")];
    let entry = |k: Value, c: Value| json!({"k": k, "c": c});
    for (value, kept, reason) in [
        (json!(null), Some(""), ""),
        (json!({}), Some(""), ""),
        (json!([]), Some(""), ""),
        (json!({"b": null}), Some(""), ""),
        (json!({"b": []}), Some(""), ""),
        (json!({"b": [entry(json!("x"), json!("v"))]}), Some("v"), ""),
        (json!({"b": [1, null, [], entry(json!("y"), json!("w")), entry(json!("x"), json!(5))]}), Some("5"), ""),
        (json!({"b": [entry(json!("x"), json!(null))]}), Some(""), ""),
        (json!({"b": [entry(json!("x"), json!(1)), entry(json!("x"), json!(1))]}), None, "repeated-entry"),
        (json!({"b": [entry(json!("x"), json!({}))]}), None, "nested-value"),
        (json!({"b": {"k": "x"}}), None, "not-a-list"),
        (json!({"b": 5}), None, "not-an-object"),
        (json!([{"b": []}]), None, "nested-value"),
        (json!("text"), None, "not-an-object"),
    ] {
        let outcome = read("", &columns, "extract.ndjson", &lines(&[json!({"at": AT, "a": value}), json!({"at": AT})])).unwrap();
        let reasons: Vec<&str> = outcome.rejects.iter().map(|reject| reject.reason).collect();
        let expected: Vec<&str> = if reason.is_empty() { vec![] } else { vec![reason] };
        assert_eq!((reasons, outcome.first()), (expected, kept.into_iter().chain([""]).collect()), "{value}");
    }
}

#[test]
fn lists_are_columns_and_an_element_at_fault_is_their_fault() {
    let columns = [("tags", "{type: list(integer), min: 0, required: true}"), ("words", "{type: list(string), accepted: [a, b]}")];
    let object = |tags: Value, words: Value| json!({"at": AT, "tags": tags, "words": words});
    let objects = [
        object(json!([1, "2", 3.0, null]), json!(["a", "b", "a"])),
        object(json!([1, "x"]), json!([])),
        object(json!([1, -1]), json!(null)),
        object(json!(null), json!([])),
        object(json!([]), json!(["c"])),
        object(json!([[1]]), json!([])),
        object(json!(5), json!([])),
        object(json!([0]), json!("a")),
    ];
    let outcome = read("", &columns, "extract.ndjson", &lines(&objects)).unwrap();
    assert_eq!(outcome.rows, [["[1, 2, 3, ]", "[a, b, a]"], ["[]", ""], ["[0]", ""]]);
    assert_eq!(
        outcome.reasons(),
        [
            (2, "tags", "not-an-integer"),
            (3, "tags", "below-minimum"),
            (4, "tags", "missing-value"),
            (5, "words", "not-accepted"),
            (6, "tags", "nested-value"),
            (7, "tags", "not-a-list"),
            (8, "words", "not-a-list"),
        ]
    );
    // SQL takes lists apart.
    let sql =
        "select unnest(words) as word, array_length(tags) as count, array_has(tags, 2) as two from sources.extract order by word, count";
    let outcome = query("", &columns, sql, "extract.ndjson", &lines(&objects)).unwrap();
    assert_eq!(outcome.rows, [["a", "4", "true"], ["a", "4", "true"], ["b", "4", "true"]]);
}

#[test]
fn json_texts_are_read_in_every_format() {
    let columns = [
        ("a", "{type: integer, from: payload, json: 'a.b[1]'}"),
        ("all", "{type: list(string), from: payload, json: $.l}"),
        ("first", "{type: string, from: payload, json: \"$.l[0]\"}"),
    ];
    let texts = ["{\"a\": {\"b\": [1, 2e1]}, \"l\": [\"x\", 5]}", "", "null", "{\"a\": 1", "{\"a\": {}}", " {\"a\": {\"b\": [0, \"7\"]}} "];
    let csv: String = texts.iter().map(|text| format!("{AT},\"{}\"\n", text.replace('"', "\"\""))).collect();
    let ndjson: Vec<Value> = texts.iter().map(|text| json!({"at": AT, "payload": text})).collect();
    let at: ArrayRef = Arc::new(StringArray::from(vec![AT; texts.len()]));
    let payload: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    for (name, bytes) in [
        ("extract.csv", format!("at,payload\n{csv}").into_bytes()),
        ("extract.ndjson", lines(&ndjson)),
        ("extract.parquet", parquet(&[("at", at), ("payload", payload)])),
    ] {
        let outcome = read("", &columns, name, &bytes).unwrap();
        assert_eq!(outcome.rows, [["20", "[x, 5]", "x"], ["", "", ""], ["", "", ""], ["", "", ""], ["", "", ""], ["7", "", ""]], "{name}");
        let reasons: Vec<(&str, &str)> = outcome.rejects.iter().map(|reject| (reject.column.as_deref().unwrap(), reject.reason)).collect();
        assert_eq!(reasons, [("a", "invalid-json"), ("all", "invalid-json"), ("first", "invalid-json")], "{name}");
    }
}

/// A list in an object around it, small or so large that it is read element by element.
#[test]
fn the_answer_of_an_interface_is_read_whatever_its_size() {
    let columns = [
        ("id", "{type: integer, from: data.id, required: true}"),
        ("at", "{type: timestamp, from: data.at, required: true}"),
        ("n", "{type: integer, from: 'data[#]'}"),
    ];
    for count in [3_u64, 40_000] {
        let mut elements: Vec<Value> = (0..count).map(|id| json!({"id": id, "at": AT})).collect();
        elements[1]["id"] = json!("x");
        let document = serde_json::to_string_pretty(&json!({"next": "https://x", "data": elements, "total": count})).unwrap();
        let outcome = read("format: json\neach: data", &columns, "extract.txt", document.as_bytes()).unwrap();
        assert_eq!((outcome.ledger.rows_read, outcome.ledger.rows_kept, outcome.ledger.rows_rejected), (count, count - 1, 1));
        let mut found: Vec<(u64, u64)> = outcome.rows.iter().map(|row| (row[0].parse().unwrap(), row[2].parse().unwrap())).collect();
        found.sort_unstable();
        assert_eq!(found, (0..count).filter(|id| *id != 1).map(|id| (id, id)).collect::<Vec<_>>());
        assert_eq!(outcome.reasons(), [(8, "id", "not-an-integer")]);
        assert!(outcome.rejects[0].raw.contains("\"data[#]\":1"), "{}", outcome.rejects[0].raw);
    }
    // What lies around a long list cannot be read with it.
    let with_outside = [columns[0], columns[1], ("total", "{type: integer}")];
    let elements: Vec<Value> = (0..40_000).map(|id| json!({"id": id, "at": AT})).collect();
    let large = json!({"data": elements, "total": 1}).to_string();
    let refused = told(read("format: json\neach: data", &with_outside, "extract.json", large.as_bytes()));
    assert!(refused.contains("more than 1 MiB") && refused.contains("`total`"), "{refused}");
}

#[test]
fn documents_that_break_off_are_told_and_keep_what_was_whole() {
    let columns = [("a", "{type: integer}")];
    let text = format!("[\n{{\"at\": \"{AT}\", \"a\": 1}},\n{{\"at\": \"{AT}\", \"a\": [2}}\n]");
    let outcome = read("", &columns, "extract.json", text.as_bytes()).unwrap();
    assert_eq!((outcome.first(), outcome.reasons()), (vec!["1"], vec![(3, "", "unclosed-json")]));
    assert!(outcome.remarks[0].contains("is no whole JSON document"), "{:?}", outcome.remarks);
    let refused = told(read("", &columns, "extract.json", b"[1, 2, [3]]"));
    assert!(refused.contains("no line of it is a JSON object") || refused.contains("no record of it is a JSON object"), "{refused}");
}

/// No value of a personal column is shown, nor a nested one of which it is a part.
#[test]
fn personal_values_in_nested_ones_stay_hidden() {
    let planted = "planted-7f3a";
    let columns = [
        ("n", "{type: integer, required: true}"),
        ("mail", "{type: string, from: contact.mail, personal: true}"),
        ("contact", "{type: string, optional: true}"),
        ("kind", "{type: string, from: contact.kind, accepted: [a]}"),
        ("first", "{type: string, from: 'list[0]', personal: true}"),
        ("payload", "{type: string, json: m, personal: true}"),
        ("words", "{type: list(string), personal: true}"),
    ];
    let mut objects: Vec<Value> = (0..2)
        .map(|_| {
            json!({"at": AT, "n": "x", "contact": {"mail": planted, "kind": "a"}, "list": [planted], "payload": format!("{{\"m\": \"{planted}\"}}"), "words": [planted]})
        })
        .collect();
    objects.push(json!({"at": AT, "n": 1}));
    let pretty = serde_json::to_string_pretty(&objects).unwrap().into_bytes();
    for (name, bytes) in [("extract.ndjson", lines(&objects)), ("extract.json", pretty)] {
        let outcome = read("", &columns, name, &bytes).unwrap();
        assert_eq!(outcome.ledger.rows_rejected, 2);
        for reject in &outcome.rejects {
            assert!(!reject.raw.contains(planted), "{}", reject.raw);
            assert!(reject.raw.contains("\"contact.mail\":\"***\"") && reject.raw.contains("\"contact.kind\":\"a\""), "{}", reject.raw);
        }
    }
    let by_element = [("n", "{type: integer, from: list.n, required: true}"), ("mail", "{type: string, from: list.mail, personal: true}")];
    let object = json!({"at": AT, "list": [{"n": "x", "mail": planted}]});
    let outcome = read("each: list", &by_element, "extract.ndjson", &lines(&[object])).unwrap();
    assert!(!outcome.rejects[0].raw.contains(planted), "{}", outcome.rejects[0].raw);
}

/// However deep a value is, a line of it is read, or is a reject of its own.
#[test]
fn depth_takes_no_stack() {
    for depth in [100, 100_000] {
        let deep = format!("{{\"at\": \"{AT}\", \"x\": {}1{}, \"a\": {{\"b\": 5}}}}\n", "{\"a\":".repeat(depth), "}".repeat(depth));
        let array = format!("{{\"at\": \"{AT}\", \"a\": {{\"b\": {}{}}}}}\n", "[".repeat(depth), "]".repeat(depth));
        let text = deep + &array;
        for name in ["extract.ndjson", "extract.json"] {
            let text = if name == "extract.json" { format!("[{}]", text.trim().replace('\n', ",\n")) } else { text.clone() };
            let outcome = read("", &[("a", "{type: integer, from: a.b}")], name, text.as_bytes()).unwrap();
            assert_eq!(outcome.ledger.rows_read, 2, "{depth}");
            assert_eq!(outcome.reasons().last(), Some(&(2, "a", "nested-value")), "{depth}");
        }
    }
}

/// Records whose lists repeat what is long in them take what they take once.
#[test]
fn a_long_text_beside_many_elements_is_held_once() {
    let record =
        |text: usize, count: usize| json!({"at": AT, "text": "x".repeat(text), "words": vec!["word"; text / 10], "list": vec![1; count]});
    let columns = [("text", "{type: string}"), ("words", "{type: list(string)}"), ("n", "{type: integer, from: list}")];
    let sql = "select count(*), sum(n), max(length(text)), max(array_length(words)) from sources.extract";
    let outcome = query("each: list", &columns, sql, "extract.ndjson", &lines(&[record(2_000, 10_000)])).unwrap();
    assert_eq!(outcome.rows, [["10000", "10000", "2000", "200"]]);
    // What each element would have is more than a record may make.
    for one in [&columns[..1], &columns[1..2]] {
        let columns = [one[0], columns[2]];
        let outcome = read("each: list", &columns, "extract.ndjson", &lines(&[record(400_000, 100_000), json!({"at": AT})])).unwrap();
        assert_eq!(outcome.reasons(), [(1, "", "record-too-long")]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Rows of elements are those that a parser finds, in lines and in documents.
    #[test]
    fn elements_are_those_that_were_written(
        objects in prop::collection::vec((any::<Option<i16>>(), prop::option::of(prop::collection::vec(prop::option::of("[a\"\\\\é]{0,3}"), 0..4))), 1..20),
        is_document in any::<bool>(),
    ) {
        let written: Vec<Value> = objects.iter().map(|(number, list)| {
            let list = list.as_ref().map(|list| list.iter().map(|text| json!({"t": text})).collect::<Vec<_>>());
            json!({"at": AT, "n": number, "list": list})
        }).collect();
        let expected: Vec<Vec<String>> = objects.iter().flat_map(|(number, list)| {
            let number = number.map_or(String::new(), |number| number.to_string());
            list.iter().flatten().enumerate().map(move |(at, text)| vec![number.clone(), text.clone().unwrap_or_default(), at.to_string()]).collect::<Vec<_>>()
        }).collect();
        let columns = [("n", "{type: integer}"), ("t", "{type: string, from: list.t}"), ("number", "{type: integer, from: 'list[#]'}")];
        let (name, bytes) = if is_document { ("extract.json", serde_json::to_vec_pretty(&written).unwrap()) } else { ("extract.ndjson", lines(&written)) };
        let outcome = read("each: list", &columns, name, &bytes).unwrap();
        prop_assert_eq!(outcome.rows, expected);
    }
}

/// What stands for no value at one path ends no search: the next one may have a no.
#[test]
fn the_first_path_with_a_value_counts_and_what_stands_for_none_is_none() {
    let consent = "{type: boolean, from: [a.c, b.c], consent: {no: [false]}}";
    let text = "{type: string, from: [a.c, b.c], null_values: [none]}";
    let number = "{type: integer, from: [a.c, b.c], null_values: [-1]}";
    let pair = |one: Value, other: Value| json!({"at": AT, "a": {"c": one}, "b": {"c": other}});
    for (column, one, other, kept) in [
        (consent, json!(""), json!("no"), "false"),
        (consent, json!("-"), json!("no"), "false"),
        (consent, json!("yes"), json!("no"), "true"),
        (consent, json!(""), json!(null), ""),
        (text, json!("none"), json!("x"), "x"),
        (text, json!(""), json!("x"), ""),
        (number, json!("-1"), json!("5"), "5"),
    ] {
        let outcome = read("", &[("v", column)], "extract.ndjson", &lines(&[pair(one.clone(), other.clone())])).unwrap();
        assert_eq!((outcome.first(), outcome.rejects.len()), (vec![kept], 0), "{column} {one} {other}");
        let member = |value: &Value| {
            let texts: ArrayRef = Arc::new(StringArray::from(vec![value.as_str()]));
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("c", DataType::Utf8, true)), texts)])) as ArrayRef
        };
        let at: ArrayRef = Arc::new(StringArray::from(vec![AT]));
        let file = parquet(&[("at", at), ("a", member(&one)), ("b", member(&other))]);
        let outcome = read("", &[("v", column)], "extract.parquet", &file).unwrap();
        assert_eq!((outcome.first(), outcome.rejects.len()), (vec![kept], 0), "Parquet: {column} {one} {other}");
    }
}

/// A consent of which no record has an answer is told, because its name may be another one.
#[test]
fn a_consent_that_no_record_answers_is_told() {
    let consent = [("c", "{type: boolean, consent: {no: [false]}}")];
    for (objects, is_told) in [
        (vec![json!({"at": AT, "C": false}), json!({"at": AT, "c": null})], true),
        (vec![json!({"at": AT}), json!({"at": AT, "c": false})], false),
    ] {
        let outcome = read("", &consent, "extract.ndjson", &lines(&objects)).unwrap();
        assert_eq!(
            outcome.remarks.iter().any(|remark| remark.contains("no answer of `c` in any record")),
            is_told,
            "{:?}",
            outcome.remarks
        );
    }
}
