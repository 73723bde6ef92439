//! Addresses, numbers and identifiers in the forms that senders write.

use proptest::prelude::*;

use super::addresses::{email_addresses, email_mailbox};
use super::*;

#[test]
fn one_address_in_all_its_spellings_is_one() {
    let spellings = [
        "ann@mail.example",
        " Ann@Mail.Example ",
        "\u{feff}ANN@MAIL.EXAMPLE\u{a0}",
        "ann@mail.example\n",
        "ann@mail.example.",
        "ann@mail\u{3002}example",
        "ann@mail\u{ff0e}example",
        "ann@mail\u{ff61}example\u{3002}",
        "\u{ff41}\u{ff4e}\u{ff4e}\u{ff20}mail.example",
        "ann@mail.\u{ad}example",
        "a\u{200b}nn@mail.exam\u{2060}ple",
        "\u{202a}ann@mail.example\u{202c}",
        "<ann@mail.example>",
        "<ann@mail.example",
        "ann@mail.example>",
        "Ann Lee <ann@mail.example>",
        "Ann Lee<ann@mail.example>",
        "\"Lee, Ann\" <ann@mail.example>",
        "'Lee; Ann' <ann@mail.example>;",
        "Ren\u{e9}e \u{201c}Ann\u{201d} <ann@mail.example>",
        "=?utf-8?q?Ren=C3=A9e?= <ann@mail.example>",
        "(work) ann@mail.example",
        "ann@mail.example (Ann (at work))",
        "ann(work)@mail.example",
        "ann (a (b) c) @ mail.example",
        "(ann@mail.example)",
        "\"ann\"@mail.example",
        "\"ann@mail.example\"",
        "'ann@mail.example'",
        "\u{2018}ann@mail.example\u{2019}",
        "\u{ab}ann@mail.example\u{bb}",
        "\"ann@mail.example",
        "[ann@mail.example]",
        "ann@mail.example;",
        "ann@mail.example, ",
        "mailto:ann@mail.example",
        "MAILTO:Ann@mail.example?subject=unsubscribe%2C%20please",
        "mailto:ann@mail.example?subject=write to bob@mail.example",
        "mailto:?to=ann%40mail.example&cc=bob@mail.example",
        "mailto:%61nn@mail.example",
        "mailto://ann@mail.example",
        "<mailto:ann@mail.example>",
        "Ann <mailto:ann@mail.example?subject=stop>",
        "E-mail: ann@mail.example",
        "ann@mail.example <ann@mail.example>",
        "ann@mail.example; Ann <ANN@mail.example>",
    ];
    for text in spellings {
        assert_eq!(email_address(text).as_deref(), Some("ann@mail.example"), "{text:?}");
        assert!(email_addresses(text).contains(&"ann@mail.example".to_owned()), "{text:?}");
    }
    // An e with an accent on it, or an e and an accent after it.
    assert_eq!(email_address("RENE\u{301}@mail.example").as_deref(), Some("ren\u{e9}@mail.example"));
    // A local part in quotation marks that needs them.
    assert_eq!(email_address("\"Ann  Lee\"@mail.example").as_deref(), Some("\"ann  lee\"@mail.example"));
    assert_eq!(email_address("O'Neill+news@mail.example").as_deref(), Some("o'neill+news@mail.example"));
    assert_eq!(email_address("bounce+ann=mail.example@lists.example").as_deref(), Some("bounce+ann=mail.example@lists.example"));
}

#[test]
fn what_is_no_address_is_none() {
    let none =
        ["", "no at sign", "two@at@mail.example", "nodot@localhost", "@mail.example", "a b@mail.example", "ann@mail.", "ann@.example"];
    let more =
        ["ann@mail..example", "ann@", "@", "n/a", "NULL", "mailto:", "<>", "\"\"@mail.example", "ann@mail.exam ple", "ann@mail,example"];
    for text in none.into_iter().chain(more) {
        assert_eq!(email_address(text), None, "{text:?}");
    }
    assert_eq!(email_address(&format!("ann@{}.example", "a".repeat(64))), None);
    assert_eq!(email_address(&format!("{}@mail.example", "a".repeat(250))), None);
}

