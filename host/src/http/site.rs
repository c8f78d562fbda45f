//! URLs in the one spelling that the cache knows them by: scheme, host, path and query.
//!
//! Pure. What a client asks for and what an operator writes go through the same function, so that the one finds the other.

use std::borrow::Cow;

/// Why a text is not the URL of anything that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// There is no scheme, or an unknown one.
    #[error("does not begin with a scheme; write one such as \"https://example.com/path\"")]
    Scheme,
    /// There is no host, or one that no client can ask for.
    #[error("has no host that a client could ask for; write one such as \"https://example.com/path\"")]
    Host,
    /// There are control characters in it.
    #[error("has control characters in it; leave them out")]
    Control,
    /// It is a pattern that nothing matches.
    #[error("matches no URL, since all begin with \"http://\" or \"https://\"; put `*` in front")]
    Nowhere,
}

/// The host as every spelling of it is stored under: in lower case, without the scheme's own port and without the dot of the root
/// (RFC 3986 section 6.2.3).
pub(crate) fn canonical_host<'a>(authority: &'a str, scheme: &str) -> Cow<'a, str> {
    let own = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(own).or_else(|| authority.strip_suffix(':')).unwrap_or(authority);
    let authority = authority.strip_suffix('.').unwrap_or(authority);
    match authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(authority.to_ascii_lowercase()),
        false => Cow::Borrowed(authority),
    }
}

/// A URL as what it leads to is stored under. A fragment is cut off, and what no request can carry is percent-encoded.
pub(crate) fn canonical_url(text: &str) -> Result<String, UrlError> {
    let (scheme, authority, target) = split(text)?.ok_or(UrlError::Scheme)?;
    if scheme != "http" && scheme != "https" {
        return Err(UrlError::Scheme);
    }
    let no_host = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'@' | b'\\' | b'*');
    if authority.is_empty() || authority.bytes().any(no_host) {
        return Err(UrlError::Host);
    }
    Ok(joined(&scheme, &canonical_host(authority, &scheme), target))
}

/// A pattern of URLs in the same spelling, as far as it says which host it is about.
pub(crate) fn canonical_pattern(text: &str) -> Result<String, UrlError> {
    let pattern = match split(text)? {
        None => encoded(text),
        Some((scheme, authority, target)) => {
            let host = match scheme.contains('*') {
                true => Cow::Owned(authority.to_ascii_lowercase()),
                false => canonical_host(authority, &scheme),
            };
            match target.is_empty() && host.ends_with('*') {
                true => format!("{scheme}://{host}"),
                false => joined(&scheme, &host, target),
            }
        }
    };
    let start = pattern.split('*').next().unwrap_or_default();
    let open = start.len() < pattern.len();
    match ["http://", "https://"].iter().any(|scheme| start.starts_with(scheme) || open && scheme.starts_with(start)) {
        true => Ok(pattern),
        false => Err(UrlError::Nowhere),
    }
}

/// Scheme in lower case, authority, and the rest without the fragment; nothing where there is no scheme.
fn split(text: &str) -> Result<Option<(String, &str, &str)>, UrlError> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(UrlError::Control);
    }
    let text = text.split('#').next().unwrap_or_default();
    Ok(text.split_once("://").map(|(scheme, rest)| {
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        (scheme.to_ascii_lowercase(), authority, target)
    }))
}

fn joined(scheme: &str, host: &str, target: &str) -> String {
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{host}{slash}{}", encoded(target))
}

/// With blanks and everything that is not ASCII percent-encoded (RFC 3986 section 2.1), as clients send it.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_graphic() {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_host_are_one() {
        let check =
            |authority: &str, scheme: &str, expected: &str| assert_eq!(canonical_host(authority, scheme), expected);
        check("a.example", "http", "a.example");
        check("A.Example:80", "http", "a.example");
        check("a.example.:443", "https", "a.example");
        check("a.example:", "http", "a.example");
        check("a.example:443", "http", "a.example:443");
        check("[::1]:80", "http", "[::1]");
    }

    #[test]
    fn spellings_of_one_url_are_one() {
        let check = |text: &str, expected: Result<&str, UrlError>| {
            assert_eq!(canonical_url(text).as_deref().map_err(|error| *error), expected, "{text}");
        };
        check("HTTP://A.Example.:80/B?C=d#e", Ok("http://a.example/B?C=d"));
        check("https://a.example", Ok("https://a.example/"));
        check("https://a.example?b", Ok("https://a.example/?b"));
        check("https://a.example:8443/ä b", Ok("https://a.example:8443/%C3%A4%20b"));
        check("http://[::1]:80/%2f", Ok("http://[::1]/%2f"));
        check("/path", Err(UrlError::Scheme));
        check("a.example/path", Err(UrlError::Scheme));
        check("ftp://a.example/", Err(UrlError::Scheme));
        check("http:///path", Err(UrlError::Host));
        check("http://user@a.example/", Err(UrlError::Host));
        check("http://ä.example/", Err(UrlError::Host));
        check("http://a.example/\n", Err(UrlError::Control));
        check("", Err(UrlError::Scheme));
    }

    #[test]
    fn patterns_name_hosts_as_they_are_stored() {
        let check = |text: &str, expected: Result<&str, UrlError>| {
            assert_eq!(canonical_pattern(text).as_deref().map_err(|error| *error), expected, "{text}");
        };
        check("*", Ok("*"));
        check("*/News/*", Ok("*/News/*"));
        check("HTTPS://*.A.Example:443/B/*", Ok("https://*.a.example/B/*"));
        check("*://A.Example/B", Ok("*://a.example/B"));
        check("http*://A.Example:80/B", Ok("http*://a.example:80/B"));
        check("http://A.Example", Ok("http://a.example/"));
        check("http://a.example?x=*", Ok("http://a.example/?x=*"));
        check("http://A.Example*", Ok("http://a.example*"));
        check("ht*", Ok("ht*"));
        check("*/a b", Ok("*/a%20b"));
        check("/news/*", Err(UrlError::Nowhere));
        check("a.example/*", Err(UrlError::Nowhere));
        check("ftp://a/*", Err(UrlError::Nowhere));
        check("http", Err(UrlError::Nowhere));
        check("", Err(UrlError::Nowhere));
    }
}
