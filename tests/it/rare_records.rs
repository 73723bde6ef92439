use segmill::error::Error;

use crate::reading::{read, read_with};
use crate::tiny::{PIPELINE, Tiny};

/// What is said when a file is refused.
fn refused(settings: &str, name: &str, text: &str) -> String {
    match read_with(settings, [""; 2], name, text.as_bytes()) {
        Err(Error::Refused(message)) => message.what,
        other => panic!("{text}: {other:?}"),
    }
}

/// A line that is too long, and a value that is no list, are what they are, also where nothing else is in the file.
#[test]
fn a_record_at_fault_alone_is_told_as_what_it_is() {
    let long = format!("{{\"a\": \"{}\", \"at\": \"2026-10-01\"}}\n", "x".repeat(1024 * 1024));
    assert_eq!(read("extract.ndjson", long.as_bytes()).unwrap().reasons(), [(1, "record-too-long")]);
    for value in ["5", "\"x\"", "{\"b\": 1}", "true"] {
        let text = format!("{{\"items\": {value}, \"at\": \"2026-10-01\"}}\n");
        let outcome = read_with("each: items", ["from: items.a", "from: items.b"], "extract.ndjson", text.as_bytes()).unwrap();
        assert_eq!(outcome.reasons(), [(1, "not-a-list")], "{value}");
    }
    // What is no object at all is another format.
    for text in ["oops\n", "5\n", "[1, 2]\n"] {
        assert!(refused("", "extract.ndjson", text).contains("is a JSON object"), "{text}");
    }
}

/// An answer whose first line has the first element is a document, as one that has it on a line of its own.
#[test]
fn a_document_is_told_by_where_its_first_line_ends() {
    let element = |n: usize| format!("{{\"a\": \"{n}\", \"at\": \"2026-10-0{n}\"}}");
    let columns = ["from: data.a", "from: data.b"];
    for text in [
        format!("{{\"data\":[{},\n{},\n{}]}}\n", element(1), element(2), element(3)),
        format!("{{\"n\": 3, \"data\":[{},\n{}, {}], \"next\": null}}", element(1), element(2), element(3)),
        format!("{{\"data\":[{},\n{{\n\"a\": \"2\"}},\n{}\n]}}", element(1), element(3)),
        format!("{{\"data\":[\n{},\n{},\n{}]}}", element(1), element(2), element(3)),
    ] {
        let outcome = read_with("each: data", columns, "extract.json", text.as_bytes()).unwrap();
        assert_eq!((outcome.ledger.rows_read, outcome.reasons()), (3, vec![]), "{text}");
    }
    // Lines of NDJSON of which the first was cut off.
    let text = format!("{{\"a\": \"x\", \"data\":[{},\n{}\n{}\n", element(1), element(2), element(3));
    assert_eq!(read("extract.json", text.as_bytes()).unwrap().reasons(), [(1, "invalid-json")]);
}

/// One object around the rows is refused with where they are; one that has a column itself is a row, and so are several.
#[test]
fn rows_in_a_list_that_no_contract_names_are_told() {
    let element = "{\"a\": 1, \"at\": \"2026-10-01\"}";
    let more = vec![element; 2000].join(",\n");
    for text in [
        format!("{{\"data\":[{element},\n{element}]}}\n"),
        format!("{{\"data\": [{element}]}}"),
        format!("{{\n  \"next\": null, \"errors\": [],\n  \"data\": [\n{more}]\n}}"),
    ] {
        let told = refused("", "extract.json", &text);
        assert!(told.contains("its list `data` has objects") && !told.contains("2026"), "{told}");
    }
    for text in [
        format!("{{\"a\": 1, \"data\": [{element}]}}\n"),
        format!("{{\"data\": [{element}]}}\n{{\"data\": [{element}]}}\n"),
        "{\"data\": [1, 2]}\n".to_owned(),
    ] {
        assert!(read("extract.json", text.as_bytes()).is_ok(), "{text}");
    }
}

/// Files that end before their header are told so; one without anything is an empty extract still.
#[test]
fn lines_left_out_beyond_the_end_are_told() {
    for (settings, text) in [
        ("csv: {skip_lines: 5}", "x\ny\n"),
        ("csv: {skip_lines: 2}", "x\ny\n"),
        ("csv: {skip_lines: 2}", "x\ny\n\n\n"),
        ("csv: {skip_lines: 5, header: false}", "x\ny\n"),
    ] {
        let told = refused(settings, "extract.csv", text);
        let lines = if settings.contains('5') { "5 lines" } else { "2 lines" };
        assert!(told.contains(&format!("nothing is left behind the {lines} that are left out")), "{settings}: {told}");
    }
    assert_eq!(read_with("csv: {skip_lines: 5}", [""; 2], "extract.csv", b"").unwrap().ledger.rows_read, 0);
    assert_eq!(read_with("csv: {skip_lines: 1}", [""; 2], "extract.csv", b"x\na,b,at\n").unwrap().ledger.rows_read, 0);
    assert_eq!(read_with("csv: {skip_lines: 2, header: false}", [""; 2], "extract.csv", b"x\ny\n").unwrap().ledger.rows_read, 0);
}

/// An empty cell in quotes is a cell: in the header it is one without a name, and behind the last delimiter of a row it is one too many.
#[test]
fn an_empty_cell_in_quotes_is_a_cell_where_delimiters_trail() {
    let of = |text: &str| {
        let outcome = read_with("csv: {trailing_delimiter: true}", [""; 2], "extract.csv", text.as_bytes()).unwrap();
        (outcome.kept.len(), outcome.reasons())
    };
    assert_eq!(of("\"a\",\"b\",\"at\",\"\"\n\"1\",\"2\",\"2026-10-01\",\"\"\n3,4,2026-10-02,\n"), (2, vec![]));
    assert_eq!(of("a,b,at,\n1,2,2026-10-01,\n3,4,2026-10-02\n5,6,2026-10-03,\"\"\n"), (2, vec![(4, "too-many-fields")]));
}

/// Where a named day stands beside an open end, a file without a day is told as one.
#[test]
fn a_name_without_the_day_of_the_location_is_told() {
    let tiny = Tiny::new();
    let location = "${EXTRACTS:-extracts}/*.csv\n";
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace(location, "extracts/o{day:%Y%m%d}*.csv\n    day_in_path: day\n"));
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(3) && told.contains("nothing in its path is a `day` as the location writes it"), "{told}");
}
