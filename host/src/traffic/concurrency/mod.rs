//! Adaptive concurrency: how many requests may be under way at a handler follows from how long it takes to answer.
//!
//! A [`Concurrency`] belongs to one route in one worker, so nothing is shared but what operators are told (`gauge`). It decides purely (`core`); here it
//! is counted who is inside. Who finds no room is refused at once: a queue in front of what is too slow only adds to the wait.

mod core;
mod gauge;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::names::Name;
use crate::time::Instant;

pub use gauge::{Standing, standings};

use core::Core;
use gauge::Gauge;

/// How the limit follows from latency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Algorithm {
    /// It is held where answers take this many times as long as they do without load (as in Envoy and Netflix's concurrency-limits).
    Gradient {
        /// How many times as long; above 1.
        tolerance: f64,
    },
    /// It grows by one while answers take less than this, and shrinks by a tenth when they take more (as TCP does with loss).
    Aimd {
        /// What is too long.
        latency: Duration,
    },
}

/// What may be under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The limit before anything is known.
    pub initial: u32,
    /// The least limit.
    pub min: u32,
    /// The largest limit.
    pub max: u32,
    /// How it follows from latency.
    pub algorithm: Algorithm,
}

/// How an answer turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was one; how long it took says something.
    Answered,
    /// There was none in time, or none at all: too much was asked.
    Failed,
}

/// What is under way at one handler.
#[derive(Debug)]
pub struct Concurrency {
    core: RefCell<Core>,
    settings: Settings,
    gauge: Arc<Gauge>,
}

impl Concurrency {
    /// With nothing under way, for this route.
    pub fn new(route: &Name, settings: Settings) -> Rc<Self> {
        let core = Core::new(settings);
        let gauge = Gauge::new(route);
        gauge.note(core.limit(), 0);
        Rc::new(Self { core: RefCell::new(core), settings, gauge })
    }

    /// How it was set up.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many may be under way now.
    pub fn limit(&self) -> u32 {
        self.core.borrow().limit()
    }

    /// One more, if there is room.
    pub fn enter(self: &Rc<Self>, now: Instant) -> Option<Place> {
        if !self.core.borrow_mut().enter(now) {
            self.gauge.refuse();
            return None;
        }
        self.tell();
        Some(Place { of: Rc::clone(self), began: now })
    }

    /// Tells operators what has become of the limit.
    fn tell(&self) {
        let core = self.core.borrow();
        self.gauge.note(core.limit(), core.under_way());
    }
}

/// One that is under way. Dropped without a word it tells nothing: the client went away.
#[derive(Debug)]
pub struct Place {
    of: Rc<Concurrency>,
    began: Instant,
}

impl Place {
    /// Since when it has been under way.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Is not under way any more. What the answer took counts from `asked` on, when the request was whole.
    pub fn leave(self, outcome: Outcome, asked: Instant, now: Instant) {
        let took = now.saturating_duration_since(asked);
        self.of.core.borrow_mut().learn(took, outcome, now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.core.borrow_mut().leave();
        self.of.tell();
    }
}
