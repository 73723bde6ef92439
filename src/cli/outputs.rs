//! `segmill outputs`: lists the files of a publication, for the programs that load them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::arguments::{Format, OutputsArguments};
use super::terminal::Terminal;
use super::{kept_project, runtimes};
use crate::config::{self, Environment};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::manifest::{Commit, DataFile, KeptProject, Table};
use crate::plan;
use crate::project::Version;
use crate::publish::{self, Publications, Superseded, damage, dbt, load_manifests};
use crate::storage::{Location, Stores};

/// Runs the command.
pub fn command(arguments: &OutputsArguments, environment: Environment, terminal: &Terminal) -> Result<()> {
    let destination = arguments.place.open(&environment, &Stores::new(environment.clone()))?;
    if let Some(folder) = &arguments.project {
        let (commit, project) = runtimes::working(1)?.block_on(kept(&destination, arguments))?;
        return kept_project::write(&commit, &project, folder, terminal);
    }
    let Found { commit: found, superseded, days } = runtimes::working(1)?.block_on(find(&destination, arguments))?;
    let tables = wanted(&found, arguments.table.as_deref())?;
    match terminal.format() {
        Format::Urls => Terminal::print(&tables.iter().map(|(_, table)| load_manifests::urls(&destination, table)).collect::<String>()),
        Format::Redshift => {
            let entries: Vec<Value> = tables.iter().map(|(_, table)| load_manifests::redshift_manifest(&destination, table)).collect();
            match entries.as_slice() {
                [one] => Terminal::print(&format!("{one:#}")),
                _ => Err(Error::argument("one-table", "a load manifest is of one table: name it with `--table`")),
            }
        }
        Format::Dbt => {
            let descriptions = runtimes::working(1)?.block_on(descriptions(&destination, &found));
            let describe = |table: &str, column: &str| descriptions.get(&(table.to_owned(), column.to_owned())).cloned();
            let folder = destination.local_path_or_url(&destination.folder());
            Terminal::print(dbt::sources(&folder, &found.pipeline, &tables, &describe).trim_end())
        }
        Format::Human | Format::Json => {
            let why = superseded.as_ref().map(ToString::to_string);
            let document = || {
                let mut document = document(&destination, &found, &tables, why.as_deref());
                document["days"] = days.iter().map(|(day, number)| json!({ "as_of": day, "number": number })).collect();
                document
            };
            terminal.give(|| lines(&destination, &found, &tables, why.as_deref()), document)
        }
    }
}

/// The publication that is meant, and the project that it was made with.
async fn kept(destination: &Location, arguments: &OutputsArguments) -> Result<(Commit, KeptProject)> {
    let known = Publications::read(destination).await?;
    let commit = meant(&known, destination, arguments.as_of).await?;
    let project = known.project(&commit).await?.ok_or_else(|| {
        let what = format!("the publication as of {} keeps no project: a Segmill made it that kept none", commit.as_of);
        Error::from(
            Diagnostic::error("no-kept-project", what).hint("`segmill run --force` for that day makes it anew, with today's project"),
        )
    })?;
    Ok((commit, project))
}

/// The publication that is asked for.
struct Found {
    commit: Commit,
    superseded: Option<Superseded>,
    /// All days that are published, each with the number of its publication.
    days: BTreeMap<NaiveDate, u64>,
}

async fn find(destination: &Location, arguments: &OutputsArguments) -> Result<Found> {
    let known = Publications::read(destination).await?;
    let commit = meant(&known, destination, arguments.as_of).await?;
    damage::whole(destination, &commit).await?;
    let superseded = known.chain(Some(commit.as_of)).await?.superseded().remove(&commit.as_of);
    Ok(Found { commit, superseded, days: known.by_day() })
}

/// By table and column, what the columns of a publication mean, as the project says that it was made with; nothing where that cannot be
/// told.
async fn descriptions(destination: &Location, commit: &Commit) -> BTreeMap<(String, String), String> {
    let told = async {
        let kept = Publications::read(destination).await?.project(commit).await?;
        let Some(kept) = kept else { return Ok(BTreeMap::new()) };
        let project = Version::as_kept(kept, commit.parameters.clone())?.project;
        let values = config::bind(&project, commit.as_of, &commit.given_parameters)?;
        let columns = plan::plan(project, values).await?.dictionary.published;
        Ok::<_, Error>(columns.into_iter().filter_map(|of| Some(((of.table, of.column), of.description?))).collect())
    };
    told.await.unwrap_or_default()
}

