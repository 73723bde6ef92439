use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message;
use segmill::clock::Stopwatch;
use segmill::telemetry::messages::{KeyValue, MetricsRequest, Span, TraceRequest, any_value};
use segmill::telemetry::{FAMILIES, Scope};
use serde_json::Value;

use crate::markdown::document;
use crate::marks::holds;
use crate::support::CLOSED;
use crate::tiny::{PIPELINE, Tiny, orders};

const DAY: &str = "2026-11-01";

/// What nobody may be told: a personal value, and a secret of the environment.
const PERSONAL: &str = "ann.planted@example.org";
const SECRET: &str = "hush/4711-planted";

/// Computes for longer than anybody waits.
const ENDLESS: &str = "\
-- A customer.
select customer_id, count(*) as orders, $edition as edition,
    (select sum((a.n + b.n) % 2) from (select unnest(generate_series(1, 20000)) as n) a
        cross join (select unnest(generate_series(1, 200000)) as n) b) as total
from staging.orders group by customer_id
";

/// A request that a server got.
#[derive(Debug, Clone)]
struct Got {
    path: String,
    headers: String,
    body: Vec<u8>,
}

/// How a server answers.
#[derive(Debug, Clone, Copy)]
enum Answers {
    Status(&'static str),
    Never,
}

/// A server that keeps what it gets.
struct Server {
    address: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    fn that(answers: Answers) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, got) = (listener.local_addr().unwrap().to_string(), Arc::default());
        let kept = Arc::clone(&got);
        // It ends with the process.
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || answer(connection, answers, &kept));
            }
        });
        Server { address, got }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// The one document that a webhook got.
    fn document(&self) -> Value {
        let got = self.got();
        assert_eq!(got.len(), 1, "{got:?}");
        serde_json::from_slice(&got[0].body).unwrap()
    }
}

fn answer(mut connection: TcpStream, answers: Answers, kept: &Mutex<Vec<Got>>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let (mut first, mut headers, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some(bytes) = line.to_lowercase().strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap();
        }
        headers += &line.to_lowercase();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    kept.lock().unwrap().push(Got { path, headers, body });
    match answers {
        Answers::Status(status) => {
            let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{SECRET}", SECRET.len());
            let _ = connection.write_all(text.as_bytes());
        }
        // It ends when the other side does.
        Answers::Never => drop(reader.read_to_end(&mut Vec::new())),
    }
}

/// A project with personal values, in which what stands under `notify` tells somebody.
fn project(notify: &str) -> Tiny {
    let tiny = Tiny::new();
    let columns = "      customer_id: {type: string, required: true}\n";
    let personal = format!("{columns}      email: {{type: string, personal: true}}\n");
    let pipeline = PIPELINE.replace(columns, &personal).replace("outputs:\n", &format!("{notify}outputs:\n"));
    tiny.write("pipelines/tiny.yaml", &pipeline);
    tiny.write("extracts/orders.csv", &with_address(&orders()));
    tiny
}

fn with_address(rows: &str) -> String {
    rows.lines().enumerate().map(|(at, line)| format!("{line},{}\n", if at == 0 { "email" } else { PERSONAL })).collect()
}

/// Rows that break the contract, with a personal value where none is expected.
fn broken() -> String {
    format!("customer_id,ordered_at,email\n,{PERSONAL},{PERSONAL}\n")
}

fn run(tiny: &Tiny, more: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", DAY]);
    command.args(more).envs(environment.iter().copied()).output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn holds_nothing(text: &str) {
    for mark in [PERSONAL, SECRET] {
        assert_eq!(holds(text, mark), None, "{text}");
    }
}

/// The lines of a log.
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("this is no JSON: {line}"))).collect()
}

/// The metrics of a file, by name and labels.
fn metrics(tiny: &Tiny) -> BTreeMap<String, f64> {
    let text = tiny.read("m.prom");
    holds_nothing(&text);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap())).unwrap()).collect()
}