#[test]
fn a_domain_is_one_in_unicode_and_in_punycode() {
    let domains = [
        ("m\u{fc}nchen.example", "xn--mnchen-3ya.example"),
        ("M\u{dc}NCHEN.example", "XN--MNCHEN-3YA.EXAMPLE"),
        ("mu\u{308}nchen.example.", "xn--mnchen-3ya.example."),
        ("b\u{fc}ro.stra\u{df}e.example", "xn--bro-hoa.xn--strae-oqa.example"),
        ("\u{4f8b}\u{3048}.\u{30c6}\u{30b9}\u{30c8}", "xn--r8jz45g.xn--zckzah"),
        ("\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.\u{440}\u{444}", "xn--e1afmkfd.xn--p1ai"),
        (
            "\u{3b5}\u{3bb}\u{3bb}\u{3b7}\u{3bd}\u{3b9}\u{3ba}\u{3cc}\u{3c2}.example",
            "\u{395}\u{39b}\u{39b}\u{397}\u{39d}\u{399}\u{39a}\u{38c}\u{3a3}.example",
        ),
    ];
    for (unicode, ascii) in domains {
        let [one, other] = [unicode, ascii].map(|domain| email_address(&format!("ann@{domain}")));
        assert!(one.is_some(), "{unicode}");
        assert_eq!(one, other, "{unicode}");
    }
    // What only looks like punycode is compared as it is.
    assert_eq!(email_address("ann@xn--a.example").as_deref(), Some("ann@xn--a.example"));
}

#[test]
fn several_addresses_of_a_text_all_count_as_refused_and_none_as_the_address() {
    let both = ["a@x.example", "b@y.example"];
    let texts = [
        "a@x.example, b@y.example",
        "a@x.example; B@y.example",
        "a@x.example b@y.example",
        "A <a@x.example>, \"B, C\" <b@y.example>",
        "<a@x.example><b@y.example>",
        "a@x.example/b@y.example",
        "mailto:a@x.example,b@y.example",
        "mailto:a@x.example?to=b@y.example",
        "friends: a@x.example, b@y.example;",
        "a@x.example|mailto:b@y.example",
    ];
    for text in texts {
        let mut found = email_addresses(text);
        found.sort();
        assert_eq!(found, both, "{text}");
        assert_eq!(email_address(text), None, "{text}");
    }
    // Words around an address do not hide a refusal, but make no address of a contact.
    assert_eq!(email_addresses("please stop writing to bob@mail.example. Bob"), ["bob@mail.example"]);
    assert_eq!(email_addresses("bob@mail.example on behalf of <ann@mail.example>").len(), 2);
    assert_eq!(email_address("please stop writing to bob@mail.example"), None);
    assert!(email_addresses("n/a").is_empty());
}

#[test]
fn gmail_ignores_dots_and_tags_and_others_do_not() {
    assert_eq!(email_mailbox("A.nn+shop@googlemail.com").as_deref(), Some("ann@gmail.com"));
    assert_eq!(email_mailbox("Ann <a.nn+shop@gmail.com>").as_deref(), Some("ann@gmail.com"));
    assert_eq!(email_mailbox("a.nn+shop@mail.example").as_deref(), Some("a.nn+shop@mail.example"));
    assert_eq!(email_address("a.nn+shop@gmail.com").as_deref(), Some("a.nn+shop@gmail.com"));
}

#[test]
fn a_word_for_nobody_is_no_identifier() {
    let nobody = "NULL\nN/A\n\\N\n-";
    for word in ["NULL", "null", " n/a ", "\\N", "-", "", " ", "\u{200b}", "\u{ff2e}/A"] {
        assert_eq!(identifier(word, nobody), None, "{word:?}");
    }
    assert_eq!(identifier(" c1\u{a0}", nobody).as_deref(), Some("c1"));
    assert_eq!(identifier("nullarbor", nobody).as_deref(), Some("nullarbor"));
}

/// A text of any size takes time in proportion.
#[test]
fn long_texts_take_no_longer_than_they_are() {
    let units = [
        "(",
        ")",
        "\"",
        "<",
        "a@b.c,",
        "\\",
        "=?utf-8?q?",
        "mailto:",
        "mailto:a@b.c?to=",
        "%40",
        "\u{ad}",
        "@",
        ".",
        "\u{fdfa}",
        "a@xn--",
        "1 ",
        "+",
    ];
    for unit in units {
        let text = unit.repeat(100_000);
        let began = crate::clock::Stopwatch::start();
        email_addresses(&text);
        email_address(&text);
        phones::phone_numbers(&text, "GB");
        assert!(began.elapsed_ms() < 5_000, "{unit:?} took {} ms", began.elapsed_ms());
    }
}

