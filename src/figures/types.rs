//! The figures of a report: everything that its page shows, and more: counts and sums of groups however small, of which the page tells
//! nothing. They are never written as they are.
//!
//! Every list has its order here, so that a page made of equal figures is equal byte for byte.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// An exact amount: `unscaled` / 10^`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// The digits.
    pub unscaled: i128,
    /// How many of them are after the point.
    pub scale: u8,
}

/// A figure that a report tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// A number of customers, or of something else that is counted.
    Count(u64),
    /// An amount in the currency of the report.
    Amount(Amount),
}

/// The figures of a publication, with those of earlier publications where they are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The pipeline's name.
    pub pipeline: String,
    /// What the pipeline file calls the report; the pipeline's name if it says nothing.
    pub title: String,
    /// What the pipeline is for.
    pub description: Option<String>,
    /// The day that the publication is as of.
    pub as_of: NaiveDate,
    /// The publication that it is compared with; none for the first one.
    pub previous_as_of: Option<NaiveDate>,
    /// The days of the trends, the oldest first; the last is `as_of`.
    pub days: Vec<NaiveDate>,
    /// How numbers are written, a BCP 47 language tag such as `en-GB`.
    pub locale: String,
    /// The currency of amounts, an ISO 4217 code such as `GBP`; none if the project does not say.
    pub currency: Option<String>,
    /// Groups of fewer customers are not broken down.
    pub minimum_members: u64,
    /// What the revenue of a customer means, such as `Amount of the orders in the RFM window`; none if the project names no column.
    pub revenue: Option<String>,
    /// The figures at the top: customers, buyers, revenue, and the customers that each channel may reach.
    pub headline: Vec<Headline>,
    /// The sets of segments, in order of the pipeline file.
    pub sets: Vec<SetFigures>,
    /// Customers by recency and frequency score; none if the project does not name the columns.
    pub heat_map: Option<HeatMap>,
    /// The channels by which customers may be reached.
    pub channels: Vec<Channel>,
    /// How many customers are engaged how much, in the order in which the profile declares the levels.
    pub engagement: Option<Breakdown>,
    /// What customers are expected to be worth.
    pub lifetime_value: Option<LifetimeValue>,
    /// How well predictions did on days that they had not seen.
    pub calibrations: Vec<CalibrationFigures>,
    /// What became of the rows of sources, and what the checks found.
    pub quality: Quality,
    /// What the project says, and what was edited in it since the publication before.
    pub project: ProjectFigures,
    /// The parts that could not be told, each with the reason and what to do.
    pub not_told: Vec<NotTold>,
}

/// A figure at the top of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// What it is, such as `Customers`.
    pub label: String,
    /// What it means, as a sentence or a few words.
    pub meaning: Option<String>,
    /// Its value on each of the days of the trends; none where it is not known. The last is the day's.
    pub values: Vec<Option<Figure>>,
    /// Whether more is better.
    pub more_is_better: bool,
}

/// A set of segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetFigures {
    /// Its name.
    pub name: String,
    /// `exclusive`, `partition` or `overlapping`.
    pub kind: String,
    /// What it is for.
    pub description: Option<String>,
    /// Customers who are in none of its segments.
    pub customers_in_none: u64,
    /// Its segments, in order of the pipeline file.
    pub segments: Vec<SegmentFigures>,
    /// Who moved between its segments since the publication before, the largest flows first; flows out of and into no segment too.
    pub flows: Vec<Flow>,
    /// For sets whose segments overlap: how many customers are in two segments, by place in `segments`.
    pub overlaps: Vec<Overlap>,
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentFigures {
    /// Its name.
    pub name: String,
    /// What its members are like, as the pipeline file says.
    pub description: Option<String>,
    /// What to do with them.
    pub action: Option<String>,
    /// The channel to use.
    pub channel: Option<String>,
    /// The rule, as the pipeline file has it.
    pub rule: Option<String>,
    /// Its members on each of the days of the trends; none where the segment was not there.
    pub members: Vec<Option<u64>>,
    /// What its members spent; none if the project names no column.
    pub revenue: Option<Amount>,
    /// How many members each of the report's channels may reach, in their order.
    pub reach: Vec<u64>,
    /// The members by preferred channel, the largest first; empty if not known.
    pub preferred_channels: Vec<(String, u64)>,
    /// How its members differ from everybody, the strongest first; empty for groups below `minimum_members`.
    pub traits: Vec<Trait>,
    /// Why there are no traits, if there are none.
    pub no_traits_because: Option<String>,
}

/// How the members of a segment differ from everybody in a column of the profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trait {
    /// The base of segmentation that the column belongs to, such as `behavioural`; none if the pipeline file does not say.
    pub base: Option<String>,
    /// The column.
    pub column: String,
    /// What the column means.
    pub column_description: Option<String>,
    /// The trait in words, such as `orders much higher (12.4, everybody 3.1)`.
    pub words: String,
    /// Its strength; below 0 if the mean or the share is lower than everybody's.
    pub standardised_difference: f64,
    /// Whether the column decides who is in the segment.
    pub is_in_rule: bool,
}

