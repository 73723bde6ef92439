use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use rand::RngExt;
use rand::SeedableRng;
use segmill::config::Environment;
use segmill::engine::{Engine, Limits, TextEncoding};
use segmill::error::Error;
use segmill::job::{Done, Request};
use segmill::manifest::Commit;
use segmill::openlineage::RunEvents;
use segmill::publish::{Publications, Rows, Staging};
use segmill::record::Recorder;
use segmill::report::Progress;
use segmill::run;
use segmill::storage::{Location, Stores};
use serde_json::Value;

use crate::breaking::cleaned;
use crate::readers::{commit_of, listed, resolved};
use crate::reading::replace_after_every_read;
use crate::servers::{Server, azure_variables, azurite, gcs, s3_variables, seaweed};
use crate::support::{number_of, tell};
use crate::tiny::{Tiny, orders};

pub const DAY: &str = "2026-11-01";
const LIMITS: Limits = Limits { threads: 1, memory_bytes: 64 << 20 };

/// A store under test: where extracts and publications are in it, and the variables that lead there.
pub struct Place {
    pub url: String,
    pub variables: Environment,
    /// Kept by the test itself where no server is needed.
    pub memory: Option<Arc<InMemory>>,
}

impl Place {
    pub fn s3(server: &Server, folder: &str) -> Place {
        Place::at(format!("s3://shop/{folder}"), s3_variables(server.port))
    }

    pub fn at(url: impl Into<String>, variables: Environment) -> Place {
        Place { url: url.into(), variables, memory: None }
    }

    pub fn stores(&self) -> Stores {
        let stores = Stores::new(self.variables.clone());
        if let Some(memory) = &self.memory {
            stores.provide("memory:", Arc::clone(memory) as Arc<dyn ObjectStore>);
        }
        stores
    }

    pub fn open(&self) -> Location {
        self.stores().open(&self.url, std::path::Path::new("")).unwrap()
    }

    /// Writes the extract, when the store answers and has its bucket.
    pub async fn fill(&self) -> (Arc<dyn ObjectStore>, String) {
        let place = self.open();
        let since = segmill::clock::Stopwatch::start();
        while let Err(error) = place.store.put(&place.join("extracts/orders.csv"), PutPayload::from(orders())).await {
            assert!(since.elapsed_ms() < 60_000, "{}: {error}", self.url);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let root = place.join("out").to_string();
        (place.store, root)
    }

    pub fn environment(&self) -> Environment {
        let mut environment = self.variables.clone();
        environment.insert("EXTRACTS".to_owned(), format!("{}/extracts", self.url));
        environment.insert("DESTINATION".to_owned(), format!("{}/out", self.url));
        environment
    }

    async fn run(&self, tiny: &Tiny, stores: &Stores, edition: &str) -> Result<Done, Error> {
        let request = Request {
            pipeline: tiny.folder.path().join("pipelines/tiny.yaml"),
            as_of: DAY.parse().unwrap(),
            destination: None,
            force: false,
            parameters: BTreeMap::from([("edition".to_owned(), edition.to_owned())]),
            limits: LIMITS,
            text_encoding: TextEncoding::default(),
            with_report: false,
            timings: false,
            environment: self.environment(),
        };
        let recorder = Recorder::start(request.as_of, LIMITS, None);
        run::run(&request, stores, &Progress::on_terminal(false), &recorder, &RunEvents::none()).await
    }

    /// Any command of the binary, told of the place by its environment.
    pub fn command(&self, tiny: &Tiny, arguments: &[&str]) -> std::process::Command {
        let mut command = tiny.command(arguments);
        command.envs(self.environment());
        command
    }

    /// A run of the binary, told of the place by its environment.
    pub fn spawn(&self, tiny: &Tiny, edition: &str, more: &[(&str, &str)]) -> Child {
        let mut command = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", DAY, "--threads", "1", "--format", "json"]);
        command.args(["--param", &format!("edition={edition}")]).envs(self.environment()).envs(more.iter().copied());
        command.stdout(Stdio::piped()).spawn().unwrap()
    }
}

/// Waits for a run to end: its exit code and what it told.
pub fn told(child: Child) -> (Option<i32>, Value) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// What must hold on every store, whatever it is.
async fn conforms(place: &Place) {
    let tiny = Tiny::new();
    let (store, root) = place.fill().await;
    let stores = place.stores();
    let seen = async |edition| {
        assert_eq!((resolved(&store, &root, DAY).await, listed(&store, &root, DAY).await), (Some(edition), Some(edition)), "{}", place.url);
    };
    assert!(matches!(place.run(&tiny, &stores, "1").await.unwrap(), Done::Published(_)));
    seen(1).await;
    assert!(matches!(place.run(&tiny, &stores, "1").await.unwrap(), Done::Unchanged(_)), "again is free");
    place.run(&tiny, &stores, "2").await.unwrap();
    seen(2).await;

    let outcomes = futures::future::join_all((0..4).map(|_| place.run(&tiny, &stores, "3"))).await;
    let published = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Done::Published(_)))).count();
    let lost = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Conflict(_)) | Ok(Done::Unchanged(_)))).count();
    assert_eq!((published, lost), (1, 3), "{outcomes:?}");
    seen(3).await;

    Box::pin(large_table(&stores, place, &tiny)).await;
    seen(3).await;
    let destination = stores.open(&format!("{}/out", place.url), std::path::Path::new("")).unwrap();
    let removed = cleaned(&destination).await;
    assert!(removed > 10, "two superseded publications, three runs that lost: {removed}");
    seen(3).await;
    assert_eq!(cleaned(&destination).await, 0);
}

