use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use datafusion::datasource::empty::EmptyTable;
use segmill::config;
use segmill::engine::{Engine, Limits, reads};

use crate::support::{Publication, SAMPLE_AS_OF, default_sample, package, rows_of_parquet, sample, segmill};

/// What `explain` says of an identifier, and all that it printed.
fn explain(identifier: &str) -> (serde_json::Value, String) {
    let output = segmill(package(), &["explain", "--identity", identifier, "--as-of", SAMPLE_AS_OF, "--format", "json"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    (serde_json::from_str(&told).unwrap(), told)
}

#[test]
fn a_device_that_four_customers_share_leads_to_nobody() {
    let shared = sample().ask("select reason, edges, explanation from identity_conflicts where identifier = 'v00bba76a34cf'");
    assert_eq!(shared, [["shared", "4", "shared by 4 customers; 1 is allowed"]]);
}

#[test]
fn who_logged_in_late_is_known_since_the_first_visit_and_who_logged_in_after_the_day_is_not() {
    let (known, told) = explain("v0003c5ce69e6");
    assert_eq!((&known["found"][0]["customer_id"], &known["as_of"]), (&"15416".into(), &SAMPLE_AS_OF.into()), "{told}");
    // Personal values are masked unless asked for.
    assert!(told.contains("\"email\"") && !told.contains("\"identifier\":\"+44"), "{told}");
    let visits = sample().ask("select web_events >= 20, first_seen_date < date '2011-10-27' from customers where customer_id = '15416'");
    assert_eq!(visits, [["true", "true"]]);
    // This visitor logs in on 12 December.
    assert_eq!(explain("v0f162c7bad91").0["found"], serde_json::json!([]));
}

#[test]
fn junk_addresses_lead_to_nobody_and_are_told_without_the_address() {
    let blocked = sample().ask(
        "select count(*) > 0, bool_and(identifier like 'email:%'), bool_and(edges > 1) from identity_conflicts where reason = 'blocked'",
    );
    assert_eq!(blocked, [["true", "true", "true"]]);
}

#[test]
fn a_second_contact_with_the_same_address_is_the_same_customer() {
    let merged = sample().ask("select customer_id, has_orders from customers where customer_id in ('17451', '20026')");
    assert_eq!(merged, [["17451", "true"]]);
    assert_eq!(sample().ask("select count(*) from identity_aliases"), [["0"]], "nothing was published before");
    let later = Publication::after(&["2011-06-01", "2011-09-01"], package(), &package().join("examples/data"), SAMPLE_AS_OF, &[]);
    let aliases = later.ask(
        "select count(*) > 0, count(c.customer_id), count(other.customer_id) = count(*)
         from identity_aliases a
         left join customers c on c.customer_id = a.alias_id
         left join customers other on other.customer_id = a.customer_id",
    );
    assert_eq!(aliases, [["true", "0", "true"]], "an alias is nobody's id and leads to a customer");
}

#[test]
fn a_suppressed_customer_stays_a_customer_and_is_in_no_audience_that_sends() {
    let suppressed =
        sample().ask("select no_email_reason, no_sms_reason, no_post_reason, has_orders from customers where customer_id = '12592'");
    assert_eq!(suppressed, [["suppressed", "suppressed", "suppressed", "true"]]);
    let audiences = sample().ask(
        "select count(*) from segment_membership m join segment_summary s on s.segment_set = m.segment_set and s.segment = m.segment
         where m.customer_id = '12592' and m.segment_set = 'audiences' and s.channel <> 'none'",
    );
    assert_eq!(audiences, [["0"]]);
    let withheld: u64 = sample().result["segments"].as_array().unwrap().iter().map(|size| size["withheld"].as_u64().unwrap()).sum();
    assert!(withheld > 0, "nobody was withheld from an audience");
}

/// The web events that an anonymous visitor needs to be a customer, where a test asks for such.
const ENOUGH: &str = "anonymous_visitor_min_events=10";

/// The sample with anonymous visitors as customers, and one more output: which source knows which customer, as SQL finds it.
fn with_visitors() -> &'static Publication {
    static SAMPLE: OnceLock<Publication> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let project = tempfile::tempdir().unwrap();
        for folder in ["pipelines", "sql"] {
            copy(&package().join(folder), &project.path().join(folder));
        }
        let model = "-- Which source knows which customer.
            select c.customer_id, e.source from identity.edges as e
            inner join identity.customers as c on c.identifier_type = e.identifier_type and c.identifier = e.identifier
            union
            select c.customer_id, e.source from identity.edges as e
            inner join identity.customers as c on c.identifier_type = e.other_type and c.identifier = e.other";
        std::fs::write(project.path().join("sql/identity/knowledge.sql"), model).unwrap();
        let pipeline = project.path().join("pipelines/customer_segments.yaml");
        let text = std::fs::read_to_string(&pipeline).unwrap();
        let output = "  tables:\n    knowledge: {model: identity.knowledge, sort: [customer_id, source]}\n    customers:";
        std::fs::write(&pipeline, text.replacen("  tables:\n    customers:", output, 1)).unwrap();
        let asked = ["--param", "rfm_window_days=400", "--param", ENOUGH];
        Publication::of_project(project.path(), &package().join("examples/data"), SAMPLE_AS_OF, &asked)
    })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// Asks the web extract up to the as-of day, as the table `w`.
