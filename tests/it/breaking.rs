use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use segmill::error::{Error, ExitStatus};
use segmill::job::Done;
use segmill::publish::clean::{self, CleanRequest};
use segmill::storage::{Location, Stores};

use crate::breaking_store::{Breaking, How, Job, copied, points};
use crate::readers::{commit_of, listed, resolved};
use crate::support::tell;
use crate::tiny::{Tiny, orders};

const DAY: &str = "2026-11-01";
pub const ROOT: &str = "out";

/// A run of the tiny project that publishes an edition.
fn job(tiny: &Tiny, edition: &str) -> Job {
    Job {
        pipeline: tiny.folder.path().join("pipelines/tiny.yaml"),
        as_of: DAY,
        environment: BTreeMap::from([
            ("EXTRACTS".to_owned(), "memory:///extracts".to_owned()),
            ("DESTINATION".to_owned(), format!("memory:///{ROOT}")),
        ]),
        parameters: BTreeMap::from([("edition".to_owned(), edition.to_owned())]),
    }
}

/// A store that holds the extract and edition 1 of the day.
async fn published_once(tiny: &Tiny) -> InMemory {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    store.put(&"extracts/orders.csv".into(), PutPayload::from(orders())).await.unwrap();
    job(tiny, "1").run(Breaking::new(Arc::clone(&store), None)).await.unwrap().unwrap();
    copied(&store).await
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What readers find: the edition that the commit names, and the oldest and newest edition of a table in the folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub commit: Option<u64>,
    pub folders: Option<(u64, u64)>,
}

impl Seen {
    fn only(edition: u64) -> Seen {
        Seen { commit: Some(edition), folders: Some((edition, edition)) }
    }
}

async fn look(store: &Arc<dyn ObjectStore>) -> Seen {
    let folders = listed(store, ROOT, DAY).await.map(|edition| (edition, edition));
    Seen { commit: resolved(store, ROOT, DAY).await, folders }
}

/// Every storage call of a run that publishes a day again goes wrong once in each way.
#[test]
fn whatever_call_breaks_readers_see_one_publication_and_the_next_run_mends_the_rest() {
    let tiny = Tiny::new();
    let calls = block_on(async { job(&tiny, "2").calls(Arc::new(published_once(&tiny).await.fork())).await });
    let writes = calls.iter().filter(|kind| kind.writes()).count();
    let points = points(&calls);
    assert!(calls.len() > 30 && writes >= 12, "{} calls, {writes} of them writes", calls.len());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                block_on(async {
                    let (old, job) = (published_once(&tiny).await, job(&tiny, "2"));
                    while let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
                        let store: Arc<dyn ObjectStore> = Arc::new(old.fork());
                        breaks(&job, &store, *point, look).await;
                        mends(&job, &store, *point, look).await;
                    }
                });
            });
        }
    });
    tell(&format!("{} points: {} storage calls, {writes} of them writes", points.len(), calls.len()));
}

/// Runs edition 2 over edition 1 while a call goes wrong: whatever comes of it, readers see one or the other.
pub async fn breaks(
    job: &Job,
    store: &Arc<dyn ObjectStore>,
    point: (usize, How),
    look: impl AsyncFn(&Arc<dyn ObjectStore>) -> Seen,
) -> Seen {
    let outcome = job.run(Breaking::new(Arc::clone(store), Some(point))).await;
    let seen = look(store).await;
    let commit = seen.commit.unwrap_or_else(|| panic!("{point:?}: no publication"));
    assert!([1, 2].contains(&commit), "{point:?}: {seen:?}");
    assert!(seen.folders.is_some_and(|(oldest, newest)| oldest >= 1 && newest <= commit), "{point:?}: {seen:?}");
    match &outcome {
        Some(Ok(Done::Published(_))) => assert_eq!(seen, Seen::only(2), "{point:?}"),
        Some(Ok(Done::Unchanged(_))) => panic!("{point:?}: something has changed"),
        Some(Err(error)) => {
            assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{point:?}: {error}");
            // Who is told that nothing was published, or nothing about it, may rely on it.
            let told = error.to_string();
            assert!(commit == 1 || told.contains("published as") || told.contains("not known"), "{point:?}: {told}");
        }
        None => {}
    }
    seen
}

/// The next run publishes edition 2, if that is not done, and after `clean` nothing else is left.
pub async fn mends(job: &Job, store: &Arc<dyn ObjectStore>, point: (usize, How), look: impl AsyncFn(&Arc<dyn ObjectStore>) -> Seen) {
    let again = job.run(Breaking::new(Arc::clone(store), None)).await.unwrap();
    again.unwrap_or_else(|error| panic!("{point:?}: the next run fails: {error}"));
    assert_eq!(look(store).await, Seen::only(2), "{point:?}");
    leaves_no_orphan(store, job.as_of, point).await;
    assert_eq!(look(store).await, Seen::only(2), "{point:?}");
}

