use std::process::Output;

use tempfile::TempDir;

use crate::support::segmill;

/// Two pipelines over one folder of models: one of orders with segments, one of visits without.
struct Shop {
    folder: TempDir,
}

const ORDERS: &str = "\
version: 1
name: orders
sources:
  orders:
    location: data/orders.csv
    event_time: ordered_at
    columns: {customer_id: {type: string, required: true}, ordered_at: {type: timestamp, required: true}}
segments:
  value:
    kind: exclusive
    segments:
      - {name: all, when: 'true', description: d, action: a, channel: none}
outputs:
  destination: out/orders
  tables:
    customers: {model: customers, sort: [customer_id]}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
";

const VISITS: &str = "\
version: 1
name: visits
sources:
  visits:
    location: data/visits.csv
    event_time: visited_at
    columns: {visitor: {type: string, required: true}, visited_at: {type: timestamp, required: true}}
outputs:
  destination: out/visits
  tables:
    visitors: {model: features.visitors, sort: [visitor]}
";

const FILES: [(&str, &str); 9] = [
    ("pipelines/orders.yaml", ORDERS),
    ("pipelines/visits.yaml", VISITS),
    ("pipelines/notes.yml", "- not a pipeline\n"),
    ("sql/staging/orders.sql", "-- An order.\nselect customer_id, ordered_at from sources.orders\n"),
    ("sql/staging/visits.sql", "-- A visit.\nselect visitor, visited_at from sources.visits\n"),
    ("sql/features/visitors.sql", "-- A visitor.\nselect visitor, count(*) as visits from staging.visits group by visitor\n"),
    ("sql/customers.sql", "-- A customer.\nselect customer_id, count(*) as orders from staging.orders group by customer_id\n"),
    ("data/orders.csv", "customer_id,ordered_at\nc1,2026-10-01T10:00:00Z\n"),
    ("data/visits.csv", "visitor,visited_at\nv1,2026-10-01T10:00:00Z\nv1,2026-10-02T10:00:00Z\n"),
];

const CASES: &str = "\
- name: visits are counted
  model: features.visitors
  as_of: 2026-10-05
  given:
    sources.visits: [{visitor: v1, visited_at: '2026-10-01T00:00:00Z'}]
  expect: [{visitor: v1, visits: 1}]
- name: orders are counted
  model: customers
  as_of: 2026-10-05
  given:
    sources.orders: [{customer_id: c1, ordered_at: '2026-10-01T00:00:00Z'}]
  expect: [{customer_id: c1, orders: 1}]
";

impl Shop {
    fn new() -> Shop {
        let shop = Shop { folder: tempfile::tempdir().unwrap() };
        for (path, text) in FILES {
            shop.write(path, text);
        }
        shop
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output: Output = segmill(self.folder.path(), arguments);
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }

    /// What a command says, which must succeed.
    fn told(&self, arguments: &[&str]) -> String {
        let (code, told) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {told}");
        told
    }

    fn publish(&self, pipeline: &str) -> String {
        self.told(&["run", pipeline, "--as-of", "2026-10-05"])
    }
}

#[test]
fn each_pipeline_has_the_models_that_it_needs() {
    let shop = Shop::new();
    for (pipeline, counts) in [("pipelines/orders.yaml", "1 source, 2 models"), ("pipelines/visits.yaml", "1 source, 2 models")] {
        let told = shop.told(&["validate", pipeline]);
        assert!(told.contains(counts) && !told.contains("warning"), "{told}");
        assert!(shop.publish(pipeline).contains("Published as number 1"));
    }
    // Each publishes again when what it needs has changed, and not otherwise.
    shop.write("sql/features/visitors.sql", "-- A visitor.\nselect visitor, count(*) + 1 as visits from staging.visits group by visitor\n");
    assert!(!shop.publish("pipelines/orders.yaml").contains("Published as number"));
    assert!(shop.publish("pipelines/visits.yaml").contains("Published as number 2"));
    let rows = shop.told(&["show", "visitors", "pipelines/visits.yaml", "--format", "csv"]);
    assert!(rows.starts_with("visitor,visits\nv1,3\n"), "{rows}");
}

#[test]
fn what_is_wrong_is_told_where_it_is_needed_and_syntax_everywhere() {
    let shop = Shop::new();
    shop.write("sql/features/visitors.sql", "-- A visitor.\nselect visitor, nothing from staging.visits\n");
    shop.told(&["validate", "pipelines/orders.yaml"]);
    let (code, told) = shop.run(&["validate", "pipelines/visits.yaml"]);
    assert!(code == Some(2) && told.contains("there is no column `nothing`"), "{told}");
    shop.write("sql/features/visitors.sql", "-- A visitor.\nselect visitor, from from staging.visits where\n");
    let (code, told) = shop.run(&["validate", "pipelines/orders.yaml"]);
    assert!(code == Some(2) && told.contains("sql/features/visitors.sql"), "{told}");
}

#[test]
fn a_model_that_no_pipeline_needs_is_a_warning() {
    let shop = Shop::new();
    shop.write("sql/features/forgotten.sql", "-- Nobody's.\nselect visitor from staging.visits\n");
    for pipeline in ["pipelines/orders.yaml", "pipelines/visits.yaml"] {
        let told = shop.told(&["validate", pipeline]);
        assert!(
            told.contains("warning[unused-model]: no pipeline needs `features.forgotten`") && told.contains("never computed"),
            "{told}"
        );
    }
    // Nobody knows what a pipeline needs that cannot be read.
    shop.write("pipelines/third.yaml", "version: 1\nname: third\noutputs: [\n");
    shop.told(&["validate", "pipelines/orders.yaml"]);
}

