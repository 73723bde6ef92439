//! Which table a name on the command line means.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Project;
use crate::diagnostic::{Diagnostic, list, nearest};
use crate::engine::OrderedBy;
use crate::error::Result;
use crate::graph::Graph;
use crate::native;

/// The schema by which outputs are named, beside the names of their models.
pub const OUTPUTS: &str = "outputs";

/// A table that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The table as SQL names it.
    pub table: String,
    /// The order in which its rows are published, if they are.
    pub order: Vec<OrderedBy>,
}

/// Finds the table that a name means: a table's whole name, `outputs.NAME`, or the last part of a name that no other table has.
///
/// # Errors
/// [`crate::error::Error::Project`] for a name that means no table, or several.
pub fn target(project: &Project, name: &str) -> Result<Target> {
    let tables = Graph::of(project, native::steps(project)).tables();
    let outputs: BTreeMap<String, &str> = project
        .pipeline
        .outputs
        .tables
        .iter()
        .map(|(output, declared)| (format!("{OUTPUTS}.{output}"), declared.model.value.as_str()))
        .filter(|(_, model)| tables.contains(*model))
        .collect();
    let meant = if tables.contains(name) {
        name
    } else if let Some(model) = outputs.get(name) {
        model
    } else {
        by_last_part(name, &tables, &outputs)?
    };
    Ok(Target { table: meant.to_owned(), order: order_of(project, name, meant) })
}

/// The table of which a name is the last part.
fn by_last_part<'t>(name: &str, tables: &'t BTreeSet<String>, outputs: &BTreeMap<String, &'t str>) -> Result<&'t str> {
    let is_meant = |whole: &str| whole.rsplit('.').next() == Some(name);
    let of_tables = tables.iter().filter(|table| is_meant(table)).map(|table| (table.as_str(), table.as_str()));
    // An output of the same name as its model is that model.
    let of_outputs = outputs.iter().filter(|(output, model)| is_meant(output) && !is_meant(model));
    let found: Vec<(String, &str)> = of_tables
        .map(|(whole, table)| (whole.to_owned(), table))
        .chain(of_outputs.map(|(output, model)| (output.clone(), *model)))
        .collect();
    match found.as_slice() {
        [(_, table)] => Ok(table),
        [] => {
            let problem = Diagnostic::error("unknown-table", format!("there is no table, model or output `{}`", crate::shown::name(name)));
            let names = tables.iter().map(String::as_str).chain(outputs.keys().map(String::as_str));
            let parts = tables.iter().filter_map(|table| table.rsplit('.').next());
            Err(match nearest(name, names.chain(parts)) {
                Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                None => problem.hint(format!("there are {}", list(&tables.iter().map(String::as_str).collect::<Vec<_>>()))),
            }
            .into())
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(whole, _)| whole.as_str()).collect();
            let problem = Diagnostic::error("ambiguous-table", format!("`{name}` may mean {}", list(&names)));
            Err(problem.hint("write the whole name").into())
        }
    }
}

/// The order in which an output of a table is published: of the output that was named, or else of the first.
fn order_of(project: &Project, name: &str, table: &str) -> Vec<OrderedBy> {
    let of = |output: &str| output == name || format!("{OUTPUTS}.{output}") == name;
    let mut published: Vec<_> = project.pipeline.outputs.tables.iter().filter(|(_, output)| output.model.value == table).collect();
    published.sort_by_key(|(output, _)| !of(output));
    let columns = published.first().map(|(_, output)| output.sort.as_slice()).unwrap_or_default();
    columns.iter().map(|column| OrderedBy::ascending(column.value.clone())).collect()
}
