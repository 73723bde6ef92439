//! The commit file: which files make up a publication, and what they were made from.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::fingerprint::{MadeFrom, digest};
use super::ledger::Ledger;

/// The version of the commit file's format.
pub const FORMAT: u32 = 1;

/// A commit file: it names every file of one publication. What no commit names is not published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The version of this format.
    pub format: u32,
    /// The publication's number at its destination, from 1.
    pub number: u64,
    /// The pipeline's name. It is empty in old commits; any pipeline may take over their destination.
    #[serde(default)]
    pub pipeline: String,
    /// The day that the publication is as of.
    pub as_of: NaiveDate,
    /// The run that made it.
    pub run_id: String,
    /// The version of Segmill that made it.
    pub segmill_version: String,
    /// SHA-256 of the pipeline file and the models.
    pub project_digest: String,
    /// The parameters' values.
    pub parameters: BTreeMap<String, String>,
    /// SHA-256 of all that the outputs depend on (see [`MadeFrom::fingerprint`]).
    pub fingerprint: String,
    /// What that is, part by part; none in old commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<MadeFrom>,
    /// The tables, by name.
    pub tables: BTreeMap<String, Table>,
    /// The state that the next publication starts from, by name: files that are no output. It was called `kept`.
    #[serde(default, alias = "kept", skip_serializing_if = "BTreeMap::is_empty")]
    pub state: BTreeMap<String, DataFile>,
    /// The publication that it builds on; none for the first one, and in old commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<Base>,
    /// The parameters that were given for the run, where they differ from their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given_parameters: BTreeMap<String, String>,
    /// A value that is equal when identifiers were hashed with the same salt; none where the project has no identity step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_hash_id: Option<String>,
    /// The project that it was made with; none in old commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<KeptFile>,
    /// The report of it, if the run made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<KeptFile>,
    /// SHA-256 of what the project says of who is in which segment, however it is written; none in old commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_digest: Option<String>,
    /// SHA-256 of what the environment gave for that; none where it gave nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_digest: Option<String>,
    /// The sets of segments, in order of the pipeline file; none in old commits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segment_sets: Vec<PublishedSet>,
    /// How many customers the profile has; none in old commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<u64>,
    /// The column of the profile that says what a customer spent, if the project names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue_column: Option<String>,
    /// What became of the rows of every source.
    pub sources: Vec<Ledger>,
    /// The number of the publication of every as-of day, this one among them, once this commit is there.
    pub publications: BTreeMap<NaiveDate, u64>,
    /// Days that this commit takes out of what is published. Such a commit publishes nothing itself: it has no tables.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub withdrawn: BTreeSet<NaiveDate>,
    /// By source, a digest of the location at which it last had files. A source that has no files there now is late; a location that never
    /// had files is wrong.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub locations: BTreeMap<String, String>,
}

impl Commit {
    /// Whether it is the publication of its day, rather than one that takes days out.
    pub fn publishes(&self) -> bool {
        self.withdrawn.is_empty()
    }

    /// Every file that the publication needs: those of its tables and of its state, the project that it was made with, and its report.
    pub fn files(&self) -> impl Iterator<Item = WrittenFile<'_>> {
        let data = self.tables.values().flat_map(|table| &table.files).chain(self.state.values());
        data.map(WrittenFile::from).chain(self.project.iter().chain(&self.report).map(WrittenFile::from))
    }
}

/// A set of segments as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedSet {
    /// Its name.
    pub name: String,
    /// In how many of its segments a customer can be: `exclusive`, `partition` or `overlapping`.
    pub kind: String,
    /// The names that it had before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formerly: Vec<String>,
    /// Its segments in order.
    pub segments: Vec<PublishedSegment>,
}

/// A segment as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedSegment {
    /// Its name.
    pub name: String,
    /// The names that it had before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formerly: Vec<String>,
    /// How many members it has; none in old commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<u64>,
}

