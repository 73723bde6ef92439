//! `crm/contacts.csv`: every version of every contact, with the dirt that forms collect.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::calendar::DAY_SECONDS;
use super::contact::{Consent, Contact, Mailbox, State, full_name};
use super::names::{EDUCATIONS, INCOMES, JOB_ON_TWO_LINES, JOBS, JUNK_ADDRESSES};
use super::outcome::{Error, Written};
use super::people::Population;
use super::random::{Dice, Stream};
use super::sink::{Lines, push_field};

const HEADER: &str = "contact_id,updated_at,email,phone,first_name,last_name,birth_date,gender,\
    income_band,education,job_title,household_size,city,region,country,loyalty_card,\
    email_consent,sms_consent,post_consent";

/// What is wrong with a row that is wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    BirthDate,
    HouseholdSize,
    /// A day in another format, in a row that says yes to everything: one that might say no would refuse the run.
    UpdatedAt,
}

/// Faults in turn, so that twelve rows have all of them.
const FAULTS: [Fault; 12] = [
    Fault::BirthDate,
    Fault::HouseholdSize,
    Fault::UpdatedAt,
    Fault::BirthDate,
    Fault::HouseholdSize,
    Fault::UpdatedAt,
    Fault::BirthDate,
    Fault::BirthDate,
    Fault::HouseholdSize,
    Fault::UpdatedAt,
    Fault::BirthDate,
    Fault::HouseholdSize,
];

/// One row: a version of a contact, which may be broken.
struct Row<'a> {
    index: usize,
    version: usize,
    /// Seconds from the start of the run.
    updated_at: i64,
    state: &'a State,
    fault: Option<Fault>,
    job_on_two_lines: bool,
}

pub(super) fn write(population: &Population, dir: &Path) -> Result<Written, Error> {
    let mut lines = Lines::plain(dir.join("crm").join("contacts.csv"))?;
    lines.text.push_str(HEADER);
    lines.end_header()?;
    let faults = faults(population);
    let people = population.people.len();
    for index in 0..people {
        let contact = population.contact(index);
        if contact.in_crm {
            let on_two_lines = index == people / 3 || index == people * 2 / 3;
            write_contact(population, &contact, index, on_two_lines, &mut lines)?;
        }
        if let Some(fault) = faults.get(&index) {
            let row = Row {
                index,
                version: 9,
                updated_at: i64::from(contact.created_day) * DAY_SECONDS - 40_000,
                state: &contact.first,
                fault: Some(*fault),
                job_on_two_lines: false,
            };
            push_row(population, &row, &mut lines.text);
            lines.end_row()?;
        }
    }
    lines.finish()
}

/// Who has a broken row, and how: spread evenly over the people. A broken row is one row more, older
/// than the sound ones, so nothing else is lost with it.
fn faults(population: &Population) -> BTreeMap<usize, Fault> {
    let people = population.people.len() as u64;
    let wanted = population.scale.broken_contacts.min(people);
    let fault_of = |broken: u64| FAULTS[usize::try_from(broken % 12).unwrap_or(0)];
    (0..wanted)
        .map(|broken| (broken * people / wanted, fault_of(broken)))
        .map(|(index, fault)| (usize::try_from(index).unwrap_or(0), fault))
        .collect()
}

fn write_contact(population: &Population, contact: &Contact, index: usize, job_on_two_lines: bool, lines: &mut Lines) -> Result<(), Error> {
    let mut dice = population.seed.dice(Stream::ContactRow, index as u64, 99);
    let mut state = contact.first;
    let mut versions = vec![(contact.created_day, state)];
    for (day, change) in &contact.changes {
        state.apply(*change, index);
        versions.push((*day, state));
    }
    let mut rows: Vec<Row> = versions
        .iter()
        .enumerate()
        .map(|(version, (day, state))| Row {
            index,
            version,
            updated_at: i64::from(*day) * DAY_SECONDS + 20_000 + dice.below(50_000).cast_signed(),
            state,
            fault: None,
            job_on_two_lines,
        })
        .collect();
    // An extract is not always in the order of its updates.
    if dice.chance(150) {
        rows.reverse();
    }
    for row in &rows {
        let start = lines.text.len();
        push_row(population, row, &mut lines.text);
        let copy = dice.chance(10).then(|| lines.text[start..].to_owned());
        lines.end_row()?;
        if let Some(copy) = copy {
            lines.text.push_str(&copy);
            lines.end_row()?;
        }
    }
    Ok(())
}

