//! What the segments step reads beside the profile to find the causes of changes: what the predecessor publication kept, and the rows of customers.

use std::collections::BTreeMap;

use datafusion::error::DataFusionError;
use futures::StreamExt;

use super::rows::{ROWS_BY_CUSTOMER, rows_key};
use super::step::{Context, Predecessor};
use crate::engine::{Engine, failed};
use crate::error::Result;
use crate::publish::{CUSTOMER_ROWS, SEGMENT_INPUTS};
use crate::segments::memory::Reader;
use crate::segments::{Kept, SourceChange};

/// What is read beside the profile, in its order, for the causes of changes.
pub(super) struct Beside {
    /// What happened to each source; none if causes cannot be told.
    pub(super) sources: Option<BTreeMap<String, SourceChange>>,
    inputs: Option<Reader>,
    rows_before: Option<Reader>,
    rows_today: Option<Reader>,
}

impl Beside {
    /// Nothing is read unless all of it is there.
    pub(super) async fn of(engine: &Engine, context: &mut Context) -> Result<Self, DataFusionError> {
        let nothing = Beside { sources: None, inputs: None, rows_before: None, rows_today: None };
        let is_kept = |predecessor: &&mut Predecessor| predecessor.has(SEGMENT_INPUTS) && predecessor.has(CUSTOMER_ROWS);
        let (Some(sources), Some(predecessor)) = (context.source_changes.take(), context.predecessor.as_mut().filter(is_kept)) else {
            return Ok(nothing);
        };
        let today = engine.stream_sorted(ROWS_BY_CUSTOMER, &rows_key()).await?;
        let today = today.map(|rows| rows.map_err(|error| failed("the rows of customers", &error))).boxed();
        Ok(Beside {
            sources: Some(sources),
            inputs: Some(Reader::of_any(predecessor.take(SEGMENT_INPUTS))),
            rows_before: Some(Reader::of_any(predecessor.take(CUSTOMER_ROWS))),
            rows_today: Some(Reader::of_any(today)),
        })
    }

    /// What is left of customers up to one.
    pub(super) async fn up_to(&mut self, id: &str) -> Result<Kept> {
        let mut found = Kept::default();
        let parts = [
            (&mut self.inputs, &mut found.inputs),
            (&mut self.rows_before, &mut found.rows_before),
            (&mut self.rows_today, &mut found.rows_today),
        ];
        for (reader, part) in parts {
            if let Some(reader) = reader {
                *part = Some(reader.up_to(id).await?);
            }
        }
        Ok(found)
    }
}
