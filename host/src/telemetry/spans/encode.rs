//! Turns reports into spans as OTLP writes them (`opentelemetry/proto/trace/v1/trace.proto`), with the attributes that OpenTelemetry's
//! semantic conventions for HTTP (1.27) name, and our own behind `portcullis.`.

use std::time::Duration;

use http::{Method, Version};

use super::ids::Ids;
use super::protobuf::Writer;
use super::report::{Facts, Report, Told, What};
use super::sampling::Fate;
use super::settings::Attribute;
use crate::exchange::{Asked, CacheStatus, Call, Connection, Reason, Sampled, SpanId};

/// Most spans in one request.
const SPANS_MAX: usize = 2048;
/// A request that is longer than this takes no further exchange. Half of what receivers of gRPC take by default.
const BYTES_MAX: usize = 2 * 1024 * 1024;
/// Which conventions the attributes follow.
const SCHEMA: &[u8] = b"https://opentelemetry.io/schemas/1.27.0";

/// What a span is to whom it calls and who calls it.
#[derive(Clone, Copy)]
enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// The attributes of whoever tells, as an encoded `Resource`.
pub(super) fn resource(attributes: &[(String, Attribute)]) -> Vec<u8> {
    let mut out = Writer::default();
    for (key, value) in attributes {
        match value {
            Attribute::Text(text) => out.message(1, |out| key_value(out, key, |out| out.bytes(1, text.as_bytes()))),
            Attribute::Flag(flag) => out.message(1, |out| key_value(out, key, |out| out.number(2, u64::from(*flag)))),
            Attribute::Whole(number) => {
                // Negative numbers are written as their two's complement.
                out.message(1, |out| key_value(out, key, |out| out.number(3, number.cast_unsigned())));
            }
            Attribute::Number(number) => {
                out.message(1, |out| key_value(out, key, |out| out.fixed64(4, number.to_bits())));
            }
        }
    }
    out.finish()
}

fn key_value(out: &mut Writer, key: &str, value: impl FnOnce(&mut Writer)) {
    out.bytes(1, key.as_bytes());
    out.message(2, value);
}

/// An `ExportTraceServiceRequest` with as many of the reports as go into one, how many these are, and how many spans.
pub(super) fn request(resource: &[u8], reports: &[Report], ids: &Ids) -> (Vec<u8>, usize, usize) {
    let mut scope = Writer::default();
    scope.message(1, |out| {
        out.bytes(1, b"portcullis");
        out.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
    });
    let (mut told, mut spans) = (0, 0);
    for report in reports {
        if told > 0 && (spans + report.spans() > SPANS_MAX || scope.len() > BYTES_MAX) {
            break;
        }
        write(&mut scope, report, ids);
        told += 1;
        spans += report.spans();
    }
    scope.bytes(3, SCHEMA);
    let scope = scope.finish();
    let mut out = Writer::default();
    out.message(1, |out| {
        out.bytes(1, resource);
        out.bytes(2, &scope);
        out.bytes(3, SCHEMA);
    });
    (out.finish(), told, spans)
}

/// Writes the spans of a report.
fn write(out: &mut Writer, report: &Report, ids: &Ids) {
    if let Some(facts) = &report.facts {
        out.message(2, |out| server(&mut Span { out, report }, facts));
    }
    let mut upstream = Some(report.upstream);
    for step in &report.steps {
        let id = match step.what {
            // The id that the upstream was told.
            What::Upstream(_) => upstream.take(),
            _ => None,
        };
        out.message(2, |out| child(&mut Span { out, report }, step, id.unwrap_or_else(|| ids.span())));
    }
}

/// A span that is being written.
struct Span<'a> {
    out: &'a mut Writer,
    report: &'a Report,
}

impl Span<'_> {
    fn head(&mut self, id: SpanId, parent: Option<SpanId>, name: &str, kind: Kind) {
        self.out.bytes(1, &self.report.trace.0.to_be_bytes());
        self.out.bytes(2, &id.0.to_be_bytes());
        if let Some(state) = &self.report.state {
            self.out.bytes(3, state.as_bytes());
        }
        if let Some(parent) = parent {
            self.out.bytes(4, &parent.0.to_be_bytes());
        }
        self.out.bytes(5, name.as_bytes());
        self.out.number(6, kind as u64);
    }

    /// When it was. What took no time at all is shown as one nanosecond by nobody.
    fn times(&mut self, from: Duration, to: Duration) {
        let nanoseconds = |time: Duration| u64::try_from((self.report.began + time).as_nanos()).unwrap_or(u64::MAX);
        let (from, to) = (nanoseconds(from), nanoseconds(to));
        self.out.fixed64(7, from);
        self.out.fixed64(8, to);
    }

    fn text(&mut self, key: &str, text: &str) {
        self.out.message(9, |out| key_value(out, key, |out| out.bytes(1, text.as_bytes())));
    }

    fn number(&mut self, key: &str, number: u64) {
        self.out.message(9, |out| key_value(out, key, |out| out.number(3, number)));
    }

    fn failed(&mut self, message: &str) {
        self.out.message(15, |out| {
            if !message.is_empty() {
                out.bytes(2, message.as_bytes());
            }
            out.number(3, 2);
        });
    }

    /// The flags of the trace, and whether the parent is another process's (bits 8 and 9).
    fn flags(&mut self, remote: bool) {
        let sampled = u32::from(self.report.sampled == Sampled::Yes);
        self.out.fixed32(16, sampled | 0x100 | if remote { 0x200 } else { 0 });
    }
}

