//! What the paths of files say: Hive keys, days in names, and a location that names them.

use percent_encoding::percent_decode_str;

use super::names::snake;

/// A part of the files' paths that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name.
    pub name: String,
    /// The format of the day that it is, as it stands in the paths.
    pub day: Option<String>,
    /// Its value in each file.
    pub values: Vec<String>,
    /// Whether it is a Hive key, which has its name by itself.
    pub is_hive: bool,
}

/// What the paths of some files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// A location that names them all.
    pub location: String,
    /// The parts that have names.
    pub parts: Vec<Part>,
}

/// Reads the paths of all files. `typed` is the one location that was asked for, if it was one.
pub fn read(files: &[String], typed: Option<&str>) -> Paths {
    let split: Vec<Vec<&str>> = files.iter().map(|file| file.split('/').collect()).collect();
    let Some(first) = split.first() else { return Paths::default() };
    let typed_parts: Vec<&str> = typed.unwrap_or_default().split('/').collect();
    let is_even = split.iter().all(|parts| parts.len() == first.len());
    if !is_even {
        let hive = (0..split.iter().map(Vec::len).max().unwrap_or_default()).filter_map(|at| hive_part(&split, at)).map(|(part, _)| part);
        let location = typed.map_or_else(|| files.join(" "), str::to_owned);
        return Paths { location, parts: hive.collect() };
    }
    let mut paths = Paths::default();
    let mut written = Vec::new();
    for at in 0..first.len() {
        let values: Vec<&str> = split.iter().map(|parts| parts[at]).collect();
        let as_typed = typed_parts.get(at).copied().filter(|_| typed_parts.len() == first.len());
        let is_last = at + 1 == first.len();
        let is_same = values.iter().all(|value| *value == values[0]);
        if let Some((part, key)) = hive_part(&split, at) {
            written.push(as_typed.filter(|typed| typed.contains('*')).map_or_else(|| format!("{key}=*"), str::to_owned));
            paths.parts.push(part);
        } else if let Some((text, part)) = (is_last || !is_same).then(|| day_part(&values, &paths)).flatten() {
            written.push(text);
            paths.parts.push(part);
        } else if let Some(typed) = as_typed.filter(|typed| typed.contains(['*', '?', '['])) {
            written.push(typed.to_owned());
        } else if is_same {
            written.push(escaped(values[0]));
        } else {
            written.push(common(&values));
        }
    }
    paths.location = written.join("/");
    paths
}

/// A name for a source, from the names of its files.
pub fn name_of(files: &[String]) -> Option<String> {
    let first = files.first()?;
    let mut parts: Vec<&str> = first.split('/').filter(|part| !part.is_empty() && !part.contains('=')).collect();
    let last = parts.pop()?;
    let stem = last.split('.').next().unwrap_or(last);
    let is_counted = ["part-", "part_", "data_", "export_", "000"].iter().any(|begin| stem.starts_with(begin));
    let named = |text: &str| {
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().any(char::is_alphabetic)).collect();
        let bare: Vec<&str> = words.into_iter().filter(|word| word.chars().filter(char::is_ascii_digit).count() < 3).collect();
        snake(&bare.join("_"))
    };
    let differs = |file: &String| {
        let other = file.rsplit('/').next().unwrap_or(file);
        named(other.split('.').next().unwrap_or(other)) != named(stem)
    };
    let stem = if is_counted || (parts.last().is_some_and(|folder| named(folder).is_some()) && files.iter().any(differs)) {
        None
    } else {
        named(stem)
    };
    stem.or_else(|| parts.iter().rev().find_map(|part| named(part).filter(|_| !part.ends_with(':'))))
}

fn hive_part(split: &[Vec<&str>], at: usize) -> Option<(Part, String)> {
    let pairs: Vec<(&str, &str)> = split.iter().filter_map(|parts| parts.get(at)?.split_once('=')).collect();
    let (key, _) = *pairs.first()?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if pairs.len() != split.len() || !is_key || pairs.iter().any(|(other, _)| *other != key) {
        return None;
    }
    let values: Vec<String> = pairs.iter().map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned()).collect();
    let day = values.iter().map(|value| day_in(value).filter(|(from, to, _)| (*from, *to) == (0, value.len())).map(|(.., format)| format));
    let day = day.collect::<Option<Vec<_>>>().filter(|formats| formats.windows(2).all(|pair| pair[0] == pair[1]));
    let day = day.and_then(|formats| formats.first().map(|format| (*format).to_owned()));
    Some((Part { name: key.to_owned(), day, values, is_hive: true }, key.to_owned()))
}

