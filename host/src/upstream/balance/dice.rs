//! Chance, cheap and not secret: which endpoint is asked, and how long to wait before asking again.

use std::cell::Cell;

/// A generator of numbers (SplitMix64, Steele et al. 2014: passes BigCrush, eight bytes of state).
pub(in crate::upstream) struct Dice(Cell<u64>);

impl Dice {
    /// Those that every run throws alike.
    pub(in crate::upstream) fn seeded(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// Those that nobody has thrown yet, so that workers do not all ask the same endpoint.
    pub(in crate::upstream) fn new() -> Self {
        let mut seed = [0; 8];
        // Where the system has no randomness, the same throws are better than none.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        Self::seeded(u64::from_ne_bytes(seed))
    }

    /// A number below `bound`; zero for a bound of zero.
    pub(in crate::upstream) fn below(&self, bound: u64) -> u64 {
        let next = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(next);
        // The high half of the product: as even as it gets without a division (Lemire 2019).
        let wide = u128::from(mix(next)) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}

/// Makes every bit of the result depend on every bit of the number.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
