//! Holds that drafts are contracts: whatever names, types and words they have, they are read again as what they say.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Group, delimited, drafted, json, trial};
use crate::inspect::table::{Origin, Table};
use crate::local_time::Zone;

/// The draft of a table, read by the parser of pipeline files.
fn checked(table: Table) -> Result<(), TestCaseError> {
    let zone = Arc::new(Zone::named("UTC").unwrap());
    let group = Group { typed: vec![table.file.clone()], files: vec![table.file.clone()], tables: vec![(0, table)] };
    let draft = drafted("odd".to_owned(), group, &trial::null_words(), &zone);
    let yaml = draft.yaml();
    if draft.choices.event_time.is_none() {
        return Ok(());
    }
    let problems = trial::problems_of(&yaml, "odd", &zone);
    prop_assert!(problems.is_empty(), "{yaml}\n{problems:?}");
    let (pipeline, _) = trial::parse(&yaml).ok_or_else(|| TestCaseError::fail(yaml.clone()))?;
    for found in draft.findings.columns.iter().filter(|found| !matches!(found.column.held, super::table::Held::Other(_))) {
        let Some(read) = pipeline.sources["odd"].columns.get(found.name.as_str()) else {
            return Err(TestCaseError::fail(format!("{} is not in {yaml}", found.name)));
        };
        prop_assert_eq!(read.column_type.to_string(), found.guess.kind.key(), "{}", yaml);
        prop_assert_eq!(read.format.as_ref().map(|format| format.value.clone()), found.guess.format.clone());
        prop_assert_eq!(&read.accepted, &found.accepted);
        let values: Vec<(String, String)> = read.values.iter().map(|(word, value)| (word.clone(), value.value.clone())).collect();
        prop_assert_eq!(&values, &found.guess.values);
        if let (Origin::Named(name), None) = (&found.column.origin, &found.parts) {
            let from: Vec<String> = read.from.iter().map(|text| text.value.clone()).collect();
            prop_assert!(from == [name.clone()] || (from.is_empty() && *name == found.name), "{:?} {}", from, yaml);
        }
    }
    Ok(())
}

const NAME: &str = "[a-z ]{0,3}[],:#{}\\[&*!|>'\"%@`?.-]{0,2}[a-zA-Z ]{1,4}|no|yes|null|1e3|x: y|a #b|-a|~";
const VALUE: &str =
    "[0-9]{1,3}\\.[0-9]{2}|\\$ \\([0-9]\\.[0-9]{2}\\)|[0-9]{1,3}|1\\.[0-9]{3},[0-9]{2} €|[01]|Ja|Nein|a, b|#x|[{]|-|~|null|\\*|: |'";

fn written(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

proptest! {
    #[test]
    fn drafts_of_odd_csv_are_contracts(names in proptest::collection::vec(NAME, 1..4), value in proptest::collection::vec(VALUE, 1..3)) {
        let header: Vec<String> = names.iter().map(|name| written(name)).collect();
        let row = |at: usize| format!("{at},2026-11-01T10:{at:02}:00Z,{}\n", vec![written(&value[at % value.len()]); names.len()].join(","));
        let text = format!("row_id,happened_at,{}\n{}", header.join(","), (0..35).map(row).collect::<String>());
        checked(delimited::table("a.csv", &[text], true))?;
    }

    #[test]
    fn drafts_of_odd_json_are_contracts(names in proptest::collection::vec(NAME, 1..4), texts in proptest::collection::vec(VALUE, 1..3), number in -9.0..9.0_f64) {
        let row = |at: usize| {
            let mut row = serde_json::json!({"row_id": at, "happened_at": "2026-11-01T10:00:00Z", "in": {}});
            for name in &names {
                row[name.as_str()] = texts[at % texts.len()].as_str().into();
                row["in"][name.as_str()] = serde_json::json!([number]);
                row["in"][format!("{name}2")] = serde_json::json!(number.round());
            }
            format!("{row}\n")
        };
        checked(json::table("a.ndjson", &[(0..35).map(row).collect::<String>()], true).unwrap())?;
    }
}
