//! What operators are told of plugins.
//!
//! The words and shapes are those of the admin API. Configurations are shown as written, without secrets and with variables not filled in.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use super::desk::Facts;
use crate::config::{Config, plugin_limits_schema};
use crate::generation::{Generation, wanted};
use crate::names::{Grant, Name};
use crate::plugin::{Code, File, Loaded};

/// What limits mean and what they are by default; the same for every plugin.
static LIMITS_SCHEMA: LazyLock<Value> = LazyLock::new(plugin_limits_schema);

/// All plugins: those that run in chain order, then those that the chain switches off, then other files.
pub(super) fn plugins(generation: &Generation, facts: &Facts) -> Vec<Value> {
    let names = names(generation, facts);
    names.iter().filter_map(|name| Some(Value::Object(one(generation, facts, &names, name)?))).collect()
}

/// One plugin with all that is known of it.
pub(super) fn plugin(generation: &Generation, facts: &Facts, plugin: &Name) -> Option<Value> {
    let mut shown = one(generation, facts, &names(generation, facts), plugin)?;
    let document = facts.redacted(&generation.config.merged);
    let entry = entry(&document, plugin).cloned().unwrap_or_default();
    let code = facts.code(plugin);
    let schema = code.and_then(|code| code.description.config_schema.clone());
    shown.insert("config".to_owned(), entry.get("config").cloned().unwrap_or_else(|| json!({})));
    shown.insert("config_schema".to_owned(), schema.unwrap_or_default());
    shown.insert("limits".to_owned(), entry.get("limits").cloned().unwrap_or_else(|| json!({})));
    shown.insert("limits_schema".to_owned(), LIMITS_SCHEMA.clone());
    Some(Value::Object(shown))
}

/// In the order of the chain as it is written, so that what is switched off keeps its place; then the rest.
fn names(generation: &Generation, facts: &Facts) -> Vec<Name> {
    let chain = generation.config.merged.pointer("/plugins/chain").and_then(Value::as_array);
    let listed = chain.into_iter().flatten().filter_map(|entry| entry.get("plugin")?.as_str()?.parse().ok());
    let running = generation.roster.plugins().map(|(name, _, _)| name.clone());
    let mut names: Vec<Name> = Vec::new();
    for name in listed.chain(running).chain(facts.files()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn one(generation: &Generation, facts: &Facts, names: &[Name], plugin: &Name) -> Option<Map<String, Value>> {
    let config = &generation.config;
    let running = generation.roster.plugins().find(|(name, _, _)| *name == plugin);
    let variants = running.map_or(&[][..], |(_, _, variants)| variants);
    let file = facts.file(plugin);
    let written = entry(&config.merged, plugin);
    if running.is_none() && file.is_none() && written.is_none() {
        return None;
    }
    let code: Option<Arc<Code>> = match (&running, &file) {
        (Some((_, code, _)), _) => Some(Arc::clone(code)),
        (None, Some(File::Good(code))) => Some(Arc::clone(code)),
        (None, _) => None,
    };
    let bad = match &file {
        Some(File::Bad(error)) => Some(error.to_string()),
        _ => None,
    };
    let problem = facts.problem(plugin).or(bad);
    let quarantined = variants.iter().any(|loaded| loaded.quarantined().is_some());
    let switched_off = config.plugins.disabled.contains(plugin);
    let state = match (&running, quarantined) {
        (Some(_), true) => "quarantined",
        (Some(_), false) => "active",
        (None, _) if problem.is_some() && !switched_off => "failed",
        (None, _) => "disabled",
    };
    let of_entry = |key: &str| written.and_then(|entry| entry.get(key)).cloned();
    let on_failure = of_entry("on_failure").filter(|policy| policy == "skip").unwrap_or_else(|| json!("deny"));
    let grants = of_entry("grants").unwrap_or_else(|| json!(Grant::DEFAULT.map(Grant::as_str)));
    let costs: Vec<_> = variants.iter().map(|loaded| loaded.cost()).collect();
    let shown = json!({
        "plugin": plugin.as_str(),
        "version": code.as_ref().map(|code| code.description.version.to_string()),
        "summary": code.as_ref().map(|code| code.description.summary.clone()),
        "hash": code.as_ref().map(|code| code.hash.to_string()),
        "hooks": code.iter().flat_map(|code| code.hooks.keys()).map(|hook| hook.as_str()).collect::<Vec<_>>(),
        "state": state,
        "enabled": running.is_some() || (!switched_off && written.is_some()),
        "listed": written.is_some(),
        "position": names.iter().position(|name| name == plugin),
        "grants": grants,
        "routes": of_entry("routes"),
        "on_failure": on_failure,
        "memory_bytes": costs.iter().map(|cost| cost.memory_bytes).sum::<u64>(),
        "traps": costs.iter().flat_map(|cost| &cost.hooks).map(|(_, cost)| cost.failures).sum::<u64>(),
        "problem": problem,
        "variants": variants.iter().map(|loaded| variant(loaded, config)).collect::<Vec<_>>(),
    });
    match shown {
        Value::Object(shown) => Some(shown),
        _ => None,
    }
}

fn entry<'a>(document: &'a Value, plugin: &Name) -> Option<&'a Value> {
    let chain = document.pointer("/plugins/chain")?.as_array()?;
    chain.iter().find(|entry| entry.get("plugin").and_then(Value::as_str) == Some(plugin.as_str()))
}

fn variant(loaded: &Loaded, config: &Config) -> Value {
    let cost = loaded.cost();
    // One that stays is moved with what is written before it.
    let wanted = wanted(config);
    let now = wanted.entries.iter().find(|entry| entry.asks_the_same(&loaded.entry));
    let origin = now.map_or(&loaded.entry.origin, |entry| &entry.origin);
    let hooks = cost.hooks.iter().map(|(hook, cost)| {
        let shown = json!({
            "calls": cost.calls,
            "failures": cost.failures,
            "nanoseconds": u64::try_from(cost.time.as_nanos()).unwrap_or(u64::MAX),
            "fuel": cost.fuel,
        });
        (hook.as_str().to_owned(), shown)
    });
    json!({
        "origin": origin.to_string(),
        "grants": loaded.entry.grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "quarantined_ms": loaded.quarantined().map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        "memory_bytes": cost.memory_bytes,
        "recycled": cost.recycled,
        "hooks": hooks.collect::<Map<_, _>>(),
    })
}
