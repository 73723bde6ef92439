//! Offers by hand, and what holds of all of them.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "small numbers")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SETTINGS: Settings = Settings { minimum_support: 2, shrinkage: 0.5, half_life_days: 10.0 };

/// A row as customer, item, day and whether it was returned.
type Said = (u32, u32, i32, bool);

/// The purchases that some rows tell, with customers and items in order.
fn purchases(rows: &[Said], items: u32) -> Purchases {
    let mut purchases = Purchases::default();
    let mut by_customer: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for (customer, item, day, is_returned) in rows.iter().copied() {
        by_customer.entry(customer).or_default().push(Row { item, day, is_returned });
    }
    for rows in by_customer.into_values() {
        for row in rows {
            purchases.add(row);
        }
        purchases.end_customer();
    }
    purchases.renumber(items as usize, &(0..items).map(Some).collect::<Vec<_>>());
    purchases
}

fn associations(purchases: &Purchases, extent: Extent, settings: Settings) -> (Counts, Associations) {
    let counts = Counts::of(purchases, extent, settings);
    let mut counter = Counter::new(counts.items());
    let mut associations = Associations::default();
    for item in 0..counts.items() {
        associations.add(&counter.neighbours(&counts, item));
    }
    (counts, associations)
}

/// The offers of every customer.
fn offers(purchases: &Purchases, settings: Settings, most: usize) -> Vec<Vec<Offer>> {
    let (counts, associations) = associations(purchases, Extent::All, settings);
    let (mut scorer, mut history) = (Scorer::new(purchases.items()), History::default());
    let of = |customer: usize| {
        purchases.history(customer, Extent::All, &counts.buyers, settings.minimum_support, &mut history);
        scorer.offers(&history, &associations, &settings, most).to_vec()
    };
    (0..purchases.customers()).map(of).collect()
}

fn hits(purchases: &Purchases, settings: Settings) -> Hits {
    let (counts, associations) = associations(purchases, Extent::BeforeLastDay, settings);
    let popular = popular(&counts.buyers);
    let measurer = Measurer { purchases, buyers: &counts.buyers, popular: &popular, associations: &associations, settings };
    measurer.hits(0..purchases.customers(), &mut Scorer::new(purchases.items()))
}

#[test]
fn an_offer_is_what_was_bought_by_those_who_bought_the_same() {
    // Two customers bought 0, 1 and 2, and one of them bought 3 long before. The last one bought 0 today and 3 ten days ago.
    let rows = [
        (0, 0, 10, false),
        (0, 1, 10, false),
        (0, 2, 10, false),
        (1, 0, 10, false),
        (1, 1, 10, false),
        (1, 2, 10, false),
        (1, 3, 1, false),
        (2, 0, 10, false),
        (2, 3, 0, false),
    ];
    let purchases = purchases(&rows, 4);
    let offered = &offers(&purchases, SETTINGS, 10)[2];
    // The customers count 1/3, 1/4 and 1/2, on average 13/36.
    let together = 1.0 / 3.0 + 1.0 / 4.0;
    let strength = |one: f64, other: f64, together: f64| f64::from((together / ((one * other).sqrt() + 0.5 * 13.0 / 36.0)) as f32);
    let with_0 = strength(together + 0.5, together, together);
    // Of the customers of 3, one bought 1: that is too few.
    let score = with_0 / 1.5;
    let expected = [1, 2].map(|item| Offer { item, score, bought_with: 0 });
    assert_eq!(offered.as_slice(), expected);
    assert!((0.2..0.7).contains(&score), "{score}");
    // With less support the old purchase speaks too, for half as much.
    let offered = &offers(&purchases, Settings { minimum_support: 1, ..SETTINGS }, 10)[2];
    let with_3 = strength(0.75, together, 0.25);
    assert_eq!(offered.len(), 2);
    assert!((offered[0].score - (with_0 + 0.5 * with_3) / 1.5).abs() < 1e-12, "{offered:?}");
}

