//! `survey/responses.csv`: the few who answer, one row an answer.

use std::fmt::Write as _;
use std::path::Path;

use super::calendar::DAY_SECONDS;
use super::contact::Mailbox;
use super::outcome::{Error, Written};
use super::people::Population;
use super::random::{Dice, Stream};
use super::sink::Lines;

const HEADER: &str = "response_id,responded_at,email,question,answer";
const NEEDS: &[(u32, &str)] = &[(30, "price"), (25, "quality"), (15, "delivery"), (14, "range"), (9, "service"), (7, "sustainability")];
const INTERESTS: &[&str] = &["home", "garden", "crafts", "gifting", "entertaining", "kids"];
const LIFESTYLES: &[(u32, &str)] = &[(34, "bargain_hunter"), (24, "conscious"), (20, "trend_led"), (22, "traditional")];

/// One filled-in form.
struct Response {
    /// Seconds from the start of the run.
    at: i64,
    index: usize,
    wave: u64,
}

pub(super) fn write(population: &Population, dir: &Path) -> Result<Written, Error> {
    let mut lines = Lines::plain(dir.join("survey").join("responses.csv"))?;
    lines.text.push_str(HEADER);
    lines.end_header()?;
    let responses = responses(population);
    let wanted = population.scale.broken_survey_rows;
    let every = (responses.len() as u64 / wanted).max(1);
    let mut broken = 0;
    for (response, number) in responses.iter().zip(1..) {
        write_response(population, response, number, &mut lines)?;
        if number % every == 0 && broken < wanted {
            write_broken(population, response, broken, &mut lines)?;
            broken += 1;
        }
    }
    // Very small runs have fewer responses than broken rows.
    for (last, broken) in responses.last().into_iter().cycle().zip(broken..wanted) {
        write_broken(population, last, broken, &mut lines)?;
    }
    lines.finish()
}

fn responses(population: &Population) -> Vec<Response> {
    let last_day = population.calendar.last_day;
    let mut responses = Vec::new();
    for (index, person) in population.people.iter().enumerate() {
        let mut dice = population.seed.dice(Stream::Survey, index as u64, 0);
        if !dice.chance(100 + u64::from(person.activity) / 8) {
            continue;
        }
        let contact = population.contact(index);
        let mut day = dice.between(contact.created_day.max(0), last_day);
        for wave in 0..2 {
            let own = contact.state_on(day).is_some_and(|state| matches!(state.mailbox, Mailbox::Own { .. }));
            if own && day <= last_day {
                let second = 28_000 + dice.below(50_000).cast_signed();
                let at = i64::from(day) * DAY_SECONDS + second;
                responses.push(Response { at, index, wave });
            }
            if !dice.chance(300) {
                break;
            }
            day += dice.between(80, 200);
        }
    }
    responses.sort_by_key(|response| (response.at, response.index));
    responses
}

fn write_response(population: &Population, response: &Response, number: u64, lines: &mut Lines) -> Result<(), Error> {
    let index = response.index as u64;
    let mut dice = population.seed.dice(Stream::Answers, index, response.wave);
    let mut head = format!("r{number:07},");
    population.calendar.push_rfc3339(&mut head, response.at);
    head.push(',');
    head.push_str(&address(population, response, &mut dice));
    for (question, answer) in answers(population, response, &mut dice) {
        // Writing into a String cannot fail.
        let _ = write!(lines.text, "{head},{question},{answer}");
        lines.end_row()?;
    }
    Ok(())
}

/// The address a person answers from; some keep it in capitals.
fn address(population: &Population, response: &Response, dice: &mut Dice) -> String {
    let day = i32::try_from(response.at / DAY_SECONDS).unwrap_or(0);
    let state = population.contact(response.index).state_on(day);
    let mut address = String::new();
    if let Some(Mailbox::Own { person, form }) = state.map(|state| state.mailbox) {
        population.push_address(&mut address, person, form);
    }
    if dice.chance(100) {
        address.make_ascii_uppercase();
    }
    address
}

/// Happier people are the more active ones, and who has left was not happy.
fn answers(population: &Population, response: &Response, dice: &mut Dice) -> Vec<(&'static str, String)> {
    let person = &population.people[response.index];
    let day = i32::try_from(response.at / DAY_SECONDS).unwrap_or(0);
    let mood = 6 + i32::from(person.activity) / 160 - i32::from(!person.active(day)) * 2;
    let mut answers = Vec::new();
    if dice.chance(930) {
        let score = (mood + dice.between(-3, 2)).clamp(0, 10);
        answers.push(("nps", score.to_string()));
    }
    if dice.chance(850) {
        let score = (mood / 2 + dice.between(-1, 1)).clamp(1, 5);
        answers.push(("csat", score.to_string()));
    }
    // Needs and interests are a person's own: they are drawn once, and most keep them.
    let wave = if dice.chance(800) { 0 } else { response.wave };
    let index = response.index as u64;
    let mut taste = population.seed.dice(Stream::Taste, index, 10 + wave);
    if dice.chance(850) {
        answers.push(("top_need", taste.weighted(NEEDS).to_owned()));
    }
    let first = taste.index(INTERESTS.len());
    let count = taste.weighted(&[(10, 0), (45, 1), (30, 2), (15, 3)]);
    for step in 0..count {
        let interest = INTERESTS[(first + step * 2 + step / 2) % INTERESTS.len()];
        answers.push(("interest", interest.to_owned()));
    }
    if dice.chance(700) {
        answers.push(("lifestyle", taste.weighted(LIFESTYLES).to_owned()));
    }
    answers
}

/// A row more that no contract can accept, or no question: an answer in words, no day, or a field too many.
fn write_broken(population: &Population, response: &Response, broken: u64, lines: &mut Lines) -> Result<(), Error> {
    let mut dice = population.seed.dice(Stream::Broken, broken, 0);
    let address = address(population, response, &mut dice);
    let _ = write!(lines.text, "r9{broken:06},");
    if broken % 3 != 1 {
        population.calendar.push_rfc3339(&mut lines.text, response.at);
    }
    let _ = match broken % 3 {
        0 => write!(lines.text, ",{address},nps,eleven"),
        1 => write!(lines.text, ",{address},csat,4"),
        _ => write!(lines.text, ",{address},csat,4,very good"),
    };
    lines.end_row()
}
