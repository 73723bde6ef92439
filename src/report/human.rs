//! Summaries and errors as lines for people.

use std::fmt::Write as _;

use indicatif::{HumanBytes, HumanCount};

use super::movement;
use crate::diagnostic::{Level, counted};
use crate::error::Error;
use crate::identity::{Counts, NamedBy};
use crate::ingest::{Ledger, Scope};
use crate::job::{Done, Outcome, Unchanged, WhyUnchanged};
use crate::publish::{CheckOutcome, CheckResult};
use crate::record::Step;

/// The width of a bar in the list of segments.
const BAR: u64 = 24;
/// The steps that a summary names: the slowest.
const STEPS_SHOWN: usize = 6;
/// The reasons that a summary names for the rejects of a source: the commonest.
const REASONS_SHOWN: usize = 4;
/// The steps whose operators are shown with `--timings`.
const PROFILES_SHOWN: usize = 3;

/// The summary of a run.
pub fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_outcome(&mut text, outcome);
    text
}

/// What somebody should look at although the run went through: a line each.
pub fn warnings(done: &Done) -> Vec<String> {
    let look_at = |warnings: &[String]| warnings.iter().map(|warning| format!("look at: {warning}")).collect::<Vec<_>>();
    let outcome = match done {
        Done::Published(outcome) => outcome,
        Done::Unchanged(unchanged) => return look_at(&unchanged.warnings),
    };
    let failed = outcome.published.check_results.iter().filter(|result| result.outcome == CheckOutcome::Failed);
    let failed = failed.map(|result| {
        let kept = result.rows_kept_in.as_ref().map_or_else(String::new, |place| format!("; kept in {place}"));
        format!("warning: {}: {}{kept}", result.check, result.found)
    });
    failed.chain(look_at(&outcome.warnings)).collect()
}

fn write_outcome(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let commit = &outcome.published.commit;
    writeln!(text, "{} as of {}", outcome.pipeline, commit.as_of)?;
    write_sources(text, &commit.sources)?;
    if let Some(found) = &outcome.identity {
        write_identity(text, found)?;
    }
    for report in &outcome.predictions {
        super::prediction::write(text, report)?;
    }
    for report in &outcome.clusters {
        super::clusters::write(text, report)?;
    }
    for report in &outcome.look_alikes {
        super::look_alikes::write(text, report)?;
    }
    for report in &outcome.affinities {
        super::affinity::write(text, report)?;
    }
    if !outcome.segments.is_empty() {
        write_segments(text, outcome)?;
        text.push_str(&movement::summary(&outcome.movement).unwrap_or_default());
        if let Some(report) = &outcome.traits {
            super::traits::write(text, report)?;
        }
    }
    write_outputs(text, outcome)?;
    if !outcome.published.check_results.is_empty() {
        write_checks(text, &outcome.published.check_results)?;
    }
    if !outcome.warnings.is_empty() {
        writeln!(text, "\nLook at")?;
        for warning in &outcome.warnings {
            writeln!(text, "  {warning}")?;
        }
    }

    if outcome.steps.iter().any(|step| !step.operators.is_empty()) {
        return write_timings(text, outcome);
    }
    write_slowest(text, outcome)?;
    write_published(text, outcome)
}

/// What became of the rows of every source.
fn write_sources(text: &mut String, sources: &[Ledger]) -> std::fmt::Result {
    writeln!(text, "\nSources {:>17} {:>12} {:>10} {:>12} {:>14}", "read", "kept", "rejected", "duplicates", "out of window")?;
    for source in sources {
        let counts = [source.rows_read, source.rows_kept, source.rows_rejected, source.rows_deduplicated, source.rows_out_of_window];
        let [read, kept, rejected, deduplicated, out] = counts.map(count);
        writeln!(text, "  {:<12} {read:>10} {kept:>12} {rejected:>10} {deduplicated:>12} {out:>14}", source.source)?;
    }
    for source in sources.iter().filter(|source| source.files_skipped > 0) {
        let (files, are, their, begin, end) = match source.files_skipped {
            1 => ("1 file".to_owned(), "is", "its name", "begins", "ends"),
            many => (format!("{} files", HumanCount(many)), "are", "their names", "begin", "end"),
        };
        writeln!(
            text,
            "  {}: {files} beside the extract {are} not read, because {their} {begin} with `_` or `.`, or {end} in `.crc`",
            source.source
        )?;
    }
    sources.iter().try_for_each(|source| write_days(text, source))?;
    write_rejects(text, sources)
}

