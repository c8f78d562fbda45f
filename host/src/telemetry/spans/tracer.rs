//! One worker's traces: where they begin, and which are told when exchanges end.
//!
//! Nothing here waits, and nothing is shared with other workers but counters that are touched when something is lost. Without
//! configuration every entry is one look at an `Option`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;

use super::context::{self, TRACEPARENT};
use super::ids::Ids;
use super::outbox::Outbox;
use super::report::{Known, Report};
use super::sampling::Fate;
use super::settings::{IncomingTrace, Settings};
use crate::exchange::{DecidedBy, Exchange, Sampled, Steps, Trace};
use crate::names::Name;
use crate::telemetry::End;

/// One worker's traces.
#[derive(Debug)]
pub struct Tracer {
    active: RefCell<Option<Active>>,
    outbox: Arc<Outbox>,
    ids: Ids,
}

/// What holds while something is traced.
struct Active {
    settings: Arc<Settings>,
    plugins: BTreeMap<u32, Name>,
    patterns: BTreeMap<Name, Box<str>>,
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Active({:?})", self.settings.otlp)
    }
}

impl Known for Active {
    fn plugin(&self, number: u32) -> Option<Name> {
        self.plugins.get(&number).cloned()
    }

    fn pattern(&self, route: &Name) -> Option<Box<str>> {
        self.patterns.get(route).cloned()
    }
}

impl Tracer {
    /// One that traces nothing yet, and tells here.
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self { active: RefCell::new(None), outbox, ids: Ids::default() }
    }

    /// Takes a configuration over. `plugins`: their names by the numbers that steps have; `patterns`: the paths of the routes as they are
    /// written.
    pub fn adopt(
        &self,
        settings: Option<&Arc<Settings>>,
        plugins: impl Iterator<Item = (u32, Name)>,
        patterns: impl Iterator<Item = (Name, Box<str>)>,
    ) {
        let mut active = self.active.borrow_mut();
        let Some(settings) = settings else {
            *active = None;
            return;
        };
        // Exchanges under way may have met plugins that leave.
        let mut names = active.take().map(|active| active.plugins).unwrap_or_default();
        names.extend(plugins);
        *active = Some(Active { settings: Arc::clone(settings), plugins: names, patterns: patterns.collect() });
    }

    /// Begins or continues the trace of a request, and writes into its fields what it passes on.
    #[inline]
    pub fn begin(&self, headers: &mut HeaderMap) -> Option<Box<Trace>> {
        let active = self.active.borrow();
        active.as_ref().map(|active| self.begun(active, headers))
    }

    fn begun(&self, active: &Active, headers: &mut HeaderMap) -> Box<Trace> {
        let sampling = &active.settings.sampling;
        let parent = match active.settings.incoming {
            IncomingTrace::Trust => context::take(headers),
            IncomingTrace::Ignore => {
                context::drop_context(headers);
                None
            }
        };
        let id = parent.map_or_else(|| self.ids.trace(), |parent| parent.trace);
        let (sampled, decided_by) = sampling.first(id, parent.map(|parent| parent.sampled));
        let open = decided_by == DecidedBy::Gateway && sampling.depends_on_routes();
        let wanted = sampled == Sampled::Yes || open || sampling.may_change_its_mind();
        let steps = if wanted { Steps::Kept } else { Steps::Unwanted };
        let (span, upstream) = (self.ids.span(), self.ids.span());
        headers.insert(TRACEPARENT, context::value(id, upstream, sampled));
        let parent = parent.map(|parent| parent.span);
        Box::new(Trace::new((id, parent), (span, upstream), (sampled, decided_by), steps))
    }

    /// Decides once more when the route is known.
    #[inline]
    pub fn routed(&self, exchange: &mut Exchange) {
        let Some(trace) = exchange.trace.as_mut().filter(|trace| trace.decided_by == DecidedBy::Gateway) else {
            return;
        };
        let active = self.active.borrow();
        let Some(sampling) = active.as_ref().map(|active| &active.settings.sampling) else { return };
        if !sampling.depends_on_routes() {
            return;
        }
        let decided = exchange.route.as_ref().and_then(|route| sampling.on_route(trace.id, route));
        if let Some(sampled) = decided.filter(|sampled| *sampled != trace.sampled) {
            trace.sampled = sampled;
            // Where a plugin has taken it away or written another, that stands.
            let headers = &mut exchange.request.headers;
            let ours = context::value(trace.id, trace.upstream, opposite(sampled));
            if headers.get(TRACEPARENT) == Some(&ours) {
                headers.insert(TRACEPARENT, context::value(trace.id, trace.upstream, sampled));
            }
        }
        if trace.sampled == Sampled::No && !sampling.may_change_its_mind() {
            trace.stop_keeping();
        }
    }

    /// Tells of an exchange that has ended, if its trace is kept.
    #[inline]
    pub(in crate::telemetry) fn ended(&self, exchange: &Exchange, end: &End) {
        if let Some(trace) = &exchange.trace {
            self.tell(exchange, trace, end, Some(end));
        }
    }

    /// Tells of what was done for an exchange after it had ended.
    pub fn went_on(&self, exchange: &Exchange, end: &End) {
        if let Some(trace) = exchange.trace.as_ref().filter(|trace| !trace.steps().is_empty()) {
            self.tell(exchange, trace, end, None);
        }
    }

    fn tell(&self, exchange: &Exchange, trace: &Trace, end: &End, own: Option<&End>) {
        let active = self.active.borrow();
        let Some(active) = active.as_ref() else { return };
        let fate = Fate { status: end.status, failure: exchange.failure, duration: end.duration };
        if active.settings.sampling.last(trace.sampled, &fate) == Sampled::Yes {
            self.outbox.put(Report::new(exchange, trace, own, active));
        }
    }

    /// The trace for what is done beside an exchange, on its account but not for its client: a request upstream of its own. Writes
    /// into the fields of that request what it passes on.
    pub fn beside(&self, exchange: &Exchange, headers: &mut HeaderMap) -> Option<Box<Trace>> {
        let trace = exchange.trace.as_ref()?;
        let steps = if trace.sampled == Sampled::Yes { Steps::Kept } else { Steps::Unwanted };
        let upstream = self.ids.span();
        if headers.contains_key(TRACEPARENT) {
            headers.insert(TRACEPARENT, context::value(trace.id, upstream, trace.sampled));
        }
        let ids = (trace.span, upstream);
        Some(Box::new(Trace::new((trace.id, trace.parent), ids, (trace.sampled, trace.decided_by), steps)))
    }

    /// Tells of what was done beside an exchange.
    pub fn ended_beside(&self, exchange: &Exchange) {
        let Some(trace) = exchange.trace.as_ref().filter(|trace| !trace.steps().is_empty()) else { return };
        if let Some(active) = self.active.borrow().as_ref() {
            self.outbox.put(Report::new(exchange, trace, None, active));
        }
    }
}

fn opposite(sampled: Sampled) -> Sampled {
    match sampled {
        Sampled::Yes => Sampled::No,
        Sampled::No => Sampled::Yes,
    }
}
