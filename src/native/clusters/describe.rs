//! How the groups differ from everybody, in words.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;

use super::super::step::outward;
use super::customers::{Customers, column};
use super::settings::Settings;
use super::tables::Grouped;
use crate::engine::Engine;
use crate::error::Result;
use crate::traits::{ColumnKind, ColumnTally, Discretion, RowGroups, Tally, group_description};

/// In how many columns a group is described at most.
const TRAITS_TOLD: usize = 3;

/// As if a group had so many more members, who are like everybody.
const PRIOR_MEMBERS: f64 = 10.0;

/// By group of the clustering, how it differs from everybody in the columns that customers are grouped and described by.
pub async fn describe(
    settings: &Settings,
    engine: &Engine,
    grouped: &Grouped,
    customers: &Customers,
) -> Result<Vec<Option<String>>, DataFusionError> {
    let mut names: Vec<&str> = settings.columns.iter().map(|(name, _)| name.as_str()).collect();
    for name in &settings.describe_by {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut rows = engine.stream_sorted(&settings.table, std::slice::from_ref(&settings.customer)).await?;
    let schema = rows.schema();
    let kinds: Vec<ColumnKind> =
        names.iter().map(|name| schema.field_with_name(name).map_or(ColumnKind::Number, |field| kind(field.data_type()))).collect();
    let mut tally = Tally::new(grouped.count(), &kinds);
    let (mut customer, mut row) = (0, 0);
    while let Some(batch) = rows.try_next().await? {
        let mut of_rows = RowGroups::default();
        for _ in 0..batch.num_rows() {
            let is_complete = customers.is_complete.get(customer).copied().unwrap_or(false);
            of_rows.push(is_complete.then(|| grouped.group_of(row)).flatten().and_then(|group| u16::try_from(group).ok()));
            row += usize::from(is_complete);
            customer += 1;
        }
        tally.count(&of_rows);
        for (name, column) in names.iter().zip(&mut tally.columns) {
            add(column, &batch, name, &of_rows).map_err(outward)?;
        }
    }
    let discretion = Discretion { minimum_members: settings.minimum_members, prior_members: PRIOR_MEMBERS };
    let traits = tally.traits(&discretion);
    let of_group = |group: usize| {
        let from = traits.partition_point(|found| usize::from(found.group) < group);
        let to = traits.partition_point(|found| usize::from(found.group) <= group);
        group_description(&traits[from..to], |at| names[at], TRAITS_TOLD)
    };
    Ok((0..grouped.count()).map(of_group).collect())
}

/// What a column of a type holds.
fn kind(data_type: &DataType) -> ColumnKind {
    match data_type {
        DataType::Boolean => ColumnKind::Flag,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => ColumnKind::Category,
        _ => ColumnKind::Number,
    }
}

fn add(tally: &mut ColumnTally, batch: &RecordBatch, name: &str, of_rows: &RowGroups) -> Result<()> {
    match tally {
        ColumnTally::Number(numbers) => {
            let values = column(batch, name, &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>();
            of_rows.rows().enumerate().for_each(|(row, groups)| numbers.add(values.is_valid(row).then(|| values.value(row)), groups));
        }
        ColumnTally::Flag(flags) => {
            let values = column(batch, name, &DataType::Boolean)?;
            let values = values.as_boolean();
            of_rows.rows().enumerate().for_each(|(row, groups)| flags.add(values.is_valid(row).then(|| values.value(row)), groups));
        }
        ColumnTally::Category(categories) => {
            let values = column(batch, name, &DataType::Utf8)?;
            let values = values.as_string::<i32>();
            of_rows.rows().enumerate().for_each(|(row, groups)| categories.add(values.is_valid(row).then(|| values.value(row)), groups));
        }
    }
    Ok(())
}
