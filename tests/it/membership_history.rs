use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use serde_json::Value;

use crate::support::{package, rows};
use crate::tiny::Tiny;

const PIPELINE: &str = "\
version: 1
name: people
sources:
  orders:
    location: extracts/orders.csv
    event_time: ordered_at
    columns: {customer_id: {type: string, required: true}, ordered_at: {type: timestamp, required: true}}
  ties:
    location: extracts/ties.csv
    event_time: seen_at
    columns: {identifier_type: string, identifier: string, customer_id: string, seen_at: {type: timestamp, required: true}}
identity:
  types:
    customer: {standalone: true}
    email: {personal: true}
    visitor: {standalone: until_known}
segments:
  value:
    kind: exclusive
    segments:
      - {name: buyers, when: orders > 1, description: Came back, action: Thank them, channel: email}
      - {name: others, when: 'true', description: The rest, action: None, channel: none}
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
    segment_changes: {model: segment_changes, sort: [segment_set, customer_id, change, from_segment, to_segment]}
    identity_aliases: {model: identity.aliases, sort: [alias_id]}
";

const EDGES: &str = "-- Who orders, and what is tied to whom.
select 'customer' as identifier_type, customer_id as identifier, cast(null as varchar) as other_type, cast(null as varchar) as other,
    'order' as source, ordered_at as first_seen_at, ordered_at as last_seen_at, cast(null as timestamptz) as ended_at
from staging.orders
union all
select identifier_type, identifier, case when customer_id is not null then 'customer' end as other_type, customer_id as other,
    'crm' as source, seen_at as first_seen_at, seen_at as last_seen_at, cast(null as timestamptz) as ended_at
from staging.ties
";

const CUSTOMERS: &str = "-- A customer.
select i.customer_id, count(o.customer_id) as orders
from identity.customers as i
left join staging.orders as o on i.identifier_type = 'customer' and o.customer_id = i.identifier
group by i.customer_id
";

/// On 3 October four pairs turn out to be one person each, and `back` orders again.
const ORDERS: &str = "\
customer_id,ordered_at
few,2026-10-01T08:00:00Z
many,2026-10-01T09:00:00Z
many,2026-10-01T10:00:00Z
twice,2026-10-01T08:00:00Z
twice,2026-10-01T08:30:00Z
once,2026-10-01T09:00:00Z
one,2026-10-01T08:00:00Z
other,2026-10-01T09:00:00Z
visited,2026-10-02T09:00:00Z
back,2026-10-01T09:00:00Z
back,2026-10-03T09:00:00Z
still,2026-10-01T09:00:00Z
";

const TIES: &str = "\
identifier_type,identifier,customer_id,seen_at
visitor,v,,2026-10-01T07:00:00Z
visitor,v,visited,2026-10-03T12:00:00Z
email,a@mail.example,few,2026-10-01T12:00:00Z
email,a@mail.example,many,2026-10-03T12:00:00Z
email,b@mail.example,twice,2026-10-03T12:00:00Z
email,b@mail.example,once,2026-10-03T12:00:00Z
email,c@mail.example,one,2026-10-03T12:00:00Z
email,c@mail.example,other,2026-10-03T12:00:00Z
";

/// The query that the guide to publishing gives, between the days of this test.
fn published_query() -> String {
    let guide = std::fs::read_to_string(package().join("docs/guides/publishing.md")).unwrap();
    let (_, from) = guide.split_once("```sql\n-- Who entered and who left").expect("the guide compares two days");
    let (query, _) = from.split_once("```").unwrap();
    let query = format!("-- Who entered and who left{query}").replace("2011-12-09", "2026-10-03").replace("2011-12-10", "2026-10-04");
    assert!(!query.contains("2011"), "{query}");
    query
}

/// The project, of which nothing is published.
fn people() -> Tiny {
    let project = Tiny { folder: tempfile::tempdir().unwrap() };
    let staging = |source: &str| format!("-- As it comes.\nselect * from sources.{source}\n");
    for (path, text) in [
        ("pipelines/people.yaml", PIPELINE),
        ("sql/staging/orders.sql", &staging("orders")),
        ("sql/staging/ties.sql", &staging("ties")),
        ("sql/identity/edges.sql", EDGES),
        ("sql/identity/customers.sql", "-- Who is who.\nselect * from resolved.customers\n"),
        ("sql/identity/aliases.sql", "-- Ids that ended.\nselect * from resolved.aliases\n"),
        ("sql/customers.sql", CUSTOMERS),
        ("extracts/orders.csv", ORDERS),
        ("extracts/ties.csv", TIES),
    ] {
        project.write(path, text);
    }
    project
}

