//! The configuration as written: the shape of the JSON file, and nothing else.
//!
//! Every field is an `Option`, required ones too: what is missing or wrong has been reported against the schema before a
//! value gets this far and stands here as `None`, so that the rest of the file can still be checked. Doc comments
//! are the descriptions in `config/portcullis.schema.json`; defaults are named here and applied in `compile`.

mod access_log;
mod acme;
mod admin;
mod alerts;
mod balance;
mod cache;
mod cdn;
mod compression;
mod condition;
mod edits;
mod files;
mod forwarding;
mod guards;
mod health;
mod http2;
mod listener_tls;
mod matches;
mod plugins;
mod protection;
mod proxy;
mod redis;
mod route_cache;
mod routes;
mod schema;
mod tracing;
mod warm;
mod wire;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::traffic;

pub(super) use access_log::{
    AccessLog, AccessLogFile, AccessLogFormat, AccessLogOnly, AccessLogOptions, AccessLogTarget,
};
pub(super) use acme::{Acme, AcmeChallenge};
pub(super) use admin::{Admin, AdminRole, AdminSocket};
pub(super) use alerts::{Alert, AlertCondition, AlertFormat, AlertMode, AlertSeverity, AlertWebhook, LabelValues};
pub(super) use balance::{Balance, Endpoint, Hash, HashBy, SameSite, Sticky};
pub(super) use cache::{Cache, CacheEncryption, CacheShared};
pub(super) use cdn::{Cdn, CdnForm, CdnRequest};
pub(super) use compression::{Compression, RouteCompression};
pub(super) use condition::{Maintenance, Modes, PublicHealth};
pub(super) use edits::HeaderEdits;
pub(super) use files::{Files, FilesCoding};
pub(super) use forwarding::{Forwarding, ForwardingFields, IncomingForwarding};
pub(super) use guards::{Breaker, Retries};
pub(super) use health::{Health, Initially};
pub(super) use http2::{Allowance, Http2};
pub(super) use listener_tls::{ListenerTls, TlsClientMode, TlsVersion, UnknownHost};
pub(super) use matches::{Match, MatchScheme, ValueTest};
pub(super) use plugins::{Chain, FailurePolicy, InstanceMode, Limits, Plugins, Unlisted};
pub(super) use protection::{
    AddressVerdict, Addresses, Bans, Concurrency, ConcurrencyAlgorithm, NetworkSource, Refuse,
};
pub(super) use proxy::{Mirror, Proxy, Rewrite, SplitBy, SplitShare};
pub(super) use redis::{Redis, Secret};
pub(super) use route_cache::{RouteCache, RouteCacheSettings};
pub(super) use routes::{HeaderValues, Redirect, Respond, Route, RouteOverride, RoutePlugin};
pub(super) use schema::strict_schema;
pub use schema::{plugin_limits_schema, schema};
pub(super) use tracing::{IncomingTrace, Otlp, OtlpCompression, OtlpProtocol, Sample, SampleParent, Tracing};
pub(super) use warm::CacheWarm;
pub(super) use wire::{UpstreamProtocol, UpstreamProxyProtocol, UpstreamTls, UpstreamTlsSettings};

/// Longest timeout, in milliseconds: a day. What is longer was meant in another unit.
pub(super) const TIMEOUT_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Default of `drain_timeout_ms`: what container platforms wait before they kill.
pub(super) const DRAIN_TIMEOUT_MS: u64 = 30_000;

/// Default of `log.filter`.
pub(super) const LOG_FILTER: &str = "info";

