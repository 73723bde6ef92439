//! The shards of one execution, which all threads fill and then empty.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::cast::as_boolean_array;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SpillFile, TaskContext};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, aggregate_expressions, evaluate_many};
use datafusion::physical_plan::metrics::{SpillMetrics, Time};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, SpillManager};
use foldhash::fast::RandomState;
use futures::StreamExt;

use super::groups::{Argument, Groups, Rows};
use super::keys::KeyLayout;
use super::meeting::Meeting;

/// Shards for each thread, so that threads seldom wait for each other, and the least of all, so that what has gone to disk comes back in small
/// parts. With more of them rows are added in smaller lots, which takes longer.
const SHARDS_A_THREAD: usize = 4;
const LEAST_SHARDS: usize = 16;
/// What has gone to disk and does not fit when it comes back is divided into so many files, so often at most: then its hashes have no bits left.
const PARTS_ON_DISK: usize = 16;
const DIVISIONS: usize = 5;
/// When a thread's own table has so many groups, they go to the shards.
const OWN_GROUPS: usize = 1 << 14;
/// A thread keeps a table of its own while it joins so many rows in a group, on average.
const LEAST_ROWS_A_GROUP: usize = 4;

/// What is computed: by which keys rows are grouped, and which aggregates are made of each group.
#[derive(Debug)]
pub struct Grouping {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    arguments: Vec<Vec<Arc<dyn PhysicalExpr>>>,
    filters: Vec<Option<Arc<dyn PhysicalExpr>>>,
    layout: KeyLayout,
    /// The columns of the result, and which of them are equal.
    pub schema: SchemaRef,
    pub equivalences: EquivalenceProperties,
    /// When a thread's own table takes so many bytes, its groups go to the shards.
    own_bytes: usize,
    /// The columns of what the aggregates have of a group.
    states: SchemaRef,
}

impl Grouping {
    /// What two steps compute together.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn of(first: &AggregateExec, last: &AggregateExec, layout: KeyLayout, own_bytes: usize) -> Result<Self> {
        let aggregates = first.aggr_expr().to_vec();
        let mut states = first.group_expr().group_schema(&first.input_schema())?.fields().to_vec();
        for aggregate in &aggregates {
            states.extend(aggregate.state_fields()?);
        }
        Ok(Grouping {
            keys: first.group_expr().input_exprs(),
            arguments: aggregate_expressions(&aggregates, &AggregateMode::Partial, 0)?,
            aggregates,
            filters: first.filter_expr().to_vec(),
            layout,
            schema: last.schema(),
            equivalences: last.properties().equivalence_properties().clone(),
            own_bytes,
            states: Arc::new(Schema::new(states)),
        })
    }

    /// The keys, and the name of each aggregate.
    pub fn shown(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        let aggregates: Vec<&str> = self.aggregates.iter().map(|aggregate| aggregate.name()).collect();
        format!("gby=[{}], aggr=[{}]", keys.join(", "), aggregates.join(", "))
    }

    fn rows(&self, batch: &RecordBatch, hasher: &RandomState) -> Result<Rows> {
        let keys: Vec<ArrayRef> = self.keys.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows())).collect::<Result<_>>()?;
        let chosen = |filter: &Option<Arc<dyn PhysicalExpr>>| -> Result<Option<BooleanArray>> {
            let Some(filter) = filter else { return Ok(None) };
            Ok(Some(as_boolean_array(&filter.evaluate(batch)?.into_array(batch.num_rows())?)?.clone()))
        };
        let keys = self.layout.pack(&keys, batch.num_rows())?;
        let values = evaluate_many(&self.arguments, batch)?;
        let argument = |(expr, values): (&Arc<dyn PhysicalExpr>, ArrayRef)| Argument { values, is_constant: expr.is::<Literal>() };
        let arguments = |(exprs, values): (&Vec<_>, Vec<_>)| exprs.iter().zip(values).map(argument).collect();
        let arguments = self.arguments.iter().zip(values).map(arguments).collect();
        let filters = self.filters.iter().map(chosen).collect::<Result<_>>()?;
        Ok(Rows { hashes: hashes(&keys, hasher), keys, arguments, filters, are_states: false })
    }

    /// Groups that were taken from a table, to be added to another.
    fn states(&self, keys: Vec<u128>, states: Vec<Vec<ArrayRef>>, hasher: &RandomState) -> Rows {
        let arguments = states.into_iter().map(|state| state.into_iter().map(Argument::of).collect()).collect();
        Rows { hashes: hashes(&keys, hasher), keys, arguments, filters: vec![None; self.aggregates.len()], are_states: true }
    }

    /// Groups as they are written to disk.
    fn batch_of_states(&self, keys: Vec<u128>, states: Vec<Vec<ArrayRef>>) -> Result<RecordBatch> {
        let columns = self.layout.unpack(keys)?.into_iter().chain(states.into_iter().flatten()).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.states), columns)?)
    }

    fn states_of_batch(&self, batch: &RecordBatch, hasher: &RandomState) -> Result<Rows> {
        let (keys, states) = batch.columns().split_at(self.keys.len());
        let mut states = states.iter();
        let mut arguments = Vec::with_capacity(self.aggregates.len());
        for aggregate in &self.aggregates {
            arguments.push(states.by_ref().take(aggregate.state_fields()?.len()).cloned().collect());
        }
        Ok(self.states(self.layout.pack(keys, batch.num_rows())?, arguments, hasher))
    }
}

