//! The tables of the project on the page: the profile by base, the models by layer, the native steps, the outputs.

use arrow::datatypes::Schema;

use super::known::Known;
use super::view::{Column, Fact, Group, Layer, Link, Table};
use crate::config::{Base, Spanned, key_at};
use crate::graph::{DeclaredKind, LAYERS, MEMBERSHIP, PROFILE, PUBLISHED_COLUMNS, TRAITS};
use crate::native::{IDENTITY_SIGNATURE, ROWS_SIGNATURE};
use crate::plan::{Node, PlannedModel};

/// The bases in the order in which they are shown.
const BASES: [Base; 11] = [
    Base::Identity,
    Base::Demographic,
    Base::Geographic,
    Base::Technographic,
    Base::Behavioural,
    Base::Engagement,
    Base::Psychographic,
    Base::Needs,
    Base::Value,
    Base::Lifecycle,
    Base::Consent,
];

/// The columns of the profile by base; those of no declared base come last.
pub fn bases(known: &Known<'_>) -> Vec<Group> {
    let Some(profile) = known.plan.models().find(|model| model.parsed.model.name() == PROFILE) else { return Vec::new() };
    let mut columns: Vec<(Option<Base>, Column)> = known
        .columns(PROFILE, &profile.schema)
        .into_iter()
        .map(|column| (known.plan.dictionary.meaning(PROFILE, &column.name).base, column))
        .collect();
    let mut groups = Vec::new();
    for base in BASES.map(Some).into_iter().chain([None]) {
        let (of_base, rest): (Vec<_>, Vec<_>) = columns.into_iter().partition(|(of, _)| *of == base);
        columns = rest;
        if !of_base.is_empty() {
            let title = base.map_or("no base declared", Base::word).to_owned();
            groups.push(Group { title, columns: of_base.into_iter().map(|(_, column)| column).collect() });
        }
    }
    groups
}

/// The models by layer, in the order in which a row passes them.
pub fn layers(known: &Known<'_>) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    let of_layer = |layer: &str| {
        let models = known.plan.nodes.iter().filter(|node| node.model().is_some_and(|model| layer_of(model) == layer));
        models.filter_map(|node| Some(model_table(known, node, node.model()?))).collect::<Vec<_>>()
    };
    for layer in LAYERS.into_iter().chain([PROFILE, ""]) {
        let models = of_layer(layer);
        if !models.is_empty() {
            let title = match layer {
                "" => "after the profile",
                PROFILE => "the customer profile",
                layer => layer,
            };
            layers.push(Layer { title: title.to_owned(), models });
        }
    }
    layers
}

fn layer_of(model: &PlannedModel) -> &str {
    let of = &model.parsed.model;
    of.schema.as_deref().unwrap_or(if of.table == PROFILE { PROFILE } else { "" })
}

fn model_table(known: &Known<'_>, node: &Node, model: &PlannedModel) -> Table {
    let at = known.nodes.table(&node.name);
    let (reads, read_by) = known.ways(at);
    let file = &model.parsed.model.file;
    Table {
        id: known.id(at),
        name: node.name.clone(),
        kind: "model".to_owned(),
        purpose: purpose(&file.text),
        reads,
        read_by,
        facts: Vec::new(),
        tables: vec![group(known, &node.name, &model.schema)],
        text: Some((known.plan.project.path_of(file), file.text.clone())),
    }
}

fn group(known: &Known<'_>, table: &str, schema: &Schema) -> Group {
    Group { title: table.to_owned(), columns: known.columns(table, schema) }
}

