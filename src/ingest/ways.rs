//! Where in the records of a source the names of a column lead: to a member, along a path, or into the elements of a list.

use std::sync::Arc;

use super::nested::json::Paths;
use crate::config::{Column, MemberPath, Source, SourceFormat, key_at, text_at};
use crate::diagnostic::{Diagnostic, SourceFile};

/// Where a name of a column leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To the column of this name.
    Named,
    /// To the column of this name, or else along a path.
    Path(MemberPath),
    /// From each element along a path, which may be empty.
    Element(MemberPath),
    /// To the place of the element in its list.
    Number,
}

/// The list whose elements are rows.
#[derive(Debug)]
pub struct Each {
    /// Its path as it is written, for people.
    pub shown: String,
    /// Its path.
    pub path: MemberPath,
}

/// The path of a source's `each`, if it has one.
pub fn each(file: &Arc<SourceFile>, source_name: &str, source: &Source, problems: &mut Vec<Diagnostic>) -> Option<Each> {
    let written = source.each.as_ref()?;
    let keys = ["sources", source_name, "each"];
    let hint = "write the members down to the list, as in `items` or `data.items`";
    match written.value.parse::<MemberPath>() {
        Ok(path) if path.steps.iter().all(|step| matches!(step, crate::config::Step::Member(_))) => {
            if is_table(source) {
                let what = format!("the files of `{source_name}` are CSV, and have no lists");
                problems.push(Diagnostic::error("invalid-path", what).at(key_at(file, &keys)).hint("leave `each` out"));
            }
            return Some(Each { shown: written.shown().to_owned(), path });
        }
        Ok(_) => {
            let problem = Diagnostic::error("invalid-path", format!("`{}` is not the path of one list", written.shown()));
            problems.push(problem.at(text_at(file, &keys, 0, 0..written.value.len())).hint(hint));
        }
        Err(wrong) => {
            let problem = Diagnostic::error("invalid-path", format!("`{}` is no path", written.shown())).label(wrong.why);
            problems.push(problem.at(text_at(file, &keys, 0, wrong.part)).hint(hint));
        }
    }
    None
}

/// Whether all files of a source have rows and columns alone, whose names may look like paths.
fn is_table(source: &Source) -> bool {
    let format = source.format.or_else(|| SourceFormat::from_name(&source.location.value));
    format == Some(SourceFormat::Csv)
}

/// Where the names of a column lead. What cannot be a name and is no path is told.
pub fn ways(
    file: &Arc<SourceFile>,
    (source_name, source): (&str, &Source),
    (name, column): (&str, &Column),
    each: Option<&Each>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Way> {
    let own = [crate::config::Text::named(name)];
    let names = if column.read_from().is_empty() { own.as_slice() } else { column.read_from() };
    let mut ways = Vec::with_capacity(names.len());
    for (at, text) in names.iter().enumerate() {
        let way = if is_table(source) { Ok(Way::Named) } else { way(&text.value, each) };
        ways.push(way.unwrap_or_else(|problem| {
            let (what, part, label) = match problem {
                Wrong::Path(wrong) => (format!("`{}` is no path", text.shown()), wrong.part, wrong.why),
                Wrong::Number(part) => {
                    (format!("`{}` is the place of no element", text.shown()), part, "`[#]` stands behind the list that `each` names")
                }
            };
            let keys = ["sources", source_name, "columns", name, "from"];
            let hint = "write members with full stops, and elements as `[0]` or `[key=text]`: `params[key=page].value`; a name that has such \
                        characters itself stands in quotes: '\"a.b\"'";
            problems.push(Diagnostic::error("invalid-path", what).at(text_at(file, &keys, at, part)).label(label).hint(hint));
            Way::Named
        }));
    }
    ways
}

enum Wrong {
    Path(crate::config::NoPath),
    Number(std::ops::Range<usize>),
}

fn way(text: &str, each: Option<&Each>) -> Result<Way, Wrong> {
    use crate::config::Step;

    let path = match text.parse::<MemberPath>() {
        Ok(path) => path,
        Err(wrong) if MemberPath::is_meant(text) => return Err(Wrong::Path(wrong)),
        Err(_) => return Ok(Way::Named),
    };
    if let Some(rest) = each.and_then(|each| path.behind(&each.path)) {
        if rest.steps == [Step::Number] {
            return Ok(Way::Number);
        }
        if !rest.steps.contains(&Step::Number) {
            return Ok(Way::Element(rest));
        }
    }
    if path.steps.contains(&Step::Number) {
        let place = text.find("[#]").unwrap_or(0);
        return Err(Wrong::Number(place..text.len().min(place + 3)));
    }
    // A name in quotes is a path, too, of one step.
    Ok(if path.is_deep() || path.root() != Some(text) { Way::Path(path) } else { Way::Named })
}

impl Way {
    /// The name of the column that it begins in, if that is another than its name.
    pub fn root(&self) -> Option<&str> {
        match self {
            Way::Path(path) => path.root(),
            _ => None,
        }
    }

    /// Whether it leads to each element of a list.
    pub fn is_of_element(&self) -> bool {
        matches!(self, Way::Element(_) | Way::Number)
    }
}

/// Paths behind the members in which they begin, each with the place of what is found.
#[derive(Debug, Clone, Default)]
pub struct Roots(pub Vec<(String, Paths)>);

impl Roots {
    /// Adds a path.
    pub fn add(&mut self, path: &MemberPath, place: usize) {
        let (Some(root), Some((_, rest))) = (path.root(), path.steps.split_first()) else { return };
        let at = self.0.iter().position(|(known, _)| known == root).unwrap_or_else(|| {
            self.0.push((root.to_owned(), Paths::default()));
            self.0.len() - 1
        });
        self.0[at].1.add(rest, place);
    }
}
