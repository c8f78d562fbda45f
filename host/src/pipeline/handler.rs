//! The handlers: proxy, respond, redirect; files have a room of their own.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, header};

use super::plan::Route;
use super::rewrite::{Subject, rewritten};
use super::settings::{Handler, Proxy, RedirectPart, RedirectTarget};
use super::split;
use super::walk::Walk;
use super::{Pipeline, protect};
use crate::exchange::{Asked, Connection, Exchange, Failure, Part, Reason, Response, Waits};
use crate::http::{Body, Upgrade, UpgradeForm};
use crate::repeats;
use crate::time;
use crate::upstream::{Connected, Sent, UpstreamError};

/// What becomes of a client's wish for another protocol.
enum Wish {
    /// There is none.
    None,
    /// It is not granted, and the request is one like any other.
    Unheard,
    /// The upstream is asked.
    Granted(Upgrade),
}

/// A request as an upstream is asked. Dropped, it is again what the client asked for: also where nobody waits for the answer any more.
struct Asking<'w, 'p> {
    walk: &'w mut Walk<'p>,
    /// What the client asked for, where the upstream is asked for something else.
    authority: Option<Arc<str>>,
    target: Option<PathAndQuery>,
}

impl Drop for Asking<'_, '_> {
    fn drop(&mut self) {
        let request = &mut self.walk.exchange.request;
        if let Some(authority) = self.authority.take() {
            request.authority = authority;
        }
        if let Some(target) = self.target.take() {
            request.target = target;
        }
    }
}

impl Pipeline {
    /// Lets the route's handler answer.
    pub(super) async fn handle_with(&self, walk: &mut Walk<'_>, route: &Route, body: Body) -> Result<(), Failure> {
        let response = match &route.handler {
            Handler::Proxy(proxy) => {
                let response = self.ask(walk, route, proxy, body).await?;
                if route.cache.is_none() {
                    repeats::look(&route.name, &walk.exchange.request, &response);
                }
                response
            }
            Handler::Respond { status, headers, body } => {
                Response { status: *status, headers: headers.clone(), body: Body::from(body.clone()) }
            }
            Handler::Files(_) => self.answer_with_file(walk)?,
            Handler::Redirect { status, location } => redirect(*status, location, &walk.exchange)?,
        };
        walk.exchange.response = Some(response);
        Ok(())
    }

    /// Lets an upstream answer. It sees the rewritten target; everybody else sees what the client asked for.
    async fn ask(&self, walk: &mut Walk<'_>, route: &Route, proxy: &Proxy, body: Body) -> Result<Response, Failure> {
        let upstream = self.share(proxy, &walk.exchange)?;
        let request = &mut walk.exchange.request;
        // Who speaks HTTP/1.0 need not name a host, but every server wants to hear one.
        let unnamed = request.authority.is_empty().then(|| self.upstreams.authority(upstream));
        let host = proxy.host.clone().or(unnamed);
        let authority = host.map(|host| std::mem::replace(&mut request.authority, host));
        let mut asked = Asking { walk, authority, target: None };
        let walk = &mut *asked.walk;
        if let Some(rewrite) = &proxy.rewrite {
            let rewritten = rewritten(rewrite, &Subject::from(&*walk.exchange))?;
            asked.target = Some(std::mem::replace(&mut walk.exchange.request.target, rewritten));
        }
        match self.wished(walk, &proxy.upgrades)? {
            Wish::Granted(upgrade) => self.tunnel(walk, upstream, &upgrade, body).await,
            // What would have been said in that protocol is no body.
            Wish::Unheard => self.proxy(walk, route, (upstream, proxy), Body::Empty).await,
            Wish::None => self.proxy(walk, route, (upstream, proxy), body).await,
        }
    }

    /// The upstream whose turn it is.
    fn share(&self, proxy: &Proxy, exchange: &Exchange) -> Result<usize, Failure> {
        if let [only] = proxy.shares[..] {
            return Ok(only.upstream);
        }
        let point = proxy.by.as_ref().and_then(|by| split::point(by, exchange));
        split::choose(&proxy.shares, point.unwrap_or_else(|| self.dealer.deal()))
            .ok_or_else(|| Failure::new(Reason::Internal, "a route without an upstream"))
    }

