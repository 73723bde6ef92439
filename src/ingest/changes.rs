//! The changes of a table: what each row does to its key, and which of a key's changes is the newest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};

use super::column::{ContractColumn, shown};
use super::values::keyed_text;
use crate::config::{ColumnType, Source, SourceKind, Spanned, span_of};
use crate::diagnostic::{Diagnostic, SourceFile};

/// The reason of a row whose operation is none of those that the contract names.
const UNKNOWN_OPERATION: &str = "unknown-operation";

/// What a row does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It says what is so from now on.
    Set,
    /// It says what was so before.
    Before,
    /// It ends it.
    Delete,
}

/// How the changes of a table are read.
#[derive(Debug)]
pub struct Changes {
    /// The column of the operation.
    pub operation: usize,
    /// The columns that put changes in order.
    pub order: Vec<usize>,
    /// Whether all changes since a key was last deleted are kept.
    pub has_history: bool,
    /// The words in lower case.
    words: BTreeMap<String, Operation>,
    /// The columns that must be right in a row that deletes.
    of_delete: BTreeSet<usize>,
}

impl Changes {
    /// Compiles how a source has changes; none for one that has none.
    pub fn new(
        file: &Arc<SourceFile>,
        source: &Source,
        (event_time, key): (Option<usize>, &[usize]),
        columns: &mut [ContractColumn],
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        if source.kind.as_ref().is_none_or(|kind| kind.value != SourceKind::Changes) {
            return None;
        }
        let written = &source.changes.as_ref()?.value;
        let mut position = |name: &Spanned<String>, role: &str| {
            let found = source.columns.get_index_of(&name.value);
            if found.is_none() {
                let problem = Diagnostic::error("unknown-column", format!("the {role} `{}` is not a column of this source", name.shown()));
                let names = source.columns.keys().map(String::as_str);
                problems.push(problem.at(span_of(file, name)).did_you_mean(&name.value, names));
            }
            found
        };
        let operation = position(&written.operation, "operation");
        let order: Vec<usize> = written.order.iter().filter_map(|name| position(name, "order")).collect();
        for (name, at) in written.order.iter().filter_map(|name| Some((name, source.columns.get_index_of(&name.value)?))) {
            problems.extend(unordered(file, name, &columns[at]));
        }
        for (name, column) in
            [&written.operation].into_iter().chain(&written.order).filter_map(|name| source.columns.get_key_value(&name.value))
        {
            if column.optional {
                let what = format!("`{name}` says what a change is, and is `optional`");
                let place = source.changes.as_ref().map(|changes| span_of(file, changes));
                let problem = Diagnostic::error("changes-column", what).hint(format!("leave `optional` out for `{name}`"));
                problems.extend(place.map(|place| problem.at(place).label("cannot be applied without it")));
            }
        }
        let operation = operation?;
        let words = words(file, source, &columns[operation], problems);
        // A change without one of them cannot be applied.
        for at in order.iter().copied().chain([operation]) {
            (columns[at].required, columns[at].costs_row) = (true, true);
        }
        let of_delete = key.iter().copied().chain(event_time).chain(order.iter().copied()).chain([operation]).collect();
        Some(Changes { operation, order, has_history: written.history, words, of_delete })
    }

    /// Whether a column is read even where no model reads it: without it nobody could say which rows are changes.
    pub fn always_reads(&self, column: usize) -> bool {
        self.of_delete.contains(&column)
    }

    /// What each row does, where that is known.
    pub fn operations(&self, typed: &ArrayRef) -> Vec<Option<Operation>> {
        let of = |word: &str| self.words.get(word).or_else(|| self.words.get(&word.trim().to_lowercase())).copied();
        if let Some(keyed) = keyed_text(typed) {
            let of_values = self.operations(keyed.values());
            let of_key = |key: Option<i32>| of_values.get(usize::try_from(key?).ok()?).copied().flatten();
            return keyed.keys().iter().map(of_key).collect();
        }
        if let Some(texts) = typed.as_string_opt::<i32>() {
            return texts.iter().map(|text| text.and_then(of)).collect();
        }
        (0..typed.len()).map(|row| if typed.is_null(row) { None } else { of(&shown(typed, row)) }).collect()
    }

