//! The cache key: parts that extend the gateway's, or one of our own that replaces it.
//!
//! Invariant: two requests that differ in a part have different keys. Parts begin with a line feed, which neither a
//! path nor a header value can hold, and bytes that are no ASCII are escaped, never dropped.

use std::hash::{DefaultHasher, Hasher};

use portcullis_sdk::prelude::*;

use crate::asked::Asked;
use crate::config::KeyChoice;
use crate::cookie;
use crate::query::Query;

/// What a key is made of.
pub(crate) struct Key {
    headers: Vec<(String, HeaderName)>,
    cookies: Vec<String>,
    /// Interned only where there are cookies in the key.
    cookie_header: Option<HeaderName>,
    query: Query,
    scheme: bool,
    host: bool,
}

impl Key {
    pub(crate) fn new(config: &KeyChoice) -> Result<Self> {
        let headers = config.headers.iter().map(|name| Ok((name.to_ascii_lowercase(), HeaderName::intern(name)?)));
        let cookie_header = if config.cookies.is_empty() { None } else { Some(HeaderName::intern("cookie")?) };
        Ok(Self {
            headers: headers.collect::<Result<_>>()?,
            cookies: config.cookies.clone(),
            cookie_header,
            query: Query::new(&config.query, config.sort_query)?,
            scheme: config.scheme,
            host: config.host,
        })
    }

    /// Whether the gateway's key stays as it is.
    pub(crate) fn is_plain(&self) -> bool {
        self.keeps_target() && self.headers.is_empty() && self.cookies.is_empty()
    }

    /// Whether the gateway's scheme, authority, path and query are what we want.
    fn keeps_target(&self) -> bool {
        self.scheme && self.host && self.query.is_plain()
    }

    /// What the request is looked up under.
    pub(crate) fn verdict(&self, asked: &Asked<'_>) -> KeyVerdict {
        if self.is_plain() {
            return KeyVerdict::Next;
        }
        let mut key = String::new();
        if !self.keeps_target() {
            self.push_target(asked, &mut key);
        }
        self.push_parts(asked, &mut key);
        if !self.keeps_target() {
            KeyVerdict::Replace(key)
        } else if key.is_empty() {
            KeyVerdict::Next
        } else {
            KeyVerdict::Extend(key)
        }
    }

    fn push_target(&self, asked: &Asked<'_>, key: &mut String) {
        if self.scheme {
            key.push_str(&asked.request.scheme());
        }
        key.push_str("//");
        if self.host {
            key.push_str(&asked.request.authority());
        }
        key.push_str(asked.path());
        key.push('?');
        key.push_str(asked.normal(&self.query));
    }

    fn push_parts(&self, asked: &Asked<'_>, key: &mut String) {
        for (text, name) in &self.headers {
            for value in asked.request.headers(*name) {
                push_part(key, "h", text, &value);
            }
        }
        if let Some(header) = self.cookie_header {
            let cookies = asked.cookies(header);
            for name in &self.cookies {
                let value = cookies.iter().find_map(|header| cookie_value(header, name));
                if let Some(value) = value {
                    push_part(key, "c", name, value);
                }
            }
        }
    }

    /// A number for path and query, as far as the query is in the key: what adaptive ttl learns about.
    pub(crate) fn resource(&self, asked: &Asked<'_>) -> u64 {
        resource(asked.path(), asked.normal(&self.query))
    }
}

/// Fixed keys: the number must be the same in every instance.
pub(crate) fn resource(path: &str, query: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path.as_bytes());
    hasher.write_u8(b'?');
    hasher.write(query.as_bytes());
    hasher.finish()
}

fn cookie_value<'a>(header: &'a [u8], name: &str) -> Option<&'a [u8]> {
    cookie::pairs(header).find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
}

/// `\nh:accept-language=de`
pub(crate) fn push_part(key: &mut String, kind: &str, name: &str, value: &[u8]) {
    key.push('\n');
    key.push_str(kind);
    key.push(':');
    key.push_str(name);
    key.push('=');
    match std::str::from_utf8(value) {
        Ok(text) if text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') => key.push_str(text),
        _ => key.extend(value.iter().flat_map(|byte| byte.escape_ascii()).map(char::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_differ_make_keys_that_differ() {
        let part = |name: &str, value: &[u8]| {
            let mut key = String::new();
            push_part(&mut key, "h", name, value);
            key
        };
        assert_eq!(part("accept-language", b"de"), "\nh:accept-language=de");
        assert_eq!(part("a", b"\xff\\ "), "\nh:a=\\xff\\\\ ");
        assert_ne!(part("a", b"\xff"), part("a", b"\\xff"));
        assert_ne!(part("a", b"x\nh:b=y"), part("a", b"x") + &part("b", b"y"));
    }

    #[test]
    fn a_resource_is_path_and_query() {
        assert_eq!(resource("/a", "b"), resource("/a", "b"));
        assert_ne!(resource("/a", "b"), resource("/ab", ""));
        assert_ne!(resource("/a", ""), resource("/b", ""));
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        assert_eq!(cookie_value(b"ab=1; a=2", "a"), Some(&b"2"[..]));
        assert_eq!(cookie_value(b"ab=1", "a"), None);
    }
}
