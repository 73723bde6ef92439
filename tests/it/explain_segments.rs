use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use segmill::config::Environment;
use segmill::engine::{Limits, TextEncoding};
use segmill::explain::{Explainer, Who};
use segmill::job::Request;
use segmill::segments::why::{Standing, Verdict};
use segmill::storage::Stores;
use serde_json::Value;

use crate::support::{SAMPLE_AS_OF, default_sample, number_of, package, rows_of_parquet, segmill, tell};
use crate::tiny::{PIPELINE, Tiny};

/// Another set of the tiny project, whose rules read the set before it.
const LATER: &str = r"  care:
    kind: overlapping
    permissions: {email: orders < 100}
    segments:
      - {name: thanked, when: value = 'buyers' and orders >= 2, description: Of earlier buyers, action: None, channel: email}
      - {name: the_rest, when: value <> 'buyers', description: Of the others, action: None, channel: none}
outputs:
";

/// The output of the tiny project that is the profile.
const PROFILE: &str = "    customers: {model: customers, sort: [customer_id]}\n";

fn explained(folder: &Path, arguments: &[&str]) -> Value {
    let output = segmill(folder, &[&["explain", "--format", "json"], arguments].concat());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&told).unwrap()
}

fn segment<'a>(answer: &'a Value, set: &str, segment: &str) -> &'a Value {
    let named = |of: &'a Value, key: &str, name: &str| of.as_array().unwrap().iter().find(|one| one[key] == name).unwrap();
    named(&named(&answer["segment_sets"], "segment_set", set)["segments"], "segment", segment)
}

/// Every so many customers of the sample, and every segment: the rules say what was published.
#[test]
fn the_verdict_is_the_membership_for_customers_and_segments_of_the_sample() {
    let sample = default_sample();
    let every = number_of("SEGMILL_EVERY_CUSTOMER", 60);
    let published: BTreeSet<Vec<String>> =
        sample.ask("select customer_id, segment_set, segment from segment_membership").into_iter().collect();
    let customers = sample.ask("select customer_id from customers order by customer_id");
    let request = Request {
        pipeline: package().join("pipelines/customer_segments.yaml"),
        as_of: SAMPLE_AS_OF.parse().unwrap(),
        destination: Some(sample.folder.path().to_str().unwrap().to_owned()),
        force: false,
        parameters: BTreeMap::new(),
        limits: Limits { threads: 1, memory_bytes: 1 << 28 },
        text_encoding: TextEncoding::default(),
        with_report: false,
        timings: false,
        environment: Environment::default(),
    };
    let stores = Stores::new(Environment::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut asked, mut members) = (0, 0);
    runtime.block_on(async {
        let explainer = Explainer::open(&request, &stores, None, None).await.unwrap();
        for customer in customers.iter().step_by(usize::try_from(every).unwrap()) {
            let answer = explainer.explain(Who::Customer(&customer[0])).await.unwrap();
            assert_eq!(answer.warnings, Vec::<String>::new());
            for set in answer.sets.as_ref().unwrap() {
                for segment in &set.segments {
                    let is_published = published.contains(&vec![customer[0].clone(), set.name.clone(), segment.name.clone()]);
                    assert_eq!(segment.standing == Standing::Member, is_published, "{} {} {}", customer[0], set.name, segment.name);
                    if segment.standing == Standing::Unknown {
                        assert_eq!(segment.rule.verdict, Verdict::Unknown);
                    }
                    asked += 1;
                    members += usize::from(is_published);
                }
            }
        }
    });
    tell(&format!("{asked} customers and segments, {members} of them memberships"));
    assert!(asked > 1000 && members > 100);
}

