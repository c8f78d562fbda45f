//! Where a token is in a request, and the request without it.
//!
//! Border: bytes of header values, `Cookie` fields and queries; what a token must look like inside is `token.rs`.
//! Invariant: where a place holds more than one token, none is taken (RFC 6750 section 2: one method, once).

/// Where a token may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a header, behind a scheme; an empty scheme: the value is the token.
    Header {
        /// The field name, in lower case.
        name: String,
        /// The authentication scheme (RFC 9110 section 11.1), case-insensitive.
        scheme: String,
    },
    /// In a cookie of this name.
    Cookie(String),
    /// In a query parameter of this name (RFC 6750 section 2.3).
    Query(String),
}

/// What a place holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// No token.
    Nothing,
    /// One.
    Token(&'a [u8]),
    /// Several, or one beside something that another reader could take for it.
    Several,
}

impl<'a> Found<'a> {
    fn and(self, token: &'a [u8]) -> Self {
        if self == Found::Nothing { Found::Token(token) } else { Found::Several }
    }
}

/// Looks into all values of a header.
pub(crate) fn in_header<'a>(values: impl Iterator<Item = &'a [u8]>, scheme: &str) -> Found<'a> {
    let (mut found, mut lines) = (Found::Nothing, 0);
    for value in values {
        lines += 1;
        if let Some(token) = behind_scheme(value, scheme) {
            found = found.and(token);
        }
    }
    // Another line with another scheme: which of them counts would be up to whoever reads next.
    if lines > 1 && found != Found::Nothing { Found::Several } else { found }
}

fn behind_scheme<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let value = value.trim_ascii();
    if scheme.is_empty() {
        return (!value.is_empty()).then_some(value);
    }
    let (start, rest) = value.split_at_checked(scheme.len())?;
    if !start.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    match rest {
        [] => Some(rest),
        [b' ', ..] => Some(rest.trim_ascii_start()),
        _ => None,
    }
}

/// Looks into all `Cookie` fields.
pub(crate) fn in_cookies<'a>(values: impl Iterator<Item = &'a [u8]>, name: &str) -> Found<'a> {
    let pairs = values.flat_map(|value| value.split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| cookie_value(pair, name));
    // An empty cookie is how one is taken back.
    values.filter(|value| !value.is_empty()).fold(Found::Nothing, Found::and)
}

/// RFC 6265 section 4.1.1; quotes around the value are not part of it.
fn cookie_value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

/// Looks into a query. A token needs no percent-encoding, so that none is undone.
pub(crate) fn in_query<'a>(query: &'a str, name: &str) -> Found<'a> {
    let values = query.split('&').filter_map(|pair| parameter_value(pair, name)).filter(|value| !value.is_empty());
    values.fold(Found::Nothing, |found, value| found.and(value.as_bytes()))
}

fn parameter_value<'a>(pair: &'a str, name: &str) -> Option<&'a str> {
    pair.strip_prefix(name)?.strip_prefix('=')
}

/// A `Cookie` field without the cookies of this name.
pub(crate) fn without_cookie(value: &[u8], name: &str) -> Vec<u8> {
    let pairs = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let kept: Vec<_> = pairs.filter(|pair| !pair.is_empty() && cookie_value(pair, name).is_none()).collect();
    kept.join(&b"; "[..])
}

/// A query without the parameters of this name.
pub(crate) fn without_parameter(query: &str, name: &str) -> String {
    let kept: Vec<_> = query.split('&').filter(|pair| parameter_value(pair, name).is_none()).collect();
    kept.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let check = |values: &[&str], scheme: &str, expected: Found<'_>| {
            assert_eq!(in_header(values.iter().map(|value| value.as_bytes()), scheme), expected, "{values:?}");
        };
        check(&[], "Bearer", Found::Nothing);
        check(&["Bearer abc"], "Bearer", Found::Token(b"abc"));
        check(&["bEARER   abc "], "Bearer", Found::Token(b"abc"));
        check(&["Bearer"], "Bearer", Found::Token(b""));
        check(&["Bearerabc"], "Bearer", Found::Nothing);
        check(&["Bearer\tabc"], "Bearer", Found::Nothing);
        check(&["Basic abc"], "Bearer", Found::Nothing);
        check(&["Basic abc", "Digest x"], "Bearer", Found::Nothing);
        check(&["Bearer a", "Bearer a"], "Bearer", Found::Several);
        check(&["Basic abc", "Bearer a"], "Bearer", Found::Several);
        check(&["Bearer a", ""], "Bearer", Found::Several);
        check(&["Bearer a, Bearer b"], "Bearer", Found::Token(b"a, Bearer b"));
        check(&[" abc "], "", Found::Token(b"abc"));
        check(&[""], "", Found::Nothing);
        check(&["Bearer \u{fffd}"], "Bearer", Found::Token("\u{fffd}".as_bytes()));
    }

    #[test]
    fn cookies() {
        let check = |values: &[&str], expected: Found<'_>| {
            assert_eq!(in_cookies(values.iter().map(|value| value.as_bytes()), "t"), expected, "{values:?}");
        };
        check(&["a=1; b=2"], Found::Nothing);
        check(&["a=1; t=x.y.z; b=2"], Found::Token(b"x.y.z"));
        check(&["a=1", "t=\"x\""], Found::Token(b"x"));
        check(&["tt=1; T=2; xt=3; t"], Found::Nothing);
        check(&["t="], Found::Nothing);
        check(&["t=1; t=1"], Found::Several);
        check(&["t=1", "t=2"], Found::Several);
        assert_eq!(without_cookie(b"a=1; t=x;b=2", "t"), b"a=1; b=2");
        assert_eq!(without_cookie(b"t=x", "t"), b"");
    }

    #[test]
    fn queries() {
        assert_eq!(in_query("", "t"), Found::Nothing);
        assert_eq!(in_query("a=1&t=x.y", "t"), Found::Token(b"x.y"));
        assert_eq!(in_query("tt=1&T=2&t", "t"), Found::Nothing);
        assert_eq!(in_query("t=1&t=1", "t"), Found::Several);
        assert_eq!(without_parameter("a=1&t=x&b=%20", "t"), "a=1&b=%20");
        assert_eq!(without_parameter("t=x", "t"), "");
    }
}
