//! Reads what a route matches: host, path and methods.
//!
//! A path is taken apart at its slashes: `/a/b` has the parts `a` and `b`, `/a/` the parts `a` and an empty one, `/` one
//! empty part, `/a/*` the part `a` and a tail, `/*` only the tail.

use std::sync::Arc;

use http::Method;

use super::super::problem::Report;
use super::address::is_dns_name;
use crate::plugin::schema::JsonPath;
use crate::router::{HostPattern, PathPattern, Segment, Tail};

/// The path pattern of a route that names none.
pub(super) fn any_path() -> PathPattern {
    PathPattern { segments: Vec::new(), tail: Tail::Anything }
}

/// A host: a name or an IP address, or `*.` and a name; without port.
pub(super) fn host(text: &str, at: &JsonPath, report: &mut Report) -> Option<HostPattern> {
    let lower = text.to_ascii_lowercase();
    let mut refuse = |what: &str, remedy: String| {
        report.add(at, format!("{text:?} {what}"), remedy);
        None
    };
    if text == "*" {
        return refuse("is every host", "leave the key out".to_owned());
    }
    if let Some((_scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        return refuse("is a URL", format!("write {host:?}"));
    }
    if lower.starts_with('[') {
        let inner = lower.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        return match inner.map(str::parse::<std::net::Ipv6Addr>) {
            Some(Ok(address)) => Some(HostPattern::Exact(format!("[{address}]"))),
            _ => refuse("is not an IPv6 address in brackets", "write one such as \"[::1]\", without port".to_owned()),
        };
    }
    if let Some((host, _port)) = lower.split_once(':') {
        return refuse("has a port", format!("write {host:?}: a route answers on every port"));
    }
    if let Some(host) = lower.strip_suffix('.') {
        return refuse("ends with a dot", format!("write {host:?}"));
    }
    if let Some(suffix) = lower.strip_prefix("*.").filter(|suffix| is_dns_name(suffix)) {
        return Some(HostPattern::Suffix(format!(".{suffix}")));
    }
    if lower.contains('*') {
        return refuse("has a * in a place where it means nothing", "write \"*.\" and a name".to_owned());
    }
    if !is_dns_name(&lower) {
        let remedy = "write one such as \"api.example.com\", other letters than a-z in the xn-- form";
        return refuse("is not a host name", remedy.to_owned());
    }
    Some(HostPattern::Exact(lower))
}

/// A path pattern.
pub(super) fn path(text: &str, at: &JsonPath, report: &mut Report) -> Option<PathPattern> {
    match parse_path(text) {
        Ok(pattern) => Some(pattern),
        Err((what, remedy)) => {
            report.add(at, format!("{text:?} {what}"), remedy);
            None
        }
    }
}

type Refusal = (String, String);

fn parse_path(text: &str) -> Result<PathPattern, Refusal> {
    let Some(inner) = text.strip_prefix('/') else {
        let fixed = if text == "*" { "/*".to_owned() } else { format!("/{text}") };
        return Err(("does not start with \"/\"".to_owned(), format!("write {fixed:?}")));
    };
    let (inner, tail) = match (text.strip_suffix("/*"), rest(text)?) {
        (Some(front), _) => (front.strip_prefix('/'), Tail::Anything),
        (None, Some((front, name))) => (front.strip_prefix('/'), Tail::Rest(name)),
        (None, None) => (Some(inner), Tail::End),
    };
    let mut segments: Vec<Segment> = Vec::new();
    // `/*` has no part at all; all others have at least one.
    let parts: Vec<&str> = inner.map(|inner| inner.split('/').collect()).unwrap_or_default();
    let last = parts.len().saturating_sub(1);
    for (number, part) in parts.into_iter().enumerate() {
        if part.is_empty() && (number != last || tail != Tail::End) {
            return Err(("has an empty part".to_owned(), "write one \"/\" only".to_owned()));
        }
        segments.push(parse_segment(part, &segments)?);
    }
    if let Tail::Rest(name) = &tail
        && segments.contains(&Segment::Parameter(Arc::clone(name)))
    {
        return Err((format!("has {{{name}}} twice"), "give each parameter its own name".to_owned()));
    }
    Ok(PathPattern { segments, tail })
}

/// What stands before a final `/{name..}`, and the name.
fn rest(text: &str) -> Result<Option<(&str, Arc<str>)>, Refusal> {
    let parts = text.strip_suffix("..}").and_then(|text| text.rsplit_once("/{"));
    let Some((front, name)) = parts else { return Ok(None) };
    Ok(Some((front, parameter_name(name)?)))
}

fn parameter_name(name: &str) -> Result<Arc<str>, Refusal> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || !name.bytes().all(word) || name.starts_with(|c: char| c.is_ascii_digit()) {
        let what = format!("has the parameter name {name:?}");
        return Err((what, "use letters, digits and _, and start with a letter: {id}".to_owned()));
    }
    Ok(Arc::from(name))
}