fn metric(tiny: &Tiny, name: &str) -> Option<f64> {
    metrics(tiny).get(name).copied()
}

#[test]
fn everything_on_standard_error_is_a_line_of_json_with_its_run() {
    let tiny = project("");
    let published = run(&tiny, &["--log-format", "json", "--record", "record.json"], &[]);
    assert_eq!(code(&published), 0, "{}", told(&published));
    let record: Value = serde_json::from_str(&tiny.read("record.json")).unwrap();
    let all = lines(&published);
    for line in &all {
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z') && line["level"].is_string() && line["message"].is_string(), "{line}");
        assert_eq!(
            (&line["run_id"], &line["as_of"], &line["pipeline"]),
            (&record["run_id"], &Value::from(DAY), &Value::from("tiny")),
            "{line}"
        );
    }
    let ended: Vec<&Value> = all.iter().filter(|line| line["message"] == "the step ended").collect();
    let steps: Vec<&Value> = record["steps"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
    assert_eq!(ended.iter().map(|line| &line["step"]).collect::<Vec<_>>(), steps);
    assert!(ended.iter().all(|line| line["elapsed_ms"].is_u64()), "{ended:?}");
    let last = all.last().unwrap();
    assert_eq!((&last["message"], &last["summary"]["status"]), (&Value::from("summary"), &Value::from("published")));
    assert!(published.stdout.is_empty());

    // The variable asks for it as well, and the result on standard output stays one document.
    let again = run(&tiny, &["--format", "json"], &[("SEGMILL_LOG_FORMAT", "json")]);
    assert_eq!(lines(&again).last().unwrap()["summary"]["status"], "unchanged");
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap()["status"], "unchanged");

    tiny.write("extracts/orders.csv", &broken());
    let refused = run(&tiny, &["--log-format", "json"], &[]);
    assert_eq!(code(&refused), 3);
    let last = lines(&refused).pop().unwrap();
    assert_eq!((&last["level"], &last["status"], &last["exit_code"]), (&Value::from("error"), &Value::from("refused"), &Value::from(3)));
    assert!(last["problems"][0]["message"].is_string() && last["run_id"].is_string(), "{last}");
    holds_nothing(&told(&refused));

    tiny.write("pipelines/tiny.yaml", "version: 1\nname: [\n");
    let wrong = run(&tiny, &["--log-format", "json"], &[]);
    assert_eq!((code(&wrong), lines(&wrong).last().unwrap()["problems"][0]["code"].as_str()), (2, Some("invalid-yaml")));
    for arguments in [&["run", "--log-format", "json", "--as-of", "never"][..], &["--log-format=json", "diff", "2026-11-01"]] {
        let unknown = tiny.segmill(arguments);
        assert_eq!((code(&unknown), lines(&unknown).len()), (2, 1), "{}", told(&unknown));
    }
    let shown = tiny.segmill(&["validate", "--log-format", "json"]);
    assert_eq!((code(&shown), lines(&shown).last().unwrap()["level"].as_str()), (2, Some("error")));
}

#[test]
fn a_backfill_tells_of_each_day_as_lines() {
    let tiny = project("");
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--from", "2026-10-31", "--to", DAY, "--log-format", "json"]);
    let all = lines(&output);
    let days: Vec<&str> = all.iter().filter(|line| line["step"] == "publish").filter_map(|line| line["as_of"].as_str()).collect();
    assert!(days.contains(&"2026-10-31") && days.contains(&DAY), "{}", told(&output));
    let last = all.last().unwrap();
    assert_eq!((&last["summary"]["published"], &last["run_id"]), (&Value::from(2), &Value::Null), "{last}");
}

