//! Bytes that do not fit memory, and are read again by where they are.

use std::io::Result;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::disks::{NamelessFiles, Spilled};

/// Bytes that were put on disk. There is no file before something is put into it.
#[derive(Debug)]
pub struct Scratch {
    files: NamelessFiles,
    file: Mutex<Option<Arc<Spilled>>>,
}

impl Scratch {
    /// An empty one.
    pub(super) fn new(files: &NamelessFiles) -> Self {
        Scratch { files: files.clone(), file: Mutex::default() }
    }

    /// Puts bytes behind those that are there; where they are.
    ///
    /// # Errors
    /// As the disk fails.
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

    /// The bytes that are somewhere.
    ///
    /// # Errors
    /// As the disk fails, and when there are none.
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
