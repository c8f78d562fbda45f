//! Edits of a document: what an order about one plugin or endpoint makes of the main document.
//!
//! Pure. Whether the result is valid is found out by whoever takes it over; here only what is named must be there.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::names::Name;
use crate::plugin::schema::{JsonPath, nearest};

/// What is changed of a plugin. `null` takes away what is written, so that the default holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginEdit {
    /// Whether it runs.
    pub enabled: Option<Value>,
    /// Its configuration, all of it.
    pub config: Option<Value>,
    /// The names of the routes on which it runs.
    pub routes: Option<Value>,
    /// What its failure means.
    pub on_failure: Option<Value>,
    /// What it may spend.
    pub limits: Option<Value>,
}

impl PluginEdit {
    /// Whether it does nothing but switch the plugin off.
    pub(super) fn only_switches_off(&self) -> bool {
        *self == Self { enabled: Some(Value::Bool(false)), ..Self::default() }
    }
}

/// Changes the entry of a plugin, or makes one at the end of the chain. `running` are the plugins that run without an entry.
pub(super) fn plugin(document: &mut Value, plugin: &Name, edit: PluginEdit, running: &[Name]) -> Result<(), Refusal> {
    let PluginEdit { enabled, config, routes, on_failure, limits } = edit;
    // That one runs which runs already is no change.
    let only_on = enabled == Some(Value::Bool(true)) && [&config, &routes, &on_failure, &limits] == [&None; 4];
    let chain = chain_mut(document)?;
    let index = match position(chain, plugin.as_str()) {
        Some(index) => index,
        None if only_on && running.contains(plugin) => return Ok(()),
        None => {
            chain.push(json!({ "plugin": plugin.as_str() }));
            chain.len() - 1
        }
    };
    let Some(Value::Object(entry)) = chain.get_mut(index) else { return Ok(()) };
    let wanted =
        [("enabled", enabled), ("routes", routes), ("on_failure", on_failure), ("limits", limits), ("config", config)];
    for (key, value) in wanted {
        match value {
            None => {}
            Some(Value::Null) => drop(entry.shift_remove(key)),
            // What is the default anyway need not be written.
            Some(Value::Bool(true)) if key == "enabled" && !entry.contains_key(key) => {}
            Some(value) => drop(entry.insert(key.to_owned(), value)),
        }
    }
    Ok(())
}

/// Puts the chain into this order. `running` are the plugins that run without an entry; they get one.
pub(super) fn chain(document: &mut Value, order: &[String], running: &[Name]) -> Result<(), Refusal> {
    let chain = chain_mut(document)?;
    let listed: Vec<String> =
        chain.iter().filter_map(|entry| Some(entry.get("plugin")?.as_str()?.to_owned())).collect();
    let known: BTreeSet<&str> = listed.iter().map(String::as_str).chain(running.iter().map(Name::as_str)).collect();
    let at = JsonPath::root().key("order");
    let mut seen = BTreeSet::new();
    for (index, name) in order.iter().enumerate() {
        if !known.contains(name.as_str()) {
            let remedy = nearest(name, known.iter().copied()).map(|meant| format!("did you mean {meant:?}?"));
            let remedy = remedy.unwrap_or_else(|| "name the plugins that GET /plugins lists".to_owned());
            return Err(Refusal::at(&at.index(index), format!("there is no plugin {name:?} in the chain"), remedy));
        }
        if !seen.insert(name.as_str()) {
            return Err(Refusal::at(&at.index(index), format!("{name:?} stands here twice"), "name each plugin once"));
        }
    }
    let missing: Vec<&str> = known.iter().copied().filter(|name| !seen.contains(name)).collect();
    if !missing.is_empty() {
        return Err(Refusal::at(&at, format!("does not name {}", missing.join(", ")), "name all plugins of the chain"));
    }
    let mut old = std::mem::take(chain);
    for name in order {
        let entry = position(&old, name).map(|index| old.remove(index));
        chain.push(entry.unwrap_or_else(|| json!({ "plugin": name })));
    }
    Ok(())
}

