//! What the pipeline of one generation does: routes, and which plugin hooks run on each.
//!
//! Immutable and shared by all workers. Which hooks run is settled here, so that a hook nobody has costs a request nothing.

use std::sync::Arc;

use super::edits::Edits;
use super::encode::Compression;
use super::settings::Handler;
use crate::cache::policy::Policy;
use crate::http::{Forwarding, Proxies};
use crate::modes;
use crate::names::{Hook, Name};
use crate::plugin::Loaded;
use crate::router::Router;
use crate::traffic::Protection;

/// What the pipeline does.
#[derive(Debug)]
pub struct Plan {
    /// Finds routes; its numbers are indices into `routes`.
    pub router: Router,
    /// The routes.
    pub routes: Vec<Route>,
    /// The chain for requests that have no route: `pre-route` for all, and the rest for those that never get one.
    pub gateway: Chain,
    /// Every plugin that any chain names; chains hold indices into it.
    pub plugins: Vec<Arc<Loaded>>,
    /// What upstreams are told of the client.
    pub forwarding: Forwarding,
    /// The proxies in front whose word counts.
    pub proxies: Proxies,
    /// What the modes of the gateway do.
    pub modes: Arc<modes::Settings>,
    /// Where clients may ask for the health of the gateway; none: nowhere.
    pub health: Option<Arc<modes::Public>>,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Name,
    /// What it does.
    pub handler: Handler,
    /// How its responses are cached; none: not at all.
    pub cache: Option<Arc<Policy>>,
    /// Longest request body in bytes.
    pub body_bytes_max: Option<u64>,
    /// What else it takes on.
    pub protection: Protection,
    /// What is done to the fields of its requests.
    pub request_edits: Edits,
    /// What is done to the fields of its responses.
    pub response_edits: Edits,
    /// How its responses are encoded; none: not at all.
    pub compression: Option<Arc<Compression>>,
    /// Its plugins.
    pub chain: Chain,
}

/// The plugins of a route by hook, in the order in which the hook calls them.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    by_hook: [Vec<usize>; Hook::ALL.len()],
}

impl Chain {
    /// The chain of these plugins, given in chain order as indices into `plugins`.
    pub fn new(order: &[usize], plugins: &[Arc<Loaded>]) -> Self {
        let mut chain = Self::default();
        for hook in Hook::ALL {
            let has = |index: &&usize| plugins.get(**index).is_some_and(|plugin| plugin.wants(hook));
            let mut callers: Vec<usize> = order.iter().filter(has).copied().collect();
            // On the way out the plugin that came in first has the last word.
            if matches!(hook, Hook::PostHandler | Hook::PostResponse) {
                callers.reverse();
            }
            if let Some(slot) = chain.by_hook.get_mut(hook as usize) {
                *slot = callers;
            }
        }
        chain
    }

    /// The plugins that have this hook, in the order in which they are called.
    pub fn callers(&self, hook: Hook) -> &[usize] {
        self.by_hook.get(hook as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether anybody has one of these hooks.
    pub fn has_any(&self, hooks: &[Hook]) -> bool {
        hooks.iter().any(|hook| !self.callers(*hook).is_empty())
    }
}
