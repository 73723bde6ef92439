//! What the identity step gives as Arrow tables: customers, conflicts, aliases.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::DateTime;

use super::counts::Counts;
use super::edges::{Seen, UNKNOWN, Verdict};
use super::intern::{BLOCKED, SHARED};
use super::predecessor::Alias;
use super::resolution::Resolution;
use crate::error::{Error, Result};
use crate::functions;

/// Rows of a batch of customers.
const BATCH_ROWS: usize = 32 * 1024;

/// The reason of blanks in the place of identifiers.
const BLANK: &str = "blank";
/// The reason of identifiers that were another customer's before.
const SPLIT: &str = "split";
/// What stands for no declared type.
const NO_TYPE: u8 = u8::MAX;
/// The intervals that an explanation names.
const MOST_INTERVALS: usize = 20;

/// One identifier and its customer.
pub fn customers_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text("identifier_type"), text("identifier"), text("customer_id")]))
}

/// What the columns of [`customers_schema`] mean.
pub const CUSTOMERS_DESCRIPTIONS: &[(&str, &str)] = &[
    ("identifier_type", "Type of the identifier"),
    ("identifier", "The identifier"),
    ("customer_id", "The customer that the identifier leads to, stable from day to day"),
];

/// One identifier that stands for nobody, or one edge that was set aside, and why. `hashed_identifier` and `hashed_other` are what may be
/// published: personal identifiers as ids have them, others as they are.
pub fn conflicts_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("reason", false),
        text("identifier_type", false),
        text("identifier", false),
        text("other_type", true),
        text("other", true),
        text("source", true),
        Field::new("first_seen_at", moment(), true),
        Field::new("last_seen_at", moment(), true),
        Field::new("edges", DataType::Int64, false),
        text("customer_id", true),
        text("other_customer_id", true),
        text("explanation", false),
        text("hashed_identifier", false),
        text("hashed_other", true),
    ]))
}

/// What the columns of [`conflicts_schema`] mean.
pub const CONFLICTS_DESCRIPTIONS: &[(&str, &str)] = &[
    ("reason", "Why: `blank`, `blocked`, `expired`, `transferred`, `shared`, `pruned` or `split`"),
    ("identifier_type", "Type of the identifier"),
    ("identifier", "The identifier, or empty for blanks"),
    ("other_type", "Type of the other identifier, if this is about an edge"),
    ("other", "The other identifier"),
    ("source", "The source of the edge"),
    ("first_seen_at", "When the edge was first seen"),
    ("last_seen_at", "When the edge was last seen"),
    ("edges", "How many edges this is about"),
    ("customer_id", "The customer on the identifier's side"),
    ("other_customer_id", "The customer on the other side"),
    ("explanation", "The reason as a sentence"),
    ("hashed_identifier", "The identifier; hashed if it is personal, and empty for blanks"),
    ("hashed_other", "The other identifier; hashed if it is personal"),
];

/// One id that was a customer's before it became one with another: the id that stayed, and the first moment of the day as of which that was
/// first published.
pub fn aliases_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text("alias_id"), text("customer_id"), Field::new("merged_at", moment(), true)]))
}

/// What the columns of [`aliases_schema`] mean.
pub const ALIASES_DESCRIPTIONS: &[(&str, &str)] = &[
    ("alias_id", "The id that ended"),
    ("customer_id", "The id that stayed"),
    ("merged_at", "The first moment of the day as of which the two were published as one"),
];

fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A row of the conflicts. Their order is that of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Conflict {
    reason: &'static str,
    identifier: (u8, String),
    other: Option<(u8, String)>,
    source: Option<String>,
}

/// What is told of a conflict beside its key.
struct Told {
    seen: Seen,
    edges: i64,
    /// When each of the edges was seen, if they have not all the same times.
    times: BTreeSet<(i64, i64)>,
    customers: [Option<String>; 2],
    explanation: String,
}

impl Verdict {
    /// The reason as the table says it.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Verdict::Joins => "joins",
            Verdict::Blocked => "blocked",
            Verdict::Expired => "expired",
            Verdict::Transferred => "transferred",
            Verdict::Shared => "shared",
            Verdict::Pruned => "pruned",
        }
    }
}

