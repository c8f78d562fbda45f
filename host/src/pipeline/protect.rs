//! Who is turned away, and what a route takes on: addresses, bans, the size of heads, adaptive concurrency.
//!
//! Who is turned away at the door is answered without any plugin: what keeps somebody out must not cost what letting them in does.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

use super::plan::{Plan, Route};
use super::{Pipeline, rescue};
use crate::exchange::{Client, Exchange, Failure, HeadSize, Held, Reason, Response};
use crate::http::{Body, BodyOutcome, HangUp};
use crate::time::{self, Instant};
use crate::traffic::access::{Refusing, Verdict};
use crate::traffic::concurrency::{Concurrency, Outcome, Place};
use crate::traffic::{Unwelcome, Why};
use crate::upstream::UpstreamError;

impl Pipeline {
    /// Answers a client that may not come.
    pub(super) fn turn_away(
        &self,
        connected: &Arc<Client>,
        exchange: Held,
        unwelcome: &Unwelcome,
    ) -> http::Response<Body> {
        let failure = match unwelcome.why {
            Why::Denied => Failure::new(Reason::Forbidden, "the client's address may not come"),
            Why::Banned(left) => Failure::new(Reason::Banned, "the client is banned")
                .with(header::RETRY_AFTER, HeaderValue::from(left.as_secs_f64().ceil() as u64)),
        };
        // A proxy's connection is others' too.
        let is_its_own = Arc::ptr_eq(connected, &exchange.client);
        let mut response = self.answer_alone(exchange, &failure);
        if unwelcome.refusing == Refusing::Close && is_its_own {
            response.extensions_mut().insert(HangUp);
        }
        response
    }

