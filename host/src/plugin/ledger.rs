//! What every plugin costs: calls, failures, time, fuel and memory per hook. Always measured.
//!
//! Each worker writes to counters of its own; whoever reads adds them up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::error::CallError;
use crate::names::{Hook, Name};
use crate::telemetry::times::{Count, Spread, Times};

/// Variants that are gone whose costs are remembered one by one.
const RETIRED_MAX: usize = 1000;

/// What one worker's calls to one hook cost.
#[derive(Debug, Default)]
struct HookCounters {
    times: Times,
    failures: [Count; CallError::KINDS.len()],
    fuel: Count,
}

/// What one worker's calls to one plugin cost.
#[derive(Debug, Default)]
pub(super) struct Counters {
    hooks: [HookCounters; Hook::ALL.len()],
    memory_bytes: AtomicU64,
    recycled: AtomicU64,
}

impl Counters {
    /// Adds one call, and why it failed if it did. Only one thread writes.
    pub(super) fn record(&self, hook: Hook, took: Duration, fuel: u64, failed: Option<&CallError>) {
        if let Some(counters) = self.hooks.get(hook as usize) {
            counters.times.record(took);
            counters.fuel.add(fuel);
            if let Some(count) = failed.and_then(|error| counters.failures.get(error.number())) {
                count.add(1);
            }
        }
    }

    /// Notes the size of the worker's instance.
    pub(super) fn memory(&self, bytes: usize) {
        let bytes = bytes as u64;
        if self.memory_bytes.load(Relaxed) != bytes {
            self.memory_bytes.store(bytes, Relaxed);
        }
    }

    /// Counts an instance that was recycled or dropped.
    pub(super) fn recycled(&self) {
        self.recycled.fetch_add(1, Relaxed);
    }
}

/// What a hook cost, on all workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookCost {
    /// Calls.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Their time.
    pub time: Duration,
    /// Their fuel.
    pub fuel: u64,
    /// Those that failed by why, in the order of [`CallError::KINDS`].
    pub failed: [u64; CallError::KINDS.len()],
    /// How long each of them took.
    pub times: Spread,
}

impl HookCost {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.time += other.time;
        self.fuel += other.fuel;
        self.failed.iter_mut().zip(other.failed).for_each(|(sum, count)| *sum += count);
        self.times.add(&other.times);
    }
}

/// What a plugin cost, on all workers.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    /// By hook; hooks that were never called are left out.
    pub hooks: Vec<(Hook, HookCost)>,
    /// Bytes of memory of all living instances.
    pub memory_bytes: u64,
    /// Instances that were replaced, for whatever reason.
    pub recycled: u64,
}

impl Cost {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.memory_bytes += other.memory_bytes;
        self.recycled += other.recycled;
        for (hook, cost) in &other.hooks {
            match self.hooks.iter_mut().find(|(known, _)| known == hook) {
                Some((_, sum)) => sum.add(cost),
                None => self.hooks.push((*hook, cost.clone())),
            }
        }
    }
}

/// The counters of all workers for one plugin.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Vec<Arc<Counters>>>);

impl Ledger {
    /// Counters for one more worker.
    pub(super) fn open(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counters));
        counters
    }

    /// The sum of all workers.
    pub(super) fn cost(&self) -> Cost {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cost = Cost::default();
        for hook in Hook::ALL {
            let mut sum = HookCost::default();
            for counters in all.iter().filter_map(|counters| counters.hooks.get(hook as usize)) {
                counters.times.add_to(&mut sum.times);
                sum.fuel += counters.fuel.value();
                sum.failed.iter_mut().zip(&counters.failures).for_each(|(sum, count)| *sum += count.value());
            }
            (sum.calls, sum.failures, sum.time) = (sum.times.count(), sum.failed.iter().sum(), sum.times.sum());
            if sum.calls > 0 {
                cost.hooks.push((hook, sum));
            }
        }
        cost.memory_bytes = all.iter().map(|counters| counters.memory_bytes.load(Relaxed)).sum();
        cost.recycled = all.iter().map(|counters| counters.recycled.load(Relaxed)).sum();
        cost
    }
}

/// The ledgers of all variants of all plugins, by plugin and the place of its configuration. What those cost that are gone is remembered, so
/// that no sum ever shrinks.
#[derive(Debug, Default)]
pub(super) struct Ledgers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    living: Vec<(Name, String, Arc<Ledger>)>,
    retired: BTreeMap<(Name, String), Cost>,
}

impl Ledgers {
    /// Notes a ledger for as long as somebody else holds it.
    pub(super) fn keep(&self, plugin: &Name, origin: String, ledger: &Arc<Ledger>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retire();
        kept.living.push((plugin.clone(), origin, Arc::clone(ledger)));
    }

    /// What all variants have cost since the process started. Those at one place are one.
    pub(super) fn costs(&self) -> BTreeMap<(Name, String), Cost> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retire();
        let mut costs = kept.retired.clone();
        for (plugin, origin, ledger) in &kept.living {
            costs.entry((plugin.clone(), origin.clone())).or_default().add(&ledger.cost());
        }
        costs
    }
}

impl Kept {
    fn retire(&mut self) {
        let retired = &mut self.retired;
        self.living.retain(|(plugin, origin, ledger)| {
            // Nobody can write to it any more, so that nothing is missed.
            if Arc::strong_count(ledger) > 1 {
                return true;
            }
            let cost = Cost { memory_bytes: 0, ..ledger.cost() };
            let place = (plugin.clone(), origin.clone());
            if !cost.hooks.is_empty() && (retired.len() < RETIRED_MAX || retired.contains_key(&place)) {
                retired.entry(place).or_default().add(&cost);
            }
            false
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let ledger = Ledger::default();
        let (one, two) = (ledger.open(), ledger.open());
        one.record(Hook::PreHandler, Duration::from_nanos(5), 10, None);
        two.record(Hook::PreHandler, Duration::from_nanos(7), 20, Some(&CallError::Fuel(1)));
        two.memory(100);
        let cost = ledger.cost();
        let [(hook, sum)] = &cost.hooks[..] else { unreachable!("one hook was called") };
        assert_eq!((*hook, sum.calls, sum.failures), (Hook::PreHandler, 2, 1));
        assert_eq!((sum.time, sum.fuel, sum.times.count()), (Duration::from_nanos(12), 30, 2));
        let failed = CallError::KINDS.iter().zip(sum.failed).find(|(_, count)| *count > 0);
        assert_eq!(failed, Some((&"fuel", 1)));
        assert_eq!(cost.memory_bytes, 100);
    }

    #[test]
    fn what_a_variant_cost_is_remembered_when_it_is_gone() {
        let (ledgers, plugin): (_, Name) = (Ledgers::default(), "a".parse().unwrap());
        let variant = |calls: u64| {
            let ledger = Arc::new(Ledger::default());
            ledgers.keep(&plugin, "here".to_owned(), &ledger);
            let counters = ledger.open();
            (0..calls).for_each(|_| counters.record(Hook::PreHandler, Duration::from_nanos(1), 1, None));
            counters.memory(10);
            ledger
        };
        let told = || {
            let costs = ledgers.costs();
            let cost = costs.get(&(plugin.clone(), "here".to_owned())).unwrap();
            (cost.hooks.iter().map(|(_, cost)| cost.calls).sum::<u64>(), cost.memory_bytes)
        };
        let (one, two) = (variant(2), variant(3));
        assert_eq!(told(), (5, 20));
        drop(one);
        assert_eq!(told(), (5, 10));
        drop(two);
        let _three = variant(1);
        assert_eq!(told(), (6, 10));
    }
}
