//! What the log of a Delta table amounts to: its columns, its files, and how far each application has come.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::actions::{Add, Line, Metadata, Protocol, Remove, Transaction};

/// The column that says which as-of day a row is of. Its values stand in the log, not in the files.
pub const AS_OF: &str = "as_of";

/// A table at a version of its log.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The version; none where there is no table.
    pub version: Option<u64>,
    /// What programs must be able to do.
    pub protocol: Option<Protocol>,
    /// The columns.
    pub metadata: Option<Metadata>,
    /// How far each application has come, by its name.
    pub transactions: BTreeMap<String, Transaction>,
    /// The files that it has, by path.
    pub files: BTreeMap<String, Add>,
    /// The files that it had, by path.
    pub removed: BTreeMap<String, Remove>,
}

impl State {
    /// What comes of the lines of the next version, or of a checkpoint.
    pub fn apply(&mut self, version: u64, lines: Vec<Line>) {
        self.version = Some(version);
        for line in lines {
            if let Some(protocol) = line.protocol {
                self.protocol = Some(protocol);
            }
            if let Some(metadata) = line.metadata {
                self.metadata = Some(metadata);
            }
            if let Some(txn) = line.txn {
                self.transactions.insert(txn.app_id.clone(), txn);
            }
            if let Some(remove) = line.remove {
                self.files.remove(&remove.path);
                self.removed.insert(remove.path.clone(), remove);
            }
            if let Some(add) = line.add {
                self.removed.remove(&add.path);
                self.files.insert(add.path.clone(), add);
            }
        }
    }

    /// The version that comes next.
    pub fn next_version(&self) -> u64 {
        self.version.map_or(0, |version| version.saturating_add(1))
    }

    /// How far an application has come: 0 where it has written nothing.
    pub fn done_by(&self, app_id: &str) -> u64 {
        self.transactions.get(app_id).and_then(|txn| u64::try_from(txn.version).ok()).unwrap_or(0)
    }

    /// The files with a day's rows.
    pub fn files_of(&self, day: NaiveDate) -> Vec<&Add> {
        self.files.values().filter(|file| day_of(file) == Some(day)).collect()
    }

    /// The files with rows of days for which a condition holds, or of no day.
    pub fn files_where(&self, holds: impl Fn(NaiveDate) -> bool) -> Vec<&Add> {
        self.files.values().filter(|file| day_of(file).is_none_or(&holds)).collect()
    }
}

/// The day that the rows of a file are of.
fn day_of(file: &Add) -> Option<NaiveDate> {
    file.partition_values.get(AS_OF)?.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn later_lines_replace_what_earlier_ones_said() {
        let add = |path: &str, day: &str| {
            let values = format!(r#"{{"as_of":"{day}"}}"#);
            format!(
                r#"{{"add":{{"path":"{path}","partitionValues":{values},"size":1,"modificationTime":1,"dataChange":true,"unheard":{{"of":1}}}}}}"#
            )
        };
        let mut state = State::default();
        assert_eq!((state.next_version(), state.done_by("a")), (0, 0));
        state.apply(0, lines(&[r#"{"commitInfo":{"any":1}}"#, r#"{"txn":{"appId":"a","version":3}}"#, &add("x", "2026-10-01")].join("\n")));
        state.apply(1, lines(&[r#"{"remove":{"path":"x","dataChange":true}}"#, &add("y", "2026-10-02"), &add("z", "no-day")].join("\n")));
        assert_eq!((state.next_version(), state.done_by("a")), (2, 3));
        assert!(state.files_of("2026-10-01".parse().unwrap()).is_empty());
        assert_eq!(state.removed.keys().collect::<Vec<_>>(), ["x"]);
        assert_eq!(state.files_of("2026-10-02".parse().unwrap())[0].path, "y");
        assert_eq!(state.files_where(|_| false)[0].path, "z", "a file of no day is of none that is published");
        state.apply(2, lines(&add("x", "2026-10-01")));
        assert!(state.removed.is_empty(), "it is there again");
    }
}
