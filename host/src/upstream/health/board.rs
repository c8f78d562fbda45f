//! What the process knows of its endpoints: one entry per endpoint, whoever asks it.
//!
//! Workers and the overseer find each other's notes here by upstream and endpoint. The lock is taken when a configuration or an
//! address changes and when an operator asks, never by a request; what requests read and write is in [`Vital`] and [`Tally`].

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::super::Endpoint;
use crate::names::Name;
use crate::time::{self, Instant};

/// An endpoint at one address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::upstream) struct Site {
    pub(in crate::upstream) endpoint: Endpoint,
    /// One of the addresses that its name stands for; none where it is no name, or where the name is looked up for each connection.
    pub(in crate::upstream) address: Option<SocketAddr>,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{} at {}", self.endpoint, address.ip()),
            None => self.endpoint.fmt(f),
        }
    }
}

/// A number that one thread writes and others read. Writing is a plain store: no other writer can come in between.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Gauge(AtomicU64);

impl Gauge {
    pub(in crate::upstream) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(in crate::upstream) fn increment(&self) {
        self.set(self.value() + 1);
    }

    pub(in crate::upstream) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker tells of one endpoint.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Tally {
    /// Connections.
    pub(in crate::upstream) open: Gauge,
    /// Those that wait for a request.
    pub(in crate::upstream) idle: Gauge,
    /// Requests sent, repeated ones included.
    pub(in crate::upstream) requests: Gauge,
    /// Requests that it failed: no connection, no response, or a response with a status of 500 and above.
    pub(in crate::upstream) failures: Gauge,
    /// Until when it is ejected, in milliseconds since the process started.
    pub(in crate::upstream) ejected_until_ms: Gauge,
}

/// What one worker tells of one upstream.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Reckoning {
    /// Requests that were sent once more.
    pub(in crate::upstream) retries: Gauge,
    /// Requests that were not, because the budget was spent.
    pub(in crate::upstream) retries_refused: Gauge,
    /// Requests that wait for a connection.
    pub(in crate::upstream) pending: Gauge,
    /// Requests that were refused because too many waited, or that waited too long.
    pub(in crate::upstream) pending_refused: Gauge,
    /// 0: closed, 1: half open, 2: open.
    pub(in crate::upstream) breaker: Gauge,
    /// How often the breaker opened.
    pub(in crate::upstream) breaker_opened: Gauge,
    /// Requests that the breaker refused.
    pub(in crate::upstream) breaker_refused: Gauge,
}

/// Whether an endpoint is well, as active checks find it.
#[derive(Debug)]
pub(in crate::upstream) struct Vital {
    up: AtomicBool,
    /// When it recovered last, in milliseconds since `base`; 0: it has always been well.
    risen_ms: AtomicU64,
    pub(in crate::upstream) base: Instant,
    /// How often it became healthy, and unhealthy.
    turns: [AtomicU64; 2],
    tallies: Mutex<Vec<Weak<Tally>>>,
}

impl Vital {
    /// Whether requests may go there.
    #[inline]
    pub(in crate::upstream) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// When it recovered last.
    pub(in crate::upstream) fn risen(&self) -> Option<Instant> {
        match self.risen_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(self.base + Duration::from_millis(ms)),
        }
    }

    /// From now on it is well, or not.
    pub(super) fn turn(&self, up: Up, now: Instant) {
        let up = up == Up::Yes;
        if up {
            self.risen_ms.store(self.millis(now).max(1), Ordering::Relaxed);
        }
        self.up.store(up, Ordering::Relaxed);
        let [risen, fallen] = &self.turns;
        (if up { risen } else { fallen }).fetch_add(1, Ordering::Relaxed);
    }

    /// Nobody checks it any more.
    pub(super) fn release(&self) {
        self.up.store(true, Ordering::Relaxed);
    }

    /// A moment in milliseconds since `base`.
    pub(in crate::upstream) fn millis(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.base).as_millis()).unwrap_or(u64::MAX)
    }

    /// A tally for one more worker.
    pub(in crate::upstream) fn tally(&self) -> Arc<Tally> {
        let tally = Arc::default();
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.retain(|known| known.strong_count() > 0);
        tallies.push(Arc::downgrade(&tally));
        tally
    }
}

/// Whether an endpoint is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Up {
    Yes,
    No,
}

/// What is known of one upstream.
#[derive(Debug, Default)]
struct Entry {
    vitals: Vec<(Site, Weak<Vital>)>,
    reckonings: Vec<Weak<Reckoning>>,
}

/// What the process knows of its endpoints.
#[derive(Debug)]
pub struct Board {
    base: Instant,
    entries: Mutex<BTreeMap<Name, Entry>>,
}

