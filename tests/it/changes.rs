use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use crate::dated::{plan, read, rows};
use crate::ownership::{DAY, run};
use crate::tiny::Tiny;

const AS_OF: &str = "2026-11-05";

fn source(changes: &str, more: &str, columns: &str) -> String {
    format!(
        "    location: 'memory:///in/*'\n    kind: changes\n    changes: {{{changes}}}\n    event_time: at\n    key: [id]\n{more}    columns: {{id: \
         string, at: {{type: timestamp, required: true}}{columns}}}\n"
    )
}

const WORDS: &str = "operation: op, insert: [I], update: [U], delete: [D], order: [lsn]";
const COLUMNS: &str = ", op: string, lsn: integer, name: {type: string, required: true}";

fn file(lines: &str) -> Vec<(&'static str, Vec<u8>)> {
    vec![("changes.csv", format!("op,lsn,id,at,name\n{lines}").into_bytes())]
}

#[test]
fn of_each_key_its_newest_change_counts() {
    let lines = "I,1,a,2026-11-01,Ann\nI,2,b,2026-11-01,Bob\nu,10,a,2026-11-02,Anna\nU,9,a,2026-11-03,older by its order\n\
                 d,11,b,2026-11-03,\nI,3,c,2026-11-01,Cem\nD,4,c,2026-11-02,Cem\n i ,5,c,2026-11-03,Cem again\nU,99,a,2026-11-05,not yet\n\
                 D,6,nobody,2026-11-01,\n";
    let found = read(&source(WORDS, "", COLUMNS), "id, name, op", &file(lines), AS_OF).unwrap();
    assert_eq!(found.rows, rows(&[["a", "Anna", "u"], ["c", "Cem again", " i "]]));
    let ledger = found.ledger;
    let counts = [ledger.rows_read, ledger.rows_kept, ledger.rows_rejected, ledger.rows_deduplicated, ledger.rows_out_of_window];
    assert_eq!((counts, ledger.rows_deleted), ([10, 2, 0, 7, 1], 2));
    // The day after, the last change counts too; before the first, nothing does.
    let found = read(&source(WORDS, "", COLUMNS), "id, name", &file(lines), "2026-11-06").unwrap();
    assert_eq!(found.rows, rows(&[["a", "not yet"], ["c", "Cem again"]]));
    assert!(read(&source(WORDS, "", COLUMNS), "id, name", &file(lines), "2026-11-01").unwrap().rows.is_empty());
}

#[test]
fn a_row_that_cannot_be_applied_is_rejected() {
    let lines = "I,1,a,2026-11-01,Ann\nX,2,a,2026-11-02,unknown\n,3,a,2026-11-02,no operation\nU,,a,2026-11-02,no order\nU,x,a,2026-11-02,odd order\n\
                 D,5,,2026-11-02,whose\nD,6,n/a,2026-11-02,whose\nD,,a,2026-11-02,when\nU,7,a,2026-11-02,\n";
    let more = "    reject_budget: {share: 1}\n";
    let found = read(&source(WORDS, more, COLUMNS), "id, name", &file(lines), AS_OF).unwrap();
    assert_eq!(found.rows, rows(&[["a", "Ann"]]));
    let reasons: Vec<(&str, usize)> = found.reasons().into_iter().collect();
    assert_eq!(reasons, [("missing-value", 6), ("not-an-integer", 1), ("unknown-operation", 1)]);
    assert!(found.rejects.iter().all(|reject| !reject.may_be_no), "nothing of it is about consent");
    // Where others of the source say whether somebody may be written to, a doubtful operation or deletion may be a no.
    let consent = format!("{COLUMNS}, ok: {{type: boolean, optional: true, consent: {{no: [false]}}}}");
    let lines = "op,lsn,id,at,name,ok\nX,2,a,2026-11-02,unknown,true\nD,5,,2026-11-02,whose,true\nD,x,a,2026-11-02,when,true\nU,x,a,2026-11-02,yes,true\n\
                 U,x,a,2026-11-02,no,false\n";
    let found = read(&source(WORDS, more, &consent), "id", &[("c.csv", lines)], AS_OF).unwrap();
    assert_eq!(found.rejects.iter().map(|reject| reject.may_be_no).collect::<Vec<_>>(), [true, true, true, false, true]);
}

