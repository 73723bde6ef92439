//! Columns of a contract that lie within nested columns of a Parquet file: which leaves they need, and their values in a batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, FieldRef, Fields, Schema};
use arrow::error::ArrowError;

use crate::config::Step;
use crate::ingest::column::ContractColumn;
use crate::ingest::contract::Contract;
use crate::ingest::nested::arrays::{self, ListElements};
use crate::ingest::nested::leaves::{self, Misfit};
use crate::ingest::nested_column::alternatives;
use crate::ingest::ways::Way;

/// Values that could not be taken out of a batch, by row and column of the contract, and why.
pub type Unread = Vec<(usize, usize, &'static str)>;

/// Where in a file the values of a column are that are nested, or may stand in several places.
#[derive(Debug, Clone)]
pub struct NestedColumn {
    /// The places: the first with a value counts.
    pub places: Vec<NestedPlace>,
}

/// One place of a column's values.
#[derive(Debug, Clone)]
pub struct NestedPlace {
    /// The column of the file; none for the number of an element.
    pub root: Option<usize>,
    /// The steps from there, or else from each element.
    steps: Vec<Step>,
    is_of_element: bool,
    /// The leaves that must be read.
    pub leaves: BTreeSet<usize>,
    /// What stands there.
    pub held: DataType,
    /// The name that leads there.
    pub name: String,
}

/// The list whose elements are rows.
#[derive(Debug, Clone)]
pub struct EachList {
    /// The column of the file.
    pub root: usize,
    steps: Vec<Step>,
    /// A leaf of it, which is read for the lengths of lists.
    pub leaf: usize,
}

/// What of a contract is nested in a file.
#[derive(Debug, Clone, Default)]
pub struct Nested {
    /// For each column of the contract its places, if it is nested.
    pub columns: Vec<Option<NestedColumn>>,
    /// The list whose elements are rows.
    pub each: Option<EachList>,
}

/// Where a column of the contract is in a file.
#[derive(Debug)]
pub enum Where {
    /// It is a column of the file.
    Flat(usize),
    /// It is nested.
    Nested(NestedColumn),
    /// The file does not have it.
    Nowhere,
    /// A path to it does not fit the file.
    Misfit(String, &'static str),
}

impl EachList {
    /// Finds the list of a contract in a file.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(contract: &Contract, schema: &Schema) -> Result<Option<Self>, Misfit> {
        let Some(each) = &contract.each else { return Ok(None) };
        let (root, first, steps) = begin(schema, &each.path.steps).ok_or(Misfit::Missing)?;
        let mut leaves = BTreeSet::new();
        let (held, leaf) = leaves::at(schema.field(root).data_type(), first, steps, &mut leaves)?;
        if leaves::inner(held).is_none() || matches!(held, DataType::Map(..)) {
            return Err(Misfit::Shape(super::super::nested::NOT_A_LIST));
        }
        Ok(Some(EachList { root, steps: steps.to_vec(), leaf }))
    }
}

/// The column in which steps begin, its first leaf, and the steps behind it.
fn begin<'s>(schema: &Schema, steps: &'s [Step]) -> Option<(usize, usize, &'s [Step])> {
    let (Step::Member(name), rest) = steps.split_first()? else { return None };
    let root = schema.fields().iter().position(|field| field.name() == name)?;
    Some((root, first_leaf(schema, root), rest))
}

fn first_leaf(schema: &Schema, root: usize) -> usize {
    schema.fields()[..root].iter().map(|field| leaves::count(field.data_type())).sum()
}

