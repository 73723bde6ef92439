//! Arithmetic that fails when a result does not fit its type. DataFusion's own would wrap around.
//!
//! DataFusion adds, subtracts, multiplies and negates modulo two to the power of the width, and has no setting that changes it. So an
//! analyser rule replaces these operators by functions as soon as the types are known and before constants are folded. Operators on doubles
//! stay as they are: a double becomes infinite, as IEEE 754 defines it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, Datum, Scalar};
use arrow::compute::kernels::numeric::{add, mul, neg, sub};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::encoding::is_text;
use super::exact::fits_precision;
use super::growth;
use super::mended::rounded;

/// Replaces DataFusion's arithmetic by checked arithmetic everywhere in a plan.
#[derive(Debug)]
pub struct Checks {
    /// The most bytes that one function call may produce for a batch.
    pub max_bytes: usize,
}

impl AnalyzerRule for Checks {
    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let checked = plan.transform_up_with_subqueries(|node| {
            // The filters of a scan refer to the scan's own columns, other expressions to those of the inputs.
            let schema = match &node {
                LogicalPlan::TableScan(scan) => scan.projected_schema.as_ref().clone(),
                other => merge_schema(&other.inputs()),
            };
            let names = NamePreserver::new(&node);
            let rewritten = node.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(checked(expr, &schema, self.max_bytes)?.update_data(|expr| name.restore(expr)))
            })?;
            // The names of the expressions have not changed, so the schema of the node is still right.
            Ok(rewritten)
        })?;
        Ok(checked.data)
    }
}

/// An expression with checked arithmetic, whose functions produce at most `max_bytes` for a batch. The types of its operands must be
/// coerced already.
///
/// # Errors
/// DataFusion's own.
pub fn checked(expr: Expr, schema: &DFSchema, max_bytes: usize) -> Result<Transformed<Expr>> {
    expr.transform_up(|part| match part {
        Expr::ScalarFunction(call) => match growth::bounded(&call.func, max_bytes) {
            Some(function) => Ok(Transformed::yes(function.call(call.args))),
            None => Ok(Transformed::no(Expr::ScalarFunction(call))),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
            let types = left.get_type(schema).ok().zip(right.get_type(schema).ok());
            if types.is_some_and(|(one, other)| is_text(&one) && is_text(&other)) {
                return Ok(Transformed::yes(growth::concatenation(max_bytes).call(vec![*left, *right])));
            }
            Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right })))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let operation = Operation::of(op);
            let types = match operation {
                // Some operands have no type here, such as a column of an outer query. Their operators stay as they are.
                Some(_) => left.get_type(schema).ok().zip(right.get_type(schema).ok()),
                None => None,
            };
            match (operation, types) {
                (Some(operation), Some((one, other))) if may_wrap(&one, &other) => {
                    let function = ScalarUDF::from(Checked::new(operation));
                    Ok(Transformed::yes(function.call(vec![*left, *right])))
                }
                _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            }
        }
        Expr::Negative(inner) => match inner.get_type(schema) {
            Ok(of) if !of.is_floating() && !of.is_null() && !matches!(inner.as_ref(), Expr::Literal(..)) => {
                Ok(Transformed::yes(ScalarUDF::from(Checked::new(Operation::Negate)).call(vec![*inner])))
            }
            _ => Ok(Transformed::no(Expr::Negative(inner))),
        },
        Expr::Cast(cast) => {
            let rounded =
                cast.expr.get_type(schema).ok().and_then(|of| rounded(&of, cast.field.data_type(), cast.expr.as_ref().clone(), false));
            Ok(rounded.map_or_else(|| Transformed::no(Expr::Cast(cast)), Transformed::yes))
        }
        Expr::TryCast(cast) => {
            let rounded =
                cast.expr.get_type(schema).ok().and_then(|of| rounded(&of, cast.field.data_type(), cast.expr.as_ref().clone(), true));
            Ok(rounded.map_or_else(|| Transformed::no(Expr::TryCast(cast)), Transformed::yes))
        }
        Expr::AggregateFunction(mut call) if call.func.name() == "median" => {
            let changed = with_one_nan(&mut call.params.args, schema);
            Ok(Transformed::new_transformed(Expr::AggregateFunction(call), changed))
        }
        Expr::WindowFunction(mut call) if call.fun.name() == "median" => {
            let changed = with_one_nan(&mut call.params.args, schema);
            Ok(Transformed::new_transformed(Expr::WindowFunction(call), changed))
        }
        other => Ok(Transformed::no(other)),
    })
}

