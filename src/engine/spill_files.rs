//! The files to which operators and materialised tables spill. They have no name, so the system removes them however the process ends.

use std::fs::File;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;
use futures::stream::try_unfold;

/// The most bytes that one engine may have on disk.
const MAX_SPILLED_BYTES: u64 = 100 * 1024 * 1024 * 1024;

/// How many bytes of a file are read at once.
const READ_BYTES: usize = 128 * 1024;

/// Creates the spill files of an engine in the folder for temporary files.
#[derive(Debug, Clone, Default)]
pub(super) struct NamelessFiles {
    on_disk: Arc<AtomicU64>,
}

impl NamelessFiles {
    /// The disk manager that makes DataFusion's operators use these files.
    pub fn disk(&self) -> DiskManagerBuilder {
        DiskManagerBuilder::default().with_temp_file_factory(Arc::new(self.clone()))
    }

    /// An empty file.
    ///
    /// # Errors
    /// When the folder for temporary files cannot be written to.
    pub fn create(&self) -> io::Result<Spilled> {
        Ok(Spilled { file: tempfile::tempfile()?, bytes: AtomicU64::new(0), on_disk: Arc::clone(&self.on_disk) })
    }
}

impl TempFileFactory for NamelessFiles {
    fn create_temp_file(&self, _: &str) -> Result<Arc<dyn SpillFile>> {
        Ok(Arc::new(NamelessFile(Arc::new(self.create().map_err(DataFusionError::IoError)?))))
    }
}

/// A spill file as DataFusion sees it. It is removed when the last reference to it is dropped.
struct NamelessFile(Arc<Spilled>);

#[derive(Debug)]
pub(super) struct Spilled {
    file: File,
    bytes: AtomicU64,
    /// The bytes of all spill files of the engine.
    on_disk: Arc<AtomicU64>,
}

impl Spilled {
    /// Appends bytes and returns the position at which they begin.
    ///
    /// # Errors
    /// When the disk fails, and when the engine would have more on disk than it may.
    pub fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let more = bytes.len() as u64;
        if self.on_disk.fetch_add(more, Relaxed) + more > MAX_SPILLED_BYTES {
            self.on_disk.fetch_sub(more, Relaxed);
            return Err(io::Error::from(io::ErrorKind::QuotaExceeded));
        }
        // If only a part can be written, all of it is counted until the file is removed.
        let end = self.bytes.fetch_add(more, Relaxed);
        write_at(&self.file, bytes, end)?;
        Ok(end)
    }

    /// Fills `into` with the bytes from a position on.
    ///
    /// # Errors
    /// When the disk fails, and when there are fewer bytes.
    pub fn read_exact(&self, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !into.is_empty() {
            match at(&self.file, into, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    into = &mut into[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        self.on_disk.fetch_sub(self.bytes.load(Relaxed), Relaxed);
    }
}

impl SpillFile for NamelessFile {
    fn size(&self) -> Option<u64> {
        Some(self.0.bytes.load(Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        Ok(Box::pin(try_unfold((Arc::clone(&self.0), 0), |(spilled, offset)| async move {
            let reading = Arc::clone(&spilled);
            let read = tokio::task::spawn_blocking(move || read_at(&reading.file, offset)).await;
            let bytes = read.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?.map_err(DataFusionError::IoError)?;
            let next = offset + bytes.len() as u64;
            Ok((!bytes.is_empty()).then_some((bytes, (spilled, next))))
        })))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(NamelessWriter(Arc::clone(&self.0))))
    }
}

/// Appends to a spill file.
struct NamelessWriter(Arc<Spilled>);

impl Write for NamelessWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for NamelessWriter {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The next bytes from a position of a file on; none at its end.
fn read_at(file: &File, offset: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        match at(file, &mut bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                bytes.truncate(read?);
                return Ok(bytes.into());
            }
        }
    }
}

#[cfg(unix)]
fn at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, offset)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_as_often_as_asked_and_has_no_name() {
        let files = NamelessFiles::default();
        let file = files.create_temp_file("").unwrap();
        assert!(file.path().is_none());
        let mut expected = Vec::new();
        let mut writer = file.open_writer().unwrap();
        for round in 0..5_u8 {
            let part = vec![round; READ_BYTES - 1];
            writer.write_all(&part).unwrap();
            expected.extend(part);
            for _ in 0..2 {
                let read: Vec<Bytes> = file.read_stream().unwrap().try_collect().await.unwrap();
                assert_eq!(read.concat(), expected, "reading does not move the place at which is written");
            }
        }
        writer.finish().unwrap();
        assert_eq!((file.size(), files.on_disk.load(Relaxed)), (Some(expected.len() as u64), expected.len() as u64));
        drop((file, writer));
        assert_eq!(files.on_disk.load(Relaxed), 0);
    }

    #[test]
    fn there_is_an_end_to_what_may_be_on_disk() {
        let files = NamelessFiles { on_disk: Arc::new(AtomicU64::new(MAX_SPILLED_BYTES - 10)) };
        let file = files.create_temp_file("").unwrap();
        let mut writer = file.open_writer().unwrap();
        writer.write_all(&[1; 10]).unwrap();
        assert_eq!(writer.write(&[1]).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        assert_eq!(file.size(), Some(10));
    }
}
