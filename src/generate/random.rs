//! Seeded draws that do not depend on order: every draw is named by a stream and two numbers, so any
//! month of any person can be made alone, on any thread, and comes out the same.

use rand::Rng;
use rand_pcg::Pcg64Mcg;

/// What a draw is for. Two streams with the same numbers are unrelated.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Person = 1,
    Name,
    Contact,
    ContactRow,
    Address,
    Phone,
    Demography,
    SecondContact,
    OrderDay,
    OrderLines,
    Cancellation,
    Unidentified,
    Taste,
    Visitor,
    VisitDay,
    Session,
    Anonymous,
    SharedDevice,
    Stop,
    Mail,
    Reader,
    Survey,
    Answers,
    Broken,
    Suppression,
}

/// The seed of a whole run.
#[derive(Clone, Copy)]
pub(super) struct Seed(pub(super) u64);

impl Seed {
    /// One number for `(stream, a, b)`; cheap enough for a draw per person and day.
    pub(super) fn hash(self, stream: Stream, a: u64, b: u64) -> u64 {
        let keyed = mix(self.0 ^ (stream as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        mix(mix(keyed ^ a).wrapping_add(b.wrapping_mul(0xD6E8_FEB8_6659_FD93)))
    }

    /// A sequence of draws for `(stream, a, b)`.
    pub(super) fn dice(self, stream: Stream, a: u64, b: u64) -> Dice {
        let high = self.hash(stream, a, b);
        Dice(Pcg64Mcg::new((u128::from(high) << 64) | u128::from(mix(high))))
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014): a bijection that mixes every bit.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A sequence of draws, in whole numbers so that no rounding can differ between machines.
pub(super) struct Dice(Pcg64Mcg);

impl Dice {
    /// A number in `0..bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// True `per_thousand` times in a thousand.
    pub(super) fn chance(&mut self, per_thousand: u64) -> bool {
        self.below(1_000) < per_thousand
    }

    /// A day or another small number in `low..=high`; `low` when the range is empty.
    pub(super) fn between(&mut self, low: i32, high: i32) -> i32 {
        let width = u64::try_from(i64::from(high) - i64::from(low) + 1).unwrap_or(0);
        low + i32::try_from(self.below(width)).unwrap_or(0)
    }

    /// An index into something of `len` entries.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of `choices`, which is never empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// One of `choices`, each as often as its weight says; `choices` is never empty.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u32, T)]) -> T {
        let total: u64 = choices.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut left = self.below(total);
        for (weight, choice) in choices {
            if left < u64::from(*weight) {
                return *choice;
            }
            left -= u64::from(*weight);
        }
        choices[choices.len() - 1].1
    }
}
