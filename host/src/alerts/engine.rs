//! All alerts together: given what the metrics say and the time, what has changed.
//!
//! Pure.

use std::sync::Arc;
use std::time::Duration;

use super::definition::Definition;
use super::phase::{Change, Phase};
use super::track::Track;
use crate::telemetry::metrics::Sample;
use crate::time::Instant;

/// All alerts.
#[derive(Debug, Default)]
pub struct Engine {
    alerts: Vec<Alert>,
}

#[derive(Debug)]
struct Alert {
    definition: Arc<Definition>,
    track: Track,
    phase: Phase,
    /// Since when it stands there, as Unix time.
    since: Duration,
    value: Option<f64>,
    /// What the value was when it last was bad.
    last_bad: Option<f64>,
}

/// Something that is to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The alert.
    pub definition: Arc<Definition>,
    /// What has become of it.
    pub change: Change,
    /// The value at the moment; none where there is none by now.
    pub value: Option<f64>,
    /// The value when it last was bad.
    pub bad: Option<f64>,
    /// When it fired, as Unix time.
    pub fired: Duration,
    /// When this happened, as Unix time.
    pub at: Duration,
}

impl Transition {
    /// What is told to people: where it is over and nothing can be measured any more, what it was about.
    pub fn told(&self) -> String {
        match (self.change, self.value) {
            (Change::Resolved, None) if self.bad.is_some() => format!("it was: {}", self.definition.told(self.bad)),
            _ => self.definition.told(self.value),
        }
    }
}

/// How an alert stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The alert.
    pub definition: Arc<Definition>,
    /// Where it stands.
    pub phase: Phase,
    /// Since when, as Unix time; none: since the start.
    pub since: Option<Duration>,
    /// The value at the moment.
    pub value: Option<f64>,
}

impl Engine {
    /// Watches these from now on. One that is as it was goes on where it stands; one that fires and is gone or has changed is over.
    pub fn adopt(&mut self, definitions: &[Arc<Definition>], at: Duration) -> Vec<Transition> {
        let mut before = std::mem::take(&mut self.alerts);
        for definition in definitions {
            let known = before.iter().position(|alert| alert.definition == *definition);
            self.alerts.push(match known {
                Some(index) => before.swap_remove(index),
                None => Alert::new(Arc::clone(definition)),
            });
        }
        let firing = before.into_iter().filter(|alert| alert.phase == Phase::Firing);
        // Nobody looks at its value any more.
        firing.map(|alert| Transition { value: None, ..alert.transition(Change::Resolved, at) }).collect()
    }

    /// Whether any alert is about a series of this name.
    pub fn watches(&self, name: &str) -> bool {
        self.alerts.iter().any(|alert| alert.definition.measure.series().any(|series| series.is_named(name)))
    }

    /// Looks at what the metrics say `now`, which is `at` as Unix time. To be called about once a second.
    pub fn evaluate(&mut self, samples: &[Sample], now: Instant, at: Duration) -> Vec<Transition> {
        self.alerts.iter_mut().filter_map(|alert| alert.evaluate(samples, now, at)).collect()
    }

    /// How they stand.
    pub fn report(&self) -> Vec<Report> {
        let of = |alert: &Alert| Report {
            definition: Arc::clone(&alert.definition),
            phase: alert.phase,
            since: Some(alert.since).filter(|since| !since.is_zero()),
            value: alert.value,
        };
        self.alerts.iter().map(of).collect()
    }
}

impl Alert {
    fn new(definition: Arc<Definition>) -> Self {
        let (track, phase) = (Track::default(), Phase::default());
        Self { definition, track, phase, since: Duration::ZERO, value: None, last_bad: None }
    }

    fn evaluate(&mut self, samples: &[Sample], now: Instant, at: Duration) -> Option<Transition> {
        let Definition { measure, bound, over, hold, cooldown, .. } = &*self.definition;
        self.value = self.track.value(measure, samples, *over, now);
        let is_bad = bound.is_crossed(self.value);
        if is_bad {
            self.last_bad = self.value;
        }
        let (phase, change) = self.phase.next(is_bad, (*hold, *cooldown), now);
        let told = match change {
            Some(Change::Resolved) => Some(self.transition(Change::Resolved, at)),
            _ => None,
        };
        if phase.as_str() != self.phase.as_str() {
            self.since = at;
        }
        self.phase = phase;
        told.or_else(|| change.map(|change| self.transition(change, at)))
    }

    fn transition(&self, change: Change, at: Duration) -> Transition {
        let (bad, value) = match change {
            Change::Fired => (self.last_bad, self.last_bad),
            Change::Resolved => (self.last_bad, self.value),
        };
        Transition { definition: Arc::clone(&self.definition), change, value, bad, fired: self.since, at }
    }
}
