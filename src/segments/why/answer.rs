//! Why a customer is in segments, or is not: what `explain` answers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use datafusion::common::ScalarValue;

use super::set::ExplainedSet;

/// What is known of a customer's segments on a day.
#[derive(Debug)]
pub struct Answer {
    /// The customer.
    pub customer_id: String,
    /// The day of the publication.
    pub as_of: NaiveDate,
    /// Its number.
    pub number: u64,
    /// How the customer was found.
    pub named: Named,
    /// What somebody should know of the answer.
    pub warnings: Vec<String>,
    /// The sets; none at all when the publication does not have the customer.
    pub sets: Option<Vec<ExplainedSet>>,
    /// What the publication says of the customer's memberships; none if it does not say.
    pub memberships: Option<Vec<Membership>>,
    /// What the publication says of changes since its predecessor: the segment is none, and the other columns say from where to where.
    pub changes: Vec<Membership>,
    /// The day of the predecessor publication, if its memory was read.
    pub predecessor: Option<NaiveDate>,
    /// The columns whose values are personal.
    pub personal: BTreeSet<String>,
    /// For how many customers each column has no value, of those that have one that is not known for this customer.
    pub unknown: BTreeMap<String, u64>,
    /// Why the customer may not be reached through a channel, where the profile tells that.
    pub reasons: BTreeMap<String, String>,
    /// How many customers there are.
    pub customers: u64,
}

/// How the customer was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By the id.
    Id,
    /// By an id that ended when its customer turned out to be this one.
    Alias(String),
    /// By an identifier that the publication's map has.
    Published,
    /// By an identifier, for which the identity step was computed.
    Computed,
}

/// A row of the memberships as they were published.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Membership {
    /// The set.
    pub segment_set: String,
    /// The segment.
    pub segment: String,
    /// The other columns, which tell of the time before, with their values.
    pub others: Vec<(String, ScalarValue)>,
}

impl Answer {
    /// An answer about nobody in the publication of a day.
    pub fn of_nobody(as_of: NaiveDate, number: u64) -> Self {
        Answer {
            customer_id: String::new(),
            as_of,
            number,
            named: Named::Id,
            warnings: Vec::new(),
            sets: None,
            memberships: None,
            changes: Vec::new(),
            predecessor: None,
            personal: BTreeSet::new(),
            unknown: BTreeMap::new(),
            reasons: BTreeMap::new(),
            customers: 0,
        }
    }

    /// What the publication says of a segment, if the customer is in it.
    pub fn membership(&self, set: &str, segment: &str) -> Option<&Membership> {
        self.memberships.iter().flatten().find(|membership| membership.segment_set == set && membership.segment == segment)
    }
}
