//! Reads a request head (RFC 9112 sections 2 to 6): strictly, and every refusal with the status it deserves.
//!
//! Pure. `httparse` takes the lines apart; what it would tolerate is refused here.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri, Version};

use super::chunked::Decoder;
use crate::exchange::{Failure, Reason};
use crate::http::{Upgrade, UpgradeForm, parse_length};

/// Fields that are parsed into the stack.
const SLOTS: usize = 128;

/// What a head may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) head_bytes_max: usize,
    pub(super) target_bytes_max: usize,
    pub(super) fields_max: usize,
}

/// A request head that is complete.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: Request<()>,
    /// How its body is framed.
    pub(super) body: Decoder,
    /// Whether the client wants to go on after it.
    pub(super) keep_alive: bool,
    /// Whether it waits for 100 (RFC 9110 section 10.1.1).
    pub(super) expects: bool,
    /// Whether it takes trailer fields.
    pub(super) trailers: bool,
}

/// Takes a head out of what was read, once it is complete. `seen` bytes were looked at before without finding its end.
pub(super) fn take(buffer: &mut BytesMut, seen: &mut usize, limits: &Limits) -> Result<Option<Head>, Failure> {
    // An empty line before a request is a relic of old clients (RFC 9112 section 2.2).
    if *seen == 0 && buffer.starts_with(b"\r\n") {
        let _ = buffer.split_to(2);
    }
    let Some(length) = end(buffer, *seen)? else {
        *seen = buffer.len();
        return match too_long(buffer, limits) {
            Some(failure) => Err(failure),
            None => Ok(None),
        };
    };
    if length > limits.head_bytes_max {
        return Err(too_long(buffer.get(..length).unwrap_or_default(), limits).unwrap_or_else(head_too_large));
    }
    *seen = 0;
    parse(&buffer.split_to(length).freeze(), limits).map(Some)
}

/// Where the head ends. Line feeds and carriage returns may only come together: a reader that takes one of them for a
/// line end would see other fields than we do.
fn end(buffer: &[u8], seen: usize) -> Result<Option<usize>, Failure> {
    // What was seen may have ended within a line end.
    let mut at = seen.saturating_sub(3);
    while let Some(found) = buffer.get(at..).and_then(|rest| rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')))
    {
        at += found;
        match (buffer.get(at), buffer.get(at + 1)) {
            (Some(b'\r'), None) => return Ok(None),
            (Some(b'\r'), Some(b'\n')) => {}
            // The second half of a line end that was seen before.
            (Some(b'\n'), _) if at > 0 && at < seen && buffer.get(at - 1) == Some(&b'\r') => {
                at += 1;
                continue;
            }
            _ => return Err(bad("a bare carriage return or line feed")),
        }
        match (buffer.get(at + 2), buffer.get(at + 3)) {
            (Some(b'\r'), Some(b'\n')) => return Ok(Some(at + 4)),
            (None, _) | (Some(b'\r'), None) => return Ok(None),
            _ => at += 2,
        }
    }
    Ok(None)
}

fn bad(detail: &'static str) -> Failure {
    Failure::new(Reason::BadRequest, detail)
}

fn head_too_large() -> Failure {
    Failure::new(Reason::HeadTooLarge, "the request head is longer than `head_bytes_max`")
}

/// What is too long about a head, complete or not.
fn too_long(head: &[u8], limits: &Limits) -> Option<Failure> {
    let line = head.iter().position(|byte| *byte == b'\r').unwrap_or(head.len());
    let target = head.iter().take(line).skip_while(|byte| **byte != b' ').skip(1).take_while(|byte| **byte != b' ');
    if target.count() > limits.target_bytes_max {
        return Some(Failure::new(Reason::UriTooLong, "the target is longer than `target_bytes_max`"));
    }
    (head.len() > limits.head_bytes_max).then(head_too_large)
}

fn parse(head: &Bytes, limits: &Limits) -> Result<Head, Failure> {
    let mut few = [const { std::mem::MaybeUninit::uninit() }; SLOTS];
    let mut many = Vec::new();
    let slots = if limits.fields_max <= SLOTS {
        few.get_mut(..limits.fields_max).unwrap_or_default()
    } else {
        many.resize_with(limits.fields_max, std::mem::MaybeUninit::uninit);
        &mut many[..]
    };
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, slots) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(bad("an incomplete head")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Failure::new(Reason::HeadTooLarge, "more fields than `headers_max`"));
        }
        Err(httparse::Error::Version) => return Err(version(head)),
        Err(httparse::Error::HeaderName) => return Err(bad("a field without a name, or a folded line")),
        Err(httparse::Error::HeaderValue) => return Err(bad("a control character in a field")),
        Err(_) => return Err(bad("no request line")),
    }
    let (Some(method), Some(path), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(bad("no request line"));
    };
    if path.len() > limits.target_bytes_max {
        return Err(Failure::new(Reason::UriTooLong, "the target is longer than `target_bytes_max`"));
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad("no method"))?;
    let uri = target(&method, path, head)?;
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| bad("a field without a name"))?;
        // Without copying: the value shares the head's memory.
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
        headers.append(name, value.map_err(|_| bad("a control character in a field"))?);
    }
    host(&headers, version)?;
    let body = framing(&headers, version)?;
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut(), *request.version_mut()) = (method, uri, version);
    let keep_alive = keep_alive(&headers, version);
    let expects = version == Version::HTTP_11 && headers.get(header::EXPECT).is_some_and(is_continue);
    let trailers = mentions(&headers, &header::TE, b"trailers");
    if let Some(upgrade) = upgrade(&headers, version, &body) {
        request.extensions_mut().insert(upgrade);
    }
    *request.headers_mut() = headers;
    Ok(Head { request, body, keep_alive, expects, trailers })
}

