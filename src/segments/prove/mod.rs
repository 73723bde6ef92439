//! Proofs of rule sets before data is read: nobody is left out, no rule is idle, and the rules of a partition do not overlap.
//!
//! What a set's rules compare with constants parts customers into finitely many cells ([`terms`], [`cells`]): between two
//! neighbouring constants every number is like every other. In each cell DataFusion is asked which rules match, so the proof has
//! the meaning of the rules as the run has it, null among it. Where a column has a declared domain, only its values are cells,
//! and every run holds the profile to that domain ([`super::domain`]).
//!
//! What depends on columns of which only the type is known, or on conditions that are taken as a whole, is told as a warning:
//! customers like that may not exist. That a rule can never match is certain, because every customer is in one of the cells.

mod cells;
mod tell;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;

use super::domain::Domains;
use super::rule::{self, AS_OF_COLUMN};
use crate::config::{Project, SetKind, Values};
use crate::diagnostic::Diagnostic;
use crate::engine::Engine;
use crate::error::{Error, Result};
use cells::{Grid, NoGrid};
use terms::{Abstraction, Abstractor};

/// The most answers that a proof asks for: one for each rule and cell.
const MOST_ANSWERS: usize = 1 << 22;

/// The most rules that are looked at two by two where they cannot be looked at together.
const MOST_RULES_IN_PAIRS: usize = 64;

/// The examples of customers left out that are told.
const EXAMPLES: usize = 3;

/// What could be proved of a set.
#[derive(Debug)]
pub struct Proof {
    /// The set.
    pub segment_set: String,
    /// The cells that it was proved over; none when it could not be.
    pub cells: Option<usize>,
    /// What is wrong with it, and what may be.
    pub problems: Vec<Diagnostic>,
}

