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
