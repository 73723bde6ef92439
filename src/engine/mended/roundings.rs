//! Casts that round, as a function that DataFusion does not look into.
//!
//! DataFusion turns `cast(n as decimal(10,0)) >= 2` into `n >= 2.00`, which is false of 1.50, although the cast makes it 2.

use std::hash::Hash;

use arrow::compute::CastOptions;
use arrow::datatypes::DataType;
use arrow::util::display::FormatOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// A cast of a decimal to fewer digits behind the point as such a function; none if the cast changes no value. To decimals it rounds, and to
/// integers it cuts digits off.
pub fn rounded(from: &DataType, to: &DataType, value: Expr, is_null_if_wrong: bool) -> Option<Expr> {
    let DataType::Decimal128(_, scale) = from else { return None };
    let rounds = match to {
        DataType::Decimal128(_, to) => to < scale,
        to => *scale > 0 && to.is_integer(),
    };
    let function = Rounded { to: to.clone(), is_null_if_wrong, signature: Signature::any(1, Volatility::Immutable) };
    rounds.then(|| ScalarUDF::from(function).call(vec![value]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounded {
    to: DataType,
    is_null_if_wrong: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Rounded {
    fn name(&self) -> &'static str {
        "rounded"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = args.args.first().ok_or_else(|| DataFusionError::Internal("rounded takes one argument".to_owned()))?;
        let options = CastOptions { safe: self.is_null_if_wrong, format_options: FormatOptions::default() };
        value.cast_to(&self.to, Some(&options))
    }
}
