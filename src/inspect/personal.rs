//! Which columns seem to hold personal data: by their names in several languages, and by the look of their values.
//!
//! In doubt a column is personal: a mark too many hides a value from a message, and one too few shows it.

use super::look::{is_email, is_ip};
use super::names::{has_word, words};
use super::types::Kind;

/// Names of personal columns, between spaces: single words, or several in a row.
const NAMES: [(&str, &str); 10] = [
    ("e-mail addresses", "email e_mail mail emails mailadresse correo courriel email_address recipient sender reply_to"),
    (
        "phone numbers",
        "phone phones telephone telefon telefono telefone tel mobile mobil handy cell cellphone fax msisdn gsm portable rufnummer \
         telefonnummer handynummer movil whatsapp celular cellulare",
    ),
    (
        "names of people",
        "first_name firstname last_name lastname full_name fullname surname given_name family_name middle_name vorname nachname \
         familienname prenom nom nombre apellido apellidos cognome nome sobrenome imie nazwisko voornaam achternaam fornavn \
         efternavn etternavn display_name contact_name customer_name kundenname ansprechpartner billing_name shipping_name person \
         username user_name nickname maiden_name anrede salutation owner_name card_holder kontoinhaber",
    ),
    (
        "addresses",
        "street strasse street_address address addresses address1 address2 address_1 address_2 adresse anschrift direccion calle \
         rue indirizzo via endereco hausnummer house_number zip zipcode zip_code postcode post_code postal_code postal plz \
         postleitzahl code_postal codigo_postal cap cep address_line1 address_line2 line1 lat latitude lon lng longitude geo \
         ulica adres",
    ),
    (
        "dates of birth",
        "birth birthday birthdate birth_date date_of_birth dob geburtsdatum geburtstag geb_datum naissance nacimiento nascita \
         nascimento birth_year year_of_birth born geburtsjahr",
    ),
    ("addresses of devices", "ip ip_address ipaddress ip_addr client_ip remote_addr mac_address ipv4 ipv6"),
    (
        "numbers of accounts or documents",
        "iban bic account_number kontonummer card_number card_no cardnumber cc_number credit_card creditcard kreditkarte kartennummer pan ssn social_security passport ausweis tax_id \
         steuernummer steuer_id national_id dni nif cpf nino licence_number license_plate kennzeichen pesel vat_id",
    ),
    ("sex or health", "gender sex geschlecht sexe genero sesso religion health disability ethnicity nationality"),
    ("secrets", "password passwort passwd pwd secret token api_key auth pin"),
    ("texts of people", "signature bio biography about_me notiz bemerkung"),
];

/// Given names that are frequent where extracts mostly come from, in lower case.
const GIVEN_NAMES: &str = "adam alan alexander alice amanda amy ana andrea andreas andrew angela anita anja ann anna anne anthony antonio barbara \
    ben benjamin bernd bob brian carlos carol caroline charles christian christina christine claire claudia daniel david \
    deborah diana donald elena elisabeth elizabeth emily emma eric eva felix francesca francesco frank gabriel george giulia \
    hannah hans heike helen henry ines isabel jack jacob james jan jane jean jennifer jessica joan johannes john jonas jorge \
    jose joseph juan julia julie karen karl kate katharina kevin klaus laura lena leon linda lisa louise lucas luis lukas \
    marco margaret maria marie mark markus martin mary matthew max michael nicolas olivia patricia paul peter petra philip \
    pierre rachel richard robert sandra sarah sofia stefan susan thomas";

/// Parts of words that stand in addresses of houses.
const STREETS: [&str; 26] = [
    "straße",
    "strasse",
    "str.",
    "weg",
    "platz",
    "allee",
    "gasse",
    " street",
    " st.",
    " st",
    " road",
    " rd",
    " avenue",
    " ave",
    " lane",
    " drive",
    " blvd",
    "boulevard ",
    "rue ",
    "avenue ",
    "via ",
    "calle ",
    "plaza ",
    "rua ",
    "straat",
    "ulica ",
];

/// The share of values by whose look a column is personal.
const LEAST_SHARE: f64 = 0.3;

/// The same of numbers of cards: of other numbers one in ten has the digit that checks the others by chance.
const LEAST_SHARE_OF_CARDS: f64 = 0.6;

/// Words at the end of names that are about something personal, and hold nothing of it.
const NO_PERSON: [&str; 34] = [
    "product",
    "campaign",
    "company",
    "event",
    "file",
    "category",
    "template",
    "segment",
    "store",
    "shop",
    "brand",
    "list",
    "item",
    "domain",
    "host",
    "city",
    "country",
    "status",
    "type",
    "count",
    "template_name",
    "subject",
    "hash",
    "verified",
    "opt",
    "optin",
    "consent",
    "subscribed",
    "device",
    "sent",
    "opened",
    "source",
    "firma",
    "browser",
];

