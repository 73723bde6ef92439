//! Accepts one query that only reads, and refuses everything else: the rule for all SQL of a project.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::config::Dialect;
use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{self, SetExpr, Spanned as _, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::{Dialect as Syntax, dialect_from_str};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{self, Token, TokenWithSpan, Tokenizer};

use super::place::{span_of, whole};
use super::placeholders::placeholders;
use super::syntax::syntax;
use crate::diagnostic::{Diagnostic, SourceFile, Span};

/// The longest chain of operators, or of queries in a union, that fits the stack of a thread.
const MAX_CHAIN: usize = 1_000;

/// The longest chain of operators after a value (`at time zone`, `is null`), for each of which the planner uses more stack than for others.
const MAX_BEHIND: usize = 200;

/// How deep brackets, `case` and `not` may be nested so that the parser can always parse them.
const MAX_NESTED: usize = 45;

/// The longest text that may stand in SQL: it is repeated in every row.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

const CODE: &str = "not-a-query";
const ONE_QUERY: &str = "write one `select` (or `with … select`) statement: SQL of a project only reads";

/// Parses one query, and reports every part of it that writes, sets, opens files or would be ignored.
///
/// # Errors
/// A syntax error at its place, and anything else than one query.
pub fn parse(file: &Arc<SourceFile>) -> Result<(Statement, Vec<Diagnostic>), Diagnostic> {
    let dialect = dialect()?;
    let tokens = Tokens::of(file, dialect.as_ref());
    tokens.too_deep().map_or(Ok(()), Err)?;
    let mut statements = statements(file, dialect.as_ref(), &tokens)?;
    let refused = |what: &str, place: Option<Span>| {
        let problem = Diagnostic::error(CODE, what).at(place.unwrap_or_else(|| whole(file)));
        Err(problem.hint(ONE_QUERY))
    };
    let Some(first) = statements.pop_front() else { return refused("there is no query here", None) };
    if !statements.is_empty() {
        return refused("there are several statements here", tokens.second_statement());
    }
    match first {
        Statement::Statement(statement) if matches!(*statement, ast::Statement::Query(_)) => {
            let statement = Statement::Statement(statement);
            let mut problems = not_read(file, &tokens, &statement);
            problems.extend(super::bounds::problems(file, &statement));
            problems.extend(super::misread::problems(file, &statement));
            Ok((statement, problems))
        }
        _ => {
            let (word, place) = tokens.first_word();
            refused(&word.map_or_else(|| "this is not a query".to_owned(), |word| format!("`{word}` is not a query")), place)
        }
    }
}

fn dialect() -> Result<Box<dyn Syntax>, Diagnostic> {
    dialect_from_str(Dialect::Generic).ok_or_else(|| Diagnostic::error("sql-syntax", "the SQL dialect is not known"))
}

fn statements(file: &Arc<SourceFile>, dialect: &dyn Syntax, tokens: &Tokens<'_>) -> Result<VecDeque<Statement>, Diagnostic> {
    let parsed = DFParserBuilder::new(file.text.as_str()).with_dialect(dialect).build().and_then(|mut parser| parser.parse_statements());
    parsed.map_err(|error| {
        // The parser says of some that something is missing, and knows no place.
        tokens.too_nested(is_recursion(&error)).unwrap_or_else(|| syntax(file, &error.strip_backtrace()))
    })
}

/// A condition that is too long to be parsed.
pub fn too_deep(file: &Arc<SourceFile>) -> Option<Diagnostic> {
    Tokens::of(file, dialect_from_str(Dialect::Generic)?.as_ref()).too_deep()
}

/// A condition that is too deep for the parser, recognised by the parser's message.
pub fn too_nested(file: &Arc<SourceFile>, error: &DataFusionError) -> Option<Diagnostic> {
    Tokens::of(file, dialect_from_str(Dialect::Generic)?.as_ref()).too_nested(is_recursion(error))
}

/// Whether the parser has given up because a query is nested too deeply for it.
fn is_recursion(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::SQL(error, _) if matches!(**error, ParserError::RecursionLimitExceeded))
}

/// A name that a query mentions, and where it first does.
#[derive(Debug, Clone)]
pub struct Mention {
    /// The name as SQL understands it.
    pub name: String,
    /// Where it stands, if the parser says.
    pub span: Option<Span>,
}

