//! What a run promises: the same bytes for the same options, and people who cannot be confused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Int64Array, LargeStringArray, RecordBatch, TimestampMicrosecondArray};
use chrono::NaiveDate;
use flate2::read::GzDecoder;
use parquet::arrow::ArrowWriter;

use super::contact::{Mailbox, StopKind};
use super::people::Population;
use super::visitors::{Rates, Who, visits};
use super::{EmailFormat, Error, Options, Written, generate, generate_on, population};

fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap()
}

fn options(customers: Option<u64>, orders: Option<PathBuf>) -> Options {
    Options {
        customers,
        orders,
        seed: 42,
        from: date(2010, 12, 1),
        to: date(2011, 12, 12),
        email_format: EmailFormat::Ndjson,
        force: false,
    }
}

fn made_up(customers: u64) -> Options {
    options(Some(customers), None)
}

/// A small orders file with the columns that matter: 120 customers with one to five invoices.
fn small_orders(dir: &Path) -> PathBuf {
    let mut invoices = Vec::new();
    let mut customers = Vec::new();
    let mut moments = Vec::new();
    let mut countries = Vec::new();
    for customer in 0..120_i64 {
        for invoice in 0..=customer % 5 {
            let day = 14_944 + (customer * 7 + invoice * 31) % 373;
            invoices.push(format!("{}", 536_365 + customer * 10 + invoice));
            customers.push((customer > 2).then_some(12_346 + customer));
            moments.push(day * 86_400_000_000);
            countries.push(if customer % 9 == 0 { "Germany" } else { "United Kingdom" });
        }
    }
    let batch = RecordBatch::try_from_iter([
        ("InvoiceNo", Arc::new(LargeStringArray::from(invoices)) as _),
        ("InvoiceDate", Arc::new(TimestampMicrosecondArray::from(moments)) as _),
        ("CustomerID", Arc::new(Int64Array::from(customers)) as _),
        ("Country", Arc::new(LargeStringArray::from(countries)) as _),
    ])
    .unwrap();
    let path = dir.join("orders.parquet");
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

/// The bytes of every file, by its name below `dir`.
fn contents(dir: &Path, written: &[Written]) -> BTreeMap<PathBuf, Vec<u8>> {
    written
        .iter()
        .map(|file| {
            let name = file.path.strip_prefix(dir).unwrap().to_owned();
            (name, fs::read(&file.path).unwrap())
        })
        .collect()
}

fn run(options: &Options, threads: usize) -> BTreeMap<PathBuf, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let written = generate_on(options, dir.path(), threads).unwrap();
    contents(dir.path(), &written)
}

#[test]
fn same_options_same_bytes_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let companions = options(None, Some(small_orders(dir.path())));
    let as_parquet = Options { email_format: EmailFormat::Parquet, ..made_up(500) };
    for options in [companions, made_up(500), as_parquet] {
        let one = run(&options, 1);
        assert!(one == run(&options, 4), "threads change the files");
        let other_seed = Options { seed: 43, ..options };
        assert!(one != run(&other_seed, 1), "the seed changes nothing");
    }
}

#[test]
fn files_are_told_in_a_fixed_order_with_their_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let written = generate(&made_up(50), dir.path()).unwrap();
    let folders: Vec<_> = written
        .iter()
        .map(|file| file.path.strip_prefix(dir.path()).unwrap())
        .map(|name| name.iter().next().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut expected = vec!["crm", "suppression", "survey"];
    for folder in ["email", "orders", "web"] {
        expected.extend([folder; 13]);
    }
    assert_eq!(folders, expected);
    for file in written {
        assert_eq!(file.bytes, fs::metadata(&file.path).unwrap().len());
    }
}

/// Rows by the folder they are in.
fn rows_by_folder(customers: u64) -> BTreeMap<String, u64> {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = BTreeMap::new();
    for file in generate(&made_up(customers), dir.path()).unwrap() {
        let folder = file.path.parent().unwrap().file_name().unwrap();
        *rows.entry(folder.to_str().unwrap().to_owned()).or_default() += file.rows;
    }
    rows
}

#[test]
fn rows_grow_with_customers() {
    let (small, large) = (rows_by_folder(400), rows_by_folder(1_600));
    for (folder, rows) in small {
        let ratio = large[&folder] * 100 / rows;
        assert!((300..=530).contains(&ratio), "{folder}: {ratio} %");
    }
}

fn count_in(text: &str, pattern: &str) -> usize {
    text.matches(pattern).count()
}

#[test]
fn companions_have_exactly_the_broken_rows_they_should() {
    let dir = tempfile::tempdir().unwrap();
    let files = run(&options(None, Some(small_orders(dir.path()))), 2);
    let text = |name: &str| String::from_utf8(files[Path::new(name)].clone()).unwrap();

    let contacts = text("crm/contacts.csv");
    assert_eq!(count_in(&contacts, ",1979-02-30,"), 5);
    assert_eq!(count_in(&contacts, ",four,"), 4);
    assert_eq!(count_in(&contacts, ",31/12/2010,"), 3);
    assert!(csv_rows(&contacts).iter().all(|row| row.len() == 19));

    let responses = text("survey/responses.csv");
    assert_eq!(count_in(&responses, ",nps,eleven"), 2);
    let responses = csv_rows(&responses);
    assert_eq!(responses.iter().filter(|row| row[1].is_empty()).count(), 2);
    assert_eq!(responses.iter().filter(|row| row.len() == 6).count(), 2);

    let mut broken = 0;
    for (name, bytes) in &files {
        if name.starts_with("email") {
            let mut lines = String::new();
            GzDecoder::new(bytes.as_slice()).read_to_string(&mut lines).unwrap();
            broken += lines.lines().filter(|line| !is_sound_event(line)).count();
        }
    }
    assert_eq!(broken, 5);
}

