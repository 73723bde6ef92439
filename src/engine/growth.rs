//! Limits the output of functions that can make much out of little (`repeat`, `lpad`, `generate_series`, `||` …).
//!
//! DataFusion's functions do not reserve the memory of their results. A function whose result can be far larger than its arguments is
//! wrapped in one of the same name. The wrapper first estimates the size of the result, and fails like an operator that gets no memory if
//! it is too large.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::kernels::concat_elements::{concat_elements_dyn, concat_elements_string_view_array};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use regex::Regex;

use super::limits::Limits;
use crate::shown::size;

/// The least that the limit of a call is, however small the memory limit of the run.
const MIN_RESULT_BYTES: usize = 16 * 1024 * 1024;

/// The most bytes of a text that is computed from constants.
const MAX_CONSTANT_BYTES: usize = 1024 * 1024;

/// About how many bytes an element of a list takes.
const ELEMENT_BYTES: u128 = 8;
const TEXT_ELEMENT_BYTES: u128 = 16;

/// The most bytes that one call may produce for a batch of rows: half of a thread's share of the memory limit.
pub fn max_bytes(limits: Limits) -> usize {
    (limits.memory_bytes / limits.threads.max(1) / 2).max(MIN_RESULT_BYTES)
}

/// How the size of a function's result depends on its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// It is the sum of the sizes of the arguments.
    Sum,
    /// The first argument is repeated between all others.
    Separated,
    /// A text is repeated so many times.
    Times,
    /// An argument is the length of the result.
    Padded,
    /// Occurrences of one text are replaced by another.
    Replaced,
    /// Matches of a pattern are replaced by a text.
    ReplacedMatches,
    /// Every byte becomes two or more characters.
    Encoded,
    /// A text is split into a list.
    Parts,
    /// The elements of a list are joined into a text.
    Listed,
    /// A list counts from one value to another.
    Series,
    /// A list repeats a value so many times.
    Elements,
    /// An argument is the length of the resulting list.
    Resized,
}

impl Growth {
    fn of(function: &str) -> Option<Growth> {
        Some(match function {
            "concat" | "overlay" | "array_concat" | "array_append" | "array_prepend" => Growth::Sum,
            "concat_ws" => Growth::Separated,
            "repeat" => Growth::Times,
            "lpad" | "rpad" => Growth::Padded,
            "replace" => Growth::Replaced,
            "regexp_replace" => Growth::ReplacedMatches,
            "encode" => Growth::Encoded,
            "string_to_array" => Growth::Parts,
            "array_to_string" => Growth::Listed,
            "generate_series" | "range" => Growth::Series,
            "array_repeat" => Growth::Elements,
            "array_resize" => Growth::Resized,
            _ => return None,
        })
    }
}

impl Growth {
    fn makes_text(self) -> bool {
        !matches!(self, Growth::Parts | Growth::Series | Growth::Elements | Growth::Resized)
    }
}

/// A function in the wrapper that limits its output; none if its output cannot be large.
pub fn bounded(function: &Arc<ScalarUDF>, max_bytes: usize) -> Option<ScalarUDF> {
    let growth = Growth::of(function.name()).filter(|_| !function.inner().is::<Bounded>())?;
    let volatility = function.signature().volatility;
    let signature = Signature::variadic_any(volatility);
    Some(ScalarUDF::from(Bounded { inner: Inner::Function(Arc::clone(function)), growth, max_bytes, signature }))
}

