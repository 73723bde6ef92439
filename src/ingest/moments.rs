//! Columns of a contract that are put together from several columns of the files: a date, a time of day and a zone.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::ArrayRef;

use super::column::{ContractColumn, Defaults};
use super::values::{Moment, Part};
use super::ways::{self, Each};
use crate::config::{Column, ColumnType, MemberPath, Source, Spanned, Text, Values, key_span, span_of};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::error::Result;

/// The columns that are put together; mostly none.
#[derive(Debug, Default)]
pub struct Moments(Vec<Parts>);

/// One of them: the column, which has the date, and where among all columns the other parts are.
#[derive(Debug)]
struct Parts {
    column: usize,
    time: Option<usize>,
    zone: Option<usize>,
    how: Moment,
}

/// A batch whose parts are put together.
pub struct Joined {
    /// The arrays: those that are put together have moments, and those of the other parts are gone.
    pub raw: Vec<Option<ArrayRef>>,
    /// Values that are at fault, by row and column, and why.
    pub faults: Vec<(usize, usize, &'static str)>,
}

impl Moments {
    /// Compiles the columns of a source that have parts, and adds columns for the parts.
    pub fn compile(
        file: &Arc<SourceFile>,
        (source_name, source): (&str, &Source),
        each: Option<&Each>,
        columns: &mut Vec<ContractColumn>,
        values: &Values,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut found = Vec::new();
        for (at, (name, column)) in source.columns.iter().enumerate() {
            let Some(parts) = &column.parts else { continue };
            let (has_time, has_zone) = (!parts.value.time.is_empty(), !parts.value.zone.is_empty());
            if let Some(problem) = contradiction(file, name, column, parts) {
                problems.push(problem);
                continue;
            }
            let format = column.format.as_ref().map(|format| format.value.as_str()).zip(columns[at].meaning().format.as_ref());
            if format.is_none() && column.format.is_some() {
                // It has no meaning, which has been told.
                continue;
            }
            let how = match Moment::new(format, has_time, has_zone, column.zone.is_some()) {
                Ok(how) => how,
                Err(why) => {
                    let what = format!("the format of `{name}` does not fit its parts");
                    let problem = Diagnostic::error("parts-of-column", what).label(why);
                    let place = column.format.as_ref().map_or_else(|| span_of(file, parts), |format| span_of(file, format));
                    problems.push(problem.at(place).hint("write it as in `%d/%m/%Y %H:%M`: the date, a space, and the time of day"));
                    continue;
                }
            };
            columns[at].takes_part(Part::Date, !has_time);
            let mut add = |names: &[Text], part: Part| {
                (!names.is_empty()).then(|| {
                    let plain = Defaults { null_values: Arc::new(BTreeSet::new()), of_source: None, trim: false };
                    let of_part = column.part(names);
                    let ways = ways::ways(file, (source_name, source), (name, &of_part), each, problems);
                    let mut of_part = ContractColumn::new(file, (name, &of_part), ways, &plain, values, problems);
                    of_part.takes_part(part, false);
                    columns.push(of_part);
                    columns.len() - 1
                })
            };
            let (time, zone) = (add(&parts.value.time, Part::Time), add(&parts.value.zone, Part::Zone));
            found.push(Parts { column: at, time, zone, how });
        }
        Moments(found)
    }

    /// Where among all columns the other parts of one are.
    pub fn parts_of(&self, column: usize) -> impl Iterator<Item = usize> {
        let of_column = self.0.iter().filter(move |parts| parts.column == column);
        of_column.flat_map(|parts| [parts.time, parts.zone]).flatten()
    }

    /// Puts the parts of a batch together; none where there are none. `unread` names values that could not be taken out of the file, by row
    /// and column.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] when an array is of a type that is refused before.
    pub fn join(
        &self,
        columns: &[ContractColumn],
        raw: &[Option<ArrayRef>],
        unread: &[(usize, usize, &'static str)],
    ) -> Result<Option<Joined>> {
        // The rows of a given/expect case have moments and no parts.
        if self.0.is_empty() || raw.len() < columns.len() {
            return Ok(None);
        }
        let mut joined = Joined { raw: raw.to_vec(), faults: Vec::new() };
        for Parts { column, time, zone, how } in &self.0 {
            let meaning = columns[*column].meaning();
            let part = |at: &Option<usize>| at.and_then(|at| raw[at].as_ref());
            if let Some(date) = &raw[*column] {
                let read = how.read(meaning, date, part(time), part(zone))?;
                joined.faults.extend(read.bad.iter().map(|(row, reason)| (*row, *column, *reason)));
                joined.raw[*column] = Some(read.array);
            }
            let is_part = |of: &usize| [*time, *zone].contains(&Some(*of));
            joined.faults.extend(unread.iter().filter(|(_, of, _)| is_part(of)).map(|(row, ..)| (*row, *column, meaning.not_of_type())));
            for at in [time, zone].into_iter().flatten() {
                joined.raw[*at] = None;
            }
        }
        Ok(Some(joined))
    }
}

/// The problem of a column whose parts cannot be put together, whatever their format is.
fn contradiction(file: &Arc<SourceFile>, name: &str, column: &Column, parts: &Spanned<crate::config::Parts>) -> Option<Diagnostic> {
    let (what, hint) = if column.column_type != ColumnType::Timestamp.into() {
        (
            format!("`{name}` is a {}, and only a timestamp has parts", column.column_type),
            "declare it as a timestamp, or read it with `from`",
        )
    } else if !column.from.is_empty() {
        (format!("`{name}` has `from` and `parts`"), "leave one of them out")
    } else if parts.value.time.is_empty() && parts.value.zone.is_empty() {
        (format!("`{name}` has a date for its only part"), "name its `time` or its `zone`, too, or read it with `from`")
    } else if let Some(part) = [&parts.value.date, &parts.value.time, &parts.value.zone].into_iter().find(|part| is_choice_of_paths(part)) {
        let first = part.first().map_or("", Text::shown);
        (
            format!("a part of `{name}` has several paths, of which `{first}` is the first"),
            "name one path; several names are for plain columns",
        )
    } else if !column.values.is_empty() {
        (format!("`{name}` has parts, and words that stand for the whole"), "leave `values` out")
    } else {
        return None;
    };
    Some(Diagnostic::error("parts-of-column", what).at(key_span(file, "parts", parts)).hint(hint))
}

/// Whether several names are given of which one is a path.
fn is_choice_of_paths(names: &[Text]) -> bool {
    names.len() > 1 && names.iter().any(|name| name.value.parse::<MemberPath>().is_ok_and(|path| path.is_deep()))
}
