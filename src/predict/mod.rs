//! What customers will buy: models of purchases and of spend, fitted to counts by maximum likelihood, and what they expect. Nothing here
//! reads a table; every sum has a fixed order, and logarithms come from `libm`, which gives the same bits on every machine.

mod expect;
mod fit;
mod gamma;
mod groups;
mod holdout;
mod newton;
mod outlook;
mod purchases;
mod report;
mod spend;
#[cfg(test)]
mod tests;

pub use fit::{Parameter, PurchaseFit, PurchaseState, Purchases, fit};
pub use groups::{Group, Groups, History};
pub use holdout::{Calibration, Decile, Predictor, Watched, Week, calibrate};
pub use outlook::{Horizons, Outlook, deciles};
pub use purchases::Churn;
pub use report::{PurchaseReport, Report, SpendReport};
pub use spend::{Spend, SpendFit, SpendState, Spender, fit as fit_spend};
