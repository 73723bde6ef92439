//! What memory the process really has, measured while it runs: what nobody asked the pool for counts too.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Stopwatch;

/// How often the process is measured.
const EVERY: Duration = Duration::from_millis(5);
/// Of the time, the part that may go into giving memory back: one of so many.
const SHARE_OF_TIME: u64 = 10;

/// The last measurement, in bytes; 0 when nobody measures.
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// How many measurements there were.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// What the process may have before something must end.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The largest measurement.
static MOST: AtomicUsize = AtomicUsize::new(0);
/// How many bytes of extracts there are, and how many were read, counted again when they are read again.
static TO_READ: AtomicU64 = AtomicU64::new(0);
static READ: AtomicU64 = AtomicU64::new(0);

/// Measures the process from now on, for as long as it lives, and gives back what the allocator keeps when the limit comes near. Only for a
/// process that has one run: what others in it take counts against the limit.
pub fn watch_memory(limit_bytes: usize) {
    static WATCHING: Once = Once::new();
    LIMIT.store(limit_bytes, Relaxed);
    WATCHING.call_once(|| {
        // Without a thread to measure the limit holds for what is asked for.
        let _ = std::thread::Builder::new().name("memory".to_owned()).spawn(measure);
    });
}

/// Says how many bytes the extracts of the run have in all.
pub fn expect_to_read(bytes: u64) {
    TO_READ.store(bytes, Relaxed);
    READ.store(0, Relaxed);
}

/// Says that so many bytes of extracts have been read.
pub(super) fn has_read(bytes: u64) {
    READ.fetch_add(bytes, Relaxed);
}

/// What limit should be enough for a run that this one is not enough for: what it has had so far by what of the extracts was still to be read,
/// or a multiple of the limit; none when nobody measures.
pub(super) fn enough_bytes() -> Option<u64> {
    const STEP: u64 = 64 << 20;
    const SMALL: u64 = 128 << 20;
    let (limit, had) = (LIMIT.load(Relaxed) as u64, MOST.load(Relaxed) as u64);
    measured()?;
    let (to_read, read) = (TO_READ.load(Relaxed).max(1), READ.load(Relaxed).max(1));
    let by_share = u128::from(had.max(limit)) * u128::from(to_read.max(read)) / u128::from(read);
    // What a project needs before its data does not grow with the limit, and is most of a small one.
    let at_least = limit.saturating_mul(if limit < SMALL { 4 } else { 2 });
    let wanted = u64::try_from(by_share + by_share / 2).unwrap_or(u64::MAX).max(at_least);
    // A round number, to be typed.
    let step = (wanted.checked_next_power_of_two().unwrap_or(1 << 63) / 8).max(STEP);
    Some(wanted.div_ceil(step).saturating_mul(step))
}

/// A measurement, with its number; none when nobody measures.
pub(super) fn measured() -> Option<(u64, usize)> {
    let count = COUNT.load(Relaxed);
    (count > 0).then(|| (count, BYTES.load(Relaxed)))
}

/// Whether the process is further over its limit than what is on its way when the limit is met explains.
pub(super) fn is_over() -> bool {
    let limit = LIMIT.load(Relaxed);
    measured().is_some_and(|(_, bytes)| bytes > limit.saturating_add(limit / 8))
}

fn measure() {
    let mut rest_ms = 0;
    let mut since = Stopwatch::start();
    loop {
        let Some(mut bytes) = anonymous_bytes() else { return };
        let limit = LIMIT.load(Relaxed);
        if bytes > limit - limit / 8 && since.elapsed_ms() >= rest_ms {
            let begun = Stopwatch::start();
            segmill_allocator::give_back();
            rest_ms = begun.elapsed_ms() * SHARE_OF_TIME;
            since = Stopwatch::start();
            bytes = anonymous_bytes().unwrap_or(bytes);
        }
        BYTES.store(bytes, Relaxed);
        MOST.fetch_max(bytes, Relaxed);
        COUNT.fetch_add(1, Relaxed);
        std::thread::sleep(EVERY);
    }
}

/// What the process has in memory that is not read from a file, in bytes; where Linux tells.
fn anonymous_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes: usize = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok())?;
    Some(kibibytes * 1024)
}
