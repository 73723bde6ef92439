//! Metrics in the text format of Prometheus, in a file that a textfile collector reads.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::carried::Carried;
use super::families::{FAMILIES, Sample};
use crate::shown;
use crate::storage;

/// The largest file of metrics of an earlier run that is read.
pub const MAX_METRICS_BYTES: u64 = 4 * 1024 * 1024;

/// The metrics that a file has; none where it is not there, or cannot be read.
pub fn read(path: &Path) -> Carried {
    let bytes = storage::read_plain(path, MAX_METRICS_BYTES).ok().flatten().unwrap_or_default();
    Carried::of(&String::from_utf8_lossy(&bytes))
}

/// Writes metrics to a file, which has either all of them or what it had before.
///
/// # Errors
/// Why they were not written.
pub fn write(path: &Path, samples: &[Sample]) -> Result<(), String> {
    let shown = || shown::name(&path.to_string_lossy()).into_owned();
    let Some(name) = path.file_name() else { return Err(format!("the metrics were not written: {} is no file", shown())) };
    // A collector reads names that end in `.prom`, and so not this one. It may be another user than the one that writes.
    let beside = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let text = text(samples);
    let written = File::create(&beside).and_then(|mut file| file.write_all(text.as_bytes())).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        // What is left is of no use; that it stays is less than what has just been reported.
        let _ = std::fs::remove_file(&beside);
        format!("the metrics were not written to {}: {}", shown(), storage::of_system(&error))
    })
}

/// The text: each metric with its description, in order, and what the environment gave by its name.
pub fn text(samples: &[Sample]) -> String {
    let mut text = String::new();
    for family in &FAMILIES {
        let mut of_family = samples.iter().filter(|sample| sample.family == family).peekable();
        if of_family.peek().is_none() {
            continue;
        }
        let name = family.prometheus_name();
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {}.\n# TYPE {name} gauge", family.help);
        for sample in of_family {
            let labels: Vec<String> = sample.labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            let (labels, number) = (labels.join(","), sample.value);
            let _ = writeln!(text, "{name}{{{labels}}} {number}");
        }
    }
    text
}

fn escaped(value: &str) -> String {
    shown::without_given(value).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::families::Family;

    fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> Sample {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        Sample { family: Family::named(name).unwrap(), labels, value }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let odd = "a \"b\" \\ c\nd, {e}=é";
        let samples = vec![
            sample("segmill.run.exit_code", &[("pipeline", odd)], 3.0),
            sample("segmill.run.last_success.timestamp", &[("pipeline", odd)], 1_795_795_200.125),
            sample("segmill.publication.number", &[("pipeline", odd)], 7.0),
            sample("segmill.publication.segment.customers", &[("pipeline", odd), ("segment_set", "s,}"), ("segment", odd)], 12.0),
        ];
        let text = text(&samples);
        assert!(text.lines().all(|line| line.starts_with('#') || line.starts_with("segmill_")), "{text}");
        let read = Carried::of(&text);
        assert_eq!(read.pipeline().as_deref(), Some(odd));
        assert_eq!((read.last_success(), read.number()), (Some(1_795_795_200.125), Some(7)));
        assert_eq!(read.of_publication().collect::<Vec<_>>(), samples[2..]);
        assert!(Carried::of("segmill_run_exit_code 3\nother{pipeline=\"x\"} 1\nsegmill_run_exit_code{pipeline=\"x").pipeline().is_none());
    }
}
