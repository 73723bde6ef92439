//! Divides batches whose texts would be much larger than they are in the file, so that each part has each text once.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::builder::{BinaryBuilder, Int32Builder, StringBuilder};
use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, DictionaryArray, StringViewArray};
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;

/// The bytes of the texts of one part; one that is longer is a part of its own.
pub const PART_BYTES: usize = 8 * 1024 * 1024;

/// An array for every column of the contract that is read, and their rows.
pub type Part = (Vec<Option<ArrayRef>>, usize);

/// A batch that is cut where its texts are too much together. Most are not, and stay as they are.
pub struct Cut {
    columns: Vec<Option<ArrayRef>>,
    rows: usize,
    /// The first row that has not been given.
    first: usize,
    is_whole: bool,
}

impl Cut {
    /// A batch of which nothing has been given.
    pub fn of(columns: Vec<Option<ArrayRef>>, rows: usize) -> Self {
        let views = columns.iter().filter_map(|column| Views::of(column.as_ref()?));
        let total: usize = views.flat_map(|views| (0..rows).map(move |row| views.length(row))).fold(0, usize::saturating_add);
        Cut { columns, rows, first: 0, is_whole: total <= PART_BYTES }
    }

    /// The next rows; none behind the last.
    ///
    /// # Errors
    /// When a dictionary is not made.
    pub fn next(&mut self) -> Result<Option<Part>, ArrowError> {
        if self.first >= self.rows {
            return Ok(None);
        }
        if self.is_whole {
            self.first = self.rows;
            return Ok(Some((std::mem::take(&mut self.columns), self.rows)));
        }
        let columns = &self.columns;
        let views: Vec<(usize, Views<'_>)> =
            columns.iter().enumerate().filter_map(|(at, column)| Some((at, Views::of(column.as_ref()?)?))).collect();
        let mut begun: Vec<Keyed> = views.iter().map(|(_, views)| Keyed::like(views)).collect();
        let (first, mut row, mut bytes) = (self.first, self.first, 0);
        while row < self.rows {
            bytes += views.iter().zip(&begun).map(|((_, views), keyed)| keyed.more(views, row)).sum::<usize>();
            if bytes > PART_BYTES && row > first {
                break;
            }
            views.iter().zip(&mut begun).for_each(|((_, views), keyed)| keyed.add(views, row));
            row += 1;
        }
        let mut part: Vec<Option<ArrayRef>> =
            columns.iter().map(|column| column.as_ref().map(|column| column.slice(first, row - first))).collect();
        for ((at, _), keyed) in views.iter().zip(begun) {
            part[*at] = Some(keyed.finish()?);
        }
        self.first = row;
        Ok(Some((part, row - first)))
    }
}

/// Texts or bytes that lie elsewhere, several of them perhaps in the same place.
enum Views<'a> {
    Texts(&'a StringViewArray),
    Bytes(&'a BinaryViewArray),
}

impl<'a> Views<'a> {
    fn of(array: &'a ArrayRef) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8View => Some(Views::Texts(array.as_string_view())),
            DataType::BinaryView => Some(Views::Bytes(array.as_binary_view())),
            _ => None,
        }
    }

    /// Where a value lies; none where there is none.
    fn place(&self, row: usize) -> Option<u128> {
        match self {
            Views::Texts(texts) => texts.is_valid(row).then(|| texts.views()[row]),
            Views::Bytes(bytes) => bytes.is_valid(row).then(|| bytes.views()[row]),
        }
    }

    fn length(&self, row: usize) -> usize {
        // The lowest 32 bits of a place are the length.
        self.place(row).map_or(0, |place| (place & u128::from(u32::MAX)) as usize)
    }
}

/// The texts of a part, each once, and which of them each row has.
struct Keyed {
    known: HashMap<u128, i32>,
    keys: Int32Builder,
    values: Values,
}

enum Values {
    Texts(StringBuilder),
    Bytes(BinaryBuilder),
}

impl Keyed {
    fn like(views: &Views<'_>) -> Self {
        let values = match views {
            Views::Texts(_) => Values::Texts(StringBuilder::new()),
            Views::Bytes(_) => Values::Bytes(BinaryBuilder::new()),
        };
        Keyed { known: HashMap::new(), keys: Int32Builder::new(), values }
    }

    /// What a row would add.
    fn more(&self, views: &Views<'_>, row: usize) -> usize {
        if views.place(row).is_some_and(|place| !self.known.contains_key(&place)) { views.length(row) } else { 0 }
    }

    fn add(&mut self, views: &Views<'_>, row: usize) {
        let Some(place) = views.place(row) else {
            self.keys.append_null();
            return;
        };
        // A batch has fewer rows than that.
        let next = i32::try_from(self.known.len()).unwrap_or(i32::MAX);
        let values = &mut self.values;
        let key = *self.known.entry(place).or_insert_with(|| {
            match (values, views) {
                (Values::Texts(values), Views::Texts(texts)) => values.append_value(texts.value(row)),
                (Values::Bytes(values), Views::Bytes(bytes)) => values.append_value(bytes.value(row)),
                _ => {}
            }
            next
        });
        self.keys.append_value(key);
    }

    fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        let values: ArrayRef = match &mut self.values {
            Values::Texts(texts) => Arc::new(texts.finish()),
            Values::Bytes(bytes) => Arc::new(bytes.finish()),
        };
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(self.keys.finish(), values)?))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::compute::{cast, concat};

    use super::*;

    fn all(mut cut: Cut) -> Vec<Part> {
        std::iter::from_fn(|| cut.next().unwrap()).collect()
    }

    #[test]
    fn parts_hold_the_same_rows_and_each_text_once() {
        let long = "x".repeat(1 << 20);
        let texts: Vec<Option<String>> = (0..100)
            .map(|row| match row % 5 {
                0 => None,
                1 => Some(format!("{row}{long}")),
                _ => Some(long.clone()),
            })
            .collect();
        let plain: StringViewArray = texts.iter().map(Option::as_deref).collect();
        // Views of equal texts in one place, as those of a dictionary page are.
        let views: ArrayRef = Arc::new(
            arrow::compute::take(
                &plain,
                &arrow::array::UInt64Array::from_iter_values((0..100).map(|row| if row % 5 > 1 { 2 } else { row })),
                None,
            )
            .map(|taken| taken.as_string_view().clone())
            .unwrap(),
        );
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let parts = all(Cut::of(vec![Some(Arc::clone(&views)), None, Some(Arc::clone(&numbers))], 100));
        assert!(parts.len() > 1);
        let mut back: [Vec<ArrayRef>; 2] = Default::default();
        for (columns, rows) in &parts {
            let keyed = columns[0].as_ref().unwrap();
            assert_eq!(keyed.len(), *rows);
            let values = keyed.as_dictionary::<Int32Type>().values();
            assert!(values.as_string::<i32>().value_data().len() <= PART_BYTES);
            back[0].push(cast(keyed, &DataType::Utf8View).unwrap());
            back[1].push(Arc::clone(columns[2].as_ref().unwrap()));
        }
        let whole = |of: &[ArrayRef]| concat(&of.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap();
        assert_eq!(&whole(&back[0]), &views);
        assert_eq!(&whole(&back[1]), &numbers);
    }

    #[test]
    fn a_batch_of_few_texts_stays_as_it_is() {
        let views: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b"]));
        let parts = all(Cut::of(vec![Some(Arc::clone(&views))], 2));
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].0[0].as_ref().unwrap().data_type(), &DataType::Utf8View);
    }
}
