//! Finds days and moments in the names of files and folders.

use chrono::{NaiveDate, NaiveDateTime};

/// A day or moment that stands in each of some names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// How it is written.
    pub format: String,
    /// Where it stands in each name.
    pub spans: Vec<(usize, usize)>,
    /// What stands there.
    pub values: Vec<String>,
}

impl Day {
    /// A name for it.
    pub fn name(&self) -> &'static str {
        if has_time(&self.format) { "moment" } else { "day" }
    }
}

/// Whether a format is that of a moment.
pub fn has_time(format: &str) -> bool {
    format.contains("%H")
}

/// Days that folders of year, month and day make, with names of keys or without: a name for them, the format, and the text in each path.
pub fn folders<'a>(mut slots: impl Iterator<Item = &'a [&'a str]>) -> Option<(&'static str, String, Vec<String>)> {
    let (years, months, days) = (slots.next()?, slots.next()?, slots.next()?);
    let key = |values: &[&'a str]| {
        let key = values.first()?.split_once('=').map_or("", |(key, _)| key);
        let is_key = |value: &&str| value.split_once('=').map_or("", |(own, _)| own) == key;
        values.iter().all(is_key).then_some(key)
    };
    let keys = [key(years)?, key(months)?, key(days)?];
    let of = |names: [&str; 3]| (0..3).all(|at| keys[at].eq_ignore_ascii_case(names[at]));
    let is_hive = of(["year", "month", "day"]) || of(["y", "m", "d"]) || of(["yyyy", "mm", "dd"]);
    if !is_hive && keys != ["", "", ""] {
        return None;
    }
    let place = |key: &str, what: &str| if key.is_empty() { what.to_owned() } else { format!("{key}={what}") };
    let format = [place(keys[0], "%Y"), place(keys[1], "%m"), place(keys[2], "%d")].join("/");
    let texts: Vec<String> =
        (0..years.len()).map(|at| Some([*years.get(at)?, *months.get(at)?, *days.get(at)?].join("/"))).collect::<Option<_>>()?;
    let length = keys.iter().map(|key| if key.is_empty() { 0 } else { key.len() + 1 }).sum::<usize>() + "2026/11/01".len();
    let is_day = |text: &String| text.len() == length && NaiveDate::parse_from_str(text, &format).is_ok_and(is_likely);
    texts.iter().all(is_day).then_some((if is_hive { "date" } else { "day" }, format, texts))
}

/// The day or moment that stands in each of some names, written in the same way.
pub fn of(values: &[&str]) -> Option<Day> {
    let found: Vec<(usize, usize, &'static str)> = values.iter().map(|value| day_in(value)).collect::<Option<_>>()?;
    let (.., day) = *found.first()?;
    if found.iter().any(|(.., other)| *other != day) {
        return None;
    }
    let times: Vec<Option<(usize, &'static str)>> =
        values.iter().zip(&found).map(|(value, (from, to, day))| time_behind(value, (*from, *to), day)).collect();
    let time =
        times.first().copied().flatten().filter(|(_, format)| times.iter().all(|time| time.is_some_and(|(_, other)| other == *format)));
    let spans: Vec<(usize, usize)> =
        found.iter().zip(&times).map(|((from, to, _), own)| (*from, own.filter(|_| time.is_some()).map_or(*to, |(end, _)| end))).collect();
    let texts = values.iter().zip(&spans).map(|(value, (from, to))| value[*from..*to].to_owned()).collect();
    Some(Day { format: format!("{day}{}", time.map_or("", |(_, format)| format)), spans, values: texts })
}

/// The time that stands behind a day: where it ends, and how it is written.
fn time_behind(text: &str, (from, to): (usize, usize), day: &str) -> Option<(usize, &'static str)> {
    const TIMES: [(&str, &str); 18] = [
        ("Tdddddd", "T%H%M%S"),
        ("_dddddd", "_%H%M%S"),
        ("-dddddd", "-%H%M%S"),
        (" dddddd", " %H%M%S"),
        ("dddddd", "%H%M%S"),
        ("Tdd:dd:dd", "T%H:%M:%S"),
        (" dd:dd:dd", " %H:%M:%S"),
        ("Tdd-dd-dd", "T%H-%M-%S"),
        ("_dd-dd-dd", "_%H-%M-%S"),
        (" dd-dd-dd", " %H-%M-%S"),
        ("-dd-dd-dd", "-%H-%M-%S"),
        ("_dd_dd_dd", "_%H_%M_%S"),
        ("_dd.dd.dd", "_%H.%M.%S"),
        ("Tdddd", "T%H%M"),
        ("_dddd", "_%H%M"),
        ("-dddd", "-%H%M"),
        ("Tdd:dd", "T%H:%M"),
        ("dddd", "%H%M"),
    ];
    let bytes = text.as_bytes();
    TIMES.into_iter().find_map(|(shape, format)| {
        let end = to + shape.len();
        let is_moment = fits(bytes.get(to..end)?, shape)
            && !bytes.get(end).is_some_and(u8::is_ascii_digit)
            && NaiveDateTime::parse_from_str(
                &format!("{}{}", &text[from..end], if format.contains("%S") { "" } else { ":00" }),
                &format!("{day}{format}{}", if format.contains("%S") { "" } else { ":%S" }),
            )
            .is_ok();
        is_moment.then_some((end, format))
    })
}

fn fits(bytes: &[u8], shape: &str) -> bool {
    shape.bytes().zip(bytes).all(|(wanted, byte)| if wanted == b'd' { byte.is_ascii_digit() } else { wanted == *byte })
}

fn is_likely(day: NaiveDate) -> bool {
    use chrono::Datelike;

    (1990..2100).contains(&day.year())
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
            let Some(these) = bytes.get(from..to) else { break };
            let is_day = fits(these, shape)
                && (from == 0 || !is_digit(from - 1))
                && NaiveDate::parse_from_str(&text[from..to], format).is_ok_and(is_likely);
            // A time may follow without anything between.
            if is_day && (!is_digit(to) || (format == "%Y%m%d" && time_behind(text, (from, to), format).is_some())) {
                return Some((from, to, format));
            }
        }
    }
    None
}
