//! What offers are made from, and how good they are, as lines for people.

use std::fmt::{Result, Write as _};

use indicatif::HumanCount;

use crate::affinity::{Measured, Report};

/// The lines of an affinity.
pub(super) fn write(text: &mut String, report: &Report) -> Result {
    let [customers, with, offers, items, associations] =
        [report.customers, report.customers_with_offers, report.offers, report.items, report.associations]
            .map(|count| HumanCount(count).to_string());
    writeln!(text, "\nOffers {} for {with} of {customers} customers: {offers} offers", report.affinity)?;
    writeln!(text, "  {:<10}{associations} associations of {items} items", "made from")?;
    let Some(Measured { offers, customers, hit_rate, popular_hit_rate, .. }) = &report.measured else { return Ok(()) };
    let customers = HumanCount(*customers);
    let [hits, popular] = [hit_rate, popular_hit_rate].map(|rate| format!("{:.1}%", 100.0 * rate));
    writeln!(
        text,
        "  {:<10}{hits} of {customers} customers bought one of {offers} offers on their last day; {popular} one of the {offers} most popular items",
        "hit rate"
    )
}
