//! Finds what stands at a path of each value of a nested array.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StringArray, StructArray, UInt32Array, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;

use super::REPEATED;
use crate::config::Step;

/// The values at a path, and the rows in which it leads to no certain one.
pub type Reached = (ArrayRef, Vec<(usize, &'static str)>);

/// What stands at the end of some steps, for each row of an array. A step must fit the array's type.
///
/// # Errors
/// When an array is not what its type says.
pub fn at(array: &ArrayRef, steps: &[Step]) -> Result<Reached, ArrowError> {
    let mut place = Place { array: Arc::clone(array), rows: None, faults: Vec::new() };
    for step in steps {
        place = place.step(step)?;
    }
    let values = match place.rows {
        Some(rows) => take(&place.array, &UInt64Array::from(rows), None)?,
        None => place.array,
    };
    Ok((values, place.faults))
}

/// Where the rows of the beginning are after some steps.
struct Place {
    array: ArrayRef,
    /// For each row its place in the array; none where they are as they were.
    rows: Option<Vec<Option<u64>>>,
    faults: Vec<(usize, &'static str)>,
}

impl Place {
    fn step(self, step: &Step) -> Result<Self, ArrowError> {
        match step {
            Step::Member(name) => match self.array.data_type() {
                DataType::Map(..) => self.entry(KEY, name)?.member_at(VALUE),
                _ => self.member(name),
            },
            Step::Entry { key, text } => self.entry_of(key, text),
            Step::Place(at) => self.element(*at),
            Step::Number => Err(misfit()),
        }
    }

    fn member(self, name: &str) -> Result<Self, ArrowError> {
        let at = self.array.as_struct_opt().ok_or_else(misfit)?.fields().iter().position(|field| field.name() == name);
        self.member_at(at.ok_or_else(misfit)?)
    }

    /// Goes to a member of a record, of which there is none where there is no record.
    fn member_at(self, at: usize) -> Result<Self, ArrowError> {
        let records: &StructArray = self.array.as_struct_opt().ok_or_else(misfit)?;
        let array = Arc::clone(records.columns().get(at).ok_or_else(misfit)?);
        let rows = match (self.rows, records.nulls()) {
            (rows, None) => rows,
            (Some(rows), Some(nulls)) => Some(rows.into_iter().map(|row| row.filter(|row| nulls.is_valid(index(*row)))).collect()),
            (None, Some(nulls)) => Some(nulls.iter().enumerate().map(|(row, is_there)| is_there.then_some(row as u64)).collect()),
        };
        Ok(Place { array, rows, faults: self.faults })
    }

    fn element(self, at: usize) -> Result<Self, ArrowError> {
        let lists = Lists::of(&self.array).ok_or_else(misfit)?;
        let rows = self.each_row(|row| {
            let (start, end) = lists.range(row)?;
            (at < end - start).then_some((start + at) as u64)
        });
        Ok(Place { array: lists.values, rows: Some(rows), faults: self.faults })
    }

    /// Goes to the entry of a list of records whose member has this text.
    fn entry_of(self, key: &str, text: &str) -> Result<Self, ArrowError> {
        let lists = Lists::of(&self.array).ok_or_else(misfit)?;
        let records = lists.values.as_struct_opt().ok_or_else(misfit)?;
        let at = records.fields().iter().position(|field| field.name() == key);
        self.entry(at.ok_or_else(misfit)?, text)
    }

    fn entry(mut self, key: usize, text: &str) -> Result<Self, ArrowError> {
        let lists = Lists::of(&self.array).ok_or_else(misfit)?;
        let records = lists.values.as_struct_opt().ok_or_else(misfit)?;
        let fits = having(records, key, text)?;
        // The entries that have it stand in order, as lists do as a rule: then both are gone over once.
        let mut rows: Vec<Option<u64>> = Vec::with_capacity(self.len());
        let mut next = Next { fits: &fits, at: 0 };
        for row in 0..self.len() {
            let range = self.row(row).and_then(|row| lists.range(row));
            let Some((start, end)) = range else {
                rows.push(None);
                continue;
            };
            let first = next.from(start, end);
            rows.push(first.map(|first| first as u64));
            if let Some(first) = first
                && next.from(first + 1, end).is_some()
            {
                self.faults.push((row, REPEATED));
                rows[row] = None;
            }
        }
        self.faults.sort_unstable();
        Ok(Place { array: lists.values, rows: Some(rows), faults: self.faults })
    }

    fn len(&self) -> usize {
        self.rows.as_ref().map_or(self.array.len(), Vec::len)
    }

    fn row(&self, row: usize) -> Option<usize> {
        match &self.rows {
            Some(rows) => rows[row].map(index),
            None => Some(row),
        }
    }

    fn each_row(&self, place: impl Fn(usize) -> Option<u64>) -> Vec<Option<u64>> {
        (0..self.len()).map(|row| self.row(row).and_then(&place)).collect()
    }
}

/// The places of the key and of the value in the entries of a map.
const KEY: usize = 0;
const VALUE: usize = 1;

/// Which records have this text in a member.
fn having(records: &StructArray, key: usize, text: &str) -> Result<BooleanBuffer, ArrowError> {
    let keys = records.columns().get(key).ok_or_else(misfit)?;
    let keys = if keys.data_type() == &DataType::Utf8 { Arc::clone(keys) } else { cast(keys, &DataType::Utf8)? };
    let fits = cmp::eq(&keys.as_string::<i32>(), &StringArray::new_scalar(text))?;
    let (values, nulls) = fits.into_parts();
    let fits = nulls.map_or(values.clone(), |nulls| &values & nulls.inner());
    Ok(records.nulls().map_or(fits.clone(), |nulls| &fits & nulls.inner()))
}

/// Finds set bits at or behind a place, going on from where it was.
struct Next<'a> {
    fits: &'a BooleanBuffer,
    at: usize,
}

impl Next<'_> {
    fn from(&mut self, start: usize, end: usize) -> Option<usize> {
        if self.at < start || self.at > end {
            self.at = start;
        }
        // What lies between the place of the last and the beginning has been looked at.
        let found = (start.max(self.at.min(start))..end).find(|&at| self.fits.value(at));
        self.at = found.map_or(end, |found| found + 1);
        found
    }
}

/// Lists of any kind, or the entries of maps.
pub struct Lists {
    /// The elements of all lists.
    pub values: ArrayRef,
    ranges: Vec<(usize, usize)>,
    is_there: Option<arrow::buffer::NullBuffer>,
}

impl Lists {
    /// The lists of an array; none when it has none.
    pub fn of(array: &ArrayRef) -> Option<Self> {
        let pairs = |offsets: &[i32]| offsets.windows(2).map(|pair| (index(pair[0]), index(pair[1]))).collect();
        let (values, ranges) = match array.data_type() {
            DataType::List(_) => (Arc::clone(array.as_list::<i32>().values()), pairs(array.as_list::<i32>().value_offsets())),
            DataType::LargeList(_) => {
                let lists = array.as_list::<i64>();
                let range = |pair: &[i64]| Some((usize::try_from(pair[0]).ok()?, usize::try_from(pair[1]).ok()?));
                (Arc::clone(lists.values()), lists.value_offsets().windows(2).map(range).collect::<Option<Vec<_>>>()?)
            }
            DataType::FixedSizeList(..) => {
                let lists = array.as_fixed_size_list();
                let width = usize::try_from(lists.value_length()).ok()?;
                (Arc::clone(lists.values()), (0..array.len()).map(|row| (row * width, (row + 1) * width)).collect())
            }
            DataType::Map(..) => {
                let maps: &MapArray = array.as_map();
                (Arc::new(maps.entries().clone()) as ArrayRef, pairs(maps.value_offsets()))
            }
            _ => return None,
        };
        Some(Lists { values, ranges, is_there: array.nulls().cloned() })
    }

    /// Where the elements of a list are; none where there is no list.
    pub fn range(&self, row: usize) -> Option<(usize, usize)> {
        let is_there = self.is_there.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        is_there.then(|| self.ranges[row])
    }
}

/// The elements of lists as rows of their own.
pub struct ListElements {
    /// The elements.
    pub values: ArrayRef,
    /// For each of them the row that its list is of.
    pub parents: Vec<u32>,
    /// For each of them its place in the values.
    pub places: Vec<u64>,
    /// For each of them its place in its list, from 0.
    pub numbers: Vec<u32>,
    /// How many rows have none.
    pub empty: u64,
}

impl ListElements {
    /// The elements of some lists.
    ///
    /// # Errors
    /// When they are no lists.
    pub fn of(array: &ArrayRef) -> Result<Self, ArrowError> {
        let lists = Lists::of(array).ok_or_else(misfit)?;
        let (mut parents, mut places, mut numbers, mut empty) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for row in 0..array.len() {
            let (start, end) = lists.range(row).unwrap_or((0, 0));
            empty += u64::from(start == end);
            for place in start..end {
                parents.push(u32::try_from(row).unwrap_or(u32::MAX));
                places.push(place as u64);
                numbers.push(u32::try_from(place - start).unwrap_or(u32::MAX));
            }
        }
        Ok(ListElements { values: lists.values, parents, places, numbers, empty })
    }

    /// Some of them.
    pub fn some(&self, first: usize, count: usize) -> Result<ArrayRef, ArrowError> {
        take(&self.values, &UInt64Array::from(self.places[first..first + count].to_vec()), None)
    }

    /// The values of their rows, for some of them.
    pub fn of_rows(&self, rows: &ArrayRef, first: usize, count: usize) -> Result<ArrayRef, ArrowError> {
        take(rows, &UInt32Array::from(self.parents[first..first + count].to_vec()), None)
    }
}

/// For every row how many values of lists each of its elements has a copy of, if all elements have these columns of their row.
pub fn copied<'a>(columns: impl Iterator<Item = &'a ArrayRef>, rows: usize) -> Vec<u64> {
    let mut copied = vec![0; rows];
    for lists in columns.filter_map(Lists::of) {
        for (row, copied) in copied.iter_mut().enumerate() {
            *copied += lists.range(row).map_or(0, |(start, end)| (end - start) as u64);
        }
    }
    copied
}

/// A place in an array.
fn index<T>(place: T) -> usize
where
    usize: TryFrom<T>,
{
    usize::try_from(place).unwrap_or_default()
}

fn misfit() -> ArrowError {
    ArrowError::InvalidArgumentError("a path does not fit the values".to_owned())
}

/// An array whose records and lists may have nulls wherever they are: files say of members that they have none, and where their record is
/// null they have one all the same.
pub fn nullable(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if let Some(records) = array.as_struct_opt() {
        let members = records.columns().iter().map(nullable).collect::<Result<Vec<_>, _>>()?;
        let field = |(field, member): (&FieldRef, &ArrayRef)| Field::new(field.name(), member.data_type().clone(), true);
        let fields: Fields = records.fields().iter().zip(&members).map(field).collect();
        return Ok(Arc::new(StructArray::try_new_with_length(fields, members, records.nulls().cloned(), records.len())?));
    }
    if let Some(lists) = array.as_list_opt::<i32>() {
        let values = nullable(lists.values())?;
        let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        return Ok(Arc::new(ListArray::try_new(field, lists.offsets().clone(), values, lists.nulls().cloned())?));
    }
    Ok(Arc::clone(array))
}
