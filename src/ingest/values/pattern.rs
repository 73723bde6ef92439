//! Dates and times as a pattern writes them, such as `%d/%m/%Y %H:%M`.

use chrono::format::{Fixed, Item, Numeric, Pad, Parsed, StrftimeItems, parse, parse_and_remainder};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

use crate::local_time::{SECOND_MICROS, Time, Zone, instant_in};

/// A pattern of chrono's, with what it says of the zone.
#[derive(Debug)]
pub struct Pattern {
    items: Vec<Item<'static>>,
    /// The items that are not left to chrono alone, in order.
    stops: Vec<(usize, Stop)>,
    /// Whether it ends with a letter or word for UTC.
    is_utc: bool,
    /// Whether it has the name or the offset of a zone.
    has_zone: bool,
    has_hour: bool,
    /// Where numbers stand side by side, how long a text is: with a digit less nobody knows whose it is.
    length: Option<usize>,
}

/// What is looked at where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// A year has at least so many digits: chrono takes fewer.
    Digits(usize),
    /// The name of a zone, which chrono passes over.
    ZoneName,
}

impl Pattern {
    /// Compiles a pattern; none if it has no meaning or does not say which day is meant.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        // Others mean a fraction by `%f`, and chrono a number of nanoseconds.
        let text = &text.replace(".%f", "%.f");
        if text.contains("%f") {
            return Err("a fraction of a second is `%.f`, with its point");
        }
        let items: Vec<Item<'static>> = StrftimeItems::new(text).map(Item::to_owned).collect();
        if items.contains(&Item::Error) {
            return Err("it has a part that is not known");
        }
        let numeric = |wanted: &[Numeric]| items.iter().any(|item| matches!(item, Item::Numeric(part, _) if wanted.contains(part)));
        let fixed = |wanted: &dyn Fn(&Fixed) -> bool| items.iter().any(|item| matches!(item, Item::Fixed(part) if wanted(part)));
        let stop = |item: &Item<'_>| match item {
            Item::Numeric(Numeric::Year | Numeric::IsoYear, pad) if *pad != Pad::None => Some(Stop::Digits(4)),
            Item::Numeric(Numeric::YearMod100 | Numeric::IsoYearMod100, pad) if *pad != Pad::None => Some(Stop::Digits(2)),
            Item::Fixed(Fixed::TimezoneName) => Some(Stop::ZoneName),
            _ => None,
        };
        let stops: Vec<(usize, Stop)> = items.iter().enumerate().filter_map(|(at, item)| Some((at, stop(item)?))).collect();
        let names = stops.iter().filter(|(_, stop)| *stop == Stop::ZoneName).count();
        let says_offset = fixed(&|part| !matches!(part, Fixed::TimezoneName) && format!("{part:?}").starts_with("Timezone"))
            || fixed(&|part| matches!(part, Fixed::RFC2822 | Fixed::RFC3339));
        if names > 1 || (names > 0 && says_offset) {
            return Err("it names the zone twice");
        }
        let last = items.iter().rev().find_map(|item| match item {
            Item::Literal(text) => Some(text.to_string()),
            Item::OwnedLiteral(text) => Some(text.to_string()),
            _ => None,
        });
        let is_last = |literal: &str| text.trim_end().ends_with(literal);
        let ends_utc = last.filter(|literal| is_last(literal)).is_some_and(|literal| {
            let before = ["UTC", "GMT", "Z"].iter().find_map(|word| literal.strip_suffix(word));
            before.is_some_and(|before| !before.ends_with(char::is_alphabetic))
        });
        let is_number = |item: &Item<'_>| matches!(item, Item::Numeric(..));
        let side_by_side = items.windows(2).any(|pair| pair.iter().all(is_number));
        let known = |item: &Item<'_>| is_number(item) || matches!(item, Item::Literal(_) | Item::OwnedLiteral(_));
        let sample = sample().filter(|_| side_by_side && items.iter().all(known));
        let length = sample.map(|sample| sample.format_with_items(items.iter()).to_string().len());
        let pattern = Pattern {
            length,
            stops,
            is_utc: ends_utc && names == 0 && !says_offset,
            has_zone: names > 0 || says_offset,
            has_hour: numeric(&[Numeric::Hour, Numeric::Hour12]),
            items,
        };
        pattern.reads_its_own().then_some(pattern).ok_or("it does not say which day, or which half of it, is meant")
    }

    /// Whether every time that it reads is of UTC.
    pub fn is_utc(&self) -> bool {
        self.is_utc || self.items.iter().any(|item| matches!(item, Item::Numeric(Numeric::Timestamp, _)))
    }

    /// Whether it says of which zone a time is.
    pub fn says_zone(&self) -> bool {
        self.has_zone || self.is_utc()
    }

    /// How many slashes are in what it writes.
    pub fn slashes(&self) -> usize {
        sample().map_or(0, |sample| sample.format_with_items(self.items.iter()).to_string().matches('/').count())
    }

    /// Whether the pattern has a time of day.
    pub fn has_time(&self) -> bool {
        self.has_hour
            || self
                .items
                .iter()
                .any(|item| matches!(item, Item::Numeric(Numeric::Timestamp, _) | Item::Fixed(Fixed::RFC2822 | Fixed::RFC3339)))
    }

    /// Whether what it writes can be read again as the same day and hour.
    fn reads_its_own(&self) -> bool {
        let Some(sample) = sample() else { return false };
        let text = sample.format_with_items(self.items.iter()).to_string();
        let Some(utc) = Zone::named("UTC") else { return false };
        let hour_of = |micros: i64| micros.div_euclid(3600 * SECOND_MICROS);
        let read = self.read(&text, &utc).map(|time| time.instant(&utc));
        let day = sample.date_naive().and_time(NaiveTime::MIN).and_utc().timestamp_micros();
        read.is_some_and(|read| if self.has_time() { hour_of(read) == hour_of(sample.timestamp_micros()) } else { read == day })
    }

    /// Reads a text. A time is local unless the pattern or the text says otherwise; a day alone is what the clocks show when it begins.
    pub fn read(&self, text: &str, zone: &Zone) -> Option<Time> {
        if self.length.is_some_and(|length| text.len() != length || text.contains(char::is_whitespace)) {
            return None;
        }
        let mut parsed = Parsed::new();
        let mut name = None;
        let (mut rest, mut from) = (text, 0);
        for &(at, stop) in &self.stops {
            rest = parse_and_remainder(&mut parsed, rest, self.items[from..at].iter()).ok()?;
            from = at;
            match stop {
                Stop::Digits(fewest) => {
                    let digits = rest.trim_start().bytes().take(fewest).take_while(u8::is_ascii_digit).count();
                    (digits == fewest).then_some(())?;
                }
                Stop::ZoneName => {
                    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                    name = Some(rest.split_at(end).0).filter(|name| !name.is_empty());
                    (rest, from) = (&rest[end..], at + 1);
                    name?;
                }
            }
        }
        parse(&mut parsed, rest, self.items[from..].iter()).ok()?;
        if let Some(seconds) = parsed.timestamp() {
            return Some(Time::Instant(
                seconds.checked_mul(SECOND_MICROS)?.checked_add(i64::from(parsed.nanosecond().unwrap_or(0) / 1000))?,
            ));
        }
        if self.has_hour && parsed.minute().is_none() {
            parsed.set_minute(0).ok()?;
        }
        let day = parsed.to_naive_date().ok()?;
        let time = if self.has_time() { parsed.to_naive_time().ok()? } else { NaiveTime::MIN };
        let local = day.and_time(time);
        let micros = local.and_utc().timestamp_micros();
        if let Some(offset) = parsed.offset() {
            return Some(Time::Instant(micros - i64::from(offset) * SECOND_MICROS));
        }
        match name {
            Some(name) => named(name, local, zone),
            None if self.is_utc => Some(Time::Instant(micros)),
            None => Some(Time::Local(micros)),
        }
    }
}