#[test]
fn a_merge_makes_nobody_enter_or_leave_a_segment() {
    let project = people();
    let output = project.segmill(&["run", "pipelines/people.yaml", "--from", "2026-10-03", "--to", "2026-10-04"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let with_aliases = published_query();
    let followed = "coalesce(a.customer_id, c.customer_id)";
    assert!(with_aliases.contains(followed));
    let changes = ask(&project, &with_aliases);
    // Two who ordered once each are a buyer now, which is news.
    let news = [["entered", "buyers", "back"], ["entered", "buyers", "one"], ["left", "others", "back"], ["left", "others", "one"]];
    assert_eq!(changes, told(&news));

    let false_news = [
        ["entered", "buyers", "few"],
        ["left", "buyers", "many"],
        ["left", "others", "few"],
        ["left", "others", "once"],
        ["left", "others", "other"],
        ["left", "others", "visitor:v"],
    ];
    let without_aliases = ask(&project, &with_aliases.replace(followed, "c.customer_id"));
    assert_eq!(without_aliases, told(&[&news[..], &false_news[..]].concat()));

    // The run itself follows the person: who has moved is told once, and who has only another id is told to have merged.
    let found =
        read(&project, "select change, from_segment, to_segment, customer_id, merged_into, adds_member, cause from segment_changes");
    let expected = [
        ["merged", "buyers", "buyers", "many", "few", "false", "identity"],
        ["merged", "others", "buyers", "other", "one", "false", "identity"],
        ["merged", "others", "others", "visitor:v", "visited", "false", "identity"],
        ["moved", "others", "buyers", "back", "", "true", "data"],
        ["moved", "others", "buyers", "few", "", "true", "identity"],
        ["moved", "others", "buyers", "once", "twice", "false", "identity"],
        ["moved", "others", "buyers", "one", "", "true", "identity"],
    ];
    assert_eq!(found, expected.map(|row| row.map(str::to_owned).to_vec()).into_iter().collect());
    let since = read(&project, "select customer_id, cast(member_since as varchar) from segment_membership where as_of = date '2026-10-04'");
    let is_since = |customer: &str, day: &str| since.contains(&vec![customer.to_owned(), day.to_owned()]);
    assert!(is_since("twice", "2026-10-03") && is_since("few", "2026-10-04") && is_since("visited", "2026-10-03"), "{since:?}");
}

/// Under other rules, those who were buyers before stay ones, but for who was in another segment under the id that is left: explanations
/// remember of both ids what the run remembers, and tell what has changed for both.
#[test]
fn who_has_become_one_is_explained_with_the_memory_of_both() {
    let project = people();
    for (day, rule) in [("2026-10-03", "orders > 1"), ("2026-10-04", "orders > 50")] {
        let rules = PIPELINE.replace("when: orders > 1,", &format!("when: {rule}, minimum_stay_days: 30,"));
        project.write("pipelines/people.yaml", &rules);
        let output = project.segmill(&["run", "pipelines/people.yaml", "--as-of", day]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let members = read(&project, "select customer_id, segment, held_by from segment_membership where as_of = date '2026-10-04'");
    let held = |customer: &str| members.iter().find(|row| row[0] == customer).map(|row| [row[1].as_str(), row[2].as_str()]);
    assert_eq!(["twice", "few", "visited"].map(held), [["buyers", "minimum_stay"], ["others", "rule"], ["others", "rule"]].map(Some));
    for row in &members {
        let asked = ["explain", "pipelines/people.yaml", "--customer", &row[0], "--as-of", "2026-10-04"];
        let json = project.segmill(&[&asked[..], &["--format", "json"]].concat());
        let told: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!((&told["warnings"], &told["predecessor_as_of"]), (&Value::Array(Vec::new()), &"2026-10-03".into()), "{told:#}");
        let segments = told["segment_sets"][0]["segments"].as_array().unwrap();
        let of_members = segments.iter().filter(|segment| segment["standing"] == "member");
        let found: Vec<_> = of_members.map(|segment| [&segment["segment"], &segment["held_by"]]).collect();
        assert_eq!(found, [[&Value::from(row[1].as_str()), &Value::from(row[2].as_str())]], "{row:?}");
    }
    let human = project.segmill(&["explain", "pipelines/people.yaml", "--customer", "twice", "--as-of", "2026-10-04"]);
    let human = String::from_utf8(human.stdout).unwrap();
    let news = "value (exclusive; since 2026-10-03: once moved from others to buyers because of identity)";
    assert!(human.contains(news), "{human}");
    // The memory on which the day was built is read although the day before has been published anew.
    let rules = project.read("pipelines/people.yaml");
    project.write("pipelines/people.yaml", &rules.replace("orders > 50", "orders > 0"));
    assert!(project.segmill(&["run", "pipelines/people.yaml", "--as-of", "2026-10-03"]).status.success());
    project.write("pipelines/people.yaml", &rules);
    let again = project.segmill(&["explain", "pipelines/people.yaml", "--customer", "twice", "--as-of", "2026-10-04"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), human);
}

fn told(changes: &[[&str; 3]]) -> BTreeSet<Vec<String>> {
    changes.iter().map(|change| change.iter().map(|&part| part.to_owned()).collect()).collect()
}

/// Changes as change, segment and customer.
fn ask(project: &Tiny, query: &str) -> BTreeSet<Vec<String>> {
    read(project, query).into_iter().map(|mut row| [0, 2, 3].map(|at: usize| std::mem::take(&mut row[at])).to_vec()).collect()
}

/// The answer of a query over the folders by day, as a warehouse loads them.
fn read(project: &Tiny, query: &str) -> BTreeSet<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let context = SessionContext::new();
        for table in ["customers", "segment_membership", "segment_changes", "identity_aliases"] {
            let options = ParquetReadOptions::default().table_partition_cols(vec![("as_of".to_owned(), DataType::Date32)]);
            let folder = project.folder.path().join("out").join(table);
            context.register_parquet(table, folder.to_str().unwrap(), options).await.unwrap();
        }
        let batches = context.sql(query).await.unwrap().collect().await.unwrap();
        rows(&batches).into_iter().collect()
    })
}
