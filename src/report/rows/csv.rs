//! Rows as CSV (RFC 4180, with line feeds): a text without characters is `""`, and nothing stands for null.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cells::Cells;
use crate::error::Result;

/// The line of names.
pub fn header(schema: &SchemaRef) -> Vec<u8> {
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    (names.join(",") + "\n").into_bytes()
}

/// The lines of some rows.
///
/// # Errors
/// As [`Cells::text`].
pub fn lines(rows: &RecordBatch) -> Result<Vec<u8>> {
    let columns = rows.columns().iter().map(|array| Cells::of(array)).collect::<Result<Vec<_>>>()?;
    let mut lines = String::new();
    for row in 0..rows.num_rows() {
        for (at, cells) in columns.iter().enumerate() {
            if at > 0 {
                lines.push(',');
            }
            if let Some(text) = cells.text(row)? {
                lines.push_str(&quoted(&text));
            }
        }
        lines.push('\n');
    }
    Ok(lines.into_bytes())
}

fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty() && !text.contains([',', '"', '\n', '\r']) && text.trim() == text;
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}
