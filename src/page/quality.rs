//! Data quality: what became of the rows, who is who, and what the checks found.

use askama::Template;

use super::markup::{Markup, Sentence};
use super::names;
use super::view::View;
use crate::figures::types::{CheckFigures, IdentityFigures, SourceFigures};

/// How many reasons of rejects are listed for a source.
const MOST_REJECTS: usize = 12;

#[derive(Template)]
#[template(path = "report/quality.html")]
struct Section {
    in_short: Markup,
    sources: Vec<Source>,
    sources_reason: Option<String>,
    identity: Option<Identity>,
    identity_reason: Option<String>,
    checks: Vec<Check>,
    checks_reason: Option<String>,
}

struct Source {
    title: String,
    name: String,
    description: Option<String>,
    files: Markup,
    read: Markup,
    kept: Markup,
    kept_share: String,
    rejected: Markup,
    deduplicated: Markup,
    out_of_window: Markup,
    values: Markup,
    newest: String,
    rejects: Vec<(String, String, String, Markup)>,
    left_out: Option<Markup>,
}

struct Identity {
    facts: Vec<(&'static str, Markup)>,
    known_from: Vec<(String, Markup, String, Markup)>,
}

struct Check {
    title: String,
    outcome: &'static str,
    class: &'static str,
    sign: &'static str,
    found: String,
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let quality = &view.figures.quality;
    let reason = |words: &[&str]| view.not_told(words).map(|not_told| view.excerpt(&not_told.reason));
    // Failures first; otherwise in the order of the pipeline file.
    let mut checks: Vec<&CheckFigures> = quality.checks.iter().collect();
    checks.sort_by_key(|check| match check.outcome.as_str() {
        "failed" if check.severity != "warn" => 0,
        "failed" => 1,
        "passed" => 3,
        _ => 2,
    });
    Markup::of(&Section {
        in_short: in_short(view),
        sources: quality.sources.iter().map(|source| of_source(view, source)).collect(),
        sources_reason: reason(&["source", "row", "ledger"]),
        identity: quality.identity.as_ref().map(|identity| of_identity(view, identity)).transpose()?,
        identity_reason: reason(&["identity"]),
        checks: checks.into_iter().map(|check| of_check(view, check)).collect(),
        checks_reason: reason(&["check"]),
    })
}

fn in_short(view: &View<'_>) -> Markup {
    let numbers = &view.numbers;
    let quality = &view.figures.quality;
    let mut sentence = Sentence::new();
    if !quality.sources.is_empty() {
        let sum = |of: fn(&SourceFigures) -> u64| quality.sources.iter().map(of).fold(0, u64::saturating_add);
        let read = sum(|source| source.rows_read);
        sentence = sentence.with(&numbers.counted(read, "row was read", "rows were read")).words(", ");
        sentence = sentence.with(&numbers.count(sum(|source| source.rows_kept))).words(" kept and ");
        sentence = sentence.with(&numbers.count(sum(|source| source.rows_rejected))).words(" rejected. ");
    }
    if quality.checks.is_empty() {
        return sentence.end();
    }
    let of = |outcome: &str, is_warning: bool| {
        quality.checks.iter().filter(|check| check.outcome == outcome && (check.severity == "warn") == is_warning).count() as u64
    };
    let (failed, warned) = (of("failed", false), of("failed", true));
    let all = quality.checks.len() as u64;
    let passed = of("passed", false) + of("passed", true);
    if passed == all && all > 1 {
        return sentence.words("All ").with(&numbers.count(all)).words(" checks passed.").end();
    }
    sentence = sentence.with(&numbers.count(passed)).words(" of ").with(&numbers.counted(all, "check", "checks")).words(" passed");
    let others = [(failed, "failed"), (warned, "warned"), (all - passed - failed - warned, "skipped")];
    for (count, outcome) in others.into_iter().filter(|(count, _)| *count > 0) {
        sentence = sentence.words(", ").with(&numbers.count(count)).words(" ").words(outcome);
    }
    sentence.words(".").end()
}

fn of_source(view: &View<'_>, source: &SourceFigures) -> Source {
    let numbers = &view.numbers;
    let reject = |(kind, column, reason, count): &(String, Option<String>, String, u64)| {
        let column = column.as_deref().map(names::title).unwrap_or_default();
        (names::title(kind), column, names::spaced(&view.excerpt(reason)), numbers.count(*count))
    };
    let left_out = source.rejects.len().saturating_sub(MOST_REJECTS);
    Source {
        title: names::title(&source.name),
        name: super::markup::clean(&source.name, 120),
        description: view.maybe_excerpt(source.description.as_deref()),
        files: numbers.count(source.files),
        read: numbers.count(source.rows_read),
        kept: numbers.count(source.rows_kept),
        kept_share: numbers.share(source.rows_kept, source.rows_read),
        rejected: numbers.count(source.rows_rejected),
        deduplicated: numbers.count(source.rows_deduplicated),
        out_of_window: numbers.count(source.rows_out_of_window),
        values: numbers.count(source.values_rejected),
        newest: source
            .newest_event
            .as_deref()
            .map_or_else(|| super::numbers::NOTHING.to_owned(), |newest| super::markup::clean(newest, 40)),
        rejects: source.rejects.iter().take(MOST_REJECTS).map(reject).collect(),
        left_out: (left_out > 0).then(|| numbers.counted(left_out as u64, "other reason", "other reasons")),
    }
}

fn of_identity(view: &View<'_>, identity: &IdentityFigures) -> Result<Identity, askama::Error> {
    let numbers = &view.numbers;
    let facts = [
        ("Customers", identity.customers),
        ("Identifiers", identity.identifiers),
        ("Customers from several sources", identity.customers_from_several_sources),
        ("Merged since the publication before", identity.merged),
        ("Split since the publication before", identity.split),
        ("Identifiers set aside", identity.identifiers_set_aside),
        ("Edges set aside", identity.edges_set_aside),
    ];
    let known_from = identity.known_from.iter().map(|(source, customers)| {
        let part = super::amounts::share(*customers, identity.customers);
        Ok((names::title(source), numbers.count(*customers), numbers.share(*customers, identity.customers), super::charts::bar::bar(part)?))
    });
    Ok(Identity {
        facts: facts.into_iter().map(|(what, count)| (what, numbers.count(count))).collect(),
        known_from: known_from.collect::<Result<_, askama::Error>>()?,
    })
}

fn of_check(view: &View<'_>, check: &CheckFigures) -> Check {
    let is_warning = check.severity == "warn";
    let (outcome, class, sign) = match check.outcome.as_str() {
        "passed" => ("passed", "ok", "✓"),
        "failed" if is_warning => ("warns", "warns", "!"),
        "failed" => ("failed", "failed", "✗"),
        _ => ("skipped", "skipped", "–"),
    };
    Check { title: names::title(&check.name), outcome, class, sign, found: view.excerpt(&check.found) }
}
