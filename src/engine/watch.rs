//! Measures the memory that the process really uses while it runs, since not everything is reserved from the pool.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::Duration;

use super::machine::size_of_process;
use crate::clock::Stopwatch;

/// The interval of the measurements.
const EVERY: Duration = Duration::from_millis(5);
/// How many measurements in a row must exceed the limit before the run is ended.
const TIMES_OVER: u32 = 3;
/// How old a measurement may be when more than half of the limit is in use.
const AT_MOST_MS: u64 = 2;
/// What the threads may allocate between two measurements. With a small limit it is a sixth of the limit, since batches are smaller then.
const ON_ITS_WAY_BYTES: usize = 24 << 20;
/// What the process may use in addition to its limit. Most of it are the pages of the program itself.
pub const PROGRAM_BYTES: usize = 64 << 20;
/// At most one part in so many of the time may be spent on returning memory to the system.
const SHARE_OF_TIME: u64 = 10;

/// The last measurement in bytes; 0 if the process is not watched.
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// The number of measurements so far.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// When measuring began, the time of the last measurement since then, and until when no memory is returned to the system.
static SINCE: OnceLock<Stopwatch> = OnceLock::new();
static LAST_MS: AtomicU64 = AtomicU64::new(0);
static REST_UNTIL_MS: AtomicU64 = AtomicU64::new(0);
/// The memory limit of the process.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The largest measurement.
static MOST: AtomicUsize = AtomicUsize::new(0);
/// Held by the thread that measures.
static MEASURING: Mutex<()> = Mutex::new(());
/// Whether memory is about to be refused, in which case the allocator first returns what is not in use.
static REFUSING: AtomicBool = AtomicBool::new(false);
/// The largest amount of memory that was refused, including what was reserved at that time.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// The bytes of all extracts, and how many of them were read. Bytes that are read again are counted again.
static TO_READ: AtomicU64 = AtomicU64::new(0);
static READ: AtomicU64 = AtomicU64::new(0);

/// Starts to measure the process, for as long as it lives. When its memory comes near the limit, the allocator returns to the system what
/// is not in use. A process that calls this must have one run only, because all memory of the process counts against the limit.
pub fn watch_memory(limit_bytes: usize) {
    static WATCHING: Once = Once::new();
    LIMIT.store(limit_bytes, Relaxed);
    WATCHING.call_once(|| {
        SINCE.get_or_init(Stopwatch::start);
        measure();
        // If the thread cannot be started, the process is still measured when memory is reserved.
        let _ = std::thread::Builder::new().name("memory".to_owned()).spawn(|| {
            loop {
                std::thread::sleep(EVERY);
                measured();
            }
        });
    });
}

/// Sets the number of bytes of all extracts of the run.
pub fn expect_to_read(bytes: u64) {
    TO_READ.store(bytes, Relaxed);
    READ.store(0, Relaxed);
}

/// Counts so many bytes of extracts as read.
pub(super) fn count_read(bytes: u64) {
    READ.fetch_add(bytes, Relaxed);
}

/// Notes how much memory would have been needed in all.
pub(super) fn note_needed(bytes: usize) {
    WANTED.fetch_max(bytes, Relaxed);
}

/// A memory limit that should be enough for a run that has exceeded its own; none if the process is not watched. It is estimated from the
/// memory in use and the share of the extracts that was read, and is at least a multiple of the present limit.
pub(super) fn enough_bytes() -> Option<u64> {
    const STEP: u64 = 64 << 20;
    const SMALL: u64 = 128 << 20;
    let (limit, had) = (LIMIT.load(Relaxed) as u64, MOST.load(Relaxed) as u64);
    measured()?;
    // Before anything has been read the share of the extracts says nothing.
    let (to_read, read) = (TO_READ.load(Relaxed), READ.load(Relaxed));
    let by_share =
        u128::from(had.max(limit)) * u128::from(to_read.max(read).max(1)) / u128::from(if read == 0 { to_read.max(1) } else { read });
    // Planning a project takes memory that does not depend on the data. With a small limit that is most of it.
    let at_least = limit.saturating_mul(if limit < SMALL { 4 } else { 2 });
    let wanted = u64::try_from(by_share + by_share / 2).unwrap_or(u64::MAX).max(at_least);
    let asked = WANTED.load(Relaxed) as u64;
    let wanted = wanted.max(asked.saturating_add(asked / 2));
    // Rounded up to a number that is easy to type.
    let step = (wanted.checked_next_power_of_two().unwrap_or(1 << 63) / 8).max(STEP);
    Some(wanted.div_ceil(step).saturating_mul(step))
}