/// The configuration of a Portcullis gateway.
///
/// In every string, `${NAME}` is replaced by an environment variable, `${NAME:-default}` by the variable or the default, and `$${` stands for `${`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Where the schema of this file is, for editors.
    #[serde(rename = "$schema")]
    #[schemars(extend("examples" = ["./portcullis.schema.json"]))]
    pub(super) _schema: Option<String>,
    /// Worker threads, each with its own event loop. 0: one per core.
    #[schemars(range(max = 1024), extend("default" = 0))]
    pub(super) workers: Option<u64>,
    /// The addresses on which clients connect.
    #[schemars(required, length(min = 1), extend("examples" = [[{"address": "127.0.0.1:8080"}]]))]
    pub(super) listeners: Option<Vec<Option<Listener>>>,
    /// Where operators connect: health, metrics, state and changes. Absent: nowhere.
    pub(super) admin: Option<Admin>,
    /// Certificates that are obtained and renewed automatically (ACME). Absent: none.
    pub(super) acme: Option<Acme>,
    /// After SIGTERM, how long requests under way may go on, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = DRAIN_TIMEOUT_MS))]
    pub(super) drain_timeout_ms: Option<u64>,
    /// What is logged.
    pub(super) log: Option<Log>,
    /// A line for every exchange. Absent: none.
    #[schemars(extend("default" = false))]
    pub(super) access_log: Option<AccessLog>,
    /// Distributed traces. Absent: none, and the trace context of clients passes by untouched.
    pub(super) tracing: Option<Tracing>,
    /// How upstreams are told who the client is.
    pub(super) forwarding: Option<Forwarding>,
    /// Encode responses. Absent: only where a route says so.
    pub(super) compression: Option<Compression>,
    /// The memory cache.
    pub(super) cache: Option<Cache>,
    /// CDNs in front of us that are told what is purged here.
    pub(super) cdn: Option<Vec<Option<Cdn>>>,
    /// A Redis that instances share. Absent: none.
    pub(super) redis: Option<Redis>,
    /// The plugins and their order.
    pub(super) plugins: Option<Plugins>,
    /// The upstreams, by name.
    pub(super) upstreams: Option<BTreeMap<String, Option<Upstream>>>,
    /// How the health of the gateway is told to clients. Operators always hear of it where `admin` listens.
    pub(super) health: Option<PublicHealth>,
    /// What the modes of degradation do; they are entered by hand or by alerts.
    pub(super) modes: Option<Modes>,
    /// What is watched for, besides what always is.
    pub(super) alerts: Option<Vec<Option<Alert>>>,
    /// Who can be told of alerts by HTTP, by name.
    pub(super) alert_webhooks: Option<BTreeMap<String, Option<AlertWebhook>>>,
    /// What is taken on before new requests are refused with 503.
    pub(super) overload: Option<Overload>,
    /// Who may come, by address. Absent: everybody.
    pub(super) addresses: Option<Addresses>,
    /// Keep clients out after repeated offences. Absent: no.
    pub(super) bans: Option<Bans>,
    /// The routes. The most specific match wins; their order matters only where nothing else tells them apart.
    #[schemars(required, length(min = 1))]
    #[schemars(extend("examples" = [[{"name": "hello", "respond": {"body": "Hello"}}]]))]
    pub(super) routes: Option<Vec<Option<Route>>>,
}

