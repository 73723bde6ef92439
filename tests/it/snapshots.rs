use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::dated::{plan, read, rows};
use crate::ownership::{code, command};
use crate::support::{OUTPUTS, Publication, SAMPLE_AS_OF, copy, package};
use crate::tiny::Tiny;

const AS_OF: &str = "2026-11-05";

fn source(location: &str, more: &str) -> String {
    format!(
        "    location: 'memory:///in/{location}'\n    kind: snapshot\n    day_in_path: day\n{more}    columns: {{id: {{type: string}}, name: string}}\n"
    )
}

fn table(rows: &[[&str; 2]]) -> Vec<u8> {
    let lines: Vec<String> = rows.iter().map(|row| format!("{}\n", row.join(","))).collect();
    format!("id,name\n{}", lines.concat()).into_bytes()
}

#[test]
fn the_newest_snapshot_before_the_as_of_day_counts() {
    let days = [
        ("c_20261101.csv", table(&[["1", "Ann"], ["2", "Bob"]])),
        ("c_20261103.csv", table(&[["1", "Anna"], ["3", "Cem"]])),
        ("c_20261105.csv", b"no snapshot yet\n".to_vec()),
        ("c_20261130.csv", table(&[["9", "Zoe"]])),
    ];
    let source = source("c_{day:%Y%m%d}.csv", "");
    for (as_of, day, expected, unopened) in [
        ("2026-11-02", "2026-11-01", vec![["1", "Ann"], ["2", "Bob"]], 3),
        ("2026-11-03", "2026-11-01", vec![["1", "Ann"], ["2", "Bob"]], 3),
        ("2026-11-04", "2026-11-03", vec![["1", "Anna"], ["3", "Cem"]], 3),
        ("2026-11-05", "2026-11-03", vec![["1", "Anna"], ["3", "Cem"]], 3),
        ("2026-12-24", "2026-11-30", vec![["9", "Zoe"]], 3),
    ] {
        let found = read(&source, "id, name", &days, as_of).unwrap();
        assert_eq!(found.rows, rows(&expected), "{as_of}");
        assert_eq!((found.ledger.snapshot_day, found.ledger.files_unopened), (day.parse().ok(), unopened), "{as_of}");
    }
    let late = read(&source, "id, name", &days, "2026-11-01").unwrap_err();
    assert_eq!(late.exit_status() as i32, 99, "{late}");
    assert!(late.to_string().contains("no snapshot of a day before 2026-11-01"), "{late}");
}

#[test]
fn a_snapshot_may_be_of_several_files_and_of_a_time_of_day() {
    let parts = [
        ("dt=2026-11-03/a.csv", table(&[["1", "Ann"]])),
        ("dt=2026-11-03/b.csv", table(&[["2", "Bob"]])),
        ("dt=2026-11-02/a.csv", table(&[["3", "Cem"]])),
    ];
    let by_folder = source("dt=*/*.csv", "").replace("day_in_path: day", "day_in_path: dt");
    let found = read(&by_folder, "id, name", &parts, AS_OF).unwrap();
    assert_eq!((found.rows, found.ledger.files, found.ledger.files_unopened), (rows(&[["1", "Ann"], ["2", "Bob"]]), 2, 1));
    assert!(found.opened.iter().all(|file| file.contains("dt=2026-11-03/")), "{:?}", found.opened);
    // Fewer files than there must be are late, however many an older snapshot has.
    let late = read(&by_folder.replace("    kind", "    min_files: 3\n    kind"), "id", &parts, AS_OF).unwrap_err();
    assert_eq!(late.exit_status() as i32, 99, "{late}");
    assert!(late.to_string().contains("has 2 files that match"), "{late}");
    let hours = [
        ("c_2026110308.csv", table(&[["1", "Ann"]])),
        ("c_2026110320.csv", table(&[["1", "Anna"]])),
        ("c_2026110500.csv", table(&[["1", "Anja"]])),
    ];
    let found = read(&source("c_{day:%Y%m%d%H}.csv", ""), "id, name", &hours, AS_OF).unwrap();
    assert_eq!((found.rows, found.ledger.snapshot_day), (rows(&[["1", "Anna"]]), "2026-11-03".parse().ok()));
}

