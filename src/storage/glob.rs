//! The files that a source's location names: one file, or all files that match its wildcards.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use sha2::{Digest, Sha256};

use super::local::{self, Hidden};
use super::markers::{Found, Markers};
use super::named_parts::{self, NamedPart, Token};
use super::place::{Part, invalid};
use super::{File, Location, PathParts, failure};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message, Result};

/// The most files that one source may have.
const MAX_FILES: usize = 100_000;

/// The number of local files whose versions are read at the same time.
const ASKED_AT_ONCE: usize = 16;

/// How many files a message names.
const NAMED: usize = 5;

/// A star matches within a folder; two match over folders.
const MATCHING: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// The wildcards. In brackets (`[*]`, `[[]`) a wildcard stands for itself.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// What a source's location names.
#[derive(Debug, Clone)]
pub struct Glob {
    /// The file, or the folder that is looked through.
    place: Location,
    /// The pattern of the whole path. Wildcards in the path of the project's folder stand for themselves.
    pattern: glob::Pattern,
    /// Where the first wildcard stands in the pattern.
    wildcard: Option<usize>,
    /// The pattern below the folder.
    below: String,
    /// How deep below the folder a match may lie; none for any depth.
    max_depth: Option<usize>,
    /// The location as it is written.
    typed: String,
    /// The named parts, and the pieces of the location from the folder on.
    named: Vec<NamedPart>,
    tokens: Vec<Token>,
    /// How many folders lead to the project's folder, of which a relative location says nothing.
    untyped: usize,
}

impl Glob {
    /// `parts` have stand-ins for the named ones.
    pub(super) fn new(text: &str, place: Location, parts: &[Part], named: Vec<NamedPart>) -> Result<Self> {
        let typed = text.to_owned();
        let untyped = parts.iter().take_while(|part| !part.is_typed).count();
        let stood_in = parts;
        let parts: Vec<Part> = parts.iter().map(|part| part.with_wildcards(&named)).collect();
        let parts: Vec<Part> = parts.into_iter().flat_map(Part::split).collect();
        let has_wildcard = |part: &Part| part.is_typed && part.text.contains(WILDCARDS);
        let escaped = |part: &Part| if part.is_typed { part.text.clone() } else { glob::Pattern::escape(&part.text) };
        let written = parts.iter().map(escaped).collect::<Vec<_>>().join("/");
        let pattern = glob::Pattern::new(&written).map_err(|error| {
            let why = format!("{}; put a wildcard that stands for itself in brackets, such as `[[]` or `[*]`", error.msg);
            invalid(text, &why)
        })?;
        let Some(first) = parts.iter().position(has_wildcard) else {
            return Ok(Glob {
                place,
                pattern,
                wildcard: None,
                below: String::new(),
                max_depth: None,
                typed,
                named,
                tokens: Vec::new(),
                untyped,
            });
        };
        let components: Vec<&str> = stood_in[first..].iter().map(|part| part.text.as_str()).collect();
        let tokens = named_parts::tokens(&components);
        let folder = parts[..first].iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("/");
        let before: usize = parts[..first].iter().map(|part| escaped(part).len() + 1).sum();
        let wildcard = before + parts[first].text.find(WILDCARDS).unwrap_or_default();
        let any_depth = parts[first..].iter().any(|part| part.text == "**");
        let max_depth = (!any_depth).then_some(parts.len() - first);
        let below = parts[first..].iter().map(escaped).collect::<Vec<_>>().join("/");
        let place = Location { path: folder, ..place };
        Ok(Glob { place, pattern, wildcard: Some(wildcard), below, max_depth, typed, named, tokens, untyped })
    }

    /// The named parts of the location.
    pub fn named_parts(&self) -> &[NamedPart] {
        &self.named
    }

