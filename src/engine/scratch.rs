//! Bytes that are written to disk and read again by their position.

use std::io::Result;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::spill_files::{NamelessFiles, Spilled};

/// A spill file for bytes. The file is created with the first of them.
#[derive(Debug)]
pub struct Scratch {
    files: NamelessFiles,
    file: Mutex<Option<Arc<Spilled>>>,
}

impl Scratch {
    /// A file without bytes.
    pub(super) fn new(files: &NamelessFiles) -> Self {
        Scratch { files: files.clone(), file: Mutex::default() }
    }

    /// Appends bytes and returns their position.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn append(&self, bytes: &[u8]) -> Result<Range<u64>> {
        let mut opened = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match opened.as_ref() {
            Some(file) => Arc::clone(file),
            None => Arc::clone(opened.insert(Arc::new(self.files.create()?))),
        };
        drop(opened);
        let start = file.append(bytes)?;
        Ok(start..start + bytes.len() as u64)
    }

    /// The bytes at a position.
    ///
    /// # Errors
    /// When the disk fails, and when there are no bytes at the position.
    pub fn read(&self, place: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(place.end - place.start).unwrap_or(usize::MAX)];
        let opened = self.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match opened {
            Some(file) => file.read_exact(&mut bytes, place.start)?,
            None if bytes.is_empty() => {}
            None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(bytes)
    }
}