/// Finds a column of the contract in a file.
pub fn find(column: &ContractColumn, position: impl Fn(&str) -> Option<usize>, each: Option<&EachList>, schema: &Schema) -> Where {
    let mut places: Vec<NestedPlace> = Vec::new();
    let mut misfit = None;
    for (name, way) in column.names.iter().zip(&column.ways) {
        if let Some(root) = position(name).filter(|_| !way.is_of_element()) {
            let held = schema.field(root).data_type().clone();
            let is_nested = held.is_nested();
            if places.is_empty() && !(is_nested && column.is_list) {
                return Where::Flat(root);
            }
            let first = first_leaf(schema, root);
            let leaves = if is_nested { (first..first + leaves::count(&held)).collect() } else { BTreeSet::new() };
            places.push(NestedPlace { root: Some(root), steps: Vec::new(), is_of_element: false, leaves, held, name: name.clone() });
            continue;
        }
        let found = match way {
            Way::Named => continue,
            Way::Path(path) => begin(schema, &path.steps).ok_or(Misfit::Missing).and_then(|(root, first, steps)| {
                let mut leaves = BTreeSet::new();
                let (held, _) = leaves::at(schema.field(root).data_type(), first, steps, &mut leaves)?;
                Ok((Some(root), steps.to_vec(), leaves, held.clone()))
            }),
            Way::Element(path) => each.ok_or(Misfit::Missing).and_then(|each| of_element(schema, each, &path.steps)),
            Way::Number => each.ok_or(Misfit::Missing).map(|each| (None, Vec::new(), BTreeSet::from([each.leaf]), DataType::UInt32)),
        };
        match found {
            Ok((root, steps, leaves, held)) => {
                // What is no more than a name in quotes is a column as any other.
                if places.is_empty() && steps.is_empty() && !way.is_of_element() && !held.is_nested() {
                    return root.map_or(Where::Nowhere, Where::Flat);
                }
                places.push(NestedPlace { root, steps, is_of_element: way.is_of_element(), leaves, held, name: name.clone() });
            }
            // A single value where a path goes on may be a column of its own.
            Err(Misfit::Missing | Misfit::Shape(super::super::nested::NOT_NESTED)) => {}
            Err(Misfit::Shape(reason)) => misfit = misfit.or(Some((name.clone(), reason))),
        }
    }
    match misfit {
        Some((name, reason)) => Where::Misfit(name, reason),
        None if places.is_empty() => Where::Nowhere,
        None => Where::Nested(NestedColumn { places }),
    }
}

type OfElement = (Option<usize>, Vec<Step>, BTreeSet<usize>, DataType);

fn of_element(schema: &Schema, each: &EachList, steps: &[Step]) -> Result<OfElement, Misfit> {
    let first = first_leaf(schema, each.root);
    let (list, first) = leaves::at(schema.field(each.root).data_type(), first, &each.steps, &mut BTreeSet::new())?;
    let element = leaves::inner(list).ok_or(Misfit::Missing)?;
    let mut leaves = BTreeSet::new();
    let (held, _) = leaves::at(element.data_type(), first, steps, &mut leaves)?;
    Ok((Some(each.root), steps.to_vec(), leaves, held.clone()))
}

impl NestedColumn {
    /// Whether some value of it can be at fault, so that it is read even where nobody asks for it.
    pub fn can_fail(&self, column: &ContractColumn) -> bool {
        let has_entries = |place: &NestedPlace| place.steps.iter().any(|step| matches!(step, Step::Entry { .. } | Step::Member(_)));
        self.places.iter().any(|place| has_entries(place) || column.can_fail(&place.held, true, None))
    }
}

/// A type as it is read: texts where they lie.
pub fn as_views(held: &DataType) -> DataType {
    let field = |field: &FieldRef| -> FieldRef { Arc::new(field.as_ref().clone().with_data_type(as_views(field.data_type()))) };
    match held {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect::<Vec<_>>().into()),
        DataType::List(element) => DataType::List(field(element)),
        DataType::LargeList(element) => DataType::LargeList(field(element)),
        DataType::FixedSizeList(element, size) => DataType::FixedSizeList(field(element), *size),
        DataType::Map(entries, is_sorted) => DataType::Map(field(entries), *is_sorted),
        other => other.clone(),
    }
}

