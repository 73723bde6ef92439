//! Rewrites expressions over columns that are codes: some need no text, and in the others the text is decoded.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction, Alias, BinaryExpr, Case, InList, ScalarFunction, WindowFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, SortExpr, Volatility};

use super::dictionary::Dictionary;
use super::functions::{self, MAPPED, Mapping};
use super::prints::{PRINT, Secret, count_prints, print_of};
use super::stand::Stand;
use super::table::is_text;
use crate::engine::digest::{ROW_DIGEST, row_digest_of_codes};

/// The columns that an expression may refer to: their schema before the rewrite, and which of them are codes now.
pub(super) struct Scope {
    pub(super) schema: DFSchemaRef,
    pub(super) columns: Vec<Option<Stand>>,
}

impl Scope {
    fn stand(&self, column: &Column) -> Option<&Stand> {
        self.columns.get(self.schema.maybe_index_of_column(column)?)?.as_ref()
    }

    fn code(&self, column: &Column) -> Option<&DataType> {
        self.stand(column)?.text_of_code()
    }

    /// Whether an expression is a column of prints.
    pub(super) fn is_print(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Alias(alias) => self.is_print(&alias.expr),
            Expr::Column(column) => self.stand(column) == Some(&Stand::Print),
            _ => false,
        }
    }
}

/// Rewrites expressions for one dictionary.
pub(super) struct Expressions<'a> {
    pub(super) state: &'a SessionState,
    pub(super) dictionary: &'a Arc<Dictionary>,
    pub(super) secret: &'a Secret,
}

