//! Random histories of people and what they have: who has which id from day to day, in whatever order and whenever the rows come.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;
use segmill::config::Standalone::{No, UntilKnown, Yes};
use segmill::identity::{Resolution, Rules, TypeRule};

use crate::identity_operator::{Edge, Kept, TYPES, batch, customers, kept, resolve_after, rows, text};
use crate::support::number_of;

const DAYS: i64 = 20;
/// A day in the times of these edges; within it things happen at different moments.
const DAY: i64 = 1_000;

/// What happens on a day, and how many days later the extracts tell.
#[derive(Debug, Clone)]
struct Event {
    day: i64,
    late: i64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    /// A person gets a number at the CRM.
    Joins(u16),
    /// A person takes an address, from whoever has it.
    Takes(u16, u16),
    /// A person has an address too.
    Shares(u16, u16),
    GivesUp(u16, u16),
    /// A person has a phone, which may be that of others.
    Phones(u16, u16),
    LogsIn(u16, u16),
    Visits(u16),
    Subscribes(u16),
    /// Two numbers turn out to be one person's.
    SamePerson(u16, u16),
    /// A person's rows are not in the extracts from now on.
    Vanishes(u16),
    Returns(u16),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let (person, address, device) = (|| 0_u16..6, || 0_u16..5, || 0_u16..5);
    let what = prop_oneof![
        4 => person().prop_map(What::Joins),
        4 => (person(), address()).prop_map(|(who, what)| What::Takes(who, what)),
        2 => (person(), address()).prop_map(|(who, what)| What::Shares(who, what)),
        2 => (person(), address()).prop_map(|(who, what)| What::GivesUp(who, what)),
        2 => (person(), address()).prop_map(|(who, what)| What::Phones(who, what)),
        2 => (person(), device()).prop_map(|(who, what)| What::LogsIn(who, what)),
        1 => device().prop_map(What::Visits),
        2 => address().prop_map(What::Subscribes),
        1 => (person(), person()).prop_map(|(one, other)| What::SamePerson(one, other)),
        1 => person().prop_map(What::Vanishes),
        1 => person().prop_map(What::Returns),
    ];
    let event = (0..DAYS - 1, prop_oneof![3 => Just(0_i64), 1 => 0_i64..4], what);
    prop::collection::vec(event.prop_map(|(day, late, what)| Event { day, late, what }), 1..40)
}

/// The rules from a day on.
#[derive(Debug, Clone, Copy)]
struct Guards {
    max_customers: u32,
    valid_days: Option<i64>,
}

fn guards() -> impl Strategy<Value = (Guards, Guards, i64)> {
    let some =
        || (1_u32..4, prop::option::weighted(0.3, 3_i64..12)).prop_map(|(max_customers, valid_days)| Guards { max_customers, valid_days });
    (some(), some(), 0..DAYS)
}

fn rules(guards: Guards, day: i64) -> Rules {
    let kind = |at: usize| TypeRule { name: TYPES[at].to_owned(), ..TypeRule::default() };
    let valid_micros = guards.valid_days.map(|days| days * DAY);
    let max_customers = Some(guards.max_customers);
    let types = vec![
        TypeRule { standalone: Yes, max_per_customer: Some(3), ..kind(0) },
        TypeRule { standalone: Yes, personal: true, transferable: true, max_customers, valid_micros, ..kind(1) },
        TypeRule { standalone: No, personal: true, max_customers, ..kind(2) },
        TypeRule { standalone: UntilKnown, max_customers: Some(1), ..kind(3) },
    ];
    let (as_of_micros, as_of_days) = (day * DAY, i32::try_from(day).unwrap());
    Rules { types, trust: vec!["crm".to_owned(), "web".to_owned()], as_of_micros, as_of_days, ..Rules::default() }
}

