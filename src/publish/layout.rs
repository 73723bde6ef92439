//! Where everything is at a destination: the names of its folders and files.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use object_store::path::Path;
use sha2::{Digest, Sha256};

use crate::storage::Location;

/// The table of rejected rows, which every publication has beside its outputs.
pub const REJECTED: &str = "rejected";

/// The state tables of the identity step: the map of identifiers, and the ids that ended with a merge.
pub const IDENTITY_MAP: &str = "identity_map";

/// See [`IDENTITY_MAP`].
pub const IDENTITY_ALIASES: &str = "identity_aliases";

/// The state table of the segments step: who was in which segment since when.
pub const SEGMENT_STAYS: &str = "segment_stays";
/// The state table of the columns of the profile that rules read.
pub const SEGMENT_INPUTS: &str = "segment_inputs";
/// The state table of the digests of each customer's rows.
pub const CUSTOMER_ROWS: &str = "customer_rows";
/// The state table of the digests of each source's rows.
pub const SOURCE_ROWS: &str = "source_rows";

/// The state table with the group of each customer, by the name of the clusters.
pub fn cluster_members(clusters: &str) -> String {
    format!("cluster_members_{clusters}")
}

/// The state table with the numbers that groups have had, by the name of the clusters.
pub fn cluster_numbers(clusters: &str) -> String {
    format!("cluster_numbers_{clusters}")
}

/// The folder of the files that runs write.
pub const RUNS: &str = "runs";

/// The folder of the records of cleans.
pub const CLEANS: &str = "cleans";

/// The folder of the commit files.
pub const COMMITS: &str = "commits";

/// The folder of the notes.
pub const PENDING: &str = "pending";

/// Where the marker is, from the destination.
pub const MARKER: &str = "segmill.json";

/// The names of files and folders at a destination that outputs may not have.
pub const TAKEN: [&str; 5] = [RUNS, CLEANS, COMMITS, PENDING, REJECTED];

/// Why an output may not have a name: it is taken at the destination, or cannot be a folder's.
pub fn unfit_name(table: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if TAKEN.contains(&table) {
        return Some("Segmill keeps something of its own under that name at the destination");
    }
    (table.is_empty() || !table.chars().all(plain)).then_some("it has characters other than letters, digits, `_` and `-`")
}

/// The state tables that publications may have, beside those of clusters.
pub const STATE_TABLES: [&str; 6] = [IDENTITY_MAP, IDENTITY_ALIASES, SEGMENT_STAYS, SEGMENT_INPUTS, CUSTOMER_ROWS, SOURCE_ROWS];

/// Where a run writes a state table, from the destination.
pub fn state_path(run_id: &str, name: &str) -> String {
    format!("{RUNS}/{run_id}/state/{name}.parquet")
}

/// Where a run writes the project that it was made with, from the destination.
pub fn project_path(run_id: &str) -> String {
    format!("{RUNS}/{run_id}/project.json")
}

/// Where a run writes the report of its publication, from the destination.
pub fn report_path(run_id: &str) -> String {
    format!("{RUNS}/{run_id}/report.html")
}

/// Where the commit of a number is.
pub fn commit_path(destination: &Location, number: u64) -> Path {
    destination.join(&format!("{COMMITS}/{number:08}.json"))
}

/// The number of the commit that a path from the destination is of. Only what lies directly in the folder and is named as a commit is one.
pub fn commit_number(path: &str) -> Option<u64> {
    let name = path.strip_prefix(COMMITS)?.strip_prefix('/')?;
    let number = name.strip_suffix(".json")?.parse::<u64>().ok()?;
    (name == format!("{number:08}.json")).then_some(number)
}

/// Where a commit file is, for people.
pub fn commit_shown(destination: &Location, number: u64) -> String {
    destination.shown(&commit_path(destination, number))
}

/// Where a table's file of a day is, from the destination.
pub fn folder_path(table: &str, as_of: NaiveDate) -> String {
    format!("{table}/as_of={as_of}/{table}.parquet")
}

/// Where the list of a table's URLs is, from the destination.
pub fn urls_path(run_id: &str, table: &str) -> String {
    format!("runs/{run_id}/load/{table}.urls.txt")
}

/// Where a table's list for Redshift is, from the destination; none where Redshift cannot read.
pub fn redshift_manifest_path(destination: &Location, run_id: &str, table: &str) -> Option<String> {
    let on_s3 = destination.url(&destination.join(table)).starts_with("s3://");
    on_s3.then(|| format!("runs/{run_id}/load/{table}.manifest"))
}

/// The longest name of a check that is used as a file's name unchanged.
const MAX_NAME_BYTES: usize = 80;

/// Where the rows that a check objects to are kept, from the destination.
pub fn failed_rows_path(run_id: &str, check: &str) -> String {
    format!("runs/{run_id}/failed_checks/{}.parquet", file_name(check))
}

/// The name of the file for a check's rows. Checks with different names have different files, also on file systems that ignore case.
fn file_name(check: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !check.is_empty() && check.len() <= MAX_NAME_BYTES && check.chars().all(is_plain) {
        return check.to_owned();
    }
    let plain: String = check.chars().take(MAX_NAME_BYTES).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    format!("{plain}.{:.16}", format!("{:x}", Sha256::digest(check)))
}

/// Every file that a run may write under its name, from the destination.
pub fn files_of<'a>(
    destination: &Location,
    run_id: &str,
    tables: impl IntoIterator<Item = &'a str>,
    clusters: impl IntoIterator<Item = &'a str>,
    checks: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for table in tables {
        files.insert(format!("{RUNS}/{run_id}/{table}.parquet"));
        files.insert(urls_path(run_id, table));
        files.extend(redshift_manifest_path(destination, run_id, table));
    }
    files.extend([project_path(run_id), report_path(run_id)]);
    files.extend(STATE_TABLES.iter().map(|name| state_path(run_id, name)));
    let of_clusters = clusters.into_iter().flat_map(|name| [cluster_members(name), cluster_numbers(name)]);
    files.extend(of_clusters.map(|name| state_path(run_id, &name)));
    files.extend(checks.into_iter().map(|check| failed_rows_path(run_id, check)));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_that_differ_have_files_that_differ() {
        let names = ["a/b", "a_b", "a.b", "a b", "A_b", "a_B", "ä", "ö", "", "..", "a/../b", &"x".repeat(300), &"x".repeat(301), "a\nb"];
        let mut files: Vec<String> = names.iter().map(|name| file_name(name).to_lowercase()).collect();
        assert_eq!(files[1], "a_b");
        assert!(
            files.iter().all(|file| file.len() < 120 && file.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))),
            "{files:?}"
        );
        files.sort();
        files.dedup();
        assert_eq!(files.len(), names.len());
    }
}
