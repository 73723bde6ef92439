//! What the page shows, as its template takes it: texts and places, and nothing that knows a plan.

use askama::Template;

/// The page.
#[derive(Debug, Template)]
#[template(path = "docs/page.html")]
pub struct Page {
    /// The name of the pipeline.
    pub title: String,
    /// What it is for.
    pub description: Option<String>,
    /// What is counted of it, each with its label.
    pub facts: Vec<(&'static str, String)>,
    /// What the page may load and run: nothing but its own style and script.
    pub policy: String,
    /// Its style.
    pub style: &'static str,
    /// Its script, without which the page can be read.
    pub script: &'static str,
    /// The picture of what reads what.
    pub graph: Graph,
    /// The columns of the profile, by the base that they belong to.
    pub bases: Vec<Group>,
    /// The sets of segments.
    pub sets: Vec<Set>,
    /// The sources.
    pub sources: Vec<Source>,
    /// The types of identifiers.
    pub identifiers: Vec<Fact>,
    /// The models, by layer.
    pub layers: Vec<Layer>,
    /// The native steps.
    pub steps: Vec<Table>,
    /// The reference tables.
    pub reference: Vec<Reference>,
    /// The parameters.
    pub parameters: Vec<Parameter>,
    /// The published tables.
    pub outputs: Vec<Table>,
    /// The checks on them.
    pub checks: Vec<Check>,
    /// What somebody should look at although the project is valid.
    pub warnings: Vec<String>,
}

/// A link to a part of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The part.
    pub to: String,
    /// What it says.
    pub text: String,
}

/// Something with a label.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The label.
    pub label: String,
    /// What is said of it.
    pub text: String,
}

/// The picture of what reads what.
#[derive(Debug)]
pub struct Graph {
    /// Its width in pixels.
    pub width: String,
    /// Its height.
    pub height: String,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The edges.
    pub edges: Vec<Edge>,
}

/// A node of the picture.
#[derive(Debug)]
pub struct Node {
    /// Its part of the page.
    pub id: String,
    /// The word for its kind, which is a class of the style, too.
    pub kind: &'static str,
    /// The small line above its name.
    pub above: String,
    /// Its name.
    pub name: String,
    /// Its name as it fits.
    pub short: String,
    /// Its left, its top, and its width.
    pub place: (String, String, String),
    /// What it reads.
    pub reads: Vec<Link>,
    /// What reads it.
    pub read_by: Vec<Link>,
}

/// An edge of the picture.
#[derive(Debug)]
pub struct Edge {
    /// The node that is read.
    pub from: String,
    /// The node that reads it.
    pub to: String,
    /// Its way, as SVG has it.
    pub path: String,
}

/// Columns that belong together.
#[derive(Debug)]
pub struct Group {
    /// What they have in common.
    pub title: String,
    /// The columns.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: String,
    /// In what it counts or measures.
    pub unit: Option<String>,
    /// What it means.
    pub description: Option<String>,
    /// The values that it can have.
    pub values: Option<String>,
    /// Whether it has personal values.
    pub is_personal: bool,
    /// The columns that give its value.
    pub made_of: Vec<Link>,
    /// Whether these could be followed.
    pub is_followed: bool,
    /// The segments whose rules it has a part in.
    pub used_by: Vec<Link>,
}

/// A table of the project: a model, the table of a native step, or an output.
#[derive(Debug)]
pub struct Table {
    /// Its part of the page.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What kind of step makes it.
    pub kind: String,
    /// What it is for, in paragraphs.
    pub purpose: Vec<String>,
    /// What it reads.
    pub reads: Vec<Link>,
    /// What reads it.
    pub read_by: Vec<Link>,
    /// More that is said of it.
    pub facts: Vec<Fact>,
    /// The tables that it makes, with their columns.
    pub tables: Vec<Group>,
    /// Where its text stands, and the text.
    pub text: Option<(String, String)>,
}

/// The models of a layer.
#[derive(Debug)]
pub struct Layer {
    /// Its name.
    pub title: String,
    /// Its models.
    pub models: Vec<Table>,
}

/// A set of segments.
#[derive(Debug)]
pub struct Set {
    /// Its part of the page.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How its segments relate.
    pub kind: String,
    /// What it is for.
    pub description: Option<String>,
    /// What was proved of it.
    pub proof: Vec<String>,
    /// Under which condition each channel may be used.
    pub permissions: Vec<Fact>,
    /// The segments.
    pub segments: Vec<Segment>,
}

/// A segment.
#[derive(Debug)]
pub struct Segment {
    /// Its part of the page.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What its members are like.
    pub description: String,
    /// What to do with them.
    pub action: String,
    /// The channel to do it through.
    pub channel: String,
    /// Its rule.
    pub rule: String,
    /// What keeps customers in it, or out of it.
    pub stability: Vec<Fact>,
}

/// A source with its contract.
#[derive(Debug)]
pub struct Source {
    /// Its part of the page.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What a row is.
    pub description: Option<String>,
    /// What its contract says of it as a whole.
    pub facts: Vec<Fact>,
    /// What reads it.
    pub read_by: Vec<Link>,
    /// Its columns.
    pub columns: Vec<SourceColumn>,
}

/// A column of a source.
#[derive(Debug)]
pub struct SourceColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: String,
    /// Where it stands in the files.
    pub from: String,
    /// What its values must be.
    pub rules: Vec<String>,
    /// What happens to a value that is not so.
    pub fault: &'static str,
    /// Whether its values are personal.
    pub is_personal: bool,
    /// What it means.
    pub description: Option<String>,
    /// The segments whose rules it has a part in.
    pub used_by: Vec<Link>,
}

/// A reference table.
#[derive(Debug)]
pub struct Reference {
    /// Its part of the page.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What a row is.
    pub description: Option<String>,
    /// What reads it.
    pub read_by: Vec<Link>,
    /// Its columns with their types.
    pub columns: Vec<(String, String)>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

/// A parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: String,
    /// Its value where a run gives no other.
    pub default: String,
    /// The values that it may have.
    pub values: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// What reads it.
    pub read_by: Vec<Link>,
}

/// A check on outputs.
#[derive(Debug)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Why it is there.
    pub description: Option<String>,
    /// What a failure does.
    pub severity: &'static str,
    /// What it asks, in a sentence.
    pub question: String,
    /// The query that must return no row.
    pub sql: Option<String>,
}
