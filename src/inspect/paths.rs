//! What the paths of files say: Hive keys, days in names, and a location that names them.

use percent_encoding::percent_decode_str;

use super::names::snake;
use super::path_days;

/// The most days that a location names.
const NAMED_DAYS: usize = 8;

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

/// A folder or file name at one place of all paths, and how it was asked for.
struct Slot<'a> {
    /// What was asked for; none where files were listed.
    typed: Option<&'a str>,
    values: Vec<&'a str>,
    /// Whether it is one of the folders that `**` stands for.
    is_of_any: bool,
}

/// The wildcards of a location, and what begins a part with a name.
const WILD: [char; 4] = ['*', '?', '[', '{'];

/// Reads the paths of all files. `typed` is the one location that was asked for, if it was one. The location that is drafted has the
/// wildcards that were asked for, since what the files of today agree in may differ in those of tomorrow; only a day becomes a day.
pub fn read(files: &[String], typed: Option<&str>) -> Paths {
    let split: Vec<Vec<&str>> = files.iter().map(|file| file.split('/').collect()).collect();
    if split.is_empty() {
        return Paths::default();
    }
    let Some((before, slots)) = slots(&split, typed) else {
        let hive = (0..split.iter().map(Vec::len).max().unwrap_or_default()).filter_map(|at| {
            let values: Vec<&str> = split.iter().map(|parts| parts.get(at).copied()).collect::<Option<_>>()?;
            hive_part(&values)
        });
        return Paths { location: typed.map_or_else(|| below(&split), str::to_owned), parts: hive.collect() };
    };
    let hive: Vec<Part> = slots.iter().filter_map(|slot| hive_part(&slot.values)).collect();
    let taken: Vec<&str> = hive.iter().map(|part| part.name.as_str()).collect();
    let mut paths = Paths::default();
    let mut written: Vec<String> = before.into_iter().map(str::to_owned).collect();
    let mut at = 0;
    while at < slots.len() {
        let free = |name: &str, paths: &Paths| {
            let is_free = |name: &String| !taken.contains(&name.as_str()) && !paths.parts.iter().any(|part| part.name == *name);
            (1..=NAMED_DAYS + taken.len())
                .map(|number| if number == 1 { name.to_owned() } else { format!("{name}_{number}") })
                .find(is_free)
        };
        let days = paths.parts.iter().filter(|part| !part.is_hive).count();
        let is_full = days >= NAMED_DAYS;
        let slot = &slots[at];
        let run = if is_full { None } else { path_days::folders(slots.iter().skip(at).map(|slot| slot.values.as_slice())) };
        if let Some((name, format, values)) = run
            && let Some(name) = free(name, &paths)
        {
            written.push(format!("{{{name}:{format}}}"));
            paths.parts.push(Part { name, day: Some(format), values, is_hive: false });
            at += 3;
            continue;
        }
        at += 1;
        let is_same = slot.values.iter().all(|value| *value == slot.values[0]);
        let is_wild = slot.typed.is_some_and(|typed| typed.contains(WILD));
        if let Some(part) = hive_part(&slot.values) {
            written.push(match slot.typed {
                Some(typed) if slot.is_of_any || typed.contains('*') => typed.to_owned(),
                _ => format!("{}=*", escaped(&part.name)),
            });
            paths.parts.push(part);
        } else if let Some(day) = (!is_full && (at == slots.len() || !is_same || is_wild)).then(|| path_days::of(&slot.values)).flatten()
            && let Some(name) = free(day.name(), &paths)
            && let Some((before, after)) = around(slot, &day)
        {
            written.push(format!("{before}{{{name}:{}}}{after}", day.format));
            paths.parts.push(Part { name, day: Some(day.format), values: day.values, is_hive: false });
        } else if let Some(typed) = slot.typed.filter(|_| is_wild) {
            written.push(typed.to_owned());
        } else {
            written.push(common(&slot.values));
        }
    }
    // Several folders of any depth are as one.
    written.dedup_by(|one, other| one == "**" && other == "**");
    paths.location = written.join("/");
    paths
}

/// The places of all paths, behind those that only the location that was asked for has; none where they cannot be told apart.
fn slots<'a>(split: &[Vec<&'a str>], typed: Option<&'a str>) -> Option<(Vec<&'a str>, Vec<Slot<'a>>)> {
    let depth = split.first()?.len();
    if !split.iter().all(|parts| parts.len() == depth) {
        return None;
    }
    let column = |at: usize| split.iter().map(|parts| parts[at]).collect::<Vec<&str>>();
    let Some(typed) = typed else {
        return Some((Vec::new(), (0..depth).map(|at| Slot { typed: None, values: column(at), is_of_any: false }).collect()));
    };
    let parts: Vec<&str> = typed.split('/').collect();
    // A part with a name may be over several folders.
    if typed.contains('{') || parts.iter().filter(|part| **part == "**").count() > 1 {
        return None;
    }
    if let Some(any) = parts.iter().position(|part| *part == "**") {
        let after = parts.len() - any - 1;
        let many = depth.checked_sub(any + after)?;
        if many == 0 {
            return None;
        }
        let typed_at = |at: usize| {
            if at < any {
                (parts[at], false)
            } else if at < any + many {
                ("**", true)
            } else {
                (parts[at + 1 - many], false)
            }
        };
        let slot = |at: usize| {
            let (typed, is_of_any) = typed_at(at);
            Slot { typed: Some(typed), values: column(at), is_of_any }
        };
        return Some((Vec::new(), (0..depth).map(slot).collect()));
    }
    // A name may be shown from another folder than it was asked for: what they have at their ends is the same.
    let shared = depth.min(parts.len());
    let slot = |at: usize| Slot { typed: Some(parts[parts.len() - shared + at]), values: column(depth - shared + at), is_of_any: false };
    Some((parts[..parts.len() - shared].to_vec(), (0..shared).map(slot).collect()))
}

