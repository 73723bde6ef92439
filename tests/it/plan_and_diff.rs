use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{number_of, rows_of_parquet};
use crate::tiny::Tiny;

const PIPELINE: &str = "\
version: 1
name: people
parameters:
  many: {type: integer, default: '3', description: Orders that make somebody a regular}
sources:
  orders:
    location: extracts/orders.csv
    event_time: ordered_at
    columns:
      customer_id: {type: string, required: true}
      ordered_at: {type: timestamp, required: true}
      amount: {type: 'decimal(12,2)', required: true}
  ties:
    location: extracts/ties.csv
    event_time: seen_at
    columns: {identifier_type: string, identifier: string, customer_id: string, seen_at: {type: timestamp, required: true}}
identity:
  types:
    customer: {standalone: true}
    email: {personal: true}
profile:
  revenue: spent
segments:
  value:
    kind: exclusive
    segments:
      - {name: regulars, when: orders >= $many and days <= 3, stay: orders >= $many and days <= 4, description: d, action: a, channel: email}
      - {name: recent, when: days <= 2, minimum_stay_days: 2, description: d, action: a, channel: email}
      - {name: quiet, when: days > 4, cooldown_days: 2, description: d, action: a, channel: email}
      - {name: others, when: 'true', description: d, action: a, channel: email}
  audiences:
    kind: overlapping
    permissions: {email: may_write}
    segments:
      - {name: big, when: spent >= 40 and orders > 1, description: d, action: a, channel: email}
      - {name: active, when: days <= 2, stay: days <= 3, description: d, action: a, channel: email}
      - {name: often, when: orders >= 3, description: d, action: a, channel: email}
outputs:
  destination: out
  tables:
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
    segment_changes: {model: segment_changes, sort: [segment_set, customer_id, change, from_segment, to_segment]}
    customers: {model: customers, sort: [customer_id]}
    identity_aliases: {model: identity.aliases, sort: [alias_id]}
";

const EDGES: &str = "-- Who orders, and who is tied to whom.
select 'customer' as identifier_type, customer_id as identifier, cast(null as varchar) as other_type, cast(null as varchar) as other,
    'order' as source, ordered_at as first_seen_at, ordered_at as last_seen_at, cast(null as timestamptz) as ended_at
from staging.orders
union all
select identifier_type, identifier, 'customer' as other_type, customer_id as other,
    'crm' as source, seen_at as first_seen_at, seen_at as last_seen_at, cast(null as timestamptz) as ended_at
from staging.ties
";

const CUSTOMERS: &str = "-- A customer.
select
    i.customer_id,
    count(*) as orders,
    cast(sum(o.amount) as decimal(14, 2)) as spent,
    cast($as_of as date) - cast(max(o.ordered_at) as date) as days,
    count(*) % 5 <> 4 as may_write
from identity.customers as i
join staging.orders as o on i.identifier_type = 'customer' and o.customer_id = i.identifier
group by i.customer_id
";

/// The days that are published, with days between them that are not.
const DAYS: [&str; 4] = ["2026-10-03", "2026-10-04", "2026-10-06", "2026-10-09"];

/// A generator of numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A project with a random history of orders, in which some customers turn out to be one person.
fn people(seed: u64) -> Tiny {
    let (mut random, project) = (Random(seed), Tiny { folder: tempfile::tempdir().unwrap() });
    let mut orders = "customer_id,ordered_at,amount\n".to_owned();
    for customer in 0..60 {
        for _ in 0..=random.below(4) {
            let (day, hour, cents) = (1 + random.below(8), random.below(24), 100 + random.below(4000));
            orders += &format!("c{customer:02},2026-10-{day:02}T{hour:02}:00:00Z,{}.{:02}\n", cents / 100, cents % 100);
        }
    }
    let mut ties = "identifier_type,identifier,customer_id,seen_at\n".to_owned();
    for tie in 0..12 {
        let (one, other, day) = (random.below(60), random.below(60), 1 + random.below(8));
        for customer in [one, other] {
            ties += &format!("email,t{tie}@mail.example,c{customer:02},2026-10-{day:02}T12:00:00Z\n");
        }
    }
    for (path, text) in [
        ("pipelines/people.yaml", PIPELINE),
        ("sql/staging/orders.sql", "-- As it comes.\nselect * from sources.orders\n"),
        ("sql/staging/ties.sql", "-- As it comes.\nselect * from sources.ties\n"),
        ("sql/identity/edges.sql", EDGES),
        ("sql/identity/customers.sql", "-- Who is who.\nselect * from resolved.customers\n"),
        ("sql/identity/aliases.sql", "-- Ids that ended.\nselect * from resolved.aliases\n"),
        ("sql/customers.sql", CUSTOMERS),
        ("extracts/orders.csv", &orders),
        ("extracts/ties.csv", &ties),
    ] {
        project.write(path, text);
    }
    project
}

