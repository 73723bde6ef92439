//! How a column writes its days and times: the pattern of each text, with day and month open where only other rows can tell.

/// How a single text writes a day, perhaps with a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The pattern. Where day and month cannot be told from one text, `{1}` and `{2}` stand for them.
    pub pattern: String,
    /// The numbers at `{1}` and `{2}`, if they are open.
    pub open: Option<(u32, u32)>,
    /// Whether it has a time of day.
    pub has_time: bool,
    /// Whether it says its offset or zone.
    pub has_zone: bool,
    /// Whether it is ISO 8601 as it stands, which needs no format.
    pub is_iso: bool,
    /// The year, in full where it has four digits.
    pub year: u32,
}

const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// How a text writes a day; none if it does not.
pub fn shape(text: &str) -> Option<Shape> {
    let text = text.trim();
    if text.len() < 6 || text.len() > 45 || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut reader = Reader { rest: text, pattern: String::new() };
    let has_weekday = reader.weekday();
    let (open, year, is_iso_day) = reader.day()?;
    let mut shape = Shape { pattern: String::new(), open, has_time: false, has_zone: false, is_iso: is_iso_day && !has_weekday, year };
    if !reader.rest.is_empty() {
        shape.is_iso &= reader.rest.starts_with(['T', ' ']);
        reader.between()?;
        let is_iso_time = reader.time()?;
        shape.has_time = true;
        shape.is_iso &= is_iso_time;
        if !reader.rest.is_empty() {
            let is_iso_zone = reader.zone()?;
            shape.has_zone = true;
            shape.is_iso &= is_iso_zone;
        }
    }
    shape.pattern = reader.pattern;
    reader.rest.is_empty().then_some(shape)
}

struct Reader<'a> {
    rest: &'a str,
    pattern: String,
}

/// The numbers that may be day or month, the year, and whether it is written as in ISO 8601.
type Day = (Option<(u32, u32)>, u32, bool);

impl<'a> Reader<'a> {
    /// The digits that come next, if there are between one and so many of them.
    fn digits(&mut self, most: usize) -> Option<&'a str> {
        let count = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        (1..=most).contains(&count).then(|| self.take(count))
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn number(&mut self, digits: std::ops::RangeInclusive<usize>, most: u32) -> Option<u32> {
        let text = self.digits(*digits.end())?;
        let value = text.parse().ok()?;
        (digits.contains(&text.len()) && value <= most).then_some(value)
    }

    /// One of some characters, which goes into the pattern.
    fn separator(&mut self, these: &str) -> Option<char> {
        let c = self.rest.chars().next().filter(|c| these.contains(*c))?;
        self.take(c.len_utf8());
        self.pattern.push(c);
        Some(c)
    }

