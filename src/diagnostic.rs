//! Problems of the project: each has a message, a place and a hint, and is shown in a code frame.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Renderer, Snippet};

use crate::shown;

/// A text file of the project, kept so that a problem can show the line it is on.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path from the project's root, as a person would type it.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A place in a text file, as a range of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Bytes from the file's beginning.
    pub bytes: Range<usize>,
}

/// What to do about a problem, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(pub String);

/// One problem of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable name for this kind of problem, such as `unknown-table`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Option<Span>,
    /// Why, shown beside the caret.
    pub label: Option<String>,
    /// What to do.
    pub hint: Option<Hint>,
    /// Whether the project can still run.
    pub level: Level,
    /// Related places in the same file, each with a label.
    pub also: Vec<(Span, String)>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The project cannot run.
    Error,
    /// The project runs, but somebody should look at this.
    Warning,
}

impl SourceFile {
    /// Byte offset of a line and column, both from 1, the column counted in characters.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.line_start(line);
        let rest = &self.text[start..];
        let rest = rest.split('\n').next().unwrap_or_default();
        start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
    }

    /// Line and column, both from 1, of a byte offset.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    fn line_start(&self, line: usize) -> usize {
        if line <= 1 {
            return 0;
        }
        self.text.match_indices('\n').nth(line - 2).map_or(self.text.len(), |(at, _)| at + 1)
    }
}

impl Span {
    /// The span of `length` bytes at a line and column, both from 1.
    pub fn at(file: &Arc<SourceFile>, line: usize, column: usize, length: usize) -> Self {
        let start = file.offset(line, column);
        let end = file.text.ceil_char_boundary((start + length.max(1)).min(file.text.len()));
        Span { file: Arc::clone(file), bytes: start..end.max(start) }
    }
}

impl Diagnostic {
    /// A problem without a place.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic { code, message: message.into(), span: None, label: None, hint: None, level: Level::Error, also: Vec::new() }
    }

    /// A warning without a place.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic { level: Level::Warning, ..Diagnostic::error(code, message) }
    }

    /// Sets the place.
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Sets the reason, which is shown beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets the hint: what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(Hint(hint.into()));
        self
    }

    /// Adds a related place, in the same file or in another one.
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.also.push((span, label.into()));
        self
    }

    /// Moves a problem from a text to the file that contains the text; `place` gives the place of a part of the text, in bytes.
    pub fn moved(mut self, place: impl Fn(Range<usize>) -> Span) -> Self {
        self.span = self.span.map(|span| place(span.bytes));
        self.also = self.also.into_iter().map(|(span, label)| (place(span.bytes), label)).collect();
        self
    }

    /// Suggests the nearest of the valid names, or else all of them.
    pub fn did_you_mean<'a>(self, wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Self {
        match suggestion(wrong, right) {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The problem as people read it: message, code frame with a caret, hint.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled().decor_style(DecorStyle::Unicode) } else { Renderer::plain() };
        let level = match self.level {
            Level::Error => annotate_snippets::Level::ERROR,
            Level::Warning => annotate_snippets::Level::WARNING,
        };
        let [message, label, hint] = [Some(&self.message), self.label.as_ref(), self.hint.as_ref().map(|Hint(hint)| hint)]
            .map(|text| text.map(|text| shown::lines(text)));
        let title = level.primary_title(message.as_deref().unwrap_or_default()).id(self.code);
        let Some(span) = &self.span else {
            // Without a frame above it, the hint's bar would hang in the air.
            let text = renderer.render(&[title.elements([] as [Snippet<'_, Annotation<'_>>; 0])]);
            return hint.map_or(text.clone(), |hint| format!("{text}\n  = help: {hint}"));
        };
        let annotation = AnnotationKind::Primary.span(span.bytes.clone()).label(label.as_deref());
        // Each file has a frame of its own, in the order in which they are named.
        let mut files: Vec<&Arc<SourceFile>> = vec![&span.file];
        for (other, _) in &self.also {
            if !files.iter().any(|file| file.path == other.file.path) {
                files.push(&other.file);
            }
        }
        let texts: Vec<_> = files.iter().map(|file| (shown::covered(&file.text), shown::name(&file.path))).collect();
        let mut annotation = Some(annotation);
        let snippets = files.iter().zip(&texts).map(|(file, (text, path))| {
            let also = self.also.iter().filter(|(span, _)| span.file.path == file.path);
            let also = also.map(|(span, label)| AnnotationKind::Context.span(span.bytes.clone()).label(label.as_str()));
            Snippet::source(text.as_ref()).path(path.as_ref()).annotations(annotation.take()).annotations(also)
        });
        let group = title.elements(snippets.collect::<Vec<_>>());
        let help = hint.as_deref().map(|hint| annotate_snippets::Level::HELP.message(hint));
        renderer.render(&[group.elements(help)])
    }
}

