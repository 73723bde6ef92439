use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::support::{default_sample, package};

/// The bytes of the sample's outputs are pinned, but for `rejected`, which names files by where they lie: a change of the code that is meant to change no value changes none. A change that is meant to
/// names what it changes in CHANGELOG.md and raises the version of the part that computes it (`src/project/of_outputs.rs`), and `SEGMILL_BLESS=1 cargo test --test it sample_digests` writes the digests anew.
#[test]
fn the_sample_gives_the_bytes_that_are_pinned() {
    let mut found = BTreeMap::new();
    for (table, files) in default_sample().bytes() {
        for bytes in files {
            found.insert(table.clone(), format!("{:x}", Sha256::digest(&bytes)));
        }
    }
    assert!(found.len() > 4, "{found:?}");
    let mut text = String::new();
    for (table, digest) in &found {
        writeln!(text, "{digest}  {table}").unwrap();
    }
    let pinned = package().join("tests/it/sample_digests.txt");
    if std::env::var_os("SEGMILL_BLESS").is_some() {
        std::fs::write(&pinned, &text).unwrap();
    }
    assert_eq!(
        text,
        std::fs::read_to_string(&pinned).unwrap(),
        "the sample's outputs are not what they were: see `src/project/of_outputs.rs`"
    );
}
