use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, Query, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use segmill::config::{self, Environment};

use crate::support::package;

/// What somebody would stumble over who reads a query for the first time.
#[derive(Default)]
struct Stumbles(Vec<String>);

impl Stumbles {
    fn named(&mut self, alias: &Ident) {
        if alias.value.chars().count() < 2 {
            self.0.push(format!("the alias `{}` says nothing", alias.value));
        }
    }
}

impl Visitor for Stumbles {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } = table {
            self.named(&alias.name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        query.with.iter().flat_map(|with| &with.cte_tables).for_each(|cte| self.named(&cte.alias.name));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::BinaryOp { left, op: BinaryOperator::Or, right } = expr {
            let is_and = |side: &Expr| matches!(side, Expr::BinaryOp { op: BinaryOperator::And, .. });
            if is_and(left) || is_and(right) {
                self.0.push(format!("`and` and `or` mix without parentheses: {expr}"));
            }
        }
        ControlFlow::Continue(())
    }
}

fn stumbles(sql: &str) -> Vec<String> {
    let mut found = Stumbles::default();
    for statement in Parser::parse_sql(&GenericDialect, sql).unwrap() {
        let _ = statement.visit(&mut found);
    }
    found.0
}

/// Every model, check and rule of the shipped project, with what it is.
fn shipped() -> Vec<(String, String)> {
    let project = config::load(&package().join("pipelines/customer_segments.yaml"), &Environment::new()).unwrap();
    let mut all: Vec<(String, String)> = project.models.iter().map(|model| (model.name(), model.file.text.clone())).collect();
    let checks = project.pipeline.checks.iter().filter_map(|check| Some((&check.name.value, check.sql.as_ref()?)));
    all.extend(checks.map(|(name, sql)| (format!("the check {name}"), sql.value.clone())));
    let segments = project.pipeline.segments.values().flat_map(|set| &set.segments);
    all.extend(segments.map(|segment| (format!("the segment {}", segment.name.value), format!("select {}", segment.when.value))));
    all.extend(project.pipeline.profile.always.iter().map(|rule| ("what always holds".to_owned(), format!("select {}", rule.value))));
    all
}

#[test]
fn names_say_what_they_stand_for_and_parentheses_what_belongs_together() {
    let all = shipped();
    assert!(all.len() > 80, "{}", all.len());
    let wrong: Vec<String> = all.iter().flat_map(|(of, sql)| stumbles(sql).into_iter().map(move |what| format!("{of}: {what}"))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let bad = "with x as (select 1) select * from customers as c where a and b or d";
    assert_eq!(stumbles(bad).len(), 3, "{:?}", stumbles(bad));
}
