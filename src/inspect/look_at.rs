//! Looks at one file: what it is, by its first bytes, and the table of what was sampled of it.

use super::table::Table;
use super::{columnar, delimited, encoding, json, sample};
use crate::error::{Error, Result};
use crate::ingest::{self, foreign, peek};
use crate::storage::File;

/// Rows of a row group of Parquet that are looked at.
const ROWS_OF_GROUP: usize = 1_000;
/// A text has fewer control characters than one in so many.
const CHARS_TO_CONTROL: usize = 50;

/// The table of a file, or why there is none. `share` is by how many files the reading is divided.
///
/// # Errors
/// As reading the store fails.
pub async fn file(file: &File, share: usize) -> Result<Result<Table, String>> {
    if file.meta.size == 0 {
        return Ok(Err("it is empty".to_owned()));
    }
    let sample = sample::read(file, share).await?;
    if sample.head.starts_with(b"PAR1") && sample.packing == ingest::Packing::Plain {
        return match peek(file, ROWS_OF_GROUP).await {
            Ok(peeked) => Ok(Ok(columnar::table(&file.shown, &peeked))),
            Err(Error::Refused(message)) => Ok(Err(message.what.trim_start_matches(&file.shown).trim_start().to_owned())),
            Err(other) => Err(other),
        };
    }
    if sample.head.is_empty() {
        return Ok(Err(if sample.is_damaged { "its packing is damaged".to_owned() } else { "it is empty".to_owned() }));
    }
    Ok(text(&file.shown, &sample))
}

fn text(file: &str, sample: &sample::Sample) -> Result<Table, String> {
    let parts: Vec<&[u8]> = std::iter::once(&sample.head).chain(&sample.places).map(Vec::as_slice).collect();
    let detected = encoding::detect(&parts);
    let is_wide = detected.encoding.name().starts_with("UTF-16");
    if !is_wide && let Some((what, todo)) = foreign(&sample.head, None) {
        return Err(format!("it is {what}; {todo}"));
    }
    let decoded: Vec<String> = parts.iter().map(|part| encoding::decode(part, detected.encoding)).collect();
    let head = decoded.first().map(String::as_str).unwrap_or_default();
    if head.trim().is_empty() {
        return Err("it holds nothing but space".to_owned());
    }
    let begin: String = head.trim_start().chars().take(64).collect::<String>().to_ascii_lowercase();
    if ["<!doctype", "<html", "<?xml", "<error"].iter().any(|tag| begin.starts_with(tag)) {
        return Err("it is HTML or XML, which is not read".to_owned());
    }
    let look = head.chars().take(4096);
    let controls = look.clone().filter(|c| c.is_control() && !"\t\n\r\u{1}\u{1e}\u{1f}".contains(*c)).count();
    if controls * CHARS_TO_CONTROL > look.count() {
        return Err("it is no text: it has many control characters".to_owned());
    }
    let mut table = json::table(file, &decoded, sample.is_whole);
    let table = table.get_or_insert_with(|| delimited::table(file, &decoded, sample.is_whole));
    if let Some(label) = &detected.label {
        table.encoding = Some(label.clone());
        table.notes.extend(detected.note.as_ref().map(|note| format!("encoding {label}: {note}")));
    } else {
        table.notes.extend(detected.note.clone());
    }
    if sample.is_damaged {
        table.notes.push("its packing is damaged behind what was looked at".to_owned());
    }
    Ok(table.clone())
}
