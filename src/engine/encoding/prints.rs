//! Prints of texts: a few bytes that stand for texts which are only told apart, as those that are counted.
//!
//! A code costs a place in the dictionary, which keeps the text. A text that nobody asks for again needs none. Equal texts have equal prints.
//! Different ones have different prints, unless two of them collide in 88 bits: among 200 million texts that happens in one of ten thousand
//! million runs. The prints are made with a secret, so that nobody can choose texts that collide.

use std::hash::Hasher as _;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, utils::take_function_args};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use siphasher::sip128::{Hasher128, SipHasher13};

/// The bytes of a print: as many as fit into a key of 128 bits beside a code, when both may be null.
const BYTES: usize = 11;
/// The Arrow type of a print.
pub const PRINT: DataType = DataType::FixedSizeBinary(WIDTH);
const WIDTH: i32 = 11;
const PRINT_BITS: u32 = u8::BITS * WIDTH.unsigned_abs();
/// The rows that are put behind one another before repeated ones are left out.
const LEAST_ENTRIES: usize = 64;

/// The name of the aggregate that counts different prints.
pub const COUNT_PRINTS: &str = "count_prints";

/// The secret of the prints of an engine, once it is known.
pub type Secret = Arc<OnceLock<[u8; 16]>>;

/// The function that gives the prints of texts.
pub fn print_of(secret: &Secret) -> ScalarUDF {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(PrintOf { signature, secret: *secret.get_or_init(Default::default) })
}

/// The aggregate that counts different prints.
pub fn count_prints() -> AggregateUDF {
    AggregateUDF::from(CountPrints { signature: Signature::exact(vec![PRINT], Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PrintOf {
    signature: Signature,
    secret: [u8; 16],
}

impl ScalarUDFImpl for PrintOf {
    fn name(&self) -> &'static str {
        "print_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(PRINT)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), PRINT, args.arg_fields.iter().any(|field| field.is_nullable()))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [texts] = take_function_args(self.name(), args.args)?;
        let is_scalar = matches!(texts, ColumnarValue::Scalar(_));
        let texts = cast(&texts.into_array(if is_scalar { 1 } else { args.number_rows })?, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        let mut bytes = vec![0; texts.len() * BYTES];
        for (print, text) in bytes.chunks_exact_mut(BYTES).zip(texts) {
            let Some(text) = text else { continue };
            let mut hasher = SipHasher13::new_with_key(&self.secret);
            hasher.write(text.as_bytes());
            print.copy_from_slice(&hasher.finish128().as_bytes()[..BYTES]);
        }
        let prints: ArrayRef = Arc::new(FixedSizeBinaryArray::try_new(WIDTH, bytes.into(), texts.nulls().cloned())?);
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&prints, 0)?));
        }
        Ok(ColumnarValue::Array(prints))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountPrints {
    signature: Signature,
}

impl AggregateUDFImpl for CountPrints {
    fn name(&self) -> &'static str {
        COUNT_PRINTS
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(InAll(Counts::default())))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[prints]", args.name), DataType::List(item()), false))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Counts::default()))
    }
}

/// The element of a list of prints.
fn item() -> FieldRef {
    Arc::new(Field::new_list_field(PRINT, true))
}

fn prints(array: &ArrayRef) -> Result<&FixedSizeBinaryArray> {
    array
        .as_fixed_size_binary_opt()
        .filter(|_| array.data_type() == &PRINT)
        .ok_or_else(|| DataFusionError::Internal(format!("{} is not the type of a print", array.data_type())))
}

/// Lists of so many prints each, given their bytes.
fn lists_of(lengths: Vec<usize>, prints: Vec<u8>) -> Result<Vec<ArrayRef>> {
    let prints = FixedSizeBinaryArray::try_new(WIDTH, prints.into(), None)?;
    Ok(vec![Arc::new(ListArray::try_new(item(), OffsetBuffer::from_lengths(lengths), Arc::new(prints), None)?)])
}

fn lists(states: &[ArrayRef]) -> Result<&ListArray> {
    let lists = states.first().and_then(|state| state.as_list_opt());
    lists.ok_or_else(|| DataFusionError::Internal("what is merged are no lists of prints".to_owned()))
}

/// The different prints of each group.
///
/// Rows are put behind one another, and repeated ones are left out by sorting whenever the vector is full. A set would look up every row in
/// another place of memory, which takes longer.
#[derive(Debug, Default)]
struct Counts {
    /// The number of a group in the highest bits, and a print in those below. Those before `start` have been taken.
    entries: Vec<u128>,
    start: usize,
    is_in_order: bool,
    /// How many groups were taken before the first one. Groups keep their numbers in the entries.
    taken: usize,
    groups: usize,
}

impl Counts {
    fn add(&mut self, group: usize, print: &[u8]) {
        if self.entries.len() == self.entries.capacity() {
            self.leave_out_repeated();
            // If few rows are repeated it would soon be full again.
            if self.entries.len() > self.entries.capacity() / 2 {
                self.entries.reserve_exact(self.entries.capacity().max(LEAST_ENTRIES));
            }
        }
        let mut bytes = [0; size_of::<u128>()];
        bytes[..BYTES].copy_from_slice(print);
        self.entries.push(first_of(self.taken + group) | u128::from_le_bytes(bytes));
        self.is_in_order = false;
    }

    fn leave_out_repeated(&mut self) {
        self.entries.drain(..self.start);
        self.start = 0;
        if !self.is_in_order {
            self.entries.sort_unstable();
            self.entries.dedup();
            self.is_in_order = true;
        }
    }