/// Removes all that no publication needs, by somebody who knows that nothing is running; how many files went.
pub async fn cleaned(destination: &Location) -> usize {
    let request = CleanRequest { note_grace: chrono::Duration::zero(), ..CleanRequest::after(chrono::Duration::zero()) };
    let found = clean::find(destination, &request).await.unwrap();
    assert!(found.damaged.is_empty() && found.unknown.is_empty(), "{found:?}");
    clean::remove(destination, &request, found, false, true).await.unwrap().orphaned.len()
}

/// After `clean` there is what the publication needs, and nothing else.
async fn leaves_no_orphan(store: &Arc<dyn ObjectStore>, day: &str, point: (usize, How)) {
    let stores = Stores::new(BTreeMap::default());
    stores.provide("memory:", Arc::clone(store));
    let destination = stores.open(&format!("memory:///{ROOT}"), std::path::Path::new("")).unwrap();
    cleaned(&destination).await;
    let commit = commit_of(store, ROOT, day).await.unwrap();
    let mut needed = BTreeSet::from([format!("{ROOT}/segmill.json"), format!("{ROOT}/commits/{:08}.json", commit.number)]);
    needed.extend(commit.files().map(|file| format!("{ROOT}/{}", file.path)));
    for table in commit.tables.values() {
        needed.extend([&table.folder_path, &table.urls_path].map(|path| format!("{ROOT}/{path}")));
    }
    let left: BTreeSet<String> = store.list(Some(&ROOT.into())).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    // A publication keeps its record, and the rows that checks warned of; a clean keeps its own.
    let beside = ["record.json", "failed_checks/"].map(|name| format!("{ROOT}/runs/{}/{name}", commit.run_id));
    let left: BTreeSet<String> = left.into_iter().filter(|path| !beside.iter().any(|kept| path.starts_with(kept))).collect();
    let left: BTreeSet<String> = left.into_iter().filter(|path| !path.starts_with(&format!("{ROOT}/cleans/"))).collect();
    assert_eq!(left, needed, "{point:?}");
}

#[test]
fn of_runs_at_once_one_publishes_and_the_others_exit_4() {
    let tiny = Tiny::new();
    block_on(async {
        let store: Arc<dyn ObjectStore> = Arc::new(published_once(&tiny).await);
        for round in 2..7 {
            let job = job(&tiny, &round.to_string());
            let runs = (0..8).map(|_| job.run(Breaking::new(Arc::clone(&store), None)));
            let outcomes = futures::future::join_all(runs).await;
            let published = outcomes.iter().filter(|outcome| matches!(outcome, Some(Ok(Done::Published(_))))).count();
            let lost = outcomes.iter().filter(|outcome| matches!(outcome, Some(Err(Error::Conflict(_))))).count();
            assert_eq!((published, lost), (1, 7), "round {round}");
            assert_eq!(commit_of(&store, ROOT, DAY).await.unwrap().number, round);
            assert_eq!((resolved(&store, ROOT, DAY).await, listed(&store, ROOT, DAY).await), (Some(round), Some(round)));
        }
    });
}

#[test]
fn of_pipelines_at_once_one_gets_the_destination() {
    let (tiny, other) = (Tiny::new(), Tiny::new());
    other.write("pipelines/tiny.yaml", &other.read("pipelines/tiny.yaml").replace("name: tiny", "name: other"));
    block_on(async {
        for _ in 0..4 {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            store.put(&"extracts/orders.csv".into(), PutPayload::from(orders())).await.unwrap();
            let jobs = [job(&tiny, "1"), job(&other, "1")];
            let runs = jobs.iter().map(|job| job.run(Breaking::new(Arc::clone(&store), None)));
            let mut outcomes: Vec<_> = futures::future::join_all(runs).await.into_iter().flatten().collect();
            outcomes.sort_by_key(Result::is_err);
            assert!(matches!(outcomes[0], Ok(Done::Published(_))));
            let error = outcomes.pop().unwrap().unwrap_err();
            assert!(error.to_string().contains("[another-pipeline]"), "{error}");
            assert_eq!(commit_of(&store, ROOT, DAY).await.unwrap().number, 1);
        }
    });
}

#[test]
fn a_store_that_ignores_create_if_absent_is_refused() {
    let tiny = Tiny::new();
    block_on(async {
        let store: Arc<dyn ObjectStore> = Arc::new(published_once(&tiny).await);
        let mut ignoring = Breaking::new(Arc::clone(&store), None);
        ignoring.honours_create = false;
        let error = job(&tiny, "2").run(ignoring).await.unwrap().unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Project);
        assert!(error.to_string().contains("[store-without-conditions]"), "{error}");
        assert_eq!((resolved(&store, ROOT, DAY).await, listed(&store, ROOT, DAY).await), (Some(1), Some(1)));
    });
}
