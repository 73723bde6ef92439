//! `segmill clean`: shows the files that no publication needs any more, or removes them; adopts and repairs destinations.

use chrono::NaiveDate;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::arguments::CleanArguments;
use super::runtimes;
use super::terminal::Terminal;
use crate::config::Environment;
use crate::diagnostic::counted;
use crate::error::{ExitStatus, Result};
use crate::publish::clean::{self, CleanRequest, OrphanedFile, Removal, Why};
use crate::publish::damage::{Damage, Repair};
use crate::publish::marker::Marker;
use crate::run;
use crate::storage::{Location, Stores};

/// The most unknown files that are listed for people. The JSON document lists all of them.
const UNKNOWN_SHOWN: usize = 10;

/// Runs the command.
pub fn command(arguments: &CleanArguments, environment: Environment, terminal: &Terminal) -> Result<ExitStatus> {
    let stores = Stores::new(environment.clone());
    let (destination, project) = arguments.place.open_with_project(&environment, &stores)?;
    let pipeline = project.as_ref().map(|project| project.pipeline.name.value.clone());
    let keep = project.and_then(|project| project.pipeline.outputs.keep);
    let request = CleanRequest { pipeline, keep, ..CleanRequest::after(arguments.grace) };
    let report = runtimes::working(2)?.block_on(async {
        let report = clean(&destination, &request, arguments).await;
        run::give_up_uploads(&stores).await;
        report
    })?;
    let status = if report.left_damaged().next().is_none() { ExitStatus::Success } else { ExitStatus::Project };
    terminal.give(|| report.lines(arguments.remove), || report.document(arguments, status))?;
    Ok(status)
}

async fn clean(destination: &Location, request: &CleanRequest, arguments: &CleanArguments) -> Result<CleanReport> {
    let adopted = if arguments.adopt { Some(Marker::adopt(destination, request.pipeline.as_deref()).await?) } else { None };
    let mut found = clean::find(destination, request).await?;
    let unknown = std::mem::take(&mut found.unknown);
    let damaged = found.damaged.clone();
    let let_go = found.let_go.iter().map(|(day, _)| *day).collect();
    let orphaned = found.orphaned.clone();
    let mut done = Removal { orphaned, let_go, ..Removal::default() };
    if arguments.remove || arguments.repair {
        let acted = clean::remove(destination, request, found, arguments.repair, arguments.remove).await?;
        // Without `--remove`, orphaned files are shown and not removed.
        done = if arguments.remove { acted } else { Removal { repaired: acted.repaired, record: acted.record, ..done } };
    }
    Ok(CleanReport { adopted, unknown, damaged, done })
}

/// What a clean found and did, for its report.
struct CleanReport {
    adopted: Option<Marker>,
    unknown: Vec<OrphanedFile>,
    damaged: Vec<Damage>,
    done: Removal,
}

impl CleanReport {
    fn left_damaged(&self) -> impl Iterator<Item = &Damage> {
        self.damaged.iter().filter(|damage| !self.done.repaired.contains_key(&damage.as_of))
    }

    fn lines(&self, removed: bool) -> String {
        let mut text = String::new();
        if let Some(marker) = &self.adopted {
            text += &format!("The destination is the pipeline `{}`'s own.\n", marker.pipeline);
        }
        for (day, repair) in &self.done.repaired {
            text += &match repair {
                Repair::Restored => format!("The publication of {day} is whole again.\n"),
                Repair::Withdrawn => format!("{day} was withdrawn; `segmill run --as-of {day}` publishes it again.\n"),
            };
        }
        for damage in self.left_damaged() {
            text += &format!("{damage}\n  = help: `--repair` restores the missing files from their copies, or else withdraws the day\n");
        }
        for file in &self.done.orphaned {
            text += &line(file, why(file.why));
        }
        for file in self.unknown.iter().take(UNKNOWN_SHOWN) {
            text += &line(file, "not known, left alone");
        }
        if self.unknown.len() > UNKNOWN_SHOWN {
            let more = (self.unknown.len() - UNKNOWN_SHOWN) as u64;
            text += &format!("… and {} more that are not known; `--format json` names them\n", counted(more, "file"));
        }
        if !self.done.let_go.is_empty() {
            let days: Vec<String> = self.done.let_go.iter().map(NaiveDate::to_string).collect();
            text += &format!("Not kept by `outputs.keep`: {}\n", days.join(", "));
        }
        text += &self.sum(removed);
        // Nothing at all was found or done.
        if text.is_empty() { "There is nothing to clean.".to_owned() } else { text }
    }

    fn sum(&self, removed: bool) -> String {
        let orphaned = &self.done.orphaned;
        if orphaned.is_empty() {
            return String::new();
        }
        let bytes = HumanBytes(orphaned.iter().map(|file| file.bytes).sum());
        let files = counted(orphaned.len() as u64, "file");
        let written = self.done.record.as_ref().map_or_else(String::new, |record| format!("; what went is in {record}"));
        if removed { format!("\nRemoved {files}, {bytes}{written}") } else { format!("\n{files}, {bytes}; `--remove` removes them") }
    }

    fn document(&self, arguments: &CleanArguments, status: ExitStatus) -> Value {
        let file = |file: &OrphanedFile| json!({ "url": file.url, "bytes": file.bytes, "why": file.why });
        let damaged = |damage: &Damage| {
            json!({
                "as_of": damage.as_of,
                "number": damage.number,
                "gone": damage.files,
                "repair": self.done.repaired.get(&damage.as_of),
            })
        };
        json!({
            "status": if status != ExitStatus::Success { "damaged" } else if arguments.remove { "removed" } else { "shown" },
            "exit_code": status as u8,
            "bytes": self.done.orphaned.iter().map(|file| file.bytes).sum::<u64>(),
            "files": self.done.orphaned.iter().map(file).collect::<Vec<_>>(),
            "days_let_go": self.done.let_go,
            "unknown": self.unknown.iter().map(file).collect::<Vec<_>>(),
            "damaged": self.damaged.iter().map(damaged).collect::<Vec<_>>(),
            "adopted": self.adopted,
            "record": self.done.record,
        })
    }
}

fn line(file: &OrphanedFile, why: &str) -> String {
    format!("{:>12}  {why:<23}  {}\n", HumanBytes(file.bytes).to_string(), file.shown.escape_debug())
}

fn why(why: Why) -> &'static str {
    match why {
        Why::LetGo => "not kept",
        Why::SupersededCommit | Why::SupersededFile => "superseded",
        Why::DeadRun => "never published",
        Why::PendingNote => "left by a run that died",
        Why::UnfinishedFile => "unfinished",
        Why::Unknown => "not known, left alone",
    }
}
