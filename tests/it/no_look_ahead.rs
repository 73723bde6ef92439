use std::path::Path;

use crate::support::{Publication, package};
use crate::transform::{Extracts, Row};

/// Two months before the sample ends, so that a sixth of all events lie ahead.
const AS_OF: &str = "2011-10-10";

#[test]
fn deleting_every_later_event_changes_no_output_byte() {
    let shipped = package().join("examples/data");
    let with = Publication::of(&shipped, AS_OF, &[]);
    let late: u64 = ["orders", "contacts", "web", "email", "survey"].iter().map(|source| with.ledger(source)[4]).sum();
    assert!(late > 50_000, "only {late} rows lie ahead");

    let folder = tempfile::tempdir().unwrap();
    let extracts = Extracts::read(&shipped);
    let before = |row: &Row| row.time.as_deref().is_none_or(|time| time < AS_OF);
    extracts.retain(before).write(folder.path(), 1);
    let without = Publication::of(folder.path(), AS_OF, &[]);
    for source in ["orders", "contacts", "web", "email", "survey"] {
        assert_eq!(without.ledger(source)[4], 0, "{source}");
    }
    assert!(with.bytes() == without.bytes(), "an output differs");
}

/// An event in the day's first moment does not count, and one in the last before it does.
#[test]
fn a_day_begins_with_its_first_moment() {
    let folder = tempfile::tempdir().unwrap();
    let edge = |time: &str| time.starts_with("2011-10-10");
    let extracts =
        Extracts::read(&package().join("examples/data")).retain(|row| row.time.as_deref().is_some_and(|time| time < "2011-10-11"));
    assert!(extracts.rows().any(|row| row.time.as_deref().is_some_and(edge)), "the sample has events on the day itself");
    extracts.write(folder.path(), 1);
    let run = |as_of: &str| Publication::of(Path::new(folder.path()), as_of, &[]);
    let (day, next) = (run("2011-10-10"), run("2011-10-11"));
    assert!(day.ledger("orders")[4] > 0);
    assert_eq!(next.ledger("orders")[4], 0);
}
