//! k-means, its labels and the number of groups, held against what is computed in the plainest way.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;

const LIMITS: Limits = Limits { tolerance: 0.0, most_rounds: 300, threads: 1 };

/// Rows about some places.
fn about(places: &[[f64; 2]], of_each: usize, seed: u64) -> Points {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut values = Vec::new();
    for _ in 0..of_each {
        for place in places {
            values.extend(place.iter().map(|value| value + random.random::<f64>() - 0.5));
        }
    }
    Points { width: 2, values }
}

fn square(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum()
}

/// Every row is with the nearest mean, which is the mean of its rows, and the inertia is what it says.
fn is_settled(points: &Points, found: &Clustering) {
    let width = points.width;
    let centre = |of: usize| &found.centres[of * width..(of + 1) * width];
    let mut inertia = 0.0;
    for row in 0..points.rows() {
        let own = square(points.row(row), centre(found.of[row] as usize));
        inertia += own;
        assert!((found.distances[row].powi(2) - own).abs() < 1e-9);
        for other in 0..found.sizes.len() {
            assert!(own <= square(points.row(row), centre(other)) + 1e-9, "row {row} is nearer to {other}");
        }
    }
    assert!((inertia - found.inertia).abs() <= 1e-9 * inertia.max(1.0));
    for (of, size) in found.sizes.iter().enumerate() {
        let rows: Vec<usize> = (0..points.rows()).filter(|row| found.of[*row] as usize == of).collect();
        assert_eq!(rows.len() as u64, *size);
        assert!(!rows.is_empty());
        for column in 0..width {
            let mean = rows.iter().map(|row| points.row(*row)[column]).sum::<f64>() / f64::from(u32::try_from(rows.len()).unwrap());
            assert!((mean - centre(of)[column]).abs() < 1e-9);
        }
    }
}

proptest! {
    #[test]
    fn what_k_means_ends_with_is_settled(
        values in prop::collection::vec(-4_i8..4, 2..120), width in 1_usize..4, groups in 1_usize..12, seed in 0_u64..50,
    ) {
        let rows = values.len() / width;
        prop_assume!(rows > 0);
        let points = Points { width, values: values[..rows * width].iter().map(|value| f64::from(*value)).collect() };
        let found = best_of(&points, &Starts { groups, starts: 2, seed }, &LIMITS);
        let mut distinct: Vec<&[u8]> = Vec::new();
        let bytes: Vec<Vec<u8>> = (0..rows).map(|row| points.row(row).iter().flat_map(|value| value.to_bits().to_le_bytes()).collect()).collect();
        for row in &bytes {
            if !distinct.contains(&row.as_slice()) {
                distinct.push(row);
            }
        }
        prop_assert_eq!(found.sizes.len(), groups.min(distinct.len()), "as many groups as there are different rows for");
        prop_assert!(found.has_converged);
        is_settled(&points, &found);
    }
}

#[test]
fn any_number_of_threads_finds_the_same() {
    let points = about(&[[0.0, 0.0], [1.0, 0.3], [0.2, 1.1]], 20_000, 5);
    let starts = Starts { groups: 5, starts: 2, seed: 3 };
    let on = |threads| best_of(&points, &starts, &Limits { threads, tolerance: 1e-4, ..LIMITS });
    let one = on(1);
    for threads in [2, 5] {
        let other = on(threads);
        assert_eq!(one, other);
        assert_eq!(one.inertia.to_bits(), other.inertia.to_bits());
    }
}

