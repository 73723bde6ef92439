//! Text extracts as blocks of whole records: ranged reads, decompression, and the lines that records stand on.

use std::io::Write;
use std::ops::Range;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use tokio::task::JoinHandle;

use crate::error::{Error, Message, Result};
use crate::storage::{self, File};

/// Bytes fetched at once; the next are fetched while these are decoded.
const FETCH_BYTES: u64 = 4 * 1024 * 1024;
/// Compressed bytes decompressed at once, which bounds what a hostile file can inflate to before it is looked at.
const INFLATE_BYTES: usize = 64 * 1024;
/// Bytes of text in a block.
const BLOCK_BYTES: usize = 1024 * 1024;
/// The longest record; a longer one is at fault.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Some whole records of a text file.
#[derive(Debug)]
pub struct Block {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// The line that the first begins on, from 1.
    pub first_line: u64,
}

/// A record in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its bytes, without the line's end.
    pub bytes: Range<usize>,
    /// The line that it begins on, from 1.
    pub line: u64,
}

/// Reads a text file as blocks.
pub struct Blocks {
    fetch: Fetch,
    codec: Codec,
    fetched: Bytes,
    pending: Vec<u8>,
    line: u64,
    shown: String,
    ended: bool,
}

impl Blocks {
    /// Begins to read a file, decompressing as its name tells.
    ///
    /// # Errors
    /// [`Error::Defect`] when a decompressor does not start.
    pub fn open(file: &File) -> Result<Self> {
        let codec = Codec::from_name(file.meta.location.as_ref())?;
        let fetch = Fetch { file: file.clone(), next: 0, ahead: None };
        Ok(Blocks { fetch, codec, fetched: Bytes::new(), pending: Vec::new(), line: 1, shown: file.shown.clone(), ended: false })
    }

    /// The next block, up to the last place where `boundary` says that a record ends.
    ///
    /// # Errors
    /// As reading the store fails; [`Error::Refused`] when the compressed data is corrupt.
    pub async fn next(&mut self, boundary: impl Fn(&[u8]) -> Option<usize>) -> Result<Option<Block>> {
        loop {
            if self.pending.len() >= BLOCK_BYTES || self.ended {
                if let Some(end) = self.cut(&boundary) {
                    let rest = self.pending.split_off(end);
                    let bytes = std::mem::replace(&mut self.pending, rest);
                    let first_line = self.line;
                    self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
                    return Ok(Some(Block { bytes, first_line }));
                }
                if self.ended {
                    return Ok(None);
                }
            }
            self.fill().await?;
        }
    }

    /// Where the next block ends, if what is pending is enough for one.
    fn cut(&self, boundary: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
        if self.pending.is_empty() {
            return None;
        }
        if self.ended && self.pending.len() <= BLOCK_BYTES {
            return Some(self.pending.len());
        }
        // Blocks end where they would whatever the sizes of the fetches, so that rows fall into the same blocks every time.
        let window = &self.pending[..self.pending.len().min(BLOCK_BYTES)];
        boundary(window).or_else(|| {
            let all = memchr::memchr(b'\n', &self.pending[window.len()..]).map(|at| window.len() + at + 1);
            match all {
                Some(end) if self.pending.len() > MAX_RECORD_BYTES + BLOCK_BYTES || self.ended => Some(end),
                None if self.ended => Some(self.pending.len()),
                _ if self.pending.len() > MAX_RECORD_BYTES + BLOCK_BYTES => Some(self.pending.len()),
                _ => None,
            }
        })
    }

    async fn fill(&mut self) -> Result<()> {
        if self.fetched.is_empty() {
            match self.fetch.next().await? {
                Some(bytes) => self.fetched = bytes,
                None => {
                    self.codec.finish(&mut self.pending).map_err(|error| corrupt(&self.shown, &error))?;
                    self.ended = true;
                    return Ok(());
                }
            }
        }
        let some = self.fetched.split_to(self.fetched.len().min(INFLATE_BYTES));
        self.codec.feed(&some, &mut self.pending).map_err(|error| corrupt(&self.shown, &error))
    }
}

fn corrupt(shown: &str, error: &std::io::Error) -> Error {
    Error::Refused(
        Message::new(format!("{shown} cannot be decompressed: {error}")).hint("the file is damaged or cut short: fetch it again"),
    )
}

/// Fetches a file range by range, one range ahead.
struct Fetch {
    file: File,
    next: u64,
    ahead: Option<JoinHandle<object_store::Result<Bytes>>>,
}

impl Fetch {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(ahead) = self.ahead.take().or_else(|| self.start()) else { return Ok(None) };
        self.ahead = self.start();
        let fetched = ahead.await.map_err(|error| Error::defect(format!("a read did not finish: {error}")))?;
        fetched.map(Some).map_err(|error| storage::failure("read", &self.file.shown, error))
    }

    fn start(&mut self) -> Option<JoinHandle<object_store::Result<Bytes>>> {
        if self.next >= self.file.meta.size {
            return None;
        }
        let range = self.next..(self.next + FETCH_BYTES).min(self.file.meta.size);
        self.next = range.end;
        let (store, path) = (self.file.store.clone(), self.file.meta.location.clone());
        Some(tokio::spawn(async move { store.get_range(&path, range).await }))
    }
}

enum Codec {
    Plain,
    Gzip(Box<flate2::write::MultiGzDecoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
}

impl Codec {
    fn from_name(name: &str) -> Result<Self> {
        if name.ends_with(".gz") {
            return Ok(Codec::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Vec::new()))));
        }
        if name.ends_with(".zst") {
            let decoder = zstd::stream::write::Decoder::new(Vec::new());
            return decoder.map(|d| Codec::Zstd(Box::new(d))).map_err(|error| Error::defect(format!("zstd did not start: {error}")));
        }
        Ok(Codec::Plain)
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
        match self {
            Codec::Plain => out.extend_from_slice(bytes),
            Codec::Gzip(decoder) => {
                decoder.write_all(bytes)?;
                out.append(decoder.get_mut());
            }
            Codec::Zstd(decoder) => {
                decoder.write_all(bytes)?;
                decoder.flush()?;
                out.append(decoder.get_mut());
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> std::io::Result<()> {
        match self {
            Codec::Plain => {}
            Codec::Gzip(decoder) => {
                decoder.try_finish()?;
                out.append(decoder.get_mut());
            }
            Codec::Zstd(decoder) => {
                decoder.flush()?;
                out.append(decoder.get_mut());
            }
        }
        Ok(())
    }
}
