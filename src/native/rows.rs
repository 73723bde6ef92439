//! The rows step: which rows of each source lead to which customer, as a digest, so that the next publication knows whose rows have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast as cast_array;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::{JoinType, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::{count, max, sum};
use datafusion::logical_expr::{Expr, cast, lit, when};
use datafusion::prelude::{DataFrame, ident};
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use super::step::{Context, Findings, Found, Native, outward};
use crate::engine::{DIGEST, DIGEST_VERSION, Engine, digest_of, digest_sum, digests, row_digest};
use crate::error::{Error, Result};
use crate::graph::{NativeTable, SOURCES, Signature, Step};
use crate::lineage::Lead;
use crate::publish::{CUSTOMER_ROWS, SOURCE_ROWS, StateTable};
use crate::segments::{CUSTOMER_ID, SourceChange};

/// The table of the rows by customer while a run has it. No model can have this name.
pub const ROWS_BY_CUSTOMER: &str = "\"the rows of customers\"";

/// The tables that say to which customer an identifier leads, and formerly led.
pub const LOOKED_UP: [&str; 2] = ["resolved.customers", "resolved.conflicts"];

/// The tables that the step makes on its way.
const OF_SOURCE: &str = "\"the rows of a source\"";
const OWNERS: &str = "\"the owners of identifiers\"";

/// The columns of these tables beside those of a source, which have no such names.
const ROWS: &str = "number of rows";
const DIGEST_OF_ROWS: &str = "digest of rows";
const COMPARED: &str = "compared digest";

/// What the step makes. What it reads depends on the project.
pub static SIGNATURE: Signature = Signature {
    name: "customer rows",
    layer: None,
    reads: &[],
    makes: &[NativeTable {
        name: ROWS_BY_CUSTOMER,
        schema: customer_rows_schema,
        identifiers: &[],
        taken: &[(CUSTOMER_ID, LOOKED_UP[0], CUSTOMER_ID)],
        // No model and no output reads it.
        descriptions: &[],
    }],
};

/// The columns of the rows by customer: a digest of those of each source, and the same over the columns that counted in the predecessor
/// publication, where that can be told.
pub fn customer_rows_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CUSTOMER_ID, DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("rows", DataType::Int64, true),
        Field::new("digest", DIGEST, true),
        Field::new("compared", DIGEST, true),
    ]))
}

/// The rows of no customer, for who asks no cause: they are given in the place of the step.
pub fn no_rows() -> RecordBatch {
    RecordBatch::new_empty(customer_rows_schema())
}

/// The columns of the state: one row for each source, with the columns that count, how its rows lead to customers, as a digest, and all its
/// rows together.
fn source_rows_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("columns", DataType::Utf8, false),
        Field::new("leads_to", DataType::Utf8, true),
        Field::new("version", DataType::Int64, false),
        Field::new("rows", DataType::Int64, false),
        Field::new("digest", DIGEST, false),
    ]))
}

/// What counts of a source, and how its rows lead to customers.
#[derive(Debug, Clone)]
pub struct SourceRows {
    /// The source.
    pub source: String,
    /// The columns of its contract.
    pub schema: SchemaRef,
    /// Those that models read.
    pub columns: BTreeSet<String>,
    /// How its rows lead to customers; in no way if that is not known.
    pub leads: Vec<Lead>,
}

/// The rows step with the sources of a project.
#[derive(Debug)]
pub struct RowsStep {
    sources: Vec<SourceRows>,
    has_identity_step: bool,
}

/// What is known of a source: today, or as the predecessor publication kept it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// The columns with their types, a line each.
    columns: String,
    leads_to: Option<String>,
    version: i64,
    rows: i64,
    digest: u128,
}

impl RowsStep {
    /// The step for some sources.
    pub fn new(sources: Vec<SourceRows>, has_identity_step: bool) -> Self {
        RowsStep { sources, has_identity_step }
    }

    /// The tables that it reads.
    pub fn reads(&self) -> BTreeSet<String> {
        let sources = self.sources.iter().map(|source| format!("{SOURCES}.{}", source.source));
        let looked_up = LOOKED_UP.iter().filter(|_| self.has_identity_step).map(|table| (*table).to_owned());
        sources.chain(looked_up).collect()
    }

