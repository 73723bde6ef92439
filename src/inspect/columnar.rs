//! Makes the table of a Parquet file from its columns and some of its rows.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::util::display::array_value_to_string;
use serde_json::{Map, Value};

use super::json;
use super::table::{Column, Format, Held, Origin, Table};
use crate::config::{MemberPath, Step};
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
        let held =
            if arrays.iter().any(|array| has_bytes(array)) { Held::Other("bytes that are no text") } else { held(field.data_type()) };
        table.columns.push(Column { origin: Origin::Named(path), label: None, held, cells, notes: Vec::new() });
    }
    json::fill(&mut table, &nested);
    for column in &mut table.columns {
        let path = column.name().and_then(|path| path.parse::<MemberPath>().ok());
        let held_as = path.and_then(|path| type_at(peeked.schema.fields(), &path.steps));
        // Without a value in it, a list of records looks like one of texts.
        if let Some(what) = held_as.and_then(unread) {
            column.held = Held::Other(what);
        } else if let Some(held_as) = held_as.filter(|_| column.cells.iter().all(Option::is_none)) {
            column.held = held(held_as);
        }
    }
    // In the order of the file.
    let place = |column: &Column| {
        let name = column.name().unwrap_or_default();
        order.iter().position(|root| name == root || (name.starts_with(root.as_str()) && name[root.len()..].starts_with(['.', '['])))
    };
    table.columns.sort_by_key(|column| place(column));
    table
}

/// The type of what a path leads to; none where it leads into a list or a map.
fn type_at<'a>(fields: &'a Fields, steps: &[Step]) -> Option<&'a DataType> {
    let (Step::Member(name), rest) = steps.split_first()? else { return None };
    let (_, field) = fields.find(name)?;
    match field.data_type() {
        held if rest.is_empty() => Some(held),
        DataType::Struct(members) => type_at(members, rest),
        _ => None,
    }
}

/// What values of a type are called that no column is made of.
fn unread(held_as: &DataType) -> Option<&'static str> {
    let is_list = |held: &DataType| matches!(held, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..));
    match held_as {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => match item.data_type() {
            DataType::Struct(_) => Some("lists of records"),
            DataType::Map(..) => Some("lists of maps"),
            item if is_list(item) => Some("lists of lists"),
            _ => None,
        },
        DataType::Map(..) => Some("maps"),
        _ => None,
    }
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
        other if unread(other).is_some() => Held::Other(unread(other).unwrap_or_default()),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => match held(item.data_type()) {
            Held::Other(_) => Held::Other("lists of values without a meaning"),
            item => Held::List(Box::new(item)),
        },
        _ => Held::Other("values without a meaning"),
    }
}

/// Whether bytes among some values are no text.
fn has_bytes(array: &ArrayRef) -> bool {
    array.as_binary_opt::<i32>().is_some_and(|values| values.iter().flatten().any(|bytes| std::str::from_utf8(bytes).is_err()))
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

/// The members of a record that is not there.
fn members_of(fields: &Fields, depth: usize) -> Value {
    let member = |field: &FieldRef| match field.data_type() {
        DataType::Struct(fields) if depth < FOLLOWED_DEPTH => (field.name().clone(), members_of(fields, depth + 1)),
        _ => (field.name().clone(), Value::Null),
    };
    Value::Object(fields.iter().map(member).collect())
}

/// A nested value as JSON has it.
fn value(array: &ArrayRef, row: usize, depth: usize) -> Value {
    if depth > FOLLOWED_DEPTH {
        return Value::Null;
    }
    if let (true, DataType::Struct(fields)) = (array.is_null(row), array.data_type()) {
        // Its members are columns also where no row has it.
        return members_of(fields, depth);
    }
    if array.is_null(row) {
        return Value::Null;
    }
    if let Some(items) = items(array, row) {
        return Value::Array((0..items.len()).map(|at| value(&items, at, depth + 1)).collect());
    }
    match array.data_type() {
        DataType::Struct(fields) => {
            let members = array.as_struct();
            let member = |(at, field): (usize, &FieldRef)| (field.name().clone(), value(members.column(at), row, depth + 1));
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
