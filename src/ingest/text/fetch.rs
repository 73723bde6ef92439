//! Fetches a file range by range, one range ahead.

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::storage::File;

/// Bytes fetched at once; the next are fetched while these are decoded.
const FETCH_BYTES: u64 = 4 * 1024 * 1024;

/// Fetches a file range by range, one range ahead.
pub struct Fetch {
    file: File,
    next: u64,
    end: u64,
    ahead: Option<JoinHandle<Result<Bytes>>>,
}

impl Fetch {
    /// Begins at a place.
    pub fn from(file: &File, next: u64) -> Self {
        Fetch { file: file.clone(), next, end: file.meta.size, ahead: None }
    }

    /// Ends after so many bytes of the file.
    pub fn end_at(&mut self, bytes: u64) {
        self.end = self.end.min(bytes);
    }

    /// The next range; none at the end.
    ///
    /// # Errors
    /// As reading the store fails.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(ahead) = self.ahead.take().or_else(|| self.start()) else { return Ok(None) };
        self.ahead = self.start();
        ahead.await.map_err(|_| Error::defect("a read did not finish"))?.map(Some)
    }

    fn start(&mut self) -> Option<JoinHandle<Result<Bytes>>> {
        if self.next >= self.end {
            return None;
        }
        let range = self.next..(self.next + FETCH_BYTES).min(self.end);
        self.next = range.end;
        let file = self.file.clone();
        Some(tokio::spawn(async move { file.read(range).await }))
    }
}
