//! Decides what the gateway's cache keeps, under which key and for how long, what a write purges, and what clients may keep.
//!
//! ```json
//! {
//!   "statuses": { "200": "10m", "301": { "ttl": "1h", "stale_if_error": "7d" } },
//!   "negative": { "404": "30s" },
//!   "stale_while_revalidate": "30s",
//!   "stale_if_error": "1d",
//!   "refresh_ahead": "10%",
//!   "paths": [
//!     { "path": "/static/*", "ttl": "1d", "tags": ["static"] },
//!     { "path": "/account/*", "store": false }
//!   ],
//!   "adaptive": { "min": "5s", "max": "1h" },
//!   "key": { "headers": ["accept-language"], "query": { "deny": ["utm_*", "fbclid"] }, "sort_query": true },
//!   "bypass": { "cookies": ["session"], "headers": [{ "name": "x-preview" }], "query": ["nocache"] },
//!   "tags": { "headers": ["surrogate-key"] },
//!   "purge_on": [{ "path": "/articles/*", "tags": ["article-{1}"], "urls": ["/articles"] }],
//!   "cache_control": [
//!     { "path": "/static/*", "value": "public, max-age=31536000, immutable" },
//!     { "path": "/api/*", "value": "private, max-age=0, must-revalidate" },
//!     { "value": "no-store" }
//!   ]
//! }
//! ```
//!
//! # How long
//!
//! Durations are written `500ms`, `30s`, `10m`, `1h`, `7d`; `0s` means: not stored. For each response the first that says
//! something decides:
//!
//! 1. `"store": false` on its path, `Vary: *`, `Set-Cookie` (unless `store_set_cookie`): not stored.
//! 2. What the origin says in `CDN-Cache-Control`, or else in `Cache-Control` and `Expires`: `no-store` and `private` are not
//!    stored, `no-cache` is left to the gateway, a lifetime counts as it stands. With `override_origin` this comes last.
//! 3. `statuses`, then `ttl` of the first entry in `paths` that matches.
//! 4. `adaptive`, for 200.
//! 5. `statuses`, `negative` (404, 410, 5xx), `negative_ttl` (404, 405, 410, 414, 451, 501), `ttl`. A `ttl` speaks of 200, 203, 204,
//!    300, 301 and 308.
//!
//! Otherwise the gateway decides as without this plugin. In `statuses` a code (`404`) wins over a class (`4xx`).
//!
//! `negative` keeps what says that there is nothing, or that something failed, for a moment: `{}` means 10 s for 404, 1 min for 410 and
//! 1 s for 5xx. Errors that the gateway makes itself, such as those of an upstream that cannot be reached, are never stored.
//!
//! # Around the end of it
//!
//! - `stale_while_revalidate`: for so long after its ttl a response is still shown while it is fetched anew.
//! - `stale_if_error`: for so long after its ttl it is still shown where the upstream fails.
//! - `refresh_ahead`: a share of the ttl (`10%`, up to 90%) or a duration; when so much of it is left or less, the next hit is answered
//!   at once and has it renewed in the background, so that what is asked for never becomes stale.
//!
//! They are looked for one by one in the same order as ttls: `statuses` of the path, the path, `statuses`, the top. Without a status
//! they speak of 200, 203, 204, 300, 301 and 308. They are added to what is stored with a ttl, the origin's or ours; they do not make a
//! response be stored. `stale-while-revalidate` and `stale-if-error` of the origin win over ours, `must-revalidate`,
//! `proxy-revalidate` and an `s-maxage` without either of them forbid showing anything stale; with `override_origin` ours win.
//!
//! # Purging
//!
//! When a request of `methods` (POST, PUT, PATCH, DELETE) to a `path` of `purge_on` has succeeded (2xx, 3xx), what it names is purged before the
//! response goes out: `tags`, `urls` and `patterns` of URLs, each with `{path}`, `{1}` for what the first `*` of `path` stands for, and
//! `{id}` for a parameter of the route's path. Every entry that matches counts. `"mode": "soft"` marks stale instead of removing. This
//! needs the grant `cache`; a configuration without `purge_on` does not. A purge that fails is logged and changes no answer.
//!
//! # Adaptive ttl
//!
//! A response that changes rarely and is asked for often is kept longer:
//!
//! `ttl = interval × share × (1 + popularity × log2(1 + requests per minute))`, not under `min` and not over `max`.
//!
//! `interval` is the time for which the resource has been seen unchanged (`ETag`, else `Last-Modified`), or the average time
//! between its changes where that is more; `Last-Modified` tells the time of the last change even when it was never seen
//! before. A response with neither is not adapted, unless `by_length` lets its `Content-Length` tell a change. Requests are counted in each instance, changes are kept in `kv`, where
//! all workers share them and they survive a swap.
//!
//! # Cookies
//!
//! A `ttl` speaks of every request, those with cookies included: where the origin makes pages for whoever is logged in and does
//! not say so in `Cache-Control`, name the session cookie in `bypass.cookies` (or in `key.cookies`), or one visitor's page is shown to others.
//!
//! # Key
//!
//! Without `key` it is the gateway's: scheme, authority, path and query. Headers and cookies extend it; a choice among query
//! parameters, sorting them, or leaving out scheme or host replaces it, and with it what plugins earlier in the chain
//! added. Patterns of names and paths may hold `*`, which stands for anything.
//!
//! # What it costs
//!
//! `purge_on`: one call to read the method. `cache_control`: one call to read the path (none where the first entry is for all paths), one to read the status (none
//! with `"errors": "apply"`), one to apply a prepared set. The cache hooks are only called on routes that cache, and ask only
//! for what the configuration names. A hook that the configuration has no use for is not called.

