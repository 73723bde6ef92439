//! What a proof of a set finds.

use datafusion::error::DataFusionError;

/// What was found of a set's rules; they are named by their position.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub cells: usize,
    /// Rules that match in no cell.
    pub never: Vec<usize>,
    /// Rules of an exclusive set to which earlier rules leave no customer.
    pub taken: Vec<Taken>,
    /// Cells that no rule matches.
    pub gap: Option<Gap>,
    /// Rules of a partition that match customers whom earlier rules match.
    pub overlaps: Vec<Overlap>,
    /// How many cells match several rules.
    pub several: Count,
    /// The columns of which only the type is known.
    pub undeclared: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    pub rule: usize,
    pub by: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Gap {
    pub certain: bool,
    /// At least one example, each of different customers.
    pub examples: Vec<String>,
    pub count: Count,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Overlap {
    pub rule: usize,
    pub with: Vec<usize>,
    pub certain: bool,
    pub example: String,
    pub count: Count,
}

/// How many combinations of values, of how many; none when they cannot be counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub Option<(u64, u64)>);

/// The reason why a set could not be proved as a whole.
#[derive(Debug)]
pub enum Unproved {
    TooLarge { cells: u128 },
    Fails(DataFusionError),
}