#[test]
fn the_day_of_a_snapshot_may_be_a_column_and_its_rows_may_have_times() {
    let with_day = "    location: 'memory:///in/c_{day:%Y%m%d}.csv'\n    kind: snapshot\n    day_in_path: day\n    event_time: at\n    key: [id]\n    \
                    columns: {id: string, name: string, at: {type: timestamp, path: day, required: true}}\n";
    let files = [("c_20261103.csv", table(&[["1", "Ann"], ["1", "Anna"], ["2", "Bob"]])), ("c_20261101.csv", table(&[]))];
    let found = read(with_day, "id, name, at", &files, AS_OF).unwrap();
    assert_eq!(found.rows, rows(&[["1", "Anna", "2026-11-03T00:00:00Z"], ["2", "Bob", "2026-11-03T00:00:00Z"]]));
    // Versions from the as-of day on are out of window, as ever; others may be of any day.
    let valid_from = "    location: 'memory:///in/c_{day:%Y%m%d}.csv'\n    kind: snapshot\n    day_in_path: day\n    event_time: valid_from\n    \
                      columns: {id: string, valid_from: {type: date, required: true}}\n";
    let files = [("c_20261103.csv", b"id,valid_from\n1,2020-01-01\n2,2026-11-04\n3,2026-11-05\n4,2030-01-01\n".to_vec())];
    let found = read(valid_from, "id", &files, AS_OF).unwrap();
    assert_eq!((found.rows, found.ledger.rows_out_of_window), (rows(&[["1"], ["2"]]), 2));
}

#[test]
fn a_key_without_times_keeps_one_row_and_the_no() {
    let consent = "    location: 'memory:///in/c_{day:%Y%m%d}.csv'\n    kind: snapshot\n    day_in_path: day\n    key: [id]\n    \
                   columns: {id: string, name: string, ok: {type: boolean, consent: {no: [false]}}}\n";
    let files =
        [("c_20261103.csv", b"id,name,ok\n1,Ann,false\n1,Anna,true\n2,Bob,true\n2,Bob,true\n,nobody,true\n,nobody,true\n".to_vec())];
    let found = read(consent, "id, name, ok", &files, AS_OF).unwrap();
    assert_eq!(found.rows, rows(&[["", "nobody", "true"], ["", "nobody", "true"], ["1", "Anna", "false"], ["2", "Bob", "true"]]));
}

#[test]
fn contradictions_are_told_before_anything_is_read() {
    let error = |text: &str| plan(text, "id", AS_OF).err().unwrap().to_string();
    let good = source("c_{day:%Y%m%d}.csv", "");
    plan(&good, "id", AS_OF).unwrap();
    assert!(error(&good.replace("    day_in_path: day\n", "")).contains("[source-kind]"));
    assert!(error(&good.replace("    kind: snapshot\n", "")).contains("[missing-key]"), "only a snapshot may do without an event time");
    assert!(
        error(&good.replace("    kind: snapshot\n", "    event_time: id\n    freshness: {newest_snapshot_days: 1}\n"))
            .contains("[source-kind]")
    );
    assert!(
        error(&good.replace("    kind: snapshot\n", "    kind: snapshot\n    changes: {operation: id, insert: [I]}\n"))
            .contains("[source-kind]")
    );
}

/// The tiny project with daily snapshots in the place of orders.
fn daily() -> Tiny {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    let (head, rest) = written.split_once("sources:").unwrap();
    let segments = &rest[rest.find("segments:").unwrap()..];
    let source = "sources:\n  orders:\n    location: extracts/dt=*/*.csv\n    kind: snapshot\n    day_in_path: dt\n    key: [customer_id]\n    \
                  columns: {customer_id: {type: string, required: true}}\n";
    tiny.write("pipelines/tiny.yaml", &format!("{head}{source}{segments}"));
    tiny.write("sql/staging/orders.sql", "-- A customer.\nselect customer_id from sources.orders\n");
    std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
    tiny
}

fn snapshot(tiny: &Tiny, day: &str, customers: &[&str]) {
    tiny.write(&format!("extracts/dt={day}/part-0.csv"), &format!("customer_id\n{}\n", customers.join("\n")));
}

fn run(tiny: &Tiny, as_of: &str) -> (i32, Value) {
    command(tiny, "run", &["--as-of", as_of])
}

