//! What a column says of its values, compiled: formats, bounds, words, consent, patterns and paths in JSON.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use regex::Regex;

use super::{Compiler, MAX_PATTERN_BYTES};
use crate::config::{ColumnType, MemberPath, Spanned, Step, parse_scalar, span_of, span_within};
use crate::diagnostic::Diagnostic;
use crate::ingest::nested::json::Paths;
use crate::ingest::values::{EpochUnit, Format, Meaning, Pattern, Serial, WrittenNumber};

impl Compiler<'_> {
    pub(super) fn format(&mut self) -> Option<Format> {
        let written = self.column.format.as_ref()?;
        let mut why = None;
        let format = match self.column.column_type.item {
            // `%s` counts seconds, too, and is no part of a date.
            ColumnType::Date | ColumnType::Timestamp => match (EpochUnit::named(&written.value), Serial::named(&written.value)) {
                (Some(unit), _) => Some(Format::Epoch(unit)),
                (_, Some(serial)) => Some(Format::Serial(serial)),
                _ => Pattern::new(&written.value).map_err(|wrong| why = Some(wrong)).map(Format::Pattern).ok(),
            },
            ColumnType::Integer | ColumnType::Decimal { .. } | ColumnType::Double => {
                WrittenNumber::of(&written.value).map_err(|wrong| why = Some(wrong)).map(Format::Number).ok()
            }
            ColumnType::String | ColumnType::Boolean => None,
        };
        if format.is_none() {
            let hint = match self.column.column_type.item {
                ColumnType::Date => "write the parts as in `%d/%m/%Y`, or how a number counts: `epoch_s` and the like, or `serial_1900`",
                ColumnType::Timestamp => {
                    "write the parts as in `%d/%m/%Y %H:%M:%S`, or how a number counts: `epoch_s` and the like, or `serial_1900`"
                }
                ColumnType::Boolean => "leave it out, and name the extract's words under `values`, such as `{ja: true, nein: false}`",
                ColumnType::String => "leave it out: only dates, timestamps and numbers have formats",
                _ => "write 1234.56 as the extract does, as in `1.234,56`, `€ 1.234,56`, `(1,234.56)`, `1234.56-` or `1234.56%`",
            };
            let what = format!("`{}` is no format of a {}", written.shown(), self.column.column_type);
            let mut problem = Diagnostic::error("invalid-format", what).at(span_of(self.file, written)).hint(hint);
            if let Some(why) = why {
                problem = problem.label(why);
            }
            self.problems.push(problem);
        }
        format
    }

    pub(super) fn bound(&mut self, bound: Option<&Spanned<String>>) -> Option<ScalarValue> {
        let bound = bound?;
        let ordered = !matches!(self.column.column_type.item, ColumnType::String | ColumnType::Boolean);
        let value = parse_scalar(&bound.value, self.column.column_type.item, &self.zone).filter(|_| ordered);
        if value.is_none() {
            let what = format!("`{}` cannot bound the {} `{}`", bound.shown(), self.column.column_type, self.name);
            let hint = if ordered { "write a value of the column's type" } else { "use `accepted` or `pattern` for texts" };
            self.problems.push(Diagnostic::error("invalid-bound", what).at(span_of(self.file, bound)).hint(hint));
        }
        value
    }

    /// Reports replacement values that are not of the column's type.
    pub(super) fn check_words(&mut self, meaning: &Meaning) {
        for value in self.column.values.values() {
            if meaning.read_text(&value.value).is_none() {
                let problem = self.no_value(value, meaning, "cannot stand for a word");
                self.problems.push(problem);
            }
        }
    }

    /// The problem of what the contract has for a value of the column, and is none.
    fn no_value(&self, value: &Spanned<String>, meaning: &Meaning, label: &str) -> Diagnostic {
        if meaning.is_null_word(&value.value) {
            let what = format!("`{}` stands for a value of `{}` and for none", value.shown(), self.name);
            let hint = "take another word here, or give the column `null_values` of its own, without this one, such as `[]`";
            return Diagnostic::error("null-value", what).at(span_of(self.file, value)).label("is null").hint(hint);
        }
        let what = format!("`{}` is no {}, as the column `{}` is", value.shown(), self.column.column_type, self.name);
        Diagnostic::error("invalid-value", what).at(span_of(self.file, value)).label(label)
    }

    /// The values that are a no, as they are shown.
    pub(super) fn consent(&mut self, meaning: &Meaning) -> Option<BTreeSet<String>> {
        let written = &self.column.consent.as_ref()?.no;
        let mut no = BTreeSet::new();
        // Of a text that nobody knows, a no in other letters or words would be taken for a yes.
        if self.column.column_type.item == ColumnType::String && self.column.accepted.is_empty() {
            let what = format!("`{}` has values that are an opt-out, and its other values are not listed", self.name);
            let mut problem = Diagnostic::error("consent-values", what).label("would not be read as an opt-out in any other spelling");
            if let Some(first) = written.first() {
                problem = problem.at(span_of(self.file, first));
            }
            self.problems
                .push(problem.hint("list all values under `accepted`; a value that is not listed then counts as a possible opt-out"));
        }
        for value in written {
            let Some(read) = meaning.read_text(&value.value) else {
                let problem = self.no_value(value, meaning, "can be no value of it");
                self.problems.push(problem);
                continue;
            };
            no.insert(read);
        }
        Some(no)
    }

    /// What of JSON texts is read.
    pub(super) fn json(&mut self) -> Option<Paths> {
        let written = self.column.json.as_ref()?;
        let mut paths = Paths::default();
        let path = MemberPath::of_json(&written.value).map(|path| (path.steps.contains(&Step::Number), path));
        match path {
            Ok((false, path)) => paths.add(&path.steps, 0),
            Ok((true, _)) => {
                let problem = Diagnostic::error("invalid-path", format!("`{}` leads to no value of a JSON text", written.shown()));
                let problem = problem.at(span_of(self.file, written)).label("`[#]` is the place of an element under `each`");
                self.problems.push(problem);
            }
            Err(wrong) => {
                let problem = Diagnostic::error("invalid-path", format!("`{}` is no path", written.shown())).label(wrong.why);
                let problem = problem.at(span_within(self.file, written, wrong.part));
                self.problems
                    .push(problem.hint("write the members of the JSON text down to the value, as in `a.b[0]`, or `$` for all of it"));
            }
        }
        Some(paths)
    }

    pub(super) fn pattern(&mut self) -> Option<Regex> {
        let written = self.column.pattern.as_ref()?;
        let built = regex::RegexBuilder::new(&format!("^(?:{})$", written.value)).size_limit(MAX_PATTERN_BYTES).build();
        let problem = match built {
            Ok(regex) if self.column.column_type.item == ColumnType::String => return Some(regex),
            Ok(_) => {
                Diagnostic::error("invalid-pattern", format!("a {} has no pattern", self.column.column_type)).hint("use `min` and `max`")
            }
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let why = if written.is_given() { "look at the variable" } else { &why };
                Diagnostic::error("invalid-pattern", format!("`{}` is no regular expression: {why}", written.shown()))
            }
        };
        self.problems.push(problem.at(span_of(self.file, written)));
        None
    }
}
