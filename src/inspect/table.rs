//! What was sampled of one file, whatever its format: columns with some of their values as text.

use crate::config::SourceFormat;

/// What a file holds in a column, as far as its format says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Text, of which anything may be made.
    Text,
    /// Numbers as such.
    Number,
    /// Numbers that may have fractions, also where those that were seen have none.
    Fraction,
    /// Truths as such.
    Truth,
    /// Days as such.
    Day,
    /// Moments as such.
    Moment,
    /// Lists of values.
    List(Box<Held>),
    /// What is not read as a value, in words.
    Other(&'static str),
}

/// Where the values of a column come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The column or member with this name, or the path to it.
    Named(String),
    /// The column at this place, from 0, which has no name or one that others have too.
    Position(usize),
    /// A part of the file's path.
    Path(String),
}

/// A column of a file, with the values that were sampled.
#[derive(Debug, Clone)]
pub struct Column {
    /// Where its values come from.
    pub origin: Origin,
    /// A name in the file that does not tell it apart from others.
    pub label: Option<String>,
    /// What the file says that it holds.
    pub held: Held,
    /// The values; none where there is none, or where it is empty. A list stands as its elements, joined by tabs.
    pub cells: Vec<Option<String>>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Column {
    /// The name that the file gives it, if it does.
    pub fn name(&self) -> Option<&str> {
        match &self.origin {
            Origin::Named(name) | Origin::Path(name) => Some(name),
            Origin::Position(_) => None,
        }
    }
}

/// What stands around fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quote {
    /// The double quote.
    #[default]
    Plain,
    /// Another character.
    Other(char),
    /// Nothing.
    None,
}

/// How a CSV file is written, as far as it is not plain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvKeys {
    /// The delimiter, if it is no comma.
    pub delimiter: Option<char>,
    /// The quote.
    pub quote: Quote,
    /// The escape.
    pub escape: Option<char>,
    /// What comments begin with.
    pub comment: Option<char>,
    /// Lines above the header.
    pub skip_lines: usize,
    /// Whether there is a header.
    pub has_header: bool,
    /// Records below the header that are no rows.
    pub skip_after_header: usize,
    /// Whether lines end with a delimiter.
    pub trailing_delimiter: bool,
}

/// What was sampled of one file.
#[derive(Debug, Clone)]
pub struct Table {
    /// The file as people would type it.
    pub file: String,
    /// Its format.
    pub format: Format,
    /// What `encoding` must say.
    pub encoding: Option<String>,
    /// How it is written, if it is CSV.
    pub csv: CsvKeys,
    /// The list whose elements are rows, if it is JSON that holds one.
    pub each: Option<String>,
    /// The columns.
    pub columns: Vec<Column>,
    /// How many rows were sampled.
    pub rows: usize,
    /// How many of them do not have the fields that they should have, and would be rejected.
    pub ragged: usize,
    /// How many of them are the header again.
    pub headers_again: usize,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Columns that are lists of records, with what they hold: each could be read with a row for every element.
    pub lists: Vec<(String, Vec<String>)>,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// CSV.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// JSON over any lines.
    Json,
    /// Parquet.
    Parquet,
}

impl Format {
    /// As `format` says it.
    pub fn key(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
            Format::Json => "json",
            Format::Parquet => "parquet",
        }
    }

    /// Whether files of this format have the same columns in every row.
    pub fn has_columns(self) -> bool {
        matches!(self, Format::Csv | Format::Parquet)
    }

    /// Whether files of this name are read in this format without being told.
    pub fn is_told_by(self, name: &str) -> bool {
        matches!(
            (SourceFormat::from_name(name), self),
            (Some(SourceFormat::Csv), Format::Csv)
                | (Some(SourceFormat::Ndjson), Format::Ndjson)
                | (Some(SourceFormat::Parquet), Format::Parquet)
                | (None, Format::Csv | Format::Ndjson | Format::Parquet)
        )
    }
}

impl Table {
    /// A table without columns.
    pub fn new(file: &str, format: Format) -> Self {
        Table {
            file: file.to_owned(),
            format,
            encoding: None,
            csv: CsvKeys::default(),
            each: None,
            columns: Vec::new(),
            rows: 0,
            ragged: 0,
            headers_again: 0,
            notes: Vec::new(),
            lists: Vec::new(),
        }
    }
}

impl Table {
    /// How many of its rows have their values side by side.
    pub fn aligned_rows(&self) -> usize {
        self.columns.iter().map(|column| column.cells.len()).max().unwrap_or_default()
    }
}

/// Takes the columns from pages of an API whose list is empty, so that what is around the list is no row.
pub fn empty_pages(tables: &mut [Table]) {
    let Some(each) = tables.iter().find_map(|table| table.each.clone()) else { return };
    for table in tables.iter_mut().filter(|table| table.each.is_none() && table.rows == 1 && table.format != Format::Csv) {
        let is_empty = |column: &Column| column.name() == Some(&each) && column.cells.iter().all(Option::is_none);
        if table.columns.iter().any(is_empty) {
            let file = std::mem::take(&mut table.file);
            *table = Table { each: Some(each.clone()), ..Table::new(&file, Format::Json) };
        }
    }
}
