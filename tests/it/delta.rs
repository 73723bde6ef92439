use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use segmill::error::{Error, ExitStatus};
use segmill::job::Done;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::breaking::block_on;
use crate::breaking_store::{Breaking, How, Job, copied, points};
use crate::ownership::{code, told};
use crate::servers::{azure_variables, azurite, seaweed};
use crate::stores::Place;
use crate::support::{rows_of_parquet, tell};
use crate::tiny::{PIPELINE, Tiny, orders};

const DAYS: [&str; 3] = ["2026-11-01", "2026-11-02", "2026-11-03"];

/// The tiny project with copies.
fn copying(copies: &str) -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("outputs:\n", &format!("outputs:\n  delta: {copies}\n")));
    tiny
}

fn run(tiny: &Tiny, day: &str, arguments: &[&str]) -> (i32, Value) {
    told(&tiny.segmill(&[&["run", "pipelines/tiny.yaml", "--format", "json", "--as-of", day], arguments].concat()))
}

fn published(tiny: &Tiny, day: &str, edition: &str) -> Value {
    let (status, result) = run(tiny, day, &["--param", &format!("edition={edition}")]);
    assert_eq!((status, &result["status"]), (0, &json!("published")), "{result}");
    result
}

/// A table as its log says it is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    versions: usize,
    /// The day of each file that the table has, by path.
    files: BTreeMap<String, String>,
    /// The numbers of the publications that versions name, in order.
    numbers: Vec<u64>,
    /// The names and types of the columns.
    columns: Vec<(String, Value)>,
}

/// Reads a log, whose files are given in order. Whatever a line does must be possible at that point.
fn replayed(log: &[String]) -> Table {
    let mut table = Table { versions: log.len(), ..Table::default() };
    for text in log {
        let mut kinds = Vec::new();
        for line in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let (kind, action) = line.as_object().unwrap().iter().next().unwrap();
            kinds.push(kind.clone());
            match kind.as_str() {
                "txn" => table.numbers.push(action["version"].as_u64().unwrap()),
                "metaData" => {
                    let columns: Value = serde_json::from_str(action["schemaString"].as_str().unwrap()).unwrap();
                    let column = |field: &Value| (field["name"].as_str().unwrap().to_owned(), field["type"].clone());
                    table.columns = columns["fields"].as_array().unwrap().iter().map(column).collect();
                }
                "remove" => assert!(table.files.remove(action["path"].as_str().unwrap()).is_some(), "{action} is not there"),
                "add" => {
                    let day = action["partitionValues"]["as_of"].as_str().unwrap().to_owned();
                    assert!(table.files.insert(action["path"].as_str().unwrap().to_owned(), day).is_none(), "{action} is there already");
                }
                _ => {}
            }
        }
        assert_eq!(kinds.first().map(String::as_str), Some("commitInfo"));
        let counted: BTreeSet<&String> = kinds.iter().filter(|kind| !["add", "remove"].contains(&kind.as_str())).collect();
        assert_eq!(kinds.iter().filter(|kind| kind.as_str() == "txn").count(), 1);
        assert!(counted.len() <= 4, "{kinds:?}");
    }
    let mut days: Vec<&String> = table.files.values().collect();
    days.sort();
    days.dedup();
    assert_eq!(days.len(), table.files.len(), "a day has one file: {:?}", table.files);
    assert!(table.numbers.is_sorted(), "{:?}", table.numbers);
    table
}

