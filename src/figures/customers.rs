//! Figures of all customers, from the profile: the headline with its trends, channels, engagement, and lifetime value.

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type};
use datafusion::logical_expr::{Expr, lit};

use super::declared::{Declared, Profile};
use super::past::{Past, Totals};
use super::read::{Group, Tables, Value, column, how_many, rows, total};
use super::types::{Amount, Breakdown, Channel, Figure, Headline, LifetimeValue, Tenth};
use crate::config::{self, ReportedChannel};
use crate::error::{Error, Result};
use crate::manifest::Commit;

/// The most values of a column that are told one by one; the rest are told together.
const MOST_VALUES: usize = 20;
/// What the rest are called.
const OTHERS: &str = "others";
/// Parts into which the customers are divided by what they are worth.
const TENTHS: u64 = 10;

/// The figure that a column of a query is.
type Take = fn(&mut Totals, usize, &Value);

/// What is known of all customers of a publication.
///
/// # Errors
/// As its files cannot be read.
pub async fn totals(tables: &Tables<'_>, commit: &Commit, declared: &Declared<'_>) -> Result<Totals> {
    let channels = declared.report().channels.len();
    let none = || vec![None; channels];
    let known = commit.customers;
    let mut totals =
        Totals { customers: known, reachable: none(), consented: none(), sent: none(), responses: none(), ..Totals::default() };
    let Some(profile) = declared.profile(tables, commit).await? else { return Ok(totals) };
    let mut asked: Vec<(Expr, usize, Take)> = vec![(rows(), 0, |totals, _, value| totals.customers = Some(value.count()))];
    if let Some(revenue) = declared.revenue().filter(|column| profile.is_exact(column)) {
        asked.push((total(revenue, "revenue"), 0, |totals, _, value| totals.revenue = value.amount()));
    }
    let is_told = |column: &str| profile.is_flag(column) || profile.is_exact(column);
    if let Some(buyers) = declared.report().buyers.as_ref().filter(|buyers| is_told(&buyers.value)) {
        let is_flag = profile.is_flag(&buyers.value);
        let condition = if is_flag { column(&buyers.value) } else { column(&buyers.value).gt(lit(0_i64)) };
        asked.push((how_many(condition, "buyers")?, 0, |totals, _, value| totals.buyers = Some(value.count())));
    }
    for (at, channel) in declared.report().channels.values().enumerate() {
        asked.extend(of_channel(&profile, at, channel)?);
    }
    let (measures, takes): (Vec<Expr>, Vec<(usize, Take)>) = asked.into_iter().map(|(expr, at, take)| (expr, (at, take))).unzip();
    for group in profile.rows.grouped(Vec::new(), measures).await? {
        for (value, (at, take)) in group.measures.iter().zip(&takes) {
            take(&mut totals, *at, value);
        }
    }
    // Nobody has spent nothing.
    if totals.customers == Some(0) && totals.revenue.is_none() && declared.revenue().is_some() {
        totals.revenue = Some(Amount { unscaled: 0, scale: 0 });
    }
    Ok(totals)
}

/// What is counted and summed of a channel.
fn of_channel(profile: &Profile, at: usize, channel: &ReportedChannel) -> Result<Vec<(Expr, usize, Take)>> {
    let mut asked: Vec<(Expr, usize, Take)> = Vec::new();
    let is_flag = |column: &str| profile.is_flag(column);
    if is_flag(&channel.allowed.value) {
        let counted = how_many(column(&channel.allowed.value), &format!("allowed {at}"))?;
        asked.push((counted, at, |totals, at, value| totals.reachable[at] = Some(value.count())));
    }
    if let Some(consent) = channel.consent.as_ref().filter(|consent| is_flag(&consent.value)) {
        let counted = how_many(column(&consent.value), &format!("consent {at}"))?;
        asked.push((counted, at, |totals, at, value| totals.consented[at] = Some(value.count())));
    }
    if let Some(sent) = channel.sent.as_ref().filter(|sent| profile.is_exact(&sent.value)) {
        asked.push((total(&sent.value, &format!("sent {at}")), at, |totals, at, value| totals.sent[at] = Some(value.count())));
    }
    if let Some(responses) = channel.responses.as_ref().filter(|responses| profile.is_exact(&responses.value)) {
        let summed = total(&responses.value, &format!("responses {at}"));
        asked.push((summed, at, |totals, at, value| totals.responses[at] = Some(value.count())));
    }
    Ok(asked)
}

