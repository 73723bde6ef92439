//! Pages of figures of many kinds.

use super::numbers::Numbers;
use super::{MAX_PAGE_BYTES, report};
use crate::figures::types::{Amount, Figures, Flow, SegmentFigures, Trait};

const KINDS: [&str; 10] = ["typical", "three", "three_hundred", "five_sets", "nobody", "ten_million", "first", "hostile", "bare", "tiny"];

/// Figures of a kind, most of which `tests/pages` has.
fn figures(kind: &str) -> Figures {
    match kind {
        "three_hundred" => many(1, 300),
        "five_sets" => many(5, 300),
        _ => {
            let path = format!("{}/tests/pages/{kind}.json", env!("CARGO_MANIFEST_DIR"));
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        }
    }
}

/// Typical figures with so many sets of so many segments, among which customers move.
fn many(sets: usize, segments: usize) -> Figures {
    let mut figures = figures("typical");
    let template = figures.sets[0].clone();
    let name = |at: usize| format!("{}_{at}", template.segments[at % template.segments.len()].name);
    figures.sets = (0..sets)
        .map(|set| {
            let mut made = template.clone();
            made.name = format!("{}_{set}", template.name);
            made.segments = (0..segments)
                .map(|at| SegmentFigures { name: name(at), ..template.segments[at % template.segments.len()].clone() })
                .collect();
            made.flows = (0..segments)
                .map(|at| Flow {
                    from: Some(name(at)),
                    to: Some(name((at + 7) % segments)),
                    ..template.flows[at % template.flows.len()].clone()
                })
                .collect();
            made
        })
        .collect();
    figures
}

