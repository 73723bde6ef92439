use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, ListArray, NullArray, StringArray, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int32Type};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::contract_values::parquet;
use crate::inspect::{column, folder, inspect, source, yaml};
use crate::support::segmill;

/// Rows of a file, each made of its number.
fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(row).collect()
}

fn at(n: usize) -> String {
    format!("2026-11-{:02}T10:00:00Z", n % 28 + 1)
}

/// Pastes the draft of some files into a project, which must be valid, and gives the rows that it reads and what it tells of rejects.
fn read(folder: &TempDir, location: &str) -> (Vec<Value>, String) {
    let draft = yaml(&inspect(folder, &[location, "--name", "drafted"]));
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("pipelines/p.yaml", &format!("version: 1\nname: p\n{draft}outputs: {{destination: out, tables: {{}}}}\n"));
    write("sql/staging/one.sql", "select 1 as one\n");
    let valid = segmill(folder.path(), &["validate"]);
    assert!(valid.status.success(), "{draft}\n{}", String::from_utf8_lossy(&valid.stderr));
    let shown = segmill(folder.path(), &["show", "sources.drafted", "--as-of", "2027-01-01", "--format", "json", "--unmask"]);
    let told = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(shown.status.success(), "{draft}\n{told}");
    let shown = String::from_utf8(shown.stdout).unwrap();
    (shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), told)
}

/// A header within a file, as where files were put together, is a header still, and one more row that is rejected.
#[test]
fn a_header_may_come_again() {
    let typed = |n: usize| format!("{n},Name {n},{},{}\n", at(n), n * 3);
    let texts = |n: usize| format!("ab{},cd{},ef{}\n", n % 7, n % 5, n % 3);
    let folder = folder(&[
        ("typed.csv", format!("id,label,at,amount\n{0}id,label,at,amount\n{0}", rows(20, typed)).as_bytes()),
        ("texts.csv", format!("first,second,third\n{0}first,second,third\n{0}", rows(20, texts)).as_bytes()),
        ("none.csv", rows(40, |n| ["red,blue\n", "blue,green\n"][n % 2].to_owned()).as_bytes()),
    ]);
    let typed = source(&folder, "typed.csv");
    assert_eq!((&column(&typed, "id")["type"], &column(&typed, "amount")["type"]), (&"integer".into(), &"integer".into()));
    assert_eq!((&typed["rows"], &typed["rejected_rows"]), (&41.into(), &1.into()));
    assert!(typed["notes"].to_string().contains("the header stands once more among the rows"), "{typed:#}");
    let (read, told) = read(&folder, "typed.csv");
    assert!(read.len() == 40 && told.contains("1 row rejected"), "{told}");
    let texts = source(&folder, "texts.csv");
    assert_eq!((&texts["csv"]["header"], &texts["columns"][0]["from"]), (&true.into(), &"first".into()));
    assert_eq!(source(&folder, "none.csv")["csv"]["header"], false);
}

/// A list within a column of text is no table: its delimiter does not stand in the header.
#[test]
fn a_column_of_lists_is_no_table() {
    for (inner, delimiter) in [("|", ","), (";", ","), (",", ";"), (";", "\t"), ("|", ";"), (",", "|")] {
        let row = |n: usize| format!("{n}{delimiter}{}{delimiter}{}\n", ["a"; 9].join(inner), at(n));
        let wide = format!("id{delimiter}tags{delimiter}at\n{}", rows(40, row));
        let row = |n: usize| format!("{n}{delimiter}{}\n", ["1"; 7].join(inner));
        let narrow = format!("id{delimiter}tags\n{}", rows(40, row));
        let folder = folder(&[("wide.csv", wide.as_bytes()), ("narrow.csv", narrow.as_bytes())]);
        for file in ["wide.csv", "narrow.csv"] {
            let found = source(&folder, file);
            assert_eq!((&found["csv"]["delimiter"], &found["unsure"]), (&delimiter.into(), &json!([])), "{found:#}");
        }
        assert_eq!(read(&folder, "wide.csv").0.len(), 40);
    }
}

