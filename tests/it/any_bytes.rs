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

/// What takes so long, and what twice as much of it takes: not four times as long. Both are long enough to be measured.
fn twice(what: &str, of: impl Fn(usize) -> (String, Vec<u8>), size: usize) {
    let elapsed_ms = |size: usize| {
        let (name, bytes) = of(size);
        let begun = Stopwatch::start();
        drop(read(&name, &bytes));
        begun.elapsed_ms()
    };
    elapsed_ms(size / 10);
    let once = elapsed_ms(size);
    let twice = elapsed_ms(2 * size);
    assert!(twice <= 3 * once + 400, "{what}: {once} ms, and {twice} ms for twice as much");
}

#[test]
fn headers_of_very_many_columns_are_linear() {
    let named = |columns: usize| (0..columns).map(|column| format!(",c{column:x}")).collect::<String>();
    let wide = |columns: usize| format!("a,b{}\n1,2{}\n", named(columns), ",".repeat(columns)).into_bytes();
    let outcome = read("extract.csv", &wide(100_000)).unwrap();
    assert_eq!(outcome.kept, [[Some("1".to_owned()), Some("2".to_owned())]]);
    twice("columns", |columns| ("extract.csv".to_owned(), wide(columns)), 80_000);
    // Columns that are named alike or not at all, and more than fit a record.
    let alike = |columns: usize| format!("b,a{}\n1,2\n", ",a".repeat(columns)).into_bytes();
    let error = read("extract.csv", &alike(400_000)).unwrap_err().to_string();
    assert!(error.contains("names `a` twice"), "{error}");
    let outcome = read("extract.csv", format!("a,b{}\n1,2{}\n", ",".repeat(400_000), ",".repeat(400_000)).as_bytes()).unwrap();
    assert_eq!(outcome.kept.len(), 1);
    twice("columns named alike", |columns| ("extract.csv".to_owned(), alike(columns)), 200_000);
    let error = read("extract.csv", &wide(1_000_000)).unwrap_err().to_string();
    assert!(error.len() < 2000 && error.contains("extract.csv"), "{error}");
    // A message tells some names and how many more there are, and no name whole that fills a page.
    let lacking = format!("b{},{}\n", named(90_000), "n".repeat(100_000));
    let error = read("extract.csv", lacking.replacen("b,", "c,", 1).as_bytes()).map(|_| ()).err().map(|error| format!("{error:?}"));
    assert!(error.as_ref().is_some_and(|error| error.len() < 20_000), "{:?}", error.map(|error| error.len()));
}

#[test]
fn objects_of_very_many_members_and_levels_are_linear() {
    let members = |count: usize, name: &dyn Fn(usize) -> String| {
        let members: Vec<String> = (0..count).map(|at| format!("\"{}\":{at}", name(at))).collect();
        format!("{{\"a\":1}}\n{{\"b\":2,{}}}\n", members.join(","))
    };
    let levels = |count: usize| format!("{{\"a\":1}}\n{{\"c\":{}1{}}}\n{{\"a\":2}}\n", "[".repeat(count), "]".repeat(count));
    let outcome = read("extract.ndjson", members(60_000, &|at| format!("c{at:x}")).as_bytes()).unwrap();
    assert_eq!(outcome.kept.len(), 2);
    let outcome = read("extract.ndjson", members(80_000, &|_| "a".to_owned()).as_bytes()).unwrap();
    assert_eq!(outcome.kept[1], [Some("79999".to_owned()), Some("2".to_owned())]);
    // What no column asks for may be as deep as it likes.
    let outcome = read("extract.ndjson", levels(100_000).as_bytes()).unwrap();
    assert_eq!((outcome.kept.len(), outcome.reasons()), (3, vec![]));
    let outcome = read("extract.ndjson", levels(100_000).replace("\"c\"", "\"a\"").as_bytes()).unwrap();
    assert_eq!((outcome.kept.len(), outcome.reasons()), (3, vec![(2, "nested-value")]));
    for (what, of) in [
        ("members", &(|count| members(count, &|at| format!("c{at:x}"))) as &dyn Fn(usize) -> String),
        ("equal members", &|count| members(count, &|_| "a".to_owned())),
        ("levels", &levels),
        ("digits", &|count| format!("{{\"a\":1}}\n{{\"a\":{}}}\n", "7".repeat(10 * count))),
        ("escapes", &|count| format!("{{\"a\":1}}\n{{\"a\":\"{}\"}}\n", "\\u0041".repeat(count))),
        ("lines of other keys", &|count| "{\"a\":1}\n".to_owned() + &"{\"x\":1}\n{\"y\":1,\"a\":2}\n".repeat(count / 10)),
    ] {
        twice(what, |count| ("extract.ndjson".to_owned(), of(count).into_bytes()), 30_000);
    }
}

/// Frames and members by the thousand, padding, and frames that are to be skipped.
#[test]
fn packed_files_of_very_many_frames_are_linear() {
    let zeros = |bytes: usize| vec![0; bytes];
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    let text = |ending: &str, rest: Vec<u8>| [packed(b"a,b\n1,2\n", ending), rest].concat();
    for (what, ending, of) in [
        ("members", ".gz", &(|count: usize| packed(b"1,2\n", ".gz").repeat(count / 20)) as &dyn Fn(usize) -> Vec<u8>),
        ("empty members", ".gz", &|count| packed(b"", ".gz").repeat(count / 10)),
        ("frames", ".zst", &|count| packed(b"1,2\n", ".zst").repeat(count / 20)),
        ("empty frames", ".zst", &|count| packed(b"", ".zst").repeat(count / 10)),
        ("frames to skip", ".zst", &|count| skippable.repeat(count / 5)),
        ("padding", ".gz", &|count| zeros(10 * count)),
        ("padding", ".zst", &|count| zeros(10 * count)),
        ("one frame", ".zst", &|count| packed(&b"1,2\n".repeat(count), ".zst")),
        ("one member", ".gz", &|count| packed(&b"1,2\n".repeat(count), ".gz")),
    ] {
        twice(&format!("{what} {ending}"), |count| (format!("extract.csv{ending}"), text(ending, of(count))), 100_000);
    }
}
