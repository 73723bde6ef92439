//! The three-valued truth of a condition, and that it cannot be evaluated.

use std::fmt;

/// The truth of a condition for a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It is null, because a value that it needs is not known. A rule that is unknown does not match.
    Unknown,
    /// It cannot be evaluated for these values. A rule as a whole may still have a verdict, when it does not come to that.
    Fails,
}

impl Verdict {
    /// Of what the engine answers.
    pub fn of(answer: Option<bool>) -> Self {
        match answer {
            Some(true) => Verdict::Yes,
            Some(false) => Verdict::No,
            None => Verdict::Unknown,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Verdict::Yes => "yes",
            Verdict::No => "no",
            Verdict::Unknown => "unknown",
            Verdict::Fails => "fails",
        })
    }
}
