//! Values that stand for none, and texts without the space around them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use arrow::array::{ArrayRef, Datum, Scalar};
use arrow::compute::kernels::cmp;
use arrow::compute::nullif;
use arrow::util::display::array_value_to_string;

use super::outcome::Values;
use crate::error::{Error, Result};
use crate::number;

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
    /// Whether the column or its source has words for no value of its own, which numbers that a file holds as such may be, too: `nan`, or a
    /// fraction in a column of whole numbers.
    pub are_own: bool,
}

impl NullMarkers {
    /// Whether texts are left as they are.
    pub fn leave_texts(&self) -> bool {
        self.texts.is_empty() && !self.trim
    }

    /// Whether values that are there may become null.
    pub fn may_take(&self) -> bool {
        !self.leave_texts() || !self.values.is_empty() || self.are_truths || self.are_own
    }

    /// A text of a column of text; none where it stands for no value. `replaced` gives what a word stands for.
    pub fn text<'a>(&'a self, text: &'a str, replaced: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
        let text = if self.trim { without_space(text) } else { text };
        if self.trim && text.is_empty() {
            return None;
        }
        replaced(text).or_else(|| (!self.texts.contains(text)).then_some(text))
    }

    /// Makes values null that stand for none, in what was read of an array; `is_word` tells words for no value.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] when values cannot be compared.
    pub fn take_out(&self, values: &mut Values, raw: &ArrayRef, is_word: impl Fn(&str) -> bool) -> Result<()> {
        if self.are_own && raw.data_type().is_numeric() {
            let is_word = |text: &str| is_word(text) || number::plain(text).is_some_and(|plain| is_word(&plain));
            values.bad.retain(|(row, _)| !array_value_to_string(raw, *row).is_ok_and(|text| is_word(&text)));
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