/// The figures at the top of the report.
pub fn headline(declared: &Declared<'_>, days: &[Past]) -> Vec<Headline> {
    let mut lines = Vec::new();
    let mut add = |label: String, meaning: Option<String>, value: &dyn Fn(&Totals) -> Option<Figure>| {
        let values: Vec<Option<Figure>> = days.iter().map(|day| value(&day.totals)).collect();
        if values.last().is_some_and(Option::is_some) {
            lines.push(Headline { label, meaning, values, more_is_better: true });
        }
    };
    add("Customers".to_owned(), None, &|totals| totals.customers.map(Figure::Count));
    if let Some(buyers) = &declared.report().buyers {
        add("Buyers".to_owned(), declared.meaning(&buyers.value), &|totals| totals.buyers.map(Figure::Count));
    }
    if let Some(revenue) = declared.revenue() {
        add("Revenue".to_owned(), declared.meaning(revenue), &|totals| totals.revenue.map(Figure::Amount));
    }
    for (at, (channel, said)) in declared.report().channels.iter().enumerate() {
        let label = format!("Reachable by {}", in_words(*channel));
        add(label, declared.meaning(&said.allowed.value), &|totals| totals.reachable[at].map(Figure::Count));
    }
    lines
}

/// A channel as people call it.
fn in_words(channel: config::Channel) -> &'static str {
    match channel {
        config::Channel::Email => "e-mail",
        config::Channel::Sms => "SMS",
        config::Channel::Post => "post",
        config::Channel::Web => "the web",
        config::Channel::None => "no channel",
    }
}

/// The channels, with why they may not reach some customers.
///
/// # Errors
/// As the profile cannot be read.
pub async fn channels(declared: &Declared<'_>, profile: Option<&Profile>, days: &[Past]) -> Result<Vec<Channel>> {
    let today = days.last().map(|day| day.totals.clone()).unwrap_or_default();
    let mut channels = Vec::new();
    for (at, (channel, said)) in declared.report().channels.iter().enumerate() {
        let mut refusals = Vec::new();
        if let (Some(reason), Some(profile)) = (&said.refused_because, profile)
            && profile.has(&reason.value)
        {
            let groups = profile.rows.clone().grouped(vec![column(&reason.value)], vec![rows()]).await?;
            refusals = largest(groups);
        }
        let of = |values: &[Option<u64>]| values.get(at).copied().flatten();
        channels.push(Channel {
            name: channel.to_string(),
            reachable: days.iter().map(|day| of(&day.totals.reachable)).collect(),
            consented: of(&today.consented),
            refusals,
            sent: of(&today.sent),
            responses: of(&today.responses),
        });
    }
    Ok(channels)
}

/// The values of groups with their rows, the largest first; past a number of them the rest together. What is not known is left out.
fn largest(groups: Vec<Group>) -> Vec<(String, u64)> {
    let known = groups.into_iter().filter_map(|group| Some((group.keys.first()?.text()?, group.measures.first()?.count())));
    let mut values: Vec<(String, u64)> = known.collect();
    values.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    if values.len() > MOST_VALUES {
        let rest = values.split_off(MOST_VALUES - 1);
        values.push((OTHERS.to_owned(), rest.iter().map(|(_, customers)| customers).sum()));
    }
    values
}