/// The tables that a query reads, without its own common table expressions and functions; each once, in order of name.
pub fn tables(file: &Arc<SourceFile>, statement: &Statement) -> Vec<Mention> {
    let references = resolve_table_references(statement, true).map(|(tables, _)| tables).unwrap_or_default();
    let mentions = mentions(statement);
    let names: BTreeSet<String> = references.iter().map(ToString::to_string).filter(|name| !mentions.functions.contains(name)).collect();
    let place = |name: &String| {
        let there = mentions.tables.iter().find(|(table, _)| table == name).and_then(|(_, span)| span_of(file, *span));
        // The parser forgets where a text stood that it takes for a name.
        there.or_else(|| {
            let quoted = format!("'{name}'");
            let start = file.text.find(&quoted)?;
            Some(Span { file: Arc::clone(file), bytes: start..start + quoted.len() })
        })
    };
    names.into_iter().map(|name| Mention { span: place(&name), name }).collect()
}

/// The parameters that a query reads, at every place.
pub fn parameters(file: &Arc<SourceFile>, statement: &Statement) -> Vec<Mention> {
    let mentions = mentions(statement).parameters.into_iter();
    mentions.map(|(name, span)| Mention { span: span_of(file, span), name }).collect()
}

/// Where a text stands in quotes.
pub fn text_in(file: &Arc<SourceFile>, text: &str) -> Option<Span> {
    let dialect = dialect_from_str(Dialect::Generic)?;
    let tokens = Tokens::of(file, dialect.as_ref());
    let found = tokens.tokens.iter().find(|token| matches!(&token.token, Token::SingleQuotedString(found) if found == text))?;
    tokens.place(found)
}

/// The error for a table that does not exist. If the name looks like a file, the error says that it is not a table.
pub fn unknown_table<'a>(mention: &Mention, known: impl IntoIterator<Item = &'a str>) -> Diagnostic {
    let name = mention.name.as_str();
    let problem =
        if name.contains(['/', '\\', ':']) || [".csv", ".json", ".parquet", ".arrow", ".avro"].iter().any(|end| name.ends_with(end)) {
            let problem = Diagnostic::error("unknown-table", "a query reads the tables of the project, and no files");
            problem.label("not a table").hint("declare the file as a source of the pipeline, and read it as `sources.NAME`")
        } else {
            Diagnostic::error("unknown-table", format!("there is no table `{name}`")).label("not known").did_you_mean(name, known)
        };
    match &mention.span {
        Some(span) => problem.at(span.clone()),
        None => problem,
    }
}

/// The parts of a query that do something else than read the project's tables.
fn not_read(file: &Arc<SourceFile>, tokens: &Tokens<'_>, statement: &Statement) -> Vec<Diagnostic> {
    let mut critic = Critic { file, tokens, problems: Vec::new() };
    if let Statement::Statement(statement) = statement {
        // The visitor never breaks off.
        let _ = statement.visit(&mut critic);
    }
    critic.problems
}

struct Critic<'a> {
    file: &'a Arc<SourceFile>,
    tokens: &'a Tokens<'a>,
    problems: Vec<Diagnostic>,
}

impl Critic<'_> {
    fn object(&mut self, what: impl Into<String>, place: Option<Span>, hint: &str) {
        let problem = Diagnostic::error(CODE, what).at(place.unwrap_or_else(|| whole(self.file))).hint(hint);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn function(&mut self, name: &str, span: tokenizer::Span) {
        let place = span_of(self.file, span).unwrap_or_else(|| whole(self.file));
        let hint = match name.to_lowercase().as_str() {
            "generate_series" | "range" => format!("for rows of a series write `unnest({name}(…))`"),
            _ => "a query reads the tables of the project alone: declare a file as a source of the pipeline".to_owned(),
        };
        let problem = Diagnostic::error("table-function", format!("`{name}` is a function, and is not read as a table"));
        self.problems.push(problem.at(place).label("not a table").hint(hint));
    }
}

