use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use segmill::config::Standalone::{self, No, UntilKnown, Yes};
use segmill::identity::{BlockList, KnownFrom, Resolution, Resolver, Rules, TypeRule, edges_schema};

pub const TYPES: [&str; 5] = ["customer", "email", "phone", "visitor", "browser"];

/// A row of `identity.edges`. Times are small numbers of microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub one: (usize, u16),
    pub other: Option<(usize, u16)>,
    pub source: &'static str,
    pub seen: (Option<i64>, Option<i64>),
    pub ended: Option<i64>,
}

pub fn edge(one: (usize, u16), other: (usize, u16), first: i64) -> Edge {
    Edge { one, other: Some(other), source: "crm", seen: (Some(first), Some(first)), ended: None }
}

fn alone(one: (usize, u16), source: &'static str, first: i64) -> Edge {
    Edge { one, other: None, source, seen: (Some(first), Some(first)), ended: None }
}

pub fn text(identifier: (usize, u16)) -> String {
    format!("{}{}", TYPES[identifier.0].chars().next().unwrap(), identifier.1)
}

pub fn batch(edges: &[Edge]) -> RecordBatch {
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
        times(&|edge| edge.seen.0),
        times(&|edge| edge.seen.1),
        times(&|edge| edge.ended),
    ];
    RecordBatch::try_new(edges_schema(), columns).unwrap()
}

/// No limits: what is tied is one.
fn open() -> Rules {
    with_browsers(UntilKnown)
}

fn with_browsers(stand_alone: Standalone) -> Rules {
    let kind = |at: usize, standalone, personal| TypeRule { name: TYPES[at].to_owned(), standalone, personal, ..TypeRule::default() };
    let types = vec![kind(0, Yes, false), kind(1, Yes, true), kind(2, Yes, true), kind(3, No, false), kind(4, stand_alone, false)];
    Rules { types, trust: vec!["crm".to_owned(), "web".to_owned()], as_of_micros: 1_000, ..Rules::default() }
}

/// Every guard.
fn guarded() -> Rules {
    guard(open())
}

fn guard(mut rules: Rules) -> Rules {
    rules.types[0].max_per_customer = Some(2);
    rules.types[1].max_per_customer = Some(3);
    rules.types[1].max_customers = Some(2);
    rules.types[1].transferable = true;
    rules.types[1].blocked = BlockList::new(["e0"]).unwrap();
    rules.types[3].max_customers = Some(1);
    rules.types[3].valid_micros = Some(980);
    rules.types[4].max_customers = Some(1);
    rules
}

fn resolve(rules: Rules, edges: &[Edge]) -> Resolution {
    resolve_in(rules, &[batch(edges)], 1)
}

fn resolve_in(rules: Rules, batches: &[RecordBatch], threads: usize) -> Resolution {
    collect(rules, batches, threads).finish().unwrap()
}

fn collect(rules: Rules, batches: &[RecordBatch], threads: usize) -> Resolver {
    let resolver = Resolver::new(rules, threads);
    std::thread::scope(|scope| {
        for start in 0..threads {
            let (resolver, batches) = (&resolver, batches);
            scope.spawn(move || batches.iter().skip(start).step_by(threads).for_each(|batch| resolver.push(batch).unwrap()));
        }
    });
    resolver
}

/// What a publication keeps for the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub map: Vec<RecordBatch>,
    pub aliases: RecordBatch,
}

pub fn kept(resolution: &Resolution) -> Kept {
    Kept { map: resolution.map().unwrap(), aliases: resolution.kept_aliases().unwrap() }
}

/// Who is who after another publication, as of a day with that first moment.
pub fn resolve_after(rules: Rules, batches: &[RecordBatch], threads: usize, before: Option<(&Kept, i64)>) -> Resolution {
    let joined = collect(rules, batches, threads).join().unwrap();
    let Some((kept, as_of)) = before else { return joined.name() };
    let mut heirs = joined.heirs(as_of);
    kept.map.iter().for_each(|rows| heirs.take_map(rows).unwrap());
    heirs.take_aliases(&kept.aliases).unwrap();
    heirs.name().unwrap()
}

