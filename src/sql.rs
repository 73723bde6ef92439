//! Parses SQL text, and reports DataFusion's errors at their places in the file.

mod bounds;
mod calls;
mod failure;
mod misread;
mod order;
mod place;
mod placeholders;
mod query;
mod syntax;

pub use bounds::{Size, size};
pub use calls::{Argument, arguments};
pub use failure::{Kind, discreet, kind, places, suspects};
pub use misread::{of_condition, unsound};
pub use order::{dependent, samples};
pub use place::{span_of, whole};
pub use placeholders::{mentions_parameter, placeholder, placeholders};
pub use query::{Mention, parameters, parse, tables, text_in, too_deep, unknown_table};

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use regex::Regex;

use crate::diagnostic::{Diagnostic, SourceFile, Span, list};
use crate::engine::KnownFailure;
use place::{IntoParser, call_of};
use syntax::syntax;

/// A syntax error of a segment rule, at its place in the rule.
pub fn rule_syntax(file: &Arc<SourceFile>, error: &DataFusionError) -> Diagnostic {
    query::too_nested(file, error).unwrap_or_else(|| syntax(file, &error.strip_backtrace()))
}

/// The texts that stand in a query between single quotes.
pub fn texts(query: &str) -> Vec<String> {
    let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize().unwrap_or_default();
    let texts = tokens.into_iter().filter_map(|token| if let Token::SingleQuotedString(text) = token { Some(text) } else { None });
    texts.collect()
}

/// The words of an expression, among which are the names of the columns that it reads, in the form in which tables have them.
pub fn words(expression: &str) -> Vec<String> {
    let tokens = Tokenizer::new(&GenericDialect {}, expression).tokenize().unwrap_or_default();
    let word = |token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
        Token::Word(word) => Some(word.value),
        _ => None,
    };
    tokens.into_iter().filter_map(word).collect()
}

/// A query or an expression without comments and layout: two texts that are the same so are the same to the engine.
pub fn canonical(text: &str) -> String {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else { return text.to_owned() };
    let mut told: Vec<String> = Vec::new();
    for token in tokens {
        match token {
            Token::Whitespace(_) => {}
            Token::Word(word) if word.quote_style.is_none() => told.push(word.value.to_ascii_lowercase()),
            Token::Placeholder(name) => told.push(name),
            token => told.push(format!("{token:?}")),
        }
    }
    let end = format!("{:?}", Token::SemiColon);
    while told.last() == Some(&end) {
        told.pop();
    }
    told.join(" ")
}

/// A function whose value changes from run to run.
pub fn unrepeatable(file: &Arc<SourceFile>, name: &str) -> Diagnostic {
    // Written without parentheses, as in SQL's standard, or with them.
    let at = file.text.to_lowercase().find(name);
    let bytes = at.map_or(0..0, |at| at..at + name.len());
    Diagnostic::error("unrepeatable", format!("`{name}` gives another value every time, so the same extracts would give other outputs"))
        .at(Span { file: Arc::clone(file), bytes })
        .hint("count from `$as_of`, which is the same in every run for a day")
}

/// A query whose rows have no columns, such as `from x`, to which DataFusion adds no `select *`.
pub fn without_columns(file: &Arc<SourceFile>) -> Diagnostic {
    let problem = Diagnostic::error("no-columns", "this query selects no columns").at(whole(file)).label("which columns?");
    problem.hint("name them behind `select`, or write `select *` for all")
}

