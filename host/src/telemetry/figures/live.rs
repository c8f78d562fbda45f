//! The figures of the last seconds, as alerts, advice and the dashboard read them.
//!
//! Plain values: who holds one holds no lock and waits for nobody. Ratios are 0…1, times are durations, and what cannot be said, since
//! nothing happened, is `None`.

use std::time::Duration;

use crate::names::Hook;

/// The figures of the last seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// When they were taken, since the Unix epoch.
    pub at: Duration,
    /// What they are about: the seconds before `at` that have been seen, at most those that were asked for.
    pub window: Duration,
    /// All routes together, and requests without one.
    pub total: Traffic,
    /// One value per second, the oldest first.
    pub series: Series,
    /// By route, the busiest first. `_none` are the requests without one, `_other` those of routes beyond the bound.
    pub routes: Vec<RouteFigures>,
    /// By plugin and hook, the most expensive first.
    pub plugins: Vec<HookFigures>,
    /// By upstream, in the order of their names.
    pub upstreams: Vec<UpstreamFigures>,
    /// At the moment.
    pub connections: ConnectionFigures,
    /// At the moment.
    pub process: ProcessFigures,
}

/// What requests did and how they fared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// Requests that ended.
    pub requests: u64,
    /// The same per second.
    pub requests_per_second: f64,
    /// Requests that failed, by whose fault.
    pub errors: Faults,
    /// Those that were not the client's fault, per second.
    pub errors_per_second: f64,
    /// Responses by status class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub status: [u64; 5],
    /// From the request head to the last byte.
    pub latency: Latency,
    /// From the request head to the response head.
    pub head: Latency,
    /// Bytes of response bodies per second.
    pub bytes_per_second: f64,
    /// Responses that were not handed on to their end.
    pub incomplete: u64,
}

/// Requests that failed, by whose fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The client's.
    pub downstream: u64,
    /// The upstream's: also where it answered with 5xx.
    pub upstream: u64,
    /// A plugin's.
    pub plugin: u64,
    /// The gateway's.
    pub internal: u64,
}

/// How long something took. Quantiles are interpolated within the buckets of a histogram; none: there was nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// The mean.
    pub mean: Option<Duration>,
    /// Half of them took at most this.
    pub p50: Option<Duration>,
    /// Of a hundred, five took longer.
    pub p95: Option<Duration>,
    /// Of a hundred, one took longer.
    pub p99: Option<Duration>,
}

/// One value per second, the oldest first; all of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Requests per second.
    pub requests_per_second: Vec<f64>,
    /// None: nothing ended in that second.
    pub p95: Vec<Option<Duration>>,
    /// Errors that were not the client's fault, per second.
    pub errors_per_second: Vec<f64>,
}

/// A route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteFigures {
    /// Its name, or `_none`, or `_other`.
    pub route: String,
    /// What its requests did.
    pub traffic: Traffic,
    /// Requests that asked to read: GET and HEAD.
    pub reads: u64,
    /// Of the requests that the cache was asked for, the part that it answered; none: it was not asked.
    pub cache_hit_ratio: Option<f64>,
    /// Where the time of a request goes, in the mean.
    pub time: Split,
    /// Its plugins, the most expensive first.
    pub plugins: Vec<PluginShare>,
}

/// Where the time of a request goes, in the mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Split {
    /// Hooks of plugins.
    pub plugins: Duration,
    /// Waiting for the upstream's response head.
    pub upstream: Duration,
    /// Looking into the cache.
    pub cache: Duration,
    /// The rest: routing, the body, the client's network.
    pub other: Duration,
}

/// What a plugin costs a route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginShare {
    /// Its name.
    pub plugin: String,
    /// Time of all its hooks, in the mean over all requests of the route.
    pub mean: Duration,
    /// `mean` as a part of the mean time of the route's requests.
    pub share: f64,
    /// Requests that it was called for, per second.
    pub calls_per_second: f64,
}

/// What a hook of a plugin costs.
#[derive(Debug, Clone, PartialEq)]
pub struct HookFigures {
    /// The plugin.
    pub plugin: String,
    /// The hook.
    pub hook: Hook,
    /// Calls per second.
    pub calls_per_second: f64,
    /// Time per call.
    pub mean: Duration,
    /// Calls that failed, per second.
    pub failures_per_second: f64,
    /// Fuel per call.
    pub fuel_per_call: f64,
}

/// An upstream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpstreamFigures {
    /// Its name.
    pub upstream: String,
    /// Requests that were sent, repeated ones included, per second.
    pub requests_per_second: f64,
    /// Requests without response, or answered with 5xx, per second.
    pub failures_per_second: f64,
    /// Requests under way.
    pub in_flight: u64,
    /// Time to the response head, in the mean; none: nothing was answered.
    pub mean: Option<Duration>,
    /// Requests that wait for a connection.
    pub pending: u64,
    /// Requests that were refused instead of waiting on, per second.
    pub pending_refused_per_second: f64,
    /// Requests that were sent once more, per second.
    pub retries_per_second: f64,
    /// Workers whose breaker is not closed.
    pub breakers_open: u64,
    /// Connections.
    pub open_connections: u64,
    /// Those that wait for a request.
    pub idle_connections: u64,
    /// Its endpoints, as far as they were asked.
    pub endpoints: Vec<EndpointFigures>,
}

/// An endpoint of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointFigures {
    /// Which.
    pub endpoint: String,
    /// Requests that it was chosen for, repeated ones included.
    pub requests: u64,
    /// Those without response, or answered with 5xx.
    pub failures: u64,
    /// Those that it answered.
    pub answers: u64,
    /// Time to the response head, in the mean.
    pub mean: Option<Duration>,
    /// The mean of a usual second, which half of the answers fell into or into faster ones: a few that took long do not change it.
    pub usual: Option<Duration>,
}

/// What is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionFigures {
    /// Clients' connections.
    pub open: u64,
    /// Requests under way.
    pub requests_in_flight: u64,
}

/// The process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessFigures {
    /// Resident memory.
    pub memory_bytes: u64,
    /// Processor time as a percentage of one processor.
    pub cpu_percent: f64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub open_files: u64,
}
