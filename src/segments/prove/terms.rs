//! The rules of a set over *terms*: expressions that rules compare with constants, each with finitely many values that matter.
//!
//! A term is a column; an expression that is compared with constants, such as `lower(city)`; the order of two expressions that are
//! compared with each other; or, when nothing is known of it, the truth of a whole condition. Only the leaves of a rule are
//! replaced. Terms of the last three kinds vary freely, even if they depend on each other. So the combinations of terms include every
//! possible customer, and perhaps some impossible ones.

use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, Operator, lit};
use datafusion::sql::unparser::expr_to_sql;
use std::sync::Arc;

use super::super::domain::{ColumnDomain, Domains};
use super::super::rule;
use super::finite::listed;
use crate::cast::is_text;
use crate::engine::Engine;

/// Something that rules compare with constants.
#[derive(Debug)]
pub struct Term {
    /// The column that stands for it.
    pub name: String,
    /// The term as people write it.
    pub shown: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether it may be null.
    pub nullable: bool,
    /// Where its values come from.
    pub origin: Origin,
    /// What it is compared with.
    pub constants: Vec<ScalarValue>,
    /// The conditions on this term alone. Values that none of them distinguishes form one class.
    pub atoms: Vec<Expr>,
    /// Whether a condition on several terms needs every value of this one.
    pub every_value: bool,
}

/// Where a term's values come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A column with a declared domain.
    Declared(ColumnDomain),
    /// A column of which only the type is known.
    Column,
    /// An expression that is compared with constants.
    Derived,
    /// How two expressions compare: below, alike, above.
    Order(String, String),
    /// A condition that cannot be analysed.
    Opaque,
}

/// The rules of a set over its terms.
#[derive(Debug)]
pub struct Abstraction {
    pub terms: Vec<Term>,
    pub rules: Vec<Expr>,
    /// The conditions that always hold and read columns of the set.
    pub always: Vec<Expr>,
}

/// Which parts of conditions become terms.
pub struct Abstractor<'a> {
    pub engine: &'a Engine,
    pub schema: &'a DFSchema,
    pub domains: &'a Domains,
    /// Whether conditions on several columns, and functions, are taken as a whole although all their values are known: they fail on some.
    pub cautious: bool,
    pub terms: Vec<Term>,
}

