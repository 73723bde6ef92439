/// A word or a sign of Rust source, and the number of its line.
#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The tokens of a file without comments, literals and tests. A literal text is left out unless it is a path, as in
/// `#[serde(with = "super::name")]`.
pub fn tokens_of(text: &str) -> Vec<Token> {
    without_tests(all_tokens(text))
}

/// Every function with a body, and how many lines it has from `fn` to the bracket that closes it.
pub fn functions_of(tokens: &[Token]) -> Vec<(String, usize)> {
    let mut functions = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        let is_named = name.text.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let Some(last) = (keyword.text == "fn" && is_named).then(|| end_of_item(tokens, at)) else { continue };
        functions.push((name.text.clone(), tokens[last - 1].line - keyword.line + 1));
    }
    functions
}

fn all_tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(c) = rest.chars().next() {
        let length = length_of_token(rest);
        let (token, after) = rest.split_at(length);
        let literal = token.trim_matches('"');
        if token.starts_with('"') {
            if literal.contains("::") && literal.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c)) {
                tokens.extend(all_tokens(literal).into_iter().map(|token| Token { line, ..token }));
            }
        } else if !is_passed_over(token, c) {
            tokens.push(Token { text: token.trim_start_matches("r#").to_owned(), line });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Whether a token says nothing: white space, a comment, a character, a lifetime, or a text with a prefix.
fn is_passed_over(token: &str, first: char) -> bool {
    first.is_whitespace()
        || first == '\''
        || token.starts_with("//")
        || token.starts_with("/*")
        || token.ends_with(['"', '#']) && token.len() > 1
}

/// The bytes of the token that a text begins with.
fn length_of_token(text: &str) -> usize {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    if text.starts_with("::") {
        return 2;
    }
    if text.starts_with('"') {
        return quoted(text);
    }
    if text.starts_with('\'') {
        return character_or_lifetime(text);
    }
    let word = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    match &text[..word] {
        "r" | "br" | "cr" if text[word..].starts_with(['#', '"']) => raw_text(text, word),
        "b" | "c" if text[word..].starts_with('"') => word + quoted(&text[word..]),
        "b" if text[word..].starts_with('\'') => word + character_or_lifetime(&text[word..]),
        "" => first,
        _ => word,
    }
}

/// The bytes of a text in quotes that may hold escapes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The bytes of a raw text, or of a name that is escaped (`r#type`).
fn raw_text(text: &str, prefix: usize) -> usize {
    let hashes = text[prefix..].find(|c| c != '#').unwrap_or(0);
    if !text[prefix + hashes..].starts_with('"') {
        let name = prefix + hashes;
        return text[name..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(text.len(), |end| name + end);
    }
    let inside = prefix + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    text[inside..].find(&end).map_or(text.len(), |at| inside + at + end.len())
}

fn character_or_lifetime(text: &str) -> usize {
    let mut after = text.char_indices().skip(1);
    match (after.next(), after.next()) {
        (Some((_, '\\')), _) => text[3..].find('\'').map_or(text.len(), |at| at + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => text[1..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(text.len(), |at| at + 1),
    }
}

/// Leaves out every item that stands under `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    let all_marker = ["#", "[", "cfg", "(", "all", "(", "test"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = |with: &[&str]| tokens[at..].iter().map(|token| token.text.as_str()).take(with.len()).eq(with.iter().copied());
        if begins(&marker) || begins(&all_marker) {
            at = end_of_item(&tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The place after an item: after its `;`, or after the bracket that closes its body.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" | ")" | "]" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}