/// Which snapshot was read of a source, how many files were left unopened, and how many keys were deleted.
fn write_days(text: &mut String, source: &Ledger) -> std::fmt::Result {
    let unopened = match source.files_unopened {
        0 => None,
        1 => Some(("1 file".to_owned(), "is")),
        many => Some((format!("{} files", HumanCount(many)), "are")),
    };
    match (source.snapshot_day, unopened) {
        (Some(day), Some((files, are))) => {
            writeln!(text, "  {}: the snapshot of {day}; {files} of other days {are} left unopened", source.source)?;
        }
        (Some(day), None) => writeln!(text, "  {}: the snapshot of {day}", source.source)?,
        (None, Some((files, are))) => {
            writeln!(text, "  {}: {files} of the as-of day or later {are} left unopened", source.source)?;
        }
        (None, None) => {}
    }
    if source.rows_deleted > 0 {
        let rows = if source.rows_deleted == 1 { "1 says" } else { &format!("{} say", HumanCount(source.rows_deleted)) };
        writeln!(text, "  {}: of the duplicates, {rows} that a key was deleted", source.source)?;
    }
    Ok(())
}

/// How many identifiers and customers there are.
fn write_identity(text: &mut String, found: &Counts) -> std::fmt::Result {
    let counts = [found.identifiers, found.edges, found.customers].map(|count| HumanCount(count).to_string());
    writeln!(text, "\nIdentity {} identifiers and {} edges make {} customers", counts[0], counts[1], counts[2])?;
    let (identifiers, verb) = (found.identifiers_set_aside, if found.identifiers_set_aside == 1 { "is" } else { "are" });
    let (edges, were) = (found.edges_set_aside, if found.edges_set_aside == 1 { "was" } else { "were" });
    let [identifiers, edges] = [counted(identifiers, "identifier"), counted(edges, "edge")];
    writeln!(text, "  {identifiers} {verb} blocked or shared, and {edges} {were} set aside")?;
    let since = [
        (found.merged, "ids have become aliases since the publication before"),
        (found.split, "customers were part of another one then"),
        (found.edges_later, "rows begin on the as-of day or later, and link nothing yet"),
        (found.blank_identifiers, "blanks stand where identifiers should, and link nothing"),
    ];
    for (number, what) in since.into_iter().filter(|(number, _)| *number > 0) {
        writeln!(text, "  {} {what}", HumanCount(number))?;
    }
    write_known(text, found)
}

/// The size of every segment.
fn write_segments(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    // A pipeline without segments need not have customers.
    if outcome.segments.is_empty() && outcome.customers == 0 {
        return Ok(());
    }
    writeln!(text, "\nSegments of {} customers", HumanCount(outcome.customers))?;
    let width = outcome.segments.iter().map(|size| size.segment.len()).max().unwrap_or(0);
    let mut set = None;
    for size in &outcome.segments {
        if set != Some(&size.segment_set) {
            let avoided = outcome.avoided.iter().find(|avoided| avoided.segment_set == size.segment_set).map_or(0, |of| of.changes);
            let avoided = if avoided > 0 { format!("  ({} avoided)", counted(avoided, "change")) } else { String::new() };
            writeln!(text, "  {}{avoided}", size.segment_set)?;
            set = Some(&size.segment_set);
        }
        let (share, bar) = (share(size.customers, outcome.customers), bar(size.customers, outcome.customers));
        let withheld = if size.withheld > 0 { format!("  ({} withheld)", HumanCount(size.withheld)) } else { String::new() };
        writeln!(text, "    {:<width$} {:>10} {share:>7}  {bar}{withheld}", size.segment, HumanCount(size.customers).to_string())?;
    }
    Ok(())
}

