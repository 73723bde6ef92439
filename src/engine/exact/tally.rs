//! The accumulators of aggregates whose partial results are bytes: for one group, for many groups, for sliding windows and for distinct
//! values.

use std::fmt::Debug;
use std::mem::size_of;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, LargeBinaryArray, LargeBinaryBuilder};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// The partial result of a group. It must not depend on the order of rows and merges.
pub trait Tally: Clone + Default + Debug + Send + Sync + 'static {
    /// Adds a row without nulls, or removes one that was added before.
    fn add(&mut self, values: &[f64], is_added: bool);
    /// Adds another partial result.
    fn merge(&mut self, other: Self);
    /// Serialises it for [`Tally::read`].
    fn write(&self, bytes: &mut Vec<u8>);
    /// Reads what [`Tally::write`] wrote.
    ///
    /// # Errors
    /// When the bytes are not a partial result.
    fn read(bytes: &mut &[u8]) -> Result<Self>;
    /// The bytes on the heap.
    fn heap_bytes(&self) -> usize;
}

/// Turns partial results into results.
pub type Finish<T> = fn(&[T]) -> ArrayRef;

/// The rows of some columns of doubles that have no null, one after the other.
///
/// # Errors
/// When a column is of another type.
pub fn rows(columns: &[ArrayRef], filter: Option<&BooleanArray>, mut each: impl FnMut(usize, &[f64])) -> Result<()> {
    let columns: Option<Vec<_>> = columns.iter().map(|column| column.as_primitive_opt::<arrow::datatypes::Float64Type>()).collect();
    let columns = columns.ok_or_else(|| DataFusionError::Internal("an exact aggregate takes doubles".to_owned()))?;
    let mut values = vec![0.0; columns.len()];
    let count = columns.first().map_or(0, |column| Array::len(*column));
    for row in 0..count {
        let is_wanted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        if is_wanted && columns.iter().all(|column| column.is_valid(row)) {
            values.iter_mut().zip(&columns).for_each(|(value, column)| *value = column.value(row));
            each(row, &values);
        }
    }
    Ok(())
}

fn states(columns: &[ArrayRef]) -> Result<&LargeBinaryArray> {
    let states = columns.first().and_then(|column| column.as_binary_opt::<i64>());
    states.ok_or_else(|| DataFusionError::Internal("an exact aggregate merges bytes".to_owned()))
}

fn written<T: Tally>(tallies: &[T]) -> ArrayRef {
    let mut bytes = Vec::new();
    let mut builder = LargeBinaryBuilder::with_capacity(tallies.len(), tallies.len() * 64);
    for tally in tallies {
        bytes.clear();
        tally.write(&mut bytes);
        builder.append_value(&bytes);
    }
    std::sync::Arc::new(builder.finish())
}

/// The accumulator of one group.
#[derive(Debug)]
pub struct One<T> {
    tally: T,
    finish: Finish<T>,
}

impl<T: Tally> One<T> {
    /// An accumulator without rows.
    pub fn new(finish: Finish<T>) -> Self {
        One { tally: T::default(), finish }
    }
}

impl<T: Tally> Accumulator for One<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values, None, |_, row| self.tally.add(row, true))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values, None, |_, row| self.tally.add(row, false))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&(self.finish)(std::slice::from_ref(&self.tally)), 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&written(std::slice::from_ref(&self.tally)), 0)?])
    }

    fn merge_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for mut bytes in states(columns)?.iter().flatten() {
            self.tally.merge(T::read(&mut bytes)?);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.tally.heap_bytes()
    }
}

/// The accumulator of many groups.
#[derive(Debug)]
pub struct Many<T> {
    tallies: Vec<T>,
    heap_bytes: usize,
    finish: Finish<T>,
}

impl<T: Tally> Many<T> {
    /// An accumulator without groups.
    pub fn new(finish: Finish<T>) -> Self {
        Many { tallies: Vec::new(), heap_bytes: 0, finish }
    }

    fn change(&mut self, group: usize, change: impl FnOnce(&mut T)) {
        let tally = &mut self.tallies[group];
        let before = tally.heap_bytes();
        change(tally);
        self.heap_bytes = (self.heap_bytes + tally.heap_bytes()).saturating_sub(before);
    }

    fn emit(&mut self, emit_to: EmitTo) -> Vec<T> {
        let emitted = emit_to.take_needed(&mut self.tallies);
        self.heap_bytes = self.tallies.iter().map(T::heap_bytes).sum();
        emitted
    }
}

impl<T: Tally> GroupsAccumulator for Many<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.tallies.resize(total_num_groups, T::default());
        rows(values, opt_filter, |row, values| self.change(group_indices[row], |tally| tally.add(values, true)))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok((self.finish)(&self.emit(emit_to)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![written(&self.emit(emit_to))])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.tallies.resize(total_num_groups, T::default());
        for (bytes, group) in states(values)?.iter().zip(group_indices) {
            if let Some(mut bytes) = bytes {
                let theirs = T::read(&mut bytes)?;
                self.change(*group, |tally| tally.merge(theirs));
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut tallies = vec![T::default(); values.first().map_or(0, Array::len)];
        rows(values, opt_filter, |row, values| tallies[row].add(values, true))?;
        Ok(vec![written(&tallies)])
    }

    fn size(&self) -> usize {
        self.tallies.capacity() * size_of::<T>() + self.heap_bytes
    }
}

/// The accumulator of the distinct values of one group.
#[derive(Debug)]
pub struct Distinct<T> {
    /// The bits of the values. Zero without a sign stands for both zeros.
    seen: std::collections::HashSet<u64>,
    finish: Finish<T>,
}

impl<T> Distinct<T> {
    /// An accumulator without rows.
    pub fn new(finish: Finish<T>) -> Self {
        Distinct { seen: std::collections::HashSet::new(), finish }
    }
}

impl<T: Tally> Accumulator for Distinct<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values, None, |_, row| {
            // Adding zero removes the sign of −0. All NaN count as one value.
            let value = if row[0].is_nan() { f64::NAN } else { row[0] + 0.0 };
            self.seen.insert(value.to_bits());
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut tally = T::default();
        // The order makes no difference to a tally.
        self.seen.iter().for_each(|bits| tally.add(&[f64::from_bits(*bits)], true));
        ScalarValue::try_from_array(&(self.finish)(&[tally]), 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut bytes: Vec<u8> = Vec::with_capacity(self.seen.len() * 8);
        self.seen.iter().for_each(|bits| bytes.extend(bits.to_le_bytes()));
        Ok(vec![ScalarValue::LargeBinary(Some(bytes))])
    }

    fn merge_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for bytes in states(columns)?.iter().flatten() {
            self.seen.extend(bytes.as_chunks::<8>().0.iter().map(|bits| u64::from_le_bytes(*bits)));
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.seen.capacity() * 9
    }
}
