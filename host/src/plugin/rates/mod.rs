//! What plugins may ask about how much somebody uses, in this room's own words.
//!
//! Border: who counts is another station, so it is handed in as a [`Limiter`] where everything is put together. What asking for several
//! limits at once means is decided here.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::names::Name;
use crate::time::Instant;

/// How uses are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateAlgorithm {
    /// At most so many within any window of time.
    SlidingWindow,
    /// A bucket that fills steadily and from which each use takes.
    TokenBucket,
}

/// A limit as a plugin defines it. All numbers are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSettings<'a> {
    /// Its name, by which it counts together with others of the plugin.
    pub name: &'a str,
    /// How uses are counted.
    pub algorithm: RateAlgorithm,
    /// So many within the window.
    pub requests: u64,
    /// The window.
    pub window: Duration,
    /// What a bucket holds at most.
    pub burst: u64,
}

/// What comes of asking for a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateDecision {
    /// Whether there is room for it.
    pub allowed: bool,
    /// How much may be used at once.
    pub limit: u64,
    /// How much of that is left now.
    pub remaining: u64,
    /// Until there is more.
    pub reset: Duration,
    /// Until there is room for this use; zero where there is.
    pub retry_after: Duration,
}

/// Who counts.
pub trait Limiter: Send + Sync {
    /// A limit of a plugin. Called in `init` of every instance: the same plugin, name, algorithm and window must give the same counts, on all
    /// workers and after a swap.
    fn define(&self, plugin: &Name, settings: &RateSettings<'_>) -> Arc<dyn RateLimit>;

    /// Notes that a client did what it should not. Called on the worker and inside the plugin's call: it must not wait.
    fn offence(&self, client: IpAddr, now: Instant);

    /// Keeps a client out for so long. Called like [`Self::offence`]; an error is for the plugin and the log.
    fn ban(&self, client: IpAddr, duration: Duration, reason: &str, now: Instant) -> Result<(), String>;
}

/// One limit. Called on the worker and inside the plugin's call: it must not wait.
pub trait RateLimit: Send + Sync {
    /// Uses `cost` of what this key may, if there is room for all of it.
    fn take(&self, key: &[u8], cost: u64, now: Instant) -> RateDecision;

    /// What [`Self::take`] would say.
    fn look(&self, key: &[u8], cost: u64, now: Instant) -> RateDecision;

    /// Takes a use back.
    fn give_back(&self, key: &[u8], cost: u64);

    /// Notes that a use for this client had no room. Called after [`Self::take`] or [`Self::look`] has said so, where it is final.
    fn refused(&self, key: &[u8], client: IpAddr, now: Instant);
}

/// A use that somebody asks for.
pub(super) struct Wanted<'a> {
    pub(super) limit: &'a dyn RateLimit,
    pub(super) key: &'a [u8],
    pub(super) cost: u64,
}

/// Takes all of them, or none where one of them has no room.
pub(super) fn take_all(wanted: &[Wanted<'_>], now: Instant) -> Vec<RateDecision> {
    let look = |wanted: &Wanted<'_>| wanted.limit.look(wanted.key, wanted.cost, now);
    let take = |wanted: &Wanted<'_>| wanted.limit.take(wanted.key, wanted.cost, now);
    if let [only] = wanted {
        return vec![take(only)];
    }
    // Looked at first, so that those who are refused take nothing from others, not even for a moment.
    let looked: Vec<_> = wanted.iter().map(look).collect();
    if looked.iter().any(|decision| !decision.allowed) {
        return looked;
    }
    let mut decisions: Vec<_> = wanted.iter().map(take).collect();
    if decisions.iter().any(|decision| !decision.allowed) {
        // Another worker was faster.
        for (wanted, decision) in wanted.iter().zip(&mut decisions).filter(|(_, decision)| decision.allowed) {
            wanted.limit.give_back(wanted.key, wanted.cost);
            decision.remaining = decision.remaining.saturating_add(wanted.cost);
        }
    }
    decisions
}

/// Tells those limits that had no room who was refused.
pub(super) fn tell_refused(wanted: &[Wanted<'_>], decisions: &[RateDecision], client: IpAddr, now: Instant) {
    for (wanted, _) in wanted.iter().zip(decisions).filter(|(_, decision)| !decision.allowed) {
        wanted.limit.refused(wanted.key, client, now);
    }
}

/// Where nobody counts, as in a check of a configuration: there is room for everything.
pub(super) struct Nobody;

impl Limiter for Nobody {
    fn define(&self, _: &Name, settings: &RateSettings<'_>) -> Arc<dyn RateLimit> {
        Arc::new(Unlimited(settings.requests))
    }

    fn offence(&self, _: IpAddr, _: Instant) {}

    fn ban(&self, _: IpAddr, _: Duration, _: &str, _: Instant) -> Result<(), String> {
        Err("this gateway bans nobody".to_owned())
    }
}

struct Unlimited(u64);

impl RateLimit for Unlimited {
    fn take(&self, key: &[u8], cost: u64, now: Instant) -> RateDecision {
        self.look(key, cost, now)
    }

    fn look(&self, _: &[u8], _: u64, _: Instant) -> RateDecision {
        let (reset, retry_after) = (Duration::ZERO, Duration::ZERO);
        RateDecision { allowed: true, limit: self.0, remaining: self.0, reset, retry_after }
    }

    fn give_back(&self, _: &[u8], _: u64) {}

    fn refused(&self, _: &[u8], _: IpAddr, _: Instant) {}
}
