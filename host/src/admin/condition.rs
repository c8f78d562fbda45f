//! `GET /api/v1/health`, `GET` and `PUT /api/v1/mode`: how the gateway is, part by part, and what it does without.

use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::health;
use super::settings::Role;
use super::trouble::Trouble;
use crate::condition::{Part, Status};
use crate::modes::{Mode, switch};
use crate::telemetry::metrics::{Exposition, Kind};
use crate::time;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let modes = json!({ "enum": Mode::ALL.map(Mode::as_str) });
    let chosen = json!({
        "type": "object", "required": ["mode"], "properties": { "mode": modes }, "additionalProperties": false,
    });
    let told = json!({
        "type": "object",
        "required": ["mode", "since", "by", "survives_restart", "note"],
        "properties": {
            "mode": modes, "since": { "type": ["string", "null"], "format": "date-time" }, "by": { "type": "string" },
            "survives_restart": { "const": false }, "note": { "type": "string" },
        },
    });
    vec![
        Endpoint::get("/api/v1/health", Role::Read, "How the gateway is, part by part, and why").gives(tree()).by(tell),
        Endpoint::get("/api/v1/mode", Role::Read, "What the gateway does without at the moment")
            .gives(told.clone())
            .by(mode),
        Endpoint::put("/api/v1/mode", Role::Operate, "Enter a mode, until another is chosen or the gateway ends")
            .takes(chosen)
            .gives(told)
            .by(choose),
    ]
}

async fn tell(context: Context) -> Result<Answer, Trouble> {
    let starting = || Part::judged("gateway", Status::Unhealthy, vec!["is starting".to_owned()]);
    let whole = health::examined(&context.status()).map_or_else(starting, |(whole, _)| whole);
    Ok(Answer::json(&whole.json()))
}

async fn mode(_: Context) -> Result<Answer, Trouble> {
    Ok(Answer::json(&shown_mode()))
}

async fn choose(context: Context) -> Result<Answer, Trouble> {
    let wanted = context.json.get("mode").and_then(Value::as_str).unwrap_or_default();
    // The schema knows the same names.
    let mode: Mode = wanted.parse().map_err(|error| Trouble::bad_request(format!("$.mode: {wanted:?} {error}")))?;
    switch().choose(mode, &context.caller.name, time::unix());
    Ok(Answer::json(&shown_mode()).audited(json!({ "mode": mode.as_str() })))
}

/// The mode, since when and by whom; `since` is null since the start.
pub(super) fn shown_mode() -> Value {
    let standing = switch().standing();
    json!({
        "mode": standing.mode.as_str(),
        "since": (!standing.since.is_zero()).then(|| time::rfc3339(standing.since)),
        "by": standing.by.to_string(),
        "survives_restart": false,
        "note": "the mode is the process's: it starts in normal",
    })
}

/// A part of the tree.
fn tree() -> Value {
    json!({
        "type": "object",
        "required": ["part", "status", "reasons", "parts"],
        "properties": {
            "part": { "type": "string" }, "status": { "enum": ["healthy", "degraded", "unhealthy"] },
            "reasons": { "type": "array", "items": { "type": "string" } },
            "parts": { "type": "array", "items": { "type": "object" } },
        },
    })
}

/// The metrics of what is told here.
pub(super) fn expose(out: &mut Exposition) {
    let name = "portcullis_mode";
    out.family(name, "Whether the gateway is in a mode.", Kind::Gauge);
    let present = switch().mode();
    for mode in Mode::ALL {
        out.count(name, &[("mode", mode.as_str())], u64::from(mode == present));
    }
}
