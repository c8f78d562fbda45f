//! The shape of `tracing`: which requests leave spans, and who is told.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Secret, TIMEOUT_MS_MAX, UpstreamTlsSettings};

/// Distributed traces: requests carry the W3C trace context to upstreams, and a receiver of OpenTelemetry's protocol (OTLP) is sent spans.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Tracing {
    /// Who is sent spans.
    #[schemars(required)]
    pub(in crate::config) otlp: Option<Otlp>,
    /// The name of this gateway in traces (`service.name`).
    #[schemars(length(min = 1), extend("default" = Tracing::SERVICE_NAME))]
    pub(in crate::config) service_name: Option<String>,
    /// What else is told of this gateway: texts, numbers and booleans by OpenTelemetry's names.
    #[schemars(extend("examples" = [{"deployment.environment.name": "production", "service.instance.id": "${HOSTNAME}"}]))]
    pub(in crate::config) resource: Option<BTreeMap<String, Option<Value>>>,
    /// Which traces are kept.
    pub(in crate::config) sample: Option<Sample>,
    /// What becomes of the trace context that clients send: the trace goes on, or a new one begins.
    #[schemars(extend("default" = "trust"))]
    pub(in crate::config) incoming: Option<IncomingTrace>,
    /// Most spans that wait for the receiver. Where there are more, the oldest are lost and counted.
    #[schemars(range(min = 512, max = 10_000_000), extend("default" = Tracing::QUEUE_MAX))]
    pub(in crate::config) queue_max: Option<u64>,
}

impl Tracing {
    /// As whom traces know us.
    pub(in crate::config) const SERVICE_NAME: &str = "portcullis";
    /// Some ten megabytes.
    pub(in crate::config) const QUEUE_MAX: u64 = 16_384;
}

/// What becomes of the trace context that clients send.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum IncomingTrace {
    /// The trace goes on.
    Trust,
    /// A new trace begins.
    Ignore,
}

/// A receiver of OTLP, such as an OpenTelemetry collector.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Otlp {
    /// Its URL. With `http`, `/v1/traces` is added to the path.
    #[schemars(required, length(min = 1), extend("examples" = ["http://127.0.0.1:4318", "https://otel.example.com:4317"]))]
    pub(in crate::config) endpoint: Option<String>,
    /// How it is spoken to.
    #[schemars(extend("default" = "http"))]
    pub(in crate::config) protocol: Option<OtlpProtocol>,
    /// What is sent with every request. Secrets are better taken from a variable: `${OTLP_TOKEN}`.
    #[schemars(extend("examples" = [{"authorization": "Bearer ${OTLP_TOKEN}"}]))]
    pub(in crate::config) headers: Option<BTreeMap<String, Option<Secret>>>,
    /// Longest time for one request, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Otlp::TIMEOUT_MS))]
    pub(in crate::config) timeout_ms: Option<u64>,
    /// How requests are encoded.
    #[schemars(extend("default" = "none"))]
    pub(in crate::config) compression: Option<OtlpCompression>,
    /// How TLS is spoken where the URL begins with `https://`. Absent: with its defaults.
    pub(in crate::config) tls: Option<Box<UpstreamTlsSettings>>,
}

impl Otlp {
    /// As the specification has it.
    pub(in crate::config) const TIMEOUT_MS: u64 = 10_000;
}

/// How a receiver is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum OtlpProtocol {
    /// HTTP/1.1 with protobuf; receivers listen on port 4318.
    Http,
    /// gRPC; receivers listen on port 4317.
    Grpc,
}

/// How requests are encoded.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum OtlpCompression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
}

/// Which traces are kept. What is not kept still has a trace id, which goes to upstreams and into logs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Sample {
    /// How many of all, from 0 to 1. The trace id decides, so that services with the same ratio keep the same.
    #[schemars(range(min = 0, max = 1), extend("default" = Sample::RATIO))]
    pub(in crate::config) ratio: Option<f64>,
    /// The same for single routes, by name.
    #[schemars(extend("additionalProperties" = {"type": "number", "minimum": 0, "maximum": 1}, "examples" = [{"health": 0, "checkout": 1}]))]
    pub(in crate::config) routes: Option<BTreeMap<String, Option<f64>>>,
    /// Whether the sampled flag of a trace context that a client sends decides instead.
    #[schemars(extend("default" = "follow"))]
    pub(in crate::config) parent: Option<SampleParent>,
    /// Keep exchanges that fail or are answered with 500 and above, whatever else says.
    #[schemars(extend("default" = true))]
    pub(in crate::config) errors: Option<bool>,
    /// Keep exchanges that take longer, in milliseconds, whatever else says. Absent: no such limit.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX))]
    pub(in crate::config) slower_than_ms: Option<u64>,
}

impl Sample {
    /// Enough to see what is usual, little enough to pay for.
    pub(in crate::config) const RATIO: f64 = 0.1;
}

/// Whether clients decide which traces are kept.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum SampleParent {
    /// They do, where they say anything.
    Follow,
    /// The ratio decides.
    Ignore,
}
