//! Reports each place in a query where the order of rows would change the result, and what to write instead.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, FunctionArgumentClause, FunctionArguments, LimitClause, Spanned, Visit, Visitor, WindowFrameUnits, WindowType,
};

use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::engine::Dependence;

use super::place::{call_of, span_of, whole};

/// One diagnostic for each place of a dependence.
pub fn dependent(file: &Arc<SourceFile>, statement: &Statement, dependence: &Dependence) -> Vec<Diagnostic> {
    let mut places = Places { file, dependence, found: Vec::new() };
    if let Statement::Statement(statement) = statement {
        let _ = statement.visit(&mut places);
    }
    let mut found = places.found;
    if found.is_empty() {
        found.push(match name_of(dependence) {
            Some(name) => call_of(file, name),
            None => whole(file),
        });
    }
    found.into_iter().map(|span| told(dependence).at(span)).collect()
}

fn told(dependence: &Dependence) -> Diagnostic {
    const CODE: &str = "order-dependent";
    match dependence {
        Dependence::Aggregate(name) => {
            let call = if name == "string_agg" { "string_agg(x, ',' order by …)".to_owned() } else { format!("{name}(x order by …)") };
            Diagnostic::error(CODE, format!("`{name}` takes rows in order, and none is said: it would differ from run to run"))
                .label("in which order?")
                .hint(format!("write `{call}`; ties are broken by all columns"))
        }
        Dependence::Window(name) => Diagnostic::error(
            CODE,
            format!("`{name}` over a window takes rows in order, and none is said: it would differ from run to run"),
        )
        .label("in which order?")
        .hint(format!("write `{name}(…) over (… order by …)`; ties are broken by all columns")),
        Dependence::Frame(name) => {
            Diagnostic::error(CODE, format!("the frame of `{name}` ends among rows that tie, whose order differs from run to run"))
                .label("over which rows?")
                .hint("count the frame in rows, as in `rows between unbounded preceding and current row`; ties are broken by all columns")
        }
        Dependence::Limit => Diagnostic::error(CODE, "rows are left out, and no order says which: it would differ from run to run")
            .label("which rows?")
            .hint("put an `order by` before it; ties are broken by all columns"),
        Dependence::DistinctOn => {
            Diagnostic::error(CODE, "`distinct on` keeps the first row, and no order says which: it would differ from run to run")
                .label("which row?")
                .hint("put an `order by` behind it that begins with the same columns; ties are broken by all columns")
        }
        Dependence::Inexact(name, instead) => {
            Diagnostic::error("inexact-function", format!("what `{name}` gives depends on how rows are split over threads and files"))
                .label(if name == "any_value" { "which value?" } else { "only an estimate" })
                .hint(format!("write `{instead}`, which is exact"))
        }
        Dependence::Unknown(name) => {
            Diagnostic::error("inexact-function", format!("it is not known whether `{name}` gives the same whatever the order of rows"))
                .label("not looked into")
                .hint("use another function")
        }
    }
}

fn name_of(dependence: &Dependence) -> Option<&str> {
    match dependence {
        Dependence::Limit | Dependence::DistinctOn => None,
        Dependence::Aggregate(name)
        | Dependence::Window(name)
        | Dependence::Frame(name)
        | Dependence::Inexact(name, _)
        | Dependence::Unknown(name) => Some(name),
    }
}

/// `tablesample`, which DataFusion ignores: it reads the whole table without a message.
pub fn samples(file: &Arc<SourceFile>, statement: &Statement) -> Vec<Diagnostic> {
    let mut samples = Samples { file, found: Vec::new() };
    if let Statement::Statement(statement) = statement {
        let _ = statement.visit(&mut samples);
    }
    samples.found
}

struct Samples<'a> {
    file: &'a Arc<SourceFile>,
    found: Vec<Diagnostic>,
}

impl Visitor for Samples<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &ast::TableFactor) -> ControlFlow<()> {
        if let ast::TableFactor::Table { name, sample: Some(_), .. } = table {
            let problem = Diagnostic::error("unrepeatable", "`tablesample` takes other rows every time, and is not understood here");
            let problem =
                problem.label("a sample of this").hint("take what a digest of a column says, as in `where md5(customer_id) < '1'`");
            self.found.push(problem.at(span_of(self.file, name.span()).unwrap_or_else(|| whole(self.file))));
        }
        ControlFlow::Continue(())
    }
}

/// The places in the text that a dependence on order may come from.
struct Places<'a> {
    file: &'a Arc<SourceFile>,
    dependence: &'a Dependence,
    found: Vec<Span>,
}

impl Places<'_> {
    fn is_meant(&self, function: &ast::Function) -> bool {
        let window = match &function.over {
            Some(WindowType::WindowSpec(spec)) => Some(Some(spec)),
            Some(WindowType::NamedWindow(_)) => Some(None),
            None => None,
        };
        match self.dependence {
            Dependence::Aggregate(_) => window.is_none() && !has_order(function),
            Dependence::Window(_) => window.is_some_and(|spec| spec.is_none_or(|spec| spec.order_by.is_empty())),
            Dependence::Frame(_) => window.is_some_and(|spec| {
                spec.and_then(|spec| spec.window_frame.as_ref()).is_none_or(|frame| !matches!(frame.units, WindowFrameUnits::Rows))
            }),
            Dependence::Inexact(..) | Dependence::Unknown(_) => true,
            Dependence::Limit | Dependence::DistinctOn => false,
        }
    }
}

impl Visitor for Places<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let place = match self.dependence {
            Dependence::Limit if query.order_by.is_none() => first_of_limit(query),
            Dependence::DistinctOn if query.order_by.is_none() => match query.body.as_ref() {
                ast::SetExpr::Select(select) => match &select.distinct {
                    Some(ast::Distinct::On(columns)) => columns.first().map(Spanned::span),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        self.found.extend(place.and_then(|place| span_of(self.file, place)));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Function(function) = expr
            && let Some(ast::ObjectNamePart::Identifier(name)) = function.name.0.last()
            && name_of(self.dependence).is_some_and(|wanted| name.value.eq_ignore_ascii_case(wanted))
            && self.is_meant(function)
        {
            self.found.extend(span_of(self.file, name.span));
        }
        ControlFlow::Continue(())
    }
}

/// The number of rows that a query returns or skips.
fn first_of_limit(query: &ast::Query) -> Option<datafusion::sql::sqlparser::tokenizer::Span> {
    let number = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit: Some(limit), .. } | LimitClause::OffsetCommaLimit { limit, .. }) => Some(limit),
        Some(LimitClause::LimitOffset { offset: Some(offset), .. }) => Some(&offset.value),
        _ => query.fetch.as_ref().and_then(|fetch| fetch.quantity.as_ref()),
    };
    number.map(Spanned::span)
}

/// Whether an aggregate has an order of its own.
fn has_order(function: &ast::Function) -> bool {
    let clauses = match &function.args {
        FunctionArguments::List(list) => list.clauses.as_slice(),
        _ => &[],
    };
    !function.within_group.is_empty() || clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
}