fn read(tables: &Path, table: &str) -> Table {
    let mut log: Vec<_> = std::fs::read_dir(tables.join(table).join("_delta_log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    log.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    log.sort();
    replayed(&log.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<Vec<_>>())
}

/// The editions that readers find, by day.
fn editions(tiny: &Tiny) -> BTreeMap<String, String> {
    let tables = tiny.folder.path().join("tables");
    let edition = |(path, day): (String, String)| {
        let rows = rows_of_parquet(&[tables.join("customers").join(path)], "select min(edition), max(edition), count(*) from t");
        assert_eq!((&rows[0][0], &rows[0][2]), (&rows[0][1], &"50".to_owned()));
        (day, rows[0][0].clone())
    };
    read(&tables, "customers").files.into_iter().map(edition).collect()
}

fn by_day(days: &[(&str, &str)]) -> BTreeMap<String, String> {
    days.iter().map(|(day, edition)| ((*day).to_owned(), (*edition).to_owned())).collect()
}

/// A day is one version of each table; the same again is none; a late older day goes beside the newer one.
#[test]
fn a_day_is_one_version_and_replaces_only_itself() {
    let tiny = copying("{location: tables}");
    let tables = tiny.folder.path().join("tables");
    let result = published(&tiny, DAYS[1], "1");
    assert_eq!(
        result["delta_tables"],
        json!([
            { "table": "customers", "location": "tables/customers", "version": 0, "versions_written": 1 },
            { "table": "segment_membership", "location": "tables/segment_membership", "version": 0, "versions_written": 1 },
        ])
    );
    assert!(!tables.join("rejected").exists(), "rejected rows are no output");
    let (_, unchanged) = run(&tiny, DAYS[1], &[]);
    assert_eq!((&unchanged["status"], &unchanged["delta_tables"][0]["versions_written"]), (&json!("unchanged"), &json!(0)));
    published(&tiny, DAYS[2], "2");
    published(&tiny, DAYS[0], "3");
    published(&tiny, DAYS[1], "4");
    assert_eq!(editions(&tiny), by_day(&[(DAYS[0], "3"), (DAYS[1], "4"), (DAYS[2], "2")]));
    for table in ["customers", "segment_membership"] {
        let table = read(&tables, table);
        assert_eq!((table.versions, table.numbers), (4, vec![1, 2, 3, 4]));
    }
    for path in read(&tables, "customers").files.into_keys() {
        let links = std::os::unix::fs::MetadataExt::nlink(&std::fs::metadata(tables.join("customers").join(path)).unwrap());
        assert_eq!(links, 1, "a link is as old as the file, which VACUUM could take for one that nothing needs");
    }
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAYS[1], "--force"]);
    let human = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(human.contains("Copied to 2 tables of Delta Lake in tables"), "{output:?}");
}

/// What a copy has left undone is done by the next run, of whatever day and whatever came of it.
#[test]
fn a_copy_that_died_is_finished_by_the_next_run() {
    let tiny = copying("{location: tables, tables: [customers]}");
    let tables = tiny.folder.path().join("tables");
    let newest = |version: u64| tables.join(format!("customers/_delta_log/{version:020}.json"));
    published(&tiny, DAYS[0], "1");
    published(&tiny, DAYS[1], "1");
    // By a run that publishes nothing.
    std::fs::remove_file(newest(1)).unwrap();
    let (_, unchanged) = run(&tiny, DAYS[1], &[]);
    assert_eq!((&unchanged["status"], &unchanged["delta_tables"][0]["versions_written"]), (&json!("unchanged"), &json!(1)), "{unchanged}");
    let told = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAYS[1]]);
    assert!(!String::from_utf8(told.stderr).unwrap().contains("were behind"));
    // By a run of another day, and whole.
    published(&tiny, DAYS[0], "2");
    std::fs::remove_file(newest(2)).unwrap();
    std::fs::remove_dir_all(tables.join("customers/as_of=2026-11-01")).unwrap();
    published(&tiny, DAYS[2], "3");
    assert_eq!(editions(&tiny), by_day(&[(DAYS[0], "2"), (DAYS[1], "1"), (DAYS[2], "3")]));
    assert_eq!(read(&tables, "customers").numbers, [1, 2, 3, 4]);
    // A table that is new, or gone, gets every published day.
    std::fs::remove_dir_all(tables.join("customers")).unwrap();
    let told = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAYS[2], "--param", "edition=3"]);
    assert!(String::from_utf8(told.stderr).unwrap().contains("The copies in Delta Lake were behind, and are up to date now."));
    assert_eq!(editions(&tiny), by_day(&[(DAYS[0], "2"), (DAYS[1], "1"), (DAYS[2], "3")]));
    assert_eq!(read(&tables, "customers").numbers, [2, 3, 4], "in the order of their publications");
}

