//! Thrift's compact protocol, as far as a Parquet file has it: values one after the other, whose declared sizes are held against what is
//! there.

/// Bytes in which structures and values follow each other.
pub struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The types of values.
pub mod kind {
    /// The end of a structure.
    pub const STOP: u8 = 0;
    /// A truth, which has no bytes of its own.
    pub const TRUE: u8 = 1;
    /// The other one.
    pub const FALSE: u8 = 2;
    /// A byte.
    pub const BYTE: u8 = 3;
    /// Two bytes, as a number of any length.
    pub const I16: u8 = 4;
    /// Four bytes, likewise.
    pub const I32: u8 = 5;
    /// Eight bytes, likewise.
    pub const I64: u8 = 6;
    /// Eight bytes.
    pub const DOUBLE: u8 = 7;
    /// Bytes or text.
    pub const BINARY: u8 = 8;
    /// Values of one type.
    pub const LIST: u8 = 9;
    /// Fields up to a stop.
    pub const STRUCT: u8 = 12;
}

/// How deep structures may lie in each other; those of Parquet are six deep.
const MAX_DEPTH: u32 = 24;

impl<'a> Thrift<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Thrift { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub fn at(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn over(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|end| *end <= self.bytes.len())?;
        Some(())
    }

    /// A number without sign, of ten bytes at most.
    pub fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            // The tenth byte has one bit left.
            if shift == 63 && part > 1 {
                return None;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A number with sign.
    pub fn signed(&mut self) -> Option<i64> {
        let zigzag = self.unsigned()?;
        Some((zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed()))
    }

    /// A number of 32 bits.
    pub fn signed_32(&mut self) -> Option<i32> {
        i32::try_from(self.signed()?).ok()
    }

    /// The next field of a structure, by number and type, given the number before it: 0 at the beginning. `Some(None)` is the stop.
    #[allow(clippy::option_option, reason = "an end is neither a field nor damage")]
    pub fn field(&mut self, before: i16) -> Option<Option<(i16, u8)>> {
        let byte = self.byte()?;
        let kind = byte & 0x0f;
        if kind == kind::STOP {
            return Some(None);
        }
        let id = match byte >> 4 {
            0 => i16::try_from(self.signed()?).ok()?,
            more => before.checked_add(i16::from(more))?,
        };
        Some(Some((id, kind)))
    }

    /// The type and the number of a list's values, of which each takes a byte at least.
    pub fn list(&mut self) -> Option<(u8, usize)> {
        let byte = self.byte()?;
        let size = match byte >> 4 {
            15 => usize::try_from(self.unsigned()?).ok()?,
            size => usize::from(size),
        };
        (size <= self.bytes.len() - self.at).then_some((byte & 0x0f, size))
    }

    /// Goes over a value, whatever is in it.
    pub fn skip(&mut self, kind: u8) -> Option<()> {
        self.skip_within(kind, MAX_DEPTH)
    }

    fn skip_within(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            kind::TRUE | kind::FALSE => Some(()),
            kind::BYTE => self.over(1),
            kind::I16 | kind::I32 | kind::I64 => self.unsigned().map(|_| ()),
            kind::DOUBLE => self.over(8),
            kind::BINARY => {
                let length = usize::try_from(self.unsigned()?).ok()?;
                self.over(length)
            }
            kind::LIST => {
                let (of, size) = self.list()?;
                // Readers disagree on whether a truth in a list has a byte, and no list of Parquet's footers has any.
                if size > 0 && matches!(of, kind::TRUE | kind::FALSE) {
                    return None;
                }
                (0..size).try_for_each(|_| self.skip_within(of, depth))
            }
            kind::STRUCT => {
                let mut before = 0;
                while let Some((id, kind)) = self.field(before)? {
                    self.skip_within(kind, depth)?;
                    before = id;
                }
                Some(())
            }
            // Sets and maps are in no structure of Parquet's.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_those_that_are_too_long_are_not() {
        assert_eq!(Thrift::new(&[0xac, 0x02]).unsigned(), Some(300));
        assert_eq!(Thrift::new(&[0x01]).signed(), Some(-1));
        let mut longest = vec![0xff; 9];
        longest.push(1);
        assert_eq!(Thrift::new(&longest).unsigned(), Some(u64::MAX));
        assert_eq!(Thrift::new(&longest).signed(), Some(i64::MIN));
        assert_eq!(Thrift::new(&longest).signed_32(), None);
        longest[9] = 2;
        assert_eq!(Thrift::new(&longest).unsigned(), None);
        assert_eq!(Thrift::new(&[0x80; 20]).unsigned(), None);
        assert_eq!(Thrift::new(&[0x80]).unsigned(), None);
    }

    #[test]
    fn what_is_declared_must_be_there() {
        // A list of two thousand million numbers in six bytes, and a text of as many.
        assert_eq!(Thrift::new(&[0xf5, 0xff, 0xff, 0xff, 0xff, 0x07]).skip(kind::LIST), None);
        assert_eq!(Thrift::new(&[0xff, 0xff, 0xff, 0xff, 0x07]).skip(kind::BINARY), None);
        assert_eq!(Thrift::new(&[0x25, 2, 4]).skip(kind::LIST), Some(()));
        // A structure in a structure, and so on.
        assert_eq!(Thrift::new(&vec![0x1c; 100_000]).skip(kind::STRUCT), None);
        assert_eq!(Thrift::new(&[0x1c, 0x15, 2, 0, 0]).skip(kind::STRUCT), Some(()));
    }
}
