//! `ctl top`: where the time goes, route by route, and which plugin takes it. Pure: figures in, text out.

use serde_json::Value;

use super::ask::may_refuse;
use super::show::of;
use super::table::{Table, cell};

/// From this part of a route's time on a plugin is named as what makes it slow.
const SHARE: f64 = 0.3;
/// Nobody minds a share of less.
const MILLISECONDS: f64 = 0.5;

/// The figures of the last seconds, and the plugins.
pub(super) fn shown(live: &Value, plugins: &Value) -> String {
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
    let mut hints = failing(live, plugins);
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
                "\n{plugin} takes {:.0} % of the time of route {}: {ms:.1} of {:.1} ms; {}",
                share * 100.0,
                cell(of(route, "route")),
                mean(route),
                remedy(plugin, plugins),
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

/// What to do about a plugin that is slow.
fn remedy(plugin: &str, plugins: &Value) -> String {
    let known = each(plugins, "plugins").find(|known| of(known, "plugin") == plugin);
    if known.is_some_and(may_refuse) {
        return format!(
            "unless it decides who may pass, switch it off to compare: portcullis ctl plugin disable {plugin} --yes"
        );
    }
    format!("portcullis ctl plugin disable {plugin}")
}

/// The plugins that do not do what they should.
fn failing(live: &Value, plugins: &Value) -> String {
    let mut out = String::new();
    for plugin in each(plugins, "plugins") {
        let name = cell(of(plugin, "plugin"));
        let what = match of(plugin, "state").as_str() {
            Some("quarantined") => "is quarantined: it failed again and again, and is not asked for a while".to_owned(),
            Some("failed") => format!("does not run: {}", cell(of(plugin, "problem"))),
            _ => continue,
        };
        out.push_str(&format!("\n{name} {what}; portcullis ctl plugin traps {name}"));
    }
    for hook in each(live, "plugins") {
        let rate = |name: &str| of(hook, name).as_f64().unwrap_or_default();
        let (calls, failures) = (rate("calls_per_second"), rate("failures_per_second"));
        if failures <= 0.0 {
            continue;
        }
        let name = cell(of(hook, "plugin"));
        out.push_str(&format!(
            "\n{name} fails in {:.1} % of its calls of {} ({failures:.2} a second); portcullis ctl plugin traps {name}",
            100.0 * failures / calls.max(failures),
            cell(of(hook, "hook")),
        ));
    }
    out
}

fn each<'v>(value: &'v Value, list: &str) -> impl Iterator<Item = &'v Value> {
    of(value, list).as_array().into_iter().flatten()
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
        let text = shown(&live, &json!({}));
        assert!(
            text.contains(
                "lazy takes 93 % of the time of route slow: 41.0 of 44.0 ms; portcullis ctl plugin disable lazy\n"
            ),
            "{text}"
        );
        let guard = json!({ "plugins": [{ "plugin": "lazy", "state": "active", "hooks": ["pre-handler"] }] });
        let text = shown(&live, &guard);
        assert!(text.contains("unless it decides who may pass") && text.contains("disable lazy --yes"), "{text}");
        assert!(!text.contains("quick takes"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("50 %")).collect();
        assert!(rows.len() == 2 && rows.first().is_some_and(|row| row.starts_with("slow")), "{text}");
    }

    #[test]
    fn plugins_that_fail_are_named() {
        let live = json!({ "plugins": [
            { "plugin": "weak", "hook": "pre-handler", "calls_per_second": 10.0, "failures_per_second": 2.5 },
            { "plugin": "sound", "hook": "pre-handler", "calls_per_second": 10.0, "failures_per_second": 0.0 },
        ] });
        let state =
            |plugin: &str, state: &str| json!({ "plugin": plugin, "state": state, "problem": "it is no plugin" });
        let plugins =
            json!({ "plugins": [state("worn", "quarantined"), state("odd", "failed"), state("sound", "active")] });
        let text = shown(&live, &plugins);
        for wanted in [
            "weak fails in 25.0 % of its calls of pre-handler (2.50 a second); portcullis ctl plugin traps weak",
            "worn is quarantined",
            "portcullis ctl plugin traps worn",
            "odd does not run: it is no plugin",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("sound"), "{text}");
    }
}
