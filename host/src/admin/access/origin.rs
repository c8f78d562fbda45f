//! Whether a browser asks on behalf of another site, and whether we were asked by a name of ours.
//!
//! Pure. A page elsewhere can make its visitor's browser send requests here; and it can let its own name lead to a loopback address (DNS
//! rebinding), after which the browser takes us for that page's site.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

use crate::exchange::Client;

/// What a browser says of who made it ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) enum Site {
    /// A page of ours.
    Ours,
    /// Another site.
    Foreign,
    /// It says nothing, as programs do that are no browsers.
    Unsaid,
}

/// Who made a browser ask (<https://www.w3.org/TR/fetch-metadata/>, RFC 6454 section 7).
pub(in crate::admin) fn site(headers: &HeaderMap, authority: Option<&str>) -> Site {
    let fetch = headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or("null"));
    let same = origin.map(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some() && host.map(str::to_ascii_lowercase) == authority.map(str::to_ascii_lowercase)
    });
    match (fetch, same) {
        (Some(b"same-origin"), None | Some(true)) | (None, Some(true)) => Site::Ours,
        // Typed in by the user, or a bookmark.
        (Some(b"none"), None) => Site::Unsaid,
        (Some(_), _) | (None, Some(false)) => Site::Foreign,
        (None, None) => Site::Unsaid,
    }
}

/// Host and port as asked for.
pub(in crate::admin) fn authority<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let host = || headers.get(header::HOST).and_then(|value| value.to_str().ok());
    uri.authority().map(Authority::as_str).or_else(host)
}

/// Whether a loopback address was asked by a name that can only lead there. Elsewhere any name will do: it is not ours to know.
pub(in crate::admin) fn is_ours(client: &Client, authority: Option<&str>, hosts: &[String]) -> bool {
    if client.user.is_some() || !client.local.ip().is_loopback() {
        return true;
    }
    let Some(authority) = authority.and_then(|text| text.parse::<Authority>().ok()) else { return false };
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    // A page cannot have an IP address for its name unless it is served from there.
    bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified())
        || host == "localhost"
        || host.ends_with(".localhost")
        || hosts.contains(&host)
}
