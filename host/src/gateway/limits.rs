//! What plugins ask about rate limits and bans, answered by the traffic room: two rooms' words for the same things, side by side; and what
//! others may do with bans.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Gateway;
use crate::cdn::Forwarder;
use crate::config::Config;
use crate::names::Name;
use crate::plugin::{self, RateAlgorithm, RateDecision, RateSettings, Services};
use crate::time::Instant;
use crate::traffic::bans::Bans;
use crate::traffic::rate::{self, Algorithm, Limit, Limits};

/// Lets plugins count, and gives who is banned and who counts.
pub(super) fn start(services: &Services, config: &Config) -> (Arc<Bans>, Arc<Limits>) {
    let bans = Arc::<Bans>::default();
    bans.adopt(config.overload.bans.as_ref());
    let limits = Arc::<Limits>::default();
    services.limit_through(Arc::new(Limiter { limits: Arc::clone(&limits), bans: Arc::clone(&bans) }));
    (bans, limits)
}

impl Gateway {
    /// Who is banned: to list, to ban and to pardon.
    pub fn bans(&self) -> Arc<Bans> {
        Arc::clone(&self.status.lock().unwrap_or_else(PoisonError::into_inner).bans)
    }

    /// What forwards purges to CDNs.
    pub fn cdn(&self) -> &Forwarder {
        &self.cdn
    }
}

/// Counts for plugins.
#[derive(Debug)]
struct Limiter {
    limits: Arc<Limits>,
    bans: Arc<Bans>,
}

impl plugin::Limiter for Limiter {
    fn define(&self, plugin: &Name, settings: &RateSettings<'_>) -> Arc<dyn plugin::RateLimit> {
        let algorithm = match settings.algorithm {
            RateAlgorithm::SlidingWindow => Algorithm::SlidingWindow,
            RateAlgorithm::TokenBucket => Algorithm::TokenBucket,
        };
        let RateSettings { name, requests, window, burst, .. } = *settings;
        Arc::new(Counted(self.limits.define(plugin, name, rate::Settings { algorithm, requests, window, burst })))
    }

    fn offence(&self, client: IpAddr, now: Instant) {
        self.bans.offence(client, now);
    }

    fn ban(&self, client: IpAddr, duration: Duration, reason: &str, now: Instant) -> Result<(), String> {
        self.bans.ban(client, duration, reason, now).map_err(|error| error.to_string())
    }
}

/// A limit of a plugin.
#[derive(Debug)]
struct Counted(Limit);

impl plugin::RateLimit for Counted {
    fn take(&self, key: &[u8], cost: u64, now: Instant) -> RateDecision {
        decision(self.0.take(key, cost, now))
    }

    fn look(&self, key: &[u8], cost: u64, now: Instant) -> RateDecision {
        decision(self.0.look(key, cost, now))
    }

    fn give_back(&self, key: &[u8], cost: u64) {
        self.0.give_back(key, cost);
    }

    fn refused(&self, key: &[u8], client: IpAddr, now: Instant) {
        self.0.refused(key, client, now);
    }
}

fn decision(decision: rate::Decision) -> RateDecision {
    let rate::Decision { allowed, limit, remaining, reset, retry_after } = decision;
    RateDecision { allowed, limit, remaining, reset, retry_after }
}