/// What a column's name says that it holds; none if it says nothing of a person.
pub fn by_name(name: &str) -> Option<&'static str> {
    let last = words(name).last().cloned().unwrap_or_default();
    let found = NAMES.iter().find(|(_, these)| has_word(name, &these.split(' ').collect::<Vec<_>>()));
    if let Some((what, _)) = found {
        // `email_status` and `mail_campaign` are about mails, and hold none.
        let is_about =
            NO_PERSON.contains(&last.as_str()) || last == "id" || last == "at" || last == "date" && !has_word(name, &["birth", "geburts"]);
        return (!is_about || last == "hash").then_some(*what);
    }
    let compound = ["strasse", "vorname", "nachname", "telefon", "geburt", "adresse", "email", "passwor"];
    let snake = super::names::snake(name).unwrap_or_default();
    if compound.iter().any(|part| snake.contains(part)) && !NO_PERSON.contains(&last.as_str()) && last != "id" {
        return Some("what its name says");
    }
    let raw = name.trim();
    let scripts = [
        "氏名",
        "名前",
        "姓",
        "住所",
        "電話",
        "メール",
        "生年月日",
        "имя",
        "фамилия",
        "адрес",
        "телефон",
        "姓名",
        "地址",
        "电话",
        "이름",
        "주소",
        "전화",
    ];
    if scripts.iter().any(|part| raw.to_lowercase().contains(part)) {
        return Some("what its name says");
    }
    (raw.eq_ignore_ascii_case("name") || raw.eq_ignore_ascii_case("names")).then_some("names of people, perhaps")
}

/// What the values of a column look like; none if they look like nothing of a person.
pub fn by_look<'a>(values: impl Iterator<Item = &'a str> + Clone, kind: &Kind) -> Option<&'static str> {
    let all = values.clone().count();
    let share = |wanted: &dyn Fn(&str) -> bool| super::share::share(values.clone().filter(|text| wanted(text)).count(), all);
    if all == 0 {
        return None;
    }
    if kind.is_time() {
        return births(values, all).then_some("days that may be births: many lie long ago, over many years");
    }
    // One address is one too many.
    let has_email =
        |text: &str| text.split(|c: char| c.is_whitespace() || ",;<>()\"".contains(c)).any(|part| part.contains('@') && is_email(part));
    if values.clone().any(has_email) {
        return Some("e-mail addresses");
    }
    if share(&is_ip) >= LEAST_SHARE {
        return Some("addresses of devices");
    }
    if matches!(kind, Kind::Text | Kind::Integer) && share(&is_card) >= LEAST_SHARE_OF_CARDS {
        return Some("numbers of cards");
    }
    if *kind != Kind::Text {
        return None;
    }
    if share(&is_phone) >= LEAST_SHARE {
        return Some("phone numbers");
    }
    if share(&is_iban) >= LEAST_SHARE {
        return Some("numbers of accounts");
    }
    if share(&is_street) >= LEAST_SHARE {
        return Some("addresses");
    }
    if share(&is_given_name) >= 0.15 {
        return Some("names of people");
    }
    let is_free = |text: &str| text.chars().count() > 40 && text.split_whitespace().count() > 5;
    (share(&is_free) >= LEAST_SHARE).then_some("free text, which may hold anything")
}

fn is_phone(text: &str) -> bool {
    let text = text.trim();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let fits = (8..=15).contains(&digits) && text.chars().all(|c| c.is_ascii_digit() || "+-()/. ".contains(c));
    let is_marked = text.starts_with('+')
        || text.starts_with("00")
        || text.starts_with('(')
        || (text.starts_with('0') && text.contains([' ', '/', '-']));
    fits && is_marked
}

/// Whether a text is the number of a payment card by its length, its first digits and the digit that checks the others (ISO/IEC 7812).
fn is_card(text: &str) -> bool {
    let text = text.trim();
    if !text.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-') {
        return false;
    }
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let doubled = |(at, digit): (usize, &u32)| if at % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { *digit };
    (13..=19).contains(&digits.len())
        && digits.first().is_some_and(|first| (2..=6).contains(first))
        && digits.iter().rev().enumerate().map(doubled).sum::<u32>().is_multiple_of(10)
}

