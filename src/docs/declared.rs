//! What else the pipeline file declares: types of identifiers, reference tables, parameters, checks.

use super::known::Known;
use super::view::{Check, Fact, Link, Parameter, Reference};
use crate::config::{self, CheckKind, IdentifierType, Severity, Spanned, Standalone};
use crate::graph::REFERENCE;
use crate::sql::mentions_parameter;

/// The types of identifiers, each with what is declared of it.
pub fn identifiers(known: &Known<'_>) -> Vec<Fact> {
    let types = known.plan.project.pipeline.identity.types.iter();
    types.map(|(name, of_type)| Fact { label: name.clone(), text: identifier(known, &of_type.value) }).collect()
}

fn identifier(known: &Known<'_>, of: &IdentifierType) -> String {
    let mut said = Vec::new();
    said.extend(known.maybe(of.description.as_ref()));
    match of.standalone {
        Standalone::No => {}
        Standalone::Yes => said.push("a customer by itself".to_owned()),
        Standalone::UntilKnown => said.push("a customer by itself until more is known".to_owned()),
    }
    if of.personal {
        said.push("personal".to_owned());
    }
    said.extend(of.max_per_customer.map(|most| format!("at most {} of a customer", known.number(most))));
    said.extend(of.max_customers.map(|most| format!("shared with more than {} customers it leads to nobody", known.number(most))));
    if of.transferable {
        said.push("may go from one owner to the next".to_owned());
    }
    said.extend(of.valid_days.map(|days| format!("holds for {} days", known.number(days))));
    if !of.blocked.is_empty() {
        let blocked: Vec<String> = of.blocked.iter().map(|value| known.text(value)).collect();
        said.push(format!("stands for nobody: {}", blocked.join(", ")));
    }
    said.join("; ")
}

/// The reference tables.
pub fn reference(known: &Known<'_>) -> Vec<Reference> {
    let view = |(name, table): (&String, &config::ReferenceTable)| {
        let full = format!("{REFERENCE}.{name}");
        let at = known.nodes.table(&full);
        let row = |row: &Spanned<Vec<Option<String>>>| {
            row.value.iter().map(|value| value.as_ref().map_or_else(|| "null".to_owned(), |value| known.text(value))).collect()
        };
        Reference {
            id: known.id(at),
            name: full,
            description: known.maybe(table.description.as_ref()),
            read_by: known.ways(at).1,
            columns: table.columns.iter().map(|(column, of)| (column.clone(), of.to_string())).collect(),
            rows: table.rows.iter().map(row).collect(),
        }
    };
    known.plan.project.pipeline.reference.iter().map(view).collect()
}

/// The parameters, each with what reads it.
pub fn parameters(known: &Known<'_>) -> Vec<Parameter> {
    let view = |(name, parameter): (&String, &config::Parameter)| Parameter {
        name: name.clone(),
        column_type: parameter.column_type.to_string(),
        default: parameter.default.shown().to_owned(),
        values: match (parameter.min.map(|min| known.number(min)), parameter.max.map(|max| known.number(max))) {
            (Some(min), Some(max)) => Some(format!("{min} to {max}")),
            (Some(min), None) => Some(format!("{min} or more")),
            (None, Some(max)) => Some(format!("{max} or less")),
            (None, None) => None,
        },
        description: known.maybe(parameter.description.as_ref()),
        read_by: readers(known, name),
    };
    known.plan.project.pipeline.parameters.iter().map(view).collect()
}