/// Every storage call of a copy goes wrong once, in every way: the publication stands, the run says so, and the next one finishes.
#[test]
fn whatever_call_goes_wrong_the_next_run_finishes_the_copy() {
    let tiny = copying("{location: 'memory:///tables', tables: [customers]}");
    let job = |edition: &str| Job {
        pipeline: tiny.folder.path().join("pipelines/tiny.yaml"),
        as_of: DAYS[0],
        environment: BTreeMap::from([
            ("EXTRACTS".to_owned(), "memory:///extracts".to_owned()),
            ("DESTINATION".to_owned(), "memory:///out".to_owned()),
        ]),
        parameters: BTreeMap::from([("edition".to_owned(), edition.to_owned())]),
    };
    block_on(async {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&"extracts/orders.csv".into(), PutPayload::from(orders())).await.unwrap();
        job("1").run(Breaking::new(Arc::clone(&store), None)).await.unwrap().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(copied(&store).await);
        let first = copied(&store).await;
        let calls = job("2").calls(Arc::new(first)).await;
        // The copy begins after the last thing that a publication does: it removes its note.
        let begins = calls.iter().rposition(|kind| *kind == crate::breaking_store::Kind::Delete).unwrap() + 1;
        let mut tried = 0;
        for (at, how) in points(&calls).into_iter().filter(|(at, _)| *at >= begins) {
            let copy: Arc<dyn ObjectStore> = Arc::new(copied(&store).await);
            let outcome = job("2").run(Breaking::new(Arc::clone(&copy), Some((at, how)))).await;
            match outcome {
                Some(Err(error)) => {
                    assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{at} {how:?}: {error}");
                    assert!(error.to_string().starts_with("published as memory:/out/commits/00000002.json, but"), "{at} {how:?}: {error}");
                }
                Some(Ok(_)) => assert!(!matches!(how, How::Hangs | How::DiesDone), "{at} {how:?}"),
                None => assert!(matches!(how, How::Hangs | How::DiesDone), "{at} {how:?}"),
            }
            match job("2").run(Breaking::new(Arc::clone(&copy), None)).await {
                Some(Ok(Done::Unchanged(unchanged))) => assert_eq!(unchanged.commit.number, 2),
                other => panic!("{at} {how:?}: {other:?}"),
            }
            let table = logged(&copy, "tables/customers").await;
            assert_eq!((table.versions, table.numbers, table.files.len()), (2, vec![1, 2], 1), "{at} {how:?}");
            tried += 1;
        }
        tell(&format!("{tried} ways for a call of a copy to go wrong"));
        assert!(tried > 20);
    });
}

async fn logged(store: &Arc<dyn ObjectStore>, table: &str) -> Table {
    let mut log: Vec<_> = store.list(Some(&format!("{table}/_delta_log").into())).try_collect::<Vec<_>>().await.unwrap();
    log.retain(|meta| meta.location.as_ref().ends_with(".json"));
    log.sort_by(|one, other| one.location.cmp(&other.location));
    let mut texts = Vec::new();
    for meta in log {
        texts.push(String::from_utf8(store.get(&meta.location).await.unwrap().bytes().await.unwrap().to_vec()).unwrap());
    }
    replayed(&texts)
}