    /// What each row does, and the rows that cannot be applied, by row, column and reason: those whose operation is not known, and deletions
    /// of nobody knows what.
    pub fn found(&self, columns: &[ContractColumn], key: &[usize], typed: &[Option<ArrayRef>]) -> Applied {
        let Some(operations) = typed.get(self.operation).and_then(Option::as_ref).map(|typed| self.operations(typed)) else {
            return Applied::default();
        };
        let is_missing = |row: usize, column: usize| {
            let Some(typed) = &typed[column] else { return true };
            let is_null_word = || columns[column].column_type == ColumnType::String && columns[column].is_null_word(&shown(typed, row));
            typed.is_null(row) || is_null_word()
        };
        let mut bad = Vec::new();
        for (row, operation) in operations.iter().enumerate() {
            match operation {
                None => bad.push((row, self.operation, UNKNOWN_OPERATION)),
                Some(Operation::Delete) => {
                    bad.extend(key.iter().find(|column| is_missing(row, **column)).map(|&column| (row, column, "missing-value")));
                }
                Some(_) => {}
            }
        }
        Applied { operations, bad }
    }

    /// Whether it does not matter what is wrong with a column of a row, because the row deletes.
    pub fn spares(&self, operation: Option<Operation>, column: usize) -> bool {
        match operation {
            Some(Operation::Before) => true,
            Some(Operation::Delete) => !self.of_delete.contains(&column),
            _ => false,
        }
    }
}

/// What the rows of a batch do.
#[derive(Debug, Default)]
pub struct Applied {
    /// What each row does, where that is known.
    pub operations: Vec<Option<Operation>>,
    /// The rows that cannot be applied, by row, column and reason.
    pub bad: Vec<(usize, usize, &'static str)>,
}

/// The problem of a column that puts nothing in order.
fn unordered(file: &Arc<SourceFile>, name: &Spanned<String>, column: &ContractColumn) -> Option<Diagnostic> {
    let why = match column.column_type {
        ColumnType::String => "texts are not compared as numbers are: `10` comes before `9`",
        ColumnType::Boolean => "it has two values",
        ColumnType::Double => "it may have lost digits",
        _ => return None,
    };
    let what = format!("changes cannot be put in order by `{}`, which is a {}", column.name, column.column_type);
    let problem = Diagnostic::error("order-type", what).at(span_of(file, name)).label(why);
    Some(
        problem
            .hint("use a column of whole numbers, decimals, dates or timestamps; a log sequence number is an integer or `decimal(38,0)`"),
    )
}

/// The words of the operations, in lower case.
fn words(file: &Arc<SourceFile>, source: &Source, column: &ContractColumn, problems: &mut Vec<Diagnostic>) -> BTreeMap<String, Operation> {
    let mut words: BTreeMap<String, Operation> = BTreeMap::new();
    let Some(changes) = &source.changes else { return words };
    let written = &changes.value;
    let set = written.insert.iter().chain(&written.update).map(|word| (word, Operation::Set));
    let others =
        written.delete.iter().map(|word| (word, Operation::Delete)).chain(written.before.iter().map(|word| (word, Operation::Before)));
    for (word, operation) in set.chain(others) {
        let Some(read) = column.read_word(&word.value) else {
            let what = format!("`{}` is no {}, as the operation `{}` is", word.shown(), column.column_type, column.name);
            problems.push(Diagnostic::error("invalid-value", what).at(span_of(file, word)).label("can be no operation"));
            continue;
        };
        if words.insert(read.trim().to_lowercase(), operation).is_some() {
            let what = format!("`{}` is a word for two operations", word.shown());
            let problem = Diagnostic::error("operation-words", what).at(span_of(file, word)).label("stands here for the second time");
            problems.push(problem.hint("name each word once; they are compared in any case"));
        }
    }
    if !words.values().any(|operation| *operation == Operation::Set) && written.insert.is_empty() && written.update.is_empty() {
        let problem = Diagnostic::error("operation-words", "the changes have no word for a new or changed row").at(span_of(file, changes));
        problems.push(problem.hint("list the words that the sender writes, such as `insert: [I]`, `update: [U]` and `delete: [D]`"));
    }
    words
}
