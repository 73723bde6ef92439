//! Finds the named parts of a location in the path of a file. A path that can be taken apart in several ways is not taken apart at all.

use super::values::Pattern;
use crate::local_time::Zone;
use crate::storage::Token;

/// The longest text that is tried as a day.
const MAX_DAY_BYTES: usize = 64;

/// Why a path has no such parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The text of a part, by its number, is no day of its pattern.
    NoDay(usize, String),
    /// Nothing that may be a part, by its number, is a day of its pattern.
    NoDayAnywhere(usize),
    /// It is not certain where a part begins or ends.
    Doubtful(usize),
    /// The path does not match at all.
    NoMatch,
}

/// A path that is taken apart.
struct Matching<'a> {
    path: &'a str,
    tokens: &'a [Token],
    /// For every named part how its days are written.
    patterns: &'a [Option<&'a Pattern>],
    zone: &'a Zone,
    /// Whether any text will do for a day.
    is_loose: bool,
}

/// The texts of the named parts of a path.
///
/// # Errors
/// Why there are none.
pub fn parts<'a>(path: &'a str, tokens: &[Token], patterns: &[Option<&Pattern>], zone: &Zone) -> Result<Vec<&'a str>, Mismatch> {
    let matching = |is_loose: bool| Matching { path, tokens, patterns, zone, is_loose };
    match matching(false).texts() {
        Err(Mismatch::NoMatch) => {}
        found => return found.map(|spans| spans.into_iter().map(|(begin, end)| &path[begin..end]).collect()),
    }
    // Without the patterns, to say which text is no day.
    let spans = match (matching(true).texts(), patterns.iter().position(Option::is_some)) {
        // Beside an open end any text might be the day, and none is.
        (Err(Mismatch::Doubtful(_)), Some(part)) => return Err(Mismatch::NoDayAnywhere(part)),
        (spans, _) => spans?,
    };
    let mut days = patterns.iter().zip(&spans).enumerate();
    let wrong = days.find_map(|(part, (pattern, &(begin, end)))| {
        let text = &path[begin..end];
        pattern.is_some_and(|pattern| !is_day(text, pattern, zone)).then(|| Mismatch::NoDay(part, text.to_owned()))
    });
    Err(wrong.unwrap_or(Mismatch::NoMatch))
}

fn is_day(text: &str, pattern: &Pattern, zone: &Zone) -> bool {
    text.len() <= MAX_DAY_BYTES && text.trim() == text && pattern.read(text, zone).is_some()
}