/// A table of many megabytes goes up in several parts, and its copy in the folders too.
async fn large_table(stores: &Stores, place: &Place, tiny: &Tiny) {
    let project = segmill::config::load(&tiny.folder.path().join("pipelines/tiny.yaml"), &place.environment()).unwrap();
    let destination = stores.open(&format!("{}/large", place.url), std::path::Path::new("")).unwrap();
    let day = DAY.parse().unwrap();
    let seen = Publications::read(&destination).await.unwrap();
    let mut staging = Staging::new(destination.clone(), "large".to_owned(), day, seen);
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(1);
    let batch = |first: i64, random: &mut rand_pcg::Pcg64Mcg| {
        let keys: ArrayRef = Arc::new((first..first + 100_000).collect::<Int64Array>());
        let noise: ArrayRef = Arc::new((0..100_000).map(|_| random.random::<i64>()).collect::<Int64Array>());
        RecordBatch::try_from_iter([("key", keys), ("noise", noise)]).unwrap()
    };
    let batches: Vec<_> = (0..20).map(|n| batch(n * 100_000, &mut random)).collect();
    let schema = batches[0].schema();
    let rows = Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))));
    staging.write(vec![Rows { table: "large".to_owned(), key: vec!["key".to_owned()], rows }]).await.unwrap();
    let checked = staging.finish().check(&Engine::new(LIMITS, "UTC").unwrap(), &project.pipeline).await.unwrap().passed().unwrap();
    let published = checked.publish(|tables| Commit {
        format: segmill::manifest::FORMAT,
        number: 0,
        pipeline: "large".to_owned(),
        as_of: day,
        run_id: "large".to_owned(),
        segmill_version: String::new(),
        project_digest: String::new(),
        parameters: BTreeMap::new(),
        fingerprint: String::new(),
        made_from: None,
        tables,
        state: BTreeMap::new(),
        predecessor: None,
        given_parameters: std::collections::BTreeMap::new(),
        identity_hash_id: None,
        project: None,
        report: None,
        definition_digest: None,
        given_digest: None,
        segment_sets: Vec::new(),
        customers: None,
        revenue_column: None,
        sources: Vec::new(),
        publications: BTreeMap::new(),
        withdrawn: BTreeSet::new(),
        locations: BTreeMap::new(),
    });
    let commit = published.await.unwrap().commit;
    let table = &commit.tables["large"];
    assert!(table.files[0].bytes > 12 << 20, "{} bytes", table.files[0].bytes);
    let read = async |path: &str| destination.store.get(&destination.join(path)).await.unwrap().bytes().await.unwrap();
    assert!(read(&table.files[0].path).await == read(&table.folder_path).await, "{}", place.url);
}

