//! The only place that makes error responses: what the client is told when a step failed.
//!
//! The client learns what it can act on and the request id; the log learns why.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::exchange::{Exchange, Failure, Fault, Reason, Response};
use crate::http::Body;

/// Seconds after which a client may try again what is unavailable now (RFC 9110 section 10.2.3).
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What the usual words are written in.
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The response for a failure, as `application/problem+json` (RFC 9457) unless it brings a page of its own.
pub(super) fn response(failure: &Failure, exchange: &Exchange) -> Response {
    let status = failure.reason.status();
    let (kind, body) = match &failure.page {
        Some(page) => (page.content_type.clone(), page.body.clone()),
        None => (PROBLEM, problem(failure, exchange)),
    };
    let mut response = Response::new(status, Body::from(body));
    response.headers.insert(header::CONTENT_TYPE, kind);
    response.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers.extend(failure.fields.iter().cloned());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers.entry(header::RETRY_AFTER).or_insert(RETRY_AFTER);
    }
    response
}

/// What stands for the response where nobody waited for one: a status, for those who account for the exchange. It is never sent.
pub(super) fn unsent(reason: Reason) -> Response {
    Response::new(reason.status(), Body::Empty)
}

fn problem(failure: &Failure, exchange: &Exchange) -> Bytes {
    let status = failure.reason.status();
    let title = status.canonical_reason().unwrap_or("Error");
    let reason = failure.reason.as_str();
    let id = exchange.id.to_str().unwrap_or_default();
    // Nothing here needs escaping: the words are ours and a request id has been checked or made by us.
    Bytes::from(format!(
        "{{\"status\":{},\"title\":\"{title}\",\"reason\":\"{reason}\",\"request_id\":\"{id}\"}}\n",
        status.as_u16()
    ))
}

/// Tells the log why, in the level that says whether somebody must act.
pub(super) fn log(failure: &Failure, exchange: &Exchange) {
    let request_id = exchange.id.to_str().unwrap_or_default();
    let reason = failure.reason.as_str();
    let route = exchange.route.as_ref().map(ToString::to_string).unwrap_or_default();
    let detail = &failure.detail;
    match failure.reason.fault() {
        // The failure of a plugin has been logged where it was called.
        Fault::Downstream | Fault::Plugin => tracing::debug!(request_id, route, reason, "{detail}"),
        Fault::Upstream => tracing::warn!(request_id, route, reason, "{detail}"),
        Fault::Internal => tracing::error!(request_id, route, reason, "{detail}"),
    }
}
