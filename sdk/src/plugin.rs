//! The trait a plugin implements: one method per hook of the contract, each with a default that does nothing.
//!
//! Invariant: the defaults are never called by the gateway, since `#[plugin]` exports only the hooks that were written.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Request, Response, Result};

pub use crate::raw::cache_admit::Admission;
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

    /// After the last byte. Called once per response, in reverse chain order; never delays the client.
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
    /// Store it for this long under these tags.
    Store(Admission),
}

/// The configuration of a plugin that has none: an empty object, so that a key by mistake is refused.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
