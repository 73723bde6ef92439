//! `suppression/suppressions.csv`: orders not to write to somebody, whatever the CRM says.

use std::fmt::Write as _;
use std::path::Path;

use super::calendar::DAY_SECONDS;
use super::contact::Mailbox;
use super::outcome::{Error, Written};
use super::people::Population;
use super::random::Stream;
use super::sink::Lines;

const HEADER: &str = "suppressed_at,channel,contact_id,email,phone,reason";
/// One contact in so many has an order.
const EVERY: usize = 401;

pub(super) fn write(population: &Population, dir: &Path) -> Result<Written, Error> {
    let mut lines = Lines::plain(dir.join("suppression").join("suppressions.csv"))?;
    lines.text.push_str(HEADER);
    lines.end_header()?;
    for (turn, index) in (0..population.people.len()).skip(EVERY / 2).step_by(EVERY).enumerate() {
        let contact = population.contact(index);
        if !contact.in_crm {
            continue;
        }
        let mut dice = population.seed.dice(Stream::Suppression, index as u64, 0);
        let day = dice.between(contact.created_day.max(0), population.calendar.last_day.max(contact.created_day));
        let second = i64::from(day) * DAY_SECONDS + 30_000 + dice.below(30_000).cast_signed();
        population.calendar.push_rfc3339(&mut lines.text, second);
        let own = match contact.last_state().mailbox {
            Mailbox::Own { person, form } => Some((person, form)),
            _ => None,
        };
        // By address, by phone or, in every channel, by number. Writing into a String cannot fail.
        match (turn % 3, own, population.phone(index)) {
            (1, Some((person, form)), _) => {
                lines.text.push_str(",email,,");
                population.push_address(&mut lines.text, person, form);
                lines.text.push_str(",,request");
            }
            (2, _, Some((dial, number))) => {
                let _ = write!(lines.text, ",sms,,,+{dial} {number},request");
            }
            (way, ..) => {
                let reason = if way == 0 { "deceased" } else { "legal" };
                let _ = write!(lines.text, ",,{},,,{reason}", population.people[index].id);
            }
        }
        lines.end_row()?;
    }
    lines.finish()
}