/// The files that were published.
fn write_outputs(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let places: Vec<&String> = outcome.published.tables_shown.values().flatten().collect();
    let folder = places.first().and_then(|place| place.rsplit_once('/')).map_or("", |(folder, _)| folder);
    let width = places.iter().map(|place| place.len() - folder.len() - 1).max().unwrap_or(0);
    writeln!(text, "\nOutputs in {folder}")?;
    for (name, table) in &outcome.published.commit.tables {
        for (file, place) in table.files.iter().zip(&outcome.published.tables_shown[name]) {
            let file_name = place.rsplit('/').next().unwrap_or(place);
            let bytes = HumanBytes(file.bytes).to_string();
            writeln!(text, "  {file_name:<width$} {} {bytes:>12}", rows(Some(file.rows)))?;
        }
    }
    if let Some(first) = outcome.copied.first() {
        let folder = first.location.rsplit_once('/').map_or(".", |(folder, _)| folder);
        writeln!(text, "Copied to {} of Delta Lake in {folder}", counted(outcome.copied.len() as u64, "table"))?;
    }
    Ok(())
}

/// How the checks came out, and what those found that did not pass.
fn write_checks(text: &mut String, check_results: &[CheckResult]) -> std::fmt::Result {
    let of = |outcome: CheckOutcome| check_results.iter().filter(move |result| result.outcome == outcome);
    let [passed, warned, skipped] = [CheckOutcome::Passed, CheckOutcome::Failed, CheckOutcome::Skipped].map(|outcome| of(outcome).count());
    writeln!(text, "\nChecks  {passed} passed, {warned} warned, {skipped} skipped")?;
    for result in of(CheckOutcome::Failed) {
        writeln!(text, "  warning: {}: {}", result.check, result.found)?;
        if let Some(place) = &result.rows_kept_in {
            writeln!(text, "           kept in {place}")?;
        }
    }
    for result in of(CheckOutcome::Skipped) {
        writeln!(text, "  skipped: {}: {}", result.check, result.found)?;
    }
    Ok(())
}

/// Why rows and values were rejected, so that a sender's mistake is seen on the first day.
fn write_rejects(text: &mut String, sources: &[Ledger]) -> std::fmt::Result {
    let mut rejecting = sources.iter().filter(|source| !source.rejects.is_empty()).peekable();
    if rejecting.peek().is_none() {
        return Ok(());
    }
    writeln!(text, "\nRejected, within the budgets")?;
    for source in rejecting {
        for (scope, what) in [(Scope::Row, "rows"), (Scope::Value, "values, null now")] {
            let counts: Vec<_> = source.rejects.iter().filter(|count| count.scope == scope).collect();
            let shown: Vec<String> = counts.iter().take(REASONS_SHOWN).map(ToString::to_string).collect();
            let more =
                if counts.len() > REASONS_SHOWN { format!(" and {} more reasons", counts.len() - REASONS_SHOWN) } else { String::new() };
            if !shown.is_empty() {
                writeln!(text, "  {:<12} {what}: {}{more}", source.source, shown.join(", "))?;
            }
        }
    }
    Ok(())
}

fn write_published(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let commit = &outcome.published.commit;
    let is_first = || commit.publications.range(..commit.as_of).next().is_none();
    let built_on = match &commit.predecessor {
        Some(base) => format!(", built on {}", base.as_of),
        None if is_first() => ", built on no earlier day".to_owned(),
        None => String::new(),
    };
    if let Some(report) = &outcome.published.report_shown {
        writeln!(text, "\nReport  {report}")?;
    }
    writeln!(text, "\nPublished as number {}{built_on}: {}", commit.number, outcome.published.commit_shown)
}

