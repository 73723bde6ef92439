use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use segmill::clock::Stopwatch;
use serde_json::{Value, json};

use crate::support::{CLOSED, SAMPLE_AS_OF, default_sample, package};
use crate::tiny::{PIPELINE, Tiny};

const DAY: &str = "2026-11-01";
const RUN: [&str; 4] = ["run", "pipelines/tiny.yaml", "--as-of", DAY];
const PARENT: &str = "f99310b4-3c3c-4a1a-8b2b-c1b95c24ff11";

/// How a server behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Takes,
    Refuses(u16),
    NeverAnswers,
}

/// A server that receives events.
struct Recorder {
    url: String,
    /// The requests: path, authorization and body.
    requests: Arc<Mutex<Vec<(String, String, Value)>>>,
}

impl Recorder {
    fn start(manner: Manner) -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, manner, &kept));
            }
        });
        Recorder { url, requests }
    }

    fn events(&self) -> Vec<Value> {
        self.requests.lock().unwrap().iter().map(|(.., event)| event.clone()).collect()
    }

    fn until(&self, count: usize) {
        let begun = Stopwatch::start();
        while self.requests.lock().unwrap().len() < count {
            assert!(elapsed(begun) < Duration::from_mins(1), "{count} events come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Answers the requests of a connection.
fn serve(stream: TcpStream, manner: Manner, kept: &Mutex<Vec<(String, String, Value)>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "authorization" => value.trim().clone_into(&mut authorization),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        kept.lock().unwrap().push((path, authorization, serde_json::from_slice(&body).unwrap()));
        let status = match manner {
            Manner::Takes => 201,
            Manner::Refuses(status) => status,
            Manner::NeverAnswers => {
                // The connection stays open until the client has gone.
                let _ = reader.read(&mut [0]);
                return;
            }
        };
        let answer = format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\nlocation: http://127.0.0.1:1/\r\n\r\n");
        if (&stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn elapsed(since: Stopwatch) -> Duration {
    Duration::from_millis(since.elapsed_ms())
}

/// Keeps events for `tests/readers/check_lineage.py`, which holds them against the official schemas.
fn keep(name: &str, events: &[Value]) {
    if let Some(folder) = std::env::var_os("SEGMILL_LINEAGE_EVENTS") {
        std::fs::create_dir_all(&folder).unwrap();
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        std::fs::write(Path::new(&folder).join(format!("{name}.ndjson")), lines).unwrap();
    }
}

/// The command without what the machine says of lineage.
fn command(tiny: &Tiny, arguments: &[&str]) -> Command {
    let mut command = tiny.command(arguments);
    let variables = ["URL", "ENDPOINT", "API_KEY", "NAMESPACE", "DISABLED", "PARENT_ID", "ROOT_PARENT_ID", "CONTEXT"];
    for name in variables {
        command.env_remove(format!("OPENLINEAGE_{name}"));
    }
    command.env_remove("SEGMILL_LINEAGE");
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["eventType"].as_str().unwrap()).collect()
}

fn dataset<'a>(event: &'a Value, side: &str, ending: &str) -> &'a Value {
    let found = event[side].as_array().unwrap().iter().find(|dataset| dataset["name"].as_str().unwrap().ends_with(ending));
    found.unwrap_or_else(|| panic!("{ending} is among {event:#}"))
}

/// What was demanded of a dataset: kind, name, and whether it was met.
fn assertions(facets: &Value) -> Vec<(String, String, bool)> {
    let told = facets["dataQualityAssertions"]["assertions"].as_array().cloned().unwrap_or_default();
    let text = |of: &Value| of.as_str().unwrap().to_owned();
    told.iter().map(|told| (text(&told["assertion"]), text(&told["name"]), told["success"].as_bool().unwrap())).collect()
}

/// What each column of an output is made of: the column, the end of the dataset's name, the field, and what happens to it.
fn made_of(output: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let fields = output["facets"]["columnLineage"]["fields"].as_object().cloned().unwrap_or_default();
    let told = |of: &Value| {
        let dataset = of["name"].as_str().unwrap().rsplit('/').next().unwrap();
        let field = format!("{dataset}.{}", of["field"].as_str().unwrap());
        let how = of["transformations"].as_array().unwrap().clone();
        let word = |how: &Value| if how["type"] == "INDIRECT" { &how["type"] } else { &how["subtype"] }.as_str().unwrap().to_lowercase();
        how.iter().map(|how| format!("{field} {}", word(how))).collect::<Vec<_>>()
    };
    fields.iter().map(|(column, of)| (column.clone(), of["inputFields"].as_array().unwrap().iter().flat_map(told).collect())).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The tiny project with what a contract and checks may demand.
fn demanding() -> Tiny {
    let tiny = Tiny::new();
    let pipeline = PIPELINE
        .replace("name: tiny\n", "name: tiny\ndescription: Customers of a shop\n")
        .replace(
            "    event_time:",
            "    description: Orders of the shop\n    min_rows: 10\n    freshness: {newest_row_days: 90}\n    event_time:",
        )
        .replace(
            "customer_id: {type: string, required: true}",
            "customer_id: {from: Customer, type: string, required: true, personal: true, description: Whose}",
        )
        + "checks:\n  - {name: one row each, unique: {table: customers, columns: [customer_id]}}\n  \
           - {name: few, severity: warn, rows: {table: customers, max: 10}}\n  \
           - {name: some orders, sql: select * from customers where orders < 1}\n";
    tiny.write("pipelines/tiny.yaml", &pipeline);
    tiny.write("extracts/orders.csv", &crate::tiny::orders().replace("customer_id,", "Customer,"));
    tiny
}

#[test]
fn a_run_tells_what_it_reads_and_writes() {
    let (recorder, tiny) = (Recorder::start(Manner::Takes), demanding());
    let run = || {
        let mut command = command(&tiny, &RUN);
        command.env("OPENLINEAGE_URL", &recorder.url).env("OPENLINEAGE_API_KEY", "the-key").env("OPENLINEAGE_NAMESPACE", "marketing");
        command.env("OPENLINEAGE_PARENT_ID", format!("airflow/shop.segments/{PARENT}"));
        command.env("OPENLINEAGE_ROOT_PARENT_ID", format!("airflow/shop/{PARENT}"));
        let output = command.output().unwrap();
        assert!(output.status.success() && !said(&output).contains("lineage"), "{}", said(&output));
    };
    run();
    let requests = recorder.requests.lock().unwrap().clone();
    assert!(requests.iter().all(|(path, key, _)| path == "/api/v1/lineage" && key == "Bearer the-key"), "{requests:?}");
    let events = recorder.events();
    assert_eq!(types(&events), ["START", "COMPLETE"]);
    let record = record_of(&tiny);
    for event in &events {
        assert_eq!(event["job"], json!({"namespace": "marketing", "name": "tiny", "facets": event["job"]["facets"]}));
        assert_eq!(event["job"]["facets"]["documentation"]["description"], "Customers of a shop");
        assert_eq!(event["run"]["runId"], events[0]["run"]["runId"]);
        let facets = &event["run"]["facets"];
        assert_eq!(facets["segmill"]["runId"], record["run_id"]);
        assert_eq!(facets["nominalTime"]["nominalStartTime"], "2026-11-01T00:00:00Z");
        assert_eq!((&facets["parent"]["job"]["name"], &facets["parent"]["root"]["job"]["name"]), (&json!("shop.segments"), &json!("shop")));
        assert_eq!(facets["parent"]["run"]["runId"], PARENT);
        let names =
            |side: &str| event[side].as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let folder = tiny.folder.path().canonicalize().unwrap().display().to_string();
        assert_eq!(names("inputs"), [format!("{folder}/extracts")]);
        assert_eq!(names("outputs"), ["customers", "segment_membership", "rejected"].map(|table| format!("{folder}/out/{table}")));
        assert_eq!(event["inputs"][0]["namespace"], "file");
    }
    a_publication_is_told(&events[1], &record);

    // The same again changes nothing: the outputs are told as they are, and nothing was read or written.
    run();
    let events = recorder.events();
    keep("run", &events);
    assert_eq!(types(&events), ["START", "COMPLETE", "START", "COMPLETE"]);
    assert_ne!(events[2]["run"]["runId"], events[1]["run"]["runId"]);
    assert_eq!(events[3]["run"]["facets"]["segmill"]["status"], "unchanged");
    let customers = dataset(&events[3], "outputs", "/customers");
    assert_eq!(customers["facets"]["version"]["datasetVersion"], "1");
    assert!(customers.get("outputFacets").is_none() && events[3]["inputs"][0].get("inputFacets").is_none(), "{:#}", events[3]);
    assert_eq!(made_of(customers), made_of(dataset(&events[1], "outputs", "/customers")));
}

/// The record of the only run of a project.
fn record_of(tiny: &Tiny) -> Value {
    let runs: Vec<_> = std::fs::read_dir(tiny.folder.path().join("out/runs")).unwrap().flatten().collect();
    assert_eq!(runs.len(), 1);
    serde_json::from_slice(&std::fs::read(runs[0].path().join("record.json")).unwrap()).unwrap()
}

fn a_publication_is_told(event: &Value, record: &Value) {
    assert_eq!(event["run"]["facets"]["segmill"]["publication"], 1);
    let (input, customers) = (&event["inputs"][0], dataset(event, "outputs", "/customers"));
    let bytes = record["inputs"][0]["bytes"].as_u64().unwrap();
    let statistics = |facet: &Value| ["rowCount", "size", "fileCount"].map(|key| facet[key].as_u64().unwrap());
    assert_eq!(statistics(&input["inputFacets"]["inputStatistics"]), [75, bytes, 1]);
    let field = &input["facets"]["schema"]["fields"][0];
    assert_eq!((&field["name"], &field["type"], &field["description"]), (&json!("Customer"), &json!("string"), &json!("Whose")));
    assert_eq!(input["facets"]["tags"]["tags"][0]["field"], "Customer");
    assert_eq!(input["facets"]["documentation"]["description"], "Orders of the shop");
    let demanded = |kind: &str, name: &str, met: bool| (kind.to_owned(), name.to_owned(), met);
    let expected = ["reject_budget", "row_count", "freshness"].map(|kind| demanded(kind, &format!("orders.{kind}"), true));
    assert_eq!(assertions(&input["inputFacets"]), expected);
    let [rows, size, files] = statistics(&customers["outputFacets"]["outputStatistics"]);
    assert!(rows == 50 && size > 100 && files == 1, "{customers:#}");
    assert_eq!(
        assertions(&customers["facets"]),
        [demanded("unique", "one row each", true), demanded("row_count", "few", false), demanded("custom_sql", "some orders", true)]
    );
    let told = customers["facets"]["dataQualityAssertions"]["assertions"].as_array().unwrap();
    assert_eq!((&told[0]["column"], &told[1]["severity"]), (&json!("customer_id"), &json!("warn")));
    let expected = BTreeMap::from([("customer_id".to_owned(), set(&["extracts.Customer identity"]))]);
    assert_eq!(made_of(customers), expected, "the number of orders is that of rows, and the edition a parameter");
    let tags = customers["facets"]["tags"]["tags"].as_array().unwrap();
    assert_eq!(tags.iter().map(|tag| tag["field"].as_str().unwrap()).collect::<Vec<_>>(), ["customer_id"]);
}

#[test]
fn a_run_that_is_refused_tells_what_was_not_met() {
    let (recorder, tiny) = (Recorder::start(Manner::Takes), demanding());
    let run = |arguments: &[&str]| {
        command(&tiny, &[&RUN[..], &["--lineage", &recorder.url], arguments].concat()).output().unwrap().status.code().unwrap()
    };
    // Too few rows.
    tiny.write("extracts/orders.csv", "Customer,ordered_at\na,2026-10-01T10:00:00Z\n");
    assert_eq!(run(&[]), 3);
    // A budget is exceeded.
    tiny.write("extracts/orders.csv", &crate::tiny::orders().replace("customer_id,", "Customer,").replace("-10-01T", "-13-01T"));
    assert_eq!(run(&[]), 3);
    // The newest row is too old: exit 99, and the run waits.
    tiny.write("extracts/orders.csv", &crate::tiny::orders().replace("customer_id,", "Customer,").replace("2026-", "2025-"));
    assert_eq!(run(&[]), 99);
    // A check does not hold.
    tiny.write("extracts/orders.csv", &crate::tiny::orders().replace("customer_id,", "Customer,"));
    tiny.write("pipelines/tiny.yaml", &tiny.read("pipelines/tiny.yaml").replace("severity: warn", "severity: fail"));
    assert_eq!(run(&[]), 3);
    // A model that is wrong, in a project that has a name.
    tiny.write("sql/staging/orders.sql", "-- An order.\nselect nothing from sources.orders\n");
    assert_eq!(run(&[]), 2);
    let events = recorder.events();
    keep("refused", &events);
    assert_eq!(types(&events), ["START", "FAIL", "START", "FAIL", "START", "ABORT", "START", "FAIL", "START", "FAIL"]);
    let unmet = |event: &Value| {
        let of_inputs = event["inputs"].as_array().unwrap().iter().flat_map(|input| assertions(&input["inputFacets"]));
        let of_outputs = event["outputs"].as_array().unwrap().iter().flat_map(|output| assertions(&output["facets"]));
        of_inputs.chain(of_outputs).filter(|(.., met)| !met).map(|(_, name, _)| name).collect::<Vec<_>>()
    };
    let ends: Vec<&Value> = events.iter().skip(1).step_by(2).collect();
    let told: Vec<Vec<String>> = ends.iter().map(|event| unmet(event)).collect();
    assert_eq!(told, [vec!["orders.row_count"], vec!["orders.reject_budget"], vec!["orders.freshness"], vec!["few"], vec![]]);
    for (event, (status, words)) in
        ends.iter().zip([(3, "there must be 10"), (3, "over its budget"), (99, "too old"), (3, "few"), (2, "nothing")])
    {
        let facets = &event["run"]["facets"];
        assert_eq!(facets["segmill"]["exitCode"], status);
        assert!(facets["errorMessage"]["message"].as_str().unwrap().contains(words), "{facets:#}");
        let written = event["outputs"].as_array().unwrap().iter().filter(|output| output.get("outputFacets").is_some());
        assert_eq!(written.count(), 0, "nothing was published");
    }
}

/// Computes for longer than anybody waits.
const ENDLESS: &str = "\
-- A customer.
select customer_id, count(*) as orders, $edition as edition,
    (select sum((a.n + b.n) % 2) from (select unnest(generate_series(1, 20000)) as n) a
        cross join (select unnest(generate_series(1, 200000)) as n) b) as total
from staging.orders group by customer_id
";

#[test]
fn a_run_that_is_stopped_tells_so() {
    let (recorder, tiny) = (Recorder::start(Manner::Takes), Tiny::new());
    tiny.write("sql/customers.sql", ENDLESS);
    let child = command(&tiny, &[&RUN[..], &["--lineage", &recorder.url]].concat()).spawn().unwrap();
    // The first event comes while the run goes on.
    recorder.until(1);
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let stopped = Stopwatch::start();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    assert!(elapsed(stopped) < Duration::from_secs(3), "{:?}", elapsed(stopped));
    let output = command(&tiny, &[&RUN[..], &["--lineage", &recorder.url, "--timeout", "2s"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    let events = recorder.events();
    keep("stopped", &events);
    assert_eq!(types(&events), ["START", "ABORT", "START", "ABORT"]);
    assert_eq!(events[1]["run"]["facets"]["segmill"]["exitCode"], 143);
    assert!(events[3]["run"]["facets"]["errorMessage"]["message"].as_str().unwrap().starts_with("time was up"));
}

#[test]
fn a_server_that_never_answers_does_not_hold_a_run_that_is_stopped() {
    let (recorder, tiny) = (Recorder::start(Manner::NeverAnswers), Tiny::new());
    tiny.write("sql/customers.sql", ENDLESS);
    let child = command(&tiny, &[&RUN[..], &["--lineage", &recorder.url]].concat()).spawn().unwrap();
    recorder.until(1);
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let stopped = Stopwatch::start();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    assert!(elapsed(stopped) < Duration::from_secs(3), "{:?}", elapsed(stopped));
}

#[test]
fn each_day_of_a_backfill_is_a_run() {
    let (recorder, tiny) = (Recorder::start(Manner::Takes), Tiny::new());
    let days = ["run", "pipelines/tiny.yaml", "--from", "2026-11-01", "--to", "2026-11-03", "--lineage", &recorder.url];
    let context = json!({"parent": {"run": {"runId": PARENT}, "job": {"namespace": "airflow", "name": "shop.history"}}});
    let output = command(&tiny, &days).env("OPENLINEAGE_CONTEXT", context.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let events = recorder.events();
    keep("backfill", &events);
    assert_eq!(types(&events), ["START", "COMPLETE", "START", "COMPLETE", "START", "COMPLETE"]);
    let runs: BTreeSet<&str> = events.iter().map(|event| event["run"]["runId"].as_str().unwrap()).collect();
    assert_eq!(runs.len(), 3);
    let told = |event: &Value| {
        let facets = &event["run"]["facets"];
        assert_eq!(facets["parent"]["run"]["runId"], PARENT);
        facets["nominalTime"]["nominalStartTime"].as_str().unwrap()[..10].to_owned()
    };
    let days: Vec<String> = events.iter().step_by(2).map(told).collect();
    assert_eq!(days, ["2026-11-01", "2026-11-02", "2026-11-03"]);
}

#[test]
fn whatever_becomes_of_events_the_run_publishes() {
    let (slow, broken) = (Recorder::start(Manner::NeverAnswers), Recorder::start(Manner::Refuses(500)));
    let (forbids, moves) = (Recorder::start(Manner::Refuses(403)), Recorder::start(Manner::Refuses(307)));
    let secret = "?token=hush-4711";
    for (target, words, most_seconds) in [
        (format!("http://{CLOSED}{secret}"), "no connection could be made", 3),
        (slow.url.clone(), "did not answer within 3000 ms", 7),
        (broken.url.clone(), "the server answered with status 500", 3),
        (forbids.url.clone(), "the server answered with status 403", 3),
        (moves.url.clone(), "the server answered with status 307", 3),
        ("no/such/folder/events".to_owned(), "no/such/folder/events", 3),
        ("ftp://host".to_owned(), "is not the URL of a server", 3),
    ] {
        let tiny = Tiny::new();
        let alone = Stopwatch::start();
        assert!(command(&tiny, &RUN).output().unwrap().status.success());
        let alone = elapsed(alone);
        let begun = Stopwatch::start();
        let output = command(&tiny, &[&RUN[..], &["--force", "--lineage", &target]].concat())
            .env("OPENLINEAGE_API_KEY", "hush-4712")
            .output()
            .unwrap();
        let (took, told) = (elapsed(begun), said(&output));
        assert_eq!(output.status.code(), Some(0), "{target}: {told}");
        assert!(told.contains("Published as number 2") && told.contains("lineage events") && told.contains(words), "{target}: {told}");
        assert!(!told.contains("hush"), "{target}: {told}");
        // The machine may be busy with other tests, so a run may take twice as long by itself.
        assert!(took < alone * 2 + Duration::from_secs(most_seconds), "{target}: {took:?} instead of {alone:?}");
    }
    assert_eq!((forbids.events().len(), moves.events().len()), (2, 2), "what will not pass is not tried again");
}

#[test]
fn warnings_of_lost_events_are_told_to_programs_and_a_lost_day_delays_no_other() {
    let (slow, tiny) = (Recorder::start(Manner::NeverAnswers), Tiny::new());
    let output = command(&tiny, &[&RUN[..], &["--lineage", &slow.url, "--format", "json"]].concat()).output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(result["warnings"].to_string().contains("lineage events were not sent to http://127.0.0.1"), "{result}");
    let days = ["run", "pipelines/tiny.yaml", "--from", "2026-11-02", "--to", "2026-11-06", "--lineage", &slow.url];
    let begun = Stopwatch::start();
    let output = command(&tiny, &days).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(elapsed(begun) < Duration::from_secs(25), "five days wait 4 s, and then at most 2 s each: {:?}", elapsed(begun));
}

#[test]
fn events_go_to_a_file_and_no_pipe() {
    let tiny = Tiny::new();
    let run = |target: &str| command(&tiny, &RUN).env("SEGMILL_LINEAGE", target).output().unwrap();
    assert!(run("events.ndjson").status.success() && run("events.ndjson").status.success());
    let lines = tiny.read("events.ndjson");
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    keep("file", &events);
    assert_eq!(types(&events), ["START", "COMPLETE", "START", "COMPLETE"]);
    Command::new("mkfifo").arg(tiny.folder.path().join("pipe")).status().unwrap();
    let output = run("pipe");
    assert!(output.status.success() && said(&output).contains("it is not a file"), "{}", said(&output));
    let output = command(&tiny, &RUN).env("SEGMILL_LINEAGE", "off.ndjson").env("OPENLINEAGE_DISABLED", "true").output().unwrap();
    assert!(output.status.success() && !tiny.folder.path().join("off.ndjson").exists());
}

/// A model in which a column is taken, computed, summed up, compared and decided on in every way that is told.
#[test]
fn columns_are_followed_to_the_extracts() {
    let tiny = Tiny::new();
    let pipeline = PIPELINE
        .replace(
            "    columns:\n",
            "    columns:\n      amount: {from: Amount, type: 'decimal(9,2)'}\n      city: {type: string}\n      code: {type: string}\n",
        )
        .replace("parameters:", "reference:\n  regions:\n    columns: {city: string, region: string}\n    rows: [[a, north]]\nparameters:");
    tiny.write("pipelines/tiny.yaml", &pipeline);
    tiny.write("extracts/orders.csv", "customer_id,ordered_at,Amount,city,code\nc,2026-10-01T10:00:00Z,1.50,a,x\n");
    tiny.write("sql/staging/orders.sql", "-- An order.\nselect customer_id, ordered_at, amount as spent, city, code from sources.orders\n");
    tiny.write(
        "sql/customers.sql",
        "-- A customer.\n\
         with ranked as (select *, row_number() over (partition by customer_id order by ordered_at desc) as place from staging.orders)\n\
         select ranked.customer_id, count(*) as orders, sum(spent) as revenue, sum(spent) / count(code) as per_code,\n\
             max(case when place = 1 then ranked.city end) as last_city, min(upper(code)) as code, max(regions.region) as region, $edition as edition\n\
         from ranked left join reference.regions as regions on regions.city = ranked.city\n\
         where code <> 'test' group by ranked.customer_id\n",
    );
    let output = command(&tiny, &[&RUN[..], &["--lineage", "events"]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let events: Vec<Value> = tiny.read("events").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    keep("columns", &events);
    let extracts = |fields: &[&str]| fields.iter().map(|field| format!("extracts.{field}")).collect::<BTreeSet<_>>();
    let expected = BTreeMap::from(
        [
            ("customer_id", extracts(&["customer_id identity"])),
            ("revenue", extracts(&["Amount aggregation"])),
            ("per_code", extracts(&["Amount aggregation", "code aggregation"])),
            ("last_city", extracts(&["city aggregation", "ordered_at aggregation"])),
            ("code", extracts(&["code aggregation"])),
        ]
        .map(|(column, of)| (column.to_owned(), of)),
    );
    assert_eq!(made_of(dataset(&events[1], "outputs", "/customers")), expected);
    let decides = |field: &str| {
        let dataset = &dataset(&events[1], "outputs", "/customers")["facets"]["columnLineage"]["dataset"];
        let of_field = dataset.as_array().unwrap().iter().find(|of| of["field"] == field)?;
        let how = of_field["transformations"].as_array().unwrap().iter();
        Some(how.map(|how| how["subtype"].as_str().unwrap()).collect::<Vec<_>>().join(" "))
    };
    let found = ["customer_id", "ordered_at", "city", "code", "Amount"].map(decides);
    assert_eq!(found.each_ref().map(Option::as_deref), [Some("GROUP_BY WINDOW"), Some("WINDOW"), Some("JOIN"), Some("FILTER"), None]);
    let membership = made_of(dataset(&events[1], "outputs", "/segment_membership"));
    assert_eq!(membership["customer_id"], extracts(&["customer_id identity"]));
    assert!(!membership.contains_key("segment"), "the rules read the number of orders alone");

    // A rule over what is spent.
    tiny.write("pipelines/tiny.yaml", &pipeline.replace("when: orders > 1", "when: revenue > 1"));
    assert!(command(&tiny, &[&RUN[..], &["--lineage", "more"]].concat()).output().unwrap().status.success());
    let events: Vec<Value> = tiny.read("more").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let membership = made_of(dataset(&events[1], "outputs", "/segment_membership"));
    assert_eq!(membership["segment"], extracts(&["Amount indirect"]));
}

#[test]
fn columns_of_the_sample_are_followed_to_its_extracts() {
    let publication = default_sample();
    let events = publication.folder.path().join("events.ndjson");
    let output = Command::new(env!("CARGO_BIN_EXE_segmill"))
        .args(["run", "pipelines/customer_segments.yaml", "--as-of", SAMPLE_AS_OF, "--lineage"])
        .arg(&events)
        .arg("--destination")
        .arg(publication.folder.path())
        .current_dir(package())
        .env("EXTRACTS", package().join("examples/data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let events = std::fs::read_to_string(events).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    keep("sample", &events);
    let made_of = |table: &str| made_of(dataset(&events[1], "outputs", &format!("/{table}")));
    let customers = made_of("customers");
    let direct = |of: &BTreeSet<String>| of.iter().filter(|of| !of.ends_with(" indirect")).cloned().collect::<BTreeSet<_>>();
    for (column, of) in [
        ("monetary", &["orders.Quantity aggregation", "orders.UnitPrice aggregation"][..]),
        ("last_order_date", &["orders.InvoiceDate aggregation"]),
        ("recency_days", &["orders.InvoiceDate aggregation"]),
        ("gender", &["crm.gender identity"]),
    ] {
        assert_eq!(direct(&customers[column]), set(of), "{column}");
    }
    // Sales of the window count: what is a sale is said by numbers, amounts and prices, and the window by the time.
    let decide = ["InvoiceDate", "InvoiceNo", "Quantity", "UnitPrice"].map(|field| format!("orders.{field} indirect"));
    assert!(customers["monetary"].is_superset(&decide.clone().into()), "{:?}", customers["monetary"]);
    assert_eq!(customers["frequency"], decide.into(), "{:?}", customers["frequency"]);
    assert!(customers["country"].is_superset(&set(&["orders.Country aggregation"])), "{:?}", customers["country"]);
    assert!(customers["country"].iter().any(|of| of.starts_with("crm.country ")), "{:?}", customers["country"]);
    // Who is who follows from the identifiers of every source.
    for identifier in ["orders.CustomerID", "crm.contact_id", "web.visitor_id", "email.email", "survey.email"] {
        assert!(customers["customer_id"].iter().any(|of| of.starts_with(identifier)), "{identifier}: {:?}", customers["customer_id"]);
    }
    let summary = made_of("segment_summary");
    assert_eq!(direct(&summary["revenue"]), set(&["orders.Quantity aggregation", "orders.UnitPrice aggregation"]));
    assert!(made_of("segment_membership")["segment"].contains("orders.UnitPrice indirect"));
    // What is counted without a condition, or scored by points of the pipeline file, has no values of extracts: what decides on it stands
    // with what decides which rows there are.
    let facets = &dataset(&events[1], "outputs", "/customers")["facets"];
    let columns = facets["schema"]["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap());
    let lost: Vec<&str> = columns.filter(|column| !customers.contains_key(*column)).collect();
    let counted = ["devices", "products", "web_events", "categories"];
    assert!(lost.iter().all(|column| counted.contains(column) || column.contains("engagement")), "{lost:?}");
    let deciding = facets["columnLineage"]["dataset"].as_array().unwrap();
    for field in ["event_type", "event", "answer", "StockCode"] {
        assert!(deciding.iter().any(|of| of["field"] == field), "{field}");
    }
}