    /// Answers with a failure that no plugin sees.
    pub(super) fn answer_alone(&self, mut exchange: Held, failure: &Failure) -> http::Response<Body> {
        exchange.failure = Some(failure.reason);
        rescue::log(failure, &exchange);
        let Response { status, headers, body } = rescue::response(failure, &exchange);
        self.keep(&mut exchange, status, &headers);
        let body = self.recorded(exchange, None, status, body);
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// Notes what the client was told, where that is an offence.
    pub(super) fn watch(&self, exchange: &Exchange) {
        if let Some(response) = &exchange.response
            && response.status.as_u16() >= 400
        {
            self.gate.saw(exchange.client.address, response.status, time::now());
        }
    }

    /// A place among those that are under way at a route, where their number is limited.
    pub(super) fn place(&self, route: Option<usize>) -> Result<Option<Place>, Failure> {
        let Some(Some(concurrency)) = route.and_then(|route| self.concurrency.get(route)) else { return Ok(None) };
        match concurrency.enter(time::now()) {
            Some(place) => Ok(Some(place)),
            None => {
                let detail =
                    format!("{} requests of this route are under way, and answers take long", concurrency.limit());
                Err(Failure::new(Reason::ConcurrencyLimited, detail))
            }
        }
    }
}

/// Refuses what a route does not take on.
pub(super) fn admit(route: &Route, exchange: &Exchange) -> Result<(), Failure> {
    let protection = &route.protection;
    if let Some(access) = &protection.access
        && access.verdict(exchange.client.address.ip()) == Verdict::Deny
    {
        return Err(Failure::new(Reason::Forbidden, "the client's address may not come to this route"));
    }
    if protection.headers_max.is_none() && protection.header_bytes_max.is_none() {
        return Ok(());
    }
    let HeadSize { fields, bytes } = exchange.head;
    let check = |what: &str, is: usize, max: Option<usize>| match max {
        Some(max) if is > max => {
            Err(Failure::new(Reason::HeadTooLarge, format!("{is} {what} in the request; the route takes {max}")))
        }
        _ => Ok(()),
    };
    check("header fields", fields, protection.headers_max)?;
    check("bytes of header fields", bytes, protection.header_bytes_max)
}

/// The size of a head as the client sent it, before anything of ours is in it.
pub(super) fn head_size(headers: &HeaderMap) -> HeadSize {
    let mut size = HeadSize::default();
    for (name, value) in headers {
        size.fields += 1;
        // As they are written in HTTP/1.1: a colon and a space between, and a line break behind.
        size.bytes += name.as_str().len() + value.len() + 4;
    }
    size
}

/// Whether any route wants to know that size.
pub(super) fn measures_heads(plan: &Plan) -> bool {
    let measures = |route: &Route| route.protection.headers_max.or(route.protection.header_bytes_max).is_some();
    plan.routes.iter().any(measures)
}

/// When the last byte of a body had been handed on; none before.
type WholeAt = Rc<Cell<Option<Instant>>>;

/// This body, and when it will have been handed on as a whole; none where it is at hand.
pub(super) fn timed(body: Body) -> (Option<WholeAt>, Body) {
    if matches!(body, Body::Empty | Body::Full(_)) || http_body::Body::is_end_stream(&body) {
        return (None, body);
    }
    let at = WholeAt::default();
    let noted = Rc::clone(&at);
    let body = body.observed(move |end| {
        if end.outcome == BodyOutcome::Complete {
            noted.set(Some(time::now()));
        }
    });
    (Some(at), body)
}

/// Gives a place back, and tells what is learned about the handler: only what the client had no part in. `whole_at` is when the request was
/// complete, if it was.
pub(super) fn leave(place: Place, failed: Option<&UpstreamError>, whole_at: Option<Instant>, now: Instant) {
    match (failed, whole_at) {
        (None, Some(whole_at)) => place.leave(Outcome::Answered, whole_at, now),
        (Some(error), whole_at) if error.is_endpoints() && (whole_at.is_some() || error.is_unsent()) => {
            place.leave(Outcome::Failed, now, now);
        }
        // Who sends slowly, too much or not all of it says nothing about how long the handler takes. Nor does it where the handler
        // was not asked.
        _ => drop(place),
    }
}

/// What limits each route of a plan, going on with what `before` has learned.
pub(super) fn concurrency(plan: &Plan, before: Option<&Pipeline>) -> Vec<Option<Rc<Concurrency>>> {
    let known = |route: &Route| {
        let before = before?;
        let index = before.plan.routes.iter().position(|known| known.name == route.name)?;
        before.concurrency.get(index)?.clone().filter(|known| Some(*known.settings()) == route.protection.concurrency)
    };
    let of = |route: &Route| {
        let settings = route.protection.concurrency?;
        Some(known(route).unwrap_or_else(|| Concurrency::new(&route.name, settings)))
    };
    plan.routes.iter().map(of).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::http::test_bodies::{chunks, collect, failing};
    use crate::traffic::concurrency::{Algorithm, Settings};

    /// The limit after many windows in which requests ended so, each together with ten that were answered in 1 ms.
    fn limit_after(end: impl Fn(Place, Instant)) -> u32 {
        let algorithm = Algorithm::Aimd { latency: Duration::from_millis(20) };
        let concurrency = Concurrency::new(&"a".parse().unwrap(), Settings { initial: 20, min: 2, max: 20, algorithm });
        let mut now = time::now();
        for _ in 0..100 {
            now += Duration::from_millis(110);
            for _ in 0..10 {
                concurrency.enter(now).unwrap().leave(Outcome::Answered, now, now + Duration::from_millis(1));
            }
            end(concurrency.enter(now).unwrap(), now);
        }
        concurrency.limit()
    }

    #[test]
    fn what_clients_bring_about_does_not_shrink_the_limit() {
        let timeout = Duration::from_secs(9);
        for error in [
            UpstreamError::RequestTooLarge,
            UpstreamError::RequestBroken,
            UpstreamError::RequestStalled { timeout },
            UpstreamError::Open { retry_after: timeout },
            UpstreamError::QueueFull { max: 1 },
            UpstreamError::NoTunnel,
        ] {
            let limit = limit_after(|place, now| leave(place, Some(&error), Some(now), now));
            assert_eq!(limit, 20, "{error}");
        }
        // An upload of ten seconds that is answered at once, or not waited for.
        let late = Duration::from_secs(10);
        assert_eq!(limit_after(|place, now| leave(place, None, Some(now + late), now + late)), 20);
        assert_eq!(limit_after(|place, now| leave(place, None, None, now + late)), 20);
        let slow = UpstreamError::TotalTimeout { timeout };
        assert_eq!(limit_after(|place, now| leave(place, Some(&slow), None, now)), 20);
        // The same in the handler.
        assert_eq!(limit_after(|place, now| leave(place, None, Some(now), now + late)), 2);
        assert_eq!(
            limit_after(|place, now| {
                leave(place, Some(&slow), Some(now), now);
            }),
            20,
            "one in eleven"
        );
    }

    #[test]
    fn it_is_known_when_a_request_was_whole() {
        let (at, body) = timed(chunks(&["12", "345"]));
        assert_eq!(at.as_ref().unwrap().get(), None);
        drop(collect(body));
        assert!(at.unwrap().get().is_some());
        let (at, body) = timed(failing());
        drop(collect(body));
        assert_eq!(at.unwrap().get(), None);
        assert!(timed(Body::Empty).0.is_none() && timed(Bytes::from_static(b"whole").into()).0.is_none());
    }
}
