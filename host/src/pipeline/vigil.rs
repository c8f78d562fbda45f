//! Watching over an exchange while it waits: it may be given up before there is a response.
//!
//! Whoever waits no longer drops what works for him, and nothing of ours is asked. Invariant: an exchange that was admitted is recorded once,
//! here or when its response has ended.

use std::rc::Rc;
use std::time::Duration;

use super::walk::Walk;
use super::{Over, Pipeline};
use crate::exchange::{Asked, Exchange, Failure, Held, Part, Reason, Response, Waits};
use crate::http::Body;
use crate::names::Hook;
use crate::telemetry::End;
use crate::time;

/// An exchange that is waited for, until it [`ends`](Self::ends). Dropped before, it is recorded as given up, and the plugins that account
/// for exchanges are told.
pub(super) struct Vigil<'w, 'p> {
    pipeline: &'p Rc<Pipeline>,
    /// The exchange, and the plugins that have seen it.
    pub(super) walk: &'w mut Walk<'p>,
    over: bool,
}

impl<'w, 'p> Vigil<'w, 'p> {
    /// Watches over an exchange.
    pub(super) fn over(pipeline: &'p Rc<Pipeline>, walk: &'w mut Walk<'p>) -> Self {
        Self { pipeline, walk, over: false }
    }

    /// It has come to something, and somebody is there for it.
    pub(super) fn ends(mut self, answered: Result<(), Failure>) -> Result<(), Failure> {
        self.over = true;
        answered
    }

    /// Who gave it up.
    fn reason(&self) -> Reason {
        if std::thread::panicking() {
            Reason::Internal
        } else if self.pipeline.draining.is_over() {
            Reason::DrainTimeout
        } else {
            Reason::ClientGone
        }
    }
}

impl Drop for Vigil<'_, '_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let reason = self.reason();
        // Not there where a panic came from within a plugin's call.
        let Some(mut exchange) = self.walk.exchange.lend() else { return };
        let duration = give_up(&mut exchange, reason, time::now());
        if reason == Reason::ClientGone {
            exchange.presence.abort();
        }
        let status = reason.status();
        let end = End { route: self.walk.route, status, body_bytes: 0, head: None, duration, complete: false };
        let walk = &mut *self.walk;
        if walk.chain.callers(Hook::PostResponse).is_empty() {
            return self.pipeline.recorder.ended(&exchange, &end);
        }
        // Something must be there that they can look at.
        exchange.response = Some(Response::new(status, Body::Empty));
        self.pipeline.keep_callers(&mut walk.visit, walk.chain);
        let (visit, failed) = (std::mem::take(&mut walk.visit), std::mem::take(&mut walk.failed));
        let over = Over { exchange: Held::from(exchange), visit, route: walk.route, failed };
        Rc::clone(self.pipeline).account(over, end);
    }
}

/// Notes why an exchange was given up, and what it waited for. Gives how long it took.
fn give_up(exchange: &mut Exchange, reason: Reason, now: time::Instant) -> Duration {
    match exchange.waits {
        Waits::Nothing => {}
        Waits::Cache => exchange.timings.cache = exchange.lap_of(Part::Cache, now),
        Waits::Upstream => {
            let asked = Part::Upstream(Asked { outcome: Err(reason), connection: None, retries: 0 });
            exchange.timings.upstream = exchange.lap_of(asked, now);
        }
    }
    exchange.failure.get_or_insert(reason);
    let duration = now.saturating_duration_since(exchange.started);
    let (request_id, route) = (&exchange.id, exchange.route.as_ref());
    tracing::debug!(?request_id, ?route, reason = reason.as_str(), ?duration, "given up before there was a response");
    duration
}
