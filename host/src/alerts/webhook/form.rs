//! What webhooks are told, in words that they know.
//!
//! Pure. Slack: <https://api.slack.com/messaging/webhooks>; Alertmanager's API, version 2:
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::{Change, Transition};
use crate::time;

/// How a webhook wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An object with everything that there is to tell.
    Json,
    /// A message for a Slack channel.
    Slack,
    /// What an Alertmanager takes: to be sent to its `/api/v2/alerts`.
    Alertmanager,
}

/// An Alertmanager forgets what it is not told again; what fires is told to it as lasting so long.
const LASTS: Duration = Duration::from_secs(365 * 24 * 3600);

impl Form {
    /// The body that tells of this.
    pub fn body(self, transition: &Transition) -> Bytes {
        let value = match self {
            Self::Json => plain(transition),
            Self::Slack => slack(transition),
            Self::Alertmanager => alertmanager(transition),
        };
        Bytes::from(value.to_string())
    }
}

/// The word for what has become of an alert.
pub(super) fn state(change: Change) -> &'static str {
    match change {
        Change::Fired => "firing",
        Change::Resolved => "resolved",
    }
}

fn plain(transition: &Transition) -> Value {
    let Transition { definition, change, value, fired, at, .. } = transition;
    json!({
        "alert": definition.name.as_str(),
        "state": state(*change),
        "severity": definition.severity.as_str(),
        "summary": transition.told(),
        "value": value,
        "threshold": definition.bound.threshold(),
        "fired_at": time::rfc3339(*fired),
        "at": time::rfc3339(*at),
        "mode": definition.mode.map(crate::modes::Mode::as_str),
    })
}

fn slack(transition: &Transition) -> Value {
    let Transition { definition, change, .. } = transition;
    let sign = match change {
        Change::Fired => ":rotating_light:",
        Change::Resolved => ":white_check_mark:",
    };
    // What Slack reads as markup (<https://api.slack.com/reference/surfaces/formatting#escaping>).
    let told = transition.told().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (name, severity) = (&definition.name, definition.severity.as_str());
    json!({ "text": format!("{sign} *{name}* is {} ({severity}): {told}", state(*change)) })
}

fn alertmanager(transition: &Transition) -> Value {
    let Transition { definition, change, fired, at, .. } = transition;
    let ends = match change {
        Change::Fired => *at + LASTS,
        Change::Resolved => *at,
    };
    json!([{
        "labels": {
            "alertname": definition.name.as_str(),
            "severity": definition.severity.as_str(),
            "job": "portcullis",
        },
        "annotations": { "summary": transition.told() },
        "startsAt": time::rfc3339(*fired),
        "endsAt": time::rfc3339(ends),
    }])
}
