//! Times k-means alone, on simulated customers.
//!
//! ```text
//! groups generate FILE CUSTOMERS      simulates customers, and writes six standardised numbers of each as little-endian float64
//! groups fit FILE GROUPS STARTS TOLERANCE THREADS
//! ```
//! What was measured is one JSON document on standard output.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a benchmark reads the clock and prints")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on stops")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use segmill::groups::{Limits, Points, Preparation, Shape, Starts, best_of, prepare};

/// As the command has it.
#[global_allocator]
static ALLOCATOR: segmill_allocator::Allocator = segmill_allocator::Allocator;

/// The numbers of a customer.
const COLUMNS: usize = 6;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate", file, customers] => generate(file, customers.parse().expect("a number")),
        ["fit", file, groups, starts, tolerance, threads] => {
            let starts = Starts { groups: groups.parse().unwrap(), starts: starts.parse().unwrap(), seed: 1 };
            let limits = Limits { tolerance: tolerance.parse().unwrap(), most_rounds: 300, threads: threads.parse().unwrap() };
            measure(file, &starts, &limits);
        }
        // `cargo bench` asks with `--bench`.
        _ => eprintln!("say generate or fit; see bench/groups/README.md"),
    }
}

/// Customers who buy at rates, for amounts and of ranges of their own: days since the last order, orders, spend, tenure, products, returns.
fn generate(file: &str, customers: u32) {
    let mut random = Pcg64::seed_from_u64(25);
    let mut columns = vec![Vec::new(); COLUMNS];
    for _ in 0..customers {
        let mut uniform = || 1.0 - random.random::<f64>();
        // Products of uniform numbers have long tails, as rates and amounts do.
        let rate = -uniform().ln() * uniform() / 30.0;
        let tenure = 20.0 + 700.0 * uniform();
        let orders = (1.0 + rate * tenure * (0.5 + uniform())).floor();
        let spent = orders * (3.0 + 2.0 * (uniform() + uniform() + uniform() - 1.5)).exp();
        let last = (-uniform().ln() / (rate + 0.002)).min(tenure).floor();
        let products = (1.0 + orders * 8.0 * uniform() * uniform()).floor();
        let returns = (orders * 0.2 * uniform() * uniform()).floor();
        for (column, value) in columns.iter_mut().zip([last, orders, spent, tenure, products, returns]) {
            column.push(value);
        }
    }
    let (points, _) = prepare(&columns, &[Preparation { shape: Shape::Log1p, winsorise: 0.0 }; COLUMNS]);
    let mut out = BufWriter::new(File::create(file).unwrap());
    points.values.iter().for_each(|value| out.write_all(&value.to_le_bytes()).unwrap());
}

fn measure(file: &str, starts: &Starts, limits: &Limits) {
    let bytes = std::fs::read(file).unwrap();
    let values = bytes.chunks_exact(8).map(|number| f64::from_le_bytes(number.try_into().unwrap())).collect();
    let points = Points { width: COLUMNS, values };
    let begun = Instant::now();
    let found = best_of(&points, starts, limits);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{{\"customers\": {}, \"seconds\": {seconds}, \"inertia\": {}, \"rounds\": {}, \"sizes\": {:?}}}",
        points.rows(),
        found.inertia,
        found.rounds,
        found.sizes
    );
}
