//! What the identity step gives as Arrow tables: customers, conflicts, aliases.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::edges::{UNKNOWN, Verdict};
use super::intern::{BLOCKED, NOBODY, SHARED};
use super::{Counts, Resolution, ids};
use crate::error::{Error, Result};

/// Rows of a batch of customers.
const BATCH_ROWS: usize = 32 * 1024;

/// One identifier and its customer.
pub fn customers_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text("identifier_type"), text("identifier"), text("customer_id")]))
}

/// One identifier that stands for nobody, or one tie that was not made, and why.
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
        Field::new("ties", DataType::Int64, false),
        text("customer_id", true),
        text("other_customer_id", true),
        text("explanation", false),
    ]))
}

/// One id that was a customer's before it became one with an older customer.
pub fn aliases_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text("alias_id"), text("customer_id"), Field::new("merged_at", moment(), true)]))
}

/// The columns of what the identity step finds: customers, conflicts, aliases.
pub fn resolved_schemas() -> [SchemaRef; 3] {
    [customers_schema(), conflicts_schema(), aliases_schema()]
}

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
    first: i64,
    last: i64,
    ties: i64,
    customers: [Option<String>; 2],
    explanation: String,
}

impl Verdict {
    /// The reason as the table says it.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Verdict::Ties => "ties",
            Verdict::Blocked => "blocked",
            Verdict::Expired => "expired",
            Verdict::PassedOn => "passed_on",
            Verdict::Shared => "shared",
            Verdict::Cut => "cut",
        }
    }
}

impl Resolution {
    /// How many there are.
    pub fn counts(&self) -> Counts {
        let number = |count: usize| count as u64;
        let known = self.known();
        let not_made = self.chunks.iter().flat_map(|chunk| &chunk.verdicts).filter(|verdict| **verdict != Verdict::Ties).count();
        Counts {
            identifiers: number(self.nodes.count()),
            edges: self.chunks.iter().map(|chunk| number(chunk.ends.len())).sum(),
            customers: known.customers,
            identifiers_set_aside: known.identifiers_set_aside,
            ties_set_aside: number(not_made),
            merged: number(self.aliases.len()),
            customers_from_several_sources: known.from_several,
            known_from: known.from,
            named_by: known.named_by,
        }
    }

    /// What an identifier's set is known by.
    pub(super) fn root(&self, node: u32) -> u32 {
        self.roots[node as usize]
    }

    /// The identifier that names an identifier's customer; none when it has no customer.
    pub(super) fn name_of(&self, node: u32) -> Option<u32> {
        if self.nodes.is(node, BLOCKED | SHARED) {
            return None;
        }
        Some(self.names[self.root(node) as usize]).filter(|name| *name != NOBODY)
    }

    /// The id that an identifier gives to the customer it names.
    pub(super) fn id(&self, name: u32) -> String {
        ids::id_of(&self.rules, self.nodes.kind(name), self.nodes.text(name))
    }

    /// Does something with every identifier that leads to a customer: with batches of them, which have the columns of
    /// [`customers_schema`], on several threads.
    ///
    /// # Errors
    /// As what is done with them fails.
    pub fn each_customer<R: Send>(&self, work: impl Fn(RecordBatch) -> Result<R> + Sync) -> Result<Vec<R>> {
        let of_part = |part: Range<u32>| {
            // All are found before any text is read, so that the walks through memory do not wait for each other.
            let led: Vec<(u32, u32)> = part.filter_map(|node| Some((node, self.name_of(node)?))).collect();
            led.chunks(BATCH_ROWS).map(|led| work(self.batch_of_customers(led)?)).collect::<Result<Vec<_>>>()
        };
        let done = self.nodes.parts(self.threads, of_part).into_iter().collect::<Result<Vec<_>>>()?;
        Ok(done.into_iter().flatten().collect())
    }

    /// Identifiers beside their customers, given the identifiers that name these.
    fn batch_of_customers(&self, led: &[(u32, u32)]) -> Result<RecordBatch> {
        let mut columns = [(); 3].map(|()| StringBuilder::with_capacity(BATCH_ROWS, BATCH_ROWS * 16));
        for &(node, name) in led {
            columns[0].append_value(&self.rules.rule(self.nodes.kind(node)).name);
            columns[1].append_value(self.nodes.text(node));
            // The commonest ids are the texts of identifiers, and need no text of their own.
            let kind = self.nodes.kind(name);
            if kind == 0 && !self.rules.rule(kind).personal {
                columns[2].append_value(self.nodes.text(name));
            } else {
                columns[2].append_value(self.id(name));
            }
        }
        batch(customers_schema(), columns.into_iter().map(|mut column| Arc::new(column.finish()) as ArrayRef).collect())
    }

