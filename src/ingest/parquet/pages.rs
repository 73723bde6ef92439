//! The pages of a column chunk. Their sizes are known from their headers before any is decompressed, and each is decompressed when it is
//! read.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

use super::damage::{CHECKSUM, DAMAGED};
use super::delta;
use super::header::{self, Header, is_keyed};
use super::inflate;

/// The values of one column in one row group, as they lie in the file.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The bytes.
    pub bytes: Bytes,
    /// How pages are packed.
    pub codec: Compression,
    /// Whether values may be missing, so that each page says which are.
    pub may_miss: bool,
    /// Whether a row may have several values, so that each page says which are of one.
    pub repeats: bool,
    /// How many values there are, missing ones among them.
    pub values: usize,
    /// The least that a value takes in a dictionary.
    pub least_value_bytes: usize,
}

/// What the headers of a chunk's pages say.
#[derive(Debug, Default)]
pub struct Survey {
    /// The bytes of the dictionary when it is unpacked.
    pub dictionary_bytes: usize,
    /// The bytes of the largest page.
    pub largest_page_bytes: usize,
    /// The bytes of the largest page that has numbers of the dictionary's.
    pub largest_keyed_bytes: usize,
    /// The bytes that the lengths of one page's texts take, where they are worked out at once.
    pub lengths_bytes: usize,
    /// Whether all values are numbers of the dictionary's.
    pub is_keyed: bool,
    /// For each page with values of its own its values, and what they take unpacked.
    pub pages: Vec<(usize, usize)>,
    /// Whether some page has texts that share what they begin with.
    pub is_shared: bool,
}

impl Survey {
    /// The most that the pages take that so many values, one after the other, lie in.
    pub fn window_bytes(&self, values: usize) -> usize {
        let (mut most, mut bytes, mut within, mut first) = (0_usize, 0_usize, 0_usize, 0);
        for &(more_values, more_bytes) in &self.pages {
            bytes = bytes.saturating_add(more_bytes);
            // A batch reaches this page and the first of those before it only if it is longer than what lies between.
            while within >= values && first < self.pages.len() {
                let (values_before, bytes_before) = self.pages[first];
                let between = within.saturating_sub(values_before);
                if between + 1 < values {
                    break;
                }
                (within, bytes) = (between, bytes.saturating_sub(bytes_before));
                first += 1;
            }
            within += more_values;
            most = most.max(bytes);
        }
        most
    }
}

impl Chunk {
    /// Verifies the headers of all pages; none when they do not have the declared number of values.
    pub fn survey(&self) -> Option<Survey> {
        let mut survey = Survey { is_keyed: true, ..Survey::default() };
        let mut pages = Pages::of(self.clone());
        let mut are_summed = None;
        while let Some(header) = pages.next_header()? {
            pages.over(&header);
            survey.largest_page_bytes = survey.largest_page_bytes.max(header.unpacked_bytes);
            if let header::Page::Dictionary { values, .. } = header.page {
                let least = (values as usize).checked_mul(self.least_value_bytes)?;
                if survey.dictionary_bytes > 0 || !survey.pages.is_empty() || least > header.unpacked_bytes {
                    return None;
                }
                survey.dictionary_bytes = header.unpacked_bytes.max(1);
            }
            let Some((values, encoding)) = header.page.data() else { continue };
            // A header that has lost its checksum would let damage pass.
            if *are_summed.get_or_insert(header.checksum.is_some()) != header.checksum.is_some() {
                return None;
            }
            let has_lengths = matches!(encoding, Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY);
            if has_lengths {
                survey.lengths_bytes = survey.lengths_bytes.max((values as usize).saturating_mul(2 * size_of::<i32>()));
            }
            survey.is_shared |= encoding == Encoding::DELTA_BYTE_ARRAY;
            survey.is_keyed &= is_keyed(encoding);
            if is_keyed(encoding) {
                survey.largest_keyed_bytes = survey.largest_keyed_bytes.max(header.unpacked_bytes);
            }
            let bytes = if is_keyed(encoding) { 0 } else { header.unpacked_bytes };
            survey.pages.push((values as usize, bytes));
        }
        survey.is_keyed &= survey.dictionary_bytes > 0;
        (pages.left == 0).then_some(survey)
    }