    /// Takes the entries of the first groups, in order, with how many each group has. The others are not moved for that, as groups may be taken
    /// some at a time.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<u128>, Vec<usize>) {
        let emitted = match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(emitted) => emitted,
        };
        if !self.is_in_order || self.start > self.entries.len() / 2 {
            self.leave_out_repeated();
        }
        let left = &self.entries[self.start..];
        let entries = left[..left.partition_point(|entry| *entry < first_of(self.taken + emitted))].to_vec();
        let mut counts = vec![0; emitted];
        for entry in &entries {
            counts[usize::try_from(entry >> PRINT_BITS).unwrap_or(usize::MAX) - self.taken] += 1;
        }
        self.start += entries.len();
        self.taken += emitted;
        self.groups -= emitted;
        if self.groups == 0 {
            *self = Counts::default();
        }
        (entries, counts)
    }
}

/// The first entry that a group may have.
fn first_of(group: usize) -> u128 {
    (group as u128) << PRINT_BITS
}

impl GroupsAccumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, count: usize) -> Result<()> {
        self.groups = count;
        let [values] = take_function_args(COUNT_PRINTS, values)?;
        for (row, (print, &group)) in prints(values)?.iter().zip(groups).enumerate() {
            if let Some(print) = print
                && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
            {
                self.add(group, print);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (_, counts) = self.take(emit_to);
        Ok(Arc::new(counts.into_iter().map(|count| i64::try_from(count).ok()).collect::<Int64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (entries, counts) = self.take(emit_to);
        if i32::try_from(entries.len()).is_err() {
            return Err(DataFusionError::ResourcesExhausted("the different texts of a batch of groups are too many for a list".to_owned()));
        }
        let prints: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes().into_iter().take(BYTES)).collect();
        lists_of(counts, prints)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.groups = count;
        for (list, &group) in lists(states)?.iter().zip(groups) {
            let Some(list) = list else { continue };
            prints(&list)?.iter().flatten().for_each(|print| self.add(group, print));
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let [values] = take_function_args(COUNT_PRINTS, values)?;
        let prints = prints(values)?;
        let counts = |row: usize| prints.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let kept = (0..prints.len()).filter(|row| counts(*row)).flat_map(|row| prints.value(row).iter().copied()).collect();
        lists_of((0..prints.len()).map(|row| usize::from(counts(row))).collect(), kept)
    }

    fn size(&self) -> usize {
        self.entries.capacity() * size_of::<u128>()
    }
}

/// The different prints of all rows.
#[derive(Debug)]
struct InAll(Counts);

impl Accumulator for InAll {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; values.first().map_or(0, Array::len)];
        self.0.update_batch(values, &groups, None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.leave_out_repeated();
        Ok(ScalarValue::Int64(i64::try_from(self.0.entries.len()).ok()))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.groups = 1;
        let states = self.0.state(EmitTo::All)?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let groups = vec![0; states.first().map_or(0, Array::len)];
        self.0.merge_batch(states, &groups, 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    type Print = [u8; BYTES];

    fn column(prints: &[Option<Print>]) -> ArrayRef {
        let prints = prints.iter().map(|print| print.as_ref().map(<[u8; BYTES]>::as_slice));
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(prints, WIDTH).unwrap())
    }

    /// Counts in two parts that are merged, with some groups emitted before the others.
    #[test]
    fn prints_are_counted_once_in_each_group() {
        let (mut state, mut expected) = (7, BTreeMap::<usize, BTreeSet<Print>>::new());
        let mut parts = [Counts::default(), Counts::default()];
        for batch in 0..40 {
            let groups: Vec<usize> = (0..100).map(|_| usize::try_from(random(&mut state) % 50).unwrap()).collect();
            // Some differ in their first byte alone, others in their last.
            let byte = |state: &mut u64, below: u64| u8::try_from(random(state) % below).unwrap();
            let print =
                |state: &mut u64| (!random(state).is_multiple_of(9)).then(|| [byte(state, 4), 0, 0, 0, 7, 0, 0, 0, 0, 0, byte(state, 5)]);
            let values: Vec<Option<Print>> = (0..100).map(|_| print(&mut state)).collect();
            let filter: BooleanArray =
                (0..100).map(|_| [None, Some(false), Some(true), Some(true)][usize::try_from(random(&mut state) % 4).unwrap()]).collect();
            for (row, (group, value)) in groups.iter().zip(&values).enumerate() {
                expected.entry(*group).or_default();
                if let Some(value) = value.filter(|_| filter.is_valid(row) && filter.value(row)) {
                    expected.entry(*group).or_default().insert(value);
                }
            }
            let part = &mut parts[batch % 2];
            if batch % 3 == 0 {
                let states = part.convert_to_state(&[column(&values)], Some(&filter)).unwrap();
                part.merge_batch(&states, &groups, 50).unwrap();
            } else {
                part.update_batch(&[column(&values)], &groups, Some(&filter), 50).unwrap();
            }
        }
        let [mut one, mut other] = parts;
        let (first, rest) = (other.state(EmitTo::First(20)).unwrap(), other.state(EmitTo::All).unwrap());
        one.merge_batch(&first, &(0..20).collect::<Vec<_>>(), 50).unwrap();
        one.merge_batch(&rest, &(20..50).collect::<Vec<_>>(), 50).unwrap();
        let counts = [EmitTo::First(7), EmitTo::First(33), EmitTo::All].map(|emit_to| one.evaluate(emit_to).unwrap());
        let counts: Vec<i64> =
            counts.iter().flat_map(|counts| counts.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()).collect();
        assert_eq!(counts, expected.values().map(|prints| i64::try_from(prints.len()).unwrap()).collect::<Vec<_>>());
        assert!(one.entries.is_empty() && one.groups == 0);
    }
}