/// What the comment at the top of a model says: a paragraph for each of its sentences that begins with a label such as `Why:`.
fn purpose(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).take_while(|line| line.starts_with("--") || line.is_empty());
    let mut paragraphs: Vec<String> = Vec::new();
    for line in lines.map(|line| line.trim_start_matches('-').trim()) {
        let label = line.split_once(": ").map_or("", |(label, _)| label);
        let is_label = !label.is_empty() && label.len() <= 16 && label.starts_with(char::is_uppercase);
        match paragraphs.last_mut() {
            _ if line.is_empty() => paragraphs.push(String::new()),
            Some(last) if !is_label && !last.is_empty() => *last = format!("{last} {line}"),
            _ => paragraphs.push(line.to_owned()),
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// The native steps, in order.
pub fn steps(known: &Known<'_>) -> Vec<Table> {
    let natives = known.plan.nodes.iter().filter(|node| node.model().is_none() && node.name != ROWS_SIGNATURE.name);
    natives.map(|node| step_table(known, node)).collect()
}

fn step_table(known: &Known<'_>, node: &Node) -> Table {
    let at = node.makes.first().and_then(|table| known.nodes.table(table));
    let (reads, read_by) = known.ways(at);
    let (kind, purpose, text) = match node.declared() {
        Some(kind) => declared(known, kind, &node.name),
        None => ("native step".to_owned(), of_always(&node.name).map(str::to_owned), None),
    };
    Table {
        id: known.id(at),
        name: node.name.clone(),
        kind,
        purpose: purpose.into_iter().collect(),
        reads,
        read_by,
        facts: Vec::new(),
        tables: node.tables().iter().map(|(table, schema)| group(known, table, schema)).collect(),
        text,
    }
}

/// What the steps do that are the same in every project.
fn of_always(name: &str) -> Option<&'static str> {
    match name {
        name if name == IDENTITY_SIGNATURE.name => Some(
            "Finds which identifiers are one customer, from pairs of identifiers that were seen together, and gives customers their ids.",
        ),
        MEMBERSHIP => Some("Puts every customer into segments by the rules, and tells who has entered, left or moved, and why."),
        TRAITS => Some("Tells how the members of each segment differ from everybody."),
        PUBLISHED_COLUMNS => Some("Tells what each column of each published table is and means."),
        _ => None,
    }
}

/// What the pipeline file says of a step: its kind, what it is for, and its text.
fn declared(known: &Known<'_>, kind: DeclaredKind, table: &str) -> (String, Option<String>, Option<(String, String)>) {
    let pipeline = &known.plan.project.pipeline;
    let name = table.split_once('.').map_or(table, |(_, name)| name);
    let description = match kind {
        DeclaredKind::Prediction => pipeline.predictions.get(name).and_then(|of| of.description.as_ref()),
        DeclaredKind::Clusters => pipeline.clusters.get(name).and_then(|of| of.description.as_ref()),
        DeclaredKind::LookAlikes => pipeline.look_alikes.get(name).and_then(|of| of.description.as_ref()),
        DeclaredKind::Affinity => pipeline.affinities.get(name).and_then(|of| of.description.as_ref()),
    };
    let file = &known.plan.project.file;
    let text = block(&file.text, key_at(file, &[kind.section(), name]).bytes.start);
    (kind.word().to_owned(), known.maybe(description), Some((known.plan.project.path_of(file), text)))
}

/// The lines of a YAML file from a key on that stand below it, without the space that all of them begin with.
fn block(text: &str, key: usize) -> String {
    let from = text.get(..key).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.get(from..).unwrap_or_default().lines();
    let Some(first) = lines.next() else { return String::new() };
    let own = indent(first);
    let below = lines.take_while(|line| line.trim().is_empty() || indent(line) > own);
    let all: Vec<&str> = std::iter::once(first).chain(below).map(|line| line.get(own..).unwrap_or_default()).collect();
    all.join("\n").trim_end().to_owned()
}

/// The published tables, in the order of the pipeline file.
pub fn outputs(known: &Known<'_>) -> Vec<Table> {
    known
        .plan
        .project
        .pipeline
        .outputs
        .tables
        .iter()
        .map(|(name, output)| {
            let at = known.nodes.output(name);
            let (reads, _) = known.ways(at);
            let sort: Vec<&str> = output.sort.iter().map(Spanned::shown).collect();
            Table {
                id: known.id(at),
                name: name.clone(),
                kind: "published table".to_owned(),
                purpose: Vec::new(),
                reads,
                read_by: Vec::new(),
                facts: vec![Fact { label: "One row for each".to_owned(), text: sort.join(", ") }],
                tables: vec![Group { title: name.clone(), columns: output_columns(known, name, &output.model.value) }],
                text: None,
            }
        })
        .collect()
}

fn output_columns(known: &Known<'_>, table: &str, model: &str) -> Vec<Column> {
    let published = known.plan.dictionary.published.iter().filter(|column| column.table == table);
    let columns = published.map(|column| {
        let key = (model.to_owned(), column.column.clone());
        let link = known.table_link(model).map(|link| Link { text: format!("{model}.{}", column.column), ..link });
        Column {
            name: column.column.clone(),
            column_type: column.column_type.clone(),
            unit: column.unit.clone(),
            description: column.description.clone(),
            values: None,
            is_personal: column.is_personal,
            made_of: link.into_iter().collect(),
            is_followed: true,
            used_by: known.segments_of(&key),
        }
    });
    columns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_has_a_paragraph_for_each_label() {
        let text = "-- Why: to know\n-- more.\n-- A row: one order.\n\nselect 1 -- Not this: no\n";
        assert_eq!(purpose(text), ["Why: to know more.", "A row: one order."]);
        assert_eq!(purpose("select 1"), Vec::<String>::new());
    }

    #[test]
    fn a_block_ends_where_the_next_key_stands() {
        let text = "a:\n  b:\n    c: 1\n\n    d: {e: 1,\n      f: 2}\n  # about g\n  g: 1\n";
        assert_eq!(block(text, 5), "b:\n  c: 1\n\n  d: {e: 1,\n    f: 2}");
    }
}
