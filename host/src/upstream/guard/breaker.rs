//! The circuit breaker: an upstream that mostly fails, or is mostly slow, is left alone for a while.
//!
//! States: closed (all pass, results are counted) → open (nobody passes) when the share of bad results in the window is too
//! large → half open (some probes pass) when its time is over → closed when all probes were good, open at the first that
//! was not. Results of requests that passed in another state count for nothing.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::time::Instant;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Percent of failures from which on it opens; none: failures do not open it.
    pub failure_percent: Option<u32>,
    /// Slow responses from which on it opens; none: they do not.
    pub slow: Option<Slow>,
    /// Requests that there must be within the window: below, chance decides.
    pub requests_min: u32,
    /// For how long results count.
    pub window: Duration,
    /// For how long it stays open.
    pub open: Duration,
    /// Requests that pass when it is half open, all of which must be good.
    pub probes: u32,
}

/// When responses are too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slow {
    /// From so long on a response is slow.
    pub after: Duration,
    /// Percent of slow responses.
    pub percent: u32,
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Outcome {
    /// Answered, after so long.
    Answered(Duration),
    /// Not answered, or with a status of 500 and above.
    Failed,
    /// It says nothing about the upstream: the client gave up, or the gateway did.
    Nothing,
}

/// A request was let through. Its outcome must be told, whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) struct Pass(Option<Probe>);

/// Of which half-open state a request is a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Probe(u64);

/// The breaker changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Turn {
    /// Nobody passes any more, because so many percent were bad; none: a probe was.
    Opened(Option<u32>),
    /// All pass again.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { admitted: u32, good: u32 },
}

/// Parts of the window: what is older than it is forgotten in steps of a tenth.
const PARTS: usize = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// Which tenth since the breaker was made.
    number: u64,
    all: u32,
    failed: u32,
    slow: u32,
}

/// A breaker.
#[derive(Debug)]
pub(in crate::upstream) struct Breaker {
    settings: BreakerSettings,
    state: Cell<State>,
    /// Counts the half-open states.
    round: Cell<u64>,
    base: Instant,
    window: RefCell<[Part; PARTS]>,
}

impl Breaker {
    /// A closed one.
    pub(in crate::upstream) fn new(settings: BreakerSettings, now: Instant) -> Self {
        let (state, round) = (Cell::new(State::Closed), Cell::new(0));
        Self { settings, state, round, base: now, window: RefCell::default() }
    }

    pub(in crate::upstream) fn settings(&self) -> &BreakerSettings {
        &self.settings
    }

    /// Whether a request may pass; otherwise, after how long to try again.
    pub(in crate::upstream) fn admit(&self, now: Instant) -> Result<Pass, Duration> {
        match self.state.get() {
            State::Closed => return Ok(Pass(None)),
            State::Open { until } if now < until => return Err(until.saturating_duration_since(now)),
            State::Open { .. } => {
                self.round.set(self.round.get() + 1);
                self.state.set(State::HalfOpen { admitted: 1, good: 0 });
            }
            State::HalfOpen { admitted, good } if admitted < self.settings.probes => {
                self.state.set(State::HalfOpen { admitted: admitted + 1, good });
            }
            // What the probes come to is known soon.
            State::HalfOpen { .. } => return Err(Duration::from_secs(1)),
        }
        Ok(Pass(Some(Probe(self.round.get()))))
    }

    /// Takes in how a request went that had passed.
    pub(in crate::upstream) fn settle(&self, pass: Pass, outcome: Outcome, now: Instant) -> Option<Turn> {
        match (self.state.get(), pass) {
            (State::Closed, Pass(None)) => self.count(outcome, now),
            (State::HalfOpen { admitted, good }, Pass(Some(Probe(round)))) if round == self.round.get() => {
                self.judge((admitted, good), outcome, now)
            }
            _ => None,
        }
    }

    fn judge(&self, (admitted, good): (u32, u32), outcome: Outcome, now: Instant) -> Option<Turn> {
        match outcome {
            Outcome::Nothing => {
                self.state.set(State::HalfOpen { admitted: admitted.saturating_sub(1), good });
                None
            }
            Outcome::Answered(took) if !self.is_slow(took) && good + 1 >= self.settings.probes => {
                self.state.set(State::Closed);
                self.window.replace(Default::default());
                Some(Turn::Closed)
            }
            Outcome::Answered(took) if !self.is_slow(took) => {
                self.state.set(State::HalfOpen { admitted, good: good + 1 });
                None
            }
            Outcome::Answered(_) | Outcome::Failed => Some(self.open(None, now)),
        }
    }

    fn count(&self, outcome: Outcome, now: Instant) -> Option<Turn> {
        let (failed, slow) = match outcome {
            Outcome::Nothing => return None,
            Outcome::Failed => (1, 0),
            Outcome::Answered(took) => (0, u32::from(self.is_slow(took))),
        };
        let tenth = (self.settings.window.as_nanos() / PARTS as u128).max(1);
        let elapsed = now.saturating_duration_since(self.base).as_nanos();
        let number = u64::try_from(elapsed / tenth).unwrap_or(u64::MAX);
        let mut window = self.window.borrow_mut();
        let place = usize::try_from(number % PARTS as u64).unwrap_or_default();
        if let Some(part) = window.get_mut(place) {
            if part.number != number {
                *part = Part { number, ..Part::default() };
            }
            (part.all, part.failed, part.slow) = (part.all + 1, part.failed + failed, part.slow + slow);
        }
        let oldest = number.saturating_sub(PARTS as u64 - 1);
        let recent = window.iter().filter(|part| part.number >= oldest);
        let sum = |(all, failed, slow), part: &Part| (all + part.all, failed + part.failed, slow + part.slow);
        let (all, failed, slow) = recent.fold((0, 0, 0), sum);
        drop(window);
        if all < self.settings.requests_min {
            return None;
        }
        let percent = |count: u32| u32::try_from(u64::from(count) * 100 / u64::from(all.max(1))).unwrap_or(100);
        let too_many = |count: u32, limit: Option<u32>| {
            limit.is_some_and(|limit| count > 0 && percent(count) >= limit).then(|| percent(count))
        };
        let bad = too_many(failed, self.settings.failure_percent)
            .or_else(|| too_many(slow, self.settings.slow.map(|slow| slow.percent)))?;
        Some(self.open(Some(bad), now))
    }