/// Runs a command whose result is JSON, and expects an exit code.
fn ask(project: &Tiny, arguments: &[&str], exit_code: i32) -> Value {
    let output = project.segmill(&[arguments, &["--format", "json"]].concat());
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit_code), "{arguments:?}: {told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn run(project: &Tiny, day: &str) -> Value {
    ask(project, &["run", "pipelines/people.yaml", "--as-of", day], 0)
}

fn plan(project: &Tiny, day: &str) -> Value {
    ask(project, &["plan", "pipelines/people.yaml", "--as-of", day], 0)
}

/// A row of a published table or a file of customers.
type Row = Vec<String>;

fn published(project: &Tiny, table: &str, day: &str, sql: &str) -> Vec<Row> {
    rows_of_parquet(&[project.folder.path().join(format!("out/{table}/as_of={day}/{table}.parquet"))], sql)
}

/// Who is in which segment of which set.
fn members(project: &Tiny, day: &str) -> BTreeSet<Row> {
    published(project, "segment_membership", day, "select customer_id, segment_set, segment from t").into_iter().collect()
}

/// The columns of rows of changes that a comparison tells.
const CHANGES: &str =
    "select customer_id, segment_set, change, from_segment, to_segment, merged_into, cause, identity_event, adds_member from t";

/// Compares two days; the document, and the rows of customers.
fn diff(project: &Tiny, from: &str, to: &str) -> (Value, Vec<Row>) {
    let file = project.folder.path().join("moved.parquet");
    let arguments = ["diff", from, to, "--pipeline", "pipelines/people.yaml", "--customers", file.to_str().unwrap()];
    let told = ask(project, &arguments, 0);
    (told, rows_of_parquet(&[file], CHANGES))
}

/// The memberships after some changes.
fn after(start: &BTreeSet<Row>, changes: &[Row]) -> BTreeSet<Row> {
    let mut now = start.clone();
    for row in changes.iter().filter(|row| !row[3].is_empty()) {
        assert!(now.remove(&vec![row[0].clone(), row[1].clone(), row[3].clone()]), "{row:?} was not there");
    }
    for row in changes.iter().filter(|row| !row[4].is_empty()) {
        let id = if row[5].is_empty() { &row[0] } else { &row[5] };
        let is_new = now.insert(vec![id.clone(), row[1].clone(), row[4].clone()]);
        assert_eq!(is_new.to_string(), row[8], "{row:?} says whether it adds a member");
    }
    now
}

/// Who an id was later, as the changes tell it.
fn heirs(changes: &[Row]) -> BTreeMap<String, String> {
    changes.iter().filter(|row| !row[5].is_empty()).map(|row| (row[0].clone(), row[5].clone())).collect()
}

/// In which segments of a set each person is.
fn by_person(members: &BTreeSet<Row>) -> BTreeMap<(&str, &str), BTreeSet<&str>> {
    let mut found: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for row in members {
        found.entry((&row[0], &row[1])).or_default().insert(&row[2]);
    }
    found
}

