use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use rand::{RngExt, SeedableRng};
use segmill::error::ExitStatus;
use segmill::job::Request;
use segmill::openlineage::RunEvents;
use segmill::record::Recorder;
use segmill::report::Progress;
use segmill::run;
use serde_json::Value;

use crate::breaking::cleaned;
use crate::readers::{listed, read, resolved};
use crate::servers::{Server, seaweed};
use crate::stores::{DAY, Place, block_on, told};
use crate::support::{number_of, tell};
use crate::tiny::Tiny;

/// How many rounds there are of each kind, when all are run.
const KILLS: u64 = 300;
const RACES: u64 = 200;
const FILL_LEVELS: u64 = 100;
const CLEANS: u64 = 50;

/// How many processes race for a day.
const RACERS: usize = 3;

/// What lies at a destination and is somebody else's. It must be there at the end as it was.
const FOREIGN: [&str; 5] = ["runs/exp1/model.ckpt", "pending/invoice.pdf", "commits/notes.txt", "customers/readme.md", "reports/q3.pdf"];

/// So many of the rounds of a kind as are asked for: a twentieth, for every day.
fn rounds(all: u64) -> u64 {
    (all * number_of("SEGMILL_ROUNDS_PERCENT", 5)).div_ceil(100)
}

/// A place with an extract, somebody's files, and edition 1 published.
struct Scene {
    place: Place,
    tiny: Tiny,
    store: Arc<dyn ObjectStore>,
    root: String,
    /// What the place is in, which goes with it.
    _keeper: Keeper,
}

enum Keeper {
    Folder { _folder: tempfile::TempDir },
    Server { _server: Server },
}

