//! The pipeline file as types. Every key that is not named here is an error.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::affinity::Affinity;
use super::channel::Channel;
use super::check::Check;
use super::clusters::Clusters;
use super::column::ColumnType;
use super::delta::DeltaCopies;
use super::look_alike::LookAlikes;
use super::notify::Notify;
use super::prediction::Prediction;
use super::profile::Profile;
use super::report::Report;
use super::schema::{names_of, table_names};
use super::source::Source;
use super::spanned::{Literal, Spanned, blank_if_null};
use super::traits::Traits;

/// A pipeline: the sources that it reads, its parameters, its segments, and the tables that it publishes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The version of this format, which is 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: Spanned<u32>,
    /// The pipeline's name, which run records and summaries show.
    pub name: Spanned<String>,
    /// What the pipeline is for.
    #[serde(default)]
    pub description: Option<String>,
    /// The IANA time zone in which days are counted. The default is UTC.
    #[serde(default)]
    pub time_zone: Option<Spanned<String>>,
    /// Values that extracts have where there is none: in any case, with or without space around them, they are null in columns that are
    /// not text, and identifiers of nobody. SQL has them as `$null_values`, for `identifier(text, $null_values)`.
    #[serde(default = "null_values")]
    #[schemars(with = "Vec<Literal>")]
    pub null_values: Vec<String>,
    /// Values that SQL reads as `$name`. `--param name=value` overrides them for a run.
    #[serde(default)]
    pub parameters: IndexMap<String, Parameter>,
    /// Small tables kept in this file, which SQL reads as `reference.name`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = table_names()))]
    pub reference: IndexMap<String, ReferenceTable>,
    /// The extracts, which SQL reads as `sources.name`.
    #[schemars(extend("propertyNames" = table_names()))]
    pub sources: IndexMap<String, Source>,
    /// What is known about the customer profile, which segment rules read.
    #[serde(default)]
    pub profile: Profile,
    /// What customers will buy and are worth, predicted from what they have bought; SQL reads each as `predicted.name`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = table_names()))]
    pub predictions: IndexMap<String, Prediction>,
    /// Groups of customers who are alike, found from columns of a model; SQL reads each as `clustered.name` and `clustered.name_groups`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = table_names()))]
    pub clusters: IndexMap<String, Clusters>,
    /// How like the members of a segment others are; SQL reads each as `similar.name`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = table_names()))]
    pub look_alikes: IndexMap<String, LookAlikes>,
    /// What to offer customers next, from what they and others have bought; SQL reads each as `offered.name`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = table_names()))]
    pub affinities: IndexMap<String, Affinity>,
    /// Which identifiers there are, and what keeps strangers apart, for the edges of the model `identity.edges`.
    #[serde(default)]
    pub identity: Identity,
    /// Sets of segments over the customer profile.
    #[serde(default)]
    pub segments: IndexMap<String, SegmentSet>,
    /// How the members of segments are compared with everybody; SQL reads the traits as `segment_traits`.
    #[serde(default)]
    pub traits: Traits,
    /// How the report of a publication is told.
    #[serde(default)]
    pub report: Report,
    /// What must be true of the outputs before they are published.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Who is told how a run ended, each by a webhook or a command.
    #[serde(default)]
    pub notify: IndexMap<String, Notify>,
    /// What is published, and where.
    pub outputs: Outputs,
}

/// A value that SQL reads as `$name`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// The type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// The value, unless `--param` gives another one.
    #[schemars(with = "Literal")]
    pub default: Spanned<String>,
    /// The smallest value allowed, for integers.
    #[serde(default)]
    pub min: Option<i64>,
    /// The largest value allowed, for integers.
    #[serde(default)]
    pub max: Option<i64>,
    /// What the parameter does, and its unit.
    #[serde(default)]
    pub description: Option<String>,
}

/// A small table kept in the pipeline file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceTable {
    /// What a row means.
    #[serde(default)]
    pub description: Option<String>,
    /// Names and types of the columns, in order.
    pub columns: IndexMap<String, ColumnType>,
    /// The rows, each with a value for every column.
    #[schemars(with = "Vec<Vec<Option<Literal>>>")]
    pub rows: Vec<Spanned<Vec<Option<String>>>>,
}

