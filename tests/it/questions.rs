use std::process::{Command, Stdio};

use crate::looks::{People, text};

/// What is wrong with a question is told as such, whatever the engine calls it.
#[test]
fn questions_that_cannot_be_answered_are_told_as_wrong() {
    let people = People::new();
    let correlated = "(select max(u.b) from (values (1)) u(b) where u.b < t.a limit 1)";
    for (query, code) in [
        ("from sources.people", "no-columns"),
        ("select from sources.people", "no-columns"),
        ("select a, (select b from (values (1)) u(b) where u.b > t.a limit 1) as c from (values (1)) t(a)", "sql-unsupported"),
        ("select exists (select 1 from (values (1)) u(b) where u.b = t.a limit 1 offset 1) as e from (values (1)) t(a)", "unsound-query"),
        ("select * from (values (1)) t(a), lateral (select t.a + b as c from (values (2)) u(b)) x", "sql-unsupported"),
        ("select array_agg(distinct a order by b) as x from (values (1, 2)) t(a, b)", "sql-unsupported"),
    ] {
        let output = people.run(&["query", query, "--as-of", "2011-06-10"]);
        let told = text(&output.stderr);
        assert!(told.contains(&format!("error[{code}]")) && output.status.code() == Some(2), "{query}: {told}");
    }
    // A model like that is found by `validate`, and not by a run.
    people.write("sql/features/odd.sql", &format!("select a, {correlated} as c from (values (1)) t(a)\n"));
    let output = people.run(&["validate"]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("error[sql-unsupported]"), "{}", text(&output.stderr));
}

/// A look is at any rows, and a model at rows that are said.
#[test]
fn a_query_may_take_any_rows() {
    let people = People::new();
    for query in [
        "select contact_id from sources.people limit 3",
        "select n from (select count(*) as n from sources.people group by country limit 3)",
    ] {
        let (out, note) = people.told(&["query", query, "--as-of", "2011-06-10", "--format", "csv"]);
        assert!(out.lines().count() <= 4 && note.contains("no `order by` says which rows `limit` takes"), "{out}{note}");
    }
    let (out, _) = people.told(&["query", "select contact_id from sources.people limit 3", "--as-of", "2011-06-10", "--format", "csv"]);
    assert_eq!(out, "contact_id\nc00\nc01\nc02\n", "the first of the files");
    let (_, note) = people.told(&["query", "select contact_id from sources.people order by 1 limit 3", "--as-of", "2011-06-10"]);
    assert!(!note.contains("order by"), "{note}");
    people.write("sql/features/any.sql", "select contact_id from sources.people limit 3\n");
    let output = people.run(&["validate"]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("error[order-dependent]"), "{}", text(&output.stderr));
}

/// A reader such as `head` that has enough is no failure, and nothing is computed for it any more.
#[test]
fn a_look_ends_quietly_when_its_reader_has_gone() {
    let people = People::new();
    for arguments in [
        &["query", "select a.contact_id from sources.people a cross join sources.people b cross join sources.people c", "--format", "csv"]
            [..],
        &["show", "sources.people", "--format", "json"],
        &["show", "sources.people"],
        &["show", "sources.people", "--schema"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_segmill"))
            .args(arguments)
            .args(["--as-of", "2011-06-10"])
            .current_dir(people.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
    }
}
