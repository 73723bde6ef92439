//! Parameters of SQL: replaces `$name` by a typed literal.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, VisitMut, VisitorMut};

/// Replaces the `$parameters` of a parsed statement by typed literals. The text of a value is never parsed as SQL.
pub(super) fn bind(mut statement: Statement, parameters: &BTreeMap<String, ScalarValue>) -> Result<Statement, DataFusionError> {
    if let Statement::Statement(inner) = &mut statement
        && let ControlFlow::Break(error) = inner.visit(&mut Binder { parameters })
    {
        return Err(error);
    }
    Ok(statement)
}

/// Replaces the parameters in a part of a statement.
pub(super) struct Binder<'a> {
    pub(super) parameters: &'a BTreeMap<String, ScalarValue>,
}

impl VisitorMut for Binder<'_> {
    type Break = DataFusionError;

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Self::Break> {
        let ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Placeholder(placeholder), .. }) = expr else {
            return ControlFlow::Continue(());
        };
        let value = self.parameters.get(placeholder.trim_start_matches('$'));
        match value.map(literal) {
            Some(Ok(bound)) => *expr = bound,
            Some(Err(error)) => return ControlFlow::Break(error),
            None => return ControlFlow::Break(DataFusionError::Plan(format!("there is no parameter `{placeholder}`"))),
        }
        ControlFlow::Continue(())
    }
}

/// A value as a typed SQL literal.
fn literal(value: &ScalarValue) -> Result<ast::Expr, DataFusionError> {
    let quoted = |text: String| ast::Expr::Value(ast::Value::SingleQuotedString(text).into());
    let cast = |text: String, data_type: ast::DataType| ast::Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(quoted(text)),
        data_type,
        array: false,
        format: None,
    };
    Ok(match value {
        ScalarValue::Utf8(Some(text)) => quoted(text.clone()),
        ScalarValue::Boolean(Some(truth)) => ast::Expr::Value(ast::Value::Boolean(*truth).into()),
        ScalarValue::Int64(Some(number)) => cast(number.to_string(), ast::DataType::BigInt(None)),
        ScalarValue::Float64(Some(number)) => cast(number.to_string(), ast::DataType::Double(ast::ExactNumberInfo::None)),
        ScalarValue::Date32(Some(_)) => cast(value.to_string(), ast::DataType::Date),
        ScalarValue::Decimal128(Some(_), precision, scale) => {
            let info = ast::ExactNumberInfo::PrecisionAndScale(u64::from(*precision), i64::from(*scale));
            cast(
                ScalarValue::to_array(value).and_then(|array| Ok(arrow::util::display::array_value_to_string(&array, 0)?))?,
                ast::DataType::Decimal(info),
            )
        }
        ScalarValue::TimestampMicrosecond(Some(_), _) => cast(
            ScalarValue::to_array(value).and_then(|array| Ok(arrow::util::display::array_value_to_string(&array, 0)?))?,
            ast::DataType::Timestamp(None, ast::TimezoneInfo::Tz),
        ),
        other => return Err(DataFusionError::Plan(format!("a parameter cannot be a {}", other.data_type()))),
    })
}
