//! `ctl top`: where the time goes, route by route, and which plugin takes it. Pure: figures in, text out.

use serde_json::Value;

use super::show::of;
use super::table::{Table, cell};

/// From this part of a route's time on a plugin is named as what makes it slow.
const SHARE: f64 = 0.3;
/// Nobody minds a share of less.
const MILLISECONDS: f64 = 0.5;

/// The figures of the last seconds.
pub(super) fn shown(live: &Value) -> String {
    let total = of(live, "total");
    let latency = |of_what: &Value, name: &str| cell(of(of(of_what, "latency_ms"), name));
    let errors: Vec<String> = of(total, "errors")
        .as_object()
        .into_iter()
        .flatten()
        .map(|(whose, count)| format!("{whose} {count}"))
        .collect();
    let mut out = format!(
        "{} requests/s · p50 {} ms · p95 {} ms · p99 {} ms · errors: {}\n\n",
        cell(of(total, "requests_per_second")),
        latency(total, "p50"),
        latency(total, "p95"),
        latency(total, "p99"),
        errors.join(", "),
    );
    let mut routes: Vec<&Value> = of(live, "routes").as_array().into_iter().flatten().collect();
    let mean = |route: &Value| of(of(route, "latency_ms"), "mean").as_f64().unwrap_or_default();
    routes.sort_by(|one, other| mean(other).total_cmp(&mean(one)));
    let mut table = Table::new(&[
        "ROUTE",
        "REQ/S",
        "MEAN ms",
        "P95 ms",
        "P99 ms",
        "ERRORS/S",
        "HITS",
        "PLUGINS ms",
        "UPSTREAM ms",
        "SLOWEST PLUGIN",
    ]);
    let mut hints = String::new();
    for route in routes {
        let slowest = slowest(route);
        let shown = slowest.map(|(plugin, _, share)| format!("{plugin} {:.0} %", share * 100.0));
        let hits =
            of(route, "cache_hit_ratio").as_f64().map_or("-".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0));
        table.row([
            cell(of(route, "route")),
            cell(of(route, "requests_per_second")),
            latency(route, "mean"),
            latency(route, "p95"),
            latency(route, "p99"),
            cell(of(route, "errors_per_second")),
            hits,
            cell(of(of(route, "time_ms"), "plugins")),
            cell(of(of(route, "time_ms"), "upstream")),
            shown.unwrap_or_default(),
        ]);
        if let Some((plugin, ms, share)) = slowest.filter(|(_, ms, share)| *share >= SHARE && *ms >= MILLISECONDS) {
            hints.push_str(&format!(
                "\n{plugin} takes {:.0} % of the time of route {}: {ms:.1} of {:.1} ms; portcullis ctl plugin disable {plugin}",
                share * 100.0,
                cell(of(route, "route")),
                mean(route),
            ));
        }
    }
    out.push_str(&table.to_string());
    if !hints.is_empty() {
        out.push_str(&hints);
        out.push('\n');
    }
    out
}

/// The plugin that takes most of a route's time: its name, milliseconds per request, share.
fn slowest(route: &Value) -> Option<(&str, f64, f64)> {
    let plugins = of(route, "plugins").as_array().into_iter().flatten();
    let costs = plugins.filter_map(|plugin| {
        Some((of(plugin, "plugin").as_str()?, of(plugin, "mean_ms").as_f64()?, of(plugin, "share").as_f64()?))
    });
    costs.max_by(|one, other| one.1.total_cmp(&other.1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_plugin_that_makes_a_route_slow_is_named() {
        let route = |name: &str, mean: f64, plugins: Value| {
            json!({ "route": name, "requests_per_second": 5.0, "latency_ms": { "mean": mean, "p50": 1, "p95": 2, "p99": 3 },
                    "errors_per_second": 0.0, "cache_hit_ratio": 0.5, "time_ms": { "plugins": 41.0, "upstream": 2.0 }, "plugins": plugins })
        };
        let live = json!({
            "total": { "requests_per_second": 10.0, "latency_ms": { "p50": 1, "p95": 2, "p99": 3 }, "errors": { "upstream": 1 } },
            "routes": [
                route("fast", 1.0, json!([{ "plugin": "quick", "mean_ms": 0.01, "share": 0.9 }])),
                route("slow", 44.0, json!([{ "plugin": "a", "mean_ms": 0.1, "share": 0.01 }, { "plugin": "lazy", "mean_ms": 41.0, "share": 0.93 }])),
            ],
        });
        let text = shown(&live);
        assert!(
            text.contains(
                "lazy takes 93 % of the time of route slow: 41.0 of 44.0 ms; portcullis ctl plugin disable lazy"
            ),
            "{text}"
        );
        assert!(!text.contains("quick takes"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("50 %")).collect();
        assert!(rows.len() == 2 && rows.first().is_some_and(|row| row.starts_with("slow")), "{text}");
    }
}
