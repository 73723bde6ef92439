//! What variables and arguments say of events, and the names of runs.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::event::uuid_of;
use super::parent::parent;
use super::settings::settings;
use crate::config::Environment;

const RUN: &str = "f99310b4-3c3c-1a1a-2b2b-c1b95c24ff11";

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Where events go, and what is told of what cannot be used.
fn target(typed: Option<&str>, variables: &[(&str, &str)]) -> (Option<String>, Vec<String>) {
    let mut warnings = Vec::new();
    let found = settings(typed, &environment(variables), &mut warnings);
    let told = found.map(|settings| match settings.target {
        super::settings::Target::File(path) => path.display().to_string(),
        super::settings::Target::Http { url, api_key } => format!("{url} {}", api_key.unwrap_or_default()),
    });
    (told, warnings)
}

#[test]
fn events_go_where_the_clients_of_openlineage_send_them() {
    let of = |typed, variables: &[(&str, &str)]| target(typed, variables).0;
    let url = ("OPENLINEAGE_URL", "http://marquez:5000");
    assert_eq!(of(None, &[]), None);
    assert_eq!(of(None, &[url]).unwrap(), "http://marquez:5000/api/v1/lineage ");
    assert_eq!(
        of(None, &[("OPENLINEAGE_URL", "https://host/base/"), ("OPENLINEAGE_API_KEY", "key")]).unwrap(),
        "https://host/base/api/v1/lineage key"
    );
    assert_eq!(of(None, &[url, ("OPENLINEAGE_ENDPOINT", "/events")]).unwrap(), "http://marquez:5000/events ");
    assert_eq!(of(Some("http://other"), &[url]).unwrap(), "http://other/api/v1/lineage ");
    assert_eq!(of(Some("events.ndjson"), &[url]).unwrap(), "events.ndjson");
    assert_eq!(of(Some("events.ndjson"), &[url, ("OPENLINEAGE_DISABLED", "True")]), None);
    for wrong in ["ftp://host", "https://user:hush@host", "http://", "marquez:5000"] {
        let (found, warnings) = target(None, &[("OPENLINEAGE_URL", wrong)]);
        assert_eq!(found, None, "{wrong}");
        assert!(warnings[0].contains("OPENLINEAGE_URL") && !warnings[0].contains("hush"), "{warnings:?}");
    }
}

#[test]
fn the_parent_is_told_as_orchestrators_say_it() {
    let of = |variables: &[(&str, &str)]| {
        let mut warnings = Vec::new();
        (parent(&environment(variables), &mut warnings), warnings)
    };
    let told = |namespace: &str, job: &str| json!({"run": {"runId": RUN}, "job": {"namespace": namespace, "name": job}});
    let id = format!("airflow/dag.task/{RUN}");
    let (found, _) = of(&[("OPENLINEAGE_PARENT_ID", &id)]);
    let found = found.unwrap();
    assert_eq!(json!({"run": found["run"], "job": found["job"]}), told("airflow", "dag.task"));
    assert_eq!(found["root"], told("airflow", "dag.task"), "without a root the parent is it");

    let url = format!("https://airflow.example/x/dag.task/{RUN}");
    let root = format!("airflow/dag/{RUN}");
    let (found, _) = of(&[("OPENLINEAGE_PARENT_ID", &url), ("OPENLINEAGE_ROOT_PARENT_ID", &root)]);
    let found = found.unwrap();
    assert_eq!(found["job"]["namespace"], "https://airflow.example/x");
    assert_eq!(found["root"], told("airflow", "dag"));

    let context = json!({"parent": {"run": {"runId": RUN}, "job": {"namespace": "a", "name": "b"}, "root": told("c", "d")}}).to_string();
    let (found, _) = of(&[("OPENLINEAGE_CONTEXT", &context), ("OPENLINEAGE_PARENT_ID", &id)]);
    let found = found.unwrap();
    assert_eq!((found["job"]["name"].as_str(), found["root"]["job"]["name"].as_str()), (Some("b"), Some("d")));

    for wrong in [("OPENLINEAGE_PARENT_ID", "airflow/dag/4711"), ("OPENLINEAGE_PARENT_ID", "hush"), ("OPENLINEAGE_CONTEXT", "{}")] {
        let (found, warnings) = of(&[wrong]);
        assert!(found.is_none() && warnings[0].contains(wrong.0) && !warnings[0].contains(wrong.1), "{warnings:?}");
    }
    assert_eq!(of(&[]), (None, Vec::new()));
}

#[test]
fn runs_are_named_by_their_record() {
    let at: DateTime<Utc> = "2026-11-27T04:15:00.123Z".parse().unwrap();
    let uuid = uuid_of("2026-11-27-20261127T041500Z-00000001", at);
    assert_eq!(uuid, uuid_of("2026-11-27-20261127T041500Z-00000001", at));
    assert_ne!(uuid, uuid_of("2026-11-27-20261127T041500Z-00000002", at));
    assert_eq!((uuid.get_version_num(), uuid.as_u128() >> 80), (7, u128::try_from(at.timestamp_millis()).unwrap()));
}