impl Expressions<'_> {
    /// An expression that returns the code of the result of a text expression; none if that cannot be computed from codes.
    pub(super) fn code(&self, expr: &Expr, scope: &Scope) -> Result<Option<Expr>> {
        let code = match expr {
            Expr::Column(column) => scope.code(column).map(|_| expr.clone()),
            Expr::Literal(value, _) => match value.try_as_str() {
                Some(Some(text)) => Some(number(Some(self.dictionary.code(text)?))),
                Some(None) => Some(number(None)),
                None => value.is_null().then(|| number(None)),
            },
            Expr::Alias(alias) => self.code(&alias.expr, scope)?.map(|expr| Expr::Alias(Alias { expr: Box::new(expr), ..alias.clone() })),
            // A cast from one text type to another does not change the text.
            Expr::Cast(cast) if is_text(cast.field.data_type()) && is_text(&expr_type(&cast.expr, scope)?) => {
                self.code(&cast.expr, scope)?
            }
            Expr::Case(case) => self.code_of_case(case, scope)?,
            Expr::ScalarFunction(call) if ["coalesce", "nullif"].contains(&call.name()) => {
                let args = call.args.iter().map(|arg| self.code(arg, scope)).collect::<Result<Option<Vec<_>>>>()?;
                args.map(|args| Expr::ScalarFunction(ScalarFunction { func: Arc::clone(&call.func), args }))
            }
            _ => None,
        };
        match code {
            Some(code) => Ok(Some(code)),
            None => self.mapped(expr, scope, is_text),
        }
    }

    fn code_of_case(&self, case: &Case, scope: &Scope) -> Result<Option<Expr>> {
        let mut branches = Vec::new();
        for (when, then) in &case.when_then_expr {
            let Some(then) = self.code(then, scope)? else { return Ok(None) };
            branches.push((when.as_ref().clone(), then));
        }
        let otherwise = match &case.else_expr {
            Some(expr) => match self.code(expr, scope)? {
                Some(code) => Some(Box::new(code)),
                None => return Ok(None),
            },
            None => None,
        };
        let (base, whens): (_, Vec<Expr>) = self.comparands(case.expr.as_deref(), branches.iter().map(|(when, _)| when), scope)?;
        let when_then_expr = whens.into_iter().zip(branches).map(|(when, (_, then))| (Box::new(when), Box::new(then))).collect();
        Ok(Some(Expr::Case(Case { expr: base.map(Box::new), when_then_expr, else_expr: otherwise })))
    }

    /// The operand of a CASE and the values that it is compared with: as codes if all of them can be codes, else as texts.
    fn comparands<'e>(
        &self,
        base: Option<&Expr>,
        whens: impl Iterator<Item = &'e Expr> + Clone,
        scope: &Scope,
    ) -> Result<(Option<Expr>, Vec<Expr>)> {
        if let Some(base) = base
            && is_text(&expr_type(base, scope)?)
            && let Some(code) = self.code(base, scope)?
        {
            let codes = whens.clone().map(|when| self.code(when, scope)).collect::<Result<Option<Vec<_>>>>()?;
            if let Some(codes) = codes {
                return Ok((Some(code), codes));
            }
        }
        let base = base.map(|base| self.value(base.clone(), scope)).transpose()?;
        Ok((base, whens.map(|when| self.value(when.clone(), scope)).collect::<Result<_>>()?))
    }

    /// An expression that returns the code of the result of a text expression. If there is no other way, it encodes the text.
    pub(super) fn as_code(&self, expr: &Expr, scope: &Scope) -> Result<Expr> {
        match self.code(expr, scope)? {
            Some(code) => Ok(code),
            None => Ok(functions::encode(self.dictionary, self.value(expr.clone(), scope)?)),
        }
    }

    /// An expression with the same result as another. Codes are decoded where the expression needs their text.
    pub(super) fn value(&self, expr: Expr, scope: &Scope) -> Result<Expr> {
        let rewritten = expr.transform_down(|part| {
            if let Some(condition) = self.condition(&part, scope)? {
                return Ok(Transformed::new(condition, true, TreeNodeRecursion::Jump));
            }
            match part {
                Expr::Column(column) => match scope.code(&column) {
                    Some(text) => {
                        let text = text.clone();
                        Ok(Transformed::new(functions::decode(self.dictionary, Expr::Column(column), &text), true, TreeNodeRecursion::Jump))
                    }
                    None => Ok(Transformed::no(Expr::Column(column))),
                },
                Expr::Case(case) if case.expr.is_some() => {
                    let (base, whens) =
                        self.comparands(case.expr.as_deref(), case.when_then_expr.iter().map(|(when, _)| when.as_ref()), scope)?;
                    let mut branches = Vec::new();
                    for (when, (_, then)) in whens.into_iter().zip(case.when_then_expr) {
                        branches.push((Box::new(when), Box::new(self.value(*then, scope)?)));
                    }
                    let else_expr = case.else_expr.map(|expr| self.value(*expr, scope).map(Box::new)).transpose()?;
                    let case = Case { expr: base.map(Box::new), when_then_expr: branches, else_expr };
                    Ok(Transformed::new(Expr::Case(case), true, TreeNodeRecursion::Jump))
                }
                Expr::ScalarFunction(call) if call.name() == ROW_DIGEST => {
                    let args = self.codes_or_values(call.args, scope)?;
                    let is_code = |arg: &Expr| matches!(arg, Expr::Column(column) if scope.code(column).is_some());
                    let digest = row_digest_of_codes(self.dictionary, args.iter().map(is_code).collect());
                    Ok(Transformed::new(digest.call(args), true, TreeNodeRecursion::Jump))
                }
                Expr::AggregateFunction(call) if call.func.name() == "count" => {
                    Ok(Transformed::new(self.count(call, scope)?, true, TreeNodeRecursion::Jump))
                }
                Expr::WindowFunction(call) => {
                    let mut call: WindowFunction = *call;
                    call.params.partition_by = self.codes_or_values(call.params.partition_by, scope)?;
                    call.params.args = call.params.args.into_iter().map(|arg| self.value(arg, scope)).collect::<Result<_>>()?;
                    let key = |sort: SortExpr| Ok(SortExpr { expr: self.value(sort.expr, scope)?, ..sort });
                    call.params.order_by = call.params.order_by.into_iter().map(key).collect::<Result<_>>()?;
                    call.params.filter = call.params.filter.map(|filter| self.value(*filter, scope).map(Box::new)).transpose()?;
                    Ok(Transformed::new(Expr::WindowFunction(Box::new(call)), true, TreeNodeRecursion::Jump))
                }
                other => Ok(Transformed::no(other)),
            }
        });
        rewritten.map(|rewritten| rewritten.data)
    }

    /// The codes are enough to count texts. Different texts without codes are counted by their prints.
    fn count(&self, mut call: AggregateFunction, scope: &Scope) -> Result<Expr> {
        call.params.filter = call.params.filter.map(|filter| self.value(*filter, scope).map(Box::new)).transpose()?;
        match call.params.args.as_slice() {
            [arg] if call.params.distinct && call.params.order_by.is_empty() && is_text(&expr_type(arg, scope)?) => {
                if let Some(code) = self.code(arg, scope)? {
                    call.params.args = vec![code];
                } else {
                    call.params.args = vec![self.print(arg, scope)?];
                    call.params.distinct = false;
                    call.func = Arc::new(count_prints());
                }
            }
            _ => call.params.args = self.codes_or_values(call.params.args, scope)?,
        }
        Ok(Expr::AggregateFunction(call))
    }

    /// An expression that returns the print of the result of a text expression.
    pub(super) fn print(&self, expr: &Expr, scope: &Scope) -> Result<Expr> {
        Ok(match expr {
            Expr::Alias(alias) => self.print(&alias.expr, scope)?,
            Expr::Column(_) if scope.is_print(expr) => expr.clone(),
            Expr::Cast(cast) if is_text(cast.field.data_type()) && is_text(&expr_type(&cast.expr, scope)?) => {
                self.print(&cast.expr, scope)?
            }
            Expr::Case(case) if case.expr.is_none() => {
                let branch = |(when, then): &(Box<Expr>, Box<Expr>)| {
                    Ok((Box::new(self.value(when.as_ref().clone(), scope)?), Box::new(self.print(then, scope)?)))
                };
                let when_then_expr = case.when_then_expr.iter().map(branch).collect::<Result<_>>()?;
                let else_expr = case.else_expr.as_ref().map(|expr| self.print(expr, scope).map(Box::new)).transpose()?;
                Expr::Case(Case { expr: None, when_then_expr, else_expr })
            }
            Expr::Literal(value, _) if value.is_null() => Expr::Literal(ScalarValue::try_new_null(&PRINT)?, None),
            expr => print_of(self.secret).call(vec![self.value(expr.clone(), scope)?]),
        })
    }

    fn codes_or_values(&self, exprs: Vec<Expr>, scope: &Scope) -> Result<Vec<Expr>> {
        let rewrite = |expr: Expr| match &expr {
            Expr::Column(column) if scope.code(column).is_some() => Ok(expr),
            _ => self.value(expr, scope),
        };
        exprs.into_iter().map(rewrite).collect()
    }

    /// A condition that needs no text: it compares codes, or is computed once for each code. None if `expr` is no such condition.
    fn condition(&self, expr: &Expr, scope: &Scope) -> Result<Option<Expr>> {
        let texts = |exprs: &[&Expr]| -> Result<Option<Vec<Expr>>> {
            // A comparison of constants gains nothing.
            if exprs.iter().all(|expr| matches!(expr, Expr::Literal(..))) {
                return Ok(None);
            }
            for expr in exprs {
                if !matches!(expr, Expr::Literal(..)) && !is_text(&expr_type(expr, scope)?) {
                    return Ok(None);
                }
            }
            exprs.iter().map(|expr| self.code(expr, scope)).collect()
        };
        let condition = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_equality(*op) => texts(&[left, right])?.and_then(|codes| {
                let [left, right] = <[Expr; 2]>::try_from(codes).ok()?;
                Some(Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op: *op, right: Box::new(right) }))
            }),
            Expr::InList(list) => {
                let exprs: Vec<&Expr> = std::iter::once(list.expr.as_ref()).chain(&list.list).collect();
                texts(&exprs)?.and_then(|codes| {
                    let mut codes = codes.into_iter();
                    let expr = Box::new(codes.next()?);
                    Some(Expr::InList(InList { expr, list: codes.collect(), negated: list.negated }))
                })
            }
            Expr::IsNull(inner) => texts(&[inner])?.and_then(|codes| Some(Expr::IsNull(Box::new(codes.into_iter().next()?)))),
            Expr::IsNotNull(inner) => texts(&[inner])?.and_then(|codes| Some(Expr::IsNotNull(Box::new(codes.into_iter().next()?)))),
            _ => None,
        };
        match condition {
            Some(condition) => Ok(Some(condition)),
            None => self.mapped(expr, scope, |result| *result == DataType::Boolean),
        }
    }

    /// An expression over a single column of codes, as a function that is computed once for each code; none if it reads something else.
    fn mapped(&self, expr: &Expr, scope: &Scope, wanted: impl Fn(&DataType) -> bool) -> Result<Option<Expr>> {
        let Some(column) = only_column(expr) else { return Ok(None) };
        let Some(text) = scope.code(&column) else { return Ok(None) };
        let result = expr.get_type(&scope.schema)?;
        if !wanted(&result) {
            return Ok(None);
        }
        let over_text = expr.clone().transform_up(|part| {
            Ok(match part {
                Expr::Column(_) => Transformed::yes(Expr::Column(Column::new_unqualified(MAPPED))),
                other => Transformed::no(other),
            })
        })?;
        let schema = DFSchema::try_from(Schema::new(vec![Field::new(MAPPED, text.clone(), true)]))?;
        let physical = self.state.create_physical_expr(over_text.data, &schema)?;
        let mapping = Mapping::new(physical, text.clone(), result, expr.nullable(&scope.schema)?);
        Ok(Some(functions::map(self.dictionary, mapping, Expr::Column(column))))
    }
}

