//! The columns that a run will publish, held against those of the predecessor publication before data is read.

use std::collections::BTreeMap;

use crate::config::span_of;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::manifest::{Column, Commit};
use crate::plan::Plan;
use crate::publish::{self, ColumnChange, Difference};

/// The columns of every output.
fn planned(plan: &Plan) -> BTreeMap<String, Vec<Column>> {
    let schema = |model: &str| plan.maker(model)?.tables().into_iter().find(|(table, _)| table == model).map(|(_, schema)| schema);
    let outputs = plan.project.pipeline.outputs.tables.iter();
    outputs.filter_map(|(name, output)| Some((name.clone(), publish::columns_of(schema(&output.model.value)?.as_ref())))).collect()
}

/// Refuses outputs that lose a column or change its type.
///
/// # Errors
/// [`Error::Project`] with every table and column that would be lost or changed.
pub fn refuse_losses(plan: &Plan, predecessor: &Commit) -> Result<()> {
    let changes = publish::column_changes(&predecessor.tables, &planned(plan));
    let problems: Vec<Diagnostic> =
        changes.iter().filter(|change| change.is_loss()).map(|change| problem(plan, predecessor, change)).collect();
    if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
}

fn problem(plan: &Plan, predecessor: &Commit, change: &ColumnChange) -> Diagnostic {
    let (as_of, table) = (predecessor.as_of, &change.table);
    let what = match (&change.column, change.change) {
        (None, _) => format!("the publication as of {as_of} has a table `{table}`, which is no output any more"),
        (Some(column), Difference::Retyped) => {
            let [before, after] = [&change.before, &change.after].map(|of| of.as_deref().unwrap_or_default());
            format!("the column `{column}` of the output `{table}` was {before} as of {as_of}, and would be {after}")
        }
        (Some(column), _) => format!("the output `{table}` has lost the column `{column}`, which it had as of {as_of}"),
    };
    let problem = Diagnostic::error("schema-not-additive", what);
    let output = plan.project.pipeline.outputs.tables.get(table);
    let placed = match output {
        Some(output) => problem.at(span_of(&plan.project.file, &output.model)).label("of this output"),
        None => problem,
    };
    placed.hint("`outputs` says `schema: additive`: keep it, or say `schema: any` for the run that changes it")
}
