//! The last step of a response: encoded for a client that accepts it, where that is worth it and nothing forbids it.
//!
//! Behind the cache and the plugins: both see what the handler gave. A range of an encoded response would be a range of something that
//! nobody has, hence no `Accept-Ranges`; its validator is weak, since the bytes may differ from one time to the next.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body::Body as _;

use crate::exchange::{Exchange, Response};
use crate::http::{Coding, Levels, accepted_codings};

/// What is encoded, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// The codings, best first; the client's preferences count more.
    pub codings: Vec<Coding>,
    /// How hard is tried.
    pub levels: Levels,
    /// Bodies that are known to be shorter are not encoded.
    pub bytes_min: u64,
    /// The media types that are, in lower case: `text/plain`, `text/*`, `+json`.
    pub types: Vec<Box<str>>,
}

/// Fields that speak of the bytes that were there before (RFC 9110 section 14.3, RFC 9530).
const OF_THE_BYTES: [&str; 6] =
    ["content-length", "accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"];

/// Encodes the response of an exchange.
pub(super) fn encode(compression: &Compression, exchange: &mut Exchange) {
    let Some(mut response) = exchange.response.take() else { return };
    let is_head = exchange.request.method == Method::HEAD;
    if is_eligible(compression, &response, is_head) {
        // Also to those who get it as it is: another client would not.
        vary(&mut response.headers);
        let coding = accepted_codings(&exchange.request.headers, &compression.codings).into_iter().flatten().next();
        if let Some(coding) = coding {
            response = encoded(compression, coding, response, is_head);
        }
    }
    exchange.response = Some(response);
}

fn is_eligible(compression: &Compression, response: &Response, is_head: bool) -> bool {
    let headers = &response.headers;
    let status = response.status;
    let has_content = !status.is_informational()
        && !matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        );
    let length = match response.body.size_hint().exact() {
        // What GET would bring, where that is told.
        Some(0) if is_head => headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()),
        exact => exact,
    };
    has_content
        && length.is_none_or(|length| length >= compression.bytes_min)
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !mentions(headers, &header::CACHE_CONTROL, "no-transform")
        && media_type(headers).is_some_and(|media| is_among(&compression.types, &media))
}

/// The media type without parameters, in lower case.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Whether a media type is one of those that are encoded. Streams of events and of gRPC messages never are: the former are read as they
/// come by readers that may not decode as they come, the latter have a coding of their own.
fn is_among(types: &[Box<str>], media: &str) -> bool {
    if media == "text/event-stream" || media.starts_with("application/grpc") {
        return false;
    }
    types.iter().any(|known| match known.strip_suffix('*') {
        Some(front) => media.starts_with(front),
        None if known.starts_with('+') => media.ends_with(&**known),
        None => *media == **known,
    })
}

/// Whether a list in a field has this element.
fn mentions(headers: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    let elements = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    elements.flat_map(|value| value.split(',')).any(|known| known.trim().eq_ignore_ascii_case(element))
}

fn vary(headers: &mut HeaderMap) {
    if !mentions(headers, &header::VARY, "accept-encoding") && !mentions(headers, &header::VARY, "*") {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

fn encoded(compression: &Compression, coding: Coding, mut response: Response, is_head: bool) -> Response {
    if !is_head {
        let body = std::mem::take(&mut response.body);
        match body.encoded(coding, compression.levels) {
            Ok(body) => response.body = body,
            Err(error) => {
                // Only memory can be short here; what was taken is gone, and the client must not take nothing for all.
                tracing::error!(%error, "a response cannot be encoded");
                return Response::new(StatusCode::INTERNAL_SERVER_ERROR, crate::http::Body::Empty);
            }
        }
    }
    for name in OF_THE_BYTES {
        response.headers.remove(name);
    }
    response.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    let strong = response.headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()) {
        response.headers.insert(header::ETAG, weak);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        let types: Vec<Box<str>> = ["text/*", "application/json", "+xml"].map(Into::into).to_vec();
        let check = |media: &str, expected| assert_eq!(is_among(&types, media), expected, "{media}");
        check("text/html", true);
        check("text/event-stream", false);
        check("application/json", true);
        check("application/jsonx", false);
        check("image/svg+xml", true);
        check("image/png", false);
        check("application/grpc+xml", false);
    }
}
