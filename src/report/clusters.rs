//! Which groups customers are in, and what has become of those of before, as lines for people.

use std::fmt::{Result, Write as _};

use indicatif::HumanCount;

use crate::groups::{Began, Change, GroupReport, Report};

/// The lines of clusters.
pub(super) fn write(text: &mut String, report: &Report) -> Result {
    let customers = HumanCount(report.customers - report.customers_without_group);
    let groups = report.groups.iter().filter(|group| group.change != Change::Died).count();
    write!(text, "\nClusters {}: {groups} of {customers} customers", report.clusters)?;
    if let Some(inertia) = report.inertia {
        write!(text, ", inertia {inertia:.1}")?;
    }
    if let Some(silhouette) = report.silhouette {
        write!(text, ", silhouette {silhouette:.3}")?;
    }
    writeln!(text)?;
    if report.customers_without_group > 0 {
        writeln!(text, "  {} in no cluster, since a column is null", HumanCount(report.customers_without_group))?;
    }
    if report.asked.0 < report.asked.1 {
        let tried = report.tried.iter().filter_map(|tried| Some(format!("{} {:.3}", tried.groups, tried.silhouette?)));
        writeln!(text, "  silhouettes: {}", tried.collect::<Vec<_>>().join(", "))?;
    }
    if report.customers_in_both > 0 {
        #[allow(clippy::cast_precision_loss, reason = "a share for people")]
        let share = 100.0 * report.customers_kept as f64 / report.customers_in_both as f64;
        let began = if report.began == Began::Anew { ", found anew" } else { "" };
        let redefined = if report.is_redefined { ", by another definition" } else { "" };
        let customers = HumanCount(report.customers_in_both);
        writeln!(text, "  {share:.1}% of {customers} customers have kept their cluster{began}{redefined}")?;
    }
    report.groups.iter().try_for_each(|group| write_group(text, group))
}

fn write_group(text: &mut String, group: &GroupReport) -> Result {
    let other = group.other_cluster;
    let became = match (group.change, other) {
        (Change::New | Change::Kept, _) => None,
        (Change::Born, _) => Some("new".to_owned()),
        (Change::Split, None) => Some("split off".to_owned()),
        (Change::Split, Some(other)) => Some(format!("split off from {other}")),
        (Change::Died, None) => Some("no more".to_owned()),
        (Change::Died, Some(other)) => Some(format!("no more; most are in {other}")),
    };
    let told: Vec<String> = became.into_iter().chain(group.description.clone()).collect();
    let (customers, share) = (HumanCount(group.customers).to_string(), 100.0 * group.share);
    if group.change == Change::Died {
        return writeln!(text, "  {:>4} {:>12} {:>7} {}", group.cluster, "", "", told.join("; "));
    }
    writeln!(text, "{}", format!("  {:>4} {customers:>12} {share:>6.1}% {}", group.cluster, told.join("; ")).trim_end())
}
