//! Reads the chain and works out which plugins run on a route, and how.
//!
//! What a plugin's own configuration must look like is not known here: that is checked when the plugin is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::super::file::{self, File, RoutePlugin};
use super::super::problem::Report;
use super::super::{RouteUnlisted, overlay};
use super::{Unique, dangling, name, size};
use crate::names::{Grant, Name};
use crate::plugin::schema::JsonPath;
use crate::plugin::{Entry, FailurePolicy, InstanceMode, Limits, Scope, Settings, Unlisted};

/// The plugins, and what is needed to compile routes.
pub(super) struct Plugins<'a> {
    /// As the gateway uses them.
    pub(super) settings: Settings,
    /// Every name in the chain as written, disabled ones too.
    written: BTreeSet<&'a str>,
    /// Whether the chain was understood completely, so that a name that is not in it is a mistake.
    complete: bool,
    /// The routes an entry is limited to, by the entry's name.
    selections: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

/// Compiles `plugins`.
pub(super) fn compile<'a>(file: &'a File, folder: &Path, report: &mut Report) -> Plugins<'a> {
    let at = JsonPath::root().key("plugins");
    let plugins = file.plugins.as_ref();
    let directory = plugins.and_then(|plugins| plugins.directory.as_deref()).unwrap_or(file::Plugins::DIRECTORY);
    let unlisted = match plugins.and_then(|plugins| plugins.unlisted) {
        None => Unlisted::default(),
        Some(file::Unlisted::Append) => Unlisted::Append,
        Some(file::Unlisted::Ignore) => Unlisted::Ignore,
    };
    let chain_at = at.key("chain");
    let mut compiled = Plugins {
        settings: Settings { directory: folder.join(directory), unlisted, chain: Vec::new(), disabled: Vec::new() },
        written: BTreeSet::new(),
        complete: !report.is_gone(&chain_at),
        selections: BTreeMap::new(),
    };
    let mut unique = Unique::default();
    for (index, written) in plugins.and_then(|plugins| plugins.chain.as_ref()).into_iter().flatten().enumerate() {
        let at = chain_at.index(index);
        let (Some(written), Some(text)) = (written, written.as_ref().and_then(|written| written.plugin.as_deref()))
        else {
            compiled.complete = false;
            continue;
        };
        let name = name(text, &at.key("plugin"), report);
        unique.note(text, &at.key("plugin"), report, "name each plugin once");
        compiled.written.insert(text);
        if let Some(routes) = &written.routes {
            let selected = selection(routes, file, &at.key("routes"), report);
            compiled.selections.insert(text, selected);
        }
        match name {
            Some(name) if written.enabled.unwrap_or(true) => compiled.settings.chain.push(entry(name, written, &at)),
            Some(name) => compiled.settings.disabled.push(name),
            None => {}
        }
    }
    compiled
}

fn entry(plugin: Name, written: &file::Chain, at: &JsonPath) -> Entry {
    let grants = written.grants.as_ref().map(|grants| {
        let names = grants.iter().flatten();
        names.filter_map(|name| Grant::from_name(name)).collect()
    });
    let defaults = Entry::unlisted(plugin);
    Entry {
        config: Value::Object(written.config.clone().unwrap_or_default()),
        origin: at.key("config"),
        route: None,
        scope: if written.routes.is_some() { Scope::Routes } else { Scope::Gateway },
        grants: grants.unwrap_or(defaults.grants),
        limits: written.limits.as_ref().map(|written| limits(Limits::default(), written)).unwrap_or_default(),
        on_failure: written.on_failure.map(failure_policy).unwrap_or_default(),
        instance: match written.instance {
            None => InstanceMode::default(),
            Some(file::InstanceMode::Reuse) => InstanceMode::Reuse,
            Some(file::InstanceMode::PerRequest) => InstanceMode::PerRequest,
        },
        plugin: defaults.plugin,
    }
}

fn selection<'a>(
    routes: &'a [Option<String>],
    file: &'a File,
    at: &JsonPath,
    report: &mut Report,
) -> BTreeSet<&'a str> {
    let named = |route: &'a Option<file::Route>| route.as_ref().and_then(|route| route.name.as_deref());
    let known = || file.routes.iter().flatten().filter_map(named);
    let complete = !report.is_gone(&JsonPath::root().key("routes"))
        && file.routes.iter().flatten().all(|route| named(route).is_some());
    for (index, text) in routes.iter().enumerate() {
        let Some(text) = text else { continue };
        if complete && !known().any(|name| name == text) {
            dangling("route", text, known(), "add it to \"routes\"", &at.index(index), report);
        }
    }
    routes.iter().flatten().map(String::as_str).collect()
}

