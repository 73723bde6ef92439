//! What has changed between two versions of a project: files, models, segments with their rules, parameters, and other parts of the
//! pipeline file.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Serialize;

use super::definition::{Definition, Part};
use super::version::Version;
use crate::config::{AS_OF, Environment, Said, Segment, SegmentSet, Spanned};
use crate::graph::DeclaredKind;
use crate::sql;

/// How something has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It says something else.
    Edited,
    /// It says the same in other words: comments, layout, quotes.
    Rewritten,
}

/// A file that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path in the project.
    pub path: String,
    /// The model that it is; none for the pipeline file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How it has changed.
    pub edit: Edit,
}

/// A rule or another key of a segment or a set that has changed. Texts are as the file has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// The set.
    pub segment_set: String,
    /// The segment; none for a key of the set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// The key, such as `when`, or `order` for the order of the segments.
    pub key: String,
    /// What it was; none for what is new.
    pub old: Option<String>,
    /// What it is; none for what is gone.
    pub new: Option<String>,
    /// How it has changed.
    pub edit: Edit,
}

/// A parameter whose value has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParameterChange {
    /// Its name.
    pub name: String,
    /// Its value before; none where there was no such parameter.
    pub old: Option<String>,
    /// Its value; none where there is no such parameter any more.
    pub new: Option<String>,
}

/// A part of the pipeline file that has changed, beside segments and parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartChange {
    /// Its keys, such as `sources.orders`.
    pub part: String,
    /// How it has changed.
    pub edit: Edit,
}

/// What has changed between two versions of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The files, in order of path.
    pub files: Vec<FileChange>,
    /// The keys of segments and sets, in the order of the new pipeline file; what is gone comes last.
    pub rules: Vec<RuleChange>,
    /// The parameters, in order of name, the as-of day left out.
    pub parameters: Vec<ParameterChange>,
    /// The other parts of the pipeline file.
    pub parts: Vec<PartChange>,
    /// The kinds of what differs in the definition of the segments, as `cause_detail` tells them; none where that is the same.
    pub definition: Vec<&'static str>,
}

impl Changes {
    /// Whether nothing has changed, not even in the words.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.parameters.is_empty()
    }
}

/// The parts of the pipeline file that are told one by one.
fn parted() -> impl Iterator<Item = &'static str> {
    ["sources", "reference"].into_iter().chain(DeclaredKind::ALL.map(DeclaredKind::section)).chain(["outputs"])
}

/// Those that are told as a whole.
const WHOLE: [&str; 10] =
    ["name", "description", "time_zone", "null_values", "profile", "identity", "traits", "report", "notify", "checks"];

/// What has changed from one version of a project to another.
pub fn changes(old: &Version, new: &Version, environment: &Environment) -> Changes {
    let definition_of = |version: &Version| Definition::of(&version.project, &version.parameters, environment);
    let difference = definition_of(new).difference(&definition_of(old));
    Changes {
        files: files(old, new),
        rules: rules(old, new),
        parameters: parameters(old, new),
        parts: parts(old, new),
        definition: difference.parts.into_iter().map(Part::word).collect(),
    }
}

/// How something has changed, if it has; `canonical` is what it says however it is written.
fn edit(old: Option<&str>, new: Option<&str>, canonical: impl Fn(&str) -> Option<String>) -> Option<Edit> {
    match (old, new) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) if canonical(old).is_some_and(|said| Some(said) == canonical(new)) => Some(Edit::Rewritten),
        (Some(_), Some(_)) => Some(Edit::Edited),
        (None, Some(_)) => Some(Edit::Added),
        (Some(_), None) => Some(Edit::Removed),
        (None, None) => None,
    }
}

fn files(old: &Version, new: &Version) -> Vec<FileChange> {
    let texts = |version: &'_ Version| -> BTreeMap<String, String> {
        version.kept.files.iter().map(|file| (file.path.clone(), file.text.clone())).collect()
    };
    let (before, after) = (texts(old), texts(new));
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter_map(|path| {
        let is_pipeline = [old, new].iter().any(|version| version.kept.pipeline == *path);
        let said = |text: &str| if is_pipeline { Said::of(text)?.part(&[], &|_| false) } else { Some(sql::canonical(text)) };
        let edit = edit(before.get(path).map(String::as_str), after.get(path).map(String::as_str), said)?;
        let model = |version: &Version| {
            let of_path = |model: &&crate::config::Model| version.project.path_of(&model.file) == *path;
            version.project.models.iter().find(of_path).map(crate::config::Model::name)
        };
        Some(FileChange { path: path.clone(), model: model(new).or_else(|| model(old)), edit })
    });
    changed.collect()
}

/// A key of a segment or of a set.
type Key = (String, Option<String>, String);