/// An error of a query that is understood, and that the engine has no way to run; none if the error is another.
pub fn unsupported(file: &Arc<SourceFile>, error: &DataFusionError) -> Option<Diagnostic> {
    const CODE: &str = "sql-unsupported";
    match error.find_root() {
        DataFusionError::NotImplemented(said) | DataFusionError::Plan(said) => {
            let is_correlated = ["OuterReferenceColumn", "outer_ref", "Subquery", "Exists", "orrelated"].iter().any(|of| said.contains(of));
            let problem = if is_correlated {
                let what = "a subquery refers to the query around it in a way that the engine cannot run";
                Diagnostic::error(CODE, what).hint("write it as a join, with `row_number() over (…)` where it takes some of the rows")
            } else {
                let problem = Diagnostic::error(CODE, "the engine understands this query, and has no way to run it");
                problem.hint("leave out what is unusual in it, or write it in another way")
            };
            Some(problem.at(whole(file)).label("somewhere in this query"))
        }
        DataFusionError::Execution(said) if said.starts_with("In an aggregate with DISTINCT, ORDER BY") => {
            let problem = Diagnostic::error(CODE, "an aggregate of `distinct` values is ordered by something else than these");
            Some(
                problem
                    .at(whole(file))
                    .label("somewhere in this query")
                    .hint("order it by its argument, as in `array_agg(distinct x order by x)`"),
            )
        }
        DataFusionError::SchemaError(..) => {
            Some(Diagnostic::error(CODE, "the engine understands this query, and has no way to run it").at(whole(file)))
        }
        _ => None,
    }
}

/// DataFusion's errors about a query, one diagnostic for each.
pub fn problems(file: &Arc<SourceFile>, error: &DataFusionError) -> Vec<Diagnostic> {
    match error {
        DataFusionError::Collection(errors) => errors.iter().flat_map(|error| problems(file, error)).collect(),
        DataFusionError::Shared(error) => problems(file, error),
        DataFusionError::Context(_, error) => problems(file, error),
        DataFusionError::Diagnostic(found, error) => {
            let span = found.span.and_then(|span| span_of(file, span.into_parser()));
            let mut inner = problems(file, error);
            if let (Some(diagnostic), Some(span)) = (inner.first_mut(), span) {
                diagnostic.span = Some(span);
                if !diagnostic.message.starts_with(found.message.as_str()) {
                    diagnostic.label.get_or_insert_with(|| found.message.clone());
                }
            }
            inner
        }
        DataFusionError::SchemaError(error, _) => vec![schema_problem(file, error)],
        // What a query would cost is told in words of ours.
        DataFusionError::External(inner) if inner.is::<KnownFailure>() => {
            let problem = Diagnostic::error("sql-too-costly", inner.to_string()).at(whole(file));
            vec![problem.label("somewhere in this query")]
        }
        other => {
            let message = other.strip_backtrace();
            let message = message.lines().next().unwrap_or_default();
            let message = message.trim_start_matches("Error during planning: ").trim_start_matches("type_coercion\ncaused by\n");
            vec![meaning(file, message)]
        }
    }
}

/// DataFusion's error about the meaning of a query, in other words if its own are hard to read.
fn meaning(file: &Arc<SourceFile>, message: &str) -> Diagnostic {
    if let Some((name, rest)) = message.strip_prefix("Invalid function '").and_then(|rest| rest.split_once("'.")) {
        let problem = Diagnostic::error("unknown-function", format!("there is no function `{name}`"));
        let problem = problem.at(call_of(file, name)).label("not known");
        // What is near is told in the engine's words: Did you mean 'x'?
        let near = rest.split_once("Did you mean '").and_then(|(_, near)| near.split_once('\'')).map(|(near, _)| near);
        return match near.filter(|near| strsim::osa_distance(name, near) <= 3) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("the functions are those of Apache DataFusion"),
        };
    }
    if let Some((_, rest)) = message.split_once("Function '")
        && let Some((name, rest)) = rest.split_once('\'')
        && let Some((_, received)) = rest.split_once("but received ")
    {
        let received = in_plain_types(received.split([' ', '.', ',']).next().unwrap_or_default());
        let wanted: BTreeSet<String> =
            rest.split("requires ").skip(1).filter_map(|wanted| wanted.split(',').next()).map(in_plain_types).collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        return Diagnostic::error("argument-type", format!("`{name}` does not take {received}"))
            .at(call_of(file, name))
            .label(format!("given {received}"))
            .hint(format!("it takes {}", list(&wanted)));
    }
    if message.contains("must appear in the GROUP BY clause") || message.contains("must be in GROUP BY") {
        return Diagnostic::error("not-grouped", "this column is neither grouped by nor aggregated")
            .at(whole(file))
            .label("which of the group's values?")
            .hint("add it to `group by`, or aggregate it, as in `max(…)`");
    }
    let message = message.trim_start_matches("Internal error: ").trim_end_matches('.');
    if let Some(operation) =
        message.strip_prefix("Cannot coerce arithmetic expression ").and_then(|rest| rest.strip_suffix(" to valid types"))
    {
        return Diagnostic::error("sql-meaning", format!("`{}` has no meaning", in_plain_types(operation)))
            .at(whole(file))
            .label("somewhere in this query")
            .hint("cast one side, as in `cast(… as integer)`; a day moves by an interval, as in `day + interval '1' day`");
    }
    Diagnostic::error("sql-meaning", in_plain_types(message)).at(whole(file))
}

