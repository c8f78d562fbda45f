//! Answers a CA that wants to see that a host is ours (HTTP-01, RFC 8555 section 8.3).
//!
//! Only while a proof is under way and only for its token; every other request goes the usual way, also those for challenges
//! of somebody behind us. Answered on TLS, too, because a CA follows a redirect to it.

use bytes::Bytes;
use http::{HeaderValue, Method, header};

use crate::certificates::challenges;
use crate::http::Body;

/// The answer, where the request is for a proof that is shown now.
pub(super) fn answer(request: &http::Request<Body>) -> Option<http::Response<Body>> {
    let answer = challenges().answer(request.uri().path())?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let mut response = http::Response::new(Body::from(Bytes::copy_from_slice(answer.as_bytes())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Some(response)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_shown_is_answered() {
        let ask = |method: Method, target: &str| {
            answer(&http::Request::builder().method(method).uri(target).body(Body::Empty).unwrap()).is_some()
        };
        let target = "/.well-known/acme-challenge/pipeline-token";
        assert!(!ask(Method::GET, target));
        let shown = challenges().show_http("pipeline-token", "answer");
        assert!(ask(Method::GET, target));
        assert!(ask(Method::GET, &format!("http://a.example{target}")));
        assert!(!ask(Method::POST, target));
        assert!(!ask(Method::GET, "/.well-known/acme-challenge/other"));
        drop(shown);
        assert!(!ask(Method::GET, target));
    }
}
