use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::breaking::{ROOT, Seen, block_on, breaks, mends};
use crate::breaking_store::{Breaking, How, Job, Kind, copied, points};
use crate::readers::{read, sha256, whole};
use crate::support::{SAMPLE_AS_OF, package, tell};

/// Of the extracts' rows edition 2 is made of one in so many; edition 1 of half of these.
const ONE_IN: usize = 50;

/// The shipped job over the extracts in a folder of the store.
fn job(extracts: &str) -> Job {
    Job {
        pipeline: package().join("pipelines/customer_segments.yaml"),
        as_of: SAMPLE_AS_OF,
        environment: BTreeMap::from([
            ("EXTRACTS".to_owned(), format!("memory:///{extracts}")),
            ("DESTINATION".to_owned(), format!("memory:///{ROOT}")),
        ]),
        parameters: BTreeMap::new(),
    }
}

/// A store that holds both editions of the extracts and edition 1 of the publication.
struct Before {
    store: InMemory,
    /// The digests of each edition's tables.
    digests: [BTreeMap<String, String>; 2],
    /// The calls of a run that publishes edition 2.
    calls: Vec<Kind>,
}

impl Before {
    async fn new() -> Before {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        for (edition, one_in) in [(1, 2 * ONE_IN), (2, ONE_IN)] {
            for (path, bytes) in extracts(one_in) {
                store.put(&format!("{edition}/{path}").into(), PutPayload::from(bytes)).await.unwrap();
            }
        }
        job("1").run(Breaking::new(Arc::clone(&store), None)).await.unwrap().unwrap();
        let before = copied(&store).await;
        let calls = job("2").calls(Arc::clone(&store)).await;
        let digests = [&(Arc::new(before.fork()) as _), &store];
        let digests = [digests_of(digests[0]).await, digests_of(digests[1]).await];
        // Of the aliases there are none: the day is the first at its destination.
        for table in ["customers", "segment_membership", "segment_summary", "identity_conflicts"] {
            assert_ne!(digests[0][table], digests[1][table], "the editions of {table} can be told apart");
        }
        Before { store: before, digests, calls }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.store.fork())
    }

    /// What readers find: of the commit all files must be there and of one edition, of a folder one whole file of either.
    async fn look(&self, store: &Arc<dyn ObjectStore>) -> Seen {
        let commit = whole(store, ROOT, SAMPLE_AS_OF).await.map(|commit| {
            let digests = commit.tables.iter().map(|(name, table)| (name.clone(), table.files[0].sha256.clone())).collect();
            1 + self.digests.iter().position(|edition| *edition == digests).expect("the tables of a commit are of one edition") as u64
        });
        let mut editions = BTreeSet::new();
        for (table, [first, second]) in self.digests[0].iter().map(|(table, first)| (table, [first, &self.digests[1][table]])) {
            let folder = format!("{ROOT}/{table}/as_of={SAMPLE_AS_OF}");
            let files: Vec<_> = store.list(Some(&folder.into())).try_collect().await.unwrap();
            assert_eq!(files.len(), 1, "a day holds one file of {table}: {files:?}");
            let digest = sha256(&read(store, &files[0].location).await.expect("what is listed can be read"));
            assert!([first, second].contains(&&digest), "{table} of the folders is neither the old nor the new one");
            if first != second {
                editions.insert(if digest == *first { 1 } else { 2 });
            }
        }
        Seen { commit, folders: editions.first().copied().zip(editions.last().copied()) }
    }

    /// What distinguishes a store for the run that comes next: its files, without the names of runs and what is told of them.
    async fn state(&self, store: &Arc<dyn ObjectStore>) -> BTreeSet<(String, Option<String>)> {
        let mut state = BTreeSet::new();
        for meta in store.list(Some(&ROOT.into())).try_collect::<Vec<_>>().await.unwrap() {
            let parts: Vec<&str> = meta.location.as_ref().split('/').collect();
            let digest = match parts.last() {
                Some(name) if name.ends_with(".parquet") => Some(sha256(&read(store, &meta.location).await.unwrap())),
                _ => None,
            };
            let path = match parts[1] {
                "runs" => format!("runs/{}", parts[3..].join("/")),
                "pending" => "pending".to_owned(),
                _ => meta.location.to_string(),
            };
            state.insert((path, digest));
        }
        state
    }
}

async fn digests_of(store: &Arc<dyn ObjectStore>) -> BTreeMap<String, String> {
    let commit = whole(store, ROOT, SAMPLE_AS_OF).await.unwrap();
    commit.tables.into_iter().map(|(name, table)| (name, table.files[0].sha256.clone())).collect()
}

/// One storage call in so many goes wrong every day, each in another way; all of them in all ways take a while.
const EVERY_DAY: usize = 30;

