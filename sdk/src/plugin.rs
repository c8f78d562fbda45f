//! The trait a plugin implements: one method per hook of the contract, each with a default that does nothing.
//!
//! Invariant: the defaults are never called by the gateway, since `#[plugin]` exports only the hooks that were written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Request, Response, Result};

pub use crate::raw::init::Hook;
pub use crate::raw::on_error::{Error as Failure, Fault};
pub use crate::raw::post_response::Summary;

/// A plugin. Implement it under `#[portcullis_sdk::plugin]`, which may leave out `type Config` (then it is [`NoConfig`])
/// and, with it, `init` (then the type's [`Default`] is the instance).
#[allow(unused_variables, reason = "the defaults show the parameters' names to authors")]
pub trait Plugin: Sized + 'static {
    /// The configuration. Its JSON Schema travels in the component; the gateway checks the operator's JSON against it
    /// before `init` sees it.
    type Config: DeserializeOwned + JsonSchema;

    /// Prepares an instance. Called once per instance before any other hook; see `wit/init.wit`.
    ///
    /// # Errors
    /// Refuses the configuration, with what the operator should read.
    fn init(config: Self::Config) -> Result<Self>;

    /// The hooks that this configuration has no use for: they are not called, so that a feature that is switched off costs
    /// a request nothing. Asked once, after `init`; the same configuration must always give the same.
    fn idle_hooks(&self) -> Vec<Hook> {
        Vec::new()
    }

    /// Before the route is known. Called once per request, in chain order.
    ///
    /// # Errors
    /// Meets the plugin's `on_failure` policy.
    fn pre_route(&self, request: &Request) -> Result<Verdict> {
        Ok(Verdict::Next)
    }

    /// After routing, before cache and handler. Called once per routed request, in chain order.
    ///
    /// # Errors
    /// Meets the plugin's `on_failure` policy.
    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        Ok(Verdict::Next)
    }

    /// Decides under which key a response is looked up and stored. Called once per request where the route caches.
    ///
    /// # Errors
    /// Meets `on_failure`: `skip` goes around the cache.
    fn cache_key(&self, request: &Request) -> Result<KeyVerdict> {
        Ok(KeyVerdict::Next)
    }

    /// Decides whether and for how long a response is stored. Called once per response of the handler after a miss.
    ///
    /// # Errors
    /// The response is not stored.
    fn cache_admit(&self, request: &Request, response: &Response) -> Result<AdmitVerdict> {
        Ok(AdmitVerdict::Next)
    }

    /// On every response before its head is sent, from the cache and from errors too. Called in reverse chain order.
    ///
    /// # Errors
    /// Meets the plugin's `on_failure` policy.
    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        Ok(Verdict::Next)
    }

    /// After the last byte, or when the client went away: before there was a response it has the status 499 and no fields. Called once per
    /// response, in reverse chain order; never delays the client.
    ///
    /// # Errors
    /// Is counted and logged.
    fn post_response(&self, request: &Request, response: &Response, summary: &Summary) -> Result<()> {
        Ok(())
    }

    /// When the gateway is about to answer with an error of its own. Called in chain order until one answers.
    ///
    /// # Errors
    /// Leaves the gateway's own response.
    fn on_error(&self, request: &Request, failure: &Failure) -> Result<Verdict> {
        Ok(Verdict::Next)
    }

    /// Before an instance is dropped in good order. Called at most once, and not after a trap.
    fn destroy(&self) {}
}

/// What a hook decides.
#[derive(Debug)]
pub enum Verdict {
    /// Go on with the next plugin, then with the next step.
    Next,
    /// Stop here and answer with this response.
    Respond(Response),
}

impl From<Response> for Verdict {
    fn from(response: Response) -> Self {
        Self::Respond(response)
    }
}

/// What becomes of the cache key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    /// Leave the key as the plugins before made it. The first one is scheme, authority, path and query.
    Next,
    /// Append this part to the key.
    Extend(String),
    /// Use this instead of the key. The gateway keeps the keys of different routes apart.
    Replace(String),
    /// Neither look up nor store.
    Bypass,
}

/// Whether a response is stored.
#[derive(Debug, Clone)]
pub enum AdmitVerdict {
    /// No opinion: the plugins before, or the response's own Cache-Control, decide.
    Next,
    /// Do not store it.
    NoStore,
    /// Store it like this.
    Store(Admission),
}

/// How a response is stored. What is not named does not happen:
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_sdk::Admission;
/// Admission::fresh_for(Duration::from_secs(60)).tag("news").stale_if_error(Duration::from_secs(3600));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Admission {
    pub(crate) ttl: Duration,
    pub(crate) tags: Vec<String>,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) refresh_ahead: Duration,
}

impl Admission {
    /// Fresh for this long, without anything else.
    pub fn fresh_for(ttl: Duration) -> Self {
        Self { ttl, ..Self::default() }
    }

    /// Adds a name under which it can be purged.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds names under which it can be purged.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// For so long after its freshness it is still shown while it is fetched anew (RFC 5861 section 3).
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window;
        self
    }

    /// For so long after its freshness it is still shown where the upstream fails (RFC 5861 section 4).
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = window;
        self
    }

    /// A hit that finds less than this of its freshness left is answered at once, and one fetch in the background renews it. Should be
    /// well below the freshness, or every hit fetches.
    pub fn refresh_ahead(mut self, left: Duration) -> Self {
        self.refresh_ahead = left;
        self
    }
}

impl From<Admission> for AdmitVerdict {
    fn from(admission: Admission) -> Self {
        Self::Store(admission)
    }
}

/// The configuration of a plugin that has none: an empty object, so that a key by mistake is refused.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
