//! Writes response heads and chunks (RFC 9112 sections 4, 6 and 7).
//!
//! Framing is decided here and nowhere else: from the method, the status and the body, whatever the fields say.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode, Version, response};

use crate::listener::date::date;

/// How a response body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none; the length that it would have, where that is to be told.
    None(Option<u64>),
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Up to the end of the connection.
    Close,
    /// Another protocol follows.
    Raw,
}

/// How the body of a response is framed (RFC 9112 section 6.3).
pub(super) fn framing(method: &Method, status: StatusCode, version: Version, exact: Option<u64>) -> Framing {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Framing::Raw;
    }
    if *method == Method::HEAD {
        // Told as for GET, where it is known (RFC 9110 section 9.3.2).
        return Framing::None(exact.filter(|length| *length > 0));
    }
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Framing::None(None);
    }
    match exact {
        Some(length) => Framing::Length(length),
        None if version == Version::HTTP_11 => Framing::Chunked,
        None => Framing::Close,
    }
}

/// Whether the connection goes on after the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It does.
    KeepAlive,
    /// It does, and the client, which speaks HTTP/1.0, must be told.
    KeepAliveToldSo,
    /// It is closed.
    Close,
}

/// Writes a head.
pub(super) fn head(out: &mut BytesMut, head: &response::Parts, framing: Framing, then: Then) {
    out.reserve(512);
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(head.status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(head.status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
    let raw = framing == Framing::Raw;
    for (name, value) in &head.headers {
        if !is_ours(name, framing) || (raw && *name == header::UPGRADE) {
            field(out, name.as_str(), value.as_bytes());
        }
    }
    if !head.headers.contains_key(header::DATE) {
        field(out, "date", date().as_bytes());
    }
    match framing {
        Framing::Length(length) | Framing::None(Some(length)) => number(out, length),
        Framing::Chunked => out.put_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None(None) | Framing::Close | Framing::Raw => {}
    }
    match then {
        _ if raw => out.put_slice(b"connection: upgrade\r\n"),
        Then::KeepAlive => {}
        Then::KeepAliveToldSo => out.put_slice(b"connection: keep-alive\r\n"),
        Then::Close => out.put_slice(b"connection: close\r\n"),
    }
    out.put_slice(b"\r\n");
}

/// Whether a field is the connection's, so that what the handler wrote into it does not count. A length that goes with a
/// body that is not sent (HEAD, 304) is the handler's (RFC 9110 section 8.6).
fn is_ours(name: &HeaderName, framing: Framing) -> bool {
    match *name {
        header::CONTENT_LENGTH => framing != Framing::None(None),
        header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE => true,
        _ => name.as_str() == "keep-alive",
    }
}

fn field(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

fn number(out: &mut BytesMut, number: u64) {
    let mut digits = [0_u8; 20];
    let (mut at, mut left) = (digits.len(), number);
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
        }
        left /= 10;
        if left == 0 {
            break;
        }
    }
    field(out, "content-length", digits.get(at..).unwrap_or_default());
}

/// Writes the line before a chunk.
pub(super) fn chunk_size(out: &mut BytesMut, size: usize) {
    use std::io::Write as _;
    // Writing to memory does not fail.
    let _ = write!(out.writer(), "{size:x}\r\n");
}

/// What follows the last chunk, with the trailer fields where the client takes them.
pub(super) fn last_chunk(out: &mut BytesMut, trailers: Option<&HeaderMap>) {
    out.put_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        field(out, name.as_str(), value.as_bytes());
    }
    out.put_slice(b"\r\n");
}

/// The line end behind a chunk.
pub(super) const CHUNK_END: Bytes = Bytes::from_static(b"\r\n");