/// Kafka writes a record that is null for a key that was deleted: it says nothing more, and is no row. Among events it is a bad one.
#[test]
fn a_record_that_is_null_is_none() {
    let line = |op: &str, lsn: u32, id: &str| {
        format!("{{\"op\": \"{op}\", \"lsn\": {lsn}, \"id\": \"{id}\", \"at\": \"2026-11-0{lsn}\", \"name\": \"x\"}}")
    };
    let (first, second, third) = (line("I", 1, "a"), line("D", 2, "a"), line("I", 3, "b"));
    let lines = format!("{first}\n{second}\nnull\n{third}\n null \r\n");
    for (name, text) in [("c.ndjson", lines.clone()), ("c.json", format!("[{first}, {second}, null,\n{third}, null]"))] {
        let found = read(&source(WORDS, "", COLUMNS), "id", &[(name, text.as_str())], AS_OF).unwrap();
        let ledger = &found.ledger;
        assert_eq!((found.rows.clone(), found.rejects.len()), (rows(&[["b"]]), 0), "{name}");
        assert_eq!((ledger.rows_read, ledger.records_without_rows, ledger.adds_up()), (3, 2, true), "{name}");
    }
    // A row at fault below one is told on its own line.
    let faulty = format!("null\n{}\n", third.replace("\"I\"", "\"X\""));
    let found = read(&source(WORDS, "    reject_budget: {share: 1}\n", COLUMNS), "id", &[("c.ndjson", faulty.as_str())], AS_OF).unwrap();
    assert_eq!(found.rejects.iter().map(|reject| reject.row_number).collect::<Vec<_>>(), [2]);
    let events = "    location: 'memory:///in/*'\n    event_time: at\n    reject_budget: {share: 1}\n    columns: {id: string, at: {type: timestamp, required: true}}\n";
    let found = read(events, "id", &[("c.ndjson", lines.as_str())], AS_OF).unwrap();
    assert_eq!((found.ledger.rows_read, found.rejects.len()), (5, 2));
}

/// An update that comes as a deletion and an insertion with one order: a second order column, made of the operation, puts them in order.
#[test]
fn an_update_in_two_rows_is_put_in_order_by_its_operation() {
    let words = "operation: op, insert: [INSERT], delete: [DELETE], order: [lsn, rank]";
    let columns = ", op: {type: string, from: 'METADATA$ACTION'}, rank: {type: integer, from: 'METADATA$ACTION', values: {DELETE: '0', INSERT: '1'}}, lsn: integer, name: {type: string, required: true}";
    let lines = "METADATA$ACTION,lsn,id,at,name\nINSERT,1,a,2026-11-01,Ann\nINSERT,2,a,2026-11-02,Anna\nDELETE,2,a,2026-11-02,Ann\n\
                 INSERT,1,b,2026-11-01,Bob\nDELETE,3,b,2026-11-03,Bob\n";
    let found = read(&source(words, "", columns), "id, name", &[("c.csv", lines)], AS_OF).unwrap();
    assert_eq!(found.rows, rows(&[["a", "Anna"]]));
    // Without it the deletion wins.
    let found = read(&source(&words.replace(", rank]", "]"), "", columns), "id, name", &[("c.csv", lines)], AS_OF).unwrap();
    assert!(found.rows.is_empty());
}

