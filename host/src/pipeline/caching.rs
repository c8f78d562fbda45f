//! Cache look-up and storing, with the plugins' say in both.
//!
//! The key begins with the route, so that no plugin can make one route's responses appear on another.

use http::{HeaderName, Method};

use super::Pipeline;
use super::plan::Route;
use super::walk::Walk;
use crate::cache::Admission;
use crate::cache::policy::{self, Lookup};
use crate::exchange::{CacheStatus, Exchange, Failure};
use crate::plugin::AdmitVerdict;
use crate::time;

/// RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Where the response goes if it may be stored.
pub(super) struct Slot {
    key: String,
}

impl Pipeline {
    /// Looks for a stored response. Gives where to store the handler's, where that is possible at all.
    pub(super) fn look_up(&self, walk: &mut Walk<'_>, route: &Route) -> Result<Option<Slot>, Failure> {
        if !route.cached {
            return Ok(None);
        }
        let request = &walk.exchange.request;
        let lookup = policy::lookup(&request.method, &request.headers);
        if lookup == Lookup::Unsuited {
            return Ok(None);
        }
        let url = url(&walk.exchange);
        let Some(key) = walk.cache_key(url)? else {
            walk.exchange.cache = CacheStatus::Bypass;
            return Ok(None);
        };
        let key = format!("{}\0{key}", route.name);
        let exchange = &mut *walk.exchange;
        exchange.cache = if lookup == Lookup::Bypass { CacheStatus::Bypass } else { CacheStatus::Miss };
        if lookup == Lookup::Allowed {
            let now = time::now();
            if let Some(stored) = self.cache.lookup(&key, &exchange.request.headers, now) {
                let mut response = stored.response(now);
                response.headers.insert(CACHE_STATUS, stored.cache_status(now));
                exchange.response = Some(response);
                exchange.cache = CacheStatus::Hit;
            }
            exchange.timings.cache = exchange.lap(time::now());
        }
        Ok(Some(Slot { key }))
    }

    /// Stores the response while it goes by, where HTTP or a plugin says so.
    pub(super) fn store(&self, walk: &mut Walk<'_>, slot: Option<Slot>) {
        let Some(Slot { key }) = slot else { return };
        // What HEAD brings has no body to store.
        if walk.exchange.request.method != Method::GET {
            return;
        }
        let verdict = walk.cache_admit();
        let exchange = &mut *walk.exchange;
        let Some(response) = exchange.response.take() else { return };
        let admission = match verdict {
            AdmitVerdict::NoStore => None,
            AdmitVerdict::Store { ttl, tags } => {
                let tags = tags.into_iter().map(String::into_boxed_str).collect();
                Some(Admission { ttl, tags, ..Admission::default() })
            }
            AdmitVerdict::Next => {
                let request = (&exchange.request.method, &exchange.request.headers);
                let head = (response.status, &response.headers);
                policy::freshness(request, head, time::unix(), exchange.timings.upstream).ok()
            }
        };
        let headers = &exchange.request.headers;
        exchange.response = Some(match admission {
            Some(admission) => self.cache.record(&key, admission, headers, response, time::now()),
            None => response,
        });
    }
}

/// The key before any plugin had its say: what was asked for.
fn url(exchange: &Exchange) -> String {
    let scheme = exchange.client.scheme.as_str();
    let target = exchange.request.target.as_str();
    let authority = &exchange.request.authority;
    let mut url = String::with_capacity(scheme.len() + 3 + authority.len() + target.len());
    url.push_str(scheme);
    url.push_str("://");
    url.push_str(authority);
    url.push_str(target);
    url
}
