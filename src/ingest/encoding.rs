//! Texts in other encodings than UTF-8: which they are, and how they become UTF-8.

use std::sync::Arc;

use encoding_rs::{Decoder, DecoderResult, Encoding, REPLACEMENT, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

use crate::config::{Source, SourceFormat, span_of};
use crate::diagnostic::{Diagnostic, SourceFile};

/// What stands in the place of bytes that an encoding does not have. No text in UTF-8 has it, so that the record is told from others.
const NO_CHARACTER: u8 = 0xff;

/// Bytes that are decoded at once.
const STEP_BYTES: usize = 8 * 1024;

/// The encoding of a name; none where that is the name of no encoding, or of one in which nothing can be read.
pub fn named(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != REPLACEMENT && *encoding != X_USER_DEFINED)
}

/// The encoding that a source declares, if it is not UTF-8; one that has no meaning is added to `problems`.
pub fn of_source(file: &Arc<SourceFile>, source: &Source, problems: &mut Vec<Diagnostic>) -> Option<&'static Encoding> {
    let written = source.encoding.as_ref()?;
    let problem = |what: String| Diagnostic::error("encoding", what).at(span_of(file, written));
    if source.format == Some(SourceFormat::Parquet) {
        problems.push(problem("Parquet files have no encoding".to_owned()).hint("leave `encoding` out"));
    }
    let found = named(&written.value);
    if found.is_none() {
        let label = written.value.to_lowercase();
        let problem = problem(format!("`{}` is no encoding that can be read", crate::shown::column(written.shown())));
        problems.push(if label.contains("32") || label.starts_with("ucs") {
            problem.hint("have the files exported as UTF-8 or UTF-16")
        } else {
            let problem = problem.hint("name it as the web does, such as `windows-1252`, `utf-16le` or `shift_jis`");
            problem.did_you_mean(&label, NAMES)
        });
    }
    found.filter(|found| *found != UTF_8)
}

/// Names that are offered for a wrong one.
const NAMES: [&str; 16] = [
    "utf-8",
    "windows-1252",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "utf-16le",
    "utf-16be",
    "shift_jis",
    "euc-jp",
    "gbk",
    "gb18030",
    "big5",
    "euc-kr",
    "windows-1250",
    "windows-1251",
    "koi8-r",
];

/// The encoding that a text must be decoded from: as its mark tells, or else as its contract says. None where it is UTF-8.
pub fn of_text(head: &[u8], declared: Option<&'static Encoding>) -> Option<&'static Encoding> {
    Encoding::for_bom(head).map_or(declared, |(encoding, _)| Some(encoding)).filter(|encoding| *encoding != UTF_8)
}

/// Whether the units of an encoding are two bytes.
pub fn is_wide(encoding: &'static Encoding) -> bool {
    encoding == UTF_16LE || encoding == UTF_16BE
}

/// Turns a text into UTF-8, piece by piece. What is no character of the encoding becomes a byte that UTF-8 does not have.
pub struct Transcoder {
    encoding: &'static Encoding,
    decoder: Decoder,
    /// What has not been decoded.
    pub input: Vec<u8>,
    step: Vec<u8>,
    is_ended: bool,
}

impl Transcoder {
    /// At the beginning of a text, whose mark is no part of it.
    pub fn new(encoding: &'static Encoding) -> Self {
        let (decoder, step) = (encoding.new_decoder_with_bom_removal(), vec![0; STEP_BYTES]);
        Transcoder { encoding, decoder, input: Vec::new(), step, is_ended: false }
    }

    /// One for the same text from its beginning.
    pub fn again(&self) -> Self {
        Transcoder::new(self.encoding)
    }

    /// Decodes what there is.
    pub fn decode(&mut self, is_last: bool, out: &mut Vec<u8>) {
        if self.is_ended {
            return;
        }
        self.is_ended = is_last;
        let begin = out.len();
        let mut at = 0;
        loop {
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(&self.input[at..], &mut self.step, is_last);
            at += read;
            out.extend_from_slice(&self.step[..written]);
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => out.push(NO_CHARACTER),
            }
        }
        self.input.clear();
        if self.encoding.name().starts_with("windows-") {
            without_controls(&mut out[begin..]);
        }
    }
}

