use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use segmill::config::Environment;
use segmill::engine::{Limits, TextEncoding};
use segmill::error::Error;
use segmill::job::{Done, Request};
use segmill::openlineage::RunEvents;
use segmill::record::Recorder;
use segmill::report::Progress;
use segmill::run;
use segmill::storage::Stores;
use tokio::sync::Notify;

/// What a storage call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Get,
    List,
    Put,
    PutInParts,
    Copy,
    Delete,
}

impl Kind {
    pub fn writes(self) -> bool {
        !matches!(self, Kind::Get | Kind::List)
    }
}

/// How a storage call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It fails and has done nothing.
    Fails,
    /// It fails although it was done: its answer was lost.
    FailsDone,
    /// It never ends, until the process is ended.
    Hangs,
    /// The process dies when the call has been done.
    DiesDone,
    /// It waits until the test says that it may go on.
    Waits,
}

/// A store in which one call goes wrong.
pub struct Breaking {
    pub inner: Arc<dyn ObjectStore>,
    /// The calls made, in order.
    pub calls: Mutex<Vec<Kind>>,
    wrong: Option<(usize, How)>,
    dead: AtomicBool,
    /// Told when the process has died.
    pub over: Notify,
    /// Lets a call go on that waits.
    pub go_on: Notify,
    pub honours_create: bool,
}

impl Breaking {
    pub fn new(inner: Arc<dyn ObjectStore>, wrong: Option<(usize, How)>) -> Self {
        let (calls, dead, over, go_on) = Default::default();
        Breaking { inner, calls, wrong, dead, over, go_on, honours_create: true }
    }

    /// Counts a call and makes it, as well as it goes.
    async fn call<T>(&self, kind: Kind, done: impl Future<Output = object_store::Result<T>>) -> object_store::Result<T> {
        if self.dead.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(kind);
            calls.len() - 1
        };
        // Others get their turn, as they do while a request is on its way.
        tokio::task::yield_now().await;
        let Some((_, how)) = self.wrong.filter(|(at, _)| *at == number) else { return done.await };
        let broken = || object_store::Error::Generic { store: "breaking", source: "broken on purpose".into() };
        match how {
            How::Fails => Err(broken()),
            How::FailsDone => done.await.and(Err(broken())),
            How::Hangs => self.end().await,
            How::Waits => {
                self.over.notify_one();
                self.go_on.notified().await;
                done.await
            }
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
pub struct Shared(pub Arc<Breaking>);

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
        self.0.call(Kind::Put, self.0.inner.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.call(Kind::PutInParts, self.0.inner.put_multipart_opts(path, options)).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.0.call(Kind::Get, self.0.inner.get_opts(path, options)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, object_store::Result<Path>>) -> BoxStream<'static, object_store::Result<Path>> {
        let this = Arc::clone(&self.0);
        let delete = move |path: object_store::Result<Path>| {
            let this = Arc::clone(&this);
            async move {
                let path = path?;
                this.call(Kind::Delete, this.inner.delete(&path)).await.map(|()| path)
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (this, listed) = (Arc::clone(&self.0), self.0.inner.list(prefix));
        futures::stream::once(async move { this.call(Kind::List, async { Ok(listed) }).await }).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.0.call(Kind::List, self.0.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.0.call(Kind::Copy, self.0.inner.copy_opts(from, to, options)).await
    }
}

/// A run of a project against such a store.
pub struct Job {
    pub pipeline: PathBuf,
    pub as_of: &'static str,
    pub environment: Environment,
    pub parameters: BTreeMap<String, String>,
}

impl Job {
    /// Runs as a process would: when it hangs or dies, it is no more.
    pub async fn run(&self, store: Breaking) -> Option<Result<Done, Error>> {
        self.run_on(Arc::new(store)).await
    }

    /// As [`Job::run`], on a store that is looked at later.
    pub async fn run_on(&self, store: Arc<Breaking>) -> Option<Result<Done, Error>> {
        tokio::select! {
            done = self.run_to_its_end(Arc::clone(&store)) => Some(done),
            () = store.over.notified() => None,
        }
    }

    /// Runs until the run has come to something.
    pub async fn run_to_its_end(&self, store: Arc<Breaking>) -> Result<Done, Error> {
        let stores = Stores::new(BTreeMap::default());
        stores.provide("memory:", Arc::new(Shared(Arc::clone(&store))));
        let request = Request {
            pipeline: self.pipeline.clone(),
            as_of: self.as_of.parse().unwrap(),
            destination: None,
            force: false,
            parameters: self.parameters.clone(),
            limits: Limits { threads: 1, memory_bytes: 512 << 20 },
            text_encoding: TextEncoding::default(),
            with_report: false,
            timings: false,
            environment: self.environment.clone(),
        };
        let recorder = Recorder::start(request.as_of, request.limits, None);
        let progress = Progress::on_terminal(false);
        run::run(&request, &stores, &progress, &recorder, &RunEvents::none()).await
    }

    /// The calls of a run in which nothing goes wrong.
    pub async fn calls(&self, store: Arc<dyn ObjectStore>) -> Vec<Kind> {
        let counting = Arc::new(Breaking::new(store, None));
        self.run_on(Arc::clone(&counting)).await.unwrap().unwrap();
        std::mem::take(&mut *counting.calls.lock().unwrap())
    }
}

/// Every call in every way in which it can go wrong.
pub fn points(calls: &[Kind]) -> Vec<(usize, How)> {
    let ways =
        |kind: Kind| if kind.writes() { vec![How::Fails, How::Hangs, How::FailsDone, How::DiesDone] } else { vec![How::Fails, How::Hangs] };
    calls.iter().enumerate().flat_map(|(at, kind)| ways(*kind).into_iter().map(move |way| (at, way))).collect()
}

/// A copy that shares nothing with the store that it is made of.
pub async fn copied(from: &Arc<dyn ObjectStore>) -> InMemory {
    let copy = InMemory::new();
    for meta in from.list(None).try_collect::<Vec<_>>().await.unwrap() {
        let bytes = from.get(&meta.location).await.unwrap().bytes().await.unwrap();
        copy.put(&meta.location, PutPayload::from(bytes)).await.unwrap();
    }
    copy
}
