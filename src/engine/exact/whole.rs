//! Sums and means of integers, decimals and durations that never wrap around.
//!
//! A sum has the width of its values, which is fast and small, and a count of overflows, which are rare. So it does not depend on the order
//! of rows: a sum that overflows in between and comes back is right, and a result that does not fit in the end is an error.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{Debug, Formatter};
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, Int64Array, PrimitiveArray, UInt64Array,
};
use arrow::datatypes::{DataType, Int64Type, ToByteSlice, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use num_bigint::BigInt;

use super::super::overflow;
use super::double::Scaled;

/// The exact sum of a group.
pub struct Whole<N> {
    /// Its lowest bits.
    pub low: N,
    /// How many times it overflowed upwards, minus how many times downwards.
    pub carry: i64,
    /// The number of values; for a sum at most one, since only whether there is any matters.
    pub rows: u64,
}

/// Turns the sums of groups into results of a type.
pub type Finish<T> = fn(&[Whole<<T as ArrowPrimitiveType>::Native>], &Settings) -> Result<ArrayRef>;

/// The properties of the aggregate that its accumulators need.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The type of the values.
    pub input: DataType,
    /// The type of the result.
    pub result: DataType,
    /// Whether rows are counted. If not, an accumulator only knows whether there were any.
    pub counts: bool,
}

/// The accumulator of many groups.
pub struct Many<T: ArrowPrimitiveType> {
    lows: Vec<T::Native>,
    carries: BTreeMap<usize, i64>,
    /// For each group whether it has a value, if rows are not counted.
    seen: Vec<bool>,
    rows: Vec<u64>,
    finish: Finish<T>,
    settings: Settings,
}

/// The accumulator of one group.
pub struct One<T: ArrowPrimitiveType>(Many<T>);

impl<T: ArrowPrimitiveType> Debug for One<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("One").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl<T: ArrowPrimitiveType> Debug for Distinct<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Distinct").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn has_sign<N: ArrowNativeTypeOp>() -> bool {
    N::ZERO.sub_wrapping(N::ONE) < N::ZERO
}

