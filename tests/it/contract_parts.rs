//! Where parts of a contract meet: many records on one line, records that cannot be read among cells that repeat, records without values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, StringArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};

use crate::nested::{AT, parquet, read, told};

/// Records of one line may break the contract more than once, each for itself.
#[test]
fn every_record_of_a_line_has_its_own_rejects() {
    let records: Vec<String> =
        (0..60).map(|at| format!(r#"{{"at": "{AT}", "v": {}}}"#, if at % 20 == 7 { "\"x\"" } else { "1" })).collect();
    let outcome = read("", &[("v", "{type: integer}")], "extract.json", format!("[{}]", records.join(",")).as_bytes()).unwrap();
    assert_eq!((outcome.ledger.rows_kept, outcome.reasons()), (60, vec![(1, "v", "not-an-integer"); 3]));
    let items = format!(r#"{{"at": "{AT}", "items": [null, 5, {{"sku": "x"}}, {{"sku": "y"}}, {{"sku": 3}}]}}"#) + "\n";
    let outcome = read("each: items", &[("n", "{type: integer, from: items.sku}")], "extract.ndjson", items.as_bytes()).unwrap();
    assert_eq!(outcome.ledger.rows_read, 5, "{outcome:?}");
    assert!(outcome.rejects.iter().all(|reject| reject.row_number == 1), "{outcome:?}");
}

/// An array of nothing is an empty extract, and one of numbers is none.
#[test]
fn an_array_of_nothing_is_empty() {
    for name in ["extract.json", "extract.ndjson"] {
        let outcome = read("", &[("v", "{type: integer}")], name, b"[]\n").unwrap();
        assert_eq!((outcome.ledger.rows_read, outcome.ledger.files), (0, 1));
        assert!(told(read("", &[("v", "{type: integer}")], name, b"[1, 2]\n")).contains("no record of it is a JSON object"));
    }
}

/// Behind a record that cannot be read nobody knows what a blank cell repeats.
#[test]
fn nothing_is_repeated_across_a_record_that_cannot_be_read() {
    let keys = "blank_repeats: {within: [o], columns: [o, at, who]}";
    let columns = [("o", "{type: string}"), ("at", "{type: date, required: true}"), ("who", "{type: string}"), ("item", "{type: string}")];
    for bad in ["2,2026-11-02,ben,y,extra\n", "2,\"2026-11-02\"x\",ben,y\n\"", "2,2026-11-02,\u{0}\u{0},y,extra,\n"] {
        let text = format!("o,at,who,item\n1,2026-11-01,anna,x\n,,,y\n{bad}\n,,,z\n3,2026-11-03,eve,u\n,,,v\n");
        let Ok(outcome) = read(keys, &columns, "extract.csv", text.as_bytes()) else { continue };
        let shown: Vec<String> = outcome.rows.iter().map(|row| row.join(" ")).collect();
        assert!(shown.contains(&"1 2026-11-01 anna y".to_owned()), "{shown:?}");
        assert!(!shown.iter().any(|row| row.contains("anna z") || row.contains("anna u")), "{bad:?}: {shown:?}");
    }
}

/// Files say of members that they always have a value, and where their record is null they have none.
#[test]
fn members_that_are_never_null_lie_in_records_that_may_be() {
    let inner: Fields = vec![Field::new("s", DataType::Utf8, false)].into();
    let member = Field::new("value", DataType::Struct(inner.clone()), false);
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let values: ArrayRef = Arc::new(StructArray::new(inner, vec![texts], None));
    let some = NullBuffer::from(vec![true, false]);
    let entries = StructArray::new(vec![member].into(), vec![values], Some(some));
    let field = Arc::new(Field::new("item", entries.data_type().clone(), true));
    let list: ArrayRef = Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([2]), Arc::new(entries), None));
    let at: ArrayRef = Arc::new(StringArray::from(vec![AT]));
    let file = parquet(&[("at", at), ("p", list)]);
    let outcome = read("each: p", &[("s", "{type: string, from: p.value.s}")], "extract.parquet", &file).unwrap();
    assert_eq!(outcome.first(), ["x", ""]);
}

/// Of two answers of a consent in one object one may be a no; of anything else the last counts.
#[test]
fn two_answers_of_a_consent_are_a_doubt() {
    let line = format!(r#"{{"at": "{AT}", "c": false, "c": true, "v": 1, "v": 2}}"#) + "\n";
    let columns = [("v", "{type: integer}"), ("c", "{type: boolean, consent: {no: [false]}}")];
    let outcome = read("", &columns, "extract.ndjson", line.as_bytes()).unwrap();
    assert_eq!((outcome.rows, outcome.rejects[0].reason), (vec![vec!["2".to_owned(), String::new()]], "repeated-entry"));
}