    /// The longest text of the dictionary and of pages whose texts share what they begin with, and what the texts of the largest such page
    /// come to. None when one of these pages is damaged.
    ///
    /// # Errors
    /// When a checksum is wrong.
    pub fn expanded(&self) -> Result<delta::Expanded> {
        let mut found = delta::Expanded::default();
        let mut pages = Pages::of(self.clone());
        while let Some(header) = pages.next_header().ok_or_else(damage)? {
            let at = pages.at;
            pages.over(&header);
            let is_shared = matches!(header.page.data(), Some((_, Encoding::DELTA_BYTE_ARRAY)));
            if !is_shared && !matches!(header.page, header::Page::Dictionary { .. }) {
                continue;
            }
            let page = self.unpack(&header, at)?;
            let of_page = match header.page.data() {
                Some((values, _)) => {
                    let texts = self.texts_of(&header, &page).ok_or_else(damage)?;
                    let texts = &page[texts..];
                    let some = if texts.is_empty() { Some(delta::Expanded::default()) } else { delta::expanded(texts, values as usize) };
                    some.ok_or_else(damage)?
                }
                None => delta::Expanded { longest_bytes: longest(&page), bytes: 0 },
            };
            found.longest_bytes = found.longest_bytes.max(of_page.longest_bytes);
            found.bytes = found.bytes.max(of_page.bytes);
        }
        Ok(found)
    }

    /// The bytes of a page, unpacked; it is that whose header begins at a place.
    fn unpack(&self, header: &Header, at: usize) -> Result<Bytes> {
        let begin = at + header.own_bytes;
        let packed = self.bytes.slice(begin..begin + header.packed_bytes);
        if header.checksum.is_some_and(|checksum| checksum != crc32fast::hash(&packed)) {
            return Err(ParquetError::General(CHECKSUM.to_owned()));
        }
        let (levels, is_packed) = match header.page {
            header::Page::DataV2 { definition_bytes, repetition_bytes, is_packed, .. } => {
                (definition_bytes as usize + repetition_bytes as usize, is_packed)
            }
            _ => (0, true),
        };
        if levels > packed.len() || levels > header.unpacked_bytes {
            return Err(damage());
        }
        if self.codec == Compression::UNCOMPRESSED || !is_packed {
            return Ok(packed);
        }
        let size = header.unpacked_bytes - levels;
        let mut page = Vec::with_capacity(header.unpacked_bytes);
        page.extend_from_slice(&packed[..levels]);
        if size > 0 {
            inflate::unpack(self.codec, &packed[levels..], size, &mut page).ok_or_else(damage)?;
        }
        Ok(page.into())
    }

    /// Where in a page its values begin, behind what says which are missing.
    fn texts_of(&self, header: &Header, page: &Bytes) -> Option<usize> {
        let begin = match header.page {
            header::Page::DataV2 { definition_bytes, repetition_bytes, .. } => definition_bytes as usize + repetition_bytes as usize,
            header::Page::Data { levels: Encoding::RLE, .. } if self.may_miss => {
                let behind = |begin: usize| {
                    let length = u32::from_le_bytes(page.get(begin..begin.checked_add(4)?)?.try_into().ok()?) as usize;
                    begin.checked_add(length)?.checked_add(4)
                };
                behind(if self.repeats { behind(0)? } else { 0 })?
            }
            // More bits for what repeats: nobody has written such pages for long.
            header::Page::Data { .. } if self.may_miss && self.repeats => return None,
            // One bit a value, in a way that was given up long ago.
            header::Page::Data { values, .. } if self.may_miss => (values as usize).div_ceil(8),
            _ => 0,
        };
        (begin <= page.len()).then_some(begin)
    }
}

/// The longest text of a dictionary.
fn longest(mut page: &[u8]) -> usize {
    let mut longest = 0;
    while let Some((length, rest)) = page.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        longest = longest.max(length);
        page = rest.get(length..).unwrap_or_default();
    }
    longest
}

/// The error of a page that is not what it should be.
pub fn damage() -> ParquetError {
    ParquetError::General(DAMAGED.to_owned())
}

/// Reads the pages of a chunk, one after the other.
pub struct Pages {
    chunk: Chunk,
    at: usize,
    /// How many values are to come.
    left: usize,
}

impl Pages {
    /// Begins with the first.
    pub fn of(chunk: Chunk) -> Self {
        Pages { at: 0, left: chunk.values, chunk }
    }

    /// The header of the next page that has something; the inner none at the end.
    #[allow(clippy::option_option, reason = "an end is neither a header nor damage")]
    fn next_header(&mut self) -> Option<Option<Header>> {
        while self.left > 0 {
            let header = Header::read(self.chunk.bytes.get(self.at..)?)?;
            let behind = self.chunk.bytes.len() - self.at - header.own_bytes;
            let values = header.page.data().map(|(values, _)| values as usize);
            if header.packed_bytes > behind || values.is_some_and(|values| values > self.left) {
                return None;
            }
            if let header::Page::DataV2 { values, nulls, rows, .. } = header.page
                && (nulls > values || rows > values || (rows != values && !self.chunk.repeats))
            {
                return None;
            }
            if values == Some(0) || header.page == header::Page::Index {
                self.at += header.own_bytes + header.packed_bytes;
                continue;
            }
            return Some(Some(header));
        }
        Some(None)
    }

