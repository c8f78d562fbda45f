//! The distributed trace that an exchange is part of, and the steps of the exchange that it tells of.
//!
//! Only data: where it comes from, whether it is kept and who is told is decided in `telemetry`. An exchange without a trace pays for
//! one look at an `Option` per step; steps are kept only where somebody may want them.

use std::fmt;

use http::StatusCode;

use super::Reason;
use crate::http::hex;
use crate::names::Hook;
use crate::time::Instant;

/// Most steps that are kept of an exchange. A plugin in every hook of a long chain stays below it.
const STEPS_MAX: usize = 256;

/// The trace of an exchange (W3C Trace Context, Level 1).
#[derive(Debug)]
pub struct Trace {
    /// The trace. Never zero.
    pub id: TraceId,
    /// The span of whoever sent the request, if it told one.
    pub parent: Option<SpanId>,
    /// The span of this exchange.
    pub span: SpanId,
    /// The span of the request that goes upstream, which is what the upstream is told.
    pub upstream: SpanId,
    /// Whether it was decided at the beginning that the trace is kept, as the upstream is told.
    pub sampled: Sampled,
    /// Who decided that.
    pub decided_by: DecidedBy,
    /// What happened so far; none: nobody will want to know.
    steps: Option<Vec<Step>>,
}

/// The id of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

/// The id of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

/// Whether a trace is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// Who decided whether a trace is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedBy {
    /// Whoever sent the request.
    Parent,
    /// The gateway, by its ratio.
    Gateway,
}

/// Whether the steps of an exchange are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// They are: the trace may be wanted.
    Kept,
    /// Nobody will want them.
    Unwanted,
}

/// Something that was done for an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub part: Part,
    /// When it began.
    pub from: Instant,
    /// When it had ended.
    pub to: Instant,
}

/// What a step was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A hook of a plugin was called.
    Plugin {
        /// The number of the plugin.
        number: u32,
        /// The hook.
        hook: Hook,
        /// The fuel that it burned.
        fuel: u64,
        /// Whether the call did what it should.
        call: Call,
    },
    /// The cache was looked at, which includes waiting for somebody who fetched the same.
    Cache,
    /// The upstream was asked.
    Upstream(Asked),
}

/// How it went to ask an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// What it answered, or why it did not.
    pub outcome: Result<StatusCode, Reason>,
    /// What the request was sent on that was answered.
    pub connection: Option<Connection>,
    /// How often the request had been sent before, as far as that is known.
    pub retries: u32,
}

/// A connection to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Made for the request.
    New,
    /// Kept from one before.
    Reused,
}

/// How the call of a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Well.
    Well,
    /// The plugin failed.
    Failed,
}

impl TraceId {
    /// As 32 hexadecimal digits.
    pub fn digits(self) -> Digits<32> {
        let mut digits = [0; 32];
        let (high, low) = digits.split_at_mut(16);
        // The two halves of the number.
        high.copy_from_slice(&hex((self.0 >> 64) as u64));
        low.copy_from_slice(&hex(self.0 as u64));
        Digits(digits)
    }
}

impl SpanId {
    /// As 16 hexadecimal digits.
    pub fn digits(self) -> Digits<16> {
        Digits(hex(self.0))
    }
}

/// Hexadecimal digits, lowercase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits<const N: usize>([u8; N]);

impl<const N: usize> Digits<N> {
    /// As text.
    pub fn as_str(&self) -> &str {
        // Digits are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Digits<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Trace {
    /// A trace in which nothing has happened yet.
    pub fn new(
        (id, parent): (TraceId, Option<SpanId>),
        (span, upstream): (SpanId, SpanId),
        (sampled, decided_by): (Sampled, DecidedBy),
        steps: Steps,
    ) -> Self {
        let steps = (steps == Steps::Kept).then(Vec::new);
        Self { id, parent, span, upstream, sampled, decided_by, steps }
    }

    /// The id of the trace, for logs and exemplars.
    pub fn trace_id(&self) -> Digits<32> {
        self.id.digits()
    }

    /// Whether the trace is certain to be exported: what an exemplar may point to.
    pub fn is_sampled(&self) -> bool {
        self.sampled == Sampled::Yes
    }

    /// Notes a step.
    pub fn note(&mut self, part: Part, from: Instant, to: Instant) {
        if let Some(steps) = self.steps.as_mut().filter(|steps| steps.len() < STEPS_MAX) {
            if steps.is_empty() {
                // What most exchanges need.
                steps.reserve_exact(8);
            }
            steps.push(Step { part, from, to });
        }
    }

    /// What happened so far.
    pub fn steps(&self) -> &[Step] {
        self.steps.as_deref().unwrap_or_default()
    }

    /// Whether steps are kept.
    pub fn keeps_steps(&self) -> bool {
        self.steps.is_some()
    }

    /// Forgets the steps so far; what follows is kept as before.
    pub fn forget_steps(&mut self) {
        if let Some(steps) = &mut self.steps {
            steps.clear();
        }
    }

    /// Forgets the steps so far, and keeps no more.
    pub fn stop_keeping(&mut self) {
        self.steps = None;
    }
}