/// What the identity step is told of identifiers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The types of identifiers, the one that names customers first. A name has letters, digits, `_`, `-` and `.`.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, IdentifierType>")]
    pub types: IndexMap<String, Spanned<IdentifierType>>,
    /// Sources of edges, the most trusted first; those that are not named are trusted least. Where a customer has too many
    /// identifiers, edges of the least trusted sources are pruned first, and of those the youngest.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub trust: Vec<Spanned<String>>,
    /// A secret that goes into the hashes of personal identifiers, in ids and elsewhere: without it, whoever has an id can find the address
    /// by trying addresses. Let a variable give it (`${IDENTITY_SALT}`). With another one ids begin anew,
    /// and those of personal identifiers are others.
    #[serde(default, deserialize_with = "blank_if_null")]
    pub salt: Option<String>,
    /// Whether `explain --identity` may look an identifier up among the keyed hashes that a publication keeps of identifiers, to find the
    /// customer's segments. If not, it computes who is who.
    #[serde(default = "yes")]
    pub lookup: bool,
}

fn yes() -> bool {
    true
}

impl Default for Identity {
    fn default() -> Self {
        Identity { types: IndexMap::default(), trust: Vec::new(), salt: None, lookup: true }
    }
}

/// The salt is a secret.
impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Identity { types, trust, salt, lookup } = self;
        let salted = salt.is_some();
        formatter
            .debug_struct("Identity")
            .field("types", types)
            .field("trust", trust)
            .field("salted", &salted)
            .field("lookup", lookup)
            .finish()
    }
}

/// A type of identifier.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentifierType {
    /// What it is and who gives it.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether one of these is a customer even if nothing else is known of it: `true`, `false`, or `until_known` for one that gives
    /// way to whatever else is standalone, as an anonymous visitor's does to the customer that the visitor turns out to be.
    #[serde(default)]
    #[schemars(with = "TruthOrWord", extend("default" = false))]
    pub standalone: Standalone,
    /// Whether its values are personal data: ids made from them are hashed, and people see them masked.
    #[serde(default)]
    pub personal: bool,
    /// The most of these that one customer may have; weaker edges beyond that are pruned.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_per_customer: Option<u32>,
    /// How many customers one identifier of this type may lead to; with more it is shared and leads to nobody.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_customers: Option<u32>,
    /// Whether it can go from one owner to the next: an edge that ended before the next owner's began does not make them one customer.
    #[serde(default)]
    pub transferable: bool,
    /// For how many days after it was last seen an edge holds.
    #[serde(default)]
    #[schemars(range(min = 1, max = 36525))]
    pub valid_days: Option<u32>,
    /// Values that stand for nobody; `*` stands for any characters.
    #[serde(default)]
    #[schemars(with = "Vec<Literal>")]
    pub blocked: Vec<String>,
}

/// Whether an identifier is a customer even if nothing else is known of it, and may give a customer its id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "TruthOrWord")]
pub enum Standalone {
    /// It is nobody.
    #[default]
    No,
    /// It is a customer, of whom the id ends, with an alias, once the customer is known by what is standalone without this condition.
    UntilKnown,
    /// It is a customer, and keeps its id.
    Yes,
}

/// True, false, or `until_known`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum TruthOrWord {
    Truth(bool),
    Word(UntilKnown),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum UntilKnown {
    UntilKnown,
}

impl From<TruthOrWord> for Standalone {
    fn from(written: TruthOrWord) -> Self {
        match written {
            TruthOrWord::Truth(false) => Standalone::No,
            TruthOrWord::Truth(true) => Standalone::Yes,
            TruthOrWord::Word(UntilKnown::UntilKnown) => Standalone::UntilKnown,
        }
    }
}

/// A set of segments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentSet {
    /// In how many segments of the set a customer can be.
    pub kind: Spanned<SetKind>,
    /// What the set is for.
    #[serde(default)]
    pub description: Option<String>,
    /// For each channel, the condition under which a customer may be reached through it, such as `email: can_email`. Customers who match
    /// a segment with that channel but not the condition are withheld, and counted.
    #[serde(default)]
    #[schemars(extend("propertyNames" = names_of::<Channel>()))]
    pub permissions: IndexMap<Channel, Spanned<String>>,
    /// Names that the set had in earlier publications, whose memberships are continued.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub formerly: Vec<Spanned<String>>,
    /// The segments. In an exclusive set, a customer is in the first segment whose rule matches, unless the memory of an earlier
    /// publication keeps the customer in another one.
    pub segments: Vec<Segment>,
}

