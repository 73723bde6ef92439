//! What a run would publish, and how that differs from what is published: in business terms, and as JSON.

use std::collections::BTreeSet;

use indicatif::HumanCount;
use serde_json::{Value, json};

use super::diff::{self, counts, customers, minus, plus};
use super::movement::{Between, arrow, by_segments};
use crate::diagnostic::counted;
use crate::identity::shown;
use crate::job::{ComparedWith, Planned};
use crate::project::{Changes, Edit};
use crate::publish::{CheckOutcome, ColumnChange, Difference};
use crate::segments::movement::{ComparedSet, Comparison, Movement};
use crate::segments::{Funnel, FunnelStep, Overlap};

/// What is listed of each kind, before the rest is counted.
const RULES_SHOWN: usize = 12;
const FILES_SHOWN: usize = 8;
const OVERLAPS_SHOWN: usize = 6;
const COLUMNS_SHOWN: usize = 10;
const EXAMPLES_SHOWN: usize = 3;

/// The longest rule that is shown whole.
const RULE_WIDTH: usize = 90;

/// The plan in lines. The funnels of all rules are shown if asked for.
pub fn human(planned: &Planned, all_funnels: bool) -> String {
    let mut text = format!("{} as of {}, planned; nothing is published\n", planned.commit.pipeline, planned.commit.as_of);
    text += &compared(planned);
    if let Some(changes) = &planned.project {
        text += &project(changes);
    }
    match &planned.comparison {
        Some(comparison) => {
            text += &format!("\n{}", customers(comparison));
            for set in &comparison.sets {
                text += &set_lines(comparison, set);
            }
        }
        None => text += &sizes(planned),
    }
    text += &overlaps(&planned.look.overlaps);
    text += &funnels(planned, all_funnels);
    text += &odd_segments(planned);
    text += &columns(&planned.columns);
    text += &checks(planned);
    if !planned.warnings.is_empty() {
        text += "\nLook at\n";
        planned.warnings.iter().for_each(|warning| text += &format!("  {warning}\n"));
    }
    text.trim_end().to_owned()
}

/// With what the plan is compared.
fn compared(planned: &Planned) -> String {
    let told = match planned.compared_with {
        None => "nothing is published that it could be compared with".to_owned(),
        Some(ComparedWith { number, is_own: true, .. }) => format!("compared with number {number}, the publication of this day"),
        Some(ComparedWith { as_of, number, .. }) => format!("compared with its predecessor as of {as_of} (number {number})"),
    };
    let unchanged = if planned.is_unchanged { "; a run would publish nothing, because nothing has changed" } else { "" };
    format!("{told}{unchanged}\n")
}

/// What has changed in the project.
fn project(changes: &Changes) -> String {
    if changes.is_empty() {
        return "\nThe project is the same\n".to_owned();
    }
    let mut lines = Vec::new();
    let edited = |edit: Edit| match edit {
        Edit::Added => "new",
        Edit::Removed => "gone",
        Edit::Edited => "edited",
        Edit::Rewritten => "written otherwise, and the same",
    };
    for rule in changes.rules.iter().filter(|rule| rule.edit != Edit::Rewritten).take(RULES_SHOWN) {
        let place =
            [Some(rule.segment_set.as_str()), rule.segment.as_deref()].into_iter().flatten().map(shown).collect::<Vec<_>>().join(".");
        let text = |text: &Option<String>| text.as_deref().map_or_else(|| "nothing".to_owned(), in_short);
        let what = match rule.edit {
            Edit::Added if rule.key == "when" || rule.key == "kind" => format!("new: {}", text(&rule.new)),
            Edit::Removed if rule.key == "when" || rule.key == "kind" => "gone".to_owned(),
            _ => format!("{} → {}", text(&rule.old), text(&rule.new)),
        };
        lines.push(format!("{place} {}: {what}", rule.key));
    }
    let of_rules = changes.rules.iter().filter(|rule| rule.edit != Edit::Rewritten).count();
    if of_rules > RULES_SHOWN {
        lines.push(format!("{} more changes of segments", of_rules - RULES_SHOWN));
    }
    for parameter in &changes.parameters {
        let value = |value: &Option<String>| value.as_deref().map_or_else(|| "none".to_owned(), in_short);
        lines.push(format!("${}: {} → {}", parameter.name, value(&parameter.old), value(&parameter.new)));
    }
    lines.extend(
        changes.parts.iter().filter(|part| part.edit != Edit::Rewritten).map(|part| format!("{}: {}", part.part, edited(part.edit))),
    );
    let file = |file: &crate::project::FileChange| format!("{}: {}", shown(&file.path), edited(file.edit));
    lines.extend(changes.files.iter().take(FILES_SHOWN).map(file));
    if changes.files.len() > FILES_SHOWN {
        lines.push(format!("{} more files", changes.files.len() - FILES_SHOWN));
    }
    let mut text = "\nThe project has changed since then\n".to_owned();
    for line in &lines {
        text += &format!("  {line}\n");
    }
    if changes.definition.is_empty() {
        text += "  nobody's segment depends on what has changed\n";
    }
    text
}