impl Scene {
    fn local() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::at(folder.path().to_str().unwrap(), BTreeMap::new());
        Scene::new(place, Keeper::Folder { _folder: folder })
    }

    fn s3() -> Scene {
        let server = seaweed();
        Scene::new(Place::s3(&server, "rounds"), Keeper::Server { _server: server })
    }

    fn new(place: Place, keeper: Keeper) -> Scene {
        let (store, root) = block_on(place.fill());
        let scene = Scene { place, tiny: Tiny::new(), store, root, _keeper: keeper };
        for path in FOREIGN {
            block_on(scene.store.put(&format!("{}/{path}", scene.root).into(), PutPayload::from("precious"))).unwrap();
        }
        assert_eq!(told(scene.place.spawn(&scene.tiny, "1", &[])).0, Some(0));
        scene
    }

    /// What readers of both kinds find; a publication that is not whole fails the test.
    fn seen(&self) -> (Option<u64>, Option<u64>) {
        block_on(async { (resolved(&self.store, &self.root, DAY).await, listed(&self.store, &self.root, DAY).await) })
    }

    fn runs(&self) -> usize {
        block_on(self.store.list_with_delimiter(Some(&format!("{}/runs", self.root).into()))).map_or(0, |found| found.common_prefixes.len())
    }

    fn clean(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = self.place.command(&self.tiny, &["clean", "pipelines/tiny.yaml", "--format", "json"]);
        told(command.args(arguments).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Whatever was, the next run goes through, a clean leaves what the publication needs, and what is somebody else's is there.
    fn is_usable(&self, edition: u64) {
        let (status, result) = told(self.place.spawn(&self.tiny, &edition.to_string(), &[]));
        assert_eq!(status, Some(0), "{result}");
        assert_eq!(self.seen(), (Some(edition), Some(edition)));
        let (status, cleaned) = self.clean(&["--remove", "--grace", "0s"]);
        assert_eq!((status, &cleaned["damaged"]), (Some(0), &Value::Array(Vec::new())), "{cleaned}");
        assert_eq!(cleaned["unknown"].as_array().unwrap().len(), FOREIGN.len(), "{cleaned:#}");
        for path in FOREIGN {
            assert_eq!(block_on(read(&self.store, &format!("{}/{path}", self.root).into())).unwrap(), b"precious", "{path}");
        }
    }

    /// Runs that are killed at any moment: the next run and the readers never notice.
    fn kills(&self, kills: u64) {
        // As long as a run takes when nothing else holds it up, in all and from its first file on.
        let measured = (0..3).map(|again| {
            let (before, since) = (self.runs(), segmill::clock::Stopwatch::start());
            let mut child = self.place.spawn(&self.tiny, &(again % 2).to_string(), &[]);
            self.until_staging(&mut child, before);
            let until_staging_ms = since.elapsed_ms();
            assert_eq!(told(child).0, Some(0));
            (since.elapsed_ms(), since.elapsed_ms() - until_staging_ms)
        });
        let (takes_ms, last_ms) = measured.min().unwrap();
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(7);
        let (mut last, mut cut, mut staging, mut committed) = (0, 0, 0, 0);
        let mut last_folders = Some(0);
        for edition in 2..2 + kills {
            let before = self.runs();
            let mut child = self.place.spawn(&self.tiny, &edition.to_string(), &[]);
            // Every other one while it stages, checks and publishes, which is the shorter part of a run.
            let within_ms = if edition % 2 == 0 {
                takes_ms
            } else {
                self.until_staging(&mut child, before);
                last_ms
            };
            // Somewhat beyond, because a run takes longer beside others.
            std::thread::sleep(Duration::from_micros(random.random_range(0..within_ms * 1500)));
            child.kill().unwrap();
            let ended = child.wait().unwrap().code() == Some(0);
            cut += u64::from(!ended);
            staging += u64::from(!ended && self.runs() > before);
            let (commit, folders) = self.seen();
            assert!(commit == Some(edition) || commit == Some(last) && !ended, "{commit:?} after {last}, then {edition}");
            // They stay behind until a run lives long enough to look after them, and never show anything but a publication.
            assert!([commit, Some(last), last_folders].contains(&folders), "{folders:?} after {last_folders:?}, commit {commit:?}");
            last_folders = folders;
            last = commit.unwrap();
            committed += u64::from(last == edition && !ended);
            if edition % 5 == 0 {
                // The next run mends what is behind, although it may have nothing to publish.
                assert_eq!(told(self.place.spawn(&self.tiny, &last.to_string(), &[])).0, Some(0));
                last_folders = Some(last);
                assert_eq!(self.seen(), (Some(last), Some(last)));
            }
        }
        tell(&format!(
            "{kills} kills: {cut} before the run was over, {staging} of these after its first file, {committed} after its commit"
        ));
        self.is_usable(last);
    }

    /// Waits until a run has written its first file, or has ended.
    fn until_staging(&self, child: &mut std::process::Child, before: usize) {
        while self.runs() == before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Processes that publish one day at once: one gets it.
    fn races(&self, races: u64) {
        let mut lost = 0;
        for edition in 2..2 + races {
            let racing: Vec<_> = (0..RACERS).map(|_| self.place.spawn(&self.tiny, &edition.to_string(), &[])).collect();
            let outcomes: Vec<(Option<i32>, Value)> = racing.into_iter().map(told).collect();
            let of = |status: &str| outcomes.iter().filter(|(_, told)| told["status"] == status).count();
            // A process that starts when another is done finds nothing to do.
            assert_eq!((of("published"), of("conflict") + of("unchanged")), (1, RACERS - 1), "{edition}: {outcomes:?}");
            lost += of("conflict");
            assert_eq!(self.seen(), (Some(edition), Some(edition)));
        }
        tell(&format!("{races} races of {RACERS} processes: {lost} lost"));
        self.is_usable(races + 1);
    }

    /// A run, and a clean without grace at any moment of it.
    fn cleans(&self, rounds: u64) {
        let since = segmill::clock::Stopwatch::start();
        assert_eq!(told(self.place.spawn(&self.tiny, "0", &[])).0, Some(0));
        let takes_ms = since.elapsed_ms();
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(11);
        let (mut last, mut published, mut given_up) = (0, 0, 0);
        for edition in 2..2 + rounds {
            let running = self.place.spawn(&self.tiny, &edition.to_string(), &[]);
            std::thread::sleep(Duration::from_micros(random.random_range(0..takes_ms * 1000)));
            let (status, cleaned) = self.clean(&["--remove", "--grace", "0s"]);
            assert_eq!((status, &cleaned["damaged"]), (Some(0), &Value::Array(Vec::new())), "{cleaned}");
            let (status, result) = told(running);
            assert!([Some(0), Some(4)].contains(&status), "{edition}: {status:?} {result}");
            if status == Some(0) {
                (last, published) = (edition, published + 1);
            } else {
                given_up += 1;
            }
            assert_eq!(self.seen(), (Some(last), Some(last)), "{edition}: {result}");
        }
        tell(&format!("{rounds} cleans against runs: {published} published, {given_up} gave up"));
        self.is_usable(last);
    }

    /// A store that takes so many bytes more, and then no more.
    fn fills(&self, levels: u64) {
        // As many as a run writes, and somewhat beyond.
        let counting = Arc::new(Full { inner: Arc::clone(&self.store), room_bytes: AtomicU64::new(u64::MAX) });
        let run = |edition: u64, store: &Arc<Full>| {
            let stores = self.place.stores();
            let origin = if self.place.url.starts_with("s3://") { "s3://shop" } else { "file:///" };
            stores.provide(origin, Arc::new(Shared(Arc::clone(store))));
            let limits = segmill::engine::Limits { threads: 1, memory_bytes: 64 << 20 };
            let request = Request {
                pipeline: self.tiny.folder.path().join("pipelines/tiny.yaml"),
                as_of: DAY.parse().unwrap(),
                destination: None,
                force: false,
                parameters: BTreeMap::from([("edition".to_owned(), edition.to_string())]),
                limits,
                text_encoding: segmill::engine::TextEncoding::default(),
                with_report: false,
                timings: false,
                environment: self.place.environment(),
            };
            let recorder = Recorder::start(request.as_of, limits, None);
            block_on(run::run(&request, &stores, &Progress::on_terminal(false), &recorder, &RunEvents::none()))
        };
        run(2, &counting).unwrap();
        let writes_bytes = u64::MAX - counting.room_bytes.load(Ordering::SeqCst);
        let (mut last, mut failed) = (2, 0);
        for level in 0..levels {
            let edition = level + 3;
            let room_bytes = AtomicU64::new(writes_bytes * level * 105 / (levels * 100));
            let full = Arc::new(Full { inner: Arc::clone(&self.store), room_bytes });
            match run(edition, &full) {
                Ok(_) => last = edition,
                Err(error) => {
                    assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{level}: {error}");
                    failed += 1;
                    let (commit, folders) = self.seen();
                    assert!([Some(last), Some(edition)].contains(&commit) && [Some(last), commit].contains(&folders), "{level}: {error}");
                    if level % 4 == 0 {
                        run(edition, &counting).unwrap_or_else(|error| panic!("{level}: {error}"));
                        last = edition;
                    } else {
                        last = commit.unwrap();
                    }
                }
            }
            let seen = self.seen();
            assert_eq!(seen.0, Some(last), "{level}");
        }
        tell(&format!("{levels} fill levels of up to {writes_bytes} bytes: {failed} runs found no room"));
        self.is_usable(last);
    }
}

/// A store that has room for so many bytes more.
struct Full {
    inner: Arc<dyn ObjectStore>,
    room_bytes: AtomicU64,
}

impl Full {
    fn take(&self, bytes: usize) -> object_store::Result<()> {
        let taken = |room: u64| room.checked_sub(bytes as u64);
        let source = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let full = |_| object_store::Error::Generic { store: "full", source: Box::new(source()) };
        self.room_bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken).map(|_| ()).map_err(full)
    }
}

/// The store, as a run has it.
struct Shared(Arc<Full>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Full")
    }
}

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Full")
    }
}

