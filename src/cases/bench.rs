//! A case on the engine: given rows stand in the place of tables, and the nodes of the plan that lead from them to the asked model are executed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Date32Type, SchemaRef};
use chrono::NaiveDate;
use datafusion::error::DataFusionError;
use futures::StreamExt;

use super::case::{Case, Remembered, Row, check_columns, day};
use crate::config::{Part, Spanned, span_of_part};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::engine::{self, Engine, Limits, TextEncoding};
use crate::error::{Error, Result};
use crate::execute::{Execution, Inputs, Silent};
use crate::graph::SOURCES;
use crate::identity::{self, Rules};
use crate::ingest;
use crate::native::{Predecessor, ROWS_BY_CUSTOMER, no_rows};
use crate::plan::{Node, Plan};
use crate::publish::{IDENTITY_MAP, SEGMENT_STAYS};
use crate::segments::memory::{self, Remains};

/// Cases are small.
const LIMITS: Limits = Limits { threads: 2, memory_bytes: 256 * 1024 * 1024 };

/// A case on the engine.
pub(super) struct Bench<'a> {
    engine: Engine,
    plan: &'a Plan,
    file: &'a Arc<SourceFile>,
    case: &'a Case,
}

impl<'a> Bench<'a> {
    /// A case that has not been executed.
    ///
    /// # Errors
    /// As [`Engine::with_text_encoding`].
    pub(super) fn new(plan: &'a Plan, text_encoding: TextEncoding, file: &'a Arc<SourceFile>, case: &'a Case) -> Result<Self> {
        let engine = Engine::with_text_encoding(LIMITS, plan.values.zone.name(), text_encoding)?;
        Ok(Bench { engine, plan, file, case })
    }