fn in_short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = shown(&line);
    if line.chars().count() <= RULE_WIDTH { line } else { line.chars().take(RULE_WIDTH).chain(['…']).collect() }
}

/// The sizes of segments, where there is nothing to compare them with.
fn sizes(planned: &Planned) -> String {
    let mut text = format!("\nSegments of {} customers\n", HumanCount(planned.customers));
    let width = planned.segments.iter().map(|size| size.segment.chars().count()).max().unwrap_or(0);
    let mut set = None;
    for size in &planned.segments {
        if set != Some(&size.segment_set) {
            text += &format!("  {}\n", shown(&size.segment_set));
            set = Some(&size.segment_set);
        }
        text += &format!("    {:<width$} {:>10}\n", shown(&size.segment), HumanCount(size.customers).to_string());
    }
    text
}

/// A set: each segment that would change, such as `champions 324 → 612: +312 −24; revenue moved 1.2 M, mostly from loyal`.
fn set_lines(comparison: &Comparison, set: &ComparedSet) -> String {
    let movement = &comparison.movement;
    let Some(of_set) = movement.of_set(&set.segment_set) else {
        return format!("\n{}: nobody would enter, leave or move\n", shown(&set.segment_set));
    };
    let mut text = format!("\n{}{}\n", shown(&set.segment_set), counts(&of_set));
    let flows = by_segments(of_set.flows.iter().copied());
    let width = set.segments.iter().map(|of| shown(&of.segment).chars().count()).max().unwrap_or(0);
    let size = set.segments.iter().map(|of| HumanCount(of.before.max(of.after)).to_string().len()).max().unwrap_or(1);
    let mut alike = 0;
    for segment in &set.segments {
        let (more, less) = movement.change_of(&set.segment_set, &segment.segment);
        if (more, less) == (0, 0) && segment.before == segment.after {
            alike += 1;
            continue;
        }
        let [before, after] = [segment.before, segment.after].map(|count| HumanCount(count).to_string());
        let name = shown(&segment.segment);
        let (more, less) = (plus(more), minus(less));
        let line = format!(
            "  {name:<width$}  {before:>size$} → {after:>size$}: {more:>7} {less:>7}{}",
            with_whom(movement, &segment.segment, &flows)
        );
        text += &format!("{}\n", line.trim_end());
    }
    if alike > 0 {
        text += &format!("  {} as before\n", counted(alike, "other segment"));
    }
    text + &examples(&flows)
}

