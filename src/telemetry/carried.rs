//! The metrics that a file had before the run, of which those of the publication stay while runs fail.

use super::families::{FAMILIES, Family, LAST_SUCCESS, NUMBER, Sample, Scope};

/// The metrics of a file, as far as they are Segmill's.
#[derive(Debug, Default)]
pub struct Carried(Vec<Sample>);

impl Carried {
    /// Reads the text of a file. Lines that are no metrics of Segmill are passed over.
    pub fn of(text: &str) -> Self {
        let names: Vec<(String, &'static Family)> = FAMILIES.iter().map(|family| (family.prometheus_name(), family)).collect();
        Carried(text.lines().filter_map(|line| sample(line, &names)).collect())
    }

    /// The pipeline that they are of.
    pub fn pipeline(&self) -> Option<String> {
        self.0.first()?.labels.first().map(|(_, pipeline)| pipeline.clone())
    }

    /// When the last successful run ended.
    pub fn last_success(&self) -> Option<f64> {
        self.value(LAST_SUCCESS)
    }

    /// The number of the publication.
    pub fn number(&self) -> Option<u64> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was written as a whole number, and only compared")]
        self.value(NUMBER).filter(|number| *number >= 1.0).map(|number| number as u64)
    }

    /// What they say of the publication.
    pub fn of_publication(&self) -> impl Iterator<Item = Sample> + '_ {
        let stays = |sample: &&Sample| sample.family.scope == Scope::Publication && sample.family.name != LAST_SUCCESS;
        self.0.iter().filter(stays).cloned()
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|sample| sample.family.name == name).map(|sample| sample.value)
    }
}

/// A line such as `segmill_publication_customers{pipeline="shop"} 12`.
fn sample(line: &str, names: &[(String, &'static Family)]) -> Option<Sample> {
    let (name, rest) = line.split_once('{')?;
    let family = names.iter().find(|(known, _)| known == name)?.1;
    let mut labels = Vec::new();
    let mut rest = rest;
    while !rest.starts_with('}') {
        let (label, after) = rest.trim_start_matches(',').split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.push((label.to_owned(), value));
        rest = after;
    }
    let value: f64 = rest.strip_prefix('}')?.trim().parse().ok()?;
    let is_known = labels.iter().map(|(label, _)| label.as_str()).eq(std::iter::once("pipeline").chain(family.labels.iter().copied()));
    (is_known && value.is_finite()).then_some(Sample { family, labels, value })
}

/// The text up to the quotation mark that ends it, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}