impl Resolution {
    /// How many there are.
    pub fn counts(&self) -> Counts {
        let number = |count: usize| count as u64;
        let known = self.known();
        let aside = self.chunks.iter().flat_map(|chunk| &chunk.verdicts).filter(|verdict| **verdict != Verdict::Joins).count();
        Counts {
            identifiers: number(self.nodes.count()),
            edges: self.chunks.iter().map(|chunk| number(chunk.ends.len())).sum(),
            edges_later: self.aside.later,
            blank_identifiers: self.aside.blank.values().map(|blank| blank.rows).sum(),
            customers: known.customers,
            identifiers_set_aside: known.identifiers_set_aside,
            edges_set_aside: number(aside),
            merged: self.aliases.iter().filter(|alias| alias.merged_at == self.rules.as_of_micros).count() as u64,
            split: number(self.splits.len()),
            withdrawn: self.withdrawn,
            customers_from_several_sources: known.from_several,
            known_from: known.from,
            named_by: known.named_by,
        }
    }

    /// Does something with every identifier that leads to a customer: with batches of them, which have the columns of
    /// [`customers_schema`], on several threads.
    ///
    /// # Errors
    /// As what is done with them fails.
    pub fn each_customer<R: Send>(&self, work: impl Fn(RecordBatch) -> Result<R> + Sync) -> Result<Vec<R>> {
        let of_part = |part: Range<u32>| {
            // All are found before any text is read, so that the walks through memory do not wait for each other.
            let led: Vec<(u32, u32)> = part.filter_map(|node| Some((node, self.customer_of(node)?))).collect();
            led.chunks(BATCH_ROWS).map(|led| work(self.batch_of_customers(led)?)).collect::<Result<Vec<_>>>()
        };
        let done = self.nodes.parts(self.threads, of_part).into_iter().collect::<Result<Vec<_>>>()?;
        Ok(done.into_iter().flatten().collect())
    }

    /// Identifiers beside their customers, given by their roots.
    fn batch_of_customers(&self, led: &[(u32, u32)]) -> Result<RecordBatch> {
        let mut columns = [(); 3].map(|()| StringBuilder::with_capacity(BATCH_ROWS, BATCH_ROWS * 16));
        for &(node, root) in led {
            columns[0].append_value(&self.rules.rule(self.nodes.kind(node)).name);
            columns[1].append_value(self.nodes.text(node));
            columns[2].append_value(self.id(root));
        }
        batch(customers_schema(), columns.into_iter().map(|mut column| Arc::new(column.finish()) as ArrayRef).collect())
    }

    /// The identifiers that stand for nobody and the edges that were set aside, in order.
    ///
    /// # Errors
    /// [`Error::Defect`] when the rows do not fit their schema.
    pub fn conflicts(&self) -> Result<RecordBatch> {
        let told = self.told();
        let rule = |kind: u8| self.rules.types.get(usize::from(kind)).map(|rule| rule.name.clone()).unwrap_or_default();
        let texts = |text: &dyn Fn(&Conflict, &Told) -> Option<String>| {
            Arc::new(told.iter().map(|(conflict, told)| text(conflict, told)).collect::<StringArray>()) as ArrayRef
        };
        let times = |time: &dyn Fn(&Told) -> i64| moments(told.values().map(time));
        let arrays = vec![
            texts(&|conflict, _| Some(conflict.reason.to_owned())),
            texts(&|conflict, _| Some(rule(conflict.identifier.0))),
            texts(&|conflict, _| Some(conflict.identifier.1.clone())),
            texts(&|conflict, _| conflict.other.as_ref().map(|(kind, _)| rule(*kind))),
            texts(&|conflict, _| conflict.other.as_ref().map(|(_, text)| text.clone())),
            texts(&|conflict, _| conflict.source.clone()),
            times(&|told| told.seen.first),
            times(&|told| told.seen.last),
            Arc::new(told.values().map(|told| Some(told.edges)).collect::<Int64Array>()),
            texts(&|_, told| told.customers[0].clone()),
            texts(&|_, told| told.customers[1].clone()),
            texts(&|_, told| Some(told.explanation.clone())),
            texts(&|conflict, _| Some(self.published(&conflict.identifier))),
            texts(&|conflict, _| conflict.other.as_ref().map(|other| self.published(other))),
        ];
        batch(conflicts_schema(), arrays)
    }

