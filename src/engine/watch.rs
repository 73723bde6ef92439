//! What memory the process really has, measured while it runs: what nobody asked the pool for counts too.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, Once, OnceLock};
use std::time::Duration;

use super::machine::size_of_process;
use crate::clock::Stopwatch;

/// How often the process is measured, when nobody asks.
const EVERY: Duration = Duration::from_millis(5);
/// How often in a row the process must be found to have more than it may before it ends.
const TIMES_OVER: u32 = 3;
/// How old a measurement may be that somebody gets, when more than half of the limit is taken.
const AT_MOST_MS: u64 = 2;
/// What threads may take between two measurements; a sixth of a small limit, under which they work on less at once.
const ON_ITS_WAY_BYTES: usize = 24 << 20;
/// What the process may have beside its limit: most of it are the pages of the program.
pub const PROGRAM_BYTES: usize = 64 << 20;
/// Of the time, the part that may go into giving memory back: one of so many.
const SHARE_OF_TIME: u64 = 10;

/// The last measurement, in bytes; 0 when nobody measures.
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// How many measurements there were.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// When measuring began, the time of the last measurement since then, and until when no memory is given back.
static SINCE: OnceLock<Stopwatch> = OnceLock::new();
static LAST_MS: AtomicU64 = AtomicU64::new(0);
static REST_UNTIL_MS: AtomicU64 = AtomicU64::new(0);
/// What the process may have before something must end.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The largest measurement.
static MOST: AtomicUsize = AtomicUsize::new(0);
/// Whether somebody would be refused memory, though the allocator may keep what nobody uses.
static REFUSING: AtomicBool = AtomicBool::new(false);
/// The most that somebody would have needed in all.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// How many bytes of extracts there are, and how many were read, counted again when they are read again.
static TO_READ: AtomicU64 = AtomicU64::new(0);
static READ: AtomicU64 = AtomicU64::new(0);

/// Measures the process from now on, for as long as it lives, and gives back what the allocator keeps when the limit comes near. Only for a
/// process that has one run: what others in it take counts against the limit.
pub fn watch_memory(limit_bytes: usize) {
    static WATCHING: Once = Once::new();
    LIMIT.store(limit_bytes, Relaxed);
    WATCHING.call_once(|| {
        SINCE.get_or_init(Stopwatch::start);
        measure();
        // Without a thread it is measured when somebody asks.
        let _ = std::thread::Builder::new().name("memory".to_owned()).spawn(|| {
            loop {
                std::thread::sleep(EVERY);
                measured();
            }
        });
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

/// Says how much somebody would have needed in all, with what is held.
pub(super) fn is_wanted(bytes: usize) {
    WANTED.fetch_max(bytes, Relaxed);
}

/// What limit should be enough for a run that this one is not enough for: what it has had so far by what of the extracts was still to be read,
/// or a multiple of the limit; none when nobody measures.
pub(super) fn enough_bytes() -> Option<u64> {
    const STEP: u64 = 64 << 20;
    const SMALL: u64 = 128 << 20;
    let (limit, had) = (LIMIT.load(Relaxed) as u64, MOST.load(Relaxed) as u64);
    measured()?;
    // Before anything has been read nothing is known of the share.
    let (to_read, read) = (TO_READ.load(Relaxed), READ.load(Relaxed));
    let by_share =
        u128::from(had.max(limit)) * u128::from(to_read.max(read).max(1)) / u128::from(if read == 0 { to_read.max(1) } else { read });
    // What a project needs before its data does not grow with the limit, and is most of a small one.
    let at_least = limit.saturating_mul(if limit < SMALL { 4 } else { 2 });
    let wanted = u64::try_from(by_share + by_share / 2).unwrap_or(u64::MAX).max(at_least);
    let asked = WANTED.load(Relaxed) as u64;
    let wanted = wanted.max(asked.saturating_add(asked / 2));
    // A round number, to be typed.
    let step = (wanted.checked_next_power_of_two().unwrap_or(1 << 63) / 8).max(STEP);
    Some(wanted.div_ceil(step).saturating_mul(step))
}

/// A measurement, with its number; none when nobody measures. It is made anew when the last one is too old for how near the limit is: threads that
/// compute may keep the one that measures waiting.
pub(super) fn measured() -> Option<(u64, usize)> {
    if COUNT.load(Relaxed) == 0 {
        return None;
    }
    let now = SINCE.get().map_or(0, |since| since.elapsed_ms());
    let wait_ms = if BYTES.load(Relaxed) > LIMIT.load(Relaxed) / 2 { AT_MOST_MS } else { AT_MOST_MS * 8 };
    let last = LAST_MS.load(Relaxed);
    if now >= last + wait_ms && LAST_MS.compare_exchange(last, now, Relaxed, Relaxed).is_ok() {
        measure();
    }
    Some((COUNT.load(Relaxed), BYTES.load(Relaxed)))
}

/// Gives back what the allocator keeps, and measures, for somebody who would be refused memory.
pub(super) fn give_back() {
    if COUNT.load(Relaxed) > 0 {
        REFUSING.store(true, Relaxed);
        measure();
    }
}

/// Whether the process has so much that it would pass what it may have at most, with what is on its way.
pub(super) fn is_over() -> bool {
    measured().is_some_and(|(_, bytes)| bytes > most_bytes(LIMIT.load(Relaxed)))
}

/// Waits until the process has had more than it may have at most for a while, whoever takes it: functions that make much of little ask nobody.
pub async fn memory_is_exceeded() {
    let mut over = 0;
    while over < TIMES_OVER {
        tokio::time::sleep(EVERY * 4).await;
        let limit = LIMIT.load(Relaxed);
        over = if measured().is_some_and(|(_, bytes)| bytes > limit / 5 * 6) { over + 1 } else { 0 };
    }
}

/// What a process with a limit may have before something must end: a fifth more, without what may be on its way until that is noticed.
pub(super) fn most_bytes(limit: usize) -> usize {
    (limit / 5 * 6).saturating_sub(ON_ITS_WAY_BYTES.min(limit / 6))
}

/// Measures, and gives back what the allocator keeps if the limit is near.
fn measure() {
    static MEASURING: Mutex<()> = Mutex::new(());
    // Somebody who measures at this moment does it for all.
    let Ok(_measuring) = MEASURING.try_lock() else { return };
    let Some(mut bytes) = counted_bytes() else { return };
    let limit = LIMIT.load(Relaxed);
    let now = || SINCE.get().map_or(0, |since| since.elapsed_ms());
    let begun = now();
    if (bytes > limit - limit / 8 || REFUSING.swap(false, Relaxed)) && begun >= REST_UNTIL_MS.load(Relaxed) {
        segmill_allocator::give_back();
        REST_UNTIL_MS.store(now() + (now() - begun) * SHARE_OF_TIME, Relaxed);
        bytes = counted_bytes().unwrap_or(bytes);
    }
    BYTES.store(bytes, Relaxed);
    MOST.fetch_max(bytes, Relaxed);
    COUNT.fetch_add(1, Relaxed);
}

/// What of the process counts against the limit, in bytes, where Linux tells: all that it has in memory, but for [`PROGRAM_BYTES`].
fn counted_bytes() -> Option<usize> {
    // A program that is not optimised is several times as large, and nobody's in production.
    if cfg!(debug_assertions) {
        return size_of_process("RssAnon");
    }
    Some(size_of_process("VmRSS")?.saturating_sub(PROGRAM_BYTES))
}