/// What stands for no value among numbers is said to be unsure, unless it is a word for that; and rows without a value lack it.
#[test]
fn words_among_values_are_told() {
    let with = |word: &str| format!("id,size,at\n{}", rows(60, |n| format!("{n},{},{}\n", if n % 6 == 0 { word } else { "7" }, at(n))));
    let times = rows(60, |n| format!("{n},{}\n", if n % 6 == 0 { "NULL".to_owned() } else { at(n) }));
    let folder = folder(&[
        ("word.csv", with("XL").as_bytes()),
        ("letter.csv", with("F").as_bytes()),
        ("none.csv", with("missing").as_bytes()),
        ("times.csv", format!("id,event_time\n{times}").as_bytes()),
    ]);
    for (file, is_unsure) in [("word.csv", true), ("letter.csv", true), ("none.csv", false)] {
        let found = source(&folder, file);
        assert_eq!(found["unsure"].as_array().unwrap().len(), usize::from(is_unsure), "{found:#}");
        assert_eq!((&column(&found, "size")["type"], read(&folder, file).0.len()), (&"integer".into(), 60));
    }
    let found = source(&folder, "times.csv");
    assert_eq!(
        (&found["event_time"]["why"], &found["rejected_rows"]),
        (&"UNSURE: 10 of 60 rows lack it, and would be rejected".into(), &10.into())
    );
    assert_eq!(read(&folder, "times.csv").0.len(), 50);
}

/// Columns of Parquet side by side whose names differ in case, lists of lists, and columns without any value.
#[test]
fn odd_columns_of_parquet_are_drafted_as_they_can_be_read() {
    const ROWS: usize = 30;
    const NUMBERS: std::ops::Range<i32> = 0..30;
    let moments =
        || Arc::new(TimestampMicrosecondArray::from_iter_values(NUMBERS.map(|n| 1_790_000_000_000_000 + i64::from(n)))) as ArrayRef;
    let integers = || Arc::new(Int64Array::from_iter_values(NUMBERS.map(i64::from))) as ArrayRef;
    let texts = || Arc::new(StringArray::from_iter_values((0..ROWS).map(|n| format!("x{n}")))) as ArrayRef;
    let list = |item: DataType| DataType::List(Arc::new(Field::new("item", item, true)));
    let record = || DataType::Struct(vec![Field::new("x", DataType::Int64, true), Field::new("y", list(DataType::Utf8), true)].into());
    let empty = |held: &DataType| arrow::array::new_null_array(held, ROWS);
    let pairs: ListArray = ListArray::from_iter_primitive::<Int32Type, _, _>((0..ROWS).map(|_| Some(vec![Some(1), None])));
    let deep = ListArray::new(
        Arc::new(Field::new("item", pairs.data_type().clone(), true)),
        arrow::buffer::OffsetBuffer::from_lengths(vec![1; ROWS]),
        Arc::new(pairs.clone()),
        None,
    );
    let within = StructArray::from(vec![(
        Arc::new(Field::new("n", DataType::Int32, true)),
        Arc::new(Int32Array::from_iter_values(NUMBERS)) as ArrayRef,
    )]);
    let bytes = parquet(vec![
        ("id", integers()),
        ("at", moments()),
        ("A", texts()),
        ("a", integers()),
        ("pairs", Arc::new(pairs)),
        ("deep", Arc::new(deep)),
        ("within", Arc::new(within)),
        ("no_text", empty(&DataType::Utf8)),
        ("no_list", empty(&list(DataType::Int64))),
        ("no_deep_list", empty(&list(list(DataType::Int64)))),
        ("no_record", empty(&record())),
        ("no_records", empty(&list(record()))),
        ("nothing", Arc::new(NullArray::new(ROWS))),
    ]);
    let folder = folder(&[("odd.parquet", &bytes)]);
    let found = source(&folder, "odd.parquet");
    let types = |name: &str| column(&found, name)["type"].clone();
    assert_eq!((column(&found, "a")["from"].clone(), types("a")), ("A".into(), "string".into()));
    assert_eq!((column(&found, "a_2")["from"].clone(), types("a_2")), ("a".into(), "integer".into()));
    assert_eq!((types("pairs"), types("within_n")), ("list(integer)".into(), "integer".into()));
    let draft = found["yaml"].as_str().unwrap();
    for left_out in ["`deep` holds lists of lists", "`no_deep_list` holds lists of lists", "`no_records` holds lists of records"] {
        assert!(draft.contains(left_out), "{draft}");
    }
    assert!(draft.contains("no_record_x: {type: string, from: no_record.x}"), "{draft}");
    let (rows, _) = read(&folder, "odd.parquet");
    assert_eq!((rows.len(), &rows[3]["a"], &rows[3]["a_2"], &rows[3]["within_n"]), (ROWS, &"x3".into(), &3.into(), &3.into()));
}

