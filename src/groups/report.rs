//! What is told of a clustering, in a run's record and summary.

use serde::{Deserialize, Serialize};

use super::labels::Change;

/// Groups of customers, and how they were found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The name of the clusters.
    pub clusters: String,
    /// What came of it.
    pub state: State,
    /// The customers.
    pub customers: u64,
    /// Those who are in no group, since a column is null.
    pub customers_without_group: u64,
    /// The columns in which all customers are the same, or that are too large to be added up. They do not count.
    pub constant_columns: Vec<String>,
    /// How many groups were asked for, from the least to the greatest number.
    pub asked: (u64, u64),
    /// The squares of the distances to the centres, added up.
    pub inertia: Option<f64>,
    /// The mean silhouette.
    pub silhouette: Option<f64>,
    /// Of how many customers it is.
    pub silhouette_customers: u64,
    /// The numbers of groups that were tried.
    pub tried: Vec<super::find::Tried>,
    /// How k-means began.
    pub began: Began,
    /// How many rounds of k-means it took.
    pub rounds: u32,
    /// Whether another definition made the groups of the publication before.
    pub is_redefined: bool,
    /// The customers who are in a group and were in one in the publication before.
    pub customers_in_both: u64,
    /// Those of them whose group has the same number.
    pub customers_kept: u64,
    /// The groups, and those that are no more, by number.
    pub groups: Vec<GroupReport>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There are as many groups as were asked for.
    Found,
    /// There are fewer, since customers do not differ more.
    TooFewDifferent,
    /// Some customers still changed groups when the most rounds were over.
    NoConvergence,
    /// Nobody could be put into a group.
    NoCustomers,
}

/// How k-means began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Began {
    /// With starts that were drawn: the best of them is clearly better than going on from the groups of before, or there were none.
    Anew,
    /// With the groups of the publication before.
    WithFormerGroups,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// Its number.
    pub cluster: u64,
    /// What became of it.
    pub change: Change,
    /// Its customers.
    pub customers: u64,
    /// Its share of all customers in groups.
    pub share: f64,
    /// The customers that the group of this number had in the publication before.
    pub customers_before: u64,
    /// Those who are still in it.
    pub customers_kept: u64,
    /// From which group most of its members come, if it is a split; in which group most are now, if it died.
    pub other_cluster: Option<u64>,
    /// How it differs from everybody; none if too few are in it or it does not.
    pub description: Option<String>,
}

impl Change {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Change::New => "new",
            Change::Kept => "kept",
            Change::Split => "split",
            Change::Born => "born",
            Change::Died => "died",
        }
    }
}

impl Report {
    /// What somebody should look at.
    pub fn warnings(&self) -> Vec<String> {
        let name = &self.clusters;
        let mut found = Vec::new();
        let groups = self.groups.iter().filter(|group| group.change != Change::Died).count();
        match self.state {
            State::Found => {}
            State::TooFewDifferent if groups == 1 => {
                found.push(format!("clustered.{name}: all customers are the same in its columns, so that there is one group"));
            }
            State::TooFewDifferent => {
                found.push(format!("clustered.{name}: customers differ too little for {} groups; there are {groups}", self.asked.0));
            }
            State::NoConvergence => {
                found.push(format!("clustered.{name}: after {} rounds of k-means, customers still changed groups", self.rounds));
            }
            State::NoCustomers => {
                found.push(format!("clustered.{name}: no customer has a value in all of its columns, so that there are no groups"));
            }
        }
        if !self.constant_columns.is_empty() && self.state != State::NoCustomers {
            let columns = self.constant_columns.join("`, `");
            found.push(format!("clustered.{name}: everybody is the same in `{columns}`, which does not count"));
        }
        found
    }
}