#[test]
fn a_comparison_is_the_comparisons_of_the_days_between_one_after_the_other_customer_by_customer() {
    let (mut merges, mut moves) = (0, 0);
    for seed in 0..number_of("SEGMILL_HISTORIES", 2) {
        let project = people(seed);
        let mut changes = Vec::new();
        for day in DAYS {
            run(&project, day);
            changes.push(published(&project, "segment_changes", day, CHANGES));
        }
        let all: Vec<BTreeSet<Row>> = DAYS.iter().map(|day| members(&project, day)).collect();
        let mut found = BTreeMap::new();
        for to in 1..DAYS.len() {
            for from in 0..to {
                let (told, rows) = diff(&project, DAYS[from], DAYS[to]);
                assert_eq!(after(&all[from], &rows), all[to], "from {} to {}", DAYS[from], DAYS[to]);
                adds_up(&told, &rows, (&all[from], &all[to]));
                found.insert((from, to), rows);
            }
            // Of neighbours it tells what the later of them published.
            let sorted = |rows: &[Row]| rows.iter().cloned().collect::<BTreeSet<_>>();
            assert_eq!(sorted(&found[&(to - 1, to)]), sorted(&changes[to]));
        }
        for (from, between, to) in [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)] {
            let (first, then, whole) = (&found[&(from, between)], &found[&(between, to)], &found[&(from, to)]);
            assert_eq!(after(&after(&all[from], first), then), after(&all[from], whole));
            let (first_heirs, then_heirs, whole_heirs) = (heirs(first), heirs(then), heirs(whole));
            for id in all[from].iter().map(|row| &row[0]) {
                let between = first_heirs.get(id).unwrap_or(id);
                assert_eq!(then_heirs.get(between).unwrap_or(between), whole_heirs.get(id).unwrap_or(id), "who {id} was");
            }
            // Who has not changed from the first day to the last is not told, whatever happened between.
            let (start, end) = (by_person(&all[from]), by_person(&all[to]));
            for row in whole.iter().filter(|row| row[5].is_empty() && row[7].is_empty()) {
                let key = (row[0].as_str(), row[1].as_str());
                assert_ne!(start.get(&key), end.get(&key), "{row:?}");
                moves += 1;
            }
            merges += whole_heirs.len();
        }
    }
    assert!(merges > 5 && moves > 50, "{merges} merges and {moves} moves try too little");
}

