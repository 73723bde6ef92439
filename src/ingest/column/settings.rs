//! What a contract says of one column's values beside their type and format: the sender's words, values that stand for none, space, a zone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Scalar, StringArray};

use super::{Compiler, Defaults};
use crate::config::{ColumnType, Spanned, parse_scalar, span_of};
use crate::diagnostic::Diagnostic;
use crate::ingest::values::{EpochUnit, Format, Meaning, NullMarkers, folded};
use crate::local_time::Zone;

impl Compiler<'_> {
    /// Takes the zone of the column's own times, if it has one.
    pub(super) fn zone(&mut self) {
        let Some(written) = &self.column.zone else { return };
        let problem = if self.column.column_type.item != ColumnType::Timestamp {
            let what = format!("`{}` is a {}, and only a timestamp has a zone", self.name, self.column.column_type.item);
            Diagnostic::error("zone-of-column", what).hint("leave `zone` out")
        } else if let Some(zone) = known(&written.value) {
            self.zone = Arc::new(zone);
            return;
        } else {
            let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            let what = format!("`{}` is neither an IANA time zone nor an offset such as `+01:00`", written.shown());
            Diagnostic::error("unknown-time-zone", what).did_you_mean(&written.value, names)
        };
        self.problems.push(problem.at(span_of(self.file, written)));
    }

    /// Tells of a zone that no time can be in.
    pub(super) fn check_zone(&mut self, format: Option<&Format>) {
        let Some(written) = &self.column.zone else { return };
        let is_utc = match format {
            Some(Format::Epoch(unit)) => *unit != EpochUnit::Days,
            Some(Format::Pattern(pattern)) => pattern.is_utc(),
            _ => false,
        };
        if is_utc && self.column.column_type.item == ColumnType::Timestamp {
            let what = format!("the format of `{}` says that its times are of UTC, so no other zone is theirs", self.name);
            let problem = Diagnostic::error("zone-of-column", what).at(span_of(self.file, written));
            self.problems.push(problem.hint("leave `zone` out, or mend the format"));
        }
    }

    /// The sender's words, each with what it stands for. Those for yes and no stand for it in any case.
    pub(super) fn words(&mut self) -> BTreeMap<String, String> {
        if self.column.column_type.item != ColumnType::Boolean {
            return self.column.values.iter().map(|(word, value)| (word.clone(), value.value.clone())).collect();
        }
        let mut words: BTreeMap<String, &Spanned<String>> = BTreeMap::new();
        for (word, value) in &self.column.values {
            let first = words.entry(folded(word).into_owned()).or_insert(value);
            if first.value.trim().to_lowercase() != value.value.trim().to_lowercase() {
                let what =
                    format!("a word of `{}` stands for `{}` in one case and for `{}` in another", self.name, first.shown(), value.shown());
                let problem = Diagnostic::error("ambiguous-word", what).at(span_of(self.file, value)).label("is the other one");
                self.problems
                    .push(problem.hint("words for yes and no are read in any case and without the space around them: give each once"));
            }
        }
        words.into_iter().map(|(word, value)| (word, value.value.clone())).collect()
    }

    /// The words that stand for no value if they are none of the column's type. A text has those that its column or source gives it alone,
    /// and these exactly as they are.
    pub(super) fn null_values(&self, defaults: &Defaults<'_>) -> Arc<BTreeSet<String>> {
        match self.column.null_values.as_deref().or(defaults.of_source) {
            None => Arc::clone(&defaults.null_values),
            Some(_) if self.column.column_type.item == ColumnType::String => Arc::default(),
            Some(own) => Arc::new(own.iter().map(|word| word.value.trim().to_lowercase()).collect()),
        }
    }

    /// What stands for no value though it would be one.
    pub(super) fn markers(&mut self, meaning: &Meaning, defaults: &Defaults<'_>) -> NullMarkers {
        let own = self.column.null_values.as_deref().or(defaults.of_source);
        self.contradictions(own.unwrap_or_default());
        let mut markers = NullMarkers { are_own: own.is_some_and(|own| !own.is_empty()), ..NullMarkers::default() };
        match self.column.column_type.item {
            ColumnType::String => {
                markers.texts = own.into_iter().flatten().map(|word| word.value.clone()).collect();
                markers.trim = self.column.trim.as_ref().map_or(defaults.trim, |trim| trim.value);
            }
            ColumnType::Boolean => {
                markers.are_truths =
                    meaning.null_values.iter().any(|word| meaning.word(word).is_none() && meaning.read_text(word).is_some());
            }
            _ => {
                let written = own.map(|own| own.iter().map(|word| word.value.clone()).collect::<BTreeSet<_>>());
                let words = written.as_ref().unwrap_or(&meaning.null_values);
                markers.values = words.iter().flat_map(|word| values_of(word, meaning)).collect();
            }
        }
        if let Some(trim) = self.column.trim.as_ref().filter(|_| self.column.column_type.item != ColumnType::String) {
            let what = format!("`{}` is a {}, around whose values space never matters", self.name, self.column.column_type.item);
            let problem = Diagnostic::error("trim-of-column", what).at(span_of(self.file, trim));
            self.problems.push(problem.hint("leave `trim` out: it is for texts"));
        }
        markers
    }

    /// Tells of values that the contract has for values and for none.
    fn contradictions(&mut self, markers: &[Spanned<String>]) {
        let is_text = self.column.column_type.item == ColumnType::String;
        let alike = |one: &str, other: &str| if is_text { one == other } else { folded(one) == folded(other) };
        let is_own = self.column.null_values.is_some();
        for marker in markers {
            let replaced = is_own && self.column.values.keys().any(|word| alike(word, &marker.value));
            if replaced || self.column.accepted.iter().any(|accepted| alike(accepted, &marker.value)) {
                let what = format!("`{}` stands for a value of `{}` and for none", marker.shown(), self.name);
                let problem = Diagnostic::error("null-value", what).at(span_of(self.file, marker));
                let hint = if is_own { "leave it out here or there" } else { "give the column `null_values` of its own, such as `[]`" };
                self.problems.push(problem.label("is null").hint(hint));
            }
        }
    }
}

/// The zone of a name or an offset.
fn known(name: &str) -> Option<Zone> {
    let is_offset = name.starts_with(['+', '-']);
    if !is_offset && name.parse::<chrono_tz::Tz>().is_err() { None } else { Zone::named(name) }
}

/// The values of a column that a word would be read as: as a file writes it, or as the pipeline file writes values.
fn values_of(word: &str, meaning: &Meaning) -> Vec<Scalar<ArrayRef>> {
    let text: ArrayRef = Arc::new(StringArray::from(vec![word]));
    let is_percent = matches!(&meaning.format, Some(Format::Number(format)) if format.is_percent());
    let as_written = meaning.read(&text).ok().map(|read| read.array);
    let plain = Some(()).filter(|()| !is_percent).and_then(|()| parse_scalar(word, meaning.column_type, &meaning.zone));
    let plain = plain.and_then(|value| value.to_array().ok());
    let typed = |array: ArrayRef| arrow::compute::cast(&array, &meaning.data_type).ok().filter(|array| array.is_valid(0));
    as_written.into_iter().chain(plain).filter_map(typed).map(Scalar::new).collect()
}