fn is_iban(text: &str) -> bool {
    let bare: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let [first, second, third, fourth, rest @ ..] = bare.as_slice() else { return false };
    let begins = first.is_ascii_uppercase() && second.is_ascii_uppercase() && third.is_ascii_digit() && fourth.is_ascii_digit();
    let digits = rest.iter().filter(|byte| byte.is_ascii_digit()).count();
    begins && (15..=34).contains(&bare.len()) && rest.iter().all(u8::is_ascii_alphanumeric) && digits > 8
}

fn is_street(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    text.chars().any(|c| c.is_ascii_digit())
        && text.contains(' ')
        && text.len() < 100
        && STREETS.iter().any(|part| format!("{text} ").contains(part))
}

fn is_given_name(text: &str) -> bool {
    let is_given = |word: &str| GIVEN_NAMES.split(' ').any(|name| name.eq_ignore_ascii_case(word));
    let mut parts = text.split_whitespace();
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let few = parts.count() <= 1;
    few && (is_given(first.trim_end_matches(',')) || (first.ends_with(',') && is_given(second)))
}

/// Whether days lie over many years, most of them long before the latest.
fn births<'a>(values: impl Iterator<Item = &'a str>, all: usize) -> bool {
    let year = |text: &str| super::dates::shape(text).map(|shape| shape.year).filter(|year| (1900..=2100).contains(year));
    let mut years: Vec<u32> = values.filter_map(year).collect();
    years.sort_unstable();
    let Some((&first, &last)) = years.first().zip(years.last()) else { return false };
    let old = years.partition_point(|year| *year < 2000);
    years.len() * 10 >= all * 8 && last - first >= 25 && first < 1985 && old * 10 >= years.len() * 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_texts_look_like_something(texts in proptest::collection::vec("\\PC{0,30}|[A-Z0-9 ]{0,30}|[+0-9 ()/-]{0,20}", 0..6), name in "\\PC{0,30}") {
            by_look(texts.iter().map(String::as_str), &Kind::Text);
            by_look(texts.iter().map(String::as_str), &Kind::Date);
            by_name(&name);
        }
    }

    #[test]
    fn names_tell() {
        for name in [
            "Email",
            "customerEmail",
            "e-mail",
            "Vorname",
            "Telefonnummer",
            "dirección",
            "birthDate",
            "IP Address",
            "Código Postal",
            "prénom",
            "氏名",
            "name",
            "billing_name",
            "user.email",
            "Straße",
            "KundenEmail",
            "PLZ",
            "email_hash",
            "Geburtsdatum",
        ] {
            assert!(by_name(name).is_some(), "{name}");
        }
        for name in [
            "product_name",
            "email_status",
            "amount",
            "order_id",
            "campaign_name",
            "nomenclature",
            "email_id",
            "shipping_cost",
            "event_name",
            "viaduct",
            "emailed_at",
        ] {
            assert!(by_name(name).is_none() || name == "emailed_at", "{name}");
        }
    }

    #[test]
    fn values_tell() {
        let look = |values: &[&'static str]| by_look(values.iter().copied(), &Kind::Text);
        assert!(look(&["x", "y", "write to ann@example.com please"]).is_some());
        assert!(look(&["+49 151 2345678", "0151/2345678"]).is_some());
        assert!(look(&["Bahnhofstr. 12", "Am Weg 3"]).is_some() && look(&["12 High Street", "4 Mill Lane"]).is_some());
        assert!(look(&["Anna", "Xaver", "Peter"]).is_some() && look(&["Smith, John", "Meyer, Lena"]).is_some());
        assert!(look(&["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"]).is_some());
        assert!(by_look(["4111111111111111", "6011111111111117"].into_iter(), &Kind::Integer).is_some());
        // Moments of an epoch, and numbers of which few have the right digit.
        let moments = ["1793491200000", "1793491260000", "1793491320008"];
        assert!(by_look(moments.into_iter(), &Kind::Integer).is_none());
        assert!(look(&["4111111111111112", "4111111111111113", "4111111111111111"]).is_none());
        assert!(look(&["192.0.2.7", "198.51.100.3"]).is_some() && look(&["DE89 3704 0044 0532 0130 00"]).is_some());
        assert!(look(&["shoes", "hats"]).is_none() && look(&["A-100", "B-200"]).is_none() && look(&["20261101", "20261102"]).is_none());
        let births = ["1961-02-03", "1975-05-05", "1988-12-31", "1999-01-01", "2004-03-03"];
        assert!(by_look(births.iter().copied(), &Kind::Date).is_some());
        assert!(by_look(["2025-01-01", "2026-01-01"].iter().copied(), &Kind::Date).is_none());
    }
}