impl<T: ArrowPrimitiveType> Many<T>
where
    T::Native: ArrowNativeTypeOp,
{
    /// An accumulator without groups.
    pub fn new(settings: Settings, finish: Finish<T>) -> Self {
        Many { lows: Vec::new(), carries: BTreeMap::new(), seen: Vec::new(), rows: Vec::new(), finish, settings }
    }

    fn grow(&mut self, groups: usize) {
        self.lows.resize(groups, T::Native::ZERO);
        if self.settings.counts {
            self.rows.resize(groups, 0);
        } else {
            self.seen.resize(groups, false);
        }
    }

    fn add(&mut self, group: usize, value: T::Native) {
        let low = &mut self.lows[group];
        match low.add_checked(value) {
            Ok(sum) => *low = sum,
            Err(_) => {
                *low = low.add_wrapping(value);
                self.carry(group, if value < T::Native::ZERO { -1 } else { 1 });
            }
        }
    }

    fn take_away(&mut self, group: usize, value: T::Native) {
        let low = &mut self.lows[group];
        match low.sub_checked(value) {
            Ok(sum) => *low = sum,
            Err(_) => {
                *low = low.sub_wrapping(value);
                self.carry(group, if value < T::Native::ZERO { 1 } else { -1 });
            }
        }
    }

    #[cold]
    fn carry(&mut self, group: usize, by: i64) {
        let carry = self.carries.entry(group).or_default();
        *carry += by;
        if *carry == 0 {
            self.carries.remove(&group);
        }
    }

    fn see(&mut self, group: usize, rows: u64) {
        if self.settings.counts {
            self.rows[group] += rows;
        } else {
            self.seen[group] = true;
        }
    }

    fn emit(&mut self, emit_to: EmitTo) -> Vec<Whole<T::Native>> {
        let lows = emit_to.take_needed(&mut self.lows);
        let rows = if self.settings.counts {
            emit_to.take_needed(&mut self.rows)
        } else {
            emit_to.take_needed(&mut self.seen).into_iter().map(u64::from).collect()
        };
        let later = self.carries.split_off(&lows.len());
        let carries = std::mem::take(&mut self.carries);
        self.carries = later.into_iter().map(|(group, carry)| (group - lows.len(), carry)).collect();
        let whole = |(group, (low, rows))| Whole { low, carry: carries.get(&group).copied().unwrap_or(0), rows };
        lows.into_iter().zip(rows).enumerate().map(whole).collect()
    }

    fn values<'v>(&self, values: &'v [ArrayRef]) -> Result<&'v PrimitiveArray<T>> {
        let found = values.first().and_then(|column| column.as_primitive_opt::<T>());
        found.ok_or_else(|| DataFusionError::Internal(format!("a sum of {} was given something else", self.settings.input)))
    }

    fn states(&self, wholes: &[Whole<T::Native>]) -> Vec<ArrayRef> {
        let sums: PrimitiveArray<T> = wholes.iter().map(|whole| (whole.rows > 0).then_some(whole.low)).collect();
        let carries: Int64Array = wholes.iter().map(|whole| Some(whole.carry)).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(sums.with_data_type(self.state_type())), Arc::new(carries)];
        if self.settings.counts {
            columns.push(Arc::new(wholes.iter().map(|whole| Some(whole.rows)).collect::<UInt64Array>()));
        }
        columns
    }

    /// The type of a partial sum. Sums beyond its precision are still right.
    fn state_type(&self) -> DataType {
        if self.settings.counts { self.settings.input.clone() } else { self.settings.result.clone() }
    }
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for Many<T>
where
    T::Native: ArrowNativeTypeOp,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let values = self.values(values)?;
        if values.null_count() == 0 && opt_filter.is_none() {
            for (group, value) in group_indices.iter().zip(values.values()) {
                self.add(*group, *value);
                self.see(*group, 1);
            }
            return Ok(());
        }
        for (row, group) in group_indices.iter().enumerate() {
            if values.is_valid(row) && opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                self.add(*group, values.value(row));
                self.see(*group, 1);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        (self.finish)(&self.emit(emit_to), &self.settings)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let wholes = self.emit(emit_to);
        Ok(self.states(&wholes))
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.grow(total_num_groups);
        let sums = self.values(values)?;
        let other = || DataFusionError::Internal("a sum merges something else".to_owned());
        let carries = values.get(1).and_then(|column| column.as_primitive_opt::<Int64Type>()).ok_or_else(other)?;
        let rows = values.get(2).and_then(|column| column.as_primitive_opt::<UInt64Type>());
        for (row, group) in group_indices.iter().enumerate() {
            if sums.is_valid(row) {
                self.add(*group, sums.value(row));
                let carry = carries.value(row);
                if carry != 0 {
                    self.carry(*group, carry);
                }
                self.see(*group, rows.map_or(1, |rows| rows.value(row)));
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = self.values(values)?;
        let is_seen = |row: usize| values.is_valid(row) && opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let whole = |row| Whole { low: values.value(row), carry: 0, rows: u64::from(is_seen(row)) };
        Ok(self.states(&(0..values.len()).map(whole).collect::<Vec<_>>()))
    }

    fn size(&self) -> usize {
        let carries = self.carries.len() * 4 * size_of::<usize>();
        self.lows.capacity() * size_of::<T::Native>() + self.seen.capacity() + self.rows.capacity() * size_of::<u64>() + carries
    }
}

impl<T: ArrowPrimitiveType> One<T>
where
    T::Native: ArrowNativeTypeOp,
{
    /// An accumulator without rows. It counts rows, so that a sliding window knows when it has none.
    pub fn new(settings: Settings, finish: Finish<T>) -> Self {
        let mut many = Many::new(settings, finish);
        many.rows.push(0);
        many.seen.push(false);
        many.lows.push(T::Native::ZERO);
        One(many)
    }

    fn whole(&self) -> Whole<T::Native> {
        Whole { low: self.0.lows[0], carry: self.0.carries.get(&0).copied().unwrap_or(0), rows: self.0.rows[0] }
    }
}

impl<T: ArrowPrimitiveType> Accumulator for One<T>
where
    T::Native: ArrowNativeTypeOp,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in self.0.values(values)?.iter().flatten() {
            self.0.add(0, value);
            self.0.rows[0] += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in self.0.values(values)?.iter().flatten() {
            self.0.take_away(0, value);
            self.0.rows[0] -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&(self.0.finish)(&[self.whole()], &self.0.settings)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.states(&[self.whole()]).iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = self.0.rows[0];
        let groups = vec![0; states.first().map_or(0, Array::len)];
        self.0.merge_batch(states, &groups, 1)?;
        if !self.0.settings.counts && self.0.seen[0] {
            self.0.rows[0] = rows.max(1);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// The accumulator of the distinct values of one group.
pub struct Distinct<T: ArrowPrimitiveType> {
    seen: HashSet<Vec<u8>>,
    values: Vec<T::Native>,
    finish: Finish<T>,
    settings: Settings,
}

impl<T: ArrowPrimitiveType> Distinct<T>
where
    T::Native: ArrowNativeTypeOp,
{
    /// An accumulator without rows.
    pub fn new(settings: Settings, finish: Finish<T>) -> Self {
        Distinct { seen: HashSet::new(), values: Vec::new(), finish, settings }
    }

    fn see(&mut self, values: &PrimitiveArray<T>) {
        for value in values.iter().flatten() {
            if self.seen.insert(value.to_byte_slice().to_vec()) {
                self.values.push(value);
            }
        }
    }
}

impl<T: ArrowPrimitiveType> Accumulator for Distinct<T>
where
    T::Native: ArrowNativeTypeOp,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values.first().and_then(|column| column.as_primitive_opt::<T>());
        self.see(values.ok_or_else(|| DataFusionError::Internal("a sum was given something else".to_owned()))?);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut one = One::<T>::new(self.settings.clone(), self.finish);
        for value in &self.values {
            one.0.add(0, *value);
            one.0.rows[0] += 1;
        }
        one.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = PrimitiveArray::<T>::from_iter_values(self.values.iter().copied()).with_data_type(self.settings.input.clone());
        let list = datafusion::common::utils::SingleRowListArrayBuilder::new(Arc::new(values)).with_nullable(true);
        Ok(vec![list.build_list_scalar()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states.first().and_then(|column| column.as_list_opt::<i32>());
        for list in lists.into_iter().flat_map(|lists| lists.iter().flatten()) {
            self.see(list.as_primitive::<T>());
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * (size_of::<T::Native>() * 2 + 4 * size_of::<usize>())
    }
}

fn wide<N: ArrowNativeTypeOp + ToByteSlice>(whole: &Whole<N>) -> BigInt {
    let bytes = whole.low.to_byte_slice();
    let low = if has_sign::<N>() { BigInt::from_signed_bytes_le(bytes) } else { BigInt::from_bytes_le(num_bigint::Sign::Plus, bytes) };
    low + (BigInt::from(whole.carry) << (8 * bytes.len()))
}

/// The error of a result that does not fit its type.
pub fn beyond(what: &str, data_type: &DataType) -> DataFusionError {
    let name = match data_type {
        DataType::Int64 => "bigint",
        _ if data_type.is_decimal() => "decimal",
        DataType::Timestamp(..) => "timestamp",
        DataType::Interval(_) => "interval",
        DataType::Duration(_) => "duration",
        _ => "integer",
    };
    overflow(format!("{what} is beyond what its type can hold ({name}); cast its operands to a wider type, or to double"))
}

/// The sums in the result type.
///
/// # Errors
/// When one does not fit.
pub fn sums<T: ArrowPrimitiveType>(wholes: &[Whole<T::Native>], settings: &Settings) -> Result<ArrayRef>
where
    T::Native: ArrowNativeTypeOp,
{
    let is_decimal = settings.result.is_decimal();
    if wholes.iter().any(|whole| whole.carry != 0) {
        return Err(beyond("a sum", &settings.result));
    }
    let sums: PrimitiveArray<T> = wholes.iter().map(|whole| (whole.rows > 0).then_some(whole.low)).collect();
    let sums: ArrayRef = Arc::new(sums.with_data_type(settings.result.clone()));
    if is_decimal && !fits_precision(&sums) {
        return Err(beyond("a sum", &settings.result));
    }
    Ok(sums)
}

/// Whether all decimals have no more digits than their type allows.
pub fn fits_precision(values: &ArrayRef) -> bool {
    use arrow::datatypes::{Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type};
    match values.data_type() {
        DataType::Decimal32(precision, _) => values.as_primitive::<Decimal32Type>().validate_decimal_precision(*precision).is_ok(),
        DataType::Decimal64(precision, _) => values.as_primitive::<Decimal64Type>().validate_decimal_precision(*precision).is_ok(),
        DataType::Decimal128(precision, _) => values.as_primitive::<Decimal128Type>().validate_decimal_precision(*precision).is_ok(),
        DataType::Decimal256(precision, _) => values.as_primitive::<Decimal256Type>().validate_decimal_precision(*precision).is_ok(),
        _ => true,
    }
}

/// The means of integers: the doubles nearest to them.
///
/// # Errors
/// None.
#[expect(clippy::unnecessary_wraps, reason = "it is one of several that finish")]
pub fn means_as_doubles<T: ArrowPrimitiveType>(wholes: &[Whole<T::Native>], _: &Settings) -> Result<ArrayRef>
where
    T::Native: ArrowNativeTypeOp,
{
    let mean = |whole: &Whole<T::Native>| (whole.rows > 0).then(|| Scaled::whole(wide(whole)).over(&Scaled::whole(whole.rows)));
    Ok(Arc::new(wholes.iter().map(mean).collect::<arrow::array::Float64Array>()))
}

/// The means of decimals and durations, truncated after the last digit of the result type.
///
/// # Errors
/// When one does not fit.
pub fn means<T: ArrowPrimitiveType>(wholes: &[Whole<T::Native>], settings: &Settings) -> Result<ArrayRef>
where
    T::Native: ArrowNativeTypeOp,
{
    let digits = |data_type: &DataType| match data_type {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
            i32::from(*scale)
        }
        _ => 0,
    };
    let more = BigInt::from(10u8).pow((digits(&settings.result) - digits(&settings.input)).unsigned_abs());
    let mean = |whole: &Whole<T::Native>| {
        if whole.rows == 0 {
            return Ok(None);
        }
        native::<T>(&(wide(whole) * &more / whole.rows)).map(Some).ok_or_else(|| beyond("a mean", &settings.result))
    };
    let means = wholes.iter().map(mean).collect::<Result<PrimitiveArray<T>>>()?;
    let means: ArrayRef = Arc::new(means.with_data_type(settings.result.clone()));
    if fits_precision(&means) { Ok(means) } else { Err(beyond("a mean", &settings.result)) }
}

/// Converts an integer to a type, if it fits.
fn native<T: ArrowPrimitiveType>(number: &BigInt) -> Option<T::Native> {
    let mut bytes = number.to_signed_bytes_le();
    let width = size_of::<T::Native>();
    if bytes.len() > width {
        return None;
    }
    let filler = if number.sign() == num_bigint::Sign::Minus { u8::MAX } else { 0 };
    bytes.resize(width, filler);
    let data = arrow::array::ArrayData::builder(T::DATA_TYPE).len(1).add_buffer(bytes.into()).align_buffers(true).build().ok()?;
    PrimitiveArray::<T>::from(data).values().first().copied()
}
