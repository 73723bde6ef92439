//! The sources on the page, with their contracts. Locations are shown as the pipeline file writes them, without credentials.

use super::known::Known;
use super::view::{Fact, Source, SourceColumn};
use crate::config::{self, Column, OnError, SourceKind, Spanned, Text, UnknownColumns};
use crate::graph::SOURCES;

/// The sources, in the order of the pipeline file.
pub fn sources(known: &Known<'_>) -> Vec<Source> {
    known.plan.project.pipeline.sources.iter().map(|(name, source)| source_view(known, name, source)).collect()
}

fn source_view(known: &Known<'_>, name: &str, source: &config::Source) -> Source {
    let table = format!("{SOURCES}.{name}");
    let at = known.nodes.table(&table);
    let columns = source.columns.iter().map(|(column, declared)| SourceColumn {
        name: column.clone(),
        column_type: declared.column_type.to_string(),
        from: in_files(known, declared),
        rules: rules(known, declared),
        fault: fault(source, column, declared),
        is_personal: declared.personal,
        description: known.maybe(declared.description.as_ref()),
        used_by: known.segments_of(&(table.clone(), column.clone())),
    });
    Source {
        id: known.id(at),
        name: table.clone(),
        description: known.maybe(source.description.as_ref()),
        facts: facts(known, source),
        read_by: known.ways(at).1,
        columns: columns.collect(),
    }
}

/// What a contract says of a source as a whole.
fn facts(known: &Known<'_>, source: &config::Source) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |label: &str, text: Option<String>| {
        facts.extend(text.filter(|text| !text.is_empty()).map(|text| Fact { label: label.to_owned(), text }));
    };
    let shown = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.shown().to_owned());
    let list = |texts: &[Spanned<String>]| Some(texts.iter().map(Spanned::shown).collect::<Vec<_>>().join(", "));
    add("Location", Some(config::without_credentials(source.location.shown())));
    let kind = source.kind.as_ref().map_or(SourceKind::Events, |kind| kind.value);
    add("Rows are", Some(format!("{kind:?}").to_lowercase()));
    add("Rows are the elements of", shown(&source.each));
    add("Encoding", shown(&source.encoding));
    add("Happened at", shown(&source.event_time));
    add("Day in the path", shown(&source.day_in_path));
    add("Key, of which the latest row is kept", list(&source.key));
    add("Values for no value", source.null_values.as_ref().and_then(|values| list(values)));
    add("Space around texts", source.trim.then(|| "left off".to_owned()));
    let budget = source.reject_budget;
    add(
        "Refused if more is rejected than",
        Some(format!("{} of the rows, or {} rows", share(known, budget.share), known.number(budget.rows))),
    );
    add("Files", Some(format!("at least {}", known.number(source.min_files))));
    add("Rows", (source.min_rows > 0).then(|| format!("at least {}", known.number(source.min_rows))));
    let fresh = &source.freshness;
    let days = |days: u32| format!("at most {} days before the as-of day", known.number(days));
    add("Newest row", fresh.newest_row_days.map(days));
    add("Newest file", fresh.newest_file_days.map(days));
    add("Newest snapshot", fresh.newest_snapshot_days.as_ref().map(|age| days(age.value)));
    add("Columns that are not named", (source.unknown_columns == UnknownColumns::Refuse).then(|| "refused".to_owned()));
    let leads = source.leads_to.iter().map(|lead| {
        let of_type = lead.identifier_type.as_ref().map_or("", |of_type| of_type.shown());
        format!("{of_type} {}", lead.identifier.shown()).trim().to_owned()
    });
    add("Leads to customers by", Some(leads.collect::<Vec<_>>().join("; ")));
    facts
}

/// Where a column stands in the files.
fn in_files(known: &Known<'_>, column: &Column) -> String {
    let either = |names: &[Text]| names.iter().map(Text::shown).collect::<Vec<_>>().join(" or ");
    if let Some(path) = &column.path {
        return format!("part of the path: {}", path.shown());
    }
    if let Some(position) = &column.position {
        let place = known.number(position.value);
        return format!("column {place}");
    }
    if let Some(parts) = &column.parts {
        let parts = &parts.value;
        let named = [("date", &parts.date), ("time", &parts.time), ("zone", &parts.zone)];
        let named = named.into_iter().filter(|(_, of)| !of.is_empty()).map(|(part, of)| format!("{part}: {}", either(of)));
        return named.collect::<Vec<_>>().join(", ");
    }
    let from = if column.from.is_empty() { "the same name".to_owned() } else { either(&column.from) };
    column.json.as_ref().map_or(from.clone(), |path| format!("{from}, in its JSON {}", path.shown()))
}

/// What the values of a column must be, and how they are read.
fn rules(known: &Known<'_>, column: &Column) -> Vec<String> {
    let mut rules = Vec::new();
    if column.required {
        rules.push("must be there".to_owned());
    }
    if !column.accepted.is_empty() {
        let accepted: Vec<String> = column.accepted.iter().map(|value| known.text(value)).collect();
        rules.push(format!("one of {}", accepted.join(", ")));
    }
    rules.extend(column.min.as_ref().map(|min| format!("{} or more", min.shown())));
    rules.extend(column.max.as_ref().map(|max| format!("{} or less", max.shown())));
    rules.extend(column.pattern.as_ref().map(|pattern| format!("matches {}", pattern.shown())));
    rules.extend(column.format.as_ref().map(|format| format!("written as {}", format.shown())));
    rules.extend(column.zone.as_ref().map(|zone| format!("in the zone {}", zone.shown())));
    if !column.values.is_empty() {
        let words = column.values.iter().map(|(word, value)| format!("{word} means {}", value.shown()));
        rules.push(words.collect::<Vec<_>>().join(", "));
    }
    if let Some(nulls) = &column.null_values {
        rules.push(format!("no value is {}", nulls.iter().map(Spanned::shown).collect::<Vec<_>>().join(", ")));
    }
    if let Some(consent) = &column.consent {
        rules.push(format!("an opt-out is {}", consent.no.iter().map(Spanned::shown).collect::<Vec<_>>().join(", ")));
    }
    if column.optional {
        rules.push("files may lack it".to_owned());
    }
    rules
}

/// What happens to a value that breaks the contract.
fn fault(source: &config::Source, name: &str, column: &Column) -> &'static str {
    let is_part = |of: &Spanned<String>| of.value == name;
    let costs_row = match column.on_error.as_ref().map(|on_error| on_error.value) {
        Some(OnError::Reject) => true,
        Some(OnError::Null) => false,
        None => column.required || source.key.iter().any(is_part) || source.event_time.as_ref().is_some_and(is_part),
    };
    if costs_row { "rejects its row" } else { "becomes null" }
}

/// A share as a percentage.
fn share(known: &Known<'_>, share: f64) -> String {
    let (plain, shown) = (share.to_string(), known.number(share));
    if plain == shown { format!("{}%", (share * 1e8).round() / 1e6) } else { shown }
}