/// Sorts problems by file and place; those without a place come last.
pub fn in_order(mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    problems.sort_by(|a, b| {
        let key = |problem: &Diagnostic| problem.span.as_ref().map(|span| (Arc::clone(&span.file), span.bytes.start));
        match (key(a), key(b)) {
            (Some((file, at)), Some((other, then))) => (&file.path, at).cmp(&(&other.path, then)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    });
    problems
}

/// Keys of the pipeline file, parameters and columns for SQL that had other names before, and their names now.
const RENAMED: [(&str, &str); 7] = [
    ("most_holders", "max_customers"),
    ("most_per_customer", "max_per_customer"),
    ("null_words", "null_values"),
    ("$null_words", "$null_values"),
    ("passes_on", "transferable"),
    ("stands_alone", "standalone"),
    ("ties", "edges"),
];

/// The name that was probably meant; none when none is near.
pub fn nearest<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &str| strsim::osa_distance(&wrong.to_lowercase(), &name.to_lowercase());
    let likeness = |name: &str| strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase());
    // Few wrong letters first; among equally many, the likest beginning.
    let nearest = right
        .into_iter()
        .min_by(|a, b| distance(a).cmp(&distance(b)).then_with(|| likeness(b).total_cmp(&likeness(a))).then_with(|| a.cmp(b)));
    nearest.filter(|name| likeness(name) > 0.8)
}

/// The new name, if an old one was used; else "did you mean …?" with the nearest name, or the list of all names if none is near.
pub fn suggestion<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = right.into_iter().collect();
    if let Some((_, now)) = RENAMED.iter().find(|(before, now)| *before == wrong && names.contains(now)) {
        return Some(format!("`{wrong}` is called `{now}` now"));
    }
    match nearest(wrong, names.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if (1..=13).contains(&names.len()) => Some(format!("there is {}", list(&names))),
        None => None,
    }
}

/// A number with its noun: `1 source`, `2 sources`.
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The most names that a message lists.
const NAMES_TOLD: usize = 50;

/// Names as prose: `a`, `b` and `c`; if there are very many, the first ones and the number of the others.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    if names.len() > NAMES_TOLD {
        let told: Vec<String> = names[..NAMES_TOLD].iter().map(|name| format!("`{}`", name.as_ref())).collect();
        return format!("{} and {} more", told.join(", "), names.len() - NAMES_TOLD);
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Shows the file, line and column at which the span begins.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.file.line_and_column(self.bytes.start);
        write!(f, "{}:{line}:{column}", self.file.path)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = &self.span {
            write!(f, "{span}: ")?;
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_columns_agree_past_wide_characters() {
        let file = SourceFile { path: "a.sql".into(), text: "één\nselect ü from x\n".into() };
        let offset = file.offset(2, 8);
        assert_eq!(&file.text[offset..offset + 2], "ü");
        assert_eq!(file.line_and_column(offset), (2, 8));
    }

    #[test]
    fn places_in_other_files_have_frames_of_their_own() {
        let file = |path: &str, text: &str| Arc::new(SourceFile { path: path.into(), text: text.into() });
        let (one, other) = (file("a.sql", "select x\n"), file("b.yaml", "k: 1\nwhen: x > 1\n"));
        let span = |file: &Arc<SourceFile>, bytes: std::ops::Range<usize>| Span { file: Arc::clone(file), bytes };
        let problem = Diagnostic::error("some-code", "x is wrong").at(span(&one, 7..8)).label("here").hint("do this");
        let rendered = problem.also(span(&other, 5..16), "the rule").also(span(&one, 0..6), "read here").render(false);
        for part in ["--> a.sql:1:8", "read here", "b.yaml:2:1", "when: x > 1", "the rule", "help: do this"] {
            assert!(rendered.contains(part), "{part}:\n{rendered}");
        }
    }

    #[test]
    fn the_name_with_the_fewest_wrong_letters_is_suggested() {
        let names = ["lapsing_after_days", "lapsed_after_days", "new_for_days"];
        assert_eq!(suggestion("lapsd_after_days", names).as_deref(), Some("did you mean `lapsed_after_days`?"));
        assert_eq!(
            suggestion("customers", names).as_deref(),
            Some("there is `lapsing_after_days`, `lapsed_after_days` and `new_for_days`")
        );
    }

    #[test]
    fn the_frame_shows_file_line_caret_and_hint() {
        let file = Arc::new(SourceFile { path: "sql/a.sql".into(), text: "select order_dat\nfrom staging.orders\n".into() });
        let diagnostic = Diagnostic::error("unknown-column", "there is no column `order_dat`")
            .at(Span::at(&file, 1, 8, 9))
            .label("not a column of `staging.orders`")
            .did_you_mean("order_dat", ["order_date", "quantity"]);
        let frame = diagnostic.render(false);
        for part in ["error[unknown-column]", "sql/a.sql:1:8", "^^^^^^^^^ not a column", "did you mean `order_date`?"] {
            assert!(frame.contains(part), "{part} is missing from\n{frame}");
        }
    }
}
