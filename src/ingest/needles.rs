//! Texts of which one must stand in a part of a CSV file for any of its rows to fulfil a condition: parts without one are not decoded.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use regex::bytes::Regex;

use super::contract::Contract;

/// The most texts that are looked for at once.
const NEEDLES_AT_ONCE: usize = 2048;

/// Texts that are looked for.
#[derive(Debug)]
pub struct Needles(Regex);

impl Needles {
    /// Those of a condition; none where it may be true of rows that have none of a few texts.
    pub fn of(contract: &Contract, condition: &Expr) -> Option<Self> {
        // A row may have the value of the row above, and escapes may stand between any characters.
        if contract.repeats.is_some() || contract.csv.dialect.escape.is_some() {
            return None;
        }
        let texts = split_conjunction(condition).into_iter().find_map(|one| texts_of(contract, one))?;
        if texts.is_empty() || texts.len() > NEEDLES_AT_ONCE {
            return None;
        }
        let is_bounded = !contract.csv.dialect.has_words();
        let any: Vec<String> = texts.iter().map(|text| pattern(text, is_bounded)).collect();
        Regex::new(&format!("(?-u:{})", any.join("|"))).ok().map(Needles)
    }

    /// Whether none of them is in some bytes.
    pub fn are_absent(&self, bytes: &[u8]) -> bool {
        !self.0.is_match(bytes)
    }
}

/// Whether a character is a letter, a digit or an underscore of ASCII.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// A pattern that finds a text; where neither delimiters nor quotes are letters, no part of a longer word or number.
fn pattern(text: &str, is_bounded: bool) -> String {
    let bound = |edge: Option<char>| if is_bounded && edge.is_some_and(is_word) { r"\b" } else { "" };
    format!("{}{}{}", bound(text.chars().next()), regex::escape(text), bound(text.chars().next_back()))
}

/// The texts of which a row has one as it stands in the file, if it fulfils a condition.
fn texts_of(contract: &Contract, condition: &Expr) -> Option<Vec<String>> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut all = texts_of(contract, left)?;
            all.extend(texts_of(contract, right)?);
            Some(all)
        }
        Expr::IsTrue(condition) => split_conjunction(condition).into_iter().find_map(|one| texts_of(contract, one)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            is_as_written(contract, left).then(|| written(right)).flatten().map(|text| vec![text])
        }
        Expr::InList(list) if !list.negated && is_as_written(contract, &list.expr) => list.list.iter().map(written).collect(),
        Expr::Literal(ScalarValue::Boolean(Some(false)), _) => Some(Vec::new()),
        _ => None,
    }
}

/// Whether an expression is a column whose values stand in the files.
fn is_as_written(contract: &Contract, expr: &Expr) -> bool {
    let Expr::Column(column) = expr else { return false };
    contract.columns[..contract.width()].iter().any(|declared| declared.name == column.name && declared.is_as_written())
}

/// A text that stands in a file as it is, whatever quotes are around it.
fn written(value: &Expr) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte);
    match value {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) if !text.is_empty() && text.bytes().all(is_plain) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a field is quoted, and whatever stands around it.
        #[test]
        fn a_value_is_found_in_its_record(
            before in "[a-c1-3 ,;\"é_-]{0,4}", text in "[a-c1-3_@.+-]{1,4}", after in "[a-c1-3 ,;\"é_-]{0,4}",
            space in "[ \u{a0}\t]{0,2}", all_quoted: bool, delimiter in prop::sample::select(b",;\t|".to_vec()),
        ) {
            let style = if all_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let mut writer = csv::WriterBuilder::new().quote_style(style).delimiter(delimiter).from_writer(Vec::new());
            writer.write_record([&before, &format!("{space}{text}{space}"), &after]).unwrap();
            let found = Regex::new(&format!("(?-u:{})", pattern(&text, true))).unwrap();
            prop_assert!(found.is_match(&writer.into_inner().unwrap()));
        }
    }

    #[test]
    fn a_part_of_a_number_is_not_found() {
        let found = Regex::new(&format!("(?-u:{})", pattern("123", true))).unwrap();
        assert!(!found.is_match(b"1123,+49 51234,a123\n"));
        assert!(found.is_match(b"1,123,4\n"));
    }
}