fn ask_the_web(sql: &str) -> Vec<Vec<String>> {
    let files: Vec<PathBuf> = std::fs::read_dir(package().join("examples/data/web")).unwrap().map(|entry| entry.unwrap().path()).collect();
    rows_of_parquet(&files, &format!("with w as (select * from t where occurred_at < timestamp '{SAMPLE_AS_OF}') {sql}"))
}

#[test]
fn anonymous_visitors_who_look_around_enough_are_prospects_where_that_is_asked_for() {
    let asked = with_visitors();
    let visitors = asked.ask(
        "select count(*), bool_and(lifecycle_stage = 'prospect'), bool_and(not can_email and no_email_reason = 'no_contact'), min(web_events)
         from customers where customer_id like 'visitor:%'",
    );
    let strangers =
        ask_the_web("select count(*) from (select visitor_id from w group by visitor_id having count(user_id) = 0 and count(*) >= 10)");
    assert_eq!(visitors, [[strangers[0][0].as_str(), "true", "true", "10"]]);
    assert_eq!(sample().ask("select count(*) from customers where customer_id like 'visitor:%'"), [["0"]]);
    // Whoever was a customer without them is the same one, to the last column.
    let everybody = "select * from customers where customer_id not like 'visitor:%' order by customer_id";
    assert!(asked.ask(everybody) == sample().ask(everybody), "a known customer changes");
    let checks = asked.result["checks"].as_array().unwrap();
    assert!(!checks.is_empty() && checks.iter().all(|check| check["outcome"] != "failed"), "{checks:?}");
}

#[test]
fn the_id_of_an_anonymous_visitor_ends_with_the_login() {
    let days = ["2011-10-01", "2011-11-01"];
    let asked = Publication::after(&days, package(), &package().join("examples/data"), SAMPLE_AS_OF, &["--param", ENOUGH]);
    let aliases = asked.ask(
        "select alias_id, cast(cast(merged_at as date) as varchar) from identity_aliases where alias_id like 'visitor:%' order by alias_id",
    );
    // Ten events without a login came before a day that was published, and the only user to log in did after it.
    let mut logged_in = ask_the_web(
        ", numbered as (
            select visitor_id, occurred_at, row_number() over (partition by visitor_id order by occurred_at) as number
            from w where user_id is null
         ),
         logins as (
            select visitor_id, min(occurred_at) as login from w where user_id is not null
            group by visitor_id having count(distinct user_id) = 1
         ),
         published as (select * from (values (date '2011-10-01', date '2011-11-01'), (date '2011-11-01', date '2011-12-10')) as d(as_of, next))
         select concat('visitor:', l.visitor_id), cast(d.next as varchar)
         from logins as l
         inner join numbered as n on n.visitor_id = l.visitor_id and n.number = 10
         inner join published as d on n.occurred_at < d.as_of and l.login >= d.as_of and l.login < d.next",
    );
    logged_in.sort();
    assert!(aliases.len() > 20, "{}", aliases.len());
    assert_eq!(aliases, logged_in);
}