fn parse_segment(part: &str, before: &[Segment]) -> Result<Segment, Refusal> {
    let refuse = |what: &str, remedy: &str| Err((what.to_owned(), remedy.to_owned()));
    if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        let name = parameter_name(name)?;
        if before.iter().any(|other| matches!(other, Segment::Parameter(other) if *other == name)) {
            return Err((format!("has {{{name}}} twice"), "give each parameter its own name".to_owned()));
        }
        return Ok(Segment::Parameter(name));
    }
    if part.contains(['{', '}']) {
        return refuse("has a parameter that is not a whole part", "put it between two slashes: \"/{name}/\"");
    }
    if part.contains('*') {
        return refuse("has a * that is not at its end", "write \"/*\" at the end, or a parameter such as {name}");
    }
    if part == "." || part == ".." {
        return refuse("has a dot part, which no request has", "write the path that is meant");
    }
    if part.contains(['?', '#']) {
        return refuse("has a query or a fragment", "write the path only");
    }
    // RFC 3986 section 3.3: pchar.
    let pchar = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(&b);
    if let Some(bad) = part.chars().find(|c| !u8::try_from(*c).is_ok_and(pchar)) {
        let encoded: String = bad.to_string().bytes().map(|b| format!("%{b:02X}")).collect();
        return Err((format!("has {bad:?}"), format!("write {encoded:?} for it")));
    }
    Ok(Segment::Literal(part.to_owned()))
}

/// A method. Upper and lower case are different methods (RFC 9110 section 9.1), and only one of them exists.
pub(super) fn method(text: &str, at: &JsonPath, report: &mut Report) -> Option<Method> {
    let upper = text.to_ascii_uppercase();
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if upper == text => return Some(method),
        Ok(_) => report.add(at, format!("{text:?} is not in capitals"), format!("write {upper:?}")),
        Err(_) => report.add(at, format!("{text:?} is not a method"), "write one such as \"GET\""),
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.to_owned())
    }

    #[test]
    fn paths_are_taken_apart() {
        let check = |text: &str, segments: &[Segment], tail: Tail| {
            assert_eq!(parse_path(text).unwrap(), PathPattern { segments: segments.to_vec(), tail }, "{text}");
        };
        check("/", &[literal("")], Tail::End);
        check("/*", &[], Tail::Anything);
        check("/a", &[literal("a")], Tail::End);
        check("/a/", &[literal("a"), literal("")], Tail::End);
        check("/a/*", &[literal("a")], Tail::Anything);
        check("/a/{x..}", &[literal("a")], Tail::Rest("x".into()));
        check("/{x..}", &[], Tail::Rest("x".into()));
        check("/a/{id}/b%20c", &[literal("a"), Segment::Parameter("id".into()), literal("b%20c")], Tail::End);
    }

    #[test]
    fn bad_paths_are_refused() {
        let check = |text: &str, expected: &str| assert_eq!(parse_path(text).unwrap_err().0, expected, "{text}");
        check("", "does not start with \"/\"");
        check("*", "does not start with \"/\"");
        check("//", "has an empty part");
        check("/a//b", "has an empty part");
        check("/a//*", "has an empty part");
        check("//*", "has an empty part");
        check("/a*", "has a * that is not at its end");
        check("/*/a", "has a * that is not at its end");
        check("/a{id}", "has a parameter that is not a whole part");
        check("/{}", "has the parameter name \"\"");
        check("/{a-b}", "has the parameter name \"a-b\"");
        check("/{a}/{a}", "has {a} twice");
        check("/{a}/{a..}", "has {a} twice");
        check("/{a..}/b", "has the parameter name \"a..\"");
        check("/a?b", "has a query or a fragment");
        check("/../a", "has a dot part, which no request has");
        check("/a b", "has ' '");
        assert_eq!(parse_path("/é").unwrap_err().1, "write \"%C3%A9\" for it");
    }

    #[test]
    fn hosts() {
        let check = |text: &str, expected: Option<HostPattern>| {
            assert_eq!(host(text, &JsonPath::root(), &mut Report::default()), expected, "{text}");
        };
        check("API.example.com", Some(HostPattern::Exact("api.example.com".to_owned())));
        check("*.example.com", Some(HostPattern::Suffix(".example.com".to_owned())));
        check("10.0.0.1", Some(HostPattern::Exact("10.0.0.1".to_owned())));
        check("[::1]", Some(HostPattern::Exact("[::1]".to_owned())));
        for bad in ["", "*", "a:80", "[::1]:80", "[x]", "a.", "*.", "a.*.b", "*a", "http://a", "a/b", "ä", ".a"] {
            check(bad, None);
        }
    }
}
