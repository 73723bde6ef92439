//! Several narrow keys in one number: to group by one number takes less time and memory than to group by several columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, UInt64Array};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, Field, FieldRef, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, UInt32Type, UInt64Type, i256,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::dictionary::CODE;

/// How keys are packed: each has its bits in one of two numbers of 128 bits, where 0 is null and anything else one more than the value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Packing {
    places: Vec<Place>,
    width: Width,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    data_type: DataType,
    nullable: bool,
    half: usize,
    shift: u32,
    bits: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Width {
    Bits64,
    Bits128,
    Bits256,
}

impl Packing {
    /// How keys of such fields are packed, of which some are codes; none if they do not fit, or if there is nothing to gain.
    pub fn of(keys: &[(FieldRef, bool)]) -> Option<Self> {
        let mut used = [0; 2];
        let mut places = Vec::new();
        for (key, is_code) in keys {
            let bits = match key.data_type() {
                DataType::Boolean => 2,
                // The highest codes are never given.
                &CODE if *is_code => u32::BITS,
                &CODE | DataType::Int32 | DataType::Date32 => u32::BITS + 1,
                DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _) => u64::BITS + 1,
                _ => return None,
            };
            let half = used.iter().position(|used| used + bits <= u128::BITS)?;
            places.push(Place { data_type: key.data_type().clone(), nullable: key.is_nullable(), half, shift: used[half], bits });
            used[half] += bits;
        }
        let width = match used {
            [low, 0] if low <= u64::BITS => Width::Bits64,
            [_, 0] => Width::Bits128,
            _ => Width::Bits256,
        };
        (keys.len() > 1).then_some(Packing { places, width })
    }

    /// The packed key of some keys.
    pub fn pack(&self, keys: Vec<Expr>) -> Expr {
        self.call(None, keys)
    }

    /// The keys in a packed one.
    pub fn unpack(&self, packed: &Expr) -> impl Iterator<Item = Expr> {
        (0..self.places.len()).map(|key| self.call(Some(key), vec![packed.clone()]))
    }

    fn call(&self, key: Option<usize>, arguments: Vec<Expr>) -> Expr {
        let signature = Signature::any(arguments.len(), Volatility::Immutable);
        ScalarUDF::from(Function { packing: self.clone(), key, signature }).call(arguments)
    }

    fn data_type(&self) -> DataType {
        match self.width {
            Width::Bits64 => DataType::UInt64,
            Width::Bits128 => Decimal128Type::DATA_TYPE,
            Width::Bits256 => Decimal256Type::DATA_TYPE,
        }
    }

    fn packed(&self, keys: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        if self.width == Width::Bits64 {
            let mut packed = vec![0_u64; rows];
            for (place, key) in self.places.iter().zip(keys) {
                place.put(key, |row, value| packed[row] |= low(value) << place.shift)?;
            }
            return Ok(Arc::new(UInt64Array::from(packed)));
        }
        let mut halves = [vec![0_u128; rows], vec![0_u128; if self.width == Width::Bits256 { rows } else { 0 }]];
        for (place, key) in self.places.iter().zip(keys) {
            let half = &mut halves[place.half];
            place.put(key, |row, value| half[row] |= value << place.shift)?;
        }
        let [first, second] = halves;
        Ok(match self.width {
            Width::Bits256 => {
                let both = first.into_iter().zip(second).map(|(first, second)| i256::from_parts(first, second.cast_signed()));
                Arc::new(PrimitiveArray::<Decimal256Type>::from_iter_values(both))
            }
            _ => Arc::new(PrimitiveArray::<Decimal128Type>::from_iter_values(first.into_iter().map(u128::cast_signed))),
        })
    }

    fn unpacked(&self, key: usize, packed: &ArrayRef) -> Result<ArrayRef> {
        let place = self.places.get(key).ok_or_else(|| DataFusionError::Internal(format!("there is no key {key}")))?;
        Ok(match packed.data_type() {
            DataType::UInt64 => place.take(packed.as_primitive::<UInt64Type>().values().iter().map(|packed| u128::from(*packed))),
            DataType::Decimal128(..) => {
                place.take(packed.as_primitive::<Decimal128Type>().values().iter().map(|packed| packed.cast_unsigned()))
            }
            DataType::Decimal256(..) => place.take(packed.as_primitive::<Decimal256Type>().values().iter().map(|packed| {
                let (first, second) = packed.to_parts();
                if place.half == 0 { first } else { second.cast_unsigned() }
            })),
            other => return Err(DataFusionError::Internal(format!("{other} is not the type of a packed key"))),
        })
    }
}

