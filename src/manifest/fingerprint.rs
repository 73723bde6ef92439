//! What a publication is made from, as digests: a run that would be made from the same publishes nothing.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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

/// All that the outputs of a run depend on, as SHA-256 digests: where all of them are equal, a run would write the same again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// How Segmill computes: the versions of the parts that compute something of the project.
    pub program: String,
    /// What the project says of the outputs, with the values of the parameters and variables that it reads. Comments and layout do not count.
    pub project: String,
    /// The version of every file of the extracts.
    pub extracts: String,
    /// The day and the state of the predecessor publication; none where nothing is taken from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<String>,
}

impl MadeFrom {
    /// All that the outputs depend on, by the digests of the program and of the project.
    pub fn of(program: String, project: String, inputs: &[Input], predecessor: Option<String>) -> Self {
        let extracts = inputs.iter().flat_map(|Input { source, file, bytes, version }| {
            [source.clone(), file.clone(), bytes.to_string(), version.clone()].into_iter()
        });
        MadeFrom { program, project, extracts: digest(extracts), predecessor }
    }

    /// The same on another predecessor publication.
    #[must_use]
    pub fn on(self, predecessor: Option<String>) -> Self {
        MadeFrom { predecessor, ..self }
    }

    /// One digest of all of them.
    pub fn fingerprint(&self) -> String {
        let MadeFrom { program, project, extracts, predecessor } = self;
        digest([program, project, extracts].into_iter().chain(predecessor))
    }

    /// Whether only the extracts are others.
    pub fn differs_in_extracts_alone(&self, other: &MadeFrom) -> bool {
        self.extracts != other.extracts && MadeFrom { extracts: self.extracts.clone(), ..other.clone() } == *self
    }
}

/// SHA-256 of texts, in hexadecimal. Each comes with its length, so that none can be taken for the end of one and the start of the next.
pub fn digest<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        let text = text.as_ref();
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(file: &str, version: &str) -> Input {
        Input { source: "orders".to_owned(), file: file.to_owned(), bytes: 10, version: version.to_owned() }
    }

    #[test]
    fn whatever_differs_shows_in_the_fingerprint() {
        let made = |program: &str, project: &str, inputs: &[Input]| MadeFrom::of(program.to_owned(), project.to_owned(), inputs, None);
        let one = made("a", "b", &[input("f", "1")]);
        assert_eq!(one.fingerprint(), made("a", "b", &[input("f", "1")]).fingerprint());
        let others = [
            made("x", "b", &[input("f", "1")]),
            made("a", "x", &[input("f", "1")]),
            made("a", "b", &[input("f", "2")]),
            made("a", "b", &[input("f", "1"), input("g", "1")]),
            made("b", "a", &[input("f", "1")]),
        ];
        for other in &others {
            assert_ne!(one.fingerprint(), other.fingerprint());
        }
        assert!(one.differs_in_extracts_alone(&others[2]) && one.differs_in_extracts_alone(&others[3]));
        assert!(!one.differs_in_extracts_alone(&one) && !one.differs_in_extracts_alone(&others[1]));
    }
}
