//! A table of groups: their keys, and what the aggregates have of each.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::take;
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

use super::numbered::Numbered;
use crate::engine::halves::upper_half;

/// Rows, or groups of rows, that are added to tables of groups.
pub struct Rows {
    pub keys: Vec<u128>,
    pub hashes: Vec<u64>,
    /// By aggregate, its arguments or the columns of its state.
    pub arguments: Vec<Vec<Argument>>,
    /// By aggregate, which rows it takes.
    pub filters: Vec<Option<BooleanArray>>,
    /// Whether they are groups, with what the aggregates have of each.
    pub are_states: bool,
}

/// The values of an argument.
pub struct Argument {
    pub values: ArrayRef,
    /// Whether all rows have the same.
    pub is_constant: bool,
}

impl Argument {
    /// A column whose values may differ.
    pub fn of(values: ArrayRef) -> Self {
        Argument { values, is_constant: false }
    }

    fn in_order(self, order: &UInt32Array) -> Result<Self> {
        let values = if self.is_constant { self.values } else { take(&self.values, order, None)? };
        Ok(Argument { values, ..self })
    }
}

impl Rows {
    /// Divides the rows by their hashes into `parts` parts, a power of two, and says where each begins and ends. Earlier divisions have made
    /// `divided_before` parts of them in all: the bits of hashes that told those apart are passed over. Places in an index depend on others.
    ///
    /// # Errors
    /// Arrow's own.
    pub fn in_parts(self, parts: usize, divided_before: usize) -> Result<(Rows, Vec<Range<usize>>)> {
        let part_of = |hash: u64| (upper_half(hash) as usize / divided_before) & (parts - 1);
        let mut ends = vec![0_usize; parts];
        self.hashes.iter().for_each(|hash| ends[part_of(*hash)] += 1);
        let mut end = 0;
        for of_part in &mut ends {
            end += *of_part;
            *of_part = end - *of_part;
        }
        // Each begins where it will end when all rows of the part have their places.
        let starts = ends.clone();
        let mut order = vec![0_u32; self.hashes.len()];
        for (row, hash) in (0_u32..).zip(&self.hashes) {
            let next = &mut ends[part_of(*hash)];
            order[*next] = row;
            *next += 1;
        }
        let keys = order.iter().map(|row| self.keys[*row as usize]).collect();
        let hashes = order.iter().map(|row| self.hashes[*row as usize]).collect();
        let order = UInt32Array::from(order);
        let in_order = |arguments: Vec<Argument>| arguments.into_iter().map(|argument| argument.in_order(&order)).collect::<Result<_>>();
        let arguments = self.arguments.into_iter().map(in_order).collect::<Result<_>>()?;
        let chosen = |filter: Option<BooleanArray>| filter.map(|filter| Ok(take(&filter, &order, None)?.as_boolean().clone()));
        let filters = self.filters.into_iter().map(|filter| chosen(filter).transpose()).collect::<Result<_>>()?;
        let ranges = starts.into_iter().zip(ends).map(|(start, end)| start..end).collect();
        Ok((Rows { keys, hashes, arguments, filters, are_states: self.are_states }, ranges))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }
}

/// A table of groups.
pub struct Groups {
    keys: Numbered,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    /// The group of each row that was added last.
    found: Vec<usize>,
}

impl Groups {
    /// A table without groups.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn new(aggregates: &[Arc<AggregateFunctionExpr>]) -> Result<Self> {
        let accumulators = aggregates.iter().map(|aggregate| aggregate.create_groups_accumulator()).collect::<Result<_>>()?;
        Ok(Groups { keys: Numbered::default(), accumulators, found: Vec::new() })
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.accumulators.iter().map(|accumulator| accumulator.size()).sum::<usize>()
    }

    /// Adds some of the rows.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn add(&mut self, rows: &Rows, range: Range<usize>) -> Result<()> {
        self.keys.number(&rows.keys[range.clone()], &rows.hashes[range.clone()], &mut self.found)?;
        let groups = self.keys.len();
        for ((accumulator, arguments), filter) in self.accumulators.iter_mut().zip(&rows.arguments).zip(&rows.filters) {
            let arguments = arguments.iter().map(|argument| argument.values.slice(range.start, range.len()));
            let arguments: Vec<ArrayRef> = arguments.collect();
            if rows.are_states {
                accumulator.merge_batch(&arguments, &self.found, groups)?;
            } else {
                let filter = filter.as_ref().map(|filter| filter.slice(range.start, range.len()));
                accumulator.update_batch(&arguments, &self.found, filter.as_ref(), groups)?;
            }
        }
        Ok(())
    }

    /// Takes all groups with what the aggregates have of each, and leaves none.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn take_states(&mut self) -> Result<(Vec<u128>, Vec<Vec<ArrayRef>>)> {
        let states = self.accumulators.iter_mut().map(|accumulator| accumulator.state(EmitTo::All)).collect::<Result<_>>()?;
        Ok((self.keys.take_keys(), states))
    }

    /// The keys of all groups and their results, by aggregate.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn finish(mut self) -> Result<(Vec<u128>, Vec<ArrayRef>)> {
        let results = self.accumulators.iter_mut().map(|accumulator| accumulator.evaluate(EmitTo::All)).collect::<Result<_>>()?;
        Ok((self.keys.take_keys(), results))
    }
}
