use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Publication, package};

const AS_OF: &str = "2025-12-01";
/// What a run ends with that refuses the data.
pub const REFUSED: i32 = 3;

/// Copies a folder over another.
pub fn lay_over(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            lay_over(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Extracts in which nobody says anything: an order, a web event, headers.
pub fn quiet_extracts() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    lay_over(&package().join("tests/refusals/common"), folder.path());
    std::fs::create_dir(folder.path().join("email")).unwrap();
    std::fs::write(folder.path().join("email/email.ndjson"), "").unwrap();
    folder
}

fn extracts_of(case: &str) -> TempDir {
    let folder = quiet_extracts();
    lay_over(&package().join("tests/refusals").join(case), folder.path());
    folder
}

/// Runs a project on extracts: what it published, or the code that it ended with and what it said.
pub fn attempt(project: &Path, extracts: &Path) -> Result<Publication, (Option<i32>, String)> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_segmill"))
        .args(["run", "pipelines/customer_segments.yaml", "--as-of", AS_OF, "--format", "json", "--destination"])
        .arg(folder.path())
        .current_dir(project)
        .env("EXTRACTS", extracts)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err((output.status.code(), told + &String::from_utf8_lossy(&output.stderr)));
    }
    Ok(Publication { folder, result: serde_json::from_str(&told).unwrap() })
}

/// A copy of the shipped project with its pipeline file changed.
pub fn project_with(changes: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    lay_over(&package().join("sql"), &folder.path().join("sql"));
    std::fs::create_dir(folder.path().join("pipelines")).unwrap();
    let mut text = std::fs::read_to_string(package().join("pipelines/customer_segments.yaml")).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "the pipeline file has no `{from}`");
        text = text.replace(from, to);
    }
    std::fs::write(folder.path().join("pipelines/customer_segments.yaml"), text).unwrap();
    folder
}

/// By customer, why they must not be written to: by e-mail, by text message, by letter.
pub fn reasons(publication: &Publication) -> BTreeMap<String, [String; 3]> {
    let asked = "select customer_id, coalesce(no_email_reason, 'may'), coalesce(no_sms_reason, 'may'), coalesce(no_post_reason, 'may')
                 from customers";
    let rows = publication.ask(asked).into_iter();
    rows.map(|row| <[String; 4]>::try_from(row).unwrap()).map(|[customer, email, sms, post]| (customer, [email, sms, post])).collect()
}

fn published(case: &str) -> Publication {
    attempt(package(), extracts_of(case).path()).unwrap_or_else(|(code, told)| panic!("{case}: {code:?}\n{told}"))
}

#[test]
fn every_identifier_of_an_order_to_suppress_counts() {
    let publication = published("13-several-identifiers");
    let reasons = reasons(&publication);
    for customer in ["c1", "c2", "c3", "c4"] {
        assert_eq!(reasons[customer], ["suppressed"; 3], "{customer}");
    }
    assert_eq!(publication.ask("select count(*) from unmatched_opt_outs"), [["0"]]);
}

#[test]
fn an_unsubscribe_that_names_an_address_in_any_way_is_of_whoever_has_the_address() {
    let publication = published("18-address-forms");
    let reasons = reasons(&publication);
    for customer in 1..=7 {
        assert_eq!(reasons[&format!("c{customer}")], ["unsubscribed", "no_address", "may"], "c{customer}");
    }
    assert_eq!(publication.ask("select count(*) from unmatched_opt_outs"), [["0"]]);
}

#[test]
fn of_a_yes_and_a_no_of_one_moment_the_no_stands() {
    let reasons = reasons(&published("15-same-moment"));
    for customer in ["c1", "c2", "c3"] {
        assert_eq!(reasons[customer][0], "no_consent", "{customer}");
    }
}

/// The rows are few among many good ones, so that no budget is exceeded.
#[test]
fn a_no_in_a_row_with_something_else_wrong_stands() {
    let extracts = extracts_of("14-bad-rows");
    let append = |file: &str, rows: String| {
        let path: PathBuf = extracts.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + &rows).unwrap();
    };
    append("crm/contacts.csv", (0..300).map(|n| format!("g{n},2025-01-01T00:00:00Z,g{n}@mail.example,,,,,,,,,,,,,,Y,Y,Y\n")).collect());
    let event = |n: u32| {
        format!(
            "{{\"event_id\": {n}, \"occurred_at\": \"2025-05-01T00:00:00Z\", \"message_id\": \"m{n}\", \"campaign\": \"x\", \
             \"channel\": \"email\", \"email\": \"g{n}@mail.example\", \"phone\": null, \"event\": \"sent\", \"bounce_type\": null}}\n"
        )
    };
    append("email/email.ndjson", (0..300).map(event).collect());
    let publication = match attempt(package(), extracts.path()) {
        Ok(publication) => publication,
        Err((code, told)) => panic!("{code:?}: {told}"),
    };
    let reasons = reasons(&publication);
    for (customer, expected) in [("c1", "no_consent"), ("c2", "no_consent"), ("c3", "unsubscribed"), ("c4", "unsubscribed")] {
        assert_eq!(reasons[customer][0], expected, "{customer}");
    }
    assert_eq!(reasons["g7"][0], "may");
}

#[test]
fn guests_stay_guests_whatever_their_number_says() {
    let extracts = extracts_of("06-words-for-nobody");
    // Other contacts: these have days of birth that are not the matter here.
    lay_over(&package().join("tests/refusals/15-same-moment/crm"), &extracts.path().join("crm"));
    let publication = attempt(package(), extracts.path()).unwrap_or_else(|(code, told)| panic!("{code:?}: {told}"));
    let customers = publication.ask("select customer_id from customers where has_orders");
    assert_eq!(customers, [["17850"]]);
    let blocked = publication.ask("select identifier from identity_conflicts where reason = 'blocked' order by identifier");
    assert_eq!(blocked, [["NULL"], ["\\N"], ["nan"]]);
}

#[test]
fn a_contact_whose_day_of_birth_is_a_word_for_no_value_stays_a_contact() {
    let publication = published("06-words-for-nobody");
    let customers = publication.ask("select customer_id from customers order by customer_id");
    assert_eq!(customers, [["17850"], ["c1"], ["c2"], ["c3"]]);
}