fn is_sound_event(line: &str) -> bool {
    let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
        return false;
    };
    let moment = event["occurred_at"].as_str().unwrap_or_default();
    event["event_id"].is_i64() && chrono::DateTime::parse_from_rfc3339(moment).is_ok()
}

/// Rows of fields, quotes and line breaks within quotes understood.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                field.push(letter);
            }
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(letter),
        }
    }
    rows
}

/// Large enough for every trait of the sample to appear.
fn town() -> Population {
    population(&made_up(4_000)).unwrap()
}

#[test]
fn no_two_customers_share_an_address_or_a_phone() {
    let town = town();
    let (mut addresses, mut phones) = (BTreeSet::new(), BTreeSet::new());
    for index in 0..town.customers {
        for form in 0..2 {
            let mut address = String::new();
            town.push_address(&mut address, index, form);
            assert!(address.is_ascii() && count_in(&address, "@") == 1);
            assert!(addresses.insert(address.clone()), "{address} comes twice");
        }
        if let Some(phone) = town.phone(index) {
            assert!(phones.insert(phone), "{phone:?} comes twice");
        }
    }
    assert!(phones.len() > town.customers / 2);
}

#[test]
fn second_contacts_carry_the_address_of_one_customer_each() {
    let town = town();
    let mut owners = BTreeSet::new();
    for prospect in town.customers..town.people.len() {
        if let Some(owner) = town.owner_of(prospect) {
            assert!(town.is_customer(owner) && owners.insert(owner));
            let mailbox = town.contact(prospect).first.mailbox;
            assert!(matches!(mailbox, Mailbox::Own { person, .. } if person == owner));
            assert_eq!(mailbox, town.contact(owner).last_state().mailbox);
        }
    }
    assert_eq!(owners.len(), 4);
}

#[test]
fn visitor_ids_are_unique_but_for_shared_devices() {
    let town = town();
    let rates = Rates::of(&town);
    let mut seen: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let mut owner: BTreeMap<String, Who> = BTreeMap::new();
    for month in &town.calendar.months {
        for visit in visits(&town, &rates, month) {
            let key = super::random::Stream::Session;
            let mut dice = town.seed.dice(key, u64::from(visit.start), 0);
            let visitor = town.visitor(visit, &mut dice);
            assert_eq!(*owner.entry(visitor.id.clone()).or_insert(visit.who), visit.who);
            let users = seen.entry(visitor.id).or_default();
            users.extend(visitor.login.map(|(person, _)| person));
            if !matches!(visit.who, Who::Shared(_)) {
                assert!(users.len() <= 1);
            }
        }
    }
    assert!(seen.values().any(|users| users.len() > 1), "no shared device");
}

#[test]
fn every_way_of_leaving_happens() {
    let town = town();
    let kinds: Vec<StopKind> = (0..town.people.len()).filter_map(|index| town.contact(index).stop).map(|stop| stop.kind).collect();
    for kind in [StopKind::HardBounce, StopKind::Unsubscribe, StopKind::Complaint] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
}

#[test]
fn senseless_options_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |options: &Options| generate(options, dir.path()).unwrap_err();
    assert!(matches!(refused(&options(None, None)), Error::ForWhom));
    assert!(matches!(refused(&made_up(0)), Error::Customers { customers: 0 }));
    let backwards = Options { to: date(2010, 11, 30), ..made_up(10) };
    assert!(matches!(refused(&backwards), Error::Period { .. }));
    let nowhere = options(None, Some(dir.path().join("none.parquet")));
    assert!(matches!(refused(&nowhere), Error::Open { .. }));
}

#[test]
fn the_smallest_runs_work() {
    let dir = tempfile::tempdir().unwrap();
    let one_day = Options { to: date(2010, 12, 1), ..made_up(1) };
    generate(&one_day, dir.path()).unwrap();
    generate(&Options { force: true, ..made_up(1) }, dir.path()).unwrap();
}

#[test]
fn other_extracts_are_in_the_way_unless_they_may_be_replaced() {
    let small = Options { to: date(2010, 12, 1), ..made_up(1) };
    for (name, is_folder) in [("crm/mine.csv", false), ("orders/2011-06.parquet", false), ("web", false), ("survey/deep", true)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::create_dir_all(if is_folder { &path } else { path.parent().unwrap() }).unwrap();
        if !is_folder {
            std::fs::write(&path, "mine").unwrap();
        }
        let before = walked(dir.path());
        assert!(matches!(generate(&small, dir.path()), Err(Error::InUse { .. })), "{name}");
        assert_eq!(walked(dir.path()), before, "{name}: nothing was written");
    }
    // What is not written into is nobody's concern, and neither is an empty folder.
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("crm")).unwrap();
    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    generate(&small, dir.path()).unwrap();
    generate(&Options { force: true, ..small }, dir.path()).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");
}

fn walked(dir: &Path) -> Vec<PathBuf> {
    walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path()).collect()
}
