//! Finds out whether a local path is an ordinary file before it is opened. Opening a named pipe may block for ever, and a device may have
//! no end.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// What a path is that is not an ordinary file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFile(pub &'static str);

const DEVICE: &str = "it is a device, and no file";

impl NoFile {
    /// Whether it is a device, which can be written to.
    pub fn is_device(self) -> bool {
        self.0 == DEVICE
    }
}

impl std::fmt::Display for NoFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoFile {}

/// A link that comes back to itself.
pub const LOOP: NoFile = NoFile("it is a link that leads to itself");
/// A link that leads to something that is not there.
pub const LEADS_NOWHERE: NoFile = NoFile("it is a link to something that is not there");

/// The kind of something that is neither a file nor a folder.
pub fn oddity(meta: &Metadata) -> Option<NoFile> {
    let kind = meta.file_type();
    (!kind.is_file() && !kind.is_dir()).then(|| NoFile(of_unix(kind).unwrap_or("it is no ordinary file")))
}

/// Folders of virtual files, which the kernel generates as they are read. Such files claim to be empty, and reading them may block.
const OF_SYSTEM: NoFile = NoFile("it is a file of the system, which has no contents of its own");

/// Whether a path leads to a virtual file of the kernel.
fn is_of_system(path: &Path) -> bool {
    std::fs::canonicalize(path).is_ok_and(|path| ["/proc", "/sys"].iter().any(|folder| path.starts_with(folder)))
}

/// As [`oddity`] of what a path leads to. What is not there is nothing odd.
pub fn oddity_at(path: &Path) -> Option<NoFile> {
    match std::fs::metadata(path) {
        Ok(meta) => oddity(&meta).or_else(|| (meta.is_file() && meta.len() == 0 && is_of_system(path)).then_some(OF_SYSTEM)),
        Err(error) => is_loop(&error).then_some(LOOP),
    }
}

/// Refuses what is no ordinary file, by what it is.
///
/// # Errors
/// As the system fails, and with a [`NoFile`].
pub fn refuse_odd(path: &Path) -> io::Result<Metadata> {
    let meta = std::fs::metadata(path).map_err(|error| if is_loop(&error) { io::Error::other(LOOP) } else { error })?;
    match oddity(&meta) {
        Some(odd) => Err(io::Error::other(odd)),
        None if meta.is_file() && meta.len() == 0 && is_of_system(path) => Err(io::Error::other(OF_SYSTEM)),
        None if meta.is_dir() => Err(io::Error::other(NoFile("it is a folder, and no file"))),
        None => Ok(meta),
    }
}

/// The bytes of a file; none when it has more than `most`.
///
/// # Errors
/// As [`refuse_odd`], and as reading fails.
pub fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let length = refuse_odd(path)?.len();
    if length > most {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    // The file may grow meanwhile.
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// What is wrong with something that is no ordinary file, if that is why it could not be read.
pub fn why(error: &io::Error) -> Option<NoFile> {
    error.get_ref()?.downcast_ref().copied()
}

/// Whether links lead to each other in a circle. The kind has a name, which is not stable yet.
pub fn is_loop(error: &io::Error) -> bool {
    format!("{:?}", error.kind()) == "FilesystemLoop"
}

#[cfg(unix)]
fn of_unix(kind: FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;

    match () {
        () if kind.is_fifo() => Some("it is a named pipe, and no file"),
        () if kind.is_socket() => Some("it is a socket, and no file"),
        () if kind.is_char_device() || kind.is_block_device() => Some(DEVICE),
        () => None,
    }
}

#[cfg(not(unix))]
fn of_unix(_kind: FileType) -> Option<&'static str> {
    None
}