#[test]
fn a_backfill_reads_for_each_day_the_snapshot_that_counted() {
    let tiny = daily();
    snapshot(&tiny, "2026-11-01", &["a", "b"]);
    snapshot(&tiny, "2026-11-02", &["a"]);
    // None came on the third.
    snapshot(&tiny, "2026-11-04", &["a", "c", "d"]);
    let backfill = || tiny.segmill(&["run", "pipelines/tiny.yaml", "--from", "2026-11-02", "--to", "2026-11-05"]);
    assert!(backfill().status.success());
    let published = |day: &str| {
        let path = tiny.folder.path().join(format!("out/customers/as_of={day}/customers.parquet"));
        crate::support::rows_of_parquet(&[path], "select customer_id from t order by 1").concat().concat()
    };
    let expected = [("2026-11-02", "ab"), ("2026-11-03", "a"), ("2026-11-04", "a"), ("2026-11-05", "acd")];
    for (day, customers) in expected {
        assert_eq!(published(day), customers, "{day}");
    }
    // Newer snapshots change no day before them; an older one that was missing changes those that it is the newest for.
    snapshot(&tiny, "2026-11-09", &["z"]);
    assert!(expected.iter().all(|(day, _)| run(&tiny, day).1["status"] == "unchanged"));
    snapshot(&tiny, "2026-11-03", &["a", "e"]);
    let statuses: Vec<Value> = expected.iter().map(|(day, _)| run(&tiny, day).1["status"].clone()).collect();
    // The last day builds on the one before, which has other members now.
    assert_eq!(statuses, ["unchanged", "unchanged", "published", "published"]);
    assert_eq!(published("2026-11-04"), "ae");
}

#[test]
fn what_is_told_of_a_source_names_its_snapshot() {
    let tiny = daily();
    snapshot(&tiny, "2026-11-01", &["a", "b"]);
    snapshot(&tiny, "2026-11-03", &["a"]);
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-03"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("orders: the snapshot of 2026-11-01; 1 file of other days is left unopened"), "{said}");
    let commit: Value = serde_json::from_str(&tiny.read("out/commits/00000001.json")).unwrap();
    assert_eq!((&commit["sources"][0]["snapshot_day"], &commit["sources"][0]["files_unopened"]), (&"2026-11-01".into(), &1.into()));
    let record: Value = serde_json::from_str(&tiny.read(&format!("out/runs/{}/record.json", commit["run_id"].as_str().unwrap()))).unwrap();
    assert_eq!(record["sources"][0], commit["sources"][0]);
    assert_eq!(record["inputs"].as_array().unwrap().len(), 1, "what was not opened is no input");
}

#[test]
fn an_old_snapshot_is_stale() {
    for key in ["newest_snapshot_days", "newest_row_days"] {
        let tiny = daily();
        let written = tiny.read("pipelines/tiny.yaml");
        tiny.write("pipelines/tiny.yaml", &written.replace("    key:", &format!("    freshness: {{{key}: 2}}\n    key:")));
        snapshot(&tiny, "2026-11-01", &["a"]);
        assert_eq!([run(&tiny, "2026-11-02").0, run(&tiny, "2026-11-03").0], [0, 0], "{key}");
        let (status, late) = run(&tiny, "2026-11-04");
        assert_eq!(status, 99, "{key}: {late}");
        assert!(late.to_string().contains("is of 2026-11-01, 3 days before 2026-11-04; it may be 2"), "{key}: {late}");
    }
    let tiny = daily();
    snapshot(&tiny, "2026-11-01", &["a"]);
    let (status, late) = run(&tiny, "2026-11-01");
    assert_eq!((status, code(&late)), (99, ""), "{late}");
}

/// The contacts of the sample: the header, and the rows.
struct Contacts {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Contacts {
    fn read() -> Contacts {
        let mut reader = csv::Reader::from_path(package().join("examples/data/crm/contacts.csv")).unwrap();
        let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        Contacts { header, rows }
    }

    fn write(&self, path: &Path, rows: impl Iterator<Item = Vec<String>>) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = csv::Writer::from_path(path).unwrap();
        writer.write_record(&self.header).unwrap();
        rows.for_each(|row| writer.write_record(&row).unwrap());
    }
}

