//! Reads the beginning of a file and some places behind it: few bytes, the same each time, however large the file is.

use bytes::Bytes;

use crate::error::Result;
use crate::ingest::{Packing, Unpacker, packing};
use crate::storage::File;

/// Bytes of the beginning that are looked at, unpacked.
const MAX_HEAD_BYTES: usize = 1024 * 1024;
/// Bytes of each further place.
const PLACE_BYTES: u64 = 64 * 1024;
/// How many further places are looked at.
const PLACES: u64 = 4;
/// Bytes that are fetched at once of a packed file.
const FETCH_BYTES: u64 = 256 * 1024;

/// What was read of a file.
#[derive(Debug)]
pub struct Sample {
    /// How it is packed.
    pub packing: Packing,
    /// Its beginning, unpacked.
    pub head: Vec<u8>,
    /// Some places behind the beginning, in order. A packed file has none, since it can be unpacked only from its beginning.
    pub places: Vec<Vec<u8>>,
    /// Whether the beginning is the whole file.
    pub is_whole: bool,
    /// Whether the packing is damaged.
    pub is_damaged: bool,
}

/// Reads some of a file. `share` is by how many files the reading is divided.
///
/// # Errors
/// As reading the store fails.
pub async fn read(file: &File, share: usize) -> Result<Sample> {
    let size = file.meta.size;
    let head_bytes = (MAX_HEAD_BYTES / share.clamp(1, 16)) as u64;
    let first = file.read(0..size.min(head_bytes)).await?;
    let packing = packing(&first);
    if packing != Packing::Plain {
        return unpacked(file, packing, first, head_bytes).await;
    }
    let is_whole = first.len() as u64 >= size;
    let mut places = Vec::new();
    if !is_whole {
        for place in 1..=PLACES {
            // Even, so that a place is a character of UTF-16, too.
            let start = ((size / (PLACES + 1)) * place / 2 * 2).max(first.len() as u64 / 2 * 2);
            let end = size.min(start + PLACE_BYTES);
            if start + 1 < end {
                places.push(file.read(start..end).await?.to_vec());
            }
        }
    }
    Ok(Sample { packing, head: first.to_vec(), places, is_whole, is_damaged: false })
}

async fn unpacked(file: &File, packing: Packing, first: Bytes, head_bytes: u64) -> Result<Sample> {
    let size = file.meta.size;
    let mut sample = Sample { packing, head: Vec::new(), places: Vec::new(), is_whole: false, is_damaged: false };
    let (mut input, mut fetched) = (first.clone(), first.len() as u64);
    let Ok(mut unpacker) = Unpacker::new(packing) else {
        sample.is_damaged = true;
        return Ok(sample);
    };
    let wanted = usize::try_from(head_bytes).unwrap_or(MAX_HEAD_BYTES);
    while sample.head.len() < wanted {
        if input.is_empty() && unpacker.is_drained() {
            if fetched >= size || fetched >= 16 * head_bytes {
                break;
            }
            let end = size.min(fetched + FETCH_BYTES);
            input = file.read(fetched..end).await?;
            fetched = end;
        }
        if unpacker.feed(&mut input, &mut sample.head).is_err() {
            sample.is_damaged = true;
            return Ok(sample);
        }
    }
    if fetched >= size && input.is_empty() && unpacker.is_drained() {
        sample.is_damaged = unpacker.finish(&mut sample.head).is_err();
        sample.is_whole = !sample.is_damaged;
    }
    sample.head.truncate(wanted.max(1));
    sample.is_whole &= sample.head.len() < wanted;
    Ok(sample)
}