    fn word(&mut self) -> &'a str {
        let count = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        &self.rest[..count]
    }

    fn weekday(&mut self) -> bool {
        let word = self.word().to_ascii_lowercase();
        let Some(name) = DAYS.iter().find(|name| word == **name || (word.len() == 3 && name.starts_with(word.as_str()))) else {
            return false;
        };
        self.take(word.len());
        self.pattern += if word == *name { "%A" } else { "%a" };
        self.separator(",");
        self.separator(" ");
        true
    }

    fn month(&mut self) -> bool {
        let word = self.word().to_ascii_lowercase();
        let Some(name) = MONTHS.iter().find(|name| word == **name || (word.len() == 3 && name.starts_with(word.as_str()))) else {
            return false;
        };
        self.take(word.len());
        self.pattern += if word == *name && word.len() > 3 { "%B" } else { "%b" };
        true
    }

    fn year(&mut self) -> Option<u32> {
        let text = self.digits(4)?;
        self.pattern += match text.len() {
            4 => "%Y",
            2 => "%y",
            _ => return None,
        };
        let year = text.parse().ok()?;
        (text.len() == 2 || (1000..=2999).contains(&year) || year == 9999).then_some(year)
    }

    /// The day.
    fn day(&mut self) -> Option<Day> {
        if self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            // `Nov 1, 2026`
            self.month().then_some(())?;
            self.separator(" -.")?;
            self.number(1..=2, 31)?;
            self.pattern += "%d";
            self.separator(",");
            self.separator(" -")?;
            return Some((None, self.year()?, false));
        }
        let first = self.digits(8)?;
        match first.len() {
            8 => {
                let part = |range: std::ops::Range<usize>| first[range].parse::<u32>().ok();
                let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
                self.pattern += "%Y%m%d";
                ((1900..=2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)).then_some((None, year, false))
            }
            4 => {
                let year: u32 = first.parse().ok()?;
                self.pattern += "%Y";
                let separator = self.separator("-/.")?;
                let month = self.number(1..=2, 12)?;
                self.pattern += "%m";
                (self.separator("-/.")? == separator).then_some(())?;
                let before = self.rest.len();
                let day = self.number(1..=2, 31)?;
                let is_padded = before - self.rest.len() == 2;
                self.pattern += "%d";
                let fits = month > 0 && day > 0 && ((1000..=2999).contains(&year) || year == 9999);
                fits.then_some((None, year, separator == '-' && is_padded))
            }
            1 | 2 => self.day_first(first.parse().ok()?),
            _ => None,
        }
    }

    /// `1/2/2026` and `1 Nov 2026`: what stands before is a day or a month.
    fn day_first(&mut self, first: u32) -> Option<Day> {
        if !(1..=31).contains(&first) {
            return None;
        }
        let begin = self.pattern.len();
        let separator = self.separator("-/. ")?;
        if self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.pattern.insert_str(begin, "%d");
            self.month().then_some(())?;
            self.separator(".,");
            self.separator("-/. ")?;
            return Some((None, self.year()?, false));
        }
        if separator == ' ' {
            return None;
        }
        self.pattern.insert_str(begin, "{1}");
        let second = self.number(1..=2, 31)?;
        self.pattern += "{2}";
        (self.separator("-/.")? == separator).then_some(())?;
        let year = self.year()?;
        (second > 0 && (first <= 12 || second <= 12)).then_some((Some((first, second)), year, false))
    }

    /// What stands between day and time.
    fn between(&mut self) -> Option<()> {
        if self.separator("T_").is_some() {
            return Some(());
        }
        self.separator(",");
        self.separator(" ")?;
        if self.rest.starts_with("at ") {
            self.take(3);
            self.pattern += "at ";
        }
        Some(())
    }

    /// The time of day; whether it is as in ISO 8601.
    fn time(&mut self) -> Option<bool> {
        let before = self.rest.len();
        let hour = self.number(1..=2, 23)?;
        let mut is_iso = before - self.rest.len() == 2;
        let begin = self.pattern.len();
        self.pattern += "%H";
        is_iso &= self.separator(":.")? == ':';
        self.number(2..=2, 59)?;
        self.pattern += "%M";
        if self.rest.starts_with([':', '.']) && self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.separator(":.");
            self.number(2..=2, 60)?;
            self.pattern += "%S";
            if self.rest.starts_with('.') {
                self.take(1);
                self.digits(9)?;
                self.pattern += "%.f";
            }
        }
        let bare = self.rest.trim_start();
        let half = bare.get(..2).map(str::to_ascii_lowercase);
        if half.is_some_and(|half| half == "am" || half == "pm") {
            if bare.len() < self.rest.len() {
                self.pattern.push(' ');
            }
            self.rest = &bare[2..];
            self.pattern += "%p";
            self.pattern.replace_range(begin..begin + 2, "%I");
            (hour <= 12).then_some(())?;
            is_iso = false;
        }
        Some(is_iso)
    }

    /// An offset or the name of a zone; whether it is as in ISO 8601.
    fn zone(&mut self) -> Option<bool> {
        let has_space = self.rest.starts_with(' ');
        if has_space {
            self.take(1);
            self.pattern.push(' ');
        }
        if ["Z", "UTC", "GMT"].contains(&self.rest) {
            let iso = self.rest == "Z" || self.rest == "UTC";
            self.pattern += self.rest;
            self.rest = "";
            return Some(iso);
        }
        if self.rest.starts_with(['+', '-']) {
            let digits: String = self.rest[1..].chars().filter(|c| *c != ':').collect();
            let fits = matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit()) && self.rest.len() <= 6;
            let iso = !has_space && self.rest.len() == 6;
            self.rest = "";
            self.pattern += "%z";
            return fits.then_some(iso);
        }
        let is_name = (3..=32).contains(&self.rest.len())
            && self.rest.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'/' || byte == b'_')
            && (self.rest.contains('/') || self.rest.bytes().all(|byte| byte.is_ascii_uppercase()));
        self.rest = "";
        self.pattern += "%Z";
        is_name.then_some(false)
    }
}

/// How a column writes its days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// What `format` says; none for ISO 8601.
    pub format: Option<String>,
    /// Whether the texts have times.
    pub has_time: bool,
    /// Whether the texts have offsets or zones.
    pub has_zone: bool,
    /// How many of the texts are not written so.
    pub others: usize,
    /// Which comes first, where it was told by a number above 12.
    pub day_first: Option<bool>,
    /// The other format that would read all of it, if nothing tells which is meant.
    pub or: Option<String>,
}

