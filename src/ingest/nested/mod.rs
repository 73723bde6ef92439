//! Values that lie in other values: finds what stands at paths in JSON texts and in nested arrays.

pub mod arrays;
pub mod json;
pub mod leaves;

/// The reason of a path that leads to an object or a list where one value should be, or into a list without saying to which element.
pub const NESTED: &str = "nested-value";
/// The reason of a path that goes on where there is a single value.
pub const NOT_NESTED: &str = "not-an-object";
/// The reason of a path to an entry of a list that has two such.
pub const REPEATED: &str = "repeated-entry";
/// The reason of a single value, or an object, where a list should be.
pub const NOT_A_LIST: &str = "not-a-list";
/// The reason of what is no JSON.
pub const INVALID: &str = "invalid-json";
