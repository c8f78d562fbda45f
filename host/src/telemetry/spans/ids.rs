//! Ids of traces and spans, made without asking the system for each. They tell traces apart; they are no secrets.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use crate::exchange::{SpanId, TraceId};

/// Makes ids. Every thread has one of its own.
#[derive(Debug)]
pub(super) struct Ids {
    state: Cell<u64>,
    /// Differs from thread to thread and run to run, so that no two of them walk the same way.
    own: u64,
}

impl Default for Ids {
    fn default() -> Self {
        // `RandomState` is keyed from the system's random source.
        let random = || RandomState::new().hash_one(0_u64);
        Self { state: Cell::new(random()), own: random() }
    }
}

impl Ids {
    /// The id of a trace that begins here. All of it is chance, as those who sample by it expect.
    pub(super) fn trace(&self) -> TraceId {
        TraceId(u128::from(self.next() ^ self.own) << 64 | u128::from(self.nonzero()))
    }

    /// The id of a span.
    pub(super) fn span(&self) -> SpanId {
        SpanId(self.nonzero())
    }

    /// A number from 0 to 1.
    pub(super) fn chance(&self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn nonzero(&self) -> u64 {
        loop {
            let number = self.next() ^ self.own.rotate_left(32);
            if number != 0 {
                return number;
            }
        }
    }

    /// splitmix64: walks through all 2^64 states before it repeats.
    fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
