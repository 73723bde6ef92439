use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::DateTime;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{package, segmill};

/// One file and what is expected of its columns: `tests/values/expected.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Group {
    pub group: String,
    pub file: String,
    pub time_zone: String,
    /// How often the rows that are described stand in the file, one after another.
    pub repeat: usize,
    pub columns: IndexMap<String, Described>,
    pub cells: Vec<Cell>,
    /// Columns that are tried as the event time of the source: rows are `kept`, `out` of window, or rejected.
    pub event_times: Vec<Cell>,
}

/// The file as a whole.
#[derive(Debug, Deserialize)]
struct Expected {
    as_of: String,
    /// Values that several columns hold.
    written: BTreeMap<String, Vec<Option<String>>>,
    groups: Vec<Group>,
}

/// What stands in a column of the file.
#[derive(Debug, Clone, Deserialize)]
pub struct Described {
    pub physical: String,
    written: Written,
}

/// The values of a column as people would write them, or the name of a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Written {
    Named(String),
    Listed(Vec<Option<String>>),
}

impl Described {
    pub fn written(&self) -> &[Option<String>] {
        let Written::Listed(listed) = &self.written else { panic!("{:?} is listed", self.written) };
        listed
    }
}

/// A column of the file under one declaration.
#[derive(Debug, Clone, Deserialize)]
pub struct Cell {
    pub column: String,
    #[serde(rename = "type")]
    pub declared: String,
    pub format: Option<String>,
    pub min: Option<String>,
    pub max: Option<String>,
    /// Whether the run is refused, because no value of the column's type can be one of the declared.
    #[serde(default)]
    pub refused: bool,
    /// Whether a row without a value is rejected.
    #[serde(default)]
    pub required: bool,
    /// The commonest verdict of the rows, and those that differ by the number of their row.
    #[serde(default)]
    mostly: Value,
    #[serde(default)]
    rows: BTreeMap<String, Value>,
}

impl Cell {
    /// How the contract declares it.
    pub fn shown(&self) -> String {
        let said = [("format", &self.format), ("min", &self.min), ("max", &self.max)];
        let said = said.iter().filter_map(|(key, value)| value.as_ref().map(|value| format!(" {key} `{value}`")));
        self.declared.clone() + &said.collect::<String>()
    }

    /// What a row may be read as.
    pub fn verdicts(&self, row: usize) -> Vec<Option<String>> {
        let of = |value: &Value| value.as_str().map(str::to_owned);
        match self.rows.get(&row.to_string()).unwrap_or(&self.mostly) {
            Value::Array(several) => several.iter().map(of).collect(),
            one => vec![of(one)],
        }
    }

    /// Why what was read of a row is wrong; none when it is right. A value is `=` and its text, a rejected one `!` and the reason.
    pub fn objection(&self, row: usize, read: Option<&str>) -> Option<String> {
        let right = self.verdicts(row);
        let same = |expected: &Option<String>| match (expected.as_deref(), read) {
            (Some("?"), _) => true,
            (Some(expected), Some(read)) => expected == read || self.is_same_value(expected, read),
            (expected, read) => expected == read,
        };
        let shown = |verdict: Option<&str>| verdict.unwrap_or("null").to_owned();
        let wanted: Vec<String> = right.iter().map(|verdict| shown(verdict.as_deref())).collect();
        (!right.iter().any(same)).then(|| format!("expected {}, is {}", wanted.join(" or "), shown(read)))
    }

    /// Whether two texts are one value of the declared type.
    fn is_same_value(&self, expected: &str, read: &str) -> bool {
        let (Some(expected), Some(read)) = (expected.strip_prefix('='), read.strip_prefix('=')) else { return false };
        match self.declared.as_str() {
            "double" => expected.parse::<f64>().ok() == read.parse().ok() && expected.parse::<f64>().is_ok(),
            "string" => canonical_time(expected) == canonical_time(read),
            _ => false,
        }
    }
}

/// A moment written with `T`, with seconds and without zeros at the end of its fraction; any other text as it is.
fn canonical_time(text: &str) -> String {
    let is_moment = text.len() >= 16 && text.is_ascii() && matches!(text.as_bytes()[10], b'T' | b' ') && text.as_bytes()[13] == b':';
    let is_time = text.len() >= 8 && text.is_ascii() && text.as_bytes()[2] == b':' && text.as_bytes()[5] == b':';
    if !is_moment && !is_time {
        return text.to_owned();
    }
    let (local, zone) = text.strip_suffix('Z').map_or((text, ""), |local| (local, "Z"));
    let local = if local.contains('.') { local.trim_end_matches('0').trim_end_matches('.') } else { local };
    let local = if is_moment { local.replacen(' ', "T", 1) } else { local.to_owned() };
    format!("{local}{zone}")
}

