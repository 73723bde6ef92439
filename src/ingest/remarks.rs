//! What is kept of rejected records, without undeclared and personal values, and what they say about their files.

use serde_json::Value;

use super::column::ContractColumn;
use super::contract::Contract;
use super::text::{TOO_LONG, UNCLOSED_JSON, UNCLOSED_QUOTE};
use crate::diagnostic::{counted, list};
use crate::error::{Error, Message};
use crate::shown::MASK;
use crate::storage::File;

/// The longest text that is kept of one value of a rejected row.
const MAX_SHOWN_BYTES: usize = 1024;

/// The reason of the record in which a damaged file breaks off.
pub const DAMAGED: &str = "damaged-compression";
/// The reason of a record that is no UTF-8.
pub const INVALID_UTF8: &str = "invalid-utf8";
/// The reason of a record that has bytes which the encoding of its file does not have.
pub const INVALID_ENCODING: &str = "invalid-encoding";

/// What is kept of a record whose values cannot be assigned to columns.
pub fn withheld(what: &str) -> String {
    format!("withheld: {what}")
}

/// What is kept of a value of a rejected record: nothing unless the contract names its column, and a mask if that is personal. Where a
/// source has personal columns, so is any text in the others but what says nothing of a person (see [`ContractColumn::is_closed`]): a
/// record with as many fields as it should have may be shifted all the same.
pub fn shown(contract: &Contract, name: &str, value: impl Into<Value>) -> Option<Value> {
    let columns: Vec<&ContractColumn> = contract.columns.iter().filter(|column| column.names.iter().any(|known| known == name)).collect();
    shown_of(contract, &columns, value)
}

/// As [`shown`], of a value of some columns.
pub fn shown_of(contract: &Contract, columns: &[&ContractColumn], value: impl Into<Value>) -> Option<Value> {
    if columns.is_empty() {
        return None;
    }
    let is_personal = columns.iter().any(|column| column.personal);
    let is_open = |text: &str| contract.has_personal() && !columns.iter().all(|column| column.is_closed(text));
    match value.into() {
        Value::Array(_) | Value::Object(_) => None,
        Value::Null => Some(Value::Null),
        _ if is_personal => Some(MASK.into()),
        Value::String(text) if is_open(&text) => Some(MASK.into()),
        Value::String(text) if text.len() > MAX_SHOWN_BYTES => {
            let end = (0..=MAX_SHOWN_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
            Some(format!("{}… ({} bytes)", &text[..end], text.len()).into())
        }
        value => Some(value),
    }
}

/// Whether a reason says something of the file, and not of one record alone.
pub fn is_said(reason: &str) -> bool {
    [DAMAGED, UNCLOSED_QUOTE, UNCLOSED_JSON, INVALID_UTF8, INVALID_ENCODING].contains(&reason)
}

/// What the first record of a file that was rejected for a reason says of the file.
pub fn remark(source: &str, file: &str, line: u64, reason: &str) -> Option<String> {
    let said = match reason {
        DAMAGED => format!("is damaged from line {line} on; what follows could not be read"),
        UNCLOSED_QUOTE => format!("has a quote that never closes in the record at line {line}; what follows was read line by line"),
        UNCLOSED_JSON => format!("is no whole JSON document: what begins at line {line} never closes; what follows could not be read"),
        INVALID_UTF8 => {
            format!(
                "has text that is not in UTF-8, first at line {line}; if it is in Windows-1252 or Latin-1, say `encoding: windows-1252`"
            )
        }
        INVALID_ENCODING => format!("has bytes that are no text in its encoding, first at line {line}; is its `encoding` right?"),
        _ => return None,
    };
    Some(format!("{source}: {file} {said}"))
}

/// What is said of records that have no element, where elements are rows.
pub fn without_rows(source: &str, each: &str, records: u64) -> String {
    format!("{source}: {} without an element in `{each}`, of which no row comes", counted(records, "record"))
}

/// What is said of records that are null among changes.
pub fn tombstones(source: &str, records: u64) -> String {
    format!("{source}: {} that {} null, of which no row comes", counted(records, "record"), if records == 1 { "is" } else { "are" })
}

/// What is said of a file of which no record has a value of some consents.
pub fn unanswered(names: &[&str]) -> String {
    format!("has no answer of {} in any record, and every no would be lost if it has another name there", list(names))
}

/// What is said of a file that names a column in another case.
pub fn read_as(name: &str, column: &str) -> String {
    format!("has `{}`, which is read as `{column}`", crate::shown::column(name))
}

/// Refuses a JSON file that is one object with a list of objects, and has none of the columns itself.
pub fn rows_in_list(file: &File, list: &str) -> Error {
    let list = crate::shown::column(list);
    let what = format!("{}: it is one JSON object, which has none of the columns; its list `{list}` has objects", file.shown);
    let hint = format!("if these are the rows, say `format: json` and `each: {list}`, and name what lies in them, as in `from: {list}.id`");
    Error::Refused(Message::new(what).hint(hint))
}

/// Refuses a CSV file that has nothing behind the lines that are left out.
pub fn nothing_left(file: &File, lines: u64) -> Error {
    let message = Message::new(format!("{}: nothing is left behind the {} that are left out", file.shown, counted(lines, "line")));
    Error::Refused(message.hint("correct `skip_lines` of the source, or have the file exported with a header line below them"))
}

/// Refuses a CSV file whose first record is none.
pub fn no_header(file: &File, reason: &str) -> Error {
    let what = match reason {
        UNCLOSED_QUOTE => "a quote in its header line never closes",
        TOO_LONG => "its header line is longer than a record may be",
        _ => "it has no header line",
    };
    let message = Message::new(format!("{}: {what}", file.shown));
    Error::Refused(message.hint("the source is read as CSV: correct its `format`, or have the file exported so"))
}
