//! What a step cost: the processor's time, bytes read, memory, what spilled; operator by operator when asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use serde::{Deserialize, Serialize};

/// What an operator of a query did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its name, as `HashJoinExec`.
    pub name: String,
    /// How many operators take its rows before the query gives them; 0 for the last one.
    pub depth: usize,
    /// The rows it gave.
    pub rows: u64,
    /// How long it computed, on all threads together; none where it does not tell.
    pub compute_ms: Option<u64>,
    /// Bytes that it wrote to disk because they did not fit the memory limit.
    pub spilled_bytes: u64,
}

/// The queries that ran since somebody asked, and what was read and spilled for them.
#[derive(Debug, Default)]
pub struct Work {
    running: Mutex<Vec<Arc<dyn ExecutionPlan>>>,
    told: Mutex<Vec<Operator>>,
    bytes_read: AtomicU64,
    bytes_spilled: AtomicU64,
}

/// What was done since somebody last asked.
#[derive(Debug)]
pub struct Done {
    /// The operators that ran.
    pub operators: Vec<Operator>,
    /// Bytes of extracts that were read.
    pub bytes_read: u64,
    /// Bytes that operators and kept tables put on disk.
    pub spilled_bytes: u64,
}

impl Work {
    /// Keeps a query that runs, to be asked when it has ended.
    pub fn runs(&self, plan: &Arc<dyn ExecutionPlan>) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(plan));
    }

    /// Counts bytes of extracts.
    pub fn reads(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Relaxed);
        super::watch::has_read(bytes);
    }

    /// Counts bytes of kept tables that were put on disk.
    pub fn spills(&self, bytes: u64) {
        self.bytes_spilled.fetch_add(bytes, Relaxed);
    }

    /// Asks what runs now what it did, and lets go of it, with what it holds.
    pub fn ends(&self) {
        let ended = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for plan in &ended {
            describe(plan, 0, &mut told);
        }
    }

    /// What was done since this was last asked.
    pub fn take(&self) -> Done {
        self.ends();
        let operators = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
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

/// How long this process has computed so far, on all threads together, in milliseconds; where Linux tells.
pub fn compute_ms() -> Option<u64> {
    /// The unit of `/proc`, whatever the kernel's own clock.
    const MS_PER_TICK: u64 = 10;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may have spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) * MS_PER_TICK)
}