/// The operator `||` of two texts as such a function.
pub fn concatenation(max_bytes: usize) -> ScalarUDF {
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::from(Bounded { inner: Inner::Concatenation, growth: Growth::Sum, max_bytes, signature })
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Inner {
    Function(Arc<ScalarUDF>),
    Concatenation,
}

#[derive(Debug)]
struct Bounded {
    inner: Inner,
    growth: Growth,
    max_bytes: usize,
    signature: Signature,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        (&self.inner, self.max_bytes) == (&other.inner, other.max_bytes)
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.inner, self.max_bytes).hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        match &self.inner {
            Inner::Function(function) => function.name(),
            Inner::Concatenation => "||",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (&self.inner, types) {
            (Inner::Function(function), types) => function.return_type(types),
            (Inner::Concatenation, [one, other]) => BinaryTypeCoercer::new(one, &Operator::StringConcat, other).get_result_type(),
            _ => Err(DataFusionError::Internal(format!("{} takes no {} operands", self.name(), types.len()))),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        if let Inner::Function(function) = &self.inner {
            return function.return_field_from_args(args);
        }
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(arrow::datatypes::Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = self.bytes(&args)?;
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        // A constant list is shared between rows, but a constant text is copied for every row.
        let max_bytes = if is_constant && self.growth.makes_text() { MAX_CONSTANT_BYTES } else { self.max_bytes };
        if bytes > max_bytes as u128 {
            let made = size(u64::try_from(bytes).unwrap_or(u64::MAX));
            let most = size(max_bytes as u64);
            let what = format!("`{}` would produce {made} at once, but may produce {most} at most", self.name());
            return Err(DataFusionError::ResourcesExhausted(what));
        }
        match &self.inner {
            Inner::Function(function) => function.invoke_with_args(args),
            Inner::Concatenation => concatenated(&args),
        }
    }
}

fn concatenated(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let are_single = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if are_single { 1 } else { args.number_rows };
    let operands = args.args.iter().map(|arg| Ok(cast(&arg.to_array(rows)?, args.return_type())?)).collect::<Result<Vec<ArrayRef>>>()?;
    let [one, other] = operands.as_slice() else {
        return Err(DataFusionError::Internal("|| has two operands".to_owned()));
    };
    let result: ArrayRef = match args.return_type() {
        DataType::Utf8View => Arc::new(concat_elements_string_view_array(one.as_string_view(), other.as_string_view())?),
        _ => concat_elements_dyn(one.as_ref(), other.as_ref())?,
    };
    if are_single { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)) } else { Ok(ColumnarValue::Array(result)) }
}

/// An argument of a call: a value for each row, or one for all rows.
struct Given {
    array: ArrayRef,
    is_single: bool,
    /// The bytes of an element, if the values are lists.
    element_bytes: u128,
}

