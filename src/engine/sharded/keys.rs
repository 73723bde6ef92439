//! The columns of a key as one number of 128 bits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Int32Array, Int64Array, UInt32Array, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema, UInt32Type, UInt64Type};
use datafusion::error::{DataFusionError, Result};

use crate::engine::halves::lower_half;

/// How the columns of a key share the bits of a number.
#[derive(Debug)]
pub struct KeyLayout {
    columns: Vec<Place>,
}

/// The bits of a column: those of its value and, if it may be null, a bit in front of them that says so.
#[derive(Debug)]
struct Place {
    data_type: DataType,
    kind: Kind,
    may_be_null: bool,
}

/// How a value becomes bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Truth,
    Signed32,
    Signed64,
    Unsigned32,
    Unsigned64,
    /// So many bytes.
    Bytes(i32),
}

impl Kind {
    /// None for types whose equal values may have different bits, or too many.
    fn of(data_type: &DataType) -> Option<Kind> {
        Some(match data_type {
            DataType::Boolean => Kind::Truth,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Date32 => Kind::Signed32,
            DataType::Int64 | DataType::Timestamp(..) => Kind::Signed64,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Kind::Unsigned32,
            DataType::UInt64 => Kind::Unsigned64,
            // Of 16 bytes the place of the bit for null would be beyond the number.
            DataType::FixedSizeBinary(width @ 1..=15) => Kind::Bytes(*width),
            _ => return None,
        })
    }

    fn bits(self) -> u32 {
        match self {
            Kind::Truth => 1,
            Kind::Signed32 | Kind::Unsigned32 => u32::BITS,
            Kind::Signed64 | Kind::Unsigned64 => u64::BITS,
            Kind::Bytes(width) => u8::BITS * width.unsigned_abs(),
        }
    }

    /// The type of arrays whose values are these bits.
    fn stored(self) -> DataType {
        match self {
            Kind::Truth => DataType::Boolean,
            Kind::Signed32 => DataType::Int32,
            Kind::Signed64 => DataType::Int64,
            Kind::Unsigned32 => DataType::UInt32,
            Kind::Unsigned64 => DataType::UInt64,
            Kind::Bytes(width) => DataType::FixedSizeBinary(width),
        }
    }
}

impl KeyLayout {
    /// The layout of keys with the columns of a schema; none if they do not fit.
    pub fn of(schema: &Schema) -> Option<Self> {
        let place = |field: &Arc<arrow::datatypes::Field>| {
            Some(Place { data_type: field.data_type().clone(), kind: Kind::of(field.data_type())?, may_be_null: field.is_nullable() })
        };
        let columns: Vec<Place> = schema.fields().iter().map(place).collect::<Option<_>>()?;
        let bits: u32 = columns.iter().map(|column| column.kind.bits() + u32::from(column.may_be_null)).sum();
        (bits <= u128::BITS).then_some(KeyLayout { columns })
    }

    /// The keys of rows, given their columns.
    ///
    /// # Errors
    /// When a column is not of the type of the layout.
    pub fn pack(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u128>> {
        let mut keys = vec![0; rows];
        for (place, column) in self.columns.iter().zip(columns) {
            place.pack(&mut keys, column)?;
        }
        Ok(keys)
    }

    /// The columns of keys.
    ///
    /// # Errors
    /// Arrow's own.
    pub fn unpack(&self, mut keys: Vec<u128>) -> Result<Vec<ArrayRef>> {
        let mut columns = self.columns.iter().rev().map(|place| place.unpack(&mut keys)).collect::<Result<Vec<_>>>()?;
        columns.reverse();
        Ok(columns)
    }
}

impl Place {
    fn pack(&self, keys: &mut [u128], column: &ArrayRef) -> Result<()> {
        let stored = self.kind.stored();
        let column = if *column.data_type() == stored { Arc::clone(column) } else { cast(column, &stored)? };
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        if nulls.is_some() && !self.may_be_null {
            return Err(DataFusionError::Internal("a column of a key that is never null is null".to_owned()));
        }
        match self.kind {
            Kind::Truth => self.put(keys, column.as_boolean().values().iter().map(u64::from), nulls.as_ref()),
            Kind::Signed32 => {
                let values = column.as_primitive::<Int32Type>().values();
                self.put(keys, values.iter().map(|value| u64::from(value.cast_unsigned())), nulls.as_ref());
            }
            Kind::Signed64 => {
                let values = column.as_primitive::<Int64Type>().values();
                self.put(keys, values.iter().map(|value| value.cast_unsigned()), nulls.as_ref());
            }
            Kind::Unsigned32 => {
                let values = column.as_primitive::<UInt32Type>().values();
                self.put(keys, values.iter().copied().map(u64::from), nulls.as_ref());
            }
            Kind::Unsigned64 => self.put(keys, column.as_primitive::<UInt64Type>().values().iter().copied(), nulls.as_ref()),
            Kind::Bytes(_) => {
                self.put(keys, column.as_fixed_size_binary().iter().map(|value| number(value.unwrap_or_default())), nulls.as_ref());
            }
        }
        Ok(())
    }

