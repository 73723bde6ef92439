//! Verdicts are those of the engine, and changes turn them: for many rules and customers, and against brute force.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use proptest::prelude::*;

use super::super::domain::{ColumnDomain, Domains};
use super::super::rule;
use super::*;
use crate::engine::{Engine, Limits};

/// What a customer needs beside the row.
struct World {
    engine: Engine,
    schema: DFSchema,
    parameters: BTreeMap<String, ScalarValue>,
    domains: Domains,
}

fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/London".into()))
}

fn fields() -> Vec<Field> {
    let field = |name: &str, kind: DataType| Field::new(name, kind, true);
    vec![
        field("a", DataType::Int64),
        field("b", DataType::Int64),
        // Declared from 0 to 5.
        field("score", DataType::Int64),
        field("small", DataType::Int32),
        field("city", DataType::Utf8),
        // Declared as one of three.
        field("stage", DataType::Utf8),
        field("spent", DataType::Decimal128(12, 2)),
        field("rate", DataType::Float64),
        field("member", DataType::Boolean),
        field("consent", DataType::Boolean),
        field("last_order", DataType::Date32),
        field("seen_at", moment()),
    ]
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

impl World {
    fn new() -> Self {
        let whole = |value: i64| Some(ScalarValue::Int64(Some(value)));
        let score = ColumnDomain {
            name: "score".to_owned(),
            data_type: DataType::Int64,
            required: true,
            accepted: Vec::new(),
            min: whole(0),
            max: whole(5),
        };
        let accepted = ["new", "active", "lapsed"].map(ScalarValue::from).to_vec();
        let stage = ColumnDomain { name: "stage".to_owned(), data_type: DataType::Utf8, required: false, accepted, min: None, max: None };
        let parameters =
            [("limit", ScalarValue::Int64(Some(3))), ("town", ScalarValue::from("York")), ("as_of", ScalarValue::Date32(Some(15_000)))];
        World {
            engine: Engine::new(Limits { threads: 1, memory_bytes: 1 << 26 }, "Europe/London").unwrap(),
            schema: DFSchema::try_from(Schema::new(fields())).unwrap(),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value)).into(),
            domains: Domains::of(vec![score, stage]),
        }
    }

    fn customer<'a>(&'a self, row: &'a RecordBatch) -> Customer<'a> {
        Customer { engine: &self.engine, schema: &self.schema, parameters: &self.parameters, domains: &self.domains, row }
    }

    /// The verdict as a run has it.
    fn evaluated(&self, row: &RecordBatch, text: &str) -> Verdict {
        let compiled = rule::compile(&self.engine, &self.schema, &self.parameters, text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
        let Ok(answer) = compiled.evaluate(row).and_then(|value| value.into_array(1)) else { return Verdict::Fails };
        let answer = answer.as_boolean();
        Verdict::of(answer.is_valid(0).then(|| answer.value(0)))
    }

    fn typed(&self, text: &str) -> Expr {
        self.engine.rule(self.engine.parse_rule(text).unwrap(), &self.parameters, &self.schema).unwrap()
    }

    fn turns(&self, row: &RecordBatch, wanted: &str) -> Vec<Turn> {
        Turn::smallest(&self.customer(row), &self.typed(wanted), &[], 5)
    }
}

fn row(values: &[(&str, ScalarValue)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = fields()
        .iter()
        .map(|field| {
            let given = values.iter().find(|(name, _)| name == field.name()).map(|(_, value)| value.clone());
            let value = given.unwrap_or(ScalarValue::Null);
            value.cast_to(field.data_type()).unwrap().to_array().unwrap()
        })
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields())), columns).unwrap()
}

/// A row after a change.
fn changed(row: &RecordBatch, turn: &Turn) -> RecordBatch {
    let mut columns = row.columns().to_vec();
    for change in &turn.changes {
        columns[row.schema().index_of(&change.column).unwrap()] = change.to.to_array().unwrap();
    }
    RecordBatch::try_new(row.schema(), columns).unwrap()
}