fn hashes(keys: &[u128], hasher: &RandomState) -> Vec<u64> {
    keys.iter().map(|key| hasher.hash_one(key)).collect()
}

/// Appends to a file; without a batch it ends the file.
type Writer = Box<dyn FnMut(Option<&RecordBatch>) -> Result<Option<Arc<dyn SpillFile>>> + Send>;

/// The groups of some keys.
struct Shard {
    groups: Groups,
    /// The bytes of it that are reserved.
    reserved_bytes: usize,
    on_disk: Option<Writer>,
}

/// Groups that are still to be finished.
enum Part {
    /// Those of a shard, by its number.
    Shard(usize),
    /// Those of a file, whose hashes were divided so often and into so many parts in all.
    File { file: Arc<dyn SpillFile>, divisions: usize, divided: usize },
}

/// What a thread has to finish, the next part last, and the bytes that it has reserved for the part before.
pub struct ToFinish {
    thread: usize,
    parts: Vec<Part>,
    reserved_bytes: usize,
}

/// The shards of one execution.
pub struct Shards {
    grouping: Arc<Grouping>,
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    /// By thread, the memory of the shards that it finishes.
    memory: Vec<MemoryReservation>,
    disk: SpillManager,
    batch_rows: usize,
    /// Where threads wait until all rows have been read, and until what must go to disk is there.
    pub meeting: Meeting,
    are_on_disk: AtomicBool,
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards").finish_non_exhaustive()
    }
}