/// A table that is not the destination's own is refused by name and stays to the byte. The publication stands, and other tables are copied.
#[test]
fn a_table_of_somebody_else_is_refused() {
    let tiny = copying("{location: tables}");
    let first = "customers/_delta_log/00000000000000000000.json";
    let columns = json!({ "type": "struct", "fields": [] }).to_string();
    let foreign = |partitions: Value, application: &str| {
        let metadata = json!({ "metaData": { "id": "a", "format": { "provider": "parquet" }, "schemaString": columns, "partitionColumns": partitions } });
        let protocol = json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } });
        format!("{protocol}\n{metadata}\n{}\n", json!({ "txn": { "appId": application, "version": 1 } }))
    };
    for (at, text, refused, why) in [
        (1, foreign(json!([]), "etl"), "foreign-delta-table", "Segmill did not make it"),
        (2, foreign(json!(["as_of"]), "segmill:other"), "foreign-delta-table", "another destination of Segmill is copied to it"),
        (3, "no JSON\n".to_owned(), "unreadable-delta-table", "line 1"),
    ] {
        tiny.write(&format!("tables/{first}"), &text);
        let (status, error) = run(&tiny, DAYS[0], &["--param", &format!("edition={at}")]);
        assert_eq!((status, code(&error)), (2, refused), "{error}");
        let message = error["problems"][0]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("published as out/commits/{at:08}.json, but the copies in Delta Lake are not")), "{message}");
        assert!(message.contains("tables/customers") && message.contains(why), "{message}");
        assert_eq!(tiny.read(&format!("tables/{first}")), text);
    }
    assert_eq!(read(&tiny.folder.path().join("tables"), "segment_membership").numbers, [1, 2, 3]);
    // Once it is out of the way, the same command finishes the copy.
    std::fs::remove_dir_all(tiny.folder.path().join("tables/customers")).unwrap();
    let (status, unchanged) = run(&tiny, DAYS[0], &["--param", "edition=3"]);
    assert_eq!((status, &unchanged["status"]), (0, &json!("unchanged")));
    assert_eq!(editions(&tiny), by_day(&[(DAYS[0], "3")]));
    // The destination of another pipeline, or a trial of this one, does not follow.
    let (_, elsewhere) = run(&tiny, DAYS[1], &["--destination", "trial"]);
    assert!(elsewhere["warnings"][0].as_str().unwrap().starts_with("nothing was copied to Delta Lake"), "{elsewhere}");
    assert_eq!(editions(&tiny), by_day(&[(DAYS[0], "3")]));
    // Demands that Segmill does not know.
    let log = tiny
        .read(&format!("tables/{first}"))
        .replace("\"minWriterVersion\":2", "\"minWriterVersion\":7,\"writerFeatures\":[\"rowTracking\"]");
    tiny.write(&format!("tables/{first}"), &log);
    let (status, error) = run(&tiny, DAYS[1], &[]);
    assert_eq!((status, code(&error)), (2, "unreadable-delta-table"), "{error}");
    assert!(error.to_string().contains("`rowTracking`"), "{error}");
}

/// A run that is ended while it copies says what it has published, and its record has the number.
#[test]
fn a_run_whose_time_is_up_while_it_copies_has_published() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tiny = copying("{location: 's3://bucket/tables', tables: [customers]}");
    let day = ["run", "pipelines/tiny.yaml", "--as-of", DAYS[0], "--timeout", "6s", "--format", "json", "--record", "record.json"];
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let variables =
        [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ALLOW_HTTP", "true"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let (status, error) = told(&tiny.command(&day).envs(variables).output().unwrap());
    let message = error["problems"][0]["message"].as_str().unwrap();
    assert_eq!(status, 75, "{error}");
    assert!(message.contains("the step `copy to Delta Lake` had been going on"), "{message}");
    assert!(message.ends_with("published as out/commits/00000001.json, but the copies in Delta Lake are not up to date"), "{message}");
    let record: Value = serde_json::from_str(&tiny.read("record.json")).unwrap();
    assert_eq!((&record["publication"], &record["unfinished_step"]), (&json!(1), &json!("copy to Delta Lake")), "{record}");
}

