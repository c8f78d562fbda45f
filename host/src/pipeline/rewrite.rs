//! The target that an upstream is asked for, where that is another than the client's.
//!
//! What the client wrote percent-encoded stays so, the query stays, and nothing that comes out leads outside: no dot segments, always a
//! leading slash.

use std::sync::Arc;

use http::uri::PathAndQuery;

use super::settings::{RedirectPart, Rewrite};
use crate::exchange::{Exchange, Failure, Reason};
use crate::http::{has_dot_segment, merged_slashes};

/// What texts are filled in from.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What the client asked for.
    pub target: &'a PathAndQuery,
    /// The host that it asked for, with its port.
    pub authority: &'a str,
    /// What the route's path kept.
    pub parameters: &'a [(Arc<str>, String)],
}

impl<'a> From<&'a Exchange> for Subject<'a> {
    fn from(exchange: &'a Exchange) -> Self {
        let request = &exchange.request;
        Self { target: &request.target, authority: &request.authority, parameters: &exchange.parameters }
    }
}

/// The target after the rewrite. Fails where the client's own part makes something of it that is no path.
pub fn rewritten(rewrite: &Rewrite, subject: &Subject<'_>) -> Result<PathAndQuery, Failure> {
    let target = subject.target;
    let path = merged_slashes(target.path());
    let mut rewritten = match rewrite {
        Rewrite::Prefix { strip, add } => {
            let rest = strip.as_ref().map_or(Some(&*path), |strip| strip.rest(&path));
            // A path that does not begin so stays as it is; what the route matches decides whether that happens.
            let rest = rest.map_or(&*path, |rest| if add.is_empty() && rest.is_empty() { "/" } else { rest });
            format!("{add}{rest}")
        }
        Rewrite::Path(template) => template.filled(subject),
        Rewrite::Regex { expression, to } => match expression.captures(&path) {
            Some(captures) => {
                let mut text = String::new();
                captures.expand(to, &mut text);
                text
            }
            None => path.into_owned(),
        },
    };
    if !rewritten.starts_with('/') {
        rewritten.insert(0, '/');
    }
    if has_dot_segment(&rewritten) {
        return Err(Failure::new(Reason::BadRequest, "the rewritten path has a dot segment"));
    }
    // A template may have brought its own query.
    if let Some(query) = target.query() {
        rewritten.push(if rewritten.contains('?') { '&' } else { '?' });
        rewritten.push_str(query);
    }
    PathAndQuery::try_from(rewritten)
        .map_err(|error| Failure::new(Reason::BadRequest, format!("the rewritten path is no path: {error}")))
}

impl super::settings::RedirectTarget {
    /// The text with everything filled in. Parameters are percent-encoded, so that each stays one segment; the rest of a path stays as it
    /// came.
    pub(super) fn filled(&self, subject: &Subject<'_>) -> String {
        let mut text = String::new();
        let parameter = |name: &str| {
            let value = subject.parameters.iter().find(|(known, _)| **known == *name).map(|(_, value)| value);
            value.map_or("", String::as_str)
        };
        for part in &self.0 {
            match part {
                RedirectPart::Literal(literal) => text.push_str(literal),
                RedirectPart::Path => text.push_str(subject.target.path()),
                RedirectPart::Query => {
                    if let Some(query) = subject.target.query() {
                        text.push('?');
                        text.push_str(query);
                    }
                }
                RedirectPart::Host => text.push_str(without_port(subject.authority)),
                RedirectPart::Parameter(name) => push_encoded(&mut text, parameter(name)),
                RedirectPart::Rest(name) => text.push_str(parameter(name)),
            }
        }
        text
    }
}

pub(super) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons of an IPv6 address are inside its brackets.
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Percent-encodes what is not unreserved (RFC 3986 section 2.3), so that a parameter stays one path segment.
fn push_encoded(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_off() {
        let check = |authority: &str, expected: &str| assert_eq!(without_port(authority), expected);
        check("example.com", "example.com");
        check("example.com:8080", "example.com");
        check("[::1]", "[::1]");
        check("[::1]:80", "[::1]");
    }

    #[test]
    fn parameters_stay_one_segment() {
        let mut target = String::from("/");
        push_encoded(&mut target, "a/b?c=ä\r\n");
        assert_eq!(target, "/a%2Fb%3Fc%3D%C3%A4%0D%0A");
    }
}
