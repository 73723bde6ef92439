//! How many traits of segments there are, as lines for people.

use std::fmt::{Result, Write as _};

use indicatif::HumanCount;

use crate::shown;
use crate::traits::{MOST_VALUES, Report};

/// The lines of the traits.
pub(super) fn write(text: &mut String, report: &Report) -> Result {
    let of = if report.segments == 1 { "1 segment".to_owned() } else { format!("{} segments", HumanCount(report.segments)) };
    write!(text, "\n{} traits of {of}", HumanCount(report.traits))?;
    match report.segments_too_small {
        0 => writeln!(text)?,
        1 => writeln!(text, "; 1 segment has too few members, or too few are outside it")?,
        many => writeln!(text, "; {} segments have too few members, or too few are outside them", HumanCount(many))?,
    }
    for column in &report.columns_with_too_many_values {
        writeln!(text, "  {}: none, because it has more than {MOST_VALUES} values", shown::column(column))?;
    }
    Ok(())
}