/// The rows of `identity.edges` that are there for a day: of what has happened before it and has arrived by then.
fn edges(events: &[Event], day: i64) -> Vec<Edge> {
    let mut known: Vec<(usize, &Event)> = events.iter().enumerate().filter(|(_, event)| event.day + event.late < day).collect();
    known.sort_by_key(|(at, event)| (event.day, *at));
    let alone = |one, source, at| Edge { one, other: None, source, seen: (Some(at), Some(at)), ended: None };
    // Ownership of addresses: owner, address, since, until.
    let mut ownerships: Vec<(u16, u16, i64, Option<i64>)> = Vec::new();
    let mut found = Vec::new();
    let mut absent = BTreeSet::new();
    for (at, event) in known {
        let now = event.day * DAY + i64::try_from(at).unwrap();
        let end = |ownerships: &mut Vec<(u16, u16, i64, Option<i64>)>, of: &dyn Fn(u16, u16) -> bool| {
            let open = ownerships.iter_mut().filter(|(who, what, _, until)| until.is_none() && of(*who, *what));
            open.for_each(|owned| owned.3 = Some(now));
        };
        match event.what {
            What::Joins(who) => found.push(alone((0, who), "crm", now)),
            What::Takes(who, what) => {
                end(&mut ownerships, &|other, address| address == what && other != who);
                ownerships.push((who, what, now, None));
            }
            What::Shares(who, what) => ownerships.push((who, what, now, None)),
            What::GivesUp(who, what) => end(&mut ownerships, &|other, address| (other, address) == (who, what)),
            What::Phones(who, what) => {
                found.push(Edge { other: Some((0, who)), ..alone((2, what), "crm", now) });
            }
            What::LogsIn(who, what) => found.push(Edge { other: Some((0, who)), ..alone((3, what), "web", now) }),
            What::Visits(what) => found.push(alone((3, what), "web", now)),
            What::Subscribes(what) => found.push(alone((1, what), "web", now)),
            What::SamePerson(one, other) => found.push(Edge { other: Some((0, one)), ..alone((0, other), "crm", now) }),
            What::Vanishes(who) => drop(absent.insert(who)),
            What::Returns(who) => drop(absent.remove(&who)),
        }
    }
    found.extend(ownerships.into_iter().map(|(who, what, since, until)| Edge {
        one: (1, what),
        other: Some((0, who)),
        source: "crm",
        seen: (Some(since), Some(until.unwrap_or(day * DAY))),
        ended: until,
    }));
    found.retain(|edge| [Some(edge.one), edge.other].iter().flatten().all(|end| end.0 != 0 || !absent.contains(&end.1)));
    found
}

/// What was published as of a day.
struct Published {
    day: i64,
    kept: Kept,
    ids: BTreeMap<(String, String), String>,
}

/// An identifier that is one person's as long as anybody knows, as an address is not.
fn is_lasting((kind, _): &(String, String)) -> bool {
    kind == "customer"
}

fn gives_way(id: &str) -> bool {
    id.starts_with("visitor:")
}

/// The lasting identifiers of every customer.
fn by_customer(
    ids: &BTreeMap<(String, String), String>,
    wanted: impl Fn(&(String, String)) -> bool,
) -> BTreeMap<&str, BTreeSet<(String, String)>> {
    let mut found: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
    for (identifier, id) in ids {
        let theirs = found.entry(id).or_default();
        if wanted(identifier) {
            theirs.insert(identifier.clone());
        }
    }
    found
}

/// Holds what a publication says against the one before it.
/// `last` is everybody's id of the day on which they were published last.
fn compare(
    resolution: &Resolution,
    today: &BTreeMap<(String, String), String>,
    before: &Published,
    last: &BTreeMap<(String, String), String>,
) -> Result<(), TestCaseError> {
    let aliases: BTreeMap<String, String> =
        rows(&resolution.aliases().unwrap()).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let splits: BTreeSet<(String, String)> = rows(&resolution.conflicts().unwrap())
        .into_iter()
        .filter(|row| row[0] == "split")
        .map(|row| (row[9].clone(), row[10].clone()))
        .collect();
    let living: BTreeSet<&String> = today.values().collect();
    for (alias, customer) in &aliases {
        prop_assert!(living.contains(customer), "{} leads to {}, who is not there", alias, customer);
        prop_assert!(!living.contains(alias), "{} is a customer and an alias", alias);
    }
    // Whatever changes for somebody is told.
    for (identifier, was) in before.ids.iter().filter(|(identifier, _)| is_lasting(identifier)) {
        let Some(is) = today.get(identifier) else { continue };
        let told = is == was
            || aliases.get(was) == Some(is)
            || splits.contains(&(is.clone(), was.clone()))
            || splits.iter().any(|(id, _)| id == is);
        prop_assert!(told, "{:?} was {} and is {}, aliases {:?}, splits {:?}", identifier, was, is, aliases, splits);
    }
    let (then, now) = (by_customer(&before.ids, is_lasting), by_customer(today, is_lasting));
    for (was, theirs) in then.iter().filter(|(_, theirs)| !theirs.is_empty()) {
        let left: BTreeSet<&String> = theirs.iter().filter_map(|identifier| today.get(identifier)).collect();
        // Who neither merges nor splits keeps the id, but for one that ends when its customer is known.
        if let [is] = left.iter().collect::<Vec<_>>()[..] {
            let others = now[is.as_str()].iter().filter(|identifier| before.ids.get(*identifier).is_some_and(|id| id != was)).count();
            let more_known = gives_way(was) && !gives_way(is);
            prop_assert!(others > 0 || is.as_str() == *was || more_known, "{} has become {} for no reason", was, is);
        }
        // An id that is gone leads to somebody, unless nobody is left.
        if !left.is_empty() && !living.contains(&(*was).to_owned()) {
            prop_assert!(aliases.contains_key(*was), "{} is gone and leads nowhere", was);
        }
    }
    // No id passes to another person: some of who had it still does, or had it when they were there last.
    for (id, theirs) in now.iter().filter(|(_, theirs)| !theirs.is_empty()) {
        if let Some(before) = then.get(id).filter(|before| !before.is_empty()) {
            let had = theirs.iter().any(|identifier| last.get(identifier).is_some_and(|was| was == id));
            prop_assert!(had, "{} was {:?} and is {:?}", id, before, theirs);
        }
    }
    Ok(())
}