#[test]
fn the_last_days_are_not_known_when_offers_are_measured() {
    // Everybody buys 0 and then 1, but for two who bought both before: what they bought is what the others are measured with.
    let mut rows: Vec<Said> = (0..2).flat_map(|customer| [(customer, 0, 1, false), (customer, 1, 1, false)]).collect();
    rows.extend((2..10).flat_map(|customer| [(customer, 0, 1, false), (customer, 1, 5, false)]));
    // This one buys nothing new, and this one returned what it bought on the only other day.
    rows.extend([(10, 0, 1, false), (10, 0, 2, false), (11, 0, 1, false), (11, 0, 2, true)]);
    let found = hits(&purchases(&rows, 2), SETTINGS);
    assert_eq!(found, Hits { customers: 8, with_offers: 8, with_popular: 8 });
    // Without the two, nobody has bought 1 before the last day.
    let found = hits(&purchases(&rows[4..], 2), SETTINGS);
    assert_eq!(found, Hits { customers: 8, with_offers: 0, with_popular: 0 });
}

#[test]
fn offers_beat_what_is_popular_where_tastes_differ() {
    // Customers of twenty tastes buy items of their own taste, and everybody buys the same twelve.
    let mut rows = Vec::new();
    for customer in 0..400_u32 {
        let taste = customer % 20;
        for at in 0..4 {
            rows.push((customer, 12 + taste * 8 + (customer / 20 + at * 3) % 8, at as i32, false));
            rows.push((customer, (customer * 7 + at) % 12, at as i32, false));
        }
        rows.push((customer, 12 + taste * 8 + (customer / 20 + 5) % 8, 9, false));
    }
    let found = hits(&purchases(&rows, 172), Settings { minimum_support: 3, ..SETTINGS });
    assert!(found.customers >= 200 && found.with_offers * 10 > found.customers * 9, "{found:?}");
    assert!(found.with_popular * 2 < found.with_offers, "{found:?}");
}

#[test]
fn few_purchases_give_no_offers() {
    for (rows, items) in [
        (Vec::new(), 0),
        (vec![(0, 0, 1, false)], 1),
        (vec![(0, 0, 1, true)], 1),
        ((0..50).map(|customer| (customer, 0, 1, false)).collect(), 1),
        ((0..50).map(|item| (0, item, 1, false)).collect(), 50),
        ((0..50).map(|both| (both, both, 1, false)).collect(), 50),
    ] {
        let purchases = purchases(&rows, items);
        assert!(offers(&purchases, SETTINGS, 10).iter().all(Vec::is_empty), "{rows:?}");
        assert_eq!(hits(&purchases, SETTINGS), Hits::default());
    }
}

/// Who has bought everything counts as if it had bought little, and is offered nothing.
#[test]
fn large_baskets_and_catalogues_cost_no_more_than_their_rows() {
    let items = 200_000;
    let mut rows: Vec<Said> = (0..5).flat_map(|customer| (0..items).map(move |item| (customer, item, 1, false))).collect();
    rows.push((9, items - 1, 1, false));
    let purchases = purchases(&rows, items);
    let (counts, associations) = associations(&purchases, Extent::All, Settings { minimum_support: 5, ..SETTINGS });
    assert_eq!(associations.len(), MOST_ITEMS_OF_A_CUSTOMER * super::associations::NEIGHBOURS);
    let mut history = History::default();
    purchases.history(0, Extent::All, &counts.buyers, 5, &mut history);
    // The last item is less rare than the others; of equal ones those with the lower numbers count.
    assert_eq!((history.known.len(), history.evidence.len()), (items as usize, MOST_ITEMS_OF_A_CUSTOMER));
    assert_eq!(history.evidence.last(), Some(&(MOST_ITEMS_OF_A_CUSTOMER as u32 - 1, 1)));
    assert!(offers(&purchases, SETTINGS, 10).iter().take(5).all(Vec::is_empty));
}

