//! Writes the map of identifiers that a publication keeps for the next one (see [`super::predecessor`]).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, FixedSizeBinaryBuilder, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::intern::NOBODY;
use super::keys::{Hash, KEY_BYTES, Keys};
use super::predecessor::{Predecessor, unfit};
use super::resolution::Resolution;
use super::rules::{Rules, Weight};
use super::tables::{aliases_batch, batch};
use crate::engine::parallel;
use crate::error::{Error, Result};

/// Rows of a batch of the map.
const BATCH_ROWS: usize = 32 * 1024;

/// A row of the map before it is one: the customer, in the order of ids, the key, the type, and the day.
type Row = (u32, [u8; KEY_BYTES], u8, i32);

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

/// A map of identifiers with their types and customers.
///
/// # Errors
/// [`Error::Defect`] when the rows do not fit their schema.
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
        let ids = self.ids_in_order();
        if ids.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err(Error::defect("two customers have one id"));
        }
        // Customers of whom nothing is left come after those of today, until all are put in order.
        let mut numbers = vec![NOBODY; self.nodes.count()];
        for (number, (_, root)) in (0..).zip(&ids) {
            numbers[*root as usize] = number;
        }
        let rows = self.rows_of_today(&numbers);
        let type_names = self.rules.types.iter().map(|rule| rule.name.as_str()).collect();
        let id_types = ids.iter().map(|(_, root)| self.kind_of_id(*root)).collect();
        let mut map = Map { ids, id_types, type_names, rows };
        if let Some(before) = &self.before {
            map.add_absent(self, before, &numbers)?;
        }
        map.into_batches(self.threads)
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

/// The map while it is made.
struct Map<'a> {
    /// The ids with the roots of their customers: those of today in order, then those of customers of whom nothing is left.
    ids: Vec<(Cow<'a, str>, u32)>,
    /// By id: the type of the identifier that gave it.
    id_types: Vec<u8>,
    type_names: Vec<&'a str>,
    rows: Vec<Row>,
}

impl<'a> Map<'a> {
    /// Adds the identifiers of the publication before that are in no extract of today.
    fn add_absent(&mut self, resolution: &Resolution, before: &'a Predecessor, numbers: &[u32]) -> Result<()> {
        let rules = &resolution.rules;
        let mut gone: HashMap<u32, u32> = HashMap::new();
        let todays = self.ids.len();
        let types: Vec<u8> = before.type_names.iter().map(|name| position(&mut self.type_names, name)).collect::<Result<_>>()?;
        for (id_type, (_, root)) in self.id_types.iter_mut().zip(&self.ids) {
            if let Some(&own) = resolution.own.get(*root as usize).filter(|own| **own != NOBODY) {
                *id_type = types[usize::from(before.id_types[own as usize])];
            }
        }
        for absent in &before.absent {
            let (root, kind) = (resolution.led_to[absent.id as usize], types[usize::from(absent.type_name)]);
            let number = if root != NOBODY {
                let is_declared = usize::from(kind) < rules.types.len();
                Some(numbers[root as usize]).filter(|_| is_declared && rules.weight(kind) > Weight::Passing)
            } else if before.exposes(rules, absent.id) {
                None
            } else if let Some(number) = gone.get(&absent.id) {
                Some(*number)
            } else {
                let id = before.id(absent.id);
                // One that somebody has today, as a number that is a person's own, is that person's.
                match self.ids[..todays].binary_search_by(|(other, _)| other.as_ref().cmp(id)) {
                    Ok(_) => None,
                    Err(_) => {
                        let number = u32::try_from(self.ids.len()).unwrap_or(NOBODY);
                        self.ids.push((id.into(), NOBODY));
                        self.id_types.push(types[usize::from(before.id_types[absent.id as usize])]);
                        gone.insert(absent.id, number);
                        Some(number)
                    }
                }
            };
            self.rows.extend(number.map(|number| (number, absent.key.to_be_bytes(), kind, absent.day)));
        }
        Ok(())
    }

    /// The rows in order of id and key, batch by batch.
    fn into_batches(mut self, threads: usize) -> Result<Vec<RecordBatch>> {
        let order = self.sort(threads);
        let Map { ids, id_types, type_names, rows } = self;
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

    /// Puts the rows in order, each key of a customer once, with the place of its id among the ids in order. Gives the number of
    /// the id at each place.
    fn sort(&mut self, threads: usize) -> Vec<u32> {
        let (ids, rows) = (&self.ids, &mut self.rows);
        let mut order: Vec<u32> = (0..u32::try_from(ids.len()).unwrap_or(NOBODY)).collect();
        order.sort_by(|one, other| ids[*one as usize].0.cmp(&ids[*other as usize].0));
        let mut places = vec![0; ids.len()];
        for (place, number) in (0..).zip(&order) {
            places[*number as usize] = place;
        }
        for row in rows.iter_mut() {
            row.0 = places[row.0 as usize];
        }
        let share = rows.len().div_ceil(threads).max(1);
        parallel(&mut rows.chunks_mut(share).collect::<Vec<_>>(), threads, |rows| rows.sort_unstable());
        #[allow(clippy::stable_sort_primitive, reason = "a stable sort merges what is sorted already")]
        rows.sort();
        rows.dedup_by(|one, other| {
            let same = (one.0, one.1) == (other.0, other.1);
            other.3 = if same { one.3.max(other.3) } else { other.3 };
            same
        });
        order
    }
}

/// The position of a type's name, which may be one that is not declared any more.
fn position<'a>(names: &mut Vec<&'a str>, name: &'a str) -> Result<u8> {
    let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    });
    u8::try_from(at).map_err(|_| unfit())
}
