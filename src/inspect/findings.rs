//! What was found of a source: the tables of its files as one, with a choice for every column.

use std::collections::{BTreeMap, BTreeSet};

use super::joined::{Joined, columns};
use super::names::{Names, snake};
use super::paths::Paths;
use super::repeats::Repeats;
use super::share::share;
use super::table::{Column, CsvKeys, Format, Held, Origin, Table};
use super::types::{self, Context, Guess, Kind};
use super::{names, personal, words};

/// The most values of a domain that is drafted.
const DRAFTED_VALUES: usize = 20;
/// The most values of a domain whose name does not say that it is one.
const DRAFTED_VALUES_OF_ANY_NAME: usize = 8;
/// With fewer rows nothing is said of a domain.
const LEAST_ROWS_OF_DOMAIN: usize = 30;

/// What is said of personal values in paths.
const IN_PATHS: &str = "what looks personal in the paths of files, where nothing hides it";

/// What was found of a column.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Its name in the contract.
    pub name: String,
    /// What was sampled of it, in all files.
    pub column: Column,
    /// What was chosen.
    pub guess: Guess,
    /// What personal data it seems to hold.
    pub personal: Option<&'static str>,
    /// The values that seem to be a no, if it looks like a permission.
    pub consent: Option<Vec<String>>,
    /// The only values.
    pub accepted: Vec<String>,
    /// Whether there are files without it.
    pub is_optional: bool,
    /// Whether texts have spaces around them.
    pub is_padded: bool,
    /// How many different values it has.
    pub distinct: usize,
    /// How many rows have a value, and none that stands for no value.
    pub filled: usize,
    /// Whether no file has a row without a value.
    pub is_filled: bool,
    /// The columns of date, time and zone that it is made of, if it is.
    pub parts: Option<[Option<String>; 3]>,
    /// How many of the sampled values the contract does not take; none if that was not tried.
    pub faults: Option<usize>,
}

impl Finding {
    /// Whether every value is there, and once.
    pub fn is_unique(&self) -> bool {
        self.is_filled && self.distinct == self.column.cells.len() && self.distinct > 1
    }

    /// The texts of it that stand for some value.
    pub fn values(&self) -> impl Iterator<Item = &str> + Clone {
        let nulls = &self.guess.null_values;
        self.column.cells.iter().flatten().map(String::as_str).filter(move |text| !nulls.iter().any(|null| null == text))
    }
}

/// What was found of a source.
#[derive(Debug)]
pub struct Findings {
    /// The files that were looked at, with how many rows of each.
    pub looked: Vec<(String, usize)>,
    /// How many files there are.
    pub files: usize,
    /// Where they are.
    pub paths: Paths,
    /// The files that were looked at, as places among all of them.
    pub places: Vec<usize>,
    /// The format.
    pub format: Format,
    /// Whether the names of the files tell the format.
    pub is_format_told: bool,
    /// What `encoding` must say.
    pub encoding: Option<String>,
    /// How they are written, if they are CSV.
    pub csv: CsvKeys,
    /// The list whose elements are rows.
    pub each: Option<String>,
    /// Columns that are blank where they would repeat the row above.
    pub blank_repeats: Option<Repeats>,
    /// The columns.
    pub columns: Vec<Finding>,
    /// Lists of records, with their members.
    pub lists: Vec<(String, Vec<String>)>,
    /// How many rows were sampled, and how many of them do not fit the layout.
    pub rows: (usize, usize),
    /// How many of them are a header again.
    pub headers_again: usize,
    /// What a reader should know of the files.
    pub notes: Vec<String>,
    /// What differs from file to file.
    pub differences: Vec<String>,
}