/// A sentence of DataFusion's with the names of types that people write.
fn in_plain_types(message: &str) -> String {
    static TYPES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let types = [
            (r"\b(LargeUtf8|Utf8View|Utf8|String)\b", "text"),
            (r"\bDate(32|64)\b", "date"),
            (r"\bU?Int(8|16|32|64)\b", "integer"),
            (r"\bFloat(16|32|64)\b", "double"),
            (r"\bBoolean\b", "boolean"),
            (r"\bTimestamp\([^()]*(\([^()]*\)[^()]*)*\)", "timestamp"),
            (r"\bInterval\([^()]*\)", "interval"),
            (r"\bDecimal(?:32|64|128|256)\((\d+), ?(-?\d+)\)", "decimal($1,$2)"),
            (r"\bDecimal\b", "decimal"),
            (r"\bInterval\b", "interval"),
            (r"\bDuration\b", "duration"),
        ];
        types.into_iter().filter_map(|(pattern, plain)| Some((Regex::new(pattern).ok()?, plain))).collect()
    });
    TYPES.iter().fold(message.to_owned(), |told, (pattern, plain)| pattern.replace_all(&told, *plain).into_owned())
}

fn schema_problem(file: &Arc<SourceFile>, error: &SchemaError) -> Diagnostic {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let found = mention(file, field);
            let names: Vec<&str> = valid_fields.iter().map(Column::name).collect();
            let mut diagnostic = Diagnostic::error("unknown-column", format!("there is no column `{}`", field.flat_name()))
                .label("not a column here")
                .did_you_mean(field.name(), names);
            let in_double_quotes = found
                .as_ref()
                .is_some_and(|span| file.text[span.bytes.clone()].starts_with('"') || file.text[..span.bytes.start].ends_with('"'));
            if diagnostic.hint.is_none() || in_double_quotes {
                let quotes = format!("text is written in single quotes: '{}'", field.name());
                let names = diagnostic.hint.take().map_or_else(String::new, |names| format!("; {names}"));
                diagnostic = diagnostic.hint(quotes + &names);
            }
            diagnostic.at(found.unwrap_or_else(|| whole(file)))
        }
        SchemaError::AmbiguousReference { field } => {
            let name = field.name();
            Diagnostic::error("ambiguous-column", format!("several tables have a column `{name}`"))
                .at(mention(file, field).unwrap_or_else(|| whole(file)))
                .label("of which?")
                .hint(format!("write the table before it, as in `t.{name}`"))
        }
        other => Diagnostic::error("sql-meaning", other.to_string()).at(whole(file)),
    }
}

/// The place of a column, if DataFusion does not give one: the first place of its name in the text.
fn mention(file: &Arc<SourceFile>, column: &Column) -> Option<Span> {
    let first = column.spans().first().and_then(|span| span_of(file, span.into_parser()));
    first.or_else(|| {
        let at = file.text.find(column.name())?;
        Some(Span { file: Arc::clone(file), bytes: at..at + column.name().len() })
    })
}
