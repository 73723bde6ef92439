//! Tells the findings: in lines for people, and as JSON for programs. Neither holds a value of a personal column.

use serde_json::{Value, json};

use super::draft::{Draft, notes};
use super::share::share;
use super::table::{Format, Held, Origin, Quote};
use crate::diagnostic::counted;
use crate::shown;

/// What was found, in lines for people.
pub fn human(draft: &Draft) -> String {
    let found = &draft.findings;
    let (rows, ragged) = found.rows;
    let files = if found.looked.len() < found.files {
        format!("{} of {} files", found.looked.len(), found.files)
    } else {
        counted(found.files as u64, "file")
    };
    let mut lines = vec![format!("{}: looked at {} of {files}", draft.name, counted(rows as u64, "row"))];
    lines.push(format!("  format        {}", written(draft)));
    if let Some(why) = &draft.choices.snapshot {
        lines.push(format!("  kind          snapshot: {why}"));
    }
    if let Some(changes) = &draft.choices.changes {
        lines.push(format!("  kind          changes, by the column {}", changes.operation));
    }
    let choice = |choice: &Option<super::choices::Choice>| {
        choice.as_ref().map_or_else(
            || "not found".to_owned(),
            |choice| format!("{} ({})", choice.columns.join(", "), choice.why.replace("UNSURE: ", "unsure: ")),
        )
    };
    lines.push(format!("  key           {}", choice(&draft.choices.key)));
    lines.push(format!("  event time    {}", choice(&draft.choices.event_time)));
    let personal: Vec<&str> = found.columns.iter().filter(|column| column.personal.is_some()).map(|column| column.name.as_str()).collect();
    if !personal.is_empty() {
        lines.push(format!("  personal      {}", personal.join(", ")));
    }
    if let Some(rejected) = draft.rejected {
        let percent = share(rejected, rows) * 100.0;
        let why = if ragged > 0 {
            format!(", {ragged} of them because they have more or fewer fields than the others, or broken quotes")
        } else {
            String::new()
        };
        lines.push(format!("  rejected      {rejected} of {rows} sampled rows ({percent:.1}%){why}"));
    }
    let unsure = unsure(draft);
    if !unsure.is_empty() {
        lines.push("  not sure of".to_owned());
        lines.extend(unsure.iter().map(|(of, what)| format!("    {of}: {what}")));
    }
    if !found.differences.is_empty() {
        lines.push("  files differ".to_owned());
        lines.extend(found.differences.iter().take(20).map(|what| format!("    {what}")));
        if found.differences.len() > 20 {
            lines.push(format!("    and {} more", found.differences.len() - 20));
        }
    }
    lines.join("\n")
}

/// How the files are written, in a few words.
fn written(draft: &Draft) -> String {
    let found = &draft.findings;
    let mut parts = vec![found.format.key().to_owned()];
    if found.format == Format::Csv {
        parts.extend(found.csv.delimiter.map(|c| format!("fields separated by {}", super::dialect::shown(c))));
        parts.extend(match found.csv.quote {
            Quote::Plain => None,
            Quote::Other(c) => Some(format!("quoted by {}", super::dialect::shown(c))),
            Quote::None => Some("no quotes".to_owned()),
        });
        parts.extend(found.csv.comment.map(|c| format!("comments after {}", super::dialect::shown(c))));
        if found.csv.skip_lines > 0 {
            parts.push(format!("{} above the header", counted(found.csv.skip_lines as u64, "line")));
        }
        if found.csv.skip_after_header > 0 {
            parts.push(format!("{} below the header that are no rows", counted(found.csv.skip_after_header as u64, "record")));
        }
        if !found.csv.has_header {
            parts.push("no header".to_owned());
        }
    }
    parts.extend(found.encoding.clone());
    parts.extend(found.each.as_ref().map(|each| format!("rows in `{}`", shown::column(each))));
    let drafted = found.columns.iter().filter(|column| !matches!(column.column.held, Held::Other(_))).count();
    parts.push(counted(drafted as u64, "column"));
    parts.join(", ")
}

/// Everything that could not be told, and of what.
fn unsure(draft: &Draft) -> Vec<(String, String)> {
    let found = &draft.findings;
    let strip = |note: &str| note.split_once("UNSURE: ").map(|(before, note)| format!("{before}{note}"));
    let mut all: Vec<(String, String)> = Vec::new();
    for column in &found.columns {
        all.extend(column.guess.notes.iter().filter_map(|note| Some((column.name.clone(), strip(note)?))));
    }
    if let Some(changes) = &draft.choices.changes {
        all.extend(changes.notes.iter().filter_map(|note| Some(("changes".to_owned(), strip(note)?))));
    }
    let files = found.notes.iter().filter_map(|note| Some(("the files".to_owned(), strip(note)?)));
    files.chain(all).collect()
}

/// What was found, for programs.
pub fn json(draft: &Draft) -> Value {
    let found = &draft.findings;
    let csv = &found.csv;
    let rows = found.rows.0;
    let columns: Vec<Value> = found
        .columns
        .iter()
        .map(|column| {
            let (kind, name) = match &column.column.origin {
                Origin::Named(name) => ("from", json!(name)),
                Origin::Position(at) => ("position", json!(at + 1)),
                Origin::Path(name) => ("path", json!(name)),
            };
            json!({
                "name": column.name,
                kind: name,
                "parts": column.parts,
                "type": column.guess.kind.key(),
                "format": column.guess.format,
                "values": column.guess.values.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                "null_values": column.guess.null_values,
                "accepted": column.accepted,
                "personal": column.personal,
                "consent": column.consent.is_some(),
                "optional": column.is_optional,
                "rows_with_a_value": column.column.cells.iter().flatten().count(),
                "different_values": column.distinct,
                "faults": column.faults,
                "notes": notes(column, rows),
            })
        })
        .collect();
    let choice = |choice: &Option<super::choices::Choice>, others: &[String]| {
        choice.as_ref().map(|choice| json!({ "columns": choice.columns, "why": choice.why, "others": others }))
    };
    json!({
        "source": draft.name,
        "location": found.paths.location,
        "files": found.files,
        "looked_at": found.looked.iter().map(|(file, rows)| json!({ "file": file, "rows": rows })).collect::<Vec<_>>(),
        "format": found.format.key(),
        "encoding": found.encoding,
        "csv": (found.format == Format::Csv).then(|| json!({
            "delimiter": csv.delimiter.unwrap_or(','), "quote": match csv.quote { Quote::Plain => Some('"'), Quote::Other(c) => Some(c), Quote::None => None }, "escape": csv.escape, "comment": csv.comment,
            "skip_lines": csv.skip_lines, "header": csv.has_header, "skip_after_header": csv.skip_after_header,
            "trailing_delimiter": csv.trailing_delimiter,
        })),
        "each": found.each,
        "kind": if draft.choices.changes.is_some() { "changes" } else if draft.choices.snapshot.is_some() { "snapshot" } else { "events" },
        "day_in_path": draft.day_in_path,
        "event_time": choice(&draft.choices.event_time, &draft.choices.other_times),
        "key": choice(&draft.choices.key, &draft.choices.other_keys),
        "rows": rows,
        "rejected_rows": draft.rejected,
        "columns": columns,
        "unsure": unsure(draft).into_iter().map(|(of, what)| json!({ "of": of, "what": what })).collect::<Vec<_>>(),
        "differences": found.differences,
        "notes": found.notes,
        "yaml": draft.yaml(),
    })
}
