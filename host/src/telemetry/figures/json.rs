//! [`Live`] as the JSON of `GET /api/v1/live`: milliseconds and microseconds, `null` for what cannot be said.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::live::{HookFigures, Latency, Live, PluginShare, RouteFigures, Split, Traffic, UpstreamFigures};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Live {
    /// The JSON of `GET /api/v1/live`; `at` is the time as it is to be written.
    pub fn json(&self, at: &str) -> Value {
        let mut total = traffic(&self.total);
        total.insert("errors".into(), errors(&self.total));
        let series = &self.series;
        json!({
            "at": at,
            "window_seconds": (self.window + Duration::from_millis(500)).as_secs(),
            "total": total,
            "series": {
                "step_seconds": 1,
                "requests_per_second": rounded(&series.requests_per_second),
                "p95_ms": series.p95.iter().map(|p95| p95.map(millis)).collect::<Vec<_>>(),
                "errors_per_second": rounded(&series.errors_per_second),
            },
            "routes": self.routes.iter().map(route).collect::<Vec<_>>(),
            "plugins": self.plugins.iter().map(hook).collect::<Vec<_>>(),
            "upstreams": self.upstreams.iter().map(upstream).collect::<Vec<_>>(),
            "connections": {
                "open": self.connections.open,
                "requests_in_flight": self.connections.requests_in_flight,
            },
            "process": {
                "memory_bytes": self.process.memory_bytes,
                "cpu_percent": round(self.process.cpu_percent),
                "threads": self.process.threads,
                "open_files": self.process.open_files,
            },
        })
    }
}

fn traffic(traffic: &Traffic) -> Map<String, Value> {
    let status: Map<_, _> =
        CLASSES.iter().zip(traffic.status).map(|(class, count)| ((*class).to_owned(), count.into())).collect();
    let fields = [
        ("requests_per_second", json!(round(traffic.requests_per_second))),
        ("requests", json!(traffic.requests)),
        ("errors_per_second", json!(round(traffic.errors_per_second))),
        ("status", status.into()),
        ("latency_ms", latency(&traffic.latency)),
        ("head_ms", latency(&traffic.head)),
        ("bytes_per_second", json!(round(traffic.bytes_per_second))),
        ("incomplete", json!(traffic.incomplete)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn errors(traffic: &Traffic) -> Value {
    let errors = &traffic.errors;
    json!({
        "downstream": errors.downstream,
        "upstream": errors.upstream,
        "plugin": errors.plugin,
        "internal": errors.internal,
    })
}

fn latency(latency: &Latency) -> Value {
    json!({
        "mean": latency.mean.map(millis),
        "p50": latency.p50.map(millis),
        "p95": latency.p95.map(millis),
        "p99": latency.p99.map(millis),
    })
}

fn route(route: &RouteFigures) -> Value {
    let mut fields = traffic(&route.traffic);
    let Split { plugins, upstream, cache, other } = route.time;
    fields.insert("route".into(), route.route.as_str().into());
    fields.insert("errors".into(), errors(&route.traffic));
    fields.insert("cache_hit_ratio".into(), json!(route.cache_hit_ratio.map(round)));
    fields.insert(
        "time_ms".into(),
        json!({
            "plugins": millis(plugins),
            "upstream": millis(upstream),
            "cache": millis(cache),
            "other": millis(other),
        }),
    );
    fields.insert("plugins".into(), route.plugins.iter().map(share).collect());
    fields.into()
}

fn share(share: &PluginShare) -> Value {
    json!({
        "plugin": share.plugin,
        "mean_ms": millis(share.mean),
        "share": round(share.share),
        "calls_per_second": round(share.calls_per_second),
    })
}

fn hook(hook: &HookFigures) -> Value {
    json!({
        "plugin": hook.plugin,
        "hook": hook.hook.as_str(),
        "calls_per_second": round(hook.calls_per_second),
        "mean_us": round(hook.mean.as_secs_f64() * 1e6),
        "failures_per_second": round(hook.failures_per_second),
        "fuel_per_call": round(hook.fuel_per_call),
    })
}

fn upstream(upstream: &UpstreamFigures) -> Value {
    json!({
        "upstream": upstream.upstream,
        "requests_per_second": round(upstream.requests_per_second),
        "failures_per_second": round(upstream.failures_per_second),
        "in_flight": upstream.in_flight,
        "mean_ms": upstream.mean.map(millis),
        "pending": upstream.pending,
        "pending_refused_per_second": round(upstream.pending_refused_per_second),
        "retries_per_second": round(upstream.retries_per_second),
        "breakers_open": upstream.breakers_open,
        "open_connections": upstream.open_connections,
        "idle_connections": upstream.idle_connections,
    })
}

/// To the microsecond.
fn millis(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1e3)
}

/// Three digits are more than anybody compares; the rest would only make the answer long.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn rounded(numbers: &[f64]) -> Vec<f64> {
    numbers.iter().copied().map(round).collect()
}
