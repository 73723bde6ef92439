//! What a publication keeps of clusters for the next one: who was in which group, and which numbers groups have had.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use futures::StreamExt;

use super::super::step::MakeState;
use super::customers::Customers;
use super::settings::{CLUSTER, Settings};
use super::tables::Grouped;
use crate::engine::Reservation;
use crate::error::{Error, Result};
use crate::publish::{StateTable, cluster_members, cluster_numbers};
use crate::segments::CUSTOMER_ID;

/// A row for every customer who is in a group.
fn members_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(CUSTOMER_ID, DataType::Utf8, false), Field::new(CLUSTER, DataType::Int64, false)]))
}

/// A row for every number that a group has had, with the customers that it has now, and the definition.
fn numbers_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CLUSTER, DataType::Int64, false),
        Field::new("customers", DataType::Int64, false),
        Field::new("definition", DataType::Utf8, false),
    ]))
}

/// The tables from which the next publication gives every group the number that it has in this one.
pub(super) fn state_of(settings: &Settings, grouped: Grouped, customers: Customers, memory: Reservation) -> MakeState {
    let (clusters, definition) = (settings.name.clone(), settings.definition_digest.clone());
    Box::new(move |_| {
        let numbers = numbers_of(&grouped, &definition)?;
        let members = of_members(grouped, customers);
        let numbers_rows = futures::stream::iter([Ok(numbers)]).boxed();
        Ok(vec![
            StateTable {
                name: cluster_members(&clusters),
                schema: members_schema(),
                key: &[CUSTOMER_ID],
                rows: futures::stream::iter(members).boxed(),
                memory: Some(memory),
            },
            StateTable { name: cluster_numbers(&clusters), schema: numbers_schema(), key: &[CLUSTER], rows: numbers_rows, memory: None },
        ])
    })
}

/// The customers who are in a group, batch by batch.
fn of_members(grouped: Grouped, customers: Customers) -> impl Iterator<Item = Result<RecordBatch, DataFusionError>> {
    let (mut customer, mut row) = (0, 0);
    customers.ids.into_iter().map(move |ids| {
        let (mut kept, mut clusters) = (Vec::new(), Vec::new());
        for id in &ids {
            if customers.is_complete[customer] {
                kept.push(id);
                clusters.push(grouped.label(row));
                row += 1;
            }
            customer += 1;
        }
        let rows = RecordBatch::try_new(members_schema(), vec![Arc::new(StringArray::from(kept)), Arc::new(Int64Array::from(clusters))]);
        rows.map_err(Into::into)
    })
}

fn numbers_of(grouped: &Grouped, definition: &str) -> Result<RecordBatch> {
    let (mut numbers, mut sizes) = (Vec::new(), Vec::new());
    for (number, size) in grouped.numbers() {
        numbers.push(number);
        sizes.push(size);
    }
    let definitions = vec![definition; numbers.len()];
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(numbers)), Arc::new(Int64Array::from(sizes)), Arc::new(StringArray::from(definitions))];
    RecordBatch::try_new(numbers_schema(), columns).map_err(|error| Error::defect(error.to_string()))
}
