//! `GET /api/v1/alerts`: the alerts and how they stand; and the metrics of health and alerts.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use super::Status;
use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use crate::alerts::{Counted, HEALTH_PARTS, Phase, Report, builtin};
use crate::condition;
use crate::modes::Mode;
use crate::names::Name;
use crate::telemetry::metrics::{Exposition, Kind};
use crate::time;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let number = json!({ "type": ["number", "null"] });
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let alert = json!({
        "type": "object",
        "required": ["alert", "state", "since", "value", "threshold", "summary", "severity", "mode", "notify", "builtin"],
        "properties": {
            "alert": text, "state": { "enum": ["inactive", "pending", "firing"] },
            "since": { "type": ["string", "null"], "format": "date-time" }, "value": number, "threshold": number,
            "summary": text, "severity": { "enum": ["info", "warning", "critical"] },
            "mode": { "type": ["string", "null"] }, "notify": { "type": "array", "items": text },
            "builtin": { "type": "boolean" },
        },
    });
    let webhook = json!({
        "type": "object",
        "required": ["webhook", "sent", "failed", "dropped"],
        "properties": { "webhook": text, "sent": count, "failed": count, "dropped": count },
    });
    let gives = json!({
        "type": "object",
        "required": ["alerts", "webhooks"],
        "properties": {
            "alerts": { "type": "array", "items": alert }, "webhooks": { "type": "array", "items": webhook },
        },
    });
    vec![
        Endpoint::get("/api/v1/alerts", Role::Read, "The alerts, and what became of what webhooks were to be told")
            .gives(gives)
            .by(alerts),
    ]
}

async fn alerts(context: Context) -> Result<Answer, Trouble> {
    Ok(Answer::json(&shown(&context.status())))
}

/// Those that are always there first.
fn shown(status: &Status) -> Value {
    let (reports, counted) = status.monitor.as_ref().map(|monitor| monitor.alerts()).unwrap_or_default();
    let always = builtin();
    let alert = |report: &Report| {
        let definition = &report.definition;
        json!({
            "alert": definition.name.as_str(),
            "state": report.phase.as_str(),
            "since": report.since.map(time::rfc3339),
            "value": report.value.filter(|value| value.is_finite()),
            "threshold": definition.bound.threshold(),
            "summary": definition.told(report.value),
            "severity": definition.severity.as_str(),
            "mode": definition.mode.map(Mode::as_str),
            "notify": definition.webhooks.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            "builtin": always.contains(definition),
        })
    };
    let webhook = |(name, counted): &(Name, Arc<Counted>)| {
        json!({
            "webhook": name.as_str(),
            "sent": counted.sent.load(Relaxed),
            "failed": counted.failed.load(Relaxed),
            "dropped": counted.dropped.load(Relaxed),
        })
    };
    json!({
        "alerts": reports.iter().map(alert).collect::<Vec<_>>(),
        "webhooks": counted.iter().map(webhook).collect::<Vec<_>>(),
    })
}

/// The metrics of health and alerts.
pub(super) fn expose(status: &Status, out: &mut Exposition) {
    let Some(monitor) = &status.monitor else { return };
    let (whole, _) = monitor.examine(status);
    out.family(HEALTH_PARTS, "Parts of the gateway by how they are.", Kind::Gauge);
    for part in &whole.parts {
        for status in condition::Status::ALL {
            let labels = [("part", part.name.as_str()), ("status", status.as_str())];
            out.count(HEALTH_PARTS, &labels, part.count(status) as u64);
        }
    }
    let (reports, counted) = monitor.alerts();
    let name = "portcullis_alert_firing";
    out.family(name, "Whether an alert fires.", Kind::Gauge);
    for report in &reports {
        let labels = [("alert", report.definition.name.as_str())];
        out.count(name, &labels, u64::from(report.phase == Phase::Firing));
    }
    let name = "portcullis_alert_notifications_total";
    out.family(name, "What became of what webhooks were to be told of alerts.", Kind::Counter);
    for (webhook, counted) in &counted {
        let outcomes = [("sent", &counted.sent), ("failed", &counted.failed), ("dropped", &counted.dropped)];
        for (outcome, count) in outcomes {
            out.count(name, &[("webhook", webhook.as_str()), ("outcome", outcome)], count.load(Relaxed));
        }
    }
}
