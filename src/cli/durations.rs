//! Times as people type them: `90s`, `30m`, `1h30m`, `1.5h`, `2 days`.

use std::time::Duration;

/// A hundred years. Longer times are refused, so that no date overflows.
pub const MAX_DURATION: Duration = Duration::from_hours(36_525 * 24);

const WRONG: &str = "write it with units, such as 90s, 30m, 1h30m or 2d";

/// A time, each number with its unit.
///
/// # Errors
/// What is wrong with the text, for people.
pub fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(WRONG.to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(WRONG)?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        seconds += number.parse::<f64>().map_err(|_| WRONG)? * unit_seconds(unit).ok_or(WRONG)?;
        rest = after.trim_start();
    }
    let most = format!("give it {} days at most", MAX_DURATION.as_secs() / 24 / 60 / 60);
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= MAX_DURATION).ok_or(most)
}

/// A time that is longer than zero.
///
/// # Errors
/// As [`duration`].
pub fn some_duration(text: &str) -> Result<Duration, String> {
    let found = duration(text)?;
    if found.is_zero() { Err("give it some time, such as 30m".to_owned()) } else { Ok(found) }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ms" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86400.0,
        _ => return None,
    })
}

/// A time as people write it: `1h 30m`, `12s`, `1.5s`, `250ms`.
pub fn written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let tenths = duration.subsec_millis() / 100;
    if (1..10).contains(&seconds) && tenths > 0 {
        return format!("{seconds}.{tenths}s");
    }
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if parts.is_empty() { format!("{}ms", duration.as_millis()) } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [
            ("7d", 604_800),
            ("0s", 0),
            ("90s", 90),
            ("30m", 1_800),
            ("30 min", 1_800),
            ("2h", 7_200),
            ("1h30m", 5_400),
            (" 1h 30m ", 5_400),
            ("1.5h", 5_400),
            ("2 days", 172_800),
            ("36525d", 36_525 * 86_400),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        let wrong = ["", " ", "7", "d", "-1d", "1w", "1h30", "h30", "1..5h", ".", "1e3s", "inf s", "nan s", "٣m", "1\u{1b}s"];
        assert!(wrong.iter().all(|text| duration(text).is_err()), "{wrong:?}");
        let long = ["99999999999999999d", "36526d", "9223372036854775807s", &format!("{}d", "9".repeat(400))].map(duration);
        assert!(long.iter().all(|told| told.as_ref().is_err_and(|why| why.contains("36525 days"))), "{long:?}");
        assert!(some_duration("0m").is_err() && some_duration("1ms").is_ok());
    }

    #[test]
    fn times_are_written_as_they_are_typed() {
        for text in ["1h 30m", "12s", "250ms", "48h", "1m 1s"] {
            assert_eq!(written(duration(text).unwrap()), text);
        }
    }
}