/// The revenue that would move into and out of a segment, and with which other the most.
fn with_whom(movement: &Movement, segment: &str, flows: &[Between<'_>]) -> String {
    let own = || flows.iter().filter(|flow| flow.segments.1 == Some(segment) || flow.segments.2 == Some(segment));
    let has_revenue = movement.revenue.is_some();
    let weight = |flow: &Between<'_>| if has_revenue { flow.revenue } else { i128::from(flow.customers) };
    let Some(most) = own().max_by_key(|flow| (weight(flow), flow.customers, std::cmp::Reverse(flow.segments))) else {
        return String::new();
    };
    let other = match (most.segments.1, most.segments.2) {
        (Some(from), Some(to)) if to == segment => format!("mostly from {}", shown(from)),
        (Some(_), Some(to)) => format!("mostly to {}", shown(to)),
        // In an overlapping set a customer comes from nowhere else.
        _ => String::new(),
    };
    let revenue = has_revenue.then(|| format!("revenue moved {}", movement.money(own().map(|flow| flow.revenue).sum()).short()));
    let told: Vec<String> = revenue.into_iter().chain((!other.is_empty()).then_some(other)).collect();
    if told.is_empty() { String::new() } else { format!("; {}", told.join(", ")) }
}

/// The ids of some who would move, of the largest flow.
fn examples(flows: &[Between<'_>]) -> String {
    let Some(most) = flows.iter().max_by_key(|flow| (flow.customers, std::cmp::Reverse(flow.segments))) else { return String::new() };
    let ids: Vec<String> = most.examples.iter().take(EXAMPLES_SHOWN).map(|id| shown(id)).collect();
    format!("  for example {}: {}\n", arrow(most), ids.join(", "))
}

/// The audiences that overlap most.
fn overlaps(overlaps: &[Overlap]) -> String {
    let mut most: Vec<&Overlap> = overlaps.iter().filter(|overlap| overlap.both > 0).collect();
    if most.is_empty() {
        return String::new();
    }
    let share = |overlap: &Overlap| overlap.both * 1000 / overlap.of_one.min(overlap.of_other).max(1);
    most.sort_by(|one, other| {
        (share(other), other.both).cmp(&(share(one), one.both)).then_with(|| (&one.one, &one.other).cmp(&(&other.one, &other.other)))
    });
    let mut text = "\nAudiences that overlap most\n".to_owned();
    let names = |overlap: &Overlap| format!("{} and {}", shown(&overlap.one.1), shown(&overlap.other.1));
    let width = most.iter().take(OVERLAPS_SHOWN).map(|overlap| names(overlap).chars().count()).max().unwrap_or(0);
    for overlap in most.iter().take(OVERLAPS_SHOWN) {
        let part = |whole: u64| (overlap.both * 100 + whole / 2) / whole.max(1);
        let shares = format!(
            "{:>3}% of {} and {:>3}% of {}",
            part(overlap.of_one),
            HumanCount(overlap.of_one),
            part(overlap.of_other),
            HumanCount(overlap.of_other)
        );
        text += &format!("  {:<width$} {:>9}   {shares}\n", names(overlap), HumanCount(overlap.both).to_string());
    }
    if most.len() > OVERLAPS_SHOWN {
        text += &format!("  {} more pairs overlap; JSON has all of them\n", HumanCount((most.len() - OVERLAPS_SHOWN) as u64));
    }
    text
}

/// What each condition of a rule does to the customers: of rules that were edited, or of all.
fn funnels(planned: &Planned, all: bool) -> String {
    let edited: BTreeSet<(&str, &str)> = planned
        .project
        .iter()
        .flat_map(|changes| &changes.rules)
        .filter(|rule| rule.key == "when" && rule.edit != Edit::Rewritten)
        .filter_map(|rule| Some((rule.segment_set.as_str(), rule.segment.as_deref()?)))
        .collect();
    let is_shown = |funnel: &&Funnel| {
        all || edited.contains(&(funnel.segment_set.as_str(), funnel.segment.as_str())) || funnel.customers > 0 && funnel.matched == 0
    };
    let funnels: Vec<&Funnel> = planned.look.funnels.iter().filter(is_shown).collect();
    if funnels.is_empty() {
        return String::new();
    }
    let mut text =
        "\nFunnels: the customers that each condition leaves, and those that it removes in order, on its own, and where all others hold\n"
            .to_owned();
    for funnel in funnels {
        text += &funnel_lines(funnel);
    }
    text
}

fn funnel_lines(funnel: &Funnel) -> String {
    let condition = |step: &FunnelStep| in_short(&step.condition);
    let width = funnel.steps.iter().map(|step| condition(step).chars().count()).max().unwrap_or(0).clamp(20, RULE_WIDTH + 1);
    let mut text = format!("  {}.{}\n", shown(&funnel.segment_set), shown(&funnel.segment));
    let start = HumanCount(funnel.customers).to_string();
    text += &format!("    {:<width$} {start:>10} {:>10} {:>10} {:>10}\n", "all customers", "in order", "on its own", "it only");
    for step in &funnel.steps {
        let told = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), minus);
        let (left, removed) = (HumanCount(step.left).to_string(), minus(step.removed));
        let (alone, only) = (told(step.removed_alone), told(step.removed_by_it_only));
        let unknown = match step.unknown {
            Some(unknown) if unknown > 0 => format!("   unknown for {}", HumanCount(unknown)),
            _ => String::new(),
        };
        text += &format!("    {:<width$} {left:>10} {removed:>10} {alone:>10} {only:>10}{unknown}\n", condition(step));
    }
    let mut rest = Vec::new();
    for (count, what) in [(funnel.elsewhere, "are in other segments"), (funnel.withheld, "are withheld")] {
        rest.extend((count > 0).then(|| format!("−{} {what}", HumanCount(count))));
    }
    rest.extend((funnel.held > 0).then(|| format!("+{} are held by what is remembered", HumanCount(funnel.held))));
    let rest = if rest.is_empty() { String::new() } else { format!(": {}", rest.join(", ")) };
    text + &format!("    {:<width$} {:>10}{rest}\n", "members", HumanCount(funnel.members).to_string())
}

/// What is odd about a segment in the data, in words; none if nothing is.
pub fn oddity(funnel: &Funnel, segments_of_set: usize) -> Option<String> {
    if funnel.customers == 0 {
        return None;
    }
    if funnel.members == funnel.customers && segments_of_set > 1 {
        return Some("has all customers".to_owned());
    }
    if funnel.members > 0 {
        return None;
    }
    let last = funnel.steps.iter().find(|step| step.left == 0).map(|step| format!("after `{}` nobody is left", in_short(&step.condition)));
    Some(match (funnel.matched, funnel.withheld) {
        (0, 0) => format!("has nobody: {}", last.unwrap_or_else(|| "its rule matches no customer".to_owned())),
        (_, 0) => format!("has nobody: all {} whom its rule matches are in other segments", HumanCount(funnel.matched)),
        (_, withheld) => format!("has nobody: {} are withheld", HumanCount(withheld)),
    })
}

