//! The size of a query after everything that it names has been expanded, computed before the query is planned: a short text can stand
//! for more tables than there are atoms.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, GroupByExpr, ObjectName, Query, Select, Spanned as _, TableFactor, Visit, Visitor};

use super::place::{span_of, whole};
use crate::diagnostic::{Diagnostic, SourceFile, Span};

/// The most tables that a model reads. The tables of a common table expression count each time the expression is named.
pub const MAX_READS: u64 = 500;

/// The most joins among them.
pub const MAX_JOINS: u64 = 100;

/// How deep queries may be nested, or read one another.
pub const MAX_DEPTH: u64 = 200;

/// The most columns that one `select` lists.
pub const MAX_COLUMNS: usize = 2_000;

/// The most grouping sets of one query: as many as `cube` of eight columns has.
pub const MAX_GROUPING_SETS: u64 = 256;

const CODE: &str = "sql-too-costly";

/// The size of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// How often it reads tables.
    pub reads: u64,
    /// How many joins it has.
    pub joins: u64,
    /// How deep it is.
    pub depth: u64,
}

impl Size {
    /// The size of a query that reads another one once: its depth is the sum of both.
    pub fn over(self, read: Size) -> Size {
        let sum = u64::saturating_add;
        Size { reads: sum(self.reads, read.reads), joins: sum(self.joins, read.joins), depth: sum(self.depth, read.depth) }
    }

    /// Whether the query can be planned in little time and memory.
    pub fn fits(self) -> bool {
        self.reads <= MAX_READS && self.joins <= MAX_JOINS && self.depth <= MAX_DEPTH
    }

    fn add(&mut self, read: Size) {
        self.reads = self.reads.saturating_add(read.reads);
        self.joins = self.joins.saturating_add(read.joins);
        self.depth = self.depth.max(read.depth);
    }
}

/// The size of a statement.
pub fn size(statement: &Statement) -> Size {
    weighed(None, statement).total
}

/// The parts of a statement that would cost too much: each kind once, at its first place.
pub fn problems(file: &Arc<SourceFile>, statement: &Statement) -> Vec<Diagnostic> {
    weighed(Some(file), statement).problems
}

fn weighed<'a>(file: Option<&'a Arc<SourceFile>>, statement: &Statement) -> Scale<'a> {
    let mut scale = Scale { file, levels: vec![Level::default()], total: Size::default(), problems: Vec::new() };
    if let Statement::Statement(statement) = statement {
        // The visitor never breaks off.
        let _ = statement.visit(&mut scale);
    }
    scale
}

/// A query that is being measured.
#[derive(Default)]
struct Level {
    /// Its common table expressions, by the query that each stands for.
    names: Vec<(*const Query, String)>,
    /// The sizes of those that have been measured.
    known: BTreeMap<String, Size>,
    own: Size,
}

struct Scale<'a> {
    file: Option<&'a Arc<SourceFile>>,
    levels: Vec<Level>,
    total: Size,
    problems: Vec<Diagnostic>,
}

impl Scale<'_> {
    fn object(&mut self, what: String, place: datafusion::sql::sqlparser::tokenizer::Span, hint: &str) {
        let Some(file) = self.file else { return };
        // One of each kind is enough: what reads it is too large as well.
        if self.problems.iter().any(|known| known.message.split(':').next() == what.split(':').next()) {
            return;
        }
        let place: Span = span_of(file, place).unwrap_or_else(|| whole(file));
        self.problems.push(Diagnostic::error(CODE, what).at(place).label("too much here").hint(hint));
    }

    fn own(&mut self) -> Option<&mut Size> {
        self.levels.last_mut().map(|level| &mut level.own)
    }

    /// Reports what is too large about the query so far.
    fn look(&mut self, place: datafusion::sql::sqlparser::tokenizer::Span) {
        const PART: &str = "write what is read several times as a model of its own: it is computed once";
        let Some(Size { reads, joins, depth }) = self.own().map(|own| *own) else { return };
        if reads > MAX_READS {
            let many = counted(reads);
            self.object(format!("a query reads too many tables: {many} with what its parts read, of {MAX_READS} at most"), place, PART);
        }
        if joins > MAX_JOINS {
            let many = counted(joins);
            self.object(format!("a query has too many joins: {many} with those of its parts, of {MAX_JOINS} at most"), place, PART);
        }
        if depth > MAX_DEPTH {
            let what = format!("queries read one another too deeply: {} steps, of {MAX_DEPTH} at most", counted(depth));
            self.object(what, place, "part it in several models");
        }
    }
}

/// A number that saturates.
fn counted(number: u64) -> String {
    if number > 1_000_000_000 { "over a billion".to_owned() } else { number.to_string() }
}

/// The number of sets of columns by which rows are grouped.
fn grouping_sets(of: &GroupByExpr) -> u64 {
    let GroupByExpr::Expressions(expressions, _) = of else { return 1 };
    let sets = expressions.iter().map(|expression| match expression {
        ast::Expr::Cube(parts) => 1_u64.checked_shl(u32::try_from(parts.len()).unwrap_or(u32::MAX)).unwrap_or(u64::MAX),
        ast::Expr::Rollup(parts) => parts.len() as u64 + 1,
        ast::Expr::GroupingSets(sets) => sets.len() as u64,
        _ => 1,
    });
    sets.fold(1, u64::saturating_mul)
}