/// The style of a column's days. `hint` is what other columns of the file say of whether the day comes first.
pub fn style(shapes: &[Shape], hint: Option<bool>) -> Option<Style> {
    if shapes.is_empty() {
        return None;
    }
    let iso = shapes.iter().filter(|shape| shape.is_iso).count();
    if iso * 2 > shapes.len() {
        let (mut has_time, mut has_zone) = (false, false);
        for shape in shapes.iter().filter(|shape| shape.is_iso) {
            has_time |= shape.has_time;
            has_zone |= shape.has_zone;
        }
        return Some(Style { format: None, has_time, has_zone, others: shapes.len() - iso, day_first: None, or: None });
    }
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for shape in shapes {
        *counts.entry(&shape.pattern).or_default() += 1;
    }
    let (pattern, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let these: Vec<&Shape> = shapes.iter().filter(|shape| shape.pattern == pattern).collect();
    let mut others = shapes.len() - these.len();
    let first = these.first()?;
    let (mut day_first, mut or, mut format) = (None, None, pattern.to_owned());
    if first.open.is_some() {
        let above = |wanted: &dyn Fn((u32, u32)) -> bool| these.iter().filter(|shape| shape.open.is_some_and(wanted)).count();
        let (day, month) = (above(&|(first, _)| first > 12), above(&|(_, second)| second > 12));
        let with = |day_first: bool| {
            let (one, two) = if day_first { ("%d", "%m") } else { ("%m", "%d") };
            pattern.replace("{1}", one).replace("{2}", two)
        };
        day_first = if day + month > 0 { Some(day >= month) } else { None };
        others += day.min(month);
        let has_points = pattern.starts_with("{1}.");
        let likely = day_first.or(hint).unwrap_or(has_points || !pattern.contains("%p"));
        if day_first.is_none() && hint.is_none() && !has_points {
            or = Some(with(!likely));
        }
        format = with(likely);
    }
    Some(Style { format: Some(format), has_time: first.has_time, has_zone: first.has_zone, others, day_first, or })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(texts: &[&str]) -> Style {
        let shapes: Vec<Shape> = texts.iter().map(|text| shape(text).unwrap_or_else(|| panic!("{text}"))).collect();
        style(&shapes, None).unwrap()
    }

    #[test]
    fn styles_are_told() {
        for (texts, format, or) in [
            (&["2026-11-01", "2026-11-02"][..], None, None),
            (&["2026-11-01T10:00:00Z", "2026-11-01 10:00:00.5+01:00"], None, None),
            (&["2026/11/01"], Some("%Y/%m/%d"), None),
            (&["31.12.2026", "1.2.2026"], Some("%d.%m.%Y"), None),
            (&["1.2.2026"], Some("%d.%m.%Y"), None),
            (&["12/31/2026", "1/2/2026"], Some("%m/%d/%Y"), None),
            (&["31/12/2026", "1/2/2026"], Some("%d/%m/%Y"), None),
            (&["01/02/2026"], Some("%d/%m/%Y"), Some("%m/%d/%Y")),
            (&["1/2/26 3:04 PM"], Some("%m/%d/%y %I:%M %p"), Some("%d/%m/%y %I:%M %p")),
            (&["20261101"], Some("%Y%m%d"), None),
            (&["01-Nov-2026", "02-Dec-2026"], Some("%d-%b-%Y"), None),
            (&["Nov 1, 2026"], Some("%b %d, %Y"), None),
            (&["November 1, 2026"], Some("%B %d, %Y"), None),
            (&["Sun, 01 Nov 2026 10:00:00 +0100"], Some("%a, %d %b %Y %H:%M:%S %z"), None),
            (&["31.12.2026 23:59"], Some("%d.%m.%Y %H:%M"), None),
            (&["2026-11-01 10:00:00 Europe/Berlin"], Some("%Y-%m-%d %H:%M:%S %Z"), None),
            (&["01/11/2026, 10:00:00", "13/11/2026, 10:00:00"], Some("%d/%m/%Y, %H:%M:%S"), None),
        ] {
            let style = of(texts);
            assert_eq!((style.format.as_deref(), style.or.as_deref(), style.others), (format, or, 0), "{texts:?}");
        }
        assert_eq!(of(&["13/01/2026", "01/13/2026", "14/01/2026"]).others, 1);
    }

    #[test]
    fn what_is_no_day_is_none() {
        for text in [
            "",
            "2026-13-01",
            "2026-1",
            "1/2/3",
            "32/1/2026",
            "13/13/2026",
            "12345678",
            "1.2.3.4",
            "10:00",
            "2026",
            "may be",
            "1 2 2026",
            "0/1/2026",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_texts_have_some_style(texts in proptest::collection::vec("[0-9/.: T,+-]{0,24}|\\PC{0,30}", 0..6)) {
            let shapes: Vec<Shape> = texts.iter().filter_map(|text| shape(text)).collect();
            style(&shapes, None);
        }
    }
}
