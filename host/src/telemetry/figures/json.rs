//! [`Live`] as the JSON of `GET /api/v1/live`: milliseconds and microseconds, `null` for what cannot be said.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::live::{HookFigures, Latency, Live, PluginShare, RouteFigures, Split, Traffic, UpstreamFigures};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Live {
    /// The JSON of `GET /api/v1/live`.
    pub fn json(&self) -> Value {
        let mut total = traffic(&self.total);
        total.insert("errors".into(), errors(&self.total));
        let series = &self.series;
        json!({
            "at": rfc3339(self.at),
            "window_seconds": self.window.as_secs(),
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

/// A Unix time as text (RFC 3339), to the millisecond.
fn rfc3339(unix: Duration) -> String {
    let (days, second) = (unix.as_secs() / 86_400, unix.as_secs() % 86_400);
    // Days to civil date, for years of 365.2425 days that begin in March, so that the leap day is the last (Howard Hinnant, "chrono-Compatible
    // Low-Level Date Algorithms").
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", unix.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_calendars_do() {
        let check = |seconds, expected: &str| assert_eq!(rfc3339(Duration::from_secs(seconds)), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400, "2000-02-29T00:00:00.000Z");
        check(951_868_799, "2000-02-29T23:59:59.000Z");
        check(1_735_689_599, "2024-12-31T23:59:59.000Z");
        check(1_795_262_400, "2026-11-21T12:00:00.000Z");
        assert_eq!(rfc3339(Duration::from_millis(1_795_262_400_042)), "2026-11-21T12:00:00.042Z");
    }
}
