//! Tells the encoding of a text from its bytes: by its mark, by being UTF-8, by the zero bytes of UTF-16, or else by what is likely.
//!
//! The likely one comes from `chardetng`, the detector of Firefox. It always names one; what it cannot know is said as unsure.

use chardetng::EncodingDetector;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How a text is encoded.
#[derive(Debug, Clone)]
pub struct Detected {
    /// The encoding.
    pub encoding: &'static Encoding,
    /// What `encoding` must say; none where the file tells it by itself.
    pub label: Option<String>,
    /// What a reader should know; it begins with `UNSURE` if nobody could be sure.
    pub note: Option<String>,
}

/// Bytes that are looked at to see zeros of UTF-16.
const WIDE_LOOK_BYTES: usize = 4096;
/// With fewer bytes beyond ASCII nobody can tell encodings of one byte apart.
const FEW_BYTES: usize = 6;

/// Tells the encoding from some parts of a file, of which the first is its beginning.
pub fn detect(parts: &[&[u8]]) -> Detected {
    let head = parts.first().copied().unwrap_or_default();
    let sure = |encoding, label: Option<&str>| Detected { encoding, label: label.map(str::to_owned), note: None };
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return sure(encoding, None);
    }
    if let Some(encoding) = wide(head) {
        let label = encoding.name().to_lowercase();
        let note = Some("told by its zero bytes, since it has no mark at its beginning".to_owned());
        return Detected { encoding, label: Some(label), note };
    }
    let (mut wide_good, mut bad, mut beyond) = (0, 0, 0);
    for (at, part) in parts.iter().enumerate() {
        let (good, wrong) = utf8_sequences(part, at > 0);
        (wide_good, bad) = (wide_good + good, bad + wrong);
        beyond += part.iter().filter(|byte| !byte.is_ascii()).count();
    }
    if bad == 0 {
        return sure(UTF_8, None);
    }
    if wide_good >= 4 * bad {
        let note = format!("UTF-8 with {bad} damaged characters in what was looked at; their rows would be rejected");
        return Detected { note: Some(note), ..sure(UTF_8, None) };
    }
    likely(parts, beyond)
}

/// Decodes a part of a text. A character that is cut off at an end is left out.
pub fn decode(part: &[u8], encoding: &'static Encoding) -> String {
    let (text, _) = encoding.decode_without_bom_handling(part);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    text.trim_end_matches('\u{fffd}').to_owned()
}

fn likely(parts: &[&[u8]], beyond: usize) -> Detected {
    let mut detector = EncodingDetector::new();
    for (at, part) in parts.iter().enumerate() {
        detector.feed(part, at + 1 == parts.len());
    }
    let (encoding, is_likely) = detector.guess_assess(None, false);
    let label = encoding.name().to_lowercase();
    let in_words = parts.iter().map(|part| controls_in_words(part)).sum::<usize>();
    let note = if encoding == encoding_rs::WINDOWS_1252 {
        let has_signs = parts.iter().any(|part| part.iter().any(|byte| (0x80..=0x9f).contains(byte)));
        if in_words > 0 && in_words * 3 > beyond {
            let why =
                "UNSURE: signs stand within words, as in texts of DOS (code page 850) or an old Mac (`macintosh`): compare some names";
            why.to_owned()
        } else if beyond < FEW_BYTES {
            format!("UNSURE: only {beyond} bytes are not ASCII, which is too few to tell")
        } else if has_signs {
            "it has signs that Latin-1 does not have".to_owned()
        } else {
            "Latin-1 (ISO 8859-1) would read the same".to_owned()
        }
    } else if !is_likely || beyond < FEW_BYTES {
        format!("UNSURE: {beyond} bytes are not ASCII, and this fits them best; compare some names")
    } else {
        "it fits the letters best; compare some names".to_owned()
    };
    Detected { encoding, label: Some(label), note: Some(note) }
}

/// Bytes from 0x80 to 0x9f right between letters: signs in Windows-1252, letters on old systems.
fn controls_in_words(part: &[u8]) -> usize {
    part.windows(3)
        .filter(|bytes| (0x80..=0x9f).contains(&bytes[1]) && bytes[0].is_ascii_alphabetic() && bytes[2].is_ascii_lowercase())
        .count()
}

