//! `GET /api/v1/upstreams`: every endpoint and how it is.

use serde_json::{Value, json};

use super::Status;
use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use crate::time;
use crate::upstream::{EndpointReport, UpstreamReport};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/v1/upstreams", Role::Read, "The upstreams, their endpoints, and how each is")
            .gives(schema())
            .by(list),
    ]
}

async fn list(context: Context) -> Result<Answer, Trouble> {
    let upstreams: Vec<Value> = report(&context.status()).iter().map(upstream).collect();
    Ok(Answer::json(&json!({ "upstreams": upstreams })))
}

/// What is known of the upstreams.
pub(super) fn report(status: &Status) -> Vec<UpstreamReport> {
    status.board.as_ref().map(|board| board.report(time::now())).unwrap_or_default()
}

fn upstream(report: &UpstreamReport) -> Value {
    let endpoint = |endpoint: &EndpointReport| {
        json!({
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
                        "endpoint", "healthy", "ejected_by_workers", "in_flight", "open_connections", "idle_connections",
                        "requests", "failures",
                    ],
                    "properties": {
                        "endpoint": text, "healthy": { "type": "boolean" }, "ejected_by_workers": count, "in_flight": count,
                        "open_connections": count, "idle_connections": count, "requests": count, "failures": count,
                    },
                } },
            },
        } } },
    })
}
