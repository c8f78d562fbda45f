//! What operators are told of adaptive limits: every worker notes what its own have become, whoever asks reads all of them.
//!
//! One per route and worker. Only its worker writes, without waiting; one that is gone is forgotten when somebody asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::names::Name;

/// The gauges of all workers.
static GAUGES: Mutex<Vec<Weak<Gauge>>> = Mutex::new(Vec::new());

/// What is told of one limit in one worker.
#[derive(Debug)]
pub(super) struct Gauge {
    route: Name,
    limit: AtomicU32,
    under_way: AtomicU32,
    refused: AtomicU64,
}

/// What is told of a route's limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many requests may be under way, in each worker.
    pub limits: Vec<u32>,
    /// How many are, in all workers.
    pub under_way: u64,
    /// How many were refused since the limit was set up, in all workers.
    pub refused: u64,
}

impl Gauge {
    /// One that is told of as long as somebody holds it.
    pub(super) fn new(route: &Name) -> Arc<Self> {
        let (limit, under_way, refused) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU64::new(0));
        let gauge = Arc::new(Self { route: route.clone(), limit, under_way, refused });
        let mut gauges = GAUGES.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.retain(|gauge| gauge.strong_count() > 0);
        gauges.push(Arc::downgrade(&gauge));
        gauge
    }

    /// Notes what the limit is, and how many are under way.
    pub(super) fn note(&self, limit: u32, under_way: u32) {
        self.limit.store(limit, Relaxed);
        self.under_way.store(under_way, Relaxed);
    }

    /// Counts one that was refused.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }
}

/// What the adaptive limits of all workers are at the moment, by route.
pub fn standings() -> BTreeMap<Name, Standing> {
    let mut all: BTreeMap<Name, Standing> = BTreeMap::new();
    let gauges = GAUGES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for gauge in gauges.iter().filter_map(Weak::upgrade) {
        let standing = all.entry(gauge.route.clone()).or_default();
        standing.limits.push(gauge.limit.load(Relaxed));
        standing.under_way += u64::from(gauge.under_way.load(Relaxed));
        standing.refused += gauge.refused.load(Relaxed);
    }
    all
}
