//! What the counters say at one moment, and how little is kept of the difference between two.

use std::sync::Arc;
use std::time::Duration;

use super::live::ConnectionFigures;
use crate::exchange::{CacheStatus, Fault};
use crate::names::{Hook, Name};
use crate::telemetry::accounts::{Owner, PluginSum, Sum};
use crate::telemetry::times::Spread;
use crate::time::Instant;

/// What the counters say at one moment. All of them only grow, but for the gauges of `now`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When.
    pub moment: Instant,
    /// The same, since the Unix epoch.
    pub at: Duration,
    /// What became of requests.
    pub routes: Vec<(Owner, Sum)>,
    /// The names of plugins by their numbers.
    pub plugins: Vec<Name>,
    /// What plugins cost, by hook.
    pub hooks: Vec<(Name, Hook, HookCounts)>,
    /// What upstreams were asked.
    pub upstreams: Vec<(Name, UpstreamCounts, UpstreamGauges)>,
    /// What their endpoints were asked: the upstream, the endpoint, and how much.
    pub endpoints: Vec<(Name, Arc<str>, Asked)>,
    /// Processor time of the process.
    pub cpu: Duration,
    /// What is under way.
    pub connections: ConnectionFigures,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub open_files: u64,
}

/// What calls of a hook cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookCounts {
    /// Calls.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Their time.
    pub nanoseconds: u64,
    /// Their fuel.
    pub fuel: u64,
}

/// What an upstream was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpstreamCounts {
    /// What became of requests.
    pub asked: Asked,
    /// Requests refused instead of waiting for a connection.
    pub pending_refused: u64,
    /// Requests that were sent once more.
    pub retries: u64,
}

/// What became of requests to an upstream or one of its endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Requests, repeated ones included.
    pub requests: u64,
    /// Those without response, or answered with 5xx.
    pub failures: u64,
    /// Those that were answered.
    pub answers: u64,
    /// The time until they were.
    pub nanoseconds: u64,
}

/// How an upstream is at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpstreamGauges {
    /// Requests under way.
    pub in_flight: u64,
    /// Requests that wait for a connection.
    pub pending: u64,
    /// Workers whose breaker is not closed.
    pub breakers_open: u64,
    /// Connections.
    pub open_connections: u64,
    /// Those that wait for a request.
    pub idle_connections: u64,
}

/// What became of the requests of one route between two moments.
#[derive(Debug, Clone, Default)]
pub(super) struct RouteGrowth {
    pub(super) status: [u64; 5],
    pub(super) faults: [u64; 4],
    pub(super) reads: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) bytes: u64,
    pub(super) incomplete: u64,
    /// Nanoseconds of routing, cache, upstream and plugins.
    pub(super) parts: [u64; 4],
    pub(super) duration: Sparse,
    pub(super) head: Sparse,
    pub(super) plugins: Vec<PluginSum>,
}

impl RouteGrowth {
    /// What came in between; none where nothing did.
    pub(super) fn between(before: Option<&Sum>, after: &Sum) -> Option<Self> {
        let nothing = Sum::default();
        let before = before.unwrap_or(&nothing);
        let status = difference(&after.status(), &before.status());
        if status == [0; 5] {
            return None;
        }
        let faults = [Fault::Downstream, Fault::Upstream, Fault::Plugin, Fault::Internal];
        let grown = |of: &dyn Fn(&Sum) -> u64| of(after).saturating_sub(of(before));
        let plugins = after.plugins.iter().map(|sum| {
            let known = before.plugins.iter().find(|known| known.number == sum.number);
            let (calls, nanoseconds) = known.map_or((0, 0), |known| (known.calls, known.nanoseconds));
            PluginSum {
                calls: sum.calls.saturating_sub(calls),
                nanoseconds: sum.nanoseconds.saturating_sub(nanoseconds),
                ..*sum
            }
        });
        Some(Self {
            status,
            faults: faults.map(|fault| grown(&|sum| sum.faults(fault))),
            reads: grown(&Sum::reads),
            hits: grown(&|sum| sum.cached(CacheStatus::Hit)),
            misses: grown(&|sum| sum.cached(CacheStatus::Miss)),
            bytes: grown(&|sum| sum.response_bytes),
            incomplete: grown(&|sum| sum.incomplete),
            parts: difference(&after.parts, &before.parts),
            duration: Sparse::of(&after.duration.since(&before.duration)),
            head: Sparse::of(&after.head.since(&before.head)),
            plugins: plugins.filter(|grown| grown.calls > 0).collect(),
        })
    }

