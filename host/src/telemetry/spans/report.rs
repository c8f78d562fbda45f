//! What the thread that exports is told of an exchange: a copy of the facts that spans are made of.
//!
//! Made only for exchanges whose trace is kept. Invariant: it holds on to nothing of the exchange, and its texts are bounded, so that
//! a number of spans is a bounded amount of memory.

use std::net::IpAddr;
use std::time::Duration;

use http::{Method, StatusCode, Version, header};

use super::context::TRACESTATE;
use crate::exchange::{Asked, CacheStatus, Call, Exchange, Part, Reason, Sampled, SpanId, Trace, TraceId};
use crate::names::{Hook, Name};
use crate::telemetry::End;
use crate::time::{self, Instant};

/// Longest text in an attribute, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// An exchange, or what became of it after it had been told.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) trace: TraceId,
    pub(super) parent: Option<SpanId>,
    pub(super) span: SpanId,
    /// The id of the first step that asked the upstream.
    pub(super) upstream: SpanId,
    pub(super) sampled: Sampled,
    pub(super) state: Option<Box<str>>,
    /// When the exchange began, as Unix time.
    pub(super) began: Duration,
    /// What its own span tells; none: that has been told, and only steps are.
    pub(super) facts: Option<Box<Facts>>,
    pub(super) steps: Vec<Told>,
    /// The endpoint that answered.
    pub(super) endpoint: Option<Box<str>>,
    pub(super) upstream_name: Option<Name>,
    pub(super) cache: CacheStatus,
    pub(super) method: Method,
}

/// A step.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) what: What,
    /// Since the exchange began.
    pub(super) from: Duration,
    pub(super) to: Duration,
}

/// What a step was.
#[derive(Debug)]
pub(super) enum What {
    Plugin { plugin: Option<Name>, hook: Hook, fuel: u64, call: Call },
    Cache,
    Upstream(Asked),
}

/// What the span of an exchange tells.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) duration: Duration,
    pub(super) path: Box<str>,
    pub(super) scheme: &'static str,
    pub(super) authority: Box<str>,
    pub(super) client: IpAddr,
    pub(super) version: Version,
    pub(super) agent: Option<Box<str>>,
    pub(super) route: Option<Name>,
    pub(super) pattern: Option<Box<str>>,
    pub(super) id: Box<str>,
    pub(super) status: StatusCode,
    pub(super) failure: Option<Reason>,
    pub(super) body_bytes: u64,
}

/// What a report needs to know beside the exchange.
pub(super) trait Known {
    /// The name of a plugin.
    fn plugin(&self, number: u32) -> Option<Name>;
    /// The path of a route, as it is written.
    fn pattern(&self, route: &Name) -> Option<Box<str>>;
}

impl Report {
    /// What became of an exchange; `end`: how it ended, where that has not been told.
    pub(super) fn new(exchange: &Exchange, trace: &Trace, end: Option<&End>, known: &impl Known) -> Self {
        let since = |at: Instant| at.saturating_duration_since(exchange.started);
        let steps = trace.steps().iter().map(|step| Told {
            what: match step.part {
                Part::Plugin { number, hook, fuel, call } => {
                    What::Plugin { plugin: known.plugin(number), hook, fuel, call }
                }
                Part::Cache => What::Cache,
                Part::Upstream(asked) => What::Upstream(asked),
            },
            from: since(step.from),
            to: since(step.to),
        });
        let state = exchange.request.headers.get(TRACESTATE);
        Self {
            trace: trace.id,
            parent: trace.parent,
            span: trace.span,
            upstream: trace.upstream,
            sampled: trace.sampled,
            state: state.and_then(|state| state.to_str().ok()).map(cut),
            began: time::unix().saturating_sub(since(time::now())),
            facts: end.map(|end| Box::new(Facts::new(exchange, end, known))),
            steps: steps.collect(),
            endpoint: exchange.delivery.endpoint.as_ref().map(|endpoint| cut(&endpoint.to_string())),
            upstream_name: exchange.delivery.upstream.clone(),
            cache: exchange.cache,
            method: exchange.request.method.clone(),
        }
    }

    /// How many spans come of it.
    pub(super) fn spans(&self) -> usize {
        self.steps.len() + usize::from(self.facts.is_some())
    }
}

impl Facts {
    fn new(exchange: &Exchange, end: &End, known: &impl Known) -> Self {
        let request = &exchange.request;
        let agent = request.headers.get(header::USER_AGENT);
        Self {
            duration: end.duration,
            path: cut(request.target.path()),
            scheme: exchange.client.scheme.as_str(),
            authority: cut(&request.authority),
            client: exchange.client.address.ip(),
            version: request.version,
            agent: agent.map(|agent| cut(&String::from_utf8_lossy(agent.as_bytes()))),
            route: exchange.route.clone(),
            pattern: exchange.route.as_ref().and_then(|route| known.pattern(route)),
            id: cut(&String::from_utf8_lossy(exchange.id.as_bytes())),
            status: end.status,
            failure: exchange.failure,
            body_bytes: end.body_bytes,
        }
    }
}

/// As much of a text as is kept.
fn cut(text: &str) -> Box<str> {
    let mut length = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    text.get(..length).unwrap_or_default().into()
}
