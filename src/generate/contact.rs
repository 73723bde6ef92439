//! What the CRM and the e-mail platform know of a person at a time: addresses, consent, and the
//! changes of both.

use super::names::{DOMAINS, FAMILY, FEMALE, MALE};
use super::people::Population;
use super::random::{Seed, Stream};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Consent {
    Yes,
    No,
    Unknown,
}

impl Consent {
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::Yes => "Y",
            Self::No => "N",
            Self::Unknown => "",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mailbox {
    Missing,
    /// One of the addresses that many share.
    Junk(usize),
    /// Written without an @, as if at this person's first address.
    Malformed,
    /// An address of this person's own; the second number tells a changed address from the first.
    Own {
        person: usize,
        form: u8,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Address,
    City,
    EmailConsent(Consent),
    SmsConsent(Consent),
}

/// Why the platform sends no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StopKind {
    HardBounce,
    Unsubscribe,
    Complaint,
}

/// The last campaign a person gets, and what happens to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) campaign: usize,
    pub(super) kind: StopKind,
}

/// What is known at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) mailbox: Mailbox,
    pub(super) moves: u64,
    pub(super) email_consent: Consent,
    pub(super) sms_consent: Consent,
    pub(super) post_consent: Consent,
}

impl State {
    pub(super) fn apply(&mut self, change: Change, person: usize) {
        match change {
            Change::Address => self.mailbox = Mailbox::Own { person, form: 1 },
            Change::City => self.moves += 1,
            Change::EmailConsent(consent) => self.email_consent = consent,
            Change::SmsConsent(consent) => self.sms_consent = consent,
        }
    }
}

pub(super) struct Contact {
    pub(super) in_crm: bool,
    pub(super) created_day: i32,
    pub(super) first: State,
    /// In the order of their days, which are all different and after `created_day`.
    pub(super) changes: Vec<(i32, Change)>,
    pub(super) stop: Option<Stop>,
    index: usize,
}

impl Contact {
    /// Whether the CRM has an address that belongs to this person alone, at the end.
    pub(super) fn owns_address(&self) -> bool {
        self.in_crm && matches!(self.last_state().mailbox, Mailbox::Own { .. })
    }

    /// What was known on `day`; `None` for somebody not, or not yet, known.
    pub(super) fn state_on(&self, day: i32) -> Option<State> {
        (self.in_crm && self.created_day <= day).then(|| self.fold(day))
    }

    pub(super) fn last_state(&self) -> State {
        self.fold(i32::MAX)
    }

    fn fold(&self, day: i32) -> State {
        let mut state = self.first;
        for (_, change) in self.changes.iter().filter(|(changed, _)| *changed <= day) {
            state.apply(*change, self.index);
        }
        state
    }
}

const CONSENTS: [(u32, Consent); 3] = [(61, Consent::Yes), (29, Consent::No), (10, Consent::Unknown)];

impl Population {
    /// The contact of a person, or of a subscriber whom the CRM does not know.
    pub(super) fn contact(&self, index: usize) -> Contact {
        let Some(person) = self.people.get(index) else {
            return self.subscriber(index);
        };
        let mut dice = self.seed.dice(Stream::Contact, index as u64, 0);
        let customer = self.is_customer(index);
        let in_crm = !customer || !dice.chance(30);
        let created_day =
            if dice.chance(300) { person.active_from } else { person.active_from - dice.between(0, if customer { 1_200 } else { 300 }) };
        let own = Mailbox::Own { person: index, form: 0 };
        let junk = Mailbox::Junk(dice.index(3));
        let mut first = State {
            mailbox: dice.weighted(&[(70, Mailbox::Missing), (10, junk), (5, Mailbox::Malformed), (915, own)]),
            moves: 0,
            email_consent: dice.weighted(&CONSENTS),
            sms_consent: dice.weighted(&CONSENTS),
            post_consent: dice.weighted(&CONSENTS),
        };
        let count = dice.weighted(&[(760, 0), (185, 1), (42, 2), (13, 3)]);
        let turn = dice.index(4);
        let owner = self.owner_of(index).map(|owner| self.contact(owner));
        let mut changes = Vec::new();
        let earliest = (created_day + 1).max(-200);
        for step in 0..count {
            let change = [
                Change::Address,
                Change::City,
                Change::EmailConsent(flipped(first.email_consent)),
                Change::SmsConsent(flipped(first.sms_consent)),
            ][(turn + step) % 4];
            let day = dice.between(earliest, self.calendar.last_day);
            if !(owner.is_some() && change == Change::Address) {
                changes.push((day, change));
            }
        }
        if let Some(owner) = owner {
            first.mailbox = owner.last_state().mailbox;
        }
        let stop = self.stop(index, false);
        self.push_unsubscribe(index, stop, &mut changes);
        changes.retain(|(day, _)| *day > created_day && *day <= self.calendar.last_day);
        changes.sort_by_key(|(day, _)| *day);
        changes.dedup_by_key(|(day, _)| *day);
        Contact { in_crm, created_day, first, changes, stop, index }
    }

