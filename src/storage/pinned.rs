//! Reading one version of a file: the one that was found when the run began, and whose version its fingerprint holds.

use std::ops::Range;

use bytes::Bytes;
use object_store::{GetOptions, OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStoreExt, coalesce_ranges};

use super::failure::is_out_of_range;
use super::{File, failure};
use crate::error::{Error, Message, Result};

impl File {
    /// Reads a range of the version that was found. The version in every answer is compared, and not requested with `If-Match`, because
    /// servers differ in how they understand that.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file has changed; otherwise as [`failure`].
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let got = match self.store.get_opts(&self.meta.location, options).await {
            Ok(got) => got,
            Err(error) => return Err(self.failed(error).await),
        };
        if !same_version(&self.meta, &got.meta) {
            return Err(self.changed());
        }
        match got.bytes().await {
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(self.failed(error).await),
        }
    }

    /// Reads ranges of the version that was found. Ranges that lie near to each other are read in one request.
    ///
    /// # Errors
    /// As [`File::read`].
    pub async fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        // On a local disk another read costs less than reading what lies between.
        let gap_bytes = if self.is_local { 0 } else { OBJECT_STORE_COALESCE_DEFAULT };
        coalesce_ranges(ranges, |range| self.read(range), gap_bytes).await
    }

    /// Verifies after the last read that the file was not written to meanwhile. Object stores replace whole objects, so there every
    /// answer is of the version that it names.
    ///
    /// # Errors
    /// As [`File::read`].
    pub async fn is_unchanged(&self) -> Result<()> {
        if !self.is_local {
            return Ok(());
        }
        match self.store.head(&self.meta.location).await {
            Ok(now) if same_version(&self.meta, &now) => Ok(()),
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Err(self.changed()),
            Err(error) => Err(failure("read", &self.shown, error)),
        }
    }

    /// The error for a failed read. A file that is gone, or shorter than it was, has changed.
    async fn failed(&self, error: object_store::Error) -> Error {
        match error {
            object_store::Error::NotFound { .. } | object_store::Error::Precondition { .. } => self.changed(),
            error if is_out_of_range(&error) => self.changed(),
            error => match self.is_unchanged().await {
                Ok(()) => failure("read", &self.shown, error),
                Err(changed) => changed,
            },
        }
    }

    fn changed(&self) -> Error {
        let message = Message::new(format!("{} was replaced, changed or removed while it was read", self.shown));
        Error::Unavailable(message.hint("nothing was published; run again when its sender has finished writing"))
    }
}

/// Whether two answers are of one version: by their `ETag`, or where a store gives none, by size and time.
fn same_version(found: &ObjectMeta, now: &ObjectMeta) -> bool {
    if found.size != now.size {
        return false;
    }
    match (&found.e_tag, &now.e_tag) {
        (Some(found), Some(now)) => bare(found) == bare(now),
        _ => found.last_modified == now.last_modified,
    }
}

/// An `ETag` without quotes and the mark for weak ones. Listings omit the quotes, and proxies that compress answers mark it as weak.
fn bare(e_tag: &str) -> &str {
    e_tag.trim_start_matches("W/").trim_matches('"')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::local::LocalFileSystem;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStore, PutPayload};

    use super::*;

    async fn found(store: Arc<dyn ObjectStore>, is_local: bool) -> File {
        let path = Path::from("a.csv");
        store.put(&path, PutPayload::from("first")).await.unwrap();
        let meta = store.head(&path).await.unwrap();
        File { store, meta, shown: "a.csv".into(), is_local, parts: Arc::default() }
    }

    #[tokio::test]
    async fn only_the_version_that_was_found_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let local = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        for (store, is_local) in [(local as Arc<dyn ObjectStore>, true), (Arc::new(InMemory::new()), false)] {
            let file = found(store, is_local).await;
            assert_eq!(file.read(1..3).await.unwrap(), "ir");
            assert_eq!(file.read_ranges(&[0..1, 4..5]).await.unwrap(), ["f", "t"]);
            file.is_unchanged().await.unwrap();
            file.store.put(&file.meta.location, PutPayload::from("other")).await.unwrap();
            for error in [file.read(1..3).await.unwrap_err(), file.read_ranges(&[0..1, 1..2]).await.unwrap_err()] {
                assert_eq!(error.exit_status() as u8, 75);
                assert!(error.to_string().starts_with("a.csv was replaced"), "{error}");
            }
            assert_eq!(file.is_unchanged().await.is_err(), is_local);
            file.store.delete(&file.meta.location).await.unwrap();
            assert_eq!(file.read(1..3).await.unwrap_err().exit_status() as u8, 75);
        }
    }

    #[tokio::test]
    async fn a_local_file_that_is_written_into_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = found(Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()), true).await;
        std::fs::OpenOptions::new()
            .append(true)
            .open(folder.path().join("a.csv"))
            .and_then(|mut f| std::io::Write::write_all(&mut f, b"x"))
            .unwrap();
        assert!(file.read(0..1).await.is_err());
        assert!(file.is_unchanged().await.is_err());
    }

    #[test]
    fn quotes_and_weakness_are_no_part_of_a_tag() {
        assert_eq!(bare("W/\"abc\""), bare("abc"));
    }
}