/// A moment every part of which has two digits, or four.
fn sample() -> Option<DateTime<Utc>> {
    NaiveDate::from_ymd_opt(2001, 12, 31).and_then(|day| day.and_hms_opt(22, 58, 57)).map(|sample| sample.and_utc())
}

/// The moment of a local time in a zone that is named: UTC, an IANA name, or what a zone of one's own is called at that time.
pub(super) fn named(name: &str, local: NaiveDateTime, zone: &Zone) -> Option<Time> {
    let micros = local.and_utc().timestamp_micros();
    if ["UTC", "GMT", "UT", "Z"].contains(&name) {
        return Some(Time::Instant(micros));
    }
    let own: Option<chrono_tz::Tz> = zone.name().parse().ok();
    let found = own.map(|own| own.from_local_datetime(&local));
    let mut moments = found.into_iter().flat_map(|found| [found.earliest(), found.latest()]).flatten();
    if let Some(moment) = moments.find(|moment| moment.format("%Z").to_string() == name) {
        return Some(Time::Instant(moment.timestamp_micros()));
    }
    // A time that the clocks skip is one of theirs as they were called before.
    let before = found.filter(|found| found.earliest().is_none()).and_then(|_| local.checked_sub_signed(chrono::TimeDelta::days(1)));
    if let (Some(own), Some(before)) = (own, before)
        && own.from_local_datetime(&before).latest().is_some_and(|moment| moment.format("%Z").to_string() == name)
    {
        return Some(Time::Instant(zone.instant_of(micros)));
    }
    // Only names with a place are unambiguous: an abbreviation such as CST means three zones.
    let place = name.contains('/').then_some(name)?;
    instant_in(place, micros).map(Time::Instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pattern: &str, text: &str, zone: &str) -> Option<String> {
        let zone = Zone::named(zone).unwrap();
        let time = Pattern::new(pattern).unwrap().read(text, &zone)?;
        let shown = |micros: i64| chrono::DateTime::from_timestamp_micros(micros).unwrap().format("%Y-%m-%d %H:%M").to_string();
        Some(match time {
            Time::Instant(micros) => format!("{}Z", shown(micros)),
            Time::Local(micros) => shown(micros),
        })
    }

    #[test]
    fn what_a_text_says_of_its_zone_counts() {
        let new_york = |pattern, text| read(pattern, text, "America/New_York");
        let told = [
            new_york("%d/%m/%Y %H:%M", "09/03/2025 10:30"),
            new_york("%d/%m/%Y %H:%M %z", "09/03/2025 10:30 +0200"),
            new_york("%Y-%m-%dT%H:%M:%SZ", "2025-03-09T10:30:00Z"),
            new_york("%Y-%m-%d %H:%M:%S UTC", "2025-03-09 10:30:00 UTC"),
            new_york("%Y-%m-%d %H:%M %Z", "2025-03-09 10:30 UTC"),
            new_york("%Y-%m-%d %H:%M %Z", "2025-03-09 10:30 EDT"),
            new_york("%Y-%m-%d %H:%M %Z", "2025-11-02 01:30 EST"),
            new_york("%Y-%m-%d %H:%M %Z", "2025-11-02 01:30 EDT"),
            new_york("%Z %Y-%m-%d %H:%M", "Europe/Berlin 2025-03-09 10:30"),
            new_york("%s", "1741516200"),
        ];
        let known = [
            "2025-03-09 10:30",
            "2025-03-09 08:30Z",
            "2025-03-09 10:30Z",
            "2025-03-09 10:30Z",
            "2025-03-09 10:30Z",
            "2025-03-09 14:30Z",
            "2025-11-02 06:30Z",
            "2025-11-02 05:30Z",
            "2025-03-09 09:30Z",
            "2025-03-09 10:30Z",
        ];
        assert_eq!(told, known.map(|text| Some(text.to_owned())));
        assert_eq!(read("%d.%m.%Y %H:%M %Z", "29.03.2026 02:30 CET", "Europe/Berlin").as_deref(), Some("2026-03-29 01:30Z"));
        // In another zone an abbreviation is not known, and one that was not in force is wrong.
        assert_eq!(read("%Y-%m-%d %H:%M %Z", "2025-03-09 10:30 EDT", "Europe/Berlin"), None);
        assert_eq!(new_york("%Y-%m-%d %H:%M %Z", "2025-07-01 10:30 EST"), None);
        assert_eq!(new_york("%Y-%m-%d %H:%M %Z", "2025-07-01 10:30 "), None);
    }

    #[test]
    fn years_have_four_digits_unless_the_pattern_asks_for_two() {
        assert_eq!(read("%d/%m/%Y", "31/10/25", "UTC"), None);
        assert_eq!(read("%d.%m.%y", "1.2.3", "UTC"), None);
        assert_eq!(read("%Y%m%d", "20250111", "UTC").as_deref(), Some("2025-01-11 00:00"));
        for text in ["2025111", "2025 1 1", "202501111"] {
            assert_eq!(read("%Y%m%d", text, "UTC"), None, "{text}");
        }
        assert_eq!(read("%Y/%d/%m", "25/31/10", "UTC"), None);
        assert_eq!(read("%d/%m/%y", "31/10/25", "UTC").as_deref(), Some("2025-10-31 00:00"));
        assert_eq!(read("%d/%m/%Y %H", "31/10/2025 14", "UTC").as_deref(), Some("2025-10-31 14:00"));
        assert_eq!(read("%d/%m/%Y %I:%M %p", "31/10/2025 02:05 PM", "UTC").as_deref(), Some("2025-10-31 14:05"));
    }

    #[test]
    fn a_pattern_says_which_day_is_meant() {
        for text in ["%d/%m", "%H:%M", "%I:%M %d/%m/%Y", "%Q %d/%m/%Y", "", "day", "%m/%Y", "%z %Z %Y-%m-%d", "%Y-%m-%d %H:%M:%S,%f"] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
        for text in ["%F", "%c", "%+", "%G-W%V-%u", "%j/%Y", "%e %B %Y", "%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%d %H:%M:%S.%f", "%s"] {
            assert!(Pattern::new(text).is_ok(), "{text}");
        }
    }
}
