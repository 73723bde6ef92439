//! How many of everything the identity step found.

use super::known::{KnownFrom, NamedBy};

/// How many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Distinct identifiers.
    pub identifiers: u64,
    /// Rows that link two identifiers.
    pub edges: u64,
    /// Rows that begin on the as-of day or later, and so link nothing yet.
    #[serde(default)]
    pub edges_later: u64,
    /// Blanks in the place of identifiers, which link nothing.
    #[serde(default)]
    pub blank_identifiers: u64,
    /// Customers.
    pub customers: u64,
    /// Identifiers that stand for nobody, or that too many share.
    pub identifiers_set_aside: u64,
    /// Edges that do not count, for any reason: an identifier of theirs is blocked or shared, they have expired, or the customer would have
    /// too many identifiers.
    pub edges_set_aside: u64,
    /// Ids of the publication before that became aliases, because their customers became one with others.
    pub merged: u64,
    /// Ids of the publication before that show what is personal now, and so are no more, and no alias either.
    #[serde(default)]
    pub withdrawn: u64,
    /// Customers, or parts of them, that were another customer's in the publication before.
    #[serde(default)]
    pub split: u64,
    /// Customers known from more than one source.
    pub customers_from_several_sources: u64,
    /// By source, the customers known from it; the sources of the trust order first, then by name.
    pub known_from: Vec<KnownFrom>,
    /// By type of identifier, as declared, the customers that have their id from it.
    pub named_by: Vec<NamedBy>,
}
