//! What is kept of a JSON record that is rejected.

use std::ops::Range;

use serde_json::{Map, Value};

use super::super::contract::Contract;
use super::super::nested::json::{Found, Paths};
use super::super::remarks;
use super::super::ways::Way;

/// A record as a JSON object of the names that the contract has, without nested values and the values of personal columns, and with those of
/// one element where elements are rows; none of its values when it is no JSON object. What paths lead to stands under their names.
pub fn masked(record: &[u8], element: Option<(Range<usize>, u64)>, contract: &Contract) -> String {
    let withheld = || remarks::withheld(&format!("{} bytes", record.len()));
    let Ok(text) = std::str::from_utf8(record) else { return withheld() };
    let mut shown = Map::new();
    if element.as_ref().is_none_or(|(range, _)| *range != (0..record.len())) {
        let Ok(Value::Object(object)) = serde_json::from_str(text) else { return withheld() };
        shown.extend(object.into_iter().filter_map(|(name, value)| {
            let value = remarks::shown(contract, &name, value)?;
            Some((name, value))
        }));
        let start = text.len() - text.trim_start().len();
        show(contract, &text[start..], |way| if let Way::Path(path) = way { Some(&path.steps) } else { None }, &mut shown);
    }
    if let Some((range, number)) = element {
        let element = text.get(range).unwrap_or_default();
        show(contract, element, |way| if let Way::Element(path) = way { Some(&path.steps) } else { None }, &mut shown);
        if let Some(each) = &contract.each {
            shown.insert(format!("{}[#]", each.shown), number.into());
        }
    }
    Value::Object(shown).to_string()
}

/// Adds what some ways lead to from a value.
fn show<'c>(
    contract: &'c Contract,
    text: &str,
    steps: impl Fn(&'c Way) -> Option<&'c Vec<crate::config::Step>>,
    shown: &mut Map<String, Value>,
) {
    let ways = contract.columns.iter().flat_map(|column| column.names.iter().zip(&column.ways));
    let ways: Vec<(&String, &Vec<crate::config::Step>)> = ways.filter_map(|(name, way)| Some((name, steps(way)?))).collect();
    let mut paths = Paths::default();
    ways.iter().enumerate().for_each(|(place, (_, steps))| paths.add(steps, place));
    if paths.is_empty() {
        return;
    }
    let mut found = vec![Found::Null; ways.len()];
    paths.find(text, &mut found);
    for ((name, _), found) in ways.into_iter().zip(found) {
        let value = match found {
            Found::Text(text) if text == "true" || text == "false" => Value::Bool(text == "true"),
            Found::Text(text) => Value::String(text.into_owned()),
            Found::Number(number) => serde_json::from_str(number).unwrap_or(Value::Null),
            Found::Null | Found::Nested(_) | Found::Bad(_) => continue,
        };
        if let Some(value) = remarks::shown(contract, name, value) {
            shown.entry(name.clone()).or_insert(value);
        }
    }
}
