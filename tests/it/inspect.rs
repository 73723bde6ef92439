use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::markdown::document;
use crate::support::{package, segmill};
use crate::tiny::{PIPELINE, Tiny};

/// A folder with files.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

pub fn inspect(folder: &TempDir, arguments: &[&str]) -> Output {
    segmill(folder.path(), &[&["inspect"], arguments].concat())
}

pub fn yaml(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The first source of a draft as JSON.
pub fn source(folder: &TempDir, location: &str) -> Value {
    let output = inspect(folder, &[location, "--format", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["status"], "drafted", "{document}");
    document["sources"][0].clone()
}

pub fn column<'a>(source: &'a Value, name: &str) -> &'a Value {
    source["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).unwrap_or_else(|| panic!("no {name} in {source:#}"))
}

/// What is drafted from a plain extract is pasted into a project, which is valid and reads every row.
#[test]
fn a_plain_draft_is_a_contract_that_reads_the_file() {
    let tiny = Tiny::new();
    let output = tiny.segmill(&["inspect", "extracts/orders.csv", "--name", "orders"]);
    let draft = yaml(&output);
    assert!(draft.starts_with("sources:\n  orders:\n    location: extracts/orders.csv\n"), "{draft}");
    let (before, rest) = PIPELINE.split_once("sources:\n").unwrap();
    let (_, after) = rest.split_once("segments:\n").unwrap();
    tiny.write("pipelines/tiny.yaml", &format!("{before}{draft}segments:\n{after}"));
    let valid = tiny.segmill(&["validate", "pipelines/tiny.yaml"]);
    assert!(valid.status.success(), "{draft}\n{}", String::from_utf8_lossy(&valid.stderr));
    let run = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "json"]);
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(run["status"], "published", "{run:#}");
}

#[test]
fn extracts_of_the_sample_are_drafted_as_they_are() {
    let root = package();
    let draft = |location: &str| {
        let output = segmill(root, &["inspect", location, "--format", "json"]);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["sources"][0].clone()
    };
    let web = draft("examples/data/web/*.parquet");
    assert_eq!((&web["format"], &web["source"], &web["files"]), (&"parquet".into(), &"web".into(), &13.into()));
    assert_eq!((&web["key"]["columns"][0], &web["event_time"]["columns"][0]), (&"event_id".into(), &"occurred_at".into()));
    assert_eq!(web["rejected_rows"], 0);
    let email = draft("examples/data/email/*.gz");
    assert_eq!((&email["format"], &email["key"]["columns"][0]), (&"ndjson".into(), &"event_id".into()));
    assert!(column(&email, "email")["personal"].is_string() && column(&email, "phone")["personal"].is_string());
    let orders = draft("examples/data/orders/online_retail.parquet");
    assert_eq!(column(&orders, "invoice_no")["type"], "string");
    // The file holds doubles, of which all that were seen are whole.
    assert_eq!(column(&orders, "quantity")["type"], "double");
    assert_eq!(column(&orders, "unit_price")["type"], "decimal(12,2)");
    let contacts = draft("examples/data/crm/contacts.csv");
    for name in ["email", "phone", "first_name", "last_name", "birth_date", "gender"] {
        assert!(column(&contacts, name)["personal"].is_string(), "{name}");
    }
    assert_eq!(column(&contacts, "email_consent")["consent"], true);
}

/// Values that look personal, and ways in which files hold them.
const PERSONAL: [&str; 8] = [
    "zoe.quixote@example.com",
    "+49 151 98765432",
    "Zoe Quixote",
    "Quixotestraße 17",
    "203.0.113.77",
    "DE89370400440532013000",
    "1961-02-03",
    "please write to zoe.quixote@example.com about the order that I made",
];

