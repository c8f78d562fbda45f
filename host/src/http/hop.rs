//! Hop-by-hop fields: what a gateway must not pass on (RFC 9110 section 7.6.1).
//!
//! One look at each name decides; only what is there is removed, so that the usual message costs a short walk and no
//! hashing. `Trailer` stays: it announces what the body brings and is needed to send trailers on.

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};

const KEEP_ALIVE: &str = "keep-alive";
const PROXY_CONNECTION: &str = "proxy-connection";

/// Which of the fields to remove a message has.
#[derive(Default)]
struct Found {
    connection: bool,
    keep_alive: bool,
    proxy_connection: bool,
    te: bool,
    transfer_encoding: bool,
    upgrade: bool,
    expect: bool,
}

impl Found {
    fn look(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            match *name {
                header::CONNECTION => found.connection = true,
                header::TE => found.te = true,
                header::TRANSFER_ENCODING => found.transfer_encoding = true,
                header::UPGRADE => found.upgrade = true,
                header::EXPECT => found.expect = true,
                _ => match name.as_str() {
                    KEEP_ALIVE => found.keep_alive = true,
                    PROXY_CONNECTION => found.proxy_connection = true,
                    _ => {}
                },
            }
        }
        found
    }
}

/// Whether a message uses no transfer coding but `chunked`, once: no other is taken off here, and what comes out would be passed on as
/// if it had been (RFC 9112 section 6.1).
pub fn is_plainly_framed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Removes the hop-by-hop fields of a request, and `Expect`: hyper itself answers `100-continue` when the body is first
/// asked for (RFC 9110 section 10.1.1). `TE` is kept as far as it says `trailers`.
pub fn strip_request(headers: &mut HeaderMap) {
    let found = Found::look(headers);
    let trailers = found.te && accepts_trailers(headers);
    strip(headers, &found);
    if found.expect {
        headers.remove(header::EXPECT);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes the hop-by-hop fields of a response.
pub fn strip_response(headers: &mut HeaderMap) {
    strip(headers, &Found::look(headers));
}

fn strip(headers: &mut HeaderMap, found: &Found) {
    if found.connection
        && let Some(named) = take_connection(headers)
    {
        for name in named {
            headers.remove(name);
        }
    }
    if found.te {
        headers.remove(header::TE);
    }
    if found.transfer_encoding {
        // Where both are there Transfer-Encoding counts (RFC 9112 section 6.3), and what the other says is not true.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
    }
    if found.upgrade {
        headers.remove(header::UPGRADE);
    }
    if found.keep_alive {
        headers.remove(KEEP_ALIVE);
    }
    if found.proxy_connection {
        headers.remove(PROXY_CONNECTION);
    }
}

/// Removes `Connection` and gives the fields that it names, if it says more than the usual. `Host` is never among them: a
/// client must not talk us out of the one field that routes.
fn take_connection(headers: &mut HeaderMap) -> Option<Vec<HeaderName>> {
    let Entry::Occupied(connection) = headers.entry(header::CONNECTION) else { return None };
    let mut named = None;
    for value in connection.remove_entry_mult().1 {
        let value = value.as_bytes();
        if value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close") {
            continue;
        }
        let names = value.split(|byte| *byte == b',').filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
        named.get_or_insert_with(Vec::new).extend(names.filter(|name| *name != header::HOST));
    }
    named
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Whether a field frames the message or belongs to the connection, so that nobody but the gateway may write it.
pub fn is_framing(name: &HeaderName) -> bool {
    match *name {
        header::CONNECTION
        | header::CONTENT_LENGTH
        | header::TRANSFER_ENCODING
        | header::TE
        | header::TRAILER
        | header::UPGRADE => true,
        _ => matches!(name.as_str(), KEEP_ALIVE | PROXY_CONNECTION),
    }
}

/// Like [`is_framing`], and `Host`, which follows the authority and is changed through it.
pub fn is_framing_in_request(name: &HeaderName) -> bool {
    *name == header::HOST || is_framing(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_chunked_is_plain_and_wins_over_a_length() {
        let coded = |codings: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for coding in codings {
                headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static(coding));
            }
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("1"));
            headers
        };
        for (codings, plain) in [
            (&[][..], true),
            (&["chunked"], true),
            (&["Chunked "], true),
            (&["gzip, chunked"], false),
            (&["chunked", "chunked"], false),
        ] {
            assert_eq!(is_plainly_framed(&coded(codings)), plain, "{codings:?}");
        }
        let mut headers = coded(&["chunked"]);
        strip_response(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(strip: fn(&mut HeaderMap), given: &[(&str, &str)], expected: &[(&str, &str)]) {
        let mut headers = map(given);
        strip(&mut headers);
        assert_eq!(headers, map(expected));
    }

    #[test]
    fn what_belongs_to_the_connection_goes() {
        check(strip_request, &[("host", "a"), ("accept", "*/*")], &[("host", "a"), ("accept", "*/*")]);
        check(strip_request, &[("connection", "keep-alive"), ("keep-alive", "timeout=5"), ("x", "1")], &[("x", "1")]);
        check(
            strip_request,
            &[
                ("connection", "close, X-One"),
                ("connection", "x-two, host"),
                ("x-one", "1"),
                ("x-two", "2"),
                ("host", "a"),
            ],
            &[("host", "a")],
        );
        check(
            strip_request,
            &[
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("proxy-connection", "close"),
                ("expect", "100-continue"),
            ],
            &[],
        );
        check(
            strip_response,
            &[("connection", "x-one"), ("x-one", "1"), ("trailer", "x-sum")],
            &[("trailer", "x-sum")],
        );
    }

    #[test]
    fn te_stays_for_trailers_only() {
        check(strip_request, &[("te", "gzip, Trailers")], &[("te", "trailers")]);
        check(strip_request, &[("te", "trailers"), ("connection", "te")], &[("te", "trailers")]);
        check(strip_request, &[("te", "gzip")], &[]);
        check(strip_response, &[("te", "trailers")], &[]);
    }

    #[test]
    fn framing_names() {
        for name in ["connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive"] {
            assert!(is_framing(&HeaderName::from_static(name)), "{name}");
        }
        assert!(is_framing(&HeaderName::from_static("proxy-connection")));
        assert!(!is_framing(&header::HOST) && is_framing_in_request(&header::HOST));
        assert!(!is_framing_in_request(&header::CONTENT_TYPE));
    }
}
