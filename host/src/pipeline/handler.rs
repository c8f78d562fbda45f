//! The handlers: proxy, respond, redirect.

use http::{HeaderValue, StatusCode, header};

use super::Pipeline;
use super::plan::Route;
use super::settings::{Handler, RedirectPart, RedirectTarget};
use super::walk::Walk;
use crate::exchange::{Exchange, Failure, Reason, Response};
use crate::http::{Body, Upgrade, UpgradeForm};
use crate::time;
use crate::upstream::UpstreamError;

/// What becomes of a client's wish for another protocol.
enum Wish {
    /// There is none.
    None,
    /// It is not granted, and the request is one like any other.
    Unheard,
    /// The upstream is asked.
    Granted(Upgrade),
}

impl Pipeline {
    /// Lets the route's handler answer.
    pub(super) async fn handle_with(&self, walk: &mut Walk<'_>, route: &Route, body: Body) -> Result<(), Failure> {
        let response = match &route.handler {
            Handler::Proxy { upstream, upgrades } => match self.wished(walk, upgrades)? {
                Wish::Granted(upgrade) => self.tunnel(walk, *upstream, &upgrade, body).await?,
                // What would have been said in that protocol is no body.
                Wish::Unheard => self.proxy(walk, route, *upstream, Body::Empty).await?,
                Wish::None => self.proxy(walk, route, *upstream, body).await?,
            },
            Handler::Respond { status, headers, body } => {
                Response { status: *status, headers: headers.clone(), body: Body::from(body.clone()) }
            }
            Handler::Redirect { status, location } => redirect(*status, location, &walk.exchange)?,
        };
        walk.exchange.response = Some(response);
        Ok(())
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
        let sent = self.upstreams.tunnel(upstream, &exchange.client, &exchange.request, upgrade, said).await;
        exchange.timings.upstream = exchange.lap(time::now());
        Ok(sent.map_err(|error| failure(&error))?.response)
    }

    async fn proxy(
        &self,
        walk: &mut Walk<'_>,
        route: &Route,
        upstream: usize,
        body: Body,
    ) -> Result<Response, Failure> {
        let body = match route.body_bytes_max {
            Some(bytes_max) => body
                .limited(bytes_max)
                .map_err(|error| Failure::new(Reason::RequestTooLarge, format!("the request body is {error}")))?,
            None => body,
        };
        let exchange = &mut *walk.exchange;
        let sent = self.upstreams.send(upstream, &exchange.client, &exchange.request, body).await;
        exchange.timings.upstream = exchange.lap(time::now());
        let sent = sent.map_err(|error| failure(&error))?;
        Ok(sent.response)
    }
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
    let mut target = String::new();
    for part in &location.0 {
        match part {
            RedirectPart::Literal(text) => target.push_str(text),
            RedirectPart::Path => target.push_str(exchange.request.target.path()),
            RedirectPart::Query => {
                if let Some(query) = exchange.request.target.query() {
                    target.push('?');
                    target.push_str(query);
                }
            }
            RedirectPart::Host => target.push_str(without_port(&exchange.request.authority)),
            RedirectPart::Parameter(name) => {
                let value = exchange.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value);
                push_encoded(&mut target, value.map_or("", String::as_str));
            }
        }
    }
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

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons of an IPv6 address are inside its brackets.
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Percent-encodes what is not unreserved (RFC 3986 section 2.3), so that a parameter stays one path segment.
fn push_encoded(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_off() {
        let check = |authority: &str, expected: &str| assert_eq!(without_port(authority), expected);
        check("example.com", "example.com");
        check("example.com:8080", "example.com");
        check("[::1]", "[::1]");
        check("[::1]:80", "[::1]");
    }

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

    #[test]
    fn parameters_stay_one_segment() {
        let mut target = String::from("/");
        push_encoded(&mut target, "a/b?c=ä\r\n");
        assert_eq!(target, "/a%2Fb%3Fc%3D%C3%A4%0D%0A");
    }
}