/// What is personal by its look is marked; what is personal in a path cannot be, and is left out.
#[test]
fn cards_and_paths_are_personal() {
    // Numbers whose last digit checks the others.
    let card = |n: usize| {
        let body = format!("4{:014}", 31 * n * n + 7);
        let sum: usize = body
            .bytes()
            .rev()
            .enumerate()
            .map(|(at, digit)| {
                let digit = usize::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
                digit / 10 + digit % 10
            })
            .sum();
        format!("{body}{}", (10 - sum % 10) % 10)
    };
    let spaced =
        |n: usize| card(n).as_bytes().chunks(4).map(|part| std::str::from_utf8(part).unwrap().to_owned()).collect::<Vec<_>>().join(" ");
    let cards = rows(30, |n| format!("{n},{},{},{}\n", card(n), spaced(n), at(n)));
    let plain = |n: usize| format!("{n},{}\n", at(n));
    let folder = folder(&[
        ("cards.csv", format!("id,ref,other,at\n{cards}").as_bytes()),
        ("mail/email=ann%40example.com/a.csv", format!("id,at\n{}", rows(9, plain)).as_bytes()),
        ("mail/email=bob%40example.com/a.csv", format!("id,at\n{}", rows(9, plain)).as_bytes()),
        ("value/k=ann%40example.com/day=2026-11-01/a.csv", format!("id,at\n{}", rows(9, plain)).as_bytes()),
    ]);
    let cards = source(&folder, "cards.csv");
    assert!(["ref", "other"].iter().all(|name| column(&cards, name)["personal"] == "numbers of cards"), "{cards:#}");
    for (location, name) in [("mail/*/a.csv", "email"), ("value/*/*/a.csv", "k")] {
        let found = source(&folder, location);
        let draft = found["yaml"].as_str().unwrap();
        assert!(column(&found, name)["personal"].is_string() && draft.contains(&format!("`{name}` in the path looks personal")), "{draft}");
        assert!(!draft.contains(&format!("path: {name}")) && !draft.contains("example.com"), "{draft}");
        assert!(!read(&folder, location).0.is_empty());
    }
}

/// Names with the signs of wildcards are names, however they are given.
#[test]
fn names_with_wildcards_are_drafted_as_names() {
    let table = |first: usize| format!("id,at\n{}", rows(9, |n| format!("{},{}\n", first + n, at(n))));
    let names = ["x[1].csv", "y?z.csv", "q*z.csv", "b{1}.csv", "[a]_20261101.csv", "w[1]/c.csv", "w[1]/c[2].csv", "p]q.csv", "!n.csv"];
    let tables: Vec<(&str, String)> = names.iter().enumerate().map(|(at, name)| (*name, table(at * 100))).collect();
    let files: Vec<(&str, &[u8])> = tables.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let folder = folder(&files);
    for (place, name) in names.iter().enumerate() {
        for typed in [(*name).to_owned(), format!("file://{}/{name}", folder.path().display())] {
            let (rows, _) = read(&folder, &typed);
            let first = rows.iter().map(|row| row["id"].as_u64().unwrap()).min();
            assert_eq!((rows.len(), first), (9, Some(place as u64 * 100)), "{typed}");
        }
    }
    // As a shell hands over what a glob of its own matches.
    let drafted = inspect(&folder, &["w[1]/c.csv", "w[1]/c[2].csv"]);
    assert!(yaml(&drafted).contains("location: 'w[[]1]/c*.csv'"), "{}", yaml(&drafted));
}