    /// Who owns each identifier, and who owned it formerly. Rows that lead to a former owner count for that one in another way, so that they
    /// have changed when the identifier has got another owner.
    async fn find_owners(&self, engine: &Engine) -> Result<(), DataFusionError> {
        let sql = "select identifier_type as owned_type, identifier as owned, customer_id, false as is_former from resolved.customers \
                   union all select identifier_type, identifier, other_customer_id, true from resolved.conflicts \
                   where other_customer_id is not null and reason <> 'split' \
                   union all select other_type, other, customer_id, true from resolved.conflicts \
                   where customer_id is not null and other is not null and reason <> 'split'";
        engine.name_query(OWNERS, sql).await
    }

    /// Adds up the rows of a source, in a table of its own, by the columns that say whose they are: identifiers are looked up once for each
    /// group, and not for each row. What is known of the source, and its digest over the columns that counted before.
    async fn add_up(&self, engine: &Engine, source: &SourceRows, before: Option<&Known>) -> Result<(Known, Option<u128>), DataFusionError> {
        let table = engine.context().table(format!("{SOURCES}.{}", source.source)).await?;
        let whose = source.whose();
        let compared = before.filter(|before| before.version == DIGEST_VERSION && before.leads_to == source.written_leads());
        // Columns that no model reads any more are not read.
        let is_read = |compared: &BTreeSet<String>| compared.is_superset(&whose) && compared.is_subset(&source.columns);
        let compared = compared.and_then(|before| source.columns_of(&before.columns)).filter(is_read);
        let is_same = compared.as_ref().is_some_and(|compared| *compared == source.columns);
        let mut hashed = vec![(DIGEST_OF_ROWS, &source.columns)];
        hashed.extend(compared.as_ref().filter(|_| !is_same).map(|columns| (COMPARED, columns)));
        let of_row = hashed.iter().map(|(name, columns)| hash(columns.difference(&whose)).alias(*name));
        let rows = table.select(whose.iter().map(ident).chain(of_row).collect::<Vec<_>>())?;
        let sums = hashed.iter().map(|(name, _)| digest_sum().call(vec![ident(*name)]).alias(*name));
        let groups =
            rows.aggregate(whose.iter().map(ident).collect(), [count(lit(1_i64)).alias(ROWS)].into_iter().chain(sums).collect())?;
        let with_whose = |name: &str| row_digest().call(whose.iter().map(ident).chain([ident(name)]).collect()).alias(name);
        let of_group = hashed.iter().map(|(name, _)| with_whose(name));
        let groups = groups.select(whose.iter().map(ident).chain([ident(ROWS)]).chain(of_group).collect::<Vec<_>>())?;
        Engine::materialise(engine, OF_SOURCE, groups).await?;
        let (rows, digest, of_compared) = totals(engine, hashed.len() > 1).await?;
        let (columns, leads_to) = (source.written_columns(), source.written_leads());
        let known = Known { columns, leads_to, version: DIGEST_VERSION, rows, digest };
        Ok((known, if is_same { Some(digest) } else { of_compared }))
    }