    /// Some unsubscribers are marked in the CRM too, and a few of them come back.
    fn push_unsubscribe(&self, index: usize, stop: Option<Stop>, changes: &mut Vec<(i32, Change)>) {
        let Some(stop) = stop.filter(|stop| stop.kind == StopKind::Unsubscribe) else {
            return;
        };
        let mut dice = self.seed.dice(Stream::Stop, index as u64, 2);
        let day = self.campaigns[stop.campaign].day + dice.between(4, 9);
        if dice.chance(400) {
            changes.push((day, Change::EmailConsent(Consent::No)));
            if dice.chance(250) {
                let back = day + dice.between(20, 90);
                changes.push((back, Change::EmailConsent(Consent::Yes)));
            }
        }
    }

    /// People whom only the e-mail platform knows: they subscribed, and that is all.
    fn subscriber(&self, index: usize) -> Contact {
        let mut dice = self.seed.dice(Stream::Contact, index as u64, 0);
        Contact {
            in_crm: true,
            created_day: dice.between(-300, (self.calendar.last_day - 30).max(0)),
            first: State {
                mailbox: Mailbox::Own { person: index, form: 0 },
                moves: 0,
                email_consent: Consent::Yes,
                sms_consent: Consent::No,
                post_consent: Consent::Unknown,
            },
            changes: Vec::new(),
            stop: self.stop(index, false),
            index,
        }
    }

    /// When and why a channel stops for a person, if it does.
    pub(super) fn stop(&self, index: usize, sms: bool) -> Option<Stop> {
        let mut dice = self.seed.dice(Stream::Stop, index as u64, u64::from(sms));
        let kind = if sms {
            dice.weighted(&[(30, Some(StopKind::Unsubscribe)), (970, None)])
        } else {
            dice.weighted(&[
                (60, Some(StopKind::HardBounce)),
                (80, Some(StopKind::Unsubscribe)),
                (13, Some(StopKind::Complaint)),
                (847, None),
            ])
        }?;
        let possible = self.campaigns.iter().filter(|campaign| campaign.sms == sms);
        let chosen = dice.index(possible.count());
        let mut of_channel = (0..).zip(&self.campaigns).filter(|(_, c)| c.sms == sms);
        let (campaign, _) = of_channel.nth(chosen)?;
        Some(Stop { campaign, kind })
    }

    /// Appends the clean address of an own mailbox. It ends in the person's index, so no two people
    /// ever share one.
    pub(super) fn push_address(&self, text: &mut String, person: usize, form: u8) {
        use std::fmt::Write as _;
        let (_, given, family) = full_name(self.seed, person);
        let mut dice = self.seed.dice(Stream::Address, person as u64, u64::from(form));
        match dice.below(4) {
            0 => {
                push_slug(text, given);
                text.push('.');
                push_slug(text, family);
            }
            1 => {
                push_slug(text, given.get(..1).unwrap_or(given));
                push_slug(text, family);
            }
            2 => {
                push_slug(text, family);
                text.push('.');
                push_slug(text, given);
            }
            _ => push_slug(text, given),
        }
        // Writing into a String cannot fail.
        let _ = write!(text, "{}", person + 10);
        // The form is in the address, lest an old address of a person equal a new one.
        text.push_str(if form == 0 { "@" } else { "b@" });
        text.push_str(dice.weighted(DOMAINS));
    }

    /// Dialling code and national number, for three in four who live in a country with a known code.
    pub(super) fn phone(&self, index: usize) -> Option<(&'static str, u64)> {
        let person = self.people.get(index)?;
        let dial = self.places[usize::from(person.place)].dial?;
        let mut dice = self.seed.dice(Stream::Phone, index as u64, 0);
        // A bijection within each hundred thousand: numbers look drawn and none comes twice.
        let number = index as u64;
        let scattered = number / 100_000 * 100_000 + (number % 100_000 * 61 + 123) % 100_000;
        let first = if dial == "44" { 7_700_900_000 } else { 5_550_000_000 };
        dice.chance(750).then_some((dial, first + scattered))
    }
}

fn flipped(consent: Consent) -> Consent {
    match consent {
        Consent::Yes => Consent::No,
        Consent::No | Consent::Unknown => Consent::Yes,
    }
}

/// Gender, given name and family name.
pub(super) fn full_name(seed: Seed, index: usize) -> (&'static str, &'static str, &'static str) {
    let mut dice = seed.dice(Stream::Name, index as u64, 0);
    let gender = dice.weighted(&[(46, "female"), (42, "male"), (2, "non-binary"), (10, "")]);
    let female = match gender {
        "female" => true,
        "male" => false,
        _ => dice.chance(500),
    };
    let given = dice.pick(if female { FEMALE } else { MALE });
    (gender, given, dice.pick(FAMILY))
}

/// Appends a name as an address writes it: lower case, plain letters alone.
fn push_slug(text: &mut String, name: &str) {
    for letter in name.chars() {
        match letter {
            'é' | 'è' | 'ë' => text.push('e'),
            'á' | 'â' => text.push('a'),
            'ü' => text.push('u'),
            'í' => text.push('i'),
            letter if letter.is_ascii_alphabetic() => text.push(letter.to_ascii_lowercase()),
            _ => {}
        }
    }
}
