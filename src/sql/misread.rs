//! Queries that the parser reads in another way than they are meant, and parts that the engine would get wrong ([`Unsound`]).

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, FunctionArguments, JoinConstraint, JoinOperator, SetOperator, SetQuantifier, Spanned, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{self, Token, TokenWithSpan, Tokenizer};

use super::place::{span_of, whole};
use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::engine::Unsound;

/// What is wrong with a query that can be parsed.
pub fn problems(file: &Arc<SourceFile>, statement: &Statement) -> Vec<Diagnostic> {
    let mut misread = Misread { file, found: Vec::new() };
    if let Statement::Statement(statement) = statement {
        // The visitor never breaks off.
        let _ = statement.visit(&mut misread);
    }
    misread.found
}

/// What is wrong with a condition.
pub fn of_condition(file: &Arc<SourceFile>, condition: &Expr) -> Vec<Diagnostic> {
    let mut misread = Misread { file, found: Vec::new() };
    let _ = condition.visit(&mut misread);
    misread.found
}

struct Misread<'a> {
    file: &'a Arc<SourceFile>,
    found: Vec<Diagnostic>,
}

impl Visitor for Misread<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.look_at_operator(expr);
        if let Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) = expr
            && binds_less(right)
        {
            let problem = Diagnostic::error("sql-ambiguous", "what stands behind `distinct from` would be compared as a whole");
            let place = span_of(self.file, right.span()).unwrap_or_else(|| whole(self.file));
            self.found
                .push(problem.at(place).label("all of this").hint("put the comparison in parentheses: `(a is distinct from b) and …`"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        self.look(&query.body);
        ControlFlow::Continue(())
    }
}

impl Misread<'_> {
    /// Operators that bind or mean something else than in standard SQL.
    fn look_at_operator(&mut self, expr: &Expr) {
        let (what, hint) = match expr {
            Expr::IsNull(asked) | Expr::IsNotNull(asked) if matches!(asked.as_ref(), Expr::Exists { negated: true, .. }) => {
                ("`not exists` would be asked whether it is null, and it never is", "leave out what is asked of it")
            }
            Expr::BinaryOp { op: BinaryOperator::BitwiseXor, .. } => {
                ("`^` would be the exclusive or of bits, and not a power", "write `power(a, b)`")
            }
            _ => return,
        };
        let place = span_of(self.file, expr.span()).unwrap_or_else(|| whole(self.file));
        self.found.push(Diagnostic::error("sql-ambiguous", what).at(place).hint(hint));
    }

    /// Looks at sets of rows. The sets within a query in parentheses are looked at when that query is visited.
    fn look(&mut self, body: &ast::SetExpr) {
        let ast::SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return };
        let name = match op {
            SetOperator::Except | SetOperator::Minus => "except",
            SetOperator::Intersect => "intersect",
            SetOperator::Union => "union",
        };
        if name != "union" && matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName) {
            let problem = Diagnostic::error("sql-unsupported", format!("`{name} all` would not count how often a row is there"));
            let place = words(self.file, &[name, "all"]).unwrap_or_else(|| whole(self.file));
            self.found.push(problem.at(place).hint(format!("write `{name}`, or number equal rows with `row_number()` first")));
        }
        self.look(left);
        self.look(right);
    }
}

/// Whether an operator binds less than `is distinct from`, so that it should not have become a part of its right side.
fn binds_less(right: &Expr) -> bool {
    match right {
        Expr::BinaryOp { op, .. } => !matches!(
            op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
                | BinaryOperator::StringConcat
        ),
        Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. } => true,
        _ => false,
    }
}

/// A part of a query that the engine would get wrong, with what to write instead.
pub fn unsound(file: &Arc<SourceFile>, statement: &Statement, part: Unsound) -> Diagnostic {
    let (what, why, hint, places) = told(part);
    let place =
        place_of(file, statement, part).or_else(|| places.iter().find_map(|place| words(file, place))).unwrap_or_else(|| whole(file));
    let problem = Diagnostic::error("unsound-query", what).at(place).hint(hint);
    if why.is_empty() { problem } else { problem.label(why) }
}

/// What is wrong, what is said of the place, what to write instead, and the words to look for.
fn told(part: Unsound) -> (&'static str, &'static str, &'static str, &'static [&'static [&'static str]]) {
    match part {
        Unsound::NullOfIn => (
            "this `in` would be false where it is null",
            "is not asked whether it is true",
            "write `exists (select 1 from … where … = …)` or `not exists`, or ask for `not in` alone, beside `and`",
            &[&["not", "in", "(", "select"], &["in", "(", "select"], &["in"]],
        ),
        Unsound::OuterUsing => (
            "the common column would be null where only the right side has a row",
            "a right or full join by names",
            "write `on …` and `coalesce` of both columns",
            &[],
        ),
        Unsound::SkippedRows => (
            "`offset` could skip other rows than the first",
            "skips rows",
            "number the rows with `row_number() over (order by …)`, and keep those between two numbers",
            &[&["offset"]],
        ),
        Unsound::CorrelatedWindow => (
            "the window of a subquery would see the rows of all rows outside",
            "a window in a subquery that depends on the row outside",
            "compute the window in a common table expression, and join it",
            &[],
        ),
        Unsound::CorrelatedOuterJoin => (
            "this outer join would lose rows without a match",
            "in a subquery that depends on the row outside",
            "join in a common table expression, and join that to the row outside",
            &[],
        ),
        Unsound::CorrelatedTotal => (
            "this subquery would have no row where the aggregate is of no rows",
            "an aggregate of rows that depend on the row outside",
            "take the aggregate alone from the subquery, and ask it outside, as in `0 = (select count(*) …)`",
            &[],
        ),
        Unsound::IgnoredNulls => (
            "this would pass over too few nulls",
            "more than one row, without nulls",
            "leave out the nulls in a common table expression, and take `lag` or `lead` of the others",
            &[],
        ),
        Unsound::ContraryLists => (
            "these lists leave nothing of each other, and null would count as false",
            "",
            "write one list with the values that are meant",
            &[],
        ),
        Unsound::NullInList => (
            "no value is equal to the null in this list",
            "is null what is meant?",
            "leave out the null, and write `… is null` beside the list",
            &[],
        ),
    }
}

