//! The smallest and the largest double of a group in the total order of IEEE 754, in which −0 comes before 0 and NaN after infinity.
//! DataFusion's own aggregates treat NaN as equal to every number, so their results would depend on the order of rows.

use std::cmp::Ordering;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float16Type, Float32Type, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature, StatisticsArgs,
};

/// DataFusion's `min` or `max`, with an implementation of its own for doubles.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Extreme(pub Arc<AggregateUDF>);

impl Extreme {
    fn wanted(&self) -> Ordering {
        if self.0.name() == "min" { Ordering::Less } else { Ordering::Greater }
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.0.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.0.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.0.create_sliding_accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.return_type().is_floating() {
            return Ok(vec![Arc::new(Field::new(format!("{}[value]", args.name), args.return_type().clone(), true))]);
        }
        self.0.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        args.return_type().is_floating() || self.0.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match args.return_type() {
            DataType::Float16 => Box::new(Extremes::<Float16Type>::new(self.wanted())),
            DataType::Float32 => Box::new(Extremes::<Float32Type>::new(self.wanted())),
            DataType::Float64 => Box::new(Extremes::<Float64Type>::new(self.wanted())),
            _ => return self.0.create_groups_accumulator(args),
        })
    }

    fn is_descending(&self) -> Option<bool> {
        self.0.is_descending()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        // Statistics of a file do not include NaN, so they cannot answer the query.
        if args.return_type.is_floating() { None } else { self.0.value_from_stats(args) }
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.0.inner().set_monotonicity(data_type)
    }
}

#[derive(Debug)]
struct Extremes<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    seen: Vec<bool>,
    wanted: Ordering,
}

impl<T: ArrowPrimitiveType> Extremes<T>
where
    T::Native: ArrowNativeTypeOp,
{
    fn new(wanted: Ordering) -> Self {
        Extremes { values: Vec::new(), seen: Vec::new(), wanted }
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let seen = emit_to.take_needed(&mut self.seen);
        let values = emit_to.take_needed(&mut self.values).into_iter().zip(seen);
        Arc::new(values.map(|(value, seen)| seen.then_some(value)).collect::<PrimitiveArray<T>>())
    }
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for Extremes<T>
where
    T::Native: ArrowNativeTypeOp,
{
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, count: usize) -> Result<()> {
        self.values.resize(count, T::Native::ZERO);
        self.seen.resize(count, false);
        let values = values.first().and_then(|column| column.as_primitive_opt::<T>());
        let values = values.ok_or_else(|| DataFusionError::Internal("an extreme was asked of something else".to_owned()))?;
        for (row, &group) in groups.iter().enumerate() {
            if values.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                let value = values.value(row);
                if !self.seen[group] || value.compare(self.values[group]) == self.wanted {
                    self.values[group] = value;
                    self.seen[group] = true;
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.emit(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.update_batch(values, groups, None, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let Some(column) = values.first() else { return Ok(Vec::new()) };
        let Some(filter) = filter else { return Ok(vec![Arc::clone(column)]) };
        let left_out = (0..filter.len()).map(|row| Some(!(filter.is_valid(row) && filter.value(row)))).collect::<BooleanArray>();
        Ok(vec![arrow::compute::nullif(column, &left_out)?])
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.seen.capacity()
    }
}