/// An address on which clients connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    /// IP address and port.
    #[schemars(required, extend("examples" = ["127.0.0.1:8080", "0.0.0.0:80", "[::]:80"]))]
    pub(super) address: Option<String>,
    /// Longest time for a request head to arrive, however its bytes come, in milliseconds. Over it the answer is 408.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Listener::HEAD_TIMEOUT_MS))]
    pub(super) head_timeout_ms: Option<u64>,
    /// Longest request head, in bytes. Over it the answer is 431.
    #[schemars(range(min = 8192, max = 16_777_216), extend("default" = Listener::HEAD_BYTES_MAX))]
    pub(super) head_bytes_max: Option<u64>,
    /// Most header fields in a request. Over it the answer is 431.
    #[schemars(range(min = 1, max = 10_000), extend("default" = Listener::HEADERS_MAX))]
    pub(super) headers_max: Option<u64>,
    /// Longest time that a connection is kept while nothing is asked, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Listener::IDLE_TIMEOUT_MS))]
    pub(super) idle_timeout_ms: Option<u64>,
    /// Longest time between two pieces of a request body, in milliseconds. Over it the answer is 408.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Listener::BODY_TIMEOUT_MS))]
    pub(super) body_timeout_ms: Option<u64>,
    /// Slowest request body, in bytes per second over ten seconds and longer. Below it the answer is 408.
    #[schemars(range(max = 1_u64 << 40), extend("default" = Listener::BODY_RATE_MIN))]
    pub(super) body_rate_min: Option<u64>,
    /// Longest time that a client may leave a response unread, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Listener::WRITE_TIMEOUT_MS))]
    pub(super) write_timeout_ms: Option<u64>,
    /// Longest request target, in bytes. Over it the answer is 414.
    #[schemars(range(min = 64, max = 16_777_216), extend("default" = Listener::TARGET_BYTES_MAX))]
    pub(super) target_bytes_max: Option<u64>,
    /// Most requests on one connection. Absent: any number.
    #[schemars(range(min = 1, max = 1_u64 << 50))]
    pub(super) requests_max: Option<u64>,
    /// Most connections per worker. Further ones wait.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = Listener::CONNECTIONS_MAX))]
    pub(super) connections_max: Option<u64>,
    /// Most connections of one client address (of one /64 network in IPv6), over all workers. Further ones are closed at once. Absent: any
    /// number.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) connections_per_address_max: Option<u64>,
    /// Who says by the PROXY protocol (version 1 or 2) for whom it connects.
    pub(super) proxy_protocol: Option<ProxyProtocol>,
    /// Speak TLS.
    pub(super) tls: Option<ListenerTls>,
    /// How HTTP/2 is spoken.
    pub(super) http2: Option<Http2>,
    /// Send clients to the same site by TLS instead of serving them; only the validations of `acme` are answered.
    #[schemars(extend("default" = false))]
    pub(super) redirect_https: Option<RedirectHttps>,
}

/// A redirect to the same site by TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RedirectHttps {
    /// On or off.
    Switch(bool),
    /// On, with changes.
    Options(RedirectHttpsOptions),
}

/// How clients are sent to the same site by TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedirectHttpsOptions {
    /// 301 and 308 are permanent; 307 and 308 keep the method.
    #[schemars(extend("enum" = [301, 302, 303, 307, 308], "default" = 308))]
    pub(super) status: Option<u16>,
    /// The port.
    #[schemars(range(min = 1, max = 65535), extend("default" = 443))]
    pub(super) port: Option<u16>,
}

/// Load balancers in front of us that send the PROXY protocol.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyProtocol {
    /// Their networks. Each of their connections must begin with a header; nobody else's may.
    #[schemars(required, length(min = 1), extend("examples" = [["10.0.0.0/8", "2001:db8::/32"], ["192.0.2.1"]]))]
    pub(super) from: Option<Vec<Option<String>>>,
}

impl Listener {
    /// A head fits into a packet or two; who takes longer is not sending it.
    pub(super) const HEAD_TIMEOUT_MS: u64 = 10_000;
    /// As long as nginx keeps an idle connection.
    pub(super) const IDLE_TIMEOUT_MS: u64 = 75_000;
    /// Long for any line, short for somebody who wants to hold a connection.
    pub(super) const BODY_TIMEOUT_MS: u64 = 15_000;
    /// Slower than any line that still is one.
    pub(super) const BODY_RATE_MIN: u64 = 100;
    /// As in nginx.
    pub(super) const WRITE_TIMEOUT_MS: u64 = 60_000;
    /// As in Apache and nginx.
    pub(super) const TARGET_BYTES_MAX: u64 = 8 * 1024;
    /// Room for large cookies.
    pub(super) const HEAD_BYTES_MAX: u64 = 64 * 1024;
    /// As in Apache and HAProxy.
    pub(super) const HEADERS_MAX: u64 = 100;
    /// Below the usual limit of 65 536 descriptors on four workers.
    pub(super) const CONNECTIONS_MAX: u64 = 16_000;
}