/// The word of an operation may be of any type; rows as they were before a change are left out.
#[test]
fn operations_may_be_numbers_truths_and_words() {
    for (words, column, insert, update, delete, before) in [
        ("insert: [2], update: [4], delete: [1], before: [3], order: [lsn]", "integer", "2", "4", "1", "3"),
        ("insert: [false], delete: [true], order: [lsn]", "boolean", "0", "false", "1", "0"),
        ("insert: [c, r], update: [u], delete: [d], before: [b], order: [lsn]", "string", "C", "u", "D", "b"),
        ("insert: [1.5], delete: [2], order: [lsn]", "'decimal(3,1)'", "1.5", "1.50", "2.0", "1.5"),
    ] {
        let columns = COLUMNS.replace("op: string", &format!("op: {column}"));
        let is_before = words.contains("before");
        let last = if is_before { 9 } else { 0 };
        let lines = format!(
            "{insert},1,a,2026-11-01,Ann\n{update},2,a,2026-11-02,Anna\n{insert},1,b,2026-11-01,Bob\n{delete},2,b,2026-11-02,\n{before},{last},a,2026-11-03,as it was\n"
        );
        let found = read(&source(&format!("operation: op, {words}"), "", &columns), "id, name", &file(&lines), AS_OF).unwrap();
        assert_eq!(found.rows, rows(&[["a", "Anna"]]), "{words}");
    }
}

/// Orders are compared as what they are, over all their digits, by one column after the other, and then by the event time.
#[test]
fn orders_are_compared_whole() {
    for (order, columns, older, newer) in [
        ("lsn", "lsn: integer", "-9223372036854775808", "-9223372036854775807"),
        ("lsn", "lsn: integer", "9", "10"),
        ("lsn", "lsn: 'decimal(18,3)'", "-0.001", "0"),
        ("lsn", "lsn: 'decimal(38,0)'", "-99999999999999999999999999999999999999", "-99999999999999999999999999999999999998"),
        ("lsn", "lsn: 'decimal(38,0)'", "18446744073709551615", "18446744073709551616"),
        ("lsn", "lsn: 'decimal(38,0)'", "36893488147419103233", "36893488147419103234"),
        ("lsn", "lsn: 'decimal(38,10)'", "-1", "0.0000000001"),
        ("lsn", "lsn: timestamp", "2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000002Z"),
        ("lsn", "lsn: date", "1969-12-31", "1970-01-01"),
    ] {
        for lines in [[older, newer], [newer, older]] {
            let lines: String =
                lines.iter().map(|lsn| format!("U,{lsn},a,2026-11-01,{}\n", if *lsn == newer { "new" } else { "old" })).collect();
            let columns = format!(", op: string, {columns}, name: string");
            let found =
                read(&source(&WORDS.replace("[lsn]", &format!("[{order}]")), "", &columns), "id, name", &file(&lines), AS_OF).unwrap();
            assert_eq!(found.rows, rows(&[["a", "new"]]), "{older} {newer}");
        }
    }
    let two = source(&WORDS.replace("[lsn]", "[file, lsn]"), "", &format!(", file: integer{COLUMNS}"));
    let lines = "op,file,lsn,id,at,name\nU,2,1,a,2026-11-01,x\nU,1,9,a,2026-11-03,y\nU,2,2,a,2026-11-01,z\nU,2,2,a,2026-11-02,newest\n";
    assert_eq!(read(&two, "id, name", &[("c.csv", lines)], AS_OF).unwrap().rows, rows(&[["a", "newest"]]));
    let none = source(&WORDS.replace(", order: [lsn]", ""), "", COLUMNS);
    let lines = "I,9,a,2026-11-01,x\nU,1,a,2026-11-02,newest\n";
    assert_eq!(read(&none, "id, name", &file(lines), AS_OF).unwrap().rows, rows(&[["a", "newest"]]));
}