#[test]
fn personal_values_are_never_printed() {
    let header = "email,phone,name,street,ip,iban,birth_date,comment";
    let row = PERSONAL.join(",");
    let object: Vec<String> = header.split(',').zip(PERSONAL).map(|(name, value)| format!("\"{name}\": \"{value}\"")).collect();
    let anonymous: Vec<String> = (0..8).zip(PERSONAL).map(|(at, value)| format!("\"v{at}\": \"{value}\"")).collect();
    let dynamic = format!("{{\"by\": {{\"{}\": 1}}}}\n", PERSONAL[0]);
    let files = [
        ("named.csv", format!("{header}\n{}", format!("{row}\n").repeat(40))),
        ("headerless.csv", format!("{row}\n").repeat(40)),
        ("one_row.csv", format!("{header}\n{row}\n")),
        ("semicolons.csv", format!("{}\n{}", header.replace(',', ";"), format!("{}\n", row.replace(',', ";")).repeat(40))),
        ("broken.csv", format!("{header}\n\"{row}\n{}", format!("{row},,,\n").repeat(9))),
        ("titled.csv", format!("Report for {}\n{header}\n{}", PERSONAL[0], format!("{row}\n").repeat(40))),
        ("named.ndjson", format!("{{{}}}\n", object.join(", ")).repeat(40)),
        ("anonymous.ndjson", format!("{{{}}}\n", anonymous.join(", ")).repeat(40)),
        ("dynamic.ndjson", dynamic.repeat(40)),
        ("array.json", format!("[{}]", vec![format!("{{{}}}", object.join(",\n")); 20].join(",\n"))),
    ];
    for (name, text) in &files {
        let folder = folder(&[(name, text.as_bytes())]);
        for format in ["human", "yaml", "json"] {
            let output = inspect(&folder, &[name, "--format", format]);
            // Where every name is a value, there is nothing to draft.
            assert!(output.status.success() || *name == "dynamic.ndjson", "{name}");
            let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            for value in PERSONAL {
                assert!(!printed.contains(value), "{name} as {format} shows a value:\n{printed}");
            }
        }
    }
}

