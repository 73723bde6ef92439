//! One column of a contract: its names in files, its cast, and what its values must be.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Datum, Decimal128Array, DictionaryArray, PrimitiveArray, Scalar, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::kernels::cmp;
use arrow::compute::{CastOptions, cast_with_options, not, nullif};
use arrow::datatypes::{DataType, Date32Type, Int32Type};
use chrono::{NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use regex::Regex;

use super::contract::Fault;
use crate::config::{Column, ColumnType, parse_scalar, span_of};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::error::{Error, Result};

/// The size that a compiled pattern may have, so that a pattern cannot exhaust memory.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;

/// One column of a contract, compiled for one run.
#[derive(Debug)]
pub struct ContractColumn {
    /// Its name in SQL.
    pub name: String,
    /// Its names in the files: the first that a file has counts.
    pub names: Vec<String>,
    /// Whether a row without a value is rejected.
    pub required: bool,
    /// Whether files may lack it.
    pub optional: bool,
    /// Whether its values are personal data.
    pub personal: bool,
    /// Its type.
    pub column_type: ColumnType,
    /// The Arrow type that the engine holds it as.
    pub data_type: DataType,
    format: Option<Format>,
    accepted: BTreeSet<String>,
    min: Option<Scalar<ArrayRef>>,
    max: Option<Scalar<ArrayRef>>,
    pattern: Option<Regex>,
}

/// How text extracts write a value.
#[derive(Debug)]
enum Format {
    /// A chrono pattern.
    Date(String),
    /// A chrono pattern, and the zone that a time without offset is in.
    Timestamp(String, Tz),
    /// What stands between thousands, and before the fraction.
    Number { thousands: Option<char>, point: char },
}

impl ContractColumn {
    /// Compiles a column; what has no meaning is added to `problems`.
    pub fn new(file: &Arc<SourceFile>, name: &str, column: &Column, time_zone: &str, problems: &mut Vec<Diagnostic>) -> Self {
        let mut compile = Compiler { file, name, column, time_zone, problems };
        ContractColumn {
            name: name.to_owned(),
            names: if column.from.is_empty() { vec![name.to_owned()] } else { column.from.clone() },
            required: column.required,
            optional: column.optional,
            personal: column.personal,
            column_type: column.column_type,
            data_type: column.column_type.arrow(time_zone),
            format: compile.format(),
            accepted: column.accepted.iter().cloned().collect(),
            min: compile.bound(column.min.as_ref()),
            max: compile.bound(column.max.as_ref()),
            pattern: compile.pattern(),
        }
    }

    /// The first of its names that a file has.
    pub fn find<T>(&self, position: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.names.iter().find_map(|name| position(name))
    }

    /// The name to use in messages about files.
    pub fn in_files(&self) -> &str {
        self.names.first().map_or(self.name.as_str(), String::as_str)
    }

    /// Whether values of this type in a file can be at fault, so that they must be read even where no model asks for them.
    /// `has_nulls` tells whether some may be missing.
    pub fn can_fail(&self, in_file: &DataType, has_nulls: bool) -> bool {
        let same = match (&self.data_type, in_file) {
            (DataType::Timestamp(..), DataType::Timestamp(..)) => true,
            (DataType::Utf8, held) if is_keyed_text(held) => true,
            (DataType::Utf8, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Int64 | DataType::Int32) => true,
            (ours, theirs) => ours == theirs,
        };
        let may_miss = self.required && has_nulls;
        !same || may_miss || !self.accepted.is_empty() || self.min.is_some() || self.max.is_some() || self.pattern.is_some()
    }

    /// The values as the contract's type; a value that is not one becomes null.
    ///
    /// # Errors
    /// [`Error::Project`] when no value of the array's type can be one of this type.
    pub fn cast(&self, array: &ArrayRef) -> Result<ArrayRef> {
        if array.data_type() == &self.data_type || (self.data_type == DataType::Utf8 && is_keyed_text(array.data_type())) {
            return Ok(Arc::clone(array));
        }
        if let (Some(format), Some(texts)) = (&self.format, array.as_string_opt::<i32>()) {
            return self.cast_formatted(format, texts);
        }
        let cast = self.cast_plain(array)?;
        // A fraction is no whole number, and the cast would drop it.
        if array.data_type().is_floating() && self.data_type == DataType::Int64 {
            let back = cast_with_options(&cast, array.data_type(), &SAFE).map_err(defect)?;
            let lost = not(&cmp::eq(&back, array).map_err(defect)?).map_err(defect)?;
            if lost.true_count() > 0 {
                return nullif(&cast, &lost).map_err(defect);
            }
        }
        Ok(cast)
    }

    fn cast_plain(&self, array: &ArrayRef) -> Result<ArrayRef> {
        if let (DataType::Decimal128(precision, scale), Some(texts)) = (&self.data_type, array.as_string_opt::<i32>())
            && let Some(decimals) = plain_decimals(texts, *precision, *scale)
        {
            return Ok(Arc::new(decimals));
        }
        cast_with_options(array, &self.data_type, &SAFE).map_err(|_| {
            let what =
                format!("the column `{}` is a {} in the files, which is no {}", self.in_files(), array.data_type(), self.column_type);
            Error::argument("column-type", what)
        })
    }

    fn cast_formatted(&self, format: &Format, texts: &StringArray) -> Result<ArrayRef> {
        match format {
            Format::Date(pattern) => {
                let day = |text: &str| NaiveDate::parse_from_str(text, pattern).ok().map(Date32Type::from_naive_date);
                Ok(Arc::new(texts.iter().map(|text| text.and_then(day)).collect::<Date32Array>()))
            }
            Format::Timestamp(pattern, zone) => {
                let micros = texts.iter().map(|text| text.and_then(|text| moment(text, pattern, *zone)));
                let array: TimestampMicrosecondArray = micros.collect::<PrimitiveArray<_>>();
                Ok(Arc::new(array.with_timezone(zone.name())))
            }
            Format::Number { thousands, point } => {
                let plain = |text: &str| -> String {
                    text.chars().filter(|c| Some(*c) != *thousands).map(|c| if c == *point { '.' } else { c }).collect()
                };
                // Where the comma is the point, a point is neither.
                let ours = |text: &&str| *point == '.' || *thousands == Some('.') || !text.contains('.');
                let plain: StringArray = texts.iter().map(|text| text.filter(ours).map(plain)).collect();
                self.cast_plain(&(Arc::new(plain) as ArrayRef))
            }
        }
    }

    /// Adds every value that breaks the contract. `raw` is what the file has, `typed` what [`ContractColumn::cast`] made of it.
    ///
    /// # Errors
    /// [`Error::Defect`] when values cannot be compared.
    pub fn faults(&self, position: usize, raw: &ArrayRef, typed: &ArrayRef, faults: &mut Vec<Fault>) -> Result<()> {
        if let Some(keyed) = typed.as_dictionary_opt::<Int32Type>() {
            return self.faults_of_keyed(position, keyed, faults);
        }
        let mut fault = |row, reason| faults.push(Fault { row, column: position, reason });
        if typed.null_count() > raw.null_count() {
            let reason = self.not_of_type();
            (0..typed.len()).filter(|&row| typed.is_null(row) && raw.is_valid(row)).for_each(|row| fault(row, reason));
        }
        if self.required && raw.null_count() > 0 {
            (0..raw.len()).filter(|&row| raw.is_null(row)).for_each(|row| fault(row, "missing-value"));
        }
        if !self.accepted.is_empty() {
            self.not_accepted(typed, |row| fault(row, "not-accepted"));
        }
        if let Some(min) = &self.min {
            true_rows(&cmp::lt(typed, min as &dyn Datum).map_err(defect)?).for_each(|row| fault(row, "below-minimum"));
        }
        if let Some(max) = &self.max {
            true_rows(&cmp::gt(typed, max as &dyn Datum).map_err(defect)?).for_each(|row| fault(row, "above-maximum"));
        }
        if let (Some(pattern), Some(texts)) = (&self.pattern, typed.as_string_opt::<i32>()) {
            let wrong = |(row, text): (usize, Option<&str>)| text.is_some_and(|text| !pattern.is_match(text)).then_some(row);
            texts.iter().enumerate().filter_map(wrong).for_each(|row| fault(row, "pattern-mismatch"));
        }
        Ok(())
    }

    /// As [`ContractColumn::faults`], for a dictionary of text: each text is looked at once, and then only rows of a bad one.
    fn faults_of_keyed(&self, position: usize, keyed: &DictionaryArray<Int32Type>, faults: &mut Vec<Fault>) -> Result<()> {
        let mut of_values = Vec::new();
        self.faults(position, keyed.values(), keyed.values(), &mut of_values)?;
        if of_values.is_empty() && (!self.required || keyed.null_count() == 0) {
            return Ok(());
        }
        let reasons: HashMap<usize, &'static str> = of_values.into_iter().map(|fault| (fault.row, fault.reason)).collect();
        for (row, key) in keyed.keys().iter().enumerate() {
            let reason = match key {
                Some(key) => usize::try_from(key).ok().and_then(|key| reasons.get(&key).copied()),
                None => self.required.then_some("missing-value"),
            };
            faults.extend(reason.map(|reason| Fault { row, column: position, reason }));
        }
        Ok(())
    }

    /// Calls `found` with each row whose value is none of those accepted; a missing value is not at fault here.
    fn not_accepted(&self, typed: &ArrayRef, mut found: impl FnMut(usize)) {
        let Some(strings) = typed.as_string_opt::<i32>() else {
            for row in (0..typed.len()).filter(|&row| typed.is_valid(row)) {
                let text = arrow::util::display::array_value_to_string(typed, row).unwrap_or_default();
                if !self.accepted.contains(&text) {
                    found(row);
                }
            }
            return;
        };
        // Enumerations are few, short, and come in runs.
        let mut last = "";
        let mut last_accepted = self.accepted.contains(last);
        for (row, value) in strings.iter().enumerate() {
            let Some(value) = value else { continue };
            if value != last {
                (last, last_accepted) = (value, self.accepted.contains(value));
            }
            if !last_accepted {
                found(row);
            }
        }
    }

    fn not_of_type(&self) -> &'static str {
        match self.column_type {
            ColumnType::String => "not-text",
            ColumnType::Integer => "not-an-integer",
            ColumnType::Decimal { .. } => "not-a-decimal",
            ColumnType::Date => "not-a-date",
            ColumnType::Timestamp => "not-a-timestamp",
            ColumnType::Boolean => "not-a-boolean",
            ColumnType::Double => "not-a-number",
        }
    }
}

