//! Named parts of a location: `{region}` and `{day:%Y%m%d}` are wildcards that give their part of a path a name.

/// A named part of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPart {
    /// Its name.
    pub name: String,
    /// How a day or moment is written there, as a pattern with `%`; none for any text.
    pub pattern: Option<String>,
}

/// A piece of a location, from the first wildcard on.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A text that stands for itself.
    Text(String),
    /// `*`: any text within a folder's or file's name.
    Any,
    /// `**/`: any folders, or none.
    Folders,
    /// `?` or `[…]`: one character.
    One(glob::Pattern),
    /// A named part, by its place among them.
    Part(usize),
}

/// Stand-ins for named parts while a location is taken apart into folders and names, which no name of a file has in earnest.
const FIRST_STAND_IN: u32 = 0x10_FF00;
/// The most named parts of a location.
pub const MAX_PARTS: usize = 32;

/// The stand-in for a named part.
fn stand_in(part: usize) -> char {
    u32::try_from(part).ok().and_then(|part| char::from_u32(FIRST_STAND_IN + part)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The named part that a character stands for.
fn part_of(c: char) -> Option<usize> {
    let part = u32::from(c).checked_sub(FIRST_STAND_IN)?;
    usize::try_from(part).ok().filter(|part| *part < MAX_PARTS)
}

/// A location with a stand-in for each of its named parts, and these.
///
/// # Errors
/// What is wrong with them.
pub fn take_out(location: &str) -> Result<(String, Vec<NamedPart>), String> {
    let mut text = String::with_capacity(location.len());
    let mut parts: Vec<NamedPart> = Vec::new();
    let mut rest = location;
    while let Some(c) = rest.chars().next() {
        if part_of(c).is_some() {
            return Err("it has a character for private use in it".to_owned());
        }
        let length = match c {
            '[' => bracket(rest).unwrap_or(1),
            // A variable that stands in quotes, and so for itself.
            '$' if rest.starts_with("${") => 2,
            '{' => {
                let (part, length) = named_part(rest)?;
                if parts.iter().any(|before| before.name == part.name) {
                    return Err(format!("`{{{}}}` stands in it twice: give each part a name of its own", part.name));
                }
                if parts.len() == MAX_PARTS {
                    return Err(format!("it has more than {MAX_PARTS} named parts"));
                }
                text.push(stand_in(parts.len()));
                parts.push(part);
                rest = &rest[length..];
                continue;
            }
            c => c.len_utf8(),
        };
        text.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    match beside(&text, &parts) {
        Some(part) => {
            Err(format!("it is not certain where `{{{part}}}` begins or ends: put a character between it and the wildcard beside it"))
        }
        None => Ok((text, parts)),
    }
}

/// A part of any text that has a wildcard of any text beside it.
fn beside<'a>(text: &str, parts: &'a [NamedPart]) -> Option<&'a str> {
    let any = |c: char| part_of(c).and_then(|part| parts.get(part)).filter(|part| part.pattern.is_none());
    let mut pairs = text.chars().zip(text.chars().skip(1));
    pairs.find_map(|(one, two)| match (any(one), any(two)) {
        (Some(part), _) if two == '*' || any(two).is_some() => Some(part.name.as_str()),
        (_, Some(part)) if one == '*' => Some(part.name.as_str()),
        _ => None,
    })
}

/// How long the brackets are with which a text begins; none when they do not close.
fn bracket(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let inner = inner.strip_prefix('!').unwrap_or(inner);
    // The first character in brackets may be a closing one.
    let first = inner.chars().next()?.len_utf8();
    let close = inner[first..].find(']')?;
    Some(text.len() - inner.len() + first + close + 1)
}

/// The named part with which a text begins, and its length.
fn named_part(text: &str) -> Result<(NamedPart, usize), String> {
    let close = text.find('}').ok_or("`{` has no `}` after it; write it as `[{]` where it is part of a name")?;
    let inner = &text[1..close];
    let (name, pattern) = inner.split_once(':').map_or((inner, None), |(name, pattern)| (name, Some(pattern)));
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !is_name || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!(
            "`{{{inner}}}` names no part of a path: write it as `{{day}}` or `{{day:%Y%m%d}}`, or as `[{{]` where it is part of a name"
        ));
    }
    Ok((NamedPart { name: name.to_owned(), pattern: pattern.map(str::to_owned) }, close + 1))
}

/// A text with stand-ins, with the wildcards that these stand for. Where two stars would meet at a named part, one means the same.
pub fn with_wildcards(text: &str, parts: &[NamedPart]) -> String {
    let mut written = String::with_capacity(text.len());
    let mut is_of_part = false;
    for c in text.chars() {
        let part = part_of(c).and_then(|part| parts.get(part));
        let wildcards = part.map_or_else(|| c.to_string(), |part| part.pattern.as_deref().map_or("*".to_owned(), stars));
        let meets = (part.is_some() || is_of_part) && written.ends_with('*');
        written.push_str(wildcards.strip_prefix('*').filter(|_| meets).unwrap_or(&wildcards));
        is_of_part = part.is_some();
    }
    written
}

