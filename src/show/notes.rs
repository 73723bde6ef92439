//! What a look tells of the sources that it has read: a source that a run would refuse is shown all the same.

use crate::config::{Project, RejectBudget};
use crate::diagnostic::counted;
use crate::execute::Source;
use crate::manifest::{Ledger, Overrun};

/// A line for every source of which rows or values were rejected as far as they were read, and for every one that a run would refuse.
pub fn of_sources(project: &Project, sources: &[Source]) -> Vec<String> {
    sources.iter().filter_map(|source| of_source(project, source)).collect()
}

fn of_source(project: &Project, source: &Source) -> Option<String> {
    let name = &source.extract.contract.source;
    let declared = project.pipeline.sources.get(name)?;
    let (ledger, collector) = (source.ledger(), &source.collector);
    if let Some((rows, first)) = collector.lost_answers() {
        return Some(format!(
            "sources.{name}: `run` would refuse it, since {} that may say no cannot be read; the first is {first}",
            counted(rows, "row")
        ));
    }
    if ledger.rejects.is_empty() {
        return None;
    }
    let so_far = if collector.is_complete() { "" } else { ", of what was read of it" };
    let reasons: Vec<String> = ledger.rejects.iter().take(3).map(ToString::to_string).collect();
    let counts = [(ledger.rows_rejected, "row"), (ledger.values_rejected, "value")];
    let counts: Vec<String> = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(count, what)).collect();
    let rejected = format!("{} rejected{so_far}: {}", counts.join(" and "), reasons.join(", "));
    let over = overruns(&ledger, declared.reject_budget, collector.is_complete());
    Some(match over.first() {
        Some(_) => format!("sources.{name}: {rejected}; that is over its budget, and `run` would refuse it"),
        None => format!("sources.{name}: {rejected}"),
    })
}

/// What is certainly over the budget: of a source that was not read to its end, no share is certain.
fn overruns(ledger: &Ledger, budget: RejectBudget, is_complete: bool) -> Vec<Overrun> {
    ledger.over(if is_complete { budget } else { RejectBudget { share: 1.0, ..budget } })
}
