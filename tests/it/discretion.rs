use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::marks::{files_under, holds};
use crate::support::rows_of_parquet;

/// What no person, program or log may read, wherever a personal value stands in its way through a run.
const PLANTED: &str = "planted7731";
const HEADER: &str = "contact_id,updated_at,email,phone,joined";

/// A project that a failure is provoked in.
struct Project {
    rows: String,
    format: &'static str,
    columns: String,
    more: &'static str,
    customers: &'static str,
    sort: &'static str,
    rule: &'static str,
}

impl Default for Project {
    fn default() -> Self {
        Project {
            rows: format!("{HEADER}\n{}\n", row("c1", "2011-05-01")),
            format: "csv",
            columns: "email: {type: string, personal: true}\n      phone: {type: string, personal: true}\n      joined: {type: date}"
                .to_owned(),
            more: "",
            customers: "select contact_id as customer_id, email, phone, joined from sources.people",
            sort: "customer_id",
            rule: "joined > '2000-01-01'",
        }
    }
}

fn row(id: &str, joined: &str) -> String {
    format!("{id},2011-05-01T10:00:00Z,{PLANTED}@example.com,{PLANTED},{joined}")
}

impl Project {
    fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = format!(
            "version: 1\nname: people\n{more}sources:\n  people:\n    location: people.{format}\n    event_time: updated_at\n    \
             reject_budget: {{share: 0, rows: 0}}\n    columns:\n      contact_id: {{type: string, required: true}}\n      \
             updated_at: {{type: timestamp, required: true}}\n      {columns}\n\
             segments:\n  all:\n    kind: overlapping\n    segments:\n      - {{name: some, when: \"{rule}\", description: d, action: a, channel: none}}\n\
             outputs:\n  destination: out\n  tables:\n    customers: {{model: customers, sort: [{sort}], personal: [email, phone]}}\n    \
             segment_membership: {{model: segment_membership, sort: [segment_set, segment, customer_id]}}\n",
            more = self.more,
            format = self.format,
            columns = self.columns,
            rule = self.rule,
            sort = self.sort,
        );
        let write = |path: &str, text: &[u8]| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("pipelines/customer_segments.yaml", pipeline.as_bytes());
        write("sql/customers.sql", self.customers.as_bytes());
        // A byte that is no UTF-8 cannot stand in a Rust text.
        let rows: Vec<u8> = self.rows.bytes().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
        write(&format!("people.{}", self.format), &rows);
        folder
    }
}

/// Everything that a run says and leaves, as one text.
fn said_and_left(folder: &Path, format: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_segmill"))
        .args(["run", "--as-of", "2011-06-01", "--format", format, "--record", "record.json"])
        .current_dir(folder)
        .env("SEGMILL_LOG", "trace")
        .output()
        .unwrap();
    let mut all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for file in files_under(&folder.join("out")).into_iter().chain([folder.join("record.json")]) {
        // The output is for those who may read it; what a run keeps of failures, and says, is for everybody.
        if file.ends_with("customers.parquet") {
            continue;
        }
        let Ok(bytes) = std::fs::read(&file) else { continue };
        all.push_str(&String::from_utf8_lossy(&bytes));
        if file.extension().is_some_and(|ending| ending == "parquet") {
            writeln!(all, "{:?}", rows_of_parquet(&[file], "select * from t")).unwrap();
        }
    }
    (output.status.code(), all)
}