/// A comparison's counts are those of its rows, its sizes those of the memberships, and its causes add up to the movement.
fn adds_up(told: &Value, rows: &[Row], (before, after): (&BTreeSet<Row>, &BTreeSet<Row>)) {
    for set in told["segment_sets"].as_array().unwrap() {
        let of_set = |row: &&Row| set["segment_set"] == row[1].as_str();
        let kinds = ["entered", "left", "moved", "merged"];
        let counts = kinds.map(|kind| rows.iter().filter(of_set).filter(|row| row[2] == kind).count() as u64);
        assert_eq!(kinds.map(|kind| set[kind].as_u64().unwrap()), counts);
        let causes: u64 = set["causes"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(causes, counts[..3].iter().sum::<u64>());
        for segment in set["segments"].as_array().unwrap() {
            let size =
                |members: &BTreeSet<Row>| members.iter().filter(of_set).filter(|row| segment["segment"] == row[2].as_str()).count() as u64;
            let number = |key: &str| segment[key].as_u64().unwrap();
            assert_eq!((number("before"), number("after")), (size(before), size(after)), "{segment}");
            assert_eq!(number("before") + number("gained") - number("lost"), number("after"), "{segment}");
        }
    }
}

#[test]
fn days_are_compared_in_their_order_and_what_is_no_day_is_refused() {
    let project = people(7);
    for day in &DAYS[..3] {
        run(&project, day);
    }
    let (told, _) = diff(&project, DAYS[2], DAYS[0]);
    assert_eq!((&told["from"]["as_of"], &told["to"]["as_of"]), (&DAYS[0].into(), &DAYS[2].into()));
    assert_eq!(told["revenue_column"], "spent");
    let file = ["--pipeline", "pipelines/people.yaml"];
    let refused = |days: &[&str], code: &str| {
        let told = ask(&project, &[&["diff"], days, &file[..]].concat(), 2);
        assert_eq!(told["problems"][0]["code"], code, "{told}");
    };
    refused(&[DAYS[0], "2026-10-05"], "not-published");
    refused(&[DAYS[0], DAYS[0]], "same-day");
    refused(&[DAYS[0], DAYS[1], "--set", "worth"], "unknown-segment");
    refused(&[DAYS[0], DAYS[1], "--customers", "moved.txt"], "unknown-form");
    let commit = "out/commits/00000002.json";
    let text = project.read(commit);
    let mut older: Value = serde_json::from_str(&text).unwrap();
    older.as_object_mut().unwrap().remove("segment_sets");
    project.write(commit, &older.to_string());
    refused(&[DAYS[0], DAYS[1]], "not-comparable");
    project.write(commit, &text);
    let only = ask(&project, &[&["diff", DAYS[0], DAYS[2], "--set", "value"], &file[..]].concat(), 0);
    assert_eq!(only["segment_sets"].as_array().unwrap().len(), 1);
    let csv = project.folder.path().join("moved.csv");
    ask(&project, &[&["diff", DAYS[0], DAYS[2], "--customers", csv.to_str().unwrap()], &file[..]].concat(), 0);
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(text.starts_with("customer_id,segment_set,change,") && text.lines().next().unwrap().ends_with(",revenue"), "{text}");
    // People see the same.
    let output = project.segmill(&[&["diff", DAYS[0], DAYS[2]], &file[..]].concat());
    let human = String::from_utf8(output.stdout).unwrap();
    assert!(human.starts_with("people: 2026-10-03 (number 1) → 2026-10-06 (number 3)\n"), "{human}");
    assert!(human.contains("revenue moved"), "{human}");
    // A day that is published anew is not what the later ones are built on.
    let rules = PIPELINE.replace("when: days <= 2, minimum", "when: days < 0, minimum");
    project.write("pipelines/people.yaml", &rules);
    run(&project, DAYS[0]);
    let (told, rows) = diff(&project, DAYS[0], DAYS[2]);
    assert_eq!(told["causes_known"], false, "{told}");
    assert!(rows.iter().all(|row| row[6] == if row[7].is_empty() { "undetermined" } else { "identity" }));
    assert_eq!(after(&members(&project, DAYS[0]), &rows), members(&project, DAYS[2]));
}

#[test]
fn the_cause_of_a_comparison_is_the_first_of_those_of_the_days_between() {
    let project = people(11);
    run(&project, DAYS[0]);
    let edited = PIPELINE.replace("spent >= 40 and orders > 1", "spent >= 10 and orders > 0");
    project.write("pipelines/people.yaml", &edited);
    run(&project, DAYS[1]);
    run(&project, DAYS[2]);
    let steps: Vec<Row> = DAYS[1..3].iter().flat_map(|day| published(&project, "segment_changes", day, CHANGES)).collect();
    let (_, rows) = diff(&project, DAYS[0], DAYS[2]);
    let mut of_edit = 0;
    for row in &rows {
        let person = |row: &Row| if row[5].is_empty() { row[0].clone() } else { row[5].clone() };
        let is_of_place = |step: &&Row| {
            let is_segment = |at: usize| !step[at].is_empty() && (step[at] == row[3] || step[at] == row[4]);
            step[1] == row[1] && (row[1] == "value" || is_segment(3) || is_segment(4))
        };
        let causes: BTreeSet<&str> =
            steps.iter().filter(is_of_place).filter(|step| person(step) == person(row)).map(|step| step[6].as_str()).collect();
        let order = ["identity", "undetermined", "", "definition", "consent", "data", "time"];
        let first =
            order.into_iter().find(|cause| causes.contains(cause)).map(|cause| if cause.is_empty() { "undetermined" } else { cause });
        let expected = if row[7].is_empty() { first.unwrap() } else { "identity" };
        assert_eq!(row[6], expected, "{row:?} of {causes:?}");
        of_edit += usize::from(expected == "definition");
    }
    assert!(of_edit > 3, "{of_edit} changes because of the edit");
}

/// Every file below a folder, with its digest.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.insert(path.display().to_string(), format!("{:x}", Sha256::digest(std::fs::read(&path).unwrap())));
            }
        }
    }
    found
}

