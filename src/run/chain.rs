//! The days that are to be published again because what they are built on has been superseded.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::config;
use crate::error::Result;
use crate::job::Request;
use crate::publish::{self, Publications};
use crate::storage::Stores;

/// A day that is built on a superseded predecessor.
#[derive(Debug, Clone)]
pub struct Superseded {
    /// The day.
    pub as_of: NaiveDate,
    /// The parameters that it was published with, where they differ from their defaults.
    pub given_parameters: BTreeMap<String, String>,
}

/// The first of the published days from one to another that is built on a superseded predecessor, and how many there are.
///
/// # Errors
/// As a run fails before it reads data.
pub async fn first_superseded(
    request: &Request,
    stores: &Stores,
    is_asked: impl Fn(NaiveDate) -> bool,
) -> Result<Option<(Superseded, usize)>> {
    let project = config::load(&request.pipeline, &request.environment)?;
    let destination = publish::destination(request.destination.as_deref(), &project, stores)?;
    let known = Publications::read(&destination).await?;
    known.belong_to(&project.pipeline.name.value)?;
    let superseded: Vec<NaiveDate> = known.chain(None).await?.superseded().into_keys().filter(|day| is_asked(*day)).collect();
    let Some(&as_of) = superseded.first() else { return Ok(None) };
    let given_parameters = known.of(as_of).await?.map(|commit| commit.given_parameters).unwrap_or_default();
    Ok(Some((Superseded { as_of, given_parameters }, superseded.len())))
}
