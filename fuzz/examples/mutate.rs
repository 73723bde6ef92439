//! Reads damaged files of each format, a number of each, and fails with the first that breaks a law: `fuzz/mutate.sh` runs it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use segmill::clock::Stopwatch;
use segmill::engine::peak_memory;
use segmill_fuzz::mutate::{FORMATS, Mutant, mutant, seeds};

/// How long one file of a few kilobytes may take; it is of no account how busy the machine is.
const LONGEST: Duration = Duration::from_secs(60);
/// What the process may take: the extract's limit of 64 MiB 1.2 times and 64 MiB more, and the binary of a build that is not optimised.
const MOST_MEMORY_BYTES: u64 = 384 << 20;

/// The number of the file that is being read, counted from 1 over all formats.
static READING: AtomicU64 = AtomicU64::new(0);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let number = |text: Option<String>, default: u64| text.map_or(default, |text| text.parse().expect("a number of files"));
    let files = number(arguments.next(), 10_000);
    let first = number(arguments.next(), 0);
    let only: Vec<String> = arguments.collect();
    // What a decoder panics over is damage of the file.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !segmill::ingest::is_decoding() {
            hook(panic);
        }
    }));
    std::thread::spawn(watch);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for format in FORMATS.into_iter().filter(|format| only.is_empty() || only.iter().any(|only| only == format)) {
        let (seeds, begun) = (seeds(format, &folder), Stopwatch::start());
        for seed in &seeds {
            let name = mutant(format, &seeds, 0).name;
            Mutant { name, bytes: seed.clone(), is_keyed: false }.read();
        }
        for number in first..first + files {
            READING.fetch_add(1, Relaxed);
            let mutant = mutant(format, &seeds, number);
            if catch_unwind(AssertUnwindSafe(|| mutant.read())).is_err() {
                fail(format, number, &mutant, "broke a law");
            }
            let peak = peak_memory().unwrap_or(0);
            if peak > MOST_MEMORY_BYTES {
                fail(format, number, &mutant, &format!("took {} MiB", peak >> 20));
            }
        }
        println!("{format}: {files} damaged files of {} sound ones, none of which broke a law ({} ms)", seeds.len(), begun.elapsed_ms());
    }
    println!("peak memory: {} MiB", peak_memory().unwrap_or(0) >> 20);
}

fn fail(format: &str, number: u64, mutant: &Mutant, what: &str) -> ! {
    let path = std::env::temp_dir().join(format!("segmill-mutant-{number}-{}", mutant.name));
    std::fs::write(&path, &mutant.bytes).expect("the file is kept");
    eprintln!("{format} {number} {what}: {} ({})", path.display(), if mutant.is_keyed { "keyed" } else { "plain" });
    std::process::exit(1);
}

/// Ends the process when one file takes too long.
fn watch() {
    let mut last = 0;
    loop {
        std::thread::sleep(LONGEST);
        let now = READING.load(Relaxed);
        if now == last && now > 0 {
            eprintln!("file {now}, counted over all formats, is still being read");
            std::process::exit(1);
        }
        last = now;
    }
}
