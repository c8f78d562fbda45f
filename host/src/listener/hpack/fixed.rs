//! The static table of header compression (RFC 7541 appendix A), in both directions.

use http::header::{self, HeaderName};

/// Names and values by index, beginning with index 1.
#[rustfmt::skip]
pub(super) const FIXED: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
];

/// The index of a response field's name; 0 where it has none.
pub(super) fn name_index(name: &HeaderName) -> u8 {
    match *name {
        header::CONTENT_TYPE => 31,
        header::CONTENT_LENGTH => 28,
        header::DATE => 33,
        header::SERVER => 54,
        header::CACHE_CONTROL => 24,
        header::ETAG => 34,
        header::LAST_MODIFIED => 44,
        header::VARY => 59,
        header::SET_COOKIE => 55,
        header::CONTENT_ENCODING => 26,
        header::LOCATION => 46,
        header::ACCEPT_RANGES => 18,
        header::AGE => 21,
        header::EXPIRES => 36,
        header::VIA => 60,
        header::STRICT_TRANSPORT_SECURITY => 56,
        header::ACCESS_CONTROL_ALLOW_ORIGIN => 20,
        header::LINK => 45,
        header::CONTENT_RANGE => 30,
        header::CONTENT_DISPOSITION => 25,
        header::CONTENT_LANGUAGE => 27,
        header::CONTENT_LOCATION => 29,
        header::ALLOW => 22,
        header::RETRY_AFTER => 53,
        header::WWW_AUTHENTICATE => 61,
        header::PROXY_AUTHENTICATE => 48,
        header::REFRESH => 52,
        _ => 0,
    }
}