/// How changes are told: column, value, and how far that is.
fn told(turn: &Turn) -> Vec<String> {
    let by = |change: &Change| match change.by() {
        Some(By::More(by)) => format!(" (+{by})"),
        Some(By::Less(by)) => format!(" (-{by})"),
        Some(By::Later(days)) => format!(" ({days} days later)"),
        Some(By::Earlier(days)) => format!(" ({days} days earlier)"),
        None => String::new(),
    };
    turn.changes.iter().map(|change| format!("{} {}{}", change.column, change.to_shown, by(change))).collect()
}

/// A condition, the values of a customer for whom it does not hold, and the smallest changes after which it does.
type Told = (&'static str, Vec<(&'static str, ScalarValue)>, &'static [&'static [&'static str]]);

fn whole(value: i64) -> ScalarValue {
    ScalarValue::Int64(Some(value))
}

fn money(cents: i128) -> ScalarValue {
    ScalarValue::Decimal128(Some(cents), 12, 2)
}

fn table() -> Vec<Told> {
    vec![
        ("a >= 5", vec![("a", whole(2))], &[&["a 5 (+3)"]]),
        ("a > 5", vec![("a", whole(2))], &[&["a 6 (+4)"]]),
        ("a < $limit", vec![("a", whole(7))], &[&["a 2 (-5)"]]),
        ("a <> 5", vec![("a", whole(5))], &[&["a 4 (-1)"]]),
        ("a between 3 and 4", vec![("a", whole(9))], &[&["a 4 (-5)"]]),
        ("a not between 3 and 6", vec![("a", whole(4))], &[&["a 2 (-2)"]]),
        ("a >= 4.5", vec![("a", whole(1))], &[&["a 5 (+4)"]]),
        ("small >= 300", vec![("small", whole(299))], &[&["small 300 (+1)"]]),
        ("a in (1, 5, 9)", vec![("a", whole(7))], &[&["a 5 (-2)"]]),
        ("a not in (1, 5, 6)", vec![("a", whole(5))], &[&["a 4 (-1)"]]),
        ("a is not null", vec![], &[&["a 0"]]),
        ("a is null", vec![("a", whole(7))], &[&["a null"]]),
        ("score >= 4", vec![("score", whole(1))], &[&["score 4 (+3)"]]),
        ("score = 9", vec![("score", whole(1))], &[]),
        ("score is null", vec![("score", whole(1))], &[]),
        ("city = 'Leeds'", vec![("city", ScalarValue::from("Bath"))], &[&["city 'Leeds'"]]),
        ("city = $town", vec![], &[&["city 'York'"]]),
        ("city <> 'Leeds'", vec![("city", ScalarValue::from("Leeds"))], &[&["city another text"]]),
        ("city <> 'Leeds'", vec![], &[&["city another text"]]),
        ("city in ('Leeds', 'York')", vec![("city", ScalarValue::from("Bath"))], &[&["city 'Leeds'"]]),
        ("city like '%eed%'", vec![("city", ScalarValue::from("Bath"))], &[&["city 'eed'"]]),
        ("city not like 'L%'", vec![("city", ScalarValue::from("Leeds"))], &[&["city another text"]]),
        ("city >= 'M'", vec![("city", ScalarValue::from("Bath"))], &[&["city 'M'"]]),
        ("city > 'M'", vec![("city", ScalarValue::from("Bath"))], &[&["city a text after 'M'"]]),
        ("lower(city) = 'leeds'", vec![("city", ScalarValue::from("Bath"))], &[&["city 'leeds'"]]),
        ("stage <> 'new'", vec![("stage", ScalarValue::from("new"))], &[&["stage 'active'"]]),
        ("spent >= 1000", vec![("spent", money(99_550))], &[&["spent 1000 (+4.5)"]]),
        ("spent > 1000", vec![("spent", money(99_550))], &[&["spent 1000.01 (+4.51)"]]),
        ("member", vec![("member", ScalarValue::from(false))], &[&["member true"]]),
        ("not member", vec![("member", ScalarValue::from(true))], &[&["member false"]]),
        ("consent is true", vec![], &[&["consent true"]]),
        (
            "last_order >= '2011-12-01'",
            vec![("last_order", ScalarValue::Date32(Some(15_300)))],
            &[&["last_order 2011-12-01 (9 days later)"]],
        ),
        ("last_order < $as_of", vec![("last_order", ScalarValue::Date32(Some(15_001)))], &[&["last_order 2011-01-25 (2 days earlier)"]]),
        ("a + b > 10", vec![("a", whole(3)), ("b", whole(4))], &[&["b 8 (+4)"], &["a 7 (+4)"]]),
        ("a > b", vec![("a", whole(3)), ("b", whole(4))], &[&["b 2 (-2)"], &["a 5 (+2)"]]),
        ("10 / a > 2", vec![("a", whole(0))], &[&["a 1 (+1)"]]),
        ("coalesce(a, 0) >= 3", vec![], &[&["a 3"]]),
        (
            "case when member then a else b end >= 3",
            vec![("a", whole(5)), ("b", whole(1)), ("member", ScalarValue::from(false))],
            &[&["b 3 (+2)"], &["member true"]],
        ),
        ("spent * 2 >= 100000", vec![("spent", money(100))], &[&["spent 50000 (+49999)"]]),
        ("a * a > 4000000", vec![("a", whole(1))], &[&["a 2001 (+2000)"]]),
        // Several columns at once.
        ("a >= 3 and b >= 3", vec![("a", whole(1)), ("b", whole(2))], &[&["a 3 (+2)", "b 3 (+1)"]]),
        ("a >= 3 or b >= 3", vec![("a", whole(1)), ("b", whole(2))], &[&["b 3 (+1)"], &["a 3 (+2)"]]),
        ("not (a >= 3 or member)", vec![("a", whole(4)), ("member", ScalarValue::from(true))], &[&["a 2 (-2)", "member false"]]),
        ("(a = 1) = (b = 1)", vec![("a", whole(1)), ("b", whole(2))], &[&["b 1 (-1)"], &["a 0 (-1)"]]),
        ("a > b and b > 10", vec![("a", whole(5)), ("b", whole(3))], &[&["a 12 (+7)", "b 11 (+8)"]]),
    ]
}

#[test]
fn the_smallest_change_is_told_in_the_units_of_the_rule() {
    let world = world();
    for (condition, values, expected) in table() {
        let row = row(&values);
        let turns = world.turns(&row, condition);
        let told: Vec<Vec<String>> = turns.iter().map(told).collect();
        assert_eq!(told, expected, "{condition}");
        for turn in &turns {
            assert_eq!(world.evaluated(&changed(&row, turn), condition), Verdict::Yes, "{condition}: {turn:?}");
        }
    }
}

#[test]
fn a_condition_that_is_missed_says_by_how_much_and_one_that_holds_does_not() {
    let world = world();
    let row = row(&[("a", whole(2)), ("member", ScalarValue::from(true)), ("spent", money(5_000))]);
    let condition =
        Condition::of_rule(&world.customer(&row), "a >= $limit and (member or spent > 20) and not (city = 'Leeds' or b > 1)").unwrap();
    assert_eq!(condition.verdict, Verdict::No);
    let leaves = condition.leaves();
    let of = |leaf: &Condition| {
        let Parts::One { values, parameters, turn } = &leaf.parts else { panic!("no leaf") };
        let names = |read: &[ReadValue]| read.iter().map(|read| format!("{} {}", read.name, shown_value(&read.scalar))).collect::<Vec<_>>();
        let turn = turn.as_ref().map(|turn| told(turn));
        (leaf.written.clone(), leaf.verdict, names(values), names(parameters), turn.unwrap_or_default())
    };
    let told: Vec<_> = leaves.iter().map(|leaf| of(leaf)).collect();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            ("a >= $limit".to_owned(), Verdict::No, texts(&["a 2"]), texts(&["limit 3"]), texts(&["a 3 (+1)"])),
            ("member".to_owned(), Verdict::Yes, texts(&["member true"]), vec![], vec![]),
            ("spent > 20".to_owned(), Verdict::Yes, texts(&["spent 50"]), vec![], vec![]),
            ("city = 'Leeds'".to_owned(), Verdict::Unknown, texts(&["city null"]), vec![], texts(&["city another text"])),
            ("b > 1".to_owned(), Verdict::Unknown, texts(&["b null"]), vec![], texts(&["b 0"])),
        ]
    );
}