/// What is logged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// Levels: `error`, `warn`, `info`, `debug`, `trace` or `off`, also per module.
    #[schemars(length(min = 1), extend("default" = LOG_FILTER, "examples" = ["info", "warn,portcullis::plugin=debug"]))]
    pub(super) filter: Option<String>,
    /// How lines look.
    #[schemars(extend("default" = "text"))]
    pub(super) format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What is taken on before new requests are refused with 503 and `Retry-After`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Overload {
    /// Most exchanges per worker whose response has not begun.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = traffic::Settings::default().exchanges_max))]
    pub(super) exchanges_max: Option<u64>,
    /// Most resident memory of the process, in bytes. Absent: three quarters of what the machine or control group has.
    #[schemars(range(min = 33_554_432, max = 1_u64 << 50))]
    pub(super) memory_bytes_max: Option<u64>,
}

/// A group of servers that answer the same requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Upstream {
    /// Host and port of each server, `https://` before them for TLS, or `unix:` and the path of its socket; or an object with `address`, `weight` and `drain`.
    #[schemars(required, length(min = 1), extend("examples" = [["127.0.0.1:9000"], ["app-1.internal:8080", {"address": "[::1]:9000", "weight": 5}], ["unix:/run/app.sock"]]))]
    pub(super) endpoints: Option<Vec<Option<Endpoint>>>,
    /// Whether and how TLS is spoken. Absent: where the endpoints are written with `https://`, with its defaults.
    pub(super) tls: Option<UpstreamTls>,
    /// The version of HTTP. `http2` is agreed on in TLS and spoken in cleartext with prior knowledge; `auto` leaves the choice in TLS
    /// to the upstream.
    #[schemars(extend("default" = "http1"))]
    pub(super) protocol: Option<UpstreamProtocol>,
    /// Begin each connection with a header that names the client; such a connection is for that client only.
    pub(super) proxy_protocol: Option<UpstreamProxyProtocol>,
    /// How one of them is chosen for a request.
    #[schemars(extend("default" = "round_robin"))]
    pub(super) balance: Option<Balance>,
    /// Which requests are alike, for `"balance": "hash"`.
    pub(super) hash: Option<Hash>,
    /// A cookie by which a client stays with its endpoint. Absent: none.
    pub(super) sticky: Option<Sticky>,
    /// How long the weight of an endpoint grows that is new or has recovered, in milliseconds. 0: it has all of it at once.
    #[schemars(range(max = TIMEOUT_MS_MAX), extend("default" = 0))]
    pub(super) slow_start_ms: Option<u64>,
    /// Longest time for a connection to be established, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Upstream::CONNECT_TIMEOUT_MS))]
    pub(super) connect_timeout_ms: Option<u64>,
    /// Longest time from sending the request until the response head is complete, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Upstream::RESPONSE_TIMEOUT_MS))]
    pub(super) response_timeout_ms: Option<u64>,
    /// Longest time between two pieces of a response body, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Upstream::IDLE_TIMEOUT_MS))]
    pub(super) idle_timeout_ms: Option<u64>,
    /// Longest time from a request coming until its response is complete, all retries and waits included, in milliseconds. Absent: no
    /// limit.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX))]
    pub(super) total_timeout_ms: Option<u64>,
    /// Longest time for which neither side of a tunnel, such as a WebSocket, says anything, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Upstream::TUNNEL_TIMEOUT_MS))]
    pub(super) tunnel_timeout_ms: Option<u64>,
    /// Requests that an endpoint must fail one after the other until it is not asked for a while. 0: never.
    #[schemars(range(max = 1_000_000), extend("default" = Upstream::EJECTION_FAILURES))]
    pub(super) ejection_failures: Option<u64>,
    /// Responses with a status of 500 and above that an endpoint must give one after the other until it is not asked for a while. 0: never.
    #[schemars(range(max = 1_000_000), extend("default" = 0))]
    pub(super) ejection_errors: Option<u64>,
    /// How long an endpoint that fails is not asked the first time, in milliseconds. Each time that it fails again it is twice as long.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Upstream::EJECTION_MS))]
    pub(super) ejection_ms: Option<u64>,
    /// How long it is not asked at most, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Upstream::EJECTION_MS_MAX))]
    pub(super) ejection_ms_max: Option<u64>,
    /// Of all endpoints, how many percent may be ejected at once. Where all are, they are asked all the same.
    #[schemars(range(max = 100), extend("default" = 100))]
    pub(super) ejection_percent_max: Option<u64>,
    /// When a request is sent once more.
    pub(super) retries: Option<Retries>,
    /// When the upstream is not asked at all for a while. Absent: never.
    pub(super) breaker: Option<Breaker>,
    /// How endpoints are asked whether they are well. Absent: not at all.
    pub(super) health: Option<Health>,
    /// How often the names of endpoints are looked up, in milliseconds. Each address counts as an endpoint. 0: for every new connection.
    #[schemars(range(max = TIMEOUT_MS_MAX), extend("default" = Upstream::RESOLVE_INTERVAL_MS))]
    pub(super) resolve_interval_ms: Option<u64>,
    /// Idle connections that are kept per worker and endpoint.
    #[schemars(range(max = 100_000), extend("default" = Upstream::IDLE_CONNECTIONS_MAX))]
    pub(super) idle_connections_max: Option<u64>,
    /// How long an idle connection is kept, in milliseconds. It should be shorter than the time after which the servers close.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Upstream::IDLE_CONNECTION_TIMEOUT_MS))]
    pub(super) idle_connection_timeout_ms: Option<u64>,
    /// Most connections per worker and endpoint. Requests over it wait as `pending_max` allows, or are answered with 503.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = Upstream::CONNECTIONS_MAX))]
    pub(super) connections_max: Option<u64>,
    /// Most requests per worker that wait for a connection, first come, first served. Those over it are answered with 503. 0: none waits.
    #[schemars(range(max = 1_000_000), extend("default" = 0))]
    pub(super) pending_max: Option<u64>,
    /// Longest time that a request waits for a connection, in milliseconds. Then it is answered with 503.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Upstream::PENDING_TIMEOUT_MS))]
    pub(super) pending_timeout_ms: Option<u64>,
}

