//! Who gets which campaign, and what each recipient, or their mail program, does with it.

use super::calendar::Month;
use super::campaigns::Campaign;
use super::contact::{Consent, Contact, Mailbox, StopKind};
use super::people::Population;
use super::random::{Dice, Stream};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    Sent,
    HardBounce,
    SoftBounce,
    MachineOpen,
    Open,
    Click,
    Unsubscribe,
    Complaint,
}

/// One event, small because a month of them is held and sorted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct MailEvent {
    /// Seconds from the start of the run.
    pub(super) at: u32,
    pub(super) reader: u32,
    pub(super) campaign: u16,
    pub(super) kind: Kind,
}

/// Answers later than this many days after sending do not happen.
const ANSWER_DAYS: i32 = 6;

/// The events of a month in the order of time, answers to campaigns of the month before included.
pub(super) fn mail_events(population: &Population, month: &Month) -> Vec<MailEvent> {
    let relevant: Vec<(u16, &Campaign)> = (0_u16..)
        .zip(&population.campaigns)
        .filter(|(_, campaign)| (month.first_day - ANSWER_DAYS..=month.last_day).contains(&campaign.day))
        .collect();
    let mut events = Vec::new();
    for reader in 0..population.readers() {
        let contact = population.contact(reader);
        for (number, campaign) in &relevant {
            let recipient = Recipient { population, contact: &contact, reader, number: *number, campaign };
            if recipient.is_sent_to() {
                recipient.push_events(&mut events);
            }
        }
    }
    events.retain(|event| {
        let day = i32::try_from(event.at / 86_400).unwrap_or(i32::MAX);
        month.contains(day)
    });
    events.sort_unstable();
    events
}

/// One person and one campaign.
struct Recipient<'a> {
    population: &'a Population,
    contact: &'a Contact,
    reader: usize,
    number: u16,
    campaign: &'a Campaign,
}

impl Recipient<'_> {
    fn is_sent_to(&self) -> bool {
        let Some(state) = self.contact.state_on(self.campaign.day) else {
            return false;
        };
        if self.campaign.sms {
            return state.sms_consent == Consent::Yes
                && self.population.phone(self.reader).is_some()
                && self.stop_campaign().is_none_or(|stop| self.number <= stop);
        }
        state.email_consent == Consent::Yes
            && matches!(state.mailbox, Mailbox::Own { .. } | Mailbox::Junk(_))
            && self.stop_campaign().is_none_or(|stop| self.number <= stop)
    }

    fn stop_campaign(&self) -> Option<u16> {
        let stop = if self.campaign.sms { self.population.stop(self.reader, true) } else { self.contact.stop };
        stop.and_then(|stop| u16::try_from(stop.campaign).ok())
    }

    fn push_events(&self, events: &mut Vec<MailEvent>) {
        let reader = self.reader as u64;
        let seed = self.population.seed;
        let mut dice = seed.dice(Stream::Mail, reader, u64::from(self.number));
        let sent = u32::try_from(self.campaign.day).unwrap_or(0) * 86_400 + 32_400 + draw(&mut dice, 7_200);
        let mut push = |at: u32, kind: Kind| {
            events.push(MailEvent { at, reader: u32::try_from(self.reader).unwrap_or(u32::MAX), campaign: self.number, kind });
        };
        push(sent, Kind::Sent);
        let last = self.stop_campaign() == Some(self.number);
        if self.campaign.sms {
            self.answer_text(sent, last, &mut dice, &mut push);
            return;
        }
        let stop = self.contact.stop.filter(|_| last).map(|stop| stop.kind);
        if stop == Some(StopKind::HardBounce) {
            push(sent + 1 + draw(&mut dice, 60), Kind::HardBounce);
            return;
        }
        if stop.is_none() && dice.chance(13) {
            push(sent + 1 + draw(&mut dice, 3_600), Kind::SoftBounce);
            return;
        }
        let mut habits = seed.dice(Stream::Reader, reader, 0);
        if habits.chance(215) && dice.chance(940) {
            push(sent + 1 + draw(&mut dice, 20), Kind::MachineOpen);
        }
        if habits.chance(12) {
            push(sent + draw(&mut dice, 3), Kind::Click);
        }
        let opens = dice.chance(self.open_chance()) || stop.is_some();
        if !opens {
            return;
        }
        // Most who open do so within hours.
        let spread = 1 + dice.below(3 * 86_400);
        let opened = sent + 30 + draw(&mut dice, spread);
        push(opened, Kind::Open);
        let later = opened + 5 + draw(&mut dice, 600);
        match stop {
            Some(StopKind::Complaint) => push(later, Kind::Complaint),
            Some(_) => push(later, Kind::Unsubscribe),
            None if dice.chance(125) => push(later, Kind::Click),
            None => {}
        }
    }

    /// Links in texts are clicked, or the sender is told to stop; opens cannot be seen.
    fn answer_text(&self, sent: u32, last: bool, dice: &mut Dice, push: &mut impl FnMut(u32, Kind)) {
        let later = sent + 60 + draw(dice, 20_000);
        if last {
            push(later, Kind::Unsubscribe);
        } else if dice.chance(12) {
            push(sent + 2 + draw(dice, 30), Kind::SoftBounce);
        } else if dice.chance(20 + self.open_chance() / 5) {
            push(later, Kind::Click);
        }
    }

    /// Opens of a thousand messages: more for the active, few for who has left.
    fn open_chance(&self) -> u64 {
        match self.population.people.get(self.reader) {
            Some(person) if person.active(self.campaign.day) => 190 + u64::from(person.activity) / 2,
            Some(_) => 70,
            None => 230,
        }
    }
}

fn draw(dice: &mut Dice, bound: u64) -> u32 {
    u32::try_from(dice.below(bound)).unwrap_or(0)
}
