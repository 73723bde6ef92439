//! Explains to people what a publication says of one customer: why an identifier leads to its customer, and why a customer is in a segment.

mod customer;
mod identity;
mod memory;

pub use customer::{Asked, Explainer, Who, customer};
pub use identity::{Question, identity};