/// Compiles what a column says, telling what has no meaning.
struct Compiler<'a> {
    file: &'a Arc<SourceFile>,
    name: &'a str,
    column: &'a Column,
    time_zone: &'a str,
    problems: &'a mut Vec<Diagnostic>,
}

impl Compiler<'_> {
    fn format(&mut self) -> Option<Format> {
        let written = self.column.format.as_ref()?;
        let format = match self.column.column_type {
            ColumnType::Date => is_pattern(&written.value).then(|| Format::Date(written.value.clone())),
            ColumnType::Timestamp => {
                let zone = self.time_zone.parse().unwrap_or(Tz::UTC);
                is_pattern(&written.value).then(|| Format::Timestamp(written.value.clone(), zone))
            }
            ColumnType::Integer | ColumnType::Decimal { .. } | ColumnType::Double => number_format(&written.value),
            ColumnType::String | ColumnType::Boolean => None,
        };
        if format.is_none() {
            let hint = match self.column.column_type {
                ColumnType::Date => "write the parts as in `%d/%m/%Y`",
                ColumnType::Timestamp => "write the parts as in `%d/%m/%Y %H:%M:%S`",
                ColumnType::String | ColumnType::Boolean => "leave it out: only dates, timestamps and numbers have formats",
                _ => "write 1234.56 as the extract does, as in `1.234,56`",
            };
            let what = format!("`{}` is no format of a {}", written.value, self.column.column_type);
            self.problems.push(Diagnostic::error("invalid-format", what).at(span_of(self.file, written)).hint(hint));
        }
        format
    }

    fn bound(&mut self, bound: Option<&crate::config::Spanned<String>>) -> Option<Scalar<ArrayRef>> {
        let bound = bound?;
        let ordered = !matches!(self.column.column_type, ColumnType::String | ColumnType::Boolean);
        let value = parse_scalar(&bound.value, self.column.column_type, self.time_zone).filter(|_| ordered);
        let array = value.and_then(|value| value.to_array().ok());
        if array.is_none() {
            let what = format!("`{}` cannot bound the {} `{}`", bound.value, self.column.column_type, self.name);
            let hint = if ordered { "write a value of the column's type" } else { "use `accepted` or `pattern` for texts" };
            self.problems.push(Diagnostic::error("invalid-bound", what).at(span_of(self.file, bound)).hint(hint));
        }
        array.map(Scalar::new)
    }

    fn pattern(&mut self) -> Option<Regex> {
        let written = self.column.pattern.as_ref()?;
        let built = regex::RegexBuilder::new(&format!("^(?:{})$", written.value)).size_limit(MAX_PATTERN_BYTES).build();
        let problem = match built {
            Ok(regex) if self.column.column_type == ColumnType::String => return Some(regex),
            Ok(_) => {
                Diagnostic::error("invalid-pattern", format!("a {} has no pattern", self.column.column_type)).hint("use `min` and `max`")
            }
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Diagnostic::error("invalid-pattern", format!("`{}` is no regular expression: {why}", written.value))
            }
        };
        self.problems.push(problem.at(span_of(self.file, written)));
        None
    }
}