    /// Goes over a page whose header was read.
    fn over(&mut self, header: &Header) {
        self.at += header.own_bytes + header.packed_bytes;
        self.left -= header.page.data().map_or(0, |(values, _)| values as usize);
    }

    fn page(&mut self) -> Result<Option<Page>> {
        let Some(header) = self.next_header().ok_or_else(damage)? else { return Ok(None) };
        let page = self.chunk.unpack(&header, self.at)?;
        self.over(&header);
        if let header::Page::Dictionary { values, encoding } = header.page {
            return Ok(Some(Page::DictionaryPage { buf: page, num_values: values, encoding, is_sorted: false }));
        }
        let begin = self.chunk.texts_of(&header, &page).ok_or_else(damage)?;
        let (values, encoding) = header.page.data().ok_or_else(damage)?;
        let (buf, encoding) = sound(page, begin, values as usize, encoding)?;
        Ok(Some(match header.page {
            header::Page::DataV2 { nulls, rows, definition_bytes, repetition_bytes, is_packed, .. } => Page::DataPageV2 {
                buf,
                num_values: values,
                encoding,
                num_nulls: nulls,
                num_rows: rows,
                def_levels_byte_len: definition_bytes,
                rep_levels_byte_len: repetition_bytes,
                is_compressed: is_packed,
                statistics: None,
            },
            header::Page::Data { levels, .. } => Page::DataPage {
                buf,
                num_values: values,
                encoding,
                def_level_encoding: levels,
                rep_level_encoding: levels,
                statistics: None,
            },
            _ => return Err(damage()),
        }))
    }
}

