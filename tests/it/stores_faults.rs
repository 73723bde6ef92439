use std::fmt::Write;
use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::Duration;

use object_store::{ObjectStoreExt, PutPayload};
use rand::SeedableRng;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::Value;

use crate::readers::{listed, resolved};
use crate::servers::{faulty, s3_variables, seaweed};
use crate::stores::{DAY, Place, block_on, told};
use crate::support::tell;
use crate::tiny::Tiny;

/// After the deadline of a request a run that fails may still try to write its record, for five seconds; the rest is for
/// what a test's machine does beside.
const LAST_WORDS_MS: u64 = 5_000 + 5_000;

#[test]
#[ignore = "needs SeaweedFS and mitmproxy: see CONTRIBUTING.md; .ci/run runs it"]
fn a_network_that_fails_now_and_then_is_lived_with_and_one_that_always_fails_is_told() {
    let server = seaweed();
    let tiny = Tiny::new();
    block_on(Place::s3(&server, "faults").fill());
    let now_and_then = faulty(&server, &[("FAULT_SHARE", "0.05")]);
    let place = Place::s3(&now_and_then, "faults");
    for edition in 1..=5_u64 {
        let (code, result) = told(place.spawn(&tiny, &edition.to_string(), &[]));
        assert_eq!((code, &result["number"]), (Some(0), &edition.into()), "{result}");
    }
    let always = faulty(&server, &[("FAULT_SHARE", "1")]);
    let place = Place::s3(&always, "faults");
    let since = segmill::clock::Stopwatch::start();
    let (code, error) = told(place.spawn(&tiny, "6", &[("SEGMILL_STORE_DEADLINE_SECONDS", "5")]));
    assert_eq!(code, Some(75), "{error}");
    assert!(error.to_string().contains("times in"), "{error}");
    assert!(since.elapsed_ms() < 5_000 + LAST_WORDS_MS, "it took {} ms", since.elapsed_ms());
}

/// Nobody may wait for a store for ever: neither for extracts nor for the destination.
#[test]
fn a_store_that_never_answers_is_given_up_by_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    // Connections are taken and kept open until the test ends.
    std::thread::spawn(move || silent.incoming().collect::<Vec<_>>());
    let tiny = Tiny::new();
    let here = tiny.folder.path().to_str().unwrap();
    for (extracts, destination) in
        [("s3://shop/extracts".to_owned(), format!("{here}/out")), (format!("{here}/extracts"), "s3://shop/out".to_owned())]
    {
        let place = Place::at("", s3_variables(port));
        let since = segmill::clock::Stopwatch::start();
        let more = [("EXTRACTS", extracts.as_str()), ("DESTINATION", &destination), ("SEGMILL_STORE_DEADLINE_SECONDS", "3")];
        let (code, error) = told(place.spawn(&tiny, "1", &more));
        assert_eq!(code, Some(75), "{error}");
        assert!(error.to_string().contains("times in"), "{error}");
        assert!(since.elapsed_ms() < 3_000 + LAST_WORDS_MS, "it took {} ms", since.elapsed_ms());
    }
}

#[test]
#[ignore = "needs SeaweedFS and mitmproxy: see CONTRIBUTING.md; .ci/run runs it"]
fn a_store_that_falls_silent_is_given_up_by_the_deadline_and_the_next_run_goes_on() {
    let server = seaweed();
    let tiny = Tiny::new();
    let place = Place::s3(&server, "silent");
    let (store, root) = block_on(place.fill());
    assert_eq!(told(place.spawn(&tiny, "1", &[])).0, Some(0));
    let mut edition = 1;
    for after in [1, 9, 18, 27] {
        edition += 1;
        let silent = faulty(&server, &[("FAULT_SHARE", "1"), ("FAULT_KIND", "silent"), ("FAULT_AFTER", &after.to_string())]);
        let since = segmill::clock::Stopwatch::start();
        let run = Place::s3(&silent, "silent").spawn(&tiny, &edition.to_string(), &[("SEGMILL_STORE_DEADLINE_SECONDS", "2")]);
        let (code, error) = told(run);
        tell(&format!("silent after {after} requests: given up after {} ms", since.elapsed_ms()));
        assert_eq!(code, Some(75), "after {after}: {error}");
        // A commit whose creation is not answered is looked for, which takes as long again.
        assert!(since.elapsed_ms() < 2 * 2_000 + LAST_WORDS_MS, "after {after}: {} ms", since.elapsed_ms());
        let seen = block_on(resolved(&store, &root, DAY));
        assert!([Some(edition - 1), Some(edition)].contains(&seen), "after {after}: {seen:?}");
        assert_eq!(told(place.spawn(&tiny, &edition.to_string(), &[])).0, Some(0));
        let seen = block_on(async { (resolved(&store, &root, DAY).await, listed(&store, &root, DAY).await) });
        assert_eq!(seen, (Some(edition), Some(edition)));
    }
}