/// Of changes that nothing puts in order a deletion wins, then the no, and then the one whose values sort last.
#[test]
fn changes_in_no_order_are_decided_in_one_way() {
    let consent = format!("{COLUMNS}, ok: {{type: boolean, consent: {{no: [false]}}}}");
    let header = "op,lsn,id,at,name,ok\n";
    let mut lines = [
        "U,1,a,2026-11-01,Ann,false\n",
        "U,1,a,2026-11-01,Bea,true\n",
        "D,1,b,2026-11-01,,\n",
        "U,1,b,2026-11-01,Bob,true\n",
        "U,1,c,2026-11-01,Cem,true\n",
        "U,1,c,2026-11-01,Cem,true\n",
    ];
    for _ in 0..2 {
        let found = read(&source(WORDS, "", &consent), "id, name, ok", &[("c.csv", format!("{header}{}", lines.concat()))], AS_OF).unwrap();
        assert_eq!(found.rows, rows(&[["a", "Bea", "false"], ["c", "Cem", "true"]]));
        lines.reverse();
    }
}

#[test]
fn a_day_in_the_path_bounds_changes_too() {
    let source = source(WORDS, "    day_in_path: day\n    reject_budget: {share: 1}\n", COLUMNS).replace("in/*", "in/{day:%Y%m%d}.csv");
    let of = |lines: &str| format!("op,lsn,id,at,name\n{lines}");
    let files = [
        ("20261103.csv", of("I,1,a,2026-11-03,Ann\n")),
        ("20261104.csv", of("U,2,a,2026-11-04,Anna\nD,3,a,2026-11-03,another day\n")),
        ("20261105.csv", of("D,4,a,2026-11-05,\n")),
    ];
    let found = read(&source, "id, name", &files, AS_OF).unwrap();
    assert_eq!((found.rows, found.ledger.files_unopened), (rows(&[["a", "Anna"]]), 1));
}

#[test]
fn contradictions_are_told_before_anything_is_read() {
    for (changes, columns, expected) in [
        (WORDS, COLUMNS.replace("lsn: integer", "lsn: string"), "order-type"),
        (WORDS, COLUMNS.replace("lsn: integer", "lsn: double"), "order-type"),
        (WORDS, COLUMNS.replace("lsn: integer", "lsn: boolean"), "order-type"),
        (WORDS, COLUMNS.replace("lsn: integer", "lsn: {type: integer, optional: true}"), "changes-column"),
        (WORDS, COLUMNS.replace("op: string", "op: {type: string, optional: true}"), "changes-column"),
        ("operation: po, insert: [I]", COLUMNS.to_owned(), "unknown-column"),
        ("operation: op, insert: [I], order: [nls]", COLUMNS.to_owned(), "unknown-column"),
        ("operation: op, delete: [D]", COLUMNS.to_owned(), "operation-words"),
        ("operation: op, insert: [I], delete: [i]", COLUMNS.to_owned(), "operation-words"),
        ("operation: op, insert: [I]", COLUMNS.replace("op: string", "op: integer"), "invalid-value"),
    ] {
        let error = plan(&source(changes, "", &columns), "id", AS_OF).err().unwrap();
        assert!(error.to_string().contains(&format!("[{expected}]")), "{changes} {columns}: {error}");
    }
    let good = source(WORDS, "", COLUMNS);
    plan(&good, "id", AS_OF).unwrap();
    for (from, to) in [
        ("    key: [id]\n", ""),
        ("    kind: changes\n", ""),
        ("    kind: changes\n", "    kind: events\n"),
        (&format!("    changes: {{{WORDS}}}\n"), ""),
    ] {
        let error = plan(&good.replace(from, to), "id", AS_OF).err().unwrap();
        assert!(error.to_string().contains("[source-kind]"), "{from}: {error}");
    }
    assert!(plan(&good.replace("    event_time: at\n", ""), "id", AS_OF).err().unwrap().to_string().contains("[missing-key]"));
}

/// The tiny project with changes in the place of orders.
fn changing() -> Tiny {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    let kind = "event_time: ordered_at\n    kind: changes\n    key: [customer_id]\n    changes: {operation: op, insert: [I], delete: [D], order: \
                [lsn]}\n    columns:\n      op: string\n      lsn: integer\n";
    tiny.write("pipelines/tiny.yaml", &written.replace("event_time: ordered_at\n    columns:\n", kind));
    tiny.write(
        "extracts/orders.csv",
        "op,lsn,customer_id,ordered_at\nI,1,a,2026-10-01\nI,2,b,2026-10-01\nI,3,a,2026-10-02\nD,4,b,2026-10-02\n",
    );
    tiny
}

