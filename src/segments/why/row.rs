//! One customer's row of the profile, with which conditions are evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast;

use super::super::domain::Domains;
use super::verdict::Verdict;
use crate::engine::Engine;

/// A customer, and what is needed to evaluate a rule for this one.
#[derive(Clone, Copy)]
pub struct Customer<'a> {
    /// Evaluates conditions.
    pub engine: &'a Engine,
    /// The columns that rules read.
    pub schema: &'a DFSchema,
    /// The values of parameters, by name.
    pub parameters: &'a BTreeMap<String, ScalarValue>,
    /// What is declared of the columns: no change leads out of it.
    pub domains: &'a Domains,
    /// The customer's row, with these columns.
    pub row: &'a RecordBatch,
}

impl Customer<'_> {
    /// A parsed condition over the columns of the profile, with its parameters bound.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn typed(&self, condition: &ast::Expr) -> Result<Expr, DataFusionError> {
        self.engine.rule(condition.clone(), self.parameters, self.schema)
    }

    /// The truth of a condition.
    pub fn verdict(&self, condition: &Expr) -> Verdict {
        let evaluated = self.evaluate(condition);
        let Ok(answer) = evaluated else { return Verdict::Fails };
        let Some(answer) = answer.as_boolean_opt() else { return if answer.is_null(0) { Verdict::Unknown } else { Verdict::Fails } };
        Verdict::of(answer.is_valid(0).then(|| answer.value(0)))
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn value_of(&self, expr: &Expr) -> Result<ScalarValue, DataFusionError> {
        ScalarValue::try_from_array(&self.evaluate(expr)?, 0)
    }

    /// The customer's value of a column; none if there is no such column.
    pub fn value(&self, column: &str) -> Option<ScalarValue> {
        ScalarValue::try_from_array(self.row.column_by_name(column)?, 0).ok()
    }

    fn evaluate(&self, expr: &Expr) -> Result<ArrayRef, DataFusionError> {
        self.engine.physical(expr.clone(), self.schema)?.evaluate(self.row)?.into_array(1)
    }
}

/// Rows that are like a customer's in some columns and differ in others, which alone a condition reads.
pub struct Variations {
    schema: DFSchema,
    columns: Vec<String>,
}

impl Variations {
    /// Of some columns of a customer's row.
    ///
    /// # Errors
    /// DataFusion's own, for a column that is not there.
    pub fn new(customer: &Customer<'_>, columns: &[String]) -> Result<Self, DataFusionError> {
        let whole = customer.row.schema();
        let positions = columns.iter().map(|name| whole.index_of(name)).collect::<Result<Vec<_>, _>>()?;
        let schema = DFSchema::try_from(whole.project(&positions)?)?;
        Ok(Variations { schema, columns: columns.to_vec() })
    }

    /// Which rows make all of some conditions true. The values of a row come in the order of the columns. A row on which a condition
    /// fails makes it not true.
    ///
    /// # Errors
    /// DataFusion's own, when a condition cannot be planned.
    pub fn holding(&self, engine: &Engine, conditions: &[Expr], rows: &[Vec<ScalarValue>]) -> Result<Vec<bool>, DataFusionError> {
        let mut holding = vec![true; rows.len()];
        for answers in self.answers(engine, conditions, rows)? {
            holding.iter_mut().zip(answers).for_each(|(holds, answer)| *holds &= answer == Verdict::Yes);
        }
        Ok(holding)
    }

    /// The answers to each condition, for each row.
    ///
    /// # Errors
    /// DataFusion's own, when a condition cannot be planned.
    pub fn answers(&self, engine: &Engine, conditions: &[Expr], rows: &[Vec<ScalarValue>]) -> Result<Vec<Vec<Verdict>>, DataFusionError> {
        if rows.is_empty() {
            return Ok(vec![Vec::new(); conditions.len()]);
        }
        let batch = self.batch(rows)?;
        let answers = conditions.iter().map(|condition| {
            let physical = engine.physical(condition.clone(), &self.schema)?;
            let asked = |batch: &RecordBatch| {
                let answer = physical.evaluate(batch)?.into_array(batch.num_rows())?;
                let answer = answer.as_boolean_opt().ok_or_else(|| DataFusionError::Plan("no condition".to_owned()))?;
                Ok::<_, DataFusionError>(answer.iter().map(Verdict::of).collect::<Vec<_>>())
            };
            Ok(match asked(&batch) {
                Ok(answers) => answers,
                // It fails on some of them, so each is asked by itself.
                Err(_) => (0..rows.len())
                    .map(|at| asked(&batch.slice(at, 1)).ok().and_then(|one| one.first().copied()).unwrap_or(Verdict::Fails))
                    .collect(),
            })
        });
        answers.collect()
    }

    fn batch(&self, rows: &[Vec<ScalarValue>]) -> Result<RecordBatch, DataFusionError> {
        let column = |at: usize| {
            let field = self.schema.field(at);
            let values = rows.iter().map(|row| row[at].clone());
            let array = ScalarValue::iter_to_array(values)?;
            Ok::<_, DataFusionError>(arrow::compute::cast(&array, field.data_type())?)
        };
        let arrays = (0..self.columns.len()).map(column).collect::<Result<Vec<_>, _>>()?;
        let fields: Vec<_> = self.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(Arc::new(arrow::datatypes::Schema::new(fields)), arrays, &options)?)
    }
}