/// JSON that holds nothing is no CSV, and a bad line of NDJSON costs itself alone.
#[test]
fn json_is_told_whatever_is_in_it() {
    let good = |n: usize| format!("{{\"id\": {n}, \"at\": \"{}\", \"deep\": [[1, 2], [3]], \"none\": [], \"no\": null}}\n", at(n));
    let folder = folder(&[
        ("empty.json", b"[]"),
        ("spaced.json", b"[\n]\n"),
        ("object.json", b"{}"),
        ("numbers.json", b"[1, 2, 3]"),
        ("cut.ndjson", format!("{}{{\"id\": 7, \"at\":\n{}", good(1), good(2)).as_bytes()),
        ("first.ndjson", format!("oops\n{}", rows(2, good)).as_bytes()),
        ("removed.ndjson", format!("{}null\n{}", good(1), good(2)).as_bytes()),
        ("pages/1.json", format!("[{},\n{}]", good(1).trim(), good(2).trim()).as_bytes()),
        ("pages/2.json", b"[]"),
    ]);
    for (file, told) in [
        ("empty.json", "it is json without a row"),
        ("spaced.json", "it is json without a row"),
        ("numbers.json", "no objects"),
        ("object.json", "no members"),
    ] {
        let output = inspect(&folder, &[file]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(3) && said.contains(told) && !said.contains("csv"), "{file}: {said}");
    }
    for (file, rejected) in [("cut.ndjson", 1), ("first.ndjson", 1), ("removed.ndjson", 0)] {
        let found = source(&folder, file);
        assert_eq!((&found["format"], &found["rejected_rows"]), (&"ndjson".into(), &rejected.into()), "{file}: {found:#}");
        let draft = found["yaml"].as_str().unwrap();
        assert!(!draft.contains("format:") && draft.contains("`deep` holds lists of lists"), "{draft}");
        assert_eq!(read(&folder, file).0.len(), 2, "{file}");
    }
    assert_eq!(read(&folder, "pages/*.json").0.len(), 2);
}

/// Order lines of a spreadsheet, in which the order's number is blank itself below its first line.
#[test]
fn order_lines_of_spreadsheets_are_drafted_with_their_repeats() {
    let line = |n: usize| match n % 3 {
        0 => format!("{},{},Paris,{n},mug\n", 1000 + n, at(n)),
        _ => format!(",,,{n},tea\n"),
    };
    let sparse = |n: usize| format!("{},{n},{},{n}\n", if n.is_multiple_of(3) { "A" } else { "" }, at(n));
    let folder = folder(&[
        ("orders.csv", format!("order_no,ordered_at,city,line,item\n{}", rows(30, line)).as_bytes()),
        ("sparse.csv", format!("coupon,id,at,n\n{}", rows(30, sparse)).as_bytes()),
    ]);
    let found = source(&folder, "orders.csv");
    let draft = found["yaml"].as_str().unwrap();
    let repeats =
        "blank_repeats: {within: [order_no], columns: [order_no, ordered_at, city]}  # UNSURE: a row in which `order_no` is blank";
    assert!(draft.contains(repeats) && found["rejected_rows"] == 0, "{draft}");
    let (rows, _) = read(&folder, "orders.csv");
    assert_eq!((rows.len(), &rows[5]["order_no"], &rows[5]["city"]), (30, &1003.into(), &"Paris".into()));
    assert!(!source(&folder, "sparse.csv")["yaml"].as_str().unwrap().contains("blank_repeats"));
}

/// The work grows with the number of columns, and not with its square.
#[test]
fn many_columns_take_a_moment() {
    const COLUMNS: usize = 6_000;
    let mut text = "id,at".to_owned();
    (0..COLUMNS).for_each(|n| write!(text, ",c{n}").unwrap());
    for row in 0..6 {
        write!(text, "\n{row},{}", at(row)).unwrap();
        (0..COLUMNS).for_each(|n| write!(text, ",{}", n * row / 2).unwrap());
    }
    let folder = folder(&[("wide.csv", text.as_bytes())]);
    let begun = segmill::clock::Stopwatch::start();
    let found = source(&folder, "wide.csv");
    let told = format!("{} further columns are left out", COLUMNS + 2 - 1_990);
    assert!(found["columns"].as_array().unwrap().len() == 1_990 && found["notes"].to_string().contains(&told), "{}", found["notes"]);
    // With squares it took many minutes.
    assert!(begun.elapsed_ms() < 120_000);
}
