use std::path::{Path, PathBuf};

use crate::support::rows_of_parquet;

/// The form in which a text holds a mark, if it does: as it is, percent-encoded, escaped as JSON, in hexadecimal or Base64, in any case.
pub fn holds(text: &str, mark: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let is_there = |form: &String| text.contains(form.as_str()) || lower.contains(&form.to_lowercase());
    forms(mark).into_iter().find(is_there)
}

fn forms(mark: &str) -> Vec<String> {
    let bytes = mark.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = bytes
        .iter()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let escaped: String = mark.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let mut forms = vec![
        mark.to_owned(),
        percent.clone(),
        percent.replace('%', "%25"),
        hex,
        escaped,
        mark.replace('/', "\\/"),
        mark.chars().rev().collect(),
    ];
    // However many bytes stand before it, what Base64 makes of its middle is one of three.
    for before in 0..3 {
        let padded = [vec![b' '; before], bytes.to_vec()].concat();
        let encoded = base64(&padded);
        let whole = encoded.get(before.div_ceil(1) * 4 / 3 + usize::from(before > 0)..padded.len() / 3 * 4).unwrap_or_default();
        if whole.len() >= 8 {
            forms.push(whole.to_owned());
            forms.push(whole.replace('+', "-").replace('/', "_"));
        }
    }
    forms
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |part: &[u8]| {
        let number = part.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        let digit = move |at: usize| char::from(DIGITS[(number >> (18 - 6 * at)) as usize & 63]);
        (0..=part.len()).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// All files below a folder.
pub fn files_under(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let path = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path();
    entries.map(path).flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

/// A file's name, its bytes as text, and of Parquet the values.
pub fn of_file(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap_or_default();
    let mut all = format!("{}\n{}\n", file.display(), String::from_utf8_lossy(&bytes));
    if file.extension().is_some_and(|ending| ending == "parquet") {
        all += &format!("{}: {:?}\n", file.display(), rows_of_parquet(&[file.to_owned()], "select * from t"));
    }
    all
}

#[test]
fn marks_are_found_in_every_form() {
    let mark = "plant/ed+7731=";
    for text in [
        "x plant/ed+7731= y".to_owned(),
        "plant%2Fed%2B7731%3D".to_owned(),
        "plant%252Fed%252B7731%253D".to_owned(),
        "706c616e742f65642b373733313d".to_owned(),
        base64(format!("{mark} and more").as_bytes()),
        base64(format!("a{mark} and more").as_bytes()),
        base64(format!("ab{mark} and more").as_bytes()),
        base64(format!("abc{mark} and more").as_bytes()),
    ] {
        assert!(holds(&text, mark).is_some(), "{text}");
    }
    assert_eq!(holds("plant", mark), None);
}
