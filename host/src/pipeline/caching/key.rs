//! Under which key a response is stored, and by which URL it is purged.
//!
//! Pure.

use std::borrow::Cow;

use http::Uri;

use crate::exchange::{Exchange, Scheme};
use crate::http::canonical_host;
use crate::pipeline::plan::Route;

/// The key before any plugin had its say: the route, and what was asked for.
pub(super) fn of(route: &Route, exchange: &Exchange) -> String {
    let route = route.name.as_str();
    let request = &exchange.request;
    let url = [exchange.client.scheme.as_str(), &request.authority, request.target.as_str()];
    let length = url.iter().map(|part| part.len()).sum::<usize>() + route.len() + 4;
    let mut key = String::with_capacity(length);
    key.push_str(route);
    key.push('\0');
    write(&mut key, exchange.client.scheme, &request.authority, request.target.as_str());
    key
}

/// What was asked for, as in `https://example.com/a?b`.
pub(super) fn url(exchange: &Exchange) -> String {
    written(exchange.client.scheme, &exchange.request.authority, exchange.request.target.as_str())
}

fn written(scheme: Scheme, authority: &str, target: &str) -> String {
    let mut url = String::new();
    write(&mut url, scheme, authority, target);
    url
}

fn write(out: &mut String, scheme: Scheme, authority: &str, target: &str) {
    let scheme = scheme.as_str();
    for part in [scheme, "://", &canonical_host(authority, scheme), target] {
        out.push_str(part);
    }
}

/// The URL that a reference in a response leads to (RFC 3986 section 5), if it is on the same site.
pub(super) fn referred(exchange: &Exchange, reference: &str) -> Option<String> {
    let (scheme, request) = (exchange.client.scheme, &exchange.request);
    let reference = reference.split('#').next().unwrap_or_default();
    let same_site = |authority: &str| {
        canonical_host(authority, scheme.as_str()) == canonical_host(&request.authority, scheme.as_str())
    };
    if reference.contains("://") || reference.starts_with("//") {
        let uri: Uri = reference.trim_start_matches("//").parse().ok()?;
        let found = match uri.scheme_str() {
            Some(found) => found.eq_ignore_ascii_case(scheme.as_str()),
            None => true,
        };
        let rest = reference.split_once("//")?.1;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let target = if target.starts_with('/') { Cow::Borrowed(target) } else { Cow::Owned(format!("/{target}")) };
        return (found && same_site(authority)).then(|| written(scheme, authority, &target));
    }
    let path = request.target.path();
    let target = match reference.as_bytes().first() {
        None => Cow::Borrowed(request.target.as_str()),
        Some(b'/') => Cow::Borrowed(reference),
        Some(b'?') => Cow::Owned(format!("{path}{reference}")),
        Some(_) => {
            let folder = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/");
            Cow::Owned(format!("{folder}{reference}"))
        }
    };
    Some(written(scheme, &request.authority, &target))
}
