//! One column of a contract: its names in files, what its values mean, and what they must be.

mod formats;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, DictionaryArray, Scalar, StringArray};
use arrow::compute::kernels::cmp;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::ScalarValue;
use regex::Regex;

use super::nested::json::Paths;
use super::values::{Format, JsonNumbers, Meaning, NullMarkers, Part, Pattern, Years, keyed_text, part_fits};
use super::ways::Way;
use crate::config::{Column, ColumnType, DeclaredType, OnError, Spanned, Text, Values};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::error::{Error, Result};
use crate::local_time::{Time, Zone};

/// The size that a compiled pattern may have, so that a pattern cannot exhaust memory.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;

/// One column of a contract, compiled for one run.
#[derive(Debug)]
pub struct ContractColumn {
    /// Its name in SQL.
    pub name: String,
    /// Its names in the files: the first that a file has counts.
    pub names: Vec<String>,
    /// For each of them, where in a record it leads.
    pub ways: Vec<Way>,
    /// Its place in CSV files, from 0, if it has one instead of a name.
    pub position: Option<usize>,
    /// The first of them as messages have it.
    shown: String,
    /// Whether a row without a value is rejected.
    pub required: bool,
    /// Whether a value that breaks the contract rejects the row, or else the value alone.
    pub costs_row: bool,
    /// Whether files may lack it.
    pub optional: bool,
    /// Whether its values are personal data.
    pub personal: bool,
    /// Its type, or that of the elements where its values are lists.
    pub column_type: ColumnType,
    /// Whether its values are lists.
    pub is_list: bool,
    /// Where its values are JSON texts, what of them is read.
    pub(super) json: Option<Paths>,
    /// The Arrow type that the engine holds it as.
    pub data_type: DataType,
    /// The values that are an opt-out, if the column carries consent.
    no: Option<BTreeSet<String>>,
    pub(super) meaning: Arc<Meaning>,
    accepted: BTreeSet<String>,
    min: Option<Scalar<ArrayRef>>,
    max: Option<Scalar<ArrayRef>>,
    pattern: Option<Regex>,
    /// Which part of a moment it has in the files, if others have the rest, and whether there is no time of day among these.
    part: Option<(Part, bool)>,
}

/// What a source and its pipeline say of values, for columns that say nothing else.
#[derive(Debug)]
pub struct Defaults<'a> {
    /// The pipeline's words for no value, in lower case and without space around them.
    pub null_values: Arc<BTreeSet<String>>,
    /// The source's, as it has them.
    pub of_source: Option<&'a [Spanned<String>]>,
    /// Whether space around texts is left off.
    pub trim: bool,
}

/// What a value says about consent. A stronger answer is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// That nothing is against it.
    NotNo,
    /// Nothing that could be read: it may be a no.
    Unknown,
    /// No.
    No,
}