/// One thing that a sender's program or person does to an address, which changes nothing of what it is.
fn decorated(address: String, decoration: usize) -> String {
    match decoration {
        0 => address.to_uppercase(),
        1 => format!("\u{a0}{address}\u{2003}"),
        2 => format!("{address}."),
        3 => address.replace('.', "\u{ff0e}"),
        4 => address.chars().flat_map(|c| [c, '\u{ad}']).collect(),
        5 => address.chars().flat_map(|c| [c, '\u{200b}']).collect(),
        6 => address
            .chars()
            .map(|c| char::from_u32(u32::from(c) + 0xfee0).filter(|_| c.is_ascii_graphic() && !"<>\"()[],:;".contains(c)).unwrap_or(c))
            .collect(),
        7 => format!("<{address}>"),
        8 => format!("Ann Lee <{address}>"),
        9 => format!("\"Lee, Ann\" <{address}>"),
        10 => format!("(work) {address}"),
        11 => format!("{address} (Ann)"),
        12 => format!("mailto:{address}"),
        13 => format!("mailto:{address}?subject=stop%20it"),
        14 => format!("{address};"),
        15 => format!("'{address}'"),
        16 => format!("\u{feff}{address}"),
        _ => address,
    }
}

const DECORATIONS: usize = 17;

proptest! {
    /// From the address outwards: characters, then what stands around it, then the whole.
    #[test]
    fn whatever_is_done_to_an_address_it_stays_itself(
        address in prop::sample::select(vec![
            "ann@mail.example", "o'neill+x@a.b.example", "ren\u{e9}@m\u{fc}nchen.example", "ann@xn--mnchen-3ya.example",
        ]),
        decorations in prop::collection::vec(0..DECORATIONS, 0..5),
    ) {
        let mut decorations = decorations;
        // A list ends, and a URI begins, outside of everything that is a mailbox.
        let rank = |decoration: &usize| match decoration { 0 | 2..=6 | 16 => 0, 12 | 13 => 1, 7..=9 => 2, 10 | 11 | 15 => 3, _ => 4 };
        decorations.sort_by_key(rank);
        // One pair of brackets, and one URI.
        let once = |decoration: &usize| [7, 8, 9, 12, 13, 15].contains(decoration);
        decorations.dedup_by_key(|decoration| if once(decoration) { rank(decoration) } else { 100 + *decoration });
        let text = decorations.iter().fold(address.to_owned(), |text, decoration| decorated(text, *decoration));
        let expected = email_address(address);
        prop_assert!(expected.is_some());
        prop_assert_eq!(email_address(&text), expected.clone(), "{:?}", text);
        prop_assert!(email_addresses(&text).contains(&expected.unwrap()), "{:?}", text);
    }

    #[test]
    fn any_text_is_an_address_or_none_and_an_address_stays_itself(
        text in "(?s).{0,30}|[a-zA-Z\u{fc}\u{3c2}\u{130}@.<>\"(),;:? '+\\\\-]{0,24}|[a-c\"]{1,4}@[a-c\u{fc}\u{df}\u{ad}.-]{1,8}"
    ) {
        for address in email_address(&text).into_iter().chain(email_addresses(&text)) {
            prop_assert_eq!(email_address(&address), Some(address.clone()), "{:?}", text);
            prop_assert_eq!(email_addresses(&address).first().cloned(), Some(address), "{:?}", text);
        }
    }

    /// The same domain in letters and in punycode.
    #[test]
    fn a_domain_of_any_letters_is_one_with_its_punycode(label in "[a-z\u{e0}-\u{f6}\u{3b1}-\u{3c9}\u{430}-\u{44f}\u{4e00}-\u{4eff}]{1,12}") {
        let Ok(ascii) = idna::domain_to_ascii(&format!("{label}.example")) else { return Ok(()) };
        prop_assert_eq!(email_address(&format!("ann@{ascii}")), email_address(&format!("Ann@{label}.example")));
    }
}