/// A type with others for its leaves, told by their places.
pub fn with_leaves(held: &DataType, next: &mut usize, leaf: &impl Fn(usize, &DataType) -> DataType) -> DataType {
    let mut field =
        |field: &FieldRef| -> FieldRef { Arc::new(field.as_ref().clone().with_data_type(with_leaves(field.data_type(), next, leaf))) };
    match held {
        DataType::Struct(fields) => DataType::Struct(Fields::from(fields.iter().map(&mut field).collect::<Vec<_>>())),
        DataType::List(element) => DataType::List(field(element)),
        DataType::LargeList(element) => DataType::LargeList(field(element)),
        DataType::FixedSizeList(element, size) => DataType::FixedSizeList(field(element), *size),
        DataType::Map(entries, is_sorted) => DataType::Map(field(entries), *is_sorted),
        other => {
            *next += 1;
            leaf(*next - 1, other)
        }
    }
}

/// The most values of lists that a batch of rows may come to when each element of another list has a copy of them.
const MAX_COPIED_VALUES: u64 = 256 * 1024 * 1024;
/// How many of them are copied at once; an element at least.
const VALUES_AT_ONCE: u64 = 4 * 1024 * 1024;

/// The columns of a contract in a batch as it was read, with the elements of its lists if they are rows.
pub struct Assembled {
    /// What was found before elements are rows: flat columns, and nested ones of records.
    of_rows: Vec<Option<ArrayRef>>,
    unread: Unread,
    elements: Option<ListElements>,
    /// By column and place: what records have where a column may be of them or of elements.
    shared: BTreeMap<(usize, usize), arrays::Reached>,
    /// For every row how many values of lists each of its elements has a copy of.
    copied: Vec<u64>,
    rows: usize,
    next: usize,
}

/// Rows of a batch.
pub struct Rows {
    /// The columns of the contract.
    pub columns: Vec<Option<ArrayRef>>,
    /// How many they are.
    pub rows: usize,
    /// What could not be taken out.
    pub unread: Unread,
    /// Where elements are rows: of each its row in the file's batch, and its place in the list.
    pub elements: Option<Vec<(u32, u32)>>,
}

impl Assembled {
    /// Begins with a batch. `flat` has the flat columns, `wanted` says which nested ones are read, and `root` gives a column of the file.
    ///
    /// # Errors
    /// When an array is not what its type says.
    pub fn of(
        nested: &Nested,
        wanted: &[bool],
        flat: Vec<Option<ArrayRef>>,
        root: impl Fn(usize) -> Option<ArrayRef>,
        batch: &RecordBatch,
    ) -> Result<Self, ArrowError> {
        let missing = || ArrowError::InvalidArgumentError("a column was not read".to_owned());
        let root = |at: usize| root(at).ok_or_else(missing).and_then(|array| arrays::nullable(&array));
        let elements = match &nested.each {
            Some(each) => Some(ListElements::of(&arrays::at(&root(each.root)?, &each.steps)?.0)?),
            None => None,
        };
        let rows = batch.num_rows();
        let mut assembled =
            Assembled { of_rows: flat, unread: Vec::new(), elements, shared: BTreeMap::new(), copied: Vec::new(), rows, next: 0 };
        let standing = |place: &NestedPlace| arrays::at(&root(place.root.ok_or_else(missing)?)?, &place.steps);
        for (at, column) in nested.columns.iter().enumerate().filter(|(at, _)| wanted[*at]) {
            let Some(column) = column else { continue };
            if column.places.iter().any(|place| place.is_of_element) {
                for (which, place) in column.places.iter().enumerate().filter(|(_, place)| !place.is_of_element) {
                    assembled.shared.insert((at, which), standing(place)?);
                }
                continue;
            }
            let found = column.places.iter().map(standing).collect::<Result<Vec<_>, _>>()?;
            assembled.of_rows[at] = Some(first_of(found, at, &mut assembled.unread)?);
        }
        if assembled.elements.is_some() {
            let of_rows = assembled.of_rows.iter().flatten().chain(assembled.shared.values().map(|(array, _)| array));
            assembled.copied = arrays::copied(of_rows, rows);
        }
        Ok(assembled)
    }

    /// The row whose lists come to more values than may be, when each of its elements has a copy of them, with those of the rows before it.
    pub fn overflows(&self) -> Option<u32> {
        let mut values = 0_u64;
        let elements = self.elements.as_ref()?;
        elements.parents.iter().copied().find(|row| {
            values = values.saturating_add(self.copied.get(*row as usize).copied().unwrap_or_default());
            values > MAX_COPIED_VALUES
        })
    }