#[test]
fn some_calls_of_the_shipped_job_break_and_readers_see_one_publication() {
    let before = block_on(Before::new());
    let ways = |at: usize| points(&before.calls).into_iter().filter(move |point| point.0 == at).map(|point| point.1);
    let some = (0..before.calls.len()).step_by(EVERY_DAY).enumerate();
    let some: Vec<(usize, How)> = some.map(|(turn, at)| (at, ways(at).cycle().nth(turn).unwrap())).collect();
    try_points(&before, &some);
}

#[test]
#[ignore = "takes 25 minutes of CPU time: see CONTRIBUTING.md"]
fn whatever_call_of_the_shipped_job_breaks_readers_see_one_publication_and_the_next_run_mends_the_rest() {
    let before = block_on(Before::new());
    try_points(&before, &points(&before.calls));
}

/// Breaks the job at each point. What comes next is tried once from every state that this leaves the store in.
fn try_points(before: &Before, points: &[(usize, How)]) {
    let (next, mixed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let states = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                block_on(async {
                    let job = job("2");
                    let look = async |store: &Arc<dyn ObjectStore>| before.look(store).await;
                    while let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
                        let store = before.store();
                        let seen = breaks(&job, &store, *point, &look).await;
                        mixed.fetch_add(usize::from(seen.folders.is_some_and(|(oldest, newest)| oldest < newest)), Ordering::SeqCst);
                        let state = before.state(&store).await;
                        let is_new = states.lock().unwrap().insert(state);
                        if is_new {
                            mends(&job, &store, *point, &look).await;
                        }
                    }
                });
            });
        }
    });
    let kinds = counted(&before.calls);
    let (tried, states, mixed) = (points.len(), states.lock().unwrap().len(), mixed.load(Ordering::SeqCst));
    tell(&format!("{tried} points, {states} states after them, {mixed} with tables of both editions in the folders; calls: {kinds:?}"));
}

fn counted(calls: &[Kind]) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for kind in calls {
        *counts.entry(*kind).or_default() += 1;
    }
    counts
}

/// Shortening the extracts takes rows away, and hardly a call.
#[test]
#[ignore = "runs the job on all of its extracts: see CONTRIBUTING.md"]
fn the_shortened_extracts_are_called_for_as_the_shipped_ones() {
    let calls = |one_in: usize| {
        block_on(async {
            let store = InMemory::new();
            for (path, bytes) in extracts(one_in) {
                store.put(&format!("2/{path}").into(), PutPayload::from(bytes)).await.unwrap();
            }
            job("2").calls(Arc::new(store)).await
        })
    };
    let (shortened, shipped) = (counted(&calls(ONE_IN)), counted(&calls(1)));
    tell(&format!("{shortened:?} of the shortened extracts, {shipped:?} of the shipped ones"));
    assert!(shortened.keys().eq(shipped.keys()));
    for (kind, calls) in shipped {
        // A long text is asked for in several pieces.
        assert!(shortened[&kind] == calls || kind == Kind::Get && shortened[&kind] * 100 >= calls * 95, "{kind:?}");
    }
}

/// The shipped extracts with one row in so many, under the same names.
fn extracts(one_in: usize) -> Vec<(String, Vec<u8>)> {
    let folder = package().join("examples/data");
    let shortened = |path: &PathBuf| {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(path).unwrap();
        let bytes = match path.extension().and_then(|ending| ending.to_str()).unwrap() {
            "csv" => csv(&bytes, one_in),
            "gz" => ndjson(&bytes, one_in),
            "parquet" => columnar(bytes, one_in),
            _ => return None,
        };
        Some((name, bytes))
    };
    files(&folder).iter().filter_map(shortened).collect()
}

fn csv(bytes: &[u8], one_in: usize) -> Vec<u8> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for (row, record) in reader.byte_records().enumerate() {
        if row == 0 || row % one_in == 1 {
            writer.write_byte_record(&record.unwrap()).unwrap();
        }
    }
    writer.into_inner().unwrap()
}

fn ndjson(bytes: &[u8], one_in: usize) -> Vec<u8> {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for line in text.lines().step_by(one_in) {
        writeln!(encoder, "{line}").unwrap();
    }
    encoder.finish().unwrap()
}

fn columnar(bytes: Vec<u8>, one_in: usize) -> Vec<u8> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let groups = reader.metadata().num_row_groups();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let table = concat_batches(&schema, &batches).unwrap();
    let rows = UInt32Array::from_iter_values((0..u32::try_from(table.num_rows()).unwrap()).step_by(one_in));
    let table = take_record_batch(&table, &rows).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    // As many row groups as there were.
    let group_rows = table.num_rows().div_ceil(groups);
    for group in 0..groups {
        let first = (group * group_rows).min(table.num_rows());
        writer.write(&table.slice(first, group_rows.min(table.num_rows() - first))).unwrap();
        writer.flush().unwrap();
    }
    writer.into_inner().unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    crate::publishing::files(folder)
}
