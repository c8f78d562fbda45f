//! `/api/v1/plugins`: what runs and what it costs, and every change of the chain and its files; and the changes of endpoints.
//!
//! What is done is done by the gateway's [`Operations`](crate::gateway::Operations).

use serde_json::{Value, json};

use super::answer::Answer;
use super::configuration::{applied, changing, operations, ticket};
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use crate::gateway::operate::PluginEdit;
use crate::names::Name;
use crate::time;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let hash = json!({ "type": "object", "required": ["hash"], "additionalProperties": false, "properties": { "hash": { "type": "string", "pattern": "^[0-9a-f]{64}$" } } });
    let order = json!({ "type": "object", "required": ["order"], "additionalProperties": false, "properties": { "order": { "type": "array", "maxItems": 1000, "items": { "type": "string", "maxLength": 64 } } } });
    vec![
        Endpoint::get("/api/v1/plugins", Role::Read, "The plugins in chain order, what they are and what they cost")
            .gives(list_schema())
            .tagged()
            .by(list),
        Endpoint::get("/api/v1/plugins/{plugin}", Role::Read, "A plugin, its configuration and the schema of that")
            .gives(details_schema())
            .tagged()
            .by(details),
        changing(Endpoint::put("/api/v1/plugins/order", Role::Admin, "Reorder the chain; every plugin of it is named"))
            .takes(order)
            .by(reorder),
        // Switching off and on needs the role operate; everything else is looked at by the handler.
        changing(Endpoint::patch(
            "/api/v1/plugins/{plugin}",
            Role::Operate,
            "Switch a plugin off or on, or change what the chain says of it; null takes away what is written",
        ))
        .takes(edit_schema())
        .by(patch),
        changing(Endpoint::put(
            "/api/v1/plugins/{plugin}/file",
            Role::Admin,
            "Put a plugin's file in place; what does not load or does not fit is refused, and the old one stays",
        ))
        .takes_bytes("application/wasm")
        .by(upload),
        Endpoint::get(
            "/api/v1/plugins/{plugin}/versions",
            Role::Read,
            "The files of a plugin that are kept, and the one in place",
        )
        .gives(versions_schema())
        .by(versions),
        changing(Endpoint::post(
            "/api/v1/plugins/{plugin}/rollback",
            Role::Admin,
            "Put a file that is kept in place again",
        ))
        .takes(hash)
        .by(rollback),
        changing(Endpoint::delete(
            "/api/v1/plugins/{plugin}",
            Role::Admin,
            "Take a plugin's file and entry away; the file is kept",
        ))
        .by(remove),
        changing(Endpoint::patch(
            "/api/v1/upstreams/{upstream}/endpoints/{endpoint}",
            Role::Operate,
            "Change the weight of an endpoint, or let it drain",
        ))
        .takes(endpoint_schema())
        .by(endpoint),
    ]
}

/// The plugin in the path.
fn plugin(context: &Context) -> Result<Name, Trouble> {
    let text = context.parameter("plugin");
    text.parse().map_err(|_| Trouble::not_found(format!("there is no plugin {text:?}: that is no name of one")))
}

async fn list(context: Context) -> Result<Answer, Trouble> {
    let operations = operations(&context)?;
    let etag = operations.etag();
    Ok(Answer::json(&json!({ "plugins": operations.plugins(), "etag": etag })).etag(&etag))
}

async fn details(context: Context) -> Result<Answer, Trouble> {
    let (operations, plugin) = (operations(&context)?, plugin(&context)?);
    let etag = operations.etag();
    let shown = operations.plugin(&plugin).ok_or_else(|| Trouble::not_found(format!("there is no plugin {plugin}")))?;
    Ok(Answer::json(&shown).etag(&etag))
}

async fn reorder(context: Context) -> Result<Answer, Trouble> {
    let order = context.json.get("order").and_then(Value::as_array);
    let order = order.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
    Ok(applied(&operations(&context)?.order_plugins(ticket(&context, "plugins reordered"), order).await?))
}

async fn patch(context: Context) -> Result<Answer, Trouble> {
    let plugin = plugin(&context)?;
    let key = |key: &str| context.json.get(key).cloned();
    let edit = PluginEdit {
        enabled: key("enabled"),
        config: key("config"),
        routes: key("routes"),
        on_failure: key("on_failure"),
        limits: key("limits"),
    };
    if edit != (PluginEdit { enabled: edit.enabled.clone(), ..PluginEdit::default() }) {
        context.require(Role::Admin)?;
    }
    let action = match (&edit.enabled, context.json.as_object().map_or(0, serde_json::Map::len)) {
        (Some(Value::Bool(false)), 1) => format!("plugin {plugin} switched off"),
        (Some(Value::Bool(true)), 1) => format!("plugin {plugin} switched on"),
        _ => format!("plugin {plugin} changed"),
    };
    Ok(applied(&operations(&context)?.set_plugin(ticket(&context, action), &plugin, edit).await?))
}