#[test]
fn what_is_planned_is_what_a_run_publishes_and_a_plan_writes_nothing_there() {
    let project = people(3);
    let out = project.folder.path().join("out");
    let told = plan(&project, DAYS[0]);
    assert_eq!((&told["status"], &told["compared_with"], &told["comparison"]), (&"planned".into(), &Value::Null, &Value::Null));
    assert!(!out.exists(), "a plan creates nothing");
    for (at, day) in DAYS.iter().take(3).enumerate() {
        if at == 2 {
            project.write("pipelines/people.yaml", &PIPELINE.replace("spent >= 40 and orders > 1", "spent >= 10 and orders > 0"));
        }
        let before = files(&out);
        let planned = plan(&project, day);
        assert_eq!(files(&out), before, "a plan writes nothing");
        let published = run(&project, day);
        assert_eq!(planned["segments"], published["segments"]);
        assert_eq!(planned["customers"], published["customers"]);
        let digests = |told: &Value, of: &dyn Fn(&Value) -> Value| -> BTreeMap<String, Value> {
            let tables = told["outputs"].as_array().unwrap();
            tables.iter().map(|table| (table["table"].to_string(), of(table))).collect()
        };
        let in_plan = digests(&planned, &|table| table["sha256"][0].clone());
        assert_eq!(in_plan, digests(&published, &|table| table["files"][0]["sha256"].clone()));
        if at > 0 {
            assert_eq!(planned["compared_with"]["as_of"], DAYS[at - 1]);
            // What has moved is told alike by the plan, the run and a comparison afterwards.
            let (told, _) = diff(&project, DAYS[at - 1], day);
            for (set, of_plan) in
                told["segment_sets"].as_array().unwrap().iter().zip(planned["comparison"]["segment_sets"].as_array().unwrap())
            {
                for key in ["segment_set", "segments", "entered", "left", "moved", "merged", "causes", "revenue_moved", "flows"] {
                    assert_eq!(set[key], of_plan[key], "{key}");
                }
                let sets = published["movement"]["segment_sets"].as_array().unwrap();
                if let Some(of_run) = sets.iter().find(|of| of["segment_set"] == set["segment_set"]) {
                    assert_eq!((&of_run["causes"], &of_run["revenue_moved"]), (&set["causes"], &set["revenue_moved"]));
                }
            }
            let project_changes = planned["project_changes"]["rules"].as_array().unwrap();
            assert_eq!(project_changes.len(), usize::from(at == 2), "{project_changes:?}");
        }
        let again = plan(&project, day);
        assert_eq!((&again["status"], &again["compared_with"]["is_own"]), (&"unchanged".into(), &true.into()));
    }
    // Against the publication of the day itself, an edit is the only cause.
    project.write("pipelines/people.yaml", &PIPELINE.replace("days <= 2, minimum_stay_days: 2", "days <= 1, minimum_stay_days: 1"));
    let told = plan(&project, DAYS[2]);
    let sets = told["comparison"]["segment_sets"].as_array().unwrap();
    let causes: BTreeSet<&String> = sets.iter().flat_map(|set| set["causes"].as_object().unwrap().keys()).collect();
    assert_eq!(causes.into_iter().collect::<Vec<_>>(), ["definition"], "{sets:?}");
    let orders = project.read("extracts/orders.csv");
    project.write("pipelines/people.yaml", &PIPELINE.replace("spent >= 40 and orders > 1", "spent >= 10 and orders > 0"));
    project.write("extracts/orders.csv", &format!("{orders}c01,2026-10-02T01:00:00Z,99.00\nc02,2026-10-02T01:00:00Z,99.00\n"));
    let told = plan(&project, DAYS[2]);
    let sets = told["comparison"]["segment_sets"].as_array().unwrap();
    let causes: BTreeSet<&String> = sets.iter().flat_map(|set| set["causes"].as_object().unwrap().keys()).collect();
    assert_eq!(causes.into_iter().collect::<Vec<_>>(), ["data", "identity"], "one more order, and one new customer");
}

#[test]
fn a_run_tells_the_movement_in_three_lines_that_its_document_has_as_well() {
    let project = people(3);
    let first = project.segmill(&["run", "pipelines/people.yaml", "--as-of", DAYS[0]]);
    assert!(!String::from_utf8_lossy(&first.stderr).contains("\nSince "), "there was nothing before");
    let second = project.segmill(&["run", "pipelines/people.yaml", "--as-of", DAYS[1]]);
    let told = String::from_utf8(second.stderr).unwrap();
    let (_, movement) = told.split_once(&format!("\nSince {}\n", DAYS[0])).expect(&told);
    let lines: Vec<&str> = movement.lines().take_while(|line| line.starts_with("  ")).collect();
    let [changes, mostly, revenue] = lines[..] else { panic!("three lines: {told}") };
    assert!(changes.starts_with("  changes ") && mostly.starts_with("  mostly ") && revenue.starts_with("  revenue "), "{movement}");
    assert!(mostly.contains(" → ") || mostly.contains(": into "), "{mostly}");
    // By kind, as many as the document and the table of changes have.
    let document = ask(&project, &["run", "pipelines/people.yaml", "--as-of", DAYS[1], "--force"], 0);
    let sets = document["movement"]["segment_sets"].as_array().unwrap();
    for kind in ["entered", "left", "moved"] {
        let count: u64 = sets.iter().map(|set| set[kind].as_u64().unwrap()).sum();
        let published = published(&project, "segment_changes", DAYS[1], &format!("select customer_id from t where change = '{kind}'"));
        assert_eq!(count, published.len() as u64, "{kind}");
        assert!(count == 0 || changes.contains(&format!("{count} {kind} (")), "{kind}: {changes}");
    }
}