fn failures() -> Vec<(&'static str, i32, Project)> {
    let csv = |lines: &[String]| format!("{HEADER}\n{}\n", lines.join("\n"));
    let good = row("c1", "2011-05-01");
    let with_rows = |lines: &[String]| Project { rows: csv(lines), ..Project::default() };
    let ndjson = |line: String| Project { rows: line, format: "ndjson", ..Project::default() };
    let contract = |email: &str| Project {
        columns: format!(
            "email: {{type: string, personal: true, {email}}}\n      phone: {{type: string, personal: true}}\n      joined: {{type: date}}"
        ),
        ..Project::default()
    };
    let typed = |phone: &str| Project {
        columns: format!(
            "email: {{type: string, personal: true}}\n      phone: {{type: {phone}, personal: true}}\n      joined: {{type: date}}"
        ),
        ..Project::default()
    };
    let model = |customers| Project { customers, ..Project::default() };
    let of_email = |value: &str, expression: &'static str| {
        let email = value.replace("{}", PLANTED).replace('"', "\"\"");
        Project {
            rows: format!("{HEADER}\nc1,2011-05-01T10:00:00Z,\"{email}\",{PLANTED},2011-05-01\n"),
            customers: Box::leak(
                format!("select contact_id as customer_id, {expression} as email, phone, joined from sources.people").into_boxed_str(),
            ),
            ..Project::default()
        }
    };
    let twice = [good.clone(), row("c2", "2011-05-01")];
    vec![
        ("a date that is none", 3, with_rows(&[row("c1", "2011-02-30")])),
        ("too few fields", 3, with_rows(&[format!("c1,2011-05-01T10:00:00Z,{PLANTED}")])),
        ("too many fields", 3, with_rows(&[format!("{good},{PLANTED}")])),
        ("a quote that is not closed", 3, with_rows(&[format!("c1,2011-05-01T10:00:00Z,\"{PLANTED},1,2011-05-01")])),
        ("bytes that are no text", 3, with_rows(&[good.replace("c1", "c\u{1}")])),
        ("no header", 3, Project { rows: format!("{good}\n{good}\n"), ..Project::default() }),
        ("a line that is no JSON", 3, ndjson(format!("{{\"contact_id\":\"c1\",\"email\":\"{PLANTED}\"\n"))),
        ("a line that is no object", 3, ndjson(format!("[\"{PLANTED}\"]\n"))),
        ("a nested value", 3, ndjson(format!("{{\"contact_id\":\"c1\",\"email\":{{\"a\":\"{PLANTED}\"}}}}\n"))),
        (
            "a number where text should be a date",
            3,
            ndjson(format!("{{\"contact_id\":\"c1\",\"updated_at\":5,\"email\":\"{PLANTED}\"}}\n")),
        ),
        ("a value that is not accepted", 3, contract("accepted: [a@example.com]")),
        ("a value that does not match", 3, contract("pattern: '[0-9]+'")),
        ("a value of another type", 3, typed("integer")),
        ("a missing identifier beside a personal value", 3, with_rows(&[good.replace("c1", "")])),
        (
            "a cast that fails in a model",
            3,
            model("select contact_id as customer_id, cast(email as bigint) as email, phone, joined from sources.people"),
        ),
        (
            "a date that fails in a model",
            3,
            model("select contact_id as customer_id, email, phone, cast(phone as date) as joined from sources.people"),
        ),
        ("an apostrophe within a value", 3, of_email("o'hara {}", "cast(email as bigint)")),
        ("quotes of every kind around a value", 3, of_email("'' ` {} \u{2019}'", "cast(email as bigint)")),
        ("a sentence of the engine's own within a value", 3, of_email("x' to value of Int64 type {}", "cast(email as date)")),
        ("a value that is no double", 3, of_email("1e5 {}", "cast(email as double)")),
        ("a value that is no decimal", 3, of_email("7731.{}", "cast(email as decimal(5,2))")),
        ("a value that is no timestamp", 3, of_email("2011-05-01T{}", "to_timestamp(email)")),
        ("a value that is no truth", 3, of_email("{}", "cast(email as boolean)")),
        ("a value that is no interval", 3, of_email("1 {}", "cast(email as interval)")),
        ("a value of a type that the engine names", 3, of_email("{}", "arrow_cast(email, 'Int8')")),
        ("a regular expression that is none", 3, of_email("({}", "regexp_like(contact_id, email)")),
        ("a regular expression that is too large", 3, of_email("(({}){1000}){1000}", "regexp_replace(contact_id, email, 'x')")),
        ("a number of the data that is too large", 3, of_email("{}", "cast(length(email) as decimal(2,1)) * 9")),
        ("a division by what the data has", 3, of_email("{}", "1 / (length(email) - length(email))")),
        (
            "a join that fans out",
            3,
            model(
                "select p.contact_id as customer_id, p.email, p.phone, p.joined from sources.people as p cross join (values (1), (2)) as t(n)",
            ),
        ),
        ("a bad value in a column that is nobody's", 3, with_rows(&[format!("c1,2011-05-01T10:00:00Z,a@example.com,1,{PLANTED}")])),
        (
            "a header that names a column twice",
            3,
            Project { rows: format!("contact_id,updated_at,{PLANTED},{PLANTED}\n{good}\n"), ..Project::default() },
        ),
        ("a rule that fails on a value", 3, Project { rule: "cast(email as bigint) > 1", ..Project::default() }),
        ("two rows of one key", 3, Project { rows: csv(&twice), sort: "email", ..Project::default() }),
        (
            "two rows of one customer",
            3,
            Project { rows: csv(&[good.clone(), good.replace("2011-05-01T", "2011-05-02T")]), ..Project::default() },
        ),
        ("a customer who is nobody", 3, model("select cast(null as varchar) as customer_id, email, phone, joined from sources.people")),
        (
            "a profile beyond its domain",
            3,
            Project { more: "profile: {columns: {email: {accepted: [a@example.com]}}}\n", ..Project::default() },
        ),
        (
            "every kind of failed check",
            3,
            Project {
                rows: csv(&twice),
                more: "checks:\n  - {name: a, unique: {table: customers, columns: [phone]}}\n  \
                       - {name: b, accepted: {table: customers, column: email, values: [x]}}\n  \
                       - {name: c, sql: 'select customer_id, concat(phone, email) as both, phone from customers'}\n  \
                       - {name: d, not_null: {table: customers, columns: [email]}}\n  - {name: e, rows: {table: customers, min: 9}}\n",
                ..Project::default()
            },
        ),
        (
            "a check that fails on a value",
            3,
            Project { more: "checks:\n  - {name: a, sql: 'select cast(email as bigint) as e from customers'}\n", ..Project::default() },
        ),
        (
            "a condition that always holds and fails on a value",
            3,
            Project { more: "profile: {always: ['cast(email as bigint) > 1']}\n", ..Project::default() },
        ),
        ("nothing", 0, Project::default()),
    ]
}

