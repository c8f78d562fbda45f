//! What one worker counts for one route, and the sum of all workers.
//!
//! Only the worker writes, and it writes plain numbers. Readers may see one exchange half counted, never one twice.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use http::{Method, StatusCode};

use super::exemplar::{Exemplar, Exemplars};
use super::{BOUNDS, Methods};
use crate::exchange::{CacheStatus, Exchange, Fault, Reason, Sampled};
use crate::telemetry::End;
use crate::telemetry::times::{Count, Spread, Times, nanoseconds};

/// Plugins of one route that are told apart. Further ones are counted together.
const PLUGINS_MAX: usize = 32;
/// No plugin's number: nobody has the place.
const NOBODY: u32 = u32::MAX;
/// No plugin's number: the place is that of all who found none.
const OTHERS: u32 = u32::MAX - 1;

/// What one worker counts for one route.
#[derive(Debug)]
pub(super) struct Sheet {
    /// By method, then by status class.
    requests: [[Count; 5]; Methods::ALL.len()],
    duration: Times,
    head: Times,
    request_bytes: Count,
    response_bytes: Count,
    incomplete: Count,
    failures: [Count; Reason::ALL.len()],
    /// Responses with 5xx that are the upstream's own.
    upstream_status: Count,
    cache: [Count; 4],
    /// Nanoseconds of routing, cache, upstream and plugins.
    parts: [Count; 4],
    plugins: [Slot; PLUGINS_MAX],
    exemplars: Exemplars,
}

/// What a plugin costs a route.
#[derive(Debug)]
struct Slot {
    number: AtomicU32,
    calls: Count,
    nanoseconds: Count,
}

impl Default for Slot {
    fn default() -> Self {
        Self { number: AtomicU32::new(NOBODY), calls: Count::default(), nanoseconds: Count::default() }
    }
}

impl Default for Sheet {
    fn default() -> Self {
        Self {
            requests: Default::default(),
            duration: Times::default(),
            head: Times::default(),
            request_bytes: Count::default(),
            response_bytes: Count::default(),
            incomplete: Count::default(),
            failures: std::array::from_fn(|_| Count::default()),
            upstream_status: Count::default(),
            cache: Default::default(),
            parts: Default::default(),
            plugins: std::array::from_fn(|_| Slot::default()),
            exemplars: Exemplars::default(),
        }
    }
}

impl Sheet {
    /// Counts an exchange that ended `at` (since the Unix epoch).
    pub(super) fn record(&self, exchange: &Exchange, end: &End, at: Duration) {
        let class = usize::from(end.status.as_u16() / 100).saturating_sub(1).min(4);
        let method = Methods::of(&exchange.request.method) as usize;
        if let Some(count) = self.requests.get(method).and_then(|classes| classes.get(class)) {
            count.add(1);
        }
        if let Some(head) = end.head {
            self.head.record(head);
        }
        // A connection that speaks another protocol now lasts as long as it likes.
        if end.status != StatusCode::SWITCHING_PROTOCOLS {
            self.duration.record(end.duration);
            if self.exemplars.wants(end.duration, at) {
                let (request, traced) = (exchange.id.clone(), exchange.trace.as_ref());
                let trace = traced.filter(|trace| trace.sampled == Sampled::Yes).map(|trace| trace.id);
                self.exemplars.note(Exemplar { request, trace, took: end.duration, at });
            }
        }
        self.request_bytes.add(exchange.received.bytes());
        self.response_bytes.add(end.body_bytes);
        if !end.complete {
            self.incomplete.add(1);
        }
        match exchange.failure {
            Some(reason) => self.failures.get(reason as usize).into_iter().for_each(|count| count.add(1)),
            None if end.status.is_server_error() && exchange.delivery.endpoint.is_some() => self.upstream_status.add(1),
            None => {}
        }
        if let Some(count) = self.cache.get(exchange.cache as usize) {
            count.add(1);
        }
        let timings = &exchange.timings;
        let parts = [timings.routing, timings.cache, timings.upstream, timings.plugins];
        self.parts.iter().zip(parts).for_each(|(count, took)| count.add(nanoseconds(took)));
        timings.per_plugin.iter().for_each(|(number, took)| self.plugin(*number, *took));
    }

    fn plugin(&self, number: u32, took: Duration) {
        let place = self.plugins.iter().take(PLUGINS_MAX - 1).find(|slot| {
            let known = slot.number.load(Relaxed);
            known == number || known == NOBODY
        });
        let (slot, number) = match (place, self.plugins.last()) {
            (Some(slot), _) => (slot, number),
            (None, Some(last)) => (last, OTHERS),
            (None, None) => return,
        };
        slot.number.store(number, Relaxed);
        slot.calls.add(1);
        slot.nanoseconds.add(nanoseconds(took));
    }