/// The text of a page, without its elements, and with every space as one.
fn text(page: &str) -> String {
    let page = page.split("</style>").nth(1).unwrap().split("<script>").next().unwrap();
    let (mut text, mut is_inside) = (String::new(), false);
    for character in page.chars() {
        match character {
            '<' => is_inside = true,
            '>' => is_inside = false,
            _ if is_inside => {}
            '\u{a0}' => text.push(' '),
            other => text.push(other),
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn amount(unscaled: i128, scale: u8) -> Amount {
    Amount { unscaled, scale }
}

#[test]
fn numbers_are_written_as_languages_do() {
    for (tag, currency, count, percent, exact, short) in [
        ("en-GB", Some("GBP"), "1,234,567", "12.3%", "£310,452", "£310k"),
        ("en-US", Some("USD"), "1,234,567", "12.3%", "$310,452", "$310k"),
        ("en-GB", Some("USD"), "1,234,567", "12.3%", "US$310,452", "US$310k"),
        ("en-IN", Some("INR"), "12,34,567", "12.3%", "₹3,10,452", "₹310k"),
        ("de-DE", Some("EUR"), "1.234.567", "12,3\u{a0}%", "310.452\u{a0}€", "310k\u{a0}€"),
        ("de-AT", Some("EUR"), "1\u{a0}234\u{a0}567", "12,3\u{a0}%", "€\u{a0}310\u{a0}452", "€\u{a0}310k"),
        ("de-CH", Some("CHF"), "1'234'567", "12.3%", "CHF\u{a0}310'452", "CHF\u{a0}310k"),
        ("fr-FR", Some("EUR"), "1\u{202f}234\u{202f}567", "12,3\u{a0}%", "310\u{202f}452\u{a0}€", "310k\u{a0}€"),
        ("ar-EG", Some("EGP"), "١٬٢٣٤٬٥٦٧", "١٢٫٣%", "٣١٠٬٤٥٢\u{a0}EGP", "٣١٠k\u{a0}EGP"),
        ("tr", Some("TRY"), "1.234.567", "%12,3", "₺310.452", "₺310k"),
        ("xx-YY", None, "1,234,567", "12.3%", "310,452", "310k"),
        ("no tag at all", None, "1,234,567", "12.3%", "310,452", "310k"),
        ("", Some(" "), "1,234,567", "12.3%", "310,452", "310k"),
    ] {
        let numbers = Numbers::new(tag, currency, 10);
        assert_eq!(numbers.plain(1_234_567), count, "{tag}");
        assert_eq!(numbers.percent(0.123), percent, "{tag}");
        assert_eq!(numbers.plain_amount(amount(31_045_249, 2)), exact, "{tag}");
        assert_eq!(numbers.short_amount(amount(31_045_249, 2)), short, "{tag}");
    }
}

#[test]
fn amounts_are_short_where_they_are_large() {
    let numbers = Numbers::new("en-GB", Some("GBP"), 10);
    for (unscaled, scale, short, rough) in [
        (0, 3, "£0", "£0"),
        (5, 1, "£0.5", "£0"),
        (99_995, 3, "£100.00", "£100"),
        (1_234, 2, "£12.34", "£12"),
        (812, 0, "£812", "£810"),
        (9_949, 0, "£9,949", "£9,900"),
        (9_950, 0, "£10k", "£10k"),
        (310_452, 0, "£310k", "£310k"),
        (999_499, 0, "£999k", "£1m"),
        (999_500, 0, "£1m", "£1m"),
        (1_250_000, 0, "£1.2m", "£1.2m"),
        (8_911_407_904, 3, "£8.9m", "£8.9m"),
        (48_500_000, 0, "£48.5m", "£48m"),
        (-48_500_000, 0, "\u{2212}£48.5m", "\u{2212}£48m"),
        (123_000_000_000_000_000_000, 0, "£123,000,000tn", "£120,000,000tn"),
    ] {
        assert_eq!(numbers.short_amount(amount(unscaled, scale)), short, "{unscaled} e-{scale}");
        assert_eq!(numbers.rough_amount(amount(unscaled, scale)), rough, "{unscaled} e-{scale}");
    }
    assert_eq!(numbers.short_count(999_999), "999,999");
    assert_eq!(numbers.short_count(10_000_000), "10m");
    assert_eq!(numbers.percent(0.000_01), "<0.1%");
    assert_eq!(numbers.percent(-0.5), "\u{2212}50.0%");
    assert_eq!(numbers.percent(f64::NAN), "–");
    assert_eq!(numbers.about(0.384), "38%");
    assert_eq!(numbers.plain_group(3), "fewer than\u{a0}10");
    assert_eq!(numbers.plain_group(0), "0");
    assert_eq!(numbers.plain_group(10), "10");
    assert_eq!(Numbers::new("en", None, 0).plain_group(1), "1", "no minimum");
}

#[test]
fn the_largest_numbers_are_shown() {
    let numbers = Numbers::new("en", Some("EUR"), u64::MAX);
    for amount in [amount(i128::MAX, 0), amount(i128::MIN, 255), amount(i128::MIN, 0), amount(1, 255)] {
        let told = [numbers.plain_amount(amount), numbers.short_amount(amount), numbers.rough_amount(amount)];
        assert!(told.iter().all(|told| !told.is_empty()), "{told:?}");
    }
    let mut figures = figures("typical");
    for set in &mut figures.sets {
        for segment in &mut set.segments {
            segment.members.iter_mut().for_each(|members| *members = Some(u64::MAX));
            segment.revenue = Some(amount(i128::MAX, 0));
        }
        for flow in &mut set.flows {
            flow.customers = u64::MAX;
            flow.revenue = Some(amount(i128::MIN, 200));
        }
        set.customers_in_none = u64::MAX;
    }
    report(&figures).unwrap();
}

#[test]
fn every_kind_of_figures_makes_a_page_that_is_small_and_the_same_each_time() {
    for kind in KINDS {
        let figures = figures(kind);
        let page = report(&figures).unwrap();
        assert!(page.len() < MAX_PAGE_BYTES, "{kind}: {}", page.len());
        assert_eq!(page, report(&figures).unwrap(), "{kind}");
    }
}

#[test]
fn figures_that_are_far_too_many_make_a_small_page_too() {
    let mut figures = figures("three_hundred");
    let longest = "long words ".repeat(2_000);
    let segments = figures.sets[0].segments.clone();
    for at in 0..10 {
        for (place, segment) in segments.iter().enumerate() {
            let mut segment = segment.clone();
            segment.name = format!("{}_{at}_{place}", segment.name);
            segment.description = Some(longest.clone());
            segment.rule = Some(longest.clone());
            segment.action = Some(longest.clone());
            figures.sets[0].segments.push(segment);
        }
    }
    let page = report(&figures).unwrap();
    assert!(page.len() < MAX_PAGE_BYTES, "{}", page.len());
    assert!(text(&page).contains("to keep this page small"));
}

const ELEMENTS: &str = "a article b bdi body caption circle code data dd details div dl dt figcaption figure footer h1 h2 h3 h4 head header i input label \
    li main nav ol p path rect section span summary svg table tbody td text th thead time title tr tspan ul";
const ATTRIBUTES: &str = "aria-hidden aria-label aria-labelledby autocomplete class cx cy d data-filter data-name data-sort data-tip datetime dir \
    for height href id preserveAspectRatio r role scope spellcheck tabindex text-anchor title type unicode-bidi value viewBox width x y";

#[test]
fn nothing_of_the_figures_becomes_an_element() {
    let page = report(&figures("hostile")).unwrap();
    let body = page.split("</style>").nth(1).unwrap();
    assert_eq!(body.matches("<script").count(), 1, "the page's own script");
    assert_eq!(page.matches("<style").count(), 1);
    assert!(!page.contains('\u{0}'));
    for tag in body.split("<script>").next().unwrap().split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.trim_start_matches('/').split(' ').next().unwrap();
        assert!(ELEMENTS.split(' ').any(|known| known == name), "an element of the figures: {tag}");
        for attribute in tag.split('"').step_by(2).filter_map(|part| part.trim().strip_suffix('=')) {
            let attribute = attribute.rsplit(' ').next().unwrap();
            assert!(ATTRIBUTES.split(' ').any(|known| known == attribute), "an attribute of the figures: {tag}");
        }
    }
    assert!(page.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "names stay text");
}

#[test]
fn the_policy_allows_the_style_and_the_script_of_the_page_alone() {
    use base64::Engine;
    use sha2::Digest;
    let page = report(&figures("three")).unwrap();
    let between = |from: &str, to: &str| page.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
    let digest = |text: &str| base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
    let policy = format!(
        "content=\"default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'\"",
        digest(&between("<style>", "</style>")),
        digest(&between("<script>", "</script>")),
    );
    assert!(page.contains(&policy));
    assert!(!page.contains(" style=\"") && !page.contains("http://") && !page.contains("https://"));
}

fn flow(from: Option<&str>, to: Option<&str>, customers: u64, revenue: i128, causes: &[(&str, u64)]) -> Flow {
    Flow {
        from: from.map(Into::into),
        to: to.map(Into::into),
        customers,
        revenue: Some(amount(revenue, 0)),
        causes: causes.iter().map(|(cause, customers)| ((*cause).to_owned(), *customers)).collect(),
    }
}

#[test]
fn sentences_say_who_moved_from_where_and_why() {
    let mut figures = figures("typical");
    figures.sets.truncate(1);
    figures.sets[0].flows = vec![
        flow(Some("loyal"), Some("at_risk"), 812, 210_000, &[("time", 700), ("data", 112)]),
        flow(Some("champions"), Some("at_risk"), 392, 100_000, &[("definition", 300), ("time", 92)]),
        flow(None, Some("new"), 45, 900, &[("identity", 45)]),
        flow(Some("gone"), Some("loyal"), 30, 800, &[("definition", 30)]),
        flow(Some("new"), Some("champions"), 9, 7_777, &[("data", 9)]),
        flow(Some("new"), None, 11, 0, &[("undetermined", 11)]),
    ];
    let told = text(&report(&figures).unwrap());
    for sentence in [
        "1,204 customers became At risk, most of them (812) loyal before; they spent £310k in the window. \
         Mostly because days passed without anything new from them (792).",
        "45 customers became New, all of them in no segment before; they spent £900 in the window. \
         All because customers are new, or records were joined or split.",
        "30 customers became Loyal, all of them gone before; they spent £800 in the window. All because the rules were edited.",
        "11 customers are in no segment of Value any more; they spent nothing in the window. For most of them it cannot be told why.",
        "so 330 of the 1,299 movements come from the edits and not from the customers: The rule of value.loyal was edited",
        "The segment Gone is not in Value any more.",
        "E-mail may reach 3,123 customers, 187 fewer than before (−5.6%).",
        "A check warns: Lifecycle shares move slowly: Lapsing rose by 16.2 points, allowed are 15.",
    ] {
        assert!(told.contains(sentence), "{sentence}\n{}", &told[..4_000]);
    }
    assert!(!told.contains("became Champions"), "too few to be told");
    let (at_risk, new) = (told.find("became At risk").unwrap(), told.find("became New").unwrap());
    assert!(at_risk < new, "the movement of most revenue comes first");
    assert!(!told.contains("7,777") && !told.contains("£7.8k"), "the revenue of nine customers");
}

#[test]
fn groups_of_a_few_are_not_broken_down() {
    let mut figures = figures("typical");
    let set = &mut figures.sets[0];
    set.customers_in_none = 0;
    for (at, segment) in set.segments.iter_mut().enumerate() {
        segment.revenue = Some(amount(100_000 + i128::try_from(at).unwrap(), 0));
    }
    let small = &mut set.segments[2];
    small.members.iter_mut().for_each(|members| *members = Some(3));
    small.revenue = Some(amount(123_457, 0));
    small.reach = vec![2, 1, 1];
    small.preferred_channels = vec![("email".to_owned(), 3)];
    small.traits = vec![Trait {
        base: None,
        column: "secret".to_owned(),
        column_description: None,
        words: "secret much higher (9, everybody 1)".to_owned(),
        standardised_difference: 2.0,
        is_in_rule: false,
    }];
    set.flows = vec![flow(Some("loyal"), Some("champions"), 2, 4_242, &[("data", 2)])];
    // The smallest of the others, whose revenue would tell that of the three.
    set.segments[10].revenue = Some(amount(234_567, 0));
    let page = report(&figures).unwrap();
    let card = page.split("id=\"segment-1-3\"").nth(1).unwrap().split("</article>").next().unwrap();
    assert!(card.contains("Groups of fewer than 10 customers are not broken down.") && !card.contains("much higher"), "{card}");
    assert!(!card.contains("May be reached by") && !card.contains("Prefer"), "{card}");
    for hidden in ["123457", "123,457", "234567", "234,567", "4242", "4,242"] {
        assert!(!page.contains(hidden), "{hidden}");
    }
    assert!(text(&page).contains("fewer than 10"));
}

#[test]
fn what_was_not_told_is_said_at_its_place_and_in_a_list() {
    let told = text(&report(&figures("bare")).unwrap());
    for not_told in &figures("bare").not_told {
        assert!(told.contains(&not_told.reason), "{}", not_told.part);
    }
    assert!(told.contains("Recency and frequency Not told: the project does not name its scores"));
}

#[test]
fn the_first_publication_has_no_changes() {
    let told = text(&report(&figures("first")).unwrap());
    assert!(told.contains("This is the first publication."));
    assert!(!told.contains("is new in") && !told.contains('▲') && !told.contains("no change"));
}
