//! Which of several upstreams a request goes to, and whether it is mirrored: by shares, exactly kept.
//!
//! Without a key, requests are dealt out evenly: after a hundred of them, a share of ten has got ten, give or take one. With a
//! key, requests with the same value go to the same upstream, in every worker and after every restart.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};

use http::header::{self, HeaderMap};

use super::settings::{Share, SplitBy};
use crate::exchange::Exchange;

/// 2^64 divided by the golden ratio: its multiples fall evenly into any number of shares.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Deals out numbers that are spread evenly over all of `u64`.
#[derive(Debug, Default)]
pub(super) struct Dealer(Cell<u64>);

impl Dealer {
    pub(super) fn deal(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(GOLDEN));
        self.0.get()
    }
}

/// The share that a point falls into; none where there is no share.
pub(super) fn choose(shares: &[Share], point: u64) -> Option<usize> {
    let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
    let mut left = scaled(point, total);
    for share in shares {
        let weight = u64::from(share.weight);
        if left < weight {
            return Some(share.upstream);
        }
        left -= weight;
    }
    shares.first().map(|share| share.upstream)
}

/// Whether a point falls into so many of a hundred.
pub(super) fn is_among(percent: u8, point: u64) -> bool {
    scaled(point, 100) < u64::from(percent)
}

/// A point of all of `u64` as one of `0..total`.
fn scaled(point: u64, total: u64) -> u64 {
    u64::try_from((u128::from(point) * u128::from(total)) >> 64).unwrap_or(0)
}

/// The point of a request by its key; none where the request has no such thing.
pub(super) fn point(by: &SplitBy, exchange: &Exchange) -> Option<u64> {
    let headers = &exchange.request.headers;
    let mut hasher = DefaultHasher::new();
    match by {
        SplitBy::Client => exchange.client.address.ip().hash(&mut hasher),
        SplitBy::Header(name) => headers.get(name)?.as_bytes().hash(&mut hasher),
        SplitBy::Cookie(name) => cookie(headers, name)?.hash(&mut hasher),
    }
    Some(hasher.finish())
}

/// The value of a cookie (RFC 6265 section 4.2).
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept() {
        let shares =
            [Share { upstream: 7, weight: 90 }, Share { upstream: 8, weight: 0 }, Share { upstream: 9, weight: 10 }];
        let dealer = Dealer::default();
        let mut counts = [0_u32; 10];
        for _ in 0..1000 {
            let chosen = choose(&shares, dealer.deal()).unwrap_or(0);
            counts.get_mut(chosen).into_iter().for_each(|count| *count += 1);
        }
        let of = |upstream: usize| counts.get(upstream).copied().unwrap_or(0);
        assert_eq!(of(7) + of(9), 1000);
        assert!((895..=905).contains(&of(7)), "{counts:?}");
        assert_eq!((choose(&shares, 0), choose(&shares, u64::MAX), choose(&[], 1)), (Some(7), Some(9), None));
    }

    #[test]
    fn percents_are_kept() {
        let dealer = Dealer::default();
        let count = |percent| (0..1000).filter(|_| is_among(percent, dealer.deal())).count();
        assert_eq!((count(0), count(100)), (0, 1000));
        assert!((245..=255).contains(&count(25)));
    }

    #[test]
    fn cookies_are_found() {
        let headers = HeaderMap::from_iter([
            (header::COOKIE, http::HeaderValue::from_static("a=1; session=x=y;b=2")),
            (header::COOKIE, http::HeaderValue::from_static("c=3")),
        ]);
        assert_eq!(cookie(&headers, "session"), Some(&b"x=y"[..]));
        assert_eq!((cookie(&headers, "c"), cookie(&headers, "ession")), (Some(&b"3"[..]), None));
    }
}
