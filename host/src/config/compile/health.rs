//! Checks how endpoints are asked whether they are well.

use std::sync::Arc;

use http::Method;
use http::uri::PathAndQuery;
use regex::Regex;

use super::super::file;
use super::super::problem::Report;
use super::millis;
use crate::plugin::schema::JsonPath;
use crate::upstream::{Check, Expected, Initially};

/// Compiles `health`.
pub(super) fn compile(written: &file::Health, at: &JsonPath, report: &mut Report) -> Check {
    let count = |written: Option<u64>, default| written.map_or(default, |n| u32::try_from(n).unwrap_or(u32::MAX));
    let statuses = match &written.status {
        None => vec![200..=299],
        Some(list) => list.iter().flatten().map(|status| *status..=*status).collect(),
    };
    let (interval, timeout) = (
        millis(written.interval_ms, file::Health::INTERVAL_MS),
        millis(written.timeout_ms, file::Health::TIMEOUT_MS.min(written.interval_ms.unwrap_or(u64::MAX))),
    );
    if timeout > interval && !report.is_gone(&at.key("interval_ms")) {
        let what = format!("{} is longer than the time between two checks", timeout.as_millis());
        report.add(&at.key("timeout_ms"), what, format!("write {} or less", interval.as_millis()));
    }
    Check {
        method: method(written, at, report),
        target: target(written, at, report),
        host: host(written, at, report),
        statuses,
        body: body(written, at, report),
        interval,
        timeout,
        healthy_after: count(written.healthy_after, file::Health::HEALTHY_AFTER),
        unhealthy_after: count(written.unhealthy_after, file::Health::UNHEALTHY_AFTER),
        initially: match written.initially {
            None | Some(file::Initially::Healthy) => Initially::Healthy,
            Some(file::Initially::Unhealthy) => Initially::Unhealthy,
        },
    }
}

fn method(written: &file::Health, at: &JsonPath, report: &mut Report) -> Method {
    let text = written.method.as_deref().unwrap_or("GET");
    match text.parse::<Method>() {
        // With anything else there is no plain answer to a request without a body.
        Ok(method) if method != Method::CONNECT => {
            if method == Method::HEAD && (written.body.is_some() || written.body_pattern.is_some()) {
                report.add(&at.key("method"), "the answer to HEAD has no body", "write \"GET\"");
            }
            method
        }
        _ => {
            let remedy = "write \"GET\", \"HEAD\", \"OPTIONS\" or \"POST\"";
            report.add(&at.key("method"), format!("{text:?} is not a method to check with"), remedy);
            Method::GET
        }
    }
}

fn target(written: &file::Health, at: &JsonPath, report: &mut Report) -> PathAndQuery {
    let text = written.path.as_deref().unwrap_or(file::Health::PATH);
    match text.parse::<PathAndQuery>() {
        Ok(target) if text.starts_with('/') => target,
        _ => {
            report.add(&at.key("path"), format!("{text:?} is not a path"), "write one such as \"/healthz\"");
            PathAndQuery::from_static("/")
        }
    }
}

fn host(written: &file::Health, at: &JsonPath, report: &mut Report) -> Option<Arc<str>> {
    let text = written.host.as_deref()?;
    if text.parse::<http::uri::Authority>().is_err() || text.contains('@') {
        report.add(&at.key("host"), format!("{text:?} is not a host"), "write one such as \"app.internal\"");
    }
    Some(Arc::from(text))
}

fn body(written: &file::Health, at: &JsonPath, report: &mut Report) -> Option<Expected> {
    if written.body.is_some() && written.body_pattern.is_some() {
        report.add(&at.key("body_pattern"), "there is \"body\", too", "write one of them");
    }
    if let Some(text) = &written.body {
        return Some(Expected::Text(text.clone()));
    }
    let pattern = written.body_pattern.as_deref()?;
    match Regex::new(pattern) {
        Ok(pattern) => Some(Expected::Pattern(pattern)),
        Err(error) => {
            // The last line says what; those before show where.
            let what = error.to_string();
            let what = what.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let what = format!("{pattern:?} is not a regular expression: {what}");
            report.add(&at.key("body_pattern"), what, "write one such as \"^ok\"");
            None
        }
    }
}
