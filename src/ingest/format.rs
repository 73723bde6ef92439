//! Recognises what a file is by its first bytes, and not by its name.

use encoding_rs::Encoding;

use crate::config::SourceFormat;
use crate::error::{Error, Message};

/// How many first bytes of a text are looked at.
pub const HEAD_BYTES: usize = 16 * 1024;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// It is not.
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// The beginnings of packed files that are unpacked while they are read. A skippable frame may stand before a Zstandard frame.
pub fn packing(head: &[u8]) -> Packing {
    match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
        _ => Packing::Plain,
    }
}

const UNPACK: &str = "unpack it and deliver the files in it, as they are or packed by gzip or zstd";
const AS_TEXT: &str = "export it as CSV, NDJSON or Parquet";
const AS_UTF8: &str = "save it as UTF-8 or UTF-16";

/// First bytes that no text has, with what such a file is and what to do about it.
const FOREIGN: [(&[u8], &str, &str); 20] = [
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"PK\x05\x06", "an empty zip archive", UNPACK),
    (b"BZh", "packed by bzip2", UNPACK),
    (b"\xfd7zXZ\0", "packed by xz", UNPACK),
    (b"\x04\x22\x4d\x18", "packed by lz4", UNPACK),
    (b"\xff\x06\0\0sNaPpY", "packed by snappy", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"\x1f\x9d", "packed by compress", UNPACK),
    (b"\x1f\x8b", "packed by gzip twice", UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed by zstd twice", UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls) or another Office document", AS_TEXT),
    (b"%PDF-", "a PDF document", AS_TEXT),
    (b"SQLite format 3\0", "an SQLite database", AS_TEXT),
    (b"Obj\x01", "an Avro file", AS_TEXT),
    (b"ORC\x08", "an ORC file", AS_TEXT),
    (b"ARROW1\0\0", "an Arrow file", AS_TEXT),
    (b"FEA1", "a Feather file", AS_TEXT),
    (b"\xff\xfe\0\0", "text in UTF-32", AS_UTF8),
    (b"\0\0\xfe\xff", "text in UTF-32", AS_UTF8),
];

/// What a file is that is no text which can be read, and what to do about it.
pub type Foreign = (&'static str, &'static str);

/// What a file is that can be no text in UTF-8, or in the encoding that is given; none when it may be one.
pub fn foreign(head: &[u8], encoding: Option<&'static Encoding>) -> Option<Foreign> {
    if head.starts_with(b"PAR1") || head.starts_with(b"PARE") {
        return Some(("a Parquet file", "name it with the ending .parquet, or say `format: parquet` for the source"));
    }
    if head.starts_with(b"PK\x03\x04") && ["[Content_Types].xml", "xl/"].iter().any(|part| contains(head, part.as_bytes())) {
        return Some(("an Excel workbook (.xlsx)", AS_TEXT));
    }
    let begins = |(magic, ..): &&(&[u8], &str, &str)| head.starts_with(magic) && (*magic != b"BZh" || is_bzip2(head));
    if let Some((_, what, todo)) = FOREIGN.iter().find(begins) {
        return Some((what, todo));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", UNPACK));
    }
    if encoding.is_some_and(super::encoding::is_wide) { None } else { zeros(head) }
}

/// A text has no zero bytes; one in UTF-16 has them in every other place, or nearly so.
fn zeros(head: &[u8]) -> Option<Foreign> {
    let line = &head[..memchr::memchr2(b'\n', b'\r', head).unwrap_or(head.len())];
    memchr::memchr(0, line)?;
    let zeros_at = |odd: usize| line.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros_at(0), zeros_at(1));
    let is_wide = even.abs_diff(odd) * 3 > line.len();
    Some(match is_wide {
        false => ("no text: it has zero bytes in its first line", AS_TEXT),
        true if odd > even => ("text in UTF-16 without a byte order mark", "say `encoding: utf-16le`"),
        true => ("text in UTF-16 without a byte order mark", "say `encoding: utf-16be`"),
    })
}

fn is_bzip2(head: &[u8]) -> bool {
    matches!(head.get(4..10), Some([0x31, 0x41, 0x59, 0x26, 0x53, 0x59] | [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]))
}

fn contains(head: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(head, part).is_some()
}

