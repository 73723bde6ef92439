use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use segmill::config::StandsAlone::{self, No, UntilKnown, Yes};
use segmill::identity::{BlockList, KnownFrom, Resolution, Resolver, Rules, TypeRule, edges_schema};

const TYPES: [&str; 5] = ["customer", "email", "phone", "visitor", "browser"];

/// A row of `identity.edges`. Times are small numbers of microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edge {
    one: (usize, u16),
    other: Option<(usize, u16)>,
    source: &'static str,
    seen: (i64, i64),
    ended: Option<i64>,
}

fn tie(one: (usize, u16), other: (usize, u16), first: i64) -> Edge {
    Edge { one, other: Some(other), source: "crm", seen: (first, first), ended: None }
}

fn text(identifier: (usize, u16)) -> String {
    format!("{}{}", TYPES[identifier.0].chars().next().unwrap(), identifier.1)
}

fn batch(edges: &[Edge]) -> RecordBatch {
    let texts = |value: &dyn Fn(&Edge) -> Option<String>| Arc::new(edges.iter().map(value).collect::<StringArray>()) as ArrayRef;
    let times = |value: &dyn Fn(&Edge) -> Option<i64>| {
        Arc::new(edges.iter().map(value).collect::<TimestampMicrosecondArray>().with_timezone("UTC")) as ArrayRef
    };
    let columns = vec![
        texts(&|edge| Some(TYPES[edge.one.0].to_owned())),
        texts(&|edge| Some(text(edge.one))),
        texts(&|edge| edge.other.map(|other| TYPES[other.0].to_owned())),
        texts(&|edge| edge.other.map(text)),
        texts(&|edge| Some(edge.source.to_owned())),
        times(&|edge| Some(edge.seen.0)),
        times(&|edge| Some(edge.seen.1)),
        times(&|edge| edge.ended),
    ];
    RecordBatch::try_new(edges_schema(), columns).unwrap()
}

/// No limits: what is tied is one.
fn open() -> Rules {
    with_browsers(UntilKnown)
}

fn with_browsers(stand_alone: StandsAlone) -> Rules {
    let kind = |at: usize, stands_alone, personal| TypeRule { name: TYPES[at].to_owned(), stands_alone, personal, ..TypeRule::default() };
    let types = vec![kind(0, Yes, false), kind(1, Yes, true), kind(2, Yes, true), kind(3, No, false), kind(4, stand_alone, false)];
    Rules { types, trust: vec!["crm".to_owned(), "web".to_owned()], as_of_micros: 1_000 }
}

/// Every guard.
fn guarded() -> Rules {
    guard(open())
}

fn guard(mut rules: Rules) -> Rules {
    rules.types[0].most_per_customer = Some(2);
    rules.types[1].most_per_customer = Some(3);
    rules.types[1].most_holders = Some(2);
    rules.types[1].passes_on = true;
    rules.types[1].blocked = BlockList::new(["e0"]).unwrap();
    rules.types[3].most_holders = Some(1);
    rules.types[3].valid_micros = Some(980);
    rules.types[4].most_holders = Some(1);
    rules
}

fn resolve(rules: Rules, edges: &[Edge]) -> Resolution {
    resolve_in(rules, &[batch(edges)], 1)
}

fn resolve_in(rules: Rules, batches: &[RecordBatch], threads: usize) -> Resolution {
    let resolver = Resolver::new(rules, threads);
    std::thread::scope(|scope| {
        for start in 0..threads {
            let (resolver, batches) = (&resolver, batches);
            scope.spawn(move || batches.iter().skip(start).step_by(threads).for_each(|batch| resolver.push(batch).unwrap()));
        }
    });
    resolver.finish().unwrap()
}

/// Identifier, with its type, to customer.
fn customers(resolution: &Resolution) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for batch in resolution.each_customer(Ok).unwrap() {
        let [kinds, texts, ids] = [0, 1, 2].map(|at| batch.column(at).as_string::<i32>().clone());
        for row in 0..batch.num_rows() {
            let key = (kinds.value(row).to_owned(), texts.value(row).to_owned());
            assert!(found.insert(key, ids.value(row).to_owned()).is_none(), "an identifier leads to one customer");
        }
    }
    found
}

fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cell = |column: &ArrayRef, row| if column.is_null(row) { "∅".to_owned() } else { array_value_to_string(column, row).unwrap() };
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| cell(column, row)).collect()).collect()
}