/// A part of a path in which a day stands at the same place in every file.
fn day_part(values: &[&str], paths: &Paths) -> Option<(String, Part)> {
    let found: Vec<(usize, usize, &'static str)> = values.iter().map(|value| day_in(value)).collect::<Option<_>>()?;
    let (.., format) = found[0];
    if found.iter().any(|(.., other)| *other != format) {
        return None;
    }
    let before: Vec<&str> = values.iter().zip(&found).map(|(value, (from, ..))| &value[..*from]).collect();
    let after: Vec<&str> = values.iter().zip(&found).map(|(value, (_, to, _))| &value[*to..]).collect();
    let name = if paths.parts.iter().any(|part| part.name == "day") { "file_day" } else { "day" };
    let text = format!("{}{{{name}:{format}}}{}", common(&before), common(&after));
    let days = values.iter().zip(&found).map(|(value, (from, to, _))| value[*from..*to].to_owned()).collect();
    Some((text, Part { name: name.to_owned(), day: Some(format.to_owned()), values: days, is_hive: false }))
}

/// Where a day stands in a text, and its format.
fn day_in(text: &str) -> Option<(usize, usize, &'static str)> {
    const FORMATS: [(&str, &str); 6] = [
        ("dddd-dd-dd", "%Y-%m-%d"),
        ("dddd_dd_dd", "%Y_%m_%d"),
        ("dddd.dd.dd", "%Y.%m.%d"),
        ("dddddddd", "%Y%m%d"),
        ("dd-dd-dddd", "%d-%m-%Y"),
        ("dd.dd.dddd", "%d.%m.%Y"),
    ];
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    for (shape, format) in FORMATS {
        for from in 0..bytes.len() {
            let to = from + shape.len();
            let fits = to <= bytes.len()
                && shape
                    .bytes()
                    .zip(&bytes[from..to])
                    .all(|(wanted, byte)| if wanted == b'd' { byte.is_ascii_digit() } else { wanted == *byte });
            if fits
                && (from == 0 || !is_digit(from - 1))
                && !is_digit(to)
                && chrono::NaiveDate::parse_from_str(&text[from..to], format).is_ok()
            {
                let year = if format.starts_with("%Y") { &text[from..from + 4] } else { &text[to - 4..to] };
                if year.parse().is_ok_and(|year: u32| (1990..2100).contains(&year)) {
                    return Some((from, to, format));
                }
            }
        }
    }
    None
}

/// What some texts have in common at both ends, with a star between.
fn common(values: &[&str]) -> String {
    let first = values.first().copied().unwrap_or_default();
    if values.iter().all(|value| *value == first) {
        return escaped(first);
    }
    let prefix = first
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| values.iter().all(|value| value.starts_with(&first[..*end])));
    let prefix = prefix.last().unwrap_or_default();
    let suffix = first.char_indices().rev().map(|(at, _)| at);
    let suffix = suffix.take_while(|at| {
        *at >= prefix && values.iter().all(|value| value.len() >= prefix + first.len() - at && value.ends_with(&first[*at..]))
    });
    let suffix = suffix.last().unwrap_or(first.len());
    format!("{}*{}", escaped(&first[..prefix]), escaped(&first[suffix..]))
}

/// A text in which wildcards stand for themselves.
pub fn escaped(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '*' | '?' | '[') { format!("[{c}]") } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn location(files: &[&str], typed: Option<&str>) -> (String, Vec<(String, Option<String>)>) {
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        let paths = read(&files, typed);
        (paths.location, paths.parts.into_iter().map(|part| (part.name, part.day)).collect())
    }

    #[test]
    fn locations_name_their_parts() {
        let day = |format: &str| vec![("day".to_owned(), Some(format.to_owned()))];
        assert_eq!(
            location(&["crm/contacts_20261101.csv"], Some("crm/contacts_20261101.csv")),
            ("crm/contacts_{day:%Y%m%d}.csv".into(), day("%Y%m%d"))
        );
        assert_eq!(location(&["a/x-2026-11-01.csv", "a/y-2026-11-02.csv"], None), ("a/*-{day:%Y-%m-%d}.csv".into(), day("%Y-%m-%d")));
        assert_eq!(
            location(&["w/dt=2026-11-01/region=eu/p-0.parquet", "w/dt=2026-11-02/region=us/p-1.parquet"], Some("w/*/*/*.parquet")),
            ("w/*/*/*.parquet".into(), vec![("dt".into(), Some("%Y-%m-%d".into())), ("region".into(), None)])
        );
        assert_eq!(location(&["w/dt=2026-11-01/a.csv"], None).0, "w/dt=*/a.csv");
        assert_eq!(location(&["a/2011-01.csv", "a/2011-02.csv"], Some("a/*.csv")), ("a/*.csv".into(), vec![]));
        assert_eq!(location(&["a/x[1].csv"], None).0, "a/x[[]1].csv");
        assert_eq!(location(&["a/1.csv", "a/b/1.csv"], Some("a/**/*.csv")).0, "a/**/*.csv");
    }

    #[test]
    fn sources_get_names() {
        let name = |file: &str| name_of(&[file.to_owned()]);
        assert_eq!(name("crm/contacts_20261101.csv").as_deref(), Some("contacts"));
        assert_eq!(name("web/2011-12.parquet").as_deref(), Some("web"));
        assert_eq!(name("s3://b/orders/dt=2026-11-01/part-0001.parquet").as_deref(), Some("orders"));
        assert_eq!(name("Kunden Export.csv.gz").as_deref(), Some("kunden_export"));
    }

    proptest! {
        #[test]
        fn any_paths_have_a_location(files in proptest::collection::vec("[a-z0-9=/._*-]{0,30}|\\PC{0,20}", 0..5)) {
            read(&files, None);
            read(&files, files.first().map(String::as_str));
            name_of(&files);
        }

        /// A glob without names matches the files that it was made of.
        #[test]
        fn a_location_matches_its_files(files in proptest::collection::vec("[a-c]{1,3}/[a-c\\[?]{1,4}[0-9]{0,3}\\.csv", 1..5)) {
            let pattern = glob::Pattern::new(&read(&files, None).location).unwrap();
            for file in &files {
                prop_assert!(pattern.matches(file), "{} {}", pattern, file);
            }
        }
    }
}