/// Where a code page of Windows has no character, the web has a control character that no extract means.
fn without_controls(text: &mut [u8]) {
    let mut at = 0;
    while let Some(length) = memchr::memchr(0xc2, &text[at..]) {
        at += length + 1;
        if text.get(at).is_some_and(|byte| (0x80..0xa0).contains(byte)) {
            text[at - 1..=at].fill(NO_CHARACTER);
        }
    }
}

/// The encoding that a text seems to be in which is not in UTF-8. This is a guess, so it is only shown.
pub fn guess(bytes: &[u8]) -> Option<&'static str> {
    let is_kana = |c: char| ('\u{3040}'..='\u{30ff}').contains(&c);
    let japanese = SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes);
    if japanese.is_some_and(|text| text.chars().any(is_kana)) {
        return Some("shift_jis");
    }
    // Letters with accents stand among others; words of other scripts have no letters of ASCII.
    let runs: Vec<usize> = bytes.split(u8::is_ascii).map(<[u8]>::len).filter(|length| *length > 0).collect();
    let lone = runs.iter().filter(|length| **length == 1).count();
    (lone * 2 >= runs.len()).then_some("windows-1252")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8], label: &str, piece: usize) -> Vec<u8> {
        let mut transcoder = Transcoder::new(named(label).unwrap());
        let mut out = Vec::new();
        for part in bytes.chunks(piece) {
            transcoder.input.extend_from_slice(part);
            transcoder.decode(false, &mut out);
        }
        transcoder.decode(true, &mut out);
        out
    }

    #[test]
    fn what_an_encoding_does_not_have_is_no_utf_8() {
        assert_eq!(decoded(b"caf\xe9,\x80\n", "windows-1252", 3), "café,€\n".as_bytes());
        assert_eq!(decoded(b"a\x81b\n\xc2\xa3\n", "windows-1252", 1), b"a\xff\xffb\n\xc3\x82\xc2\xa3\n");
        // A character that breaks off does not take the line end with it.
        assert_eq!(decoded(b"\x83\n\x83J\n", "shift_jis", 1), b"\xff\n\xe3\x82\xab\n");
        assert_eq!(decoded(b"\xff\xfea\0\x00\xd8\n\0b", "utf-16", 1), b"a\xff\n\xff");
    }

    #[test]
    fn encodings_are_found_by_their_names_and_marks() {
        assert_eq!(named("Latin1").map(Encoding::name), Some("windows-1252"));
        assert_eq!(NAMES.map(|name| named(name).is_some()), [true; 16]);
        for nothing in ["utf-32", "utf-32le", "replacement", "x-user-defined", "iso-2022-kr", "", "ebcdic"] {
            assert_eq!(named(nothing), None, "{nothing}");
        }
        assert_eq!(of_text(b"\xff\xfea\0", named("windows-1252")).map(Encoding::name), Some("UTF-16LE"));
        assert_eq!(of_text(b"\xef\xbb\xbfa", named("windows-1252")), None);
        assert_eq!(of_text(b"a", named("utf8")), None);
    }

    #[test]
    fn guesses_tell_accents_from_kana() {
        assert_eq!(guess(b"Stra\xdfe,Caf\xe9"), Some("windows-1252"));
        assert_eq!(guess(&SHIFT_JIS.encode("カフェ,すし").0), Some("shift_jis"));
        assert_eq!(guess(b"\xc8\xec\xff,\xc3\xee\xf0\xee\xe4"), None);
    }

    proptest! {
        /// Many bytes that are no characters are decoded as quickly as others, whatever the pieces.
        #[test]
        fn pieces_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1..40_usize, label in prop::sample::select(NAMES.to_vec())) {
            let whole = decoded(&bytes, label, 1000);
            prop_assert_eq!(decoded(&bytes, label, piece), whole.clone());
            let (text, _, has_errors) = named(label).unwrap().decode(&bytes);
            if !has_errors && !whole.contains(&NO_CHARACTER) && label != "utf-8" && Encoding::for_bom(&bytes).is_none() {
                prop_assert_eq!(text.as_bytes(), whole);
            }
        }
    }
}
