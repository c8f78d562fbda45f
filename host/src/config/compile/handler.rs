//! Reads what a route does: proxy, respond or redirect; files have a room of their own.
//!
//! After this, fields and targets are valid HTTP: nothing that a client could be hurt by is left to check on the way.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::super::file::{self, File, HeaderValues};
use super::super::problem::Report;
use super::{dangling, files};
use crate::pipeline::{Handler, RedirectPart, RedirectTarget};
use crate::plugin::schema::{JsonPath, nearest};
use crate::router::{PathPattern, Segment};

/// Fields that belong to a connection or to framing (RFC 9110 sections 7.6.1 and 8.6; RFC 9112 section 6): ours to write.
const OURS: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Compiles the handlers that are written; that there is exactly one is the schema's business.
pub(super) fn compile(
    route: &file::Route,
    pattern: Option<&PathPattern>,
    (file, folder): (&File, &Path),
    at: &JsonPath,
    report: &mut Report,
) -> Option<Handler> {
    let proxy = route.proxy.as_ref().and_then(|proxy| self::proxy(proxy, file, &at.key("proxy"), report));
    let files = route.files.as_ref().and_then(|written| files::compile(written, folder, &at.key("files"), report));
    let respond = route.respond.as_ref().map(|respond| self::respond(respond, &at.key("respond"), report));
    let redirect = route.redirect.as_ref().and_then(|redirect| {
        let at = at.key("redirect").key("location");
        let location = target(redirect.location.as_deref()?, pattern, &at, report)?;
        let status = status(redirect.status.unwrap_or(file::Redirect::STATUS));
        Some(Handler::Redirect { status, location })
    });
    proxy.or(files.map(Handler::Files)).or(respond).or(redirect)
}

fn proxy(proxy: &file::Proxy, file: &File, at: &JsonPath, report: &mut Report) -> Option<Handler> {
    let upstream = proxy.upstream.as_deref()?;
    let known = || file.upstreams.iter().flatten().map(|(name, _)| name.as_str());
    let index = known().position(|name| name == upstream);
    if index.is_none() && !report.is_gone(&JsonPath::root().key("upstreams")) {
        dangling("upstream", upstream, known(), "add it to \"upstreams\"", &at.key("upstream"), report);
    }
    let mut upgrades = Vec::new();
    for (index, protocol) in proxy.upgrades.iter().flatten().enumerate() {
        let Some(protocol) = protocol else { continue };
        let (at, lower) = (at.key("upgrades").index(index), protocol.to_ascii_lowercase());
        if ["h2c", "h2"].contains(&lower.as_str()) || lower.starts_with("http/") || lower.starts_with("tls/") {
            report.add(&at, format!("{protocol:?} is spoken by the gateway itself"), "remove it");
        } else if http::HeaderName::from_bytes(lower.as_bytes()).is_err() {
            report.add(&at, format!("{protocol:?} is not the name of a protocol"), "write one such as \"websocket\"");
        } else {
            upgrades.push(lower.into());
        }
    }
    if proxy.upgrades.is_none() {
        upgrades.push("websocket".into());
    }
    index.map(|upstream| Handler::Proxy { upstream, upgrades })
}

/// The schema lets only statuses through that exist.
fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or_default()
}

fn respond(respond: &file::Respond, at: &JsonPath, report: &mut Report) -> Handler {
    let status = status(respond.status.unwrap_or(file::Respond::STATUS));
    let mut headers = headers(respond, &at.key("headers"), report);
    if respond.body.is_some() && respond.json.is_some() {
        report.add(&at.key("json"), "stands beside \"body\"", "keep one of them");
    }
    let (body, media_type) = match (&respond.body, &respond.json) {
        (Some(text), _) => (Bytes::from(text.clone()), "text/plain; charset=utf-8"),
        (None, Some(json)) => (Bytes::from(json.to_string()), "application/json"),
        (None, None) => (Bytes::new(), ""),
    };
    // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: these have no content.
    if matches!(status.as_u16(), 204 | 205 | 304) && !body.is_empty() {
        let key = if respond.body.is_some() { "body" } else { "json" };
        report.add(&at.key(key), format!("a response with status {} has no body", status.as_u16()), "remove it");
    }
    if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    Handler::Respond { status, headers, body }
}

