//! Everything that holds at one moment: configuration, plugins, and the plan that the pipelines follow.
//!
//! Immutable. A change makes the next generation aside; workers take it over whole, and exchanges under way finish on theirs.

use std::sync::Arc;

use crate::config::{Config, Route, RouteUnlisted};
use crate::names::Name;
use crate::pipeline::{self, Chain, Plan};
use crate::plugin::{Loaded, Roster, Scope, Wanted};
use crate::router::Router;

/// Everything that holds at one moment.
#[derive(Debug)]
pub struct Generation {
    /// Counts up from 1.
    pub number: u64,
    /// The configuration.
    pub config: Arc<Config>,
    /// The plugins.
    pub roster: Roster,
    /// What the pipelines do.
    pub plan: Arc<Plan>,
}

/// What a configuration wants of the plugins.
pub fn wanted(config: &Config) -> Wanted<'_> {
    let gateway = config.plugins.chain.iter().filter(|entry| entry.scope == Scope::Gateway);
    let routes = config.routes.iter().flat_map(|route| &route.chain);
    Wanted {
        order: config.plugins.chain.iter().map(|entry| &entry.plugin).collect(),
        entries: gateway.chain(routes).collect(),
        unlisted: config.plugins.unlisted,
        disabled: &config.plugins.disabled,
    }
}

impl Generation {
    /// Puts configuration and plugins together. Both have been checked; a route that cannot be planned is a mistake of ours.
    pub fn new(number: u64, config: Arc<Config>, roster: Roster) -> Result<Self, String> {
        let plan = plan(&config, &roster)?;
        Ok(Self { number, config, roster, plan: Arc::new(plan) })
    }
}

fn plan(config: &Config, roster: &Roster) -> Result<Plan, String> {
    let mut plugins = Plugins(Vec::new());
    let unlisted: Vec<usize> = roster.unlisted().map(|loaded| plugins.index(loaded)).collect();
    let entries = config.plugins.chain.iter().filter(|entry| entry.scope == Scope::Gateway);
    let entries = entries.filter_map(|entry| roster.find(entry));
    let mut gateway: Vec<usize> = entries.map(|loaded| plugins.index(loaded)).collect();
    gateway.extend(&unlisted);
    let mut orders = Vec::with_capacity(config.routes.len());
    for route in &config.routes {
        orders.push(order(route, roster, &mut plugins));
    }
    let Plugins(plugins) = plugins;
    let routes = config.routes.iter().zip(&orders).map(|(route, order)| pipeline::Route {
        name: route.matches.name.clone(),
        handler: route.handler.clone(),
        cache: route.cache.clone(),
        body_bytes_max: route.body_bytes_max,
        protection: route.protection.clone(),
        request_edits: route.request_edits.clone(),
        response_edits: route.response_edits.clone(),
        compression: route.compression.clone(),
        chain: Chain::new(order, &plugins),
    });
    let matches: Vec<_> = config.routes.iter().map(|route| route.matches.clone()).collect();
    Ok(Plan {
        router: Router::new(&matches)
            .map_err(|conflicts| conflicts.iter().map(|conflict| format!("{conflict}\n")).collect::<String>())?,
        routes: routes.collect(),
        gateway: Chain::new(&gateway, &plugins),
        plugins,
        forwarding: config.forwarding,
        proxies: config.proxies.clone(),
        modes: Arc::clone(&config.modes),
        health: config.health.clone(),
    })
}

/// The plugins of a route in chain order.
fn order(route: &Route, roster: &Roster, plugins: &mut Plugins) -> Vec<usize> {
    let RouteUnlisted::Except(except) = &route.unlisted;
    let switched_off = |name: &Name| except.contains(name);
    let listed = route.chain.iter().filter_map(|entry| roster.find(entry));
    let unlisted = roster.unlisted().filter(|loaded| !switched_off(&loaded.name));
    listed.chain(unlisted).map(|loaded| plugins.index(loaded)).collect()
}

/// The plugins that any chain names, each once.
struct Plugins(Vec<Arc<Loaded>>);

impl Plugins {
    fn index(&mut self, loaded: &Arc<Loaded>) -> usize {
        self.0.iter().position(|known| Arc::ptr_eq(known, loaded)).unwrap_or_else(|| {
            self.0.push(Arc::clone(loaded));
            self.0.len() - 1
        })
    }
}
