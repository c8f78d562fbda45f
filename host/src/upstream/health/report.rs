//! What operators are told of upstreams: numbers of all workers together, and how they are exposed as metrics.

use std::sync::Weak;
use std::sync::atomic::Ordering;

use super::Site;
use super::board::{Entry, Gauge, Reckoning, Tally, Vital};
use crate::names::Name;
use crate::telemetry::accounts;
use crate::telemetry::metrics::{Exposition, Kind};
use crate::telemetry::times::Spread;
use crate::time::Instant;

/// What operators are told of one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamReport {
    /// Its name.
    pub name: Name,
    /// Its endpoints.
    pub endpoints: Vec<EndpointReport>,
    /// Requests that were sent once more, and those that the retry budget did not allow.
    pub retries: [u64; 2],
    /// Requests that wait for a connection, and those that were refused instead.
    pub pending: [u64; 2],
    /// Workers whose breaker is open or half open.
    pub breakers_open: u64,
    /// How often a worker's breaker opened, and the requests that were refused meanwhile.
    pub breaker: [u64; 2],
    /// How long endpoints took to answer, to the end of the response head.
    pub times: Spread,
}

/// What operators are told of one endpoint: of all workers together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointReport {
    /// Which.
    pub endpoint: String,
    /// Whether active checks find it well. Without checks it is.
    pub healthy: bool,
    /// How often it became healthy, and unhealthy.
    pub turns: [u64; 2],
    /// Workers that have ejected it.
    pub ejected: u64,
    /// Requests under way.
    pub busy: u64,
    /// Connections.
    pub open: u64,
    /// Those that wait for a request.
    pub idle: u64,
    /// Requests that it was chosen for, repeated ones included.
    pub requests: u64,
    /// Requests that it failed.
    pub failures: u64,
    /// Responses that it gave.
    pub answers: u64,
    /// Nanoseconds until it had given their heads.
    pub nanoseconds: u64,
    /// Requests that it failed since it last answered one well.
    pub failing: u64,
}

/// What is told of an upstream.
pub(super) fn of(name: &Name, entry: &Entry, now: Instant) -> UpstreamReport {
    let reckonings: Vec<_> = entry.reckonings.iter().filter_map(Weak::upgrade).collect();
    let sum = |gauge: fn(&Reckoning) -> &Gauge| reckonings.iter().map(|reckoning| gauge(reckoning).value()).sum();
    let endpoint = |(site, vital): &(Site, Weak<Vital>)| {
        let vital = vital.upgrade()?;
        let (tallies, before) = vital.tallies();
        let sums = tallies.iter().fold(before, |sums, tally| sums.with(tally));
        let sum = |gauge: fn(&Tally) -> &Gauge| tallies.iter().map(|tally| gauge(tally).value()).sum();
        let now_ms = vital.millis(now);
        let ejected = tallies.iter().filter(|tally| tally.ejected_until_ms.value() > now_ms).count() as u64;
        Some(EndpointReport {
            endpoint: site.to_string(),
            healthy: vital.is_up(),
            turns: vital.turns.each_ref().map(|turns| turns.load(Ordering::Relaxed)),
            ejected,
            busy: sum(|tally| &tally.busy),
            open: sum(|tally| &tally.open),
            idle: sum(|tally| &tally.idle),
            requests: sums.requests,
            failures: sums.failures,
            answers: sums.answers,
            nanoseconds: sums.nanoseconds,
            failing: vital.failing(),
        })
    };
    let mut times = Spread::default();
    reckonings.iter().for_each(|known| known.times.add_to(&mut times));
    UpstreamReport {
        name: name.clone(),
        times,
        endpoints: entry.vitals.iter().filter_map(endpoint).collect(),
        retries: [sum(|known| &known.retries), sum(|known| &known.retries_refused)],
        pending: [sum(|known| &known.pending), sum(|known| &known.pending_refused)],
        breakers_open: reckonings.iter().filter(|known| known.breaker.value() > 0).count() as u64,
        breaker: [sum(|known| &known.breaker_opened), sum(|known| &known.breaker_refused)],
    }
}

/// Writes the metrics of all upstreams.
pub fn expose(reports: &[UpstreamReport], out: &mut Exposition) {
    type OfEndpoint = fn(&EndpointReport) -> u64;
    let endpoints: [(&str, &str, Kind, OfEndpoint); 7] = [
        ("healthy", "Whether active checks find an endpoint well.", Kind::Gauge, |of| u64::from(of.healthy)),
        ("ejected", "Workers that do not ask an endpoint because it failed.", Kind::Gauge, |of| of.ejected),
        ("in_flight", "Requests under way.", Kind::Gauge, |of| of.busy),
        ("open_connections", "Connections.", Kind::Gauge, |of| of.open),
        ("idle_connections", "Connections that wait for a request.", Kind::Gauge, |of| of.idle),
        ("requests_total", "Requests it was chosen for, repeated ones included.", Kind::Counter, |of| of.requests),
        ("failures_total", "Requests without response, or answered with 5xx.", Kind::Counter, |of| of.failures),
    ];
    for (what, help, kind, value) in endpoints {
        let name = format!("portcullis_upstream_endpoint_{what}");
        out.family(&name, help, kind);
        for report in reports {
            for endpoint in &report.endpoints {
                let labels = [("upstream", report.name.as_str()), ("endpoint", &endpoint.endpoint)];
                out.count(&name, &labels, value(endpoint));
            }
        }
    }
    let name = "portcullis_upstream_endpoint_health_changes_total";
    out.family(name, "How often active checks found an endpoint changed.", Kind::Counter);
    for report in reports {
        for endpoint in &report.endpoints {
            for (to, turns) in ["healthy", "unhealthy"].into_iter().zip(endpoint.turns) {
                let labels = [("upstream", report.name.as_str()), ("endpoint", &endpoint.endpoint), ("to", to)];
                out.count(name, &labels, turns);
            }
        }
    }
    type OfUpstream = fn(&UpstreamReport) -> u64;
    let upstreams: [(&str, &str, Kind, OfUpstream); 7] = [
        ("retries_total", "Requests that were sent once more.", Kind::Counter, |of| of.retries[0]),
        ("retries_refused_total", "Retries beyond the budget.", Kind::Counter, |of| of.retries[1]),
        ("pending", "Requests that wait for a connection.", Kind::Gauge, |of| of.pending[0]),
        ("pending_refused_total", "Requests refused instead of waiting on.", Kind::Counter, |of| of.pending[1]),
        ("breakers_open", "Workers whose breaker is not closed.", Kind::Gauge, |of| of.breakers_open),
        ("breaker_opened_total", "How often a breaker opened.", Kind::Counter, |of| of.breaker[0]),
        ("breaker_refused_total", "Requests that a breaker refused.", Kind::Counter, |of| of.breaker[1]),
    ];
    for (what, help, kind, value) in upstreams {
        let name = format!("portcullis_upstream_{what}");
        out.family(&name, help, kind);
        for report in reports {
            out.count(&name, &[("upstream", report.name.as_str())], value(report));
        }
    }
    let name = "portcullis_upstream_response_seconds";
    out.family(name, "Time until an endpoint had answered a request with a response head.", Kind::Histogram);
    for report in reports {
        accounts::times(name, &[("upstream", report.name.as_str())], &report.times, None, out);
    }
}