    /// This and another together.
    pub(super) fn add(&mut self, other: &Self) {
        add(&mut self.status, &other.status);
        add(&mut self.faults, &other.faults);
        self.reads += other.reads;
        self.hits += other.hits;
        self.misses += other.misses;
        self.bytes += other.bytes;
        self.incomplete += other.incomplete;
        add(&mut self.parts, &other.parts);
        self.duration.add(&other.duration);
        self.head.add(&other.head);
        for grown in &other.plugins {
            match self.plugins.iter_mut().find(|known| known.number == grown.number) {
                Some(known) => {
                    known.calls += grown.calls;
                    known.nanoseconds += grown.nanoseconds;
                }
                None => self.plugins.push(*grown),
            }
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.status.iter().sum()
    }
}

/// A [`Spread`] without its empty buckets: in a second most of them are.
#[derive(Debug, Clone, Default)]
pub(super) struct Sparse {
    buckets: Vec<(u8, u32)>,
    nanoseconds: u64,
}

impl Sparse {
    fn of(spread: &Spread) -> Self {
        let filled = spread.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        // There are fewer than 256 buckets, and no second has 2^32 requests.
        let buckets = filled.map(|(index, count)| (index as u8, u32::try_from(*count).unwrap_or(u32::MAX))).collect();
        Self { buckets, nanoseconds: spread.nanoseconds }
    }

    fn add(&mut self, other: &Self) {
        for (index, count) in &other.buckets {
            match self.buckets.iter_mut().find(|(known, _)| known == index) {
                Some((_, sum)) => *sum = sum.saturating_add(*count),
                None => self.buckets.push((*index, *count)),
            }
        }
        self.nanoseconds += other.nanoseconds;
    }

    /// All of it.
    pub(super) fn spread(&self) -> Spread {
        let mut spread = Spread { nanoseconds: self.nanoseconds, ..Spread::default() };
        for (index, count) in &self.buckets {
            if let Some(bucket) = spread.buckets.get_mut(usize::from(*index)) {
                *bucket = u64::from(*count);
            }
        }
        spread
    }
}

impl HookCounts {
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(before.calls),
            failures: self.failures.saturating_sub(before.failures),
            nanoseconds: self.nanoseconds.saturating_sub(before.nanoseconds),
            fuel: self.fuel.saturating_sub(before.fuel),
        }
    }

    /// Adds what others cost.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.nanoseconds += other.nanoseconds;
        self.fuel += other.fuel;
    }
}

impl UpstreamCounts {
    /// What came in since. An upstream that left and came back has begun anew.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            asked: self.asked.since(&before.asked),
            pending_refused: self.pending_refused.saturating_sub(before.pending_refused),
            retries: self.retries.saturating_sub(before.retries),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.asked.add(&other.asked);
        self.pending_refused += other.pending_refused;
        self.retries += other.retries;
    }
}

impl Asked {
    /// What came in since. An endpoint that left and came back has begun anew.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            failures: self.failures.saturating_sub(before.failures),
            answers: self.answers.saturating_sub(before.answers),
            nanoseconds: self.nanoseconds.saturating_sub(before.nanoseconds),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.answers += other.answers;
        self.nanoseconds += other.nanoseconds;
    }

    /// Time to the response head, in the mean.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.nanoseconds.checked_div(self.answers).map(Duration::from_nanos)
    }
}

fn difference<const N: usize>(after: &[u64; N], before: &[u64; N]) -> [u64; N] {
    let mut grown = *after;
    grown.iter_mut().zip(before).for_each(|(count, before)| *count = count.saturating_sub(*before));
    grown
}

fn add<const N: usize>(sums: &mut [u64; N], counts: &[u64; N]) {
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}
