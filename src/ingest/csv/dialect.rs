//! The characters that a CSV text is written with.

/// The characters of a CSV text. No two of them are the same, and none is a line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    pub(super) delimiter: Delimiter,
    /// What stands around fields; none where no character does.
    pub quote: Option<u8>,
    /// What makes the next character a part of the field.
    pub escape: Option<u8>,
    /// What begins a line that is no record.
    pub comment: Option<u8>,
}

/// The character between two fields, in UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delimiter {
    bytes: [u8; 4],
    length: u8,
}

impl Default for Dialect {
    /// Commas and double quotes, as RFC 4180 has them.
    fn default() -> Self {
        Dialect::of(',')
    }
}

impl Dialect {
    /// Double quotes, and a character between fields.
    pub const fn of(delimiter: char) -> Self {
        let mut bytes = [0; 4];
        let length = delimiter.encode_utf8(&mut bytes).len();
        // A character has four bytes at most.
        #[allow(clippy::cast_possible_truncation, reason = "a character has four bytes at most")]
        Dialect { delimiter: Delimiter { bytes, length: length as u8 }, quote: Some(b'"'), escape: None, comment: None }
    }

    /// The character between two fields.
    #[inline]
    pub fn delimiter(&self) -> &[u8] {
        &self.delimiter.bytes[..usize::from(self.delimiter.length)]
    }

    /// The first byte of the character between two fields.
    #[inline]
    pub fn first_of_delimiter(&self) -> u8 {
        self.delimiter.bytes[0]
    }

    /// Whether a letter, a digit or an underscore stands between or around fields.
    pub fn has_words(&self) -> bool {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        self.delimiter().iter().chain(&self.quote).any(is_word)
    }

    /// Whether the character between two fields is one byte.
    #[inline]
    pub fn is_narrow(&self) -> bool {
        self.delimiter.length == 1
    }

    /// The escape character where it counts outside of quotes, too: where there are none.
    #[inline]
    pub fn escape_outside(&self) -> Option<u8> {
        self.escape.filter(|_| self.quote.is_none())
    }
}