/// The steps in order with what each cost, and the operators of the slowest.
fn write_timings(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let width = outcome.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
    writeln!(text, "\nSteps   {} in {} steps", seconds(outcome.elapsed_ms), outcome.steps.len())?;
    writeln!(
        text,
        "  {:<width$} {:>9} {:>9} {:>12} {:>10} {:>10} {:>10} {:>10}",
        "", "time", "compute", "rows", "read", "spilled", "held", "peak"
    )?;
    let bytes = |bytes: u64| if bytes == 0 { "·".to_owned() } else { HumanBytes(bytes).to_string() };
    for step in &outcome.steps {
        let compute = step.compute_ms.map_or_else(String::new, seconds);
        let [read, spilled, held, peak] =
            [step.bytes_read, step.spilled_bytes, step.held_bytes, step.peak_memory_bytes.unwrap_or(0)].map(bytes);
        let (time, rows) = (seconds(step.elapsed_ms), step.rows.map_or_else(String::new, count));
        writeln!(text, "  {:<width$} {time:>9} {compute:>9} {rows:>12} {read:>10} {spilled:>10} {held:>10} {peak:>10}", step.name)?;
    }
    // Writing a commit, for one, has no operators.
    for step in slowest(outcome).into_iter().filter(|step| !step.operators.is_empty()).take(PROFILES_SHOWN) {
        writeln!(text, "\n  {}, from its last operator to its first; compute is that of all threads", step.name)?;
        for operator in &step.operators {
            let name = format!("{}{}", "  ".repeat(operator.depth), operator.name);
            let compute = operator.compute_ms.map_or_else(|| "·".to_owned(), seconds);
            writeln!(text, "    {name:<48} {compute:>9} {:>12} rows", count(operator.rows))?;
        }
    }
    write_published(text, outcome)
}

fn slowest(outcome: &Outcome) -> Vec<&Step> {
    let mut slowest: Vec<_> = outcome.steps.iter().collect();
    slowest.sort_by_key(|step| std::cmp::Reverse(step.elapsed_ms));
    slowest
}

fn write_slowest(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let slowest = slowest(outcome);
    let width = slowest.iter().take(STEPS_SHOWN).map(|step| step.name.len()).max().unwrap_or(0);
    writeln!(text, "\nTime    {} in {} steps; the longest:", seconds(outcome.elapsed_ms), outcome.steps.len())?;
    for step in slowest.into_iter().take(STEPS_SHOWN) {
        let line = format!("  {:<width$} {:>9} {}", step.name, seconds(step.elapsed_ms), rows(step.rows));
        writeln!(text, "{}", line.trim_end())?;
    }

    Ok(())
}

/// What customers are known from, what their ids are made from, and what makes no customer.
fn write_known(text: &mut String, found: &Counts) -> std::fmt::Result {
    let width = found.known_from.iter().map(|known| known.source.len()).max().unwrap_or(0).max(10);
    writeln!(text, "  {:<width$} {:>12} {:>29}", "known from", "customers", "from it alone", width = width + 2)?;
    for known in &found.known_from {
        let [all, alone] = [known.customers, known.customers_from_it_alone].map(|part| {
            let share = if part > 0 { share(part, found.customers) } else { String::new() };
            format!("{:>12} {share:>8}", count(part))
        });
        writeln!(text, "{}", format!("    {:<width$} {all} {alone}", known.source).trim_end())?;
    }
    let by_type = |counted: fn(&NamedBy) -> u64| -> Vec<String> {
        let types = found.named_by.iter().filter(|named| counted(named) > 0);
        types.map(|named| format!("{} {}", named.identifier_type, HumanCount(counted(named)))).collect()
    };
    writeln!(text, "  ids are made from: {}", by_type(|named| named.customers).join(", "))?;
    let nobody = by_type(|named| named.identifiers_without_customer);
    if !nobody.is_empty() {
        writeln!(text, "  do not stand alone, and lead to no customer: {}", nobody.join(", "))?;
    }
    Ok(())
}

