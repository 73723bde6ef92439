use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Date32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};
use datafusion::parquet::arrow::ArrowWriter;
use serde_json::json;

use crate::meanings::on_all_cores;
use crate::meanings_table::{moment, published, run};
use crate::support::{number_of, tell};

const DAY_SECONDS: i64 = 86_400;
/// The years whose changes are tried: those that extracts are mostly of, and some that are far off.
const YEARS: [(i32, i32); 2] = [(1950, 2038), (2090, 2099)];
/// Zones of every kind: midnight that does not exist, half an hour, a day left out, winter time that is the exception, a pause of
/// summer time in Ramadan, two hours at once, and changes at a minute past midnight.
const ALWAYS: [&str; 12] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "UTC",
];

/// A change of a zone's clocks, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    /// The first moment by the new offset.
    at: i64,
    before: i64,
    after: i64,
}

/// A zone by its offsets alone: nothing here asks the library what a local time means.
struct Clocks {
    zone: Tz,
    changes: Vec<Change>,
}

impl Clocks {
    fn new(zone: Tz) -> Clocks {
        let mut changes = Vec::new();
        for (first, last) in YEARS {
            let second = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp();
            let mut at = second(first);
            while at < second(last) {
                changes.extend(change_between(zone, at, at + DAY_SECONDS));
                at += DAY_SECONDS;
            }
        }
        Clocks { zone, changes }
    }

    /// The moment of a local time: the earlier of two; of none, as if the clocks had not been put forward yet.
    fn instant_of(&self, local: i64) -> i64 {
        let near = |change: &&Change| (change.at - local).abs() < 3 * DAY_SECONDS;
        let offsets: Vec<i64> = std::iter::once(offset(self.zone, local))
            .chain(self.changes.iter().filter(near).flat_map(|change| [change.before, change.after]))
            .collect();
        let shown = offsets.iter().map(|offset| local - offset).filter(|&instant| instant + offset(self.zone, instant) == local);
        shown.min().unwrap_or_else(|| local - self.gap_of(local).before)
    }

    /// The first moment of a day, given by its midnight.
    fn first_of(&self, midnight: i64) -> i64 {
        let instant = self.instant_of(midnight);
        if instant + offset(self.zone, instant) == midnight { instant } else { self.gap_of(midnight).at }
    }

    /// The change that leaves a local time out.
    fn gap_of(&self, local: i64) -> Change {
        let leaves_out = |change: &&Change| change.at + change.before <= local && local < change.at + change.after;
        *self.changes.iter().find(leaves_out).unwrap_or_else(|| panic!("{} never leaves out {local}", self.zone))
    }

    /// Local times at, around and between the two sides of every change, and the midnights of its days.
    fn probes(&self) -> Vec<i64> {
        let mut probes = vec![0, 1_762_387_200];
        for change in &self.changes {
            let (one, other) = (change.at + change.before, change.at + change.after);
            for edge in [one, other] {
                probes.extend([-1, 0, 1].map(|second| edge + second));
                let midnight = edge.div_euclid(DAY_SECONDS) * DAY_SECONDS;
                probes.extend([-1, 0, 1].map(|days| midnight + days * DAY_SECONDS));
            }
            probes.push(i64::midpoint(one, other));
        }
        probes.sort_unstable();
        probes.dedup();
        probes
    }
}

