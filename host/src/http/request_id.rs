//! Request ids: 32 hexadecimal digits, made without asking the system for each.
//!
//! They tell requests apart; they are no secrets. Every worker has a generator of its own.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::IncomingForwarding;

/// `x-request-id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a client, in bytes.
const KEPT_BYTES_MAX: usize = 128;

/// Makes request ids.
#[derive(Debug)]
pub struct RequestIds {
    /// Random per generator, so that two workers or two runs do not make the same ids.
    prefix: [u8; 16],
    state: Cell<u64>,
}

impl RequestIds {
    /// A generator with a seed of its own, from the system's randomness.
    pub fn new() -> Self {
        // `RandomState` is keyed from the system's random source; hashing with two of them gives 128 unforeseen bits.
        let random = || RandomState::new().hash_one(0_u64);
        Self { prefix: hex(random()), state: Cell::new(random()) }
    }

    /// The id of a request: the client's own where it may be trusted and looks like one, otherwise a new one.
    pub fn id(&self, headers: &HeaderMap, incoming: IncomingForwarding) -> HeaderValue {
        match incoming {
            IncomingForwarding::Replace => self.make(),
            IncomingForwarding::Append => {
                headers.get(REQUEST_ID).filter(|id| is_sane(id)).cloned().unwrap_or_else(|| self.make())
            }
        }
    }

    /// A new id.
    pub fn make(&self) -> HeaderValue {
        // splitmix64 walks through all 2^64 states before it repeats.
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mut text = [0; 32];
        let (high, low) = text.split_at_mut(16);
        high.copy_from_slice(&self.prefix);
        low.copy_from_slice(&hex(mixed ^ (mixed >> 31)));
        // Hexadecimal digits always are a field value.
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// The 16 hexadecimal digits of a number.
pub(crate) fn hex(number: u64) -> [u8; 16] {
    // Each step halves the groups of digits, until every byte holds one.
    let mut digits = u128::from(number);
    digits = (digits | digits << 32) & 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff;
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f;
    digits.to_be_bytes().map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 })
}

/// Short, visible, and nothing that means something in a log line, a header or a URL.
fn is_sane(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=KEPT_BYTES_MAX).contains(&id.len())
        && id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'='))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn hexadecimal_digits_are_in_order() {
        assert_eq!(&hex(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        assert_eq!(&hex(u64::MAX), b"ffffffffffffffff");
    }

    #[test]
    fn ids_are_hexadecimal_and_differ() {
        let (one, two) = (RequestIds::new(), RequestIds::new());
        let ids: HashSet<_> = (0..1000).flat_map(|_| [one.make(), two.make()]).collect();
        assert_eq!(ids.len(), 2000);
        for id in &ids {
            assert!(id.len() == 32 && id.as_bytes().iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id:?}");
        }
    }

    #[test]
    fn a_clients_id_is_kept_only_from_a_proxy_of_ours() {
        let ids = RequestIds::new();
        let check = |sent: &str, incoming, kept: bool| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, sent.parse().unwrap())]);
            assert_eq!(ids.id(&headers, incoming) == sent, kept, "{sent}");
        };
        check("abc-123", IncomingForwarding::Append, true);
        check("abc-123", IncomingForwarding::Replace, false);
        check("", IncomingForwarding::Append, false);
        check("a b", IncomingForwarding::Append, false);
        check("a\"b", IncomingForwarding::Append, false);
        check(&"x".repeat(129), IncomingForwarding::Append, false);
    }
}
