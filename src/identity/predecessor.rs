//! The map that a publication keeps of who is who, by which the next one gives everybody the id that they had.
//!
//! A row is an identifier of a customer: the customer's id and the type of the identifier that gave it, the identifier's type, a keyed hash of
//! it, and the last day as of which it led to the customer. A customer of whom nothing is left in the extracts keeps the rows of its last
//! day, so that its id is nobody else's, and its own again if it comes back. A customer also keeps identifiers that do not pass on, as numbers
//! at the CRM, when they are not in the extracts any more, so that an address alone never makes somebody else of it. A second table has the
//! ids that merges have ended.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, FixedSizeBinaryBuilder, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};

use super::intern::NOBODY;
use super::keys::{Hash, KEY_BYTES, Keys};
use super::rules::{Rules, Weight};
use super::tables::{aliases_schema, batch};
use super::{Resolution, ids};
use crate::diagnostic::Diagnostic;
use crate::engine::parallel;
use crate::error::{Error, Result};

/// Rows of a batch of the map.
const BATCH_ROWS: usize = 32 * 1024;

/// The columns of the map, in whose order of `customer_id` and `identifier_key` it is kept.
pub fn map_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("customer_id", DataType::Utf8, false),
        Field::new("id_type", DataType::Utf8, false),
        Field::new("identifier_type", DataType::Utf8, false),
        Field::new("identifier_key", DataType::FixedSizeBinary(16), false),
        Field::new("last_published_on", DataType::Date32, false),
    ]))
}

/// What was published before.
#[derive(Default)]
pub(super) struct Predecessor {
    /// The first moment of the day that it is as of, in microseconds since 1970.
    pub(super) as_of_micros: i64,
    /// The ids, in order, one text after the other, with where each begins.
    text: String,
    starts: Vec<usize>,
    /// By id: the type of the identifier that gave it, as it was called and, if it is declared, as it is numbered today.
    id_types: Vec<u8>,
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
    absent: Vec<Absent>,
    type_names: Vec<String>,
    /// The ids that merges had ended, in order.
    pub(super) aliases: Vec<Alias>,
}

/// A row of the map whose identifier leads to nobody.
#[derive(Clone, Copy)]
struct Absent {
    id: u32,
    day: i32,
    type_name: u8,
    key: u128,
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

/// A map of identifiers with their types and customers.
pub fn map_of(rules: &Rules, as_of_days: i32, identifiers: &[(String, String, String)]) -> Result<RecordBatch> {
    let hash = Hash::of(rules);
    let id_type = |id: &str| {
        let prefix = id.split_once(':').map_or("", |(prefix, _)| prefix);
        rules
            .types
            .iter()
            .map(|rule| rule.name.as_str())
            .find(|name| *name == prefix)
            .or(rules.types.first().map(|rule| rule.name.as_str()))
    };
    let mut rows: Vec<(&str, &str, [u8; KEY_BYTES])> =
        identifiers.iter().map(|(kind, text, id)| (id.as_str(), kind.as_str(), hash.key(kind, text).to_be_bytes())).collect();
    rows.sort_unstable();
    let mut keys = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    rows.iter().try_for_each(|row| keys.append_value(row.2)).map_err(|error| Error::defect(error.to_string()))?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| id_type(row.0).unwrap_or_default()))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(keys.finish()),
        Arc::new(Date32Array::from_value(as_of_days, rows.len())),
    ];
    batch(map_schema(), columns)
}

/// A row of the map before it is one: the customer, in the order of ids, the key, the type, and the day.
type Row = (u32, [u8; KEY_BYTES], u8, i32);

impl Resolution {
    /// What making the map takes, in bytes.
    pub fn map_bytes(&self) -> usize {
        // A row before it is one and after that, with an id of usual length.
        const OF_ONE: usize = size_of::<Row>() + 2 * KEY_BYTES + 64;
        let absent = self.before.as_ref().map_or(0, |before| before.absent.len());
        (self.nodes.count() + absent) * OF_ONE + self.nodes.count() * size_of::<u32>()
    }