    /// The ids that merges have ended and whose customers are there, in their order.
    ///
    /// # Errors
    /// [`Error::Defect`] when the rows do not fit their schema.
    pub fn aliases(&self) -> Result<RecordBatch> {
        aliases_batch(self.aliases.iter().filter(|alias| alias.is_living))
    }

    /// The ids that have ended with a merge since what was published before, each with the id that stayed, in order.
    pub fn merged_now(&self) -> Vec<(String, String)> {
        let now = self.aliases.iter().filter(|alias| alias.is_living && alias.merged_at == self.rules.as_of_micros);
        now.map(|alias| (alias.alias.clone(), alias.customer.clone())).collect()
    }

    /// The customers who were a part of another one in what was published before.
    pub fn split_now(&self) -> BTreeSet<String> {
        self.splits.iter().map(|split| self.id(split.root).into_owned()).collect()
    }

    /// What may be published of an identifier. A blank is nobody's, and a blank it stays.
    fn published(&self, (kind, text): &(u8, String)) -> String {
        match self.rules.types.get(usize::from(*kind)) {
            Some(rule) if rule.personal && !text.is_empty() => functions::hashed_identifier(&rule.name, &self.rules.salt, text),
            _ => text.clone(),
        }
    }

    /// An identifier as it is told and sorted: by type and text.
    fn named(&self, node: u32) -> (u8, String) {
        (self.nodes.kind(node), self.nodes.text(node).to_owned())
    }

    fn told(&self) -> BTreeMap<Conflict, Told> {
        let mut told: BTreeMap<Conflict, Told> = BTreeMap::new();
        let alone = |node: u32, reason: &'static str| Conflict { reason, identifier: self.named(node), other: None, source: None };
        let nothing =
            |explanation: String| Told { seen: Seen::NEVER, edges: 0, times: BTreeSet::new(), customers: [None, None], explanation };
        for node in self.nodes.all().filter(|&node| self.nodes.is(node, BLOCKED)) {
            told.insert(alone(node, Verdict::Blocked.reason()), nothing("stands for nobody: it is on the block list".to_owned()));
        }
        for shared in &self.shared {
            let most = self.rules.rule(self.nodes.kind(shared.node)).max_customers.unwrap_or(0);
            let explanation = format!("shared by {} customers; {most} {} allowed", shared.customers, if most == 1 { "is" } else { "are" });
            told.insert(alone(shared.node, Verdict::Shared.reason()), nothing(explanation));
        }
        for (&(kind, source), blank) in &self.aside.blank {
            let identifier = (kind.unwrap_or(NO_TYPE), String::new());
            let key = Conflict { reason: BLANK, identifier, other: None, source: Some(self.sources[usize::from(source)].clone()) };
            let mut rows = nothing("no identifier, or none of a type: it leads to nobody".to_owned());
            (rows.seen, rows.edges) = (blank.seen, i64::try_from(blank.rows).unwrap_or(i64::MAX));
            told.insert(key, rows);
        }
        for split in &self.splits {
            let before = self.before.as_ref().map(|before| before.id(split.from).to_owned());
            let explanation = "was part of another customer until now".to_owned();
            let customers = [Some(self.id(split.root).into_owned()), before];
            told.insert(alone(split.node, SPLIT), Told { customers, ..nothing(explanation) });
        }
        for (number, chunk) in self.chunks.iter().enumerate() {
            for at in (0..chunk.ends.len()).filter(|at| chunk.verdicts[*at] != Verdict::Joins) {
                let verdict = chunk.verdicts[at];
                let keys: Vec<Conflict> = match verdict {
                    Verdict::Blocked => self.flagged(chunk.ends[at], BLOCKED).map(|node| alone(node, verdict.reason())).collect(),
                    Verdict::Shared => self.flagged(chunk.ends[at], SHARED).map(|node| alone(node, verdict.reason())).collect(),
                    _ => vec![self.pair(verdict, chunk.ends[at], chunk.sources[at])],
                };
                for key in keys {
                    let of_a_pair = key.other.is_some();
                    let entry = told.entry(key).or_insert_with(|| self.told_of(number, at));
                    entry.edges += 1;
                    entry.seen.and(chunk.first[at], chunk.last[at]);
                    if of_a_pair {
                        entry.times.insert((chunk.first[at], chunk.last[at]));
                    }
                }
            }
        }
        for told in told.values_mut().filter(|told| told.times.len() > 1) {
            told.explanation += &format!("; {}", intervals(&told.times));
        }
        told
    }

