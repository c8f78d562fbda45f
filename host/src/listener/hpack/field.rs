//! One decoded field: parsed when it is first seen, cheap to clone when it comes again from the table.
//!
//! A malformed field is still a field: the table must hold it, and it makes its request malformed, not the connection
//! (RFC 9113 section 8.1.1).

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};

/// A field's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Regular(HeaderName),
    /// Uppercase, an unknown pseudo-header, or not a name at all.
    Malformed,
}

/// A field.
#[derive(Debug, Clone)]
pub(in crate::listener) enum Field {
    Method(Method),
    Scheme(Scheme),
    /// As it is used and as it came.
    Authority(Authority, HeaderValue),
    Path(PathAndQuery),
    Protocol(HeaderValue),
    Regular(HeaderName, HeaderValue),
    /// And why.
    Malformed(&'static str),
}

impl Name {
    pub(super) fn parse(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            // Uppercase letters are refused by this, too (RFC 9113 section 8.2.1).
            _ => HeaderName::from_lowercase(name).map_or(Self::Malformed, Self::Regular),
        }
    }

    /// The field of this name and a value.
    pub(super) fn with(&self, value: &[u8]) -> Field {
        match self {
            Self::Method => Method::from_bytes(value).map_or(Field::Malformed("a method"), Field::Method),
            Self::Scheme => match value {
                b"https" => Field::Scheme(Scheme::HTTPS),
                b"http" => Field::Scheme(Scheme::HTTP),
                other => Scheme::try_from(other).map_or(Field::Malformed("a scheme"), Field::Scheme),
            },
            Self::Authority => authority(value),
            Self::Path => path(value),
            Self::Protocol => match HeaderValue::from_bytes(value) {
                Ok(value) if !value.is_empty() => Field::Protocol(value),
                _ => Field::Malformed("a protocol"),
            },
            Self::Regular(name) => regular(name, value),
            Self::Malformed => Field::Malformed("a field name"),
        }
    }
}

fn authority(value: &[u8]) -> Field {
    let shared = Bytes::copy_from_slice(value);
    match (Authority::from_maybe_shared(shared.clone()), HeaderValue::from_maybe_shared(shared)) {
        // Userinfo has no place there (RFC 9113 section 8.3.1).
        (Ok(authority), Ok(value)) if !value.as_bytes().contains(&b'@') => Field::Authority(authority, value),
        _ => Field::Malformed("an authority"),
    }
}

fn path(value: &[u8]) -> Field {
    let good = value.starts_with(b"/") && !value.contains(&b'#') || value == b"*";
    match PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(value)) {
        Ok(path) if good => Field::Path(path),
        _ => Field::Malformed("a path"),
    }
}

fn regular(name: &HeaderName, value: &[u8]) -> Field {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if blank(value.first()) || blank(value.last()) {
        return Field::Malformed("a blank around a field value");
    }
    let special = match name.as_str() {
        // Fields of one connection do not exist here (RFC 9113 section 8.2.2).
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => true,
        "te" => value != b"trailers",
        _ => false,
    };
    if special {
        return Field::Malformed("a field of the connection");
    }
    let mut parsed = match HeaderValue::from_bytes(value) {
        Ok(parsed) => parsed,
        Err(_) => return Field::Malformed("a field value"),
    };
    parsed.set_sensitive(*name == header::AUTHORIZATION);
    Field::Regular(name.clone(), parsed)
}