impl Visitor for Critic<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        if let SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) = query.body.as_ref() {
            let word = match query.body.as_ref() {
                SetExpr::Insert(_) => "insert",
                SetExpr::Update(_) => "update",
                SetExpr::Delete(_) => "delete",
                _ => "merge",
            };
            self.object(format!("`{word}` is not a query"), self.tokens.words(&[word]), ONE_QUERY);
        }
        // DataFusion passes over these as if they were not there.
        if !query.locks.is_empty() || query.for_clause.is_some() {
            self.object("a query locks nothing, and gives rows in one form", self.tokens.words(&["for"]), "leave it out");
        }
        if query.settings.is_some() {
            self.object("a query sets nothing", self.tokens.words(&["settings"]), "leave it out");
        }
        if query.format_clause.is_some() {
            self.object("a query has no format", self.tokens.words(&["format"]), "leave it out");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<()> {
        if select.into.is_some() {
            self.object("`select … into` makes a table, and is not a query", self.tokens.words(&["into"]), ONE_QUERY);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &ast::Statement) -> ControlFlow<()> {
        if !matches!(statement, ast::Statement::Query(_)) {
            // Told where it stands in its query.
            let told = !self.problems.is_empty();
            if !told {
                self.object("a statement within a query is not a query", None, ONE_QUERY);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        match table {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                self.function(&name.to_string(), name.span());
            }
            TableFactor::Table { name, version, with_hints, partitions, json_path, index_hints, with_ordinality, .. } => {
                let is_plain = version.is_none() && json_path.is_none() && !with_ordinality;
                if !is_plain || !with_hints.is_empty() || !partitions.is_empty() || !index_hints.is_empty() {
                    self.object(
                        format!("what follows `{name}` would be passed over"),
                        span_of(self.file, name.span()),
                        "a table is read as it is: leave out versions, partitions and hints",
                    );
                }
            }
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => {}
            other => self.object(
                "this is none of the tables that a query reads",
                span_of(self.file, other.span()),
                "a query reads the tables of the project, joins and subqueries of them, and `unnest(…)`",
            ),
        }
        ControlFlow::Continue(())
    }
}

/// The tables and parameters that a statement mentions, with their places.
#[derive(Default)]
struct Mentions {
    tables: Vec<(String, tokenizer::Span)>,
    parameters: Vec<(String, tokenizer::Span)>,
    /// Functions in the place of a table.
    functions: BTreeSet<String>,
}

impl Visitor for Mentions {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<()> {
        self.tables.push((as_sql_takes_it(relation), relation.span()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } = table {
            self.functions.insert(as_sql_takes_it(name));
        }
        ControlFlow::Continue(())
    }
}

/// A name with its unquoted parts in lower case.
fn as_sql_takes_it(name: &ast::ObjectName) -> String {
    object_name_to_table_reference(name.clone(), true).map_or_else(|_| name.to_string(), |name| name.to_string())
}

fn mentions(statement: &Statement) -> Mentions {
    let mut mentions = Mentions::default();
    if let Statement::Statement(inner) = statement {
        // The visitor never breaks off.
        let _ = inner.visit(&mut mentions);
        mentions.parameters = placeholders(inner.as_ref());
    }
    mentions
}

/// A chain of operators within one level of brackets.
#[derive(Default)]
struct Chain {
    /// The number of operators so far.
    operators: usize,
    /// The number of operators after a value that bind closer than `and`, such as `is null is null`.
    behind: usize,
    /// The queries that are united.
    united: usize,
}

impl Chain {
    fn take(&mut self, token: &Token) {
        match token {
            Token::Comma => (self.operators, self.behind) = (0, 0),
            Token::Word(word) if word.quote_style.is_none() => match word.value.to_lowercase().as_str() {
                "union" | "intersect" | "except" => self.united += 1,
                "and" | "or" => (self.operators, self.behind) = (self.operators + 1, 0),
                "join" | "like" | "ilike" | "similar" | "rlike" | "regexp" | "xor" | "div" => self.operators += 1,
                "is" | "in" | "between" | "collate" | "at" | "escape" | "over" | "isnull" | "notnull" => self.behind += 1,
                "select" | "from" | "where" | "when" | "then" | "else" => (self.operators, self.behind) = (0, 0),
                _ => {}
            },
            Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) => {}
            Token::Period | Token::LParen | Token::RParen => {}
            _ => self.operators += 1,
        }
    }

    fn is_too_long(&self) -> bool {
        self.operators > MAX_CHAIN || self.behind > MAX_BEHIND || self.united > MAX_CHAIN
    }
}

/// The text of a token, in any kind of quotes.
fn text_of(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text)
        | Token::NationalStringLiteral(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::HexStringLiteral(text)
        | Token::SingleQuotedByteStringLiteral(text)
        | Token::SingleQuotedRawStringLiteral(text)
        | Token::TripleSingleQuotedString(text) => Some(text),
        Token::DollarQuotedString(text) => Some(&text.value),
        _ => None,
    }
}

/// The words of a text, for places that the parsed statement does not know.
struct Tokens<'a> {
    file: &'a Arc<SourceFile>,
    tokens: Vec<TokenWithSpan>,
}

impl<'a> Tokens<'a> {
    fn of(file: &'a Arc<SourceFile>, dialect: &dyn Syntax) -> Self {
        let tokens = Tokenizer::new(dialect, &file.text).tokenize_with_location().unwrap_or_default();
        Tokens { file, tokens: tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect() }
    }

