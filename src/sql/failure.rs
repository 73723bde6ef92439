//! Describes a query's failure on data by its kind and the places in the SQL where it may have happened. The engine's own message
//! is never shown, because it repeats the value.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, BinaryOperator, CastKind, Expr, Spanned as _, Visit, Visitor};

use super::place::span_of;
use crate::diagnostic::{SourceFile, list};
use crate::engine::KnownFailure;

/// How many places a message names.
const PLACES_SHOWN: usize = 4;

/// A kind of failure on data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that cannot be cast; with the target type, if it is known.
    Cast(Option<&'static str>),
    /// A division by zero.
    DivisionByZero,
    /// A result that is too large.
    Overflow,
    /// An invalid regular expression.
    Pattern,
    /// An argument that a function cannot work with.
    Argument,
    /// Anything else.
    Other,
}

/// The description of a failure on data: its kind.
pub fn discreet(error: &DataFusionError) -> String {
    if let DataFusionError::External(inner) = error.find_root()
        && let Some(told) = inner.downcast_ref::<KnownFailure>()
    {
        return told.to_string();
    }
    match kind(error) {
        Kind::Cast(Some(noun)) => format!("a value is no {noun}"),
        Kind::Cast(None) => "a value is none of the type that it is cast to".to_owned(),
        Kind::DivisionByZero => "a division by zero".to_owned(),
        Kind::Overflow => "a result does not fit its type".to_owned(),
        Kind::Pattern => "a regular expression is none".to_owned(),
        Kind::Argument => "a function cannot work with a value that it is given".to_owned(),
        Kind::Other => "the engine cannot work with a value".to_owned(),
    }
}

/// The kind of a failure on data. Only complete sentences of the engine's own, and names of types, are recognised.
pub fn kind(error: &DataFusionError) -> Kind {
    match error.find_root() {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => Kind::DivisionByZero,
            ArrowError::ArithmeticOverflow(_) => Kind::Overflow,
            ArrowError::CastError(said) | ArrowError::ParseError(said) => Kind::Cast(type_in(said)),
            ArrowError::InvalidArgumentError(said)
                if said.contains("too large to store in a") || said.contains("too small to store in a") =>
            {
                Kind::Overflow
            }
            ArrowError::ComputeError(said) => of_words(said),
            ArrowError::InvalidArgumentError(said) => of_words(said),
            _ => Kind::Other,
        },
        DataFusionError::Execution(said) => of_words(said),
        DataFusionError::External(inner) if inner.downcast_ref::<KnownFailure>().is_some_and(|told| told.is_overflow) => Kind::Overflow,
        _ => Kind::Other,
    }
}

fn of_words(said: &str) -> Kind {
    let begins = |words: &[&str]| words.iter().any(|word| said.starts_with(word));
    match () {
        () if begins(&["Regular expression", "Failed to compile regex", "regex parse error", "Invalid regular expression"]) => {
            Kind::Pattern
        }
        () if begins(&["Divide by zero", "Division by zero"]) => Kind::DivisionByZero,
        () if begins(&["Arithmetic overflow", "Overflow", "Compute error: Overflow"]) => Kind::Overflow,
        () if begins(&["Error parsing timestamp", "Error parsing date", "Error parsing", "Cannot cast", "Can't cast"]) => {
            Kind::Cast(type_in(said))
        }
        () => Kind::Argument,
    }
}

/// The type that the engine's message names last, after the value.
fn type_in(said: &str) -> Option<&'static str> {
    const TYPES: [(&str, &str); 11] = [
        ("Int", "whole number"),
        ("UInt", "whole number"),
        ("Float", "number"),
        ("Decimal", "decimal of that size"),
        ("Date", "date"),
        ("Timestamp", "timestamp"),
        ("Time32", "time of day"),
        ("Time64", "time of day"),
        ("Boolean", "truth"),
        ("Bool", "truth"),
        ("Interval", "interval"),
    ];
    let named = |word: &str| TYPES.iter().find(|(name, _)| word.starts_with(name)).map(|(_, noun)| *noun);
    let known = said.rsplit([' ', '\'', '"']).find_map(named);
    known.or_else(|| {
        let begins = |words: &str| said.starts_with(words);
        match () {
            () if begins("Error parsing timestamp") => Some("timestamp"),
            () if begins("Error parsing date") => Some("date"),
            () => None,
        }
    })
}