/// In which segments of each set, or whether in each segment of an overlapping one, every customer of some memberships is.
fn outcomes(members: &BTreeSet<Row>) -> BTreeMap<Row, BTreeSet<String>> {
    let mut found: BTreeMap<Row, BTreeSet<String>> = BTreeMap::new();
    for row in members {
        let [id, set, segment] = [0, 1, 2].map(|at| row[at].clone());
        let place = if set == "value" { vec![set, id] } else { vec![set, id, segment.clone()] };
        found.entry(place).or_default().insert(segment);
    }
    found
}

#[test]
fn against_the_publication_of_the_day_an_edit_and_new_rows_are_told_apart_customer_by_customer() {
    let edited = PIPELINE.replace("default: '3'", "default: '2'").replace("spent >= 40 and orders > 1", "spent >= 30 and orders > 0");
    let mut of_both = [0, 0];
    for seed in 11..13 {
        let project = people(seed);
        run(&project, DAYS[0]);
        run(&project, DAYS[1]);
        let published = members(&project, DAYS[1]);
        let ids: BTreeSet<&String> = published.iter().map(|row| &row[0]).collect();
        let more: String = ids.iter().step_by(3).map(|id| format!("{id},2026-10-03T01:00:00Z,9.00\n")).collect();
        project.write("extracts/orders.csv", &(project.read("extracts/orders.csv") + &more));
        // Rules and a parameter are edited, and once a model as well.
        let with_edit = || {
            project.write("pipelines/people.yaml", &edited);
            project.write("sql/customers.sql", &if seed == 12 { CUSTOMERS.replace("<> 4", "<> 3") } else { CUSTOMERS.to_owned() });
        };
        with_edit();
        let told = plan(&project, DAYS[1]);
        assert_eq!(told["compared_with"]["is_own"], true);
        // What the old definition says of the new rows, and what the new one says, as runs publish it.
        project.write("pipelines/people.yaml", PIPELINE);
        project.write("sql/customers.sql", CUSTOMERS);
        run(&project, DAYS[1]);
        let by_old = members(&project, DAYS[1]);
        with_edit();
        let outputs = run(&project, DAYS[1])["outputs"].clone();
        for (planned, published) in told["outputs"].as_array().unwrap().iter().zip(outputs.as_array().unwrap()) {
            assert_eq!(planned["sha256"][0], published["files"][0]["sha256"], "{planned}");
        }
        let [published, by_old, by_new] = [&published, &by_old, &members(&project, DAYS[1])].map(outcomes);
        for set in told["comparison"]["segment_sets"].as_array().unwrap() {
            let places = published.keys().chain(by_new.keys()).collect::<BTreeSet<_>>();
            let moved =
                places.into_iter().filter(|place| set["segment_set"] == place[0].as_str() && published.get(*place) != by_new.get(*place));
            let (by_edit, by_rows): (Vec<_>, Vec<_>) = moved.partition(|place| by_old.get(*place) != by_new.get(*place));
            for (at, (cause, places)) in [("definition", by_edit), ("data", by_rows)].into_iter().enumerate() {
                assert_eq!(set["causes"][cause].as_u64().unwrap_or_default(), places.len() as u64, "{cause}: {set} {places:?}");
                of_both[at] += places.len();
            }
            assert!(set["causes"].as_object().unwrap().keys().all(|cause| ["definition", "data"].contains(&cause.as_str())), "{set}");
        }
    }
    assert!(of_both.iter().all(|places| *places > 5), "{of_both:?} try too little");
}

