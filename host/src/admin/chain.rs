//! `GET /api/v1/plugins` and the failures of each: what runs, what it costs, and what went wrong.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::{Answer, rfc3339};
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use crate::generation::Generation;
use crate::names::Name;
use crate::plugin::{Code, Entry, FailedCall, FailurePolicy, Loaded, Scope};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/v1/plugins", Role::Read, "The plugins in chain order, what they are and what they cost")
            .gives(schema())
            .by(list),
        Endpoint::get(
            "/api/v1/plugins/{plugin}/traps",
            Role::Read,
            "The last calls of a plugin that failed, newest first",
        )
        .gives(traps_schema())
        .by(traps),
    ]
}

async fn list(context: Context) -> Result<Answer, Trouble> {
    let generation = context.generation()?;
    Ok(Answer::json(&json!({ "plugins": plugins(&generation) })))
}

async fn traps(context: Context) -> Result<Answer, Trouble> {
    let text = context.parameter("plugin");
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
            "at": rfc3339(call.at),
            "hook": call.hook.as_str(),
            "route": call.route.as_ref().map(Name::as_str),
            "request_id": call.request_id,
            "kind": call.kind,
            "what": call.what,
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

/// Every plugin in chain order, those that are switched off at the end.
fn plugins(generation: &Generation) -> Vec<Value> {
    let settings = &generation.config.plugins;
    let running = generation.roster.plugins().enumerate().map(|(position, (name, code, variants))| {
        let entry = settings.chain.iter().find(|entry| entry.plugin == *name);
        plugin(generation, name, Some((code, variants)), entry, position)
    });
    let count = generation.roster.plugins().count();
    let off =
        settings.disabled.iter().enumerate().map(|(index, name)| plugin(generation, name, None, None, count + index));
    running.chain(off).collect()
}

fn plugin(
    generation: &Generation,
    name: &Name,
    running: Option<(&Arc<Code>, &[Arc<Loaded>])>,
    entry: Option<&Entry>,
    position: usize,
) -> Value {
    let variants = running.map(|(_, variants)| variants).unwrap_or_default();
    let quarantined = variants.iter().any(|loaded| loaded.quarantined().is_some());
    let state = match running {
        None => "disabled",
        Some(_) if quarantined => "quarantined",
        Some(_) => "active",
    };
    let costs: Vec<_> = variants.iter().map(|loaded| loaded.cost()).collect();
    let failures: u64 = costs.iter().flat_map(|cost| &cost.hooks).map(|(_, cost)| cost.failures).sum();
    let grants = entry.or(variants.first().map(|loaded| &loaded.entry)).map(|entry| &entry.grants);
    let code = running.map(|(code, _)| code);
    json!({
        "plugin": name.as_str(),
        "version": code.map(|code| code.description.version.to_string()),
        "summary": code.map(|code| code.description.summary.as_str()),
        "hash": code.map(|code| code.hash.to_string()),
        "hooks": code.iter().flat_map(|code| code.hooks.keys()).map(|hook| hook.as_str()).collect::<Vec<_>>(),
        "state": state,
        "enabled": running.is_some(),
        "listed": entry.is_some() || running.is_none(),
        "position": position,
        "grants": grants.into_iter().flatten().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "routes": routes(generation, name, entry),
        "on_failure": entry.map(|entry| &entry.on_failure).map_or("deny", |policy| match policy {
            FailurePolicy::Deny => "deny",
            FailurePolicy::Skip => "skip",
        }),
        "memory_bytes": costs.iter().map(|cost| cost.memory_bytes).sum::<u64>(),
        "traps": failures,
        "problem": null,
        "variants": variants.iter().map(|loaded| variant(loaded)).collect::<Vec<_>>(),
    })
}

/// The routes that it runs on; null where it runs on all.
fn routes(generation: &Generation, name: &Name, entry: Option<&Entry>) -> Value {
    if entry.is_none_or(|entry| entry.scope == Scope::Gateway) {
        return Value::Null;
    }
    let routes = generation.config.routes.iter().filter(|route| route.chain.iter().any(|entry| entry.plugin == *name));
    routes.map(|route| route.matches.name.as_str()).collect()
}

fn variant(loaded: &Loaded) -> Value {
    let cost = loaded.cost();
    let hooks = cost.hooks.iter().map(|(hook, cost)| {
        let entry = json!({
            "calls": cost.calls,
            "failures": cost.failures,
            "nanoseconds": u64::try_from(cost.time.as_nanos()).unwrap_or(u64::MAX),
            "fuel": cost.fuel,
        });
        (hook.as_str().to_owned(), entry)
    });
    json!({
        "origin": loaded.entry.origin.to_string(),
        "grants": loaded.entry.grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "quarantined_ms": loaded.quarantined().map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        "memory_bytes": cost.memory_bytes,
        "recycled": cost.recycled,
        "hooks": hooks.collect::<Map<_, _>>(),
    })
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["plugins"],
        "properties": { "plugins": { "type": "array", "items": one() } },
    })
}

/// The schema of one plugin.
fn one() -> Value {
    let (text, maybe) = (json!({ "type": "string" }), json!({ "type": ["string", "null"] }));
    let (count, texts) =
        (json!({ "type": "integer", "minimum": 0 }), json!({ "type": "array", "items": { "type": "string" } }));
    let hook = json!({
        "type": "object",
        "required": ["calls", "failures", "nanoseconds", "fuel"],
        "properties": { "calls": count, "failures": count, "nanoseconds": count, "fuel": count },
    });
    json!({
        "type": "object",
        "required": [
            "plugin", "version", "summary", "hash", "hooks", "state", "enabled", "listed", "position", "grants", "routes",
            "on_failure", "memory_bytes", "traps", "problem", "variants",
        ],
        "properties": {
            "plugin": text, "version": maybe, "summary": maybe, "hash": maybe, "hooks": texts,
            "state": { "enum": ["active", "disabled", "quarantined", "failed"] },
            "enabled": { "type": "boolean" }, "listed": { "type": "boolean" }, "position": count, "grants": texts,
            "routes": { "type": ["array", "null"], "items": text }, "on_failure": { "enum": ["deny", "skip"] },
            "memory_bytes": count, "traps": count, "problem": maybe,
            "variants": { "type": "array", "items": {
                "type": "object",
                "required": ["origin", "grants", "quarantined_ms", "memory_bytes", "recycled", "hooks"],
                "properties": {
                    "origin": text, "grants": texts, "quarantined_ms": { "type": ["integer", "null"] },
                    "memory_bytes": count, "recycled": count,
                    "hooks": { "type": "object", "additionalProperties": hook },
                },
            } },
        },
    })
}