#[test]
fn a_condition_that_cannot_be_evaluated_is_told_apart() {
    let world = world();
    let row = row(&[("a", whole(0)), ("b", whole(7))]);
    let condition = Condition::of_rule(&world.customer(&row), "a <> 0 and b / a > 2").unwrap();
    assert_eq!(condition.verdict, Verdict::No, "a rule does not come to what follows a condition that fails");
    assert_eq!(condition.leaves().iter().map(|leaf| leaf.verdict).collect::<Vec<_>>(), [Verdict::No, Verdict::Fails]);
}

fn leaf() -> impl Strategy<Value = String> {
    let number = (-3_i64..8).boxed();
    let text = prop_oneof![Just("Leeds"), Just("York"), Just("Bath"), Just("")].boxed();
    let compared = prop_oneof![Just("="), Just("<>"), Just("<"), Just("<="), Just(">"), Just(">="), Just("is distinct from")].boxed();
    let column = prop_oneof![Just("a"), Just("b"), Just("score"), Just("small")].boxed();
    let null_test = prop_oneof![Just("is null"), Just("is not null")].boxed();
    prop_oneof![
        (column.clone(), compared.clone(), number.clone()).prop_map(|(column, op, number)| format!("({column} {op} {number})")),
        (column.clone(), compared.clone(), column.clone()).prop_map(|(one, op, other)| format!("({one} {op} {other})")),
        (column.clone(), number.clone(), number.clone(), any::<bool>())
            .prop_map(|(column, low, high, negated)| { format!("{column} {}between {low} and {high}", if negated { "not " } else { "" }) }),
        (column.clone(), proptest::collection::vec(number.clone(), 1..4), any::<bool>()).prop_map(|(column, list, negated)| {
            let list: Vec<String> = list.iter().map(ToString::to_string).collect();
            format!("{column} {}in ({})", if negated { "not " } else { "" }, list.join(", "))
        }),
        (compared.clone(), text.clone()).prop_map(|(op, text)| format!("(city {op} '{text}')")),
        (any::<bool>(), text).prop_map(|(negated, text)| format!("city {}like '%{text}%'", if negated { "not " } else { "" })),
        (compared.clone(), prop_oneof![Just("new"), Just("active"), Just("gone")])
            .prop_map(|(op, stage)| format!("(stage {op} '{stage}')")),
        (compared.clone(), number.clone()).prop_map(|(op, number)| format!("(spent {op} {number}.25)")),
        (compared.clone(), number.clone()).prop_map(|(op, number)| format!("(rate {op} {number}.5)")),
        (compared.clone(), 1..4_u32).prop_map(|(op, day)| format!("(last_order {op} '2011-12-0{day}')")),
        (compared.clone(), 1..4_u32).prop_map(|(op, day)| format!("(cast(seen_at as date) {op} '2011-12-0{day}')")),
        Just("last_order < $as_of".to_owned()),
        Just("a >= $limit".to_owned()),
        Just("member".to_owned()),
        Just("consent".to_owned()),
        Just("consent is not true".to_owned()),
        (column.clone(), null_test).prop_map(|(column, is_null)| format!("{column} {is_null}")),
        (column.clone(), column, compared, number).prop_map(|(one, other, op, number)| format!("({one} + {other} {op} {number})")),
        Just("upper(city) = 'YORK'".to_owned()),
        Just("coalesce(consent, false)".to_owned()),
    ]
}

