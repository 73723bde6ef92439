//! The values of a key by which rows are chosen.

use std::collections::BTreeSet;

use arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, lit};

/// The most values of a key by which rows are chosen.
const KEYS_CHOSEN_BY: usize = 4096;

/// Some values of a key, which may be missing in some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyValues {
    listed: Vec<Expr>,
    may_be_null: bool,
}

impl KeyValues {
    /// Those of an array; none if there are too many.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn of(values: &ArrayRef) -> Result<Option<Self>> {
        let mut known: BTreeSet<String> = BTreeSet::new();
        let (mut listed, mut may_be_null) = (Vec::new(), false);
        for row in 0..values.len() {
            let value = ScalarValue::try_from_array(values, row)?;
            if value.is_null() {
                may_be_null = true;
            } else if known.insert(value.to_string()) {
                listed.push(Expr::Literal(value, None));
            }
            if listed.len() > KEYS_CHOSEN_BY {
                return Ok(None);
            }
        }
        Ok(Some(KeyValues { listed, may_be_null }))
    }

    /// A few that nobody knows yet.
    pub fn assumed() -> Self {
        KeyValues { listed: vec![Expr::Placeholder(Placeholder::new_with_field("$key".to_owned(), None))], may_be_null: false }
    }

    /// The condition that an expression has one of them.
    pub fn hold(&self, expr: Expr) -> Expr {
        let is_null = expr.clone().is_null();
        let is_listed = if self.listed.is_empty() { lit(false) } else { expr.in_list(self.listed.clone(), false) };
        if self.may_be_null { is_null.or(is_listed) } else { is_listed }
    }
}
