//! Lists a local folder with all of its files. The store's library skips files that are named like its own unfinished uploads
//! (`NAME#DIGITS`), and fails on names that it cannot represent as a path. Here such files are found and named.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use object_store::ObjectMeta;
use object_store::path::Path;
use walkdir::WalkDir;

use super::failure::broken;
use super::plain;
use crate::error::Result;

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Walked {
    /// The files that the store shows, in order of path.
    pub files: Vec<ObjectMeta>,
    /// The others, in order of path.
    pub hidden: Vec<Hidden>,
}

/// A file that the store does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Where it is.
    pub file: PathBuf,
    /// Its path in the form of the store's paths. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written.
    pub written: DateTime<Utc>,
    /// Why it is not shown.
    pub why: &'static str,
    /// Whether it is no ordinary file, whatever its name.
    pub is_odd: bool,
}

/// Files that are named as unfinished uploads are.
pub const UPLOAD: &str = "a name that ends with `#` and digits is that of an unfinished upload";
const CONTROL: &str = "a control character is in its name";
const NOT_UTF8: &str = "its name is not UTF-8";

/// Looks through a folder, given as the path of the store; nothing when there is none. Links are followed.
///
/// # Errors
/// As reading the folder fails.
pub async fn walk(folder: String, max_depth: Option<usize>, shown: &str) -> Result<Walked> {
    let walked = tokio::task::spawn_blocking(move || walk_now(&folder, max_depth)).await;
    let walked = walked.map_err(|error| crate::error::Error::defect(format!("a folder was not read: {error}")))?;
    walked.map_err(|error| broken("list", shown, &error))
}

fn walk_now(folder: &str, max_depth: Option<usize>) -> Result<Walked, walkdir::Error> {
    let mut walked = Walked::default();
    let entries = WalkDir::new(format!("/{folder}")).min_depth(1).max_depth(max_depth.unwrap_or(usize::MAX)).follow_links(true);
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            // A link to a folder that contains it. The files there are found without the link.
            Err(error) if error.loop_ancestor().is_some() => continue,
            Err(error) => match (of_link(&error), error.io_error()) {
                (Some(odd), _) => {
                    walked.hidden.push(odd);
                    continue;
                }
                // It was removed since it was listed.
                (None, Some(gone)) if gone.kind() == std::io::ErrorKind::NotFound => continue,
                _ => return Err(error),
            },
        };
        let meta = match entry.metadata() {
            Ok(meta) if !meta.is_dir() => meta,
            _ => continue,
        };
        let written = meta.modified().map(DateTime::<Utc>::from).unwrap_or_default();
        let file = entry.into_path();
        let path = file.to_string_lossy().trim_start_matches('/').to_owned();
        if let Some(odd) = plain::oddity(&meta) {
            walked.hidden.push(Hidden { file, path, bytes: 0, written, why: odd.0, is_odd: true });
            continue;
        }
        match (hidden(&file), Path::parse(&path)) {
            (None, Ok(location)) => {
                walked.files.push(ObjectMeta { location, last_modified: written, size: meta.len(), e_tag: None, version: None });
            }
            (why, _) => walked.hidden.push(Hidden { file, path, bytes: meta.len(), written, why: why.unwrap_or(CONTROL), is_odd: false }),
        }
    }
    walked.files.sort_by(|a, b| a.location.cmp(&b.location));
    walked.hidden.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(walked)
}

/// A link that leads nowhere, if that is why the entry could not be read.
fn of_link(error: &walkdir::Error) -> Option<Hidden> {
    let (file, failed) = (error.path()?, error.io_error()?);
    let why = match failed.kind() {
        _ if plain::is_loop(failed) => plain::LOOP,
        std::io::ErrorKind::NotFound => plain::LEADS_NOWHERE,
        _ => return None,
    };
    let link = std::fs::symlink_metadata(file).ok().filter(std::fs::Metadata::is_symlink)?;
    let written = link.modified().map(DateTime::<Utc>::from).unwrap_or_default();
    let path = file.to_string_lossy().trim_start_matches('/').to_owned();
    Some(Hidden { file: file.to_owned(), path, bytes: 0, written, why: why.0, is_odd: true })
}

/// Why the store does not show a file; none when it does.
pub fn hidden(file: &std::path::Path) -> Option<&'static str> {
    let Some(path) = file.to_str() else { return Some(NOT_UTF8) };
    if path.chars().any(|c| c.is_ascii_control()) {
        return Some(CONTROL);
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    upload_of(name).map(|_| UPLOAD)
}

/// The file that an unfinished upload belongs to. The store's library uses the name up to the first `#`.
pub fn upload_of(name: &str) -> Option<&str> {
    let (name, number) = name.split_once('#')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::local::LocalFileSystem;

    use super::*;

    #[tokio::test]
    async fn every_file_is_found_and_those_that_the_store_shows_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a.csv", "ü #%[b]~{c}^?*|'\".csv", "\u{202e}a", "a#b", "a#1b", "a#", "#", "a#1", "#2", "a\nb", "deep#1/a.csv"];
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let root = folder.path().to_str().unwrap().trim_start_matches('/').to_owned();
        let walked = walk(root.clone(), None, "").await.unwrap();
        let store = LocalFileSystem::new();
        for meta in &walked.files {
            let read = store.get(&meta.location).await.unwrap().bytes().await.unwrap();
            assert_eq!(read, meta.location.as_ref().strip_prefix(&format!("{root}/")).unwrap(), "it is the file of that name");
            assert_eq!(store.head(&meta.location).await.unwrap().last_modified, meta.last_modified);
        }
        let hidden: Vec<&str> = walked.hidden.iter().map(|hidden| hidden.path.strip_prefix(&format!("{root}/")).unwrap()).collect();
        assert_eq!(hidden, ["#2", "a\nb", "a#1"]);
        assert_eq!(walked.files.len() + hidden.len(), names.len());
        assert_eq!(walk(root.clone(), Some(1), "").await.unwrap().files.len(), walked.files.len() - 1);
        assert!(walk(format!("{root}/none"), None, "").await.unwrap().files.is_empty());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_are_followed_once_and_lead_nowhere_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("data")).unwrap();
        std::fs::write(path("data/a.csv"), "a").unwrap();
        for (name, to) in [("data/loop", "."), ("link", "data"), ("nothing", "none")] {
            std::os::unix::fs::symlink(path(to), path(name)).unwrap();
        }
        let root = folder.path().to_str().unwrap().trim_start_matches('/').to_owned();
        let walked = walk(root, None, "").await.unwrap();
        let names: Vec<_> =
            walked.files.iter().map(|meta| meta.location.as_ref().rsplit('/').take(2).collect::<Vec<_>>().join(" in ")).collect();
        assert_eq!(names, ["a.csv in data", "a.csv in link"]);
    }
}