impl Shards {
    /// Shards without groups, which so many threads will fill.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn new(grouping: &Arc<Grouping>, threads: usize, context: &TaskContext, spilled: SpillMetrics) -> Result<Self> {
        let shard = |_| Ok(Mutex::new(Shard { groups: Groups::new(&grouping.aggregates)?, reserved_bytes: 0, on_disk: None }));
        let consumer =
            |thread| MemoryConsumer::new(format!("ShardedAggregate[{thread}]")).with_can_spill(true).register(context.memory_pool());
        Ok(Shards {
            shards: (0..(threads * SHARDS_A_THREAD).max(LEAST_SHARDS).next_power_of_two()).map(shard).collect::<Result<_>>()?,
            hasher: RandomState::default(),
            memory: (0..threads).map(consumer).collect(),
            disk: SpillManager::new(context.runtime_env(), spilled, Arc::clone(&grouping.states)),
            grouping: Arc::clone(grouping),
            batch_rows: context.session_config().batch_size(),
            meeting: Meeting::of(threads),
            are_on_disk: AtomicBool::new(false),
        })
    }

    /// Adds the rows of a thread, and waits until the others have added theirs. What the thread finishes then.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn fill(&self, thread: usize, mut rows: SendableRecordBatchStream, computing: &Time) -> Result<ToFinish> {
        let mut own = Some(Groups::new(&self.grouping.aggregates)?);
        let mut joined_rows = 0;
        while let Some(batch) = rows.next().await.transpose()? {
            let _computing = computing.timer();
            let rows = self.grouping.rows(&batch, &self.hasher)?;
            let Some(groups) = &mut own else {
                self.deal_out(thread, rows)?;
                continue;
            };
            joined_rows += rows.len();
            groups.add(&rows, 0..rows.len())?;
            let is_full = groups.bytes() > self.grouping.own_bytes;
            if is_full || groups.len() > OWN_GROUPS {
                let joins_many = joined_rows >= LEAST_ROWS_A_GROUP * groups.len();
                self.deal_out_groups(thread, groups)?;
                joined_rows = 0;
                if is_full || !joins_many {
                    own = None;
                }
            }
        }
        drop(rows);
        if let Some(mut groups) = own {
            let _computing = computing.timer();
            self.deal_out_groups(thread, &mut groups)?;
        }
        self.meeting.wait(0).await?;
        let numbers: Vec<usize> = (thread..self.shards.len()).step_by(self.memory.len()).collect();
        // If groups are on disk, all of these shards go there, so that there is room for a part of each thread.
        if !self.are_on_disk.load(Relaxed) {
            return Ok(ToFinish { thread, parts: numbers.into_iter().rev().map(Part::Shard).collect(), reserved_bytes: 0 });
        }
        let mut parts = Vec::new();
        for number in numbers {
            self.put_on_disk(&mut self.shard(number), number)?;
            let on_disk = self.shard(number).on_disk.take();
            parts.extend(ended(on_disk, 0, self.shards.len())?);
        }
        self.meeting.wait(1).await?;
        Ok(ToFinish { thread, parts, reserved_bytes: 0 })
    }

    fn deal_out_groups(&self, thread: usize, groups: &mut Groups) -> Result<()> {
        if groups.len() == 0 {
            return Ok(());
        }
        let (keys, states) = groups.take_states()?;
        self.deal_out(thread, self.grouping.states(keys, states, &self.hasher))
    }

    /// Adds rows to the shards of their keys: first to those that no other thread is adding to.
    fn deal_out(&self, thread: usize, rows: Rows) -> Result<()> {
        let shards = self.shards.len();
        let (rows, ranges) = rows.in_parts(shards, 1)?;
        let first = thread * shards / self.memory.len();
        let (mut later, mut without_room) = (Vec::new(), Vec::new());
        let mut add = |number: usize, shard: &mut Shard| -> Result<()> {
            shard.groups.add(&rows, ranges[number].clone())?;
            if self.reserve(number, &shard.groups, &mut shard.reserved_bytes).is_err() {
                without_room.push(number % self.memory.len());
            }
            Ok(())
        };
        for number in (first..shards).chain(0..first).filter(|number| !ranges[*number].is_empty()) {
            match self.shards[number].try_lock() {
                Ok(mut shard) => add(number, &mut shard)?,
                Err(TryLockError::Poisoned(broken)) => add(number, &mut broken.into_inner())?,
                Err(TryLockError::WouldBlock) => later.push(number),
            }
        }
        for number in later {
            add(number, &mut self.shard(number))?;
        }
        let without_room = (0..shards).filter(|number| without_room.contains(&(number % self.memory.len())));
        without_room.into_iter().try_for_each(|number| self.put_on_disk(&mut self.shard(number), number))
    }

    fn shard(&self, number: usize) -> MutexGuard<'_, Shard> {
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves what groups take beyond what is reserved for them, in the memory of a shard.
    fn reserve(&self, number: usize, groups: &Groups, reserved_bytes: &mut usize) -> Result<()> {
        let (memory, bytes) = (&self.memory[number % self.memory.len()], groups.bytes());
        if bytes > *reserved_bytes {
            memory.try_grow(bytes - *reserved_bytes)?;
        } else {
            memory.shrink(*reserved_bytes - bytes);
        }
        *reserved_bytes = bytes;
        Ok(())
    }

    fn put_on_disk(&self, shard: &mut Shard, number: usize) -> Result<()> {
        if shard.groups.len() == 0 {
            return Ok(());
        }
        self.are_on_disk.store(true, Relaxed);
        let mut groups = std::mem::replace(&mut shard.groups, Groups::new(&self.grouping.aggregates)?);
        let (keys, states) = groups.take_states()?;
        let mut writer = shard.on_disk.take().map_or_else(|| self.writer(), Ok)?;
        self.write(&mut writer, &self.grouping.batch_of_states(keys, states)?)?;
        shard.on_disk = Some(writer);
        self.memory[number % self.memory.len()].shrink(std::mem::take(&mut shard.reserved_bytes));
        Ok(())
    }

    fn writer(&self) -> Result<Writer> {
        let mut file = self.disk.create_in_progress_file("groups of a shard")?;
        Ok(Box::new(move |batch| match batch {
            Some(batch) => file.append_batch(batch).map(|_| None),
            None => file.finish(),
        }))
    }

    fn write(&self, writer: &mut Writer, batch: &RecordBatch) -> Result<()> {
        for start in (0..batch.num_rows()).step_by(self.batch_rows) {
            writer(Some(&batch.slice(start, self.batch_rows.min(batch.num_rows() - start))))?;
        }
        Ok(())
    }

    /// Finishes the next part: its groups with their results, in batches. None when there are no more parts.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn finish_next(&self, to_finish: &mut ToFinish, computing: &Time) -> Result<Option<Vec<RecordBatch>>> {
        self.memory[to_finish.thread].shrink(std::mem::take(&mut to_finish.reserved_bytes));
        let groups = match to_finish.parts.pop() {
            None => return Ok(None),
            Some(Part::Shard(number)) => {
                let mut shard = self.shard(number);
                to_finish.reserved_bytes = std::mem::take(&mut shard.reserved_bytes);
                std::mem::replace(&mut shard.groups, Groups::new(&[])?)
            }
            Some(Part::File { file, divisions, divided }) => self.read(file, divisions, divided, to_finish, computing).await?,
        };
        let _computing = computing.timer();
        if groups.len() == 0 {
            return Ok(Some(Vec::new()));
        }
        let (keys, results) = groups.finish()?;
        let columns = self.grouping.layout.unpack(keys)?.into_iter().chain(results).collect();
        let all = RecordBatch::try_new(Arc::clone(&self.grouping.schema), columns)?;
        let starts = (0..all.num_rows()).step_by(self.batch_rows);
        Ok(Some(starts.map(|start| all.slice(start, self.batch_rows.min(all.num_rows() - start))).collect()))
    }

    /// The groups of a file. If they do not fit they are divided into files that are to be finished, and there are none.
    async fn read(
        &self,
        file: Arc<dyn SpillFile>,
        divisions: usize,
        divided: usize,
        to_finish: &mut ToFinish,
        computing: &Time,
    ) -> Result<Groups> {
        let mut groups = Groups::new(&self.grouping.aggregates)?;
        let mut files: Vec<Writer> = Vec::new();
        let mut batches = self.disk.read_spill_as_stream(file, None)?;
        while let Some(batch) = batches.next().await.transpose()? {
            let _computing = computing.timer();
            let rows = self.grouping.states_of_batch(&batch, &self.hasher)?;
            if !files.is_empty() {
                self.divide(&mut files, rows, divided)?;
                continue;
            }
            groups.add(&rows, 0..rows.len())?;
            if let Err(error) = self.reserve(to_finish.thread, &groups, &mut to_finish.reserved_bytes) {
                if divisions == DIVISIONS {
                    return Err(error);
                }
                files = (0..PARTS_ON_DISK).map(|_| self.writer()).collect::<Result<_>>()?;
                let (keys, states) = groups.take_states()?;
                groups = Groups::new(&self.grouping.aggregates)?;
                self.memory[to_finish.thread].shrink(std::mem::take(&mut to_finish.reserved_bytes));
                self.divide(&mut files, self.grouping.states(keys, states, &self.hasher), divided)?;
            }
        }
        for file in files {
            to_finish.parts.extend(ended(Some(file), divisions + 1, divided * PARTS_ON_DISK)?);
        }
        Ok(groups)
    }

    /// Writes groups to files by bits of their hashes that have told nothing apart so far.
    fn divide(&self, files: &mut [Writer], groups: Rows, divided: usize) -> Result<()> {
        let (groups, ranges) = groups.in_parts(files.len(), divided)?;
        let Rows { keys, arguments, .. } = groups;
        let states = arguments.into_iter().map(|states| states.into_iter().map(|state| state.values).collect()).collect();
        let batch = self.grouping.batch_of_states(keys, states)?;
        for (file, range) in files.iter_mut().zip(ranges).filter(|(_, range)| !range.is_empty()) {
            self.write(file, &batch.slice(range.start, range.len()))?;
        }
        Ok(())
    }
}

/// The part that a file is when nothing more is written to it.
fn ended(writer: Option<Writer>, divisions: usize, divided: usize) -> Result<Option<Part>> {
    let Some(mut writer) = writer else { return Ok(None) };
    Ok(writer(None)?.map(|file| Part::File { file, divisions, divided }))
}
