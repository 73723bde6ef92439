//! Statistics of a file for readers of a Delta table: how many rows it has, and between which values they lie. They stand in the log, which
//! outlives the file, so no value of a personal column is among them, and no text.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{max, min, sum};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, DecimalType, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use serde_json::{Map, Value, json};

/// The digits that a number in JSON has for every reader.
const EXACT_DIGITS: u32 = 15;

/// The statistics of a file, as a JSON text. Values are said of columns that are not among the personal ones; of none where these are not
/// known.
pub fn of(file: &ArrowReaderMetadata, rows: u64, personal: Option<&BTreeMap<String, Option<String>>>) -> String {
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    let groups = file.metadata().row_groups();
    for field in file.schema().fields().iter().filter(|field| !field.data_type().is_nested()) {
        let name = field.name();
        let Ok(converter) = StatisticsConverter::try_new(name, file.schema(), file.parquet_schema()) else { continue };
        let Ok(null_counts) = converter.row_group_null_counts(groups) else { continue };
        if null_counts.null_count() == 0 {
            nulls.insert(name.clone(), json!(sum(&null_counts).unwrap_or(0)));
        }
        if personal.is_none_or(|personal| personal.contains_key(name)) {
            continue;
        }
        let (Ok(mins), Ok(maxes)) = (converter.row_group_mins(groups), converter.row_group_maxes(groups)) else { continue };
        // Where a row group says nothing of its values, it must have none.
        let is_empty = |at: usize| null_counts.is_valid(at) && i64::try_from(null_counts.value(at)).ok() == Some(groups[at].num_rows());
        if (0..groups.len()).any(|at| (mins.is_null(at) || maxes.is_null(at)) && !is_empty(at)) {
            continue;
        }
        if let (Some(from), Some(to)) = (bound(&mins, false), bound(&maxes, true)) {
            least.insert(name.clone(), from);
            greatest.insert(name.clone(), to);
        }
    }
    json!({ "numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls }).to_string()
}

/// The least or the greatest of some values, as Delta Lake writes it; none where it has no exact form. What is not a number is left out of
/// the bounds of doubles, so these are not said.
fn bound(values: &ArrayRef, is_greatest: bool) -> Option<Value> {
    macro_rules! outermost {
        ($kind:ty) => {{
            let values = values.as_primitive_opt::<$kind>()?;
            if is_greatest { max(values) } else { min(values) }?
        }};
    }
    Some(match values.data_type() {
        DataType::Int64 => json!(outermost!(Int64Type)),
        DataType::Int32 => json!(outermost!(Int32Type)),
        DataType::Date32 => json!(date32_to_datetime(outermost!(Date32Type))?.date().to_string()),
        DataType::Timestamp(..) => {
            let zone = if matches!(values.data_type(), DataType::Timestamp(_, Some(_))) { "Z" } else { "" };
            let moment = timestamp_us_to_datetime(outermost!(TimestampMicrosecondType))?;
            json!(format!("{}{zone}", moment.format("%Y-%m-%dT%H:%M:%S%.6f")))
        }
        DataType::Decimal128(_, scale) => decimal(outermost!(Decimal128Type), *scale)?,
        _ => return None,
    })
}

/// A decimal as a number, if every reader gets the same of it.
fn decimal(unscaled: i128, scale: i8) -> Option<Value> {
    if unscaled.unsigned_abs() >= 10_u128.pow(EXACT_DIGITS) || u32::from(scale.unsigned_abs()) > EXACT_DIGITS {
        return None;
    }
    let digits = Decimal128Type::format_decimal(unscaled, 38, scale);
    digits.parse::<f64>().ok().map(Value::from)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ArrowReaderOptions;
    use parquet::file::properties::WriterProperties;

    use super::*;

    #[test]
    fn bounds_are_those_of_all_row_groups_and_of_no_personal_column() {
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![Some(5), None, Some(-7), Some(2)])) as ArrayRef),
            ("day", Arc::new(Date32Array::from(vec![Some(0), Some(1), None, None]))),
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, 2, 3, 4]).with_timezone("UTC"))),
            ("spent", Arc::new(Decimal128Array::from(vec![1_250, -3, 0, 7]).with_precision_and_scale(18, 2).unwrap())),
            ("wide", Arc::new(Decimal128Array::from(vec![10_i128.pow(20), 1, 1, 1]).with_precision_and_scale(38, 2).unwrap())),
            ("ratio", Arc::new(Float64Array::from(vec![1.0, 2.0, f64::NAN, 0.0]))),
            ("name", Arc::new(StringArray::from(vec!["a", "b", "c", "d"]))),
            ("birth_year", Arc::new(Int64Array::from(vec![1980, 1981, 1982, 1983]))),
        ])
        .unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let bytes = Bytes::from(writer.into_inner().unwrap());
        let file = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).unwrap();
        let personal = BTreeMap::from([("birth_year".to_owned(), None)]);
        let said: Value = serde_json::from_str(&of(&file, 4, Some(&personal))).unwrap();
        assert_eq!(said["numRecords"], 4);
        assert_eq!(said["minValues"], json!({ "n": -7, "day": "1970-01-01", "at": "1970-01-01T00:00:00.000002Z", "spent": -0.03 }));
        assert_eq!(said["maxValues"], json!({ "n": 5, "day": "1970-01-02", "at": "1970-01-01T00:00:01.500000Z", "spent": 12.5 }));
        assert_eq!((&said["nullCount"]["n"], &said["nullCount"]["birth_year"]), (&json!(1), &json!(0)));
        let said: Value = serde_json::from_str(&of(&file, 4, None)).unwrap();
        assert_eq!(said["minValues"], json!({}), "where it is not known which columns are personal");
    }
}
