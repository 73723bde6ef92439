//! Proofs of rule sets before data is read: nobody is left out, no rule is idle, and the rules of a partition do not overlap.
//!
//! What a set's rules compare with constants parts customers into finitely many cells ([`terms`], [`cells`]): between two
//! neighbouring constants all numbers are treated alike. In each cell DataFusion evaluates which rules match, so the rules mean the same
//! in the proof as in a run, also for null. Where a column has a declared domain, only its values are cells, and every run verifies that
//! the profile keeps to that domain ([`super::domain`]).
//!
//! Findings that depend on columns of which only the type is known, or on conditions that are taken as a whole, are warnings, because
//! such customers may not exist. That a rule can never match is certain, because every customer is in one of the cells.

mod cells;
mod findings;
mod finite;
mod prover;
mod stability;
mod tell;
mod terms;
#[cfg(test)]
mod tests;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;

use super::domain::Domains;
use super::earlier_sets;
use super::rule::{self, AS_OF_COLUMN};
use crate::config::{Project, SetKind, Values};
use crate::diagnostic::Diagnostic;
use crate::engine::Engine;
use crate::error::{Error, Result};
pub(super) use cells::neighbours;
use findings::Unproved;
pub(super) use finite::{from_whole, listed, whole};
use prover::Prover;

/// The result of proving a set.
#[derive(Debug)]
pub struct Proof {
    /// The set.
    pub segment_set: String,
    /// The number of cells over which the set was proved; `None` if it could not be proved.
    pub cells: Option<usize>,
    /// What is wrong, or may be wrong, with the set.
    pub problems: Vec<Diagnostic>,
}

/// Proves every set, whose rules must compile.
///
/// # Errors
/// [`Error::Defect`] when the profile's columns are no schema. What is wrong with a set is in its proof.
pub fn prove(project: &Project, values: &Values, engine: &Engine, profile: &SchemaRef, domains: &Domains) -> Result<Vec<Proof>> {
    let mut proofs = Vec::new();
    let sets = &project.pipeline.segments;
    for (name, set) in sets {
        let readable = earlier_sets::readable(profile, sets, name);
        let fields = readable.fields().iter().map(|field| field.as_ref().clone());
        let fields: Vec<Field> = fields.chain([Field::new(AS_OF_COLUMN, DataType::Date32, false)]).collect();
        let schema = DFSchema::try_from(Schema::new(fields)).map_err(|error| Error::defect(error.to_string()))?;
        let open = |text: &str| rule::of_any_day(engine, &schema, &values.parameters, text);
        let domains = domains.with_sets_before(profile, sets, name);
        let opened = || -> Result<Prover<'_>, DataFusionError> {
            let rules = set.segments.iter().map(|segment| open(&segment.when.value)).collect::<Result<_, _>>()?;
            let always = domains.always().map(open).collect::<Result<_, _>>()?;
            Ok(Prover { engine, schema: &schema, domains: &domains, rules, always })
        };
        proofs.push(match opened() {
            Ok(prover) => {
                let (findings, unproved) = prover.examine(set.kind.value);
                let mut problems = tell::problems(project, set, name, &prover, &findings, unproved.as_ref());
                problems.extend(stability::problems(project, set, &prover, &open));
                if set.kind.value == SetKind::Overlapping {
                    let dropped = (0..prover.rules.len()).map(|rule| (rule, prover.drops_unknown(rule)));
                    let dropped = dropped.filter(|(_, columns)| !columns.is_empty());
                    problems.extend(dropped.map(|(rule, columns)| tell::drops_unknown(project, &set.segments[rule], &columns)));
                }
                Proof { segment_set: name.clone(), cells: unproved.is_none().then_some(findings.cells), problems }
            }
            Err(error) => {
                let unproved = Unproved::Fails(error);
                Proof { segment_set: name.clone(), cells: None, problems: vec![tell::unproved(project, set, name, &unproved)] }
            }
        });
    }
    Ok(proofs)
}
