//! How operators, and whoever runs the process, hear how the gateway is: `/livez`, `/readyz`, `/startupz`, the tree, and the mode.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};

use super::{Shared, body, text};
use crate::condition::{Monitor, Part, Status};
use crate::http::Body;
use crate::modes::{Mode, Word, switch};
use crate::telemetry::metrics::{Exposition, Kind};
use crate::time;

/// Longest body of a request.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Whether a path is answered here.
pub(super) fn is_ours(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/startupz" | "/api/v1/health" | "/api/v1/mode")
}

/// Answers.
pub(super) async fn answer(status: &Shared, request: http::Request<Body>) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/api/v1/mode" && *request.method() == Method::PUT {
        let read = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
        let Ok(read) = read else { return text(StatusCode::BAD_REQUEST, "the body cannot be read\n") };
        return match choose(&read.to_bytes(), "admin") {
            Ok(told) => json_body(&told),
            Err(why) => with_status(StatusCode::UNPROCESSABLE_ENTITY, body("text/plain", format!("{why}\n"))),
        };
    }
    let verbose = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "verbose"));
    match path.as_str() {
        "/livez" => livez(status),
        "/startupz" => startupz(status),
        "/readyz" => readyz(status, if verbose { Detail::Parts } else { Detail::Line }),
        "/api/v1/health" => json_body(&health(status)),
        _ => json_body(&mode()),
    }
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// One line.
    Line,
    /// One line, and one for each part.
    Parts,
}

fn monitor(status: &Shared) -> Option<Arc<Monitor>> {
    status.lock().unwrap_or_else(PoisonError::into_inner).monitor.clone()
}

fn examine(status: &Shared) -> Option<(Part, Word)> {
    let status = status.lock().unwrap_or_else(PoisonError::into_inner);
    status.monitor.as_ref().map(|monitor| monitor.examine(&status))
}

/// 200 while this process answers and no worker is stuck, otherwise 503.
pub(super) fn livez(status: &Shared) -> http::Response<Body> {
    match monitor(status).is_none_or(|monitor| monitor.is_alive(time::now())) {
        true => text(StatusCode::OK, "alive\n"),
        false => text(StatusCode::SERVICE_UNAVAILABLE, "stuck: a worker does nothing, see /api/v1/health\n"),
    }
}

/// 200 once a generation has served, before that 503.
pub(super) fn startupz(status: &Shared) -> http::Response<Body> {
    match status.lock().unwrap_or_else(PoisonError::into_inner).adopted > 0 {
        true => text(StatusCode::OK, "started\n"),
        false => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
    }
}

/// 200 when clients should be sent here, otherwise 503.
pub(super) fn readyz(status: &Shared, detail: Detail) -> http::Response<Body> {
    let Some((whole, word)) = examine(status) else { return text(StatusCode::SERVICE_UNAVAILABLE, "starting\n") };
    let mut line = word.as_str().to_owned();
    let tells = matches!(word, Word::Degraded | Word::Unhealthy | Word::Maintenance);
    if tells && !whole.reasons.is_empty() {
        line.push_str(": ");
        line.push_str(&whole.reasons.join("; "));
    }
    line.push('\n');
    if detail == Detail::Parts {
        line.push_str(&whole.lines());
    }
    let code = if word.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    with_status(code, body("text/plain; charset=utf-8", line))
}

/// The tree.
pub(super) fn health(status: &Shared) -> Value {
    match examine(status) {
        Some((whole, _)) => whole.json(),
        None => Part::judged("gateway", Status::Unhealthy, vec!["is starting".to_owned()]).json(),
    }
}

/// The mode, as `{"mode","since","by","survives_restart"}`; `since` is Unix time in seconds, null since the start.
pub(super) fn mode() -> Value {
    let standing = switch().standing();
    json!({
        "mode": standing.mode.as_str(),
        "since": (!standing.since.is_zero()).then(|| rfc3339(standing.since)),
        "by": standing.by.to_string(),
        "survives_restart": false,
        "note": "the mode is the process's: it starts in normal",
    })
}

/// Chooses the mode that a body `{"mode"}` names, on behalf of somebody.
pub(super) fn choose(body: &[u8], by: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let object = value.as_object().ok_or("the body must be an object such as {\"mode\": \"read_only\"}")?;
    if let Some(stray) = object.keys().find(|key| *key != "mode") {
        return Err(format!("$.{stray}: is not known here; write only \"mode\""));
    }
    let mode = object.get("mode").and_then(Value::as_str).ok_or("$.mode: missing; write the name of a mode")?;
    let mode: Mode = mode.parse().map_err(|error| format!("$.mode: {mode:?} {error}"))?;
    switch().choose(mode, by, time::unix());
    Ok(self::mode())
}

/// The metrics of what is told here.
pub(super) fn expose(out: &mut Exposition) {
    let name = "portcullis_mode";
    out.family(name, "Whether the gateway is in a mode.", Kind::Gauge);
    let present = switch().mode();
    for mode in Mode::ALL {
        out.count(name, &[("mode", mode.as_str())], u64::from(mode == present));
    }
}

/// A Unix time as RFC 3339 writes it, in UTC.
fn rfc3339(unix: Duration) -> String {
    let seconds = unix.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, by which leap days come last: the civil calendar in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn json_body(value: &Value) -> http::Response<Body> {
    body("application/json", format!("{value:#}\n"))
}

fn with_status(status: StatusCode, mut response: http::Response<Body>) -> http::Response<Body> {
    *response.status_mut() = status;
    response
}
