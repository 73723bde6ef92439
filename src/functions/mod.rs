//! Segmill's own SQL functions, which bring identifiers into the normal form in which they are compared.

mod addresses;
mod likely;
mod phones;
mod text;

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

pub use addresses::email_address;
pub use likely::likely;
pub use phones::phone_number;

/// The functions that an engine registers:
///
/// - `email_address(text)`: the one e-mail address that a text holds, in lower case, with its domain in ASCII: of `Bob <bob@mail.example>`,
///   `mailto:bob@mail.example` and similar forms; null if there are none or several
/// - `email_addresses(text)`: a list of every e-mail address that can be read in a text
/// - `email_mailbox(text)`: as `email_address`, but without Gmail's dots and `+tags`, which do not make another mailbox
/// - `phone_number(text, region)`: in E.164 (`+447700900123`), where a number without a country code is of the region
///   (`GB`); null when it is no number
/// - `phone_numbers(text, region)`: a list of every number that can be read in a text
/// - `identifier(text, $null_values)`: without surrounding space and invisible characters; null if it is one of the values for nobody
pub fn all() -> Vec<ScalarUDF> {
    vec![
        one_text("email_address", 1, |text, _| email_address(text)),
        one_text("email_mailbox", 1, |text, _| addresses::email_mailbox(text)),
        one_text("phone_number", 2, phone_number),
        one_text("identifier", 2, identifier),
        texts("email_addresses", 1, |text, _| addresses::email_addresses(text)),
        texts("phone_numbers", 2, phones::phone_numbers),
    ]
}

/// The functions that hide identifiers. Their salt is set once, before anything is computed.
///
/// - `identifier_hash(text)`: what stands for a personal identifier in customers' ids and wherever a model publishes one: 20 hexadecimal
///   digits of its SHA-256, or, with a salt, of its HMAC-SHA256 (RFC 2104), which nobody can find by trying addresses who does not know the
///   salt
/// - `hashed_identifier(type, text)`: the type, a colon and that hash, as customers' ids have it
pub fn hashing_with(salt: &Arc<OnceLock<String>>) -> [ScalarUDF; 2] {
    let salt_of_hash = Arc::clone(salt);
    let hash = move |values: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(values)?;
        let salt = salt_of_hash.get().map_or("", String::as_str);
        let hashed: StringArray = arrays[0].as_string::<i32>().iter().map(|text| text.map(|text| identifier_hash(salt, text))).collect();
        answer(values, Arc::new(hashed))
    };
    let salt_of_identifier = Arc::clone(salt);
    let identifier = move |values: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(values)?;
        let salt = salt_of_identifier.get().map_or("", String::as_str);
        let pairs = arrays[0].as_string::<i32>().iter().zip(arrays[1].as_string::<i32>());
        let hashed: StringArray = pairs.map(|(name, text)| Some(hashed_identifier(name?, salt, text?))).collect();
        answer(values, Arc::new(hashed))
    };
    [
        create_udf("identifier_hash", vec![DataType::Utf8], DataType::Utf8, Volatility::Immutable, Arc::new(hash)),
        create_udf("hashed_identifier", vec![DataType::Utf8; 2], DataType::Utf8, Volatility::Immutable, Arc::new(identifier)),
    ]
}

/// Hexadecimal digits of a hash that hides an identifier: 80 bits, so that two never have the same one.
pub const HASH_DIGITS: usize = 20;

/// The hash that replaces a personal identifier.
pub fn identifier_hash(salt: &str, identifier: &str) -> String {
    let keyed = || Hmac::<Sha256>::new_from_slice(salt.as_bytes()).ok();
    let mut digits = match if salt.is_empty() { None } else { keyed() } {
        Some(mut keyed) => {
            keyed.update(identifier.as_bytes());
            format!("{:x}", keyed.finalize().into_bytes())
        }
        None => format!("{:x}", Sha256::digest(identifier.as_bytes())),
    };
    digits.truncate(HASH_DIGITS);
    digits
}

/// The published form of a personal identifier of a type: it hides the identifier, and equal identifiers stay equal.
pub fn hashed_identifier(identifier_type: &str, salt: &str, identifier: &str) -> String {
    format!("{identifier_type}:{}", identifier_hash(salt, identifier))
}

/// A function that returns a text.
fn one_text(name: &str, arguments: usize, of: fn(&str, &str) -> Option<String>) -> ScalarUDF {
    let evaluate = move |values: &[ColumnarValue]| {
        let found: StringArray = each(values, of)?.into_iter().map(Option::flatten).collect();
        answer(values, Arc::new(found))
    };
    create_udf(name, vec![DataType::Utf8; arguments], DataType::Utf8, Volatility::Immutable, Arc::new(evaluate))
}

/// A function that returns a list of texts.
fn texts(name: &str, arguments: usize, of: fn(&str, &str) -> Vec<String>) -> ScalarUDF {
    let evaluate = move |values: &[ColumnarValue]| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for found in each(values, of)? {
            match found {
                Some(found) => lists.append_value(found.into_iter().map(Some)),
                None => lists.append_null(),
            }
        }
        answer(values, Arc::new(lists.finish()))
    };
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    create_udf(name, vec![DataType::Utf8; arguments], list, Volatility::Immutable, Arc::new(evaluate))
}

/// The function's result for each row; null if an argument is null.
fn each<T: Clone>(values: &[ColumnarValue], of: fn(&str, &str) -> T) -> Result<Vec<Option<T>>, DataFusionError> {
    let arrays = ColumnarValue::values_to_arrays(values)?;
    let texts = arrays[0].as_string::<i32>();
    let options = arrays.get(1).map(AsArray::as_string::<i32>);
    // Events of one address often stand together.
    let mut last: Option<(&str, &str, T)> = None;
    let mut found = Vec::with_capacity(texts.len());
    for (row, text) in texts.iter().enumerate() {
        let option = options.map_or(Some(""), |options| (!options.is_null(row)).then(|| options.value(row)));
        found.push(match (text, option, &last) {
            (Some(text), Some(option), Some((same, with, value))) if *same == text && *with == option => Some(value.clone()),
            (Some(text), Some(option), _) => {
                let value = of(text, option);
                last = Some((text, option, value.clone()));
                Some(value)
            }
            _ => None,
        });
    }
    Ok(found)
}

/// The results as an array, or as one value if every argument is one value.
fn answer(values: &[ColumnarValue], found: ArrayRef) -> Result<ColumnarValue, DataFusionError> {
    if values.iter().all(|value| matches!(value, ColumnarValue::Scalar(_))) {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?));
    }
    Ok(ColumnarValue::Array(found))
}

/// A text that names somebody, tidy; none when it is blank or one of the words, a line each, that stand for nobody.
fn identifier(text: &str, nobody: &str) -> Option<String> {
    let text = text::tidy(text);
    let folded = text.to_lowercase();
    let is_word = nobody.lines().any(|word| word.trim().to_lowercase() == folded);
    (!text.is_empty() && !is_word).then(|| text.into_owned())
}

#[cfg(test)]
mod tests;
