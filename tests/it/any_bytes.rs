use std::io::Write;

use proptest::prelude::*;
use segmill::clock::Stopwatch;
use serde::Deserialize;

use crate::reading::{Outcome, read};

/// What Python read of some bytes, as `tests/readers/as_python_reads_it.py` wrote it down.
#[derive(Deserialize)]
struct Case {
    format: String,
    hex: String,
    /// The rows before the first malformed record.
    rows: Vec<[Option<String>; 2]>,
    /// The line on which that begins.
    bad_line: Option<u64>,
}

#[test]
fn up_to_the_first_malformed_record_rows_are_those_that_python_reads() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("python_reads.json")).unwrap();
    assert!(cases.len() > 800);
    for case in cases {
        let bytes: Vec<u8> = (0..case.hex.len()).step_by(2).map(|at| u8::from_str_radix(&case.hex[at..at + 2], 16).unwrap()).collect();
        let shown = format!("{} {:?}", case.format, String::from_utf8_lossy(&bytes));
        let outcome = match read(&format!("extract.{}", case.format), &bytes) {
            Ok(outcome) => outcome,
            Err(error) => {
                // A file without any object is no NDJSON.
                assert_eq!(error.exit_status() as u8, 3, "{shown}: {error}");
                assert!(case.format == "ndjson" && case.rows.is_empty(), "{shown}: {error}");
                continue;
            }
        };
        assert_eq!(outcome.rejects.first().map(|reject| reject.row_number), case.bad_line, "{shown}: {outcome:?}");
        assert!(outcome.kept.starts_with(&case.rows), "{shown}: {:?} and not {:?}", outcome.kept, case.rows);
        assert!(case.bad_line.is_some() || outcome.kept == case.rows, "{shown}");
    }
}

