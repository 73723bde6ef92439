//! Channels and consent, and how engaged customers are.

use askama::Template;

use super::amounts::{self, count_number};
use super::charts::bar::bar;
use super::charts::change::{Better, change, of_counts};
use super::charts::sparkline::sparkline;
use super::markup::{Markup, isolated_text};
use super::names;
use super::view::{View, total};
use crate::figures::types::{Breakdown, Channel, Figure};

#[derive(Template)]
#[template(path = "report/channels.html")]
struct Section {
    channels: Vec<Told>,
    reason: Option<String>,
    engagement: Option<Engagement>,
    engagement_reason: Option<String>,
    is_compared: bool,
}

struct Told {
    title: String,
    reachable: Markup,
    share: String,
    bar: Markup,
    change: Markup,
    consented: Markup,
    sent: Markup,
    responses: Markup,
    rate: String,
    trend: Markup,
    refusals: Vec<(String, Markup, String, Markup)>,
}

struct Engagement {
    title: String,
    description: Option<String>,
    rows: Vec<(String, Markup, String, Markup, Markup)>,
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let reason = |words: &[&str]| view.not_told(words).map(|not_told| view.excerpt(&not_told.reason));
    Markup::of(&Section {
        channels: view.figures.channels.iter().map(|channel| told(view, channel)).collect::<Result<_, _>>()?,
        reason: reason(&["channel", "consent", "reach"]),
        engagement: view.figures.engagement.as_ref().map(|engagement| of_engagement(view, engagement)).transpose()?,
        engagement_reason: reason(&["engage"]),
        is_compared: view.has_predecessor(),
    })
}

fn told(view: &View<'_>, channel: &Channel) -> Result<Told, askama::Error> {
    let numbers = &view.numbers;
    let title = names::title(&channel.name);
    let reachable = channel.reachable.last().copied().flatten();
    let refused = total(channel.refusals.iter().map(|(_, customers)| *customers));
    let refusals = channel.refusals.iter().map(|(reason, customers)| {
        let part = amounts::share(*customers, refused);
        let share = if numbers.is_small(*customers) { String::new() } else { numbers.percent(part) };
        Ok((names::title(reason), numbers.group(*customers), share, bar(part)?))
    });
    let values: Vec<Option<f64>> = channel.reachable.iter().map(|reachable| reachable.map(count_number)).collect();
    let earlier = view.earlier(&channel.reachable);
    let rate = channel.responses.zip(channel.sent).filter(|(_, sent)| *sent > 0).map(|(responses, sent)| numbers.share(responses, sent));
    Ok(Told {
        reachable: numbers.maybe(reachable),
        share: reachable.map_or_else(|| super::numbers::NOTHING.to_owned(), |reachable| numbers.share(reachable, view.customers)),
        bar: bar(amounts::share(reachable.unwrap_or(0), view.customers))?,
        change: change(numbers, reachable.map(Figure::Count), earlier.map(Figure::Count), Better::More)?,
        consented: numbers.maybe(channel.consented),
        sent: numbers.maybe(channel.sent),
        responses: numbers.maybe(channel.responses),
        rate: rate.unwrap_or_else(|| super::numbers::NOTHING.to_owned()),
        trend: sparkline(&values, format!("Trend of customers that {} may reach", isolated_text(&title)), false)?,
        refusals: refusals.collect::<Result<_, askama::Error>>()?,
        title,
    })
}

fn of_engagement(view: &View<'_>, engagement: &Breakdown) -> Result<Engagement, askama::Error> {
    let numbers = &view.numbers;
    let all = total(engagement.values.iter().map(|(_, customers, _)| *customers));
    let rows = engagement.values.iter().map(|(value, customers, earlier)| {
        let part = amounts::share(*customers, all);
        let is_small = numbers.is_small(*customers) || earlier.is_some_and(|earlier| numbers.is_small(earlier));
        let moved = if is_small { Markup::default() } else { of_counts(numbers, *customers, *earlier)? };
        let share = if numbers.is_small(*customers) { String::new() } else { numbers.percent(part) };
        Ok((names::title(value), numbers.group(*customers), share, bar(part)?, moved))
    });
    Ok(Engagement {
        title: names::title(&engagement.column),
        description: view.maybe_excerpt(engagement.description.as_deref()),
        rows: rows.collect::<Result<_, askama::Error>>()?,
    })
}
