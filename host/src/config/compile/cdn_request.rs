//! Reads the requests by which a CDN of any kind is told of purges: URL, fields and body with placeholders.
//!
//! Only `{word}` is a placeholder; other braces stand for themselves, since bodies are often made of them. URLs, fields and bodies
//! are not shown: they may hold a secret.

use http::Method;
use http::header::HeaderName;
use serde_json::Value;

use super::super::file::{self, HeaderValues};
use super::super::problem::Report;
use super::handler::{header_name, header_value, lines};
use crate::cdn::{Json, Template, Text, TextPart};
use crate::plugin::schema::{JsonPath, nearest};

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Tags,
    Urls,
    All,
}

impl About {
    const fn placeholders(self) -> &'static [(&'static str, TextPart)] {
        match self {
            Self::Tags => &[("tag", TextPart::One), ("tags", TextPart::Many), ("mode", TextPart::Mode)],
            Self::Urls => &[
                ("url", TextPart::One),
                ("urls", TextPart::Many),
                ("host", TextPart::Host),
                ("path", TextPart::Path),
                ("mode", TextPart::Mode),
            ],
            Self::All => &[("mode", TextPart::Mode)],
        }
    }

    /// Two names that are filled in to see what comes of it.
    const fn samples(self) -> [&'static str; 2] {
        match self {
            Self::Tags | Self::All => ["a", "b.c"],
            Self::Urls => ["http://a.example/x?y", "https://b.example:8443/"],
        }
    }
}

/// Compiles a request; none if it has been reported.
pub(super) fn compile(
    written: &file::CdnRequest,
    about: About,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Template> {
    let method = method(written.method.as_deref().unwrap_or(file::CdnRequest::METHOD), &at.key("method"), report);
    let headers = headers(written, about, &at.key("headers"), report);
    let body = written.body.as_ref().map(|body| json(body, about, &at.key("body"), report));
    let url = written.url.as_deref().and_then(|written| {
        let at = at.key("url");
        let url = text(written, about, &at, report)?;
        Some((url, at))
    });
    let (url, url_at) = url?;
    let template =
        Template { method: method?, url, headers: headers?, body: body.map_or(Some(None), |body| body.map(Some))? };
    check_url(&template, about, &url_at, report)?;
    if about != About::All && !template.names_subjects() {
        let [one, many] = if about == About::Tags { ["{tag}", "{tags}"] } else { ["{url}", "{urls}"] };
        let remedy = format!("put {one} or {many} into URL, headers or body");
        report.add(at, "does not say what is purged", remedy);
        return None;
    }
    Some(template)
}

/// Whether it goes by TLS.
pub(super) fn is_secure(template: &Template) -> bool {
    matches!(template.url.0.first(), Some(TextPart::Literal(text)) if text.starts_with("https:"))
}

/// Whoever names a tag must not choose whom we talk to.
fn check_url(template: &Template, about: About, at: &JsonPath, report: &mut Report) -> Option<()> {
    let [one, other] = about.samples().map(|name| template.sample(name).ok());
    let remedy = "write one such as \"https://cdn.internal/purge\"";
    let (Some(one), Some(other)) = (one, other) else {
        report.add(at, "is not a URL", remedy);
        return None;
    };
    let good = matches!(one.scheme_str(), Some("http" | "https")) && one.authority().is_some();
    if !good || matches!(template.url.0.first(), Some(TextPart::Literal(text)) if text.contains('#')) {
        report.add(at, "is not an http or https URL", remedy);
        return None;
    }
    if one.scheme() != other.scheme() || one.authority() != other.authority() {
        report.add(at, "its host depends on what is purged", "write the CDN's host before the first placeholder");
        return None;
    }
    if one.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        report.add(at, "has a user or password in it", "write them into \"headers\": \"authorization\"");
        return None;
    }
    Some(())
}

fn method(text: &str, at: &JsonPath, report: &mut Report) -> Option<Method> {
    match text.parse::<Method>() {
        Ok(method) if method != Method::CONNECT && text.bytes().all(|b| !b.is_ascii_lowercase()) => Some(method),
        _ => {
            report.add(
                at,
                format!("{text:?} is not a method to purge with"),
                "write \"POST\", \"PURGE\" or \"DELETE\"",
            );
            None
        }
    }
}

fn headers(
    written: &file::CdnRequest,
    about: About,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Vec<(HeaderName, Text)>> {
    let mut headers = Some(Vec::new());
    for (key, values) in written.headers.iter().flatten() {
        let at = at.key(key);
        let name = header_name(key, &at, report);
        if let Some(HeaderValues::Many(_)) = values {
            report.add(&at, "a field has one value here", "write it as one string");
            headers = None;
        }
        for (value, at) in lines(values.as_ref(), &at) {
            let text = header_value(value, &at, report).and_then(|_| text(value, about, &at, report));
            headers = headers.zip(name.clone().zip(text)).map(|(mut headers, field)| {
                headers.push(field);
                headers
            });
        }
    }
    headers
}

fn json(written: &Value, about: About, at: &JsonPath, report: &mut Report) -> Option<Json> {
    Some(match written {
        Value::String(string) => {
            let text = text(string, about, at, report)?;
            match text.0.as_slice() {
                [TextPart::Many] => Json::Many,
                _ => Json::Text(text),
            }
        }
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(index, item)| json(item, about, &at.index(index), report));
            // All of them, so that all mistakes are told.
            Json::Array(items.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?)
        }
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| Some((key.clone(), json(value, about, &at.key(key), report)?)));
            Json::Object(entries.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?)
        }
        plain => Json::Plain(plain.clone()),
    })
}

/// Takes a text apart; none if it has been reported.
fn text(written: &str, about: About, at: &JsonPath, report: &mut Report) -> Option<Text> {
    let mut parts: Vec<TextPart> = Vec::new();
    let mut literal = String::new();
    let mut rest = written;
    while let Some(start) = rest.find('{') {
        let (before, after) = rest.split_at(start);
        literal.push_str(before);
        let inner = after.get(1..).unwrap_or_default();
        let word = inner.split_once('}').map(|(word, _)| word);
        let Some(word) = word.filter(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase())) else {
            literal.push('{');
            rest = inner;
            continue;
        };
        let known = about.placeholders();
        let Some((_, part)) = known.iter().find(|(name, _)| *name == word) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let remedy = match nearest(word, names.iter().copied()) {
                Some(meant) => format!("did you mean {{{meant}}}?"),
                None => format!("known here: {{{}}}", names.join("}, {")),
            };
            report.add(at, format!("there is no {{{word}}}"), remedy);
            return None;
        };
        if !literal.is_empty() {
            parts.push(TextPart::Literal(std::mem::take(&mut literal).into()));
        }
        parts.push(part.clone());
        rest = inner.get(word.len() + 1..).unwrap_or_default();
    }
    literal.push_str(rest);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(TextPart::Literal(literal.into()));
    }
    Some(Text(parts))
}
