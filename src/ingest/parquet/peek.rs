//! Looks into a Parquet file without a contract: its columns, and some rows of some row groups. Few bytes are read, page by page.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

use super::damage::{damaged, unharmed};
use super::{footer, types};
use crate::error::Result;
use crate::storage::File;

/// The most bytes that are read of one row group.
const MAX_PEEK_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes that are fetched at once.
const FETCH_BYTES: u64 = 256 * 1024;

/// What was seen of a file.
#[derive(Debug)]
pub struct Peeked {
    /// Its columns.
    pub schema: SchemaRef,
    /// How many rows it says that it has.
    pub rows: u64,
    /// Some of them.
    pub batches: Vec<RecordBatch>,
    /// Whether rows of some row groups could not be looked at.
    pub is_partial: bool,
}

/// Looks at so many first rows of the first, the middle and the last row group.
///
/// # Errors
/// [`crate::error::Error::Refused`] when the file is damaged; also as reading the store fails.
pub async fn peek(file: &File, rows: usize) -> Result<Peeked> {
    let footer = footer::read(file, None).await?;
    let footer = unharmed(|| types::arrow_of(&footer)).map_err(|why| damaged(file, why))?;
    let groups = footer.metadata().num_row_groups();
    let mut picked = vec![0, groups / 2, groups.saturating_sub(1)];
    picked.retain(|group| *group < groups);
    picked.dedup();
    let (mut batches, mut is_partial) = (Vec::new(), false);
    for group in picked {
        let (pieces, footer) = (Pieces::of(file), footer.clone());
        let read = tokio::task::spawn_blocking(move || {
            unharmed(|| {
                let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(pieces, footer.clone());
                let reader = reader.with_row_groups(vec![group]).with_limit(rows).with_batch_size(rows.max(1)).build()?;
                reader.map(|batch| batch.map_err(ParquetError::from)).collect::<ParquetResult<Vec<RecordBatch>>>()
            })
        });
        match read.await {
            Ok(Ok(mut read)) => batches.append(&mut read),
            _ => is_partial = true,
        }
    }
    let rows = u64::try_from(footer.metadata().file_metadata().num_rows()).unwrap_or_default();
    Ok(Peeked { schema: Arc::clone(footer.schema()), rows, batches, is_partial })
}

/// A file that is fetched piece by piece, as a reader asks for it.
struct Pieces {
    file: File,
    handle: Handle,
    state: Arc<Mutex<State>>,
}

struct State {
    left: u64,
    start: u64,
    piece: Bytes,
}

impl Pieces {
    fn of(file: &File) -> Self {
        let state = State { left: MAX_PEEK_BYTES, start: 0, piece: Bytes::new() };
        Pieces { file: file.clone(), handle: Handle::current(), state: Arc::new(Mutex::new(state)) }
    }

    fn get(&self, start: u64, length: u64) -> ParquetResult<Bytes> {
        let too_much = || ParquetError::General("more bytes than may be looked at".to_owned());
        let end = start.checked_add(length).filter(|end| *end <= self.file.meta.size).ok_or_else(too_much)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let held = state.start..state.start + state.piece.len() as u64;
        if !(held.contains(&start) && end <= held.end) {
            let until = start.saturating_add(length.max(FETCH_BYTES)).min(self.file.meta.size);
            state.left = state.left.checked_sub(until - start).ok_or_else(too_much)?;
            let read = self.handle.block_on(self.file.read(start..until));
            state.piece = read.map_err(|_| ParquetError::General("not read".to_owned()))?;
            state.start = start;
        }
        let from = usize::try_from(start - state.start).map_err(|_| too_much())?;
        let length = usize::try_from(length).map_err(|_| too_much())?;
        if from + length > state.piece.len() {
            return Err(too_much());
        }
        Ok(state.piece.slice(from..from + length))
    }
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.file.meta.size
    }
}

impl ChunkReader for Pieces {
    type T = Stream;

    fn get_read(&self, start: u64) -> ParquetResult<Stream> {
        let pieces = Pieces { file: self.file.clone(), handle: self.handle.clone(), state: Arc::clone(&self.state) };
        Ok(Stream { pieces, at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.get(start, length as u64)
    }
}

/// Reads on from a place.
struct Stream {
    pieces: Pieces,
    at: u64,
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let length = (out.len() as u64).min(self.pieces.file.meta.size.saturating_sub(self.at)).min(FETCH_BYTES);
        let bytes = self.pieces.get(self.at, length).map_err(|_| std::io::Error::from(std::io::ErrorKind::Other))?;
        out[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