async fn upload(context: Context) -> Result<Answer, Trouble> {
    let plugin = plugin(&context)?;
    let ticket = ticket(&context, format!("file of plugin {plugin} put in place"));
    Ok(applied(&operations(&context)?.upload(ticket, &plugin, context.body.clone()).await?))
}

async fn versions(context: Context) -> Result<Answer, Trouble> {
    let plugin = plugin(&context)?;
    let versions = operations(&context)?.versions(&plugin).await?;
    let shown = versions.iter().map(|version| {
        json!({
            "hash": version.hash,
            "version": version.version,
            "bytes": version.bytes,
            "stored_at": version.stored_at.map(time::rfc3339),
            "current": version.current,
        })
    });
    Ok(Answer::json(&json!({ "versions": shown.collect::<Vec<_>>() })))
}

async fn rollback(context: Context) -> Result<Answer, Trouble> {
    let plugin = plugin(&context)?;
    let hash = context.json.get("hash").and_then(Value::as_str).unwrap_or_default();
    let ticket = ticket(&context, format!("plugin {plugin} rolled back to {hash}"));
    Ok(applied(&operations(&context)?.rollback_plugin(ticket, &plugin, hash).await?))
}

async fn remove(context: Context) -> Result<Answer, Trouble> {
    let plugin = plugin(&context)?;
    Ok(applied(&operations(&context)?.remove(ticket(&context, format!("plugin {plugin} removed")), &plugin).await?))
}

async fn endpoint(context: Context) -> Result<Answer, Trouble> {
    let (upstream, endpoint) = (context.parameter("upstream"), context.parameter("endpoint"));
    let (weight, draining) = (context.json.get("weight").cloned(), context.json.get("draining").cloned());
    let ticket = ticket(&context, format!("endpoint {endpoint} of {upstream} changed"));
    Ok(applied(&operations(&context)?.endpoint(ticket, upstream, endpoint, (weight, draining)).await?))
}

fn edit_schema() -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": {
            "enabled": { "type": "boolean" },
            "config": { "type": ["object", "null"] },
            "routes": { "type": ["array", "null"], "items": { "type": "string" } },
            "on_failure": { "enum": ["deny", "skip", null] },
            "limits": { "type": ["object", "null"] },
        },
    })
}

fn endpoint_schema() -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": {
            "weight": { "type": "integer", "minimum": 1, "maximum": 1000 },
            "draining": { "type": "boolean" },
        },
    })
}

fn versions_schema() -> Value {
    json!({
        "type": "object",
        "required": ["versions"],
        "properties": { "versions": { "type": "array", "items": {
            "type": "object",
            "required": ["hash", "version", "bytes", "stored_at", "current"],
            "properties": {
                "hash": { "type": "string" }, "version": { "type": "string" }, "bytes": { "type": "integer" },
                "stored_at": { "type": ["string", "null"], "format": "date-time" }, "current": { "type": "boolean" },
            },
        } } },
    })
}

fn list_schema() -> Value {
    json!({
        "type": "object",
        "required": ["plugins", "etag"],
        "properties": { "plugins": { "type": "array", "items": one_schema(&[]) }, "etag": { "type": "string" } },
    })
}

fn details_schema() -> Value {
    one_schema(&["config", "config_schema", "limits", "limits_schema"])
}

/// The schema of one plugin.
fn one_schema(more: &[&str]) -> Value {
    let (text, maybe) = (json!({ "type": "string" }), json!({ "type": ["string", "null"] }));
    let (count, texts) =
        (json!({ "type": "integer", "minimum": 0 }), json!({ "type": "array", "items": { "type": "string" } }));
    let hook = json!({
        "type": "object",
        "required": ["calls", "failures", "nanoseconds", "fuel"],
        "properties": { "calls": count, "failures": count, "nanoseconds": count, "fuel": count },
    });
    let names = [
        "plugin",
        "version",
        "summary",
        "hash",
        "hooks",
        "state",
        "enabled",
        "listed",
        "position",
        "grants",
        "routes",
        "on_failure",
        "memory_bytes",
        "traps",
        "problem",
        "variants",
    ];
    json!({
        "type": "object",
        "required": names.iter().chain(more).collect::<Vec<_>>(),
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
            "config": { "type": "object" }, "config_schema": { "type": ["object", "null"] }, "limits": { "type": "object" },
            "limits_schema": { "type": "object" },
        },
    })
}