/// When a version of a contact is from; none where it cannot be read.
fn time(row: &[String]) -> Option<&str> {
    Some(row[1].as_str()).filter(|text| text.len() == 20 && text.ends_with('Z'))
}

/// Whether a version is known at the end of a day. One without a time is known from the first day on, and rejected on every one.
fn is_known(row: &[String], day: &str) -> bool {
    time(row).is_none_or(|time| &time[..10] <= day)
}

/// The sample's extracts without the CRM's, and its project with another contract of the contacts.
fn sample_with(contacts: &str) -> (TempDir, TempDir) {
    let (project, extracts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in ["sql", "pipelines"] {
        copy(&package().join(folder), &project.path().join(folder));
    }
    copy(&package().join("examples/data"), extracts.path());
    std::fs::remove_file(extracts.path().join("crm/contacts.csv")).unwrap();
    let path = project.path().join("pipelines/customer_segments.yaml");
    let written = std::fs::read_to_string(&path).unwrap();
    let begin = written.find("    location: ${EXTRACTS:-examples/data}/crm/*.csv").unwrap();
    let end = begin + written[begin..].find("    reject_budget").unwrap();
    std::fs::write(&path, format!("{}{contacts}{}", &written[..begin], &written[end..])).unwrap();
    (project, extracts)
}

fn publish((project, extracts): &(TempDir, TempDir)) -> Publication {
    Publication::of_project(project.path(), extracts.path(), SAMPLE_AS_OF, &[])
}

fn expect_same(one: &Publication, other: &Publication) {
    let (one, other) = (one.bytes(), other.bytes());
    for table in OUTPUTS {
        assert!(one[table] == other[table], "{table} differs");
    }
}

/// A table that holds all versions, each with the time from which it is valid, loses nothing by being sent as a whole every day.
#[test]
fn the_crm_as_snapshots_of_all_versions_gives_the_same_bytes() {
    let sample = sample_with(
        "    location: ${EXTRACTS:-examples/data}/crm/contacts_{day:%Y%m%d}.csv\n    kind: snapshot\n    day_in_path: day\n    \
         event_time: updated_at\n    key: [contact_id, updated_at]\n",
    );
    let contacts = Contacts::read();
    for (name, day) in [("20111207", "2011-12-07"), ("20111209", "2011-12-09"), ("20111210", "2011-12-10"), ("20120101", "2012-01-01")] {
        contacts.write(
            &sample.1.path().join(format!("crm/contacts_{name}.csv")),
            contacts.rows.iter().filter(|row| is_known(row, day)).cloned(),
        );
    }
    let published = publish(&sample);
    expect_same(&published, crate::support::default_sample());
    let ledger = &published.result["sources"][1];
    assert_eq!((&ledger["snapshot_day"], &ledger["files_unopened"]), (&"2011-12-09".into(), &3.into()), "{ledger}");
}

/// The newest versions of every contact: those of the newest moment, and those without a contact.
fn newest(contacts: &Contacts, day: &str) -> Vec<Vec<String>> {
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    let known = || contacts.rows.iter().filter(|row| is_known(row, day));
    for row in known() {
        if let Some(time) = time(row) {
            let before = newest.entry(&row[0]).or_insert(time);
            *before = (*before).max(time);
        }
    }
    known().filter(|row| row[0].trim().is_empty() || time(row).is_none_or(|time| newest[row[0].as_str()] == time)).cloned().collect()
}

/// A change: its words, its order and the row.
fn changes(contacts: &Contacts) -> Vec<(usize, Vec<String>)> {
    let times: BTreeSet<&str> = contacts.rows.iter().filter_map(|row| time(row)).collect();
    let order: BTreeMap<&str, usize> = times.into_iter().enumerate().map(|(number, time)| (time, number + 1)).collect();
    contacts.rows.iter().map(|row| (time(row).map_or(0, |time| order[time]), row.clone())).collect()
}

fn write_changes(contacts: &Contacts, changes: &[(&str, usize, Vec<String>)], folder: &Path) {
    let mut files: BTreeMap<usize, String> = BTreeMap::new();
    for (number, (operation, order, row)) in changes.iter().enumerate() {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer.write_record([(*operation).to_owned(), order.to_string()].iter().chain(row)).unwrap();
        let text = files.entry(number % 3).or_insert_with(|| format!("op,lsn,{}\n", contacts.header.join(",")));
        text.push_str(&String::from_utf8(writer.into_inner().unwrap()).unwrap());
    }
    for (number, text) in files {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(format!("changes-{number}.csv")), text).unwrap();
    }
}

