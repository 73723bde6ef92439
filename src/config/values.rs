//! The values of one run: its as-of day and its parameters, typed and checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion::common::ScalarValue;

use super::column::ColumnType;
use super::load::Project;
use super::pipeline::Parameter;
use super::yaml::span_of;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};

/// The name that SQL reads the as-of day by.
pub const AS_OF: &str = "as_of";
/// The name that SQL reads the words that stand for nobody by: one text, a word a line.
pub const NOBODY: &str = "nobody";

/// The as-of day and the parameters of a run.
#[derive(Debug, Clone)]
pub struct Values {
    /// The day. Events at or after its first moment do not count.
    pub as_of: NaiveDate,
    /// The zone that days are counted in.
    pub time_zone: Tz,
    /// Its first moment in that zone.
    pub as_of_instant: DateTime<Utc>,
    /// `$as_of`, `$nobody` and every parameter, by name.
    pub parameters: BTreeMap<String, ScalarValue>,
}

/// Binds the parameters of a project to their values, overrides first.
///
/// # Errors
/// [`Error::Project`] with every parameter that is unknown, of the wrong type or out of its range, and an unknown time zone.
pub fn bind(project: &Project, as_of: NaiveDate, overrides: &BTreeMap<String, String>) -> Result<Values> {
    let mut problems = Vec::new();
    let time_zone = time_zone(project).unwrap_or_else(|problem| {
        problems.push(problem);
        Tz::UTC
    });
    let days = arrow::datatypes::Date32Type::from_naive_date(as_of);
    let mut parameters = BTreeMap::new();
    parameters.insert(AS_OF.to_owned(), ScalarValue::Date32(Some(days)));
    parameters.insert(NOBODY.to_owned(), ScalarValue::from(project.pipeline.identity.nobody.join("\n")));
    for name in overrides.keys().filter(|name| !project.pipeline.parameters.contains_key(*name)) {
        let known = project.pipeline.parameters.keys().map(String::as_str);
        problems.push(Diagnostic::error("unknown-parameter", format!("there is no parameter `{name}`")).did_you_mean(name, known));
    }
    for (name, parameter) in &project.pipeline.parameters {
        let given = overrides.get(name);
        let text = given.unwrap_or(&parameter.default.value);
        match value_of(name, parameter, text) {
            Ok(value) => {
                parameters.insert(name.clone(), value);
            }
            Err(problem) if given.is_some() => problems.push(problem.hint(format!("as given by `--param {name}=…`"))),
            Err(problem) => problems.push(problem.at(span_of(&project.file, &parameter.default))),
        }
    }
    if !problems.is_empty() {
        return Err(Error::Project(problems));
    }
    let as_of_instant = first_moment(as_of, time_zone);
    Ok(Values { as_of, time_zone, as_of_instant, parameters })
}

/// A text as a value of a type; none when it is not one.
pub fn parse_scalar(text: &str, column_type: ColumnType, time_zone: &str) -> Option<ScalarValue> {
    let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let typed = cast_with_options(&array, &column_type.arrow(time_zone), &options).ok()?;
    if typed.is_null(0) { None } else { ScalarValue::try_from_array(&typed, 0).ok() }
}

fn value_of(name: &str, parameter: &Parameter, text: &str) -> Result<ScalarValue, Diagnostic> {
    let value = parse_scalar(text, parameter.column_type, "UTC").ok_or_else(|| {
        Diagnostic::error("parameter-type", format!("`{text}` is no {}, as the parameter `{name}` is", parameter.column_type))
            .label(format!("not of type {}", parameter.column_type))
    })?;
    if let ScalarValue::Int64(Some(number)) = value {
        let (min, max) = (parameter.min.unwrap_or(i64::MIN), parameter.max.unwrap_or(i64::MAX));
        if !(min..=max).contains(&number) {
            let range = match (parameter.min, parameter.max) {
                (Some(min), Some(max)) => format!("between {min} and {max}"),
                (Some(min), None) => format!("at least {min}"),
                _ => format!("at most {max}"),
            };
            return Err(Diagnostic::error("parameter-range", format!("the parameter `{name}` must be {range}")).label("out of range"));
        }
    }
    Ok(value)
}

fn time_zone(project: &Project) -> Result<Tz, Diagnostic> {
    let Some(name) = &project.pipeline.time_zone else { return Ok(Tz::UTC) };
    name.value.parse().map_err(|_| {
        Diagnostic::error("unknown-time-zone", format!("`{}` is not an IANA time zone", name.value))
            .at(span_of(&project.file, name))
            .did_you_mean(&name.value, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()))
    })
}

/// The first moment of a day in a zone. Where midnight does not exist, the first moment after it.
fn first_moment(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(chrono::NaiveTime::MIN);
    (0..=24 * 4)
        .find_map(|quarters| zone.from_local_datetime(&(midnight + chrono::TimeDelta::minutes(15 * quarters))).earliest())
        .map_or_else(|| midnight.and_utc(), |moment| moment.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_where_its_zone_says() {
        let day = NaiveDate::from_ymd_opt(2011, 6, 10).unwrap();
        assert_eq!(first_moment(day, Tz::UTC).to_rfc3339(), "2011-06-10T00:00:00+00:00");
        assert_eq!(first_moment(day, Tz::Europe__London).to_rfc3339(), "2011-06-09T23:00:00+00:00");
        // Clocks in Cairo sprang from 00:00 to 01:00 on this day.
        let skipped = NaiveDate::from_ymd_opt(2010, 4, 30).unwrap();
        assert_eq!(first_moment(skipped, Tz::Africa__Cairo).to_rfc3339(), "2010-04-29T22:00:00+00:00");
    }

    #[test]
    fn texts_become_values_of_their_type_or_none() {
        assert_eq!(parse_scalar("365", ColumnType::Integer, "UTC"), Some(ScalarValue::Int64(Some(365))));
        assert_eq!(parse_scalar("1,000", ColumnType::Integer, "UTC"), None);
        assert_eq!(parse_scalar("2011-02-30", ColumnType::Date, "UTC"), None);
        let weight = ColumnType::Decimal { precision: 9, scale: 3 };
        assert_eq!(parse_scalar("0.25", weight, "UTC"), Some(ScalarValue::Decimal128(Some(250), 9, 3)));
    }
}
