//! The shape of `alerts` and `alert_webhooks`: what is watched for, and who is told.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{HeaderValues, TIMEOUT_MS_MAX};

/// A condition over metrics. It fires once it has held for long enough, and is told then and when it is over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Alert {
    /// Its name, unique.
    #[schemars(required, length(min = 1), extend("examples" = ["upstream-errors"]))]
    pub(in crate::config) name: Option<String>,
    /// The metric, as `/metrics` names it. Series that differ in other labels are added up.
    #[schemars(required, length(min = 1), extend("examples" = ["portcullis_errors_total"]))]
    pub(in crate::config) metric: Option<String>,
    /// The labels that series must have; of several values any.
    #[schemars(extend("examples" = [{"route": "api", "fault": ["upstream", "plugin"]}]))]
    pub(in crate::config) labels: Option<BTreeMap<String, Option<LabelValues>>>,
    /// Of what the metric is a part: the condition is then about the ratio (0 to 1) of their growth within `over_seconds`; of gauges, of their
    /// values.
    pub(in crate::config) of: Option<AlertOf>,
    /// The metric is a histogram, and the condition is about this quantile (0 to 1) of what was counted within `over_seconds`.
    #[schemars(range(min = 0, max = 1), extend("examples" = [0.99]))]
    pub(in crate::config) quantile: Option<f64>,
    /// Which values are bad.
    #[schemars(required)]
    pub(in crate::config) condition: Option<AlertCondition>,
    /// Over how many seconds growth is measured.
    #[schemars(range(min = 1, max = 3600), extend("default" = Alert::OVER_SECONDS))]
    pub(in crate::config) over_seconds: Option<u64>,
    /// For how many seconds the value must be bad until the alert fires.
    #[schemars(range(max = 86_400), extend("default" = 0))]
    pub(in crate::config) for_seconds: Option<u64>,
    /// For how many seconds it does not fire again once it is over.
    #[schemars(range(max = 86_400), extend("default" = Alert::COOLDOWN_SECONDS))]
    pub(in crate::config) cooldown_seconds: Option<u64>,
    /// How much it matters. While one fires that is more than `info`, the gateway counts as degraded.
    #[schemars(extend("default" = "warning"))]
    pub(in crate::config) severity: Option<AlertSeverity>,
    /// What people are told. `{value}` stands for the value.
    #[schemars(length(min = 1), extend("examples" = ["{value} of all requests fail"]))]
    pub(in crate::config) summary: Option<String>,
    /// Who is told: `log`, and names of `alert_webhooks`.
    #[schemars(extend("default" = ["log"], "examples" = [["log", "ops"]], "uniqueItems" = true))]
    pub(in crate::config) notify: Option<Vec<Option<String>>>,
    /// What happens while it fires.
    pub(in crate::config) then: Option<AlertThen>,
}

impl Alert {
    /// Enough requests to say something, few enough minutes to notice.
    pub(in crate::config) const OVER_SECONDS: u64 = 60;
    /// Nobody wants to be told of the same more than once a minute.
    pub(in crate::config) const COOLDOWN_SECONDS: u64 = 60;
}

/// One value or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum LabelValues {
    /// This.
    One(String),
    /// Any of these.
    Many(Vec<Option<String>>),
}

/// Of what a metric is a part.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AlertOf {
    /// The metric of the whole.
    #[schemars(required, length(min = 1), extend("examples" = ["portcullis_requests_total"]))]
    pub(in crate::config) metric: Option<String>,
    /// The labels that its series must have.
    pub(in crate::config) labels: Option<BTreeMap<String, Option<LabelValues>>>,
}

/// Which values are bad: exactly one of these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AlertCondition {
    /// Those above this.
    pub(in crate::config) above: Option<f64>,
    /// Those below this.
    pub(in crate::config) below: Option<f64>,
    /// Growth above this per second.
    pub(in crate::config) rate_above: Option<f64>,
    /// Growth below this per second.
    pub(in crate::config) rate_below: Option<f64>,
    /// That there is no such series.
    pub(in crate::config) absent: Option<bool>,
}

/// How much an alert matters.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum AlertSeverity {
    /// For information.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

/// What happens while an alert fires.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AlertThen {
    /// The gateway is in this mode, unless a person has chosen one.
    pub(in crate::config) mode: Option<AlertMode>,
}

/// A mode that an alert may enter.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum AlertMode {
    /// Stored responses are served although they are stale.
    ServeStale,
    /// No upstream is asked.
    CacheOnly,
    /// Requests that may change something are refused.
    ReadOnly,
    /// Everything is refused.
    Maintenance,
}

/// Somebody who is told of alerts by HTTP. What cannot be told at once waits and is told later.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AlertWebhook {
    /// Where it is. If there is a secret in it, better taken from a variable: `${OPS_WEBHOOK}`.
    #[schemars(required, length(min = 1), extend("examples" = ["https://hooks.example.com/alerts", "${OPS_WEBHOOK}"]))]
    pub(in crate::config) url: Option<String>,
    /// Fields of each request.
    #[schemars(extend("examples" = [{"authorization": "Bearer ${OPS_TOKEN}"}]))]
    pub(in crate::config) headers: Option<BTreeMap<String, Option<HeaderValues>>>,
    /// How it wants to be told.
    #[schemars(extend("default" = "json"))]
    pub(in crate::config) format: Option<AlertFormat>,
    /// Longest time for one request, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = AlertWebhook::TIMEOUT_MS))]
    pub(in crate::config) timeout_ms: Option<u64>,
    /// How often it is told once more what it did not take.
    #[schemars(range(max = 1000), extend("default" = AlertWebhook::RETRIES))]
    pub(in crate::config) retries: Option<u32>,
    /// How long to wait before that, in milliseconds; doubled from try to try, up to a minute.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = AlertWebhook::RETRY_WAIT_MS))]
    pub(in crate::config) retry_wait_ms: Option<u64>,
    /// A file with the certificates (PEM) of those who may vouch for it. Absent: those whom the system trusts.
    #[schemars(length(min = 1))]
    pub(in crate::config) ca: Option<String>,
}

impl AlertWebhook {
    /// Longer than such services take.
    pub(in crate::config) const TIMEOUT_MS: u64 = 5_000;
    /// With the waits between them about ten minutes.
    pub(in crate::config) const RETRIES: u32 = 15;
    /// A slip is over by then.
    pub(in crate::config) const RETRY_WAIT_MS: u64 = 1_000;
}

/// Never shows what may hold a secret.
impl fmt::Debug for AlertWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlertWebhook({:?})", self.format)
    }
}

/// How a webhook wants to be told.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum AlertFormat {
    /// One JSON object per change.
    Json,
    /// A message for a Slack channel.
    Slack,
    /// As Alertmanager takes it at `/api/v2/alerts`.
    Alertmanager,
}