/// The first line of the first part of a parsed query that may be meant.
fn place_of(file: &Arc<SourceFile>, statement: &Statement, part: Unsound) -> Option<Span> {
    let mut search = Search { part, lists: Vec::new(), found: None };
    if let Statement::Statement(statement) = statement {
        let _ = statement.visit(&mut search);
    }
    let Span { file, bytes } = span_of(file, search.found?)?;
    let end = file.text[bytes.clone()].find('\n').map_or(bytes.end, |end| bytes.start + end);
    Some(Span { bytes: bytes.start..end, file })
}

/// A search for a part of a query.
struct Search {
    part: Unsound,
    /// What the lists of constants so far are about.
    lists: Vec<Expr>,
    found: Option<tokenizer::Span>,
}

impl Search {
    fn is_meant(&mut self, expr: &Expr) -> Option<tokenizer::Span> {
        match (self.part, expr) {
            (Unsound::NullInList, Expr::InList { list, .. }) => {
                let is_null = |value: &&Expr| matches!(value, Expr::Value(value) if value.value == ast::Value::Null);
                list.iter().find(is_null).map(Spanned::span)
            }
            (Unsound::ContraryLists, Expr::InList { expr: about, list, .. })
                if list.iter().all(|value| matches!(value, Expr::Value(_))) =>
            {
                if self.lists.contains(about) {
                    return Some(expr.span());
                }
                self.lists.push(about.as_ref().clone());
                None
            }
            (Unsound::IgnoredNulls, Expr::Function(call)) => {
                let arguments = if let FunctionArguments::List(list) = &call.args { list.args.len() } else { 0 };
                (is_one_of(&call.name, &["lag", "lead"]) && arguments > 1).then(|| call.name.span())
            }
            (_, Expr::InSubquery { subquery, .. } | Expr::Exists { subquery, .. } | Expr::Subquery(subquery)) => {
                let mut holds = Holds { part: self.part, is_found: false };
                let _ = subquery.visit(&mut holds);
                holds.is_found.then(|| subquery.span())
            }
            _ => None,
        }
    }
}

impl Visitor for Search {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        // Where the outer join is that of a subquery, the subquery is the place.
        if let ast::SetExpr::Select(select) = query.body.as_ref()
            && self.part != Unsound::CorrelatedOuterJoin
        {
            let meant = select.from.iter().flat_map(|from| &from.joins).find(|join| is_meant(self.part, &join.join_operator));
            self.found = self.found.or_else(|| meant.map(|join| join.relation.span()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.found.is_none() {
            self.found = self.is_meant(expr);
        }
        ControlFlow::Continue(())
    }
}

/// Whether a subquery has the part that is meant.
struct Holds {
    part: Unsound,
    is_found: bool,
}

impl Visitor for Holds {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        if let (Unsound::CorrelatedOuterJoin, ast::SetExpr::Select(select)) = (self.part, query.body.as_ref()) {
            self.is_found |= select.from.iter().flat_map(|from| &from.joins).any(|join| is_meant(self.part, &join.join_operator));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr {
            self.is_found |= match self.part {
                Unsound::CorrelatedWindow => call.over.is_some(),
                Unsound::CorrelatedTotal => call.over.is_none() && is_one_of(&call.name, &["count", "sum", "min", "max", "avg"]),
                _ => false,
            };
        }
        ControlFlow::Continue(())
    }
}

fn is_meant(part: Unsound, join: &JoinOperator) -> bool {
    let is_by_name = |constraint: &JoinConstraint| matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural);
    match join {
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) | JoinOperator::FullOuter(constraint) => match part {
            Unsound::OuterUsing => is_by_name(constraint),
            other => other == Unsound::CorrelatedOuterJoin,
        },
        JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => part == Unsound::CorrelatedOuterJoin,
        _ => false,
    }
}

fn is_one_of(name: &ast::ObjectName, names: &[&str]) -> bool {
    names.iter().any(|known| name.to_string().eq_ignore_ascii_case(known))
}

/// The first place where words stand one behind the other, comments aside.
fn words(file: &Arc<SourceFile>, wanted: &[&str]) -> Option<Span> {
    let tokens = Tokenizer::new(&GenericDialect {}, &file.text).tokenize_with_location().ok()?;
    let tokens: Vec<&TokenWithSpan> = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let is = |token: &TokenWithSpan, word: &str| match &token.token {
        Token::Word(found) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word),
        Token::LParen => word == "(",
        _ => false,
    };
    let found = tokens.windows(wanted.len()).find(|window| window.iter().zip(wanted).all(|(token, word)| is(token, word)))?;
    let (first, last) = (span_of(file, found.first()?.span)?, span_of(file, found.last()?.span)?);
    Some(Span { file: Arc::clone(file), bytes: first.bytes.start..last.bytes.end })
}
