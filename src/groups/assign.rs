//! The assignment of rows to columns with the greatest sum: the Hungarian method, in the form with shortest paths (Jonker & Volgenant 1987).

/// For each row the column that it is given, so that what stands there adds up to the most; none for rows that are left over. All rows are
/// of one length.
pub(super) fn greatest(weights: &[Vec<i64>]) -> Vec<Option<usize>> {
    let (rows, columns) = (weights.len(), weights.first().map_or(0, Vec::len));
    let size = rows.max(columns);
    let most = weights.iter().flatten().copied().max().unwrap_or(0);
    let cost = |row: usize, column: usize| most - weights.get(row).and_then(|of_row| of_row.get(column)).copied().unwrap_or(0);
    // Rows and columns are counted from 1: column 0 holds the row that is being given a column, and row 0 is nobody.
    let (mut of_row, mut of_column) = (vec![0_i64; size + 1], vec![0_i64; size + 1]);
    let mut given = vec![0_usize; size + 1];
    for row in 1..=size {
        given[0] = row;
        let (mut least, mut before, mut is_done) = (vec![i64::MAX; size + 1], vec![0_usize; size + 1], vec![false; size + 1]);
        let mut column = 0;
        while given[column] != 0 {
            is_done[column] = true;
            let at = given[column];
            let (mut step, mut next) = (i64::MAX, 0);
            for other in (1..=size).filter(|other| !is_done[*other]) {
                let reduced = cost(at - 1, other - 1) - of_row[at] - of_column[other];
                if reduced < least[other] {
                    (least[other], before[other]) = (reduced, column);
                }
                if least[other] < step {
                    (step, next) = (least[other], other);
                }
            }
            for other in 0..=size {
                if is_done[other] {
                    of_row[given[other]] += step;
                    of_column[other] -= step;
                } else if least[other] < i64::MAX {
                    least[other] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            given[column] = given[before[column]];
            column = before[column];
        }
    }
    let mut found = vec![None; rows];
    for (column, row) in given.iter().skip(1).take(columns).enumerate() {
        if *row <= rows {
            found[row - 1] = Some(column);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The greatest sum of all assignments, tried one by one.
    fn tried(weights: &[Vec<i64>], row: usize, taken: &mut Vec<usize>) -> i64 {
        let Some(of_row) = weights.get(row) else { return 0 };
        let mut best = tried(weights, row + 1, taken);
        for (column, weight) in of_row.iter().enumerate() {
            if !taken.contains(&column) {
                taken.push(column);
                best = best.max(weight + tried(weights, row + 1, taken));
                taken.pop();
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_other_assignment_has_a_greater_sum(rows in 1_usize..6, columns in 1_usize..6, numbers in prop::collection::vec(0_i64..9, 36)) {
            let weights: Vec<Vec<i64>> = (0..rows).map(|row| numbers[row * columns..(row + 1) * columns].to_vec()).collect();
            let found = greatest(&weights);
            let mut taken: Vec<usize> = found.iter().flatten().copied().collect();
            prop_assert_eq!(taken.len(), rows.min(columns));
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), rows.min(columns), "a column is given once");
            let sum: i64 = found.iter().enumerate().filter_map(|(row, column)| Some(weights[row][(*column)?])).sum();
            prop_assert_eq!(sum, tried(&weights, 0, &mut Vec::new()));
        }
    }
}
