use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::marks::files_under;
use crate::support::{package, rows_of_parquet, segmill};
use crate::tiny::Tiny;

/// What no look prints without `--unmask`.
const PLANTED: &str = "planted7731";

const PIPELINE: &str = "\
version: 1
name: people
sources:
  people:
    location: data/people*.csv
    event_time: updated_at
    reject_budget: {share: 0, rows: 0}
    columns:
      contact_id: {type: string, required: true, description: What the shop calls them}
      updated_at: {type: timestamp, required: true}
      email: {type: string, personal: true}
      phone: {type: string, personal: true}
      smokes: {type: boolean, personal: true}
      income: {type: 'decimal(12,2)', personal: true}
      points: 'decimal(12,3)'
      country: string
  links:
    location: data/links.csv
    event_time: seen_at
    columns:
      one: {type: string, required: true}
      other: {type: string, required: true}
      seen_at: {type: timestamp, required: true}
identity:
  types:
    contact: {standalone: true, max_per_customer: 20}
    email: {personal: true, max_per_customer: 20}
segments:
  all:
    kind: exclusive
    segments:
      - {name: some, when: 'true', description: d, action: a, channel: none}
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
    reachable: {model: features.reachable, sort: [customer_id]}
";

const MODELS: [(&str, &str); 6] = [
    (
        "staging/people.sql",
        "select contact_id, updated_at, email as address, upper(phone) as number, smokes, income + 1 as more, points, country, email is null as no_address\n\
         from sources.people\n",
    ),
    (
        "staging/latest.sql",
        "select contact_id, max(email) as last_address, count(email) as addresses from sources.people group by contact_id\n",
    ),
    (
        "identity/edges.sql",
        "select 'email' as identifier_type, email as identifier, 'contact' as other_type, contact_id as other, 'crm' as source,\n    \
         updated_at as first_seen_at, updated_at as last_seen_at, cast(null as timestamptz) as ended_at\nfrom sources.people\nunion all\n\
         select 'contact', one, 'contact', other, 'links', seen_at as first_seen_at, seen_at as last_seen_at, cast(null as timestamptz) as ended_at from sources.links\n",
    ),
    ("identity/customers.sql", "select identifier_type, identifier, customer_id from resolved.customers\n"),
    (
        "features/reachable.sql",
        "select ids.customer_id, count(*) as contacts, max(latest.last_address) as contact_at, sum(latest.addresses) as addresses\n\
         from identity.customers as ids\ninner join staging.latest as latest on latest.contact_id = ids.identifier and ids.identifier_type = 'contact'\n\
         group by ids.customer_id\n",
    ),
    ("customers.sql", "select customer_id, count(*) as identifiers from identity.customers group by customer_id\n"),
];

/// A project of people whose addresses are planted.
pub struct People {
    folder: TempDir,
}

impl People {
    pub fn new() -> People {
        People::of(40)
    }

    fn of(rows: usize) -> People {
        let people = People { folder: tempfile::tempdir().unwrap() };
        people.write("pipelines/customer_segments.yaml", PIPELINE);
        for (path, sql) in MODELS {
            people.write(&format!("sql/{path}"), &format!("-- A row.\n{sql}"));
        }
        let mut lines = "contact_id,updated_at,email,phone,smokes,income,points,country\n".to_owned();
        for n in 0..rows {
            let email = if n % 10 == 9 { String::new() } else { format!("{PLANTED}-{n}@example.com") };
            let country = ["FR", "\"Côte, d'Ivoire\"", ""][n % 3];
            writeln!(lines, "c{n:02},2011-05-0{}T10:00:00Z,{email},{PLANTED}{n},{},77311.50,{n}.125,{country}", n % 9 + 1, n % 2 == 0)
                .unwrap();
        }
        people.write("data/people.csv", &lines);
        people.write("data/links.csv", "one,other,seen_at\nc01,c02,2011-06-05T10:00:00Z\n");
        people
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        segmill(self.folder.path(), arguments)
    }