/// A page whose values the decoder can begin to read, as it does before it looks whether they are there.
fn sound(page: Bytes, begin: usize, values: usize, encoding: Encoding) -> Result<(Bytes, Encoding)> {
    const MAX_KEY_BITS: u8 = 32;
    match (encoding, page.get(begin)) {
        // No value of it is there. Keys of no bits say the same.
        (_, None) if is_keyed(encoding) => Ok(([&page[..], &[0]].concat().into(), encoding)),
        (_, None) => Ok((page, Encoding::PLAIN)),
        (_, Some(&bits)) if is_keyed(encoding) => (bits <= MAX_KEY_BITS).then_some((page, encoding)).ok_or_else(damage),
        (Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY, _) => {
            let is_sound = delta::count(&page[begin..]).is_some_and(|count| count <= values);
            is_sound.then_some((page, encoding)).ok_or_else(damage)
        }
        _ => Ok((page, encoding)),
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.page()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        let header = self.next_header().ok_or_else(damage)?;
        Ok(header.map(|header| {
            let values = header.page.data().map(|(values, _)| values as usize);
            let rows = match header.page {
                header::Page::DataV2 { rows, .. } => Some(rows as usize),
                _ => values.filter(|_| !self.chunk.repeats),
            };
            PageMetadata { num_rows: rows, num_levels: values, is_dict: values.is_none() }
        }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        if let Some(header) = self.next_header().ok_or_else(damage)? {
            self.over(&header);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number as Thrift writes it.
    fn zigzag(number: i32) -> Vec<u8> {
        let mut left = u64::from(((number << 1) ^ (number >> 31)).cast_unsigned());
        let mut bytes = Vec::new();
        while left > 0x7f {
            bytes.push(left.to_le_bytes()[0] | 0x80);
            left >>= 7;
        }
        bytes.push(left.to_le_bytes()[0]);
        bytes
    }

    /// Fields of numbers, one after the other, and the stop.
    fn fields(numbers: &[i32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| [vec![0x15], zigzag(*number)].concat()).chain([0]).collect()
    }

    /// A page with its header: its kind, its sizes as they are declared, its checksum if it has one, what is in it, and its bytes.
    fn page(kind: i32, sizes: [i32; 2], checksum: Option<u32>, inside: &[i32], bytes: &[u8]) -> Vec<u8> {
        let mut header: Vec<u8> = [kind, sizes[0], sizes[1]].iter().flat_map(|number| [vec![0x15], zigzag(*number)].concat()).collect();
        let mut before = 3;
        if let Some(checksum) = checksum {
            header.extend([vec![0x15], zigzag(checksum.cast_signed())].concat());
            before = 4;
        }
        let place = [5, 0, 7, 8][usize::try_from(kind).unwrap()];
        header.push((place - before) << 4 | 0x0c);
        header.extend(fields(inside));
        header.push(0);
        [header, bytes.to_vec()].concat()
    }

    fn chunk(pages: &[Vec<u8>], values: usize) -> Chunk {
        Chunk {
            bytes: pages.concat().into(),
            codec: Compression::UNCOMPRESSED,
            may_miss: false,
            repeats: false,
            values,
            least_value_bytes: 4,
        }
    }

    const PLAIN: i32 = 0;
    const RLE: i32 = 3;
    const KEYED: i32 = 8;

    #[test]
    fn what_headers_declare_is_held_against_what_is_there() {
        let data = |values: i32| page(0, [8, 8], None, &[values, PLAIN, RLE, RLE], &[0; 8]);
        let keys = |values: i32| page(0, [2, 2], None, &[values, KEYED, RLE, RLE], &[0; 2]);
        let dictionary = |values: i32| page(2, [8, 8], None, &[values, PLAIN], &[0; 8]);
        let v2 = |values: i32, nulls: i32, rows: i32| page(3, [8, 8], None, &[values, nulls, rows, PLAIN, 0, 0], &[0; 8]);
        let sound = chunk(&[dictionary(2), keys(3), data(2)], 5).survey().unwrap();
        assert_eq!((sound.dictionary_bytes, sound.largest_page_bytes, sound.is_keyed), (8, 8, false));
        assert_eq!(sound.pages, [(3, 0), (2, 8)]);
        assert!(chunk(&[dictionary(2), keys(3)], 3).survey().unwrap().is_keyed);
        assert!(chunk(&[v2(2, 1, 2)], 2).survey().is_some());
        for (what, pages, values) in [
            ("fewer values", vec![data(2)], 3),
            ("more values", vec![data(2), data(2)], 3),
            ("values below zero", vec![data(-1)], 1),
            ("a dictionary behind values", vec![data(2), dictionary(2), data(2)], 4),
            ("two dictionaries", vec![dictionary(2), dictionary(2), data(2)], 2),
            ("a dictionary of more values than bytes", vec![dictionary(i32::MAX), keys(2)], 2),
            ("more missing than there are", vec![v2(2, 3, 2)], 2),
            ("other rows than values", vec![v2(2, 0, 1)], 2),
            ("a page beyond the end", vec![page(0, [8, 9], None, &[2, PLAIN, RLE, RLE], &[0; 8])], 2),
            ("a size below zero", vec![page(0, [-1, 8], None, &[2, PLAIN, RLE, RLE], &[0; 8])], 2),
            ("a checksum on one page alone", vec![data(2), page(0, [8, 8], Some(1), &[2, PLAIN, RLE, RLE], &[0; 8])], 4),
            ("an encoding that nobody knows", vec![page(0, [8, 8], None, &[2, 77, RLE, RLE], &[0; 8])], 2),
        ] {
            assert!(chunk(&pages, values).survey().is_none(), "{what}");
        }
        // What is declared is all that is asked for: nothing of it is there yet.
        let declared = chunk(&[page(0, [i32::MAX, 8], None, &[2, PLAIN, RLE, RLE], &[0; 8])], 2).survey().unwrap();
        assert_eq!(declared.window_bytes(1), i32::MAX as usize);
    }

    #[test]
    fn a_page_with_a_wrong_checksum_is_not_read() {
        let bytes = [1, 0, 0, 0, b'a', 0, 0, 0, 0];
        for (checksum, is_sound) in [(crc32fast::hash(&bytes), true), (crc32fast::hash(&bytes) ^ 1, false)] {
            for inside in [&[2, PLAIN, RLE, RLE][..], &[2, 0, 2, PLAIN, 0, 0], &[2, PLAIN]] {
                let kind = [(4, 0), (6, 3), (2, 2)].iter().find(|(length, _)| *length == inside.len()).unwrap().1;
                let read = Pages::of(chunk(&[page(kind, [9, 9], Some(checksum), inside, &bytes)], 2)).get_next_page();
                assert_eq!(read.is_ok(), is_sound, "{kind}");
            }
        }
    }

    #[test]
    fn lengths_that_a_page_declares_are_no_more_than_its_values() {
        // A block of differences: its size, its parts, the count and the first.
        let lengths = |count: u8| [&[0x80, 0x01, 0x04, count, 0x00][..], &[0; 64]].concat();
        let of = |count: u8| {
            let bytes = lengths(count);
            let size = i32::try_from(bytes.len()).unwrap();
            Pages::of(chunk(&[page(0, [size, size], None, &[5, 6, RLE, RLE], &bytes)], 5)).get_next_page()
        };
        assert!(of(5).is_ok());
        assert!(of(6).is_err());
    }

    #[test]
    fn a_window_takes_what_its_pages_take() {
        let survey = Survey { pages: vec![(10, 100), (10, 1), (10, 100), (30, 50)], ..Survey::default() };
        for (values, bytes) in [(1, 100), (2, 150), (11, 150), (12, 201), (13, 201), (22, 251), (1000, 251)] {
            assert_eq!(survey.window_bytes(values), bytes, "{values}");
        }
    }
}
