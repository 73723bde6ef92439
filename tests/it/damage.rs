use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use rand::{RngExt, SeedableRng};
use segmill::error::ExitStatus;
use segmill::publish::clean::{self, CleanRequest};
use segmill::storage::{Location, Stores};
use serde_json::{Value, json};

use crate::breaking_store::{Breaking, How, Job};
use crate::ownership::{DAY, code, command, contents, run};
use crate::publishing::files;
use crate::readers::{listed, resolved};
use crate::tiny::{Tiny, orders};

const OTHER_DAY: &str = "2026-12-24";
const EARLIER_DAY: &str = "2026-10-20";

/// A publication of the day, with what is then done to its files; and a note as a run leaves that died while it published.
fn damaged(is_noted: bool, harm: impl Fn(&Tiny, &Value)) -> Tiny {
    let tiny = Tiny::new();
    assert_eq!(run(&tiny, &[]).0, 0);
    let commit: Value = serde_json::from_str(&tiny.read("out/commits/00000001.json")).unwrap();
    let run_id = commit["run_id"].as_str().unwrap();
    if is_noted {
        let note = json!({"run_id": run_id, "as_of": DAY, "tables": ["customers"]});
        tiny.write(&format!("out/pending/{run_id}.json"), &note.to_string());
    }
    harm(&tiny, &commit);
    tiny
}

fn remove(tiny: &Tiny, path: &str) {
    std::fs::remove_file(tiny.folder.path().join("out").join(path)).unwrap();
}

fn file_of<'a>(commit: &'a Value, table: &str) -> &'a str {
    commit["tables"][table]["files"][0]["path"].as_str().unwrap()
}

type Harm = fn(&Tiny, &Value);

/// The harm that takes what the next day is built on, of which there is no copy.
const STATE_TOO: &str = "all of the run's files are gone";

/// Ways in which a live publication loses something, and whether that can be put back.
const HARMS: [(&str, Harm, bool); 5] = [
    (
        "a file and its copy are gone",
        |tiny, commit| {
            remove(tiny, file_of(commit, "customers"));
            remove(tiny, commit["tables"]["customers"]["folder_path"].as_str().unwrap());
        },
        false,
    ),
    ("a file is gone and its copy is there", |tiny, commit| remove(tiny, file_of(commit, "customers")), true),
    (
        "a file is cut short and its copy is gone",
        |tiny, commit| {
            tiny.write(&format!("out/{}", file_of(commit, "rejected")), "PAR1");
            remove(tiny, commit["tables"]["rejected"]["folder_path"].as_str().unwrap());
        },
        false,
    ),
    (
        STATE_TOO,
        |tiny, commit| std::fs::remove_dir_all(tiny.folder.path().join("out/runs").join(commit["run_id"].as_str().unwrap())).unwrap(),
        false,
    ),
    (
        "the commit is gone, and another day's is the newest",
        |tiny, _| {
            assert_eq!(command(tiny, "run", &["--as-of", "2026-11-30"]).0, 0);
            remove(tiny, "commits/00000001.json");
        },
        false,
    ),
];

#[test]
fn a_publication_whose_files_are_gone_is_told_as_damage_and_keeps_no_other_day_back() {
    for (harm, do_harm, _) in HARMS {
        for is_noted in [false, true] {
            let tiny = damaged(is_noted, do_harm);
            for (name, arguments) in [("run", &["--as-of", DAY][..]), ("outputs", &["--as-of", DAY])] {
                let (status, error) = command(&tiny, name, arguments);
                assert_eq!((status, code(&error)), (2, "damaged-publication"), "{harm}, {name}: {error}");
                assert!(error.to_string().contains("clean --repair"), "it says what to do: {error}");
            }
            let (status, told) = command(&tiny, "clean", &["--remove", "--grace", "0s"]);
            assert_eq!((status, &told["status"], &told["damaged"][0]["as_of"]), (2, &"damaged".into(), &DAY.into()), "{harm}: {told}");
            // A later day waits only where what it would be built on is gone.
            let (status, later) = command(&tiny, "run", &["--as-of", OTHER_DAY]);
            let waits = harm == STATE_TOO;
            assert_eq!((status, code(&later) == "damaged-publication"), if waits { (2, true) } else { (0, false) }, "{harm}: {later}");
            let other_day = if waits { EARLIER_DAY } else { OTHER_DAY };
            let (status, other) = command(&tiny, "run", &["--as-of", other_day]);
            let expected = if waits { "published" } else { "unchanged" };
            assert_eq!((status, &other["status"]), (0, &expected.into()), "{harm}: {other}");
            let (status, outputs) = command(&tiny, "outputs", &["--as-of", other_day]);
            assert_eq!((status, &outputs["as_of"]), (0, &other_day.into()), "{harm}: {outputs}");
        }
    }
}