/// Replaces every NaN by the one without a sign. DataFusion's median treats a NaN with a sign, such as the result of zero divided by zero,
/// as equal to every number, so its result would depend on the order of rows. A NaN without a sign sorts after all numbers.
fn with_one_nan(args: &mut [Expr], schema: &DFSchema) -> bool {
    let [value] = args else { return false };
    let is_done = matches!(&*value, Expr::ScalarFunction(call) if call.name() == "nanvl");
    let nan = match value.get_type(schema) {
        Ok(DataType::Float64) if !is_done => ScalarValue::Float64(Some(f64::NAN)),
        Ok(DataType::Float32) if !is_done => ScalarValue::Float32(Some(f32::NAN)),
        _ => return false,
    };
    *value = datafusion::functions::expr_fn::nanvl(std::mem::take(value), Expr::Literal(nan, None));
    true
}

/// Whether arithmetic on two types may wrap around where it should not. Times of day are meant to wrap around, and the distance between two
/// dates always fits an integer.
fn may_wrap(one: &DataType, other: &DataType) -> bool {
    let is_left_alone = |of: &DataType| of.is_floating() || of.is_null() || matches!(of, DataType::Time32(_) | DataType::Time64(_));
    let are_days = matches!((one, other), (DataType::Date32, DataType::Date32) | (DataType::Date64, DataType::Date64));
    !is_left_alone(one) && !is_left_alone(other) && !are_days
}

/// The operation of a checked function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Negate,
}

impl Operation {
    fn of(operator: Operator) -> Option<Operation> {
        match operator {
            Operator::Plus => Some(Operation::Add),
            Operator::Minus => Some(Operation::Subtract),
            Operator::Multiply => Some(Operation::Multiply),
            _ => None,
        }
    }

    fn operator(self) -> Operator {
        match self {
            Operation::Add => Operator::Plus,
            Operation::Subtract | Operation::Negate => Operator::Minus,
            Operation::Multiply => Operator::Multiply,
        }
    }

    fn apply(self, one: &dyn Datum, other: Option<&dyn Datum>) -> Result<ArrayRef, ArrowError> {
        match (self, other) {
            (Operation::Add, Some(other)) => add(one, other),
            (Operation::Subtract, Some(other)) => sub(one, other),
            (Operation::Multiply, Some(other)) => mul(one, other),
            _ => neg(one.get().0),
        }
    }
}

/// An operator as a function that checks its result.
#[derive(Debug)]
struct Checked {
    operation: Operation,
    signature: Signature,
}

impl Checked {
    fn new(operation: Operation) -> Self {
        let operands = if operation == Operation::Negate { 1 } else { 2 };
        Checked { operation, signature: Signature::any(operands, Volatility::Immutable) }
    }
}

impl PartialEq for Checked {
    fn eq(&self, other: &Self) -> bool {
        self.operation == other.operation
    }
}

impl Eq for Checked {}

impl Hash for Checked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.operation.hash(state);
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.operation {
            Operation::Add => "checked_add",
            Operation::Subtract => "checked_subtract",
            Operation::Multiply => "checked_multiply",
            Operation::Negate => "checked_negate",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [one, other] => BinaryTypeCoercer::new(one, &self.operation.operator(), other).get_result_type(),
            [one] => Ok(one.clone()),
            _ => Err(DataFusionError::Internal(format!("{} takes no {} operands", self.name(), types.len()))),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, args.arg_fields.iter().any(|field| field.is_nullable()))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let are_single = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let operands = args.args.iter().map(operand).collect::<Result<Vec<_>>>()?;
        let [one, others @ ..] = operands.as_slice() else {
            return Err(DataFusionError::Internal(format!("{} has no operand", self.name())));
        };
        let result = self.operation.apply(one.as_ref(), others.first().map(AsRef::as_ref)).map_err(|error| match error {
            // Arrow's message quotes the operands, which are values of the data.
            ArrowError::ArithmeticOverflow(_) => self.overflow(args.return_type()),
            other => other.into(),
        })?;
        let most_digits = matches!(args.return_type(), DataType::Decimal128(38, _) | DataType::Decimal256(76, _));
        if most_digits && !fits_precision(&result) {
            return Err(self.overflow(args.return_type()));
        }
        if are_single {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

impl Checked {
    fn overflow(&self, result: &DataType) -> DataFusionError {
        let what = match self.operation {
            Operation::Add => "a sum made by `+`",
            Operation::Subtract => "a difference made by `-`",
            Operation::Multiply => "a product made by `*`",
            Operation::Negate => "a negation by `-`",
        };
        super::exact::beyond(what, result)
    }
}

fn operand(value: &ColumnarValue) -> Result<Box<dyn Datum>> {
    Ok(match value {
        ColumnarValue::Array(array) => Box::new(Arc::clone(array)),
        ColumnarValue::Scalar(value) => Box::new(Scalar::new(value.to_array()?)),
    })
}
