//! E-mail addresses: reads them as extracts write them, and brings them into the normal form in which they are compared.

use std::borrow::Cow;
use std::collections::HashSet;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address, HeaderValue};
use percent_encoding::percent_decode_str;

use super::text::{is_ignorable, lower, tidy};

/// The most bytes an address may have (RFC 5321).
const MAX_ADDRESS_BYTES: usize = 254;
/// The most bytes a label of a domain may have (RFC 1035).
const MAX_LABEL_BYTES: usize = 63;
/// The most bytes of a domain as written; a longer text cannot be a domain in any form.
const MAX_WRITTEN_DOMAIN_BYTES: usize = 1024;
/// Characters that may surround an address without being part of it.
const AROUND: &str = "'\"`,;:<>()[]{} ";
/// Further characters that may follow an address.
const BEHIND: &str = ".!?";
/// Separators between the words of a text, some of which may be addresses.
const BETWEEN: &str = "\"`,;:<>()[]{}|/\\ ";
/// Characters that a local part can have only within quotation marks.
const QUOTED: &str = "\"(),:;<>@[\\] ";

/// The only e-mail address in a text, in normal form; `None` if there are none or several.
pub fn email_address(text: &str) -> Option<String> {
    if let Some(address) = plain_address(text) {
        return Some(address);
    }
    let mut mailboxes = mailboxes(&written(text));
    mailboxes.dedup();
    let first = mailboxes.pop()?;
    mailboxes.iter().all(|other| *other == first).then_some(first)
}

/// Every e-mail address that can be read anywhere in a text, in normal form.
pub(super) fn email_addresses(text: &str) -> Vec<String> {
    if let Some(address) = plain_address(text) {
        return vec![address];
    }
    let text = written(text);
    let words = text.split(|c| BETWEEN.contains(c)).filter_map(address);
    let mut known = HashSet::new();
    mailboxes(&text).into_iter().chain(words).filter(|address| known.insert(address.clone())).collect()
}

/// The mailbox of an address: Gmail's dots and `+tags` do not make another mailbox.
pub(super) fn email_mailbox(text: &str) -> Option<String> {
    let address = email_address(text)?;
    let (mailbox, domain) = address.rsplit_once('@')?;
    if domain != "gmail.com" && domain != "googlemail.com" {
        return Some(address);
    }
    let mailbox = mailbox.split('+').next().unwrap_or_default().replace('.', "");
    (!mailbox.is_empty()).then(|| format!("{mailbox}@gmail.com"))
}

/// The address of a text that consists of one address alone, as nearly all do.
fn plain_address(text: &str) -> Option<String> {
    let (local, domain) = text.trim_ascii().split_once('@')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_plain = local.bytes().all(|byte| plain(byte) || byte == b'+') && domain.bytes().all(plain);
    let with_punycode = || domain.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"xn--"));
    (is_plain && !with_punycode()).then(|| joined(local, domain.trim_end_matches('.').to_ascii_lowercase())).flatten()
}

/// A text in plain characters, and without `mailto:`.
fn written(text: &str) -> Cow<'_, str> {
    let text = tidy(text);
    match without_mailto(&text) {
        // What was encoded may be anything.
        Some(decoded) => Cow::Owned(tidy(&decoded).into_owned()),
        None => text,
    }
}

/// A text with every `mailto:` URI (RFC 6068) replaced by its addresses; `None` if there is none.
fn without_mailto(text: &str) -> Option<String> {
    const SCHEME: &str = "mailto:";
    let folded = text.to_ascii_lowercase();
    let mut found = String::new();
    let mut rest = 0;
    while let Some(at) = folded[rest..].find(SCHEME).map(|at| rest + at) {
        found += &text[rest..at];
        let start = at + SCHEME.len();
        let uri = &text[start..];
        let uri = &uri[..uri.find([' ', '<', '>', '"']).unwrap_or(uri.len())];
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let to = query.split('&').filter_map(|field| field.split_once('='));
        let to = to.filter(|(name, _)| name.eq_ignore_ascii_case("to")).map(|(_, addresses)| addresses);
        for addresses in std::iter::once(path.trim_start_matches('/')).chain(to).filter(|addresses| !addresses.is_empty()) {
            found += &percent_decode_str(addresses).decode_utf8_lossy();
            found.push(',');
        }
        rest = start + uri.len();
    }
    (rest > 0).then(|| found + &text[rest..])
}

