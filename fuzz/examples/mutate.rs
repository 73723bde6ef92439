//! Reads damaged files of each format, a number of each, and fails with the first that breaks a law: `fuzz/mutate.sh` runs it.
#![allow(clippy::disallowed_macros, reason = "it tells whoever runs it")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use segmill::clock::Stopwatch;
use segmill::engine::peak_memory;
use segmill_fuzz::extract::outcome;
use segmill_fuzz::mutate::{FORMATS, Mutant, mutant, seeds};

/// How long one file of a few kilobytes may take; it is of no account how busy the machine is.
const LONGEST: Duration = Duration::from_secs(60);
/// What reading one file may take: the limit that it is read with, 64 MiB, 1.2 times, and 64 MiB more.
const MOST_MEMORY_BYTES: u64 = 141 << 20;

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
    if only.is_empty() || only.iter().any(|only| only == "checksums") {
        flip(&folder.join("parquet"), files);
    }
    for format in FORMATS.into_iter().filter(|format| only.is_empty() || only.iter().any(|only| only == format)) {
        let (seeds, begun, mut most) = (seeds(format, &folder), Stopwatch::start(), 0);
        for seed in &seeds {
            let name = mutant(format, &seeds, 0).name;
            let rows = Mutant { name, bytes: seed.clone(), is_keyed: false }.read();
            assert!(format != "parquet" || rows.is_some_and(|rows| rows > 0), "a seed is sound");
        }
        for number in first..first + files {
            READING.fetch_add(1, Relaxed);
            let mutant = mutant(format, &seeds, number);
            let before = forget_peak();
            if catch_unwind(AssertUnwindSafe(|| mutant.read())).is_err() {
                fail(format, number, &mutant, "broke a law");
            }
            let bytes = peak_memory().unwrap_or(0).saturating_sub(before);
            most = most.max(bytes);
            if bytes > MOST_MEMORY_BYTES {
                fail(format, number, &mutant, &format!("took {} MiB", bytes >> 20));
            }
        }
        let (sound, elapsed_ms) = (seeds.len(), begun.elapsed_ms());
        println!("{format}: {files} damaged files of {sound} sound ones, none of which broke a law; {elapsed_ms} ms, {} MiB", most >> 20);
    }
}

/// Turns bits of pages that have checksums, of the first byte, of the next one and so on: what comes of it is the same or nothing at all.
fn flip(folder: &Path, files: u64) {
    let (mut read, mut refused) = (0_u64, 0_u64);
    for (seed, bytes, pages) in checksummed(folder) {
        let sound = outcome("plain", "extract.parquet", bytes.clone()).expect("a seed is sound");
        // All bytes when as many files may be read, else so many of them, evenly.
        let step = (pages.len() as u64 / (files / 12).max(1)).max(1);
        for at in pages.step_by(usize::try_from(step).unwrap_or(1)) {
            READING.fetch_add(1, Relaxed);
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            read += 1;
            match outcome("plain", "extract.parquet", bytes) {
                Err(_) => refused += 1,
                Ok(found) => assert!(found == sound, "{seed} has other values when byte {at} is another"),
            }
        }
    }
    println!("checksums: {read} files with a wrong bit, of which {refused} were refused and the others read as before");
}

/// The seeds whose pages have checksums, with where pages are.
fn checksummed(folder: &Path) -> Vec<(String, Vec<u8>, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("there are seeds") {
        let path = entry.expect("it is listed").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with("-v1") || name.ends_with("-v2") {
            let bytes = std::fs::read(&path).expect("a seed is read");
            let length = bytes[bytes.len() - 8..].first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
            let end = bytes.len() - 8 - length;
            found.push((name, bytes, 4..end));
        }
    }
    found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    found
}

/// Forgets the most memory that the process has had, where the system can; how much it has now.
fn forget_peak() -> u64 {
    match std::fs::write("/proc/self/clear_refs", "5") {
        Ok(()) => peak_memory().unwrap_or(0),
        Err(_) => u64::MAX,
    }
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