    /// The rows of the source that were added up last, by customer.
    async fn by_customer(&self, engine: &Engine, source: &SourceRows, compared: Compared) -> Result<DataFrame, DataFusionError> {
        let mut led: Option<DataFrame> = None;
        for lead in &source.leads {
            let of_type = lead.identifier_type.clone().map_or_else(|| lit(""), |of_type| cast(of_type, DataType::Utf8));
            let identifier = if lead.is_list { lead.identifier.clone() } else { cast(lead.identifier.clone(), DataType::Utf8) };
            let mut exprs = vec![of_type.alias("identifier_type"), identifier.alias("identifier"), ident(ROWS), ident(DIGEST_OF_ROWS)];
            exprs.extend((compared == Compared::Apart).then(|| ident(COMPARED)));
            let mut of_lead = engine.context().table(OF_SOURCE).await?.select(exprs)?;
            if lead.is_list {
                of_lead = of_lead.unnest_columns(&["identifier"])?;
            }
            // A join finds no owner of nothing; a filter would compute each identifier a second time.
            if !self.has_identity_step {
                of_lead = of_lead.filter(ident("identifier").is_not_null())?;
            }
            led = Some(match led {
                Some(others) => others.union(of_lead)?,
                None => of_lead,
            });
        }
        let led = led.ok_or_else(|| DataFusionError::Internal("a source leads nowhere".to_owned()))?;
        let mut found = if self.has_identity_step {
            let mut owners = engine.context().table(OWNERS).await?;
            // Those of other types are not asked for.
            let types: Option<BTreeSet<&str>> = source.leads.iter().map(Lead::constant_type).collect();
            if let Some(types) = types {
                owners = owners.filter(ident("owned_type").in_list(types.into_iter().map(lit).collect(), false))?;
            }
            led.join(owners, JoinType::Inner, &["identifier_type", "identifier"], &["owned_type", "owned"], None)?
        } else {
            led.with_column(CUSTOMER_ID, ident("identifier"))?.with_column("is_former", lit(false))?
        };
        let sums = if compared == Compared::Apart { vec![DIGEST_OF_ROWS, COMPARED] } else { vec![DIGEST_OF_ROWS] };
        // Rows that lead to a customer by several identifiers count once.
        let once: Vec<Expr> = [CUSTOMER_ID, "is_former"].iter().chain(&sums).map(|column| ident(*column)).collect();
        if self.has_identity_step || source.leads.len() > 1 || source.leads.iter().any(|lead| lead.is_list) {
            found = found.aggregate(once, vec![max(ident(ROWS)).alias(ROWS)])?;
        }
        let weighed = |column: &str| {
            let former = row_digest().call(vec![lit("formerly"), ident(column)]);
            Ok::<_, DataFusionError>(digest_sum().call(vec![when(ident("is_former"), former).otherwise(ident(column))?]).alias(column))
        };
        let mut added = vec![sum(ident(ROWS)).alias(ROWS)];
        for column in sums {
            added.push(weighed(column)?);
        }
        let found = found.aggregate(vec![ident(CUSTOMER_ID)], added)?;
        let of_compared = match compared {
            Compared::Apart => ident(COMPARED),
            Compared::Same => ident(DIGEST_OF_ROWS),
            Compared::Not => lit(ScalarValue::FixedSizeBinary(16, None)),
        };
        found.select(vec![
            ident(CUSTOMER_ID),
            lit(source.source.as_str()).alias("source"),
            ident(ROWS).alias("rows"),
            ident(DIGEST_OF_ROWS).alias("digest"),
            of_compared.alias("compared"),
        ])
    }
}

/// The hash of some columns of a row.
fn hash<'a>(columns: impl Iterator<Item = &'a String>) -> Expr {
    let columns: Vec<Expr> = columns.map(ident).collect();
    row_digest().call(if columns.is_empty() { vec![lit(true)] } else { columns })
}

/// How the digests of a source are compared with those of the predecessor publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// As they are.
    Same,
    /// Over the columns that counted then.
    Apart,
    /// Not at all.
    Not,
}

impl SourceRows {
    /// The columns that say whose a row is.
    fn whose(&self) -> BTreeSet<String> {
        self.leads.iter().flat_map(Lead::columns).collect()
    }

    fn written(&self, column: &str) -> Option<String> {
        self.schema.field_with_name(column).ok().map(|field| format!("{column} {}", field.data_type()))
    }

    fn written_columns(&self) -> String {
        self.columns.iter().filter_map(|column| self.written(column)).collect::<Vec<_>>().join("\n")
    }

    /// The columns that are written so; none if one of them is not in the contract any more, or is of another type.
    fn columns_of(&self, written: &str) -> Option<BTreeSet<String>> {
        let column = |line: &str| {
            let name = line.split(' ').next().unwrap_or_default();
            (self.written(name).as_deref() == Some(line)).then(|| name.to_owned())
        };
        written.lines().map(column).collect()
    }

