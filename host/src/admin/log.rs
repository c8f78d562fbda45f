//! `GET` and `PUT /api/v1/log`: which lines the log takes, changed while the gateway runs.
//!
//! A change lasts until the next one, or until `log.filter` changes in the configuration.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::{Problem, Trouble};
use crate::config::log_filter;
use crate::telemetry::LogLevels;

const NOTE: &str = "write log.filter into the configuration to keep it";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/v1/log", Role::Read, "Which lines the log takes").gives(given()).by(present),
        Endpoint::put("/api/v1/log", Role::Operate, "Let the log take other lines from now on")
            .takes(taken())
            .gives(given())
            .refuses(StatusCode::UNPROCESSABLE_ENTITY)
            .by(change),
    ]
}

async fn present(_: Context) -> Result<Answer, Trouble> {
    Ok(answer(&levels()?))
}

async fn change(context: Context) -> Result<Answer, Trouble> {
    let levels = levels()?;
    let filter = context.json.get("filter").and_then(Value::as_str).unwrap_or_default();
    let refused = |what, remedy| Trouble::unprocessable(vec![Problem::new("filter", what, remedy)]);
    log_filter(filter).map_err(|(what, remedy): (String, String)| refused(what, remedy))?;
    levels.set_filter(filter).map_err(|error| refused(error, "write one such as \"info\"".to_owned()))?;
    tracing::info!(filter, "log filter takes over");
    Ok(answer(&levels))
}

/// The log is there before the gateway is, but in tests.
fn levels() -> Result<LogLevels, Trouble> {
    LogLevels::of_process().ok_or_else(|| Trouble::unavailable("no_log", "this process has no log"))
}

fn answer(levels: &LogLevels) -> Answer {
    Answer::json(&json!({ "filter": levels.filter(), "survives_restart": false, "note": NOTE }))
}

fn taken() -> Value {
    json!({
        "type": "object",
        "required": ["filter"],
        "additionalProperties": false,
        "properties": { "filter": { "type": "string", "minLength": 1, "examples": ["info", "warn,portcullis::plugin=debug"] } },
    })
}

fn given() -> Value {
    json!({
        "type": "object",
        "required": ["filter", "survives_restart", "note"],
        "properties": {
            "filter": { "type": "string" },
            "survives_restart": { "const": false },
            "note": { "type": "string" },
        },
    })
}
