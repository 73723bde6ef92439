//! The header of a page: what kind of page follows, what it holds and how large it is.

use parquet::basic::Encoding;

use super::thrift::{Thrift, kind};

/// What stands before a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// What the page is.
    pub page: Page,
    /// Its bytes when it is unpacked.
    pub unpacked_bytes: usize,
    /// Its bytes as it lies in the file.
    pub packed_bytes: usize,
    /// The CRC-32 of these.
    pub checksum: Option<u32>,
    /// The bytes of the header itself.
    pub own_bytes: usize,
}

/// What a page is.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    /// Values that data pages have the numbers of.
    Dictionary {
        /// How many.
        values: u32,
        /// How they are written.
        encoding: Encoding,
    },
    /// Values, as the first version has them.
    Data {
        /// How many, missing ones among them.
        values: u32,
        /// How they are written.
        encoding: Encoding,
        /// How is written which are missing.
        levels: Encoding,
    },
    /// Values, as the second version has them: levels come first and are not packed.
    DataV2 {
        /// How many, missing ones among them.
        values: u32,
        /// How many are missing.
        nulls: u32,
        /// How many rows they are.
        rows: u32,
        /// How they are written.
        encoding: Encoding,
        /// The bytes that say which are missing.
        definition_bytes: u32,
        /// The bytes that say which of them are one row's.
        repetition_bytes: u32,
        /// Whether the rest is packed.
        is_packed: bool,
    },
    /// An index, of which nobody knows what it looks like.
    Index,
}

impl Page {
    /// How many values it adds to its column, and how they are written.
    pub fn data(&self) -> Option<(u32, Encoding)> {
        match *self {
            Page::Data { values, encoding, .. } | Page::DataV2 { values, encoding, .. } => Some((values, encoding)),
            Page::Dictionary { .. } | Page::Index => None,
        }
    }
}

/// Whether values are written as numbers of a dictionary's.
pub fn is_keyed(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY)
}

impl Header {
    /// Reads the header that bytes begin with; none when they begin with none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut thrift = Thrift::new(bytes);
        let (mut kind_of_page, mut unpacked, mut packed, mut checksum) = (None, None, None, None);
        let (mut data, mut dictionary, mut data_v2) = (None, None, None);
        let mut before = 0;
        while let Some((id, held)) = thrift.field(before)? {
            before = id;
            match (id, held) {
                (1, kind::I32) => kind_of_page = Some(thrift.signed_32()?),
                (2, kind::I32) => unpacked = Some(usize::try_from(thrift.signed_32()?).ok()?),
                (3, kind::I32) => packed = Some(usize::try_from(thrift.signed_32()?).ok()?),
                (4, kind::I32) => checksum = Some(thrift.signed_32()?.cast_unsigned()),
                (5, kind::STRUCT) => data = Some(Fields::read(&mut thrift)?),
                (7, kind::STRUCT) => dictionary = Some(Fields::read(&mut thrift)?),
                (8, kind::STRUCT) => data_v2 = Some(Fields::read(&mut thrift)?),
                (1..=8, held) if id != 6 || held != kind::STRUCT => return None,
                (_, held) => thrift.skip(held)?,
            }
        }
        let page = match (kind_of_page?, data, dictionary, data_v2) {
            (0, Some(data), ..) => Page::Data { values: data.count(1)?, encoding: data.encoding(2)?, levels: data.encoding(3)? },
            (1, ..) => Page::Index,
            (2, _, Some(dictionary), _) => Page::Dictionary { values: dictionary.count(1)?, encoding: dictionary.encoding(2)? },
            (3, .., Some(data)) => Page::DataV2 {
                values: data.count(1)?,
                nulls: data.count(2)?,
                rows: data.count(3)?,
                encoding: data.encoding(4)?,
                definition_bytes: data.count(5)?,
                repetition_bytes: data.count(6)?,
                is_packed: data.is_true(7).unwrap_or(true),
            },
            _ => return None,
        };
        Some(Header { page, unpacked_bytes: unpacked?, packed_bytes: packed?, checksum, own_bytes: thrift.at() })
    }
}

/// The numbers and truths of a structure; what else is in it, as statistics, is not needed.
#[derive(Default)]
struct Fields {
    numbers: [Option<i32>; Fields::KNOWN],
}

impl Fields {
    const KNOWN: usize = 8;

    fn read(thrift: &mut Thrift<'_>) -> Option<Self> {
        let mut fields = Fields::default();
        let mut before = 0;
        while let Some((id, held)) = thrift.field(before)? {
            before = id;
            let place = usize::try_from(id).ok().and_then(|id| fields.numbers.get_mut(id));
            match (place, held) {
                (Some(place), kind::I32) => *place = Some(thrift.signed_32()?),
                (Some(place), kind::TRUE | kind::FALSE) => *place = Some(i32::from(held == kind::TRUE)),
                _ => thrift.skip(held)?,
            }
        }
        Some(fields)
    }

    fn count(&self, id: usize) -> Option<u32> {
        u32::try_from(self.numbers[id]?).ok()
    }

    fn is_true(&self, id: usize) -> Option<bool> {
        Some(self.numbers[id]? != 0)
    }

    fn encoding(&self, id: usize) -> Option<Encoding> {
        #[allow(deprecated, reason = "files have them")]
        Some(match self.numbers[id]? {
            0 => Encoding::PLAIN,
            2 => Encoding::PLAIN_DICTIONARY,
            3 => Encoding::RLE,
            4 => Encoding::BIT_PACKED,
            5 => Encoding::DELTA_BINARY_PACKED,
            6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            7 => Encoding::DELTA_BYTE_ARRAY,
            8 => Encoding::RLE_DICTIONARY,
            9 => Encoding::BYTE_STREAM_SPLIT,
            _ => return None,
        })
    }
}