/// A folder with files of somebody else becomes no table, and keeps no day from being published.
#[test]
fn a_folder_with_files_of_others_becomes_no_table() {
    let tiny = copying("{location: tables, tables: [customers]}");
    tiny.write("tables/customers/part-0.parquet", "of somebody else");
    let days = ["run", "pipelines/tiny.yaml", "--format", "json", "--from", DAYS[0], "--to", DAYS[2]];
    let (status, told) = told(&tiny.segmill(&days));
    assert_eq!((status, &told["failed"]), (2, &json!(3)), "{told}");
    for run in told["runs"].as_array().unwrap() {
        let message = run["problems"][0]["message"].as_str().unwrap();
        assert_eq!(code(run), "foreign-delta-table", "{run}");
        assert!(message.contains("has files that are no copies, such as tables/customers/part-0.parquet"), "{message}");
    }
    assert!(!tiny.folder.path().join("tables/customers/_delta_log").exists());
    std::fs::remove_file(tiny.folder.path().join("tables/customers/part-0.parquet")).unwrap();
    assert_eq!(run(&tiny, DAYS[2], &[]).1["status"], "unchanged");
    assert_eq!(editions(&tiny), by_day(&[(DAYS[0], "1"), (DAYS[1], "1"), (DAYS[2], "1")]));
}

/// A table that has more than the destination is told, since later publications would be taken for copied.
#[test]
fn a_destination_that_was_restored_is_told() {
    let tiny = copying("{location: tables, tables: [customers]}");
    published(&tiny, DAYS[0], "1");
    published(&tiny, DAYS[1], "1");
    std::fs::remove_file(tiny.folder.path().join("out/commits/00000002.json")).unwrap();
    let (status, error) = run(&tiny, DAYS[0], &[]);
    assert_eq!((status, code(&error)), (2, "delta-table-ahead"), "{error}");
    assert!(error.to_string().contains("tables/customers has publication number 2, and the newest at out is number 1"), "{error}");
}

/// Files that others leave in the log are no versions, whatever number their names look like.
#[test]
fn names_that_are_no_versions_are_passed_over() {
    let tiny = copying("{location: tables, tables: [customers]}");
    published(&tiny, DAYS[0], "1");
    let log = "tables/customers/_delta_log";
    for name in ["20261127203000.json", "1700000000.checkpoint.parquet", "99999999999999999999.json", "notes.json"] {
        tiny.write(&format!("{log}/{name}"), "x");
    }
    let (status, result) = run(&tiny, DAYS[0], &["--param", "edition=2"]);
    assert_eq!((status, &result["status"]), (0, &json!("published")), "{result}");
    tiny.write(&format!("{log}/00000020261127203000.json"), "x");
    let (status, error) = run(&tiny, DAYS[0], &["--param", "edition=3"]);
    assert_eq!((status, code(&error)), (2, "unreadable-delta-table"));
    assert!(error.to_string().contains("its log lacks version 2"), "{error}");
}

/// A publication that is damaged is left out, and copied when it has been repaired, even after later ones.
#[test]
fn a_damaged_publication_is_copied_when_it_is_whole_again() {
    let tiny = copying("{location: tables, tables: [customers]}");
    tiny.write("tables/customers/part-0.parquet", "keeps the first day from being copied");
    assert_eq!(run(&tiny, DAYS[0], &[]).0, 2);
    std::fs::remove_file(tiny.folder.path().join("tables/customers/part-0.parquet")).unwrap();
    let commit: Value = serde_json::from_str(&tiny.read("out/commits/00000001.json")).unwrap();
    let file = tiny.folder.path().join("out").join(commit["tables"]["customers"]["files"][0]["path"].as_str().unwrap());
    let whole = std::fs::read(&file).unwrap();
    for damaged in [None, Some(whole[..whole.len() - 9].to_vec())] {
        std::fs::remove_file(&file).unwrap();
        if let Some(bytes) = &damaged {
            std::fs::write(&file, bytes).unwrap();
        }
        assert_eq!(run(&tiny, DAYS[1], &[]).0, 0);
        assert_eq!(editions(&tiny), by_day(&[(DAYS[1], "1")]));
        std::fs::write(&file, &whole).unwrap();
        if damaged.is_some() {
            assert_eq!(run(&tiny, DAYS[1], &[]).1["status"], "unchanged");
            assert_eq!(editions(&tiny), by_day(&[(DAYS[0], "1"), (DAYS[1], "1")]));
        }
    }
}