    /// A digest of how rows lead to customers; none if that is not known.
    fn written_leads(&self) -> Option<String> {
        let leads: Vec<String> = self.leads.iter().map(Lead::written).collect();
        (!leads.is_empty()).then(|| format!("{:x}", Sha256::digest(leads.join("\n"))))
    }
}

#[async_trait]
impl Native for RowsStep {
    fn step(&self) -> Arc<Step> {
        Step::of(&SIGNATURE)
    }

    async fn run(&self, engine: &Engine, context: &mut Context) -> Result<Found, DataFusionError> {
        let before = match &mut context.predecessor {
            Some(predecessor) if predecessor.has(SOURCE_ROWS) => Some(known_before(predecessor.take(SOURCE_ROWS)).await.map_err(outward)?),
            _ => None,
        };
        if self.has_identity_step {
            self.find_owners(engine).await?;
        }
        let (mut known, mut changes, mut parts) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (at, source) in self.sources.iter().enumerate() {
            let then = before.as_ref().and_then(|before| before.get(&source.source));
            let (now, of_compared) = self.add_up(engine, source, then).await?;
            let compared = match of_compared {
                None => Compared::Not,
                Some(_) if then.is_some_and(|then| then.columns == now.columns) => Compared::Same,
                Some(_) => Compared::Apart,
            };
            let change = match (then, of_compared) {
                // What no model read then has no part in what was then.
                (None, _) => SourceChange::New,
                (Some(_), None) => SourceChange::Unknown,
                (Some(then), Some(digest)) if then.digest == digest => SourceChange::None,
                (Some(_), Some(_)) if source.leads.is_empty() => SourceChange::OfAnybody,
                (Some(_), Some(_)) => SourceChange::Some,
            };
            if !source.leads.is_empty() {
                let part = format!("\"the rows of customers {at}\"");
                Engine::materialise(engine, &part, self.by_customer(engine, source, compared).await?).await?;
                parts.push(part);
            }
            engine.forget(OF_SOURCE);
            changes.insert(source.source.clone(), change);
            known.insert(source.source.clone(), now);
        }
        engine.forget(OWNERS);
        let rows = gather(engine, &parts).await?;
        context.source_changes = Some(changes);
        let state = move |engine: &Engine| state_of(engine, &known);
        let rows_of_customers = engine.stream_sorted(ROWS_BY_CUSTOMER, &rows_key()).await?;
        let state = move |engine: &Engine| -> Result<Vec<StateTable>> { Ok(vec![of_customers(rows_of_customers), state(engine)?]) };
        Ok(Found { rows, findings: Findings::Rows, state: Some(Box::new(state)) })
    }
}

/// The order of the rows of customers.
pub(super) fn rows_key() -> [String; 2] {
    [CUSTOMER_ID.to_owned(), "source".to_owned()]
}

/// All rows of the source that were added up last.
async fn totals(engine: &Engine, is_compared: bool) -> Result<(i64, u128, Option<u128>), DataFusionError> {
    let digest_of = |column: &str| digest_sum().call(vec![ident(column)]).alias(column);
    let mut sums = vec![sum(ident(ROWS)).alias(ROWS), digest_of(DIGEST_OF_ROWS)];
    sums.extend(is_compared.then(|| digest_of(COMPARED)));
    let frame = engine.context().table(OF_SOURCE).await?.aggregate(Vec::new(), sums)?;
    let found = engine.collect(frame).await?.1;
    let row =
        found.iter().find(|batch| batch.num_rows() > 0).ok_or_else(|| DataFusionError::Internal("nothing was added up".to_owned()))?;
    let digest = |at: usize| row.column(at).as_fixed_size_binary_opt().map(|sums| crate::engine::digest_of(sums.value(0)));
    let rows = row.column(0).as_primitive_opt::<Int64Type>().filter(|rows| rows.is_valid(0)).map_or(0, |rows| rows.value(0));
    Ok((rows, digest(1).unwrap_or_default(), is_compared.then(|| digest(2).unwrap_or_default())))
}