/// What is told when a run would publish again what is published.
pub fn unchanged(unchanged: &Unchanged) -> String {
    let was_behind = unchanged.copied.iter().any(|table| table.versions_written > 0);
    let copied = if was_behind { "\nThe copies in Delta Lake were behind, and are up to date now." } else { "" };
    let (pipeline, day, number) = (&unchanged.commit.pipeline, unchanged.commit.as_of, unchanged.commit.number);
    let what = match unchanged.why {
        WhyUnchanged::Nothing => format!("nothing has changed since number {number}"),
        WhyUnchanged::LaterFiles(files) => {
            let have = if files == 1 { "has" } else { "have" };
            format!("{} {have} come since number {number}, with events of {day} and later only", counted(files, "file"))
        }
        WhyUnchanged::SameOutputs => format!("the extracts have changed, and the outputs are those of number {number}, byte by byte"),
    };
    let shown = &unchanged.commit_shown;
    let warnings: String = unchanged.warnings.iter().map(|warning| format!("\n  {warning}")).collect();
    let warnings = if warnings.is_empty() { warnings } else { format!("\n\nLook at{warnings}") };
    format!("{pipeline} as of {day}: {what}: {shown}\nNothing was published. `--force` publishes all the same.{copied}{warnings}")
}

/// An error with all that it has to say.
pub fn error(error: &Error, colour: bool) -> String {
    match error {
        Error::Project(diagnostics) => {
            let mut frames: Vec<String> = diagnostics.iter().map(|diagnostic| diagnostic.render(colour)).collect();
            let errors = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error).count();
            let problems = counted(errors as u64, "problem");
            frames.push(match diagnostics.len() - errors {
                0 => problems,
                warnings => format!("{problems}, {}", counted(warnings as u64, "warning")),
            });
            frames.join(
                "

",
            )
        }
        Error::Refused(message) => format!("refused: {message}"),
        Error::Conflict(message) => format!("conflict: {message}"),
        Error::Unavailable(message) => format!("unavailable: {message}"),
        Error::Late(message) => format!("late: {message}"),
        Error::Stopped(_, message) => format!("stopped: {message}"),
        Error::Defect(message) => format!("defect: {message}"),
    }
}

/// A count; nothing at all is shown as a dot, so that the eye finds what is there.
fn count(rows: u64) -> String {
    if rows == 0 { "·".to_owned() } else { HumanCount(rows).to_string() }
}

/// A number of rows as a column; blank where nothing that was done has rows.
fn rows(rows: Option<u64>) -> String {
    rows.map_or_else(String::new, |rows| format!("{:>12} {:<4}", HumanCount(rows).to_string(), if rows == 1 { "row" } else { "rows" }))
}

/// A share with one digit after the point.
fn share(part: u64, whole: u64) -> String {
    let tenths = (part * 1000 + whole / 2) / whole.max(1);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

fn bar(part: u64, whole: u64) -> String {
    let eighths = part * BAR * 8 / whole.max(1);
    let full = usize::try_from(eighths / 8).unwrap_or(0);
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][usize::try_from(eighths % 8).unwrap_or(0)];
    let bar = format!("{}{rest}", "█".repeat(full));
    if bar.is_empty() && part > 0 { "▏".to_owned() } else { bar }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:02} s", milliseconds / 1000, milliseconds % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_bars_are_rounded_alike() {
        assert_eq!(share(1, 3), "33.3%");
        assert_eq!(share(2, 3), "66.7%");
        assert_eq!(share(0, 0), "0.0%");
        assert_eq!(bar(1, 2), "█".repeat(12));
        assert_eq!(bar(1, 100_000), "▏");
        assert_eq!(bar(0, 5), "");
        assert_eq!(seconds(61_234), "61.23 s");
    }
}
