//! What a project says of who is in which segment, part by part, however it is written: the definition of the segments.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{AS_OF, Environment, Project, Said, variables_in};
use crate::graph::{DeclaredKind, EDGES, Graph, MEMBERSHIP, REFERENCE, SEGMENTS, SOURCES};
use crate::manifest::{self, Commit};
use crate::native;
use crate::sql;

/// A kind of what a definition consists of, as the causes of movements tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The segments: their rules, permissions and what keeps customers in them.
    Rule,
    /// The SQL models that the memberships are made from.
    Model,
    /// The values of the parameters that models and rules read.
    Parameter,
    /// The contracts of the sources that the models read.
    Contract,
    /// The rules of the identity step.
    Identity,
    /// The reference tables that the models read.
    Reference,
    /// The native steps that the pipeline file declares and models read, of a kind.
    Declared(DeclaredKind),
    /// What holds for all of them: the time zone, and the words for no value.
    Setting,
}

impl Part {
    /// As `cause_detail` says it.
    pub fn word(self) -> &'static str {
        match self {
            Part::Rule => "rule",
            Part::Model => "model",
            Part::Parameter => "parameter",
            Part::Contract => "contract",
            Part::Identity => "identity",
            Part::Reference => "reference",
            Part::Declared(kind) => kind.word(),
            Part::Setting => "setting",
        }
    }
}

/// What a project says of who is in which segment.
#[derive(Debug, Clone)]
pub struct Definition {
    /// SHA-256 of all that it says.
    pub digest: String,
    /// SHA-256 of what the environment gives for variables in it; none where there are none that are set.
    pub given_digest: Option<String>,
    parts: BTreeMap<(Part, String), String>,
    /// The parameters that the models read.
    read_by_models: BTreeSet<String>,
    /// Whether the models read what is said of the segments.
    reads_segments: bool,
    /// The sets by whose rules customers are found who are like their members, which models read.
    sets_searched: BTreeSet<String>,
}

/// In what two definitions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The kinds of what differs; none where the definitions are the same.
    pub parts: BTreeSet<Part>,
    /// Whether the profile of the customers is made alike, so that only the rules over it differ.
    pub is_of_rules_alone: bool,
}

impl Difference {
    /// What differs, as `cause_detail` says it.
    pub fn detail(&self) -> String {
        self.parts.iter().map(|part| part.word()).collect::<Vec<_>>().join(", ")
    }
}

impl Definition {
    /// What a project says, with its parameters as they are shown.
    pub fn of(project: &Project, parameters: &BTreeMap<String, String>, environment: &Environment) -> Self {
        let graph = Graph::of(project, native::steps(project));
        let needed = graph.behind([MEMBERSHIP.to_owned()]);
        let models = || project.models.iter().filter(|model| needed.contains(&model.name()));
        let (mut reads, mut read_by_models) = (BTreeSet::new(), BTreeSet::new());
        let mut parts = BTreeMap::new();
        for model in models() {
            if let Ok((statement, _)) = sql::parse(&model.file) {
                reads.extend(sql::tables(&model.file, &statement).into_iter().map(|table| table.name));
                read_by_models.extend(sql::parameters(&model.file, &statement).into_iter().map(|parameter| parameter.name));
            }
            parts.insert((Part::Model, model.name()), sql::canonical(&model.file.text));
        }
        let reads_segments = reads.contains(SEGMENTS);
        let sets_searched = sets_searched(project, &reads);
        let searched = sets_searched.iter().filter_map(|set| project.pipeline.segments.get(set)).flat_map(|set| &set.segments);
        let of_searched = searched.map(|segment| segment.when.value.as_str()).collect::<Vec<_>>().join("\n");
        read_by_models.extend(parameters.keys().filter(|name| mentions(&of_searched, name)).cloned());
        if let Some(said) = Said::of(&project.file.text) {
            let has_identity = models().any(|model| model.name() == EDGES);
            parts.extend(of_file(&said, &reads, reads_segments, has_identity));
        }
        let of_rules: String = parts.iter().filter(|((part, _), _)| *part == Part::Rule).map(|(_, text)| text.as_str()).collect();
        let is_read = |name: &str| name != AS_OF && (read_by_models.contains(name) || mentions(&of_rules, name));
        let read = parameters.iter().filter(|(name, _)| is_read(name));
        parts.extend(read.map(|(name, value)| ((Part::Parameter, name.clone()), value.clone())));
        let digest = manifest::digest(parts.iter().flat_map(|((part, name), text)| [part.word(), name, text]));
        let given = given(&parts, environment);
        let given_digest = (!given.is_empty())
            .then(|| manifest::digest([digest.as_str()].into_iter().chain(given.into_iter().flat_map(|(name, value)| [name, value]))));
        Definition { digest, given_digest, parts, read_by_models, reads_segments, sets_searched }
    }

    /// Whether it is the one of a publication, with the same values from the environment.
    pub fn is_of(&self, commit: &Commit) -> bool {
        commit.definition_digest.as_ref() == Some(&self.digest) && commit.given_digest == self.given_digest
    }

