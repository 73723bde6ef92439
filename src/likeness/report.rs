//! What is told of look-alikes, in a run's record and summary.

use serde::{Deserialize, Serialize};

use super::evaluate::Evaluation;
use super::fit::LikenessState;

/// Members are told from others so well by the columns that these may define the segment.
const ALMOST_CERTAIN: f64 = 0.999;

/// Look-alikes: how they were found, and how well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The name in the pipeline file.
    pub look_alikes: String,
    /// The set of the segment that others are compared with.
    pub segment_set: String,
    /// The segment.
    pub segment: String,
    /// What came of the fit.
    pub state: LikenessState,
    /// The customers, those of whom a column is not known included.
    pub customers: u64,
    /// Those whom the rule of the segment describes.
    pub members: u64,
    /// The members of whom all columns are known.
    pub known_members: u64,
    /// The customers who are no members and have a similarity.
    pub scored: u64,
    /// The customers who are no members and have none, because a column of them is not known.
    pub unknown: u64,
    /// The columns, in the order of the pipeline file.
    pub columns: Vec<ColumnWeight>,
    /// How well the fit finds members whom it has not seen, if that could be found out.
    #[serde(default)]
    pub evaluation: Option<Evaluation>,
}

/// How a column speaks for a membership.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnWeight {
    /// The column.
    pub column: String,
    /// By how much a standard deviation more of it raises the log odds of a membership; none without a fit.
    pub weight: Option<f64>,
    /// Whether all customers have the same value, so that it counts for nothing.
    pub is_constant: bool,
}

impl LikenessState {
    /// Why nobody has a similarity; none if the fit is made.
    pub fn why_not(self) -> Option<&'static str> {
        match self {
            LikenessState::Fitted => None,
            LikenessState::TooFewMembers => Some("too few members have values in all columns"),
            LikenessState::TooFewOthers => Some("too few customers outside the segment have values in all columns"),
            LikenessState::ColumnsConstant => Some("all customers have the same values in all columns"),
            LikenessState::NoConvergence => Some("the fit does not converge"),
        }
    }
}

impl Report {
    /// What somebody should look at: no similarity, or one that says little or too much.
    pub fn warnings(&self) -> Vec<String> {
        let name = &self.look_alikes;
        let mut found = Vec::new();
        if let Some(why) = self.state.why_not() {
            found.push(format!("similar.{name}: {why}; nobody has a similarity"));
            return found;
        }
        let constant: Vec<&str> = self.columns.iter().filter(|column| column.is_constant).map(|column| column.column.as_str()).collect();
        if !constant.is_empty() {
            found.push(format!("similar.{name}: all customers have the same value in {}, which counts for nothing", constant.join(", ")));
        }
        let target = format!("{}.{}", self.segment_set, self.segment);
        match self.evaluation {
            None => found.push(format!("similar.{name}: how well members of {target} are found could not be measured")),
            Some(of) if of.lift_in_top_tenth <= 1.0 || of.auc <= 0.5 => {
                found.push(format!("similar.{name}: members of {target} are not found better than by chance (AUC {:.3})", of.auc));
            }
            Some(of) if of.auc >= ALMOST_CERTAIN => {
                found.push(format!(
                    "similar.{name}: the columns tell members of {target} almost without error (AUC {:.4}), as columns do that define it",
                    of.auc
                ));
            }
            Some(_) => {}
        }
        found
    }
}
