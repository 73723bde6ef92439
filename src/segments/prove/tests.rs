//! Proofs against brute force and against grids whose faults are known.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use proptest::prelude::*;

use super::super::domain::ColumnDomain;
use super::super::rule;
use super::findings::{Count, Findings, Gap, Overlap, Taken, Unproved};
use super::prover::Prover;
use super::*;
use crate::config::SetKind;
use crate::engine::Limits;

/// A profile of whole numbers, each with its domain if one is declared, and texts and truths besides.
struct Profile {
    engine: Engine,
    schema: DFSchema,
    domains: Domains,
}

/// A column's name, smallest and largest value if they are declared, and whether there is always one.
type Declared<'a> = (&'a str, Option<(i64, i64)>, bool);

impl Profile {
    fn of(columns: &[Declared<'_>]) -> Self {
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let mut fields: Vec<Field> = columns.iter().map(|(name, ..)| number(name)).collect();
        fields.extend([Field::new("city", DataType::Utf8, true), Field::new("spent", DataType::Decimal128(18, 3), false)]);
        fields.extend([Field::new("member", DataType::Boolean, false), Field::new("consent", DataType::Boolean, true)]);
        fields.extend([Field::new("last_order", DataType::Date32, true), Field::new(AS_OF_COLUMN, DataType::Date32, false)]);
        let moment = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("Europe/London".into()));
        fields.push(Field::new("seen_at", moment, false));
        let whole = |value: i64| Some(ScalarValue::Int64(Some(value)));
        let domain = |name: &str, (min, max): (i64, i64), required: bool| ColumnDomain {
            name: name.to_owned(),
            data_type: DataType::Int64,
            required,
            accepted: Vec::new(),
            min: whole(min),
            max: whole(max),
        };
        let declared = columns.iter().filter_map(|(name, range, required)| range.map(|range| domain(name, range, *required)));
        Profile {
            engine: Engine::new(Limits { threads: 1, memory_bytes: 1 << 26 }, "UTC").unwrap(),
            schema: DFSchema::try_from(Schema::new(fields)).unwrap(),
            domains: Domains::of(declared.collect()),
        }
    }

