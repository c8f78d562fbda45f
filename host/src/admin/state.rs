//! `GET /api/v1/state`: what the gateway is and how it is doing, at a glance; and `POST /api/v1/drain`.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use super::{condition, health};
use crate::cdn;
use crate::redis::{Condition, Redis};
use crate::time;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let drains = json!({ "type": "object", "required": ["draining", "survives_restart", "note"] });
    vec![
        Endpoint::get("/api/v1/state", Role::Read, "What the gateway is and how it is doing").gives(schema()).by(state),
        Endpoint::post("/api/v1/drain", Role::Admin, "End the gateway once what is under way is done")
            .gives(drains)
            .gives_status(StatusCode::ACCEPTED)
            .by(drain),
    ]
}

async fn state(context: Context) -> Result<Answer, Trouble> {
    let admin = &context.admin;
    let draining = admin.draining.started();
    let listener =
        |(address, tls): &(std::net::SocketAddr, bool)| json!({ "address": address.to_string(), "tls": tls });
    let listeners: Vec<Value> = admin.process.listeners.iter().map(listener).collect();
    let uptime = time::now().saturating_duration_since(admin.started.0).as_secs();
    let status = context.status();
    let standing = health::standing(&status);
    Ok(Answer::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": time::rfc3339(admin.started.1),
        "uptime_seconds": uptime,
        "generation": status.generation.as_ref().map(|generation| generation.number),
        "serving": status.adopted,
        "mode": condition::shown_mode(),
        "health": standing.as_str(),
        "workers": admin.process.workers,
        "listeners": listeners,
        "problems": status.problems,
        "refused": status.refused.as_ref().map(|(of, what)| json!({ "change": of, "why": what })),
        "restart_needed": status.restart_needed,
        "draining": draining,
        "cdn": status.cdn.report().iter().map(cdn).collect::<Vec<_>>(),
        "redis": status.redis.as_ref().map(redis),
    })))
}

async fn drain(context: Context) -> Result<Answer, Trouble> {
    let process = context.admin.process.clone();
    // The answer goes out first: from then on this connection is one of those that are to end.
    tokio::task::spawn_local(async move {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        (process.drain)();
    });
    let note = "the process ends; whoever starts it again starts it as it was";
    Ok(Answer::json(&json!({ "draining": true, "survives_restart": false, "note": note })).status(StatusCode::ACCEPTED))
}

fn redis(redis: &Redis) -> Value {
    let condition = redis.condition();
    let degraded_ms = match &condition {
        Condition::Healthy => None,
        Condition::Degraded { since, .. } => {
            Some(u64::try_from((time::now() - *since).as_millis()).unwrap_or(u64::MAX))
        }
    };
    json!({
        "healthy": condition == Condition::Healthy,
        "reason": condition.reason(),
        "degraded_ms": degraded_ms,
        "connections": redis.connections(),
    })
}

fn cdn(report: &cdn::Report) -> Value {
    json!({
        "cdn": report.name.as_str(),
        "pending": report.pending,
        "sent": report.sent,
        "failed": report.failed,
        "merged": report.merged,
        "dropped": report.dropped,
        "unsupported": report.unsupported,
        "retries": report.retries,
        "trouble": report.trouble,
    })
}

fn schema() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    json!({
        "type": "object",
        "required": [
            "version", "started_at", "uptime_seconds", "generation", "serving", "health", "workers", "listeners", "problems",
            "refused", "restart_needed", "draining", "cdn", "redis",
        ],
        "properties": {
            "version": text, "started_at": { "type": "string", "format": "date-time" }, "uptime_seconds": count,
            "generation": { "type": ["integer", "null"] }, "serving": count,
            "health": { "enum": ["healthy", "degraded", "unhealthy"] }, "workers": count,
            "listeners": { "type": "array", "items": {
                "type": "object", "required": ["address", "tls"], "properties": { "address": text, "tls": { "type": "boolean" } },
            } },
            "problems": { "type": "array", "items": text },
            "refused": { "type": ["object", "null"], "required": ["change", "why"], "properties": { "change": text, "why": text } },
            "restart_needed": { "type": "array", "items": text },
            "draining": { "type": "boolean" },
            "cdn": { "type": "array", "items": { "type": "object", "required": ["cdn", "pending"] } },
            "redis": { "type": ["object", "null"], "required": ["healthy", "reason", "degraded_ms", "connections"] },
        },
    })
}
