//! How the link is doing: counts for metrics and a condition for readiness.
//!
//! Written by the thread that speaks to Redis and by everybody who asks; read by operators.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::trouble::Trouble;
use crate::telemetry::metrics::{Counter, Exposition, Kind};
use crate::time::{self, Instant};

/// How the link is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every node that is known answers.
    Healthy,
    /// Some commands have no answer, or none has.
    Degraded {
        /// Since when without a break.
        since: Instant,
        /// What is wrong, without passwords.
        reason: String,
    },
}

impl Condition {
    /// What is wrong, if anything is.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Degraded { reason, .. } => Some(reason),
        }
    }
}

/// Before the first attempt to connect has come to an end.
const CONNECTING: &str = "is being connected to";

/// What is known of the link.
#[derive(Debug)]
pub(super) struct Ledger {
    commands: Counter,
    failures: [Counter; Trouble::REASONS.len()],
    pub(super) breaker_opened: Counter,
    connections: AtomicUsize,
    condition: watch::Sender<Condition>,
    /// Whether there is something in `hopeless`: looked at first, so that nobody takes a lock while all is well.
    is_hopeless: AtomicBool,
    hopeless: Mutex<Option<Trouble>>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let (condition, _) = watch::channel(Condition::Degraded { since: time::now(), reason: CONNECTING.to_owned() });
        Self {
            commands: Counter::default(),
            failures: Default::default(),
            breaker_opened: Counter::default(),
            connections: AtomicUsize::new(0),
            condition,
            is_hopeless: AtomicBool::new(false),
            hopeless: Mutex::default(),
        }
    }

    /// What comes of any command at the moment, where no node is asked at all.
    pub(super) fn hopeless(&self) -> Option<Trouble> {
        if !self.is_hopeless.load(Acquire) {
            return None;
        }
        self.hopeless.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that no node is asked, or that some is.
    pub(super) fn note_hopeless(&self, trouble: Option<Trouble>) {
        let is_hopeless = trouble.is_some();
        *self.hopeless.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        self.is_hopeless.store(is_hopeless, Release);
    }

    /// Counts a command and what came of it.
    pub(super) fn count<T>(&self, result: &Result<T, Trouble>) {
        self.commands.increment();
        if let Err(trouble) = result
            && let Some(counter) = self.failures.get(trouble.number())
        {
            counter.increment();
        }
    }

    /// Notes how many connections there are and what is wrong, if anything is.
    pub(super) fn note(&self, connections: usize, reason: Option<String>) {
        self.connections.store(connections, Relaxed);
        self.condition.send_if_modified(|condition| {
            let next = match (reason, &*condition) {
                (None, _) => Condition::Healthy,
                (Some(reason), Condition::Degraded { since, .. }) => Condition::Degraded { since: *since, reason },
                (Some(reason), Condition::Healthy) => Condition::Degraded { since: time::now(), reason },
            };
            if *condition == next {
                return false;
            }
            match (condition.reason(), next.reason()) {
                (_, None) => tracing::info!("redis is well"),
                (None | Some(CONNECTING), Some(reason)) => tracing::warn!("redis {reason}"),
                (Some(_), Some(reason)) => tracing::debug!("redis {reason}"),
            }
            *condition = next;
            true
        });
    }

    pub(super) fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Writes the series `portcullis_redis_*`.
    pub(super) fn expose(&self, out: &mut Exposition) {
        let none: [(&str, &str); 0] = [];
        out.family("portcullis_redis_commands_total", "Commands for Redis.", Kind::Counter);
        out.count("portcullis_redis_commands_total", &none, self.commands.value());
        out.family("portcullis_redis_failures_total", "Commands that were not answered.", Kind::Counter);
        for (reason, counter) in Trouble::REASONS.iter().zip(&self.failures) {
            out.count("portcullis_redis_failures_total", &[("reason", reason)], counter.value());
        }
        let opened = "portcullis_redis_breaker_opened_total";
        out.family(opened, "Times that a node was given up for a while.", Kind::Counter);
        out.count(opened, &none, self.breaker_opened.value());
        let connected = u64::from(self.connections() > 0);
        out.family("portcullis_redis_connected", "Whether there is any connection.", Kind::Gauge);
        out.count("portcullis_redis_connected", &none, connected);
        out.family("portcullis_redis_connections", "Connections, without those of subscriptions.", Kind::Gauge);
        out.count("portcullis_redis_connections", &none, self.connections() as u64);
        let healthy = u64::from(*self.condition.borrow() == Condition::Healthy);
        out.family("portcullis_redis_healthy", "Whether every known node answers.", Kind::Gauge);
        out.count("portcullis_redis_healthy", &none, healthy);
    }
}
