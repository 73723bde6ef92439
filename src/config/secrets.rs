//! Covers the secrets that are written literally in a pipeline file, so that a copy of the file can be kept and shown.

use std::ops::Range;

use granit_parser::ScalarStyle;

use super::Pipeline;
use super::said::Said;
use super::tree::{self, Content, Node};
use crate::shown;

/// What stands in the place of a secret.
const COVER: &str = "***";

/// The shortest secret that is looked for in the rest of a file. A shorter one would be a part of other words.
const SHORTEST_REPEATED_BYTES: usize = 4;

/// What a key may hold that is secret.
#[derive(Debug, Clone, Copy)]
enum Secret {
    /// All of its value.
    Value,
    /// The credentials in a URL.
    Credentials,
}

/// The keys that may hold secrets; `*` stands for any name.
const KEYS: [(&[&str], Secret); 5] = [
    (&["identity", "salt"], Secret::Value),
    (&["sources", "*", "location"], Secret::Credentials),
    (&["outputs", "destination"], Secret::Credentials),
    (&["outputs", "delta", "location"], Secret::Credentials),
    (&["notify", "*", "webhook"], Secret::Value),
];

/// The text of a pipeline file without the secrets that are written in it. A variable of the environment stays, by its name: its value is
/// not in the file. A secret that a comment repeats is covered there, too.
pub fn without_secrets(text: &str) -> String {
    let Some(root) = tree::read(text).ok().flatten() else { return text.to_owned() };
    let mut found = Vec::new();
    for (keys, secret) in KEYS {
        each_at(&root, keys, &mut |node| {
            if let Content::Scalar(value, style) = &node.content {
                let parts = parts_of(value, *style, secret);
                if !parts.is_empty() {
                    found.push((node.bytes.clone(), *style, value.as_str(), parts));
                }
            }
        });
    }
    found.sort_by_key(|(bytes, ..)| bytes.start);
    // A value that several aliases repeat stands once in the file.
    found.dedup_by_key(|(bytes, ..)| bytes.start);
    let mut covered = String::with_capacity(text.len());
    let mut from = 0;
    for (bytes, style, value, parts) in &found {
        covered.push_str(text.get(from..bytes.start).unwrap_or_default());
        covered.push_str(&written(&with_cover(value, parts), *style));
        from = bytes.end;
    }
    covered.push_str(text.get(from..).unwrap_or_default());
    let secrets = found.iter().flat_map(|(_, _, value, parts)| parts.iter().filter_map(|part| value.get(part.clone())));
    without_repeats(covered, secrets)
}

/// Gives a project that was kept the secrets that are covered in it, as today's has them. A location that has changed stays without.
pub fn with_secrets_of(kept: &mut Pipeline, today: &Pipeline) {
    kept.identity.salt.clone_from(&today.identity.salt);
    for (name, source) in &mut kept.sources {
        if let Some(today) = today.sources.get(name)
            && today.location.value != source.location.value
            && without_credentials(&today.location.value) == source.location.value
        {
            source.location.value.clone_from(&today.location.value);
        }
    }
    if without_credentials(&today.outputs.destination.value) == kept.outputs.destination.value {
        kept.outputs.destination.value.clone_from(&today.outputs.destination.value);
    }
    if let (Some(kept), Some(today)) = (&mut kept.outputs.delta, &today.outputs.delta)
        && without_credentials(&today.location.value) == kept.location.value
    {
        kept.location.value.clone_from(&today.location.value);
    }
}

/// A location without the credentials that are written in it. Variables stay, by their names.
pub fn without_credentials(location: &str) -> String {
    with_cover(location, &parts_of(location, ScalarStyle::Plain, Secret::Credentials))
}

/// Calls a function for each value under some keys.
fn each_at<'n>(node: &'n Node, keys: &[&str], found: &mut impl FnMut(&'n Node)) {
    let Some((key, below)) = keys.split_first() else { return found(node) };
    for entry in node.entries().unwrap_or_default().iter().filter(|entry| *key == "*" || entry.key == *key) {
        each_at(&entry.value, below, found);
    }
}

/// The parts of a value that are secret.
fn parts_of(value: &str, style: ScalarStyle, secret: Secret) -> Vec<Range<usize>> {
    let parts: Vec<Range<usize>> = match secret {
        Secret::Value => std::iter::once(0..value.len()).collect(),
        // Azure's own URLs have the container there.
        Secret::Credentials => {
            let is_container = |part: &str| value.starts_with("abfs") && part.ends_with('@') && !part.contains(':');
            let parts = shown::secrets_of_url(value);
            parts.into_iter().filter(|part| !value.get(part.clone()).is_some_and(is_container)).collect()
        }
    };
    // Only a plain value is one with variables.
    let is_of_variables = |part: &str| style == ScalarStyle::Plain && has_variables_alone(part);
    parts.into_iter().filter(|part| !value.get(part.clone()).is_none_or(|part| part.is_empty() || is_of_variables(part))).collect()
}

/// Whether a text is nothing but names of variables, with the signs of a URL between them.
fn has_variables_alone(text: &str) -> bool {
    text.contains("${") && literal_parts(text).all(|part| part.chars().all(|c| ":@".contains(c)))
}

/// The parts of a text that are no names of variables.
fn literal_parts(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").enumerate().map(|(at, part)| {
        let name = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|_| at > 0);
        let rest = name.map_or(if at > 0 { "" } else { part }, |end| &part[end..]);
        rest.strip_prefix('}').unwrap_or(rest)
    })
}