impl Matching<'_> {
    /// Where each part begins and ends, in order of the parts.
    fn texts(&self) -> Result<Vec<(usize, usize)>, Mismatch> {
        let length = self.path.len();
        // Where each token may begin, from what stands before it.
        let mut begins = vec![vec![false; length + 1]];
        begins[0][0] = true;
        for token in self.tokens {
            let before = begins.last().map_or(&[][..], Vec::as_slice);
            begins.push(self.forward(token, before));
        }
        // Where each may begin for the rest to match, and the places of parts.
        let mut fits = vec![false; length + 1];
        fits[length] = true;
        let mut spans: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.tokens.len()];
        let mut backward: Vec<Vec<bool>> = vec![fits];
        for (at, token) in self.tokens.iter().enumerate().rev() {
            let after = backward.last().map_or(&[][..], Vec::as_slice);
            let before = if let Token::Part(part) = token {
                spans[at] = self.spans(at, *part, &begins[at], after);
                let mut before = vec![false; length + 1];
                spans[at].iter().for_each(|(begin, _)| before[*begin] = true);
                before
            } else {
                self.backward(token, after)
            };
            backward.push(before);
        }
        if !backward.last().is_some_and(|whole| whole[0]) {
            return Err(Mismatch::NoMatch);
        }
        backward.reverse();
        self.unique(&spans, &backward)
    }

    /// The one place of each part.
    fn unique(&self, spans: &[Vec<(usize, usize)>], backward: &[Vec<bool>]) -> Result<Vec<(usize, usize)>, Mismatch> {
        let length = self.path.len();
        let mut begins = vec![false; length + 1];
        begins[0] = true;
        let mut found: Vec<(usize, (usize, usize))> = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let after = &backward[at + 1];
            let mut next = if let Token::Part(part) = token {
                let mut possible = spans[at].iter().filter(|(begin, _)| begins[*begin]);
                let first = possible.next().ok_or(Mismatch::NoMatch)?;
                if possible.next().is_some() {
                    return Err(Mismatch::Doubtful(*part));
                }
                found.push((*part, *first));
                let mut next = vec![false; length + 1];
                next[first.1] = true;
                next
            } else {
                self.forward(token, &begins)
            };
            next.iter_mut().zip(after).for_each(|(next, fits)| *next &= fits);
            begins = next;
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, span)| span).collect())
    }

    /// Where a part may stand, between what is before it and after it.
    fn spans(&self, at: usize, part: usize, begins: &[bool], after: &[bool]) -> Vec<(usize, usize)> {
        let pattern = self.patterns.get(part).copied().flatten();
        let slashes = pattern.map_or(0, Pattern::slashes);
        let is_wild = |token: Option<&Token>| matches!(token, Some(Token::Any | Token::One(_) | Token::Part(_)));
        let (wild_before, wild_after) = (at > 0 && is_wild(self.tokens.get(at - 1)), is_wild(self.tokens.get(at + 1)));
        let bytes = self.path.as_bytes();
        let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        let mut spans = Vec::new();
        for begin in (0..begins.len()).filter(|begin| begins[*begin]) {
            let (mut passed, mut ends) = (0, 0);
            for end in begin..=bytes.len() {
                if end > begin && bytes[end - 1] == b'/' {
                    passed += 1;
                }
                if passed > slashes {
                    break;
                }
                if !after[end] || passed < slashes {
                    continue;
                }
                if let Some(pattern) = pattern.filter(|_| !self.is_loose) {
                    // A number is whole: it neither begins nor ends within another one.
                    let cuts_before = wild_before && is_digit(Some(begin)) && is_digit(begin.checked_sub(1));
                    let cuts_after = wild_after && is_digit(end.checked_sub(1)) && is_digit(Some(end));
                    if cuts_before || cuts_after || !is_day(&self.path[begin..end], pattern, self.zone) {
                        continue;
                    }
                }
                spans.push((begin, end));
                // A second one is enough to be in doubt.
                ends += 1;
                if ends == 2 {
                    break;
                }
            }
        }
        spans
    }

    /// Where a text may end that a token stands for and that begins at one of these places.
    fn forward(&self, token: &Token, begins: &[bool]) -> Vec<bool> {
        let bytes = self.path.as_bytes();
        let mut ends = vec![false; begins.len()];
        match token {
            Token::Text(text) => {
                for at in (0..begins.len()).filter(|at| begins[*at] && bytes[*at..].starts_with(text.as_bytes())) {
                    ends[at + text.len()] = true;
                }
            }
            Token::Folders => {
                let mut is_begun = false;
                for at in 0..begins.len() {
                    is_begun |= begins[at];
                    ends[at] = begins[at] || is_begun && at > 0 && bytes[at - 1] == b'/';
                }
            }
            Token::One(one) => {
                for at in (0..begins.len()).filter(|at| begins[*at]) {
                    if let Some(length) = self.one(one, at) {
                        ends[at + length] = true;
                    }
                }
            }
            Token::Any | Token::Part(_) => {
                let folders = self.slashes_of(token);
                // By how many slashes ago such a text may have begun.
                let mut since = vec![false; folders + 1];
                for at in 0..begins.len() {
                    if at > 0 && bytes[at - 1] == b'/' {
                        since.rotate_right(1);
                        since[0] = false;
                    }
                    since[0] |= begins[at];
                    ends[at] = since[folders] && self.path.is_char_boundary(at);
                }
            }
        }
        ends
    }

    /// Where a text may begin that a token stands for and that ends at one of these places. Not for parts.
    fn backward(&self, token: &Token, ends: &[bool]) -> Vec<bool> {
        let bytes = self.path.as_bytes();
        let mut begins = vec![false; ends.len()];
        match token {
            Token::Text(text) => {
                for at in 0..ends.len() {
                    begins[at] = bytes[at..].starts_with(text.as_bytes()) && ends[at + text.len()];
                }
            }
            Token::Folders => {
                let mut is_ended = false;
                for at in (0..ends.len()).rev() {
                    begins[at] = ends[at] || is_ended;
                    is_ended |= ends[at] && at > 0 && bytes[at - 1] == b'/';
                }
            }
            Token::One(one) => {
                for at in 0..ends.len() {
                    begins[at] = self.one(one, at).is_some_and(|length| ends[at + length]);
                }
            }
            Token::Any | Token::Part(_) => {
                let mut is_ended = false;
                for at in (0..ends.len()).rev() {
                    is_ended &= bytes.get(at) != Some(&b'/');
                    is_ended |= ends[at];
                    begins[at] = is_ended && self.path.is_char_boundary(at);
                }
            }
        }
        begins
    }

    /// The length of the character at a place, if it is such a one.
    fn one(&self, one: &glob::Pattern, at: usize) -> Option<usize> {
        let c = self.path.get(at..)?.chars().next().filter(|c| *c != '/')?;
        one.matches(c.encode_utf8(&mut [0; 4])).then_some(c.len_utf8())
    }

    fn slashes_of(&self, token: &Token) -> usize {
        match token {
            Token::Part(part) => self.patterns.get(*part).copied().flatten().map_or(0, Pattern::slashes),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::storage::Stores;

    /// The parts of a path by a location, as a run finds them.
    fn told(location: &str, path: &str) -> Result<Vec<String>, Mismatch> {
        let stores = Stores::new(Environment::new());
        let glob = stores.glob(location, std::path::Path::new("/project")).unwrap();
        let patterns: Vec<Option<Pattern>> =
            glob.named_parts().iter().map(|part| part.pattern.as_deref().map(|pattern| Pattern::new(pattern).unwrap())).collect();
        let patterns: Vec<Option<&Pattern>> = patterns.iter().map(Option::as_ref).collect();
        let zone = Zone::named("UTC").unwrap();
        parts(path, glob.tokens(), &patterns, &zone).map(|texts| texts.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn parts_are_found_where_they_are_certain() {
        for (location, path, expected) in [
            ("a/c_{day:%Y%m%d}.csv", "c_20261101.csv", vec!["20261101"]),
            ("a/{region}/o_*.csv", "eu/o_1_2.csv", vec!["eu"]),
            ("{region}_{day:%Y-%m-%d}.csv", "eu_west_2026-11-01.csv", vec!["eu_west", "2026-11-01"]),
            ("*{day:%Y-%m-%d}.csv", "orders-2026-11-01.csv", vec!["2026-11-01"]),
            ("*{day:%Y-%m-%d}*.csv", "o 2026-11-15_v2.csv", vec!["2026-11-15"]),
            ("{day:%Y/%m/%d}/*.csv", "2026/11/01/x.csv", vec!["2026/11/01"]),
            ("{day:year=%Y/month=%m/day=%d}/*", "year=2026/month=11/day=01/x", vec!["year=2026/month=11/day=01"]),
            ("**/{region}/{day:%Y%m%d}.csv", "a/b/eu/20261101.csv", vec!["eu", "20261101"]),
            ("{a}/**/x.csv", "eu/b/c/x.csv", vec!["eu"]),
            ("{region}/**", "eu/b/c.csv", vec!["eu"]),
            ("c_{at:%Y%m%dT%H%M}?[ab].csv", "c_20261101T2359_b.csv", vec!["20261101T2359"]),
            ("c_{region}.csv", "c_.csv", vec![""]),
            ("{city}.csv", "Köln.csv", vec!["Köln"]),
            ("v1{day:%Y%m%d}.csv", "v120261101.csv", vec!["20261101"]),
            ("{region}_v[0-9].csv", "eu_v_v2.csv", vec!["eu_v"]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(told(location, path), Ok(expected), "{location} {path}");
        }
    }

    #[test]
    fn what_is_no_day_or_in_doubt_is_told() {
        for (location, path, expected) in [
            ("c_{day:%Y%m%d}.csv", "c_old.csv", Mismatch::NoDay(0, "old".into())),
            ("c_{day:%Y%m%d}.csv", "c_2026111.csv", Mismatch::NoDay(0, "2026111".into())),
            ("c_{day:%Y%m%d}.csv", "c_20261301.csv", Mismatch::NoDay(0, "20261301".into())),
            ("c_{day:%Y-%m-%d}.csv", "c_ 2026-11-01.csv", Mismatch::NoDay(0, " 2026-11-01".into())),
            ("{a}_{b}.csv", "x_y_z.csv", Mismatch::Doubtful(0)),
            ("*_{a}_*.csv", "x_1_y_1_z.csv", Mismatch::Doubtful(0)),
            ("*{day:%Y%m%d}*.csv", "20261101_20261102.csv", Mismatch::Doubtful(0)),
        ] {
            assert_eq!(told(location, path), Err(expected), "{location} {path}");
        }
    }

    #[test]
    fn a_long_name_takes_no_longer_than_its_length() {
        let name = format!("{}_2026-11-01_{}.csv", "a_".repeat(400), "1-".repeat(400));
        assert_eq!(told("*{day:%Y-%m-%d}_*.csv", &name), Ok(vec!["2026-11-01".to_owned()]));
    }
}