impl Visitor for Scale<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let parts = query.with.iter().flat_map(|with| &with.cte_tables);
        let names = parts.map(|part| (std::ptr::from_ref(part.query.as_ref()), as_sql_takes(&part.alias.name))).collect();
        self.levels.push(Level { names, ..Level::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(level) = self.levels.pop() else { return ControlFlow::Continue(()) };
        let size = Size { depth: level.own.depth + 1, ..level.own };
        if self.levels.len() == 1 {
            self.total = size;
        }
        if let Some(outer) = self.levels.last_mut() {
            match outer.names.iter().find(|(part, _)| std::ptr::eq(*part, query)) {
                Some((_, name)) => drop(outer.known.insert(name.clone(), size)),
                None => outer.own.add(size),
            }
        }
        self.look(query.span());
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let columns = select.projection.len();
        if columns > MAX_COLUMNS {
            let place = select.projection[MAX_COLUMNS].span();
            let what = format!("a query lists too many columns: {columns}, of {MAX_COLUMNS} at most");
            self.object(what, place, "part it in several models, or make rows of what are columns");
        }
        let sets = grouping_sets(&select.group_by);
        if sets > MAX_GROUPING_SETS {
            let what = format!("a query groups by too many sets of columns: {}, of {MAX_GROUPING_SETS} at most", counted(sets));
            self.object(what, select.group_by.span(), "name the sets that are wanted, as in `grouping sets ((a), (a, b))`");
        }
        let joined = select.from.iter().map(|from| from.joins.len() as u64).sum::<u64>() + (select.from.len() as u64).saturating_sub(1);
        if let Some(own) = self.own() {
            own.joins = own.joins.saturating_add(joined);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        // Joins in brackets are no part of the list that a query joins.
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor
            && let Some(own) = self.own()
        {
            own.joins = own.joins.saturating_add(table_with_joins.joins.len() as u64);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = match relation.0.as_slice() {
            [part] => part.as_ident().map(as_sql_takes),
            _ => None,
        };
        let known = name.and_then(|name| self.levels.iter().rev().find_map(|level| level.known.get(&name).copied()));
        if let Some(own) = self.own() {
            own.add(known.unwrap_or(Size { reads: 1, ..Size::default() }));
        }
        self.look(relation.span());
        ControlFlow::Continue(())
    }
}

fn as_sql_takes(name: &ast::Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Size, Vec<String>) {
        let file = Arc::new(SourceFile { path: "m.sql".to_owned(), text: text.to_owned() });
        let statement = super::super::query::statement(&file).unwrap();
        (size(&statement), problems(&file, &statement).into_iter().map(|problem| problem.message).collect())
    }

    /// Each step reads the one before as often as is said.
    fn steps(count: usize, times: usize) -> String {
        let step = |at: usize| format!(", s{at} as (select 1 as a from {})", vec![format!("s{}", at - 1); times].join(" cross join "));
        let steps: String = (1..count).map(step).collect();
        format!("with s0 as (select a from t){steps} select a from s{}", count - 1)
    }

    #[test]
    fn what_is_named_counts_wherever_it_is_named() {
        assert_eq!(of("select a from t").0, Size { reads: 1, joins: 0, depth: 1 });
        assert_eq!(of("select a from t, t u join v on true where a in (select b from w)").0, Size { reads: 4, joins: 2, depth: 2 });
        assert_eq!(of(&steps(4, 2)).0, Size { reads: 8, joins: 7, depth: 5 });
        assert_eq!(of(&steps(200, 1)).0.depth, 201);
        // The nearest of a name counts, and one of a schema is no part.
        let inner = "with x as (select 1 from t, t) select 1 from (with x as (select 1 from t) select 1 from x), x, s.x, X";
        assert_eq!(of(inner).0.reads, 1 + 2 + 1 + 2);
        assert_eq!(of("with recursive r as (select 1 as a union all select a from r) select a from r").0.reads, 1);
    }

    #[test]
    fn what_costs_too_much_is_told_before_it_is_planned() {
        for (text, told) in [
            (steps(60, 2), "a query reads too many tables"),
            (steps(500, 3), "a query reads too many tables"),
            (steps(210, 1), "queries read one another too deeply: 201 steps"),
            (
                format!("select a from t group by cube({})", vec!["a"; 25].join(", ")),
                "a query groups by too many sets of columns: 33554432",
            ),
            (
                format!("select a from t group by cube({})", vec!["a"; 99].join(", ")),
                "a query groups by too many sets of columns: over a b",
            ),
            (format!("select {} from t", vec!["a"; 2_001].join(", ")), "a query lists too many columns: 2001"),
            (format!("select 1 from t{}", " join t on true".repeat(101)), "a query has too many joins: 101"),
            (format!("select 1 from {}", vec!["t"; 102].join(", ")), "a query has too many joins: 101"),
        ] {
            let told_first = of(&text).1;
            assert!(told_first.iter().any(|found| found.starts_with(told)), "{told}: {told_first:?}");
            assert!(told_first.len() <= 3, "{told_first:?}");
        }
        for text in [steps(8, 2).replace("cross join", "union all select 1 from"), steps(6, 2), steps(100, 1)] {
            assert!(of(&text).1.is_empty(), "{text}: {:?}", of(&text).1);
        }
    }
}