/// The type of an expression over the columns before the rewrite; `Null` for a column that is not among them.
fn expr_type(expr: &Expr, scope: &Scope) -> Result<DataType> {
    match expr {
        Expr::Column(column) if scope.schema.maybe_index_of_column(column).is_none() => Ok(DataType::Null),
        _ => expr.get_type(&scope.schema),
    }
}

fn number(code: Option<u32>) -> Expr {
    Expr::Literal(ScalarValue::UInt32(code), None)
}

fn is_equality(operator: Operator) -> bool {
    matches!(operator, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

/// The only column that an expression reads. None if it reads several, if it is not a pure function of it, or if it is the bare column.
fn only_column(expr: &Expr) -> Option<Column> {
    let mut only: Option<Column> = None;
    let mut fits = !matches!(expr, Expr::Column(_) | Expr::Alias(_) | Expr::Literal(..));
    let walked = expr.apply(|part| {
        match part {
            Expr::Column(column) => match &only {
                Some(known) => fits &= known == column,
                None => only = Some(column.clone()),
            },
            Expr::ScalarFunction(call) => fits &= call.func.signature().volatility == Volatility::Immutable,
            Expr::Literal(..)
            | Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Not(_)
            | Expr::IsNotNull(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::InList(_) => {}
            _ => fits = false,
        }
        Ok(if fits { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    only.filter(|_| fits && walked.is_ok())
}
