//! Reads what a route does: proxy (see there), respond or redirect; files have a room of their own.
//!
//! After this, fields and targets are valid HTTP: nothing that a client could be hurt by is left to check on the way.

use std::path::Path;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::super::file::{self, File, HeaderValues};
use super::super::problem::Report;
use super::template::{self, Parameters};
use super::{files, proxy};
use crate::pipeline::{Handler, RedirectTarget};
use crate::plugin::schema::JsonPath;

/// Fields that belong to a connection or to framing (RFC 9110 sections 7.6.1 and 8.6; RFC 9112 section 6): ours to write.
const OURS: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Compiles the handlers that are written; that there is exactly one is the schema's business.
pub(super) fn compile(
    route: &file::Route,
    parameters: Option<&Parameters>,
    (file, folder): (&File, &Path),
    at: &JsonPath,
    report: &mut Report,
) -> Option<Handler> {
    let proxy =
        route.proxy.as_ref().and_then(|proxy| proxy::compile(proxy, parameters, file, &at.key("proxy"), report));
    let files = route.files.as_ref().and_then(|written| files::compile(written, folder, &at.key("files"), report));
    let respond = route.respond.as_ref().map(|respond| self::respond(respond, &at.key("respond"), report));
    let redirect = route.redirect.as_ref().and_then(|redirect| {
        let at = at.key("redirect").key("location");
        let location = target(redirect.location.as_deref()?, parameters, &at, report)?;
        let status = status(redirect.status.unwrap_or(file::Redirect::STATUS));
        Some(Handler::Redirect { status, location })
    });
    proxy.or(files.map(Handler::Files)).or(respond).or(redirect)
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
        for (text, at) in lines(values.as_ref(), &at) {
            if let (Some(name), Some(value)) = (&name, header_value(text, &at, report)) {
                headers.append(name, value);
            }
        }
    }
    headers
}

/// The lines of a field, each with where it is written.
pub(super) fn lines<'w>(written: Option<&'w HeaderValues>, at: &JsonPath) -> impl Iterator<Item = (&'w str, JsonPath)> {
    let lines: Vec<_> = match written {
        Some(HeaderValues::One(text)) => vec![(text.as_str(), at.clone())],
        Some(HeaderValues::Many(texts)) => {
            let lines = texts.iter().enumerate();
            lines.filter_map(|(index, text)| Some((text.as_deref()?, at.index(index)))).collect()
        }
        None => Vec::new(),
    };
    lines.into_iter()
}

/// RFC 9110 section 5.1.
pub(super) fn header_name(text: &str, at: &JsonPath, report: &mut Report) -> Option<HeaderName> {
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
fn target(text: &str, parameters: Option<&Parameters>, at: &JsonPath, report: &mut Report) -> Option<RedirectTarget> {
    let starts = ["/", "http://", "https://", "{path}"];
    if !starts.iter().any(|start| text.starts_with(start)) && !text.starts_with('{') {
        let host = text.split("://").last().unwrap_or_default();
        let remedy = format!("write \"https://{host}\", or a path that starts with \"/\"");
        report.add(at, format!("{text:?} is neither a URL nor a path"), remedy);
        return None;
    }
    template::target(text, parameters, at, report)
}