impl Place {
    /// Gives what stands for every value that is not null, with its row.
    fn put(&self, key: &ArrayRef, mut put: impl FnMut(usize, u128)) -> Result<()> {
        match &self.data_type {
            DataType::UInt32 => each::<UInt32Type>(key, |row, value| put(row, u128::from(value) + 1)),
            DataType::Int32 => each::<Int32Type>(key, |row, value| put(row, u128::from(value.cast_unsigned()) + 1)),
            DataType::Date32 => each::<Date32Type>(key, |row, value| put(row, u128::from(value.cast_unsigned()) + 1)),
            DataType::Int64 => each::<Int64Type>(key, |row, value| put(row, u128::from(value.cast_unsigned()) + 1)),
            DataType::Timestamp(..) => each::<TimestampMicrosecondType>(key, |row, value| put(row, u128::from(value.cast_unsigned()) + 1)),
            _ => {
                let truths = key.as_boolean_opt().ok_or_else(|| unpackable(key))?;
                truths.iter().enumerate().for_each(|(row, truth)| put(row, truth.map_or(0, |truth| u128::from(truth) + 1)));
                Ok(())
            }
        }
    }

    fn take(&self, halves: impl Iterator<Item = u128>) -> ArrayRef {
        let mask = (1 << self.bits) - 1;
        let values = halves.map(|half| ((half >> self.shift) & mask).checked_sub(1));
        match &self.data_type {
            DataType::Boolean => Arc::new(values.map(|value| value.map(|value| value == 1)).collect::<BooleanArray>()),
            DataType::UInt32 => Arc::new(values.map(|value| value.map(lowest)).collect::<PrimitiveArray<UInt32Type>>()),
            DataType::Int32 | DataType::Date32 => {
                let numbers: PrimitiveArray<Int32Type> = values.map(|value| value.map(|value| lowest(value).cast_signed())).collect();
                if self.data_type == DataType::Int32 { Arc::new(numbers) } else { Arc::new(numbers.reinterpret_cast::<Date32Type>()) }
            }
            DataType::Int64 => {
                Arc::new(values.map(|value| value.map(|value| low(value).cast_signed())).collect::<PrimitiveArray<Int64Type>>())
            }
            moment => {
                let moments: PrimitiveArray<Int64Type> = values.map(|value| value.map(|value| low(value).cast_signed())).collect();
                Arc::new(moments.reinterpret_cast::<TimestampMicrosecondType>().with_data_type(moment.clone()))
            }
        }
    }
}

fn each<T: ArrowPrimitiveType>(key: &ArrayRef, mut each: impl FnMut(usize, T::Native)) -> Result<()> {
    let key = key.as_primitive_opt::<T>().ok_or_else(|| unpackable(key))?;
    match key.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => key.values().iter().enumerate().for_each(|(row, value)| each(row, *value)),
        Some(nulls) => nulls.valid_indices().for_each(|row| each(row, key.value(row))),
    }
    Ok(())
}

#[allow(clippy::cast_possible_truncation, reason = "the lower bits are wanted")]
fn low(value: u128) -> u64 {
    value as u64
}

#[allow(clippy::cast_possible_truncation, reason = "the lower bits are wanted")]
fn lowest(value: u128) -> u32 {
    value as u32
}

fn unpackable(key: &ArrayRef) -> DataFusionError {
    DataFusionError::Internal(format!("a {} was to be packed", key.data_type()))
}