#[test]
fn what_is_told_of_a_source_counts_its_deletions() {
    let tiny = changing();
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAY]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("orders: of the duplicates, 1 says that a key was deleted"), "{said}");
    let (_, again) = run(&tiny, &["--force"]);
    let ledger = &again["sources"][0];
    let counts = ["rows_read", "rows_kept", "rows_deduplicated", "rows_deleted"].map(|key| ledger[key].as_u64().unwrap());
    assert_eq!(counts, [4, 1, 3, 1], "{ledger}");
}

/// Rows that a case gives are changes too.
#[test]
fn cases_give_changes() {
    let tiny = changing();
    let case = "- name: a deleted customer is gone\n  model: customers\n  as_of: 2026-11-01\n  given:\n    sources.orders:\n      - {op: I, lsn: 1, \
                customer_id: a, ordered_at: 2026-10-01}\n      - {op: i, lsn: 2, customer_id: b, ordered_at: 2026-10-01}\n      - {op: d, lsn: 3, \
                customer_id: b, ordered_at: 2026-10-02}\n  expect:\n    - {customer_id: a, orders: 1}\n";
    tiny.write("tests/models/orders.yaml", case);
    let output = tiny.segmill(&["test", "pipelines/tiny.yaml"]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    tiny.write("tests/models/orders.yaml", &case.replace("op: d", "op: I"));
    assert!(!tiny.segmill(&["test", "pipelines/tiny.yaml"]).status.success());
}

/// A change: what it does, its order, the number of its key, its second and a name.
type Change = (u8, u8, u8, u8, u8);

/// What is left, by a plain account: the changes of each key in order, one after the other.
fn account(changes: &[Change], history: bool) -> Vec<Vec<String>> {
    let mut by_key: BTreeMap<u8, Vec<Change>> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.0 < 3) {
        by_key.entry(change.2).or_default().push(*change);
    }
    let mut left = Vec::new();
    for (key, mut changes) in by_key {
        changes.sort_by_key(|(operation, order, _, second, name)| (*order, *second, *operation == 2, *operation == 1, *name));
        let mut versions: BTreeMap<u8, Change> = BTreeMap::new();
        for change in changes {
            match (change.0, history) {
                (2, _) => versions.clear(),
                (_, true) => drop(versions.insert(change.3, change)),
                (_, false) => versions = BTreeMap::from([(0, change)]),
            }
        }
        left.extend(versions.values().map(|change| vec![format!("k{key}"), change.3.to_string(), format!("n{}", change.4)]));
    }
    left.sort();
    left
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn changes_give_what_their_account_gives(
        changes in prop::collection::vec((0..4_u8, 0..6_u8, 0..4_u8, 0..3_u8, 0..3_u8), 0..40),
        pieces in 1..4_usize,
        history: bool,
    ) {
        // A deletion of the moment of another change ends that moment; which of two orders the moment had is of no account.
        let mut files = vec!["op,lsn,id,at,name,second\n".to_owned(); pieces];
        for (number, (operation, order, key, second, name)) in changes.iter().enumerate() {
            let operation = ["I", "u", "D", "B"][usize::from(*operation)];
            writeln!(files[number % pieces], "{operation},{order},k{key},2026-11-01T00:00:0{second}Z,n{name},{second}").unwrap();
        }
        let names: Vec<String> = (0..pieces).map(|piece| format!("{piece}.csv")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(files.iter().map(String::as_str)).collect();
        let words = format!("operation: op, insert: [I], update: [U], delete: [D], before: [B], order: [lsn], history: {history}");
        let found = read(&source(&words, "", &format!("{COLUMNS}, second: integer")), "id, second, name", &files, AS_OF).unwrap();
        prop_assert_eq!(found.rows, account(&changes, history), "{:?}", changes);
        prop_assert!(found.rejects.is_empty());
    }
}