    /// The pieces of the location, from the folder of its first wildcard on.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The part of a file's path that these pieces match.
    pub fn below<'a>(&self, file: &'a File) -> &'a str {
        let path = file.meta.location.as_ref();
        path.strip_prefix(self.place.path.as_str()).unwrap_or(path).trim_start_matches('/')
    }

    /// The folders of a file's path that the location says, or its wildcards stand for.
    pub fn folders<'a>(&self, file: &'a File) -> impl Iterator<Item = &'a str> {
        let path = file.meta.location.as_ref();
        let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
        folders.split('/').skip(self.untyped)
    }

    /// The files, in order of path. Markers that other programs leave beside their files match no wildcard; they are counted.
    ///
    /// # Errors
    /// As [`failure`]; [`Error::Refused`] when there are too many files; [`Error::Project`] naming matching files that cannot be read
    /// because of their names.
    pub async fn files(&self) -> Result<Found> {
        let Some(wildcard) = self.wildcard else { return self.one().await };
        let markers = Markers::beside(self.pattern.as_str(), wildcard);
        let mut found = Found::default();
        let mut add = |meta: ObjectMeta| {
            if self.pattern.matches_with(meta.location.as_ref(), MATCHING) {
                if markers.include(&meta.location) {
                    found.markers += 1;
                } else {
                    found.files.push(self.file(meta));
                }
            }
            if found.files.len() <= MAX_FILES {
                return Ok(());
            }
            let message = Message::new(format!("more than {MAX_FILES} files match {}", self.shown()));
            Err(Error::Refused(message.hint("narrow the location")))
        };
        let folder = self.place.folder();
        let shown = self.place.shown(&folder);
        if self.place.is_local() {
            let walked = local::walk(self.place.path.clone(), self.max_depth, &shown).await?;
            let matches = |hidden: &&Hidden| self.pattern.matches_with(&hidden.path, MATCHING) && !markers.include_path(&hidden.path);
            unreadable(walked.hidden.iter().filter(matches))?;
            walked.files.into_iter().try_for_each(&mut add)?;
        } else {
            let mut listing = self.place.store.list(Some(&folder));
            loop {
                match listing.try_next().await {
                    Ok(Some(meta)) => add(meta)?,
                    Ok(None) => break,
                    Err(error) if failure::is_no_folder(&error) => break,
                    Err(error) => return Err(failure::failure("list", &shown, error)),
                }
            }
        }
        found.files.sort_by(|a, b| a.meta.location.cmp(&b.meta.location));
        if self.place.is_local() {
            found.files = futures::stream::iter(found.files).map(with_version).buffered(ASKED_AT_ONCE).try_collect().await?;
        }
        Ok(found)
    }

    /// The one file that the location names without wildcards.
    async fn one(&self) -> Result<Found> {
        if self.place.is_local() && self.place.path.rsplit('/').next().is_some_and(|name| local::upload_of(name).is_some()) {
            let file = std::path::PathBuf::from(format!("/{}", self.place.path));
            let hidden = Hidden {
                path: self.place.path.clone(),
                file,
                bytes: 0,
                written: chrono::DateTime::UNIX_EPOCH,
                why: local::UPLOAD,
                is_odd: false,
            };
            return unreadable(std::iter::once(&hidden)).map(|()| Found::default());
        }
        let path = self.place.folder();
        match self.place.store.head(&path).await {
            Ok(meta) => Ok(Found { files: vec![self.file(meta)], markers: 0 }),
            Err(object_store::Error::NotFound { .. }) => Ok(Found::default()),
            Err(error) => Err(failure::failure("read", &self.place.shown(&path), error)),
        }
    }

    /// Whether everything that it finds lies in a folder.
    pub fn is_below(&self, other: &Location, folder: &Path) -> bool {
        Arc::ptr_eq(&self.place.store, &other.store) && format!("{}/", self.place.folder()).starts_with(&format!("{folder}/"))
    }

    /// Whether a path of another place matches this location.
    pub fn matches(&self, other: &Location, path: &Path) -> bool {
        if !Arc::ptr_eq(&self.place.store, &other.store) {
            return false;
        }
        let plainly = self.pattern.matches_with(path.as_ref(), MATCHING);
        plainly || self.place.is_local() && self.matches_really(path)
    }

    /// As [`Glob::matches`] on a local disk, where a folder may be reached by several names.
    fn matches_really(&self, path: &Path) -> bool {
        let (here, there) = (glob::Pattern::escape(&real(&self.place.path)), real(path.as_ref()));
        let pattern = [here, self.below.clone()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        glob::Pattern::new(&pattern).is_ok_and(|pattern| pattern.matches_with(&there, MATCHING))
    }

    /// The location as people read it.
    pub fn shown(&self) -> String {
        self.place.shown_text(self.pattern.as_str())
    }

    /// A digest of the location, which tells it from others without showing it. A local path counts as it is written, because the
    /// project's folder may differ from run to run.
    pub fn digest(&self) -> String {
        let named = if self.place.is_local() { self.typed.clone() } else { self.shown() };
        format!("{:x}", Sha256::digest(named.as_bytes()))
    }

    /// Whether the location has wildcards.
    pub fn has_wildcards(&self) -> bool {
        self.wildcard.is_some()
    }

    /// Whether the location names a folder of a local disk, where files are meant.
    pub fn is_folder(&self) -> bool {
        self.place.is_local() && self.wildcard.is_none() && std::path::Path::new(&format!("/{}", self.place.path)).is_dir()
    }

    fn file(&self, meta: ObjectMeta) -> File {
        File {
            store: Arc::clone(&self.place.store),
            shown: self.place.shown(&meta.location),
            meta,
            is_local: self.place.is_local(),
            parts: PathParts::default(),
        }
    }
}

/// A file as the store knows it, with what tells this version of it from others.
async fn with_version(file: File) -> Result<File> {
    match file.store.head(&file.meta.location).await {
        Ok(meta) => Ok(File { meta, ..file }),
        Err(error) => Err(failure::failure("read", &file.shown, error)),
    }
}