/// Packs keys, or takes one of them out.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    packing: Packing,
    key: Option<usize>,
    signature: Signature,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &'static str {
        if self.key.is_some() { "unpack_key" } else { "pack_keys" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        let place = self.key.and_then(|key| self.packing.places.get(key));
        Ok(place.map_or_else(|| self.packing.data_type(), |place| place.data_type.clone()))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = self.key.and_then(|key| self.packing.places.get(key)).is_some_and(|place| place.nullable);
        Ok(Arc::new(Field::new(self.name(), self.return_type(&[])?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        match (self.key, arrays.as_slice()) {
            (None, keys) => self.packing.packed(keys, args.number_rows),
            (Some(key), [packed]) => self.packing.unpacked(key, packed),
            (Some(_), _) => Err(DataFusionError::Internal("a key is taken out of one packed key".to_owned())),
        }
        .map(ColumnarValue::Array)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow::array::{BooleanArray, Date32Array, Int32Array, Int64Array, TimestampMicrosecondArray, UInt32Array};
    use proptest::prelude::*;

    use super::*;

    fn field(array: &ArrayRef) -> FieldRef {
        Arc::new(Field::new("key", array.data_type().clone(), true))
    }

    fn any_key(rows: usize) -> impl Strategy<Value = (ArrayRef, bool)> {
        // Ends of the ranges come often, so that one key runs into the next if it can.
        let narrow =
            || proptest::collection::vec(proptest::option::of(prop_oneof![Just(i32::MIN), Just(-1), Just(0), Just(i32::MAX)]), rows);
        let wide = || proptest::collection::vec(proptest::option::of(prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(i64::MAX)]), rows);
        let codes = proptest::collection::vec(proptest::option::of(prop_oneof![Just(0), Just(1), Just(u32::MAX - 2)]), rows);
        let truths = proptest::collection::vec(any::<Option<bool>>(), rows);
        prop_oneof![
            codes.prop_map(|codes| (Arc::new(UInt32Array::from(codes)) as ArrayRef, true)),
            truths.prop_map(|truths| (Arc::new(BooleanArray::from(truths)) as ArrayRef, false)),
            narrow().prop_map(|numbers| (Arc::new(Int32Array::from(numbers)) as ArrayRef, false)),
            narrow().prop_map(|days| (Arc::new(Date32Array::from(days)) as ArrayRef, false)),
            wide().prop_map(|numbers| (Arc::new(Int64Array::from(numbers)) as ArrayRef, false)),
            wide()
                .prop_map(|moments| (Arc::new(TimestampMicrosecondArray::from(moments).with_timezone("Europe/Berlin")) as ArrayRef, false)),
        ]
    }

    proptest! {
        #[test]
        fn keys_come_back_and_differ_when_packed_if_they_differ(keys in (1..40_usize).prop_flat_map(|rows| proptest::collection::vec(any_key(rows), 2..7))) {
            let (arrays, codes): (Vec<ArrayRef>, Vec<bool>) = keys.into_iter().unzip();
            let fields: Vec<_> = arrays.iter().map(field).zip(codes).collect();
            let Some(packing) = Packing::of(&fields) else { return Ok(()) };
            let packed = packing.packed(&arrays, arrays[0].len()).unwrap();
            prop_assert_eq!(packed.data_type(), &packing.data_type());
            for (key, array) in arrays.iter().enumerate() {
                prop_assert_eq!(&packing.unpacked(key, &packed).unwrap(), array);
            }
            let mut seen = HashMap::new();
            for row in 0..packed.len() {
                let keys: Vec<String> = arrays.iter().map(|array| format!("{:?}", array.slice(row, 1))).collect();
                let packed = format!("{:?}", packed.slice(row, 1));
                prop_assert_eq!(seen.entry(packed).or_insert_with(|| keys.clone()), &keys);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_packed() {
        let moment = Arc::new(Field::new("moment", DataType::Int64, true));
        let code = Arc::new(Field::new("code", CODE, true));
        let text = Arc::new(Field::new("text", DataType::Utf8, true));
        assert!(Packing::of(&[(Arc::clone(&code), true)]).is_none());
        assert!(Packing::of(&[(Arc::clone(&code), true), (text, false)]).is_none());
        assert!(Packing::of(&[(Arc::clone(&moment), false), (Arc::clone(&moment), false), (moment, false)]).is_none());
        let two = Packing::of(&[(Arc::clone(&code), true), (Arc::clone(&code), true)]).unwrap();
        assert_eq!(two.data_type(), DataType::UInt64);
        // A number that is no code may be any, so it needs a bit more.
        let three = Packing::of(&[(Arc::clone(&code), true), (code, false)]).unwrap();
        assert_eq!(three.data_type(), Decimal128Type::DATA_TYPE);
    }
}
