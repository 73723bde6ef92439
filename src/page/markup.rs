//! HTML that is safe to print, and the text that becomes it: whatever comes from a project or from data is escaped here or by a template.

use std::fmt;

use askama::filters::{Html, HtmlSafe};

/// HTML that needs no escaping any more. Only this module makes one from text, and escapes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markup(String);

impl Markup {
    /// A text, escaped.
    pub fn text(text: &str) -> Self {
        let mut markup = Markup::default();
        markup.push_text(text);
        markup
    }

    /// What a template rendered.
    pub fn of<T: askama::Template>(template: &T) -> Result<Self, askama::Error> {
        template.render().map(Markup)
    }

    /// Adds a text, escaped.
    pub fn push_text(&mut self, text: &str) {
        let Ok(escaped) = askama::filters::escape(text, Html);
        self.0.push_str(&escaped.to_string());
    }

    /// Adds what is HTML already.
    pub fn push(&mut self, markup: &Markup) {
        self.0.push_str(&markup.0);
    }

    /// Adds HTML that stands in this program.
    pub fn push_tag(&mut self, tag: &'static str) {
        self.0.push_str(tag);
    }

    /// Adds a number, as `text` with the exact value beside it for programs.
    pub fn push_data(&mut self, value: &str, text: &str) {
        self.0.push_str("<data value=\"");
        self.push_text(value);
        self.0.push_str("\">");
        self.push_text(text);
        self.0.push_str("</data>");
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a text whose direction is not known: it does not change the order of what is around it.
    fn push_isolated(&mut self, text: &str) {
        self.push_tag("<bdi>");
        self.push_text(text);
        self.push_tag("</bdi>");
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl HtmlSafe for Markup {}

/// A sentence, made piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Sentence(Markup);

impl Sentence {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// With words of this program, or any other text.
    #[must_use]
    pub fn words(mut self, words: &str) -> Self {
        self.0.push_text(words);
        self
    }

    /// With a name, which stands out.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.0.push_tag("<b>");
        self.0.push_isolated(name);
        self.0.push_tag("</b>");
        self
    }

    /// With a text of somebody else, such as what a check found.
    #[must_use]
    pub fn quoted(mut self, text: &str) -> Self {
        self.0.push_isolated(text);
        self
    }

    /// With what is HTML already, such as a number.
    #[must_use]
    pub fn with(mut self, markup: &Markup) -> Self {
        self.0.push(markup);
        self
    }

    /// The sentence.
    pub fn end(self) -> Markup {
        self.0
    }
}

/// A text without the characters that HTML cannot hold, and of so many characters at most.
pub fn clean(text: &str, most_characters: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(4 * most_characters));
    for (at, character) in text.chars().enumerate() {
        if at == most_characters {
            cleaned.push('…');
            break;
        }
        let is_held = !character.is_control() || character == '\n' || character == '\t';
        cleaned.push(if is_held { character } else { '\u{fffd}' });
    }
    cleaned
}

/// A name inside an attribute, where no element can keep its direction to itself: with the characters that do so.
pub fn isolated_text(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}