fn offset(zone: Tz, instant: i64) -> i64 {
    let utc = DateTime::from_timestamp(instant, 0).unwrap().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

fn change_between(zone: Tz, mut early: i64, mut late: i64) -> Option<Change> {
    let (before, after) = (offset(zone, early), offset(zone, late));
    if before == after {
        return None;
    }
    while late - early > 1 {
        let middle = i64::midpoint(early, late);
        if offset(zone, middle) == before { early = middle } else { late = middle }
    }
    Some(Change { at: late, before, after: offset(zone, late) })
}

/// The zones whose changes differ, each by its first name, and of those the named ones and every so many-th.
fn zones(every: u64) -> Vec<Clocks> {
    let wanted = |(number, zone): (usize, &Tz)| ALWAYS.contains(&zone.name()) || (number as u64).is_multiple_of(every);
    let zones: Vec<Tz> = TZ_VARIANTS.iter().enumerate().filter(|&(number, zone)| wanted((number, zone))).map(|(_, zone)| *zone).collect();
    let mut distinct: Vec<Clocks> = Vec::new();
    for zone in zones {
        let clocks = Clocks::new(zone);
        let same = |other: &Clocks| other.changes == clocks.changes && offset(other.zone, 0) == offset(zone, 0);
        if ALWAYS.contains(&zone.name()) || !distinct.iter().any(same) {
            distinct.push(clocks);
        }
    }
    distinct
}

/// The columns of the files, each with what the contract says of it and whether its values are days.
const COLUMNS: [(&str, &str, &str, bool); 6] = [
    ("local_time", "local", "{type: timestamp, from: local}", false),
    ("local_day", "local", "{type: date, from: local}", true),
    ("pattern_time", "pattern", "{type: timestamp, from: pattern, format: '%d/%m/%Y %H:%M:%S'}", false),
    ("day_time", "day", "{type: timestamp, from: day}", true),
    ("day", "day", "{type: date}", true),
    ("day_pattern_time", "day_pattern", "{type: timestamp, from: day_pattern, format: '%d/%m/%Y'}", true),
];

#[test]
fn a_local_time_is_one_moment_in_every_zone_and_representation() {
    let every = number_of("SEGMILL_EVERY_ZONE", 12).max(1);
    let zones = zones(every);
    let probes: usize = zones.iter().map(|clocks| clocks.probes().len()).sum();
    tell(&format!("{probes} local times in {} zones", zones.len()));
    let wrong = on_all_cores(&zones, |clocks| {
        let mut wrong = wrong_times(clocks);
        let more = wrong.len().saturating_sub(10);
        wrong.truncate(10);
        if more > 0 {
            wrong.push(format!("{}: and {more} more", clocks.zone));
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is read wrongly of the local times of a zone.
fn wrong_times(clocks: &Clocks) -> Vec<String> {
    let probes = clocks.probes();
    let project = project(clocks.zone, &probes);
    let (status, result) = run(project.path(), "2026-01-01");
    if status != 0 {
        return vec![format!("{}: the run ended with {status}: {result}", clocks.zone)];
    }
    let mut wrong = Vec::new();
    for table in ["customers", "csv_rows", "ndjson_rows"] {
        let mut read = BTreeMap::new();
        for batch in published(project.path(), &result, table) {
            let numbers = batch.column_by_name("n").unwrap().as_primitive::<Int64Type>().clone();
            for (row, number) in numbers.values().iter().enumerate() {
                read.insert(usize::try_from(*number).unwrap(), (batch.clone(), row));
            }
        }
        for (number, &local) in probes.iter().enumerate() {
            let Some((batch, row)) = read.get(&number) else {
                wrong.push(format!("{}, {table}: the row of {} is lost", clocks.zone, shown(local)));
                continue;
            };
            let midnight = local.div_euclid(DAY_SECONDS) * DAY_SECONDS;
            for (name, _, _, is_day) in COLUMNS {
                let Some(column) = batch.column_by_name(name) else { continue };
                let is = if let Some(days) = column.as_primitive_opt::<Date32Type>() {
                    (days.is_valid(*row)).then(|| shown(i64::from(days.value(*row)) * DAY_SECONDS))
                } else {
                    let moments = column.as_primitive::<TimestampMicrosecondType>();
                    moments.is_valid(*row).then(|| moment(moments.value(*row)))
                };
                let expected = if column.as_primitive_opt::<Date32Type>().is_some() {
                    shown(midnight)
                } else {
                    moment(1_000_000 * if is_day { clocks.first_of(midnight) } else { clocks.instant_of(local) })
                };
                if is.as_deref() != Some(&expected) {
                    wrong.push(format!("{}, {table}.{name}: {} should be {expected} and is {is:?}", clocks.zone, shown(local)));
                }
            }
        }
    }
    wrong
}

fn shown(local: i64) -> String {
    local_time(local).format("%Y-%m-%dT%H:%M:%S").to_string()
}

fn local_time(seconds: i64) -> NaiveDateTime {
    DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::seconds(seconds)
}

/// A project that reads local times from CSV, NDJSON and Parquet in a zone.
fn project(zone: Tz, probes: &[i64]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: String| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let mut pipeline = format!("version: 1\nname: zones\ntime_zone: {zone}\nsources:\n");
    for (source, extension) in [("csv", "csv"), ("json", "ndjson"), ("parquet", "parquet")] {
        write!(pipeline, "  {source}:\n    location: data/rows.{extension}\n    event_time: at\n    reject_budget: {{share: 1}}\n")
            .unwrap();
        pipeline += "    columns:\n      n: {type: integer, required: true}\n      at: {type: timestamp, required: true}\n";
        for (name, _, column, _) in COLUMNS.iter().filter(|(_, from, ..)| source != "parquet" || !from.contains("pattern")) {
            writeln!(pipeline, "      {name}: {column}").unwrap();
        }
    }
    pipeline += "outputs:\n  destination: out\n  tables:\n";
    let times = "local_time, local_day, day_time, day";
    let patterns = "pattern_time, day_pattern_time";
    for (table, source, columns) in [
        ("customers", "parquet", format!("{times}, cast(n as varchar) as customer_id")),
        ("csv_rows", "csv", format!("{times}, {patterns}")),
        ("ndjson_rows", "json", format!("{times}, {patterns}")),
    ] {
        writeln!(pipeline, "    {table}: {{model: {table}, sort: [n]}}").unwrap();
        write(&format!("sql/{table}.sql"), format!("-- Local times as they are read.\nselect n, {columns} from sources.{source}\n"));
    }
    write("pipelines/meanings.yaml", pipeline);
    let texts = |pattern: &str| probes.iter().map(|local| local_time(*local).format(pattern).to_string()).collect::<Vec<_>>();
    let columns = [("local", "%Y-%m-%dT%H:%M:%S"), ("pattern", "%d/%m/%Y %H:%M:%S"), ("day", "%Y-%m-%d"), ("day_pattern", "%d/%m/%Y")]
        .map(|(name, pattern)| (name, texts(pattern)));
    let (mut csv, mut ndjson) = ("n,at,local,pattern,day,day_pattern\n".to_owned(), String::new());
    for row in 0..probes.len() {
        let [local, pattern, day, day_pattern] = columns.each_ref().map(|(_, texts)| &texts[row]);
        writeln!(csv, "{row},1950-01-01T00:00:00Z,{local},{pattern},{day},{day_pattern}").unwrap();
        let object =
            json!({"n": row, "at": "1950-01-01T00:00:00Z", "local": local, "pattern": pattern, "day": day, "day_pattern": day_pattern});
        writeln!(ndjson, "{object}").unwrap();
    }
    write("data/rows.csv", csv);
    write("data/rows.ndjson", ndjson);
    write_parquet(&folder.path().join("data/rows.parquet"), probes);
    folder
}

fn write_parquet(path: &Path, probes: &[i64]) {
    let days = probes.iter().map(|local| i32::try_from(local.div_euclid(DAY_SECONDS)).unwrap());
    let columns: [(&str, ArrayRef); 4] = [
        ("n", Arc::new(Int64Array::from_iter_values(0..i64::try_from(probes.len()).unwrap()))),
        ("at", Arc::new(StringArray::from(vec!["1950-01-01T00:00:00Z"; probes.len()]))),
        ("local", Arc::new(TimestampMicrosecondArray::from_iter_values(probes.iter().map(|local| local * 1_000_000)))),
        ("day", Arc::new(Date32Array::from_iter_values(days))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn the_reference_knows_days_that_begin_late_or_are_left_out() {
    let first = |zone: Tz, year, month, day| {
        let midnight = NaiveDate::from_ymd_opt(year, month, day).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp();
        let clocks = Clocks::new(zone);
        moment(1_000_000 * clocks.first_of(midnight))
    };
    assert_eq!(first(Tz::America__Sao_Paulo, 2018, 11, 4), "2018-11-04T03:00:00Z");
    assert_eq!(first(Tz::Africa__Cairo, 2026, 4, 24), "2026-04-23T22:00:00Z");
    assert_eq!(first(Tz::Pacific__Apia, 2011, 12, 30), "2011-12-30T10:00:00Z");
    assert_eq!(first(Tz::America__St_Johns, 2006, 10, 29), "2006-10-29T02:30:00Z");
}