    /// In what it differs from another one.
    pub fn difference(&self, other: &Definition) -> Difference {
        let keys: BTreeSet<&(Part, String)> = self.parts.keys().chain(other.parts.keys()).collect();
        let differs = |key: &&(Part, String)| match (self.parts.get(*key), other.parts.get(*key)) {
            // That one is read by one of them alone is an edit of what reads it.
            (None, _) | (_, None) if key.0 == Part::Parameter => false,
            (one, other) => one != other,
        };
        let differing: Vec<&(Part, String)> = keys.into_iter().filter(differs).collect();
        let is_of_profile = |(part, name): &(Part, String)| match part {
            Part::Rule => [self, other].iter().any(|of| of.reads_segments || of.sets_searched.contains(name)),
            Part::Parameter => self.read_by_models.contains(name) || other.read_by_models.contains(name),
            _ => true,
        };
        let is_of_rules_alone = !differing.iter().any(|key| is_of_profile(key));
        Difference { parts: differing.into_iter().map(|(part, _)| *part).collect(), is_of_rules_alone }
    }

    /// Whether a source is found and its files are chosen in the same way.
    pub fn chooses_files_alike(one: &Project, other: &Project, source: &str) -> bool {
        let said = |project: &Project| {
            let said = Said::of(&project.file.text)?;
            let keys = ["kind", "day_in_path"];
            Some(keys.map(|key| said.part(&["sources", source, key], &|_| false)))
        };
        said(one) == said(other)
    }
}

/// The sets by whose rules customers are found who are like their members, as far as models read them.
fn sets_searched(project: &Project, reads: &BTreeSet<String>) -> BTreeSet<String> {
    let read = project.pipeline.look_alikes.iter().filter(|(name, _)| reads.contains(&DeclaredKind::LookAlikes.table(name)));
    read.map(|(_, look_alikes)| look_alikes.similar_to.segment_set.value.clone()).collect()
}

/// The parts that stand in the pipeline file.
fn of_file(said: &Said, reads: &BTreeSet<String>, with_descriptions: bool, has_identity: bool) -> BTreeMap<(Part, String), String> {
    let mut parts = BTreeMap::new();
    let mut add = |part: Part, keys: &[&str], is_left_out: &dyn Fn(&[&str]) -> bool| {
        let name = keys.last().copied().unwrap_or_default().to_owned();
        parts.extend(said.part(keys, is_left_out).map(|text| ((part, name), text)));
    };
    for setting in ["time_zone", "null_values"] {
        add(Part::Setting, &[setting], &|_| false);
    }
    let given = [(SOURCES, SOURCES, Part::Contract), (REFERENCE, REFERENCE, Part::Reference)];
    for (section, schema, part) in given {
        for name in said.names(&[section]).iter().filter(|name| reads.contains(&format!("{schema}.{name}"))) {
            add(part, &[section, name], &|keys| is_not_of_rows(keys));
        }
    }
    for kind in DeclaredKind::ALL {
        for name in said.names(&[kind.section()]).iter().filter(|name| kind.tables(name).iter().any(|table| reads.contains(table))) {
            add(Part::Declared(kind), &[kind.section(), name], &|keys| is_not_of_rows(keys));
        }
    }
    if has_identity {
        add(Part::Identity, &["identity"], &|keys| is_description(keys) || matches!(keys, ["salt" | "lookup"]));
    }
    let sets = said.names(&["segments"]);
    for set in &sets {
        add(Part::Rule, &["segments", set], &|keys| !with_descriptions && (is_description(keys) || matches!(keys, ["segments", "action"])));
    }
    // A rule may read the sets before its own.
    parts.insert((Part::Rule, String::new()), sets.join("\n"));
    parts
}

/// Whether what stands under some keys only says in words what something is.
fn is_description(keys: &[&str]) -> bool {
    // Columns and types may have this name.
    matches!(keys, [.., "description"]) && !matches!(keys, [.., "columns" | "types", _])
}

/// Whether what stands under some keys of a source decides whether a run goes on, where files are or to whom rows lead, and not which rows
/// there are.
fn is_not_of_rows(keys: &[&str]) -> bool {
    is_description(keys) || matches!(keys, ["location" | "reject_budget" | "freshness" | "leads_to" | "min_files" | "min_rows"])
}

/// Whether rules mention a parameter.
pub(super) fn mentions(rules: &str, parameter: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = rules;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if rest.strip_prefix(parameter).is_some_and(|after| !after.starts_with(is_of_name)) {
            return true;
        }
    }
    false
}

/// The variables that the parts name and that are set, with their values.
fn given<'a>(parts: &'a BTreeMap<(Part, String), String>, environment: &'a Environment) -> BTreeMap<&'a str, &'a str> {
    let texts = parts.iter().filter(|((part, _), _)| *part != Part::Model).map(|(_, text)| text.as_str());
    texts.flat_map(variables_in).filter_map(|name| Some((name, environment.get(name)?.as_str()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_mentioned_by_its_whole_name() {
        for (rules, is_mentioned) in
            [("x > $many", true), ("$many", true), ("$manyfold > 1 and $many_more", false), ("$ many", false), ("many", false)]
        {
            assert_eq!(mentions(rules, "many"), is_mentioned, "{rules}");
        }
    }

    #[test]
    fn what_only_describes_is_left_out_and_columns_of_that_name_are_not() {
        for (keys, is) in [
            (&["description"][..], true),
            (&["segments", "description"], true),
            (&["columns", "email", "description"], true),
            (&["columns", "description"], false),
            (&["types", "description"], false),
            (&["types", "email", "description"], true),
        ] {
            assert_eq!(is_description(keys), is, "{keys:?}");
        }
    }
}