    /// How many of its rows have no element.
    pub fn empty(&self) -> u64 {
        self.elements.as_ref().map_or(0, |elements| elements.empty)
    }

    /// The next rows, at most so many of elements; none behind the last.
    ///
    /// # Errors
    /// When an array is not what its type says.
    pub fn next(&mut self, nested: &Nested, wanted: &[bool], most: usize) -> Result<Option<Rows>, ArrowError> {
        let Some(elements) = &self.elements else {
            if std::mem::replace(&mut self.next, usize::MAX) > 0 || self.rows == 0 {
                return Ok(None);
            }
            let (columns, unread) = (std::mem::take(&mut self.of_rows), std::mem::take(&mut self.unread));
            return Ok(Some(Rows { columns, rows: self.rows, unread, elements: None }));
        };
        let first = self.next;
        let mut values = 0_u64;
        let fits = |row: &&u32| {
            values = values.saturating_add(self.copied.get(**row as usize).copied().unwrap_or_default());
            values <= VALUES_AT_ONCE
        };
        let fitting = elements.parents[first..].iter().take(most).take_while(fits).count();
        let count = fitting.max(1).min(elements.parents.len() - first);
        if count == 0 {
            return Ok(None);
        }
        self.next += count;
        let of_rows = |array: &Option<ArrayRef>| array.as_ref().map(|array| elements.of_rows(array, first, count)).transpose();
        let mut columns = self.of_rows.iter().map(of_rows).collect::<Result<Vec<_>, _>>()?;
        let parents = &elements.parents[first..first + count];
        let mut unread: Unread = Vec::new();
        if !self.unread.is_empty() {
            for (row, parent) in parents.iter().enumerate() {
                let of_parent = self.unread.iter().filter(|(of, ..)| *of == *parent as usize);
                unread.extend(of_parent.map(|(_, column, reason)| (row, *column, *reason)));
            }
        }
        let own = elements.some(first, count)?;
        let numbers: ArrayRef = Arc::new(UInt32Array::from(elements.numbers[first..first + count].to_vec()));
        for (at, column) in nested.columns.iter().enumerate().filter(|(at, _)| wanted[*at]) {
            let Some(column) = column.as_ref().filter(|column| column.places.iter().any(|place| place.is_of_element)) else { continue };
            let mut found = Vec::with_capacity(column.places.len());
            for (which, place) in column.places.iter().enumerate() {
                found.push(match (place.root, self.shared.get(&(at, which))) {
                    (None, _) => (Arc::clone(&numbers), Vec::new()),
                    (Some(_), None) => arrays::at(&own, &place.steps)?,
                    (Some(_), Some((array, faults))) => {
                        let of = |(row, parent): (usize, &u32)| {
                            let fault = faults.binary_search_by_key(&(*parent as usize), |(row, _)| *row).ok();
                            fault.map(|at| (row, faults[at].1))
                        };
                        let faults = parents.iter().enumerate().filter_map(of).collect();
                        (elements.of_rows(array, first, count)?, faults)
                    }
                });
            }
            columns[at] = Some(first_of(found, at, &mut unread)?);
        }
        let of = parents.iter().zip(&elements.numbers[first..first + count]).map(|(parent, number)| (*parent, *number)).collect();
        Ok(Some(Rows { columns, rows: count, unread, elements: Some(of) }))
    }
}

/// The values of several places as one array. What leads to no certain value is at fault unless an earlier place has one.
fn first_of(found: Vec<arrays::Reached>, column: usize, unread: &mut Unread) -> Result<ArrayRef, ArrowError> {
    for (at, (_, faults)) in found.iter().enumerate() {
        let is_settled = |row: usize| found[..at].iter().any(|(array, _)| arrow::array::Array::is_valid(array, row));
        unread.extend(faults.iter().filter(|(row, _)| !is_settled(*row)).map(|(row, reason)| (*row, column, *reason)));
    }
    let mut arrays: Vec<ArrayRef> = found.into_iter().map(|(array, _)| array).collect();
    if arrays.len() == 1 { Ok(arrays.remove(0)) } else { alternatives(arrays) }
}
