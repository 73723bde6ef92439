//! Messages that the shop sends to everybody on its list, and when.

use super::calendar::Calendar;

/// One message to many people.
pub(super) struct Campaign {
    pub(super) name: String,
    pub(super) day: i32,
    pub(super) sms: bool,
}

/// The campaigns of the period: a newsletter and offers each month, more before Christmas, and an
/// offer by text each quarter.
pub(super) fn campaigns(calendar: &Calendar) -> Vec<Campaign> {
    const PLAN: [(i32, &str, bool); 4] =
        [(2, "newsletter", false), (9, "christmas", false), (10, "text-offer", true), (15, "offers", false)];
    let mut campaigns = Vec::new();
    for month in &calendar.months {
        let month_of_year = month.number % 100;
        // A run may start within a month: a campaign stands on its day of the month, not of the run.
        let start = month.first_day - day_of_month(calendar, month.first_day);
        for (day, name, sms) in PLAN {
            let planned = match name {
                "text-offer" => month_of_year % 3 == 0,
                "christmas" => month_of_year >= 11,
                _ => true,
            };
            let day = start + day;
            if planned && month.contains(day) {
                campaigns.push(Campaign { name: format!("{}-{name}", month.label), day, sms });
            }
        }
    }
    campaigns
}

fn day_of_month(calendar: &Calendar, day: i32) -> i32 {
    use chrono::Datelike;
    i32::try_from(calendar.date(day).day0()).unwrap_or(0)
}