#[test]
#[ignore = "needs SeaweedFS and mitmproxy: see CONTRIBUTING.md; .ci/run runs it"]
fn a_token_that_has_expired_is_told_at_once_and_not_shown() {
    let server = seaweed();
    let tiny = Tiny::new();
    block_on(Place::s3(&server, "expired").fill());
    // At the first request, and in the middle of a run: as a file is completed, and as another is asked for.
    for after in ["0", "12", "14"] {
        let expired = faulty(&server, &[("FAULT_SHARE", "1"), ("FAULT_KIND", "expired"), ("FAULT_AFTER", after)]);
        let run = Place::s3(&expired, "expired").spawn(&tiny, "1", &[]);
        let since = segmill::clock::Stopwatch::start();
        let (code, error) = told(run);
        let text = error.to_string();
        assert!(code == Some(75) && text.contains("credentials") && text.contains("have expired"), "after {after}: {code:?} {text}");
        assert!(!text.contains("HUSHHUSH"), "{text}");
        assert!(since.elapsed_ms() < 30_000, "it is not tried again: {} ms", since.elapsed_ms());
    }
}

/// An upload whose last part is refused, and one that hangs when a signal comes.
#[test]
#[ignore = "needs SeaweedFS and mitmproxy: see CONTRIBUTING.md; .ci/run runs it"]
fn an_upload_that_comes_to_nothing_is_ended() {
    let server = seaweed();
    let tiny = Tiny::new();
    let place = Place::s3(&server, "parts");
    block_on(async {
        let (store, _) = place.fill().await;
        store.put(&"parts/extracts/large.csv".into(), PutPayload::from(large_extract())).await.unwrap();
    });
    let refused = faulty(&server, &[("FAULT_SHARE", "1"), ("FAULT_KIND", "refused"), ("FAULT_URL", "partNumber=2")]);
    let (code, error) = told(Place::s3(&refused, "parts").spawn(&tiny, "1", &[]));
    assert_eq!(code, Some(75), "{error}");
    assert_all_ended(&refused.asked());

    let silent = faulty(&server, &[("FAULT_SHARE", "1"), ("FAULT_KIND", "silent"), ("FAULT_URL", "partNumber=")]);
    let run = Place::s3(&silent, "parts").spawn(&tiny, "1", &[]);
    let since = segmill::clock::Stopwatch::start();
    while !silent.asked().contains("partNumber=") {
        assert!(since.elapsed_ms() < 120_000, "no part was put");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (code, error) = terminated(run);
    assert_eq!(code, Some(143), "{error}");
    assert_all_ended(&silent.asked());
}

/// Every upload that was begun was ended. How many there were is chance: both tables are large, and written at once.
fn assert_all_ended(asked: &str) {
    let of = |method: &str, part: &str| asked.lines().filter(|line| line.starts_with(method) && line.contains(part)).count();
    let (begun, ended) = (of("POST", "?uploads"), of("DELETE", "uploadId="));
    assert!(begun > 0);
    assert_eq!(begun, ended, "begun and ended");
}

/// Ends a run with a signal: its exit code and what it told, within the two seconds that it has.
fn terminated(run: Child) -> (Option<i32>, Value) {
    let since = segmill::clock::Stopwatch::start();
    assert!(Command::new("kill").args(["-s", "TERM", &run.id().to_string()]).status().unwrap().success());
    let told = told(run);
    assert!(since.elapsed_ms() < 2_000, "it took {} ms", since.elapsed_ms());
    told
}

/// So many customers with names that cannot be compressed that a table of them goes up in two parts.
fn large_extract() -> String {
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(3);
    let mut text = "customer_id,ordered_at\n".to_owned();
    for _ in 0..400_000 {
        let customer = Alphanumeric.sample_string(&mut random, 44);
        writeln!(text, "{customer},2026-10-01T10:00:00Z").unwrap();
    }
    text
}
