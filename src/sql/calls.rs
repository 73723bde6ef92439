//! The calls of functions in parsed SQL.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value, ValueWithSpan, Visit, Visitor};

use super::placeholders::placeholder;

/// An argument of a call whose value is known before data is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A text between single quotes.
    Text(String),
    /// A parameter, without its `$`.
    Parameter(String),
}

/// What the calls of some functions have as an argument, counted from 0, where its value is known before data is read; in the order of the
/// text.
pub fn arguments(statement: &Statement, functions: &[&str], position: usize) -> Vec<Argument> {
    let mut calls = Calls { functions, position, found: Vec::new() };
    if let Statement::Statement(statement) = statement {
        // The visitor never breaks off.
        let _ = statement.visit(&mut calls);
    }
    calls.found
}

struct Calls<'a> {
    functions: &'a [&'a str],
    position: usize,
    found: Vec<Argument>,
}

impl Visitor for Calls<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && self.functions.iter().any(|name| call.name.to_string().eq_ignore_ascii_case(name))
            && let FunctionArguments::List(list) = &call.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) = list.args.get(self.position)
        {
            let text = match argument {
                Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(Argument::Text(text.clone())),
                other => placeholder(other).map(|(name, _)| Argument::Parameter(name.to_owned())),
            };
            self.found.extend(text);
        }
        ControlFlow::Continue(())
    }
}