/// What was found of a set's rules; they are named by their position.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    cells: usize,
    /// Rules that match in no cell.
    never: Vec<usize>,
    /// Rules of an exclusive set that earlier ones leave nothing.
    taken: Vec<Taken>,
    /// Cells that no rule matches.
    gap: Option<Gap>,
    /// Rules of a partition that match what earlier ones match.
    overlaps: Vec<Overlap>,
    /// How many cells match several rules.
    several: Count,
    /// The columns of which only the type is known.
    undeclared: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Taken {
    rule: usize,
    by: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
struct Gap {
    certain: bool,
    /// One at least, each of other customers.
    examples: Vec<String>,
    count: Count,
}

#[derive(Debug, PartialEq, Eq)]
struct Overlap {
    rule: usize,
    with: Vec<usize>,
    certain: bool,
    example: String,
    count: Count,
}

/// How many combinations of values, of how many; none when they cannot be counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count(Option<(u64, u64)>);

/// Why a set could not be proved as a whole.
#[derive(Debug)]
enum Unproved {
    TooLarge { cells: u128 },
    Fails(DataFusionError),
}

/// Proves every set, whose rules must compile.
///
/// # Errors
/// [`Error::Defect`] when the profile's columns are no schema. What is wrong with a set is in its proof.
pub fn prove(project: &Project, values: &Values, engine: &Engine, profile: &SchemaRef, domains: &Domains) -> Result<Vec<Proof>> {
    let fields = profile.fields().iter().map(|field| field.as_ref().clone());
    let fields: Vec<Field> = fields.chain([Field::new(AS_OF_COLUMN, DataType::Date32, false)]).collect();
    let schema = DFSchema::try_from(Schema::new(fields)).map_err(|error| Error::defect(error.to_string()))?;
    let open = |text: &str| rule::of_any_day(engine, &schema, &values.parameters, text);
    let mut proofs = Vec::new();
    for (name, set) in &project.pipeline.segments {
        let opened = || -> Result<Prover<'_>, DataFusionError> {
            let rules = set.segments.iter().map(|segment| open(&segment.when.value)).collect::<Result<_, _>>()?;
            let always = domains.always().map(open).collect::<Result<_, _>>()?;
            Ok(Prover { engine, schema: &schema, domains, rules, always })
        };
        proofs.push(match opened() {
            Ok(prover) => {
                let (findings, unproved) = prover.examine(set.kind.value);
                let problems = tell::problems(project, set, name, &prover, &findings, unproved.as_ref());
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

/// The rules of one set, and what is known.
struct Prover<'a> {
    engine: &'a Engine,
    schema: &'a DFSchema,
    domains: &'a Domains,
    rules: Vec<Expr>,
    always: Vec<Expr>,
}

impl Prover<'_> {
    /// Everything that can be found, and why that is not all.
    fn examine(&self, kind: SetKind) -> (Findings, Option<Unproved>) {
        let all: Vec<usize> = (0..self.rules.len()).collect();
        if kind == SetKind::Overlapping {
            // Its rules have nothing to do with each other.
            return self.in_parts(kind, all.iter().map(|&rule| vec![rule]).collect());
        }
        match self.together(&all, kind) {
            Ok(findings) => (findings, None),
            Err(unproved) => {
                let singles = all.iter().map(|&rule| vec![rule]);
                let paired = if all.len() <= MOST_RULES_IN_PAIRS { all.as_slice() } else { &[] };
                let pairs = paired.iter().flat_map(|&later| (0..later).map(move |earlier| vec![earlier, later]));
                let (findings, _) = self.in_parts(kind, singles.chain(pairs).collect());
                (findings, Some(unproved))
            }
        }
    }

    /// What can be found of some of the rules at a time.
    fn in_parts(&self, kind: SetKind, parts: Vec<Vec<usize>>) -> (Findings, Option<Unproved>) {
        let mut found = Findings::default();
        let mut unproved = None;
        for part in parts {
            match self.together(&part, kind) {
                Ok(findings) if part.len() == 1 => {
                    found.cells += findings.cells;
                    found.never.extend(findings.never);
                }
                Ok(findings) => {
                    let told = |rule: usize, taken: &[Taken]| taken.iter().any(|known| known.rule == rule);
                    let news = findings.taken.into_iter().filter(|taken| !told(taken.rule, &found.taken)).collect::<Vec<_>>();
                    found.taken.extend(news);
                    found.overlaps.extend(findings.overlaps);
                }
                Err(why) => unproved = Some(why),
            }
        }
        (found, unproved)
    }

    /// What can be found of some of the rules together.
    fn together(&self, rules: &[usize], kind: SetKind) -> Result<Findings, Unproved> {
        let asked = self.asked(rules, kind, false).or_else(|why| match why {
            // On some of the values that may be there a condition fails; taken as a whole it can be true, false or null.
            NoGrid::Fails(_) => self.asked(rules, kind, true),
            too_large @ NoGrid::TooLarge(_) => Err(too_large),
        });
        asked.map_err(|why| match why {
            NoGrid::TooLarge(cells) => Unproved::TooLarge { cells },
            NoGrid::Fails(error) => Unproved::Fails(error),
        })
    }

    fn asked(&self, rules: &[usize], kind: SetKind, cautious: bool) -> Result<Findings, NoGrid> {
        let abstraction = self.abstracted(rules, cautious)?;
        let grid = Grid::new(self.engine, &abstraction.terms)?;
        if grid.cells.saturating_mul(rules.len()) > MOST_ANSWERS {
            return Err(NoGrid::TooLarge(grid.cells as u128));
        }
        let ask = |conditions: &[Expr]| conditions.iter().map(|condition| grid.ask(self.engine, condition)).collect::<Result<Vec<_>, _>>();
        let (matched, always) = (ask(&abstraction.rules)?, ask(&abstraction.always)?);
        let possible: Vec<bool> = (0..grid.cells).map(|cell| always.iter().all(|holds| holds[cell])).collect();
        let last_is_catch_all = abstraction.rules.last().is_some_and(|rule| *rule == datafusion::logical_expr::lit(true));
        let answers = Answers::new(&grid, matched, possible, rules);
        let mut findings = answers.findings(kind);
        if last_is_catch_all {
            // A safety net is not to blame for catching nobody.
            let last = rules.last();
            findings.taken.retain(|taken| Some(&taken.rule) != last);
        }
        findings.undeclared = grid.undeclared(&abstraction.terms);
        Ok(findings)
    }

    /// Some rules over their terms, with what always holds of the same columns.
    fn abstracted(&self, rules: &[usize], cautious: bool) -> Result<Abstraction, DataFusionError> {
        let mut abstractor = Abstractor { engine: self.engine, schema: self.schema, domains: self.domains, cautious, terms: Vec::new() };
        let mut columns = std::collections::HashSet::new();
        let mut over_terms = Vec::new();
        for &rule in rules {
            columns.extend(self.rules[rule].column_refs());
            over_terms.push(abstractor.rewrite(&self.rules[rule])?);
        }
        let mut always = Vec::new();
        let mut waiting: Vec<&Expr> = self.always.iter().collect();
        while let Some(at) = waiting.iter().position(|condition| !condition.column_refs().is_disjoint(&columns)) {
            let condition = waiting.remove(at);
            columns.extend(condition.column_refs());
            always.push(abstractor.rewrite(condition)?);
        }
        Ok(Abstraction { terms: abstractor.terms, rules: over_terms, always })
    }
}

/// Which rules match in which cells.
struct Answers<'a> {
    grid: &'a Grid,
    /// By rule, whether it matches in a cell.
    matched: Vec<Vec<bool>>,
    /// Whether what always holds does in a cell.
    possible: Vec<bool>,
    /// The rules' positions in the set.
    rules: &'a [usize],
    /// By cell, the first rule that matches there.
    first: Vec<Option<usize>>,
}

impl<'a> Answers<'a> {
    fn new(grid: &'a Grid, matched: Vec<Vec<bool>>, possible: Vec<bool>, rules: &'a [usize]) -> Self {
        let mut first = vec![None; grid.cells];
        for (at, matched) in matched.iter().enumerate() {
            for (first, _) in first.iter_mut().zip(matched).filter(|(first, matches)| first.is_none() && **matches) {
                *first = Some(at);
            }
        }
        Answers { grid, matched, possible, rules, first }
    }

    fn findings(&self, kind: SetKind) -> Findings {
        let mut findings = Findings { cells: self.possible.iter().filter(|possible| **possible).count(), ..Findings::default() };
        for (at, matched) in self.matched.iter().enumerate() {
            if !self.cells().any(|cell| matched[cell]) {
                findings.never.push(self.rules[at]);
            }
        }
        if kind == SetKind::Exclusive {
            findings.taken = (0..self.rules.len()).filter_map(|at| self.taken(at)).collect();
        }
        if kind == SetKind::Partition {
            findings.overlaps = (1..self.rules.len()).filter_map(|at| self.overlap(at)).collect();
            findings.several = self.count(|cell| self.matched.iter().filter(|matched| matched[cell]).count() > 1);
        }
        if kind != SetKind::Overlapping {
            findings.gap = self.gap();
        }
        findings
    }

    /// The cells that customers can be in.
    fn cells(&self) -> impl Iterator<Item = usize> {
        (0..self.grid.cells).filter(|&cell| self.possible[cell])
    }

    fn first(&self, cell: usize) -> Option<usize> {
        self.first[cell]
    }

    /// The earlier rules that leave nothing to one that could match.
    fn taken(&self, at: usize) -> Option<Taken> {
        let mut by = BTreeSet::new();
        for cell in self.cells().filter(|&cell| self.matched[at][cell]) {
            let first = self.first(cell)?;
            if first == at {
                return None;
            }
            by.insert(self.rules[first]);
        }
        (!by.is_empty()).then(|| Taken { rule: self.rules[at], by: by.into_iter().collect() })
    }

    fn gap(&self) -> Option<Gap> {
        let uncovered: Vec<bool> = (0..self.grid.cells).map(|cell| self.first(cell).is_none()).collect();
        let mut rest = uncovered.clone();
        let mut examples = Vec::new();
        let mut certain = false;
        while let Some((sure, cell)) = self.representative(&rest).filter(|_| examples.len() < EXAMPLES) {
            if examples.is_empty() {
                certain = sure;
            } else if sure != certain {
                break;
            }
            let example = self.grid.example(cell, &self.or_impossible(&uncovered));
            (0..self.grid.cells).filter(|&other| self.grid.is_in(other, &example)).for_each(|other| rest[other] = false);
            examples.push(example.shown);
        }
        (!examples.is_empty()).then(|| Gap { certain, examples, count: self.count(|cell| uncovered[cell]) })
    }

    /// What a rule of a partition shares with those before it.
    fn overlap(&self, at: usize) -> Option<Overlap> {
        let earlier = |cell: usize| (0..at).filter(move |&other| self.matched[other][cell]);
        let shared: Vec<bool> = (0..self.grid.cells).map(|cell| self.matched[at][cell] && earlier(cell).next().is_some()).collect();
        let (certain, cell) = self.representative(&shared)?;
        let example = self.grid.example(cell, &self.or_impossible(&shared)).shown;
        let mut with: Vec<usize> = self.cells().filter(|&cell| shared[cell]).flat_map(earlier).map(|other| self.rules[other]).collect();
        with.sort_unstable();
        with.dedup();
        Some(Overlap { rule: self.rules[at], with, certain, example, count: self.count(|cell| shared[cell]) })
    }

    /// One of the cells wanted, and whether it is certain: wanted whatever the unknown terms. A certain one, if there is one.
    fn representative(&self, wanted: &[bool]) -> Option<(bool, usize)> {
        let mut may = None;
        let mut start = 0;
        while start < self.grid.cells {
            let block = start..start + self.grid.inner;
            let mut possible = block.clone().filter(|&cell| self.possible[cell]);
            if let Some(cell) = possible.clone().find(|&cell| wanted[cell]) {
                may.get_or_insert(cell);
                if self.grid.is_certain(cell) && possible.all(|cell| wanted[cell]) {
                    return Some((true, cell));
                }
            }
            start = block.end;
        }
        may.map(|cell| (false, cell))
    }

    /// The cells wanted, and those that no customer can be in.
    fn or_impossible(&self, wanted: &[bool]) -> Vec<bool> {
        wanted.iter().zip(&self.possible).map(|(wanted, possible)| *wanted || !possible).collect()
    }

    fn count(&self, wanted: impl Fn(usize) -> bool) -> Count {
        let mut some = 0;
        let mut all = 0;
        for cell in self.cells() {
            let Some(values) = self.grid.values(cell) else { return Count(None) };
            let Some(sum) = u64::checked_add(all, values) else { return Count(None) };
            all = sum;
            some += if wanted(cell) { values } else { 0 };
        }
        Count(Some((some, all)))
    }
}