#[test]
fn local_disks_conform() {
    let folder = tempfile::tempdir().unwrap();
    block_on(conforms(&Place::at(folder.path().to_str().unwrap(), BTreeMap::new())));
}

#[test]
fn memory_conforms() {
    let place = Place { memory: Some(Arc::default()), ..Place::at("memory:///conforms", BTreeMap::new()) };
    block_on(conforms(&place));
}

#[test]
#[ignore = "needs SeaweedFS: see CONTRIBUTING.md; .ci/run runs it"]
fn s3_conforms() {
    let server = seaweed();
    block_on(conforms(&Place::s3(&server, "conforms")));
}

/// Lists and answers of a store name versions in their own ways; a reader must know the same one, and see another.
#[test]
#[ignore = "needs SeaweedFS and Azurite: see CONTRIBUTING.md; .ci/run runs it"]
fn extracts_that_change_while_they_are_read_end_the_run() {
    let (s3, azure) = (seaweed(), azurite());
    for place in [Place::s3(&s3, "replaced"), Place::at("az://shop/replaced", azure_variables(azure.port))] {
        let (store, _) = block_on(place.fill());
        let text = |row: &str| format!("a,b\n{}", row.repeat(9_000_000 / row.len())).into_bytes();
        replace_after_every_read(&store, "extract.csv", &text("old,old\n"), &text("new,new\n"));
    }
}

#[test]
#[ignore = "needs Azurite: see CONTRIBUTING.md; .ci/run runs it"]
fn azure_conforms() {
    let server = azurite();
    let place = Place::at("az://shop/conforms", azure_variables(server.port));
    block_on(conforms(&place));
}

#[test]
#[ignore = "needs the GCS emulator: see CONTRIBUTING.md; .ci/run runs it"]
fn extracts_are_read_from_gcs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("shop/extracts")).unwrap();
    std::fs::write(folder.path().join("shop/extracts/orders.csv"), orders()).unwrap();
    let server = gcs(folder);
    let variables = [
        ("GOOGLE_BASE_URL", format!("http://127.0.0.1:{}", server.port)),
        ("GOOGLE_SKIP_SIGNATURE", "true".to_owned()),
        ("EXTRACTS", "gs://shop/extracts".to_owned()),
    ];
    let tiny = Tiny::new();
    let output = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", DAY, "--format", "json"]).envs(variables).output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &result["sources"][0]["rows_kept"]), (Some(0), &75.into()), "{result}");
}

#[test]
#[ignore = "needs SeaweedFS: see CONTRIBUTING.md; .ci/run runs it"]
fn ten_thousand_files_are_listed_and_read() {
    let server = seaweed();
    let place = Place::s3(&server, "many");
    block_on(async {
        let (store, _) = place.fill().await;
        let put = |n: usize| {
            let store = Arc::clone(&store);
            async move {
                let text = format!("customer_id,ordered_at\nd{n:05},2026-10-01T10:00:00Z\n");
                store.put(&format!("many/extracts/{n:05}.csv").into(), PutPayload::from(text)).await.unwrap();
            }
        };
        futures::stream::iter(0..9_999).map(put).buffer_unordered(64).collect::<Vec<()>>().await;
        let done = place.run(&Tiny::new(), &Stores::new(place.variables.clone()), "1").await.unwrap();
        let Done::Published(outcome) = done else { panic!("nothing was published") };
        let ledger = &outcome.published.commit.sources[0];
        assert_eq!((ledger.files, ledger.rows_kept), (10_000, 75 + 9_999));
    });
}