impl Upstream {
    /// Three SYNs are lost before it (they are sent at 0, 1 and 3 s).
    pub(super) const CONNECT_TIMEOUT_MS: u64 = 5_000;
    /// As in nginx, HAProxy's examples and most cloud load balancers.
    pub(super) const RESPONSE_TIMEOUT_MS: u64 = 60_000;
    /// The same.
    pub(super) const IDLE_TIMEOUT_MS: u64 = 60_000;
    /// One or two may be chance.
    pub(super) const EJECTION_FAILURES: u32 = 3;
    /// As in nginx (`fail_timeout`) and HAProxy's slow start: long enough to restart a server.
    pub(super) const EJECTION_MS: u64 = 10_000;
    /// Nobody should have to wait longer for an endpoint that is back; one request a minute does not hurt.
    pub(super) const EJECTION_MS_MAX: u64 = 60_000;
    /// As long as most names of services may be cached.
    pub(super) const RESOLVE_INTERVAL_MS: u64 = 30_000;
    /// Who has waited longer would rather know.
    pub(super) const PENDING_TIMEOUT_MS: u64 = 5_000;
    /// Chat and push connections ping every minute or so; as in Envoy.
    pub(super) const TUNNEL_TIMEOUT_MS: u64 = 300_000;
    /// Enough that a burst does not close what the next one opens.
    pub(super) const IDLE_CONNECTIONS_MAX: u64 = 256;
    /// Below the 60 s after which many servers close.
    pub(super) const IDLE_CONNECTION_TIMEOUT_MS: u64 = 50_000;
    /// A server with more concurrent requests from one worker is overloaded.
    pub(super) const CONNECTIONS_MAX: u64 = 1_024;
}