/// A report of damage does not end by saying that there is nothing to do.
#[test]
fn clean_says_that_there_is_nothing_to_clean_only_where_there_is_nothing() {
    let tiny = damaged(true, HARMS[0].1);
    let clean = |more: &[&str]| {
        let output = tiny.segmill(&[&["clean", "pipelines/tiny.yaml"], more].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let told = clean(&[]);
    assert!(told.contains("is damaged") && !told.contains("nothing to clean"), "{told}");
    let repaired = clean(&["--repair"]);
    assert!(repaired.contains(DAY) && !repaired.contains("nothing to clean"), "{repaired}");
    assert_eq!(run(&tiny, &[]).0, 0);
    clean(&["--remove", "--grace", "0s"]);
    assert_eq!(clean(&["--grace", "0s"]).trim_end(), "There is nothing to clean.");
}

#[test]
fn one_command_repairs_a_destination() {
    for (harm, do_harm, is_restored) in HARMS {
        let tiny = damaged(true, do_harm);
        let (status, told) = command(&tiny, "clean", &["--repair"]);
        let repair = if is_restored { "restored" } else { "withdrawn" };
        assert_eq!((status, &told["damaged"][0]["repair"]), (0, &repair.into()), "{harm}: {told:#}");
        let written: Value =
            serde_json::from_str(&std::fs::read_to_string(&files(&tiny.folder.path().join("out/cleans"))[0]).unwrap()).unwrap();
        assert_eq!(written["repaired"][DAY], repair, "{harm}: it is written down");
        let (status, again) = run(&tiny, &[]);
        let expected = if is_restored { "unchanged" } else { "published" };
        assert_eq!((status, &again["status"]), (0, &expected.into()), "{harm}: {again}");
        assert_eq!(command(&tiny, "outputs", &["--as-of", DAY]).0, 0, "{harm}");
        let (status, clean) = command(&tiny, "clean", &["--remove", "--grace", "0s"]);
        assert_eq!((status, &clean["damaged"]), (0, &json!([])), "{harm}: {clean}");
    }
}

#[test]
fn a_forced_run_publishes_a_damaged_day_anew() {
    for (harm, do_harm, _) in HARMS {
        let tiny = damaged(true, do_harm);
        let (status, again) = run(&tiny, &["--force"]);
        assert_eq!((status, &again["status"]), (0, &"published".into()), "{harm}: {again}");
        assert_eq!(command(&tiny, "outputs", &["--as-of", DAY]).0, 0, "{harm}");
        assert_eq!(run(&tiny, &[]).1["status"], "unchanged", "{harm}");
        assert_eq!(command(&tiny, "clean", &["--remove", "--grace", "0s"]).0, 0, "{harm}");
    }
}

/// A backfill goes on past what concerns one day alone.
#[test]
fn a_backfill_goes_on_past_a_damaged_day_and_a_taken_one() {
    let tiny = damaged(true, HARMS[0].1);
    tiny.write("out/customers/as_of=2026-11-02/part-0.parquet", "of another tool");
    let (status, told) = command(&tiny, "run", &["--from", "2026-11-01", "--to", "2026-11-03"]);
    assert_eq!((status, &told["failed"], &told["published"], &told["not_tried"]), (2, &2.into(), &1.into(), &0.into()), "{told}");
}

/// What a check of change compares with may be damaged: then it is skipped, and says so.
#[test]
fn a_damaged_day_before_is_not_compared_with() {
    let tiny = damaged(false, HARMS[0].1);
    let change = "checks:\n  - {name: steady, change: {table: customers, max_fall: 0.1}}\n";
    tiny.write("pipelines/tiny.yaml", &(tiny.read("pipelines/tiny.yaml") + change));
    let (status, other) = command(&tiny, "run", &["--as-of", OTHER_DAY]);
    assert_eq!((status, &other["checks"][0]["outcome"]), (0, &"skipped".into()), "{other:#}");
    assert!(other["checks"][0]["found"].as_str().unwrap().contains("damaged"), "{other:#}");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(future)
}

struct Shop {
    tiny: Tiny,
    store: Arc<dyn ObjectStore>,
}

impl Shop {
    async fn new() -> Shop {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&"extracts/orders.csv".into(), PutPayload::from(orders())).await.unwrap();
        let shop = Shop { tiny: Tiny::new(), store };
        shop.job("1").run(Breaking::new(Arc::clone(&shop.store), None)).await.unwrap().unwrap();
        shop
    }

    fn job(&self, edition: &str) -> Job {
        let places = [("EXTRACTS", "memory:///extracts"), ("DESTINATION", "memory:///out")];
        Job {
            pipeline: self.tiny.folder.path().join("pipelines/tiny.yaml"),
            as_of: DAY,
            environment: places.map(|(name, place)| (name.to_owned(), place.to_owned())).into(),
            parameters: BTreeMap::from([("edition".to_owned(), edition.to_owned())]),
        }
    }

    fn destination(&self) -> Location {
        let stores = Stores::new(BTreeMap::default());
        stores.provide("memory:", Arc::clone(&self.store));
        stores.open("memory:///out", std::path::Path::new("")).unwrap()
    }

    /// A clean that knows no grace, as somebody runs it who believes that nothing else is running.
    async fn clean(&self) {
        let (destination, request) = (self.destination(), CleanRequest::after(chrono::Duration::zero()));
        let found = clean::find(&destination, &request).await.unwrap();
        assert!(found.damaged.is_empty() && found.unknown.is_empty(), "{found:?}");
        clean::remove(&destination, &request, found, false, true).await.unwrap();
    }

    async fn seen(&self) -> (Option<u64>, Option<u64>) {
        (resolved(&self.store, "out", DAY).await, listed(&self.store, "out", DAY).await)
    }
}

/// A run that is stopped before each of its storage calls while a whole clean without grace passes, and then goes on.
#[test]
fn a_clean_at_any_moment_of_a_run_leaves_whole_publications() {
    block_on(async {
        let shop = Shop::new().await;
        let calls = shop.job("2").calls(Arc::clone(&shop.store)).await.len();
        let (mut published, mut given_up) = (0, 0);
        for at in 0..calls {
            let edition = u64::try_from(at).unwrap() + 3;
            let before = shop.seen().await;
            let paused = Arc::new(Breaking::new(Arc::clone(&shop.store), Some((at, How::Waits))));
            let (job, shop_ref) = (shop.job(&edition.to_string()), &shop);
            let meanwhile = async {
                paused.over.notified().await;
                shop_ref.clean().await;
                paused.go_on.notify_one();
            };
            let (done, ()) = tokio::join!(job.run_to_its_end(Arc::clone(&paused)), meanwhile);
            match done {
                Ok(_) => {
                    assert_eq!(shop.seen().await, (Some(edition), Some(edition)), "at {at}");
                    published += 1;
                }
                Err(error) => {
                    assert_eq!(error.exit_status(), ExitStatus::Conflict, "at {at}: {error}");
                    assert_eq!(shop.seen().await, before, "at {at}: {error}");
                    given_up += 1;
                }
            }
            // Nobody is kept back by what that left.
            shop.clean().await;
            let again = shop.job(&edition.to_string()).run(Breaking::new(Arc::clone(&shop.store), None)).await.unwrap();
            again.unwrap_or_else(|error| panic!("at {at}: {error}"));
            assert_eq!(shop.seen().await, (Some(edition), Some(edition)), "at {at}");
        }
        assert!(published > 10 && given_up > 3, "{published} published, {given_up} gave up");
    });
}

/// A clean that is stopped before each of its calls while a whole run passes, and then goes on.
#[test]
fn a_run_at_any_moment_of_a_clean_is_not_harmed() {
    block_on(async {
        let shop = Shop::new().await;
        for at in 0..40 {
            let edition = u64::try_from(at).unwrap() + 2;
            // Something to clean: a superseded publication, and a run that died while it staged.
            let dead = Arc::new(Breaking::new(Arc::clone(&shop.store), Some((24, How::Hangs))));
            shop.job(&format!("9{edition}")).run_on(dead).await;
            shop.job(&(1000 + edition).to_string()).run(Breaking::new(Arc::clone(&shop.store), None)).await.unwrap().unwrap();
            let paused = Arc::new(Breaking::new(Arc::clone(&shop.store), Some((at, How::Waits))));
            let stores = Stores::new(BTreeMap::default());
            stores.provide("memory:", Arc::new(crate::breaking_store::Shared(Arc::clone(&paused))));
            let destination = stores.open("memory:///out", std::path::Path::new("")).unwrap();
            let request = CleanRequest::after(chrono::Duration::zero());
            let cleaning = async {
                let found = clean::find(&destination, &request).await?;
                assert!(found.damaged.is_empty() && found.unknown.is_empty(), "{at}: {found:?}");
                let removed = clean::remove(&destination, &request, found, false, true).await;
                // One that makes fewer calls than that has been passed by nobody.
                paused.over.notify_one();
                removed
            };
            let (job, paused_ref) = (shop.job(&edition.to_string()), &paused);
            let meanwhile = async {
                paused_ref.over.notified().await;
                let done = job.run(Breaking::new(Arc::clone(&shop.store), None)).await.unwrap();
                paused_ref.go_on.notify_one();
                done
            };
            let (cleaned, done) = tokio::join!(cleaning, meanwhile);
            cleaned.unwrap_or_else(|error| panic!("at {at}: {error}"));
            done.unwrap_or_else(|error| panic!("at {at}: {error}"));
            assert_eq!(shop.seen().await, (Some(edition), Some(edition)), "at {at}");
        }
    });
}

/// A run that is stopped while a clean looks around, ends before the clean removes anything, or after some of it.
#[test]
fn a_run_that_goes_on_in_the_middle_of_a_clean_publishes_a_whole_day_or_nothing() {
    block_on(async {
        let shop = Shop::new().await;
        let calls = shop.job("2").calls(Arc::clone(&shop.store)).await.len();
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(5);
        let (mut published, mut given_up) = (0, 0);
        for edition in 3..123 {
            let before = shop.seen().await;
            let point = (random.random_range(calls / 3..calls), random.random_range(6..30));
            let wait = |at| Arc::new(Breaking::new(Arc::clone(&shop.store), Some((at, How::Waits))));
            let (running, cleaning) = (wait(point.0), wait(point.1));
            let stores = Stores::new(BTreeMap::default());
            stores.provide("memory:", Arc::new(crate::breaking_store::Shared(Arc::clone(&cleaning))));
            let destination = stores.open("memory:///out", std::path::Path::new("")).unwrap();
            let request = CleanRequest::after(chrono::Duration::zero());
            let clean = async {
                running.over.notified().await;
                let found = clean::find(&destination, &request).await?;
                assert!(found.damaged.is_empty() && found.unknown.is_empty(), "{found:?}");
                let removed = clean::remove(&destination, &request, found, false, true).await;
                cleaning.over.notify_one();
                removed
            };
            let run = async {
                let job = shop.job(&edition.to_string());
                let go_on = async {
                    cleaning.over.notified().await;
                    running.go_on.notify_one();
                };
                let (done, ()) = tokio::join!(job.run_to_its_end(Arc::clone(&running)), go_on);
                cleaning.go_on.notify_one();
                done
            };
            let (cleaned, done) = tokio::join!(clean, run);
            cleaned.unwrap_or_else(|error| panic!("{point:?}: {error}"));
            match done {
                Ok(_) => {
                    assert_eq!(shop.seen().await, (Some(edition), Some(edition)), "{point:?}");
                    published += 1;
                }
                Err(error) => {
                    assert_eq!(error.exit_status(), ExitStatus::Conflict, "{point:?}: {error}");
                    assert_eq!(shop.seen().await, before, "{point:?}: {error}");
                    given_up += 1;
                }
            }
            let request = CleanRequest { note_grace: chrono::Duration::zero(), ..CleanRequest::after(chrono::Duration::zero()) };
            let found = clean::find(&shop.destination(), &request).await.unwrap();
            assert!(found.damaged.is_empty() && found.unknown.is_empty(), "{point:?}: {found:?}");
        }
        assert!(published > 20 && given_up > 20, "{published} published, {given_up} gave up");
    });
}

/// A clean that dies at any of its calls has harmed nothing, and the next one ends what it began.
#[test]
fn a_clean_that_breaks_off_anywhere_is_ended_by_the_next() {
    block_on(async {
        for at in 0..40 {
            for how in [How::Fails, How::FailsDone, How::DiesDone] {
                let shop = Shop::new().await;
                shop.job("2").run(Breaking::new(Arc::clone(&shop.store), None)).await.unwrap().unwrap();
                let dead = Arc::new(Breaking::new(Arc::clone(&shop.store), Some((24, How::Hangs))));
                shop.job("3").run_on(dead).await;
                let breaking = Arc::new(Breaking::new(Arc::clone(&shop.store), Some((at, how))));
                let stores = Stores::new(BTreeMap::default());
                stores.provide("memory:", Arc::new(crate::breaking_store::Shared(Arc::clone(&breaking))));
                let destination = stores.open("memory:///out", std::path::Path::new("")).unwrap();
                let request = CleanRequest::after(chrono::Duration::zero());
                let cleaning = async {
                    let found = clean::find(&destination, &request).await?;
                    clean::remove(&destination, &request, found, false, true).await
                };
                tokio::select! {
                    _ = cleaning => {}
                    () = breaking.over.notified() => {}
                }
                assert_eq!(shop.seen().await, (Some(2), Some(2)), "{at} {how:?}");
                shop.clean().await;
                let found = clean::find(&shop.destination(), &request).await.unwrap();
                assert!(found.orphaned.is_empty() && found.unknown.is_empty(), "{at} {how:?}: {found:?}");
                shop.job("4").run(Breaking::new(Arc::clone(&shop.store), None)).await.unwrap().unwrap();
                assert_eq!(shop.seen().await, (Some(4), Some(4)), "{at} {how:?}");
            }
        }
    });
}

/// Somebody's own files are as they were, whatever is repaired beside them.
#[test]
fn a_repair_touches_nothing_foreign() {
    let tiny = damaged(true, HARMS[0].1);
    let foreign = ["out/customers/notes.txt", "out/runs/exp/model.bin", "out/pending/x.pdf"];
    for path in foreign {
        tiny.write(path, "precious");
    }
    let before: Vec<String> = foreign.iter().map(|path| tiny.read(path)).collect();
    assert_eq!(command(&tiny, "clean", &["--repair", "--remove", "--grace", "0s"]).0, 0);
    assert_eq!(foreign.iter().map(|path| tiny.read(path)).collect::<Vec<_>>(), before);
    assert!(!contents(&tiny.folder.path().join("out")).is_empty());
}
