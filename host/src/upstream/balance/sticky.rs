//! The cookie by which a client stays with its endpoint (RFC 6265): read from requests, written into responses.

use std::fmt::Write as _;
use std::time::Duration;

use ::http::header::{self, HeaderMap, HeaderValue};

use super::Digest;

/// How a client is kept with its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// How long the client keeps it; none: as long as it runs.
    pub max_age: Option<Duration>,
    /// For which paths it is sent.
    pub path: String,
    /// Whether it is sent over TLS only.
    pub secure: bool,
    /// Whether scripts are kept from it.
    pub http_only: bool,
    /// Whether it is sent with requests that other sites cause.
    pub same_site: Option<SameSite>,
}

/// Whether a cookie is sent with requests that other sites cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the client follows a link.
    Lax,
    /// Always.
    None,
}

impl Sticky {
    /// Whom the client was with, if it says so.
    pub(in crate::upstream) fn wanted(&self, headers: &HeaderMap) -> Option<Digest> {
        cookie(headers, &self.cookie).and_then(Digest::parse)
    }

    /// What tells a client to stay with an endpoint.
    pub(in crate::upstream) fn field(&self, digest: Digest) -> Option<HeaderValue> {
        let mut text = format!("{}={digest}; Path={}", self.cookie, self.path);
        if let Some(max_age) = self.max_age {
            // Writing to a string does not fail.
            let _ = write!(text, "; Max-Age={}", max_age.as_secs());
        }
        text.push_str(if self.secure { "; Secure" } else { "" });
        text.push_str(if self.http_only { "; HttpOnly" } else { "" });
        text.push_str(match self.same_site {
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
            None => "",
        });
        HeaderValue::try_from(text).ok()
    }
}

/// The value of a cookie (RFC 6265 section 4.2); of several with one name the first.
pub(in crate::upstream) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.trim_matches('"'))
}