fn a_rule() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.clone().prop_map(|part| format!("not ({part})")),
            inner.prop_map(|part| format!("({part}) is not true")),
        ]
    })
}

fn a_row() -> impl Strategy<Value = RecordBatch> {
    let number = || proptest::option::weighted(0.85, -3_i64..8).boxed();
    let truth = || proptest::option::weighted(0.85, any::<bool>()).boxed();
    let text = proptest::option::weighted(0.85, prop_oneof![Just("Leeds"), Just("York"), Just("Oslo")]);
    let stage = proptest::option::weighted(0.85, prop_oneof![Just("new"), Just("active"), Just("lapsed")]);
    let day = || proptest::option::weighted(0.85, 15_305_i32..15_312).boxed();
    let numbers = (number(), number(), 0_i64..6, number());
    let others = (text, stage, number(), number(), truth(), truth(), day(), day());
    (numbers, others).prop_map(|((a, b, score, small), (city, stage, spent, rate, member, consent, last_order, seen))| {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let rate = rate.map(|rate| rate as f64 + 0.5);
        let seen = seen.map(|day| i64::from(day) * 86_400_000_000);
        row(&[
            ("a", ScalarValue::Int64(a)),
            ("b", ScalarValue::Int64(b)),
            ("score", whole(score)),
            ("small", ScalarValue::Int64(small)),
            ("city", ScalarValue::Utf8(city.map(str::to_owned))),
            ("stage", ScalarValue::Utf8(stage.map(str::to_owned))),
            ("spent", ScalarValue::Decimal128(spent.map(|spent| i128::from(spent) * 100 + 25), 12, 2)),
            ("rate", ScalarValue::Float64(rate)),
            ("member", ScalarValue::Boolean(member)),
            ("consent", ScalarValue::Boolean(consent)),
            ("last_order", ScalarValue::Date32(last_order)),
            ("seen_at", ScalarValue::TimestampMicrosecond(seen, Some("Europe/London".into()))),
        ])
    })
}