/// All that is expected, and the day that event times are tried as of. While something is changed, `SEGMILL_MEANINGS=TEXT` leaves
/// out what does not have the text in its title.
pub fn expected() -> (Vec<Group>, String) {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    let mut expected: Expected = serde_json::from_str(&text).expect("tests/values/expected.json is what its generator writes");
    let wanted = std::env::var_os("SEGMILL_MEANINGS").map(|text| text.to_str().unwrap().to_owned()).unwrap_or_default();
    for group in &mut expected.groups {
        for column in group.columns.values_mut() {
            if let Written::Named(name) = &column.written {
                column.written = Written::Listed(expected.written[name].clone());
            }
        }
        let is_wanted = |group: &Group, cell: &Cell| group.title(cell).contains(&wanted);
        group.cells = group.cells.iter().filter(|cell| is_wanted(group, cell)).cloned().collect();
        group.event_times = group.event_times.iter().filter(|cell| is_wanted(group, cell)).cloned().collect();
    }
    (expected.groups, expected.as_of)
}

impl Group {
    /// The line or row that the file's first values stand in.
    pub fn first_line(&self) -> i64 {
        if Path::new(&self.file).extension().is_some_and(|extension| extension == "csv") { 2 } else { 1 }
    }

    /// How many rows are described.
    pub fn rows(&self) -> usize {
        self.columns.values().map(|column| column.written().len()).max().unwrap_or_default()
    }

    /// What a cell is called.
    pub fn title(&self, cell: &Cell) -> String {
        format!("{}: {} ({}) as {}", self.group, cell.column, self.columns[&cell.column].physical, cell.shown())
    }
}

/// The folder of the files and what is expected of them.
pub fn folder() -> PathBuf {
    package().join("tests/values")
}

/// A project that reads one file and publishes some columns of it as they are read.
pub fn project(group: &Group, cells: &[&Cell], event_time: Option<&Cell>) -> tempfile::TempDir {
    let mut columns = serde_json::Map::new();
    columns.insert("n".to_owned(), json!({"type": "integer", "required": true}));
    let mut at = json!({"type": "timestamp", "required": true});
    if let Some(cell) = event_time {
        at = declaration(cell);
        at["required"] = json!(true);
    }
    columns.insert("at".to_owned(), at);
    columns.extend(cells.iter().enumerate().map(|(position, cell)| (format!("c{position}"), declaration(cell))));
    let source = json!({
        "location": folder().join("files").join(&group.file).to_str().unwrap(),
        "event_time": "at",
        "reject_budget": {"share": 1.0, "rows": 1_000_000},
        "columns": columns,
    });
    // JSON is YAML.
    let pipeline = json!({
        "version": 1,
        "name": "meanings",
        "time_zone": group.time_zone,
        "sources": {"s": source},
        "outputs": {"destination": "out", "tables": {"customers": {"model": "customers", "sort": ["n"]}}},
    });
    let names: String = (0..cells.len()).map(|at| format!(" c{at},")).collect();
    let model = format!("select n,{names} cast(n as varchar) as customer_id from sources.s");
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("pipelines/meanings.yaml", serde_json::to_string_pretty(&pipeline).unwrap()),
        ("sql/customers.sql", format!("-- The rows as they are read.\n{model}\n")),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn declaration(cell: &Cell) -> Value {
    let mut column = json!({"type": cell.declared, "from": cell.column, "required": cell.required});
    for (key, value) in [("format", &cell.format), ("min", &cell.min), ("max", &cell.max)] {
        if let Some(value) = value {
            column[key] = json!(value);
        }
    }
    column
}

/// What a run told: its exit status and its result or error.
pub fn run(project: &Path, as_of: &str) -> (i32, Value) {
    let output = segmill(project, &["run", "pipelines/meanings.yaml", "--as-of", as_of, "--format", "json"]);
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| json!(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))));
    (output.status.code().unwrap_or(-1), told)
}