    /// What was blocked, set aside or cut, in order.
    ///
    /// # Errors
    /// [`Error::Defect`] when the rows do not fit their schema.
    pub fn conflicts(&self) -> Result<RecordBatch> {
        let told = self.told();
        let rule = |kind: u8| self.rules.rule(kind).name.clone();
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
            times(&|told| told.first),
            times(&|told| told.last),
            Arc::new(told.values().map(|told| Some(told.ties)).collect::<Int64Array>()),
            texts(&|_, told| told.customers[0].clone()),
            texts(&|_, told| told.customers[1].clone()),
            texts(&|_, told| Some(told.explanation.clone())),
        ];
        batch(conflicts_schema(), arrays)
    }

    /// The ids that merges ended, in the order of time.
    ///
    /// # Errors
    /// [`Error::Defect`] when the rows do not fit their schema.
    pub fn aliases(&self) -> Result<RecordBatch> {
        let ids: StringArray = self.aliases.iter().map(|alias| Some(self.id(alias.node))).collect();
        let customers: StringArray = self.aliases.iter().map(|alias| self.name_of(alias.node).map(|name| self.id(name))).collect();
        let merged = moments(self.aliases.iter().map(|alias| alias.merged_at));
        batch(aliases_schema(), vec![Arc::new(ids), Arc::new(customers), merged])
    }

    /// An identifier as it is told and sorted: by type and text.
    fn named(&self, node: u32) -> (u8, String) {
        (self.nodes.kind(node), self.nodes.text(node).to_owned())
    }

    fn told(&self) -> BTreeMap<Conflict, Told> {
        let mut told: BTreeMap<Conflict, Told> = BTreeMap::new();
        let alone = |node: u32, reason: &'static str| Conflict { reason, identifier: self.named(node), other: None, source: None };
        let nothing = |explanation: String| Told { first: UNKNOWN, last: UNKNOWN, ties: 0, customers: [None, None], explanation };
        for node in self.nodes.all().filter(|&node| self.nodes.is(node, BLOCKED)) {
            told.insert(alone(node, Verdict::Blocked.reason()), nothing("stands for nobody: it is on the block list".to_owned()));
        }
        for shared in &self.shared {
            let most = self.rules.rule(self.nodes.kind(shared.node)).most_holders.unwrap_or(0);
            let explanation = format!("shared by {} customers, and {most} may", shared.holders);
            told.insert(alone(shared.node, Verdict::Shared.reason()), nothing(explanation));
        }
        for (number, chunk) in self.chunks.iter().enumerate() {
            for at in (0..chunk.ends.len()).filter(|at| chunk.verdicts[*at] != Verdict::Ties) {
                let verdict = chunk.verdicts[at];
                let keys: Vec<Conflict> = match verdict {
                    Verdict::Blocked => self.flagged(chunk.ends[at], BLOCKED).map(|node| alone(node, verdict.reason())).collect(),
                    Verdict::Shared => self.flagged(chunk.ends[at], SHARED).map(|node| alone(node, verdict.reason())).collect(),
                    _ => vec![self.tie(verdict, chunk.ends[at], chunk.sources[at])],
                };
                for key in keys {
                    let entry = told.entry(key).or_insert_with(|| self.told_of(number, at));
                    entry.ties += 1;
                    entry.first = entry.first.min(chunk.first[at]);
                    entry.last = if entry.last == UNKNOWN { chunk.last[at] } else { entry.last.max(chunk.last[at]) };
                }
            }
        }
        told
    }

    fn flagged(&self, ends: [u32; 2], flag: u8) -> impl Iterator<Item = u32> + '_ {
        ends.into_iter().filter(move |node| self.nodes.is(*node, flag))
    }

    fn tie(&self, verdict: Verdict, ends: [u32; 2], source: u8) -> Conflict {
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
        let customers = ends.map(|node| self.name_of(node).map(|name| self.id(name)));
        Told { first: UNKNOWN, last: UNKNOWN, ties: 0, customers, explanation: self.why(chunk, at) }
    }

    /// Why a tie was not made.
    pub(super) fn why(&self, chunk: usize, at: usize) -> String {
        let held = &self.chunks[chunk];
        match held.verdicts[at] {
            Verdict::Ties => "made".to_owned(),
            Verdict::Blocked => "an identifier is on the block list".to_owned(),
            Verdict::Expired => "last seen too long ago".to_owned(),
            Verdict::PassedOn => "given up before it had its next holder".to_owned(),
            Verdict::Shared => "too many customers share an identifier of it".to_owned(),
            Verdict::Cut => {
                let rule = self.cuts.get(&(chunk, at)).map(|kind| self.rules.rule(*kind));
                let (name, most) = rule.map_or(("identifier", 0), |rule| (rule.name.as_str(), rule.most_per_customer.unwrap_or(0)));
                format!("the customer would have more than {most} identifiers of the type {name}, and this tie is weaker than those kept")
            }
        }
    }
}

fn moments(times: impl Iterator<Item = i64>) -> ArrayRef {
    let times: TimestampMicrosecondArray = times.map(|time| (time != UNKNOWN).then_some(time)).collect();
    Arc::new(times.with_timezone("UTC"))
}

fn batch(schema: SchemaRef, arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(schema, arrays).map_err(|error| Error::defect(format!("the identity step gave no table: {error}")))
}
