//! Whether a response is stored, and what may be done with it then (RFC 9111 sections 3 and 4.2).

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use super::directives::{Directives, Seconds, Target, has_pragma_no_cache, seconds};
use super::{Authorization, ClientDirectives, Policy, SetCookie};
use crate::cache::{Admission, Stale};

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStored {
    /// Not an answer to GET.
    Method,
    /// A status that is not stored.
    Status,
    /// Request or response forbid it.
    Forbidden,
    /// It is meant for one client.
    Private,
    /// `Vary: *`.
    Varies,
    /// It could never be used: it is not fresh, and there is nothing to validate it by.
    NotFresh,
}

/// A response that may be stored.
#[derive(Debug, Clone, Copy)]
pub struct Storing<'a> {
    /// The method that it answers.
    pub method: &'a Method,
    /// The fields of the request.
    pub request: &'a HeaderMap,
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub response: &'a HeaderMap,
    /// The time since the Unix epoch when its head came.
    pub now: Duration,
    /// How long its head took.
    pub took: Duration,
}

/// Whether a response may be stored, and how it may be used.
pub fn admission(policy: &Policy, storing: &Storing<'_>) -> Result<Admission, NotStored> {
    let Storing { method, request, status, response, .. } = *storing;
    if *method != Method::GET {
        return Err(NotStored::Method);
    }
    if status.is_informational() || status == StatusCode::NOT_MODIFIED {
        return Err(NotStored::Status);
    }
    let (said, target) = Directives::of_response(response, &policy.targeted);
    let heard = policy.client_directives == ClientDirectives::Heard;
    let forbidden = if said.must_understand { !is_understood(status) } else { said.no_store };
    if forbidden || heard && request.contains_key(header::CACHE_CONTROL) && Directives::read(request).no_store {
        return Err(NotStored::Forbidden);
    }
    let shared = said.public || said.must_revalidate || said.s_maxage != Seconds::Absent;
    let authorized = request.contains_key(header::AUTHORIZATION);
    if said.private || authorized && (!shared || policy.authorization == Authorization::Refuse) {
        return Err(NotStored::Private);
    }
    if response.get_all(header::VARY).iter().any(|value| value.as_bytes().contains(&b'*')) {
        return Err(NotStored::Varies);
    }
    let sets_cookie = response.contains_key(header::SET_COOKIE);
    let explicit = lifetime(&said, target, response, storing.now);
    let lifetime = match explicit {
        Some(lifetime) => lifetime,
        None if !is_cacheable(status) && !said.public => return Err(NotStored::Status),
        // What is not meant to be shared and does not say so.
        None if sets_cookie => return Err(NotStored::Private),
        None => guessed(policy, response, storing.now).unwrap_or_default(),
    };
    let age = initial_age(response, storing.now, storing.took);
    let stale = stale(policy, &said);
    let ttl = lifetime.saturating_sub(age);
    let has_validator = response.contains_key(header::ETAG) || response.contains_key(header::LAST_MODIFIED);
    let usable = !ttl.is_zero() && !said.no_cache || stale.longest() > age.saturating_sub(lifetime);
    if !usable && (!has_validator || explicit.is_none() && request.contains_key(header::COOKIE)) {
        return Err(NotStored::NotFresh);
    }
    let mut withheld = said.withheld.clone();
    if sets_cookie {
        match policy.set_cookie {
            SetCookie::Refuse => return Err(NotStored::Private),
            // What is validated for every client must not bring the cookie of the first.
            SetCookie::Store if !ttl.is_zero() && !said.no_cache => {}
            SetCookie::Store | SetCookie::Strip => withheld.push(header::SET_COOKIE),
        }
    }
    let late = age.saturating_sub(lifetime);
    Ok(Admission { ttl, age, late, stale, validate: said.no_cache, withheld, ..Admission::default() })
}

/// Statuses that may be stored without saying so (RFC 9110 section 15.1).
fn is_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Statuses whose meaning for caches is known here (RFC 9111 section 5.2.2.3).
fn is_understood(status: StatusCode) -> bool {
    is_cacheable(status) || matches!(status.as_u16(), 302 | 303 | 307 | 400 | 403 | 500 | 502 | 503 | 504)
}

/// How long a response says that it is fresh (section 4.2.1).
fn lifetime(said: &Directives, target: Target, response: &HeaderMap, now: Duration) -> Option<Duration> {
    for seconds in [said.s_maxage, said.max_age] {
        match seconds {
            Seconds::Given(seconds) => return Some(Duration::from_secs(seconds)),
            // What cannot be understood is stale.
            Seconds::Unclear => return Some(Duration::ZERO),
            Seconds::Absent => {}
        }
    }
    if target == Target::Us {
        return None;
    }
    let mut expires = response.get_all(header::EXPIRES).iter();
    let first = expires.next()?;
    let (Some(expires), None) = (date(first), expires.next()) else { return Some(Duration::ZERO) };
    let sent = response.get(header::DATE).and_then(date).unwrap_or(now);
    Some(expires.saturating_sub(sent).min(Duration::from_secs(1 << 31)))
}

/// Section 4.2.2. What was not changed for long will not be changed soon.
fn guessed(policy: &Policy, response: &HeaderMap, now: Duration) -> Option<Duration> {
    if has_pragma_no_cache(response) {
        return None;
    }
    let sent = response.get(header::DATE).and_then(date).unwrap_or(now);
    let unchanged = sent.checked_sub(response.get(header::LAST_MODIFIED).and_then(date)?)?;
    Some((unchanged * u32::from(policy.heuristic_percent) / 100).min(policy.heuristic_max))
}

/// For how long after its freshness the response may be used (section 4.2.4, RFC 5861).
fn stale(policy: &Policy, said: &Directives) -> Stale {
    if said.forbids_stale() {
        return Stale { forbidden: true, ..Stale::default() };
    }
    let if_error = said.stale_if_error.given();
    Stale {
        while_revalidate: said.stale_while_revalidate.given().unwrap_or(policy.stale_while_revalidate),
        if_error: if_error.unwrap_or(policy.stale_if_error),
        if_unreachable: if_error.unwrap_or_else(|| policy.stale_if_unreachable.max(policy.stale_if_error)),
        forbidden: false,
    }
}

/// Section 4.2.3: how old the response is when it comes in. Of several values of `Age` the first counts, and one that is none does
/// not (section 5.1).
fn initial_age(response: &HeaderMap, now: Duration, took: Duration) -> Duration {
    // Dates have whole seconds; what is left of one is no age.
    let now = Duration::from_secs(now.as_secs());
    let apparent = response.get(header::DATE).and_then(date).map_or(Duration::ZERO, |date| now.saturating_sub(date));
    let first = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').next().and_then(|age| seconds(age.trim_ascii()))
    };
    let told = response.get(header::AGE).and_then(first).map_or(Duration::ZERO, |age| Duration::from_secs(age) + took);
    apparent.max(told)
}

fn date(value: &HeaderValue) -> Option<Duration> {
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok()
}