/// How engaged customers are, and were on the day before.
///
/// # Errors
/// As the profiles cannot be read.
pub async fn engagement(declared: &Declared<'_>, profile: Option<&Profile>, before: Option<&Profile>) -> Result<Option<Breakdown>> {
    let Some((named, profile)) = declared.report().engagement.as_ref().zip(profile).filter(|(named, profile)| profile.has(&named.value))
    else {
        return Ok(None);
    };
    let count = async |profile: &Profile| {
        let groups = profile.rows.clone().grouped(vec![column(&named.value)], vec![rows()]).await?;
        Ok::<_, Error>(largest(groups))
    };
    let today = count(profile).await?;
    let earlier = match before.filter(|before| before.has(&named.value)) {
        Some(before) => Some(count(before).await?),
        None => None,
    };
    let order = |value: &String| declared.accepted(&named.value).iter().position(|accepted| accepted == value).unwrap_or(usize::MAX);
    let mut levels: Vec<String> = today.iter().chain(earlier.iter().flatten()).map(|(value, _)| value.clone()).collect();
    levels.sort_by(|one, other| order(one).cmp(&order(other)).then_with(|| one.cmp(other)));
    levels.dedup();
    let of = |counts: &[(String, u64)], value: &str| counts.iter().find(|(name, _)| name == value).map_or(0, |(_, customers)| *customers);
    let values = levels.into_iter().map(|value| {
        let (now, then) = (of(&today, &value), earlier.as_ref().map(|earlier| of(earlier, &value)));
        (value, now, then)
    });
    Ok(Some(Breakdown { column: named.value.clone(), description: declared.meaning(&named.value), values: values.collect() }))
}

/// What customers are expected to be worth.
///
/// # Errors
/// As the profile cannot be read.
pub async fn lifetime_value(declared: &Declared<'_>, profile: Option<&Profile>) -> Result<Option<LifetimeValue>> {
    let Some((named, profile)) =
        declared.report().lifetime_value.as_ref().zip(profile).filter(|(named, profile)| profile.is_exact(&named.value))
    else {
        return Ok(None);
    };
    let of = column(&named.value);
    let counted = vec![how_many(of.clone().is_not_null(), "known")?, total(&named.value, "total")];
    let groups = profile.rows.clone().grouped(Vec::new(), counted).await?;
    let (customers, all) = groups.first().map_or((0, None), |group| (group.measures[0].count(), group.measures[1].amount()));
    let (Some(all), true) = (all, customers > 0) else { return Ok(None) };
    let sorted = profile
        .rows
        .clone()
        .then(|rows| rows.select(vec![of.clone()])?.filter(of.clone().is_not_null())?.sort(vec![of.sort(false, false)]))?;
    let scale = i8::try_from(all.scale).unwrap_or(0);
    let (mut tenths, mut at) = (Vec::<Tenth>::new(), 0_u64);
    sorted
        .each(|batch| {
            let values = cast(batch.column(0), &DataType::Decimal128(38, scale)).map_err(|error| Error::defect(error.to_string()))?;
            for value in values.as_primitive::<Decimal128Type>().iter().flatten() {
                let tenth = tenth_of(at, customers);
                if tenths.len() <= tenth {
                    tenths.resize(tenth + 1, Tenth { customers: 0, total: Amount { unscaled: 0, scale: all.scale } });
                }
                tenths[tenth].customers += 1;
                tenths[tenth].total.unscaled += value;
                at += 1;
            }
            Ok(())
        })
        .await?;
    tenths.retain(|tenth| tenth.customers > 0);
    let description = declared.meaning(&named.value);
    Ok(Some(LifetimeValue { column: named.value.clone(), description, customers, total: all, tenths }))
}

/// In which tenth a place among so many customers is, from 0: as SQL's `ntile(10)` divides them, the first tenths have one more.
fn tenth_of(place: u64, customers: u64) -> usize {
    let (each, larger) = (customers / TENTHS, customers % TENTHS);
    let in_larger = larger * (each + 1);
    let tenth = if place < in_larger { place / (each + 1) } else { larger + (place - in_larger) / each.max(1) };
    usize::try_from(tenth).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_as_ntile_divides() {
        let sizes = |customers: u64| {
            let mut sizes = [0_u64; 10];
            (0..customers).for_each(|place| sizes[tenth_of(place, customers)] += 1);
            sizes
        };
        assert_eq!(sizes(10), [1; 10]);
        assert_eq!(sizes(13), [2, 2, 2, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(sizes(3), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(sizes(99), [10, 10, 10, 10, 10, 10, 10, 10, 10, 9]);
    }
}
