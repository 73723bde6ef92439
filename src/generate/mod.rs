//! Sample extracts from a seed: orders, CRM contacts, suppressions, web events, e-mail events and survey answers of
//! people who do not exist, dirty in the ways real extracts are.
//!
//! Every draw is named by what it is for (see `random`), so the files depend on the options alone:
//! not on the time, the machine or the number of threads. Addresses end in `example.com`,
//! `example.org`, `example.net` or `.example` (RFC 2606), British mobile numbers begin in the range
//! Ofcom keeps for drama (07700 900000) and run on from it.

mod calendar;
mod campaigns;
mod catalogue;
mod contact;
mod crm;
mod customers;
mod email;
mod mailing;
mod names;
mod orders;
mod outcome;
mod people;
mod places;
mod random;
mod sink;
mod suppression;
mod survey;
#[cfg(test)]
mod tests;
mod visitors;
mod web;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{fs, thread};

use chrono::{Datelike, NaiveDate};

pub use email::EmailFormat;
pub use outcome::{Error, MAX_CUSTOMERS, Written};

use calendar::{Calendar, Month};
use customers::read_customers;
use people::Population;
use random::Seed;
use visitors::Rates;

/// The folders that extracts are written into.
const FOLDERS: [&str; 6] = ["crm", "suppression", "survey", "email", "orders", "web"];

/// What to generate. Either `customers` or `orders` says for whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many customers to make up, with their orders.
    pub customers: Option<u64>,
    /// A real orders extract (Online Retail columns, Parquet) whose customers get companion extracts.
    /// It is read, never written.
    pub orders: Option<PathBuf>,
    /// Another seed makes other people.
    pub seed: u64,
    /// First day of events.
    pub from: NaiveDate,
    /// Last day of events.
    pub to: NaiveDate,
    /// The form of the e-mail events.
    pub email_format: EmailFormat,
    /// Whether files of the same names are replaced, and the rest stays.
    pub force: bool,
}

/// Writes the extracts into `dir` and tells of each file, in an order that is always the same: CRM,
/// suppressions, survey, then e-mail, orders and web by month.
///
/// # Errors
/// [`Error::InUse`] when there are extracts already, unless they may be replaced;
/// [`Error::ForWhom`], [`Error::Customers`] or [`Error::Period`] when the options make no sense; the
/// errors about orders when they cannot be read; and the errors about writing, after which `dir` may
/// hold some of the files.
pub fn generate(options: &Options, dir: &Path) -> Result<Vec<Written>, Error> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    generate_on(options, dir, threads)
}

fn generate_on(options: &Options, dir: &Path, threads: usize) -> Result<Vec<Written>, Error> {
    if !options.force
        && let Some(path) = in_use(options, dir)
    {
        return Err(Error::InUse { path });
    }
    let population = population(options)?;
    let rates = Rates::of(&population);
    let months = &population.calendar.months;
    let mut jobs = vec![Job::Contacts, Job::Suppressions, Job::Survey];
    jobs.extend(months.iter().map(Job::Email));
    if options.customers.is_some() {
        jobs.extend(months.iter().map(Job::Orders));
    }
    jobs.extend(months.iter().map(Job::Web));
    run_all(&jobs, threads, |job| match job {
        Job::Contacts => crm::write(&population, dir),
        Job::Suppressions => suppression::write(&population, dir),
        Job::Survey => survey::write(&population, dir),
        Job::Email(month) => email::write(&population, month, options.email_format, dir),
        Job::Orders(month) => orders::write(&population, month, dir),
        Job::Web(month) => web::write(&population, &rates, month, dir),
    })
}

/// What is in the way of extracts: anything in a folder that they are written into.
fn in_use(options: &Options, dir: &Path) -> Option<PathBuf> {
    let folders = FOLDERS.iter().filter(|folder| **folder != "orders" || options.customers.is_some()).map(|folder| dir.join(folder));
    let mut taken = folders.filter_map(|folder| match fs::read_dir(&folder) {
        Ok(mut entries) => entries.find_map(Result::ok).map(|entry| entry.path()),
        // What is there and is no folder is in the way too.
        Err(_) => fs::symlink_metadata(&folder).is_ok().then_some(folder),
    });
    taken.next()
}

fn population(options: &Options) -> Result<Population, Error> {
    let (from, to) = (options.from, options.to);
    let days = to.signed_duration_since(from).num_days() + 1;
    if !(1..=3_660).contains(&days) || !(1900..=9_000).contains(&from.year()) {
        return Err(Error::Period { from, to });
    }
    let calendar = Calendar::new(from, to);
    let seed = Seed(options.seed);
    match (options.customers, &options.orders) {
        (Some(customers), None) if (1..=MAX_CUSTOMERS).contains(&customers) => Ok(Population::made_up(seed, calendar, customers)),
        (Some(customers), None) => Err(Error::Customers { customers }),
        (None, Some(orders)) => {
            let customers = read_customers(orders)?;
            Ok(Population::of_real(seed, calendar, &customers))
        }
        (Some(_), Some(_)) | (None, None) => Err(Error::ForWhom),
    }
}

/// One file to write. Files are independent, so any thread may take any of them.
enum Job<'a> {
    Contacts,
    Suppressions,
    Survey,
    Email(&'a Month),
    Orders(&'a Month),
    Web(&'a Month),
}

/// Runs the jobs on `threads` threads and gives the results in the order of the jobs; after a failure
/// no further job is begun.
fn run_all(jobs: &[Job], threads: usize, work: impl Fn(&Job) -> Result<Written, Error> + Sync) -> Result<Vec<Written>, Error> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(position) else {
                        break;
                    };
                    let result = work(job);
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    // A poisoned lock still holds whole results: pushing cannot stop half way.
                    let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    done.push((position, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(position, _)| *position);
    done.into_iter().map(|(_, result)| result).collect()
}