#[test]
fn metrics_tell_of_a_run_however_it_ended_and_keep_what_holds() {
    let tiny = project("");
    let with = |more: &[&str]| run(&tiny, &[&["--metrics", "m.prom"], more].concat(), &[]);
    assert_eq!(code(&with(&[])), 0);
    let published = metrics(&tiny);
    let of = |name: &str| published.get(name).copied();
    assert_eq!(of(r#"segmill_run_exit_code{pipeline="tiny"}"#), Some(0.0));
    assert_eq!(of(r#"segmill_publication_number{pipeline="tiny"}"#), Some(1.0));
    assert_eq!(of(r#"segmill_publication_customers{pipeline="tiny"}"#), Some(50.0));
    assert_eq!(of(r#"segmill_publication_segment_customers{pipeline="tiny",segment_set="value",segment="buyers"}"#), Some(25.0));
    assert_eq!(of(r#"segmill_run_source_rows{pipeline="tiny",source="orders",fate="kept"}"#), Some(75.0));
    assert_eq!(of(r#"segmill_run_source_rows{pipeline="tiny",source="orders",fate="rejected"}"#), Some(0.0));
    // 2 October 2026, 10:00 UTC, and 1 November.
    assert_eq!(of(r#"segmill_run_source_newest_event_timestamp_seconds{pipeline="tiny",source="orders"}"#), Some(1_790_935_200.0));
    assert_eq!(of(r#"segmill_publication_as_of_timestamp_seconds{pipeline="tiny"}"#), Some(1_793_491_200.0));
    let success = r#"segmill_run_last_success_timestamp_seconds{pipeline="tiny"}"#;
    let (began, took) =
        (of(r#"segmill_run_start_timestamp_seconds{pipeline="tiny"}"#), of(r#"segmill_run_duration_seconds{pipeline="tiny"}"#));
    let succeeded = of(success).unwrap();
    assert!((succeeded - began.unwrap() - took.unwrap()).abs() < 0.5, "{published:?}");

    // A run that fails says so, and what is published stays.
    let stays = |what: &str| {
        let now = metrics(&tiny);
        for (name, value) in published.iter().filter(|(name, _)| name.starts_with("segmill_publication_") || *name == success) {
            assert_eq!(now.get(name), Some(value), "{what}: {name}");
        }
    };
    let exit_code = || metric(&tiny, r#"segmill_run_exit_code{pipeline="tiny"}"#).unwrap();
    tiny.write("extracts/orders.csv", &broken());
    assert_eq!((code(&with(&[])), exit_code()), (3, 3.0));
    stays("refused");
    std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
    assert_eq!((code(&with(&[])), exit_code()), (99, 99.0));
    stays("late");
    let pipeline = tiny.read("pipelines/tiny.yaml");
    tiny.write("pipelines/tiny.yaml", "version: 1\nname: [\n");
    assert_eq!((code(&with(&[])), exit_code()), (2, 2.0));
    stays("a file that is no YAML");
    tiny.write("pipelines/tiny.yaml", &pipeline);
    tiny.write("extracts/orders.csv", &with_address(&orders()));
    let customers = tiny.read("sql/customers.sql");
    tiny.write("sql/customers.sql", ENDLESS);
    assert_eq!((code(&with(&["--timeout", "1s"])), exit_code()), (75, 75.0));
    stays("time is up");

    // Without the file, the newest publication tells what it can.
    std::fs::remove_file(tiny.folder.path().join("m.prom")).unwrap();
    assert_eq!(code(&with(&["--timeout", "5s"])), 75);
    let found = metrics(&tiny);
    assert_eq!(found.get(r#"segmill_publication_number{pipeline="tiny"}"#), Some(&1.0));
    assert_eq!(found.get(r#"segmill_publication_segment_customers{pipeline="tiny",segment_set="value",segment="others"}"#), Some(&25.0));
    let known = found[success];
    assert!(known <= succeeded && succeeded - known < 60.0, "{known} {succeeded}");

    // A run that finds nothing changed is a success.
    tiny.write("sql/customers.sql", &customers);
    assert_eq!((code(&with(&[])), exit_code()), (0, 0.0));
    assert!(metric(&tiny, success).unwrap() > succeeded);
    let left: Vec<_> = std::fs::read_dir(tiny.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_tells_so_within_two_seconds() {
    let server = Server::that(Answers::Never);
    let tiny = project("notify:\n  team:\n    on: [failed]\n    webhook: ${WEBHOOK}\n");
    tiny.write("sql/customers.sql", ENDLESS);
    let mut command = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", DAY, "--metrics", "m.prom", "--log-format", "json"]);
    command.env("WEBHOOK", format!("http://{}/{SECRET}", server.address)).stderr(std::process::Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut log = BufReader::new(running.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(r#""step":"customers""#) {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended before");
    }
    assert!(std::process::Command::new("kill").args(["-s", "TERM", &running.id().to_string()]).status().unwrap().success());
    let since = Stopwatch::start();
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(143));
    assert!(since.elapsed_ms() < 2_000, "{} ms", since.elapsed_ms());
    assert_eq!(metric(&tiny, r#"segmill_run_exit_code{pipeline="tiny"}"#), Some(143.0));
    assert!(rest.contains("the notification `team` was not delivered") || rest.contains("not everybody was told"), "{rest}");
    holds_nothing(&rest);
}

#[test]
fn metrics_replace_files_alone_and_are_no_reason_to_fail() {
    let tiny = project("");
    let nowhere = run(&tiny, &["--metrics", "nowhere/m.prom"], &[]);
    assert_eq!(code(&nowhere), 0);
    assert!(told(&nowhere).contains("the metrics were not written to nowhere/m.prom"), "{}", told(&nowhere));
    for place in ["out", "/dev/null"] {
        let refused = run(&tiny, &["--metrics", place], &[]);
        assert_eq!(code(&refused), 2, "{}", told(&refused));
        assert!(told(&refused).contains("not-a-file"), "{}", told(&refused));
    }
    assert!(std::path::Path::new("/dev/null").metadata().is_ok_and(|meta| !meta.is_file()));
}

/// The guide lists the metrics that there are.
#[test]
fn the_guide_lists_every_metric() {
    let guide = document("docs/guides/watching.md").text;
    let rows: Vec<String> = FAMILIES
        .iter()
        .map(|family| {
            let labels = family.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            let unit = match family.unit {
                "s" => "seconds",
                "By" => "bytes",
                _ => "",
            };
            let stays = if family.scope == Scope::Publication { "yes" } else { "" };
            format!("| `{}` | {unit} | {labels} | {stays} | {} |", family.prometheus_name(), family.help)
        })
        .collect();
    let listed: Vec<&str> = guide.lines().filter(|line| line.starts_with("| `segmill_")).collect();
    assert_eq!(listed, rows, "the rows should be\n{}", rows.join("\n"));
}

fn text_of<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    match attributes.iter().find(|attribute| attribute.key == key).and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?} of {attributes:?}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_collector_gets_the_metrics_and_a_span_for_each_step() {
    let collector = Server::that(Answers::Status("200 OK"));
    let endpoint = format!("http://{}/", collector.address);
    let tiny = project("");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b"),
        ("OTEL_SERVICE_NAME", "nightly"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=shop"),
        ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("TRACESTATE", "vendor=1"),
    ];
    let output = run(&tiny, &["--metrics", "m.prom", "--record", "record.json"], &environment);
    assert_eq!(code(&output), 0, "{}", told(&output));
    let got = collector.got();
    let at = |path: &str| got.iter().find(|got| got.path == path).unwrap();
    assert_eq!(got.len(), 2, "{got:?}");
    assert!(got.iter().all(|got| got.headers.contains("x-key: a b") && got.headers.contains("content-type: application/x-protobuf")));
    for got in &got {
        holds_nothing(&String::from_utf8_lossy(&got.body));
    }

    let traces = TraceRequest::decode(at("/v1/traces").body.as_slice()).unwrap().resource_spans.remove(0);
    let resource = traces.resource.unwrap().attributes;
    assert_eq!((text_of(&resource, "service.name"), text_of(&resource, "team")), ("nightly", "shop"));
    let spans: Vec<Span> = traces.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
    let record: Value = serde_json::from_str(&tiny.read("record.json")).unwrap();
    let (root, steps) = spans.split_first().unwrap();
    assert_eq!((root.name.as_str(), hexadecimal(&root.parent_span_id).as_str()), ("segmill run", "b7ad6b7169203331"));
    assert_eq!((root.status.as_ref().unwrap().code, text_of(&root.attributes, "segmill.status")), (1, "published"));
    assert_eq!(text_of(&root.attributes, "segmill.run_id"), record["run_id"].as_str().unwrap());
    let named: Vec<&str> = record["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(steps.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), named);
    for span in steps {
        assert_eq!((&span.parent_span_id, &span.trace_id), (&root.span_id, &root.trace_id));
        assert_eq!((hexadecimal(&span.trace_id).as_str(), span.trace_state.as_str()), ("0af7651916cd43dd8448eb211c80319c", "vendor=1"));
        assert!(root.start_time_unix_nano <= span.start_time_unix_nano && span.end_time_unix_nano <= root.end_time_unix_nano);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
    }
    assert!(steps.windows(2).all(|pair| pair[0].end_time_unix_nano <= pair[1].start_time_unix_nano), "steps follow each other");

    // What the file says is what the collector gets.
    let sent = MetricsRequest::decode(at("/v1/metrics").body.as_slice()).unwrap().resource_metrics.remove(0);
    let sent = sent.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
    let count: usize = sent.map(|metric| metric.gauge.unwrap().data_points.len()).sum();
    assert_eq!(count, metrics(&tiny).len());
}

#[test]
fn a_trace_shows_where_a_run_failed_and_is_left_out_where_it_is_not_wanted() {
    let collector = Server::that(Answers::Status("200 OK"));
    let endpoint = format!("http://{}", collector.address);
    let tiny = project("");
    tiny.write("sql/customers.sql", ENDLESS);
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_METRICS_EXPORTER", "none")];
    assert_eq!(code(&run(&tiny, &["--timeout", "5s"], &environment)), 75);
    let got = collector.got();
    assert_eq!(got.iter().map(|got| got.path.as_str()).collect::<Vec<_>>(), ["/v1/traces"]);
    let request = TraceRequest::decode(got[0].body.as_slice()).unwrap();
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    let failed: Vec<&str> =
        spans.iter().filter(|span| span.status.as_ref().is_some_and(|status| status.code == 2)).map(|span| span.name.as_str()).collect();
    assert_eq!(failed, ["segmill run", "customers"]);
    assert!(spans[0].parent_span_id.is_empty() && spans[0].trace_id.len() == 16 && spans[0].trace_id != [0; 16]);

    for more in [("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), ("OTEL_SDK_DISABLED", "true")] {
        assert_eq!(code(&run(&tiny, &["--timeout", "1s"], &[environment[0], environment[1], more])), 75);
        assert_eq!(collector.got().len(), 1, "{more:?}");
    }
}

#[test]
fn notifications_go_to_those_who_asked_for_the_event() {
    let notify = "checks:
  - {name: steady, severity: warn, change: {segment_set: value, max_points: 0.05}}
notify:
  good:
    on: [published]
    webhook: ${GOOD}
  bad:
    on: [refused, failed]
    webhook: ${BAD}
  waits:
    on: [late]
    webhook: ${WAITS}
  old:
    on: [stale]
    webhook: ${OLD}
  moves:
    on: [moved]
    webhook: ${MOVES}
  off:
    on: [published]
    webhook: ${OFF}
";
    let kinds = ["GOOD", "BAD", "WAITS", "OLD", "MOVES"];
    let told_by = |tiny: &Tiny, day: &str, more: &[&str]| -> (i32, BTreeMap<&str, Value>) {
        let servers: Vec<Server> = kinds.iter().map(|_| Server::that(Answers::Status("204 No Content"))).collect();
        let mut command = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", day, "--log-format", "json"]);
        for (kind, server) in kinds.iter().zip(&servers) {
            command.env(kind, format!("http://{}/{SECRET}", server.address));
        }
        let output = command.args(more).env("OFF", "").output().unwrap();
        holds_nothing(&told(&output));
        let got = kinds.iter().zip(&servers).filter(|(_, server)| !server.got().is_empty());
        let got: BTreeMap<&str, Value> = got.map(|(kind, server)| (*kind, server.document())).collect();
        for document in got.values() {
            holds_nothing(&document.to_string());
        }
        (code(&output), got)
    };
    let tiny = project(notify);
    let (exit, got) = told_by(&tiny, "2026-10-31", &[]);
    assert_eq!((exit, got.keys().copied().collect::<Vec<_>>()), (0, vec!["GOOD"]));
    let good = &got["GOOD"];
    assert_eq!(good["text"], "tiny as of 2026-10-31: published as number 1, 50 customers");
    assert_eq!(
        (&good["events"], &good["status"], &good["exit_code"]),
        (&serde_json::json!(["published"]), &Value::from("published"), &Value::from(0))
    );
    assert_eq!((&good["run"]["sources"][0]["rows_kept"], &good["run"]["segments"][0]["customers"]), (&Value::from(75), &Value::from(25)));

    // Nothing has changed, although the webhooks are others now.
    assert_eq!(told_by(&tiny, "2026-10-31", &[]), (0, BTreeMap::new()));
    assert_eq!(told_by(&tiny, DAY, &["--no-notify", "--force"]), (0, BTreeMap::new()));

    // Half of the customers are gone, all of them of one segment.
    let fewer: String = with_address(&orders())
        .lines()
        .filter(|line| !line.contains("T10") || line.contains("-02T"))
        .map(|line| format!("{line}\n"))
        .collect();
    tiny.write("extracts/orders.csv", &fewer);
    let (exit, got) = told_by(&tiny, DAY, &[]);
    assert_eq!((exit, got.keys().copied().collect::<Vec<_>>()), (0, vec!["GOOD", "MOVES"]));
    let moves = &got["MOVES"];
    assert!(moves["text"].as_str().unwrap().contains("steady"), "{moves}");
    assert_eq!((&moves["events"], &moves["run"]["failed_checks"][0]["check"]), (&serde_json::json!(["moved"]), &Value::from("steady")));

    tiny.write("extracts/orders.csv", &broken());
    let (exit, got) = told_by(&tiny, DAY, &[]);
    assert_eq!((exit, got.keys().copied().collect::<Vec<_>>()), (3, vec!["BAD"]));
    assert!(got["BAD"]["run"]["problems"][0]["details"][0].as_str().unwrap().contains("over its budget"), "{got:?}");
    tiny.write("sql/customers.sql", "select nonsense");
    let (exit, got) = told_by(&tiny, DAY, &[]);
    assert_eq!((exit, got.keys().copied().collect::<Vec<_>>()), (2, vec!["BAD"]));

    let tiny = project(notify);
    tiny.write(
        "pipelines/tiny.yaml",
        &tiny.read("pipelines/tiny.yaml").replace("    event_time", "    freshness: {newest_row_days: 3}\n    event_time"),
    );
    let (exit, got) = told_by(&tiny, DAY, &[]);
    assert_eq!((exit, got.keys().copied().collect::<Vec<_>>()), (99, vec!["OLD", "WAITS"]));
    tiny.write("pipelines/tiny.yaml", &tiny.read("pipelines/tiny.yaml").replace("    freshness: {newest_row_days: 3}\n", ""));
    assert_eq!(told_by(&tiny, DAY, &[]).0, 0);
    std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
    let (exit, got) = told_by(&tiny, DAY, &[]);
    assert_eq!((exit, got.keys().copied().collect::<Vec<_>>()), (99, vec!["WAITS"]));
}

#[cfg(unix)]
#[test]
fn a_command_gets_the_document_on_standard_input_and_is_no_reason_to_fail() {
    let notify = "notify:
  kept: {on: [published], command: [sh, -c, 'cat > told.json; echo $0', '$(touch shell)']}
  none: {on: [published], command: [there-is-no-such-program, hush/4711-planted]}
  fails: {on: [published], command: ['false']}
";
    let tiny = project(notify);
    let output = run(&tiny, &[], &[]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    let told_to_it: Value = serde_json::from_str(&tiny.read("told.json")).unwrap();
    assert_eq!((&told_to_it["status"], &told_to_it["pipeline"]), (&Value::from("published"), &Value::from("tiny")));
    assert!(!tiny.folder.path().join("shell").exists());
    let told = told(&output);
    assert!(told.contains("the notification `none` was not delivered: the command was not started: No such file"), "{told}");
    assert!(told.contains("the notification `fails` was not delivered: the command ended with exit code 1"), "{told}");
    holds_nothing(&told);
    std::fs::remove_file(tiny.folder.path().join("told.json")).unwrap();
    let planned = tiny.segmill(&["plan", "pipelines/tiny.yaml", "--as-of", "2026-11-02"]);
    assert_eq!((code(&planned), tiny.folder.path().join("told.json").exists()), (0, false), "a plan tells nobody");
}

/// A scheduler plans before it runs, so what a plan finds is not found by a run any more.
#[cfg(unix)]
#[test]
fn a_plan_that_fails_tells_as_a_run_would_where_it_is_asked_to() {
    let notify = "notify:
  team: {on: [published, refused, late, failed], command: [tee, told.json]}
";
    let plan = |tiny: &Tiny, more: &[&str]| {
        // Without `--notify` it does not even look whether that is a file.
        let metrics = if more.is_empty() { "extracts" } else { "m.prom" };
        let mut command = tiny.command(&["plan", "pipelines/tiny.yaml", "--as-of", DAY]);
        let output = command.args(more).env("SEGMILL_METRICS", metrics).output().unwrap();
        holds_nothing(&told(&output));
        let document = std::fs::read_to_string(tiny.folder.path().join("told.json")).ok();
        let document: Option<Value> = document.map(|text| serde_json::from_str(&text).unwrap());
        for file in ["told.json", "m.prom"].map(|name| tiny.folder.path().join(name)).iter().filter(|file| file.exists()) {
            std::fs::remove_file(file).unwrap();
        }
        (code(&output), document.map(|document| (document["events"].to_string(), document["status"].to_string())))
    };
    let told_as = |event: &str, status: &str| Some((format!("[\"{event}\"]"), format!("\"{status}\"")));
    let tiny = project(notify);
    assert_eq!(plan(&tiny, &["--notify"]), (0, None), "what a plan that succeeds has to say a run says");
    tiny.write("extracts/orders.csv", &broken());
    assert_eq!(plan(&tiny, &[]), (3, None));
    assert_eq!(plan(&tiny, &["--notify"]), (3, told_as("refused", "refused")));
    assert_eq!(plan(&tiny, &["--notify=unless-late"]), (3, told_as("refused", "refused")));
    std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
    tiny.write("sql/customers.sql", "select nonsense");
    assert_eq!(plan(&tiny, &["--notify=unless-late"]), (2, told_as("failed", "project")));

    let tiny = project(notify);
    assert_eq!(code(&run(&tiny, &["--no-notify", "--metrics", "m.prom"], &[])), 0);
    std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
    let look = |more: &[&str]| {
        let output = tiny.command(&["plan", "pipelines/tiny.yaml", "--as-of", DAY, "--metrics", "m.prom"]).args(more).output().unwrap();
        assert_eq!(code(&output), 99, "{}", told(&output));
    };
    look(&["--notify=unless-late"]);
    assert_eq!(
        (metric(&tiny, "segmill_run_exit_code{pipeline=\"tiny\"}"), tiny.folder.path().join("told.json").exists()),
        (Some(0.0), false)
    );
    look(&["--notify"]);
    assert_eq!(metric(&tiny, "segmill_run_exit_code{pipeline=\"tiny\"}"), Some(99.0));
    assert_eq!(metric(&tiny, "segmill_publication_number{pipeline=\"tiny\"}"), Some(1.0), "what is published stays");
    assert!(tiny.read("told.json").contains("\"late\""));
}

/// Servers that are down, fail, or never answer cost seconds and a warning.
#[test]
fn servers_that_do_not_answer_are_no_reason_to_fail() {
    let (slow, failing) = (Server::that(Answers::Never), Server::that(Answers::Status("500 Internal Server Error")));
    let notify = "notify:
  slow:
    on: [published]
    webhook: ${SLOW}
  failing:
    on: [published]
    webhook: ${FAILING}
  down:
    on: [published]
    webhook: ${DOWN}
";
    let tiny = project(notify);
    let url = |address: &str| format!("http://{address}/{SECRET}?{SECRET}");
    let (slow_url, failing_url, down_url) = (url(&slow.address), url(&failing.address), url(CLOSED));
    let endpoint = format!("http://{}", slow.address);
    let environment = [
        ("SLOW", slow_url.as_str()),
        ("FAILING", failing_url.as_str()),
        ("DOWN", down_url.as_str()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hush/4711-planted"),
    ];
    let since = Stopwatch::start();
    let output = run(&tiny, &[], &environment);
    assert!(Duration::from_millis(since.elapsed_ms()) < Duration::from_secs(25), "{} ms", since.elapsed_ms());
    let told = told(&output);
    assert_eq!(code(&output), 0, "{told}");
    for warning in [
        "the notification `slow` was not delivered: the server did not answer within 5000 ms",
        "the notification `failing` was not delivered: the server answered with status 500",
        "the notification `down` was not delivered: no connection could be made",
        "the metrics of the run were not sent to the collector of OpenTelemetry: the server did not answer within 5000 ms",
        "the trace of the run was not sent to the collector of OpenTelemetry: the server did not answer within 5000 ms",
    ] {
        assert!(told.contains(warning), "{warning}: {told}");
    }
    assert_eq!(failing.got().len(), 3, "it is tried three times");
    holds_nothing(&told);
    for file in crate::marks::files_under(&tiny.folder.path().join("out")) {
        if !file.ends_with("customers.parquet") {
            holds_nothing(&crate::marks::of_file(&file));
        }
    }
}

/// A webhook that is written into the file is not in the copy that a publication keeps.
#[test]
fn a_publication_keeps_no_webhook() {
    let server = Server::that(Answers::Status("200 OK"));
    let tiny = project(&format!("notify:\n  team: {{on: [published], webhook: 'http://{}/{SECRET}'}}\n", server.address));
    assert_eq!(code(&run(&tiny, &[], &[])), 0);
    assert_eq!(server.document()["events"], serde_json::json!(["published"]));
    let kept = tiny.segmill(&["outputs", "pipelines/tiny.yaml", "--project", "kept"]);
    assert_eq!(code(&kept), 0, "{}", told(&kept));
    holds_nothing(&tiny.read("kept/pipelines/tiny.yaml"));
    let pipeline = tiny.read("pipelines/tiny.yaml");
    tiny.write("pipelines/tiny.yaml", &pipeline.replace(SECRET, &format!("{SECRET}/other")));
    let planned = tiny.segmill(&["plan", "pipelines/tiny.yaml", "--as-of", DAY]);
    assert_eq!(code(&planned), 0, "{}", told(&planned));
    holds_nothing(&told(&planned));
    // Nor is it in the frame of a mistake.
    tiny.write("pipelines/tiny.yaml", &pipeline.replace("on: [published]", "on: [publishd]"));
    let wrong = tiny.segmill(&["validate", "pipelines/tiny.yaml"]);
    assert!(code(&wrong) == 2 && told(&wrong).contains("webhook: '***"), "{}", told(&wrong));
    holds_nothing(&told(&wrong));
}