#[test]
fn a_customer_of_the_sample_is_explained_with_values_thresholds_and_changes() {
    let sample = default_sample();
    let destination = sample.folder.path().to_str().unwrap();
    let id = &sample.ask(
        "select customers.customer_id from customers inner join segment_membership as value on value.customer_id = customers.customer_id
         where value.segment = 'champions' and r_score = 5 and f_score = 4 order by 1 limit 1",
    )[0][0];
    let asked = ["--customer", id.as_str(), "--as-of", SAMPLE_AS_OF, "--destination", destination];
    let answer = explained(package(), &[&asked[..], &["--set", "value", "--segment", "loyal"]].concat());
    assert_eq!((&answer["status"], &answer["number"]), (&Value::from("known"), &Value::from(1)));
    let loyal = segment(&answer, "value", "loyal");
    assert_eq!((&loyal["standing"], &loyal["verdict"]), (&Value::from("no"), &Value::from("no")));
    let condition = &loyal["rule"]["all"][0];
    assert_eq!(condition["condition"], "r_score between 3 and 4");
    assert_eq!(condition["values"]["r_score"], 5);
    assert_eq!(condition["missed_by"]["columns"][0]["by"], "1 less");
    assert_eq!(loyal["changes"][0]["columns"][0]["to"], 4);
    assert_eq!(segment(&answer, "value", "champions")["standing"], "member", "the segments above are explained too");
    assert_eq!(segment(&answer, "value", "champions")["changes"], Value::Null, "and nothing is searched for those");

    let human = segmill(package(), &[&["explain"], &asked[..]].concat());
    let human = String::from_utf8(human.stdout).unwrap();
    let lines =
        ["✓ champions           is a member", "✓ f_score >= 4  f_score is 4", "would leave with r_score 4 (1 less); or f_score 3 (1 less)"];
    for line in lines {
        assert!(human.contains(line), "{line}\n{human}");
    }

    let by_identity = [&["--identity", id, "--segments", "--set", "lifecycle"], &asked[2..]].concat();
    let by_identity = explained(package(), &by_identity);
    assert_eq!(by_identity["found_by"], "published_identifiers");
    assert_eq!((&by_identity["customer_id"], by_identity["segment_sets"].as_array().unwrap().len()), (&Value::from(id.as_str()), 1));
}

#[test]
fn a_later_set_reads_the_segments_of_an_earlier_one() {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("outputs:\n", LATER));
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = [tiny.folder.path().join("out/segment_membership/as_of=2026-11-01/segment_membership.parquet")];
    let counts = rows_of_parquet(&files, "select segment, count(*) from t group by 1 order by 1");
    assert_eq!(counts, [["buyers", "25"], ["others", "25"], ["thanked", "25"], ["the_rest", "25"]]);

    let answer = explained(tiny.folder.path(), &["pipelines/tiny.yaml", "--customer", "c001", "--as-of", "2026-11-01"]);
    assert_eq!(answer["warnings"], Value::Array(Vec::new()));
    assert_eq!(segment(&answer, "care", "thanked")["standing"], "member");
    assert_eq!(segment(&answer, "care", "thanked")["rule"]["all"][0]["values"]["value"], "buyers");
    assert_eq!(segment(&answer, "care", "the_rest")["changes"][0]["columns"][0]["to"], "others");
}

