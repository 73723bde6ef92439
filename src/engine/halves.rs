//! The halves of a hash of 64 bits.

/// The upper half.
#[allow(clippy::cast_possible_truncation, reason = "the upper half is shifted down")]
pub fn upper_half(of: u64) -> u32 {
    (of >> u32::BITS) as u32
}

/// The lower half.
#[allow(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
pub fn lower_half(of: u64) -> u32 {
    of as u32
}
