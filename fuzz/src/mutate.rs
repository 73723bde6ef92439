//! Sound files that are damaged in every way that a seed thinks of, read as extracts: each is read or refused, within bounds of time and memory.

use std::io::Write as _;
use std::path::Path;

use crate::extract;

/// The formats that are damaged.
pub const FORMATS: [&str; 5] = ["parquet", "csv", "ndjson", "gzip", "zstd"];

/// Numbers of a seed, the same ones every time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).expect("it is below")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }
}

/// A file that is damaged.
pub struct Mutant {
    /// The name that it is read by.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether the source has a key.
    pub is_keyed: bool,
}

impl Mutant {
    /// Reads it and holds it to the laws of every extract: how many rows it has, if it is not refused.
    pub fn read(&self) -> Option<usize> {
        let outcome = extract::outcome(if self.is_keyed { "keyed" } else { "plain" }, &self.name, self.bytes.clone());
        outcome.ok().map(|found| found.kept.len())
    }
}

/// The sound files of a format, below the folder of all seeds.
pub fn seeds(format: &str, folder: &Path) -> Vec<Vec<u8>> {
    let of = |kind: &str| {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder.join(kind)).expect("there are seeds").map(|entry| entry.expect("it is listed").path()).collect();
        paths.sort();
        paths.into_iter().map(|path| std::fs::read(path).expect("a seed is read")).collect::<Vec<_>>()
    };
    // The first byte of a text says how a fuzz target reads it.
    let texts =
        |kind: &str| of(kind).into_iter().map(|seed| seed.get(1..).unwrap_or_default().to_vec()).chain([many(kind)]).collect::<Vec<_>>();
    match format {
        "parquet" => of("parquet"),
        "gzip" => texts("csv").iter().map(|text| gzip(text)).chain([[gzip(&many("csv")), gzip(b"i,1\n")].concat()]).collect(),
        "zstd" => texts("csv").iter().map(|text| zstd(text)).chain([[zstd(&many("csv")), zstd(b"i,1\n")].concat()]).collect(),
        text => texts(text),
    }
}

/// A text of some thousand records.
fn many(kind: &str) -> Vec<u8> {
    let mut text = String::new();
    if kind == "csv" {
        text += "id,at,date,number,amount,big,share,flag,kind,email\n";
    }
    for row in 0..300 {
        let (id, at) = (format!("r{row}"), format!("2026-10-{:02} 10:00:{:02}", row % 30 + 1, row % 60));
        text += &if kind == "csv" {
            format!("{id},{at},01.10.2026,{},{row}.50,1,0.5,true,\"c \"\"d\"\"\",{id}@example.org\r\n", row % 7)
        } else {
            format!(
                "{{\"id\": \"{id}\", \"at\": \"{at}\", \"number\": {}, \"amount\": {row}.5, \"kind\": \"c \\\"d\\\"\", \"x\": [{{}}]}}\n",
                row % 7
            )
        };
    }
    text.into_bytes()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("an encoder starts");
    encoder.include_checksum(true).expect("it may have one");
    encoder.write_all(text).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// The mutant of a number: the same one every time.
pub fn mutant(format: &str, seeds: &[Vec<u8>], number: u64) -> Mutant {
    let salt = format.bytes().fold(0_u64, |salt, byte| salt.wrapping_mul(31).wrapping_add(byte.into()));
    let mut numbers = Numbers(number.wrapping_mul(0x1000_0000_01b3).wrapping_add(salt));
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(3) {
        damage(format, &mut bytes, seeds, &mut numbers);
    }
    let name = match format {
        "gzip" => "extract.csv.gz".to_owned(),
        "zstd" => "extract.csv.zst".to_owned(),
        other => format!("extract.{other}"),
    };
    Mutant { name, bytes, is_keyed: numbers.below(3) == 0 }
}

fn damage(format: &str, bytes: &mut Vec<u8>, seeds: &[Vec<u8>], numbers: &mut Numbers) {
    if bytes.is_empty() {
        bytes.push(numbers.byte());
    }
    if format == "parquet" && numbers.below(2) == 0 {
        return damage_footer(bytes, numbers);
    }
    let at = numbers.below(bytes.len());
    let end = (at + 1 + numbers.below(64)).min(bytes.len());
    match numbers.below(11) {
        0 => bytes[at] ^= 1 << numbers.below(8),
        1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\n', b'\\'][numbers.below(8)],
        2 => bytes[at..end].iter_mut().for_each(|byte| *byte = numbers.byte()),
        3 => {
            let one = bytes[at];
            bytes[at..end].fill(one);
        }
        4 => drop(bytes.drain(at..end)),
        5 => {
            let repeated = bytes[at..end].repeat(1 + numbers.below(40));
            drop(bytes.splice(at..at, repeated));
        }
        6 => bytes.truncate(at),
        7 => {
            let other = &seeds[numbers.below(seeds.len())];
            let from = numbers.below(other.len().max(1)).min(other.len());
            let to = (from + numbers.below(400)).min(other.len());
            drop(bytes.splice(at..end, other[from..to].iter().copied()));
        }
        8 => {
            let number = large(numbers);
            for (byte, new) in bytes[at..].iter_mut().zip(number.to_le_bytes()).take([1, 2, 4, 8][numbers.below(4)]) {
                *byte = new;
            }
        }
        9 => drop(bytes.splice(at..at, varint(large(numbers)))),
        _ => drop(bytes.splice(at..(at + 1).min(bytes.len()), varint(large(numbers)))),
    }
}

/// Damages the footer of a Parquet file and says its new length where the old one was.
fn damage_footer(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    const TAIL: usize = 8;
    let footer = bytes.last_chunk::<TAIL>().map(|tail| u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize);
    let Some(length) = footer.filter(|length| *length > 0 && length + TAIL <= bytes.len()) else { return };
    let begin = bytes.len() - TAIL - length;
    let mut footer = bytes[begin..begin + length].to_vec();
    let at = numbers.below(footer.len());
    match numbers.below(5) {
        0 => footer[at] ^= 1 << numbers.below(8),
        1 => footer[at] = numbers.byte(),
        2 => drop(footer.splice(at..=at, varint(large(numbers)))),
        3 => {
            let end = (at + 1 + numbers.below(30)).min(footer.len());
            let part = footer[at..end].to_vec();
            drop(footer.splice(at..at, part));
        }
        _ => drop(footer.drain(at..(at + 1 + numbers.below(8)).min(length))),
    }
    let length = u32::try_from(footer.len()).expect("a footer is short").to_le_bytes();
    bytes.splice(begin.., footer.into_iter().chain(length).chain(*b"PAR1"));
}

fn large(numbers: &mut Numbers) -> u64 {
    const NUMBERS: [u64; 10] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];
    match numbers.below(3) {
        0 => NUMBERS[numbers.below(NUMBERS.len())],
        1 => numbers.next() >> numbers.below(64),
        _ => NUMBERS[numbers.below(NUMBERS.len())].wrapping_sub(numbers.below(5) as u64),
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}