    fn flagged(&self, ends: [u32; 2], flag: u8) -> impl Iterator<Item = u32> + '_ {
        ends.into_iter().filter(move |node| self.nodes.is(*node, flag))
    }

    fn pair(&self, verdict: Verdict, ends: [u32; 2], source: u8) -> Conflict {
        let [one, other] = self.in_order(ends).map(|node| self.named(node));
        Conflict { reason: verdict.reason(), identifier: one, other: Some(other), source: Some(self.sources[usize::from(source)].clone()) }
    }

    /// The ends of an edge, the one of the type declared later first: an address before the customer who has it.
    pub(super) fn in_order(&self, [one, other]: [u32; 2]) -> [u32; 2] {
        let key = |node: u32| (std::cmp::Reverse(self.nodes.kind(node)), self.nodes.text(node));
        if key(one) <= key(other) { [one, other] } else { [other, one] }
    }

    fn told_of(&self, chunk: usize, at: usize) -> Told {
        let ends = self.in_order(self.chunks[chunk].ends[at]);
        let customers = ends.map(|node| self.customer_of(node).map(|root| self.id(root).into_owned()));
        Told { seen: Seen::NEVER, edges: 0, times: BTreeSet::new(), customers, explanation: self.why(chunk, at) }
    }

    /// Why an edge was set aside.
    pub(super) fn why(&self, chunk: usize, at: usize) -> String {
        let held = &self.chunks[chunk];
        match held.verdicts[at] {
            Verdict::Joins => "it joins its identifiers".to_owned(),
            Verdict::Blocked => "an identifier is on the block list".to_owned(),
            Verdict::Expired => "last seen too long ago".to_owned(),
            Verdict::Transferred => "given up before it had its next owner".to_owned(),
            Verdict::Shared => "too many customers share an identifier of it".to_owned(),
            Verdict::Pruned => {
                let rule = self.pruned.get(&(chunk, at)).map(|kind| self.rules.rule(*kind));
                let (name, most) = rule.map_or(("identifier", 0), |rule| (rule.name.as_str(), rule.max_per_customer.unwrap_or(0)));
                format!(
                    "the customer would have more than {most} identifiers of the type {name}, and this edge is weaker than those that stay"
                )
            }
        }
    }
}

/// When edges were seen, as days.
fn intervals(times: &BTreeSet<(i64, i64)>) -> String {
    let day = |micros: i64| DateTime::from_timestamp_micros(micros).filter(|_| micros != UNKNOWN).map(|moment| moment.date_naive());
    let interval = |&(first, last): &(i64, i64)| match (day(first), day(last)) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(day), _) | (None, Some(day)) => day.to_string(),
        (None, None) => "at an unknown time".to_owned(),
    };
    let mut shown: Vec<String> = times.iter().map(interval).collect();
    shown.dedup();
    let more = shown.len().saturating_sub(MOST_INTERVALS);
    shown.truncate(MOST_INTERVALS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("seen {}{more}", shown.join(", "))
}

fn moments(times: impl Iterator<Item = i64>) -> ArrayRef {
    let times: TimestampMicrosecondArray = times.map(|time| (time != UNKNOWN).then_some(time)).collect();
    Arc::new(times.with_timezone("UTC"))
}

pub(super) fn batch(schema: SchemaRef, arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(schema, arrays).map_err(|error| Error::defect(format!("the identity step gave no table: {error}")))
}

pub(super) fn aliases_batch<'a>(aliases: impl Iterator<Item = &'a Alias> + Clone) -> Result<RecordBatch> {
    let ids = StringArray::from_iter_values(aliases.clone().map(|alias| alias.alias.as_str()));
    let customers = StringArray::from_iter_values(aliases.clone().map(|alias| alias.customer.as_str()));
    let merged = TimestampMicrosecondArray::from_iter_values(aliases.map(|alias| alias.merged_at)).with_timezone("UTC");
    batch(aliases_schema(), vec![Arc::new(ids), Arc::new(customers), Arc::new(merged)])
}
