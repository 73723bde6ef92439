//! A native step of a project: one that every project has which has its inputs, or one that the pipeline file declares.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::declared::DeclaredKind;

/// A native step, which Segmill computes itself and not by SQL, that is the same in every project.
#[derive(Debug)]
pub struct Signature {
    /// Its name, by which a run reports it.
    pub name: &'static str,
    /// The layer in which its tables stand; without one they stand between the customer profile and the models that describe segments.
    pub layer: Option<&'static str>,
    /// The models that it reads. A project that lacks one of them does not have the step.
    pub reads: &'static [NativeInput],
    /// The tables that it makes.
    pub makes: &'static [NativeTable],
}

/// A table that a native step makes.
#[derive(Debug)]
pub struct NativeTable {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub schema: fn() -> SchemaRef,
    /// Its columns of identifiers, each with the column that names the identifiers' type.
    pub identifiers: &'static [(&'static str, &'static str)],
    /// Its columns that have values of what the step reads, each with the table and the column of those.
    pub taken: &'static [(&'static str, &'static str, &'static str)],
    /// What each of its columns means.
    pub descriptions: &'static [(&'static str, &'static str)],
}

/// What a native step reads.
#[derive(Debug)]
pub struct NativeInput {
    /// The model.
    pub table: &'static str,
    /// Whether the step takes the rows as they come, so that a model that nothing else reads need not be materialised.
    pub streamed: bool,
    /// The column by which the rows must be sorted.
    pub sorted_by: Option<&'static str>,
}

/// What a native step of a project reads and makes.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name, by which a run reports it.
    pub name: String,
    /// The layer in which its tables stand; without one they stand between the customer profile and the models that describe segments.
    pub layer: Option<&'static str>,
    /// The kind, if the pipeline file declares it. Another one belongs to every project that has what it reads.
    pub declared: Option<DeclaredKind>,
    /// What it reads.
    pub reads: Vec<Input>,
    /// The tables that it makes.
    pub makes: Vec<Made>,
}

/// A table that a native step of a project makes.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its columns of identifiers, each with the column that names the identifiers' type.
    pub identifiers: Vec<(String, String)>,
    /// Its columns that have values of what the step reads, each with the table and the column of those.
    pub taken: Vec<(String, String, String)>,
    /// Its columns of numbers of which it is known between which they are.
    pub bounds: Vec<(String, f64, f64)>,
    /// What each of its columns means.
    pub descriptions: Vec<(String, String)>,
}

/// What a native step of a project reads.
#[derive(Debug, Clone)]
pub struct Input {
    /// The model.
    pub table: String,
    /// Whether the step takes the rows as they come, so that a model that nothing else reads need not be materialised.
    pub streamed: bool,
    /// The column by which the rows must be sorted.
    pub sorted_by: Option<String>,
}

impl Step {
    /// A step that is the same in every project.
    pub fn of(signature: &Signature) -> Arc<Self> {
        let pair = |(one, other): &(&str, &str)| ((*one).to_owned(), (*other).to_owned());
        let triple = |(one, two, three): &(&str, &str, &str)| ((*one).to_owned(), (*two).to_owned(), (*three).to_owned());
        let reads = signature.reads.iter().map(|input| Input {
            table: input.table.to_owned(),
            streamed: input.streamed,
            sorted_by: input.sorted_by.map(str::to_owned),
        });
        let makes = signature.makes.iter().map(|table| Made {
            name: table.name.to_owned(),
            schema: (table.schema)(),
            identifiers: table.identifiers.iter().map(pair).collect(),
            taken: table.taken.iter().map(triple).collect(),
            bounds: Vec::new(),
            descriptions: table.descriptions.iter().map(pair).collect(),
        });
        let (reads, makes) = (reads.collect(), makes.collect());
        Arc::new(Step { name: signature.name.to_owned(), layer: signature.layer, declared: None, reads, makes })
    }

    /// Whether it makes a table of this name.
    pub fn makes_table(&self, name: &str) -> bool {
        self.makes.iter().any(|table| table.name == name)
    }
}