impl Abstractor<'_> {
    /// A condition over terms.
    pub fn rewrite(&mut self, expr: &Expr) -> Result<Expr, DataFusionError> {
        let mut inner = |expr: &Expr| self.rewrite(expr).map(Box::new);
        Ok(match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                Expr::BinaryExpr(BinaryExpr { left: inner(left)?, op: *op, right: inner(right)? })
            }
            Expr::Not(condition) => Expr::Not(inner(condition)?),
            Expr::IsTrue(condition) => Expr::IsTrue(inner(condition)?),
            Expr::IsFalse(condition) => Expr::IsFalse(inner(condition)?),
            Expr::IsUnknown(condition) => Expr::IsUnknown(inner(condition)?),
            Expr::IsNotTrue(condition) => Expr::IsNotTrue(inner(condition)?),
            Expr::IsNotFalse(condition) => Expr::IsNotFalse(inner(condition)?),
            Expr::IsNotUnknown(condition) => Expr::IsNotUnknown(inner(condition)?),
            Expr::Between(Between { expr, negated, low, high }) => {
                let at_least = self.atom(&expr.as_ref().clone().gt_eq(low.as_ref().clone()))?;
                let at_most = self.atom(&expr.as_ref().clone().lt_eq(high.as_ref().clone()))?;
                let between = at_least.and(at_most);
                if *negated { Expr::Not(Box::new(between)) } else { between }
            }
            other => self.atom(other)?,
        })
    }

    /// A condition that does not consist of other conditions.
    fn atom(&mut self, expr: &Expr) -> Result<Expr, DataFusionError> {
        let columns = expr.column_refs();
        if columns.is_empty() {
            return Ok(lit(self.fold(expr)?));
        }
        let mut names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
        names.sort_unstable();
        let simple = matches!(expr, Expr::Column(_)) || is_simple(expr);
        if names.iter().all(|name| self.is_finite(name)) && (simple || !self.cautious) {
            return self.over_columns(expr, &names);
        }
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if rule::is_comparison(*op) => {
                match (self.constant(left)?, self.constant(right)?) {
                    (None, Some(constant)) => {
                        self.comparison(left, std::slice::from_ref(&constant), |term| binary(term, *op, lit(constant.clone())), expr)
                    }
                    (Some(constant), None) => {
                        self.comparison(right, std::slice::from_ref(&constant), |term| binary(lit(constant.clone()), *op, term), expr)
                    }
                    _ => self.order(left, *op, right, expr),
                }
            }
            Expr::InList(InList { expr: subject, list, negated }) => {
                let constants = list.iter().map(|item| self.constant(item)).collect::<Result<Option<Vec<_>>, _>>()?;
                match constants {
                    Some(constants) => {
                        let items = constants.iter().cloned().map(lit).collect();
                        let known: Vec<_> = constants.into_iter().filter(|constant| !constant.is_null()).collect();
                        self.comparison(subject, &known, |term| term.in_list(items, *negated), expr)
                    }
                    None => self.opaque(expr),
                }
            }
            Expr::IsNull(subject) => self.comparison(subject, &[], Expr::is_null, expr),
            Expr::IsNotNull(subject) => self.comparison(subject, &[], Expr::is_not_null, expr),
            Expr::Column(_) => self.comparison(expr, &[], |term| term, expr),
            _ => self.opaque(expr),
        }
    }

    /// A condition on columns whose values are all known, which is asked as it stands.
    fn over_columns(&mut self, expr: &Expr, names: &[&str]) -> Result<Expr, DataFusionError> {
        let mut positions = Vec::new();
        for name in names {
            positions.push(self.term(&Expr::Column(Column::new_unqualified(*name)))?);
        }
        let expr = unqualified(expr)?;
        match positions.as_slice() {
            [one] => self.terms[*one].add_atom(&expr),
            several => several.iter().for_each(|at| self.terms[*at].every_value = true),
        }
        Ok(expr)
    }

    /// A condition on one expression and constants.
    fn comparison(
        &mut self,
        subject: &Expr,
        constants: &[ScalarValue],
        condition: impl FnOnce(Expr) -> Expr,
        whole: &Expr,
    ) -> Result<Expr, DataFusionError> {
        let data_type = subject.get_type(self.schema)?;
        let castable = |constant: &ScalarValue| constant.is_null() || !is_text(&data_type) || is_text(&constant.data_type());
        if !has_candidates(&data_type) || !constants.iter().all(castable) {
            return self.opaque(whole);
        }
        let at = self.term(subject)?;
        let term = &mut self.terms[at];
        for constant in constants {
            if !term.constants.contains(constant) {
                term.constants.push(constant.clone());
            }
        }
        let atom = condition(Expr::Column(Column::new_unqualified(term.name.clone())));
        term.add_atom(&atom);
        Ok(atom)
    }

    /// A comparison of two expressions with each other: as `x op 0`, where x is -1, 0 or 1, or null when one of them is.
    fn order(&mut self, left: &Expr, op: Operator, right: &Expr, whole: &Expr) -> Result<Expr, DataFusionError> {
        if !matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq) {
            return self.opaque(whole);
        }
        let (one, other) = (shown(left), shown(right));
        let zero = || lit(0_i64);
        let known = |origin: Origin| self.terms.iter().position(|term| term.origin == origin);
        // `b > a` is `a < b`: one term for the pair.
        let (at, turned) = match (known(Origin::Order(one.clone(), other.clone())), known(Origin::Order(other.clone(), one.clone()))) {
            (Some(at), _) => (at, false),
            (None, Some(at)) => (at, true),
            (None, None) => {
                let nullable = left.nullable(self.schema)? || right.nullable(self.schema)?;
                let title = format!("{one} to {other}");
                (self.push(title, DataType::Int64, nullable, Origin::Order(one, other)), false)
            }
        };
        let term = &mut self.terms[at];
        let column = Expr::Column(Column::new_unqualified(term.name.clone()));
        let atom = if turned { binary(zero(), op, column) } else { binary(column, op, zero()) };
        term.add_atom(&atom);
        Ok(atom)
    }

    /// A condition about which nothing is known except that it is true, false or null.
    fn opaque(&mut self, expr: &Expr) -> Result<Expr, DataFusionError> {
        let title = shown(expr);
        let known = self.terms.iter().position(|term| term.origin == Origin::Opaque && term.shown == title);
        let nullable = expr.nullable(self.schema)?;
        let at = known.unwrap_or_else(|| self.push(title, DataType::Boolean, nullable, Origin::Opaque));
        let column = Expr::Column(Column::new_unqualified(self.terms[at].name.clone()));
        self.terms[at].add_atom(&column);
        Ok(column)
    }

    /// The term that stands for an expression.
    fn term(&mut self, subject: &Expr) -> Result<usize, DataFusionError> {
        let (title, origin) = match subject {
            Expr::Column(column) => {
                let declared = self.domains.column(column.name());
                (column.name().to_owned(), declared.map_or(Origin::Column, |domain| Origin::Declared(domain.clone())))
            }
            other => (shown(other), Origin::Derived),
        };
        if let Some(at) = self.terms.iter().position(|term| term.shown == title && term.origin == origin) {
            return Ok(at);
        }
        let declared_required = matches!(&origin, Origin::Declared(domain) if domain.required);
        let nullable = !declared_required && subject.nullable(self.schema)?;
        let data_type = subject.get_type(self.schema)?;
        Ok(self.push(title, data_type, nullable, origin))
    }

    fn push(&mut self, shown: String, data_type: DataType, nullable: bool, origin: Origin) -> usize {
        let name = match origin {
            Origin::Declared(_) | Origin::Column => shown.clone(),
            // No column of a profile begins with a space.
            _ => format!(" term {}", self.terms.len()),
        };
        let term = Term { name, shown, data_type, nullable, origin, constants: Vec::new(), atoms: Vec::new(), every_value: false };
        self.terms.push(term);
        self.terms.len() - 1
    }

    /// Whether every value of a column is known.
    fn is_finite(&self, name: &str) -> bool {
        let data_type = self.schema.field_with_unqualified_name(name).map(|field| field.data_type().clone());
        matches!(data_type, Ok(DataType::Boolean)) || self.domains.column(name).is_some_and(|domain| listed(domain).is_some())
    }

    fn constant(&self, expr: &Expr) -> Result<Option<ScalarValue>, DataFusionError> {
        if expr.column_refs().is_empty() { self.fold(expr).map(Some) } else { Ok(None) }
    }

    /// The value of an expression without columns.
    fn fold(&self, expr: &Expr) -> Result<ScalarValue, DataFusionError> {
        if let Expr::Literal(value, _) = expr {
            return Ok(value.clone());
        }
        let schema = Arc::new(Schema::new(Vec::<Field>::new()));
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let row = RecordBatch::try_new_with_options(Arc::clone(&schema), Vec::new(), &options)?;
        let physical = self.engine.physical(expr.clone(), &DFSchema::try_from(schema.as_ref().clone())?)?;
        ScalarValue::try_from_array(&physical.evaluate(&row)?.into_array(1)?, 0)
    }
}

