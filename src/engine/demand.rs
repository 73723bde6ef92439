//! Which rows of the tables beneath a query must be there so that those rows of it that fulfil a condition come out as they would of whole
//! tables.
//!
//! A condition goes down as far as it says the same of what is read: through the keys of groups and of windows' partitions, through unions, and
//! from one side of an equality of a join to the other. Where it stops at a window or a join, it is asked which partitions or keys the rows
//! have that fulfil it, and goes on with these. Where it stops otherwise, everything beneath must be there.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, disjunction, split_conjunction};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Filter, Join, LogicalPlan, Window};

use super::conditions::{asks, bare, folded, is_never, of_lists, of_schema, over, with};
use super::inspect::reads;
use super::key_values::KeyValues;

/// Which rows of a table must be there.
#[derive(Debug, Clone, PartialEq)]
pub enum Demand {
    /// All of them.
    All,
    /// Those for which one of some conditions on its columns is true.
    Where(Vec<Expr>),
}

impl Demand {
    /// What either of two demands needs.
    pub fn or(self, other: Demand) -> Demand {
        match (self, other) {
            (Demand::Where(mut conditions), Demand::Where(more)) => {
                for condition in more {
                    if !conditions.contains(&condition) {
                        conditions.push(condition);
                    }
                }
                Demand::Where(conditions)
            }
            _ => Demand::All,
        }
    }

    /// The condition; none if all rows must be there. What all of the conditions have in common stands alone in it, so that it goes on alone where
    /// the rest cannot.
    pub fn condition(&self) -> Option<Expr> {
        let Demand::Where(conditions) = self else { return None };
        let parts: Vec<Vec<&Expr>> = conditions.iter().map(split_conjunction).collect();
        let is_common = |part: &&Expr| parts.iter().all(|others| others.contains(part));
        let common = parts.first()?.iter().copied().filter(is_common);
        let rests = parts.iter().map(|of_one| conjunction(of_one.iter().copied().filter(|part| !is_common(part)).cloned()));
        let rest = rests.collect::<Option<Vec<Expr>>>().and_then(disjunction);
        conjunction(common.cloned().chain(rest))
    }
}

/// What a query needs of the tables that it reads, by their names.
pub type Demands = BTreeMap<String, Demand>;

/// Needs of a table what is needed of it already and something more.
pub fn add(demands: &mut Demands, table: String, demand: Demand) {
    let both = match demands.remove(&table) {
        Some(before) => before.or(demand),
        None => demand,
    };
    demands.insert(table, both);
}

/// Which values some expressions have in the rows of a query that fulfil a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The query, without the condition.
    pub input: LogicalPlan,
    /// The condition.
    pub condition: Expr,
    /// The expressions.
    pub of: Vec<Expr>,
}

/// What was asked, with the values of each of its expressions; none where it was not worth finding them.
pub type Answers = Vec<(Asked, Option<Vec<KeyValues>>)>;

/// What is known when it is found out what a query needs.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The answers; without them, everything that is asked is taken to have few values.
    pub answers: Option<&'a Answers>,
    /// The tables for which it is worth asking.
    pub large: &'a BTreeSet<String>,
}

/// What a query needs.
#[derive(Debug, Default)]
pub struct Needs {
    /// Of the tables that it reads.
    pub tables: Demands,
    /// What was asked and has no answer yet.
    pub asked: Vec<Asked>,
}

/// What an optimised query needs so that its rows that fulfil a condition on its columns come out.
///
/// # Errors
/// DataFusion's own.
pub fn demands(plan: &LogicalPlan, condition: Option<&Expr>, known: Known<'_>) -> Result<Needs> {
    let mut going = Going { known, needs: Needs::default() };
    let unnamed = |column: &Column| Column::new_unqualified(column.name.clone());
    let mut columns: BTreeMap<Column, Expr> =
        plan.schema().columns().into_iter().map(|column| (unnamed(&column), Expr::Column(column))).collect();
    // Columns without a table are meant before those of any table.
    columns.extend(plan.schema().columns().into_iter().map(|column| (column.clone(), Expr::Column(column))));
    let columns = columns.iter().map(|(name, column)| (name.clone(), column)).collect();
    let wanted = condition.into_iter().flat_map(split_conjunction).map(|one| with(one.clone(), &columns));
    going.down(plan, wanted.collect::<Result<_>>()?)?;
    Ok(going.needs)
}