/// What to say to a version that is not ours: one that is well formed is another version, anything else is no request.
fn version(head: &[u8]) -> Failure {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [_, _, word] = words[..] else { return bad("no request line") };
    match word {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Failure::new(Reason::VersionNotSupported, "a version of HTTP other than 1.0 and 1.1")
        }
        _ => bad("no version of HTTP"),
    }
}

/// The four forms of a target (RFC 9112 section 3.2).
fn target(method: &Method, path: &str, head: &Bytes) -> Result<Uri, Failure> {
    if path.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
        return Err(bad("a character in the target that may not be there"));
    }
    let form = match path.as_bytes() {
        [b'/', ..] => *method != Method::CONNECT,
        b"*" => *method == Method::OPTIONS,
        _ if *method == Method::CONNECT => true,
        _ => {
            let scheme = path.split("://").next().unwrap_or_default();
            scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
        }
    };
    if !form {
        return Err(bad("a target of a form that does not go with the method"));
    }
    let uri = Uri::from_maybe_shared(head.slice_ref(path.as_bytes())).map_err(|_| bad("no target"))?;
    match uri.authority() {
        Some(authority) if !is_authority(authority.as_str().as_bytes()) => Err(bad("an authority that is none")),
        _ => Ok(uri),
    }
}

/// Exactly one `Host` in HTTP/1.1, and a sound one (RFC 9112 section 3.2).
fn host(headers: &HeaderMap, version: Version) -> Result<(), Failure> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Err(bad("more than one Host field")),
        (None, _) if version == Version::HTTP_11 => Err(bad("no Host field")),
        (None, _) => Ok(()),
        (Some(host), None) if is_authority(host.as_bytes()) => Ok(()),
        _ => Err(bad("a Host field that is no host")),
    }
}

/// `uri-host [ ":" port ]` with a host that somebody can have: a name, an IPv4 address or a bracketed IPv6 address.
fn is_authority(text: &[u8]) -> bool {
    let (host, port) = match text.iter().rposition(|byte| *byte == b':') {
        Some(at) if text.last() != Some(&b']') => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        _ => (text, None),
    };
    let port_is_sound = port.is_none_or(|port| port.len() <= 5 && port.iter().all(u8::is_ascii_digit));
    let host_is_sound = match host {
        [b'[', inner @ .., b']'] => {
            std::str::from_utf8(inner).is_ok_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
        }
        _ => {
            let name = host.strip_suffix(b".").unwrap_or(host);
            let label = |label: &[u8]| {
                !label.is_empty()
                    && label.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~' | b'%'))
            };
            name.len() <= 253 && name.split(|byte| *byte == b'.').all(label)
        }
    };
    port_is_sound && host_is_sound
}

/// How the body is framed (RFC 9112 section 6.3). What two readers might see differently is refused, even where the RFC
/// would let us choose.
fn framing(headers: &HeaderMap, version: Version) -> Result<Decoder, Failure> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Decoder::Done),
        (None, Some(length)) => match (parse_length(length.as_bytes()), lengths.next()) {
            (Some(length), None) => Ok(Decoder::Length(length)),
            (_, Some(_)) => Err(bad("more than one Content-Length")),
            (None, None) => Err(bad("a Content-Length that is no length")),
        },
        (Some(_), Some(_)) => Err(bad("both Transfer-Encoding and Content-Length")),
        (Some(_), None) if version == Version::HTTP_10 => Err(bad("a Transfer-Encoding in HTTP/1.0")),
        (Some(coding), None) => match codings.next() {
            None if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(Decoder::Size),
            _ => Err(bad("a transfer coding other than `chunked`")),
        },
    }
}

fn keep_alive(headers: &HeaderMap, version: Version) -> bool {
    let connection = |option: &[u8]| mentions(headers, &header::CONNECTION, option);
    match version {
        Version::HTTP_10 => connection(b"keep-alive") && !connection(b"close"),
        _ => !connection(b"close"),
    }
}

fn is_continue(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"100-continue")
}

/// Whether a list in a field has this element.
fn mentions(headers: &HeaderMap, name: &HeaderName, element: &[u8]) -> bool {
    let elements = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    elements.into_iter().any(|known| known.trim_ascii().eq_ignore_ascii_case(element))
}

/// The wish for another protocol (RFC 9110 section 7.8). One with a body is not heard: where the body ends and the other
/// protocol begins would be ours to guess.
fn upgrade(headers: &HeaderMap, version: Version, body: &Decoder) -> Option<Upgrade> {
    let protocol = headers.get(header::UPGRADE)?;
    let wished = version == Version::HTTP_11 && body.is_done() && mentions(headers, &header::CONNECTION, b"upgrade");
    wished.then(|| Upgrade { protocol: protocol.clone(), form: UpgradeForm::Upgrade })
}