    /// Computes the model from what is given.
    ///
    /// # Errors
    /// [`Error::Project`] with given rows that do not fit their tables; otherwise as a run fails.
    pub(super) async fn compute(&self) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let asked = self.case.model.value.as_str();
        let needed = self.plan.needed(asked, |table| table == ROWS_BY_CUSTOMER || self.case.given(table).is_some());
        let mut inputs = Inputs::of(self.plan)?;
        inputs.context.has_partial_rows = true;
        inputs.given.insert(ROWS_BY_CUSTOMER.to_owned(), no_rows());
        inputs.context.predecessor = self.predecessor()?;
        let merged = self.case.published.as_ref().map(|published| published.merged.clone()).unwrap_or_default();
        inputs.context.merged = merged.into_iter().collect();
        for contract in &self.plan.contracts {
            let table = format!("{SOURCES}.{}", contract.source);
            if needed.contains(&table) {
                inputs.given.insert(table.clone(), self.given_source(&table, contract).await?);
            }
        }
        for (table, schema) in self.plan.nodes.iter().flat_map(Node::tables) {
            if let Some(rows) = self.case.given(&table).filter(|_| needed.contains(&table)) {
                let given = self.given_rows(&table, rows, &schema)?;
                inputs.given.insert(table, given);
            }
        }
        let scene = format!(" in the case `{}`", self.case.name.shown());
        let execution = Execution { plan: self.plan, engine: &self.engine, needed: Some(needed), scene };
        execution.run(&mut inputs, &mut Silent).await?;
        let found = async { self.engine.collect(self.engine.context().table(asked).await?).await }.await;
        found.map_err(|error| execution.failure_of(asked, &inputs, &error))
    }

    /// The publication that the case says was there before.
    fn predecessor(&self) -> Result<Option<Predecessor>> {
        let Some(published) = &self.case.published else { return Ok(None) };
        let as_of = day(self.file, &published.as_of)?;
        let mut predecessor = Predecessor::new(as_of, self.plan.values.zone.first_moment_of(as_of));
        let rows = |rows: RecordBatch| futures::stream::iter([Ok(rows)]).boxed();
        if let Some(identifiers) = &published.identifiers {
            let identifiers: Vec<(String, String, String)> = identifiers
                .iter()
                .map(|known| (known.identifier_type.clone(), known.identifier.clone(), known.customer_id.clone()))
                .collect();
            let rules = Rules::declared(&self.plan.project, &self.plan.values)?;
            let map = identity::map_of(&rules, Date32Type::from_naive_date(as_of), &identifiers)?;
            predecessor = predecessor.with(IDENTITY_MAP, rows(map));
        }
        if let Some(memberships) = &published.memberships {
            let stays = self.stays(as_of, memberships)?;
            predecessor = predecessor.with(SEGMENT_STAYS, rows(stays.clone())).with_again(SEGMENT_STAYS, rows(stays));
        }
        Ok(Some(predecessor))
    }

    /// Who was in which segment, as the publication would keep it.
    fn stays(&self, as_of: NaiveDate, memberships: &[Remembered]) -> Result<RecordBatch> {
        let number = |day: NaiveDate| Date32Type::from_naive_date(day);
        let written = |day_written: &Option<Spanned<String>>| -> Result<Option<i32>> {
            day_written.as_ref().map(|written| day(self.file, written).map(number)).transpose()
        };
        let mut rows = Vec::new();
        for of in memberships {
            let segment = of.segment_set.clone().zip(of.segment.clone());
            let (since, left_on) = (written(&of.member_since)?, written(&of.left_on)?);
            let since = since.or_else(|| (segment.is_some() && left_on.is_none()).then(|| number(as_of)));
            let entered = i64::from(of.times_entered.unwrap_or(u32::from(segment.is_some())));
            rows.push(Remains {
                customer_id: of.customer_id.clone(),
                segment,
                since,
                left_on,
                entered,
                previous: of.previous_segment.clone(),
            });
        }
        rows.sort_by(|one, other| (&one.customer_id, &one.segment).cmp(&(&other.customer_id, &other.segment)));
        memory::state_batch(&rows)
    }

    /// The given rows of a source after its contract: cast, checked, within the window, without duplicates.
    async fn given_source(&self, name: &str, contract: &Arc<ingest::Contract>) -> Result<RecordBatch> {
        let none = Vec::new();
        let rows = self.case.given(name).unwrap_or(&none);
        let columns: Vec<&str> = contract.columns[..contract.width()].iter().map(|column| column.name.as_str()).collect();
        check_columns(self.file, name, rows, &columns)?;
        let raw: Vec<Option<ArrayRef>> = columns.iter().map(|column| Some(texts(rows, column))).collect();
        let all: Vec<usize> = (0..columns.len()).collect();
        let checked = contract.check(&raw, rows.len(), &[], &all)?;
        let broken = |fault: &ingest::Fault| {
            let column = columns[fault.column];
            Diagnostic::error("broken-case", format!("a given row breaks the contract of `{name}`"))
                .at(span_of_part(self.file, &rows[fault.row], Part::Value(column)))
                .label(format!("`{column}`: {}", fault.reason.replace('-', " ")))
                .hint("give what the source's contract accepts, or else expect nothing of the row and leave it out")
        };
        if !checked.faults.is_empty() {
            return Err(Error::Project(checked.faults.iter().map(broken).collect()));
        }
        let defect = |error: DataFusionError| Error::defect(error.to_string());
        let kept = RecordBatch::try_new(Arc::clone(&contract.schema), checked.kept).map_err(|error| defect(error.into()))?;
        ingest::latest_of(&self.engine, contract, kept).await.map_err(|error| engine::failed("a case", &error))
    }

    /// Given rows of a model, with the types that it would compute.
    fn given_rows(&self, name: &str, rows: &[Row], schema: &SchemaRef) -> Result<RecordBatch> {
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        check_columns(self.file, name, rows, &columns)?;
        let mut arrays = Vec::new();
        for field in schema.fields() {
            let texts = texts(rows, field.name());
            let options = CastOptions { safe: true, ..CastOptions::default() };
            let typed = cast_with_options(&texts, field.data_type(), &options).map_err(|error| Error::defect(error.to_string()))?;
            if let Some(row) = (0..rows.len()).find(|&row| typed.is_null(row) && texts.is_valid(row)) {
                let what = format!("a given `{}` of `{name}` is no {}", field.name(), field.data_type());
                let place = span_of_part(self.file, &rows[row], Part::Value(field.name()));
                return Err(Diagnostic::error("broken-case", what).at(place).into());
            }
            arrays.push(typed);
        }
        let nullable: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let schema = Arc::new(arrow::datatypes::Schema::new(nullable));
        RecordBatch::try_new(schema, arrays).map_err(|error| Error::defect(error.to_string()))
    }
}

/// A column of given rows as text.
fn texts(rows: &[Row], column: &str) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row.value.get(column).cloned().flatten()).collect::<StringArray>())
}
