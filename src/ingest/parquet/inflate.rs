//! Decompresses a page into exactly as many bytes as its header says, and never into more.

use std::cell::RefCell;
use std::io::Read;

use parquet::basic::Compression;

/// Bytes that Brotli's decoder takes in at once.
const BROTLI_INPUT_BYTES: usize = 4096;
/// What stands before each block that Hadoop packed: the sizes of it, unpacked and packed.
const HADOOP_SIZES_BYTES: usize = 8;

/// Appends what is unpacked; none when that is not as large as it should be, or damaged.
pub fn unpack(codec: Compression, packed: &[u8], size: usize, out: &mut Vec<u8>) -> Option<()> {
    let begin = out.len();
    match codec {
        Compression::UNCOMPRESSED => out.extend_from_slice(packed),
        Compression::ZSTD(_) => unpack_zstd(packed, size, out)?,
        Compression::GZIP(_) => read_exactly(flate2::read::MultiGzDecoder::new(packed), size, out)?,
        Compression::BROTLI(_) => read_exactly(brotli::Decompressor::new(packed, BROTLI_INPUT_BYTES), size, out)?,
        Compression::SNAPPY => {
            if snap::raw::decompress_len(packed).ok()? != size {
                return None;
            }
            out.resize(begin + size, 0);
            snap::raw::Decoder::new().decompress(packed, &mut out[begin..]).ok()?;
        }
        Compression::LZ4_RAW => {
            out.resize(begin + size, 0);
            unpack_lz4(packed, &mut out[begin..])?;
        }
        // Written in three ways, of which none says which it is.
        Compression::LZ4 => {
            out.resize(begin + size, 0);
            if unpack_hadoop(packed, &mut out[begin..]).is_none() {
                out.truncate(begin);
                if read_exactly(lz4_flex::frame::FrameDecoder::new(packed), size, out).is_none() {
                    out.truncate(begin);
                    out.resize(begin + size, 0);
                    unpack_lz4(packed, &mut out[begin..])?;
                }
            }
        }
        Compression::LZO => return None,
    }
    (out.len() - begin == size).then_some(())
}

/// Whether pages of a codec can be read at all.
pub fn is_known(codec: Compression) -> bool {
    codec != Compression::LZO
}

fn unpack_zstd(packed: &[u8], size: usize, out: &mut Vec<u8>) -> Option<()> {
    let begin = out.len();
    out.resize(begin + size, 0);
    // The output is a slice, so that nothing is written beyond it, and no window is allocated, whatever the frame asks for.
    let written = ZSTD.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(kept) => kept,
            none => none.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        decompressor.decompress_to_buffer(packed, &mut out[begin..]).ok()
    });
    (written? == size).then_some(())
}

thread_local! {
    /// The decompressor of a thread. To make one takes as long as to unpack a small page.
    static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Reads to the end, which checks what the end has; one byte more than expected is enough to see that there are too many.
fn read_exactly(packed: impl Read, size: usize, out: &mut Vec<u8>) -> Option<()> {
    let begin = out.len();
    packed.take(size as u64 + 1).read_to_end(out).ok()?;
    (out.len() - begin == size).then_some(())
}

fn unpack_lz4(packed: &[u8], out: &mut [u8]) -> Option<()> {
    let size = out.len();
    (lz4_flex::block::decompress_into(packed, out).ok()? == size).then_some(())
}

fn unpack_hadoop(mut packed: &[u8], mut out: &mut [u8]) -> Option<()> {
    while !packed.is_empty() {
        let (sizes, rest) = packed.split_at_checked(HADOOP_SIZES_BYTES)?;
        let size = |at: usize| Some(u32::from_be_bytes(sizes.get(at..at + 4)?.try_into().ok()?) as usize);
        let (block, rest) = rest.split_at_checked(size(4)?)?;
        let (into, after) = std::mem::take(&mut out).split_at_mut_checked(size(0)?)?;
        unpack_lz4(block, into)?;
        (packed, out) = (rest, after);
    }
    out.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(codec: Compression, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match codec {
            Compression::ZSTD(_) => out = zstd::encode_all(text, 3).unwrap(),
            Compression::GZIP(_) => {
                let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap();
            }
            Compression::BROTLI(_) => {
                brotli::CompressorWriter::new(&mut out, 4096, 1, 22).write_all(text).unwrap();
            }
            Compression::SNAPPY => out = snap::raw::Encoder::new().compress_vec(text).unwrap(),
            Compression::LZ4_RAW => out = lz4_flex::block::compress(text),
            _ => out.extend_from_slice(text),
        }
        out
    }

    const CODECS: [fn() -> Compression; 6] = [
        || Compression::UNCOMPRESSED,
        || Compression::ZSTD(parquet::basic::ZstdLevel::default()),
        || Compression::GZIP(parquet::basic::GzipLevel::default()),
        || Compression::BROTLI(parquet::basic::BrotliLevel::default()),
        || Compression::SNAPPY,
        || Compression::LZ4_RAW,
    ];

    #[test]
    fn a_page_is_as_large_as_it_says_or_damaged() {
        let text: Vec<u8> = (0..100_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).chain(vec![0; 100_000]).collect();
        for codec in CODECS.map(|codec| codec()) {
            let packed = packed(codec, &text);
            let mut out = b"before".to_vec();
            assert_eq!(unpack(codec, &packed, text.len(), &mut out), Some(()), "{codec:?}");
            assert!(out.starts_with(b"before") && out[6..] == text, "{codec:?}");
            for wrong in [0, 1, text.len() - 1, text.len() + 1, text.len() * 2] {
                let mut out = Vec::new();
                assert_eq!(unpack(codec, &packed, wrong, &mut out), None, "{codec:?} {wrong}");
                assert!(out.len() <= wrong.max(packed.len()) + 1, "{codec:?} {wrong}");
            }
            if codec != Compression::UNCOMPRESSED {
                assert_eq!(unpack(codec, &packed[..packed.len() - 1], text.len(), &mut Vec::new()), None, "{codec:?} cut short");
            }
            assert_eq!(unpack(codec, &packed, text.len(), &mut Vec::new()), Some(()), "{codec:?} after a damaged page");
        }
    }

    #[test]
    fn lz4_is_read_in_each_of_its_three_ways() {
        let text = b"one two three one two three one two three".repeat(50);
        let block = lz4_flex::block::compress(&text);
        let mut hadoop = Vec::new();
        for _ in 0..2 {
            hadoop.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
            hadoop.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
            hadoop.extend_from_slice(&block);
        }
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(&text).unwrap();
        for (packed, expected) in [(hadoop, text.repeat(2)), (frame.finish().unwrap(), text.clone()), (block, text.clone())] {
            let mut out = Vec::new();
            assert_eq!(unpack(Compression::LZ4, &packed, expected.len(), &mut out), Some(()));
            assert_eq!(out, expected);
            assert_eq!(unpack(Compression::LZ4, &packed, expected.len() + 1, &mut Vec::new()), None);
        }
    }
}
