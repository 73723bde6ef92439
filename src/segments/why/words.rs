//! Conditions and values as people write them.

use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast;

use crate::shown;

/// A condition as people write it: names and key words in lower case, since SQL does not tell them apart, and quoted texts as they are.
pub fn written(condition: &ast::Expr) -> String {
    let text = condition.to_string();
    let mut quote = None;
    let lowered = text.chars().map(|c| {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None => return c.to_ascii_lowercase(),
            Some(_) => {}
        }
        c
    });
    let lowered: String = lowered.collect();
    shown::name(&lowered).into_owned()
}

/// A value as a rule has it: texts in quotes, days as `2011-12-10`, decimals without zeros at their end, and `null`.
pub fn value(value: &ScalarValue) -> String {
    if value.is_null() {
        return "null".to_owned();
    }
    if let Some(text) = value.try_as_str().flatten() {
        return format!("'{}'", shown::name(text));
    }
    let text = value.to_array().and_then(|array| Ok(array_value_to_string(&array, 0)?)).unwrap_or_else(|_| value.to_string());
    match value {
        ScalarValue::Decimal128(..) | ScalarValue::Decimal256(..) if text.contains('.') => {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => text,
    }
}
