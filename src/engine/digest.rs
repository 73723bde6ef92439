//! Digests of rows that do not depend on their order: each row has a hash of 128 bits, and a set of rows has the sum of those of its rows.
//!
//! The hash is SipHash-1-3 with a fixed key over the row's values in a form of our own, so that it is the same for any number of threads, any
//! version of the libraries, and texts with or without codes. It tells rows apart that differ by accident; nobody is kept from making two
//! rows with one hash.

use std::fmt::Write;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field, FieldRef, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use siphasher::sip128::SipHasher13;

use crate::cast::is_text;

/// The version of the digests: those of different versions cannot be compared.
pub const DIGEST_VERSION: i64 = 1;

/// The bytes of a digest.
const BYTES: i32 = 16;

/// The type of a digest.
pub const DIGEST: DataType = DataType::FixedSizeBinary(BYTES);

/// The function of a row's values that gives its hash.
pub fn row_digest() -> ScalarUDF {
    ScalarUDF::from(RowDigest { signature: Signature::variadic_any(Volatility::Immutable) })
}

/// The aggregate that adds up the hashes of rows.
pub fn digest_sum() -> AggregateUDF {
    AggregateUDF::from(DigestSum { signature: Signature::exact(vec![DIGEST], Volatility::Immutable) })
}

/// A digest from its bytes.
pub fn digest_of(bytes: &[u8]) -> u128 {
    bytes.try_into().map_or(0, u128::from_le_bytes)
}

/// A column of digests.
///
/// # Errors
/// Arrow's own.
pub fn digests(sums: impl IntoIterator<Item = u128>) -> Result<ArrayRef> {
    let mut bytes = Vec::new();
    sums.into_iter().for_each(|sum| bytes.extend_from_slice(&sum.to_le_bytes()));
    Ok(Arc::new(FixedSizeBinaryArray::try_new(BYTES, Buffer::from_vec(bytes), None)?))
}

/// The hash of the bytes of one row.
fn hash(bytes: &[u8]) -> u128 {
    SipHasher13::new().hash(bytes).as_u128()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RowDigest {
    signature: Signature,
}

impl ScalarUDFImpl for RowDigest {
    fn name(&self) -> &'static str {
        "row_digest"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DIGEST)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns: Vec<ArrayRef> = args.args.iter().map(|value| plain(&value.to_array(args.number_rows)?)).collect::<Result<_>>()?;
        let columns: Vec<Values<'_>> = columns.iter().map(Values::of).collect::<Result<_>>()?;
        let (mut bytes, mut sums) = (Vec::new(), Vec::with_capacity(args.number_rows));
        for row in 0..args.number_rows {
            bytes.clear();
            columns.iter().try_for_each(|column| column.add(row, &mut bytes))?;
            sums.push(hash(&bytes));
        }
        Ok(ColumnarValue::Array(digests(sums)?))
    }
}

/// Texts of every kind as texts of one.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(if is_text(array.data_type()) { cast(array, &DataType::Utf8)? } else { Arc::clone(array) })
}

/// The values of a column in the form in which they are hashed: a byte that says whether there is one, and its bytes; texts with their length
/// before them, so that none can be taken for the end of one and the start of the next.
struct Values<'a> {
    nulls: Option<&'a NullBuffer>,
    of: OfType<'a>,
}

enum OfType<'a> {
    Texts(&'a [i32], &'a [u8]),
    Truths(&'a BooleanArray),
    Days(&'a [i32]),
    Wholes(&'a [i64]),
    Amounts(&'a [i128]),
    Numbers(&'a [f64]),
    Digests(&'a FixedSizeBinaryArray),
    /// Everything else by what it is shown as.
    Others(ArrayFormatter<'a>),
}

impl<'a> Values<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        let of = match array.data_type() {
            DataType::Utf8 => {
                let texts = array.as_string::<i32>();
                OfType::Texts(texts.value_offsets(), texts.value_data())
            }
            DataType::Boolean => OfType::Truths(array.as_boolean()),
            DataType::Int64 => OfType::Wholes(array.as_primitive::<Int64Type>().values()),
            DataType::Date32 => OfType::Days(array.as_primitive::<Date32Type>().values()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => OfType::Wholes(array.as_primitive::<TimestampMicrosecondType>().values()),
            DataType::Decimal128(..) => OfType::Amounts(array.as_primitive::<Decimal128Type>().values()),
            DataType::Float64 => OfType::Numbers(array.as_primitive::<Float64Type>().values()),
            DataType::FixedSizeBinary(_) => OfType::Digests(array.as_fixed_size_binary()),
            _ => OfType::Others(ArrayFormatter::try_new(array, &FormatOptions::default())?),
        };
        Ok(Values { nulls: array.nulls(), of })
    }

    fn add(&self, row: usize, bytes: &mut Vec<u8>) -> Result<()> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            bytes.push(0);
            return Ok(());
        }
        bytes.push(1);
        match &self.of {
            OfType::Texts(offsets, texts) => {
                let (start, end) = (place(offsets[row]), place(offsets[row + 1]));
                add_text(&texts[start..end], bytes);
            }
            OfType::Truths(truths) => bytes.push(truths.value(row).into()),
            OfType::Days(days) => bytes.extend_from_slice(&days[row].to_le_bytes()),
            OfType::Wholes(wholes) => bytes.extend_from_slice(&wholes[row].to_le_bytes()),
            OfType::Amounts(amounts) => bytes.extend_from_slice(&amounts[row].to_le_bytes()),
            OfType::Numbers(numbers) => bytes.extend_from_slice(&numbers[row].to_bits().to_le_bytes()),
            OfType::Digests(digests) => bytes.extend_from_slice(digests.value(row)),
            OfType::Others(shown) => {
                let mut text = String::new();
                write!(text, "{}", shown.value(row)).map_err(|_| DataFusionError::Internal("a value cannot be shown".to_owned()))?;
                add_text(text.as_bytes(), bytes);
            }
        }
        Ok(())
    }
}

fn place(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

fn add_text(text: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text);
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DigestSum {
    signature: Signature,
}

impl AggregateUDFImpl for DigestSum {
    fn name(&self) -> &'static str {
        "digest_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DIGEST)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(0)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[sum]", args.name), DIGEST, true))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Many(Vec::new())))
    }
}

