//! Uploads in several parts. An unfinished upload in an object store is invisible and billed until it is aborted, so every upload is
//! tracked from its beginning to its end.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RenameOptions, Result, UploadPart,
};

use super::plain;

/// The upload itself, which is ended by whoever writes it, or from outside.
type Shared = Arc<tokio::sync::Mutex<Box<dyn MultipartUpload>>>;

/// The uploads that were begun and have not come to an end.
#[derive(Debug, Default)]
pub struct Uploads {
    account: Mutex<Account>,
    /// Locked while a store is asked to begin an upload.
    beginning: tokio::sync::RwLock<()>,
}

#[derive(Debug, Default)]
struct Account {
    begun: u64,
    open: BTreeMap<u64, Shared>,
    /// Whether no more uploads may begin.
    closed: bool,
}

impl Uploads {
    /// Aborts all of them, as far as the stores answer. `for_good` says that no more may begin afterwards.
    pub async fn end(&self, for_good: bool) {
        self.lock().closed |= for_good;
        self.end_open().await;
        // This includes uploads whose beginning the store had not answered yet.
        let _nobody_begins = self.beginning.write().await;
        self.end_open().await;
    }

    async fn end_open(&self) {
        let open = std::mem::take(&mut self.lock().open);
        // One that is not ended is what a killed process leaves too: a rule of the store must look after it.
        futures::future::join_all(open.into_values().map(|upload| async move { upload.lock().await.abort().await })).await;
    }

    fn begin(self: &Arc<Self>, upload: Box<dyn MultipartUpload>) -> Upload {
        let upload = Arc::new(tokio::sync::Mutex::new(upload));
        let mut open = self.lock();
        open.begun += 1;
        let number = open.begun;
        open.open.insert(number, Arc::clone(&upload));
        Upload { uploads: Arc::clone(self), number, upload }
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload that is tracked.
#[derive(Debug)]
struct Upload {
    uploads: Arc<Uploads>,
    number: u64,
    upload: Shared,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        // Nobody else holds it but who ends it.
        match self.upload.try_lock() {
            Ok(mut upload) if self.uploads.lock().open.contains_key(&self.number) => upload.put_part(data),
            _ => std::future::ready(Err(ended())).boxed(),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let completed = self.upload.lock().await.complete().await?;
        self.uploads.lock().open.remove(&self.number);
        Ok(completed)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.lock().await.abort().await?;
        self.uploads.lock().open.remove(&self.number);
        Ok(())
    }
}

fn ended() -> object_store::Error {
    object_store::Error::Generic { store: "upload", source: "the upload was ended".into() }
}

/// A store whose uploads are tracked.
#[derive(Debug)]
pub struct Watched {
    store: Arc<dyn ObjectStore>,
    uploads: Arc<Uploads>,
    is_local: bool,
}

impl Watched {
    pub fn new(store: Arc<dyn ObjectStore>, uploads: Arc<Uploads>) -> Self {
        Watched { store, uploads, is_local: false }
    }

    /// Says that the store is the local disk, where paths may be pipes and devices.
    pub fn of_local_disk(self, is_local: bool) -> Self {
        Watched { is_local, ..self }
    }

    /// Refuses paths on which reading would block or never end.
    fn refuse_odd(&self, path: &Path) -> Result<()> {
        let odd = if self.is_local { plain::oddity_at(std::path::Path::new(&format!("/{path}"))) } else { None };
        odd.map_or(Ok(()), |odd| Err(object_store::Error::Generic { store: "local", source: Box::new(odd) }))
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let _beginning = self.uploads.beginning.read().await;
        if self.uploads.lock().closed {
            return Err(ended());
        }
        Ok(Box::new(self.uploads.begin(self.store.put_multipart_opts(path, options).await?)))
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store.put_opts(path, payload, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.refuse_odd(path)?;
        self.store.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.refuse_odd(path)?;
        self.store.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.store.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::local::LocalFileSystem;

    use super::*;

    #[tokio::test]
    async fn what_was_begun_and_not_completed_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        let uploads = Arc::<Uploads>::default();
        let store = Watched::new(Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()), Arc::clone(&uploads));
        let mut left = store.put_multipart(&"left".into()).await.unwrap();
        left.put_part("left".into()).await.unwrap();
        let mut done = store.put_multipart(&"done".into()).await.unwrap();
        done.put_part("done".into()).await.unwrap();
        done.complete().await.unwrap();
        assert_eq!(files(), 2);
        uploads.end(false).await;
        assert_eq!(files(), 1, "the part of a file is gone");
        let mut later = store.put_multipart(&"later".into()).await.unwrap();
        later.put_part("later".into()).await.unwrap();
        uploads.end(true).await;
        assert!(store.put_multipart(&"too late".into()).await.is_err());
        assert_eq!(files(), 1);
        assert!(left.put_part("more".into()).await.is_err());
        assert_eq!(store.get(&"done".into()).await.unwrap().bytes().await.unwrap(), "done");
    }

    #[tokio::test]
    async fn what_a_store_was_being_asked_to_begin_is_ended_too() {
        let folder = tempfile::tempdir().unwrap();
        let inner = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let uploads = Arc::<Uploads>::default();
        let beginning = uploads.beginning.read().await;
        let mut ending = std::pin::pin!(uploads.end(true));
        assert!(futures::poll!(ending.as_mut()).is_pending(), "the store has not answered");
        let mut late = uploads.begin(inner.put_multipart(&"late".into()).await.unwrap());
        late.put_part("late".into()).await.unwrap();
        drop(beginning);
        ending.await;
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(late.put_part("more".into()).await.is_err());
    }
}
