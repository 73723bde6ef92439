//! Rows as JSON, one object on each line, with every column in its order. Numbers have all their digits, also decimals.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use arrow::util::display::array_value_to_string;

use crate::error::{Error, Result};

/// The names of columns as JSON.
pub fn names(schema: &SchemaRef) -> Vec<String> {
    schema.fields().iter().map(|field| string(field.name())).collect()
}

/// The lines of some rows.
///
/// # Errors
/// As [`add`].
pub fn lines(names: &[String], rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut lines = String::new();
    for row in 0..rows.num_rows() {
        lines.push('{');
        for (at, (name, array)) in names.iter().zip(rows.columns()).enumerate() {
            lines.push_str(if at > 0 { ", " } else { "" });
            lines.push_str(name);
            lines.push_str(": ");
            add(&mut lines, array, row)?;
        }
        lines.push_str("}\n");
    }
    Ok(lines.into_bytes())
}

/// Adds a value as JSON. Numbers that JSON does not have are texts.
///
/// # Errors
/// [`Error::Defect`] for a value that has no text.
pub fn add(json: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    if is_null(array, row) {
        json.push_str("null");
        return Ok(());
    }
    let text = || array_value_to_string(array, row).map_err(|error| Error::defect(error.to_string()));
    match array.data_type() {
        DataType::Boolean => json.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Float32 => number(json, f64::from(array.as_primitive::<Float32Type>().value(row)), text()?),
        DataType::Float64 => number(json, array.as_primitive::<Float64Type>().value(row), text()?),
        data_type if data_type.is_numeric() => json.push_str(&text()?),
        DataType::List(_) => items(json, &array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => items(json, &array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => items(json, &array.as_fixed_size_list().value(row))?,
        DataType::Struct(fields) => {
            json.push('{');
            for (at, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                json.push_str(if at > 0 { ", " } else { "" });
                json.push_str(&string(field.name()));
                json.push_str(": ");
                add(json, column, row)?;
            }
            json.push('}');
        }
        _ => json.push_str(&string(&text()?)),
    }
    Ok(())
}

/// Whether a value is null; all values are of a column that has no other.
pub fn is_null(array: &dyn Array, row: usize) -> bool {
    array.data_type() == &DataType::Null || array.is_null(row)
}

fn items(json: &mut String, items: &dyn Array) -> Result<()> {
    json.push('[');
    for at in 0..items.len() {
        json.push_str(if at > 0 { ", " } else { "" });
        add(json, items, at)?;
    }
    json.push(']');
    Ok(())
}

fn number(json: &mut String, value: f64, text: String) {
    if value.is_finite() { json.push_str(&text) } else { json.push_str(&string(&text)) }
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
