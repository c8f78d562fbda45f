//! `/api/v1/bans`: who is kept out, by hand or after repeated offences.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use crate::time;
use crate::traffic::bans::{BanError, Banned};

/// Longest ban, in seconds: a year.
const SECONDS_MAX: u64 = 365 * 24 * 60 * 60;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let wanted = json!({
        "type": "object",
        "required": ["address", "seconds"],
        "properties": {
            "address": { "type": "string", "minLength": 2, "maxLength": 64 },
            "seconds": { "type": "integer", "minimum": 1, "maximum": SECONDS_MAX },
            "reason": { "type": "string", "maxLength": 200 },
        },
        "additionalProperties": false,
    });
    vec![
        Endpoint::get("/api/v1/bans", Role::Read, "Who is banned, until when and why").gives(schema(&[])).by(list),
        Endpoint::post("/api/v1/bans", Role::Operate, "Ban an address, in IPv6 with its /64")
            .takes(wanted)
            .gives(schema(&["survives_restart", "note"]))
            .refuses(StatusCode::CONFLICT)
            .by(ban),
        Endpoint::delete("/api/v1/bans/{address}", Role::Operate, "End the ban of an address")
            .gives(schema(&["survives_restart", "note"]))
            .refuses(StatusCode::NOT_FOUND)
            .by(pardon),
    ]
}

async fn list(context: Context) -> Result<Answer, Trouble> {
    Ok(Answer::json(&shown(&context)))
}

async fn ban(context: Context) -> Result<Answer, Trouble> {
    let text = |name: &str| context.json.get(name).and_then(Value::as_str);
    let address = address(text("address").unwrap_or_default())?;
    let seconds = context.json.get("seconds").and_then(Value::as_u64).unwrap_or(1).min(SECONDS_MAX);
    let reason = match text("reason") {
        Some(reason) if !reason.is_empty() => reason.to_owned(),
        _ => format!("by {}", context.caller.name),
    };
    let bans = context.status().bans.clone();
    bans.ban(address, Duration::from_secs(seconds), &reason, time::now()).map_err(|error| {
        let reason = match error {
            BanError::Never => "never_banned",
            BanError::Full => "too_many_bans",
        };
        Trouble::new(StatusCode::CONFLICT, reason, error.to_string())
    })?;
    Ok(changed(&context))
}

async fn pardon(context: Context) -> Result<Answer, Trouble> {
    let address = address(context.parameter("address"))?;
    let bans = context.status().bans.clone();
    if !bans.pardon(address, time::now()) {
        return Err(Trouble::not_found(format!("{address} is not banned")));
    }
    Ok(changed(&context))
}

/// An address, of which IPv6 may be written as its /64.
fn address(text: &str) -> Result<IpAddr, Trouble> {
    let plain = text.strip_suffix("/64").filter(|plain| plain.contains(':')).unwrap_or(text);
    plain.parse().map_err(|_| Trouble::bad_request(format!("{text:?} is not an IP address")))
}

fn changed(context: &Context) -> Answer {
    let mut told = shown(context);
    if let Some(told) = told.as_object_mut() {
        let note = "bans are kept in memory; networks that may not come for good belong into \"addresses\"";
        told.insert("survives_restart".to_owned(), json!(false));
        told.insert("note".to_owned(), json!(note));
    }
    Answer::json(&told)
}

fn shown(context: &Context) -> Value {
    let one = |ban: &Banned| {
        json!({
            "address": ban.address.to_string(),
            "until": time::rfc3339(ban.until),
            "reason": ban.reason,
            "offences": ban.offences,
            "times": ban.times,
        })
    };
    let bans = context.status().bans.clone();
    json!({ "bans": bans.list(time::now()).iter().map(one).collect::<Vec<_>>() })
}

/// The list, with these keys beside it.
fn schema(beside: &[&str]) -> Value {
    let required: Vec<&str> = ["bans"].into_iter().chain(beside.iter().copied()).collect();
    json!({
        "type": "object",
        "required": required,
        "properties": {
            "bans": { "type": "array", "items": {
                "type": "object",
                "required": ["address", "until", "reason", "offences", "times"],
                "properties": {
                    "address": { "type": "string" }, "until": { "type": "string", "format": "date-time" },
                    "reason": { "type": "string" }, "offences": { "type": "integer", "minimum": 0 },
                    "times": { "type": "integer", "minimum": 1 },
                },
            } },
            "survives_restart": { "const": false },
            "note": { "type": "string" },
        },
    })
}
