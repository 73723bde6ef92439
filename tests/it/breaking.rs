use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use segmill::engine::Limits;
use segmill::error::{Error, ExitStatus};
use segmill::publish::clean;
use segmill::record::Recorder;
use segmill::report::Progress;
use segmill::run::{self, Done, Request};
use segmill::storage::Stores;
use tokio::sync::Notify;

use crate::readers::{commit_of, listed, resolved};
use crate::support::tell;
use crate::tiny::{Tiny, orders};

const DAY: &str = "2026-11-01";
const ROOT: &str = "out";

/// How a storage call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It fails and has done nothing.
    Fails,
    /// It fails although it was done: its answer was lost.
    FailsDone,
    /// It never ends, until the process is ended.
    Hangs,
    /// The process dies when the call has been done.
    DiesDone,
}

/// A store in which one call goes wrong.
struct Breaking {
    inner: Arc<dyn ObjectStore>,
    calls: AtomicUsize,
    writes: std::sync::Mutex<BTreeSet<usize>>,
    wrong: Option<(usize, How)>,
    dead: AtomicBool,
    over: Notify,
    honours_create: bool,
}

impl Breaking {
    fn new(inner: Arc<dyn ObjectStore>, wrong: Option<(usize, How)>) -> Self {
        let (calls, writes, dead, over) = Default::default();
        Breaking { inner, calls, writes, wrong, dead, over, honours_create: true }
    }

    /// Counts a call and makes it, as well as it goes.
    async fn call<T>(&self, is_write: bool, done: impl Future<Output = object_store::Result<T>>) -> object_store::Result<T> {
        if self.dead.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if is_write {
            self.writes.lock().unwrap().insert(number);
        }
        // Others get their turn, as they do while a request is on its way.
        tokio::task::yield_now().await;
        let Some((_, how)) = self.wrong.filter(|(at, _)| *at == number) else { return done.await };
        let broken = || object_store::Error::Generic { store: "breaking", source: "broken on purpose".into() };
        match how {
            How::Fails => Err(broken()),
            How::FailsDone => done.await.and(Err(broken())),
            How::Hangs => self.end().await,
            How::DiesDone => {
                let _ = done.await;
                self.end().await
            }
        }
    }

    async fn end<T>(&self) -> T {
        self.dead.store(true, Ordering::SeqCst);
        self.over.notify_one();
        std::future::pending().await
    }
}

/// The store, as the run has it.
#[derive(Debug)]
struct Shared(Arc<Breaking>);

impl fmt::Debug for Breaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Breaking")
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Breaking")
    }
}

#[async_trait]
impl ObjectStore for Shared {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> object_store::Result<PutResult> {
        if !self.0.honours_create && options.mode == PutMode::Create {
            options.mode = PutMode::Overwrite;
        }
        self.0.call(true, self.0.inner.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.call(true, self.0.inner.put_multipart_opts(path, options)).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.0.call(false, self.0.inner.get_opts(path, options)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, object_store::Result<Path>>) -> BoxStream<'static, object_store::Result<Path>> {
        let this = Arc::clone(&self.0);
        let delete = move |path: object_store::Result<Path>| {
            let this = Arc::clone(&this);
            async move {
                let path = path?;
                this.call(true, this.inner.delete(&path)).await.map(|()| path)
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (this, listed) = (Arc::clone(&self.0), self.0.inner.list(prefix));
        futures::stream::once(async move { this.call(false, async { Ok(listed) }).await }).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.0.call(false, self.0.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.0.call(true, self.0.inner.copy_opts(from, to, options)).await
    }
}

/// Runs the tiny project against a store, as a process would: when it hangs or dies, it is no more.
async fn run_on(tiny: &Tiny, store: Arc<Breaking>, edition: &str) -> Option<Result<Done, Error>> {
    let stores = Stores::new(BTreeMap::default());
    stores.provide("memory:", Arc::new(Shared(Arc::clone(&store))));
    let request = Request {
        pipeline: tiny.folder.path().join("pipelines/tiny.yaml"),
        as_of: DAY.parse().unwrap(),
        destination: None,
        force: false,
        parameters: BTreeMap::from([("edition".to_owned(), edition.to_owned())]),
        limits: Limits { threads: 1, memory_bytes: 64 << 20 },
        profile: false,
        environment: BTreeMap::from([
            ("EXTRACTS".to_owned(), "memory:///extracts".to_owned()),
            ("DESTINATION".to_owned(), format!("memory:///{ROOT}")),
        ]),
    };
    let recorder = Recorder::start(request.as_of, request.limits, None);
    let progress = Progress::on_terminal(false);
    tokio::select! {
        done = run::run(&request, &stores, &progress, &recorder) => Some(done),
        () = store.over.notified() => None,
    }
}

/// A store that holds the extract and edition 1 of the day.
async fn published_once(tiny: &Tiny) -> InMemory {
    let memory = InMemory::new();
    memory.put(&"extracts/orders.csv".into(), PutPayload::from(orders())).await.unwrap();
    let before = Arc::new(Breaking::new(Arc::new(memory.fork()), None));
    run_on(tiny, Arc::clone(&before), "1").await.unwrap().unwrap();
    let copy = InMemory::new();
    for meta in before.inner.list(None).try_collect::<Vec<_>>().await.unwrap() {
        let bytes = before.inner.get(&meta.location).await.unwrap().bytes().await.unwrap();
        copy.put(&meta.location, PutPayload::from(bytes)).await.unwrap();
    }
    copy
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Every storage call of a run that publishes a day again goes wrong once in each way.
#[test]
fn whatever_call_breaks_readers_see_one_publication_and_the_next_run_mends_the_rest() {
    let tiny = Tiny::new();
    let (calls, writes) = block_on(async {
        let counting = Arc::new(Breaking::new(Arc::new(published_once(&tiny).await.fork()), None));
        run_on(&tiny, Arc::clone(&counting), "2").await.unwrap().unwrap();
        (counting.calls.load(Ordering::SeqCst), counting.writes.lock().unwrap().clone())
    });
    let reads_go_wrong = (0..calls).flat_map(|at| [(at, How::Fails), (at, How::Hangs)]);
    let writes_go_wrong = writes.iter().flat_map(|at| [(*at, How::FailsDone), (*at, How::DiesDone)]);
    let points: Vec<(usize, How)> = reads_go_wrong.chain(writes_go_wrong).collect();
    assert!(calls > 30 && writes.len() >= 12, "{calls} calls, {} of them writes", writes.len());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                block_on(async {
                    let old = published_once(&tiny).await;
                    while let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
                        survives(&tiny, Arc::new(old.fork()), *point).await;
                    }
                });
            });
        }
    });
    tell(&format!("{} points: {calls} storage calls, {} of them writes", points.len(), writes.len()));
}

