//! The customers that are compared, and how much each counts.

/// Customers of whom all columns are known, in order of customer.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The columns, standardised. One that is constant is 0.
    pub columns: &'a [Vec<f64>],
    /// By customer, whether the segment's rule describes it.
    pub is_member: &'a [bool],
    /// By customer, the [`fold`](super::fold).
    pub folds: &'a [u8],
}

/// How much a member counts, and another one, so that both kinds count the same together. None if there is none of a kind.
#[allow(clippy::cast_precision_loss, reason = "there are fewer customers than a double counts")]
pub(super) fn balanced(sample: &Sample<'_>, is_meant: impl Fn(usize) -> bool) -> Option<[f64; 2]> {
    let meant = sample.is_member.iter().enumerate().filter(|(row, _)| is_meant(*row));
    let counted = meant.fold([0_u64; 2], |mut counted, (_, is_member)| {
        counted[usize::from(!is_member)] += 1;
        counted
    });
    let all = (counted[0] + counted[1]) as f64;
    counted.iter().all(|count| *count > 0).then(|| counted.map(|count| all / (2.0 * count as f64)))
}
