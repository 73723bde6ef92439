//! The page about the project itself: it names everything, shows text as text, and says nothing that the environment gives.

use std::process::Output;

use regex::Regex;

use crate::support::package;
use crate::tiny::{PIPELINE, Tiny};

/// The page of the shipped project.
fn shipped() -> (String, Output) {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let output = crate::support::segmill(package(), &["docs", "--output", page.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (std::fs::read_to_string(page).unwrap(), output)
}

fn page_of(tiny: &Tiny, environment: &[(&str, &str)]) -> String {
    let output =
        tiny.command(&["docs", "pipelines/tiny.yaml", "--output", "page.html"]).envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tiny.read("page.html")
}

/// What the page says in words, without its marks.
fn words(page: &str) -> String {
    Regex::new(r"(?s)<style>.*?</style>|<script>.*?</script>|<[^>]*>").unwrap().replace_all(page, "\n").into_owned()
}

#[test]
fn it_names_every_source_model_column_segment_and_output_of_the_shipped_project() {
    let (page, output) = shipped();
    assert!(String::from_utf8_lossy(&output.stderr).contains("The project is described in"), "{output:?}");
    let said = words(&page);
    let lines: std::collections::BTreeSet<&str> = said.lines().map(str::trim).collect();
    let file = std::fs::read_to_string(package().join("pipelines/customer_segments.yaml")).unwrap();
    let pipeline: serde_json::Value = serde_yaml_as_json(&file);
    let names = |section: &str| pipeline[section].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let sources = names("sources").into_iter().map(|name| format!("sources.{name}"));
    let columns =
        pipeline["sources"].as_object().unwrap().values().flat_map(|source| source["columns"].as_object().unwrap().keys().cloned());
    let profile = pipeline["profile"]["columns"].as_object().unwrap();
    let segments = pipeline["segments"].as_object().unwrap().values().flat_map(|set| set["segments"].as_array().unwrap());
    let segments = segments.map(|segment| segment["name"].as_str().unwrap().to_owned());
    let outputs = pipeline["outputs"]["tables"].as_object().unwrap().keys().cloned();
    let mut models = Vec::new();
    for entry in walkdir::WalkDir::new(package().join("sql")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(package().join("sql")).unwrap().with_extension("");
            models.push(path.to_str().unwrap().replace('/', "."));
        }
    }
    assert!(models.len() > 30);
    let parameters = names("parameters").into_iter().map(|name| format!("${name}"));
    let all = sources.chain(columns).chain(profile.keys().cloned()).chain(segments).chain(names("segments")).chain(outputs).chain(models);
    for name in all.chain(parameters) {
        assert!(lines.contains(name.as_str()), "{name} is not named");
    }
    let descriptions = profile.values().filter_map(|column| column["description"].as_str());
    for description in descriptions {
        assert!(page.contains(&escaped(description)), "{description}");
    }
    assert!(said.contains("every customer is in exactly one segment"), "the proofs are told");
    // Every link leads to a part of the page, and no part has the name of another.
    let ids: Vec<&str> = Regex::new(r#" id="([^"]*)""#).unwrap().captures_iter(&page).map(|found| found.get(1).unwrap().as_str()).collect();
    let known: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(known.len(), ids.len());
    for link in Regex::new(r##"href="#([^"]*)""##).unwrap().captures_iter(&page) {
        assert!(known.contains(&link[1]), "{}", &link[1]);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;").replace('\'', "&#39;")
}

fn serde_yaml_as_json(text: &str) -> serde_json::Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn it_loads_nothing_and_the_same_project_gives_the_same_bytes() {
    let (one, _) = shipped();
    assert_eq!(one, shipped().0);
    assert!(one.len() < 2_000_000, "{}", one.len());
    assert!(one.contains("default-src 'none'") || one.contains("default-src &#39;none&#39;"));
    for loads in ["http://", "https://", "src=", "<link", "<img", " style=", "@import", "url("] {
        assert!(!one.contains(loads), "{loads}");
    }
    assert!(!Regex::new(r"<[^>]* on[a-z]+=").unwrap().is_match(&one), "no script stands in an attribute");
}

#[test]
fn names_and_descriptions_stay_text() {
    let tiny = Tiny::new();
    let hostile = "<script>alert(1)</script> \"'&amp; <b>";
    let quoted = serde_json::Value::from(hostile).to_string();
    let pipeline = PIPELINE
        .replace("Came back", &quoted)
        .replace("Thank them", &quoted)
        .replace("name: buyers", &format!("name: {quoted}"))
        .replace("name: tiny\n", &format!("name: {quoted}\ndescription: {quoted}\n"))
        .replace("Stands in every row and so tells publications apart", &quoted);
    tiny.write("pipelines/tiny.yaml", &pipeline);
    tiny.write("sql/staging/orders.sql", "-- </pre><script>alert(2)</script>\nselect customer_id, ordered_at from sources.orders\n");
    let page = page_of(&tiny, &[]);
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    assert!(!page.contains("alert(1)</script>") && !page.contains("</pre><script>"));
    assert!(page.matches("&#60;script&#62;alert(1)").count() >= 5, "{}", page.matches("&#60;script&#62;alert(1)").count());
}

#[test]
fn nothing_that_the_environment_gives_and_no_credentials_are_shown() {
    let tiny = Tiny::new();
    let pipeline = PIPELINE
        .replace("${EXTRACTS:-extracts}/*.csv", "https://user:hunter2@${BUCKET}/orders.csv")
        .replace("    event_time:", "    description: ${ABOUT}\n    event_time:")
        .replace("name: tiny\n", "name: tiny\nidentity:\n  salt: saltsecret\n")
        .replace(
            "      - {name: buyers, when: orders > 1, description: Came back, action: Thank them, channel: email}",
            "      - name: buyers\n        when: ${RULE}\n        description: Came back\n        action: Thank them\n        channel: email",
        )
        .replace(
            "  edition: {type: integer, default: '1', description: Stands in every row and so tells publications apart}",
            "  edition:\n    type: integer\n    default: ${EDITION}",
        )
        .replace("    event_time: ordered_at\n", "    event_time: ordered_at\n    min_rows: ${LEAST}\n");
    tiny.write("pipelines/tiny.yaml", &pipeline);
    let given =
        [("BUCKET", "secret-bucket"), ("ABOUT", "secret-words"), ("RULE", "orders > 424242"), ("EDITION", "4711"), ("LEAST", "313131")];
    let page = page_of(&tiny, &given);
    for secret in ["secret-", "424242", "4711", "313131", "hunter2", "saltsecret"] {
        assert!(!page.contains(secret), "{secret}");
    }
    for shown in ["${BUCKET}", "${ABOUT}", "${RULE}", "${EDITION}", "${LEAST}"] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn a_project_that_is_wrong_is_told_as_validate_tells_it_and_no_page_is_written() {
    let tiny = Tiny::new();
    tiny.write("sql/customers.sql", "-- A customer.\nselect customer_id, nothing from staging.orders\n");
    let docs = tiny.command(&["docs", "pipelines/tiny.yaml", "--output", "page.html"]).output().unwrap();
    let validate = tiny.command(&["validate", "pipelines/tiny.yaml"]).output().unwrap();
    assert_eq!((docs.status.code(), &docs.stderr), (Some(2), &validate.stderr));
    assert!(!docs.stderr.is_empty() && !tiny.folder.path().join("page.html").exists());
}

#[test]
fn what_is_made_of_what_is_told_column_by_column() {
    let tiny = Tiny::new();
    let page = page_of(&tiny, &[]);
    // The column of the source has a part in the rule through both models: `orders` counts its rows by customer.
    let customers = &page[page.find("id=\"model-model-customers\"").unwrap()..];
    let customers = &customers[..customers.find("</article>").unwrap()];
    assert!(customers.contains("staging.orders.customer_id"), "{customers}");
    let row = &customers[customers.find("<code>orders</code>").unwrap()..];
    assert!(row[..row.find("</tr>").unwrap()].contains("value.buyers"), "{row}");
}