fn rules(old: &Version, new: &Version) -> Vec<RuleChange> {
    let (before, after) = (rules_of(&old.project.pipeline.segments), rules_of(&new.project.pipeline.segments));
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let changed = after.keys().chain(gone).filter_map(|key| {
        let (old, new) = (before.get(key), after.get(key));
        let edit = edit(old.map(String::as_str), new.map(String::as_str), |text| Some(sql::canonical(text)))?;
        let (segment_set, segment, name) = key.clone();
        // Of what is new or gone as a whole, one line is enough.
        let whole = |rules: &IndexMap<Key, String>| match &segment {
            Some(_) => rules.contains_key(&(segment_set.clone(), segment.clone(), "when".to_owned())),
            None => rules.contains_key(&(segment_set.clone(), None, "kind".to_owned())),
        };
        let has_set = |rules: &IndexMap<Key, String>| rules.contains_key(&(segment_set.clone(), None, "kind".to_owned()));
        let is_first = name == if segment.is_some() { "when" } else { "kind" };
        let is_told = match edit {
            Edit::Edited | Edit::Rewritten => true,
            Edit::Added => whole(&before) || is_first && (segment.is_none() || has_set(&before)),
            Edit::Removed => whole(&after) || is_first && (segment.is_none() || has_set(&after)),
        };
        is_told.then(|| RuleChange { segment_set, segment, key: name, old: old.cloned(), new: new.cloned(), edit })
    });
    changed.collect()
}

/// The keys of all segments, with what they say.
fn rules_of(sets: &IndexMap<String, SegmentSet>) -> IndexMap<Key, String> {
    let mut rules = IndexMap::new();
    for (set, declared) in sets {
        let mut add = |segment: Option<&Segment>, key: &str, text: Option<String>| {
            let segment = segment.map(|segment| segment.name.shown().to_owned());
            rules.extend(text.map(|text| ((set.clone(), segment, key.to_owned()), text)));
        };
        let shown = |text: &Spanned<String>| text.shown().to_owned();
        add(None, "kind", Some(declared.kind.value.to_string()));
        let names: Vec<&str> = declared.segments.iter().map(|segment| segment.name.shown()).collect();
        add(None, "order", Some(names.join(", ")));
        for (channel, permission) in &declared.permissions {
            add(None, &format!("permissions.{channel}"), Some(shown(permission)));
        }
        let formerly = |names: &[Spanned<String>]| {
            let names: Vec<&str> = names.iter().map(Spanned::shown).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        add(None, "formerly", formerly(&declared.formerly));
        for segment in &declared.segments {
            let days = |days: &Option<Spanned<u32>>| days.as_ref().map(|days| days.value.to_string());
            add(Some(segment), "when", Some(shown(&segment.when)));
            add(Some(segment), "stay", segment.stay.as_ref().map(shown));
            add(Some(segment), "minimum_stay_days", days(&segment.minimum_stay_days));
            add(Some(segment), "cooldown_days", days(&segment.cooldown_days));
            add(Some(segment), "formerly", formerly(&segment.formerly));
            add(Some(segment), "channel", Some(segment.channel.to_string()));
        }
    }
    rules
}

fn parameters(old: &Version, new: &Version) -> Vec<ParameterChange> {
    let names: BTreeSet<&String> = old.parameters.keys().chain(new.parameters.keys()).filter(|name| *name != AS_OF).collect();
    let changed = names.into_iter().filter_map(|name| {
        let (old, new) = (old.parameters.get(name).cloned(), new.parameters.get(name).cloned());
        (old != new).then(|| ParameterChange { name: name.clone(), old, new })
    });
    changed.collect()
}

fn parts(old: &Version, new: &Version) -> Vec<PartChange> {
    // As they are kept, because secrets are covered there.
    let text =
        |version: &'_ Version| version.kept.files.iter().find(|file| file.path == version.kept.pipeline).map(|file| file.text.clone());
    let said = |version: &Version| Said::of(&text(version)?);
    let (Some(before), Some(after)) = (said(old), said(new)) else { return Vec::new() };
    let mut keys: Vec<Vec<String>> = WHOLE.iter().map(|key| vec![(*key).to_owned()]).collect();
    for section in parted() {
        let mut names = after.names(&[section]);
        let gone = before.names(&[section]).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>();
        names.extend(gone);
        keys.extend(names.into_iter().map(|name| vec![section.to_owned(), name]));
    }
    let changed = keys.into_iter().filter_map(|keys| {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let part = |said: &Said| said.part(&keys, &|_| false);
        let edit = edit(part(&before).as_deref(), part(&after).as_deref(), |_| None)?;
        Some(PartChange { part: keys.join("."), edit })
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Pipeline, schema_of};

    #[test]
    fn every_part_of_the_pipeline_file_is_told() {
        let schema = schema_of::<Pipeline>();
        let keys: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        // These have lists of their own; the version is that of the form.
        let told = parted().chain(WHOLE).chain(["segments", "parameters", "version"]);
        assert_eq!(keys, told.collect());
    }
}
