//! A file for what does not fit memory. It has no name, so that nothing of it is left whatever becomes of the process.

use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::profile::Work;

/// Bytes that were put on disk, to be read again by where they are. There is no file before something is put into it.
#[derive(Debug)]
pub struct Scratch {
    file: Mutex<Option<(File, u64)>>,
    work: Arc<Work>,
}

impl Scratch {
    /// An empty one, which tells what is put into it.
    pub fn new(work: &Arc<Work>) -> Self {
        Scratch { file: Mutex::default(), work: Arc::clone(work) }
    }

    /// Puts bytes behind those that are there; where they are.
    ///
    /// # Errors
    /// As the disk fails.
    pub fn append(&self, bytes: &[u8]) -> Result<Range<u64>> {
        let mut opened = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_none() {
            *opened = Some((tempfile::tempfile()?, 0));
        }
        let Some((file, end)) = opened.as_mut() else { return Ok(0..0) };
        file.seek(SeekFrom::Start(*end))?;
        file.write_all(bytes)?;
        let start = *end;
        *end += bytes.len() as u64;
        self.work.spills(bytes.len() as u64);
        Ok(start..*end)
    }

    /// The bytes that are somewhere.
    ///
    /// # Errors
    /// As the disk fails, and when there are none.
    pub fn read(&self, place: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(place.end - place.start).unwrap_or(usize::MAX)];
        if let Some((file, _)) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            file.seek(SeekFrom::Start(place.start))?;
            file.read_exact(&mut bytes)?;
        }
        Ok(bytes)
    }
}
