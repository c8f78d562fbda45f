//! Checks how requests are spread over the endpoints of an upstream.

use std::time::Duration;

use http::HeaderName;

use super::super::file::{self, HashBy as Written};
use super::super::problem::Report;
use super::{address, millis};
use crate::plugin::schema::JsonPath;
use crate::upstream::{Balance, Duty, Ejection, Hash, HashBy, Policy, SameSite, Share, Sticky};

/// Compiles one entry of `endpoints`.
pub(super) fn endpoint(written: &file::Endpoint, at: &JsonPath, report: &mut Report) -> Option<Share> {
    match written {
        file::Endpoint::Address(text) => Some(Share::of(address::endpoint(text, at, report)?)),
        file::Endpoint::Weighted(written) => {
            let endpoint = address::endpoint(written.address.as_deref()?, &at.key("address"), report)?;
            let weight = written.weight.map_or(1, |weight| u16::try_from(weight).unwrap_or(u16::MAX));
            let duty = if written.drain.unwrap_or(false) { Duty::Drains } else { Duty::Serves };
            Some(Share { endpoint, weight, duty })
        }
    }
}

/// Reports an upstream of which nobody is asked.
pub(super) fn check_endpoints(shares: &[Share], at: &JsonPath, report: &mut Report) {
    if !shares.is_empty() && shares.iter().all(|share| share.duty == Duty::Drains) {
        report.add(at, "all of them drain", "leave one of them without \"drain\"");
    }
}

/// Compiles `balance`, `hash`, `sticky` and `slow_start_ms`.
pub(super) fn compile(written: &file::Upstream, at: &JsonPath, report: &mut Report) -> Balance {
    let policy = match written.balance {
        None | Some(file::Balance::RoundRobin) => Policy::RoundRobin,
        Some(file::Balance::LeastConnections) => Policy::LeastConnections,
        Some(file::Balance::P2c) => Policy::PowerOfTwo,
        Some(file::Balance::Random) => Policy::Random,
        Some(file::Balance::Hash) => Policy::Hash(hash(written.hash.as_ref(), &at.key("hash"), report)),
    };
    if written.hash.is_some() && written.balance != Some(file::Balance::Hash) && !report.is_gone(&at.key("balance")) {
        report.add(&at.key("hash"), "nothing is hashed", "write \"balance\": \"hash\" or remove it");
    }
    let sticky = written.sticky.as_ref().and_then(|sticky| self::sticky(sticky, &at.key("sticky"), report));
    Balance { policy, sticky, slow_start: millis(written.slow_start_ms, 0) }
}

/// Compiles when an endpoint is ejected.
pub(super) fn ejection(written: &file::Upstream) -> Ejection {
    // The schema's limits are below what a `u32` holds.
    let number = |written: Option<u64>, default| written.map_or(default, |n| u32::try_from(n).unwrap_or(u32::MAX));
    Ejection {
        failures: number(written.ejection_failures, file::Upstream::EJECTION_FAILURES),
        errors: number(written.ejection_errors, 0),
        duration: millis(written.ejection_ms, file::Upstream::EJECTION_MS),
        duration_max: millis(written.ejection_ms_max, file::Upstream::EJECTION_MS_MAX),
        percent_max: number(written.ejection_percent_max, 100),
    }
}

fn hash(written: Option<&file::Hash>, at: &JsonPath, report: &mut Report) -> Hash {
    let name_at = at.key("name");
    let by = written.and_then(|w| w.by).unwrap_or(Written::ClientAddress);
    let name = written.and_then(|w| w.name.as_deref());
    let load_percent_max =
        written.and_then(|w| w.load_percent_max).map(|percent| u32::try_from(percent).unwrap_or(u32::MAX));
    let by = match (by, name) {
        (Written::ClientAddress | Written::Path, Some(_)) => {
            report.add(&name_at, "neither an address nor a path has a name", "remove it");
            HashBy::ClientAddress
        }
        (Written::ClientAddress, None) => HashBy::ClientAddress,
        (Written::Path, None) => HashBy::Path,
        (Written::Header | Written::Cookie, None) => {
            if !report.is_gone(&name_at) {
                report.add(at, "\"name\" is missing", "say which header field or cookie");
            }
            HashBy::ClientAddress
        }
        (Written::Header, Some(name)) => match name.parse::<HeaderName>() {
            Ok(name) => HashBy::Header(name),
            Err(_) => {
                report.add(&name_at, format!("{name:?} is not a field name"), "write one such as \"x-user\"");
                HashBy::ClientAddress
            }
        },
        (Written::Cookie, Some(name)) => {
            cookie(name, &name_at, report);
            HashBy::Cookie(name.to_owned())
        }
    };
    Hash { by, load_percent_max }
}

fn sticky(written: &file::Sticky, at: &JsonPath, report: &mut Report) -> Option<Sticky> {
    let name = written.cookie.as_deref()?;
    cookie(name, &at.key("cookie"), report);
    let path = written.path.as_deref().unwrap_or("/");
    // RFC 6265 section 4.1.1: anything but controls and the semicolon, and it must begin with a slash to be heeded.
    if !path.starts_with('/') || path.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b';') {
        report.add(&at.key("path"), format!("{path:?} is not a cookie's path"), "write one such as \"/\"");
    }
    let same_site = match written.same_site {
        None | Some(file::SameSite::Lax) => SameSite::Lax,
        Some(file::SameSite::Strict) => SameSite::Strict,
        Some(file::SameSite::None) => SameSite::None,
    };
    let secure = written.secure.unwrap_or(false);
    if same_site == SameSite::None && !secure && !report.is_gone(&at.key("secure")) {
        report.add(&at.key("same_site"), "browsers refuse this without \"secure\"", "write \"secure\": true, too");
    }
    Some(Sticky {
        cookie: name.to_owned(),
        max_age: written.ttl_s.map(Duration::from_secs),
        path: path.to_owned(),
        secure,
        http_only: written.http_only.unwrap_or(true),
        same_site: Some(same_site),
    })
}

/// The name of a cookie is a token (RFC 6265 section 4.1.1).
fn cookie(name: &str, at: &JsonPath, report: &mut Report) {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(token) {
        report.add(at, format!("{name:?} is not a cookie's name"), "use letters, digits, - and _");
    }
}
