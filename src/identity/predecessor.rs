//! The map that a publication keeps of who is who, by which the next one gives everybody the id that they had.
//!
//! A row is an identifier of a customer: the customer's id and the type of the identifier that gave it, the identifier's type, a keyed hash of
//! it, and the last day as of which it led to the customer. A customer of whom nothing is left in the extracts keeps the rows of its last
//! day, so that its id is nobody else's, and its own again if it comes back. A customer also keeps identifiers that do not pass on, such as numbers
//! at the CRM, when they are not in the extracts any more, so that an address alone never makes somebody else of it. A second table has the
//! ids that merges have ended.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimestampMicrosecondType};

use super::ids;
use super::intern::NOBODY;
use super::keys::Keys;
use super::rules::{Rules, Weight};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};

/// What was published before.
#[derive(Default)]
pub(super) struct Predecessor {
    /// The first moment of the day that it is as of, in microseconds since 1970.
    pub(super) as_of_micros: i64,
    /// The ids, in order, one text after the other, with where each begins.
    text: String,
    starts: Vec<usize>,
    /// By id: the type of the identifier that gave it, as it was called and, if it is declared, as it is numbered today.
    pub(super) id_types: Vec<u8>,
    pub(super) kinds: Vec<Option<u8>>,
    /// By id: the last day that it was published, in days since 1970.
    last_published: Vec<i32>,
    /// The last day that any was.
    newest: i32,
    /// By id: the most that one of its identifiers says of who it is.
    pub(super) weights: Vec<Weight>,
    /// By identifier of today: the id that it led to.
    pub(super) of_node: Vec<u32>,
    /// By identifier of today: the last day that it did.
    led_on: Vec<i32>,
    /// The rows whose identifiers lead to nobody today.
    pub(super) absent: Vec<Absent>,
    pub(super) type_names: Vec<String>,
    /// The ids that merges had ended, in order.
    pub(super) aliases: Vec<Alias>,
}

/// A row of the map whose identifier leads to nobody.
#[derive(Clone, Copy)]
pub(super) struct Absent {
    pub(super) id: u32,
    pub(super) day: i32,
    pub(super) type_name: u8,
    pub(super) key: u128,
}

/// An id that was a customer's until it became one with another customer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alias {
    pub(super) alias: String,
    /// The id that stayed.
    pub(super) customer: String,
    /// The first moment of the day as of which they were first published as one, in microseconds since 1970.
    pub(super) merged_at: i64,
    /// Whether the customer whose id that is is there today.
    pub(super) is_living: bool,
}

impl Predecessor {
    /// One as of a day, before its rows are known, for so many identifiers of today.
    pub(super) fn empty(as_of_micros: i64, identifiers: usize) -> Self {
        Predecessor { as_of_micros, of_node: vec![NOBODY; identifiers], led_on: vec![0; identifiers], ..Predecessor::default() }
    }

    /// More turns than any identifier can have had in giving ids.
    pub(super) fn turns(&self) -> usize {
        self.count() + self.aliases.len() + 2
    }