/// Columns come and go with the publication that has them. A type that older days do not have is refused, and the publication stands.
#[test]
fn columns_change_with_the_publications() {
    let tiny = copying("{location: tables, tables: [customers]}");
    let tables = tiny.folder.path().join("tables");
    let model = |more: &str| {
        let text = format!(
            "-- A customer.\nselect customer_id, count(*) as orders{more}, $edition as edition from staging.orders group by customer_id\n"
        );
        tiny.write("sql/customers.sql", &text);
    };
    let columns = || read(&tables, "customers").columns.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    published(&tiny, DAYS[0], "1");
    assert_eq!(columns(), ["customer_id", "orders", "edition", "as_of"]);
    model(", 1 as extra");
    published(&tiny, DAYS[1], "1");
    assert_eq!(columns(), ["customer_id", "orders", "extra", "edition", "as_of"]);
    model("");
    published(&tiny, DAYS[2], "1");
    assert_eq!(columns(), ["customer_id", "orders", "edition", "as_of"]);
    // The file of the second day has it still, as a number.
    model(", 'x' as extra");
    let (status, error) = run(&tiny, DAYS[2], &["--param", "edition=2"]);
    assert_eq!((status, code(&error)), (2, "delta-column-type"), "{error}");
    let message = error["problems"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("tables/customers cannot take 2026-11-03: the column `extra` is string there and long in the days before"),
        "{message}"
    );
    assert_eq!((read(&tables, "customers").versions, editions(&tiny)[DAYS[2]].as_str()), (3, "1"));
    // As the hint says: every day with the new type, and the folder removed.
    for day in [DAYS[0], DAYS[1]] {
        assert_eq!(run(&tiny, day, &["--param", "edition=3"]).0, 2);
    }
    std::fs::remove_dir_all(tables.join("customers")).unwrap();
    let (status, _) = run(&tiny, DAYS[1], &["--param", "edition=3"]);
    assert_eq!((status, editions(&tiny)), (0, by_day(&[(DAYS[0], "3"), (DAYS[1], "3"), (DAYS[2], "2")])));
    // A table with one day only can take any type for it.
    let alone = copying("{location: tables, tables: [customers]}");
    published(&alone, DAYS[0], "1");
    alone.write(
        "sql/customers.sql",
        "-- A customer.\nselect customer_id, 'many' as orders, $edition as edition from staging.orders group by customer_id\n",
    );
    alone.write("pipelines/tiny.yaml", &alone.read("pipelines/tiny.yaml").replace("orders > 1", "orders = 'many'"));
    published(&alone, DAYS[0], "2");
    assert_eq!(read(&alone.folder.path().join("tables"), "customers").columns[1], ("orders".to_owned(), json!("string")));
}

