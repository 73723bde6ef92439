use crate::support::{Publication, SAMPLE_AS_OF, package};
use crate::transform::Extracts;

#[test]
fn threads_order_and_split_change_no_output_byte() {
    let shipped = package().join("examples/data");
    let first = Publication::of(&shipped, SAMPLE_AS_OF, &["--threads", "1"]);
    let second = Publication::of(&shipped, SAMPLE_AS_OF, &["--threads", "5"]);
    assert!(first.bytes() == second.bytes(), "the number of threads changes an output");

    for (seed, files) in [(1, 3), (2, 7)] {
        let folder = tempfile::tempdir().unwrap();
        Extracts::read(&shipped).shuffle(seed).write(folder.path(), files);
        let threads = files.to_string();
        let shuffled = Publication::of(folder.path(), SAMPLE_AS_OF, &["--threads", &threads]);
        for source in ["orders", "contacts", "web", "email", "survey"] {
            assert_eq!(first.ledger(source), shuffled.ledger(source), "{source}");
        }
        assert!(first.bytes() == shuffled.bytes(), "seed {seed} over {files} files changes an output");
    }
}

#[test]
fn spilling_changes_no_output_byte() {
    let shipped = package().join("examples/data");
    let at_ease = Publication::of(&shipped, SAMPLE_AS_OF, &["--threads", "2", "--memory-limit", "2GiB"]);
    assert_eq!(spilled_bytes(&at_ease), 0);
    for threads in ["1", "2"] {
        let pressed = Publication::of(&shipped, SAMPLE_AS_OF, &["--threads", threads, "--memory-limit", "64MiB"]);
        assert!(spilled_bytes(&pressed) > 0, "nothing spills, so nothing is shown");
        assert!(at_ease.bytes() == pressed.bytes(), "spilling changes an output");
    }
}

fn spilled_bytes(publication: &Publication) -> u64 {
    publication.result["steps"].as_array().unwrap().iter().map(|step| step["spilled_bytes"].as_u64().unwrap()).sum()
}