impl ContractColumn {
    /// Compiles a column; what has no meaning is added to `problems`.
    pub fn new(
        file: &Arc<SourceFile>,
        (name, column): (&str, &Column),
        ways: Vec<Way>,
        defaults: &Defaults<'_>,
        values: &Values,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut compile = Compiler { file, name, column, zone: Arc::clone(&values.zone), problems };
        compile.zone();
        let zone = &Arc::clone(&compile.zone);
        let (min, max) = (compile.bound(column.min.as_ref()), compile.bound(column.max.as_ref()));
        let (data_type, item_type) = (column.column_type.arrow(values.zone.name()), column.column_type.item.arrow(values.zone.name()));
        let day = |bound: &Option<ScalarValue>| match bound {
            Some(ScalarValue::Date32(day)) => *day,
            Some(ScalarValue::TimestampMicrosecond(Some(instant), _)) => Time::Instant(*instant).day(zone),
            _ => None,
        };
        let mut meaning = Meaning {
            column_type: column.column_type.item,
            data_type: item_type,
            format: compile.format(),
            zone: Arc::clone(zone),
            words: compile.words(),
            words_in_any_case: column.column_type.item == ColumnType::Boolean,
            null_values: compile.null_values(defaults),
            markers: NullMarkers::default(),
            years: Years::within(zone, day(&min), day(&max)),
        };
        compile.check_zone(meaning.format.as_ref());
        compile.check_words(&meaning);
        meaning.markers = compile.markers(&meaning, defaults);
        let no = compile.consent(&meaning);
        let json = compile.json();
        let pattern = compile.pattern();
        let typed = |bound: ScalarValue| cast(&bound.to_array().ok()?, &meaning.data_type).ok();
        let scalar = |bound: Option<ScalarValue>| bound.and_then(typed).map(Scalar::new);
        let (from, (min, max)) = (column.read_from(), (scalar(min), scalar(max)));
        ContractColumn {
            name: name.to_owned(),
            names: if from.is_empty() { vec![name.to_owned()] } else { from.iter().map(|name| name.value.clone()).collect() },
            ways,
            position: column.position.as_ref().and_then(|position| usize::try_from(position.value).ok()?.checked_sub(1)),
            shown: from.first().map_or(name, Text::shown).to_owned(),
            required: column.required,
            costs_row: column.required || column.on_error.as_ref().is_some_and(|on_error| on_error.value == OnError::Reject),
            optional: column.optional,
            personal: column.personal,
            column_type: column.column_type.item,
            is_list: column.column_type.is_list,
            json,
            no,
            meaning: Arc::new(meaning),
            accepted: column.accepted.iter().cloned().collect(),
            min,
            max,
            pattern,
            data_type,
            part: None,
        }
    }

    /// Says that its value is in the path of a file and in no column of it. A day is written as the path has it, unless the contract says
    /// otherwise.
    pub fn is_in_path(&mut self, day: Option<Pattern>) {
        self.names.clear();
        self.optional = true;
        if matches!(self.column_type, ColumnType::Date | ColumnType::Timestamp) {
            // Nobody has it yet while the contract is compiled.
            if let Some(meaning) = Arc::get_mut(&mut self.meaning) {
                meaning.format = meaning.format.take().or(day.map(Format::Pattern));
            }
        }
    }

