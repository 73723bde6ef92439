//! Which columns of a contract a CSV file has, and where: by its header, or by their places.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use super::records::records;
use super::settings::CsvSettings;
use super::{Header, advice, fields};
use crate::diagnostic::list;
use crate::error::{Error, Message, Result};
use crate::ingest::column::ContractColumn;
use crate::ingest::contract::Contract;
use crate::ingest::names;
use crate::shown as outside;

/// Records of a file without a header that are looked at to know how many fields a record has.
const RECORDS_COUNTED: usize = 100;

/// What a file's beginning is read with.
pub struct Opening<'a> {
    /// The file, as people would type it.
    pub shown: &'a str,
    /// What its rows must be.
    pub contract: &'a Contract,
    /// Which columns of the contract are decoded.
    pub needed: &'a [bool],
    /// The first bytes of its text, from its first line on.
    pub head: &'a [u8],
}

impl Opening<'_> {
    fn settings(&self) -> &CsvSettings {
        &self.contract.csv
    }

    fn refused(&self, what: impl Into<String>) -> Message {
        Message::new(format!("{}: {}", self.shown, what.into()))
    }

    /// Finds the columns of a file whose first block this is, and how many bytes of it stand before the first record; none when there is no
    /// record in it.
    ///
    /// # Errors
    /// [`Error::Refused`] when the header does not parse, names a column twice or lacks one that must be there.
    pub fn header(&self, block: &[u8]) -> Result<Option<(Header, usize)>> {
        let Some(first) = records(block, &self.settings().dialect).next() else { return Ok(None) };
        if !self.settings().has_header {
            return self.by_places(block).map(|header| Some((header, 0)));
        }
        let mut header = self.by_names(&block[first.start..first.end], first.ends_in_delimiter)?;
        header.advice = advice::of_first_records(&block[first.next..], header.names.len(), self.settings());
        Ok(Some((header, first.next)))
    }

    fn by_names(&self, line: &[u8], ends_in_delimiter: bool) -> Result<Header> {
        let contract = self.contract;
        let fields = fields(line, &self.settings().dialect).ok_or_else(|| {
            Error::Refused(self.refused("the header line is no text in its encoding").hint(advice::of_encoding(line, contract.encoding)))
        })?;
        let mut names: Vec<String> = fields.into_iter().map(|name| name.trim().to_owned()).collect();
        // An empty cell in quotes is one, here and in records.
        if self.settings().trailing_delimiter && names.len() > 1 && ends_in_delimiter {
            names.pop();
        }
        let texts: Vec<&str> = names.iter().map(String::as_str).collect();
        let by_name = || contract.in_files().filter(|column| column.position.is_none());
        let names::Columns { mut places, alike } = names::find(&contract.columns, &texts, self.shown, |column| column.position.is_none())?;
        let mut too_far = Vec::new();
        for (at, column) in contract.columns.iter().enumerate() {
            let Some(position) = column.position else { continue };
            places[at] = Some(position).filter(|position| *position < names.len());
            if places[at].is_none() && !column.optional {
                too_far.push(column);
            }
        }
        // The line may contain personal data instead of names, so it is not repeated unless it is a header.
        let found = contract.columns.iter().zip(&places).filter(|(column, place)| column.position.is_none() && place.is_some()).count();
        if found == 0 && by_name().next().is_some() {
            return Err(self.no_names());
        }
        // A first row may have a word that is a column's name, too.
        let is_header = found * 2 >= by_name().count();
        self.refuse_twice(&texts, &places, is_header)?;
        if let ControlFlow::Break(error) = self.missing(&texts, &places, is_header) {
            return Err(error);
        }
        if let Some(column) = too_far.first() {
            return Err(self.too_far(column, names.len()));
        }
        let unknown: Vec<&str> = texts.iter().enumerate().filter(|(at, _)| !places.contains(&Some(*at))).map(|(_, name)| *name).collect();
        contract.refuse_unknown(self.shown, &unknown)?;
        let alike = alike.into_iter().filter_map(|column| Some((column, names[places[column]?].clone()))).collect();
        Ok(self.header_of(names, &places, alike))
    }

    /// The header of a file that has none.
    fn by_places(&self, block: &[u8]) -> Result<Header> {
        let (contract, settings) = (self.contract, self.settings());
        let width = width(block, settings);
        self.refuse_header(block)?;
        let places: Vec<Option<usize>> = contract.places().into_iter().map(|place| place.filter(|place| *place < width)).collect();
        let is_missing = |(column, place): &(&ContractColumn, &Option<usize>)| place.is_none() && column.is_in_files() && !column.optional;
        if let Some((column, _)) = contract.columns.iter().zip(&places).find(is_missing) {
            return Err(self.too_far(column, width));
        }
        let unknown = (0..width).filter(|place| !places.contains(&Some(*place))).map(|place| format!("position {}", place + 1));
        let unknown: Vec<String> = unknown.collect();
        contract.refuse_unknown(self.shown, &unknown.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(self.header_of(vec![String::new(); width], &places, Vec::new()))
    }

    /// Refuses a file whose first record names the columns that are said to have no names.
    fn refuse_header(&self, block: &[u8]) -> Result<()> {
        let (columns, dialect) = (&self.contract.columns, &self.settings().dialect);
        let first = records(block, dialect).next().and_then(|first| fields(&block[first.start..first.end], dialect)).unwrap_or_default();
        let is_named = |(column, place): &(&ContractColumn, Option<usize>)| {
            let cell = place.and_then(|place| first.get(place));
            cell.is_some_and(|cell| column.names.iter().any(|name| names::fold(name) == names::fold(cell)))
        };
        let named = columns.iter().zip(self.contract.places()).filter(is_named).count();
        if named == 0 || named * 2 < self.contract.in_files().count() {
            return Ok(());
        }
        let message = self.refused(format!("the first record names {named} of the contract's {} columns", columns.len()));
        Err(Error::Refused(message.hint("leave `header: false` out, or say `skip_lines` if the columns are to be found by their places")))
    }

    fn header_of(&self, mut names: Vec<String>, places: &[Option<usize>], alike: Vec<(usize, String)>) -> Header {
        let columns = &self.contract.columns;
        let mut declared: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
        for (at, name) in names.iter_mut().enumerate() {
            let is_of = |(column, place): &(usize, &Option<usize>)| **place == Some(at) || columns[*column].names.contains(name);
            declared[at] = places.iter().enumerate().filter(is_of).map(|(column, _)| column).collect();
            if let Some(column) = declared[at].iter().find(|column| columns[**column].position.is_some() || name.is_empty()) {
                columns[*column].in_files().clone_into(name);
            }
        }
        let mut wanted = vec![None; names.len()];
        let mut count = 0;
        let decode = |(position, needed): (&Option<usize>, &bool)| {
            let place = &mut wanted[position.filter(|_| *needed)?];
            Some(*place.get_or_insert_with(|| {
                count += 1;
                count - 1
            }))
        };
        let decoded = places.iter().zip(self.needed).map(decode).collect();
        Header { names, decoded, wanted, declared, alike, advice: None, settings: *self.settings() }
    }

    /// Refuses a header that names a column of the contract twice.
    fn refuse_twice(&self, names: &[&str], places: &[Option<usize>], is_header: bool) -> Result<()> {
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(names.len());
        for name in names {
            *seen.entry(name).or_default() += 1;
        }
        let standing_twice = |(column, place): (&ContractColumn, &Option<usize>)| {
            let name = names[(*place).filter(|_| column.position.is_none())?];
            (seen[name] > 1).then_some(name)
        };
        let Some(twice) = self.contract.columns.iter().zip(places).find_map(standing_twice) else { return Ok(()) };
        let what = if is_header {
            format!("the header names `{}` twice", outside::column(twice))
        } else {
            "the header names a column twice".to_owned()
        };
        Err(Error::Refused(self.refused(what).hint("say which of them with `position`, counted from 1, instead of `from`")))
    }

    /// Whether columns are missing that must be there.
    fn missing(&self, names: &[&str], places: &[Option<usize>], is_header: bool) -> ControlFlow<Error> {
        let is_missing =
            |(column, place): &(&ContractColumn, &Option<usize>)| place.is_none() && !column.optional && column.position.is_none();
        let missing = self.contract.columns.iter().zip(places).filter(is_missing).map(|(column, _)| column.in_files());
        let missing: Vec<&str> = missing.collect();
        if missing.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut message = self.refused(format!("the header lacks {}", list(&missing)));
        message.details.extend(is_header.then(|| format!("it has {}", list(&outside::names(names)))));
        message.details.extend(crate::ingest::format::key_in_path(self.shown, &missing));
        let advice = advice::of_head(self.head, self.contract).filter(|advice| advice.columns > places.iter().flatten().count());
        message.details.extend(advice.map(|advice| advice.told(self.contract)));
        ControlFlow::Break(Error::Refused(
            message.hint("correct `from` in the contract, or say `optional: true` where a file may lack the column"),
        ))
    }

    /// The refusal of a file whose first line names no column of the contract.
    fn no_names(&self) -> Error {
        let wanted: Vec<&str> = self.contract.columns.iter().map(ContractColumn::in_files).collect();
        let message = self.refused("the first line names none of the contract's columns");
        let mut message = message.detail(format!("they are {}", list(&wanted)));
        match advice::of_head(self.head, self.contract) {
            Some(advice) => message.details.push(advice.told(self.contract)),
            None => message.details.extend(advice::of_characters(self.head, self.contract)),
        }
        Error::Refused(message.hint("does the file have a header line? If its columns are named otherwise, say so with `from`"))
    }

    /// The refusal of a file that has fewer fields than a column's place.
    fn too_far(&self, column: &ContractColumn, width: usize) -> Error {
        let place = column.position.map(|position| format!("position {}", position + 1));
        let place = place.unwrap_or_else(|| "a place of its own".to_owned());
        let message = self.refused(format!("`{}` has {place}, and the records have {width} fields", column.name));
        let message = match advice::of_head(self.head, self.contract) {
            Some(advice) if self.settings().has_header || advice.settings.has_header => message.detail(advice.told(self.contract)),
            _ => {
                let characters = advice::of_characters(self.head, self.contract);
                characters.into_iter().fold(message, Message::detail)
            }
        };
        Error::Refused(message.hint("correct `position` or `delimiter`, or say `optional: true` where a file may lack the column"))
    }
}

/// How many fields most of the first records have: one of them may be damaged.
fn width(block: &[u8], settings: &CsvSettings) -> usize {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for record in records(block, &settings.dialect).take(RECORDS_COUNTED) {
        *counts.entry(record.fields - usize::from(settings.trailing_delimiter && record.ends_in_delimiter)).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(fields, count)| (*count, *fields)).map_or(1, |(fields, _)| fields)
}