/// The rows of all sources in one table, in order of customer and source.
async fn gather(engine: &Engine, parts: &[String]) -> Result<u64, DataFusionError> {
    let mut all: Option<DataFrame> = None;
    for part in parts {
        let part = engine.context().table(part.as_str()).await?;
        all = Some(match all {
            Some(all) => all.union(part)?,
            None => part,
        });
    }
    let rows = match all {
        Some(all) => engine.materialise_sorted(ROWS_BY_CUSTOMER, all, &rows_key()).await?,
        None => {
            let schema = customer_rows_schema();
            engine.register_batches(ROWS_BY_CUSTOMER, Arc::clone(&schema), vec![RecordBatch::new_empty(schema)]).map_err(outward)?;
            0
        }
    };
    for part in parts {
        engine.forget(part);
    }
    Ok(rows)
}

/// What the next publication compares the rows of each customer with.
fn of_customers(rows: datafusion::execution::SendableRecordBatchStream) -> StateTable {
    // What was compared with the day before is of no use for the next.
    let columns = [0, 1, 2, 3];
    let schema = Schema::new(columns.map(|at| customer_rows_schema().field(at).clone()).to_vec());
    let schema = Arc::new(schema);
    let kept = Arc::clone(&schema);
    let rows = rows.map(move |rows| {
        let rows = rows?.project(&columns)?;
        let columns = rows.columns().iter().zip(kept.fields()).map(|(column, field)| cast_array(column, field.data_type()));
        Ok(RecordBatch::try_new(Arc::clone(&kept), columns.collect::<Result<_, _>>()?)?)
    });
    StateTable { name: CUSTOMER_ROWS.to_owned(), schema, key: &[CUSTOMER_ID, "source"], rows: rows.boxed(), memory: None }
}

/// What the next publication compares each source with.
fn state_of(_: &Engine, known: &BTreeMap<String, Known>) -> Result<StateTable> {
    let texts = |text: &dyn Fn(&Known) -> Option<&str>| Arc::new(known.values().map(text).collect::<StringArray>()) as ArrayRef;
    let numbers = |number: &dyn Fn(&Known) -> i64| Arc::new(Int64Array::from_iter_values(known.values().map(number))) as ArrayRef;
    let columns = vec![
        Arc::new(StringArray::from_iter_values(known.keys())) as ArrayRef,
        texts(&|known| Some(&known.columns)),
        texts(&|known| known.leads_to.as_deref()),
        numbers(&|known| known.version),
        numbers(&|known| known.rows),
        digests(known.values().map(|known| known.digest)).map_err(|error| Error::defect(error.to_string()))?,
    ];
    let schema = source_rows_schema();
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| Error::defect(error.to_string()))?;
    let rows = futures::stream::iter([Ok(rows)]).boxed();
    Ok(StateTable { name: SOURCE_ROWS.to_owned(), schema, key: &["source"], rows, memory: None })
}

/// What the predecessor publication kept of each source. A table that this version cannot read says nothing.
async fn known_before(mut rows: super::step::Rows) -> Result<BTreeMap<String, Known>> {
    let mut found = BTreeMap::new();
    while let Some(batch) = rows.try_next().await? {
        let text = |name: &str| {
            let column = cast_array(batch.column_by_name(name)?, &DataType::Utf8).ok()?;
            Some(column.as_string::<i32>().clone())
        };
        let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>().cloned();
        let digest = batch.column_by_name("digest").and_then(|column| column.as_fixed_size_binary_opt());
        let (Some(sources), Some(columns), Some(leads_to)) = (text("source"), text("columns"), text("leads_to")) else { continue };
        let (Some(version), Some(rows), Some(digest)) = (number("version"), number("rows"), digest) else { continue };
        for row in 0..batch.num_rows() {
            let known = Known {
                columns: columns.value(row).to_owned(),
                leads_to: leads_to.is_valid(row).then(|| leads_to.value(row).to_owned()),
                version: version.value(row),
                rows: rows.value(row),
                digest: digest_of(digest.value(row)),
            };
            found.insert(sources.value(row).to_owned(), known);
        }
    }
    Ok(found)
}
