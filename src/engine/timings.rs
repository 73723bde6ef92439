//! What the steps of a run cost: CPU time, bytes read, bytes spilled, and the timings of single operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use serde::{Deserialize, Serialize};

/// The timings of an operator of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its name, such as `HashJoinExec`.
    pub name: String,
    /// How many operators are above it in the query plan; 0 for the topmost.
    pub depth: usize,
    /// The rows of its output.
    pub rows: u64,
    /// Its CPU time on all threads together; none if the operator does not measure it.
    pub compute_ms: Option<u64>,
    /// The bytes that it wrote to disk because they did not fit the memory limit.
    pub spilled_bytes: u64,
}

/// The queries since the counts were last taken, and what was read and spilled for them.
#[derive(Debug, Default)]
pub struct Work {
    running: Mutex<Vec<Arc<dyn ExecutionPlan>>>,
    operators: Mutex<Vec<Operator>>,
    bytes_read: AtomicU64,
    bytes_spilled: AtomicU64,
}

/// What was done since the counts were last taken.
#[derive(Debug)]
pub struct Done {
    /// The operators that ran.
    pub operators: Vec<Operator>,
    /// Bytes of extracts that were read.
    pub bytes_read: u64,
    /// Bytes that operators and materialised tables wrote to disk.
    pub spilled_bytes: u64,
}

impl Work {
    /// Remembers a running query, so that its metrics can be read when it has ended.
    pub fn add_query(&self, plan: &Arc<dyn ExecutionPlan>) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(plan));
    }

    /// Counts bytes of extracts that were read.
    pub fn count_read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Relaxed);
        super::watch::count_read(bytes);
    }

    /// Counts bytes of materialised tables that were written to disk.
    pub fn count_spilled(&self, bytes: u64) {
        self.bytes_spilled.fetch_add(bytes, Relaxed);
    }

    /// Reads the metrics of the remembered queries, which must have ended, and drops them with all memory that they hold.
    pub fn end_queries(&self) {
        let ended = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let mut operators = self.operators.lock().unwrap_or_else(PoisonError::into_inner);
        for plan in &ended {
            describe(plan, 0, &mut operators);
        }
    }

    /// The counts since this was last called.
    pub fn take(&self) -> Done {
        self.end_queries();
        let operators = std::mem::take(&mut *self.operators.lock().unwrap_or_else(PoisonError::into_inner));
        let by_operators: u64 = operators.iter().map(|operator| operator.spilled_bytes).sum();
        Done { operators, bytes_read: self.bytes_read.swap(0, Relaxed), spilled_bytes: by_operators + self.bytes_spilled.swap(0, Relaxed) }
    }
}

fn describe(plan: &Arc<dyn ExecutionPlan>, depth: usize, operators: &mut Vec<Operator>) {
    let metrics = plan.metrics().as_ref().map(MetricsSet::aggregate_by_name);
    let of = |what: fn(&MetricsSet) -> Option<usize>| metrics.as_ref().and_then(what).map(|number| number as u64);
    operators.push(Operator {
        name: plan.name().to_owned(),
        depth,
        rows: of(MetricsSet::output_rows).unwrap_or(0),
        compute_ms: of(MetricsSet::elapsed_compute).map(|nanoseconds| nanoseconds / 1_000_000),
        spilled_bytes: of(MetricsSet::spilled_bytes).unwrap_or(0),
    });
    for input in plan.children() {
        describe(input, depth + 1, operators);
    }
}

/// The CPU time of this process so far, on all threads together, in milliseconds; none where `/proc` does not exist.
pub fn compute_ms() -> Option<u64> {
    /// Times in `/proc` are always in hundredths of a second.
    const MS_PER_TICK: u64 = 10;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name of the program in parentheses. It may contain spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) * MS_PER_TICK)
}