fn changes_contract(history: bool, key: &str) -> String {
    format!(
        "    location: ${{EXTRACTS:-examples/data}}/crm/*.csv\n    kind: changes\n    changes: {{operation: op, insert: [i], update: [U], delete: [D], \
         order: [lsn], history: {history}}}\n    event_time: updated_at\n    key: {key}\n"
    )
}

/// Adds the columns of changes to the contract.
fn with_change_columns((project, _): &(TempDir, TempDir)) {
    let path = project.path().join("pipelines/customer_segments.yaml");
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        written.replace(
            "      contact_id: {type: string, desc",
            "      op: string\n      lsn: integer\n      contact_id: {type: string, desc",
        ),
    )
    .unwrap();
}

/// The rows of the profile by customer, and its columns.
fn profile(publication: &Publication) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
    let output = publication.result["outputs"].as_array().unwrap().iter().find(|output| output["table"] == "customers").unwrap().clone();
    let columns = output["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap().to_owned()).collect();
    (columns, publication.ask("select * from customers").into_iter().map(|row| (row[0].clone(), row)).collect())
}

/// Customers who may be written to in a channel by one publication and not by another.
fn newly_permitted(now: &Publication, shipped: &Publication) -> BTreeSet<String> {
    let ((columns, now), (_, shipped)) = (profile(now), profile(shipped));
    let permissions: Vec<usize> = (0..columns.len()).filter(|at| columns[*at].starts_with("can_")).collect();
    assert_eq!(permissions.len(), 3);
    let is_new =
        |id: &&String| shipped.get(*id).is_some_and(|then| permissions.iter().any(|&at| now[*id][at] == "true" && then[at] == "false"));
    now.keys().filter(is_new).cloned().collect()
}

/// Of the newest state alone the profile differs in what asks since when and in what earlier addresses led to. Snapshots of one row a contact,
/// and changes without history, agree.
#[test]
fn the_crm_as_its_newest_state_differs_where_history_is_asked_for() {
    let contacts = Contacts::read();
    let snapshots = sample_with(
        "    location: ${EXTRACTS:-examples/data}/crm/contacts_{day:%Y%m%d}.csv\n    kind: snapshot\n    day_in_path: day\n    \
         event_time: updated_at\n    key: [contact_id]\n",
    );
    for (name, day) in [("20111208", "2011-12-08"), ("20111209", "2011-12-09")] {
        contacts.write(&snapshots.1.path().join(format!("crm/contacts_{name}.csv")), newest(&contacts, day).into_iter());
    }
    let snapshots = publish(&snapshots);
    let changed = sample_with(&changes_contract(false, "[contact_id]"));
    with_change_columns(&changed);
    let all: Vec<(&str, usize, Vec<String>)> = changes(&contacts).into_iter().map(|(order, row)| ("u", order, row)).collect();
    write_changes(&contacts, &all, &changed.1.path().join("crm"));
    expect_same(&snapshots, &publish(&changed));
    // Contacts of one version are as they were, but for what came through addresses that somebody else has had.
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    contacts.rows.iter().for_each(|row| *versions.entry(&row[0]).or_default() += 1);
    let ((columns, shipped), (_, now)) = (profile(crate::support::default_sample()), profile(&snapshots));
    let of_one_version: Vec<&String> = shipped.keys().filter(|id| versions.get(id.as_str()) == Some(&1)).collect();
    assert!(of_one_version.len() > 3_000);
    let mut differing: BTreeMap<&str, usize> = BTreeMap::new();
    for id in of_one_version {
        let (then, now) = (&shipped[id], &now[id]);
        // These compare a customer with all others.
        let is_relative = |name: &str| ["buying_cluster", "lifetime_value_share", "similarity_to_champions"].contains(&name);
        let differs = |(at, name): &(usize, &String)| then[*at] != now[*at] && !is_relative(name);
        columns.iter().enumerate().filter(differs).for_each(|(_, name)| *differing.entry(name).or_default() += 1);
    }
    assert_eq!(differing, BTreeMap::from([("can_email", 1), ("no_email_reason", 1), ("preferred_channel", 1)]));
}

