//! Text extracts as blocks of whole records: ranged reads, decompression, and the lines that records stand on.

use std::io::Write;
use std::ops::Range;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use tokio::task::JoinHandle;
use zstd::stream::raw::Operation;

use crate::error::{Error, Result};
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
    ended: bool,
    damaged: bool,
}

impl Blocks {
    /// Begins to read a file, decompressing as its name tells.
    ///
    /// # Errors
    /// [`Error::Defect`] when a decompressor does not start.
    pub fn open(file: &File) -> Result<Self> {
        let codec = Codec::from_name(file.meta.location.as_ref())?;
        let fetch = Fetch { file: file.clone(), next: 0, ahead: None };
        Ok(Blocks { fetch, codec, fetched: Bytes::new(), pending: Vec::new(), line: 1, ended: false, damaged: false })
    }

    /// The next block, up to the last place where `boundary` says that a record ends.
    ///
    /// # Errors
    /// As reading the store fails.
    pub async fn next(&mut self, boundary: impl Fn(&[u8]) -> Option<usize>) -> Result<Option<Block>> {
        loop {
            if self.pending.len() >= BLOCK_BYTES || self.ended {
                if let Some(end) = self.cut(&boundary) {
                    let rest = self.pending.split_off(end);
                    let bytes = std::mem::replace(&mut self.pending, rest);
                    let first_line = self.line;
                    let bytes = if first_line == 1 { without_byte_order_mark(bytes) } else { bytes };
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
        if self.ended && self.pending.len() <= BLOCK_BYTES && !self.damaged {
            return Some(self.pending.len());
        }
        // Blocks end where they would whatever the sizes of the fetches, so that rows fall into the same blocks every time.
        let window = &self.pending[..self.pending.len().min(BLOCK_BYTES)];
        boundary(window).or_else(|| {
            let all = memchr::memchr(b'\n', &self.pending[window.len()..]).map(|at| window.len() + at + 1);
            match all {
                Some(end) if self.pending.len() > MAX_RECORD_BYTES + BLOCK_BYTES || self.ended => Some(end),
                None if self.ended => (!self.damaged).then_some(self.pending.len()),
                _ if self.pending.len() > MAX_RECORD_BYTES + BLOCK_BYTES => Some(self.pending.len()),
                _ => None,
            }
        })
    }

    /// What is left of a file whose compression is damaged: the record that it breaks off in, which is at fault. Whatever
    /// could be decompressed before it has been given as blocks. None when the file is whole.
    pub fn breaks_off(&mut self) -> Option<(Vec<u8>, u64)> {
        self.damaged.then(|| (std::mem::take(&mut self.pending), self.line))
    }

    async fn fill(&mut self) -> Result<()> {
        if self.fetched.is_empty() {
            match self.fetch.next().await? {
                Some(bytes) => self.fetched = bytes,
                None => {
                    let finished = self.codec.finish(&mut self.pending);
                    self.end(finished.is_err());
                    return Ok(());
                }
            }
        }
        let some = self.fetched.split_to(self.fetched.len().min(INFLATE_BYTES));
        if self.codec.feed(&some, &mut self.pending).is_err() {
            self.end(true);
        }
        Ok(())
    }

    fn end(&mut self, damaged: bool) {
        self.ended = true;
        self.damaged = damaged;
    }
}

/// Some programs open a UTF-8 file with a mark that is no part of its text.
fn without_byte_order_mark(bytes: Vec<u8>) -> Vec<u8> {
    match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(text) => text.to_vec(),
        None => bytes,
    }
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
    Zstd(Box<Zstd>),
}

/// A zstd decompressor that knows whether its input is complete, which the streaming one of the crate does not tell.
struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    buffer: Vec<u8>,
    complete: bool,
}

impl Zstd {
    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
        loop {
            let status = self.decoder.run_on_buffers(bytes, &mut self.buffer)?;
            out.extend_from_slice(&self.buffer[..status.bytes_written]);
            bytes = &bytes[status.bytes_read..];
            self.complete = status.remaining == 0;
            if self.complete && !bytes.is_empty() {
                // Another frame follows.
                self.decoder.reinit()?;
            } else if bytes.is_empty() && status.bytes_written < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

impl Codec {
    fn from_name(name: &str) -> Result<Self> {
        if name.ends_with(".gz") {
            return Ok(Codec::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Vec::new()))));
        }
        if name.ends_with(".zst") {
            let decoder = zstd::stream::raw::Decoder::new().map_err(|error| Error::defect(format!("zstd did not start: {error}")))?;
            return Ok(Codec::Zstd(Box::new(Zstd { decoder, buffer: vec![0; INFLATE_BYTES], complete: true })));
        }
        Ok(Codec::Plain)
    }

    /// Decompresses some bytes; what could be decompressed before a damage is kept.
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
        match self {
            Codec::Plain => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Codec::Gzip(decoder) => {
                let fed = decoder.write_all(bytes);
                out.append(decoder.get_mut());
                fed
            }
            Codec::Zstd(decoder) => decoder.feed(bytes, out),
        }
    }

    /// Ends the input; fails when the compressed data is not complete.
    fn finish(&mut self, out: &mut Vec<u8>) -> std::io::Result<()> {
        match self {
            Codec::Plain => Ok(()),
            Codec::Gzip(decoder) => {
                let finished = decoder.try_finish();
                out.append(decoder.get_mut());
                finished
            }
            Codec::Zstd(decoder) if decoder.complete => Ok(()),
            Codec::Zstd(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
