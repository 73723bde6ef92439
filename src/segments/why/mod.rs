//! Why a rule holds for a customer or does not: its conditions one by one, and the smallest change that would turn it.
//!
//! Every condition is parsed, typed and evaluated by the engine as the whole rule is, so what is told of a rule cannot differ from
//! what a run makes of it. A change is only told after the rule was evaluated with it.

mod answer;
mod candidates;
mod change;
mod condition;
mod row;
mod search;
mod set;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

pub use answer::{Answer, Membership, Named};
pub use change::{By, Change, Turn};
pub(super) use condition::operands;
pub use condition::{Condition, Parts, ReadValue};
pub use row::Customer;
pub use set::{ExplainedSegment, ExplainedSet, HeldBy, Remembered, Standing, explain_set, segment_of};
pub use verdict::Verdict;
pub use words::value as shown_value;
pub(super) use words::written;