fn hashes(values: &[ArrayRef]) -> Result<&FixedSizeBinaryArray> {
    let found = values.first().and_then(|values| values.as_fixed_size_binary_opt());
    found.ok_or_else(|| DataFusionError::Internal("what is added up is no digest".to_owned()))
}

/// Of all rows.
#[derive(Debug)]
struct One(u128);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0 = hashes(values)?.iter().flatten().map(digest_of).fold(self.0, u128::wrapping_add);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::FixedSizeBinary(BYTES, Some(self.0.to_le_bytes().to_vec())))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// Of the rows of each group.
#[derive(Debug)]
struct Many(Vec<u128>);

impl GroupsAccumulator for Many {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, count: usize) -> Result<()> {
        self.0.resize(count, 0);
        let values = hashes(values)?;
        for (row, &group) in groups.iter().enumerate() {
            if values.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                self.0[group] = self.0[group].wrapping_add(digest_of(values.value(row)));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        digests(emit_to.take_needed(&mut self.0))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.update_batch(states, groups, None, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let Some(filter) = filter else { return Ok(values.to_vec()) };
        let counts = |row: usize| filter.is_valid(row) && filter.value(row);
        let kept = hashes(values)?.iter().enumerate().map(|(row, hash)| hash.filter(|_| counts(row)).map_or(0, digest_of));
        Ok(vec![digests(kept)?])
    }

    fn size(&self) -> usize {
        self.0.capacity() * size_of::<u128>()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::Schema;
    use datafusion::prelude::{col, lit};

    use super::*;
    use crate::engine::{Engine, Limits, TextEncoding};

    fn rows(count: i64, is_turned: bool) -> RecordBatch {
        let mut numbers: Vec<i64> = (0..count).collect();
        if is_turned {
            numbers.reverse();
        }
        let texts: StringArray = numbers.iter().map(|number| (number % 3 > 0).then(|| format!("t{}", number % 7))).collect();
        let schema = Schema::new(vec![Field::new("number", DataType::Int64, true), Field::new("text", DataType::Utf8, true)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(numbers)), Arc::new(texts)]).unwrap()
    }

    async fn digest(rows: RecordBatch, threads: usize, encoding: TextEncoding) -> Vec<String> {
        let engine = Engine::with_text_encoding(Limits { threads, memory_bytes: 1 << 28 }, "UTC", encoding).unwrap();
        engine.register_batches("t", rows.schema(), vec![rows]).unwrap();
        let hashed = row_digest().call(vec![col("number"), col("text")]).alias("hashed");
        let frame = engine.context().table("t").await.unwrap().select(vec![(col("number") % lit(4_i64)).alias("part"), hashed]).unwrap();
        let sum = digest_sum().call(vec![col("hashed")]).alias("digest");
        engine.materialise("sums", frame.aggregate(vec![col("part")], vec![sum]).unwrap()).await.unwrap();
        let sums = engine.query("select part, digest from sums order by part").await.unwrap();
        let found = engine.collect(sums).await.unwrap().1;
        let shown = found
            .iter()
            .flat_map(|batch| batch.column(1).as_fixed_size_binary().iter().flatten().map(|sum| format!("{:x}", digest_of(sum))));
        shown.collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_digest_depends_on_neither_order_nor_threads_nor_codes() {
        let expected = digest(rows(20_000, false), 1, TextEncoding::Plain).await;
        assert_eq!(expected.len(), 4);
        for encoding in [TextEncoding::Plain, TextEncoding::Dictionary] {
            for threads in [1, 3] {
                assert_eq!(digest(rows(20_000, true), threads, encoding).await, expected, "{threads} threads, {encoding:?}");
            }
        }
        let others = digest(rows(19_999, false), 1, TextEncoding::Plain).await;
        assert_eq!(others.iter().zip(&expected).filter(|(one, other)| one != other).count(), 1, "a row less changes one");
    }

    /// The digests that are published must be the same in every version, unless [`DIGEST_VERSION`] is another one.
    #[test]
    fn a_hash_is_what_it_always_was() {
        assert_eq!(format!("{:x}", hash(b"")), "b91c5ed031fb33032134935d61d9b40d");
        assert_ne!(hash(b"\x01a"), hash(b"\x01b"));
    }
}