/// A value with its secret parts covered. The `@` behind credentials stays, so that the rest is read as before.
fn with_cover(value: &str, parts: &[Range<usize>]) -> String {
    let mut covered = String::with_capacity(value.len());
    let mut from = 0;
    for part in parts {
        covered.push_str(&value[from..part.start]);
        covered.push_str(COVER);
        let is_in_url = part.len() < value.len() && value[part.clone()].ends_with('@');
        covered.push_str(if is_in_url { "@" } else { "" });
        from = part.end;
    }
    covered.push_str(&value[from..]);
    covered
}

/// A value as a file has it, whatever is in it. What had no variables has none now.
fn written(value: &str, style: ScalarStyle) -> String {
    match style {
        ScalarStyle::Plain if !value.starts_with(COVER) => return value.to_owned(),
        // What stands behind the sign of a block is no less a text.
        ScalarStyle::Literal | ScalarStyle::Folded => return value.trim_end().replace('\n', " "),
        _ => {}
    }
    format!("'{}'", value.replace('\'', "''"))
}

/// A text in which secrets are covered wherever they are repeated, as comments do; but not where the file would say something else then.
fn without_repeats<'s>(text: String, secrets: impl Iterator<Item = &'s str>) -> String {
    let said = |text: &str| Said::of(text)?.part(&[], &|_| false);
    let mut covered = text;
    // The secret is what stands between the signs of variables and URLs.
    let literals = secrets.flat_map(literal_parts).flat_map(|part| part.split([':', '@', '/', '}']));
    for secret in literals.map(|part| part.trim_start_matches(['-', '?']).trim()) {
        if secret.len() < SHORTEST_REPEATED_BYTES || !covered.contains(secret) {
            continue;
        }
        let without = covered.replace(secret, COVER);
        if said(&without) == said(&covered) {
            covered = without;
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema_of;

    /// The ways of writing a value that holds a secret.
    fn ways(value: &str) -> Vec<String> {
        let block = format!("|-\n      {value}");
        vec![value.to_owned(), format!("'{value}'"), format!("\"{value}\""), format!("&anchor {value}"), block.replace("|-", ">-"), block]
    }

    /// A pipeline file with a value under some keys.
    fn file(keys: &[&str], value: &str) -> String {
        let mut text = String::new();
        for (depth, key) in keys.iter().enumerate() {
            let key = if *key == "*" { "any" } else { key };
            text += &format!("{}{key}: ", "  ".repeat(depth));
            text += if depth + 1 < keys.len() { "\n" } else { value };
        }
        text + "\nname: other # not hush-4711 any more\n"
    }

    #[test]
    fn no_key_keeps_its_secret_however_it_is_written() {
        for (keys, secret) in KEYS {
            let values = match secret {
                Secret::Value => &["hush-4711", "${SALT:-hush-4711}", "hush-4711${SALT}", "${SALT:?hush-4711}"][..],
                Secret::Credentials => &[
                    "https://me:hush-4711@host.example/a/*.csv",
                    "https://hush-4711@host.example/a",
                    "https://${ME}:hush-4711@host.example/a",
                    "https://${ME}:${SECRET:-hush-4711}@host.example/a",
                    "${PLACE:-https://me:hush-4711@host.example/a}",
                    "https://me:hush-4711/x@host.example/a",
                ],
            };
            for text in values.iter().flat_map(|value| ways(value)).map(|value| file(keys, &value)) {
                let kept = without_secrets(&text);
                assert!(!kept.contains("hush") && !kept.contains("4711"), "{text}\n{kept}");
                assert!(kept.contains(COVER) && kept.ends_with("name: other # not *** any more\n"), "{text}\n{kept}");
                assert_eq!(kept.matches("host.example/a").count(), text.matches("host.example/a").count(), "{text}\n{kept}");
                assert!(Said::of(&kept).is_some(), "{kept}");
                assert_eq!(without_secrets(&kept), kept, "once is enough");
            }
        }
    }

    #[test]
    fn what_is_no_secret_stays_to_the_byte() {
        for (keys, value) in [
            (&["identity", "salt"][..], "${SALT}"),
            (&["identity", "salt"], "\"\""),
            (&["sources", "*", "location"], "https://${ME}:${SECRET}@host.example/a"),
            (&["sources", "*", "location"], "${PLACE:-data}/crm/*.csv"),
            (&["sources", "*", "location"], "'abfss://container@account.dfs.core.windows.net/a'"),
            (&["sources", "*", "location"], "s3://bucket/a?b/*.csv"),
            (&["outputs", "destination"], "out"),
            (&["description"], "https://me:hush@host.example/a"),
        ] {
            let text = file(keys, value);
            assert_eq!(without_secrets(&text), text, "{text}");
        }
    }

    #[test]
    fn a_word_of_the_file_that_is_the_secret_as_well_stays() {
        let kept = without_secrets("name: shop\nidentity:\n  salt: shop # shop\n");
        assert_eq!(kept, "name: shop\nidentity:\n  salt: '***' # shop\n");
    }

    /// The schema describes every key. One that may hold a secret says so, or names a URL.
    #[test]
    fn every_key_of_the_schema_that_may_hold_a_secret_is_known() {
        let schema = serde_json::to_value(schema_of::<Pipeline>()).unwrap();
        let definitions = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        let mut found: Vec<&str> = Vec::new();
        for properties in definitions.filter_map(|definition| definition["properties"].as_object()) {
            let is_secret = |text: &str| ["secret", "password", "token", "credential", "URL", "://"].iter().any(|word| text.contains(word));
            found.extend(
                properties.iter().filter(|(_, key)| key["description"].as_str().is_some_and(is_secret)).map(|(key, _)| key.as_str()),
            );
        }
        found.sort_unstable();
        let mut known: Vec<&str> = KEYS.iter().filter_map(|(keys, _)| keys.last().copied()).collect();
        known.sort_unstable();
        assert_eq!(found, known);
    }
}
