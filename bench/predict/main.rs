//! Times the fit of a purchase model alone, on simulated customers.
//!
//! ```text
//! predict generate FILE CUSTOMERS [days]    simulates customers and writes their histories as CSV; in whole days, or each with its own
//! predict fit FILE                          groups the histories and fits BG/NBD
//! ```
//! What was measured is one JSON document on standard output.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a benchmark reads the clock and prints")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on stops")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use segmill::predict::{Churn, Groups, History, fit};

/// As the command has it.
#[global_allocator]
static ALLOCATOR: segmill_allocator::Allocator = segmill_allocator::Allocator;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate", file, customers, rest @ ..] => generate(file, customers.parse().expect("a number"), rest.contains(&"days")),
        ["fit", file] => measure(file),
        // `cargo bench` asks with `--bench`.
        _ => eprintln!("say generate or fit; see bench/predict/README.md"),
    }
}

/// Customers who buy at rates of their own, and leave with chances of their own.
fn generate(file: &str, customers: u32, in_days: bool) {
    let mut random = Pcg64::seed_from_u64(24);
    let mut out = BufWriter::new(File::create(file).unwrap());
    writeln!(out, "repeats,last,observed").unwrap();
    let day = |time: f64| if in_days { time.ceil() } else { time };
    for _ in 0..customers {
        let observed = day(20.0 + 700.0 * random.random::<f64>());
        let rate = -(1.0 - random.random::<f64>()).ln() * random.random::<f64>() / 60.0;
        let chance = random.random::<f64>() * random.random::<f64>();
        let (mut repeats, mut last) = (0, 0.0);
        loop {
            let next = day(last - (1.0 - random.random::<f64>()).ln() / rate);
            if next > observed {
                break;
            }
            (repeats, last) = (repeats + 1, next);
            if random.random::<f64>() < chance {
                break;
            }
        }
        writeln!(out, "{repeats},{last},{observed}").unwrap();
    }
}

fn measure(file: &str) {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let customers: Vec<History> = reader
        .deserialize()
        .map(|row| {
            let (repeats, last, observed): (u32, f64, f64) = row.unwrap();
            History { repeats, last, observed }
        })
        .collect();
    let begun = Instant::now();
    let groups = Groups::of(&customers);
    let grouped = begun.elapsed();
    let found = fit(&groups, Churn::BgNbd, 50);
    let all = begun.elapsed();
    let document = serde_json::json!({
        "customers": customers.len(),
        "histories": groups.groups.len(),
        "group_seconds": grouped.as_secs_f64(),
        "seconds": all.as_secs_f64(),
        "state": found.state,
        "parameters": found.parameters,
        "log_likelihood": found.log_likelihood,
    });
    println!("{document}");
}
