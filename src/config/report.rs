//! The report of a publication: what the pipeline file says of how it is told.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::channel::Channel;
use super::schema::names_of;
use super::spanned::Spanned;

/// Below how many customers nothing is told of a group, unless the pipeline file says otherwise.
const MINIMUM_MEMBERS: u64 = 10;

/// How the report of a publication is told: `segmill report`, and `segmill run --report`. Columns are those of the profile. What is not named
/// is left out of the report, and said to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Its title. By default the name of the pipeline.
    #[serde(default)]
    pub title: Option<String>,
    /// The language tag by which numbers are written, such as `en-GB` or `de`. By default `en`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub locale: Option<Spanned<String>>,
    /// The currency of all amounts, an ISO 4217 code such as `GBP`. Without it amounts have none.
    #[serde(default)]
    #[schemars(with = "Option<String>", regex(pattern = "^[A-Z]{3}$"))]
    pub currency: Option<Spanned<String>>,
    /// Of groups with fewer customers nothing is told but that they are so small. By default 10. No variable can give it, since the report of a
    /// publication is the same wherever it is made.
    #[serde(default)]
    #[schemars(with = "Option<u64>", range(min = 2))]
    pub minimum_members: Option<Spanned<u64>>,
    /// How many publications trends go back, with the day's own and the one before. By default 13.
    #[serde(default = "publications")]
    #[schemars(range(min = 2, max = 100))]
    pub publications: usize,
    /// The column that says whether a customer is a buyer: yes or no, or a number that is above 0.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub buyers: Option<Spanned<String>>,
    /// The map of customers by two scores.
    #[serde(default)]
    pub heat_map: Option<HeatMap>,
    /// The channels by which customers are reached.
    #[serde(default)]
    #[schemars(extend("propertyNames" = names_of::<Channel>()))]
    pub channels: IndexMap<Channel, ReportedChannel>,
    /// The column with the name of the channel that a customer prefers.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub preferred_channel: Option<Spanned<String>>,
    /// The column that says how engaged a customer is, a text of few values.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub engagement: Option<Spanned<String>>,
    /// The column with what a customer is expected to be worth, a decimal or an integer.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub lifetime_value: Option<Spanned<String>>,
}

/// Which scores the map of customers shows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeatMap {
    /// The column of the recency score, an integer.
    #[schemars(with = "String")]
    pub recency: Spanned<String>,
    /// The column of the frequency score, an integer.
    #[schemars(with = "String")]
    pub frequency: Spanned<String>,
    /// The exclusive set of segments whose borders it shows.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub segment_set: Option<Spanned<String>>,
}

/// A channel by which customers are reached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedChannel {
    /// The column that says whether the channel may be used now.
    #[schemars(with = "String")]
    pub allowed: Spanned<String>,
    /// The column that says whether the customer has given consent.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub consent: Option<Spanned<String>>,
    /// The column that says why the channel may not be used, a text of few values.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub refused_because: Option<Spanned<String>>,
    /// The column with the number of messages sent.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub sent: Option<Spanned<String>>,
    /// The column with the number of messages that were responded to.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub responses: Option<Spanned<String>>,
}

/// What kind of value a column that the report names must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportedKind {
    /// Yes or no.
    Flag,
    /// Yes or no, or a number.
    FlagOrNumber,
    /// An integer.
    Integer,
    /// An integer or a decimal.
    Exact,
    /// A text.
    Text,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            title: None,
            locale: None,
            currency: None,
            minimum_members: None,
            publications: publications(),
            buyers: None,
            heat_map: None,
            channels: IndexMap::new(),
            preferred_channel: None,
            engagement: None,
            lifetime_value: None,
        }
    }
}

impl Report {
    /// Below how many customers nothing is told of a group.
    pub fn minimum_members(&self) -> u64 {
        self.minimum_members.as_ref().map_or(MINIMUM_MEMBERS, |minimum| minimum.value)
    }

    /// The code of the currency; none if there is none, or if it has not the form of a code.
    pub fn currency_code(&self) -> Option<&str> {
        let code = self.currency.as_ref()?.value.as_str();
        (code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(code)
    }

    /// Every column that it names, with the kind of value that it must have.
    pub fn columns(&self) -> Vec<(&Spanned<String>, ReportedKind)> {
        let heat_map = self.heat_map.iter().flat_map(|map| [&map.recency, &map.frequency]);
        let mut columns: Vec<(&Spanned<String>, ReportedKind)> = heat_map.map(|column| (column, ReportedKind::Integer)).collect();
        columns.extend(self.buyers.iter().map(|column| (column, ReportedKind::FlagOrNumber)));
        columns.extend([&self.preferred_channel, &self.engagement].into_iter().flatten().map(|column| (column, ReportedKind::Text)));
        columns.extend(self.lifetime_value.iter().map(|column| (column, ReportedKind::Exact)));
        for channel in self.channels.values() {
            columns.push((&channel.allowed, ReportedKind::Flag));
            columns.extend(channel.consent.iter().map(|column| (column, ReportedKind::Flag)));
            columns.extend(channel.refused_because.iter().map(|column| (column, ReportedKind::Text)));
            columns.extend([&channel.sent, &channel.responses].into_iter().flatten().map(|column| (column, ReportedKind::Integer)));
        }
        columns
    }
}

fn publications() -> usize {
    13
}
