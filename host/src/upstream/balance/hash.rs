//! The same endpoint for requests that are alike, whoever else comes and goes: weighted rendezvous hashing.
//!
//! Every endpoint draws a number for a key and the highest wins, so that an endpoint that goes takes along only the keys it
//! had. Stable: the same key and endpoint draw the same in every worker and every run.

use std::fmt;

use super::Candidate;
use super::dice::mix;

/// What requests that are alike have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) struct Key(u64);

impl Key {
    /// The key of these bytes (FNV-1a).
    pub(in crate::upstream) fn of(bytes: &[u8]) -> Self {
        let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, add)))
    }
}

/// An endpoint in sixteen hexadecimal digits that do not tell its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) struct Digest(u64);

impl Digest {
    /// Of no endpoint.
    pub(in crate::upstream) const NONE: Self = Self(0);

    /// The digest of an endpoint, by its words.
    pub(in crate::upstream) fn of(words: &[&str]) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for word in words {
            context.update(word.as_bytes());
            context.update(&[0]);
        }
        let digest = context.finish();
        Self(digest.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Reads the digits.
    pub(in crate::upstream) fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The endpoint for a key. With a bound, an endpoint that has more requests under way than so many percent of its share is passed over
/// (Mirrokni et al. 2016, "Consistent Hashing with Bounded Loads").
pub(in crate::upstream) fn rendezvous(
    candidates: impl Iterator<Item = Candidate> + Clone,
    digest: impl Fn(usize) -> Digest,
    key: Key,
    load_percent_max: Option<u32>,
) -> Option<usize> {
    let drawn = |candidate: Candidate| (candidate.index, draw(digest(candidate.index), key, candidate.weight));
    let highest = |one: (usize, f64), other: (usize, f64)| if other.1 > one.1 { other } else { one };
    let Some(percent) = load_percent_max else { return Some(candidates.map(drawn).reduce(highest)?.0) };
    let sum = |(busy, weight): (u128, u128), one: Candidate| (busy + one.busy as u128, weight + u128::from(one.weight));
    let (busy, weight) = candidates.clone().fold((0, 0), sum);
    let room = |one: &Candidate| {
        let most = ((busy + 1) * u128::from(one.weight) * u128::from(percent)).div_ceil((weight * 100).max(1));
        (one.busy as u128) < most
    };
    let free = candidates.clone().filter(room).map(drawn).reduce(highest);
    Some(free.or_else(|| candidates.map(drawn).reduce(highest))?.0)
}

/// What an endpoint draws for a key: an exponential variate, so that its chance to be the highest is its part of all weights.
fn draw(digest: Digest, key: Key, weight: u32) -> f64 {
    // 53 bits are what a float holds; the half keeps it between 0 and 1.
    let uniform = ((mix(digest.0 ^ key.0) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / uniform.ln()
}
