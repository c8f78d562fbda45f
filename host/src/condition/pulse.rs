//! A worker's pulse: it beats while the worker's event loop turns, and stops when something holds the worker up.
//!
//! The beat is a timer of the worker's own, so that no request pays for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::time::{self, Instant};

/// From one beat to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// A worker that has not beaten for so long is stuck. Long beside any call of a plugin, which has a deadline, and any wait for a processor.
const STUCK: Duration = Duration::from_secs(10);

/// A worker's pulse.
#[derive(Debug)]
pub struct Pulse {
    number: usize,
    base: Instant,
    last_ms: AtomicU64,
    ended: AtomicBool,
}

/// How a pulse is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// It beats.
    Beating,
    /// It has not for so long.
    Stuck(Duration),
    /// The worker has ended.
    Ended,
}

impl Pulse {
    /// The pulse of a worker that starts now.
    pub fn new(number: usize, now: Instant) -> Self {
        Self { number, base: now, last_ms: AtomicU64::new(0), ended: AtomicBool::new(false) }
    }

    /// The worker's number.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Beats once.
    pub fn beat(&self, now: Instant) {
        let ms = u64::try_from(now.saturating_duration_since(self.base).as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Relaxed);
    }

    /// How it is.
    pub fn beat_at(&self, now: Instant) -> Beat {
        if self.ended.load(Relaxed) {
            return Beat::Ended;
        }
        let silent = now.saturating_duration_since(self.base + Duration::from_millis(self.last_ms.load(Relaxed)));
        if silent < STUCK { Beat::Beating } else { Beat::Stuck(silent) }
    }

    /// Beats in this worker until what this gives is dropped: then the worker has ended. Must be called within its event loop.
    pub fn start(self: Arc<Self>) -> Beating {
        let pulse = Arc::clone(&self);
        let task = tokio::task::spawn_local(async move {
            loop {
                pulse.beat(time::now());
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Beating { pulse: self, task }
    }
}

/// A pulse that beats.
#[derive(Debug)]
pub struct Beating {
    pulse: Arc<Pulse>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.task.abort();
        self.pulse.ended.store(true, Relaxed);
    }
}
