//! `email/YYYY-MM.ndjson.gz` or `.parquet`: what was sent, by e-mail and by text, and what came of it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::calendar::Month;
use super::contact::Mailbox;
use super::mailing::{Kind, MailEvent, mail_events};
use super::names::JUNK_ADDRESSES;
use super::outcome::{Error, Written};
use super::people::Population;
use super::random::Stream;
use super::sink::{BATCH_ROWS, Lines, Table, occurred_at, text_column};

/// The form of the e-mail platform's export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmailFormat {
    /// A JSON object a line, compressed with gzip.
    Ndjson,
    /// Apache Parquet.
    Parquet,
}

/// One event as a row; what is absent is `None`.
struct Row<'a> {
    event_id: i64,
    at: i64,
    message_id: String,
    campaign: &'a str,
    channel: &'static str,
    email: Option<String>,
    phone: Option<String>,
    event: &'static str,
    bounce_type: Option<&'static str>,
}

pub(super) fn write(population: &Population, month: &Month, format: EmailFormat, dir: &Path) -> Result<Written, Error> {
    let events = mail_events(population, month);
    match format {
        EmailFormat::Ndjson => write_lines(population, month, &events, dir),
        EmailFormat::Parquet => write_table(population, month, &events, dir),
    }
}

fn row<'a>(population: &'a Population, event: &MailEvent, event_id: i64) -> Row<'a> {
    let campaign = &population.campaigns[usize::from(event.campaign)];
    let reader = event.reader as usize;
    let message = population.seed.hash(Stream::Mail, u64::from(event.reader), 1_000 + u64::from(event.campaign));
    let (email, phone) = if campaign.sms {
        let phone = population.phone(reader);
        (None, phone.map(|(dial, number)| format!("+{dial}{number}")))
    } else {
        (address_on(population, reader, campaign.day), None)
    };
    Row {
        event_id,
        at: i64::from(event.at),
        message_id: format!("m{:012x}", message >> 16),
        campaign: &campaign.name,
        channel: if campaign.sms { "sms" } else { "email" },
        email,
        phone,
        event: event.kind.name(),
        bounce_type: event.kind.bounce_type(),
    }
}

/// The address a message went to: the one known on the day it was sent.
fn address_on(population: &Population, reader: usize, day: i32) -> Option<String> {
    match population.contact(reader).state_on(day)?.mailbox {
        Mailbox::Own { person, form } => {
            let mut address = String::new();
            population.push_address(&mut address, person, form);
            Some(address)
        }
        Mailbox::Junk(which) => Some(JUNK_ADDRESSES[which % JUNK_ADDRESSES.len()].to_owned()),
        Mailbox::Missing | Mailbox::Malformed => None,
    }
}

fn write_lines(population: &Population, month: &Month, events: &[MailEvent], dir: &Path) -> Result<Written, Error> {
    let path = dir.join("email").join(format!("{}.ndjson.gz", month.label));
    let mut lines = Lines::gzip(path)?;
    let broken = broken_lines(population, month, events.len());
    let every = (events.len() as u64 / (broken.len() as u64 + 1)).max(1);
    let mut event_id = month.number * 1_000_000_000;
    let mut left = broken.iter();
    for (event, number) in events.iter().zip(1_u64..) {
        event_id += 1;
        let row = row(population, event, event_id);
        push_line(population, &row, &mut lines.text);
        lines.end_row()?;
        if number % every == 0
            && let Some(fault) = left.next()
        {
            event_id += 1;
            push_broken(population, Row { event_id, ..row }, *fault, &mut lines.text);
            lines.end_row()?;
        }
    }
    for fault in left {
        event_id += 1;
        let _ = write!(lines.text, "{{\"event_id\":{event_id},\"fault\":{fault}");
        lines.end_row()?;
    }
    lines.finish()
}

/// The faults of the lines that are wrong on purpose in a month's file.
fn broken_lines(population: &Population, month: &Month, events: usize) -> Vec<u64> {
    match population.scale.broken_mail_lines {
        None => (0..events as u64 / 20_000).collect(),
        Some(total) => {
            let months = &population.calendar.months;
            let position = months.iter().position(|m| m.number == month.number);
            (0..total)
                .filter(|fault| {
                    // Spread over the middle of the period, where every month has campaigns.
                    let at = (2 * fault + 1) * months.len() as u64 / (2 * total);
                    position.is_some_and(|position| position as u64 == at)
                })
                .collect()
        }
    }
}