/// Joins the tables of a source's files. `all` is every file's path, `places` says which of them the tables are of.
pub fn join(tables: &[Table], paths: Paths, files: usize, places: Vec<usize>, null_words: &[String]) -> Findings {
    let main =
        tables.iter().max_by_key(|table| (table.columns.len(), table.rows)).map_or_else(|| Table::new("", Format::Csv), Clone::clone);
    let mut findings = Findings {
        looked: tables.iter().map(|table| (table.file.clone(), table.rows)).collect(),
        files,
        places,
        format: main.format,
        is_format_told: tables.iter().all(|table| main.format.is_told_by(&table.file)),
        encoding: main.encoding.clone(),
        csv: main.csv.clone(),
        each: main.each.clone(),
        blank_repeats: None,
        columns: Vec::new(),
        lists: main.lists.clone(),
        rows: (tables.iter().map(|table| table.rows).sum(), tables.iter().map(|table| table.ragged).sum()),
        headers_again: tables.iter().map(|table| table.headers_again).sum(),
        notes: Vec::new(),
        differences: Vec::new(),
        paths,
    };
    notes_and_dialects(tables, &main, &mut findings);
    let mut context = Context {
        likes_comma: main.format == Format::Csv && main.csv.delimiter.is_some(),
        day_first: None,
        null_words: null_words.to_vec(),
    };
    let Joined { columns: joined, places } = columns(tables, &main.lists);
    findings.differences.extend(strangers(tables, &main));
    // What one column tells of day and month holds for the others of the same file.
    let votes: Vec<bool> = joined.iter().filter_map(|column| types::guess(column, &context).day_first).collect();
    context.day_first = votes.first().copied().filter(|first| votes.iter().all(|vote| vote == first));
    let mut names = Names::default();
    let rows: Vec<usize> = tables.iter().map(Table::aligned_rows).collect();
    for (at, column) in joined.into_iter().enumerate() {
        let label = column.name().or(column.label.as_deref());
        // What every element lies in says nothing of a column.
        let label = label.map(|label| within(label, main.each.as_deref()).to_owned());
        let name = names.give(label.as_deref().and_then(names::of_column), at);
        let own: Vec<Option<&Column>> = tables.iter().zip(&places).map(|(table, places)| Some(&table.columns[places[at]?])).collect();
        // Members that are missing are no values; columns that are missing are a file of another form.
        let is_absent = |(table, own): &(&Table, Option<&Column>)| own.is_none() && table.rows > 0 && table.format.has_columns();
        let missing: Vec<&str> = tables.iter().zip(own.iter().copied()).filter(is_absent).map(|(table, _)| table.file.as_str()).collect();
        differences(tables, &column, &own, &missing, &context, &mut findings.differences);
        let is_optional = !missing.is_empty();
        findings.columns.push(finding(name, column, is_optional, &context));
    }
    path_columns(&mut findings, &rows, &mut names, &context);
    clocks(&mut findings.columns, &mut names, &context);
    findings
}

/// What is said of files that have few columns in common with the one that the draft follows, as files of other sources do. Names are compared
/// as they are drafted; a file without a header has none.
fn strangers(tables: &[Table], main: &Table) -> Option<String> {
    let names_of = |table: &Table| -> BTreeSet<String> {
        let names = table.columns.iter().filter_map(|column| names::of_column(column.name().or(column.label.as_deref())?));
        if table.format.has_columns() && table.rows > 0 { names.collect() } else { BTreeSet::new() }
    };
    let in_main = names_of(main);
    let is_strange = |table: &&Table| {
        let own = names_of(table);
        !in_main.is_empty() && own.intersection(&in_main).count() * 2 < own.len()
    };
    let mut strange: Vec<&str> = tables.iter().filter(is_strange).map(|table| table.file.as_str()).collect();
    let mut main = main.file.as_str();
    if strange.len() * 2 > tables.len() {
        // The widest file is the one that does not belong to the others.
        main = std::mem::replace(&mut strange, vec![main]).first().copied()?;
    }
    let (first, others) = strange.split_first()?;
    let (who, have) = match others {
        [] => ((*first).to_owned(), "has"),
        [second] => (format!("{first} and {second}"), "have"),
        more => (format!("{first} and {} more files", more.len()), "have"),
    };
    Some(format!(
        "{who} {have} few columns in common with {main}: if they are of other sources, name the files without quotes around a glob, and each kind gets a draft of its own"
    ))
}

/// The path of a column within the elements that are rows.
fn within<'a>(label: &'a str, each: Option<&str>) -> &'a str {
    each.and_then(|each| label.strip_prefix(each)?.strip_prefix('.')).unwrap_or(label)
}