/// The methods that conventions know; others could be any text.
fn method(method: &Method) -> Option<&str> {
    let known = matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::CONNECT
            | Method::OPTIONS
            | Method::TRACE
            | Method::PATCH
    );
    known.then_some(method.as_str())
}

fn methods(span: &mut Span<'_>) {
    match method(&span.report.method) {
        Some(method) => span.text("http.request.method", method),
        None => {
            span.text("http.request.method", "_OTHER");
            span.text("http.request.method_original", span.report.method.as_str());
        }
    }
}

/// The span of an exchange.
fn server(span: &mut Span<'_>, facts: &Facts) {
    let report = span.report;
    let verb = method(&report.method).unwrap_or("HTTP");
    let name = facts.route.as_ref().map_or_else(|| verb.to_owned(), |route| format!("{verb} {route}"));
    span.head(report.span, report.parent, &name, Kind::Server);
    span.times(Duration::ZERO, facts.duration);
    methods(span);
    span.text("url.path", &facts.path);
    span.text("url.scheme", facts.scheme);
    if !facts.authority.is_empty() {
        address(span, &facts.authority);
    }
    span.text("client.address", &facts.client.to_string());
    let version = match facts.version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    span.text("network.protocol.version", version);
    if let Some(agent) = &facts.agent {
        span.text("user_agent.original", agent);
    }
    if let Some(pattern) = &facts.pattern {
        span.text("http.route", pattern);
    }
    span.number("http.response.status_code", u64::from(facts.status.as_u16()));
    span.number("http.response.body.size", facts.body_bytes);
    if let Some(route) = &facts.route {
        span.text("portcullis.route", route.as_str());
    }
    span.text("portcullis.request_id", &facts.id);
    if let Some(cache) = cache(report.cache) {
        span.text("portcullis.cache", cache);
    }
    let fate = Fate { status: facts.status, failure: facts.failure, duration: facts.duration };
    match facts.failure {
        Some(reason) => span.text("error.type", reason.as_str()),
        None if fate.went_wrong() => span.text("error.type", facts.status.as_str()),
        None => {}
    }
    if fate.went_wrong() {
        span.failed("");
    }
    span.flags(report.parent.is_some());
}

/// Something that was done for an exchange.
fn child(span: &mut Span<'_>, step: &Told, id: SpanId) {
    let report = span.report;
    match &step.what {
        What::Plugin { plugin, hook, fuel, call } => {
            let plugin = plugin.as_ref().map_or("unknown", |plugin| plugin.as_str());
            span.head(id, Some(report.span), &format!("plugin {plugin} {hook}"), Kind::Internal);
            span.times(step.from, step.to);
            span.text("portcullis.plugin", plugin);
            span.text("portcullis.hook", hook.as_str());
            span.number("portcullis.fuel", *fuel);
            if *call == Call::Failed {
                span.text("error.type", "plugin_failed");
                span.failed("");
            }
        }
        What::Cache => {
            span.head(id, Some(report.span), "cache lookup", Kind::Internal);
            span.times(step.from, step.to);
            if let Some(cache) = cache(report.cache) {
                span.text("portcullis.cache", cache);
            }
        }
        What::Upstream(asked) => {
            let verb = method(&report.method).unwrap_or("HTTP");
            let name = report.upstream_name.as_ref();
            let name = name.map_or_else(|| verb.to_owned(), |upstream| format!("{verb} {upstream}"));
            span.head(id, Some(report.span), &name, Kind::Client);
            span.times(step.from, step.to);
            methods(span);
            if let Some(upstream) = &report.upstream_name {
                span.text("portcullis.upstream", upstream.as_str());
            }
            if let Some(endpoint) = &report.endpoint {
                span.text("portcullis.endpoint", endpoint);
                address(span, endpoint);
            }
            answered(span, asked);
        }
    }
    span.flags(false);
}

/// What an upstream answered, or why it did not.
fn answered(span: &mut Span<'_>, asked: &Asked) {
    if asked.retries > 0 {
        span.number("http.request.resend_count", u64::from(asked.retries));
    }
    match asked.connection {
        Some(Connection::New) => span.text("portcullis.connection", "new"),
        Some(Connection::Reused) => span.text("portcullis.connection", "reused"),
        None => {}
    }
    match asked.outcome {
        Ok(status) => {
            span.number("http.response.status_code", u64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                span.text("error.type", status.as_str());
                span.failed("");
            }
        }
        Err(reason) => {
            span.text("error.type", reason.as_str());
            // That nobody waited for the answer speaks against nobody.
            if reason != Reason::ClientGone {
                span.failed("");
            }
        }
    }
}

/// Host and port, where they are that.
fn address(span: &mut Span<'_>, text: &str) {
    let port = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = match port {
        // The last part of an IPv6 address without brackets is no port.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    span.text("server.address", bare);
    if let Some(port) = port {
        span.number("server.port", u64::from(port));
    }
}

fn cache(status: CacheStatus) -> Option<&'static str> {
    match status {
        CacheStatus::Unused => None,
        CacheStatus::Bypass => Some("bypass"),
        CacheStatus::Miss => Some("miss"),
        CacheStatus::Hit => Some("hit"),
    }
}