fn push_line(population: &Population, row: &Row, text: &mut String) {
    // Nothing in a row needs escaping: addresses, names and numbers are plain ASCII. Writing into a
    // String cannot fail.
    let _ = write!(text, "{{\"event_id\":{},\"occurred_at\":\"", row.event_id);
    population.calendar.push_rfc3339(text, row.at);
    push_rest(row, text);
}

fn push_rest(row: &Row, text: &mut String) {
    let _ = write!(text, "\",\"message_id\":\"{}\",\"campaign\":\"{}\",\"channel\":\"{}\"", row.message_id, row.campaign, row.channel);
    push_optional(text, "email", row.email.as_deref());
    push_optional(text, "phone", row.phone.as_deref());
    let _ = write!(text, ",\"event\":\"{}\"", row.event);
    push_optional(text, "bounce_type", row.bounce_type);
    text.push('}');
}

fn push_optional(text: &mut String, name: &str, value: Option<&str>) {
    let _ = match value {
        Some(value) => write!(text, ",\"{name}\":\"{value}\""),
        None => write!(text, ",\"{name}\":null"),
    };
}

/// A line more that no contract can accept: a word or a fraction for a number, or a day that is none. Of a message that was sent, since a
/// line that might be a refusal would refuse the run.
fn push_broken(population: &Population, row: Row, fault: u64, text: &mut String) {
    let row = Row { event: "sent", bounce_type: None, ..row };
    let (event_id, has_day) = match fault % 3 {
        0 => (format!("{}.5", row.event_id), true),
        1 => ("\"abc\"".to_owned(), true),
        _ => (row.event_id.to_string(), false),
    };
    let _ = write!(text, "{{\"event_id\":{event_id},\"occurred_at\":\"");
    if has_day {
        population.calendar.push_rfc3339(text, row.at);
    } else {
        text.push_str("2011-02-31T10:00:00Z");
    }
    push_rest(&row, text);
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("event_id", DataType::Int64, false),
        occurred_at(),
        text_column("message_id", false),
        text_column("campaign", false),
        text_column("channel", false),
        text_column("email", true),
        text_column("phone", true),
        text_column("event", false),
        text_column("bounce_type", true),
    ]))
}

fn write_table(population: &Population, month: &Month, events: &[MailEvent], dir: &Path) -> Result<Written, Error> {
    let schema = schema();
    let path = dir.join("email").join(format!("{}.parquet", month.label));
    let rising = ["event_id", "occurred_at"];
    let mut table = Table::create(path, Arc::clone(&schema), &rising)?;
    let mut event_id = month.number * 1_000_000_000;
    for chunk in events.chunks(BATCH_ROWS) {
        let mut ids = Int64Builder::new();
        let mut moments = TimestampMicrosecondBuilder::new();
        let mut texts: [StringBuilder; 7] = std::array::from_fn(|_| StringBuilder::new());
        for event in chunk {
            event_id += 1;
            let row = row(population, event, event_id);
            ids.append_value(event_id);
            moments.append_value(population.calendar.micros(row.at));
            let values = [
                Some(row.message_id.as_str()),
                Some(row.campaign),
                Some(row.channel),
                row.email.as_deref(),
                row.phone.as_deref(),
                Some(row.event),
                row.bounce_type,
            ];
            for (column, value) in texts.iter_mut().zip(values) {
                column.append_option(value);
            }
        }
        let mut columns: Vec<ArrayRef> = vec![Arc::new(ids.finish()), Arc::new(moments.finish().with_timezone("UTC"))];
        for mut column in texts {
            columns.push(Arc::new(column.finish()));
        }
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
        table.write(&batch.map_err(|source| table.failed(source))?)?;
    }
    table.finish()
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::MachineOpen => "machine_open",
            Self::Open => "open",
            Self::Click => "click",
            Self::HardBounce | Self::SoftBounce => "bounce",
            Self::Unsubscribe => "unsubscribe",
            Self::Complaint => "complaint",
        }
    }

    fn bounce_type(self) -> Option<&'static str> {
        match self {
            Self::HardBounce => Some("hard"),
            Self::SoftBounce => Some("soft"),
            _ => None,
        }
    }
}
