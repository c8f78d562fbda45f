//! Reads which upstream a route asks, and how.

use std::sync::Arc;

use http::HeaderName;

use super::super::file::{self, File};
use super::super::problem::Report;
use super::template::{self, Parameters};
use super::{dangling, matches, pattern};
use crate::pipeline::{Handler, Mirror, Proxy, Rewrite, Share, SplitBy};
use crate::plugin::schema::JsonPath;
use crate::router::{Segment, Tail};

/// Compiles `proxy`.
pub(super) fn compile(
    written: &file::Proxy,
    parameters: Option<&Parameters>,
    file: &File,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Handler> {
    let mut shares = Vec::new();
    if let Some(name) = &written.upstream {
        let found = upstream(name, file, &at.key("upstream"), report);
        shares.extend(found.map(|upstream| Share { upstream, weight: 1 }));
    }
    let split_at = at.key("split");
    for (index, share) in written.split.iter().flatten().enumerate() {
        let Some(file::SplitShare { upstream: Some(name), weight: Some(weight) }) = share else { continue };
        let found = upstream(name, file, &split_at.index(index).key("upstream"), report);
        shares.extend(found.map(|upstream| Share { upstream, weight: *weight }));
    }
    if written.split.is_some() && !shares.is_empty() && shares.iter().all(|share| share.weight == 0) {
        report.add(&split_at, "gives nobody a share", "give one of them a weight above 0");
    }
    let by = written.split_by.as_ref().and_then(|by| split_by(by, &at.key("split_by"), report));
    if written.split_by.is_some() && written.split.is_none() {
        report.add(&at.key("split_by"), "has nothing to split", "add \"split\", or remove it");
    }
    let upgrades = upgrades(written, at, report);
    let rewrite = written.rewrite.as_ref().and_then(|written| rewrite(written, parameters, &at.key("rewrite"), report));
    let host = written.host.as_ref().and_then(|text| {
        let sound = text.parse::<http::uri::Authority>().is_ok_and(|authority| !authority.as_str().contains('@'));
        if !sound {
            report.add(&at.key("host"), format!("{text:?} is not a host"), "write one such as \"app.internal\"");
        }
        sound.then(|| Arc::from(text.as_str()))
    });
    let mirror = written.mirror.as_ref().and_then(|mirror| {
        let upstream = upstream(mirror.upstream.as_deref()?, file, &at.key("mirror").key("upstream"), report)?;
        let percent = mirror.percent.unwrap_or(file::Mirror::PERCENT);
        let body_bytes_max = mirror.body_bytes_max.unwrap_or(file::Mirror::BODY_BYTES_MAX);
        Some(Mirror { upstream, percent, body_bytes_max })
    });
    (!shares.is_empty()).then_some(Handler::Proxy(Proxy { shares, by, upgrades, rewrite, host, mirror }))
}

/// The position of an upstream.
fn upstream(name: &str, file: &File, at: &JsonPath, report: &mut Report) -> Option<usize> {
    let known = || file.upstreams.iter().flatten().map(|(name, _)| name.as_str());
    let index = known().position(|known| known == name);
    if index.is_none() && !report.is_gone(&JsonPath::root().key("upstreams")) {
        dangling("upstream", name, known(), "add it to \"upstreams\"", at, report);
    }
    index
}

fn split_by(written: &file::SplitBy, at: &JsonPath, report: &mut Report) -> Option<SplitBy> {
    match written {
        file::SplitBy::Client => Some(SplitBy::Client),
        file::SplitBy::Cookie(name) => Some(SplitBy::Cookie(name.clone())),
        file::SplitBy::Header(name) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Some(SplitBy::Header(name)),
            Err(_) => {
                let remedy = "use letters, digits and - (RFC 9110 section 5.1)";
                report.add(&at.key("header"), format!("{name:?} is not a header name"), remedy);
                None
            }
        },
    }
}

fn upgrades(written: &file::Proxy, at: &JsonPath, report: &mut Report) -> Vec<Box<str>> {
    let mut upgrades = Vec::new();
    for (index, protocol) in written.upgrades.iter().flatten().enumerate() {
        let Some(protocol) = protocol else { continue };
        let (at, lower) = (at.key("upgrades").index(index), protocol.to_ascii_lowercase());
        if ["h2c", "h2"].contains(&lower.as_str()) || lower.starts_with("http/") || lower.starts_with("tls/") {
            report.add(&at, format!("{protocol:?} is spoken by the gateway itself"), "remove it");
        } else if HeaderName::from_bytes(lower.as_bytes()).is_err() {
            report.add(&at, format!("{protocol:?} is not the name of a protocol"), "write one such as \"websocket\"");
        } else {
            upgrades.push(lower.into());
        }
    }
    if written.upgrades.is_none() {
        upgrades.push("websocket".into());
    }
    upgrades
}

fn rewrite(
    written: &file::Rewrite,
    parameters: Option<&Parameters>,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Rewrite> {
    if let Some(text) = &written.path {
        let at = at.key("path");
        if !text.starts_with('/') {
            report.add(&at, format!("{text:?} does not start with \"/\""), format!("write \"/{text}\""));
        }
        return template::target(text, parameters, &at, report).map(Rewrite::Path);
    }
    if let (Some(regex), Some(to)) = (&written.regex, &written.to) {
        let expression = matches::expression(regex, &at.key("regex"), report)?;
        let to = template::replacement(to, &expression, &at.key("to"), report)?;
        return Some(Rewrite::Regex { expression, to });
    }
    let strip = match &written.strip_prefix {
        None => None,
        Some(text) => {
            let at = at.key("strip_prefix");
            let bare = text.strip_suffix("/*").or_else(|| text.strip_suffix('/')).unwrap_or(text);
            let mut prefix = pattern::path(if bare.is_empty() { "/*" } else { bare }, &at, report)?;
            if prefix.segments.iter().any(|segment| matches!(segment, Segment::Parameter(_))) {
                let remedy = "write the text itself, or use \"path\": \"/{rest}\"";
                report.add(&at, "has a parameter, which means nothing here", remedy);
            }
            prefix.tail = Tail::Anything;
            Some(prefix)
        }
    };
    let add = written.add_prefix.as_deref().unwrap_or_default();
    let add_at = at.key("add_prefix");
    if !add.is_empty() && !add.starts_with('/') {
        report.add(&add_at, format!("{add:?} does not start with \"/\""), format!("write \"/{add}\""));
    } else if add.bytes().any(|b| !b.is_ascii_graphic()) || add.contains(['?', '#']) {
        report.add(
            &add_at,
            format!("{add:?} is not a path"),
            "percent-encode what is not a letter, digit or one of -._~/",
        );
    }
    Some(Rewrite::Prefix { strip, add: add.trim_end_matches('/').to_owned() })
}
