//! The one rule of framing that hyper leaves to us: a declared length must be the length that follows.

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};

/// Removes a response's `Content-Length` where the body is known to have another length, so that it is written anew from
/// the body. Sent as it is, the client would take the difference for the next response (RFC 9112 section 6.3).
///
/// An answer to HEAD and a 304 may state the length of what is not sent (RFC 9110 section 8.6); they keep it.
pub fn settle_length(method: &Method, status: StatusCode, headers: &mut HeaderMap, exact: Option<u64>) {
    let Some(exact) = exact else { return };
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(declared) = lines.next() else { return };
    if exact == 0 && (*method == Method::HEAD || status == StatusCode::NOT_MODIFIED) {
        return;
    }
    if parse_length(declared.as_bytes()) != Some(exact) || lines.next().is_some() {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// `Content-Length = 1*DIGIT` (RFC 9110 section 8.6).
pub(crate) fn parse_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_a_true_length_stays() {
        let check = |method: Method, status: u16, declared: &str, exact, kept: bool| {
            let mut headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, declared.parse().unwrap())]);
            settle_length(&method, status.try_into().unwrap(), &mut headers, exact);
            assert_eq!(headers.contains_key(header::CONTENT_LENGTH), kept, "{method} {status} {declared} {exact:?}");
        };
        check(Method::GET, 200, "5", Some(5), true);
        check(Method::GET, 200, "5", Some(6), false);
        check(Method::GET, 200, "5", Some(0), false);
        check(Method::GET, 200, "5", None, true);
        check(Method::GET, 200, "+5", Some(5), false);
        check(Method::GET, 200, "", Some(0), false);
        check(Method::GET, 200, "99999999999999999999", Some(5), false);
        check(Method::HEAD, 200, "5", Some(0), true);
        check(Method::HEAD, 200, "5", Some(6), false);
        check(Method::GET, 304, "5", Some(0), true);
    }
}
