//! Whom look-alikes compare, and how well they find members, as lines for people.

use std::fmt::{Result, Write as _};

use indicatif::HumanCount;

use crate::likeness::Report;

/// The lines of look-alikes.
pub(super) fn write(text: &mut String, report: &Report) -> Result {
    let [customers, members, scored] = [report.customers, report.members, report.scored].map(|count| HumanCount(count).to_string());
    let segment = format!("{}.{}", report.segment_set, report.segment);
    writeln!(text, "\nLook-alikes {} among {customers} customers, {members} of whom {segment} describes", report.look_alikes)?;
    if let Some(why) = report.state.why_not() {
        return writeln!(text, "  {:<10}nobody: {why}", "scored");
    }
    let unknown = match report.unknown {
        0 => String::new(),
        unknown => format!("; of {} a column is not known", HumanCount(unknown)),
    };
    writeln!(text, "  {:<10}{scored} others{unknown}", "scored")?;
    if let Some(of) = &report.evaluation {
        let (auc, lift, greatest) = (of.auc, of.lift_in_top_tenth, of.greatest_lift);
        let found = format!("AUC {auc:.3}, lift {lift:.2} in the most similar tenth ({greatest:.2} at most)");
        writeln!(text, "  {:<10}members who had not been seen: {found}", "found")?;
    }
    let weights = report.columns.iter().filter_map(|column| Some(format!("{} {:+.2}", column.column, column.weight?)));
    writeln!(text, "  {:<10}{}", "weights", weights.collect::<Vec<_>>().join(", "))
}