/// The places in a query where a failure of some kind may have happened: a line for each place, with the columns that it reads.
pub fn suspects(file: &Arc<SourceFile>, statement: &Statement, kind: Kind) -> Vec<String> {
    let mut suspects = Suspects { file, kind, found: Vec::new() };
    if let Statement::Statement(statement) = statement {
        // The visitor never breaks off.
        let _ = statement.visit(&mut suspects);
    }
    suspects.found
}

/// Lines for the places of several queries. If there are too many, the last line says how many more there are.
pub fn places(mut found: Vec<String>) -> Vec<String> {
    let more = found.len().saturating_sub(PLACES_SHOWN);
    if more > 0 {
        found.truncate(PLACES_SHOWN);
        found.push(format!("or at one of {more} more places"));
    }
    found
}

struct Suspects<'a> {
    file: &'a Arc<SourceFile>,
    kind: Kind,
    found: Vec<String>,
}

impl Visitor for Suspects<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.may_fail(expr) {
            let mut columns = Columns(Vec::new());
            let _ = expr.visit(&mut columns);
            let Columns(columns) = columns;
            let place = span_of(self.file, expr.span()).map_or_else(String::new, |span| {
                let (line, column) = span.file.line_and_column(span.bytes.start);
                format!(":{line}:{column}")
            });
            let of = if columns.is_empty() {
                String::new()
            } else {
                format!(", of {}", list(&columns.iter().map(String::as_str).collect::<Vec<_>>()))
            };
            self.found.push(format!("at {}{place}: `{}`{of}", self.file.path, form(expr)));
        }
        ControlFlow::Continue(())
    }
}

impl Suspects<'_> {
    fn may_fail(&self, expr: &Expr) -> bool {
        let called = |names: &[&str]| matches!(expr, Expr::Function(call) if names.iter().any(|name| call.name.to_string().to_lowercase().starts_with(name)));
        match self.kind {
            Kind::Cast(noun) => match expr {
                Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, data_type, .. } => {
                    // Anything can be text.
                    noun_of(data_type).is_some_and(|own| noun.is_none_or(|noun| own == noun))
                }
                _ => called(&["to_timestamp", "to_date", "arrow_cast", "to_time", "make_date"]),
            },
            Kind::DivisionByZero => {
                matches!(expr, Expr::BinaryOp { op: BinaryOperator::Divide | BinaryOperator::Modulo, .. }) || called(&["mod"])
            }
            Kind::Overflow => {
                let operator =
                    matches!(expr, Expr::BinaryOp { op: BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply, .. });
                operator || called(&["sum", "avg", "abs", "power", "factorial"])
            }
            Kind::Pattern => {
                let matched = matches!(
                    expr,
                    Expr::BinaryOp {
                        op: BinaryOperator::PGRegexMatch
                            | BinaryOperator::PGRegexIMatch
                            | BinaryOperator::PGRegexNotMatch
                            | BinaryOperator::PGRegexNotIMatch,
                        ..
                    }
                );
                matched || called(&["regexp_"])
            }
            Kind::Argument | Kind::Other => false,
        }
    }
}

/// The outer part of an expression without its arguments, since constants may be personal data.
fn form(expr: &Expr) -> String {
    match expr {
        Expr::Cast { data_type, .. } => format!("cast(… as {})", data_type.to_string().to_lowercase()),
        Expr::BinaryOp { op, .. } => format!("… {op} …"),
        Expr::Function(call) => format!("{}(…)", call.name),
        _ => "…".to_owned(),
    }
}