async fn survives(tiny: &Tiny, store: Arc<dyn ObjectStore>, point: (usize, How)) {
    let outcome = run_on(tiny, Arc::new(Breaking::new(Arc::clone(&store), Some(point))), "2").await;
    let (commit, folders) = (resolved(&store, ROOT, DAY).await, listed(&store, ROOT, DAY).await);
    assert!([Some(1), Some(2)].contains(&commit), "{point:?}: {commit:?}");
    assert!(folders.is_some() && folders <= commit, "{point:?}: folders at {folders:?}, commit at {commit:?}");
    match &outcome {
        Some(Ok(Done::Published(_))) => assert_eq!((commit, folders), (Some(2), Some(2)), "{point:?}"),
        Some(Ok(Done::Unchanged(_))) => panic!("{point:?}: something has changed"),
        Some(Err(error)) => {
            assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{point:?}: {error}");
            // Who is told that nothing was published, or nothing about it, may rely on it.
            let told = error.to_string();
            assert!(commit == Some(1) || told.contains("published as") || told.contains("not known"), "{point:?}: {told}");
        }
        None => {}
    }
    let again = run_on(tiny, Arc::new(Breaking::new(Arc::clone(&store), None)), "2").await.unwrap();
    again.unwrap_or_else(|error| panic!("{point:?}: the next run fails: {error}"));
    assert_eq!((resolved(&store, ROOT, DAY).await, listed(&store, ROOT, DAY).await), (Some(2), Some(2)), "{point:?}");
    leaves_no_orphan(&store, point).await;
}

/// After `clean` there is what the publication needs, and nothing else.
async fn leaves_no_orphan(store: &Arc<dyn ObjectStore>, point: (usize, How)) {
    let stores = Stores::new(BTreeMap::default());
    stores.provide("memory:", Arc::clone(store));
    let destination = stores.open(&format!("memory:///{ROOT}"), std::path::Path::new("")).unwrap();
    let waste = clean::find(&destination, chrono::Duration::zero()).await.unwrap();
    clean::remove(&destination, &waste).await.unwrap();
    let commit = commit_of(store, ROOT, DAY).await.unwrap();
    let mut needed = BTreeSet::from([format!("{ROOT}/commits/{:08}.json", commit.number)]);
    for table in commit.tables.values() {
        needed.extend(
            table.files.iter().map(|file| &file.path).chain([&table.folder_path, &table.urls_path]).map(|path| format!("{ROOT}/{path}")),
        );
    }
    let left: BTreeSet<String> = store.list(Some(&ROOT.into())).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    let record = format!("{ROOT}/runs/{}/record.json", commit.run_id);
    let left: BTreeSet<String> = left.into_iter().filter(|path| *path != record).collect();
    assert_eq!(left, needed, "{point:?}");
}

#[test]
fn of_runs_at_once_one_publishes_and_the_others_exit_4() {
    let tiny = Tiny::new();
    block_on(async {
        let store: Arc<dyn ObjectStore> = Arc::new(published_once(&tiny).await);
        for round in 2..7 {
            let edition = round.to_string();
            let runs = (0..8).map(|_| run_on(&tiny, Arc::new(Breaking::new(Arc::clone(&store), None)), &edition));
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
fn a_store_that_ignores_create_if_absent_is_refused() {
    let tiny = Tiny::new();
    block_on(async {
        let store: Arc<dyn ObjectStore> = Arc::new(published_once(&tiny).await);
        let ignoring = Breaking { honours_create: false, ..Breaking::new(Arc::clone(&store), None) };
        let error = run_on(&tiny, Arc::new(ignoring), "2").await.unwrap().unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Project);
        assert!(error.to_string().contains("[store-without-conditions]"), "{error}");
        assert_eq!((resolved(&store, ROOT, DAY).await, listed(&store, ROOT, DAY).await), (Some(1), Some(1)));
    });
}
