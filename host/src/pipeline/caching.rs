//! Cache look-up and storing, with the plugins' say in both.
//!
//! The key begins with the route, so that no plugin can make one route's responses appear on another.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, Method, header};

use super::Pipeline;
use super::plan::Route;
use super::walk::Walk;
use crate::cache::Admission;
use crate::cache::policy::{self, Lookup};
use crate::exchange::{CacheStatus, Credentials, Exchange, Failure, Response};
use crate::http::Body;
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
    pub(super) fn look_up(&self, walk: &mut Walk<'_>, route: &Route, body: &Body) -> Result<Option<Slot>, Failure> {
        if !route.cached {
            return Ok(None);
        }
        let request = &walk.exchange.request;
        let lookup = policy::lookup(&request.method, &request.headers);
        // The body of a GET means nothing to a cache and may mean something to the upstream (RFC 9110 section 9.3.1).
        if lookup == Lookup::Unsuited || !matches!(body, Body::Empty) {
            return Ok(None);
        }
        let key = key(route, &walk.exchange);
        let Some(key) = walk.cache_key(key, route.name.as_str().len() + 1)? else {
            walk.exchange.cache = CacheStatus::Bypass;
            return Ok(None);
        };
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
            // A plugin that could not see the credentials cannot have meant to share what they brought.
            AdmitVerdict::Store(_) if hides_credentials(exchange) && by_http(exchange, &response).is_none() => None,
            AdmitVerdict::Store(told) => {
                let tags = told.tags.into_iter().map(String::into_boxed_str).collect();
                Some(Admission { ttl: told.ttl, tags, ..Admission::default() })
            }
            AdmitVerdict::Next => by_http(exchange, &response),
        };
        let headers = &exchange.request.headers;
        exchange.response = Some(match admission {
            Some(admission) => self.cache.record(&key, admission, headers, response, time::now()),
            None => response,
        });
    }
}

/// Whether the client sent `Authorization` and a plugin has removed it, so that the upstream and later plugins do not see it.
fn hides_credentials(exchange: &Exchange) -> bool {
    exchange.credentials == Credentials::Sent && !exchange.request.headers.contains_key(header::AUTHORIZATION)
}

/// What HTTP says about storing a response. Credentials count even where a plugin has removed them (RFC 9111 section 3.5).
fn by_http(exchange: &Exchange, response: &Response) -> Option<Admission> {
    let mut headers = Cow::Borrowed(&exchange.request.headers);
    if hides_credentials(exchange) {
        headers.to_mut().insert(header::AUTHORIZATION, HeaderValue::from_static("removed"));
    }
    let head = (response.status, &response.headers);
    policy::freshness((&exchange.request.method, &headers), head, time::unix(), exchange.timings.upstream).ok()
}

/// The key before any plugin had its say: the route, and what was asked for.
fn key(route: &Route, exchange: &Exchange) -> String {
    let (route, scheme) = (route.name.as_str(), exchange.client.scheme.as_str());
    let (authority, target) = (canonical(&exchange.request.authority, scheme), exchange.request.target.as_str());
    let mut key = String::with_capacity(route.len() + scheme.len() + authority.len() + target.len() + 4);
    for part in [route, "\0", scheme, "://", &authority, target] {
        key.push_str(part);
    }
    key
}

/// The host as every spelling of it is stored under: in lower case, without the scheme's own port and without the dot of the root
/// (RFC 3986 section 6.2.3).
fn canonical<'a>(authority: &'a str, scheme: &str) -> Cow<'a, str> {
    let own = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(own).or_else(|| authority.strip_suffix(':')).unwrap_or(authority);
    let authority = authority.strip_suffix('.').unwrap_or(authority);
    match authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(authority.to_ascii_lowercase()),
        false => Cow::Borrowed(authority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_host_are_one() {
        let check = |authority: &str, scheme: &str, expected: &str| assert_eq!(canonical(authority, scheme), expected);
        check("a.example", "http", "a.example");
        check("A.Example:80", "http", "a.example");
        check("a.example.:443", "https", "a.example");
        check("a.example:", "http", "a.example");
        check("a.example:443", "http", "a.example:443");
        check("[::1]:80", "http", "[::1]");
    }
}