#[test]
fn personal_values_are_in_nothing_that_a_failure_says_or_leaves() {
    let mut wrong = Vec::new();
    for (kind, expected, project) in failures() {
        for format in ["human", "json"] {
            let folder = project.write();
            let (status, all) = said_and_left(folder.path(), format);
            if status != Some(expected) {
                wrong
                    .push(format!("{kind}: exit {status:?} instead of {expected}\n{}", all.lines().take(6).collect::<Vec<_>>().join("\n")));
            }
            let leaks: Vec<&str> = all.lines().filter(|line| holds(line, PLANTED).is_some()).collect();
            if !leaks.is_empty() {
                let shown: Vec<String> = leaks.iter().map(|line| line.chars().take(200).collect()).collect();
                wrong.push(format!("{kind} ({format}): {shown:#?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Without the value, a failure says where it happened: the kind, the place and the column.
#[test]
fn a_failure_on_data_names_its_kind_place_and_column() {
    for (project, parts) in [
        (
            Project {
                customers: "select contact_id as customer_id, cast(email as bigint) as email, phone, joined from sources.people",
                ..Project::default()
            },
            ["`customers` failed on this data: a value is no whole number", "at sql/customers.sql:1:40: `cast(… as bigint)`, of `email`"],
        ),
        (
            Project {
                customers: "select contact_id as customer_id, email, phone, case when regexp_like(contact_id, '(' || phone) then joined end as joined from sources.people",
                ..Project::default()
            },
            ["`customers` failed on this data: a regular expression is none", "`regexp_like(…)`, of `contact_id` and `phone`"],
        ),
        (
            Project { rule: "cast(email as bigint) > 1", ..Project::default() },
            [
                "the rule of the segment `some` in the set `all` failed: a value is no whole number",
                "at pipelines/customer_segments.yaml:18:28, of `email`",
            ],
        ),
        (
            Project { more: "profile: {always: ['cast(phone as date) > $as_of']}\n", ..Project::default() },
            ["failed: a value is no date", "at pipelines/customer_segments.yaml:3:20, of `phone`"],
        ),
        (
            Project {
                more: "checks:\n  - {name: a, sql: 'select 1 / length(substr(email, 1, 0)) as e from customers'}\n",
                ..Project::default()
            },
            ["the check `a` did not run: a division by zero", "at check `a`:1:8: `… / …`, of `email`"],
        ),
    ] {
        let folder = project.write();
        let (status, all) = said_and_left(folder.path(), "human");
        assert_eq!(status, Some(3), "{all}");
        for part in parts {
            assert!(all.contains(part), "{part} is missing from\n{}", all.lines().take(12).collect::<Vec<_>>().join("\n"));
        }
    }
}
