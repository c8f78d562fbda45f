//! What every plugin costs: calls, failures, time, fuel and memory per hook. Always measured.
//!
//! Each worker writes to counters of its own; whoever reads adds them up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::names::Hook;

/// What one worker's calls to one hook cost.
#[derive(Debug, Default)]
struct HookCounters {
    calls: AtomicU64,
    failures: AtomicU64,
    nanoseconds: AtomicU64,
    fuel: AtomicU64,
}

/// What one worker's calls to one plugin cost.
#[derive(Debug, Default)]
pub(super) struct Counters {
    hooks: [HookCounters; Hook::ALL.len()],
    memory_bytes: AtomicU64,
    recycled: AtomicU64,
}

impl Counters {
    /// Adds one call. Only one thread writes, so that a load and a store do what would otherwise need a locked instruction.
    pub(super) fn record(&self, hook: Hook, took: Duration, fuel: u64, outcome: Outcome) {
        let add = |counter: &AtomicU64, amount: u64| counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
        if let Some(counters) = self.hooks.get(hook as usize) {
            add(&counters.calls, 1);
            add(&counters.nanoseconds, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            add(&counters.fuel, fuel);
            if matches!(outcome, Outcome::Failed) {
                add(&counters.failures, 1);
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

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Well,
    Failed,
}

/// What a hook cost, on all workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookCost {
    /// Calls.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Their time.
    pub time: Duration,
    /// Their fuel.
    pub fuel: u64,
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
                sum.calls += counters.calls.load(Relaxed);
                sum.failures += counters.failures.load(Relaxed);
                sum.time += Duration::from_nanos(counters.nanoseconds.load(Relaxed));
                sum.fuel += counters.fuel.load(Relaxed);
            }
            if sum.calls > 0 {
                cost.hooks.push((hook, sum));
            }
        }
        cost.memory_bytes = all.iter().map(|counters| counters.memory_bytes.load(Relaxed)).sum();
        cost.recycled = all.iter().map(|counters| counters.recycled.load(Relaxed)).sum();
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let ledger = Ledger::default();
        let (one, two) = (ledger.open(), ledger.open());
        one.record(Hook::PreHandler, Duration::from_nanos(5), 10, Outcome::Well);
        two.record(Hook::PreHandler, Duration::from_nanos(7), 20, Outcome::Failed);
        two.memory(100);
        let cost = ledger.cost();
        let expected = HookCost { calls: 2, failures: 1, time: Duration::from_nanos(12), fuel: 30 };
        assert_eq!(cost.hooks, [(Hook::PreHandler, expected)]);
        assert_eq!(cost.memory_bytes, 100);
    }
}