struct Going<'a> {
    known: Known<'a>,
    needs: Needs,
}

impl Going<'_> {
    /// Goes on with conditions all of which the wanted rows fulfil; without any, all rows are wanted.
    fn down(&mut self, plan: &LogicalPlan, wanted: Vec<Expr>) -> Result<()> {
        if wanted.iter().any(is_never) {
            return Ok(());
        }
        // What is asked within an expression is asked of whole tables.
        plan.apply_subqueries(|subquery| {
            self.all_of(subquery)?;
            Ok(TreeNodeRecursion::Jump)
        })?;
        match plan {
            LogicalPlan::TableScan(scan) => {
                // What is true of all rows or of none chooses nothing.
                let of_rows = wanted.into_iter().filter(|one| !one.column_refs().is_empty());
                let demand = match conjunction(of_rows).filter(|_| scan.fetch.is_none()) {
                    Some(condition) => Demand::Where(vec![bare(condition)?]),
                    None => Demand::All,
                };
                add(&mut self.needs.tables, scan.table_name.to_string(), demand);
                Ok(())
            }
            LogicalPlan::Projection(node) => self.replaced(&node.input, &node.schema, &node.expr, wanted),
            LogicalPlan::SubqueryAlias(node) => self.renamed(&node.input, &node.schema, &wanted),
            LogicalPlan::Union(node) => node.inputs.iter().try_for_each(|input| self.renamed(input, &node.schema, &wanted)),
            LogicalPlan::Distinct(Distinct::All(input)) => self.down(input, wanted),
            LogicalPlan::Sort(node) if node.fetch.is_none() => self.down(&node.input, wanted),
            LogicalPlan::Filter(node) => self.filter(node, wanted),
            LogicalPlan::Aggregate(node) => self.aggregate(node, wanted),
            LogicalPlan::Window(node) => self.window(node, wanted),
            LogicalPlan::Join(node) => self.join(node, &wanted),
            LogicalPlan::Unnest(node) => {
                let kept = wanted.iter().filter_map(|one| of_lists(one, node)).collect();
                self.down(&node.input, kept)
            }
            _ => plan.inputs().into_iter().try_for_each(|input| self.down(input, Vec::new())),
        }
    }

    fn all_of(&mut self, plan: &LogicalPlan) -> Result<()> {
        self.down(plan, Vec::new())
    }

    fn filter(&mut self, node: &Filter, wanted: Vec<Expr>) -> Result<()> {
        if wanted.is_empty() {
            return self.all_of(&node.input);
        }
        // It comes first, since it is cheaper as a rule than what has been made of expressions above it.
        let own = split_conjunction(&node.predicate).into_iter().filter(|own| !asks(own)).cloned();
        self.down(&node.input, own.chain(wanted).collect())
    }

    /// Columns of the result are expressions of the input.
    fn replaced(&mut self, input: &LogicalPlan, schema: &DFSchema, by: &[Expr], wanted: Vec<Expr>) -> Result<()> {
        let columns: BTreeMap<Column, &Expr> = schema.columns().into_iter().zip(by).collect();
        let known = |one: &Expr| one.column_refs().into_iter().all(|column| columns.get(column).is_some_and(|expr| !asks(expr)));
        let wanted = wanted.into_iter().filter(known).map(|one| with(one, &columns).map(folded)).collect::<Result<_>>()?;
        self.down(input, wanted)
    }

    /// Columns of the result are those of the input, in their order.
    fn renamed(&mut self, input: &LogicalPlan, schema: &DFSchema, wanted: &[Expr]) -> Result<()> {
        let of_input: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        self.replaced(input, schema, &of_input, wanted.to_vec())
    }

    /// Groups are whole or not there at all if it is asked of what they are grouped by.
    fn aggregate(&mut self, node: &Aggregate, wanted: Vec<Expr>) -> Result<()> {
        if node.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return self.all_of(&node.input);
        }
        self.replaced(&node.input, &node.schema, &node.group_expr, wanted)
    }

    fn window(&mut self, node: &Window, wanted: Vec<Expr>) -> Result<()> {
        let mut partitions: Option<Vec<Expr>> = None;
        for expr in &node.window_expr {
            let mut inner = expr;
            while let Expr::Alias(alias) = inner {
                inner = &alias.expr;
            }
            let Expr::WindowFunction(function) = inner else { return self.all_of(&node.input) };
            let by = &function.params.partition_by;
            partitions = Some(match partitions {
                None => by.clone(),
                Some(common) => common.into_iter().filter(|one| by.contains(one)).collect(),
            });
        }
        let partitions = partitions.unwrap_or_default();
        let is_of = |one: &Expr, known: &dyn Fn(&Column) -> bool| one.column_refs().into_iter().all(known);
        let by_keys = |column: &Column| partitions.contains(&Expr::Column(column.clone()));
        let of_keys: Vec<Expr> = wanted.iter().filter(|one| is_of(one, &by_keys)).cloned().collect();
        let is_of_keys = of_keys.iter().any(|one| !one.column_refs().is_empty());
        if is_of_keys || partitions.is_empty() || !self.is_large(&node.input)? {
            return self.down(&node.input, of_keys);
        }
        let by_input = |column: &Column| node.input.schema().has_column(column);
        let of_input: Vec<Expr> = wanted.into_iter().filter(|one| is_of(one, &by_input)).collect();
        let on_partitions = self.one_of_keys(&node.input, &of_input, partitions.iter().map(|one| (one, one)));
        // Rows that fulfil the condition are in these partitions and in no others, whatever else of the input is there.
        let wanted = on_partitions.and_then(|keys| Some(vec![conjunction(of_input)?.or(conjunction(keys)?)]));
        self.down(&node.input, wanted.unwrap_or_default())
    }

    /// The conditions that expressions have one of the values that others have in those rows of an input that fulfil conditions. None if these
    /// are not known.
    fn one_of_keys<'e>(
        &mut self,
        input: &LogicalPlan,
        conditions: &[Expr],
        keys: impl Iterator<Item = (&'e Expr, &'e Expr)>,
    ) -> Option<Vec<Expr>> {
        let condition = conjunction(conditions.iter().filter(|one| !one.column_refs().is_empty()).cloned())?;
        let (of, there): (Vec<&Expr>, Vec<&Expr>) = keys.unzip();
        let asked = Asked { input: input.clone(), condition, of: of.into_iter().cloned().collect() };
        let values = match self.known.answers {
            None => {
                let assumed = asked.of.iter().map(|_| KeyValues::assumed()).collect();
                self.needs.asked.push(asked);
                Some(assumed)
            }
            Some(answers) => match answers.iter().find(|(known, _)| *known == asked) {
                Some((_, values)) => values.clone(),
                None => {
                    self.needs.asked.push(asked);
                    None
                }
            },
        };
        Some(there.into_iter().zip(values?).map(|(expr, values)| values.hold(expr.clone())).collect())
    }

    fn is_large(&self, plan: &LogicalPlan) -> Result<bool> {
        Ok(reads(plan)?.keys().any(|table| self.known.large.contains(table)))
    }

    fn join(&mut self, node: &Join, wanted: &[Expr]) -> Result<()> {
        use JoinType::{Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
        if node.null_aware || node.null_equality == NullEquality::NullEqualsNull && node.join_type != Inner {
            let left_alone = matches!(node.join_type, Left | LeftSemi | LeftAnti | LeftMark);
            let of_left = if left_alone { of_schema(wanted, node.left.schema()) } else { Vec::new() };
            self.down(&node.left, of_left)?;
            return self.all_of(&node.right);
        }
        let of_left = matches!(node.join_type, Inner | Left | LeftSemi | LeftAnti | LeftMark);
        let of_right = matches!(node.join_type, Inner | Right | RightSemi | RightAnti | RightMark);
        let mut left = if of_left { of_schema(wanted, node.left.schema()) } else { Vec::new() };
        let mut right = if of_right { of_schema(wanted, node.right.schema()) } else { Vec::new() };
        // Whether a row without a match is marked as unknown may depend on any row of the other side.
        if matches!(node.join_type, LeftMark | RightMark) {
            self.down(&node.left, left)?;
            return self.down(&node.right, right);
        }
        let to_right = over(&left, node.on.iter().map(|(left, right)| (left, right)))?;
        let to_left = over(&right, node.on.iter().map(|(left, right)| (right, left)))?;
        right.extend(to_right.into_iter().filter(|one| !right.contains(one)).collect::<Vec<_>>());
        left.extend(to_left.into_iter().filter(|one| !left.contains(one)).collect::<Vec<_>>());
        if !node.on.is_empty() && right.is_empty() && !left.is_empty() && self.is_large(&node.right)? {
            right = self.one_of_keys(&node.left, &left, node.on.iter().map(|(left, right)| (left, right))).unwrap_or_default();
        } else if !node.on.is_empty() && left.is_empty() && !right.is_empty() && self.is_large(&node.left)? {
            left = self.one_of_keys(&node.right, &right, node.on.iter().map(|(left, right)| (right, left))).unwrap_or_default();
        }
        self.down(&node.left, left)?;
        self.down(&node.right, right)
    }
}