/// The models, sets and checks that read a parameter.
fn readers(known: &Known<'_>, parameter: &str) -> Vec<Link> {
    let pipeline = &known.plan.project.pipeline;
    let models = known.plan.models().filter(|model| mentions_parameter(&model.parsed.model.file.text, parameter));
    let mut links: Vec<Link> = models.filter_map(|model| known.table_link(&model.parsed.model.name())).collect();
    for (name, set) in &pipeline.segments {
        let rules = set.segments.iter().flat_map(|segment| std::iter::once(&segment.when).chain(&segment.stay));
        if rules.chain(set.permissions.values()).any(|rule| mentions_parameter(&rule.value, parameter)) {
            links.push(Link { to: known.id(known.nodes.set(name)), text: format!("set {name}") });
        }
    }
    if pipeline.profile.always.iter().any(|condition| mentions_parameter(&condition.value, parameter)) {
        links.push(Link { to: "profile".to_owned(), text: "the profile".to_owned() });
    }
    let checks = pipeline.checks.iter().filter_map(|check| check.sql.as_ref());
    if checks.into_iter().any(|sql| mentions_parameter(&sql.value, parameter)) {
        links.push(Link { to: "checks".to_owned(), text: "checks".to_owned() });
    }
    links
}

/// The checks.
pub fn checks(known: &Known<'_>) -> Vec<Check> {
    let view = |check: &config::Check| Check {
        name: check.name.shown().to_owned(),
        description: known.maybe(check.description.as_ref()),
        severity: match check.severity {
            Severity::Fail => "nothing is published",
            Severity::Warn => "a warning",
        },
        question: check.question().map(|kind| question(known, kind)).unwrap_or_default(),
        sql: check.sql.as_ref().map(|sql| sql.shown().to_owned()),
    };
    known.plan.project.pipeline.checks.iter().map(view).collect()
}

fn question(known: &Known<'_>, kind: CheckKind<'_>) -> String {
    let list = |columns: &[Spanned<String>]| columns.iter().map(Spanned::shown).collect::<Vec<_>>().join(", ");
    let between = |min: Option<String>, max: Option<String>| {
        let bounds = [min.map(|min| format!("at least {min}")), max.map(|max| format!("at most {max}"))];
        bounds.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    };
    match kind {
        CheckKind::Unique(of) => format!("No two rows of {} have the same {}", of.table.shown(), list(&of.columns)),
        CheckKind::NotNull(of) => format!("Every row of {} has {}", of.table.shown(), list(&of.columns)),
        CheckKind::Accepted(of) => format!("{} of {} is one of {}", of.column.shown(), of.table.shown(), list(&of.values)),
        CheckKind::Rows(of) => {
            let rows = between(of.min.map(|min| known.number(min)), of.max.map(|max| known.number(max)));
            format!("{} has {rows} rows", of.table.shown())
        }
        CheckKind::Sql(_) => "A query returns no row".to_owned(),
        CheckKind::SegmentSize(of) => {
            let customers = between(of.min_customers.map(|min| known.number(min)), of.max_customers.map(|max| known.number(max)));
            let shares = between(of.min_share.map(|min| known.number(min)), of.max_share.map(|max| known.number(max)));
            let customers = (!customers.is_empty()).then(|| format!("{customers} customers"));
            let shares = (!shares.is_empty()).then(|| format!("a share of {shares}"));
            let said: Vec<String> = customers.into_iter().chain(shares).collect();
            format!("{} has {}", segment(&of.segment_set, of.segment.as_ref()), said.join(" and "))
        }
        CheckKind::Change(of) => change(known, of),
    }
}

fn segment(set: &Spanned<String>, segment: Option<&Spanned<String>>) -> String {
    match segment {
        Some(segment) => format!("{} of {}", segment.shown(), set.shown()),
        None => format!("Every segment of {}", set.shown()),
    }
}

fn change(known: &Known<'_>, of: &config::Change) -> String {
    let table = of.table.as_ref().map_or("", |table| table.shown());
    let bounds = [
        (of.max_fall, "fall of the number of rows"),
        (of.max_rise, "rise of the number of rows"),
        (of.max_points, "move of the share"),
        (of.max_psi, "population stability index"),
    ];
    let bounds = bounds.into_iter().filter_map(|(most, what)| most.map(|most| format!("{what} at most {}", known.number(most))));
    let what = match (&of.segment_set, &of.column) {
        (Some(set), _) => segment(set, of.segment.as_ref()),
        (None, Some(column)) => format!("{} of {table}", column.shown()),
        (None, None) => table.to_owned(),
    };
    format!("{what} since the publication before: {}", bounds.collect::<Vec<_>>().join(", "))
}