fn failure_policy(written: file::FailurePolicy) -> FailurePolicy {
    match written {
        file::FailurePolicy::Deny => FailurePolicy::Deny,
        file::FailurePolicy::Skip => FailurePolicy::Skip,
    }
}

/// The limits that are written, and for the others those of `base`.
fn limits(base: Limits, written: &file::Limits) -> Limits {
    let bytes = |written: Option<u64>, base: usize| written.map_or(base, size);
    let millis = |written: Option<u64>, base: Duration| written.map_or(base, Duration::from_millis);
    Limits {
        fuel: written.fuel.unwrap_or(base.fuel),
        timeout: millis(written.timeout_ms, base.timeout),
        init_factor: written.init_factor.unwrap_or(base.init_factor),
        memory_bytes_max: bytes(written.memory_bytes_max, base.memory_bytes_max),
        host_bytes_max: bytes(written.host_bytes_max, base.host_bytes_max),
        log_bytes_max: bytes(written.log_bytes_max, base.log_bytes_max),
        kv_bytes_max: bytes(written.kv_bytes_max, base.kv_bytes_max),
        series_max: bytes(written.series_max, base.series_max),
        recycle_calls: written.recycle_calls.unwrap_or(base.recycle_calls),
        recycle_memory_bytes: bytes(written.recycle_memory_bytes, base.recycle_memory_bytes),
        recycle_age: written.recycle_seconds.map_or(base.recycle_age, Duration::from_secs),
        quarantine_failures: written.quarantine_failures.unwrap_or(base.quarantine_failures),
        quarantine: millis(written.quarantine_ms, base.quarantine),
    }
}

impl Plugins<'_> {
    /// The plugins that run on a route, in chain order, each as the route wants it.
    pub(super) fn chain_of(&self, route: &file::Route, at: &JsonPath) -> Vec<Entry> {
        let mut chain = Vec::new();
        for entry in &self.settings.chain {
            let plugin = entry.plugin.as_str();
            let selected = match (self.selections.get(plugin), &route.name) {
                (None, _) => true,
                (Some(selection), Some(name)) => selection.contains(name.as_str()),
                (Some(_), None) => false,
            };
            let wish = route.plugins.as_ref().and_then(|plugins| plugins.get(plugin)).and_then(Option::as_ref);
            match wish {
                Some(RoutePlugin::Switch(false)) => {}
                None if !selected => {}
                None | Some(RoutePlugin::Switch(true)) => chain.push(entry.clone()),
                Some(RoutePlugin::Override(changes)) => {
                    let name = route.name.as_deref().and_then(|name| name.parse().ok());
                    chain.push(Entry { route: name, ..overridden(entry, changes, &at.key(plugin)) });
                }
            }
        }
        chain
    }

    /// Checks the names that a route gives to plugins, and finds the unlisted ones that it turns off.
    pub(super) fn unlisted_of(&self, route: &file::Route, at: &JsonPath, report: &mut Report) -> RouteUnlisted {
        let mut except = Vec::new();
        for (text, wish) in route.plugins.iter().flatten() {
            if self.written.contains(text.as_str()) {
                continue;
            }
            let off = matches!(wish, Some(RoutePlugin::Switch(false)));
            if off && self.settings.unlisted == Unlisted::Append {
                except.extend(name(text, &at.key(text), report));
            } else if self.complete {
                let known = self.written.iter().copied();
                dangling("plugin in the chain", text, known, "add it to \"plugins.chain\"", &at.key(text), report);
            }
        }
        RouteUnlisted::Except(except)
    }
}

/// An entry with a route's changes.
fn overridden(entry: &Entry, changes: &file::RouteOverride, at: &JsonPath) -> Entry {
    let mut entry = entry.clone();
    if let Some(patch) = &changes.config
        && let Value::Object(config) = &mut entry.config
    {
        overlay::merge(config, patch);
    }
    // Whatever is changed: the origin also tells what the route makes of the plugin from what others do.
    entry.origin = at.key("config");
    if let Some(written) = &changes.limits {
        entry.limits = limits(entry.limits, written);
    }
    if let Some(written) = changes.on_failure {
        entry.on_failure = failure_policy(written);
    }
    entry
}
