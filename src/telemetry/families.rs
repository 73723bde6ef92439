//! The metrics that there are: their names, units and labels. The guide `docs/guides/watching.md` shows this list.

/// What a metric is about, and so what becomes of it when a run fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The run that has just ended.
    Run,
    /// What is published: it stays as it was while runs fail.
    Publication,
}

/// A metric, with its values for all labels. All are gauges: each run says what holds after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name in OpenTelemetry, such as `segmill.run.duration`.
    pub name: &'static str,
    /// Its unit in OpenTelemetry: `s`, `By`, or none for a count or a number.
    pub unit: &'static str,
    /// The labels beside `pipeline`.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    /// What it is about.
    pub scope: Scope,
}

/// The value of a metric for some labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric.
    pub family: &'static Family,
    /// Its labels, the pipeline first.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

const fn run(name: &'static str, unit: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, unit, labels, help, scope: Scope::Run }
}

const fn publication(name: &'static str, unit: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, unit, labels, help, scope: Scope::Publication }
}

/// Whether a run has succeeded lately is asked by this metric.
pub const LAST_SUCCESS: &str = "segmill.run.last_success.timestamp";

/// The number by which publications are told apart.
pub const NUMBER: &str = "segmill.publication.number";

/// Every metric, in order.
pub const FAMILIES: [Family; 23] = [
    run("segmill.run.exit_code", "", &[], "Exit code of the last run; 0 if it published or found nothing changed"),
    publication(
        LAST_SUCCESS,
        "s",
        &[],
        "When the last run with exit code 0 ended; if only a publication tells, when the run that made it began",
    ),
    run("segmill.run.start.timestamp", "s", &[], "When the last run began"),
    run("segmill.run.duration", "s", &[], "How long the last run took"),
    run("segmill.run.as_of.timestamp", "s", &[], "The as-of day of the last run, at 00:00 UTC"),
    run("segmill.run.peak_memory", "By", &[], "The most memory that the process had"),
    run("segmill.run.memory_limit", "By", &[], "The memory limit of the run"),
    run("segmill.run.read", "By", &[], "Extracts that were read"),
    run("segmill.run.spilled", "By", &[], "What was spilled to disk to keep to the memory limit"),
    run("segmill.run.step.duration", "s", &["step"], "How long a step took"),
    run("segmill.run.step.rows", "", &["step"], "Rows that a step made"),
    run("segmill.run.source.files", "", &["source"], "Files of a source"),
    run(
        "segmill.run.source.rows",
        "",
        &["source", "fate"],
        "What became of the rows of a source: kept, rejected, deduplicated or out_of_window",
    ),
    run("segmill.run.source.newest_event.timestamp", "s", &["source"], "When the newest event of a source happened"),
    run("segmill.run.checks", "", &["outcome"], "Checks that passed, warned, failed or were skipped"),
    publication(NUMBER, "", &[], "Number of the publication"),
    publication("segmill.publication.as_of.timestamp", "s", &[], "The as-of day of the publication, at 00:00 UTC"),
    publication("segmill.publication.customers", "", &[], "Customers in the profile"),
    publication("segmill.publication.table.rows", "", &["table"], "Rows of a published table"),
    publication("segmill.publication.segment.customers", "", &["segment_set", "segment"], "Members of a segment"),
    publication(
        "segmill.publication.segment.entered",
        "",
        &["segment_set", "segment"],
        "Customers who have become members since the predecessor publication",
    ),
    publication(
        "segmill.publication.segment.left",
        "",
        &["segment_set", "segment"],
        "Customers who are no members any more since the predecessor publication",
    ),
    publication("segmill.publication.predecessor.as_of.timestamp", "s", &[], "The as-of day of the predecessor publication, at 00:00 UTC"),
];

impl Family {
    /// The metric of a name.
    pub fn named(name: &str) -> Option<&'static Family> {
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// Its name in Prometheus: with the unit at its end, such as `segmill_run_duration_seconds`.
    pub fn prometheus_name(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        format!("{}{unit}", self.name.replace('.', "_"))
    }
}
