//! Web origins (RFC 6454) as browsers send them in `Origin`, and the patterns by which operators name them.
//!
//! Nothing here calls the gateway. Invariant: a pattern matches whole labels of a host, so that `https://*.example.com` is never
//! `https://evil-example.com` nor `https://example.com.evil.net`.

use crate::{Error, Result};

/// An origin: scheme, host and port. Compared in lower case; a port that is the scheme's own is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Reads the value of `Origin`, or the origin of a URL. None for `null` and for everything that is no origin.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if scheme.is_empty() || !scheme.bytes().all(is_scheme) || authority.contains('@') {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = Self::host_and_port(authority)?;
        Some(Self { port: port.filter(|port| Some(*port) != own_port(&scheme)), scheme, host })
    }

    /// Whether it is the origin of a site at `authority` (host and port), by whatever scheme it was reached.
    #[must_use]
    pub fn is_of(&self, authority: &str) -> bool {
        let Some((host, port)) = Self::host_and_port(authority) else { return false };
        let own = own_port(&self.scheme);
        host == self.host && port.or(own) == self.port.or(own)
    }

    fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
            _ => (authority, None),
        };
        let is_host =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'[' | b']' | b':');
        (!host.is_empty() && host.bytes().all(is_host)).then(|| (host.to_ascii_lowercase(), port))
    }
}

fn own_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Origins as operators name them: one, those of all subdomains (`https://*.example.com`), `null`, or all (`*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`
    Any,
    /// `null`: what has no origin, such as files and sandboxed frames. Whoever wants to can send that.
    Null,
    /// This one.
    Exact(Origin),
    /// Those of the subdomains of this host, at any depth, and not its own.
    Subdomains(Origin),
}

impl OriginPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is no origin, and a `*` anywhere else.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        let wrong = || {
            let remedy = "write one such as \"https://app.example.com\", \"https://*.example.com\", \"null\" or \"*\"";
            Error::new(format_args!("{text:?} is not an origin; {remedy}"))
        };
        // A path would promise what an origin cannot keep.
        let authority = text.split_once("://").map(|(_, rest)| rest).ok_or_else(wrong)?;
        if authority.contains(['/', '?', '#']) {
            return Err(wrong());
        }
        match text.split_once("://*.") {
            None => Origin::parse(text).map(Self::Exact).ok_or_else(wrong),
            Some((scheme, rest)) => {
                Origin::parse(&format!("{scheme}://{rest}")).map(Self::Subdomains).ok_or_else(wrong)
            }
        }
    }

    /// Whether the value of an `Origin` field is one of them.
    #[must_use]
    pub fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Null => origin == "null",
            Self::Exact(known) => Origin::parse(origin).is_some_and(|origin| origin == *known),
            Self::Subdomains(known) => Origin::parse(origin).is_some_and(|origin| {
                let below = origin.host.strip_suffix(&known.host).and_then(|rest| rest.strip_suffix('.'));
                origin.scheme == known.scheme && origin.port == known.port && below.is_some_and(|name| !name.is_empty())
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_labels_only() {
        let check = |pattern: &str, origin: &str, expected: bool| {
            let matched = OriginPattern::parse(pattern).is_ok_and(|pattern| pattern.matches(origin));
            assert_eq!(matched, expected, "{pattern} on {origin}");
        };
        check("*", "https://anything", true);
        check("null", "null", true);
        check("https://a.test", "null", false);
        check("https://a.test", "https://a.test", true);
        check("https://a.test", "https://A.TEST:443", true);
        check("https://a.test", "http://a.test", false);
        check("https://a.test", "https://a.test:8443", false);
        check("https://a.test", "https://a.test.evil.net", false);
        check("https://a.test", "https://a.test@evil.net", false);
        check("https://a.test:8443", "https://a.test:8443", true);
        check("https://*.a.test", "https://x.a.test", true);
        check("https://*.a.test", "https://x.y.a.test", true);
        check("https://*.a.test", "https://a.test", false);
        check("https://*.a.test", "https://.a.test", false);
        check("https://*.a.test", "https://xa.test", false);
        check("https://*.a.test", "https://x.a.test.evil.net", false);
        check("https://*.a.test", "http://x.a.test", false);
        check("https://*.a.test:1", "https://x.a.test", false);
        check("http://[::1]:3000", "http://[::1]:3000", true);
        check("https://a.test", "https://a.test/path", true);
        check("https://a.test", "https://a\u{0}.test", false);
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in [
            "",
            "a.test",
            "https://",
            "https://a.test/",
            "https://a.*.test",
            "https://*a.test",
            "*.a.test",
            "https://a.test:x",
        ] {
            assert!(OriginPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_site_is_known_by_host_and_port() {
        let check = |origin: &str, authority: &str, expected: bool| {
            assert_eq!(
                Origin::parse(origin).is_some_and(|origin| origin.is_of(authority)),
                expected,
                "{origin} {authority}"
            );
        };
        check("https://a.test", "a.test", true);
        check("http://A.test", "a.TEST", true);
        check("https://a.test", "a.test:443", true);
        check("https://a.test:8443", "a.test:8443", true);
        check("https://a.test:8443", "a.test", false);
        check("https://b.test", "a.test", false);
        check("null", "a.test", false);
        check("https://a.test", "", false);
    }
}
