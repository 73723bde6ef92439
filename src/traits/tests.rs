//! Traits against a reckoning that keeps every row, and what is told of few.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small numbers")]
#![allow(clippy::float_cmp, reason = "numbers that are all the same are so to the last bit")]

use proptest::prelude::*;

use super::*;

/// A customer: the groups, a number, yes or no, and a text.
#[derive(Debug, Clone)]
struct Customer {
    groups: Vec<u16>,
    number: Option<f64>,
    flag: Option<bool>,
    text: Option<String>,
}

const KINDS: [ColumnKind; 3] = [ColumnKind::Number, ColumnKind::Flag, ColumnKind::Category];

fn add(tally: &mut Tally, customers: &[Customer]) {
    let mut rows = RowGroups::default();
    for customer in customers {
        rows.push(customer.groups.iter().copied());
    }
    tally.count(&rows);
    for column in &mut tally.columns {
        for (customer, groups) in customers.iter().zip(rows.rows()) {
            match column {
                ColumnTally::Number(numbers) => numbers.add(customer.number, groups),
                ColumnTally::Flag(flags) => flags.add(customer.flag, groups),
                ColumnTally::Category(categories) => categories.add(customer.text.as_deref(), groups),
            }
        }
    }
}

/// Counted in batches of so many customers.
fn tally(groups: usize, customers: &[Customer], batch: usize) -> Tally {
    let mut tally = Tally::new(groups, &KINDS);
    customers.chunks(batch).for_each(|customers| add(&mut tally, customers));
    tally
}

/// The values of a column as numbers: a value is 1 for who has it and 0 for the others. None where it is not known.
type Indicator<'a> = &'a dyn Fn(&Customer) -> Option<f64>;