    /// The protocol that the client wishes for, if it may have it. A wish in HTTP/1.1 that is not granted is not heard; in
    /// HTTP/2 there is nothing else to the request.
    fn wished(&self, walk: &mut Walk<'_>, upgrades: &[Box<str>]) -> Result<Wish, Failure> {
        let Some(upgrade) = walk.exchange.request.upgrade.take() else { return Ok(Wish::None) };
        let protocol = upgrade.protocol.as_bytes();
        if upgrades.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(protocol)) {
            return Ok(Wish::Granted(upgrade));
        }
        match upgrade.form {
            UpgradeForm::Upgrade => Ok(Wish::Unheard),
            UpgradeForm::Connect => {
                Err(Failure::new(Reason::NotImplemented, "a protocol that the route does not allow"))
            }
        }
    }

    async fn tunnel(
        &self,
        walk: &mut Walk<'_>,
        upstream: usize,
        upgrade: &Upgrade,
        said: Body,
    ) -> Result<Response, Failure> {
        let exchange = &mut *walk.exchange;
        (exchange.delivery.upstream, exchange.waits) = (self.upstreams.name(upstream), Waits::Upstream);
        let sent = self.upstreams.tunnel(upstream, &exchange.client, &exchange.request, upgrade, said).await;
        exchange.timings.upstream = exchange.lap_of(asked(&sent), time::now());
        exchange.waits = Waits::Nothing;
        let sent = sent.map_err(|error| failure(&error))?;
        exchange.delivery.endpoint = Some(sent.endpoint);
        Ok(sent.response)
    }

    async fn proxy(
        &self,
        walk: &mut Walk<'_>,
        route: &Route,
        (upstream, proxy): (usize, &Proxy),
        body: Body,
    ) -> Result<Response, Failure> {
        let body = match route.body_bytes_max {
            Some(bytes_max) => body
                .limited(bytes_max)
                .map_err(|error| Failure::new(Reason::RequestTooLarge, format!("the request body is {error}")))?,
            None => body,
        };
        let place = self.place(walk.route)?;
        let exchange = &mut *walk.exchange;
        let body = match &proxy.mirror {
            Some(mirror) if split::is_among(mirror.percent, self.dealer.deal()) => {
                self.mirrored(mirror, &exchange.client, &exchange.request, body)
            }
            _ => body,
        };
        (exchange.delivery.upstream, exchange.waits) = (self.upstreams.name(upstream), Waits::Upstream);
        let (asked_whole, body) = if place.is_some() { protect::timed(body) } else { (None, body) };
        let sent = self.upstreams.send(upstream, &exchange.client, &exchange.request, body).await;
        let now = time::now();
        exchange.timings.upstream = exchange.lap_of(asked(&sent), now);
        exchange.waits = Waits::Nothing;
        if let Some(place) = place {
            let whole_at = asked_whole.map_or(Some(place.began()), |at| at.get());
            protect::leave(place, sent.as_ref().err(), whole_at, now);
        }
        let sent = sent.map_err(|error| failure(&error))?;
        exchange.delivery.endpoint = Some(sent.endpoint);
        Ok(sent.response)
    }
}

/// What a trace tells of it.
fn asked(sent: &Result<Sent, UpstreamError>) -> Part {
    Part::Upstream(match sent {
        Ok(sent) => Asked {
            outcome: Ok(sent.response.status),
            connection: Some(match sent.connection {
                Connected::New => Connection::New,
                Connected::Reused => Connection::Reused,
            }),
            retries: sent.retries,
        },
        Err(error) => Asked { outcome: Err(error.reason()), connection: None, retries: 0 },
    })
}

/// What the client is told of an upstream's failure, and when it may try again.
fn failure(error: &UpstreamError) -> Failure {
    let failure = Failure::new(error.reason(), error.to_string());
    match error.retry_after() {
        // Whole seconds, and none that are not over yet.
        Some(after) => failure.with(header::RETRY_AFTER, HeaderValue::from(after.as_secs_f64().ceil() as u64)),
        None => failure,
    }
}

fn redirect(status: StatusCode, location: &RedirectTarget, exchange: &Exchange) -> Result<Response, Failure> {
    let target = location.filled(&Subject::from(exchange));
    let value = HeaderValue::try_from(on_this_site(target, location))
        .map_err(|_| Failure::new(Reason::BadRequest, "the redirect target would not be a field value"))?;
    let mut response = Response::new(status, Body::Empty);
    response.headers.insert(header::LOCATION, value);
    Ok(response)
}

/// A target that begins with two slashes is another site. Where nobody wrote it so, but a path that was filled in brought it about, one is
/// taken off.
fn on_this_site(target: String, location: &RedirectTarget) -> String {
    let meant = matches!(location.0.first(), Some(RedirectPart::Literal(text)) if text.starts_with("//"));
    let rest = target.trim_start_matches(['/', '\\']);
    if meant || target.len() - rest.len() < 2 { target } else { format!("/{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_does_not_become_another_site() {
        let check = |first: RedirectPart, target: &str, expected: &str| {
            assert_eq!(on_this_site(target.to_owned(), &RedirectTarget(vec![first])), expected);
        };
        let written = |text: &str| RedirectPart::Literal(text.to_owned());
        check(RedirectPart::Path, "/a/b", "/a/b");
        check(RedirectPart::Path, "//evil.example/", "/evil.example/");
        check(RedirectPart::Path, "/\\evil.example/", "/evil.example/");
        check(written("/"), "//evil.example", "/evil.example");
        check(written("https://example.com"), "https://example.com//a", "https://example.com//a");
        check(written("//cdn.example"), "//cdn.example/a", "//cdn.example/a");
    }
}
