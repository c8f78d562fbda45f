//! Tells upstreams who the client is: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! What a client wrote into these fields is never mixed with what we know, unless the configuration says that the client
//! is a proxy of ours.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How the client's address is told to upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forwarding {
    /// Which fields are sent.
    pub fields: ForwardingFields,
    /// What becomes of those that the client sent.
    pub incoming: IncomingForwarding,
}

/// Which forwarding fields are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardingFields {
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    #[default]
    X,
    /// `Forwarded` (RFC 7239).
    Standard,
    /// All of them.
    Both,
    /// None.
    None,
}

/// What becomes of forwarding fields and request ids that the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncomingForwarding {
    /// They are removed: anyone could have written them.
    #[default]
    Replace,
    /// They are kept and added to: the client is a proxy of ours.
    Append,
}

impl Forwarding {
    /// Writes the fields into a request. `address` is the client's IP address as text without port, `scheme` how it
    /// connected (`http` or `https`), `authority` what it asked for.
    ///
    /// Appending keeps the first proxy's word where a field has room for one value only (`-Proto`, `-Host`).
    pub fn apply(&self, headers: &mut HeaderMap, address: &HeaderValue, scheme: &'static str, authority: &str) {
        let append = self.incoming == IncomingForwarding::Append;
        match self.fields {
            ForwardingFields::X | ForwardingFields::Both => {
                let host = host_value(headers, authority);
                if append {
                    join(headers, &X_FORWARDED_FOR, address.as_bytes());
                    keep_or_insert(headers, X_FORWARDED_PROTO, Some(HeaderValue::from_static(scheme)));
                    keep_or_insert(headers, X_FORWARDED_HOST, host);
                } else {
                    headers.insert(X_FORWARDED_FOR, address.clone());
                    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
                    match host {
                        Some(host) => headers.insert(X_FORWARDED_HOST, host),
                        None => headers.remove(X_FORWARDED_HOST),
                    };
                }
            }
            ForwardingFields::Standard | ForwardingFields::None if !append => {
                for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST] {
                    headers.remove(name);
                }
            }
            ForwardingFields::Standard | ForwardingFields::None => {}
        }
        if !append {
            headers.remove(header::FORWARDED);
        }
        if matches!(self.fields, ForwardingFields::Standard | ForwardingFields::Both) {
            join(headers, &header::FORWARDED, &element(address, scheme, authority));
        }
    }
}

fn keep_or_insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value
        && !headers.contains_key(&name)
    {
        headers.insert(name, value);
    }
}

/// The host as a field value: the `Host` field's own value where it says the same, which costs no allocation.
fn host_value(headers: &HeaderMap, authority: &str) -> Option<HeaderValue> {
    match headers.get(header::HOST) {
        Some(host) if host.as_bytes() == authority.as_bytes() => Some(host.clone()),
        _ => HeaderValue::from_str(authority).ok(),
    }
    .filter(|host| !host.is_empty())
}

/// Makes all lines of a field, if there are any, and `last` one line.
fn join(headers: &mut HeaderMap, name: &HeaderName, last: &[u8]) {
    let mut joined = Vec::with_capacity(128);
    for value in headers.get_all(name) {
        joined.extend_from_slice(value.as_bytes());
        joined.extend_from_slice(b", ");
    }
    joined.extend_from_slice(last);
    // Field values and `last` are made of bytes that a field value may have, so that this never fails.
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        headers.insert(name, value);
    }
}

/// One `forwarded-element` (RFC 7239 section 4).
fn element(address: &HeaderValue, scheme: &str, authority: &str) -> Vec<u8> {
    let mut element = Vec::with_capacity(64 + authority.len());
    element.extend_from_slice(b"for=");
    if address.as_bytes().contains(&b':') {
        // An IPv6 address is always quoted and in brackets (section 6).
        element.extend_from_slice(b"\"[");
        element.extend_from_slice(address.as_bytes());
        element.extend_from_slice(b"]\"");
    } else {
        element.extend_from_slice(address.as_bytes());
    }
    if !authority.is_empty() && authority.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        element.extend_from_slice(b";host=");
        push_value(&mut element, authority.as_bytes());
    }
    element.extend_from_slice(b";proto=");
    element.extend_from_slice(scheme.as_bytes());
    element
}

/// `value = token / quoted-string` (RFC 7239 section 4).
fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|byte| is_token(*byte)) {
        return out.extend_from_slice(value);
    }
    out.push(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// `tchar` (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        (fields, incoming): (ForwardingFields, IncomingForwarding),
        address: &str,
        authority: &str,
        given: &[(&'static str, &str)],
        expected: &[(&'static str, &str)],
    ) {
        let map = |lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            headers
        };
        let mut headers = map(given);
        Forwarding { fields, incoming }.apply(&mut headers, &address.parse().unwrap(), "https", authority);
        assert_eq!(headers, map(expected));
    }

    use ForwardingFields as F;
    use IncomingForwarding as I;

    #[test]
    fn a_strangers_word_is_replaced() {
        let lies = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "7.7.7.7"), ("forwarded", "for=6.6.6.6")];
        check(
            (F::X, I::Replace),
            "192.0.2.1",
            "a.example:81",
            &lies,
            &[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example:81")],
        );
        check((F::None, I::Replace), "192.0.2.1", "a", &lies, &[]);
        check(
            (F::X, I::Replace),
            "::1",
            "",
            &[("x-forwarded-host", "evil")],
            &[("x-forwarded-for", "::1"), ("x-forwarded-proto", "https")],
        );
    }

    #[test]
    fn our_own_proxys_word_is_added_to() {
        check(
            (F::Both, I::Append),
            "192.0.2.1",
            "a",
            &[
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-for", "10.0.0.2"),
                ("x-forwarded-proto", "http"),
                ("forwarded", "for=10.0.0.1"),
            ],
            &[
                ("x-forwarded-for", "10.0.0.1, 10.0.0.2, 192.0.2.1"),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-host", "a"),
                ("forwarded", "for=10.0.0.1, for=192.0.2.1;host=a;proto=https"),
            ],
        );
        check((F::None, I::Append), "192.0.2.1", "a", &[("forwarded", "for=x")], &[("forwarded", "for=x")]);
    }

    #[test]
    fn forwarded_is_quoted_where_needed() {
        let forwarded = |address, authority, expected| {
            check((F::Standard, I::Replace), address, authority, &[], &[("forwarded", expected)]);
        };
        forwarded("192.0.2.1", "a.example", "for=192.0.2.1;host=a.example;proto=https");
        forwarded("2001:db8::1", "a:8080", "for=\"[2001:db8::1]\";host=\"a:8080\";proto=https");
        forwarded("192.0.2.1", "a\"b\\", "for=192.0.2.1;host=\"a\\\"b\\\\\";proto=https");
        forwarded("192.0.2.1", "", "for=192.0.2.1;proto=https");
    }
}