    /// Reads one text, without the rules that its value may break.
    ///
    /// # Errors
    /// As values are read.
    pub fn read_value(&self, text: Option<&str>) -> Result<(ArrayRef, Vec<(usize, &'static str)>)> {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let values = self.meaning.read(&texts)?;
        Ok((values.array, values.bad))
    }

    /// A value that the pipeline file names, as it is shown; none when it is none of the column's.
    pub fn read_word(&self, text: &str) -> Option<String> {
        self.meaning.read_text(text)
    }

    /// The first of its names that a file has.
    pub fn find<T>(&self, position: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.names.iter().find_map(|name| position(name))
    }

    /// Whether files have it, and not their paths.
    pub fn is_in_files(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether a value of it stands in CSV files as it is, with no more than space or quotes around it.
    pub fn is_as_written(&self) -> bool {
        let is_single = !self.is_list && self.json.is_none() && self.part.is_none();
        self.is_in_files()
            && is_single
            && self.column_type == ColumnType::String
            && self.meaning.words.is_empty()
            && self.meaning.format.is_none()
    }

    /// The name to use in messages about files.
    pub fn in_files(&self) -> &str {
        &self.shown
    }

    /// Its type, as the pipeline file writes it.
    pub fn type_in_words(&self) -> DeclaredType {
        DeclaredType { item: self.column_type, is_list: self.is_list }
    }

    /// Whether it says whether somebody may be written to.
    pub fn is_consent(&self) -> bool {
        self.no.is_some()
    }

    /// What a value says of writing to somebody; none in a column that says nothing of that.
    pub fn answer(&self, typed: &ArrayRef, row: usize) -> Option<Answer> {
        let no = self.no.as_ref()?;
        Some(if typed.is_null(row) {
            Answer::Unknown
        } else if no.contains(&shown(typed, row)) {
            Answer::No
        } else {
            Answer::NotNo
        })
    }

    /// Whether a text of a file is a value of the column that says nothing of a person, wherever in a row it came from: one of few, a day,
    /// a truth or a number.
    pub fn is_closed(&self, text: &str) -> bool {
        let read = self.meaning.read_text(text);
        read.is_some_and(
            |value| if self.accepted.is_empty() { self.column_type != ColumnType::String } else { self.accepted.contains(&value) },
        )
    }

    /// Whether it can be told from a text whether it is a value of the column.
    pub fn tells_values(&self) -> bool {
        self.column_type != ColumnType::String || !self.accepted.is_empty()
    }

    /// Whether values of this type in a file can break the contract, so that they must be read even where no model reads them.
    /// `has_nulls` tells whether some may be missing, and `range` the smallest and largest as the file stores them, if it says so.
    pub fn can_fail(&self, in_file: &DataType, has_nulls: bool, range: Option<(i64, i64)>) -> bool {
        let may_miss = self.required && (has_nulls || self.meaning.markers.may_take());
        let is_bound = !self.accepted.is_empty() || self.min.is_some() || self.max.is_some() || self.pattern.is_some();
        // For every rejected row it must be known whether it carries an opt-out.
        let is_taken_apart = self.is_list || self.json.is_some() || self.part.is_some();
        may_miss || is_bound || is_taken_apart || self.is_consent() || self.meaning.can_fail(in_file, range)
    }

    /// Whether it may decide of a row, or of another column's value.
    pub fn matters_to_rows(&self) -> bool {
        self.costs_row || self.part.is_some()
    }

    /// Whether texts are values of it as they stand.
    pub fn takes_texts(&self) -> bool {
        self.meaning.takes_texts() && !self.is_list && self.json.is_none()
    }

    /// Whether a file's values of this type can be those of the column; if not, what to do.
    ///
    /// # Errors
    /// What to write instead.
    pub fn fits(&self, in_file: &DataType) -> Result<(), &'static str> {
        match self.part {
            Some((part, is_alone)) => part_fits(part, is_alone, &self.meaning, in_file),
            None => self.fits_nested(in_file).unwrap_or_else(|| self.meaning.fits(in_file)),
        }
    }

    /// Takes a part of a moment instead of a value; `is_alone` is for a date beside which there is no time of day.
    pub fn takes_part(&mut self, part: Part, is_alone: bool) {
        self.part = Some((part, is_alone));
    }

    /// How its values are read.
    pub fn meaning(&self) -> &Arc<Meaning> {
        &self.meaning
    }

    /// Whether a text stands for no value.
    pub fn is_null_word(&self, text: &str) -> bool {
        self.meaning.is_null_word(text)
    }

    /// How numbers of JSON are read.
    pub fn json_numbers(&self) -> JsonNumbers {
        self.meaning.json_numbers()
    }

    /// Reads the values of an array. Those that break the contract are told with their row, in order, once each, and with the first
    /// reason in the order of the rules: they stand in the array or are null already.
    ///
    /// # Errors
    /// [`Error::Defect`] when values cannot be compared.
    pub fn read(&self, raw: &ArrayRef) -> Result<(ArrayRef, Vec<(usize, &'static str)>)> {
        let values = self.values(raw)?;
        let (mut typed, mut faults) = (values.array, values.bad);
        if typed.data_type() == &DataType::Utf8View && (self.pattern.is_some() || !self.accepted.is_empty()) {
            typed = cast(&typed, &DataType::Utf8).map_err(defect)?;
        }
        if let Some(keyed) = keyed_text(&typed) {
            self.break_rules_of_keyed(keyed, &mut faults)?;
        } else {
            self.break_rules(&typed, &mut faults)?;
        }
        // Stable, so that of several reasons the first stays.
        faults.sort_by_key(|(row, _)| *row);
        faults.dedup_by_key(|(row, _)| *row);
        Ok((typed, faults))
    }

    /// Adds the rows whose values break a rule. Those that are there already may be null.
    fn break_rules(&self, typed: &ArrayRef, faults: &mut Vec<(usize, &'static str)>) -> Result<()> {
        if self.required && typed.null_count() > 0 {
            faults.extend((0..typed.len()).filter(|&row| typed.is_null(row)).map(|row| (row, "missing-value")));
        }
        match typed.as_list_opt::<i32>() {
            Some(lists) => self.break_rules_of_lists(lists, faults),
            None => self.break_rules_of_values(typed, faults),
        }
    }

    /// Adds the rows of values that break a rule for what is there.
    pub(super) fn break_rules_of_values(&self, typed: &ArrayRef, faults: &mut Vec<(usize, &'static str)>) -> Result<()> {
        if !self.accepted.is_empty() {
            self.not_accepted(typed, |row| faults.push((row, "not-accepted")));
        }
        if let Some(min) = &self.min {
            faults.extend(true_rows(&cmp::lt(typed, min as &dyn Datum).map_err(defect)?).map(|row| (row, "below-minimum")));
        }
        if let Some(max) = &self.max {
            faults.extend(true_rows(&cmp::gt(typed, max as &dyn Datum).map_err(defect)?).map(|row| (row, "above-maximum")));
        }
        if let (Some(pattern), Some(texts)) = (&self.pattern, typed.as_string_opt::<i32>()) {
            let wrong = |(row, text): (usize, Option<&str>)| text.is_some_and(|text| !pattern.is_match(text)).then_some(row);
            faults.extend(texts.iter().enumerate().filter_map(wrong).map(|row| (row, "pattern-mismatch")));
        }
        Ok(())
    }

    /// As [`ContractColumn::break_rules`], for a dictionary of text: each text is looked at once, and then only rows of a bad one.
    fn break_rules_of_keyed(&self, keyed: &DictionaryArray<Int32Type>, faults: &mut Vec<(usize, &'static str)>) -> Result<()> {
        let mut of_values = Vec::new();
        self.break_rules(keyed.values(), &mut of_values)?;
        if of_values.is_empty() && (!self.required || keyed.null_count() == 0) {
            return Ok(());
        }
        let mut reasons: BTreeMap<usize, &'static str> = BTreeMap::new();
        for (value, reason) in of_values {
            reasons.entry(value).or_insert(reason);
        }
        for (row, key) in keyed.keys().iter().enumerate() {
            let reason = match key {
                Some(key) => usize::try_from(key).ok().and_then(|key| reasons.get(&key).copied()),
                None => self.required.then_some("missing-value"),
            };
            faults.extend(reason.map(|reason| (row, reason)));
        }
        Ok(())
    }

    /// Calls `found` with each row whose value is none of those accepted; a missing value is not at fault here.
    fn not_accepted(&self, typed: &ArrayRef, mut found: impl FnMut(usize)) {
        let Some(strings) = typed.as_string_opt::<i32>() else {
            for row in (0..typed.len()).filter(|&row| typed.is_valid(row)) {
                if !self.accepted.contains(&shown(typed, row)) {
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
}

/// An array without the values of some rows, which are in order.
///
/// # Errors
/// [`Error::Defect`] when the array is of a type that has no nulls.
pub fn without(array: &ArrayRef, rows: &[usize]) -> Result<ArrayRef> {
    let mut gone = vec![false; array.len()];
    for &row in rows {
        gone[row] = true;
    }
    let gone = BooleanArray::from(gone);
    match array.as_dictionary_opt::<Int32Type>() {
        Some(keyed) => {
            let keys = nullif(keyed.keys(), &gone).map_err(defect)?;
            let keyed = DictionaryArray::try_new(keys.as_primitive::<Int32Type>().clone(), Arc::clone(keyed.values()));
            Ok(Arc::new(keyed.map_err(defect)?))
        }
        None => nullif(array, &gone).map_err(defect),
    }
}

/// A value as the pipeline file would write it.
pub fn shown(typed: &ArrayRef, row: usize) -> String {
    arrow::util::display::array_value_to_string(typed, row).unwrap_or_default()
}

/// Compiles what a column says, telling what has no meaning.
struct Compiler<'a> {
    file: &'a Arc<SourceFile>,
    name: &'a str,
    column: &'a Column,
    /// The zone of times without an offset.
    zone: Arc<Zone>,
    problems: &'a mut Vec<Diagnostic>,
}

fn true_rows(mask: &BooleanArray) -> impl Iterator<Item = usize> {
    let rows: Vec<usize> =
        if mask.has_true() { (0..mask.len()).filter(|&row| mask.is_valid(row) && mask.value(row)).collect() } else { Vec::new() };
    rows.into_iter()
}

pub(super) fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("values were not checked: {}", crate::sql::discreet(&error.into())))
}
