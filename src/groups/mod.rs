//! Groups of customers by numbers that are known of them. Nothing here reads a table; every sum has a fixed order, and logarithms come from
//! `libm`, which gives the same bits on every machine.

mod transform;

pub use transform::{Points, Preparation, Scaling, Shape, prepare};
