//! `GET /api/v1/upstreams`: every endpoint and how it is.

use serde_json::{Value, json};

use super::Status;
use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use crate::time;
use crate::upstream::{Duty, EndpointReport, Settings, UpstreamReport};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/v1/upstreams", Role::Read, "The upstreams, their endpoints, and how each is")
            .gives(schema())
            .by(list),
    ]
}

async fn list(context: Context) -> Result<Answer, Trouble> {
    let generation = context.generation()?;
    let settings = &generation.config.upstreams;
    let upstreams: Vec<Value> = report(&context.status()).iter().map(|report| upstream(report, settings)).collect();
    Ok(Answer::json(&json!({ "upstreams": upstreams })))
}

/// What is known of the upstreams.
pub(super) fn report(status: &Status) -> Vec<UpstreamReport> {
    status.board.as_ref().map(|board| board.report(time::now())).unwrap_or_default()
}

fn upstream(report: &UpstreamReport, settings: &[Settings]) -> Value {
    let settings = settings.iter().find(|settings| settings.name == report.name);
    let endpoint = |endpoint: &EndpointReport| {
        // A name that has several addresses is shown with each of them; weight and duty are the name's.
        let name = endpoint.endpoint.split(" at ").next().unwrap_or_default();
        let shares = settings.into_iter().flat_map(|settings| &settings.endpoints);
        let share = shares.into_iter().find(|share| share.endpoint.to_string() == name);
        json!({
            "weight": share.map(|share| share.weight),
            "draining": share.is_some_and(|share| share.duty == Duty::Drains),
            "endpoint": endpoint.endpoint,
            "healthy": endpoint.healthy,
            "ejected_by_workers": endpoint.ejected,
            "in_flight": endpoint.busy,
            "open_connections": endpoint.open,
            "idle_connections": endpoint.idle,
            "requests": endpoint.requests,
            "failures": endpoint.failures,
        })
    };
    json!({
        "upstream": report.name.as_str(),
        "endpoints": report.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "breakers_open": report.breakers_open,
        "pending": report.pending[0],
        "retries": report.retries[0],
    })
}

fn schema() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    json!({
        "type": "object",
        "required": ["upstreams"],
        "properties": { "upstreams": { "type": "array", "items": {
            "type": "object",
            "required": ["upstream", "endpoints", "breakers_open", "pending", "retries"],
            "properties": {
                "upstream": text, "breakers_open": count, "pending": count, "retries": count,
                "endpoints": { "type": "array", "items": {
                    "type": "object",
                    "required": [
                        "endpoint", "weight", "draining", "healthy", "ejected_by_workers", "in_flight", "open_connections", "idle_connections",
                        "requests", "failures",
                    ],
                    "properties": {
                        "weight": { "type": ["integer", "null"] }, "draining": { "type": "boolean" },
                        "endpoint": text, "healthy": { "type": "boolean" }, "ejected_by_workers": count, "in_flight": count,
                        "open_connections": count, "idle_connections": count, "requests": count, "failures": count,
                    },
                } },
            },
        } } },
    })
}
