//! Evaluates the rules of a set in every combination of values, and finds what is wrong with them.

use std::collections::{BTreeSet, HashSet};

use datafusion::common::{Column, DFSchema};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;

use super::super::domain::Domains;
use super::cells::{Grid, NoGrid};
use super::findings::{Count, Findings, Gap, Overlap, Taken, Unproved};
use super::terms::{Abstraction, Abstractor};
use crate::config::SetKind;
use crate::engine::Engine;

/// The most answers that a proof asks for: one for each rule and cell.
const MOST_ANSWERS: usize = 1 << 22;

/// The most rules that are compared in pairs if all of them together are too many.
const MOST_RULES_IN_PAIRS: usize = 64;

/// How many examples of customers left out a message shows.
const EXAMPLES: usize = 3;

/// The rules of one set, and what is known.
pub struct Prover<'a> {
    pub engine: &'a Engine,
    pub schema: &'a DFSchema,
    pub domains: &'a Domains,
    pub rules: Vec<Expr>,
    pub always: Vec<Expr>,
}

impl Prover<'_> {
    /// Everything that can be found, and why that is not all.
    pub fn examine(&self, kind: SetKind) -> (Findings, Option<Unproved>) {
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

    /// The declarations without any of which a rule that can never match could match: the columns' by their names, and the conditions
    /// by their positions. There are none if the rule's own conditions rule each other out.
    pub fn to_blame(&self, rule: usize) -> (Vec<&str>, Vec<usize>) {
        let (concerned, mut always) = self.concerning(&[rule]);
        let mut columns: Vec<&str> =
            concerned.iter().filter_map(|column| self.domains.column(column.name())).map(|domain| domain.name.as_str()).collect();
        columns.sort_unstable();
        if self.is_impossible(rule, &[], &[]) {
            return (Vec::new(), Vec::new());
        }
        // Conditions go first: a column's own declaration is the plainer answer.
        for at in always.clone() {
            let fewer: Vec<usize> = always.iter().copied().filter(|other| *other != at).collect();
            if self.is_impossible(rule, &columns, &fewer) {
                always = fewer;
            }
        }
        for name in columns.clone() {
            let fewer: Vec<&str> = columns.iter().copied().filter(|other| *other != name).collect();
            if self.is_impossible(rule, &fewer, &always) {
                columns = fewer;
            }
        }
        (columns, always)
    }

    /// Whether a rule can be shown never to match with some of the declarations alone.
    fn is_impossible(&self, rule: usize, columns: &[&str], always: &[usize]) -> bool {
        let domains = self.domains.only(columns);
        let (rules, always) = (vec![self.rules[rule].clone()], always.iter().map(|&at| self.always[at].clone()).collect());
        let with_less = Prover { engine: self.engine, schema: self.schema, domains: &domains, rules, always };
        with_less.together(&[0], SetKind::Overlapping).is_ok_and(|findings| !findings.never.is_empty())
    }

    /// The columns whose null keeps customers out of a rule that says nothing of it, although they would be in it with almost any value.
    /// Where that cannot be found out there are none.
    pub fn drops_unknown(&self, rule: usize) -> Vec<String> {
        let asked = || -> Result<Vec<String>, NoGrid> {
            // A rule that lists most of the accepted values asks for them; one that excludes some would match any other text.
            let domains = self.domains.without_lists();
            let (rules, always) = (self.rules.clone(), self.always.clone());
            let open = Prover { engine: self.engine, schema: self.schema, domains: &domains, rules, always };
            let abstraction = open.abstracted(&[rule], false)?;
            let grid = Grid::new(self.engine, &abstraction.terms)?;
            let Some(condition) = abstraction.rules.first() else { return Ok(Vec::new()) };
            let matched = grid.ask(self.engine, condition)?;
            let unknown = grid.ask(self.engine, &Expr::IsUnknown(Box::new(condition.clone())))?;
            let mut possible = vec![true; grid.cells];
            for always in &abstraction.always {
                possible.iter_mut().zip(grid.ask(self.engine, always)?).for_each(|(possible, holds)| *possible &= holds);
            }
            Ok(grid.dropped(&possible, &matched, &unknown))
        };
        asked().unwrap_or_default()
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
        let over_terms = rules.iter().map(|&rule| abstractor.rewrite(&self.rules[rule])).collect::<Result<_, _>>()?;
        let (_, concerning) = self.concerning(rules);
        let always = concerning.into_iter().map(|at| abstractor.rewrite(&self.always[at])).collect::<Result<_, _>>()?;
        Ok(Abstraction { terms: abstractor.terms, rules: over_terms, always })
    }

    /// The columns of some rules and of the conditions that always hold of them, and the positions of these conditions.
    fn concerning(&self, rules: &[usize]) -> (HashSet<&Column>, Vec<usize>) {
        let mut columns: HashSet<&Column> = rules.iter().flat_map(|&rule| self.rules[rule].column_refs()).collect();
        let mut concerning = Vec::new();
        let mut waiting: Vec<usize> = (0..self.always.len()).collect();
        while let Some(at) = waiting.iter().position(|&condition| !self.always[condition].column_refs().is_disjoint(&columns)) {
            let condition = waiting.remove(at);
            columns.extend(self.always[condition].column_refs());
            concerning.push(condition);
        }
        (columns, concerning)
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

    /// The earlier rules that leave no customer to a rule that could match.
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

    /// The cells that a rule of a partition shares with earlier rules.
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