/// What stands around a day: as it was asked for, and what all files have where that was open, but for digits that only seem to be fixed.
fn around(slot: &Slot, day: &path_days::Day) -> Option<(String, String)> {
    let typed = slot.typed.unwrap_or("*");
    let typed = if slot.is_of_any { "*" } else { typed };
    let is_wild = typed.contains(WILD);
    let first = slot.values.first()?;
    // What is written without wildcards at both ends.
    let (begin, end) = if is_wild {
        let begin = typed.find(WILD)?;
        let last = typed.rfind(['*', '?', ']'])?;
        (&typed[..begin], &typed[last + 1..])
    } else {
        let (from, to) = day.spans.first().copied()?;
        return Some((escaped(&first[..from]), escaped(&first[to..])));
    };
    let each = || slot.values.iter().zip(day.spans.iter().copied());
    let before = each().map(|(value, (from, _))| Some(value.get(begin.len().min(from)..from)?.to_owned()));
    let before = before.collect::<Option<Vec<String>>>()?;
    let after = each().map(|(value, (_, to))| Some(value.get(to..(value.len() - end.len()).max(to))?.to_owned()));
    let after = after.collect::<Option<Vec<String>>>()?;
    let reach = day.spans.iter().map(|(from, _)| *from).min()?;
    let rest = slot.values.iter().zip(&day.spans).map(|(value, (_, to))| value.len() - to).min()?;
    let open = (open(&before), open(&after));
    // A second day beside an open end might be taken for the first.
    let has_other = |texts: &[String]| texts.iter().any(|text| path_days::of(&[text.as_str()]).is_some());
    if (open.0.contains('*') && has_other(&after)) || (open.1.contains('*') && has_other(&before)) {
        return None;
    }
    let begin = begin.get(..begin.len().min(reach))?;
    let end = end.get(end.len() - end.len().min(rest)..)?;
    Some((format!("{}{}", escaped(begin), open.0), format!("{}{}", open.1, escaped(end))))
}

/// What some texts have in common at both ends, without digits.
fn open(texts: &[String]) -> String {
    let is_fixed = |text: &String| Some(text) == texts.first() && !text.contains(|c: char| c.is_ascii_digit());
    let Some(first) = texts.first() else { return String::new() };
    if texts.iter().all(is_fixed) {
        return escaped(first);
    }
    let digit = |c: char| c.is_ascii_digit();
    let before: Vec<&str> = texts.iter().map(|text| &text[..text.find(digit).unwrap_or(text.len())]).collect();
    let after: Vec<&str> = texts.iter().map(|text| &text[text.rfind(digit).map_or(0, |at| at + 1)..]).collect();
    let is_same = after.iter().all(|text| *text == after[0]);
    let (prefix, suffix) = (ends(&before).0, if is_same { after[0] } else { ends(&after).1 });
    // Neither reaches into the other in a text without digits.
    let is_long = texts.iter().any(|text| text.len() < prefix.len() + suffix.len());
    format!("{}*{}", escaped(prefix), escaped(if is_long { "" } else { suffix }))
}

/// A location for files at different depths.
fn below(split: &[Vec<&str>]) -> String {
    let first = &split[0];
    let same = (0..first.len() - 1).take_while(|at| split.iter().all(|parts| parts.len() > at + 1 && parts[*at] == first[*at])).count();
    let folders: Vec<String> = first[..same].iter().map(|folder| escaped(folder)).collect();
    let names: Vec<&str> = split.iter().filter_map(|parts| parts.last().copied()).collect();
    let is_same = names.iter().all(|name| *name == names[0]);
    let ending = if is_same { names[0] } else { ends(&names).1 };
    let ending = ending.find('.').map_or("", |at| &ending[at..]);
    folders.into_iter().chain(["**".to_owned(), format!("*{}", escaped(ending))]).collect::<Vec<_>>().join("/")
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

fn hive_part(values: &[&str]) -> Option<Part> {
    let pairs: Vec<(&str, &str)> = values.iter().map(|value| value.split_once('=')).collect::<Option<_>>()?;
    let (key, _) = *pairs.first()?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !is_key || pairs.iter().any(|(other, _)| *other != key) {
        return None;
    }
    let values: Vec<String> = pairs.iter().map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned()).collect();
    let texts: Vec<&str> = values.iter().map(String::as_str).collect();
    let is_whole = |day: &path_days::Day| day.spans.iter().zip(&texts).all(|(span, text)| *span == (0, text.len()));
    let day = path_days::of(&texts).filter(is_whole).map(|day| day.format);
    Some(Part { name: key.to_owned(), day, values, is_hive: true })
}