fn finding(name: String, column: Column, is_optional: bool, context: &Context) -> Finding {
    let mut guess = types::guess(&column, context);
    let label = column.name().or(column.label.as_deref()).unwrap_or_default().to_owned();
    let filled: Vec<&str> = column.cells.iter().flatten().map(String::as_str).collect();
    let is_code =
        |text: &&str| text.contains(|c: char| c.is_ascii_digit()) && !text.contains(' ') && text.len() <= 40 && !text.contains('@');
    let are_codes = !filled.is_empty() && filled.iter().filter(|text| is_code(text)).count() * 10 >= filled.len() * 9;
    let mut personal = personal::by_name(&label)
        .filter(|what| !(are_codes && what.ends_with("perhaps")))
        .filter(|_| guess.kind != Kind::Boolean && !words::is_consent_name(&label));
    if personal.is_none() && personal::by_name(&label).is_some() && are_codes {
        guess.notes.push("not marked as personal, because its values are codes".to_owned());
    }
    personal = personal.or_else(|| personal::by_look(filled.iter().copied(), &guess.kind));
    let distinct: BTreeSet<&str> = filled.iter().copied().collect();
    let is_padded = guess.kind == Kind::Text && filled.iter().any(|text| text.trim().len() < text.len());
    let consent = (words::is_consent_name(&label) && !guess.kind.is_time()).then(|| {
        let no = distinct.iter().filter(|text| words::is_no(text)).map(|text| (*text).to_owned());
        if guess.kind == Kind::Boolean { vec!["false".to_owned()] } else { no.map(|text| text.trim().to_owned()).collect() }
    });
    let accepted = if personal.is_none() && guess.kind == Kind::Text && guess.clock.is_none() {
        accepted(&filled, &guess, &label)
    } else {
        Vec::new()
    };
    let distinct = distinct.len();
    let filled = filled.iter().filter(|text| !types::is_null(text, &guess, context)).count();
    let is_filled = !column.cells.is_empty() && filled == column.cells.len();
    let (faults, parts) = (None, None);
    Finding { name, column, guess, personal, consent, accepted, is_optional, is_padded, distinct, filled, is_filled, parts, faults }
}

/// The values of a column that has few of them, each seen again and again.
fn accepted(filled: &[&str], guess: &Guess, label: &str) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in filled.iter().map(|text| text.trim()).filter(|text| !guess.null_values.iter().any(|null| null == text)) {
        *counts.entry(text).or_default() += 1;
        if counts.len() > DRAFTED_VALUES {
            return Vec::new();
        }
    }
    let all: usize = counts.values().sum();
    let is_domain = all >= LEAST_ROWS_OF_DOMAIN
        && counts.len() > 1
        && all / counts.len() >= 5
        && counts.values().all(|count| *count >= 2)
        && counts.keys().all(|text| text.chars().count() <= 40 && !text.contains('@'));
    let most = if words::is_closed_name(label) { DRAFTED_VALUES } else { DRAFTED_VALUES_OF_ANY_NAME };
    let is_url = counts.keys().any(|text| text.contains("://") || text.starts_with('/'));
    let is_open = words::is_open_name(label) || words::is_id_name(label) || is_url || counts.len() > most;
    if is_domain && !is_open { counts.into_keys().map(str::to_owned).collect() } else { Vec::new() }
}

/// What the files say of themselves, and in what they differ from the one that the draft follows.
fn notes_and_dialects(tables: &[Table], main: &Table, findings: &mut Findings) {
    for table in tables {
        for note in &table.notes {
            let told = if tables.len() > 1 { format!("{}: {note}", table.file) } else { note.clone() };
            findings.notes.push(told);
        }
        if table.rows > 0 && table.format != main.format {
            findings.differences.push(format!("{} is {}, and {} is {}", table.file, table.format.key(), main.file, main.format.key()));
        } else if table.rows > 0 && table.format == Format::Csv && (&table.csv, &table.encoding) != (&main.csv, &main.encoding) {
            findings.differences.push(format!("{} is written in another dialect or encoding than {}", table.file, main.file));
        }
    }
}

