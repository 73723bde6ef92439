//! The values of one run: its as-of day and its parameters, typed and checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, PrimitiveArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::NaiveDate;
use chrono_tz::Tz;
use datafusion::common::ScalarValue;

use super::column::ColumnType;
use super::load::Project;
use super::pipeline::Parameter;
use super::yaml::span_of;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::local_time::{Written, Zone, read_iso};
use crate::number;

/// The name that SQL reads the as-of day by.
pub const AS_OF: &str = "as_of";
/// The name that SQL reads the words that stand for no value by: one text, a word a line.
pub const NULL_VALUES: &str = "null_values";

/// The as-of day and the parameters of a run.
#[derive(Debug, Clone)]
pub struct Values {
    /// The day. Events at or after its first moment do not count.
    pub as_of: NaiveDate,
    /// The zone that days are counted in.
    pub zone: Arc<Zone>,
    /// Its first moment in that zone, in microseconds since 1970.
    pub as_of_micros: i64,
    /// `$as_of`, `$null_values` and every parameter, by name.
    pub parameters: BTreeMap<String, ScalarValue>,
    /// The parameters as records have them: those that the environment gives as the file has them.
    pub shown: BTreeMap<String, String>,
}

/// Binds the parameters of a project to their values, overrides first.
///
/// # Errors
/// [`Error::Project`] with every parameter that is unknown, of the wrong type or out of its range, and an unknown time zone.
pub fn bind(project: &Project, as_of: NaiveDate, overrides: &BTreeMap<String, String>) -> Result<Values> {
    let (values, problems) = bind_what_is_right(project, as_of, overrides)?;
    if problems.is_empty() { Ok(values) } else { Err(Error::Project(problems)) }
}

/// As [`bind`], with a value of its type, whatever it be, in the place of each that is wrong: the types of what reads it can be checked all
/// the same.
///
/// # Errors
/// [`Error::Defect`] when a time zone that is known is not.
pub fn bind_what_is_right(project: &Project, as_of: NaiveDate, overrides: &BTreeMap<String, String>) -> Result<(Values, Vec<Diagnostic>)> {
    let mut problems = Vec::new();
    let time_zone = time_zone(project).unwrap_or_else(|problem| {
        problems.push(problem);
        Tz::UTC
    });
    let zone = Zone::named(time_zone.name()).ok_or_else(|| Error::defect("a time zone is not known"))?;
    let days = arrow::datatypes::Date32Type::from_naive_date(as_of);
    let mut parameters = BTreeMap::new();
    let mut shown = BTreeMap::from([(AS_OF.to_owned(), as_of.to_string())]);
    parameters.insert(AS_OF.to_owned(), ScalarValue::Date32(Some(days)));
    parameters.insert(NULL_VALUES.to_owned(), ScalarValue::from(project.pipeline.null_values.join("\n")));
    for name in overrides.keys().filter(|name| !project.pipeline.parameters.contains_key(*name)) {
        let known = project.pipeline.parameters.keys().map(String::as_str);
        problems.push(Diagnostic::error("unknown-parameter", format!("there is no parameter `{name}`")).did_you_mean(name, known));
    }
    for (name, parameter) in &project.pipeline.parameters {
        let given = overrides.get(name);
        let text = given.unwrap_or(&parameter.default.value);
        if given.is_some_and(|text| text.trim().is_empty()) {
            let problem = Diagnostic::error("blank-parameter", format!("`--param {name}=` has no value"));
            problems.push(problem.hint("give it one, or leave it out for the default; a shell's variable that is not set gives nothing"));
            parameters.insert(name.clone(), stand_in(parameter.column_type, &zone));
            continue;
        }
        let told = given.map_or(parameter.default.shown(), String::as_str);
        match value_of(name, parameter, text, told, &zone) {
            Ok(value) => {
                let as_text = || value.to_array().ok().and_then(|array| arrow::util::display::array_value_to_string(&array, 0).ok());
                let is_given = given.is_none() && parameter.default.is_given();
                shown.insert(name.clone(), if is_given { told.to_owned() } else { as_text().unwrap_or_default() });
                parameters.insert(name.clone(), value);
            }
            Err(problem) => {
                problems.push(if given.is_some() {
                    problem.hint(format!("as given by `--param {name}=…`"))
                } else {
                    problem.at(span_of(&project.file, &parameter.default))
                });
                parameters.insert(name.clone(), stand_in(parameter.column_type, &zone));
            }
        }
    }
    let as_of_micros = zone.first_moment_of(as_of);
    let values = Values { as_of, zone: Arc::new(zone), as_of_micros, parameters, shown };
    Ok((values, problems))
}