    fn open(&self, text: &str) -> Expr {
        rule::of_any_day(&self.engine, &self.schema, &BTreeMap::new(), text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn examine(&self, kind: SetKind, rules: &[&str]) -> (Findings, Option<Unproved>) {
        self.examine_with(kind, rules, &[])
    }

    fn examine_with(&self, kind: SetKind, rules: &[&str], always: &[&str]) -> (Findings, Option<Unproved>) {
        let open = |texts: &[&str]| texts.iter().map(|text| self.open(text)).collect();
        let prover =
            Prover { engine: &self.engine, schema: &self.schema, domains: &self.domains, rules: open(rules), always: open(always) };
        prover.examine(kind)
    }

    fn proved(&self, kind: SetKind, rules: &[&str]) -> Findings {
        let (findings, unproved) = self.examine(kind, rules);
        assert!(unproved.is_none(), "{unproved:?}");
        findings
    }
}

fn scores() -> Profile {
    Profile::of(&[("r", Some((1, 5)), true), ("f", Some((1, 5)), true), ("m", Some((1, 5)), true)])
}

/// The widely copied map of eleven segments over recency and the mean of frequency and monetary.
#[test]
fn the_published_grid_of_eleven_segments_overlaps_in_76_cells_and_leaves_four_segments_empty() {
    let grid = [
        ("champions", 4, 5, 4, 5),
        ("loyal", 2, 5, 3, 5),
        ("potential_loyalist", 3, 5, 1, 3),
        ("new", 4, 5, 0, 1),
        ("promising", 3, 4, 0, 1),
        ("need_attention", 2, 3, 2, 3),
        ("about_to_sleep", 2, 3, 0, 2),
        ("at_risk", 0, 2, 2, 5),
        ("cant_lose", 0, 1, 4, 5),
        ("hibernating", 1, 2, 1, 2),
        ("lost", 0, 2, 0, 2),
    ];
    let rule = |(_, r, to_r, fm, to_fm): &(&str, i32, i32, i32, i32)| {
        format!("r between {r} and {to_r} and (f + m) / 2.0 between {fm} and {to_fm}")
    };
    let rules: Vec<String> = grid.iter().map(rule).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();

    let partition = scores().proved(SetKind::Partition, &rules);
    assert_eq!(partition.several, Count(Some((76, 125))));
    assert!(partition.gap.is_none() && partition.never.is_empty());
    assert!(partition.overlaps.iter().all(|overlap| overlap.certain));
    assert_eq!(partition.overlaps[0].example, "r = 4, f = 3, m = 5");

    let first_match = scores().proved(SetKind::Exclusive, &rules);
    let unreachable: Vec<&str> = first_match.taken.iter().map(|taken| grid[taken.rule].0).collect();
    assert_eq!(unreachable, ["new", "promising", "cant_lose", "lost"]);
    assert_eq!(first_match.taken[0].by, [2]);
    assert!(first_match.overlaps.is_empty());
}

/// The example of a popular R package: ranges of all three scores.
#[test]
fn the_example_of_the_r_package_leaves_36_cells_out() {
    let ranges = [
        ("champions", 4, 5, 4, 5),
        ("loyal", 2, 5, 3, 5),
        ("potential_loyalist", 3, 5, 1, 3),
        ("new", 4, 5, 1, 1),
        ("promising", 3, 4, 1, 1),
        ("need_attention", 2, 3, 2, 3),
        ("about_to_sleep", 2, 3, 1, 2),
        ("at_risk", 1, 2, 2, 5),
        ("cant_lose", 1, 1, 4, 5),
        ("lost", 1, 2, 1, 2),
    ];
    let rule = |(_, r, to_r, fm, to_fm): &(&str, i32, i32, i32, i32)| {
        format!("r between {r} and {to_r} and f between {fm} and {to_fm} and m between {fm} and {to_fm}")
    };
    let rules: Vec<String> = ranges.iter().map(rule).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let findings = scores().proved(SetKind::Exclusive, &rules);
    let gap = findings.gap.unwrap();
    assert_eq!((gap.certain, gap.count), (true, Count(Some((36, 125)))));
    assert_eq!(gap.examples[0], "r = 1, f = 1, m = 3");
    let unreachable: Vec<&str> = findings.taken.iter().map(|taken| ranges[taken.rule].0).collect();
    assert_eq!(unreachable, ["new", "promising", "cant_lose"]);
}

#[test]
fn null_is_a_value_that_no_comparison_matches() {
    let profile = Profile::of(&[("f", Some((0, 9)), false), ("g", None, false)]);
    let gap = profile.proved(SetKind::Exclusive, &["f = 0", "f > 0"]).gap.unwrap();
    assert_eq!((gap.certain, gap.examples[0].as_str(), gap.count), (true, "f is null", Count(Some((1, 11)))));
    // Of a column without a domain nobody knows whether null is there.
    let gap = profile.proved(SetKind::Exclusive, &["g <= 0", "g > 0"]).gap.unwrap();
    assert_eq!((gap.certain, gap.examples[0].as_str(), gap.count), (false, "g is null", Count(None)));
    assert!(profile.proved(SetKind::Exclusive, &["g <= 0", "g > 0", "g is null"]).gap.is_none());
    assert!(profile.proved(SetKind::Exclusive, &["member", "not member"]).gap.is_none());
    assert_eq!(profile.proved(SetKind::Exclusive, &["consent", "not consent"]).gap.unwrap().examples[0], "consent is null");
    assert!(profile.proved(SetKind::Exclusive, &["consent", "consent is not true"]).gap.is_none());
}

#[test]
fn columns_without_a_domain_are_parted_at_the_constants() {
    let profile = Profile::of(&[("days", None, true)]);
    let proved = |rules: &[&str]| profile.proved(SetKind::Exclusive, rules);
    // Between 30 and 31 there is no whole number, but there is a decimal one.
    assert!(proved(&["days <= 30", "days >= 31", "days is null"]).gap.is_none());
    assert_eq!(proved(&["spent <= 30", "spent >= 31"]).gap.unwrap().examples[0], "spent = 30.001");
    assert_eq!(proved(&["city = 'London'", "city is null"]).gap.unwrap().examples[0], "city is another text");
    assert_eq!(proved(&["city <= 'M'", "city is null"]).gap.unwrap().examples[0], "city after 'M'");
    assert!(proved(&["city <= 'M'", "city > 'M'", "city is null"]).gap.is_none());
    assert_eq!(proved(&["days > 5 and days < 3"]).never, [0]);
    assert_eq!(proved(&["days > 5 and days < 6.5"]).never, [0; 0]);
    assert_eq!(proved(&["days > 5 and days < 6"]).never, [0]);
    assert_eq!(proved(&["city = 'London' and city in ('Paris', 'Rome')"]).never, [0]);
    assert_eq!(proved(&["last_order < '2011-01-02' and last_order > '2011-01-01'"]).never, [0]);
    assert!(proved(&["seen_at < date '2011-06-10'", "seen_at >= date '2011-06-10'"]).gap.is_none());
    assert!(proved(&["seen_at > date '2011-06-10' and seen_at < '2011-06-10T06:00:00'"]).never.is_empty());
    assert_eq!(proved(&["seen_at > '2011-06-10' and seen_at < '2011-06-09'"]).never, [0]);
    let taken = proved(&["days > 5", "days > 3", "days between 7 and 9"]).taken;
    assert_eq!(taken, [Taken { rule: 2, by: vec![0] }]);
}

/// What customers are on the as-of day is left open, so that a project is not right on one day and wrong on the next.
#[test]
fn the_as_of_day_is_any_day() {
    let profile = Profile::of(&[]);
    let proved = |rules: &[&str]| profile.proved(SetKind::Exclusive, rules);
    assert!(proved(&["last_order > '2011-01-01' and last_order < $as_of"]).never.is_empty());
    assert_eq!(proved(&["last_order < $as_of and last_order >= $as_of"]).never, [0]);
    assert!(proved(&["last_order < $as_of - 30", "last_order >= $as_of - 30", "last_order is null"]).gap.is_some_and(|gap| !gap.certain));
    assert!(proved(&["last_order < $as_of - 30", "not (last_order < $as_of - 30)", "true"]).gap.is_none());
}

/// What a condition that is taken as a whole has to do with others is not known, so nothing certain follows.
#[test]
fn conditions_on_unlisted_values_are_uncertain() {
    let profile = Profile::of(&[("f", Some((0, 3)), true), ("a", None, true), ("b", None, true)]);
    let proved = |rules: &[&str]| profile.proved(SetKind::Exclusive, rules);
    let gap = proved(&["city like 'L%' and f > 0", "f = 0", "f between 1 and 2 and not (city like 'L%')"]).gap.unwrap();
    assert!(!gap.certain);
    let gap = proved(&["city like 'L%' and f > 1", "f = 0"]).gap.unwrap();
    assert_eq!((gap.certain, gap.examples[0].as_str()), (true, "f = 1"));
    assert_eq!(proved(&["a < b", "b > a"]).taken, [Taken { rule: 1, by: vec![0] }]);
    assert_eq!(proved(&["a < b and a >= b"]).never, [0]);
    assert_eq!(proved(&["lower(city) = 'london' and lower(city) = 'paris'"]).never, [0]);
    assert!(proved(&["a + 1 > 5 and a < 2"]).never.is_empty(), "true for no number, but that is beyond the proof");
}

#[test]
fn what_always_holds_excludes_cells() {
    let profile = Profile::of(&[("f", Some((0, 100_000)), true), ("r", Some((0, 5)), true)]);
    let rules = ["f = 0", "r between 1 and 3", "r between 4 and 5"];
    let (findings, _) = profile.examine(SetKind::Exclusive, &rules);
    assert_eq!(findings.gap.unwrap().examples[0], "f = 1, r = 0");
    let (findings, _) = profile.examine_with(SetKind::Exclusive, &rules, &["f = 0 or r >= 1"]);
    assert_eq!(findings, Findings { cells: findings.cells, ..Findings::default() });
}

#[test]
fn a_safety_net_may_catch_nobody() {
    let profile = Profile::of(&[("f", Some((0, 3)), true)]);
    assert_eq!(profile.proved(SetKind::Exclusive, &["f = 0", "f > 0", "true"]).taken, []);
    assert_eq!(profile.proved(SetKind::Exclusive, &["f = 0", "f > 0", "f = 2"]).taken, [Taken { rule: 2, by: vec![1] }]);
}

#[test]
fn conditions_that_fail_on_some_value_are_taken_as_a_whole() {
    let profile = Profile::of(&[("f", Some((0, 3)), true), ("m", Some((0, 3)), true)]);
    let findings = profile.proved(SetKind::Exclusive, &["f > 0 and m / f >= 1", "f = 0 and f = 1", "true"]);
    assert_eq!(findings.never, [1]);
}

#[test]
fn sets_that_are_too_large_are_proved_rule_by_rule_and_in_pairs() {
    let names: Vec<String> = (0..12).map(|at| format!("c{at}")).collect();
    let columns: Vec<_> = names.iter().map(|name| (name.as_str(), Some((0, 9)), true)).collect();
    let profile = Profile::of(&columns);
    let mut rules: Vec<String> = names.iter().map(|name| format!("{name} = 3 or {name} = 5 or {name} = 7")).collect();
    rules.extend(["c0 = 5".to_owned(), "c3 = 11".to_owned()]);
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let (findings, unproved) = profile.examine(SetKind::Exclusive, &rules);
    assert!(matches!(unproved, Some(Unproved::TooLarge { cells }) if cells > 1 << 18), "{unproved:?}");
    assert_eq!((findings.never, findings.taken), (vec![13], vec![Taken { rule: 12, by: vec![0] }]));
}

/// A small condition, as SQL and as this test understands it.
#[derive(Debug, Clone)]
enum Condition {
    Compare(usize, &'static str, i64),
    Columns(usize, &'static str, usize),
    Between(usize, i64, i64, bool),
    In(usize, Vec<i64>, bool),
    IsNull(usize, bool),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

const COLUMNS: [&str; 3] = ["a", "b", "c"];
type Customer = [Option<i64>; 3];

impl Condition {
    fn sql(&self) -> String {
        let not = |negated: &bool| if *negated { "not " } else { "" };
        match self {
            Condition::Compare(column, op, value) => format!("{} {op} {value}", COLUMNS[*column]),
            Condition::Columns(one, op, other) => format!("{} {op} {}", COLUMNS[*one], COLUMNS[*other]),
            Condition::Between(column, low, high, negated) => format!("{} {}between {low} and {high}", COLUMNS[*column], not(negated)),
            Condition::In(column, values, negated) => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                format!("{} {}in ({})", COLUMNS[*column], not(negated), values.join(", "))
            }
            Condition::IsNull(column, negated) => format!("{} is {}null", COLUMNS[*column], not(negated)),
            Condition::Not(inner) => format!("not ({})", inner.sql()),
            Condition::And(one, other) => format!("({}) and ({})", one.sql(), other.sql()),
            Condition::Or(one, other) => format!("({}) or ({})", one.sql(), other.sql()),
        }
    }

    fn truth(&self, customer: &Customer) -> Option<bool> {
        let compare = |one: Option<i64>, op: &str, other: Option<i64>| {
            let (one, other) = (one?, other?);
            Some(match op {
                "=" => one == other,
                "<>" => one != other,
                "<" => one < other,
                "<=" => one <= other,
                ">" => one > other,
                _ => one >= other,
            })
        };
        match self {
            Condition::Compare(column, op, value) => compare(customer[*column], op, Some(*value)),
            Condition::Columns(one, op, other) => compare(customer[*one], op, customer[*other]),
            Condition::Between(column, low, high, negated) => Some((*low..=*high).contains(&customer[*column]?) != *negated),
            Condition::In(column, values, negated) => Some(values.contains(&customer[*column]?) != *negated),
            Condition::IsNull(column, negated) => Some(customer[*column].is_none() != *negated),
            Condition::Not(inner) => inner.truth(customer).map(|truth| !truth),
            Condition::And(one, other) => match (one.truth(customer), other.truth(customer)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Condition::Or(one, other) => match (one.truth(customer), other.truth(customer)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

fn condition(between_columns: bool) -> impl Strategy<Value = Condition> {
    let op = || prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let (column, value) = (|| 0..3_usize, || -1..4_i64);
    let compare = (column(), op(), value()).prop_map(|(column, op, value)| Condition::Compare(column, op, value));
    let columns = (column(), op(), column()).prop_map(move |(one, op, other)| {
        if between_columns && one != other { Condition::Columns(one, op, other) } else { Condition::Compare(one, op, 1) }
    });
    let between =
        (column(), value(), value(), any::<bool>()).prop_map(|(column, low, high, negated)| Condition::Between(column, low, high, negated));
    let one_of = (column(), prop::collection::vec(value(), 1..3), any::<bool>())
        .prop_map(|(column, values, negated)| Condition::In(column, values, negated));
    let is_null = (column(), any::<bool>()).prop_map(|(column, negated)| Condition::IsNull(column, negated));
    prop_oneof![4 => compare, 1 => columns, 1 => between, 1 => one_of, 1 => is_null].prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Condition::Not(Box::new(one))),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| Condition::And(Box::new(one), Box::new(other))),
            (inner.clone(), inner).prop_map(|(one, other)| Condition::Or(Box::new(one), Box::new(other))),
        ]
    })
}

fn customers(values: &[Vec<Option<i64>>; 3]) -> Vec<Customer> {
    let [a, b, c] = values;
    a.iter().flat_map(|a| b.iter().flat_map(move |b| c.iter().map(move |c| [*a, *b, *c]))).collect()
}

/// What trying every customer finds, in the words of the proof.
fn brute_force(kind: SetKind, rules: &[Condition], customers: &[Customer]) -> Findings {
    let matches = |rule: usize, customer: &Customer| rules[rule].truth(customer) == Some(true);
    let first = |customer: &Customer| (0..rules.len()).find(|&rule| matches(rule, customer));
    let mut findings = Findings::default();
    for rule in 0..rules.len() {
        let mine: Vec<&Customer> = customers.iter().filter(|customer| matches(rule, customer)).collect();
        if mine.is_empty() {
            findings.never.push(rule);
            continue;
        }
        let mut by: Vec<usize> = mine.iter().filter_map(|customer| first(customer)).collect();
        by.sort_unstable();
        by.dedup();
        if kind == SetKind::Exclusive && !by.contains(&rule) {
            findings.taken.push(Taken { rule, by });
        }
        let shared: Vec<_> = mine.iter().map(|customer| (0..rule).filter(|&other| matches(other, customer)).collect::<Vec<_>>()).collect();
        let count = shared.iter().filter(|with| !with.is_empty()).count();
        let mut with: Vec<usize> = shared.concat();
        with.sort_unstable();
        with.dedup();
        if kind == SetKind::Partition && count > 0 {
            let count = Count(Some((count as u64, customers.len() as u64)));
            findings.overlaps.push(Overlap { rule, with, certain: true, example: String::new(), count });
        }
    }
    let left_out = customers.iter().filter(|customer| first(customer).is_none()).count() as u64;
    if left_out > 0 {
        findings.gap = Some(Gap { certain: true, examples: Vec::new(), count: Count(Some((left_out, customers.len() as u64))) });
    }
    findings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn proofs_over_declared_domains_agree_with_brute_force(
        rules in prop::collection::vec(condition(true), 1..5),
        domains in prop::array::uniform3((-1..2_i64, 0..3_i64, any::<bool>())),
        partition in any::<bool>(),
    ) {
        let kind = if partition { SetKind::Partition } else { SetKind::Exclusive };
        let ranges = domains.map(|(min, more, required)| (min, min + more, required));
        let columns: Vec<_> = COLUMNS.iter().zip(&ranges).map(|(name, (min, max, required))| (*name, Some((*min, *max)), *required)).collect();
        let values = ranges.map(|(min, max, required)| (min..=max).map(Some).chain((!required).then_some(None)).collect::<Vec<_>>());
        let texts: Vec<String> = rules.iter().map(Condition::sql).collect();
        let mut found = Profile::of(&columns).proved(kind, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let mentioned = |column: &str| texts.iter().any(|text| text.split(|c: char| !c.is_alphanumeric()).any(|word| word == column));
        // Columns that no rule mentions part nobody.
        let mut brute = values;
        for (at, column) in COLUMNS.iter().enumerate() {
            if !mentioned(column) {
                brute[at].truncate(1);
            }
        }
        let expected = brute_force(kind, &rules, &customers(&brute));
        prop_assert_eq!(&found.never, &expected.never, "{:?}", texts);
        prop_assert_eq!(&found.taken, &expected.taken, "{:?}", texts);
        let plain = |gap: &Gap| (gap.certain, gap.count);
        prop_assert_eq!(found.gap.as_ref().map(plain), expected.gap.as_ref().map(plain), "{:?}", texts);
        found.overlaps.iter_mut().for_each(|overlap| overlap.example.clear());
        prop_assert_eq!(&found.overlaps, &expected.overlaps, "{:?}", texts);
    }

    #[test]
    fn proofs_without_domains_agree_with_brute_force_over_enough_numbers(rules in prop::collection::vec(condition(false), 1..5)) {
        let all: Vec<Option<i64>> = (-3..=6).map(Some).chain([None]).collect();
        let expected = brute_force(SetKind::Exclusive, &rules, &customers(&[all.clone(), all.clone(), all]));
        let texts: Vec<String> = rules.iter().map(Condition::sql).collect();
        let columns: Vec<_> = COLUMNS.iter().map(|name| (*name, None, false)).collect();
        let found = Profile::of(&columns).proved(SetKind::Exclusive, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(&found.never, &expected.never, "{:?}", texts);
        prop_assert_eq!(&found.taken, &expected.taken, "{:?}", texts);
        prop_assert_eq!(found.gap.is_some(), expected.gap.is_some(), "{:?}", texts);
    }

    #[test]
    fn what_is_told_as_certain_of_compared_columns_is_so(rules in prop::collection::vec(condition(true), 1..5)) {
        let all: Vec<Option<i64>> = (-3..=6).map(Some).chain([None]).collect();
        let expected = brute_force(SetKind::Exclusive, &rules, &customers(&[all.clone(), all.clone(), all]));
        let texts: Vec<String> = rules.iter().map(Condition::sql).collect();
        let columns: Vec<_> = COLUMNS.iter().map(|name| (*name, None, false)).collect();
        let found = Profile::of(&columns).proved(SetKind::Exclusive, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert!(found.never.iter().all(|rule| expected.never.contains(rule)), "{:?}", texts);
        let idle: Vec<usize> = expected.never.iter().copied().chain(expected.taken.iter().map(|taken| taken.rule)).collect();
        prop_assert!(found.taken.iter().all(|taken| idle.contains(&taken.rule)), "{:?}", texts);
        prop_assert!(found.gap.is_some() || expected.gap.is_none(), "{:?}", texts);
    }
}

/// A declaration is named as the reason why a rule never matches only if the rule could match without it.
#[test]
fn only_declarations_without_which_a_rule_could_match_are_to_blame() {
    let profile = scores();
    let blamed = |rule: &str, always: &[&str]| {
        let open = |texts: &[&str]| texts.iter().map(|text| profile.open(text)).collect();
        let (rules, always) = (open(&[rule]), open(always));
        let prover = Prover { engine: &profile.engine, schema: &profile.schema, domains: &profile.domains, rules, always };
        let (columns, always) = prover.to_blame(0);
        (columns.into_iter().map(str::to_owned).collect::<Vec<_>>(), always)
    };
    assert_eq!(blamed("r is null and f > 2", &[]).0, ["r"]);
    assert_eq!(blamed("f > r", &["m < 4", "f <= r"]), (vec![], vec![1]));
    assert_eq!(blamed("r = 1 and r = 2 and f > 1", &["m < 4"]), (vec![], vec![]));
    let compare = |value: i64, operator: &str, with: i64| match operator {
        "<" => value < with,
        ">" => value > with,
        _ => value == with,
    };
    let terms: Vec<(&str, i64)> = ["<", ">", "="].into_iter().flat_map(|operator| [0, 1, 3, 5, 6].map(|with| (operator, with))).collect();
    let numbers = |is_declared: bool| if is_declared { 1..=5 } else { -1..=8 };
    for &(one, with) in &terms {
        for &(other, and_with) in &terms {
            let matches = |r: i64, f: i64| compare(r, one, with) && compare(f, other, and_with);
            let can_match = |r: bool, f: bool| numbers(r).any(|r| numbers(f).any(|f| matches(r, f)));
            if can_match(true, true) {
                continue;
            }
            let rule = format!("r {one} {with} and f {other} {and_with}");
            let (columns, _) = blamed(&rule, &[]);
            let [r, f] = ["r", "f"].map(|name| columns.iter().any(|column| column == name));
            assert!(!can_match(r, f), "{rule}: {columns:?} do not suffice");
            assert!((!r || can_match(false, f)) && (!f || can_match(r, false)), "{rule}: {columns:?} are too many");
        }
    }
}
