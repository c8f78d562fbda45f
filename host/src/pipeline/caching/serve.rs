//! What a stored response becomes for one request: whole, a part, or the word that the client has it already.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::cache::Stored;
use crate::exchange::{Failure, Reason, Request, Response};
use crate::http::{Body, Decision, Range, Ranges, Validators, date, decide, wanted_ranges};
use crate::time::{self, Instant};

/// Fields that an answer of 304 goes without (RFC 9110 section 15.4.5).
const OF_THE_CONTENT: [HeaderName; 4] =
    [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::CONTENT_TYPE, header::CONTENT_RANGE];

/// The answer to a request from what is stored; none where only the handler can tell.
pub(super) fn answer(request: &Request, stored: &Stored, now: Instant) -> Result<Option<Response>, Failure> {
    let headers = &request.headers;
    let asks_part = request.method == Method::GET && headers.contains_key(header::RANGE);
    if let Some((first, bytes, size)) = stored.part() {
        if !asks_part {
            return Ok(None);
        }
        let Ranges::One(range) = wanted_ranges(headers, size) else { return Ok(None) };
        let inside = range.first >= first && range.last < first + bytes.len() as u64;
        let decided = decide(&request.method, headers, &validators(headers, stored.headers()), time::unix());
        if !inside || decided != Decision::Part {
            return Ok(None);
        }
        return Ok(Some(piece(stored.response(now), range, size, first)));
    }
    let conditional =
        asks_part || headers.contains_key(header::IF_NONE_MATCH) || headers.contains_key(header::IF_MODIFIED_SINCE);
    if !conditional || stored.status() != StatusCode::OK {
        return Ok(Some(stored.response(now)));
    }
    match decide(&request.method, headers, &validators(headers, stored.headers()), time::unix()) {
        Decision::NotModified => Ok(Some(not_modified(stored.response(now)))),
        Decision::Whole | Decision::Failed => Ok(Some(stored.response(now))),
        Decision::Part => {
            // What is still growing cannot be cut.
            let Some(bytes) = stored.whole() else { return Ok(None) };
            let size = bytes.len() as u64;
            match wanted_ranges(headers, size) {
                Ranges::Whole | Ranges::Many(_) => Ok(Some(stored.response(now))),
                Ranges::One(range) => Ok(Some(piece(stored.response(now), range, size, 0))),
                Ranges::Outside => {
                    let failure = Failure::new(Reason::RangeNotSatisfiable, "no range within what is stored");
                    Err(match HeaderValue::try_from(format!("bytes */{size}")) {
                        Ok(value) => failure.with(header::CONTENT_RANGE, value),
                        Err(_) => failure,
                    })
                }
            }
        }
    }
}

/// The answer where the client has what has just come.
pub(super) fn unless_known(request: &Request, response: Response) -> Response {
    if response.status != StatusCode::OK {
        return response;
    }
    let validators = validators(&request.headers, &response.headers);
    match decide(&request.method, &request.headers, &validators, time::unix()) {
        Decision::NotModified => not_modified(response),
        Decision::Whole | Decision::Part | Decision::Failed => response,
    }
}

/// What tells a response from other versions, for a request. What does not say when it was modified was not after it was sent
/// (RFC 9111 section 4.3.2); that is good for nothing but the question whether it is still the same.
fn validators(request: &HeaderMap, response: &HeaderMap) -> Validators {
    let sent = || date(response, &header::DATE).filter(|_| !request.contains_key(header::IF_RANGE));
    let modified = date(response, &header::LAST_MODIFIED).or_else(sent);
    Validators { etag: response.get(header::ETAG).cloned(), modified }
}

fn not_modified(mut response: Response) -> Response {
    for name in &OF_THE_CONTENT {
        response.headers.remove(name);
    }
    Response { status: StatusCode::NOT_MODIFIED, headers: response.headers, body: Body::Empty }
}

/// A piece of a response whose body begins at `first` of all `size` bytes.
fn piece(mut response: Response, range: Range, size: u64, first: u64) -> Response {
    let offset = |at: u64| usize::try_from(at - first).unwrap_or(usize::MAX);
    if let Body::Full(bytes) = &response.body {
        let (from, to) = (offset(range.first), offset(range.last).saturating_add(1));
        response.body = Body::from(bytes.slice(from.min(bytes.len())..to.min(bytes.len())));
    }
    response.status = StatusCode::PARTIAL_CONTENT;
    response.headers.remove(header::CONTENT_LENGTH);
    if let Ok(value) = HeaderValue::try_from(range.told(size)) {
        response.headers.insert(header::CONTENT_RANGE, value);
    }
    response
}

/// What there is of a whole: the bytes before and those that came, if they go together (RFC 9111 section 3.4).
pub(super) fn rest_of(basis: &Stored) -> Option<(HeaderValue, HeaderValue)> {
    let (first, bytes, size) = basis.part()?;
    let length = bytes.len() as u64;
    if first != 0 || length == 0 || length >= size {
        return None;
    }
    let range = HeaderValue::try_from(format!("bytes={length}-")).ok()?;
    Some((range, basis.strong_tag()?.clone()))
}

/// Whether fields say that what comes is the rest of a stored part.
pub(super) fn is_rest_of(basis: &Stored, headers: &HeaderMap) -> bool {
    let Some((_, bytes, size)) = basis.part() else { return false };
    let told = Range { first: bytes.len() as u64, last: size - 1 }.told(size);
    headers.get(header::CONTENT_RANGE).is_some_and(|value| value.as_bytes() == told.as_bytes())
        && basis.strong_tag().is_some()
        && headers.get(header::ETAG) == basis.strong_tag()
}
