//! Decompresses a file, a bounded piece at a time, however little input fills it.

use std::io::{Error, ErrorKind, Result, Write};

use bytes::{Buf, Bytes};
use zstd::zstd_safe::{DCtx, DParameter, ErrorCode, InBuffer, OutBuffer, get_error_name};

use super::format::Packing;

/// Bytes that are decompressed at once, so that a hostile file is noticed before it fills the memory.
pub const PIECE_BYTES: usize = 64 * 1024;

/// The largest window of a Zstandard frame, as `--long=31` makes it. A frame takes as much memory as its content, or its window if that is
/// smaller.
const MAX_WINDOW_LOG: u32 = 31;

/// Unpacks a file of one packing or of none. Several members of gzip, or frames of Zstandard, are one text; zero bytes after the
/// last are padding, as tapes and block devices add.
pub enum Unpacker {
    /// What is not packed.
    Plain,
    /// gzip: the member that is being read.
    Gzip {
        /// Unpacks it.
        member: Box<flate2::write::GzDecoder<Vec<u8>>>,
        /// Whether the padding has begun.
        padded: bool,
    },
    /// Zstandard.
    Zstd(Box<Zstd>),
}

/// A Zstandard decoder that knows whether its input is complete and how much memory it takes, which the streaming one of the crate does not
/// tell.
pub struct Zstd {
    context: DCtx<'static>,
    /// What the frame has given so far.
    frame_bytes: usize,
    buffer: Vec<u8>,
    /// Whether no frame has been begun that has not ended.
    complete: bool,
    /// Whether the decoder may hold more than it has given.
    full: bool,
    padded: bool,
}

impl Unpacker {
    /// An unpacker at the beginning of a file.
    ///
    /// # Errors
    /// When the decoder does not start.
    pub fn new(packing: Packing) -> Result<Self> {
        Ok(match packing {
            Packing::Plain => Unpacker::Plain,
            Packing::Gzip => Unpacker::Gzip { member: Box::new(flate2::write::GzDecoder::new(Vec::new())), padded: false },
            Packing::Zstd => {
                let mut context = DCtx::try_create().ok_or(ErrorKind::OutOfMemory)?;
                context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(damage)?;
                let buffer = vec![0; PIECE_BYTES];
                Unpacker::Zstd(Box::new(Zstd { context, frame_bytes: 0, buffer, complete: true, full: false, padded: false }))
            }
        })
    }

    /// Whether nothing more comes without more input.
    pub fn is_drained(&self) -> bool {
        !matches!(self, Unpacker::Zstd(zstd) if zstd.full)
    }

    /// How much memory it takes: a window is touched only as far as text has been given.
    pub fn held_bytes(&self) -> usize {
        match self {
            Unpacker::Zstd(zstd) => zstd.context.sizeof().min(zstd.frame_bytes),
            _ => 0,
        }
    }

    /// Takes some input, not necessarily all, and gives at most about a piece. What could be unpacked before a damage is given.
    ///
    /// # Errors
    /// When the input is damaged.
    pub fn feed(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Unpacker::Plain => {
                out.extend_from_slice(&input.split_to(input.len().min(PIECE_BYTES)));
                Ok(())
            }
            Unpacker::Gzip { member, padded } => feed_gzip(member, padded, input, out),
            Unpacker::Zstd(zstd) => zstd.feed(input, out),
        }
    }

    /// Ends the input.
    ///
    /// # Errors
    /// When something is missing.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Unpacker::Gzip { member, padded: false } => {
                let finished = member.try_finish();
                out.append(member.get_mut());
                finished
            }
            Unpacker::Zstd(zstd) if !zstd.complete => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn feed_gzip(member: &mut flate2::write::GzDecoder<Vec<u8>>, padded: &mut bool, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
    let wanted = out.len() + PIECE_BYTES;
    while !input.is_empty() && out.len() < wanted {
        if *padded {
            return take_padding(input);
        }
        let written = member.write(input);
        out.append(member.get_mut());
        match written? {
            // It has ended, and these bytes are not its own.
            0 => {
                member.try_finish()?;
                out.append(member.get_mut());
                *padded = input[0] == 0;
                *member = flate2::write::GzDecoder::new(Vec::new());
            }
            taken => input.advance(taken),
        }
    }
    Ok(())
}