/// Refuses files that match a location and cannot be read because of their names.
fn unreadable<'a>(hidden: impl Iterator<Item = &'a Hidden>) -> Result<()> {
    let problems: Vec<Diagnostic> = hidden
        .map(|hidden| {
            let what = format!("the file `/{}` cannot be read: {}", hidden.path.escape_debug(), hidden.why);
            if hidden.is_odd {
                return Diagnostic::error("not-a-file", what).hint("remove it, or narrow the location so that it does not match");
            }
            Diagnostic::error("unreadable-name", what).hint("rename it, or narrow the location so that it does not match")
        })
        .collect();
    let more = problems.len().saturating_sub(NAMED);
    if problems.is_empty() {
        return Ok(());
    }
    let mut named: Vec<Diagnostic> = problems.into_iter().take(NAMED).collect();
    if more > 0 {
        named.push(Diagnostic::error("unreadable-name", format!("and {more} files more cannot be read")));
    }
    Err(Error::Project(named))
}

/// A path with its links resolved, as far as it exists.
fn real(path: &str) -> String {
    let whole = std::path::PathBuf::from(format!("/{path}"));
    let found = whole.ancestors().find_map(|above| Some((above, std::fs::canonicalize(above).ok()?)));
    let Some((above, real)) = found else { return path.to_owned() };
    let rest = whole.strip_prefix(above).unwrap_or(std::path::Path::new(""));
    real.join(rest).to_string_lossy().trim_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use crate::config::Environment;
    use crate::storage::Stores;

    async fn files(root: &std::path::Path, location: &str) -> Vec<String> {
        let glob = Stores::new(Environment::new()).glob(location, root).unwrap();
        let found = glob.files().await.unwrap().files;
        found.iter().map(|file| file.meta.location.filename().unwrap().to_owned()).collect()
    }

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn a_star_does_not_cross_folders() {
        let folder = folder(&["a.csv", "b.csv", "c.txt", "deep/d.csv", "deep/er/e.csv"]);
        let files = async |location: &str| files(folder.path(), location).await;
        assert_eq!(files("*.csv").await, ["a.csv", "b.csv"]);
        assert_eq!(files("**/*.csv").await, ["a.csv", "b.csv", "d.csv", "e.csv"]);
        assert_eq!(files("*/*.csv").await, ["d.csv"]);
        assert_eq!(files("c.txt").await, ["c.txt"]);
        assert_eq!(files("./deep/../c.t?t").await, ["c.txt"]);
        assert!(files("none/*.csv").await.is_empty());
    }

    #[tokio::test]
    async fn wildcards_are_those_of_the_location_and_none_of_its_folder() {
        let odd = "p[r]o*j?{e}^ct #1%20~ü";
        let folder = folder(&[&format!("{odd}/a[1].csv"), &format!("{odd}/a1.csv"), "pro-j-ect/a1.csv"]);
        let project = folder.path().join(odd);
        assert_eq!(files(&project, "*.csv").await, ["a1.csv", "a[1].csv"]);
        assert_eq!(files(&project, "a[[]1].csv").await, ["a[1].csv"]);
        assert_eq!(files(&project, "a[1].csv").await, ["a1.csv"]);
        assert_eq!(files(&project, "a1.csv").await, ["a1.csv"]);
        assert_eq!(files(&project, "../pro-j-ect/*.csv").await, ["a1.csv"]);
    }

    #[tokio::test]
    async fn files_whose_names_cannot_be_read_are_told_where_they_match() {
        let folder = folder(&["a.csv", "a.csv#1", "b\nc.csv"]);
        let stores = Stores::new(Environment::new());
        for (location, told) in [("a*", Some("a.csv#1")), ("a.csv#1", Some("a.csv#1")), ("*.csv", Some("b\\nc.csv")), ("a.*v", None)] {
            let result = stores.glob(location, folder.path()).unwrap().files().await;
            match told {
                Some(name) => {
                    let error = result.unwrap_err();
                    assert_eq!(error.exit_status() as u8, 2);
                    assert!(error.to_string().contains(name), "{error}");
                }
                None => assert_eq!(result.unwrap().files.len(), 1),
            }
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_is_reached_by_a_link_is_the_same_place() {
        let folder = folder(&["data/a.csv"]);
        std::os::unix::fs::symlink(folder.path().join("data"), folder.path().join("link")).unwrap();
        let stores = Stores::new(Environment::new());
        let glob = stores.glob("link/**/*.parquet", folder.path()).unwrap();
        let destination = stores.open("data/out", folder.path()).unwrap();
        assert!(glob.matches(&destination, &destination.join("customers/a.parquet")));
        assert!(!glob.matches(&destination, &destination.join("customers/a.json")));
        let one = stores.glob("link/out/segmill.json", folder.path()).unwrap();
        assert!(one.matches(&destination, &destination.join("segmill.json")));
    }
}
