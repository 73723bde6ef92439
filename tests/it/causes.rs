use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::support::rows_of_parquet;
use crate::tiny::Tiny;

const PIPELINE: &str = "\
version: 1
name: shop
sources:
  contacts:
    location: extracts/contacts/*.csv
    event_time: updated_at
    key: [contact_id, updated_at]
    columns:
      contact_id: {type: string, required: true}
      updated_at: {type: timestamp, required: true}
      email: {type: string, personal: true}
      agrees: {type: boolean, consent: {no: [false]}}
  orders:
    location: extracts/orders/*.csv
    event_time: ordered_at
    columns: {order_id: string, customer_id: string, ordered_at: {type: timestamp, required: true}, amount: integer, note: string}
  visits:
    location: extracts/visits/*.csv
    event_time: visited_at
    columns: {email: {type: string, personal: true}, visited_at: {type: timestamp, required: true}}
  suppressions:
    location: extracts/suppressions/*.csv
    event_time: suppressed_at
    columns: {written: {type: string, personal: true}, suppressed_at: {type: timestamp, required: true}}
identity:
  types:
    customer: {standalone: true}
    email: {personal: true}
segments:
  value:
    kind: exclusive
    segments:
      - {name: regulars, when: orders >= 2, description: d, action: a, channel: email}
      - {name: buyers, when: orders >= 1, description: d, action: a, channel: email}
      - {name: others, when: 'true', description: d, action: a, channel: none}
  recency:
    kind: exclusive
    segments:
      - {name: fresh, when: days_since_last_order <= 7, description: d, action: a, channel: none}
      - {name: stale, when: days_since_last_order > 7, description: d, action: a, channel: none}
      - {name: never, when: 'true', description: d, action: a, channel: none}
  standing:
    kind: exclusive
    segments:
      - {name: above, when: is_above, description: d, action: a, channel: none}
      - {name: below, when: 'true', description: d, action: a, channel: none}
  audiences:
    kind: overlapping
    permissions: {email: can_email}
    segments:
      - {name: spenders, when: orders >= 1, description: d, action: a, channel: email}
      - {name: visitors, when: visits >= 1, description: d, action: a, channel: none}
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
    segment_changes: {model: segment_changes, sort: [segment_set, customer_id, change, from_segment, to_segment]}
";

const EDGES: &str = "-- Who is known by what.
select 'email' as identifier_type, email_address(email) as identifier, 'customer' as other_type, contact_id as other, 'crm' as source,
    updated_at as first_seen_at, updated_at as last_seen_at, cast(null as timestamptz) as ended_at
from staging.contacts
union all
select 'customer' as identifier_type, customer_id as identifier, cast(null as varchar) as other_type, cast(null as varchar) as other,
    'order' as source, min(ordered_at) as first_seen_at, max(ordered_at) as last_seen_at, cast(null as timestamptz) as ended_at
from staging.orders
group by customer_id
";

const FEATURES: [(&str, &str); 9] = [
    ("staging/contacts", "select contact_id, updated_at, email, agrees from sources.contacts"),
    ("staging/orders", "select customer_id, ordered_at, amount from sources.orders where customer_id is not null"),
    ("identity/customers", "select identifier_type, identifier, customer_id from resolved.customers"),
    (
        "staging/suppressions",
        "with parsed as (select email_addresses(written) as emails, suppressed_at from sources.suppressions) \
         select unnest(emails) as email, suppressed_at from parsed",
    ),
    (
        "features/orders",
        "select i.customer_id, count(*) filter (where o.amount > 0) as orders, $as_of - cast(max(o.ordered_at) as date) as days_since \
         from staging.orders as o inner join identity.customers as i on i.identifier_type = 'customer' and i.identifier = o.customer_id \
         group by i.customer_id",
    ),
    (
        "features/visits",
        "select i.customer_id, count(*) as visits from sources.visits as v \
         inner join identity.customers as i on i.identifier_type = 'email' and i.identifier = email_address(v.email) group by i.customer_id",
    ),
    (
        "features/consent",
        "select i.customer_id, arg_max(c.agrees, c.updated_at) as agrees from staging.contacts as c \
         inner join identity.customers as i on i.identifier_type = 'customer' and i.identifier = c.contact_id group by i.customer_id",
    ),
    (
        "features/suppressed",
        "select distinct i.customer_id from staging.suppressions as s \
         inner join identity.customers as i on i.identifier_type = 'email' and i.identifier = s.email",
    ),
    (
        "scores/standing",
        "with cut as (select percentile_cont(0.5) within group (order by cast(orders as double)) as middle from features.orders) \
         select o.customer_id, cast(o.orders as double) > cut.middle as is_above from features.orders as o cross join cut",
    ),
];

const CUSTOMERS: &str = "-- A customer.
with everybody as (select distinct customer_id from identity.customers)
select e.customer_id, coalesce(o.orders, 0) as orders, o.days_since as days_since_last_order, coalesce(s.is_above, false) as is_above,
    coalesce(v.visits, 0) as visits, coalesce(c.agrees, false) and x.customer_id is null as can_email
from everybody as e
left join features.orders as o on o.customer_id = e.customer_id
left join scores.standing as s on s.customer_id = e.customer_id
left join features.visits as v on v.customer_id = e.customer_id
left join features.consent as c on c.customer_id = e.customer_id
left join features.suppressed as x on x.customer_id = e.customer_id
";

/// The extracts, by source: the header and the rows.
type Extracts = BTreeMap<&'static str, Vec<String>>;

fn extracts() -> Extracts {
    let rows = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect();
    BTreeMap::from([
        (
            "contacts",
            rows(&[
                "contact_id,updated_at,email,agrees",
                "ann,2026-10-01T08:00:00Z,ann@mail.example,true",
                "bob,2026-10-01T08:00:00Z,bob@mail.example,true",
                "cem,2026-10-01T08:00:00Z,cem@mail.example,true",
                "dan,2026-10-01T08:00:00Z,dan@mail.example,false",
            ]),
        ),
        (
            "orders",
            rows(&[
                "order_id,customer_id,ordered_at,amount,note",
                "1,ann,2026-10-03T08:00:00Z,5,x",
                "2,ann,2026-10-04T08:00:00Z,5,x",
                "3,bob,2026-10-04T09:00:00Z,5,x",
                "4,cem,2026-10-01T09:00:00Z,5,x",
            ]),
        ),
        ("visits", rows(&["email,visited_at", "dan@mail.example,2026-10-03T08:00:00Z"])),
        ("suppressions", rows(&["written,suppressed_at", "nobody@mail.example,2026-10-01T08:00:00Z"])),
    ])
}

fn shop() -> Tiny {
    let project = Tiny { folder: tempfile::tempdir().unwrap() };
    project.write("pipelines/shop.yaml", PIPELINE);
    project.write("sql/identity/edges.sql", EDGES);
    project.write("sql/customers.sql", CUSTOMERS);
    for (model, sql) in FEATURES {
        project.write(&format!("sql/{model}.sql"), &format!("-- A model.\n{sql}\n"));
    }
    project
}

/// Writes the extracts, each in some files.
fn write(project: &Tiny, extracts: &Extracts, files: usize) {
    for (source, rows) in extracts {
        let _ = std::fs::remove_dir_all(project.folder.path().join("extracts").join(source));
        let (header, rows) = rows.split_first().unwrap();
        for file in 0..files {
            let of_file: Vec<&str> = rows.iter().enumerate().filter(|(at, _)| at % files == file).map(|(_, row)| row.as_str()).collect();
            project.write(&format!("extracts/{source}/{file}.csv"), &format!("{header}\n{}\n", of_file.join("\n")));
        }
    }
}

fn run(project: &Tiny, day: &str, more: &[&str]) -> String {
    let output = project.segmill(&[&["run", "pipelines/shop.yaml", "--as-of", day], more].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

/// The changes of a day: set, customer, from, to, cause, its detail and the event.
fn changes(folder: &Path, day: &str) -> Vec<String> {
    let file = folder.join(format!("out/segment_changes/as_of={day}/segment_changes.parquet"));
    let sql = "select segment_set, customer_id, from_segment, to_segment, cause, cause_detail, identity_event from t order by 1, 2, 3, 4";
    rows_of_parquet(&[file], sql).into_iter().map(|row| row.join(" ")).collect()
}

/// An edit of the extracts between two days, and the changes that come of it.
type Edit = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

/// A row that stands alone is added; `old => new` replaces a row, by nothing if it is gone.
const EDITS: [Edit; 12] = [
    ("nothing", &[], &[]),
    ("an unsubscribe", &[("contacts", "ann,2026-10-05T12:00:00Z,ann@mail.example,false")], &["audiences ann spenders  consent  "]),
    ("a suppression", &[("suppressions", "Bob <bob@mail.example>,2026-10-05T12:00:00Z")], &["audiences bob spenders  consent  "]),
    (
        "a late row",
        &[("orders", "5,bob,2026-10-02T09:00:00Z,5,x")],
        &["standing ann above below time cut_points ", "value bob buyers regulars data orders "],
    ),
    (
        "a corrected row",
        &[("orders", "2,ann,2026-10-04T08:00:00Z,5,x => 2,ann,2026-10-04T08:00:00Z,0,x")],
        &["standing ann above below data orders ", "value ann regulars buyers data orders "],
    ),
    (
        "a deleted row",
        &[("orders", "2,ann,2026-10-04T08:00:00Z,5,x => ")],
        &["standing ann above below data orders ", "value ann regulars buyers data orders "],
    ),
    (
        "a row of which no model reads what has changed",
        &[("orders", "2,ann,2026-10-04T08:00:00Z,5,x => 2,ann,2026-10-04T08:00:00Z,5,y")],
        &[],
    ),
    (
        "a new customer",
        &[("orders", "5,eve,2026-10-05T09:00:00Z,5,x")],
        &["recency eve  fresh identity  new", "standing eve  below identity  new", "value eve  buyers identity  new"],
    ),
    (
        "a customer who is gone",
        &[("contacts", "cem,2026-10-01T08:00:00Z,cem@mail.example,true => "), ("orders", "4,cem,2026-10-01T09:00:00Z,5,x => ")],
        &[
            "audiences cem spenders  identity  gone",
            "recency cem fresh  identity  gone",
            "standing cem below  identity  gone",
            "value cem buyers  identity  gone",
        ],
    ),
    (
        "two who turn out to be one",
        &[("contacts", "bob,2026-10-05T12:00:00Z,cem@mail.example,true")],
        &[
            "audiences cem spenders spenders identity  merged",
            "recency cem fresh fresh identity  merged",
            "standing ann above below time cut_points ",
            "standing cem below below identity  merged",
            "value bob buyers regulars identity  merged",
            "value cem buyers regulars identity  merged",
        ],
    ),
    (
        "rows of others alone",
        &[("orders", "5,bob,2026-10-05T09:00:00Z,5,x"), ("orders", "6,cem,2026-10-05T09:00:00Z,5,x")],
        &["standing ann above below time cut_points ", "value bob buyers regulars data orders ", "value cem buyers regulars data orders "],
    ),
    ("a row through an address", &[("visits", "ann@mail.example,2026-10-05T09:00:00Z")], &["audiences ann  visitors data visits "]),
];

fn edited(edits: &[(&'static str, &str)]) -> Extracts {
    let mut found = extracts();
    for (source, edit) in edits {
        let rows = found.get_mut(source).unwrap();
        match edit.split_once(" => ") {
            Some((old, new)) => {
                let at = rows.iter().position(|row| row == old).unwrap();
                if new.is_empty() { drop(rows.remove(at)) } else { new.clone_into(&mut rows[at]) }
            }
            None => rows.push((*edit).to_owned()),
        }
    }
    found
}

#[test]
fn the_cause_is_the_one_that_a_person_would_say() {
    let first = shop();
    write(&first, &extracts(), 1);
    let told = run(&first, "2026-10-06", &[]);
    assert!(!told.contains("leads-nowhere"), "{told}");
    for (name, edits, expected) in EDITS {
        let project = shop();
        crate::support::copy(&first.folder.path().join("out"), &project.folder.path().join("out"));
        write(&project, &edited(edits), 1);
        run(&project, "2026-10-07", &[]);
        assert_eq!(changes(project.folder.path(), "2026-10-07"), expected, "{name}");
    }
}

/// On the day of an edit, whoever is where the old rules would have put them too has another cause.
#[test]
fn the_definition_comes_before_the_data() {
    let project = shop();
    write(&project, &extracts(), 1);
    run(&project, "2026-10-06", &[]);
    // Only customers of three orders are regulars now, and Bob has three: by both rules.
    project.write("pipelines/shop.yaml", &PIPELINE.replace("orders >= 2", "orders >= 2 and amount <> 10 or orders >= 3"));
    project.write("sql/features/orders.sql", &FEATURES[4].1.replace("count(*) filter", "sum(o.amount) as amount, count(*) filter"));
    project.write("sql/customers.sql", &CUSTOMERS.replace("as orders,", "as orders, coalesce(o.amount, 0) as amount,"));
    write(&project, &edited(&[("orders", "5,bob,2026-10-02T09:00:00Z,5,x"), ("orders", "6,bob,2026-10-02T09:00:00Z,5,x")]), 1);
    run(&project, "2026-10-07", &[]);
    let expected = [
        "standing ann above below time cut_points ",
        "standing bob below above data orders ",
        "value ann regulars buyers definition rule, model ",
        "value bob buyers regulars data orders ",
    ];
    let found = changes(project.folder.path(), "2026-10-07");
    assert_eq!(found.iter().map(|row| row.replace("model, rule", "rule, model")).collect::<Vec<_>>(), expected);
}

#[test]
fn on_a_day_without_new_rows_it_is_the_time() {
    let project = shop();
    write(&project, &extracts(), 1);
    run(&project, "2026-10-06", &[]);
    run(&project, "2026-10-10", &[]);
    assert_eq!(changes(project.folder.path(), "2026-10-10"), ["recency cem fresh stale time days "]);
}

/// The digests are the same for any threads, files and order of rows, so that the next day finds no row new that is not.
#[test]
fn causes_depend_on_neither_threads_nor_files() {
    let mut seen = BTreeSet::new();
    for (threads, files) in [("1", 1), ("3", 2), ("2", 3)] {
        let project = shop();
        write(&project, &extracts(), files);
        run(&project, "2026-10-06", &["--threads", threads]);
        let mut others = extracts();
        for rows in others.values_mut() {
            rows[1..].reverse();
        }
        write(&project, &others, 4 - files);
        run(&project, "2026-10-10", &["--threads", threads]);
        assert_eq!(changes(project.folder.path(), "2026-10-10"), ["recency cem fresh stale time days "]);
        let mut bytes = Vec::new();
        for run in std::fs::read_dir(project.folder.path().join("out/runs")).unwrap() {
            for table in ["segment_inputs", "customer_rows", "source_rows", "segment_stays"] {
                let path = run.as_ref().unwrap().path().join(format!("state/{table}.parquet"));
                bytes.push(format!("{table} {:x}", Sha256::digest(std::fs::read(path).unwrap())));
            }
        }
        bytes.sort();
        seen.insert(bytes);
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// A source whose rows lead to nobody: whoever may have been moved by it, nobody knows why, unless the source says whose its rows are.
#[test]
fn what_leads_nowhere_is_undetermined_and_told() {
    let project = shop();
    let source = "sources:\n  weather:\n    location: extracts/weather/*.csv\n    event_time: seen_at\n    \
                  columns: {place: string, seen_at: {type: timestamp, required: true}, degrees: integer}\n";
    project.write("pipelines/shop.yaml", &PIPELINE.replace("sources:\n", source).replace("visits >= 1", "degrees >= 20"));
    project.write("sql/staging/weather.sql", "-- The weather.\nselect place, degrees from sources.weather\n");
    let customers = CUSTOMERS.replace("as can_email\n", "as can_email, (select max(degrees) from staging.weather) as degrees\n");
    project.write("sql/customers.sql", &customers);
    let weather = |degrees: &str| {
        let mut all = extracts();
        all.insert("weather", vec!["place,seen_at,degrees".to_owned(), format!("ann,2026-10-01T08:00:00Z,{degrees}")]);
        all
    };
    let validated = project.segmill(&["validate", "pipelines/shop.yaml"]);
    let told = [validated.stdout, validated.stderr].map(|told| String::from_utf8(told).unwrap()).concat();
    assert!(told.contains("warning[leads-nowhere]") && told.contains("`sources.weather`"), "{told}");
    write(&project, &weather("10"), 1);
    run(&project, "2026-10-06", &[]);
    write(&project, &weather("30"), 1);
    run(&project, "2026-10-07", &[]);
    let expected = ["ann", "bob", "cem", "dan"].map(|id| format!("audiences {id}  visitors undetermined unattributed: weather "));
    assert_eq!(changes(project.folder.path(), "2026-10-07"), expected);

    // The rows are said to be Ann's: the others have been moved by what is new of somebody else.
    let pipeline = project.read("pipelines/shop.yaml");
    let declared = pipeline.replace("    columns: {place", "    leads_to: [{type: customer, identifier: place}]\n    columns: {place");
    project.write("pipelines/shop.yaml", &declared);
    write(&project, &weather("10"), 1);
    run(&project, "2026-10-06", &[]);
    write(&project, &weather("30"), 1);
    let told = run(&project, "2026-10-07", &[]);
    assert!(!told.contains("leads-nowhere"), "{told}");
    let of_others = |id: &str| if id == "ann" { "data weather" } else { "time " };
    let expected = ["ann", "bob", "cem", "dan"].map(|id| format!("audiences {id}  visitors {} ", of_others(id)));
    assert_eq!(changes(project.folder.path(), "2026-10-07"), expected);
}

#[test]
fn without_identity_step_rows_lead_by_the_id_of_the_customer() {
    let tiny = Tiny::new();
    let with_changes = tiny.read("pipelines/tiny.yaml")
        + "    segment_changes: {model: segment_changes, sort: [segment_set, customer_id, change, from_segment, to_segment]}\n";
    tiny.write("pipelines/tiny.yaml", &with_changes);
    let run = |day: &str| {
        let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", day]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !told.contains("leads-nowhere"), "{told}");
    };
    run("2026-11-10");
    let orders = tiny.read("extracts/orders.csv");
    let first = orders.lines().skip(1).find(|line| orders.matches(line.split(',').next().unwrap()).count() == 1).unwrap();
    tiny.write("extracts/orders.csv", &format!("{orders}{first}\n"));
    run("2026-11-11");
    let id = first.split(',').next().unwrap();
    assert_eq!(changes(tiny.folder.path(), "2026-11-11"), [format!("value {id} others buyers data orders ")]);
}

/// A publication of an older version keeps nothing to compare with.
#[test]
fn what_an_older_version_published_leaves_causes_undetermined() {
    let project = shop();
    write(&project, &extracts(), 1);
    run(&project, "2026-10-06", &[]);
    let commit = project.read("out/commits/00000001.json");
    let mut parsed: serde_json::Value = serde_json::from_str(&commit).unwrap();
    let state = parsed["state"].as_object_mut().unwrap();
    for table in ["segment_inputs", "customer_rows", "source_rows"] {
        assert!(state.remove(table).is_some(), "{table}");
    }
    project.write("out/commits/00000001.json", &parsed.to_string());
    write(&project, &edited(&[("orders", "5,eve,2026-10-05T09:00:00Z,5,x"), ("visits", "ann@mail.example,2026-10-05T09:00:00Z")]), 1);
    let told = run(&project, "2026-10-07", &[]);
    assert!(told.contains("keeps nothing by which the causes of changes could be found"), "{told}");
    let expected = [
        "audiences ann  visitors undetermined predecessor ",
        "recency eve  fresh identity  new",
        "standing eve  below identity  new",
        "value eve  buyers identity  new",
    ];
    assert_eq!(changes(project.folder.path(), "2026-10-07"), expected);
}

/// Whatever happens to whom, every change has one cause, and only those whose rows have changed have the cause `data`.
#[test]
fn in_a_random_history_every_change_has_one_cause() {
    const IDS: [&str; 8] = ["ann", "bob", "cem", "dan", "eve", "fay", "gus", "hal"];
    let project = shop();
    let mut seed: u64 = 7;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut all = extracts();
    let (mut causes, mut before) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
    for day in 7..18 {
        let mut touched = BTreeSet::new();
        for _ in 0..=random(5) {
            let id = IDS[usize::try_from(random(8)).unwrap()];
            touched.insert(id);
            match random(4) {
                0 => all.get_mut("visits").unwrap().push(format!("{id}@mail.example,2026-10-0{}T10:00:00Z", 1 + random(6))),
                1 => {
                    let rows = all.get_mut("contacts").unwrap();
                    rows.push(format!("{id},2026-10-{:02}T11:{:02}:00Z,{id}@mail.example,{}", day - 1, rows.len(), random(2) == 0));
                }
                2 => {
                    let rows = all.get_mut("orders").unwrap();
                    if let Some(at) = rows.iter().position(|row| row.contains(&format!(",{id},"))) {
                        rows.remove(at);
                    }
                }
                _ => {
                    let rows = all.get_mut("orders").unwrap();
                    rows.push(format!("{},{id},2026-10-0{}T10:00:00Z,{},x", 100 + rows.len(), 1 + random(6), random(3)));
                }
            }
        }
        let as_of = format!("2026-10-{day:02}");
        write(&project, &all, 1);
        run(&project, &as_of, &[]);
        let members = project.folder.path().join(format!("out/segment_membership/as_of={as_of}/segment_membership.parquet"));
        let now: BTreeSet<Vec<String>> =
            rows_of_parquet(&[members], "select customer_id, segment_set, segment from t").into_iter().collect();
        let file = project.folder.path().join(format!("out/segment_changes/as_of={as_of}/segment_changes.parquet"));
        let sql = "select customer_id, segment_set, from_segment, to_segment, cause, identity_event from t";
        let changes = rows_of_parquet(&[file], sql);
        let mut replayed: BTreeSet<Vec<String>> = before.clone();
        for change in &changes {
            let [id, set, from, to, cause, event] = change.as_slice() else { panic!("{change:?}") };
            assert!(["identity", "consent", "data", "time"].contains(&cause.as_str()), "{as_of}: {change:?}");
            assert_eq!(cause == "identity", !event.is_empty(), "{as_of}: {change:?}");
            assert!(touched.contains(id.as_str()) || cause == "time", "{as_of}: {change:?} of {touched:?}");
            assert!(!touched.contains(id.as_str()) || set != "recency" || cause != "consent", "{as_of}: {change:?}");
            *causes.entry(cause.clone()).or_default() += 1;
            replayed.remove(&vec![id.clone(), set.clone(), from.clone()]);
            replayed.extend((!to.is_empty()).then(|| vec![id.clone(), set.clone(), to.clone()]));
        }
        if !before.is_empty() {
            assert_eq!(replayed, now, "{as_of}: the causes are those of all that has changed");
        }
        before = now;
    }
    assert!(["identity", "consent", "data", "time"].iter().all(|cause| causes.contains_key(*cause)), "{causes:?}");
}