/// Some value of a type.
fn stand_in(column_type: ColumnType, zone: &Zone) -> ScalarValue {
    let text = match column_type {
        ColumnType::Date | ColumnType::Timestamp => "2000-01-01",
        ColumnType::Boolean => "false",
        _ => "0",
    };
    parse_scalar(text, column_type, zone).unwrap_or(ScalarValue::Null)
}

/// A text as a value of a type; none when it is not one. A time without an offset is local.
pub fn parse_scalar(text: &str, column_type: ColumnType, zone: &Zone) -> Option<ScalarValue> {
    let typed = parse_scalars(&StringArray::from(vec![text]), column_type, zone)?;
    if typed.is_null(0) { None } else { ScalarValue::try_from_array(&typed, 0).ok() }
}

/// Texts as values of a type; null where one is not. None at all when no text is of that type.
pub fn parse_scalars(texts: &StringArray, column_type: ColumnType, zone: &Zone) -> Option<ArrayRef> {
    let times = || texts.iter().map(|text| text.and_then(read_iso).map(Written::time));
    match column_type {
        ColumnType::Date => Some(Arc::new(times().map(|time| time?.day(zone)).collect::<Date32Array>())),
        ColumnType::Timestamp => {
            let instants: PrimitiveArray<TimestampMicrosecondType> = times().map(|time| Some(time?.instant(zone))).collect();
            Some(Arc::new(instants.with_timezone(zone.name())))
        }
        ColumnType::Integer => Some(Arc::new(texts.iter().map(|text| text.and_then(number::whole)).collect::<Int64Array>())),
        ColumnType::Double => Some(Arc::new(texts.iter().map(|text| text.and_then(number::double)).collect::<Float64Array>())),
        ColumnType::Decimal { precision, scale } => {
            let decimals = texts.iter().map(|text| text.and_then(|text| number::decimal(text, precision, scale)));
            Some(Arc::new(decimals.collect::<Decimal128Array>().with_data_type(column_type.arrow(zone.name()))))
        }
        ColumnType::String | ColumnType::Boolean => {
            let options = CastOptions { safe: true, ..CastOptions::default() };
            cast_with_options(texts, &column_type.arrow(zone.name()), &options).ok()
        }
    }
}

/// A text as the value of a parameter; `told` is the text as messages have it.
fn value_of(name: &str, parameter: &Parameter, text: &str, told: &str, zone: &Zone) -> Result<ScalarValue, Diagnostic> {
    let value = parse_scalar(text, parameter.column_type, zone).ok_or_else(|| {
        Diagnostic::error("parameter-type", format!("`{told}` is no {}, as the parameter `{name}` is", parameter.column_type))
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
        Diagnostic::error("unknown-time-zone", format!("`{}` is not an IANA time zone", name.shown()))
            .at(span_of(&project.file, name))
            .did_you_mean(&name.value, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_values_of_their_type_or_none() {
        let zone = Zone::named("America/New_York").unwrap();
        let parse = |text, column_type| parse_scalar(text, column_type, &zone);
        // A time is that of the pipeline's clocks, as it is in an extract.
        let ten_there = ScalarValue::TimestampMicrosecond(Some(1_762_441_200_000_000), Some("America/New_York".into()));
        assert_eq!(parse("2025-11-06 10:00", ColumnType::Timestamp), Some(ten_there));
        assert_eq!(parse("365", ColumnType::Integer), Some(ScalarValue::Int64(Some(365))));
        assert_eq!(parse("1,000", ColumnType::Integer), None);
        assert_eq!(parse("2011-02-30", ColumnType::Date), None);
        let weight = ColumnType::Decimal { precision: 9, scale: 3 };
        assert_eq!(parse("0.0005", weight), None);
        assert_eq!(parse("0.25", weight), Some(ScalarValue::Decimal128(Some(250), 9, 3)));
    }
}