    fn put(&self, keys: &mut [u128], values: impl Iterator<Item = impl Into<u128>>, nulls: Option<&NullBuffer>) {
        let bits = self.kind.bits() + u32::from(self.may_be_null);
        match nulls {
            None => keys.iter_mut().zip(values).for_each(|(key, value)| *key = *key << bits | value.into()),
            Some(nulls) => {
                let null = 1_u128 << self.kind.bits();
                for ((key, value), is_there) in keys.iter_mut().zip(values).zip(nulls) {
                    *key = *key << bits | if is_there { value.into() } else { null };
                }
            }
        }
    }

    /// Takes the last column off the keys.
    fn unpack(&self, keys: &mut [u128]) -> Result<ArrayRef> {
        let (bits, null) = (self.kind.bits(), 1_u128 << self.kind.bits());
        let nulls = self.may_be_null.then(|| keys.iter().map(|key| key & null == 0).collect::<NullBuffer>());
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        let values = keys.iter().map(|key| lowest(key & (null - 1)));
        let stored: ArrayRef = match self.kind {
            Kind::Truth => Arc::new(BooleanArray::new(values.map(|value| value > 0).collect(), nulls)),
            Kind::Signed32 => Arc::new(Int32Array::new(values.map(|value| lower_half(value).cast_signed()).collect(), nulls)),
            Kind::Signed64 => Arc::new(Int64Array::new(values.map(u64::cast_signed).collect(), nulls)),
            Kind::Unsigned32 => Arc::new(UInt32Array::new(values.map(lower_half).collect(), nulls)),
            Kind::Unsigned64 => Arc::new(UInt64Array::new(values.collect(), nulls)),
            Kind::Bytes(width) => {
                let bytes: Vec<u8> =
                    keys.iter().flat_map(|key| key.to_le_bytes().into_iter().take(width.unsigned_abs() as usize)).collect();
                Arc::new(FixedSizeBinaryArray::try_new(width, bytes.into(), nulls)?)
            }
        };
        let taken = bits + u32::from(self.may_be_null);
        for key in keys.iter_mut() {
            *key >>= taken;
        }
        Ok(if *stored.data_type() == self.data_type { stored } else { cast(&stored, &self.data_type)? })
    }
}

/// Some bytes as a number, of which the first is the lowest.
fn number(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |number, byte| number << u8::BITS | u128::from(*byte))
}

/// The lowest 64 bits.
fn lowest(key: u128) -> u64 {
    u64::try_from(key & u128::from(u64::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, TimeUnit};

    use super::*;

    fn layout(columns: &[(DataType, bool)]) -> Option<KeyLayout> {
        let field =
            |(at, (data_type, may_be_null)): (usize, &(DataType, bool))| Field::new(format!("c{at}"), data_type.clone(), *may_be_null);
        KeyLayout::of(&Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>()))
    }

    #[test]
    fn columns_come_back_from_keys_and_different_rows_have_different_keys() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from(vec![Some(0), None, Some(u32::MAX), Some(0), Some(7)])),
            Arc::new(Date32Array::from(vec![0, -1, i32::MIN, 0, i32::MAX])),
            Arc::new(BooleanArray::from(vec![Some(false), None, Some(true), None, Some(true)])),
        ];
        let layout_of = |columns: &[ArrayRef]| {
            layout(&columns.iter().map(|column| (column.data_type().clone(), column.null_count() > 0)).collect::<Vec<_>>()).unwrap()
        };
        let of_texts = layout_of(&columns);
        let keys = of_texts.pack(&columns, 5).unwrap();
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
        assert_eq!(&of_texts.unpack(keys).unwrap(), &columns);
        let moments = TimestampMicrosecondArray::from(vec![Some(i64::MIN), Some(-1), None, Some(0), Some(i64::MAX)]).with_timezone("UTC");
        let columns: Vec<ArrayRef> = vec![Arc::new(moments), Arc::new(Int32Array::from(vec![-5, 0, 5, 6, i32::MIN]))];
        let of_moments = layout_of(&columns);
        assert_eq!(&of_moments.unpack(of_moments.pack(&columns, 5).unwrap()).unwrap(), &columns);
        let bytes = [Some([0; 11]), None, Some([255; 11]), Some([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])];
        let prints = FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes.iter().map(Option::as_ref), 11).unwrap();
        let columns: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from(vec![None, Some(u32::MAX), Some(5), Some(0)])), Arc::new(prints)];
        let of_prints = layout_of(&columns);
        assert_eq!(&of_prints.unpack(of_prints.pack(&columns, 4).unwrap()).unwrap(), &columns);
        // All 128 bits.
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![i64::MIN, -1, 0])), Arc::new(UInt64Array::from(vec![u64::MAX, 0, 1]))];
        let full = layout_of(&columns);
        assert_eq!(&full.unpack(full.pack(&columns, 3).unwrap()).unwrap(), &columns);
    }

    #[test]
    fn keys_that_do_not_fit_have_no_layout() {
        let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert!(layout(&[(DataType::Int64, false), (moment.clone(), false)]).is_some());
        assert!(layout(&[(DataType::Int64, false), (moment, true)]).is_none());
        // Zero has two signs, and NaN many bits.
        assert!(layout(&[(DataType::Float64, false)]).is_none());
        assert!(layout(&[(DataType::Utf8, false)]).is_none());
    }

    #[test]
    fn what_is_null_against_its_declaration_is_an_error() {
        let keys = layout(&[(DataType::Int32, false)]).unwrap();
        let column: ArrayRef = Arc::new(Int32Array::from(vec![Some(0), None]));
        assert!(keys.pack(&[column], 2).is_err());
    }
}