/// Whether what a query makes of some of the rows of its tables is a part of what it makes of all of them: nothing that is read later takes a
/// row away or changes it.
pub fn is_monotone(plan: &LogicalPlan) -> bool {
    let keeps = match plan {
        LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
        LogicalPlan::Join(join) => matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi),
        LogicalPlan::Aggregate(aggregate) => aggregate.aggr_expr.is_empty() && !aggregate.group_expr.is_empty(),
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        LogicalPlan::Distinct(Distinct::All(_))
        | LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Values(_) => true,
        _ => false,
    };
    keeps && plan.expressions().iter().all(|expr| !asks_a_query(expr)) && plan.inputs().into_iter().all(is_monotone)
}

fn asks_a_query(expr: &Expr) -> bool {
    let does = |part: &Expr| matches!(part, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_));
    expr.exists(|part| Ok(does(part))).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::empty::EmptyTable;
    use datafusion::prelude::{col, lit};

    use super::*;
    use crate::engine::{Engine, Limits};

    fn engine() -> Engine {
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 28 }, "UTC").unwrap();
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![text("id"), text("kind"), text("at")]));
        for table in ["t", "u"] {
            engine.register(table, Arc::new(EmptyTable::new(Arc::clone(&schema)))).unwrap();
        }
        engine
    }

    fn columns(exprs: &[Expr]) -> String {
        let columns: BTreeSet<String> = exprs.iter().flat_map(Expr::column_refs).map(|column| column.name.clone()).collect();
        columns.into_iter().collect::<Vec<_>>().join(" ")
    }

    /// By which columns rows of each table are chosen; `all` where they are not.
    fn told(found: &Demands) -> String {
        let of = |demand: &Demand| demand.condition().map_or("all".to_owned(), |condition| columns(&[condition]));
        let found: Vec<String> = found.iter().map(|(table, demand)| format!("{table}: {}", of(demand))).collect();
        found.join("; ")
    }

    /// Where a condition stops, it goes on with the keys of the rows that fulfil it.
    #[tokio::test]
    async fn a_condition_goes_on_with_keys() {
        let engine = engine();
        for (sql, asked, expected) in [
            ("select id, max(at) over (partition by kind) as n from t", "kind", "t: id kind"),
            ("select id, max(at) over (partition by kind, at) as n from t", "at kind", "t: at id kind"),
            ("select id, max(at) over (partition by upper(kind)) as n from t", "kind", "t: id kind"),
            ("select id, max(at) over (partition by id) as n from t", "", "t: id"),
            ("select t.id, u.at from t inner join u on u.kind = t.kind", "kind", "t: id; u: kind"),
            ("select u.id, t.at from t inner join u on u.kind = t.at", "kind", "t: at; u: id"),
            ("select t.id, u.at from t left join u on u.kind = t.at", "at", "t: id; u: kind"),
            ("select u.id, t.at from t left join u on u.kind = t.at", "", "t: all; u: all"),
            ("select t.id from t where not exists (select 1 from u where u.kind = t.at)", "at", "t: id; u: kind"),
            ("select t.id, u.at from t cross join u", "", "t: id; u: all"),
        ] {
            let plan = engine.optimize(&engine.query(sql).await.unwrap().into_unoptimized_plan()).unwrap();
            let condition = col("id").in_list(vec![lit("a"), lit("b")], false);
            let (mut answers, large) = (Answers::new(), ["t".to_owned(), "u".to_owned()].into());
            let keys: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(vec![Some("k"), None]));
            let found = loop {
                let mut found = demands(&plan, Some(&condition), Known { answers: Some(&answers), large: &large }).unwrap();
                let Some(asked) = found.asked.pop() else { break found };
                let values = asked.of.iter().map(|_| KeyValues::of(&keys).unwrap().unwrap()).collect();
                answers.push((asked, Some(values)));
            };
            let questions: Vec<String> = answers.iter().map(|(asked, _)| columns(&asked.of)).collect();
            assert_eq!(
                (questions.join(", ").as_str(), told(&found.tables).as_str()),
                (asked, expected),
                "{sql}\n{}",
                plan.display_indent()
            );
        }
    }

    /// By which columns rows of `t` and of `u` are chosen where it is asked for an `id`; `all` where they are not.
    #[tokio::test]
    async fn a_condition_goes_down_as_far_as_it_says_the_same() {
        let engine = engine();
        for (sql, expected) in [
            ("select id, kind from t where kind > 'a'", "t: id kind"),
            ("select kind as id from t", "t: kind"),
            ("select upper(kind) as id from t", "t: kind"),
            ("select id, count(*) as n from t group by id", "t: id"),
            ("select max(id) as id, kind from t group by kind", "t: all"),
            ("select max(id) as id from t", "t: all"),
            ("select id, kind, count(*) as n from t group by rollup (id, kind)", "t: all"),
            ("select id, row_number() over (partition by id order by at) as n from t", "t: id"),
            ("select id, row_number() over (order by at) as n from t", "t: all"),
            ("select id, max(at) over (partition by kind) as n from t", "t: all"),
            ("select id, max(at) over (partition by id) as n, max(at) over (partition by kind) as m from t", "t: all"),
            ("select lag(id) over (partition by id order by at) as id from t", "t: all"),
            ("select id from t union all select kind as id from u", "t: id; u: kind"),
            (
                "select id, row_number() over (partition by id order by at) as n from (select * from t where kind > 'a' union all select * from t where at > 'a')",
                "t: at id kind",
            ),
            ("select id from t intersect select id from u", "t: id; u: all"),
            ("select id from t order by at limit 3", "t: all"),
            ("select distinct on (id) id, at from t order by id, at", "t: all"),
            ("select t.id, u.kind from t inner join u on u.id = t.id", "t: id; u: id"),
            ("select t.id, u.at from t inner join u on u.kind = t.kind", "t: id; u: all"),
            ("select t.id, u.at from t left join u on u.id = t.id", "t: id; u: id"),
            ("select u.id, t.at from t left join u on u.id = t.id", "t: all; u: all"),
            ("select coalesce(t.id, u.id) as id, u.at from t full join u on u.id = t.id", "t: all; u: all"),
            ("select t.id from t where exists (select 1 from u where u.kind = t.id)", "t: id; u: kind"),
            ("select t.id from t where not exists (select 1 from u where u.at = t.at)", "t: id; u: all"),
            ("select t.id from t where t.id not in (select u.kind from u)", "t: id; u: all"),
            ("select id, (select max(at) from u) as at from t", "t: id; u: all"),
            ("select t.id from t cross join u", "t: id; u: all"),
            ("select unnest(make_array(id, kind)) as id from t", "t: id kind"),
            ("select upper(id) as id from (select unnest(make_array(id, kind)) as id from t)", "t: all"),
            ("select id from (select null as id, kind from t union all select kind, id from u)", "u: kind"),
            ("select id, unnest(make_array(at, kind)) as one from t", "t: id"),
        ] {
            let plan = engine.optimize(&engine.query(sql).await.unwrap().into_unoptimized_plan()).unwrap();
            let condition = col("id").in_list(vec![lit("a"), lit("b")], false);
            let (answers, large) = (Answers::new(), BTreeSet::new());
            let found = demands(&plan, Some(&condition), Known { answers: Some(&answers), large: &large }).unwrap();
            assert_eq!(told(&found.tables), expected, "{sql}\n{}", plan.display_indent());
        }
    }
}