impl Default for Board {
    fn default() -> Self {
        Self { base: time::now(), entries: Mutex::default() }
    }
}

/// What operators are told of one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamReport {
    /// Its name.
    pub name: Name,
    /// Its endpoints.
    pub endpoints: Vec<EndpointReport>,
    /// Requests that were sent once more, and those that the retry budget did not allow.
    pub retries: [u64; 2],
    /// Requests that wait for a connection, and those that were refused instead.
    pub pending: [u64; 2],
    /// Workers whose breaker is open or half open.
    pub breakers_open: u64,
    /// How often a worker's breaker opened, and the requests that were refused meanwhile.
    pub breaker: [u64; 2],
}

/// What operators are told of one endpoint: of all workers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointReport {
    /// Which.
    pub endpoint: String,
    /// Whether active checks find it well. Without checks it is.
    pub healthy: bool,
    /// How often it became healthy, and unhealthy.
    pub turns: [u64; 2],
    /// Workers that have ejected it.
    pub ejected: u64,
    /// Connections.
    pub open: u64,
    /// Those that wait for a request.
    pub idle: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests that it failed.
    pub failures: u64,
}

impl Board {
    /// The note on an endpoint, made where there is none.
    pub(in crate::upstream) fn vital(&self, upstream: &Name, site: &Site, initially: Up) -> Arc<Vital> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(upstream.clone()).or_default();
        entry.vitals.retain(|(_, vital)| vital.strong_count() > 0);
        let known = entry.vitals.iter().find(|(known, _)| known == site).and_then(|(_, vital)| vital.upgrade());
        known.unwrap_or_else(|| {
            let vital = Arc::new(Vital {
                up: AtomicBool::new(initially == Up::Yes),
                risen_ms: AtomicU64::new(0),
                base: self.base,
                turns: Default::default(),
                tallies: Mutex::default(),
            });
            entry.vitals.push((site.clone(), Arc::downgrade(&vital)));
            vital
        })
    }

    /// One more worker's reckoning of an upstream.
    pub(in crate::upstream) fn reckoning(&self, upstream: &Name) -> Arc<Reckoning> {
        let reckoning = Arc::default();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(upstream.clone()).or_default();
        entry.reckonings.retain(|known| known.strong_count() > 0);
        entry.reckonings.push(Arc::downgrade(&reckoning));
        reckoning
    }

    /// What operators are told, `now`: upstreams and endpoints that somebody uses.
    pub fn report(&self, now: Instant) -> Vec<UpstreamReport> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| {
            entry.vitals.retain(|(_, vital)| vital.strong_count() > 0);
            entry.reckonings.retain(|known| known.strong_count() > 0);
            !entry.vitals.is_empty() || !entry.reckonings.is_empty()
        });
        entries.iter().map(|(name, entry)| report(name, entry, now)).collect()
    }
}

fn report(name: &Name, entry: &Entry, now: Instant) -> UpstreamReport {
    let reckonings: Vec<_> = entry.reckonings.iter().filter_map(Weak::upgrade).collect();
    let sum = |gauge: fn(&Reckoning) -> &Gauge| reckonings.iter().map(|reckoning| gauge(reckoning).value()).sum();
    let endpoint = |(site, vital): &(Site, Weak<Vital>)| {
        let vital = vital.upgrade()?;
        let tallies = vital.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let tallies: Vec<_> = tallies.iter().filter_map(Weak::upgrade).collect();
        let sum = |gauge: fn(&Tally) -> &Gauge| tallies.iter().map(|tally| gauge(tally).value()).sum();
        let now_ms = vital.millis(now);
        let ejected = tallies.iter().filter(|tally| tally.ejected_until_ms.value() > now_ms).count() as u64;
        Some(EndpointReport {
            endpoint: site.to_string(),
            healthy: vital.is_up(),
            turns: vital.turns.each_ref().map(|turns| turns.load(Ordering::Relaxed)),
            ejected,
            open: sum(|tally| &tally.open),
            idle: sum(|tally| &tally.idle),
            requests: sum(|tally| &tally.requests),
            failures: sum(|tally| &tally.failures),
        })
    };
    UpstreamReport {
        name: name.clone(),
        endpoints: entry.vitals.iter().filter_map(endpoint).collect(),
        retries: [sum(|known| &known.retries), sum(|known| &known.retries_refused)],
        pending: [sum(|known| &known.pending), sum(|known| &known.pending_refused)],
        breakers_open: reckonings.iter().filter(|known| known.breaker.value() > 0).count() as u64,
        breaker: [sum(|known| &known.breaker_opened), sum(|known| &known.breaker_refused)],
    }
}
