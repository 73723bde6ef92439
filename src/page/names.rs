//! Names for people: `about_to_sleep` is shown as `About to sleep`.

use super::markup::clean;

/// How long a name may be on the page, in characters.
const NAME_CHARACTERS: usize = 120;

/// Words that are written in another way than with small letters.
const WORDS: [(&str, &str); 19] = [
    ("email", "e-mail"),
    ("emails", "e-mails"),
    ("sms", "SMS"),
    ("nps", "NPS"),
    ("csat", "CSAT"),
    ("rfm", "RFM"),
    ("crm", "CRM"),
    ("os", "OS"),
    ("id", "ID"),
    ("url", "URL"),
    ("api", "API"),
    ("clv", "CLV"),
    ("ltv", "LTV"),
    ("vip", "VIP"),
    ("b2b", "B2B"),
    ("b2c", "B2C"),
    ("cant", "can't"),
    ("dont", "don't"),
    ("utm", "UTM"),
];

/// A name as a title, such as `About to sleep`. A name that is no identifier is shown as it is.
pub fn title(name: &str) -> String {
    if !is_identifier(name) {
        return as_it_is(name);
    }
    let phrase = phrase(name);
    let mut characters = phrase.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => phrase,
    }
}

/// A name inside a sentence, such as `about to sleep`.
pub fn phrase(name: &str) -> String {
    if !is_identifier(name) {
        return as_it_is(name);
    }
    let words: Vec<&str> = name.split(['_', ' ']).filter(|word| !word.is_empty()).map(written).collect();
    clean(&words.join(" "), NAME_CHARACTERS)
}

/// Text in which identifiers may stand, such as `lifecycle_stage won_back`, with spaces in place of the `_` between letters.
pub fn spaced(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let is_inside =
        |at: usize| at > 0 && characters[at - 1].is_alphanumeric() && characters.get(at + 1).is_some_and(|next| next.is_alphanumeric());
    characters.iter().enumerate().map(|(at, character)| if *character == '_' && is_inside(at) { ' ' } else { *character }).collect()
}

/// A clause as a sentence: with a capital letter and a full stop.
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return String::new() };
    let stop = if text.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), characters.as_str())
}

fn written(word: &str) -> &str {
    WORDS.iter().find(|(plain, _)| *plain == word).map_or(word, |(_, written)| written)
}

fn as_it_is(name: &str) -> String {
    if name.trim().is_empty() { "(no name)".to_owned() } else { clean(name, NAME_CHARACTERS) }
}

/// Whether a name is written as programs write names: in small letters, digits and `_`.
fn is_identifier(name: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    name.chars().all(is_plain) && name.chars().any(|character| character.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_written_for_people_and_other_names_stay() {
        for (name, titled, inside) in [
            ("about_to_sleep", "About to sleep", "about to sleep"),
            ("no_consent", "No consent", "no consent"),
            ("email", "E-mail", "e-mail"),
            ("sms", "SMS", "SMS"),
            ("cant_lose", "Can't lose", "can't lose"),
            ("kind_1", "Kind 1", "kind 1"),
            ("Top <b>100</b>", "Top <b>100</b>", "Top <b>100</b>"),
            ("العملاء", "العملاء", "العملاء"),
            ("🎄", "🎄", "🎄"),
            ("___", "___", "___"),
            (" ", "(no name)", "(no name)"),
            ("VIP_customers", "VIP_customers", "VIP_customers"),
        ] {
            assert_eq!(title(name), titled);
            assert_eq!(phrase(name), inside);
        }
        assert_eq!(title(&"x".repeat(500)).chars().count(), NAME_CHARACTERS + 1);
        assert_eq!(spaced("won_back 4.2 times as often _x_"), "won back 4.2 times as often _x_");
    }
}