#[test]
#[ignore = "needs SeaweedFS: see CONTRIBUTING.md; .ci/run runs it"]
fn refusals_are_told_apart_and_secrets_kept() {
    let server = seaweed();
    let place = Place::s3(&server, "refusals");
    block_on(place.fill());
    let tiny = Tiny::new();
    let no_bucket = ("DESTINATION", "s3://nowhere/out");
    let deadline = ("SEGMILL_STORE_DEADLINE_SECONDS", "3");
    for (more, status, part) in [
        (vec![("AWS_SECRET_ACCESS_KEY", "HUSHHUSH")], 2, "does not know these credentials"),
        (vec![("AWS_ACCESS_KEY_ID", "HUSHHUSH")], 2, "does not know these credentials"),
        (vec![no_bucket], 2, "no such bucket"),
        (vec![("EXTRACTS", "s3://elsewhere/extracts")], 2, "no such bucket"),
        (vec![("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), deadline], 75, "times in"),
    ] {
        let (code, error) = told(place.spawn(&tiny, "1", &more));
        let text = error.to_string();
        assert!(code == Some(status) && text.contains(part), "{more:?}: {code:?} {text}");
        assert!(!text.contains("HUSHHUSH"), "{text}");
    }
}

/// Processes that publish one day at once, while a reader of each kind looks all the time.
#[test]
#[ignore = "needs SeaweedFS: see CONTRIBUTING.md; .ci/run runs it"]
fn of_processes_at_once_one_publishes_and_readers_see_whole_publications() {
    let rounds: u64 = number_of("SEGMILL_TEST_ROUNDS", 5);
    let server = seaweed();
    let place = Place::s3(&server, "race");
    let (store, root) = block_on(place.fill());
    let tiny = Tiny::new();
    assert_eq!(told(place.spawn(&tiny, "1", &[])).0, Some(0));
    let done = AtomicBool::new(false);
    let looked = std::thread::scope(|scope| {
        // A client of its own: the connections of one end with the runtime that opened them.
        let poller = scope.spawn(|| block_on(poll(&place.open().store, &root, &done)));
        let mut lost = 0;
        for round in 2..2 + rounds {
            let runs: Vec<Child> = (0..8).map(|_| place.spawn(&tiny, &round.to_string(), &[])).collect();
            let outcomes: Vec<(Option<i32>, Value)> = runs.into_iter().map(told).collect();
            let of = |status: &str| outcomes.iter().filter(|(_, told)| told["status"] == status).count();
            // A process that starts when another is done finds nothing to do.
            assert_eq!((of("published"), of("conflict") + of("unchanged")), (1, 7), "round {round}: {outcomes:?}");
            assert!(outcomes.iter().all(|(code, told)| *code == told["exit_code"].as_i64().map(|code| i32::try_from(code).unwrap())));
            lost += of("conflict");
            let found = block_on(async {
                (resolved(&store, &root, DAY).await, listed(&store, &root, DAY).await, commit_of(&store, &root, DAY).await)
            });
            assert_eq!((found.0, found.1, found.2.map(|commit| commit.number)), (Some(round), Some(round), Some(round)));
        }
        done.store(true, Ordering::SeqCst);
        tell(&format!("{rounds} rounds of 8 processes; {lost} lost a race"));
        assert!(lost > 0, "no two were at it at once");
        poller.join().unwrap()
    });
    tell(&format!("readers looked {looked} times"));
    assert!(looked > 10);
}

/// Reads in both ways until told to stop; what is seen never goes back.
async fn poll(store: &Arc<dyn ObjectStore>, root: &str, done: &AtomicBool) -> u64 {
    let (mut looked, mut last) = (0, (None, None));
    while !done.load(Ordering::SeqCst) {
        let now = (resolved(store, root, DAY).await, listed(store, root, DAY).await);
        assert!(now.0 >= last.0 && now.1 >= last.1, "readers saw {last:?}, then {now:?}");
        last = now;
        looked += 1;
    }
    looked
}
