//! Who is turned away, and what a route takes on: addresses, bans, the size of heads, adaptive concurrency.
//!
//! Who is turned away at the door is answered without any plugin: what keeps somebody out must not cost what letting them in does.

use std::rc::Rc;

use http::{HeaderName, HeaderValue, header};

use super::plan::{Plan, Route};
use super::{Pipeline, rescue};
use crate::exchange::{Exchange, Failure, Held, Reason, Response};
use crate::http::{Body, HangUp, REQUEST_ID};
use crate::time;
use crate::traffic::access::{Refusing, Verdict};
use crate::traffic::concurrency::{Concurrency, Place};
use crate::traffic::{Unwelcome, Why};

/// Fields of ours in a request, which the client has not sent.
const OURS: [HeaderName; 5] = [
    REQUEST_ID,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
];

impl Pipeline {
    /// Answers a client that may not come.
    pub(super) fn turn_away(&self, exchange: Held, unwelcome: &Unwelcome) -> http::Response<Body> {
        let failure = match unwelcome.why {
            Why::Denied => Failure::new(Reason::Forbidden, "the client's address may not come"),
            Why::Banned(left) => Failure::new(Reason::Banned, "the client is banned")
                .with(header::RETRY_AFTER, HeaderValue::from(left.as_secs_f64().ceil() as u64)),
        };
        let mut response = self.answer_alone(exchange, &failure);
        if unwelcome.refusing == Refusing::Close {
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
            self.gate.saw(exchange.client.address.ip(), response.status, time::now());
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
    let sent = exchange.request.headers.iter().filter(|(name, _)| !OURS.contains(name));
    // As they are written in HTTP/1.1: a colon and a space between, and a line break behind.
    let (fields, bytes) =
        sent.fold((0, 0), |(fields, bytes), (name, value)| (fields + 1, bytes + name.as_str().len() + value.len() + 4));
    let check = |what: &str, is: usize, max: Option<usize>| match max {
        Some(max) if is > max => {
            Err(Failure::new(Reason::HeadTooLarge, format!("{is} {what} in the request; the route takes {max}")))
        }
        _ => Ok(()),
    };
    check("header fields", fields, protection.headers_max)?;
    check("bytes of header fields", bytes, protection.header_bytes_max)
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
        Some(known(route).unwrap_or_else(|| Concurrency::new(settings)))
    };
    plan.routes.iter().map(of).collect()
}