/// The publication that another one builds on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The day that it is as of.
    pub as_of: NaiveDate,
    /// Its number.
    pub number: u64,
    /// The run that made it.
    pub run_id: String,
    /// SHA-256 of each of the files of its state, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub state: BTreeMap<String, String>,
    /// The digest of its definition of the segments, with which causes of movements are found; none in old commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_digest: Option<String>,
    /// The digest of what the environment gave for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_digest: Option<String>,
}

impl Base {
    /// What a publication is to those that build on it.
    pub fn of(commit: &Commit) -> Self {
        let state = commit.state.iter().map(|(name, file)| (name.clone(), file.sha256.clone())).collect();
        Base {
            as_of: commit.as_of,
            number: commit.number,
            run_id: commit.run_id.clone(),
            state,
            definition_digest: commit.definition_digest.clone(),
            given_digest: commit.given_digest.clone(),
        }
    }

    /// SHA-256 of what those that build on it take from it; none where nothing is taken.
    pub fn digest(&self) -> Option<String> {
        // The changes say since which day they are.
        let day = std::iter::once(self.as_of.to_string());
        let state = self.state.iter().flat_map(|(name, digest)| [name.clone(), digest.clone()]);
        let said = self.definition_digest.iter().chain(&self.given_digest).cloned();
        (!self.state.is_empty()).then(|| digest(day.chain(state).chain(said)))
    }

    /// Whether those that build on one would make the same on the other.
    pub fn is_like(&self, other: &Base) -> bool {
        // Old commits do not say what their definition was.
        let is_known = self.definition_digest.is_some() && other.definition_digest.is_some();
        let is_same_definition = self.definition_digest == other.definition_digest && self.given_digest == other.given_digest;
        self.state == other.state && (is_same_definition || !is_known)
    }
}

/// A published table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its rows.
    pub rows: u64,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Those whose values are or may be personal, each with the column of identifiers' types if that says it; none where it is not known,
    /// since an older Segmill wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub personal_columns: Option<BTreeMap<String, Option<String>>>,
    /// Its files in order.
    pub files: Vec<DataFile>,
    /// Where the day's rows are for readers that list folders, from the destination: `TABLE/as_of=DAY/TABLE.parquet`.
    pub folder_path: String,
    /// The list of its files' URLs, a line each, from the destination.
    pub urls_path: String,
    /// The list of its files as Redshift's `COPY … MANIFEST` takes it, from the destination; on S3 only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub redshift_manifest_path: Option<String>,
}

/// A column of a published table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, in the words of the pipeline file.
    #[serde(rename = "type")]
    pub column_type: String,
}

/// A file of a published table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its path from the destination.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A file of a publication that has no rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Its path from the destination.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A file that was written, of whatever kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenFile<'a> {
    /// Its path from the destination.
    pub path: &'a str,
    /// Its size.
    pub bytes: u64,
}

impl<'a> From<&'a DataFile> for WrittenFile<'a> {
    fn from(file: &'a DataFile) -> Self {
        WrittenFile { path: &file.path, bytes: file.bytes }
    }
}

impl<'a> From<&'a KeptFile> for WrittenFile<'a> {
    fn from(file: &'a KeptFile) -> Self {
        WrittenFile { path: &file.path, bytes: file.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_on_one_publication_would_be_the_same_on_another_like_it() {
        let base = |state: &str, definition: Option<&str>, given: Option<&str>| Base {
            as_of: NaiveDate::default(),
            number: 1,
            run_id: state.to_owned(),
            state: BTreeMap::from([("segment_stays".to_owned(), state.to_owned())]),
            definition_digest: definition.map(str::to_owned),
            given_digest: given.map(str::to_owned),
        };
        let one = base("a", Some("d"), None);
        assert!(one.is_like(&Base { number: 2, run_id: "another".to_owned(), ..one.clone() }));
        assert!(!one.is_like(&base("b", Some("d"), None)), "another state");
        assert!(!one.is_like(&base("a", Some("e"), None)), "another definition: causes of movements may be others");
        assert!(!one.is_like(&base("a", Some("d"), Some("g"))), "other values from the environment");
        assert!(one.is_like(&base("a", None, None)), "an old commit does not say");
    }
}
