//! The limit itself: what it becomes after each short window of time.
//!
//! Pure. What answers take without load is the least that a window took on average lately; so that it stays true while there always is load, the limit
//! is halved for a moment now and then, and what answers take meanwhile is the new measure (as BBR probes for the round trip).

use std::time::Duration;

use super::{Algorithm, Outcome, Settings};
use crate::time::Instant;

/// How often the limit changes. Long enough for some answers, short against how fast load grows.
const WINDOW: Duration = Duration::from_millis(100);
/// Answers without which a window says nothing; it goes on until there are as many.
const ANSWERS_MIN: u32 = 10;
/// Windows after which it is measured anew what answers take without load: about half a minute.
const MEASURE_AFTER: u32 = 300;
/// The limit shrinks by this part at once when answers fail or take too long.
const BACK_OFF: f64 = 0.9;
/// Failures fewer than one in so many requests are those of some requests, and not of too many.
const FAILING_ONE_IN: u32 = 10;
/// How much of a new limit counts, so that one odd window does not matter.
const SMOOTHING: f64 = 0.3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Counts windows until the next measurement. Goes on to [`State::Measuring`].
    Following(u32),
    /// Half of the limit holds, for one window. Goes back to [`State::Following`].
    Measuring,
}

/// How many may be under way.
#[derive(Debug)]
pub(super) struct Core {
    settings: Settings,
    limit: f64,
    under_way: u32,
    /// What answers take without load, in seconds.
    unloaded: Option<f64>,
    state: State,
    window: Window,
}

/// What was learned since the limit changed last.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    answers: u32,
    seconds: f64,
    failures: u32,
    most_under_way: u32,
}

impl Window {
    /// Whether so much failed that it is too much that was asked.
    fn failed(&self) -> bool {
        self.failures > 0 && self.failures.saturating_mul(FAILING_ONE_IN) >= self.failures.saturating_add(self.answers)
    }
}

impl Core {
    pub(super) fn new(settings: Settings) -> Self {
        let limit = f64::from(settings.initial.clamp(settings.min, settings.max));
        let (state, window) = (State::Following(0), Window::default());
        Self { settings, limit, under_way: 0, unloaded: None, state, window }
    }

    /// How many may be under way now.
    pub(super) fn limit(&self) -> u32 {
        let limit = match self.state {
            State::Following(_) => self.limit,
            State::Measuring => self.limit / 2.0,
        };
        (limit as u32).clamp(self.settings.min, self.settings.max)
    }

    /// How many are.
    pub(super) fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Takes one more on, if there is room.
    pub(super) fn enter(&mut self, now: Instant) -> bool {
        self.window.began.get_or_insert(now);
        if self.under_way >= self.limit() {
            // That many would have been there.
            self.window.most_under_way = self.window.most_under_way.max(self.under_way);
            return false;
        }
        self.under_way += 1;
        self.window.most_under_way = self.window.most_under_way.max(self.under_way);
        true
    }

    /// One less is under way.
    pub(super) fn leave(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Learns what an answer took.
    pub(super) fn learn(&mut self, took: Duration, outcome: Outcome, now: Instant) {
        let began = *self.window.began.get_or_insert(now);
        match outcome {
            Outcome::Answered => {
                self.window.answers += 1;
                self.window.seconds += took.as_secs_f64();
            }
            Outcome::Failed => self.window.failures += 1,
        }
        let over = now.saturating_duration_since(began) >= WINDOW;
        if over && (self.window.answers >= ANSWERS_MIN || self.window.failures > 0) {
            let window = std::mem::take(&mut self.window);
            self.conclude(&window);
        }
    }

    /// What a window means for the limit.
    fn conclude(&mut self, window: &Window) {
        let mean = (window.answers > 0).then(|| window.seconds / f64::from(window.answers));
        let before = self.state;
        match (before, mean) {
            (State::Measuring, Some(mean)) => self.unloaded = Some(mean),
            (State::Following(_), Some(mean)) => {
                self.unloaded = Some(self.unloaded.map_or(mean, |known| known.min(mean)));
            }
            (_, None) => {}
        }
        self.state = match before {
            State::Following(windows) if windows >= MEASURE_AFTER => State::Measuring,
            State::Following(windows) => State::Following(windows + 1),
            State::Measuring => State::Following(0),
        };
        // What was asked by half of the limit says nothing about the whole.
        if before == State::Measuring && !window.failed() {
            return;
        }
        // Where less than half of it is used, nothing says that more would do.
        let used = f64::from(window.most_under_way) * 2.0 >= self.limit;
        self.limit = self.next(window, mean, used).clamp(f64::from(self.settings.min), f64::from(self.settings.max));
    }

    fn next(&self, window: &Window, mean: Option<f64>, used: bool) -> f64 {
        if window.failed() {
            return self.limit * BACK_OFF;
        }
        let Some(mean) = mean else { return self.limit };
        match self.settings.algorithm {
            Algorithm::Gradient { tolerance } => {
                let unloaded = self.unloaded.unwrap_or(mean);
                let gradient = (unloaded * tolerance / mean.max(f64::EPSILON)).clamp(0.5, 1.0);
                // Room for a short queue, which grows slower than the limit.
                let wanted = self.limit * gradient + self.limit.sqrt();
                let next = self.limit + (wanted - self.limit) * SMOOTHING;
                if used { next } else { next.min(self.limit) }
            }
            Algorithm::Aimd { latency } if mean > latency.as_secs_f64() => self.limit * BACK_OFF,
            Algorithm::Aimd { .. } if used => self.limit + 1.0,
            Algorithm::Aimd { .. } => self.limit,
        }
    }
}