#[async_trait]
impl ObjectStore for Shared {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.0.take(payload.content_length())?;
        self.0.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.0.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, object_store::Result<Path>>) -> BoxStream<'static, object_store::Result<Path>> {
        self.0.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.inner.list(prefix).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.0.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.0.take(usize::try_from(self.0.inner.head(from).await?.size).unwrap())?;
        self.0.inner.copy_opts(from, to, options).await
    }
}

#[test]
fn kills_on_a_local_disk() {
    Scene::local().kills(rounds(KILLS));
}

#[test]
fn races_on_a_local_disk() {
    Scene::local().races(rounds(RACES));
}

#[test]
fn cleans_on_a_local_disk() {
    Scene::local().cleans(rounds(CLEANS));
}

#[test]
fn fill_levels_on_a_local_disk() {
    Scene::local().fills(rounds(FILL_LEVELS));
}

#[test]
#[ignore = "needs SeaweedFS: see CONTRIBUTING.md; .ci/run runs it"]
fn kills_on_s3() {
    Scene::s3().kills(rounds(KILLS));
}

#[test]
#[ignore = "needs SeaweedFS: see CONTRIBUTING.md; .ci/run runs it"]
fn races_on_s3() {
    Scene::s3().races(rounds(RACES));
}

#[test]
#[ignore = "needs SeaweedFS: see CONTRIBUTING.md; .ci/run runs it"]
fn cleans_on_s3() {
    Scene::s3().cleans(rounds(CLEANS));
}

#[test]
#[ignore = "needs SeaweedFS: see CONTRIBUTING.md; .ci/run runs it"]
fn fill_levels_on_s3() {
    Scene::s3().fills(rounds(FILL_LEVELS));
}