const SAFE: CastOptions<'static> = CastOptions { safe: true, format_options: arrow::util::display::FormatOptions::new() };

/// Whether values are texts held once each, as Parquet's dictionary pages do.
fn is_keyed_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8)
}

/// Whether a text is a chrono pattern with at least one part.
fn is_pattern(text: &str) -> bool {
    use chrono::format::{Item, StrftimeItems};
    let items: Vec<Item<'_>> = StrftimeItems::new(text).collect();
    !items.contains(&Item::Error) && items.iter().any(|item| matches!(item, Item::Numeric(..) | Item::Fixed(..)))
}

/// Reads how 1234.56 is written.
fn number_format(text: &str) -> Option<Format> {
    let rest = text.strip_prefix('1')?;
    let (thousands, rest) = match rest.strip_prefix("234") {
        Some(rest) => (None, rest),
        None => {
            let separator = rest.chars().next()?;
            (Some(separator), rest.strip_prefix(separator)?.strip_prefix("234")?)
        }
    };
    let point = rest.chars().next()?;
    let valid = rest.strip_prefix(point)? == "56" && Some(point) != thousands && !point.is_ascii_digit();
    valid.then_some(Format::Number { thousands, point })
}

/// The longest number of digits that every 64 bits hold.
const PLAIN_DIGITS: usize = 18;