/// What some texts have in common at both ends, with a star between that takes numbers whole.
fn common(values: &[&str]) -> String {
    let first = values.first().copied().unwrap_or_default();
    if values.iter().all(|value| *value == first) {
        return escaped(first);
    }
    let (prefix, suffix) = ends(values);
    let is_digit = |c: char| c.is_ascii_digit();
    format!("{}*{}", escaped(prefix.trim_end_matches(is_digit)), escaped(suffix.trim_start_matches(is_digit)))
}

/// The texts that all of some texts begin and end with, of which neither reaches into the other.
fn ends<'a>(values: &[&'a str]) -> (&'a str, &'a str) {
    let first = values.first().copied().unwrap_or_default();
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
    (&first[..prefix], &first[suffix..])
}

/// A text in which wildcards stand for themselves.
pub fn escaped(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '*' | '?' | '[' | '{') { format!("[{c}]") } else { c.to_string() }).collect()
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
        assert_eq!(location(&["a/x{1}.csv"], None).0, "a/x[{]1}.csv");
        assert_eq!(
            location(&["e/exp_20261105_111500.csv"], Some("e/*.csv")),
            ("e/exp_{moment:%Y%m%d_%H%M%S}.csv".into(), vec![("moment".into(), Some("%Y%m%d_%H%M%S".into()))])
        );
        assert_eq!(location(&["crm-20261101T060000.csv"], Some("*.csv")).0, "crm-{moment:%Y%m%dT%H%M%S}.csv");
        assert_eq!(location(&["d/20261105-101500123.csv"], Some("d/*.csv")).0, "d/{day:%Y%m%d}-*.csv");
        assert_eq!(location(&["a/part-00017.csv", "a/part-00018.csv"], Some("a/*.csv")).0, "a/*.csv");
        assert_eq!(location(&["a/part-00017.csv", "a/part-00018.csv"], None).0, "a/part-*.csv");
        assert_eq!(location(&["v2_x_2026-11-01_17.csv"], Some("v2_*")).0, "v2_x_{day:%Y-%m-%d}_*.csv");
        assert_eq!(location(&["x/y/2026/11/01/c_0.csv", "x/y/2026/11/02/c_1.csv"], Some("x/*/*/*/*/*.csv")).0, "x/*/{day:%Y/%m/%d}/*.csv");
        assert_eq!(location(&["x/2026/11/01/c.csv"], Some("x/**/*.csv")).0, "x/{day:%Y/%m/%d}/*.csv");
        assert_eq!(location(&["x/a/b/c.csv"], Some("x/**/*.csv")).0, "x/**/*.csv");
        assert_eq!(
            location(&["w/year=2026/month=11/day=01/a.csv", "w/year=2026/month=11/day=02/a.csv"], Some("w/*/*/*/*.csv")),
            ("w/{date:year=%Y/month=%m/day=%d}/*.csv".into(), vec![("date".into(), Some("year=%Y/month=%m/day=%d".into()))])
        );
        let days = location(&["2026-11-01/2026-11-02/2026-11-03.csv"], Some("*/*/*.csv"));
        assert_eq!(days.0, "{day:%Y-%m-%d}/{day_2:%Y-%m-%d}/{day_3:%Y-%m-%d}.csv");
        assert_eq!(location(&["a/1.csv", "a/b/1.csv"], None).0, "a/**/*.csv");
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

        /// A location matches the files that it was made of, and the part that is a day is one in each.
        #[test]
        fn a_location_matches_its_files(
            files in proptest::collection::vec("([a-c]{1,3}|2026-1[0-2]-2[0-8]|day=2026121[0-9])/[a-c\\[{?]{0,4}[0-9]{0,3}(_?202612[012][0-9](T?[01][0-9][0-5][0-9])?[-_a0]{0,2}){0,2}\\.csv", 1..5),
            typed in proptest::option::of(proptest::sample::select(vec!["*/*", "**/*.csv", "*/*.csv", "*/*[sv]"])),
        ) {
            let location = read(&files, typed).location;
            let mut stars = String::new();
            for (at, piece) in location.replace("[{]", "[<]").split(['{', '}']).enumerate() {
                stars += &if at % 2 == 0 { piece.to_owned() } else { vec!["*"; piece.split('/').count()].join("/") };
            }
            let whole = |folder: &str| if folder == "**" { folder.to_owned() } else { folder.replace("***", "*").replace("**", "*") };
            let stars = stars.split('/').map(whole).collect::<Vec<_>>().join("/").replace("[<]", "[{]");
            let pattern = glob::Pattern::new(&stars).unwrap();
            for file in &files {
                prop_assert!(pattern.matches(file), "{} {} {}", location, pattern, file);
            }
        }
    }
}