#[test]
fn customers_are_counted_by_what_they_are_known_from_as_sql_counts_them() {
    let asked = with_visitors();
    let told = &asked.result["identity"];
    let counted = rows_of_parquet(
        &asked.files("knowledge"),
        "with known as (select customer_id, count(*) as sources from t group by customer_id)
         select source, count(*), count(*) filter (where k.sources = 1) from t inner join known as k on k.customer_id = t.customer_id
         group by source",
    );
    let counted: BTreeMap<&str, [&str; 2]> = counted.iter().map(|row| (row[0].as_str(), [row[1].as_str(), row[2].as_str()])).collect();
    let sources: Vec<&str> = told["known_from"].as_array().unwrap().iter().map(|from| from["source"].as_str().unwrap()).collect();
    // The trust order of the pipeline file, and then the others.
    assert_eq!(sources, ["crm", "login", "order", "message", "survey", "web"]);
    for from in told["known_from"].as_array().unwrap() {
        let told = [&from["customers"], &from["customers_from_it_alone"]].map(ToString::to_string);
        assert_eq!(told, counted[from["source"].as_str().unwrap()], "{from}");
    }
    let several = rows_of_parquet(
        &asked.files("knowledge"),
        "select count(*) from (select customer_id from t group by customer_id having count(*) > 1)",
    );
    assert_eq!(told["customers_from_several_sources"].to_string(), several[0][0]);
    let named = asked.ask("select split_part(customer_id, ':', 1), count(*) from customers where customer_id like '%:%' group by 1");
    let named: BTreeMap<&str, &str> = named.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    for by in told["named_by"].as_array().unwrap().iter().skip(1) {
        let kind = by["identifier_type"].as_str().unwrap();
        assert_eq!(by["customers"].to_string(), *named.get(kind).unwrap_or(&"0"), "{kind}");
    }
    // The record keeps what the summary tells.
    let record = asked.folder.path().join(format!("runs/{}/record.json", asked.result["run_id"].as_str().unwrap()));
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    assert_eq!(&record["identity"], told);
    // Unless asked for, nobody is known from visits alone.
    let usual: Vec<&str> =
        default_sample().result["identity"]["known_from"].as_array().unwrap().iter().map(|from| from["source"].as_str().unwrap()).collect();
    assert_eq!(usual, ["crm", "login", "order", "message", "survey"]);
}

/// How often the identity step reads the web extract, after the engine has taken out what cannot give a row, and how often the plan
/// says that all models do.
fn web_scans(parameters: &[(&str, &str)]) -> (usize, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let project = config::load(&package().join("pipelines/customer_segments.yaml"), &config::Environment::new()).unwrap();
        let given = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let values = config::bind(&project, SAMPLE_AS_OF.parse().unwrap(), &given).unwrap();
        let plan = segmill::plan::plan(Arc::new(project), values).await.unwrap();
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 64 << 20 }, "UTC").unwrap();
        for contract in &plan.contracts {
            let empty = Arc::new(EmptyTable::new(Arc::clone(&contract.schema)));
            engine.register(&format!("sources.{}", contract.source), empty).unwrap();
        }
        for (name, rows) in segmill::plan::reference_tables(&plan.project, &plan.values).unwrap().tables {
            engine.register_batches(&name, rows.schema(), vec![rows]).unwrap();
        }
        for node in &plan.nodes {
            let model = node.model().unwrap();
            let logical = engine.plan(&model.parsed.statement, &plan.values.parameters).await.unwrap();
            let name = node.name.clone();
            if name == "identity.edges" {
                let by_identity = reads(&engine.optimize(&logical).unwrap()).unwrap().get("sources.web").copied().unwrap_or(0);
                return (by_identity, plan.required_columns["web"].scans);
            }
            if node.is_streamed() {
                engine.register_view(&name, logical).unwrap();
            } else {
                engine.register(&name, Arc::new(EmptyTable::new(Arc::clone(&model.schema)))).unwrap();
            }
        }
        panic!("there is no model identity.edges");
    })
}

#[test]
fn visitors_who_are_not_asked_for_cost_no_reading() {
    // Devices and categories, and the digests of rows.
    assert_eq!(web_scans(&[]), (0, 3));
    assert_eq!(web_scans(&[("anonymous_visitor_min_events", "10")]), (1, 4));
}

/// Codes of near-unique texts cost more than they save: of all message ids only those of clicks are asked for, so only they get codes.
#[test]
fn message_ids_stay_texts_until_they_are_counted() {
    let project = config::load(&package().join("pipelines/customer_segments.yaml"), &config::Environment::new()).unwrap();
    let values = config::bind(&project, SAMPLE_AS_OF.parse().unwrap(), &std::collections::BTreeMap::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plan = runtime.block_on(segmill::plan::plan(Arc::new(project), values)).unwrap();
    let passed_on: Vec<(&str, Vec<&str>)> = plan
        .required_columns
        .iter()
        .map(|(source, required)| (source.as_str(), required.passed_on.iter().map(String::as_str).collect()))
        .filter(|(_, columns): &(_, Vec<_>)| !columns.is_empty())
        .collect();
    assert_eq!(passed_on, [("email", vec!["message_id"])]);
}
