use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, ListArray, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::nested::{AT, parquet, read, told};

/// Lists as Hive and old versions of Spark write them, and as nobody should: with two levels, or without saying that they are lists.
#[test]
fn lists_of_old_writers_are_read() {
    for (schema, definition, repetition) in [
        (
            "optional group items (LIST) { repeated group bag { optional int32 array_element; } }",
            [3_i16, 3, 2, 1, 0, 3],
            [0_i16, 1, 1, 0, 0, 0],
        ),
        ("optional group items (LIST) { repeated group list { optional int32 element; } }", [3, 3, 2, 1, 0, 3], [0, 1, 1, 0, 0, 0]),
        ("optional group items (LIST) { repeated int32 array; }", [2, 2, 2, 1, 0, 2], [0, 1, 1, 0, 0, 0]),
        ("repeated int32 items;", [1, 1, 1, 0, 0, 1], [0, 1, 1, 0, 0, 0]),
    ] {
        let message = format!("message m {{ required int64 at (TIMESTAMP(MICROS,true)); {schema} }}");
        let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(&message).unwrap()), Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[1, 2, 3, 4], None, None).unwrap();
        column.close().unwrap();
        let most = *definition.iter().max().unwrap();
        let values: Vec<i32> =
            definition.iter().enumerate().filter(|(_, level)| **level == most).map(|(at, _)| i32::try_from(at).unwrap()).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&values, Some(&definition), Some(&repetition)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        let bytes = writer.into_inner().unwrap();
        let columns = [
            ("items", "{type: list(integer)}"),
            ("second", "{type: integer, from: 'items[1]'}"),
            ("min", "{type: integer, from: 'items[0]'}"),
        ];
        let outcome = read("", &columns, "extract.parquet", &bytes).unwrap();
        let third = if most == 3 { "" } else { "2" };
        let none = if schema.starts_with("repeated") { "[]" } else { "" };
        let expected = [
            [format!("[0, 1, {third}]"), "1".into(), "0".into()],
            ["[]".into(), String::new(), String::new()],
            [none.into(), String::new(), String::new()],
            ["[5]".into(), String::new(), "5".into()],
        ];
        assert_eq!(outcome.rows, expected, "{schema}");
        let elements = [("item", "{type: integer, from: items}"), ("at_all", "{type: integer, from: 'items[#]'}")];
        let outcome = read("each: items", &elements, "extract.parquet", &bytes).unwrap();
        assert_eq!(outcome.rows.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["0", "1", "2", "0"], "{schema}");
    }
}

/// Texts of a nested column that say nothing of being UTF-8, and are none.
#[test]
fn nested_bytes_that_are_no_text_are_a_fault_and_no_panic() {
    let message = "message m { required int64 at (TIMESTAMP(MICROS,true)); required group g { required binary t; } }";
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(message).unwrap()), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[1, 2], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("text"), ByteArray::from(vec![0xff])], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let outcome = read("", &[("t", "{type: string, from: g.t}")], "extract.parquet", &writer.into_inner().unwrap()).unwrap();
    assert_eq!((outcome.first(), outcome.reasons()), (vec!["text", ""], vec![(2, "t", "not-text")]));
}

#[test]
fn files_whose_types_no_path_fits_are_refused_by_it() {
    let list = |values: ArrayRef| -> ArrayRef {
        let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([1, 1]), values, None))
    };
    let number: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let record: ArrayRef = Arc::new(StructArray::new(Fields::from(vec![Field::new("sku", DataType::Int32, true)]), vec![number], None));
    let at: ArrayRef = Arc::new(StringArray::from(vec![AT; 2]));
    let file = parquet(&[("at", at), ("items", list(Arc::clone(&record))), ("one", record)]);
    for (keys, column, expected) in [
        ("", "{type: string, from: items.sku}", "leads into a list"),
        ("", "{type: string, from: 'one[0]'}", "what is no list"),
        ("", "{type: string, from: items}", "which is no string"),
        ("", "{type: string, from: one}", "by a path"),
        ("", "{type: list(string), from: items}", "must be single values"),
        ("", "{type: list(string), from: one.sku}", "without `list(…)`"),
        ("", "{type: string, from: one.sku, json: a}", "for columns of text"),
        ("", "{type: string, from: one.none}", "lacks `one.none`"),
        ("each: one", "{type: string, from: one.sku}", "is no list"),
        ("each: none", "{type: string, from: none.sku}", "has no `none`"),
    ] {
        let said = told(read(keys, &[("a", column)], "extract.parquet", &file));
        assert!(said.contains(expected), "{column}: {said}");
    }
    assert_eq!(read("", &[("a", "{type: integer, from: 'items[0].sku'}")], "extract.parquet", &file).unwrap().first(), ["1", "2"]);
}

/// Lists that each element of another list would have a copy of are bounded, however small they are in the file.
#[test]
fn long_lists_beside_the_elements_of_long_lists_are_refused() {
    let lists = |length: usize, rows: usize| {
        let values: ArrayRef = Arc::new(Int32Array::from(vec![7; length * rows]));
        let field = Arc::new(Field::new("item", DataType::Int32, true));
        Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(vec![length; rows]), values, None)) as ArrayRef
    };
    let columns = [("item", "{type: integer, from: items}"), ("others", "{type: list(integer)}")];
    let at = |rows: usize| Arc::new(StringArray::from(vec![AT; rows])) as ArrayRef;
    let file = |items: usize, others: usize, rows: usize| {
        parquet(&[("at", at(rows)), ("items", lists(items, rows)), ("others", lists(others, rows))])
    };
    let outcome = read("each: items", &columns, "extract.parquet", &file(3000, 2000, 3)).unwrap();
    assert_eq!((outcome.rows.len(), outcome.ledger.rows_read), (9000, 9000));
    let told = told(read("each: items", &columns, "extract.parquet", &file(20_000, 20_000, 1)));
    assert!(told.contains("would have a copy of another long list of its row, up to row 1 of row group 1"), "{told}");
}
