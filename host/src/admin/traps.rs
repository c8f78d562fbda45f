//! `GET /api/v1/plugins/{plugin}/traps`: the last calls of a plugin that failed, and why.

use serde_json::{Value, json};

use super::answer::Answer;
use super::configuration::operations;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use crate::names::Name;
use crate::plugin::FailedCall;
use crate::time;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(
            "/api/v1/plugins/{plugin}/traps",
            Role::Read,
            "The last calls of a plugin that failed, newest first",
        )
        .gives(traps_schema())
        .by(traps),
    ]
}

async fn traps(context: Context) -> Result<Answer, Trouble> {
    let (text, hidden) = (context.parameter("plugin"), operations(&context)?.hidden());
    let services = context.status().instruments.services.clone();
    let (generation, name) = (context.generation()?, text.parse::<Name>().ok());
    let known = |name: &Name| {
        let settings = &generation.config.plugins;
        generation.roster.plugins().any(|(known, _, _)| known == name) || settings.disabled.contains(name)
    };
    let name = name.filter(known).ok_or_else(|| Trouble::not_found(format!("no plugin is named {text:?}")))?;
    let failures = services.map(|services| services.failures(&name)).unwrap_or_default();
    let trap = |call: &FailedCall| {
        json!({
            "at": time::rfc3339(call.at),
            "hook": call.hook.as_str(),
            "route": call.route.as_ref().map(Name::as_str),
            "request_id": call.request_id,
            "kind": call.kind,
            // A plugin that panics may say what it was configured with.
            "what": hidden.cover_all(&call.what),
        })
    };
    Ok(Answer::json(&json!({ "traps": failures.iter().map(trap).collect::<Vec<_>>() })))
}

fn traps_schema() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["traps"],
        "properties": { "traps": { "type": "array", "items": {
            "type": "object",
            "required": ["at", "hook", "route", "request_id", "kind", "what"],
            "properties": {
                "at": text, "hook": text, "route": { "type": ["string", "null"] }, "request_id": text, "kind": text,
                "what": text,
            },
        } } },
    })
}