fn push_row(population: &Population, row: &Row, text: &mut String) {
    let index = row.index;
    let person = &population.people[index];
    let key = index as u64;
    // How a field is written may differ from version to version; what it says may not.
    let mut style = population.seed.dice(Stream::ContactRow, key, row.version as u64);
    let mut facts = population.seed.dice(Stream::Demography, key, 0);
    let (gender, given, family) = full_name(population.seed, index);
    // Writing into a String cannot fail.
    let _ = write!(text, "{},", person.id);
    if row.fault == Some(Fault::UpdatedAt) {
        text.push_str("31/12/2010");
    } else {
        population.calendar.push_rfc3339(text, row.updated_at);
    }
    text.push(',');
    push_email(population, index, row.state.mailbox, &mut style, text);
    text.push(',');
    push_phone(population, index, &mut style, text);
    text.push(',');
    push_field(text, given);
    text.push(',');
    push_field(text, family);
    text.push(',');
    let birth = (facts.between(1_935, 1_993), facts.between(1, 12), facts.between(1, 28));
    let has_birth = facts.chance(850);
    if row.fault == Some(Fault::BirthDate) {
        text.push_str("1979-02-30");
    } else if has_birth {
        let _ = write!(text, "{:04}-{:02}-{:02}", birth.0, birth.1, birth.2);
    }
    let job = facts.pick(JOBS);
    let job = if row.job_on_two_lines {
        JOB_ON_TWO_LINES
    } else if facts.chance(800) {
        job
    } else {
        ""
    };
    let income = facts.weighted(INCOMES);
    let education = facts.weighted(EDUCATIONS);
    let _ = write!(text, ",{gender},{income},{education},");
    push_field(text, job);
    text.push(',');
    let household = facts.weighted(&[(28, 1), (34, 2), (16, 3), (14, 4), (6, 5), (2, 6)]);
    if row.fault == Some(Fault::HouseholdSize) {
        text.push_str("four");
    } else if facts.chance(820) {
        let _ = write!(text, "{household}");
    }
    text.push(',');
    push_place(population, row, text);
    if facts.chance(400) {
        // Multiplying by a number prime to the modulus scatters the cards without meeting twice.
        let _ = write!(text, ",LC{:08}", (key * 7_654_321 + 13_579) % 100_000_000);
    } else {
        text.push(',');
    }
    if row.fault == Some(Fault::UpdatedAt) {
        text.push_str(",Y,Y,Y");
        return;
    }
    let [email, sms, post] = [row.state.email_consent, row.state.sms_consent, row.state.post_consent].map(Consent::letter);
    let _ = write!(text, ",{email},{sms},{post}");
}

/// City, region and country. Who moves stays in the country the orders know.
fn push_place(population: &Population, row: &Row, text: &mut String) {
    let person = &population.people[row.index];
    let place = &population.places[usize::from(person.place)];
    let mut home = population.seed.dice(Stream::Taste, row.index as u64, 2);
    let mut city = home.index(place.cities.len());
    for _ in 0..row.state.moves {
        // Any other city of the country, never the same again.
        city += 1 + home.index(place.cities.len().saturating_sub(1));
    }
    let (city, region) = place.cities.get(city % place.cities.len().max(1)).copied().unwrap_or_default();
    push_field(text, city);
    text.push(',');
    push_field(text, region);
    text.push(',');
    push_field(text, place.crm_name());
}

fn push_email(population: &Population, index: usize, mailbox: Mailbox, style: &mut Dice, text: &mut String) {
    let mut address = String::new();
    match mailbox {
        Mailbox::Missing => return,
        Mailbox::Junk(which) => address.push_str(JUNK_ADDRESSES[which % JUNK_ADDRESSES.len()]),
        Mailbox::Malformed => {
            population.push_address(&mut address, index, 0);
            address = address.replace('@', ".");
        }
        Mailbox::Own { person, form } => population.push_address(&mut address, person, form),
    }
    let second_contact = population.owner_of(index).is_some();
    match style.below(100) {
        0..8 => address.make_ascii_uppercase(),
        8..16 => capitalise(&mut address),
        _ if second_contact => capitalise(&mut address),
        _ => {}
    }
    match style.below(100) {
        0..3 => address.insert(0, ' '),
        3..7 => address.push(' '),
        7 => address = format!("  {address} "),
        _ => {}
    }
    text.push_str(&address);
}

fn capitalise(address: &mut str) {
    if let Some(first) = address.get_mut(..1) {
        first.make_ascii_uppercase();
    }
}

/// A phone number as people write it.
fn push_phone(population: &Population, index: usize, style: &mut Dice, text: &mut String) {
    let Some((dial, number)) = population.phone(index) else {
        return;
    };
    let digits = number.to_string();
    let (head, tail) = digits.split_at_checked(4).unwrap_or(("", &digits));
    let way = style.below(4);
    // Writing into a String cannot fail.
    let _ = match (dial, way) {
        ("44", 0) => write!(text, "0{head} {tail}"),
        ("44", 1) => write!(text, "+44 {head} {tail}"),
        ("44", 2) => write!(text, "0044-{head}-{tail}"),
        ("44", _) => write!(text, "(0{head}) {}-{}", &tail[..3], &tail[3..]),
        (dial, 0) => write!(text, "+{dial}{digits}"),
        (dial, 1) => write!(text, "+{dial} {head}-{tail}"),
        (dial, _) => write!(text, "+{dial} {head} {tail}"),
    };
}