/// Decimals as they mostly are, some digits and a point; none when one of them is anything else. Far faster than the cast, which
/// takes numbers of any length.
fn plain_decimals(texts: &StringArray, precision: u8, scale: i8) -> Option<Decimal128Array> {
    let places = usize::try_from(scale).ok()?;
    let whole_digits = usize::from(precision).checked_sub(places)?;
    let mut values = Vec::with_capacity(texts.len());
    for text in texts {
        values.push(text.map_or(Some(0), |text| plain_decimal(text, whole_digits, places))?);
    }
    Decimal128Array::new(values.into(), texts.nulls().cloned()).with_precision_and_scale(precision, scale).ok()
}

fn plain_decimal(text: &str, whole_digits: usize, places: usize) -> Option<i128> {
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |unsigned| (true, unsigned));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_plain = (1..=whole_digits).contains(&whole.len()) && fraction.len() <= places && whole.len() + places <= PLAIN_DIGITS;
    if !is_plain || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', places - fraction.len()));
    let value = digits.fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(i128::from(if negative { -value } else { value }))
}

/// A moment in microseconds since 1970. A pattern without an offset is local time; of a time that occurs twice, the earlier.
fn moment(text: &str, pattern: &str, zone: Tz) -> Option<i64> {
    if let Ok(moment) = chrono::DateTime::parse_from_str(text, pattern) {
        return Some(moment.timestamp_micros());
    }
    let local = NaiveDateTime::parse_from_str(text, pattern)
        .or_else(|_| NaiveDate::parse_from_str(text, pattern).map(|day| day.and_time(chrono::NaiveTime::MIN)))
        .ok()?;
    zone.from_local_datetime(&local).earliest().map(|moment| moment.timestamp_micros())
}

fn true_rows(mask: &BooleanArray) -> impl Iterator<Item = usize> {
    let rows: Vec<usize> =
        if mask.has_true() { (0..mask.len()).filter(|&row| mask.is_valid(row) && mask.value(row)).collect() } else { Vec::new() };
    rows.into_iter()
}

fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("values were not checked: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plain_decimals_are_what_the_cast_makes_of_them(
            texts in prop::collection::vec(prop::option::of("-?[0-9]{0,12}(\\.[0-9]{0,3})?"), 1..4), precision in 1..20_u8, scale in 0..4_i8,
        ) {
            prop_assume!(scale <= i8::try_from(precision).unwrap());
            let texts = StringArray::from(texts);
            if let Some(plain) = plain_decimals(&texts, precision, scale) {
                let cast = cast_with_options(&texts, &DataType::Decimal128(precision, scale), &SAFE).unwrap();
                prop_assert_eq!(&(Arc::new(plain) as ArrayRef), &cast);
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_cast() {
        for text in ["", "-", "+1", ".5", "1.234", "1e2", "1.2.3", " 1", "1234567", "١"] {
            assert_eq!(plain_decimal(text, 5, 2), None, "{text}");
        }
        assert_eq!(plain_decimal("-12345.6", 5, 2), Some(-1_234_560));
    }
}