#[test]
fn what_is_not_there_and_what_has_been_edited_is_told() {
    let tiny = Tiny::new();
    let run = |day: &str| assert!(tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", day]).status.success());
    let asked = |day: &str, customer: &str| {
        let output = tiny.segmill(&["explain", "pipelines/tiny.yaml", "--as-of", day, "--customer", customer]);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = asked("2026-11-01", "c001");
    assert_eq!(code, 2);
    assert!(told.contains("error[not-published]") && told.contains("`segmill run --as-of 2026-11-01` publishes it"), "{told}");
    run("2026-11-01");
    let (code, told) = asked("2026-11-01", "nobody");
    assert_eq!((code, told.as_str()), (0, "the publication as of 2026-11-01 (number 1) has no customer nobody\n"));

    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("when: orders > 1", "when: orders > 2"));
    let (code, told) = asked("2026-11-01", "c001");
    assert_eq!(code, 0);
    for part in [
        "would leave with orders 1 (1 less)",
        "Note: the project has been edited since number 1 was published: its rules are explained as they were then",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    // Where the publication keeps no project, by the rules of today.
    let mut commit: Value = serde_json::from_str(&tiny.read("out/commits/00000001.json")).unwrap();
    commit.as_object_mut().unwrap().remove("project").unwrap();
    tiny.write("out/commits/00000001.json", &commit.to_string());
    let (code, told) = asked("2026-11-01", "c001");
    assert_eq!(code, 0);
    for part in [
        "would enter with orders 3 (1 more)",
        "Note: the project has been edited since number 1 was published: its rules are explained as they are now",
        "the publication has the customer in `buyers` of `value`, and the rules on the published values do not",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }

    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace(PROFILE, ""));
    run("2026-11-02");
    let (code, told) = asked("2026-11-02", "c001");
    assert_eq!(code, 2);
    assert!(told.contains("error[unpublished-profile]") && told.contains("`customers: {model: customers, sort: [customer_id]}`"), "{told}");
}

#[test]
fn a_pipeline_without_customers_has_nobody_to_explain() {
    let tiny = Tiny::new();
    let (before, after) = (PIPELINE.split_once("segments:\n").unwrap().0, PIPELINE.split_once("outputs:\n").unwrap().1);
    let outputs = after.split_once("    customers:").unwrap().0;
    tiny.write(
        "pipelines/tiny.yaml",
        &format!("{before}outputs:\n{outputs}    orders: {{model: staging.orders, sort: [customer_id, ordered_at]}}\n"),
    );
    std::fs::remove_file(tiny.folder.path().join("sql/customers.sql")).unwrap();
    let run = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let output = tiny.segmill(&["explain", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--customer", "c001"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains("error[nobody-to-explain]"), "{told}");
}

#[test]
fn personal_values_are_masked_unless_they_are_asked_for() {
    let tiny = Tiny::new();
    let personal = PROFILE.replace("[customer_id]}", "[customer_id], personal: [orders]}");
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace(PROFILE, &personal));
    assert!(tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]).status.success());
    for format in ["human", "json"] {
        let asked = ["explain", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--customer", "c000", "--format", format];
        let asked = [&asked[..], &["--segment", "buyers"]].concat();
        let masked = String::from_utf8(tiny.segmill(&asked).stdout).unwrap();
        assert!(masked.contains("***") && !masked.contains("more") && !masked.contains("orders is 1"), "{masked}");
        let told = String::from_utf8(tiny.segmill(&[&asked[..], &["--unmask"]].concat()).stdout).unwrap();
        assert!(!told.contains("***") && told.contains("1 more"), "{told}");
    }
}

#[test]
fn what_is_remembered_is_a_reason_too() {
    let tiny = Tiny::new();
    let buyers = "when: orders >= edition, stay: orders >= edition - 1, minimum_stay_days: 10,";
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("when: orders > 1,", buyers));
    let held_by = |day: &str, edition: &str| {
        let run = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", day, "--param", &format!("edition={edition}")]);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let answer = explained(tiny.folder.path(), &["pipelines/tiny.yaml", "--customer", "c001", "--as-of", day]);
        assert_eq!(answer["warnings"], Value::Array(Vec::new()));
        let buyers = segment(&answer, "value", "buyers").clone();
        assert_eq!(buyers["held_by"], buyers["published"]["held_by"], "{buyers:#}");
        assert_eq!(buyers["published"]["member_since"], "2026-11-01");
        (buyers["standing"].as_str().unwrap().to_owned(), buyers["held_by"].as_str().unwrap().to_owned(), buyers)
    };
    let member = |(standing, held_by, _): &(String, String, Value)| (standing == "member").then(|| held_by.clone());
    assert_eq!(member(&held_by("2026-11-01", "2")).as_deref(), Some("rule"));
    let kept = held_by("2026-11-05", "9");
    assert_eq!((member(&kept).as_deref(), &kept.2["stays_until"]), (Some("minimum_stay"), &Value::from("2026-11-11")));
    let stays = held_by("2026-11-20", "3");
    assert_eq!((member(&stays).as_deref(), &stays.2["stay"]["verdict"]), (Some("stay"), &Value::from("yes")));
    let changes = &stays.2["changes"][0]["columns"][0];
    assert_eq!((&changes["column"], &changes["to"]), (&Value::from("edition"), &Value::from(4)), "{changes:#}");
}
