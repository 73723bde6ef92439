//! What a console shows, and the tutorial, which is followed to the letter.

use std::path::{Path, PathBuf};
use std::process::Command;

use datafusion::prelude::SessionContext;
use regex::Regex;

use super::{hold, printed};
use crate::markdown::{Block, document};
use crate::support::rows;

/// A line that stands for lines that are left out.
const LEFT_OUT: &str = "…";

/// What a document shows in the place of what differs from run to run.
fn settled(text: &str) -> String {
    let run = Regex::new(r"\d{4}-\d\d-\d\d-\d{8}T\d{6}Z-[0-9a-f]{16}").unwrap();
    run.replace_all(text, "RUN_ID").lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned()
}

/// Whether an output is as shown, where lines may be left out; else what should be shown.
pub fn shows(shown: &str, found: &str) -> Result<(), String> {
    let (shown, found) = (settled(shown), settled(found));
    let (shown, found): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), found.lines().collect());
    let parts: Vec<&[&str]> = shown.split(|line| *line == LEFT_OUT).collect();
    let (mut at, mut fresh, mut same) = (0, Vec::new(), true);
    for (number, part) in parts.iter().enumerate() {
        let (is_first, is_last) = (number == 0, number + 1 == parts.len());
        let last_start = found.len().saturating_sub(part.len()).max(at);
        let starts = match (is_first, is_last) {
            (true, true) => {
                fresh.extend_from_slice(&found);
                same &= shown == found;
                break;
            }
            (true, false) => 0..=0,
            (false, true) => last_start..=last_start,
            (false, false) => at..=last_start,
        };
        let window = |start: usize| &found[start..(start + part.len()).min(found.len())];
        // Where the part stands now: where most lines are the same, or else begin with the same word.
        let word = |line: &str| line.split_whitespace().next().map(str::to_owned);
        let alike = |start: &usize| -> usize {
            let pairs = window(*start).iter().zip(part.iter());
            pairs.map(|(now, then)| if now == then { 3 } else { usize::from(word(now) == word(then)) }).sum()
        };
        let start = starts.rev().max_by_key(alike).unwrap();
        same &= window(start) == *part;
        if !is_first {
            fresh.push(LEFT_OUT);
        }
        fresh.extend_from_slice(window(start));
        at = start + part.len();
    }
    if same { Ok(()) } else { Err(format!("{}\n", fresh.join("\n"))) }
}

/// Somebody who does what the tutorial says.
struct Follower {
    folder: PathBuf,
}

impl Follower {
    /// Does what the sentence before a block says to do with its text.
    fn file(&self, block: &Block) {
        let saved = Regex::new("Save this as `([^`]+)`(?:, in place of [a-z ]+)?:$").unwrap();
        let added = Regex::new("Add this to the end of `([^`]+)`:$").unwrap();
        let replaced = Regex::new("Replace the line `([^`]+)` of `([^`]+)` by:$").unwrap();
        if let Some(found) = saved.captures(&block.before) {
            self.write(&found[1], &block.text);
        } else if let Some(found) = added.captures(&block.before) {
            self.write(&found[1], &(self.read(&found[1]) + &block.text));
        } else if let Some(found) = replaced.captures(&block.before) {
            let old = self.read(&found[2]);
            let (line, new) = (format!("\n{}\n", &found[1]), format!("\n{}", block.text));
            assert_eq!(old.matches(&line).count(), 1, "{line}");
            self.write(&found[2], &old.replace(&line, &new));
        } else {
            panic!("the sentence does not say what to do with the {}: {}", block.language, block.before);
        }
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.join(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.folder.join(path), text).unwrap();
    }

    /// Types a command, and gives what it printed.
    fn command(&mut self, line: &str) -> String {
        if let Some(folder) = line.strip_prefix("cd ") {
            self.folder.push(folder);
            return String::new();
        }
        if let Some(sql) = line.strip_prefix("duckdb -csv -c \"").and_then(|rest| rest.strip_suffix('"')) {
            return query(&sql.replace("\\\"", "\""), &self.folder);
        }
        let binaries = Path::new(env!("CARGO_BIN_EXE_segmill")).parent().unwrap().display().to_string();
        // Results and warnings in the order in which a terminal shows them.
        let script = format!("exec 2>&1\nPATH='{binaries}':$PATH\n{line}");
        let output = Command::new("sh").args(["-c", &script]).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{line}\n{}", printed(&output));
        printed(&output)
    }
}

/// What a database prints of Parquet files as CSV.
fn query(sql: &str, folder: &Path) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sql = sql.replace("from '", &format!("from '{}/", folder.display()));
    runtime.block_on(async {
        let frame = SessionContext::new().enable_url_table().sql(&sql).await.unwrap();
        let names: Vec<String> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut lines = vec![names.join(",")];
        lines.extend(rows(&frame.collect().await.unwrap()).iter().map(|row| row.join(",")));
        lines.join("\n")
    })
}

#[cfg(unix)]
#[test]
fn following_the_tutorial_gives_what_it_shows() {
    let mut tutorial = document("docs/tutorial.md");
    let folder = tempfile::tempdir().unwrap();
    let mut follower = Follower { folder: folder.path().to_owned() };
    let (mut fresh, mut stale) = (Vec::new(), Vec::new());
    for block in tutorial.blocks() {
        if block.language != "console" {
            follower.file(&block);
            continue;
        }
        let mut text = String::new();
        for part in format!("\n{}", block.text).split("\n$ ").skip(1) {
            let (line, shown) = part.split_once('\n').unwrap_or((part, ""));
            let found = follower.command(line);
            let shown = shown.trim_end_matches('\n');
            text += &format!("$ {line}\n");
            match shows(shown, &found) {
                Ok(()) if shown.is_empty() => {}
                Ok(()) => text += &format!("{shown}\n"),
                Err(now) => {
                    stale.push(format!("$ {line}\n{}", settled(&found)));
                    text += &now;
                }
            }
        }
        fresh.push((block.range, text));
    }
    for (range, text) in fresh.into_iter().rev() {
        tutorial.text.replace_range(range, &text);
    }
    assert!(stale.is_empty() || super::is_blessing(), "the tutorial is stale; now it is\n{}", stale.join("\n"));
    hold("docs/tutorial.md", &tutorial.text);
}

#[test]
fn what_is_shown_may_leave_lines_out_and_nothing_else() {
    let found = "a 1\nb 2\nc 3\nd 4\n";
    assert_eq!(shows("a 1\n…\nd 4", found), Ok(()));
    assert_eq!(shows("…\nb 2\nc 3\n…", found), Ok(()));
    assert_eq!(shows("a 1\nd 4", found), Err("a 1\nb 2\nc 3\nd 4\n".to_owned()));
    assert_eq!(shows("a 1\n…\nc 9\n…\nd 4", found), Err("a 1\n…\nc 3\n…\nd 4\n".to_owned()));
}
