use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use datafusion::prelude::{SessionContext, ident};
use futures::{StreamExt, TryStreamExt};
use proptest::prelude::*;
use segmill::config::{self, Environment, Project};
use segmill::engine::{Engine, Limits};
use segmill::native::{Context, Native, Predecessor, SegmentsStep};
use segmill::segments::{self, Domains, Origins, memory};

use crate::support::package;
use crate::tiny::Tiny;

const SEGMENTS: &str = "\
segments:
  value:
    kind: exclusive
    permissions: {email: ok}
    segments:
      - {name: high, when: x >= 4, stay: x >= 3, minimum_stay_days: 3, description: d, action: a, channel: email}
      - {name: middle, when: x >= 2, stay: x >= 1, cooldown_days: 4, description: d, action: a, channel: email}
      - {name: low, when: 'true', description: d, action: a, channel: none}
  parity:
    kind: partition
    segments:
      - {name: even, when: x % 2 = 0, description: d, action: a, channel: none}
      - {name: odd, when: x % 2 = 1, description: d, action: a, channel: none}
  audiences:
    kind: overlapping
    permissions: {email: ok}
    segments:
      - {name: big, when: x >= 3, stay: x >= 2, description: d, action: a, channel: email}
      - {name: sticky, when: x = 1, minimum_stay_days: 3, description: d, action: a, channel: none}
      - {name: shy, when: x <= 1, cooldown_days: 3, description: d, action: a, channel: none}
";

static PROJECT: LazyLock<Arc<Project>> = LazyLock::new(|| {
    let tiny = Tiny::new();
    let pipeline = tiny.read("pipelines/tiny.yaml");
    let (before, after) = (pipeline.split_once("segments:\n").unwrap().0, pipeline.split_once("outputs:\n").unwrap().1);
    tiny.write("pipelines/tiny.yaml", &format!("{before}{SEGMENTS}outputs:\n{after}"));
    Arc::new(config::load(&tiny.folder.path().join("pipelines/tiny.yaml"), &Environment::new()).unwrap())
});

const IDS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// What is seen of a customer on a day: nothing, or a number and whether mail may be sent.
type Seen = Option<(i64, bool)>;

/// A day: how many days after the one before, what is seen of each id, and who becomes one with whom.
type Day = (i32, Vec<Seen>, Option<(usize, usize)>);

fn days() -> impl Strategy<Value = Vec<Day>> {
    let seen = prop_oneof![1 => Just(None), 9 => (0_i64..6, prop::bool::weighted(0.85)).prop_map(Some)];
    let merge = prop::option::weighted(0.4, (0..IDS.len(), 0..IDS.len()));
    prop::collection::vec((1_i32..3, prop::collection::vec(seen, IDS.len()), merge), 2..9)
}

/// A membership: customer, set, segment.
type Member = (String, String, String);

struct Published {
    day: i32,
    members: RecordBatch,
    changes: RecordBatch,
    state: Vec<RecordBatch>,
}

