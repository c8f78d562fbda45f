//! What may be looked up and stored without a plugin's say, and for how long: a careful part of RFC 9111.
//!
//! Pure. Only responses that state how long they are fresh are stored; nothing is guessed, nothing stale is served.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use super::Admission;

/// Whether a request may be answered from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It may.
    Allowed,
    /// The client wants a new response, or a part of one; what comes may be stored all the same.
    Bypass,
    /// Its method is not one that caches know.
    Unsuited,
}

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStored {
    /// Not GET.
    Method,
    /// A status that is not stored.
    Status,
    /// Request or response forbid it.
    Forbidden,
    /// It is meant for one client: `private`, `Authorization` or `Set-Cookie`.
    Private,
    /// `Vary: *`.
    Varies,
    /// It does not say how long it is fresh, or no longer is.
    NotFresh,
}

/// Longest freshness that is believed (RFC 9111 section 1.2.2).
const SECONDS_MAX: u64 = 1 << 31;

/// Whether a request may be answered from the cache.
pub fn lookup(method: &Method, request: &HeaderMap) -> Lookup {
    if *method != Method::GET && *method != Method::HEAD {
        return Lookup::Unsuited;
    }
    // What is stored is whole; asking the handler for the part is right and simple.
    if request.contains_key(header::RANGE) {
        return Lookup::Bypass;
    }
    if request.contains_key(header::CACHE_CONTROL) {
        let asked = Directives::read(request);
        let new = asked.no_store || asked.no_cache || asked.max_age == Seconds::Given(0);
        return if new { Lookup::Bypass } else { Lookup::Allowed };
    }
    // Section 5.4: Pragma counts only without Cache-Control.
    let pragma = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"no-cache");
    if request.get(header::PRAGMA).is_some_and(pragma) { Lookup::Bypass } else { Lookup::Allowed }
}

/// Whether and for how long a response may be stored (sections 3 and 4.2). `now` is the time since the Unix epoch, `took`
/// how long the response head took.
pub fn freshness(
    (method, request): (&Method, &HeaderMap),
    (status, response): (StatusCode, &HeaderMap),
    now: Duration,
    took: Duration,
) -> Result<Admission, NotStored> {
    if *method != Method::GET {
        return Err(NotStored::Method);
    }
    // Those that are defined as heuristically cacheable (RFC 9110 section 15.1), less 206, which is a part.
    if !matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501) {
        return Err(NotStored::Status);
    }
    let said = Directives::read(response);
    if said.no_store || said.no_cache || Directives::read(request).no_store {
        return Err(NotStored::Forbidden);
    }
    let shared = said.public || said.must_revalidate || said.s_maxage != Seconds::Absent;
    let authorized = request.contains_key(header::AUTHORIZATION) && !shared;
    if said.private || authorized || response.contains_key(header::SET_COOKIE) {
        return Err(NotStored::Private);
    }
    if response.get_all(header::VARY).iter().any(|value| value.as_bytes().contains(&b'*')) {
        return Err(NotStored::Varies);
    }
    let lifetime = lifetime(&said, response, now).ok_or(NotStored::NotFresh)?;
    let age = initial_age(response, now, took);
    match lifetime.checked_sub(age) {
        Some(ttl) if !ttl.is_zero() => Ok(Admission { ttl, age, tags: Vec::new() }),
        _ => Err(NotStored::NotFresh),
    }
}

/// Section 4.2.1, without the last resort of guessing.
fn lifetime(said: &Directives, response: &HeaderMap, now: Duration) -> Option<Duration> {
    for seconds in [said.s_maxage, said.max_age] {
        match seconds {
            Seconds::Given(seconds) => return Some(Duration::from_secs(seconds)),
            // Section 4.2.1: what cannot be understood is stale.
            Seconds::Unclear => return None,
            Seconds::Absent => {}
        }
    }
    let mut expires = response.get_all(header::EXPIRES).iter();
    let (expires, None) = (date(expires.next()?)?, expires.next()) else { return None };
    let date = response.get(header::DATE).and_then(date).unwrap_or(now);
    expires.checked_sub(date).map(|lifetime| lifetime.min(Duration::from_secs(SECONDS_MAX)))
}

/// Section 4.2.3: how old the response is when it comes in.
fn initial_age(response: &HeaderMap, now: Duration, took: Duration) -> Duration {
    let apparent = response.get(header::DATE).and_then(date).map_or(Duration::ZERO, |date| now.saturating_sub(date));
    let told = response
        .get(header::AGE)
        .and_then(|age| seconds(age.as_bytes()))
        .map_or(Duration::ZERO, |age| Duration::from_secs(age) + took);
    apparent.max(told)
}

fn date(value: &HeaderValue) -> Option<Duration> {
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok()
}

/// `delta-seconds` (section 1.2.2): digits, capped.
fn seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(text.iter().fold(0, add).min(SECONDS_MAX))
}

/// A number of seconds in a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Seconds {
    #[default]
    Absent,
    Given(u64),
    /// Not a number, or two different ones.
    Unclear,
}

impl Seconds {
    fn add(&mut self, value: Option<&[u8]>) {
        let given = value.and_then(seconds).map_or(Self::Unclear, Self::Given);
        *self = if *self == Self::Absent || *self == given { given } else { Self::Unclear };
    }
}

/// The directives of `Cache-Control` that matter here (section 5.2).
#[derive(Debug, Default, PartialEq, Eq)]
struct Directives {
    no_store: bool,
    no_cache: bool,
    private: bool,
    public: bool,
    must_revalidate: bool,
    max_age: Seconds,
    s_maxage: Seconds,
}

impl Directives {
    /// `no-cache` and `private` with field names are taken as without, which forbids more than was meant.
    fn read(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            for directive in Parts(line.as_bytes()) {
                let (name, value) = match directive.iter().position(|byte| *byte == b'=') {
                    Some(at) => (directive.get(..at), directive.get(at + 1..)),
                    None => (Some(directive), None),
                };
                let name = name.unwrap_or_default().trim_ascii();
                let value = value.map(|value| unquote(value.trim_ascii()));
                let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
                match () {
                    () if is("max-age") => directives.max_age.add(value),
                    () if is("s-maxage") => directives.s_maxage.add(value),
                    () if is("no-store") => directives.no_store = true,
                    () if is("no-cache") => directives.no_cache = true,
                    () if is("private") => directives.private = true,
                    () if is("public") => directives.public = true,
                    () if is("must-revalidate") => directives.must_revalidate = true,
                    () => {}
                }
            }
        }
        directives
    }
}

fn unquote(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The parts of a comma-separated list, commas within quotes left alone.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.0.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' => return !quoted,
                _ => {}
            }
            false
        });
        let (part, rest) = match end {
            Some(at) => (self.0.get(..at), self.0.get(at + 1..)),
            None => (Some(self.0), None),
        };
        self.0 = rest.unwrap_or_default();
        Some(part.unwrap_or_default().trim_ascii())
    }
}
