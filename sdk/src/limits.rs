//! Rate limits and bans, counted exactly over all workers (WIT `limits`). Grant: `limits`.
//!
//! ```no_run
//! use std::time::Duration;
//! use portcullis_sdk::limits::{self, Limit};
//! # fn hook(request: &portcullis_sdk::Request) -> portcullis_sdk::Result<()> {
//! // In `init`:
//! let per_client = Limit::sliding_window("per-client", 100, Duration::from_secs(60))?;
//! // In a hook:
//! let decision = per_client.take(request.client_address(), 1);
//! if !decision.allowed {
//!     limits::offence();
//! }
//! # Ok(())
//! # }
//! ```

use std::net::IpAddr;
use std::time::Duration;

use crate::export::milliseconds;
use crate::raw::limits;
use crate::{Error, Result};

pub use crate::raw::limits::Decision;

/// A limit that the gateway knows by number. Make it in `init`; it is good for as long as the instance lives. The plugin's limits
/// of the same name, algorithm and window count together, in all instances and after a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(limits::Limit);

impl Limit {
    /// At most `requests` within any time of this length, wherever it begins.
    ///
    /// # Errors
    /// Which number is 0 or too large.
    pub fn sliding_window(name: &str, requests: u64, window: Duration) -> Result<Self> {
        Self::define(name, limits::Algorithm::SlidingWindow, requests, window, 1)
    }

    /// A bucket that holds `burst` at most, fills with `requests` per `window`, and from which each use takes.
    ///
    /// # Errors
    /// Which number is 0 or too large.
    pub fn token_bucket(name: &str, requests: u64, window: Duration, burst: u64) -> Result<Self> {
        Self::define(name, limits::Algorithm::TokenBucket, requests, window, burst)
    }

    fn define(name: &str, algorithm: limits::Algorithm, requests: u64, window: Duration, burst: u64) -> Result<Self> {
        let settings =
            limits::Settings { name: name.to_owned(), algorithm, requests, window_ms: milliseconds(window), burst };
        limits::define(&settings).map(Self).map_err(|why| Error::new(format_args!("limit `{name}`: {why}")))
    }

    /// Takes `cost` for `key`, if there is room for all of it.
    #[must_use]
    pub fn take(self, key: impl AsRef<[u8]>, cost: u32) -> Decision {
        let nothing = Decision { allowed: false, limit: 0, remaining: 0, reset_ms: 0, retry_after_ms: 0 };
        // One is asked for, and so one is answered.
        take_all(vec![self.wanting(key, cost)]).pop().unwrap_or(nothing)
    }

    /// A use to ask for together with others, by [`take_all`].
    #[must_use]
    pub fn wanting(self, key: impl AsRef<[u8]>, cost: u32) -> Wanted {
        Wanted(limits::Wanted { limit: self.0, key: key.as_ref().to_vec(), cost })
    }
}

/// A use that is asked for.
#[derive(Clone, Debug)]
#[repr(transparent)]
pub struct Wanted(limits::Wanted);

/// Takes all that is wanted, or nothing at all where one of them has no room. Gives a decision for each, in the same order. One call.
#[must_use]
pub fn take_all(wanted: Vec<Wanted>) -> Vec<Decision> {
    // The same memory, since the one is the other.
    let wanted: Vec<_> = wanted.into_iter().map(|wanted| wanted.0).collect();
    limits::take(&wanted)
}

/// The bits of an IP address by which a client is known, as a key: of an IPv6 address usually 64, since everybody has so many addresses.
/// What is no address is taken as it is.
#[must_use]
pub fn network(address: &str, ipv4_prefix: u8, ipv6_prefix: u8) -> Vec<u8> {
    match address.parse() {
        Ok(IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(ipv4_prefix.min(32))).unwrap_or(0);
            (u32::from(address) & mask).to_be_bytes().to_vec()
        }
        Ok(IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6_prefix.min(128))).unwrap_or(0);
            (u128::from(address) & mask).to_be_bytes().to_vec()
        }
        Err(_) => address.as_bytes().to_vec(),
    }
}

/// Notes that the client of this request did what it should not; the operator may ban clients that do so repeatedly.
pub fn offence() {
    limits::offence();
}

/// Keeps an address out for a while, from all routes.
///
/// # Errors
/// Why not: this is no address, or one that the operator never wants to be banned.
pub fn ban(address: &str, duration: Duration, reason: &str) -> Result<()> {
    limits::ban(address, milliseconds(duration), reason).map_err(Error::new)
}