fn headers(respond: &file::Respond, at: &JsonPath, report: &mut Report) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (key, values) in respond.headers.iter().flatten() {
        let at = at.key(key);
        let name = header_name(key, &at, report).filter(|name| {
            let twice = headers.contains_key(name);
            if twice {
                report.add(&at, "is there twice, with other capitals", "give the values as an array under one name");
            }
            !twice
        });
        let mut add = |text: Option<&str>, at: &JsonPath| {
            let value = text.and_then(|text| header_value(text, at, report));
            if let (Some(name), Some(value)) = (&name, value) {
                headers.append(name, value);
            }
        };
        match values {
            Some(HeaderValues::One(text)) => add(Some(text), &at),
            Some(HeaderValues::Many(texts)) => {
                for (index, text) in texts.iter().enumerate() {
                    add(text.as_deref(), &at.index(index));
                }
            }
            None => {}
        }
    }
    headers
}

/// RFC 9110 section 5.1.
fn header_name(text: &str, at: &JsonPath, report: &mut Report) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        let remedy = "use letters, digits and - (RFC 9110 section 5.1)";
        report.add(at, format!("{text:?} is not a header name"), remedy);
        return None;
    };
    if OURS.contains(&name.as_str()) {
        report.add(at, format!("{text:?} is written by the gateway itself"), "remove it");
        return None;
    }
    Some(name)
}

/// RFC 9110 section 5.5. The value is not shown: it may hold a secret.
pub(super) fn header_value(text: &str, at: &JsonPath, report: &mut Report) -> Option<HeaderValue> {
    if text.trim_matches([' ', '\t']) != text {
        report.add(at, "starts or ends with a blank", "remove the blank (RFC 9110 section 5.5)");
        return None;
    }
    let value = HeaderValue::from_str(text).ok();
    if value.is_none() {
        let what = "has a character that a header value cannot have";
        report.add(at, what, "use visible ASCII characters, blanks and tabs (RFC 9110 section 5.5)");
    }
    value
}

/// Takes a redirect target apart at its placeholders.
fn target(text: &str, pattern: Option<&PathPattern>, at: &JsonPath, report: &mut Report) -> Option<RedirectTarget> {
    let starts = ["/", "http://", "https://", "{path}"];
    if !starts.iter().any(|start| text.starts_with(start)) && !text.starts_with('{') {
        let host = text.split("://").last().unwrap_or_default();
        let remedy = format!("write \"https://{host}\", or a path that starts with \"/\"");
        report.add(at, format!("{text:?} is neither a URL nor a path"), remedy);
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        let (literal, after) = rest.split_at(start);
        let Some((name, after)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) else {
            report.add(at, "has a brace without its other half", "write {name}, or %7B and %7D for braces");
            return None;
        };
        if !literal.is_empty() {
            parts.push(RedirectPart::Literal(literal.to_owned()));
        }
        parts.extend(placeholder(name, pattern, at, report));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(RedirectPart::Literal(rest.to_owned()));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let encoded: String = bad.to_string().bytes().map(|b| format!("%{b:02X}")).collect();
        report.add(at, format!("has {bad:?}"), format!("write {encoded:?} for it"));
    }
    Some(RedirectTarget(parts))
}

fn placeholder(name: &str, pattern: Option<&PathPattern>, at: &JsonPath, report: &mut Report) -> Option<RedirectPart> {
    let parameters: Vec<&Arc<str>> = pattern
        .iter()
        .flat_map(|pattern| &pattern.segments)
        .filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name),
            Segment::Literal(_) => None,
        })
        .collect();
    let parameter = parameters.iter().find(|parameter| parameter.as_ref() == name);
    let fixed = match name {
        "path" => Some(RedirectPart::Path),
        "query" => Some(RedirectPart::Query),
        "host" => Some(RedirectPart::Host),
        _ => None,
    };
    if fixed.is_some() && parameter.is_some() {
        let what = format!("{{{name}}} is a parameter of the path and the request's {name}");
        report.add(at, what, "give the parameter another name");
    }
    let part = fixed.or_else(|| parameter.map(|name| RedirectPart::Parameter(Arc::clone(name))));
    // Without a pattern, the path was at fault and has been reported.
    if part.is_none() && pattern.is_some() {
        let known: Vec<&str> = parameters.iter().map(|name| &***name).chain(["path", "query", "host"]).collect();
        let remedy = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean {{{meant}}}?"),
            None => format!("write one of {{{}}}", known.join("}, {")),
        };
        report.add(at, format!("the route's path has no parameter {{{name}}}"), remedy);
    }
    part
}