/// The rows of a table that a run has published.
pub fn published(project: &Path, result: &Value, table: &str) -> Vec<RecordBatch> {
    let outputs = result["outputs"].as_array().unwrap_or_else(|| panic!("no outputs: {result}"));
    let output = outputs.iter().find(|output| output["table"] == table).unwrap_or_else(|| panic!("there is an output {table}"));
    let mut batches = Vec::new();
    for file in output["files"].as_array().unwrap() {
        let file = std::fs::File::open(project.join("out").join(file["path"].as_str().unwrap())).unwrap();
        batches.extend(ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap));
    }
    batches
}

/// A value as `=` and its text, moments in UTC; none for null.
pub fn value(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    let text = match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => moment(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        _ => arrow::util::display::array_value_to_string(array, row).unwrap(),
    };
    Some(format!("={text}"))
}

/// A moment of microseconds since 1970 as text.
pub fn moment(micros: i64) -> String {
    let Some(moment) = DateTime::from_timestamp_micros(micros) else { return format!("{micros} microseconds, beyond the calendar") };
    let fraction = micros.rem_euclid(1_000_000);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}").trim_end_matches('0').to_owned() };
    format!("{}{fraction}Z", moment.format("%Y-%m-%dT%H:%M:%S"))
}

/// What was rejected: the reason by row (of the file's values, from 1) and column; a whole row under `None`.
pub fn rejects(project: &Path, result: &Value, first_line: i64) -> BTreeMap<(usize, Option<String>), String> {
    let mut found = BTreeMap::new();
    for batch in published(project, result, "rejected") {
        let text = |name: &str, row: usize| {
            let array = cast(batch.column_by_name(name)?, &DataType::Utf8).unwrap();
            array.is_valid(row).then(|| array.as_string::<i32>().value(row).to_owned())
        };
        let numbers = cast(batch.column_by_name("row_number").unwrap(), &DataType::Int64).unwrap();
        for row in 0..batch.num_rows() {
            let number = usize::try_from(numbers.as_primitive::<Int64Type>().value(row) - first_line + 1).unwrap();
            let reason = text("reason", row).unwrap();
            if text("scope", row).as_deref() == Some("value") {
                found.insert((number, text("column", row)), reason);
            } else {
                found.insert((number, None), format!("{} of {}", reason, text("column", row).unwrap_or_default()));
            }
        }
    }
    found
}

/// What is wrong with what a run read of some cells of a group.
pub fn objections(group: &Group, cells: &[&Cell]) -> Vec<String> {
    let project = project(group, cells, None);
    let (status, result) = run(project.path(), "2026-01-01");
    if status != 0 {
        return vec![format!("{}: the run ended with {status}: {result}", group.group)];
    }
    let rejects = rejects(project.path(), &result, group.first_line());
    let mut read: BTreeMap<usize, Vec<Option<String>>> = BTreeMap::new();
    for batch in published(project.path(), &result, "customers") {
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let values = (0..cells.len()).map(|at| value(batch.column(at + 1), row)).collect();
            read.insert(usize::try_from(numbers.value(row)).unwrap(), values);
        }
    }
    let mut wrong = Vec::new();
    let rows = group.rows();
    for (at, cell) in cells.iter().enumerate() {
        let described = &group.columns[&cell.column];
        let mut of_cell = Vec::new();
        for number in 1..=rows * group.repeat {
            let row = (number - 1) % rows + 1;
            let Some(written) = described.written().get(row - 1) else { continue };
            let rejected = rejects.get(&(number, Some(format!("c{at}")))).map(|reason| format!("!{reason}"));
            let objection = match (read.get(&number), rejects.get(&(number, None))) {
                (Some(values), _) if values[at].is_some() && rejected.is_some() => Some("is read and rejected".to_owned()),
                (Some(values), _) => cell.objection(row, values[at].clone().or(rejected).as_deref()),
                (None, Some(reason)) => Some(format!("costs its row: {reason}")),
                (None, None) => Some("its row is lost".to_owned()),
            };
            of_cell.extend(objection.map(|objection| format!("`{}` {objection}", written.as_deref().unwrap_or("null"))));
        }
        if !of_cell.is_empty() {
            let more = of_cell.len().saturating_sub(SHOWN);
            of_cell.truncate(SHOWN);
            let more = if more == 0 { String::new() } else { format!("\n    and {more} more") };
            wrong.push(format!("{}\n    {}{more}", group.title(cell), of_cell.join("\n    ")));
        }
    }
    wrong
}

/// The most values to show of a cell that is wrong.
const SHOWN: usize = 8;