/// How many histories are tried.
fn cases() -> u32 {
    u32::try_from(number_of("SEGMILL_HISTORIES", 100)).unwrap()
}

/// The ids of all days of a history, published one after the other, whose guards change on a day.
fn everybody_keeps_their_id((first, second, changed): (Guards, Guards, i64), events: &[Event], seed: u64) -> Result<(), TestCaseError> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut before: Option<Published> = None;
    // Everybody by the id under which they were last published, and by all under which they ever were.
    let mut last: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut ever: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    // Some days are not published.
    for day in (1..=DAYS).filter(|day| seed >> day & 7 != 0) {
        let rules = || rules(if day < changed { first } else { second }, day);
        let mut edges = edges(events, day);
        let predecessor = before.as_ref().map(|before| (&before.kept, before.day * DAY));
        let resolution = resolve_after(rules(), &[batch(&edges)], 1, predecessor);
        let ids = customers(&resolution);
        let kept = kept(&resolution);
        // Any order, split and number of threads give the same bytes.
        edges.shuffle(&mut random);
        let files: Vec<RecordBatch> = edges.chunks(3).map(batch).collect();
        let again = resolve_after(rules(), &files, 3, predecessor);
        prop_assert_eq!(&ids, &customers(&again));
        prop_assert_eq!(&kept, &crate::identity_operator::kept(&again));
        prop_assert_eq!(rows(&resolution.aliases().unwrap()), rows(&again.aliases().unwrap()));
        prop_assert_eq!(resolution.counts().customers, ids.values().collect::<BTreeSet<_>>().len() as u64);
        if let Some(before) = &before {
            compare(&resolution, &ids, before, &last)?;
        }
        // Nor does an id pass to somebody else after days on which nobody had it: who has it had it before, and is one of those who
        // have had no other since, or gives the id by a number. An identifier whose rows come and go is remembered with its id.
        let now = by_customer(&ids, is_lasting);
        for (id, theirs) in now.iter().filter(|(_, theirs)| !theirs.is_empty()) {
            let given = theirs.iter().any(|(_, number)| number == id);
            let keepers = last.iter().filter(|(_, was)| !given && was == id).map(|(identifier, _)| identifier.clone()).collect();
            for had in [ever.get(*id), Some(&keepers)].into_iter().flatten().filter(|had| !had.is_empty()) {
                prop_assert!(!had.is_disjoint(theirs), "{} was {:?} and is {:?}", id, had, theirs);
            }
        }
        for (id, theirs) in now {
            last.extend(theirs.iter().map(|identifier| (identifier.clone(), id.to_owned())));
            ever.entry(id.to_owned()).or_default().extend(theirs);
        }
        before = Some(Published { day, kept, ids });
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everybody_keeps_their_id_through_twenty_days(guards in guards(), events in events(), seed in any::<u64>()) {
        everybody_keeps_their_id(guards, &events, seed)?;
    }
}

/// Of two who shared an address, one comes back on the day on which the other goes: the id is of both, whatever the guards.
#[test]
fn whose_rows_come_and_go_keep_the_id_that_they_had() {
    let happens = [
        (9, 0, What::Shares(1, 4)),
        (12, 0, What::Vanishes(4)),
        (0, 0, What::Takes(4, 4)),
        (9, 1, What::Vanishes(1)),
        (12, 0, What::Returns(1)),
    ];
    let events: Vec<Event> = happens.into_iter().map(|(day, late, what)| Event { day, late, what }).collect();
    let days = || [None, Some(3), Some(8)].into_iter();
    let guards = || (1..4).flat_map(|max_customers| days().map(move |valid_days| Guards { max_customers, valid_days }));
    for (first, second) in guards().flat_map(|first| guards().map(move |second| (first, second))) {
        everybody_keeps_their_id((first, second, 12), &events, 29_224_608_998_400).unwrap();
    }
}

#[test]
fn the_generator_tells_of_what_it_is_meant_to() {
    let happens = [What::Joins(1), What::Takes(1, 2), What::Takes(2, 2)];
    let events: Vec<Event> = happens.into_iter().zip(0..).map(|(what, day)| Event { day, late: 0, what }).collect();
    let of_day_three = edges(&events, 3);
    assert_eq!(of_day_three.len(), 3);
    assert_eq!(of_day_three.iter().filter(|edge| edge.ended.is_some()).count(), 1);
    assert_eq!(text(of_day_three[1].one), "e2");
}