/// Identifier, with its type, to customer.
pub fn customers(resolution: &Resolution) -> BTreeMap<(String, String), String> {
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

pub fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
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
        prop::option::weighted(0.8, 0_i64..50),
        prop::option::weighted(0.8, 0_i64..20),
        prop::option::weighted(0.2, 1_i64..60),
        any::<bool>(),
    );
    let edge = edge.prop_map(|(one, other, first, lasts, ended, crm)| Edge {
        one,
        other,
        source: if crm { "crm" } else { "web" },
        seen: (first, lasts.map(|lasts| first.unwrap_or_default() + lasts)),
        ended: ended.map(|ended| first.unwrap_or_default() + ended),
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
        let before = kept(&resolve(guarded(), &edges[..edges.len() / 2]));
        for (rules, before) in [(open as fn() -> Rules, None), (guarded, None), (open, Some((&before, 20))), (guarded, Some((&before, 20)))] {
            let one = resolve_after(rules(), &[batch(&edges)], 1, before);
            let other = resolve_after(rules(), &batches, 3, before);
            prop_assert_eq!(kept(&one), kept(&other));
            let (told, same_told) = (one.counts(), other.counts());
            prop_assert_eq!((told.known_from, told.named_by), (same_told.known_from, same_told.named_by));
            let (customers, mut conflicts, aliases) = everything(&one);
            let (same_customers, mut same_conflicts, same_aliases) = everything(&other);
            prop_assert_eq!(customers, same_customers);
            prop_assert_eq!(aliases, same_aliases);
            // How many rows told of an edge is a matter of the rows.
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
    fn limits_do_not_depend_on_the_order_in_which_types_are_declared(edges in some_edges(80), seed in any::<u64>(), most in 1_u32..4) {
        let groups = |order: &[usize; 5]| {
            let mut types: Vec<TypeRule> = guarded().types;
            for rule in &mut types {
                rule.max_customers = Some(most);
            }
            types[0].max_customers = None;
            let mut taken: Vec<Option<TypeRule>> = types.into_iter().map(Some).collect();
            let types = order.iter().map(|at| taken[*at].take().unwrap()).collect();
            let resolution = resolve(Rules { types, ..guarded() }, &edges);
            let mut groups: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
            for (identifier, id) in customers(&resolution) {
                groups.entry(id).or_default().insert(identifier);
            }
            (groups.into_values().collect::<BTreeSet<_>>(), reasons(&resolution).into_iter().map(|told| (told.0, BTreeSet::from([told.1, told.2]))).collect::<BTreeSet<_>>())
        };
        let mut order = [0, 1, 2, 3, 4];
        let first = groups(&order);
        order.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
        prop_assert_eq!(first, groups(&order));
    }

    #[test]
    fn every_edge_joins_or_is_told(edges in some_edges(80)) {
        let resolution = resolve(guarded(), &edges);
        let found = customers(&resolution);
        let told = reasons(&resolution);
        for edge in edges.iter().filter(|edge| edge.other.is_some_and(|other| other != edge.one)) {
            let ends = [edge.one, edge.other.unwrap()];
            let names = ends.map(text);
            let same = |a: &(usize, u16), b: &(usize, u16)| {
                let id = |end: &(usize, u16)| found.get(&(TYPES[end.0].to_owned(), text(*end)));
                // What is no customer is tied to nothing that is one.
                id(a) == id(b)
            };
            let is_told = told.iter().any(|(_, a, b)| names.contains(a) && (b == "∅" || names.contains(b)));
            prop_assert!(same(&ends[0], &ends[1]) || is_told, "{:?}", edge);
        }
        let counts = resolution.counts();
        let rows = rows(&resolution.conflicts().unwrap());
        let of_pairs: u64 = rows.iter().filter(|row| row[4] != "∅").map(|row| row[8].parse::<u64>().unwrap()).sum();
        prop_assert!(of_pairs <= counts.edges_set_aside);
        prop_assert_eq!(counts.edges, edges.iter().filter(|edge| edge.other.is_some_and(|other| other != edge.one)).count() as u64);
    }
}

#[test]
fn a_giant_component_is_the_same_on_one_thread_and_on_four() {
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let mut identifier = |kind: usize| (kind, random.random_range(0..20_000));
    let edges: Vec<Edge> = (0..120_000).map(|at| edge(identifier(0), identifier(if at % 3 == 0 { 3 } else { 1 }), at / 50)).collect();
    let batches: Vec<RecordBatch> = edges.chunks(8_192).map(batch).collect();
    let (one, four) = (resolve_in(open(), &batches, 1), resolve_in(open(), &batches, 4));
    assert_eq!(everything(&one), everything(&four));
    let before = kept(&resolve(open(), &edges[..40_000]));
    let (one, four) = [1, 4].map(|threads| resolve_after(open(), &batches, threads, Some((&before, 800)))).into();
    assert!(one.counts().merged > 1_000, "there are ids that end: {}", one.counts().merged);
    assert_eq!((everything(&one), kept(&one)), (everything(&four), kept(&four)));
}

const ANN: (usize, u16) = (0, 1);
const BOB: (usize, u16) = (0, 2);
const CAT: (usize, u16) = (0, 3);
const EMAIL: (usize, u16) = (1, 5);
const PHONE: (usize, u16) = (2, 7);
const TABLET: (usize, u16) = (3, 9);

#[test]
fn the_oldest_identifier_names_the_customer() {
    let edges = [alone(EMAIL, "web", 1), edge(ANN, PHONE, 5), edge(BOB, EMAIL, 8), edge(PHONE, EMAIL, 9)];
    let resolution = resolve(open(), &edges);
    let found = customers(&resolution);
    let ids: BTreeSet<&String> = found.values().collect();
    // The subscriber was there first, so the id hides the address.
    assert_eq!(ids.len(), 1);
    let id = ids.into_iter().next().unwrap();
    assert!(id.starts_with("email:") && id.len() == 26, "{id}");
    assert_eq!(resolution.aliases().unwrap().num_rows(), 0, "nothing was published that could have ended");
}

#[test]
fn the_oldest_identifier_names_the_customer_however_far_away_its_time_is() {
    for far in [-62_135_596_800_000_000, 0, i64::MIN] {
        let edges = [alone(EMAIL, "crm", far), alone(ANN, "crm", far + 1), edge(ANN, EMAIL, 999)];
        let id = customers(&resolve(open(), &edges))[&("customer".to_owned(), "c1".to_owned())].clone();
        assert!(id.starts_with("email:"), "{id}");
    }
}

#[test]
fn what_begins_on_the_day_or_later_does_not_exist_yet_and_what_ends_then_has_not_ended() {
    let later = [edge(ANN, PHONE, 1_000), alone((0, 9), "crm", 5_000)];
    let resolution = resolve(open(), &later);
    assert_eq!((customers(&resolution).len(), resolution.counts().edges_later, resolution.counts().edges), (0, 2, 0));
    // What may have begun long ago exists.
    let unknown = Edge { seen: (None, Some(1_000)), ..edge(CAT, PHONE, 1) };
    assert_eq!(customers(&resolve(open(), &[unknown])).len(), 2);
    assert_eq!(resolution.conflicts().unwrap().num_rows(), 0);
    // Ann has the address until the day, and Bob takes it after it.
    let held = Edge { ended: Some(1_000), seen: (Some(20), Some(3_000)), ..edge(ANN, EMAIL, 20) };
    let resolution = resolve(guarded(), &[held, edge(BOB, EMAIL, 1_000), alone(BOB, "crm", 5)]);
    assert_eq!(customers(&resolution)[&("email".to_owned(), "e5".to_owned())], "c1");
    assert_eq!(customers(&resolution)[&("customer".to_owned(), "c2".to_owned())], "c2");
    // Seen until after the day: it has not expired.
    let device = Edge { seen: (Some(1), Some(2_000)), ..edge(ANN, TABLET, 1) };
    assert_eq!(customers(&resolve(guarded(), &[device])).len(), 2);
}

#[test]
fn times_that_are_not_known_change_nothing_whatever_the_order() {
    let junk = (1, 0);
    let unknown = Edge { seen: (None, None), ..edge(BOB, junk, 0) };
    let edges = [edge(ANN, junk, 5), unknown, edge(CAT, junk, 3)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let told = rows(&resolve(guarded(), &order.map(|at: usize| edges[at].clone())).conflicts().unwrap());
        assert_eq!(told[0][6..9], ["1970-01-01T00:00:00.000003Z", "1970-01-01T00:00:00.000005Z", "3"]);
    }
}

#[test]
fn blanks_are_no_identifiers_and_are_counted() {
    let nullable: Vec<_> = edges_schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let schema = Arc::new(arrow::datatypes::Schema::new(nullable));
    let mut rows_of = batch(&vec![edge(ANN, EMAIL, 5); 5]).columns().to_vec();
    rows_of[1] = Arc::new(StringArray::from(vec![Some("c1"), None, Some(" "), Some("\u{200b}"), Some("c2")]));
    rows_of[3] = Arc::new(StringArray::from(vec![Some(""), Some("e1"), Some("e2"), Some("e3"), None]));
    let rows_with_blanks = RecordBatch::try_new(schema, rows_of).unwrap();
    let resolution = resolve_in(open(), &[rows_with_blanks], 1);
    let found = customers(&resolution);
    assert_eq!(found.keys().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["c1", "c2", "e1", "e2", "e3"]);
    assert_eq!((resolution.counts().blank_identifiers, resolution.counts().edges), (5, 0));
    let told: Vec<Vec<String>> =
        rows(&resolution.conflicts().unwrap()).into_iter().map(|row| [0, 1, 2, 5, 8].map(|at: usize| row[at].clone()).to_vec()).collect();
    assert_eq!(told, [["blank", "customer", "", "crm", "3"], ["blank", "email", "", "crm", "2"]]);
}

#[test]
fn an_address_that_goes_and_comes_back_leaves_two_people() {
    // Ann has it, Bob has it, Ann has it again.
    let owned = |owner, first, ended| Edge { ended, ..edge(owner, EMAIL, first) };
    let back = [owned(ANN, 10, Some(20)), owned(BOB, 20, Some(30)), owned(ANN, 30, None), alone(BOB, "crm", 5)];
    let resolution = resolve(guarded(), &back);
    let found = customers(&resolution);
    assert_eq!(found[&("email".to_owned(), "e5".to_owned())], found[&("customer".to_owned(), "c1".to_owned())]);
    assert_eq!(found[&("customer".to_owned(), "c2".to_owned())], "c2");
    assert_eq!(reasons(&resolution), [told("transferred", "e5", "c1"), told("transferred", "e5", "c2")]);
    // Twice transferred is told with each interval, and not as one that never ended.
    let often = [owned(ANN, 10, Some(20)), owned(BOB, 20, Some(30)), owned(ANN, 30, Some(40)), owned(BOB, 40, None)];
    let told = rows(&resolve(guarded(), &often).conflicts().unwrap());
    let of_ann = told.iter().find(|row| row[4] == "c1").unwrap();
    assert_eq!(of_ann[8], "2");
    assert!(of_ann[11].contains("; seen 1970-01-01"), "{}", of_ann[11]);
}

#[test]
fn limits_count_whatever_is_tied_to_an_identifier() {
    let kind = |name: &str, standalone, max_customers| TypeRule { name: name.to_owned(), standalone, max_customers, ..TypeRule::default() };
    let rules = |emails: Standalone, most: Option<u32>, of_visitors: Option<u32>| Rules {
        types: vec![kind("customer", Yes, None), kind("email", emails, most), kind("phone", No, None), kind("visitor", Yes, of_visitors)],
        ..Rules::default()
    };
    let of = |rules, edges: &[Edge]| {
        let resolution = resolve(Rules { as_of_micros: 1_000, ..rules }, edges);
        let ids: BTreeSet<String> = customers(&resolution).into_values().collect();
        (ids.len(), reasons(&resolution).into_iter().map(|told| (told.0, told.1)).collect::<Vec<_>>())
    };
    let shared = |text: &str| vec![("shared".to_owned(), text.to_owned())];
    // An office's address on a hundred devices that are customers themselves, with a limit of their own or without.
    let office: Vec<Edge> = (0..100).map(|at| edge((3, at), EMAIL, 1)).collect();
    for of_visitors in [None, Some(1), Some(3)] {
        assert_eq!(of(rules(Yes, Some(2), of_visitors), &office), (100, shared("e5")));
        assert_eq!(of(rules(Yes, Some(99), of_visitors), &office), (100, shared("e5")));
        assert_eq!(of(rules(Yes, Some(100), of_visitors), &office), (1, vec![]));
    }
    // Addresses of one type that a hub links: the hub is shared, and each address still leads to its customer.
    let hub = (1, 99);
    let mut hubs: Vec<Edge> = (0..50).map(|at| edge(hub, (1, at), 1)).collect();
    hubs.extend((0..50).map(|at| edge((1, at), (0, at), 1)));
    assert_eq!(of(rules(No, Some(1), None), &hubs), (50, shared("e99")));
    assert_eq!(of(rules(Yes, Some(1), None), &hubs), (50, shared("e99")));
    // What names nobody and is tied to nothing else is nobody's owner.
    let phones: Vec<Edge> = (0..5).map(|at| edge(EMAIL, (2, at), 1)).chain([edge(EMAIL, ANN, 1)]).collect();
    assert_eq!(of(rules(Yes, Some(1), None), &phones), (1, vec![]));
    // A long chain of limited identifiers, each of which waits for the one before it, is made in one go.
    let mut chain = vec![edge((0, 1), (1, 1), 1), edge((0, 2), (1, 1), 1)];
    chain.extend(
        (1..20_000).flat_map(|at| [edge((0, at), (1, at + 1), 1), edge((0, at + 1), (1, at + 1), 1), edge((0, at + 2), (1, at + 1), 1)]),
    );
    assert_eq!(of(rules(No, Some(2), None), &chain).0, 1);
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
        let edges: Vec<Edge> = texts.iter().map(|_| alone(ANN, "crm", 1)).collect();
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
    let visits = Edge { seen: (Some(1), Some(9)), ..alone(browser, "web", 1) };
    let first = resolve(open(), std::slice::from_ref(&visits));
    assert_eq!(customers(&first)[&("browser".to_owned(), "b1".to_owned())], "browser:b1");
    // The visitor was seen first, and yet the id of the customer who logs in stays.
    let edges = [visits, edge(ANN, PHONE, 5), edge(browser, ANN, 7)];
    let resolution = resolve_after(open(), &[batch(&edges)], 1, Some((&kept(&first), 3)));
    assert_eq!(customers(&resolution).into_values().collect::<BTreeSet<_>>(), BTreeSet::from(["c1".to_owned()]));
    assert_eq!(rows(&resolution.aliases().unwrap()), [["browser:b1", "c1", "1970-01-01T00:00:00.001Z"]]);
}

#[test]
fn more_sources_than_are_told_apart_are_told_as_others() {
    const NAMES: [&str; 18] = ["s", "r", "q", "p", "o", "n", "m", "l", "k", "j", "i", "h", "g", "f", "e", "d", "c", "b"];
    let mut edges: Vec<Edge> = (0_u16..).zip(NAMES).map(|(at, source)| Edge { source, ..edge((0, at), (1, 20 + at), 1) }).collect();
    edges.push(edge((0, 90), (1, 90), 1));
    edges.push(Edge { source: "s", ..edge((0, 90), (1, 90), 1) });
    let rules = || Rules { sources: NAMES.map(str::to_owned).to_vec(), ..open() };
    let told = resolve(rules(), &edges).counts();
    let from =
        |source: &str, customers, customers_from_it_alone| KnownFrom { source: source.to_owned(), customers, customers_from_it_alone };
    assert_eq!(told.known_from, [from("crm", 1, 0), from("web", 0, 0), from("others", 19, 18)]);
    assert_eq!(told.customers_from_several_sources, 1);
    // Two fewer, and each has its own name, in order.
    let told = resolve(rules(), &edges[4..18]).counts();
    let names: Vec<&str> = told.known_from.iter().map(|from| from.source.as_str()).collect();
    assert_eq!(names[..4], ["crm", "web", "b", "c"]);
    assert_eq!((names.len(), told.known_from[2].customers_from_it_alone), (16, 1));
    // What the project does not name may be a value that a model took for a source.
    let told = resolve(open(), &edges[17..18]).counts();
    assert_eq!(told.known_from[2].source, "unnamed");
}

#[test]
fn a_shared_device_ties_nobody_but_one_that_one_person_uses_under_two_numbers_does() {
    let edges = [edge(ANN, TABLET, 30), edge(BOB, TABLET, 31), edge(CAT, (3, 8), 32)];
    let resolution = resolve(guarded(), &edges);
    let found = customers(&resolution);
    assert!(!found.contains_key(&("visitor".to_owned(), "v9".to_owned())));
    assert_eq!(found[&("visitor".to_owned(), "v8".to_owned())], "c3");
    assert_eq!(reasons(&resolution), [told("shared", "v9", "∅")]);
    // Ann and Bob have an address in common, and so are one: the tablet is theirs.
    let one_person = [edge(ANN, TABLET, 30), edge(BOB, TABLET, 31), edge(ANN, EMAIL, 20), edge(BOB, EMAIL, 21)];
    assert_eq!(customers(&resolve(guarded(), &one_person))[&("visitor".to_owned(), "v9".to_owned())], "c1");
}

#[test]
fn an_address_that_changes_owners_does_not_make_its_owners_one() {
    let left = Edge { ended: Some(40), ..edge(ANN, EMAIL, 20) };
    let resolution = resolve(guarded(), &[left.clone(), edge(BOB, EMAIL, 40)]);
    let found = customers(&resolution);
    assert_eq!(found[&("email".to_owned(), "e5".to_owned())], "c2");
    assert_eq!(found[&("customer".to_owned(), "c1".to_owned())], "c1");
    assert_eq!(reasons(&resolution), [told("transferred", "e5", "c1")]);
    // Nobody took it: it still leads to the one who had it. And whoever had it at the same time is the same person.
    assert_eq!(customers(&resolve(guarded(), std::slice::from_ref(&left)))[&("email".to_owned(), "e5".to_owned())], "c1");
    assert_eq!(customers(&resolve(guarded(), &[left, edge(BOB, EMAIL, 39)]))[&("customer".to_owned(), "c2".to_owned())], "c1");
}

#[test]
fn the_weakest_edges_of_too_large_a_customer_are_pruned() {
    // Three customers, joined by phones; the last edge and the least trusted one go.
    let edges = [edge(ANN, PHONE, 20), edge(BOB, PHONE, 21), edge(CAT, PHONE, 22)];
    let resolution = resolve(guarded(), &edges);
    assert_eq!(reasons(&resolution), [told("pruned", "p7", "c3")]);
    assert_eq!(customers(&resolution)[&("customer".to_owned(), "c3".to_owned())], "c3");
    let distrusted = [Edge { source: "web", ..edge(ANN, PHONE, 20) }, edge(BOB, PHONE, 21), edge(CAT, PHONE, 22)];
    assert_eq!(reasons(&resolve(guarded(), &distrusted)), [told("pruned", "p7", "c1")]);
}

#[test]
fn blocked_and_expired_identifiers_tie_nobody_and_are_told() {
    let junk = (1, 0);
    let edges = [edge(ANN, junk, 30), edge(BOB, junk, 31), edge(ANN, TABLET, 10)];
    let resolution = resolve(guarded(), &edges);
    assert_eq!(customers(&resolution).len(), 2);
    assert_eq!(reasons(&resolution), [told("blocked", "e0", "∅"), told("expired", "v9", "c1")]);
}

#[test]
fn an_undeclared_type_is_refused_and_not_shown() {
    let mut rules = open();
    rules.types.truncate(2);
    let error = Resolver::new(rules, 1).push(&batch(&[edge(ANN, PHONE, 1)])).unwrap_err();
    let said = error.to_string();
    // The value may be anything, if a model mixes up its columns.
    assert!(said.contains("`other_type`") && said.contains("`customer` and `email`") && !said.contains("phone"), "{said}");
}

#[test]
fn an_explanation_shows_edges_and_what_was_pruned() {
    let edges = [
        edge(ANN, EMAIL, 20),
        edge(BOB, EMAIL, 21),
        edge(BOB, (3, 8), 30),
        edge(ANN, TABLET, 22),
        edge(CAT, TABLET, 23),
        edge(BOB, (1, 0), 24),
    ];
    let resolution = resolve(guarded(), &edges);
    let explained = &resolution.explain(Some("visitor"), "v8", 100)[0];
    assert_eq!((explained.customer_id.as_deref(), explained.aliases.len(), explained.id_is_kept), (Some("c1"), 0, false));
    let shown: Vec<_> = explained.identifiers.iter().map(|linked| (linked.told.identifier.as_str(), linked.linked_to)).collect();
    // First what was asked for, and the way to what names the customer.
    assert_eq!(shown, [("v8", None), ("c2", Some(0)), ("e5", Some(1)), ("c1", Some(2))]);
    let seen = &explained.identifiers[3].seen[0];
    assert_eq!((seen.source.as_deref(), seen.first_seen, explained.identifiers[2].told.personal), (Some("crm"), Some(20), true));
    let dropped = explained.edges_set_aside.iter().map(|edge| (edge.reason, edge.one.identifier.as_str(), edge.other.identifier.as_str()));
    assert_eq!(dropped.collect::<Vec<_>>(), [("blocked", "e0", "c2"), ("shared", "v9", "c1")]);
    let alone = &resolution.explain(None, "v9", 100)[0];
    assert_eq!((alone.customer_id.as_deref(), alone.identifiers[0].set_aside), (None, Some("is shared by too many customers")));
    assert!(resolution.explain(None, "nobody", 100).is_empty() && resolution.explain(Some("card"), "c1", 100).is_empty());
    assert_eq!(resolution.explain_customer("c1", 100).unwrap().identifiers[0].told.identifier, "c1");
}

#[test]
fn an_explanation_of_a_long_chain_is_short_and_says_what_it_leaves_out() {
    let edges: Vec<Edge> = (0..30_000).flat_map(|at| [edge((0, at), (1, at), 1), edge((0, at + 1), (1, at), 1)]).collect();
    let resolution = resolve(open(), &edges);
    let explained = &resolution.explain(None, "c30000", 100)[0];
    assert_eq!((explained.identifiers.len(), explained.identifiers_left_out), (100, 59_901));
    assert_eq!((explained.identifiers[99].linked_to, explained.identifiers[99].told.identifier.as_str()), (Some(98), "e29950"));
    assert_eq!(resolution.explain(None, "c30000", 0)[0].identifiers.len(), 1);
}