mod adaptive;
mod admit;
mod ahead;
mod asked;
mod bypass;
mod client;
mod config;
mod cookie;
mod key;
mod origin;
mod purge;
mod query;
mod tags;
mod ttl;
mod windows;

#[cfg(test)]
mod tests;

use portcullis_sdk::prelude::*;

use crate::adaptive::Adaptive;
use crate::admit::Admit;
use crate::asked::Asked;
use crate::bypass::Bypass;
use crate::client::Client;
use crate::config::Config;
use crate::key::Key;
use crate::purge::Purging;

/// What an instance prepared. What is none has nothing to do.
pub struct SmartCache {
    bypass: Option<Bypass>,
    key: Key,
    adaptive: Option<Adaptive>,
    admit: Option<Admit>,
    client: Option<Client>,
    purging: Option<Purging>,
}

#[portcullis_sdk::plugin(grants = ["clock", "kv", "cache?"])]
impl Plugin for SmartCache {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self {
            bypass: Bypass::new(&config.bypass)?,
            key: Key::new(&config.key)?,
            adaptive: config.adaptive.as_ref().map(Adaptive::new).transpose()?,
            admit: Admit::new(&config)?,
            client: Client::new(&config)?,
            purging: Purging::new(&config.purge_on)?,
        })
    }

    fn idle_hooks(&self) -> Vec<Hook> {
        let mut idle = Vec::new();
        if self.bypass.is_none() && self.adaptive.is_none() && self.key.is_plain() {
            idle.push(Hook::CacheKey);
        }
        if self.admit.is_none() {
            idle.push(Hook::CacheAdmit);
        }
        if self.client.is_none() && self.purging.is_none() {
            idle.push(Hook::PostHandler);
        }
        idle
    }

    fn cache_key(&self, request: &Request) -> Result<KeyVerdict> {
        let asked = Asked::new(request);
        if let Some(bypass) = &self.bypass
            && bypass.applies(&asked)
        {
            return Ok(KeyVerdict::Bypass);
        }
        if let Some(adaptive) = &self.adaptive {
            adaptive.count(self.key.resource(&asked));
        }
        Ok(self.key.verdict(&asked))
    }

    fn cache_admit(&self, request: &Request, response: &Response) -> Result<AdmitVerdict> {
        match &self.admit {
            Some(admit) => Ok(admit.verdict(&Asked::new(request), response, self.adaptive.as_ref(), &self.key)),
            None => Ok(AdmitVerdict::Next),
        }
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        if let Some(purging) = &self.purging {
            purging.after(request, response);
        }
        if let Some(client) = &self.client {
            client.apply(request, response);
        }
        Ok(Verdict::Next)
    }
}