/// A disk that is really full, at every level: a small file system of its own, in a namespace that goes with the test.
#[test]
#[ignore = "needs Linux and the right to make namespaces (`unshare -rm`); .ci/run runs it"]
fn a_full_disk_at_every_level() {
    const SCRIPT: &str = r#"
        set -eu
        mount -t tmpfs -o size=64m none "$HERE/out"
        cp -r "$HERE/before/." "$HERE/out"
        used=$(df -k --output=used "$HERE/out" | tail -1)
        mount -o "remount,size=$((used + ROOM))k" "$HERE/out"
        set +e
        run() { "$SEGMILL" run pipelines/tiny.yaml --as-of "$DAY" --threads 1 --param "edition=$EDITION" >>"$HERE/told" 2>&1; echo $? >>"$HERE/codes"; }
        run
        cp -r "$HERE/out/." "$HERE/seen"
        mount -o remount,size=64m "$HERE/out" || exit 9
        run
        "$SEGMILL" clean pipelines/tiny.yaml --remove --grace 0s >>"$HERE/told" 2>&1; echo $? >>"$HERE/codes"
        cp -r "$HERE/out/." "$HERE/after""#;
    let levels = rounds(FILL_LEVELS);
    let tiny = Tiny::new();
    let project = tiny.folder.path();
    assert!(tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAY]).status.success());
    std::fs::rename(project.join("out"), project.join("before")).unwrap();
    let mut failed = 0;
    for level in 0..levels {
        for folder in ["out", "seen", "after"] {
            let _ = std::fs::remove_dir_all(project.join(folder));
            std::fs::create_dir_all(project.join(folder)).unwrap();
        }
        let _ = std::fs::remove_file(project.join("codes"));
        // Pages of four KiB each: from none left to more than a run writes.
        let room_kib = (4 * (level * 30 / levels)).to_string();
        let mut script = Command::new("unshare");
        script.args(["-rm", "sh", "-c", SCRIPT]).current_dir(project).env_remove("EXTRACTS").env_remove("DESTINATION");
        script.env("HERE", project).env("DAY", DAY).env("SEGMILL", env!("CARGO_BIN_EXE_segmill")).env("ROOM", room_kib).env("EDITION", "2");
        let ended = script.status().expect("unshare is there");
        assert!(ended.success(), "a small file system cannot be mounted here: {ended}");
        let codes = std::fs::read_to_string(project.join("codes")).unwrap();
        let codes: Vec<&str> = codes.lines().collect();
        let told = std::fs::read_to_string(project.join("told")).unwrap();
        assert!(["0", "75"].contains(&codes[0]) && codes[1..] == ["0", "0"], "{level}: {codes:?} {told}");
        failed += u64::from(codes[0] == "75");
        let see = |folder: &str| {
            let place = Place::at(project.join(folder).to_str().unwrap(), BTreeMap::new()).open();
            let root = place.path.clone();
            block_on(async { (resolved(&place.store, &root, DAY).await, listed(&place.store, &root, DAY).await) })
        };
        let (commit, folders) = see("seen");
        assert!(commit == Some(2) || codes[0] == "75" && commit == Some(1), "{level}: {commit:?}");
        assert!([Some(1), Some(2)].contains(&folders) && folders <= commit, "{level}: {folders:?}");
        assert_eq!(see("after"), (Some(2), Some(2)), "{level}");
    }
    tell(&format!("{levels} fill levels of a disk: {failed} runs found no room"));
    assert!(failed > 0 && failed < levels || levels < 10);
}

/// What a clean of somebody who knows that nothing runs leaves after kills: what the publication needs, and no more.
#[test]
fn a_clean_after_kills_leaves_what_the_publication_needs() {
    let scene = Scene::local();
    scene.kills(3);
    for path in FOREIGN {
        block_on(scene.store.delete(&format!("{}/{path}", scene.root).into())).unwrap();
    }
    block_on(cleaned(&scene.place.stores().open(&format!("{}/out", scene.place.url), std::path::Path::new("")).unwrap()));
    let mut left = crate::publishing::files(std::path::Path::new(&format!("/{}", scene.root)));
    // A run that was killed after its commit may have left none.
    left.retain(|path| !path.ends_with("record.json") && path.parent().is_none_or(|folder| !folder.ends_with("cleans")));
    assert_eq!(left.len(), 2 + 3 * 2 + 3 + 5, "marker and commit, files with their lists, folders, state and project: {left:#?}");
}