/// How many characters of several bytes are UTF-8, and how many bytes or sequences are not. What is cut off at an end does not count.
fn utf8_sequences(part: &[u8], is_cut: bool) -> (usize, usize) {
    let begin = if is_cut { part.iter().take(3).take_while(|byte| (0x80..0xc0).contains(*byte)).count() } else { 0 };
    let (mut rest, mut good, mut bad) = (&part[begin..], 0, 0);
    loop {
        match std::str::from_utf8(rest) {
            Ok(text) => return (good + text.chars().filter(|c| !c.is_ascii()).count(), bad),
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                good += std::str::from_utf8(valid).map_or(0, |text| text.chars().filter(|c| !c.is_ascii()).count());
                let Some(length) = error.error_len() else { return (good, bad) };
                bad += 1;
                rest = &after[length..];
            }
        }
    }
}

/// UTF-16 without a mark has zeros in every other place.
fn wide(head: &[u8]) -> Option<&'static Encoding> {
    let look = &head[..head.len().min(WIDE_LOOK_BYTES)];
    let zeros = |odd: usize| look.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, pairs) = (zeros(0), zeros(1), look.len() / 2);
    match pairs {
        0..=1 => None,
        _ if odd * 3 > pairs && even * 20 <= pairs => Some(UTF_16LE),
        _ if even * 3 > pairs && odd * 20 <= pairs => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label(bytes: &[u8]) -> (Option<String>, bool) {
        let found = detect(&[bytes]);
        (found.label, found.note.is_some_and(|note| note.starts_with("UNSURE")))
    }

    #[test]
    fn encodings_are_told() {
        let wide: Vec<u8> = "name\tamount\nJörg\t1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(label(&wide), (Some("utf-16le".to_owned()), false));
        assert_eq!(label(&[b"\xff\xfe".as_slice(), &wide].concat()), (None, false));
        let big: Vec<u8> = "id,at\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(label(&big).0.as_deref(), Some("utf-16be"));
        assert_eq!(label("Größe;Straße".as_bytes()), (None, false));
        let german = "Name;Straße;Größe\nJörg Müller;Königsallee;groß\nÄnne Öz;Überweg;klein €\n".repeat(4);
        let (bytes, ..) = encoding_rs::WINDOWS_1252.encode(&german);
        assert_eq!(label(&bytes), (Some("windows-1252".to_owned()), false));
        let japanese = "氏名,住所,電話\n山田太郎,東京都千代田区,03-0000-0000\n鈴木花子,大阪府大阪市北区,06-0000-0000\n".repeat(4);
        let (bytes, ..) = encoding_rs::SHIFT_JIS.encode(&japanese);
        assert_eq!(label(&bytes).0.as_deref(), Some("shift_jis"));
        let (bytes, ..) = encoding_rs::EUC_JP.encode(&japanese);
        assert_eq!(label(&bytes).0.as_deref(), Some("euc-jp"));
        let russian = "имя;город\nИван Петров;Москва\nАнна Смирнова;Казань\n".repeat(4);
        let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(&russian);
        assert_eq!(label(&bytes).0.as_deref(), Some("windows-1251"));
        assert!(label(b"name\nJ\xf6rg\n").1, "one letter tells nothing");
        assert!(label(b"name\nM\x81ller\nJ\x94rg\nK\x84te\nGr\x94ger\nTr\x84ger\nB\x81low\n").1, "code page 850");
    }

    #[test]
    fn a_character_that_is_cut_off_is_no_damage() {
        let text = "Größe,Größe".as_bytes();
        let found = detect(&[&text[..text.len() - 2], &text[3..]]);
        assert_eq!((found.label, found.note), (None, None));
        assert!(detect(&["Größe Größe Größe Größe Größe".as_bytes(), b" \xff "]).note.is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_have_some_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let found = detect(&[&bytes, &bytes]);
            decode(&bytes, found.encoding);
        }
    }
}