/// Runs that copy at the same time leave every day once, with its newest publication.
#[test]
fn runs_at_the_same_time_do_not_get_in_each_others_way() {
    let tiny = copying("{location: tables}");
    published(&tiny, DAYS[0], "1");
    for round in 2..6 {
        let runs: Vec<_> = DAYS
            .iter()
            .map(|day| {
                let mut command = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", day, "--param", &format!("edition={round}")]);
                command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for run in runs {
            let output = run.wait_with_output().unwrap();
            // Another run may have published the predecessor first: then this one says so.
            assert!(matches!(output.status.code(), Some(0 | 4)), "{}", String::from_utf8_lossy(&output.stderr));
        }
        for day in DAYS {
            let (status, result) = run(&tiny, day, &["--param", &format!("edition={round}")]);
            assert_eq!(status, 0, "{result}");
        }
        let edition = round.to_string();
        assert_eq!(editions(&tiny), DAYS.iter().map(|day| ((*day).to_owned(), edition.clone())).collect());
    }
}

/// Days that are withdrawn go from the tables with the next run, and by a checkpoint the log is read as without it.
#[test]
fn withdrawn_days_go_and_checkpoints_are_read() {
    let tiny = copying("{location: tables, tables: [customers]}");
    let log = tiny.folder.path().join("tables/customers/_delta_log");
    for edition in 1..=11 {
        published(&tiny, DAYS[0], &edition.to_string());
    }
    published(&tiny, DAYS[1], "1");
    assert!(log.join("00000000000000000010.checkpoint.parquet").exists());
    for version in 0..10 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    published(&tiny, DAYS[2], "1");
    let keeping = tiny.read("pipelines/tiny.yaml").replace("  delta:", "  keep: {days: 1}\n  delta:");
    tiny.write("pipelines/tiny.yaml", &keeping);
    let cleaned = tiny.segmill(&["clean", "pipelines/tiny.yaml", "--remove", "--grace", "0s"]);
    assert!(cleaned.status.success());
    published(&tiny, DAYS[2], "2");
    // What is withdrawn goes first, so that nothing holds it up.
    let newest = std::fs::read_to_string(log.join("00000000000000000013.json")).unwrap();
    assert!(newest.contains("\"operation\":\"DELETE\"") && newest.contains("as_of=2026-11-01"), "{newest}");
    // A log with a version missing is no log.
    std::fs::remove_file(log.join("00000000000000000012.json")).unwrap();
    let (status, error) = run(&tiny, DAYS[2], &["--param", "edition=3"]);
    assert_eq!((status, code(&error)), (2, "unreadable-delta-table"));
    assert!(error.to_string().contains("its log lacks version 12"), "{error}");
}

/// Values of personal columns are not in the log, which outlives the files.
#[test]
fn the_log_tells_no_personal_value() {
    let tiny = copying("{location: tables}");
    let text = tiny.read("pipelines/tiny.yaml").replace(
        "      customer_id: {type: string, required: true}",
        "      customer_id: {type: string, required: true}\n      birth_year: {type: integer, personal: true}",
    );
    tiny.write("pipelines/tiny.yaml", &text);
    let extract = orders();
    let extract = extract.lines().enumerate().map(|(at, line)| format!("{line},{}\n", if at == 0 { "birth_year" } else { "1987" }));
    tiny.write("extracts/orders.csv", &extract.collect::<String>());
    tiny.write("sql/staging/orders.sql", "-- An order.\nselect customer_id, ordered_at, birth_year from sources.orders\n");
    tiny.write(
        "sql/customers.sql",
        "-- A customer.\nselect customer_id, count(*) as orders, $edition as edition, max(birth_year) as born from staging.orders group by customer_id\n",
    );
    published(&tiny, DAYS[0], "1");
    let log = tiny.read("tables/customers/_delta_log/00000000000000000000.json");
    assert!(log.contains(r#"\"maxValues\":{\"orders\":2,\"edition\":1}"#), "{log}");
    // As values, not as a part of a name or a time.
    assert!(!log.contains(":1987") && !log.contains(r#"\"c0"#), "{log}");
}

/// A location that would mix with what Segmill keeps, or that sources read, is refused before anything is published.
#[test]
fn a_location_is_a_folder_of_its_own() {
    for (location, refused) in [
        ("out", "unusable-delta-location"),
        ("out/delta", "unusable-delta-location"),
        ("/", "unusable-delta-location"),
        ("https://example.com/tables", "invalid-location"),
        ("memory:///tables", "invalid-location"),
    ] {
        let tiny = copying(&format!("{{location: '{location}'}}"));
        let (status, error) = run(&tiny, DAYS[0], &[]);
        assert_eq!((status, code(&error)), (2, refused), "{location}: {error}");
        assert!(!tiny.folder.path().join("out/commits").exists());
    }
    for (setting, instead, refused) in [
        ("${EXTRACTS:-extracts}/*.csv", "tables/customers/*/*.parquet", "reads-own-outputs"),
        ("${EXTRACTS:-extracts}/*.csv", "tables/customers/extracts/*.csv", "reads-own-outputs"),
        // VACUUM of the table would remove what the destination holds.
        ("destination: ${DESTINATION:-out}", "destination: tables/customers/out", "unusable-delta-location"),
        ("destination: ${DESTINATION:-out}", "destination: tables/customers", "unusable-delta-location"),
    ] {
        let tiny = copying("{location: tables}");
        let text = tiny.read("pipelines/tiny.yaml");
        assert!(text.contains(setting));
        tiny.write("pipelines/tiny.yaml", &text.replace(setting, instead));
        let (status, error) = run(&tiny, DAYS[0], &[]);
        assert_eq!((status, code(&error)), (2, refused), "{instead}: {error}");
    }
}

/// A store that would let two writers write one version is refused.
#[test]
fn a_store_without_conditions_is_refused() {
    let tiny = copying("{location: 'memory:///tables', tables: [customers]}");
    let job = Job {
        pipeline: tiny.folder.path().join("pipelines/tiny.yaml"),
        as_of: DAYS[0],
        environment: BTreeMap::from([("DESTINATION".to_owned(), tiny.folder.path().join("out").to_str().unwrap().to_owned())]),
        parameters: BTreeMap::new(),
    };
    let mut store = Breaking::new(Arc::new(InMemory::new()), None);
    store.honours_create = false;
    let Some(Err(Error::Project(problems))) = block_on(job.run(store)) else { panic!("the store is refused") };
    assert_eq!(problems[0].code, "store-without-conditions");
    assert!(problems[0].message.starts_with("published as "), "{}", problems[0].message);
}

/// Copies within a store and from one store to another, by several runs at once.
#[test]
#[ignore = "needs SeaweedFS and Azurite: see CONTRIBUTING.md; .ci/run runs it"]
fn copies_in_stores_are_whole_whoever_makes_them() {
    let (s3, azure) = (seaweed(), azurite());
    let places = [Place::s3(&s3, "delta"), Place::at("az://shop/delta", azure_variables(azure.port))];
    for (of, from) in places.iter().enumerate() {
        let (store, _) = block_on(from.fill());
        drop(store);
        for (at, to) in places.iter().enumerate() {
            let tiny = copying("\n    location: ${DELTA}\n    tables: [customers]");
            let tables = format!("{}/from-{of}", to.url);
            let destination = format!("{}/out-{at}", from.url);
            let command = |day: &str, edition: &str| {
                let edition = format!("edition={edition}");
                let mut command =
                    from.command(&tiny, &["run", "pipelines/tiny.yaml", "--as-of", day, "--param", &edition, "--format", "json"]);
                let variables = places.iter().flat_map(|place| place.variables.clone());
                command.envs(variables).env("DESTINATION", &destination).env("DELTA", &tables);
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
                command
            };
            let (status, result) = told(&command(DAYS[0], "1").output().unwrap());
            assert_eq!(status, 0, "{tables}: {result}");
            let runs: Vec<_> = DAYS.iter().map(|day| command(day, "2").spawn().unwrap()).collect();
            for run in runs {
                let output = run.wait_with_output().unwrap();
                assert!(matches!(output.status.code(), Some(0 | 4)), "{tables}: {}", String::from_utf8_lossy(&output.stderr));
            }
            for day in DAYS {
                let (status, result) = told(&command(day, "2").output().unwrap());
                assert_eq!(status, 0, "{tables}: {result}");
            }
            let place = Place::at(tables.clone(), to.variables.clone()).open();
            let table = block_on(logged(&place.store, place.join("customers").as_ref()));
            assert_eq!(table.files.values().collect::<BTreeSet<_>>().len(), 3, "{tables}: {table:?}");
            // Each file is there, and it is the publication's.
            let newest = block_on(segmill::publish::Publications::read(&from.stores().open(&destination, Path::new("")).unwrap())).unwrap();
            for (path, day) in &table.files {
                let bytes =
                    block_on(async { place.store.get(&place.join(&format!("customers/{path}"))).await.unwrap().bytes().await.unwrap() });
                let commit = block_on(newest.of(day.parse().unwrap())).unwrap().unwrap();
                assert_eq!(format!("{:x}", Sha256::digest(&bytes)), commit.tables["customers"].files[0].sha256, "{tables}: {path}");
            }
        }
    }
}