/// The customer of every identifier, and the rows of the tables of conflicts and aliases.
type Everything = (BTreeMap<(String, String), String>, Vec<Vec<String>>, Vec<Vec<String>>);

fn everything(resolution: &Resolution) -> Everything {
    (customers(resolution), rows(&resolution.conflicts().unwrap()), rows(&resolution.aliases().unwrap()))
}

/// The reasons of the conflicts with the identifiers they are about.
fn reasons(resolution: &Resolution) -> Vec<(String, String, String)> {
    rows(&resolution.conflicts().unwrap()).into_iter().map(|row| (row[0].clone(), row[2].clone(), row[4].clone())).collect()
}

fn told(reason: &str, one: &str, other: &str) -> (String, String, String) {
    (reason.to_owned(), one.to_owned(), other.to_owned())
}

fn some_edges(most: usize) -> impl Strategy<Value = Vec<Edge>> {
    let identifier = || (0..TYPES.len(), 0_u16..12);
    let edge = (
        identifier(),
        prop::option::weighted(0.9, identifier()),
        0_i64..50,
        0_i64..20,
        prop::option::weighted(0.2, 1_i64..60),
        any::<bool>(),
    );
    let edge = edge.prop_map(|(one, other, first, lasts, ended, crm)| Edge {
        one,
        other,
        source: if crm { "crm" } else { "web" },
        seen: (first, first + lasts),
        ended: ended.map(|ended| first + ended),
    });
    prop::collection::vec(edge, 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_split_of_the_edges_give_the_same(edges in some_edges(60), seed in any::<u64>(), files in 1_usize..7) {
        let mut shuffled = edges.clone();
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        shuffled.shuffle(&mut random);
        // Rows may come twice, and either way round.
        shuffled.extend(edges.iter().take(3).cloned());
        for edge in shuffled.iter_mut().step_by(2) {
            if let Some(other) = edge.other {
                (edge.one, edge.other) = (other, Some(edge.one));
            }
        }
        let batches: Vec<RecordBatch> = shuffled.chunks(shuffled.len().div_ceil(files)).map(batch).collect();
        for rules in [open as fn() -> Rules, guarded] {
            let (one, other) = (resolve(rules(), &edges), resolve_in(rules(), &batches, 3));
            let (told, same_told) = (one.counts(), other.counts());
            prop_assert_eq!((told.known_from, told.named_by), (same_told.known_from, same_told.named_by));
            let (customers, mut conflicts, aliases) = everything(&one);
            let (same_customers, mut same_conflicts, same_aliases) = everything(&other);
            prop_assert_eq!(customers, same_customers);
            prop_assert_eq!(aliases, same_aliases);
            // How many rows told of a tie is a matter of the rows.
            conflicts.iter_mut().chain(&mut same_conflicts).for_each(|row| row[8].clear());
            prop_assert_eq!(conflicts, same_conflicts);
        }
    }

    #[test]
    fn without_guards_the_customers_are_the_connected_components(edges in some_edges(40)) {
        let mut groups: Vec<BTreeSet<(usize, u16)>> = Vec::new();
        for edge in &edges {
            let mut joined = BTreeSet::from([edge.one]);
            joined.extend(edge.other);
            let (touched, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| !group.is_disjoint(&joined));
            joined.extend(touched.into_iter().flatten());
            groups = apart;
            groups.push(joined);
        }
        let found = customers(&resolve(open(), &edges));
        let mut ids = BTreeSet::new();
        for group in groups {
            let theirs: BTreeSet<_> = group.iter().map(|one| found.get(&(TYPES[one.0].to_owned(), text(*one)))).collect();
            prop_assert_eq!(theirs.len(), 1);
            let id = theirs.into_iter().next().unwrap();
            prop_assert_eq!(id.is_some(), group.iter().any(|one| one.0 != 3));
            if let Some(id) = id {
                prop_assert!(ids.insert(id.clone()), "two groups have one id");
            }
        }
    }

    #[test]
    fn adding_edges_only_merges(edges in some_edges(50), cut in 0_usize..50) {
        let before = customers(&resolve(open(), &edges[..cut.min(edges.len())]));
        let after = customers(&resolve(open(), &edges));
        let mut now: BTreeMap<&String, &String> = BTreeMap::new();
        for (identifier, id) in &before {
            // Whoever was one customer still is.
            let same = now.entry(id).or_insert(&after[identifier]);
            prop_assert_eq!(*same, &after[identifier]);
        }
    }

    #[test]
    fn guards_hold(edges in some_edges(80)) {
        let resolution = resolve(guarded(), &edges);
        let found = customers(&resolution);
        let mut counts: BTreeMap<(&String, &String), u32> = BTreeMap::new();
        for ((kind, _), id) in &found {
            *counts.entry((id, kind)).or_default() += 1;
        }
        for ((id, kind), count) in counts {
            let most = match kind.as_str() { "customer" => 2, "email" => 3, _ => u32::MAX };
            prop_assert!(count <= most, "{} has {} of {}", id, count, kind);
        }
        prop_assert!(!found.contains_key(&("email".to_owned(), "e0".to_owned())));
        // What was set aside is told.
        let conflicts = reasons(&resolution);
        for edge in edges.iter().filter(|edge| edge.other.is_some_and(|other| other != edge.one)) {
            let ends = [edge.one, edge.other.unwrap()].map(|end| (TYPES[end.0].to_owned(), text(end)));
            let [one, other] = ends.clone().map(|end| found.get(&end));
            if one != other {
                let names = ends.map(|end| end.1);
                prop_assert!(conflicts.iter().any(|(_, a, b)| names.contains(a) && (b == "∅" || names.contains(b))), "{:?} is not told", names);
            }
        }
    }

    #[test]
    fn who_stands_alone_until_known_changes_no_known_customer(edges in some_edges(60)) {
        for guards in [std::convert::identity as fn(Rules) -> Rules, guard] {
            let without = resolve(guards(with_browsers(No)), &edges);
            let with = resolve(guards(with_browsers(UntilKnown)), &edges);
            let (known, all) = (customers(&without), customers(&with));
            for (identifier, id) in &known {
                prop_assert_eq!(id, &all[identifier]);
            }
            // Whoever else there is has nothing that would stand alone without the condition.
            let more: Vec<_> = all.iter().filter(|(identifier, _)| !known.contains_key(*identifier)).collect();
            prop_assert!(more.iter().all(|((kind, _), id)| ["visitor", "browser"].contains(&kind.as_str()) && id.starts_with("browser:")));
            prop_assert_eq!(rows(&without.conflicts().unwrap()).len(), rows(&with.conflicts().unwrap()).len());
        }
    }

    #[test]
    fn customers_are_counted_by_what_they_are_known_from(edges in some_edges(60)) {
        for rules in [open as fn() -> Rules, guarded] {
            let resolution = resolve(rules(), &edges);
            let found = customers(&resolution);
            let mut sources: BTreeMap<&String, BTreeSet<&str>> = found.values().map(|id| (id, BTreeSet::new())).collect();
            for edge in &edges {
                for end in [Some(edge.one), edge.other].into_iter().flatten() {
                    if let Some(id) = found.get(&(TYPES[end.0].to_owned(), text(end))) {
                        sources.get_mut(id).unwrap().insert(edge.source);
                    }
                }
            }
            let told = resolution.counts();
            prop_assert_eq!(told.customers, sources.len() as u64);
            let known = |wanted: &dyn Fn(&BTreeSet<&str>) -> bool| sources.values().filter(|sources| wanted(sources)).count() as u64;
            prop_assert_eq!(told.customers_from_several_sources, known(&|sources| sources.len() > 1));
            for from in &told.known_from {
                let source = from.source.as_str();
                prop_assert_eq!(from.customers, known(&|sources| sources.contains(source)));
                prop_assert_eq!(from.customers_from_it_alone, known(&|sources| sources.len() == 1 && sources.contains(source)));
            }
            for (at, named) in told.named_by.iter().enumerate() {
                // Only ids of the first type are as they are.
                let prefix = format!("{}:", named.identifier_type);
                let theirs = sources.keys().filter(|id| if at == 0 { !id.contains(':') } else { id.starts_with(&prefix) }).count();
                prop_assert_eq!(named.customers, theirs as u64);
            }
            let nobodies: u64 = told.named_by.iter().map(|named| named.identifiers_without_customer).sum();
            prop_assert_eq!(nobodies + told.identifiers_set_aside + found.len() as u64, told.identifiers);
        }
    }

    #[test]
    fn ids_are_stable_over_a_sequence_of_days(edges in some_edges(60), days in prop::collection::vec(1_i64..60, 2..6)) {
        let mut days = days;
        days.sort_unstable();
        let mut before: BTreeMap<(String, String), String> = BTreeMap::new();
        for day in days {
            let seen: Vec<Edge> = edges.iter().filter(|edge| edge.seen.0 < day).cloned().collect();
            let resolution = resolve(open(), &seen);
            let today = customers(&resolution);
            let aliases: BTreeMap<String, String> =
                rows(&resolution.aliases().unwrap()).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
            for (identifier, id) in &before {
                let now = &today[identifier];
                // Who has another id today has become one with an older customer, and an alias tells so.
                prop_assert!(now == id || aliases.get(id) == Some(now), "{:?} was {} and is {}", identifier, id, now);
            }
            let ids: BTreeSet<&String> = today.values().collect();
            prop_assert!(aliases.keys().all(|alias| !ids.contains(alias)), "an alias is nobody's id");
            before = today;
        }
    }

    #[test]
    fn aliases_are_the_ids_that_ended_and_when(edges in some_edges(60)) {
        let ids_at = |day: i64| -> BTreeSet<String> {
            let seen: Vec<Edge> = edges.iter().filter(|edge| edge.seen.0 <= day).cloned().collect();
            customers(&resolve(open(), &seen)).into_values().collect()
        };
        let mut ended = BTreeSet::new();
        let mut before = BTreeSet::new();
        for day in 0..50 {
            let now = ids_at(day);
            ended.extend(before.difference(&now).map(|id: &String| (id.clone(), format!("1970-01-01T00:00:00.{day:06}Z"))));
            before = now;
        }
        let told = rows(&resolve(open(), &edges).aliases().unwrap());
        prop_assert_eq!(told.len(), ended.len());
        prop_assert_eq!(told.into_iter().map(|row| (row[0].clone(), row[2].clone())).collect::<BTreeSet<_>>(), ended);
    }
}

#[test]
fn a_giant_component_is_the_same_on_one_thread_and_on_four() {
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let mut identifier = |kind: usize| (kind, random.random_range(0..20_000));
    let edges: Vec<Edge> = (0..120_000).map(|at| tie(identifier(0), identifier(if at % 3 == 0 { 3 } else { 1 }), at / 50)).collect();
    let batches: Vec<RecordBatch> = edges.chunks(8_192).map(batch).collect();
    let (one, four) = (resolve_in(open(), &batches, 1), resolve_in(open(), &batches, 4));
    assert!(one.counts().merged > 10_000, "there is something to make again");
    assert_eq!(everything(&one), everything(&four));
}

const ANN: (usize, u16) = (0, 1);
const BOB: (usize, u16) = (0, 2);
const CAT: (usize, u16) = (0, 3);
const EMAIL: (usize, u16) = (1, 5);
const PHONE: (usize, u16) = (2, 7);
const TABLET: (usize, u16) = (3, 9);

#[test]
fn the_oldest_identifier_names_the_customer_and_a_merge_leaves_an_alias() {
    let alone = Edge { one: EMAIL, other: None, source: "web", seen: (1, 1), ended: None };
    let edges = [alone, tie(ANN, PHONE, 5), tie(BOB, EMAIL, 8), tie(PHONE, EMAIL, 9)];
    let resolution = resolve(open(), &edges);
    let found = customers(&resolution);
    let ids: BTreeSet<&String> = found.values().collect();
    // The subscriber was there first, so the id hides the address; and Bob never had an id of his own.
    assert_eq!(ids.len(), 1);
    let id = ids.into_iter().next().unwrap();
    assert!(id.starts_with("email:") && id.len() == 26, "{id}");
    assert_eq!(rows(&resolution.aliases().unwrap()), [["c1".to_owned(), id.clone(), "1970-01-01T00:00:00.000009Z".to_owned()]]);
}

#[test]
fn the_oldest_identifier_names_the_customer_however_far_away_its_time_is() {
    for far in [-62_135_596_800_000_000, 253_402_214_400_000_000, i64::MIN, i64::MAX - 2] {
        let alone = |one, seen| Edge { one, other: None, source: "crm", seen: (seen, seen), ended: None };
        let edges = [alone(EMAIL, far), alone(ANN, far + 1), tie(ANN, EMAIL, i64::MAX - 1)];
        let resolution = resolve(open(), &edges);
        let id = customers(&resolution)[&("customer".to_owned(), "c1".to_owned())].clone();
        assert!(id.starts_with("email:"), "{id}");
        let aliases = resolution.aliases().unwrap();
        let ended: Vec<&str> = aliases.column(0).as_string::<i32>().iter().flatten().collect();
        // Who is tied when first seen never had an id.
        assert_eq!(ended, if far + 1 == i64::MAX - 1 { vec![] } else { vec!["c1"] });
    }
}

#[test]
fn long_and_short_identifiers_are_told_apart() {
    let resolver = Resolver::new(open(), 2);
    let long = |end: usize| "x".repeat(20_000 + 30_000 * (end % 3)) + &end.to_string();
    let (mut all, mut short) = (Vec::new(), Vec::new());
    for at in 0..300 {
        all.extend([long(at), format!("s{at}")]);
        short.push(format!("s{at}"));
    }
    for texts in [&all, &short, &all] {
        let edges: Vec<Edge> = texts.iter().map(|_| Edge { one: ANN, other: None, source: "crm", seen: (1, 1), ended: None }).collect();
        let mut columns = batch(&edges).columns().to_vec();
        columns[1] = Arc::new(texts.iter().map(Some).collect::<StringArray>());
        resolver.push(&RecordBatch::try_new(edges_schema(), columns).unwrap()).unwrap();
    }
    let found: BTreeSet<String> = customers(&resolver.finish().unwrap()).into_keys().map(|(_, text)| text).collect();
    assert_eq!(found, all.into_iter().collect());
}

#[test]
fn an_anonymous_visitor_is_a_customer_until_the_customer_is_known() {
    let browser = (4, 1);
    let visits = Edge { one: browser, other: None, source: "web", seen: (1, 9), ended: None };
    let anonymous = customers(&resolve(open(), std::slice::from_ref(&visits)));
    assert_eq!(anonymous[&("browser".to_owned(), "b1".to_owned())], "browser:b1");
    // The visitor was seen first, and yet the id of the customer who logs in stays.
    let edges = [visits, tie(ANN, PHONE, 5), tie(browser, ANN, 7)];
    let resolution = resolve(open(), &edges);
    assert_eq!(customers(&resolution).into_values().collect::<BTreeSet<_>>(), BTreeSet::from(["c1".to_owned()]));
    assert_eq!(rows(&resolution.aliases().unwrap()), [["browser:b1", "c1", "1970-01-01T00:00:00.000007Z"]]);
    // Who logs in at the first visit was never anybody else.
    let resolution = resolve(open(), &[tie(browser, ANN, 7), tie(ANN, PHONE, 8)]);
    assert_eq!(rows(&resolution.aliases().unwrap()), [[""; 3]; 0]);
}

#[test]
fn more_sources_than_are_told_apart_are_told_as_others() {
    const NAMES: [&str; 18] = ["s", "r", "q", "p", "o", "n", "m", "l", "k", "j", "i", "h", "g", "f", "e", "d", "c", "b"];
    let mut edges: Vec<Edge> = (0_u16..).zip(NAMES).map(|(at, source)| Edge { source, ..tie((0, at), (1, 20 + at), 1) }).collect();
    edges.push(tie((0, 90), (1, 90), 1));
    edges.push(Edge { source: "s", ..tie((0, 90), (1, 90), 1) });
    let told = resolve(open(), &edges).counts();
    let from =
        |source: &str, customers, customers_from_it_alone| KnownFrom { source: source.to_owned(), customers, customers_from_it_alone };
    assert_eq!(told.known_from, [from("crm", 1, 0), from("web", 0, 0), from("others", 19, 18)]);
    assert_eq!(told.customers_from_several_sources, 1);
    // Two fewer, and each has its own name, in order.
    let told = resolve(open(), &edges[4..18]).counts();
    let names: Vec<&str> = told.known_from.iter().map(|from| from.source.as_str()).collect();
    assert_eq!(names[..4], ["crm", "web", "b", "c"]);
    assert_eq!((names.len(), told.known_from[2].customers_from_it_alone), (16, 1));
}

#[test]
fn a_shared_device_ties_nobody_but_one_that_one_person_uses_under_two_numbers_does() {
    let edges = [tie(ANN, TABLET, 30), tie(BOB, TABLET, 31), tie(CAT, (3, 8), 32)];
    let resolution = resolve(guarded(), &edges);
    let found = customers(&resolution);
    assert!(!found.contains_key(&("visitor".to_owned(), "v9".to_owned())));
    assert_eq!(found[&("visitor".to_owned(), "v8".to_owned())], "c3");
    assert_eq!(reasons(&resolution), [told("shared", "v9", "∅")]);
    // Ann and Bob have an address in common, and so are one: the tablet is theirs.
    let one_person = [tie(ANN, TABLET, 30), tie(BOB, TABLET, 31), tie(ANN, EMAIL, 20), tie(BOB, EMAIL, 21)];
    assert_eq!(customers(&resolve(guarded(), &one_person))[&("visitor".to_owned(), "v9".to_owned())], "c1");
}

#[test]
fn an_address_that_passes_on_does_not_make_its_holders_one() {
    let left = Edge { ended: Some(40), ..tie(ANN, EMAIL, 20) };
    let resolution = resolve(guarded(), &[left.clone(), tie(BOB, EMAIL, 40)]);
    let found = customers(&resolution);
    assert_eq!(found[&("email".to_owned(), "e5".to_owned())], "c2");
    assert_eq!(found[&("customer".to_owned(), "c1".to_owned())], "c1");
    assert_eq!(reasons(&resolution), [told("passed_on", "e5", "c1")]);
    // Nobody took it: it still leads to the one who had it. And whoever had it at the same time is the same person.
    assert_eq!(customers(&resolve(guarded(), std::slice::from_ref(&left)))[&("email".to_owned(), "e5".to_owned())], "c1");
    assert_eq!(customers(&resolve(guarded(), &[left, tie(BOB, EMAIL, 39)]))[&("customer".to_owned(), "c2".to_owned())], "c1");
}

#[test]
fn the_weakest_ties_of_too_large_a_customer_are_cut() {
    // Three customers, joined by phones; the last tie and the least trusted one go.
    let edges = [tie(ANN, PHONE, 20), tie(BOB, PHONE, 21), tie(CAT, PHONE, 22)];
    let resolution = resolve(guarded(), &edges);
    assert_eq!(reasons(&resolution), [told("cut", "p7", "c3")]);
    assert_eq!(customers(&resolution)[&("customer".to_owned(), "c3".to_owned())], "c3");
    let distrusted = [Edge { source: "web", ..tie(ANN, PHONE, 20) }, tie(BOB, PHONE, 21), tie(CAT, PHONE, 22)];
    assert_eq!(reasons(&resolve(guarded(), &distrusted)), [told("cut", "p7", "c1")]);
}

#[test]
fn blocked_and_expired_identifiers_tie_nobody_and_are_told() {
    let junk = (1, 0);
    let edges = [tie(ANN, junk, 30), tie(BOB, junk, 31), tie(ANN, TABLET, 10)];
    let resolution = resolve(guarded(), &edges);
    assert_eq!(customers(&resolution).len(), 2);
    assert_eq!(reasons(&resolution), [told("blocked", "e0", "∅"), told("expired", "v9", "c1")]);
}

#[test]
fn an_undeclared_type_is_refused_by_name() {
    let mut rules = open();
    rules.types.truncate(2);
    let error = Resolver::new(rules, 1).push(&batch(&[tie(ANN, PHONE, 1)])).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("`phone`") && said.contains("`customer` and `email`") && !said.contains("p7"), "{said}");
}