impl Term {
    /// Whether anything compares it by its place in an order.
    pub fn is_ordered(&self) -> bool {
        let ordering = |part: &Expr| {
            matches!(part, Expr::BinaryExpr(BinaryExpr { op: Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq, .. }))
        };
        self.atoms.iter().any(|atom| atom.exists(|part| Ok(ordering(part))).unwrap_or(true))
    }

    /// Whether the rules' author has said, or the type says, which values there are.
    pub fn is_known(&self) -> bool {
        match self.origin {
            Origin::Declared(_) => true,
            Origin::Column => self.data_type == DataType::Boolean,
            Origin::Derived | Origin::Order(..) | Origin::Opaque => false,
        }
    }

    fn add_atom(&mut self, atom: &Expr) {
        if !self.atoms.contains(atom) {
            self.atoms.push(atom.clone());
        }
    }
}

/// Whether a condition compares one column with constants, which never fails.
fn is_simple(expr: &Expr) -> bool {
    let column = |expr: &Expr| matches!(expr, Expr::Column(_));
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => {
            column(left) && right.column_refs().is_empty() || column(right) && left.column_refs().is_empty()
        }
        Expr::InList(InList { expr, list, .. }) => column(expr) && list.iter().all(|item| item.column_refs().is_empty()),
        Expr::IsNull(subject) | Expr::IsNotNull(subject) => column(subject),
        _ => false,
    }
}

/// An expression as people write it.
pub fn shown(expr: &Expr) -> String {
    let plain = unqualified(expr).and_then(|expr| expr_to_sql(&expr));
    plain.map_or_else(|_| expr.to_string(), |sql| sql.to_string().replace('"', ""))
}

fn unqualified(expr: &Expr) -> Result<Expr, DataFusionError> {
    let plain = |part: Expr| match part {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    };
    expr.clone().transform(plain).map(|transformed| transformed.data)
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}

/// Whether values beside a constant can be made for a type.
fn has_candidates(data_type: &DataType) -> bool {
    let number = data_type.is_integer() || data_type.is_floating() || matches!(data_type, DataType::Decimal128(..));
    number || is_text(data_type) || matches!(data_type, DataType::Boolean | DataType::Date32 | DataType::Timestamp(..))
}