/// What three-valued logic makes of the verdicts of a condition's parts; none where a part fails or the condition is not taken apart.
fn of_parts(condition: &Condition) -> Option<Verdict> {
    let all = |parts: &[Condition], decisive: Verdict, otherwise: Verdict| {
        let verdicts: Vec<Verdict> = parts.iter().map(|part| part.verdict).collect();
        match () {
            () if verdicts.contains(&Verdict::Fails) => None,
            () if verdicts.contains(&decisive) => Some(decisive),
            () if verdicts.contains(&Verdict::Unknown) => Some(Verdict::Unknown),
            () => Some(otherwise),
        }
    };
    match &condition.parts {
        Parts::All(parts) => all(parts, Verdict::No, Verdict::Yes),
        Parts::Any(parts) => all(parts, Verdict::Yes, Verdict::No),
        Parts::Not(part) => match part.verdict {
            Verdict::Yes => Some(Verdict::No),
            Verdict::No => Some(Verdict::Yes),
            other => Some(other),
        },
        Parts::One { .. } => None,
    }
}

fn assert_parts_agree(condition: &Condition) {
    if let Some(verdict) = of_parts(condition) {
        assert_eq!(verdict, condition.verdict, "{}", condition.written);
    }
    match &condition.parts {
        Parts::All(parts) | Parts::Any(parts) => parts.iter().for_each(assert_parts_agree),
        Parts::Not(part) => assert_parts_agree(part),
        Parts::One { .. } => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The verdict is what a run makes of the rule, those of its parts add up to it, and a change that is told makes the rule match a
    /// customer whom it does not match, and the other way round.
    #[test]
    fn verdicts_are_those_of_the_engine_and_changes_turn_them(text in a_rule(), row in a_row()) {
        let world = world();
        let condition = Condition::of_rule(&world.customer(&row), &text).unwrap();
        let evaluated = world.evaluated(&row, &text);
        prop_assert_eq!(condition.verdict, evaluated, "{}", text);
        assert_parts_agree(&condition);
        let matches = evaluated == Verdict::Yes;
        let wanted = if matches { format!("({text}) is not true") } else { text.clone() };
        for turn in world.turns(&row, &wanted) {
            let turned = world.evaluated(&changed(&row, &turn), &text);
            prop_assert_ne!(turned == Verdict::Yes, matches, "{} after {:?}", text, turn);
        }
    }

    /// Where a change is said to be the smallest, no other of so many or fewer columns is nearer: over two whole numbers, a truth and a
    /// text, all of whose values are tried.
    #[test]
    fn nothing_smaller_turns_the_answer(text in small_rule(), row in a_row()) {
        let world = world();
        let own = ["score", "stage", "member", "a"].map(|name| world.customer(&row).value(name).unwrap());
        let matches = world.evaluated(&row, &text) == Verdict::Yes;
        let wanted = if matches { format!("({text}) is not true") } else { text.clone() };
        let found = world.turns(&row, &wanted);
        let mut fewest: Option<usize> = None;
        let mut nearest_score: Option<i64> = None;
        let stages = [Some("new"), Some("active"), Some("lapsed"), None];
        let compiled = rule::compile(&world.engine, &world.schema, &world.parameters, &text).unwrap();
        for score in 0..=5_i64 {
            for stage in stages {
                for member in [Some(true), Some(false), None] {
                    for a in (-9..=14_i64).map(Some).chain([None]) {
                        let tried = [
                            whole(score), ScalarValue::Utf8(stage.map(str::to_owned)), ScalarValue::Boolean(member), ScalarValue::Int64(a),
                        ];
                        let changes = own.iter().zip(&tried).filter(|(own, tried)| own != tried).count();
                        if changes == 0 || fewest.is_some_and(|fewest| changes > fewest) { continue }
                        let row = self::row(&[
                            ("score", tried[0].clone()), ("stage", tried[1].clone()), ("member", tried[2].clone()), ("a", tried[3].clone()),
                        ]);
                        let answer = compiled.evaluate(&row).unwrap().into_array(1).unwrap();
                        let answer = answer.as_boolean();
                        if (answer.is_valid(0) && answer.value(0)) == matches { continue }
                        if fewest.is_none_or(|fewest| changes < fewest) {
                            (fewest, nearest_score) = (Some(changes), None);
                        }
                        if changes == 1 && own[0] != tried[0] {
                            let ScalarValue::Int64(Some(from)) = own[0] else { panic!("a score is a number") };
                            let far = (score - from).abs();
                            nearest_score = Some(nearest_score.map_or(far, |near: i64| near.min(far)));
                        }
                    }
                }
            }
        }
        prop_assert_eq!(found.first().map(|turn| turn.changes.len()), fewest, "{}: {:?}", text, found);
        prop_assert!(found.iter().all(|turn| turn.is_smallest), "{}: {:?}", text, found);
        let of_score = found.iter().find(|turn| turn.changes.len() == 1 && turn.changes[0].column == "score");
        let far = of_score.map(|turn| match (&turn.changes[0].from, &turn.changes[0].to) {
            (ScalarValue::Int64(Some(from)), ScalarValue::Int64(Some(to))) => (to - from).abs(),
            other => panic!("a score is a number: {other:?}"),
        });
        prop_assert_eq!(far, nearest_score, "{}: {:?}", text, found);
    }
}

/// Rules over the columns whose values can all be tried.
fn small_rule() -> impl Strategy<Value = String> {
    let compared = prop_oneof![Just("="), Just("<>"), Just("<"), Just("<="), Just(">"), Just(">=")].boxed();
    let leaf = prop_oneof![
        (compared.clone(), 0_i64..6).prop_map(|(op, number)| format!("score {op} {number}")),
        (compared, -3_i64..8).prop_map(|(op, number)| format!("a {op} {number}")),
        (0_i64..6, 0_i64..6).prop_map(|(low, high)| format!("score between {low} and {high}")),
        prop_oneof![Just("stage = 'new'"), Just("stage in ('new', 'lapsed')"), Just("stage <> 'active'"), Just("stage is null")]
            .prop_map(str::to_owned),
        prop_oneof![Just("member"), Just("member is not true"), Just("a is null")].prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.prop_map(|part| format!("not ({part})")),
        ]
    })
}