    fn place(&self, token: &TokenWithSpan) -> Option<Span> {
        span_of(self.file, token.span)
    }

    fn first_word(&self) -> (Option<String>, Option<Span>) {
        let first = self.tokens.iter().find(|token| !matches!(token.token, Token::SemiColon | Token::LParen));
        let word = first.and_then(|token| if let Token::Word(word) = &token.token { Some(word.value.to_lowercase()) } else { None });
        (word, first.and_then(|token| self.place(token)))
    }

    /// The first word after a semicolon that ends a statement.
    fn second_statement(&self) -> Option<Span> {
        let begun = self.tokens.iter().skip_while(|token| token.token == Token::SemiColon);
        let mut rest = begun.skip_while(|token| token.token != Token::SemiColon).skip_while(|token| token.token == Token::SemiColon);
        rest.next().and_then(|token| self.place(token))
    }

    /// A chain of operators that is too long. The planner recurses as deep as the chain is long.
    fn too_deep(&self) -> Option<Diagnostic> {
        let mut levels = vec![Chain::default()];
        for token in &self.tokens {
            match &token.token {
                Token::LParen => levels.push(Chain::default()),
                Token::RParen if levels.len() > 1 => drop(levels.pop()),
                _ => {}
            }
            let chain = levels.last_mut()?;
            chain.take(&token.token);
            if chain.is_too_long() {
                let most = if chain.behind > MAX_BEHIND { MAX_BEHIND } else { MAX_CHAIN };
                let what = format!("more than {most} operators or queries stand in one chain");
                let problem = Diagnostic::error("sql-too-deep", what).at(self.place(token).unwrap_or_else(|| whole(self.file)));
                return Some(problem.label("one too many").hint("part it in several models"));
            }
        }
        self.too_long_text().or_else(|| self.too_nested(false))
    }

    fn too_long_text(&self) -> Option<Diagnostic> {
        let token = self.tokens.iter().find(|token| text_of(&token.token).is_some_and(|text| text.len() > MAX_TEXT_BYTES))?;
        let place = self.place(token).unwrap_or_else(|| whole(self.file));
        let bytes = place.bytes.start..place.bytes.start + 1;
        let what = format!("a text is longer than {} KiB", MAX_TEXT_BYTES / 1024);
        let problem = Diagnostic::error("sql-too-costly", what).at(Span { bytes, ..place });
        Some(problem.label("begins here").hint("keep it in a table under `reference`, or in an extract"))
    }

    /// The place where brackets, `case` and `not` are nested deeper than the parser can go.
    fn too_nested(&self, is_certain: bool) -> Option<Diagnostic> {
        let (mut brackets, mut cases, mut nots, mut deepest) = (0_usize, 0_usize, 0_usize, None);
        let mut most = 0;
        for token in &self.tokens {
            let word = match &token.token {
                Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
                _ => String::new(),
            };
            nots = if word == "not" { nots + 1 } else { 0 };
            match (&token.token, word.as_str()) {
                (Token::LParen | Token::LBracket | Token::LBrace, _) => brackets += 1,
                (Token::RParen | Token::RBracket | Token::RBrace, _) => brackets = brackets.saturating_sub(1),
                (_, "case") => cases += 1,
                (_, "end") => cases = cases.saturating_sub(1),
                _ => {}
            }
            let depth = brackets + cases + nots;
            if depth > most && most < MAX_NESTED {
                (most, deepest) = (depth, Some(token));
            }
        }
        let place = deepest.filter(|_| is_certain || most >= MAX_NESTED).and_then(|token| self.place(token));
        let place = place.or_else(|| is_certain.then(|| whole(self.file)))?;
        let problem = Diagnostic::error("sql-too-deep", "brackets, cases or queries stand in one another too deeply").at(place);
        Some(problem.label("deeper than can be taken apart").hint("part it: in `with` parts, or in several models"))
    }

    /// The first of some words in a row.
    fn words(&self, words: &[&str]) -> Option<Span> {
        let is = |token: &TokenWithSpan, word: &str| matches!(&token.token, Token::Word(found) if found.value.eq_ignore_ascii_case(word));
        let at = self.tokens.windows(words.len()).position(|tokens| tokens.iter().zip(words).all(|(token, word)| is(token, word)))?;
        self.place(&self.tokens[at])
    }
}

/// The only statement of a text that has passed all other tests.
#[cfg(test)]
pub(super) fn statement(file: &Arc<SourceFile>) -> Option<Statement> {
    let dialect = dialect().ok()?;
    statements(file, dialect.as_ref(), &Tokens::of(file, dialect.as_ref())).ok()?.pop_front()
}
