//! Parses a location as text: a local path, or a store and a path in it. A URL parser would read `#` and `?` in a path as a fragment and
//! a query, and lose them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The schemes of stores that can be written to.
const STORES: [&str; 8] = ["s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"];

/// What a location names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A local path, relative unless it begins with a slash.
    Local(String),
    /// A path in a store.
    Remote(Remote),
}

/// A path in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The scheme in lower case.
    pub scheme: String,
    /// The bucket, container or host, with a port and credentials if there are some.
    pub authority: String,
    /// The path as it is in the store, without empty parts.
    pub parts: Vec<String>,
}

impl Address {
    /// Takes a location apart.
    ///
    /// # Errors
    /// Why the location names no place.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(if text.is_empty() { "it is empty" } else { "it is blank" }.to_owned());
        }
        if let Some(control) = text.chars().find(char::is_ascii_control) {
            return Err(format!("it has the control character U+{:04X} in it", u32::from(control)));
        }
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err("it is not UTF-8".to_owned());
        }
        let Some((scheme, rest)) = scheme_of(text) else { return local(text) };
        let remote = |parts: &str, decode: bool| {
            let rest = rest.strip_prefix("//").ok_or("it names no store: write the scheme, `//`, then bucket or host")?;
            debug_assert!(rest.ends_with(parts));
            let authority = &rest[..rest.len() - parts.len()];
            if authority.is_empty() && scheme != "memory" {
                return Err("it names no bucket, container or host".to_owned());
            }
            let parts: Vec<String> = parts.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            if let Some(dots) = parts.iter().find(|part| [".", ".."].contains(&part.as_str())) {
                return Err(format!("a store knows no `{dots}`"));
            }
            let decoded = |part: String| percent_decode_str(&part).decode_utf8().map(Cow::into_owned).unwrap_or(part);
            let parts = if decode { parts.into_iter().map(decoded).collect() } else { parts };
            Ok(Address::Remote(Remote { scheme: scheme.clone(), authority: authority.to_owned(), parts }))
        };
        let path = rest.strip_prefix("//").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or_default();
        match scheme.as_str() {
            "file" => file(rest),
            "memory" => remote(path, false),
            "http" | "https" if rest.contains('?') => Err("a query in a URL is not read: say credentials in the environment".to_owned()),
            "http" | "https" if rest.contains('#') => Err("in a URL `#` begins what a server never sees: write it as %23".to_owned()),
            "http" | "https" => remote(path, true),
            store if STORES.contains(&store) => {
                let authority = &rest[..rest.len() - path.len()];
                // Azure's own URLs have the container there. Anything with a colon is a secret, which would sooner or later be shown by
                // mistake.
                if authority.rsplit_once('@').is_some_and(|(before, _)| before.contains(':') || !scheme.starts_with("abfs")) {
                    return Err("credentials have no place in it: say them in the environment".to_owned());
                }
                // A signed URL: `?` alone is a wildcard.
                if crate::shown::has_query(text) {
                    return Err("a query or fragment is no part of a location".to_owned());
                }
                remote(path, false)
            }
            _ => Err("no such store is known".to_owned()),
        }
    }
}

impl Remote {
    /// The bucket, container or host as it may be shown: without credentials.
    pub fn shown_authority(&self) -> &str {
        match self.authority.rsplit_once('@') {
            Some((_, host)) if self.scheme.starts_with("http") => host,
            _ => &self.authority,
        }
    }

    /// The scheme that stands for all that name the same stores.
    pub fn canonical_scheme(&self) -> &str {
        match self.scheme.as_str() {
            "s3a" => "s3",
            "adl" | "azure" | "abfs" => "az",
            "abfss" if !self.authority.contains('@') => "az",
            other => other,
        }
    }
}

/// The scheme in lower case and what follows its colon. A single letter is a drive, not a scheme.
fn scheme_of(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ['+', '-', '.'].contains(&c);
    let is_scheme = scheme.len() > 1 && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain);
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

fn local(text: &str) -> Result<Address, String> {
    if text.contains("://") {
        return Err("it is neither a path nor a URL".to_owned());
    }
    // `~` may be meant as the home folder, which only a shell would replace.
    if text == "~" || text.starts_with("~/") {
        return Err("`~` is no home folder here: write that out, or `./~` for a folder of that name".to_owned());
    }
    Ok(Address::Local(text.to_owned()))
}

/// A `file:` URL: `#` and `?` in it are of the path, as in every other location.
fn file(rest: &str) -> Result<Address, String> {
    const WRONG: &str = "it is no absolute path";
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest),
        None => rest,
    };
    if !path.starts_with('/') {
        return Err(WRONG.to_owned());
    }
    let path = percent_decode_str(path).decode_utf8().map_err(|_| "it is not UTF-8")?.into_owned();
    match path.chars().find(char::is_ascii_control) {
        Some(control) => Err(format!("it has the control character U+{:04X} in it", u32::from(control))),
        None => Ok(Address::Local(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<String> {
        match Address::parse(text).unwrap() {
            Address::Local(path) => vec![path],
            Address::Remote(remote) => [vec![remote.scheme, remote.authority], remote.parts].concat(),
        }
    }

    #[test]
    fn signs_of_a_path_stay_in_it() {
        for (text, expected) in [
            ("a b/ü#%[c]~{d}^.csv", vec!["a b/ü#%[c]~{d}^.csv"]),
            ("C:/a", vec!["C:/a"]),
            ("./a:b", vec!["./a:b"]),
            ("file:///srv/a%20b#c?.csv", vec!["/srv/a b#c?.csv"]),
            ("file://localhost/srv/100%", vec!["/srv/100%"]),
            ("file:/srv/a", vec!["/srv/a"]),
            ("S3://Bucket//a%20b/#1?/", vec!["s3", "Bucket", "a%20b", "#1?"]),
            ("abfss://box@account.dfs.core.windows.net/a", vec!["abfss", "box@account.dfs.core.windows.net", "a"]),
            ("https://user:pass@host:1/a%20b.csv", vec!["https", "user:pass@host:1", "a b.csv"]),
            ("gs://bucket", vec!["gs", "bucket"]),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_no_place_says_why() {
        for (text, why) in [
            ("", "empty"),
            (" \t", "blank"),
            ("a\nb", "U+000A"),
            ("a\u{fffd}b", "not UTF-8"),
            ("file:///a%0Ab", "U+000A"),
            ("ftp://host/a", "no such store"),
            ("s3:/bucket/a", "names no store"),
            ("s3:///a", "no bucket"),
            ("s3://bucket/../a", "no `..`"),
            ("s3://key:secret@bucket/a", "credentials"),
            (" s3://bucket/a", "neither a path nor a URL"),
            ("https://host/a.csv?X-Amz-Signature=hush", "query"),
            ("file:a", "no absolute path"),
            ("~/out", "no home folder"),
        ] {
            let said = Address::parse(text).unwrap_err();
            assert!(said.contains(why) && !said.contains("secret") && !said.contains("hush"), "{text:?}: {said}");
        }
    }
}