impl Zstd {
    fn feed(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        let wanted = out.len() + PIECE_BYTES;
        while out.len() < wanted && (self.full || !input.is_empty()) {
            if self.padded {
                return take_padding(input);
            }
            if self.complete {
                self.padded = input[0] == 0;
                if self.padded {
                    continue;
                }
                self.frame_bytes = 0;
            }
            let mut from = InBuffer::around(input);
            let mut to = OutBuffer::around(self.buffer.as_mut_slice());
            let remaining = self.context.decompress_stream(&mut to, &mut from);
            let (read, written) = (from.pos(), to.pos());
            out.extend_from_slice(&self.buffer[..written]);
            input.advance(read);
            self.frame_bytes += written;
            self.complete = remaining.map_err(damage)? == 0;
            self.full = !self.complete && written == self.buffer.len();
        }
        Ok(())
    }
}

fn damage(code: ErrorCode) -> Error {
    Error::new(ErrorKind::InvalidData, get_error_name(code))
}

fn take_padding(input: &mut Bytes) -> Result<()> {
    if input.iter().any(|byte| *byte != 0) {
        return Err(Error::new(ErrorKind::InvalidData, "something else follows the padding"));
    }
    input.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// All that is unpacked, and whether it was whole; given in pieces of a size.
    fn unpacked(packed: &[u8], piece: usize) -> (Vec<u8>, bool) {
        let mut unpacker = Unpacker::new(super::super::format::packing(packed)).unwrap();
        let mut out = Vec::new();
        for chunk in packed.chunks(piece) {
            let mut input = Bytes::copy_from_slice(chunk);
            while !input.is_empty() || !unpacker.is_drained() {
                let before = out.len();
                if unpacker.feed(&mut input, &mut out).is_err() {
                    return (out, false);
                }
                assert!(out.len() - before <= 3 * PIECE_BYTES, "{} bytes at once", out.len() - before);
            }
        }
        let finished = unpacker.finish(&mut out).is_ok();
        (out, finished)
    }

    proptest! {
        #[test]
        fn members_and_frames_are_one_text_whatever_the_pieces(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4), padding in 0..600_usize, piece in 1..64_usize, zst: bool,
        ) {
            let pack = |part: &Vec<u8>| if zst { zstd::encode_all(part.as_slice(), 3).unwrap() } else { gzip(part) };
            let mut packed: Vec<u8> = parts.iter().flat_map(pack).collect();
            let cut = packed.len() - 1;
            packed.extend(vec![0; padding]);
            prop_assert_eq!(unpacked(&packed, piece), (parts.concat(), true));
            prop_assert!(!unpacked(&packed[..cut], piece).1, "cut short");
            packed.push(b'x');
            prop_assert!(!unpacked(&packed, piece).1, "something follows");
        }
    }

    #[test]
    fn sizes_about_a_piece_are_whole() {
        for size in [0, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 100 * PIECE_BYTES] {
            let text = vec![b'a'; size];
            assert_eq!(unpacked(&gzip(&text), 1 << 20), (text.clone(), true), "{size}");
            assert_eq!(unpacked(&zstd::encode_all(text.as_slice(), 3).unwrap(), 1 << 20), (text, true), "{size}");
        }
    }

    #[test]
    fn what_a_window_takes_is_told() {
        for (window_log, text_bytes, at_most) in [(31, 1 << 20, 1 << 20), (20, 40 << 20, 2 << 20)] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(window_log).unwrap();
            encoder.write_all(&vec![b'a'; text_bytes]).unwrap();
            let mut input = Bytes::from(encoder.finish().unwrap());
            let mut unpacker = Unpacker::new(Packing::Zstd).unwrap();
            let mut out = Vec::new();
            while !input.is_empty() || !unpacker.is_drained() {
                unpacker.feed(&mut input, &mut out).unwrap();
            }
            assert_eq!(out.len(), text_bytes);
            assert!((at_most / 2..=at_most).contains(&unpacker.held_bytes()), "{}", unpacker.held_bytes());
        }
    }

    #[test]
    fn long_windows_and_skippable_frames_are_read() {
        let mut encoder = zstd::Encoder::new(vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9], 3).unwrap();
        encoder.long_distance_matching(true).unwrap();
        encoder.window_log(31).unwrap();
        encoder.write_all(b"id,at\n").unwrap();
        assert_eq!(unpacked(&encoder.finish().unwrap(), 5), (b"id,at\n".to_vec(), true));
    }
}