/// The addresses of a text that is a list of mailboxes (RFC 5322).
fn mailboxes(text: &str) -> Vec<String> {
    let found = parsed(text);
    if found.is_empty() && text.contains('(') {
        // A comment may stand anywhere, also inside an address.
        return parsed(&without_comments(text));
    }
    found
}

fn parsed(text: &str) -> Vec<String> {
    if !text.contains('@') {
        return Vec::new();
    }
    let line = format!("{text}\n");
    let HeaderValue::Address(list) = MessageStream::new(line.as_bytes()).parse_address() else { return Vec::new() };
    let list = match list {
        Address::List(list) => list,
        Address::Group(groups) => groups.into_iter().flat_map(|group| group.addresses).collect(),
    };
    let is_quoted = text.contains("\"@");
    list.iter().filter_map(|mailbox| of_mailbox(mailbox, is_quoted)).collect()
}

fn of_mailbox(mailbox: &Addr<'_>, is_quoted: bool) -> Option<String> {
    match (mailbox.name.as_deref(), mailbox.address.as_deref()) {
        // A local part in quotation marks is taken for a name.
        (Some(local), Some(domain)) if is_quoted && domain.starts_with('@') => joined(local, domain_of(&domain[1..])?),
        (_, Some(text)) => address(text),
        // An address in quotation marks or parentheses is taken for a name too.
        (Some(text), None) => address(text),
        (None, None) => None,
    }
}

fn without_comments(text: &str) -> String {
    let mut depth = 0_usize;
    let outside = text.chars().filter(|c| {
        let before = depth;
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before == 0 && depth == 0 && *c != ')'
    });
    outside.collect()
}

/// The address of a text that consists of one address and surrounding characters.
fn address(text: &str) -> Option<String> {
    let text = text.trim_start_matches(|c| AROUND.contains(c)).trim_end_matches(|c| AROUND.contains(c) || BEHIND.contains(c));
    let (local, domain) = text.split_once('@')?;
    // What follows a question mark is a URI's.
    let domain = domain.split('?').next()?;
    let local = local.trim_end();
    if local.contains(|c| QUOTED.contains(c)) {
        return None;
    }
    joined(local, domain_of(domain)?)
}

/// The normal form of an address, from its local part and domain.
fn joined(local: &str, domain: String) -> Option<String> {
    let mut labels = 0;
    for label in domain.split('.') {
        let is_sound = (1..=MAX_LABEL_BYTES).contains(&label.len());
        if !is_sound || !label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)) {
            return None;
        }
        labels += 1;
    }
    let local = lower(local);
    let address = if local.contains(|c| QUOTED.contains(c)) {
        format!("\"{}\"@{domain}", local.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("{local}@{domain}")
    };
    let is_sound = labels > 1 && !local.is_empty() && address.len() <= MAX_ADDRESS_BYTES && !local.contains(char::is_control);
    is_sound.then_some(address)
}

/// A domain in ASCII and lower case (UTS 46): `münchen.example` and `xn--mnchen-3ya.example` are one.
fn domain_of(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('.');
    if text.len() > MAX_WRITTEN_DOMAIN_BYTES {
        return None;
    }
    let folded = lower(text);
    if folded.is_ascii() && !folded.contains("xn--") {
        return Some(folded);
    }
    let (shown, _) = Uts46::new().to_unicode(folded.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
    // What punycode hides is brought into its one form too.
    let shown = lower(&shown.chars().filter(|c| !is_ignorable(*c)).collect::<String>());
    match Uts46::new().to_ascii(shown.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore) {
        Ok(ascii) => Some(ascii.into_owned()),
        // What only looks like punycode is compared as it is.
        Err(_) => folded.is_ascii().then_some(folded),
    }
}