/// The last measurement and its number; none if the process is not watched. If it is too old for how near the limit is, the process is
/// measured again, because the thread that measures may have to wait for a processor.
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

/// Lets the allocator return memory to the system and measures the process again, before memory is refused. Where a refusal only makes an
/// operator spill, that may be left out, because it takes time; where it ends a query, it is done in any case.
pub(super) fn release_unused(ends_query: bool) {
    if COUNT.load(Relaxed) > 0 {
        REFUSING.store(true, Relaxed);
        if ends_query {
            REST_UNTIL_MS.store(0, Relaxed);
            measure_holding(MEASURING.lock().unwrap_or_else(PoisonError::into_inner));
        } else {
            measure();
        }
    }
}

/// Whether the process uses so much memory that it might exceed the tolerated maximum before the next measurement.
pub(super) fn is_over() -> bool {
    measured().is_some_and(|(_, bytes)| bytes > max_bytes(LIMIT.load(Relaxed)))
}

/// Waits until the process has exceeded the tolerated maximum for a while. It catches memory that is not reserved from the pool.
pub async fn memory_is_exceeded() {
    let mut over = 0;
    while over < TIMES_OVER {
        tokio::time::sleep(EVERY * 4).await;
        let limit = LIMIT.load(Relaxed);
        over = if measured().is_some_and(|(_, bytes)| bytes > limit / 5 * 6) { over + 1 } else { 0 };
    }
}

/// The most that a process with this limit may use before an operation fails: a fifth more than the limit, minus what threads may allocate
/// before the next measurement.
pub(super) fn max_bytes(limit: usize) -> usize {
    (limit / 5 * 6).saturating_sub(ON_ITS_WAY_BYTES.min(limit / 6))
}

/// Measures the process, unless another thread is measuring at this moment: its result serves all.
fn measure() {
    if let Ok(measuring) = MEASURING.try_lock() {
        measure_holding(measuring);
    }
}

/// Measures the process. If the limit is near, the allocator first returns to the system what is not in use.
fn measure_holding(_measuring: MutexGuard<'_, ()>) {
    let Some(mut bytes) = counted_bytes() else { return };
    let limit = LIMIT.load(Relaxed);
    let now = || SINCE.get().map_or(0, |since| since.elapsed_ms());
    let begun = now();
    if (bytes > limit - limit / 8 || REFUSING.swap(false, Relaxed)) && begun >= REST_UNTIL_MS.load(Relaxed) {
        segmill_allocator::release_unused();
        REST_UNTIL_MS.store(now() + (now() - begun) * SHARE_OF_TIME, Relaxed);
        bytes = counted_bytes().unwrap_or(bytes);
    }
    BYTES.store(bytes, Relaxed);
    MOST.fetch_max(bytes, Relaxed);
    COUNT.fetch_add(1, Relaxed);
}

/// The bytes of the process that count against the limit: its resident memory without [`PROGRAM_BYTES`]; none where `/proc` does not exist.
fn counted_bytes() -> Option<usize> {
    // The pages of a debug build are several times as large, so they are not counted.
    if cfg!(debug_assertions) {
        return size_of_process("RssAnon");
    }
    Some(size_of_process("VmRSS")?.saturating_sub(PROGRAM_BYTES))
}