impl Given {
    fn new(arg: &ColumnarValue) -> Result<Self> {
        let (array, is_single) = match arg {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        let values = match array.data_type() {
            DataType::List(_) => Some(array.as_list::<i32>().values()),
            DataType::LargeList(_) => Some(array.as_list::<i64>().values()),
            _ => None,
        };
        let element_bytes = values.map_or(ELEMENT_BYTES, |values| {
            (values.get_array_memory_size() as u128).div_ceil((values.len() as u128).max(1)).max(ELEMENT_BYTES)
        });
        Ok(Given { array, is_single, element_bytes })
    }

    fn row(&self, row: usize) -> Option<usize> {
        let row = if self.is_single { 0 } else { row };
        (row < self.array.len() && self.array.is_valid(row)).then_some(row)
    }

    fn text(&self, row: usize) -> Option<&str> {
        let row = self.row(row)?;
        match self.array.data_type() {
            DataType::Utf8 => Some(self.array.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => Some(self.array.as_string::<i64>().value(row)),
            DataType::Utf8View => Some(self.array.as_string_view().value(row)),
            _ => None,
        }
    }

    fn elements(&self, row: usize) -> Option<u128> {
        let row = self.row(row)?;
        match self.array.data_type() {
            DataType::List(_) => u128::try_from(self.array.as_list::<i32>().value_length(row)).ok(),
            DataType::LargeList(_) => u128::try_from(self.array.as_list::<i64>().value_length(row)).ok(),
            _ => None,
        }
    }

    /// The bytes of the value of a row.
    fn bytes(&self, row: usize) -> u128 {
        let of_bytes = |row: usize| match self.array.data_type() {
            DataType::Binary => self.array.as_binary::<i32>().value(row).len() as u128,
            DataType::LargeBinary => self.array.as_binary::<i64>().value(row).len() as u128,
            DataType::BinaryView => self.array.as_binary_view().value(row).len() as u128,
            _ => ELEMENT_BYTES,
        };
        let text = self.text(row).map(|text| text.len() as u128);
        text.or_else(|| Some(self.elements(row)? * self.element_bytes)).or_else(|| self.row(row).map(of_bytes)).unwrap_or(0)
    }

    /// The bytes of the values of all rows together.
    fn all_bytes(&self, rows: usize) -> u128 {
        let texts = match self.array.data_type() {
            DataType::Utf8 => Some(self.array.as_string::<i32>().offsets())
                .and_then(|offsets| u128::try_from(offsets[offsets.len() - 1] - offsets[0]).ok()),
            _ => None,
        };
        match texts {
            Some(bytes) if !self.is_single => bytes,
            _ if self.is_single => self.bytes(0) * rows as u128,
            _ => (0..rows).map(|row| self.bytes(row)).sum(),
        }
    }

    /// The argument as integers; null where a value is no integer.
    fn numbers(&self) -> Result<Given> {
        let array = cast_with_options(&self.array, &DataType::Int64, &CastOptions::default())?;
        Ok(Given { array, is_single: self.is_single, element_bytes: self.element_bytes })
    }

    fn number(&self, row: usize) -> Option<i64> {
        self.row(row).map(|row| self.array.as_primitive::<Int64Type>().value(row))
    }
}

impl Bounded {
    /// About how many bytes a call would produce. The estimate is never much too low.
    fn bytes(&self, args: &ScalarFunctionArgs) -> Result<u128> {
        let given = args.args.iter().map(Given::new).collect::<Result<Vec<_>>>()?;
        let rows = if given.iter().all(|given| given.is_single) { 1 } else { args.number_rows };
        let of_rows = |bytes: &dyn Fn(usize) -> u128| (0..rows).map(bytes).fold(0, u128::saturating_add);
        Ok(match (self.growth, given.as_slice()) {
            (Growth::Sum, given) => given.iter().map(|given| given.all_bytes(rows)).sum(),
            (Growth::Separated, [separator, others @ ..]) => {
                let between = separator.all_bytes(rows) * others.len() as u128;
                between + others.iter().map(|given| given.all_bytes(rows)).sum::<u128>()
            }
            (Growth::Times, [text, times, ..]) => {
                let times = times.numbers()?;
                of_rows(&|row| text.bytes(row) * positive(times.number(row)))
            }
            (Growth::Padded, [text, length, fill @ ..]) => {
                let length = length.numbers()?;
                let is_ascii =
                    |row| [Some(text), fill.first()].into_iter().flatten().all(|given| given.text(row).is_none_or(str::is_ascii));
                of_rows(&|row| if text.row(row).is_some() { positive(length.number(row)) * if is_ascii(row) { 1 } else { 4 } } else { 0 })
            }
            (Growth::Replaced, [text, from, to]) => of_rows(&|row| replaced(text.text(row), from.text(row), to.text(row), self.max_bytes)),
            (Growth::ReplacedMatches, [text, pattern, to, ..]) => of_rows(&|row| {
                let once = given.get(3).and_then(|flags| flags.text(row)).is_none_or(|flags| !flags.contains('g'));
                replaced_matches(text.text(row), pattern.text(row), to.text(row), once)
            }),
            (Growth::Encoded, [text, ..]) => text.all_bytes(rows) * 2,
            (Growth::Parts, [text, between, ..]) => of_rows(&|row| parts(text.text(row), between.text(row))),
            (Growth::Listed, [list, between, ..]) => {
                of_rows(&|row| list.bytes(row) + list.elements(row).unwrap_or(0).saturating_mul(between.bytes(row)))
            }
            (Growth::Series, given) => series(given, rows)?,
            (Growth::Elements, [value, times]) => {
                let times = times.numbers()?;
                of_rows(&|row| positive(times.number(row)).saturating_mul(value.bytes(row).max(ELEMENT_BYTES)))
            }
            (Growth::Resized, [list, length, ..]) => {
                let length = length.numbers()?;
                of_rows(&|row| positive(length.number(row)).saturating_mul(list.element_bytes))
            }
            _ => 0,
        })
    }
}

fn positive(number: Option<i64>) -> u128 {
    number.and_then(|number| u128::try_from(number).ok()).unwrap_or(0)
}

/// The bytes of a text after `replace`.
fn replaced(text: Option<&str>, from: Option<&str>, to: Option<&str>, max_bytes: usize) -> u128 {
    let (Some(text), Some(from), Some(to)) = (text, from, to) else { return 0 };
    let length = text.len() as u128;
    if to.len() <= from.len() {
        return length;
    }
    let at_most = length + (length / (from.len() as u128).max(1) + 1) * to.len() as u128;
    // Occurrences are only counted if the upper bound is large, because counting takes time.
    if at_most * 1024 < max_bytes as u128 { at_most } else { length + text.matches(from).count() as u128 * to.len() as u128 }
}

/// The bytes of a text after `regexp_replace`.
fn replaced_matches(text: Option<&str>, pattern: Option<&str>, to: Option<&str>, once: bool) -> u128 {
    let (Some(text), Some(pattern), Some(to)) = (text, pattern, to) else { return 0 };
    // Each reference to a group may insert what was matched. All matches together are no longer than the text.
    let references = to.matches(['$', '\\']).count() as u128;
    let (length, to_length) = (text.len() as u128, to.len() as u128);
    let brought = length * (1 + references);
    match () {
        () if once || to_length <= 1 => brought + to_length,
        () if (length + 1) * to_length <= 1024 => brought + (length + 1) * to_length,
        () => brought + matches_of(pattern, text) * to_length,
    }
}

/// How often a pattern matches a text. For an invalid pattern the answer is 0, since the function itself will fail on it.
fn matches_of(pattern: &str, text: &str) -> u128 {
    thread_local! {
        /// The pattern of the last row. Nearly always it is the same in all rows.
        static LAST: RefCell<Option<(String, Option<Regex>)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|(before, _)| before != pattern) {
            *last = Some((pattern.to_owned(), Regex::new(pattern).ok()));
        }
        let compiled = last.as_ref().and_then(|(_, compiled)| compiled.as_ref());
        compiled.map_or(0, |pattern| pattern.find_iter(text).count() as u128)
    })
}