/// The words for a value of a type, as in [`Kind::Cast`].
fn noun_of(data_type: &ast::DataType) -> Option<&'static str> {
    use ast::DataType as T;
    Some(match data_type {
        T::TinyInt(_) | T::SmallInt(_) | T::Int(_) | T::Integer(_) | T::BigInt(_) | T::Int8(_) | T::Int4(_) | T::Int2(_) => "whole number",
        T::Float(_) | T::Real | T::Double(_) | T::DoublePrecision => "number",
        T::Decimal(_) | T::Numeric(_) => "decimal of that size",
        T::Date => "date",
        T::Timestamp(..) | T::Datetime(_) => "timestamp",
        T::Boolean | T::Bool => "truth",
        _ => return None,
    })
}

/// The columns that an expression names, each once.
struct Columns(Vec<String>);

impl Visitor for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Identifier(name) => Some(name),
            Expr::CompoundIdentifier(names) => names.last(),
            _ => None,
        };
        if let Some(name) = name.filter(|name| !self.0.contains(&name.value)) {
            self.0.push(name.value.clone());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a value looks like, apostrophes and sentences of the engine's own among them.
    #[test]
    fn values_stay_out_of_what_is_told_of_a_failure() {
        let arrow = |error: ArrowError| DataFusionError::ArrowError(Box::new(error), None);
        let cast = |said: &str| arrow(ArrowError::CastError(said.to_owned()));
        for (error, told) in [
            (cast("Cannot cast string 'miguel o'hara wright10@mail.example' to value of Int64 type"), "a value is no whole number"),
            (cast("Can't cast value 19790230 to type Int8"), "a value is no whole number"),
            (cast("Cannot cast string 'x' to value of Date32 type"), "a value is no date"),
            (cast("Cannot cast ann"), "a value is none of the type that it is cast to"),
            (arrow(ArrowError::ParseError("Error parsing timestamp from 'ann': error parsing date".to_owned())), "a value is no timestamp"),
            (arrow(ArrowError::ComputeError("Regular expression did not compile: Syntax(ann)".to_owned())), "a regular expression is none"),
            (arrow(ArrowError::DivideByZero), "a division by zero"),
            (
                arrow(ArrowError::InvalidArgumentError("4711 is too large to store in a Decimal128 of precision 2".to_owned())),
                "a result does not fit its type",
            ),
            (DataFusionError::Execution("function f was given 'ann'".to_owned()), "a function cannot work with a value that it is given"),
            (DataFusionError::Internal("ann".to_owned()), "the engine cannot work with a value"),
            (crate::engine::overflow("a sum is beyond"), "a sum is beyond"),
        ] {
            assert_eq!(discreet(&error), told);
            assert_eq!(discreet(&error.context("while ann was read")), told);
        }
    }

    #[test]
    fn the_places_are_those_that_can_fail_so() {
        let text =
            "select cast(a as bigint), b::date, try_cast(c as bigint), d / e, regexp_like(f, t.g) from x where cast(b as int) + 1 > 2\n";
        let file = Arc::new(SourceFile { path: "m.sql".to_owned(), text: text.to_owned() });
        let (statement, _) = super::super::parse(&file).unwrap();
        let found = |kind| suspects(&file, &statement, kind);
        assert_eq!(
            found(Kind::Cast(Some("whole number"))),
            ["at m.sql:1:13: `cast(… as bigint)`, of `a`", "at m.sql:1:104: `cast(… as int)`, of `b`"]
        );
        assert_eq!(found(Kind::Cast(Some("date"))), ["at m.sql:1:27: `cast(… as date)`, of `b`"]);
        assert_eq!(found(Kind::DivisionByZero), ["at m.sql:1:59: `… / …`, of `d` and `e`"]);
        assert_eq!(found(Kind::Pattern), ["at m.sql:1:66: `regexp_like(…)`, of `f` and `g`"]);
        assert_eq!(found(Kind::Overflow).len(), 1);
        assert!(found(Kind::Other).is_empty());
        assert_eq!(places(vec![String::new(); 6]).last().unwrap(), "or at one of 2 more places");
    }
}