/// Customers who moved from one segment to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The segment in which they were, none for those who were in none.
    pub from: Option<String>,
    /// The segment in which they are, none for those who are in none.
    pub to: Option<String>,
    /// How many.
    pub customers: u64,
    /// What they spent; none if not known.
    pub revenue: Option<Amount>,
    /// Why they moved (`data`, `time`, `definition`, `consent`, `identity`, `undetermined`), the commonest first.
    pub causes: Vec<(String, u64)>,
}

/// How many customers are in two segments of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The places of the segments in the set, the smaller first.
    pub segments: [usize; 2],
    /// The customers who are in both.
    pub customers: u64,
}

/// Customers by two scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// The set whose segments are shown as borders.
    pub segment_set: Option<String>,
    /// The column of the recency score, which goes from left to right.
    pub recency_column: String,
    /// The column of the frequency score, which goes from bottom to top.
    pub frequency_column: String,
    /// The cells that have customers, by recency and then frequency score.
    pub cells: Vec<Cell>,
}

/// A cell of the heat map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The recency score.
    pub recency: i64,
    /// The frequency score.
    pub frequency: i64,
    /// Customers.
    pub customers: u64,
    /// What they spent.
    pub revenue: Option<Amount>,
    /// The segments that they are in, the largest first.
    pub segments: Vec<(String, u64)>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name, such as `email`.
    pub name: String,
    /// How many customers it may reach, on each of the days of the trends.
    pub reachable: Vec<Option<u64>>,
    /// How many have given consent; none if not known.
    pub consented: Option<u64>,
    /// Why it may not reach the others, the commonest reason first.
    pub refusals: Vec<(String, u64)>,
    /// Messages that were sent; none if not known.
    pub sent: Option<u64>,
    /// Messages that were responded to; none if not known.
    pub responses: Option<u64>,
}

/// Customers by the values of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// The column.
    pub column: String,
    /// What it means.
    pub description: Option<String>,
    /// Values with the customers on the day and on the day before, in the declared order and then by value.
    pub values: Vec<(String, u64, Option<u64>)>,
}

/// What customers are expected to be worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LifetimeValue {
    /// The column.
    pub column: String,
    /// What it means.
    pub description: Option<String>,
    /// Customers whose value is known.
    pub customers: u64,
    /// The sum of all values.
    pub total: Amount,
    /// Tenths of these customers, the most valuable first.
    pub tenths: Vec<Tenth>,
}

/// A tenth of the customers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tenth {
    /// Its customers.
    pub customers: u64,
    /// What they are worth together.
    pub total: Amount,
}

/// How well a prediction did on days that it had not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationFigures {
    /// The prediction.
    pub prediction: String,
    /// The days that were predicted.
    pub days: u32,
    /// The tenths of customers by predicted purchases, the most first: predicted and actual purchases in all.
    pub tenths: Vec<(f64, f64)>,
    /// In words, what the model does worse than a prediction without model; and why it does not predict, if so.
    pub losses: Vec<String>,
}

/// What became of the rows of sources, and what the checks found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The sources, in order of their names.
    pub sources: Vec<SourceFigures>,
    /// What the identity step found; none where the project has none, or it is not known any more.
    pub identity: Option<IdentityFigures>,
    /// The checks, in order of the pipeline file.
    pub checks: Vec<CheckFigures>,
}

/// A source: rows read = kept + rejected + deduplicated + out of window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceFigures {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Its files.
    pub files: u64,
    /// Rows in them.
    pub rows_read: u64,
    /// Rows that went on to the models.
    pub rows_kept: u64,
    /// Rows that broke the contract.
    pub rows_rejected: u64,
    /// Rows whose key a kept row has.
    pub rows_deduplicated: u64,
    /// Rows whose event happened on the as-of day or later.
    pub rows_out_of_window: u64,
    /// Values that broke the contract and became null.
    pub values_rejected: u64,
    /// The moment of the newest event, as text in the project's zone; none if not known.
    pub newest_event: Option<String>,
    /// Why rows and values were rejected: `row` or `value`, column, reason, count; the commonest first.
    pub rejects: Vec<(String, Option<String>, String, u64)>,
}

/// What the identity step found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentityFigures {
    /// Customers.
    pub customers: u64,
    /// Distinct identifiers.
    pub identifiers: u64,
    /// Customers known from more than one source.
    pub customers_from_several_sources: u64,
    /// Ids of the publication before that became aliases.
    pub merged: u64,
    /// Customers, or parts of them, that were another customer's in the publication before.
    pub split: u64,
    /// Identifiers that stand for nobody, or that too many share.
    pub identifiers_set_aside: u64,
    /// Edges that do not count.
    pub edges_set_aside: u64,
    /// By source, the customers known from it.
    pub known_from: Vec<(String, u64)>,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckFigures {
    /// Its name.
    pub name: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// `fail` or `warn`.
    pub severity: String,
    /// What was found.
    pub found: String,
}

/// What the project says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectFigures {
    /// The version of Segmill that made the publication.
    pub segmill_version: String,
    /// SHA-256 of the pipeline file and the models.
    pub digest: String,
    /// Parameters: name, value, meaning.
    pub parameters: Vec<(String, String, Option<String>)>,
    /// What was edited since the publication before, a sentence each; none if that cannot be told.
    pub edits: Option<Vec<String>>,
}

/// A part of the report that could not be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotTold {
    /// The part, such as `The heat map`.
    pub part: String,
    /// Why, and what to do.
    pub reason: String,
}