#[test]
fn what_customers_who_are_gone_had_spent_is_told_by_run_plan_and_comparison_alike() {
    let project = people(17);
    run(&project, DAYS[0]);
    // The first, the last and some in between order nothing any more, and one is gone whom nobody follows in order of id.
    let ids: BTreeSet<String> = members(&project, DAYS[0]).into_iter().map(|row| row[0].clone()).collect();
    let gone: Vec<&String> = ids.iter().step_by(5).chain(ids.last()).collect();
    let orders = project.read("extracts/orders.csv");
    let ties = project.read("extracts/ties.csv");
    let without =
        |text: &str| text.lines().filter(|line| !gone.iter().any(|id| line.contains(id.as_str()))).collect::<Vec<_>>().join("\n") + "\n";
    project.write("extracts/orders.csv", &without(&orders));
    project.write("extracts/ties.csv", &without(&ties));
    let planned = plan(&project, DAYS[1]);
    let published = run(&project, DAYS[1]);
    let (told, rows) = diff(&project, DAYS[0], DAYS[1]);
    assert!(rows.iter().filter(|row| row[7] == "gone").count() >= gone.len(), "{rows:?}");
    for set in told["segment_sets"].as_array().unwrap() {
        let of = |told: &Value| {
            let sets = told["segment_sets"].as_array().unwrap();
            sets.iter().find(|of| of["segment_set"] == set["segment_set"]).map(|of| (of["revenue_moved"].clone(), of["flows"].clone()))
        };
        assert_eq!(of(&planned["comparison"]), of(&told));
        let of_run = published["movement"]["segment_sets"].as_array().unwrap();
        let of_run = of_run.iter().find(|of| of["segment_set"] == set["segment_set"]).unwrap();
        assert_eq!(of_run["revenue_moved"], set["revenue_moved"], "{set}");
        assert!(!set.to_string().contains("\"revenue_unknown\":1"), "{set}");
    }
}

#[test]
fn a_plan_that_fails_exits_as_a_run_does_and_writes_nothing() {
    let project = people(5);
    run(&project, DAYS[0]);
    let out = project.folder.path().join("out");
    let before = files(&out);
    let with = |text: &str| PIPELINE.replace("outputs:\n", &format!("{text}outputs:\n"));
    let check = with("checks:\n  - {name: nobody, severity: fail, rows: {table: customers, max: 1}}\n");
    let warning = with("checks:\n  - {name: nobody, severity: warn, sql: select customer_id from customers}\n");
    let wrong = PIPELINE.replace("days <= 2, minimum", "dayz <= 2, minimum");
    for (pipeline, exit_code) in [(&check, 3), (&wrong, 2), (&warning, 0)] {
        project.write("pipelines/people.yaml", pipeline);
        let told = ask(&project, &["plan", "pipelines/people.yaml", "--as-of", DAYS[1]], exit_code);
        assert!(!told.to_string().contains("segmill-plan"), "the temporary folder is not named: {told}");
        assert_eq!(files(&out), before);
    }
    project.write("pipelines/people.yaml", PIPELINE);
    let orders = project.read("extracts/orders.csv");
    project.write("extracts/orders.csv", &orders.replace(",2026-10-0", ",2026-13-0"));
    let told = ask(&project, &["plan", "pipelines/people.yaml", "--as-of", DAYS[1]], 3);
    assert!(!told.to_string().contains("segmill-plan") && told["status"] == "refused", "{told}");
    project.write("extracts/orders.csv", &orders);
    std::fs::remove_file(project.folder.path().join("extracts/ties.csv")).unwrap();
    ask(&project, &["plan", "pipelines/people.yaml", "--as-of", DAYS[1]], 99);
    assert_eq!(files(&out), before);
    let timed = project.segmill(&["plan", "pipelines/people.yaml", "--as-of", DAYS[1], "--timeout", "1ms"]);
    assert_eq!(timed.status.code(), Some(75));
}

