//! How long texts are that are written as what each shares with the one before it and what it adds: a few bytes may stand for gigabytes.

/// Values that a block of differences has at least.
const LEAST_BLOCK: usize = 128;
/// Values in each part of a block.
const LEAST_PART: usize = 32;
const MAX_BITS: usize = 32;

/// What texts of a page come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The bytes of the longest.
    pub longest_bytes: usize,
    /// The bytes of all.
    pub bytes: usize,
}

/// How many values a column of differences says that it has; none when it does not begin like one.
pub fn count(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    varint(bytes, &mut at)?;
    varint(bytes, &mut at)?;
    usize::try_from(varint(bytes, &mut at)?).ok()
}

/// What the texts of a page come to, of which there are `most` at most. None when it is damaged.
pub fn expanded(page: &[u8], most: usize) -> Option<Expanded> {
    let (shared, end) = numbers(page, most)?;
    let rest = page.get(end..)?;
    let (added, end) = numbers(rest, most)?;
    let mut text = rest.len().checked_sub(end)?;
    let (mut before, mut found) = (0_usize, Expanded::default());
    if shared.len() != added.len() {
        return None;
    }
    for (shared, added) in shared.into_iter().zip(added) {
        let (shared, added) = (usize::try_from(shared).ok()?, usize::try_from(added).ok()?);
        text = text.checked_sub(added)?;
        // What would share more than there is has other texts than it was written from.
        let length = (shared <= before).then_some(shared + added)?;
        found.longest_bytes = found.longest_bytes.max(length);
        found.bytes = found.bytes.checked_add(length)?;
        before = length;
    }
    Some(found)
}

/// Numbers that are written as differences (`DELTA_BINARY_PACKED`), and where they end.
fn numbers(bytes: &[u8], most: usize) -> Option<(Vec<i32>, usize)> {
    let mut at = 0;
    let block = usize::try_from(varint(bytes, &mut at)?).ok()?;
    let parts = usize::try_from(varint(bytes, &mut at)?).ok()?;
    let total = usize::try_from(varint(bytes, &mut at)?).ok().filter(|total| *total <= most)?;
    let mut last = zigzag(varint(bytes, &mut at)?);
    let part = block.checked_div(parts).filter(|part| part * parts == block && block % LEAST_BLOCK == 0 && part % LEAST_PART == 0)?;
    let mut numbers = Vec::with_capacity(total);
    if total > 0 {
        numbers.push(i32::try_from(last).ok()?);
    }
    while numbers.len() < total {
        let smallest = zigzag(varint(bytes, &mut at)?);
        let widths = at..at.checked_add(parts)?;
        at = widths.end;
        for &width in bytes.get(widths)? {
            let wanted = part.min(total - numbers.len());
            if wanted == 0 {
                break;
            }
            let width = usize::from(width);
            let end = at.checked_add(part.checked_mul(width)? / 8)?;
            let packed = bytes.get(at..end).filter(|_| width <= MAX_BITS)?;
            for place in 0..wanted {
                // Differences wrap around at 32 bits.
                last = i64::from(truncated(last.wrapping_add(smallest).wrapping_add(bits(packed, place * width, width))));
                numbers.push(truncated(last));
            }
            at = end;
        }
    }
    Some((numbers, at))
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn truncated(number: i64) -> i32 {
    number as i32
}

/// A number of some bits, the lowest first.
fn bits(packed: &[u8], begin: usize, width: usize) -> i64 {
    let bytes = packed.get(begin / 8..(begin + width).div_ceil(8)).unwrap_or_default();
    let number = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    ((number >> (begin % 8)) & ((1 << width) - 1)).cast_signed()
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut thrift = super::thrift::Thrift::new(bytes.get(*at..)?);
    let number = thrift.unsigned()?;
    *at += thrift.at();
    Some(number)
}

fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Encoding;
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::file::writer::SerializedFileWriter;
    use proptest::prelude::*;

    use super::*;

    /// Texts as a page has them that the library writes.
    fn written(texts: &[String]) -> Vec<u8> {
        let schema = Arc::new(parquet::schema::parser::parse_message_type("message m { required binary t; }").unwrap());
        let properties = WriterProperties::builder().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_BYTE_ARRAY).build();
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = texts.iter().map(|text| ByteArray::from(text.as_str())).collect();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        let file = SerializedFileReader::new(bytes::Bytes::from(writer.into_inner().unwrap())).unwrap();
        let mut pages = file.get_row_group(0).unwrap().get_column_page_reader(0).unwrap();
        pages.get_next_page().unwrap().unwrap().buffer().to_vec()
    }

    proptest! {
        #[test]
        fn texts_come_to_what_they_are(texts in prop::collection::vec("[ab]{0,40}", 1..400), cut in 1..20_usize) {
            let page = written(&texts);
            let expected = Expanded {
                longest_bytes: texts.iter().map(String::len).max().unwrap(),
                bytes: texts.iter().map(String::len).sum(),
            };
            prop_assert_eq!(count(&page), Some(texts.len()));
            prop_assert_eq!(expanded(&page, texts.len()), Some(expected));
            prop_assert_eq!(expanded(&page, texts.len() - 1), None);
            // Cut short it is damaged, or what is cut off was not needed.
            let short = &page[..page.len().saturating_sub(cut)];
            prop_assert!(expanded(short, texts.len()).is_none_or(|found| found == expected));
        }

        #[test]
        fn any_bytes_are_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = expanded(&bytes, 10_000);
            let _ = count(&bytes);
        }
    }
}