fn packed(bytes: &[u8], ending: &str) -> Vec<u8> {
    match ending {
        ".gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".zst" => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// An outcome without the name of the file.
fn nameless(outcome: Result<Outcome, segmill::error::Error>) -> Result<Outcome, u8> {
    let mut outcome = outcome.map_err(|error| error.exit_status() as u8)?;
    outcome.rejects.iter_mut().for_each(|reject| reject.file.clear());
    Ok(outcome)
}

proptest! {
    /// Whatever they are, the ledger adds up (`read` looks), or the file is refused; packing changes nothing, and a name tells nothing of it.
    #[test]
    fn any_bytes_at_all_are_read_or_refused(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "(a,b\n)?[ab,\"\n\r{}\\[\\]:1 \u{e9}]{0,60}".prop_map(String::into_bytes),
            "a,b\n(\"1\",\"abc\n|\"x\"\r\n|,\"|\"\"\"){0,12}".prop_map(String::into_bytes),
        ],
        format in prop::sample::select(vec!["csv", "ndjson"]),
        ending in prop::sample::select(vec!["", ".gz", ".zst"]),
    ) {
        let plain = nameless(read(&format!("extract.{format}"), &bytes));
        prop_assert!(matches!(plain, Ok(_) | Err(3)), "{plain:?}");
        let found = nameless(read(&format!("extract.{format}{ending}"), &packed(&bytes, ".zst")));
        // What begins like an archive is unpacked, or refused as packed twice.
        if segmill_reads_as_text(&bytes) {
            prop_assert_eq!(plain, found);
        }
        // Most are no sound archives.
        let broken = nameless(read(&format!("extract.{format}.gz"), &[b"\x1f\x8b\x08", bytes.as_slice()].concat()));
        prop_assert!(matches!(broken, Ok(_) | Err(3)), "{broken:?}");
    }
}

fn segmill_reads_as_text(bytes: &[u8]) -> bool {
    !bytes.starts_with(b"\x1f\x8b") && !bytes.starts_with(b"\x28\xb5\x2f\xfd") && bytes.get(1..4) != Some(b"\x2a\x4d\x18")
}

/// What makes a reader look again and again at the same bytes, if one does: each is repeated up to a size.
const HOSTILE: [(&str, &str); 16] = [
    ("csv", "\"1\",\"abc\n"),
    ("csv", "\"\n"),
    ("csv", "\"\"\"\n"),
    ("csv", "\""),
    ("csv", "1,\"\n"),
    ("csv", ",\"\"x\n"),
    ("csv", "1,\"a\n2,\"\"b\n"),
    ("csv", "1,2\r"),
    ("csv", "\r\n"),
    ("csv", "x"),
    ("csv", ","),
    ("csv", "11111111\n"),
    ("ndjson", "{\"a\":1}\n{\"a\":"),
    ("ndjson", "{"),
    ("ndjson", "{\"a\":[[[[[[[[1]]]]]]]]}\n"),
    ("ndjson", "{\"a\":\"\\"),
];

/// The bound is loose enough for a busy machine and an unoptimised build; what grows with the square is a hundred times over it.
#[test]
fn time_is_linear_in_the_bytes_however_hostile() {
    const BYTES: usize = 2_500_000;
    const BYTES_A_MS: u64 = 125;
    for (format, piece) in HOSTILE {
        let header = if format == "csv" { "a,b\n1,2\n" } else { "{\"a\":1}\n" };
        let text = header.to_owned() + &piece.repeat(BYTES / piece.len());
        let begun = Stopwatch::start();
        let outcome = read(&format!("extract.{format}"), text.as_bytes()).unwrap_or_else(|error| panic!("{piece:?}: {error}"));
        let elapsed_ms = begun.elapsed_ms();
        assert!(outcome.ledger.rows_kept >= 1, "{piece:?}");
        assert!(elapsed_ms < text.len() as u64 / BYTES_A_MS, "{piece:?}: {elapsed_ms} ms");
    }
}

#[test]
fn a_small_file_that_unpacks_to_much_is_read_piece_by_piece() {
    let text = format!("a,b\n{}{}", "1,2\n".repeat(10), "\0".repeat(40_000_000));
    for ending in [".gz", ".zst"] {
        let outcome = read(&format!("extract.csv{ending}"), &packed(text.as_bytes(), ending)).unwrap();
        assert_eq!((outcome.kept.len(), outcome.reasons()), (10, vec![(12, "record-too-long")]), "{ending}");
    }
}

/// The longest record, and one longer by a byte; nothing of a longer one becomes a row.
#[test]
fn a_record_over_the_limit_is_one_reject_whole() {
    const MAX: usize = 1024 * 1024;
    let long = |bytes: usize| "x".repeat(bytes);
    let lines = "7,8\n".repeat(600_000);
    for (text, rows, reasons) in [
        (format!("a,b\n1,2\n{},\n3,4\n", long(MAX - 1)), 3, vec![]),
        (format!("a,b\n1,2\n{},\r\n3,4\n", long(MAX - 1)), 3, vec![]),
        (format!("a,b\r1,2\r{},\r3,4\r", long(MAX - 1)), 3, vec![]),
        (format!("a,b\n1,2\n{},\n3,4\n", long(MAX)), 2, vec![(3, "record-too-long")]),
        (format!("a,b\n1,2\n{},\r\n3,4\n", long(MAX)), 2, vec![(3, "record-too-long")]),
        (format!("a,b\n1,2\n{},5\n3,4\n", long(2_400_000)), 2, vec![(3, "record-too-long")]),
        (format!("a,b\r1,2\r{},5\r3,4\r", long(5 << 20)), 2, vec![(3, "record-too-long")]),
        (format!("a,b\n1,2\n{},5", long(5 << 20)), 1, vec![(3, "record-too-long")]),
        // Text in quotes that close is no row, however far away they close.
        (format!("a,b\n1,2\n5,\"{lines}\"\n3,4\n"), 2, vec![(3, "record-too-long")]),
        // A quote that never closes costs its line.
        (format!("a,b\n1,2\n5,\"\n{lines}3,4\n"), 600_002, vec![(3, "unclosed-quote")]),
        (format!("a,b\n1,2\n\"5\n6\",\"9\r\n{lines}3,4\n"), 600_002, vec![(3, "unclosed-quote")]),
    ] {
        for ending in ["", ".zst"] {
            let outcome = read(&format!("extract.csv{ending}"), &packed(text.as_bytes(), ending)).unwrap();
            let shown = text.chars().take(20).collect::<String>();
            assert_eq!((outcome.kept.len(), outcome.reasons()), (rows, reasons.clone()), "{shown:?}");
            assert!(outcome.rejects.iter().all(|reject| reject.raw.len() < 2000));
        }
    }
    for (bytes, rows, reasons) in [(MAX, 3, vec![]), (MAX + 1, 2, vec![(2, "record-too-long")]), (5 << 20, 2, vec![(2, "record-too-long")])]
    {
        let line = format!("{{\"a\":\"{}\"}}", long(bytes - 8));
        assert_eq!(line.len(), bytes);
        let outcome = read("extract.ndjson", format!("{{\"a\":1}}\n{line}\n{{\"a\":2}}\n").as_bytes()).unwrap();
        assert_eq!((outcome.kept.len(), outcome.reasons()), (rows, reasons));
    }
}

#[test]
fn text_in_quotes_is_no_row_whatever_is_wrong_with_its_record() {
    let outcome = read("extract.csv", b"a,b\n1,\"x\n2,y\n\",3\n8,\"\xff\n2,y\"\n9,z\n7,\"\n2,y\n").unwrap();
    assert_eq!(outcome.kept, [["9", "z"], ["2", "y"]].map(|row| row.map(|text| Some(text.to_owned()))));
    assert_eq!(outcome.reasons(), [(2, "too-many-fields"), (5, "invalid-utf8"), (8, "unclosed-quote")]);
}