/// What is known of the members of a group or of everybody.
fn known(customers: &[Customer], group: Option<u16>, of: Indicator) -> Vec<f64> {
    let members = customers.iter().filter(|customer| group.is_none_or(|group| customer.groups.contains(&group)));
    members.filter_map(of).collect()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// Mean of the group, mean of everybody, and the standardised difference, from all values in two passes.
fn expected(customers: &[Customer], group: u16, of: Indicator, prior: f64) -> [f64; 3] {
    let (members, everybody) = (known(customers, Some(group), of), known(customers, None, of));
    let (of_group, of_everybody) = (mean(&members), mean(&everybody));
    let variance = mean(&everybody.iter().map(|number| (number - of_everybody).powi(2)).collect::<Vec<_>>());
    let count = members.len() as f64;
    [of_group, of_everybody, (of_group - of_everybody) / variance.sqrt() * (count / (count + prior))]
}

fn customers(least: usize) -> impl Strategy<Value = Vec<Customer>> {
    let groups = prop::collection::btree_set(0..4_u16, 0..4);
    let number = prop::option::weighted(0.8, (-50..50_i32).prop_map(|number| f64::from(number) / 4.0));
    let text = prop::option::weighted(0.9, prop::sample::select(vec!["de", "fr", "nl", "uk"]));
    let customer = (groups, number, prop::option::of(any::<bool>()), text).prop_map(|(groups, number, flag, text)| Customer {
        groups: groups.into_iter().collect(),
        number,
        flag,
        text: text.map(str::to_owned),
    });
    prop::collection::vec(customer, least..120)
}

proptest! {
    #[test]
    fn traits_are_those_of_a_reckoning_that_keeps_every_row(
        customers in customers(0), minimum_members in 1..30_u64, prior_members in 0..20_u32, batch in 1..50_usize,
    ) {
        let discretion = Discretion { minimum_members, prior_members: f64::from(prior_members) };
        let counted = tally(4, &customers, batch);
        let traits = counted.traits(&discretion);
        prop_assert_eq!(&traits, &tally(4, &customers, 1).traits(&discretion), "however rows are batched");
        let few = |count: usize| count > 0 && (count as u64) < minimum_members;
        let mut told = 0;
        for group in 0..4_u16 {
            let members = known(&customers, Some(group), &|_| Some(1.0)).len();
            let is_told = members > 0 && !few(members) && !few(customers.len() - members);
            prop_assert_eq!(counted.is_told(group, &discretion), is_told);
            let of_group: Vec<&Trait> = traits.iter().filter(|found| found.group == group).collect();
            if !is_told {
                prop_assert!(of_group.is_empty());
                continue;
            }
            let number = |customer: &Customer| customer.number;
            let flag = |customer: &Customer| customer.flag.map(|flag| f64::from(u8::from(flag)));
            let texts = ["de", "fr", "nl", "uk"].map(|text| move |customer: &Customer| customer.text.as_ref().map(|own| f64::from(u8::from(own == text))));
            let mut columns: Vec<(usize, Option<&str>, Indicator)> = vec![(0, None, &number), (1, None, &flag)];
            columns.extend(["de", "fr", "nl", "uk"].into_iter().zip(&texts).map(|(text, of)| (2, Some(text), of as Indicator)));
            for (column, text, of) in columns {
                let (members_known, all) = (known(&customers, Some(group), of), known(&customers, None, of));
                let with = |numbers: &[f64]| numbers.iter().filter(|number| **number > 0.0).count();
                let is_withheld = column > 0 && [with(&all), with(&members_known), with(&all) - with(&members_known)].into_iter().any(few);
                let is_constant = all.iter().all(|number| *number == all[0]);
                let is_expected = !members_known.is_empty() && !few(members_known.len()) && !few(all.len() - members_known.len())
                    && !is_withheld && !is_constant;
                let found = of_group.iter().find(|found| found.column == column && value(found) == text);
                prop_assert_eq!(found.is_some(), is_expected, "group {} column {} {:?}", group, column, text);
                let Some(found) = found else { continue };
                told += 1;
                let [of_members, of_everybody, difference] = expected(&customers, group, of, discretion.prior_members);
                prop_assert_eq!((found.members, found.members_known), (members as u64, members_known.len() as u64));
                prop_assert!((found.standardised_difference - difference).abs() < 1e-9);
                let (a, b) = match found.difference {
                    Difference::Mean { of_group, of_everybody } => (of_group, of_everybody),
                    Difference::Share { of_group, of_everybody, lift, .. } => {
                        let n = members_known.len() as f64;
                        let shrunk = (with(&members_known) as f64 + discretion.prior_members * of_everybody) / (n + discretion.prior_members);
                        prop_assert!((lift - shrunk / of_everybody).abs() < 1e-9);
                        (of_group, of_everybody)
                    }
                };
                prop_assert!((a - of_members).abs() < 1e-9 && (b - of_everybody).abs() < 1e-9);
            }
            let strengths: Vec<f64> = of_group.iter().map(|found| found.standardised_difference.abs()).collect();
            prop_assert!(strengths.is_sorted_by(|one, other| one >= other));
            let ranks: Vec<u32> = of_group.iter().map(|found| found.rank).collect();
            prop_assert_eq!(ranks, (1..=of_group.len() as u32).collect::<Vec<_>>());
        }
        prop_assert_eq!(told, traits.len(), "nothing else is told");
    }
}

fn value(found: &Trait) -> Option<&str> {
    match &found.difference {
        Difference::Share { value, .. } => value.as_deref(),
        Difference::Mean { .. } => None,
    }
}

/// So many customers with a text, of whom the first ones are in group 0.
fn with_text(text: &str, count: usize, members: usize) -> Vec<Customer> {
    let groups = |at: usize| if at < members { vec![0] } else { Vec::new() };
    (0..count).map(|at| Customer { groups: groups(at), number: None, flag: None, text: Some(text.to_owned()) }).collect()
}

fn values_told(customers: &[Customer]) -> Vec<String> {
    let traits = tally(1, customers, 7).traits(&Discretion::default());
    let mut values: Vec<String> = traits.iter().filter_map(value).map(str::to_owned).collect();
    values.sort();
    values
}

#[test]
fn values_of_few_are_not_told_in_a_group_outside_it_or_of_everybody() {
    let most = with_text("common", 100, 40);
    let told = |other: Vec<Customer>| values_told(&[most.clone(), other].concat());
    assert_eq!(told(with_text("other", 30, 20)), ["common", "other"]);
    assert_eq!(told(with_text("other", 30, 0)), ["common", "other"], "that nobody has it tells of nobody");
    assert_eq!(told(with_text("other", 9, 0)), ["common"], "nine customers have it");
    assert_eq!(told(with_text("other", 30, 9)), ["common"], "nine members have it");
    assert_eq!(told(with_text("other", 30, 21)), ["common"], "nine have it who are not members");
}

#[test]
fn traits_that_are_equally_strong_come_in_order_of_their_texts() {
    let texts = ["fig", "ash", "elm", "yew", "oak", "bay"];
    let customers: Vec<Customer> = texts.iter().flat_map(|text| with_text(text, 40, 20)).collect();
    let traits = tally(1, &customers, 7).traits(&Discretion::default());
    assert_eq!(traits.iter().filter_map(value).collect::<Vec<_>>(), ["ash", "bay", "elm", "fig", "oak", "yew"]);
}

#[test]
fn a_column_with_more_texts_than_are_counted_is_left_out_in_any_order() {
    let mut customers: Vec<Customer> = (0..=MOST_VALUES).flat_map(|at| with_text(&format!("text {at}"), 40, 20)).collect();
    for _ in 0..2 {
        let counted = tally(1, &customers, 100);
        assert_eq!(counted.columns_with_too_many_values().collect::<Vec<_>>(), [2]);
        assert!(counted.traits(&Discretion::default()).is_empty());
        customers.reverse();
    }
    customers.truncate(40 * MOST_VALUES);
    assert_eq!(values_told(&customers).len(), MOST_VALUES);
}

#[test]
fn large_numbers_that_are_nearly_alike_lose_nothing() {
    let customer = |at: i32| Customer {
        groups: if at % 2 == 0 { vec![0] } else { Vec::new() },
        number: Some(1e12 + f64::from(at % 2)),
        flag: None,
        text: None,
    };
    let customers: Vec<Customer> = (0..1000).map(customer).collect();
    let traits = tally(1, &customers, 64).traits(&Discretion { prior_members: 0.0, ..Discretion::default() });
    assert_eq!(traits.len(), 1);
    assert!((traits[0].standardised_difference + 1.0).abs() < 1e-12);
    // Numbers without a finite variance, or without any, tell nothing.
    for number in [f64::MAX, f64::NAN, f64::INFINITY, 7.0] {
        let changed: Vec<Customer> = customers
            .iter()
            .enumerate()
            .map(|(at, customer)| Customer {
                number: Some(if at % 3 == 0 && number > 1e300 { -number } else { number }),
                ..customer.clone()
            })
            .collect();
        assert_eq!(tally(1, &changed, 64).traits(&Discretion::default()), [], "{number}");
    }
}

#[test]
fn traits_are_told_in_words() {
    let mean = |size: f64, of_group: f64, of_everybody: f64| Trait {
        group: 0,
        column: 0,
        members: 20,
        members_known: 20,
        difference: Difference::Mean { of_group, of_everybody },
        standardised_difference: size,
        rank: 1,
    };
    let share = |value: Option<&str>, size: f64, lift: f64, of_group: f64, of_everybody: f64| Trait {
        column: 1,
        difference: Difference::Share { value: value.map(Into::into), of_group, of_everybody, lift },
        ..mean(size, 0.0, 0.0)
    };
    for (found, column, words) in [
        (mean(1.2, 12.43, 3.1), "orders", "orders much higher (12.4, everybody 3.1)"),
        (mean(-0.6, 8.0, 12_345.6), "spent", "spent lower (8, everybody 12,346)"),
        (mean(0.3, -0.25, -0.0), "margin", "margin somewhat higher (-0.25, everybody 0)"),
        (mean(0.1, 0.001_234, 99.96), "rate", "rate about the same (0.0012, everybody 100)"),
        (mean(0.9, 2e20, 0.000_01), "weight", "weight much higher (2.0e20, everybody 1.0e-5)"),
        (share(Some("Germany"), 0.9, 4.2, 0.31, 0.07), "country", "country Germany 4.2 times as often (31%, everybody 7%)"),
        (share(None, 0.7, 1.3, 0.8, 0.61), "can_email", "can_email more often (80%, everybody 61%)"),
        (share(None, -0.7, 0.3, 0.2, 0.615), "can_email", "can_email less often (20%, everybody 61.5%)"),
        (share(None, -0.1, 0.9, 0.5, 0.55), "can_email", "can_email about as often (50%, everybody 55%)"),
        (share(Some(""), -0.1, 0.6, 0.0, 0.01), "city", "city blank never (0%, everybody 1%)"),
    ] {
        assert_eq!(found.description(column), words);
    }
    let traits = [mean(1.2, 12.0, 3.0), share(Some("a"), 0.9, 4.0, 0.4, 0.1), share(Some("b"), -0.5, 0.5, 0.1, 0.2), mean(0.1, 1.0, 1.0)];
    let name = |column: usize| ["orders", "country"][column];
    let told = "orders much higher (12, everybody 3); country a 4 times as often (40%, everybody 10%)";
    assert_eq!(group_description(&traits, name, 3).as_deref(), Some(told), "each column once, and no weak one");
    assert_eq!(group_description(&traits, name, 1).as_deref(), Some("orders much higher (12, everybody 3)"));
    assert_eq!(group_description(&traits[3..], name, 3), None);
}