#[test]
fn cases_of_models_that_a_pipeline_does_not_need_are_skipped() {
    let shop = Shop::new();
    shop.write("tests/models/all.yaml", CASES);
    for (pipeline, ran) in [("pipelines/orders.yaml", "orders are counted"), ("pipelines/visits.yaml", "visits are counted")] {
        let told = shop.told(&["test", pipeline]);
        assert!(told.contains(&format!("{ran}\n")) && told.contains("1 case, 0 failed; skipped 1 case of models"), "{told}");
        shop.told(&["validate", pipeline]);
    }
}

/// A source that no model reads yet is declared for later: nobody looks whether it has files.
#[test]
fn a_source_may_be_declared_before_a_model_reads_it() {
    let shop = Shop::new();
    shop.write(
        "pipelines/visits.yaml",
        &VISITS.replace(
            "sources:\n",
            "sources:\n  later:\n    location: nowhere/*.csv\n    event_time: at\n    columns: {at: {type: timestamp, required: true}, note: string}\n",
        ),
    );
    let told = shop.told(&["validate", "pipelines/visits.yaml"]);
    assert!(told.contains("warning[unused-source]: no model reads `sources.later`"), "{told}");
    let told = shop.publish("pipelines/visits.yaml");
    assert!(told.contains("Published as number 1") && told.contains("no model reads `sources.later`"), "{told}");
    let (code, told) = shop.run(&["show", "sources.later", "pipelines/visits.yaml"]);
    assert!(code == Some(2) && told.contains("nowhere/*.csv"), "a look reads it: {told}");
}

/// What is published belongs to a pipeline by its name, so a copy of a pipeline file must not keep it.
#[test]
fn two_pipelines_of_a_project_have_two_names() {
    let shop = Shop::new();
    for copy in [ORDERS.replace("name: orders", "name: visits"), "version: 1\nname: visits\nsources: {}\n".to_owned()] {
        shop.write("pipelines/orders.yaml", &copy);
        for command in [&["validate", "pipelines/visits.yaml"][..], &["run", "pipelines/visits.yaml", "--as-of", "2026-10-05"]] {
            let (code, told) = shop.run(command);
            assert!(code == Some(2) && told.contains("error[same-pipeline-name]"), "{command:?}: {told}");
            assert!(told.contains("pipelines/visits.yaml:2:7") && told.contains("pipelines/orders.yaml:2:7"), "{told}");
        }
    }
    assert!(!shop.folder.path().join("out/visits/commits").exists(), "nothing is published");
    shop.write("pipelines/orders.yaml", ORDERS);
    shop.publish("pipelines/visits.yaml");
}

/// Alone as beside another one, a pipeline needs a profile when it says something of it, and not otherwise.
#[test]
fn a_pipeline_without_segments_needs_no_profile() {
    for is_alone in [true, false] {
        let shop = Shop::new();
        let remove = |path: &str| std::fs::remove_file(shop.folder.path().join(path)).unwrap();
        remove("sql/customers.sql");
        if is_alone {
            remove("pipelines/orders.yaml");
            remove("sql/staging/orders.sql");
        }
        shop.told(&["validate", "pipelines/visits.yaml"]);
        assert!(shop.publish("pipelines/visits.yaml").contains("Published as number 1"));
        let members = "    members: {model: segment_membership, sort: [customer_id]}\n";
        let profile = "profile: {columns: {age: {min: 1}}}\n";
        for more in [format!("{VISITS}{members}"), format!("{VISITS}{profile}")] {
            shop.write("pipelines/visits.yaml", &more);
            let (code, told) = shop.run(&["validate", "pipelines/visits.yaml"]);
            assert!(code == Some(2) && told.contains("error[no-profile]"), "alone: {is_alone}\n{told}");
        }
    }
}

#[test]
fn the_only_pipeline_of_a_project_need_not_be_named() {
    let shop = Shop::new();
    shop.write("tests/models/visits.yaml", CASES.split("- name: orders").next().unwrap());
    for command in [&["validate"][..], &["show", "visitors", "--as-of", "2026-10-05"], &["test", "visits"], &["outputs"]] {
        let (code, told) = shop.run(command);
        assert!(code == Some(2) && told.contains("cannot read pipelines/customer_segments.yaml"), "{told}");
        assert!(told.contains("the pipeline files there are `pipelines/orders.yaml` and `pipelines/visits.yaml`"), "{told}");
    }
    std::fs::remove_file(shop.folder.path().join("pipelines/orders.yaml")).unwrap();
    std::fs::remove_file(shop.folder.path().join("sql/staging/orders.sql")).unwrap();
    std::fs::remove_file(shop.folder.path().join("sql/customers.sql")).unwrap();
    assert!(shop.told(&["validate"]).contains("visits is valid"));
    assert!(shop.told(&["run", "--as-of", "2026-10-05"]).contains("Published as number 1"));
    assert!(shop.told(&["show", "visitors", "--format", "csv"]).starts_with("visitor,visits\nv1,2\n"));
    assert!(shop.told(&["test", "visits"]).contains("ok     features.visitors: visits are counted"));
    shop.told(&["outputs"]);
    // A name that was typed means that file and no other one.
    assert_eq!(shop.run(&["validate", "pipelines/customers.yaml"]).0, Some(2));
}
