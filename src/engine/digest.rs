//! Digests of rows that do not depend on their order: each row has a hash of 128 bits, and a set of rows has the sum of those of its rows.
//!
//! The hash (`row_hash`) tells rows apart that differ by accident; nobody is kept from making two rows with one hash.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::encoding::Dictionary;
use super::row_hash::hashes_of_rows;

/// The version of the digests: those of different versions cannot be compared.
pub const DIGEST_VERSION: i64 = 2;

/// The name of the function of a row's values.
pub const ROW_DIGEST: &str = "row_digest";

/// The bytes of a digest.
const BYTES: i32 = 16;

/// The type of a digest.
pub const DIGEST: DataType = DataType::FixedSizeBinary(BYTES);

/// The function of a row's values that gives its hash.
pub fn row_digest() -> ScalarUDF {
    ScalarUDF::from(RowDigest { signature: Signature::variadic_any(Volatility::Immutable), codes: None })
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

/// The function of a row's values that gives its hash, with codes in the place of some texts.
pub fn row_digest_of_codes(dictionary: &Arc<Dictionary>, is_code: Vec<bool>) -> ScalarUDF {
    let signature = Signature::variadic_any(Volatility::Immutable);
    ScalarUDF::from(RowDigest { signature, codes: Some(Codes { dictionary: Arc::clone(dictionary), is_code }) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RowDigest {
    signature: Signature,
    codes: Option<Codes>,
}

/// Which arguments are codes, and what they stand for.
#[derive(Debug)]
struct Codes {
    dictionary: Arc<Dictionary>,
    is_code: Vec<bool>,
}

impl PartialEq for Codes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dictionary, &other.dictionary) && self.is_code == other.is_code
    }
}

impl Eq for Codes {}

impl Hash for Codes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.is_code.hash(state);
    }
}

impl ScalarUDFImpl for RowDigest {
    fn name(&self) -> &'static str {
        ROW_DIGEST
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DIGEST)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_code = |at: usize| self.codes.as_ref().and_then(|codes| codes.is_code.get(at)).copied().unwrap_or(false);
        let columns = args.args.iter().enumerate().map(|(at, value)| Ok((value.to_array(args.number_rows)?, is_code(at))));
        let dictionary = self.codes.as_ref().map(|codes| codes.dictionary.as_ref());
        Ok(ColumnarValue::Array(digests(hashes_of_rows(&columns.collect::<Result<Vec<_>>>()?, dictionary, args.number_rows)?)?))
    }
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
}