/// The wildcards for a pattern of a day: a star for each folder or file name that it is in.
fn stars(pattern: &str) -> String {
    vec!["*"; pattern.matches('/').count() + 1].join("/")
}

/// The pieces of a location that begins with these folders and names, which have stand-ins.
pub fn tokens(components: &[&str]) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (at, component) in components.iter().enumerate() {
        let is_last = at + 1 == components.len();
        if *component == "**" {
            tokens.push(Token::Folders);
            if is_last {
                tokens.push(Token::Any);
            }
            continue;
        }
        let mut rest = *component;
        while let Some(c) = rest.chars().next() {
            let length = if c == '[' { bracket(rest).unwrap_or(1) } else { c.len_utf8() };
            let (text, after) = rest.split_at(length);
            match (c, part_of(c)) {
                (_, Some(part)) => tokens.push(Token::Part(part)),
                ('*', _) if tokens.last() == Some(&Token::Any) => {}
                ('*', _) => tokens.push(Token::Any),
                ('?' | '[', _) => match glob::Pattern::new(text) {
                    Ok(one) => tokens.push(Token::One(one)),
                    Err(_) => push_text(&mut tokens, text),
                },
                _ => push_text(&mut tokens, text),
            }
            rest = after;
        }
        if !is_last {
            push_text(&mut tokens, "/");
        }
    }
    tokens
}

fn push_text(tokens: &mut Vec<Token>, text: &str) {
    match tokens.last_mut() {
        Some(Token::Text(before)) => before.push_str(text),
        _ => tokens.push(Token::Text(text.to_owned())),
    }
}

/// Whether a text has a stand-in.
fn has_part(text: &str) -> bool {
    text.chars().any(|c| part_of(c).is_some())
}

/// Whether the folders of a location may say a value as `name=value`, as far as can be told from the location alone.
pub fn may_have_key(location: &str, name: &str) -> bool {
    let Ok((text, _)) = take_out(location) else { return true };
    let Some((folders, _)) = text.rsplit_once('/') else { return false };
    let may_be = |folder: &str| {
        let key = folder.split_once('=').map_or(folder, |(key, _)| key);
        let is_open = key.contains(['*', '?', '[']) && !has_part(folder);
        is_open || (folder.contains('=') && key == name)
    };
    folders.split('/').any(may_be)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, pattern: Option<&str>) -> NamedPart {
        NamedPart { name: name.to_owned(), pattern: pattern.map(str::to_owned) }
    }

    #[test]
    fn parts_are_taken_out_and_become_wildcards() {
        for (location, parts, written) in [
            ("a/*.csv", vec![], "a/*.csv"),
            ("a/c_{day:%Y%m%d}.csv", vec![part("day", Some("%Y%m%d"))], "a/c_*.csv"),
            ("{region}/o_*{day:%F}.csv", vec![part("region", None), part("day", Some("%F"))], "*/o_*.csv"),
            ("a/{day:year=%Y/month=%m}/x", vec![part("day", Some("year=%Y/month=%m"))], "a/*/*/x"),
            ("a/**/*{day:%F}*", vec![part("day", Some("%F"))], "a/**/*"),
            ("a[{]b}/[]{]/[!{]", vec![], "a[{]b}/[]{]/[!{]"),
            ("${HOME:-a}/*.csv", vec![], "${HOME:-a}/*.csv"),
        ] {
            let (text, found) = take_out(location).unwrap();
            assert_eq!(found, parts, "{location}");
            assert_eq!(with_wildcards(&text, &found), written, "{location}");
        }
    }

    #[test]
    fn a_location_tells_which_keys_its_folders_may_have() {
        for (location, name, may_have) in [
            ("data/dt=*/a.csv", "dt", true),
            ("data/dt=*/a.csv", "region", false),
            ("data/*/a.csv", "region", true),
            ("data/**/*.parquet", "region", true),
            ("data/a_*.csv", "a", false),
            ("data/{region}/a.csv", "dt", false),
            ("dt=2026-11-01/a.csv", "dt", true),
            ("dt=*.csv", "dt", false),
        ] {
            assert_eq!(may_have_key(location, name), may_have, "{location} {name}");
        }
    }

    #[test]
    fn braces_that_name_no_part_are_refused() {
        for (location, why) in [
            ("a{b", "has no `}`"),
            ("a{}b", "names no part"),
            ("{a,b}.csv", "names no part"),
            ("{1}", "names no part"),
            ("{a}/{a}", "twice"),
            ("{a b}", "names no part"),
            ("{a}{b}.csv", "not certain where `{a}`"),
            ("*{a}.csv", "not certain where `{a}`"),
            ("{a}*.csv", "not certain where `{a}`"),
        ] {
            let said = take_out(location).unwrap_err();
            assert!(said.contains(why), "{location}: {said}");
        }
    }
}
