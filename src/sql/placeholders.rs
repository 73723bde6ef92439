//! Placeholders of parameters (`$name`) in parsed SQL.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Value, ValueWithSpan, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::Span;

/// The parameter that an expression stands for, without the `$`, and where the parser saw it; none when it stands for none.
pub fn placeholder(expr: &Expr) -> Option<(&str, Span)> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Placeholder(name), span }) => Some((name.trim_start_matches('$'), *span)),
        _ => None,
    }
}

/// Every parameter that a part of a statement reads, in the order of the text.
pub fn placeholders(of: &impl Visit) -> Vec<(String, Span)> {
    let mut found = Found(Vec::new());
    // The visitor never breaks off.
    let _ = of.visit(&mut found);
    found.0
}

struct Found(Vec<(String, Span)>);

impl Visitor for Found {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.0.extend(placeholder(expr).map(|(name, span)| (name.to_owned(), span)));
        ControlFlow::Continue(())
    }
}

/// Whether a text has `$name`, and not only as the beginning of a longer name.
pub fn mentions_parameter(text: &str, name: &str) -> bool {
    let written = format!("${name}");
    let ends = |at: usize| !text[at + written.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    text.match_indices(&written).any(|(at, _)| ends(at))
}