    /// What a command prints, which must succeed.
    pub fn told(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}\n{out}\n{err}");
        (out, err)
    }

    /// The rows of a command as CSV, which must succeed.
    pub fn csv(&self, arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--as-of", "2011-06-10", "--format", "csv"]).collect();
        self.told(&arguments).0.lines().skip(1).map(str::to_owned).collect()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Questions that touch personal columns in every way, each with whether its answer has a masked value.
const QUESTIONS: [(&[&str], bool); 22] = [
    (&["show", "sources.people"], true),
    (&["show", "staging.people"], true),
    (&["show", "staging.latest"], true),
    (&["show", "identity.edges"], true),
    (&["show", "resolved.customers"], true),
    (&["show", "resolved.conflicts"], true),
    (&["show", "identity.customers", "--customer", "c05"], true),
    (&["show", "features.reachable"], true),
    (&["show", "outputs.reachable"], true),
    (&["show", "customers"], false),
    (&["show", "sources.people", "--where", "email like 'planted7731-1%' and smokes"], true),
    (&["query", "select lower(email) as a, substr(phone, 2) as b, email || '' as c, reverse(email) as d from sources.people"], true),
    (&["query", "select split_part(address, '@', 1) as a, cast(more as integer) as b from staging.people"], true),
    (&["query", "select min(email) as a, string_agg(phone, ',' order by phone) as b, count(email) as n from sources.people"], true),
    (&["query", "select (select max(email) from sources.people) as a, 1 as b"], true),
    (&["query", "with t as (select email as e from sources.people) select e from t union all select country from sources.people"], true),
    (&["query", "select case when smokes then 'x' end as a, smokes as b, not smokes as c from sources.people"], true),
    (&["query", "select 'contact' as identifier_type, email as identifier from sources.people"], true),
    (&["query", "select identifier as i, identifier_type as t from identity.customers order by i"], true),
    (&["query", "select p.email, l.one from sources.people as p left join sources.links as l on l.one = p.contact_id"], true),
    (&["query", "select make_array(email) as a, named_struct('x', email) as b, md5(email) as c from sources.people"], true),
    (&["query", "select count(*) as n, count(distinct email) as m from sources.people where email > 'a'"], false),
];

#[test]
fn personal_values_are_masked_in_every_form() {
    let people = People::new();
    for (question, is_masked) in QUESTIONS {
        for format in ["table", "csv", "json", "parquet"] {
            let file = people.folder.path().join("rows.parquet");
            let mut arguments = question.to_vec();
            arguments.extend(["--as-of", "2011-06-10", "--limit", "all", "--format", format]);
            if format == "parquet" {
                arguments.extend(["--output", file.to_str().unwrap()]);
            }
            let (out, err) = people.told(&arguments);
            let out = if format == "parquet" { format!("{:?}", rows_of_parquet(&[file], "select * from t")) } else { out };
            assert!(!out.contains(PLANTED) && !out.contains("PLANTED") && !out.contains("1377detnalp"), "{question:?} as {format}:\n{out}");
            assert!(!out.contains("77311") && !out.contains("77312"), "{question:?} as {format}:\n{out}");
            assert!(!err.contains(PLANTED), "{question:?}: {err}");
            assert_eq!(out.contains("***"), is_masked, "{question:?} as {format}:\n{out}");
        }
    }
    let (out, _) = people.told(&["show", "sources.people", "--as-of", "2011-06-10", "--unmask", "--limit", "all"]);
    assert!(out.contains(PLANTED) && !out.contains("***"), "{out}");
    // Identifiers of types that are not personal are shown beside those that are masked.
    let ids = people.csv(&["show", "identity.customers"]);
    assert!(ids.contains(&"contact,c05,c05".to_owned()) && ids.contains(&"email,***,c05".to_owned()), "{ids:?}");
}

#[test]
fn what_fails_says_no_personal_value() {
    let people = People::new();
    for question in [
        vec!["query", "select cast(email as integer) as a from sources.people"],
        vec!["query", "select 1 / (points - points) as a, cast(phone as date) as b from staging.people, sources.people"],
        vec!["show", "sources.people", "--where", "cast(email as integer) = 1"],
        vec!["show", "sources.people", "--where", "cast(upper(phone) as timestamp) > $as_of"],
    ] {
        for format in ["table", "json"] {
            let arguments: Vec<&str> = question.iter().copied().chain(["--as-of", "2011-06-10", "--format", format]).collect();
            let output = people.run(&arguments);
            let told = text(&output.stdout) + &text(&output.stderr);
            assert!(!output.status.success() && !told.to_lowercase().contains(PLANTED), "{question:?}: {told}");
        }
    }
}

/// The sample's own addresses and numbers.
#[test]
fn personal_values_of_the_sample_are_masked() {
    let mut reader = csv::Reader::from_path(package().join("examples/data/crm/contacts.csv")).unwrap();
    let headers = reader.headers().unwrap().clone();
    let places: Vec<usize> = ["email", "phone", "last_name"].iter().map(|name| headers.iter().position(|h| h == *name).unwrap()).collect();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let values: std::collections::BTreeSet<String> = records
        .iter()
        .flat_map(|record| places.iter().map(|at| record[*at].to_owned()).collect::<Vec<_>>())
        .filter(|value| value.len() > 9 && value.chars().any(|c| c.is_ascii_digit() || c == '@'))
        .collect();
    assert!(values.len() > 5_000);
    let destination = tempfile::tempdir().unwrap();
    for question in [
        vec!["show", "sources.contacts"],
        vec!["show", "staging.contact_identifiers"],
        vec!["show", "staging.contact_versions"],
        vec![
            "query",
            "select email, phone, replace(email, '@', '#') as other from sources.email union all select email, phone, reason from sources.suppressions",
        ],
    ] {
        let more = ["--as-of", "2011-12-10", "--format", "csv", "--destination", destination.path().to_str().unwrap()];
        let output = segmill(package(), &question.iter().copied().chain(more).collect::<Vec<_>>());
        let told = text(&output.stdout);
        assert!(output.status.success() && told.lines().count() > 5_000, "{question:?}: {}", text(&output.stderr));
        let cells: std::collections::BTreeSet<&str> = told.split([',', '\n', '"']).collect();
        let shown: Vec<&String> =
            values.iter().filter(|value| cells.contains(value.as_str()) || cells.contains(value.replace('@', "#").as_str())).collect();
        assert!(shown.is_empty(), "{question:?} shows {} values", shown.len());
    }
}

#[test]
fn a_name_is_whole_or_the_last_part_of_one_table() {
    let people = People::new();
    let day = ["--as-of", "2011-06-10", "--format", "csv"];
    let told = |name: &str| {
        let output = people.run(&[&["show", name][..], &day].concat());
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    for name in ["customers", "latest", "staging.latest", "outputs.reachable", "reachable", "conflicts", "segments", "segment_membership"] {
        assert_eq!(told(name).0, Some(0), "{name}: {}", told(name).1);
    }
    let (code, ambiguous) = told("people");
    assert!(code == Some(2) && ambiguous.contains("`people` may mean `sources.people` and `staging.people`"), "{ambiguous}");
    let (code, unknown) = told("staging.latets");
    assert!(code == Some(2) && unknown.contains("did you mean `staging.latest`?"), "{unknown}");
    let (code, none) = told("nosuch");
    assert!(code == Some(2) && none.matches("`sources.people`").count() == 1 && !none.contains("`people`"), "{none}");
    let (code, quoted) = told("x'; drop\u{1b}");
    assert!(code == Some(2) && !quoted.contains('\u{1b}'), "{quoted}");
    let (code, customer) = told("latest");
    assert!(code == Some(0) && customer.starts_with("contact_id,last_address,addresses\n"), "{customer}");
    let output = people.run(&["show", "latest", "--customer", "c01", "--as-of", "2011-06-10"]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("has no column `customer_id`"), "{}", text(&output.stderr));
}

#[test]
fn a_look_publishes_nothing_and_says_the_same_every_time() {
    let people = People::new();
    let before = files_under(people.folder.path());
    for question in [
        vec!["show", "sources.people"],
        vec!["show", "customers"],
        vec!["query", "select * from staging.latest order by contact_id limit 7"],
    ] {
        let arguments: Vec<&str> = question.iter().copied().chain(["--as-of", "2011-06-10", "--format", "json"]).collect();
        let first = people.told(&arguments).0;
        assert_eq!(people.told(&arguments).0, first, "{question:?}");
        assert!(first.lines().count() >= 7, "{first}");
    }
    assert_eq!(files_under(people.folder.path()), before, "a look leaves nothing behind");
    // Rows of a source come in the order of the file, rows of models in that of their columns, rows of outputs as they are published.
    assert!(people.csv(&["show", "sources.people"])[0].starts_with("c00,"));
    let ordered = people.csv(&["query", "select contact_id from sources.people order by contact_id desc"]);
    assert_eq!((ordered.len(), ordered[0].as_str()), (40, "c39"));
    let customers = people.csv(&["show", "customers"]);
    assert!(customers.is_sorted(), "{customers:?}");
}

#[test]
fn values_are_exact_in_csv_and_json() {
    let people = People::new();
    let (out, _) = people.told(&["show", "sources.people", "--as-of", "2011-06-10", "--format", "json", "--limit", "3", "--unmask"]);
    let rows: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1]["country"], "Côte, d'Ivoire");
    assert_eq!((&rows[1]["smokes"], &rows[2]["country"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(rows[0]["updated_at"], "2011-05-01T10:00:00Z");
    assert!(out.contains("\"income\": 77311.50, \"points\": 0.125"), "{out}");
    let query = "select '' as a, null as b, 'x\"y' as c, cast('12345678901234567890.123' as decimal(30,3)) as d, [1, null] as e, date '2011-05-01' as f";
    assert_eq!(people.csv(&["query", query]), ["\"\",,\"x\"\"y\",12345678901234567890.123,\"[1, null]\",2011-05-01"]);
    let (out, _) = people.told(&["query", query, "--format", "json"]);
    let expected = r#"{"a": "", "b": null, "c": "x\"y", "d": 12345678901234567890.123, "e": [1, null], "f": "2011-05-01"}"#;
    assert_eq!(out.trim_end(), expected);
    let twice =
        people.run(&["query", "select a.one, b.one from sources.links a, sources.links b", "--as-of", "2011-06-10", "--format", "json"]);
    assert!(twice.status.code() == Some(2) && text(&twice.stdout).contains("two columns are called `one`"), "{}", text(&twice.stdout));
}

/// A file that nobody needs for the first rows is not opened, so what is wrong with it is not found.
#[test]
fn a_look_stops_reading_at_its_limit() {
    let people = People::of(400);
    people.write("data/people2.csv", "no,such,header\n1,2,3\n");
    let limited = people.told(&["show", "staging.people", "--as-of", "2011-06-10", "--limit", "5"]);
    assert!(limited.0.contains("5 rows; there are more"), "{}", limited.0);
    let filtered =
        people.told(&["show", "sources.people", "--as-of", "2011-06-10", "--limit", "2", "--where", "country = 'FR'", "--format", "csv"]);
    assert_eq!(filtered.0.lines().count(), 3);
    let whole = people.run(&["show", "staging.people", "--as-of", "2011-06-10", "--limit", "all"]);
    assert_eq!(whole.status.code(), Some(3), "{}", text(&whole.stderr));
}

#[test]
fn a_source_over_its_budget_is_shown_with_a_warning() {
    let people = People::new();
    people.write(
        "data/people2.csv",
        &format!("contact_id,updated_at,email,phone,smokes,income,points,country\n,yesterday,{PLANTED}@x.org,,,,,\n"),
    );
    let (out, err) = people.told(&["show", "sources.people", "--as-of", "2011-06-10", "--format", "csv"]);
    assert_eq!(out.lines().count(), 41);
    assert!(err.contains("sources.people: 1 row ") && err.contains("`run` would refuse it") && !err.contains(PLANTED), "{err}");
    assert_eq!(people.run(&["run", "--as-of", "2011-06-10"]).status.code(), Some(3));
    // Nor is it late for a look.
    let stale = PIPELINE.replace("    reject_budget:", "    freshness: {newest_row_days: 1}\n    min_rows: 100\n    reject_budget:");
    people.write("pipelines/customer_segments.yaml", &stale);
    std::fs::remove_file(people.folder.path().join("data/people2.csv")).unwrap();
    assert_eq!(people.csv(&["show", "sources.people"]).len(), 40);
    assert_ne!(people.run(&["run", "--as-of", "2011-06-10"]).status.code(), Some(0));
}

/// Two customers who became one: whoever stored the old id finds the customer.
#[test]
fn the_rows_of_a_customer_are_found_by_an_id_from_before() {
    let people = People::new();
    let no_day = people.run(&["show", "customers"]);
    assert!(no_day.status.code() == Some(2) && text(&no_day.stderr).contains("nothing is published"), "{}", text(&no_day.stderr));
    people.told(&["run", "--as-of", "2011-06-01"]);
    people.told(&["run", "--as-of", "2011-06-10"]);
    let (rows, notes) = people.told(&["show", "customers", "--customer", "c02", "--format", "csv"]);
    assert_eq!(rows, "customer_id,identifiers\nc01,4\n");
    assert!(notes.contains("as of 2011-06-10, the latest day that is published"), "{notes}");
    let before = people.told(&["show", "customers", "--customer", "c02", "--format", "csv", "--as-of", "2011-06-01"]).0;
    assert_eq!(before, "customer_id,identifiers\nc02,2\n");
    // What was published is there for queries, with its day.
    let days =
        people.told(&["query", "select as_of, count(*) as n from published.customers group by as_of order by as_of", "--format", "csv"]).0;
    assert_eq!(days, "as_of,n\n2011-06-01,40\n2011-06-10,39\n");
    let gone = "select b.customer_id from published.customers b left join customers c on c.customer_id = b.customer_id where b.as_of = date '2011-06-01' and c.customer_id is null";
    assert_eq!(people.csv(&["query", gone]), ["c02"]);
    let masked = people.told(&["show", "published.reachable", "--limit", "all"]).0;
    assert!(masked.contains("***") && !masked.contains(PLANTED), "{masked}");
    let rejected = people.told(&["query", "select count(*) as n from published.rejected", "--format", "csv"]).0;
    assert_eq!(rejected, "n\n0\n");
    let unknown = people.run(&["query", "select * from published.custommers"]);
    assert!(text(&unknown.stderr).contains("did you mean `published.customers`?"), "{}", text(&unknown.stderr));
}

/// What was published stays masked when the models have changed, whatever they call a personal value now.
#[test]
fn published_values_are_masked_when_the_models_have_changed() {
    let people = People::new();
    people.told(&["run", "--as-of", "2011-06-01"]);
    let (path, sql) = MODELS[4];
    assert!(sql.contains("max(latest.last_address) as contact_at"));
    let masked = |when: &str| {
        for question in [&["show", "published.reachable"][..], &["query", "select lower(contact_at) as c from published.reachable"]] {
            let (out, err) = people.told(&[question, &["--limit", "all"]].concat());
            assert!(out.contains("***") && !(out + &err).contains(PLANTED), "{when}: {question:?}");
        }
    };
    masked("as published");
    for now in
        ["'gold' as contact_at", "'gold' as contact_at, max(latest.last_address) as reached_at", "max(latest.last_address) as reached_at"]
    {
        let sql = sql.replace("max(latest.last_address) as contact_at", now);
        people.write(&format!("sql/{path}"), &format!("-- A row.\n{sql}"));
        masked(now);
    }
    let sql = sql.replace("max(latest.last_address) as contact_at", "'gold' as contact_at, max(latest.last_address) as reached_at");
    people.write(&format!("sql/{path}"), &format!("-- A row.\n{sql}"));
    people.told(&["run", "--as-of", "2011-06-10"]);
    masked("on a day after it");
    let gold = ["query", "select distinct contact_at from published.reachable where as_of = date '2011-06-10'", "--format", "csv"];
    assert_eq!(people.told(&gold).0, "contact_at\n***\n", "another day has personal values there");
}

/// What is published says nothing of today's extracts: nobody looks for them.
#[test]
fn a_query_of_published_tables_needs_no_extracts() {
    let people = People::new();
    people.told(&["run", "--as-of", "2011-06-10"]);
    std::fs::remove_dir_all(people.folder.path().join("data")).unwrap();
    let (rows, notes) = people.told(&["query", "select count(*) as n from published.customers", "--format", "csv"]);
    assert_eq!((rows.as_str(), notes.as_str()), ("n\n39\n", ""));
    assert!(people.told(&["show", "published.reachable", "--limit", "all"]).0.contains("***"));
}

/// A sample has whole customers, the same ones in every table, and more of them the larger it is.
#[test]
fn a_sample_is_of_whole_customers() {
    let people = People::new();
    let all = people.csv(&["show", "identity.customers"]);
    let mut before = Vec::new();
    for share in ["20%", "60%", "100%"] {
        let some = people.csv(&["show", "identity.customers", "--sample", share]);
        let id = |row: &String| row.rsplit(',').next().unwrap().to_owned();
        let chosen: std::collections::BTreeSet<String> = some.iter().map(id).collect();
        let whole: Vec<String> = all.iter().filter(|row| chosen.contains(&id(row))).cloned().collect();
        assert_eq!(some, whole, "{share}");
        let customers = people.csv(&["show", "customers", "--sample", share]);
        assert_eq!(
            customers.iter().map(|row| row.split(',').next().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>(),
            chosen
        );
        assert!(before.iter().all(|row| some.contains(row)), "a larger sample has all of a smaller one");
        before = some;
    }
    assert_eq!(before, all);
    let (_, note) = people.told(&["show", "staging.people", "--sample", "5%", "--as-of", "2011-06-10"]);
    assert!(note.contains("comes before the identity step, and is not sampled"), "{note}");
    let tiny = Tiny::new();
    let output = tiny.segmill(&["show", "customers", "pipelines/tiny.yaml", "--as-of", "2026-10-05", "--sample", "5%"]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("no identity step"), "{}", text(&output.stderr));
}

#[test]
fn queries_only_read_and_come_from_files_and_standard_input_too() {
    let people = People::new();
    people.write("count.sql", "select count(*) as n from sources.people where updated_at < $as_of\n");
    assert_eq!(people.csv(&["query", "count.sql"]), ["40"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_segmill"))
        .args(["query", "-", "--as-of", "2011-06-10", "--format", "csv"])
        .current_dir(people.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"select max(contact_id) as last from sources.people").unwrap();
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "last\nc39\n");
    for (query, code) in [
        ("drop table customers", "not-a-query"),
        ("create table x as select 1", "not-a-query"),
        ("copy customers to 'x.csv'", "not-a-query"),
        ("select 1; select 2", "not-a-query"),
        ("select * from 'data/people.csv'", "unknown-table"),
        ("select * from sources.peoples", "unknown-table"),
        ("select random() as r from sources.people", "unrepeatable"),
        ("select $nothing as n", "unknown-parameter"),
    ] {
        let output = people.run(&["query", query, "--as-of", "2011-06-10"]);
        assert!(output.status.code() == Some(2) && text(&output.stderr).contains(code), "{query}: {}", text(&output.stderr));
    }
    assert!(!Path::new("x.csv").exists());
}

#[test]
fn the_columns_are_told_without_data() {
    let people = People::new();
    std::fs::remove_dir_all(people.folder.path().join("data")).unwrap();
    let (out, _) = people.told(&["show", "sources.people", "--schema", "--format", "csv"]);
    assert!(out.contains("contact_id,string,no,What the shop calls them\n") && out.contains("email,string,yes,\n"), "{out}");
    assert!(out.contains("\"decimal(12,3)\",no"), "{out}");
    let (out, _) = people.told(&["show", "identity.customers", "--schema", "--format", "csv"]);
    assert!(out.contains("identifier,string,by identifier_type,\n"), "{out}");
    let (out, _) = people.told(&["show", "features.reachable", "--schema", "--format", "json"]);
    assert!(out.contains(r#""column": "contact_at", "type": "string", "personal": "yes""#), "{out}");
}

/// A model that is wrong does not keep another one from being looked at.
#[test]
fn a_look_needs_only_what_it_shows() {
    let people = People::new();
    people.write("sql/features/broken.sql", "selec nonsense\n");
    people.write("sql/features/wrong.sql", "select nothing from sources.nowhere\n");
    std::fs::remove_file(people.folder.path().join("data/links.csv")).unwrap();
    assert_eq!(people.csv(&["show", "staging.latest"]).len(), 40);
    let output = people.run(&["show", "features.wrong", "--as-of", "2011-06-10"]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("sources.nowhere"), "{}", text(&output.stderr));
    assert_ne!(people.run(&["show", "customers", "--as-of", "2011-06-10"]).status.code(), Some(0), "the links are missing");
    let parquet: PathBuf = people.folder.path().join("latest.parquet");
    people.told(&["show", "latest", "--as-of", "2011-06-10", "--format", "parquet", "--output", parquet.to_str().unwrap()]);
    assert_eq!(rows_of_parquet(&[parquet], "select count(*), min(last_address) from t"), [["40", "***"]]);
}
