//! Values that stand for none, and texts without the space around them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray, Datum, Scalar};
use arrow::compute::kernels::cmp;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Float64Type};

use super::outcome::Values;
use crate::error::{Error, Result};

/// What a column says of values that stand for none.
#[derive(Debug, Default)]
pub struct NullMarkers {
    /// Texts that are null in a column of text, exactly as they are.
    pub texts: BTreeSet<String>,
    /// Whether space around the texts of a column of text is left off.
    pub trim: bool,
    /// In a column that is neither text nor boolean: values that are null, however a file writes or holds them.
    pub values: Vec<Scalar<ArrayRef>>,
    /// Whether some marker of a boolean column would be read as yes or no, so that markers are looked at first.
    pub are_truths: bool,
    /// Whether floating-point numbers that are none (NaN) are null: the column or its source has the marker `nan`.
    pub nan: bool,
}

impl NullMarkers {
    /// Whether texts are left as they are.
    pub fn leave_texts(&self) -> bool {
        self.texts.is_empty() && !self.trim
    }

    /// Whether values that are there may become null.
    pub fn may_take(&self) -> bool {
        !self.leave_texts() || !self.values.is_empty() || self.are_truths || self.nan
    }

    /// A text of a column of text; none where it stands for no value. `replaced` gives what a word stands for.
    pub fn text<'a>(&'a self, text: &'a str, replaced: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
        let text = if self.trim { without_space(text) } else { text };
        if self.trim && text.is_empty() {
            return None;
        }
        replaced(text).or_else(|| (!self.texts.contains(text)).then_some(text))
    }

    /// Makes values null that stand for none, in what was read of an array.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] when values cannot be compared.
    pub fn take_out(&self, values: &mut Values, raw: &ArrayRef) -> Result<()> {
        if self.nan && !values.bad.is_empty() && raw.data_type().is_floating() {
            let floats = cast(raw, &DataType::Float64).map_err(defect)?;
            let floats = floats.as_primitive::<Float64Type>();
            values.bad.retain(|(row, _)| !floats.value(*row).is_nan());
        }
        for marker in &self.values {
            let is_marker = cmp::eq(&values.array, marker as &dyn Datum).map_err(defect)?;
            if is_marker.true_count() > 0 {
                values.array = nullif(&values.array, &is_marker).map_err(defect)?;
            }
        }
        Ok(())
    }
}

/// A text without space around it, of every kind, were it without a width.
pub fn without_space(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}'))
}

/// A word that stands for something in any case: without space around it, in lower case.
pub fn folded(word: &str) -> Cow<'_, str> {
    let word = word.trim();
    if word.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        Cow::Owned(word.to_lowercase())
    } else {
        Cow::Borrowed(word)
    }
}

fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("values were not compared: {}", crate::sql::discreet(&error.into())))
}
