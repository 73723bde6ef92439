//! The fingerprint of a run: a digest of everything that its outputs depend on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::commit::Base;

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The source that it belongs to.
    pub source: String,
    /// Its path or URL, as people would type it.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// What the store calls this version of it: its `ETag`, or else the time of its last change.
    pub version: String,
}

/// SHA-256 of all that a run's outputs depend on. With an equal one a run would write the same again: the version of
/// Segmill, the project, the variables that its pipeline file reads, the parameters (the as-of day among them), the
/// version of every input, and the day and the state of the predecessor publication.
pub fn fingerprint(
    project_digest: &str,
    variables: &BTreeMap<&str, &str>,
    parameters: &BTreeMap<String, String>,
    inputs: &[Input],
    predecessor: Option<&Base>,
) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        // With its length before it, no text can be taken for the end of one and the start of the next.
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    add(env!("CARGO_PKG_VERSION"));
    add(project_digest);
    for (name, value) in variables {
        add(name);
        add(value);
    }
    for (name, value) in parameters {
        add(name);
        add(value);
    }
    for input in inputs {
        for text in [&input.source, &input.file, &input.bytes.to_string(), &input.version] {
            add(text);
        }
    }
    if let Some(base) = predecessor.filter(|base| !base.state.is_empty()) {
        // The changes say since which day they are.
        add(&base.as_of.to_string());
        for (name, digest) in &base.state {
            add(name);
            add(digest);
        }
        base.definition_digest.iter().chain(&base.given_digest).for_each(|digest| add(digest));
    }
    format!("{:x}", hash.finalize())
}
