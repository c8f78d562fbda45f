//! Once a second, reads all counters, so that there are figures of the last seconds when somebody asks.
//!
//! On a thread of its own, which ends with the gateway. It reads what workers write and waits for none of them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::{Endpoint, Need};
use super::settings::Role;
use super::trouble::Trouble;
use super::{Status, upstreams};
use crate::names::{Hook, Name};
use crate::telemetry::figures::{
    Asked, ConnectionFigures, HookCounts, Snapshot, UpstreamCounts, UpstreamGauges, WINDOW_MAX,
};
use crate::telemetry::process::{self, Process};
use crate::telemetry::times::nanoseconds;
use crate::time::{self, Instant};
use crate::upstream::{EndpointReport, UpstreamReport};

/// What is asked for where nothing else is said.
const WINDOW: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(1);
/// Counting open files takes the longer the more there are.
const FILES_EVERY: u64 = 5;

/// Starts to sample, for as long as somebody holds the status.
pub(crate) fn start(status: &Arc<Mutex<Status>>) -> io::Result<()> {
    let status = Arc::downgrade(status);
    thread::Builder::new().name("figures".into()).spawn(move || run(&status))?;
    Ok(())
}

fn run(status: &Weak<Mutex<Status>>) {
    let (mut next, mut round, mut open_files) = (time::now(), 0_u64, 0);
    while let Some(status) = status.upgrade() {
        if round.is_multiple_of(FILES_EVERY) {
            open_files = process::open_files().unwrap_or_default();
        }
        let (figures, snapshot) = {
            let status = status.lock().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&status.instruments.figures), snapshot(&status, open_files, time::now()))
        };
        figures.note(snapshot);
        drop(status);
        round += 1;
        next += INTERVAL;
        let now = time::now();
        // After the machine has slept, what was missed is not made up for.
        next = next.max(now);
        thread::sleep(next.saturating_duration_since(now));
    }
}

/// What the counters say now.
fn snapshot(status: &Status, open_files: u64, moment: Instant) -> Snapshot {
    let instruments = &status.instruments;
    let (accounts, services) = (&instruments.records.accounts, instruments.services.as_ref());
    let process = Process::read().unwrap_or_default();
    let in_flight = accounts.workers().iter().map(|(in_flight, _)| in_flight).sum();
    let connections = ConnectionFigures {
        open: instruments.doors.iter().map(|(_, counts)| counts.open.value()).sum(),
        requests_in_flight: in_flight,
    };
    let mut hooks: Vec<(_, Hook, HookCounts)> = Vec::new();
    for ((plugin, _), cost) in services.map(|services| services.costs()).unwrap_or_default() {
        for (hook, cost) in cost.hooks {
            let counts = HookCounts {
                calls: cost.calls,
                failures: cost.failures,
                nanoseconds: nanoseconds(cost.time),
                fuel: cost.fuel,
            };
            match hooks.iter_mut().find(|(known, of, _)| *known == plugin && *of == hook) {
                Some((_, _, sum)) => sum.add(&counts),
                None => hooks.push((plugin.clone(), hook, counts)),
            }
        }
    }
    let reports = upstreams::report(status);
    Snapshot {
        moment,
        at: time::unix(),
        routes: accounts.sums(),
        plugins: services.map(|services| services.names()).unwrap_or_default(),
        hooks,
        endpoints: reports.iter().flat_map(endpoints_of).collect(),
        upstreams: reports.into_iter().map(counted).collect(),
        cpu: process.cpu,
        connections,
        memory_bytes: process.resident_bytes,
        threads: process.threads,
        open_files,
    }
}

fn endpoints_of(report: &UpstreamReport) -> impl Iterator<Item = (Name, Arc<str>, Asked)> {
    report.endpoints.iter().map(|endpoint| {
        let EndpointReport { requests, failures, answers, nanoseconds, .. } = *endpoint;
        let counts = Asked { requests, failures, answers, nanoseconds };
        (report.name.clone(), Arc::from(endpoint.endpoint.as_str()), counts)
    })
}

fn counted(report: UpstreamReport) -> (Name, UpstreamCounts, UpstreamGauges) {
    let mut counts = UpstreamCounts {
        asked: Asked { answers: report.times.count(), nanoseconds: report.times.nanoseconds, ..Asked::default() },
        pending_refused: report.pending[1],
        retries: report.retries[0],
    };
    let mut gauges =
        UpstreamGauges { pending: report.pending[0], breakers_open: report.breakers_open, ..UpstreamGauges::default() };
    for endpoint in &report.endpoints {
        counts.asked.requests += endpoint.requests;
        counts.asked.failures += endpoint.failures;
        gauges.in_flight += endpoint.busy;
        gauges.open_connections += endpoint.open;
        gauges.idle_connections += endpoint.idle;
    }
    (report.name, counts, gauges)
}

/// The figures of the last seconds.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let number =
        json!({ "type": "integer", "minimum": 1, "maximum": WINDOW_MAX.as_secs(), "default": WINDOW.as_secs() });
    vec![
        Endpoint::get("/api/v1/live", Role::Read, "Figures of the last seconds: rates, latency, where the time goes")
            .asks("seconds", Need::Optional, number, "How far back.")
            .gives(schema())
            .by(live),
    ]
}

async fn live(context: Context) -> Result<Answer, Trouble> {
    let figures = Arc::clone(&context.status().instruments.figures);
    let live = figures.live(context.number("seconds").map_or(WINDOW, Duration::from_secs));
    Ok(Answer::json(&live.json(&time::rfc3339(live.at))))
}

fn schema() -> Value {
    let list = |required: &[&str]| json!({ "type": "array", "items": { "type": "object", "required": required } });
    json!({
        "type": "object",
        "required": ["at", "window_seconds", "total", "series", "routes", "plugins", "upstreams", "connections", "process"],
        "properties": {
            "at": { "type": "string", "format": "date-time" },
            "window_seconds": { "type": "integer", "minimum": 0 },
            "total": { "type": "object", "required": ["requests_per_second", "requests", "errors", "status", "latency_ms"] },
            "series": { "type": "object", "required": ["step_seconds", "requests_per_second", "p95_ms", "errors_per_second"] },
            "routes": list(&["route", "requests", "errors_per_second", "latency_ms", "cache_hit_ratio", "time_ms", "plugins"]),
            "plugins": list(&["plugin", "hook", "calls_per_second", "mean_us", "failures_per_second", "fuel_per_call"]),
            "upstreams": list(&["upstream", "requests_per_second", "failures_per_second", "in_flight", "mean_ms"]),
            "connections": { "type": "object", "required": ["open", "requests_in_flight"] },
            "process": { "type": "object", "required": ["memory_bytes", "cpu_percent", "threads", "open_files"] },
        },
    })
}