#[test]
fn funnels_add_up_and_segments_with_nobody_or_everybody_are_told() {
    let project = people(9);
    for day in &DAYS[..3] {
        run(&project, day);
    }
    let edited = PIPELINE
        .replace("{name: often, when: orders >= 3,", "{name: often, when: 'orders >= 3 and (days < 0 or orders / nullif(days, 0) > 999)',")
        .replace("{name: big, when: spent >= 40 and orders > 1,", "{name: big, when: spent >= 0 and orders > 0,");
    project.write("pipelines/people.yaml", &edited.replace("    permissions: {email: may_write}\n", ""));
    let told = plan(&project, DAYS[3]);
    let (mut held, mut elsewhere) = (0, 0);
    for funnel in told["funnels"].as_array().unwrap() {
        let number = |of: &Value, key: &str| of[key].as_u64().unwrap();
        let mut left = number(funnel, "customers");
        for step in funnel["steps"].as_array().unwrap() {
            assert_eq!(left - number(step, "removed"), number(step, "left"), "{funnel:#}");
            assert!(number(step, "removed") <= number(step, "removed_alone"), "{funnel:#}");
            assert!(number(step, "removed_by_it_only") <= number(step, "removed"), "{funnel:#}");
            left = number(step, "left");
        }
        assert_eq!(left, number(funnel, "matched"));
        let [is_elsewhere, is_held, withheld] = ["elsewhere", "held", "withheld"].map(|key| number(funnel, key));
        assert_eq!(left - is_elsewhere + is_held - withheld, number(funnel, "members"), "{funnel:#}");
        let size = told["segments"].as_array().unwrap().iter().find(|size| size["segment"] == funnel["segment"]).unwrap();
        assert_eq!((&size["customers"], &size["withheld"]), (&funnel["members"], &funnel["withheld"]));
        (held, elsewhere) = (held + is_held, elsewhere + is_elsewhere);
    }
    assert!(held > 0 && elsewhere > 0, "the memory holds nobody");
    let odd: BTreeMap<&str, &str> =
        told["odd_segments"].as_array().unwrap().iter().map(|of| (of["segment"].as_str().unwrap(), of["why"].as_str().unwrap())).collect();
    assert_eq!(odd["big"], "has all customers");
    assert!(odd["often"].starts_with("has nobody: after `"), "{odd:?}");
    let overlaps = told["overlaps"].as_array().unwrap();
    assert_eq!(overlaps.len(), 3, "all pairs of three audiences");
    let with_big = overlaps.iter().find(|of| of["one"]["segment"] == "big" && of["other"]["segment"] == "active").unwrap();
    assert_eq!(with_big["both"], with_big["other"]["customers"]);
    // Withheld customers are in no audience.
    project.write("pipelines/people.yaml", PIPELINE);
    let withheld: u64 = plan(&project, DAYS[3])["funnels"].as_array().unwrap().iter().map(|of| of["withheld"].as_u64().unwrap()).sum();
    assert!(withheld > 0);
}

#[test]
fn an_output_that_loses_a_column_is_told_and_refused_where_the_schema_is_additive() {
    let project = people(1);
    run(&project, DAYS[0]);
    let additive = PIPELINE.replace("  destination: out\n", "  destination: out\n  schema: additive\n");
    let more = CUSTOMERS.replace("    count(*) as orders,", "    count(*) as orders,\n    1 as one,");
    let fewer =
        CUSTOMERS.replace("    cast(sum(o.amount) as decimal(14, 2)) as spent,\n", "    cast(sum(o.amount) as decimal(16, 2)) as spent,\n");
    let change = |told: &Value| {
        let changes = told["column_changes"].as_array().unwrap().iter();
        changes.map(|of| format!("{} {} {}", of["table"], of["column"], of["change"]).replace('"', "")).collect::<Vec<_>>()
    };
    project.write("sql/customers.sql", &more);
    project.write("pipelines/people.yaml", &additive);
    assert_eq!(change(&plan(&project, DAYS[1])), ["customers one added"]);
    run(&project, DAYS[1]);
    project.write("sql/customers.sql", &fewer);
    for command in ["plan", "run"] {
        let told = ask(&project, &[command, "pipelines/people.yaml", "--as-of", DAYS[2]], 2);
        let problems = told["problems"].as_array().unwrap();
        let messages: Vec<&str> = problems.iter().map(|problem| problem["message"].as_str().unwrap()).collect();
        assert!(problems.iter().all(|problem| problem["code"] == "schema-not-additive"), "{told}");
        assert!(messages.len() == 2 && messages[0].contains("`one`") && messages[1].contains("decimal(14,2)"), "{messages:?}");
    }
    // A table that is no output any more is lost as a whole; where any change is allowed, it is told.
    let without = |text: &str| text.replace("    identity_aliases: {model: identity.aliases, sort: [alias_id]}\n", "");
    project.write("sql/customers.sql", &more);
    project.write("pipelines/people.yaml", &without(&additive));
    let told = ask(&project, &["run", "pipelines/people.yaml", "--as-of", DAYS[2]], 2);
    assert!(told["problems"][0]["message"].as_str().unwrap().contains("`identity_aliases`"), "{told}");
    project.write("sql/customers.sql", &fewer);
    project.write("pipelines/people.yaml", &without(PIPELINE));
    let expected = ["customers one removed", "customers spent retyped", "identity_aliases null removed"];
    assert_eq!(change(&plan(&project, DAYS[2])), expected);
    run(&project, DAYS[2]);
}
