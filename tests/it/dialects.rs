use base64::Engine as _;
use proptest::prelude::*;
use serde_json::Value;

use crate::reading::{Outcome, read_with};
use crate::tiny::Tiny;

/// What other writers wrote is read as they had it; packed, too.
#[test]
fn files_of_other_writers_are_read_in_their_dialects_and_encodings() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("dialects.json")).unwrap();
    assert!(cases.len() > 100);
    for (number, case) in cases.iter().enumerate() {
        let text = |key: &str| case[key].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text("file")).unwrap();
        let expected: Vec<[Option<String>; 2]> = serde_json::from_value(case["rows"].clone()).unwrap();
        let packed = if number % 4 == 0 { zstd::encode_all(bytes.as_slice(), 1).unwrap() } else { bytes };
        let outcome = read(text("settings"), &packed);
        assert_eq!(outcome.kept, expected, "{number} of {}: {}", text("writer"), text("settings"));
        assert_eq!(outcome.reasons(), [], "{number} of {}: {}", text("writer"), text("settings"));
    }
}

fn read(settings: &str, bytes: &[u8]) -> Outcome {
    read_with(settings, [""; 2], "extract.csv", bytes).unwrap_or_else(|error| panic!("{settings}: {error}"))
}

fn row(a: &str, b: &str) -> [Option<String>; 2] {
    [a, b].map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Every setting, with rows, and with the line and the reason of what is rejected.
#[test]
fn a_file_is_read_as_its_settings_say() {
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [(u64, &'a str)]);
    let cases: [Case; 31] = [
        ("csv: {delimiter: ';'}", "a;b\n1,5;\"x;\"\"y\"\n", &[("1,5", "x;\"y")], &[]),
        ("csv: {delimiter: '\\t'}", "b\ta\nx\ty\n", &[("y", "x")], &[]),
        ("csv: {delimiter: '§'}", "a§b\n\"x§y\"§Â\n", &[("x§y", "Â")], &[]),
        ("csv: {quote: \"'\"}", "a,b\n'it''s, \"x\"','1\n2'\n", &[("it's, \"x\"", "1\n2")], &[]),
        ("csv: {quote: none}", "a,b\n\"x,y\"\n'z,\n", &[("\"x", "y\""), ("'z", "")], &[]),
        ("csv: {escape: '\\'}", "a,b\n\"x\\\"y\\\\\",\"C:\\new\"\n", &[("x\"y\\", "C:\\new")], &[]),
        ("csv: {quote: none, escape: '\\'}", "a,b\nx\\,y,p\\\nq\n\\N,\\t\n", &[("x,y", "p\nq"), ("\\N", "\t")], &[]),
        (
            "csv: {comment: '#'}",
            "# it's \"so\n#a,b\na,b\n# \"\n1,#2\n\"x\n#y\",3\n#\n4\n",
            &[("1", "#2"), ("x\n#y", "3")],
            &[(9, "too-few-fields")],
        ),
        ("csv: {comment: '#', quote: none}", "a,b\n#\"\n1,\"\n", &[("1", "\"")], &[]),
        ("csv: {skip_lines: 2}", "Report \"Q3\n\na,b\n1,2\n3\n", &[("1", "2")], &[(5, "too-few-fields")]),
        ("csv: {skip_lines: 2}", "x\r\ny\r\na,b\r\n1\r\n2,3\r\n", &[("2", "3")], &[(4, "too-few-fields")]),
        ("csv: {skip_lines: 1}", "x\ra,b\r1\r2,3", &[("2", "3")], &[(3, "too-few-fields")]),
        ("csv: {header: false}", "\n\n", &[], &[]),
        ("csv: {header: false}", "1,2\n3,4\n5\n", &[("1", "2"), ("3", "4")], &[(3, "too-few-fields")]),
        ("csv: {header: false, skip_lines: 1}", "\"x\n1,2\n", &[("1", "2")], &[]),
        ("csv: {header: false, comment: '#'}", "#x\n\n1\n1,2\n3,4\n", &[("1", "2"), ("3", "4")], &[(3, "too-few-fields")]),
        ("csv: {skip_after_header: 2}", "a,b\n\"What?\nReally?\",\"Why?\"\n\n{\"x\"},2\n1,2\n3\n", &[("1", "2")], &[(7, "too-few-fields")]),
        ("csv: {skip_after_header: 5}", "a,b\n1,2\n", &[], &[]),
        ("csv: {trailing_delimiter: true}", "a,b\n1,2,\n3,4\n5,6,7\n", &[("1", "2"), ("3", "4")], &[(4, "too-many-fields")]),
        ("csv: {trailing_delimiter: true}", "a,b,\n1,,\n3,4,\n", &[("1", ""), ("3", "4")], &[]),
        ("csv: {delimiter: '|', header: false, trailing_delimiter: true}", "1|2|\n3|4|\n", &[("1", "2"), ("3", "4")], &[]),
        // What sniffers of dialects find hard.
        ("csv: {delimiter: '|', escape: '\\', header: false}", "1|\"x\\\"2\\\"\"\n\"567\"|y\n", &[("1", "x\"2\""), ("567", "y")], &[]),
        ("csv: {delimiter: '|', quote: \"'\", escape: '\\', header: false}", "1|'x\\'2\\'y'\n'5'|y\n", &[("1", "x'2'y"), ("5", "y")], &[]),
        ("csv: {delimiter: \"\\t\", quote: \"'\", header: false}", "1\t'x\ty'\n'5'\tz\n", &[("1", "x\ty"), ("5", "z")], &[]),
        ("csv: {delimiter: ' '}", "a b\n\"1 2\" 3\n", &[("1 2", "3")], &[]),
        ("csv: {delimiter: ':', quote: '^'}", "a:b\r\n^1:^^2\r\n^:3\r\n", &[("1:^2\r\n", "3")], &[]),
        // Without any setting.
        ("", "a,b,\n1,2,\n", &[("1", "2")], &[]),
        ("", "a,b,,x,x\n1,2,3,4,5\n", &[("1", "2")], &[]),
        ("", "A,\u{a0}B \n1,2\n", &[("1", "2")], &[]),
        ("", "\u{feff}A,b\n1,2\n", &[("1", "2")], &[]),
        ("", "B,a,A\n1,2,3\n", &[("2", "1")], &[]),
    ];
    for (settings, text, rows, rejects) in cases {
        let outcome = read(settings, text.as_bytes());
        assert_eq!(outcome.kept, rows.iter().map(|(a, b)| row(a, b)).collect::<Vec<_>>(), "{settings}: {text:?}");
        assert_eq!(outcome.reasons(), rejects, "{settings}: {text:?}");
    }
}

#[test]
fn columns_are_found_by_their_places() {
    let cases = [
        ("", ["position: 2", "position: 1"], "x,x,at\n1,2,\n", row("2", "1")),
        ("", ["position: 3", ""], "b,a,\n1,2,3\n", row("3", "1")),
        ("csv: {header: false}", ["position: 4", "position: 1"], "1,2,,3\n", row("3", "1")),
        ("csv: {header: false}", ["position: 2", "position: 2"], "1,2,\n", row("2", "2")),
    ];
    for (settings, columns, text, expected) in cases {
        let outcome = read_with(settings, columns, "extract.csv", text.as_bytes()).unwrap();
        assert_eq!(outcome.kept, [expected], "{settings} {columns:?}: {text:?}");
    }
}

/// Bytes that an encoding does not have cost their record alone, and lines keep their numbers.
#[test]
fn what_an_encoding_does_not_have_is_rejected_and_not_replaced() {
    type Case<'a> = (&'a str, &'a [u8], Vec<[Option<String>; 2]>, &'a [(u64, &'a str)]);

    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let lone_surrogate = [wide("\u{feff}a\tb\r\n1\t\"x\r\ny\"\r\n"), vec![0, 0xd8], wide("\t2\r\n3\té\r\n")].concat();
    let odd = [wide("a,b\n1,2\n3,4").as_slice(), b"5"].concat();
    let cases: [Case<'_>; 7] = [
        ("encoding: windows-1252", b"a,b\n\x80,\xe9\n\x81,1\n2,3\n", vec![row("€", "é"), row("2", "3")], &[(3, "invalid-encoding")]),
        ("encoding: shift_jis", b"a,b\n\x83\x5c,\x83\x7c\n\x83,1\n2,3\n", vec![row("ソ", "ポ"), row("2", "3")], &[(3, "invalid-encoding")]),
        ("csv: {delimiter: \"\\t\"}", &lone_surrogate, vec![row("1", "x\r\ny"), row("3", "é")], &[(4, "invalid-encoding")]),
        ("encoding: utf-16le", &odd, vec![row("1", "2")], &[(3, "invalid-encoding")]),
        ("encoding: windows-1252", &wide("\u{feff}a,b\n1,é\n"), vec![row("1", "é")], &[]),
        ("encoding: windows-1252", "\u{feff}a,b\n1,é\n".as_bytes(), vec![row("1", "é")], &[]),
        ("encoding: utf-8", b"a,b\n1,\xe9\n", vec![], &[(2, "invalid-utf8")]),
    ];
    for (settings, bytes, rows, rejects) in cases {
        let outcome = read(settings, bytes);
        assert_eq!(outcome.kept, rows, "{settings}");
        assert_eq!(outcome.reasons(), rejects, "{settings}");
    }
    let json = "{\"a\": \"é\", \"b\": \"x\"}\n";
    let outcome = read_with("", [""; 2], "extract.ndjson", &wide(&format!("\u{feff}{json}"))).unwrap();
    assert_eq!(outcome.kept, [row("é", "x")]);
}

/// Each file is refused with the setting that reads it, and with that it is read.
#[test]
fn a_file_that_cannot_be_read_is_refused_with_the_setting_that_would_read_it() {
    let wide = |unit: fn(u16) -> [u8; 2]| "a,b\n1,2\n".encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let cases: [(&str, &[u8], &str); 23] = [
        ("", b"a;b\n1;2\n", "the first line has 1 `;` and no `,`: say `csv: {delimiter: ';'}`"),
        ("", b"a\tb\n1\t2\n", "csv: {delimiter: \"\\t\"}"),
        ("", b"a|b\n1|2\n", "csv: {delimiter: '|'}"),
        ("", b"a\x01b\n1\x012\n", "csv: {delimiter: \"\\x01\"}"),
        ("", "a§b\n1§2\n".as_bytes(), "csv: {delimiter: '§'}"),
        ("", b"x;y;z\n1;2;3\n", "the first line has 2 `;` and no `,`: say `csv: {delimiter: ';'}`"),
        ("csv: {delimiter: ';'}", b"a,b\n1,2\n", "the first line has 1 `,` and no `;`: say `csv: {delimiter: ','}`"),
        ("", b"'a','b'\n'1','2'\n", "csv: {quote: \"'\"}"),
        ("", b"Export of 2026\n\na,b\n1,2\n", "line 3 names 2 of the contract's 3 columns: say `csv: {skip_lines: 1}`"),
        ("", b"# Export\n# 2026\na,b\n1,2\n", "csv: {comment: '#'}"),
        ("", b"Export, of a\nA;B\n1;2\n", "csv: {delimiter: ';', skip_lines: 1}"),
        ("csv: {skip_lines: 3}", b"x\na,b\n1,2\n3,4\n5,6\n", "csv: {skip_lines: 1}"),
        ("csv: {skip_lines: 9}", b"x\na,b\n", "nothing is left behind the 9 lines"),
        ("csv: {skip_lines: 1, delimiter: ';'}", b"x\na\tb\n1\t2\n", "csv: {delimiter: \"\\t\", skip_lines: 1}"),
        ("", b"x,y,2026-01-01\nz,y,2026-01-02\n", "csv: {header: false}"),
        ("", b"x;y;2026-01-01\nz;y;2026-01-02\n", "csv: {delimiter: ';', header: false}"),
        ("csv: {header: false}", b"a,b\n1,2\n", "leave `header: false` out"),
        ("", b"caf\xe9,a,b\n1,2,3\n", "encoding: windows-1252"),
        ("", b"\x83J\x83^,a,b\n1,2,3\n", "encoding: shift_jis"),
        ("", &wide(u16::to_le_bytes), "encoding: utf-16le"),
        ("", &wide(u16::to_be_bytes), "encoding: utf-16be"),
        ("", b"ax,bx\nAx,bx\n", "none of the contract's columns"),
        ("", b"Ab,B,b,A,a,a\n1,2,3,4,5,6\n", "position"),
    ];
    for (settings, bytes, said) in cases {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        let error = match read_with(settings, [""; 2], "extract.csv", bytes) {
            Ok(outcome) => panic!("{shown:?} was read: {outcome:?}"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(said), "{said} for {shown:?}: {error}");
        assert!(!error.contains("2026-01-02"), "{error}");
    }
}

/// A record tells which names were matched in another case, once for each.
#[test]
fn names_in_another_case_are_told() {
    let tiny = Tiny::new();
    tiny.write("extracts/orders.csv", "CUSTOMER_ID,Ordered_At\nc1,2026-10-01\n");
    tiny.write("extracts/more.csv", "CUSTOMER_ID,ordered_at\nc2,2026-10-01\n");
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said: Vec<&str> =
        told["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).filter(|text| text.contains("read as")).collect();
    assert_eq!(said.len(), 2, "{told}");
    assert!(said[0].contains("more.csv has `CUSTOMER_ID`, which is read as `customer_id`"), "{said:?}");
    // Where every record is rejected, the reason is told with it.
    tiny.write("extracts/orders.csv", "customer_id,ordered_at\nc1,2026-10-01,\nc2,2026-10-01,\n");
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(3) && told.contains("say `csv: {trailing_delimiter: true}`"), "{told}");
    // Two of them are one too many.
    tiny.write("extracts/orders.csv", "CUSTOMER_ID,Customer_Id,ordered_at\nc1,c2,2026-10-01\n");
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("`CUSTOMER_ID` and `Customer_Id` may all be `customer_id`"), "{told}");
}

/// What a rejected row shows are the values of declared columns, by their names in the file or, without a header, in the contract.
#[test]
fn a_rejected_row_is_kept_by_the_names_of_its_columns() {
    let keys = ["accepted: ['1'], on_error: reject", "personal: true"];
    for (settings, text, raw) in [
        ("csv: {delimiter: ';', skip_lines: 1}", "x\nA;c;b\n2;3;'4\n", r#"{"A":"***","b":"***"}"#),
        ("csv: {header: false, trailing_delimiter: true}", "2,3,\n", r#"{"a":"***","b":"***"}"#),
    ] {
        let outcome = read_with(settings, keys, "extract.csv", text.as_bytes()).unwrap();
        assert_eq!(&*outcome.rejects[0].raw, raw, "{settings}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Records are the same wherever blocks end, whatever the dialect, the encoding and the packing.
    #[test]
    fn large_files_are_read_as_small_ones(
        tail in prop::collection::vec(("[a§;\"\\\\#\r\n]{0,5}", "[a§;\"\\\\#\r\n]{0,5}"), 1..8), before in 0..40_usize, kind in 0..4_usize, packed: bool,
    ) {
        let (settings, escape, wide) = [
            ("csv: {delimiter: ';'}", false, false),
            ("csv: {delimiter: ';', escape: '\\'}", true, false),
            ("csv: {delimiter: ';', comment: '#'}", false, true),
            ("csv: {delimiter: ';', escape: '\\'}, encoding: utf-16le", true, true),
        ][kind];
        let quoted = |text: &str| {
            let text = if escape { text.replace('\\', "\\\\").replace('"', "\\\"") } else { text.replace('"', "\"\"") };
            format!("\"{text}\"")
        };
        let filler = "x;\"y\"\r\n".repeat(((1 << 20) - 60) / 7);
        let comment = if kind == 2 { "# \"it's\r\n" } else { "" };
        let mut text = format!("a;b\r\n{filler}{comment}{};z\r\n", "y".repeat(before + 1));
        for (a, b) in &tail {
            text += &format!("{};{}\r\n", quoted(&format!("q{a}")), quoted(b));
        }
        let bytes = if wide { [0xfeff].into_iter().filter(|_| kind == 2).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect() } else { text.into_bytes() };
        let bytes = if packed { zstd::encode_all(bytes.as_slice(), 1).unwrap() } else { bytes };
        let outcome = read(settings, &bytes);
        prop_assert_eq!(outcome.reasons(), []);
        let expected: Vec<_> = tail.iter().map(|(a, b)| row(&format!("q{a}"), b)).collect();
        prop_assert_eq!(&outcome.kept[outcome.kept.len() - tail.len()..], expected.as_slice());
        prop_assert_eq!(outcome.kept.len(), filler.len() / 7 + 1 + tail.len());
    }
}
