//! Where something stands in the SQL of a file.

use std::sync::Arc;

use datafusion::sql::sqlparser::tokenizer;

use crate::diagnostic::{SourceFile, Span};

/// A span of the SQL parser as a span of the file; `None` if the parser knew no place.
pub fn span_of(file: &Arc<SourceFile>, span: tokenizer::Span) -> Option<Span> {
    let position = |line: u64, column: u64| Some((usize::try_from(line).ok().filter(|l| *l > 0)?, usize::try_from(column).ok()?));
    let (line, column) = position(span.start.line, span.start.column)?;
    let start = file.offset(line, column);
    let (line, column) = position(span.end.line, span.end.column)?;
    let end = file.offset(line, column).max(start + 1).min(file.text.len());
    Some(Span { file: Arc::clone(file), bytes: start..end.max(start) })
}

/// The place where a function is called, found by its name.
pub(super) fn call_of(file: &Arc<SourceFile>, name: &str) -> Span {
    let at = file.text.to_lowercase().find(&format!("{}(", name.to_lowercase()));
    at.map_or_else(|| whole(file), |at| Span { file: Arc::clone(file), bytes: at..at + name.len() })
}

/// The first line that is not a comment, for problems of a query as a whole.
pub fn whole(file: &Arc<SourceFile>) -> Span {
    let mut start = 0;
    for line in file.text.split_inclusive('\n') {
        if !line.trim().is_empty() && !line.trim_start().starts_with("--") {
            return Span { file: Arc::clone(file), bytes: start..start + line.trim_end().len() };
        }
        start += line.len();
    }
    Span { file: Arc::clone(file), bytes: 0..0 }
}

/// Converts a span of DataFusion's to one of its parser's.
pub(super) trait IntoParser {
    fn into_parser(self) -> tokenizer::Span;
}

impl IntoParser for datafusion::common::Span {
    fn into_parser(self) -> tokenizer::Span {
        use tokenizer::{Location, Span};
        Span::new(Location::new(self.start.line, self.start.column), Location::new(self.end.line, self.end.column))
    }
}