#[test]
fn an_explanation_shows_the_ties_and_what_was_not_tied() {
    let edges =
        [tie(ANN, EMAIL, 20), tie(BOB, EMAIL, 21), tie(BOB, (3, 8), 30), tie(ANN, TABLET, 22), tie(CAT, TABLET, 23), tie(BOB, (1, 0), 24)];
    let resolution = resolve(guarded(), &edges);
    let explained = resolution.explain(Some("visitor"), "v8");
    assert_eq!(explained.len(), 1);
    let tree = &explained[0].tree;
    assert_eq!((explained[0].customer_id.as_deref(), tree.identifier.as_str()), (Some("c1"), "c1"));
    assert_eq!(explained[0].aliases, ["c2"; 0]);
    let email = &tree.ties[0];
    assert_eq!((email.source.as_str(), email.first_seen, email.to.identifier.as_str(), email.to.personal), ("crm", Some(20), "e5", true));
    assert_eq!(email.to.ties[0].to.ties[0].to.identifier, "v8");
    let dropped: Vec<_> = explained[0].dropped.iter().map(|tie| (tie.reason, tie.one.1.as_str(), tie.other.1.as_str())).collect();
    assert_eq!(dropped, [("blocked", "e0", "c2"), ("shared", "v9", "c1")]);
    let alone = &resolution.explain(None, "v9")[0];
    assert_eq!((alone.customer_id.as_deref(), alone.tree.set_aside), (None, Some("is shared by too many customers")));
    assert!(resolution.explain(None, "nobody").is_empty() && resolution.explain(Some("card"), "c1").is_empty());
}