/// How the segments of a set relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SetKind {
    /// Every customer is in exactly one segment, unless withheld: the first one whose rule matches.
    Exclusive,
    /// Every customer is in exactly one segment, unless withheld: the only one whose rule matches. The order of the rules does not matter.
    Partition,
    /// A customer is in every segment whose rule matches, which may be none.
    Overlapping,
}

/// A group of customers to whom a company would say the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// The segment's name, unique in the set.
    pub name: Spanned<String>,
    /// A SQL boolean expression over the customer profile.
    pub when: Spanned<String>,
    /// A SQL boolean expression over the customer profile, wider than `when`: who is a member remains one while it holds.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub stay: Option<Spanned<String>>,
    /// For how many days, from the as-of day on which a customer entered, the customer stays a member whatever the rules say.
    /// Permissions win at once all the same.
    #[serde(default)]
    #[schemars(with = "Option<u32>", range(min = 1, max = 36525))]
    pub minimum_stay_days: Option<Spanned<u32>>,
    /// For how many days, from the as-of day on which a customer left, the customer cannot enter again.
    #[serde(default)]
    #[schemars(with = "Option<u32>", range(min = 1, max = 36525))]
    pub cooldown_days: Option<Spanned<u32>>,
    /// Names that the segment had in earlier publications: its members then are members now, and nobody moves because of the name.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub formerly: Vec<Spanned<String>>,
    /// What these customers are like.
    pub description: String,
    /// What to do with them.
    pub action: String,
    /// The channel to do it through.
    pub channel: Channel,
}

/// What is published, and where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// A path or URL under which publications are kept: a local path, `file://`, `s3://`, `gs://` or `az://`.
    pub destination: Spanned<String>,
    /// Which days stay published when `segmill clean` runs. By default all of them stay.
    #[serde(default)]
    pub keep: Option<Keep>,
    /// How the columns of the tables may differ from those of the predecessor publication. By default they may differ in any way.
    #[serde(default)]
    pub schema: SchemaChanges,
    /// Tables of Delta Lake that outputs are copied to after each publication. By default none are.
    #[serde(default)]
    pub delta: Option<DeltaCopies>,
    /// The tables.
    pub tables: IndexMap<String, TableOutput>,
}

/// How the columns of published tables may differ from those of the predecessor publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaChanges {
    /// In any way.
    #[default]
    Any,
    /// Tables and columns may be added. A run that would take one away, or change the type of a column, is refused.
    Additive,
}

/// Which days stay published. `segmill clean` may withdraw the others. The latest day always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The number of newest published days to keep.
    #[schemars(range(min = 1))]
    pub days: u64,
    /// The number of months for which to keep one older day: the last published day of the month.
    #[serde(default)]
    pub months: u64,
}

/// A table that is published.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableOutput {
    /// The model whose rows are published.
    pub model: Spanned<String>,
    /// The columns by which the table is sorted. Together they must identify a row.
    pub sort: Vec<Spanned<String>>,
    /// Columns with personal data that have another name than in the source that marks them. They are left out when rows are shown.
    #[serde(default)]
    pub personal: Vec<Spanned<String>>,
    /// What columns mean, for those of which it is not known by itself. It is known of columns that `profile: columns:` describes and of those
    /// of tables that Segmill makes, and of columns that models take from these unchanged. The table `published_columns` and `segmill docs`
    /// show it.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, String>")]
    pub columns: IndexMap<String, Spanned<String>>,
}

/// The words for no value of databases, programming languages, spreadsheets and web analytics.
fn null_values() -> Vec<String> {
    const WORDS: [&str; 15] = [
        "null",
        "(null)",
        "<null>",
        "nil",
        "none",
        "nan",
        "nat",
        "n/a",
        "#n/a",
        "undefined",
        "(not set)",
        r"\N",
        "-",
        "0000-00-00",
        "0000-00-00 00:00:00",
    ];
    WORDS.map(str::to_owned).to_vec()
}

impl fmt::Display for SetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetKind::Exclusive => "exclusive",
            SetKind::Partition => "partition",
            SetKind::Overlapping => "overlapping",
        })
    }
}
