//! The smallest change of a customer's values that turns the answer to a condition.

use datafusion::common::ScalarValue;

use super::words;

/// Changes that together turn an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The changes, one a column.
    pub changes: Vec<Change>,
    /// Whether nothing smaller turns the answer. It is not known where a function or a calculation stands between a value and what it is
    /// compared with.
    pub is_smallest: bool,
}

/// Another value of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The column.
    pub column: String,
    /// The customer's value.
    pub from: ScalarValue,
    /// The nearest value that does.
    pub to: ScalarValue,
    /// That value in words.
    pub to_shown: String,
}

/// How far a change goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// So much more.
    More(String),
    /// So much less.
    Less(String),
    /// So many days later.
    Later(i64),
    /// So many days earlier.
    Earlier(i64),
}

impl Change {
    /// How far it goes, where that can be said.
    pub fn by(&self) -> Option<By> {
        if self.from.is_null() || self.to.is_null() {
            return None;
        }
        let more_or_less = |difference: ScalarValue, is_more: bool| {
            let shown = words::value(&difference);
            if is_more { By::More(shown) } else { By::Less(shown) }
        };
        match (&self.from, &self.to) {
            (ScalarValue::Date32(Some(from)), ScalarValue::Date32(Some(to))) => {
                let days = i64::from(*to) - i64::from(*from);
                Some(if days > 0 { By::Later(days) } else { By::Earlier(-days) })
            }
            (from, to) if from.data_type().is_numeric() && to.data_type() == from.data_type() => {
                let is_more = to > from;
                let difference = if is_more { to.sub_checked(from) } else { from.sub_checked(to) };
                difference.ok().map(|difference| more_or_less(difference, is_more))
            }
            _ => None,
        }
    }
}
