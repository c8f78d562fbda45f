//! What all plugins share: the engine, the key-value store, the metric series, the way to the cache, who counts rate limits, where passwords
//! are tried, the numbers of their names.
//!
//! Made once per process; it survives every reload.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use wasmtime::Engine;

use super::crypto::Trials;
use super::failures::{FailedCall, Failures};
use super::ledger::{Cost, Ledgers};
use super::purges::{NoCache, Purges};
use super::rates::{Limiter, Nobody};
use super::{engine, kv, metrics};
use crate::names::Name;
use crate::time::{self, Instant};

/// What all plugins share.
pub struct Services {
    pub(super) engine: Engine,
    /// The key-value store.
    pub kv: kv::Store,
    /// The series of all plugins.
    pub metrics: Arc<metrics::Registry>,
    purges: RwLock<Arc<dyn Purges>>,
    limiter: RwLock<Arc<dyn Limiter>>,
    numbers: RwLock<Vec<Name>>,
    pub(super) ledgers: Ledgers,
    pub(super) trials: Trials,
    failures: Failures,
    started: Instant,
}

impl Services {
    /// Starts the engine. Fails where the machine cannot run Wasm.
    pub fn new(metrics: Arc<metrics::Registry>) -> wasmtime::Result<Arc<Self>> {
        let engine = engine::build()?;
        Ok(Arc::new(Self {
            engine,
            kv: kv::Store::default(),
            metrics,
            purges: RwLock::new(Arc::new(NoCache)),
            limiter: RwLock::new(Arc::new(Nobody)),
            numbers: RwLock::default(),
            ledgers: Ledgers::default(),
            trials: Trials::default(),
            failures: Failures::default(),
            started: time::now(),
        }))
    }

    /// Says who purges from now on. Until then every purge gives an error: there is no cache.
    pub fn purge_through(&self, purges: Arc<dyn Purges>) {
        *self.purges.write().unwrap_or_else(PoisonError::into_inner) = purges;
    }

    /// Says who counts rate limits from now on. Until then there is room for everything.
    pub fn limit_through(&self, limiter: Arc<dyn Limiter>) {
        *self.limiter.write().unwrap_or_else(PoisonError::into_inner) = limiter;
    }

    /// Who counts rate limits.
    pub(super) fn limiter(&self) -> Arc<dyn Limiter> {
        Arc::clone(&self.limiter.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who purges.
    pub(super) fn purges(&self) -> Arc<dyn Purges> {
        Arc::clone(&self.purges.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number by which timings name a plugin. The same name keeps its number as long as the process lives.
    pub(super) fn number(&self, plugin: &Name) -> u32 {
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        let index = numbers.iter().position(|known| known == plugin).unwrap_or_else(|| {
            numbers.push(plugin.clone());
            numbers.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// What plugins have cost since the process started, by plugin and the place of its configuration.
    pub fn costs(&self) -> BTreeMap<(Name, String), Cost> {
        self.ledgers.costs()
    }

    /// Notes a call that failed.
    pub(super) fn note_failure(&self, plugin: &Name, call: FailedCall) {
        self.failures.note(plugin, call);
    }

    /// The last calls of a plugin that failed, newest first.
    pub fn failures(&self, plugin: &Name) -> Vec<FailedCall> {
        self.failures.of(plugin)
    }

    /// Nanoseconds on the clock that plugins see.
    pub(super) fn monotonic_ns(&self) -> u64 {
        u64::try_from(time::now().saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX)
    }

    /// The plugins by their numbers.
    pub fn names(&self) -> Vec<Name> {
        self.numbers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The plugin with this number.
    pub fn name(&self, number: u32) -> Option<Name> {
        self.numbers.read().unwrap_or_else(PoisonError::into_inner).get(number as usize).cloned()
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Services")
    }
}
