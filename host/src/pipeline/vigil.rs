//! Watching over an exchange while it waits: it may be given up before there is a response.
//!
//! Whoever waits no longer drops what works for him, and nothing of ours is asked. Invariant: an exchange that was admitted is recorded once,
//! here or when its response has ended.

use std::rc::Rc;
use std::sync::Arc;

use super::admit::Admitted;
use super::walk::Walk;
use super::{Over, Pipeline, challenge, posture, rescue};
use crate::exchange::{Asked, Client, Exchange, Failure, Held, Part, Reason, Waits};
use crate::http::{Body, HangUp};
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

    /// It has come to this; none: to nothing, since the client went away in the middle of its body.
    pub(super) fn ends(mut self, answered: Result<(), Failure>) -> Option<Result<(), Failure>> {
        self.over = !matches!(&answered, Err(failure) if failure.reason == Reason::ClientGone);
        self.over.then_some(answered)
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
        let walk = &mut *self.walk;
        let end = given_up(&mut exchange, walk.route, reason, time::now());
        if walk.chain.callers(Hook::PostResponse).is_empty() {
            return self.pipeline.recorder.ended(&exchange, &end);
        }
        // Something must be there that they can look at.
        exchange.response = Some(rescue::unsent(reason));
        self.pipeline.keep_callers(&mut walk.visit, walk.chain);
        let (visit, failed) = (std::mem::take(&mut walk.visit), std::mem::take(&mut walk.failed));
        let over = Over { exchange: Held::from(exchange), visit, route: walk.route, failed };
        Rc::clone(self.pipeline).account(over, end);
    }
}

/// What is answered where nobody is there.
pub(super) fn nobody() -> http::Response<Body> {
    let mut response = http::Response::new(Body::Empty);
    response.extensions_mut().insert(HangUp);
    response
}

/// How an exchange ends that is given up `now`. What it waited for is what took the time.
fn given_up(exchange: &mut Exchange, route: Option<usize>, reason: Reason, now: time::Instant) -> End {
    match exchange.waits {
        Waits::Nothing => {}
        Waits::Cache => exchange.timings.cache = exchange.lap_of(Part::Cache, now),
        Waits::Upstream => {
            let asked = Part::Upstream(Asked { outcome: Err(reason), connection: None, retries: 0 });
            exchange.timings.upstream = exchange.lap_of(asked, now);
        }
    }
    exchange.failure.get_or_insert(reason);
    if reason == Reason::ClientGone {
        exchange.presence.abort();
    }
    let duration = now.saturating_duration_since(exchange.started);
    End { route, status: rescue::unsent(reason).status, body_bytes: 0, head: None, duration, complete: false }
}

impl Pipeline {
    /// Records a request that was taken back before anything was done for it. No plugin has seen it, and none is told.
    pub fn taken_back(&self, client: &Arc<Client>, request: http::Request<Body>) {
        let health = self.plan.health.as_ref();
        // Who asks this is never recorded.
        if challenge::answer(&request).is_some()
            || health.is_some_and(|public| posture::health(public, client, &request).is_some())
        {
            return;
        }
        let Admitted { mut exchange, .. } = self.admit(client, request);
        let end = given_up(&mut exchange, None, Reason::ClientGone, time::now());
        self.recorder.ended(&exchange, &end);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue, Method, Version};

    use super::*;
    use crate::exchange::{Attendance, Entrance, Request};

    #[test]
    fn what_was_waited_for_took_the_time_and_who_left_is_told() {
        let attendance = Arc::<Attendance>::default();
        let entrance = Entrance::new(Arc::clone(&attendance));
        let (began, ms) = (time::now(), Duration::from_millis);
        let here = (Ipv4Addr::LOCALHOST, 80).into();
        let check = |waits, reason: Reason, status, (cache, upstream), aborted| {
            let request = Request {
                method: Method::GET,
                authority: "a".into(),
                target: "/".parse().unwrap(),
                headers: HeaderMap::new(),
                version: Version::HTTP_2,
                upgrade: None,
            };
            let client = Arc::new(Client::new(here, here, None));
            let mut exchange = Exchange::new(HeaderValue::from_static("1"), began, client, request);
            (exchange.waits, exchange.presence) = (waits, entrance.enter());
            // The step before ended after 2 ms.
            exchange.lap(began + ms(2));
            let end = given_up(&mut exchange, Some(7), reason, began + ms(9));
            assert_eq!((exchange.timings.cache, exchange.timings.upstream), (ms(cache), ms(upstream)), "{waits:?}");
            assert_eq!((exchange.failure, end.status.as_u16()), (Some(reason), status));
            assert_eq!((end.route, end.head, end.duration, end.complete), (Some(7), None, ms(9), false));
            exchange.presence.end();
            assert_eq!((attendance.in_flight(), attendance.aborted()), (0, aborted), "{reason:?}");
        };
        check(Waits::Nothing, Reason::ClientGone, 499, (0, 0), 1);
        check(Waits::Cache, Reason::ClientGone, 499, (7, 0), 2);
        check(Waits::Upstream, Reason::ClientGone, 499, (0, 7), 3);
        // It was not the client who left.
        check(Waits::Upstream, Reason::DrainTimeout, 503, (0, 7), 3);
        check(Waits::Upstream, Reason::Internal, 500, (0, 7), 3);
    }
}