#[test]
fn a_draft_is_the_same_each_time() {
    let folder = folder(&[("a/x.csv", b"id,at,kind\n1,2026-01-01,a\n2,2026-01-02,b\n"), ("a/y.csv", b"id,at,kind\n3,2026-01-03,a\n")]);
    let first = inspect(&folder, &["a/*.csv", "--format", "json"]);
    let second = inspect(&folder, &["a/*.csv", "--format", "json"]);
    assert_eq!(first.stdout, second.stdout);
    // A shell makes many arguments of a glob.
    let listed = inspect(&folder, &["a/x.csv", "a/y.csv", "--format", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["sources"].as_array().unwrap().len(), 1);
    assert_eq!(listed["sources"][0]["location"], "a/*.csv");
}

#[test]
fn what_cannot_be_drafted_is_told_by_name() {
    let folder = folder(&[
        ("empty.csv", b""),
        ("blank.csv", b" \n\n"),
        ("archive.zip", b"PK\x03\x04\x14\0\0\0\x08\0abc"),
        ("page.html", b"<!DOCTYPE html><html></html>"),
        ("noise.bin", &(0..4000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect::<Vec<u8>>()),
    ]);
    for (file, told) in [
        ("empty.csv", "empty.csv: it is empty"),
        ("blank.csv", "nothing but space"),
        ("archive.zip", "a zip archive"),
        ("page.html", "HTML"),
        ("noise.bin", "noise.bin: it is no text"),
    ] {
        let output = inspect(&folder, &[file]);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{file}: {printed}");
        assert!(printed.contains(told), "{file}: {printed}");
        assert!(output.stdout.is_empty());
    }
    let missing = inspect(&folder, &["nothing/*.csv"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no file matches nothing/*.csv"));
    let zone = inspect(&folder, &["empty.csv", "--time-zone", "Mars/Olympus"]);
    assert_eq!(zone.status.code(), Some(2));
}

/// The beginning is not all: what stands in the middle of a large file counts, too.
#[test]
fn places_in_the_middle_are_looked_at() {
    let row = |at: usize| if at < 60_000 { format!("{at},{at}\n") } else { format!("{at},none of it {at}\n") };
    let text: String = std::iter::once("id,value\n".to_owned()).chain((0..200_000).map(row)).collect();
    let folder = folder(&[("large.csv", text.as_bytes())]);
    let found = source(&folder, "large.csv");
    assert_eq!(column(&found, "value")["type"], "string", "{found:#}");
    assert!(found["rows"].as_u64().unwrap() < 30_000);
}

#[test]
fn dialects_encodings_and_layouts_are_drafted() {
    let rows: String =
        (0..60).map(|n| format!("{n};Müller;{n},50 €;{:02}.11.2026 10:{:02};{}\r\n", n % 28 + 1, n % 60, ["Ja", "Nein"][n % 2])).collect();
    let german = format!("Kundenliste;;;;\r\nKundennummer;Nachname;Umsatz;Bestellt am;Newsletter\r\n{rows}");
    let latin: Vec<u8> = german.chars().map(|c| if c == '€' { 0x80 } else { u8::try_from(u32::from(c)).unwrap() }).collect();
    let wide: Vec<u8> = "\u{feff}id\tday\n1\t12/31/2026\n2\t1/2/2026\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let folder = folder(&[("kunden.csv", &latin), ("wide.txt", &wide)]);
    let found = source(&folder, "kunden.csv");
    assert_eq!(
        (&found["encoding"], &found["csv"]["delimiter"], &found["csv"]["skip_lines"]),
        (&"windows-1252".into(), &";".into(), &1.into())
    );
    assert_eq!(column(&found, "umsatz")["format"], "1234,56 €");
    assert_eq!(column(&found, "bestellt_am")["format"], "%d.%m.%Y %H:%M");
    assert_eq!(column(&found, "newsletter")["values"], serde_json::json!({"Ja": "true", "Nein": "false"}));
    assert_eq!((&found["key"]["columns"][0], &found["event_time"]["columns"][0]), (&"kundennummer".into(), &"bestellt_am".into()));
    let wide = source(&folder, "wide.txt");
    assert_eq!((&wide["csv"]["delimiter"], &wide["encoding"]), (&"\t".into(), &Value::Null));
    assert_eq!(column(&wide, "day")["format"], "%m/%d/%Y");
}

#[test]
fn days_and_keys_in_paths_are_drafted() {
    let table = |day: u32| (0..40).map(|id| format!("{id},2026-10-{:02},x{day}\n", id % 28 + 1)).collect::<String>();
    let snapshot = |day: u32| format!("contact_id,updated_at,city\n{}", table(day));
    let events =
        |day: u32| format!("click_id,at\n{}", (0..40).map(|n| format!("{day}-{n},2026-11-{day:02}T10:{n:02}:00Z\n")).collect::<String>());
    let folder = folder(&[
        ("crm/contacts_20261101.csv", snapshot(1).as_bytes()),
        ("crm/contacts_20261102.csv", snapshot(2).as_bytes()),
        ("clicks/dt=2026-11-01/region=eu/a.csv", events(1).as_bytes()),
        ("clicks/dt=2026-11-02/region=us/a.csv", events(2).as_bytes()),
    ]);
    let crm = source(&folder, "crm/*.csv");
    assert_eq!((&crm["location"], &crm["kind"]), (&"crm/contacts_{day:%Y%m%d}.csv".into(), &"snapshot".into()));
    assert_eq!(crm["key"]["columns"], serde_json::json!(["contact_id"]));
    let clicks = source(&folder, "clicks/*/*/*.csv");
    assert_eq!((&clicks["kind"], &clicks["day_in_path"]), (&"events".into(), &"dt".into()));
    assert_eq!((&column(&clicks, "dt")["type"], &column(&clicks, "region")["path"]), (&"date".into(), &"region".into()));
}

#[test]
fn changes_and_nested_values_are_drafted() {
    let changes: String = (0..60).map(|n| format!("{},{n},{},2026-11-01 10:00:{n:02}\n", ["I", "U", "D"][n % 3], n % 9)).collect();
    let event = |n: usize| {
        format!(
            "{{\"event_date\": \"202611{:02}\", \"event_timestamp\": {}, \"device\": {{\"category\": \"mobile\"}}, \"event_params\": [{{\"key\": \
             \"page_location\", \"value\": {{\"string_value\": \"x\", \"int_value\": null}}}}], \"items\": [{{\"sku\": \"s\"}}]}}\n",
            n % 28 + 1,
            1_793_491_200_000_000 + n
        )
    };
    let folder = folder(&[
        ("changes.csv", format!("op,lsn,id,changed_at\n{changes}").as_bytes()),
        ("ga4.ndjson", (0..40).map(event).collect::<String>().as_bytes()),
        ("api.json", b"{\"next\": null,\n \"data\": [{\"id\": 1, \"at\": \"2026-01-01\"},\n {\"id\": 2, \"at\": \"2026-01-02\"}]}"),
    ]);
    let found = source(&folder, "changes.csv");
    assert_eq!((&found["kind"], &found["key"]["columns"][0]), (&"changes".into(), &"id".into()));
    assert!(found["yaml"].as_str().unwrap().contains("changes: {operation: op, insert: [I], update: [U], delete: [D], order: [lsn]}"));
    let events = source(&folder, "ga4.ndjson");
    assert_eq!(column(&events, "page_location")["from"], "event_params[key=page_location].value.string_value");
    assert_eq!(column(&events, "device_category")["from"], "device.category");
    assert_eq!(column(&events, "event_timestamp")["format"], "epoch_us");
    assert!(events["yaml"].as_str().unwrap().contains("add `each: items`"));
    let api = source(&folder, "api.json");
    assert_eq!((&api["format"], &api["each"], &column(&api, "id")["from"]), (&"json".into(), &"data".into(), &"data.id".into()));
}

#[test]
fn what_is_not_sure_is_said() {
    let rows: String =
        (0..30).map(|n| format!("{n},{:02}/{:02}/2026,\"{},{}\",{}\n", n % 12 + 1, n % 11 + 1, n % 9 + 1, 100 + n, 46_000 + n)).collect();
    let folder = folder(&[("a.csv", format!("id,day,amount,paid_date\n{rows}").as_bytes())]);
    let found = source(&folder, "a.csv");
    let unsure: Vec<&str> = found["unsure"].as_array().unwrap().iter().map(|entry| entry["of"].as_str().unwrap()).collect();
    assert_eq!(unsure, ["day", "amount", "paid_date"]);
}

#[test]
fn files_that_differ_are_told() {
    let folder = folder(&[
        ("a.csv", b"id,amount,at\n1,2,2026-01-01\n2,3,2026-01-02\n3,4,2026-01-03\n"),
        ("b.csv", b"id,amount,at,extra\n4,x,2026-01-01,1\n5,y,2026-01-02,2\n6,z,2026-01-03,3\n"),
    ]);
    let found = source(&folder, "*.csv");
    let told = found["differences"].to_string();
    assert!(told.contains("`extra` is not in a.csv") && told.contains("in a.csv `amount` looks like integer"), "{told}");
    assert_eq!(column(&found, "extra")["optional"], true);
}

/// The guide shows the draft of the file that it shows.
/// Files of several sources under one glob in quotes: the shell would have named them one by one.
#[test]
fn files_of_other_sources_are_told_first() {
    let rows = |header: &str, row: &str| format!("{header}\n{}", format!("{row}\n").repeat(30)).into_bytes();
    let contacts = rows("contact_id,email,city,country,updated_at", "1,a@example.com,Rome,IT,2026-11-01T10:00:00Z");
    let orders = rows("order_id,contact_id,amount,ordered_at", "7,1,12.50,2026-11-02T10:00:00Z");
    let visits = rows("visitor,page,occurred_at", "v1,/home,2026-11-03T10:00:00Z");
    let of_a_column_less = rows("contact_id,email,city,updated_at", "2,b@example.com,Oslo,2026-11-01T10:00:00Z");
    let files =
        [("x/contacts.csv", &contacts), ("x/orders.csv", &orders), ("x/visits.csv", &visits), ("x/contacts-2.csv", &of_a_column_less)];
    let mixed = folder(&files.map(|(path, bytes)| (path, bytes.as_slice())));
    let found = source(&mixed, "x/*");
    let first = found["differences"][0].as_str().unwrap();
    assert!(first.starts_with("x/orders.csv and x/visits.csv have few columns in common with x/contacts.csv:"), "{first}");
    let each = inspect(&mixed, &["x/contacts.csv", "x/orders.csv", "x/visits.csv"]);
    assert!(!yaml(&each).contains("in common"), "{}", yaml(&each));
    let alike = source(&mixed, "x/contacts*.csv");
    assert!(!alike["differences"].to_string().contains("in common"), "{alike}");

    // The same columns under other names, and without names.
    let named = rows("Contact ID,E-Mail,Updated At", "3,c@example.com,2026-11-01T10:00:00Z");
    let other_names = rows("contact_id,e_mail,updated_at", "4,d@example.com,2026-11-01T10:00:00Z");
    let unnamed = b"5,e@example.com,2026-11-01T10:00:00Z\n".repeat(30);
    for files in [[&named, &other_names], [&named, &unnamed]] {
        let folder = folder(&[("y/1.csv", files[0]), ("y/2.csv", files[1])]);
        let found = source(&folder, "y/*");
        assert!(!found["differences"].to_string().contains("in common"), "{found}");
    }
}

#[test]
fn the_guide_shows_what_is_drafted() {
    let blocks = document("docs/guides/drafting.md").blocks();
    let of = |language: &str| blocks.iter().find(|block| block.language == language).unwrap().text.clone();
    let folder = folder(&[("extracts/umsatz.csv", of("csv").as_bytes())]);
    assert_eq!(yaml(&inspect(&folder, &["extracts/umsatz.csv"])).trim(), of("text").trim());
}

/// What tools of replication write is drafted as changes, with a key that a deletion has, too.
#[test]
fn changes_of_tools_of_replication_are_drafted() {
    let headerless: String = (0..30).map(|n| format!("{},{n},x{n},2026-11-01 10:00:{n:02}\n", ["I", "U", "D"][n % 3])).collect();
    let unwrapped = |n: usize| {
        format!("{{\"id\": {n}, \"at\": \"2026-11-01T10:00:00Z\", \"__deleted\": \"{}\", \"__lsn\": {n}}}\n", n.is_multiple_of(5))
    };
    let envelope = |n: usize| {
        let row = format!("{{\"id\": {n}, \"city\": \"x\"}}");
        let (op, before, after) = if n.is_multiple_of(5) { ("d", row.as_str(), "null") } else { ("c", "null", row.as_str()) };
        format!(
            "{{\"payload\": {{\"before\": {before}, \"after\": {after}, \"source\": {{\"lsn\": {n}}}, \"op\": \"{op}\", \"ts_ms\": 1793500000005}}}}\n"
        )
    };
    let folder = folder(&[
        ("dms/20261105-101500123.csv", headerless.as_bytes()),
        ("flat.ndjson", (0..40).map(unwrapped).collect::<String>().as_bytes()),
        ("envelope.ndjson", (0..40).map(envelope).collect::<String>().as_bytes()),
    ]);
    for (location, operation, deletion) in
        [("dms/*.csv", "column_1", "D"), ("flat.ndjson", "deleted", "'true'"), ("envelope.ndjson", "payload_op", "d")]
    {
        let found = source(&folder, location);
        let yaml = found["yaml"].as_str().unwrap();
        assert_eq!(found["kind"], "changes", "{yaml}");
        assert!(yaml.contains(&format!("operation: {operation}")) && yaml.contains(&format!("delete: [{deletion}]")), "{yaml}");
    }
    let found = source(&folder, "envelope.ndjson");
    assert!(found["yaml"].as_str().unwrap().contains("from: [payload.after.id, payload.before.id]"), "{found:#}");
}

/// Numbers that may have fractions are no integers, rows below an order's first repeat it, and an empty page has no rows.
#[test]
fn what_the_sample_does_not_show_is_not_drawn_from_it() {
    let folder = folder(&[
        ("n.ndjson", "{\"id\": 1, \"rate\": 2.0, \"app_version\": \"2.7\", \"a\": {\"page.url\": 1}}\n".repeat(9).as_bytes()),
        ("o.csv", "Name,Paid at,Item\n#1,2026-11-01,a\n#1,,b\n#2,2026-11-02,c\n#2,,d\n#2,,e\n#3,2026-11-03,f\n".as_bytes()),
        ("pages/1.json", b"{\"data\": [{\"id\": 1}, {\"id\": 2}], \"next\": \"x\"}"),
        ("pages/2.json", b"{\"data\": [], \"next\": null}"),
    ]);
    let numbers = source(&folder, "n.ndjson");
    assert_eq!((&column(&numbers, "rate")["type"], &column(&numbers, "app_version")["type"]), (&"double".into(), &"string".into()));
    assert_eq!(column(&numbers, "a_page_url")["from"], "a.\"page.url\"");
    let orders = source(&folder, "o.csv");
    let yaml = orders["yaml"].as_str().unwrap();
    assert!(yaml.contains("blank_repeats: {within: [name], columns: [paid_at]}") && !yaml.contains("lack it"), "{yaml}");
    let pages = source(&folder, "pages/*.json");
    assert_eq!((&pages["each"], &pages["rows"], &column(&pages, "id")["from"]), (&"data".into(), &2.into(), &"data.id".into()));
    let folders = inspect(&folder, &["pages"]);
    assert!(String::from_utf8_lossy(&folders.stderr).contains("pages/*.json"));
}