fn profile(schema: &SchemaRef, seen: &BTreeMap<&str, (i64, bool)>) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(seen.keys())),
        Arc::new(Int64Array::from_iter_values(seen.values().map(|seen| seen.0))),
        Arc::new(seen.values().map(|seen| Some(seen.1)).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

/// Publishes a day on top of the one before. The profile and the state come in parts of a few rows.
async fn publish(
    before: Option<&Published>,
    day: i32,
    seen: &BTreeMap<&str, (i64, bool)>,
    merged: &[(String, String)],
    part: usize,
) -> Published {
    let fields = vec![
        Field::new("customer_id", DataType::Utf8, false),
        Field::new("x", DataType::Int64, false),
        Field::new("ok", DataType::Boolean, false),
    ];
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let engine = Engine::new(Limits { threads: 2, memory_bytes: 256 << 20 }, "UTC").unwrap();
    let all = profile(&schema, seen);
    let parts = (0..all.num_rows()).step_by(part).map(|at| all.slice(at, part.min(all.num_rows() - at))).collect();
    engine.register_batches("customers", Arc::clone(&schema), parts).unwrap();
    let as_of = Date32Type::to_naive_date_opt(day).unwrap();
    let values = config::bind(&PROJECT, as_of, &BTreeMap::new()).unwrap();
    let rules = segments::compile(&PROJECT, &values, &engine, &schema).unwrap();
    let mut context = Context { merged: merged.to_vec(), ..Context::default() };
    context.predecessor = before.map(|before| {
        let rows = concat_batches(&memory::state_schema(), &before.state).unwrap();
        let parts: Vec<_> = (0..rows.num_rows()).step_by(part).map(|at| Ok(rows.slice(at, part.min(rows.num_rows() - at)))).collect();
        let again = vec![Ok(rows)];
        let predecessor = Predecessor::new(Date32Type::to_naive_date_opt(before.day).unwrap(), 0);
        let [parts, again] = [parts, again].map(|rows| futures::stream::iter(rows).boxed());
        predecessor.with("segment_stays", parts).with_again("segment_stays", again)
    });
    let found = SegmentsStep::new(rules, Origins::default(), Domains::default(), as_of).run(&engine, &mut context).await.unwrap();
    let mut state = Vec::new();
    for table in found.state.unwrap()(&engine).unwrap().into_iter().filter(|table| table.name == "segment_stays") {
        state.extend(table.rows.try_collect::<Vec<_>>().await.unwrap());
    }
    let read = async |table: &str| {
        let frame = engine.context().table(table).await.unwrap();
        let order = frame.schema().fields().iter().map(|field| ident(field.name()).sort(true, false)).collect();
        let (schema, batches) = engine.collect(frame.sort(order).unwrap()).await.unwrap();
        concat_batches(&schema, &batches).unwrap()
    };
    Published { day, members: read("segment_membership").await, changes: read("segment_changes").await, state }
}

fn texts(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let cast = arrow::compute::cast(rows.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
    cast.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn dates(rows: &RecordBatch, name: &str) -> Vec<Option<i32>> {
    rows.column_by_name(name).unwrap().as_primitive::<Date32Type>().iter().collect()
}

fn members(rows: &RecordBatch) -> BTreeSet<Member> {
    let columns = ["customer_id", "segment_set", "segment"].map(|name| texts(rows, name));
    (0..rows.num_rows())
        .map(|at| (columns[0][at].clone().unwrap(), columns[1][at].clone().unwrap(), columns[2][at].clone().unwrap()))
        .collect()
}

struct Change {
    id: String,
    set: String,
    change: String,
    from: Option<String>,
    to: Option<String>,
    since: Option<i32>,
    into: Option<String>,
    adds: bool,
    event: Option<String>,
}

fn changes(rows: &RecordBatch) -> Vec<Change> {
    let [id, set, change, from, to, into, event] =
        ["customer_id", "segment_set", "change", "from_segment", "to_segment", "merged_into", "identity_event"]
            .map(|name| texts(rows, name));
    let (since, adds) = (dates(rows, "from_since"), rows.column_by_name("adds_member").unwrap().as_boolean().clone());
    // Every change has one cause: here nothing is kept by which another one than the identity could be told.
    for (cause, event) in texts(rows, "cause").into_iter().zip(&event) {
        assert_eq!(cause.as_deref(), Some(if event.is_some() { "identity" } else { "undetermined" }));
    }
    let change = |at: usize| Change {
        id: id[at].clone().unwrap(),
        set: set[at].clone().unwrap(),
        change: change[at].clone().unwrap(),
        from: from[at].clone(),
        to: to[at].clone(),
        since: since[at],
        into: into[at].clone(),
        adds: adds.value(at),
        event: event[at].clone(),
    };
    (0..rows.num_rows()).map(change).collect()
}

/// Yesterday's memberships and the changes give today's, and the sizes of segments add up.
fn replayed(before: &BTreeSet<Member>, changes: &[Change]) -> Result<BTreeSet<Member>, TestCaseError> {
    let mut now = before.clone();
    for change in changes {
        if let Some(from) = &change.from {
            prop_assert!(now.remove(&(change.id.clone(), change.set.clone(), from.clone())), "{} left twice", change.id);
        }
    }
    for change in changes.iter().filter(|change| change.to.is_some()) {
        let id = change.into.as_ref().unwrap_or(&change.id).clone();
        now.insert((id, change.set.clone(), change.to.clone().unwrap()));
        prop_assert!(change.change != "left");
    }
    Ok(now)
}

/// Rows that add a member are as many as the members that are new.
fn adds_up(before: usize, after: usize, changes: &[Change]) -> Result<(), TestCaseError> {
    let left = changes.iter().filter(|change| change.from.is_some()).count();
    let came = changes.iter().filter(|change| change.adds).count();
    prop_assert_eq!(before - left + came, after);
    Ok(())
}

/// Nobody leaves before the shortest stay is over, or enters before the cooldown is, but for permissions and identities.
fn is_calm(
    day: i32,
    seen: &BTreeMap<&str, (i64, bool)>,
    changes: &[Change],
    left: &mut BTreeMap<Member, i32>,
) -> Result<(), TestCaseError> {
    for change in changes.iter().filter(|change| change.event.is_none()) {
        let is_reachable = seen[change.id.as_str()].1;
        for (segment, days) in [("high", 3), ("sticky", 3)] {
            if change.from.as_deref() == Some(segment) && (is_reachable || segment == "sticky") {
                prop_assert!(day - change.since.unwrap() >= days, "{} {} after {} days", change.id, segment, day - change.since.unwrap());
            }
        }
        for (segment, days) in [("middle", 4), ("shy", 3)] {
            if change.to.as_deref() == Some(segment)
                && let Some(on) = left.get(&(change.id.clone(), change.set.clone(), segment.to_owned()))
            {
                prop_assert!(day - on >= days, "{} entered {segment} again after {} days", change.id, day - on);
            }
        }
    }
    // Who is gone is forgotten, and new when it comes back.
    for change in changes.iter().filter(|change| change.event.as_deref() == Some("gone")) {
        left.retain(|member, _| member.0 != change.id);
    }
    let stayed = changes.iter().filter(|change| change.event.as_deref() != Some("gone"));
    for change in stayed.filter(|change| change.from.is_some() && change.into.is_none()) {
        left.insert((change.id.clone(), change.set.clone(), change.from.clone().unwrap()), day);
    }
    Ok(())
}

/// The intervals that the view gives, against the memberships of every day.
async fn intervals(published: &[Published]) -> Result<(), TestCaseError> {
    let view = std::fs::read_to_string(package().join("examples/segment_history.sql")).unwrap();
    let query = &view[view.find("with events").unwrap()..];
    let context = SessionContext::new();
    for (table, rows) in [("segment_membership", 0), ("segment_changes", 1)] {
        let of_day = |of: &Published| {
            let rows = if rows == 0 { &of.members } else { &of.changes };
            let mut fields: Vec<_> = rows.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
            fields.push(Field::new("as_of", DataType::Date32, true));
            let as_of = Arc::new(Date32Array::from(vec![of.day; rows.num_rows()])) as ArrayRef;
            let columns = rows.columns().iter().cloned().chain([as_of]).collect();
            RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
        };
        let all: Vec<RecordBatch> = published.iter().map(of_day).collect();
        context.register_batch(table, concat_batches(&all[0].schema(), &all).unwrap()).unwrap();
    }
    let found = context.sql(query).await.unwrap().collect().await.unwrap();
    let found = concat_batches(&found[0].schema(), &found).unwrap();
    let [ids, sets, segments] = ["customer_id", "segment_set", "segment"].map(|name| texts(&found, name));
    let (from, to) = (dates(&found, "valid_from"), dates(&found, "valid_to"));
    for of in published {
        let mut then = BTreeSet::new();
        for at in (0..found.num_rows()).filter(|at| from[*at].unwrap() <= of.day && to[*at].is_none_or(|to| of.day < to)) {
            let member = (ids[at].clone().unwrap(), sets[at].clone().unwrap(), segments[at].clone().unwrap());
            prop_assert!(then.insert(member), "two intervals of one customer and segment overlap");
        }
        prop_assert_eq!(&then, &members(&of.members), "as of {}", of.day);
    }
    prop_assert!((0..found.num_rows()).all(|at| to[at].is_none_or(|to| from[at].unwrap() < to)));
    Ok(())
}

async fn holds(days: Vec<Day>) -> Result<(), TestCaseError> {
    let (mut published, mut today, mut left): (Vec<Published>, i32, _) = (Vec::new(), 15_000, BTreeMap::new());
    let mut ended = BTreeSet::new();
    for (days_later, seen, merge) in days {
        today += days_later;
        let mut seen: BTreeMap<&str, (i64, bool)> = IDS.into_iter().zip(seen).filter_map(|(id, seen)| Some((id, seen?))).collect();
        seen.retain(|id, _| !ended.contains(id));
        let mut merged = Vec::new();
        if let Some((alias, customer)) = merge.map(|(alias, customer)| (IDS[alias], IDS[customer]))
            && alias != customer
            && !ended.contains(alias)
            && !ended.contains(customer)
        {
            ended.insert(alias);
            seen.remove(alias);
            merged.push((alias.to_owned(), customer.to_owned()));
        }
        let before = published.last();
        let now = publish(before, today, &seen, &merged, 2).await;
        let other = publish(before, today, &seen, &merged, 5).await;
        prop_assert_eq!((&now.members, &now.changes), (&other.members, &other.changes));
        let rows = |of: &Published| concat_batches(&memory::state_schema(), &of.state).unwrap();
        prop_assert_eq!(rows(&now), rows(&other));
        let (is, told) = (members(&now.members), changes(&now.changes));
        for id in seen.keys() {
            let of_set = |set: &str| is.iter().filter(|member| member.0 == *id && member.1 == set).count();
            prop_assert_eq!(of_set("parity"), 1);
            prop_assert!(of_set("value") == 1 || !seen[id].1);
        }
        match before {
            None => prop_assert!(told.is_empty()),
            Some(before) => {
                let was = members(&before.members);
                prop_assert_eq!(replayed(&was, &told)?, is.clone());
                adds_up(was.len(), is.len(), &told)?;
                is_calm(today, &seen, &told, &mut left)?;
            }
        }
        published.push(now);
    }
    intervals(&published).await
}

#[test]
fn what_is_told_of_random_histories_is_what_happened() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    proptest!(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() }, |(days in days())| {
        runtime.block_on(holds(days))?;
    });
}