fn oddities(planned: &Planned) -> Vec<(&Funnel, String)> {
    let of_set = |set: &str| planned.look.funnels.iter().filter(|funnel| funnel.segment_set == set).count();
    planned.look.funnels.iter().filter_map(|funnel| Some((funnel, oddity(funnel, of_set(&funnel.segment_set))?))).collect()
}

/// Segments that have nobody or everybody.
fn odd_segments(planned: &Planned) -> String {
    let odd = oddities(planned);
    if odd.is_empty() {
        return String::new();
    }
    let mut text = "\nSegments with nobody, or with everybody\n".to_owned();
    for (funnel, why) in odd {
        text += &format!("  {}.{} {why}\n", shown(&funnel.segment_set), shown(&funnel.segment));
    }
    text
}

/// How the columns of the outputs would differ.
fn columns(changes: &[ColumnChange]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut text = "\nOutputs\n".to_owned();
    for change in changes.iter().take(COLUMNS_SHOWN) {
        let name = change.column.as_ref().map_or_else(|| change.table.clone(), |column| format!("{}.{column}", change.table));
        let kind = |of: &Option<String>| of.clone().unwrap_or_default();
        let what = match change.change {
            Difference::Added if change.column.is_none() => "is a new table".to_owned(),
            Difference::Added => format!("is new ({})", kind(&change.after)),
            Difference::Removed => "is gone".to_owned(),
            Difference::Retyped => format!("was {} and is {}", kind(&change.before), kind(&change.after)),
        };
        text += &format!("  {} {what}\n", shown(&name));
    }
    if changes.len() > COLUMNS_SHOWN {
        text += &format!("  {} more columns differ\n", changes.len() - COLUMNS_SHOWN);
    }
    text
}

fn checks(planned: &Planned) -> String {
    if planned.checks.is_empty() {
        return String::new();
    }
    let count = |outcome: CheckOutcome| planned.checks.iter().filter(|result| result.outcome == outcome).count();
    let [passed, warned, skipped] = [CheckOutcome::Passed, CheckOutcome::Failed, CheckOutcome::Skipped].map(count);
    let mut text = format!("\nChecks  {passed} passed, {warned} warned, {skipped} skipped\n");
    for result in planned.checks.iter().filter(|result| result.outcome == CheckOutcome::Failed) {
        text += &format!("  warning: {}: {}\n", result.check, result.found);
    }
    text
}

/// The plan as a document.
pub fn json(planned: &Planned) -> Value {
    let commit = &planned.commit;
    let table = |(name, table): (&String, &crate::manifest::Table)| {
        let sha256: Vec<&String> = table.files.iter().map(|file| &file.sha256).collect();
        json!({ "table": name, "rows": table.rows, "columns": table.columns, "sha256": sha256 })
    };
    let odd: Vec<Value> = oddities(planned)
        .into_iter()
        .map(|(funnel, why)| json!({ "segment_set": funnel.segment_set, "segment": funnel.segment, "members": funnel.members, "why": why }))
        .collect();
    let overlap = |of: &Overlap| {
        json!({
            "one": { "segment_set": of.one.0, "segment": of.one.1, "customers": of.of_one },
            "other": { "segment_set": of.other.0, "segment": of.other.1, "customers": of.of_other },
            "both": of.both,
        })
    };
    let compared = |with: &ComparedWith| json!({ "as_of": with.as_of, "number": with.number, "is_own": with.is_own });
    json!({
        "status": if planned.is_unchanged { "unchanged" } else { "planned" },
        "exit_code": 0,
        "pipeline": commit.pipeline,
        "as_of": commit.as_of,
        "compared_with": planned.compared_with.as_ref().map(compared),
        "project_changes": planned.project,
        "parameters": commit.parameters,
        "customers": planned.customers,
        "identity": planned.identity,
        "segments": planned.segments,
        "avoided_changes": planned.avoided,
        "comparison": planned.comparison.as_ref().map(diff::document),
        "overlaps": planned.look.overlaps.iter().map(overlap).collect::<Vec<_>>(),
        "funnels": planned.look.funnels,
        "odd_segments": odd,
        "column_changes": planned.columns,
        "outputs": commit.tables.iter().map(table).collect::<Vec<_>>(),
        "sources": planned.sources,
        "checks": planned.checks,
        "warnings": planned.warnings,
        "steps": planned.steps,
        "elapsed_ms": planned.elapsed_ms,
    })
}