/// The publication of the day that is named, or of the latest one.
///
/// # Errors
/// As its commit cannot be read; [`Error::Project`] when nothing is published.
pub async fn meant(known: &Publications, destination: &Location, as_of: Option<NaiveDate>) -> Result<Commit> {
    let found = match as_of {
        Some(day) => known.of(day).await?,
        None => known.latest().await?,
    };
    found.ok_or_else(|| {
        let day = as_of.map_or_else(|| "DAY".to_owned(), |day| day.to_string());
        let of = as_of.map_or_else(String::new, |day| format!(" as of {day}"));
        let what = format!("nothing{of} is published in {}", destination.shown(&destination.folder()));
        Diagnostic::error("not-published", what).hint(format!("`segmill run --as-of {day}` publishes it")).into()
    })
}

type Tables<'a> = Vec<(&'a String, &'a Table)>;

fn wanted<'a>(commit: &'a Commit, table: Option<&str>) -> Result<Tables<'a>> {
    let tables: Tables = commit.tables.iter().filter(|(name, _)| table.is_none_or(|table| table == name.as_str())).collect();
    match table {
        Some(table) if tables.is_empty() => {
            let known = commit.tables.keys().map(String::as_str);
            let problem = Diagnostic::error("no-such-output", format!("number {} has no table `{table}`", commit.number));
            Err(problem.did_you_mean(table, known).into())
        }
        _ => Ok(tables),
    }
}

fn lines(destination: &Location, commit: &Commit, tables: &Tables<'_>, superseded: Option<&str>) -> String {
    let mut text = format!("{} as of {}, number {}\n", commit.pipeline, commit.as_of, commit.number);
    if let Some(base) = &commit.predecessor {
        text += &format!("built on the publication as of {}, number {}\n", base.as_of, base.number);
    }
    if commit.predecessor.is_none() && commit.publications.range(..commit.as_of).next().is_none() {
        text += "built on no earlier day\n";
    }
    if let Some(why) = superseded {
        text += &format!("built on a superseded predecessor: {why}; `segmill run --chain` brings it up to date\n");
    }
    for (_, table) in tables {
        for file in &table.files {
            let (rows, bytes) = (HumanCount(file.rows).to_string(), HumanBytes(file.bytes).to_string());
            text += &format!("{rows:>12} rows {bytes:>12}  {}\n", destination.shown(&destination.join(&file.path)));
        }
    }
    if let Some(report) = &commit.report {
        let bytes = HumanBytes(report.bytes).to_string();
        text += &format!("{:>12}      {bytes:>12}  {}\n", "report", destination.shown(&destination.join(&report.path)));
    }
    text
}

fn document(destination: &Location, commit: &Commit, tables: &Tables<'_>, superseded: Option<&str>) -> Value {
    let url = |path: &String| destination.url(&destination.join(path));
    let file = |file: &DataFile| json!({ "url": url(&file.path), "bytes": file.bytes, "rows": file.rows, "sha256": file.sha256 });
    let table = |(name, table): &(&String, &Table)| {
        json!({
            "table": name,
            "rows": table.rows,
            "columns": table.columns,
            "files": table.files.iter().map(file).collect::<Vec<_>>(),
            "folder_file": url(&table.folder_path),
            "url_list": url(&table.urls_path),
            "redshift_manifest": table.redshift_manifest_path.as_ref().map(url),
        })
    };
    json!({
        "status": "published",
        "exit_code": 0,
        "pipeline": commit.pipeline,
        "as_of": commit.as_of,
        "number": commit.number,
        "run_id": commit.run_id,
        "destination": destination.url(&destination.folder()),
        "commit": publish::commit_shown(destination, commit.number),
        "predecessor": commit.predecessor.as_ref().map(|base| json!({ "as_of": base.as_of, "number": base.number, "run_id": base.run_id })),
        "superseded_predecessor": superseded,
        "report": commit.report.as_ref().map(|report| json!({ "url": url(&report.path), "bytes": report.bytes, "sha256": report.sha256 })),
        "tables": tables.iter().map(table).collect::<Vec<_>>(),
    })
}
