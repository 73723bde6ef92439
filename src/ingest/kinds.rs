//! What a source says that does not go with what its rows are: events, snapshots or changes.

use std::sync::Arc;

use crate::config::{Source, SourceKind, key_at, keys_of, span_of};
use crate::diagnostic::{Diagnostic, SourceFile, nearest};

/// The problems of a source's kind with its other keys.
pub fn misfits(file: &Arc<SourceFile>, name: &str, source: &Source) -> Vec<Diagnostic> {
    let kind = source.kind.as_ref().map_or(SourceKind::Events, |kind| kind.value);
    let at_kind = |what: String, label: &str| {
        let problem = Diagnostic::error("source-kind", what);
        let problem = source.kind.iter().fold(problem, |problem, kind| problem.at(span_of(file, kind)));
        problem.label(label)
    };
    let mut problems = Vec::new();
    if source.event_time.is_none() && kind != SourceKind::Snapshot {
        problems.extend(timeless(file, name));
    }
    if kind == SourceKind::Snapshot && source.day_in_path.is_none() {
        let problem = at_kind(format!("nothing says of which day the snapshots of `{name}` are"), "needs `day_in_path`");
        problems.push(problem.hint("say `day_in_path: day`, and have `{day:%Y%m%d}` in the location where the day is written"));
    }
    if kind == SourceKind::Changes && source.changes.is_none() {
        let problem = at_kind(format!("nothing says how the changes of `{name}` are written"), "needs `changes`");
        problems.push(problem.hint("say `changes: {operation: op, insert: [I], update: [U], delete: [D], order: [lsn]}`"));
    }
    if kind == SourceKind::Changes && source.key.is_empty() {
        let problem = at_kind(format!("nothing says which rows of `{name}` change the same thing"), "needs `key`");
        problems.push(problem.hint("name the columns that identify a row of the table under `key`"));
    }
    if let Some(changes) = source.changes.as_ref().filter(|_| kind != SourceKind::Changes) {
        let problem = Diagnostic::error("source-kind", format!("the rows of `{name}` are no changes")).at(span_of(file, changes));
        problems.push(problem.label("is not read").hint("say `kind: changes` for the source, or leave `changes` out"));
    }
    if let Some(days) = source.freshness.newest_snapshot_days.as_ref().filter(|_| kind != SourceKind::Snapshot) {
        let problem = Diagnostic::error("source-kind", format!("the source `{name}` has no snapshots")).at(span_of(file, days));
        problems.push(problem.label("is the age of a snapshot").hint("say `kind: snapshot` for the source, or leave it out"));
    }
    problems
}

/// The problem of a source whose rows are at no time; none where the key is misspelt, which has been told.
fn timeless(file: &Arc<SourceFile>, name: &str) -> Option<Diagnostic> {
    const KEY: &str = "event_time";
    if keys_of(file, &["sources", name]).iter().any(|key| nearest(key, [KEY]).is_some()) {
        return None;
    }
    let problem = Diagnostic::error("missing-key", format!("`sources.{name}` has no `{KEY}`"));
    let problem = problem.at(key_at(file, &["sources", name])).label("lacks a key");
    Some(problem.hint(
        "`event_time`: The column that says when a row's event happened. Rows on or after the as-of day are out of window; only snapshots \
         of a table (`kind: snapshot`) may do without",
    ))
}
