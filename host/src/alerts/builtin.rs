//! Alerts that are always there. They are shown and told to nobody: who wants to be told writes an alert of his own.

use std::sync::Arc;
use std::time::Duration;

use super::definition::{Bound, Definition, HEALTH_PARTS, Logged, Measure, Series, Severity};
use crate::names::Name;

fn series(metric: &str, labels: &[(&str, &[&str])]) -> Series {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let labels = labels.iter().map(|(name, all)| ((*name).to_owned(), values(all))).collect();
    Series { metric: metric.to_owned(), labels }
}

fn parts(part: &str, status: &[&str]) -> Measure {
    Measure::Value(series(HEALTH_PARTS, &[("part", &[part]), ("status", status)]))
}

/// The alerts that are always there.
pub fn builtin() -> Vec<Arc<Definition>> {
    let errors = Measure::Ratio(
        series("portcullis_errors_total", &[("fault", &["upstream", "plugin", "internal"])]),
        series("portcullis_requests_total", &[]),
    );
    let minute = Duration::from_secs(60);
    let bad: &[&str] = &["degraded", "unhealthy"];
    let all = [
        ("error-ratio", errors, 0.05, minute, "{value} of all requests fail, and not by the clients' fault"),
        ("plugin-quarantined", parts("plugins", &["unhealthy"]), 0.0, Duration::ZERO, "plugins in quarantine: {value}"),
        (
            "certificate-expiring",
            parts("certificates", bad),
            0.0,
            Duration::ZERO,
            "certificates to be renewed: {value}",
        ),
        (
            "upstream-down",
            parts("upstreams", &["unhealthy"]),
            0.0,
            Duration::ZERO,
            "upstreams without any endpoint: {value}",
        ),
        (
            "change-refused",
            parts("configuration", bad),
            0.0,
            Duration::ZERO,
            "a change of the configuration was refused",
        ),
    ];
    all.into_iter()
        .filter_map(|(name, measure, bound, hold, summary)| definition(name, measure, bound, hold, summary))
        .collect()
}

fn definition(name: &str, measure: Measure, bound: f64, hold: Duration, summary: &str) -> Option<Arc<Definition>> {
    let name: Name = name.parse().ok()?;
    Some(Arc::new(Definition {
        name,
        measure,
        bound: Bound::Above(bound),
        // Long enough for a few requests, short enough to see the end of it.
        over: Duration::from_secs(15),
        hold,
        cooldown: Duration::ZERO,
        severity: Severity::Warning,
        summary: summary.to_owned(),
        logged: Logged::No,
        webhooks: Vec::new(),
        mode: None,
    }))
}