    /// The map for the publication of today, batch by batch, in the order of [`map_schema`].
    ///
    /// # Errors
    /// [`Error::Defect`] when two customers have one id.
    pub fn map(&self) -> Result<Vec<RecordBatch>> {
        let mut ids = self.ids_in_order();
        if ids.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err(Error::defect("two customers have one id"));
        }
        // Customers of whom nothing is left come after those of today, until all are put in order.
        let mut numbers = vec![NOBODY; self.nodes.count()];
        for (number, (_, root)) in (0..).zip(&ids) {
            numbers[*root as usize] = number;
        }
        let mut rows = self.rows_of_today(&numbers);
        let mut type_names: Vec<&str> = self.rules.types.iter().map(|rule| rule.name.as_str()).collect();
        let mut id_types: Vec<u8> = ids.iter().map(|(_, root)| self.kind_of_id(*root)).collect();
        if let Some(before) = &self.before {
            let mut gone: HashMap<u32, u32> = HashMap::new();
            let todays = ids.len();
            let types: Vec<u8> = before.type_names.iter().map(|name| position(&mut type_names, name)).collect::<Result<_>>()?;
            for (id_type, (_, root)) in id_types.iter_mut().zip(&ids) {
                if let Some(&own) = self.own.get(*root as usize).filter(|own| **own != NOBODY) {
                    *id_type = types[usize::from(before.id_types[own as usize])];
                }
            }
            for absent in &before.absent {
                let (root, kind) = (self.led_to[absent.id as usize], types[usize::from(absent.type_name)]);
                let number = if root != NOBODY {
                    let is_declared = usize::from(kind) < self.rules.types.len();
                    Some(numbers[root as usize]).filter(|_| is_declared && self.rules.weight(kind) > Weight::Passing)
                } else if before.exposes(&self.rules, absent.id) {
                    None
                } else if let Some(number) = gone.get(&absent.id) {
                    Some(*number)
                } else {
                    let id = before.id(absent.id);
                    // One that somebody has today, as a number that is a person's own, is that person's.
                    match ids[..todays].binary_search_by(|(other, _)| other.as_ref().cmp(id)) {
                        Ok(_) => None,
                        Err(_) => {
                            let number = u32::try_from(ids.len()).unwrap_or(NOBODY);
                            ids.push((id.into(), NOBODY));
                            id_types.push(types[usize::from(before.id_types[absent.id as usize])]);
                            gone.insert(absent.id, number);
                            Some(number)
                        }
                    }
                };
                rows.extend(number.map(|number| (number, absent.key.to_be_bytes(), kind, absent.day)));
            }
        }
        let mut order: Vec<u32> = (0..u32::try_from(ids.len()).unwrap_or(NOBODY)).collect();
        order.sort_by(|one, other| ids[*one as usize].0.cmp(&ids[*other as usize].0));
        let mut places = vec![0; ids.len()];
        for (place, number) in (0..).zip(&order) {
            places[*number as usize] = place;
        }
        for row in &mut rows {
            row.0 = places[row.0 as usize];
        }
        let share = rows.len().div_ceil(self.threads).max(1);
        parallel(&mut rows.chunks_mut(share).collect::<Vec<_>>(), self.threads, |rows| rows.sort_unstable());
        #[allow(clippy::stable_sort_primitive, reason = "a stable sort merges what is sorted already")]
        rows.sort();
        rows.dedup_by(|one, other| {
            let same = (one.0, one.1) == (other.0, other.1);
            other.3 = if same { one.3.max(other.3) } else { other.3 };
            same
        });
        let batches = rows.chunks(BATCH_ROWS).map(|rows| {
            let number = |row: &Row| order[row.0 as usize] as usize;
            let mut keys = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
            rows.iter().try_for_each(|row| keys.append_value(row.1)).map_err(|error| Error::defect(error.to_string()))?;
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &ids[number(row)].0))),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| type_names[usize::from(id_types[number(row)])]))),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| type_names[usize::from(row.2)]))),
                Arc::new(keys.finish()),
                Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.3))),
            ];
            batch(map_schema(), columns)
        });
        batches.collect()
    }

    /// The ids of today's customers in order, with their roots.
    fn ids_in_order(&self) -> Vec<(Cow<'_, str>, u32)> {
        let customers: Vec<u32> = self.customers().collect();
        let share = customers.len().div_ceil(self.threads).max(1);
        let mut parts: Vec<&[u32]> = customers.chunks(share).collect();
        let named = parallel(&mut parts, self.threads, |part| {
            let mut named: Vec<_> = part.iter().map(|root| (self.id(*root), *root)).collect();
            named.sort_unstable();
            named
        });
        let mut ids: Vec<_> = named.into_iter().flatten().collect();
        ids.sort();
        ids
    }

    /// The rows of today's identifiers, given the number of each customer by root.
    fn rows_of_today(&self, numbers: &[u32]) -> Vec<Row> {
        let computed;
        let keys = match &self.keys {
            Some(keys) => keys,
            None => {
                computed = Keys::of(&self.rules, &self.nodes, |node| self.customer_of(node).is_some(), self.threads);
                &computed
            }
        };
        let row = |node: u32| {
            Some((
                numbers[self.customer_of(node)? as usize],
                keys[node as usize].to_be_bytes(),
                self.nodes.kind(node),
                self.rules.as_of_days,
            ))
        };
        self.nodes.all().filter_map(row).collect()
    }

    /// The ids that merges have ended, those among them whose customers are gone, for the publication of today to keep.
    ///
    /// # Errors
    /// [`Error::Defect`] when the rows do not fit their schema.
    pub fn kept_aliases(&self) -> Result<RecordBatch> {
        aliases_batch(self.aliases.iter())
    }
}

pub(super) fn aliases_batch<'a>(aliases: impl Iterator<Item = &'a Alias> + Clone) -> Result<RecordBatch> {
    let ids = StringArray::from_iter_values(aliases.clone().map(|alias| alias.alias.as_str()));
    let customers = StringArray::from_iter_values(aliases.clone().map(|alias| alias.customer.as_str()));
    let merged = TimestampMicrosecondArray::from_iter_values(aliases.map(|alias| alias.merged_at)).with_timezone("UTC");
    batch(aliases_schema(), vec![Arc::new(ids), Arc::new(customers), Arc::new(merged)])
}

/// The position of a type's name, which may be one that is not declared any more.
fn position<'a>(names: &mut Vec<&'a str>, name: &'a str) -> Result<u8> {
    let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    });
    u8::try_from(at).map_err(|_| unfit())
}

fn texts(rows: &RecordBatch, name: &str) -> Result<StringArray> {
    let cast = cast(column(rows, name)?, &DataType::Utf8).map_err(|_| unfit())?;
    cast.as_string_opt::<i32>().filter(|texts| texts.null_count() == 0).cloned().ok_or_else(unfit)
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    rows.column_by_name(name).ok_or_else(unfit)
}

fn unfit() -> Error {
    Diagnostic::error("unfit-map", "the map of identifiers of the publication before this one is none that this Segmill can read")
        .hint("publish that day again with `--force`: its map is made anew")
        .into()
}
