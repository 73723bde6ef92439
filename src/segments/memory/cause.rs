//! Why a customer has entered, left or moved: the causes in their order, of which the first that holds is told.

use std::fmt;
use std::sync::Arc;

/// The cause of a change. The first of them that holds is the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The customer is new or gone, has become one with another, or was a part of another.
    Identity,
    /// The project was edited: today's data give another outcome by the definition of the predecessor publication.
    Definition,
    /// Consent was given or withdrawn: with the consent of the predecessor publication, nothing would have changed.
    Consent,
    /// Rows that lead to the customer came, changed or went.
    Data,
    /// Nothing is new of the customer: days have passed, or cut-points have moved with everybody else.
    Time,
    /// It cannot be known, for a reason that is told with it.
    Undetermined,
}

impl Cause {
    /// All of them, in their order.
    pub const ALL: [Cause; 6] = [Cause::Identity, Cause::Definition, Cause::Consent, Cause::Data, Cause::Time, Cause::Undetermined];

    /// As the changes say it.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Identity => "identity",
            Cause::Definition => "definition",
            Cause::Consent => "consent",
            Cause::Data => "data",
            Cause::Time => "time",
            Cause::Undetermined => "undetermined",
        }
    }

    /// The cause of which the changes say so.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.word() == word)
    }
}

/// A cause with what more there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The cause.
    pub cause: Cause,
    /// What differs in the definition; the sources whose rows are new; whether days have passed or cut-points have moved; or why it cannot
    /// be known.
    pub detail: Option<Arc<str>>,
}

impl Why {
    /// A cause of which there is no more to say.
    pub fn of(cause: Cause) -> Self {
        Why { cause, detail: None }
    }

    /// A cause with more.
    pub fn detailed(cause: Cause, detail: &str) -> Self {
        Why { cause, detail: Some(detail.into()) }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_in_their_order_and_known_by_their_words() {
        assert!(Cause::ALL.is_sorted());
        assert!(Cause::ALL.into_iter().all(|cause| Cause::of_word(cause.word()) == Some(cause)));
        assert_eq!(Cause::of_word("weather"), None);
    }
}