    fn open(&self, why: Option<u32>, now: Instant) -> Turn {
        let until = now.checked_add(self.settings.open).unwrap_or(now);
        self.state.set(State::Open { until });
        Turn::Opened(why)
    }

    fn is_slow(&self, took: Duration) -> bool {
        self.settings.slow.is_some_and(|slow| took >= slow.after)
    }

    /// 0: closed, 1: half open, 2: open.
    pub(in crate::upstream) fn level(&self) -> u64 {
        match self.state.get() {
            State::Closed => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::time;

    const GOOD: Outcome = Outcome::Answered(Duration::from_millis(1));
    const SLOW: Outcome = Outcome::Answered(Duration::from_millis(500));

    fn breaker() -> (Breaker, impl Fn(u64) -> Instant) {
        let settings = BreakerSettings {
            failure_percent: Some(50),
            slow: Some(Slow { after: Duration::from_millis(500), percent: 80 }),
            requests_min: 4,
            window: Duration::from_secs(10),
            open: Duration::from_secs(5),
            probes: 2,
        };
        let start = time::now();
        (Breaker::new(settings, start), move |ms| start + Duration::from_millis(ms))
    }

    fn pass(breaker: &Breaker, outcome: Outcome, now: Instant) -> Option<Turn> {
        breaker.settle(breaker.admit(now).unwrap(), outcome, now)
    }

    #[test]
    fn it_opens_at_the_ratio_and_not_before_there_are_enough() {
        let (breaker, at) = breaker();
        for _ in 0..3 {
            assert_eq!(pass(&breaker, Outcome::Failed, at(0)), None);
        }
        assert_eq!(pass(&breaker, Outcome::Nothing, at(0)), None);
        assert_eq!(pass(&breaker, GOOD, at(1)), Some(Turn::Opened(Some(75))));
        assert_eq!(breaker.admit(at(2)), Err(Duration::from_millis(4999)));
        assert_eq!(breaker.level(), 2);
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let (breaker, at) = breaker();
        for _ in 0..3 {
            pass(&breaker, Outcome::Failed, at(0));
        }
        // More than ten seconds later, and as many tenths of the window.
        for moment in [10_001, 10_002, 10_003, 10_004] {
            assert_eq!(pass(&breaker, GOOD, at(moment)), None);
        }
        for (moment, expected) in [(10_100, None), (15_000, None), (20_000, None), (20_001, None)] {
            assert_eq!(pass(&breaker, Outcome::Failed, at(moment)), expected, "{moment}");
        }
        assert_eq!(pass(&breaker, Outcome::Failed, at(20_002)), Some(Turn::Opened(Some(100))));
    }

    #[test]
    fn slow_answers_open_it() {
        let (breaker, at) = breaker();
        for outcome in [SLOW, SLOW, SLOW, GOOD] {
            assert_eq!(pass(&breaker, outcome, at(0)), None);
        }
        assert_eq!(pass(&breaker, SLOW, at(0)), Some(Turn::Opened(Some(80))));
    }

    #[test]
    fn probes_decide_what_follows() {
        let (breaker, at) = breaker();
        let early = breaker.admit(at(0)).unwrap();
        for _ in 0..4 {
            pass(&breaker, Outcome::Failed, at(0));
        }
        // Two probes pass, the third request does not.
        let (one, two) = (breaker.admit(at(5000)).unwrap(), breaker.admit(at(5000)).unwrap());
        assert!(breaker.admit(at(5000)).is_err());
        assert_eq!(breaker.level(), 1);
        // What was under way before it opened says nothing; a probe that came to nothing makes room for another.
        assert_eq!(breaker.settle(early, Outcome::Failed, at(5001)), None);
        assert_eq!(breaker.settle(one, Outcome::Nothing, at(5001)), None);
        let three = breaker.admit(at(5002)).unwrap();
        assert_eq!(breaker.settle(two, GOOD, at(5003)), None);
        assert_eq!(breaker.settle(three, GOOD, at(5003)), Some(Turn::Closed));
        // The past is forgotten.
        assert_eq!(pass(&breaker, Outcome::Failed, at(5004)), None);
        assert_eq!(breaker.level(), 0);
    }

    #[test]
    fn a_bad_probe_opens_it_again() {
        for bad in [Outcome::Failed, SLOW] {
            let (breaker, at) = breaker();
            for _ in 0..4 {
                pass(&breaker, Outcome::Failed, at(0));
            }
            let (one, two) = (breaker.admit(at(5000)).unwrap(), breaker.admit(at(5000)).unwrap());
            assert_eq!(breaker.settle(one, bad, at(5001)), Some(Turn::Opened(None)));
            assert_eq!(breaker.admit(at(5002)), Err(Duration::from_millis(4999)));
            // A probe of the last time does not count this time.
            let next = breaker.admit(at(10_001)).unwrap();
            assert_eq!(breaker.settle(two, Outcome::Failed, at(10_002)), None);
            assert_eq!(breaker.settle(next, GOOD, at(10_002)), None);
            assert_eq!(pass(&breaker, GOOD, at(10_003)), Some(Turn::Closed));
        }
    }
}
