//! Sets the response headers that make browsers careful, and removes those that tell too much.
//!
//! Without configuration it does what helmet (the Node.js middleware) does: a Content-Security-Policy, HSTS, `nosniff`,
//! frame options, cross-origin policies and so on, without `Server` and `X-Powered-By`. Every header can be switched off
//! (`false`), switched on (`true`), replaced (a string) or, where it has an inner structure, composed (an object):
//!
//! ```json
//! {
//!   "x_frame_options": "DENY",
//!   "x_download_options": false,
//!   "strict_transport_security": { "max_age": 63072000, "preload": true },
//!   "content_security_policy": {
//!     "directives": { "script-src": ["'self'", "https://cdn.example"], "upgrade-insecure-requests": false },
//!     "nonce": ["script-src"]
//!   },
//!   "permissions_policy": { "camera": [], "geolocation": ["self", "https://maps.example"] },
//!   "reporting_endpoints": { "csp": "https://reports.example/csp" },
//!   "extra": { "x-robots-tag": "noindex" },
//!   "remove": ["server", "x-powered-by", "x-aspnet-version"]
//! }
//! ```
//!
//! `"defaults": "none"` turns everything off that is not written. Since every header, CSP directive and feature has a key
//! of its own, a route changes one with a merge patch, and `null` there returns to the default.
//!
//! # Nonce
//!
//! `nonce` (or `{nonce}` in a policy written as a string) asks for a random value per request. It is made before the
//! handler, left as the exchange attribute `csp.nonce` in base64 without padding, and with
//! `"nonce_request_header": "x-csp-nonce"` told to the upstream, which puts it into its pages. A plugin that set the
//! attribute earlier in the chain decides the value instead. Pages with a nonce in them must not be cached.
//!
//! # What it costs
//!
//! Everything that does not change from response to response is one prepared header set, applied with one call. HSTS is only
//! sent over https (RFC 6797 section 7.2), which costs one more call to ask for the scheme; `"hsts_over_http": true` saves
//! it and is right behind a load balancer that ends TLS. A nonce costs one more hook and four more calls. A hook that the
//! configuration has no use for is not called.

mod config;
mod csp;
mod nonce;
mod plain;
mod plan;
mod structured;

#[cfg(test)]
mod tests;

use portcullis_sdk::prelude::*;

use crate::config::Config;
use crate::csp::Template;
use crate::plan::{Edit, Plan};

/// The exchange attribute that carries the nonce.
const NONCE_ATTRIBUTE: &str = "csp.nonce";

/// What an instance prepared.
pub struct SecurityHeaders {
    /// For every response, or for those over http where `secure` is there. None: nothing to do.
    always: Option<HeaderSet>,
    /// Instead of `always` over https.
    secure: Option<HeaderSet>,
    /// Policies that need a nonce.
    nonced: Vec<(HeaderName, Template)>,
    /// The header that tells the upstream the nonce.
    nonce_header: Option<HeaderName>,
}

#[portcullis_sdk::plugin]
impl Plugin for SecurityHeaders {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let plan = Plan::new(&config)?;
        let secure = match &plan.secure_only {
            Some(hsts) => Some(prepare(plan.edits.iter().chain([hsts]))?),
            None => None,
        };
        let always = if plan.edits.is_empty() { None } else { Some(prepare(&plan.edits)?) };
        let nonced = plan.nonced.into_iter().map(|(name, template)| Ok((HeaderName::intern(name)?, template)));
        let nonced: Vec<_> = nonced.collect::<Result<_>>()?;
        let nonce_header = config.nonce_request_header.as_deref().map(HeaderName::intern).transpose()?;
        Ok(Self { always, secure, nonced, nonce_header })
    }

    fn idle_hooks(&self) -> Vec<Hook> {
        let mut idle = Vec::new();
        if self.nonced.is_empty() {
            idle.push(Hook::PreHandler);
            if self.always.is_none() && self.secure.is_none() {
                idle.push(Hook::PostHandler);
            }
        }
        idle
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        if !self.nonced.is_empty() {
            let nonce = nonce_of(request)?;
            if let Some(name) = self.nonce_header {
                request.set_header(name, nonce)?;
            }
        }
        Ok(Verdict::Next)
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        let set = match self.secure {
            Some(secure) if request.scheme() == "https" => Some(secure),
            _ => self.always,
        };
        if let Some(set) = set {
            response.apply(set);
        }
        if !self.nonced.is_empty() {
            // Where an earlier step answered, this is the first that needs it.
            let nonce = nonce_of(request)?;
            for (name, template) in &self.nonced {
                response.set_header(*name, template.fill(&nonce))?;
            }
        }
        Ok(Verdict::Next)
    }
}

/// The nonce that the exchange has, or a new one, which it has from now on.
fn nonce_of(request: &Request) -> Result<String> {
    if let Some(nonce) = request.attribute(NONCE_ATTRIBUTE) {
        nonce::check(&nonce)?;
        return Ok(nonce);
    }
    let nonce = nonce::make()?;
    request.set_attribute(NONCE_ATTRIBUTE, &nonce)?;
    Ok(nonce)
}

/// Hands edits to the gateway as one set.
fn prepare<'a>(edits: impl IntoIterator<Item = &'a Edit>) -> Result<HeaderSet> {
    let builder = edits.into_iter().fold(HeaderSet::builder(), |builder, edit| match edit {
        Edit::Set(name, value) => builder.set(name, value.as_str()),
        Edit::Default(name, value) => builder.default_value(name, value.as_str()),
        Edit::Remove(name) => builder.remove(name),
    });
    builder.prepare()
}