    /// How many ids there are.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn id(&self, at: u32) -> &str {
        let at = at as usize;
        let end = self.starts.get(at + 1).copied().unwrap_or(self.text.len());
        &self.text[self.starts[at]..end]
    }

    /// Whether an identifier led to the customer whose id it speaks for when that was last published, and not only before.
    pub(super) fn led_to_the_last(&self, node: u32) -> bool {
        self.led_on[node as usize] == self.last_published[self.of_node[node as usize] as usize]
    }

    /// Whether an id was a customer's in the publication itself.
    pub(super) fn was_published(&self, at: u32) -> bool {
        self.last_published[at as usize] == self.newest
    }

    /// Whether an id is of a type that gives way, or shows what is personal today.
    pub(super) fn gives_way(&self, rules: &Rules, at: u32) -> bool {
        self.kinds[at as usize].is_some_and(|kind| rules.gives_way(kind)) || self.exposes(rules, at)
    }

    /// Whether an id shows what is personal today.
    pub(super) fn exposes(&self, rules: &Rules, at: u32) -> bool {
        self.kinds[at as usize].is_some_and(|kind| ids::exposes(rules, kind, self.id(at)))
    }

    pub(super) fn last_published_on(&self, at: u32) -> Option<chrono::NaiveDate> {
        Date32Type::to_naive_date_opt(self.last_published[at as usize])
    }

    /// The position of an id.
    pub(super) fn find(&self, id: &str) -> Option<u32> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            let at = u32::try_from(middle).ok()?;
            match self.id(at).cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(at),
            }
        }
        None
    }

    pub(super) fn alias(&self, id: &str) -> Option<&Alias> {
        self.aliases.binary_search_by(|alias| alias.alias.as_str().cmp(id)).ok().map(|at| &self.aliases[at])
    }

    /// What it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let aliases: usize = self.aliases.iter().map(|alias| size_of::<Alias>() + alias.alias.len() + alias.customer.len()).sum();
        let of_ids = self.starts.capacity() * (size_of::<usize>() + 4 * size_of::<u8>() + size_of::<i32>());
        self.text.capacity() + of_ids + self.of_node.len() * 2 * size_of::<u32>() + self.absent.capacity() * size_of::<Absent>() + aliases
    }

    /// Takes rows of the map, in their order.
    pub(super) fn take_map(&mut self, rules: &Rules, keys: &Keys, rows: &RecordBatch) -> Result<()> {
        let (ids, id_types, types) = (texts(rows, "customer_id")?, texts(rows, "id_type")?, texts(rows, "identifier_type")?);
        let keys_of_rows = column(rows, "identifier_key")?.as_fixed_size_binary_opt().ok_or_else(unfit)?;
        let days = column(rows, "last_published_on")?.as_primitive_opt::<Date32Type>().ok_or_else(unfit)?;
        for row in 0..rows.num_rows() {
            let id = ids.value(row);
            if self.count() == 0 || self.id(self.last()) != id {
                if self.count() > 0 && self.id(self.last()) > id || self.count() >= NOBODY as usize - 1 {
                    return Err(unfit());
                }
                self.starts.push(self.text.len());
                self.text.push_str(id);
                let id_type = self.number_of(id_types.value(row))?;
                self.id_types.push(id_type);
                self.kinds.push(rules.type_of(id_types.value(row)));
                self.last_published.push(days.value(row));
                self.weights.push(Weight::Device);
            }
            let (at, day) = (self.last(), days.value(row));
            self.last_published[at as usize] = self.last_published[at as usize].max(day);
            self.newest = self.newest.max(day);
            // What a type says that is not declared any more nobody knows.
            let weight = rules.type_of(types.value(row)).map_or(Weight::Device, |kind| rules.weight(kind));
            self.weights[at as usize] = self.weights[at as usize].max(weight);
            let key = u128::from_be_bytes(keys_of_rows.value(row).try_into().map_err(|_| unfit())?);
            match keys.find(key) {
                // Of several customers to whom it led one after the other, it is the last one's.
                Some(node) => {
                    let (other, on) = (self.of_node[node as usize], self.led_on[node as usize]);
                    let is_later = other == NOBODY || on < day;
                    if is_later {
                        (self.of_node[node as usize], self.led_on[node as usize]) = (at, day);
                    }
                    let (older, on) = if is_later { (other, on) } else { (at, day) };
                    if older != NOBODY {
                        self.set_aside(older, on, key, types.value(row))?;
                    }
                }
                None => self.set_aside(at, day, key, types.value(row))?,
            }
        }
        Ok(())
    }

    fn last(&self) -> u32 {
        u32::try_from(self.count().saturating_sub(1)).unwrap_or(NOBODY)
    }

    /// Leaves an identifier with an id that it led to, without leading there today.
    fn set_aside(&mut self, id: u32, day: i32, key: u128, type_name: &str) -> Result<()> {
        let type_name = self.number_of(type_name)?;
        self.absent.push(Absent { id, day, type_name, key });
        Ok(())
    }

    /// Leaves an identifier of today with the id that it led to.
    pub(super) fn silence(&mut self, node: u32, key: u128, type_name: &str) -> Result<()> {
        self.set_aside(self.of_node[node as usize], self.led_on[node as usize], key, type_name)
    }

    /// The position of a type's name among those that the map has.
    fn number_of(&mut self, type_name: &str) -> Result<u8> {
        let known = self.type_names.iter().position(|known| known == type_name).unwrap_or_else(|| {
            self.type_names.push(type_name.to_owned());
            self.type_names.len() - 1
        });
        u8::try_from(known).map_err(|_| unfit())
    }

    /// Takes rows of the table of aliases, in their order.
    pub(super) fn take_aliases(&mut self, rows: &RecordBatch) -> Result<()> {
        let (aliases, customers) = (texts(rows, "alias_id")?, texts(rows, "customer_id")?);
        let merged = column(rows, "merged_at")?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(unfit)?;
        let merged = merged.reinterpret_cast::<Int64Type>();
        for row in 0..rows.num_rows() {
            let (alias, customer) = (aliases.value(row).to_owned(), customers.value(row).to_owned());
            if self.aliases.last().is_some_and(|last| last.alias >= alias) {
                return Err(unfit());
            }
            self.aliases.push(Alias { alias, customer, merged_at: merged.value(row), is_living: false });
        }
        Ok(())
    }
}

fn texts(rows: &RecordBatch, name: &str) -> Result<StringArray> {
    let cast = cast(column(rows, name)?, &DataType::Utf8).map_err(|_| unfit())?;
    cast.as_string_opt::<i32>().filter(|texts| texts.null_count() == 0).cloned().ok_or_else(unfit)
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    rows.column_by_name(name).ok_or_else(unfit)
}

pub(super) fn unfit() -> Error {
    Diagnostic::error("unfit-map", "the map of identifiers of the publication before this one is none that this Segmill can read")
        .hint("publish that day again with `--force`: its map is made anew")
        .into()
}