/// What a column is in files where it differs.
fn differences(tables: &[Table], column: &Column, own: &[Option<&Column>], absent: &[&str], context: &Context, told: &mut Vec<String>) {
    let name = crate::shown::column(column.name().or(column.label.as_deref()).unwrap_or("a column")).into_owned();
    if !absent.is_empty() {
        let listed: Vec<&str> = absent.iter().copied().take(3).collect();
        let more = absent.len().saturating_sub(listed.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        told.push(format!("`{name}` is not in {}{more}", listed.join(", ")));
    }
    if tables.len() < 2 {
        return;
    }
    let whole = types::guess(column, context);
    let written = |guess: &Guess| match &guess.format {
        Some(format) => format!("{} written as `{format}`", guess.kind.key()),
        None => guess.kind.key(),
    };
    for (table, own) in tables.iter().zip(own) {
        let Some(own) = own else { continue };
        if own.name() != column.name() {
            told.push(format!("{} writes the name of `{name}` in other letters", table.file));
        }
        let guess = types::guess(own, context);
        if guess.filled == 0 {
            continue;
        }
        let is_other = !whole.kind.reads(&guess.kind) || (whole.kind == guess.kind && whole.format != guess.format && guess.kind.is_time());
        let is_narrower = whole.kind == Kind::Text && guess.kind != Kind::Text && own.held == Held::Text;
        if is_other || (is_narrower && whole.filled > guess.filled) {
            told.push(format!("in {} `{name}` looks like {}, and in all files like {}", table.file, written(&guess), written(&whole)));
        }
    }
}

/// Columns that the paths of the files give.
fn path_columns(findings: &mut Findings, rows: &[usize], names: &mut Names, context: &Context) {
    for part in findings.paths.parts.clone() {
        let is_known = findings.columns.iter().any(|known| known.column.name().is_some_and(|name| name.eq_ignore_ascii_case(&part.name)));
        if is_known {
            findings.notes.push(format!("`{}` stands in the path and in the files: the draft reads it from the files", part.name));
            continue;
        }
        let of_file = |(place, rows): (&usize, &usize)| {
            let value = part.values.get(*place).filter(|value| *value != "__HIVE_DEFAULT_PARTITION__").cloned();
            vec![value; *rows]
        };
        let cells = findings.places.iter().zip(rows).flat_map(of_file).collect();
        let column = Column { origin: Origin::Path(part.name.clone()), label: None, held: Held::Text, cells, notes: Vec::new() };
        let name = names.give(snake(&part.name), findings.columns.len());
        let mut found = finding(name, column, false, context);
        if let Some(day) = &part.day {
            found.guess.kind = if super::path_days::has_time(day) { Kind::Timestamp } else { Kind::Date };
            // A part that names its format is a day already.
            found.guess.format = Some(day.clone()).filter(|format| part.is_hive && format != "%Y-%m-%d");
        }
        found.guess.notes.clear();
        found.accepted.clear();
        if found.personal.is_some() && part.day.is_none() {
            // Nothing hides what stands in a path, so nothing is made of it that looks as if it were hidden.
            found.column.held = Held::Other(IN_PATHS);
            findings.notes.push(format!(
                "UNSURE: `{}` in the path looks personal ({}): messages show paths, so have the files named by something else",
                crate::shown::column(&part.name),
                found.personal.unwrap_or_default()
            ));
        } else {
            found.personal = None;
        }
        findings.columns.push(found);
    }
}

/// A date and a time of day in two columns are a moment.
fn clocks(columns: &mut Vec<Finding>, names: &mut Names, context: &Context) {
    let clocks: Vec<usize> = (0..columns.len()).filter(|at| columns[*at].guess.clock.is_some()).collect();
    let mut made = Vec::new();
    let is_zone = |text: &str| text.len() >= 3 && (text.contains('/') || text == "UTC") && text.parse::<chrono_tz::Tz>().is_ok();
    let zone = columns.iter().filter(|_| !clocks.is_empty()).find(|found| {
        let values: Vec<&str> = found.values().take(50).collect();
        !values.is_empty() && share(values.iter().filter(|text| is_zone(text)).count(), values.len()) > 0.9
    });
    let zone = zone.and_then(|zone| zone.column.name()).map(str::to_owned);
    for clock in clocks {
        let near = |at: &usize| at.abs_diff(clock);
        let is_day =
            |at: &usize| columns[*at].guess.kind == Kind::Date && matches!(columns[*at].column.origin, Origin::Named(_)) && near(at) <= 3;
        let around = clock.saturating_sub(3)..columns.len().min(clock + 4);
        let Some(day) = around.filter(is_day).min_by_key(near) else { continue };
        let (Some(day_name), Some(clock_name), Some(written)) =
            (columns[day].column.name(), columns[clock].column.name(), columns[clock].guess.clock)
        else {
            continue;
        };
        let format = columns[day].guess.format.clone().unwrap_or_else(|| "%Y-%m-%d".to_owned());
        let base =
            columns[day].name.trim_end_matches("_date").trim_end_matches("date").trim_end_matches("datum").trim_end_matches('_').to_owned();
        let name = names.give(Some(if base.is_empty() { "moment".to_owned() } else { format!("{base}_at") }), columns.len());
        let cells: Vec<Option<String>> = columns[day]
            .column
            .cells
            .iter()
            .zip(&columns[clock].column.cells)
            .map(|(text, clock)| {
                let text = text.as_ref().filter(|text| !types::is_null(text, &columns[day].guess, context))?;
                Some(format!("{text} {}", clock.as_ref()?))
            })
            .collect();
        let mut found = columns[day].clone();
        found.parts = Some([Some(day_name.to_owned()), Some(clock_name.to_owned()), zone.clone()]);
        found.name = name;
        found.guess.kind = Kind::Timestamp;
        found.guess.notes = vec!["made of two columns".to_owned()];
        found.guess.has_zone = false;
        found.guess.format = Some(format!("{format} {written}"));
        found.is_filled = cells.iter().all(Option::is_some);
        found.filled = cells.iter().flatten().count();
        found.distinct = cells.iter().flatten().collect::<BTreeSet<_>>().len();
        found.column.cells = cells;
        made.push(found);
    }
    columns.extend(made);
}
