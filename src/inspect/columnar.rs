//! Makes the table of a Parquet file from its columns and some of its rows.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use serde_json::{Map, Value};

use super::json;
use super::table::{Column, Format, Held, Origin, Table};
use crate::ingest::Peeked;

/// How deep values are followed.
const FOLLOWED_DEPTH: usize = 8;

/// Makes the table of a Parquet file.
pub fn table(file: &str, peeked: &Peeked) -> Table {
    let mut table = Table::new(file, Format::Parquet);
    let rows = peeked.batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    table.rows = rows;
    if peeked.is_partial {
        let what = "values of some row groups were not looked at: they are damaged, large, or packed in a way that is not looked into";
        table.notes.push(what.to_owned());
    }
    let mut nested: Vec<Value> = Vec::new();
    nested.resize_with(rows, || Value::Object(Map::new()));
    let mut order = Vec::new();
    for (at, field) in peeked.schema.fields().iter().enumerate() {
        let arrays: Vec<&ArrayRef> = peeked.batches.iter().filter_map(|batch| batch.columns().get(at)).collect();
        let path = json::join("", field.name());
        order.push(path.clone());
        if is_record(field.data_type()) {
            let values = arrays.iter().flat_map(|array| (0..array.len()).map(|row| value(array, row, 0)));
            for (row, value) in nested.iter_mut().zip(values) {
                if let Value::Object(members) = row {
                    members.insert(field.name().clone(), value);
                }
            }
            continue;
        }
        let cells = arrays.iter().flat_map(|array| (0..array.len()).map(|row| text(array, row))).collect();
        let held = held(field.data_type());
        let notes = if let Held::Other(what) = held { vec![format!("it holds {what}, which is not read")] } else { Vec::new() };
        table.columns.push(Column { origin: Origin::Named(path), label: None, held, cells, notes });
    }
    json::fill(&mut table, &nested);
    // In the order of the file.
    let place = |column: &Column| {
        let name = column.name().unwrap_or_default();
        order.iter().position(|root| name == root || (name.starts_with(root.as_str()) && name[root.len()..].starts_with(['.', '['])))
    };
    table.columns.sort_by_key(|column| place(column));
    table
}

/// Whether values are taken apart into members.
fn is_record(held: &DataType) -> bool {
    match held {
        DataType::Struct(_) => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => is_record(item.data_type()),
        _ => false,
    }
}

fn held(held_as: &DataType) -> Held {
    match held_as {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Held::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Held::Text,
        DataType::Dictionary(_, value) => held(value),
        DataType::Boolean => Held::Truth,
        DataType::Date32 | DataType::Date64 => Held::Day,
        DataType::Timestamp(..) => Held::Moment,
        DataType::Time32(_) | DataType::Time64(_) => Held::Text,
        other if other.is_floating() => Held::Fraction,
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale)
            if *scale > 0 =>
        {
            Held::Fraction
        }
        other if other.is_numeric() => Held::Number,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Held::List(Box::new(held(item.data_type()))),
        DataType::Map(..) => Held::Other("maps"),
        _ => Held::Other("values without a meaning"),
    }
}

/// A value as text; a list as its elements, joined by tabs.
fn text(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    if let Some(items) = items(array, row) {
        let texts: Vec<String> = (0..items.len()).filter_map(|at| text(&items, at)).collect();
        return (!texts.is_empty()).then(|| texts.join("\t"));
    }
    let shown = match array.data_type() {
        DataType::Binary => String::from_utf8(array.as_binary::<i32>().value(row).to_vec()).ok()?,
        _ => array_value_to_string(array, row).ok()?,
    };
    Some(shown).filter(|shown| !shown.is_empty())
}

fn items(array: &ArrayRef, row: usize) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => Some(array.as_fixed_size_list().value(row)),
        _ => None,
    }
}

/// A nested value as JSON has it.
fn value(array: &ArrayRef, row: usize, depth: usize) -> Value {
    if array.is_null(row) || depth > FOLLOWED_DEPTH {
        return Value::Null;
    }
    if let Some(items) = items(array, row) {
        return Value::Array((0..items.len()).map(|at| value(&items, at, depth + 1)).collect());
    }
    match array.data_type() {
        DataType::Struct(fields) => {
            let members = array.as_struct();
            let member =
                |(at, field): (usize, &arrow::datatypes::FieldRef)| (field.name().clone(), value(members.column(at), row, depth + 1));
            Value::Object(fields.iter().enumerate().map(member).collect())
        }
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        held if held.is_numeric() => {
            let text = text(array, row).unwrap_or_default();
            serde_json::from_str(&text).ok().filter(Value::is_number).unwrap_or(Value::String(text))
        }
        _ => text(array, row).map_or(Value::Null, Value::String),
    }
}
