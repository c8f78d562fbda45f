//! How the gateway is: a tree of its parts, each healthy, degraded or unhealthy, and why.
//!
//! Border: `gather` asks around and `tree` judges what was found, without asking anybody; who tells clients and operators is elsewhere.
//!
//! How parts make a whole: a part that is made of parts is unhealthy when all of them are, and degraded when any of them is not healthy. The
//! gateway itself is unhealthy only when it cannot serve at all, because it has no generation or no worker; whatever else is wrong
//! leaves it degraded, since another instance would hardly be better off and must not be taken out of service for it.

mod findings;
mod gather;
mod part;
mod pulse;
mod watch;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use crate::alerts::{Counted, Report};
use crate::names::Name;
use crate::shutdown::Draining;
use crate::time::Instant;
use crate::traffic::Pressure;

pub use findings::{Certificate, Findings, FiringAlert, tree, word};
pub use part::{Part, Status};
pub use pulse::{Beat, Beating, Pulse};
pub(crate) use watch::start;

/// How alerts stand, and what became of what webhooks were to be told.
pub type Standings = (Vec<Report>, Vec<(Name, Arc<Counted>)>);

/// What is known of the process besides what its generation tells.
#[derive(Debug)]
pub struct Monitor {
    pulses: Mutex<Vec<Arc<Pulse>>>,
    pressure: Arc<Pressure>,
    /// What is wrong with what is stored since the start.
    cache_trouble: Mutex<Vec<String>>,
    draining: Draining,
    /// How the alerts stood when they were evaluated last, and what became of what webhooks were to be told.
    alerts: Mutex<Standings>,
    obtained: gather::Obtained,
}

impl Monitor {
    /// A monitor without workers.
    pub fn new(pressure: Arc<Pressure>, draining: Draining) -> Self {
        Self {
            pulses: Mutex::default(),
            pressure,
            cache_trouble: Mutex::default(),
            draining,
            alerts: Mutex::default(),
            obtained: gather::Obtained::default(),
        }
    }

    /// The pulse of one more worker.
    pub fn pulse(&self, number: usize, now: Instant) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::new(number, now));
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&pulse));
        pulse
    }

    /// Notes that something is wrong with what is stored.
    pub fn cache_trouble(&self, what: String) {
        self.cache_trouble.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// How the alerts stood when they were evaluated last, and what became of what webhooks were to be told.
    pub fn alerts(&self) -> Standings {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_alerts(&self, reports: Vec<Report>, counted: Vec<(Name, Arc<Counted>)>) {
        *self.alerts.lock().unwrap_or_else(PoisonError::into_inner) = (reports, counted);
    }

    /// Whether no worker is stuck.
    pub fn is_alive(&self, now: Instant) -> bool {
        !self.beats(now).iter().any(|(_, beat)| matches!(beat, Beat::Stuck(_)))
    }

    fn beats(&self, now: Instant) -> Vec<(usize, Beat)> {
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.iter().map(|pulse| (pulse.number(), pulse.beat_at(now))).collect()
    }
}
