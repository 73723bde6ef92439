//! What a rewritten plan has in the place of texts.

use arrow::datatypes::DataType;

/// What stands in the place of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// Their codes. The texts are of this type.
    Code(DataType),
    /// Their prints.
    Print,
}

impl Stand {
    /// The type of the texts that codes stand for.
    pub fn text_of_code(&self) -> Option<&DataType> {
        match self {
            Stand::Code(text) => Some(text),
            Stand::Print => None,
        }
    }
}