    /// Adds what was counted to a sum.
    pub(super) fn add_to(&self, sum: &mut Sum) {
        for (sums, counts) in sum.requests.iter_mut().zip(&self.requests) {
            add(sums, counts);
        }
        self.duration.add_to(&mut sum.duration);
        self.head.add_to(&mut sum.head);
        sum.request_bytes += self.request_bytes.value();
        sum.response_bytes += self.response_bytes.value();
        sum.incomplete += self.incomplete.value();
        add(&mut sum.failures, &self.failures);
        sum.upstream_status += self.upstream_status.value();
        add(&mut sum.cache, &self.cache);
        add(&mut sum.parts, &self.parts);
        for slot in &self.plugins {
            let (number, calls, nanoseconds) =
                (slot.number.load(Relaxed), slot.calls.value(), slot.nanoseconds.value());
            if number != NOBODY {
                match sum.plugins.iter_mut().find(|known| known.number == number) {
                    Some(known) => {
                        known.calls += calls;
                        known.nanoseconds += nanoseconds;
                    }
                    None => sum.plugins.push(PluginSum { number, calls, nanoseconds }),
                }
            }
        }
    }

    /// The newer ones of these and those, bucket by bucket.
    pub(super) fn examples(&self, all: &mut [Option<Exemplar>; BOUNDS.len() + 1]) {
        self.exemplars.add_to(all);
    }
}

fn add<const N: usize>(sums: &mut [u64; N], counts: &[Count; N]) {
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.value());
}

/// What all workers have counted for one route.
#[derive(Debug, Clone, PartialEq)]
pub struct Sum {
    /// By method (see [`Methods`]), then by status class, 1xx to 5xx.
    pub requests: [[u64; 5]; Methods::ALL.len()],
    /// From the request head to the last byte, without connections that changed protocols.
    pub duration: Spread,
    /// From the request head to the response head.
    pub head: Spread,
    /// Bytes of request bodies.
    pub request_bytes: u64,
    /// Bytes of response bodies.
    pub response_bytes: u64,
    /// Responses that were not handed on to their end.
    pub incomplete: u64,
    /// Exchanges that the gateway had to answer with an error, in the order of [`Reason::ALL`].
    pub failures: [u64; Reason::ALL.len()],
    /// Responses with 5xx that are the upstream's own.
    pub upstream_status: u64,
    /// By [`CacheStatus`].
    pub cache: [u64; 4],
    /// Nanoseconds of routing, cache, upstream and plugins.
    pub parts: [u64; 4],
    /// What plugins cost.
    pub plugins: Vec<PluginSum>,
}

/// What a plugin costs a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginSum {
    /// The plugin's number.
    pub number: u32,
    /// Exchanges that it was called for.
    pub calls: u64,
    /// The time of all its hooks.
    pub nanoseconds: u64,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            requests: Default::default(),
            duration: Spread::default(),
            head: Spread::default(),
            request_bytes: 0,
            response_bytes: 0,
            incomplete: 0,
            failures: [0; Reason::ALL.len()],
            upstream_status: 0,
            cache: [0; 4],
            parts: [0; 4],
            plugins: Vec::new(),
        }
    }
}

impl Sum {
    /// Requests by status class, 1xx to 5xx.
    pub fn status(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.requests.iter().filter_map(|classes| classes.get(class)).sum())
    }

    /// Requests that asked to read: GET and HEAD.
    pub fn reads(&self) -> u64 {
        let of = |method: Methods| self.requests.get(method as usize).map_or(0, |classes| classes.iter().sum());
        of(Methods::Get) + of(Methods::Head)
    }

    /// Exchanges that failed by somebody's fault.
    pub fn faults(&self, fault: Fault) -> u64 {
        let failed = Reason::ALL.iter().zip(self.failures).filter(|(reason, _)| reason.fault() == fault);
        let status = if fault == Fault::Upstream { self.upstream_status } else { 0 };
        failed.map(|(_, count)| count).sum::<u64>() + status
    }

    /// Requests with this standing at the cache.
    pub fn cached(&self, status: CacheStatus) -> u64 {
        self.cache.get(status as usize).copied().unwrap_or_default()
    }
}

impl Methods {
    /// The class of a method.
    #[inline]
    fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }
}