#[test]
fn places_that_are_apart_are_found_and_their_number_too() {
    let points = about(&[[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]], 50, 1);
    let every: Vec<usize> = (0..points.rows()).collect();
    let found = find(&points, &Wanted { least: 2, most: 7, starts: 5, seed: 1 }, None, &every, &LIMITS).unwrap();
    assert_eq!((found.clustering.sizes.as_slice(), found.is_continued), ([50, 50, 50, 50].as_slice(), false));
    assert!(found.silhouette.unwrap() > 0.85);
    assert_eq!(found.tried.iter().map(|tried| tried.groups).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
}

#[test]
fn fewer_different_rows_than_groups_make_as_many_groups_as_there_are() {
    let points = Points { width: 1, values: vec![2.0, 2.0, 7.0] };
    let found = find(&points, &Wanted { least: 4, most: 9, starts: 3, seed: 1 }, None, &[0, 1, 2], &LIMITS).unwrap();
    assert_eq!((found.clustering.sizes.len(), found.clustering.inertia, found.tried.len()), (2, 0.0, 1));
    let one = Points { width: 3, values: vec![0.0; 3] };
    let found = find(&one, &Wanted { least: 2, most: 2, starts: 1, seed: 1 }, None, &[0], &LIMITS).unwrap();
    assert_eq!((found.clustering.sizes.as_slice(), found.silhouette), ([1].as_slice(), None), "one customer is one group");
}

#[test]
fn a_silhouette_is_the_one_that_the_definition_gives() {
    let points = Points { width: 1, values: vec![0.0, 1.0, 5.0, 7.0] };
    // 0: within 1, apart 6; 1: 1 and 5; 5: 2 and 4.5; 7: 2 and 6.5.
    let wanted = (5.0 / 6.0 + 4.0 / 5.0 + 2.5 / 4.5 + 4.5 / 6.5) / 4.0;
    let found = silhouette(&points, &[vec![0, 0, 1, 1], vec![0, 0, 0, 0], vec![0, 1, 1, 1]], 2);
    assert!((found[0].unwrap() - wanted).abs() < 1e-12);
    assert_eq!(found[1], None);
    // Who is alone counts as 0.
    let wanted = (0.0 + (1.0 - 5.0) / 5.0 + (5.0 - 3.0) / 5.0 + (7.0 - 4.0) / 7.0) / 4.0;
    assert!((found[2].unwrap() - wanted).abs() < 1e-12);
}

/// A clustering with these groups, and nothing else that counts.
fn grouped(of: &[u32]) -> Clustering {
    let groups = of.iter().max().map_or(0, |most| *most as usize + 1);
    let sizes = (0..groups).map(|group| of.iter().filter(|of| **of as usize == group).count() as u64).collect();
    let centres = (0..u32::try_from(groups).unwrap()).map(f64::from).collect();
    Clustering { of: of.to_vec(), distances: vec![0.0; of.len()], centres, sizes, inertia: 0.0, rounds: 1, has_converged: true }
}

fn told(of: &[u32], former: &Former) -> Vec<(u64, Change, u64, Option<u64>)> {
    label(&grouped(of), 1, Some(former)).iter().map(|fate| (fate.label, fate.change, fate.shared, fate.other)).collect()
}

#[test]
fn the_first_labels_go_by_size() {
    let fates = label(&grouped(&[0, 1, 1, 2, 2, 2]), 1, None);
    assert_eq!(fates.iter().map(|fate| (fate.label, fate.group)).collect::<Vec<_>>(), [(1, Some(2)), (2, Some(1)), (3, Some(0))]);
    // Of equal ones, the centre that comes first.
    assert_eq!(label(&grouped(&[0, 1, 1, 0]), 1, None)[0].group, Some(0));
}

#[test]
fn labels_stay_with_the_members() {
    let old = |of: &[u32]| of.iter().map(|of| Some(*of)).collect::<Vec<_>>();
    let former = Former { sizes: vec![(2, 4), (7, 3)], of: old(&[0, 0, 0, 0, 1, 1, 1]), highest: 9 };
    assert_eq!(told(&[1, 1, 1, 0, 0, 0, 0], &former), [(2, Change::Kept, 3, None), (7, Change::Kept, 3, None)]);
    // The greater part keeps the number; the other is a split, with a number that none has had.
    assert_eq!(
        told(&[0, 0, 0, 1, 2, 2, 2], &former),
        [(2, Change::Kept, 3, None), (7, Change::Kept, 3, None), (10, Change::Split, 0, Some(2))]
    );
    // Both in one: the one whose members are more.
    assert_eq!(told(&[0; 7], &former), [(2, Change::Kept, 4, None), (7, Change::Died, 0, Some(2))]);
}

#[test]
fn strangers_are_a_new_group_and_who_is_gone_is_told() {
    let former = Former { sizes: vec![(1, 5)], of: vec![None, None, None], highest: 4 };
    assert_eq!(told(&[0, 0, 1], &former), [(1, Change::Died, 0, None), (5, Change::Born, 0, None), (6, Change::Born, 0, None)]);
}

#[test]
fn a_group_that_shares_too_few_members_is_not_the_same() {
    // Two of eight, and none has most of its members from one.
    let former = Former { sizes: vec![(1, 4), (2, 4)], of: [0, 0, 0, 0, 1, 1, 1, 1].map(Some).to_vec(), highest: 2 };
    let fates = told(&[0, 1, 2, 3, 0, 1, 2, 3], &former);
    assert!(fates.iter().all(|(_, change, _, _)| matches!(change, Change::Born | Change::Died)), "{fates:?}");
    assert_eq!(fates.iter().map(|fate| fate.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn groups_of_before_go_on_unless_others_are_clearly_better() {
    // A ring has no groups of its own, so where k-means starts decides.
    let ring: Vec<f64> = (0..360).map(f64::from).flat_map(|angle| [angle.to_radians().cos(), angle.to_radians().sin()]).collect();
    let points = Points { width: 2, values: ring };
    let every: Vec<usize> = (0..360).collect();
    let wanted = Wanted { least: 3, most: 3, starts: 3, seed: 1 };
    let turned: Vec<Option<u32>> = (0..360).map(|angle: u32| Some((angle + 77) % 360 / 120)).collect();
    let former = Former { sizes: vec![(1, 120), (2, 120), (3, 120)], of: turned.clone(), highest: 3 };
    let found = find(&points, &wanted, Some(&former), &every, &LIMITS).unwrap();
    assert!(found.is_continued);
    let kept: u64 = label(&found.clustering, 2, Some(&former)).iter().map(|fate| fate.shared).sum();
    assert!(kept >= 357, "only {kept} of 360 stay where they were");
    // Places that are apart are not given up for groups that cut through them.
    let points = about(&[[0.0, 0.0], [9.0, 0.0], [90.0, 0.0]], 40, 2);
    let every: Vec<usize> = (0..120).collect();
    let of = (0..120_u32).map(|row| Some(if row % 3 == 2 { 1 + row / 3 % 2 } else { 0 })).collect();
    let former = Former { sizes: vec![(1, 80), (2, 20), (3, 20)], of, highest: 3 };
    let found = find(&points, &wanted, Some(&former), &every, &LIMITS).unwrap();
    assert!(!found.is_continued && found.clustering.sizes == [40, 40, 40]);
}
