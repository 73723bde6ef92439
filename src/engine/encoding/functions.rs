//! The functions in a plan over codes: text to code, code to text, and functions of one text that are computed once for each code.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, UInt32Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::physical_expr::PhysicalExpr;

use super::dictionary::{CODE, Dictionary};

/// It stands for a result that has not been computed yet.
const UNKNOWN: u32 = u32::MAX;
/// It stands for a result that is null.
const NULL: u32 = u32::MAX - 1;

/// An expression that returns the code of a text.
pub fn encode(dictionary: &Arc<Dictionary>, text: Expr) -> Expr {
    call(dictionary, Operation::Encode, text)
}

/// An expression that returns the text of a code as a type of text.
pub fn decode(dictionary: &Arc<Dictionary>, code: Expr, text_type: &DataType) -> Expr {
    call(dictionary, Operation::Decode(text_type.clone()), code)
}

/// An expression that applies a function of one text to a code. It returns a code if the function returns text, and else a boolean.
pub fn map(dictionary: &Arc<Dictionary>, mapping: Mapping, code: Expr) -> Expr {
    call(dictionary, Operation::Map(Arc::new(mapping)), code)
}

fn call(dictionary: &Arc<Dictionary>, operation: Operation, argument: Expr) -> Expr {
    let function = Function { dictionary: Arc::clone(dictionary), operation, signature: Signature::any(1, Volatility::Immutable) };
    ScalarUDF::from(function).call(vec![argument])
}

/// A function of one text and its results so far.
#[derive(Debug)]
pub struct Mapping {
    expression: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    result: DataType,
    nullable: bool,
    /// The results: first that of null, then those of the codes.
    results: RwLock<Vec<u32>>,
}

/// The name of the column that the expression of a mapping reads.
pub const MAPPED: &str = "text";

impl Mapping {
    /// A mapping by an expression over one column, which is called [`MAPPED`] and is of `text_type`.
    pub fn new(expression: Arc<dyn PhysicalExpr>, text_type: DataType, result: DataType, nullable: bool) -> Self {
        let schema = Arc::new(Schema::new(vec![Field::new(MAPPED, text_type, true)]));
        Mapping { expression, schema, result, nullable, results: RwLock::default() }
    }

    fn is_condition(&self) -> bool {
        self.result == DataType::Boolean
    }

    fn apply(&self, dictionary: &Dictionary, codes: &UInt32Array) -> Result<ArrayRef> {
        let slots = || codes.iter().map(slot);
        let mut results: Vec<u32> = {
            let known = self.results.read().unwrap_or_else(PoisonError::into_inner);
            slots().map(|slot| known.get(slot).copied().unwrap_or(UNKNOWN)).collect()
        };
        if results.contains(&UNKNOWN) {
            let unknown = results.iter().zip(codes).filter(|(result, _)| **result == UNKNOWN);
            let mut unknown: Vec<Option<u32>> = unknown.map(|(_, code)| code).collect();
            unknown.sort_unstable();
            unknown.dedup();
            let found = self.work_out(dictionary, &unknown)?;
            let mut known = self.results.write().unwrap_or_else(PoisonError::into_inner);
            let width = unknown.iter().map(|code| slot(*code) + 1).max().unwrap_or_default();
            if known.len() < width {
                known.resize(width, UNKNOWN);
            }
            for (code, result) in unknown.iter().zip(&found) {
                known[slot(*code)] = *result;
            }
            results = slots().map(|slot| known[slot]).collect();
        }
        let has_nulls = results.contains(&NULL);
        let nulls = has_nulls.then(|| results.iter().map(|result| *result != NULL).collect::<NullBuffer>());
        Ok(if self.is_condition() {
            Arc::new(BooleanArray::new(results.iter().map(|result| *result == 1).collect(), nulls))
        } else {
            Arc::new(UInt32Array::new(results.into(), nulls))
        })
    }

    /// Computes the results for some codes.
    fn work_out(&self, dictionary: &Dictionary, codes: &[Option<u32>]) -> Result<Vec<u32>> {
        let texts = dictionary.decode(&UInt32Array::from(codes.to_vec()), self.schema.field(0).data_type())?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![texts])?;
        let values = self.expression.evaluate(&batch)?.into_array(codes.len())?;
        if self.is_condition() {
            return Ok(values.as_boolean().iter().map(|truth| truth.map_or(NULL, u32::from)).collect());
        }
        let values = dictionary.encode(&values)?;
        Ok(values.as_primitive::<UInt32Type>().iter().map(|code| code.unwrap_or(NULL)).collect())
    }
}

fn slot(code: Option<u32>) -> usize {
    code.map_or(0, |code| code as usize + 1)
}

#[derive(Debug, Clone)]
enum Operation {
    Encode,
    Decode(DataType),
    Map(Arc<Mapping>),
}

/// One of these functions for one dictionary.
#[derive(Debug)]
struct Function {
    dictionary: Arc<Dictionary>,
    operation: Operation,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dictionary, &other.dictionary)
            && match (&self.operation, &other.operation) {
                (Operation::Encode, Operation::Encode) => true,
                (Operation::Decode(one), Operation::Decode(two)) => one == two,
                (Operation::Map(one), Operation::Map(two)) => Arc::ptr_eq(one, two),
                _ => false,
            }
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &'static str {
        match self.operation {
            Operation::Encode => "encode_text",
            Operation::Decode(_) => "decode_text",
            Operation::Map(_) => "map_text",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match &self.operation {
            Operation::Encode => CODE,
            Operation::Decode(text_type) => text_type.clone(),
            Operation::Map(mapping) if mapping.is_condition() => DataType::Boolean,
            Operation::Map(_) => CODE,
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = match &self.operation {
            Operation::Map(mapping) => mapping.nullable,
            Operation::Encode | Operation::Decode(_) => args.arg_fields.iter().any(|field| field.is_nullable()),
        };
        Ok(Arc::new(Field::new(self.name(), self.return_type(&[])?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [argument] = args.args.as_slice() else {
            return Err(DataFusionError::Internal(format!("{} takes one argument", self.name())));
        };
        // The result of a scalar must be a scalar.
        let (array, is_scalar) = match argument {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        let codes = || {
            let codes = array.as_primitive_opt::<UInt32Type>();
            codes.ok_or_else(|| DataFusionError::Internal(format!("{} is not the type of a code", array.data_type())))
        };
        let result = match &self.operation {
            Operation::Encode => self.dictionary.encode(&array)?,
            Operation::Decode(text_type) => self.dictionary.decode(codes()?, text_type)?,
            Operation::Map(mapping) => mapping.apply(&self.dictionary, codes()?)?,
        };
        if is_scalar {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