#[test]
fn days_that_are_far_apart_are_counted() {
    let rows: Vec<Said> = (0..4).flat_map(|customer| [(customer, 0, i32::MIN, false), (customer, 1, i32::MAX, false)]).collect();
    let more = (8..10).flat_map(|customer| [(customer, 0, i32::MIN, false), (customer, 2, i32::MAX, false)]).collect();
    let purchases = purchases(&[rows, more].concat(), 3);
    let offered = offers(&purchases, SETTINGS, 10);
    // What speaks for the other item was bought so long ago that nothing is left of it.
    assert!(offered.len() == 6 && offered.iter().all(Vec::is_empty), "{offered:?}");
}

fn some_rows() -> impl Strategy<Value = Vec<Said>> {
    let row = (0..12_u32, 0..14_u32, 0..5_i32, prop::bool::weighted(0.1));
    prop::collection::vec(row, 0..120)
}

proptest! {
    #[test]
    fn offers_are_new_and_in_order(rows in some_rows(), support in 1..4_u32, most in 1..6_usize) {
        let purchases = purchases(&rows, 14);
        let settings = Settings { minimum_support: support, ..SETTINGS };
        let offered = offers(&purchases, settings, most);
        let customers: BTreeSet<u32> = rows.iter().map(|row| row.0).collect();
        prop_assert_eq!(offered.len(), customers.len());
        for (customer, offers) in customers.into_iter().zip(&offered) {
            let has = |item: u32| rows.iter().any(|row| row.0 == customer && row.1 == item);
            let returned = |item: u32| rows.iter().any(|row| row.0 == customer && row.1 == item && row.3);
            prop_assert!(offers.len() <= most);
            for offer in offers {
                prop_assert!(!has(offer.item) && has(offer.bought_with) && !returned(offer.bought_with), "{:?}", offer);
                prop_assert!(offer.score > 0.0 && offer.score <= 1.0);
                // As many customers as must have bought both, and did not return either.
                let kept = |customer: u32, item: u32| {
                    let mut of = rows.iter().filter(|row| row.0 == customer && row.1 == item).peekable();
                    of.peek().is_some() && of.all(|row| !row.3)
                };
                let both = (0..12).filter(|other| kept(*other, offer.item) && kept(*other, offer.bought_with)).count();
                prop_assert!(both >= support as usize, "{:?}", offer);
            }
            let is_before = |pair: &[Offer]| pair[0].score > pair[1].score || (pair[0].score >= pair[1].score && pair[0].item < pair[1].item);
            prop_assert!(offers.windows(2).all(is_before), "{:?}", offers);
        }
    }

    #[test]
    fn the_order_of_rows_and_repeated_rows_change_nothing(rows in some_rows(), seed in 0..1000_usize) {
        let mut other = rows.clone();
        other.extend(rows.iter().skip(seed % 7).step_by(3));
        other.reverse();
        let middle = seed % other.len().max(1);
        other.rotate_left(middle);
        let (one, other) = (purchases(&rows, 14), purchases(&other, 14));
        prop_assert_eq!(offers(&one, SETTINGS, 5), offers(&other, SETTINGS, 5));
        prop_assert_eq!(hits(&one, SETTINGS), hits(&other, SETTINGS));
    }

    /// Parts of the work in any order give what one after the other gives.
    #[test]
    fn a_counter_and_a_scorer_forget_what_they_did(rows in some_rows()) {
        let purchases = purchases(&rows, 14);
        let (counts, associations) = associations(&purchases, Extent::All, SETTINGS);
        for item in (0..14).rev() {
            let fresh = Counter::new(14).neighbours(&counts, item);
            prop_assert_eq!(associations.of(item), fresh.as_slice());
            // Two items are associated as strongly in both directions.
            for neighbour in fresh {
                let back = associations.of(neighbour.item as usize).iter().find(|back| back.item as usize == item);
                prop_assert_eq!(back.map(|back| back.strength), Some(neighbour.strength));
            }
        }
        let offered = offers(&purchases, SETTINGS, 3);
        for customer in (0..purchases.customers()).rev() {
            let mut history = History::default();
            purchases.history(customer, Extent::All, &counts.buyers, SETTINGS.minimum_support, &mut history);
            let fresh = Scorer::new(14).offers(&history, &associations, &SETTINGS, 3).to_vec();
            prop_assert_eq!(&offered[customer], &fresh);
        }
    }
}
