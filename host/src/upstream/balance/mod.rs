//! Which endpoint of an upstream is asked: what is known of the endpoints goes in, a position comes out.
//!
//! Border: nothing here does I/O or asks for the time. Who may be asked at all (health, ejection, drain) is decided by the
//! fleet, which hands in only those.

mod choose;
mod dice;
mod hash;
mod latency;
mod sticky;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::time::Duration;

use ::http::HeaderName;

pub(super) use choose::{Candidate, least_busy, random, smooth, two};
pub(super) use dice::Dice;
pub(super) use hash::{Digest, Key, rendezvous};
pub(super) use latency::{Latency, cheaper};
pub(super) use sticky::cookie;
pub use sticky::{SameSite, Sticky};

use super::Endpoint;

/// How requests are spread over the endpoints of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    /// How one of those that may be asked is chosen.
    pub policy: Policy,
    /// Whether a client stays with its endpoint.
    pub sticky: Option<Sticky>,
    /// For how long the weight of an endpoint grows that is new or has recovered; zero: not at all.
    pub slow_start: Duration,
}

/// How one endpoint is chosen. Each heeds the weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Policy {
    /// In turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastConnections,
    /// Of two that the dice choose, the one that answers faster and has less to do.
    PowerOfTwo,
    /// By chance.
    Random,
    /// The same one for requests that are alike.
    Hash(Hash),
}

/// Which requests are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash {
    /// What they share. Where a request does not have it, the client's address counts.
    pub by: HashBy,
    /// Most requests under way at one endpoint, in percent of the average; what is over goes to the next. None: no bound.
    pub load_percent_max: Option<u32>,
}

/// What makes requests alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashBy {
    /// The client's address.
    ClientAddress,
    /// The value of a field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
    /// The path, without the query.
    Path,
}

/// An endpoint and its part of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its weight among the others, 1 to 1000.
    pub weight: u16,
    /// Whether it is asked.
    pub duty: Duty,
}

impl Share {
    /// One like all others.
    pub fn of(endpoint: Endpoint) -> Self {
        Self { endpoint, weight: 1, duty: Duty::Serves }
    }
}

/// Whether an endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// It is.
    Serves,
    /// Only by clients that it is sticky for.
    Drains,
}