/// Refuses a file that is no text.
pub fn refused(shown: &str, (what, todo): Foreign) -> Error {
    Error::Refused(Message::new(format!("{shown} is {what}")).hint(todo))
}

/// The format of a text or a Parquet file whose name tells none.
pub fn of_head(head: &[u8]) -> SourceFormat {
    match head.trim_ascii_start().first() {
        _ if head.starts_with(b"PAR1") => SourceFormat::Parquet,
        Some(b'{') => SourceFormat::Ndjson,
        // A header may begin with a bracket, too.
        Some(b'[') if head.trim_ascii_start()[1..].trim_ascii_start().starts_with(b"{") => SourceFormat::Json,
        _ => SourceFormat::Csv,
    }
}

/// The format that a text seems to have when it is not the one it is read as. This is a guess, so it is shown beside the actual problem.
pub fn guess(head: &[u8], read_as: SourceFormat) -> Option<String> {
    let text = head.trim_ascii_start();
    let lower = text[..text.len().min(64)].to_ascii_lowercase();
    let begins = |parts: &[&str]| parts.iter().any(|part| lower.starts_with(part.as_bytes()));
    if begins(&["<!doctype html", "<html", "<head", "<body"]) {
        return Some("it is an HTML page, as a server sends instead of a file when something is wrong".to_owned());
    }
    if begins(&["<?xml", "<error", "<!--"]) {
        return Some("it is an XML document, as a server sends instead of a file when something is wrong".to_owned());
    }
    match (text.first()?, read_as) {
        (b'[', SourceFormat::Ndjson | SourceFormat::Json) => Some("it is a JSON array whose elements are no objects".to_owned()),
        (b'{', SourceFormat::Ndjson) => Some("it may be JSON over several lines: then say `format: json`".to_owned()),
        (_, SourceFormat::Ndjson | SourceFormat::Json) => Some("it may be CSV: then say `format: csv`".to_owned()),
        (b'{' | b'[', SourceFormat::Csv) => {
            Some("it looks like JSON: one object a line is read with `format: ndjson`, and any other with `format: json`".to_owned())
        }
        _ => None,
    }
}

/// Says so when a column that a file lacks stands in its path, as Hive and Spark write `dt=2025-11-03/part-0.parquet`.
pub fn key_in_path(shown: &str, missing: &[&str]) -> Option<String> {
    let key = shown.split('/').filter_map(|part| part.split_once('=')).map(|(key, _)| key).find(|key| missing.contains(key))?;
    Some(format!("`{key}` stands in the file's path: say `path: {key}` for the column to read it from there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn what_no_text_begins_with_is_named() {
        for (head, named) in [
            (b"PK\x03\x04....small.csv".to_vec(), "a zip archive"),
            (b"PK\x03\x04....[Content_Types].xml".to_vec(), "an Excel workbook"),
            (b"PAR1\x15\x04".to_vec(), "a Parquet file"),
            (b"BZh91AY&SY".to_vec(), "bzip2"),
            (b"\xfd7zXZ\0\0".to_vec(), "xz"),
            (b"\xff\xfe\0\0i\0\0\0".to_vec(), "UTF-32"),
            (wide("id;at\r\n", false), "UTF-16"),
            (wide("Größe,at\r\n", true), "UTF-16"),
            (b"id,at\0\n".to_vec(), "zero bytes"),
        ] {
            let (what, _) = foreign(&head, None).unwrap();
            assert!(what.contains(named), "{what}");
        }
    }

    #[test]
    fn texts_are_no_archives() {
        for text in ["id,at\n", "BZhappy,at\n", "", "ORCHID,at\n", "PKW,at\n", "7zip,at\n", "\u{feff}id\n", "id\n\0"] {
            assert_eq!(foreign(text.as_bytes(), None), None, "{text}");
        }
    }

    #[test]
    fn a_guess_tells_the_format() {
        for (text, read_as, part) in [
            ("<!DOCTYPE html>", SourceFormat::Csv, "HTML"),
            ("[{\"a\": 1}]", SourceFormat::Ndjson, "JSON array"),
            ("{\"a\": 1}", SourceFormat::Csv, "JSON"),
        ] {
            assert!(guess(text.as_bytes(), read_as).unwrap().contains(part), "{text}");
        }
        assert_eq!(guess(b"id,at\n1,2\n", SourceFormat::Csv), None);
    }
}