/// The bytes of the list into which a text is split; without a separator every character is an element.
fn parts(text: Option<&str>, between: Option<&str>) -> u128 {
    let Some(text) = text else { return 0 };
    let count = match between {
        Some("") => 1,
        Some(between) => text.matches(between).count() + 1,
        None => text.chars().count(),
    };
    text.len() as u128 + count as u128 * TEXT_ELEMENT_BYTES
}

/// The bytes of lists that count up numbers, days or timestamps.
#[allow(clippy::similar_names, reason = "they are called so in SQL, and there are several of each")]
fn series(given: &[Given], rows: usize) -> Result<u128> {
    let (start, stop) = match given {
        [stop] => (None, stop),
        [start, stop, ..] => (Some(start), stop),
        [] => return Ok(0),
    };
    let unit = unit_nanoseconds(stop.array.data_type());
    let (starts, stops) = (start.map(Given::numbers).transpose()?, stop.numbers()?);
    let steps = given.get(2);
    let numbers = match steps.map(|steps| steps.array.data_type()) {
        Some(DataType::Interval(_)) | None => None,
        Some(_) => steps.map(Given::numbers).transpose()?,
    };
    let step = |row: usize| -> i128 {
        match (&numbers, steps) {
            (Some(numbers), _) => i128::from(numbers.number(row).unwrap_or(1)) * unit,
            (None, Some(steps)) => steps.row(row).map_or(unit, |row| interval_nanoseconds(&steps.array, row)),
            (None, None) => unit,
        }
    };
    let elements = (0..rows).map(|row| {
        let (Some(stop), step) = (stops.number(row), step(row)) else { return 0 };
        let start = starts.as_ref().map_or(Some(0), |starts| starts.number(row));
        let Some(start) = start.filter(|_| step != 0) else { return 0 };
        let count = (i128::from(stop) - i128::from(start)) * unit / step;
        u128::try_from(count).map_or(0, |count| count + 1)
    });
    Ok(elements.sum::<u128>().saturating_mul(ELEMENT_BYTES))
}

/// How many nanoseconds the unit of a type is; 1 for plain numbers.
fn unit_nanoseconds(of: &DataType) -> i128 {
    match of {
        DataType::Date32 => 86_400_000_000_000,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        _ => 1,
    }
}

/// The least number of nanoseconds that an interval may have.
fn interval_nanoseconds(steps: &ArrayRef, row: usize) -> i128 {
    let Some(steps) = steps.as_primitive_opt::<IntervalMonthDayNanoType>() else { return 1 };
    let step = steps.value(row);
    let days = i128::from(step.months) * 28 + i128::from(step.days);
    days * 86_400_000_000_000 + i128::from(step.nanoseconds)
}
