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
use super::report::{self, UpstreamReport};
use super::whereabouts::Whereabouts;
use crate::names::Name;
use crate::telemetry::times::Times;
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
        self.add(1);
    }

    pub(in crate::upstream) fn add(&self, amount: u64) {
        self.set(self.value().wrapping_add(amount));
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
    /// Requests under way.
    pub(in crate::upstream) busy: Gauge,
    /// Requests that it was chosen for, repeated ones included.
    pub(in crate::upstream) requests: Gauge,
    /// Requests that it failed: no connection, no response, or a response with a status of 500 and above.
    pub(in crate::upstream) failures: Gauge,
    /// Responses that it gave, whatever their status.
    pub(in crate::upstream) answers: Gauge,
    /// Nanoseconds until it had given their heads.
    pub(in crate::upstream) nanoseconds: Gauge,
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
    /// How long endpoints took to answer.
    pub(in crate::upstream) times: Times,
}

/// Whether an endpoint is well, as active checks find it.
#[derive(Debug)]
pub(in crate::upstream) struct Vital {
    up: AtomicBool,
    /// When it recovered last, in milliseconds since `base`; 0: it has always been well.
    risen_ms: AtomicU64,
    pub(in crate::upstream) base: Instant,
    /// Whether it has been checked.
    known: AtomicBool,
    /// How often it became healthy, and unhealthy.
    pub(super) turns: [AtomicU64; 2],
    /// Requests that it failed since it last answered one well, whoever asked it.
    failing: AtomicU64,
    tallies: Mutex<Tallies>,
}

/// What workers tell of one endpoint.
#[derive(Debug, Default)]
struct Tallies {
    living: Vec<Arc<Tally>>,
    /// The sums of those that are gone, so that none ever shrinks.
    retired: Sums,
}

/// What workers have counted of one endpoint.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sums {
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) answers: u64,
    pub(super) nanoseconds: u64,
}

impl Sums {
    /// These and what one worker tells.
    pub(super) fn with(self, tally: &Tally) -> Self {
        Self {
            requests: self.requests + tally.requests.value(),
            failures: self.failures + tally.failures.value(),
            answers: self.answers + tally.answers.value(),
            nanoseconds: self.nanoseconds.wrapping_add(tally.nanoseconds.value()),
        }
    }
}

impl Tallies {
    fn retire(&mut self) {
        let retired = &mut self.retired;
        self.living.retain(|tally| {
            let lives = Arc::strong_count(tally) > 1;
            if !lives {
                *retired = retired.with(tally);
            }
            lives
        });
    }
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
    pub(in crate::upstream) fn turn(&self, up: Up, now: Instant) {
        let up = up == Up::Yes;
        if up {
            self.risen_ms.store(self.millis(now).max(1), Ordering::Relaxed);
            // Checks know better than requests of before.
            self.answers();
        }
        self.up.store(up, Ordering::Relaxed);
        let [risen, fallen] = &self.turns;
        (if up { risen } else { fallen }).fetch_add(1, Ordering::Relaxed);
    }

    /// It has failed a request.
    pub(in crate::upstream) fn fails(&self) {
        self.failing.fetch_add(1, Ordering::Relaxed);
    }

    /// It has answered a request well. Only what changes is written: all workers read it.
    #[inline]
    pub(in crate::upstream) fn answers(&self) {
        if self.failing() > 0 {
            self.failing.store(0, Ordering::Relaxed);
        }
    }

    /// Requests that it failed since it last answered one well.
    #[inline]
    pub(super) fn failing(&self) -> u64 {
        self.failing.load(Ordering::Relaxed)
    }

    /// It has been checked.
    pub(super) fn learn(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Whether it has been checked.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Nobody checks it any more.
    pub(super) fn release(&self) {
        self.known.store(false, Ordering::Relaxed);
        self.up.store(true, Ordering::Relaxed);
    }

    /// What its workers tell, and the sums that others have told of before.
    pub(super) fn tallies(&self) -> (Vec<Arc<Tally>>, Sums) {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.retire();
        (tallies.living.clone(), tallies.retired)
    }

    /// A moment in milliseconds since `base`.
    pub(in crate::upstream) fn millis(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.base).as_millis()).unwrap_or(u64::MAX)
    }

    /// A tally for one more worker.
    pub(in crate::upstream) fn tally(&self) -> Arc<Tally> {
        let tally = Arc::default();
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.retire();
        tallies.living.push(Arc::clone(&tally));
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
pub(super) struct Entry {
    pub(super) vitals: Vec<(Site, Weak<Vital>)>,
    pub(super) reckonings: Vec<Weak<Reckoning>>,
    whereabouts: Weak<Whereabouts>,
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
                known: AtomicBool::new(false),
                base: self.base,
                turns: Default::default(),
                failing: AtomicU64::new(0),
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

    /// Where the names of an upstream's endpoints lead.
    pub(in crate::upstream) fn whereabouts(&self, upstream: &Name) -> Arc<Whereabouts> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(upstream.clone()).or_default();
        entry.whereabouts.upgrade().unwrap_or_else(|| {
            let whereabouts = Arc::default();
            entry.whereabouts = Arc::downgrade(&whereabouts);
            whereabouts
        })
    }

    /// What operators are told, `now`: upstreams and endpoints that somebody uses.
    pub fn report(&self, now: Instant) -> Vec<UpstreamReport> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| {
            entry.vitals.retain(|(_, vital)| vital.strong_count() > 0);
            entry.reckonings.retain(|known| known.strong_count() > 0);
            !entry.vitals.is_empty() || !entry.reckonings.is_empty()
        });
        entries.iter().map(|(name, entry)| report::of(name, entry, now)).collect()
    }
}