/// A table of one row a contact that says since when the contact is known: no id is lost, and no opt-out through an address that is still the
/// contact's. What was said through earlier addresses is nobody's.
#[test]
fn the_crm_as_its_newest_state_with_a_valid_from_keeps_ids_and_opt_outs() {
    let contacts = Contacts::read();
    let sample = sample_with(
        "    location: ${EXTRACTS:-examples/data}/crm/contacts_{day:%Y%m%d}.csv\n    kind: snapshot\n    day_in_path: day\n    \
         event_time: updated_at\n    key: [contact_id]\n",
    );
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for row in &contacts.rows {
        if let Some(time) = time(row) {
            let before = first.entry(&row[0]).or_insert(time);
            *before = (*before).min(time);
        }
    }
    let since = |mut row: Vec<String>| {
        if time(&row).is_some() && !row[0].trim().is_empty() {
            row[1] = first[row[0].as_str()].to_owned();
        }
        row
    };
    contacts.write(&sample.1.path().join("crm/contacts_20111209.csv"), newest(&contacts, "2011-12-09").into_iter().map(since));
    let (published, shipped) = (publish(&sample), crate::support::default_sample());
    let ids = |publication: &Publication| profile(publication).1.into_keys().collect::<BTreeSet<_>>();
    assert!(ids(shipped).is_subset(&ids(&published)), "every customer keeps the id");
    let opted_out_through_an_earlier_address = ["12816", "13418", "13496", "16411"].map(str::to_owned);
    assert_eq!(newly_permitted(&published, shipped), BTreeSet::from(opted_out_through_an_earlier_address));
}

/// All changes since a contact was last deleted are its versions, so that nothing is lost; and of a deleted contact nothing stays.
#[test]
fn the_crm_as_changes_with_their_history_gives_the_same_bytes() {
    let contacts = Contacts::read();
    let with_history = || {
        let sample = sample_with(&changes_contract(true, "[contact_id]"));
        with_change_columns(&sample);
        sample
    };
    let sample = with_history();
    let mut seen = BTreeSet::new();
    let all: Vec<(&str, usize, Vec<String>)> =
        changes(&contacts).into_iter().map(|(order, row)| (if seen.insert(row[0].clone()) { "I" } else { "u" }, order, row)).collect();
    write_changes(&contacts, &all, &sample.1.path().join("crm"));
    expect_same(&publish(&sample), crate::support::default_sample());

    // Some contacts are deleted, and some of them come again: as if nothing had been known of them before that.
    let numbers: BTreeSet<&str> = contacts.rows.iter().map(|row| row[0].as_str()).filter(|number| !number.trim().is_empty()).collect();
    let deleted: Vec<&str> = numbers.into_iter().step_by(50).collect();
    let last = all.iter().map(|(_, order, _)| *order).max().unwrap();
    let half = last / 2;
    let (mut changed, mut left) = (all.clone(), Vec::new());
    for (number, contact) in deleted.iter().enumerate() {
        let at = if number % 2 == 0 { half } else { last + 1 };
        let mut row = vec![String::new(); contacts.header.len()];
        (row[0], row[1]) = ((*contact).to_owned(), "2011-06-01T00:00:00Z".to_owned());
        changed.push(("d", at, row));
        left.push((*contact, at));
    }
    let sample = with_history();
    write_changes(&contacts, &changed, &sample.1.path().join("crm"));
    let published = publish(&sample);
    let ended: BTreeMap<&str, usize> = left.into_iter().collect();
    let without =
        sample_with("    location: ${EXTRACTS:-examples/data}/crm/*.csv\n    event_time: updated_at\n    key: [contact_id, updated_at]\n");
    let kept = all.iter().filter(|(_, order, row)| ended.get(row[0].as_str()).is_none_or(|end| order > end || time(row).is_none()));
    contacts.write(&without.1.path().join("crm/contacts.csv"), kept.map(|(.., row)| row.clone()));
    expect_same(&published, &publish(&without));
    let ledger = &published.result["sources"][1];
    assert_eq!(ledger["rows_deleted"], deleted.len() as u64, "{ledger}");
}