/// Takes a plugin's entry away, and what routes say of it.
pub(super) fn remove(document: &mut Value, plugin: &Name) -> Result<(), Refusal> {
    chain_mut(document)?.retain(|entry| entry.get("plugin").and_then(Value::as_str) != Some(plugin.as_str()));
    for route in document.get_mut("routes").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(plugins) = route.get_mut("plugins").and_then(Value::as_object_mut) else { continue };
        plugins.shift_remove(plugin.as_str());
        if plugins.is_empty()
            && let Some(route) = route.as_object_mut()
        {
            route.shift_remove("plugins");
        }
    }
    Ok(())
}

/// An endpoint and what is changed of it. `null` takes away what is written.
#[derive(Debug, Clone)]
pub(super) struct EndpointEdit<'a> {
    pub(super) upstream: &'a str,
    pub(super) endpoint: &'a str,
    /// The same endpoints as the gateway calls them, in the order in which they are written.
    pub(super) called: &'a [String],
    pub(super) weight: Option<Value>,
    pub(super) drain: Option<Value>,
}

/// Changes the weight of an endpoint, and whether it drains. Gives its place among the endpoints of its upstream.
pub(super) fn endpoint(document: &mut Value, edit: EndpointEdit<'_>) -> Result<usize, Refusal> {
    let EndpointEdit { upstream, endpoint, called, weight, drain } = edit;
    let endpoints = document.get_mut("upstreams").and_then(|upstreams| upstreams.get_mut(upstream));
    let endpoints = endpoints.and_then(|upstream| upstream.get_mut("endpoints")).and_then(Value::as_array_mut);
    let Some(endpoints) = endpoints else {
        return Err(Refusal::Unknown(format!("there is no upstream {upstream:?} in the configuration")));
    };
    let written = |entry: &Value| entry.as_str().or_else(|| entry.get("address")?.as_str()).map(str::to_owned);
    let is_it = |(index, entry): (usize, &Value)| {
        written(entry).as_deref() == Some(endpoint) || called.get(index).map(String::as_str) == Some(endpoint)
    };
    let place = endpoints.iter().enumerate().position(is_it);
    let Some((place, entry)) = place.and_then(|place| Some((place, endpoints.get_mut(place)?))) else {
        return Err(Refusal::Unknown(format!("the upstream {upstream:?} has no endpoint {endpoint:?}")));
    };
    let mut settings = match &*entry {
        Value::Object(settings) => settings.clone(),
        other => Map::from_iter([("address".to_owned(), other.clone())]),
    };
    for (key, value, default) in [("weight", weight, json!(1)), ("drain", drain, json!(false))] {
        match value {
            None => {}
            Some(value) if value.is_null() || value == default => drop(settings.shift_remove(key)),
            Some(value) => drop(settings.insert(key.to_owned(), value)),
        }
    }
    let only_address = settings.len() == 1;
    *entry = settings.get("address").filter(|_| only_address).cloned().unwrap_or(Value::Object(settings));
    Ok(place)
}

/// The chain, made where there is none.
fn chain_mut(document: &mut Value) -> Result<&mut Vec<Value>, Refusal> {
    let odd = || Refusal::Unknown("the main file has no chain that could be edited".to_owned());
    let plugins = document.as_object_mut().ok_or_else(odd)?.entry("plugins").or_insert_with(|| json!({}));
    let chain = plugins.as_object_mut().ok_or_else(odd)?.entry("chain").or_insert_with(|| json!([]));
    chain.as_array_mut().ok_or_else(odd)
}

fn position(chain: &[Value], plugin: &str) -> Option<usize> {
    chain.iter().position(|entry| entry.get("plugin").and_then(Value::as_str) == Some(plugin))
}
