//! What the predecessor publication kept of clusters.

use std::collections::HashMap;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use futures::TryStreamExt;

use super::super::step::Rows;
use super::customers::Customers;
use super::settings::CLUSTER;
use crate::error::{Error, Result};
use crate::groups::Former;
use crate::segments::CUSTOMER_ID;

/// The groups of the predecessor publication.
pub struct Remembered {
    /// Who was in which.
    pub former: Former,
    /// Whether they were made by another definition.
    pub is_redefined: bool,
}

impl Remembered {
    /// Reads what is remembered of today's customers; none if there never was a group. A customer whose id has become an alias of another one
    /// counts as that one, unless that one was in a group itself.
    pub(super) async fn read(
        members: Rows,
        numbers: Rows,
        merged: &[(String, String)],
        customers: &Customers,
        definition_digest: &str,
    ) -> Result<Option<Self>> {
        let Some((highest, written)) = read_numbers(numbers).await? else { return Ok(None) };
        let heirs: HashMap<&str, &str> = merged.iter().map(|(alias, heir)| (alias.as_str(), heir.as_str())).collect();
        let (mut inherited, mut counts) = (HashMap::<String, u64>::new(), HashMap::<u64, u64>::new());
        let mut labels: Vec<Option<u64>> = Vec::with_capacity(customers.complete());
        let mut today = customers.each_complete().peekable();
        let mut members = members;
        while let Some(batch) = members.try_next().await? {
            let (ids, clusters) = columns(&batch)?;
            for (id, cluster) in ids.iter().flatten().zip(clusters.values()) {
                let cluster = cluster.unsigned_abs();
                *counts.entry(cluster).or_default() += 1;
                if let Some(heir) = heirs.get(id) {
                    // Of several aliases, the first counts.
                    inherited.entry((*heir).to_owned()).or_insert(cluster);
                    continue;
                }
                while today.next_if(|next| *next < id).is_some() {
                    labels.push(None);
                }
                if today.next_if(|next| *next == id).is_some() {
                    labels.push(Some(cluster));
                }
            }
        }
        labels.resize(customers.complete(), None);
        if !inherited.is_empty() {
            for (label, id) in labels.iter_mut().zip(customers.each_complete()).filter(|(label, _)| label.is_none()) {
                *label = inherited.get(id).copied();
            }
        }
        let mut sizes: Vec<(u64, u64)> = counts.into_iter().collect();
        sizes.sort_unstable();
        let place = |label: u64| sizes.binary_search_by_key(&label, |(label, _)| *label).ok().and_then(|place| u32::try_from(place).ok());
        let of = labels.into_iter().map(|label| label.and_then(place)).collect();
        Ok(Some(Remembered { former: Former { sizes, of, highest }, is_redefined: written != definition_digest }))
    }
}

/// The highest number that a group has had, and the definition by which there were groups last.
async fn read_numbers(mut rows: Rows) -> Result<Option<(u64, String)>> {
    let mut found = None;
    while let Some(batch) = rows.try_next().await? {
        let numbers = of_type(&batch, CLUSTER, &DataType::Int64)?;
        let definitions = of_type(&batch, "definition", &DataType::Utf8)?;
        let definitions = definitions.as_string::<i32>();
        if let Some(last) = batch.num_rows().checked_sub(1) {
            found = Some((numbers.as_primitive::<Int64Type>().value(last).unsigned_abs(), definitions.value(last).to_owned()));
        }
    }
    Ok(found)
}

fn columns(batch: &RecordBatch) -> Result<(StringArray, Int64Array)> {
    let ids = of_type(batch, CUSTOMER_ID, &DataType::Utf8)?.as_string::<i32>().clone();
    let clusters = of_type(batch, CLUSTER, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
    Ok((ids, clusters))
}

fn of_type(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<arrow::array::ArrayRef> {
    let column = batch.column_by_name(name).ok_or_else(|| Error::defect("the memory of clusters lacks a column"))?;
    cast(column, data_type).map_err(|error| Error::defect(format!("the memory of clusters was not read: {error}")))
}
