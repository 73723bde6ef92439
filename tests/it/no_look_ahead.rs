use crate::support::{Publication, package, segmill};
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

/// The first moment of 2011-06-10 in London is 23:00 UTC the day before; in every format the row at that moment is out.
#[test]
fn the_day_begins_in_the_zone_that_the_pipeline_names() {
    let events = [
        ("a", "2011-06-09T22:59:59.999999Z"),
        ("b", "2011-06-09T23:00:00Z"),
        ("c", "2011-06-10T00:30:00Z"),
        // Without an offset a time is local: this is 21:30 UTC.
        ("d", "2011-06-09 22:30:00"),
        ("e", "2011-06-10 00:00:00"),
    ];
    for (zone, expected) in [("UTC", ["a", "b", "d"].as_slice()), ("Europe/London", &["a", "d"]), ("Asia/Tokyo", &["d"])] {
        let project = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = project.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "pipelines/p.yaml",
            &format!(
                "version: 1\nname: p\ntime_zone: {zone}\nsources:\n  events:\n    location: events/*\n    event_time: at\n    \
                 columns: {{id: string, at: {{type: timestamp, required: true}}}}\noutputs:\n  destination: out\n  tables:\n    \
                 customers: {{model: customers, sort: [customer_id]}}\n"
            ),
        );
        write(
            "sql/customers.sql",
            "-- Every customer.\nselect id as customer_id, cast(max(at) as date) as day from sources.events group by id\n",
        );
        let csv: String = events[..3].iter().map(|(id, at)| format!("{id},{at}\n")).collect();
        write("events/1.csv", &format!("id,at\n{csv}"));
        let json: String = events[3..].iter().map(|(id, at)| format!("{{\"id\": \"{id}\", \"at\": \"{at}\"}}\n")).collect();
        write("events/2.ndjson", &json);
        let output = segmill(project.path(), &["run", "pipelines/p.yaml", "--as-of", "2011-06-10", "--format", "json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["customers"], expected.len(), "{zone}: {result:#}");
        assert_eq!(result["sources"][0]["rows_out_of_window"], 5 - expected.len(), "{zone}");
    }
}
